//! Which lane of a set goes next: replacement policies over the lanes of [`crate::slots::Slots`].

use crate::machine::Replacement;

/// What is known of the order in which the lanes of each set were used.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// True LRU.
    Stamps(Stamps),
    /// Tree-PLRU.
    Trees(Trees),
}

impl Order {
    /// An order over `sets` sets of `lanes` lanes, a power of two of which the first `ways` are used.
    pub fn new(replacement: Replacement, sets: usize, ways: usize, lanes: usize) -> Order {
        match replacement {
            Replacement::Lru => Order::Stamps(Stamps::new(sets, ways, lanes)),
            Replacement::TreePlru => Order::Trees(Trees::new(sets, ways, lanes)),
        }
    }

    /// The lane of a slot was used.
    #[inline(always)]
    pub fn used(&mut self, slot: usize) {
        match self {
            Order::Stamps(stamps) => stamps.used(slot),
            Order::Trees(trees) => trees.used(slot),
        }
    }

    /// The slot was emptied: under LRU it is the next one to be filled.
    pub fn emptied(&mut self, slot: usize) {
        if let Order::Stamps(stamps) = self {
            stamps.stamps[slot] = 0;
        }
    }
}

/// True LRU by the time of last use, 0 for an empty lane: a hit writes one word and reads no other, so that hits do not wait for each
/// other. 64 bits do not run out.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    stamps: Vec<u64>,
    now: u64,
    lanes: usize,
}

impl Stamps {
    fn new(sets: usize, ways: usize, lanes: usize) -> Stamps {
        let stamp = |slot: usize| if slot % lanes < ways { 0 } else { u64::MAX };
        Stamps { stamps: (0..sets * lanes).map(stamp).collect(), now: 0, lanes }
    }

    #[inline(always)]
    fn used(&mut self, slot: usize) {
        self.now += 1;
        self.stamps[slot] = self.now;
    }

    /// The lane used longest ago, an empty one before all others.
    #[inline(always)]
    pub fn victim(&self, first: usize) -> usize {
        let set = &self.stamps[first..first + self.lanes];
        match self.lanes {
            4 => oldest::<4>(set),
            8 => oldest::<8>(set),
            _ => set.iter().enumerate().min_by_key(|(_, stamp)| **stamp).map_or(0, |(lane, _)| lane),
        }
    }
}

/// The place of the least stamp, without branches: which it is can't be predicted.
#[inline(always)]
fn oldest<const LANES: usize>(stamps: &[u64]) -> usize {
    let Some(set) = stamps.first_chunk::<LANES>() else { return 0 };
    let (mut place, mut least) = (0, set[0]);
    for (lane, stamp) in set.iter().enumerate().skip(1) {
        let less = *stamp < least;
        place = if less { lane } else { place };
        least = if less { *stamp } else { least };
    }
    place
}

/// Per set the bits of a binary tree over its ways.
#[derive(Clone, Debug)]
pub(crate) struct Trees {
    sets: Vec<u64>,
    /// By way: the bits of the nodes above it, and their values that point away from it.
    paths: Vec<(u64, u64)>,
    ways: usize,
    lanes_shift: u32,
}

impl Trees {
    fn new(sets: usize, ways: usize, lanes: usize) -> Trees {
        let paths = (0..lanes).map(|way| if way < ways { tree_path(ways, way) } else { (0, 0) }).collect();
        Trees { sets: vec![0; sets], paths, ways, lanes_shift: lanes.trailing_zeros() }
    }

    #[inline(always)]
    fn used(&mut self, slot: usize) {
        let (nodes, away) = self.paths[slot & (self.paths.len() - 1)];
        let tree = &mut self.sets[slot >> self.lanes_shift];
        *tree = *tree & !nodes | away;
    }

    /// Walks the tree towards the side that was not used last. Bit `node` set: the right half is older.
    #[inline(always)]
    pub fn victim(&self, first: usize) -> usize {
        let tree = self.sets[first >> self.lanes_shift];
        let mut node = 1;
        while node < self.ways {
            node = node * 2 + (tree >> node & 1) as usize;
        }
        node - self.ways
    }
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
