//! Which kernel functions an agent's recorded blocks execute, with the instruction lines that they bring into the caches.
//!
//! This is what the recording holds, not what a simulation counted: the evictor ledger knows calls, not functions. A function with many
//! lines pushes many others out; it does not follow that its share of the lines is its share of the misses.

use crate::distil::functions::{Code, activations};
use crate::kernel_map::{KernelMap, SymbolId, SymbolKind};
use sim_core::block::{BlockId, Op, OpKind, Region};
use sim_core::context::Agent;
use sim_core::ids::CHUNK_LINES;
use sim_core::layout::RecordedChunk;
use sim_core::workload::Workload;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// A kernel function in the recorded work of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionUse {
    /// The function's name.
    pub name: String,
    /// Different instruction lines of it in all recorded blocks of the agent.
    pub lines: u32,
    /// Instructions in it, without the functions that it calls, in one execution: mean over the recorded blocks by how often they run.
    pub instructions: f64,
}

/// Where in recorded ops a kernel function runs, with the functions that it calls: one range for each time, in order.
pub fn executions(workload: &Workload, ops: &[Op], function: &str) -> Vec<Range<usize>> {
    let kernel = KernelMap::bundled();
    let lines = KernelLines { chunks: &workload.kernel_chunks, kernel };
    let symbol = kernel.symbol(function);
    let found = activations(ops, &lines, kernel).into_iter().filter(|one| Some(one.symbol) == symbol);
    found.map(|one| one.start as usize..one.end as usize).collect()
}

/// A block with how often it is recorded, by an agent.
struct Weighted {
    block: BlockId,
    weight: f64,
}

/// The functions that an agent's recorded blocks execute, those with the most lines first. Empty for agents that are no recorded kernel
/// work (the program, a mechanism) and for workloads without a captured kernel.
pub fn of_agent(workload: &Workload, agent: Agent) -> Vec<FunctionUse> {
    let blocks = blocks_of(workload, agent);
    let kernel = KernelMap::bundled();
    let lines = KernelLines { chunks: &workload.kernel_chunks, kernel };
    let mut sums: BTreeMap<SymbolId, (BTreeSet<u32>, f64)> = BTreeMap::new();
    for Weighted { block, weight } in &blocks {
        for (symbol, line, instructions) in lines.executed(workload.blocks.ops(*block)) {
            let sum = sums.entry(symbol).or_default();
            sum.0.insert(line);
            sum.1 += weight * f64::from(instructions);
        }
    }
    let mut functions: Vec<FunctionUse> = sums
        .into_iter()
        .map(|(symbol, (lines, instructions))| FunctionUse {
            name: kernel.name(symbol).to_owned(),
            lines: lines.len() as u32,
            instructions,
        })
        .collect();
    functions.sort_by(|left, right| right.lines.cmp(&left.lines).then_with(|| left.name.cmp(&right.name)));
    functions
}

/// The blocks that an agent executes. Weights of one step's exemplars sum to the step's part of all executions of the call; other lists
/// of exemplars are drawn from evenly.
fn blocks_of(workload: &Workload, agent: Agent) -> Vec<Weighted> {
    let mut blocks = match agent.as_call() {
        Some(_) => blocks_of_call(workload, agent),
        None => even(&lists_of(workload, agent)),
    };
    blocks.retain(|weighted| weighted.block != BlockId::EMPTY);
    blocks
}

fn blocks_of_call(workload: &Workload, agent: Agent) -> Vec<Weighted> {
    let mut blocks = Vec::new();
    for class in &workload.classes {
        let each = f64::from(class.recorded) / class.chains.len().max(1) as f64;
        let steps = class.chains.iter().flat_map(|chain| &chain.steps).filter(|step| Agent::call(step.call) == agent);
        blocks.extend(steps.map(|step| Weighted { block: step.kernel, weight: each }));
    }
    let executions: f64 = blocks.iter().map(|weighted| weighted.weight).sum();
    blocks.iter_mut().for_each(|weighted| weighted.weight /= executions);
    if let Some(wait) = workload.wait.as_ref().filter(|wait| Agent::call(wait.call) == agent) {
        blocks.extend(even(&[&wait.head, &wait.item, &wait.tail]));
    }
    blocks
}

fn lists_of(workload: &Workload, agent: Agent) -> Vec<&Vec<BlockId>> {
    let kernel = &workload.kernel;
    match agent {
        Agent::SOFTIRQ => vec![&kernel.poll, &kernel.driver_receive],
        Agent::INTERRUPT => vec![&kernel.interrupt_entry, &kernel.interrupt_exit, &kernel.tick],
        Agent::SCHEDULER => vec![&kernel.switch_out, &kernel.switch_in],
        _ => Vec::new(),
    }
}

fn even(lists: &[&Vec<BlockId>]) -> Vec<Weighted> {
    let of = |list: &&Vec<BlockId>| {
        let weight = 1.0 / list.len().max(1) as f64;
        list.iter().map(move |block| Weighted { block: *block, weight }).collect::<Vec<_>>()
    };
    lists.iter().flat_map(of).collect()
}

