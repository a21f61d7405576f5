//! The program's side: the event library runs callbacks, posts what may follow, looks through the pages, and waits.

use super::entries::{Entry, PAGE_ENTRIES};
use super::{ExceptionLess, HOOK_POSTED, kernel_context, user_context};
use crate::program::HOOK_SERVED;
use crate::settings::ExceptionLessVariant;
use cpu_model::CrossingKind;
use os_model::action::{Action, Slot};
use os_model::system::{Next, System};
use sim_core::block::OpKind;
use sim_core::context::Context;
use sim_core::ids::ConnectionId;
use sim_core::workload::{Effect, Object, Program, Step};

/// What the user thread does.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UserState {
    Running,
    /// Went through the pages, found nothing: entering `flexsc_wait`.
    WaitEntered,
    /// Sleeps in `flexsc_wait`.
    Waiting,
}

/// Progress of one request at the server.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    /// Next step whose user work has not run.
    pub next: usize,
    /// Steps posted and not completed.
    outstanding: usize,
    /// Completed steps, a bit each.
    completed: Vec<u64>,
    /// The user thread that serves the request (FlexSC-Threads).
    pub thread: u32,
    /// The event loop has been told that the request's next receive finds its data.
    pub event: bool,
}

impl Progress {
    fn restart(&mut self, steps: usize, next: usize) {
        self.next = next;
        self.outstanding = 0;
        self.completed.clear();
        self.completed.resize(steps.div_ceil(64), 0);
    }

    fn complete(&mut self, step: usize) {
        self.completed[step / 64] |= 1 << (step % 64);
    }

    /// A call can be posted when all it depends on has completed.
    fn allows(&self, step: &Step) -> bool {
        step.depends.iter().all(|&before| self.completed[usize::from(before) / 64] >> (before % 64) & 1 == 1)
    }
}

impl ExceptionLess {
    /// The user thread: callbacks, then the pages, then `flexsc_wait`.
    pub(super) fn next_user(&mut self, system: &mut System) -> Next {
        if self.first_run {
            self.first_run = false;
            self.post_initial(system);
            return Next::Continue;
        }
        match self.user_state {
            UserState::WaitEntered => return self.wait(system),
            UserState::Waiting => self.leave_wait(system),
            UserState::Running => {}
        }
        if self.pages.has_free()
            && let Some((connection, thread)) = self.postponed.pop_front()
        {
            self.post(system, Entry::posting(connection, Slot::NONE, 0, thread));
            return Next::Continue;
        }
        if self.pages.has_free()
            && let Some(slot) = self.resume.pop_front()
        {
            self.advance(system, slot);
            return Next::Continue;
        }
        if self.pages.has_free() && self.next_event(system) {
            return Next::Continue;
        }
        if let Some(entry) = self.harvested.pop_front() {
            self.callback(system, entry);
            return Next::Continue;
        }
        if self.pages.has_free() && self.post_event_loop_readiness(system) {
            return Next::Continue;
        }
        if self.pages.poll(system, self.user, &self.settings, &mut self.harvested) {
            return Next::Continue;
        }
        system.push(self.user, Action::Cross(CrossingKind::SystemCallEntry));
        // flexsc_wait is a real call: the kernel's entry and exit code is that of the recorded null call
        system.push_block(self.user, self.handler_of_wait, kernel_context(), Slot::NONE);
        self.user_state = UserState::WaitEntered;
        Next::Continue
    }

    /// At the start every connection has a read posted, or the listening socket an accept.
    fn post_initial(&mut self, system: &mut System) {
        if system.workload.program == Program::Sequential {
            let slot = system.begin_run();
            self.begin(system, slot, 0);
            return;
        }
        match self.settings.variant {
            // the first readiness call is posted when there is nothing else to do
            ExceptionLessVariant::Epoll => return,
            ExceptionLessVariant::Threads => return self.start_user_threads(system),
            _ => {}
        }
        if system.workload.connection_per_request {
            for _ in 0..self.settings.accepts_outstanding.clamp(1, system.connections.len() as u32) {
                self.post_accept(system);
            }
            return;
        }
        for index in 0..system.connections.len() as u32 {
            self.post_receive(system, ConnectionId(index));
        }
    }

    pub(super) fn post_accept(&mut self, system: &mut System) {
        self.post_early(system, ConnectionId(0), 0);
    }

    fn post_receive(&mut self, system: &mut System, connection: ConnectionId) {
        self.post_early(system, connection, connection.0);
    }

    /// Posts a call whose request is not known yet; throttled when all entries are in use.
    pub(super) fn post_early(&mut self, system: &mut System, connection: ConnectionId, thread: u32) {
        if !self.pages.has_free() {
            self.postponed.push_back((connection, thread));
        } else {
            self.post(system, Entry::posting(connection, Slot::NONE, 0, thread));
        }
    }

    /// Writes one entry; the kernel sees it at the hook.
    pub(super) fn post(&mut self, system: &mut System, call: Entry) {
        let entry = self.pages.post(system, self.user, &self.settings, call);
        system.push(self.user, Action::Hook(HOOK_POSTED, u64::from(entry)));
    }

