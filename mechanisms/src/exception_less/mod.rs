//! Exception-less calls (FlexSC, libflexsc): the program writes calls into syscall pages and goes on; syscall threads execute them.
//!
//! Posting, scanning, page locks and completion checks are accesses to the pages' simulated lines, so they move between cores like
//! any other line. See docs/mechanisms/exception-less.md.

mod cores;
mod entries;
mod epoll;
mod non_blocking;
mod queues;
mod size;
mod threads;
mod user;
mod user_threads;

pub use entries::PAGE_ENTRIES;
pub use size::needs;

use crate::program::{HOOK_SERVED, finish};
use crate::settings::{ExceptionLessSettings, ExceptionLessVariant};
use cores::KernelCores;
use entries::Pages;
use epoll::EventLoop;
use non_blocking::Continuations;
use os_model::action::Slot;
use os_model::system::{Driver, Next, System};
use sim_core::block::BlockId;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, Mode, TaskId};
use sim_core::workload::Program;
use size::Size;
use std::collections::VecDeque;
use threads::SyscallThread;
use user::{Progress, UserState};
use user_threads::UserThreads;

const HOOK_POSTED: u32 = 10;
const HOOK_DONE: u32 = 11;
const HOOK_TAKEN: u32 = 12;
const HOOK_SWITCHED: u32 = 13;

/// The driver: one user thread that posts calls, with the kernel cores and syscall threads that execute them.
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
    /// Connections whose early call (read or accept) could not be posted yet, with the user thread that makes it.
    postponed: VecDeque<(ConnectionId, u32)>,
    progress: Vec<Progress>,
    first_run: bool,
    handler_of_wait: BlockId,
    event_loop: EventLoop,
    continuations: Continuations,
    user_threads: UserThreads,
}

/// The program's side of the mechanism's own work.
fn user_context() -> Context {
    Context::mechanism(Mode::User)
}

/// The kernel's side of the mechanism's own work.
fn kernel_context() -> Context {
    Context::mechanism(Mode::Kernel)
}

/// Makes the driver of the variant that the settings choose.
pub fn driver(system: &mut System, settings: &ExceptionLessSettings) -> Box<dyn Driver> {
    let (cores, connections) = (system.cores.len() as u32, system.connections.len() as u32);
    let size = Size::new(system.workload, settings, cores, connections);
    if settings.variant == ExceptionLessVariant::Threads {
        return Box::new(user_threads::FlexScThreads::new(system, settings, &size));
    }
    let kernel_cores = KernelCores::new(HOME, cores);
    kernel_cores.steer_interrupts(system);
    Box::new(ExceptionLess::new(system, settings, &size, 0, kernel_cores))
}

/// Core of the only user thread.
const HOME: CoreId = CoreId(0);

impl ExceptionLess {
    /// Registers one user thread, on the last of its kernel cores: maps its pages and makes its syscall threads.
    fn new(
        system: &mut System,
        settings: &ExceptionLessSettings,
        size: &Size,
        engine: u32,
        mut kernel_cores: KernelCores,
    ) -> ExceptionLess {
        let home = kernel_cores.list[kernel_cores.own()];
        let user = system.add_task(home, 0, 0);
        let first_thread_task = system.tasks.len() as u32;
        let threads = threads::make(system, &mut kernel_cores, size.syscall_threads);
        let base = system.bases.mechanism() + engine * (size.entry_lines + size.state_lines);
        let state_base = base + size.entry_lines;
        let driver = ExceptionLess {
            settings: settings.clone(),
            user,
            home,
            poller: engine as usize,
            user_state: UserState::Running,
            pages: Pages::new(size.pages, base, settings.variant == ExceptionLessVariant::Queues),
            kernel_cores,
            threads,
            first_thread_task,
            harvested: VecDeque::new(),
            resume: VecDeque::new(),
            postponed: VecDeque::new(),
            progress: Vec::new(),
            first_run: true,
            handler_of_wait: system.pick_kernel(|kernel| &kernel.null_call),
            event_loop: EventLoop::new(system.connections.len()),
            continuations: Continuations::new(system.connections.len(), size.syscall_threads as usize, state_base),
            user_threads: UserThreads::new(size.engines, state_base),
        };
        system.wake(user, 0, None);
        driver
    }

    fn is(&self, variant: ExceptionLessVariant) -> bool {
        self.settings.variant == variant
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
                    self.begin(system, slot, 0);
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
            HOOK_SWITCHED => system.tasks[self.user.index()].thread = value as u32,
            _ => {}
        }
        self.pages.report(system, core, self.home);
    }

    fn takes_connection(&mut self, system: &mut System, connection: ConnectionId) -> bool {
        if self.is(ExceptionLessVariant::NonBlocking) {
            self.connection_came(system, connection);
        }
        false
    }

    fn delivered(&mut self, system: &mut System, core: CoreId, slot: Slot) -> bool {
        if self.is(ExceptionLessVariant::NonBlocking) {
            self.data_came(system, core, slot);
        }
        false
    }
}
