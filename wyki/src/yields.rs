//! Puts yields where a stretch without one would grow over the bound, and says how long the longest is.
//!
//! Walks the graph without circles and follows the instructions since the last yield. A loop that is short as a whole counts as one
//! stretch; any other gives way at its head, once a round. Operations with a long inner loop give way inside it.

use crate::bounds::{block_instructions, ordered};
use crate::costs::{self, Cost, YIELD};
use crate::ir::{BlockIndex, Flow, Operation, Placed};
use petgraph::Direction;
use petgraph::graph::NodeIndex;

/// The part of the bound that one inner loop, or one whole short loop, may take.
const SHARE: u32 = 4;

struct Stretches {
    bound: u64,
    chunk: u32,
    /// Instructions since the last yield.
    since: u64,
    longest: u64,
    yields: u32,
}

impl Stretches {
    /// Goes over something; true when a yield must stand before it. Sets the instructions after which its inner loop gives way.
    fn pass(&mut self, cost: Cost, chunk: &mut u32) -> bool {
        let long = cost.bulk_max > u64::from(self.chunk);
        *chunk = if long { self.chunk } else { 0 };
        let once = u64::from(cost.base) + if long { u64::from(self.chunk) } else { cost.bulk_max };
        let before = self.since + once + u64::from(YIELD) > self.bound;
        if before {
            self.give_way();
        }
        self.since += once;
        self.longest = self.longest.max(self.since + if long { u64::from(YIELD) } else { 0 });
        before
    }

    fn give_way(&mut self) {
        self.longest = self.longest.max(self.since + u64::from(YIELD));
        self.since = 0;
        self.yields += 1;
    }
}

/// What was done.
pub struct Placement {
    pub longest_stretch_instructions: u32,
    pub yields: u32,
}

/// Inserts the yields.
pub fn insert(flow: &mut Flow, bound: u32, inline_parsing: bool) -> Placement {
    let (graph, order) = ordered(flow);
    let totals: Vec<u64> = (0..flow.loops.len()).map(|index| loop_instructions(flow, &order, index, inline_parsing)).collect();
    let mut stretches = Stretches { bound: u64::from(bound), chunk: bound / SHARE, since: 0, longest: 0, yields: 0 };
    let mut leaving = vec![0_u64; flow.blocks.len()];
    let mut gives_way = vec![true; flow.loops.len()];
    for block in order {
        let before = graph.neighbors_directed(NodeIndex::new(block), Direction::Incoming).map(|node| leaving[node.index()]).max();
        stretches.since = before.unwrap_or(0);
        let mut at_head = false;
        if let Some(index) = flow.loops.iter().position(|known| known.header == block) {
            let inside_short = flow.loops[index].parent.is_some_and(|parent| !gives_way[parent]);
            let total = if inside_short { 0 } else { totals[index] };
            let short = total <= u64::from(bound / SHARE) && stretches.since + total + u64::from(YIELD) <= u64::from(bound);
            gives_way[index] = !short;
            at_head = !short;
            stretches.since += if short { total } else { 0 };
        }
        pass_block(flow, block, at_head, &mut stretches, inline_parsing);
        leaving[block] = stretches.since;
        // The last round leads to a head that may give way.
        stretches.longest = stretches.longest.max(stretches.since + u64::from(YIELD));
    }
    Placement { longest_stretch_instructions: u32::try_from(stretches.longest).unwrap_or(u32::MAX), yields: stretches.yields }
}

fn pass_block(flow: &mut Flow, block: BlockIndex, at_head: bool, stretches: &mut Stretches, inline_parsing: bool) {
    let operations = std::mem::take(&mut flow.blocks[block].operations);
    let mut kept = Vec::with_capacity(operations.len() + 1);
    if at_head {
        stretches.give_way();
        kept.push(Placed::new(Operation::Yield, &flow.blocks[block].terminator.span));
    }
    for mut placed in operations {
        if stretches.pass(costs::operation(&placed.what), &mut placed.chunk) {
            kept.push(Placed::new(Operation::Yield, &placed.span));
        }
        kept.push(placed);
    }
    let cost = costs::terminator(&flow.blocks[block].terminator.what, &flow.literals, inline_parsing);
    let last = &mut flow.blocks[block].terminator;
    if stretches.pass(cost, &mut last.chunk) {
        kept.push(Placed::new(Operation::Yield, &last.span));
    }
    flow.blocks[block].operations = kept;
}

/// Instructions of a whole loop at most: the heaviest way through its blocks, each as often as it can run.
fn loop_instructions(flow: &Flow, order: &[BlockIndex], index: usize, inline_parsing: bool) -> u64 {
    let graph = flow.forward_graph();
    let outside = flow.loops[index].parent.map_or(1, |_| flow.rounds(flow.loops[index].exit)).max(1);
    let mut paths = vec![0_u64; flow.blocks.len()];
    let mut greatest = 0;
    for block in order.iter().copied().filter(|block| flow.enclosing(*block).any(|around| around == index)) {
        let before = graph.neighbors_directed(NodeIndex::new(block), Direction::Incoming).map(|node| paths[node.index()]).max();
        let own = block_instructions(flow, block, inline_parsing).saturating_mul(flow.rounds(block) / outside);
        paths[block] = before.unwrap_or(0).saturating_add(own);
        greatest = greatest.max(paths[block]);
    }
    greatest
}
