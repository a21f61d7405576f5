//! Programs that issue each call where it stands: event loops, a thread or process per connection, sequential programs.
//!
//! The synchronous mechanism and the elevated shortcut share this control flow; they differ in the [`Issuer`] of each thread, how one
//! call is made.

mod connection;
mod event_loop;
mod poll;

pub use crate::issue::HOOK_SERVED;
use crate::issue::Issuer;
use crate::settings::{SyncSettings, SyncVariant};
use connection::ConnectionThread;
use event_loop::EventLoop;
use os_model::action::Slot;
use os_model::system::{Driver, Next, System};
use sim_core::ids::{ConnectionId, CoreId, TaskId};
use sim_core::workload::{Program, Workload};

/// A driver for programs that issue calls directly.
#[derive(Debug)]
pub struct Direct {
    settings: SyncSettings,
    threads: Vec<Thread>,
    first_task: u32,
}

#[derive(Debug)]
struct Thread {
    issuer: Issuer,
    work: Work,
}

#[derive(Debug)]
enum Work {
    Loop(EventLoop),
    Connection(ConnectionThread),
    Sequential { current: Option<(Slot, u32)> },
}

/// True when the program runs a blocking thread per connection: by its recording, or because the variant makes it one.
pub fn has_connection_threads(workload: &Workload, settings: &SyncSettings) -> bool {
    match workload.program {
        Program::ThreadPerConnection | Program::ProcessPerConnection => true,
        Program::EventLoop => settings.variant == SyncVariant::Threads,
        Program::Sequential => false,
    }
}

impl Direct {
    /// Makes the program's threads: one event loop a core, a task per connection, or one task. `issuer` says how the thread of a number
    /// issues its calls.
    pub fn new(system: &mut System, settings: &SyncSettings, issuer: impl Fn(u32) -> Issuer) -> Direct {
        system.accept_sharing = settings.accept;
        let first_task = system.tasks.len() as u32;
        let cores = system.cores.len() as u32;
        let program = system.workload.program;
        let per_connection = has_connection_threads(system.workload, settings);
        let count = match program {
            _ if per_connection => system.connections.len() as u32,
            Program::EventLoop => system.pollers.len() as u32,
            _ => 1,
        };
        let mut threads = Vec::new();
        for index in 0..count {
            let process = if program == Program::ProcessPerConnection { index } else { 0 };
            let task = system.add_task(CoreId((index % cores) as u16), process, index);
            let work = match program {
                _ if per_connection => Work::Connection(ConnectionThread::new(system, ConnectionId(index))),
                Program::EventLoop => Work::Loop(EventLoop::new(index as usize, settings.variant)),
                _ => Work::Sequential { current: None },
            };
            let mut thread = Thread { issuer: issuer(index), work };
            thread.issuer.start(system, task);
            threads.push(thread);
        }
        for task in first_task..system.tasks.len() as u32 {
            system.wake(TaskId(task), 0, None);
        }
        Direct { settings: settings.clone(), threads, first_task }
    }
}

/// Issues one step of a request: user work, the call, and what it changes. Returns the next step, or `None` after the last.
fn issue_step(system: &mut System, issuer: &mut Issuer, task: TaskId, slot: Slot, index: u32) -> Option<(Slot, u32)> {
    let step = system.request_step(slot, index)?;
    issuer.user_block(system, task, step.user, slot);
    issuer.call(system, task, step, slot);
    after_step(system, issuer, task, slot, index)
}

/// Goes on to the step after `index`; the request ends after its last.
fn after_step(system: &mut System, issuer: &mut Issuer, task: TaskId, slot: Slot, index: u32) -> Option<(Slot, u32)> {
    system.requests[slot.index()].step = index + 1;
    if index as usize + 1 < system.steps(slot).len() {
        return Some((slot, index + 1));
    }
    issuer.end_request(system, task, slot);
    None
}

impl Driver for Direct {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        let thread = &mut self.threads[(task.0 - self.first_task) as usize];
        match &mut thread.work {
            Work::Loop(event_loop) => event_loop.next(system, &mut thread.issuer, &self.settings, task),
            Work::Connection(connection) => connection.next(system, &mut thread.issuer, task),
            Work::Sequential { current } => {
                let (slot, index) = current.unwrap_or_else(|| (system.begin_run(), 0));
                *current = issue_step(system, &mut thread.issuer, task, slot, index);
                Next::Continue
            }
        }
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        if kind == HOOK_SERVED {
            finish(system, core, Slot(value as u32));
        }
    }
}

/// The server is done with a request; a sequential program's run ends here.
pub fn finish(system: &mut System, core: CoreId, slot: Slot) {
    if system.workload.program == Program::Sequential {
        system.end_run(slot, core);
    }
    system.served(slot);
}
