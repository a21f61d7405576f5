//! The measurements. Each ladder gives raw series; what they mean is read from them in `findings`.
//!
//! A sample is the quietest of several short runs, so that a neighbour on the same processor, or an interrupt, does not count; the points
//! of a ladder are measured in turn, repetition by repetition.

pub mod branches;
pub mod call_costs;
pub mod calls;
pub mod data;
pub mod faults;
pub mod instructions;
pub mod null_call;
pub mod switches;
pub mod transfer;
pub mod translation;

use crate::core_clock::CoreClock;
use crate::effort::Effort;
use crate::error::HostError;
use crate::series::{Label, Series};
use sim_core::seed::SeedTree;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What every ladder needs.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    /// Measures cycles.
    pub core: CoreClock,
    /// How long to measure.
    pub effort: Effort,
    /// Random orders come from here.
    pub seeds: SeedTree,
    /// The processor that measures; the caller is pinned to it.
    pub processor: usize,
    /// Another one, for what takes two.
    pub other_processor: Option<usize>,
    /// Files that are measured are made here.
    pub folder: &'a Path,
    /// Bytes that fill all caches which a core has to itself.
    pub sweep_bytes: usize,
    /// Set when the measurement is to end.
    pub cancel: &'a AtomicBool,
}

impl Bench<'_> {
    /// A series whose points are measured in turn.
    ///
    /// # Errors
    /// The first error of `measure`, or that somebody asked to stop.
    pub fn series(
        &self,
        label: Label,
        xs: &[u64],
        mut measure: impl FnMut(u64, SeedTree) -> Result<f64, HostError>,
    ) -> Result<Series, HostError> {
        let seeds = self.seeds.child(label.name);
        Series::measured(label, xs, self.effort.repetitions, |x, repetition| {
            self.check()?;
            measure(x, seeds.child_index(x).child_index(u64::from(repetition)))
        })
    }

    /// Cycles per operation in the quietest of the batches.
    pub fn quietest<R>(&self, operations: u64, work: impl FnMut() -> R) -> f64 {
        self.core.quietest(operations, self.effort.batches, work)
    }

    /// The same of `work` on something made anew for each batch, outside the time.
    ///
    /// # Errors
    /// It can't be made.
    pub fn quietest_of<S>(
        &self,
        operations: u64,
        mut make: impl FnMut() -> Result<S, HostError>,
        mut work: impl FnMut(&mut S),
    ) -> Result<f64, HostError> {
        let cycles_per_tick = self.core.cycles_per_tick();
        let mut least = f64::INFINITY;
        for _ in 0..self.effort.batches.max(1) {
            let mut subject = make()?;
            least = least.min(self.core.timed(|| work(&mut subject)));
        }
        Ok(least * cycles_per_tick / operations.max(1) as f64)
    }

    /// # Errors
    /// Somebody asked to stop.
    pub fn check(&self) -> Result<(), HostError> {
        if self.cancel.load(Ordering::Relaxed) { Err(HostError::Cancelled) } else { Ok(()) }
    }

    /// The other processor.
    ///
    /// # Errors
    /// There is only one.
    pub fn other(&self, what: &'static str) -> Result<usize, HostError> {
        self.other_processor.ok_or(HostError::Processors { what, needed: 2, allowed: 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::processors::{Pinned, allowed};

    /// All ladders of a kind on a bench of the least effort.
    fn small(measure: fn(&Bench) -> Result<Vec<Series>, HostError>) -> Vec<Series> {
        let allowed = allowed().unwrap();
        let _pinned = Pinned::to(allowed[0]).unwrap();
        let folder = std::env::temp_dir();
        let never = AtomicBool::new(false);
        let bench = Bench { processor: allowed[0], other_processor: allowed.get(1).copied(), ..bench(&folder, &never) };
        measure(&bench).unwrap()
    }

    fn bench<'a>(folder: &'a Path, cancel: &'a AtomicBool) -> Bench<'a> {
        Bench {
            core: CoreClock { clock: Clock::find() },
            effort: Effort::LEAST,
            seeds: SeedTree::new(1),
            processor: 0,
            other_processor: None,
            folder,
            sweep_bytes: 64 << 10,
            cancel,
        }
    }

    fn check(series: &[Series], names: &[&str]) {
        assert_eq!(series.iter().map(|series| series.name.as_str()).collect::<Vec<_>>(), names);
        for series in series {
            assert!(series.points.windows(2).all(|pair| pair[0].x < pair[1].x), "{}", series.name);
            for point in &series.points {
                assert_eq!(point.samples.len(), Effort::LEAST.repetitions as usize, "{} at {}", series.name, point.x);
                assert!(point.samples.iter().all(|sample| *sample > 0.0), "{} at {}: {:?}", series.name, point.x, point.samples);
            }
        }
    }

    #[test]
    fn ladders_of_memory_and_code_are_complete() {
        check(&small(data::measure), &[data::HUGE_PAGES, data::SMALL_PAGES, data::SMALL_PAGES_RANDOM]);
        check(&small(translation::measure), &[translation::SPREAD, translation::PACKED]);
        check(&small(instructions::measure), &[instructions::EACH_LINE, instructions::DENSE, instructions::EACH_PAGE]);
        check(&small(branches::measure), &[branches::TURNS]);
    }

    #[test]
    fn ladders_of_the_kernel_are_complete() {
        let names = [null_call::NO_CALL, null_call::INVALID_NUMBER, null_call::GETUID_CALL, null_call::GETPPID_CALL];
        check(&small(null_call::measure), &names);
        check(&small(faults::measure), &[faults::ANONYMOUS, faults::FILE]);
        check(&small(switches::measure), &[switches::PIPE, switches::FUTEX, switches::PIPE_ALONE]);
        let calls = small(call_costs::measure);
        check(&calls, &calls.iter().map(|series| series.name.as_str()).collect::<Vec<_>>());
        assert!(calls.iter().all(|series| series.points.len() == 2 && series.name.starts_with(call_costs::PREFIX)));
    }

    /// Needs two processors; with one the ladder says so.
    #[test]
    fn lines_go_between_two_processors() {
        if allowed().unwrap().len() > 1 {
            check(&small(transfer::measure), &[transfer::ONE_WAY]);
        }
    }

    #[test]
    fn an_interruption_ends_a_ladder() {
        let cancel = AtomicBool::new(true);
        let folder = std::env::temp_dir();
        let bench = bench(&folder, &cancel);
        assert!(matches!(null_call::measure(&bench), Err(HostError::Cancelled)));
        cancel.store(false, Ordering::Relaxed);
        assert!(transfer::measure(&bench).unwrap_err().to_string().contains("needs 2 processors"));
    }
}
