//! The simulated address space: chunks of 2 MiB with a page size, and the map from captured addresses into it.

use crate::ids::{CHUNK_LINES, Line, MAX_LINE};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Page size of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PageSize {
    /// 4 KiB pages: user memory, kernel stacks and other vmalloc space.
    Small,
    /// One 2 MiB page: kernel text and most of the direct map.
    Large,
}

/// The chunks handed out so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    pages: Vec<PageSize>,
}

impl Layout {
    /// An empty address space.
    pub fn new() -> Self {
        Layout::default()
    }

    /// Hands out one chunk; returns its first line.
    ///
    /// # Panics
    /// When the 64 GiB of simulated address space are used up (32,768 chunks); callers bound what they ask for.
    pub fn chunk(&mut self, size: PageSize) -> Line {
        let first = self.pages.len() as u64 * u64::from(CHUNK_LINES);
        assert!(first + u64::from(CHUNK_LINES) <= u64::from(MAX_LINE), "simulated address space exhausted");
        self.pages.push(size);
        first as Line
    }

    /// Hands out enough consecutive chunks for `lines` lines; returns the first line.
    pub fn area(&mut self, lines: u64, size: PageSize) -> Line {
        let chunks = lines.div_ceil(u64::from(CHUNK_LINES)).max(1);
        let first = self.chunk(size);
        for _ in 1..chunks {
            self.chunk(size);
        }
        first
    }

    /// Page size by chunk number (line / [`CHUNK_LINES`]).
    pub fn pages(&self) -> &[PageSize] {
        &self.pages
    }

    /// Number of chunks.
    pub fn chunks(&self) -> usize {
        self.pages.len()
    }
}

/// Maps raw captured lines to simulated lines, one 2 MiB chunk at a time, so that every address bit below 2^21 is kept
/// (cache and TLB set indices stay what they were).
#[derive(Clone, Debug, Default)]
pub struct AddressMap {
    /// The address space behind the map.
    pub layout: Layout,
    chunks: FxHashMap<(u32, u64), Line>,
}

/// A chunk of recorded memory that all captures of one kernel binary share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordedChunk {
    /// First simulated line.
    pub line: Line,
    /// First raw line (virtual address / 64): what symbols are looked up by.
    pub raw: u64,
}

impl AddressMap {
    /// An empty map over an empty address space.
    pub fn new() -> Self {
        AddressMap::default()
    }

    /// The simulated line of raw line `raw` (virtual address / 64) in address space `space`.
    /// Space 0 is what all captures of one kernel binary share (text, image data); each capture's own memory has its own space.
    pub fn line(&mut self, space: u32, raw: u64, size: PageSize) -> Line {
        let chunk = raw / u64::from(CHUNK_LINES);
        let layout = &mut self.layout;
        let first = *self.chunks.entry((space, chunk)).or_insert_with(|| layout.chunk(size));
        first + (raw % u64::from(CHUNK_LINES)) as Line
    }

    /// The chunks of address space `space` that have been handed out, by simulated line.
    pub fn chunks_of(&self, space: u32) -> Vec<RecordedChunk> {
        let own = self.chunks.iter().filter(|((of, _), _)| *of == space);
        let mut chunks: Vec<RecordedChunk> =
            own.map(|((_, chunk), line)| RecordedChunk { line: *line, raw: chunk * u64::from(CHUNK_LINES) }).collect();
        chunks.sort_unstable();
        chunks
    }
}
