//! The library of recorded kernel work: steps of bundled workloads by call, kind of object, bytes and outcome.

use rustc_hash::FxHashMap;
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::workload::{Object, Workload};
use std::collections::BTreeMap;

/// One recorded call.
#[derive(Clone, Copy, Debug)]
struct Entry {
    source: usize,
    object: Object,
    bytes: u32,
    kernel: BlockId,
    client_softirq: BlockId,
    instructions: u32,
}

/// How well a recorded call fits the one that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// The same call on the same kind of object.
    Same,
    /// The same call on another kind of object.
    OtherObject,
    /// Another call of the same family: the median of its recordings.
    Family,
    /// Any call: the median of all.
    Any,
}

/// A recorded call that stands for the one asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub source: usize,
    pub kernel: BlockId,
    pub client_softirq: BlockId,
    pub fit: Fit,
    /// The call that was recorded.
    pub call: CallNumber,
}

pub(super) struct Library {
    base: usize,
    entries: BTreeMap<CallNumber, Vec<Entry>>,
    used: FxHashMap<(CallNumber, Object, u32), usize>,
}

impl Library {
    pub fn new(library: &[&Workload], base: usize) -> Self {
        let mut entries: BTreeMap<CallNumber, Vec<Entry>> = BTreeMap::new();
        for (source, workload) in library.iter().enumerate() {
            for step in workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps) {
                if step.kernel == BlockId::EMPTY {
                    continue;
                }
                let instructions = workload.blocks.info(step.kernel).instructions;
                let (kernel, client_softirq) = (step.kernel, step.client_softirq);
                let entry = Entry { source, object: step.object, bytes: step.bytes, kernel, client_softirq, instructions };
                entries.entry(step.call).or_default().push(entry);
            }
        }
        Library { base, entries, used: FxHashMap::default() }
    }

    /// The recorded call that is nearest to `call` on `object` moving `bytes`; `None` only when the library is empty.
    ///
    /// Recordings of the base go before those of others, because they share its address space; among equally near ones they take turns.
    pub fn find(&mut self, call: Option<CallNumber>, object: Object, bytes: u32) -> Option<Found> {
        let own = call.and_then(|call| self.entries.get(&call).map(|entries| (call, entries)));
        if let Some((call, entries)) = own {
            let same: Vec<Entry> = entries.iter().filter(|entry| same_object(entry.object, object)).copied().collect();
            let fit = if same.is_empty() { Fit::OtherObject } else { Fit::Same };
            let candidates = if same.is_empty() { entries.clone() } else { same };
            return Some(self.nearest(call, object, bytes, candidates, fit));
        }
        let Some(call) = call else { return self.any() };
        let relatives: Vec<CallNumber> = family(call.name())
            .iter()
            .filter_map(|name| CallNumber::from_name(name))
            .filter(|relative| self.entries.contains_key(relative))
            .collect();
        match relatives.first() {
            Some(relative) => Some(self.median(&self.entries[relative], *relative, Fit::Family)),
            None => self.any(),
        }
    }

    /// The median of all recordings: for calls that the table doesn't know.
    pub fn any(&self) -> Option<Found> {
        let mut all: Vec<(u32, CallNumber, Entry)> = Vec::new();
        for (call, entries) in &self.entries {
            all.extend(entries.iter().map(|entry| (entry.instructions, *call, *entry)));
        }
        all.sort_by_key(|(instructions, call, entry)| (*instructions, *call, entry.source, entry.kernel));
        let (_, call, entry) = all.get(all.len() / 2)?;
        Some(Library::found(*call, entry, Fit::Any))
    }

    fn nearest(&mut self, call: CallNumber, object: Object, bytes: u32, candidates: Vec<Entry>, fit: Fit) -> Found {
        let distance = |entry: &Entry| (u8::from(entry.source != self.base), entry.source, entry.bytes.abs_diff(bytes));
        let least = candidates.iter().map(distance).min();
        let equal: Vec<&Entry> = candidates.iter().filter(|entry| Some(distance(entry)) == least).collect();
        let turn = self.used.entry((call, object, bytes)).or_default();
        let chosen = equal[*turn % equal.len()];
        *turn += 1;
        Library::found(call, chosen, fit)
    }

    fn median(&self, entries: &[Entry], call: CallNumber, fit: Fit) -> Found {
        let mut sorted: Vec<&Entry> = entries.iter().collect();
        sorted.sort_by_key(|entry| (entry.source != self.base, entry.instructions, entry.source, entry.kernel));
        let from_base = sorted.iter().filter(|entry| entry.source == self.base).count();
        let middle = if from_base > 0 { from_base / 2 } else { sorted.len() / 2 };
        Library::found(call, sorted[middle], fit)
    }

    fn found(call: CallNumber, entry: &Entry, fit: Fit) -> Found {
        Found { source: entry.source, kernel: entry.kernel, client_softirq: entry.client_softirq, fit, call }
    }
}

