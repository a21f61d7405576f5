//! What the cores did: their use by kind of work always, the timeline of a run when one is asked for.

use super::System;
use crate::core_use::{CoreUse, CoreUses};
use crate::timeline::{Before, Span, Timeline, What};
use sim_core::ids::{CoreId, Cycles};
use sim_core::stack::Component;

impl System<'_> {
    /// Records what the cores do in a part of the measured window, once that opens.
    pub fn record(&mut self, span: Span) {
        self.to_record = Some(span);
    }

    /// True while a timeline is recorded: what only the timeline needs may be counted.
    pub fn is_recording(&self) -> bool {
        self.timeline.is_some()
    }

    /// Takes what was recorded; empty when nothing was asked for.
    pub fn take_timeline(&mut self) -> Timeline {
        let nothing = || Timeline::new(Span { start: 0, end: 0 }, 0, self.cores.len());
        self.timeline.take().map_or_else(nothing, |timeline| *timeline)
    }

    /// A count of a mechanism's own for the timeline, as it is on `core` now: entries in use of a syscall page, occupancy of a ring.
    /// `index` says of which page or ring. Does nothing while nothing is recorded.
    pub fn timeline_counter(&mut self, core: CoreId, name: &'static str, index: u32, value: u64) {
        if let Some(timeline) = &mut self.timeline {
            timeline.count(name, Some(index), self.cpu.clock(core), value);
        }
    }

    /// Records the kernel's own counts: the core's run queue and receive ring, and what is ready in the pollers.
    pub(super) fn record_queues(&mut self, core: CoreId) {
        let Some(timeline) = &mut self.timeline else { return };
        let at = self.cpu.clock(core);
        timeline.count("run queue", Some(u32::from(core.0)), at, self.cores[core.index()].run_queue.len() as u64);
        timeline.count("receive ring", Some(u32::from(core.0)), at, self.queues[core.index()].ring.len() as u64);
        for (index, poller) in self.pollers.iter().enumerate() {
            timeline.count("ready list", Some(index as u32), at, poller.ready.len() as u64);
            timeline.count("accept queue", Some(index as u32), at, poller.accept_queue.len() as u64);
        }
    }

    /// Records that a packet came into a core's receive ring.
    pub(super) fn record_arrival(&mut self, core: CoreId, at: Cycles) {
        if let Some(timeline) = &mut self.timeline {
            timeline.count("receive ring", Some(u32::from(core.0)), at, self.queues[core.index()].ring.len() as u64);
        }
    }

    /// Sends bytes over the link to the server; returns when the last one has left the client and when it has arrived.
    pub(super) fn send_to_server(&mut self, now: Cycles, payload_bytes: u64) -> (Cycles, Cycles) {
        let times = self.to_server.send(now, payload_bytes);
        self.record_sending("link to the server, payload bytes", now, times.0, payload_bytes);
        times
    }

    /// Sends bytes over the link to the clients, as [`System::send_to_server`].
    pub(super) fn send_to_client(&mut self, now: Cycles, payload_bytes: u64) -> (Cycles, Cycles) {
        let times = self.to_client.send(now, payload_bytes);
        self.record_sending("link to the clients, payload bytes", now, times.0, payload_bytes);
        times
    }

    fn record_sending(&mut self, name: &'static str, from: Cycles, until: Cycles, bytes: u64) {
        if let Some(timeline) = &mut self.timeline {
            timeline.occupy(name, from, until, bytes);
        }
    }

    /// Idle cycles of a core, on its timeline too.
    pub(super) fn idle(&mut self, core: CoreId, cycles: Cycles) {
        let before = self.is_recording().then(|| Before::doing(What::Idle, self.cpu.clock(core), self.cpu.stack(core)));
        self.cpu.spend(core, Component::Idle, cycles);
        self.uses[core.index()].add(CoreUse::Idle, cycles);
        self.recorded(core, before);
    }

    /// A core's time since `from` was used for this.
    pub(super) fn used(&mut self, core: CoreId, what: What, from: Cycles) {
        let cycles = self.cpu.clock(core) - from;
        self.uses[core.index()].add(CoreUse::of(what), cycles);
    }

    /// Use of each core since the measured window opened. A core that is idle now is counted idle up to the present.
    pub fn core_uses(&self) -> Vec<CoreUses> {
        let now = self.now();
        let up_to_now = |(index, uses): (usize, &CoreUses)| {
            let mut uses = *uses;
            uses.add(CoreUse::Idle, now - self.cpu.clock(CoreId(index as u16)));
            uses
        };
        self.uses.iter().enumerate().map(up_to_now).collect()
    }

    /// Something happened on a core since `before` was taken; nothing is done when none was.
    pub(super) fn recorded(&mut self, core: CoreId, before: Option<Before>) {
        if let (Some(timeline), Some(before)) = (&mut self.timeline, before) {
            let task = self.cores[core.index()].current;
            timeline.record(core, task, &before, self.cpu.clock(core), self.cpu.stack(core));
        }
    }
}
