//! Syscall threads: they take submitted entries, execute the calls, and hand over to each other when a call must wait.

use super::cores::KernelCores;
use super::entries::Taken;
use super::{ExceptionLess, HOOK_DONE, HOOK_SIGNAL, HOOK_TAKEN, kernel_context};
use crate::settings::ExceptionLessVariant;
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::system::{Next, System};
use sim_core::block::{BlockId, Cut, OpKind};
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{Cycles, TaskId};
use sim_core::workload::Effect;

/// What a posted call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accept,
    Receive,
    /// The event loop's readiness call, or that of a user thread whose receive found nothing.
    Readiness,
    Other,
}

#[derive(Debug)]
pub(super) struct SyscallThread {
    pub task: TaskId,
    /// Position of its core in the list of kernel cores.
    pub core: usize,
    /// The entry it executes.
    pub entry: Option<u32>,
    /// Its call had to sleep.
    pub blocked: bool,
    /// It is asleep inside its call and not counted as active.
    pub parked: bool,
    /// Somebody wants its call ended.
    pub signalled: bool,
}

/// Makes syscall threads, spread over the kernel cores, all asleep on the work queue.
pub(super) fn make(system: &mut System, kernel_cores: &mut KernelCores, count: u32) -> Vec<SyscallThread> {
    let mut threads = Vec::new();
    for index in 0..count {
        let core = index as usize % kernel_cores.list.len();
        let task = system.add_task(kernel_cores.list[core].id, 0, 0);
        // the user thread goes first: calls execute when it waits, or on other cores
        system.tasks[task.index()].priority = 1;
        // it sleeps on the work queue, in the kernel
        system.tasks[task.index()].rests = true;
        kernel_cores.list[core].idle_threads.push(threads.len());
        threads.push(SyscallThread { task, core, entry: None, blocked: false, parked: false, signalled: false });
    }
    kernel_cores.list.iter_mut().for_each(|core| core.idle_threads.reverse());
    threads
}

impl ExceptionLess {
    /// A syscall thread: finish the call in hand, or take the next submitted entry.
    pub(super) fn next_thread(&mut self, system: &mut System, task: TaskId) -> Next {
        let index = (task.0 - self.first_thread_task) as usize;
        let position = self.threads[index].core;
        self.kernel_cores.list[position].coming = false;
        if self.is(ExceptionLessVariant::NonBlocking) {
            self.leave_work_queue(system, index);
        }
        if std::mem::take(&mut self.threads[index].parked) {
            let at = system.cpu.clock(self.kernel_cores.list[position].id);
            self.activate(system, position, at);
        }
        if let Some(entry) = self.threads[index].entry {
            return self.resume_call(system, index, entry);
        }
        if let Some(entry) = self.take_continuation(system, index) {
            self.begin_call(index, entry);
            return Next::Continue;
        }
        if !self.goes_on(position) {
            return self.rest(system, index);
        }
        match self.pages.take(system, task, &self.settings, position) {
            Some(taken) => self.begin_taken(system, index, taken),
            None => self.rest(system, index),
        }
    }

    fn begin_taken(&mut self, system: &mut System, index: usize, taken: Taken) -> Next {
        let task = self.threads[index].task;
        match taken {
            Taken::Call(entry) => {
                self.begin_call(index, entry);
                system.push(task, Action::Hook(HOOK_TAKEN, index as u64));
            }
            Taken::Withdrawn(entry) => {
                self.begin_call(index, entry);
                self.interrupt(system, index, entry);
            }
            Taken::Cancelled(entry) => {
                system.push(task, Action::Instructions(kernel_context(), self.settings.signal_instructions));
                if !self.is(ExceptionLessVariant::NonBlocking) {
                    system.push(task, Action::Hook(HOOK_SIGNAL, self.name(entry)));
                } else if self.withdraw_continuation(entry) {
                    self.begin_call(index, entry);
                    self.interrupt(system, index, entry);
                }
            }
        }
        Next::Continue
    }

    fn begin_call(&mut self, index: usize, entry: u32) {
        self.threads[index].entry = Some(entry);
        self.pages.entry_mut(entry).executor = Some(index);
    }

