//! How one call is issued where it stands: across the boundary, or as a function call from elevated code.

use cpu_model::CrossingKind;
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::system::System;
use sim_core::block::BlockId;
use sim_core::context::Context;
use sim_core::ids::TaskId;
use sim_core::workload::Step;

/// How a call is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Issue {
    /// `syscall` and `sysret`, with the kernel's entry and exit code.
    Crossing,
    /// A function call: the program runs in supervisor mode.
    Elevated {
        /// From where on the call executes.
        part: Part,
        /// Instructions for the call itself and for what the system-call exit would have done (the check for pending work).
        glue_instructions: u32,
    },
}

impl Issue {
    /// Context of the program's own code.
    pub fn program_context(self) -> Context {
        match self {
            Issue::Crossing => Context::USER,
            Issue::Elevated { .. } => Context::ELEVATED,
        }
    }

    /// The user work before a step.
    pub fn user(self, system: &mut System, task: TaskId, step: &Step, slot: Slot) {
        self.user_block(system, task, step.user, slot);
    }

    /// Any block of the program's own code.
    pub fn user_block(self, system: &mut System, task: TaskId, block: BlockId, slot: Slot) {
        system.push_block(task, block, self.program_context(), slot);
    }

    /// Into the kernel.
    pub fn enter(self, system: &mut System, task: TaskId) {
        match self {
            Issue::Crossing => system.push(task, Action::Cross(CrossingKind::SystemCallEntry)),
            Issue::Elevated { glue_instructions, .. } => {
                let context = Context::mechanism(sim_core::ids::Mode::Kernel);
                system.push(task, Action::Instructions(context, glue_instructions));
            }
        }
    }

    /// Back from the kernel.
    pub fn leave(self, system: &mut System, task: TaskId) {
        if self == Issue::Crossing {
            system.push(task, Action::Cross(CrossingKind::SystemCallExit));
        }
    }

    /// The kernel's part of a call, without the crossing.
    pub fn body(self, system: &mut System, task: TaskId, step: &Step, slot: Slot) {
        let mut actions = Vec::new();
        system.call_actions(step, slot, self.part(), &mut actions);
        // the caller of a blocking receive has counted the call when it entered
        actions.retain(|action| !matches!(action, Action::Count(..)));
        system.tasks[task.index()].actions.extend(actions);
    }

    /// A whole call.
    pub fn call(self, system: &mut System, task: TaskId, step: &Step, slot: Slot) {
        self.enter(system, task);
        let mut actions = Vec::new();
        system.call_actions(step, slot, self.part(), &mut actions);
        system.tasks[task.index()].actions.extend(actions);
        self.leave(system, task);
    }

    /// A recorded piece of a readiness or blocking call. Elevated code runs it from the handler on where the block has that cut.
    pub fn wait_piece(self, system: &mut System, task: TaskId, block: BlockId, context: Context) {
        let info = system.workload.blocks.info(block);
        let range = match self {
            Issue::Crossing => 0..(info.end - info.start) as usize,
            Issue::Elevated { .. } => Part::Handler.range(info).0,
        };
        if !range.is_empty() {
            let (start, end) = (range.start as u32, range.end as u32);
            system.push(task, Action::Block { block, start, end, context, slot: Slot::NONE });
        }
    }

    fn part(self) -> Part {
        match self {
            Issue::Crossing => Part::Whole,
            Issue::Elevated { part, .. } => part,
        }
    }
}
