//! Connections, requests in flight, and who waits for them.

use crate::action::Slot;
use serde::{Deserialize, Serialize};
use sim_core::ids::{CoreId, Cycles, TaskId};
use std::collections::VecDeque;

/// State of a connection as the server's kernel sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// No connection.
    Closed,
    /// Handshake under way or done, not accepted yet.
    Pending,
    /// Accepted.
    Open,
}

/// What a slot of the request table stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// A request that is answered.
    #[default]
    Request,
    /// What the server does when it accepts a connection that will carry several requests.
    Opening,
    /// What the server does when such a connection's client has closed it.
    Closing,
}

/// One client connection (for datagrams: one client's slot).
#[derive(Debug)]
pub struct Connection {
    /// State.
    pub state: ConnectionState,
    /// Requests whose bytes are all in the socket's buffer.
    pub inbox: VecDeque<Slot>,
    /// The request on its way or in service.
    pub request: Slot,
    /// The server's work to accept the connection, where it carries several requests.
    pub opening: Slot,
    /// A client has the connection, from its arrival until both sides have closed it.
    pub taken: bool,
    /// Requests that the client has still to send before it closes the connection.
    pub requests_left: u32,
    /// A task that sleeps in a receive on this connection.
    pub blocked: Option<TaskId>,
    /// The poller (event loop) that watches it.
    pub poller: usize,
    /// True while it is in the poller's ready list.
    pub in_ready_list: bool,
    /// A packet of it was lost and comes again at this time.
    pub lost_until: Cycles,
    /// Replies that its client has received since the simulation began.
    pub replies: u64,
    /// The receive queue, and so the core, its packets arrive on.
    pub queue: CoreId,
}

/// What an event loop finds ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// A connection can be accepted.
    Listener,
    /// Data can be read.
    Connection(sim_core::ids::ConnectionId),
}

/// Who learns of a new connection when a server has several event loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcceptSharing {
    /// Each loop has a listening socket of its own (SO_REUSEPORT).
    #[default]
    PerLoop,
    /// All loops watch one listening socket: a new connection wakes every loop that sleeps.
    Shared,
    /// All loops watch one listening socket with EPOLLEXCLUSIVE: a new connection wakes the first loop that sleeps.
    SharedExclusive,
    /// All loops watch one listening socket, but only the one that holds a lock, and only while it does (nginx's `accept_mutex`, its
    /// default before 1.11.3). A loop takes the lock before its readiness call if it is free and releases it after its accepts; a loop
    /// that does not get it sleeps until its connections need it or a delay is over.
    Mutex,
}

/// What a readiness call finds when it goes through the ready list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Events to return.
    pub events: Vec<Ready>,
    /// Entries that were looked at and found not ready any more: another loop took the connection.
    pub stale: u32,
}

/// One event loop's epoll set.
#[derive(Debug, Default)]
pub struct Poller {
    /// Ready descriptors in order of their becoming ready.
    pub ready: VecDeque<Ready>,
    /// Tasks that sleep in the readiness call, or in an accept: each event wakes the first.
    pub waiters: VecDeque<TaskId>,
    /// Connections that wait to be accepted: this loop's share of the listening socket.
    pub accept_queue: VecDeque<sim_core::ids::ConnectionId>,
    /// True while the listener is in the ready list.
    pub listener_ready: bool,
}

/// One request in flight.
#[derive(Clone, Debug)]
pub struct Request {
    /// What it stands for.
    pub purpose: Purpose,
    /// Connection.
    pub connection: sim_core::ids::ConnectionId,
    /// Request class.
    pub class: u32,
    /// Recorded chain of the class.
    pub chain: u32,
    /// Last byte of the request sent by the client.
    pub sent_at: Cycles,
    /// Pool instance.
    pub pool: u32,
    /// Private instance.
    pub private: u32,
    /// Item.
    pub item: u32,
    /// Next step of the chain.
    pub step: u32,
    /// Reply bytes already handed to the wire.
    pub reply_bytes: u32,
    /// The slot is taken.
    pub live: bool,
    /// The reply is complete.
    pub replied: bool,
}
