//! A workload: what a real server did, made symbolic, so that it can be replayed under another schedule, another number of
//! connections and another way of reaching the kernel. `traces` makes workloads, `os-model` and `mechanisms` run them.

use crate::block::{BlockId, BlockStore, Region};
use crate::calls::CallNumber;
use crate::layout::{Layout, RecordedChunk};
use crate::payload::{Ask, Payload};
use serde::{Deserialize, Serialize};

/// How the program is built around its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// An event loop that serves many connections; one per worker thread or process.
    EventLoop,
    /// A thread per connection, in one address space.
    ThreadPerConnection,
    /// A process per connection.
    ProcessPerConnection,
    /// No clients: one request is one run of the program.
    Sequential,
}

/// Kind of descriptor that a call works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    /// None, or not known.
    None,
    /// Listening socket.
    Listener,
    /// TCP connection.
    Stream,
    /// UDP socket.
    Datagram,
    /// Regular file, directory or path.
    File,
    /// Pipe or FIFO.
    Pipe,
    /// eventfd, signalfd, timerfd.
    Event,
    /// epoll set.
    Epoll,
    /// io_uring.
    Ring,
    /// Memory (mmap, munmap, brk).
    Memory,
    /// Process or thread (futex, clone, signals).
    Process,
}

/// What a step does to the simulated operating system's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing that others see (files in the page cache, options, clocks).
    None,
    /// Takes a pending connection from the listening socket; waits for one.
    Accept,
    /// Takes the request's bytes from the connection; waits for them.
    Receive,
    /// Sends part of the reply.
    Send,
    /// Sends the last bytes of the reply: with it the client has the whole reply.
    SendLast,
    /// Closes the connection.
    Close,
}

/// One system call of a request, with the user work before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// User work since the previous call of the same thread.
    pub user: BlockId,
    /// The call.
    pub call: CallNumber,
    /// Kind of descriptor.
    pub object: Object,
    /// Effect on simulated objects.
    pub effect: Effect,
    /// Result: bytes moved, or 0.
    pub bytes: u32,
    /// Kernel work of the call from the entry point to the return instruction, without softirq stretches, sleeps and preemption.
    pub kernel: BlockId,
    /// The client's receive softirq that was recorded inside this call (loopback); runs only with the recorded client.
    pub client_softirq: BlockId,
    /// True when the program does the step only after all ready connections had their earlier steps (redis writes replies so).
    pub deferred: bool,
    /// Steps of the same chain that must have completed before this call may be issued (indices).
    pub depends: Vec<u16>,
}

/// One recorded request: its steps in program order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Steps in program order.
    pub steps: Vec<Step>,
}

/// Requests of the same kind: same calls, same outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestClass {
    /// Short name made of the calls, or the program's name for it (`get`, `set`).
    pub name: String,
    /// Requests of this class in the recording: the class's frequency.
    pub recorded: u32,
    /// Bytes of the request.
    pub request_bytes: u32,
    /// Bytes of the reply.
    pub reply_bytes: u32,
    /// True when an in-kernel service can answer the class (read-only, or a store that it implements); the rest goes up to user space.
    pub in_kernel: bool,
    /// Recorded requests that stand for the class; a run draws one per request.
    pub chains: Vec<Chain>,
}

impl RequestClass {
    /// Whether the requests read or store, by the class's name or, where it says neither, by which way the more bytes go.
    pub fn ask(&self) -> Ask {
        match self.name.as_str() {
            "get" => Ask::Get,
            "set" => Ask::Set,
            _ if self.request_bytes > self.reply_bytes => Ask::Set,
            _ => Ask::Get,
        }
    }
}

/// The readiness call of an event loop and what surrounds it. Readiness itself is simulated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitLoop {
    /// `epoll_wait`, `poll`, `select` …
    pub call: CallNumber,
    /// User work between the last call of the last event and the readiness call.
    pub user: Vec<BlockId>,
    /// Events of the readiness call that each of these stood at: part of the work grows with their number.
    pub user_events: Vec<u32>,
    /// Kernel work from entry to the first event, when events are ready.
    pub head: Vec<BlockId>,
    /// Kernel work per event returned.
    pub item: Vec<BlockId>,
    /// Kernel work from the last event to the return.
    pub tail: Vec<BlockId>,
    /// Kernel work from entry to the scheduler, when nothing is ready.
    pub sleep: Vec<BlockId>,
    /// Kernel work from the scheduler's return to the first event.
    pub wake: Vec<BlockId>,
    /// Most events one call returns.
    pub max_events: u32,
}

