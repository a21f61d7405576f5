//! A sequential program on one core, looked at closely: step after step without timer, scheduler and other tasks, so that an experiment
//! can stop anywhere, count instructions over time and see what the structures hold.
//!
//! The work is that of `sync`: user work, crossing, kernel work, crossing. The processor model is the same and no access is slower for
//! being watched: a stretch of user work is given to it in pieces that end at the next edge of time.

pub mod evictions;
pub mod recovery;

use crate::experiment::Settings;
use crate::registry::Mechanism;
use crate::simulate::{SimulationError, system};
use cpu_model::{CrossingKind, Structure};
use os_model::bind::Who;
use os_model::system::System;
use sim_core::block::{Binding, instructions_of};
use sim_core::context::Context;
use sim_core::ids::{CoreId, Cycles, Line, Mode};
use sim_core::workload::{Step, Workload};

/// The only core.
const CORE: CoreId = CoreId(0);

/// The program's task; task 0 is the core's idle task.
const TASK: u32 = 1;

/// A sequential program on one core.
struct CloseUp<'a> {
    system: System<'a>,
    binding: Binding,
}

impl<'a> CloseUp<'a> {
    fn new(workload: &'a Workload, settings: &'a Settings, seed: u64) -> Result<CloseUp<'a>, SimulationError> {
        let system = system(workload, settings, Mechanism::Sync, seed)?;
        let binding = system.bases.bind(&Who { task: TASK, ..Who::default() });
        Ok(CloseUp { system, binding })
    }

    /// The program's steps in order.
    fn steps(workload: &Workload) -> impl Iterator<Item = &Step> {
        workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps)
    }

    fn clock(&self) -> Cycles {
        self.system.cpu.clock(CORE)
    }

    /// Checks that no cycle was lost.
    fn check(&self) -> Result<(), SimulationError> {
        self.system.cpu.check_conservation().map_err(|source| SimulationError::Unbalanced { core: CORE.index(), source })
    }

    /// Cycles in kernel mode so far.
    fn kernel_cycles(&self) -> Cycles {
        self.system.cpu.counters(CORE).mode(Mode::Kernel).cycles
    }

    fn holds(&mut self, structure: Structure, line: Line) -> bool {
        self.system.cpu.holds(CORE, Mode::User, structure, line)
    }

    /// Steps in order, unwatched: they warm the structures up.
    fn run(&mut self, steps: &[&Step]) {
        for step in steps {
            self.user(step);
            self.call(step);
        }
    }

    /// The user work before a step's call.
    fn user(&mut self, step: &Step) {
        let ops = self.system.workload.blocks.ops(step.user);
        self.system.cpu.run(CORE, Context::USER, ops, &self.binding, Cycles::MAX);
    }

    /// The same with a look at the clock whenever it has passed an edge, which are `edge_cycles` apart from `start`: `seen` gets the time
    /// since `start` and the instructions of each piece, until it returns false; the rest runs unwatched.
    fn user_watched(&mut self, step: &Step, start: Cycles, edge_cycles: Cycles, mut seen: impl FnMut(Cycles, u64) -> bool) {
        let ops = self.system.workload.blocks.ops(step.user);
        let (mut done, mut watched) = (0, true);
        while done < ops.len() {
            let since = self.clock() - start;
            let budget = if watched { edge_cycles - since % edge_cycles } else { Cycles::MAX };
            let executed = self.system.cpu.run(CORE, Context::USER, &ops[done..], &self.binding, budget);
            if watched {
                watched = seen(self.clock() - start, u64::from(instructions_of(&ops[done..done + executed])));
            }
            done += executed;
        }
    }

    /// The call of a step, with its crossings.
    fn call(&mut self, step: &Step) {
        let mitigations = self.system.mitigations();
        let ops = self.system.workload.blocks.ops(step.kernel);
        let cpu = &mut self.system.cpu;
        cpu.cross(CORE, CrossingKind::SystemCallEntry, mitigations);
        cpu.run(CORE, Context::call(step.call), ops, &self.binding, Cycles::MAX);
        cpu.cross(CORE, CrossingKind::SystemCallExit, mitigations);
    }
}