    /// Runs the callback of a completed call and posts what may follow.
    fn callback(&mut self, system: &mut System, index: u32) {
        let posted = self.pages.entry(index);
        self.pages.retire(system, self.user, index);
        if self.is(ExceptionLessVariant::Threads) {
            self.switch_user_thread(system, posted.thread);
        } else {
            system.push(self.user, Action::Instructions(user_context(), self.settings.callback_instructions));
        }
        if posted.readiness {
            return self.readiness_returned(system, &posted);
        }
        if posted.again {
            return self.wait_for_data(system, &posted);
        }
        if posted.slot == Slot::NONE {
            return;
        }
        let steps = system.steps(posted.slot);
        self.ensure(posted.slot);
        if posted.early {
            // its own user work runs now that its request is known
            let progress = &mut self.progress[posted.slot.index()];
            progress.restart(steps.len(), 1);
            progress.thread = posted.thread;
            if let Some(first) = steps.first() {
                system.push_block(self.user, first.user, Context::USER, posted.slot);
            }
        } else {
            self.progress[posted.slot.index()].outstanding -= 1;
        }
        self.progress[posted.slot.index()].complete(posted.step as usize);
        let effect = steps.get(posted.step as usize).map(|step| step.effect);
        match self.settings.variant {
            ExceptionLessVariant::Epoll => self.event_handled(system, &posted, effect),
            // the user thread that accepted serves the connection first
            ExceptionLessVariant::Threads => {}
            _ if effect == Some(Effect::Accept) => self.post_accept(system),
            _ => {}
        }
        self.advance(system, posted.slot);
    }

    pub(super) fn ensure(&mut self, slot: Slot) {
        if self.progress.len() <= slot.index() {
            self.progress.resize(slot.index() + 1, Progress::default());
        }
    }

    pub(super) fn begin(&mut self, system: &mut System, slot: Slot, thread: u32) {
        self.ensure(slot);
        let progress = &mut self.progress[slot.index()];
        progress.restart(system.steps(slot).len(), 0);
        progress.thread = thread;
        self.advance(system, slot);
    }

    /// Runs user work and posts calls until one depends on a result that is not there yet.
    pub(super) fn advance(&mut self, system: &mut System, slot: Slot) {
        let steps = system.steps(slot);
        while let Some(step) = steps.get(self.progress[slot.index()].next) {
            let index = self.progress[slot.index()].next;
            if self.dropped(step) {
                system.push_block(self.user, step.user, Context::USER, slot);
                self.progress[slot.index()].complete(index);
                self.progress[slot.index()].next += 1;
                continue;
            }
            if !self.may_post(slot, step) || !self.pages.has_free() {
                break;
            }
            if self.is(ExceptionLessVariant::Epoll) && step.effect == Effect::Receive {
                if !self.progress[slot.index()].event {
                    return self.await_event(system, slot, index as u32);
                }
                self.progress[slot.index()].event = false;
            }
            system.push_block(self.user, step.user, Context::USER, slot);
            self.extra_results(system, step);
            let connection = system.requests[slot.index()].connection;
            self.post(system, Entry::posting(connection, slot, index as u32, self.progress[slot.index()].thread));
            self.progress[slot.index()].next += 1;
            self.progress[slot.index()].outstanding += 1;
        }
        let progress = &self.progress[slot.index()];
        if progress.next == steps.len() && progress.outstanding == 0 {
            self.end_request(system, slot);
        } else if progress.outstanding == 0 {
            // throttled: all entries are in use; go on when one comes free
            self.resume.push_back(slot);
        }
    }

    /// A user thread makes one call after the other; the event library posts all that do not depend on each other.
    fn may_post(&self, slot: Slot, step: &Step) -> bool {
        let progress = &self.progress[slot.index()];
        progress.allows(step) && !(self.is(ExceptionLessVariant::Threads) && progress.outstanding > 0)
    }

    /// Calls that the port to posted calls makes unnecessary: a posted read needs no interest list.
    fn dropped(&self, step: &Step) -> bool {
        step.object == Object::Epoll && !self.is(ExceptionLessVariant::Epoll)
    }

    /// Results that stood on the stack (fstat, getsockname) live elsewhere in the port: their lines are touched at posting.
    fn extra_results(&self, system: &mut System, step: &Step) {
        if step.call.name().contains("stat") {
            for extra in 0..self.settings.stat_result_lines {
                let line = self.pages.line(extra % PAGE_ENTRIES);
                system.push(self.user, Action::Touch(user_context(), line, OpKind::Load));
            }
        }
    }

    fn end_request(&mut self, system: &mut System, slot: Slot) {
        system.push(self.user, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
        if system.workload.program == Program::Sequential {
            return;
        }
        let connection = system.requests[slot.index()].connection;
        match self.settings.variant {
            ExceptionLessVariant::Epoll => self.request_ended(system, slot, connection),
            ExceptionLessVariant::Threads => self.next_request(system, slot, connection),
            _ if !system.workload.connection_per_request => self.post_receive(system, connection),
            _ => {}
        }
    }

    /// Inside `flexsc_wait`: let syscall threads execute what is posted.
    fn wait(&mut self, system: &mut System) -> Next {
        self.user_state = UserState::Waiting;
        let at = system.cpu.clock(self.home);
        self.wake_kernel_cores(system, true, at, Some(self.home));
        if self.pages.has_done() && !self.own_core_busy(system) {
            return Next::Continue;
        }
        Next::Sleep
    }

    fn leave_wait(&mut self, system: &mut System) {
        system.push(self.user, Action::Cross(CrossingKind::SystemCallExit));
        self.user_state = UserState::Running;
    }
}
