//! The event loop stays as it is, and every call goes through the exception-less interface (ATC'11, section 7): the readiness call is
//! an entry like the others, and a read is posted when the loop knows that it finds its data. So one syscall thread waits for all
//! connections, and the readiness work that the library's posted reads avoid stays.

use super::ExceptionLess;
use super::entries::Entry;
use crate::settings::ExceptionLessVariant;
use os_model::action::{Action, Slot};
use os_model::connection::Ready;
use os_model::system::System;
use sim_core::context::Context;
use sim_core::ids::ConnectionId;
use sim_core::workload::Effect;
use std::collections::VecDeque;

/// What the event loop knows.
#[derive(Debug)]
pub(super) struct EventLoop {
    /// Returned by the readiness call and not turned to yet.
    events: VecDeque<Ready>,
    /// How many there were, for the user work around the readiness call.
    last_events: u32,
    /// The readiness call is posted.
    waiting: bool,
    /// Accepts and receives that events led to and that have not completed. Their descriptors would be reported again
    /// (level-triggered), so the loop asks anew when there are none.
    unfinished: u32,
    /// By connection: the request in service.
    in_service: Vec<Slot>,
    /// By connection: the next request's data was reported while the last one was in service.
    held: Vec<bool>,
}

impl EventLoop {
    /// A loop over so many connections that has not asked yet.
    pub fn new(connections: usize) -> EventLoop {
        let in_service = vec![Slot::NONE; connections];
        EventLoop {
            events: VecDeque::new(),
            last_events: 0,
            waiting: false,
            unfinished: 0,
            in_service,
            held: vec![false; connections],
        }
    }
}

impl ExceptionLess {
    /// User side: turns to the next event; false when there is none.
    pub(super) fn next_event(&mut self, system: &mut System) -> bool {
        let Some(event) = self.event_loop.events.pop_front() else { return false };
        match event {
            Ready::Listener => {
                self.event_loop.unfinished += 1;
                self.post_accept(system);
            }
            Ready::Connection(connection) => self.readable(system, connection),
        }
        true
    }

    fn readable(&mut self, system: &mut System, connection: ConnectionId) {
        let Some(slot) = system.waiting_request(connection) else { return };
        self.event_loop.unfinished += 1;
        let busy = self.event_loop.in_service[connection.index()];
        if busy == Slot::NONE {
            self.serve(system, connection, slot);
        } else if busy == slot {
            self.progress[slot.index()].event = true;
            self.advance(system, slot);
        } else {
            self.event_loop.held[connection.index()] = true;
        }
    }

    fn serve(&mut self, system: &mut System, connection: ConnectionId, slot: Slot) {
        self.event_loop.in_service[connection.index()] = slot;
        self.ensure(slot);
        self.progress[slot.index()].event = true;
        self.begin(system, slot, 0);
    }

    /// User side: the request's next receive is posted when the readiness call has reported its data.
    pub(super) fn await_event(&mut self, system: &mut System, slot: Slot, step: u32) {
        let connection = system.requests[slot.index()].connection;
        system.requests[slot.index()].step = step;
        system.report_if_readable(connection);
    }

    /// User side: an accept or a receive that an event led to has completed.
    pub(super) fn event_handled(&mut self, system: &mut System, posted: &Entry, effect: Option<Effect>) {
        match effect {
            Some(Effect::Accept) => {
                let connection = system.requests[posted.slot.index()].connection;
                self.event_loop.in_service[connection.index()] = posted.slot;
                self.progress[posted.slot.index()].event = false;
                self.event_loop.unfinished -= 1;
            }
            Some(Effect::Receive) => self.event_loop.unfinished -= 1,
            _ => {}
        }
    }

    /// User side: a request is done; its connection's next one may have been reported already.
    pub(super) fn request_ended(&mut self, system: &mut System, slot: Slot, connection: ConnectionId) {
        let index = connection.index();
        if self.event_loop.in_service[index] == slot {
            self.event_loop.in_service[index] = Slot::NONE;
        }
        if std::mem::take(&mut self.event_loop.held[index]) {
            self.event_loop.unfinished -= 1;
            self.readable(system, connection);
        }
    }

    /// User side: posts the readiness call when all that the last one reported is done; false when it is not the time.
    pub(super) fn post_event_loop_readiness(&mut self, system: &mut System) -> bool {
        if !self.is(ExceptionLessVariant::Epoll) || self.event_loop.waiting || self.event_loop.unfinished > 0 {
            return false;
        }
        let workload = system.workload;
        let Some(wait) = &workload.wait else { return false };
        let user = system.pick_wait_user(wait, self.event_loop.last_events);
        system.push_block(self.user, user, Context::USER, Slot::NONE);
        self.event_loop.waiting = true;
        self.post(system, Entry { readiness: true, ..Entry::posting(ConnectionId(0), Slot::NONE, 0, 0) });
        true
    }

    /// Kernel side: executes the readiness call; something is ready.
    pub(super) fn execute_loop_readiness(&mut self, system: &mut System, index: usize, slept: bool) {
        let workload = system.workload;
        let Some(wait) = &workload.wait else { return };
        let task = self.threads[index].task;
        // clients of a datagram server share one socket: one descriptor is ready, whatever the number of messages
        let most = if workload.datagram { 1 } else { wait.max_events.max(1) as usize };
        let events = system.ready_events(self.poller, most);
        let first = if slept { system.pick(&wait.wake) } else { system.pick(&wait.head) };
        system.push(task, Action::Count(wait.call, Slot::NONE));
        self.push_handler(system, task, first, Context::call(wait.call), Slot::NONE);
        system.push_wait_events(task, &events);
        self.event_loop.last_events = events.len() as u32;
        self.event_loop.events.extend(events);
    }

    /// User side: the readiness call has completed; its events are next.
    pub(super) fn loop_readiness_returned(&mut self) {
        self.event_loop.waiting = false;
    }
}
