//! How far a request has come whose calls may be outstanding several at a time.

use sim_core::workload::Step;

/// Progress of one request at the server.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Next step whose user work has not run.
    pub next: usize,
    /// Steps issued and not completed.
    pub outstanding: usize,
    /// Completed steps, a bit each.
    completed: Vec<u64>,
}

impl Progress {
    /// A new request in the same place: steps before `next` are under way elsewhere.
    pub fn restart(&mut self, steps: usize, next: usize) {
        self.next = next;
        self.outstanding = 0;
        self.completed.clear();
        self.completed.resize(steps.div_ceil(64), 0);
    }

    /// A step has completed.
    pub fn complete(&mut self, step: usize) {
        self.completed[step / 64] |= 1 << (step % 64);
    }

    /// True when a step has completed.
    pub fn has_completed(&self, step: usize) -> bool {
        self.completed[step / 64] >> (step % 64) & 1 == 1
    }

    /// A call can be issued when all it depends on has completed.
    pub fn allows(&self, step: &Step) -> bool {
        step.depends.iter().all(|&before| self.has_completed(usize::from(before)))
    }
}
