//! Exception-less calls (FlexSC, libflexsc): the program writes calls into syscall pages and goes on; syscall threads execute them.
//!
//! Posting, scanning, page locks and completion checks are accesses to the pages' simulated lines, so they move between cores like
//! any other line. See docs/mechanisms/exception-less.md.

use crate::program::{HOOK_SERVED, finish};
use crate::settings::ExceptionLessSettings;
use cpu_model::CrossingKind;
use os_model::action::{Action, Slot};
use os_model::calls::Part;
use os_model::stats::BatchLimit;
use os_model::system::{Driver, Next, System};
use os_model::task::TaskState;
use sim_core::block::{BlockId, Cut, OpKind};
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, CoreId, Line, Mode, TaskId};
use sim_core::workload::{Effect, Program, Step};
use std::collections::VecDeque;

/// Entries in a 4 KiB syscall page of 64-byte entries.
pub const PAGE_ENTRIES: u32 = 64;

const HOOK_POSTED: u32 = 10;
const HOOK_DONE: u32 = 11;
const HOOK_TAKEN: u32 = 12;

/// State of an entry in a syscall page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EntryState {
    Free,
    /// Being written: not visible to the kernel yet.
    Posting,
    Submitted,
    Busy,
    Done,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    state: EntryState,
    /// Connection of the call.
    connection: ConnectionId,
    /// Request, once known: a read is posted before its request exists.
    slot: Slot,
    /// Step of the request's chain.
    step: u32,
    /// Posted before its request was known (a read or accept that waits for whatever comes).
    early: bool,
}

/// What a posted call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Accept,
    Receive,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UserState {
    Running,
    /// Went through the pages, found nothing: entering `flexsc_wait`.
    WaitEntered,
    /// Sleeps in `flexsc_wait`.
    Waiting,
}

#[derive(Debug)]
struct SyscallThread {
    task: TaskId,
    core: usize,
    /// The entry it executes.
    entry: Option<u32>,
    /// Its call had to sleep.
    blocked: bool,
    /// It is asleep inside its call and not counted as active.
    parked: bool,
    /// Calls executed since it last had nothing to do.
    batch: u32,
}

/// Progress of one request at the server.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Next step whose user work has not run.
    next: usize,
    /// Steps posted and not completed.
    outstanding: usize,
    /// Completed steps, a bit each.
    completed: Vec<u64>,
}

impl Progress {
    fn restart(&mut self, steps: usize, next: usize) {
        self.next = next;
        self.outstanding = 0;
        self.completed.clear();
        self.completed.resize(steps.div_ceil(64), 0);
    }

    fn complete(&mut self, step: usize) {
        self.completed[step / 64] |= 1 << (step % 64);
    }

    /// A call can be posted when all it depends on has completed.
    fn allows(&self, step: &Step) -> bool {
        step.depends.iter().all(|&before| self.completed[usize::from(before) / 64] >> (before % 64) & 1 == 1)
    }
}

/// The driver.
#[derive(Debug)]
pub struct ExceptionLess {
    settings: ExceptionLessSettings,
    user: TaskId,
    user_state: UserState,
    entries: Vec<Entry>,
    free: Vec<VecDeque<u32>>,
    free_entries: usize,
    page_locks: Vec<Option<usize>>,
    submitted_in_page: Vec<u32>,
    done_entries: u32,
    kernel_cores: Vec<CoreId>,
    threads: Vec<SyscallThread>,
    first_thread_task: u32,
    /// Threads that sleep on the work queue, by position in `kernel_cores`.
    idle_threads: Vec<Vec<usize>>,
    /// Threads executing or runnable, by position in `kernel_cores`.
    active: Vec<u32>,
    harvested: VecDeque<u32>,
    /// Requests that were throttled with nothing outstanding.
    resume: VecDeque<Slot>,
    /// Connections whose early call (read or accept) could not be posted yet.
    postponed: VecDeque<ConnectionId>,
    progress: Vec<Progress>,
    first_run: bool,
    base: Line,
    lock_base: Line,
    handler_of_wait: BlockId,
}

