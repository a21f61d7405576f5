//! The simulated system: cores, tasks, connections, the network and the clients, driven by one loop over time.
//!
//! How a call is issued is not known here: a [`Driver`] (a mechanism) says what each task does next.

mod accepting;
mod cores;
mod recording;
mod requests;
mod sessions;
mod softirq;
mod waking;
mod wire;

pub use sessions::{REFUSED_CONNECTIONS, REFUSED_SEGMENTS};

use crate::action::{Action, Effect, Slot};
use crate::bind::{Bases, Instances, Who};
use crate::clients::{ClientKind, Clients};
use crate::connection::{AcceptSharing, Connection, ConnectionState, Poller, Purpose, Request};
use crate::core_use::CoreUses;
use crate::kernel::{Kernel, Mitigations};
use crate::network::{ClientProcessors, Packet, ReceiveQueue, Wire};
use crate::stats::{HERD_WAKE_UPS, Stats};
use crate::task::{Core, HandOver, Task, TaskKind};
use crate::timeline::{Span, Timeline};
use cpu_model::Cpu;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use sim_core::block::BlockId;
use sim_core::event_queue::EventQueue;
use sim_core::ids::{ConnectionId, CoreId, Cycles, Mode, TaskId};
use sim_core::layout::Layout;
use sim_core::seed::SeedTree;
use sim_core::workload::Workload;
use std::collections::VecDeque;

/// What a task does when its actions have run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Actions were pushed.
    Continue,
    /// Nothing to do until it is woken.
    Sleep,
    /// The same, at a place from which a [`HandOver`] can take it: in the kernel, with nothing begun.
    Rest,
}

/// A mechanism: decides which blocks run, in what order, on which core, with which crossings between them.
pub trait Driver {
    /// The task's actions ran out.
    fn next(&mut self, system: &mut System, task: TaskId) -> Next;

    /// An [`Action::Hook`] was reached on a core.
    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64);

    /// A connection's handshake is complete. Returns true when the mechanism takes it in the kernel: the program never accepts it.
    fn takes_connection(&mut self, system: &mut System, connection: ConnectionId) -> bool {
        let _ = (system, connection);
        false
    }

    /// A request's data went through the protocol receive path in the softirq of `core`. Returns true when the mechanism takes the
    /// request over there; it may push frame steps to the core.
    fn delivered(&mut self, system: &mut System, core: CoreId, slot: Slot) -> bool {
        let _ = (system, core, slot);
        false
    }
}

/// Events outside cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A packet reaches the network card.
    Arrive(Packet),
    /// Moderation ends: the queue may interrupt.
    Interrupt(CoreId),
    /// The client may send its next request.
    ClientSend(ConnectionId),
    /// The next arrival of an open system: a request, or a connection that carries several.
    OpenArrival,
    /// The client has all replies of its connection and closes it.
    ClientClose(ConnectionId),
    /// Both sides have closed the connection.
    ConnectionEnded(ConnectionId),
    /// The reply's last byte is at the client.
    Reply(Slot),
    /// The client sends a request's packet again.
    SendAgain(Slot),
    /// A timer of a task ends.
    Timer(TaskId),
}

/// How many of everything a simulation has.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Cores.
    pub cores: u32,
    /// Connections.
    pub connections: u32,
    /// Event loops (pollers).
    pub pollers: u32,
    /// Tasks that the driver makes at most.
    pub tasks: u32,
    /// User threads at most.
    pub threads: u32,
    /// Processes.
    pub processes: u32,
    /// Lines of the mechanism's memory.
    pub mechanism_lines: u32,
    /// Lines of the mechanism's memory that lie in superpages.
    pub mechanism_superpage_lines: u32,
}

