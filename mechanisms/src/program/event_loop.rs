//! An event loop: a readiness call, and the requests that it leads to.

use super::issue_step;
use super::poll::PollSet;
use crate::issue::Issuer;
use crate::settings::{SyncSettings, SyncVariant};
use os_model::action::{Action, Slot};
use os_model::connection::{AcceptSharing, Ready, Scan};
use os_model::system::{Next, System};
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, Cycles, TaskId};
use sim_core::workload::Effect;
use std::collections::VecDeque;

/// Occurrences.
const EMPTY_READS: &str = "reads that found nothing";
const EMPTY_ACCEPTS: &str = "accepts that found nothing";
const LOCK_TAKEN: &str = "loops that did not get the lock around accepting";
const STALE_EVENTS: &str = "wake-ups that found the connection taken";

/// Where an event loop stands.
#[derive(Debug)]
pub(super) struct EventLoop {
    poller: usize,
    edge: bool,
    /// For a loop that calls `poll`.
    poll: Option<PollSet>,
    state: State,
    current: Option<(Slot, u32)>,
    events: VecDeque<Ready>,
    deferred: VecDeque<Slot>,
    in_deferred: bool,
    /// The step that an event led to: a receive is only tried then, as event loops do after an accept.
    event_step: Option<u32>,
    /// With edge-triggered events: the connection that was read from and has to be read until it is empty.
    read_from: Option<ConnectionId>,
    /// Events that the last readiness call returned.
    last_events: u32,
    /// The readiness call returns at this time though nothing is ready: the lock around accepting was not free.
    try_again_at: Option<Cycles>,
    /// The connection that was just accepted is still being opened.
    accepting: bool,
    /// No readiness call has been made yet.
    first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In the program.
    Running,
    /// In the readiness call, before it looks at the ready list.
    Entered,
    /// In the readiness call, asleep or about to be.
    Asleep,
}

impl EventLoop {
    /// A loop over the descriptors of a poller.
    pub fn new(poller: usize, variant: SyncVariant) -> EventLoop {
        EventLoop {
            poller,
            edge: variant == SyncVariant::EpollEdge,
            poll: (variant == SyncVariant::Poll).then(PollSet::new),
            state: State::Running,
            current: None,
            events: VecDeque::new(),
            deferred: VecDeque::new(),
            in_deferred: false,
            event_step: None,
            read_from: None,
            last_events: 1,
            try_again_at: None,
            accepting: false,
            first: true,
        }
    }

    /// What the loop does next.
    pub fn next(&mut self, system: &mut System, issuer: &mut Issuer, settings: &SyncSettings, task: TaskId) -> Next {
        match self.state {
            State::Entered => self.look(system, issuer, settings, task, false),
            State::Asleep => self.look(system, issuer, settings, task, true),
            State::Running => self.next_unit(system, issuer, settings, task),
        }
    }

    /// In the readiness call: return what is ready, or sleep.
    fn look(&mut self, system: &mut System, issuer: &mut Issuer, settings: &SyncSettings, task: TaskId, slept: bool) -> Next {
        let Some(wait) = &system.workload.wait else { return Next::Sleep };
        // clients of a datagram server share one socket: one descriptor is ready, whatever the number of messages
        let most = match (system.workload.datagram, &self.poll) {
            (true, _) => 1,
            (false, Some(_)) => usize::MAX,
            (false, None) => wait.max_events.max(1) as usize,
        };
        let scan = system.scan_ready(self.poller, most, self.edge);
        if scan.events.is_empty() && scan.stale == 0 && slept && !self.timed_out(system, task) {
            system.wait_on(self.poller, task);
            return Next::Sleep;
        }
        let timed_out = self.timed_out(system, task);
        if let Some(poll) = &mut self.poll {
            match slept {
                false => poll.first_pass(system, issuer, task, self.poller),
                true => poll.second_pass(system, issuer, task, self.poller),
            }
            if scan.events.is_empty() && !timed_out {
                self.state = State::Asleep;
                return Next::Continue;
            }
            poll.end(system, issuer, task);
            issuer.leave(system, task);
            issuer.user_instructions(system, task, poll.watched() * settings.poll_scan_instructions);
            self.take_events(scan.events);
            self.accept_first(system);
            return Next::Continue;
        }
        let context = Context::call(wait.call);
        let first = match (scan.events.is_empty(), slept) {
            (true, false) => BlockId::EMPTY,
            (false, false) => system.pick(&wait.head),
            (_, true) => system.pick(&wait.wake),
        };
        issuer.piece(system, task, first, context, Slot::NONE);
        self.go_through(system, issuer, task, &scan);
        if scan.events.is_empty() && !timed_out {
            // asleep before: the call's loop goes back to the scheduler without leaving the kernel
            let sleep = if slept { BlockId::EMPTY } else { system.pick(&wait.sleep) };
            issuer.piece(system, task, sleep, context, Slot::NONE);
            self.state = State::Asleep;
            return Next::Continue;
        }
        let tail = system.pick(&wait.tail);
        issuer.piece(system, task, tail, context, Slot::NONE);
        issuer.leave(system, task);
        self.take_events(scan.events);
        self.accept_first(system);
        Next::Continue
    }

