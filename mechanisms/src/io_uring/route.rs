//! Which calls a ring can take, and what stands around each in the kernel.

use super::operations;
use crate::settings::{IoUringSettings, Punted};
use os_model::calls::Part;
use os_model::system::System;
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::workload::{Around, Effect, Object, RingBlocks, Step};

/// How the port issues a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// It goes away: a ring needs no interest list.
    Dropped,
    /// An ordinary system call: there is no operation for it, or it would go to a worker.
    Direct,
    /// An entry that the kernel executes inline, or when its data is there.
    Inline(Operation),
    /// An entry that a worker thread executes.
    Worker,
}

/// What the kernel executes around the call's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// IORING_OP_RECV, RECVMSG.
    Receive,
    /// IORING_OP_SEND, SENDMSG.
    Send,
    /// IORING_OP_READ of a file.
    Read,
    /// Any other: what is recorded of an entry that does nothing.
    Other,
}

/// How the port issues a step's call.
pub(super) fn route(step: &Step, settings: &IoUringSettings) -> Route {
    let name = step.call.name();
    if step.object == Object::Epoll {
        return Route::Dropped;
    }
    let waits = matches!(step.effect, Effect::Receive | Effect::Accept);
    if !waits && !operations::exists(name) {
        return Route::Direct;
    }
    let on_socket = matches!(step.object, Object::Stream | Object::Datagram | Object::Listener);
    if !on_socket && step.object != Object::Pipe && settings.worker_calls.iter().any(|call| call == name) {
        return match settings.punted {
            Punted::Direct => Route::Direct,
            Punted::Worker => Route::Worker,
        };
    }
    Route::Inline(operation(step, on_socket))
}

fn operation(step: &Step, on_socket: bool) -> Operation {
    match step.effect {
        Effect::Receive => return Operation::Receive,
        Effect::Send | Effect::SendLast => return Operation::Send,
        Effect::Accept | Effect::Close => return Operation::Other,
        Effect::None => {}
    }
    match (step.call.name(), on_socket) {
        ("read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg", true) => Operation::Receive,
        ("write" | "writev" | "sendto" | "sendmsg" | "sendmmsg", true) => Operation::Send,
        ("read" | "readv" | "pread64" | "preadv" | "preadv2", false) => Operation::Read,
        _ => Operation::Other,
    }
}

/// True for a call that may have to wait for storage.
pub(super) fn may_wait_for_storage(call: CallNumber, operation: Operation) -> bool {
    operation == Operation::Read || matches!(call.name(), "open" | "openat" | "openat2")
}

/// True when a call can be linked to `before`, on which it depends: that one's result is neither data nor a descriptor that the
/// program must see first.
pub(super) fn linkable(before: &Step, settings: &IoUringSettings) -> bool {
    let makes_descriptor = matches!(before.call.name(), "open" | "openat" | "openat2" | "accept" | "accept4" | "socket");
    if makes_descriptor {
        return settings.direct_descriptors;
    }
    let brings_data = matches!(before.effect, Effect::Receive | Effect::Accept)
        || before.call.name().contains("read")
        || before.call.name().contains("recv")
        || before.call.name().contains("stat");
    !brings_data
}

impl Operation {
    /// The recorded pieces around the call's own work at submission, and from where on that work is the call's.
    pub(super) fn around(self, system: &mut System) -> (Around, Part) {
        let workload = system.workload;
        match self {
            Operation::Receive => (pick_pair(system, &workload.kernel.ring.receive), Part::Protocol),
            Operation::Send => (pick_pair(system, &workload.kernel.ring.send), Part::Protocol),
            Operation::Read => (pick_pair(system, &workload.kernel.ring.read), Part::Protocol),
            Operation::Other => (other(system), Part::FileLayer),
        }
    }

    /// The same in task work, where an armed poll is followed by another attempt.
    pub(super) fn around_in_task_work(self, system: &mut System) -> (Around, Part) {
        let workload = system.workload;
        match self {
            Operation::Receive => (pick_pair(system, &workload.kernel.ring.task_receive), Part::Protocol),
            other => other.around(system),
        }
    }
}

fn other(system: &mut System) -> Around {
    let workload = system.workload;
    (system.pick(&workload.kernel.ring.nop), BlockId::EMPTY)
}

/// One of several recorded pairs.
pub(super) fn pick_pair(system: &mut System, pairs: &[Around]) -> Around {
    let before: Vec<BlockId> = pairs.iter().map(|pair| pair.0).collect();
    let chosen = system.pick(&before);
    pairs.iter().find(|pair| pair.0 == chosen).copied().unwrap_or((BlockId::EMPTY, BlockId::EMPTY))
}

/// One recorded piece of io_uring's own work.
pub(super) fn pick(system: &mut System, kind: impl Fn(&RingBlocks) -> &Vec<BlockId>) -> BlockId {
    let workload = system.workload;
    system.pick(kind(&workload.kernel.ring))
}
