//! Set-associative arrays of 32-bit keys: the tags of caches, TLBs and branch target buffers.
//!
//! A key is below 2^31; the upper bit is a flag that belongs to whoever owns the array (a written line, a global page).
//! Nearly every lookup ends at the most recent tag of its set, so those have a compact copy. The others are compared all at once: where
//! a key is in its set is as good as random to the host's branch predictor.

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

/// Ways whose numbers fit the 4-bit places of an order word.
const ORDER_WAYS_MAX: usize = 16;
/// Way n at place n.
const ORDER_START: u64 = 0xfedc_ba98_7654_3210;
const EVERY_PLACE: u64 = 0x1111_1111_1111_1111;

/// What is known of the order in which the ways of each set were used.
#[derive(Clone, Debug)]
enum Recency {
    /// True LRU up to 16 ways: per set the numbers of the ways, the most recent one in the lowest four bits.
    Words(Vec<u64>),
    /// True LRU of larger sets: the tags themselves lie in order of recency.
    Shifted,
    /// Tree-PLRU.
    Tree(Trees),
}

/// Per set the bits of a binary tree, and the most recent way.
#[derive(Clone, Debug)]
struct Trees {
    sets: Vec<(u64, u8)>,
    /// By way: the bits of the nodes above it, and their values that point away from it.
    paths: Vec<(u64, u64)>,
}

/// A set-associative array of keys.
#[derive(Clone, Debug)]
pub struct TagArray {
    tags: Vec<u32>,
    /// Per set: a copy of its most recent tag.
    front: Vec<u32>,
    recency: Recency,
    ways: usize,
    sets: u32,
    /// `sets - 1` when that is a power of two; else the remainder is taken.
    mask: Option<u32>,
}

impl TagArray {
    /// An empty array of `entries` keys; with 0 entries it must not be touched.
    pub fn new(entries: u32, ways: u32, replacement: Replacement) -> TagArray {
        let ways = ways.max(1) as usize;
        let sets = entries / ways as u32;
        let recency = match replacement {
            Replacement::TreePlru => Recency::Tree(Trees {
                sets: vec![(0, 0); sets as usize],
                paths: (0..ways).map(|way| tree_path(ways, way)).collect(),
            }),
            Replacement::Lru if ways <= ORDER_WAYS_MAX => Recency::Words(vec![ORDER_START; sets as usize]),
            Replacement::Lru => Recency::Shifted,
        };
        TagArray {
            tags: vec![EMPTY; sets as usize * ways],
            front: vec![EMPTY; sets as usize],
            recency,
            ways,
            sets,
            mask: sets.is_power_of_two().then(|| sets - 1),
        }
    }

    /// True when the array has no entries at all.
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

    /// True when the key is the most recent one of its set: touching it would change nothing.
    #[inline(always)]
    pub fn is_recent(&self, key: u32) -> bool {
        key_of(self.front[self.set(key)]) == key
    }

    /// The stored tag of the most recent key of this key's set, flag included.
    #[inline(always)]
    pub fn recent_tag(&self, key: u32) -> u32 {
        self.front[self.set(key)]
    }

    /// Sets the flag of a key that was touched last in its set.
    #[inline]
    pub fn flag_recent(&mut self, key: u32) {
        let set = self.set(key);
        debug_assert_eq!(key_of(self.front[set]), key);
        self.front[set] |= FLAG;
        let way = self.recent_way(set);
        self.tags[set * self.ways + way] |= FLAG;
    }

    #[inline(always)]
    fn recent_way(&self, set: usize) -> usize {
        match &self.recency {
            Recency::Words(words) => (words[set] & 15) as usize,
            Recency::Shifted => 0,
            Recency::Tree(trees) => usize::from(trees.sets[set].1),
        }
    }

