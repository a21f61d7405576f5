//! How the simulated kernel executes a script's call: which recorded work stands for it, what it changes, what it returns.

use super::BatchedScript;
use super::descriptors::Target;
use super::invocation::{Held, Invoked, Tried, connection_of};
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::system::System;
use script::bindings::{Returns, signature};
use script::engine::CallKind;
use script::{Answer, Call, Value};
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::TaskId;
use sim_core::workload::{Effect, Program, Step};

/// Calls that ask what is ready.
const READINESS: &[&str] = &["epoll_wait", "epoll_pwait", "poll", "ppoll", "select", "pselect6"];

/// Calls that receive: on a connection without data they return `EAGAIN`.
const RECEIVES: &[&str] = &["read", "readv", "recvfrom", "recvmsg", "recvmmsg"];

impl BatchedScript {
    /// Executes a call of the script, or puts it to sleep.
    pub(super) fn execute(&mut self, system: &mut System, task: TaskId, invoked: &mut Invoked, call: &Call) -> Tried {
        let CallKind::System(number) = call.kind else { return Tried::Done(Answer::Values(Vec::new())) };
        if let Some(wrong) = signature(number.name()).and_then(|signature| signature.misuse(&call.arguments)) {
            return Tried::Done(Answer::Misuse(wrong));
        }
        if READINESS.contains(&number.name()) && self.thread(task).poller.is_some() && system.workload.wait.is_some() {
            return self.readiness(system, task, invoked, call);
        }
        let mut target = None;
        if let Some(value @ (Value::Integer(_) | Value::Number(_) | Value::Text(_))) = call.arguments.first() {
            target = self.target(system, value);
            let names_object = signature(number.name()).is_some_and(|signature| !signature.parameters.is_empty());
            if target.is_none() && names_object {
                let error = if value.as_text().is_some() { "ENOENT" } else { "EBADF" };
                return Tried::Done(Answer::Error(error));
            }
        }
        invoked.completed += 1;
        if target == Some(Target::Listener) && number.name().starts_with("accept") {
            return Tried::Done(self.accept(system, task, invoked, number));
        }
        self.step_of_request(system, task, invoked, number, target)
    }

    /// A call on behalf of a request: the next of its chain, or a recorded one from elsewhere.
    fn step_of_request(
        &mut self,
        system: &mut System,
        task: TaskId,
        invoked: &mut Invoked,
        number: CallNumber,
        target: Option<Target>,
    ) -> Tried {
        let own = self.thread(task).connection;
        // a call that names no object is for the request that the script was asking about, or for the first that it was given
        let unnamed = if invoked.current == Slot::NONE { first_held(invoked) } else { invoked.current };
        let mut slot = target.map_or(unnamed, |target| self.slot_of(system, task, invoked, target));
        let alone = self.thread(task).poller.is_none() && system.workload.program != Program::Sequential;
        if slot == Slot::NONE && alone && super::first_step(system, Slot::NONE).is_some_and(|step| step.call == number) {
            // the connection's next request: it waits for it
            let connection = connection_of(system, slot, own);
            let Some(arrived) = system.waiting_request(connection) else {
                invoked.completed -= 1;
                return self.sleep_in_receive(system, task, invoked, number);
            };
            slot = arrived;
            invoked.held.push(Held { slot, due: 0 });
            self.wake_in_receive(system, task, invoked, number);
        }
        invoked.current = slot;
        let next = system.requests[slot.index()].step;
        let step = if slot == Slot::NONE { None } else { system.request_step(slot, next) };
        match step {
            Some(step) if step.call == number => Tried::Done(self.recorded(system, task, invoked, slot, step)),
            _ if RECEIVES.contains(&number.name()) && matches!(target, Some(Target::Connection(_))) => {
                Tried::Done(self.again(system, task, number, slot))
            }
            _ => Tried::Done(self.borrow(system, task, invoked, slot, number)),
        }
    }

    /// A receive that finds nothing and does not block.
    fn again(&self, system: &mut System, task: TaskId, number: CallNumber, slot: Slot) -> Answer {
        system.push(task, Action::Count(number, slot));
        let again = system.pick(&system.workload.blocking.again);
        self.push_handler(system, task, again, Context::call(number), slot);
        Answer::Error("EAGAIN")
    }

