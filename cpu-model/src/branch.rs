//! Branch prediction over line changes: the captures hold no outcomes, but each change to a line that is not the next one is a taken
//! branch. Branches inside a line are part of the base CPI.
//!
//! A target buffer keyed by the source line says where the code goes as a rule: two departures in a row change it, as with the two-bit
//! counters of real predictors. A table indexed by the source line and the hashed path corrects it where the path tells more. A source
//! line that the target buffer does not know is predicted to go on to the next line.
//!
//! Returns have a stack of their own ([`PendingCalls`]): a function that is called from many places goes somewhere else each time, and a
//! processor predicts that from its return stack, not from the path.

use crate::level::State;
use crate::machine::{BranchSpec, Replacement};
use crate::paged::Paged;
use crate::slots::{EMPTY, Slots};
use sim_core::ids::Line;

/// Target of a source line that returns: the return stack knows where to.
const RETURN: Line = Line::MAX;

/// A change of line to a target no farther than this is taken for a jump inside a function and is not put on the return stack. The touched
/// lines of a captured kernel function span 2 lines in the median, at most 8 in nine of ten functions and 14 in 95 of 100.
const NEAR_LINES: u32 = 16;

/// The return stack: source lines of far changes that nothing has come back to yet, the last one on top. It is a ring: what is put on a
/// full one overwrites the oldest, as in a processor, so a deep call chain of the kernel takes the user's entries away.
///
/// The captures do not tell calls from far jumps. So a change back to *any* line that is on the stack is a return, and takes away all
/// that was put on later: tail calls and jumps into unlikely code are never returned to.
#[derive(Clone, Debug)]
struct PendingCalls {
    ring: Vec<Line>,
    /// Place of the ring that is written next.
    top: usize,
    /// Entries in use, at most the ring's length.
    held: usize,
}

impl PendingCalls {
    fn new(entries: u32) -> PendingCalls {
        PendingCalls { ring: vec![0; entries as usize], top: 0, held: 0 }
    }

    /// How many entries lie on the one that `line` returns to, itself included: a call at the end of a line returns to the next.
    #[inline(always)]
    fn depth(&self, line: Line) -> Option<usize> {
        let mut place = self.top;
        for depth in 1..=self.held {
            place = if place == 0 { self.ring.len() - 1 } else { place - 1 };
            if line.wrapping_sub(self.ring[place]) <= 1 {
                return Some(depth);
            }
        }
        None
    }

    #[inline(always)]
    fn put(&mut self, source: Line) {
        if self.ring.is_empty() {
            return;
        }
        self.ring[self.top] = source;
        self.top = if self.top + 1 == self.ring.len() { 0 } else { self.top + 1 };
        self.held = (self.held + 1).min(self.ring.len());
    }

    #[inline(always)]
    fn take(&mut self, depth: usize) {
        self.top = if self.top >= depth { self.top - depth } else { self.top + self.ring.len() - depth };
        self.held -= depth;
    }
}

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
    /// Where it goes as a rule.
    target: Line,
    /// It went elsewhere last time.
    doubted: bool,
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
    calls: PendingCalls,
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

/// Whether a change of line is taken for a call.
#[inline(always)]
fn is_far(source: Line, next: Line) -> bool {
    next.wrapping_sub(source).wrapping_add(NEAR_LINES) > 2 * NEAR_LINES
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
        BranchTables::sized(spec.btb_entries, spec.btb_ways, spec.history_entries, spec.return_stack_entries)
    }

    /// Tables that are never used: the second instance of a machine that shares them between modes.
    pub fn absent() -> BranchTables {
        BranchTables::sized(0, 1, 0, 0)
    }

    fn sized(entries: u32, ways: u32, path_entries: u32, return_entries: u32) -> BranchTables {
        BranchTables {
            buffer: Slots::new(entries, ways, Replacement::Lru),
            sources: Paged::new(SourceLine { target: 0, doubted: false, state: State::default() }),
            path_entries: vec![PathEntry::default(); path_entries as usize],
            path_writers: vec![0; path_entries as usize],
            path: 0,
            calls: PendingCalls::new(return_entries),
        }
    }

    /// Execution went from the end of `source` to `next`; learns from it.
    #[inline(always)]
    pub fn follow(&mut self, source: Line, next: Line, agent: u16) -> Prediction {
        if let Some(branch) = self.right(source, next) {
            self.went(source, next, branch);
            return if branch.state.is_present() { Prediction::Right } else { Prediction::None };
        }
        self.follow_wrong(source, next, agent)
    }

    #[inline(never)]
    fn follow_wrong(&mut self, source: Line, next: Line, agent: u16) -> Prediction {
        let known = self.sources.get(source).state;
        let taken = next != source.wrapping_add(1);
        let depth = if taken { self.calls.depth(next) } else { None };
        let outcome = if depth.is_some() { RETURN } else { next };
        let evictor = if known.is_present() { self.correct(source, outcome, agent) } else { known.evictor() };
        if taken {
            self.learn(source, known, outcome, agent);
            self.advance(source, next, depth);
        }
        Prediction::Wrong(Mispredicted { unknown: !known.is_present(), evictor })
    }

    fn learn(&mut self, source: Line, known: State, outcome: Line, agent: u16) {
        if known.is_present() {
            self.buffer.used(known.slot());
            let entry = self.sources.entry(source);
            if entry.doubted {
                entry.target = outcome;
            }
            entry.doubted = !entry.doubted;
        } else {
            self.enter(source, outcome, agent);
        }
    }

    /// Path and return stack after a taken branch.
    #[inline(always)]
    fn advance(&mut self, source: Line, next: Line, returned: Option<usize>) {
        self.path = path_after(self.path, next);
        match returned {
            Some(depth) => self.calls.take(depth),
            None if is_far(source, next) => self.calls.put(source),
            None => {}
        }
    }

    #[inline(never)]
    fn enter(&mut self, source: Line, next: Line, agent: u16) {
        let (slot, victim) = self.buffer.fill(source);
        if victim != EMPTY {
            self.sources.entry(victim).state = State::absent(agent);
        }
        *self.sources.entry(source) = SourceLine { target: next, doubted: false, state: State::present(slot) };
    }

    /// The path table takes over a change only after a wrong prediction, so that branches that always go the same way do not crowd it.
    /// Gives back who had written the entry.
    fn correct(&mut self, source: Line, outcome: Line, agent: u16) -> u16 {
        let slot = path_slot(self.path, source, self.path_entries.len());
        self.path_entries[slot] = PathEntry { source: source.wrapping_add(1), next: outcome };
        std::mem::replace(&mut self.path_writers[slot], agent)
    }
}

