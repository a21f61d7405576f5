//! Batched scripts (lua_syscall): one crossing runs a script in the kernel that makes many calls.
//!
//! The built-in script of an event loop waits, receives from every ready connection up to a limit and returns to the program; the
//! program does its user work for all of them; the next invocation makes each request's calls up to the next user work. A script never
//! does user work: between two calls only glue. See docs/mechanisms/batched-script.md.

use crate::program::{HOOK_SERVED, finish};
use crate::settings::BatchedScriptSettings;
use cpu_model::CrossingKind;
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::connection::Ready;
use os_model::stats::BatchLimit;
use os_model::system::{Driver, Next, System};
use sim_core::block::{BlockId, OpKind};
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, Mode, TaskId};
use sim_core::workload::{Effect, Program};
use std::collections::VecDeque;

/// The driver.
#[derive(Debug)]
pub struct BatchedScript {
    settings: BatchedScriptSettings,
    threads: Vec<Thread>,
    first_task: u32,
}

#[derive(Debug)]
struct Thread {
    /// Event loop's poller, or `None` for a thread that serves one connection or is sequential.
    poller: Option<usize>,
    connection: ConnectionId,
    state: State,
    /// User work to do before the request's next segment: slot, step, and whether the work of the step before is still to do.
    user_work: VecDeque<(Slot, u32, bool)>,
    /// Segments whose user work is done.
    segments: VecDeque<(Slot, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    /// In the script, before it looks for work.
    Entered,
    /// In the script, asleep or about to be.
    Asleep,
}

/// How far a segment came.
enum Reached {
    /// The request is served.
    End,
    /// The request's next step needs user work first.
    UserWork(u32),
    /// The next step is a receive whose data is not there.
    Waits,
}

impl BatchedScript {
    /// Registers the built-in script once per thread and makes the program's threads.
    pub fn new(system: &mut System, settings: &BatchedScriptSettings) -> BatchedScript {
        let first_task = system.tasks.len() as u32;
        let cores = system.cores.len() as u32;
        let program = system.workload.program;
        let count = match program {
            Program::EventLoop => system.pollers.len() as u32,
            Program::ThreadPerConnection | Program::ProcessPerConnection => system.connections.len() as u32,
            Program::Sequential => 1,
        };
        let mut threads = Vec::new();
        for index in 0..count {
            let process = if program == Program::ProcessPerConnection { index } else { 0 };
            let task = system.add_task(CoreId((index % cores) as u16), process, index);
            let poller = (program == Program::EventLoop).then_some(index as usize);
            threads.push(Thread {
                poller,
                connection: ConnectionId(index),
                state: State::Running,
                user_work: VecDeque::new(),
                segments: VecDeque::new(),
            });
            system.wake(task, 0, None);
        }
        BatchedScript { settings: settings.clone(), threads, first_task }
    }

    /// Lines of all Lua states.
    pub fn memory_lines(settings: &BatchedScriptSettings, threads: u32) -> u32 {
        settings.state_lines * threads.max(1)
    }

    fn thread(&mut self, task: TaskId) -> &mut Thread {
        &mut self.threads[(task.0 - self.first_task) as usize]
    }

    /// Into the kernel and the Lua state.
    fn enter(&self, system: &mut System, task: TaskId) {
        system.push(task, Action::Cross(CrossingKind::SystemCallEntry));
        let context = Context::mechanism(Mode::Kernel);
        // lua_syscall is a real call: the kernel's entry and exit code is that of the recorded null call
        let null_call = system.pick_kernel(|kernel| &kernel.null_call);
        system.push_block(task, null_call, context, Slot::NONE);
        system.push(task, Action::Instructions(context, self.settings.invocation_instructions));
        let first = system.bases.mechanism() + (task.0 - self.first_task) * self.settings.state_lines;
        for line in 0..self.settings.state_lines {
            system.push(task, Action::Touch(context, first + line, OpKind::Load));
        }
    }

    fn leave(&self, system: &mut System, task: TaskId) {
        system.push(task, Action::Cross(CrossingKind::SystemCallExit));
    }

    /// The script's own work for one call.
    fn interpret(&self, system: &mut System, task: TaskId, extra_bytecodes: u32) {
        let bytecodes = self.settings.bytecodes_per_call + extra_bytecodes;
        let instructions = bytecodes * self.settings.instructions_per_bytecode + self.settings.binding_instructions;
        system.push(task, Action::Instructions(Context::mechanism(Mode::Kernel), instructions));
    }

