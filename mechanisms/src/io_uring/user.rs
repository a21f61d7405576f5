//! The program's side: callbacks of completed calls, what they submit, when it enters the kernel and waits there.

use super::kernel::Submission;
use super::ring::{Op, OpState};
use super::route::{Route, linkable, pick, route};
use super::{HOOK_PUBLISH, IoUring, Style, user_context};
use crate::issue::Issuer;
use crate::program::HOOK_SERVED;
use crate::progress::Progress;
use cpu_model::CrossingKind;
use os_model::action::{Action, Effect as SystemEffect, Slot};
use os_model::connection::{Purpose, Ready};
use os_model::system::{Next, System};
use sim_core::block::OpKind;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, Cycles, TaskId};
use sim_core::workload::{Effect, Program, Step};
use std::collections::VecDeque;

/// Where a thread of the program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// In the program.
    User,
    /// In the program: the polling thread can see what it prepared.
    Published,
    /// In the kernel, submitting.
    Submitting(Submission),
    /// In the kernel, looking whether enough completions are there.
    Waiting {
        /// It submitted in the same call.
        submitted: bool,
        /// Completions that it waits for.
        wanted: u32,
    },
    /// In the kernel, asleep or about to be, until so many completions are there.
    Asleep {
        /// Completions that it waits for.
        wanted: u32,
    },
    /// In the readiness call, before it looks at the ready list.
    ReadinessEntered,
    /// In the readiness call, asleep or about to be.
    ReadinessAsleep,
}

/// A call that is submitted before its server request is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Early {
    /// Of whichever connection comes.
    Accept,
    /// Of a connection's next request.
    Receive(ConnectionId),
}

/// A thread of the program with its ring.
#[derive(Debug)]
pub(super) struct Thread {
    pub task: TaskId,
    pub phase: Phase,
    /// The event loop whose listening socket it accepts from.
    pub poller: usize,
    /// Connections that it serves; empty when they are those of its event loop.
    pub connection: Option<ConnectionId>,
    /// An interrupt is to run its task work.
    pub interrupted: bool,
    /// Completions taken, their callbacks not run.
    harvested: VecDeque<u32>,
    /// Requests that were throttled with nothing outstanding.
    resume: VecDeque<Slot>,
    /// Early calls that found no room.
    postponed: VecDeque<Early>,
    /// Ready connections whose request is to be received next.
    pub(super) ready: VecDeque<Ready>,
    /// Since when it looks at the completion ring in vain.
    looking_since: Option<Cycles>,
    started: bool,
    progress: Vec<Progress>,
    /// Events that the last readiness call returned.
    pub(super) last_events: u32,
}

/// Makes the program's threads.
pub(super) fn make(system: &mut System, count: u32, cores: u32) -> Vec<Thread> {
    let program = system.workload.program;
    let mut threads = Vec::new();
    for index in 0..count {
        let process = if program == Program::ProcessPerConnection { index } else { 0 };
        let task = system.add_task(CoreId((index % cores) as u16), process, index);
        let own = matches!(program, Program::ThreadPerConnection | Program::ProcessPerConnection);
        threads.push(Thread {
            task,
            phase: Phase::User,
            poller: if program == Program::EventLoop { index as usize } else { 0 },
            connection: own.then_some(ConnectionId(index)),
            interrupted: false,
            harvested: VecDeque::new(),
            resume: VecDeque::new(),
            postponed: VecDeque::new(),
            ready: VecDeque::new(),
            looking_since: None,
            started: false,
            progress: Vec::new(),
            last_events: 1,
        });
        system.wake(task, 0, None);
    }
    threads
}

impl IoUring {
    /// A thread of the program goes on.
    pub(super) fn next_thread(&mut self, system: &mut System, index: usize) -> Next {
        let task = self.threads[index].task;
        match self.threads[index].phase.clone() {
            Phase::User => self.work(system, index, task),
            Phase::Published => self.wake_poll_thread(system, index, task),
            Phase::Submitting(mut submission) => {
                if submission.left > 0 {
                    self.submit_next(system, task, index, &mut submission);
                    self.threads[index].phase = Phase::Submitting(submission);
                } else {
                    self.finish_submission(system, task, index, &submission);
                    let wanted = self.wanted(index, submission.taken);
                    self.threads[index].phase = Phase::Waiting { submitted: true, wanted };
                }
                Next::Continue
            }
            Phase::Waiting { submitted, wanted } => self.look(system, index, task, submitted, wanted),
            Phase::Asleep { wanted } => self.asleep(system, index, task, wanted),
            Phase::ReadinessEntered => self.look_for_events(system, index, task, false),
            Phase::ReadinessAsleep => self.look_for_events(system, index, task, true),
        }
    }