/// Syscall pages for so many connections on so many cores: at least one a kernel core, so that each can lock its own.
pub fn pages(connections: u32, cores: u32) -> u32 {
    (connections * 2 + 8).div_ceil(PAGE_ENTRIES).max(cores)
}

/// Lines of the mechanism's memory: pages, then one lock line a page.
pub fn memory_lines(connections: u32, cores: u32) -> u32 {
    let pages = pages(connections, cores);
    pages * PAGE_ENTRIES + pages
}

/// Memory of the pages and of one syscall thread per entry, about 10 KB each (FlexSC, OSDI'10, section 4).
pub fn memory_bytes(connections: u32, cores: u32) -> u64 {
    u64::from(pages(connections, cores)) * (4096 + u64::from(PAGE_ENTRIES) * 10_000)
}

/// Tasks at most: the user thread, and syscall threads. One thread per entry exists; the model makes one for each that can be asleep
/// inside a call at the same time (a connection has one receive outstanding) and one active per core.
pub fn tasks(connections: u32, cores: u32) -> u32 {
    1 + connections * 2 + 8 + cores
}

impl ExceptionLess {
    /// Registers: maps the pages and makes the syscall threads.
    pub fn new(system: &mut System, settings: &ExceptionLessSettings) -> ExceptionLess {
        let cores = system.cores.len() as u32;
        let connections = system.connections.len() as u32;
        let page_count = pages(connections, cores);
        let user = system.add_task(CoreId(0), 0, 0);
        // the fixed list: the other cores first, the user thread's own core last (it executes calls while the user thread waits)
        let kernel_cores: Vec<CoreId> = (1..cores).chain([0]).map(|core| CoreId(core as u16)).collect();
        steer_interrupts(system, &kernel_cores);
        let first_thread_task = system.tasks.len() as u32;
        let thread_count = tasks(connections, cores) - 1;
        let mut idle_threads = vec![Vec::new(); kernel_cores.len()];
        let mut threads = Vec::new();
        for index in 0..thread_count {
            let core = index as usize % kernel_cores.len();
            let task = system.add_task(kernel_cores[core], 0, 0);
            // the user thread goes first: calls execute when it waits, or on other cores
            system.tasks[task.index()].priority = 1;
            idle_threads[core].push(threads.len());
            threads.push(SyscallThread { task, core, entry: None, blocked: false, parked: false, batch: 0 });
        }
        idle_threads.iter_mut().for_each(|list| list.reverse());
        let mut free = vec![VecDeque::new(); page_count as usize];
        for entry in 0..page_count * PAGE_ENTRIES {
            free[(entry / PAGE_ENTRIES) as usize].push_back(entry);
        }
        let empty = Entry { state: EntryState::Free, connection: ConnectionId(0), slot: Slot::NONE, step: 0, early: false };
        let base = system.bases.mechanism();
        let driver = ExceptionLess {
            settings: settings.clone(),
            user,
            user_state: UserState::Running,
            entries: vec![empty; (page_count * PAGE_ENTRIES) as usize],
            free,
            free_entries: (page_count * PAGE_ENTRIES) as usize,
            page_locks: vec![None; page_count as usize],
            submitted_in_page: vec![0; page_count as usize],
            done_entries: 0,
            active: vec![0; kernel_cores.len()],
            kernel_cores,
            threads,
            first_thread_task,
            idle_threads,
            harvested: VecDeque::new(),
            resume: VecDeque::new(),
            postponed: VecDeque::new(),
            progress: Vec::new(),
            first_run: true,
            base,
            lock_base: base + page_count * PAGE_ENTRIES,
            handler_of_wait: system.pick_kernel(|kernel| &kernel.null_call),
        };
        system.wake(user, 0, None);
        driver
    }

    fn line(&self, entry: u32) -> Line {
        self.base + entry
    }

    fn user_context() -> Context {
        Context::mechanism(Mode::User)
    }

    fn kernel_context() -> Context {
        Context::mechanism(Mode::Kernel)
    }