/// True when a recording on one kind of object stands for the other: calls on paths, memory and processes have no descriptor, and
/// importers name their objects differently.
fn same_object(recorded: Object, wanted: Object) -> bool {
    let named = |object| !matches!(object, Object::None | Object::Memory | Object::Process);
    recorded == wanted || !named(recorded) || !named(wanted)
}

/// Calls that do similar work in the kernel, the most similar first. Grouped by the functions that the handlers share
/// (`vfs_read`, `sock_sendmsg`, `do_filp_open`, `do_mmap`, `do_futex` …).
pub(super) fn family(name: &str) -> &'static [&'static str] {
    #[rustfmt::skip]
    const FAMILIES: [&[&str]; 14] = [
        &["read", "pread64", "readv", "preadv", "preadv2", "getdents64", "getdents", "readahead"],
        &["write", "pwrite64", "writev", "pwritev", "pwritev2", "fsync", "fdatasync", "ftruncate", "fallocate"],
        &["recvfrom", "recvmsg", "recvmmsg", "recv", "read"],
        &["sendto", "sendmsg", "sendmmsg", "send", "write", "writev"],
        &["sendfile", "splice", "copy_file_range", "tee", "vmsplice"],
        &["openat", "open", "openat2", "creat", "memfd_create"],
        &["newfstatat", "stat", "lstat", "fstat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "statfs",
          "fstatfs", "getxattr", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "chdir", "getcwd", "utimensat"],
        &["close", "shutdown", "dup", "dup2", "dup3"],
        &["setsockopt", "getsockopt", "getpeername", "getsockname"],
        // Calls that look at or change a word of the task or the file.
        &["getppid", "getpid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getpgrp", "getpgid", "setpgid", "getsid", "umask",
          "time", "times", "getcpu", "clock_gettime", "gettimeofday", "set_tid_address", "set_robust_list", "rseq", "arch_prctl", "prctl",
          "prlimit64", "getrlimit", "uname", "sysinfo", "getrusage", "lseek", "fcntl", "ioctl", "fchdir", "alarm", "sigaltstack",
          "rt_sigaction", "rt_sigprocmask", "sched_getaffinity", "getrandom", "timerfd_settime", "sched_yield"],
        &["mmap", "munmap", "mprotect", "brk", "madvise", "mremap"],
        &["futex", "futex_waitv", "nanosleep", "clock_nanosleep", "tgkill", "tkill", "kill", "rt_sigreturn", "wait4", "waitid",
          "restart_syscall"],
        &["accept4", "accept", "socket", "connect", "bind", "listen", "socketpair", "pipe2", "pipe", "eventfd2", "epoll_create1"],
        &["execve", "execveat", "clone", "clone3", "fork", "vfork", "exit_group", "exit"],
    ];
    FAMILIES.into_iter().find(|family| family.contains(&name)).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Shape, server};

    #[test]
    fn the_nearest_recording_is_taken_and_relatives_stand_in() {
        let workload = server(Shape::default());
        let mut library = Library::new(&[&workload], 0);
        let call = |name| CallNumber::from_name(name);
        let read = library.find(call("read"), Object::Stream, 40).unwrap();
        assert_eq!((read.fit, read.kernel), (Fit::Same, workload.classes[0].chains[0].steps[0].kernel));
        assert_eq!(library.find(call("read"), Object::File, 40).unwrap().fit, Fit::OtherObject);
        let relative = library.find(call("sendto"), Object::Stream, 40).unwrap();
        assert_eq!((relative.fit, relative.call.name()), (Fit::Family, "sendmsg"));
        assert_eq!(library.find(call("mmap"), Object::Memory, 0).unwrap().fit, Fit::Any);
        assert_eq!(library.find(None, Object::None, 0).unwrap().fit, Fit::Any);
    }
}