    /// Executes the call of a busy entry, or goes on after it slept.
    fn resume_call(&mut self, system: &mut System, index: usize, entry: u32) -> Next {
        let kind = self.kind(system, entry);
        let ready = match kind {
            Kind::Other => true,
            Kind::Receive => self.data_ready(system, entry),
            Kind::Accept => !system.pollers[self.poller].accept_queue.is_empty(),
            Kind::Readiness => self.readiness_ready(system, index, entry),
        };
        if ready {
            self.execute(system, index, entry, kind);
            return Next::Continue;
        }
        if self.threads[index].signalled {
            self.leave_interrupted(system, index, kind);
            self.interrupt(system, index, entry);
            return Next::Continue;
        }
        if self.returns_again(system, kind) {
            self.return_again(system, index, entry);
            return Next::Continue;
        }
        self.block(system, index, entry, kind)
    }

    /// The kernel's work of a call that a signal ended.
    fn leave_interrupted(&mut self, system: &mut System, index: usize, kind: Kind) {
        let (task, call) =
            (self.threads[index].task, if kind == Kind::Readiness { CallNumber::POLL } else { receive_call(system) });
        system.push(task, Action::Count(call, Slot::NONE));
        if std::mem::take(&mut self.threads[index].blocked) {
            // the recorded rest of a blocking call stands for its way out with EINTR, though it copies data, which this one does not
            let wake = system.pick(&system.workload.blocking.wake);
            self.push_handler(system, task, wake, Context::call(call), Slot::NONE);
        }
    }

    /// The call ends with EINTR.
    fn interrupt(&mut self, system: &mut System, index: usize, entry: u32) {
        self.pages.entry_mut(entry).interrupted = true;
        self.end_call(system, index, entry);
    }

    /// The result of a thread's call is written.
    pub(super) fn finish_call(&mut self, system: &mut System, index: usize, at: Cycles) {
        let Some(entry) = self.threads[index].entry.take() else { return };
        self.threads[index].signalled = false;
        let posted = self.pages.entry(entry);
        self.pages.complete(entry);
        let position = self.threads[index].core;
        self.count_executed(system, position);
        if posted.interrupted {
            system.stats.occurred("cancelled calls", 1);
        } else if posted.cancelling {
            system.stats.occurred("cancellations that came too late", 1);
        }
        self.maybe_wake_user(system, position, at);
    }

    pub(super) fn kind(&self, system: &System, entry: u32) -> Kind {
        let posted = self.pages.entry(entry);
        if posted.readiness {
            return Kind::Readiness;
        }
        if posted.slot == Slot::NONE {
            return if posted.accepts { Kind::Accept } else { Kind::Receive };
        }
        match system.request_step(posted.slot, posted.step).map(|step| step.effect) {
            Some(Effect::Receive) => Kind::Receive,
            Some(Effect::Accept) => Kind::Accept,
            _ => Kind::Other,
        }
    }

    pub(super) fn data_ready(&self, system: &System, entry: u32) -> bool {
        let posted = self.pages.entry(entry);
        let waiting = system.waiting_request(posted.connection);
        if posted.slot == Slot::NONE { waiting.is_some() } else { waiting == Some(posted.slot) }
    }

    fn execute(&mut self, system: &mut System, index: usize, entry: u32, kind: Kind) {
        let task = self.threads[index].task;
        let posted = self.pages.entry(entry);
        let slot = match kind {
            Kind::Receive => system.take_request(posted.connection).unwrap_or(posted.slot),
            Kind::Accept => system.accept(self.poller).unwrap_or(posted.slot),
            Kind::Other | Kind::Readiness => posted.slot,
        };
        self.pages.entry_mut(entry).slot = slot;
        let slept = std::mem::take(&mut self.threads[index].blocked);
        if kind == Kind::Readiness {
            self.execute_readiness(system, index, slept);
        } else if let Some(step) = system.request_step(slot, posted.step) {
            for line in self.result_lines(entry, step) {
                system.push(task, Action::Touch(kernel_context(), line, OpKind::Store));
            }
            self.pages.entry_mut(entry).connection = system.requests[slot.index()].connection;
            let mut actions = Vec::new();
            system.call_actions(step, slot, Part::Handler, &mut actions);
            let wake = if slept { system.pick(&system.workload.blocking.wake) } else { BlockId::EMPTY };
            if wake != BlockId::EMPTY {
                // after a sleep only the recorded rest of the blocking call runs, not the call from its beginning
                let count = actions.iter().copied().filter(|action| matches!(action, Action::Count(..) | Action::Effect(_)));
                let count: Vec<Action> = count.collect();
                system.tasks[task.index()].actions.extend(count);
                self.push_handler(system, task, wake, Context::call(step.call), slot);
            } else {
                system.tasks[task.index()].actions.extend(actions);
            }
        }
        self.end_call(system, index, entry);
    }

