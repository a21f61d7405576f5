//! System-call handlers: which recorded work a call executes and what it does to simulated objects. How it was issued is the caller's
//! business: a call can run whole (with its entry and exit code), from its handler on, or from deeper.

use crate::action::{Action, Effect as SystemEffect, Slot};
use crate::clients::ClientKind;
use crate::connection::{Ready, Scan};
use crate::system::System;
use sim_core::block::{BlockId, BlockInfo, Cut, Span};
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, TaskId};
use sim_core::workload::{Effect, Step, WaitLoop};
use std::ops::Range;

/// From where on a call executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// With the kernel's entry and exit code.
    Whole,
    /// From the system-call function to its return.
    Handler,
    /// From the file or socket layer.
    FileLayer,
    /// From the protocol or file-system function.
    Protocol,
}

impl Part {
    /// The ops of a block that belong to the part: from the first line of the named function to its return. Where a block has no such
    /// cut the next shallower one is taken; the second value is the part that was found.
    pub fn range(self, info: &BlockInfo) -> (Range<usize>, Part) {
        let candidates: &[(Part, Cut)] = match self {
            Part::Whole => &[],
            Part::Handler => &[(Part::Handler, Cut::Handler)],
            Part::FileLayer => &[(Part::FileLayer, Cut::FileLayer), (Part::Handler, Cut::Handler)],
            Part::Protocol => &[(Part::Protocol, Cut::Protocol), (Part::FileLayer, Cut::FileLayer), (Part::Handler, Cut::Handler)],
        };
        for (part, cut) in candidates {
            if let Some(range) = info.span(*cut) {
                return (range, *part);
            }
        }
        (0..(info.end - info.start) as usize, Part::Whole)
    }
}

/// The actions of one call.
#[derive(Clone, Debug)]
pub struct CallParts {
    /// The call itself.
    pub now: Vec<Action>,
    /// What it leaves for the way out of the kernel, where the recorded way out is not executed.
    pub exit_work: Vec<Action>,
    /// The part that was found: the one asked for, or the next shallower one that the block has.
    pub found: Part,
}

impl<'a> System<'a> {
    /// The actions of one call from `part` on: counted, executed under the call's name, with its effect where the packet leaves or at
    /// the end. Receiving and accepting take from queues first: see [`System::take_request`] and [`System::accept`].
    pub fn call_actions(&mut self, step: &Step, slot: Slot, part: Part, out: &mut Vec<Action>) {
        let mut parts = self.call_parts(step, slot, part);
        out.append(&mut parts.now);
        // what a call leaves for its way out is done however it was issued
        out.append(&mut parts.exit_work);
    }

    /// [`System::call_actions`] with what the call leaves for the way out of the kernel kept apart.
    pub fn call_parts(&mut self, step: &Step, slot: Slot, part: Part) -> CallParts {
        let info = self.workload.blocks.info(step.kernel);
        let (range, found) = part.range(info);
        let exit_range = info.span(Cut::ExitWork).filter(|cut| found != Part::Whole && cut.start >= range.end);
        let mut effect = self.effect_of(step, slot);
        let mut packets = info.spans.iter().filter(|span| span.cut == Cut::Transmit).count();
        let mut pieces = |system: &mut Self, range: Range<usize>, out: &mut Vec<Action>| {
            let mut at = range.start;
            let inside =
                |span: &&Span| span.cut == Cut::Transmit && span.start as usize >= range.start && span.end as usize <= range.end;
            for span in info.spans.iter().filter(inside) {
                push_piece(out, step, slot, at..span.start as usize);
                system.hand_over(step, slot, span.start as usize..span.end as usize, out);
                at = span.end as usize;
                packets -= 1;
                if packets == 0 {
                    out.extend(effect.take());
                }
            }
            push_piece(out, step, slot, at..range.end);
        };
        let mut parts = CallParts { now: vec![Action::Count(step.call, slot)], exit_work: Vec::new(), found };
        pieces(self, range, &mut parts.now);
        if let Some(range) = exit_range {
            pieces(self, range, &mut parts.exit_work);
        }
        let last = if parts.exit_work.is_empty() { &mut parts.now } else { &mut parts.exit_work };
        last.extend(effect);
        parts
    }

    /// The packet goes to the device: the network card's recorded transmit for remote clients; over loopback the recorded stretch with
    /// the client's receive softirq.
    fn hand_over(&mut self, step: &Step, slot: Slot, cut: Range<usize>, out: &mut Vec<Action>) {
        if self.clients.kind == ClientKind::Remote {
            let block = self.pick_kernel(|kernel| &kernel.transmit);
            if block != BlockId::EMPTY {
                out.push(self.whole(block, Context::call(step.call), slot));
                return;
            }
        }
        push_piece(out, step, slot, cut);
        if self.clients.kind == ClientKind::Recorded && step.client_softirq != BlockId::EMPTY {
            out.push(self.whole(step.client_softirq, Context::call(step.call), slot));
        }
    }

