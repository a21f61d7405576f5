//! What several modules of tests need.

use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{Sample, assemble};
use os_model::action::Slot;
use sim_core::calls::CallNumber;
use sim_core::workload::Workload;
use std::collections::BTreeMap;

/// The default machine and kernel with so much load.
pub fn settings(cores: u32, connections: u32, requests: u64) -> Settings {
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.cores = cores;
    settings.run.connections = connections;
    settings.run.requests = requests;
    settings
}

/// How often something happened.
pub fn occurred(sample: &Sample, name: &str) -> u64 {
    sample.occurrences.iter().filter(|(own, _)| *own == name).map(|(_, count)| count).sum()
}

/// What every slot's requests did, and what else happened, until so many replies.
pub struct Journal {
    /// Handlers in order of execution, by slot.
    pub by_slot: BTreeMap<Slot, Vec<CallNumber>>,
    /// Occurrences by name.
    pub occurrences: BTreeMap<&'static str, u64>,
}

impl Journal {
    /// The handlers' names.
    pub fn names(&self) -> BTreeMap<Slot, Vec<&'static str>> {
        self.by_slot.iter().map(|(slot, calls)| (*slot, calls.iter().map(|call| call.name()).collect())).collect()
    }
}

/// Runs a mechanism from the first cycle on, keeping a journal.
pub fn journal(workload: &Workload, settings: &Settings, mechanism: Mechanism, replies: u64) -> Journal {
    let (mut system, mut driver) = assemble(workload, settings, mechanism, 1).unwrap();
    system.stats.journal = Some(Vec::new());
    system.run(driver.as_mut(), |stats| stats.replies >= replies).unwrap();
    let mut by_slot: BTreeMap<Slot, Vec<CallNumber>> = BTreeMap::new();
    for (slot, call) in system.stats.journal.take().unwrap() {
        if slot != Slot::NONE {
            by_slot.entry(slot).or_default().push(call);
        }
    }
    Journal { by_slot, occurrences: system.stats.occurrences.iter().copied().collect() }
}
