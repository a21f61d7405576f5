//! A tag array together with the memory of who pushed each absent key out.

use crate::machine::Replacement;
use crate::paged::Paged;
use crate::tags::{EMPTY, HIT, TagArray, key_of};
use sim_core::context::Agent;

/// One structure instance: tags, and per absent key the agent that pushed it out.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    pub tags: TagArray,
    pub evictor: Paged<u16>,
}

impl Level {
    pub fn new(entries: u32, ways: u32, replacement: Replacement) -> Level {
        Level { tags: TagArray::new(entries, ways, replacement), evictor: Paged::new(Agent::NEVER.0) }
    }

    /// Touches or fills a key; the fill's victim gets `agent` as its evictor. Returns [`HIT`] or the victim.
    #[inline(always)]
    pub fn touch<const LEDGER: bool>(&mut self, key: u32, agent: u16) -> u32 {
        let outcome = self.tags.touch(key);
        if LEDGER && outcome != HIT && outcome != EMPTY {
            *self.evictor.entry(key_of(outcome)) = agent;
        }
        outcome
    }

    /// Takes a key out on behalf of `agent`; returns the tag it had.
    #[inline]
    pub fn take<const LEDGER: bool>(&mut self, key: u32, agent: u16) -> Option<u32> {
        let tag = self.tags.remove(key)?;
        if LEDGER {
            *self.evictor.entry(key) = agent;
        }
        Some(tag)
    }

    /// Who pushed an absent key out.
    #[inline(always)]
    pub fn evictor_of<const LEDGER: bool>(&self, key: u32) -> u16 {
        if LEDGER { self.evictor.get(key) } else { 0 }
    }

    /// Flushes all tags for which `goes` holds.
    pub fn flush<const LEDGER: bool>(&mut self, goes: impl Fn(u32) -> bool) {
        let evictor = &mut self.evictor;
        self.tags.remove_where(goes, |tag| {
            if LEDGER {
                *evictor.entry(key_of(tag)) = Agent::FLUSH.0;
            }
        });
    }
}
