//! One ring: its lines in simulated memory, its indices, and the requests that it holds.
//!
//! `struct io_rings` keeps the submission indices on one line and the completion indices on the next; masks, flags and counters are on
//! a third. Then come the completion entries (16 bytes, four a line), the submission index array and the submission entries (64 bytes).

use os_model::action::{Action, Slot};
use os_model::system::System;
use sim_core::block::OpKind;
use sim_core::context::Context;
use sim_core::ids::{ConnectionId, Line, TaskId};
use std::collections::VecDeque;

const SUBMISSION_INDICES: u32 = 0;
const COMPLETION_INDICES: u32 = 1;
const FLAGS: u32 = 2;
const HEADER_LINES: u32 = 3;
const COMPLETIONS_PER_LINE: u32 = 4;
const INDICES_PER_LINE: u32 = 16;

/// Where a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpState {
    /// Nowhere.
    Free,
    /// Written by the program, or submitted and not yet taken.
    Queued,
    /// Behind another one in a chain of links.
    Linked,
    /// In execution, or on its way to a worker.
    Issued,
    /// Its poll is armed.
    Armed,
    /// Its poll fired, or the request before it in a chain ended: it waits to be run as task work.
    TaskWork,
    /// Its completion is in the ring.
    Completed,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    /// Its ring.
    pub ring: usize,
    /// Where it is.
    pub state: OpState,
    /// Connection of the call.
    pub connection: ConnectionId,
    /// The server's request that the call belongs to, once known.
    pub slot: Slot,
    /// Step of the request's chain.
    pub step: u32,
    /// Submitted before its request was known.
    pub early: bool,
    /// An early call that accepts; the others receive.
    pub accepts: bool,
    /// The request linked behind it.
    pub next: Option<u32>,
    /// Position of its completion.
    pub position: u32,
}

/// One ring.
#[derive(Debug)]
pub(super) struct Ring {
    base: Line,
    entries: u32,
    /// First of its requests.
    first_op: u32,
    free: Vec<u32>,
    /// Entries written, the tail not moved.
    pub prepared: VecDeque<u32>,
    /// Entries that the kernel has not taken.
    pub queue: VecDeque<u32>,
    /// Completions that the program has not taken.
    pub completed: VecDeque<u32>,
    /// Requests to be run as task work.
    pub task_work: VecDeque<u32>,
    /// The polling thread asks to be woken.
    pub need_wakeup: bool,
    submission_tail: u32,
    submission_head: u32,
    completion_tail: u32,
}

/// Lines of one ring.
pub(super) fn lines(entries: u32) -> u32 {
    HEADER_LINES + (2 * entries).div_ceil(COMPLETIONS_PER_LINE) + entries.div_ceil(INDICES_PER_LINE) + entries
}

/// Requests of one ring that can be outstanding: each must find room in the completion ring.
pub(super) fn requests(entries: u32) -> u32 {
    2 * entries
}

impl Ring {
    /// An empty ring at `base` whose requests are numbered from `first_op`.
    pub fn new(base: Line, entries: u32, first_op: u32) -> Ring {
        Ring {
            base,
            entries,
            first_op,
            free: (first_op..first_op + requests(entries)).rev().collect(),
            prepared: VecDeque::new(),
            queue: VecDeque::new(),
            completed: VecDeque::new(),
            task_work: VecDeque::new(),
            need_wakeup: false,
            submission_tail: 0,
            submission_head: 0,
            completion_tail: 0,
        }
    }

    /// True when the submission ring has room and a completion would find some.
    pub fn has_room(&self) -> bool {
        !self.free.is_empty() && self.prepared.len() + self.queue.len() < self.entries as usize
    }

    /// Requests on their way: submitted or prepared, their completions not taken.
    pub fn outstanding(&self) -> u32 {
        requests(self.entries) - self.free.len() as u32
    }

    /// A free request. The caller has checked that there is one.
    pub fn allocate(&mut self) -> u32 {
        self.free.pop().unwrap_or(self.first_op)
    }

    /// Gives a request back.
    pub fn release(&mut self, op: u32) {
        self.free.push(op);
    }

