//! Which steps of a request must wait for which.
//!
//! An edge needs a reason: a descriptor made and used, order on one descriptor, bytes received and used, program order where nothing
//! else is known. Steps without a path between them may be issued together.

use super::descriptors::Role;
use super::requests::CallRecord;
use petgraph::adj::UnweightedList;
use petgraph::algo::tred::{dag_to_toposorted_adjacency_list, dag_transitive_reduction_closure};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::IntoNeighbors;
use sim_core::workload::Object;
use std::collections::BTreeMap;

/// Longer chains keep program order: the closure that the reduction needs grows with the square of their length.
const REDUCED_STEPS_MAX: usize = 8192;

/// For each step the steps that it depends on, as few as say the same.
pub(super) fn depends(steps: &[&CallRecord], sequential: bool) -> Vec<Vec<u16>> {
    if steps.len() > REDUCED_STEPS_MAX {
        return (0..steps.len()).map(|index| index.checked_sub(1).map(|earlier| earlier as u16).into_iter().collect()).collect();
    }
    let mut graph = DiGraph::<(), ()>::with_capacity(steps.len(), steps.len() * 2);
    let nodes: Vec<NodeIndex> = steps.iter().map(|_| graph.add_node(())).collect();
    for (later, earlier) in edges(steps, sequential) {
        graph.update_edge(nodes[earlier], nodes[later], ());
    }
    // Edges only lead forward, so program order is a topological order.
    let (sorted, _): (UnweightedList<u32>, Vec<u32>) = dag_to_toposorted_adjacency_list(&graph, &nodes);
    let (reduced, _) = dag_transitive_reduction_closure(&sorted);
    let mut depends = vec![Vec::new(); steps.len()];
    for earlier in 0..steps.len() as u32 {
        for later in reduced.neighbors(earlier) {
            depends[later as usize].push(earlier as u16);
        }
    }
    depends
}

/// Edges as (later, earlier) pairs.
fn edges(steps: &[&CallRecord], sequential: bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut last_on: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut receives, mut sends) = (Vec::new(), Vec::new());
    let mut mapped = None;
    // Steps since the last barrier of a sequential program.
    let mut open: Vec<usize> = Vec::new();
    let mut barrier = None;
    for (index, step) in steps.iter().enumerate() {
        let before = found.len();
        for epoch in step.epochs.iter().flatten() {
            if let Some(earlier) = last_on.insert(*epoch, index) {
                found.push((index, earlier));
            }
        }
        if sequential {
            if looks_up_path(step) {
                found.extend(barrier.map(|earlier| (index, earlier)));
                open.push(index);
            } else {
                found.extend(open.drain(..).chain(barrier).map(|earlier| (index, earlier)));
                barrier = Some(index);
            }
            continue;
        }
        match step.role {
            Role::Receive => {}
            // A reply is made of what was received; a file is opened by a name in the request.
            Role::Send | Role::Open => found.extend(receives.last().map(|earlier| (index, *earlier))),
            // What is written elsewhere after the reply (a log) tells of it.
            // Memory that a reply is sent from must stay until it is sent.
            _ if step.number.name() == "munmap" => found.extend(mapped.iter().chain(sends.last()).map(|earlier| (index, *earlier))),
            _ if is_write(step) => found.extend(sends.last().or(receives.last()).map(|earlier| (index, *earlier))),
            _ => {}
        }
        if found.len() == before && index > 0 {
            found.push((index, *receives.last().unwrap_or(&(index - 1))));
        }
        match step.role {
            Role::Receive => receives.push(index),
            Role::Send => sends.push(index),
            // A file read into a buffer, or mapped, is sent from there.
            _ if matches!(step.number.name(), "read" | "pread64") => receives.push(index),
            _ if step.number.name() == "mmap" => {
                receives.push(index);
                mapped = Some(index);
            }
            _ => {}
        }
    }
    found
}

fn is_write(step: &CallRecord) -> bool {
    matches!(step.number.name(), "write" | "writev" | "pwrite64")
}

/// Asking for attributes by path neither changes anything nor feeds the next such question.
fn looks_up_path(step: &CallRecord) -> bool {
    matches!(step.number.name(), "newfstatat" | "stat" | "lstat" | "access" | "readlink" | "statx") && step.object == Object::File
}

#[cfg(test)]
mod tests {
    use super::super::descriptors::role;
    use super::*;
    use sim_core::calls::CallNumber;

    fn call(name: &str, object: Object, epochs: [Option<usize>; 3]) -> CallRecord {
        CallRecord {
            frame: 0,
            task: 0,
            process: 1,
            number: CallNumber::from_name(name).unwrap(),
            arguments: [0; 6],
            result: 1,
            role: match (role(name), object) {
                (Role::Send | Role::Receive, Object::File) => Role::Other,
                (role, _) => role,
            },
            object,
            epochs,
            segment: None,
            slept: false,
        }
    }

    #[test]
    fn a_file_server_waits_only_where_it_must() {
        let steps = [
            call("recvfrom", Object::Stream, [Some(1), None, None]),
            call("openat", Object::File, [None, None, Some(2)]),
            call("newfstatat", Object::File, [Some(2), None, None]),
            call("writev", Object::Stream, [Some(1), None, None]),
            call("sendfile", Object::Stream, [Some(1), Some(2), None]),
            call("write", Object::File, [Some(3), None, None]),
            call("close", Object::File, [Some(2), None, None]),
            call("close", Object::Stream, [Some(1), None, None]),
        ];
        let steps: Vec<&CallRecord> = steps.iter().collect();
        let depends = depends(&steps, false);
        let expected: [&[u16]; 8] = [&[], &[0], &[1], &[0], &[2, 3], &[4], &[4], &[4]];
        assert_eq!(depends, expected);
    }

    #[test]
    fn path_questions_of_a_sequential_program_are_independent() {
        let steps = [
            call("getdents64", Object::File, [Some(1), None, None]),
            call("newfstatat", Object::File, [None, None, None]),
            call("newfstatat", Object::File, [None, None, None]),
            call("close", Object::File, [Some(1), None, None]),
        ];
        let steps: Vec<&CallRecord> = steps.iter().collect();
        assert_eq!(depends(&steps, true), [vec![], vec![0], vec![0], vec![1, 2]]);
    }
}
