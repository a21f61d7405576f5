//! Hardware counters through perf_event, where processor, hypervisor and kernel let a process have them. Nothing here needs them.

use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Event, Hardware, Software};
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
