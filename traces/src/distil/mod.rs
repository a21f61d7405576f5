//! From a full-system capture to a [`Workload`].
//!
//! Calls are split into requests, requests into classes; the kernel work of each call is freed of interrupts, softirqs and the
//! scheduler; lines are renamed by who shares them, so that what was recorded once can run for any number of connections, in any
//! order, on any core. Readiness, sleeping and receiving are kept as exemplars: a run simulates them instead of replaying them.
//!
//! ```
//! use traces::distil::{DistilOptions, distil};
//!
//! # let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/captures");
//! # let file = std::fs::read(format!("{data}/ubench-off.trace")).unwrap();
//! let options = DistilOptions { name: "microbench", file: "ubench-off.trace", ..DistilOptions::default() };
//! let workload = distil(&file, &options)?;
//! assert_eq!(workload.classes.len(), 1);
//! assert!(workload.classes[0].chains[0].steps.len() > 900);
//! # Ok::<(), traces::error::TraceError>(())
//! ```

mod calls;
mod chains;
mod cuts;
mod depends;
mod descriptors;
mod emit;
pub(crate) mod functions;
mod kernel_blocks;
mod maps;
mod readiness;
mod recording;
mod requests;
mod rings;
mod segments;
mod sharing;
mod waits;

use crate::TraceError;
use crate::capture::Capture;
use crate::capture::header::Header;
use crate::kernel_map::KernelMap;
use chains::{ChainSource, note};
use descriptors::{DescriptorTable, Role};
use emit::{Emitter, SourceLines, UnitLines};
use kernel_blocks::other_units;
use maps::UserMaps;
use recording::{Piece, Recording};
use requests::{CallRecord, Requests, split};
pub use rings::RingRecording;
use segments::SegmentPart;
use sha2::{Digest, Sha256};
use sharing::{Places, SOFTIRQ_CONTEXT, SharingModel, Slots, USER_CONTEXT, Unit, UnitStep, classify};
use sim_core::block::BlockId;
use sim_core::payload::{Payload, Protocol};
use sim_core::workload::{
    BlockingPath, Certainty, Chain, Effect, KernelBlocks, Note, Object, Program, Readiness, RecordedClient, RequestClass, Source,
    WaitLoop, Workload,
};
use std::collections::{BTreeMap, BTreeSet};
use waits::Exemplars;

/// What besides the capture goes into a workload.
#[derive(Clone, Copy, Debug, Default)]
pub struct DistilOptions<'a> {
    /// Name for reports; empty: the capture's own.
    pub name: &'a str,
    /// One line for people; empty: the capture's own.
    pub description: &'a str,
    /// File or bundled name of the capture.
    pub file: &'a str,
    /// `/proc/PID/maps` of the recorded processes, each line after the process id. Without it thread stacks count as heap.
    pub maps: Option<&'a str>,
    /// A capture across a network card (`mcvnet`): interrupts, polling, the driver's receive and transmit.
    pub remote: Option<&'a [u8]>,
    /// A capture with the server's own receive path (`*-rx-*`), for kinds of packets that the capture itself does not show.
    pub receive: Option<&'a [u8]>,
    /// A capture with calls that do nothing (`ubench2`).
    pub null_call: Option<&'a [u8]>,
    /// A capture whose threads sleep in receives (`thsrv`), for a program that never did: what a blocking call would execute.
    pub blocking: Option<&'a [u8]>,
    /// A capture with other ways of asking for readiness (`ubench2`): a read that finds nothing, `poll`.
    pub readiness: Option<&'a [u8]>,
    /// What io_uring executes around calls.
    pub ring: Option<&'a RingRecording>,
    /// Use what is before the first damage instead of refusing the capture.
    pub lenient: bool,
}

