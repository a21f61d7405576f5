//! FlexSC-Threads (FlexSC, OSDI'10, section 4): many user threads on one kernel-visible thread a core. A user thread that makes a call
//! posts it, and the scheduler of the library switches to another user thread that is ready, without entering the kernel. The program
//! is not changed: each thread makes its calls in program order and waits for each. Each kernel-visible thread has its own syscall
//! pages; the syscall threads of a core execute them while it waits.
//!
//! Programs without a thread per connection are run as if they had one: each connection is a user thread that blocks in its receive,
//! so that the event loop's readiness and interest calls are not there.

use super::cores::KernelCores;
use super::entries::Entry;
use super::size::Size;
use super::threads::Kind;
use super::{ExceptionLess, HOOK_SWITCHED, user_context};
use crate::settings::{ExceptionLessSettings, ExceptionLessVariant};
use os_model::action::{Action, Slot};
use os_model::system::{Driver, Next, System};
use sim_core::block::OpKind;
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, Line, TaskId};

/// The user-level scheduler of one kernel-visible thread.
#[derive(Debug)]
pub(super) struct UserThreads {
    /// The user thread that runs.
    current: u32,
    engines: u32,
    /// Control blocks, a line each.
    base: Line,
}

impl UserThreads {
    /// No thread has run; control blocks begin at `base`.
    pub fn new(engines: u32, base: Line) -> UserThreads {
        UserThreads { current: 0, engines, base }
    }

    /// Threads are dealt round the kernel-visible threads.
    fn control_block(&self, thread: u32) -> Line {
        self.base + thread / self.engines
    }
}

impl ExceptionLess {
    /// The user threads of this kernel-visible thread make their first call.
    pub(super) fn start_user_threads(&mut self, system: &mut System) {
        let own = (0..system.connections.len()).filter(|&index| system.connections[index].poller == self.poller);
        let own: Vec<u32> = own.map(|index| index as u32).collect();
        for thread in own {
            self.switch_user_thread(system, thread);
            if system.accepts() {
                self.post_early(system, Entry::accepting(ConnectionId(thread), thread));
            } else {
                self.post_read(system, ConnectionId(thread), thread);
            }
        }
    }

    /// Saves the registers of the thread that ran, takes those of the next: both stacks and control blocks are touched.
    pub(super) fn switch_user_thread(&mut self, system: &mut System, next: u32) {
        let last = std::mem::replace(&mut self.user_threads.current, next);
        if last == next {
            return;
        }
        let context = user_context();
        system.push(self.user, Action::Instructions(context, self.settings.switch_instructions));
        for (thread, kind) in [(last, OpKind::Store), (next, OpKind::Load)] {
            system.push(self.user, Action::Touch(context, system.bases.user_stack(thread), kind));
            system.push(self.user, Action::Touch(context, self.user_threads.control_block(thread), kind));
        }
        system.push(self.user, Action::Hook(HOOK_SWITCHED, u64::from(next)));
        system.stats.occurred("user thread switches", 1);
    }

    /// The user thread that served a request receives or accepts the next.
    pub(super) fn next_request(&mut self, system: &mut System, slot: Slot, connection: ConnectionId) {
        let thread = self.progress[slot.index()].thread;
        if system.goes_on_after(slot) {
            self.post_read(system, connection, thread);
        } else {
            self.post_early(system, Entry::accepting(ConnectionId(thread), thread));
        }
    }

    /// Kernel side: true when a call that finds nothing returns EAGAIN, as on the recorded program's descriptors.
    pub(super) fn returns_again(&self, system: &System, kind: Kind) -> bool {
        self.is(ExceptionLessVariant::Threads) && kind == Kind::Receive && !system.workload.blocking.again.is_empty()
    }

    /// Kernel side: executes a receive that finds nothing.
    pub(super) fn return_again(&mut self, system: &mut System, index: usize, entry: u32) {
        let workload = system.workload;
        let task = self.threads[index].task;
        let call = system.request_step(Slot::NONE, 0).map_or(CallNumber::READ, |step| step.call);
        let again = system.pick(&workload.blocking.again);
        system.push(task, Action::Count(call, Slot::NONE));
        self.push_handler(system, task, again, Context::call(call), Slot::NONE);
        self.pages.entry_mut(entry).again = true;
        self.end_call(system, index, entry);
    }

    /// User side: after EAGAIN the program makes a readiness call for its connection.
    pub(super) fn wait_for_data(&mut self, system: &mut System, posted: &Entry) {
        let workload = system.workload;
        let user = system.pick(&workload.blocking.again_user);
        system.push_block(self.user, user, Context::USER, Slot::NONE);
        self.post(system, Entry { readiness: true, again: false, ..*posted }.posted_anew());
    }

    /// Kernel side: true when the readiness call of the event loop, or of a user thread, can return. A user thread's has slept then, as
    /// in the recording.
    pub(super) fn readiness_ready(&self, system: &System, index: usize, entry: u32) -> bool {
        if self.is(ExceptionLessVariant::Epoll) {
            return !system.pollers[self.poller].ready.is_empty();
        }
        self.threads[index].blocked && self.data_ready(system, entry)
    }

    /// Kernel side: executes a readiness call.
    pub(super) fn execute_readiness(&mut self, system: &mut System, index: usize, slept: bool) {
        if self.is(ExceptionLessVariant::Epoll) {
            return self.execute_loop_readiness(system, index, slept);
        }
        let workload = system.workload;
        let task = self.threads[index].task;
        let wake = system.pick(&workload.blocking.wake);
        system.push(task, Action::Count(CallNumber::POLL, Slot::NONE));
        self.push_handler(system, task, wake, Context::call(CallNumber::POLL), Slot::NONE);
    }

    /// User side: a readiness call has completed: the event loop has its events, a user thread receives again.
    pub(super) fn readiness_returned(&mut self, system: &mut System, posted: &Entry) {
        if self.is(ExceptionLessVariant::Epoll) {
            return self.loop_readiness_returned();
        }
        self.post(system, Entry { readiness: false, ..*posted }.posted_anew());
    }
}

/// One scheduler a core.
#[derive(Debug)]
pub(super) struct FlexScThreads {
    engines: Vec<ExceptionLess>,
}

impl FlexScThreads {
    /// Registers a kernel-visible thread on each core.
    pub fn new(system: &mut System, settings: &ExceptionLessSettings, size: &Size) -> FlexScThreads {
        let home = |engine: u32| KernelCores::new(CoreId(engine as u16), 0, settings.kernel_cores_wait, 0);
        let engines = (0..size.engines).map(|engine| ExceptionLess::new(system, settings, size, engine, home(engine)));
        FlexScThreads { engines: engines.collect() }
    }
}

impl Driver for FlexScThreads {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        let core = system.tasks[task.index()].core;
        self.engines[core.index()].next(system, task)
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        self.engines[core.index()].hook(system, core, kind, value);
    }
}