    /// The program writes an entry.
    pub fn write_entry(&mut self, system: &mut System, task: TaskId, context: Context, op: u32) {
        let position = self.submission_tail % self.entries;
        self.submission_tail = self.submission_tail.wrapping_add(1);
        system.push(task, Action::Touch(context, self.entry_line(position), OpKind::Store));
        self.prepared.push_back(op);
    }

    /// The program moves the tail: the kernel may take what is prepared. The caller hands it over when execution comes to it.
    pub fn move_tail(&self, system: &mut System, task: TaskId, context: Context) {
        system.push(task, Action::Touch(context, self.base + SUBMISSION_INDICES, OpKind::Store));
    }

    /// What is prepared becomes the kernel's.
    pub fn publish(&mut self) {
        self.queue.append(&mut self.prepared);
        debug_assert!(self.queue.len() <= self.entries as usize, "the submission ring overflows");
    }

    /// The kernel takes an entry: the index array, then the entry.
    pub fn take_entry(&mut self, system: &mut System, task: TaskId, context: Context) -> Option<u32> {
        let op = self.queue.pop_front()?;
        let position = self.submission_head % self.entries;
        self.submission_head = self.submission_head.wrapping_add(1);
        let array = self.base + HEADER_LINES + (2 * self.entries).div_ceil(COMPLETIONS_PER_LINE);
        system.push(task, Action::Touch(context, array + position / INDICES_PER_LINE, OpKind::Load));
        system.push(task, Action::Touch(context, self.entry_line(position), OpKind::Load));
        Some(op)
    }

    /// The kernel moves the head behind the entries that it took.
    pub fn move_head(&self, system: &mut System, task: TaskId, context: Context) {
        system.push(task, Action::Touch(context, self.base + SUBMISSION_INDICES, OpKind::Store));
    }

    /// The kernel looks for entries.
    pub fn look_for_entries(&self, system: &mut System, task: TaskId, context: Context) {
        system.push(task, Action::Touch(context, self.base + SUBMISSION_INDICES, OpKind::Load));
    }

    /// The kernel writes a completion; returns its position.
    pub fn write_completion(&mut self, system: &mut System, task: TaskId, context: Context) -> u32 {
        let position = self.completion_tail % (2 * self.entries);
        self.completion_tail = self.completion_tail.wrapping_add(1);
        system.push(task, Action::Touch(context, self.completion_line(position), OpKind::Store));
        position
    }

    /// The kernel shows the completions that it wrote.
    pub fn show_completions(&self, system: &mut System, task: TaskId, context: Context) {
        system.push(task, Action::Touch(context, self.base + COMPLETION_INDICES, OpKind::Store));
    }

    /// A completion can be seen.
    pub fn complete(&mut self, op: u32) {
        self.completed.push_back(op);
        debug_assert!(self.completed.len() <= 2 * self.entries as usize, "the completion ring overflows");
    }

    /// The program looks for completions.
    pub fn look_for_completions(&self, system: &mut System, task: TaskId, context: Context) {
        system.push(task, Action::Touch(context, self.base + COMPLETION_INDICES, OpKind::Load));
    }

    /// The program reads a completion.
    pub fn read_completion(&self, system: &mut System, task: TaskId, context: Context, position: u32) {
        system.push(task, Action::Touch(context, self.completion_line(position), OpKind::Load));
    }

    /// The program gives completions back.
    pub fn completions_seen(&self, system: &mut System, task: TaskId, context: Context) {
        system.push(task, Action::Touch(context, self.base + COMPLETION_INDICES, OpKind::Store));
    }

    /// Reads or writes the flags (NEED_WAKEUP).
    pub fn flags(&self, system: &mut System, task: TaskId, context: Context, kind: OpKind) {
        system.push(task, Action::Touch(context, self.base + FLAGS, kind));
    }

    fn entry_line(&self, position: u32) -> Line {
        let entries = self.base + lines(self.entries) - self.entries;
        entries + position
    }

    fn completion_line(&self, position: u32) -> Line {
        self.base + HEADER_LINES + position / COMPLETIONS_PER_LINE
    }
}
