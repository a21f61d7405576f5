//! Cancellation: reads that wait too long are taken back, or complete first. Both outcomes of the race happen, and each is counted.

use super::entries::EntryState;
use super::threads::Kind;
use super::{ExceptionLess, HOOK_CANCEL};
use crate::settings::ExceptionLessVariant;
use os_model::action::Action;
use os_model::system::System;
use sim_core::ids::{CoreId, Cycles};
use std::collections::VecDeque;

/// A read that was posted, with the time from which it counts as waiting.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Cycles,
    entry: u32,
    serial: u32,
}

/// Timers of the event library: all reads have the same patience, so the oldest is the first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    reads: VecDeque<Waiting>,
    /// The kernel wakes the user thread then.
    set_for: Option<Cycles>,
}

impl ExceptionLess {
    /// True for reads that can be cancelled when they wait too long.
    pub(super) fn is_timed(&self, system: &System, entry: u32) -> bool {
        let waits = match self.kind(system, entry) {
            Kind::Receive => true,
            // the event loop's own readiness call waits for all connections
            Kind::Readiness => !self.is(ExceptionLessVariant::Epoll),
            Kind::Accept | Kind::Other => false,
        };
        waits && (self.read_timeout_cycles > 0 || self.settings.entries > 0)
    }

    /// A read becomes visible to the kernel: its timer starts.
    pub(super) fn start_timer(&mut self, system: &System, entry: u32, at: Cycles) {
        if self.is_timed(system, entry) {
            let serial = self.pages.entry(entry).serial;
            self.timers.reads.push_back(Waiting { since: at, entry, serial });
        }
    }

    /// How long a read may wait at present: until its timeout, or less when other calls are delayed for want of an entry.
    fn patience(&self) -> Option<Cycles> {
        let timeout = (self.read_timeout_cycles > 0).then_some(self.read_timeout_cycles);
        let room = (self.settings.entries > 0 && self.is_throttled()).then_some(self.make_room_cycles);
        timeout.into_iter().chain(room).min()
    }

    /// The time at which the oldest read that still waits has waited too long.
    fn next_deadline(&mut self) -> Option<Cycles> {
        let patience = self.patience()?;
        while let Some(oldest) = self.timers.reads.front() {
            let entry = self.pages.entry(oldest.entry);
            let waits = matches!(entry.state, EntryState::Submitted | EntryState::Busy);
            if entry.serial == oldest.serial && waits {
                return Some(oldest.since + patience);
            }
            self.timers.reads.pop_front();
        }
        None
    }

    /// True when a read has waited too long.
    pub(super) fn timer_is_due(&mut self, system: &System) -> bool {
        let now = system.cpu.clock(self.home);
        self.next_deadline().is_some_and(|deadline| now >= deadline)
    }

    /// Cancels every read that has waited too long; true when there was one.
    pub(super) fn cancel_late_reads(&mut self, system: &mut System) -> bool {
        let mut any = false;
        while self.timer_is_due(system) {
            let Some(oldest) = self.timers.reads.pop_front() else { break };
            self.pages.write_cancel(system, self.user, &self.settings, oldest.entry);
            system.push(self.user, Action::Hook(HOOK_CANCEL, self.name(oldest.entry)));
            any = true;
        }
        any
    }

    /// An entry with its present use, as the value of a hook.
    pub(super) fn name(&self, entry: u32) -> u64 {
        u64::from(self.pages.entry(entry).serial) << 32 | u64::from(entry)
    }

    /// The entry that a hook's value names, if the use that was meant is still the present one.
    fn named(&self, value: u64) -> Option<u32> {
        let (entry, serial) = (value as u32, (value >> 32) as u32);
        (self.pages.entry(entry).serial == serial).then_some(entry)
    }

    /// The compare and swap of the status is done.
    pub(super) fn cancelled(&mut self, system: &mut System, value: u64, at: Cycles) {
        if self.pages.cancel(value as u32, (value >> 32) as u32) {
            system.stats.occurred("reads that waited too long", 1);
            self.notice_post(system, at);
        } else {
            system.stats.occurred("timeouts that met a completed read", 1);
        }
    }

    /// `flexsc_wait` sleeps no longer than until the next timer.
    pub(super) fn set_timer(&mut self, system: &mut System) {
        let now = system.cpu.clock(self.home);
        if self.timers.set_for.is_some_and(|at| at <= now) {
            self.timers.set_for = None;
        }
        if let Some(deadline) = self.next_deadline() {
            let at = deadline.max(now + 1);
            if self.timers.set_for.is_none_or(|set| at < set) {
                self.timers.set_for = Some(at);
                system.wake_at(self.user, at);
            }
        }
    }

    /// Signals the syscall thread that executes a cancelled entry: a thread asleep in its call wakes up and finds the signal.
    pub(super) fn signal(&mut self, system: &mut System, value: u64, at: Cycles, from: CoreId) {
        let Some(entry) = self.named(value) else { return };
        // the call may have completed while its thread was looked up
        let Some(index) = self.pages.entry(entry).executor else { return };
        self.threads[index].signalled = true;
        if self.threads[index].parked {
            let task = self.threads[index].task;
            let connection = self.pages.entry(entry).connection;
            let blocked = &mut system.connections[connection.index()].blocked;
            if *blocked == Some(task) {
                *blocked = None;
            }
            system.wake(task, at, Some(from));
        }
    }
}
