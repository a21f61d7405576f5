//! Kernel work of io_uring, cut out of a capture of `io_uring_enter` at different batch sizes, its polling thread and its workers.
//!
//! What grows with the number of entries is taken apart: the work up to the submission loop, per entry, around the entry's own work
//! (the protocol or file-system function, which a run replaces by the recorded work of its own call), and per completion.

use super::calls::{CallBlock, SwitchReason, extract};
use super::cuts::candidates;
use super::emit::{Emitter, SourceLines, UnitLines};
use super::functions::{Activation, activations, first_of};
use super::maps::UserMaps;
use super::recording::{FrameRecord, Piece, Recording};
use super::sharing::{Places, SharingModel, Slots, classify};
use super::{SPACE_RING, TraceError};
use crate::capture::Capture;
use crate::capture::frames::FrameKind;
use crate::kernel_map::KernelMap;
use sim_core::block::{BlockId, Cut, Op};
use sim_core::ids::Mode;
use sim_core::workload::RingBlocks;

/// Number of `io_uring_enter` (x86-64).
const ENTER: u64 = 426;
/// Exemplars kept of each kind.
const EXEMPLARS: usize = 6;
/// Bytes of the event stream that are read: past the first rounds with a polling thread in the bundled capture.
const EVENTS_BYTES_MAX: u64 = 88 << 20;
/// Ops kept at each end of a long piece of a kernel thread: between them it spins.
const PIECE_OPS: u32 = 5_000;
/// Ops at most of one look of the polling thread.
const PASS_OPS_MAX: u32 = 120;

type Pieces = Vec<Vec<Op>>;
type Pairs = Vec<(Vec<Op>, Vec<Op>)>;

/// The pieces that a run needs, still with the lines of their capture. Reading them takes a while, so keep them.
#[derive(Debug)]
pub struct RingRecording {
    recording: Recording,
    places: Places,
    cuts: Cuts,
}

#[derive(Debug, Default)]
struct Cuts {
    enter: Pieces,
    begin: Pieces,
    next: Pieces,
    nop: Pieces,
    receive: Pairs,
    send: Pairs,
    read: Pairs,
    arm: Pieces,
    punt: Pieces,
    flush: Pieces,
    flush_item: Pieces,
    flush_none: Pieces,
    leave: Pieces,
    sleep: Pieces,
    wait: Pieces,
    wake: Pieces,
    wake_task: Pieces,
    poll_wake: Pieces,
    task_work_begin: Pieces,
    task_receive: Pairs,
    task_work_end: Pieces,
    worker: Pairs,
    poll_thread_wake: Pieces,
    poll_thread_pass: Pieces,
    poll_thread_submit: Pairs,
    poll_thread_sleep: Pieces,
}

impl RingRecording {
    /// Reads a capture with io_uring.
    ///
    /// # Errors
    /// Damage in the part that is read.
    pub fn read(bytes: &[u8]) -> Result<RingRecording, TraceError> {
        let capture = Capture::read_start(bytes, EVENTS_BYTES_MAX)?;
        // The end of the part that was read is no damage.
        let (mut recording, _) = Recording::read(&capture);
        drop(capture);
        let model = SharingModel { sequential: true, ..SharingModel::default() };
        let places = classify(&recording, &[], &[], model, &UserMaps::default(), &mut Slots::default());
        let mut cuts = Cuts::default();
        for frame in &recording.frames {
            match frame.kind {
                FrameKind::Call { number: ENTER, arguments } if frame.finished && cuts.wants(arguments[1]) => {
                    cuts.enter(&recording, frame, arguments[1]);
                }
                FrameKind::Base => cuts.kernel_thread(&recording, frame),
                FrameKind::Call { .. } if cuts.poll_wake.len() < EXEMPLARS && has_receive_softirq(&recording, frame) => {
                    cuts.delivery(&recording, frame);
                }
                _ => {}
            }
        }
        recording.ops = Vec::new();
        recording.frames = Vec::new();
        recording.segments = Vec::new();
        recording.softirqs = Vec::new();
        Ok(RingRecording { recording, places, cuts })
    }