    /// The result goes into the entry.
    pub(super) fn end_call(&mut self, system: &mut System, index: usize, entry: u32) {
        let task = self.threads[index].task;
        self.pages.write_result(system, task, &self.settings, entry);
        system.push(task, Action::Hook(HOOK_DONE, index as u64));
    }

    /// A recorded piece of a blocking call without the kernel's entry and exit code.
    pub(super) fn push_handler(&self, system: &mut System, task: TaskId, block: BlockId, context: Context, slot: Slot) {
        let info = system.workload.blocks.info(block);
        let range = info.span(Cut::Handler).unwrap_or(0..(info.end - info.start) as usize);
        if !range.is_empty() {
            let (start, end) = (range.start as u32, range.end as u32);
            system.push(task, Action::Block { block, start, end, context, slot });
        }
    }

    /// The call must wait: before the thread sleeps, another one goes on with the next submitted entry.
    fn block(&mut self, system: &mut System, index: usize, entry: u32, kind: Kind) -> Next {
        let task = self.threads[index].task;
        let position = self.threads[index].core;
        let connection = self.pages.entry(entry).connection;
        if !self.threads[index].blocked {
            self.threads[index].blocked = true;
            let (sleep, call) = self.sleep_piece(system, kind);
            if sleep != BlockId::EMPTY {
                self.push_handler(system, task, sleep, Context::call(call), Slot::NONE);
                return Next::Continue;
            }
        }
        if self.is(ExceptionLessVariant::NonBlocking) {
            return self.park(system, index, entry, kind);
        }
        match kind {
            Kind::Accept => system.wait_on(self.poller, task),
            Kind::Readiness if self.is(ExceptionLessVariant::Epoll) => system.wait_on(self.poller, task),
            _ => {
                system.connections[connection.index()].blocked = Some(task);
                self.steer(system, connection, position);
            }
        }
        self.threads[index].parked = true;
        let core = self.kernel_cores.list[position].id;
        let at = system.cpu.clock(core);
        let hand_over = self.goes_on(position) && self.pages.waits_for(position);
        if hand_over {
            self.start_thread(system, position, at, Some(core));
        }
        self.leave(system, position, at);
        Next::Sleep
    }

    /// The recorded way of a call from its function to the scheduler.
    fn sleep_piece(&self, system: &mut System, kind: Kind) -> (BlockId, CallNumber) {
        let workload = system.workload;
        match (kind, &workload.wait) {
            (Kind::Readiness, Some(wait)) if self.is(ExceptionLessVariant::Epoll) => (system.pick(&wait.sleep), wait.call),
            (Kind::Readiness, _) => (system.pick(&workload.blocking.sleep), CallNumber::POLL),
            _ => (system.pick(&workload.blocking.sleep), CallNumber::READ),
        }
    }

    /// Nothing submitted: back to the work queue.
    fn rest(&mut self, system: &mut System, index: usize) -> Next {
        let position = self.threads[index].core;
        self.kernel_cores.list[position].idle_threads.push(index);
        let at = system.cpu.clock(self.kernel_cores.list[position].id);
        self.leave(system, position, at);
        Next::Rest
    }

    /// A thread of a core sleeps; the last one gives up the core's page.
    fn leave(&mut self, system: &mut System, position: usize, at: Cycles) {
        self.deactivate(system, position, at);
        if self.kernel_cores.list[position].active == 0 {
            self.pages.release(position);
            self.spin(system, position);
        }
        self.maybe_wake_user(system, position, at);
    }
}

/// The call with which the program receives its requests.
fn receive_call(system: &System) -> CallNumber {
    let steps = system.workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
    steps.filter(|step| step.effect == Effect::Receive).map(|step| step.call).next().unwrap_or(CallNumber::READ)
}
