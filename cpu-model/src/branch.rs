//! Branch prediction over line changes: the captures hold no outcomes, but each change to a line that is not the next one is a taken
//! branch. Branches inside a line are part of the base CPI.
//!
//! A target buffer keyed by the source line says where the code went last time; a table indexed by the source line and the hashed path
//! corrects it where the path tells more. A source line that the target buffer does not know is predicted to go on to the next line.

use crate::machine::{BranchSpec, Replacement};
use crate::paged::Paged;
use crate::tags::{EMPTY, HIT, TagArray};
use sim_core::ids::Line;

/// One entry of the path-indexed table.
#[derive(Clone, Copy, Debug, Default)]
struct PathEntry {
    /// Source line + 1; 0 for an entry never written.
    source: u32,
    next: Line,
    writer: u16,
}

/// What is known of a source line.
#[derive(Clone, Copy, Debug)]
struct SourceLine {
    /// Where it went last time.
    target: Line,
    /// Who took it out of the target buffer.
    evictor: u16,
    /// The target buffer holds it: the same as asking the buffer, without a search.
    present: bool,
}

/// The branch structures of one core (and mode).
#[derive(Clone, Debug)]
pub(crate) struct BranchTables {
    buffer: TagArray,
    sources: Paged<SourceLine>,
    path_entries: Vec<PathEntry>,
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
            buffer: TagArray::new(entries, ways, Replacement::Lru),
            sources: Paged::new(SourceLine { target: 0, evictor: 0, present: false }),
            path_entries: vec![PathEntry::default(); path_entries as usize],
            path: 0,
        }
    }

    #[inline(always)]
    fn path_slot(&self, source: Line) -> usize {
        // Fibonacci hashing: the upper bits of the product depend on all bits of source and path.
        let mixed = (source ^ self.path.rotate_left(16)).wrapping_mul(0x9e37_79b1);
        (mixed >> 8) as usize & (self.path_entries.len() - 1)
    }

    /// Execution went from the end of `source` to `next`; learns from it.
    #[inline]
    pub fn follow(&mut self, source: Line, next: Line, agent: u16) -> Prediction {
        let taken = next != source.wrapping_add(1);
        let known = self.sources.get(source);
        if !known.present && !taken {
            return Prediction::None;
        }
        let prediction = if known.present {
            self.check_known(source, known.target, next, agent)
        } else {
            Prediction::Wrong(Mispredicted { unknown: true, evictor: known.evictor })
        };
        if taken {
            self.learn(source, known, next, agent);
        }
        prediction
    }

    fn learn(&mut self, source: Line, known: SourceLine, next: Line, agent: u16) {
        if !self.buffer.is_recent(source) {
            let victim = self.buffer.touch(source);
            if victim != HIT && victim != EMPTY {
                let victim = self.sources.entry(victim);
                victim.present = false;
                victim.evictor = agent;
            }
        }
        if !known.present || known.target != next {
            *self.sources.entry(source) = SourceLine { target: next, present: true, ..known };
        }
        self.path = (self.path << 4) ^ next.wrapping_mul(0x85eb_ca6b) >> 12;
    }

    /// The path table's entry counts when it belongs to this source; it is taken over only after a wrong prediction, so that
    /// branches that always go the same way do not crowd it.
    fn check_known(&mut self, source: Line, target: Line, next: Line, agent: u16) -> Prediction {
        let slot = self.path_slot(source);
        let entry = self.path_entries[slot];
        let own = entry.source == source.wrapping_add(1);
        let predicted = if own { entry.next } else { target };
        if predicted == next {
            return Prediction::Right;
        }
        self.path_entries[slot] = PathEntry { source: source.wrapping_add(1), next, writer: agent };
        Prediction::Wrong(Mispredicted { unknown: false, evictor: entry.writer })
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
