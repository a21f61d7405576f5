//! Blocks of the model twins: user work of a case's shape, and recorded blocks on other lines.

use sim_core::block::{BlockId, BlockStore, Cut, Op, OpKind, Origin, Region, Span};
use sim_core::ids::{Line, Mode, PAGE_LINES};
use sim_core::layout::{Layout, PageSize};
use sim_core::workload::{Step, Workload};
use std::collections::{BTreeMap, BTreeSet};
use twins::case::{Shape, Store};
use twins::table::SERVE_INSTRUCTIONS;
use twins::work::{self, CHAIN_INSTRUCTIONS, FUNCTION_BYTES, FUNCTION_INSTRUCTIONS, LINE_BYTES, Piece};

/// Lines of a function.
const FUNCTION_LINES: u32 = FUNCTION_BYTES / LINE_BYTES as u32;
/// Instructions of a function's call in its caller: table, bounds, count and branch.
const CALLER_INSTRUCTIONS: u16 = 6;
/// Lines of a key-value store's code: some 45 instructions a line with short encodings would be two, its copy a third.
const SERVE_LINES: u16 = 3;

/// An op on a line.
pub fn op(kind: OpKind, line: Line, count: u16) -> Op {
    Op { offset: line, count, region: Region::Fixed, kind }
}

/// User work of a shape, piece by piece, on lines of its own: the same steps and functions as the native twin's.
pub struct UserBlocks {
    /// The loop that follows the chain, and behind it the one that calls functions.
    code: Line,
    chain: Vec<Line>,
    functions: Vec<Line>,
    at: usize,
    next_function: usize,
    owed_permille: u64,
}

impl UserBlocks {
    /// Places code and data in new chunks.
    pub fn new(shape: Shape, layout: &mut Layout) -> UserBlocks {
        let functions = work::function_count(shape) as u32;
        let code = layout.area(u64::from((functions + 1) * FUNCTION_LINES), PageSize::Small);
        let lines = work::chain_lines(shape);
        let data = layout.area(lines as u64, PageSize::Small);
        let first_of = |place: usize| code + (place as u32 + 1) * FUNCTION_LINES;
        UserBlocks {
            code,
            chain: work::order(lines).into_iter().map(|line| data + line as Line).collect(),
            functions: work::order(functions as usize).into_iter().map(first_of).collect(),
            at: 0,
            next_function: 0,
            owed_permille: 0,
        }
    }

    /// Appends one piece.
    pub fn piece(&mut self, piece: Piece, ops: &mut Vec<Op>) {
        if !self.chain.is_empty() {
            for _ in 0..piece.steps {
                ops.push(op(OpKind::Fetch, self.code, CHAIN_INSTRUCTIONS as u16));
                ops.push(op(OpKind::Load, self.chain[self.at], 0));
                self.at = (self.at + 1) % self.chain.len();
            }
        }
        if !self.functions.is_empty() {
            self.owed_permille += piece.functions_permille;
            for _ in 0..self.owed_permille / 1000 {
                self.function(ops);
            }
            self.owed_permille %= 1000;
        }
    }

    fn function(&mut self, ops: &mut Vec<Op>) {
        ops.push(op(OpKind::Fetch, self.code + 1, CALLER_INSTRUCTIONS));
        let mut left = FUNCTION_INSTRUCTIONS - u32::from(CALLER_INSTRUCTIONS);
        for line in 0..FUNCTION_LINES {
            let count = left / (FUNCTION_LINES - line);
            ops.push(op(OpKind::Fetch, self.functions[self.next_function] + line, count as u16));
            left -= count;
        }
        self.next_function = (self.next_function + 1) % self.functions.len();
    }
}

/// A key-value store's own work, request by request.
pub struct ServeBlocks {
    code: Line,
    values: Vec<Line>,
    messages: Line,
    asked: usize,
}

impl ServeBlocks {
    /// Places code, values and the lines of so many messages.
    pub fn new(store: Store, messages: u32, layout: &mut Layout) -> ServeBlocks {
        let code = layout.area(u64::from(SERVE_LINES), PageSize::Small);
        let data = layout.area(u64::from(store.entries + messages), PageSize::Small);
        let values = work::order(store.entries.max(1) as usize);
        ServeBlocks {
            code,
            values: values.into_iter().map(|value| data + messages + value as Line).collect(),
            messages: data,
            asked: 0,
        }
    }

