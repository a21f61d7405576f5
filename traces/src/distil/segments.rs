//! Whose work a user segment is.
//!
//! An event loop goes from one connection's last call to the next connection's first without asking for readiness between. That segment
//! holds the rest of the first one's work (redis executes the whole command there) and the way to the second one's call. It is split
//! where it joins the way that leads from the readiness call to a first call.

use super::descriptors::Role;
use super::recording::Recording;
use super::requests::{CallRecord, Requests};
use sim_core::block::{Op, OpKind};
use std::collections::BTreeMap;

/// Reference ways from the readiness call to a first call that are compared with.
const REFERENCES_MAX: usize = 24;

/// A part of a user segment: ops `start..end` of its pieces, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentPart {
    pub segment: u32,
    pub start: u32,
    pub end: u32,
}

impl SegmentPart {
    /// All of a segment.
    pub fn whole(segment: u32) -> SegmentPart {
        SegmentPart { segment, start: 0, end: u32::MAX }
    }

    /// The recorded pieces that the part consists of.
    pub fn pieces(&self, recording: &Recording) -> Vec<(u32, u32)> {
        let mut at = 0;
        let mut found = Vec::new();
        for (start, end) in &recording.segments[self.segment as usize].pieces {
            let length = end - start;
            let from = self.start.clamp(at, at + length) - at;
            let to = self.end.clamp(at, at + length) - at;
            if from < to {
                found.push((start + from, start + to));
            }
            at += length;
        }
        found
    }
}

/// Gives each request the user work of its steps: `(step, part)` in the order in which the parts run.
pub(super) fn assign(recording: &Recording, calls: &[CallRecord], requests: &mut Requests, event_loop: bool) {
    let units = requests.requests.iter_mut().chain(&mut requests.openings).chain(&mut requests.closings);
    for request in units {
        let mut user: Vec<(u32, SegmentPart)> = Vec::new();
        for (step, index) in request.calls.iter().enumerate() {
            let extra = request.extra_segments.iter().filter(|extra| extra.0 as usize == step).map(|extra| extra.1);
            user.extend(extra.chain(calls[*index as usize].segment).map(|segment| (step as u32, SegmentPart::whole(segment))));
        }
        request.user = user;
    }
    if event_loop {
        split_at_joints(recording, calls, requests);
    }
}

fn split_at_joints(recording: &Recording, calls: &[CallRecord], requests: &mut Requests) {
    let references = references(recording, calls);
    // Which request each call belongs to, and as which step; retries belong to the step after them.
    let mut owner: BTreeMap<u32, (usize, u32)> = BTreeMap::new();
    for (number, request) in requests.units().enumerate() {
        for (step, index) in request.calls.iter().enumerate() {
            owner.insert(*index, (number, step as u32));
        }
    }
    split_after_readiness(recording, calls, requests, &owner);
    let mut previous: BTreeMap<u32, u32> = BTreeMap::new();
    let mut moves: Vec<(usize, u32, SegmentPart, usize, u32)> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let before = previous.insert(call.task, index as u32);
        let (Some(before), Some((to, step)), Some(segment)) = (before, owner.get(&(index as u32)), call.segment) else { continue };
        let Some((from, last)) = owner.get(&before) else { continue };
        if from == to {
            continue;
        }
        let ops = recording.gather(&recording.segments[segment as usize].pieces);
        if let Some(joint) = joint(&ops, &references) {
            let later = requests.units().nth(*from).is_some_and(|unit| unit.calls.len() as u32 > last + 1);
            let remainder_step = if later { last + 1 } else { 0 };
            let part = SegmentPart { segment, start: joint, end: u32::MAX };
            moves.push((*to, *step, part, *from, remainder_step));
        }
    }
    for (to, step, part, from, remainder_step) in moves {
        let Some(target) = requests.unit_mut(to).map(|unit| &mut unit.user) else { continue };
        if let Some(own) = target.iter_mut().find(|own| **own == (step, SegmentPart::whole(part.segment))) {
            own.1 = part;
            let remainder = SegmentPart { start: 0, end: part.start, ..part };
            let Some(source) = requests.unit_mut(from).map(|unit| &mut unit.user) else { continue };
            let position = source.iter().position(|one| one.0 >= remainder_step).unwrap_or(source.len());
            source.insert(position, (remainder_step, remainder));
        }
    }
}

