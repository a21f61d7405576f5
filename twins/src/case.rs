//! Case files: what a native twin does, in terms that its model twin is made of too.

use crate::error::TwinError;
use serde::{Deserialize, Serialize};

/// A program, and at which points it is measured and predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Short name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Largest error of a prediction that counts as within, percent.
    pub tolerance_percent: u32,
    /// What runs.
    pub program: Program,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Program {
    /// Reads of a file in the page cache with user work before each.
    ReadLoop(ReadLoop),
    /// User work that a call interrupts.
    Interrupted(Interrupted),
    /// A key-value server over UDP.
    Datagrams(Datagrams),
    /// A key-value server over TCP.
    Connections(Connections),
    /// A real server that is installed on the host.
    Server(Server),
    /// A key-value store that a program at the XDP hook asks, against a server.
    Hook(Hook),
}

/// Reads of a file in the page cache with user work before each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadLoop {
    /// Work before each read.
    pub work: Work,
    /// Bytes of a read.
    pub bytes: u32,
    /// Buffers, and places of the file, that the reads go through in turn.
    pub buffers: u32,
    /// Reads submitted together.
    pub batches: Vec<u32>,
    /// Ways of issuing besides the synchronous one.
    pub ways: Vec<Way>,
}

/// User work that a call interrupts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interrupted {
    /// What the work touches.
    pub shape: Shape,
    /// The call.
    pub call: Interruption,
    /// Instructions of user work from one call to the next.
    pub intervals: Vec<u32>,
}

/// A key-value server over UDP: one socket, requests and replies of the same size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Datagrams {
    /// What it stores.
    pub store: Store,
    /// Requests that wait when the server begins.
    pub waiting: u32,
    /// Requests taken together.
    pub batches: Vec<u32>,
    /// Ways of issuing besides the synchronous one.
    pub ways: Vec<Way>,
}

/// A key-value server over TCP, one request on each connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connections {
    /// What it stores.
    pub store: Store,
    /// Numbers of connections.
    pub connections: Vec<u32>,
    /// Ways of issuing besides `epoll_wait`, `recvfrom` and `sendto`.
    pub ways: Vec<Way>,
}

/// A real server that is installed on the host, asked as in the bundled recording of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Which.
    pub server: ServerKind,
    /// Numbers of connections that stay; one connection, which they are compared with, is measured in any case.
    pub connections: Vec<u32>,
    /// Numbers of connections at the same time where each request has one of its own; each is 1 or one of `connections`.
    pub once: Vec<u32>,
    /// Number of connections in the recording: there the processor time itself is compared as well.
    pub recorded_connections: u32,
    /// Largest error of a predicted processor time that counts as within, percent.
    pub absolute_tolerance_percent: u32,
}

/// A server of which there is a bundled recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerKind {
    /// memcached over TCP.
    Memcached,
    /// redis without pipelining.
    Redis,
    /// nginx with a static file.
    Nginx,
}

impl ServerKind {
    /// All of them.
    pub const ALL: [ServerKind; 3] = [ServerKind::Memcached, ServerKind::Redis, ServerKind::Nginx];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            ServerKind::Memcached => "memcached",
            ServerKind::Redis => "redis",
            ServerKind::Nginx => "nginx",
        }
    }

    /// The program that is looked for in the search path.
    pub fn program(self) -> &'static str {
        match self {
            ServerKind::Redis => "redis-server",
            other => other.name(),
        }
    }
}

/// A key-value store over UDP on the loopback device: a server answers from it, or a program at the XDP hook. Whole rounds are compared:
/// the client's sends, the answers, the client's receives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// What is stored.
    pub store: Store,
    /// Requests that the client sends before it takes their replies.
    pub bursts: Vec<u32>,
}

/// A way of issuing calls that are not made where they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Way {
    /// `recvmmsg` and `sendmmsg`.
    Messages,
    /// io_uring, one enter for each batch.
    Ring,
    /// The same with registered files and buffers.
    RingRegistered,
    /// io_uring with a kernel polling thread on another processor.
    RingPolled,
}