    /// Adds the pieces to a workload's blocks.
    pub(super) fn emit(&self, emitter: &mut Emitter) -> RingBlocks {
        let source = SourceLines { recording: &self.recording, places: &self.places, space: SPACE_RING };
        let mut one = |ops: &Vec<Op>| emitter.block(source, &mut UnitLines::default(), Mode::Kernel, ops, &[]);
        let cuts = &self.cuts;
        let mut list = |pieces: &Pieces| -> Vec<BlockId> { pieces.iter().map(&mut one).collect() };
        let mut blocks = RingBlocks {
            enter: list(&cuts.enter),
            begin: list(&cuts.begin),
            next: list(&cuts.next),
            nop: list(&cuts.nop),
            arm: list(&cuts.arm),
            punt: list(&cuts.punt),
            flush: list(&cuts.flush),
            flush_item: list(&cuts.flush_item),
            flush_none: list(&cuts.flush_none),
            leave: list(&cuts.leave),
            sleep: list(&cuts.sleep),
            wait: list(&cuts.wait),
            wake: list(&cuts.wake),
            wake_task: list(&cuts.wake_task),
            poll_wake: list(&cuts.poll_wake),
            task_work_begin: list(&cuts.task_work_begin),
            task_work_end: list(&cuts.task_work_end),
            poll_thread_wake: list(&cuts.poll_thread_wake),
            poll_thread_pass: list(&cuts.poll_thread_pass),
            poll_thread_sleep: list(&cuts.poll_thread_sleep),
            ..RingBlocks::default()
        };
        let mut pairs = |pairs: &Pairs| pairs.iter().map(|(before, after)| (one(before), one(after))).collect();
        blocks.receive = pairs(&cuts.receive);
        blocks.send = pairs(&cuts.send);
        blocks.read = pairs(&cuts.read);
        blocks.task_receive = pairs(&cuts.task_receive);
        blocks.worker = pairs(&cuts.worker);
        blocks.poll_thread_submit = pairs(&cuts.poll_thread_submit);
        blocks
    }
}

/// Functions that ran in a list of ops, by name.
struct Ran<'a> {
    ops: &'a [Op],
    found: &'a [Activation],
}

impl Ran<'_> {
    fn all(&self, name: &str) -> Vec<Activation> {
        let symbol = KernelMap::bundled().symbol(name);
        self.found.iter().filter(|one| Some(one.symbol) == symbol).copied().collect()
    }

    fn first(&self, name: &str) -> Option<Activation> {
        self.first_in(&[name], 0, u32::MAX)
    }

    fn first_in(&self, names: &[&str], start: u32, end: u32) -> Option<Activation> {
        first_of(self.found, KernelMap::bundled(), names, (start, end))
    }

    fn piece(&self, start: u32, end: u32) -> Vec<Op> {
        self.ops.get(start as usize..end as usize).map(<[Op]>::to_vec).unwrap_or_default()
    }

    fn without(&self, start: u32, end: u32, hole: Option<Activation>) -> Vec<Op> {
        match hole {
            Some(hole) => [self.piece(start, hole.start), self.piece(hole.end, end)].concat(),
            None => self.piece(start, end),
        }
    }

    /// Preparation of the entry that is issued at `issue`: the last function beside it that ended before.
    fn preparation(&self, issue: &Activation) -> Option<Activation> {
        self.found.iter().rfind(|one| one.depth == issue.depth && one.end <= issue.start).copied()
    }
}

fn add<T>(list: &mut Vec<T>, item: T) {
    if list.len() < EXEMPLARS {
        list.push(item);
    }
}

impl Cuts {
    /// False when enough of every kind of enter with so many entries has been seen.
    fn wants(&self, submitted: u64) -> bool {
        match submitted {
            0 => self.wait.len() < EXEMPLARS,
            1 => [self.arm.len(), self.sleep.len(), self.flush.len()].into_iter().any(|count| count < EXEMPLARS),
            _ => [self.nop.len(), self.receive.len(), self.send.len(), self.read.len(), self.punt.len(), self.flush_item.len()]
                .into_iter()
                .any(|count| count < EXEMPLARS),
        }
    }

    fn enter(&mut self, recording: &Recording, frame: &FrameRecord, submitted: u64) {
        let block = extract(recording, frame, KernelMap::bundled());
        let ran = Ran { ops: &block.ops, found: &block.activations };
        let end = block.ops.len() as u32;
        let sleep = block.switches.iter().rfind(|switch| switch.reason == SwitchReason::Sleep).map(|switch| switch.at);
        let Some(submission) = ran.first("io_submit_sqes") else {
            // the thread's first run is not cut out of the first wait for it
            if let (Some(at), None) = (sleep, ran.first("schedule")) {
                add(&mut self.wait, ran.piece(0, at));
                self.poll_thread_sleep(&ran);
            }
            return;
        };
        match sleep {
            Some(at) => {
                add(&mut self.sleep, ran.piece(submission.end, at));
                add(&mut self.wake, ran.piece(at, end));
            }
            None if ran.first("io_arm_poll_handler").is_none() => add(&mut self.leave, ran.piece(submission.end, end)),
            None => {}
        }
        add(&mut self.enter, ran.piece(0, submission.start));
        self.entries(&ran, &submission, submitted);
        self.punted(&ran);
    }

