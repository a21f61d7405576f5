//! How far a request has come whose calls may be outstanding several at a time.

use sim_core::workload::Step;

/// Which steps of a request have completed, a bit each.
#[derive(Clone, Debug, Default)]
pub struct Completed(Vec<u64>);

impl Completed {
    /// A new request of so many steps: none has completed.
    pub fn restart(&mut self, steps: usize) {
        self.0.clear();
        self.0.resize(steps.div_ceil(64), 0);
    }

    /// A step has completed.
    pub fn complete(&mut self, step: usize) {
        self.0[step / 64] |= 1 << (step % 64);
    }

    /// True when a step has completed.
    pub fn has(&self, step: usize) -> bool {
        self.0[step / 64] >> (step % 64) & 1 == 1
    }

    /// A call can be issued when all it depends on has completed.
    pub fn allows(&self, step: &Step) -> bool {
        step.depends.iter().all(|&before| self.has(usize::from(before)))
    }
}

/// Progress of one request at the server.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Next step whose user work has not run.
    pub next: usize,
    /// Steps issued and not completed.
    pub outstanding: usize,
    completed: Completed,
}

impl Progress {
    /// A new request in the same place: steps before `next` are under way elsewhere.
    pub fn restart(&mut self, steps: usize, next: usize) {
        self.next = next;
        self.outstanding = 0;
        self.completed.restart(steps);
    }

    /// A step has completed.
    pub fn complete(&mut self, step: usize) {
        self.completed.complete(step);
    }

    /// True when a step has completed.
    pub fn has_completed(&self, step: usize) -> bool {
        self.completed.has(step)
    }

    /// A call can be issued when all it depends on has completed.
    pub fn allows(&self, step: &Step) -> bool {
        self.completed.allows(step)
    }
}
