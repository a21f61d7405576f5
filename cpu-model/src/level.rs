//! A set-associative structure of 32-bit keys: cache, TLB, paging-structure cache.
//!
//! For each key there is one word: where it is, or who pushed it out. So a lookup compares no tags and does not depend on the number of
//! ways, a miss has its evictor at hand, and whether the next line is there is one load more. Where a key is in its set is as good as
//! random to the host's branch predictor, and comparing all ways with vectors took a quarter more instructions in all.

use crate::machine::Replacement;
use crate::paged::Paged;
use crate::slots::{EMPTY, Slots};
use sim_core::context::Agent;

/// What is known of a key: present, its flag and its slot; or absent, and its evictor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State(u32);

const PRESENT: u32 = 1 << 31;
/// Belongs to whoever owns the structure: a written line, a global page.
const FLAG: u32 = 1 << 30;
const SLOT: u32 = FLAG - 1;

impl State {
    /// Pushed out by an agent. The default is [`Agent::NEVER`].
    #[inline(always)]
    pub fn absent(evictor: u16) -> State {
        State(evictor.into())
    }

    /// There, without the flag.
    #[inline(always)]
    pub fn present(slot: usize) -> State {
        State(PRESENT | slot as u32)
    }

    #[inline(always)]
    pub fn is_present(self) -> bool {
        self.0 & PRESENT != 0
    }

    /// The flag of a key that is present.
    #[inline(always)]
    pub fn flag(self) -> bool {
        self.0 & FLAG != 0
    }

    /// The slot of a key that is present.
    #[inline(always)]
    pub fn slot(self) -> usize {
        (self.0 & SLOT) as usize
    }

    /// Who pushed out a key that is absent.
    #[inline(always)]
    pub fn evictor(self) -> u16 {
        self.0 as u16
    }

    #[inline(always)]
    fn with_flag(self, flag: bool) -> State {
        State(self.0 & !FLAG | if flag { FLAG } else { 0 })
    }
}

const _: () = assert!(Agent::NEVER.0 == 0, "a word never written says that nobody pushed the key out");

/// What a fill did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Who had pushed out the key that came.
    pub evictor: u16,
    /// The key that had to go, or [`EMPTY`].
    pub victim: u32,
    /// The flag it had.
    pub victim_flag: bool,
}

/// One structure instance.
#[derive(Clone, Debug)]
pub(crate) struct Level {
    states: Paged<State>,
    slots: Slots,
}

impl Level {
    /// An empty structure of `entries` keys; with 0 entries nothing may be filled in.
    pub fn new(entries: u32, ways: u32, replacement: Replacement) -> Level {
        Level { states: Paged::new(State::default()), slots: Slots::new(entries, ways, replacement) }
    }

    /// True when the structure has no entries at all.
    #[inline]
    pub fn is_absent(&self) -> bool {
        self.slots.is_absent()
    }

    /// What is known of a key. Changes nothing.
    #[inline(always)]
    pub fn state(&self, key: u32) -> State {
        self.states.get(key)
    }

    /// What is known of a line and of the next one; the latter is right unless a page ends between them. Changes nothing.
    #[inline(always)]
    pub fn states_of_two(&self, line: u32) -> [State; 2] {
        self.states.get_two(line)
    }

    /// True when the key is there. Changes nothing.
    #[inline(always)]
    pub fn contains(&self, key: u32) -> bool {
        self.state(key).is_present()
    }

    /// A key that is there was used.
    #[inline(always)]
    pub fn used(&mut self, state: State) {
        self.slots.used(state.slot());
    }

    /// The key in a slot was used.
    #[inline(always)]
    pub fn used_slot(&mut self, slot: usize) {
        self.slots.used(slot);
    }

    /// Makes the key the most recent one of its set if it is there; returns whether it is.
    #[inline(always)]
    pub fn hit(&mut self, key: u32) -> bool {
        let state = self.state(key);
        if state.is_present() {
            self.used(state);
        }
        state.is_present()
    }

    /// Fills in a key that is not there; what has to go gets `agent` as its evictor. Part of its caller, so that the host predicts
    /// what depends on the structure alone.
    #[inline(always)]
    pub fn fill(&mut self, key: u32, agent: u16) -> Filled {
        let (slot, victim) = self.slots.fill(key);
        let mut victim_flag = false;
        if victim != EMPTY {
            let state = self.states.entry(victim);
            victim_flag = state.flag();
            *state = State::absent(agent);
        }
        let evictor = std::mem::replace(self.states.entry(key), State::present(slot)).evictor();
        Filled { evictor, victim, victim_flag }
    }