    /// The polling thread of the recording sleeps once, long after its last round. How a task enters and leaves a wait queue is taken
    /// from the program's own waits.
    fn poll_thread_sleep(&mut self, ran: &Ran<'_>) {
        if let (Some(prepare), Some(finish)) = (ran.first("prepare_to_wait_exclusive"), ran.first("finish_wait")) {
            add(&mut self.poll_thread_sleep, ran.piece(prepare.start, prepare.end));
            add(&mut self.poll_thread_wake, ran.piece(finish.start, finish.end));
        }
    }

    fn entries(&mut self, ran: &Ran<'_>, submission: &Activation, submitted: u64) {
        let issues = ran.all("io_issue_sqe");
        let mut previous: Option<Activation> = None;
        for issue in &issues {
            let Some(preparation) = ran.preparation(issue) else { continue };
            match previous {
                None => add(&mut self.begin, ran.piece(submission.start, preparation.start)),
                Some(before) => add(&mut self.next, ran.piece(before.end, preparation.start)),
            }
            self.entry(ran, &preparation, issue);
            previous = Some(*issue);
        }
        let Some(last) = issues.last() else { return };
        let fills = ran.all("__io_fill_cqe_req.isra.0");
        match (submitted, ran.first("io_queue_async")) {
            (1, Some(queued)) => add(&mut self.flush_none, ran.piece(queued.end, submission.end)),
            (1, None) => add(&mut self.flush, ran.piece(last.end, submission.end)),
            _ => self.completions(ran, &fills),
        }
    }

    /// One entry: nothing but itself, or around the function that does its work.
    fn entry(&mut self, ran: &Ran<'_>, preparation: &Activation, issue: &Activation) {
        if let Some(queued) = ran.first_in(&["io_queue_async"], issue.end, u32::MAX) {
            add(&mut self.arm, ran.piece(preparation.start, queued.end));
            return;
        }
        let inside = |names: &[&str]| ran.first_in(names, issue.start, issue.end);
        let around = |inner: Activation| {
            let end = inner.end.min(issue.end);
            (ran.piece(preparation.start, inner.start), ran.piece(end, issue.end))
        };
        if inside(&["io_nop"]).is_some() {
            add(&mut self.nop, ran.piece(preparation.start, issue.end));
        } else if inside(&["io_recv"]).is_some() {
            self.receive
                .extend(inside(candidates("recvfrom", Cut::Protocol)).map(around).filter(|_| self.receive.len() < EXEMPLARS));
        } else if inside(&["io_send"]).is_some() {
            self.send.extend(inside(candidates("sendto", Cut::Protocol)).map(around).filter(|_| self.send.len() < EXEMPLARS));
        } else if inside(&["io_read"]).is_some() {
            self.read.extend(inside(candidates("pread64", Cut::Protocol)).map(around).filter(|_| self.read.len() < EXEMPLARS));
        }
    }

    /// What each further completion adds: filling its entry, and its share of giving the requests back.
    fn completions(&mut self, ran: &Ran<'_>, fills: &[Activation]) {
        let Some(free) = ran.first("io_free_batch_list") else { return };
        let share = (free.end - free.start) / (fills.len() as u32).max(1);
        for (index, pair) in fills.windows(2).enumerate().skip(1) {
            let freed = free.start + share * index as u32;
            let ops = [ran.piece(pair[0].start, pair[1].start), ran.piece(freed, freed + share)].concat();
            add(&mut self.flush_item, ops);
        }
    }

    fn punted(&mut self, ran: &Ran<'_>) {
        let queued = ran.all("io_queue_sqe_fallback");
        for one in &queued {
            let Some(preparation) = ran.preparation(one) else { continue };
            let wake = ran.first_in(&["wake_up_q"], one.start, one.end);
            add(&mut self.punt, ran.without(preparation.start, one.end, wake));
        }
    }

