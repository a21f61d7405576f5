//! Settings of exception-less calls.

use serde::{Deserialize, Serialize};
use sim_core::calls::CallNumber;

/// Forms of exception-less calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExceptionLessVariant {
    /// Syscall pages scanned by syscall threads, used through an event library (libflexsc).
    #[default]
    Pages,
    /// Two message queues instead of pages: nothing is scanned.
    Queues,
    /// The event loop stays; each of its calls, readiness included, is posted.
    Epoll,
    /// A kernel that never blocks: one syscall thread a core, calls that wait are continuations.
    NonBlocking,
    /// FlexSC-Threads: a user-level scheduler a core switches between user threads that make blocking calls.
    Threads,
    /// io_uring: rings, one enter per batch.
    IoUring,
    /// io_uring with a polling thread on the program's core.
    IoUringPollSameCore,
    /// io_uring with a polling thread on another core.
    IoUringPollOtherCore,
}

/// How a core that has no posted call to execute waits for the next, until it has waited so long that it sleeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelCoreWait {
    /// A syscall thread looks at the pages again and again: it sees a post without an interrupt.
    #[default]
    Poll,
    /// A syscall thread waits for an inter-processor interrupt, which only the kernel can send: `flexsc_wait`, or another kernel core.
    Interrupt,
    /// It sleeps at once, and is woken like any idle core.
    Sleep,
}

/// Exception-less calls. Instruction counts are of straightforward code for the work described in the papers, counted by hand on its
/// x86-64 assembly (stores of number, six arguments and status; a compare and a branch per entry scanned; and so on): guesses within a
/// factor of two. Posting, dispatch, hand-over and interrupt delivery are fitted to published batch costs within that factor
/// (validation/data/calibration.json).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExceptionLessSettings {
    /// Which form of the mechanism.
    pub variant: ExceptionLessVariant,
    /// User instructions to write an entry.
    pub post_instructions: u32,
    /// User instructions per entry looked at when polling.
    pub scan_instructions: u32,
    /// User instructions from a completed entry to its callback.
    pub callback_instructions: u32,
    /// Kernel instructions from a submitted entry to its handler: status compared (3), number bounded and looked up (6), six arguments
    /// loaded, status busy, the call, cursor and loop (5).
    pub dispatch_instructions: u32,
    /// Kernel instructions from the handler's return to the entry's status: result and status stored, the map of calls in progress,
    /// loop.
    pub complete_instructions: u32,
    /// Kernel instructions of `flexsc_register` per syscall thread that it clones. Guess: `copy_process` without a new address space
    /// and `wake_up_new_task` are several thousand instructions.
    pub register_thread_instructions: u32,
    /// The user thread in `flexsc_wait` and the syscall threads that rest on the work queue switch to each other directly, and a syscall
    /// thread that polls stays on its core; false: the scheduler switches each time, by its recorded context switch.
    pub hands_over: bool,
    /// Kernel instructions of one such switch: six callee-saved registers pushed, the stack pointer stored and loaded, six popped, a
    /// return (15, as `__switch_to_asm` of Linux has without its mitigations), the per-core notes of the running task and of its stack
    /// top (3), both states and the work queue's list (6). Counted by hand, plausible from 15 to 60.
    pub hand_over_instructions: u32,
    /// Entries in the syscall pages; 0: as many as can be in use at the same time. With fewer the library delays calls while all are
    /// busy (ATC'11, section 7).
    pub entries: u32,
    /// Accepts posted at the same time (ATC'11, section 4: several accepts outstanding).
    pub accepts_outstanding: u32,
    /// Calls whose result the program ignores: no callback runs, the entry is freed when it is seen done (ATC'11 names close and
    /// setsockopt). A call that a later one depends on keeps its callback.
    pub no_callback: Vec<String>,
    /// Calls that the port left synchronous: the program makes them with a crossing where they stand. Receives and accepts cannot be.
    pub synchronous_calls: Vec<String>,
    /// A read that has waited so long is cancelled and, when that succeeds, posted again, microseconds; 0: never (ATC'11, section 4.2).
    pub read_timeout_us: f64,
    /// With a limit on entries: a read that has waited so long is cancelled when other calls are delayed for want of an entry, and waits
    /// its turn again. Without it dormant connections could hold all entries: a standstill. Microseconds, guess: some round trips.
    pub make_room_after_us: f64,
    /// User instructions per timer that is set and dropped again. Guess: a list at the tail of which it goes.
    pub timer_instructions: u32,
    /// User instructions to cancel a call: compare and swap of the status, bookkeeping. Guess.
    pub cancel_instructions: u32,
    /// Kernel instructions from a cancelled entry to the signalled syscall thread: look up the thread, queue the signal, wake the thread.
    /// Guess from the length of `send_sig` and `try_to_wake_up`.
    pub signal_instructions: u32,
    /// Extra lines touched when a result that stood on the stack (fstat) lives in its own memory.
    pub stat_result_lines: u32,
    /// Cores besides the program's own that execute posted calls, the first ones in order; 0: all. The others stay idle.
    pub kernel_cores: u32,
    /// How kernel cores without work, and the program's core while other cores execute its calls, wait.
    pub kernel_cores_wait: KernelCoreWait,
    /// From the sending of an inter-processor interrupt to its delivery at a core that waits for it, cycles (`kernel_cores_wait`
    /// interrupt). Guess, by the usual measurements of some hundred to a thousand cycles; the batch of one on another core fits it.
    pub interrupt_delivery_cycles: u32,
    /// Instructions to compare and move a queue's indices (`queues`). As many as liburing's submit and peek paths have around the entry
    /// itself, counted on their source: within a factor of two.
    pub queue_index_instructions: u32,
    /// Lines of a continuation (`non-blocking`): the call's arguments, its place in the wait queue, a timer. A guess by the size of
    /// Linux's `struct io_kiocb` and its poll data, which are such continuations: 224 + 64 bytes.
    pub continuation_lines: u32,
    /// Kernel instructions to save or to take up a continuation (`non-blocking`): a guess, stores and loads of those lines and the list
    /// operations around them.
    pub continuation_instructions: u32,
    /// User instructions to switch between user threads (`threads`): six callee-saved registers, stack pointer and control words out and
    /// in as in a minimal `swapcontext` without signal mask (about 25), and the ready list (about 25, a guess).
    pub switch_instructions: u32,
    /// A core that polls, or waits for an interrupt, and finds nothing for so long goes to sleep, microseconds. Guess: no paper gives one; many times the
    /// cost of waking it, so that it sleeps only when the load has changed.
    pub kernel_core_idle_us: f64,
    /// A connection's network interrupts go to the core where its read waits, as receive flow steering does (Linux 2.6.35; in hardware
    /// since); false: they stay spread over the kernel cores.
    pub flow_steering: bool,
    /// With at most so many submitted calls no sleeping core is worth waking: the program's own core executes them in `flexsc_wait`.
    /// Guess: so many short calls take about as long as the wake-up of an idle core.
    pub own_core_calls: u32,
}

