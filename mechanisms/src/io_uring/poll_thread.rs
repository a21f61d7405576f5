//! The kernel thread that polls submission rings (IORING_SETUP_SQPOLL): it spins over its rings, submits what it finds, runs the task
//! work of their polls, and sleeps when it has found nothing for long.

use super::kernel::Submission;
use super::route::{pick, pick_pair};
use super::{Counts, HOOK_NEED_WAKEUP, IoUring, Style, kernel_context};
use os_model::action::Action;
use os_model::system::{Next, System};
use sim_core::block::{BlockId, OpKind};
use sim_core::ids::{CoreId, Cycles, TaskId};

/// Entries that the thread takes from one of several rings at a time (IORING_SQPOLL_CAP_ENTRIES_VALUE, io_uring/sqpoll.c).
const SHARED_ENTRIES_MAX: u32 = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Looks at its rings.
    Spinning,
    /// Submits for a ring; the piece that ends it.
    Submitting(usize, Submission, BlockId),
    /// Has asked to be woken, and looks once more before it sleeps.
    Retiring,
    /// Sleeps.
    Asleep,
}

/// A polling thread.
#[derive(Debug)]
pub(super) struct PollThread {
    pub task: TaskId,
    pub core: CoreId,
    state: State,
    last_work: Cycles,
    /// The ring that it looks at first, so that each has its turn.
    turn: usize,
}

/// Makes the polling threads: each on the core of the programs that it serves, or on one of the cores behind theirs.
pub(super) fn make(system: &mut System, counts: &Counts, style: Style, cores: u32) -> Vec<PollThread> {
    let mut threads = Vec::new();
    for index in 0..counts.poll_threads {
        let elsewhere = style == Style::PollOtherCore && cores > 1;
        let core = CoreId(if elsewhere { counts.program_cores + index } else { index } as u16);
        let task = system.add_task(core, 0, 0);
        threads.push(PollThread { task, core, state: State::Spinning, last_work: 0, turn: 0 });
        system.wake(task, 0, None);
    }
    threads
}

impl IoUring {
    /// A polling thread goes on.
    pub(super) fn next_poll_thread(&mut self, system: &mut System, index: usize) -> Next {
        let task = self.poll_threads[index].task;
        match self.poll_threads[index].state.clone() {
            State::Spinning => self.spin(system, index, task),
            State::Submitting(ring, mut submission, end) => {
                if submission.left > 0 {
                    self.submit_next(system, task, ring, &mut submission);
                    self.poll_threads[index].state = State::Submitting(ring, submission, end);
                } else {
                    self.finish_submission(system, task, ring, &submission);
                    self.push_piece(system, task, end);
                    self.poll_threads[index].state = State::Spinning;
                }
                Next::Continue
            }
            State::Retiring => {
                if self.ring_with_work(index).is_some() {
                    self.stand_up(system, index, task);
                    return Next::Continue;
                }
                self.poll_threads[index].state = State::Asleep;
                system.stats.occurred("poll thread sleeps", 1);
                Next::Sleep
            }
            State::Asleep => {
                self.stand_up(system, index, task);
                Next::Continue
            }
        }
    }

    fn rings_of(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        (index..self.rings.len()).step_by(self.poll_threads.len().max(1))
    }

    /// A ring of the thread that has entries or task work, the one whose turn it is first.
    fn ring_with_work(&self, index: usize) -> Option<usize> {
        let turn = self.poll_threads[index].turn;
        let has_work = |ring: &usize| !self.rings[*ring].queue.is_empty() || !self.rings[*ring].task_work.is_empty();
        let later = self.rings_of(index).filter(|ring| *ring >= turn).find(has_work);
        later.or_else(|| self.rings_of(index).find(has_work))
    }

    /// One look: work, nothing, or nothing for too long.
    fn spin(&mut self, system: &mut System, index: usize, task: TaskId) -> Next {
        let now = system.cpu.clock(self.poll_threads[index].core);
        for ring in self.rings_of(index) {
            self.rings[ring].look_for_entries(system, task, kernel_context());
        }
        if let Some(ring) = self.ring_with_work(index) {
            self.poll_threads[index].last_work = now;
            self.poll_threads[index].turn = ring + 1;
            self.serve(system, index, task, ring);
        } else if now - self.poll_threads[index].last_work.min(now) < system.microseconds(self.settings.poll_idle_us as f64) {
            let pass = pick(system, |ring| &ring.poll_thread_pass);
            self.push_piece(system, task, pass);
        } else {
            let retire = pick(system, |ring| &ring.poll_thread_sleep);
            self.push_piece(system, task, retire);
            for ring in self.rings_of(index) {
                self.rings[ring].flags(system, task, kernel_context(), OpKind::Store);
            }
            system.push(task, Action::Hook(HOOK_NEED_WAKEUP, index as u64));
            self.poll_threads[index].state = State::Retiring;
        }
        Next::Continue
    }

    /// Entries first, then task work, as the kernel's thread does.
    fn serve(&mut self, system: &mut System, index: usize, task: TaskId, ring: usize) {
        let waiting = self.rings[ring].queue.len() as u32;
        if waiting == 0 {
            self.run_task_work(system, task, ring);
            return;
        }
        let shared = self.rings_of(index).count() > 1;
        let entries = if shared { waiting.min(SHARED_ENTRIES_MAX) } else { waiting };
        let around = pick_pair(system, &system.workload.kernel.ring.poll_thread_submit);
        self.push_piece(system, task, around.0);
        self.poll_threads[index].state = State::Submitting(ring, Submission::of(entries), around.1);
    }

    /// The program sees that it must wake the thread.
    pub(super) fn ask_for_wakeup(&mut self, index: usize) {
        for ring in self.rings_of(index) {
            self.rings[ring].need_wakeup = true;
        }
    }

    /// Woken, or kept from sleeping: the flags go down.
    fn stand_up(&mut self, system: &mut System, index: usize, task: TaskId) {
        let wake = pick(system, |ring| &ring.poll_thread_wake);
        self.push_piece(system, task, wake);
        for ring in self.rings_of(index) {
            self.rings[ring].need_wakeup = false;
            self.rings[ring].flags(system, task, kernel_context(), OpKind::Store);
        }
        let thread = &mut self.poll_threads[index];
        thread.state = State::Spinning;
        thread.last_work = system.cpu.clock(thread.core);
    }
}
