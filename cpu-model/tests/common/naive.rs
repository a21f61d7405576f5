//! The structures once more, as plainly as possible: vectors searched from end to end, ordered maps for evictors.

use cpu_model::{Holds, Machine, Replacement, SharedPolicy, Structure};
use sim_core::block::OpKind;
use sim_core::context::Context;
use sim_core::ids::Mode;
use std::collections::BTreeMap;

const NEVER: u16 = 0;
const COHERENCE: u16 = 1;
/// Where the model keeps page-table lines: level l holds one entry per 512^l pages, 8 to a line.
const TABLES: u32 = (1 << 30) + (1 << 21);

pub fn table_line(line: u32, level: u32) -> u32 {
    TABLES + level * (1 << 21) + ((line / 64) >> (9 * level)) / 8
}

/// A tree of recency: which half was used last.
enum Tree {
    Leaf,
    Node { right_is_older: bool, left: Box<Tree>, right: Box<Tree> },
}

impl Tree {
    fn new(ways: usize) -> Tree {
        if ways == 1 {
            return Tree::Leaf;
        }
        Tree::Node { right_is_older: false, left: Box::new(Tree::new(ways / 2)), right: Box::new(Tree::new(ways / 2)) }
    }

    fn used(&mut self, way: usize, ways: usize) {
        if let Tree::Node { right_is_older, left, right } = self {
            let half = ways / 2;
            *right_is_older = way < half;
            if way < half { left.used(way, half) } else { right.used(way - half, half) }
        }
    }

    fn victim(&self, ways: usize) -> usize {
        match self {
            Tree::Leaf => 0,
            Tree::Node { right_is_older: true, right, .. } => ways / 2 + right.victim(ways / 2),
            Tree::Node { left, .. } => left.victim(ways / 2),
        }
    }
}

struct Set {
    /// By way: key and whether it was written here.
    ways: Vec<Option<(u32, bool)>>,
    /// Time of last use by way.
    used: Vec<u64>,
    tree: Option<Tree>,
}

pub struct Array {
    sets: Vec<Set>,
    now: u64,
    pub evictor: BTreeMap<u32, u16>,
}

impl Array {
    pub fn new(entries: u32, ways: u32, replacement: Replacement) -> Array {
        let ways = ways.max(1) as usize;
        let set = || Set {
            ways: vec![None; ways],
            used: vec![0; ways],
            tree: (replacement == Replacement::TreePlru).then(|| Tree::new(ways)),
        };
        Array { sets: (0..entries as usize / ways).map(|_| set()).collect(), now: 0, evictor: BTreeMap::new() }
    }

    fn set(&mut self, key: u32) -> &mut Set {
        let count = self.sets.len();
        &mut self.sets[key as usize % count]
    }

    pub fn holds(&mut self, key: u32) -> bool {
        self.set(key).ways.iter().flatten().any(|entry| entry.0 == key)
    }

    pub fn written(&mut self, key: u32) -> Option<&mut bool> {
        self.set(key).ways.iter_mut().flatten().find(|entry| entry.0 == key).map(|entry| &mut entry.1)
    }

    /// Returns whether it hit, and the victim.
    pub fn touch(&mut self, key: u32, agent: u16) -> (bool, Option<(u32, bool)>) {
        self.now += 1;
        let now = self.now;
        let set = self.set(key);
        let ways = set.ways.len();
        let present = set.ways.iter().position(|entry| entry.is_some_and(|entry| entry.0 == key));
        let free = set.ways.iter().position(Option::is_none);
        let oldest = (0..ways).min_by_key(|way| set.used[*way]).unwrap();
        let way = present.or(free).unwrap_or_else(|| set.tree.as_ref().map_or(oldest, |tree| tree.victim(ways)));
        set.used[way] = now;
        if let Some(tree) = &mut set.tree {
            tree.used(way, ways);
        }
        if present.is_some() {
            return (true, None);
        }
        let victim = set.ways[way].replace((key, false));
        if let Some((gone, _)) = victim {
            self.evictor.insert(gone, agent);
        }
        (false, victim)
    }

