//! The fixed list of kernel cores, who wakes which of them, and when `flexsc_wait` returns.

use super::ExceptionLess;
use super::user::UserState;
use os_model::system::System;
use os_model::task::TaskState;
use sim_core::ids::CoreId;

/// Cores that execute calls, in the order in which they are woken.
#[derive(Debug)]
pub(super) struct KernelCores {
    /// The fixed list: the other cores first, the user thread's own core last (it executes calls while the user thread waits).
    pub list: Vec<CoreId>,
    /// Syscall threads executing or runnable, by position in the list.
    pub active: Vec<u32>,
    /// Threads that sleep on the work queue, by position in the list.
    pub idle_threads: Vec<Vec<usize>>,
}

impl KernelCores {
    /// The list for a user thread on `home` and so many cores, all without work.
    pub fn new(home: CoreId, cores: u32) -> KernelCores {
        let others = (0..cores as u16).map(CoreId).filter(|core| *core != home);
        let list: Vec<CoreId> = others.chain([home]).collect();
        KernelCores { active: vec![0; list.len()], idle_threads: vec![Vec::new(); list.len()], list }
    }

    /// Network interrupts go to the cores that execute calls, as an administrator would steer them.
    pub fn steer_interrupts(&self, system: &mut System) {
        let cores = system.cores.len();
        if cores > 1 && system.kernel.network.receive_side_scaling {
            for (index, connection) in system.connections.iter_mut().enumerate() {
                connection.queue = self.list[index % (cores - 1)];
            }
        }
    }

    /// Position of the user thread's own core.
    pub fn own(&self) -> usize {
        self.list.len() - 1
    }
}

impl ExceptionLess {
    /// Syscall threads active or runnable on the user thread's own core.
    pub(super) fn own_core_busy(&self, system: &System) -> bool {
        let runnable = system.cores[self.home.index()].run_queue.iter().any(|task| *task != self.user);
        self.kernel_cores.active[self.kernel_cores.own()] > 0 || runnable
    }

    /// Wakes the next core of the list while those before it are busy and a page waits. The user thread's own core takes part only
    /// while the user thread waits.
    pub(super) fn wake_kernel_cores(&mut self, system: &mut System, user_waits: bool, at: u64, from: Option<CoreId>) {
        let mut waiting = self.pages.shares_waiting();
        for position in 0..self.kernel_cores.list.len() {
            if waiting == 0 {
                return;
            }
            let own = position == self.kernel_cores.own();
            if self.kernel_cores.active[position] > 0 || (own && !user_waits) {
                continue;
            }
            waiting -= 1;
            self.start_thread(system, position, at, from);
        }
    }

    /// An idle syscall thread of a core begins to look for work.
    pub(super) fn start_thread(&mut self, system: &mut System, position: usize, at: u64, from: Option<CoreId>) {
        if let Some(thread) = self.kernel_cores.idle_threads[position].pop() {
            self.kernel_cores.active[position] += 1;
            let task = self.threads[thread].task;
            // a kernel core that polls notices a post without an interrupt: only the transfer of the line
            let polled = from.is_some() && self.settings.kernel_cores_poll;
            system.wake(task, at, if polled { Some(self.kernel_cores.list[position]) } else { from });
        }
    }

    /// `flexsc_wait` returns when a call has completed; on the user thread's own core not before the active syscall thread has
    /// executed all that is submitted there.
    pub(super) fn maybe_wake_user(&mut self, system: &mut System, position: usize, at: u64) {
        let waiting = self.user_state == UserState::Waiting && system.tasks[self.user.index()].state == TaskState::Sleeping;
        if waiting && self.pages.has_done() && !self.own_core_busy(system) {
            system.wake(self.user, at, Some(self.kernel_cores.list[position]));
        }
    }
}
