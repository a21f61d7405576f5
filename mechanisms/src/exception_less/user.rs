//! The program's side: the event library runs callbacks, posts what may follow, looks through the pages, and waits.

use super::entries::{Completion, Entry};
use super::{ExceptionLess, HOOK_POSTED, kernel_context, user_context};
use crate::issue::Issuer;
use crate::program::HOOK_SERVED;
use crate::progress::Completed;
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
    /// Those of them with a callback.
    awaited: usize,
    /// The program has done all it does for the request.
    ended: bool,
    completed: Completed,
    /// The user thread that serves the request (FlexSC-Threads).
    pub thread: u32,
    /// The event loop has been told that the request's next receive finds its data.
    pub event: bool,
}

impl Progress {
    fn restart(&mut self, steps: usize, next: usize) {
        self.next = next;
        self.outstanding = 0;
        self.awaited = 0;
        self.ended = false;
        self.completed.restart(steps);
    }

    fn complete(&mut self, step: usize) {
        self.completed.complete(step);
    }

    /// A call can be posted when all it depends on has completed.
    fn allows(&self, step: &Step) -> bool {
        self.completed.allows(step)
    }
}

impl ExceptionLess {
    /// The user thread: delayed calls first, then callbacks, timers, the pages, and at last `flexsc_wait`.
    pub(super) fn next_user(&mut self, system: &mut System) -> Next {
        if self.first_run {
            self.first_run = false;
            self.register(system);
            self.post_initial(system);
            return Next::Continue;
        }
        match self.user_state {
            UserState::WaitEntered => return self.wait(system),
            UserState::Waiting => {
                if !self.may_leave_wait(system) {
                    self.set_timer(system);
                    return Next::Rest;
                }
                self.leave_wait(system);
            }
            UserState::Running => {}
        }
        if self.post_delayed(system) || (self.pages.free() > 0 && self.next_event(system)) {
            return Next::Continue;
        }
        if let Some(entry) = self.harvested.pop_front() {
            self.take_result(system, entry);
            return Next::Continue;
        }
        if self.pages.free() > 0 && self.post_event_loop_readiness(system) {
            return Next::Continue;
        }
        let cancelled = self.cancel_late_reads(system);
        if self.pages.poll(system, self.user, &self.settings, &mut self.harvested) || cancelled {
            return Next::Continue;
        }
        system.push(self.user, Action::Cross(CrossingKind::SystemCallEntry));
        // flexsc_wait is a real call: the kernel's entry and exit code is that of the recorded null call
        system.push_block(self.user, self.null_call, kernel_context(), Slot::NONE);
        self.user_state = UserState::WaitEntered;
        Next::Continue
    }

    /// `flexsc_register`: one call that maps the pages and clones a syscall thread per entry into the caller's address space.
    fn register(&mut self, system: &mut System) {
        let (user, context) = (self.user, kernel_context());
        system.push(user, Action::Cross(CrossingKind::SystemCallEntry));
        system.push_block(user, self.null_call, context, Slot::NONE);
        for entry in 0..self.pages.count() {
            system.push(user, Action::Touch(context, self.pages.line(entry), OpKind::Store));
        }
        for thread in &self.threads {
            system.push(user, Action::Instructions(context, self.settings.register_thread_instructions));
            let stack = system.bases.kernel_stack(system.instance_of(thread.task));
            system.push(user, Action::Touch(context, stack, OpKind::Store));
        }
        system.push(user, Action::Cross(CrossingKind::SystemCallExit));
    }

    /// At the start every connection has a read posted, or the listening socket accepts.
    fn post_initial(&mut self, system: &mut System) {
        if system.workload.program == Program::Sequential {
            let slot = system.begin_run();
            self.begin(system, slot, 0);
            return;
        }
        let connections = system.connections.len() as u32;
        match self.settings.variant {
            // the first readiness call is posted when there is nothing else to do
            ExceptionLessVariant::Epoll => {}
            ExceptionLessVariant::Threads => self.start_user_threads(system),
            _ if system.accepts() => {
                for _ in 0..self.accepts(connections) {
                    self.post_accept(system);
                }
            }
            _ => {
                for index in 0..connections {
                    self.post_read(system, ConnectionId(index), index);
                }
            }
        }
    }

    /// Which connection comes is not known yet: accepts are spread over the pages in turn.
    pub(super) fn post_accept(&mut self, system: &mut System) {
        self.accepts_posted = (self.accepts_posted + 1) % system.connections.len() as u32;
        self.post_early(system, Entry::accepting(ConnectionId(self.accepts_posted), 0));
    }

    /// A read of a connection's next request.
    pub(super) fn post_read(&mut self, system: &mut System, connection: ConnectionId, thread: u32) {
        self.post_early(system, Entry::posting(connection, Slot::NONE, 0, thread));
    }

