//! Batched scripts (lua_syscall): one crossing runs a script in the kernel that makes many calls.
//!
//! Scripts are real Lua. Each call that a script makes is executed by the simulated kernel over simulated time, and may block; the
//! program does its own work between invocations. What a script leaves undone the program does by true system calls. The variants
//! without a script put vectors of calls, or batches of messages, into one crossing. See docs/mechanisms/batched-script.md.

mod answers;
mod descriptors;
mod direct;
mod invocation;
mod messages;
mod price;
mod vector;
mod wait;

use crate::program::{HOOK_SERVED, finish};
use crate::settings::{BatchedScriptSettings, BatchedScriptVariant};
use invocation::Invoked;
use os_model::action::{Action, Slot};
use os_model::system::{Driver, Next, System};
use script::{Engine, WAIT, WORK};
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, TaskId};
use sim_core::workload::{Effect, Program, Step, Workload};
use std::collections::{BTreeMap, VecDeque};

/// The driver.
#[derive(Debug)]
pub struct BatchedScript {
    settings: BatchedScriptSettings,
    threads: Vec<Thread>,
    first_task: u32,
    /// Recorded steps for calls that a script makes where the program did not, by number; `None` when there is none.
    borrowed: BTreeMap<CallNumber, Option<Step>>,
}

/// One thread of the program.
#[derive(Debug)]
struct Thread {
    /// Event loop's poller, or `None` for a thread that serves one connection or is sequential.
    poller: Option<usize>,
    connection: ConnectionId,
    /// A thread that accepts its connections has one that carries on.
    serving: bool,
    state: State,
    /// The thread's own Lua state; `None` for variants without scripts.
    engine: Option<Engine>,
    invocation: Option<Invoked>,
    /// Requests whose own work before a step is to be done; a step past the end: only owed work.
    user_work: VecDeque<(Slot, u32)>,
    /// Requests whose own work before a step is done: their calls are due.
    ready: VecDeque<(Slot, u32)>,
    /// Requests whose calls the program makes one by one until their next own work.
    direct: VecDeque<(Slot, u32)>,
    /// Own work that the script passed over: it is done when the script has returned.
    owed: Vec<(Slot, BlockId)>,
    /// Requests that a script failed on: their calls are true ones from there on.
    given_up: Vec<Slot>,
    /// The script's last wait took nothing: the program waits by a true call next.
    wait_directly: bool,
    registered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the program.
    Program,
    /// In the script.
    Script,
    /// In a readiness call of the program's own; asleep or about to be when `slept`.
    Wait { slept: bool },
    /// In a blocking accept of the program's own; asleep or about to be when `slept`.
    Accept { slept: bool },
    /// In a blocking receive of the program's own; asleep or about to be when `slept`.
    Receive { slept: bool },
}

/// A fresh LuaJIT state with its standard libraries takes about 30 KiB (`collectgarbage("count")`).
const LUA_STATE_BYTES: u64 = 30 * 1024;

/// A step past every chain's end.
const END: u32 = u32::MAX;

impl BatchedScript {
    /// Makes the program's threads, each with its own Lua state when the variant runs scripts.
    pub fn new(system: &mut System, settings: &BatchedScriptSettings) -> BatchedScript {
        let first_task = system.tasks.len() as u32;
        let cores = system.cores.len() as u32;
        let program = system.workload.program;
        let count = match program {
            Program::EventLoop => system.pollers.len() as u32,
            Program::ThreadPerConnection | Program::ProcessPerConnection => system.connections.len() as u32,
            Program::Sequential => 1,
        };
        let seeds = system.seeds.child("scripts");
        let mut threads = Vec::new();
        for index in 0..count {
            let process = if program == Program::ProcessPerConnection { index } else { 0 };
            let task = system.add_task(CoreId((index % cores) as u16), process, index);
            let poller = (program == Program::EventLoop).then_some(index as usize);
            let seed = seeds.child_index(u64::from(index)).value();
            threads.push(Thread::new(poller, ConnectionId(index), load(settings, program, seed)));
            system.wake(task, 0, None);
        }
        BatchedScript { settings: settings.clone(), threads, first_task, borrowed: BTreeMap::new() }
    }

