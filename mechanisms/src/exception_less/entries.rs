//! Syscall pages: 64-byte entries with their states, the pages' locks, and the accesses that posting, scanning and completing make.
//!
//! The kernel side finds calls through [`Pages::take`] and [`Pages::waits_for`], the user side completions through [`Pages::poll`].

use super::queues::Queues;
use super::{kernel_context, user_context};
use crate::settings::ExceptionLessSettings;
use os_model::action::{Action, Slot};
use os_model::system::System;
use sim_core::block::OpKind;
use sim_core::ids::{ConnectionId, CoreId, Line, TaskId};
use std::collections::{BTreeSet, VecDeque};

/// Entries in a 4 KiB syscall page of 64-byte entries.
pub const PAGE_ENTRIES: u32 = 64;

/// Status of an entry in a syscall page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryState {
    Free,
    /// Being written: the status still says free.
    Posting,
    Submitted,
    Busy,
    /// The program wants it ended; no syscall thread has seen that yet.
    Cancel,
    Done,
}

/// Counters of a page's entries, as [`EntryState::shown`] numbers them.
const STATES_SHOWN: [&str; 4] =
    ["free entries of page", "submitted entries of page", "busy entries of page", "done entries of page"];

impl EntryState {
    /// The state that whoever reads the entry sees. A call that is to be cancelled still waits, for its end.
    fn shown(self) -> usize {
        match self {
            EntryState::Free | EntryState::Posting => 0,
            EntryState::Submitted => 1,
            EntryState::Busy | EntryState::Cancel => 2,
            EntryState::Done => 3,
        }
    }
}

/// What happens when a call has completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// Its callback runs.
    Callback,
    /// Nothing: the entry is freed.
    Ignored,
}

/// One posted call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub state: EntryState,
    /// Connection of the call.
    pub connection: ConnectionId,
    /// Request, once known: a read is posted before its request exists.
    pub slot: Slot,
    /// Step of the request's chain.
    pub step: u32,
    /// Posted before its request was known (a read or accept that waits for whatever comes).
    pub early: bool,
    /// An early call that accepts; the others receive.
    pub accepts: bool,
    /// What the library does with its result.
    pub completion: Completion,
    /// A readiness call: of the event loop, or of a user thread whose receive found nothing.
    pub readiness: bool,
    /// The user thread that made the call (FlexSC-Threads).
    pub thread: u32,
    /// The receive found nothing and returned EAGAIN.
    pub again: bool,
    /// The syscall thread that executes it.
    pub executor: Option<usize>,
    /// Its cancellation was asked for.
    pub cancelling: bool,
    /// It ended with EINTR.
    pub interrupted: bool,
    /// Counts the uses of the entry, so that a timer knows whether its call is still the one in it.
    pub serial: u32,
}

impl Entry {
    /// An accept that waits for whichever connection comes.
    pub fn accepting(connection: ConnectionId, thread: u32) -> Entry {
        Entry { accepts: true, ..Entry::posting(connection, Slot::NONE, 0, thread) }
    }

    /// A call that is being posted: the given step of a request, or what waits for the next request.
    pub fn posting(connection: ConnectionId, slot: Slot, step: u32, thread: u32) -> Entry {
        Entry {
            state: EntryState::Posting,
            connection,
            slot,
            step,
            early: slot == Slot::NONE,
            accepts: false,
            completion: Completion::Callback,
            readiness: false,
            thread,
            again: false,
            executor: None,
            cancelling: false,
            interrupted: false,
            serial: 0,
        }
    }

    /// The same call with its first state.
    pub fn posted_anew(self) -> Entry {
        Entry { state: EntryState::Posting, executor: None, cancelling: false, interrupted: false, ..self }
    }
}

/// What a syscall thread found in a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A submitted call: execute it.
    Call(u32),
    /// A call that was cancelled before anybody began it.
    Withdrawn(u32),
    /// A call in progress that is to be cancelled: signal its thread.
    Cancelled(u32),
}

/// The calls between one user thread and the kernel, in syscall pages or, as a variant, in two message queues.
#[derive(Debug)]
pub(super) struct Pages {
    queues: Option<Queues>,
    entries: Vec<Entry>,
    /// By page, the lowest first, so that the entries in use stay together.
    free: Vec<BTreeSet<u32>>,
    free_entries: u32,
    locks: Vec<Option<usize>>,
    /// Entries that wait for a syscall thread (submitted or to be cancelled), by page.
    waiting_in_page: Vec<u32>,
    waiting: u32,
    /// Where a scan of each page goes on, so that no entry is passed over for ever.
    cursors: Vec<u32>,
    /// Where a search for a page goes on, so that no page is passed over for ever.
    next_page: usize,
    done_entries: u32,
    base: Line,
    lock_base: Line,
}

