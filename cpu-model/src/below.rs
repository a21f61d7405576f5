//! What happens behind the first level: second level, last level, memory, and the prefetchers that fill the second level.

use crate::counters::Structure;
use crate::hierarchy::{Hierarchy, Missed, PendingFetch, Source, Who};
use crate::slots::EMPTY;
use sim_core::ids::{Line, PAGE_LINES};

/// Outcome of an access behind the first level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Below {
    pub latency: u32,
    pub source: Source,
    pub missed: Missed,
    /// Evictors of the second-level and the last-level miss.
    pub evictors: [u16; 2],
}

impl Hierarchy {
    fn latency(&self, source: Source) -> u32 {
        match source {
            Source::L2 => self.shape.l2_cycles,
            Source::L3 => self.shape.l3_cycles,
            Source::Memory => self.shape.memory_cycles,
            Source::Transfer => self.shape.transfer_cycles,
        }
    }

    /// Reads a frame line through the second level and fills it. Only demand accesses count and prefetch.
    #[inline(always)]
    pub fn below<const LEDGER: bool, const MULTI: bool, const DEMAND: bool>(
        &mut self,
        core: usize,
        who: Who,
        physical: u32,
    ) -> Below {
        let mode = who.mode.index();
        let part = &mut self.cores[core];
        if DEMAND {
            part.counters.modes[mode].references[Structure::L2.index()] += 1;
        }
        if !part.l2[who.code & self.shape.masks.l2].hit(physical) {
            return self.below_missed::<LEDGER, MULTI, DEMAND>(core, who, physical);
        }
        if MULTI {
            self.directory.add(physical, core);
        }
        Below { latency: self.shape.l2_cycles, source: Source::L2, missed: 0, evictors: [0; 2] }
    }

    #[inline(never)]
    fn below_missed<const LEDGER: bool, const MULTI: bool, const DEMAND: bool>(
        &mut self,
        core: usize,
        who: Who,
        physical: u32,
    ) -> Below {
        let mut below = Below { latency: 0, source: Source::L3, missed: 0, evictors: [0; 2] };
        let filled = self.cores[core].l2[who.code & self.shape.masks.l2].fill(physical, who.agent);
        if DEMAND {
            below.evictors[0] = filled.evictor;
            below.missed = self.count_miss::<LEDGER>(core, who, Structure::L2, filled.evictor);
        }
        self.shared::<LEDGER, MULTI>(core, who, physical, DEMAND, &mut below);
        self.leave_l2(core, who, filled.victim);
        if MULTI {
            self.directory.add(physical, core);
        }
        if DEMAND && self.shape.prefetch.l2_adjacent {
            self.prefetch_l2::<LEDGER, MULTI>(core, who, physical ^ 1);
        }
        below
    }

    /// The last level, other cores, memory.
    fn shared<const LEDGER: bool, const MULTI: bool>(
        &mut self,
        core: usize,
        who: Who,
        physical: u32,
        demand: bool,
        below: &mut Below,
    ) {
        let transfer = if MULTI { self.ask_owner(core, physical) } else { None };
        let shared = self.domain(core) * 2 + (who.code & self.shape.masks.l3);
        if demand {
            self.cores[core].counters.modes[who.mode.index()].references[Structure::L3.index()] += 1;
        }
        let evictor = if self.is_victim() {
            self.take_up::<MULTI>(core, who, physical, shared)
        } else {
            self.touch_inclusive::<MULTI>(core, who, physical, shared)
        };
        let found = evictor.is_none();
        if let Some(evictor) = evictor.filter(|_| demand) {
            below.evictors[1] = evictor;
            below.missed += self.count_miss::<LEDGER>(core, who, Structure::L3, below.evictors[1]);
        }
        below.source = if found { Source::L3 } else { Source::Memory };
        below.latency = self.latency(below.source);
        if let Some(latency) = transfer {
            below.source = Source::Transfer;
            below.latency = latency;
        } else if MULTI && !found && self.is_victim() && self.neighbour_holds(core, physical) {
            below.source = Source::Transfer;
            below.latency = self.shape.transfer_cycles;
        }
    }

    /// Returns the evictor of a miss.
    fn touch_inclusive<const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32, shared: usize) -> Option<u16> {
        let filled = self.l3[shared].touch(physical, who.agent)?;
        if filled.victim != EMPTY {
            self.back_invalidate::<MULTI>(core, who, filled.victim);
        }
        Some(filled.evictor)
    }

    /// A hit in a victim cache moves the line up, unless another core shares it. From then on it is absent here because of the agent
    /// that took it up. Returns the evictor of a miss.
    fn take_up<const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32, shared: usize) -> Option<u16> {
        let state = self.l3[shared].state(physical);
        if !state.is_present() {
            return Some(state.evictor());
        }
        if MULTI && self.neighbour_holds(core, physical) {
            self.l3[shared].used(state);
        } else {
            self.l3[shared].take(physical, who.agent);
        }
        None
    }

    /// Brings a frame line into the second level unless it is there or another core has written it.
    pub fn prefetch_l2<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32) {
        let level = &self.cores[core].l2[who.code & self.shape.masks.l2];
        if level.contains(physical) || (MULTI && self.directory.other_owner(physical, core).is_some()) {
            return;
        }
        self.below_missed::<LEDGER, MULTI, false>(core, who, physical);
    }

    /// A data access reached the second level: the streamer may see a stream and run ahead of it.
    pub fn stream<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32) {
        if let Some(next) = self.cores[core].streams.observe(physical) {
            self.prefetch_l2::<LEDGER, MULTI>(core, who, next);
        }
    }

    /// True when the line after `line` lies in the same page and is not in the first level: then it is prefetched.
    #[inline(always)]
    pub fn lacks_next_fetch(&self, core: usize, who: Who, line: Line) -> bool {
        let next = line.wrapping_add(1);
        let level = &self.cores[core].l1i[who.code & self.shape.masks.l1i];
        // One condition: where pages end can't be predicted apart from it.
        !level.contains(next) & !next.is_multiple_of(PAGE_LINES)
    }

    /// Asks for the line after `line`, which arrives after the latency of where it was.
    #[inline(never)]
    pub fn start_next_fetch<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, line: Line, now: u64) {
        let next = line.wrapping_add(1);
        let physical = self.frames.physical(next);
        if MULTI && self.directory.other_owner(physical, core).is_some() {
            return;
        }
        let instance = who.code & self.shape.masks.l1i;
        let level = &mut self.cores[core].l1i[instance];
        let evictor = level.fill(next, who.agent).evictor;
        let below = self.below::<LEDGER, MULTI, false>(core, who, physical);
        self.cores[core].pending =
            PendingFetch { line: next, ready_at: now + u64::from(below.latency), source: below.source, evictor };
    }
}
