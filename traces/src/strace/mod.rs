//! System calls as strace prints them (`strace -f -ttt -T -yy`), typed, and the way from them to a workload.
//!
//! [`read`] turns text into a [`Recording`]; [`distil`](mod@distil) turns a recording into a workload with kernel work from a library.
//! The columns for task, time, duration and descriptor kinds are optional; what is missing is deduced or counted as guessed.

pub mod distil;
pub mod objects;
pub mod parse;
pub mod value;

mod base;
mod copy;
mod depends;
mod gaps;
mod library;
mod notes;
mod requests;
mod synthetic;
mod user;

use crate::error::TraceError;
use objects::Descriptor;
use parse::{Call, Event, Stamp};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use sim_core::calls::CallNumber;
use value::Value;

/// One argument in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Argument {
    /// A number or descriptor.
    Number(i64),
    /// A string or buffer of so many bytes shown.
    Text(u32),
    /// An array of so many items.
    List(u32),
    /// Flags, constants, structures: as printed, at most [`SYMBOL_BYTES`] bytes.
    Symbol(String),
}

/// Bytes kept of a printed symbol.
pub const SYMBOL_BYTES: usize = 80;

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StraceCall {
    /// Task that called.
    pub pid: u32,
    /// Line of the file on which the call begins.
    pub line: u64,
    /// Time of the entry, nanoseconds.
    pub start_ns: u64,
    /// Time of the return, nanoseconds; equal to `start_ns` when durations are missing.
    pub end_ns: u64,
    /// Name as printed.
    pub name: String,
    /// Number, if the call table knows the name.
    pub number: Option<CallNumber>,
    /// Descriptors among the arguments, in their order.
    pub descriptors: Vec<Descriptor>,
    /// Descriptors that the call made.
    pub made: Vec<Descriptor>,
    /// Arguments in short.
    pub arguments: Vec<Argument>,
    /// Address of the peer, when printed (`recvfrom`, `accept`).
    pub peer: Option<String>,
    /// First word of the bytes that were moved, in lower case: a protocol's command (`get`).
    pub command: Option<String>,
    /// Result; `None` when the call never returned one (`?`).
    pub result: Option<i64>,
    /// Error name.
    pub error: Option<String>,
    /// Bytes moved.
    pub bytes: u64,
    /// Items: events returned, buffers of a vector, messages; 1 otherwise.
    pub count: u32,
}

impl StraceCall {
    /// The descriptor that the call works on, if any.
    pub fn descriptor(&self) -> Option<&Descriptor> {
        self.descriptors.first()
    }

    /// True when the call returned an error of this name.
    pub fn failed_with(&self, error: &str) -> bool {
        self.error.as_deref() == Some(error)
    }

    /// Symbols among the arguments.
    pub fn symbols(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().filter_map(|argument| match argument {
            Argument::Symbol(symbol) => Some(symbol.as_str()),
            _ => None,
        })
    }
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Lines of the file.
    pub lines: u64,
    /// Calls that stand on one line.
    pub complete: u64,
    /// Calls that were interrupted in the text and put together from two lines.
    pub pairs: u64,
    /// Beginnings of calls whose end is not in the file.
    pub never_resumed: u64,
    /// Ends of calls whose beginning is not in the file.
    pub never_begun: u64,
    /// Calls that strace detached from.
    pub detached: u64,
    /// Signals.
    pub signals: u64,
    /// Ends of tasks.
    pub exits: u64,
    /// Remarks of the tracer, empty lines.
    pub remarks: u64,
}

impl Counts {
    /// Lines whose meaning is known: equals `lines` unless the reading ended early.
    pub fn accounted(&self) -> u64 {
        let calls = self.complete + 2 * self.pairs + self.never_resumed + self.never_begun + self.detached;
        calls + self.signals + self.exits + self.remarks
    }
}

/// A recording of system calls, from strace or ftrace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recording {
    /// `strace` or `ftrace`.
    pub format: String,
    /// Calls by the time they began.
    pub calls: Vec<StraceCall>,
    /// What became of the lines.
    pub counts: Counts,
    /// True when lines carry a time.
    pub timed: bool,
    /// True when calls carry a duration.
    pub durations: bool,
    /// True when descriptors carry their kind (`-y`, `-yy`).
    pub decorated: bool,
    /// Damage that ended a lenient reading.
    pub damage: Option<String>,
}

/// True when the text looks like strace's: a call that the table knows among the first lines, or a resumed one.
pub fn sniff(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').take(100).any(|text| {
        let text = String::from_utf8_lossy(text);
        match parse::line(&text).map(|line| line.event) {
            Some(Event::Complete(text) | Event::Unfinished(text)) => {
                let name = text.split('(').next().unwrap_or_default();
                let finished = text.contains(") = ") || text.contains(")  ") || !text.ends_with(')');
                known(name) && finished
            }
            Some(Event::Resumed { name, .. }) => known(name),
            _ => false,
        }
    })
}

fn known(name: &str) -> bool {
    CallNumber::from_name(name).is_some()
}

