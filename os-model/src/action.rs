//! What a task does next, in units that the core loop executes: blocks, crossings, single touches and effects.

use cpu_model::CrossingKind;
use sim_core::block::{BlockId, OpKind};
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, Cycles, Line, Mode, TaskId};
use sim_core::stack::Component;

/// A request's place in the table of requests in flight. Slot 0 stands for "no request".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// Work that belongs to no request.
    pub const NONE: Slot = Slot(0);

    /// Index into the request table.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One step of execution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    /// Executes ops `start..end` of a block.
    Block {
        /// The block.
        block: BlockId,
        /// First op.
        start: u32,
        /// One past the last op.
        end: u32,
        /// Who executes.
        context: Context,
        /// Whose instance-bound lines it touches.
        slot: Slot,
    },
    /// Crosses between the modes.
    Cross(CrossingKind),
    /// Instructions without recorded lines (glue of a mechanism).
    Instructions(Context, u32),
    /// Cycles of a fixed cost.
    Spend(Component, Cycles),
    /// One access to a line (a syscall-page entry, a ring).
    Touch(Context, Line, OpKind),
    /// One execution of a handler begins, however it was issued, for a request.
    Count(CallNumber, Slot),
    /// Changes simulated objects.
    Effect(Effect),
    /// Hands control to the mechanism.
    Hook(u32, u64),
}

/// Changes to simulated objects, applied when execution reaches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Part of a reply left through the network card.
    Send(Slot, u32),
    /// The last bytes of a reply left.
    SendLast(Slot, u32),
    /// The server closed the request's connection.
    Close(Slot),
    /// A packet has gone through the server's protocol receive path.
    Deliver(crate::network::Packet),
    /// Wakes a task.
    Wake(TaskId),
    /// A recorded client took a reply and sends its next request.
    ClientTurn(ConnectionId),
    /// The task's own code runs in this mode from here on.
    Level {
        /// User, or kernel for elevated code.
        mode: Mode,
        /// The scheduler may take the processor anywhere; otherwise only at a preemption point or when the task sleeps.
        preemptible: bool,
    },
    /// A place at which a task that is not preemptible lets a due rescheduling happen.
    PreemptionPoint,
}