/// Address spaces of the lines of each capture, from 1; 0 is what all share.
const SPACE_WORKLOAD: u32 = 1;
const SPACE_REMOTE: u32 = 2;
const SPACE_RECEIVE: u32 = 3;
const SPACE_NULL_CALL: u32 = 4;
const SPACE_BLOCKING: u32 = 5;
const SPACE_READINESS: u32 = 6;
const SPACE_RING: u32 = 9;

/// Servers that execute commands on one thread by design, by the beginning of what they print as their version.
const SINGLE_THREADED: &[&str] = &["Redis server"];

/// Areas of 2 MiB that a capture may touch: a quarter of the simulated address space, so that libraries and a run's instances fit too.
const AREAS_MAX: usize = 8192;

/// Bytes of the event stream of a library capture that are read where a handful of exemplars of frequent work is wanted: some million
/// instructions. (Rare packets, those that begin and end connections, need the whole capture.)
const LIBRARY_BYTES_MAX: u64 = 12 << 20;

/// A capture read, its calls found and its lines classified.
struct Analysis {
    recording: Recording,
    calls: Vec<CallRecord>,
    table: DescriptorTable,
    requests: Requests,
    program: Program,
    places: Places,
}

/// Makes a workload of a capture.
///
/// # Errors
/// Damage in one of the captures; a capture without finished calls of a kept task.
pub fn distil(capture: &[u8], options: &DistilOptions<'_>) -> Result<Workload, TraceError> {
    let (opened, damage) = Capture::read_lenient(capture)?;
    let header = opened.header.clone();
    let mut slots = Slots::default();
    let mut notes = Vec::new();
    let maps = UserMaps::parse(options.maps.unwrap_or_default());
    let (recording, cut) = Recording::read(&opened);
    match cut.or(damage) {
        Some(error) if !options.lenient => return Err(error),
        Some(error) => note(&mut notes, Certainty::Dropped, &format!("rest of a damaged capture ({error})"), 1),
        None => {}
    }
    let areas = recording.areas();
    if areas > AREAS_MAX {
        let problem =
            format!("its lines spread over {areas} areas of 2 MiB, more than a real program touches ({AREAS_MAX} can be placed)");
        return Err(TraceError::content(
            options.file,
            problem,
            "Check that the file was made by a full-system capture and is whole",
        ));
    }
    let analysis = analyse(recording, &maps, &mut slots, false);
    if analysis.calls.is_empty() {
        let problem = "it holds no finished system call of a recorded task";
        return Err(TraceError::content(options.file, problem, "Record for longer, or check which tasks are kept"));
    }
    let mut emitter = Emitter::default();
    let lines = analysis.lines(SPACE_WORKLOAD);
    let classes = if analysis.program == Program::Sequential {
        vec![sequential(&analysis, &mut emitter, &mut notes)]
    } else {
        chains::classes(&analysis.chain_source(&header), &mut emitter, &mut notes)
    };
    if classes.is_empty() {
        let problem = "no request is complete in it";
        return Err(TraceError::content(
            options.file,
            problem,
            "Record for longer: a request counts from its receive to its reply",
        ));
    }
    let connection = chains::connection_work(&analysis.chain_source(&header), &mut emitter);
    let event_loop = analysis.program == Program::EventLoop;
    let mut exemplars = Exemplars { lines, emitter: &mut emitter };
    let wait = if event_loop { exemplars.wait_loop(&analysis.calls, &analysis.requests) } else { None };
    let mut blocking = if analysis.program == Program::Sequential {
        BlockingPath::default()
    } else {
        exemplars.blocking(&analysis.calls, &analysis.requests.again, event_loop)
    };
    let (mut readiness, mut socket_questions) = (Readiness::default(), Vec::new());
    if event_loop {
        exemplars.socket_questions(&analysis.calls, &mut socket_questions);
        exemplars.empty_reads(&analysis.calls, &mut readiness.again);
    }
    let mut kernel = KernelBlocks::default();
    exemplars.switches(&analysis.calls, &mut kernel.switch_out, &mut kernel.switch_in);
    exemplars.ticks(&mut kernel.tick);
    exemplars.null_calls(&analysis.calls, &mut kernel.null_call);
    if analysis.program != Program::Sequential {
        exemplars.receive(&mut kernel.receive);
    }
    let mut wait = wait;
    libraries(options, &mut slots, &mut emitter, &mut kernel, wait.as_mut())?;
    blocking_library(options, &mut slots, &mut emitter, &mut kernel, &mut blocking)?;
    if event_loop {
        readiness_library(options, &mut slots, &mut emitter, &mut readiness, socket_questions)?;
    }
    summarise(&analysis, &classes, &emitter, &mut notes);
    let requests = if analysis.program == Program::Sequential { 1 } else { analysis.requests.replies };
    let keys = header.workload.keys;
    let connection_per_request = analysis.requests.connection_per_request;
    let payload = payload(&header, &classes, analysis.is_datagram(), connection_per_request);
    Ok(Workload {
        name: first_of(&[options.name, &header.name]).to_owned(),
        description: first_of(&[options.description, &header.workload.description]).to_owned(),
        source: Source {
            format: "capture".to_owned(),
            file: options.file.to_owned(),
            sha256: hexadecimal(&Sha256::digest(capture)),
            mitigations: header.mitigations != "off",
        },
        program: analysis.program,
        datagram: analysis.is_datagram(),
        connection_per_request,
        threads: analysis.serving_tasks().len().max(1) as u32,
        // redis executes commands on one thread by design; other event loops get one a core
        single_threaded: SINGLE_THREADED.iter().any(|server| header.server.starts_with(server)),
        connections: if header.workload.connections > 0 {
            header.workload.connections
        } else {
            analysis.requests.connections as u32
        },
        requests,
        client: client(&analysis, requests),
        classes,
        connection,
        wait,
        blocking,
        readiness,
        kernel,
        blocks: emitter.blocks,
        kernel_chunks: emitter.map.chunks_of(emit::SPACE_EVERYWHERE),
        layout: emitter.map.layout,
        region_lines: emitter.region_lines,
        keys,
        payload,
        user_base_cpi_milli: None,
        stated_kernel_work: Vec::new(),
        user_call_depth: None,
        user_loads_depend: false,
        notes,
    })
}