/// Reads strace's text.
///
/// # Errors
/// A line that strace does not print, or a last line that is cut, with the line number; with `lenient` the recording up to there.
pub fn read(bytes: &[u8], file: &str, lenient: bool) -> Result<Recording, TraceError> {
    let mut assembly = Assembly::default();
    let mut damage = None;
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n');
        let text = String::from_utf8_lossy(&rest[..end.unwrap_or(rest.len())]);
        assembly.counts.lines += 1;
        if let Err(problem) = assembly.line(&text, end.is_none()) {
            damage = Some(TraceError::at_line(file, assembly.counts.lines, problem));
            break;
        }
        rest = end.map_or(&[][..], |end| &rest[end + 1..]);
    }
    if let Some(error) = damage.take_if(|_| !lenient) {
        return Err(error);
    }
    if assembly.calls.is_empty() {
        return Err(damage.unwrap_or_else(|| {
            TraceError::content(file, "no finished system call in it", "Record with `strace -f -ttt -T -yy -o FILE PROGRAM`")
        }));
    }
    Ok(assembly.finish(damage))
}

/// A call that waits for its second half.
struct Pending {
    line: u64,
    start_ns: u64,
    text: String,
}

#[derive(Default)]
struct Assembly {
    calls: Vec<StraceCall>,
    counts: Counts,
    pending: FxHashMap<u32, Pending>,
    clock: Clock,
    durations: bool,
    decorated: bool,
}

impl Assembly {
    fn line(&mut self, text: &str, last: bool) -> Result<(), String> {
        let Some(line) = parse::line(text) else {
            return Err(refusal(text, last));
        };
        let pid = line.pid.unwrap_or(0);
        let now_ns = line.stamp.map_or(self.clock.now_ns, |stamp| self.clock.at(stamp));
        match line.event {
            Event::Complete(call) => {
                let number = self.counts.lines;
                self.call(call, pid, number, now_ns, last).ok_or_else(|| refusal(text, last))?;
                self.counts.complete += 1;
            }
            Event::Unfinished(start) => {
                let pending = Pending { line: self.counts.lines, start_ns: now_ns, text: start.to_owned() };
                self.counts.never_resumed += u64::from(self.pending.insert(pid, pending).is_some());
            }
            Event::Resumed { name, rest } => self.resumed(pid, name, rest, last).ok_or_else(|| refusal(text, last))?,
            Event::Detached => self.counts.detached += 1,
            Event::Signal => self.counts.signals += 1,
            Event::Exit => self.counts.exits += 1,
            Event::Remark => self.counts.remarks += 1,
        }
        Ok(())
    }

    fn resumed(&mut self, pid: u32, name: &str, rest: &str, last: bool) -> Option<()> {
        let begun = self.pending.remove(&pid);
        let begun = match begun {
            Some(pending) if pending.text.split('(').next() == Some(name) => pending,
            Some(_) => {
                self.counts.never_resumed += 1;
                self.counts.never_begun += 1;
                return Some(());
            }
            None => {
                self.counts.never_begun += 1;
                return Some(());
            }
        };
        let whole = format!("{} {}", begun.text, rest.trim_start());
        let done = self.call(&whole, pid, begun.line, begun.start_ns, last);
        match done {
            Some(()) => self.counts.pairs += 1,
            None => self.counts.never_resumed += 1,
        }
        done
    }

    /// Takes in a whole call; `None` when it can't be read, or when it ends the file without the duration that all others have.
    fn call(&mut self, text: &str, pid: u32, line: u64, start_ns: u64, last: bool) -> Option<()> {
        let call = parse::call(text)?;
        if last && self.durations && call.duration_ns.is_none() && call.result.is_some() {
            return None;
        }
        self.durations |= call.duration_ns.is_some();
        self.decorated |= call.arguments.iter().any(|value| matches!(value, Value::Descriptor { number, .. } if *number >= 0));
        self.calls.push(typed(&call, pid, line, start_ns));
        Some(())
    }

    fn finish(mut self, damage: Option<TraceError>) -> Recording {
        self.counts.never_resumed += self.pending.len() as u64;
        self.calls.sort_by_key(|call| (call.start_ns, call.line));
        objects::resolve(&mut self.calls);
        Recording {
            format: "strace".to_owned(),
            calls: self.calls,
            counts: self.counts,
            timed: self.clock.seen,
            durations: self.durations,
            decorated: self.decorated,
            damage: damage.map(|error| error.to_string()),
        }
    }
}

fn refusal(text: &str, last: bool) -> String {
    let shown: String = text.chars().take(80).collect();
    if last {
        format!("the file ends inside this line (`{shown}`)")
    } else {
        format!("`{shown}` is not a line of strace (program output mixed in? record with -o FILE)")
    }
}

/// Turns the stamps of the lines into nanoseconds that never run backwards over midnight.
#[derive(Default)]
struct Clock {
    now_ns: u64,
    seen: bool,
    relative: bool,
    days: u64,
    last_of_day_ns: u64,
}

