//! How many pages, threads and lines each form of the mechanism has.

use super::entries::PAGE_ENTRIES;
use super::queues;
use crate::registry::{Needs, event_loops};
use crate::settings::{ExceptionLessSettings, ExceptionLessVariant};
use sim_core::workload::{Program, Workload};

/// A syscall thread takes about 10 KB (FlexSC, OSDI'10, section 4).
const SYSCALL_THREAD_BYTES: u64 = 10_000;
const PAGE_BYTES: u64 = 4096;
const LINE_BYTES: u64 = 64;
/// Stack pages that a user thread touches, where the program had no thread per connection: two pages, a guess.
const USER_STACK_BYTES: u64 = 2 * PAGE_BYTES;

/// One user thread that posts calls and what belongs to it. All forms have one, FlexSC-Threads one a core.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// User threads as the kernel sees them.
    pub engines: u32,
    /// Entries of each, in syscall pages.
    pub entries: u32,
    /// Syscall pages of each.
    pages: u32,
    /// Syscall threads of each.
    pub syscall_threads: u32,
    /// Lines of pages and locks, or of the queues, of each.
    pub entry_lines: u32,
    /// Lines of continuations or of user threads' control blocks, behind those, of each.
    pub state_lines: u32,
    /// Lines of results that stood on the stack, behind those, of each.
    pub result_lines: u32,
}

impl Size {
    /// For a workload on so many cores.
    pub fn new(workload: &Workload, settings: &ExceptionLessSettings, cores: u32, connections: u32) -> Size {
        let variant = settings.variant;
        let engines = engines(workload, variant, cores);
        let own = connections.div_ceil(engines);
        let pages = match variant {
            // a user thread has one call posted at a time
            ExceptionLessVariant::Threads => own.div_ceil(PAGE_ENTRIES).max(1),
            // only calls that can be executed are posted, and one readiness call: a page for each core to lock
            ExceptionLessVariant::Epoll => cores,
            _ => pages(connections, cores),
        };
        let entries = if settings.entries == 0 { pages * PAGE_ENTRIES } else { settings.entries };
        let pages = entries.div_ceil(PAGE_ENTRIES);
        let syscall_threads = match variant {
            ExceptionLessVariant::NonBlocking => cores,
            // one is in the readiness call, and one a core executes
            ExceptionLessVariant::Epoll => 2 * cores,
            ExceptionLessVariant::Threads => own + 1,
            // one per entry, and one a core that looks for work while all those sleep in calls
            _ => entries + cores,
        };
        let entry_lines =
            if variant == ExceptionLessVariant::Queues { queues::lines(entries) } else { pages * PAGE_ENTRIES + pages };
        let state_lines = match variant {
            ExceptionLessVariant::NonBlocking => entries * settings.continuation_lines,
            ExceptionLessVariant::Threads => own,
            _ => 0,
        };
        let result_lines = entries * settings.stat_result_lines;
        Size { engines, entries, pages, syscall_threads, entry_lines, state_lines, result_lines }
    }

    /// Lines of one user thread's memory.
    pub fn lines(&self) -> u32 {
        self.entry_lines + self.state_lines + self.result_lines
    }

    /// Memory of the mechanism in a real system.
    fn memory_bytes(&self, workload: &Workload, variant: ExceptionLessVariant, cores: u32, connections: u32) -> u64 {
        let entries = u64::from(self.entries);
        let threads = match variant {
            ExceptionLessVariant::NonBlocking => u64::from(cores),
            _ => entries,
        };
        let interface = match variant {
            ExceptionLessVariant::Queues => u64::from(self.entry_lines) * LINE_BYTES,
            _ => u64::from(self.pages) * PAGE_BYTES,
        };
        let stacks = match (variant, workload.program) {
            (ExceptionLessVariant::Threads, Program::EventLoop) => u64::from(connections) * USER_STACK_BYTES,
            _ => 0,
        };
        let each = interface + threads * SYSCALL_THREAD_BYTES + u64::from(self.state_lines) * LINE_BYTES;
        u64::from(self.engines) * each + stacks
    }
}

/// Syscall pages for so many connections on so many cores: at least one a kernel core, so that each can lock its own.
fn pages(connections: u32, cores: u32) -> u32 {
    (connections * 2 + 8).div_ceil(PAGE_ENTRIES).max(cores)
}

fn engines(workload: &Workload, variant: ExceptionLessVariant, cores: u32) -> u32 {
    match (variant, workload.program) {
        (ExceptionLessVariant::Threads, Program::EventLoop) => event_loops(workload, cores),
        (ExceptionLessVariant::Threads, Program::ThreadPerConnection | Program::ProcessPerConnection) => cores,
        _ => 1,
    }
}

/// What the mechanism needs for a workload.
pub fn needs(workload: &Workload, settings: &ExceptionLessSettings, cores: u32, connections: u32) -> Needs {
    let size = Size::new(workload, settings, cores, connections);
    Needs {
        tasks: (size.engines * (1 + size.syscall_threads)).max(connections),
        memory_lines: size.engines * size.lines(),
        pollers: size.engines,
        memory_bytes: size.memory_bytes(workload, settings.variant, cores, connections),
        ..Needs::default()
    }
}