/// What an event loop does with the list of events before it turns to the first one grows with their number, so it is the loop's work
/// and not the first event's: the segment after a readiness call is split where it joins the way that leads to later events.
fn split_after_readiness(
    recording: &Recording,
    calls: &[CallRecord],
    requests: &mut Requests,
    owner: &BTreeMap<u32, (usize, u32)>,
) {
    let mut previous: BTreeMap<u32, usize> = BTreeMap::new();
    let (mut first, mut later, mut references) = (Vec::new(), 0, Vec::new());
    for (index, call) in calls.iter().enumerate() {
        let before = previous.insert(call.task, index);
        let (Some(before), Some((to, step)), Some(segment)) = (before, owner.get(&(index as u32)), call.segment) else { continue };
        let from = owner.get(&(before as u32));
        if calls[before].role == Role::Readiness {
            first.push((before as u32, *to, *step, segment));
        } else if from.is_some_and(|(from, _)| from != to) {
            later += 1;
            if references.len() < REFERENCES_MAX {
                let ops = recording.gather(&recording.segments[segment as usize].pieces);
                let lines: Vec<u32> = code_lines(&ops).into_iter().map(|(_, line)| line).collect();
                if !references.contains(&lines) {
                    references.push(lines);
                }
            }
        }
    }
    // A loop that hardly ever finds more than one event shows nothing to join.
    if later * 4 < first.len() {
        return;
    }
    for (readiness, to, step, segment) in first {
        let ops = recording.gather(&recording.segments[segment as usize].pieces);
        let Some(joint) = joint(&ops, &references) else { continue };
        let Some(user) = requests.unit_mut(to).map(|unit| &mut unit.user) else { continue };
        if let Some(own) = user.iter_mut().find(|own| **own == (step, SegmentPart::whole(segment))) {
            own.1 = SegmentPart { segment, start: joint, end: u32::MAX };
            requests.after_readiness.insert(readiness, SegmentPart { segment, start: 0, end: joint });
        }
    }
}

fn code_lines(ops: &[Op]) -> Vec<(u32, u32)> {
    let fetches = ops.iter().enumerate().filter(|(_, op)| op.kind == OpKind::Fetch);
    fetches.map(|(at, op)| (at as u32, op.offset)).collect()
}

/// Code lines of segments that lead from a readiness call to the first call of an event.
fn references(recording: &Recording, calls: &[CallRecord]) -> Vec<Vec<u32>> {
    let mut after_readiness: BTreeMap<u32, bool> = BTreeMap::new();
    let mut found = Vec::new();
    for call in calls {
        let first = after_readiness.insert(call.task, call.role == Role::Readiness).unwrap_or(false);
        let starts = first && matches!(call.role, Role::Receive | Role::Accept);
        if let (true, Some(segment)) = (starts, call.segment) {
            let ops = recording.gather(&recording.segments[segment as usize].pieces);
            let lines: Vec<u32> = code_lines(&ops).into_iter().map(|(_, line)| line).collect();
            if !found.contains(&lines) && found.len() < REFERENCES_MAX {
                found.push(lines);
            }
        }
    }
    found
}

/// Op at which a segment joins the longest common end with one of the references.
fn joint(ops: &[Op], references: &[Vec<u32>]) -> Option<u32> {
    let lines = code_lines(ops);
    let common = |reference: &Vec<u32>| {
        reference.iter().rev().zip(lines.iter().rev()).take_while(|(reference, line)| **reference == line.1).count()
    };
    let longest = references.iter().map(common).max()?;
    (longest > 0 && longest < lines.len()).then(|| lines[lines.len() - longest].0)
}