    /// The user thread: callbacks, then the pages, then `flexsc_wait`.
    fn next_user(&mut self, system: &mut System) -> Next {
        if self.first_run {
            self.first_run = false;
            self.post_initial(system);
            return Next::Continue;
        }
        match self.user_state {
            UserState::WaitEntered => return self.wait(system),
            UserState::Waiting => self.leave_wait(system),
            UserState::Running => {}
        }
        if self.free_entries > 0
            && let Some(connection) = self.postponed.pop_front()
        {
            self.post(system, connection, Slot::NONE, 0);
            return Next::Continue;
        }
        if self.free_entries > 0
            && let Some(slot) = self.resume.pop_front()
        {
            self.advance(system, slot);
            return Next::Continue;
        }
        if let Some(entry) = self.harvested.pop_front() {
            self.callback(system, entry);
            return Next::Continue;
        }
        if self.poll_pages(system) {
            return Next::Continue;
        }
        system.push(self.user, Action::Cross(CrossingKind::SystemCallEntry));
        // flexsc_wait is a real call: the kernel's entry and exit code is that of the recorded null call
        system.push_block(self.user, self.handler_of_wait, Self::kernel_context(), Slot::NONE);
        self.user_state = UserState::WaitEntered;
        Next::Continue
    }

    /// At the start every connection has a read posted, or the listening socket an accept.
    fn post_initial(&mut self, system: &mut System) {
        if system.workload.program == Program::Sequential {
            let slot = system.begin_run();
            self.begin(system, slot);
            return;
        }
        if system.workload.connection_per_request {
            for _ in 0..self.settings.accepts_outstanding.clamp(1, system.connections.len() as u32) {
                self.post_accept(system);
            }
            return;
        }
        for index in 0..system.connections.len() as u32 {
            self.post_receive(system, ConnectionId(index));
        }
    }

    fn post_accept(&mut self, system: &mut System) {
        self.post_early(system, ConnectionId(0));
    }

    fn post_receive(&mut self, system: &mut System, connection: ConnectionId) {
        self.post_early(system, connection);
    }

    /// Posts a call whose request is not known yet; throttled when all entries are in use.
    fn post_early(&mut self, system: &mut System, connection: ConnectionId) {
        if self.free_entries == 0 {
            self.postponed.push_back(connection);
        } else {
            self.post(system, connection, Slot::NONE, 0);
        }
    }

    /// Writes one entry: number, arguments, and last its status.
    fn post(&mut self, system: &mut System, connection: ConnectionId, slot: Slot, step: u32) {
        let entry = self.allocate(connection);
        self.entries[entry as usize] = Entry { state: EntryState::Posting, connection, slot, step, early: slot == Slot::NONE };
        let line = self.line(entry);
        system.push(self.user, Action::Instructions(Self::user_context(), self.settings.post_instructions));
        system.push(self.user, Action::Touch(Self::user_context(), line, OpKind::Store));
        system.push(self.user, Action::Hook(HOOK_POSTED, u64::from(entry)));
    }

    /// A free entry, in the page that the connection is spread to or the next with room. The caller has checked that there is one.
    fn allocate(&mut self, connection: ConnectionId) -> u32 {
        let pages = self.free.len();
        let preferred = connection.index() % pages;
        for step in 0..pages {
            if let Some(entry) = self.free[(preferred + step) % pages].pop_front() {
                self.free_entries -= 1;
                return entry;
            }
        }
        unreachable!("callers post only while an entry is free")
    }

    fn kind(&self, system: &System, entry: u32) -> Kind {
        let posted = &self.entries[entry as usize];
        if posted.slot == Slot::NONE {
            return if system.workload.connection_per_request { Kind::Accept } else { Kind::Receive };
        }
        match system.request_step(posted.slot, posted.step).map(|step| step.effect) {
            Some(Effect::Receive) => Kind::Receive,
            Some(Effect::Accept) => Kind::Accept,
            _ => Kind::Other,
        }
    }