    /// Makes a request's calls from `first` on, up to the next user work. Returns how far it came and how many calls it made.
    fn segment(&self, system: &mut System, task: TaskId, slot: Slot, first: u32) -> (Reached, u32) {
        let steps = system.steps(slot);
        let mut calls = 0;
        for index in first.. {
            let Some(step) = steps.get(index as usize) else { break };
            let user = system.workload.blocks.info(step.user).instructions;
            if index > first && user > self.settings.glue_instructions {
                return (Reached::UserWork(index), calls);
            }
            if step.effect == Effect::Receive {
                let connection = system.requests[slot.index()].connection;
                if system.waiting_request(connection) != Some(slot) {
                    system.requests[slot.index()].step = index;
                    return (Reached::Waits, calls);
                }
                system.take_request(connection);
            }
            // glue between two calls is done by the script: about one bytecode for four machine instructions of compiled C
            let glue = if index > first { user.div_ceil(4) } else { 0 };
            self.interpret(system, task, glue);
            let mut actions = Vec::new();
            system.call_actions(step, slot, Part::Handler, &mut actions);
            system.tasks[task.index()].actions.extend(actions);
            calls += 1;
            system.requests[slot.index()].step = index + 1;
        }
        system.push(task, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
        (Reached::End, calls)
    }

    fn queue_rest(&mut self, task: TaskId, slot: Slot, reached: &Reached) {
        if let Reached::UserWork(step) = reached {
            self.thread(task).user_work.push_back((slot, *step, false));
        }
    }

    fn next_in_loop(&mut self, system: &mut System, task: TaskId, poller: usize) -> Next {
        match self.thread(task).state {
            State::Entered => self.look(system, task, poller, false),
            State::Asleep => self.look(system, task, poller, true),
            State::Running => {
                self.run(system, task);
                Next::Continue
            }
        }
    }

    /// User work first, then the segments that became ready by it, then the script that waits.
    fn run(&mut self, system: &mut System, task: TaskId) {
        if let Some((slot, step, before)) = self.thread(task).user_work.pop_front() {
            let steps = system.steps(slot);
            if before && let Some(previous) = steps.get((step as usize).wrapping_sub(1)) {
                system.push_block(task, previous.user, Context::USER, slot);
            }
            if let Some(current) = steps.get(step as usize) {
                system.push_block(task, current.user, Context::USER, slot);
            }
            self.thread(task).segments.push_back((slot, step));
        } else if !self.thread(task).segments.is_empty() {
            self.run_segments(system, task);
        } else {
            self.enter(system, task);
            self.thread(task).state = State::Entered;
        }
    }

    fn run_segments(&mut self, system: &mut System, task: TaskId) {
        self.enter(system, task);
        let limit = self.settings.limit.max(1) as usize;
        let count = self.thread(task).segments.len().min(limit);
        let limited = self.thread(task).segments.len() > limit;
        let mut calls = 0;
        for _ in 0..count {
            if let Some((slot, step)) = self.thread(task).segments.pop_front() {
                let (reached, made) = self.segment(system, task, slot, step);
                calls += made;
                self.queue_rest(task, slot, &reached);
            }
        }
        self.leave(system, task);
        system.stats.batch(calls, if limited { BatchLimit::Limit } else { BatchLimit::Ready });
    }

    /// In the waiting script: receive from what is ready, or sleep.
    fn look(&mut self, system: &mut System, task: TaskId, poller: usize, slept: bool) -> Next {
        let Some(wait) = &system.workload.wait else { return Next::Sleep };
        let context = Context::call(wait.call);
        let limit = self.settings.limit.max(1) as usize;
        let most = if system.workload.datagram { system.pollers[poller].ready.len().min(limit) } else { limit };
        let events = system.ready_events(poller, most);
        if events.is_empty() {
            if slept {
                system.wait_on(poller, task);
                return Next::Sleep;
            }
            system.push(task, Action::Count(wait.call, Slot::NONE));
            self.interpret(system, task, 0);
            let sleep = system.pick(&wait.sleep);
            self.push_part(system, task, sleep, context);
            self.thread(task).state = State::Asleep;
            return Next::Continue;
        }
        let first = if slept { system.pick(&wait.wake) } else { system.pick(&wait.head) };
        if !slept {
            system.push(task, Action::Count(wait.call, Slot::NONE));
            self.interpret(system, task, 0);
        }
        self.push_part(system, task, first, context);
        let reported = if system.workload.datagram { &events[..1] } else { &events[..] };
        system.push_wait_events(task, reported);
        let more = system.pollers[poller].ready.len() > events.len();
        let calls = self.receive_all(system, task, poller, &events);
        self.leave(system, task);
        self.thread(task).state = State::Running;
        system.stats.batch(calls, if more { BatchLimit::Limit } else { BatchLimit::Ready });
        Next::Continue
    }

    /// Accepts and receives for each event; each request goes on to user work.
    fn receive_all(&mut self, system: &mut System, task: TaskId, poller: usize, events: &[Ready]) -> u32 {
        let limit = self.settings.limit.max(1) as usize;
        let mut units = Vec::new();
        for event in events {
            match event {
                // the script goes on accepting while connections wait
                Ready::Listener => {
                    while units.len() < limit
                        && let Some(connection) = system.accept(poller)
                    {
                        units.push((system.connections[connection.index()].request, 0));
                    }
                }
                Ready::Connection(connection) => {
                    units.extend(system.waiting_request(*connection).map(|slot| (slot, system.requests[slot.index()].step)));
                }
            }
        }
        let mut calls = 0;
        for (slot, step) in units {
            let (reached, made) = self.segment(system, task, slot, step);
            calls += made;
            if let Reached::UserWork(next) = reached {
                // the user work that stood before the first call runs with the rest
                self.thread(task).user_work.push_back((slot, next, next == step + 1));
            }
        }
        calls
    }

    /// A recorded piece of the readiness call without the kernel's entry and exit code.
    fn push_part(&self, system: &mut System, task: TaskId, block: BlockId, context: Context) {
        let (range, _) = Part::Handler.range(system.workload.blocks.info(block));
        if !range.is_empty() {
            let (start, end) = (range.start as u32, range.end as u32);
            system.push(task, Action::Block { block, start, end, context, slot: Slot::NONE });
        }
    }

    /// A thread that serves one connection, or a sequential program: scripts hold the longest run of calls without user work.
    fn next_alone(&mut self, system: &mut System, task: TaskId) -> Next {
        let connection = self.thread(task).connection;
        match self.thread(task).state {
            State::Running => {
                if let Some((slot, step, _)) = self.thread(task).user_work.pop_front() {
                    self.work_and_segment(system, task, slot, step);
                } else if system.workload.program == Program::Sequential {
                    let slot = system.begin_run();
                    self.work_and_segment(system, task, slot, 0);
                } else {
                    self.wait_for_request(system, task, connection);
                }
                Next::Continue
            }
            State::Entered | State::Asleep => self.receive_alone(system, task, connection),
        }
    }

    fn work_and_segment(&mut self, system: &mut System, task: TaskId, slot: Slot, step: u32) {
        if let Some(current) = system.request_step(slot, step) {
            system.push_block(task, current.user, Context::USER, slot);
        }
        self.enter(system, task);
        let (reached, calls) = self.segment(system, task, slot, step);
        self.leave(system, task);
        self.queue_rest(task, slot, &reached);
        system.stats.batch(calls, BatchLimit::Dependencies);
    }

    fn wait_for_request(&mut self, system: &mut System, task: TaskId, connection: ConnectionId) {
        let slot = system.waiting_request(connection).unwrap_or(Slot::NONE);
        let first = match slot {
            Slot::NONE => {
                system.workload.classes.first().and_then(|class| class.chains.first()).and_then(|chain| chain.steps.first())
            }
            slot => system.request_step(slot, 0),
        };
        if let Some(step) = first {
            system.push_block(task, step.user, Context::USER, slot);
        }
        self.enter(system, task);
        self.thread(task).state = State::Entered;
    }

    fn receive_alone(&mut self, system: &mut System, task: TaskId, connection: ConnectionId) -> Next {
        let context = Context::call(sim_core::calls::CallNumber::READ);
        let Some(slot) = system.waiting_request(connection) else {
            if self.thread(task).state == State::Entered {
                let sleep = system.pick(&system.workload.blocking.sleep);
                self.push_part(system, task, sleep, context);
                self.thread(task).state = State::Asleep;
                return Next::Continue;
            }
            system.connections[connection.index()].blocked = Some(task);
            return Next::Sleep;
        };
        if self.thread(task).state == State::Asleep {
            let wake = system.pick(&system.workload.blocking.wake);
            self.push_part(system, task, wake, context);
        }
        let (reached, calls) = self.segment(system, task, slot, 0);
        self.leave(system, task);
        self.queue_rest(task, slot, &reached);
        self.thread(task).state = State::Running;
        system.stats.batch(calls, BatchLimit::Dependencies);
        Next::Continue
    }
}

impl Driver for BatchedScript {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        match self.thread(task).poller {
            Some(poller) => self.next_in_loop(system, task, poller),
            None => self.next_alone(system, task),
        }
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        if kind == HOOK_SERVED {
            finish(system, core, Slot(value as u32));
        }
    }
}
