//! Readiness calls, sleeps and retries: exemplars of what a run simulates instead of replaying.

use super::calls::{CallBlock, SwitchReason, extract};
use super::chains::evenly;
use super::descriptors::Role;
use super::emit::{Emitter, SourceLines, UnitLines};
use super::functions::Activation;
use super::requests::{CallRecord, Requests};
use super::segments::SegmentPart;
use crate::kernel_map::KernelMap;
use sim_core::block::{BlockId, Cut, Op, Span};
use sim_core::ids::Mode;
use sim_core::workload::{BlockingPath, Object, WaitLoop};
use std::ops::Range;

/// Exemplars kept of each kind.
pub(super) const EXEMPLARS_MAX: usize = 16;
/// Looked at to find that many.
const LOOKED_AT_MAX: usize = 64;
/// Function that asks one descriptor for its readiness: an epoll item begins with it.
const ITEM: &str = "ep_item_poll.isra.0";
/// Function that ends the scan of ready items.
const SCAN_END: &str = "ep_done_scan";

/// Emits exemplars of one source.
pub(super) struct Exemplars<'a, 'e> {
    pub lines: SourceLines<'a>,
    pub emitter: &'e mut Emitter,
}

impl Exemplars<'_, '_> {
    /// Adds ops to a list of exemplars while there is room and something to add.
    pub(super) fn add(&mut self, list: &mut Vec<BlockId>, mode: Mode, ops: &[Op]) {
        if list.len() < EXEMPLARS_MAX && !ops.is_empty() {
            list.push(self.emitter.block(self.lines, &mut UnitLines::default(), mode, ops, &[]));
        }
    }

    /// Adds a piece of a call's kernel work with what lies in it of the call's cuts. A cut of the call that ends before the piece, or
    /// begins after it, is there without ops: at that depth nothing of the piece is executed.
    pub(super) fn add_piece(&mut self, list: &mut Vec<BlockId>, block: &CallBlock, range: Range<usize>) {
        if list.len() < EXEMPLARS_MAX && !range.is_empty() {
            let spans = clipped(&block.spans, &range);
            let id = self.emitter.block(self.lines, &mut UnitLines::default(), Mode::Kernel, &block.ops[range], &spans);
            list.push(id);
        }
    }

    pub(super) fn extract(&self, call: &CallRecord) -> CallBlock {
        extract(self.lines.recording, &self.lines.recording.frames[call.frame as usize], KernelMap::bundled())
    }

    fn user(&mut self, list: &mut Vec<BlockId>, parts: impl Iterator<Item = SegmentPart>) {
        let recording = self.lines.recording;
        let pieces: Vec<(u32, u32)> = parts.flat_map(|part| part.pieces(recording)).collect();
        let ops = recording.gather(&pieces);
        self.add(list, Mode::User, &ops);
    }

    /// The readiness call of an event loop; `None` when there is none.
    pub(super) fn wait_loop(&mut self, calls: &[CallRecord], requests: &Requests) -> Option<WaitLoop> {
        let readiness: Vec<&CallRecord> = calls.iter().filter(|call| call.role == Role::Readiness && call.result > 0).collect();
        let call = readiness.first()?.number;
        let max_events = readiness.iter().map(|call| most_events(call)).max().unwrap_or(1);
        let mut wait = WaitLoop {
            call,
            user: Vec::new(),
            user_events: Vec::new(),
            head: Vec::new(),
            item: Vec::new(),
            tail: Vec::new(),
            sleep: Vec::new(),
            wake: Vec::new(),
            max_events,
        };
        // Frames that slept and frames that found events at once are both wanted.
        for slept in [false, true] {
            let some: Vec<&CallRecord> = readiness.iter().copied().filter(|call| call.slept == slept).collect();
            for index in evenly(some.len(), LOOKED_AT_MAX) {
                self.wait_frame(some[index], &mut wait);
            }
        }
        self.fill_from_sleepers(&readiness, &mut wait);
        self.wait_user(calls, requests, &mut wait);
        Some(wait)
    }

    /// User work around readiness calls: before the call, and after it until the first event is turned to.
    fn wait_user(&mut self, calls: &[CallRecord], requests: &Requests, wait: &mut WaitLoop) {
        let positions: Vec<usize> =
            (0..calls.len()).filter(|index| calls[*index].role == Role::Readiness && calls[*index].segment.is_some()).collect();
        for index in evenly(positions.len(), EXEMPLARS_MAX) {
            let position = positions[index];
            let after = requests.after_readiness.get(&(position as u32)).copied();
            let before = calls[position].segment.map(SegmentPart::whole);
            self.user(&mut wait.user, before.into_iter().chain(after));
            if wait.user.len() > wait.user_events.len() {
                wait.user_events.push(calls[position].result.clamp(0, i64::from(u32::MAX)) as u32);
            }
        }
    }

    /// Sleeps of the same readiness call in another capture, for a loop that never slept in its own.
    pub(super) fn sleeps(&mut self, calls: &[CallRecord], wait: &mut WaitLoop) {
        let slept = calls.iter().filter(|call| call.number == wait.call && call.slept && call.result > 0);
        let slept: Vec<&CallRecord> = slept.collect();
        for index in evenly(slept.len(), EXEMPLARS_MAX) {
            let block = self.extract(slept[index]);
            let sleep = block.switches.iter().rfind(|switch| switch.reason == SwitchReason::Sleep);
            let first = items(&block.activations, block.ops.len()).first().map(|item| item.start);
            if let (Some(sleep), Some(first)) = (sleep, first)
                && sleep.at as usize <= first
            {
                self.add_piece(&mut wait.sleep, &block, 0..sleep.at as usize);
                self.add_piece(&mut wait.wake, &block, sleep.at as usize..first);
            }
        }
    }

