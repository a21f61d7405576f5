//! The measurements. Each ladder gives raw series; what they mean is read from them in `findings`.
//!
//! A sample is the quietest of several short runs, so that a neighbour on the same processor, or an interrupt, does not count; the points
//! of a ladder are measured in turn, repetition by repetition.

pub mod branches;
pub mod data;
pub mod instructions;
pub mod null_call;
pub mod transfer;
pub mod translation;

use crate::core_clock::CoreClock;
use crate::error::HostError;
use crate::series::{Label, Series};
use sim_core::seed::SeedTree;
use std::sync::atomic::{AtomicBool, Ordering};

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Repetitions of each point.
    pub repetitions: u32,
    /// Short runs of each sample, the quietest of which counts.
    pub batches: u32,
    /// Largest memory of the data ladders.
    pub data_bytes_most: usize,
    /// Most pages of the translation ladders.
    pub pages_most: u64,
    /// Most jumps of the instruction ladders.
    pub jumps_most: u64,
}

impl Effort {
    /// What a description rests on.
    pub const FULL: Effort =
        Effort { repetitions: 9, batches: 7, data_bytes_most: 256 << 20, pages_most: 8192, jumps_most: 64 << 10 };
    /// A first look: fewer repetitions, and memory only as far as it is needed to leave the second level.
    pub const QUICK: Effort =
        Effort { repetitions: 5, batches: 4, data_bytes_most: 64 << 20, pages_most: 8192, jumps_most: 64 << 10 };
    /// Enough to see that everything runs.
    pub const LEAST: Effort = Effort { repetitions: 2, batches: 1, data_bytes_most: 64 << 10, pages_most: 32, jumps_most: 128 };
}

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

/// Whole numbers from `least` to `most`, so many to each doubling, each a multiple of `multiple`.
pub fn steps(least: u64, most: u64, per_doubling: u32, multiple: u64) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    let mut octave = least;
    while octave <= most {
        for part in 0..u64::from(per_doubling) {
            // within a doubling the steps are even: 4, 5, 6, 7, 8, 10, 12, 14, 16
            let x = (octave + octave * part / u64::from(per_doubling)) / multiple * multiple;
            if x >= least && x <= most && found.last().is_none_or(|last| *last < x) {
                found.push(x);
            }
        }
        octave *= 2;
    }
    found
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
        let core = CoreClock { clock: Clock::find() };
        let never = AtomicBool::new(false);
        let seeds = SeedTree::new(1);
        let other_processor = allowed.get(1).copied();
        measure(&Bench { core, effort: Effort::LEAST, seeds, processor: allowed[0], other_processor, cancel: &never }).unwrap()
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
    fn an_interruption_ends_a_ladder() {
        let core = CoreClock { clock: Clock::find() };
        let cancel = AtomicBool::new(true);
        let seeds = SeedTree::new(1);
        let bench = Bench { core, effort: Effort::LEAST, seeds, processor: 0, other_processor: None, cancel: &cancel };
        assert!(matches!(null_call::measure(&bench), Err(HostError::Cancelled)));
        cancel.store(false, Ordering::Relaxed);
        assert!(transfer::measure(&bench).unwrap_err().to_string().contains("needs 2 processors"));
    }

    #[test]
    fn steps_rise_and_stay_inside() {
        assert_eq!(steps(4, 16, 4, 1), [4, 5, 6, 7, 8, 10, 12, 14, 16]);
        assert_eq!(steps(64, 256, 4, 64), [64, 128, 192, 256]);
        assert_eq!(steps(8, 4, 4, 1), [0; 0]);
    }
}