impl Way {
    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Way::Messages => "recvmmsg/sendmmsg",
            Way::Ring => "io_uring",
            Way::RingRegistered => "io_uring, registered",
            Way::RingPolled => "io_uring, polled",
        }
    }
}

/// The call that interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interruption {
    /// `getppid`: it does nothing.
    Null,
    /// `pwrite` of 4 KiB to a page of the page cache.
    Pwrite,
}

impl Interruption {
    /// Name of the call.
    pub fn name(self) -> &'static str {
        match self {
            Interruption::Null => "getppid",
            Interruption::Pwrite => "pwrite64",
        }
    }
}

/// User work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// What it touches.
    pub shape: Shape,
    /// Its instructions, about.
    pub instructions: u32,
}

/// What user work touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Data that a chain of dependent loads goes through, one load a line, in an order that is drawn once.
    pub data_kib: u32,
    /// Code that is gone through, in an order that is drawn once.
    pub code_kib: u32,
}

/// What a key-value server stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// Values.
    pub entries: u32,
}

/// Bytes of a request and of a reply: the recorded messages have as many.
pub const MESSAGE_BYTES: usize = 64;
/// Bytes that [`Interruption::Pwrite`] writes, as the recorded one.
pub const WRITE_BYTES: usize = 4096;
/// Events that an `epoll_wait` returns at most: as many as the largest recorded one.
pub const EVENTS_MAX: usize = 16;
/// Entries of a submission ring.
pub const RING_ENTRIES: u32 = 512;

/// Messages that a socket's buffer surely holds.
pub const WAITING_MOST: u32 = 128;

/// The cases that come with the program.
const FILES: &[&str] = &[
    include_str!("../cases/read-loop.ron"),
    include_str!("../cases/interrupted.ron"),
    include_str!("../cases/datagrams.ron"),
    include_str!("../cases/connections.ron"),
    include_str!("../cases/servers.ron"),
    include_str!("../cases/hook.ron"),
];

/// All cases that come with the program, in order.
///
/// # Errors
/// A file that cannot be used: none as long as the program is whole (a test reads each).
pub fn cases() -> Result<Vec<Case>, TwinError> {
    let mut all = Vec::new();
    for text in FILES {
        all.extend(read(text)?);
    }
    Ok(all)
}

/// Reads a file of cases.
///
/// # Errors
/// A syntax error with its place, or the first field that is out of range.
pub fn read(text: &str) -> Result<Vec<Case>, TwinError> {
    let cases: Vec<Case> =
        ron::from_str(text).map_err(|error| TwinError::Case { name: "file".into(), cause: error.to_string() })?;
    cases.iter().try_for_each(Case::validate)?;
    Ok(cases)
}

/// Cases by name, or by the beginning of their names; all when nothing is asked for.
///
/// # Errors
/// A name that no case begins with.
pub fn select(only: &[String]) -> Result<Vec<Case>, TwinError> {
    let all = cases()?;
    for name in only {
        if !all.iter().any(|case| case.name.starts_with(name.as_str())) {
            return Err(unknown(name, &all));
        }
    }
    let wanted = |case: &Case| only.is_empty() || only.iter().any(|name| case.name.starts_with(name.as_str()));
    Ok(all.into_iter().filter(wanted).collect())
}

/// The case of a name.
///
/// # Errors
/// A name that no case has.
pub fn find(name: &str) -> Result<Case, TwinError> {
    let exact = |case: &Case| case.name == name;
    select(&[name.to_owned()])?.into_iter().find(exact).ok_or_else(|| unknown(name, &cases().unwrap_or_default()))
}

fn unknown(name: &str, all: &[Case]) -> TwinError {
    let known: Vec<&str> = all.iter().map(|case| case.name.as_str()).collect();
    TwinError::UnknownCase { name: name.into(), known: known.join(", ") }
}