    /// Makes the key the most recent one of its set, filling it in when it is absent.
    #[inline(always)]
    pub fn touch(&mut self, key: u32, agent: u16) -> Option<Filled> {
        if self.hit(key) { None } else { Some(self.fill(key, agent)) }
    }

    /// Sets the flag of a key that is there.
    #[inline(always)]
    pub fn flag(&mut self, key: u32) {
        let state = self.states.entry(key);
        *state = state.with_flag(true);
    }

    /// Sets or clears the flag of a key, if it is there; returns the flag it had.
    pub fn set_flag(&mut self, key: u32, flag: bool) -> Option<bool> {
        let state = self.state(key);
        if !state.is_present() {
            return None;
        }
        *self.states.entry(key) = state.with_flag(flag);
        Some(state.flag())
    }

    /// Takes a key out on behalf of `agent`; returns whether it was there.
    #[inline]
    pub fn take(&mut self, key: u32, agent: u16) -> bool {
        let state = self.state(key);
        if state.is_present() {
            *self.states.entry(key) = State::absent(agent);
            self.slots.empty(state.slot());
        }
        state.is_present()
    }

    /// Flushes all keys, or those without the flag.
    pub fn flush(&mut self, keep_flagged: bool) {
        for slot in 0..self.slots.len() {
            let key = self.slots.key(slot);
            if key == EMPTY || (keep_flagged && self.state(key).flag()) {
                continue;
            }
            *self.states.entry(key) = State::absent(Agent::FLUSH.0);
            self.slots.empty(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Victim of a touch: `None` for a hit or a free way.
    fn touch(level: &mut Level, key: u32) -> Option<u32> {
        level.touch(key, 9).map(|filled| filled.victim).filter(|victim| *victim != EMPTY)
    }

    #[test]
    fn lru_gives_up_the_oldest() {
        let mut level = Level::new(2, 2, Replacement::Lru);
        assert_eq!([10, 20, 10, 30].map(|key| touch(&mut level, key)), [None, None, None, Some(20)]);
        assert!(level.contains(30) && level.contains(10) && !level.contains(20));
        assert_eq!((level.state(20).evictor(), level.state(40).evictor()), (9, Agent::NEVER.0));
    }

    /// Sets of any shape against lists in order of recency.
    #[test]
    fn lru_is_a_list_in_order_of_recency() {
        for (entries, ways) in [(16, 8), (12, 3), (32, 16), (20, 20), (6, 2), (144, 72)] {
            let mut level = Level::new(entries, ways, Replacement::Lru);
            let sets = entries / ways;
            let mut lists = vec![Vec::new(); sets as usize];
            let mut number = 1u32;
            for _ in 0..5000 {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let key = number >> 24;
                let list = &mut lists[(key % sets) as usize];
                let place = list.iter().position(|other| *other == key);
                if let Some(place) = place {
                    list.remove(place);
                }
                if number >> 8 & 15 == 0 {
                    assert_eq!(level.take(key, 1), place.is_some());
                    continue;
                }
                let victim = if place.is_none() && list.len() == ways as usize { list.pop() } else { None };
                list.insert(0, key);
                assert_eq!(touch(&mut level, key), victim, "{entries} entries, {ways} ways");
            }
        }
    }

    #[test]
    fn a_tree_gives_up_what_its_bits_point_at() {
        let mut level = Level::new(4, 4, Replacement::TreePlru);
        for key in [1, 2, 3, 4, 1] {
            touch(&mut level, key);
        }
        // The root points at the right half, whose node points at key 3: true LRU would give up 2.
        assert_eq!(touch(&mut level, 5), Some(3));
    }

    #[test]
    fn a_flag_stays_with_its_key() {
        let mut level = Level::new(2, 2, Replacement::Lru);
        level.fill(7, 1);
        assert_eq!(level.set_flag(7, true), Some(false));
        level.fill(8, 1);
        assert!(level.hit(7) && level.state(7).flag());
        touch(&mut level, 8);
        assert_eq!(level.fill(9, 3), Filled { evictor: 0, victim: 7, victim_flag: true });
        assert_eq!((level.set_flag(7, true), level.fill(7, 1).evictor), (None, 3));
        assert!(!level.state(7).flag());
    }

    #[test]
    fn a_flush_spares_what_is_flagged_and_names_itself() {
        let mut level = Level::new(4, 4, Replacement::Lru);
        for key in [1, 2, 3, 4] {
            level.fill(key, 5);
        }
        level.set_flag(3, true);
        level.flush(true);
        assert_eq!([1, 2, 3, 4].map(|key| level.contains(key)), [false, false, true, false]);
        assert_eq!(level.state(2).evictor(), Agent::FLUSH.0);
        assert_eq!([5, 6, 7, 8].map(|key| touch(&mut level, key)), [None, None, None, Some(3)]);
    }
}
