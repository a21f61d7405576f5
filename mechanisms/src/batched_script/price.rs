//! What a script itself costs: its instructions, the passages to its bindings, the lines of its Lua state.

use super::BatchedScript;
use cpu_model::CrossingKind;
use os_model::action::{Action, Slot};
use os_model::system::System;
use sim_core::block::OpKind;
use sim_core::context::Context;
use sim_core::ids::{Mode, TaskId};

impl BatchedScript {
    /// `register_lua_syscall`: makes the Lua state, once per thread, before the first request.
    pub(super) fn register(&mut self, system: &mut System, task: TaskId) {
        let thread = self.thread(task);
        if std::mem::replace(&mut thread.registered, true) {
            return;
        }
        let Some(engine) = &thread.engine else { return };
        let bytecodes = engine.instructions_to_load();
        let own = self.settings.registration_instructions + self.instructions(bytecodes);
        self.enter_kernel(system, task);
        system.push(task, Action::Instructions(Context::mechanism(Mode::Kernel), own));
        self.touch_state(system, task, OpKind::Store);
        self.leave_kernel(system, task);
    }

    /// Into the kernel and the Lua state.
    pub(super) fn enter_script(&mut self, system: &mut System, task: TaskId) {
        self.enter_kernel(system, task);
        let context = Context::mechanism(Mode::Kernel);
        system.push(task, Action::Instructions(context, self.settings.invocation_instructions));
        self.touch_state(system, task, OpKind::Load);
    }

    /// A crossing of the mechanism's own call: the kernel's entry and exit code is that of the recorded null call.
    pub(super) fn enter_kernel(&mut self, system: &mut System, task: TaskId) {
        system.push(task, Action::Cross(CrossingKind::SystemCallEntry));
        let null_call = system.pick_kernel(|kernel| &kernel.null_call);
        system.push_block(task, null_call, Context::mechanism(Mode::Kernel), Slot::NONE);
    }

    /// Back to the program.
    pub(super) fn leave_kernel(&self, system: &mut System, task: TaskId) {
        system.push(task, Action::Cross(CrossingKind::SystemCallExit));
    }

    fn touch_state(&self, system: &mut System, task: TaskId, kind: OpKind) {
        let context = Context::mechanism(Mode::Kernel);
        let first = system.bases.mechanism() + (task.0 - self.first_task) * self.settings.state_lines;
        for line in 0..self.settings.state_lines {
            system.push(task, Action::Touch(context, first + line, kind));
        }
    }

    /// The script's own instructions up to where it stands, and the passage to a binding when it stands in one.
    pub(super) fn interpret(&mut self, system: &mut System, task: TaskId, to_binding: bool) {
        let bytecodes = self.thread(task).engine.as_ref().map_or(0, script::Engine::take_instructions);
        let passage = if to_binding { self.settings.binding_instructions } else { 0 };
        let instructions = self.instructions(bytecodes) + passage;
        system.push(task, Action::Instructions(Context::mechanism(Mode::Kernel), instructions));
        system.stats.occurred("Lua instructions", bytecodes);
    }

    /// Machine instructions of so many of Lua's.
    fn instructions(&self, bytecodes: u64) -> u32 {
        let milli = u64::from(self.settings.code_milli());
        u32::try_from((bytecodes * milli).div_ceil(1000)).unwrap_or(u32::MAX / 2)
    }
}
