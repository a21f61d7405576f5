//! Branch prediction over line changes: the captures hold no outcomes, but each change to a line that is not the next one is a taken
//! branch. Branches inside a line are part of the base CPI.
//!
//! A target buffer keyed by the source line says where the code went last time; a table indexed by the source line and the hashed path
//! corrects it where the path tells more. A source line that the target buffer does not know is predicted to go on to the next line.

use crate::level::State;
use crate::machine::{BranchSpec, Replacement};
use crate::paged::Paged;
use crate::slots::{EMPTY, Slots};
use sim_core::ids::Line;

/// One entry of the path-indexed table.
#[derive(Clone, Copy, Debug, Default)]
struct PathEntry {
    /// Source line + 1; 0 for an entry never written.
    source: u32,
    next: Line,
}

/// What is known of a source line.
#[derive(Clone, Copy, Debug)]
struct SourceLine {
    /// Where it went last time.
    target: Line,
    /// Its place in the target buffer, or who took it out.
    state: State,
}

/// The branch structures of one core (and mode).
#[derive(Clone, Debug)]
pub(crate) struct BranchTables {
    buffer: Slots,
    sources: Paged<SourceLine>,
    path_entries: Vec<PathEntry>,
    /// Who wrote each of them: apart, because only a wrong prediction asks.
    path_writers: Vec<u16>,
    path: u32,
}

/// A wrong prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mispredicted {
    /// The target buffer did not know the source line: found at decode, not at execution.
    pub unknown: bool,
    /// Who took the entry away, or who trained it last.
    pub evictor: u16,
}

/// What one change of line did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Prediction {
    /// Fell through with nothing to predict.
    None,
    /// Predicted right.
    Right,
    /// Predicted wrong.
    Wrong(Mispredicted),
}

/// Place in a path-indexed table of so many entries, a power of two.
#[inline(always)]
fn path_slot(path: u32, source: Line, entries: usize) -> usize {
    // Fibonacci hashing: the upper bits of the product depend on all bits of source and path.
    let mixed = (source ^ path.rotate_left(16)).wrapping_mul(0x9e37_79b1);
    (mixed >> 8) as usize & (entries - 1)
}

/// The path after a taken branch.
#[inline(always)]
fn path_after(path: u32, next: Line) -> u32 {
    (path << 4) ^ next.wrapping_mul(0x85eb_ca6b) >> 12
}

impl BranchTables {
    pub fn new(spec: &BranchSpec) -> BranchTables {
        BranchTables::sized(spec.btb_entries, spec.btb_ways, spec.history_entries)
    }

    /// Tables that are never used: the second instance of a machine that shares them between modes.
    pub fn absent() -> BranchTables {
        BranchTables::sized(0, 1, 0)
    }

    fn sized(entries: u32, ways: u32, path_entries: u32) -> BranchTables {
        BranchTables {
            buffer: Slots::new(entries, ways, Replacement::Lru),
            sources: Paged::new(SourceLine { target: 0, state: State::default() }),
            path_entries: vec![PathEntry::default(); path_entries as usize],
            path_writers: vec![0; path_entries as usize],
            path: 0,
        }
    }

    /// Execution went from the end of `source` to `next`; learns from it.
    #[inline(always)]
    pub fn follow(&mut self, source: Line, next: Line, agent: u16) -> Prediction {
        let taken = next != source.wrapping_add(1);
        let known = self.sources.get(source);
        if !known.state.is_present() && !taken {
            return Prediction::None;
        }
        let prediction = if known.state.is_present() {
            self.check_known(source, known.target, next, agent)
        } else {
            Prediction::Wrong(Mispredicted { unknown: true, evictor: known.state.evictor() })
        };
        if taken {
            self.learn(source, known, next, agent);
        }
        prediction
    }

    #[inline(always)]
    fn learn(&mut self, source: Line, known: SourceLine, next: Line, agent: u16) {
        if known.state.is_present() {
            self.buffer.used(known.state.slot());
            if known.target != next {
                self.sources.entry(source).target = next;
            }
        } else {
            self.enter(source, next, agent);
        }
        self.path = path_after(self.path, next);
    }

