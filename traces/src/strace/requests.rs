//! Splitting the calls of a recording into requests, by descriptors, arguments and results.
//!
//! A request begins at the first receive that returns bytes after a send, or at the accept when connections carry one request only.
//! Calls without a connection belong to the connection that the task worked on last; a readiness call ends that.

use super::{Argument, StraceCall};
use sim_core::workload::{Effect, Object, Program};
use std::collections::{BTreeMap, BTreeSet};

/// What a call means for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `epoll_wait`, `poll` …: asks which descriptors are ready.
    Readiness,
    /// Found nothing and did not wait.
    Retry,
    /// Took a connection.
    Accept,
    /// Got bytes of a request.
    Receive,
    /// Met the client's end of the connection.
    End,
    /// Sent bytes of a reply.
    Send,
    /// Closed the connection.
    Close,
    /// Anything else.
    Other,
}

impl Role {
    pub fn effect(self) -> Effect {
        match self {
            Role::Accept => Effect::Accept,
            Role::Receive => Effect::Receive,
            Role::Send => Effect::Send,
            Role::Close => Effect::Close,
            Role::Readiness | Role::Retry | Role::End | Role::Other => Effect::None,
        }
    }
}

/// One request: indices into the calls, in program order.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub calls: Vec<usize>,
    pub connection: u32,
    /// True when its replies were sent after other connections' receives.
    pub deferred: bool,
    /// Events that the readiness call before it returned.
    pub events: u32,
}

/// What the splitting found.
#[derive(Clone, Debug)]
pub(super) struct Split {
    pub requests: Vec<Request>,
    pub program: Program,
    pub datagram: bool,
    pub connection_per_request: bool,
    pub connections: u32,
    pub threads: u32,
    /// True when the program sends replies only after all ready connections were received from.
    pub deferred: bool,
    /// The readiness call used most by the tasks that serve, and the most events it asks for.
    pub readiness: Option<(String, u32)>,
    /// Calls that belong to no request, by reason.
    pub outside: BTreeMap<&'static str, u64>,
}

const READINESS: [&str; 7] = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"];
const RECEIVES: [&str; 7] = ["read", "readv", "recvfrom", "recvmsg", "recvmmsg", "recv", "preadv2"];
const SENDS: [&str; 9] = ["write", "writev", "sendto", "sendmsg", "sendmmsg", "send", "sendfile", "sendfile64", "splice"];

/// Sockets that the program itself connected: another server's, not a client's.
fn upstream(calls: &[StraceCall]) -> BTreeSet<u32> {
    calls.iter().filter(|call| call.name == "connect").filter_map(|call| call.descriptor()).map(|socket| socket.instance).collect()
}

/// The connection that a call works on itself.
fn own_connection(call: &StraceCall, upstream: &BTreeSet<u32>) -> Option<u32> {
    if matches!(call.name.as_str(), "accept" | "accept4") {
        return call.made.first().map(|made| made.instance);
    }
    if call.name == "socket" {
        return None;
    }
    call.descriptors
        .iter()
        .find(|descriptor| descriptor.is_connection() && !upstream.contains(&descriptor.instance))
        .map(|descriptor| descriptor.instance)
}

fn role(call: &StraceCall, connection: bool) -> Role {
    let name = call.name.as_str();
    let would_block = call.failed_with("EAGAIN") || call.failed_with("EWOULDBLOCK");
    if READINESS.contains(&name) {
        return Role::Readiness;
    }
    match (name, connection) {
        ("accept" | "accept4", _) => {
            if call.made.is_empty() {
                Role::Retry
            } else {
                Role::Accept
            }
        }
        _ if would_block => Role::Retry,
        (_, false) => Role::Other,
        ("close", _) => Role::Close,
        _ if RECEIVES.contains(&name) && (call.bytes > 0 || (name == "recvmmsg" && call.count > 0)) => Role::Receive,
        _ if RECEIVES.contains(&name) => Role::End,
        _ if SENDS.contains(&name) && (call.bytes > 0 || (name == "sendmmsg" && call.count > 0)) => Role::Send,
        _ => Role::Other,
    }
}

/// The role of a call in a request of `connection`.
pub(super) fn role_in(call: &StraceCall, connection: u32) -> Role {
    let own = call.descriptors.iter().chain(&call.made).any(|descriptor| descriptor.instance == connection);
    role(call, own)
}

/// Roles of all calls, and the calls of each connection.
struct Assigned {
    roles: Vec<Role>,
    lists: BTreeMap<u32, Vec<usize>>,
    /// Events returned by the task's last readiness call, by call.
    events: Vec<u32>,
    outside: BTreeMap<&'static str, u64>,
}

