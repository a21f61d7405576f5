//! What happens behind the first level: second level, last level, memory, and the prefetchers that fill the second level.

use crate::counters::Structure;
use crate::hierarchy::{Hierarchy, Missed, PendingFetch, Source, Who};
use crate::tags::{EMPTY, HIT, key_of};
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
    pub fn below<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32, demand: bool) -> Below {
        let mode = who.mode.index();
        let part = &mut self.cores[core];
        if demand {
            part.counters.modes[mode].references[Structure::L2.index()] += 1;
        }
        let level = &mut part.l2[mode & self.shape.masks.l2];
        let victim = if level.tags.is_recent(physical) { HIT } else { level.touch::<LEDGER>(physical, who.agent) };
        let mut below = Below { latency: self.shape.l2_cycles, source: Source::L2, missed: 0, evictors: [0; 2] };
        if victim != HIT {
            if demand {
                below.evictors[0] = level.evictor_of::<LEDGER>(physical);
                below.missed = self.count_miss::<LEDGER>(core, who, Structure::L2, below.evictors[0]);
            }
            self.shared::<LEDGER, MULTI>(core, who, physical, demand, &mut below);
            self.leave_l2::<LEDGER>(core, who, victim);
        }
        if MULTI {
            self.directory.add(physical, core);
        }
        if victim != HIT && demand && self.shape.prefetch.l2_adjacent {
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
        let shared = self.domain(core) * 2 + (who.mode.index() & self.shape.masks.l3);
        if demand {
            self.cores[core].counters.modes[who.mode.index()].references[Structure::L3.index()] += 1;
        }
        let found = if self.is_victim() {
            self.take_up::<LEDGER, MULTI>(core, who, physical, shared)
        } else {
            self.touch_inclusive::<LEDGER, MULTI>(core, who, physical, shared)
        };
        if !found && demand {
            below.evictors[1] = self.l3[shared].evictor_of::<LEDGER>(physical);
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

    fn touch_inclusive<const LEDGER: bool, const MULTI: bool>(
        &mut self,
        core: usize,
        who: Who,
        physical: u32,
        shared: usize,
    ) -> bool {
        let victim = self.l3[shared].touch::<LEDGER>(physical, who.agent);
        if victim != HIT && victim != EMPTY {
            self.back_invalidate::<LEDGER, MULTI>(core, who, key_of(victim));
        }
        victim == HIT
    }

    /// A hit in a victim cache moves the line up, unless another core shares it. From then on it is absent here because of the agent
    /// that took it up.
    fn take_up<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32, shared: usize) -> bool {
        if !self.l3[shared].tags.contains(physical) {
            return false;
        }
        if MULTI && self.neighbour_holds(core, physical) {
            self.l3[shared].tags.touch(physical);
        } else {
            self.l3[shared].take::<LEDGER>(physical, who.agent);
        }
        true
    }

    /// Brings a frame line into the second level unless it is there or another core has written it.
    pub fn prefetch_l2<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32) {
        let level = &self.cores[core].l2[who.mode.index() & self.shape.masks.l2];
        if level.tags.contains(physical) || (MULTI && self.directory.other_owner(physical, core).is_some()) {
            return;
        }
        self.below::<LEDGER, MULTI>(core, who, physical, false);
    }

    /// A data access reached the second level: the streamer may see a stream and run ahead of it.
    pub fn stream<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32) {
        if let Some(next) = self.cores[core].streams.observe(physical) {
            self.prefetch_l2::<LEDGER, MULTI>(core, who, next);
        }
    }

    /// Asks for the line after `line` when it lies in the same page. It arrives after the latency of where it was.
    #[inline(always)]
    pub fn prefetch_next_fetch<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, line: Line, now: u64) {
        let next = line.wrapping_add(1);
        if next.is_multiple_of(PAGE_LINES) {
            return;
        }
        let level = &self.cores[core].l1i[who.mode.index() & self.shape.masks.l1i];
        if !level.tags.contains(next) {
            self.start_next_fetch::<LEDGER, MULTI>(core, who, next, now);
        }
    }

    fn start_next_fetch<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, next: Line, now: u64) {
        let physical = self.frames.physical(next);
        if MULTI && self.directory.other_owner(physical, core).is_some() {
            return;
        }
        let instance = who.mode.index() & self.shape.masks.l1i;
        let level = &mut self.cores[core].l1i[instance];
        let evictor = level.evictor_of::<LEDGER>(next);
        level.touch::<LEDGER>(next, who.agent);
        let below = self.below::<LEDGER, MULTI>(core, who, physical, false);
        self.cores[core].pending =
            PendingFetch { line: next, ready_at: now + u64::from(below.latency), source: below.source, evictor };
    }
}
