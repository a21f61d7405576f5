//! What is compared with which events of the processor, and how their definitions differ.

use cpu_model::{Counters, Structure};
use host::facts::Facts;
use host::perf::{Count, Modes};
use sim_core::ids::Mode;

/// What the model counts of an operation in one mode.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ModeCounts {
    /// Cycles.
    pub cycles: f64,
    /// Instructions.
    pub instructions: f64,
    /// Page walks: misses of a first-level TLB that the second level did not have.
    pub walks: f64,
    /// Misses by [`Structure::index`].
    pub misses: [f64; Structure::COUNT],
}

/// What the model counts of an operation, by [`Mode::index`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts(pub [ModeCounts; 2]);

impl Counts {
    /// Of a window with so many operations.
    pub fn of(counters: &Counters, operations: f64) -> Counts {
        let each = |count: u64| count as f64 / operations;
        Counts(Mode::ALL.map(|mode| {
            let own = counters.mode(mode);
            let misses = |structure| counters.misses(structure, mode);
            let found_below = counters.references(Structure::Stlb, mode) - misses(Structure::Stlb);
            ModeCounts {
                cycles: each(own.cycles),
                instructions: each(own.instructions),
                walks: each(misses(Structure::Itlb) + misses(Structure::Dtlb) - found_below),
                misses: own.misses.map(each),
            }
        }))
    }

    pub(super) fn mode(&self, mode: Modes) -> Option<&ModeCounts> {
        match mode {
            Modes::User => Some(&self.0[Mode::User.index()]),
            Modes::Kernel => Some(&self.0[Mode::Kernel.index()]),
            Modes::Both => None,
        }
    }
}

/// What becomes of the events of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Combined {
    /// Their sum.
    Sum,
    /// The first through the second.
    Quotient,
}

/// Processors on which a row's events mean what the row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processors {
    All,
    /// AMD since family 17h, and Hygon's of the same design.
    Zen,
    /// All others.
    Others,
}

/// One thing that is compared.
pub struct Compared {
    /// Name in results.
    pub name: &'static str,
    /// Name in a narrow column.
    pub short: &'static str,
    /// Events that are needed.
    pub(super) events: &'static [Count],
    /// Events that count as well, where the processor has them apart.
    besides: &'static [Count],
    combined: Combined,
    processors: Processors,
    pub(super) model: fn(&ModeCounts) -> f64,
    /// How the processor's count differs from the model's.
    pub differs: &'static str,
}

/// Everything that is compared.
///
/// The model's misses are demand misses: loads, stores, fetches and the reads of page walks; a line that a prefetch has asked for but that
/// is not there yet is one; prefetches are none. What stands behind the events of processors is what the kernel's tables say
/// (arch/x86/events/amd/core.c, `amd_hw_cache_event_ids_f17h`, `amd_zen*_perfmon_event_map`; arch/x86/events/intel/core.c,
/// `skl_hw_cache_event_ids`, `intel_perfmon_event_map`); tables of other processors may differ.
pub const COMPARED: &[Compared] = &[
    Compared {
        name: "cpi",
        short: "CPI",
        events: &[Count::Cycles, Count::Instructions],
        besides: &[],
        combined: Combined::Quotient,
        processors: Processors::All,
        model: |own| own.cycles / own.instructions,
        differs: "the model's instructions are the recorded kernel's, times a pace that makes primitives cost what they cost on the host: \
                  a pace takes up what the host's kernel does besides, and what its base CPI differs by",
    },
    Compared {
        name: "cycles",
        short: "cycles",
        events: &[Count::Cycles],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::All,
        model: |own| own.cycles,
        differs: "to which mode the cycles of a crossing count is the processor's choice; interrupts of the host are in the kernel's",
    },
    Compared {
        name: "instructions",
        short: "instructions",
        events: &[Count::Instructions],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::All,
        model: |own| own.instructions,
        differs: "no prediction: recorded instructions times a pace in kernel mode, those of the case in user mode; a ratio far from 1 says \
                  that the host executes another kernel path, or that the pace stands in for CPI",
    },
    Compared {
        name: "l1i_misses",
        short: "l1i",
        events: &[Count::L1iMisses],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::All,
        model: |own| own.misses[Structure::L1i.index()],
        differs: "AMD counts windows of 32 bytes that missed (event 0x81), Intel lookups of lines that missed (ICACHE_64B.MISS); wrong paths \
                  are in both; what the micro-op cache serves is not looked up, while the model fetches every line",
    },
    Compared {
        name: "l1d_misses",
        short: "l1d",
        events: &[Count::L1dMisses],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::All,
        model: |own| own.misses[Structure::L1d.index()],
        differs: "AMD counts requests of the data cache to the second level (event 0x60, mask 0xc8), also for the right to write a line that \
                  it has, Intel lines that came in (L1D.REPLACEMENT): stores and prefetches into the first level are in both, several misses \
                  of one line are one",
    },
    Compared {
        name: "l2_misses",
        short: "l2",
        events: &[Count::CacheMisses],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::Zen,
        model: |own| own.misses[Structure::L2.index()],
        differs: "AMD counts misses of the second level by requests of both first-level caches (event 0x64, mask 0x09), their prefetches \
                  too; other makers have no general event for this level",
    },
    Compared {
        name: "l3_misses",
        short: "l3",
        events: &[Count::CacheMisses],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::Others,
        model: |own| own.misses[Structure::L3.index()],
        differs: "Intel counts misses of the last level (LONGEST_LAT_CACHE.MISS), wrong paths and prefetches into the first level too; AMD's \
                  processor cores count nothing of it",
    },
    Compared {
        name: "l3_load_misses",
        short: "l3 loads",
        events: &[Count::LastLevelMisses],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::All,
        model: |own| own.misses[Structure::L3.index()],
        differs: "loads alone, where the model also has stores and fetches",
    },
    Compared {
        name: "itlb_misses",
        short: "itlb",
        events: &[Count::ItlbLookups, Count::ItlbMisses],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::All,
        model: |own| own.misses[Structure::Itlb.index()],
        differs: "fetches that the second level served and those that walked, together, on AMD since family 17h and on Intel up to Ice Lake",
    },
    Compared {
        name: "dtlb_misses",
        short: "dtlb",
        events: &[Count::DtlbLookups],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::Zen,
        model: |own| own.misses[Structure::Dtlb.index()],
        differs: "AMD counts all that missed the first level (event 0x45); where Intel's name for it stands, loads are counted",
    },
    Compared {
        name: "page_walks",
        short: "walks",
        events: &[Count::DtlbMisses, Count::ItlbMisses],
        besides: &[Count::DtlbStoreMisses],
        combined: Combined::Sum,
        processors: Processors::All,
        model: |own| own.walks,
        differs: "translations that no TLB had; Intel counts walks that ended, of loads, stores and fetches apart, AMD those of loads and \
                  stores together; wrong paths are in both",
    },
    Compared {
        name: "branch_misses",
        short: "branch",
        events: &[Count::BranchMisses],
        besides: &[],
        combined: Combined::Sum,
        processors: Processors::All,
        model: |own| own.misses[Structure::Branch.index()],
        differs: "retired branches that were predicted wrong, conditional ones too; in the model a line is one branch (D6)",
    },
];

