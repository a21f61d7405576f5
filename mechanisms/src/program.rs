//! Programs that issue each call where it stands: event loops, a thread or process per connection, sequential programs.
//!
//! The synchronous mechanism and the elevated shortcut share this control flow; they differ in [`Issue`], how one call is made.

use crate::issue::Issue;
use os_model::action::{Action, Slot};
use os_model::connection::Ready;
use os_model::system::{Driver, Next, System};
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, TaskId};
use sim_core::workload::{Effect, Program, Step};
use std::collections::VecDeque;

/// The hook that ends a request: its value is the slot.
pub const HOOK_SERVED: u32 = 1;

/// A driver for programs that issue calls directly.
#[derive(Debug)]
pub struct Direct {
    issue: Issue,
    threads: Vec<Thread>,
    first_task: u32,
}

#[derive(Debug)]
struct Thread {
    kind: ThreadKind,
    state: State,
    current: Option<(Slot, u32)>,
    events: VecDeque<Ready>,
    deferred: VecDeque<Slot>,
    in_deferred: bool,
    /// The step that an event led to: a receive is only tried then, as event loops do after an accept.
    event_step: Option<u32>,
    /// Events that the last readiness call returned.
    last_events: u32,
}

#[derive(Clone, Copy, Debug)]
enum ThreadKind {
    Loop { poller: usize },
    Connection(ConnectionId),
    Sequential,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the program.
    Running,
    /// In the readiness call, before it looks at the ready list.
    WaitEntered,
    /// In the readiness call, asleep or about to be.
    WaitAsleep,
    /// In a blocking receive, before it looks at the socket buffer.
    ReceiveEntered,
    /// In a blocking receive (or the readiness call that stands for it), asleep or about to be.
    ReceiveAsleep,
}

impl Direct {
    /// Makes the program's threads: one event loop a core, a task per connection, or one task.
    pub fn new(system: &mut System, issue: Issue) -> Direct {
        let first_task = system.tasks.len() as u32;
        let cores = system.cores.len() as u32;
        let mut threads = Vec::new();
        match system.workload.program {
            Program::EventLoop => {
                for index in 0..system.pollers.len() as u32 {
                    system.add_task(CoreId((index % cores) as u16), 0, index);
                    threads.push(Thread::new(ThreadKind::Loop { poller: index as usize }));
                }
            }
            Program::ThreadPerConnection | Program::ProcessPerConnection => {
                let processes = system.workload.program == Program::ProcessPerConnection;
                for index in 0..system.connections.len() as u32 {
                    system.add_task(CoreId((index % cores) as u16), if processes { index } else { 0 }, index);
                    threads.push(Thread::new(ThreadKind::Connection(ConnectionId(index))));
                }
            }
            Program::Sequential => {
                system.add_task(CoreId(0), 0, 0);
                threads.push(Thread::new(ThreadKind::Sequential));
            }
        }
        for task in first_task..system.tasks.len() as u32 {
            system.wake(TaskId(task), 0, None);
        }
        Direct { issue, threads, first_task }
    }

    fn thread(&mut self, task: TaskId) -> &mut Thread {
        &mut self.threads[(task.0 - self.first_task) as usize]
    }