    /// The next call of the request's chain.
    fn recorded(&mut self, system: &mut System, task: TaskId, invoked: &mut Invoked, slot: Slot, step: &Step) -> Answer {
        let index = system.requests[slot.index()].step;
        if step.effect == Effect::Receive {
            let connection = system.requests[slot.index()].connection;
            if system.waiting_request(connection) != Some(slot) {
                return self.again(system, task, step.call, slot);
            }
            system.take_request(connection);
        }
        let held = Held { slot, due: index };
        if !invoked.held.iter().any(|held| held.slot == slot) {
            invoked.held.push(held);
        }
        self.owe(system, task, invoked, held, step);
        self.push_call(system, task, step, slot);
        invoked.calls += 1;
        system.requests[slot.index()].step = index + 1;
        let owed = self.thread(task).owed.iter().any(|(of, _)| *of == slot);
        if index as usize + 1 == system.steps(slot).len() && !owed {
            system.push(task, Action::Hook(crate::program::HOOK_SERVED, u64::from(slot.0)));
            // its slot may stand for another request before the script returns
            invoked.held.retain(|held| held.slot != slot);
            self.thread(task).given_up.retain(|given_up| *given_up != slot);
        }
        results(step.call, system, slot, step.bytes)
    }

    /// Own work before a call that nobody has done yet is done when the script has returned; glue is the script's own instructions.
    fn owe(&mut self, system: &System, task: TaskId, invoked: &Invoked, held: Held, step: &Step) {
        let done = invoked.entry == script::WORK && invoked.held.contains(&held);
        let waited = invoked.entry == script::WAIT && invoked.held.contains(&held);
        if waited || (!done && !self.is_glue(system, step)) {
            self.thread(task).owed.push((held.slot, step.user));
        }
    }

    /// A call that the program does not make here: any recorded one stands for it, without effect on the request.
    fn borrow(&mut self, system: &mut System, task: TaskId, invoked: &mut Invoked, slot: Slot, number: CallNumber) -> Answer {
        let step = self.borrowed.entry(number).or_insert_with(|| {
            let found = system.all_steps().filter(|step| step.call == number).max_by_key(|step| step.effect == Effect::None);
            found.map(|step| Step { effect: Effect::None, ..step.clone() })
        });
        let Some(step) = step.clone() else {
            system.stats.occurred("script calls that no recording has", 1);
            return Answer::Error("ENOSYS");
        };
        system.stats.occurred("script calls by borrowed blocks", 1);
        self.push_call(system, task, &step, slot);
        invoked.calls += 1;
        results(number, system, slot, step.bytes)
    }

    fn accept(&mut self, system: &mut System, task: TaskId, invoked: &mut Invoked, number: CallNumber) -> Answer {
        let Some(poller) = self.thread(task).poller else { return Answer::Error("EBADF") };
        let Some(slot) = system.accept(poller) else { return Answer::Error("EAGAIN") };
        let connection = system.requests[slot.index()].connection;
        invoked.current = slot;
        invoked.held.push(Held { slot, due: 0 });
        match system.request_step(slot, 0) {
            Some(step) if step.call == number => self.recorded(system, task, invoked, slot, step),
            _ => self.borrow(system, task, invoked, slot, number),
        };
        Answer::Values(vec![Target::Connection(connection).descriptor()])
    }

    fn push_call(&self, system: &mut System, task: TaskId, step: &Step, slot: Slot) {
        let mut actions = Vec::new();
        system.call_actions(step, slot, Part::Handler, &mut actions);
        system.tasks[task.index()].actions.extend(actions);
    }
}

fn first_held(invoked: &Invoked) -> Slot {
    invoked.held.first().map_or(Slot::NONE, |held| held.slot)
}

/// What a call returns when it succeeds.
fn results(call: CallNumber, system: &System, slot: Slot, bytes: u32) -> Answer {
    let returns = signature(call.name()).map_or(Returns::Count, |signature| signature.returns);
    let connected = matches!(call.name(), "accept" | "accept4");
    Answer::Values(vec![match returns {
        Returns::Descriptor if connected => super::invocation::descriptor(system, slot),
        Returns::Descriptor => Target::Request(slot).descriptor(),
        Returns::Zero => Value::Integer(0),
        Returns::Size => Value::Integer(i64::from(if slot == Slot::NONE { bytes } else { system.class(slot).reply_bytes })),
        Returns::Count | Returns::Events => Value::Integer(i64::from(bytes)),
    }])
}
