//! Measures variants in turn: each visit times a stretch of operations, and the median over the visits stands for the process. Events are
//! counted after all visits.

use crate::counted::{self, Counted, Source, Wanted};
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

/// Hears where a twin's own work begins and ends: between two stretches of it stand clients.
pub trait Stretches {
    /// The twin's own work begins.
    fn begins(&mut self);
    /// It ends.
    fn ends(&mut self);
}

/// Nobody counts.
pub struct Uncounted;

impl Stretches for Uncounted {
    fn begins(&mut self) {}
    fn ends(&mut self) {}
}

/// Something that can be run for a number of operations, about.
pub trait Twin {
    /// Runs at least so many operations.
    ///
    /// # Errors
    /// When the host refuses a call, or one moves fewer bytes than it should.
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError>;

    /// The same; its own work is told to `stretches`, which is all of it unless clients stand between.
    ///
    /// # Errors
    /// As [`Twin::run`].
    fn run_in_stretches(&mut self, operations: u64, stretches: &mut dyn Stretches) -> Result<Tally, TwinError> {
        stretches.begins();
        let tally = self.run(operations);
        stretches.ends();
        tally
    }

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
    /// Events of an operation, where they were to be counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Counted>,
}

/// Operations of the first look at a variant: it says how many a visit needs.
const FIRST_LOOK: u64 = 64;
/// Operations of a visit at most.
const OPERATIONS_MAX: u64 = 1 << 22;

/// Operations of one reading of a counter: this part of a visit's, and at least so many.
const READING_SHARE: u64 = 4;
/// Operations of one reading of a counter at least.
const READING_LEAST: u64 = 64;

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
pub fn measure(mut variants: Vec<Variant>, plan: Plan) -> Result<Vec<Measurement>, TwinError> {
    Ok(visit(&mut variants, plan, preemptions)?.0)
}

/// The same, and then counts events where they are wanted.
///
/// # Errors
/// As [`Twin::run`].
pub fn measure_and_count(
    mut variants: Vec<Variant>,
    plan: Plan,
    wanted: &Wanted,
    source: &dyn Source,
) -> Result<Vec<Measurement>, TwinError> {
    let (mut measured, operations) = visit(&mut variants, plan, preemptions)?;
    for ((variant, own), operations) in variants.iter_mut().zip(&mut measured).zip(operations) {
        if wanted.places.iter().any(|place| (place.0.as_str(), place.1) == (own.series.as_str(), own.x)) {
            let operations = (operations / READING_SHARE).max(READING_LEAST);
            // what other variants left in the caches
            variant.twin.run(operations)?;
            own.counts = counted::count(variant.twin.as_mut(), &own.series, &wanted.events, operations, source, &preemptions)?;
        }
    }
    Ok(measured)
}

/// Does something until nobody else had the processor meanwhile.
pub(crate) fn undisturbed<T>(
    mut work: impl FnMut() -> Result<T, TwinError>,
    preemptions: impl Fn() -> i64,
) -> Result<T, TwinError> {
    let mut before = preemptions();
    for _ in 1..AGAIN_MOST {
        let done = work()?;
        let now = preemptions();
        if now == before {
            return Ok(done);
        }
        before = now;
    }
    work()
}

/// A stretch of operations, undisturbed where it matters.
fn stretch(twin: &mut dyn Twin, operations: u64, preemptions: impl Fn() -> i64) -> Result<Tally, TwinError> {
    if twin.is_on_account() { twin.run(operations) } else { undisturbed(|| twin.run(operations), preemptions) }
}