    /// Runs the callback of a completed call and posts what may follow.
    fn callback(&mut self, system: &mut System, index: u32) {
        let posted = self.entries[index as usize];
        self.entries[index as usize].state = EntryState::Free;
        self.done_entries -= 1;
        self.free_entries += 1;
        self.free[(index / PAGE_ENTRIES) as usize].push_back(index);
        let context = Self::user_context();
        system.push(self.user, Action::Touch(context, self.line(index), OpKind::Store));
        system.push(self.user, Action::Instructions(context, self.settings.callback_instructions));
        if posted.slot == Slot::NONE {
            return;
        }
        let steps = system.steps(posted.slot);
        self.ensure(posted.slot);
        if posted.early {
            // its own user work runs now that its request is known
            self.progress[posted.slot.index()].restart(steps.len(), 1);
            if let Some(first) = steps.first() {
                system.push_block(self.user, first.user, Context::USER, posted.slot);
            }
        } else {
            self.progress[posted.slot.index()].outstanding -= 1;
        }
        self.progress[posted.slot.index()].complete(posted.step as usize);
        if steps.get(posted.step as usize).is_some_and(|step| step.effect == Effect::Accept) {
            self.post_accept(system);
        }
        self.advance(system, posted.slot);
    }

    fn ensure(&mut self, slot: Slot) {
        if self.progress.len() <= slot.index() {
            self.progress.resize(slot.index() + 1, Progress::default());
        }
    }

    fn begin(&mut self, system: &mut System, slot: Slot) {
        self.ensure(slot);
        self.progress[slot.index()].restart(system.steps(slot).len(), 0);
        self.advance(system, slot);
    }

    /// Runs user work and posts calls until one depends on a result that is not there yet.
    fn advance(&mut self, system: &mut System, slot: Slot) {
        let steps = system.steps(slot);
        while let Some(step) = steps.get(self.progress[slot.index()].next) {
            let index = self.progress[slot.index()].next;
            if dropped(step) {
                // epoll_ctl goes away in the port: a posted read needs no interest list
                system.push_block(self.user, step.user, Context::USER, slot);
                self.progress[slot.index()].complete(index);
                self.progress[slot.index()].next += 1;
                continue;
            }
            if !self.progress[slot.index()].allows(step) || self.free_entries == 0 {
                break;
            }
            system.push_block(self.user, step.user, Context::USER, slot);
            self.extra_results(system, step);
            self.post(system, system.requests[slot.index()].connection, slot, index as u32);
            self.progress[slot.index()].next += 1;
            self.progress[slot.index()].outstanding += 1;
        }
        let progress = &self.progress[slot.index()];
        if progress.next == steps.len() && progress.outstanding == 0 {
            self.end_request(system, slot);
        } else if progress.outstanding == 0 {
            // throttled: all entries are in use; go on when one comes free
            self.resume.push_back(slot);
        }
    }

    /// Results that stood on the stack (fstat, getsockname) live elsewhere in the port: their lines are touched at posting.
    fn extra_results(&self, system: &mut System, step: &Step) {
        if step.call.name().contains("stat") {
            for extra in 0..self.settings.stat_result_lines {
                let line = self.line(extra % PAGE_ENTRIES);
                system.push(self.user, Action::Touch(Self::user_context(), line, OpKind::Load));
            }
        }
    }

    fn end_request(&mut self, system: &mut System, slot: Slot) {
        system.push(self.user, Action::Hook(HOOK_SERVED, u64::from(slot.0)));
        if system.workload.program == Program::Sequential {
            return;
        }
        let connection = system.requests[slot.index()].connection;
        if !system.workload.connection_per_request {
            self.post_receive(system, connection);
        }
    }

    /// Looks at every entry in use; true when some had completed.
    fn poll_pages(&mut self, system: &mut System) -> bool {
        let context = Self::user_context();
        for index in 0..self.entries.len() as u32 {
            if self.entries[index as usize].state != EntryState::Free {
                system.push(self.user, Action::Instructions(context, self.settings.scan_instructions));
                system.push(self.user, Action::Touch(context, self.line(index), OpKind::Load));
                if self.entries[index as usize].state == EntryState::Done {
                    self.harvested.push_back(index);
                }
            }
        }
        !self.harvested.is_empty()
    }

