//! The hot loop: ops that find everything where they look for it.
//!
//! Most ops hit in the TLB and the first level and are predicted right. They change nothing but the order of use and take nothing but
//! their instructions' time, with and without a ledger. So one loop executes them with all they need at hand, and leaves what is
//! different about an op to the functions of `run`.

use crate::branch::BranchTables;
use crate::cpu::Cpu;
use crate::frames::Frames;
use crate::hierarchy::NOWHERE;
use crate::level::Level;
use crate::run::Slice;
use crate::timing::CoreClock;
use crate::tlb::Front;
use sim_core::block::{Binding, Op, OpKind};
use sim_core::ids::{Line, PAGE_LINES};

/// What ops that hit need: the structures of one core, those of the code's own mode where modes are apart.
struct AtHand<'a> {
    l1i: &'a mut Level,
    l1d: &'a mut Level,
    branch: &'a mut BranchTables,
    itlb: &'a mut Front,
    dtlb: &'a mut Front,
    frames: &'a Frames,
    clock: &'a mut CoreClock,
    /// Line whose prefetch may be under way.
    pending: Line,
    prefetch: bool,
}

/// What is left of a fetch.
enum FetchLeft {
    /// Nothing.
    Nothing,
    /// The prefetch of the next line.
    Prefetch,
    /// All after the translation: the line is absent, or its prefetch is under way.
    Line,
    /// All: nothing was done.
    All,
}

impl AtHand<'_> {
    /// The parts of a fetch that hit.
    #[inline(always)]
    fn fetch(&mut self, slice: &mut Slice, line: Line) -> FetchLeft {
        let (last, code) = (slice.last_line, slice.who.code);
        let Some(right) = self.branch.right(last, line) else { return FetchLeft::All };
        if (line == last) | (last == NOWHERE) {
            return FetchLeft::All;
        }
        if line & slice.text_mask != slice.text_page {
            if !self.itlb.hits(code, line, self.frames) {
                return FetchLeft::All;
            }
            slice.text_mask = self.itlb.page_mask(line, self.frames);
            slice.text_page = line & slice.text_mask;
        }
        self.branch.went(last, line, right);
        slice.branches += right.predictions();
        slice.fetches += 1;
        slice.last_line = line;
        self.clock.end_copy();
        let [state, next] = self.l1i.states_of_two(line);
        if !state.is_present() | (line == self.pending) {
            return FetchLeft::Line;
        }
        self.l1i.used(state);
        let page_ends = line.wrapping_add(1).is_multiple_of(PAGE_LINES);
        if self.prefetch & !page_ends & !next.is_present() { FetchLeft::Prefetch } else { FetchLeft::Nothing }
    }
}

impl Cpu {
    #[inline(always)]
    fn at_hand(&mut self, slice: &Slice) -> AtHand<'_> {
        let code = slice.who.code;
        let hierarchy = &mut self.machine_side;
        let masks = hierarchy.shape.masks;
        let part = &mut hierarchy.cores[slice.core];
        AtHand {
            l1i: &mut part.l1i[code & masks.l1i],
            l1d: &mut part.l1d[code & masks.l1d],
            branch: &mut part.branch[code & masks.branch],
            itlb: &mut part.tlbs.instruction,
            dtlb: &mut part.tlbs.data,
            frames: &hierarchy.frames,
            clock: &mut self.clocks[slice.core],
            pending: part.pending.line,
            prefetch: hierarchy.shape.prefetch.instruction_next_line,
        }
    }

    /// [`Cpu::run_alone`] where first passes cost more: a function of its own, so that the other one is compiled as if there were none.
    #[inline(never)]
    pub(crate) fn run_first_passes<const LEDGER: bool, const MULTI: bool>(
        &mut self,
        slice: &mut Slice,
        ops: &[Op],
        binding: &Binding,
    ) -> usize {
        self.run_alone::<LEDGER, MULTI, true>(slice, ops, binding)
    }

    /// Executes ops without a shadow until all are done or the budget, of which something is left, is used up; returns how many. With
    /// `FIRST`, each line costs more on its first pass.
    #[inline(always)]
    pub(crate) fn run_alone<const LEDGER: bool, const MULTI: bool, const FIRST: bool>(
        &mut self,
        slice: &mut Slice,
        ops: &[Op],
        binding: &Binding,
    ) -> usize {
        let code = slice.who.code;
        let mut at = self.at_hand(slice);
        for (place, op) in ops.iter().enumerate() {
            let line = binding.line(*op);
            match op.kind {
                OpKind::Load | OpKind::Store => {
                    let store = op.kind == OpKind::Store;
                    if at.dtlb.hits(code, line, at.frames) {
                        let state = at.l1d.state(line);
                        // One condition that is rarely true: whether an op is a store can't be predicted.
                        if state.is_present() & !(store & !state.flag()) {
                            at.l1d.used(state);
                            continue;
                        }
                        if !MULTI && state.is_present() {
                            at.l1d.flag(line);
                            at.l1d.used(state);
                            continue;
                        }
                        self.data_rest::<LEDGER, false, MULTI>(slice, line, store);
                    } else {
                        self.data_op::<LEDGER, false, MULTI>(slice, line, store);
                    }
                    at = self.at_hand(slice);
                }
                OpKind::Fetch => {
                    match at.fetch(slice, line) {
                        FetchLeft::Nothing => slice.executed(op.count),
                        FetchLeft::Prefetch => {
                            self.start_prefetch::<LEDGER, MULTI>(slice, line);
                            slice.executed(op.count);
                            at = self.at_hand(slice);
                        }
                        FetchLeft::Line => {
                            self.fetch_rest::<LEDGER, false, MULTI>(slice, line, op.count);
                            at = self.at_hand(slice);
                        }
                        FetchLeft::All => {
                            self.fetch_op::<LEDGER, false, MULTI>(slice, line, op.count);
                            at = self.at_hand(slice);
                        }
                    }
                    if FIRST {
                        if self.passes[slice.core].is_first(line) {
                            self.first_pass(slice);
                        }
                        at = self.at_hand(slice);
                    }
                }
                OpKind::Copy => {
                    self.copy_op(slice, op.count);
                    at = self.at_hand(slice);
                }
            }
            if slice.milli >= slice.milli_most {
                return place + 1;
            }
        }
        ops.len()
    }
}