fn assign(calls: &[StraceCall], upstream: &BTreeSet<u32>) -> Assigned {
    let received: BTreeSet<u32> =
        calls.iter().filter_map(|call| own_connection(call, upstream).filter(|_| role(call, true) == Role::Receive)).collect();
    let mut assigned =
        Assigned { roles: Vec::with_capacity(calls.len()), lists: BTreeMap::new(), events: Vec::new(), outside: BTreeMap::new() };
    let mut current: BTreeMap<u32, u32> = BTreeMap::new();
    let mut events: BTreeMap<u32, u32> = BTreeMap::new();
    for (index, call) in calls.iter().enumerate() {
        let own = own_connection(call, upstream).filter(|instance| received.contains(instance));
        let role = role(call, own.is_some());
        assigned.roles.push(role);
        assigned.events.push(events.get(&call.pid).copied().unwrap_or(0));
        match role {
            Role::Readiness => {
                current.remove(&call.pid);
                events.insert(call.pid, call.count);
                *assigned.outside.entry("readiness calls: how many events are ready is simulated").or_default() += 1;
                continue;
            }
            Role::Retry => {
                *assigned.outside.entry("calls that found nothing and did not wait: simulated").or_default() += 1;
                continue;
            }
            _ => {}
        }
        if let Some(connection) = own {
            current.insert(call.pid, connection);
        }
        match current.get(&call.pid) {
            Some(connection) => assigned.lists.entry(*connection).or_default().push(index),
            None => *assigned.outside.entry("calls between requests that belong to no connection").or_default() += 1,
        }
    }
    assigned
}

/// Splits the calls of a recording.
pub(super) fn split(calls: &[StraceCall]) -> Split {
    let upstream = upstream(calls);
    let mut assigned = assign(calls, &upstream);
    let connection_per_request = one_request_each(calls, &assigned);
    let mut requests = Vec::new();
    for (connection, list) in &assigned.lists {
        let found = if connection_per_request {
            whole_connection(*connection, list, &assigned.roles, &mut assigned.outside)
        } else {
            requests_of(*connection, list, &assigned.roles, &mut assigned.outside)
        };
        requests.extend(found);
    }
    requests.sort_by_key(|request| request.calls.first().copied());
    let serving: BTreeSet<u32> = requests.iter().map(|request| calls[request.calls[0]].pid).collect();
    let readiness = readiness(calls, &serving);
    let deferred = mark_deferred(calls, &assigned, &mut requests);
    Split {
        program: program(calls, &requests, &assigned.roles, readiness.is_some()),
        datagram: datagram(calls, &requests),
        connection_per_request,
        connections: connections(calls, &assigned, &requests),
        threads: serving.len() as u32,
        deferred,
        readiness,
        requests,
        outside: assigned.outside,
    }
}

/// Positions in a connection's list at which a request begins.
fn begins(list: &[usize], roles: &[Role]) -> Vec<usize> {
    let mut begins = Vec::new();
    let mut answered = true;
    for (position, index) in list.iter().enumerate() {
        if roles[*index] == Role::Receive && answered {
            begins.push(position);
            answered = false;
        }
        answered |= roles[*index] == Role::Send;
    }
    begins
}

/// True when nine of ten connections that were accepted and closed in the recording carried one request.
fn one_request_each(calls: &[StraceCall], assigned: &Assigned) -> bool {
    let (mut whole, mut single, mut turns_all) = (0u64, 0u64, 0u64);
    for list in assigned.lists.values() {
        let turns = begins(list, &assigned.roles).len() as u64;
        turns_all += turns;
        let accepted = list.iter().any(|index| assigned.roles[*index] == Role::Accept);
        let closed = list.iter().any(|index| assigned.roles[*index] == Role::Close && calls[*index].error.is_none());
        if accepted && closed && turns > 0 {
            whole += 1;
            single += u64::from(turns == 1);
        }
    }
    whole > 0 && single * 10 >= whole * 9 && whole * 2 >= turns_all
}

fn has(list: &[usize], roles: &[Role], role: Role) -> bool {
    list.iter().any(|index| roles[*index] == role)
}

fn whole_connection(connection: u32, list: &[usize], roles: &[Role], outside: &mut BTreeMap<&'static str, u64>) -> Vec<Request> {
    let (accepted, sent) = (has(list, roles, Role::Accept), has(list, roles, Role::Send));
    if !sent || !accepted || !has(list, roles, Role::Close) {
        let reason = if sent { "calls of requests cut by an end of the recording" } else { "calls of connections without a reply" };
        *outside.entry(reason).or_default() += list.len() as u64;
        return Vec::new();
    }
    vec![Request { calls: list.to_vec(), connection, ..Request::default() }]
}

fn requests_of(connection: u32, list: &[usize], roles: &[Role], outside: &mut BTreeMap<&'static str, u64>) -> Vec<Request> {
    let begins = begins(list, roles);
    let first = begins.first().copied().unwrap_or(list.len());
    *outside.entry("calls that set a connection up").or_default() += first as u64;
    let mut requests = Vec::new();
    for (which, start) in begins.iter().enumerate() {
        let next = begins.get(which + 1).copied().unwrap_or(list.len());
        let gone = list[*start..next].iter().position(|index| matches!(roles[*index], Role::End | Role::Close));
        let end = gone.map_or(next, |gone| start + gone);
        *outside.entry("calls that take a connection down").or_default() += (next - end) as u64;
        let own = &list[*start..end];
        if has(own, roles, Role::Send) {
            requests.push(Request { calls: own.to_vec(), connection, ..Request::default() });
        } else {
            *outside.entry("calls of requests cut by an end of the recording").or_default() += own.len() as u64;
        }
    }
    requests
}