/// A blocking receive or accept that finds nothing: what a thread per connection does then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockingPath {
    /// Kernel work of a blocking call from entry to the scheduler. Empty: not recorded.
    pub sleep: Vec<BlockId>,
    /// Kernel work from the scheduler's return to the return instruction.
    pub wake: Vec<BlockId>,
    /// A non-blocking receive that returns EAGAIN: kernel work.
    pub again: Vec<BlockId>,
    /// User work between that EAGAIN and the readiness call.
    pub again_user: Vec<BlockId>,
}

/// What a server does at the two ends of a connection that carries several requests. Each list holds recorded exemplars; empty where
/// the recording shows none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionWork {
    /// From the accept to the last call before the first request.
    pub opening: Vec<Chain>,
    /// From the receive that finds the client's end to the close.
    pub closing: Vec<Chain>,
}

impl ConnectionWork {
    /// True when both ends are recorded.
    pub fn is_recorded(&self) -> bool {
        !self.opening.is_empty() && !self.closing.is_empty()
    }

    /// All steps of both ends.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.opening.iter().chain(&self.closing).flat_map(|chain| &chain.steps)
    }
}

/// What a program executes that asks for readiness in another way than it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Readiness {
    /// A non-blocking receive that finds nothing. Empty: not recorded.
    pub again: Vec<BlockId>,
    /// `poll` over any number of descriptors, when it was recorded.
    pub poll: Option<PollCall>,
}

/// `poll` cut into what happens once and what happens per descriptor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollCall {
    /// Kernel work from entry to the first descriptor.
    pub head: Vec<BlockId>,
    /// Per descriptor: its lookup.
    pub lookup: Vec<BlockId>,
    /// Per descriptor: the question for its readiness, as a socket of the program answers it.
    pub asked: Vec<BlockId>,
    /// Per descriptor: the task is put into its wait queue. Not after the first ready descriptor, and not after a sleep.
    pub queue: Vec<BlockId>,
    /// Per descriptor: it is let go.
    pub put: Vec<BlockId>,
    /// Per descriptor whose wait queue holds the task: it is taken out.
    pub release: Vec<BlockId>,
    /// From the last descriptor to the return, without the releases.
    pub tail: Vec<BlockId>,
    /// Instructions per descriptor that lie between those pieces (the copies of the array in and of the events out): fitted to calls
    /// with different numbers of descriptors.
    pub rest_instructions: u32,
}

/// Kind of packet that arrives at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PacketKind {
    /// Connection request.
    Syn,
    /// Acknowledgement that completes the handshake.
    Handshake,
    /// TCP payload (with a piggybacked acknowledgement).
    Data,
    /// Pure acknowledgement.
    Ack,
    /// The client's end of the connection.
    Fin,
    /// UDP payload.
    Datagram,
}

/// Kernel work that no call of a request contains: interrupts, the receive path, transmit, the scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelBlocks {
    /// Hard interrupt of the network card, entry to the point where softirqs run.
    pub interrupt_entry: Vec<BlockId>,
    /// From the end of softirqs to the return from the interrupt.
    pub interrupt_exit: Vec<BlockId>,
    /// Softirq and NAPI poll: work per poll that is not per packet.
    pub poll: Vec<BlockId>,
    /// Driver work per received packet, before the protocol.
    pub driver_receive: Vec<BlockId>,
    /// Protocol work per packet received by the *server*, by kind.
    pub receive: Vec<(PacketKind, BlockId)>,
    /// Handing one packet to the network card: what replaces the loopback device's [`crate::block::Cut::Transmit`].
    pub transmit: Vec<BlockId>,
    /// Scheduler from its entry to the switch (the leaving task).
    pub switch_out: Vec<BlockId>,
    /// Scheduler from the switch to its return (the entering task).
    pub switch_in: Vec<BlockId>,
    /// Timer tick.
    pub tick: Vec<BlockId>,
    /// Return from a call with rescheduling asked for: `exit_to_user_mode_loop` around the scheduler.
    pub null_call: Vec<BlockId>,
    /// io_uring.
    #[serde(default)]
    pub ring: RingBlocks,
}

/// Two pieces of kernel work that stand around the work of a call.
pub type Around = (BlockId, BlockId);

