//! Measures variants in turn: each visit times a stretch of operations, and the median over the visits stands for the process.

use crate::error::TwinError;
use host::interleave::interleaved;
use host::statistics::median;
use std::time::Duration;

/// What a stretch of operations did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations: reads, requests, intervals.
    pub operations: u64,
    /// System calls issued in the timed phase, counted where they are made.
    pub calls: u64,
    /// Bytes that these calls moved.
    pub bytes: u64,
    /// Length of the timed phase.
    pub elapsed: Duration,
}

impl Tally {
    /// Nanoseconds of an operation.
    pub fn nanoseconds(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.operations.max(1) as f64
    }
}

/// Something that can be run for a number of operations, about.
pub trait Twin {
    /// Runs at least so many operations.
    ///
    /// # Errors
    /// When the host refuses a call, or one moves fewer bytes than it should.
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError>;
}

/// A twin with what it stands for.
pub struct Variant {
    /// Name of its series.
    pub series: String,
    /// Where on the curve.
    pub x: u32,
    /// What runs.
    pub twin: Box<dyn Twin>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Visits of each variant.
    pub visits: u32,
    /// Length of a visit, about.
    pub visit_us: u32,
}

/// What one process measured of a variant.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Measurement {
    /// Name of the series.
    pub series: String,
    /// Where on the curve.
    pub x: u32,
    /// Median over the visits.
    pub nanoseconds: f64,
    /// System calls of an operation.
    pub calls: f64,
}

/// Operations of the first look at a variant: it says how many a visit needs.
const FIRST_LOOK: u64 = 64;
/// Operations of a visit at most.
const OPERATIONS_MAX: u64 = 1 << 22;

/// Visits all variants in turn, each round beginning with another one.
///
/// # Errors
/// As [`Twin::run`].
pub fn measure(mut variants: Vec<Variant>, plan: Plan) -> Result<Vec<Measurement>, TwinError> {
    let mut operations = Vec::new();
    for variant in &mut variants {
        // the first stretch faults pages in and fills caches
        variant.twin.run(FIRST_LOOK)?;
        let looked = variant.twin.run(FIRST_LOOK)?.nanoseconds().max(1.0);
        operations.push(((f64::from(plan.visit_us) * 1000.0 / looked) as u64).clamp(1, OPERATIONS_MAX));
    }
    let mut calls = vec![0.0; variants.len()];
    let samples = interleaved(variants.len(), plan.visits, |place, _| {
        let tally = variants[place].twin.run(operations[place])?;
        calls[place] = tally.calls as f64 / tally.operations.max(1) as f64;
        Ok::<f64, TwinError>(tally.nanoseconds())
    })?;
    let measurement = |((variant, samples), calls): ((Variant, Vec<f64>), f64)| Measurement {
        series: variant.series,
        x: variant.x,
        nanoseconds: median(&samples),
        calls,
    };
    Ok(variants.into_iter().zip(samples).zip(calls).map(measurement).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    struct Counting(u64, Rc<RefCell<Vec<u64>>>);

    impl Twin for Counting {
        fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
            self.1.borrow_mut().push(self.0);
            let elapsed = Duration::from_nanos(operations * self.0);
            Ok(Tally { operations, calls: operations * 2, bytes: 0, elapsed })
        }
    }

    #[test]
    fn variants_are_looked_at_first_and_then_visited_in_turn() {
        let visits = Rc::new(RefCell::new(Vec::new()));
        let variant = |cost| Variant { series: "x".into(), x: 1, twin: Box::new(Counting(cost, Rc::clone(&visits))) };
        let measured = measure(vec![variant(10), variant(20)], Plan { visits: 3, visit_us: 1 }).unwrap();
        let visits = visits.borrow();
        // a stretch that warms up, and one that says how long a visit is
        assert_eq!(visits[..4], [10, 10, 20, 20]);
        assert!(visits[4..].chunks(2).all(|round| round.contains(&10) && round.contains(&20)), "{visits:?}");
        assert_eq!(measured.iter().map(|one| (one.nanoseconds, one.calls)).collect::<Vec<_>>(), [(10.0, 2.0), (20.0, 2.0)]);
    }
}