    /// Accepts outstanding: with a limit on entries no more than half of what early calls may use, so that reads find room beside them.
    fn accepts(&self, connections: u32) -> u32 {
        let most = match self.settings.entries {
            0 => u32::MAX,
            entries => (entries - self.reserve()) / 2,
        };
        self.settings.accepts_outstanding.min(connections).min(most).max(1)
    }

    /// Entries that reads and accepts posted in advance leave free, so that what they bring can always be served. (They can wait for
    /// ever; the other calls end by themselves.) Without a limit there is an entry for every call.
    fn reserve(&self) -> u32 {
        if self.settings.entries == 0 { 0 } else { (self.settings.entries / 8).max(1) }
    }

    /// Calls wait in the library for an entry.
    pub(super) fn is_throttled(&self) -> bool {
        !(self.again.is_empty() && self.resume.is_empty() && self.postponed.is_empty())
    }

    /// Posts calls that were delayed: those of requests in progress go first, they free entries again.
    fn post_delayed(&mut self, system: &mut System) -> bool {
        if self.pages.free() == 0 {
            return false;
        }
        if let Some((slot, step)) = self.again.pop_front() {
            let connection = system.requests[slot.index()].connection;
            self.post(system, Entry::posting(connection, slot, step, self.progress[slot.index()].thread));
            return true;
        }
        if let Some(slot) = self.resume.pop_front() {
            self.advance(system, slot);
            return true;
        }
        if self.pages.free() > self.reserve()
            && let Some(call) = self.postponed.pop_front()
        {
            self.post(system, call);
            return true;
        }
        false
    }

    /// Posts a call whose request is not known yet: an accept, or a read on a connection. Throttled when entries run out.
    pub(super) fn post_early(&mut self, system: &mut System, call: Entry) {
        if self.pages.free() > self.reserve() && self.postponed.is_empty() {
            self.post(system, call);
        } else {
            system.stats.occurred("throttled posts", 1);
            self.postponed.push_back(call);
        }
    }

    /// Writes one entry; the kernel sees it at the hook.
    pub(super) fn post(&mut self, system: &mut System, call: Entry) {
        let entry = self.pages.post(system, self.user, &self.settings, call);
        if self.is_timed(system, entry) {
            system.push(self.user, Action::Instructions(user_context(), self.settings.timer_instructions));
        }
        system.push(self.user, Action::Hook(HOOK_POSTED, u64::from(entry)));
    }

    /// Takes the result of a completed call over, frees its entry, and runs its callback if it has one.
    fn take_result(&mut self, system: &mut System, index: u32) {
        let posted = self.pages.entry(index);
        self.pages.retire(system, self.user, index);
        if posted.completion == Completion::Ignored {
            system.stats.occurred("calls without callback", 1);
            self.progress[posted.slot.index()].outstanding -= 1;
            self.settle(system, posted.slot);
            return;
        }
        if self.is(ExceptionLessVariant::Threads) {
            self.switch_user_thread(system, posted.thread);
        } else {
            system.push(self.user, Action::Instructions(user_context(), self.settings.callback_instructions));
        }
        if posted.interrupted {
            self.post_again(posted);
        } else if posted.readiness {
            self.readiness_returned(system, &posted);
        } else if posted.again {
            self.wait_for_data(system, &posted);
        } else {
            self.callback(system, index, posted);
        }
    }

    /// A read that timed out is posted again, in its turn: the connection stays open, as a server does that only looks whether its
    /// client is still there.
    fn post_again(&mut self, posted: Entry) {
        if posted.slot == Slot::NONE {
            self.postponed.push_back(Entry::posting(posted.connection, Slot::NONE, 0, posted.thread));
        } else {
            self.again.push_back((posted.slot, posted.step));
        }
    }