/// Marks requests whose reply waited for other connections' receives; true when the program works so: at least half of the requests
/// that shared a readiness call with others did.
fn mark_deferred(calls: &[StraceCall], assigned: &Assigned, requests: &mut [Request]) -> bool {
    let mut receives: BTreeMap<u32, Vec<(usize, u32)>> = BTreeMap::new();
    for request in requests.iter() {
        for index in request.calls.iter().filter(|index| assigned.roles[**index] == Role::Receive) {
            receives.entry(calls[*index].pid).or_default().push((*index, request.connection));
        }
    }
    receives.values_mut().for_each(|list| list.sort_unstable());
    let (mut shared, mut waited) = (0u64, 0u64);
    for request in requests.iter_mut() {
        let place = |role| request.calls.iter().copied().find(|index| assigned.roles[*index] == role);
        let (Some(from), Some(to)) = (place(Role::Receive), place(Role::Send)) else { continue };
        request.events = assigned.events[from];
        let list = receives.get(&calls[from].pid).map_or(&[][..], Vec::as_slice);
        let start = list.partition_point(|(index, _)| *index <= from);
        let between = list[start..].iter().take_while(|(index, _)| *index < to);
        request.deferred = between.clone().any(|(_, connection)| *connection != request.connection);
        if request.events > 1 {
            shared += 1;
            waited += u64::from(request.deferred);
        }
    }
    shared > 0 && waited * 2 >= shared
}

/// The readiness call that serving tasks use most, with the most events it asks for.
fn readiness(calls: &[StraceCall], serving: &BTreeSet<u32>) -> Option<(String, u32)> {
    let mut found: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
    for call in calls.iter().filter(|call| serving.contains(&call.pid) && READINESS.contains(&call.name.as_str())) {
        let position = if call.name.starts_with("epoll") { 2 } else { 1 };
        let most = match call.arguments.get(position) {
            Some(Argument::Number(most)) => u32::try_from(*most).unwrap_or(1),
            _ => call.count,
        };
        let entry = found.entry(&call.name).or_default();
        *entry = (entry.0 + 1, entry.1.max(most).max(1));
    }
    found.into_iter().max_by_key(|(_, (count, _))| *count).map(|(name, (_, most))| (name.to_owned(), most))
}

fn program(calls: &[StraceCall], requests: &[Request], roles: &[Role], readiness: bool) -> Program {
    if requests.is_empty() {
        return Program::Sequential;
    }
    let mut served: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut accepting = BTreeSet::new();
    for request in requests {
        served.entry(calls[request.calls[0]].pid).or_default().insert(request.connection);
    }
    for (call, role) in calls.iter().zip(roles) {
        if *role == Role::Accept {
            accepting.insert(call.pid);
        }
    }
    let many = served.values().any(|connections| connections.len() > 1);
    if readiness && (many || served.len() == 1) {
        return Program::EventLoop;
    }
    if served.keys().any(|pid| accepting.contains(pid)) && served.len() > 1 {
        return Program::ProcessPerConnection;
    }
    Program::ThreadPerConnection
}

fn datagram(calls: &[StraceCall], requests: &[Request]) -> bool {
    let on_datagram = |request: &&Request| {
        calls[request.calls[0]].descriptors.iter().any(|d| d.instance == request.connection && d.object == Object::Datagram)
    };
    let count = requests.iter().filter(on_datagram).count();
    count * 2 > requests.len()
}

/// Most connections that were open at once; for datagrams the number of peers.
fn connections(calls: &[StraceCall], assigned: &Assigned, requests: &[Request]) -> u32 {
    let served: BTreeSet<u32> = requests.iter().map(|request| request.connection).collect();
    if datagram(calls, requests) {
        let peers: BTreeSet<&str> =
            requests.iter().flat_map(|request| &request.calls).filter_map(|index| calls[*index].peer.as_deref()).collect();
        return (peers.len() as u32).max(1);
    }
    let mut changes: Vec<(usize, i32)> = Vec::new();
    for (_, list) in assigned.lists.iter().filter(|(connection, _)| served.contains(connection)) {
        let accepted = list.iter().find(|index| assigned.roles[**index] == Role::Accept);
        let closed = list.iter().rev().find(|index| matches!(assigned.roles[**index], Role::Close | Role::End));
        changes.push((accepted.copied().unwrap_or(0), 1));
        changes.push((closed.copied().unwrap_or(calls.len()), -1));
    }
    changes.sort_unstable();
    let mut open = 0;
    changes
        .iter()
        .map(|(_, change)| {
            open += change;
            open
        })
        .max()
        .unwrap_or(0)
        .max(0) as u32
}
