//! The fixed list of kernel cores, who wakes which of them, and when `flexsc_wait` returns.

use super::ExceptionLess;
use super::user::UserState;
use crate::settings::{ExceptionLessVariant, KernelCoreWait};
use cpu_model::CrossingKind;
use os_model::action::Action;
use os_model::stats::BatchLimit;
use os_model::system::System;
use os_model::task::TaskState;
use sim_core::ids::{ConnectionId, CoreId, Cycles, Mode, TaskId};
use sim_core::workload::Program;

/// Occurrence: cycles that kernel cores waited in a loop.
pub const POLLED_CYCLES: &str = "kernel core cycles polled";

/// One core that can execute posted calls.
#[derive(Debug)]
pub(super) struct KernelCore {
    pub id: CoreId,
    /// Syscall threads executing or runnable.
    pub active: u32,
    /// Threads that last ran here and sleep on the work queue.
    pub idle_threads: Vec<usize>,
    /// Since when it has had an active thread, or none.
    since: Cycles,
    /// It takes no posted calls: nobody has woken it yet, or it has found nothing for so long that it stopped polling. A call that
    /// slept here still ends here.
    asleep: bool,
    /// A thread was started that has not looked for work yet.
    pub coming: bool,
    /// Calls completed since it last had no active thread.
    batch: u32,
}

/// Cores that execute calls, in the order in which they are woken.
#[derive(Debug)]
pub(super) struct KernelCores {
    /// The fixed list: the other cores first, the user thread's own core last (it executes calls while the user thread waits).
    pub list: Vec<KernelCore>,
    wait: KernelCoreWait,
    /// How long a core without work waits before it sleeps.
    idle_cycles: Cycles,
}

impl KernelCores {
    /// The list for a user thread on `home` and so many cores, all asleep.
    pub fn new(home: CoreId, cores: u32, wait: KernelCoreWait, idle_cycles: Cycles) -> KernelCores {
        let idle_cycles = if wait == KernelCoreWait::Sleep { 0 } else { idle_cycles };
        let core =
            |id: CoreId| KernelCore { id, active: 0, idle_threads: Vec::new(), since: 0, asleep: true, coming: false, batch: 0 };
        let others = (0..cores as u16).map(CoreId).filter(|core| *core != home);
        KernelCores { list: others.chain([home]).map(core).collect(), wait, idle_cycles }
    }

    /// At first network interrupts are spread over the cores that execute calls, as an administrator would steer them; those of a card
    /// with one queue go to the first of them. On the program's core they would take turns with it while that core waits for both.
    pub fn steer_interrupts(&self, system: &mut System) {
        let others = self.own();
        if others == 0 {
            return;
        }
        let queues = if system.kernel.network.receive_side_scaling { others } else { 1 };
        for (index, connection) in system.connections.iter_mut().enumerate() {
            connection.queue = self.list[index % queues].id;
        }
    }

    /// Position of the user thread's own core.
    pub fn own(&self) -> usize {
        self.list.len() - 1
    }

    /// True while a core without work has not gone to sleep.
    fn waits(&self, position: usize) -> bool {
        position != self.own() && self.list[position].active == 0 && !self.list[position].asleep
    }

    /// Cores that have polled long enough without finding anything go to sleep.
    fn let_idle_sleep(&mut self, system: &mut System, at: Cycles) {
        for position in 0..self.own() {
            if self.waits(position) && at >= self.list[position].since + self.idle_cycles {
                self.list[position].asleep = true;
                system.cores[self.list[position].id.index()].spins = None;
                self.count_polled(system, position, self.list[position].since + self.idle_cycles);
                system.stats.occurred("kernel core sleeps", 1);
            }
        }
    }

    /// Cycles that a core spent polling; those before the window are not counted.
    fn count_polled(&self, system: &mut System, position: usize, until: Cycles) {
        if self.wait != KernelCoreWait::Poll {
            return;
        }
        let from = self.list[position].since.max(system.stats.window_start());
        system.stats.occurred(POLLED_CYCLES, until.saturating_sub(from));
    }
}

impl ExceptionLess {
    /// Syscall threads active or runnable on the user thread's own core.
    pub(super) fn own_core_busy(&self, system: &System) -> bool {
        let syscall_threads = self.first_thread_task..self.first_thread_task + self.threads.len() as u32;
        let runnable = system.cores[self.home.index()].run_queue.iter().any(|task| syscall_threads.contains(&task.0));
        self.kernel_cores.list[self.kernel_cores.own()].active > 0 || runnable
    }

