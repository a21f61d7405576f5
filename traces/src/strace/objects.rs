//! Descriptors: which kind of object stands behind each number, and which opening of it.
//!
//! `-yy` prints the kind; without it the kind follows from the calls that made or used the descriptor.

use super::StraceCall;
use super::parse::Call;
use super::value::Value;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use sim_core::workload::Object;

/// A descriptor in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Its number.
    pub number: i32,
    /// What it stands for.
    pub object: Object,
    /// What strace printed of it between `<` and `>`.
    pub decoration: Option<String>,
    /// Which opening of the object: numbers are reused after a close, instances are not.
    pub instance: u32,
}

impl Descriptor {
    pub(crate) fn new(number: i32, decoration: Option<&str>) -> Self {
        let object = decoration.map_or(Object::None, object);
        Descriptor { number, object, decoration: decoration.map(str::to_owned), instance: 0 }
    }

    /// True for a connected stream or a datagram socket: what requests arrive on.
    pub fn is_connection(&self) -> bool {
        matches!(self.object, Object::Stream | Object::Datagram)
    }
}

/// The kind of object by its decoration.
pub fn object(decoration: &str) -> Object {
    let (kind, rest) = decoration.split_once(":[").unwrap_or((decoration, ""));
    match kind {
        "TCP" | "TCPv6" | "UNIX" | "UNIX-STREAM" | "UNIX-SEQPACKET" | "SCTP" | "MPTCP" => {
            if rest.contains("->") {
                Object::Stream
            } else {
                Object::Listener
            }
        }
        "UDP" | "UDPv6" | "UDP-LITE" | "UDPLITE" | "UNIX-DGRAM" => Object::Datagram,
        "socket" => Object::Stream,
        "pipe" => Object::Pipe,
        "anon_inode" => anonymous(rest),
        _ if decoration.starts_with("anon_inode:") => anonymous(&decoration["anon_inode:".len()..]),
        _ if decoration.starts_with('/') => Object::File,
        _ => Object::None,
    }
}

fn anonymous(kind: &str) -> Object {
    let kind = kind.trim_matches(['[', ']']);
    match kind {
        "eventpoll" => Object::Epoll,
        "io_uring" => Object::Ring,
        "pidfd" => Object::Process,
        _ => Object::Event,
    }
}

/// Arguments that are descriptors, by call. Source: the prototypes in the kernel's `include/linux/syscalls.h`.
fn positions(name: &str) -> &'static [usize] {
    match name {
        "read" | "write" | "close" | "fstat" | "lseek" | "ioctl" | "pread64" | "pwrite64" | "readv" | "writev" | "preadv"
        | "pwritev" | "preadv2" | "pwritev2" | "accept" | "accept4" | "bind" | "listen" | "connect" | "sendto" | "recvfrom"
        | "sendmsg" | "recvmsg" | "sendmmsg" | "recvmmsg" | "shutdown" | "getsockname" | "getpeername" | "setsockopt"
        | "getsockopt" | "fcntl" | "flock" | "fsync" | "fdatasync" | "ftruncate" | "getdents" | "getdents64" | "fchdir"
        | "fchmod" | "fchown" | "fstatfs" | "readahead" | "epoll_wait" | "epoll_pwait" | "epoll_pwait2" | "dup" | "dup2"
        | "dup3" | "timerfd_settime" | "timerfd_gettime" | "sync_file_range" | "fallocate" | "fadvise64" | "io_uring_enter"
        | "io_uring_register" | "syncfs" | "recv" | "send" => &[0],
        "epoll_ctl" => &[0, 2],
        "sendfile" | "sendfile64" | "tee" => &[0, 1],
        "splice" | "copy_file_range" => &[0, 2],
        _ => &[],
    }
}

/// The descriptors among the arguments of a parsed call.
pub(super) fn used(call: &Call<'_>) -> Vec<Descriptor> {
    let decorated: Vec<Descriptor> = call.arguments.iter().filter_map(descriptor).collect();
    if !decorated.is_empty() {
        return decorated;
    }
    used_numbers(call.name, |index| call.arguments.get(index).and_then(Value::number))
}

