//! From a recording of system calls to a workload.
//!
//! The recording says which calls a request makes, in which order, with which results, and how long the program worked between them.
//! It does not say what the calls do inside the kernel: that comes from a *library* of workloads distilled from full-system captures,
//! by call, kind of object, bytes and outcome. One of them, the *base*, also lends its address space, its event loop and its interrupts,
//! and its user work when the calls say that it is the same program. Everything that was decided by a rule, and everything that was
//! left out, is in the workload's notes.

use super::base::{self, Base};
use super::copy::Copier;
use super::gaps;
use super::library::{Fit, Found, Library};
use super::notes::{base_notes, kernel_notes, reading_notes, split_notes, user_notes};
use super::requests::{self, Request, Role, Split};
use super::user::UserBlocks;
use super::{Recording, StraceCall, depends};
use crate::error::TraceError;
use sim_core::block::{BlockId, Origin};
use sim_core::calls::CallNumber;
use sim_core::workload::{
    BlockingPath, Chain, ConnectionWork, Effect, KernelBlocks, Note, Object, PollCall, Program, Readiness, RequestClass, Source,
    Step, WaitLoop, Workload,
};
use std::collections::BTreeMap;

/// Recorded requests kept for each class.
const CHAINS_MAX: usize = 40;

/// Classes with fewer than this many thousandths of the requests are dropped.
const CLASS_MIN_MILLI: usize = 10;

/// Steps of a chain: dependencies are 16-bit indices.
const STEPS_MAX: usize = 60_000;

/// Where the user work between two calls comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserWork {
    /// From the library's recorded blocks when it has the same program (the gap's rank among its like says which), else from the gaps.
    #[default]
    Auto,
    /// Always as long as the gaps say: recorded blocks of the same program are repeated or cut to that length.
    Gaps,
}

/// How to distil.
#[derive(Clone, Debug)]
pub struct DistilOptions {
    /// Name of the workload.
    pub name: String,
    /// File that the recording came from.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// What the tracer adds to each gap between calls; estimated from the recording when `None`.
    pub tracer_cost_ns: Option<u64>,
    /// Clock of the machine that was recorded, MHz. Not in the recording; 2,400 is a common nominal clock of server parts.
    pub clock_mhz: u64,
    /// Instructions per cycle of user code, in thousandths. Not in the recording; 1,000 is the middle of what the captures' servers
    /// reach on the modelled machines (user CPI 0.8 to 1.8).
    pub instructions_per_cycle_milli: u64,
    /// Where user work comes from.
    pub user_work: UserWork,
    /// Library workload to use as base, by name; the most similar one when `None`.
    pub base: Option<String>,
    pub(crate) timed: bool,
}

impl DistilOptions {
    /// The defaults.
    pub fn new(name: &str, file: &str) -> Self {
        DistilOptions {
            name: name.to_owned(),
            file: file.to_owned(),
            sha256: String::new(),
            tracer_cost_ns: None,
            clock_mhz: 2_400,
            instructions_per_cycle_milli: 1_000,
            user_work: UserWork::Auto,
            base: None,
            timed: true,
        }
    }
}

