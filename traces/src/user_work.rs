//! Made-up user work with a hierarchy of reuse, for a program of which nothing was recorded.
//!
//! - *Hot* code is a loop of functions, one behind the other in memory as the code of one library is; hot data are used uniformly. Each
//!   fills three quarters of a first-level cache of 32 KiB.
//! - *Warm* code and data are used now and then, uniformly, and fill three quarters of a second-level cache of 512 KiB. After some
//!   functions of the loop a warm one is executed, which is drawn: branches of the loop can be learned, these excursions can't.
//! - *Cold* data are used seldom and fit a last level of 8 MiB.
//! - Each function has a fixed path through its lines. Data lie in groups of neighbouring lines, groups anywhere in memory, as heap
//!   objects do; hot groups are spread evenly over cache sets, so that the hot data fit.
//!
//! All draws come from generators with a fixed seed: the program is the same whatever interrupts it, in every repetition.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use sim_core::block::{BlockId, BlockStore, Op, OpKind, Origin, Region};
use sim_core::ids::{Line, Mode, PAGE_LINES};
use sim_core::layout::{Layout, PageSize};
use sim_core::seed::SeedTree;

/// Shape of the user work. The defaults stand for 483.xalancbmk and are guesses, but for the mix of instructions. Of the integer programs
/// of SPEC CPU 2006 it is one of those with much code, and with data that fit neither the first nor the second level but a last level of
/// 8 MiB; it is commonly said to miss a few times per thousand instructions in the first level's instruction side, some 25 times on its
/// data side, and a few times in the second level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Lines of a function's path.
    pub function_lines: u32,
    /// Instructions executed on each line of a path.
    pub line_instructions: u16,
    /// Functions of the loop.
    pub hot_functions: u32,
    /// The other functions.
    pub warm_functions: u32,
    /// Functions of the loop, in thousandths, after which a warm one is executed.
    pub excursions_permille: u32,
    /// Loads per thousand instructions: 32 % (Phansalkar, Joshi, John, ISCA 2007; as commonly quoted, not verified).
    pub loads_permille: u32,
    /// Stores per thousand instructions: 9 % (as above).
    pub stores_permille: u32,
    /// Lines of hot, warm and cold data.
    pub data_lines: [u32; 3],
    /// Loads and stores of warm and of cold data, in thousandths of all; the rest are hot.
    pub data_permille: [u32; 2],
    /// Neighbouring lines of a group.
    pub group_lines: u32,
}

impl Default for Footprint {
    fn default() -> Self {
        Footprint {
            function_lines: 8,
            line_instructions: 9,
            hot_functions: 48,
            warm_functions: 192,
            excursions_permille: 20,
            loads_permille: 321,
            stores_permille: 90,
            data_lines: [384, 4_608, 65_536],
            data_permille: [60, 5],
            group_lines: 16,
        }
    }
}

/// The work, handed out piece by piece.
pub struct UserWork<'a> {
    footprint: &'a Footprint,
    /// Lines of each function's path, hot functions first.
    paths: Vec<Vec<Line>>,
    /// First line of each group of data lines, hot ones first.
    groups: Vec<Line>,
    draws: Xoshiro256PlusPlus,
    /// The function that is executed and the next line of its path.
    at: (usize, usize),
    /// The last function of the loop that was executed.
    in_loop: usize,
    /// Instructions of that line that were executed already.
    line_done: u16,
    /// Loads and stores that are due, in thousandths.
    due: [u32; 2],
}