    /// Appends the work for the request in a message's line.
    pub fn serve(&mut self, message: u32, ops: &mut Vec<Op>) {
        let code = |line: u16| op(OpKind::Fetch, self.code + Line::from(line), SERVE_INSTRUCTIONS / SERVE_LINES);
        ops.extend([code(0), op(OpKind::Load, self.messages + message, 0), code(1)]);
        ops.extend([op(OpKind::Load, self.values[self.asked], 0), code(2), op(OpKind::Store, self.messages + message, 0)]);
        self.asked = (self.asked + 1) % self.values.len();
    }
}

/// A block of user work.
pub fn push_user(blocks: &mut BlockStore, ops: &[Op]) -> BlockId {
    blocks.push(Mode::User, Origin::Synthetic, ops, Vec::new())
}

/// A recorded block with each op replaced by another: its cuts stay.
pub fn replaced(blocks: &mut BlockStore, block: BlockId, replace: impl Fn(Op) -> Op) -> BlockId {
    let ops: Vec<Op> = blocks.ops(block).iter().map(|op| replace(*op)).collect();
    let info = blocks.info(block).clone();
    blocks.push(info.mode, info.origin, &ops, info.spans)
}

/// The call's work with the receive softirq of the other end, which ran inside it on the loopback device: behind the packet's hand-over.
pub fn with_softirq(blocks: &mut BlockStore, step: &Step) -> BlockId {
    let info = blocks.info(step.kernel).clone();
    let hand_over = info.spans.iter().rfind(|span| span.cut == Cut::Transmit).map(|span| span.end);
    let (Some(at), false) = (hand_over, step.client_softirq == BlockId::EMPTY) else { return step.kernel };
    let softirq = blocks.ops(step.client_softirq).to_vec();
    let (before, after) = blocks.ops(step.kernel).split_at(at as usize);
    let ops = [before, &softirq, after].concat();
    let more = softirq.len() as u32;
    let moved = |span: &Span| Span {
        start: if span.start >= at { span.start + more } else { span.start },
        end: if span.end > at { span.end + more } else { span.end },
        ..*span
    };
    let spans = info.spans.iter().map(moved).collect();
    blocks.push(info.mode, info.origin, &ops, spans)
}

/// A recorded call that copies 4 KiB, with one line of them copied: a read or a write of a byte.
pub fn of_one_line(blocks: &mut BlockStore, copy: BlockId) -> BlockId {
    let info = blocks.info(copy).clone();
    let ops = blocks.ops(copy);
    let (from, to) = (page_of(ops, OpKind::Load), page_of(ops, OpKind::Store));
    let further = |first: Option<Line>, line: Line| first.is_some_and(|first| (first + 1..first + PAGE_LINES).contains(&line));
    let is_left = |op: &Op| match (op.kind, op.region) {
        (OpKind::Load, Region::Fixed) => !further(from, op.offset),
        (OpKind::Store, Region::Fixed) => !further(to, op.offset),
        _ => true,
    };
    // where an op stands when those before it that are left out are gone
    let mut places = vec![0];
    let mut left = Vec::new();
    for op in ops {
        if is_left(op) {
            let whole = op.kind == OpKind::Copy && op.count == PAGE_LINES as u16;
            left.push(if whole { Op { count: 1, ..*op } } else { *op });
        }
        places.push(left.len() as u32);
    }
    let moved = |span: Span| Span { start: places[span.start as usize], end: places[span.end as usize], ..span };
    blocks.push(info.mode, info.origin, &left, info.spans.into_iter().map(moved).collect())
}

/// First line of the 4 KiB that a block goes through with loads or with stores, if it does.
fn page_of(ops: &[Op], kind: OpKind) -> Option<Line> {
    let touched: BTreeSet<Line> =
        ops.iter().filter(|op| op.kind == kind && op.region == Region::Fixed).map(|op| op.offset).collect();
    touched.iter().copied().find(|first| (0..PAGE_LINES).all(|line| touched.contains(&(first + line))))
}

