//! Hardware counters through perf_event, where processor, hypervisor and kernel let a process have them. Nothing here needs them.

use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Event, Hardware, Software, Tracepoint};
use perf_event::{Builder, Counter};
use serde::{Deserialize, Serialize};
use std::io;

/// What can be counted. Which event of a processor stands behind a name is the kernel's choice and differs between makers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Count {
    /// Core cycles.
    Cycles,
    /// Instructions retired.
    Instructions,
    /// Fetches that missed the first-level instruction cache.
    L1iMisses,
    /// What missed the first-level data cache.
    L1dMisses,
    /// Misses of the second-level cache on AMD processors since family 17h, of the last-level cache on others.
    CacheMisses,
    /// Loads that missed the last-level cache.
    LastLevelMisses,
    /// Fetches that missed the first-level instruction TLB and found their page in the second level.
    ItlbLookups,
    /// Fetches that missed all instruction TLBs.
    ItlbMisses,
    /// Accesses that missed the first-level data TLB on AMD processors since family 17h, all loads on others.
    DtlbLookups,
    /// Loads that missed all data TLBs.
    DtlbMisses,
    /// Stores that missed all data TLBs.
    DtlbStoreMisses,
    /// Branches predicted wrong.
    BranchMisses,
    /// Page faults: counted by the kernel, on every machine.
    PageFaults,
}

impl Count {
    /// What the processor counts.
    pub const HARDWARE: [Count; 12] = [
        Count::Cycles,
        Count::Instructions,
        Count::L1iMisses,
        Count::L1dMisses,
        Count::CacheMisses,
        Count::LastLevelMisses,
        Count::ItlbLookups,
        Count::ItlbMisses,
        Count::DtlbLookups,
        Count::DtlbMisses,
        Count::DtlbStoreMisses,
        Count::BranchMisses,
    ];

    /// Its name in `perf list`.
    pub fn name(self) -> &'static str {
        match self {
            Count::Cycles => "cycles",
            Count::Instructions => "instructions",
            Count::L1iMisses => "L1-icache-load-misses",
            Count::L1dMisses => "L1-dcache-load-misses",
            Count::CacheMisses => "cache-misses",
            Count::LastLevelMisses => "LLC-load-misses",
            Count::ItlbLookups => "iTLB-loads",
            Count::ItlbMisses => "iTLB-load-misses",
            Count::DtlbLookups => "dTLB-loads",
            Count::DtlbMisses => "dTLB-load-misses",
            Count::DtlbStoreMisses => "dTLB-store-misses",
            Count::BranchMisses => "branch-misses",
            Count::PageFaults => "page-faults",
        }
    }
}

/// Which modes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Modes {
    /// User mode.
    User,
    /// Kernel mode.
    Kernel,
    /// Both.
    Both,
}

impl Modes {
    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Modes::User => "user",
            Modes::Kernel => "kernel",
            Modes::Both => "user and kernel",
        }
    }
}

/// Why something can't be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Absent(pub String);

/// A counter that ran for a smaller share of its time, in thousandths, did not count everything. Below it lies what the kernel's own
/// readings of its clock may differ by.
const RUNNING_PERMILLE_LEAST: u64 = 999;

/// What a counter has counted, and how long it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Events.
    pub count: u64,
    /// How long it was to count, nanoseconds.
    pub enabled_ns: u64,
    /// How long the processor counted it, nanoseconds: less when several events took turns.
    pub running_ns: u64,
}

impl Reading {
    /// The events, when all of them were counted.
    ///
    /// # Errors
    /// When the processor counted for a part of the time only, or never.
    pub fn whole(&self) -> Result<u64, Absent> {
        if self.enabled_ns == 0 {
            return Err(Absent("it was never asked to count".into()));
        }
        if u128::from(self.running_ns) * 1000 >= u128::from(self.enabled_ns) * u128::from(RUNNING_PERMILLE_LEAST) {
            return Ok(self.count);
        }
        // without the share, which differs each time: the same reason is said once
        Err(Absent(
            "its counter ran for a part of the time only: another program or the kernel's watchdog uses the processor's counters \
             (kernel.nmi_watchdog=0 frees one)"
                .into(),
        ))
    }

    fn since(self, before: Reading) -> Reading {
        Reading {
            count: self.count.saturating_sub(before.count),
            enabled_ns: self.enabled_ns.saturating_sub(before.enabled_ns),
            running_ns: self.running_ns.saturating_sub(before.running_ns),
        }
    }
}

/// A counter of the calling thread.
#[derive(Debug)]
pub struct Counting {
    counter: Counter,
    /// What was read last.
    before: Reading,
    failed: Option<Absent>,
}

