//! Makes the graph smaller without changing what it does: takes out what no path reaches and joins straight pieces.

use crate::ir::{BlockIndex, Flow, Terminator};
use petgraph::graph::NodeIndex;
use petgraph::visit::Dfs;

/// Simplifies the graph.
pub fn simplify(flow: &mut Flow) {
    join(flow);
    remove_unreachable(flow);
}

/// Appends to a block the one that it alone leads to.
fn join(flow: &mut Flow) {
    let mut arrivals = vec![0_u32; flow.blocks.len()];
    for block in reachable(flow) {
        for target in flow.blocks[block].terminator.what.targets() {
            arrivals[target] += 1;
        }
    }
    let mut fixed = vec![false; flow.blocks.len()];
    for known in &flow.loops {
        fixed[known.header] = true;
        fixed[known.exit] = true;
    }
    for block in reachable(flow) {
        while let Terminator::Go(target) = flow.blocks[block].terminator.what {
            let alone = arrivals[target] == 1 && !fixed[target] && target != block;
            if !alone || flow.blocks[target].inside != flow.blocks[block].inside {
                break;
            }
            let mut moved = std::mem::take(&mut flow.blocks[target].operations);
            flow.blocks[block].operations.append(&mut moved);
            flow.blocks[block].terminator = flow.blocks[target].terminator.clone();
            flow.blocks[target].terminator.what = Terminator::Go(target);
        }
    }
}

fn reachable(flow: &Flow) -> Vec<BlockIndex> {
    let graph = flow.graph();
    let mut walk = Dfs::new(&graph, NodeIndex::new(0));
    std::iter::from_fn(|| walk.next(&graph)).map(|node| graph[node]).collect()
}

fn remove_unreachable(flow: &mut Flow) {
    let mut kept = reachable(flow);
    // A loop's exit stands for the loop's end in the graph without circles, even when the loop never ends by itself.
    kept.extend(flow.loops.iter().flat_map(|known| [known.header, known.exit]));
    kept.sort_unstable();
    kept.dedup();
    let mut names = vec![0; flow.blocks.len()];
    for (new, old) in kept.iter().enumerate() {
        names[*old] = new;
    }
    let mut blocks = std::mem::take(&mut flow.blocks);
    for old in &kept {
        let mut block = blocks[*old].clone();
        block.terminator.what.retarget(|target| names[target]);
        flow.blocks.push(block);
    }
    blocks.clear();
    for known in &mut flow.loops {
        known.header = names[known.header];
        known.exit = names[known.exit];
    }
}
