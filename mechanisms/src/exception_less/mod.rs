//! Exception-less calls (FlexSC, libflexsc): the program writes calls into syscall pages and goes on; syscall threads execute them.
//!
//! Posting, scanning, page locks and completion checks are accesses to the pages' simulated lines, so they move between cores like
//! any other line. See docs/mechanisms/exception-less.md.

mod cores;
mod entries;
mod threads;
mod user;

pub use entries::PAGE_ENTRIES;

use crate::program::{HOOK_SERVED, finish};
use crate::settings::ExceptionLessSettings;
use cores::KernelCores;
use entries::Pages;
use os_model::action::Slot;
use os_model::system::{Driver, Next, System};
use sim_core::block::BlockId;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, Mode, TaskId};
use sim_core::workload::Program;
use std::collections::VecDeque;
use threads::SyscallThread;
use user::{Progress, UserState};

const HOOK_POSTED: u32 = 10;
const HOOK_DONE: u32 = 11;
const HOOK_TAKEN: u32 = 12;

/// The driver.
#[derive(Debug)]
pub struct ExceptionLess {
    settings: ExceptionLessSettings,
    user: TaskId,
    /// Core of the user thread.
    home: CoreId,
    /// Whose accept queue and connections the user thread serves.
    poller: usize,
    user_state: UserState,
    pages: Pages,
    kernel_cores: KernelCores,
    threads: Vec<SyscallThread>,
    first_thread_task: u32,
    harvested: VecDeque<u32>,
    /// Requests that were throttled with nothing outstanding.
    resume: VecDeque<Slot>,
    /// Connections whose early call (read or accept) could not be posted yet.
    postponed: VecDeque<ConnectionId>,
    progress: Vec<Progress>,
    first_run: bool,
    handler_of_wait: BlockId,
}

/// Syscall pages for so many connections on so many cores: at least one a kernel core, so that each can lock its own.
pub fn pages(connections: u32, cores: u32) -> u32 {
    (connections * 2 + 8).div_ceil(PAGE_ENTRIES).max(cores)
}

/// Lines of the mechanism's memory: pages, then one lock line a page.
pub fn memory_lines(connections: u32, cores: u32) -> u32 {
    let pages = pages(connections, cores);
    pages * PAGE_ENTRIES + pages
}

/// Memory of the pages and of one syscall thread per entry, about 10 KB each (FlexSC, OSDI'10, section 4).
pub fn memory_bytes(connections: u32, cores: u32) -> u64 {
    u64::from(pages(connections, cores)) * (4096 + u64::from(PAGE_ENTRIES) * 10_000)
}

/// Tasks at most: the user thread, and syscall threads. One thread per entry exists; the model makes one for each that can be asleep
/// inside a call at the same time (a connection has one receive outstanding) and one active per core.
pub fn tasks(connections: u32, cores: u32) -> u32 {
    1 + connections * 2 + 8 + cores
}

/// The program's side of the mechanism's own work.
fn user_context() -> Context {
    Context::mechanism(Mode::User)
}

/// The kernel's side of the mechanism's own work.
fn kernel_context() -> Context {
    Context::mechanism(Mode::Kernel)
}

impl ExceptionLess {
    /// Registers: maps the pages and makes the syscall threads.
    pub fn new(system: &mut System, settings: &ExceptionLessSettings) -> ExceptionLess {
        let cores = system.cores.len() as u32;
        let connections = system.connections.len() as u32;
        let home = CoreId(0);
        let user = system.add_task(home, 0, 0);
        let mut kernel_cores = KernelCores::new(home, cores);
        kernel_cores.steer_interrupts(system);
        let first_thread_task = system.tasks.len() as u32;
        let threads = threads::make(system, &mut kernel_cores, tasks(connections, cores) - 1);
        let driver = ExceptionLess {
            settings: settings.clone(),
            user,
            home,
            poller: 0,
            user_state: UserState::Running,
            pages: Pages::new(pages(connections, cores), system.bases.mechanism()),
            kernel_cores,
            threads,
            first_thread_task,
            harvested: VecDeque::new(),
            resume: VecDeque::new(),
            postponed: VecDeque::new(),
            progress: Vec::new(),
            first_run: true,
            handler_of_wait: system.pick_kernel(|kernel| &kernel.null_call),
        };
        system.wake(user, 0, None);
        driver
    }
}

impl Driver for ExceptionLess {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        if task == self.user { self.next_user(system) } else { self.next_thread(system, task) }
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        let at = system.cpu.clock(core);
        match kind {
            HOOK_SERVED => {
                finish(system, core, Slot(value as u32));
                if system.workload.program == Program::Sequential {
                    let slot = system.begin_run();
                    self.begin(system, slot);
                }
            }
            HOOK_POSTED => {
                self.pages.submit(value as u32);
                if self.settings.kernel_cores_poll {
                    self.wake_kernel_cores(system, false, at, Some(core));
                }
            }
            HOOK_DONE => {
                let index = value as usize;
                if let Some(entry) = self.threads[index].entry.take() {
                    self.pages.complete(entry);
                    self.maybe_wake_user(system, self.threads[index].core, at);
                }
            }
            HOOK_TAKEN => {
                let waits = self.user_state == UserState::Waiting;
                self.wake_kernel_cores(system, waits, at, Some(core));
            }
            _ => {}
        }
    }
}
