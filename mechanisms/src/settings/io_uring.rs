//! Settings of io_uring, in all variants that use it.

use crate::io_uring::operations::PUNTED;
use serde::{Deserialize, Serialize};

/// When the program runs the task work of polls that fired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskRun {
    /// When it enters the kernel to wait (IORING_SETUP_DEFER_TASKRUN).
    #[default]
    AtEnter,
    /// At once: the program is interrupted, on another core by an inter-processor interrupt (without any setup flag).
    Interrupt,
}

/// What the port does with calls that io_uring of the kernel never executes inline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Punted {
    /// It keeps them as ordinary system calls: cheaper than a hand-over to a worker and back.
    #[default]
    Direct,
    /// It submits them; worker threads execute them.
    Worker,
}

/// io_uring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IoUringSettings {
    /// Entries of a submission ring; its completion ring has twice as many (io_uring_setup(2)).
    pub entries: u32,
    /// A dependent call is linked to the one before it (IOSQE_IO_LINK) where it needs no more than that one's end.
    pub links: bool,
    /// Files are opened into the ring's own table, so that calls on them can be linked to their open (IORING_FILE_INDEX_ALLOC's
    /// sibling, a fixed slot). Off: a descriptor is a result that the program must see first.
    pub direct_descriptors: bool,
    /// User work of at most so many instructions before a dependent call can be done before both are submitted. Guess.
    pub glue_instructions: u32,
    /// When task work runs.
    pub task_run: TaskRun,
    /// The polling thread sleeps after so long without work. io_uring_setup(2): `sq_thread_idle`; the kernel takes one second when it
    /// is 0.
    pub poll_idle_us: u64,
    /// A program whose polling thread has another core looks at the completion ring for so long before it waits in the kernel.
    /// About what two context switches cost: a guess.
    pub completion_poll_us: f64,
    /// Accepts submitted at the same time.
    pub accepts_outstanding: u32,
    /// One accept stays armed for all connections (IORING_ACCEPT_MULTISHOT, Linux 5.19).
    pub multishot_accept: bool,
    /// A connection's receive stays armed for all its requests (IORING_RECV_MULTISHOT, Linux 6.0); its buffers come from a ring of
    /// provided ones.
    pub multishot_receive: bool,
    /// What the port does with calls that are never executed inline.
    pub punted: Punted,
    /// Calls on files that are never executed inline: their handlers in io_uring/ of Linux 6.1 return EAGAIN when they may not block
    /// (statx, fsync, fallocate, splice, the calls that change directories), and buffered writes to a file system without
    /// FMODE_BUF_WASYNC (all but XFS).
    pub worker_calls: Vec<String>,
    /// Thousandths of file reads and opens that would have to wait for storage, and so go to a worker. The recordings have none: all
    /// their files are in the page cache.
    pub storage_permille: u32,
    /// Worker threads at most; 0: four a core (io_uring/io-wq.c: the bounded limit is the smaller of the entries and 4 x CPUs).
    pub workers_max: u32,
    /// User instructions to prepare an entry. Recorded: 31 to 37 user instructions per entry and completion together (the phases with
    /// 1 and 16 entries of the capture `microbench-2`).
    pub prepare_instructions: u32,
    /// User instructions to take a completion. See `prepare_instructions`.
    pub reap_instructions: u32,
    /// User instructions around an enter. Recorded: 80 per enter, less one entry.
    pub submit_instructions: u32,
    /// User instructions from a completion to its callback. As an event library's: a guess.
    pub callback_instructions: u32,
    /// Memory of a kernel thread: a 16 KiB stack (THREAD_SIZE of x86-64) and a task_struct of about 10 KB.
    pub thread_bytes: u64,
    /// Memory of one request in flight: `struct io_kiocb` of 6.1, 224 bytes in slabs of 256.
    pub request_bytes: u64,
}

impl Default for IoUringSettings {
    fn default() -> Self {
        IoUringSettings {
            entries: 256,
            links: true,
            direct_descriptors: false,
            glue_instructions: 250,
            task_run: TaskRun::default(),
            poll_idle_us: 1_000_000,
            completion_poll_us: 5.0,
            accepts_outstanding: 32,
            multishot_accept: false,
            multishot_receive: false,
            punted: Punted::default(),
            worker_calls: PUNTED.iter().map(|call| (*call).to_owned()).collect(),
            storage_permille: 0,
            workers_max: 0,
            prepare_instructions: 22,
            reap_instructions: 10,
            submit_instructions: 50,
            callback_instructions: 60,
            thread_bytes: 26_000,
            request_bytes: 256,
        }
    }
}
