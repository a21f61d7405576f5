//! What a core does in one slice: interrupts and the scheduler first, then the current task.

use super::{Driver, Next, System};
use crate::action::{Action, Effect, Slot};
use crate::stats::{DEFERRED_WORK_RUNS, HAND_OVERS};
use crate::task::{FrameStep, TaskKind, TaskState};
use crate::timeline::{Before, What};
use cpu_model::CrossingKind;
use sim_core::block::{BlockId, OpKind, Origin};
use sim_core::context::{Agent, Context};
use sim_core::ids::{CoreId, Cycles, Mode, TaskId};

impl System<'_> {
    /// One slice of a core.
    pub(super) fn step(&mut self, driver: &mut dyn Driver, core: CoreId) {
        self.leave_idle(core);
        let index = core.index();
        if self.cores[index].frame.is_empty() {
            if self.cores[index].interrupt_pending {
                self.open_interrupt(core);
            } else if self.tick_is_due(core) {
                self.open_tick(core);
            } else if self.should_switch(core) {
                self.open_switch(core);
            }
        }
        if self.cores[index].frame.is_empty() {
            self.run_task(driver, core);
        } else {
            self.run_frame(driver, core);
        }
        self.record_queues(core);
    }

    /// An idle core that was woken pays its idle exit.
    fn leave_idle(&mut self, core: CoreId) {
        if let Some(at) = self.cores[core.index()].awake_at.take() {
            let behind = at.saturating_sub(self.cpu.clock(core));
            if behind > 0 {
                self.idle(core, behind);
            }
            self.cores[core.index()].charged_until = self.cpu.clock(core);
        }
    }

    fn should_switch(&self, core: CoreId) -> bool {
        let entry = &self.cores[core.index()];
        if entry.current == entry.idle {
            return !entry.run_queue.is_empty();
        }
        let current = &self.tasks[entry.current.index()];
        // a preempted task is cut where the kernel would: between actions, never inside a block
        let at_boundary = current.actions.front().is_none_or(|action| !matches!(action, Action::Block { start, .. } if *start > 0));
        entry.reschedule && current.preemptible && at_boundary && !entry.run_queue.is_empty()
    }

    /// The current task, which holds rescheduling off, lets it happen here if it is due.
    fn preemption_point(&mut self, core: CoreId) {
        let entry = &self.cores[core.index()];
        if entry.reschedule && !entry.run_queue.is_empty() {
            self.stats.occurred(DEFERRED_WORK_RUNS, 1);
            self.open_switch(core);
        }
    }

    /// Network interrupt: hard interrupt, then the softirq polls until the ring is empty.
    fn open_interrupt(&mut self, core: CoreId) {
        let entry = &mut self.cores[core.index()];
        entry.interrupt_pending = false;
        self.begin_softirq(core);
        let from = self.mode_of_current(core);
        let entry_block = self.pick_kernel(|kernel| &kernel.interrupt_entry);
        let poll = self.driver_poll();
        let hard = self.whole(entry_block, Context::kernel(Agent::INTERRUPT), Slot::NONE);
        let frame = &mut self.cores[core.index()].frame;
        frame.push_back(FrameStep::Do(Action::Cross(CrossingKind::InterruptEntry { from })));
        frame.push_back(FrameStep::Do(hard));
        frame.push_back(FrameStep::Do(poll));
        frame.push_back(FrameStep::Poll);
        self.stats.interrupts += 1;
    }

    /// True when the timer interrupts a busy core. Ticks that passed while the core was idle are skipped.
    fn tick_is_due(&mut self, core: CoreId) -> bool {
        let clock = self.cpu.clock(core);
        let entry = &mut self.cores[core.index()];
        if clock < entry.next_tick {
            return false;
        }
        entry.next_tick += (clock - entry.next_tick + 1).div_ceil(self.tick_cycles) * self.tick_cycles;
        entry.current != entry.idle
    }

    /// Order in the run queue: priority, virtual runtime, number.
    fn order(&self, task: TaskId) -> (u8, Cycles, TaskId) {
        let entry = &self.tasks[task.index()];
        (entry.priority, entry.vruntime, task)
    }

    fn open_tick(&mut self, core: CoreId) {
        let from = self.mode_of_current(core);
        let block = self.pick_kernel(|kernel| &kernel.tick);
        let action = self.whole(block, Context::kernel(Agent::INTERRUPT), Slot::NONE);
        let frame = &mut self.cores[core.index()].frame;
        frame.push_back(FrameStep::Do(Action::Cross(CrossingKind::InterruptEntry { from })));
        frame.push_back(FrameStep::Do(action));
        frame.push_back(FrameStep::Do(Action::Cross(CrossingKind::InterruptExit { to: from })));
        self.stats.ticks += 1;
        self.check_slice(core);
    }

    /// A task that has run longer than its share lets the next one on.
    fn check_slice(&mut self, core: CoreId) {
        self.charge(core);
        let entry = &self.cores[core.index()];
        let running = entry.run_queue.len() as u64 + 1;
        if entry.current == entry.idle || running == 1 {
            return;
        }
        let scheduler = &self.kernel.scheduler;
        let slice_us = (scheduler.latency_us / running).max(scheduler.minimum_granularity_us);
        let slice = self.microseconds(slice_us as f64);
        let mine = &self.tasks[entry.current.index()];
        let rivals = entry.run_queue.iter().map(|task| &self.tasks[task.index()]).filter(|task| task.priority <= mine.priority);
        if rivals.map(|task| task.vruntime).min().is_some_and(|least| mine.vruntime > least + slice) {
            self.cores[core.index()].reschedule = true;
        }
    }

    /// Mode in which the current task stands, for the interrupt's crossing.
    pub(super) fn mode_of_current(&self, core: CoreId) -> Mode {
        let entry = &self.cores[core.index()];
        if entry.current == entry.idle {
            return Mode::Kernel;
        }
        let task = &self.tasks[entry.current.index()];
        match task.actions.front() {
            Some(Action::Block { context, .. } | Action::Instructions(context, _) | Action::Touch(context, _, _)) => context.mode,
            Some(Action::Cross(CrossingKind::SystemCallEntry)) | None => task.level,
            _ => Mode::Kernel,
        }
    }

    /// The scheduler: the current task leaves, the one with the least virtual runtime enters.
    fn open_switch(&mut self, core: CoreId) {
        self.charge(core);
        self.cores[core.index()].reschedule = false;
        let entry = &self.cores[core.index()];
        let leaving = entry.current;
        let position = (0..entry.run_queue.len()).min_by_key(|&position| self.order(entry.run_queue[position]));
        let next = match position {
            Some(position) => self.cores[core.index()].run_queue.remove(position),
            None => self.cores[core.index()].idle,
        };
        let idle = self.cores[core.index()].idle;
        if leaving != idle && self.tasks[leaving.index()].state == TaskState::Running {
            self.tasks[leaving.index()].state = TaskState::Runnable;
            self.cores[core.index()].run_queue.push(leaving);
        }
        if self.can_hand_over(core, leaving, next) {
            return self.open_hand_over(core, leaving, next);
        }
        let out = self.pick_kernel(|kernel| &kernel.switch_out);
        let into = self.pick_kernel(|kernel| &kernel.switch_in);
        let out = self.whole(out, Context::kernel(Agent::SCHEDULER), Slot::NONE);
        let into = self.whole(into, Context::kernel(Agent::SCHEDULER), Slot::NONE);
        let frame = &mut self.cores[core.index()].frame;
        frame.push_back(FrameStep::Do(out));
        frame.push_back(FrameStep::SwitchTo(next));
        if next != idle {
            frame.push_back(FrameStep::Do(into));
        }
        self.stats.context_switches += 1;
    }

    /// True when both tasks stand where a hand-over can take and leave them: it then needs no context switch.
    fn can_hand_over(&self, core: CoreId, leaving: TaskId, next: TaskId) -> bool {
        let rests = |task: Option<TaskId>| task.filter(|task| self.tasks[task.index()].rests);
        let process = |task: TaskId| self.tasks[task.index()].process;
        let pair = rests(self.spinning_or(core, leaving)).zip(rests(self.spinning_or(core, next)));
        self.hand_over.is_some() && pair.is_some_and(|(from, to)| process(from) == process(to))
    }

    /// The task that is on the processor when the scheduler says so: instead of the idle task the one that spins, if there is one.
    fn spinning_or(&self, core: CoreId, task: TaskId) -> Option<TaskId> {
        let entry = &self.cores[core.index()];
        if task == entry.idle { entry.spins } else { Some(task) }
    }

    /// The stack pointer of one task goes into its description, that of the other comes from there; the top of both stacks is touched,
    /// and so is the core's note of who runs. A task that spins and goes on pays nothing.
    fn open_hand_over(&mut self, core: CoreId, leaving: TaskId, next: TaskId) {
        let pair = self.spinning_or(core, leaving).zip(self.spinning_or(core, next)).filter(|(from, to)| from != to);
        if let Some(((from, to), hand_over)) = pair.zip(self.hand_over) {
            let context = Context::mechanism(Mode::Kernel);
            let mut steps = vec![Action::Instructions(context, hand_over.instructions)];
            for (task, kind) in [(from.0, OpKind::Store), (to.0, OpKind::Load)] {
                steps.push(Action::Touch(context, self.bases.kernel_stack(self.instance_of(TaskId(task))), kind));
                steps.push(Action::Touch(context, self.bases.kernel_task(self.instance_of(TaskId(task))), kind));
            }
            steps.push(Action::Touch(context, self.bases.per_cpu(u32::from(core.0)), OpKind::Store));
            self.cores[core.index()].frame.extend(steps.into_iter().map(FrameStep::Do));
            self.stats.occurred(HAND_OVERS, 1);
        }
        self.cores[core.index()].frame.push_back(FrameStep::SwitchTo(next));
    }

    /// Charges the current task's virtual runtime up to now.
    fn charge(&mut self, core: CoreId) {
        let clock = self.cpu.clock(core);
        let entry = &mut self.cores[core.index()];
        let ran = clock.saturating_sub(entry.charged_until);
        entry.charged_until = clock;
        let current = entry.current;
        if current != entry.idle {
            self.tasks[current.index()].vruntime += ran;
            let queue = &self.cores[core.index()].run_queue;
            let least = queue.iter().chain([&current]).map(|task| self.tasks[task.index()].vruntime).min().unwrap_or(0);
            let entry = &mut self.cores[core.index()];
            entry.least_vruntime = entry.least_vruntime.max(least);
        }
    }

    /// Puts a sleeping task into its core's run queue; preempts or wakes the core as the scheduler would.
    pub(super) fn enqueue(&mut self, task: TaskId, at: Cycles, from: Option<CoreId>) {
        let core = self.tasks[task.index()].core;
        self.charge(core);
        let latency = self.microseconds(self.kernel.scheduler.latency_us as f64);
        let granularity = self.microseconds(self.kernel.scheduler.wakeup_granularity_us as f64);
        let entry = &self.cores[core.index()];
        // a sleeper is placed at most half a period behind the others (place_entity, GENTLE_FAIR_SLEEPERS)
        let floor = entry.least_vruntime.saturating_sub(latency / 2);
        let woken = self.tasks[task.index()].vruntime.max(floor);
        let idle = entry.current == entry.idle && entry.frame.is_empty();
        let current = &self.tasks[entry.current.index()];
        let priority = self.tasks[task.index()].priority;
        let outranks = priority < current.priority || (priority == current.priority && current.vruntime > woken + granularity);
        let preempts = entry.current != entry.idle && outranks;
        let was_quiet = !entry.is_active();
        let task_ref = &mut self.tasks[task.index()];
        task_ref.vruntime = woken;
        task_ref.state = TaskState::Runnable;
        let entry = &mut self.cores[core.index()];
        entry.run_queue.push(task);
        entry.reschedule |= preempts;
        if idle && was_quiet {
            self.wake_core(core, at, from);
        }
    }

    /// An idle core begins to execute: at once when it wakes itself (it is in an interrupt), after the idle exit otherwise.
    pub(super) fn wake_core(&mut self, core: CoreId, at: Cycles, from: Option<CoreId>) {
        let delay = if from == Some(core) { 0 } else { self.microseconds(self.kernel.scheduler.idle_exit_us as f64) };
        let entry = &mut self.cores[core.index()];
        let awake = at.max(self.cpu.clock(core)) + delay;
        entry.awake_at = Some(entry.awake_at.map_or(awake, |earlier| earlier.min(awake)));
    }

    /// Executes steps of the frame for one slice.
    fn run_frame(&mut self, driver: &mut dyn Driver, core: CoreId) {
        let limit = self.cpu.clock(core) + self.kernel.slice_cycles;
        while self.cpu.clock(core) < limit {
            let Some(step) = self.cores[core.index()].frame.pop_front() else { return };
            match step {
                FrameStep::Do(mut action) => {
                    let task = self.cores[core.index()].current;
                    if !self.execute(driver, core, task, &mut action, limit) {
                        self.cores[core.index()].frame.push_front(FrameStep::Do(action));
                        return;
                    }
                }
                FrameStep::Poll => self.poll(core),
                FrameStep::SwitchTo(next) => self.switch_to(core, next),
            }
        }
    }

    fn switch_to(&mut self, core: CoreId, next: TaskId) {
        let leaving = self.cores[core.index()].current;
        self.charge(core);
        let processes = (self.tasks[leaving.index()].process, self.tasks[next.index()].process);
        let idle = self.cores[core.index()].idle;
        // the idle task and kernel threads borrow the address space of whoever ran before
        if next != idle && leaving != idle && processes.0 != processes.1 {
            let from = self.cpu.clock(core);
            let before = self.is_recording().then(|| Before::doing(What::Scheduler, from, self.cpu.stack(core)));
            self.cpu.switch_address_space(core);
            self.used(core, What::Scheduler, from);
            self.recorded(core, before);
        }
        self.cores[core.index()].current = next;
        if next != idle {
            self.tasks[next.index()].state = TaskState::Running;
            self.tasks[next.index()].rests = false;
        }
    }

    /// Executes the current task's actions for one slice.
    fn run_task(&mut self, driver: &mut dyn Driver, core: CoreId) {
        let limit = self.cpu.clock(core) + self.kernel.slice_cycles;
        let task = self.cores[core.index()].current;
        if task == self.cores[core.index()].idle {
            return;
        }
        while self.cpu.clock(core) < limit {
            let Some(mut action) = self.tasks[task.index()].actions.pop_front() else {
                match self.refill(driver, task) {
                    Next::Continue => continue,
                    Next::Sleep => self.sleep(core, task, false),
                    Next::Rest => self.sleep(core, task, true),
                }
                return;
            };
            if !self.execute(driver, core, task, &mut action, limit) {
                self.tasks[task.index()].actions.push_front(action);
                return;
            }
            if !self.cores[core.index()].frame.is_empty() {
                return;
            }
            if self.cores[core.index()].reschedule && self.should_switch(core) {
                return;
            }
        }
    }

    fn refill(&mut self, driver: &mut dyn Driver, task: TaskId) -> Next {
        match self.tasks[task.index()].kind {
            TaskKind::Client => self.client_next(task),
            TaskKind::Softirq => self.softirq_thread_next(task),
            _ => driver.next(self, task),
        }
    }

    /// The task waits; a wake-up that came meanwhile keeps it running.
    fn sleep(&mut self, core: CoreId, task: TaskId, rests: bool) {
        let entry = &mut self.tasks[task.index()];
        if entry.wake_pending {
            entry.wake_pending = false;
            return;
        }
        entry.state = TaskState::Sleeping;
        entry.rests = rests;
        self.open_switch(core);
    }

    /// Executes an action; false when the slice ended inside it (the action then holds the rest).
    fn execute(&mut self, driver: &mut dyn Driver, core: CoreId, task: TaskId, action: &mut Action, limit: Cycles) -> bool {
        let (what, from) = (What::of(action), self.cpu.clock(core));
        let before = self.is_recording().then(|| Before::of(action, from, self.cpu.stack(core)));
        let done = self.carry_out(driver, core, task, action, limit);
        if let Some((what, _)) = what {
            self.used(core, what, from);
        }
        self.recorded(core, before);
        done
    }

    fn carry_out(&mut self, driver: &mut dyn Driver, core: CoreId, task: TaskId, action: &mut Action, limit: Cycles) -> bool {
        match action {
            Action::Block { block, start, end, context, slot } => {
                let binding = self.bases.bind(&self.who(core, task, *slot));
                let budget = limit.saturating_sub(self.cpu.clock(core)).max(1);
                let ops = &self.workload.blocks.ops(*block)[*start as usize..*end as usize];
                let before = self.cpu.clock(core);
                let done = self.cpu.run(core, *context, ops, &binding, budget);
                *start += done as u32;
                if self.workload.blocks.info(*block).origin == Origin::Synthetic {
                    self.stats.synthetic_cycles += self.cpu.clock(core) - before;
                }
                return *start >= *end;
            }
            Action::Cross(kind) => {
                self.stats.count_crossing(*kind);
                let before = self.cpu.clock(core);
                self.cpu.cross(core, *kind, self.mitigations);
                self.note_crossing(task, *kind, self.cpu.clock(core) - before);
            }
            Action::Instructions(context, count) => {
                let before = self.cpu.clock(core);
                self.cpu.instructions(core, *context, u64::from(*count));
                self.stats.synthetic_cycles += self.cpu.clock(core) - before;
            }
            Action::Spend(component, cycles) => self.cpu.spend(core, *component, *cycles),
            Action::Touch(context, line, kind) => self.cpu.touch(core, *context, *line, *kind),
            Action::Count(call, slot) => {
                self.stats.count_call(*call, *slot);
                let entry = &mut self.tasks[task.index()];
                entry.call = Some(*call);
                self.stats.count_crossing_cycles(*call, std::mem::take(&mut entry.entry_cycles));
            }
            Action::Effect(effect) => self.apply(driver, core, *effect),
            Action::Hook(kind, value) => driver.hook(self, core, *kind, *value),
        }
        true
    }

    /// A crossing belongs to the call that a task enters the kernel for, or leaves it from.
    fn note_crossing(&mut self, task: TaskId, kind: CrossingKind, cycles: Cycles) {
        let entry = &mut self.tasks[task.index()];
        match kind {
            CrossingKind::SystemCallEntry => (entry.entry_cycles, entry.call) = (cycles, None),
            CrossingKind::SystemCallExit => {
                if let Some(call) = entry.call.take() {
                    self.stats.count_crossing_cycles(call, cycles);
                }
            }
            _ => {}
        }
    }

    fn apply(&mut self, driver: &mut dyn Driver, core: CoreId, effect: Effect) {
        let at = self.cpu.clock(core);
        match effect {
            Effect::Send(slot, bytes) => self.send(slot, bytes, false, at, core),
            Effect::SendLast(slot, bytes) => self.send(slot, bytes, true, at, core),
            Effect::Close(slot) => self.close(slot, at),
            Effect::Deliver(packet) => self.deliver(driver, packet, at, core),
            Effect::Wake(task) => self.wake(task, at, Some(core)),
            Effect::ClientTurn(connection) => self.client_turn(driver, connection, at, core),
            Effect::Level { mode, preemptible } => {
                let task = self.cores[core.index()].current;
                (self.tasks[task.index()].level, self.tasks[task.index()].preemptible) = (mode, preemptible);
            }
            Effect::PreemptionPoint => self.preemption_point(core),
        }
    }

    /// An action that executes a whole block.
    pub fn whole(&self, block: BlockId, context: Context, slot: Slot) -> Action {
        let info = self.workload.blocks.info(block);
        Action::Block { block, start: 0, end: info.end - info.start, context, slot }
    }

    /// One exemplar of a kind of kernel block.
    pub fn pick_kernel(&mut self, kind: impl Fn(&sim_core::workload::KernelBlocks) -> &Vec<BlockId>) -> BlockId {
        let workload = self.workload;
        self.pick(kind(&workload.kernel))
    }
}
