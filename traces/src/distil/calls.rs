//! The kernel work of one call: softirqs, interrupts and the scheduler cut out, the cuts marked.

use super::cuts::{PREEMPTION, SCHEDULE, candidates};
use super::functions::{Activation, activations, first_of};
use super::recording::{FrameRecord, Piece, Recording};
use crate::capture::frames::FrameKind;
use crate::kernel_map::KernelMap;
use sim_core::block::{Cut, Op, Span};
use sim_core::calls::CallNumber;

/// Why a task gave up the processor inside a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SwitchReason {
    /// It waits for something.
    Sleep,
    /// Somebody else was preferred.
    Preemption,
}

/// One scheduler stretch that was cut out of a frame.
#[derive(Clone, Debug)]
pub(super) struct SwitchCut {
    pub reason: SwitchReason,
    /// Where it was, as an index into the ops that are left.
    pub at: u32,
    /// Scheduler entry to the switch.
    pub out: Vec<Op>,
    /// The switch to the scheduler's return.
    pub back: Vec<Op>,
}

/// The kernel work of one call.
#[derive(Clone, Debug, Default)]
pub(super) struct CallBlock {
    pub ops: Vec<Op>,
    pub spans: Vec<Span>,
    pub client_softirq: Vec<Op>,
    pub switches: Vec<SwitchCut>,
    /// Functions that ran, in terms of the ops that are left.
    pub activations: Vec<Activation>,
}

/// All ops of a frame without softirqs and nested interrupts, the positions of its task switches, and its softirq ops.
fn flatten(recording: &Recording, frame: &FrameRecord) -> (Vec<Op>, Vec<u32>, Vec<Op>) {
    let (mut ops, mut switches, mut softirq_ops) = (Vec::new(), Vec::new(), Vec::new());
    for piece in &frame.pieces {
        match *piece {
            Piece::Ops { start, end, softirq: None } => ops.extend_from_slice(&recording.ops[start as usize..end as usize]),
            Piece::Ops { start, end, softirq: Some(index) } if recording.softirqs[index as usize].receives => {
                softirq_ops.extend_from_slice(&recording.ops[start as usize..end as usize]);
            }
            Piece::Switch => switches.push(ops.len() as u32),
            Piece::Ops { .. } | Piece::Interrupt => {}
        }
    }
    (ops, switches, softirq_ops)
}

/// Extracts the kernel work of a frame.
pub(super) fn extract(recording: &Recording, frame: &FrameRecord, kernel: &KernelMap) -> CallBlock {
    let (ops, switches, client_softirq) = flatten(recording, frame);
    let found = activations(&ops, recording, kernel);
    let cuts = scheduler_cuts(&switches, &found, kernel, ops.len() as u32);
    let mut block = CallBlock { client_softirq, ..CallBlock::default() };
    let mut at = 0;
    for (range, position, reason) in &cuts {
        block.ops.extend_from_slice(&ops[at as usize..range.0 as usize]);
        block.switches.push(SwitchCut {
            reason: *reason,
            at: block.ops.len() as u32,
            out: ops[range.0 as usize..*position as usize].to_vec(),
            back: ops[*position as usize..range.1 as usize].to_vec(),
        });
        at = range.1;
    }
    block.ops.extend_from_slice(&ops[at as usize..]);
    block.activations = shifted(&found, &cuts);
    if let FrameKind::Call { number, .. } = frame.kind {
        block.spans = spans(&block, call_number(number).name(), kernel);
    }
    block
}

/// A call number of the capture; what lies beyond the call table becomes an unknown one.
pub(super) fn call_number(number: u64) -> CallNumber {
    // Evictor names keep calls in 16 bits with some room below; see `sim_core::context::Agent::call`.
    CallNumber(number.min(u64::from(u16::MAX >> 1)) as u16)
}

type SchedulerCut = ((u32, u32), u32, SwitchReason);

