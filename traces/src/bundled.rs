//! The workloads that come with the program: full-system captures, distilled when they are asked for.

use crate::distil::{DistilOptions, RingRecording, distil};
use crate::error::TraceError;
use sim_core::workload::{Program, Workload};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// One bundled capture.
#[derive(Clone, Copy)]
pub struct Bundled {
    /// Name to ask for.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Name of the capture.
    pub capture_name: &'static str,
    /// Bytes of the capture.
    pub capture: &'static [u8],
    /// `/proc/PID/maps` of the recorded processes.
    pub maps: &'static str,
    /// Stored items that requests draw from, as the capture's header says; 0 when the program stores none.
    pub keys: u32,
    /// Kind of program.
    pub program: Program,
    /// Names of the calls that its requests make, separated by spaces: which workloads a recording of calls needs is decided without
    /// distilling all of them.
    pub calls: &'static str,
}

macro_rules! bundled {
    ($name:literal, $capture:literal, $program:ident, keys $keys:literal, calls $calls:literal, $description:literal) => {
        Bundled {
            name: $name,
            description: $description,
            capture_name: $capture,
            capture: include_bytes!(concat!("../data/captures/", $capture, ".trace")),
            maps: include_str!(concat!("../data/captures/", $capture, ".maps.txt")),
            keys: $keys,
            program: Program::$program,
            calls: $calls,
        }
    };
}

/// All bundled workloads.
#[rustfmt::skip]
pub static BUNDLED: [Bundled; 10] = [
    bundled!("memcached", "mc-16-rx-off", EventLoop, keys 1000, calls "read sendmsg", "memcached 1.6 over TCP: 16 connections, 512-byte values, 90 % get"),
    bundled!("memcached-udp", "mcudp-16-rx-off", EventLoop, keys 1000, calls "recvfrom sendmsg", "memcached 1.6 over UDP: 16 sockets, 512-byte values, single-key gets"),
    bundled!("nginx", "nginx-512-rx-off", EventLoop, keys 0, calls "accept4 close epoll_ctl newfstatat openat recvfrom sendfile setsockopt write writev", "nginx 1.22: static file of 512 bytes, a new connection per request"),
    bundled!("nginx-keepalive", "nginxka-512-rx-off", EventLoop, keys 0, calls "close newfstatat openat recvfrom sendfile setsockopt write writev", "nginx 1.22: static file of 512 bytes, keep-alive connections"),
    bundled!("redis", "redis-16-rx-off", EventLoop, keys 1000, calls "read write", "redis 7.0: 16 connections, 512-byte values, 90 % get, no pipelining"),
    bundled!("apache", "apache-4k-off", ProcessPerConnection, keys 0, calls "close mmap munmap newfstatat openat read write writev", "Apache 2.4 prefork: a process per connection, static file of 4 KiB, keep-alive"),
    bundled!("threads", "thsrv-4k-off", ThreadPerConnection, keys 0, calls "close newfstatat openat recvfrom sendfile sendto", "a blocking thread per connection, static file of 4 KiB, keep-alive"),
    bundled!("find", "find-off", Sequential, keys 0, calls "access arch_prctl brk close execve fchdir fcntl fstatfs getdents64 getrandom ioctl mmap mprotect newfstatat openat pread64 prlimit64 read rseq set_robust_list set_tid_address statfs uname write", "find over 3,000 files in 111 directories, warm cache, from execve to exit"),
    bundled!("microbench", "ubench-off", Sequential, keys 0, calls "close epoll_wait futex getppid mmap munmap newfstatat openat pread64 pwrite64 read write", "system call microbenchmarks: 14 phases of 50 rounds"),
    bundled!("microbench-2", "ubench2-off", Sequential, keys 0, calls "accept4 clock_nanosleep close close_range connect epoll_ctl epoll_wait futex getpid io_uring_enter munmap newfstatat openat poll read recvfrom recvmmsg rt_sigreturn sched_yield sendfile sendmmsg sendto setsockopt socket tgkill writev", "system call microbenchmarks: io_uring, message batches, readiness, wake-ups, faults; 56 phases"),
];

/// The capture across a virtual network card: device interrupts, NAPI polling, the driver's receive and transmit.
static NETWORK_CARD: &[u8] = include_bytes!("../data/captures/mcvnet-16-off.trace");

/// Workload whose capture shows all kinds of packets that a server receives (it accepts and closes connections).
const RECEIVE_PATH: &str = "nginx-keepalive";

/// Workload whose capture has calls that do nothing.
const NULL_CALLS: &str = "microbench";
/// Capture with threads that sleep in receives: the blocking path and the scheduler.
const BLOCKING_PATH: &str = "threads";
/// Capture with reads that find nothing and with other readiness calls than epoll.
const READINESS: &str = "microbench-2";

/// Capture of io_uring at different batch sizes, with its polling thread and its workers.
const RINGS: &str = "microbench-2";

/// What io_uring executes around calls, read once.
fn rings() -> Option<&'static RingRecording> {
    static RECORDING: OnceLock<Option<RingRecording>> = OnceLock::new();
    let read = || find(RINGS).ok().and_then(|bundled| RingRecording::read(bundled.capture).ok());
    RECORDING.get_or_init(read).as_ref()
}

/// The bundled workload of a name.
///
/// # Errors
/// An unknown name, with the nearest known one.
pub fn find(name: &str) -> Result<&'static Bundled, TraceError> {
    BUNDLED
        .iter()
        .find(|bundled| bundled.name == name)
        .ok_or_else(|| TraceError::unknown_name("bundled workload", name, BUNDLED.iter().map(|bundled| bundled.name)))
}