/// What the requests' bytes look like: protocol and sizes from the header. A file's path has the length that the request leaves for it.
fn payload(header: &Header, classes: &[RequestClass], datagram: bool, connection_per_request: bool) -> Option<Payload> {
    let protocol = Protocol::of_server(&header.server, datagram, connection_per_request)?;
    let own = &header.workload;
    let path_bytes = classes.first()?.request_bytes.saturating_sub(protocol.get_overhead_bytes());
    let (key_bytes, value_bytes) = if own.keys > 0 { (own.key_bytes, own.value_bytes) } else { (path_bytes, own.file_bytes) };
    Some(Payload { protocol, key_bytes, value_bytes })
}

fn first_of<'a>(choices: &[&'a str]) -> &'a str {
    choices.iter().copied().find(|choice| !choice.is_empty()).unwrap_or_default()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Analysis {
    fn lines(&self, space: u32) -> SourceLines<'_> {
        SourceLines { recording: &self.recording, places: &self.places, space }
    }

    fn chain_source(&self, header: &Header) -> ChainSource<'_> {
        ChainSource {
            lines: self.lines(SPACE_WORKLOAD),
            calls: &self.calls,
            requests: &self.requests,
            items: header.workload.keys > 0,
            deferred_sends: self.program == Program::EventLoop && sends_are_deferred(self),
        }
    }

    /// Tasks that receive requests.
    fn serving_tasks(&self) -> BTreeSet<u32> {
        serving_tasks(&self.calls)
    }

    fn is_datagram(&self) -> bool {
        is_datagram(&self.calls)
    }
}

