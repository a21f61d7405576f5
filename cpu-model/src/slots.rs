//! The slots of a set-associative structure: which key each holds, and which one goes when a key comes.
//! Where a key is, whoever owns the slots remembers by key: nothing here is ever searched for one.

use crate::machine::Replacement;
use crate::order::Order;

/// An empty slot. Keys are below 2^31.
pub const EMPTY: u32 = u32::MAX;

/// Keys by slot: set x lanes + lane. A set has a power of two of lanes; those beyond the ways are never filled.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    keys: Vec<u32>,
    order: Order,
    /// Ways that are empty, all sets together.
    vacant: usize,
    ways: usize,
    lanes: usize,
    sets: u32,
    /// `sets - 1` when that is a power of two; else the remainder is taken.
    mask: Option<u32>,
}

impl Slots {
    /// Slots for `entries` keys; with 0 entries none may be filled.
    pub fn new(entries: u32, ways: u32, replacement: Replacement) -> Slots {
        let ways = ways.max(1) as usize;
        let lanes = ways.next_power_of_two();
        let sets = entries / ways as u32;
        Slots {
            keys: vec![EMPTY; sets as usize * lanes],
            order: Order::new(replacement, sets as usize, ways, lanes),
            vacant: sets as usize * ways,
            ways,
            lanes,
            sets,
            mask: sets.is_power_of_two().then(|| sets - 1),
        }
    }

    /// True when there are no slots at all.
    #[inline]
    pub fn is_absent(&self) -> bool {
        self.sets == 0
    }

    #[inline(always)]
    fn set(&self, key: u32) -> usize {
        match self.mask {
            Some(mask) => (key & mask) as usize,
            None => (key % self.sets) as usize,
        }
    }

    /// The key in a slot was used.
    #[inline(always)]
    pub fn used(&mut self, slot: usize) {
        self.order.used(slot);
    }

    /// Fills in a key that is not there; returns its slot and the key that had to go ([`EMPTY`] when a way was free).
    #[inline(always)]
    pub fn fill(&mut self, key: u32) -> (usize, u32) {
        let first = self.set(key) * self.lanes;
        let lane = match &self.order {
            Order::Stamps(stamps) => stamps.victim(first),
            Order::Trees(trees) => self.free_lane(first).unwrap_or_else(|| trees.victim(first)),
        };
        let slot = first + lane;
        let victim = std::mem::replace(&mut self.keys[slot], key);
        self.vacant -= usize::from(victim == EMPTY);
        self.order.used(slot);
        (slot, victim)
    }

    #[inline(always)]
    fn free_lane(&self, first: usize) -> Option<usize> {
        if self.vacant == 0 {
            return None;
        }
        self.keys[first..first + self.ways].iter().position(|key| *key == EMPTY)
    }

    /// Empties a slot.
    pub fn empty(&mut self, slot: usize) {
        self.keys[slot] = EMPTY;
        self.vacant += 1;
        self.order.emptied(slot);
    }

    /// Number of slots, those that are never filled included.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The key in a slot, or [`EMPTY`].
    pub fn key(&self, slot: usize) -> u32 {
        self.keys[slot]
    }
}