impl<'a> UserWork<'a> {
    /// Places code and data of a program in new chunks of the layout.
    pub fn new(footprint: &'a Footprint, layout: &mut Layout) -> UserWork<'a> {
        let seeds = SeedTree::new(0).child("user work");
        let draws = seeds.child("draws").rng();
        let paths = paths(footprint, layout, &mut seeds.child("code").rng());
        let groups = groups(footprint, layout, &mut seeds.child("data").rng());
        UserWork { footprint, paths, groups, draws, at: (0, 0), in_loop: 0, line_done: 0, due: [0; 2] }
    }

    /// Makes blocks of `interval` instructions each, as many as `instructions` hold.
    pub fn blocks(&mut self, interval: u64, instructions: u64, blocks: &mut BlockStore) -> Vec<BlockId> {
        let mut ops = Vec::new();
        let mut made = Vec::new();
        for _ in 0..instructions / interval {
            ops.clear();
            self.execute(interval, &mut ops);
            made.push(blocks.push(Mode::User, Origin::Synthetic, &ops, Vec::new()));
        }
        made
    }

    /// Appends the next so many instructions.
    fn execute(&mut self, mut instructions: u64, ops: &mut Vec<Op>) {
        while instructions > 0 {
            let (function, place) = self.at;
            let left = self.footprint.line_instructions - self.line_done;
            let count = instructions.min(left.into()) as u16;
            ops.push(op(OpKind::Fetch, self.paths[function][place], count));
            if self.line_done == 0 {
                // once for the whole line, so that the touches do not depend on where the work is cut
                self.touch_data(ops);
            }
            instructions -= u64::from(count);
            self.line_done += count;
            if self.line_done == self.footprint.line_instructions {
                self.line_done = 0;
                self.next_line();
            }
        }
    }

    fn next_line(&mut self) {
        let (function, place) = self.at;
        self.at = (function, place + 1);
        if place + 1 == self.paths[function].len() {
            self.at = (self.next_function(function), 0);
        }
    }

    /// The next function of the loop, or another one before it.
    fn next_function(&mut self, function: usize) -> usize {
        let footprint = self.footprint;
        if function == self.in_loop && self.draws.random_range(0..1000) < footprint.excursions_permille {
            return (footprint.hot_functions + self.draws.random_range(0..footprint.warm_functions)) as usize;
        }
        self.in_loop = (self.in_loop + 1) % footprint.hot_functions as usize;
        self.in_loop
    }

    fn data_line(&mut self) -> Line {
        let Footprint { data_lines: [hot, warm, cold], data_permille: [use_warm, use_cold], group_lines, .. } = *self.footprint;
        let drawn = self.draws.random_range(0..1000);
        let number = if drawn < use_cold {
            hot + warm + self.draws.random_range(0..cold)
        } else if drawn < use_cold + use_warm {
            hot + self.draws.random_range(0..warm)
        } else {
            self.draws.random_range(0..hot)
        };
        self.groups[(number / group_lines) as usize] + number % group_lines
    }

    /// The loads and stores of the instructions on one line.
    fn touch_data(&mut self, ops: &mut Vec<Op>) {
        let footprint = self.footprint;
        let instructions = u32::from(footprint.line_instructions);
        let shares = [footprint.loads_permille, footprint.stores_permille];
        for (index, kind) in [OpKind::Load, OpKind::Store].into_iter().enumerate() {
            self.due[index] += instructions * shares[index];
            for _ in 0..self.due[index] / 1000 {
                let line = self.data_line();
                ops.push(op(kind, line, 0));
            }
            self.due[index] %= 1000;
        }
    }
}

fn op(kind: OpKind, line: Line, count: u16) -> Op {
    Op { offset: line, count, region: Region::Fixed, kind }
}

/// Numbers below `count` in a drawn order.
fn shuffled(count: u32, draws: &mut Xoshiro256PlusPlus) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..count).collect();
    for last in (1..numbers.len()).rev() {
        numbers.swap(last, draws.random_range(0..=last as u32) as usize);
    }
    numbers
}

/// The path of each function, hot ones first: the loop's functions one behind the other with a quarter more lines than the path takes,
/// the others anywhere with twice as many. What a path leaves out are the lines of other branches.
fn paths(footprint: &Footprint, layout: &mut Layout, draws: &mut Xoshiro256PlusPlus) -> Vec<Vec<Line>> {
    let (hot_room, room) = (footprint.function_lines * 5 / 4, footprint.function_lines * 2);
    let first = layout.area(u64::from(footprint.hot_functions) * u64::from(hot_room), PageSize::Small);
    let mut paths: Vec<Vec<Line>> = Vec::new();
    for function in 0..footprint.hot_functions {
        paths.push(path(first + function * hot_room, hot_room, footprint.function_lines, draws));
    }
    let first = layout.area(u64::from(footprint.warm_functions) * u64::from(room), PageSize::Small);
    for place in shuffled(footprint.warm_functions, draws) {
        paths.push(path(first + place * room, room, footprint.function_lines, draws));
    }
    paths
}

/// Some lines of a function's room, in order.
fn path(first: Line, room: u32, lines: u32, draws: &mut Xoshiro256PlusPlus) -> Vec<Line> {
    let mut chosen = shuffled(room, draws);
    chosen.truncate(lines as usize);
    chosen.sort_unstable();
    chosen.iter().map(|line| first + line).collect()
}

