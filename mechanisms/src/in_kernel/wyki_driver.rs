//! The driver of services written in WYKI: each request's bytes go through the compiled service, whose verdict decides what follows.

use super::actions::Recorder;
use super::messages::{Exchange, Messages};
use super::service::{Places, ServiceError, choose, threads};
use super::{is_protocol_work, push_call};
use crate::issue::Issuer;
use crate::program::{Direct, HOOK_SERVED, finish};
use crate::settings::{InKernelSettings, SyncSettings};
use cpu_model::CrossingKind;
use os_model::action::{Action, Effect as SystemEffect, Slot};
use os_model::calls::Part;
use os_model::connection::{ConnectionState, Purpose};
use os_model::system::{Driver, Next, System};
use os_model::task::FrameStep;
use sim_core::block::{Op, OpKind, Region};
use sim_core::context::{Agent, Context};
use sim_core::ids::{ConnectionId, CoreId, Line, Mode, TaskId};
use sim_core::payload::Payload;
use sim_core::workload::Effect;
use std::collections::VecDeque;
use wyki::{Service, Silent, State, Trace, Verdict};

/// The service passed a request up: the program gets it.
const HOOK_UP: u32 = 101;
/// The service waits for the rest of a message, which is under way.
const HOOK_MORE: u32 = 102;
/// The service left a message without an answer.
const HOOK_UNANSWERED: u32 = 103;

/// The driver.
pub struct WykiService {
    settings: InKernelSettings,
    payload: Payload,
    service: Service,
    state: State,
    places: Places,
    messages: Messages,
    rest: Direct,
    threads: Vec<Thread>,
    first_thread: u32,
    /// Every message with what became of it, when a test asks for it by putting an empty list here.
    pub exchanges: Option<Vec<Exchange>>,
}

/// A kernel thread that serves sessions where threads are not collapsed.
#[derive(Debug)]
struct Thread {
    task: TaskId,
    waiting: VecDeque<Slot>,
}

impl WykiService {
    /// Installs the service of the workload; the program stays for what it passes up.
    ///
    /// # Errors
    /// When no service can be installed.
    pub fn new(system: &mut System, settings: &InKernelSettings) -> Result<WykiService, ServiceError> {
        let service = choose(system.workload, settings)?;
        let Some(payload) = system.workload.payload else {
            return Err(ServiceError::NoBytes(super::reason_without(system.workload).unwrap_or_default()));
        };
        let (cores, connections) = (system.cores.len() as u32, system.connections.len() as u32);
        let places = Places::new(&service, cores, connections, system.bases.mechanism(), system.bases.mechanism_superpages());
        let rest = Direct::new(system, &SyncSettings::default(), |_| Issuer::Crossing);
        let first_thread = system.tasks.len() as u32;
        let threads = (0..threads(&service, cores, connections))
            .map(|index| {
                let core = match service.protocol() {
                    wyki::Protocol::Udp => CoreId(index as u16),
                    wyki::Protocol::Tcp => system.connections[index as usize].queue,
                };
                Thread { task: system.add_task(core, 0, 0), waiting: VecDeque::new() }
            })
            .collect();
        let mut state = State::new(&service);
        if settings.preload {
            preload(&service, &mut state, &payload, system.workload.keys.max(1));
        }
        Ok(WykiService {
            messages: Messages::new(system, payload, settings.malformed_permille),
            settings: settings.clone(),
            payload,
            service,
            state,
            places,
            rest,
            threads,
            first_thread,
            exchanges: None,
        })
    }

    /// The service reads a message: what the core executes, up to the hook that ends it.
    fn serve(&mut self, system: &mut System, core: CoreId, slot: Slot) -> Vec<Action> {
        let connection = system.requests[slot.index()].connection;
        let line = message_line(system, core, slot);
        let (message, _) = self.messages.of(system, slot);
        let bytes = std::mem::take(&mut message.packet);
        let mut recorder = Recorder::new(&self.places, line, core);
        let verdict = self.service.handle(&mut self.state, connection.0, &bytes, &mut recorder);
        let yields = recorder.yields;
        let mut actions = vec![Action::Instructions(Context::mechanism(Mode::Kernel), self.settings.dispatch_instructions)];
        actions.append(&mut recorder.actions);
        if yields > 0 {
            system.stats.occurred("yields", yields);
        }
        self.note(connection, bytes, &verdict);
        match verdict {
            Verdict::Reply(reply) => self.answer(system, slot, &reply, &mut actions),
            Verdict::Up => self.pass_up(system, slot, &mut actions),
            Verdict::NeedMore => {
                let (message, _) = self.messages.of(system, slot);
                let hook = if message.torn { HOOK_MORE } else { HOOK_UNANSWERED };
                system.stats.occurred("messages that came in pieces", u64::from(message.torn));
                message.torn = false;
                message.packet = message.whole.clone();
                actions.push(Action::Hook(hook, u64::from(slot.0)));
            }
            Verdict::Drop => actions.push(Action::Hook(HOOK_UNANSWERED, u64::from(slot.0))),
        }
        actions
    }

