//! Where code lies: blocks in the order in which they mostly run, then the routines of the general parser where it is used.

use crate::costs::{self, INSTRUCTION_BYTES, LINE_BYTES};
use crate::ir::{BlockIndex, Flow, Operation, Origin, Step, Terminator};
use petgraph::graph::NodeIndex;
use petgraph::visit::DfsPostOrder;

/// Code of the general parser for one kind of part, in instructions: the loop over parts and the part itself. A guess.
const ROUTINE_INSTRUCTIONS: u32 = 40;
/// Kinds of parts.
const STEP_KINDS: usize = 7;
/// Code at the place of a part that the general parser reads: its description.
const DESCRIPTION_INSTRUCTIONS: u32 = 4;

/// Lines of a piece of code.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    pub first_line: u32,
    pub lines: u32,
    /// Its last jump leads to the next place and is left out.
    pub falls_through: bool,
}

/// The code of a service.
#[derive(Clone, Debug)]
pub struct Code {
    pub blocks: Vec<Place>,
    routines: [Place; STEP_KINDS],
    pub lines: u32,
}

impl Code {
    /// The general parser's routine for a part.
    pub fn routine(&self, step: &Step) -> Place {
        self.routines[match step {
            Step::Literal { .. } => 0,
            Step::Integer { .. } => 1,
            Step::Until { .. } => 2,
            Step::Decimal { .. } => 3,
            Step::Bytes { .. } => 4,
            Step::Rest { .. } => 5,
            Step::End => 6,
        }]
    }
}

/// Places all code.
pub fn place(flow: &Flow, inline_parsing: bool) -> Code {
    let order = order(flow);
    let mut blocks = vec![Place::default(); flow.blocks.len()];
    let mut bytes = 0;
    for (position, block) in order.iter().enumerate() {
        let next = order.get(position + 1);
        let falls_through = matches!(flow.blocks[*block].terminator.what, Terminator::Go(target) if Some(&target) == next);
        let size = size(flow, *block, falls_through, inline_parsing);
        blocks[*block] = Place { falls_through, ..piece(&mut bytes, size) };
    }
    let mut routines = [Place::default(); STEP_KINDS];
    if !inline_parsing {
        routines = routines.map(|_| piece(&mut bytes, ROUTINE_INSTRUCTIONS));
    }
    Code { blocks, routines, lines: bytes.div_ceil(LINE_BYTES).max(1) }
}

/// Reverse postorder: a block stands before what it leads to, the likelier way first.
fn order(flow: &Flow) -> Vec<BlockIndex> {
    let graph = flow.graph();
    let mut walk = DfsPostOrder::new(&graph, NodeIndex::new(0));
    let mut order: Vec<BlockIndex> = std::iter::from_fn(|| walk.next(&graph)).map(|node| graph[node]).collect();
    order.reverse();
    order
}

fn piece(bytes: &mut u32, instructions: u32) -> Place {
    let start = *bytes;
    *bytes += instructions * INSTRUCTION_BYTES;
    let first_line = start / LINE_BYTES;
    Place { first_line, lines: bytes.div_ceil(LINE_BYTES).max(first_line + 1) - first_line, falls_through: false }
}

fn size(flow: &Flow, block: BlockIndex, falls_through: bool, inline_parsing: bool) -> u32 {
    let block = &flow.blocks[block];
    let operations: u32 = block.operations.iter().map(|placed| operation_size(flow, &placed.what)).sum();
    let terminator = match &block.terminator.what {
        _ if falls_through => 0,
        Terminator::Parse { .. } if !inline_parsing => DESCRIPTION_INSTRUCTIONS,
        other => costs::terminator(other, &flow.literals, inline_parsing).size,
    };
    operations + terminator
}

/// Bytes known when the service is compiled are stored from the code itself, without a loop.
fn operation_size(flow: &Flow, operation: &Operation) -> u32 {
    match operation {
        Operation::PutBytes { from, bytes_max } if flow.origins[*from] == Origin::Literal => 6 + costs::copy(*bytes_max) as u32,
        other => costs::operation(other).size,
    }
}