    /// In the program: what is next?
    fn work(&mut self, system: &mut System, index: usize, task: TaskId) -> Next {
        if !std::mem::replace(&mut self.threads[index].started, true) {
            self.post_initial(system, index);
            return Next::Continue;
        }
        if let Some(op) = self.threads[index].harvested.pop_front() {
            self.callback(system, index, task, op);
        } else if self.can_post(index)
            && let Some(slot) = self.threads[index].resume.pop_front()
        {
            self.advance(system, index, slot);
        } else if self.can_post(index)
            && let Some(call) = self.threads[index].postponed.pop_front()
        {
            self.post_call(system, index, call);
        } else if self.can_post(index)
            && let Some(event) = self.threads[index].ready.pop_front()
        {
            self.take_event(system, index, event);
        } else if !self.reap(system, index, task) {
            return self.enter_kernel(system, index, task);
        }
        Next::Continue
    }

    /// True when an entry may be written: the rings have room, and a batch of bounded size is not full.
    fn can_post(&self, index: usize) -> bool {
        let ring = &self.rings[index];
        let limit = match self.style {
            Style::Batch { limit } => limit as usize,
            _ => usize::MAX,
        };
        ring.has_room() && ring.prepared.len() < limit
    }

    /// At the start every connection has a receive outstanding, or the listening socket accepts.
    fn post_initial(&mut self, system: &mut System, index: usize) {
        if system.workload.program == Program::Sequential {
            let slot = system.begin_run();
            self.begin(system, index, slot);
        } else if !self.asks_for_readiness(system) {
            let connections: Vec<ConnectionId> = self.connections_of(system, index);
            if system.accepts() {
                let most = (self.settings.entries / 2).max(1);
                let wanted = self.settings.accepts_outstanding.clamp(1, most).min(connections.len() as u32);
                let accepts = if self.settings.multishot_accept { 1 } else { wanted };
                (0..accepts).for_each(|_| self.post_early(system, index, Early::Accept));
            } else {
                connections.into_iter().for_each(|connection| self.post_early(system, index, Early::Receive(connection)));
            }
        }
    }

    /// An event loop that batches only what its readiness call reports.
    fn asks_for_readiness(&self, system: &System) -> bool {
        matches!(self.style, Style::Batch { .. }) && system.workload.wait.is_some()
    }

    fn connections_of(&self, system: &System, index: usize) -> Vec<ConnectionId> {
        match self.threads[index].connection {
            Some(own) => vec![own],
            None => {
                let all = (0..system.connections.len() as u32).map(ConnectionId);
                all.filter(|connection| system.connections[connection.index()].poller == self.threads[index].poller).collect()
            }
        }
    }

    /// Submits a call whose server request is not known yet; later when there is no room.
    fn post_early(&mut self, system: &mut System, index: usize, call: Early) {
        if self.can_post(index) {
            self.post_call(system, index, call);
        } else {
            self.threads[index].postponed.push_back(call);
        }
    }

    fn post_call(&mut self, system: &mut System, index: usize, call: Early) {
        let (connection, accepts) = match call {
            Early::Accept => (ConnectionId(0), true),
            Early::Receive(connection) => (connection, false),
        };
        let op = self.post(system, index, connection, Slot::NONE, 0);
        self.ops[op as usize].accepts = accepts;
    }

    /// Writes an entry.
    fn post(&mut self, system: &mut System, index: usize, connection: ConnectionId, slot: Slot, step: u32) -> u32 {
        let task = self.threads[index].task;
        let op = self.rings[index].allocate();
        let early = slot == Slot::NONE;
        self.ops[op as usize] =
            Op { ring: index, state: OpState::Queued, connection, slot, step, early, accepts: false, next: None, position: 0 };
        system.push(task, Action::Instructions(user_context(), self.settings.prepare_instructions));
        self.rings[index].write_entry(system, task, user_context(), op);
        op
    }