/// The simulated system.
pub struct System<'a> {
    /// What is replayed.
    pub workload: &'a Workload,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// The clients.
    pub clients: &'a Clients,
    /// The processors.
    pub cpu: Cpu,
    /// Addresses of instances.
    pub bases: Bases,
    /// Cores.
    pub cores: Vec<Core>,
    /// Tasks; the first are the cores' idle tasks, then their softirq threads.
    pub tasks: Vec<Task>,
    /// Connections.
    pub connections: Vec<Connection>,
    /// Requests by slot.
    pub requests: Vec<Request>,
    /// Event loops.
    pub pollers: Vec<Poller>,
    /// How tasks that rest switch to each other; without it the scheduler switches.
    pub hand_over: Option<HandOver>,
    /// Who learns of new connections.
    pub accept_sharing: AcceptSharing,
    /// The event loop that holds the lock around accepting, where there is one.
    pub(crate) accept_lock: Option<usize>,
    /// Counts and latencies.
    pub stats: Stats,
    /// The node of the seed tree that the system hangs from: a mechanism's own generators hang there too.
    pub seeds: SeedTree,
    /// Whose generator picks recorded exemplars.
    exemplars: Xoshiro256PlusPlus,
    draws: Vec<Xoshiro256PlusPlus>,
    arrivals: Xoshiro256PlusPlus,
    /// Draws how much of a delay has passed when the simulation begins.
    delays: Xoshiro256PlusPlus,
    class_table: Vec<u64>,
    events: EventQueue<Event>,
    queues: Vec<ReceiveQueue>,
    to_server: Wire,
    to_client: Wire,
    client_processors: ClientProcessors,
    client_task: Option<TaskId>,
    client_replies: VecDeque<ConnectionId>,
    free_slots: Vec<Slot>,
    free_pools: Vec<u32>,
    next_private: u32,
    private_instances: u32,
    items: u32,
    frequency_mhz: u32,
    tick_cycles: Cycles,
    open_turn: u32,
    mitigations: bool,
    /// Steps of load count from here: the opening of the measured window.
    load_from: Option<Cycles>,
    /// The part of the measured window to record.
    to_record: Option<Span>,
    timeline: Option<Box<Timeline>>,
    /// Use of each core since the measured window opened (before: since the start).
    uses: Vec<CoreUses>,
}

/// A simulation that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemError {
    /// Nothing can ever happen again, and requests are outstanding.
    #[error(
        "the simulation stands still at cycle {at}: {outstanding} requests outstanding, nothing to execute and no event to come"
    )]
    Standstill {
        /// Simulated time.
        at: Cycles,
        /// Requests without a reply.
        outstanding: usize,
    },
    /// A machine or workload that does not fit.
    #[error(transparent)]
    Machine(#[from] cpu_model::MachineError),
}