    /// Makes the key the most recent one of its set, filling it in when it is absent.
    /// Returns [`HIT`], or the tag that had to go ([`EMPTY`] when a way was free).
    #[inline]
    pub fn touch(&mut self, key: u32) -> u32 {
        let set = self.set(key);
        let first = set * self.ways;
        let tags = &mut self.tags[first..first + self.ways];
        let (way, outcome) = match &mut self.recency {
            Recency::Words(words) => touch_words(tags, &mut words[set], key),
            Recency::Shifted => (0, touch_shifted(tags, key)),
            Recency::Tree(trees) => touch_tree(tags, trees, set, key),
        };
        self.front[set] = tags[way];
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
        find(&self.tags[first..first + self.ways], key).map(|way| first + way)
    }

    /// The stored tag of a key, flag included, if it is there.
    #[inline]
    pub fn tag(&self, key: u32) -> Option<u32> {
        self.slot(key).map(|slot| self.tags[slot])
    }

    /// Sets or clears the flag of a key, if it is there; returns the flag it had.
    pub fn set_flag(&mut self, key: u32, flag: bool) -> bool {
        let Some(slot) = self.slot(key) else { return false };
        let had = self.tags[slot] & FLAG != 0;
        self.tags[slot] = key | if flag { FLAG } else { 0 };
        self.refresh_front(slot / self.ways);
        had
    }

    /// Takes a key out; returns its tag with the flag if it was there.
    pub fn remove(&mut self, key: u32) -> Option<u32> {
        if self.is_absent() {
            return None;
        }
        let slot = self.slot(key)?;
        let tag = self.tags[slot];
        self.empty(slot / self.ways, slot % self.ways);
        Some(tag)
    }

    /// Takes out all tags for which `goes` holds and hands each to `gone`, in storage order.
    pub fn remove_where(&mut self, goes: impl Fn(u32) -> bool, mut gone: impl FnMut(u32)) {
        for set in 0..self.sets as usize {
            let mut way = 0;
            while way < self.ways {
                let tag = self.tags[set * self.ways + way];
                if tag == EMPTY || !goes(tag) {
                    way += 1;
                    continue;
                }
                gone(tag);
                self.empty(set, way);
                // Shifted, the next tag has moved here.
                way += usize::from(!matches!(self.recency, Recency::Shifted));
            }
        }
    }

    /// Empties a way and makes it the next one to be filled.
    fn empty(&mut self, set: usize, way: usize) {
        let tags = &mut self.tags[set * self.ways..(set + 1) * self.ways];
        tags[way] = EMPTY;
        match &mut self.recency {
            Recency::Words(words) => words[set] = demoted(words[set], way, self.ways),
            Recency::Shifted => tags[way..].rotate_left(1),
            Recency::Tree(_) => {}
        }
        self.refresh_front(set);
    }

    fn refresh_front(&mut self, set: usize) {
        self.front[set] = self.tags[set * self.ways + self.recent_way(set)];
    }
}

/// The way of a key, found by comparing all ways of a set of a usual size at once.
#[inline(always)]
fn find(tags: &[u32], key: u32) -> Option<usize> {
    let place = match tags.len() {
        4 => find_fixed::<4>(tags, key),
        8 => find_fixed::<8>(tags, key),
        16 => find_fixed::<16>(tags, key),
        _ => return tags.iter().position(|tag| key_of(*tag) == key),
    };
    (place < tags.len()).then_some(place)
}

/// The way of a key, or 16: one byte for each way's comparison, then the first that is set.
#[inline(always)]
fn find_fixed<const WAYS: usize>(tags: &[u32], key: u32) -> usize {
    let mut same = [0u8; ORDER_WAYS_MAX];
    if let Some(tags) = tags.first_chunk::<WAYS>() {
        for way in 0..WAYS {
            same[way] = if key_of(tags[way]) == key { u8::MAX } else { 0 };
        }
    }
    (u128::from_le_bytes(same).trailing_zeros() / 8) as usize
}

/// Place of a way in an order word: the lowest four bits that are zero after taking the way's number away from all.
#[inline(always)]
fn place_of(word: u64, way: usize) -> u32 {
    let differences = word ^ EVERY_PLACE.wrapping_mul(way as u64);
    let zeros = differences.wrapping_sub(EVERY_PLACE) & !differences & (EVERY_PLACE << 3);
    zeros.trailing_zeros() / 4
}

