//! Multi-calls: a vector of calls in one crossing, without logic. No entry may need the result of another, because the program fills
//! the vector before it enters the kernel.

use super::BatchedScript;
use crate::issue::Issuer;
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::stats::BatchLimit;
use os_model::system::System;
use sim_core::context::Context;
use sim_core::ids::{Mode, TaskId};
use sim_core::workload::{Effect, Step};

impl BatchedScript {
    /// One crossing for the vectors of at most `most` requests that are ready.
    pub(super) fn vector(&mut self, system: &mut System, task: TaskId, most: u32) {
        let thread = self.thread(task);
        let take = thread.ready.len().min(most as usize);
        let requests: Vec<(Slot, u32)> = thread.ready.drain(..take).collect();
        let limited = most > 1 && !thread.ready.is_empty();
        let mut calls = Vec::new();
        for (slot, first) in &requests {
            calls.extend(self.prefix(system, *slot, *first).into_iter().map(|step| (*slot, step)));
        }
        if let [(slot, step)] = calls[..] {
            // a vector of one is a call
            Issuer::Crossing.call(system, task, step, slot);
        } else if !calls.is_empty() {
            self.enter_kernel(system, task);
            for (slot, step) in &calls {
                let context = Context::mechanism(Mode::Kernel);
                system.push(task, Action::Instructions(context, self.settings.vector_entry_instructions));
                let mut actions = Vec::new();
                system.call_actions(step, *slot, Part::Handler, &mut actions);
                system.tasks[task.index()].actions.extend(actions);
            }
            self.leave_kernel(system, task);
        }
        if !calls.is_empty() {
            let alone = most == 1 || self.thread(task).poller.is_none();
            let limit = match (alone, limited) {
                (true, _) => BatchLimit::Dependencies,
                (false, true) => BatchLimit::Limit,
                (false, false) => BatchLimit::Ready,
            };
            system.stats.batch(calls.len() as u32, limit);
        }
        for (slot, _) in requests {
            self.after_call(system, task, slot);
        }
    }

    /// The calls of a request from a step on that one vector can hold: none needs own work first, none the result of another. The
    /// request stands after them.
    fn prefix<'a>(&self, system: &mut System<'a>, slot: Slot, first: u32) -> Vec<&'a Step> {
        let mut steps = Vec::new();
        for index in first.. {
            let Some(step) = system.request_step(slot, index) else { break };
            let needs_another = step.depends.iter().any(|on| (first..index).contains(&u32::from(*on)));
            if index > first && (needs_another || !self.is_glue(system, step)) {
                break;
            }
            if step.effect == Effect::Receive {
                let connection = system.requests[slot.index()].connection;
                if system.waiting_request(connection) != Some(slot) {
                    system.report_if_readable(connection);
                    break;
                }
                system.take_request(connection);
            }
            steps.push(step);
            system.requests[slot.index()].step = index + 1;
        }
        steps
    }
}