    /// Data for an armed receive comes: the poll fires in the softirq, and the program's task work does the receive.
    fn delivery(&mut self, recording: &Recording, frame: &FrameRecord) {
        let kernel = KernelMap::bundled();
        let block = extract(recording, frame, kernel);
        let ran = Ran { ops: &block.ops, found: &block.activations };
        let (Some(work), Some(request)) = (ran.first("task_work_run"), ran.first("io_apoll_task_func")) else { return };
        let Some(inner) = ran.first_in(candidates("recvfrom", Cut::Protocol), request.start, request.end) else { return };
        let inner_end = inner.end.min(request.end);
        add(&mut self.task_work_begin, ran.piece(work.start, request.start));
        add(&mut self.task_receive, (ran.piece(request.start, inner.start), ran.piece(inner_end, request.end)));
        add(&mut self.task_work_end, ran.piece(request.end, work.end));
        let softirq = activations(&block.client_softirq, recording, kernel);
        if let Some(fired) = (Ran { ops: &block.client_softirq, found: &softirq }).first("io_poll_wake") {
            add(&mut self.poll_wake, block.client_softirq[fired.start as usize..fired.end as usize].to_vec());
        }
    }

    /// A worker or the polling thread: all that it did is one frame.
    fn kernel_thread(&mut self, recording: &Recording, frame: &FrameRecord) {
        let name = &recording.tasks[frame.task as usize].name;
        if name.starts_with("iou-") {
            let short = FrameRecord { pieces: shortened(&frame.pieces), ..frame.clone() };
            let block = extract(recording, &short, KernelMap::bundled());
            if name.starts_with("iou-wrk") {
                self.worker(&block);
            } else {
                self.poll_thread(&block);
            }
        }
    }

    /// Stretches of a worker between two sleeps in which it did one request.
    fn worker(&mut self, block: &CallBlock) {
        let ran = Ran { ops: &block.ops, found: &block.activations };
        let sleeps: Vec<u32> =
            block.switches.iter().filter(|switch| switch.reason == SwitchReason::Sleep).map(|switch| switch.at).collect();
        let issues = ran.all("io_issue_sqe");
        for stretch in sleeps.windows(2) {
            let (start, end) = (stretch[0], stretch[1]);
            let mut inside = issues.iter().filter(|issue| issue.start >= start && issue.start < end);
            let (Some(issue), None) = (inside.next(), inside.next()) else { continue };
            let Some(inner) = ran.first_in(candidates("pread64", Cut::Protocol), issue.start, issue.end.min(end)) else { continue };
            let wake = ran.first_in(&["__wake_up"], inner.end, end);
            add(&mut self.worker, (ran.piece(start, inner.start), ran.without(inner.end, end, wake)));
            if let Some(wake) = wake {
                add(&mut self.wake_task, ran.piece(wake.start, wake.end));
            }
        }
    }

    fn poll_thread(&mut self, block: &CallBlock) {
        let ran = Ran { ops: &block.ops, found: &block.activations };
        for submission in &ran.all("io_submit_sqes") {
            let start = before_submission(&ran, submission);
            let unlock = ran.first_in(&["ww_mutex_unlock", "mutex_unlock"], submission.end, submission.end + PASS_OPS_MAX);
            if let (Some(start), Some(unlock)) = (start, unlock) {
                let around = (ran.piece(start, submission.start), ran.piece(submission.end, unlock.end));
                add(&mut self.poll_thread_submit, around);
            }
        }
        // each look at the ring asks once for task work
        let looks: Vec<u32> = ran.found.iter().filter(|one| is(one, "io_queue_linked_timeout")).map(|one| one.start).collect();
        for pass in looks.windows(2) {
            if pass[1] - pass[0] < PASS_OPS_MAX {
                add(&mut self.poll_thread_pass, ran.piece(pass[0], pass[1]));
            }
        }
    }
}

fn is(one: &Activation, name: &str) -> bool {
    KernelMap::bundled().name(one.symbol) == name
}

/// Where the polling thread takes the ring's lock before a submission.
fn before_submission(ran: &Ran<'_>, submission: &Activation) -> Option<u32> {
    ran.found.iter().rfind(|one| one.end <= submission.start && is(one, "mutex_lock")).map(|one| one.start)
}

fn has_receive_softirq(recording: &Recording, frame: &FrameRecord) -> bool {
    frame.finished
        && frame.pieces.iter().any(|piece| match piece {
            Piece::Ops { softirq: Some(index), .. } => recording.softirqs[*index as usize].receives,
            _ => false,
        })
}

/// Long pieces without their middle.
fn shortened(pieces: &[Piece]) -> Vec<Piece> {
    let mut short = Vec::new();
    for piece in pieces {
        match *piece {
            Piece::Ops { start, end, softirq } if end - start > 2 * PIECE_OPS => {
                short.push(Piece::Ops { start, end: start + PIECE_OPS, softirq });
                short.push(Piece::Ops { start: end - PIECE_OPS, end, softirq });
            }
            other => short.push(other),
        }
    }
    short
}
