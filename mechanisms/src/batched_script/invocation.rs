//! One run of a script in the kernel: from the crossing in, call by call, to the crossing out.

use super::descriptors::{self, Target};
use super::{After, BatchedScript, END, State};
use os_model::action::Slot;
use os_model::stats::BatchLimit;
use os_model::system::{Next, System};
use script::bindings::{Kind, signature};
use script::engine::CallKind;
use script::{Answer, Call, Failure, Invocation, Step as Ran, Value, WAIT};
use sim_core::calls::CallNumber;
use sim_core::ids::{ConnectionId, TaskId};
use sim_core::workload::{Effect, Program, Step};

/// A run of a script under way.
#[derive(Debug)]
pub(super) struct Invoked {
    /// Which entry point.
    pub entry: &'static str,
    /// Lua's side of it, from the first instruction on.
    pub running: Option<Invocation>,
    /// The call that the kernel executes.
    pub pending: Option<Call>,
    /// The pending call slept.
    pub slept: bool,
    /// Its answer, once it is executed.
    pub answer: Option<Answer>,
    /// Requests that the script works for, with the step that is due.
    pub held: Vec<Held>,
    /// The request of the last call.
    pub current: Slot,
    /// System calls executed, readiness calls left out: the batch.
    pub calls: u32,
    /// All system calls executed.
    pub completed: u32,
    /// More was ready than the limit let in.
    pub limited: bool,
}

/// A request in the hands of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The request.
    pub slot: Slot,
    /// The step whose own work is done, or is owed: its call may be made.
    pub due: u32,
}

/// What came of trying to execute a call.
pub(super) enum Tried {
    /// It is executed (its actions are pushed), with this answer.
    Done(Answer),
    /// It goes to sleep: actions are pushed, and it is tried again afterwards.
    Sleeps,
    /// It is asleep until it is woken.
    Asleep,
}

impl BatchedScript {
    /// Crosses into the kernel for an entry point of the script.
    pub(super) fn invoke(&mut self, system: &mut System, task: TaskId, entry: &'static str) {
        self.enter_script(system, task);
        let limit = self.settings.limit.max(1) as usize;
        let thread = self.thread(task);
        let take = if entry == WAIT { 0 } else { thread.ready.len().min(limit) };
        let held = thread.ready.drain(..take).map(|(slot, due)| Held { slot, due }).collect();
        let limited = entry != WAIT && !thread.ready.is_empty();
        thread.invocation = Some(Invoked {
            entry,
            running: None,
            pending: None,
            slept: false,
            answer: None,
            held,
            current: Slot::NONE,
            calls: 0,
            completed: 0,
            limited,
        });
        thread.state = State::Script;
    }

    /// The script's next stretch: the call it waits for, or its own instructions up to the next call.
    pub(super) fn go_on(&mut self, system: &mut System, task: TaskId) -> Next {
        let Some(mut invoked) = self.thread(task).invocation.take() else {
            self.thread(task).state = State::Program;
            return Next::Continue;
        };
        if let Some(call) = invoked.pending.clone()
            && invoked.answer.is_none()
        {
            match self.execute(system, task, &mut invoked, &call) {
                Tried::Done(answer) => invoked.answer = Some(answer),
                Tried::Sleeps => invoked.slept = true,
                Tried::Asleep => {
                    self.thread(task).invocation = Some(invoked);
                    return Next::Sleep;
                }
            }
            self.thread(task).invocation = Some(invoked);
            return Next::Continue;
        }
        match self.run_script(system, task, &mut invoked) {
            Ran::Call(call) => {
                self.interpret(system, task, true);
                invoked.pending = Some(call);
                invoked.slept = false;
                self.thread(task).invocation = Some(invoked);
            }
            Ran::Finished => self.finish_invocation(system, task, &invoked, None),
            Ran::Failed(failure) => self.finish_invocation(system, task, &invoked, Some(&failure)),
        }
        Next::Continue
    }