/// The descriptors of a call whose arguments are plain numbers.
pub(crate) fn used_numbers(name: &str, argument: impl Fn(usize) -> Option<i64>) -> Vec<Descriptor> {
    let numbers = positions(name).iter().filter_map(|index| argument(*index));
    numbers
        .filter_map(|number| i32::try_from(number).ok())
        .filter(|number| *number >= 0)
        .map(|number| Descriptor::new(number, None))
        .collect()
}

fn descriptor(value: &Value<'_>) -> Option<Descriptor> {
    match value {
        Value::Descriptor { number, decoration } if *number >= 0 => Some(Descriptor::new(*number, Some(decoration))),
        _ => None,
    }
}

/// Calls that return a new descriptor.
pub(crate) fn makes_descriptor(name: &str) -> bool {
    matches!(
        name,
        "open"
            | "openat"
            | "openat2"
            | "creat"
            | "socket"
            | "accept"
            | "accept4"
            | "dup"
            | "dup2"
            | "dup3"
            | "epoll_create"
            | "epoll_create1"
            | "eventfd"
            | "eventfd2"
            | "timerfd_create"
            | "signalfd"
            | "signalfd4"
            | "inotify_init"
            | "inotify_init1"
            | "io_uring_setup"
            | "memfd_create"
            | "pidfd_open"
            | "perf_event_open"
    )
}