impl Counting {
    /// Opens a counter, which does not count yet.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(count: Count, modes: Modes) -> Result<Counting, Absent> {
        let cache = |which, result| Cache { which, operation: CacheOp::READ, result };
        let miss = |which| cache(which, CacheResult::MISS);
        let opened = match count {
            Count::Cycles => open(Hardware::CPU_CYCLES, modes),
            Count::Instructions => open(Hardware::INSTRUCTIONS, modes),
            Count::BranchMisses => open(Hardware::BRANCH_MISSES, modes),
            Count::CacheMisses => open(Hardware::CACHE_MISSES, modes),
            Count::PageFaults => open(Software::PAGE_FAULTS, modes),
            Count::L1dMisses => open(miss(CacheId::L1D), modes),
            Count::L1iMisses => open(miss(CacheId::L1I), modes),
            Count::LastLevelMisses => open(miss(CacheId::LL), modes),
            Count::ItlbLookups => open(cache(CacheId::ITLB, CacheResult::ACCESS), modes),
            Count::ItlbMisses => open(miss(CacheId::ITLB), modes),
            Count::DtlbLookups => open(cache(CacheId::DTLB, CacheResult::ACCESS), modes),
            Count::DtlbMisses => open(miss(CacheId::DTLB), modes),
            Count::DtlbStoreMisses => open(Cache { operation: CacheOp::WRITE, ..miss(CacheId::DTLB) }, modes),
        };
        opened.map_err(|error| reason_of_event(count, &error))
    }

    /// Counts from here on.
    pub fn start(&mut self) {
        let done = self.counter.enable();
        self.note(done);
    }

    /// Counts no more.
    pub fn stop(&mut self) {
        let done = self.counter.disable();
        self.note(done);
    }

    /// Keeps the first failure for [`Counting::take`]: what is counted has no place for it.
    fn note(&mut self, done: io::Result<()>) {
        if let (Err(error), None) = (done, &self.failed) {
            self.failed = Some(unusable(error));
        }
    }

    /// What was counted since it was taken last.
    ///
    /// # Errors
    /// The counter could not be used.
    pub fn take(&mut self) -> Result<Reading, Absent> {
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let read = self.counter.read_count_and_time().map_err(unusable)?;
        let now = Reading { count: read.count, enabled_ns: read.time_enabled, running_ns: read.time_running };
        let taken = now.since(self.before);
        self.before = now;
        Ok(taken)
    }

    /// How often it happened during `work`.
    ///
    /// # Errors
    /// The counter can't be read, or did not count all the time.
    pub fn during(&mut self, work: impl FnOnce()) -> Result<u64, Absent> {
        self.take()?;
        self.start();
        work();
        self.stop();
        self.take()?.whole()
    }
}

fn unusable(error: io::Error) -> Absent {
    Absent(format!("the counter can't be used: {error}"))
}

fn open<E: Event>(event: E, modes: Modes) -> io::Result<Counting> {
    let mut builder = Builder::new(event);
    builder.exclude_kernel(modes == Modes::User).exclude_user(modes == Modes::Kernel).exclude_hv(true);
    Ok(Counting { counter: builder.build()?, before: Reading::default(), failed: None })
}

/// What an error of `perf_event_open` means.
fn reason(error: &io::Error) -> Absent {
    let words = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
            format!("kernel.perf_event_paranoid is {}: this process may not use the counters", level.trim())
        }
        io::ErrorKind::NotFound => "the processor, or the hypervisor in front of it, offers no hardware counters".into(),
        _ => format!("perf_event_open: {error}"),
    };
    Absent(words)
}

/// The same of one event: the kernel's tables hold 0 (no such event) or -1 (makes no sense) for those that a processor lacks while it has
/// others.
fn reason_of_event(count: Count, error: &io::Error) -> Absent {
    match (count, error.kind()) {
        (Count::Cycles | Count::Instructions | Count::PageFaults, _) => reason(error),
        (_, io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
            Absent("the kernel has no such event for this processor".into())
        }
        _ => reason(error),
    }
}

/// System calls of other threads, counted by the kernel at their entry. Needs no hardware counters, but the rights to trace.
#[derive(Debug)]
pub struct CallsOf {
    counters: Vec<Counter>,
}