    /// Runs Lua up to the next system call; questions to the program are answered on the way.
    fn run_script(&mut self, system: &mut System, task: TaskId, invoked: &mut Invoked) -> Ran {
        let mut ran = match invoked.answer.take() {
            Some(answer) => self.resume(task, invoked, &answer),
            None => {
                let arguments = self.arguments(system, task, invoked);
                let Some(engine) = &self.thread(task).engine else { return Ran::Finished };
                let (running, ran) = engine.start(invoked.entry, &arguments);
                invoked.running = running;
                ran
            }
        };
        while let Ran::Call(call) = &ran
            && call.kind == CallKind::ProgramNext
        {
            let answer = self.program_next(system, task, invoked, call);
            ran = self.resume(task, invoked, &answer);
        }
        ran
    }

    fn resume(&mut self, task: TaskId, invoked: &mut Invoked, answer: &Answer) -> Ran {
        match (&self.thread(task).engine, &mut invoked.running) {
            (Some(engine), Some(running)) => engine.resume(running, answer),
            _ => Ran::Finished,
        }
    }

    /// Arguments of an entry point: the epoll set, or the requests, then the limit.
    fn arguments(&mut self, system: &System, task: TaskId, invoked: &Invoked) -> Vec<Value> {
        let limit = Value::Integer(i64::from(self.settings.limit));
        if invoked.entry == WAIT {
            return vec![Target::Set.descriptor(), limit];
        }
        let mut requests: Vec<Value> = invoked.held.iter().map(|held| request(system, held.slot, held.due)).collect();
        if requests.is_empty() {
            // a thread that serves one connection: its next request is not there yet
            let connection = self.thread(task).connection;
            let fields = vec![
                ("fd", Target::Connection(connection).descriptor()),
                ("call", Value::Text(receive_call(system).name().into())),
            ];
            requests.push(Value::Record(fields));
        }
        vec![Value::List(requests), limit]
    }

    /// `program.next(fd)`: the call that the request needs before the program must work for it again, with its arguments.
    fn program_next(&mut self, system: &System, task: TaskId, invoked: &mut Invoked, call: &Call) -> Answer {
        let target = call.arguments.first().and_then(|value| self.target(system, value));
        let Some(target) = target else {
            return Answer::Misuse("bad argument #1 to 'program.next' (descriptor expected)".into());
        };
        let slot = self.slot_of(system, task, invoked, target);
        if slot == Slot::NONE {
            let alone = self.thread(task).poller.is_none() && invoked.held.is_empty() && invoked.calls == 0;
            let number = receive_call(system);
            return Answer::Values(if alone { call_values(number, target.descriptor(), Slot::NONE, 0) } else { vec![Value::Nil] });
        }
        let next = match self.sort_out(system, slot) {
            After::Due(next) => Some(next),
            After::OwnWork(next) if invoked.held.contains(&Held { slot, due: next }) => Some(next),
            _ => None,
        };
        let step = next.and_then(|next| system.request_step(slot, next));
        invoked.current = slot;
        Answer::Values(step.map_or(vec![Value::Nil], |step| call_values(step.call, descriptor(system, slot), slot, step.bytes)))
    }

    /// What a descriptor or path that the script gives stands for.
    pub(super) fn target(&self, system: &System, value: &Value) -> Option<Target> {
        Target::of(value, system.connections.len(), system.requests.len())
    }

    /// The request that a target is about: one in the script's hands, or the connection's next.
    pub(super) fn slot_of(&mut self, system: &System, task: TaskId, invoked: &Invoked, target: Target) -> Slot {
        let mut held = invoked.held.iter().map(|held| held.slot);
        match target {
            Target::Set | Target::Listener => invoked.current,
            Target::Request(slot) => held.find(|held| *held == slot).unwrap_or(Slot::NONE),
            Target::Connection(connection) => {
                let thread = self.thread(task);
                let own = thread
                    .poller
                    .map_or(connection == thread.connection, |poller| system.connections[connection.index()].poller == poller);
                let waiting = || system.waiting_request(connection).filter(|_| own);
                held.find(|held| system.requests[held.index()].connection == connection).or_else(waiting).unwrap_or(Slot::NONE)
            }
        }
    }

