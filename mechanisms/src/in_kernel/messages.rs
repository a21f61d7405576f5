//! The bytes that arrive for each request: synthesised, sometimes damaged, kept until the request is settled.

use os_model::action::Slot;
use os_model::system::System;
use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use sim_core::ids::ConnectionId;
use sim_core::payload::{Ask, Damage, Payload};
use wyki::Verdict;

/// What one request's bytes are.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Bytes of the request that are there when the next packet has come.
    pub packet: Vec<u8>,
    /// The request as its sender meant it.
    pub whole: Vec<u8>,
    /// True when it asks to store.
    pub stores: bool,
    /// The packet holds a part of the request; another one with the rest is under way.
    pub torn: bool,
    /// The sender got the protocol wrong.
    pub damaged: bool,
    /// Packets without an answer so far.
    pub unanswered: u32,
}

/// What happened to a message, in the order in which the service's tables saw it; for tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// The service handled it.
    Handled {
        /// Connection.
        connection: ConnectionId,
        /// The bytes that the service saw.
        message: Vec<u8>,
        /// What it said.
        verdict: Verdict,
    },
    /// The program stored the value of a SET in the service's table, or tried to.
    Stored {
        /// The SET.
        message: Vec<u8>,
        /// False when the table was full.
        kept: bool,
    },
}

/// Messages by slot, and the generators of the clients that send them.
#[derive(Debug)]
pub struct Messages {
    payload: Payload,
    malformed_permille: u32,
    generators: Vec<Xoshiro256PlusPlus>,
    sent: Vec<u64>,
    by_slot: Vec<Option<Message>>,
}

impl Messages {
    /// No message yet; each connection has its own generator.
    pub fn new(system: &System, payload: Payload, malformed_permille: u32) -> Messages {
        let count = system.connections.len();
        let seeds = system.seeds.child("payload");
        Messages {
            payload,
            malformed_permille,
            generators: (0..count as u64).map(|index| seeds.child_index(index).rng()).collect(),
            sent: vec![0; count],
            by_slot: Vec::new(),
        }
    }

    /// The message of a slot, made when the request's first packet comes; true when it was made now.
    pub fn of(&mut self, system: &System, slot: Slot) -> (&mut Message, bool) {
        if self.by_slot.len() <= slot.index() {
            self.by_slot.resize(slot.index() + 1, None);
        }
        let made = self.by_slot[slot.index()].is_none();
        let message = match self.by_slot[slot.index()].take() {
            Some(message) => message,
            None => self.make(system, slot),
        };
        (self.by_slot[slot.index()].insert(message), made)
    }

    /// The request is settled: the slot's next one is another.
    pub fn settle(&mut self, slot: Slot) -> Option<Message> {
        self.by_slot.get_mut(slot.index()).and_then(Option::take)
    }

    /// Versions of values count from 1 in each connection; the stride keeps those of different connections apart.
    fn make(&mut self, system: &System, slot: Slot) -> Message {
        let request = &system.requests[slot.index()];
        let connection = request.connection.index();
        let ask = system.class(slot).ask();
        self.sent[connection] += 1;
        let version = self.sent[connection] * self.sent.len() as u64 + connection as u64;
        let whole = self.payload.request(ask, request.item, version);
        let mut message = Message { packet: whole.clone(), whole, stores: ask == Ask::Set, ..Message::default() };
        let generator = &mut self.generators[connection];
        if self.malformed_permille > 0 && generator.random_range(0..1000) < self.malformed_permille {
            let damage = Damage::ALL[generator.random_range(0..Damage::ALL.len() as u32) as usize];
            let noise: u64 = generator.random();
            message.packet = self.payload.damaged(damage, ask, request.item, version, noise);
            message.damaged = true;
            message.torn = damage == Damage::Torn && !self.payload.protocol.is_datagram();
        }
        message
    }
}
