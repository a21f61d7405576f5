//! Two message queues instead of syscall pages (ATC'11, section 7): the program's calls go in through one, results come out of the
//! other. Nothing is scanned and no page is locked; the price is the index lines, which both sides and all kernel cores write.

use super::{kernel_context, user_context};
use crate::settings::ExceptionLessSettings;
use os_model::action::Action;
use os_model::system::System;
use sim_core::block::OpKind;
use sim_core::ids::{Line, TaskId};
use std::collections::VecDeque;

/// Results in a 64-byte line: each names its call and holds the return value (two 64-bit words).
const RESULTS_PER_LINE: u32 = 4;

/// Index lines: each on a line of its own, so that the sides disturb each other only where they must.
const SUBMISSION_TAIL: u32 = 0;
const SUBMISSION_HEAD: u32 = 1;
const COMPLETION_TAIL: u32 = 2;
const COMPLETION_HEAD: u32 = 3;
const INDEX_LINES: u32 = 4;

/// Lines of both queues for so many calls at the same time.
pub(super) fn lines(entries: u32) -> u32 {
    INDEX_LINES + entries + entries.div_ceil(RESULTS_PER_LINE)
}

/// The two queues. What is in a message is kept in the table of entries; here is the order, and which lines are touched.
#[derive(Debug)]
pub(super) struct Queues {
    submitted: VecDeque<u32>,
    completed: VecDeque<u32>,
    /// Slots written so far in each queue; they come round again after `entries`.
    submissions: u32,
    results: u32,
    results_taken: u32,
    entries: u32,
    base: Line,
}

impl Queues {
    /// Empty queues whose lines begin at `base`.
    pub fn new(entries: u32, base: Line) -> Queues {
        let none = VecDeque::new();
        Queues { submitted: none.clone(), completed: none, submissions: 0, results: 0, results_taken: 0, entries, base }
    }

    fn submission_line(&self, number: u32) -> Line {
        self.base + INDEX_LINES + number % self.entries
    }

    fn result_line(&self, number: u32) -> Line {
        self.base + INDEX_LINES + self.entries + number % self.entries / RESULTS_PER_LINE
    }

    /// User side: writes a message into the next slot and moves the tail.
    pub fn post(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings) {
        let context = user_context();
        let slot = self.submission_line(self.submissions);
        self.submissions = self.submissions.wrapping_add(1);
        system.push(task, Action::Instructions(context, settings.post_instructions + settings.queue_index_instructions));
        system.push(task, Action::Touch(context, slot, OpKind::Store));
        system.push(task, Action::Touch(context, self.base + SUBMISSION_TAIL, OpKind::Store));
    }

    /// The tail has moved: the kernel can see the call.
    pub fn submit(&mut self, entry: u32) {
        self.submitted.push_back(entry);
    }

    /// Calls that wait in the queue.
    pub fn waiting(&self) -> usize {
        self.submitted.len()
    }

    /// Kernel side: compares the indices, moves the head with an atomic instruction (other kernel cores do the same), reads the
    /// message.
    pub fn take(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings) -> Option<u32> {
        let number = self.submissions.wrapping_sub(self.submitted.len() as u32);
        let entry = self.submitted.pop_front()?;
        let context = kernel_context();
        system.push(task, Action::Touch(context, self.base + SUBMISSION_TAIL, OpKind::Load));
        system.push(task, Action::Instructions(context, settings.dispatch_instructions + settings.queue_index_instructions));
        system.push(task, Action::Touch(context, self.base + SUBMISSION_HEAD, OpKind::Store));
        system.push(task, Action::Touch(context, self.submission_line(number), OpKind::Load));
        Some(entry)
    }

    /// Kernel side: takes a slot of the completion queue with an atomic instruction on its tail and writes the result.
    pub fn write_result(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings) {
        let context = kernel_context();
        let slot = self.result_line(self.results);
        self.results = self.results.wrapping_add(1);
        system.push(task, Action::Instructions(context, settings.complete_instructions + settings.queue_index_instructions));
        system.push(task, Action::Touch(context, self.base + COMPLETION_TAIL, OpKind::Store));
        system.push(task, Action::Touch(context, slot, OpKind::Store));
    }

    /// The result is written: the program can see it.
    pub fn complete(&mut self, entry: u32) {
        self.completed.push_back(entry);
    }

    /// User side: compares the indices, reads what has come, and moves the head once.
    pub fn poll(&mut self, system: &mut System, task: TaskId, settings: &ExceptionLessSettings, harvested: &mut VecDeque<u32>) {
        let context = user_context();
        system.push(task, Action::Instructions(context, settings.queue_index_instructions));
        system.push(task, Action::Touch(context, self.base + COMPLETION_TAIL, OpKind::Load));
        if self.completed.is_empty() {
            return;
        }
        while let Some(entry) = self.completed.pop_front() {
            system.push(task, Action::Instructions(context, settings.scan_instructions));
            system.push(task, Action::Touch(context, self.result_line(self.results_taken), OpKind::Load));
            self.results_taken = self.results_taken.wrapping_add(1);
            harvested.push_back(entry);
        }
        system.push(task, Action::Touch(context, self.base + COMPLETION_HEAD, OpKind::Store));
    }
}