    fn wait_frame(&mut self, call: &CallRecord, wait: &mut WaitLoop) {
        let block = self.extract(call);
        let items = items(&block.activations, block.ops.len());
        let (Some(first), Some(last)) = (items.first(), items.last()) else { return };
        let (start, end) = (first.start, last.end);
        let sleep = block.switches.iter().rfind(|switch| switch.reason == SwitchReason::Sleep);
        match sleep {
            Some(sleep) if sleep.at as usize <= start => {
                self.add_piece(&mut wait.sleep, &block, 0..sleep.at as usize);
                self.add_piece(&mut wait.wake, &block, sleep.at as usize..start);
            }
            _ => self.add_piece(&mut wait.head, &block, 0..start),
        }
        for item in &items {
            self.add_piece(&mut wait.item, &block, item.clone());
        }
        self.add_piece(&mut wait.tail, &block, end..block.ops.len());
    }

    /// A loop that always slept has no frame that found events at once: entry to the scheduler and the way from there to the first
    /// event, without the sleep between them, is the nearest that was recorded.
    fn fill_from_sleepers(&mut self, readiness: &[&CallRecord], wait: &mut WaitLoop) {
        if !wait.head.is_empty() {
            return;
        }
        for call in readiness.iter().take(LOOKED_AT_MAX) {
            let block = self.extract(call);
            if let Some(first) = items(&block.activations, block.ops.len()).first() {
                self.add_piece(&mut wait.head, &block, 0..first.start);
            }
        }
    }

    /// What blocking calls and retries do; `sleepers` are the calls in which a thread waits for its connection.
    pub(super) fn blocking(&mut self, calls: &[CallRecord], again: &[u32], event_loop: bool) -> BlockingPath {
        let mut path = BlockingPath::default();
        let waits = |call: &&CallRecord| call.slept && matches!(call.role, Role::Receive | Role::Accept | Role::Readiness);
        let sleepers: Vec<&CallRecord> = calls.iter().filter(waits).collect();
        for index in evenly(if event_loop { 0 } else { sleepers.len() }, LOOKED_AT_MAX) {
            let block = self.extract(sleepers[index]);
            if let Some(sleep) = block.switches.iter().rfind(|switch| switch.reason == SwitchReason::Sleep) {
                self.add_piece(&mut path.sleep, &block, 0..sleep.at as usize);
                self.add_piece(&mut path.wake, &block, sleep.at as usize..block.ops.len());
            }
        }
        for index in evenly(again.len(), EXEMPLARS_MAX) {
            let position = again[index] as usize;
            let call = &calls[position];
            let block = self.extract(call);
            self.add_piece(&mut path.again, &block, 0..block.ops.len());
            let next = calls[position + 1..].iter().find(|next| next.task == call.task);
            let to_readiness = next.filter(|next| next.role == Role::Readiness).and_then(|next| next.segment);
            // What the program did since the reply belongs to no other step.
            let since_reply = call.segment.filter(|_| to_readiness.is_some());
            self.user(&mut path.again_user, since_reply.into_iter().chain(to_readiness).map(SegmentPart::whole));
        }
        path
    }

    /// Non-blocking receives on streams that found nothing.
    pub(super) fn empty_reads(&mut self, calls: &[CallRecord], list: &mut Vec<BlockId>) {
        let found_nothing = |call: &&CallRecord| call.would_block() && call.role == Role::Receive && call.object == Object::Stream;
        let empty: Vec<&CallRecord> = calls.iter().filter(found_nothing).collect();
        for index in evenly(empty.len(), EXEMPLARS_MAX) {
            let block = self.extract(empty[index]);
            self.add_piece(list, &block, 0..block.ops.len());
        }
    }

    /// Scheduler stretches of all calls: those of the leaving and those of the entering task.
    pub(super) fn switches(&mut self, calls: &[CallRecord], out: &mut Vec<BlockId>, back: &mut Vec<BlockId>) {
        let slept: Vec<&CallRecord> = calls.iter().filter(|call| call.slept).collect();
        for index in evenly(slept.len(), EXEMPLARS_MAX) {
            for switch in &self.extract(slept[index]).switches {
                self.add(out, Mode::Kernel, &switch.out);
                self.add(back, Mode::Kernel, &switch.back);
            }
        }
    }
}

/// What lies in `range` of the cuts by depth, in terms of the range.
fn clipped(spans: &[Span], range: &Range<usize>) -> Vec<Span> {
    let inside = |at: u32| (at as usize).clamp(range.start, range.end) - range.start;
    let by_depth = spans.iter().filter(|span| matches!(span.cut, Cut::Handler | Cut::FileLayer | Cut::Protocol));
    by_depth.map(|span| Span { start: inside(span.start) as u32, end: inside(span.end) as u32, ..*span }).collect()
}

/// The stretches of a readiness call that deal with one event each.
fn items(found: &[Activation], length: usize) -> Vec<Range<usize>> {
    let kernel = KernelMap::bundled();
    let starts_of = |name: &str| -> Vec<usize> {
        let symbol = kernel.symbol(name);
        found.iter().filter(|one| Some(one.symbol) == symbol).map(|one| one.start as usize).collect()
    };
    let starts = starts_of(ITEM);
    let Some(last) = starts.last() else { return Vec::new() };
    let end = starts_of(SCAN_END).into_iter().find(|end| end > last).unwrap_or(length);
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// The room for events that the program offers.
fn most_events(call: &CallRecord) -> u32 {
    let index = match call.number.name() {
        "poll" | "ppoll" => 1,
        "select" | "pselect6" => 0,
        _ => 2,
    };
    call.arguments[index].clamp(1, 1 << 20) as u32
}