fn serving_tasks(calls: &[CallRecord]) -> BTreeSet<u32> {
    calls.iter().filter(|call| call.role == Role::Receive && call.result > 0).map(|call| call.task).collect()
}

fn is_datagram(calls: &[CallRecord]) -> bool {
    let of = |object: Object| calls.iter().filter(|call| call.role == Role::Receive && call.object == object).count();
    of(Object::Datagram) > of(Object::Stream)
}

/// Reads a capture and decides what its lines are. A `library` is asked for kernel work only.
fn analyse(recording: Recording, maps: &UserMaps, slots: &mut Slots, library: bool) -> Analysis {
    let (calls, table) = requests::calls(&recording, KernelMap::bundled());
    let program = program(&recording, &calls);
    let event_loop = program == Program::EventLoop;
    let mut requests = if program == Program::Sequential { Requests::default() } else { split(&calls, &table, event_loop) };
    segments::assign(&recording, &calls, &mut requests, event_loop);
    let units = units(&recording, &calls, &requests);
    let others = other_units(&recording, library);
    let processes: BTreeSet<u64> = units.iter().map(|unit| recording.tasks[unit.task as usize].process).collect();
    let tasks: BTreeSet<u32> = units.iter().map(|unit| unit.task).collect();
    let kept = recording.tasks.iter().filter(|task| task.kept).count();
    let model = SharingModel {
        sequential: units.is_empty(),
        connection_per_request: requests.connection_per_request,
        datagram: is_datagram(&calls),
        multi_process: processes.len() > 1,
        several_tasks: tasks.len() > 1 || kept > 1,
        items: recording.header.workload.keys > 0,
    };
    let places = classify(&recording, &units, &others, model, maps, slots);
    Analysis { recording, calls, table, requests, program, places }
}

/// How the program is built, by which tasks receive from which connections.
fn program(recording: &Recording, calls: &[CallRecord]) -> Program {
    if recording.header.workload.requests == 0 {
        return Program::Sequential;
    }
    let receives = || calls.iter().filter(|call| call.role == Role::Receive && call.result > 0);
    let connections: BTreeSet<usize> = receives().filter_map(|call| call.epochs[0]).collect();
    let tasks = serving_tasks(calls);
    if connections.is_empty() {
        return Program::Sequential;
    }
    let processes: BTreeSet<u64> = receives().map(|call| call.process).collect();
    if is_datagram(calls) || tasks.len() * 2 <= connections.len() {
        Program::EventLoop
    } else if processes.len() > 1 {
        Program::ProcessPerConnection
    } else if tasks.len() > 1 {
        Program::ThreadPerConnection
    } else {
        Program::EventLoop
    }
}

/// Requests with all that was done for them, as the classification of lines sees them.
fn units(recording: &Recording, calls: &[CallRecord], requests: &Requests) -> Vec<Unit> {
    let unit = |request: &requests::Request| {
        let mut steps = Vec::new();
        for (position, index) in request.calls.iter().enumerate() {
            let call = &calls[*index as usize];
            for (_, part) in request.user.iter().filter(|(step, _)| *step as usize == position) {
                steps.push(UnitStep { context: USER_CONTEXT, pieces: part.pieces(recording) });
            }
            steps.extend(frame_steps(recording, call));
        }
        let task = request.calls.first().map_or(0, |index| calls[*index as usize].task);
        Unit { connection: request.connection as u32, task, steps }
    };
    requests.units().map(unit).collect()
}

/// A call's own work and the softirqs inside it.
fn frame_steps(recording: &Recording, call: &CallRecord) -> [UnitStep; 2] {
    let mut steps =
        [UnitStep { context: call.number.0, pieces: Vec::new() }, UnitStep { context: SOFTIRQ_CONTEXT, pieces: Vec::new() }];
    for piece in &recording.frames[call.frame as usize].pieces {
        if let Piece::Ops { start, end, softirq } = piece {
            steps[usize::from(softirq.is_some())].pieces.push((*start, *end));
        }
    }
    steps
}