    fn take_events(&mut self, events: Vec<Ready>) {
        self.last_events = events.len() as u32;
        self.events = events.into();
        self.state = State::Running;
        self.try_again_at = None;
    }

    /// The readiness call has waited as long as it may.
    fn timed_out(&self, system: &System, task: TaskId) -> bool {
        self.try_again_at.is_some_and(|at| system.clock_of(task) >= at)
    }

    /// The kernel's work for each entry of the ready list.
    fn go_through(&self, system: &mut System, issuer: &mut Issuer, task: TaskId, scan: &Scan) {
        let Some(wait) = &system.workload.wait else { return };
        let context = Context::call(wait.call);
        if scan.stale > 0 {
            system.stats.occurred(STALE_EVENTS, u64::from(scan.stale));
        }
        let stale = (0..scan.stale).map(|_| Slot::NONE);
        let slots: Vec<Slot> = stale.chain(scan.events.iter().map(|event| system.slot_of_event(*event))).collect();
        for slot in slots {
            let item = system.pick(&wait.item);
            issuer.piece(system, task, item, context, slot);
        }
    }

    /// The next event, deferred reply, or the readiness call again.
    fn next_unit(&mut self, system: &mut System, issuer: &mut Issuer, settings: &SyncSettings, task: TaskId) -> Next {
        loop {
            if let Some((slot, index)) = self.current {
                if self.may_continue(system, slot, index) {
                    self.current = issue_step(system, issuer, task, slot, index);
                    return Next::Continue;
                }
                continue;
            }
            if let Some(connection) = self.read_from.take() {
                self.read_again(system, issuer, settings, task, connection);
                continue;
            }
            self.accepted(system);
            if let Some(event) = self.events.pop_front() {
                self.accepting = event == Ready::Listener;
                self.in_deferred = false;
                self.current = self.begin_unit(system, issuer, task, event);
                self.event_step = self.current.map(|(_, step)| step);
                continue;
            }
            if let Some(slot) = self.deferred.pop_front() {
                self.in_deferred = true;
                self.current = Some((slot, system.requests[slot.index()].step));
                continue;
            }
            return self.enter(system, issuer, settings, task);
        }
    }

    /// Looks whether the current unit can go on; parks it otherwise (`current` becomes `None`).
    fn may_continue(&mut self, system: &mut System, slot: Slot, index: u32) -> bool {
        let Some(step) = system.request_step(slot, index) else {
            self.current = None;
            return false;
        };
        let connection = system.requests[slot.index()].connection;
        let by_event = self.event_step == Some(index);
        if step.effect == Effect::Receive && (!by_event || system.waiting_request(connection) != Some(slot)) {
            system.report_if_readable(connection);
            system.requests[slot.index()].step = index;
            self.current = None;
            return false;
        }
        if step.deferred && !self.in_deferred {
            system.requests[slot.index()].step = index;
            self.deferred.push_back(slot);
            self.current = None;
            return false;
        }
        if step.effect == Effect::Receive {
            system.take_request(connection);
            self.read_from = self.edge.then_some(connection);
        }
        if step.effect == Effect::Close {
            self.read_from = None;
        }
        true
    }

    /// The unit of work that an event begins: a request and its next step.
    fn begin_unit(&self, system: &mut System, issuer: &mut Issuer, task: TaskId, event: Ready) -> Option<(Slot, u32)> {
        match event {
            Ready::Listener => match system.accept(self.poller) {
                Some(slot) => Some((slot, 0)),
                None => {
                    self.accept_nothing(system, issuer, task);
                    None
                }
            },
            Ready::Connection(connection) => {
                let slot = system.waiting_request(connection)?;
                Some((slot, system.requests[slot.index()].step))
            }
        }
    }

