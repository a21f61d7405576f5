//! The recorded form: the service executes the request class's recorded user work, less the event loop's, in kernel mode, and calls the
//! protocol directly. What it cannot answer goes up to user space, where the program runs as under the synchronous mechanism.

use super::{is_protocol_work, push_call};
use crate::issue::Issuer;
use crate::program::{Direct, HOOK_SERVED, finish};
use crate::settings::{InKernelSettings, SyncSettings};
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::connection::Purpose;
use os_model::system::{Driver, Next, System};
use os_model::task::FrameStep;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, Mode, TaskId};
use sim_core::workload::{Effect, Object, Step};

/// The driver.
#[derive(Debug)]
pub struct InKernel {
    settings: InKernelSettings,
    rest: Direct,
    /// Requests answered in the kernel.
    pub answered: u64,
    /// Requests that went up to user space.
    pub passed_up: u64,
}

impl InKernel {
    /// Installs the service; the program stays for what it cannot answer.
    pub fn new(system: &mut System, settings: &InKernelSettings) -> InKernel {
        InKernel {
            settings: settings.clone(),
            rest: Direct::new(system, &SyncSettings::default(), |_| Issuer::Crossing),
            answered: 0,
            passed_up: 0,
        }
    }

    /// The service's work for one request.
    fn serve(&mut self, system: &mut System, core: CoreId, slot: Slot) {
        let own = Context::mechanism(Mode::Kernel);
        let mut actions = vec![Action::Instructions(own, self.settings.dispatch_instructions)];
        for step in system.steps(slot) {
            if runs_user_work(step) {
                actions.push(system.whole(step.user, Context::ELEVATED, slot));
            }
            if is_protocol_work(system, step) {
                push_call(system, step, slot, Part::Protocol, self.settings.call_instructions, &mut actions);
            }
        }
        actions.push(Action::Hook(HOOK_SERVED, u64::from(slot.0)));
        // ahead of what the softirq still has to do
        let frame = &mut system.cores[core.index()].frame;
        for action in actions.into_iter().rev() {
            frame.push_front(FrameStep::Do(action));
        }
    }
}

/// The work before a receive or an accept is the event loop's.
fn runs_user_work(step: &Step) -> bool {
    !matches!(step.effect, Effect::Receive | Effect::Accept) && step.object != Object::Epoll
}

impl Driver for InKernel {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        self.rest.next(system, task)
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        if kind == HOOK_SERVED {
            finish(system, core, Slot(value as u32));
        }
    }

    /// A connection that carries several requests is the program's to accept and to close; the service answers in between.
    fn takes_connection(&mut self, system: &mut System, connection: ConnectionId) -> bool {
        if system.has_sessions() {
            return false;
        }
        let slot = system.connections[connection.index()].request;
        system.class(slot).in_kernel
    }

    fn delivered(&mut self, system: &mut System, core: CoreId, slot: Slot) -> bool {
        if system.requests[slot.index()].purpose != Purpose::Request {
            return false;
        }
        if !system.class(slot).in_kernel {
            self.passed_up += 1;
            return false;
        }
        super::take_over(system, slot);
        self.answered += 1;
        self.serve(system, core, slot);
        true
    }
}