impl<'a> System<'a> {
    /// Builds a system with all connections closed and every core idle.
    ///
    /// # Errors
    /// When the machine cannot have that many cores.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        workload: &'a Workload,
        machine: &cpu_model::Machine,
        kernel: &'a Kernel,
        clients: &'a Clients,
        size: &Size,
        options: cpu_model::CpuOptions,
        seeds: &SeedTree,
    ) -> Result<System<'a>, SystemError> {
        let mut layout: Layout = workload.layout.clone();
        let recorded = workload.recorded_in_classes().clamp(1, u64::from(MOST_PRIVATE)) as u32;
        let instances = Instances {
            cores: size.cores,
            tasks: size.cores + size.tasks + 1,
            threads: size.threads.max(1),
            processes: size.processes.max(1),
            connections: size.connections,
            in_flight: size.connections * 2,
            items: workload.keys.max(1),
            private: recorded,
            mechanism_lines: size.mechanism_lines,
            mechanism_superpage_lines: size.mechanism_superpage_lines,
        };
        let bases = Bases::new(workload, &instances, &mut layout);
        let cpu = Cpu::new(machine, size.cores as usize, &layout, options, seeds.child("frames").value())?;
        let of_cores = |kind| (0..size.cores).map(move |core| Task::new(kind, CoreId(core as u16), 0, 0));
        let threads = of_cores(TaskKind::Softirq).map(|task| Task { level: Mode::Kernel, preemptible: false, ..task });
        let tasks = of_cores(TaskKind::Idle).chain(threads).collect();
        let tick_cycles = u64::from(machine.frequency_mhz) * 1_000_000 / kernel.scheduler.tick_hz;
        // ticks of the cores are spread over the period, as the kernel's skew_tick does
        let first_tick = |core: u32| tick_cycles + tick_cycles * u64::from(core) / u64::from(size.cores);
        let cores: Vec<Core> = (0..size.cores).map(|core| Core::new(TaskId(core), first_tick(core))).collect();
        let queue_cores = if kernel.network.receive_side_scaling { size.cores } else { 1 };
        let connections = (0..size.connections).map(|index| new_connection(index, size, queue_cores)).collect();
        let mut class_table = Vec::new();
        let mut sum = 0;
        for class in &workload.classes {
            sum += u64::from(class.recorded);
            class_table.push(sum);
        }
        let draw_seeds = seeds.child("connections");
        Ok(System {
            workload,
            kernel,
            clients,
            cpu,
            bases,
            cores,
            tasks,
            connections,
            requests: vec![Request::none()],
            pollers: (0..size.pollers.max(1)).map(|_| Poller::default()).collect(),
            hand_over: None,
            accept_sharing: AcceptSharing::default(),
            accept_lock: None,
            stats: Stats::default(),
            seeds: *seeds,
            exemplars: seeds.child("exemplars").rng(),
            draws: (0..size.connections.max(1)).map(|index| draw_seeds.child_index(u64::from(index)).rng()).collect(),
            arrivals: seeds.child("arrivals").rng(),
            delays: seeds.child("delays").rng(),
            class_table,
            events: EventQueue::new(),
            queues: (0..size.cores).map(|_| ReceiveQueue::default()).collect(),
            to_server: Wire::new(clients.link_rate_mbps, clients.link_delay_us, machine.frequency_mhz),
            to_client: Wire::new(clients.link_rate_mbps, clients.link_delay_us, machine.frequency_mhz),
            client_processors: ClientProcessors::new(clients.cores, clients.service_us, machine.frequency_mhz),
            client_task: None,
            client_replies: VecDeque::new(),
            free_slots: Vec::new(),
            free_pools: (1..=instances.in_flight).rev().collect(),
            next_private: 0,
            private_instances: recorded,
            items: workload.keys.max(1),
            frequency_mhz: machine.frequency_mhz,
            tick_cycles,
            open_turn: 0,
            mitigations: kernel.mitigations == Mitigations::Default,
            load_from: None,
            to_record: None,
            timeline: None,
            uses: vec![CoreUses::default(); size.cores as usize],
        })
    }

    /// Time on the core that a task belongs to.
    pub fn clock_of(&self, task: TaskId) -> Cycles {
        self.cpu.clock(self.tasks[task.index()].core)
    }

    /// Cycles of so many microseconds.
    pub fn microseconds(&self, microseconds: f64) -> Cycles {
        (microseconds * f64::from(self.frequency_mhz)) as Cycles
    }

    /// True when mitigations are on.
    pub fn mitigations(&self) -> bool {
        self.mitigations
    }

    /// Adds a task of the program; it sleeps until woken.
    pub fn add_task(&mut self, core: CoreId, process: u32, thread: u32) -> TaskId {
        self.tasks.push(Task::new(TaskKind::Program, core, process, thread));
        TaskId(self.tasks.len() as u32 - 1)
    }

    /// Starts the clients: every connection's first request, or the first arrival of an open system.
    /// Connections that the program does not accept in the run are open and accepted already.
    pub fn start_clients(&mut self) {
        if self.clients.kind == ClientKind::Recorded {
            let mut task = Task::new(TaskKind::Client, CoreId(0), u32::MAX, 0);
            task.vruntime = 0;
            self.tasks.push(task);
            self.client_task = Some(TaskId(self.tasks.len() as u32 - 1));
        }
        for index in 0..self.connections.len() {
            if !self.accepts() {
                self.connections[index].state = ConnectionState::Open;
            }
        }
        match self.clients.arrival {
            crate::clients::Arrival::Closed => {
                // A generator opens its connections one after the other, a round trip each: all at once they would overrun the receive
                // ring, and lost packets come again after longer than most simulations last. The recorded client has no link.
                let apart_us = match self.clients.kind {
                    ClientKind::Remote => (2.0 * self.clients.link_delay_us).max(1.0),
                    ClientKind::Recorded => 1.0,
                };
                let spread = self.microseconds(apart_us);
                for index in 0..self.connections.len() as u32 {
                    self.events.push(u64::from(index) * spread, Event::ClientSend(ConnectionId(index)));
                }
            }
            crate::clients::Arrival::Open { .. } | crate::clients::Arrival::Steps(_) | crate::clients::Arrival::Sessions { .. } => {
                self.events.push(0, Event::OpenArrival)
            }
        }
    }

    /// Runs until `done` says so (asked after each event and slice).
    ///
    /// # Errors
    /// [`SystemError::Standstill`] when nothing can happen any more.
    pub fn run(&mut self, driver: &mut dyn Driver, mut done: impl FnMut(&Stats) -> bool) -> Result<(), SystemError> {
        while !done(&self.stats) {
            let core = self.next_core();
            match (core, self.events.peek_time()) {
                (Some((clock, _)), Some(at)) if at <= clock => self.event(),
                (Some((_, core)), _) => self.step(driver, core),
                (None, Some(_)) => self.event(),
                (None, None) => {
                    let outstanding = self.requests.iter().filter(|request| request.live && !request.replied).count();
                    return Err(SystemError::Standstill { at: self.now(), outstanding });
                }
            }
        }
        Ok(())
    }

    /// The active core with the least clock.
    fn next_core(&self) -> Option<(Cycles, CoreId)> {
        let mut best = None;
        for (index, core) in self.cores.iter().enumerate() {
            if core.is_active() {
                let id = CoreId(index as u16);
                let clock = self.cpu.clock(id).max(core.awake_at.unwrap_or(0));
                if best.is_none_or(|(least, _)| clock < least) {
                    best = Some((clock, id));
                }
            }
        }
        best
    }

    /// Simulated time: the furthest any core has come.
    pub fn now(&self) -> Cycles {
        (0..self.cores.len()).map(|core| self.cpu.clock(CoreId(core as u16))).max().unwrap_or(0)
    }

    /// Brings every core to the same time with idle cycles and opens the measured window.
    pub fn open_window(&mut self) {
        self.fill_idle();
        self.cpu.reset_counters();
        self.uses.fill(CoreUses::default());
        let now = self.now();
        self.to_server.busy_cycles = 0;
        self.to_client.busy_cycles = 0;
        self.client_processors.busy_cycles = 0;
        self.stats.open_window(now);
        self.load_from = Some(now);
        self.timeline = self.to_record.map(|span| Box::new(Timeline::new(span, now, self.cores.len())));
    }

    /// Closes the measured window; returns its length in cycles per core.
    pub fn close_window(&mut self) -> Cycles {
        self.fill_idle();
        self.stats.close_window(self.now());
        let length = self.stats.window_cycles();
        if let Some(timeline) = &mut self.timeline {
            timeline.close(length);
        }
        length
    }

    /// Cores behind the furthest one get idle cycles up to it. Only cores that have nothing to execute are behind by more than a slice.
    fn fill_idle(&mut self) {
        let now = self.now();
        for index in 0..self.cores.len() {
            let core = CoreId(index as u16);
            let behind = now - self.cpu.clock(core);
            if behind > 0 {
                self.idle(core, behind);
            }
        }
    }

    /// Share of the window in which the busier direction of the link was busy, and in which the client's processors were, in thousandths.
    pub fn utilisation_permille(&self) -> (u64, u64) {
        let window = self.stats.window_cycles().max(1);
        let link = self.to_server.busy_cycles.max(self.to_client.busy_cycles) * 1000 / window;
        let client = self.client_processors.busy_cycles * 1000 / (window * self.client_processors.count() as u64);
        (link, client)
    }

    /// Replies of the connection that had fewest since the simulation began. One that waits for a lost packet to be sent again, a
    /// fifth of a second and longer than most simulations, does not count.
    pub fn fewest_replies(&self) -> u64 {
        let now = self.now();
        let live = self.connections.iter().filter(|connection| connection.lost_until <= now);
        live.map(|connection| connection.replies).min().unwrap_or(0)
    }

    /// Packets lost to full receive rings.
    pub fn dropped_packets(&self) -> u64 {
        self.queues.iter().map(|queue| queue.dropped_packets).sum()
    }

    /// One of several recorded exemplars, or the empty block when nothing is recorded.
    pub fn pick(&mut self, blocks: &[BlockId]) -> BlockId {
        match blocks {
            [] => BlockId::EMPTY,
            [only] => *only,
            several => several[self.exemplars.random_range(0..several.len() as u32) as usize],
        }
    }

    /// The instance of the kernel's task-bound lines (task description, kernel stack) that a task has. A core's softirq thread shares
    /// those of its idle task: few lines, and instances of its own, for a thread that most runs never wake, would move those of all others.
    pub fn instance_of(&self, task: TaskId) -> u32 {
        let cores = self.cores.len() as u32;
        if task.0 < 2 * cores { task.0 % cores } else { task.0 - cores }
    }

    /// Who executes an action of `task` on `core` for `slot`.
    pub fn who(&self, core: CoreId, task: TaskId, slot: Slot) -> Who {
        let request = &self.requests[slot.index()];
        let task_ref = &self.tasks[task.index()];
        Who {
            core: u32::from(core.0),
            task: self.instance_of(task),
            thread: task_ref.thread,
            process: if task_ref.process == u32::MAX { 0 } else { task_ref.process },
            // connection 0 of the region belongs to work without a request
            connection: if slot == Slot::NONE { 0 } else { request.connection.0 + 1 },
            pool: request.pool,
            private: request.private,
            item: request.item,
        }
    }

    /// Pushes an action to a task.
    pub fn push(&mut self, task: TaskId, action: Action) {
        self.tasks[task.index()].actions.push_back(action);
    }

    /// Pushes a whole block.
    pub fn push_block(&mut self, task: TaskId, block: BlockId, context: sim_core::context::Context, slot: Slot) {
        let info = self.workload.blocks.info(block);
        let end = info.end - info.start;
        if end > 0 {
            self.push(task, Action::Block { block, start: 0, end, context, slot });
        }
    }

    /// Pushes an effect.
    pub fn push_effect(&mut self, task: TaskId, effect: Effect) {
        self.push(task, Action::Effect(effect));
    }
}

/// Copies of request-private lines at most: more would be a footprint no cache of a preset holds anyway.
const MOST_PRIVATE: u32 = 1024;

fn new_connection(index: u32, size: &Size, queue_cores: u32) -> Connection {
    Connection {
        state: ConnectionState::Closed,
        inbox: VecDeque::new(),
        lost_until: 0,
        request: Slot::NONE,
        opening: Slot::NONE,
        taken: false,
        requests_left: 0,
        blocked: None,
        poller: (index % size.pollers.max(1)) as usize,
        in_ready_list: false,
        replies: 0,
        queue: CoreId((index % queue_cores) as u16),
    }
}

impl Request {
    /// What slot 0 holds: no request.
    pub(super) fn none() -> Request {
        Request {
            purpose: Purpose::Request,
            connection: ConnectionId(0),
            class: 0,
            chain: 0,
            sent_at: 0,
            pool: 0,
            private: 0,
            item: 0,
            step: 0,
            reply_bytes: 0,
            live: false,
            replied: false,
        }
    }
}