    /// Takes all completions that are there; false when there are none.
    fn reap(&mut self, system: &mut System, index: usize, task: TaskId) -> bool {
        self.rings[index].look_for_completions(system, task, user_context());
        let completed = std::mem::take(&mut self.rings[index].completed);
        if completed.is_empty() {
            return false;
        }
        self.threads[index].looking_since = None;
        for op in completed {
            let position = self.ops[op as usize].position;
            system.push(task, Action::Instructions(user_context(), self.settings.reap_instructions));
            self.rings[index].read_completion(system, task, user_context(), position);
            self.threads[index].harvested.push_back(op);
        }
        self.rings[index].completions_seen(system, task, user_context());
        true
    }

    /// Runs the callback of a completed call and submits what may follow.
    fn callback(&mut self, system: &mut System, index: usize, task: TaskId, op: u32) {
        let entry = self.ops[op as usize];
        let goes_on = self.stays_armed(system, op);
        self.ops[op as usize].state = OpState::Free;
        self.rings[index].release(op);
        system.push(task, Action::Instructions(user_context(), self.settings.callback_instructions));
        if entry.slot == Slot::NONE {
            return;
        }
        let steps = system.steps(entry.slot);
        self.ensure(index, entry.slot);
        let progress = &mut self.threads[index].progress[entry.slot.index()];
        if entry.early {
            // its own user work runs now that its request is known
            progress.restart(steps.len(), 1);
            if let Some(first) = steps.first() {
                system.push_block(task, first.user, Context::USER, entry.slot);
            }
        } else {
            progress.outstanding -= 1;
        }
        self.threads[index].progress[entry.slot.index()].complete(entry.step as usize);
        let accepted = steps.get(entry.step as usize).is_some_and(|step| step.effect == Effect::Accept);
        let alone = self.threads[index].connection.is_some();
        if accepted && entry.early && !goes_on && !alone && !self.asks_for_readiness(system) {
            self.post_early(system, index, Early::Accept);
        }
        self.advance(system, index, entry.slot);
    }

    fn ensure(&mut self, index: usize, slot: Slot) {
        let progress = &mut self.threads[index].progress;
        if progress.len() <= slot.index() {
            progress.resize(slot.index() + 1, Progress::default());
        }
    }

    /// A server request begins with its first step.
    pub(super) fn begin(&mut self, system: &mut System, index: usize, slot: Slot) {
        self.begin_at(system, index, slot, 0);
    }

    fn begin_at(&mut self, system: &mut System, index: usize, slot: Slot, step: usize) {
        self.ensure(index, slot);
        let progress = &mut self.threads[index].progress[slot.index()];
        if step == 0 {
            progress.restart(system.steps(slot).len(), 0);
        }
        self.advance(system, index, slot);
    }

    /// A ready listening socket or connection: its accept or receive is submitted.
    fn take_event(&mut self, system: &mut System, index: usize, event: Ready) {
        match event {
            Ready::Listener => self.post_call(system, index, Early::Accept),
            Ready::Connection(connection) => {
                if let Some(slot) = system.waiting_request(connection) {
                    let step = system.requests[slot.index()].step as usize;
                    self.begin_at(system, index, slot, step);
                }
            }
        }
    }

    /// Runs user work and submits calls until one depends on a result that is not there yet.
    fn advance(&mut self, system: &mut System, index: usize, slot: Slot) {
        let task = self.threads[index].task;
        let steps = system.steps(slot);
        let connection = system.requests[slot.index()].connection;
        // the request written last, when a dependent call can still be linked to it
        let mut chain: Option<(u32, usize)> = None;
        while let Some(step) = steps.get(self.threads[index].progress[slot.index()].next) {
            let number = self.threads[index].progress[slot.index()].next;
            let way = route(step, &self.settings);
            if way == Route::Dropped {
                // epoll_ctl goes away in the port
                system.push_block(task, step.user, Context::USER, slot);
                self.finish_step(index, slot, number);
                continue;
            }
            let allowed = self.threads[index].progress[slot.index()].allows(step);
            let linked = if allowed { None } else { self.link(system, index, slot, step, steps, chain) };
            let receives_later = step.effect == Effect::Receive && self.must_ask_first(system, connection, slot);
            if !(allowed || linked.is_some()) || receives_later {
                system.requests[slot.index()].step = number as u32;
                break;
            }
            if way == Route::Direct {
                if !allowed {
                    break;
                }
                Issuer::Crossing.user_block(system, task, step.user, slot);
                Issuer::Crossing.call(system, task, step, slot);
                self.finish_step(index, slot, number);
                chain = None;
                continue;
            }
            if !self.can_post(index) {
                break;
            }
            system.push_block(task, step.user, Context::USER, slot);
            let op = self.post(system, index, connection, slot, number as u32);
            if let Some(before) = linked {
                self.ops[before as usize].next = Some(op);
                self.ops[op as usize].state = OpState::Linked;
                system.stats.occurred("linked calls", 1);
            }
            chain = Some((op, number));
            let progress = &mut self.threads[index].progress[slot.index()];
            progress.next += 1;
            progress.outstanding += 1;
        }
        self.settle(system, index, slot);
    }