impl Default for ExceptionLessSettings {
    fn default() -> Self {
        ExceptionLessSettings {
            variant: ExceptionLessVariant::default(),
            post_instructions: 16,
            scan_instructions: 5,
            callback_instructions: 60,
            dispatch_instructions: 10,
            complete_instructions: 10,
            register_thread_instructions: 6_000,
            hands_over: true,
            hand_over_instructions: 15,
            entries: 0,
            accepts_outstanding: 32,
            no_callback: ["close", "setsockopt", "shutdown"].map(str::to_owned).into(),
            synchronous_calls: Vec::new(),
            read_timeout_us: 0.0,
            make_room_after_us: 1_000.0,
            timer_instructions: 30,
            cancel_instructions: 20,
            signal_instructions: 400,
            stat_result_lines: 3,
            kernel_cores: 0,
            kernel_cores_wait: KernelCoreWait::Poll,
            interrupt_delivery_cycles: 362,
            queue_index_instructions: 10,
            continuation_lines: 5,
            continuation_instructions: 60,
            switch_instructions: 50,
            kernel_core_idle_us: 50.0,
            flow_steering: true,
            own_core_calls: 4,
        }
    }
}

/// Fewest entries that a limit may leave: an accept, a read, and room for the calls that serve what they bring.
pub const FEWEST_ENTRIES: u32 = 4;

/// Settings of exception-less calls that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExceptionLessError {
    /// A number out of range.
    #[error("mechanism.exception_less.{field}: {cause}")]
    Range {
        /// The field.
        field: &'static str,
        /// What is wrong and what is allowed.
        cause: String,
    },
    /// A name that is no system call.
    #[error("mechanism.exception_less.{field}: '{name}' is no system call of x86-64 Linux; `ringscope list syscalls` shows them")]
    Call {
        /// The field.
        field: &'static str,
        /// The name.
        name: String,
    },
}

impl ExceptionLessSettings {
    /// Checks ranges and names.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn validate(&self) -> Result<(), ExceptionLessError> {
        if self.entries != 0 && self.entries < FEWEST_ENTRIES {
            let cause = format!("must be 0 (as many as needed) or at least {FEWEST_ENTRIES}");
            return Err(ExceptionLessError::Range { field: "entries", cause });
        }
        let times = [
            ("read_timeout_us", self.read_timeout_us, true),
            ("make_room_after_us", self.make_room_after_us, false),
            ("kernel_core_idle_us", self.kernel_core_idle_us, true),
        ];
        for (field, value, may_be_zero) in times {
            if !value.is_finite() || value < 0.0 || (value == 0.0 && !may_be_zero) {
                let cause = if may_be_zero { "must not be negative" } else { "must be above 0" };
                return Err(ExceptionLessError::Range { field, cause: cause.into() });
            }
        }
        for (field, names) in [("no_callback", &self.no_callback), ("synchronous_calls", &self.synchronous_calls)] {
            if let Some(name) = names.iter().find(|name| CallNumber::from_name(name).is_none()) {
                return Err(ExceptionLessError::Call { field, name: name.clone() });
            }
        }
        Ok(())
    }
}
