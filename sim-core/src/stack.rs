//! The cycle stack: where each core's cycles went. Components sum exactly to elapsed cycles; there is no "other".

use crate::ids::{Cycles, Mode};
use serde::{Deserialize, Serialize};

/// Whose work the cycles are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Domain {
    /// The program's own code.
    User,
    /// Kernel code that serves calls, interrupts, softirqs, scheduling.
    Kernel,
    /// Work that the mechanism adds: posting, scanning, interpreting, checking.
    Mechanism,
}

impl Domain {
    /// All domains in report order.
    pub const ALL: [Domain; 3] = [Domain::User, Domain::Kernel, Domain::Mechanism];
}

/// Why a cycle passed while a block executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Cause {
    /// Instructions at base CPI.
    Base,
    /// Instruction line found in L2.
    FetchL2,
    /// Instruction line found in the last-level cache.
    FetchL3,
    /// Instruction line from memory.
    FetchMemory,
    /// Kernel code that is gone through for the first time since the kernel was entered.
    FirstPass,
    /// Data found in L2.
    DataL2,
    /// Data found in the last-level cache.
    DataL3,
    /// Data from memory.
    DataMemory,
    /// Line transferred from another core's cache (coherence), instruction or data.
    Transfer,
    /// Instruction-side address translation: STLB hits and walks.
    TlbInstruction,
    /// Data-side address translation.
    TlbData,
    /// Mispredicted branches and target-buffer misses.
    Branch,
    /// Start-up of repeated string instructions.
    Copy,
}

impl Cause {
    /// All causes in report order.
    pub const ALL: [Cause; 13] = [
        Cause::Base,
        Cause::FetchL2,
        Cause::FetchL3,
        Cause::FetchMemory,
        Cause::FirstPass,
        Cause::DataL2,
        Cause::DataL3,
        Cause::DataMemory,
        Cause::Transfer,
        Cause::TlbInstruction,
        Cause::TlbData,
        Cause::Branch,
        Cause::Copy,
    ];

    /// Name inside a component's name.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Base => "base",
            Cause::FetchL2 => "fetch_l2",
            Cause::FetchL3 => "fetch_l3",
            Cause::FetchMemory => "fetch_memory",
            Cause::FirstPass => "first_pass",
            Cause::DataL2 => "data_l2",
            Cause::DataL3 => "data_l3",
            Cause::DataMemory => "data_memory",
            Cause::Transfer => "transfer",
            Cause::TlbInstruction => "tlb_instruction",
            Cause::TlbData => "tlb_data",
            Cause::Branch => "branch",
            Cause::Copy => "copy",
        }
    }

    /// What it is in words, after whose it is.
    fn words(self) -> &'static str {
        match self {
            Cause::Base => "instructions",
            Cause::FetchL2 => "instruction fetches from L2",
            Cause::FetchL3 => "instruction fetches from L3",
            Cause::FetchMemory => "instruction fetches from memory",
            Cause::FirstPass => "code gone through first after an entry",
            Cause::DataL2 => "data from L2",
            Cause::DataL3 => "data from L3",
            Cause::DataMemory => "data from memory",
            Cause::Transfer => "lines from other cores",
            Cause::TlbInstruction => "instruction TLB misses",
            Cause::TlbData => "data TLB misses",
            Cause::Branch => "branch mispredictions",
            Cause::Copy => "copying",
        }
    }
}

/// Parts of a crossing's direct cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CrossingPart {
    /// The window drains before the crossing (user side).
    Drain,
    /// Entry instruction or interrupt delivery.
    Entry,
    /// Return instruction.
    Exit,
    /// Page-table switch (CR3 write).
    PageTable,
    /// Speculation barriers and return-stack mitigations.
    Barrier,
    /// The front end refills after the crossing (user side).
    Refetch,
}

impl CrossingPart {
    /// All parts in report order.
    pub const ALL: [CrossingPart; 6] = [
        CrossingPart::Drain,
        CrossingPart::Entry,
        CrossingPart::Exit,
        CrossingPart::PageTable,
        CrossingPart::Barrier,
        CrossingPart::Refetch,
    ];

    /// Name inside a component's name.
    pub fn name(self) -> &'static str {
        match self {
            CrossingPart::Drain => "drain",
            CrossingPart::Entry => "entry",
            CrossingPart::Exit => "exit",
            CrossingPart::PageTable => "page_table",
            CrossingPart::Barrier => "barrier",
            CrossingPart::Refetch => "refetch",
        }
    }

    /// The mode whose counter sees the part: drain before and refetch after count as user, from entry to exit as kernel.
    pub fn mode(self) -> Mode {
        match self {
            CrossingPart::Drain | CrossingPart::Refetch => Mode::User,
            _ => Mode::Kernel,
        }
    }
}

