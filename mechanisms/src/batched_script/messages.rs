//! `recvmmsg` and `sendmmsg`: one call for the messages of several requests on one datagram socket.

use super::BatchedScript;
use crate::issue::Issuer;
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::stats::BatchLimit;
use os_model::system::System;
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::TaskId;
use sim_core::workload::{Effect, Step};

impl BatchedScript {
    /// The messages that are due: receives in one call, or sends in one; other calls one by one.
    pub(super) fn message_batch(&mut self, system: &mut System, task: TaskId) {
        let receives = self.take_messages(system, task, |step| step.effect == Effect::Receive);
        let sends = self.take_messages(system, task, |step| matches!(step.effect, Effect::Send | Effect::SendLast));
        self.messages(system, task, "recvmmsg", &receives);
        self.messages(system, task, "sendmmsg", &sends);
        let thread = self.thread(task);
        if receives.is_empty() && sends.is_empty() {
            thread.direct.append(&mut thread.ready);
        }
    }

    fn take_messages(&mut self, system: &System, task: TaskId, of: fn(&Step) -> bool) -> Vec<(Slot, u32)> {
        let limit = self.settings.limit.max(1) as usize;
        let mut taken = Vec::new();
        self.thread(task).ready.retain(|(slot, step)| {
            let takes = taken.len() < limit && system.request_step(*slot, *step).is_some_and(of);
            if takes {
                taken.push((*slot, *step));
            }
            !takes
        });
        taken
    }

    /// One call for all messages: the first with the call's own entry and argument handling, the others from the socket layer on,
    /// which is what `do_recvmmsg` and `__sys_sendmmsg` loop over.
    fn messages(&mut self, system: &mut System, task: TaskId, name: &str, messages: &[(Slot, u32)]) {
        let Some(number) = CallNumber::from_name(name) else { return };
        let mut made = 0;
        for (slot, index) in messages {
            let Some(step) = system.request_step(*slot, *index) else { continue };
            if step.effect == Effect::Receive {
                let connection = system.requests[slot.index()].connection;
                if system.waiting_request(connection) != Some(*slot) {
                    system.report_if_readable(connection);
                    continue;
                }
                system.take_request(connection);
            }
            if made == 0 {
                Issuer::Crossing.enter(system, task, false);
            }
            let part = if made == 0 { Part::Whole } else { Part::FileLayer };
            let mut actions = Vec::new();
            system.call_actions(step, *slot, part, &mut actions);
            system.tasks[task.index()].actions.extend(actions.into_iter().map(|action| rename(action, number)));
            system.requests[slot.index()].step = index + 1;
            made += 1;
        }
        if made > 0 {
            Issuer::Crossing.leave(system, task);
            let full = made >= self.settings.limit;
            system.stats.batch(made, if full { BatchLimit::Limit } else { BatchLimit::Ready });
        }
        for (slot, _) in messages {
            self.after_call(system, task, *slot);
        }
    }
}

/// The work is the message call's, and the ledger names it so.
fn rename(action: Action, number: CallNumber) -> Action {
    match action {
        Action::Count(_, slot) => Action::Count(number, slot),
        Action::Block { block, start, end, slot, .. } => Action::Block { block, start, end, context: Context::call(number), slot },
        other => other,
    }
}