/// The descriptors that a parsed call made.
pub(super) fn made(call: &Call<'_>) -> Vec<Descriptor> {
    let duplicates =
        call.name == "fcntl" && call.arguments.get(1).is_some_and(|v| matches!(v, Value::Symbol(s) if s.starts_with("F_DUPFD")));
    match call.result {
        Some(result @ 0..=0x7fff_ffff) if makes_descriptor(call.name) || duplicates => {
            let mut made = Descriptor::new(result as i32, call.result_decoration);
            if made.object == Object::None || (call.result_decoration.is_none() && call.name == "socket") {
                made.object = made_by(call.name, call.arguments.get(1));
            }
            vec![made]
        }
        Some(0) if matches!(call.name, "pipe" | "pipe2" | "socketpair") => call.arguments.iter().find_map(pair).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn pair(value: &Value<'_>) -> Option<Vec<Descriptor>> {
    let Value::List(items) = value else { return None };
    Some(items.iter().filter_map(|item| descriptor(item).or_else(|| plain(item))).collect())
}

fn plain(value: &Value<'_>) -> Option<Descriptor> {
    let mut made = Descriptor::new(i32::try_from(value.number()?).ok()?, None);
    made.object = Object::Pipe;
    Some(made)
}

fn made_by(name: &str, second: Option<&Value<'_>>) -> Object {
    match second {
        Some(Value::Symbol(kind)) if name == "socket" && kind.contains("SOCK_DGRAM") => Object::Datagram,
        _ => made_by_name(name),
    }
}

/// The kind of object that a call makes.
pub(crate) fn made_by_name(name: &str) -> Object {
    match name {
        "open" | "openat" | "openat2" | "creat" | "memfd_create" => Object::File,
        "socket" | "accept" | "accept4" => Object::Stream,
        "epoll_create" | "epoll_create1" => Object::Epoll,
        "eventfd" | "eventfd2" | "timerfd_create" | "signalfd" | "signalfd4" | "inotify_init" | "inotify_init1" => Object::Event,
        "io_uring_setup" => Object::Ring,
        "pidfd_open" => Object::Process,
        _ => Object::None,
    }
}

/// The kind that a use of an unknown descriptor betrays.
fn betrayed(name: &str, position: usize) -> Object {
    match (name, position) {
        ("accept" | "accept4" | "listen", _) => Object::Listener,
        ("epoll_wait" | "epoll_pwait" | "epoll_pwait2", _) | ("epoll_ctl", 0) => Object::Epoll,
        ("epoll_ctl", _) | ("sendfile" | "sendfile64", 0) => Object::Stream,
        (
            "sendto" | "recvfrom" | "sendmsg" | "recvmsg" | "getpeername" | "setsockopt" | "getsockopt" | "shutdown" | "connect",
            _,
        ) => Object::Stream,
        ("sendmmsg" | "recvmmsg", _) => Object::Datagram,
        ("sendfile" | "sendfile64", _) => Object::File,
        ("fstat" | "lseek" | "pread64" | "pwrite64" | "getdents" | "getdents64" | "fsync" | "fdatasync" | "ftruncate", _) => {
            Object::File
        }
        ("io_uring_enter" | "io_uring_register", _) => Object::Ring,
        ("timerfd_settime", _) => Object::Event,
        _ => Object::None,
    }
}

/// What identifies an open object while it is open: sockets by their addresses, others by process and number.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Key {
    Socket(String),
    Number { process: u32, number: i32, decoration: Option<String> },
}

#[derive(Default)]
struct Table {
    open: FxHashMap<Key, (u32, Object)>,
    /// Process by task; tasks that were there before the recording count as one process, 0.
    process: FxHashMap<u32, u32>,
    instances: u32,
}

/// Fills in kinds and instances over a whole recording, in the order of the calls.
pub(crate) fn resolve(calls: &mut [StraceCall]) {
    let mut table = Table::default();
    for call in calls.iter_mut() {
        let process = table.process.get(&call.pid).copied().unwrap_or(0);
        for (position, descriptor) in call.descriptors.iter_mut().enumerate() {
            table.look_up(process, descriptor, betrayed(&call.name, position));
        }
        if call.result.is_some_and(|result| result >= 0) {
            table.follow(process, call);
        }
    }
}

impl Table {
    fn key(process: u32, descriptor: &Descriptor) -> Key {
        match &descriptor.decoration {
            Some(decoration) if descriptor.object == Object::Stream && decoration.contains("->") => Key::Socket(decoration.clone()),
            decoration => Key::Number { process, number: descriptor.number, decoration: decoration.clone() },
        }
    }

    fn look_up(&mut self, process: u32, descriptor: &mut Descriptor, betrayed: Object) {
        let key = Table::key(process, descriptor);
        let undecorated = descriptor.decoration.as_deref().is_none_or(|decoration| decoration.starts_with("socket:["));
        let seen = if descriptor.object == Object::None || undecorated { betrayed } else { descriptor.object };
        let instances = &mut self.instances;
        let entry = self.open.entry(key).or_insert_with(|| {
            *instances += 1;
            (*instances, seen)
        });
        if undecorated && (entry.1 == Object::None || seen == Object::Listener) {
            entry.1 = seen;
        }
        descriptor.instance = entry.0;
        if undecorated {
            descriptor.object = entry.1;
        }
    }

    fn follow(&mut self, process: u32, call: &mut StraceCall) {
        let source = call.descriptors.first().map(|descriptor| descriptor.object);
        for made in &mut call.made {
            if made.object == Object::None
                && let Some(source) = source
            {
                made.object = source;
            }
            self.instances += 1;
            made.instance = self.instances;
            self.open.insert(Table::key(process, made), (self.instances, made.object));
        }
        match call.name.as_str() {
            "close" => {
                // A connection's key outlives one close: a forking server closes its copy in the parent. Only a new accept of the
                // same addresses begins a new instance.
                if let Some(descriptor) = call.descriptors.first()
                    && let key @ Key::Number { .. } = Table::key(process, descriptor)
                {
                    self.open.remove(&key);
                }
            }
            "fork" | "vfork" | "clone" | "clone3" => self.child(process, call),
            _ => {}
        }
    }

    fn child(&mut self, process: u32, call: &StraceCall) {
        let Some(child) = call.result.and_then(|pid| u32::try_from(pid).ok()) else { return };
        let shares = call.symbols().any(|flags| flags.contains("CLONE_FILES") || flags.contains("CLONE_THREAD"));
        if shares || call.name.starts_with("clone3") {
            self.process.insert(child, process);
            return;
        }
        self.process.insert(child, child);
        let mut inherited: Vec<(Key, (u32, Object))> = Vec::new();
        for (key, entry) in &self.open {
            if let Key::Number { process: owner, number, decoration } = key
                && *owner == process
            {
                inherited.push((Key::Number { process: child, number: *number, decoration: decoration.clone() }, *entry));
            }
        }
        self.open.extend(inherited);
    }
}
