//! The evictor ledger: each miss has exactly one evictor, and the cycles that the miss cost are charged to it.
//!
//! A structure keeps, for each key that is absent, the agent that pushed it out. The stall of one access is cut along the levels: the
//! latency of the second level belongs to the first-level miss, what the last level adds to the second-level miss, and so on, so that
//! the cycles of all rows together are the exposed stall cycles and nothing is counted twice.

use crate::counters::Structure;
use sim_core::context::Agent;
use sim_core::ids::{Cycles, Mode};
use std::mem::swap;

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

/// What the misses of one agent's code were, when victims are told apart ([`crate::Cpu::tell_victims_apart`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VictimLedger {
    /// Whose code missed.
    pub victim: Agent,
    /// Its misses by structure, then mode, then evictor.
    pub ledger: LedgerSummary,
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
    /// Cells that the agents admitted so far need.
    needed: usize,
    apart: Option<VictimsApart>,
}

/// The counts of each victim. Those of the victim that executes now are in [`Ledger::cells`], so that a miss costs the same whether
/// victims are told apart or not.
#[derive(Clone, Debug)]
struct VictimsApart {
    victims: Vec<(Agent, Vec<Cell>)>,
    /// Position of the victim whose cells are in use.
    active: usize,
}

impl Ledger {
    /// Makes room for an agent. Only agents that ran, and the three causes below them, can be evictors.
    pub fn admit(&mut self, agent: Agent) {
        self.needed = self.needed.max((usize::from(agent.0.max(Agent::USER.0)) + 1) * ROWS_PER_AGENT);
        if self.cells.len() < self.needed {
            self.cells.resize(self.needed, Cell::default());
        }
    }

    /// Counts the misses of each agent's code apart from now on.
    pub fn tell_victims_apart(&mut self) {
        if self.apart.is_none() {
            self.apart = Some(VictimsApart { victims: vec![(Agent::NEVER, Vec::new())], active: 0 });
        }
    }

    /// Code of an agent, which has been admitted, executes from now on: its misses are its own.
    #[inline]
    pub fn suffer(&mut self, agent: Agent) {
        if self.apart.is_some() {
            self.switch_victim(agent);
        }
    }

    fn switch_victim(&mut self, agent: Agent) {
        let Some(apart) = &mut self.apart else { return };
        if apart.victims[apart.active].0 == agent {
            return;
        }
        let known = apart.victims.iter().position(|victim| victim.0 == agent);
        let next = known.unwrap_or_else(|| {
            apart.victims.push((agent, Vec::new()));
            apart.victims.len() - 1
        });
        swap(&mut self.cells, &mut apart.victims[apart.active].1);
        swap(&mut self.cells, &mut apart.victims[next].1);
        apart.active = next;
        self.cells.resize(self.needed, Cell::default());
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
        for (_, cells) in self.apart.iter_mut().flat_map(|apart| &mut apart.victims) {
            cells.fill(Cell::default());
        }
    }

    /// All rows, over all victims.
    pub fn summary(&self) -> LedgerSummary {
        let Some(apart) = &self.apart else { return rows(&self.cells) };
        let mut sums = vec![Cell::default(); self.needed];
        for cells in apart.victims.iter().map(|victim| &victim.1).chain([&self.cells]) {
            for (sum, cell) in sums.iter_mut().zip(cells) {
                sum.misses += cell.misses;
                sum.cycles += cell.cycles;
            }
        }
        rows(&sums)
    }

    /// The rows of each victim that missed, by agent; nothing when victims are not told apart.
    pub fn by_victim(&self) -> Vec<VictimLedger> {
        let Some(apart) = &self.apart else { return Vec::new() };
        let cells = |position: usize| if position == apart.active { &self.cells } else { &apart.victims[position].1 };
        let victims = apart.victims.iter().enumerate();
        let mut ledgers: Vec<VictimLedger> = victims
            .map(|(position, (victim, _))| VictimLedger { victim: *victim, ledger: rows(cells(position)) })
            .filter(|victim| !victim.ledger.rows.is_empty())
            .collect();
        ledgers.sort_by_key(|victim| victim.victim);
        ledgers
    }
}

/// The rows with at least one miss of a block of cells.
fn rows(cells: &[Cell]) -> LedgerSummary {
    let mut rows = Vec::new();
    for structure in Structure::ALL {
        for mode in Mode::ALL {
            let first = structure.index() * 2 + mode.index();
            for (agent, cell) in cells.iter().skip(first).step_by(ROWS_PER_AGENT).enumerate() {
                if cell.misses > 0 {
                    let evictor = Agent(agent as u16);
                    rows.push(LedgerRow { structure, mode, evictor, misses: cell.misses, cycles: cell.cycles });
                }
            }
        }
    }
    LedgerSummary { rows }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(ledger: &mut Ledger) {
        for (victim, evictor, misses) in [(Agent::USER, Agent(20), 3), (Agent(20), Agent::USER, 2), (Agent::USER, Agent(20), 4)] {
            ledger.admit(victim);
            ledger.suffer(victim);
            let mode = victim.mode().unwrap();
            for _ in 0..misses {
                ledger.miss(Structure::L1i, mode, evictor.0);
                ledger.stall(Structure::L1i, mode, evictor.0, 10);
            }
        }
    }

    #[test]
    fn telling_victims_apart_changes_no_sum() {
        let (mut plain, mut apart) = (Ledger::default(), Ledger::default());
        apart.tell_victims_apart();
        for ledger in [&mut plain, &mut apart] {
            ledger.admit(Agent(20));
            fill(ledger);
        }
        assert_eq!(plain.summary(), apart.summary());
        assert_eq!(plain.by_victim(), []);
        let victims = apart.by_victim();
        let found: Vec<_> = victims.iter().map(|own| (own.victim, own.ledger.rows.len(), own.ledger.rows[0].misses)).collect();
        assert_eq!(found, [(Agent::USER, 1, 7), (Agent(20), 1, 2)]);
        assert_eq!(victims[0].ledger.rows[0].cycles, 70);
        apart.reset();
        assert_eq!((apart.summary().rows.len(), apart.by_victim().len()), (0, 0));
        fill(&mut apart);
        assert_eq!(apart.by_victim(), victims, "victims stay apart in the next window");
    }
}
