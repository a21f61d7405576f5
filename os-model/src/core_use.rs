//! What each core's time is used for: cycles by kind of work, always counted. A [timeline](crate::timeline) has the details.

use crate::timeline::What;
use sim_core::ids::Cycles;

/// Kinds of work of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoreUse {
    /// The program's own code, also in kernel mode.
    Program,
    /// Kernel code on behalf of calls.
    Calls,
    /// Softirqs.
    Softirq,
    /// Interrupt entry, exit and hard-interrupt handlers.
    Interrupt,
    /// Scheduler and context switch.
    Scheduler,
    /// Crossings between the modes.
    Crossings,
    /// The mechanism's own work, in both modes.
    Mechanism,
    /// A recorded client.
    Client,
    /// Nothing to run.
    Idle,
}

/// How many kinds there are.
const KINDS: usize = 9;

impl CoreUse {
    /// The kind of what a core does in a slice.
    pub fn of(what: What) -> CoreUse {
        match what {
            What::User | What::Elevated => CoreUse::Program,
            What::Call(_) => CoreUse::Calls,
            What::Softirq => CoreUse::Softirq,
            What::Interrupt => CoreUse::Interrupt,
            What::Scheduler => CoreUse::Scheduler,
            What::Crossing => CoreUse::Crossings,
            What::Mechanism(_) => CoreUse::Mechanism,
            What::Client => CoreUse::Client,
            What::Idle => CoreUse::Idle,
        }
    }
}

/// Cycles of one core by kind of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreUses([Cycles; KINDS]);

impl CoreUses {
    /// Adds cycles.
    pub fn add(&mut self, kind: CoreUse, cycles: Cycles) {
        self.0[kind as usize] += cycles;
    }

    /// Cycles of one kind.
    pub fn get(&self, kind: CoreUse) -> Cycles {
        self.0[kind as usize]
    }

    /// Cycles of all kinds.
    pub fn total(&self) -> Cycles {
        self.0.iter().sum()
    }

    /// What has been added since these were `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &CoreUses) -> CoreUses {
        let mut difference = *self;
        for (own, before) in difference.0.iter_mut().zip(earlier.0) {
            *own = own.saturating_sub(before);
        }
        difference
    }
}
