//! What a privilege-filtered hardware counter would show, per mode.

use sim_core::ids::{Cycles, Mode};

/// A structure whose misses are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Structure {
    /// First-level instruction cache.
    L1i,
    /// First-level data cache.
    L1d,
    /// Second-level cache.
    L2,
    /// Last-level cache.
    L3,
    /// Instruction TLB.
    Itlb,
    /// Data TLB.
    Dtlb,
    /// Second-level TLB.
    Stlb,
    /// Branch prediction: taken branches and their target buffer.
    Branch,
}

impl Structure {
    /// Number of structures.
    pub const COUNT: usize = 8;

    /// All structures in report order.
    pub const ALL: [Structure; Structure::COUNT] = [
        Structure::L1i,
        Structure::L1d,
        Structure::L2,
        Structure::L3,
        Structure::Itlb,
        Structure::Dtlb,
        Structure::Stlb,
        Structure::Branch,
    ];

    /// Dense index in report order.
    #[inline(always)]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Name as in reports.
    pub fn name(self) -> &'static str {
        match self {
            Structure::L1i => "l1i",
            Structure::L1d => "l1d",
            Structure::L2 => "l2",
            Structure::L3 => "l3",
            Structure::Itlb => "itlb",
            Structure::Dtlb => "dtlb",
            Structure::Stlb => "stlb",
            Structure::Branch => "branch",
        }
    }
}

/// Counters of one mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModeCounters {
    /// Instructions executed.
    pub instructions: u64,
    /// Cycles in this mode; idle time and recorded clients belong to neither mode.
    pub cycles: Cycles,
    /// Demand references by [`Structure::index`], the reads of page walks included. Prefetches are not references.
    pub references: [u64; Structure::COUNT],
    /// Demand misses by [`Structure::index`]. A line that a prefetch has asked for but that is not there yet is a miss.
    pub misses: [u64; Structure::COUNT],
}

impl ModeCounters {
    /// Adds another core's counters.
    pub fn merge(&mut self, other: &ModeCounters) {
        self.instructions += other.instructions;
        self.cycles += other.cycles;
        for index in 0..Structure::COUNT {
            self.references[index] += other.references[index];
            self.misses[index] += other.misses[index];
        }
    }
}

/// Counters of one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// By [`Mode::index`].
    pub modes: [ModeCounters; 2],
}

impl Counters {
    /// Counters of a mode.
    pub fn mode(&self, mode: Mode) -> &ModeCounters {
        &self.modes[mode.index()]
    }

    /// Misses of a structure in a mode.
    pub fn misses(&self, structure: Structure, mode: Mode) -> u64 {
        self.modes[mode.index()].misses[structure.index()]
    }

    /// References to a structure in a mode.
    pub fn references(&self, structure: Structure, mode: Mode) -> u64 {
        self.modes[mode.index()].references[structure.index()]
    }

    /// Adds another core's counters.
    pub fn merge(&mut self, other: &Counters) {
        for (mine, theirs) in self.modes.iter_mut().zip(&other.modes) {
            mine.merge(theirs);
        }
    }
}

/// What one agent executed, summed over cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentCounters {
    /// Instructions executed.
    pub instructions: u64,
    /// Cycles of its blocks, stalls included, crossings not.
    pub cycles: Cycles,
}
