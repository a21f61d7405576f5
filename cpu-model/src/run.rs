//! The hot loop: ops through the structures, with the clock behind them.
//!
//! Compiled once for each combination of ledger, shadow and more than one core, so that what a run does not ask for costs nothing.

use crate::counters::Structure;
use crate::cpu::{Cpu, CpuOptions};
use crate::hierarchy::{Access, Missed, NOWHERE, Who, one_miss};
use crate::shadow::Shadow;
use crate::tlb::Translation;
use sim_core::block::{Binding, Op, OpKind};
use sim_core::context::Context;
use sim_core::ids::{CoreId, Cycles, Line};

/// Counts that are booked once per slice.
#[derive(Default)]
struct Slice {
    instructions: u64,
    fetches: u64,
    data: u64,
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
        self.enter(core, context);
        let who = Who::new(context);
        let started = self.clocks[core].clock;
        let until = started.saturating_add(budget);
        let mut slice = Slice::default();
        let mut executed = 0;
        for op in ops {
            let line = binding.line(*op);
            match op.kind {
                OpKind::Fetch => {
                    slice.fetches += 1;
                    slice.instructions += u64::from(op.count);
                    self.fetch_op::<LEDGER, SHADOW, MULTI>(core, context, who, line, op.count);
                }
                OpKind::Load | OpKind::Store => {
                    slice.data += 1;
                    self.data_op::<LEDGER, SHADOW, MULTI>(core, context, who, line, op.kind == OpKind::Store);
                }
                OpKind::Copy => self.clocks[core].begin_copy(&self.pace, context, op.count),
            }
            executed += 1;
            if self.clocks[core].clock >= until {
                break;
            }
        }
        self.book(core, context, started, slice);
        executed
    }

    fn book(&mut self, core: usize, context: Context, started: Cycles, slice: Slice) {
        self.leave(core, context, started, slice.instructions);
        let references = &mut self.machine_side.cores[core].counters.modes[context.mode.index()].references;
        references[Structure::L1i.index()] += slice.fetches;
        references[Structure::Itlb.index()] += slice.fetches;
        references[Structure::L1d.index()] += slice.data;
        references[Structure::Dtlb.index()] += slice.data;
    }

    /// A fetch: the branch that led here, translation, the line, its instructions, and the prefetch of the next line.
    #[inline(always)]
    fn fetch_op<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        core: usize,
        context: Context,
        who: Who,
        line: Line,
        instructions: u16,
    ) {
        let last = self.clocks[core].last_line;
        if line != last {
            self.clocks[core].last_line = line;
            self.clocks[core].end_copy();
            if last != NOWHERE {
                self.branch::<LEDGER, SHADOW>(core, context, who, last, line);
            }
        }
        self.translate::<LEDGER, SHADOW, MULTI, true>(core, context, who, line);
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
            self.wait_for_fetch::<LEDGER>(core, context, who, &access);
        }
        if self.machine_side.shape.prefetch.instruction_next_line && line != last {
            self.machine_side.prefetch_next_fetch::<LEDGER, MULTI>(core, who, line, now);
            if SHADOW
                && self.tally.takes(line.wrapping_add(1))
                && let Some(alone) = &mut self.shadow_side
            {
                alone.prefetch_next_fetch::<false, MULTI>(core, who, line, now);
            }
        }
        self.clocks[core].execute(&self.pace, context, u64::from(instructions));
    }

    fn wait_for_fetch<const LEDGER: bool>(&mut self, core: usize, context: Context, who: Who, access: &Access) {
        let stalls = self.clocks[core].wait_for_fetch(&self.pace, context, access);
        if LEDGER {
            self.charge(who, Structure::L1i, access, stalls);
        }
    }

    /// A load or a store: translation, then the line.
    #[inline(always)]
    fn data_op<const LEDGER: bool, const SHADOW: bool, const MULTI: bool>(
        &mut self,
        core: usize,
        context: Context,
        who: Who,
        line: Line,
        store: bool,
    ) {
        self.translate::<LEDGER, SHADOW, MULTI, false>(core, context, who, line);
        let access = self.machine_side.data::<LEDGER, MULTI>(core, who, line, store);
        if SHADOW
            && self.tally.takes(line)
            && let Some(alone) = &mut self.shadow_side
        {
            let alone = alone.data::<false, MULTI>(core, who, line, store);
            self.tally.compare(who.mode, line, missed_of(&access), missed_of(&alone));
        }
        if let Some(access) = access {
            self.wait_for_data::<LEDGER>(core, context, who, &access, store);
        }
    }

    fn wait_for_data<const LEDGER: bool>(&mut self, core: usize, context: Context, who: Who, access: &Access, store: bool) {
        let clock = &mut self.clocks[core];
        let stalls = if store {
            clock.wait_for_ownership(&self.pace, context, access)
        } else {
            clock.wait_for_load(&self.pace, context, access)
        };
        if LEDGER {
            self.charge(who, Structure::L1d, access, stalls);
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

    #[inline(always)]
    fn branch<const LEDGER: bool, const SHADOW: bool>(&mut self, core: usize, context: Context, who: Who, from: Line, to: Line) {
        let wrong = self.machine_side.branch::<LEDGER>(core, who, from, to);
        if SHADOW && let Some(alone) = &mut self.shadow_side {
            let missed = |wrong: bool| if wrong { one_miss(Structure::Branch) } else { 0 };
            let alone = alone.branch::<false>(core, who, from, to);
            self.tally.compare(who.mode, from, missed(wrong.is_some()), missed(alone.is_some()));
        }
        if let Some(wrong) = wrong {
            let cycles = self.clocks[core].wait_for_branch(&self.pace, context, wrong);
            if LEDGER {
                self.machine_side.ledger.stall(Structure::Branch, who.mode, wrong.evictor, cycles);
            }
        }
    }

    #[inline(always)]
    fn translate<const LEDGER: bool, const SHADOW: bool, const MULTI: bool, const FETCH: bool>(
        &mut self,
        core: usize,
        context: Context,
        who: Who,
        line: Line,
    ) {
        let translation = self.machine_side.translate::<LEDGER, MULTI, FETCH>(core, who, line);
        if SHADOW {
            self.translate_alone::<MULTI, FETCH>(core, who, line, translation.as_ref());
        }
        if let Some(translation) = translation {
            self.wait_for_translation::<LEDGER>(core, context, who, &translation);
        }
    }

    #[cold]
    fn wait_for_translation<const LEDGER: bool>(&mut self, core: usize, context: Context, who: Who, translation: &Translation) {
        let [front, second] = self.clocks[core].wait_for_translation(&self.pace, context, translation);
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
    #[inline(always)]
    fn translate_alone<const MULTI: bool, const FETCH: bool>(
        &mut self,
        core: usize,
        who: Who,
        line: Line,
        machine: Option<&Translation>,
    ) {
        let Some(alone) = &mut self.shadow_side else { return };
        let alone = alone.translate::<false, MULTI, FETCH>(core, who, line);
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
