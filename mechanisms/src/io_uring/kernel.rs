//! The kernel's side: taking entries, executing their calls, arming polls, task work, completions.

use super::ring::{Op, OpState};
use super::route::{Operation, Route, may_wait_for_storage, pick, route};
use super::{HOOK_ARMED, HOOK_COMPLETED, HOOK_EXECUTED, IoUring, Style, kernel_context};
use cpu_model::CrossingKind;
use os_model::action::{Action, Effect as SystemEffect, Slot};
use os_model::calls::Part;
use os_model::stats::BatchLimit;
use os_model::system::System;
use os_model::task::TaskState;
use sim_core::block::BlockId;
use sim_core::ids::{CoreId, TaskId};
use sim_core::workload::{Around, Effect, Program, Step};

/// A submission under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Submission {
    /// Entries still to take.
    pub left: u32,
    /// Entries taken.
    pub taken: u32,
    /// Requests that completed on the way.
    pub done: Vec<u32>,
}

impl Submission {
    /// Of so many entries.
    pub fn of(entries: u32) -> Submission {
        Submission { left: entries, taken: 0, done: Vec::new() }
    }
}

/// Where a request is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Submission,
    TaskWork,
}

impl IoUring {
    /// A recorded piece of io_uring's own work.
    pub(super) fn push_piece(&self, system: &mut System, task: TaskId, block: BlockId) {
        system.push_block(task, block, kernel_context(), Slot::NONE);
    }

    /// Takes and issues the next entry of a submission.
    pub(super) fn submit_next(&mut self, system: &mut System, task: TaskId, ring: usize, submission: &mut Submission) {
        let before = if submission.taken == 0 { pick(system, |ring| &ring.begin) } else { pick(system, |ring| &ring.next) };
        self.push_piece(system, task, before);
        submission.left -= 1;
        let Some(op) = self.rings[ring].take_entry(system, task, kernel_context()) else {
            submission.left = 0;
            return;
        };
        submission.taken += 1;
        if self.ops[op as usize].state != OpState::Queued {
            // the head of its chain has it, and task work runs it; the entry itself is prepared as any other
            let nothing = pick(system, |ring| &ring.nop);
            self.push_piece(system, task, nothing);
            return;
        }
        if self.issue(system, task, op, Place::Submission) {
            submission.done.push(op);
        }
    }

    /// Ends a submission: completions become visible together.
    pub(super) fn finish_submission(&mut self, system: &mut System, task: TaskId, ring: usize, submission: &Submission) {
        let limit = match self.style {
            Style::Batch { limit } if submission.taken >= limit => BatchLimit::Limit,
            _ if system.workload.program == Program::Sequential => BatchLimit::Dependencies,
            _ if submission.taken >= self.settings.entries => BatchLimit::Limit,
            _ => BatchLimit::Ready,
        };
        system.stats.batch(submission.taken, limit);
        self.rings[ring].move_head(system, task, kernel_context());
        if submission.done.is_empty() {
            let end = pick(system, |ring| &ring.flush_none);
            self.push_piece(system, task, end);
        } else {
            let end = pick(system, |ring| &ring.flush);
            self.push_piece(system, task, end);
            self.show(system, task, ring, &submission.done);
        }
    }

    /// Writes the completions of requests of one ring and shows them. The first one's code is in the piece that the caller pushed.
    pub(super) fn show(&mut self, system: &mut System, task: TaskId, ring: usize, done: &[u32]) {
        for (index, op) in done.iter().enumerate() {
            if index > 0 {
                let more = pick(system, |ring| &ring.flush_item);
                self.push_piece(system, task, more);
            }
            let position = self.rings[ring].write_completion(system, task, kernel_context());
            self.ops[*op as usize].position = position;
        }
        self.rings[ring].show_completions(system, task, kernel_context());
        for op in done {
            system.push(task, Action::Hook(HOOK_COMPLETED, u64::from(*op)));
        }
        self.wake_program(system, task, ring);
    }

    /// A program's thread that sleeps for completions is woken by whoever posts them.
    fn wake_program(&self, system: &mut System, poster: TaskId, ring: usize) {
        let program = self.threads[ring].task;
        if program != poster {
            if system.tasks[program.index()].state == TaskState::Sleeping {
                let wake = pick(system, |ring| &ring.wake_task);
                self.push_piece(system, poster, wake);
            }
            system.push_effect(poster, SystemEffect::Wake(program));
        }
    }

    /// Issues a request. True when it executed and its completion is due.
    fn issue(&mut self, system: &mut System, task: TaskId, op: u32, place: Place) -> bool {
        if !self.is_ready(system, op) {
            self.arm(system, task, op);
            return false;
        }
        self.ops[op as usize].state = OpState::Issued;
        self.bind(system, op);
        let (slot, step) = (self.ops[op as usize].slot, self.ops[op as usize].step);
        let Some(step) = system.request_step(slot, step) else { return true };
        match self.route_of(step) {
            Route::Worker => {
                self.punt(system, task, op);
                false
            }
            Route::Inline(operation) => {
                let (around, part) = match place {
                    Place::Submission => operation.around(system),
                    Place::TaskWork => operation.around_in_task_work(system),
                };
                self.execute(system, task, op, step, around, part);
                true
            }
            // the program never submits these
            Route::Direct | Route::Dropped => true,
        }
    }