impl Compared {
    /// True on processors on which its events mean what it says.
    pub(super) fn applies(&self, facts: &Facts) -> bool {
        let zen = facts.vendor == "AuthenticAMD" && facts.family >= 0x17 || facts.vendor == "HygonGenuine";
        match self.processors {
            Processors::All => true,
            Processors::Zen => zen,
            Processors::Others => !zen,
        }
    }

    /// Its events by the names that `perf list` has for them.
    pub fn events(&self) -> String {
        let sign = if self.combined == Combined::Sum { " + " } else { " / " };
        let names: Vec<&str> = self.events.iter().chain(self.besides).map(|event| event.name()).collect();
        names.join(sign)
    }

    /// What one process measured; nothing when an event is missing.
    pub(super) fn measured(&self, read: impl Fn(Count) -> Option<f64>) -> Option<f64> {
        let needed: Vec<f64> = self.events.iter().map(|event| read(*event)).collect::<Option<_>>()?;
        match self.combined {
            Combined::Sum => {
                Some(needed.iter().chain(&self.besides.iter().filter_map(|event| read(*event)).collect::<Vec<_>>()).sum())
            }
            Combined::Quotient => Some(needed[0] / needed[1]).filter(|quotient| quotient.is_finite()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_models_counters_are_cut_by_operation_and_walks_are_what_no_tlb_had() {
        let mut counters = Counters::default();
        let own = &mut counters.modes[Mode::Kernel.index()];
        (own.cycles, own.instructions) = (400, 100);
        own.misses[Structure::Itlb.index()] = 8;
        own.misses[Structure::Dtlb.index()] = 12;
        own.references[Structure::Stlb.index()] = 20;
        own.misses[Structure::Stlb.index()] = 6;
        let counts = Counts::of(&counters, 4.0).0[Mode::Kernel.index()];
        assert_eq!((counts.cycles, counts.instructions, counts.walks), (100.0, 25.0, 1.5));
        assert_eq!((counts.misses[Structure::Itlb.index()], counts.misses[Structure::L1d.index()]), (2.0, 0.0));
        // a machine whose second level takes no such page: each miss walks
        let own = &mut counters.modes[Mode::Kernel.index()];
        (own.references[Structure::Stlb.index()], own.misses[Structure::Stlb.index()]) = (0, 0);
        assert_eq!(Counts::of(&counters, 4.0).0[Mode::Kernel.index()].walks, 5.0);
    }

    #[test]
    fn what_is_compared_has_names_of_its_own_and_every_structure_is_there() {
        let names: BTreeSet<&str> = COMPARED.iter().map(|own| own.name).collect();
        assert_eq!(names.len(), COMPARED.len());
        let mut own = ModeCounts::default();
        // a second level of TLBs shows by the walks that it does not spare
        for structure in Structure::ALL.into_iter().filter(|structure| *structure != Structure::Stlb) {
            own.misses[structure.index()] = 7.0;
            assert!(COMPARED.iter().any(|compared| (compared.model)(&own) == 7.0), "{}", structure.name());
            own.misses[structure.index()] = 0.0;
        }
    }
}
