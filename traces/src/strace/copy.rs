//! Copying blocks of library workloads into a new one that has the address space of one of them, the *base*.
//!
//! Blocks of the base keep their addresses. In blocks of others, chunks of the fixed address space are replaced: by the base's chunk
//! where both hold the same kernel code or image data (recognised by the lines that run or are touched in them, because all captures
//! are of one kernel binary), by a new chunk otherwise. Their per-instance lines are numbered after the base's: the same number stands
//! for different fields in different captures, and taking them for one line would make false hits.

use rustc_hash::{FxHashMap, FxHashSet};
use sim_core::block::{BlockId, BlockStore, Op, OpKind, Origin, Region};
use sim_core::ids::{CHUNK_LINES, Mode};
use sim_core::layout::Layout;
use sim_core::workload::Workload;

/// Lines that two chunks must have in common to be taken for the same.
const COMMON_LINES_MIN: usize = 8;

/// Regions whose line numbers mean the same in every capture: positions in a 16 KiB stack.
const SAME_EVERYWHERE: [Region; 2] = [Region::Fixed, Region::KernelStack];

pub(super) struct Copier<'a> {
    recorded: &'a [&'a Workload],
    base: usize,
    pub blocks: BlockStore,
    pub layout: Layout,
    pub region_lines: [u32; Region::COUNT],
    copied: FxHashMap<(usize, BlockId, Origin), BlockId>,
    chunks: FxHashMap<usize, FxHashMap<u32, u32>>,
    base_lines: FxHashMap<u32, ChunkLines>,
    /// Chunks of other captures that were recognised, and that were not.
    pub chunks_shared: u64,
    pub chunks_new: u64,
}

/// Lines of a chunk that kernel code fetches, and that it touches.
#[derive(Default)]
struct ChunkLines {
    fetched: FxHashSet<u32>,
    touched: FxHashSet<u32>,
}

impl<'a> Copier<'a> {
    pub fn new(library: &'a [&'a Workload], base: usize) -> Self {
        Copier {
            recorded: library,
            base,
            blocks: BlockStore::new(),
            layout: library[base].layout.clone(),
            region_lines: library[base].region_lines,
            copied: FxHashMap::default(),
            chunks: FxHashMap::default(),
            base_lines: kernel_lines(library[base]),
            chunks_shared: 0,
            chunks_new: 0,
        }
    }

    /// Copies a block of a library workload once; `origin` overrides what it says of itself.
    pub fn copy(&mut self, source: usize, id: BlockId, origin: Option<Origin>) -> BlockId {
        if id == BlockId::EMPTY {
            return id;
        }
        let from = self.recorded[source];
        let info = from.blocks.info(id);
        let origin = origin.unwrap_or(info.origin);
        if let Some(done) = self.copied.get(&(source, id, origin)) {
            return *done;
        }
        let ops = if source == self.base { from.blocks.ops(id).to_vec() } else { self.relocated(source, from.blocks.ops(id)) };
        let new = self.blocks.push(info.mode, origin, &ops, info.spans.clone());
        self.copied.insert((source, id, origin), new);
        new
    }

    /// Copies a list of exemplars.
    pub fn copy_all(&mut self, source: usize, list: &[BlockId]) -> Vec<BlockId> {
        list.iter().map(|id| self.copy(source, *id, None)).collect()
    }

    fn relocated(&mut self, source: usize, ops: &[Op]) -> Vec<Op> {
        if !self.chunks.contains_key(&source) {
            let map = self.chunk_map(source);
            self.chunks.insert(source, map);
        }
        let base_lines = &self.recorded[self.base].region_lines;
        let from = self.recorded[source];
        ops.iter()
            .map(|op| {
                let mut op = *op;
                let region = op.region.index();
                if op.region == Region::Fixed {
                    op.offset = self.chunk(source, op.offset / CHUNK_LINES) * CHUNK_LINES + op.offset % CHUNK_LINES;
                } else if !SAME_EVERYWHERE.contains(&op.region) {
                    op.offset += base_lines[region];
                    self.region_lines[region] = self.region_lines[region].max(base_lines[region] + from.region_lines[region]);
                } else {
                    self.region_lines[region] = self.region_lines[region].max(from.region_lines[region]);
                }
                op
            })
            .collect()
    }

    fn chunk(&mut self, source: usize, chunk: u32) -> u32 {
        let known = self.chunks.get(&source).and_then(|map| map.get(&chunk)).copied();
        known.unwrap_or_else(|| {
            let size = self.recorded[source].layout.pages()[chunk as usize];
            let new = self.layout.chunk(size) / CHUNK_LINES;
            self.chunks_new += 1;
            self.chunks.entry(source).or_default().insert(chunk, new);
            new
        })
    }

    /// The chunks of a source that are the base's too.
    fn chunk_map(&mut self, source: usize) -> FxHashMap<u32, u32> {
        let own = kernel_lines(self.recorded[source]);
        let mut base_chunks: Vec<u32> = self.base_lines.keys().copied().collect();
        base_chunks.sort_unstable();
        let pages = (self.recorded[source].layout.pages(), self.recorded[self.base].layout.pages());
        let mut map = FxHashMap::default();
        for (chunk, lines) in &own {
            let same_page = |base: &&u32| pages.0[*chunk as usize] == pages.1[**base as usize];
            let best = base_chunks
                .iter()
                .filter(same_page)
                .map(|base| (likeness(lines, &self.base_lines[base]), std::cmp::Reverse(*base)))
                .max();
            if let Some((1.., std::cmp::Reverse(base))) = best {
                map.insert(*chunk, base);
            }
        }
        self.chunks_shared += map.len() as u64;
        map
    }
}