    fn effect_of(&self, step: &Step, slot: Slot) -> Option<Action> {
        match step.effect {
            Effect::Send => Some(Action::Effect(SystemEffect::Send(slot, step.bytes))),
            Effect::SendLast => Some(Action::Effect(SystemEffect::SendLast(slot, step.bytes))),
            Effect::Close => Some(Action::Effect(SystemEffect::Close(slot))),
            Effect::None | Effect::Accept | Effect::Receive => None,
        }
    }

    /// The request whose bytes a receive on `connection` would return, if they are there.
    pub fn waiting_request(&self, connection: ConnectionId) -> Option<Slot> {
        self.connections[connection.index()].inbox.front().copied()
    }

    /// Takes a connection's next request from its socket buffer.
    pub fn take_request(&mut self, connection: ConnectionId) -> Option<Slot> {
        let entry = &mut self.connections[connection.index()];
        let slot = entry.inbox.pop_front()?;
        if entry.inbox.is_empty() && entry.in_ready_list {
            // level-triggered: a drained socket is not reported again
            entry.in_ready_list = false;
            let poller = entry.poller;
            self.pollers[poller].ready.retain(|ready| *ready != Ready::Connection(connection));
        }
        Some(slot)
    }

    /// Takes what an event loop's readiness call would return, at most `max` events. Entries stay reported until they are drained
    /// (level-triggered), so the list is left as it is.
    pub fn ready_events(&self, poller: usize, max: usize) -> Vec<Ready> {
        self.pollers[poller].ready.iter().take(max).copied().collect()
    }

    /// An event loop's readiness call goes through its ready list for at most `max` events. A listening socket from which another loop
    /// took the last connection is found stale and leaves the list. With `edge` a connection's event is returned once and not again
    /// before more data arrives.
    pub fn scan_ready(&mut self, poller: usize, max: usize, edge: bool) -> Scan {
        let mut scan = Scan::default();
        let listener = self.listener_of(poller);
        if self.pollers[poller].listener_ready && self.pollers[listener].accept_queue.is_empty() {
            self.unreport_listener(poller);
            scan.stale = 1;
        }
        scan.events = self.ready_events(poller, max);
        if edge {
            for event in &scan.events {
                if let Ready::Connection(connection) = event {
                    self.connections[connection.index()].in_ready_list = false;
                }
            }
            let mut position = 0;
            self.pollers[poller].ready.retain(|ready| {
                position += 1;
                position > max || *ready == Ready::Listener
            });
        }
        scan
    }

    /// The request that an event is about, for binding the kernel's per-event work.
    pub fn slot_of_event(&self, ready: Ready) -> Slot {
        match ready {
            Ready::Listener => Slot::NONE,
            Ready::Connection(connection) => self.waiting_request(connection).unwrap_or(Slot::NONE),
        }
    }

    /// User work around a readiness call: one of the recorded stretches that stood at the nearest number of events.
    pub fn pick_wait_user(&mut self, wait: &WaitLoop, events: u32) -> BlockId {
        let distance = |index: &usize| wait.user_events.get(*index).map_or(0, |recorded| recorded.abs_diff(events));
        let Some(nearest) = (0..wait.user.len()).map(|index| distance(&index)).min() else { return BlockId::EMPTY };
        let candidates: Vec<BlockId> =
            (0..wait.user.len()).filter(|index| distance(index) == nearest).map(|index| wait.user[index]).collect();
        self.pick(&candidates)
    }

    /// Kernel work of a readiness call that returns `events`, without the part before the first (that is head or wake).
    pub fn push_wait_events(&mut self, task: TaskId, events: &[Ready]) {
        let workload = self.workload;
        let Some(wait) = &workload.wait else { return };
        let context = Context::call(wait.call);
        for event in events {
            let slot = self.slot_of_event(*event);
            let item = self.pick(&wait.item);
            self.push_block(task, item, context, slot);
        }
        let tail = self.pick(&wait.tail);
        self.push_block(task, tail, context, Slot::NONE);
    }
}

fn push_piece(out: &mut Vec<Action>, step: &Step, slot: Slot, range: Range<usize>) {
    if !range.is_empty() {
        let (start, end) = (range.start as u32, range.end as u32);
        out.push(Action::Block { block: step.kernel, start, end, context: Context::call(step.call), slot });
    }
}