    /// Issues one step of a request: user work, the call, and what it changes.
    fn issue_step(&mut self, system: &mut System, task: TaskId, slot: Slot, index: u32) {
        let Some(step) = system.request_step(slot, index) else { return };
        let last = index as usize + 1 == system.steps(slot).len();
        self.issue.user(system, task, step, slot);
        self.issue.call(system, task, step, slot);
        if last {
            system.push(task, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
        }
        system.requests[slot.index()].step = index + 1;
        self.thread(task).current = (!last).then_some((slot, index + 1));
    }

    fn next_in_loop(&mut self, system: &mut System, task: TaskId, poller: usize) -> Next {
        match self.thread(task).state {
            State::WaitEntered => self.look(system, task, poller, false),
            State::WaitAsleep => self.look(system, task, poller, true),
            _ => self.next_unit(system, task, poller),
        }
    }

    /// In the readiness call: return what is ready, or sleep.
    fn look(&mut self, system: &mut System, task: TaskId, poller: usize, slept: bool) -> Next {
        let Some(wait) = &system.workload.wait else { return Next::Sleep };
        let context = Context::call(wait.call);
        // clients of a datagram server share one socket: one descriptor is ready, whatever the number of messages
        let most = if system.workload.datagram { 1 } else { wait.max_events.max(1) as usize };
        let events = system.ready_events(poller, most);
        if events.is_empty() {
            if slept {
                system.wait_on(poller, task);
                return Next::Sleep;
            }
            let sleep = system.pick(&wait.sleep);
            self.issue.wait_piece(system, task, sleep, context);
            self.thread(task).state = State::WaitAsleep;
            return if sleep == sim_core::block::BlockId::EMPTY { self.look(system, task, poller, true) } else { Next::Continue };
        }
        let first = if slept { system.pick(&wait.wake) } else { system.pick(&wait.head) };
        self.issue.wait_piece(system, task, first, context);
        system.push_wait_events(task, &events);
        self.issue.leave(system, task);
        let thread = self.thread(task);
        thread.last_events = events.len() as u32;
        thread.events = events.into();
        thread.state = State::Running;
        Next::Continue
    }

    /// The next event, deferred reply, or the readiness call again.
    fn next_unit(&mut self, system: &mut System, task: TaskId, poller: usize) -> Next {
        loop {
            if let Some((slot, index)) = self.thread(task).current {
                if self.may_continue(system, task, slot, index) {
                    self.issue_step(system, task, slot, index);
                    return Next::Continue;
                }
                continue;
            }
            if let Some(event) = self.thread(task).events.pop_front() {
                self.thread(task).in_deferred = false;
                let unit = begin_unit(system, poller, event);
                let thread = self.thread(task);
                thread.event_step = unit.map(|(_, step)| step);
                thread.current = unit;
                continue;
            }
            if let Some(slot) = self.thread(task).deferred.pop_front() {
                let step = system.requests[slot.index()].step;
                let thread = self.thread(task);
                thread.in_deferred = true;
                thread.current = Some((slot, step));
                continue;
            }
            return self.enter_wait(system, task);
        }
    }

    /// Looks whether the current unit can go on; parks it otherwise (`current` becomes `None`).
    fn may_continue(&mut self, system: &mut System, task: TaskId, slot: Slot, index: u32) -> bool {
        let Some(step) = system.request_step(slot, index) else {
            self.thread(task).current = None;
            return false;
        };
        let connection = system.requests[slot.index()].connection;
        let by_event = self.thread(task).event_step == Some(index);
        if step.effect == Effect::Receive && (!by_event || system.waiting_request(connection) != Some(slot)) {
            system.report_if_readable(connection);
            system.requests[slot.index()].step = index;
            self.thread(task).current = None;
            return false;
        }
        if step.deferred && !self.thread(task).in_deferred {
            system.requests[slot.index()].step = index;
            let thread = self.thread(task);
            thread.deferred.push_back(slot);
            thread.current = None;
            return false;
        }
        if step.effect == Effect::Receive {
            system.take_request(connection);
        }
        true
    }

    fn enter_wait(&mut self, system: &mut System, task: TaskId) -> Next {
        let Some(wait) = &system.workload.wait else { return Next::Sleep };
        let user = system.pick_wait_user(wait, self.thread(task).last_events);
        self.issue.user_block(system, task, user, Slot::NONE);
        self.issue.enter(system, task);
        system.push(task, Action::Count(wait.call, Slot::NONE));
        self.thread(task).state = State::WaitEntered;
        Next::Continue
    }

    /// A thread that serves one connection and blocks for its next request.
    fn next_in_connection(&mut self, system: &mut System, task: TaskId, connection: ConnectionId) -> Next {
        match (self.thread(task).state, self.thread(task).current) {
            (State::Running, Some((slot, index))) if !waits(system.request_step(slot, index)) => {
                self.issue_step(system, task, slot, index);
                Next::Continue
            }
            (State::Running, _) => {
                self.enter_receive(system, task, connection);
                Next::Continue
            }
            (State::ReceiveEntered, _) => self.look_for_data(system, task, connection),
            _ => self.after_sleep(system, task, connection),
        }
    }

    /// The user work before the receive, and into the kernel.
    fn enter_receive(&mut self, system: &mut System, task: TaskId, connection: ConnectionId) {
        let slot = system.waiting_request(connection).unwrap_or(Slot::NONE);
        let first = match slot {
            // nothing there yet: which request will come is not known, so the work of the first recorded one stands for it
            Slot::NONE => {
                system.workload.classes.first().and_then(|class| class.chains.first()).and_then(|chain| chain.steps.first())
            }
            slot => system.request_step(slot, 0),
        };
        if let Some(step) = first {
            let call = step.call;
            self.issue.user(system, task, step, slot);
            self.issue.enter(system, task);
            system.push(task, Action::Count(call, slot));
        }
        self.thread(task).state = State::ReceiveEntered;
    }

    fn look_for_data(&mut self, system: &mut System, task: TaskId, connection: ConnectionId) -> Next {
        if let Some(slot) = system.take_request(connection) {
            if let Some(step) = system.request_step(slot, 0) {
                self.issue.body(system, task, step, slot);
            }
            self.finish_receive(system, task, slot);
            return Next::Continue;
        }
        let blocking = &system.workload.blocking;
        let call = receive_call(system);
        if !blocking.again.is_empty() {
            // a non-blocking descriptor: EAGAIN, then a readiness call that sleeps
            let again = system.pick(&blocking.again);
            self.issue.wait_piece(system, task, again, Context::call(call));
            self.issue.leave(system, task);
            let user = system.pick(&blocking.again_user);
            self.issue.user_block(system, task, user, Slot::NONE);
            self.issue.enter(system, task);
            system.push(task, Action::Count(CallNumber::POLL, Slot::NONE));
        }
        let sleep = system.pick(&blocking.sleep);
        self.issue.wait_piece(system, task, sleep, Context::call(call));
        self.thread(task).state = State::ReceiveAsleep;
        Next::Continue
    }

    fn after_sleep(&mut self, system: &mut System, task: TaskId, connection: ConnectionId) -> Next {
        let Some(slot) = system.waiting_request(connection) else {
            system.connections[connection.index()].blocked = Some(task);
            return Next::Sleep;
        };
        let blocking = &system.workload.blocking;
        let wake = system.pick(&blocking.wake);
        self.issue.wait_piece(system, task, wake, Context::call(receive_call(system)));
        system.take_request(connection);
        if !blocking.again.is_empty() {
            // the readiness call returns, and the receive is issued again
            self.issue.leave(system, task);
            if let Some(step) = system.request_step(slot, 0) {
                self.issue.call(system, task, step, slot);
            }
            self.start_request(system, task, slot);
            return Next::Continue;
        }
        self.finish_receive(system, task, slot);
        Next::Continue
    }

    fn finish_receive(&mut self, system: &mut System, task: TaskId, slot: Slot) {
        self.issue.leave(system, task);
        self.start_request(system, task, slot);
    }

    fn start_request(&mut self, system: &mut System, task: TaskId, slot: Slot) {
        system.requests[slot.index()].step = 1;
        let thread = self.thread(task);
        thread.state = State::Running;
        thread.current = Some((slot, 1));
        if system.steps(slot).len() == 1 {
            system.push(task, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
            self.thread(task).current = None;
        }
    }

    fn next_sequential(&mut self, system: &mut System, task: TaskId) -> Next {
        let (slot, index) = match self.thread(task).current {
            Some(current) => current,
            None => (system.begin_run(), 0),
        };
        self.issue_step(system, task, slot, index);
        Next::Continue
    }
}

impl Thread {
    fn new(kind: ThreadKind) -> Thread {
        Thread {
            kind,
            state: State::Running,
            current: None,
            events: VecDeque::new(),
            deferred: VecDeque::new(),
            in_deferred: false,
            event_step: None,
            last_events: 1,
        }
    }
}

/// The unit of work that an event begins: a request and its next step.
fn begin_unit(system: &mut System, poller: usize, event: Ready) -> Option<(Slot, u32)> {
    match event {
        Ready::Listener => {
            let connection = system.accept(poller)?;
            let slot = system.connections[connection.index()].request;
            Some((slot, 0))
        }
        Ready::Connection(connection) => {
            let slot = system.waiting_request(connection)?;
            Some((slot, system.requests[slot.index()].step))
        }
    }
}

fn waits(step: Option<&Step>) -> bool {
    step.is_none_or(|step| step.effect == Effect::Receive)
}

fn receive_call(system: &System) -> CallNumber {
    let steps = system.workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
    steps.filter(|step| step.effect == Effect::Receive).map(|step| step.call).next().unwrap_or(CallNumber::READ)
}

impl Driver for Direct {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        match self.thread(task).kind {
            ThreadKind::Loop { poller } => self.next_in_loop(system, task, poller),
            ThreadKind::Connection(connection) => self.next_in_connection(system, task, connection),
            ThreadKind::Sequential => self.next_sequential(system, task),
        }
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        if kind == HOOK_SERVED {
            finish(system, core, Slot(value as u32));
        }
    }
}

/// The server is done with a request; a sequential program's run ends here.
pub fn finish(system: &mut System, core: CoreId, slot: Slot) {
    if system.workload.program == Program::Sequential {
        system.end_run(slot, core);
    }
    system.served(slot);
}
