//! The seed tree: every entity of a simulation has its own generator, found by its path of names and numbers. Adding an entity, or
//! drawing more from one, shifts no other's numbers; two mechanisms under the same seed meet the same clients (common random numbers).

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// A node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeedTree {
    value: u64,
}

/// Kinds of edges get different constants, so that `child("0")` and `child_index(0)` differ. Any two different odd numbers would do;
/// these are the fractional digits of the square roots of 2 and 3.
const BY_NAME: u64 = 0x6a09_e667_f3bc_c909;
const BY_INDEX: u64 = 0xbb67_ae85_84ca_a73b;

impl SeedTree {
    /// The root for the seed that the user gave.
    pub fn new(seed: u64) -> Self {
        SeedTree { value: mix(seed) }
    }

    /// The node below this one with a name.
    #[must_use]
    pub fn child(self, name: &str) -> SeedTree {
        self.edge(BY_NAME, name_hash(name))
    }

    /// The node below this one with a number: one of many alike.
    #[must_use]
    pub fn child_index(self, index: u64) -> SeedTree {
        self.edge(BY_INDEX, index)
    }

    /// The node's own 64 bits, for what takes a seed instead of a generator.
    pub fn value(self) -> u64 {
        self.value
    }

    /// A fresh generator for the node. Calling it twice gives the same numbers twice.
    pub fn rng(self) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(self.value)
    }

    fn edge(self, kind: u64, label: u64) -> SeedTree {
        SeedTree { value: mix(self.value ^ mix(label ^ kind)) }
    }
}

/// The output function of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014), with the
/// constants of Stafford's variant 13. A bijection: different inputs stay different.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// FNV-1a, 64 bits (offset basis and prime of the published algorithm).
fn name_hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::BTreeSet;

    #[test]
    fn the_hashes_are_the_published_ones() {
        // SplitMix64 seeded with 0 gives this first number (reference implementation by Vigna).
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        // FNV-1a test vectors (Noll).
        assert_eq!(name_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(name_hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(name_hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn paths_lead_to_different_seeds() {
        let root = SeedTree::new(1);
        let mut seen = BTreeSet::new();
        for index in 0..1000 {
            seen.insert(root.child_index(index).value());
            seen.insert(root.child("clients").child_index(index).value());
            seen.insert(root.child_index(index).child("clients").value());
            seen.insert(root.child(&index.to_string()).value());
            seen.insert(SeedTree::new(index).value());
        }
        assert_eq!(seen.len(), 5000);
    }

    #[test]
    fn an_entity_does_not_shift_others() {
        let root = SeedTree::new(7);
        let before = root.child("arrivals").rng().next_u64();
        let mut other = root.child("new entity").rng();
        for _ in 0..10 {
            other.next_u64();
        }
        assert_eq!(root.child("arrivals").rng().next_u64(), before);
    }

    #[test]
    fn neighbours_share_half_their_bits() {
        let root = SeedTree::new(3);
        let differing: u32 =
            (0..1000).map(|index| (root.child_index(index).value() ^ root.child_index(index + 1).value()).count_ones()).sum();
        assert!((31_000..33_000).contains(&differing), "{differing} of 64,000 bits differ");
    }

    /// Computed by a second implementation, of the published algorithms (FNV-1a, SplitMix64, xoshiro256++). These numbers are part of
    /// every published report: a change of them changes all results of the same seed.
    #[test]
    fn golden_values() {
        let node = SeedTree::new(42).child("connections").child_index(3);
        assert_eq!(node.value(), 0xa8fb_d5c0_5d67_0af6);
        let mut rng = node.rng();
        assert_eq!([rng.next_u64(), rng.next_u64()], [0x3f5c_4c4f_2d4a_fb6b, 0x7f5d_b1c1_6cc4_1cad]);
    }
}
