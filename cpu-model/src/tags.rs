//! Set-associative arrays of 32-bit keys: the tags of caches, TLBs and branch target buffers.
//!
//! A key is below 2^31; the upper bit is a flag that belongs to whoever owns the array (a written line, a global page).
//! Under true LRU the ways of a set are kept in order of recency, so that a lookup and a fill are one pass and the most recent line is
//! found by one comparison. Under tree-PLRU lines stay in place and the position of the most recent one is kept beside the tree.

use crate::machine::Replacement;

/// Flag bit of a stored key.
pub const FLAG: u32 = 1 << 31;
const KEY: u32 = FLAG - 1;
/// An empty way. No key is that large.
pub const EMPTY: u32 = KEY;
/// What [`TagArray::touch`] returns for a hit. No key is that large.
pub const HIT: u32 = KEY - 1;

/// The key of a stored tag, without its flag.
#[inline(always)]
pub fn key_of(tag: u32) -> u32 {
    tag & KEY
}

/// Number of sets and how a key finds its own.
#[derive(Clone, Copy, Debug)]
struct Sets {
    count: u32,
    /// `count - 1` when that is a power of two; else the remainder is taken.
    mask: Option<u32>,
}

/// A set-associative array of keys.
#[derive(Clone, Debug)]
pub struct TagArray {
    tags: Vec<u32>,
    ways: usize,
    sets: Sets,
    /// Empty under LRU. Per set: position of the most recent way and the tree's bits.
    recent: Vec<u8>,
    tree: Vec<u64>,
}

impl TagArray {
    /// An empty array of `entries` keys; with 0 entries it holds nothing and every touch misses.
    pub fn new(entries: u32, ways: u32, replacement: Replacement) -> TagArray {
        let ways = ways.max(1);
        let count = entries / ways;
        let mask = count.is_power_of_two().then(|| count - 1);
        let tree_sets = if replacement == Replacement::TreePlru { count as usize } else { 0 };
        TagArray {
            tags: vec![EMPTY; (count * ways) as usize],
            ways: ways as usize,
            sets: Sets { count, mask },
            recent: vec![0; tree_sets],
            tree: vec![0; tree_sets],
        }
    }

    /// True when the array has no entries at all.
    #[inline]
    pub fn is_absent(&self) -> bool {
        self.sets.count == 0
    }

    #[inline(always)]
    fn set(&self, key: u32) -> usize {
        match self.sets.mask {
            Some(mask) => (key & mask) as usize,
            None => (key % self.sets.count) as usize,
        }
    }

    #[inline(always)]
    fn is_tree(&self) -> bool {
        !self.recent.is_empty()
    }

    /// Where the most recent line of the key's set is.
    #[inline(always)]
    fn recent_slot(&self, key: u32) -> usize {
        let set = self.set(key);
        let way = if self.is_tree() { usize::from(self.recent[set]) } else { 0 };
        set * self.ways + way
    }

    /// True when the key is the most recent one of its set: touching it would change nothing.
    #[inline(always)]
    pub fn is_recent(&self, key: u32) -> bool {
        key_of(self.tags[self.recent_slot(key)]) == key
    }

    /// The stored tag of the most recent key of this key's set, flag included.
    #[inline(always)]
    pub fn recent_tag(&self, key: u32) -> u32 {
        self.tags[self.recent_slot(key)]
    }

    /// Sets the flag of a key that was touched last in its set.
    #[inline(always)]
    pub fn flag_recent(&mut self, key: u32) {
        let slot = self.recent_slot(key);
        debug_assert_eq!(key_of(self.tags[slot]), key);
        self.tags[slot] |= FLAG;
    }

    /// Makes the key the most recent one of its set, filling it in when it is absent.
    /// Returns [`HIT`], or the tag that had to go ([`EMPTY`] when a way was free).
    #[inline]
    pub fn touch(&mut self, key: u32) -> u32 {
        if self.is_tree() { self.touch_tree(key) } else { self.touch_lru(key) }
    }

    #[inline]
    fn touch_lru(&mut self, key: u32) -> u32 {
        let first = self.set(key) * self.ways;
        let set = &mut self.tags[first..first + self.ways];
        match set.len() {
            4 => touch_fixed::<4>(set, key),
            8 => touch_fixed::<8>(set, key),
            16 => touch_fixed::<16>(set, key),
            _ => touch_scan(set, key),
        }
    }

    fn touch_tree(&mut self, key: u32) -> u32 {
        let set = self.set(key);
        let first = set * self.ways;
        let tags = &mut self.tags[first..first + self.ways];
        let (way, outcome) = match tags.iter().position(|tag| key_of(*tag) == key) {
            Some(way) => (way, HIT),
            None => {
                let free = tags.iter().position(|tag| *tag == EMPTY);
                let way = free.unwrap_or_else(|| tree_victim(self.tree[set], self.ways));
                let victim = tags[way];
                tags[way] = key;
                (way, victim)
            }
        };
        self.recent[set] = way as u8;
        tree_touch(&mut self.tree[set], self.ways, way);
        outcome
    }

    /// True when the key is there. Changes nothing.
    #[inline]
    pub fn contains(&self, key: u32) -> bool {
        self.slot(key).is_some()
    }

    #[inline]
    fn slot(&self, key: u32) -> Option<usize> {
        let first = self.set(key) * self.ways;
        self.tags[first..first + self.ways].iter().position(|tag| key_of(*tag) == key).map(|way| first + way)
    }

    /// The stored tag of a key, flag included, if it is there.
    #[inline]
    pub fn tag(&self, key: u32) -> Option<u32> {
        self.slot(key).map(|slot| self.tags[slot])
    }