    #[inline(never)]
    fn enter(&mut self, source: Line, next: Line, agent: u16) {
        let (slot, victim) = self.buffer.fill(source);
        if victim != EMPTY {
            self.sources.entry(victim).state = State::absent(agent);
        }
        *self.sources.entry(source) = SourceLine { target: next, state: State::present(slot) };
    }

    /// The path table's entry counts when it belongs to this source; it is taken over only after a wrong prediction, so that
    /// branches that always go the same way do not crowd it.
    #[inline(always)]
    fn check_known(&mut self, source: Line, target: Line, next: Line, agent: u16) -> Prediction {
        let slot = path_slot(self.path, source, self.path_entries.len());
        let entry = self.path_entries[slot];
        let own = entry.source == source.wrapping_add(1);
        let predicted = if own { entry.next } else { target };
        if predicted == next {
            return Prediction::Right;
        }
        self.path_entries[slot] = PathEntry { source: source.wrapping_add(1), next };
        let evictor = std::mem::replace(&mut self.path_writers[slot], agent);
        Prediction::Wrong(Mispredicted { unknown: false, evictor })
    }
}

/// A change of line for which nothing wrong is predicted.
#[derive(Clone, Copy)]
pub(crate) struct RightBranch {
    state: State,
    taken: bool,
}

impl RightBranch {
    /// 1 for a right prediction, 0 where there was nothing to predict.
    #[inline(always)]
    pub fn predictions(self) -> u64 {
        self.state.is_present().into()
    }
}

impl BranchTables {
    /// The change from the end of `source` to `next`; `None` when it would be predicted wrong. Changes nothing.
    #[inline(always)]
    pub fn right(&self, source: Line, next: Line) -> Option<RightBranch> {
        let SourceLine { target, state } = self.sources.get(source);
        let entry = &self.path_entries[path_slot(self.path, source, self.path_entries.len())];
        // Whether the entry counts is as good as random: chosen by a mask, so that the host has nothing to predict.
        let own = u32::from(entry.source == source.wrapping_add(1)).wrapping_neg();
        let predicted = target ^ (target ^ entry.next) & own;
        let taken = next != source.wrapping_add(1);
        let right = if state.is_present() { predicted == next } else { !taken };
        right.then_some(RightBranch { state, taken })
    }

    /// Learns from a right prediction as [`BranchTables::follow`] does.
    #[inline(always)]
    pub fn went(&mut self, source: Line, next: Line, branch: RightBranch) {
        if branch.taken {
            self.buffer.used(branch.state.slot());
            self.sources.entry(source).target = next;
            self.path = path_after(self.path, next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables() -> BranchTables {
        let spec = BranchSpec {
            btb_entries: 2,
            btb_ways: 2,
            history_entries: 64,
            mispredict_cycles: 10,
            resteer_cycles: 5,
            return_stack_entries: 0,
            per_mode: false,
        };
        BranchTables::new(&spec)
    }

    fn unknown(evictor: u16) -> Prediction {
        Prediction::Wrong(Mispredicted { unknown: true, evictor })
    }

    #[test]
    fn a_taken_branch_is_unknown_once_and_falling_through_needs_no_prediction() {
        let mut tables = tables();
        assert_eq!(tables.follow(10, 11, 3), Prediction::None);
        assert_eq!(tables.follow(10, 50, 3), unknown(0));
        assert_eq!(tables.follow(10, 50, 3), Prediction::Right);
    }

    #[test]
    fn a_displaced_entry_names_who_displaced_it() {
        let mut tables = tables();
        tables.follow(10, 50, 3);
        tables.follow(20, 60, 17);
        tables.follow(30, 70, 18);
        assert_eq!(tables.follow(10, 50, 3), unknown(18));
    }

    #[test]
    fn an_alternating_branch_is_learnt_from_the_path() {
        let mut tables = tables();
        let mut wrong_late = 0;
        for round in 0..400u32 {
            let next = if round % 2 == 0 { 100 } else { 200 };
            if tables.follow(10, next, 3) != Prediction::Right && round >= 200 {
                wrong_late += 1;
            }
        }
        assert_eq!(wrong_late, 0);
    }
}
