//! The model twin of a place on a case's curves: a sequential program of recorded calls with the case's user work, and the mechanism
//! that is nearest to the native way of issuing them.

use crate::on_host::OnHostError;
use crate::on_host::blocks::{self, UserBlocks};
use crate::on_host::hook::{self, Around, Visit};
use crate::on_host::pieces;
use crate::on_host::points::Place;
use crate::on_host::primitives;
use crate::on_host::server;
use crate::on_host::sockets::{Sockets, messages};
use mechanisms::registry::Mechanism;
use mechanisms::variants::Way as ModelWay;
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::ids::{Line, PAGE_LINES};
use sim_core::layout::PageSize;
use sim_core::workload::{Certainty, Chain, Note, Object, RequestClass, Step, Workload};
use std::sync::OnceLock;
use traces::bundled;
use traces::call_loop::{self, CallLoop};
use twins::case::{EVENTS_MAX, Hook, Interrupted, Program, ReadLoop, Work};
use twins::work::Piece;
use twins::{Case, parts, read_loop};

/// Recording of sockets, readiness and message batches.
pub(super) const SOCKETS: &str = "microbench-2";

/// A bundled recording, distilled once: anchors and points ask for it hundreds of times.
pub(super) fn recording(name: &'static str) -> Result<&'static Workload, OnHostError> {
    static CALLS: OnceLock<Workload> = OnceLock::new();
    static OF_SOCKETS: OnceLock<Workload> = OnceLock::new();
    let place = if name == SOCKETS { &OF_SOCKETS } else { &CALLS };
    if let Some(distilled) = place.get() {
        return Ok(distilled);
    }
    let distilled = bundled::load(name)?;
    Ok(place.get_or_init(|| distilled))
}

/// Calls of a loop that a part is measured with.
pub(super) const LOOP_CALLS: u32 = 64;
/// User instructions of one run of interrupted work, about: the chain of loads goes round several times.
pub(super) const RUN_INSTRUCTIONS: u32 = 200_000;
/// Intervals of one run.
const INTERVALS: std::ops::RangeInclusive<u32> = 10..=200;

/// A workload with the way that its calls are issued.
#[derive(Clone, Debug)]
pub struct Model {
    /// The workload.
    pub workload: Workload,
    /// The mechanism.
    pub way: ModelWay,
    /// Cores.
    pub cores: u32,
    /// Operations of one run: reads, requests, intervals.
    pub operations: u32,
    /// Kernel work that is put together of several pieces, by step.
    pub composed: Vec<(u16, Vec<pieces::Piece>)>,
}

/// Synchronous calls.
pub(super) const SYNC: ModelWay = ModelWay { mechanism: Mechanism::Sync, variant: Some("recorded") };
/// Rings with an enter a batch.
pub(super) const RING: ModelWay = ModelWay { mechanism: Mechanism::ExceptionLess, variant: Some("io-uring") };
/// Rings that a kernel thread on another core polls.
pub(super) const POLLED: ModelWay = ModelWay { mechanism: Mechanism::ExceptionLess, variant: Some("io-uring-poll-other-core") };

/// The model twin of a place.
///
/// # Errors
/// A recording that lacks a call: none as long as the bundled captures are whole.
pub fn model(case: &Case, place: &Place) -> Result<Model, OnHostError> {
    if let Some(made) = primitives::primitive(case, place)? {
        return Ok(made);
    }
    match (place.series.as_str(), &case.program) {
        (parts::NULL_CALL, _) => sync_loop(CallLoop::null(LOOP_CALLS).of(recording(call_loop::RECORDING)?)?, LOOP_CALLS),
        (parts::RING_NOP, _) => {
            let workload = CallLoop::null(place.x).of(recording(call_loop::RECORDING)?)?;
            Ok(Model { workload, way: RING, cores: 1, operations: 1, composed: Vec::new() })
        }
        (parts::RECEIVED | parts::RECEIVED_TOGETHER, _) => messages(parts::STORE, parts::NOPS, place, Object::Datagram),
        (_, Program::ReadLoop(own)) => reads(own, place),
        (_, Program::Interrupted(own)) => interruptions(own, place),
        (_, Program::Datagrams(own)) => messages(own.store, own.waiting, place, Object::Datagram),
        (_, Program::Server(own)) if server::is_request(place) => server::requests(own, place),
        (_, Program::Server(_)) => messages(parts::STORE, connection_count(place), place, Object::Stream),
        (_, Program::Hook(own)) => hooked(own, place),
        (_, Program::Connections(own)) => messages(own.store, connection_count(place), place, Object::Stream),
    }
}

fn sync_loop(workload: Workload, operations: u32) -> Result<Model, OnHostError> {
    Ok(Model { workload, way: SYNC, cores: 1, operations, composed: Vec::new() })
}

/// Connections of a place: parts are measured on as many as a wait returns.
fn connection_count(place: &Place) -> u32 {
    if place.series.starts_with(parts::PREFIX) { EVENTS_MAX as u32 } else { place.x }
}

/// A workload under construction.
pub(super) struct Maker {
    /// What it will be.
    pub workload: Workload,
    steps: Vec<Step>,
    /// Kernel work that is put together of several pieces, by step.
    pub composed: Vec<(u16, Vec<pieces::Piece>)>,
}

impl Maker {
    /// Of a recording, without its calls.
    pub fn new(recording: &Workload) -> Maker {
        let text = "recorded calls with user work of a case's shape".into();
        let notes = vec![Note { certainty: Certainty::Guessed, text, count: 1 }];
        let workload = Workload { classes: Vec::new(), notes, requests: 1, ..recording.clone() };
        Maker { workload, steps: Vec::new(), composed: Vec::new() }
    }

    pub fn area(&mut self, lines: u32, size: PageSize) -> Line {
        self.workload.layout.area(lines.into(), size)
    }

    /// Appends a call; returns its number.
    pub fn call(&mut self, recorded: &Step, user: BlockId, kernel: BlockId, depends: Vec<u16>) -> u16 {
        self.steps.push(Step { user, kernel, client_softirq: BlockId::EMPTY, depends, ..recorded.clone() });
        self.steps.len() as u16 - 1
    }

    /// A run of the calls.
    pub fn finish(mut self, case: &str, way: ModelWay, cores: u32, operations: u32) -> Model {
        self.workload.name = case.into();
        self.workload.classes = vec![RequestClass {
            name: case.into(),
            recorded: 1,
            request_bytes: 0,
            reply_bytes: 0,
            in_kernel: false,
            chains: vec![Chain { steps: self.steps }],
        }];
        // loops of their own return through no frames between two calls
        self.workload.user_call_depth = Some(0);
        self.workload.keep_named_blocks();
        Model { workload: self.workload, way, cores, operations, composed: self.composed }
    }
}

/// A call by its name.
pub(super) fn number(name: &str) -> CallNumber {
    CallNumber::from_name(name).unwrap_or(CallNumber::READ)
}

fn reads(case: &ReadLoop, place: &Place) -> Result<Model, OnHostError> {
    if place.series == parts::USER {
        return alone(case.work);
    }
    let recording = recording(call_loop::RECORDING)?;
    let recorded = call_loop::recorded_steps(recording, number(read_loop::CALL), "read-loop")?;
    let mut maker = Maker::new(recording);
    let (pages, buffers) =
        (maker.area(case.buffers * PAGE_LINES, PageSize::Large), maker.area(case.buffers * PAGE_LINES, PageSize::Small));
    let mut user = UserBlocks::new(case.work.shape, &mut maker.workload.layout);
    let with_work = !place.series.starts_with(parts::PREFIX);
    let batched = place.series != read_loop::SYNCHRONOUS && with_work;
    let batch = if batched { place.x } else { 1 };
    for index in 0..case.buffers {
        let step = recorded[index as usize % recorded.len()];
        let mut ops = Vec::new();
        if with_work {
            user.piece(Piece::of(case.work), &mut ops);
        }
        let store = &mut maker.workload.blocks;
        let work = blocks::push_user(store, &ops);
        let kernel = blocks::copy_between(store, step.kernel, pages + index * PAGE_LINES, buffers + index * PAGE_LINES);
        let group = index / batch * batch;
        // a batch begins when the one before it has ended
        let depends = (group.saturating_sub(batch)..group).map(|before| before as u16).collect();
        maker.call(step, work, kernel, depends);
    }
    maker.workload.user_loads_depend = true;
    Ok(maker.finish("read-loop", if batched { RING } else { SYNC }, 1, case.buffers))
}

/// User work without calls, but for one that ends a run.
pub(super) fn alone(work: Work) -> Result<Model, OnHostError> {
    let recording = recording(call_loop::RECORDING)?;
    let recorded = call_loop::recorded_steps(recording, call_loop::null_call(), "user work")?;
    let mut maker = Maker::new(recording);
    let mut user = UserBlocks::new(work.shape, &mut maker.workload.layout);
    let intervals = intervals(work.instructions);
    let mut ops = Vec::new();
    (0..intervals).for_each(|_| user.piece(Piece::of(work), &mut ops));
    let block = blocks::push_user(&mut maker.workload.blocks, &ops);
    maker.call(recorded[0], block, recorded[0].kernel, Vec::new());
    // the only loads are the chain's
    maker.workload.user_loads_depend = true;
    Ok(maker.finish("user work", SYNC, 1, intervals))
}

/// Pieces of one run of user work.
pub(super) fn intervals(instructions: u32) -> u32 {
    (RUN_INSTRUCTIONS / instructions.max(1)).clamp(*INTERVALS.start(), *INTERVALS.end())
}

fn interruptions(case: &Interrupted, place: &Place) -> Result<Model, OnHostError> {
    let work = Work { shape: case.shape, instructions: place.x };
    if place.series == parts::USER {
        return alone(work);
    }
    let recording = recording(call_loop::RECORDING)?;
    let recorded = call_loop::recorded_steps(recording, number(case.call.name()), "interrupted work")?;
    let mut maker = Maker::new(recording);
    let hot = place.series.starts_with(parts::PREFIX);
    let mut user = UserBlocks::new(case.shape, &mut maker.workload.layout);
    let count = if hot { LOOP_CALLS } else { intervals(place.x) };
    // each write goes to the same page from the same buffer
    let (from, to) = (maker.area(PAGE_LINES, PageSize::Small), maker.area(PAGE_LINES, PageSize::Large));
    for index in 0..count as usize {
        let step = recorded[index % recorded.len()];
        let mut ops = Vec::new();
        if !hot {
            user.piece(Piece::of(work), &mut ops);
        }
        let store = &mut maker.workload.blocks;
        let (work, kernel) = (blocks::push_user(store, &ops), blocks::copy_between(store, step.kernel, from, to));
        maker.call(step, work, kernel, Vec::new());
    }
    maker.workload.user_loads_depend = true;
    Ok(maker.finish("interrupted work", SYNC, 1, count))
}

/// Rounds of a client, of whose sends a program at the hook may see the messages, and parts of them.
fn hooked(case: &Hook, place: &Place) -> Result<Model, OnHostError> {
    use twins::hook::{DROPPED, HOOK, PASSED, PROGRAM, SERVER, TOGETHER};
    let visit = match place.series.as_str() {
        PROGRAM => return hook::program_alone(recording(call_loop::RECORDING)?, case.store),
        HOOK => Visit::Answer,
        PASSED => Visit::Pass,
        DROPPED => Visit::Drop,
        SERVER => return messages(case.store, place.x, place, Object::Datagram),
        _ => return messages(case.store, TOGETHER, place, Object::Datagram),
    };
    let recording = recording(SOCKETS)?;
    let sockets = Sockets::of(recording, Object::Datagram)?;
    let mut maker = Maker::new(recording);
    let count = if visit == Visit::Answer { place.x } else { TOGETHER };
    let mut around = Around::new(&mut maker, case.store);
    for step in sockets.sends.iter().cycle().take(count as usize) {
        let block = blocks::with_softirq(&mut maker.workload.blocks, step);
        let pieces = around.sent(&maker.workload, block, sockets.receives[0], visit)?;
        let place = maker.call(step, BlockId::EMPTY, block, Vec::new());
        maker.composed.push((place, pieces));
    }
    if visit == Visit::Answer {
        for step in sockets.receives.iter().cycle().take(count as usize) {
            maker.call(step, BlockId::EMPTY, step.kernel, Vec::new());
        }
    }
    Ok(maker.finish("client of a key-value store", SYNC, 1, count))
}

/// How tests look at model twins.
#[cfg(test)]
pub(super) mod look {
    use super::*;
    use sim_core::block::OpKind;
    use sim_core::ids::Line;
    use std::collections::BTreeSet;

    pub fn made(case: &str, series: &str, x: u32) -> Model {
        let case = twins::case::find(case).unwrap();
        model(&case, &Place::new(series, x)).unwrap()
    }

    pub fn steps(model: &Model) -> &[Step] {
        &model.workload.classes[0].chains[0].steps
    }

    pub fn calls(model: &Model) -> Vec<&'static str> {
        steps(model).iter().map(|step| step.call.name()).collect()
    }

    /// Data lines of a call's kernel work.
    pub fn data(model: &Model, step: &Step) -> BTreeSet<Line> {
        let ops = model.workload.blocks.ops(step.kernel);
        ops.iter().filter(|op| matches!(op.kind, OpKind::Load | OpKind::Store)).map(|op| op.offset).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::look::{data, made, steps};

    #[test]
    fn a_batch_of_reads_waits_for_the_one_before() {
        let batched = made("read-loop-1000", "io_uring", 4);
        let depends: Vec<&[u16]> = steps(&batched).iter().map(|step| &step.depends[..]).collect();
        assert_eq!((depends.len(), batched.operations), (64, 64));
        assert!(depends[..4].iter().all(|own| own.is_empty()));
        assert_eq!(depends[6], [0, 1, 2, 3]);
        assert_ne!(data(&batched, &steps(&batched)[0]), data(&batched, &steps(&batched)[1]), "each read has its own buffer");
    }

    #[test]
    fn d37_registered_files_and_buffers_have_no_blocks_of_their_own() {
        let of = |series: &str| made("read-loop-1000", series, 8);
        let (plain, registered) = (of("io_uring"), of("io_uring, registered"));
        assert_eq!((plain.workload, plain.way), (registered.workload, registered.way));
    }
}
