//! In-kernel services (WYKIWYG; today's cousin is eBPF): the request is answered in the receive softirq. See
//! docs/mechanisms/in-kernel-dsl.md.

mod actions;
mod messages;
mod recorded;
mod service;
mod wyki_driver;

pub use messages::Exchange;
pub use recorded::InKernel;
pub use service::{ServiceError, choose, needs, reason_without};
pub use wyki_driver::WykiService;

use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::connection::ConnectionState;
use os_model::system::System;
use sim_core::block::{BlockId, Cut};
use sim_core::context::Context;
use sim_core::ids::Mode;
use sim_core::workload::{Effect, Step};

/// A service receives, sends, accepts and closes. Files are pinned in the kernel when the service is installed, so open, fstat and close
/// of a file go away, and so do socket options (they hold for the service) and the log (left to user space) — except the option that
/// lets a corked socket's packet go (nginx clears TCP_CORK after its last send): the packet has to leave.
fn is_protocol_work(system: &System, step: &Step) -> bool {
    step.effect != Effect::None || transmits(system, step.kernel)
}

fn transmits(system: &System, block: BlockId) -> bool {
    system.workload.blocks.info(block).span(Cut::Transmit).is_some()
}

/// A service answers a connection's only request: the program never sees the connection.
fn take_over(system: &mut System, slot: Slot) {
    let connection = system.requests[slot.index()].connection;
    if !system.has_sessions() {
        system.connections[connection.index()].state = ConnectionState::Open;
    }
}

/// One call that a service makes of the protocol (or of the socket layer), with its checks.
fn push_call(system: &mut System, step: &Step, slot: Slot, part: Part, checks: u32, out: &mut Vec<Action>) {
    out.push(Action::Instructions(Context::mechanism(Mode::Kernel), checks));
    system.call_actions(step, slot, part, out);
}