    /// Another loop took the connection between this one's readiness call and its accept.
    fn accept_nothing(&self, system: &mut System, issuer: &mut Issuer, task: TaskId) {
        if system.accept_sharing == AcceptSharing::PerLoop {
            return;
        }
        if let Some(step) = system.all_steps().find(|step| step.effect == Effect::Accept) {
            issuer.user_block(system, task, step.user, Slot::NONE);
            issuer.failed_accept(system, task, step);
            system.stats.occurred(EMPTY_ACCEPTS, 1);
        }
    }

    /// Edge-triggered: the connection is read again until it is empty. What came meanwhile is served without a readiness call.
    fn read_again(
        &mut self,
        system: &mut System,
        issuer: &mut Issuer,
        settings: &SyncSettings,
        task: TaskId,
        connection: ConnectionId,
    ) {
        issuer.user_instructions(system, task, settings.reread_instructions);
        if let Some(slot) = self.next_message(system, connection) {
            let step = system.requests[slot.index()].step;
            (self.current, self.event_step) = (Some((slot, step)), Some(step));
            return;
        }
        let call = system.all_steps().find(|step| step.effect == Effect::Receive).map_or(CallNumber::READ, |step| step.call);
        issuer.enter(system, task, false);
        system.push(task, Action::Count(call, Slot::NONE));
        let again = system.pick(&system.workload.readiness.again);
        issuer.piece(system, task, again, Context::call(call), Slot::NONE);
        issuer.leave(system, task);
        system.stats.occurred(EMPTY_READS, 1);
    }

    /// The next message on the socket that was read from: a datagram server's clients share one socket.
    fn next_message(&self, system: &mut System, connection: ConnectionId) -> Option<Slot> {
        if !system.workload.datagram {
            return system.waiting_request(connection);
        }
        match system.scan_ready(self.poller, 1, true).events.first()? {
            Ready::Connection(next) => system.waiting_request(*next),
            Ready::Listener => None,
        }
    }

    /// A loop that holds the lock around accepting accepts before anything else, and lets go of it when there is nothing to accept.
    fn accept_first(&mut self, system: &mut System) {
        if system.accept_sharing != AcceptSharing::Mutex {
            return;
        }
        match self.events.iter().position(|event| *event == Ready::Listener) {
            Some(place) => self.events.rotate_left(place),
            None => system.release_accept_lock(self.poller),
        }
    }

    /// The connection that was accepted is open: another loop may accept now.
    fn accepted(&mut self, system: &mut System) {
        if std::mem::take(&mut self.accepting) && system.accept_sharing == AcceptSharing::Mutex {
            system.release_accept_lock(self.poller);
        }
    }

    /// Before its readiness call a loop tries to get the lock around accepting. The lock's line travels once or twice for each call of
    /// a loop: too little beside the requests of a loop to be simulated.
    ///
    /// A loop that misses the lock while it has no connection sleeps thousands of times longer than a request takes, so that a window of
    /// some milliseconds shows either both loops at work or one. In the long run all but one sleep nearly always, and that is where the
    /// simulation begins: the other loops stand somewhere in their delay.
    fn try_accept_lock(&mut self, system: &mut System, settings: &SyncSettings, task: TaskId) {
        if system.accept_sharing != AcceptSharing::Mutex {
            return;
        }
        let delay = system.microseconds(settings.accept_mutex_delay_us);
        let first = std::mem::take(&mut self.first);
        let wait = match first && self.poller != 0 {
            true => system.rest_of_delay(delay),
            false if system.try_accept_lock(self.poller) => return,
            false => delay,
        };
        let at = system.clock_of(task) + wait;
        self.try_again_at = Some(at);
        system.wake_at(task, at);
        system.stats.occurred(LOCK_TAKEN, 1);
    }

    fn enter(&mut self, system: &mut System, issuer: &mut Issuer, settings: &SyncSettings, task: TaskId) -> Next {
        self.try_accept_lock(system, settings, task);
        let Some(wait) = &system.workload.wait else { return Next::Sleep };
        let user = system.pick_wait_user(wait, self.last_events);
        issuer.user_block(system, task, user, Slot::NONE);
        issuer.enter(system, task, true);
        let call = if self.poll.is_some() { CallNumber::POLL } else { wait.call };
        system.push(task, Action::Count(call, Slot::NONE));
        self.state = State::Entered;
        Next::Continue
    }
}