    /// Inside `flexsc_wait`: let syscall threads execute what is posted.
    fn wait(&mut self, system: &mut System) -> Next {
        self.user_state = UserState::Waiting;
        let from = Some(CoreId(0));
        let at = system.cpu.clock(CoreId(0));
        self.wake_kernel_cores(system, true, at, from);
        if self.done_entries > 0 && !self.own_core_busy(system) {
            return Next::Continue;
        }
        Next::Sleep
    }

    fn leave_wait(&mut self, system: &mut System) {
        system.push(self.user, Action::Cross(CrossingKind::SystemCallExit));
        self.user_state = UserState::Running;
    }

    /// Syscall threads active or runnable on the user thread's own core.
    fn own_core_busy(&self, system: &System) -> bool {
        let runnable = system.cores[0].run_queue.iter().any(|task| *task != self.user);
        self.active[self.kernel_cores.len() - 1] > 0 || runnable
    }

    fn unlocked_page_with_work(&self) -> Option<usize> {
        (0..self.page_locks.len()).find(|&page| self.page_locks[page].is_none() && self.page_has_work(page))
    }

    fn page_has_work(&self, page: usize) -> bool {
        self.submitted_in_page[page] > 0
    }

    /// Wakes the next core of the list while those before it are busy and a page waits. The user thread's own core takes part only
    /// while the user thread waits.
    fn wake_kernel_cores(&mut self, system: &mut System, user_waits: bool, at: u64, from: Option<CoreId>) {
        let mut waiting =
            (0..self.page_locks.len()).filter(|&page| self.page_locks[page].is_none() && self.page_has_work(page)).count();
        for position in 0..self.kernel_cores.len() {
            if waiting == 0 {
                return;
            }
            let own = self.kernel_cores[position] == CoreId(0);
            if self.active[position] > 0 || (own && !user_waits) {
                continue;
            }
            waiting -= 1;
            self.start_thread(system, position, at, from);
        }
    }

    fn start_thread(&mut self, system: &mut System, position: usize, at: u64, from: Option<CoreId>) {
        if let Some(thread) = self.idle_threads[position].pop() {
            self.active[position] += 1;
            let task = self.threads[thread].task;
            // a kernel core that polls notices a post without an interrupt: only the transfer of the line
            let polled = from.is_some() && self.settings.kernel_cores_poll;
            system.wake(task, at, if polled { Some(self.kernel_cores[position]) } else { from });
        }
    }

    /// A syscall thread: finish the call in hand, or take the next submitted entry.
    fn next_thread(&mut self, system: &mut System, task: TaskId) -> Next {
        let index = (task.0 - self.first_thread_task) as usize;
        if std::mem::take(&mut self.threads[index].parked) {
            self.active[self.threads[index].core] += 1;
        }
        if let Some(entry) = self.threads[index].entry {
            return self.resume_call(system, index, entry);
        }
        let position = self.threads[index].core;
        match self.take_entry(position) {
            Some(entry) => {
                self.take(system, index, entry);
                Next::Continue
            }
            None => self.rest(system, index),
        }
    }

    /// The next submitted entry of the page that the core holds, or of an unlocked one, which it then locks.
    fn take_entry(&mut self, position: usize) -> Option<u32> {
        let held = (0..self.page_locks.len()).find(|&page| self.page_locks[page] == Some(position));
        let page = match held {
            Some(page) if self.page_has_work(page) => page,
            Some(page) => {
                self.page_locks[page] = None;
                self.unlocked_page_with_work()?
            }
            None => self.unlocked_page_with_work()?,
        };
        self.page_locks[page] = Some(position);
        let first = page as u32 * PAGE_ENTRIES;
        (first..first + PAGE_ENTRIES).find(|&entry| self.entries[entry as usize].state == EntryState::Submitted)
    }

