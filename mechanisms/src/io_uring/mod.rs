//! io_uring: the program writes calls into a submission ring and finds their results in a completion ring; it enters the kernel once
//! for a batch, or never while a kernel thread polls the ring.
//!
//! Both rings live on simulated lines that travel between caches. What the kernel executes around the calls is recorded
//! (`RingBlocks`). See docs/mechanisms/io-uring.md.

mod kernel;
pub(crate) mod operations;
mod poll_thread;
mod readiness;
mod ring;
mod route;
mod user;
mod worker;

use crate::program::{HOOK_SERVED, finish};
use crate::registry::Needs;
use crate::settings::{BatchedScriptVariant, ExceptionLessVariant, IoUringSettings, MechanismSettings, TaskRun};
use cpu_model::CrossingKind;
use os_model::action::{Action, Slot};
use os_model::clients::ClientKind;
use os_model::system::{Driver, Next, System};
use os_model::task::{FrameStep, TaskState};
use poll_thread::PollThread;
use ring::{Op, OpState, Ring};
use sim_core::context::{Agent, Context};
use sim_core::ids::{ConnectionId, CoreId, Mode, TaskId};
use sim_core::workload::{Effect, Program, Workload};
use std::collections::VecDeque;
use user::{Phase, Thread};
use worker::Workers;

/// The prepared entries of a ring become the kernel's.
const HOOK_PUBLISH: u32 = 20;
/// A request's completion can be seen.
const HOOK_COMPLETED: u32 = 21;
/// A request's poll is armed.
const HOOK_ARMED: u32 = 22;
/// A request's poll fired.
const HOOK_FIRED: u32 = 23;
/// A program's thread was interrupted to run its task work.
const HOOK_TASK_WORK: u32 = 24;
/// A polling thread asks to be woken.
const HOOK_NEED_WAKEUP: u32 = 25;
/// The kernel executed the last of a request's own work: what is linked behind it may run.
const HOOK_EXECUTED: u32 = 26;

/// Who submits, and how requests come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One enter a batch; receives and accepts are submitted before their data is there.
    Enter,
    /// A kernel thread on the program's own core submits.
    PollSameCore,
    /// A kernel thread on another core submits.
    PollOtherCore,
    /// An ordinary event loop with its readiness call that batches the calls for all ready connections into one enter.
    Batch {
        /// Calls per enter at most.
        limit: u32,
    },
}

impl Style {
    /// The style that the settings choose for exception-less calls, if they choose one.
    pub fn of_exception_less(variant: ExceptionLessVariant) -> Option<Style> {
        match variant {
            ExceptionLessVariant::IoUring => Some(Style::Enter),
            ExceptionLessVariant::IoUringPollSameCore => Some(Style::PollSameCore),
            ExceptionLessVariant::IoUringPollOtherCore => Some(Style::PollOtherCore),
            _ => None,
        }
    }

    /// The style that the settings choose for batched calls, if they choose one.
    pub fn of_batched_script(settings: &MechanismSettings) -> Option<Style> {
        let batched = &settings.batched_script;
        (batched.variant == BatchedScriptVariant::IoUringEnter).then_some(Style::Batch { limit: batched.limit.max(1) })
    }

    /// True when a kernel thread polls the rings.
    fn polls(self) -> bool {
        matches!(self, Style::PollSameCore | Style::PollOtherCore)
    }

    /// Why the style cannot run a workload, if it cannot.
    pub fn inapplicable(self, workload: &Workload) -> Option<String> {
        if workload.kernel.ring.enter.is_empty() {
            return Some("the workload brings no recorded kernel work of io_uring; import its recording again".into());
        }
        if self.polls() && workload.program == Program::ProcessPerConnection {
            let reason =
                "rings share a polling thread only inside a process: a process per connection would need one that spins for each";
            return Some(reason.into());
        }
        None
    }
}

/// How many of everything the mechanism makes.
#[derive(Clone, Copy, Debug)]
struct Counts {
    /// Threads of the program, each with a ring.
    threads: u32,
    /// Cores of the program's threads.
    program_cores: u32,
    poll_threads: u32,
    workers: u32,
}

impl Counts {
    fn of(workload: &Workload, settings: &IoUringSettings, style: Style, cores: u32, connections: u32) -> Counts {
        let others = style == Style::PollOtherCore && cores > 1;
        let single = workload.single_threaded || workload.program == Program::Sequential;
        let program_cores = match (single, others) {
            (true, _) => 1,
            (false, true) => cores.div_ceil(2),
            (false, false) => cores,
        };
        let threads = match workload.program {
            Program::EventLoop => program_cores,
            Program::ThreadPerConnection | Program::ProcessPerConnection => connections,
            Program::Sequential => 1,
        };
        let poll_threads = match (style.polls(), others) {
            (false, _) => 0,
            (true, false) => program_cores,
            (true, true) => (cores - program_cores).min(program_cores),
        };
        let workers = if settings.workers_max == 0 { 4 * cores } else { settings.workers_max };
        Counts { threads, program_cores, poll_threads, workers }
    }
}