/// The first line of each group of data lines, hot ones first: each hot group on a page of its own, in turn at the places of a page, the
/// others anywhere behind them.
fn groups(footprint: &Footprint, layout: &mut Layout, draws: &mut Xoshiro256PlusPlus) -> Vec<Line> {
    let groups_of = |lines: u32| lines.div_ceil(footprint.group_lines);
    let (hot, all) = (groups_of(footprint.data_lines[0]), groups_of(footprint.data_lines.iter().sum()));
    let places = PAGE_LINES / footprint.group_lines;
    let first = layout.area(u64::from(hot) * u64::from(PAGE_LINES), PageSize::Small);
    let mut lines: Vec<Line> = (0..hot).map(|group| first + group * PAGE_LINES + group % places * footprint.group_lines).collect();
    let first = layout.area(u64::from(all - hot) * u64::from(footprint.group_lines), PageSize::Small);
    lines.extend(shuffled(all - hot, draws).iter().map(|group| first + group * footprint.group_lines));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn made(interval: u64) -> (BlockStore, Vec<BlockId>) {
        let (mut layout, mut blocks) = (Layout::new(), BlockStore::new());
        let made = UserWork::new(&Footprint::default(), &mut layout).blocks(interval, 400_000, &mut blocks);
        (blocks, made)
    }

    /// Uses of each line by kind of op.
    fn uses(blocks: &BlockStore, made: &[BlockId], kinds: &[OpKind]) -> BTreeMap<Line, u32> {
        let mut uses = BTreeMap::new();
        for op in made.iter().flat_map(|block| blocks.ops(*block)).filter(|op| kinds.contains(&op.kind)) {
            *uses.entry(op.offset).or_default() += 1;
        }
        uses
    }

    #[test]
    fn mix_and_length_are_as_asked_for() {
        let (blocks, made) = made(1_000);
        assert_eq!(made.len(), 400);
        assert!(made.iter().all(|block| blocks.info(*block).instructions == 1_000));
        let count = |kind| uses(&blocks, &made, &[kind]).values().sum::<u32>();
        assert!(count(OpKind::Load).abs_diff(128_400) < 9 && count(OpKind::Store).abs_diff(36_000) < 9);
    }

    /// The uses of the most used lines, as a share of all.
    fn share(uses: &BTreeMap<Line, u32>, lines: u32) -> f64 {
        let mut by_use: Vec<u32> = uses.values().copied().collect();
        by_use.sort_unstable_by(|one, other| other.cmp(one));
        f64::from(by_use.iter().take(lines as usize).sum::<u32>()) / f64::from(by_use.iter().sum::<u32>())
    }

    #[test]
    fn hot_warm_and_cold_lines_take_their_shares() {
        let (blocks, made) = made(10_000);
        let footprint = Footprint::default();
        let data = uses(&blocks, &made, &[OpKind::Load, OpKind::Store]);
        let [hot, warm, _] = footprint.data_lines;
        assert!((0.93..0.94).contains(&share(&data, hot)), "{}", share(&data, hot));
        assert!((0.99..1.0).contains(&share(&data, hot + warm)), "{}", share(&data, hot + warm));
        let code = uses(&blocks, &made, &[OpKind::Fetch]);
        let hot = share(&code, footprint.hot_functions * footprint.function_lines);
        assert!((0.97..0.99).contains(&hot), "{hot}");
    }

    #[test]
    fn what_is_hot_fits_a_first_level_cache() {
        let (mut layout, footprint) = (Layout::new(), Footprint::default());
        let work = UserWork::new(&footprint, &mut layout);
        let most = |lines: &mut dyn Iterator<Item = Line>, sets: u32| {
            let mut filled: BTreeMap<u32, u32> = BTreeMap::new();
            lines.for_each(|line| *filled.entry(line % sets).or_default() += 1);
            filled.into_values().max().unwrap_or(0)
        };
        let hot = footprint.hot_functions as usize;
        assert!(most(&mut work.paths[..hot].iter().flatten().copied(), 128) <= 4);
        let groups = &work.groups[..(footprint.data_lines[0] / footprint.group_lines) as usize];
        assert!(most(&mut groups.iter().flat_map(|group| *group..*group + footprint.group_lines), 64) <= 8);
    }

    #[test]
    fn where_it_is_cut_does_not_change_the_work() {
        let touches = |interval| {
            let (blocks, made) = made(interval);
            let ops = made.iter().flat_map(|block| blocks.ops(*block).to_vec());
            ops.filter(|op| op.kind != OpKind::Fetch).collect::<Vec<Op>>()
        };
        assert_eq!(touches(2_000), touches(100_000));
    }
}
