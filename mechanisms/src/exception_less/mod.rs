//! Exception-less calls (FlexSC, libflexsc): the program writes calls into syscall pages and goes on; syscall threads execute them.
//!
//! Posting, scanning, page locks and completion checks are accesses to the pages' simulated lines, so they move between cores like
//! any other line. See docs/mechanisms/exception-less.md.

mod cancel;
mod cores;
mod entries;
mod epoll;
mod non_blocking;
mod queues;
mod size;
mod threads;
mod user;
mod user_threads;

pub use cores::POLLED_CYCLES;
pub use entries::PAGE_ENTRIES;
pub use size::needs;

use crate::program::{HOOK_SERVED, finish};
use crate::settings::{ExceptionLessSettings, ExceptionLessVariant};
use cancel::Timers;
use cores::KernelCores;
use entries::{Entry, Pages};
use epoll::EventLoop;
use non_blocking::Continuations;
use os_model::action::Slot;
use os_model::system::{Driver, Next, System};
use os_model::task::HandOver;
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, Cycles, Line, Mode, TaskId};
use sim_core::workload::{Program, Step};
use size::Size;
use std::collections::VecDeque;
use std::ops::Range;
use threads::SyscallThread;
use user::{Progress, UserState};
use user_threads::UserThreads;

const HOOK_POSTED: u32 = 10;
const HOOK_DONE: u32 = 11;
const HOOK_TAKEN: u32 = 12;
const HOOK_CANCEL: u32 = 13;
const HOOK_SIGNAL: u32 = 14;
const HOOK_SWITCHED: u32 = 15;

/// The driver: one user thread that posts calls, with the kernel cores and syscall threads that execute them.
#[derive(Debug)]
pub struct ExceptionLess {
    settings: ExceptionLessSettings,
    calls_without_callback: Vec<CallNumber>,
    synchronous_calls: Vec<CallNumber>,
    read_timeout_cycles: Cycles,
    make_room_cycles: Cycles,
    user: TaskId,
    /// Core of the user thread.
    home: CoreId,
    /// Whose accept queue and connections the user thread serves.
    poller: usize,
    user_state: UserState,
    /// The kernel has something for the user thread that waits.
    user_called: bool,
    /// Since when it waits.
    waits_since: Cycles,
    pages: Pages,
    kernel_cores: KernelCores,
    threads: Vec<SyscallThread>,
    first_thread_task: u32,
    timers: Timers,
    harvested: VecDeque<u32>,
    /// Reads of requests in progress that timed out: to be posted again.
    again: VecDeque<(Slot, u32)>,
    /// Requests that were throttled with no callback to come.
    resume: VecDeque<Slot>,
    /// Early calls (read or accept) that wait for an entry.
    postponed: VecDeque<Entry>,
    /// Accepts posted, modulo connections.
    accepts_posted: u32,
    progress: Vec<Progress>,
    first_run: bool,
    null_call: BlockId,
    result_base: Line,
    event_loop: EventLoop,
    continuations: Continuations,
    user_threads: UserThreads,
}

fn call_numbers(names: &[String]) -> Vec<CallNumber> {
    names.iter().filter_map(|name| CallNumber::from_name(name)).collect()
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
    let idle_cycles = system.microseconds(settings.kernel_core_idle_us);
    let executing = if settings.kernel_cores == 0 { cores } else { cores.min(settings.kernel_cores.saturating_add(1)) };
    let kernel_cores = KernelCores::new(HOME, executing, settings.kernel_cores_wait, idle_cycles);
    kernel_cores.steer_interrupts(system);
    Box::new(ExceptionLess::new(system, settings, &size, 0, kernel_cores))
}

/// Core of the only user thread.
const HOME: CoreId = CoreId(0);

impl ExceptionLess {
    /// One user thread, on the last of its kernel cores, with its pages and syscall threads; it registers when it begins to run.
    fn new(
        system: &mut System,
        settings: &ExceptionLessSettings,
        size: &Size,
        engine: u32,
        mut kernel_cores: KernelCores,
    ) -> ExceptionLess {
        let home = kernel_cores.list[kernel_cores.own()].id;
        let user = system.add_task(home, 0, 0);
        let first_thread_task = system.tasks.len() as u32;
        let threads = threads::make(system, &mut kernel_cores, size.syscall_threads);
        let base = system.bases.mechanism() + engine * size.lines();
        let state_base = base + size.entry_lines;
        system.hand_over = settings.hands_over.then_some(HandOver { instructions: settings.hand_over_instructions });
        let driver = ExceptionLess {
            settings: settings.clone(),
            calls_without_callback: call_numbers(&settings.no_callback),
            synchronous_calls: call_numbers(&settings.synchronous_calls),
            read_timeout_cycles: system.microseconds(settings.read_timeout_us),
            make_room_cycles: system.microseconds(settings.make_room_after_us),
            user,
            home,
            poller: engine as usize,
            user_state: UserState::Running,
            user_called: false,
            waits_since: 0,
            pages: Pages::new(size.entries, base, settings.variant == ExceptionLessVariant::Queues),
            kernel_cores,
            threads,
            first_thread_task,
            timers: Timers::default(),
            harvested: VecDeque::new(),
            again: VecDeque::new(),
            resume: VecDeque::new(),
            postponed: VecDeque::new(),
            accepts_posted: 0,
            progress: Vec::new(),
            first_run: true,
            null_call: system.pick_kernel(|kernel| &kernel.null_call),
            result_base: state_base + size.state_lines,
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

    /// Lines in which the port keeps a result that the program had on its stack: those of the stat family.
    fn result_lines(&self, entry: u32, step: &Step) -> Range<Line> {
        let lines = if step.call.name().contains("stat") { self.settings.stat_result_lines } else { 0 };
        let first = self.result_base + entry * self.settings.stat_result_lines;
        first..first + lines
    }
}

impl Driver for ExceptionLess {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        let next = if task == self.user { self.next_user(system) } else { self.next_thread(system, task) };
        let core = system.tasks[task.index()].core;
        self.pages.report(system, core, self.home);
        next
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
        self.place_woken(system, system.requests[slot.index()].connection);
        false
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
                self.start_timer(system, value as u32, at);
                self.notice_post(system, at);
            }
            HOOK_DONE => self.finish_call(system, value as usize, at),
            HOOK_CANCEL => self.cancelled(system, value, at),
            HOOK_SIGNAL => self.signal(system, value, at, core),
            HOOK_SWITCHED => system.tasks[self.user.index()].thread = value as u32,
            HOOK_TAKEN => {
                let waits = self.user_state == UserState::Waiting;
                self.wake_kernel_cores(system, waits, at, Some(core));
            }
            _ => {}
        }
        self.pages.report(system, core, self.home);
    }
}