impl Case {
    fn validate(&self) -> Result<(), TwinError> {
        let wrong = |cause: &str| Err(TwinError::Case { name: self.name.clone(), cause: cause.into() });
        let within = |values: &[u32], most: u32| !values.is_empty() && values.iter().all(|value| (1..=most).contains(value));
        match &self.program {
            Program::ReadLoop(own) => {
                if !within(&own.batches, RING_ENTRIES) || !within(&[own.buffers], RING_ENTRIES) {
                    return wrong("batches and buffers must lie in 1..=512");
                }
                if own.bytes != WRITE_BYTES as u32 {
                    return wrong("bytes must be 4096: the recorded read has as many");
                }
            }
            Program::Interrupted(own) if !within(&own.intervals, 10_000_000) => {
                return wrong("intervals must lie in 1..=10000000");
            }
            Program::Datagrams(own) if !within(&own.batches, own.waiting) || !within(&[own.waiting], WAITING_MOST) => {
                return wrong("batches must lie in 1..=waiting, waiting in 1..=128: a socket buffer holds no more");
            }
            Program::Hook(own) if !within(&own.bursts, WAITING_MOST) => {
                return wrong("bursts must lie in 1..=128: a socket buffer holds no more");
            }
            Program::Connections(own) if !within(&own.connections, RING_ENTRIES) => {
                return wrong("connections must lie in 1..=512");
            }
            Program::Server(own) if !within(&own.connections, 400) => {
                return wrong("connections must lie in 1..=400: nginx is told to take 512 at most");
            }
            Program::Server(own) if !own.once.iter().all(|count| *count == 1 || own.connections.contains(count)) => {
                return wrong("each number in once must be 1 or one of connections");
            }
            Program::Server(own) if !own.connections.contains(&own.recorded_connections) => {
                return wrong("recorded_connections must be one of connections");
            }
            _ => {}
        }
        match self.shape() {
            Some(shape) if shape.data_kib == 0 && shape.code_kib == 0 => wrong("user work must touch data or code"),
            Some(shape) if shape.code_kib > crate::work::CODE_KIB_MAX => wrong("code_kib must be at most 128"),
            _ => Ok(()),
        }
    }

    /// What its user work touches, if it is not a key-value store's.
    pub fn shape(&self) -> Option<Shape> {
        match &self.program {
            Program::ReadLoop(own) => Some(own.work.shape),
            Program::Interrupted(own) => Some(own.shape),
            Program::Datagrams(_) | Program::Connections(_) | Program::Server(_) | Program::Hook(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cases_can_be_used_and_have_names_of_their_own() {
        let all = cases().unwrap();
        let mut names: Vec<&str> = all.iter().map(|case| case.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        let kinds = |of: fn(&Program) -> bool| all.iter().filter(|case| of(&case.program)).count();
        assert!(kinds(|program| matches!(program, Program::ReadLoop(_))) >= 2);
        assert!(kinds(|program| matches!(program, Program::Interrupted(_))) >= 8);
        assert!(kinds(|program| matches!(program, Program::Datagrams(_))) >= 1);
        assert!(kinds(|program| matches!(program, Program::Connections(_))) >= 1);
        assert!(kinds(|program| matches!(program, Program::Server(_))) >= 3);
        assert!(kinds(|program| matches!(program, Program::Hook(_))) >= 1);
    }

    #[test]
    fn a_case_survives_being_written_and_read() {
        for case in cases().unwrap() {
            let text = ron::to_string(&vec![case.clone()]).unwrap();
            assert_eq!(read(&text).unwrap(), [case]);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let refused = |text: &str| read(text).unwrap_err().to_string();
        let case = "[(name: \"x\", title: \"\", tolerance_percent: 5, program: PROGRAM)]";
        let store = "store: (entries: 8)";
        let datagrams = format!("Datagrams(({store}, waiting: 16, batches: [32], ways: []))");
        assert!(refused(&case.replace("PROGRAM", &datagrams)).contains("case x: batches must lie in 1..=waiting"));
        let nothing = "Interrupted((shape: (data_kib: 0, code_kib: 0), call: Null, intervals: [5]))";
        assert!(refused(&case.replace("PROGRAM", nothing)).contains("must touch"));
        assert!(refused("[(name: 1)]").contains("1:"), "{}", refused("[(name: 1)]"));
        assert!(select(&["udp".into(), "nothing".into()]).unwrap_err().to_string().contains("known: read"));
    }
}
