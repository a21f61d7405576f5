//! Tables over the 2^31 line keys, allocated one chunk at a time when something is first written there.

use crate::tags::EMPTY;

/// Entries in a chunk: the lines of 2 MiB.
const CHUNK_BITS: u32 = 15;
const CHUNK: usize = 1 << CHUNK_BITS;

/// A sparse table with a default value for what was never written.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    /// Chunk number -> 1 + place of its values; 0: nothing there yet.
    places: Vec<u32>,
    values: Vec<T>,
    default: T,
}

impl<T: Copy> Paged<T> {
    /// An empty table.
    pub fn new(default: T) -> Self {
        Paged { places: Vec::new(), values: Vec::new(), default }
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, key: u32) -> T {
        match self.places.get((key >> CHUNK_BITS) as usize) {
            Some(&place) if place != 0 => self.values[(place as usize - 1) * CHUNK + (key as usize & (CHUNK - 1))],
            _ => self.default,
        }
    }

    /// The place of a key's value, for change.
    #[inline]
    pub fn entry(&mut self, key: u32) -> &mut T {
        debug_assert!(key < EMPTY);
        let chunk = (key >> CHUNK_BITS) as usize;
        if self.places.get(chunk).is_none_or(|place| *place == 0) {
            self.allocate(chunk);
        }
        let place = self.places[chunk] as usize - 1;
        &mut self.values[place * CHUNK + (key as usize & (CHUNK - 1))]
    }

    #[cold]
    fn allocate(&mut self, chunk: usize) {
        if self.places.len() <= chunk {
            self.places.resize(chunk + 1, 0);
        }
        self.places[chunk] = (self.values.len() / CHUNK) as u32 + 1;
        self.values.resize(self.values.len() + CHUNK, self.default);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwritten_keys_have_the_default() {
        let mut table = Paged::new(7u16);
        *table.entry(0x6000_0001) = 9;
        *table.entry(3) = 1;
        assert_eq!([table.get(0x6000_0001), table.get(0x6000_0000), table.get(3), table.get(1 << 20)], [9, 7, 1, 7]);
    }
}