/// True when, in at least half of the requests that shared their readiness call with others, other connections are received from
/// between a request's receive and its send.
fn sends_are_deferred(analysis: &Analysis) -> bool {
    let calls = &analysis.calls;
    let mut events = BTreeMap::new();
    let mut batch = vec![0i64; calls.len()];
    for (index, call) in calls.iter().enumerate() {
        if call.role == Role::Readiness {
            events.insert(call.task, call.result);
        }
        batch[index] = events.get(&call.task).copied().unwrap_or(0);
    }
    let (mut shared, mut deferred) = (0u32, 0u32);
    for request in &analysis.requests.requests {
        let at = |what: Role| request.calls.iter().copied().find(|index| calls[*index as usize].role == what);
        let (Some(receive), Some(send)) = (at(Role::Receive), at(Role::Send)) else { continue };
        if batch[receive as usize] < 2 {
            continue;
        }
        shared += 1;
        let others = &calls[receive as usize + 1..send.max(receive + 1) as usize];
        let task = calls[receive as usize].task;
        let other_receive = |call: &CallRecord| {
            call.role == Role::Receive && call.result > 0 && call.task == task && call.epochs[0] != Some(request.connection)
        };
        deferred += u32::from(others.iter().any(other_receive));
    }
    deferred * 2 >= shared && shared > 0
}

/// A program without clients: all calls of its busiest task in one chain.
fn sequential(analysis: &Analysis, emitter: &mut Emitter, notes: &mut Vec<Note>) -> RequestClass {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for call in &analysis.calls {
        *counts.entry(call.task).or_default() += 1;
    }
    let main = counts.iter().max_by_key(|(task, count)| (**count, std::cmp::Reverse(**task))).map_or(0, |(task, _)| *task);
    let calls: Vec<&CallRecord> = analysis.calls.iter().filter(|call| call.task == main).take(usize::from(u16::MAX)).collect();
    note(notes, Certainty::Dropped, "calls of other tasks than the main one", (analysis.calls.len() - calls.len()) as u64);
    let mut unit = UnitLines::default();
    let lines = analysis.lines(SPACE_WORKLOAD);
    let depends = depends::depends(&calls, true);
    let steps = calls.iter().zip(depends).map(|(call, depends)| {
        let step = chains::step(lines, emitter, &mut unit, call, call.segment.map(SegmentPart::whole).into_iter());
        sim_core::workload::Step { effect: Effect::None, depends, ..step }
    });
    RequestClass {
        name: "run".to_owned(),
        recorded: 1,
        request_bytes: 0,
        reply_bytes: 0,
        in_kernel: false,
        chains: vec![Chain { steps: steps.collect() }],
    }
}

/// Takes from other captures what this one cannot show.
fn libraries(
    options: &DistilOptions<'_>,
    slots: &mut Slots,
    emitter: &mut Emitter,
    kernel: &mut KernelBlocks,
    wait: Option<&mut WaitLoop>,
) -> Result<(), TraceError> {
    if let Some(bytes) = options.remote {
        let library = library(bytes, LIBRARY_BYTES_MAX, slots)?;
        let mut exemplars = Exemplars { lines: library.lines(SPACE_REMOTE), emitter };
        exemplars.network_card(&library.calls, kernel);
    }
    if let Some(bytes) = options.receive {
        let library = library(bytes, u64::MAX, slots)?;
        let mut exemplars = Exemplars { lines: library.lines(SPACE_RECEIVE), emitter };
        exemplars.receive(&mut kernel.receive);
        if let Some(wait) = wait.filter(|wait| wait.sleep.is_empty()) {
            exemplars.sleeps(&library.calls, wait);
        }
    }
    if let Some(bytes) = options.null_call {
        let library = library(bytes, LIBRARY_BYTES_MAX, slots)?;
        let mut exemplars = Exemplars { lines: library.lines(SPACE_NULL_CALL), emitter };
        exemplars.null_calls(&library.calls, &mut kernel.null_call);
    }
    if let Some(recording) = options.ring {
        kernel.ring = recording.emit(emitter);
    }
    Ok(())
}

