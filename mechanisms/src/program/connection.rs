//! A thread or process that serves one connection at a time and blocks for what it waits for.

use super::after_step;
use crate::issue::Issuer;
use os_model::action::{Action, Slot};
use os_model::connection::ConnectionState;
use os_model::system::{Next, System};
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, TaskId};
use sim_core::workload::{Effect, Object, Program, Step};

/// The poller whose listening socket all threads accept from.
const LISTENER: usize = 0;

/// Where such a thread stands.
#[derive(Debug)]
pub(super) struct ConnectionThread {
    connection: ConnectionId,
    /// It accepts each connection itself.
    accepts: bool,
    /// The connection that it accepted last carries on: it receives the next request there.
    serving: bool,
    /// Its descriptors do not block: EAGAIN, then a readiness call that sleeps. Recorded so.
    polls: bool,
    /// It was recorded as an event loop: its calls on the epoll set go away.
    ported: bool,
    state: State,
    current: Option<(Slot, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the program.
    Running,
    /// In a blocking call, before it looks for what it waits for.
    Entered,
    /// In a blocking call (or the readiness call that stands for it), asleep or about to be.
    Asleep,
}

impl ConnectionThread {
    /// A thread; `connection` is its own unless it accepts connections.
    pub fn new(system: &System, connection: ConnectionId) -> ConnectionThread {
        let workload = system.workload;
        let ported = workload.program == Program::EventLoop;
        ConnectionThread {
            connection,
            accepts: system.accepts(),
            serving: false,
            polls: !ported && !workload.blocking.again.is_empty(),
            ported,
            state: State::Running,
            current: None,
        }
    }

    /// What the thread does next.
    pub fn next(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId) -> Next {
        match (self.state, self.current) {
            (State::Entered, _) => self.look(system, issuer, task),
            (State::Asleep, _) => self.after_sleep(system, issuer, task),
            (State::Running, Some((slot, index))) => self.next_step(system, issuer, task, slot, index),
            (State::Running, None) => self.enter(system, issuer, task),
        }
    }

    fn next_step(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId, slot: Slot, index: u32) -> Next {
        match system.request_step(slot, index) {
            Some(step) if step.effect == Effect::Receive => return self.enter(system, issuer, task),
            Some(step) if self.ported && step.object == Object::Epoll => {
                issuer.user_block(system, task, step.user, slot);
                self.current = after_step(system, issuer, task, slot, index);
            }
            _ => self.current = super::issue_step(system, issuer, task, slot, index),
        }
        Next::Continue
    }

    /// The user work before a blocking call, and into the kernel.
    fn enter(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId) -> Next {
        let (step, slot) = self.expected(system);
        if let Some(step) = step {
            issuer.user_block(system, task, step.user, slot);
        }
        issuer.enter(system, task, true);
        self.state = State::Entered;
        Next::Continue
    }

    /// Nothing is in hand and no connection is open: an accept is next.
    fn waits_to_accept(&self) -> bool {
        self.current.is_none() && self.accepts && !self.serving
    }

    /// The step that blocks. When the request is not there yet, which one will come is not known: the work of the first recorded one
    /// stands for it.
    fn expected<'a>(&self, system: &System<'a>) -> (Option<&'a Step>, Slot) {
        let (slot, index) = match self.current {
            Some(current) => current,
            None if self.waits_to_accept() => (Slot::NONE, 0),
            None => (system.waiting_request(self.connection).unwrap_or(Slot::NONE), 0),
        };
        if slot == Slot::NONE {
            return (system.expected_step(self.waits_to_accept()), slot);
        }
        (system.request_step(slot, index), slot)
    }

    fn look(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId) -> Next {
        if let Some((slot, index)) = self.take(system) {
            if let Some(step) = system.request_step(slot, index) {
                issuer.body(system, task, step, slot, true);
            }
            self.go_on(system, issuer, task, slot, index);
            return Next::Continue;
        }
        let call = self.expected(system).0.map_or(CallNumber::READ, |step| step.call);
        let blocking = &system.workload.blocking;
        if self.polls && !self.waits_to_accept() {
            system.push(task, Action::Count(call, Slot::NONE));
            let again = system.pick(&blocking.again);
            issuer.piece(system, task, again, Context::call(call), Slot::NONE);
            issuer.leave(system, task);
            let user = system.pick(&blocking.again_user);
            issuer.user_block(system, task, user, Slot::NONE);
            issuer.enter(system, task, true);
            system.push(task, Action::Count(CallNumber::POLL, Slot::NONE));
        }
        let sleep = system.pick(&blocking.sleep);
        issuer.piece(system, task, sleep, Context::call(call), Slot::NONE);
        self.state = State::Asleep;
        Next::Continue
    }

    fn after_sleep(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId) -> Next {
        let accepting = self.waits_to_accept();
        let Some((slot, index)) = self.take(system) else {
            if accepting {
                system.wait_on(LISTENER, task);
            } else {
                system.connections[self.connection.index()].blocked = Some(task);
            }
            return Next::Sleep;
        };
        let Some(step) = system.request_step(slot, index) else { return Next::Continue };
        let wake = system.pick(&system.workload.blocking.wake);
        issuer.piece(system, task, wake, Context::call(step.call), slot);
        if self.polls && !accepting {
            // the readiness call returns, and the receive is issued again
            issuer.leave(system, task);
            issuer.enter(system, task, false);
            issuer.body(system, task, step, slot, true);
        } else {
            system.push(task, Action::Count(step.call, slot));
        }
        self.go_on(system, issuer, task, slot, index);
        Next::Continue
    }

    /// Takes what the thread waits for, if it is there: a connection, or a request's bytes.
    fn take(&mut self, system: &mut System) -> Option<(Slot, u32)> {
        match self.current {
            None if self.waits_to_accept() => {
                let slot = system.accept(LISTENER)?;
                self.connection = system.requests[slot.index()].connection;
                self.serving = system.goes_on_after(slot);
                Some((slot, 0))
            }
            None => {
                let slot = system.take_request(self.connection)?;
                self.serving = system.goes_on_after(slot);
                Some((slot, 0))
            }
            Some((slot, index)) => {
                let gone = system.connections[self.connection.index()].state == ConnectionState::Closed;
                let there = gone || system.waiting_request(self.connection) == Some(slot);
                there.then(|| {
                    system.take_request(self.connection);
                    (slot, index)
                })
            }
        }
    }

    fn go_on(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId, slot: Slot, index: u32) {
        issuer.leave(system, task);
        self.state = State::Running;
        self.current = after_step(system, issuer, task, slot, index);
    }
}