impl Pages {
    /// Pages with all entries free, their lines from `base` on, one lock line a page behind them; or queues with room for as many.
    pub fn new(entries: u32, base: Line, queued: bool) -> Pages {
        let page_count = entries.div_ceil(PAGE_ENTRIES);
        let mut free = vec![BTreeSet::new(); page_count as usize];
        for entry in 0..entries {
            free[(entry / PAGE_ENTRIES) as usize].insert(entry);
        }
        let empty = Entry { state: EntryState::Free, ..Entry::posting(ConnectionId(0), Slot::NONE, 0, 0) };
        Pages {
            queues: queued.then(|| Queues::new(entries, base)),
            entries: vec![empty; entries as usize],
            free,
            free_entries: entries,
            locks: vec![None; page_count as usize],
            waiting_in_page: vec![0; page_count as usize],
            waiting: 0,
            cursors: vec![0; page_count as usize],
            next_page: 0,
            done_entries: 0,
            base,
            lock_base: base + page_count * PAGE_ENTRIES,
        }
    }

    /// The line of an entry.
    pub fn line(&self, entry: u32) -> Line {
        self.base + entry
    }

    pub fn entry(&self, entry: u32) -> Entry {
        self.entries[entry as usize]
    }

    pub fn entry_mut(&mut self, entry: u32) -> &mut Entry {
        &mut self.entries[entry as usize]
    }

