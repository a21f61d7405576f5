//! Worker threads (io-wq): they execute what would block in a submission.

use super::route::{pick, pick_pair};
use super::{IoUring, kernel_context};
use os_model::action::{Effect as SystemEffect, Slot};
use os_model::calls::Part;
use os_model::system::{Next, System};
use sim_core::ids::{CoreId, TaskId};
use std::collections::VecDeque;

/// The pool.
#[derive(Debug)]
pub(super) struct Workers {
    tasks: Vec<TaskId>,
    /// Workers without work.
    idle: Vec<bool>,
    /// Requests that wait for a worker.
    queue: VecDeque<u32>,
}

impl Workers {
    /// So many workers, spread over the cores, all without work. They are made beforehand: starting one is not modelled.
    pub fn make(system: &mut System, count: u32, cores: u32) -> Workers {
        let tasks: Vec<TaskId> = (0..count).map(|index| system.add_task(CoreId((index % cores) as u16), 0, 0)).collect();
        Workers { idle: vec![true; tasks.len()], tasks, queue: VecDeque::new() }
    }
}

impl IoUring {
    /// Hands a request to a worker, waking an idle one.
    pub(super) fn punt(&mut self, system: &mut System, task: TaskId, op: u32) {
        system.stats.occurred("calls handed to workers", 1);
        let queued = pick(system, |ring| &ring.punt);
        self.push_piece(system, task, queued);
        self.workers.queue.push_back(op);
        // an idle worker of the submitter's own core first: its memory is warm
        let own = system.tasks[task.index()].core;
        let is_idle = |index: &usize| self.workers.idle[*index];
        let near = |index: &usize| system.tasks[self.workers.tasks[*index].index()].core == own;
        let all = 0..self.workers.tasks.len();
        let chosen = all.clone().filter(is_idle).find(near).or_else(|| all.into_iter().find(is_idle));
        if let Some(worker) = chosen {
            self.workers.idle[worker] = false;
            let wake = pick(system, |ring| &ring.wake_task);
            self.push_piece(system, task, wake);
            system.push_effect(task, SystemEffect::Wake(self.workers.tasks[worker]));
        }
    }

    /// A worker takes the next request, or has nothing left to do.
    pub(super) fn next_worker(&mut self, system: &mut System, index: usize) -> Next {
        let task = self.workers.tasks[index];
        let Some(op) = self.workers.queue.pop_front() else {
            self.workers.idle[index] = true;
            return Next::Sleep;
        };
        let (slot, step, ring) = {
            let entry = &self.ops[op as usize];
            (entry.slot, entry.step, entry.ring)
        };
        let around = pick_pair(system, &system.workload.kernel.ring.worker);
        match system.request_step(slot, step) {
            Some(step) => self.execute(system, task, op, step, around, Part::Protocol),
            None => system.push_block(task, around.0, kernel_context(), Slot::NONE),
        }
        self.show(system, task, ring, &[op]);
        Next::Continue
    }
}