    /// How a call goes, with the share of calls for storage that a worker must wait for.
    fn route_of(&mut self, step: &Step) -> Route {
        let chosen = route(step, &self.settings);
        if let Route::Inline(operation) = chosen
            && operation != Operation::Receive
            && may_wait_for_storage(step.call, operation)
            && step.effect == Effect::None
        {
            self.storage_due += self.settings.storage_permille;
            if self.storage_due >= 1000 {
                self.storage_due -= 1000;
                return Route::Worker;
            }
        }
        chosen
    }

    /// A receive or an accept takes what it waited for: from now on its server request is known.
    fn bind(&mut self, system: &mut System, op: u32) {
        let (ring, connection) = (self.ops[op as usize].ring, self.ops[op as usize].connection);
        match self.effect(system, op) {
            Effect::Receive => {
                if let Some(slot) = system.take_request(connection) {
                    self.ops[op as usize].slot = slot;
                }
            }
            Effect::Accept => {
                if let Some(slot) = system.accept(self.threads[ring].poller) {
                    self.ops[op as usize].slot = slot;
                    self.ops[op as usize].connection = system.requests[slot.index()].connection;
                }
            }
            _ => {}
        }
    }

    /// The call itself between the two pieces around it.
    pub(super) fn execute(&mut self, system: &mut System, task: TaskId, op: u32, step: &Step, around: Around, part: Part) {
        let slot = self.ops[op as usize].slot;
        self.push_piece(system, task, around.0);
        let mut actions = Vec::new();
        system.call_actions(step, slot, part, &mut actions);
        system.tasks[task.index()].actions.extend(actions);
        self.push_piece(system, task, around.1);
        if self.ops[op as usize].next.is_some() {
            system.push(task, Action::Hook(HOOK_EXECUTED, u64::from(op)));
        }
    }

    /// The data is not there: a poll is armed instead of blocking.
    fn arm(&mut self, system: &mut System, task: TaskId, op: u32) {
        let armed = pick(system, |ring| &ring.arm);
        let slot = self.ops[op as usize].slot;
        self.ops[op as usize].state = OpState::Issued;
        system.push_block(task, armed, kernel_context(), slot);
        system.push(task, Action::Hook(HOOK_ARMED, u64::from(op)));
        system.stats.occurred("armed polls", 1);
    }

    /// Arming ends with one more look: data that came meanwhile is found.
    pub(super) fn armed(&mut self, system: &mut System, op: u32, core: CoreId) {
        self.ops[op as usize].state = OpState::Armed;
        if self.is_ready(system, op) {
            self.fired(system, op, core);
            return;
        }
        let entry = self.ops[op as usize];
        match self.effect(system, op) {
            Effect::Accept => self.armed_accepts[self.threads[entry.ring].poller].push_back(op),
            _ => self.armed_receives[entry.connection.index()] = Some(op),
        }
    }

    /// Runs all task work of a ring.
    pub(super) fn run_task_work(&mut self, system: &mut System, task: TaskId, ring: usize) {
        let begin = pick(system, |ring| &ring.task_work_begin);
        self.push_piece(system, task, begin);
        let work: Vec<u32> = self.rings[ring].task_work.drain(..).collect();
        let done: Vec<u32> = work.into_iter().filter(|op| self.issue(system, task, *op, Place::TaskWork)).collect();
        let end = pick(system, |ring| &ring.task_work_end);
        self.push_piece(system, task, end);
        if !done.is_empty() {
            self.show(system, task, ring, &done);
        }
    }

    /// A request has executed: the one linked behind it becomes task work.
    pub(super) fn executed(&mut self, system: &mut System, op: u32, core: CoreId) {
        if let Some(next) = self.ops[op as usize].next.take() {
            self.ops[next as usize].state = OpState::TaskWork;
            let ring = self.ops[next as usize].ring;
            self.rings[ring].task_work.push_back(next);
            self.notify(system, ring, core);
        }
    }

    /// A completion can be seen. A multishot request stays armed: another one takes its place without an entry.
    pub(super) fn completed(&mut self, system: &mut System, op: u32, core: CoreId) {
        let entry = self.ops[op as usize];
        self.ops[op as usize].state = OpState::Completed;
        self.rings[entry.ring].complete(op);
        if self.stays_armed(system, op) && self.rings[entry.ring].has_room() {
            let again = self.rings[entry.ring].allocate();
            let connection = entry.connection;
            self.ops[again as usize] =
                Op { state: OpState::Issued, connection, slot: Slot::NONE, step: 0, early: true, next: None, ..entry };
            self.armed(system, again, core);
        }
    }

    /// True for an early receive or accept that the settings let go on.
    pub(super) fn stays_armed(&self, system: &System, op: u32) -> bool {
        let entry = &self.ops[op as usize];
        // a thread that serves one connection at a time accepts the next one when that is closed
        let alone = self.threads[entry.ring].connection.is_some();
        entry.early
            && match self.effect(system, op) {
                Effect::Accept => self.settings.multishot_accept && !alone,
                Effect::Receive => self.settings.multishot_receive && system.goes_on_after(entry.slot),
                _ => false,
            }
    }

    /// Into the kernel to submit or to wait.
    pub(super) fn enter(&self, system: &mut System, task: TaskId) {
        system.push(task, Action::Cross(CrossingKind::SystemCallEntry));
        system.stats.occurred("enters", 1);
    }
}
