//! Who is told that a connection can be read, and who goes on.

use super::{Event, System};
use crate::connection::{ConnectionState, Ready};
use crate::task::TaskState;
use sim_core::ids::{ConnectionId, CoreId, Cycles, TaskId};

impl System<'_> {
    /// Puts an open connection whose data is there into its poller's ready list, as adding it to an epoll set does.
    pub fn report_if_readable(&mut self, connection: ConnectionId) {
        let entry = &mut self.connections[connection.index()];
        if entry.state == ConnectionState::Open && !entry.inbox.is_empty() && !entry.in_ready_list {
            entry.in_ready_list = true;
            let poller = entry.poller;
            self.pollers[poller].ready.push_back(Ready::Connection(connection));
        }
    }

    /// Marks a connection readable in its poller and wakes whoever waits for it.
    pub(crate) fn readable(&mut self, connection: ConnectionId, at: Cycles, from: Option<CoreId>) {
        let entry = &mut self.connections[connection.index()];
        if let Some(task) = entry.blocked.take() {
            self.wake(task, at, from);
            return;
        }
        let poller = entry.poller;
        if !entry.in_ready_list {
            entry.in_ready_list = true;
            self.pollers[poller].ready.push_back(Ready::Connection(connection));
        }
        self.wake_waiter(poller, at, from);
    }

    /// A task will sleep in a readiness call or an accept on a poller until something is ready there.
    pub fn wait_on(&mut self, poller: usize, task: TaskId) {
        if !self.pollers[poller].waiters.contains(&task) {
            self.pollers[poller].waiters.push_back(task);
        }
    }

    /// Wakes the first task that waits on a poller; false when none does.
    pub(crate) fn wake_waiter(&mut self, poller: usize, at: Cycles, from: Option<CoreId>) -> bool {
        let Some(task) = self.pollers[poller].waiters.pop_front() else { return false };
        self.wake(task, at, from);
        true
    }

    /// Wakes a task at time `at`, from `from` (a core) or from outside.
    pub fn wake(&mut self, task: TaskId, at: Cycles, from: Option<CoreId>) {
        match self.tasks[task.index()].state {
            TaskState::Running => {
                self.tasks[task.index()].wake_pending = true;
                return;
            }
            TaskState::Runnable => return,
            TaskState::Sleeping => {}
        }
        self.enqueue(task, at, from);
    }

    /// Wakes a task at a time to come, as a timer does. A task that is awake then is not disturbed but goes on once more before it
    /// sleeps; a driver that no longer needs the timer lets it pass.
    pub fn wake_at(&mut self, task: TaskId, at: Cycles) {
        self.events.push(at, Event::Timer(task));
    }
}
