//! Symbolic blocks: what a stretch of execution touches, in order, with lines as region + offset.
//!
//! A block is recorded (from a full-system capture) or synthetic (from a profile). Both are the same flat array of [`Op`]s, which one
//! hot loop in `cpu-model` executes under a [`Binding`] from regions to addresses. MODEL.md section 3 gives the rules.

use crate::ids::{Line, Mode};
use serde::{Deserialize, Serialize};

/// What one [`Op`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum OpKind {
    /// Fetch a line and execute `count` instructions there.
    Fetch,
    /// Load from a line.
    Load,
    /// Store to a line.
    Store,
    /// A repeated string copy begins: `count` is the number of lines it moves; its line touches follow as loads and stores.
    Copy,
}

/// One step of a block, 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(C)]
pub struct Op {
    /// Line offset inside the region.
    pub offset: u32,
    /// Instructions of a fetch, or lines of a copy; 0 otherwise.
    pub count: u16,
    /// Index of the region in the [`Binding`].
    pub region: Region,
    /// What to do.
    pub kind: OpKind,
}

/// Classes of lines. A run binds each to an address; which instance it binds to depends on who executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Region {
    /// Offsets are simulated lines themselves (base 0): kernel text and image data, shared slab lines, user text and global user data.
    Fixed,
    /// Per-CPU kernel data, interrupt stack, CPU entry area: one instance per core.
    PerCpu,
    /// Kernel stack: one instance per task.
    KernelStack,
    /// Other kernel lines that belong to one task (its task struct and so on): one instance per task.
    KernelTask,
    /// Kernel lines of one connection (socket, file, epoll item).
    KernelConnection,
    /// Recycled kernel lines (socket buffers, open files, buffers): one instance per request in flight.
    KernelPool,
    /// Kernel lines seen in one request only: one instance per request, recycled last-in first-out.
    KernelPrivate,
    /// User stack: one instance per thread.
    UserStack,
    /// User lines of one connection.
    UserConnection,
    /// Recycled user lines: one instance per request in flight.
    UserPool,
    /// User lines seen in one request only.
    UserPrivate,
    /// Lines of one stored item (a cache's value): one instance per key, drawn per request.
    UserItem,
    /// Shared user memory of one process (heap and data that belong to no request).
    UserProcess,
    /// Data of the mechanism itself: syscall pages, rings, script states, bytecode. One instance per mechanism object.
    Mechanism,
    /// Synthetic kernel text and data where nothing is recorded.
    SyntheticKernel,
    /// Synthetic user text and data where nothing is recorded.
    SyntheticUser,
}

impl Region {
    /// Number of regions: the length of a [`Binding`].
    pub const COUNT: usize = 16;

    /// All regions in index order.
    pub const ALL: [Region; Region::COUNT] = [
        Region::Fixed,
        Region::PerCpu,
        Region::KernelStack,
        Region::KernelTask,
        Region::KernelConnection,
        Region::KernelPool,
        Region::KernelPrivate,
        Region::UserStack,
        Region::UserConnection,
        Region::UserPool,
        Region::UserPrivate,
        Region::UserItem,
        Region::UserProcess,
        Region::Mechanism,
        Region::SyntheticKernel,
        Region::SyntheticUser,
    ];

    /// Index into a [`Binding`].
    #[inline]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Base line of each region for one execution of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Binding {
    /// Line to add to an op's offset, by region index. `Region::Fixed` is always 0.
    pub base: [Line; Region::COUNT],
}

impl Binding {
    /// The simulated line of an op.
    #[inline(always)]
    pub fn line(&self, op: Op) -> Line {
        self.base[op.region as usize].wrapping_add(op.offset)
    }
}

/// A block's place in a [`BlockStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlockId(pub u32);

impl BlockId {
    /// The block with no ops: block 0 of every store.
    pub const EMPTY: BlockId = BlockId(0);

    /// Index into the store.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A named cut of a kernel block: ops `start..end`, from the first line of a function to its return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// Which cut.
    pub cut: Cut,
    /// First op.
    pub start: u32,
    /// One past the last op.
    pub end: u32,
}

/// The cuts that mechanisms ask for. Found by symbol in recorded blocks, never by percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cut {
    /// The system-call function (`__x64_sys_*`): no entry code, no dispatch.
    Handler,
    /// The file or socket layer (`ksys_write`, `__sys_sendmsg`, `do_sys_openat2` …).
    FileLayer,
    /// The protocol or file-system function (`tcp_sendmsg`, `tcp_recvmsg`, `generic_file_read_iter` …): no descriptor lookup, no VFS.
    Protocol,
    /// Work that the call left for its way out (`task_work_run`: the last reference to a file closes its socket there). It belongs to
    /// the call however the call was issued.
    ExitWork,
    /// Handing a packet to the device (`__dev_queue_xmit`): replaced by the NIC's transmit when the client is remote.
    Transmit,
}

/// Where the ops of a block came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Recorded in a full-system capture.
    Recorded,
    /// Made from a profile with a named source.
    Synthetic,
}