impl CallsOf {
    /// Counts the calls of these threads.
    ///
    /// # Errors
    /// Why they can't be counted.
    pub fn open(threads: &[u32]) -> Result<CallsOf, Absent> {
        const IDENTIFIERS: [&str; 2] =
            ["/sys/kernel/tracing/events/raw_syscalls/sys_enter/id", "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id"];
        let read = |file: &&str| std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
        let identifier = IDENTIFIERS.iter().find_map(read);
        let identifier = identifier.ok_or_else(|| {
            Absent("the tracepoint raw_syscalls:sys_enter can't be read: it takes the rights of root and a mounted tracefs".into())
        })?;
        let open = |thread: &u32| {
            let mut builder = Builder::new(Tracepoint::with_id(identifier));
            builder.observe_pid(*thread as i32).any_cpu().include_kernel();
            builder.build().map_err(|error| reason(&error))
        };
        Ok(CallsOf { counters: threads.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// What `work` comes to, and the calls meanwhile.
    ///
    /// # Errors
    /// A counter that can't be read.
    pub fn during<T>(&mut self, work: impl FnOnce() -> T) -> Result<(T, u64), Absent> {
        self.counters.iter_mut().try_for_each(|counter| counter.reset().and_then(|()| counter.enable())).map_err(unusable)?;
        let done = work();
        self.counters.iter_mut().try_for_each(Counter::disable).map_err(unusable)?;
        let counts: io::Result<Vec<u64>> = self.counters.iter_mut().map(Counter::read).collect();
        Ok((done, counts.map_err(unusable)?.into_iter().sum()))
    }
}

/// Whether hardware counters can be used here.
///
/// # Errors
/// Why not.
pub fn available() -> Result<(), Absent> {
    Counting::open(Count::Instructions, Modes::User)?.during(|| ()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Pages, Region, SMALL_PAGE_BYTES};

    /// The thread that counts is another one than the one that is counted, as with a server.
    #[test]
    fn calls_of_another_thread_are_counted_or_a_reason_is_given() {
        use std::sync::mpsc::channel;
        let ((ask, asked), (say, said)) = (channel::<()>(), channel::<u32>());
        let other = std::thread::spawn(move || {
            say.send(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap();
            while asked.recv().is_ok() {
                assert!((0..100).all(|_| std::os::unix::process::parent_id() > 0));
                say.send(0).unwrap();
            }
        });
        let thread = said.recv().unwrap();
        match CallsOf::open(&[thread]) {
            Ok(mut counting) => {
                let round = || ask.send(()).is_ok() && said.recv().is_ok();
                let (done, calls) = counting.during(round).unwrap();
                // waiting and waking need some themselves
                assert!(done && (100..120).contains(&calls), "{calls}");
            }
            Err(absent) => assert!(absent.0.len() > 10, "{absent}"),
        }
        drop(ask);
        other.join().unwrap();
    }

    /// Page faults are counted by the kernel itself, so this counts wherever perf_event exists at all.
    #[test]
    fn page_faults_are_counted_or_a_reason_is_given() {
        match Counting::open(Count::PageFaults, Modes::Both) {
            Ok(mut counting) => {
                let mut region = Region::new(16 * SMALL_PAGE_BYTES, Pages::Small).unwrap();
                assert!(counting.during(|| region.touch()).unwrap() >= 16);
                assert!(counting.during(|| region.touch()).unwrap() < 16, "they are there the second time");
            }
            Err(absent) => assert!(!absent.to_string().is_empty()),
        }
    }

    #[test]
    fn hardware_counters_count_or_say_why_not() {
        match available() {
            Ok(()) => {
                let mut counting = Counting::open(Count::Instructions, Modes::User).unwrap();
                assert!(counting.during(|| assert!(std::hint::black_box(1) > 0)).unwrap() > 0);
            }
            Err(absent) => assert!(absent.to_string().len() > 10, "{absent}"),
        }
    }

    /// Started and stopped many times: the times stay equal, so that no reading of a counter of its own is taken for one that took turns.
    #[test]
    fn stretches_add_up_and_what_was_taken_counts_no_more() {
        let Ok(mut counting) = Counting::open(Count::PageFaults, Modes::User) else { return };
        let mut stretches = |count: usize| {
            for _ in 0..count {
                let mut region = Region::new(SMALL_PAGE_BYTES, Pages::Small).unwrap();
                counting.start();
                region.touch();
                counting.stop();
            }
            counting.take().unwrap().whole().unwrap()
        };
        let (many, few) = (stretches(100), stretches(10));
        assert!((100..120).contains(&many) && (10..15).contains(&few), "{many} {few}");
    }

    #[test]
    fn a_reading_that_took_turns_is_refused() {
        let reading = |enabled_ns, running_ns| Reading { count: 7, enabled_ns, running_ns }.whole();
        assert_eq!((reading(5_000, 5_000), reading(5_000, 4_996)), (Ok(7), Ok(7)));
        assert!(reading(5_000, 4_990).unwrap_err().to_string().contains("a part of the time only"));
        assert!(reading(5_000, 0).is_err() && reading(0, 0).is_err());
    }

    #[test]
    fn errors_are_put_into_words() {
        let error = |kind| io::Error::from(kind);
        assert!(reason(&error(io::ErrorKind::NotFound)).to_string().contains("no hardware counters"));
        assert!(reason(&error(io::ErrorKind::PermissionDenied)).to_string().contains("perf_event_paranoid"));
        let of_event = |count, kind| reason_of_event(count, &error(kind)).to_string();
        assert!(of_event(Count::LastLevelMisses, io::ErrorKind::NotFound).contains("no such event for this processor"));
        assert!(of_event(Count::Instructions, io::ErrorKind::NotFound).contains("no hardware counters"));
        assert!(of_event(Count::L1dMisses, io::ErrorKind::PermissionDenied).contains("perf_event_paranoid"));
    }

    #[test]
    fn names_of_events_are_their_own_and_survive_being_written() {
        let names: std::collections::BTreeSet<&str> = Count::HARDWARE.iter().map(|count| count.name()).collect();
        assert_eq!(names.len(), Count::HARDWARE.len());
        assert_eq!(serde_json::to_string(&(Count::L1dMisses, Modes::Kernel)).unwrap(), "[\"l1d_misses\",\"kernel\"]");
        for count in Count::HARDWARE {
            assert_eq!(serde_json::from_str::<Count>(&serde_json::to_string(&count).unwrap()).unwrap(), count);
        }
    }
}
