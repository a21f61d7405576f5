//! Listening sockets: who learns of a new connection, and who takes it.

use super::{HERD_WAKE_UPS, System};
use crate::action::Slot;
use crate::connection::{AcceptSharing, ConnectionState, Ready};
use rand::RngExt;
use sim_core::ids::{ConnectionId, CoreId, Cycles};

impl System<'_> {
    /// Puts a connection into the accept queue of its listening socket and wakes whoever learns of it.
    pub fn acceptable(&mut self, connection: ConnectionId, at: Cycles, from: Option<CoreId>) {
        let own = self.connections[connection.index()].poller;
        let listener = self.listener_of(own);
        self.pollers[listener].accept_queue.push_back(connection);
        if self.accept_sharing == AcceptSharing::PerLoop {
            self.report_listener(own);
            self.wake_waiter(own, at, from);
            return;
        }
        if self.accept_sharing == AcceptSharing::Mutex {
            if let Some(holder) = self.accept_lock {
                self.report_listener(holder);
                self.wake_waiter(holder, at, from);
            }
            return;
        }
        let mut woken = 0;
        for poller in 0..self.pollers.len() {
            self.report_listener(poller);
            woken += u64::from(self.wake_waiter(poller, at, from));
            if woken > 0 && self.accept_sharing == AcceptSharing::SharedExclusive {
                break;
            }
        }
        if woken > 1 {
            self.stats.occurred(HERD_WAKE_UPS, woken - 1);
        }
    }

    /// The poller that holds the accept queue of an event loop's listening socket.
    pub(crate) fn listener_of(&self, poller: usize) -> usize {
        if self.accept_sharing == AcceptSharing::PerLoop { poller } else { 0 }
    }

    fn report_listener(&mut self, poller: usize) {
        let entry = &mut self.pollers[poller];
        if !entry.listener_ready {
            entry.listener_ready = true;
            entry.ready.push_back(Ready::Listener);
        }
    }

    /// An event loop tries to get the lock around accepting. With it, it learns of new connections until it lets go of it.
    pub fn try_accept_lock(&mut self, poller: usize) -> bool {
        if self.accept_lock.is_some_and(|holder| holder != poller) {
            return false;
        }
        self.accept_lock = Some(poller);
        if !self.pollers[self.listener_of(poller)].accept_queue.is_empty() {
            self.report_listener(poller);
        }
        true
    }

    /// What is left of a delay at a random moment of it.
    pub fn rest_of_delay(&mut self, delay: Cycles) -> Cycles {
        self.delays.random_range(0..=delay)
    }

    /// An event loop lets go of the lock around accepting, if it holds it.
    pub fn release_accept_lock(&mut self, poller: usize) {
        if self.accept_lock == Some(poller) {
            self.accept_lock = None;
            self.unreport_listener(poller);
        }
    }

    /// Accepts the next pending connection of a poller's listening socket. From then on the connection is that poller's. The accept is
    /// the first step of what comes with it: of the connection's only request (sent with the handshake's end, or soon), or of the work
    /// that opens a connection for several requests.
    pub fn accept(&mut self, poller: usize) -> Option<Slot> {
        let listener = self.listener_of(poller);
        let connection = self.pollers[listener].accept_queue.pop_front()?;
        if self.pollers[listener].accept_queue.is_empty() {
            self.unreport_listener(poller);
        }
        let entry = &mut self.connections[connection.index()];
        entry.state = ConnectionState::Open;
        entry.poller = poller;
        Some(if entry.opening == Slot::NONE { entry.request } else { entry.opening })
    }

    pub(crate) fn unreport_listener(&mut self, poller: usize) {
        let entry = &mut self.pollers[poller];
        if entry.listener_ready {
            entry.listener_ready = false;
            entry.ready.retain(|ready| *ready != Ready::Listener);
        }
    }
}
