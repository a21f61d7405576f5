//! Partly open clients: connections arrive at a rate; each carries a number of requests, one after the other, and is closed then.

use super::{Event, System};
use crate::action::Slot;
use crate::clients::Arrival;
use crate::connection::{ConnectionState, Purpose};
use crate::network::Packet;
use sim_core::ids::{ConnectionId, Cycles};
use sim_core::workload::{PacketKind, Step};

/// Bytes of a packet without payload (SYN, ACK, FIN), for the wire.
pub(super) const EMPTY_PACKET_BYTES: u64 = 0;
/// A client that hears nothing of its connection request repeats it after the initial retransmission time of RFC 6298 (1 s; kernels
/// before Linux 3.1 wait 3 s). Either is longer than a simulated window, in which such a connection is lost.
const CONNECT_AGAIN_US: f64 = 1_000_000.0;
/// Least retransmission time of a segment (RTO_MIN of Linux).
pub(super) const SEND_AGAIN_US: f64 = 200_000.0;

/// Occurrence: connection requests that a full accept queue turned away.
pub const REFUSED_CONNECTIONS: &str = "connection requests dropped by a full accept queue";
/// Occurrence: segments of connections that found no room in the accept queue.
pub const REFUSED_SEGMENTS: &str = "segments dropped by a full accept queue";

impl<'a> System<'a> {
    /// Connections carry several requests each and are opened and closed in the run.
    pub fn has_sessions(&self) -> bool {
        matches!(self.clients.arrival, Arrival::Sessions { .. }) && !self.workload.connection_per_request
    }

    /// The program accepts connections in the run; otherwise all are open from the beginning.
    pub fn accepts(&self) -> bool {
        self.workload.connection_per_request || self.has_sessions()
    }

    /// More can come over a request's connection when the server is done with it.
    pub fn goes_on_after(&self, slot: Slot) -> bool {
        !self.workload.connection_per_request && self.requests[slot.index()].purpose != Purpose::Closing
    }

    /// What an accept or a receive executes while it is not known what it will bring: the first recorded one stands for it.
    pub fn expected_step(&self, accepts: bool) -> Option<&'a Step> {
        let workload = self.workload;
        let requests = workload.classes.first().map_or(&[][..], |class| &class.chains);
        let chains = if accepts && self.has_sessions() { &workload.connection.opening } else { requests };
        chains.first().and_then(|chain| chain.steps.first())
    }

    /// Steps of every kind that the program makes.
    pub fn all_steps(&self) -> impl Iterator<Item = &'a Step> + use<'a> {
        let workload = self.workload;
        let requests = workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
        requests.chain(workload.connection.steps())
    }

    /// Connections that clients have now.
    pub fn connections_taken(&self) -> usize {
        self.connections.iter().filter(|connection| connection.taken).count()
    }

    /// A client arrives: it takes the next free connection, or, when it has as many as it may have, counts an error as httperf does for
    /// descriptors that are not available.
    pub(super) fn session_arrives(&mut self, at: Cycles) {
        let Arrival::Sessions { requests_per_connection, .. } = self.clients.arrival else { return };
        let count = self.connections.len() as u32;
        let free = (0..count).map(|step| (self.open_turn + step) % count).find(|&index| !self.connections[index as usize].taken);
        let Some(index) = free else {
            self.stats.refused_arrivals += 1;
            return;
        };
        self.open_turn = (index + 1) % count;
        let connection = ConnectionId(index);
        let slot = self.new_end(connection, Purpose::Opening, at);
        let entry = &mut self.connections[connection.index()];
        entry.taken = true;
        entry.opening = slot;
        entry.requests_left = requests_per_connection;
        self.send_empty(PacketKind::Syn, connection, slot, at);
    }

    fn send_empty(&mut self, kind: PacketKind, connection: ConnectionId, slot: Slot, at: Cycles) {
        let (_, arrived) = self.send_to_server(at, EMPTY_PACKET_BYTES);
        self.events.push(arrived, Event::Arrive(Packet { kind, connection, slot }));
    }

    /// True when the accept queue that a connection would join is full. Connections of generators that wait for their one reply cannot
    /// be more than they offer at a time: no limit is put on those.
    fn backlog_is_full(&self, connection: ConnectionId) -> bool {
        let listener = self.listener_of(self.connections[connection.index()].poller);
        self.has_sessions() && self.pollers[listener].accept_queue.len() >= self.kernel.network.accept_backlog
    }

    /// A full accept queue turns a connection request away: the client repeats it later.
    pub(super) fn turns_away(&mut self, packet: Packet, at: Cycles) -> bool {
        let full = self.backlog_is_full(packet.connection);
        if full {
            self.stats.occurred(REFUSED_CONNECTIONS, 1);
            self.events.push(at + self.microseconds(CONNECT_AGAIN_US), Event::Arrive(packet));
        }
        full
    }

    /// The last packet of a handshake, or data after one that found no room, makes the connection one that can be accepted; false when
    /// the accept queue is full.
    pub(super) fn establish(&mut self, connection: ConnectionId) -> bool {
        let entry = &self.connections[connection.index()];
        if entry.state != ConnectionState::Closed || self.backlog_is_full(connection) {
            return false;
        }
        self.connections[connection.index()].state = ConnectionState::Pending;
        true
    }

    /// The client drops out of a handshake that found no room: its data will come again.
    pub(super) fn lose_segment(&mut self, packet: Packet, at: Cycles) {
        self.stats.occurred(REFUSED_SEGMENTS, 1);
        self.events.push(at + self.microseconds(SEND_AGAIN_US), Event::Arrive(packet));
    }

    /// The client has a reply, and its processor is done with it at `done`: it sends its next request or closes the connection.
    pub(super) fn session_goes_on(&mut self, connection: ConnectionId, done: Cycles) {
        let entry = &mut self.connections[connection.index()];
        entry.requests_left = entry.requests_left.saturating_sub(1);
        let next = if entry.requests_left > 0 { Event::ClientSend(connection) } else { Event::ClientClose(connection) };
        let think = self.microseconds(self.clients.think_us);
        self.events.push(done + think, next);
    }

    pub(super) fn client_closes(&mut self, connection: ConnectionId, at: Cycles) {
        let slot = self.new_end(connection, Purpose::Closing, at);
        self.send_empty(PacketKind::Fin, connection, slot, at);
    }

    /// The server has closed its side too: when the client knows, it may use the connection's place for another one.
    pub(super) fn session_closed(&mut self, connection: ConnectionId, at_client: Cycles) {
        self.connections[connection.index()].opening = Slot::NONE;
        self.send_empty(PacketKind::Ack, connection, Slot::NONE, at_client);
        self.events.push(at_client, Event::ConnectionEnded(connection));
    }
}
