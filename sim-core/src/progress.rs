//! Progress of long work, told to whoever shows it. Knows no terminal: a bar, a line every ten seconds and a full-screen view are
//! written by the program.

/// Hears how far long work is. Called from worker threads.
pub trait Progress: Send + Sync {
    /// `total` steps of `what` begin.
    fn start(&self, what: &str, total: u64);

    /// `count` more steps are done.
    fn step(&self, count: u64);

    /// `total` steps of `what` begin whose costs differ: the time left follows from the costs done of `cost_total`, in any unit.
    fn start_costed(&self, what: &str, total: u64, cost_total: u64) {
        let _ = cost_total;
        self.start(what, total);
    }

    /// `count` more steps are done, and work of this cost.
    fn step_costed(&self, count: u64, cost: u64) {
        let _ = cost;
        self.step(count);
    }

    /// The work has ended, complete or cancelled.
    fn finish(&self);
}

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _what: &str, _total: u64) {}
    fn step(&self, _count: u64) {}
    fn finish(&self) {}
}
