//! What each operation costs, in instructions of a 64-bit machine. The table with the reasoning is in docs/wyki.md.
//!
//! No service compiled by a real WYKI compiler exists to measure. The counts come from writing down what a plain compiler emits for each
//! operation: general registers only, because the kernel does not touch vector registers without saving them first.

use crate::ir::{Arithmetic, Operation, Step, Terminator};

/// Bytes of one instruction on average: x86-64 kernel text has about four. A guess that only the code's size depends on.
pub const INSTRUCTION_BYTES: u32 = 4;
/// Bytes of one line of code.
pub const LINE_BYTES: u32 = 64;
/// A yield: load the flag that asks for the processor, test, branch.
pub const YIELD: u32 = 3;
/// Entries of one chain that a lookup looks at.
pub const PROBES_MAX: u32 = 8;
/// Calling the general parser with a message's description and returning: arguments, call, saving and restoring six registers, return.
const GENERAL_CALL: u32 = 20;
/// The general parser, for each part: load its kind and parameters, branch by kind, store the field's place and length.
const GENERAL_STEP: u32 = 9;

/// Instructions of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Instructions in the code.
    pub size: u32,
    /// Executed whatever the data.
    pub base: u32,
    /// Executed at most in inner loops over bytes, digits or entries.
    pub bulk_max: u64,
}

impl Cost {
    const fn plain(count: u32) -> Cost {
        Cost { size: count, base: count, bulk_max: 0 }
    }

    const fn bulk(size: u32, base: u32, bulk_max: u64) -> Cost {
        Cost { size, base, bulk_max }
    }
}

const fn words(bytes: u64) -> u64 {
    bytes.div_ceil(8)
}

/// Comparing: load, compare with the other's word, branch.
pub const fn compare(bytes: u64) -> u64 {
    3 * words(bytes)
}

/// Copying: load and store a word.
pub const fn copy(bytes: u64) -> u64 {
    2 * words(bytes)
}

/// Looking for a byte in words (load, exclusive or, subtract, and-not, and, test, branch), comparing at each place where it stands
/// (4), and looking for the bytes that must not occur (6 a word each).
pub const fn search(bytes: u64, candidates: u64, excluded: u64) -> u64 {
    (7 + 6 * excluded) * words(bytes) + 4 * candidates
}

/// Reading a digit: load, subtract, compare, branch, multiply and add.
pub const fn read_digits(digits: u64) -> u64 {
    6 * digits
}

/// Writing a digit: multiply by the reciprocal, shift, multiply, subtract, add, store.
pub const fn write_digits(digits: u64) -> u64 {
    6 * digits
}

/// Hashing: load, exclusive or, multiply, shift and exclusive or for each word.
pub const fn hash(bytes: u64) -> u64 {
    5 * words(bytes)
}

/// Looking at an entry of a chain: load the stored hash and the link, compare, branch, test, branch.
pub const fn probe(count: u64) -> u64 {
    6 * count
}

fn lookup_max(key_bytes: u64) -> u64 {
    let probes = u64::from(PROBES_MAX);
    hash(key_bytes) + probe(probes) + probes * compare(key_bytes)
}

/// Cost of an operation.
pub fn operation(operation: &Operation) -> Cost {
    match operation {
        Operation::Constant { .. } | Operation::Copy { .. } | Operation::Not { .. } | Operation::Length { .. } => Cost::plain(1),
        Operation::Mark { .. } | Operation::Rewind { .. } | Operation::Remaining { .. } => Cost::plain(1),
        Operation::Literal { .. } | Operation::Clamp { .. } | Operation::Compare { .. } | Operation::Value { .. } => Cost::plain(2),
        Operation::Arithmetic { operator, checked, .. } => Cost::plain(arithmetic(*operator) + 2 * u32::from(*checked)),
        Operation::EqualBytes { bytes_max, .. } => Cost::bulk(12, 5, compare(*bytes_max)),
        Operation::Index { checked, .. } => Cost::plain(1 + 2 * u32::from(*checked)),
        Operation::Slice { checked, .. } => Cost::plain(2 + 4 * u32::from(*checked)),
        Operation::Contains { bytes_max, .. } => Cost::bulk(24, 6, search(*bytes_max, *bytes_max, 0)),
        Operation::LoadField { .. } => Cost::plain(2),
        Operation::LoadConnection { .. } | Operation::StoreConnection { .. } | Operation::Become { .. } => Cost::plain(1),
        Operation::Release { .. } => Cost::bulk(24, 14, probe(u64::from(PROBES_MAX))),
        Operation::ReleaseMessage => Cost::plain(4),
        Operation::PutBytes { bytes_max, .. } => Cost::bulk(14, 6, copy(*bytes_max)),
        Operation::PutInteger { .. } => Cost::plain(3),
        Operation::PutDecimal { digits_max, .. } => Cost::bulk(18, 5, write_digits(*digits_max)),
        Operation::EnterParser => Cost::plain(GENERAL_CALL),
        Operation::Yield => Cost::plain(YIELD),
    }
}

fn arithmetic(operator: Arithmetic) -> u32 {
    match operator {
        Arithmetic::Add | Arithmetic::Subtract => 3,
        Arithmetic::Multiply => 4,
        Arithmetic::Divide | Arithmetic::Remainder | Arithmetic::Minimum => 2,
    }
}

/// Cost of a terminator. `literals` holds the bytes that steps compare with.
pub fn terminator(terminator: &Terminator, literals: &[Vec<u8>], inline_parsing: bool) -> Cost {
    match terminator {
        Terminator::Go(_) | Terminator::Branch { .. } => Cost::plain(1),
        Terminator::Count { .. } => Cost::plain(3),
        Terminator::Parse { step: part, .. } => {
            let cost = step(part, literals);
            if inline_parsing { cost } else { Cost { base: cost.base + GENERAL_STEP, ..cost } }
        }
        Terminator::Find { key_bytes_max, .. } => Cost::bulk(44, 10, lookup_max(*key_bytes_max)),
        Terminator::Insert { key_bytes_max, value_bytes_max, .. } => {
            Cost::bulk(80, 26, lookup_max(*key_bytes_max) + copy(*key_bytes_max) + copy(*value_bytes_max))
        }
        Terminator::Dispatch { .. } => Cost::plain(3),
        Terminator::End(_) => Cost::plain(3),
    }
}

/// Cost of one part of a message, compiled for this part.
fn step(step: &Step, literals: &[Vec<u8>]) -> Cost {
    match step {
        Step::Literal { literal } => {
            let count = 2 + compare(literals[*literal].len() as u64) as u32;
            Cost::plain(count)
        }
        Step::Integer { .. } => Cost::plain(5),
        Step::Until { without, delimiter, bytes_max, .. } => {
            let excluded = literals[*without].len() as u64;
            let delimiter = literals[*delimiter].len() as u64;
            let scanned = bytes_max + delimiter;
            let candidates = if delimiter > 1 { scanned } else { 1 };
            Cost::bulk(22 + 6 * excluded as u32, 8, search(scanned, candidates, excluded))
        }
        Step::Decimal { digits_max, .. } => Cost::bulk(14, 5, read_digits(digits_max + 1)),
        Step::Bytes { .. } => Cost::plain(6),
        Step::Rest { .. } => Cost::plain(4),
        Step::End => Cost::plain(2),
    }
}
