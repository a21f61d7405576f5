//! How one thread issues its calls: across the boundary, or from elevated code.

use crate::elevated::Elevated;
use cpu_model::CrossingKind;
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::system::System;
use sim_core::block::{BlockId, Cut};
use sim_core::context::Context;
use sim_core::ids::TaskId;
use sim_core::workload::Step;

/// The hook that ends a request: its value is the slot.
pub const HOOK_SERVED: u32 = 1;

/// How a thread issues calls.
#[derive(Debug)]
pub enum Issuer {
    /// `syscall` and `sysret`, with the kernel's entry and exit code.
    Crossing,
    /// Function calls: the program runs in supervisor mode.
    Elevated(Elevated),
}

impl Issuer {
    /// What a thread does before anything else.
    pub fn start(&mut self, system: &mut System, task: TaskId) {
        if let Issuer::Elevated(elevated) = self {
            elevated.elevate(system, task);
        }
    }

    /// Context of the program's own code.
    fn program_context(&self) -> Context {
        match self {
            Issuer::Crossing => Context::USER,
            Issuer::Elevated(_) => Context::ELEVATED,
        }
    }

    /// The program's own work.
    pub fn user_block(&self, system: &mut System, task: TaskId, block: BlockId, slot: Slot) {
        system.push_block(task, block, self.program_context(), slot);
    }

    /// The program's own work where only its length is known.
    pub fn user_instructions(&self, system: &mut System, task: TaskId, instructions: u32) {
        if instructions > 0 {
            system.push(task, Action::Instructions(self.program_context(), instructions));
        }
    }

    /// Into the kernel, for a call that may sleep there or not.
    pub fn enter(&mut self, system: &mut System, task: TaskId, may_sleep: bool) {
        match self {
            Issuer::Crossing => system.push(task, Action::Cross(CrossingKind::SystemCallEntry)),
            Issuer::Elevated(elevated) => elevated.enter(system, task, may_sleep),
        }
    }

    /// Back from the kernel.
    pub fn leave(&mut self, system: &mut System, task: TaskId) {
        match self {
            Issuer::Crossing => system.push(task, Action::Cross(CrossingKind::SystemCallExit)),
            Issuer::Elevated(elevated) => elevated.leave(system, task),
        }
    }

    /// A whole call that does not sleep.
    pub fn call(&mut self, system: &mut System, task: TaskId, step: &Step, slot: Slot) {
        self.enter(system, task, false);
        self.body(system, task, step, slot, true);
        self.leave(system, task);
    }

    /// The kernel's part of a call, between [`Issuer::enter`] and [`Issuer::leave`]; `counted` unless the caller has counted it.
    pub fn body(&mut self, system: &mut System, task: TaskId, step: &Step, slot: Slot, counted: bool) {
        let mut parts = system.call_parts(step, slot, self.part());
        if !counted {
            parts.now.retain(|action| !matches!(action, Action::Count(..)));
        }
        if let Issuer::Elevated(elevated) = self {
            elevated.found(system, parts.found);
        }
        system.tasks[task.index()].actions.extend(parts.now);
        match self {
            Issuer::Elevated(elevated) if !parts.exit_work.is_empty() => elevated.exit_work(system, task, parts.exit_work),
            _ => system.tasks[task.index()].actions.extend(parts.exit_work),
        }
    }

    /// A recorded piece of a readiness or blocking call.
    pub fn piece(&mut self, system: &mut System, task: TaskId, block: BlockId, context: Context, slot: Slot) {
        let info = system.workload.blocks.info(block);
        let (range, found) = self.part().range(info);
        if let Issuer::Elevated(elevated) = self
            && block != BlockId::EMPTY
        {
            elevated.found(system, found);
        }
        push_range(system, task, block, range, context, slot);
    }

    /// An accept that finds no connection: the recorded accept without the function that takes one from the queue.
    pub fn failed_accept(&mut self, system: &mut System, task: TaskId, step: &Step) {
        self.enter(system, task, false);
        system.push(task, Action::Count(step.call, Slot::NONE));
        let info = system.workload.blocks.info(step.kernel);
        let (range, _) = self.part().range(info);
        let taking = info.span(Cut::Protocol).unwrap_or(range.end..range.end);
        let context = Context::call(step.call);
        push_range(system, task, step.kernel, range.start..taking.start.min(range.end), context, Slot::NONE);
        push_range(system, task, step.kernel, taking.end.max(range.start)..range.end, context, Slot::NONE);
        self.leave(system, task);
    }

    /// The request's last step is issued: the request ends when all that was done for it is done.
    pub fn end_request(&mut self, system: &mut System, task: TaskId, slot: Slot) {
        let served = Action::Hook(HOOK_SERVED, u64::from(slot.0));
        match self {
            Issuer::Elevated(elevated) if elevated.has_waiting_work(slot) => elevated.defer(served),
            _ => system.push(task, served),
        }
    }

    fn part(&self) -> Part {
        match self {
            Issuer::Crossing => Part::Whole,
            Issuer::Elevated(elevated) => elevated.part(),
        }
    }
}

fn push_range(system: &mut System, task: TaskId, block: BlockId, range: std::ops::Range<usize>, context: Context, slot: Slot) {
    if !range.is_empty() {
        let (start, end) = (range.start as u32, range.end as u32);
        system.push(task, Action::Block { block, start, end, context, slot });
    }
}
