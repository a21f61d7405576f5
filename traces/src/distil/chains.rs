//! Classes of requests and the chains that stand for them.

use super::calls::{CallBlock, extract};
use super::depends::depends;
use super::descriptors::Role;
use super::emit::{Emitter, SourceLines, UnitLines};
use super::requests::{CallRecord, Request, Requests};
use super::segments::SegmentPart;
use crate::kernel_map::KernelMap;
use sim_core::block::{Cut, Op};
use sim_core::ids::Mode;
use sim_core::workload::{Certainty, Chain, ConnectionWork, Effect, Note, Object, RequestClass, Step};
use std::collections::BTreeMap;

/// Chains kept per class: enough to show the variety of a recording of some hundred requests, few enough to compile quickly.
pub(super) const CHAINS_MAX: usize = 40;
/// Classes below this share of the requests, in thousandths, are left out.
const CLASS_SHARE_MIN_PERMILLE: usize = 10;

/// What kind of step: the call, its outcome, the object.
type StepKey = (u16, i64, Object);
/// What makes requests alike: their steps and the magnitude of what was received.
type ClassKey = (Vec<StepKey>, u32);

/// What the chains of a server are made from.
pub(super) struct ChainSource<'a> {
    pub lines: SourceLines<'a>,
    pub calls: &'a [CallRecord],
    pub requests: &'a Requests,
    /// True when the program stores items under keys.
    pub items: bool,
    /// True when replies are written after all ready connections were read.
    pub deferred_sends: bool,
}

fn outcome(result: i64) -> i64 {
    if (-4095..0).contains(&result) { result } else { i64::from(result != 0) }
}

fn class_key(calls: &[CallRecord], request: &Request) -> ClassKey {
    let step = |index: &u32| {
        let call = &calls[*index as usize];
        (call.number.0, outcome(call.result), call.object)
    };
    let bytes = moved(calls, request, Role::Receive);
    (request.calls.iter().map(step).collect(), u64::from(bytes).checked_ilog2().unwrap_or(0))
}

/// Bytes moved by the successful calls of a role.
fn moved(calls: &[CallRecord], request: &Request, what: Role) -> u32 {
    let of_role = request.calls.iter().map(|index| &calls[*index as usize]).filter(|call| call.role == what && call.result > 0);
    of_role.map(|call| call.result as u64).sum::<u64>().min(u64::from(u32::MAX)) as u32
}

/// Groups requests into classes and emits their chains. Requests at the end of the recording count only when others have the same steps.
pub(super) fn classes(source: &ChainSource<'_>, emitter: &mut Emitter, notes: &mut Vec<Note>) -> Vec<RequestClass> {
    let mut groups: BTreeMap<ClassKey, Vec<&Request>> = BTreeMap::new();
    for request in source.requests.requests.iter().filter(|request| request.certain) {
        groups.entry(class_key(source.calls, request)).or_default().push(request);
    }
    let mut cut_short = 0;
    for request in source.requests.requests.iter().filter(|request| !request.certain) {
        match groups.get_mut(&class_key(source.calls, request)) {
            Some(group) => group.push(request),
            None => cut_short += 1,
        }
    }
    note(notes, Certainty::Dropped, "requests at the end of the recording that may lack their last calls", cut_short);
    let total: usize = groups.values().map(Vec::len).sum();
    let mut kept: Vec<(ClassKey, Vec<&Request>)> = groups.into_iter().collect();
    kept.sort_by_key(|(key, group)| (std::cmp::Reverse(group.len()), key.clone()));
    let rare: Vec<_> = kept.split_off(
        kept.iter().take_while(|(_, group)| group.len() * 1000 >= total * CLASS_SHARE_MIN_PERMILLE).count().max(1).min(kept.len()),
    );
    note(
        notes,
        Certainty::Dropped,
        "requests of rare kinds (less than one in a hundred each)",
        rare.iter().map(|(_, group)| group.len() as u64).sum(),
    );
    let mut classes: Vec<RequestClass> = Vec::new();
    for (_, mut group) in kept {
        group.sort_by_key(|request| request.calls.first().copied());
        let mut class = class(source, emitter, &group);
        if classes.iter().any(|other| other.name == class.name) {
            class.name = format!("{}-{}", class.name, classes.len() + 1);
        }
        classes.push(class);
    }
    classes
}