/// What a blocking receive and the scheduler execute, for a program whose own recording never slept.
fn blocking_library(
    options: &DistilOptions<'_>,
    slots: &mut Slots,
    emitter: &mut Emitter,
    kernel: &mut KernelBlocks,
    blocking: &mut BlockingPath,
) -> Result<(), TraceError> {
    let Some(bytes) = options.blocking.filter(|_| blocking.sleep.is_empty() || kernel.switch_out.is_empty()) else {
        return Ok(());
    };
    let library = library(bytes, LIBRARY_BYTES_MAX, slots)?;
    let mut exemplars = Exemplars { lines: library.lines(SPACE_BLOCKING), emitter };
    if kernel.switch_out.is_empty() {
        exemplars.switches(&library.calls, &mut kernel.switch_out, &mut kernel.switch_in);
    }
    if blocking.sleep.is_empty() {
        let borrowed = exemplars.blocking(&library.calls, &[], false);
        (blocking.sleep, blocking.wake) = (borrowed.sleep, borrowed.wake);
    }
    Ok(())
}

/// What an event loop that asks for readiness in another way executes, where its own recording does not show it.
fn readiness_library(
    options: &DistilOptions<'_>,
    slots: &mut Slots,
    emitter: &mut Emitter,
    readiness: &mut Readiness,
    socket_questions: Vec<BlockId>,
) -> Result<(), TraceError> {
    let Some(bytes) = options.readiness else { return Ok(()) };
    let library = library(bytes, u64::MAX, slots)?;
    let mut exemplars = Exemplars { lines: library.lines(SPACE_READINESS), emitter };
    if readiness.again.is_empty() {
        exemplars.empty_reads(&library.calls, &mut readiness.again);
    }
    readiness.poll = exemplars.poll_call(&library.calls, socket_questions);
    Ok(())
}

/// Reads the beginning of a capture of which only kernel work is wanted.
fn library(bytes: &[u8], events_bytes_max: u64, slots: &mut Slots) -> Result<Analysis, TraceError> {
    let capture = Capture::read_start(bytes, events_bytes_max)?;
    // The end of the part that was read is no damage.
    let (recording, _) = Recording::read(&capture);
    Ok(analyse(recording, &UserMaps::default(), slots, true))
}

/// The clients' own instructions per reply.
fn client(analysis: &Analysis, requests: u64) -> RecordedClient {
    let [user, kernel] = analysis.recording.dropped_instructions;
    RecordedClient { instructions_user: user / requests.max(1), instructions_kernel: kernel / requests.max(1) }
}

/// What was understood, guessed and dropped.
fn summarise(analysis: &Analysis, classes: &[RequestClass], emitter: &Emitter, notes: &mut Vec<Note>) {
    let complete: u64 = classes.iter().map(|class| u64::from(class.recorded)).sum();
    note(notes, Certainty::Understood, "system calls of recorded tasks", analysis.calls.len() as u64);
    note(notes, Certainty::Understood, "descriptors", analysis.table.epochs.len() as u64);
    note(notes, Certainty::Understood, "complete requests in classes", complete);
    note(
        notes,
        Certainty::Understood,
        "receives and accepts that found nothing, kept as exemplars",
        analysis.requests.again.len() as u64,
    );
    for (text, count) in &analysis.requests.outside {
        note(notes, Certainty::Dropped, text, *count);
    }
    for (text, count) in &analysis.places.guessed {
        note(notes, Certainty::Guessed, text, *count);
    }
    chains::note_missing_spans(classes, emitter, notes);
}