    fn note(&mut self, connection: ConnectionId, message: Vec<u8>, verdict: &Verdict) {
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.push(Exchange::Handled { connection, message, verdict: verdict.clone() });
        }
    }

    /// The service answers: it takes the message from the socket and sends the reply, with the protocol's recorded work.
    fn answer(&mut self, system: &mut System, slot: Slot, reply: &[u8], actions: &mut Vec<Action>) {
        let message = self.messages.settle(slot).unwrap_or_default();
        if !message.damaged && !message.stores {
            let hit = reply.len() >= self.payload.value_bytes as usize;
            system.stats.occurred(if hit { "hits" } else { "misses" }, 1);
        }
        super::take_over(system, slot);
        let part = if self.settings.socket_collapse { Part::Protocol } else { Part::FileLayer };
        let mut work = Vec::new();
        for step in system.steps(slot) {
            if is_protocol_work(system, step) {
                push_call(system, step, slot, part, self.settings.call_instructions, &mut work);
            }
        }
        send_once(slot, reply.len() as u32, &mut work);
        actions.append(&mut work);
        actions.push(Action::Hook(HOOK_SERVED, u64::from(slot.0)));
    }

    /// The service leaves the message to the program. A SET's value goes into the table when the program has stored it.
    fn pass_up(&mut self, system: &mut System, slot: Slot, actions: &mut Vec<Action>) {
        system.stats.occurred("sent up to user space", 1);
        let (message, _) = self.messages.of(system, slot);
        if message.stores {
            message.packet = message.whole.clone();
        } else {
            if !message.damaged {
                system.stats.occurred("misses", 1);
            }
            self.messages.settle(slot);
        }
        actions.push(Action::Hook(HOOK_UP, u64::from(slot.0)));
    }

    /// The client heard nothing: it sends the request again, as it should be, or gives up.
    fn unanswered(&mut self, system: &mut System, core: CoreId, slot: Slot) {
        let at = system.cpu.clock(core) + system.microseconds(f64::from(self.settings.retry_us));
        let (message, _) = self.messages.of(system, slot);
        message.unanswered += 1;
        if message.unanswered < self.settings.attempts {
            message.packet = message.whole.clone();
            system.stats.occurred("messages without an answer", 1);
            system.send_again(slot, at);
        } else {
            self.messages.settle(slot);
            system.stats.occurred("requests given up", 1);
            system.give_up(slot, at);
        }
    }

    /// Work that the program has just begun: before the reply to a SET that came up it stores the value in the service's table.
    fn insert_stores(&mut self, system: &mut System, task: TaskId) {
        let queue = &system.tasks[task.index()].actions;
        let replies = |action: &Action| match action {
            Action::Effect(SystemEffect::SendLast(slot, _)) => Some(*slot),
            _ => None,
        };
        let Some((position, slot)) = queue.iter().enumerate().find_map(|(at, action)| Some((at, replies(action)?))) else { return };
        let Some(message) = self.messages.settle(slot) else { return };
        let is_entry = |action: &Action| *action == Action::Cross(CrossingKind::SystemCallEntry);
        let before = queue.iter().take(position).rposition(is_entry).unwrap_or(0);
        let store = self.store(system, &message.packet, slot);
        let queue = &mut system.tasks[task.index()].actions;
        let after = queue.split_off(before);
        queue.extend(store);
        queue.extend(after);
    }

    /// The program's call that stores a value in the service's first table: a crossing, the kernel's entry and exit code as a call that
    /// does nothing has them, and the table's lines.
    fn store(&mut self, system: &mut System, request: &[u8], slot: Slot) -> Vec<Action> {
        let Some((key, value)) = self.payload.stored(request) else { return Vec::new() };
        let core = CoreId(0);
        let mut recorder = Recorder::new(&self.places, 0, core);
        let stored = store(&self.service, &mut self.state, key, value, &mut recorder);
        system.stats.occurred(if stored { "stores from user space" } else { "stores refused by a full table" }, 1);
        if let Some(exchanges) = &mut self.exchanges {
            exchanges.push(Exchange::Stored { message: request.to_vec(), kept: stored });
        }
        let kernel = Context::mechanism(Mode::Kernel);
        let null_call = system.pick_kernel(|kernel| &kernel.null_call);
        let mut actions = vec![
            Action::Cross(CrossingKind::SystemCallEntry),
            system.whole(null_call, Context::kernel(Agent::MECHANISM), slot),
            Action::Instructions(kernel, self.settings.store_instructions),
        ];
        actions.extend(recorder.actions.into_iter().map(|action| match action {
            Action::Touch(_, line, kind) => Action::Touch(kernel, line, kind),
            Action::Instructions(_, count) => Action::Instructions(kernel, count),
            other => other,
        }));
        actions.push(Action::Cross(CrossingKind::SystemCallExit));
        actions
    }

    fn thread_of(&self, system: &System, core: CoreId, slot: Slot) -> usize {
        match self.service.protocol() {
            wyki::Protocol::Udp => core.index(),
            wyki::Protocol::Tcp => system.requests[slot.index()].connection.index(),
        }
    }
}