/// What a run needs.
pub fn needs(workload: &Workload, settings: &IoUringSettings, style: Style, cores: u32, connections: u32) -> Needs {
    let counts = Counts::of(workload, settings, style, cores, connections);
    let entries = settings.entries;
    let ring_bytes = u64::from(ring::lines(entries)) * 64 + u64::from(ring::requests(entries)) * settings.request_bytes;
    Needs {
        tasks: counts.threads + counts.poll_threads + counts.workers,
        memory_lines: counts.threads * ring::lines(entries),
        pollers: if workload.program == Program::EventLoop { counts.threads } else { 1 },
        memory_bytes: u64::from(counts.threads) * ring_bytes
            + u64::from(counts.poll_threads + counts.workers) * settings.thread_bytes,
        ..Needs::default()
    }
}

/// The driver.
#[derive(Debug)]
pub struct IoUring {
    settings: IoUringSettings,
    style: Style,
    rings: Vec<Ring>,
    ops: Vec<Op>,
    threads: Vec<Thread>,
    poll_threads: Vec<PollThread>,
    workers: Workers,
    first_task: u32,
    /// The armed receive of each connection.
    armed_receives: Vec<Option<u32>>,
    /// Armed accepts by listening socket.
    armed_accepts: Vec<VecDeque<u32>>,
    /// Thousandths of calls for storage that are due, for `storage_permille`.
    storage_due: u32,
}

/// The program's side of the mechanism's own work.
fn user_context() -> Context {
    Context::mechanism(Mode::User)
}

/// The kernel's side of the mechanism's own work.
fn kernel_context() -> Context {
    Context::mechanism(Mode::Kernel)
}

impl IoUring {
    /// Sets the rings up and makes the program's threads, the polling threads and the workers.
    pub fn new(system: &mut System, settings: &IoUringSettings, style: Style) -> IoUring {
        let cores = system.cores.len() as u32;
        let counts = Counts::of(system.workload, settings, style, cores, system.connections.len() as u32);
        let first_task = system.tasks.len() as u32;
        let entries = settings.entries;
        let (mut rings, mut ops) = (Vec::new(), Vec::new());
        for index in 0..counts.threads {
            let base = system.bases.mechanism() + index * ring::lines(entries);
            rings.push(Ring::new(base, entries, index * ring::requests(entries)));
            let free = Op {
                ring: index as usize,
                state: OpState::Free,
                connection: ConnectionId(0),
                slot: Slot::NONE,
                step: 0,
                early: false,
                accepts: false,
                next: None,
                position: 0,
            };
            ops.extend(std::iter::repeat_n(free, ring::requests(entries) as usize));
        }
        let threads = user::make(system, counts.threads, counts.program_cores);
        let poll_threads = poll_thread::make(system, &counts, style, cores);
        let workers = Workers::make(system, counts.workers, cores);
        let connections = system.connections.len();
        let pollers = system.pollers.len();
        IoUring {
            settings: settings.clone(),
            style,
            rings,
            ops,
            threads,
            poll_threads,
            workers,
            first_task,
            armed_receives: vec![None; connections],
            armed_accepts: vec![VecDeque::new(); pollers],
            storage_due: 0,
        }
    }

    /// The polling thread that serves a ring.
    fn poll_thread_of(&self, ring: usize) -> Option<usize> {
        (!self.poll_threads.is_empty()).then(|| ring % self.poll_threads.len())
    }

    /// Whoever runs a ring's task work.
    fn task_work_runner(&self, ring: usize) -> TaskId {
        match self.poll_thread_of(ring) {
            Some(index) => self.poll_threads[index].task,
            None => self.threads[ring].task,
        }
    }

    /// A request of a ring is to be run as task work: whoever does it hears of it.
    fn notify(&mut self, system: &mut System, ring: usize, core: CoreId) {
        let task = self.task_work_runner(ring);
        let at = system.cpu.clock(core);
        if self.poll_threads.is_empty() && self.threads[ring].phase == Phase::User {
            if self.settings.task_run == TaskRun::Interrupt {
                self.interrupt(system, ring, core);
            }
            return;
        }
        system.wake(task, at, Some(core));
    }

    /// Interrupts a program's thread to run task work: on its own core before the return from the interrupt that brought the news, on
    /// another by an inter-processor interrupt.
    fn interrupt(&mut self, system: &mut System, ring: usize, core: CoreId) {
        if std::mem::replace(&mut self.threads[ring].interrupted, true) {
            return;
        }
        let task = self.threads[ring].task;
        let actions = &mut system.tasks[task.index()].actions;
        let elsewhere = system.cores[core.index()].current != task;
        if elsewhere {
            actions.push_front(Action::Cross(CrossingKind::InterruptExit { to: Mode::User }));
        }
        actions.push_front(Action::Hook(HOOK_TASK_WORK, ring as u64));
        if elsewhere {
            actions.push_front(Action::Cross(CrossingKind::InterruptEntry { from: Mode::User }));
            system.stats.occurred("interrupts for task work", 1);
        }
    }

