//! The longest run and the longest reply: the heaviest path through the graph, each block as often as its loops allow.
//!
//! The way back to a loop's head is replaced by a way to the loop's exit, so the graph has no circles. A block inside weighs as many
//! times as it can run. A loop of N rounds that is left in the middle of the last one weighs at most N times its heavier way, so no run
//! is heavier than the heaviest path.

use crate::costs;
use crate::ir::{BlockIndex, Flow, Operation};
use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

/// The graph without circles and its blocks in an order in which each stands behind those that lead to it.
pub fn ordered(flow: &Flow) -> (DiGraph<BlockIndex, ()>, Vec<BlockIndex>) {
    let graph = flow.forward_graph();
    let order = toposort(&graph, None).unwrap_or_default();
    // Structured loops have one head each, and every way back to it was replaced.
    debug_assert_eq!(order.len(), flow.blocks.len());
    let order = order.into_iter().map(|node| graph[node]).collect();
    (graph, order)
}

/// The weight of the heaviest path.
pub fn heaviest(flow: &Flow, weight: impl Fn(BlockIndex) -> u64) -> u64 {
    let (graph, order) = ordered(flow);
    let mut paths = vec![0_u64; flow.blocks.len()];
    let mut greatest = 0;
    for block in order {
        let before = graph.neighbors_directed(NodeIndex::new(block), Direction::Incoming).map(|node| paths[node.index()]).max();
        paths[block] = before.unwrap_or(0).saturating_add(weight(block));
        greatest = greatest.max(paths[block]);
    }
    greatest
}

/// Instructions of one pass through a block at most.
pub fn block_instructions(flow: &Flow, block: BlockIndex, inline_parsing: bool) -> u64 {
    let bulk = |cost: costs::Cost, chunk: u32| {
        let yields = if chunk == 0 { 0 } else { cost.bulk_max / u64::from(chunk) * u64::from(costs::YIELD) };
        u64::from(cost.base) + cost.bulk_max + yields
    };
    let block = &flow.blocks[block];
    let operations: u64 = block.operations.iter().map(|placed| bulk(costs::operation(&placed.what), placed.chunk)).sum();
    let terminator = &block.terminator;
    operations + bulk(costs::terminator(&terminator.what, &flow.literals, inline_parsing), terminator.chunk)
}

/// Instructions of one run at most.
pub fn longest_run_instructions(flow: &Flow, inline_parsing: bool) -> u64 {
    heaviest(flow, |block| block_instructions(flow, block, inline_parsing).saturating_mul(flow.rounds(block)))
}

/// Bytes that an operation appends to the reply at most.
pub fn put_bytes(operation: &Operation) -> u64 {
    match operation {
        Operation::PutBytes { bytes_max, .. } => *bytes_max,
        Operation::PutInteger { width, .. } => u64::from(*width),
        Operation::PutDecimal { digits_max, .. } => *digits_max,
        _ => 0,
    }
}

/// Bytes of one reply at most.
pub fn longest_reply_bytes(flow: &Flow) -> u64 {
    heaviest(flow, |block| {
        let once: u64 = flow.blocks[block].operations.iter().map(|placed| put_bytes(&placed.what)).sum();
        once.saturating_mul(flow.rounds(block))
    })
}