/// The table that a program fills: the service's first one.
fn store(service: &Service, state: &mut State, key: &[u8], value: &[u8], trace: &mut dyn Trace) -> bool {
    let Some(table) = service.tables().first() else { return false };
    service.user_space_store_traced(state, &table.name, key, value, trace).is_ok()
}

/// Stores all items: keys with the values they had before the first SET, or the one file that clients ask for.
fn preload(service: &Service, state: &mut State, payload: &Payload, items: u32) {
    for item in 0..items {
        store(service, state, &payload.key(item), &payload.value(item, 0), &mut Silent);
    }
}

/// The line at which a request's bytes lie: where the recorded receive copies them from (the last kernel line that it loads right before
/// it stores to the program's memory), or the first of the request's recycled lines when the recording does not show it.
fn message_line(system: &System, core: CoreId, slot: Slot) -> Line {
    let task = system.cores[core.index()].current;
    let binding = system.bases.bind(&system.who(core, task, slot));
    let receive = system.steps(slot).iter().find(|step| step.effect == Effect::Receive);
    let source = receive.and_then(|step| copy_source(system.workload.blocks.ops(step.kernel)));
    source.map_or(binding.base[Region::KernelPool.index()], |op| binding.line(op))
}

fn copy_source(ops: &[Op]) -> Option<Op> {
    let of_message = |op: &Op| matches!(op.region, Region::KernelPool | Region::KernelPrivate) && op.kind == OpKind::Load;
    let to_user = |op: &Op| {
        matches!(op.region, Region::UserConnection | Region::UserPool | Region::UserPrivate | Region::UserItem)
            && op.kind == OpKind::Store
    };
    ops.windows(2).find(|pair| of_message(&pair[0]) && to_user(&pair[1])).map(|pair| pair[0])
}

/// The service's reply goes out whole, whatever number of sends the program made of it: the last one carries all bytes.
fn send_once(slot: Slot, bytes: u32, work: &mut Vec<Action>) {
    work.retain(|action| !matches!(action, Action::Effect(SystemEffect::Send(..))));
    let last = work.iter_mut().find_map(|action| match action {
        Action::Effect(SystemEffect::SendLast(_, sent)) => Some(sent),
        _ => None,
    });
    match last {
        Some(sent) => *sent = bytes,
        None => work.push(Action::Effect(SystemEffect::SendLast(slot, bytes))),
    }
}

impl Driver for WykiService {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        if task.0 >= self.first_thread
            && let Some(thread) = self.threads.get_mut((task.0 - self.first_thread) as usize)
        {
            let Some(slot) = thread.waiting.pop_front() else { return Next::Sleep };
            let core = system.tasks[task.index()].core;
            let actions = self.serve(system, core, slot);
            system.tasks[task.index()].actions.extend(actions);
            return Next::Continue;
        }
        let next = self.rest.next(system, task);
        self.insert_stores(system, task);
        next
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        let slot = Slot(value as u32);
        let at = system.cpu.clock(core);
        match kind {
            HOOK_SERVED => finish(system, core, slot),
            HOOK_UP => {
                let connection = system.requests[slot.index()].connection;
                if !system.has_sessions() && system.connections[connection.index()].state == ConnectionState::Pending {
                    system.acceptable(connection, at, Some(core));
                }
                system.hand_to_program(slot, at, core);
            }
            HOOK_MORE => system.send_again(slot, at),
            HOOK_UNANSWERED => self.unanswered(system, core, slot),
            _ => {}
        }
    }

    /// Whether the service or the program answers shows when the request's bytes are there. A connection that carries several requests
    /// is the program's to accept and to close; the service answers in between.
    fn takes_connection(&mut self, system: &mut System, _connection: ConnectionId) -> bool {
        !system.has_sessions()
    }

    fn delivered(&mut self, system: &mut System, core: CoreId, slot: Slot) -> bool {
        if system.requests[slot.index()].purpose != Purpose::Request {
            return false;
        }
        let (message, made) = self.messages.of(system, slot);
        if made && message.damaged {
            system.stats.occurred("malformed messages", 1);
        }
        if self.settings.thread_collapse {
            let actions = self.serve(system, core, slot);
            // ahead of what the softirq still has to do
            let frame = &mut system.cores[core.index()].frame;
            for action in actions.into_iter().rev() {
                frame.push_front(FrameStep::Do(action));
            }
        } else {
            let index = self.thread_of(system, core, slot);
            self.threads[index].waiting.push_back(slot);
            let at = system.cpu.clock(core);
            system.wake(self.threads[index].task, at, Some(core));
        }
        true
    }
}