    /// Sets or clears the flag of a key, if it is there; returns the flag it had.
    pub fn set_flag(&mut self, key: u32, flag: bool) -> bool {
        match self.slot(key) {
            Some(slot) => {
                let had = self.tags[slot] & FLAG != 0;
                self.tags[slot] = key | if flag { FLAG } else { 0 };
                had
            }
            None => false,
        }
    }

    /// Takes a key out; returns its tag with the flag if it was there.
    pub fn remove(&mut self, key: u32) -> Option<u32> {
        if self.is_absent() {
            return None;
        }
        let slot = self.slot(key)?;
        let tag = self.tags[slot];
        if self.is_tree() {
            self.tags[slot] = EMPTY;
        } else {
            let end = (slot / self.ways + 1) * self.ways;
            self.tags.copy_within(slot + 1..end, slot);
            self.tags[end - 1] = EMPTY;
        }
        Some(tag)
    }

    /// Takes out all tags for which `goes` holds and hands each to `gone`, in storage order.
    pub fn remove_where(&mut self, goes: impl Fn(u32) -> bool, mut gone: impl FnMut(u32)) {
        let tree = self.is_tree();
        for set in self.tags.chunks_exact_mut(self.ways) {
            let mut kept = 0;
            for way in 0..set.len() {
                let tag = set[way];
                if tag == EMPTY {
                    continue;
                }
                if goes(tag) {
                    set[way] = EMPTY;
                    gone(tag);
                } else if !tree {
                    set.swap(kept, way);
                    kept += 1;
                }
            }
        }
    }
}

/// Recency-ordered touch of a set of a usual size, without a branch that depends on where the key is: the place of a hit is as good as
/// random to the host's branch predictor.
#[inline(always)]
fn touch_fixed<const WAYS: usize>(set: &mut [u32], key: u32) -> u32 {
    let Some((set, _)) = set.split_first_chunk_mut::<WAYS>() else { return EMPTY };
    let old = *set;
    let mut found = 0u32;
    for way in 0..WAYS {
        found |= u32::from(key_of(old[way]) == key) << way;
    }
    let hit = found != 0;
    let place = if hit { found.trailing_zeros() as usize } else { WAYS - 1 };
    let front = if hit { old[place] } else { key };
    for way in 1..WAYS {
        set[way] = if way <= place { old[way - 1] } else { old[way] };
    }
    set[0] = front;
    if hit { HIT } else { old[WAYS - 1] }
}

/// Recency-ordered touch of any set in one pass: the tags before the hit move down by one way, and on a miss the last one falls out.
fn touch_scan(set: &mut [u32], key: u32) -> u32 {
    let mut carried = key;
    for way in 0..set.len() {
        let tag = set[way];
        set[way] = carried;
        if key_of(tag) == key {
            set[0] = tag;
            return HIT;
        }
        carried = tag;
    }
    carried
}

/// Walks the tree towards the side that was not used last. Bit `node` set: the right half is older.
fn tree_victim(tree: u64, ways: usize) -> usize {
    let mut node = 1;
    while node < ways {
        node = node * 2 + (tree >> node & 1) as usize;
    }
    node - ways
}

/// Points every node on the way to `way` at the other half.
fn tree_touch(tree: &mut u64, ways: usize, way: usize) {
    let mut node = way + ways;
    while node > 1 {
        let right = node & 1;
        node /= 2;
        *tree = *tree & !(1 << node) | ((right as u64 ^ 1) << node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lru_gives_up_the_oldest() {
        let mut array = TagArray::new(2, 2, Replacement::Lru);
        assert_eq!([array.touch(10), array.touch(20), array.touch(10), array.touch(30)], [EMPTY, EMPTY, HIT, 20]);
        assert!(array.is_recent(30) && array.contains(10) && !array.contains(20));
    }

    #[test]
    fn sets_of_usual_sizes_behave_as_any_other() {
        let mut number = 1u32;
        let mut fixed = [EMPTY; 8];
        let mut scanned = [EMPTY; 8];
        for _ in 0..2000 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = number >> 28;
            assert_eq!(touch_fixed::<8>(&mut fixed, key), touch_scan(&mut scanned, key));
            assert_eq!(fixed, scanned);
        }
    }

    #[test]
    fn tree_gives_up_what_the_bits_point_at() {
        let mut array = TagArray::new(4, 4, Replacement::TreePlru);
        for key in [1, 2, 3, 4, 1] {
            array.touch(key);
        }
        // The root points at the right half, whose node points at key 3: true LRU would give up 2.
        assert_eq!(array.touch(5), 3);
    }

    #[test]
    fn a_flag_stays_with_its_key() {
        let mut array = TagArray::new(4, 4, Replacement::Lru);
        array.touch(7);
        array.flag_recent(7);
        array.touch(8);
        assert_eq!(array.touch(7), HIT);
        assert_eq!(array.recent_tag(7), 7 | FLAG);
        assert_eq!(array.remove(7), Some(7 | FLAG));
        assert_eq!(array.tag(7), None);
    }

    #[test]
    fn removal_keeps_the_order_of_the_rest() {
        let mut array = TagArray::new(4, 4, Replacement::Lru);
        for key in [1, 2, 3, 4] {
            array.touch(key);
        }
        let mut gone = Vec::new();
        array.remove_where(|tag| tag % 2 == 0, |tag| gone.push(tag));
        assert_eq!(gone, [4, 2]);
        assert_eq!([array.touch(5), array.touch(6), array.touch(7)], [EMPTY, EMPTY, 1]);
    }
}