/// Distils a bundled workload.
///
/// # Errors
/// An unknown name, with the nearest known one.
pub fn load(name: &str) -> Result<Workload, TraceError> {
    let bundled = find(name)?;
    let mut options = library_options();
    options.name = bundled.name;
    options.description = bundled.description;
    options.file = bundled.capture_name;
    options.maps = Some(bundled.maps);
    if bundled.program == Program::Sequential {
        (options.remote, options.receive) = (None, None);
    }
    distil(bundled.capture, &options)
}

/// Options with the bundled captures that any capture of the same kernel borrows from: network card, receive path, null call.
pub fn library_options() -> DistilOptions<'static> {
    let capture = |name| find(name).ok().map(|bundled| bundled.capture);
    DistilOptions {
        remote: Some(NETWORK_CARD),
        receive: capture(RECEIVE_PATH),
        null_call: capture(NULL_CALLS),
        blocking: capture(BLOCKING_PATH),
        readiness: capture(READINESS),
        ring: rings(),
        ..DistilOptions::default()
    }
}

/// The bundled workloads that a recording of calls needs: the one whose calls are most like the recording's first, then for each
/// call that is still missing the first one that has it; with `base` that one first.
///
/// # Errors
/// An unknown base.
pub fn needed(calls: &BTreeMap<String, u64>, program: Program, base: Option<&str>) -> Result<Vec<&'static Bundled>, TraceError> {
    let first = match base {
        Some(name) => find(name)?,
        None => most_like(calls, program),
    };
    let mut chosen = vec![first];
    let mut missing: BTreeSet<&str> = calls.keys().map(String::as_str).filter(|call| !first.has(call)).collect();
    for bundled in &BUNDLED {
        let before = missing.len();
        missing.retain(|call| !bundled.has(call));
        if missing.len() < before {
            chosen.push(bundled);
        }
    }
    Ok(chosen)
}

impl Bundled {
    fn has(&self, call: &str) -> bool {
        self.calls.split(' ').any(|own| own == call)
    }
}

/// The workload of the same kind of program that covers most of the calls; among equals the one with the fewest others.
fn most_like(calls: &BTreeMap<String, u64>, program: Program) -> &'static Bundled {
    let rate = |bundled: &Bundled| {
        let covered: u64 = calls.iter().filter(|(call, _)| bundled.has(call)).map(|(_, count)| count).sum();
        (bundled.program == program, covered, std::cmp::Reverse(bundled.calls.split(' ').count()))
    };
    let mut best = &BUNDLED[0];
    for bundled in &BUNDLED[1..] {
        if rate(bundled) > rate(best) {
            best = bundled;
        }
    }
    best
}

/// Distils several bundled workloads, each on a host thread of its own; in the order given.
///
/// # Errors
/// None as long as the bundled captures are whole.
pub fn load_all(wanted: &[&'static Bundled]) -> Result<Vec<Workload>, TraceError> {
    let loaded: Vec<Result<Workload, TraceError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = wanted.iter().map(|bundled| scope.spawn(|| load(bundled.name))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    loaded.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_unknown_ones_bring_the_nearest() {
        let mut names: Vec<&str> = BUNDLED.iter().map(|bundled| bundled.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), BUNDLED.len());
        let error = load("ngnix").unwrap_err().to_string();
        assert!(error.contains("did you mean `nginx`?"), "{error}");
    }

    #[test]
    fn tables_say_what_the_captures_hold() {
        // The largest capture is left out: its calls are checked by the import of a recording that needs them.
        for bundled in BUNDLED.iter().filter(|bundled| bundled.name != NULL_CALLS) {
            let mut options = DistilOptions { file: bundled.capture_name, maps: Some(bundled.maps), ..DistilOptions::default() };
            options.name = bundled.name;
            let workload = distil(bundled.capture, &options).unwrap();
            let steps = workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
            let calls: BTreeSet<&str> = steps.map(|step| step.call.name()).filter(|name| *name != "unknown").collect();
            assert_eq!(calls, bundled.calls.split(' ').collect(), "{}", bundled.name);
            assert_eq!((workload.keys, workload.program), (bundled.keys, bundled.program), "{}", bundled.name);
            // synthesised requests are as long as the recorded ones
            for class in workload.classes.iter().filter(|_| workload.program != Program::Sequential) {
                let request = workload.payload.unwrap().request(class.ask(), 1, 1);
                assert_eq!(request.len(), class.request_bytes as usize, "{} of {}", class.name, bundled.name);
            }
        }
    }

    #[test]
    fn a_recording_gets_the_likest_workload_first_and_others_for_what_it_lacks() {
        let names = |calls: &[(&str, u64)], program| -> Vec<&str> {
            let calls = calls.iter().map(|(call, count)| ((*call).to_owned(), *count)).collect();
            needed(&calls, program, None).unwrap().iter().map(|bundled| bundled.name).collect()
        };
        assert_eq!(names(&[("read", 10), ("sendmsg", 10)], Program::EventLoop), ["memcached"]);
        assert_eq!(names(&[("read", 10), ("write", 10)], Program::EventLoop), ["redis"]);
        assert_eq!(names(&[("recvfrom", 10), ("writev", 10), ("sendfile", 10)], Program::EventLoop), ["nginx-keepalive"]);
        assert_eq!(names(&[("read", 10), ("write", 10), ("futex", 1)], Program::EventLoop), ["redis", "microbench"]);
        assert_eq!(names(&[("openat", 10), ("nosuchcall", 1)], Program::Sequential), ["microbench"]);
    }
}
