//! Elevated code: a thread that runs in supervisor mode and calls kernel functions.
//!
//! See docs/mechanisms/elevated-shortcut.md. A thread elevates once, at its start. A true call lowers, crosses and elevates again, and
//! with that passes the kernel's exit to user mode, where rescheduling and task work wait.

use crate::settings::{DeferredWork, Depth, ElevatedSettings, ElevatedVariant, KernelPreemption};
use cpu_model::CrossingKind;
use os_model::action::{Action, Effect, Slot};
use os_model::calls::Part;
use os_model::stats::DEFERRED_WORK_RUNS;
use os_model::system::System;
use sim_core::block::{BlockId, Cut};
use sim_core::context::Context;
use sim_core::ids::{Mode, TaskId};

/// Occurrences by the depth that was used when the one asked for has no recorded cut.
const FELL_BACK_TO_FILE: &str = "calls that fell back to depth file";
const FELL_BACK_TO_ENTRY: &str = "calls that fell back to depth entry";
const FELL_BACK_TO_WHOLE: &str = "calls that fell back to depth whole";
const TRUE_CALLS: &str = "true calls";

/// The level of one thread.
#[derive(Debug)]
pub struct Elevated {
    settings: ElevatedSettings,
    /// Calls issued so far.
    calls: u64,
    /// The call in hand is a true one: the thread is lowered.
    lowered: bool,
    /// The call in hand has executed nothing yet: its first piece says whether its depth was found.
    fresh: bool,
    /// Work that waits for the next exit to user mode.
    waiting: Vec<Action>,
}

impl Elevated {
    /// A thread that has not elevated yet.
    pub fn new(settings: &ElevatedSettings) -> Elevated {
        Elevated { settings: settings.clone(), calls: 0, lowered: true, fresh: false, waiting: Vec::new() }
    }

    /// From where on the call in hand executes.
    pub fn part(&self) -> Part {
        if self.lowered { Part::Whole } else { self.settings.effective_depth().part() }
    }

    /// From user to supervisor mode: a system call that returns with IRET to supervisor mode.
    pub fn elevate(&mut self, system: &mut System, task: TaskId) {
        self.lowered = false;
        let preemptible = self.settings.preemption == KernelPreemption::Full;
        system.push(task, Action::Cross(CrossingKind::SystemCallEntry));
        let (block, handler, _) = level_change(system);
        push_kernel(system, task, block, 0..handler);
        system.push(task, Action::Cross(CrossingKind::IntExit { to: Mode::Kernel }));
        system.push_effect(task, Effect::Level { mode: Mode::Kernel, preemptible });
    }

    /// From supervisor to user mode, through the kernel's exit code: what waits for it is done.
    fn lower(&mut self, system: &mut System, task: TaskId) {
        self.lowered = true;
        self.preemption_point(system, task);
        if !self.waiting.is_empty() {
            system.stats.occurred(DEFERRED_WORK_RUNS, 1);
            system.tasks[task.index()].actions.extend(self.waiting.drain(..));
        }
        let (block, handler, end) = level_change(system);
        push_kernel(system, task, block, handler..end);
        system.push(task, Action::Cross(CrossingKind::SystemCallExit));
        system.push_effect(task, Effect::Level { mode: Mode::User, preemptible: true });
    }

    /// To the kernel function of a call.
    pub fn enter(&mut self, system: &mut System, task: TaskId, may_sleep: bool) {
        self.calls += 1;
        self.fresh = true;
        let every = u64::from(self.settings.true_call_every);
        let due = every > 0 && self.calls.is_multiple_of(every);
        if due || (may_sleep && !self.waiting.is_empty()) {
            system.stats.occurred(TRUE_CALLS, 1);
            self.lower(system, task);
            system.push(task, Action::Cross(CrossingKind::SystemCallEntry));
            return;
        }
        let context = Context::mechanism(Mode::Kernel);
        if self.settings.variant == ElevatedVariant::Int3 {
            // the handler sets the return address to the function: IRET goes there, and the function returns to the program
            system.push(task, Action::Cross(CrossingKind::IntEntry { from: Mode::Kernel }));
            system.push(task, Action::Instructions(context, self.settings.probe_instructions));
            system.push(task, Action::Cross(CrossingKind::IntExit { to: Mode::Kernel }));
        }
        if self.settings.glue_instructions > 0 {
            system.push(task, Action::Instructions(context, self.settings.glue_instructions));
        }
        if self.settings.preemption == KernelPreemption::Voluntary {
            self.preemption_point(system, task);
        }
    }