fn class(source: &ChainSource<'_>, emitter: &mut Emitter, group: &[&Request]) -> RequestClass {
    let mean = |what: Role| {
        let sum: u64 = group.iter().map(|request| u64::from(moved(source.calls, request, what))).sum();
        (sum / group.len() as u64) as u32
    };
    let (request_bytes, reply_bytes) = (mean(Role::Receive), mean(Role::Send));
    let chosen = evenly(group.len(), CHAINS_MAX);
    let chains: Vec<Chain> = chosen.map(|index| chain(source, emitter, group[index])).collect();
    RequestClass {
        name: class_name(source, group[0], request_bytes, reply_bytes),
        recorded: group.len() as u32,
        request_bytes,
        reply_bytes,
        in_kernel: source.items || chains.iter().all(|chain| chain.steps.iter().all(can_be_done_in_kernel)),
        chains,
    }
}

/// `count` indices spread evenly over `0..length`, each somewhere in its own part of it: clients that take turns would otherwise put the
/// same one of them into every part.
pub(super) fn evenly(length: usize, count: usize) -> impl Iterator<Item = usize> {
    let taken = length.min(count);
    (0..taken).map(move |index| {
        let (start, end) = (index * length / taken, (index + 1) * length / taken);
        // Multiples of the golden ratio, in 65536ths, fill the unit interval evenly.
        start + (((index * 40_503) % 65_536 * (end - start)) >> 16)
    })
}

/// Receiving, reading files, sending and the bookkeeping around them.
fn can_be_done_in_kernel(step: &Step) -> bool {
    let sockets = matches!(step.object, Object::Stream | Object::Datagram | Object::Listener | Object::Epoll);
    let files = step.object == Object::File;
    sockets || files
}