/// Distils a recording with kernel work from `library`.
///
/// # Errors
/// An empty library, an unknown base, or a recording without calls.
pub fn distil(recording: &Recording, library: &[&Workload], options: &DistilOptions) -> Result<Workload, TraceError> {
    if recording.calls.is_empty() {
        return Err(TraceError::content(&options.file, "no finished system call in it", "Record for longer"));
    }
    let mut options = options.clone();
    options.timed = recording.timed && recording.durations;
    let split = settled(&recording.calls);
    let steps = split.requests.iter().flat_map(|request| &request.calls).map(|index| &recording.calls[*index]);
    let base = base::choose(steps, split.program, library, options.base.as_deref(), &options.file)?;
    let gaps = gaps::measure(&recording.calls, options.tracer_cost_ns);
    let mut distiller = Distiller {
        recording,
        split: &split,
        copier: Copier::new(library, base.index),
        kernel: Library::new(library, base.index),
        user: UserBlocks::new(&recording.calls, &gaps, &options, library, base.index, base.same_program),
        stand_ins: BTreeMap::new(),
    };
    let (classes, dropped) = distiller.classes(library[base.index]);
    let wait = distiller.wait(library, base);
    let blocking = distiller.blocking(library, base);
    let readiness = distiller.readiness(library, base.index);
    let kernel = distiller.kernel_blocks(library, base.index);
    let mut notes = reading_notes(recording);
    notes.extend(split_notes(&split, dropped));
    notes.extend(base_notes(library[base.index], base));
    notes.extend(user_notes(&distiller.user, &gaps, &options, library[base.index]));
    notes.extend(kernel_notes(&distiller.stand_ins, &distiller.copier));
    let from = library[base.index];
    Ok(Workload {
        name: options.name.clone(),
        description: format!("{} of a real run; kernel work recorded in `{}`", recording.format, from.name),
        source: Source {
            format: recording.format.clone(),
            file: options.file.clone(),
            sha256: options.sha256.clone(),
            mitigations: from.source.mitigations,
        },
        program: split.program,
        datagram: split.datagram,
        connection_per_request: split.connection_per_request,
        threads: split.threads.max(1),
        single_threaded: base.same_program && from.single_threaded,
        connections: split.connections,
        requests: split.requests.len() as u64,
        classes,
        connection: ConnectionWork::default(),
        wait,
        blocking,
        readiness,
        kernel,
        client: from.client.clone(),
        blocks: distiller.copier.blocks,
        kernel_chunks: from.kernel_chunks.clone(),
        layout: distiller.copier.layout,
        region_lines: distiller.copier.region_lines,
        keys: if base.same_program { from.keys } else { 0 },
        payload: from.payload.filter(|_| base.same_program),
        user_base_cpi_milli: from.user_base_cpi_milli.filter(|_| base.same_program),
        stated_kernel_work: if base.same_program { from.stated_kernel_work.clone() } else { Vec::new() },
        user_call_depth: from.user_call_depth.filter(|_| base.same_program),
        user_loads_depend: from.user_loads_depend && base.same_program,
        notes,
    })
}

/// The calls that requests of a recording make, with how many there are of each, and the kind of program: what a library must have.
pub fn kept_calls(recording: &Recording) -> (BTreeMap<String, u64>, Program) {
    let split = settled(&recording.calls);
    let mut calls = BTreeMap::new();
    for index in split.requests.iter().flat_map(|request| &request.calls) {
        *calls.entry(recording.calls[*index].name.clone()).or_default() += 1;
    }
    (calls, split.program)
}

/// What a recording says of its program, without kernel work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Kind of program.
    pub program: Program,
    /// Requests with their replies.
    pub requests: u64,
    /// Most connections open at once.
    pub connections: u32,
    /// Tasks that serve requests.
    pub threads: u32,
    /// The readiness call of the event loop.
    pub readiness: Option<String>,
    /// Smallest gap between two calls of one task.
    pub tracer_cost_ns: u64,
    /// Median gap between two calls of one task.
    pub median_gap_ns: u64,
    /// What was understood, guessed and dropped.
    pub notes: Vec<Note>,
}

/// Looks at a recording without a library.
pub fn shape(recording: &Recording) -> Shape {
    let split = settled(&recording.calls);
    let requests = if split.program == Program::Sequential { 0 } else { split.requests.len() as u64 };
    let gaps = gaps::measure(&recording.calls, None);
    let mut notes = reading_notes(recording);
    notes.extend(split_notes(&split, 0));
    Shape {
        program: split.program,
        requests,
        connections: split.connections,
        threads: split.threads,
        readiness: split.readiness.map(|(name, _)| name),
        tracer_cost_ns: gaps.tracer_cost_ns,
        median_gap_ns: gaps.median_ns,
        notes,
    }
}

/// Fewer requests than this are not a server's work when they are a small part of the calls (a program that talks to itself once).
const REQUESTS_MIN: usize = 8;

/// Calls of all for each call of a request from which few requests are not what the program does.
const CALLS_PER_REQUEST_CALL: usize = 20;

/// The recording split into requests, or as one run when it has none worth the name.
fn settled(calls: &[StraceCall]) -> Split {
    let mut split = requests::split(calls);
    let in_requests: usize = split.requests.iter().map(|request| request.calls.len()).sum();
    let few = split.requests.len() < REQUESTS_MIN && in_requests * CALLS_PER_REQUEST_CALL < calls.len();
    if split.requests.is_empty() || few {
        sequential(calls, &mut split);
    }
    split
}

