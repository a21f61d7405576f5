//! A kernel without blocking code paths (ATC'11, section 7): one syscall thread a core serves any number of calls. A call that must
//! wait leaves its state behind as a continuation; the event that it waits for makes the continuation ready, and the same thread
//! takes it up. No other thread is woken to go on with the next call, and none to finish this one.

use super::threads::Kind;
use super::{ExceptionLess, kernel_context};
use os_model::action::{Action, Slot};
use os_model::system::{Next, System};
use sim_core::block::OpKind;
use sim_core::ids::{ConnectionId, CoreId, Line};
use std::collections::VecDeque;

/// Calls that wait, and those whose event has come.
#[derive(Debug, Default)]
pub(super) struct Continuations {
    /// By connection: the entry of the receive that waits there and the thread that parked it.
    receives: Vec<Option<(u32, usize)>>,
    /// Accepts in the order in which they began to wait.
    accepts: VecDeque<(u32, usize)>,
    /// By thread: what can go on.
    ready: Vec<VecDeque<u32>>,
    base: Line,
}

impl Continuations {
    /// None waiting; the lines of their states begin at `base`.
    pub fn new(connections: usize, threads: usize, base: Line) -> Continuations {
        let ready = vec![VecDeque::new(); threads];
        Continuations { receives: vec![None; connections], accepts: VecDeque::new(), ready, base }
    }

    /// The next call of a thread that can go on.
    pub fn next(&mut self, thread: usize) -> Option<u32> {
        self.ready.get_mut(thread)?.pop_front()
    }
}

impl ExceptionLess {
    /// Takes up a continuation whose event has come, if there is one.
    pub(super) fn take_continuation(&mut self, system: &mut System, index: usize) -> Option<u32> {
        let entry = self.continuations.next(index)?;
        self.touch_continuation(system, index, entry, OpKind::Load);
        self.threads[index].blocked = true;
        Some(entry)
    }

    /// The thread keeps the call's state and goes on with the next call.
    pub(super) fn park(&mut self, system: &mut System, index: usize, entry: u32, kind: Kind) -> Next {
        let connection = self.pages.entry(entry).connection;
        match kind {
            Kind::Accept => self.continuations.accepts.push_back((entry, index)),
            _ => self.continuations.receives[connection.index()] = Some((entry, index)),
        }
        self.touch_continuation(system, index, entry, OpKind::Store);
        self.threads[index].entry = None;
        self.threads[index].blocked = false;
        system.stats.occurred("parked calls", 1);
        Next::Continue
    }

    fn touch_continuation(&self, system: &mut System, index: usize, entry: u32, kind: OpKind) {
        let task = self.threads[index].task;
        let lines = self.settings.continuation_lines;
        system.push(task, Action::Instructions(kernel_context(), self.settings.continuation_instructions));
        for line in 0..lines {
            let line = self.continuations.base + entry * lines + line;
            system.push(task, Action::Touch(kernel_context(), line, kind));
        }
    }

    /// Data of a request has come: the receive that waits for it can go on.
    pub(super) fn data_came(&mut self, system: &mut System, core: CoreId, slot: Slot) {
        let connection = system.requests[slot.index()].connection;
        let waiting = self.continuations.receives.get_mut(connection.index()).and_then(Option::take);
        self.continue_call(system, waiting, core);
    }

    /// A connection can be accepted: the first accept that waits can go on.
    pub(super) fn connection_came(&mut self, system: &mut System, connection: ConnectionId) {
        let waiting = self.continuations.accepts.pop_front();
        // the softirq runs on the core that the connection's packets arrive on
        self.continue_call(system, waiting, system.connections[connection.index()].queue);
    }

    fn continue_call(&mut self, system: &mut System, waiting: Option<(u32, usize)>, core: CoreId) {
        let Some((entry, thread)) = waiting else { return };
        self.continuations.ready[thread].push_back(entry);
        let at = system.cpu.clock(core);
        system.wake(self.threads[thread].task, at, Some(core));
    }

    /// A thread that an event woke from the work queue is active again.
    pub(super) fn leave_work_queue(&mut self, system: &mut System, index: usize) {
        let position = self.threads[index].core;
        let idle = &mut self.kernel_cores.list[position].idle_threads;
        if let Some(place) = idle.iter().position(|thread| *thread == index) {
            idle.remove(place);
            let at = system.cpu.clock(self.kernel_cores.list[position].id);
            self.activate(system, position, at);
        }
    }

    /// Kernel side: a cancelled call that waits is taken out of its wait queue, and the thread that found the cancellation ends it. False
    /// when its event has come already: it will complete.
    pub(super) fn withdraw_continuation(&mut self, entry: u32) -> bool {
        let connection = self.pages.entry(entry).connection;
        let waiting = self.continuations.receives.get_mut(connection.index());
        waiting.and_then(|receive| receive.take_if(|(parked, _)| *parked == entry)).is_some()
    }
}