/// Times the variants; returns also the operations of a visit of each.
fn visit(variants: &mut [Variant], plan: Plan, preemptions: impl Fn() -> i64) -> Result<(Vec<Measurement>, Vec<u64>), TwinError> {
    let mut operations = Vec::new();
    for variant in variants.iter_mut() {
        // the first stretch faults pages in and fills caches
        variant.twin.run(FIRST_LOOK)?;
        let looked = stretch(variant.twin.as_mut(), FIRST_LOOK, &preemptions)?.nanoseconds().max(1.0);
        operations.push(((f64::from(plan.visit_us) * 1000.0 / looked) as u64).clamp(1, OPERATIONS_MAX));
    }
    let mut calls = vec![0.0; variants.len()];
    let samples = interleaved(variants.len(), plan.visits, |place, _| {
        let tally = stretch(variants[place].twin.as_mut(), operations[place], &preemptions)?;
        calls[place] = tally.calls as f64 / tally.operations.max(1) as f64;
        Ok::<f64, TwinError>(tally.nanoseconds())
    })?;
    let measurement = |((variant, samples), calls): ((&Variant, Vec<f64>), f64)| Measurement {
        series: variant.series.clone(),
        x: variant.x,
        nanoseconds: median(&samples),
        calls,
        counts: Vec::new(),
    };
    let measured = variants.iter().zip(samples).zip(calls).map(measurement).collect();
    Ok((measured, operations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counted::Outcome;
    use host::perf::{Count, Modes};
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
        let measured = visit(&mut [variant(10), variant(20)], plan, || 0).unwrap().0;
        let visits = visits.borrow();
        // a stretch that warms up, and one that says how long a visit is
        assert_eq!(visits[..4], [10, 10, 20, 20]);
        assert!(visits[4..].chunks(2).all(|round| round.contains(&10) && round.contains(&20)), "{visits:?}");
        assert_eq!(measured.iter().map(|one| (one.nanoseconds, one.calls)).collect::<Vec<_>>(), [(10.0, 2.0), (20.0, 2.0)]);
    }

    /// A host with one event, which a reading holds 128 times whatever happens.
    struct OneEvent;

    struct Always;

    impl Stretches for Always {
        fn begins(&mut self) {}
        fn ends(&mut self) {}
    }

    impl counted::Counter for Always {
        fn take(&mut self) -> Result<host::perf::Reading, host::perf::Absent> {
            Ok(host::perf::Reading { count: 128, enabled_ns: 1, running_ns: 1 })
        }
    }

    impl Source for OneEvent {
        fn open(&self, event: Count, _mode: Modes) -> Result<Box<dyn counted::Counter>, host::perf::Absent> {
            if event == Count::Cycles { Ok(Box::new(Always)) } else { Err(host::perf::Absent("not here".into())) }
        }
    }

    #[test]
    fn events_are_counted_behind_all_visits_where_they_are_wanted() {
        let visits = Rc::new(RefCell::new(Vec::new()));
        let variant = |x| Variant { series: "x".into(), x, twin: Box::new(Counting(10, Rc::clone(&visits))) };
        let plan = Plan { visits: 3, visit_us: 1 };
        let wanted = Wanted { places: vec![("x".into(), 2)], events: vec![Count::Cycles, Count::L1dMisses] };
        let measured = measure_and_count(vec![variant(1), variant(2)], plan, &wanted, &OneEvent).unwrap();
        assert_eq!((measured[0].nanoseconds, measured[0].counts.len()), (10.0, 0));
        let outcomes: Vec<&Outcome> = measured[1].counts.iter().map(|own| &own.outcome).collect();
        // one stretch of 64 operations, less an empty one, of which 64 hold 128 too
        assert_eq!(outcomes[0], &Outcome::PerOperation(126.0 / 64.0));
        assert_eq!(outcomes[1], &Outcome::Missing("not here".into()));
        assert_eq!(outcomes.len(), 4);
    }

    /// What was kept before events were counted, and with them.
    #[test]
    fn measurements_without_and_with_counts_survive_being_written() {
        let old = r#"{"series":"x","x":1,"nanoseconds":2.5,"calls":1.0}"#;
        let measured: Measurement = serde_json::from_str(old).unwrap();
        assert!(measured.counts.is_empty());
        assert_eq!(serde_json::to_string(&measured).unwrap(), old);
        let outcome = Outcome::PerOperation(3.25);
        let counted = Measurement { counts: vec![Counted { event: Count::Cycles, mode: Modes::User, outcome }], ..measured };
        let text = serde_json::to_string(&counted).unwrap();
        assert_eq!(serde_json::from_str::<Measurement>(&text).unwrap(), counted);
    }

    #[test]
    fn a_visit_that_was_disturbed_is_made_again() {
        let visits = Rc::new(RefCell::new(Vec::new()));
        let mut twin = Counting(10, Rc::clone(&visits));
        // another thread has the processor during the first two stretches
        let disturbed = || visits.borrow().len().min(2) as i64;
        stretch(&mut twin, 1, disturbed).unwrap();
        assert_eq!(visits.borrow().len(), 3);
        stretch(&mut twin, 1, || visits.borrow().len() as i64).unwrap();
        assert_eq!(visits.borrow().len(), 3 + AGAIN_MOST as usize, "a busy host is no reason to stand still");
    }
}