    /// Cores that poll take what waits; of those asleep the next of the list is woken while all before it are busy, when there is more
    /// than the program's own core could as well do itself, which takes part only while the user thread waits.
    pub(super) fn wake_kernel_cores(&mut self, system: &mut System, user_waits: bool, at: Cycles, from: Option<CoreId>) {
        self.kernel_cores.let_idle_sleep(system, at);
        let coming = self.kernel_cores.list.iter().filter(|core| core.coming).count();
        let mut shares = self.pages.shares_waiting().saturating_sub(coming);
        let polls = self.kernel_cores.wait == KernelCoreWait::Poll;
        let own = self.kernel_cores.own();
        for position in 0..own {
            if shares > 0 && polls && self.kernel_cores.waits(position) {
                // it sees the post without an interrupt: only the line travels
                self.start_thread(system, position, at, Some(self.kernel_cores.list[position].id));
                shares -= 1;
            }
        }
        if self.pages.waiting() > self.settings.own_core_calls && from.is_some() {
            for position in 0..own {
                if shares > 0 && self.kernel_cores.list[position].active == 0 {
                    self.start_thread(system, position, at, from);
                    shares -= 1;
                }
            }
        }
        if shares > 0 && user_waits && self.kernel_cores.list[own].active == 0 {
            self.start_thread(system, own, at, from);
        }
    }

    /// Cores that poll see a post at once; those asleep do not, and nobody in user mode can wake them.
    pub(super) fn notice_post(&mut self, system: &mut System, at: Cycles) {
        self.wake_kernel_cores(system, false, at, None);
    }

    /// An idle syscall thread begins to look for work on a core: one that last ran there if possible.
    pub(super) fn start_thread(&mut self, system: &mut System, position: usize, at: Cycles, from: Option<CoreId>) {
        let thread = self.kernel_cores.list[position].idle_threads.pop().or_else(|| self.borrow_thread());
        let Some(thread) = thread else { return };
        let task = self.threads[thread].task;
        self.threads[thread].core = position;
        system.tasks[task.index()].core = self.kernel_cores.list[position].id;
        self.activate(system, position, at);
        self.kernel_cores.list[position].coming = true;
        let slept = std::mem::take(&mut self.kernel_cores.list[position].asleep);
        if position == self.kernel_cores.own() {
            return system.wake(task, at, from);
        }
        system.stats.occurred("kernel core wake-ups", u64::from(slept));
        self.call(system, task, !slept, at, from);
    }

    /// A thread of the core with most to spare. The threads of a kernel that does not block stay where their continuations are.
    fn borrow_thread(&mut self) -> Option<usize> {
        if self.is(ExceptionLessVariant::NonBlocking) {
            return None;
        }
        self.kernel_cores.list.iter_mut().max_by_key(|core| core.idle_threads.len())?.idle_threads.pop()
    }

    /// A syscall thread of a core begins to execute.
    pub(super) fn activate(&mut self, system: &mut System, position: usize, at: Cycles) {
        let cores = &mut self.kernel_cores;
        cores.let_idle_sleep(system, at);
        if cores.waits(position) {
            cores.count_polled(system, position, at);
        }
        let core = &mut cores.list[position];
        core.active += 1;
        if core.active == 1 {
            core.since = at;
        }
    }

    /// True when the one active thread of a core goes on with the next call: not while there is another one, nor on a core that takes
    /// no posted calls.
    pub(super) fn goes_on(&self, position: usize) -> bool {
        let core = &self.kernel_cores.list[position];
        core.active == 1 && (position == self.kernel_cores.own() || !core.asleep)
    }

    /// Wakes a task for its core. A core that waits for it answers sooner than one that sleeps: at once when it polls, after the
    /// delivery of an interrupt when it does not.
    fn call(&self, system: &mut System, task: TaskId, waits: bool, at: Cycles, from: Option<CoreId>) {
        let core = system.tasks[task.index()].core;
        let elsewhere = from != Some(core) && system.tasks[task.index()].state == TaskState::Sleeping;
        match self.kernel_cores.wait {
            KernelCoreWait::Poll if waits => system.wake(task, at, Some(core)),
            KernelCoreWait::Interrupt if waits && elsewhere => {
                system.push(task, Action::Cross(CrossingKind::InterruptEntry { from: Mode::Kernel }));
                system.push(task, Action::Cross(CrossingKind::InterruptExit { to: Mode::Kernel }));
                system.stats.occurred("inter-processor interrupts", 1);
                system.wake(task, at + Cycles::from(self.settings.interrupt_delivery_cycles), Some(core));
            }
            _ => system.wake(task, at, from),
        }
    }