/// What is known of one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// First op in the store.
    pub start: u32,
    /// One past the last op.
    pub end: u32,
    /// Sum of instructions.
    pub instructions: u32,
    /// Mode in which it was recorded.
    pub mode: Mode,
    /// Recorded or synthetic.
    pub origin: Origin,
    /// Cuts, in the order of [`Cut`]; `start`/`end` are relative to this block's first op.
    pub spans: Vec<Span>,
}

impl BlockInfo {
    /// The op range of a cut, relative to the block, if the block has it.
    pub fn span(&self, cut: Cut) -> Option<std::ops::Range<usize>> {
        self.spans.iter().find(|span| span.cut == cut).map(|span| span.start as usize..span.end as usize)
    }
}

/// All blocks of one workload with its kernel, in one flat array.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockStore {
    ops: Vec<Op>,
    blocks: Vec<BlockInfo>,
}

impl Default for BlockStore {
    fn default() -> Self {
        BlockStore::new()
    }
}

impl BlockStore {
    /// A store that holds only [`BlockId::EMPTY`].
    pub fn new() -> Self {
        let empty =
            BlockInfo { start: 0, end: 0, instructions: 0, mode: Mode::Kernel, origin: Origin::Recorded, spans: Vec::new() };
        BlockStore { ops: Vec::new(), blocks: vec![empty] }
    }

    /// Appends a block and returns its id. Spans that lie outside the ops are a bug of the caller.
    pub fn push(&mut self, mode: Mode, origin: Origin, ops: &[Op], spans: Vec<Span>) -> BlockId {
        debug_assert!(spans.iter().all(|span| span.start <= span.end && span.end as usize <= ops.len()));
        let start = self.ops.len() as u32;
        self.ops.extend_from_slice(ops);
        let instructions = instructions_of(ops);
        self.blocks.push(BlockInfo { start, end: self.ops.len() as u32, instructions, mode, origin, spans });
        BlockId(self.blocks.len() as u32 - 1)
    }

    /// Changes the ops of a block where they are.
    pub fn change(&mut self, id: BlockId, change: impl FnOnce(&mut [Op])) {
        let info = &mut self.blocks[id.index()];
        let ops = &mut self.ops[info.start as usize..info.end as usize];
        change(ops);
        info.instructions = instructions_of(ops);
    }

    /// Drops the ops of all blocks but these; ids stay as they are.
    pub fn keep_only(&mut self, kept: impl Fn(BlockId) -> bool) {
        let mut ops = Vec::new();
        for (index, info) in self.blocks.iter_mut().enumerate() {
            let own = if kept(BlockId(index as u32)) { info.start as usize..info.end as usize } else { 0..0 };
            if own.is_empty() {
                (info.instructions, info.spans) = (0, Vec::new());
            }
            let start = ops.len() as u32;
            ops.extend_from_slice(&self.ops[own]);
            (info.start, info.end) = (start, ops.len() as u32);
        }
        self.ops = ops;
    }

    /// The ops of a block.
    #[inline]
    pub fn ops(&self, id: BlockId) -> &[Op] {
        let info = &self.blocks[id.index()];
        &self.ops[info.start as usize..info.end as usize]
    }

    /// What is known of a block.
    #[inline]
    pub fn info(&self, id: BlockId) -> &BlockInfo {
        &self.blocks[id.index()]
    }

    /// Number of blocks, the empty one included.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// True when nothing but the empty block is there.
    pub fn is_empty(&self) -> bool {
        self.blocks.len() == 1
    }

    /// Number of ops of all blocks.
    pub fn op_count(&self) -> usize {
        self.ops.len()
    }
}

/// Sum of instructions over the fetches of a piece of a block.
pub fn instructions_of(ops: &[Op]) -> u32 {
    ops.iter().filter(|op| op.kind == OpKind::Fetch).map(|op| u32::from(op.count)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_are_dropped_leave_ids_cuts_and_ops_of_others_alone() {
        let fetch = |line: u32| Op { offset: line, count: 3, region: Region::Fixed, kind: OpKind::Fetch };
        let mut store = BlockStore::new();
        let ids = [1, 2, 3].map(|line| {
            let spans = vec![Span { cut: Cut::Handler, start: 0, end: 2 }];
            store.push(Mode::Kernel, Origin::Recorded, &[fetch(line), fetch(10 * line)], spans)
        });
        store.change(ids[2], |ops| ops[1].count = 9);
        store.keep_only(|id| id != ids[1]);
        assert_eq!((store.op_count(), store.info(ids[1]).instructions, store.info(ids[2]).instructions), (4, 0, 12));
        assert!(store.ops(ids[1]).is_empty() && store.info(ids[1]).span(Cut::Handler).is_none());
        assert_eq!(store.ops(ids[2]), [fetch(3), Op { count: 9, ..fetch(30) }]);
        assert_eq!(store.info(ids[2]).span(Cut::Handler), Some(0..2));
    }
}