fn class_name(source: &ChainSource<'_>, request: &Request, request_bytes: u32, reply_bytes: u32) -> String {
    if source.items {
        return if request_bytes > reply_bytes {
            "set"
        } else if reply_bytes > request_bytes {
            "get"
        } else {
            "request"
        }
        .to_owned();
    }
    let mut names: Vec<&str> = Vec::new();
    for index in &request.calls {
        let call = &source.calls[*index as usize];
        let worth_naming =
            matches!(call.role, Role::Receive | Role::Send | Role::Accept) || matches!(call.number.name(), "open" | "openat");
        let name = call.number.name();
        if worth_naming && !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() || names.len() > 5 { "request".to_owned() } else { names.join("+") }
}

/// The two ends of connections that carry several requests, where both are recorded.
pub(super) fn connection_work(source: &ChainSource<'_>, emitter: &mut Emitter) -> ConnectionWork {
    let mut of = |ends: &[Request]| -> Vec<Chain> {
        evenly(ends.len(), CHAINS_MAX).map(|index| chain(source, emitter, &ends[index])).collect()
    };
    let work = ConnectionWork { opening: of(&source.requests.openings), closing: of(&source.requests.closings) };
    if work.is_recorded() { work } else { ConnectionWork::default() }
}

fn chain(source: &ChainSource<'_>, emitter: &mut Emitter, request: &Request) -> Chain {
    // Dependencies are step numbers of 16 bits; no real request comes near that many calls.
    let calls: Vec<&CallRecord> =
        request.calls.iter().take(usize::from(u16::MAX)).map(|index| &source.calls[*index as usize]).collect();
    let last_send = calls.iter().rposition(|call| call.role == Role::Send && call.result > 0);
    let first_send = calls.iter().position(|call| call.role == Role::Send && call.result > 0);
    let mut unit = UnitLines::default();
    let mut steps = Vec::with_capacity(calls.len());
    for (index, (call, depends)) in calls.iter().zip(depends(&calls, false)).enumerate() {
        let user = request.user.iter().filter(|(step, _)| *step as usize == index).map(|(_, part)| *part);
        let effect = effect(call, Some(index) == last_send);
        let mut step = step(source.lines, emitter, &mut unit, call, user);
        step.effect = effect;
        step.deferred = source.deferred_sends && first_send.is_some_and(|send| index >= send);
        step.depends = depends;
        steps.push(step);
    }
    Chain { steps }
}

/// Emits one call with the user work before it; effect, order and dependencies are the caller's.
pub(super) fn step(
    lines: SourceLines<'_>,
    emitter: &mut Emitter,
    unit: &mut UnitLines,
    call: &CallRecord,
    user_parts: impl Iterator<Item = SegmentPart>,
) -> Step {
    let recording = lines.recording;
    let mut user: Vec<Op> = Vec::new();
    for part in user_parts {
        user.extend(recording.gather(&part.pieces(recording)));
    }
    let CallBlock { ops, spans, client_softirq, .. } =
        extract(recording, &recording.frames[call.frame as usize], KernelMap::bundled());
    Step {
        user: emitter.block(lines, unit, Mode::User, &user, &[]),
        call: call.number,
        object: call.object,
        effect: Effect::None,
        bytes: bytes(call),
        kernel: emitter.block(lines, unit, Mode::Kernel, &ops, &spans),
        client_softirq: emitter.block(lines, unit, Mode::Kernel, &client_softirq, &[]),
        deferred: false,
        depends: Vec::new(),
    }
}

/// Bytes moved: of calls that return such a number.
fn bytes(call: &CallRecord) -> u32 {
    let moves = matches!(call.role, Role::Receive | Role::Send)
        || matches!(call.number.name(), "read" | "write" | "readv" | "writev" | "pread64" | "pwrite64" | "getdents64" | "sendfile");
    if moves { call.result.clamp(0, i64::from(u32::MAX)) as u32 } else { 0 }
}

fn effect(call: &CallRecord, last_send: bool) -> Effect {
    match call.role {
        Role::Accept if call.result >= 0 => Effect::Accept,
        // of 0 bytes: the client's end, which is waited for like data
        Role::Receive if call.result >= 0 => Effect::Receive,
        Role::Send if last_send => Effect::SendLast,
        Role::Send if call.result > 0 => Effect::Send,
        Role::Close if call.object == Object::Stream => Effect::Close,
        _ => Effect::None,
    }
}

/// Adds a note when there is something to count.
pub(super) fn note(notes: &mut Vec<Note>, certainty: Certainty, text: &str, count: u64) {
    if count > 0 {
        notes.push(Note { certainty, text: text.to_owned(), count });
    }
}

/// Counts calls of chains that lack a cut which others of the same call have no reason to lack either.
pub(super) fn note_missing_spans(classes: &[RequestClass], emitter: &Emitter, notes: &mut Vec<Note>) {
    let mut missing = [0u64; 2];
    for step in classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps) {
        let info = emitter.blocks.info(step.kernel);
        missing[0] += u64::from(info.span(Cut::Handler).is_none());
        missing[1] += u64::from(info.span(Cut::FileLayer).is_none());
    }
    note(notes, Certainty::Guessed, "calls in chains without a recorded system-call function to cut at", missing[0]);
    note(notes, Certainty::Guessed, "calls in chains without a recorded file layer to cut at", missing[1]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_indices_ascend_and_take_their_turns() {
        let chosen: Vec<usize> = evenly(640, 40).collect();
        assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]) && chosen[39] < 640);
        let turns: std::collections::BTreeSet<usize> = chosen.iter().map(|index| index % 16).collect();
        assert_eq!(turns.len(), 16);
        assert_eq!(evenly(3, 40).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(evenly(0, 40).count(), 0);
    }
}
