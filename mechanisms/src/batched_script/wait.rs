//! Waiting inside a script: readiness calls, and receives that block.

use super::BatchedScript;
use super::descriptors::Target;
use super::invocation::{Held, Invoked, Tried};
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::connection::Ready;
use os_model::system::System;
use script::{Answer, Call, Value};
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::TaskId;

impl BatchedScript {
    /// `sys.epoll_wait(set, most, timeout)`: events, or sleep. A timeout of 0 returns at once; any other waits until something is ready.
    pub(super) fn readiness(&mut self, system: &mut System, task: TaskId, invoked: &mut Invoked, call: &Call) -> Tried {
        let Some(poller) = self.thread(task).poller else { return Tried::Done(Answer::Error("EBADF")) };
        let Some(wait) = &system.workload.wait else { return Tried::Done(Answer::Error("ENOSYS")) };
        let context = Context::call(wait.call);
        let number = |index: usize| call.arguments.get(index).and_then(Value::as_integer);
        let most = number(1).unwrap_or(i64::from(wait.max_events)).clamp(0, 1 << 16) as usize;
        // clients of a datagram server share one socket, which is one event; the script receives from it as often as it has messages
        let events = system.ready_events(poller, most);
        if events.is_empty() && number(2) != Some(0) {
            if invoked.slept {
                system.wait_on(poller, task);
                return Tried::Asleep;
            }
            system.push(task, Action::Count(wait.call, Slot::NONE));
            let sleep = system.pick(&wait.sleep);
            self.push_handler(system, task, sleep, context, Slot::NONE);
            return Tried::Sleeps;
        }
        if !invoked.slept {
            system.push(task, Action::Count(wait.call, Slot::NONE));
        }
        let first = if invoked.slept { system.pick(&wait.wake) } else { system.pick(&wait.head) };
        self.push_handler(system, task, first, context, Slot::NONE);
        let reported = if system.workload.datagram { &events[..events.len().min(1)] } else { &events[..] };
        system.push_wait_events(task, reported);
        invoked.limited |= system.pollers[poller].ready.len() > events.len();
        invoked.completed += 1;
        let list = events.iter().map(|event| self.event(system, invoked, *event)).collect();
        Tried::Done(Answer::Values(vec![Value::Integer(events.len() as i64), Value::List(list)]))
    }

    /// An event as the script sees it. The request behind it is in the script's hands from here on.
    fn event(&self, system: &System, invoked: &mut Invoked, event: Ready) -> Value {
        match event {
            Ready::Listener => Value::Record(vec![("fd", Target::Listener.descriptor()), ("listener", Value::Boolean(true))]),
            Ready::Connection(connection) => {
                if let Some(slot) = system.waiting_request(connection)
                    && !invoked.held.iter().any(|held| held.slot == slot)
                {
                    invoked.held.push(Held { slot, due: system.requests[slot.index()].step });
                }
                Value::Record(vec![("fd", Target::Connection(connection).descriptor())])
            }
        }
    }

    /// A blocking receive that finds nothing.
    pub(super) fn sleep_in_receive(&mut self, system: &mut System, task: TaskId, invoked: &Invoked, call: CallNumber) -> Tried {
        if invoked.slept {
            let connection = self.thread(task).connection;
            system.connections[connection.index()].blocked = Some(task);
            return Tried::Asleep;
        }
        let sleep = system.pick(&system.workload.blocking.sleep);
        self.push_handler(system, task, sleep, Context::call(call), Slot::NONE);
        Tried::Sleeps
    }

    /// The way back from the sleep of a blocking receive.
    pub(super) fn wake_in_receive(&mut self, system: &mut System, task: TaskId, invoked: &Invoked, call: CallNumber) {
        if invoked.slept {
            let wake = system.pick(&system.workload.blocking.wake);
            self.push_handler(system, task, wake, Context::call(call), Slot::NONE);
        }
    }

    /// A recorded piece without the kernel's entry and exit code.
    pub(super) fn push_handler(&self, system: &mut System, task: TaskId, block: BlockId, context: Context, slot: Slot) {
        let (range, _) = Part::Handler.range(system.workload.blocks.info(block));
        if !range.is_empty() {
            let (start, end) = (range.start as u32, range.end as u32);
            system.push(task, Action::Block { block, start, end, context, slot });
        }
    }
}
