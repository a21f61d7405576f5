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
use std::collections::VecDeque;

/// Entries in a 4 KiB syscall page of 64-byte entries.
pub const PAGE_ENTRIES: u32 = 64;

/// State of an entry in a syscall page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryState {
    Free,
    /// Being written: not visible to the kernel yet.
    Posting,
    Submitted,
    Busy,
    Done,
}

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
    /// A readiness call: of the event loop, or of a user thread whose receive found nothing.
    pub readiness: bool,
    /// The user thread that made the call (FlexSC-Threads).
    pub thread: u32,
    /// The receive found nothing and returned EAGAIN.
    pub again: bool,
}

impl Entry {
    /// A call that is being posted: the given step of a request, or what waits for the next request.
    pub fn posting(connection: ConnectionId, slot: Slot, step: u32, thread: u32) -> Entry {
        let early = slot == Slot::NONE;
        Entry { state: EntryState::Posting, connection, slot, step, early, readiness: false, thread, again: false }
    }

    /// The same call with its first state.
    pub fn posted_anew(self) -> Entry {
        Entry { state: EntryState::Posting, ..self }
    }
}

/// The calls between one user thread and the kernel, in syscall pages or, as a variant, in two message queues.
#[derive(Debug)]
pub(super) struct Pages {
    queues: Option<Queues>,
    pub entries: Vec<Entry>,
    free: Vec<VecDeque<u32>>,
    free_entries: usize,
    locks: Vec<Option<usize>>,
    submitted_in_page: Vec<u32>,
    done_entries: u32,
    base: Line,
    lock_base: Line,
}

impl Pages {
    /// Pages with all entries free, their lines from `base` on, one lock line a page behind them; or queues with room for as many.
    pub fn new(page_count: u32, base: Line, queued: bool) -> Pages {
        let mut free = vec![VecDeque::new(); page_count as usize];
        for entry in 0..page_count * PAGE_ENTRIES {
            free[(entry / PAGE_ENTRIES) as usize].push_back(entry);
        }
        let empty = Entry { state: EntryState::Free, ..Entry::posting(ConnectionId(0), Slot::NONE, 0, 0) };
        Pages {
            queues: queued.then(|| Queues::new(page_count * PAGE_ENTRIES, base)),
            entries: vec![empty; (page_count * PAGE_ENTRIES) as usize],
            free,
            free_entries: (page_count * PAGE_ENTRIES) as usize,
            locks: vec![None; page_count as usize],
            submitted_in_page: vec![0; page_count as usize],
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

    pub fn has_free(&self) -> bool {
        self.free_entries > 0
    }

    /// Some call has completed and its entry was not freed yet.
    pub fn has_done(&self) -> bool {
        self.done_entries > 0
    }

    /// Entries in use of each page, for the timeline. Pages are numbered through, over the user threads' home cores.
    pub fn report(&self, system: &mut System, core: CoreId, home: CoreId) {
        if !system.is_recording() {
            return;
        }
        let first = u32::from(home.0) * self.free.len() as u32;
        for (page, free) in self.free.iter().enumerate() {
            let in_use = u64::from(PAGE_ENTRIES) - free.len() as u64;
            system.timeline_counter(core, "entries in use of page", first + page as u32, in_use);
        }
        system.timeline_counter(core, "completed entries of user thread on core", u32::from(home.0), u64::from(self.done_entries));
    }

    /// User side: writes an entry: number, arguments, and last its status. The caller has checked that one is free; the kernel sees
    /// it from [`Pages::submit`] on.
    pub fn post(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, call: Entry) -> u32 {
        let entry = self.allocate(call.connection);
        *self.entry_mut(entry) = call;
        if let Some(queues) = &mut self.queues {
            queues.post(system, task, settings);
            return entry;
        }
        system.push(task, Action::Instructions(user_context(), settings.post_instructions));
        system.push(task, Action::Touch(user_context(), self.line(entry), OpKind::Store));
        entry
    }

    /// A free entry, in the page that the connection is spread to or the next with room.
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

    /// The entry's status is written: the kernel can see it.
    pub fn submit(&mut self, entry: u32) {
        self.entry_mut(entry).state = EntryState::Submitted;
        if let Some(queues) = &mut self.queues {
            queues.submit(entry);
            return;
        }
        self.submitted_in_page[(entry / PAGE_ENTRIES) as usize] += 1;
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
        for index in 0..self.entries.len() as u32 {
            let state = self.entry(index).state;
            if state != EntryState::Free {
                system.push(task, Action::Instructions(context, settings.scan_instructions));
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
        self.entry_mut(entry).state = EntryState::Free;
        self.done_entries -= 1;
        self.free_entries += 1;
        self.free[(entry / PAGE_ENTRIES) as usize].push_back(entry);
        if self.queues.is_none() {
            system.push(task, Action::Touch(user_context(), self.line(entry), OpKind::Store));
        }
    }

    /// Kernel side: takes the next submitted entry of the page that the core at `position` holds, or of an unlocked one, which it
    /// then locks.
    pub fn take(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, position: usize) -> Option<u32> {
        if let Some(queues) = &mut self.queues {
            let entry = queues.take(system, task, settings)?;
            self.entry_mut(entry).state = EntryState::Busy;
            return Some(entry);
        }
        let entry = self.find(position)?;
        let page = entry / PAGE_ENTRIES;
        self.entry_mut(entry).state = EntryState::Busy;
        self.submitted_in_page[page as usize] -= 1;
        let context = kernel_context();
        system.push(task, Action::Touch(context, self.lock_base + page, OpKind::Store));
        system.push(task, Action::Instructions(context, settings.dispatch_instructions));
        system.push(task, Action::Touch(context, self.line(entry), OpKind::Load));
        system.push(task, Action::Touch(context, self.line(entry), OpKind::Store));
        Some(entry)
    }

    fn find(&mut self, position: usize) -> Option<u32> {
        let held = (0..self.locks.len()).find(|&page| self.locks[page] == Some(position));
        let page = match held {
            Some(page) if self.has_work(page) => page,
            Some(page) => {
                self.locks[page] = None;
                self.unlocked_with_work()?
            }
            None => self.unlocked_with_work()?,
        };
        self.locks[page] = Some(position);
        let first = page as u32 * PAGE_ENTRIES;
        (first..first + PAGE_ENTRIES).find(|&entry| self.entry(entry).state == EntryState::Submitted)
    }

    fn unlocked_with_work(&self) -> Option<usize> {
        (0..self.locks.len()).find(|&page| self.locks[page].is_none() && self.has_work(page))
    }

    fn has_work(&self, page: usize) -> bool {
        self.submitted_in_page[page] > 0
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
        let held = (0..self.locks.len()).any(|page| self.locks[page] == Some(position) && self.has_work(page));
        held || self.unlocked_with_work().is_some()
    }

    /// Kernel side: the core at `position` gives up what it holds.
    pub fn release(&mut self, position: usize) {
        for lock in &mut self.locks {
            if *lock == Some(position) {
                *lock = None;
            }
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
        self.entry_mut(entry).state = EntryState::Done;
        self.done_entries += 1;
        if let Some(queues) = &mut self.queues {
            queues.complete(entry);
        }
    }
}