    pub fn take(&mut self, key: u32, agent: u16) -> bool {
        let set = self.set(key);
        match set.ways.iter().position(|entry| entry.is_some_and(|entry| entry.0 == key)) {
            Some(way) => {
                set.ways[way] = None;
                self.evictor.insert(key, agent);
                true
            }
            None => false,
        }
    }

    pub fn why_absent(&self, key: u32) -> u16 {
        self.evictor.get(&key).copied().unwrap_or(NEVER)
    }
}

struct Core {
    l1i: Array,
    l1d: Array,
    l2: Array,
    itlb: [Array; 2],
    dtlb: [Array; 2],
    stlb: Array,
    directory: Array,
}

/// Machine without prefetchers and branch tables; frames equal lines, so layouts must be of 2 MiB chunks unless only TLBs are compared.
pub struct Naive {
    machine: Machine,
    cores: Vec<Core>,
    l3: Vec<Array>,
    large: bool,
    /// (structure, mode, evictor) -> misses.
    pub misses: BTreeMap<(Structure, Mode, u16), u64>,
}

impl Naive {
    pub fn new(machine: &Machine, cores: usize, large: bool) -> Naive {
        let cache = |spec: &cpu_model::CacheSpec| Array::new(spec.size_kib * 16, spec.ways, spec.replacement);
        let tlb = |spec: &cpu_model::TlbSpec| Array::new(spec.entries, spec.ways, Replacement::Lru);
        let m = machine;
        let core = |_| Core {
            l1i: cache(&m.l1i),
            l1d: cache(&m.l1d),
            l2: cache(&m.l2),
            itlb: [tlb(&m.itlb), tlb(&m.itlb_large)],
            dtlb: [tlb(&m.dtlb), tlb(&m.dtlb_large)],
            stlb: tlb(&m.stlb),
            directory: Array::new(m.walk.directory_entries, m.walk.directory_entries, Replacement::Lru),
        };
        Naive {
            cores: (0..cores).map(core).collect(),
            l3: (0..cores.div_ceil(m.l3.shared_by as usize)).map(|_| cache(&m.l3.as_private())).collect(),
            machine: machine.clone(),
            large,
            misses: BTreeMap::new(),
        }
    }

    fn miss(&mut self, structure: Structure, context: Context, evictor: u16) {
        *self.misses.entry((structure, context.mode, evictor)).or_default() += 1;
    }

    fn domain(&self, core: usize) -> usize {
        core / self.machine.l3.shared_by as usize
    }

    pub fn touch(&mut self, core: usize, context: Context, line: u32, kind: OpKind) {
        self.translate(core, context, line, kind == OpKind::Fetch);
        if kind == OpKind::Fetch { self.fetch(core, context, line) } else { self.data(core, context, line, kind == OpKind::Store) }
    }

    fn translate(&mut self, core: usize, context: Context, line: u32, fetch: bool) {
        let structure = if fetch { Structure::Itlb } else { Structure::Dtlb };
        let first = if fetch { &self.machine.itlb } else { &self.machine.dtlb };
        let apart = if fetch { &self.machine.itlb_large } else { &self.machine.dtlb_large };
        let (which, key) = match (self.large, first.holds, apart.entries) {
            (true, Holds::Both, _) => (0, (line / 32768) | 1 << 24),
            (true, _, 1..) => (1, (line / 32768) | 1 << 24),
            _ => (0, line / 64),
        };
        let tlbs = if fetch { &mut self.cores[core].itlb } else { &mut self.cores[core].dtlb };
        let why = tlbs[which].why_absent(key);
        if tlbs[which].touch(key, context.agent.0).0 {
            return;
        }
        self.miss(structure, context, why);
        let second = &self.machine.stlb;
        let asked = second.entries > 0 && (second.holds == Holds::Both || (second.holds == Holds::Large) == self.large);
        if asked {
            let key = if self.large { (line / 32768) | 1 << 24 } else { line / 64 };
            let why = self.cores[core].stlb.why_absent(key);
            if self.cores[core].stlb.touch(key, context.agent.0).0 {
                return;
            }
            self.miss(Structure::Stlb, context, why);
        }
        let walk = self.machine.walk;
        let spared = !self.large && walk.directory_entries > 0 && self.cores[core].directory.touch(line / 32768, 0).0;
        let levels = if self.large { walk.levels_large } else { walk.levels_small };
        for level in (0..if spared { 1 } else { levels }).rev() {
            self.data(core, context, table_line(line, level + u32::from(self.large)), false);
        }
    }

