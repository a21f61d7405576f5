//! Dense numbers for the lines of a capture.

use rustc_hash::FxHashMap;

/// Entries of the direct-mapped cache before the hash map; most records repeat a recent line.
const CACHE_ENTRIES: usize = 1 << 14;

/// Gives each distinct (space, line) a number from 0, in order of first appearance.
///
/// The space tells equal virtual addresses of different processes apart; it is below 64, so that it fits the six bits that a line
/// number (an address divided by 64) leaves free.
#[derive(Clone, Debug)]
pub struct LineTable {
    cache: Vec<(u64, u32)>,
    numbers: FxHashMap<u64, u32>,
    lines: Vec<u64>,
}

/// Spaces that a [`LineTable`] tells apart.
pub const SPACES: u64 = 64;

const EMPTY: u64 = u64::MAX;
const LINE_BITS: u32 = 58;
const LINE_MASK: u64 = (1 << LINE_BITS) - 1;

impl Default for LineTable {
    fn default() -> Self {
        LineTable { cache: vec![(EMPTY, 0); CACHE_ENTRIES], numbers: FxHashMap::default(), lines: Vec::new() }
    }
}

impl LineTable {
    /// The number of a line.
    #[inline]
    pub fn number(&mut self, space: u64, line: u64) -> u32 {
        let key = space << LINE_BITS | line & LINE_MASK;
        let slot = (key ^ key >> 14 ^ key >> LINE_BITS) as usize % CACHE_ENTRIES;
        let (cached, number) = self.cache[slot];
        if cached == key {
            return number;
        }
        let next = self.lines.len() as u32;
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.lines.push(key);
        }
        self.cache[slot] = (key, number);
        number
    }

    /// The raw line behind a number.
    #[inline]
    pub fn line(&self, number: u32) -> u64 {
        self.lines[number as usize] & LINE_MASK
    }

    /// The space behind a number.
    pub fn space(&self, number: u32) -> u64 {
        self.lines[number as usize] >> LINE_BITS
    }

    /// Distinct lines so far.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True before the first line.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_spaces_apart() {
        let mut table = LineTable::default();
        let lines = [7, 7 + CACHE_ENTRIES as u64, 0x03FF_FE00_0000_0001, 7];
        let numbers: Vec<u32> = lines.iter().map(|line| table.number(1, *line)).collect();
        assert_eq!(numbers, [0, 1, 2, 0]);
        assert_eq!(table.number(2, 7), 3);
        assert_eq!((table.line(3), table.space(3), table.line(2)), (7, 2, lines[2]));
    }
}