    /// Runs the task work of an interrupted thread before what it was doing.
    fn task_work_in_interrupt(&mut self, system: &mut System, ring: usize) {
        self.threads[ring].interrupted = false;
        let task = self.threads[ring].task;
        let rest = std::mem::take(&mut system.tasks[task.index()].actions);
        self.run_task_work(system, task, ring);
        system.tasks[task.index()].actions.extend(rest);
    }

    /// A poll fires in the softirq of a core: recorded work there, and waking whoever sleeps.
    fn fire(&mut self, system: &mut System, core: CoreId, op: u32) {
        let softirq = Context::kernel(Agent::SOFTIRQ);
        let ring = self.ops[op as usize].ring;
        let fired = route::pick(system, |ring| &ring.poll_wake);
        let fired = system.whole(fired, softirq, self.ops[op as usize].slot);
        system.cores[core.index()].frame.push_back(FrameStep::Do(fired));
        let runner = self.task_work_runner(ring);
        if system.tasks[runner.index()].state == TaskState::Sleeping {
            let wake = route::pick(system, |ring| &ring.wake_task);
            let wake = system.whole(wake, softirq, Slot::NONE);
            system.cores[core.index()].frame.push_back(FrameStep::Do(wake));
        }
        system.cores[core.index()].frame.push_back(FrameStep::Do(Action::Hook(HOOK_FIRED, u64::from(op))));
    }

    fn fired(&mut self, system: &mut System, op: u32, core: CoreId) {
        if self.ops[op as usize].state == OpState::Armed {
            self.ops[op as usize].state = OpState::TaskWork;
            let ring = self.ops[op as usize].ring;
            self.rings[ring].task_work.push_back(op);
            self.notify(system, ring, core);
        }
    }
}

impl Driver for IoUring {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        let index = (task.0 - self.first_task) as usize;
        let poll_threads = self.threads.len()..self.threads.len() + self.poll_threads.len();
        if index < poll_threads.start {
            self.next_thread(system, index)
        } else if poll_threads.contains(&index) {
            self.next_poll_thread(system, index - poll_threads.start)
        } else {
            self.next_worker(system, index - poll_threads.end)
        }
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        let op = value as u32;
        match kind {
            HOOK_SERVED => self.served(system, core, Slot(value as u32)),
            HOOK_PUBLISH => self.rings[value as usize].publish(),
            HOOK_COMPLETED => self.completed(system, op, core),
            HOOK_EXECUTED => self.executed(system, op, core),
            HOOK_ARMED => self.armed(system, op, core),
            HOOK_FIRED => self.fired(system, op, core),
            HOOK_TASK_WORK => self.task_work_in_interrupt(system, value as usize),
            HOOK_NEED_WAKEUP => self.ask_for_wakeup(value as usize),
            _ => {}
        }
    }

    fn takes_connection(&mut self, system: &mut System, connection: ConnectionId) -> bool {
        let entry = &system.connections[connection.index()];
        // a recorded client's packets are handled in its own call, on the first core
        let core = if system.clients.kind == ClientKind::Recorded { CoreId(0) } else { entry.queue };
        if let Some(op) = self.armed_accepts[entry.poller].pop_front() {
            self.fire(system, core, op);
        }
        false
    }

    fn delivered(&mut self, system: &mut System, core: CoreId, slot: Slot) -> bool {
        let connection = system.requests[slot.index()].connection;
        if let Some(op) = self.armed_receives[connection.index()].take() {
            self.fire(system, core, op);
        }
        false
    }
}

impl IoUring {
    fn served(&mut self, system: &mut System, core: CoreId, slot: Slot) {
        finish(system, core, slot);
        if system.workload.program == Program::Sequential {
            let slot = system.begin_run();
            self.begin(system, 0, slot);
        }
    }

    /// True when what a request waits for is there.
    fn is_ready(&self, system: &System, op: u32) -> bool {
        let entry = &self.ops[op as usize];
        match self.effect(system, op) {
            Effect::Receive => {
                let waiting = system.waiting_request(entry.connection);
                if entry.slot == Slot::NONE { waiting.is_some() } else { waiting == Some(entry.slot) }
            }
            Effect::Accept => !system.pollers[self.threads[entry.ring].poller].accept_queue.is_empty(),
            _ => true,
        }
    }

    /// What a request's call does. An early one is the first of its kind of server.
    fn effect(&self, system: &System, op: u32) -> Effect {
        let entry = &self.ops[op as usize];
        if entry.slot == Slot::NONE {
            return if entry.accepts { Effect::Accept } else { Effect::Receive };
        }
        system.request_step(entry.slot, entry.step).map_or(Effect::None, |step| step.effect)
    }
}