/// The order word after a way was used: the places before its own move up by one.
#[inline(always)]
fn promoted(word: u64, way: usize) -> u64 {
    let at = 4 * place_of(word, way);
    let before = (1u64 << at) - 1;
    // `at` is at most 60, so that the places after it are shifted out in two steps.
    let after = word >> at >> 4 << at << 4;
    after | (word & before) << 4 | way as u64
}

/// The order word after a way was emptied: it goes to the last place in use.
fn demoted(word: u64, way: usize, ways: usize) -> u64 {
    let at = 4 * place_of(word, way);
    let used = u64::MAX >> (64 - 4 * ways);
    let before = word & ((1 << at) - 1);
    let after = (word & used) >> at >> 4 << at;
    (word & !used) | before | after | (way as u64) << (4 * (ways - 1))
}

#[inline(always)]
fn touch_words(tags: &mut [u32], word: &mut u64, key: u32) -> (usize, u32) {
    if let Some(way) = find(tags, key) {
        *word = promoted(*word, way);
        return (way, HIT);
    }
    let way = (*word >> (4 * (tags.len() - 1)) & 15) as usize;
    let victim = std::mem::replace(&mut tags[way], key);
    *word = promoted(*word, way);
    (way, victim)
}

/// One pass: the tags before the hit move down by one way, and on a miss the last one falls out.
fn touch_shifted(tags: &mut [u32], key: u32) -> u32 {
    let mut carried = key;
    for way in 0..tags.len() {
        let tag = tags[way];
        tags[way] = carried;
        if key_of(tag) == key {
            tags[0] = tag;
            return HIT;
        }
        carried = tag;
    }
    carried
}

#[inline(always)]
fn touch_tree(tags: &mut [u32], trees: &mut Trees, set: usize, key: u32) -> (usize, u32) {
    let (tree, recent) = &mut trees.sets[set];
    let (way, outcome) = match find(tags, key) {
        Some(way) => (way, HIT),
        None => {
            let way = find(tags, EMPTY).unwrap_or_else(|| tree_victim(*tree, tags.len()));
            (way, std::mem::replace(&mut tags[way], key))
        }
    };
    let (nodes, away) = trees.paths[way];
    *tree = *tree & !nodes | away;
    *recent = way as u8;
    (way, outcome)
}

/// Walks the tree towards the side that was not used last. Bit `node` set: the right half is older.
fn tree_victim(tree: u64, ways: usize) -> usize {
    let mut node = 1;
    while node < ways {
        node = node * 2 + (tree >> node & 1) as usize;
    }
    node - ways
}

/// The nodes on the way to `way`, and the bits that point each of them at its other half.
fn tree_path(ways: usize, way: usize) -> (u64, u64) {
    let (mut nodes, mut away) = (0, 0);
    let mut node = way + ways;
    while node > 1 {
        let left = u64::from(node.is_multiple_of(2));
        node /= 2;
        nodes |= 1 << node;
        away |= left << node;
    }
    (nodes, away)
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
    fn order_words_and_shifted_ways_are_the_same_policy() {
        let mut words = TagArray::new(16, 8, Replacement::Lru);
        let mut shifted = words.clone();
        shifted.recency = Recency::Shifted;
        let mut number = 1u32;
        for _ in 0..5000 {
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = number >> 27;
            if number >> 8 & 15 == 0 {
                assert_eq!(words.remove(key), shifted.remove(key));
            } else {
                assert_eq!(words.touch(key), shifted.touch(key));
            }
            let absent_or_same =
                |array: &TagArray| (0..32).map(|key| (array.contains(key), array.is_recent(key))).collect::<Vec<_>>();
            assert_eq!(absent_or_same(&words), absent_or_same(&shifted));
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
        gone.sort_unstable();
        assert_eq!(gone, [2, 4]);
        assert_eq!([array.touch(5), array.touch(6), array.touch(7)], [EMPTY, EMPTY, 1]);
    }
}