/// Kernel work of io_uring around the calls that it executes. Each list holds recorded exemplars.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingBlocks {
    /// `io_uring_enter` from the entry point to the submission loop.
    pub enter: Vec<BlockId>,
    /// The submission loop up to its first entry's preparation.
    pub begin: Vec<BlockId>,
    /// From one entry's issue to the next one's preparation.
    pub next: Vec<BlockId>,
    /// Preparation and issue of an entry that does nothing.
    pub nop: Vec<BlockId>,
    /// Around the protocol's receive.
    pub receive: Vec<Around>,
    /// Around the protocol's send.
    pub send: Vec<Around>,
    /// Around the file system's read.
    pub read: Vec<Around>,
    /// An entry whose data is not there: the attempt, and arming a poll.
    pub arm: Vec<BlockId>,
    /// An entry that is queued for a worker thread, without the worker's wake-up.
    pub punt: Vec<BlockId>,
    /// End of the submission loop with one completion.
    pub flush: Vec<BlockId>,
    /// One more completion.
    pub flush_item: Vec<BlockId>,
    /// End of the submission loop without a completion.
    pub flush_none: Vec<BlockId>,
    /// From the end of the submission loop to the return instruction, when completions are there.
    pub leave: Vec<BlockId>,
    /// From the end of the submission loop to the scheduler.
    pub sleep: Vec<BlockId>,
    /// An enter without submissions, from the entry point to the scheduler.
    pub wait: Vec<BlockId>,
    /// From the scheduler's return to the return instruction.
    pub wake: Vec<BlockId>,
    /// Waking a task that sleeps in a wait queue.
    pub wake_task: Vec<BlockId>,
    /// An armed poll fires in the softirq: the request becomes task work.
    pub poll_wake: Vec<BlockId>,
    /// Task work up to its first request.
    pub task_work_begin: Vec<BlockId>,
    /// A request of task work, around the protocol's receive.
    pub task_receive: Vec<Around>,
    /// End of task work with one completion.
    pub task_work_end: Vec<BlockId>,
    /// A worker thread, from the scheduler's return to the next sleep, around the file system's read; without waking the program.
    pub worker: Vec<Around>,
    /// The polling thread leaves its wait queue.
    pub poll_thread_wake: Vec<BlockId>,
    /// One look of the polling thread that finds nothing.
    pub poll_thread_pass: Vec<BlockId>,
    /// The polling thread, around the submission loop.
    pub poll_thread_submit: Vec<Around>,
    /// The polling thread enters its wait queue.
    pub poll_thread_sleep: Vec<BlockId>,
}

impl RingBlocks {
    /// Calls `visit` with every block, in a fixed order.
    pub fn for_each(&self, mut visit: impl FnMut(BlockId)) {
        let mut copy = self.clone();
        copy.for_each_mut(|id| visit(*id));
    }

    /// Calls `visit` with every block's place, in a fixed order.
    pub fn for_each_mut(&mut self, mut visit: impl FnMut(&mut BlockId)) {
        let lists = [
            &mut self.enter,
            &mut self.begin,
            &mut self.next,
            &mut self.nop,
            &mut self.arm,
            &mut self.punt,
            &mut self.flush,
            &mut self.flush_item,
            &mut self.flush_none,
            &mut self.leave,
            &mut self.sleep,
            &mut self.wait,
            &mut self.wake,
            &mut self.wake_task,
            &mut self.poll_wake,
            &mut self.task_work_begin,
            &mut self.task_work_end,
            &mut self.poll_thread_wake,
            &mut self.poll_thread_pass,
            &mut self.poll_thread_sleep,
        ];
        lists.into_iter().flatten().for_each(&mut visit);
        let pairs = [
            &mut self.receive,
            &mut self.send,
            &mut self.read,
            &mut self.task_receive,
            &mut self.worker,
            &mut self.poll_thread_submit,
        ];
        for (before, after) in pairs.into_iter().flatten() {
            visit(before);
            visit(after);
        }
    }
}

/// What the recording says of its own clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedClient {
    /// Instructions that the client executed per reply, user mode (counted, lines not recorded).
    pub instructions_user: u64,
    /// The same in kernel mode.
    pub instructions_kernel: u64,
}

/// How much kernel work a program's calls make under a kernel on which it was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatedKernelWork {
    /// Name of the kernel description.
    pub kernel: String,
    /// Thousandths of the recorded kernel instructions.
    pub permille: u32,
    /// Where the number of instructions comes from.
    pub source: String,
}

/// How much of the reading was certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// Read from the recording.
    Understood,
    /// Decided by a rule that can be wrong.
    Guessed,
    /// Left out.
    Dropped,
}

/// One remark of the importer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// How certain.
    pub certainty: Certainty,
    /// What.
    pub text: String,
    /// How many of it.
    pub count: u64,
}

/// Where a workload came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `capture`, `strace`, `synthetic`.
    pub format: String,
    /// File or bundled name.
    pub file: String,
    /// SHA-256 of the file's bytes, hexadecimal.
    pub sha256: String,
    /// True when the capture was made with the kernel's default mitigations (page-table isolation).
    pub mitigations: bool,
}

