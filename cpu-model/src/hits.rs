//! The hot loop: ops that find everything where they look for it.
//!
//! Most ops hit in the TLB and the first level and are predicted right. They change nothing but the order of use, take nothing but
//! their instructions' time, and are the same with and without a ledger. So one loop executes them, and
//! stops where an op is different; the rest of that op is for [`Cpu::run`].

use crate::cpu::Cpu;
use crate::hierarchy::NOWHERE;
use crate::run::Slice;
use sim_core::block::{Binding, Op, OpKind};
use sim_core::ids::PAGE_LINES;

/// Why the loop stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// No op is left.
    End,
    /// The last op used up the budget.
    Budget,
    /// Nothing of the next op was done.
    Before,
    /// The next op is a fetch. It was followed as a branch and translated; the line is not there, or a prefetch of it is under way.
    Fetch,
    /// The next op is a fetch of which the prefetch of the line after it is left, and its instructions.
    Prefetch,
    /// The next op is a load or a store. It was translated; the line is not there, or not owned.
    Data,
}

impl Cpu {
    /// Executes ops from place `from` as long as they hit and the budget lasts; returns the place of the next one.
    #[inline(always)]
    pub(crate) fn run_hits<const MULTI: bool>(
        &mut self,
        slice: &mut Slice,
        ops: &[Op],
        from: usize,
        binding: &Binding,
    ) -> (usize, Stop) {
        let mode = slice.who.mode.index();
        let hierarchy = &mut self.machine_side;
        let (masks, prefetch) = (hierarchy.shape.masks, hierarchy.shape.prefetch.instruction_next_line);
        let frames = &hierarchy.frames;
        let part = &mut hierarchy.cores[slice.core];
        let pending = part.pending.line;
        let (l1i, l1d) = (&mut part.l1i[mode & masks.l1i], &mut part.l1d[mode & masks.l1d]);
        let branch = &mut part.branch[mode & masks.branch];
        let (itlb, dtlb) = (&mut part.tlbs.instruction, &mut part.tlbs.data);
        let clock = &mut self.clocks[slice.core];
        for (place, op) in ops.iter().enumerate().skip(from) {
            let line = binding.line(*op);
            match op.kind {
                OpKind::Load | OpKind::Store => {
                    if !dtlb.hits(mode, line, frames) {
                        return (place, Stop::Before);
                    }
                    let state = l1d.state(line);
                    // One condition that is rarely true: whether an op is a store can't be predicted.
                    let unowned = (op.kind == OpKind::Store) & !state.flag();
                    if !state.is_present() | unowned {
                        if MULTI || !state.is_present() {
                            return (place, Stop::Data);
                        }
                        l1d.flag(line);
                    }
                    l1d.used(state);
                    slice.data += 1;
                }
                OpKind::Fetch => {
                    let last = slice.last_line;
                    let Some(right) = branch.right(last, line) else { return (place, Stop::Before) };
                    if (line == last) | (last == NOWHERE) || !itlb.hits(mode, line, frames) {
                        return (place, Stop::Before);
                    }
                    branch.went(last, line, right);
                    slice.branches += right.predictions();
                    slice.fetches += 1;
                    slice.last_line = line;
                    clock.end_copy();
                    let state = l1i.state(line);
                    if !state.is_present() | (line == pending) {
                        return (place, Stop::Fetch);
                    }
                    l1i.used(state);
                    let next = line.wrapping_add(1);
                    if prefetch & !next.is_multiple_of(PAGE_LINES) & !l1i.contains(next) {
                        return (place, Stop::Prefetch);
                    }
                    slice.executed(op.count);
                }
                OpKind::Copy => return (place, Stop::Before),
            }
            if slice.milli >= slice.milli_most {
                return (place + 1, Stop::Budget);
            }
        }
        (ops.len(), Stop::End)
    }
}