/// A recording without requests is one run of a sequential program: all calls of its busiest task.
fn sequential(calls: &[StraceCall], split: &mut Split) {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    calls.iter().for_each(|call| *counts.entry(call.pid).or_default() += 1);
    let main = counts.into_iter().max_by_key(|(pid, count)| (*count, std::cmp::Reverse(*pid))).map_or(0, |(pid, _)| pid);
    let own: Vec<usize> = (0..calls.len()).filter(|index| calls[*index].pid == main).collect();
    let kept = own.len().min(STEPS_MAX);
    split.outside.clear();
    if own.len() < calls.len() {
        split.outside.insert("calls of other tasks than the busiest", (calls.len() - own.len()) as u64);
    }
    if kept < own.len() {
        split.outside.insert("calls beyond the longest run that is replayed", (own.len() - kept) as u64);
    }
    split.requests = vec![Request { calls: own[..kept].to_vec(), ..Request::default() }];
    split.program = Program::Sequential;
    split.threads = 1;
    split.connections = 0;
    split.connection_per_request = false;
    split.datagram = false;
    split.deferred = false;
    split.readiness = None;
}

/// Requests of one class share this.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ClassKey {
    /// First word of what was received.
    command: Option<String>,
    /// Calls by name, with the error of those that failed.
    calls: Vec<(String, Option<String>)>,
    /// Power of two of the received bytes.
    received_bucket: u32,
}

struct Distiller<'a> {
    recording: &'a Recording,
    split: &'a Split,
    copier: Copier<'a>,
    kernel: Library,
    user: UserBlocks<'a>,
    /// What was taken where the library lacks the call, by how well it fits and what is missing.
    stand_ins: BTreeMap<(Fit, String), u64>,
}