/// What a real server did, ready to be replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Name for reports.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Where it came from.
    pub source: Source,
    /// Kind of program.
    pub program: Program,
    /// True when clients speak UDP to one socket.
    pub datagram: bool,
    /// True when a connection carries one request only.
    pub connection_per_request: bool,
    /// Worker threads in the recording.
    pub threads: u32,
    /// The server cannot have more than one event loop (redis); others get one a core.
    pub single_threaded: bool,
    /// Client connections in the recording.
    pub connections: u32,
    /// Requests counted by replies sent in the recording.
    pub requests: u64,
    /// Classes of requests. A sequential program has one class with one chain.
    pub classes: Vec<RequestClass>,
    /// The ends of connections that carry several requests.
    #[serde(default)]
    pub connection: ConnectionWork,
    /// The event loop, if there is one.
    pub wait: Option<WaitLoop>,
    /// Blocking receives.
    pub blocking: BlockingPath,
    /// Other ways of asking for readiness.
    #[serde(default)]
    pub readiness: Readiness,
    /// Kernel work outside calls.
    pub kernel: KernelBlocks,
    /// The recorded clients.
    pub client: RecordedClient,
    /// All blocks.
    pub blocks: BlockStore,
    /// The simulated address space up to here; a run adds its instances.
    pub layout: Layout,
    /// Chunks of the captured kernel, for its functions' names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernel_chunks: Vec<RecordedChunk>,
    /// Lines per instance, by region index.
    pub region_lines: [u32; Region::COUNT],
    /// Stored items the requests draw from (a cache's keys); 0 when none.
    pub keys: u32,
    /// What the bytes of requests look like, where the protocol is known.
    #[serde(default)]
    pub payload: Option<Payload>,
    /// Base CPI of the program's user code in thousandths (fitted to its synchronous row; MODEL.md section 1), or the machine's default.
    pub user_base_cpi_milli: Option<u32>,
    /// Kernel work under kernels that nobody recorded the program on, where something is known of it. Other kernels' descriptions say
    /// what holds without.
    #[serde(default)]
    pub stated_kernel_work: Vec<StatedKernelWork>,
    /// Frames that the program returns through between two calls beyond those in its blocks; otherwise the kernel's description says.
    #[serde(default)]
    pub user_call_depth: Option<u32>,
    /// Each load of the program's user code needs the result of the one before, as in a list that is followed: its misses neither hide
    /// behind each other nor behind anything else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user_loads_depend: bool,
    /// What the importer understood, guessed and dropped.
    pub notes: Vec<Note>,
}

impl Workload {
    /// Requests in all classes, for drawing by frequency.
    pub fn recorded_in_classes(&self) -> u64 {
        self.classes.iter().map(|class| u64::from(class.recorded)).sum()
    }

    /// Calls `visit` with every block that the workload names, in a fixed order.
    pub fn for_each_block(&self, mut visit: impl FnMut(BlockId)) {
        let ends = self.connection.opening.iter().chain(&self.connection.closing);
        for chain in self.classes.iter().flat_map(|class| &class.chains).chain(ends) {
            for step in &chain.steps {
                visit(step.user);
                visit(step.kernel);
                visit(step.client_softirq);
            }
        }
        if let Some(wait) = &self.wait {
            for list in [&wait.user, &wait.head, &wait.item, &wait.tail, &wait.sleep, &wait.wake] {
                list.iter().for_each(|id| visit(*id));
            }
        }
        let blocking = &self.blocking;
        for list in [&blocking.sleep, &blocking.wake, &blocking.again, &blocking.again_user, &self.readiness.again] {
            list.iter().for_each(|id| visit(*id));
        }
        if let Some(poll) = &self.readiness.poll {
            for list in [&poll.head, &poll.lookup, &poll.asked, &poll.queue, &poll.put, &poll.release, &poll.tail] {
                list.iter().for_each(|id| visit(*id));
            }
        }
        let kernel = &self.kernel;
        kernel.receive.iter().for_each(|(_, id)| visit(*id));
        kernel.ring.for_each(&mut visit);
        for list in [
            &kernel.interrupt_entry,
            &kernel.interrupt_exit,
            &kernel.poll,
            &kernel.driver_receive,
            &kernel.transmit,
            &kernel.switch_out,
            &kernel.switch_in,
            &kernel.tick,
            &kernel.null_call,
        ] {
            list.iter().for_each(|id| visit(*id));
        }
    }

    /// Drops the ops of blocks that nothing names, as they are left when steps were taken out; ids stay as they are.
    pub fn keep_named_blocks(&mut self) {
        let mut named = vec![false; self.blocks.len()];
        self.for_each_block(|id| named[id.index()] = true);
        self.blocks.keep_only(|id| named[id.index()]);
    }
}