    fn take(&mut self, system: &mut System, index: usize, entry: u32) {
        let task = self.threads[index].task;
        let context = Self::kernel_context();
        let page = entry / PAGE_ENTRIES;
        self.entries[entry as usize].state = EntryState::Busy;
        self.submitted_in_page[page as usize] -= 1;
        self.threads[index].entry = Some(entry);
        self.threads[index].batch += 1;
        system.push(task, Action::Touch(context, self.lock_base + page, OpKind::Store));
        system.push(task, Action::Instructions(context, self.settings.dispatch_instructions));
        system.push(task, Action::Touch(context, self.line(entry), OpKind::Load));
        system.push(task, Action::Touch(context, self.line(entry), OpKind::Store));
        system.push(task, Action::Hook(HOOK_TAKEN, index as u64));
    }

    /// Executes the call of a busy entry, or goes on after it slept.
    fn resume_call(&mut self, system: &mut System, index: usize, entry: u32) -> Next {
        let kind = self.kind(system, entry);
        let ready = match kind {
            Kind::Other => true,
            Kind::Receive => self.data_ready(system, entry),
            Kind::Accept => !system.pollers[0].accept_queue.is_empty(),
        };
        if ready {
            self.execute(system, index, entry, kind);
            return Next::Continue;
        }
        self.block(system, index, entry, kind)
    }

    fn data_ready(&self, system: &System, entry: u32) -> bool {
        let posted = &self.entries[entry as usize];
        let waiting = system.waiting_request(posted.connection);
        if posted.slot == Slot::NONE { waiting.is_some() } else { waiting == Some(posted.slot) }
    }

    fn execute(&mut self, system: &mut System, index: usize, entry: u32, kind: Kind) {
        let task = self.threads[index].task;
        let posted = self.entries[entry as usize];
        let slot = match kind {
            Kind::Receive => system.take_request(posted.connection).unwrap_or(posted.slot),
            Kind::Accept => match system.accept(0) {
                Some(connection) => system.connections[connection.index()].request,
                None => posted.slot,
            },
            Kind::Other => posted.slot,
        };
        self.entries[entry as usize].slot = slot;
        let slept = std::mem::take(&mut self.threads[index].blocked);
        if let Some(step) = system.request_step(slot, posted.step) {
            self.entries[entry as usize].connection = system.requests[slot.index()].connection;
            let mut actions = Vec::new();
            system.call_actions(step, slot, Part::Handler, &mut actions);
            let wake = if slept { system.pick(&system.workload.blocking.wake) } else { BlockId::EMPTY };
            if wake != BlockId::EMPTY {
                // after a sleep only the recorded rest of the blocking call runs, not the call from its beginning
                let count = actions.iter().copied().filter(|action| matches!(action, Action::Count(..) | Action::Effect(_)));
                let count: Vec<Action> = count.collect();
                system.tasks[task.index()].actions.extend(count);
                self.push_handler(system, task, wake, Context::call(step.call), slot);
            } else {
                system.tasks[task.index()].actions.extend(actions);
            }
        }
        let context = Self::kernel_context();
        system.push(task, Action::Instructions(context, self.settings.complete_instructions));
        system.push(task, Action::Touch(context, self.line(entry), OpKind::Store));
        system.push(task, Action::Hook(HOOK_DONE, index as u64));
    }

    /// A recorded piece of a blocking call without the kernel's entry and exit code.
    fn push_handler(&self, system: &mut System, task: TaskId, block: BlockId, context: Context, slot: Slot) {
        let info = system.workload.blocks.info(block);
        let range = info.span(Cut::Handler).unwrap_or(0..(info.end - info.start) as usize);
        if !range.is_empty() {
            let (start, end) = (range.start as u32, range.end as u32);
            system.push(task, Action::Block { block, start, end, context, slot });
        }
    }

    /// The call must wait: before the thread sleeps, another one goes on with the next submitted entry.
    fn block(&mut self, system: &mut System, index: usize, entry: u32, kind: Kind) -> Next {
        let task = self.threads[index].task;
        let position = self.threads[index].core;
        let connection = self.entries[entry as usize].connection;
        if !self.threads[index].blocked {
            self.threads[index].blocked = true;
            let sleep = system.pick(&system.workload.blocking.sleep);
            if sleep != BlockId::EMPTY {
                let call = sim_core::calls::CallNumber::READ;
                self.push_handler(system, task, sleep, Context::call(call), Slot::NONE);
                return Next::Continue;
            }
        }
        match kind {
            Kind::Accept => system.wait_on(0, task),
            _ => system.connections[connection.index()].blocked = Some(task),
        }
        self.threads[index].parked = true;
        self.active[position] -= 1;
        let core = self.kernel_cores[position];
        let at = system.cpu.clock(core);
        if self.page_waits_for(position) && self.active[position] == 0 {
            self.start_thread(system, position, at, Some(core));
        } else {
            self.release(position);
            self.maybe_wake_user(system, position, at);
        }
        Next::Sleep
    }