impl<'a> Distiller<'a> {
    fn call(&self, index: usize) -> &'a StraceCall {
        &self.recording.calls[index]
    }

    fn role(&self, index: usize, connection: u32) -> Role {
        if self.split.program == Program::Sequential {
            return Role::Other;
        }
        requests::role_in(self.call(index), connection)
    }

    /// Bytes received and sent by a request.
    fn bytes(&self, request: &Request) -> (u64, u64) {
        let of = |role: Role| {
            let own = request.calls.iter().filter(|index| self.role(**index, request.connection) == role);
            own.map(|index| self.call(*index).bytes).sum()
        };
        (of(Role::Receive), of(Role::Send))
    }

    /// The first word of what was received.
    fn command(&self, request: &Request) -> Option<String> {
        let receive = request.calls.iter().find(|index| self.role(**index, request.connection) == Role::Receive)?;
        self.call(*receive).command.clone()
    }

    fn key(&self, request: &Request) -> ClassKey {
        let calls = request.calls.iter().map(|index| (self.call(*index).name.clone(), self.call(*index).error.clone()));
        let received = self.bytes(request).0;
        ClassKey { command: self.command(request), calls: calls.collect(), received_bucket: u64::BITS - received.leading_zeros() }
    }

    /// The classes, most frequent first, and how many requests were dropped with small ones.
    fn classes(&mut self, base: &Workload) -> (Vec<RequestClass>, u64) {
        let mut groups: BTreeMap<ClassKey, Vec<&Request>> = BTreeMap::new();
        for request in self.split.requests.iter().filter(|request| request.calls.len() <= STEPS_MAX) {
            groups.entry(self.key(request)).or_default().push(request);
        }
        let mut groups: Vec<(ClassKey, Vec<&Request>)> = groups.into_iter().collect();
        groups.sort_by(|left, right| right.1.len().cmp(&left.1.len()).then_with(|| left.0.cmp(&right.0)));
        let all: usize = groups.iter().map(|(_, requests)| requests.len()).sum();
        let kept = groups.iter().take_while(|(_, requests)| requests.len() * 1_000 >= all * CLASS_MIN_MILLI).count().max(1);
        let dropped = groups.iter().skip(kept).map(|(_, requests)| requests.len() as u64).sum();
        groups.truncate(kept);
        let stores = base.classes.iter().any(|class| class.name == "get");
        let mut classes: Vec<RequestClass> = groups.iter().map(|(_, requests)| self.class(requests, stores)).collect();
        name_apart(&mut classes);
        (classes, dropped)
    }

    fn class(&mut self, requests: &[&Request], stores: bool) -> RequestClass {
        let count = requests.len();
        let (received, sent) =
            requests.iter().map(|request| self.bytes(request)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let chosen = count.min(CHAINS_MAX);
        let chains: Vec<Chain> = (0..chosen).map(|which| self.chain(requests[which * count / chosen])).collect();
        let (request_bytes, reply_bytes) = ((received / count as u64) as u32, (sent / count as u64) as u32);
        let name = match (self.split.program, stores, self.command(requests[0])) {
            (Program::Sequential, _, _) => "run".to_owned(),
            (_, true, Some(command)) => command,
            (_, true, None) if request_bytes < reply_bytes => "get".to_owned(),
            (_, true, None) => "set".to_owned(),
            _ => calls_name(&chains[0]),
        };
        let simple = if stores { name == "get" || name == "set" } else { chains.iter().all(in_kernel) };
        let in_kernel = self.split.program != Program::Sequential && simple;
        RequestClass { name, recorded: count as u32, request_bytes, reply_bytes, in_kernel, chains }
    }

    fn chain(&mut self, request: &Request) -> Chain {
        let roles: Vec<Role> = request.calls.iter().map(|index| self.role(*index, request.connection)).collect();
        let last_send = roles.iter().rposition(|role| *role == Role::Send);
        let first_send = roles.iter().position(|role| *role == Role::Send);
        let calls: Vec<(&StraceCall, Role)> =
            request.calls.iter().map(|index| self.call(*index)).zip(roles.iter().copied()).collect();
        let depends = depends::depends(&calls);
        let mut steps = Vec::with_capacity(calls.len());
        let mut previous = None;
        for (position, ((call, role), depends)) in calls.iter().zip(depends).enumerate() {
            let user = self.user.block(&mut self.copier, request.calls[position], previous, position);
            let (kernel, client_softirq) = self.kernel_block(call);
            let number = call.number.unwrap_or(CallNumber(u16::MAX >> 1));
            let effect = if Some(position) == last_send { Effect::SendLast } else { role.effect() };
            steps.push(Step {
                user,
                call: number,
                object: object(call),
                effect,
                bytes: u32::try_from(call.bytes).unwrap_or(u32::MAX),
                kernel,
                client_softirq,
                deferred: self.split.deferred && first_send.is_some_and(|first| position >= first),
                depends,
            });
            previous = call.number;
        }
        Chain { steps }
    }

    /// Kernel work of a call from the library; what the library lacks is replaced and counted, never left empty.
    fn kernel_block(&mut self, call: &StraceCall) -> (BlockId, BlockId) {
        let object = object(call);
        let bytes = u32::try_from(call.bytes).unwrap_or(u32::MAX);
        let Some(Found { source, kernel, client_softirq, fit, call: found }) = self.kernel.find(call.number, object, bytes) else {
            return (BlockId::EMPTY, BlockId::EMPTY);
        };
        let failed = call.error.as_deref().map_or(String::new(), |error| format!(" that failed with {error}"));
        let missing = match fit {
            Fit::Same => (!failed.is_empty()).then(|| format!("{}{failed}: taken from successful ones", call.name)),
            Fit::OtherObject => Some(format!("{} on {object:?}{failed}: taken from {} on another object", call.name, found.name())),
            Fit::Family => Some(format!("{}{failed}: median of {}", call.name, found.name())),
            Fit::Any => Some(format!("{}{failed}: median of all calls ({})", call.name, found.name())),
        };
        if let Some(missing) = missing {
            *self.stand_ins.entry((fit, missing)).or_default() += 1;
        }
        let origin = (fit >= Fit::Family).then_some(Origin::Synthetic);
        (self.copier.copy(source, kernel, origin), self.copier.copy(source, client_softirq, None))
    }

    /// The event loop, from the base or from the first library workload that has one.
    fn wait(&mut self, library: &[&Workload], base: Base) -> Option<WaitLoop> {
        let (name, max_events) = self.split.readiness.as_ref().filter(|_| self.split.program == Program::EventLoop)?;
        let call = CallNumber::from_name(name)?;
        let has = |source: &usize| library[*source].wait.is_some();
        let same_call = |source: &usize| library[*source].wait.as_ref().is_some_and(|wait| wait.call == call);
        let source = Some(base.index)
            .filter(same_call)
            .or_else(|| (0..library.len()).find(same_call))
            .or(Some(base.index).filter(has))
            .or_else(|| (0..library.len()).find(has))?;
        let from = library[source].wait.as_ref()?;
        if !same_call(&source) {
            *self.stand_ins.entry((Fit::Family, format!("{name}: event loop of {}", from.call.name()))).or_default() += 1;
        }
        let (user, user_events) = if source == base.index && base.same_program {
            (self.copier.copy_all(source, &from.user), from.user_events.clone())
        } else {
            (vec![self.user.typical(&mut self.copier, name)], vec![1])
        };
        let mut copy = |list: &[BlockId]| self.copier.copy_all(source, list);
        Some(WaitLoop {
            call,
            user,
            user_events,
            head: copy(&from.head),
            item: copy(&from.item),
            tail: copy(&from.tail),
            sleep: copy(&from.sleep),
            wake: copy(&from.wake),
            max_events: *max_events,
        })
    }

    /// The blocking receive, from the base or from the first library workload that has what the program needs.
    fn blocking(&mut self, library: &[&Workload], base: Base) -> BlockingPath {
        let blocks = self.split.program != Program::EventLoop;
        let fits = |path: &BlockingPath| if blocks { !path.sleep.is_empty() } else { !path.again.is_empty() };
        let other = (0..library.len()).find(|source| fits(&library[*source].blocking));
        let source = Some(base.index).filter(|source| fits(&library[*source].blocking)).or(other).unwrap_or(base.index);
        let from = &library[source].blocking;
        let again_user =
            if source == base.index && base.same_program { self.copier.copy_all(source, &from.again_user) } else { Vec::new() };
        let mut copy = |list: &[BlockId]| self.copier.copy_all(source, list);
        BlockingPath { sleep: copy(&from.sleep), wake: copy(&from.wake), again: copy(&from.again), again_user }
    }

    fn readiness(&mut self, library: &[&Workload], source: usize) -> Readiness {
        let from = &library[source].readiness;
        let mut copy = |list: &[BlockId]| self.copier.copy_all(source, list);
        let again = copy(&from.again);
        let poll = from.poll.as_ref().map(|poll| PollCall {
            head: copy(&poll.head),
            lookup: copy(&poll.lookup),
            asked: copy(&poll.asked),
            queue: copy(&poll.queue),
            put: copy(&poll.put),
            release: copy(&poll.release),
            tail: copy(&poll.tail),
            rest_instructions: poll.rest_instructions,
        });
        Readiness { again, poll }
    }

    fn kernel_blocks(&mut self, library: &[&Workload], source: usize) -> KernelBlocks {
        let from = &library[source].kernel;
        let mut ring = from.ring.clone();
        ring.for_each_mut(|id| *id = self.copier.copy(source, *id, None));
        let mut copy = |list: &[BlockId]| self.copier.copy_all(source, list);
        KernelBlocks {
            ring,
            interrupt_entry: copy(&from.interrupt_entry),
            interrupt_exit: copy(&from.interrupt_exit),
            poll: copy(&from.poll),
            driver_receive: copy(&from.driver_receive),
            transmit: copy(&from.transmit),
            switch_out: copy(&from.switch_out),
            switch_in: copy(&from.switch_in),
            tick: copy(&from.tick),
            null_call: copy(&from.null_call),
            receive: from.receive.iter().map(|(kind, id)| (*kind, self.copier.copy(source, *id, None))).collect(),
        }
    }
}