/// A change of line for which nothing wrong is predicted.
#[derive(Clone, Copy)]
pub(crate) struct RightBranch {
    state: State,
    taken: bool,
    /// The line, or [`RETURN`].
    predicted: Line,
    /// Entries that a return takes from the return stack.
    depth: Option<usize>,
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
    ///
    /// The path table's entry counts when it belongs to this source, else the target buffer's.
    #[inline(always)]
    pub fn right(&self, source: Line, next: Line) -> Option<RightBranch> {
        let SourceLine { target, state, .. } = self.sources.get(source);
        let entry = &self.path_entries[path_slot(self.path, source, self.path_entries.len())];
        // Whether the entry counts is as good as random: chosen by a mask, so that the host has nothing to predict.
        let own = u32::from(entry.source == source.wrapping_add(1)).wrapping_neg();
        let predicted = target ^ (target ^ entry.next) & own;
        let taken = next != source.wrapping_add(1);
        let depth = if predicted == RETURN && taken && state.is_present() { self.calls.depth(next) } else { None };
        let right = if state.is_present() { predicted == next || depth.is_some() } else { !taken };
        right.then_some(RightBranch { state, taken, predicted, depth })
    }

    /// Learns from a right prediction.
    #[inline(always)]
    pub fn went(&mut self, source: Line, next: Line, branch: RightBranch) {
        if branch.taken {
            self.buffer.used(branch.state.slot());
            let entry = self.sources.entry(source);
            entry.doubted &= entry.target != branch.predicted;
            self.advance(source, next, branch.depth);
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
            return_stack_entries: 4,
            per_mode: false,
        };
        BranchTables::new(&spec)
    }

    /// As [`tables`], with room for every source line.
    fn roomy() -> BranchTables {
        BranchTables::sized(64, 4, 64, 4)
    }

    /// Wrong predictions on a path.
    fn wrong(tables: &mut BranchTables, path: &[Line]) -> usize {
        path.windows(2).filter(|pair| matches!(tables.follow(pair[0], pair[1], 3), Prediction::Wrong(_))).count()
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
    fn a_function_returns_to_whoever_called_it() {
        let mut tables = roomy();
        // the first caller teaches all there is to know of the function; from the second only its own call is new
        assert_eq!(wrong(&mut tables, &[100, 1000, 1001, 101]), 2);
        assert_eq!(wrong(&mut tables, &[200, 1000, 1001, 200]), 1);
        assert_eq!(wrong(&mut tables, &[300, 1000, 1001, 301]), 1);
        assert_eq!(wrong(&mut tables, &[100, 1000, 1001, 101]), 0);
    }

    #[test]
    fn a_deeper_call_chain_takes_the_oldest_entries() {
        let mut calls = PendingCalls::new(4);
        (1..=6).for_each(|level| calls.put(level * 1000));
        assert_eq!(calls.depth(6000), Some(1));
        assert_eq!(calls.depth(3001), Some(4), "back to the line after the call");
        assert_eq!(calls.depth(2000), None, "overwritten");
        calls.take(3);
        assert_eq!((calls.depth(6000), calls.depth(4000), calls.depth(3000)), (None, None, Some(1)));
        calls.take(1);
        assert_eq!(calls.depth(3000), None);
    }

    #[test]
    fn tail_calls_do_not_hide_who_called() {
        let mut tables = roomy();
        let path = [100, 1000, 2000, 3000, 101];
        wrong(&mut tables, &path);
        assert_eq!(wrong(&mut tables, &[500, 1000, 2000, 3000, 501]), 1);
    }

    #[test]
    fn one_departure_does_not_change_the_rule() {
        let mut tables = BranchTables::sized(64, 4, 0x1_0000, 4);
        for _ in 0..8 {
            wrong(&mut tables, &[10, 15]);
        }
        assert_eq!(wrong(&mut tables, &[10, 20]), 1);
        assert_eq!(tables.sources.get(10).target, 15);
        assert_eq!(wrong(&mut tables, &[10, 20]) + wrong(&mut tables, &[10, 20]), 1);
        assert_eq!(tables.sources.get(10).target, 20);
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