    /// Back to the program's code.
    pub fn leave(&mut self, system: &mut System, task: TaskId) {
        if self.lowered {
            system.push(task, Action::Cross(CrossingKind::SystemCallExit));
            self.elevate(system, task);
        } else if self.settings.deferred_work == DeferredWork::EachCall {
            self.preemption_point(system, task);
        }
    }

    fn preemption_point(&self, system: &mut System, task: TaskId) {
        if self.settings.preemption != KernelPreemption::Full {
            system.push_effect(task, Effect::PreemptionPoint);
        }
    }

    /// What a call has left for the way out of the kernel, which this thread does not take.
    pub fn exit_work(&mut self, system: &mut System, task: TaskId, work: Vec<Action>) {
        match self.settings.deferred_work {
            DeferredWork::EachCall => {
                system.stats.occurred(DEFERRED_WORK_RUNS, 1);
                system.tasks[task.index()].actions.extend(work);
            }
            DeferredWork::TrueCall => self.waiting.extend(work),
        }
    }

    /// True when work for a request waits for the next exit to user mode.
    pub fn has_waiting_work(&self, request: Slot) -> bool {
        self.waiting.iter().any(|action| match action {
            Action::Block { slot, .. } | Action::Effect(Effect::Close(slot)) => *slot == request,
            _ => false,
        })
    }

    /// Puts an action behind the work that waits.
    pub fn defer(&mut self, action: Action) {
        self.waiting.push(action);
    }

    /// Counts calls whose recording has no cut at the depth that was asked for.
    pub fn found(&mut self, system: &mut System, found: Part) {
        if !std::mem::take(&mut self.fresh) || self.lowered || found == self.part() {
            return;
        }
        let name = match found {
            Part::Whole => FELL_BACK_TO_WHOLE,
            Part::Handler => FELL_BACK_TO_ENTRY,
            Part::FileLayer | Part::Protocol => FELL_BACK_TO_FILE,
        };
        system.stats.occurred(name, 1);
    }
}

/// A remark on calls that did not run at the depth asked for, for the report.
pub fn depth_note(depth: Depth, occurrences: &[(&'static str, u64)], calls: u64) -> Option<String> {
    let count = |wanted: &str| occurrences.iter().filter(|(name, _)| *name == wanted).map(|(_, count)| count).sum::<u64>();
    let names = [("file", FELL_BACK_TO_FILE), ("entry", FELL_BACK_TO_ENTRY), ("whole", FELL_BACK_TO_WHOLE)];
    let parts: Vec<String> = names
        .iter()
        .map(|(name, occurrence)| (name, count(occurrence)))
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{:.1} % ran at depth {name}", count as f64 * 100.0 / calls.max(1) as f64))
        .collect();
    let depth = depth.name();
    (!parts.is_empty()).then(|| format!("of the calls {}: their recordings have no cut at depth {depth}", parts.join(", ")))
}

/// A recorded call that does nothing, where its handler ends, and its length: elevate executes the part up to there, lower the rest.
fn level_change(system: &mut System) -> (BlockId, usize, usize) {
    let block = system.pick_kernel(|kernel| &kernel.null_call);
    let info = system.workload.blocks.info(block);
    let end = (info.end - info.start) as usize;
    (block, info.span(Cut::Handler).map_or(end, |handler| handler.end), end)
}

fn push_kernel(system: &mut System, task: TaskId, block: BlockId, range: std::ops::Range<usize>) {
    if !range.is_empty() {
        let (start, end) = (range.start as u32, range.end as u32);
        system.push(task, Action::Block { block, start, end, context: Context::mechanism(Mode::Kernel), slot: Slot::NONE });
    }
}
