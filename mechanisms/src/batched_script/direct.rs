//! True system calls of the program: what no script does, and what one left undone.

use super::invocation::receive_call;
use super::{After, BatchedScript, State};
use crate::issue::Issuer;
use crate::program::HOOK_SERVED;
use crate::settings::BatchedScriptVariant;
use os_model::action::{Action, Slot};
use os_model::connection::Ready;
use os_model::system::{Next, System};
use sim_core::block::BlockId;
use sim_core::context::Context;
use sim_core::ids::TaskId;
use sim_core::workload::Effect;

/// The poller whose listening socket all threads accept from.
const LISTENER: usize = 0;

impl BatchedScript {
    /// One call of a request where it stands, then what comes after it.
    pub(super) fn call_directly(&mut self, system: &mut System, task: TaskId, slot: Slot, index: u32) -> Next {
        let Some(step) = system.request_step(slot, index) else { return Next::Continue };
        if step.effect == Effect::Receive {
            let connection = system.requests[slot.index()].connection;
            if system.waiting_request(connection) != Some(slot) {
                system.report_if_readable(connection);
                return Next::Continue;
            }
            system.take_request(connection);
        }
        Issuer::Crossing.call(system, task, step, slot);
        system.stats.batch(1, os_model::stats::BatchLimit::Dependencies);
        system.requests[slot.index()].step = index + 1;
        self.after_call(system, task, slot);
        Next::Continue
    }