/// A recorded call that copies 4 KiB, between other pages: a read from one of the file into a buffer, a write the other way.
pub fn copy_between(blocks: &mut BlockStore, copy: BlockId, page: Line, buffer: Line) -> BlockId {
    let ops = blocks.ops(copy);
    let (from, to) = (page_of(ops, OpKind::Load), page_of(ops, OpKind::Store));
    let moved = |first: Option<Line>, own: Line, op: Op| {
        let inside = first.and_then(|first| op.offset.checked_sub(first)).filter(|line| *line < PAGE_LINES);
        inside.map_or(op, |line| Op { offset: own + line, ..op })
    };
    replaced(blocks, copy, |op| match (op.kind, op.region) {
        (OpKind::Load, Region::Fixed) => moved(from, page, op),
        (OpKind::Store, Region::Fixed) => moved(to, buffer, op),
        _ => op,
    })
}

/// Data lines that only some calls touch, numbered: those of a socket that the recording cannot tell from others because it has one.
pub fn lines_of(workload: &Workload, own: impl Fn(&Step) -> bool, others: impl Fn(&Step) -> bool) -> BTreeMap<Line, u32> {
    let steps: Vec<&Step> = workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps).collect();
    let touched = |wanted: &dyn Fn(&Step) -> bool| -> BTreeSet<Line> {
        let blocks = steps.iter().filter(|step| wanted(step)).flat_map(|step| [step.kernel, step.client_softirq]);
        let data = |op: &&Op| matches!(op.kind, OpKind::Load | OpKind::Store) && op.region == Region::Fixed;
        blocks.flat_map(|block| workload.blocks.ops(block)).filter(data).map(|op| op.offset).collect()
    };
    let lines: BTreeSet<Line> = touched(&own).difference(&touched(&others)).copied().collect();
    lines.into_iter().zip(0..).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::block::instructions_of;
    use traces::call_loop;

    #[test]
    fn pieces_have_the_instructions_and_lines_of_their_shape() {
        let mut layout = Layout::new();
        let shape = Shape { data_kib: 24, code_kib: 64 };
        let mut user = UserBlocks::new(shape, &mut layout);
        let mut ops = Vec::new();
        let piece = Piece::of(twins::case::Work { shape, instructions: 10_000 });
        (0..10).for_each(|_| user.piece(piece, &mut ops));
        assert!(instructions_of(&ops).abs_diff(100_000) < 200, "{}", instructions_of(&ops));
        let lines = |kind| ops.iter().filter(|op| op.kind == kind).map(|op| op.offset).collect::<BTreeSet<_>>().len();
        assert_eq!(lines(OpKind::Load), 384);
        // 128 functions of 8 lines, the loop and the caller; 367 functions are called
        assert_eq!(lines(OpKind::Fetch), 128 * 8 + 2);
    }

    #[test]
    fn a_read_goes_to_another_buffer_and_a_softirq_stands_inside_its_send() {
        let recording = call_loop::recording().unwrap();
        let read =
            call_loop::recorded_steps(&recording, sim_core::calls::CallNumber::from_name("pread64").unwrap(), "x").unwrap()[0];
        let mut blocks = recording.blocks.clone();
        let moved = copy_between(&mut blocks, read.kernel, 1 << 20, 1 << 21);
        let touched = |first: Line, kind| {
            blocks.ops(moved).iter().filter(|op| op.kind == kind && op.offset >= first && op.offset < first + 64).count()
        };
        assert!(touched(1 << 20, OpKind::Load) >= 64 && touched(1 << 21, OpKind::Store) >= 64);
        assert_eq!(blocks.info(moved).instructions, blocks.info(read.kernel).instructions);

        let sockets = traces::bundled::load("microbench-2").unwrap();
        let steps = sockets.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
        let send = steps.filter(|step| step.call.name() == "sendto").find(|step| step.client_softirq != BlockId::EMPTY).unwrap();
        let mut blocks = sockets.blocks.clone();
        let whole = with_softirq(&mut blocks, send);
        let instructions = |id| blocks.info(id).instructions;
        assert_eq!(instructions(whole), instructions(send.kernel) + instructions(send.client_softirq));
        let handler = |id: BlockId| blocks.info(id).span(Cut::Handler).unwrap().len();
        assert_eq!(handler(whole), handler(send.kernel) + blocks.ops(send.client_softirq).len());
    }
}
