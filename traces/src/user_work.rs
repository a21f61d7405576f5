//! Made-up user work with a hierarchy of reuse, for a program of which nothing was recorded.
//!
//! - *Hierarchy*: a hot part of code and of data that is used uniformly, and the rest by a power law: rank `r` or a higher one is
//!   reached with probability `(1 + r / q)^(-1/2)`. Misses then fall with the root of a cache's size, which is what programs do on
//!   average (Hartstein, Srinivasan, Puzak, Emma, "Cache miss behavior: is it √2?", Computing Frontiers 2006).
//! - *Code* is a set of functions, each with a fixed path through its lines; which one comes next is drawn. So branches inside a
//!   function can be learned, and those between functions can't.
//! - *Data* lie in groups of neighbouring lines whose places are drawn: hot data are spread over many pages, as heap objects are.
//!
//! All draws come from generators with a fixed seed: the program is the same whatever interrupts it, in every repetition.

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use sim_core::block::{BlockId, BlockStore, Op, OpKind, Origin, Region};
use sim_core::ids::{Line, Mode};
use sim_core::layout::{Layout, PageSize};
use sim_core::seed::SeedTree;

/// Shape of the user work. The defaults stand for 483.xalancbmk and are guesses, but for the mix of instructions: hot code and data fit
/// the first level, so that alone the program misses little there on the instruction side and some ten times per thousand
/// instructions on the data side, and the whole fits the last level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Footprint {
    /// Lines of a function's path.
    pub function_lines: u32,
    /// Instructions executed on each line of a path.
    pub line_instructions: u16,
    /// Functions that are used uniformly.
    pub hot_functions: u32,
    /// Thousandths of all function executions that are theirs.
    pub hot_code_permille: u32,
    /// The other functions.
    pub other_functions: u32,
    /// The power law's `q` for the other functions.
    pub function_scale: f64,
    /// Loads per thousand instructions: 32 % (Phansalkar, Joshi, John, ISCA 2007; as commonly quoted, not verified).
    pub loads_permille: u32,
    /// Stores per thousand instructions: 9 % (as above).
    pub stores_permille: u32,
    /// Data lines that are used uniformly.
    pub hot_data_lines: u32,
    /// Thousandths of all loads and stores that are theirs.
    pub hot_data_permille: u32,
    /// The other data lines.
    pub other_data_lines: u32,
    /// The power law's `q` for the other data lines.
    pub data_scale: f64,
    /// Neighbouring lines of a group.
    pub group_lines: u32,
}