    fn fetch(&mut self, core: usize, context: Context, line: u32) {
        let why = self.cores[core].l1i.why_absent(line);
        if !self.cores[core].l1i.touch(line, context.agent.0).0 {
            self.miss(Structure::L1i, context, why);
            self.below(core, context, line);
        }
    }

    fn data(&mut self, core: usize, context: Context, line: u32, store: bool) {
        let why = self.cores[core].l1d.why_absent(line);
        let (hit, victim) = self.cores[core].l1d.touch(line, context.agent.0);
        if !hit {
            self.miss(Structure::L1d, context, why);
            if let Some((gone, true)) = victim {
                self.write_back(core, context, gone);
            }
            self.below(core, context, line);
        }
        if store {
            let already = std::mem::replace(self.cores[core].l1d.written(line).unwrap(), true);
            if !(hit && already) {
                self.own(core, line);
            }
        }
    }

    fn own(&mut self, core: usize, line: u32) {
        for other in (0..self.cores.len()).filter(|other| *other != core) {
            for array in self.private(other) {
                array.take(line, COHERENCE);
            }
        }
        let mine = self.domain(core);
        for (domain, l3) in self.l3.iter_mut().enumerate() {
            if domain != mine {
                l3.take(line, COHERENCE);
            }
        }
    }

    fn private(&mut self, core: usize) -> [&mut Array; 3] {
        let Core { l1i, l1d, l2, .. } = &mut self.cores[core];
        [l1i, l1d, l2]
    }

    fn write_back(&mut self, core: usize, context: Context, line: u32) {
        if let Some(written) = self.cores[core].l2.written(line) {
            *written = true;
            return;
        }
        let victim = self.cores[core].l2.touch(line, context.agent.0).1;
        *self.cores[core].l2.written(line).unwrap() = true;
        self.leave_l2(core, context, victim);
    }

    fn leave_l2(&mut self, core: usize, context: Context, victim: Option<(u32, bool)>) {
        if let (Some((gone, _)), SharedPolicy::Victim) = (victim, self.machine.l3.policy) {
            let domain = self.domain(core);
            self.l3[domain].touch(gone, context.agent.0);
        }
    }

    fn below(&mut self, core: usize, context: Context, line: u32) {
        let why = self.cores[core].l2.why_absent(line);
        let (hit, victim) = self.cores[core].l2.touch(line, context.agent.0);
        if hit {
            return;
        }
        self.miss(Structure::L2, context, why);
        // A read takes the right to write away from whoever has it.
        for other in (0..self.cores.len()).filter(|other| *other != core) {
            let Core { l1d, l2, .. } = &mut self.cores[other];
            for array in [l1d, l2] {
                array.written(line).into_iter().for_each(|written| *written = false);
            }
        }
        let domain = self.domain(core);
        match self.machine.l3.policy {
            SharedPolicy::Inclusive => self.inclusive(core, context, line),
            SharedPolicy::Victim if self.l3[domain].holds(line) => {
                let shared = (0..self.cores.len()).any(|other| {
                    other != core && self.domain(other) == domain && self.private(other).into_iter().any(|array| array.holds(line))
                });
                if shared {
                    self.l3[domain].touch(line, context.agent.0);
                } else {
                    self.l3[domain].take(line, context.agent.0);
                }
            }
            SharedPolicy::Victim => {
                let why = self.l3[domain].why_absent(line);
                self.miss(Structure::L3, context, why);
            }
        }
        self.leave_l2(core, context, victim);
    }

    fn inclusive(&mut self, core: usize, context: Context, line: u32) {
        let domain = self.domain(core);
        let why = self.l3[domain].why_absent(line);
        let (hit, victim) = self.l3[domain].touch(line, context.agent.0);
        if !hit {
            self.miss(Structure::L3, context, why);
        }
        if let Some((gone, _)) = victim {
            for other in 0..self.cores.len() {
                if self.domain(other) != domain {
                    continue;
                }
                let agent = if other == core { context.agent.0 } else { COHERENCE };
                for array in self.private(other) {
                    array.take(gone, agent);
                }
            }
        }
    }
}