    /// The request to link a dependent call to, if it depends on nothing else and needs no more than that one's end.
    fn link(
        &self,
        system: &System,
        index: usize,
        slot: Slot,
        step: &Step,
        steps: &[Step],
        chain: Option<(u32, usize)>,
    ) -> Option<u32> {
        let (op, number) = chain.filter(|_| self.settings.links)?;
        let progress = &self.threads[index].progress[slot.index()];
        let others = step.depends.iter().map(|before| usize::from(*before)).filter(|before| *before != number);
        let glue = system.workload.blocks.info(step.user).instructions <= self.settings.glue_instructions;
        let ready = others.into_iter().all(|before| progress.has_completed(before));
        let inline = matches!(route(step, &self.settings), Route::Inline(_) | Route::Worker);
        (glue && ready && inline && linkable(steps.get(number)?, &self.settings)).then_some(op)
    }

    /// An event loop receives only what its readiness call reported.
    fn must_ask_first(&self, system: &mut System, connection: ConnectionId, slot: Slot) -> bool {
        if !self.asks_for_readiness(system) || system.waiting_request(connection) == Some(slot) {
            return false;
        }
        system.report_if_readable(connection);
        true
    }

    fn finish_step(&mut self, index: usize, slot: Slot, number: usize) {
        let progress = &mut self.threads[index].progress[slot.index()];
        progress.complete(number);
        progress.next += 1;
    }

    /// After an advance: the server request is served, waits for completions, for its data, or for room.
    fn settle(&mut self, system: &mut System, index: usize, slot: Slot) {
        let steps = system.steps(slot);
        let progress = &self.threads[index].progress[slot.index()];
        if progress.outstanding > 0 {
            return;
        }
        match steps.get(progress.next) {
            None => self.end_request(system, index, slot),
            Some(step) if step.effect == Effect::Receive && self.asks_for_readiness(system) => {
                let connection = system.requests[slot.index()].connection;
                if system.waiting_request(connection) == Some(slot) {
                    self.threads[index].resume.push_back(slot);
                }
            }
            Some(_) => self.threads[index].resume.push_back(slot),
        }
    }

