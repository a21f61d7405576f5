//! Received packets: the softirq at the end of an interrupt, and the thread that it leaves packets to when there are too many.

use super::{Next, System};
use crate::action::{Action, Effect, Slot};
use crate::network::Packet;
use crate::stats::SOFTIRQS_LEFT_TO_THREAD;
use crate::task::{FrameStep, SoftirqProgress};
use cpu_model::CrossingKind;
use sim_core::block::BlockId;
use sim_core::context::{Agent, Context};
use sim_core::ids::{CoreId, TaskId};
use sim_core::workload::PacketKind;

impl System<'_> {
    /// A softirq begins, in an interrupt or in its thread.
    pub(super) fn begin_softirq(&mut self, core: CoreId) {
        let now = self.cpu.clock(core);
        self.cores[core.index()].softirq = SoftirqProgress { since: now, passes: 1, pass_since: now, ..SoftirqProgress::default() };
    }

    /// The driver's poll, before the first packet and after each budget of packets.
    pub(super) fn driver_poll(&mut self) -> Action {
        let block = self.pick_kernel(|kernel| &kernel.poll);
        self.whole(block, Context::kernel(Agent::SOFTIRQ), Slot::NONE)
    }

    /// The softirq of an interrupt takes the next packet, leaves the rest to the thread, or ends.
    pub(super) fn poll(&mut self, core: CoreId) {
        let index = core.index();
        if self.pass_is_over(core) && !self.queues[index].ring.is_empty() {
            if self.was_long(core) {
                return self.leave_to_thread(core);
            }
            self.next_pass(core);
        }
        if self.budget_is_used_up(core) {
            let action = self.driver_poll();
            self.cores[index].frame.push_back(FrameStep::Do(action));
        }
        match self.queues[index].ring.pop_front() {
            Some(packet) => {
                let actions = self.packet_actions(core, packet);
                let frame = &mut self.cores[index].frame;
                frame.extend(actions.map(FrameStep::Do));
                frame.push_back(FrameStep::Poll);
            }
            None => {
                self.queues[index].polling = false;
                self.exit_interrupt(core);
            }
        }
    }

    /// What the thread does next. Tasks that wait go first between two passes.
    pub(super) fn softirq_thread_next(&mut self, task: TaskId) -> Next {
        let core = self.tasks[task.index()].core;
        let index = core.index();
        self.tasks[task.index()].preemptible = false;
        if self.queues[index].ring.is_empty() {
            self.queues[index].polling = false;
            return Next::Sleep;
        }
        if self.pass_is_over(core) {
            self.begin_softirq(core);
            self.tasks[task.index()].preemptible = true;
            let action = self.driver_poll();
            self.push(task, action);
            return Next::Continue;
        }
        if self.budget_is_used_up(core) {
            let action = self.driver_poll();
            self.push(task, action);
        }
        if let Some(packet) = self.queues[index].ring.pop_front() {
            let actions = self.packet_actions(core, packet);
            self.tasks[task.index()].actions.extend(actions);
        }
        Next::Continue
    }

    fn pass_is_over(&self, core: CoreId) -> bool {
        let spec = &self.kernel.network.softirq;
        let progress = &self.cores[core.index()].softirq;
        let pass = self.cpu.clock(core).saturating_sub(progress.pass_since);
        spec.passes > 0 && (progress.pass_packets >= spec.pass_packets || pass >= self.microseconds(spec.pass_us as f64))
    }

    /// True when no further pass may begin in this interrupt.
    fn was_long(&self, core: CoreId) -> bool {
        let spec = &self.kernel.network.softirq;
        let entry = &self.cores[core.index()];
        let taken = self.cpu.clock(core).saturating_sub(entry.softirq.since);
        let waited_for = entry.reschedule || (entry.current == entry.idle && !entry.run_queue.is_empty());
        let ended = waited_for || taken >= self.microseconds(spec.interrupt_us as f64);
        entry.softirq.passes >= spec.passes || (spec.interrupt_us > 0 && ended)
    }

    fn next_pass(&mut self, core: CoreId) {
        let now = self.cpu.clock(core);
        let progress = &mut self.cores[core.index()].softirq;
        (progress.passes, progress.pass_since, progress.pass_packets) = (progress.passes + 1, now, 0);
    }

    /// True once after each budget of packets: the driver then polls anew.
    fn budget_is_used_up(&mut self, core: CoreId) -> bool {
        let progress = &mut self.cores[core.index()].softirq;
        let used_up = progress.polled_packets >= self.kernel.network.poll_budget_packets;
        if used_up {
            progress.polled_packets = 0;
        }
        used_up
    }

    /// One packet through driver and protocols.
    fn packet_actions(&mut self, core: CoreId, packet: Packet) -> impl Iterator<Item = Action> + use<> {
        let progress = &mut self.cores[core.index()].softirq;
        progress.polled_packets += 1;
        progress.pass_packets += 1;
        self.stats.packets_received += 1;
        let driver = self.pick_kernel(|kernel| &kernel.driver_receive);
        let protocol = self.pick_receive(packet.kind);
        let context = Context::kernel(Agent::SOFTIRQ);
        let (driver, protocol) = (self.whole(driver, context, packet.slot), self.whole(protocol, context, packet.slot));
        [driver, protocol, Action::Effect(Effect::Deliver(packet))].into_iter()
    }

    /// The thread goes on where the softirq stops. The card's interrupt stays off: packets gather in the ring.
    fn leave_to_thread(&mut self, core: CoreId) {
        let now = self.cpu.clock(core);
        let thread = self.softirq_thread(core);
        // a kernel thread borrows the address space of whoever runs
        self.tasks[thread.index()].process = self.tasks[self.cores[core.index()].current.index()].process;
        self.stats.occurred(SOFTIRQS_LEFT_TO_THREAD, 1);
        self.wake(thread, now, Some(core));
        self.exit_interrupt(core);
    }

    fn exit_interrupt(&mut self, core: CoreId) {
        let block = self.pick_kernel(|kernel| &kernel.interrupt_exit);
        let action = self.whole(block, Context::kernel(Agent::INTERRUPT), Slot::NONE);
        let to = self.mode_of_current(core);
        let frame = &mut self.cores[core.index()].frame;
        frame.push_back(FrameStep::Do(action));
        frame.push_back(FrameStep::Do(Action::Cross(CrossingKind::InterruptExit { to })));
    }

    /// The softirq thread of a core: behind the idle tasks, one a core.
    fn softirq_thread(&self, core: CoreId) -> TaskId {
        TaskId(self.cores.len() as u32 + u32::from(core.0))
    }

    /// A recorded receive stretch of the packet's kind; of data if the kind was not recorded.
    pub(crate) fn pick_receive(&mut self, kind: PacketKind) -> BlockId {
        let workload = self.workload;
        let of = |wanted: PacketKind| -> Vec<BlockId> {
            workload.kernel.receive.iter().filter(|entry| entry.0 == wanted).map(|entry| entry.1).collect()
        };
        let mut blocks = of(kind);
        if blocks.is_empty() {
            blocks = of(PacketKind::Data);
        }
        self.pick(&blocks)
    }
}