    fn page_waits_for(&self, position: usize) -> bool {
        let held = (0..self.page_locks.len()).any(|page| self.page_locks[page] == Some(position) && self.page_has_work(page));
        held || self.unlocked_page_with_work().is_some()
    }

    fn release(&mut self, position: usize) {
        for lock in &mut self.page_locks {
            if *lock == Some(position) {
                *lock = None;
            }
        }
    }

    /// Nothing submitted: back to the work queue.
    fn rest(&mut self, system: &mut System, index: usize) -> Next {
        let position = self.threads[index].core;
        let batch = std::mem::take(&mut self.threads[index].batch);
        if batch > 0 {
            system.stats.batch(batch, BatchLimit::Ready);
        }
        self.release(position);
        self.idle_threads[position].push(index);
        self.active[position] -= 1;
        let at = system.cpu.clock(self.kernel_cores[position]);
        self.maybe_wake_user(system, position, at);
        Next::Sleep
    }

    /// `flexsc_wait` returns when a call has completed; on the user thread's own core not before the active syscall thread has
    /// executed all that is submitted there.
    fn maybe_wake_user(&mut self, system: &mut System, position: usize, at: u64) {
        let waiting = self.user_state == UserState::Waiting && system.tasks[self.user.index()].state == TaskState::Sleeping;
        if waiting && self.done_entries > 0 && !self.own_core_busy(system) {
            system.wake(self.user, at, Some(self.kernel_cores[position]));
        }
    }
}

/// Network interrupts go to the cores that execute calls, as an administrator would steer them.
fn steer_interrupts(system: &mut System, kernel_cores: &[CoreId]) {
    let cores = system.cores.len();
    if cores > 1 && system.kernel.network.receive_side_scaling {
        for (index, connection) in system.connections.iter_mut().enumerate() {
            connection.queue = kernel_cores[index % (cores - 1)];
        }
    }
}

/// Calls that the port to posted calls makes unnecessary.
fn dropped(step: &Step) -> bool {
    step.object == sim_core::workload::Object::Epoll
}

impl Driver for ExceptionLess {
    fn next(&mut self, system: &mut System, task: TaskId) -> Next {
        if task == self.user { self.next_user(system) } else { self.next_thread(system, task) }
    }

    fn hook(&mut self, system: &mut System, core: CoreId, kind: u32, value: u64) {
        match kind {
            HOOK_SERVED => {
                finish(system, core, Slot(value as u32));
                if system.workload.program == Program::Sequential {
                    let slot = system.begin_run();
                    self.begin(system, slot);
                }
            }
            HOOK_POSTED => {
                self.entries[value as usize].state = EntryState::Submitted;
                self.submitted_in_page[value as usize / PAGE_ENTRIES as usize] += 1;
                let at = system.cpu.clock(core);
                if self.settings.kernel_cores_poll {
                    self.wake_kernel_cores(system, false, at, Some(core));
                }
            }
            HOOK_DONE => {
                let index = value as usize;
                if let Some(entry) = self.threads[index].entry.take() {
                    self.entries[entry as usize].state = EntryState::Done;
                    self.done_entries += 1;
                    let at = system.cpu.clock(core);
                    self.maybe_wake_user(system, self.threads[index].core, at);
                }
            }
            HOOK_TAKEN => {
                let at = system.cpu.clock(core);
                let waits = self.user_state == UserState::Waiting;
                self.wake_kernel_cores(system, waits, at, Some(core));
            }
            _ => {}
        }
    }
}