    fn end_request(&mut self, system: &mut System, index: usize, slot: Slot) {
        let task = self.threads[index].task;
        let connection = system.requests[slot.index()].connection;
        system.push(task, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
        if system.workload.program == Program::Sequential || self.asks_for_readiness(system) {
            return;
        }
        let alone = self.threads[index].connection.is_some();
        let armed = self.settings.multishot_receive && system.requests[slot.index()].purpose == Purpose::Request;
        if !system.goes_on_after(slot) && alone {
            self.post_early(system, index, Early::Accept);
        } else if system.goes_on_after(slot) && !armed {
            self.post_early(system, index, Early::Receive(connection));
        }
    }

    /// Nothing is left to do in user mode: submit, and wait.
    fn enter_kernel(&mut self, system: &mut System, index: usize, task: TaskId) -> Next {
        let prepared = self.rings[index].prepared.len() as u32;
        if prepared == 0 && self.rings[index].outstanding() == 0 && self.asks_for_readiness(system) {
            return self.enter_readiness(system, index, task);
        }
        if prepared > 0 {
            system.push(task, Action::Instructions(user_context(), self.settings.submit_instructions));
            self.rings[index].move_tail(system, task, user_context());
            system.push(task, Action::Hook(HOOK_PUBLISH, index as u64));
        }
        if self.style.polls() {
            return self.enter_beside_poll_thread(system, index, task, prepared);
        }
        self.enter(system, task);
        self.threads[index].phase = if prepared > 0 {
            let enter = pick(system, |ring| &ring.enter);
            self.push_piece(system, task, enter);
            Phase::Submitting(Submission::of(prepared))
        } else {
            Phase::Waiting { submitted: false, wanted: 1 }
        };
        Next::Continue
    }

    /// With a polling thread the tail is all; a program with nothing to submit looks for completions for a while, then waits.
    fn enter_beside_poll_thread(&mut self, system: &mut System, index: usize, task: TaskId, prepared: u32) -> Next {
        if prepared > 0 {
            self.rings[index].flags(system, task, user_context(), OpKind::Load);
            self.threads[index].phase = Phase::Published;
            return Next::Continue;
        }
        let core = system.tasks[task.index()].core;
        let now = system.cpu.clock(core);
        let since = *self.threads[index].looking_since.get_or_insert(now);
        let elsewhere = self.poll_thread_of(index).is_some_and(|thread| self.poll_threads[thread].core != core);
        if elsewhere && now < since + system.microseconds(self.settings.completion_poll_us) {
            system.push(task, Action::Instructions(user_context(), self.settings.reap_instructions));
            return Next::Continue;
        }
        self.threads[index].looking_since = None;
        self.enter(system, task);
        self.threads[index].phase = Phase::Waiting { submitted: false, wanted: 1 };
        Next::Continue
    }

    /// A sleeping polling thread is woken by one enter.
    fn wake_poll_thread(&mut self, system: &mut System, index: usize, task: TaskId) -> Next {
        self.threads[index].phase = Phase::User;
        if let Some(thread) = self.poll_thread_of(index).filter(|_| self.rings[index].need_wakeup) {
            self.enter(system, task);
            system.stats.occurred("poll thread wake-ups", 1);
            for piece in [pick(system, |ring| &ring.enter), pick(system, |ring| &ring.wake_task)] {
                self.push_piece(system, task, piece);
            }
            system.push_effect(task, SystemEffect::Wake(self.poll_threads[thread].task));
            self.leave(system, task);
        }
        Next::Continue
    }

    fn leave(&self, system: &mut System, task: TaskId) {
        let leave = pick(system, |ring| &ring.leave);
        self.push_piece(system, task, leave);
        system.push(task, Action::Cross(CrossingKind::SystemCallExit));
    }

    /// Completions that an enter waits for: none while the program has more to submit, all of a batch, else one.
    fn wanted(&self, index: usize, submitted: u32) -> u32 {
        let thread = &self.threads[index];
        let more = !thread.resume.is_empty() || !thread.postponed.is_empty() || !thread.ready.is_empty();
        match self.style {
            Style::Batch { .. } if thread.connection.is_none() => submitted,
            _ if more && self.rings[index].has_room() => 0,
            _ => 1,
        }
    }

    /// In the kernel, awake: task work first, then out or to sleep.
    fn look(&mut self, system: &mut System, index: usize, task: TaskId, submitted: bool, wanted: u32) -> Next {
        if self.runs_own_task_work(system, index, task) {
            return Next::Continue;
        }
        if self.rings[index].completed.len() as u32 >= wanted {
            if !submitted {
                let enter = pick(system, |ring| &ring.enter);
                self.push_piece(system, task, enter);
            }
            self.leave(system, task);
            self.threads[index].phase = Phase::User;
        } else {
            let sleep = if submitted { pick(system, |ring| &ring.sleep) } else { pick(system, |ring| &ring.wait) };
            self.push_piece(system, task, sleep);
            self.threads[index].phase = Phase::Asleep { wanted };
        }
        Next::Continue
    }

    fn asleep(&mut self, system: &mut System, index: usize, task: TaskId, wanted: u32) -> Next {
        if self.runs_own_task_work(system, index, task) {
            return Next::Continue;
        }
        if (self.rings[index].completed.len() as u32) < wanted {
            return Next::Sleep;
        }
        let wake = pick(system, |ring| &ring.wake);
        self.push_piece(system, task, wake);
        system.push(task, Action::Cross(CrossingKind::SystemCallExit));
        self.threads[index].phase = Phase::User;
        Next::Continue
    }

    fn runs_own_task_work(&mut self, system: &mut System, index: usize, task: TaskId) -> bool {
        let there = self.poll_threads.is_empty() && !self.rings[index].task_work.is_empty();
        if there {
            self.run_task_work(system, task, index);
        }
        there
    }
}
