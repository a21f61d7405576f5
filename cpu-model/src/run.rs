//! One op after the other through the structures, with the clock behind them.
//!
//! Compiled once for each combination of ledger, shadow and more than one core, so that what a run does not ask for costs nothing.

use crate::branch::{Mispredicted, Prediction};
use crate::counters::Structure;
use crate::cpu::{Cpu, CpuOptions};
use crate::hierarchy::{Access, Hierarchy, Missed, NOWHERE, Who, one_miss};
use crate::shadow::Shadow;
use crate::tlb::Translation;
use sim_core::block::{Binding, Op, OpKind};
use sim_core::context::Context;
use sim_core::ids::{CoreId, Cycles, Line};

/// Who executes a slice, and what is booked only when somebody asks or at its end.
pub(crate) struct Slice {
    pub core: usize,
    context: Context,
    pub who: Who,
    /// Clock at which the budget is used up.
    until: Cycles,
    /// Thousandths of a cycle for each instruction at the base CPI.
    pub cpi_milli: u64,
    /// Thousandths of a cycle that were executed and that the clock does not show yet.
    pub milli: u64,
    /// So many of them use up the budget.
    pub milli_most: u64,
    pub instructions: u64,
    /// Instructions that the clock knows of.
    settled: u64,
    pub last_line: Line,
    /// First line of the page of the last fetch, if nothing else was translated for a fetch since, and the bits that name the page.
    pub text_page: Line,
    pub text_mask: u32,
    pub fetches: u64,
    copies: u64,
    pub branches: u64,
}

impl Slice {
    /// Instructions of a fetch.
    #[inline(always)]
    pub fn executed(&mut self, count: u16) {
        self.instructions += u64::from(count);
        self.milli += u64::from(count) * self.cpi_milli;
    }
}

fn missed_of(access: &Option<Access>) -> Missed {
    access.as_ref().map_or(0, |access| access.missed)
}

impl Cpu {
    /// Executes ops until all are done or the core's clock has advanced by `budget` cycles; returns how many were executed.
    /// At least one is, so that a caller always gets on.
    pub fn run(&mut self, core: CoreId, context: Context, ops: &[Op], binding: &Binding, budget: Cycles) -> usize {
        let CpuOptions { ledger, shadow, .. } = self.options;
        let core = core.index();
        match (ledger, shadow != Shadow::Off, self.cores() > 1) {
            (false, false, false) => self.run_slice::<false, false, false>(core, context, ops, binding, budget),
            (false, false, true) => self.run_slice::<false, false, true>(core, context, ops, binding, budget),
            (false, true, false) => self.run_slice::<false, true, false>(core, context, ops, binding, budget),
            (false, true, true) => self.run_slice::<false, true, true>(core, context, ops, binding, budget),
            (true, false, false) => self.run_slice::<true, false, false>(core, context, ops, binding, budget),
            (true, false, true) => self.run_slice::<true, false, true>(core, context, ops, binding, budget),
            (true, true, false) => self.run_slice::<true, true, false>(core, context, ops, binding, budget),
            (true, true, true) => self.run_slice::<true, true, true>(core, context, ops, binding, budget),
        }
    }

    /// One access, for instance to an entry of a syscall page. A fetch executes no instructions.
    pub fn touch(&mut self, core: CoreId, context: Context, line: Line, kind: OpKind) {
        let op = Op { offset: line, count: 0, region: sim_core::block::Region::Fixed, kind };
        self.run(core, context, &[op], &Binding::default(), 0);
    }

