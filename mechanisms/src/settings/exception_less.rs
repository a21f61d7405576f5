//! Settings of exception-less calls.

use serde::{Deserialize, Serialize};

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

/// Exception-less calls. Instruction counts are of straightforward code for the work described in the papers, counted by hand on its
/// x86-64 assembly (stores of number, six arguments and status; a compare and a branch per entry scanned; and so on): guesses within a
/// factor of two that calibration on the published batch costs can replace.
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
    /// Kernel instructions from a submitted entry to its handler (lookup of the call, arguments into registers).
    pub dispatch_instructions: u32,
    /// Kernel instructions from the handler's return to the entry's status.
    pub complete_instructions: u32,
    /// Accepts posted at the same time (ATC'11, section 4: several accepts outstanding).
    pub accepts_outstanding: u32,
    /// Extra lines touched when a result that stood on the stack (fstat) lives in its own memory.
    pub stat_result_lines: u32,
    /// Kernel cores notice posts by polling the pages (true), or are woken only by `flexsc_wait` (false).
    pub kernel_cores_poll: bool,
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
}

impl Default for ExceptionLessSettings {
    fn default() -> Self {
        ExceptionLessSettings {
            variant: ExceptionLessVariant::default(),
            post_instructions: 24,
            scan_instructions: 5,
            callback_instructions: 60,
            dispatch_instructions: 40,
            complete_instructions: 15,
            accepts_outstanding: 32,
            stat_result_lines: 3,
            kernel_cores_poll: true,
            queue_index_instructions: 10,
            continuation_lines: 5,
            continuation_instructions: 60,
            switch_instructions: 50,
        }
    }
}
