//! `poll` over all descriptors of an event loop: each call goes through all of them.

use crate::issue::Issuer;
use os_model::action::{Action, Slot};
use os_model::connection::ConnectionState;
use os_model::system::System;
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, TaskId};
use sim_core::workload::PollCall;

/// What such a loop knows of its descriptors.
#[derive(Debug)]
pub(super) struct PollSet {
    /// For work on a connection's socket, by connection; made when first needed.
    slots: Vec<Slot>,
    /// Descriptors in whose wait queues the task is.
    queued: Vec<Slot>,
    /// Descriptors of the last call.
    watched: u32,
}

impl PollSet {
    /// No call yet.
    pub fn new() -> PollSet {
        PollSet { slots: Vec::new(), queued: Vec::new(), watched: 0 }
    }

    /// Descriptors of the last call.
    pub fn watched(&self) -> u32 {
        self.watched
    }

    /// From the entry of the call through all descriptors. The task gets into wait queues up to the first ready descriptor.
    pub fn first_pass(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId, poller: usize) {
        let Some(poll) = &system.workload.readiness.poll else { return };
        piece(system, issuer, task, &poll.head, Slot::NONE);
        self.queued.clear();
        let mut found = false;
        let descriptors = self.descriptors(system, poller);
        self.watched = descriptors.len() as u32;
        for (slot, ready) in descriptors {
            let queued = !found;
            found |= ready;
            ask(system, issuer, task, poll, slot, queued);
            if queued {
                self.queued.push(slot);
            }
        }
        let instructions = self.watched * poll.rest_instructions;
        if instructions > 0 {
            system.push(task, Action::Instructions(Context::call(CallNumber::POLL), instructions));
        }
    }

    /// After a sleep: through all descriptors again.
    pub fn second_pass(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId, poller: usize) {
        let Some(poll) = &system.workload.readiness.poll else { return };
        for (slot, _) in self.descriptors(system, poller) {
            ask(system, issuer, task, poll, slot, false);
        }
    }

    /// Out of all wait queues, and to the return.
    pub fn end(&mut self, system: &mut System, issuer: &mut Issuer, task: TaskId) {
        let Some(poll) = &system.workload.readiness.poll else { return };
        for slot in self.queued.drain(..) {
            piece(system, issuer, task, &poll.release, slot);
        }
        piece(system, issuer, task, &poll.tail, Slot::NONE);
    }

    /// The loop's descriptors in the order of its array, and whether each is ready: the listening socket, then the open connections.
    fn descriptors(&mut self, system: &mut System, poller: usize) -> Vec<(Slot, bool)> {
        if self.slots.is_empty() {
            let all = 0..system.connections.len() as u32;
            self.slots = all.map(|connection| system.standing_slot(ConnectionId(connection))).collect();
        }
        let listener = system.accepts().then_some((Slot::NONE, system.pollers[poller].listener_ready));
        let own = system.connections.iter().zip(&self.slots).filter(|(connection, _)| {
            connection.poller == poller && (connection.state == ConnectionState::Open || system.workload.datagram)
        });
        let own = own.map(|(connection, slot)| (*slot, connection.in_ready_list));
        // clients of a datagram server share one socket
        let most = if system.workload.datagram { 1 } else { usize::MAX };
        listener.into_iter().chain(own.take(most)).collect()
    }
}

fn ask(system: &mut System, issuer: &mut Issuer, task: TaskId, poll: &PollCall, slot: Slot, queued: bool) {
    piece(system, issuer, task, &poll.lookup, slot);
    piece(system, issuer, task, &poll.asked, slot);
    if queued {
        piece(system, issuer, task, &poll.queue, slot);
    }
    piece(system, issuer, task, &poll.put, slot);
}

fn piece(system: &mut System, issuer: &mut Issuer, task: TaskId, blocks: &[BlockId], slot: Slot) {
    let block = system.pick(blocks);
    issuer.piece(system, task, block, Context::call(CallNumber::POLL), slot);
}
