//! Tables over the 2^31 line keys, allocated one chunk at a time when something is first written there.

/// Entries in a chunk: the lines of 512 KiB. Sparse memories cost as much as a chunk for each place that is touched.
const CHUNK_BITS: u32 = 13;
const CHUNK: usize = 1 << CHUNK_BITS;

/// A sparse table with a default value for what was never written.
#[derive(Clone, Debug)]
pub struct Paged<T> {
    chunks: Vec<Option<Box<[T; CHUNK]>>>,
    default: T,
}

impl<T: Copy> Paged<T> {
    /// An empty table.
    pub fn new(default: T) -> Self {
        Paged { chunks: Vec::new(), default }
    }

    /// The value of a key.
    #[inline(always)]
    pub fn get(&self, key: u32) -> T {
        match self.chunks.get((key >> CHUNK_BITS) as usize) {
            Some(Some(chunk)) => chunk[key as usize % CHUNK],
            _ => self.default,
        }
    }

    /// The value of a key, and that of the next one, which is asked for only when both are in one chunk.
    #[inline(always)]
    pub fn get_two(&self, key: u32) -> [T; 2] {
        match self.chunks.get((key >> CHUNK_BITS) as usize) {
            Some(Some(chunk)) => [chunk[key as usize % CHUNK], chunk[(key as usize + 1) % CHUNK]],
            _ => [self.default; 2],
        }
    }

    /// The place of a key's value, for change.
    #[inline(always)]
    pub fn entry(&mut self, key: u32) -> &mut T {
        debug_assert!(key < 1 << 31);
        let number = (key >> CHUNK_BITS) as usize;
        if number >= self.chunks.len() {
            self.lengthen(number);
        }
        let chunk = self.chunks[number].get_or_insert_with(
            #[cold]
            || Box::new([self.default; CHUNK]),
        );
        &mut chunk[key as usize % CHUNK]
    }

    #[cold]
    #[inline(never)]
    fn lengthen(&mut self, number: usize) {
        self.chunks.resize_with(number + 1, || None);
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