/// One component of the cycle stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// A block's cycles.
    Work(Domain, Cause),
    /// Direct cost of crossings.
    Crossing(CrossingPart),
    /// A recorded client that runs on this core (its lines are not recorded).
    Client,
    /// The core had nothing to run.
    Idle,
}

const CAUSES: usize = Cause::ALL.len();
const WORK: usize = Domain::ALL.len() * CAUSES;
const CROSSINGS: usize = CrossingPart::ALL.len();

impl Component {
    /// Number of components.
    pub const COUNT: usize = WORK + CROSSINGS + 2;

    /// Dense index in report order.
    #[inline]
    pub fn index(self) -> usize {
        match self {
            Component::Work(domain, cause) => domain as usize * CAUSES + cause as usize,
            Component::Crossing(part) => WORK + part as usize,
            Component::Client => WORK + CROSSINGS,
            Component::Idle => WORK + CROSSINGS + 1,
        }
    }

    /// All components in index order.
    pub fn all() -> impl Iterator<Item = Component> {
        let work =
            Domain::ALL.into_iter().flat_map(|domain| Cause::ALL.into_iter().map(move |cause| Component::Work(domain, cause)));
        let crossings = CrossingPart::ALL.into_iter().map(Component::Crossing);
        work.chain(crossings).chain([Component::Client, Component::Idle])
    }

    /// Name as in reports: `user.base`, `kernel.fetch_l2`, `crossing.drain`, `client`, `idle`.
    pub fn name(self) -> String {
        match self {
            Component::Work(domain, cause) => {
                let domain = match domain {
                    Domain::User => "user",
                    Domain::Kernel => "kernel",
                    Domain::Mechanism => "mechanism",
                };
                format!("{domain}.{}", cause.name())
            }
            Component::Crossing(part) => format!("crossing.{}", part.name()),
            Component::Client => "client".into(),
            Component::Idle => "idle".into(),
        }
    }

    /// What it is in words, to stand after `most in`: `kernel instruction fetches from L2`.
    pub fn words(self) -> String {
        match self {
            Component::Work(domain, cause) => {
                let domain = match domain {
                    Domain::User => "user",
                    Domain::Kernel => "kernel",
                    Domain::Mechanism => "the mechanism's",
                };
                format!("{domain} {}", cause.words())
            }
            Component::Crossing(part) => format!("crossings ({})", part.name().replace('_', " ")),
            Component::Client => "the recorded client".into(),
            Component::Idle => "idle cores".into(),
        }
    }
}

/// Cycles per component of one core (or of several, summed).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleStack {
    cycles: [Cycles; Component::COUNT],
}

impl Default for CycleStack {
    fn default() -> Self {
        CycleStack { cycles: [0; Component::COUNT] }
    }
}

impl CycleStack {
    /// Adds cycles to a component.
    #[inline(always)]
    pub fn add(&mut self, component: Component, cycles: Cycles) {
        self.cycles[component.index()] += cycles;
    }

    /// Cycles of a component.
    #[inline]
    pub fn get(&self, component: Component) -> Cycles {
        self.cycles[component.index()]
    }

    /// Sum over all components.
    pub fn total(&self) -> Cycles {
        self.cycles.iter().sum()
    }

    /// Adds another core's stack.
    pub fn merge(&mut self, other: &CycleStack) {
        for (mine, theirs) in self.cycles.iter_mut().zip(&other.cycles) {
            *mine += theirs;
        }
    }

    /// Direct cost: all crossing components.
    pub fn direct(&self) -> Cycles {
        CrossingPart::ALL.iter().map(|part| self.get(Component::Crossing(*part))).sum()
    }

    /// All of one domain.
    pub fn domain(&self, domain: Domain) -> Cycles {
        Cause::ALL.iter().map(|cause| self.get(Component::Work(domain, *cause))).sum()
    }

    /// Checks invariant 1: the components sum to `elapsed`.
    ///
    /// # Errors
    /// The two numbers, when they differ.
    pub fn check(&self, elapsed: Cycles) -> Result<(), Unbalanced> {
        let accounted = self.total();
        if accounted == elapsed { Ok(()) } else { Err(Unbalanced { accounted, elapsed }) }
    }
}

/// A cycle stack that does not sum to elapsed cycles: a bug in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cycle stack sums to {accounted}, but {elapsed} cycles elapsed")]
pub struct Unbalanced {
    /// Sum over the components.
    pub accounted: Cycles,
    /// Cycles that passed.
    pub elapsed: Cycles,
}