/// How alike two chunks are: 0 when they are different memory, else the lines they have in common. Code decides where there is code.
fn likeness(left: &ChunkLines, right: &ChunkLines) -> usize {
    let (left, right) = match (left.fetched.len(), right.fetched.len()) {
        (0, 0) => (&left.touched, &right.touched),
        _ => (&left.fetched, &right.fetched),
    };
    let common = left.iter().filter(|line| right.contains(line)).count();
    let enough = common >= COMMON_LINES_MIN && common * 2 >= left.len().min(right.len());
    if enough { common } else { 0 }
}

/// Fixed lines by chunk that the kernel blocks of a workload run on or touch.
fn kernel_lines(workload: &Workload) -> FxHashMap<u32, ChunkLines> {
    let mut chunks: FxHashMap<u32, ChunkLines> = FxHashMap::default();
    for index in 0..workload.blocks.len() {
        let id = BlockId(index as u32);
        if workload.blocks.info(id).mode != Mode::Kernel {
            continue;
        }
        for op in workload.blocks.ops(id).iter().filter(|op| op.region == Region::Fixed) {
            let lines = chunks.entry(op.offset / CHUNK_LINES).or_default();
            match op.kind {
                OpKind::Fetch => lines.fetched.insert(op.offset % CHUNK_LINES),
                OpKind::Load | OpKind::Store => lines.touched.insert(op.offset % CHUNK_LINES),
                OpKind::Copy => false,
            };
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Shape, server};
    use sim_core::workload::Program;

    #[test]
    fn kernel_code_is_shared_and_the_rest_gets_new_chunks() {
        let base = server(Shape::default());
        let other = server(Shape { program: Program::Sequential, kernel_lines: 130, ..Shape::default() });
        let library = [&base, &other];
        let mut copier = Copier::new(&library, 0);
        let step = &other.classes[0].chains[0].steps[0];
        let kernel = copier.copy(1, step.kernel, None);
        let fixed = |store: &BlockStore, id| -> Vec<u32> {
            store.ops(id).iter().filter(|op| op.region == Region::Fixed).map(|op| op.offset).collect()
        };
        assert_eq!(fixed(&copier.blocks, kernel), fixed(&other.blocks, step.kernel), "kernel text is chunk 0 in both");
        assert_eq!(copier.chunks_new, 0);
        let user = copier.copy(1, step.user, None);
        assert_eq!(copier.chunks_new, 1, "user text is another program's");
        assert!(fixed(&copier.blocks, user).iter().all(|line| line / CHUNK_LINES == 2));
        let connection = copier.blocks.ops(kernel).iter().find(|op| op.region == Region::KernelConnection).unwrap();
        assert!(connection.offset >= base.region_lines[Region::KernelConnection.index()]);
        assert!(connection.offset < copier.region_lines[Region::KernelConnection.index()]);
        assert_eq!(copier.copy(1, step.kernel, None), kernel, "a block is copied once");
        assert_eq!(copier.blocks.info(kernel).instructions, other.blocks.info(step.kernel).instructions);
    }
}