/// Simulated lines of the captured kernel with its symbols.
struct KernelLines<'a> {
    chunks: &'a [RecordedChunk],
    kernel: &'a KernelMap,
}

impl Code for KernelLines<'_> {
    fn line(&self, number: u32) -> u64 {
        let after = self.chunks.partition_point(|chunk| chunk.line <= number);
        let chunk = after.checked_sub(1).map(|position| self.chunks[position]);
        chunk.filter(|chunk| number - chunk.line < CHUNK_LINES).map_or(0, |chunk| chunk.raw + u64::from(number - chunk.line))
    }

    fn symbols(&self, number: u32) -> &[SymbolId] {
        self.kernel.symbols(self.line(number))
    }
}

impl KernelLines<'_> {
    /// Function, line and instructions of every fetch of kernel text. A fetch belongs to the innermost function that runs; where the
    /// block begins inside a function, to the first one on its line.
    fn executed(&self, ops: &[Op]) -> Vec<(SymbolId, u32, u16)> {
        let found = activations(ops, self, self.kernel);
        let mut open: Vec<usize> = Vec::new();
        let mut next = 0;
        let mut executed = Vec::new();
        for (position, op) in ops.iter().enumerate().filter(|(_, op)| op.kind == OpKind::Fetch && op.region == Region::Fixed) {
            while next < found.len() && found[next].start as usize <= position {
                open.push(next);
                next += 1;
            }
            open.retain(|index| found[*index].end as usize > position);
            let symbols = self.symbols(op.offset);
            let own = symbols.iter().find(|symbol| self.kernel.kind(**symbol) == SymbolKind::Trampoline);
            let inner = open.last().map(|index| found[*index].symbol);
            if let Some(symbol) = own.copied().or(inner).or_else(|| symbols.first().copied()) {
                executed.push((symbol, op.offset, op.count));
            }
        }
        executed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundled;
    use sim_core::calls::CallNumber;

    #[test]
    fn the_functions_of_a_bundled_workload_have_their_names() {
        let workload = bundled::load("memcached").unwrap();
        let agent = |name: &str| Agent::call(CallNumber::from_name(name).unwrap());
        let send = of_agent(&workload, agent("sendmsg"));
        let lines = |name: &str| send.iter().find(|own| own.name == name).map(|own| (own.lines, own.instructions));
        let (lines_sent, instructions) = lines("tcp_sendmsg_locked").unwrap();
        assert!(lines_sent > 5 && instructions > 50.0, "{lines_sent} lines, {instructions} instructions");
        assert!(send.windows(2).all(|pair| pair[0].lines >= pair[1].lines));
        assert!(of_agent(&workload, Agent::SOFTIRQ).iter().any(|own| own.name.contains("rx") || own.name.contains("net")));
        assert_eq!(of_agent(&workload, Agent::USER), []);
    }

    #[test]
    fn instructions_of_all_functions_are_those_of_the_mean_execution() {
        let workload = bundled::load("redis").unwrap();
        let call = CallNumber::from_name("read").unwrap();
        let steps = workload.classes.iter().flat_map(|class| {
            let each = f64::from(class.recorded) / class.chains.len() as f64;
            class.chains.iter().flat_map(|chain| &chain.steps).map(move |step| (each, step))
        });
        let reads: Vec<_> = steps.filter(|(_, step)| step.call == call).collect();
        let executions: f64 = reads.iter().map(|(weight, _)| weight).sum();
        let mean: f64 =
            reads.iter().map(|(weight, step)| weight * f64::from(workload.blocks.info(step.kernel).instructions)).sum::<f64>()
                / executions;
        let named: f64 = of_agent(&workload, Agent::call(call)).iter().map(|own| own.instructions).sum();
        assert!(named > 0.9 * mean && named < mean * 1.001, "{named} of {mean}");
    }

    #[test]
    fn a_function_is_found_where_it_runs() {
        let workload = bundled::load("memcached").unwrap();
        let steps = workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
        let block = steps.filter(|step| step.call.name() == "sendmsg").map(|step| step.kernel).next().unwrap();
        let ops = workload.blocks.ops(block);
        let [outer, inner] = ["tcp_sendmsg", "__dev_queue_xmit"].map(|name| executions(&workload, ops, name)[0].clone());
        assert!(outer.start < inner.start && inner.end < outer.end, "{outer:?} {inner:?}");
        assert!(executions(&workload, ops, "udp_sendmsg").is_empty() && executions(&workload, ops, "no such function").is_empty());
    }

    #[test]
    fn without_a_captured_kernel_there_are_no_functions() {
        let workload = crate::synthetic::server(crate::synthetic::Shape::default());
        let call = workload.classes[0].chains[0].steps[0].call;
        assert_eq!(of_agent(&workload, Agent::call(call)), []);
    }
}