    /// Entries in all pages.
    pub fn count(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Free entries.
    pub fn free(&self) -> u32 {
        self.free_entries
    }

    /// Some call has completed and its entry was not freed yet.
    pub fn has_done(&self) -> bool {
        self.done_entries > 0
    }

    /// Entries of each page by state, for the timeline. Pages are numbered through, over the user threads' home cores; the entries of
    /// queues count as pages of as many.
    pub fn report(&self, system: &mut System, core: CoreId, home: CoreId) {
        if !system.is_recording() {
            return;
        }
        let first = u32::from(home.0) * self.free.len() as u32;
        for page in 0..self.free.len() {
            let mut counts = [0; STATES_SHOWN.len()];
            for entry in self.entries_of(page) {
                counts[self.entry(entry).state.shown()] += 1;
            }
            for (name, count) in STATES_SHOWN.into_iter().zip(counts) {
                system.timeline_counter(core, name, first + page as u32, count);
            }
        }
    }

    /// Entries that wait for a syscall thread.
    pub fn waiting(&self) -> u32 {
        self.queues.as_ref().map_or(self.waiting, |queues| queues.waiting() as u32)
    }

    /// User side: writes an entry of the page that the connection is spread to, or the next with room: number, arguments, and last its
    /// status. The caller has checked that one is free; the kernel sees it from [`Pages::submit`] on.
    pub fn post(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, call: Entry) -> u32 {
        let entry = self.allocate(call.connection.index());
        let serial = self.entry(entry).serial.wrapping_add(1);
        *self.entry_mut(entry) = Entry { serial, ..call };
        if let Some(queues) = &mut self.queues {
            queues.post(system, task, settings);
            return entry;
        }
        system.push(task, Action::Instructions(user_context(), settings.post_instructions));
        system.push(task, Action::Touch(user_context(), self.line(entry), OpKind::Store));
        entry
    }

    fn allocate(&mut self, spread: usize) -> u32 {
        let pages = self.free.len();
        for step in 0..pages {
            if let Some(entry) = self.free[(spread + step) % pages].pop_first() {
                self.free_entries -= 1;
                return entry;
            }
        }
        unreachable!("callers post only while an entry is free")
    }

    /// The entry's status is written: the kernel can see it.
    pub fn submit(&mut self, entry: u32) {
        self.entry_mut(entry).state = EntryState::Submitted;
        match &mut self.queues {
            Some(queues) => queues.submit(entry),
            None => self.add_waiting(entry),
        }
    }

    fn add_waiting(&mut self, entry: u32) {
        self.waiting_in_page[(entry / PAGE_ENTRIES) as usize] += 1;
        self.waiting += 1;
    }

    fn remove_waiting(&mut self, entry: u32) {
        self.waiting_in_page[(entry / PAGE_ENTRIES) as usize] -= 1;
        self.waiting -= 1;
    }

    /// User side: looks at every entry in use, or into the completion queue; what has completed goes to `harvested`. True when there
    /// was some.
    pub fn poll(
        &mut self,
        system: &mut System,
        task: TaskId,
        settings: &ExceptionLessSettings,
        harvested: &mut VecDeque<u32>,
    ) -> bool {
        if let Some(queues) = &mut self.queues {
            queues.poll(system, task, settings, harvested);
            return !harvested.is_empty();
        }
        let context = user_context();
        let in_use = self.count() - self.free_entries;
        system.push(task, Action::Instructions(context, settings.scan_instructions * in_use));
        for index in 0..self.count() {
            let state = self.entry(index).state;
            if state != EntryState::Free {
                system.push(task, Action::Touch(context, self.line(index), OpKind::Load));
                if state == EntryState::Done {
                    harvested.push_back(index);
                }
            }
        }
        !harvested.is_empty()
    }

    /// User side: the result has been taken over, the entry is free again.
    pub fn retire(&mut self, system: &mut System, task: TaskId, entry: u32) {
        debug_assert_eq!(self.entry(entry).state, EntryState::Done, "only a completed call is retired");
        self.entry_mut(entry).state = EntryState::Free;
        self.done_entries -= 1;
        self.free_entries += 1;
        self.free[(entry / PAGE_ENTRIES) as usize].insert(entry);
        if self.queues.is_none() {
            system.push(task, Action::Touch(user_context(), self.line(entry), OpKind::Store));
        }
    }

    /// User side: writes the status that asks for an end of the call, or a message that does; in force from [`Pages::cancel`] on.
    pub fn write_cancel(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, entry: u32) {
        system.push(task, Action::Instructions(user_context(), settings.cancel_instructions));
        match &mut self.queues {
            Some(queues) => queues.post(system, task, settings),
            None => system.push(task, Action::Touch(user_context(), self.line(entry), OpKind::Store)),
        }
    }

    /// User side: the status says cancel. False when the call was faster: it has completed, or the entry is in another use by now.
    pub fn cancel(&mut self, entry: u32, serial: u32) -> bool {
        if let Some(queues) = &mut self.queues {
            queues.submit(entry);
        }
        let found = self.entry(entry);
        match found.state {
            _ if found.serial != serial => return false,
            EntryState::Submitted => {}
            EntryState::Busy if self.queues.is_some() => {}
            EntryState::Busy => self.add_waiting(entry),
            _ => return false,
        }
        self.entry_mut(entry).state = EntryState::Cancel;
        self.entry_mut(entry).cancelling = true;
        true
    }

    /// Kernel side: takes the next waiting entry of the page that the core at `position` holds, or of an unlocked one, which it then
    /// locks. The scan reads every entry that it passes.
    pub fn take(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, position: usize) -> Option<Taken> {
        let entry = match self.queues {
            Some(_) => self.pop(system, task, settings)?,
            None => self.find(system, task, settings, position)?,
        };
        let found = self.entry(entry);
        let taken = match (found.state, found.executor) {
            (EntryState::Cancel, Some(_)) => Taken::Cancelled(entry),
            (EntryState::Cancel, None) => Taken::Withdrawn(entry),
            _ => Taken::Call(entry),
        };
        self.entry_mut(entry).state = EntryState::Busy;
        if self.queues.is_none() {
            let context = kernel_context();
            self.remove_waiting(entry);
            system.push(task, Action::Instructions(context, settings.dispatch_instructions));
            system.push(task, Action::Touch(context, self.line(entry), OpKind::Load));
            system.push(task, Action::Touch(context, self.line(entry), OpKind::Store));
        }
        Some(taken)
    }

    /// The next message that still means something: a call that was cancelled in the queue has two, one that was too late one too many.
    fn pop(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings) -> Option<u32> {
        loop {
            let entry = self.queues.as_mut()?.take(system, task, settings)?;
            if matches!(self.entry(entry).state, EntryState::Submitted | EntryState::Cancel) {
                return Some(entry);
            }
        }
    }

    fn find(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, position: usize) -> Option<u32> {
        let held = self.held(position);
        let page = match held {
            Some(page) if self.has_work(page) => page,
            _ => {
                if let Some(page) = held {
                    // that nothing is left shows only after a look at every entry in use
                    self.scan(system, task, settings, page, self.used_of(page).len() as u32);
                    self.locks[page] = None;
                }
                let page = self.unlocked_with_work()?;
                self.locks[page] = Some(position);
                self.next_page = (page + 1) % self.locks.len();
                system.push(task, Action::Touch(kernel_context(), self.lock_base + page as u32, OpKind::Store));
                page
            }
        };
        let range = self.used_of(page);
        let count = range.len() as u32;
        self.cursors[page] %= count.max(1);
        let passed = (0..count).find(|step| {
            let entry = self.entry(range.start + (self.cursors[page] + step) % count);
            entry.state == EntryState::Submitted || entry.state == EntryState::Cancel
        })?;
        self.scan(system, task, settings, page, passed);
        let entry = range.start + self.cursors[page];
        self.cursors[page] = (self.cursors[page] + 1) % count;
        Some(entry)
    }

    /// Reads so many entries of a page from its cursor on, and moves the cursor.
    fn scan(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, page: usize, passed: u32) {
        if passed == 0 {
            return;
        }
        let context = kernel_context();
        let range = self.used_of(page);
        let count = range.len() as u32;
        system.push(task, Action::Instructions(context, settings.scan_instructions * passed));
        for step in 0..passed {
            let entry = range.start + (self.cursors[page] + step) % count;
            system.push(task, Action::Touch(context, self.line(entry), OpKind::Load));
        }
        self.cursors[page] = (self.cursors[page] + passed) % count;
    }

    fn entries_of(&self, page: usize) -> std::ops::Range<u32> {
        let first = page as u32 * PAGE_ENTRIES;
        first..(first + PAGE_ENTRIES).min(self.count())
    }

    /// Entries of a page up to the last in use: the lowest are handed out first, and a scan goes no further. (A batch of one costs 80 ns,
    /// OSDI 2010: 55 cycles more than a call, in which nobody looks at 64 entries.)
    fn used_of(&self, page: usize) -> std::ops::Range<u32> {
        let all = self.entries_of(page);
        let last = all.clone().rev().find(|&entry| self.entry(entry).state != EntryState::Free);
        all.start..last.map_or(all.start, |entry| entry + 1)
    }

    fn held(&self, position: usize) -> Option<usize> {
        (0..self.locks.len()).find(|&page| self.locks[page] == Some(position))
    }

    fn unlocked_with_work(&self) -> Option<usize> {
        let pages = self.locks.len();
        (0..pages).map(|step| (self.next_page + step) % pages).find(|&page| self.locks[page].is_none() && self.has_work(page))
    }

    fn has_work(&self, page: usize) -> bool {
        self.waiting_in_page[page] > 0
    }

    /// Kernel side: pages with work that no core has locked, or calls in the queue: so many more cores could take part.
    pub fn shares_waiting(&self) -> usize {
        if let Some(queues) = &self.queues {
            return queues.waiting();
        }
        (0..self.locks.len()).filter(|&page| self.locks[page].is_none() && self.has_work(page)).count()
    }

    /// Kernel side: true when the core at `position` would find something to take.
    pub fn waits_for(&self, position: usize) -> bool {
        if let Some(queues) = &self.queues {
            return queues.waiting() > 0;
        }
        self.held(position).is_some_and(|page| self.has_work(page)) || self.unlocked_with_work().is_some()
    }

    /// Kernel side: the core at `position` gives up what it holds.
    pub fn release(&mut self, position: usize) {
        if let Some(page) = self.held(position) {
            self.locks[page] = None;
        }
    }

    /// Kernel side: writes a call's result and, last, its status. The user side sees it from [`Pages::complete`] on.
    pub fn write_result(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, entry: u32) {
        if let Some(queues) = &mut self.queues {
            queues.write_result(system, task, settings);
            return;
        }
        let context = kernel_context();
        system.push(task, Action::Instructions(context, settings.complete_instructions));
        system.push(task, Action::Touch(context, self.line(entry), OpKind::Store));
    }

    /// The entry's status says done.
    pub fn complete(&mut self, entry: u32) {
        match self.entry(entry).state {
            // nobody has seen the cancellation yet, and nobody needs to any more
            EntryState::Cancel if self.queues.is_none() => self.remove_waiting(entry),
            EntryState::Cancel => {}
            state => debug_assert_eq!(state, EntryState::Busy, "a call completes once"),
        }
        let done = self.entry_mut(entry);
        done.state = EntryState::Done;
        done.executor = None;
        self.done_entries += 1;
        if let Some(queues) = &mut self.queues {
            queues.complete(entry);
        }
    }
}
