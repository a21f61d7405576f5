//! An interrupted comparison shows the seeds that every mechanism has completed.

use mechanisms::compare::{ExperimentError, Job, compare};
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::variants::Way;
use sim_core::progress::Progress;
use sim_core::report::Comparison;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use traces::synthetic::{Shape, server};

/// Interrupts after so many simulations.
struct Interrupting {
    left: AtomicU64,
    cancel: AtomicBool,
}

impl Progress for Interrupting {
    fn start(&self, _: &str, _: u64) {}

    fn step(&self, count: u64) {
        if self.left.fetch_sub(count, Ordering::Relaxed) == 1 {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }

    fn finish(&self) {}
}

fn compared(simulations: u64) -> Result<Comparison, ExperimentError> {
    let interrupting = Interrupting { left: AtomicU64::new(simulations), cancel: AtomicBool::new(false) };
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.reps = 3;
    settings.run.connections = 4;
    settings.run.requests = 60;
    let job = Job { threads: 1, progress: &interrupting, cancel: &interrupting.cancel, command: String::new() };
    let ways = [Way::from(Mechanism::Sync), Way::from(Mechanism::ElevatedShortcut)];
    compare(&server(Shape::default()), &settings, &ways, &job)
}

#[test]
fn complete_seeds_are_kept_and_the_result_says_so() {
    // two ways: after five simulations two of the three seeds are complete for both
    let comparison = compared(5).unwrap();
    assert_eq!((comparison.reps, comparison.results.len()), (2, 2));
    assert!(comparison.results.iter().all(|report| report.requests == 120 && report.exposure_range.is_none()));
    assert!(comparison.notes.iter().any(|note| note.contains("interrupted: over the 2 seeds")), "{:?}", comparison.notes);
}

#[test]
fn nothing_complete_is_an_interruption_and_all_complete_is_a_result() {
    assert_eq!(compared(1).unwrap_err(), ExperimentError::Cancelled);
    let whole = compared(u64::MAX).unwrap();
    assert!(whole.reps == 3 && whole.results.iter().all(|report| report.exposure_range.is_some()));
    assert!(!whole.notes.iter().any(|note| note.contains("interrupted")), "{:?}", whole.notes);
}
