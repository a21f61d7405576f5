//! Which cores may hold a line, and which one wrote it last. Skipped entirely with one core.
//!
//! A core's bit is set when it fills the line and cleared when it loses it to a write, to a lost last-level copy, or when somebody asks
//! and finds it gone: like the core-valid bits of Nehalem's last level, it does not follow silent evictions.

use crate::hierarchy::{Hierarchy, Who};
use crate::machine::SharedPolicy;
use crate::paged::Paged;
use crate::slots::EMPTY;
use sim_core::context::Agent;
use sim_core::ids::Line;

/// Sharers and last writers by frame line.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    sharers: Paged<u64>,
    /// Core + 1; 0 for none.
    owner: Paged<u8>,
    cores: usize,
}

impl Directory {
    pub fn new(cores: usize) -> Directory {
        Directory { sharers: Paged::new(0), owner: Paged::new(0), cores }
    }

    /// A core filled the line.
    #[inline]
    pub fn add(&mut self, physical: u32, core: usize) {
        *self.sharers.entry(physical) |= 1 << core;
    }

    fn remove(&mut self, physical: u32, core: usize) {
        *self.sharers.entry(physical) &= !(1 << core);
    }

    /// Another core that wrote the line last and was not asked for it since.
    pub fn other_owner(&self, physical: u32, core: usize) -> Option<usize> {
        let owner = usize::from(self.owner.get(physical)).checked_sub(1)?;
        (owner != core).then_some(owner)
    }

    /// Cores that may hold the line, in order.
    fn holders(&self, physical: u32) -> impl Iterator<Item = usize> + use<> {
        let mut mask = if self.cores == 1 { 1 } else { self.sharers.get(physical) };
        std::iter::from_fn(move || {
            let core = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
            mask &= mask - 1;
            Some(core)
        })
    }
}

impl Hierarchy {
    /// The last-level cache above a core.
    #[inline(always)]
    pub fn domain(&self, core: usize) -> usize {
        core / self.shape.shared_by
    }

    fn transfer_latency(&self, core: usize, other: usize) -> u32 {
        if self.domain(core) == self.domain(other) { self.shape.transfer_cycles } else { self.shape.transfer_far_cycles }
    }

    /// True when a private cache of the core holds the line.
    fn holds(&self, core: usize, line: Line, physical: u32) -> bool {
        let part = &self.cores[core];
        let at = |levels: &[crate::level::Level; 2], key: u32| levels.iter().any(|level| level.contains(key));
        at(&part.l1d, line) || at(&part.l1i, line) || at(&part.l2, physical)
    }

    /// Takes the line out of the private caches of a core, or of those of one instance where modes are apart below as above.
    /// Returns whether it was there.
    fn take_from_core(&mut self, core: usize, line: Line, physical: u32, agent: u16, only: Option<usize>) -> bool {
        let masks = self.shape.masks;
        let part = &mut self.cores[core];
        let mut found = false;
        for (levels, mask, key) in
            [(&mut part.l1i, masks.l1i, line), (&mut part.l1d, masks.l1d, line), (&mut part.l2, masks.l2, physical)]
        {
            for (instance, level) in levels.iter_mut().enumerate() {
                let spared = mask == 1 && only.is_some_and(|only| only != instance);
                if !spared && level.take(key, agent) {
                    found = true;
                }
            }
        }
        found
    }

    /// The inclusive last level lost a line: so do the private caches below it.
    pub fn back_invalidate<const MULTI: bool>(&mut self, core: usize, who: Who, physical: u32) {
        let line = self.frames.simulated(physical);
        let domain = self.domain(core);
        let only = (self.shape.masks.l3 == 1).then_some(who.code);
        if !MULTI {
            self.take_from_core(core, line, physical, who.agent, only);
            return;
        }
        for other in self.directory.holders(physical) {
            if self.domain(other) != domain {
                continue;
            }
            let agent = if other == core { who.agent } else { Agent::COHERENCE.0 };
            self.take_from_core(other, line, physical, agent, only);
            if only.is_some() {
                // The other mode's caches may still hold the line.
                continue;
            }
            self.directory.remove(physical, other);
            let owner = self.directory.owner.entry(physical);
            if usize::from(*owner) == other + 1 {
                *owner = 0;
            }
        }
    }

    /// A read asks the core that wrote the line last: if it still has it written, the line comes from there and both share it.
    pub fn ask_owner(&mut self, core: usize, physical: u32) -> Option<u32> {
        let owner = self.directory.other_owner(physical, core)?;
        *self.directory.owner.entry(physical) = 0;
        let line = self.frames.simulated(physical);
        let part = &mut self.cores[owner];
        let mut written = false;
        for (levels, key) in [(&mut part.l1d, line), (&mut part.l2, physical)] {
            for level in levels {
                written |= level.set_flag(key, false) == Some(true);
            }
        }
        written.then(|| self.transfer_latency(core, owner))
    }

    /// True when another core under the same last level really holds the line; forgets those that don't.
    pub fn neighbour_holds(&mut self, core: usize, physical: u32) -> bool {
        let line = self.frames.simulated(physical);
        let mut found = false;
        for other in self.directory.holders(physical) {
            if other == core || self.domain(other) != self.domain(core) {
                continue;
            }
            if self.holds(other, line, physical) {
                found = true;
            } else {
                self.directory.remove(physical, other);
            }
        }
        found
    }

    /// A store makes the core the only holder. Returns the latency of the invalidations if another core held the line.
    pub fn own(&mut self, core: usize, line: Line, physical: u32) -> Option<u32> {
        let mut latency = None;
        for other in self.directory.holders(physical) {
            if other != core && self.take_from_core(other, line, physical, Agent::COHERENCE.0, None) {
                latency = latency.max(Some(self.transfer_latency(core, other)));
            }
        }
        let mine = self.domain(core) * 2;
        for (index, level) in self.l3.iter_mut().enumerate() {
            if index / 2 * 2 != mine {
                level.take(physical, Agent::COHERENCE.0);
            }
        }
        *self.directory.sharers.entry(physical) = 1 << core;
        *self.directory.owner.entry(physical) = core as u8 + 1;
        latency
    }

    /// True when the last level is a victim cache.
    #[inline(always)]
    pub fn is_victim(&self) -> bool {
        self.shape.policy == SharedPolicy::Victim
    }

    /// A dirty line leaves the first-level data cache: the second level has the newest copy from now on.
    pub fn write_back(&mut self, core: usize, who: Who, line: Line) {
        let physical = self.frames.physical(line);
        let level = &mut self.cores[core].l2[who.code & self.shape.masks.l2];
        if level.set_flag(physical, true).is_some() {
            return;
        }
        let filled = level.fill(physical, who.agent);
        level.set_flag(physical, true);
        self.leave_l2(core, who, filled.victim);
    }

    /// Where a line goes that the second level gave up: into a victim last level, else nowhere.
    pub fn leave_l2(&mut self, core: usize, who: Who, victim: u32) {
        if victim == EMPTY || !self.is_victim() {
            return;
        }
        let shared = self.domain(core) * 2 + (who.code & self.shape.masks.l3);
        self.l3[shared].touch(victim, who.agent);
    }
}
