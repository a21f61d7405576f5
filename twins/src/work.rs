//! User work of a stated shape: a chain of dependent loads, one a line, and functions that are gone through, each in an order drawn
//! once. The optimiser cannot shorten either: the next place is known only when the load is there, and functions are called through a
//! table.

use crate::case::{Shape, Work};
use std::hint::black_box;

/// Bytes of a cache line.
pub const LINE_BYTES: usize = 64;
/// Instructions of one step of the chain: load, bound, branch, shift, count and branch (release build, x86-64).
pub const CHAIN_INSTRUCTIONS: u32 = 6;
/// Instructions of one function: call and return, and 16 rounds of eight (release build, x86-64).
pub const FUNCTION_INSTRUCTIONS: u32 = 136;
/// Bytes of code of one function, which starts on a line of its own (release build, x86-64: 437 to 461 bytes).
pub const FUNCTION_BYTES: u32 = 512;
/// Most code that work can have.
pub const CODE_KIB_MAX: u32 = FUNCTIONS as u32 * FUNCTION_BYTES / 1024;
const FUNCTIONS: usize = 256;

/// A line of the chain: where the next one is.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Link(u32);

type Function = fn([u32; 4]) -> [u32; 4];

/// One function of the code: rounds of eight instructions that depend on each other little, with constants of its own.
#[inline(never)]
fn function<const NUMBER: u32>(state: [u32; 4]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = state;
    macro_rules! rounds {
        ($($round:literal)*) => { $(
            a = a.rotate_left(5) ^ (NUMBER.wrapping_mul(0x9e37_79b9) ^ $round);
            b = b.wrapping_add(a ^ 0x0100_0193_u32.wrapping_mul(NUMBER + $round));
            c = c.rotate_left(7).wrapping_add(d);
            d = d.rotate_left(9) ^ b;
        )* };
    }
    rounds!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
    [a, b, c, d]
}

macro_rules! row {
    ($base:expr) => {
        [
            function::<{ $base }>,
            function::<{ $base + 1 }>,
            function::<{ $base + 2 }>,
            function::<{ $base + 3 }>,
            function::<{ $base + 4 }>,
            function::<{ $base + 5 }>,
            function::<{ $base + 6 }>,
            function::<{ $base + 7 }>,
            function::<{ $base + 8 }>,
            function::<{ $base + 9 }>,
            function::<{ $base + 10 }>,
            function::<{ $base + 11 }>,
            function::<{ $base + 12 }>,
            function::<{ $base + 13 }>,
            function::<{ $base + 14 }>,
            function::<{ $base + 15 }>,
        ]
    };
}

/// All functions, in the order in which the compiler lays them out.
static TABLE: [[Function; 16]; FUNCTIONS / 16] = [
    row!(0),
    row!(16),
    row!(32),
    row!(48),
    row!(64),
    row!(80),
    row!(96),
    row!(112),
    row!(128),
    row!(144),
    row!(160),
    row!(176),
    row!(192),
    row!(208),
    row!(224),
    row!(240),
];

/// What one piece of work consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Steps of the chain.
    pub steps: u32,
    /// Functions, in thousandths: pieces shorter than a function take turns.
    pub functions_permille: u64,
}

impl Piece {
    /// Of work: half of its instructions are the chain's when it has both a chain and code.
    pub fn of(work: Work) -> Piece {
        let chain = match (work.shape.data_kib, work.shape.code_kib) {
            (0, _) => 0,
            (_, 0) => work.instructions,
            _ => work.instructions / 2,
        };
        let code = u64::from(work.instructions - chain);
        Piece { steps: chain / CHAIN_INSTRUCTIONS, functions_permille: code * 1000 / u64::from(FUNCTION_INSTRUCTIONS) }
    }
}

/// Lines of the chain of a shape.
pub fn chain_lines(shape: Shape) -> usize {
    shape.data_kib as usize * 1024 / LINE_BYTES
}

/// Functions of a shape.
pub fn function_count(shape: Shape) -> usize {
    (shape.code_kib * 1024 / FUNCTION_BYTES) as usize
}

/// User work that can be executed piece by piece.
pub struct UserWork {
    links: Vec<Link>,
    functions: Vec<Function>,
    at: u32,
    next_function: usize,
    state: [u32; 4],
    piece: Piece,
    /// Functions that are owed, in thousandths.
    owed_permille: u64,
}

impl UserWork {
    /// Work of a shape in pieces of so many instructions.
    pub fn new(work: Work) -> UserWork {
        UserWork {
            links: links(chain_lines(work.shape)),
            functions: order(function_count(work.shape)).iter().map(|place| TABLE[place / 16][place % 16]).collect(),
            at: 0,
            next_function: 0,
            state: [1, 2, 3, 4],
            piece: Piece::of(work),
            owed_permille: 0,
        }
    }

    /// Executes one piece.
    #[inline]
    pub fn run(&mut self) {
        if !self.links.is_empty() {
            self.at = follow(&self.links, self.at, self.piece.steps);
        }
        if !self.functions.is_empty() {
            self.owed_permille += self.piece.functions_permille;
            let due = self.owed_permille / 1000;
            self.owed_permille %= 1000;
            self.call(due);
        }
    }

    fn call(&mut self, calls: u64) {
        for _ in 0..calls {
            self.state = self.functions[self.next_function](self.state);
            self.next_function += 1;
            if self.next_function == self.functions.len() {
                self.next_function = 0;
            }
        }
    }

    /// What the work came to: used, so that it is done.
    pub fn result(&self) -> u32 {
        black_box(self.at ^ self.state[0] ^ self.state[1] ^ self.state[2] ^ self.state[3])
    }
}

#[inline(never)]
fn follow(links: &[Link], mut at: u32, steps: u32) -> u32 {
    for _ in 0..steps {
        at = links[at as usize].0;
    }
    at
}

/// One circle through all lines, in a drawn order.
fn links(lines: usize) -> Vec<Link> {
    let order = order(lines);
    let mut links = vec![Link(0); lines];
    for (place, line) in order.iter().enumerate() {
        links[*line].0 = order[(place + 1) % lines] as u32;
    }
    links
}

/// The numbers below `count` in a drawn order, the same every time (Fisher and Yates, with the generator of SplitMix64).
pub fn order(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for place in (1..count).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut drawn = state;
        drawn = (drawn ^ drawn >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ drawn >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^= drawn >> 31;
        order.swap(place, (drawn % (place as u64 + 1)) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_goes_through_all_lines_before_it_comes_back() {
        let links = links(384);
        let mut at = 0;
        for step in 1..=384 {
            at = follow(&links, at, 1);
            assert_eq!(at == 0, step == 384);
        }
        assert_eq!(std::mem::size_of::<Link>(), LINE_BYTES);
    }

    #[test]
    fn an_order_holds_every_number_once() {
        let mut order = order(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn functions_differ_and_short_pieces_take_turns() {
        assert_ne!(function::<1>([1, 2, 3, 4]), function::<2>([1, 2, 3, 4]));
        let shape = Shape { data_kib: 0, code_kib: 64 };
        let mut work = UserWork::new(Work { shape, instructions: FUNCTION_INSTRUCTIONS / 2 });
        assert_eq!(work.functions.len(), 128);
        for _ in 0..100 {
            work.run();
        }
        assert_eq!(work.next_function, 50);
        assert_ne!(work.result(), 0);
    }
}
