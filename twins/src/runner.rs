//! Measures variants in turn: each visit times a stretch of operations, and the median over the visits stands for the process.

use crate::error::TwinError;
use host::interleave::interleaved;
use host::statistics::median;
use nix::sys::resource::{UsageWho, getrusage};
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

    /// True when the time is another program's own processor time: what else runs meanwhile is not in it.
    fn is_on_account(&self) -> bool {
        false
    }
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

/// A visit in which this thread had to give its processor to another is made again, so often at most: what remains is the noise of a
/// host that is busy throughout.
const AGAIN_MOST: u32 = 10;

/// How often this thread had to give its processor to another so far; 0 when the kernel does not say.
fn preemptions() -> i64 {
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.involuntary_context_switches())
}

/// Visits all variants in turn, each round beginning with another one.
///
/// # Errors
/// As [`Twin::run`].
pub fn measure(variants: Vec<Variant>, plan: Plan) -> Result<Vec<Measurement>, TwinError> {
    measure_undisturbed(variants, plan, preemptions)
}

/// Runs a stretch until nobody else had the processor meanwhile.
fn undisturbed(twin: &mut dyn Twin, operations: u64, preemptions: impl Fn() -> i64) -> Result<Tally, TwinError> {
    if twin.is_on_account() {
        return twin.run(operations);
    }
    let mut before = preemptions();
    for _ in 1..AGAIN_MOST {
        let tally = twin.run(operations)?;
        let now = preemptions();
        if now == before {
            return Ok(tally);
        }
        before = now;
    }
    twin.run(operations)
}

fn measure_undisturbed(
    mut variants: Vec<Variant>,
    plan: Plan,
    preemptions: impl Fn() -> i64,
) -> Result<Vec<Measurement>, TwinError> {
    let mut operations = Vec::new();
    for variant in &mut variants {
        // the first stretch faults pages in and fills caches
        variant.twin.run(FIRST_LOOK)?;
        let looked = undisturbed(variant.twin.as_mut(), FIRST_LOOK, &preemptions)?.nanoseconds().max(1.0);
        operations.push(((f64::from(plan.visit_us) * 1000.0 / looked) as u64).clamp(1, OPERATIONS_MAX));
    }
    let mut calls = vec![0.0; variants.len()];
    let samples = interleaved(variants.len(), plan.visits, |place, _| {
        let tally = undisturbed(variants[place].twin.as_mut(), operations[place], &preemptions)?;
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
        let plan = Plan { visits: 3, visit_us: 1 };
        let measured = measure_undisturbed(vec![variant(10), variant(20)], plan, || 0).unwrap();
        let visits = visits.borrow();
        // a stretch that warms up, and one that says how long a visit is
        assert_eq!(visits[..4], [10, 10, 20, 20]);
        assert!(visits[4..].chunks(2).all(|round| round.contains(&10) && round.contains(&20)), "{visits:?}");
        assert_eq!(measured.iter().map(|one| (one.nanoseconds, one.calls)).collect::<Vec<_>>(), [(10.0, 2.0), (20.0, 2.0)]);
    }
    #[test]
    fn a_visit_that_was_disturbed_is_made_again() {
        let visits = Rc::new(RefCell::new(Vec::new()));
        let mut twin = Counting(10, Rc::clone(&visits));
        // another thread has the processor during the first two stretches
        let disturbed = || visits.borrow().len().min(2) as i64;
        undisturbed(&mut twin, 1, disturbed).unwrap();
        assert_eq!(visits.borrow().len(), 3);
        undisturbed(&mut twin, 1, || visits.borrow().len() as i64).unwrap();
        assert_eq!(visits.borrow().len(), 3 + AGAIN_MOST as usize, "a busy host is no reason to stand still");
    }
}
