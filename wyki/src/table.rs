//! Tables: hashed chains over a fixed array of entries. Nothing grows when the service runs.

use crate::costs::PROBES_MAX;

/// Before an entry's key: hash, link, length of the key and of the value, 4 bytes each.
const HEADER_BYTES: u32 = 16;
/// The beginning of a chain.
const HEAD_BYTES: u64 = 4;
/// Entries begin on a line, so that a short one touches one line only.
const LINE_BYTES: u32 = 64;
/// An odd number with bits spread evenly: 2^64 divided by the golden ratio.
const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// A table's bounds and memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// Its name in the program.
    pub name: String,
    /// Entries at most.
    pub entries: u32,
    /// Bytes of a key at most.
    pub key_bytes: u32,
    /// Bytes of a value at most.
    pub value_bytes: u32,
    /// Memory of one entry: header, key and value, whole lines.
    pub entry_bytes: u32,
    /// Chains; twice as many as entries or more, so that they stay short.
    pub chains: u32,
    /// Memory of the table: beginnings of chains, then entries.
    pub bytes: u64,
}

impl TableShape {
    pub(crate) fn new(name: &str, entries: u32, key_bytes: u32, value_bytes: u32) -> TableShape {
        let content = HEADER_BYTES + key_bytes.next_multiple_of(8) + value_bytes.next_multiple_of(8);
        let entry_bytes = content.next_multiple_of(LINE_BYTES);
        let chains = (entries * 2).next_power_of_two();
        let mut shape = TableShape { name: name.to_owned(), entries, key_bytes, value_bytes, entry_bytes, chains, bytes: 0 };
        shape.bytes = shape.entry_offset(entries);
        shape
    }

    fn chain_offset(&self, chain: u32) -> u64 {
        u64::from(chain) * HEAD_BYTES
    }

    fn entry_offset(&self, entry: u32) -> u64 {
        (u64::from(self.chains) * HEAD_BYTES).next_multiple_of(u64::from(LINE_BYTES))
            + u64::from(entry) * u64::from(self.entry_bytes)
    }

    pub(crate) fn key_offset(&self, entry: u32) -> u64 {
        self.entry_offset(entry) + u64::from(HEADER_BYTES)
    }

    pub(crate) fn value_offset(&self, entry: u32) -> u64 {
        self.key_offset(entry) + u64::from(self.key_bytes.next_multiple_of(8))
    }
}

/// An access of the table's own memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    pub byte_offset: u64,
    pub bytes: usize,
    pub store: bool,
}

/// What looking for a key did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Walk {
    pub entry: Option<u32>,
    /// Entries looked at.
    pub probes: u64,
    /// Bytes of keys compared.
    pub compared_bytes: u64,
}

