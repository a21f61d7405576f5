//! Splitting calls into requests.

use super::calls::{SwitchReason, call_number, extract};
use super::descriptors::{DescriptorTable, Role, descriptors, object_by_functions, role};
use super::recording::Recording;
use super::segments::SegmentPart;
use crate::capture::control::Arguments;
use crate::capture::frames::FrameKind;
use crate::kernel_map::KernelMap;
use sim_core::calls::CallNumber;
use sim_core::workload::Object;
use std::collections::BTreeMap;

/// Linux error numbers of a call that would block.
const EAGAIN: i64 = -11;

/// One finished call of a kept task.
#[derive(Clone, Debug)]
pub(super) struct CallRecord {
    /// Index into the recording's frames.
    pub frame: u32,
    pub task: u32,
    pub process: u64,
    pub number: CallNumber,
    pub arguments: Arguments,
    pub result: i64,
    pub role: Role,
    /// Kind of object, by descriptor and by the functions that ran.
    pub object: Object,
    /// Epochs of the descriptors it works on, and of the one it made.
    pub epochs: [Option<usize>; 3],
    /// User segment before it, when its beginning is recorded.
    pub segment: Option<u32>,
    /// True when the task slept inside.
    pub slept: bool,
}

impl CallRecord {
    /// True for a call that found nothing and did not wait.
    pub fn would_block(&self) -> bool {
        self.result == EAGAIN
    }
}

/// All finished calls of kept tasks in order, and the descriptors they used.
pub(super) fn calls(recording: &Recording, kernel: &KernelMap) -> (Vec<CallRecord>, DescriptorTable) {
    let mut table = DescriptorTable::default();
    let mut calls = Vec::new();
    for (index, frame) in recording.frames.iter().enumerate() {
        let (FrameKind::Call { number, arguments }, Some(result)) = (frame.kind, frame.result) else { continue };
        let task = &recording.tasks[frame.task as usize];
        if !task.kept {
            continue;
        }
        let block = extract(recording, frame, kernel);
        let number = call_number(number);
        let mut call = CallRecord {
            frame: index as u32,
            task: frame.task,
            process: task.process,
            number,
            arguments,
            result,
            role: role(number.name()),
            object: object_by_functions(&block.activations, kernel),
            epochs: [None; 3],
            segment: frame.segment.filter(|segment| recording.segments[*segment as usize].whole),
            slept: block.switches.iter().any(|switch| switch.reason == SwitchReason::Sleep),
        };
        bind_descriptors(&mut call, &mut table);
        calls.push(call);
    }
    for call in &mut calls {
        settle_object(call, &table);
    }
    (calls, table)
}

fn bind_descriptors(call: &mut CallRecord, table: &mut DescriptorTable) {
    let (first, second) = descriptors(call.number.name(), &call.arguments);
    call.epochs[0] = first.map(|descriptor| table.used(call.process, descriptor));
    call.epochs[1] = second.map(|descriptor| table.used(call.process, descriptor));
    // `sendfile` runs functions of both of its descriptors, and a path call those of none: they are no evidence.
    let evidence = call.object != Object::None && !matches!(call.number.name(), "sendfile" | "epoll_ctl" | "mmap" | "newfstatat");
    if let (Some(epoch), true) = (call.epochs[0], evidence) {
        table.seen_as(epoch, call.object);
    }
    if call.number.name() == "epoll_ctl"
        && let Some(epoch) = call.epochs[0]
    {
        table.seen_as(epoch, Object::Epoll);
    }
    let succeeded = call.result >= 0;
    match call.role {
        Role::Accept if succeeded => {
            call.epochs[2] = Some(table.opened(call.process, call.result as i32, Object::Stream));
        }
        Role::Open if succeeded => {
            let object = match call.number.name() {
                "open" | "openat" | "openat2" => Object::File,
                "epoll_create" | "epoll_create1" => Object::Epoll,
                "eventfd2" | "timerfd_create" => Object::Event,
                _ => Object::None,
            };
            call.epochs[2] = Some(table.opened(call.process, call.result as i32, object));
        }
        Role::Close if succeeded => table.closed(call.process, call.arguments[0] as i32),
        _ => {}
    }
}

/// A call's object and role in the light of all that is known of its descriptor.
fn settle_object(call: &mut CallRecord, table: &DescriptorTable) {
    if let Some(epoch) = call.epochs[0] {
        let object = table.epochs[epoch].object;
        if object != Object::None {
            call.object = object;
        }
    }
    let on_socket = matches!(call.object, Object::Stream | Object::Datagram);
    if matches!(call.role, Role::Receive | Role::Send) && !on_socket {
        call.role = Role::Other;
    }
}