/// Kind of object of a call: of its descriptor, or by what it does.
fn object(call: &StraceCall) -> Object {
    if let Some(descriptor) = call.descriptor() {
        return descriptor.object;
    }
    match call.name.as_str() {
        "mmap" | "munmap" | "mprotect" | "brk" | "madvise" | "mremap" | "msync" => Object::Memory,
        "futex" | "clone" | "clone3" | "fork" | "vfork" | "kill" | "tkill" | "tgkill" | "wait4" | "waitid" => Object::Process,
        "open" | "openat" | "openat2" | "creat" | "stat" | "lstat" | "newfstatat" | "statx" | "access" | "faccessat"
        | "faccessat2" | "readlink" | "readlinkat" | "unlink" | "unlinkat" | "rename" | "renameat" | "renameat2" | "mkdir"
        | "mkdirat" | "statfs" => Object::File,
        _ => Object::None,
    }
}

/// Names of the calls of a chain, repeats written once.
fn calls_name(chain: &Chain) -> String {
    let mut names: Vec<&str> = chain.steps.iter().map(|step| step.call.name()).collect();
    names.dedup();
    if names.len() > 6 { "request".to_owned() } else { names.join("+") }
}

/// Makes class names different by numbering repeats.
fn name_apart(classes: &mut [RequestClass]) {
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for class in classes {
        let count = seen.entry(class.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            class.name = format!("{} {count}", class.name);
        }
    }
}

/// True when an in-kernel service can do what the request does: receive, look at files, send.
fn in_kernel(chain: &Chain) -> bool {
    chain.steps.iter().all(|step| {
        let name = step.call.name();
        let reads = [
            "read",
            "pread64",
            "open",
            "openat",
            "fstat",
            "newfstatat",
            "stat",
            "close",
            "sendfile",
            "setsockopt",
            "epoll_ctl",
            "lseek",
            "fcntl",
            "shutdown",
        ];
        step.effect != Effect::None || reads.contains(&name)
    })
}