/// No room for another entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Clone, Debug, Default)]
struct Entry {
    hash: u64,
    /// The next of the chain.
    next: Option<u32>,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A table's contents.
#[derive(Clone, Debug)]
pub struct Table {
    shape: TableShape,
    chains: Vec<Option<u32>>,
    entries: Vec<Entry>,
    /// Released entries, to be used first.
    free: Vec<u32>,
}

impl Table {
    pub fn new(shape: &TableShape) -> Table {
        Table { shape: shape.clone(), chains: vec![None; shape.chains as usize], entries: Vec::new(), free: Vec::new() }
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    fn chain(&self, hash: u64) -> u32 {
        (hash as u32) & (self.shape.chains - 1)
    }

    /// Looks for a key, telling each access.
    pub fn find(&self, key: &[u8], touched: &mut impl FnMut(Touch)) -> Walk {
        let hash = hash(key);
        let chain = self.chain(hash);
        touched(Touch { byte_offset: self.shape.chain_offset(chain), bytes: HEAD_BYTES as usize, store: false });
        let mut walk = Walk::default();
        let mut next = self.chains[chain as usize];
        while let Some(index) = next {
            let entry = &self.entries[index as usize];
            walk.probes += 1;
            let header = Touch { byte_offset: self.shape.entry_offset(index), bytes: HEADER_BYTES as usize, store: false };
            touched(header);
            if entry.hash == hash && entry.key.len() == key.len() {
                walk.compared_bytes += key.len() as u64;
                touched(Touch { byte_offset: self.shape.key_offset(index), bytes: key.len(), store: false });
                if entry.key == key {
                    walk.entry = Some(index);
                    break;
                }
            }
            next = entry.next;
        }
        walk
    }

    /// Stores a value under a key, whose bounds the caller has checked.
    pub fn insert(&mut self, key: &[u8], value: &[u8], touched: &mut impl FnMut(Touch)) -> Result<Walk, (Walk, Full)> {
        let mut walk = self.find(key, touched);
        let index = match walk.entry {
            Some(index) => index,
            None => self.add(key, walk.probes, touched).map_err(|full| (walk, full))?,
        };
        walk.entry = Some(index);
        self.entries[index as usize].value = value.to_vec();
        touched(Touch { byte_offset: self.shape.value_offset(index), bytes: value.len(), store: true });
        Ok(walk)
    }

    /// A new entry at the beginning of its chain, if neither the table nor the chain is full.
    fn add(&mut self, key: &[u8], chain_length: u64, touched: &mut impl FnMut(Touch)) -> Result<u32, Full> {
        if chain_length >= u64::from(PROBES_MAX) {
            return Err(Full);
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.entries.len() < self.shape.entries as usize => {
                self.entries.push(Entry::default());
                self.entries.len() as u32 - 1
            }
            None => return Err(Full),
        };
        let hash = hash(key);
        let chain = self.chain(hash);
        let next = self.chains[chain as usize].replace(index);
        self.entries[index as usize] = Entry { hash, next, key: key.to_vec(), value: Vec::new() };
        touched(Touch { byte_offset: self.shape.chain_offset(chain), bytes: HEAD_BYTES as usize, store: true });
        touched(Touch { byte_offset: self.shape.entry_offset(index), bytes: HEADER_BYTES as usize + key.len(), store: true });
        Ok(index)
    }

    /// Takes an entry out of its chain; the number of entries looked at.
    pub fn release(&mut self, index: u32, touched: &mut impl FnMut(Touch)) -> u64 {
        let chain = self.chain(self.entries[index as usize].hash);
        let after = self.entries[index as usize].next;
        touched(Touch { byte_offset: self.shape.entry_offset(index), bytes: HEADER_BYTES as usize, store: false });
        let mut probes = 1;
        match self.chains[chain as usize] {
            Some(first) if first != index => {
                let mut before = first;
                while let Some(next) = self.entries[before as usize].next.filter(|next| *next != index) {
                    touched(Touch { byte_offset: self.shape.entry_offset(before), bytes: HEADER_BYTES as usize, store: false });
                    before = next;
                    probes += 1;
                }
                self.entries[before as usize].next = after;
                touched(Touch { byte_offset: self.shape.entry_offset(before), bytes: HEADER_BYTES as usize, store: true });
            }
            _ => {
                self.chains[chain as usize] = after;
                touched(Touch { byte_offset: self.shape.chain_offset(chain), bytes: HEAD_BYTES as usize, store: true });
            }
        }
        self.entries[index as usize] = Entry::default();
        self.free.push(index);
        probes
    }

    pub fn value(&self, index: u32) -> &[u8] {
        self.entries.get(index as usize).map_or(&[], |entry| &entry.value)
    }
}

/// Hashes words of eight bytes; the last is filled up with zeros and the length goes in first.
fn hash(key: &[u8]) -> u64 {
    let mut hash = (key.len() as u64).wrapping_mul(MULTIPLIER);
    for word in key.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        hash = (hash ^ u64::from_le_bytes(bytes)).wrapping_mul(MULTIPLIER);
        hash ^= hash >> 32;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_table() {
        let shape = TableShape::new("items", 1000, 60, 500);
        assert_eq!((shape.entry_bytes, shape.chains), (16 + 64 + 504 + 56, 2048));
        assert_eq!(shape.bytes, 2048 * 4 + 1000 * 640);
        assert_eq!(shape.value_offset(1) - shape.key_offset(0), 640 + 64);
    }

    #[test]
    fn a_full_table_refuses_and_a_released_entry_is_used_again() {
        let mut table = Table::new(&TableShape::new("t", 2, 8, 8));
        let mut quiet = |_| {};
        assert!(table.insert(b"a", b"1", &mut quiet).is_ok());
        assert!(table.insert(b"b", b"2", &mut quiet).is_ok());
        assert_eq!(table.insert(b"c", b"3", &mut quiet).unwrap_err().1, Full);
        assert!(table.insert(b"a", b"9", &mut quiet).is_ok());
        let entry = table.find(b"b", &mut quiet).entry.unwrap();
        table.release(entry, &mut quiet);
        assert!(table.find(b"b", &mut quiet).entry.is_none());
        assert_eq!(table.insert(b"c", b"3", &mut quiet).unwrap().entry, Some(entry));
        let values: Vec<&[u8]> = [b"a", b"c"].map(|key| table.value(table.find(key, &mut quiet).entry.unwrap())).to_vec();
        assert_eq!((values, table.len()), (vec![&b"9"[..], &b"3"[..]], 2));
    }

    #[test]
    fn accesses_stay_inside_the_table() {
        let shape = TableShape::new("t", 3, 8, 8);
        let mut table = Table::new(&shape);
        let bytes = shape.bytes;
        let mut touches = 0;
        let mut inside = |touch: Touch| {
            touches += 1;
            assert!(touch.byte_offset + touch.bytes as u64 <= bytes);
        };
        for key in [b"one", b"two", b"six"] {
            table.insert(key, b"12345678", &mut inside).unwrap();
        }
        for key in [b"two", b"one", b"six"] {
            let entry = table.find(key, &mut inside).entry.unwrap();
            table.release(entry, &mut inside);
        }
        assert_eq!((table.len(), touches > 15), (0, true));
    }
}
