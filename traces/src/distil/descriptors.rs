//! Descriptors: which calls work on which connection.

use super::calls::visited;
use super::functions::Activation;
use crate::capture::control::Arguments;
use crate::kernel_map::KernelMap;
use sim_core::workload::Object;
use std::collections::BTreeMap;

/// What a call does, as far as requests are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Accept,
    Receive,
    Send,
    Close,
    /// Waits for readiness of descriptors.
    Readiness,
    /// Returns a new descriptor.
    Open,
    Other,
}

/// Role of a call by name; receives and sends count as such on sockets only.
pub(super) fn role(name: &str) -> Role {
    match name {
        "accept" | "accept4" => Role::Accept,
        "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" => Role::Receive,
        "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" | "sendfile" => Role::Send,
        "close" => Role::Close,
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" | "select" | "pselect6" => Role::Readiness,
        "open" | "openat" | "openat2" | "socket" | "epoll_create" | "epoll_create1" | "eventfd2" | "timerfd_create" | "dup" => {
            Role::Open
        }
        _ => Role::Other,
    }
}

/// The descriptor a call works on, and a second one.
pub(super) fn descriptors(name: &str, arguments: &Arguments) -> (Option<i32>, Option<i32>) {
    let number = |index: usize| {
        let descriptor = arguments[index] as i32;
        (descriptor >= 0).then_some(descriptor)
    };
    match name {
        "read" | "write" | "close" | "fstat" | "lseek" | "pread64" | "pwrite64" | "readv" | "writev" | "ioctl" | "fcntl"
        | "accept" | "accept4" | "sendto" | "recvfrom" | "sendmsg" | "recvmsg" | "sendmmsg" | "recvmmsg" | "shutdown" | "bind"
        | "listen" | "connect" | "setsockopt" | "getsockopt" | "getsockname" | "getpeername" | "getdents64" | "ftruncate"
        | "fsync" | "fadvise64" | "epoll_wait" | "epoll_pwait" | "dup" | "newfstatat" | "io_uring_enter" | "fstatfs" => {
            (number(0), None)
        }
        "sendfile" => (number(0), number(1)),
        "epoll_ctl" => (number(0), number(2)),
        "mmap" => (number(4), None),
        _ => (None, None),
    }
}

/// Kind of object that a call worked on, by the functions that ran.
pub(super) fn object_by_functions(found: &[Activation], kernel: &KernelMap) -> Object {
    const TELLTALES: &[(Object, &[&str])] = &[
        (Object::Listener, &["inet_csk_accept", "inet_accept"]),
        (Object::Datagram, &["udp_recvmsg", "udp_sendmsg"]),
        (Object::Stream, &["tcp_recvmsg", "tcp_sendmsg", "tcp_sendpage", "tcp_close", "inet_shutdown", "tcp_setsockopt"]),
        (Object::Epoll, &["do_epoll_wait", "do_epoll_ctl"]),
        (Object::Pipe, &["pipe_read", "pipe_write", "pipe_release"]),
        (Object::Event, &["eventfd_read", "eventfd_write", "timerfd_read_iter", "timerfd_read"]),
        (Object::Ring, &["io_submit_sqes", "io_issue_sqe"]),
        (
            Object::File,
            &[
                "generic_file_read_iter",
                "ext4_file_read_iter",
                "shmem_file_read_iter",
                "filemap_read",
                "generic_file_write_iter",
                "generic_perform_write",
                "do_sys_openat2",
                "vfs_statx",
                "vfs_getattr_nosec",
                "iterate_dir",
            ],
        ),
        (Object::Memory, &["ksys_mmap_pgoff", "vm_mmap_pgoff", "__vm_munmap", "do_mmap", "do_brk_flags"]),
        (Object::Process, &["do_futex", "kernel_clone"]),
    ];
    let hit = TELLTALES.iter().find(|(_, names)| visited(found, kernel, names));
    hit.map_or(Object::None, |(object, _)| *object)
}

/// The time between the opening of a descriptor and its closing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epoch {
    pub object: Object,
    /// True when the opening call is recorded (for a stream: it was accepted).
    pub opened: bool,
    /// True when its close is recorded.
    pub closed: bool,
}

/// Follows descriptors of all processes through a recording.
#[derive(Debug, Default)]
pub(super) struct DescriptorTable {
    pub epochs: Vec<Epoch>,
    open: BTreeMap<(u64, i32), usize>,
}

impl DescriptorTable {
    /// The epoch of a descriptor that is in use; begins one when its opening was before the recording.
    pub fn used(&mut self, process: u64, descriptor: i32) -> usize {
        let epochs = &mut self.epochs;
        *self.open.entry((process, descriptor)).or_insert_with(|| {
            epochs.push(Epoch { object: Object::None, opened: false, closed: false });
            epochs.len() - 1
        })
    }

    /// A descriptor was opened.
    pub fn opened(&mut self, process: u64, descriptor: i32, object: Object) -> usize {
        self.epochs.push(Epoch { object, opened: true, closed: false });
        let epoch = self.epochs.len() - 1;
        self.open.insert((process, descriptor), epoch);
        epoch
    }

    /// A descriptor was closed.
    pub fn closed(&mut self, process: u64, descriptor: i32) {
        if let Some(epoch) = self.open.remove(&(process, descriptor)) {
            self.epochs[epoch].closed = true;
        }
    }

    /// A call showed what a descriptor is; the first evidence counts, but a listener is never mistaken for a stream.
    pub fn seen_as(&mut self, epoch: usize, object: Object) {
        let known = &mut self.epochs[epoch].object;
        if *known == Object::None || (*known == Object::Stream && object == Object::Listener) {
            *known = object;
        }
    }
}
