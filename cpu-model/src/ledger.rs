//! The evictor ledger: each miss has exactly one evictor, and the cycles that the miss cost are charged to it.
//!
//! A structure keeps, for each key that is absent, the agent that pushed it out. The stall of one access is cut along the levels: the
//! latency of the second level belongs to the first-level miss, what the last level adds to the second-level miss, and so on, so that
//! the cycles of all rows together are the exposed stall cycles and nothing is counted twice.

use crate::counters::Structure;
use sim_core::context::Agent;
use sim_core::ids::{Cycles, Mode};

const ROWS_PER_AGENT: usize = Structure::COUNT * 2;

/// Misses and exposed stall cycles of one row.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    misses: u64,
    cycles: Cycles,
}

/// Misses of one (structure, mode) by evictor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerRow {
    /// Where the miss was.
    pub structure: Structure,
    /// Mode of the code that missed.
    pub mode: Mode,
    /// Whose fill pushed the key out, or why it was absent.
    pub evictor: Agent,
    /// Number of misses.
    pub misses: u64,
    /// Exposed stall cycles.
    pub cycles: Cycles,
}

/// All rows with at least one miss, by structure, then mode, then evictor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerSummary {
    /// The rows.
    pub rows: Vec<LedgerRow>,
}

impl LedgerSummary {
    /// Misses of a structure in a mode over all evictors: equal to the counters exactly.
    pub fn misses(&self, structure: Structure, mode: Mode) -> u64 {
        self.rows.iter().filter(|row| row.structure == structure && row.mode == mode).map(|row| row.misses).sum()
    }

    /// Indirect cost of crossings to a mode: exposed stall cycles of misses whose evictor is the other mode or a flush.
    pub fn indirect_cycles(&self, mode: Mode) -> Cycles {
        let foreign = |evictor: Agent| evictor == Agent::FLUSH || evictor.mode().is_some_and(|other| other != mode);
        self.rows.iter().filter(|row| row.mode == mode && foreign(row.evictor)).map(|row| row.cycles).sum()
    }
}

/// Counts by agent, structure and mode, dense.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    cells: Vec<Cell>,
}

impl Ledger {
    /// Makes room for an agent. Only agents that ran, and the three causes below them, can be evictors.
    pub fn admit(&mut self, agent: Agent) {
        let needed = (usize::from(agent.0.max(Agent::USER.0)) + 1) * ROWS_PER_AGENT;
        if self.cells.len() < needed {
            self.cells.resize(needed, Cell::default());
        }
    }

    #[inline(always)]
    fn cell(&mut self, structure: Structure, mode: Mode, evictor: u16) -> &mut Cell {
        &mut self.cells[usize::from(evictor) * ROWS_PER_AGENT + structure.index() * 2 + mode.index()]
    }

    /// One miss.
    #[inline(always)]
    pub fn miss(&mut self, structure: Structure, mode: Mode, evictor: u16) {
        self.cell(structure, mode, evictor).misses += 1;
    }

    /// Exposed stall cycles of a miss.
    #[inline(always)]
    pub fn stall(&mut self, structure: Structure, mode: Mode, evictor: u16, cycles: Cycles) {
        self.cell(structure, mode, evictor).cycles += cycles;
    }

    /// Forgets all counts; evictors of absent keys stay known.
    pub fn reset(&mut self) {
        self.cells.fill(Cell::default());
    }

    pub fn summary(&self) -> LedgerSummary {
        let mut rows = Vec::new();
        for structure in Structure::ALL {
            for mode in Mode::ALL {
                let first = structure.index() * 2 + mode.index();
                for (agent, cell) in self.cells.iter().skip(first).step_by(ROWS_PER_AGENT).enumerate() {
                    if cell.misses > 0 {
                        let evictor = Agent(agent as u16);
                        rows.push(LedgerRow { structure, mode, evictor, misses: cell.misses, cycles: cell.cycles });
                    }
                }
            }
        }
        LedgerSummary { rows }
    }
}