/// A request: indices into the calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    /// Calls of the request in program order, readiness and retries left out.
    pub calls: Vec<u32>,
    /// Connection (or datagram socket) it came over.
    pub connection: usize,
    /// User segments that run before a step besides the step's own: those of calls that were left out.
    pub extra_segments: Vec<(u32, u32)>,
    /// User work before each step, in the order in which it runs.
    pub user: Vec<(u32, SegmentPart)>,
    /// True when nothing that belongs to it can be missing.
    pub certain: bool,
}

/// What the splitting found.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests {
    pub requests: Vec<Request>,
    /// What sets connections up that carry several requests, from the accept on.
    pub openings: Vec<Request>,
    /// What takes them down, from the receive that finds the client's end.
    pub closings: Vec<Request>,
    /// Replies that were begun in the recording: requests counted by their sends, the incomplete ones too.
    pub replies: u64,
    pub connection_per_request: bool,
    pub connections: usize,
    /// User work of the event loop after a readiness call, by the call's index.
    pub after_readiness: BTreeMap<u32, SegmentPart>,
    /// Non-blocking receives and accepts that found nothing.
    pub again: Vec<u32>,
    /// Calls that belong to no request, by reason.
    pub outside: BTreeMap<&'static str, u64>,
}

impl Requests {
    /// Requests and the ends of connections.
    pub fn units(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().chain(&self.openings).chain(&self.closings)
    }

    /// One of [`Requests::units`] by its number.
    pub fn unit_mut(&mut self, number: usize) -> Option<&mut Request> {
        self.requests.iter_mut().chain(&mut self.openings).chain(&mut self.closings).nth(number)
    }
}

/// Splits the calls of a server into requests.
pub(super) fn split(calls: &[CallRecord], table: &DescriptorTable, event_loop: bool) -> Requests {
    let mut found = Requests::default();
    let by_connection = by_connection(calls, table, event_loop, &mut found);
    found.connections = by_connection.len();
    found.connection_per_request = one_request_each(calls, table, &by_connection);
    for (connection, list) in &by_connection {
        if found.connection_per_request {
            whole_connection(calls, table, *connection, list, &mut found);
        } else {
            requests_of(calls, table, *connection, list, &mut found);
        }
    }
    for list in [&mut found.requests, &mut found.openings, &mut found.closings] {
        list.sort_by_key(|request| request.calls.first().copied());
    }
    found
}

/// Calls by the connection that they work for.
fn by_connection(
    calls: &[CallRecord],
    table: &DescriptorTable,
    event_loop: bool,
    found: &mut Requests,
) -> BTreeMap<usize, Vec<u32>> {
    let mut received = vec![false; table.epochs.len()];
    for call in calls.iter().filter(|call| call.role == Role::Receive) {
        if let Some(epoch) = call.epochs[0] {
            received[epoch] |= call.result > 0;
        }
    }
    let is_connection = |epoch: usize| {
        let one = &table.epochs[epoch];
        matches!(one.object, Object::Stream | Object::Datagram) && received[epoch]
    };
    let mut lists: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    let mut current: BTreeMap<u32, usize> = BTreeMap::new();
    for (index, call) in calls.iter().enumerate() {
        if call.role == Role::Readiness {
            if event_loop {
                current.remove(&call.task);
            }
            continue;
        }
        let own = call.epochs.iter().rev().flatten().copied().find(|epoch| is_connection(*epoch));
        if let Some(connection) = own {
            current.insert(call.task, connection);
        }
        let nothing_to_accept = call.role == Role::Accept && call.result < 0;
        match current.get(&call.task) {
            Some(connection) if !nothing_to_accept => lists.entry(*connection).or_default().push(index as u32),
            _ if nothing_to_accept && call.would_block() => found.again.push(index as u32),
            _ => *found.outside.entry("calls between requests that belong to no connection").or_default() += 1,
        }
    }
    lists
}

/// True when connections carry one request: nearly all that were accepted and closed in the recording were sent to once after one receive.
fn one_request_each(calls: &[CallRecord], table: &DescriptorTable, lists: &BTreeMap<usize, Vec<u32>>) -> bool {
    let (mut accepted, mut single) = (0u32, 0u32);
    let mut receives = 0u32;
    for (connection, list) in lists {
        let turns = begins(calls, list).len() as u32;
        receives += turns;
        let epoch = &table.epochs[*connection];
        if epoch.opened && epoch.closed && turns > 0 {
            accepted += 1;
            single += u32::from(turns == 1);
        }
    }
    accepted * 2 >= receives && single * 10 >= accepted * 9 && accepted > 0
}