    fn run_slice<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        core: usize,
        context: Context,
        ops: &[Op],
        binding: &Binding,
        budget: Cycles,
    ) -> usize {
        self.enter(context);
        let clock = &self.clocks[core];
        let started = clock.clock;
        let until = started.saturating_add(budget);
        let mut slice = Slice {
            core,
            context,
            who: Who::new(context),
            until,
            cpi_milli: self.pace.base_cpi_milli(context),
            milli: 0,
            milli_most: clock.milli_until(until),
            instructions: 0,
            settled: 0,
            last_line: clock.last_line,
            text_page: NOWHERE,
            text_mask: u32::MAX,
            fetches: 0,
            copies: 0,
            branches: 0,
        };
        // With nothing left from the start, one op is executed all the same.
        let executed = if SHADOW || slice.milli_most == 0 {
            self.run_slowly::<LEDGER, SHADOW, MULTI>(&mut slice, ops, binding)
        } else if self.pace.has_first_passes(context) {
            self.run_first_passes::<LEDGER, MULTI>(&mut slice, ops, binding)
        } else {
            self.run_alone::<LEDGER, MULTI, false>(&mut slice, ops, binding)
        };
        self.book(slice, started, executed as u64);
        executed
    }

    /// Executes ops, at least one, until all are done or the budget is used up; returns how many.
    fn run_slowly<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        slice: &mut Slice,
        ops: &[Op],
        binding: &Binding,
    ) -> usize {
        let first_passes = self.pace.has_first_passes(slice.context);
        for (place, op) in ops.iter().enumerate() {
            let line = binding.line(*op);
            match op.kind {
                OpKind::Fetch => {
                    self.fetch_op::<LEDGER, SHADOW, MULTI>(slice, line, op.count);
                    if first_passes && self.passes[slice.core].is_first(line) {
                        self.first_pass(slice);
                    }
                }
                OpKind::Load | OpKind::Store => {
                    self.data_op::<LEDGER, SHADOW, MULTI>(slice, line, op.kind == OpKind::Store);
                }
                OpKind::Copy => self.copy_op(slice, op.count),
            }
            if slice.milli >= slice.milli_most {
                return place + 1;
            }
        }
        ops.len()
    }

    /// The beginning of a string copy.
    #[cold]
    #[inline(never)]
    pub(crate) fn copy_op(&mut self, slice: &mut Slice, lines: u16) {
        slice.copies += 1;
        self.settle(slice);
        self.clocks[slice.core].begin_copy(&self.pace, slice.context, lines);
        self.renew(slice);
    }

    /// What a line costs more that was not gone through since the kernel was entered.
    pub(crate) fn first_pass(&mut self, slice: &mut Slice) {
        self.settle(slice);
        self.clocks[slice.core].first_pass(&self.pace, slice.context);
        self.renew(slice);
    }

    /// Shows the clock what was executed: before it is read or advanced by anything else.
    #[inline(always)]
    fn settle(&mut self, slice: &mut Slice) {
        self.clocks[slice.core].advance(slice.context, slice.instructions - slice.settled, slice.milli);
        slice.settled = slice.instructions;
        slice.milli = 0;
    }

    /// The clock was advanced: less is left of the budget.
    #[inline(always)]
    fn renew(&self, slice: &mut Slice) {
        slice.milli_most = self.clocks[slice.core].milli_until(slice.until);
    }

    fn book(&mut self, mut slice: Slice, started: Cycles, executed: u64) {
        let data = executed - slice.fetches - slice.copies;
        self.settle(&mut slice);
        self.clocks[slice.core].last_line = slice.last_line;
        self.leave(slice.core, slice.context, started, slice.instructions);
        let references = &mut self.machine_side.cores[slice.core].counters.modes[slice.context.mode.index()].references;
        references[Structure::L1i.index()] += slice.fetches;
        references[Structure::Itlb.index()] += slice.fetches;
        references[Structure::L1d.index()] += data;
        references[Structure::Dtlb.index()] += data;
        references[Structure::Branch.index()] += slice.branches;
    }

    /// A fetch: the branch that led here, translation, the line, its instructions, and the prefetch of the next line.
    #[inline(never)]
    pub(crate) fn fetch_op<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        slice: &mut Slice,
        line: Line,
        count: u16,
    ) {
        let last = slice.last_line;
        (slice.text_page, slice.text_mask) = (NOWHERE, u32::MAX);
        slice.fetches += 1;
        if line != last {
            slice.last_line = line;
            self.clocks[slice.core].end_copy();
            if last != NOWHERE {
                self.branch::<LEDGER, SHADOW>(slice, last, line);
            }
        }
        self.translate::<LEDGER, SHADOW, MULTI, true>(slice, line);
        if line != last {
            self.fetch_rest::<LEDGER, SHADOW, MULTI>(slice, line, count);
        } else {
            self.settle(slice);
            self.fetch_slowly::<LEDGER, SHADOW, MULTI>(slice.context, slice.core, slice.who, line);
            self.renew(slice);
            slice.executed(count);
        }
    }

    /// What is left of a fetch of another line than the last one after its translation.
    #[inline(always)]
    pub(crate) fn fetch_rest<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        slice: &mut Slice,
        line: Line,
        count: u16,
    ) {
        let hits = SHADOW && self.fetch_hits_twice(slice.core, slice.who, line);
        if !hits || self.lacks_next_anywhere(slice.core, slice.who, line) {
            self.settle(slice);
            // The next line is asked for when the fetch begins.
            let now = self.clocks[slice.core].clock;
            if !hits {
                self.fetch_slowly::<LEDGER, SHADOW, MULTI>(slice.context, slice.core, slice.who, line);
            }
            self.renew(slice);
            if self.machine_side.shape.prefetch.instruction_next_line {
                self.prefetch_next::<LEDGER, SHADOW, MULTI>(slice.core, slice.who, line, now);
            }
        }
        slice.executed(count);
    }

    /// True when neither the machine nor the shadow has anything to do for a fetch but to note the use.
    #[inline(always)]
    fn fetch_hits_twice(&mut self, core: usize, who: Who, line: Line) -> bool {
        self.machine_side.fetch_hits(core, who, line)
            && (!self.tally.takes(line) || self.shadow_side.as_mut().is_some_and(|alone| alone.fetch_hits(core, who, line)))
    }

    /// True when the machine or the shadow would prefetch the line after a fetched one.
    #[inline(always)]
    fn lacks_next_anywhere(&self, core: usize, who: Who, line: Line) -> bool {
        let lacks = |side: &Hierarchy| side.lacks_next_fetch(core, who, line);
        lacks(&self.machine_side) || (self.tally.takes(line.wrapping_add(1)) && self.shadow_side.as_deref().is_some_and(lacks))
    }

    /// A fetch that misses in the machine or in the shadow.
    #[inline(never)]
    fn fetch_slowly<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        context: Context,
        core: usize,
        who: Who,
        line: Line,
    ) {
        let now = self.clocks[core].clock;
        let access = self.machine_side.fetch::<LEDGER, MULTI>(core, who, line, now);
        if SHADOW
            && self.tally.takes(line)
            && let Some(alone) = &mut self.shadow_side
        {
            let alone = alone.fetch::<false, MULTI>(core, who, line, now);
            self.tally.compare(who.mode, line, missed_of(&access), missed_of(&alone));
        }
        if let Some(access) = access {
            let stalls = self.clocks[core].wait_for_fetch(&self.pace, context, &access);
            if LEDGER {
                self.charge(who, Structure::L1i, &access, stalls);
            }
        }
    }

    /// The prefetch of the line after a fetched one.
    #[inline(always)]
    fn prefetch_next<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        core: usize,
        who: Who,
        line: Line,
        now: Cycles,
    ) {
        if self.machine_side.lacks_next_fetch(core, who, line) {
            self.machine_side.start_next_fetch::<LEDGER, MULTI>(core, who, line, now);
        }
        if SHADOW
            && self.tally.takes(line.wrapping_add(1))
            && let Some(alone) = &mut self.shadow_side
            && alone.lacks_next_fetch(core, who, line)
        {
            alone.start_next_fetch::<false, MULTI>(core, who, line, now);
        }
    }

    /// The prefetch of the line after a fetched one that is known to be absent.
    #[inline(always)]
    pub(crate) fn start_prefetch<const LEDGER: bool, const MULTI: bool>(&mut self, slice: &mut Slice, line: Line) {
        self.settle(slice);
        let now = self.clocks[slice.core].clock;
        self.machine_side.start_next_fetch::<LEDGER, MULTI>(slice.core, slice.who, line, now);
        self.renew(slice);
    }

    /// A load or a store: translation, then the line.
    #[inline(never)]
    pub(crate) fn data_op<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        slice: &mut Slice,
        line: Line,
        store: bool,
    ) {
        self.translate::<LEDGER, SHADOW, MULTI, false>(slice, line);
        self.data_rest::<LEDGER, SHADOW, MULTI>(slice, line, store);
    }

    /// What is left of a load or a store after its translation.
    #[inline(always)]
    pub(crate) fn data_rest<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        slice: &mut Slice,
        line: Line,
        store: bool,
    ) {
        if SHADOW && self.data_hits_twice(slice.core, slice.who, line, store) {
            return;
        }
        self.settle(slice);
        self.data_slowly::<LEDGER, SHADOW, MULTI>(slice.context, slice.core, slice.who, line, store);
        self.renew(slice);
    }

    /// True when neither the machine nor the shadow has anything to do for a data access but to note the use.
    #[inline(always)]
    fn data_hits_twice(&mut self, core: usize, who: Who, line: Line, store: bool) -> bool {
        let hits = |side: &mut Hierarchy| side.data_hits(core, who, line, store);
        hits(&mut self.machine_side) && (!self.tally.takes(line) || self.shadow_side.as_deref_mut().is_some_and(hits))
    }

    /// A data access that misses or has to be the first owner, or one that misses in the shadow.
    #[inline(never)]
    fn data_slowly<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        context: Context,
        core: usize,
        who: Who,
        line: Line,
        store: bool,
    ) {
        let access = self.machine_side.data::<LEDGER, MULTI>(core, who, line, store);
        if SHADOW
            && self.tally.takes(line)
            && let Some(alone) = &mut self.shadow_side
        {
            let alone = alone.data::<false, MULTI>(core, who, line, store);
            self.tally.compare(who.mode, line, missed_of(&access), missed_of(&alone));
        }
        let Some(access) = access else { return };
        let clock = &mut self.clocks[core];
        let stalls = if store {
            clock.wait_for_ownership(&self.pace, context, &access)
        } else {
            clock.wait_for_load(&self.pace, context, &access)
        };
        if LEDGER {
            self.charge(who, Structure::L1d, &access, stalls);
        }
    }

    /// Books the stalls of an access to the evictors of its misses.
    fn charge(&mut self, who: Who, first: Structure, access: &Access, stalls: [Cycles; 3]) {
        let structures = [first, Structure::L2, Structure::L3];
        for ((structure, evictor), cycles) in structures.into_iter().zip(access.evictors).zip(stalls) {
            if cycles > 0 {
                self.machine_side.ledger.stall(structure, who.mode, evictor, cycles);
            }
        }
    }

    /// A change of line that may be a branch.
    #[inline(always)]
    fn branch<const LEDGER: bool, const SHADOW: bool>(&mut self, slice: &mut Slice, from: Line, to: Line) {
        let Slice { core, who, .. } = *slice;
        let prediction = self.machine_side.branch(core, who, from, to);
        if SHADOW && let Some(alone) = &mut self.shadow_side {
            let missed = |side: Prediction| if matches!(side, Prediction::Wrong(_)) { one_miss(Structure::Branch) } else { 0 };
            let alone = alone.branch(core, who, from, to);
            self.tally.compare(who.mode, from, missed(prediction), missed(alone));
        }
        slice.branches += u64::from(prediction != Prediction::None);
        if let Prediction::Wrong(wrong) = prediction {
            self.settle(slice);
            self.mispredict::<LEDGER>(slice.context, core, who, wrong);
            self.renew(slice);
        }
    }

    #[inline(never)]
    fn mispredict<const LEDGER: bool>(&mut self, context: Context, core: usize, who: Who, wrong: Mispredicted) {
        self.machine_side.count_miss::<LEDGER>(core, who, Structure::Branch, wrong.evictor);
        let cycles = self.clocks[core].wait_for_branch(&self.pace, context, wrong);
        if LEDGER {
            self.machine_side.ledger.stall(Structure::Branch, who.mode, wrong.evictor, cycles);
        }
    }

    #[inline(always)]
    fn translate<const LEDGER: bool, const SHADOW: bool, const MULTI: bool, const FETCH: bool>(
        &mut self,
        slice: &mut Slice,
        line: Line,
    ) {
        let Slice { core, who, .. } = *slice;
        let hit = self.machine_side.page_hits::<FETCH>(core, who, line);
        let hits_alone = !SHADOW || self.shadow_side.as_mut().is_some_and(|alone| alone.page_hits::<FETCH>(core, who, line));
        if !hit || !hits_alone {
            self.settle(slice);
            self.translate_slowly::<LEDGER, SHADOW, MULTI, FETCH>(slice.context, core, who, line, hit);
            self.renew(slice);
        }
    }

    /// A translation that misses in the machine or in the shadow.
    #[inline(never)]
    fn translate_slowly<const LEDGER: bool, const SHADOW: bool, const MULTI: bool, const FETCH: bool>(
        &mut self,
        context: Context,
        core: usize,
        who: Who,
        line: Line,
        hit: bool,
    ) {
        let translation = (!hit).then(|| self.machine_side.translate::<LEDGER, MULTI, FETCH>(core, who, line));
        if SHADOW {
            self.translate_alone::<MULTI, FETCH>(core, who, line, translation.as_ref());
        }
        let Some(translation) = translation else { return };
        let [front, second] = self.clocks[core].wait_for_translation(&self.pace, context, &translation);
        if LEDGER {
            let ledger = &mut self.machine_side.ledger;
            ledger.stall(translation.front, who.mode, translation.front_evictor, front);
            if let Some((_, evictor)) = translation.second {
                ledger.stall(Structure::Stlb, who.mode, evictor, second);
            }
        }
    }

    /// The shadow's translation of the same line. Walks of one line read the same page-table lines, the leaf first, so that the reads of
    /// both sides compare one by one.
    fn translate_alone<const MULTI: bool, const FETCH: bool>(
        &mut self,
        core: usize,
        who: Who,
        line: Line,
        machine: Option<&Translation>,
    ) {
        let Some(alone) = &mut self.shadow_side else { return };
        let hit = alone.page_hits::<FETCH>(core, who, line);
        let alone = (!hit).then(|| alone.translate::<false, MULTI, FETCH>(core, who, line));
        if machine.is_none() && alone.is_none() {
            return;
        }
        let missed = |side: Option<&Translation>| side.map_or(0, |translation| translation.missed);
        self.tally.compare(who.mode, line, missed(machine), missed(alone.as_ref()));
        let read = |side: Option<&Translation>, index: usize| {
            side.filter(|translation| index < translation.walk_reads).map(|translation| translation.walk[index])
        };
        for index in 0..4 {
            let sides = [read(machine, index), read(alone.as_ref(), index)];
            let Some(table) = sides[0].or(sides[1]).map(|read| read.line) else { break };
            if self.tally.takes(table) {
                let [machine, alone] = sides.map(|read| read.map_or(0, |read| read.missed));
                self.tally.compare(who.mode, table, machine, alone);
            }
        }
    }
}
