//! Requests: which recorded chain stands for each, and the life of its slot.

use super::System;
use crate::action::Slot;
use crate::connection::{Purpose, Request};
use rand::RngExt;
use sim_core::ids::{ConnectionId, CoreId, Cycles};
use sim_core::workload::{RequestClass, Step};

impl<'a> System<'a> {
    /// Draws a request for a connection: class by its frequency in the recording, then one of the class's recorded chains.
    pub(super) fn new_request(&mut self, connection: ConnectionId, sent_at: Cycles) -> Slot {
        let (class, chain, item) = self.draw(connection);
        self.new_slot(Request { class, chain, item, sent_at, live: true, connection, ..Request::none() })
    }

    /// The server's work at one end of a connection that carries several requests: one of the recorded ones. Nobody waits for a reply
    /// to it.
    pub(super) fn new_end(&mut self, connection: ConnectionId, purpose: Purpose, at: Cycles) -> Slot {
        let ends = &self.workload.connection;
        let recorded = if purpose == Purpose::Opening { &ends.opening } else { &ends.closing };
        let chain = self.draws[connection.index()].random_range(0..recorded.len().max(1) as u32);
        self.new_slot(Request { purpose, chain, sent_at: at, live: true, replied: true, connection, ..Request::none() })
    }

    fn draw(&mut self, connection: ConnectionId) -> (u32, u32, u32) {
        let rng = &mut self.draws[connection.index()];
        let total = self.class_table.last().copied().unwrap_or(1).max(1);
        let drawn = rng.random_range(0..total);
        let class = self.class_table.partition_point(|&upto| upto <= drawn).min(self.workload.classes.len().saturating_sub(1));
        let chains = self.workload.classes[class].chains.len().max(1) as u32;
        let chain = rng.random_range(0..chains);
        let item = rng.random_range(0..self.items);
        (class as u32, chain, item)
    }

    fn new_slot(&mut self, request: Request) -> Slot {
        let pool = self.free_pools.pop().unwrap_or(0);
        let private = self.next_private;
        self.next_private = (self.next_private + 1) % self.private_instances;
        let request = Request { pool, private, ..request };
        match self.free_slots.pop() {
            Some(slot) => {
                self.requests[slot.index()] = request;
                slot
            }
            None => {
                self.requests.push(request);
                Slot(self.requests.len() as u32 - 1)
            }
        }
    }

    /// A slot that stands for a connection without a request, for work on its socket. It is never given back.
    pub fn standing_slot(&mut self, connection: ConnectionId) -> Slot {
        self.requests.push(Request { connection, ..Request::none() });
        Slot(self.requests.len() as u32 - 1)
    }

    /// Gives a slot back: the server is done with the request and the client has its reply.
    pub(super) fn free_request(&mut self, slot: Slot) {
        let request = &mut self.requests[slot.index()];
        if slot == Slot::NONE || !request.live {
            return;
        }
        request.live = false;
        if request.pool != 0 {
            self.free_pools.push(request.pool);
        }
        self.free_slots.push(slot);
    }

    /// The class of a request.
    pub fn class(&self, slot: Slot) -> &'a RequestClass {
        let workload: &'a _ = self.workload;
        &workload.classes[self.requests[slot.index()].class as usize]
    }

    /// The recorded steps of a request.
    pub fn steps(&self, slot: Slot) -> &'a [Step] {
        let workload: &'a _ = self.workload;
        let request = &self.requests[slot.index()];
        let chains = match request.purpose {
            Purpose::Request => &workload.classes[request.class as usize].chains,
            Purpose::Opening => &workload.connection.opening,
            Purpose::Closing => &workload.connection.closing,
        };
        &chains[request.chain as usize].steps
    }

    /// A request's step, if it has that many.
    pub fn request_step(&self, slot: Slot, step: u32) -> Option<&'a Step> {
        self.steps(slot).get(step as usize)
    }

    /// The server has finished with a request (its last step is done). The slot is free once the client has the reply too.
    pub fn served(&mut self, slot: Slot) {
        let request = &mut self.requests[slot.index()];
        request.step = u32::MAX;
        if request.purpose == Purpose::Opening {
            // what came while the connection was being accepted is seen now
            self.report_if_readable(self.requests[slot.index()].connection);
        }
        if self.requests[slot.index()].replied {
            self.free_request(slot);
        }
    }

    /// A sequential program begins a run.
    pub fn begin_run(&mut self) -> Slot {
        let now = self.now();
        self.new_request(ConnectionId(0), now)
    }

    /// A sequential program ended a run.
    pub fn end_run(&mut self, slot: Slot, core: CoreId) {
        let at = self.cpu.clock(core);
        let started = self.requests[slot.index()].sent_at;
        self.requests[slot.index()].replied = true;
        self.stats.reply(at, at.saturating_sub(started));
    }
}