/// For each switch the stretch from the entry of the outermost scheduler function to its return.
fn scheduler_cuts(switches: &[u32], found: &[Activation], kernel: &KernelMap, length: u32) -> Vec<SchedulerCut> {
    let mut cuts: Vec<SchedulerCut> = Vec::new();
    for position in switches {
        let open = |activation: &&Activation| activation.start < *position && activation.end > *position;
        let chain: Vec<&Activation> = found.iter().filter(open).collect();
        let is = |activation: &Activation, names: &[&str]| names.contains(&kernel.name(activation.symbol));
        let inner = chain.iter().rposition(|activation| is(activation, SCHEDULE));
        let Some(mut level) = inner else {
            // A frame that begins inside the scheduler (a task seen for the first time) has no entry to cut from.
            continue;
        };
        while level > 0 && is(chain[level - 1], SCHEDULE) {
            level -= 1;
        }
        let preempted = is(chain[level], PREEMPTION) || (level > 0 && is(chain[level - 1], PREEMPTION));
        let reason = if preempted { SwitchReason::Preemption } else { SwitchReason::Sleep };
        let range = (chain[level].start, chain[level].end.min(length));
        match cuts.last_mut() {
            // Several switches inside one scheduler call are one stretch.
            Some(last) if last.0.1 > range.0 => last.0.1 = last.0.1.max(range.1),
            _ => cuts.push((range, *position, reason)),
        }
    }
    cuts
}

/// Activations in terms of the ops that are left after the cuts; those inside a cut go away.
fn shifted(found: &[Activation], cuts: &[SchedulerCut]) -> Vec<Activation> {
    let moved = |at: u32| {
        let removed: u32 = cuts.iter().map(|((start, end), ..)| at.clamp(*start, *end) - start).sum();
        at - removed
    };
    let inside = |one: &&Activation| !cuts.iter().any(|((start, end), ..)| one.start >= *start && one.start < *end);
    found.iter().filter(inside).map(|one| Activation { start: moved(one.start), end: moved(one.end), ..*one }).collect()
}

/// The cuts of a call, properly nested; a cut whose function did not run is absent.
fn spans(block: &CallBlock, call: &str, kernel: &KernelMap) -> Vec<Span> {
    let found = &block.activations;
    let whole = (0, block.ops.len() as u32);
    let is_handler = |one: &&Activation| kernel.name(one.symbol).starts_with("__x64_sys_");
    let mut spans = Vec::new();
    let mut outer = whole;
    if let Some(handler) = found.iter().find(is_handler) {
        outer = (handler.start, handler.end);
        spans.push(Span { cut: Cut::Handler, start: handler.start, end: handler.end });
    }
    for cut in [Cut::FileLayer, Cut::Protocol] {
        if let Some(one) = first_of(found, kernel, candidates(call, cut), outer) {
            // A function reached by a tail call returns to the caller of its caller: no further than the span around it.
            let end = one.end.min(outer.1);
            spans.push(Span { cut, start: one.start, end });
            outer = (one.start, end);
        }
    }
    let handler_end = spans.first().map_or(0, |span| span.end);
    let deferred = first_of(found, kernel, candidates(call, Cut::ExitWork), (handler_end, whole.1));
    if let Some(one) = deferred.filter(|_| !spans.is_empty()) {
        spans.push(Span { cut: Cut::ExitWork, start: one.start, end: one.end });
        if !spans.iter().any(|span| span.cut == Cut::Protocol) {
            // close: the socket goes when the last reference to its file does, on the way out
            let protocol = first_of(found, kernel, candidates(call, Cut::Protocol), (one.start, one.end));
            spans.extend(protocol.map(|inner| Span { cut: Cut::Protocol, start: inner.start, end: inner.end.min(one.end) }));
        }
    }
    let transmit = candidates(call, Cut::Transmit).iter().find_map(|name| kernel.symbol(name));
    for one in found.iter().filter(|one| Some(one.symbol) == transmit) {
        // Packets that leave at the end of the call (a task's deferred work) lie outside the protocol function; they stay as they are.
        let end = if one.start < outer.1 { one.end.min(outer.1) } else { one.end };
        let overlaps = spans.iter().any(|span| span.cut == Cut::Transmit && span.end > one.start);
        if one.start >= outer.0 && !overlaps {
            spans.push(Span { cut: Cut::Transmit, start: one.start, end });
        }
    }
    spans
}

/// True when a function of one of the names ran.
pub(super) fn visited(found: &[Activation], kernel: &KernelMap, names: &[&str]) -> bool {
    names.iter().filter_map(|name| kernel.symbol(name)).any(|symbol| found.iter().any(|one| one.symbol == symbol))
}