    /// Lines of all Lua states.
    pub fn memory_lines(settings: &BatchedScriptSettings, threads: u32) -> u32 {
        settings.state_lines * threads.max(1)
    }

    /// Memory of all Lua states; the variants without scripts keep nothing in the kernel.
    pub fn memory_bytes(settings: &BatchedScriptSettings, threads: u32) -> u64 {
        if settings.variant == BatchedScriptVariant::Script { u64::from(threads) * LUA_STATE_BYTES } else { 0 }
    }

    /// Why a variant cannot run a workload, if it cannot.
    pub fn inapplicable(settings: &BatchedScriptSettings, workload: &Workload) -> Option<String> {
        let messages = settings.variant == BatchedScriptVariant::MessageBatch;
        (messages && !workload.datagram)
            .then(|| "recvmmsg and sendmmsg batch the messages of one datagram socket; this workload has none".into())
    }

    fn thread(&mut self, task: TaskId) -> &mut Thread {
        &mut self.threads[(task.0 - self.first_task) as usize]
    }

    /// In the program: direct calls first, then own work, then what became ready by it, then waiting.
    fn program(&mut self, system: &mut System, task: TaskId) -> Next {
        self.register(system, task);
        let collects = self.collects(task);
        let thread = self.thread(task);
        if let Some((slot, step)) = thread.direct.pop_front() {
            return self.call_directly(system, task, slot, step);
        }
        let ready_first = !collects && !thread.ready.is_empty();
        if !ready_first && let Some((slot, step)) = thread.user_work.pop_front() {
            self.own_work(system, task, slot, step);
            return Next::Continue;
        }
        if !self.thread(task).ready.is_empty() {
            self.make_calls(system, task);
            return Next::Continue;
        }
        self.idle(system, task)
    }

    /// True when calls of several requests go into one crossing, so that the program does its own work for all of them first.
    fn collects(&mut self, task: TaskId) -> bool {
        self.settings.variant != BatchedScriptVariant::MultiCall && self.thread(task).poller.is_some()
    }