impl Default for Footprint {
    fn default() -> Self {
        Footprint {
            function_lines: 8,
            line_instructions: 9,
            hot_functions: 32,
            hot_code_permille: 950,
            other_functions: 2_048,
            function_scale: 2.4,
            loads_permille: 321,
            stores_permille: 90,
            hot_data_lines: 96,
            hot_data_permille: 850,
            other_data_lines: 65_536,
            data_scale: 8.3,
            group_lines: 8,
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
    /// Instructions of that line that were executed already.
    line_done: u16,
    /// Loads and stores that are due, in thousandths.
    due: [u32; 2],
}

impl<'a> UserWork<'a> {
    /// Places code and data of a program in new chunks of the layout.
    pub fn new(footprint: &'a Footprint, layout: &mut Layout) -> UserWork<'a> {
        let seeds = SeedTree::new(0).child("user work");
        let mut draws = seeds.child("draws").rng();
        let paths = paths(footprint, layout, &mut seeds.child("code").rng());
        let groups = groups(footprint, layout, &mut seeds.child("data").rng());
        let first = draw(&mut draws, footprint.hot_code_permille, footprint.hot_functions, rest_of_code(footprint));
        UserWork { footprint, paths, groups, draws, at: (first as usize, 0), line_done: 0, due: [0; 2] }
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
            let footprint = self.footprint;
            let next = draw(&mut self.draws, footprint.hot_code_permille, footprint.hot_functions, rest_of_code(footprint));
            self.at = (next as usize, 0);
        }
    }

    /// The loads and stores of the instructions on one line.
    fn touch_data(&mut self, ops: &mut Vec<Op>) {
        let footprint = self.footprint;
        let instructions = u32::from(footprint.line_instructions);
        let shares = [footprint.loads_permille, footprint.stores_permille];
        for (index, kind) in [OpKind::Load, OpKind::Store].into_iter().enumerate() {
            self.due[index] += instructions * shares[index];
            for _ in 0..self.due[index] / 1000 {
                let rest = (footprint.other_data_lines, footprint.data_scale);
                let rank = draw(&mut self.draws, footprint.hot_data_permille, footprint.hot_data_lines, rest);
                let group = self.groups[(rank / footprint.group_lines) as usize];
                ops.push(op(kind, group + rank % footprint.group_lines, 0));
            }
            self.due[index] %= 1000;
        }
    }
}

fn op(kind: OpKind, line: Line, count: u16) -> Op {
    Op { offset: line, count, region: Region::Fixed, kind }
}

fn rest_of_code(footprint: &Footprint) -> (u32, f64) {
    (footprint.other_functions, footprint.function_scale)
}

/// A rank: one of the `hot` first with equal probability, or, by the power law with scale `q`, one of the `rest` behind them.
fn draw(draws: &mut Xoshiro256PlusPlus, hot_permille: u32, hot: u32, (rest, scale): (u32, f64)) -> u32 {
    if draws.random_range(0..1000) < hot_permille {
        return draws.random_range(0..hot);
    }
    loop {
        // (1 + rank / q)^(-1/2) is uniform; multiplication and division give the same bits everywhere
        let uniform = f64::from(draws.random_range(1..=1u32 << 30)) / f64::from(1u32 << 30);
        let rank = scale * (1.0 / (uniform * uniform) - 1.0);
        if rank < f64::from(rest) {
            return hot + rank as u32;
        }
    }
}

/// Numbers below `count` in a drawn order.
fn shuffled(count: u32, draws: &mut Xoshiro256PlusPlus) -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..count).collect();
    for last in (1..numbers.len()).rev() {
        numbers.swap(last, draws.random_range(0..=last as u32) as usize);
    }
    numbers
}

/// The path of each function through a place of twice its lines: half of the lines are another branch's.
fn paths(footprint: &Footprint, layout: &mut Layout, draws: &mut Xoshiro256PlusPlus) -> Vec<Vec<Line>> {
    let functions = footprint.hot_functions + footprint.other_functions;
    let room = footprint.function_lines * 2;
    let first = layout.area(u64::from(functions) * u64::from(room), PageSize::Small);
    let path = |place: u32, draws: &mut Xoshiro256PlusPlus| {
        let mut lines = shuffled(room, draws);
        lines.truncate(footprint.function_lines as usize);
        lines.sort_unstable();
        lines.iter().map(|line| first + place * room + line).collect()
    };
    shuffled(functions, draws).into_iter().map(|place| path(place, draws)).collect()
}

/// The first line of each group of data lines.
fn groups(footprint: &Footprint, layout: &mut Layout, draws: &mut Xoshiro256PlusPlus) -> Vec<Line> {
    let lines = footprint.hot_data_lines + footprint.other_data_lines;
    let first = layout.area(u64::from(lines.next_multiple_of(footprint.group_lines)), PageSize::Small);
    shuffled(lines.div_ceil(footprint.group_lines), draws).iter().map(|group| first + group * footprint.group_lines).collect()
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

    #[test]
    fn hot_lines_take_their_share_and_the_rest_falls_off_slowly() {
        let (blocks, made) = made(10_000);
        let data = uses(&blocks, &made, &[OpKind::Load, OpKind::Store]);
        let mut by_use: Vec<u32> = data.values().copied().collect();
        by_use.sort_unstable_by(|one, other| other.cmp(one));
        let all: u32 = by_use.iter().sum();
        let share = |lines: usize| f64::from(by_use.iter().take(lines).sum::<u32>()) / f64::from(all);
        assert!((0.84..0.90).contains(&share(96)), "{}", share(96));
        // what a first-level and a second-level cache would lack at best: some ten and two per thousand instructions
        let left = |lines| (1.0 - share(lines)) * 411.0;
        assert!((5.0..15.0).contains(&left(512)) && (0.5..4.0).contains(&left(2048)), "{} {}", left(512), left(2048));
        let code = uses(&blocks, &made, &[OpKind::Fetch]);
        assert!(code.len() > 512 && code.len() < 16_384, "{}", code.len());
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
