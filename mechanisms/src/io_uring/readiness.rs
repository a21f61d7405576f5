//! The readiness call of an event loop that uses its ring for batching only.

use super::IoUring;
use super::user::Phase;
use crate::issue::Issuer;
use os_model::action::{Action, Slot};
use os_model::connection::Ready;
use os_model::system::{Next, System};
use sim_core::block::BlockId;
use sim_core::context::Context;
use sim_core::ids::TaskId;

impl IoUring {
    /// Into the readiness call.
    pub(super) fn enter_readiness(&mut self, system: &mut System, index: usize, task: TaskId) -> Next {
        let Some(wait) = &system.workload.wait else { return Next::Sleep };
        let user = system.pick_wait_user(wait, self.threads[index].last_events);
        Issuer::Crossing.user_block(system, task, user, Slot::NONE);
        Issuer::Crossing.enter(system, task, true);
        system.push(task, Action::Count(wait.call, Slot::NONE));
        self.threads[index].phase = Phase::ReadinessEntered;
        Next::Continue
    }

    /// In the readiness call: return what is ready, or sleep.
    pub(super) fn look_for_events(&mut self, system: &mut System, index: usize, task: TaskId, slept: bool) -> Next {
        let Some(wait) = &system.workload.wait else { return Next::Sleep };
        let context = Context::call(wait.call);
        let poller = self.threads[index].poller;
        let events = system.ready_events(poller, wait.max_events.max(1) as usize);
        if events.is_empty() {
            if slept {
                system.wait_on(poller, task);
                return Next::Sleep;
            }
            let sleep = system.pick(&wait.sleep);
            Issuer::Crossing.piece(system, task, sleep, context, Slot::NONE);
            self.threads[index].phase = Phase::ReadinessAsleep;
            return if sleep == BlockId::EMPTY { self.look_for_events(system, index, task, true) } else { Next::Continue };
        }
        let first = if slept { system.pick(&wait.wake) } else { system.pick(&wait.head) };
        Issuer::Crossing.piece(system, task, first, context, Slot::NONE);
        // clients of a datagram server share one socket: one descriptor is ready, whatever the number of messages
        let reported = if system.workload.datagram { &events[..1] } else { &events[..] };
        system.push_wait_events(task, reported);
        Issuer::Crossing.leave(system, task);
        let thread = &mut self.threads[index];
        thread.last_events = reported.len() as u32;
        thread.phase = Phase::User;
        for event in events {
            match event {
                // as many accepts as connections wait
                Ready::Listener => {
                    let waiting = system.pollers[poller].accept_queue.len();
                    thread.ready.extend(std::iter::repeat_n(event, waiting));
                }
                Ready::Connection(_) => thread.ready.push_back(event),
            }
        }
        Next::Continue
    }
}