    /// The callback of a completed call: the program's work that was waiting for it, and what may follow.
    fn callback(&mut self, system: &mut System, index: u32, posted: Entry) {
        let Some(step) = system.request_step(posted.slot, posted.step).filter(|_| posted.slot != Slot::NONE) else { return };
        self.load_results(system, index, step);
        self.ensure(posted.slot);
        if posted.early {
            // its own user work runs now that its request is known
            let progress = &mut self.progress[posted.slot.index()];
            progress.restart(system.steps(posted.slot).len(), 1);
            progress.thread = posted.thread;
            system.push_block(self.user, step.user, Context::USER, posted.slot);
        } else {
            self.progress[posted.slot.index()].outstanding -= 1;
            self.progress[posted.slot.index()].awaited -= 1;
        }
        self.progress[posted.slot.index()].complete(posted.step as usize);
        match self.settings.variant {
            ExceptionLessVariant::Epoll => self.event_handled(system, &posted, Some(step.effect)),
            // the user thread that accepted serves the connection first
            ExceptionLessVariant::Threads => {}
            _ if step.effect == Effect::Accept => self.post_accept(system),
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
            } else {
                if !self.may_issue(slot, step) {
                    break;
                }
                let synchronous = self.is_synchronous(step);
                if !synchronous && self.pages.free() == 0 {
                    system.stats.occurred("throttled posts", 1);
                    break;
                }
                if self.is(ExceptionLessVariant::Epoll)
                    && step.effect == Effect::Receive
                    && !std::mem::take(&mut self.progress[slot.index()].event)
                {
                    return self.await_event(system, slot, index as u32);
                }
                self.issue(system, slot, index, step, synchronous);
            }
            self.progress[slot.index()].next += 1;
        }
        let progress = &self.progress[slot.index()];
        if progress.next < steps.len() && progress.awaited == 0 {
            // throttled, and no callback will come by: go on when an entry comes free
            self.resume.push_back(slot);
        }
        self.settle(system, slot);
    }

    /// A user thread makes one call after the other; the event library posts all that do not depend on each other.
    fn may_issue(&self, slot: Slot, step: &Step) -> bool {
        let progress = &self.progress[slot.index()];
        progress.allows(step) && !(self.is(ExceptionLessVariant::Threads) && progress.outstanding > 0)
    }

    /// One step of a request: the program's work before the call, then the call, posted or made where it stands.
    fn issue(&mut self, system: &mut System, slot: Slot, index: usize, step: &Step, synchronous: bool) {
        system.push_block(self.user, step.user, Context::USER, slot);
        if synchronous {
            Issuer::Crossing.call(system, self.user, step, slot);
            system.stats.occurred("synchronous calls", 1);
            self.progress[slot.index()].complete(index);
            return;
        }
        let completion = self.completion(system.steps(slot), index);
        let connection = system.requests[slot.index()].connection;
        let thread = self.progress[slot.index()].thread;
        self.post(system, Entry { completion, ..Entry::posting(connection, slot, index as u32, thread) });
        let progress = &mut self.progress[slot.index()];
        progress.outstanding += 1;
        progress.awaited += usize::from(completion == Completion::Callback);
    }

    /// Calls that the port left synchronous. A call that waits for the client would stop all other connections.
    fn is_synchronous(&self, step: &Step) -> bool {
        !matches!(step.effect, Effect::Receive | Effect::Accept) && self.synchronous_calls.contains(&step.call)
    }

    /// A call needs no callback when the program ignores its result, and nothing waits for it. A user thread waits for each of its calls.
    fn completion(&self, steps: &[Step], index: usize) -> Completion {
        let needed = steps[index + 1..].iter().any(|step| step.depends.iter().any(|&before| usize::from(before) == index));
        if !needed && !self.is(ExceptionLessVariant::Threads) && self.calls_without_callback.contains(&steps[index].call) {
            Completion::Ignored
        } else {
            Completion::Callback
        }
    }

    /// Results that stood on the stack (fstat) live elsewhere in the port: in lines of their own that the callback reads.
    fn load_results(&self, system: &mut System, entry: u32, step: &Step) {
        for line in self.result_lines(entry, step) {
            system.push(self.user, Action::Touch(user_context(), line, OpKind::Load));
        }
    }

    /// Ends a request when nothing of it is left: the program posts the next read when its last callback has run; the request itself
    /// is over when calls without callback have completed too.
    fn settle(&mut self, system: &mut System, slot: Slot) {
        let sequential = system.workload.program == Program::Sequential;
        let progress = &mut self.progress[slot.index()];
        if progress.next < system.steps(slot).len() || progress.awaited > 0 {
            return;
        }
        let first_time = !std::mem::replace(&mut progress.ended, true);
        let over = progress.outstanding == 0;
        if over {
            system.push(self.user, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
        }
        if !first_time || sequential {
            return;
        }
        let connection = system.requests[slot.index()].connection;
        match self.settings.variant {
            ExceptionLessVariant::Epoll => self.request_ended(system, slot, connection),
            ExceptionLessVariant::Threads => self.next_request(system, slot, connection),
            _ if system.goes_on_after(slot) => self.post_read(system, connection, connection.0),
            _ => {}
        }
    }

    /// Calls that the port to posted calls makes unnecessary: a posted read needs no interest list.
    fn dropped(&self, step: &Step) -> bool {
        step.object == Object::Epoll && !self.is(ExceptionLessVariant::Epoll)
    }

    /// Inside `flexsc_wait`: let syscall threads execute what is posted.
    fn wait(&mut self, system: &mut System) -> Next {
        self.user_state = UserState::Waiting;
        let from = Some(self.home);
        let at = system.cpu.clock(self.home);
        self.user_called = false;
        self.wake_kernel_cores(system, true, at, from);
        if self.pages.has_done() && !self.own_core_busy(system) {
            self.user_called = true;
            return Next::Continue;
        }
        self.set_timer(system);
        self.rest_user(system);
        Next::Rest
    }

    /// `flexsc_wait` returns when the kernel says that calls have completed, or for a timer; not when a timer has become void.
    fn may_leave_wait(&mut self, system: &System) -> bool {
        self.user_called || self.timer_is_due(system)
    }

    fn leave_wait(&mut self, system: &mut System) {
        system.push(self.user, Action::Cross(CrossingKind::SystemCallExit));
        self.user_state = UserState::Running;
    }
}
