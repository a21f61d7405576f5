//! Hardware counters through perf_event, where processor, hypervisor and kernel let a process have them. Nothing here needs them.

use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Event, Hardware, Software, Tracepoint};
use perf_event::{Builder, Counter};
use std::io;

/// What can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Instructions retired.
    Instructions,
    /// Core cycles.
    Cycles,
    /// Loads that missed the first-level data cache.
    L1dMisses,
    /// Fetches that missed the first-level instruction cache.
    L1iMisses,
    /// Loads that missed the last-level cache.
    LastLevelMisses,
    /// Loads that missed the data TLB.
    DtlbMisses,
    /// Fetches that missed the instruction TLB.
    ItlbMisses,
    /// Branches predicted wrong.
    BranchMisses,
    /// Page faults: counted by the kernel, on every machine.
    PageFaults,
}

/// Which modes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Modes {
    /// User mode.
    User,
    /// Kernel mode.
    Kernel,
    /// Both.
    Both,
}

/// Why something can't be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Absent(pub String);

/// A counter of the calling thread.
#[derive(Debug)]
pub struct Counting {
    counter: Counter,
}

impl Counting {
    /// Opens a counter.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(count: Count, modes: Modes) -> Result<Counting, Absent> {
        let miss = |which| Cache { which, operation: CacheOp::READ, result: CacheResult::MISS };
        match count {
            Count::Instructions => open(Hardware::INSTRUCTIONS, modes),
            Count::Cycles => open(Hardware::CPU_CYCLES, modes),
            Count::BranchMisses => open(Hardware::BRANCH_MISSES, modes),
            Count::PageFaults => open(Software::PAGE_FAULTS, modes),
            Count::L1dMisses => open(miss(CacheId::L1D), modes),
            Count::L1iMisses => open(miss(CacheId::L1I), modes),
            Count::LastLevelMisses => open(miss(CacheId::LL), modes),
            Count::DtlbMisses => open(miss(CacheId::DTLB), modes),
            Count::ItlbMisses => open(miss(CacheId::ITLB), modes),
        }
    }

    /// How often it happened during `work`.
    ///
    /// # Errors
    /// The counter can't be read.
    pub fn during(&mut self, work: impl FnOnce()) -> Result<u64, Absent> {
        let failed = |error: io::Error| Absent(format!("the counter can't be used: {error}"));
        self.counter.reset().map_err(failed)?;
        self.counter.enable().map_err(failed)?;
        work();
        self.counter.disable().map_err(failed)?;
        self.counter.read().map_err(failed)
    }
}

fn open<E: Event>(event: E, modes: Modes) -> Result<Counting, Absent> {
    let mut builder = Builder::new(event);
    builder.exclude_kernel(modes == Modes::User).exclude_user(modes == Modes::Kernel).exclude_hv(true);
    builder.build().map(|counter| Counting { counter }).map_err(|error| reason(&error))
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
        let failed = |error: io::Error| Absent(format!("the counter can't be used: {error}"));
        self.counters.iter_mut().try_for_each(|counter| counter.reset().and_then(|()| counter.enable())).map_err(failed)?;
        let done = work();
        self.counters.iter_mut().try_for_each(Counter::disable).map_err(failed)?;
        let counts: io::Result<Vec<u64>> = self.counters.iter_mut().map(Counter::read).collect();
        Ok((done, counts.map_err(failed)?.into_iter().sum()))
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

    #[test]
    fn errors_are_put_into_words() {
        assert!(reason(&io::Error::from(io::ErrorKind::NotFound)).to_string().contains("no hardware counters"));
        assert!(reason(&io::Error::from(io::ErrorKind::PermissionDenied)).to_string().contains("perf_event_paranoid"));
    }
}