    /// The program's own work before a step, with what a script passed over.
    fn own_work(&mut self, system: &mut System, task: TaskId, slot: Slot, step: u32) {
        let mut owed = std::mem::take(&mut self.thread(task).owed);
        for (_, block) in owed.extract_if(.., |(of, _)| *of == slot) {
            system.push_block(task, block, Context::USER, slot);
        }
        self.thread(task).owed = owed;
        if step == END {
            system.push(task, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
            return;
        }
        if let Some(current) = system.request_step(slot, step) {
            system.push_block(task, current.user, Context::USER, slot);
        }
        let thread = self.thread(task);
        let next = if thread.given_up.contains(&slot) { &mut thread.direct } else { &mut thread.ready };
        next.push_back((slot, step));
    }

    /// The calls of requests that are due, in the variant's way.
    fn make_calls(&mut self, system: &mut System, task: TaskId) {
        let variant = self.settings.variant;
        match variant {
            BatchedScriptVariant::Script if self.offers(task, WORK) => self.invoke(system, task, WORK),
            // `io-uring-enter` has a driver of its own
            BatchedScriptVariant::Script | BatchedScriptVariant::IoUringEnter => {
                let thread = self.thread(task);
                thread.direct.append(&mut thread.ready);
            }
            BatchedScriptVariant::MultiCall => self.vector(system, task, 1),
            BatchedScriptVariant::LoopedMultiCall => self.vector(system, task, self.settings.limit.max(1)),
            BatchedScriptVariant::MessageBatch => self.message_batch(system, task),
        }
    }

    /// Nothing left to do for any request.
    fn idle(&mut self, system: &mut System, task: TaskId) -> Next {
        let thread = self.thread(task);
        let (poller, connection) = (thread.poller, thread.connection);
        let directly = std::mem::take(&mut thread.wait_directly);
        if poller.is_some() {
            if self.offers(task, WAIT) && !directly {
                self.invoke(system, task, WAIT);
                return Next::Continue;
            }
            return self.enter_wait(system, task);
        }
        if system.workload.program == Program::Sequential {
            let slot = system.begin_run();
            self.thread(task).user_work.push_back((slot, 0));
            return Next::Continue;
        }
        self.idle_connection(system, task, connection, directly)
    }

    /// A thread that serves one connection: its receive waits for the next request, in the script or as a true call.
    fn idle_connection(&mut self, system: &mut System, task: TaskId, connection: ConnectionId, directly: bool) -> Next {
        if system.accepts() && !self.thread(task).serving {
            return self.enter_accept(system, task);
        }
        let slot = system.waiting_request(connection).unwrap_or(Slot::NONE);
        if !directly && let Some(step) = first_step(system, slot) {
            system.push_block(task, step.user, Context::USER, slot);
        }
        if self.offers(task, WORK) && !directly {
            self.invoke(system, task, WORK);
            return Next::Continue;
        }
        self.enter_receive(system, task, slot)
    }

    fn offers(&mut self, task: TaskId, entry: &str) -> bool {
        self.thread(task).engine.as_ref().is_some_and(|engine| engine.has(entry))
    }

    /// What comes next for a request: the end, another call at once, or the program's own work.
    fn sort_out(&self, system: &System, slot: Slot) -> After {
        let next = system.requests[slot.index()].step;
        let Some(step) = system.request_step(slot, next) else { return After::Ended };
        if step.effect == Effect::Receive {
            let connection = system.requests[slot.index()].connection;
            if system.waiting_request(connection) != Some(slot) {
                return After::Waits;
            }
        }
        if self.is_glue(system, step) { After::Due(next) } else { After::OwnWork(next) }
    }

    /// User work short enough for a script to do by itself.
    fn is_glue(&self, system: &System, step: &Step) -> bool {
        system.workload.blocks.info(step.user).instructions <= self.settings.glue_instructions
    }
}

/// What comes next for a request.
enum After {
    /// Nothing: its last call is made.
    Ended,
    /// A receive whose data is not there.
    Waits,
    /// A call that needs no own work before it.
    Due(u32),
    /// The program's own work before a step.
    OwnWork(u32),
}

impl Thread {
    fn new(poller: Option<usize>, connection: ConnectionId, engine: Option<Engine>) -> Thread {
        Thread {
            poller,
            connection,
            serving: false,
            state: State::Program,
            engine,
            invocation: None,
            user_work: VecDeque::new(),
            ready: VecDeque::new(),
            direct: VecDeque::new(),
            owed: Vec::new(),
            given_up: Vec::new(),
            wait_directly: false,
            registered: false,
        }
    }
}

/// A thread's Lua state. The settings were checked before the run: a text that loads once loads again.
fn load(settings: &BatchedScriptSettings, program: Program, seed: u64) -> Option<Engine> {
    if settings.variant != BatchedScriptVariant::Script {
        return None;
    }
    let (name, source) = settings.text(program);
    Engine::new(source, name, settings.limits(), seed).ok()
}

/// The first step of a request; when none is there yet, which will come is not known, so the first recorded one stands for it.
fn first_step<'a>(system: &System<'a>, slot: Slot) -> Option<&'a Step> {
    match slot {
        Slot::NONE => system.workload.classes.first().and_then(|class| class.chains.first()).and_then(|chain| chain.steps.first()),
        slot => system.request_step(slot, 0),
    }
}

impl Driver for BatchedScript {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        match self.thread(task).state {
            State::Program => self.program(system, task),
            State::Script => self.go_on(system, task),
            State::Wait { slept } => self.look_directly(system, task, slept),
            State::Accept { slept } => self.accept_directly(system, task, slept),
            State::Receive { slept } => self.receive_directly(system, task, slept),
        }
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        if kind == HOOK_SERVED {
            let slot = Slot(value as u32);
            let task = system.cores[core.index()].current;
            self.thread(task).serving &= system.goes_on_after(slot);
            finish(system, core, slot);
        }
    }
}