    /// The script has returned, or was ended: each request that it held goes on where it stands.
    fn finish_invocation(&mut self, system: &mut System, task: TaskId, invoked: &Invoked, failure: Option<&Failure>) {
        self.interpret(system, task, false);
        self.leave_kernel(system, task);
        self.thread(task).state = State::Program;
        let alone = self.thread(task).poller.is_none();
        let limit = match (alone, invoked.limited) {
            (true, _) => BatchLimit::Dependencies,
            (false, true) => BatchLimit::Limit,
            (false, false) => BatchLimit::Ready,
        };
        system.stats.batch(invoked.calls, limit);
        if let Some(failure) = failure {
            system.stats.occurred(failure.kind.occurrence(), 1);
            let calls = invoked.completed;
            system.stats.remark(format!("{} ({calls} calls completed)", failure.message));
        }
        let nothing = invoked.held.is_empty() && invoked.calls == 0 && system.workload.program != Program::Sequential;
        self.thread(task).wait_directly = nothing;
        if failure.is_some() {
            let given_up = invoked.held.iter().map(|held| held.slot);
            self.thread(task).given_up.extend(given_up);
        }
        for held in &invoked.held {
            self.hand_back(system, task, *held);
        }
    }

    /// A request comes back from the script to the program.
    fn hand_back(&mut self, system: &mut System, task: TaskId, held: Held) {
        let slot = held.slot;
        let owed = self.thread(task).owed.iter().any(|(of, _)| *of == slot);
        let after = self.sort_out(system, slot);
        let thread = self.thread(task);
        match after {
            After::Ended => {
                thread.given_up.retain(|given_up| *given_up != slot);
                thread.user_work.extend(owed.then_some((slot, END)));
            }
            After::Waits => {}
            // the script left out what it could have done: the program makes the call itself
            After::Due(next) => thread.direct.push_back((slot, next)),
            After::OwnWork(next) if next == held.due => thread.direct.push_back((slot, next)),
            After::OwnWork(next) => thread.user_work.push_back((slot, next)),
        }
    }
}

/// The descriptor of the connection of a request, or of the request itself in a program without connections.
pub(super) fn descriptor(system: &System, slot: Slot) -> Value {
    match system.workload.program {
        Program::Sequential => Target::Request(slot).descriptor(),
        _ => Target::Connection(system.requests[slot.index()].connection).descriptor(),
    }
}

fn request(system: &System, slot: Slot, due: u32) -> Value {
    let (call, bytes) = system.request_step(slot, due).map_or(("", 0), |step| (step.call.name(), step.bytes));
    Value::Record(vec![
        ("fd", descriptor(system, slot)),
        ("call", Value::Text(call.into())),
        ("bytes", Value::Integer(i64::from(bytes))),
        ("path", descriptors::path(slot)),
        ("log", Target::Request(slot).descriptor()),
    ])
}

/// Name and arguments of a call as `program.next` gives them.
fn call_values(call: CallNumber, fd: Value, slot: Slot, bytes: u32) -> Vec<Value> {
    let argument = |kind: &Kind| match kind {
        Kind::Descriptor => fd.clone(),
        Kind::Count | Kind::Bytes => Value::Integer(i64::from(bytes)),
        Kind::Text => descriptors::path(slot),
        Kind::PathOrDescriptor => fd.clone(),
    };
    let required = signature(call.name()).map_or(&[][..], |signature| &signature.parameters[..signature.required]);
    std::iter::once(Value::Text(call.name().into())).chain(required.iter().map(argument)).collect()
}

/// The call with which the program's requests are received.
pub(super) fn receive_call(system: &System) -> CallNumber {
    let steps = system.workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
    steps.filter(|step: &&Step| step.effect == Effect::Receive).map(|step| step.call).next().unwrap_or(CallNumber::READ)
}

/// The connection of a thread that serves one, or of a request.
pub(super) fn connection_of(system: &System, slot: Slot, own: ConnectionId) -> ConnectionId {
    if slot == Slot::NONE { own } else { system.requests[slot.index()].connection }
}
