//! What one crossing costs directly, part by part.

use crate::machine::Machine;
use sim_core::ids::{Cycles, Mode};
use sim_core::stack::CrossingPart;

/// One half of a crossing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossingKind {
    /// SYSCALL, from user mode.
    SystemCallEntry,
    /// SYSRET, to user mode.
    SystemCallExit,
    /// A hardware interrupt is delivered.
    InterruptEntry {
        /// Mode that it interrupts.
        from: Mode,
    },
    /// IRET from an interrupt.
    InterruptExit {
        /// Mode that it returns to.
        to: Mode,
    },
    /// An exception (page fault) is delivered.
    ExceptionEntry {
        /// Mode that raised it.
        from: Mode,
    },
    /// IRET from an exception.
    ExceptionExit {
        /// Mode that it returns to.
        to: Mode,
    },
    /// INT n or an INT3 probe.
    IntEntry {
        /// Mode that executes it.
        from: Mode,
    },
    /// IRET from an INT n.
    IntExit {
        /// Mode that it returns to.
        to: Mode,
    },
}

impl CrossingKind {
    /// The mode on the other side of the kernel: where an entry comes from, where an exit goes to.
    pub fn outer(self) -> Mode {
        match self {
            CrossingKind::SystemCallEntry | CrossingKind::SystemCallExit => Mode::User,
            CrossingKind::InterruptEntry { from } | CrossingKind::ExceptionEntry { from } | CrossingKind::IntEntry { from } => from,
            CrossingKind::InterruptExit { to } | CrossingKind::ExceptionExit { to } | CrossingKind::IntExit { to } => to,
        }
    }

    /// True for the way in.
    pub fn is_entry(self) -> bool {
        matches!(
            self,
            CrossingKind::SystemCallEntry
                | CrossingKind::InterruptEntry { .. }
                | CrossingKind::ExceptionEntry { .. }
                | CrossingKind::IntEntry { .. }
        )
    }

    /// Latency of the instruction or of the delivery itself.
    fn own_cycles(self, machine: &Machine) -> u32 {
        let crossing = &machine.crossing;
        match self {
            CrossingKind::SystemCallEntry => crossing.syscall_cycles,
            CrossingKind::SystemCallExit => crossing.sysret_cycles,
            CrossingKind::InterruptEntry { .. } => crossing.interrupt_cycles,
            CrossingKind::ExceptionEntry { .. } | CrossingKind::IntEntry { .. } => crossing.int_cycles,
            CrossingKind::InterruptExit { .. } | CrossingKind::ExceptionExit { .. } | CrossingKind::IntExit { .. } => {
                crossing.iret_cycles
            }
        }
    }
}

/// Cycles of one half of a crossing, in the order in which they pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CrossingCost {
    /// By part, zeros included.
    pub parts: [(Option<CrossingPart>, Cycles); 5],
}

/// What the window still holds when a crossing begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Instructions since the window was empty last.
    pub instructions: u64,
    /// Cycles until the longest outstanding miss is there.
    pub outstanding_cycles: Cycles,
}

/// Cycles until the window is empty: what it holds leaves at full width, and not before the last miss is there.
fn drain(machine: &Machine, window: Window) -> Cycles {
    let full = window.instructions.min(u64::from(machine.rob)) / u64::from(machine.width);
    full.min(u64::from(machine.crossing.drain_cycles)).max(window.outstanding_cycles)
}

/// Direct cost of a crossing. Between user and kernel, drain and refetch are the user's; inside the kernel they belong to the entry and
/// the exit, and no page table, barrier or return stack changes.
pub(crate) fn cost(machine: &Machine, kind: CrossingKind, mitigations: bool, window: Window, lost_returns: u32) -> CrossingCost {
    let own = Cycles::from(kind.own_cycles(machine));
    let refetch = Cycles::from(machine.crossing.refetch_cycles);
    let isolated = mitigations && machine.facts.meltdown_affected;
    let page_table = if isolated { Cycles::from(machine.crossing.page_table_cycles) } else { 0 };
    let mut cost = CrossingCost::default();
    match (kind.is_entry(), kind.outer()) {
        (true, Mode::User) => {
            let barrier = machine.crossing.barrier_cycles + machine.facts.return_stack_mitigation_cycles;
            cost.parts[0] = (Some(CrossingPart::Drain), drain(machine, window));
            cost.parts[1] = (Some(CrossingPart::Entry), own);
            cost.parts[2] = (Some(CrossingPart::PageTable), page_table);
            cost.parts[3] = (Some(CrossingPart::Barrier), if mitigations { Cycles::from(barrier) } else { 0 });
        }
        (false, Mode::User) => {
            let returns = Cycles::from(lost_returns) * Cycles::from(machine.branch.mispredict_cycles);
            cost.parts[0] = (Some(CrossingPart::PageTable), page_table);
            cost.parts[1] = (Some(CrossingPart::Exit), own);
            cost.parts[2] = (Some(CrossingPart::Refetch), refetch + returns);
        }
        (true, Mode::Kernel) => cost.parts[0] = (Some(CrossingPart::Entry), drain(machine, window) + own),
        (false, Mode::Kernel) => cost.parts[0] = (Some(CrossingPart::Exit), own + refetch),
    }
    cost
}
