//! Everything between the clients' processors and the server's protocol code.

use super::sessions::{EMPTY_PACKET_BYTES, SEND_AGAIN_US};
use super::{Driver, Event, Next, System};
use crate::action::{Action, Effect, Slot};
use crate::clients::{Arrival, ClientKind};
use crate::connection::ConnectionState;
use crate::network::{PACKET_PAYLOAD_BYTES, Packet};
use crate::task::FrameStep;
use rand::RngExt;
use sim_core::context::{Agent, Context};
use sim_core::ids::{ConnectionId, CoreId, Cycles, TaskId};
use sim_core::stack::Component;
use sim_core::workload::PacketKind;

impl System<'_> {
    /// Handles the earliest event.
    pub(super) fn event(&mut self) {
        let Some((at, event)) = self.events.pop() else { return };
        match event {
            Event::Arrive(packet) => self.arrive(packet, at),
            Event::Interrupt(core) => {
                self.queues[core.index()].armed = false;
                if !self.queues[core.index()].ring.is_empty() && !self.queues[core.index()].polling {
                    self.raise_interrupt(core, at);
                }
            }
            Event::ClientSend(connection) => self.client_send(connection, at),
            Event::OpenArrival => self.open_arrival(at),
            Event::ClientClose(connection) => self.client_closes(connection, at),
            Event::ConnectionEnded(connection) => self.connections[connection.index()].taken = false,
            Event::Reply(slot) => self.reply_received(slot, at),
            Event::SendAgain(slot) => self.sent_again(slot, at),
            Event::Timer(task) => self.wake(task, at, None),
        }
    }

    /// A packet reaches the network card.
    fn arrive(&mut self, packet: Packet, at: Cycles) {
        let core = self.connections[packet.connection.index()].queue;
        let queue = &mut self.queues[core.index()];
        if queue.ring.len() >= self.kernel.network.receive_ring_packets {
            queue.dropped_packets += 1;
            // TCP sends a lost segment again after its least retransmission time; datagram clients do the same
            let again = at + self.microseconds(SEND_AGAIN_US);
            self.connections[packet.connection.index()].lost_until = again;
            self.events.push(again, Event::Arrive(packet));
            return;
        }
        queue.ring.push_back(packet);
        let interrupts = !queue.polling && !queue.armed;
        self.record_arrival(core, at);
        if !interrupts {
            return;
        }
        let moderation = self.microseconds(self.kernel.network.interrupt_moderation_us as f64);
        match self.queues[core.index()].last_interrupt {
            Some(last) if at < last + moderation => {
                self.queues[core.index()].armed = true;
                self.events.push(last + moderation, Event::Interrupt(core));
            }
            _ => self.raise_interrupt(core, at),
        }
    }

    fn raise_interrupt(&mut self, core: CoreId, at: Cycles) {
        let queue = &mut self.queues[core.index()];
        queue.polling = true;
        queue.last_interrupt = Some(at);
        let was_quiet = !self.cores[core.index()].is_active();
        self.cores[core.index()].interrupt_pending = true;
        if was_quiet {
            self.wake_core(core, at, None);
        }
    }

    /// A packet went through the server's protocol code.
    pub(super) fn deliver(&mut self, driver: &mut dyn Driver, packet: Packet, at: Cycles, core: CoreId) {
        match packet.kind {
            PacketKind::Syn => self.handshake(packet, at),
            PacketKind::Handshake => {
                self.connected(driver, packet.connection, at, core);
            }
            PacketKind::Data | PacketKind::Datagram => {
                let unknown = self.connections[packet.connection.index()].state == ConnectionState::Closed;
                if self.has_sessions() && unknown && !self.connected(driver, packet.connection, at, core) {
                    return self.lose_segment(packet, at);
                }
                if driver.delivered(self, core, packet.slot) {
                    return;
                }
                self.hand_to_program(packet.slot, at, core);
            }
            // the client's end of a connection that carries several requests: the program will find it
            PacketKind::Fin if packet.slot != Slot::NONE => {
                if !driver.delivered(self, core, packet.slot) {
                    self.hand_to_program(packet.slot, at, core);
                }
            }
            PacketKind::Ack | PacketKind::Fin => {}
        }
    }

    /// A handshake ends: the connection can be accepted, unless there is no room in the queue.
    fn connected(&mut self, driver: &mut dyn Driver, connection: ConnectionId, at: Cycles, core: CoreId) -> bool {
        let established = self.establish(connection);
        if established && !driver.takes_connection(self, connection) {
            self.acceptable(connection, at, Some(core));
        }
        established
    }

    /// A request's bytes are in its socket's buffer: whoever waits for them wakes up. A connection that a mechanism took in the kernel
    /// must have been made [`System::acceptable`] before.
    pub fn hand_to_program(&mut self, slot: Slot, at: Cycles, core: CoreId) {
        let connection = self.requests[slot.index()].connection;
        let entry = &mut self.connections[connection.index()];
        entry.inbox.push_back(slot);
        if entry.state == ConnectionState::Open {
            self.readable(connection, at, Some(core));
        }
    }

    /// The client of a request sends its packet again at a time to come, after a timeout or with the rest of the bytes. The request
    /// stays the same: its latency counts from the first time.
    pub fn send_again(&mut self, slot: Slot, at: Cycles) {
        self.events.push(at, Event::SendAgain(slot));
    }

    /// The client of a request gives it up at a time to come: for it the request is over, with an error instead of a reply.
    pub fn give_up(&mut self, slot: Slot, at: Cycles) {
        if self.workload.connection_per_request {
            let connection = self.requests[slot.index()].connection;
            let entry = &mut self.connections[connection.index()];
            entry.state = ConnectionState::Closed;
            entry.in_ready_list = false;
        }
        self.served(slot);
        self.events.push(at, Event::Reply(slot));
    }

    fn sent_again(&mut self, slot: Slot, at: Cycles) {
        let connection = self.requests[slot.index()].connection;
        let kind = if self.workload.datagram { PacketKind::Datagram } else { PacketKind::Data };
        let bytes = u64::from(self.class(slot).request_bytes);
        let (_, arrived) = self.send_to_server(at, bytes);
        self.events.push(arrived, Event::Arrive(Packet { kind, connection, slot }));
    }

    /// The server's kernel answers a SYN by itself; the client then completes the handshake and sends its request.
    fn handshake(&mut self, packet: Packet, at: Cycles) {
        if self.clients.kind == ClientKind::Recorded || self.turns_away(packet, at) {
            return;
        }
        let (_, at_client) = self.send_to_client(at, EMPTY_PACKET_BYTES);
        let (_, acknowledged) = self.send_to_server(at_client, EMPTY_PACKET_BYTES);
        self.events.push(acknowledged, Event::Arrive(Packet { kind: PacketKind::Handshake, ..packet }));
        if self.has_sessions() {
            self.events.push(at_client, Event::ClientSend(packet.connection));
            return;
        }
        let bytes = u64::from(self.class(packet.slot).request_bytes);
        let (left, arrived) = self.send_to_server(at_client, bytes);
        self.requests[packet.slot.index()].sent_at = left;
        self.events.push(arrived, Event::Arrive(Packet { kind: PacketKind::Data, ..packet }));
    }

    /// A remote client sends its next request, with a new connection where the protocol wants one.
    fn client_send(&mut self, connection: ConnectionId, at: Cycles) {
        if self.clients.kind == ClientKind::Recorded {
            self.client_replies.push_back(connection);
            if let Some(task) = self.client_task {
                self.wake(task, at, None);
            }
            return;
        }
        let slot = self.new_request(connection, at);
        self.connections[connection.index()].request = slot;
        let kind = match (self.workload.datagram, self.workload.connection_per_request) {
            (true, _) => PacketKind::Datagram,
            (false, true) => PacketKind::Syn,
            (false, false) => PacketKind::Data,
        };
        let bytes = if kind == PacketKind::Syn { EMPTY_PACKET_BYTES } else { u64::from(self.class(slot).request_bytes) };
        let (left, arrived) = self.send_to_server(at, bytes);
        self.requests[slot.index()].sent_at = left;
        self.events.push(arrived, Event::Arrive(Packet { kind, connection, slot }));
    }

    /// The next request of an open system: a Poisson stream over the connections in turn. A connection that still waits for its
    /// reply is passed over; when all are busy the arrival is counted as refused, as a generator out of connections reports it.
    fn open_arrival(&mut self, at: Cycles) {
        self.next_arrival(at);
        if self.has_sessions() {
            return self.session_arrives(at);
        }
        let count = self.connections.len() as u32;
        let free = (0..count).map(|step| (self.open_turn + step) % count).find(|&index| {
            let connection = &self.connections[index as usize];
            connection.request == Slot::NONE
                && (!self.workload.connection_per_request || connection.state == ConnectionState::Closed)
        });
        match free {
            Some(index) => {
                self.open_turn = (index + 1) % count;
                self.client_send(ConnectionId(index), at);
            }
            None => self.stats.refused_arrivals += 1,
        }
    }

    /// Draws when the next request arrives. A gap that reaches over the end of a step of load is drawn again from there with the next
    /// rate: a Poisson stream has no memory.
    fn next_arrival(&mut self, at: Cycles) {
        let opened = self.load_from.unwrap_or(at);
        let mut from = at;
        loop {
            let elapsed_us = from.saturating_sub(opened) as f64 / f64::from(self.frequency_mhz);
            let Some((rate_rps, ends_us)) = self.clients.arrival.rate(elapsed_us) else { return };
            let end = ends_us.filter(|_| self.load_from.is_some()).map(|end| opened + self.microseconds(end) + 1);
            if rate_rps > 0.0 {
                let mean = f64::from(self.frequency_mhz) * 1e6 / rate_rps;
                let gap = if self.clients.arrival.is_periodic() { mean } else { self.exponential() * mean };
                let next = from + (gap as Cycles).max(1);
                if end.is_none_or(|end| next < end) {
                    self.events.push(next, Event::OpenArrival);
                    return;
                }
            }
            match end {
                Some(end) => from = end,
                None => return,
            }
        }
    }

    /// Exponentially distributed with mean 1.
    fn exponential(&mut self) -> f64 {
        let uniform: u32 = self.arrivals.random_range(1..=1 << 30);
        -libm::log(f64::from(uniform) / f64::from(1u32 << 30))
    }

    /// The server sends part of a reply, or its end.
    pub(super) fn send(&mut self, slot: Slot, bytes: u32, last: bool, at: Cycles, core: CoreId) {
        let request = &mut self.requests[slot.index()];
        if request.replied || slot == Slot::NONE {
            return;
        }
        request.reply_bytes += bytes;
        let connection = request.connection;
        if self.clients.kind == ClientKind::Recorded {
            if last {
                self.reply_received(slot, at);
                self.client_replies.push_back(connection);
                if let Some(task) = self.client_task {
                    self.wake(task, at, Some(core));
                }
            }
            return;
        }
        let (_, arrived) = self.send_to_client(at, u64::from(bytes));
        self.acknowledge(connection, bytes, arrived);
        if last {
            self.events.push(arrived, Event::Reply(slot));
        }
    }

    /// A client acknowledges every second full segment at once (RFC 1122, 4.2.3.2); the rest goes with its next request.
    fn acknowledge(&mut self, connection: ConnectionId, bytes: u32, at: Cycles) {
        if self.workload.datagram {
            return;
        }
        for _ in 0..u64::from(bytes) / PACKET_PAYLOAD_BYTES / 2 {
            let (_, arrived) = self.send_to_server(at, EMPTY_PACKET_BYTES);
            self.events.push(arrived, Event::Arrive(Packet { kind: PacketKind::Ack, connection, slot: Slot::NONE }));
        }
    }

    /// The client has the whole reply.
    fn reply_received(&mut self, slot: Slot, at: Cycles) {
        let request = &mut self.requests[slot.index()];
        request.replied = true;
        let (connection, sent_at, served) = (request.connection, request.sent_at, request.step == u32::MAX);
        self.stats.reply(at, at.saturating_sub(sent_at));
        if served {
            self.free_request(slot);
        }
        self.connections[connection.index()].request = Slot::NONE;
        self.connections[connection.index()].replies += 1;
        if self.clients.kind == ClientKind::Remote {
            let done = self.client_processors.serve(at);
            if self.has_sessions() {
                return self.session_goes_on(connection, done);
            }
            let per_request = self.workload.connection_per_request;
            let closed = self.connections[connection.index()].state == ConnectionState::Closed;
            if self.clients.arrival == Arrival::Closed && (!per_request || closed) {
                let think = self.microseconds(self.clients.think_us);
                self.events.push(done + think, Event::ClientSend(connection));
            }
        }
    }

    /// The server closes a connection: the client answers with its own end, and may connect again.
    pub(super) fn close(&mut self, slot: Slot, at: Cycles) {
        let connection = self.requests[slot.index()].connection;
        self.connections[connection.index()].state = ConnectionState::Closed;
        self.connections[connection.index()].in_ready_list = false;
        if self.clients.kind == ClientKind::Recorded {
            return;
        }
        let (_, at_client) = self.send_to_client(at, EMPTY_PACKET_BYTES);
        if self.has_sessions() {
            return self.session_closed(connection, at_client);
        }
        let (_, back) = self.send_to_server(at_client, EMPTY_PACKET_BYTES);
        self.events.push(back, Event::Arrive(Packet { kind: PacketKind::Fin, connection, slot: Slot::NONE }));
        let replied = self.requests[slot.index()].replied;
        if self.clients.arrival == Arrival::Closed && replied {
            let think = self.microseconds(self.clients.think_us);
            self.events.push(at_client + think, Event::ClientSend(connection));
        }
    }

    /// What the recorded client does next: it takes one reply, works, and sends the next request over loopback.
    pub(super) fn client_next(&mut self, task: TaskId) -> Next {
        let Some(connection) = self.client_replies.pop_front() else { return Next::Sleep };
        let client = &self.workload.client;
        // the client's lines are not recorded: its instructions pass at one cycle each and leave no trace in the caches
        let cycles = client.instructions_user + client.instructions_kernel;
        self.push(task, Action::Spend(Component::Client, cycles));
        self.push_effect(task, Effect::ClientTurn(connection));
        Next::Continue
    }

    /// The recorded client's send: the server's receive path runs in the softirq of the client's own call.
    pub(super) fn client_turn(&mut self, _driver: &mut dyn Driver, connection: ConnectionId, at: Cycles, core: CoreId) {
        let slot = self.new_request(connection, at);
        self.connections[connection.index()].request = slot;
        let kinds: &[PacketKind] = match (self.workload.datagram, self.workload.connection_per_request) {
            (true, _) => &[PacketKind::Datagram],
            (false, true) => &[PacketKind::Syn, PacketKind::Handshake, PacketKind::Data],
            (false, false) => &[PacketKind::Data],
        };
        for &kind in kinds {
            let block = self.pick_receive(kind);
            let action = self.whole(block, Context::kernel(Agent::SOFTIRQ), slot);
            let frame = &mut self.cores[core.index()].frame;
            frame.push_back(FrameStep::Do(action));
            frame.push_back(FrameStep::Do(Action::Effect(Effect::Deliver(Packet { kind, connection, slot }))));
        }
    }
}