fn on_connection(call: &CallRecord, what: Role) -> bool {
    call.role == what
}

/// Positions in a connection's list at which a request begins: the first receive with bytes after a send.
fn begins(calls: &[CallRecord], list: &[u32]) -> Vec<usize> {
    let mut begins = Vec::new();
    let mut answered = true;
    for (position, index) in list.iter().enumerate() {
        let call = &calls[*index as usize];
        if on_connection(call, Role::Receive) && call.result > 0 && answered {
            begins.push(position);
            answered = false;
        }
        answered |= on_connection(call, Role::Send) && call.result > 0;
    }
    begins
}

fn has(calls: &[CallRecord], list: &[u32], what: Role) -> bool {
    list.iter().any(|index| on_connection(&calls[*index as usize], what) && calls[*index as usize].result > 0)
}

/// A connection that carries one request is the request.
fn whole_connection(calls: &[CallRecord], table: &DescriptorTable, connection: usize, list: &[u32], found: &mut Requests) {
    let epoch = &table.epochs[connection];
    let sends = has(calls, list, Role::Send);
    found.replies += u64::from(sends);
    if !sends {
        *found.outside.entry("connections without a reply").or_default() += 1;
    } else if !(epoch.opened && epoch.closed) {
        *found.outside.entry("requests cut by an end of the recording").or_default() += 1;
    } else {
        push_request(calls, connection, list, true, found);
    }
}

/// The requests of a connection that carries many.
fn requests_of(calls: &[CallRecord], table: &DescriptorTable, connection: usize, list: &[u32], found: &mut Requests) {
    let begins = begins(calls, list);
    let first = begins.first().copied().unwrap_or(list.len());
    if has(calls, &list[..first], Role::Send) {
        found.replies += 1;
        *found.outside.entry("requests cut by an end of the recording").or_default() += 1;
    }
    if calls_of(calls, &list[..first]).any(|call| call.role == Role::Accept && call.result >= 0) {
        found.openings.push(unit(calls, connection, &list[..first], true, &mut found.again));
    } else {
        *found.outside.entry("calls that set a connection up").or_default() += first as u64;
    }
    for (which, start) in begins.iter().enumerate() {
        let end = begins.get(which + 1).copied().unwrap_or(list.len());
        // A receive of 0 bytes is the client's end: what follows takes the connection down.
        let gone = list[*start..end].iter().position(|index| {
            let call = &calls[*index as usize];
            on_connection(call, Role::Receive) && call.result == 0
        });
        if let Some(gone) = gone.filter(|_| table.epochs[connection].closed) {
            found.closings.push(unit(calls, connection, &list[start + gone..end], true, &mut found.again));
        }
        let end = gone.map_or(end, |gone| start + gone);
        let own = &list[*start..end];
        if !has(calls, own, Role::Send) {
            *found.outside.entry("requests cut by an end of the recording").or_default() += 1;
            continue;
        }
        found.replies += 1;
        let certain = which + 1 < begins.len() || gone.is_some();
        push_request(calls, connection, own, certain, found);
    }
}

fn calls_of<'a>(calls: &'a [CallRecord], list: &'a [u32]) -> impl Iterator<Item = &'a CallRecord> {
    list.iter().map(|index| &calls[*index as usize])
}

/// Files a request.
fn push_request(calls: &[CallRecord], connection: usize, list: &[u32], certain: bool, found: &mut Requests) {
    let request = unit(calls, connection, list, certain, &mut found.again);
    found.requests.push(request);
}

/// Calls that belong together, without the retries in them.
fn unit(calls: &[CallRecord], connection: usize, list: &[u32], certain: bool, again: &mut Vec<u32>) -> Request {
    let mut request = Request { connection, certain, ..Request::default() };
    let mut pending: Vec<u32> = Vec::new();
    for index in list {
        let call = &calls[*index as usize];
        if matches!(call.role, Role::Receive | Role::Accept) && call.would_block() {
            again.push(*index);
            pending.extend(call.segment);
            continue;
        }
        let step = request.calls.len() as u32;
        request.extra_segments.extend(pending.drain(..).map(|segment| (step, segment)));
        request.calls.push(*index);
    }
    request
}