/// Seconds since 1970 below which a first stamp is taken for a difference (`-r`): 1973, when there was no strace.
const RELATIVE_BELOW_NS: u64 = 100_000_000 * 1_000_000_000;
const DAY_NS: u64 = 86_400 * 1_000_000_000;

impl Clock {
    fn at(&mut self, stamp: Stamp) -> u64 {
        let first = !std::mem::replace(&mut self.seen, true);
        match stamp {
            Stamp::Seconds(ns) => {
                self.relative = if first { ns < RELATIVE_BELOW_NS } else { self.relative };
                self.now_ns = if self.relative { self.now_ns.saturating_add(ns) } else { ns };
            }
            Stamp::TimeOfDay(ns) => {
                // Lines of several tasks may be slightly out of order; only a jump back of half a day is midnight.
                if ns + DAY_NS / 2 < self.last_of_day_ns {
                    self.days += 1;
                }
                self.last_of_day_ns = ns;
                self.now_ns = self.days * DAY_NS + ns;
            }
        }
        self.now_ns
    }
}

fn typed(call: &Call<'_>, pid: u32, line: u64, start_ns: u64) -> StraceCall {
    let end_ns = start_ns.saturating_add(call.duration_ns.unwrap_or(0));
    StraceCall {
        pid,
        line,
        start_ns,
        end_ns,
        name: call.name.to_owned(),
        number: CallNumber::from_name(call.name),
        descriptors: objects::used(call),
        made: objects::made(call),
        arguments: call.arguments.iter().map(argument).collect(),
        peer: call.arguments.iter().find_map(peer),
        command: call.arguments.iter().find_map(command),
        result: call.result,
        error: call.error.map(str::to_owned),
        bytes: bytes(call.name, call.result),
        count: count(call),
    }
}

fn argument(value: &Value<'_>) -> Argument {
    match value {
        Value::Number(number) => Argument::Number(*number),
        Value::Descriptor { number, .. } => Argument::Number(i64::from(*number)),
        Value::Text { bytes, .. } => Argument::Text(*bytes),
        Value::List(items) => Argument::List(items.len() as u32),
        Value::Symbol(symbol) => Argument::Symbol(symbol.chars().take(SYMBOL_BYTES).collect()),
        Value::Struct(_) => value.field("flags").map_or_else(|| Argument::Symbol("{}".to_owned()), argument),
        Value::Changed(_, after) => argument(after),
    }
}

fn peer(value: &Value<'_>) -> Option<String> {
    let Value::Symbol(port) = value.field("sin_port").or_else(|| value.field("sin6_port"))? else { return None };
    let host = match value.field("sin_addr") {
        Some(Value::Symbol(host)) => *host,
        _ => "",
    };
    Some(format!("{host} {port}"))
}

/// The first word of at least three letters in a string: `get` of `get key`, of `GET / HTTP/1.1`, of `*2\r\n$3\r\nGET\r\n`.
fn command(value: &Value<'_>) -> Option<String> {
    let Value::Text { shown, .. } = value else { return None };
    let mut word = String::new();
    let mut escaped = false;
    for letter in shown.chars() {
        if letter.is_ascii_alphabetic() && !escaped && word.len() < 16 {
            word.push(letter.to_ascii_lowercase());
            continue;
        }
        if word.len() >= 3 {
            break;
        }
        word.clear();
        escaped = letter == '\\' && !escaped;
    }
    (word.len() >= 3).then_some(word)
}

/// Calls whose result is a number of bytes.
const BYTE_CALLS: [&str; 28] = [
    "read",
    "write",
    "pread64",
    "pwrite64",
    "readv",
    "writev",
    "preadv",
    "pwritev",
    "preadv2",
    "pwritev2",
    "recvfrom",
    "sendto",
    "recvmsg",
    "sendmsg",
    "recv",
    "send",
    "sendfile",
    "sendfile64",
    "splice",
    "tee",
    "copy_file_range",
    "getdents",
    "getdents64",
    "readlink",
    "readlinkat",
    "getrandom",
    "getxattr",
    "vmsplice",
];

pub(crate) fn bytes(name: &str, result: Option<i64>) -> u64 {
    if BYTE_CALLS.contains(&name) { result.and_then(|result| u64::try_from(result).ok()).unwrap_or(0) } else { 0 }
}

fn count(call: &Call<'_>) -> u32 {
    let length = |value: &Value<'_>| match value {
        Value::List(items) => Some(items.len() as u32),
        _ => None,
    };
    let of_result = call.result.and_then(|result| u32::try_from(result).ok());
    match call.name {
        "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "poll" | "ppoll" | "select" | "pselect6" | "recvmmsg" | "sendmmsg" => {
            of_result.unwrap_or(0)
        }
        "readv" | "writev" | "preadv" | "pwritev" | "preadv2" | "pwritev2" => call.arguments.get(1).and_then(length).unwrap_or(1),
        "sendmsg" | "recvmsg" => call.arguments.get(1).and_then(|header| header.field("msg_iov")).and_then(length).unwrap_or(1),
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