    /// A request goes on after a call that the program, or a vector, made.
    pub(super) fn after_call(&mut self, system: &mut System, task: TaskId, slot: Slot) {
        match self.sort_out(system, slot) {
            After::Ended => {
                self.thread(task).given_up.retain(|given_up| *given_up != slot);
                system.push(task, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
            }
            After::Waits => {}
            After::Due(next) | After::OwnWork(next) if self.collects(task) => self.thread(task).user_work.push_back((slot, next)),
            After::Due(next) | After::OwnWork(next) => self.thread(task).user_work.push_front((slot, next)),
        }
    }

    /// Into the program's own readiness call.
    pub(super) fn enter_wait(&mut self, system: &mut System, task: TaskId) -> Next {
        let Some(wait) = &system.workload.wait else { return Next::Sleep };
        let user = system.pick_wait_user(wait, 1);
        system.push_block(task, user, Context::USER, Slot::NONE);
        Issuer::Crossing.enter(system, task, true);
        system.push(task, Action::Count(wait.call, Slot::NONE));
        self.thread(task).state = State::Wait { slept: false };
        Next::Continue
    }

    /// In the program's own readiness call: what is ready goes to the program, or it sleeps.
    pub(super) fn look_directly(&mut self, system: &mut System, task: TaskId, slept: bool) -> Next {
        let (Some(wait), Some(poller)) = (&system.workload.wait, self.thread(task).poller) else { return Next::Sleep };
        let context = Context::call(wait.call);
        let most = if system.workload.datagram { self.settings.limit.max(1) } else { wait.max_events.max(1) };
        let events = system.ready_events(poller, most as usize);
        if events.is_empty() {
            if slept {
                system.wait_on(poller, task);
                return Next::Sleep;
            }
            let sleep = system.pick(&wait.sleep);
            self.thread(task).state = State::Wait { slept: true };
            if sleep == BlockId::EMPTY {
                return self.look_directly(system, task, true);
            }
            Issuer::Crossing.piece(system, task, sleep, context, Slot::NONE);
            return Next::Continue;
        }
        let first = if slept { system.pick(&wait.wake) } else { system.pick(&wait.head) };
        Issuer::Crossing.piece(system, task, first, context, Slot::NONE);
        let reported = if system.workload.datagram { &events[..1] } else { &events[..] };
        system.push_wait_events(task, reported);
        Issuer::Crossing.leave(system, task);
        self.thread(task).state = State::Program;
        for event in events {
            let requests = self.requests_of(system, poller, event);
            self.thread(task).user_work.extend(requests);
        }
        Next::Continue
    }

    /// The requests that an event is about. A looped vector accepts all connections that wait, up to the limit.
    fn requests_of(&self, system: &mut System, poller: usize, event: Ready) -> Vec<(Slot, u32)> {
        match event {
            Ready::Listener => {
                let looped = self.settings.variant == BatchedScriptVariant::LoopedMultiCall;
                let most = if looped { self.settings.limit.max(1) } else { 1 };
                (0..most).map_while(|_| system.accept(poller)).map(|slot| (slot, 0)).collect()
            }
            Ready::Connection(connection) => {
                let waiting = system.waiting_request(connection);
                waiting.map(|slot| (slot, system.requests[slot.index()].step)).into_iter().collect()
            }
        }
    }

    /// Into the blocking accept of a thread that serves one connection at a time.
    pub(super) fn enter_accept(&mut self, system: &mut System, task: TaskId) -> Next {
        let Some(step) = system.expected_step(true) else { return Next::Sleep };
        system.push_block(task, step.user, Context::USER, Slot::NONE);
        Issuer::Crossing.enter(system, task, true);
        system.push(task, Action::Count(step.call, Slot::NONE));
        self.thread(task).state = State::Accept { slept: false };
        Next::Continue
    }

    /// In the blocking accept of a thread that serves one connection at a time.
    pub(super) fn accept_directly(&mut self, system: &mut System, task: TaskId, slept: bool) -> Next {
        let Some(step) = system.expected_step(true) else { return Next::Sleep };
        let context = Context::call(step.call);
        let Some(slot) = system.accept(LISTENER) else {
            if slept {
                system.wait_on(LISTENER, task);
                return Next::Sleep;
            }
            let sleep = system.pick(&system.workload.blocking.sleep);
            Issuer::Crossing.piece(system, task, sleep, context, Slot::NONE);
            self.thread(task).state = State::Accept { slept: true };
            return Next::Continue;
        };
        if slept {
            let wake = system.pick(&system.workload.blocking.wake);
            Issuer::Crossing.piece(system, task, wake, context, slot);
        }
        let thread = self.thread(task);
        thread.connection = system.requests[slot.index()].connection;
        thread.serving = system.goes_on_after(slot);
        thread.state = State::Program;
        if let Some(step) = system.request_step(slot, 0) {
            Issuer::Crossing.body(system, task, step, slot, false);
        }
        Issuer::Crossing.leave(system, task);
        system.requests[slot.index()].step = 1;
        self.after_call(system, task, slot);
        Next::Continue
    }

    /// Into the program's own blocking receive.
    pub(super) fn enter_receive(&mut self, system: &mut System, task: TaskId, slot: Slot) -> Next {
        Issuer::Crossing.enter(system, task, true);
        system.push(task, Action::Count(receive_call(system), slot));
        self.thread(task).state = State::Receive { slept: false };
        Next::Continue
    }

    /// In the program's own blocking receive.
    pub(super) fn receive_directly(&mut self, system: &mut System, task: TaskId, slept: bool) -> Next {
        let connection = self.thread(task).connection;
        let context = Context::call(receive_call(system));
        let Some(slot) = system.waiting_request(connection) else {
            if slept {
                system.connections[connection.index()].blocked = Some(task);
                return Next::Sleep;
            }
            let sleep = system.pick(&system.workload.blocking.sleep);
            Issuer::Crossing.piece(system, task, sleep, context, Slot::NONE);
            self.thread(task).state = State::Receive { slept: true };
            return Next::Continue;
        };
        if slept {
            let wake = system.pick(&system.workload.blocking.wake);
            Issuer::Crossing.piece(system, task, wake, context, Slot::NONE);
        }
        self.thread(task).state = State::Program;
        if let Some(step) = system.request_step(slot, 0) {
            if step.effect == Effect::Receive {
                system.take_request(connection);
            }
            Issuer::Crossing.body(system, task, step, slot, false);
        }
        Issuer::Crossing.leave(system, task);
        system.requests[slot.index()].step = 1;
        self.after_call(system, task, slot);
        Next::Continue
    }
}