    /// A kernel core that has been woken and has nothing left: one of its syscall threads waits there.
    pub(super) fn spin(&self, system: &mut System, position: usize) {
        if position != self.kernel_cores.own() {
            let core = &self.kernel_cores.list[position];
            let thread = core.idle_threads.last().filter(|_| self.kernel_cores.waits(position));
            system.cores[core.id.index()].spins = thread.map(|thread| self.threads[*thread].task);
        }
    }

    /// The user thread rests in `flexsc_wait`. Where other cores execute its calls, a syscall thread of its own core goes on as theirs
    /// do: it waits for the completion as they wait for posts.
    pub(super) fn rest_user(&mut self, system: &mut System) {
        self.waits_since = system.cpu.clock(self.home);
        let own = self.kernel_cores.own();
        if own > 0 && self.kernel_cores.wait != KernelCoreWait::Sleep {
            let thread = self.kernel_cores.list[own].idle_threads.last();
            system.cores[self.home.index()].spins = thread.map(|thread| self.threads[*thread].task);
        }
    }

    /// Wakes the user thread in `flexsc_wait` from the core at `position`.
    fn call_user(&mut self, system: &mut System, position: usize, at: Cycles) {
        let waits = self.kernel_cores.own() > 0 && at < self.waits_since + self.kernel_cores.idle_cycles;
        if !waits {
            system.cores[self.home.index()].spins = None;
        }
        self.call(system, self.user, waits, at, Some(self.kernel_cores.list[position].id));
    }

    /// A connection's interrupts go where its data is waited for (receive flow steering).
    pub(super) fn steer(&self, system: &mut System, connection: ConnectionId, position: usize) {
        if self.settings.flow_steering && system.kernel.network.receive_side_scaling {
            system.connections[connection.index()].queue = self.kernel_cores.list[position].id;
        }
    }

    /// Data has come for a thread that sleeps on the program's own core while the program runs there: it wakes on the other core
    /// with the least to do, where a scheduler would place it.
    pub(super) fn place_woken(&mut self, system: &mut System, connection: ConnectionId) {
        let Some(task) = system.connections[connection.index()].blocked else { return };
        let own = self.kernel_cores.own();
        if own == 0 || self.user_state == UserState::Waiting || system.tasks[task.index()].state != TaskState::Sleeping {
            return;
        }
        let index = (task.0 - self.first_thread_task) as usize;
        if self.threads[index].core == own {
            let idlest = (0..own).min_by_key(|&position| self.kernel_cores.list[position].active).unwrap_or(own);
            self.threads[index].core = idlest;
            system.tasks[task.index()].core = self.kernel_cores.list[idlest].id;
        }
    }

    /// A syscall thread of a core sleeps.
    pub(super) fn deactivate(&mut self, system: &mut System, position: usize, at: Cycles) {
        let own = position == self.kernel_cores.own();
        let throttled = self.is_throttled();
        let core = &mut self.kernel_cores.list[position];
        core.active -= 1;
        if core.active > 0 {
            return;
        }
        let since = std::mem::replace(&mut core.since, at);
        let batch = std::mem::take(&mut core.batch);
        if batch > 0 {
            let limit = match (system.workload.program, throttled) {
                (_, true) => BatchLimit::Limit,
                (Program::Sequential, false) => BatchLimit::Dependencies,
                _ => BatchLimit::Ready,
            };
            system.stats.batch(batch, limit);
        }
        if !own {
            let spent = at.saturating_sub(since.max(system.stats.window_start()));
            system.stats.occurred("kernel core cycles active", spent);
        }
    }

    /// A core has completed a posted call.
    pub(super) fn count_executed(&mut self, system: &mut System, position: usize) {
        self.kernel_cores.list[position].batch += 1;
        let own = position == self.kernel_cores.own();
        system.stats.occurred(if own { "calls executed on the program's core" } else { "calls executed on kernel cores" }, 1);
    }

    /// `flexsc_wait` returns when a call has completed; on the user thread's own core not before the active syscall thread has
    /// executed all that is submitted there.
    pub(super) fn maybe_wake_user(&mut self, system: &mut System, position: usize, at: Cycles) {
        // a timer may have woken it just now, for nothing: it must learn that there is something after all
        if self.user_state == UserState::Waiting && self.pages.has_done() && !self.own_core_busy(system) {
            self.user_called = true;
            self.call_user(system, position, at);
        }
    }
}
