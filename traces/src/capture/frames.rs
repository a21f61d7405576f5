//! The state of each task while a capture is read: a stack of frames, empty while the task is in user mode.

use super::control::{Arguments, Control, ReturnFrom};
use super::damaged;
use crate::error::TraceError;
use std::collections::BTreeMap;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A system call.
    Call {
        /// Call number.
        number: u64,
        /// Registers at the call.
        arguments: Arguments,
    },
    /// An interrupt or exception.
    Interrupt {
        /// Index into the header's vectors.
        vector: u64,
        /// Hardware vector of a device interrupt, else 0.
        hardware: u64,
        /// True when it came in kernel mode.
        in_kernel: bool,
    },
    /// Kernel work whose beginning is not in the trace.
    Base,
}

/// One frame of a task's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Number of the frame, in order of entry, over the whole capture.
    pub id: u32,
    /// What it is.
    pub kind: FrameKind,
}

/// Definition of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskInfo {
    /// Thread id.
    pub thread: u64,
    /// Process id.
    pub process: u64,
    /// True when the task's own work is recorded.
    pub kept: bool,
    /// Name.
    pub name: String,
}

/// What a control record did to the current task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that concerns frames.
    None,
    /// Another task runs now.
    Switched,
    /// A frame was pushed.
    Entered(Frame),
    /// The top frame, an interrupt, ended; the frame below goes on.
    Left(Frame),
    /// The task is in user mode; [`FrameTracker::finished`] holds the frames that ended, bottom first.
    InUser(ReturnFrom),
    /// Softirq handling began.
    SoftirqBegan,
    /// Softirq handling ended.
    SoftirqEnded,
}

/// Follows the control records of a capture.
#[derive(Clone, Debug, Default)]
pub struct FrameTracker {
    /// All definitions so far, by task id.
    pub tasks: BTreeMap<u64, TaskInfo>,
    /// Frames that the last return to user mode ended, bottom first.
    pub finished: Vec<Frame>,
    stacks: BTreeMap<u64, Vec<Frame>>,
    stack: Vec<Frame>,
    current: Option<u64>,
    kept: bool,
    in_softirq: bool,
    next_id: u32,
}

impl FrameTracker {
    /// A tracker before the first record.
    pub fn new() -> Self {
        FrameTracker::default()
    }

    /// The task that runs, once the first task record came.
    pub fn current(&self) -> Option<u64> {
        self.current
    }

    /// True while a kept task runs.
    pub fn kept(&self) -> bool {
        self.kept
    }

    /// True inside a softirq stretch.
    pub fn in_softirq(&self) -> bool {
        self.in_softirq
    }

    /// The frame on top; `None` in user mode.
    #[inline]
    pub fn top(&self) -> Option<Frame> {
        self.stack.last().copied()
    }

    /// Depth of the current task's stack.
    pub fn depth(&self) -> usize {
        self.stack.len()
    }

    /// All frames that are still open, by task and from the bottom.
    pub fn open(&self) -> impl Iterator<Item = Frame> + '_ {
        self.stacks.values().flatten().chain(&self.stack).copied()
    }

    /// Applies a control record found at `offset`.
    ///
    /// # Errors
    /// When the record cannot follow what was before it.
    pub fn apply(&mut self, control: &Control<'_>, offset: usize) -> Result<Change, TraceError> {
        let impossible = |what: &str| Err(damaged(offset, what.to_owned()));
        let of_a_task = matches!(
            control,
            Control::Call { .. }
                | Control::ReturnUser(_)
                | Control::Interrupt { .. }
                | Control::InterruptReturn
                | Control::SoftirqIn
        );
        if of_a_task && self.current.is_none() {
            return impossible("work of a task before any task runs");
        }
        match *control {
            Control::TaskDefinition { id, thread, process, kept, name } => {
                let name = String::from_utf8_lossy(name).into_owned();
                self.tasks.insert(id, TaskInfo { thread, process, kept, name });
                Ok(Change::None)
            }
            Control::Task { id, kept, kernel } => self.switch(id, kept, kernel, offset),
            Control::Call { number, arguments } => {
                if !self.stack.is_empty() {
                    return impossible("a system call by a task that is already in the kernel");
                }
                Ok(Change::Entered(self.push(FrameKind::Call { number, arguments })))
            }
            Control::ReturnUser(from) => self.return_user(from, offset),
            Control::Interrupt { vector, hardware, in_kernel } => {
                if self.kept && self.stack.is_empty() == in_kernel {
                    return impossible("an interrupt came in another mode than the task is in");
                }
                Ok(Change::Entered(self.push(FrameKind::Interrupt { vector, hardware, in_kernel })))
            }
            Control::InterruptReturn => match self.stack.pop() {
                Some(frame @ Frame { kind: FrameKind::Interrupt { .. }, .. }) => Ok(Change::Left(frame)),
                _ => impossible("an interrupt returns that did not begin"),
            },
            Control::SoftirqIn => {
                if std::mem::replace(&mut self.in_softirq, true) {
                    return impossible("softirq handling begins inside softirq handling");
                }
                Ok(Change::SoftirqBegan)
            }
            Control::SoftirqOut => {
                if !std::mem::replace(&mut self.in_softirq, false) {
                    return impossible("softirq handling ends that did not begin");
                }
                Ok(Change::SoftirqEnded)
            }
            _ => Ok(Change::None),
        }
    }

    /// Checks that instructions of a mode may follow.
    ///
    /// # Errors
    /// When user instructions come inside a frame, or kernel instructions outside of all.
    #[inline]
    pub fn check_mode(&self, kernel: bool, offset: usize) -> Result<(), TraceError> {
        if kernel == self.stack.is_empty() && (self.kept || !kernel) {
            return Err(damaged(offset, "instructions of one mode while the task is in the other"));
        }
        Ok(())
    }

    fn push(&mut self, kind: FrameKind) -> Frame {
        let frame = Frame { id: self.next_id, kind };
        self.next_id += 1;
        self.stack.push(frame);
        frame
    }

    fn switch(&mut self, id: u64, kept: bool, kernel: bool, offset: usize) -> Result<Change, TraceError> {
        if !self.tasks.contains_key(&id) {
            return Err(damaged(offset, format!("task {id} runs before its definition")));
        }
        if self.in_softirq {
            return Err(damaged(offset, "a task switch inside softirq handling"));
        }
        let leaving = std::mem::take(&mut self.stack);
        let first = match self.current {
            Some(before) => {
                self.stacks.insert(before, leaving);
                false
            }
            None => true,
        };
        self.current = Some(id);
        self.kept = kept;
        match self.stacks.remove(&id) {
            Some(stack) => self.stack = stack,
            None if kernel || !first => {
                self.push(FrameKind::Base);
            }
            None => {}
        }
        Ok(Change::Switched)
    }

    fn return_user(&mut self, from: ReturnFrom, offset: usize) -> Result<Change, TraceError> {
        let bottom = self.stack.first().map(|frame| frame.kind);
        let fits = match from {
            ReturnFrom::Call(_) => matches!(bottom, Some(FrameKind::Call { .. })),
            ReturnFrom::Interrupt => matches!(bottom, Some(FrameKind::Interrupt { .. })),
            ReturnFrom::Base => matches!(bottom, Some(FrameKind::Base) | None),
        };
        if !fits {
            return Err(damaged(offset, "a return to user mode that does not fit how the kernel was entered"));
        }
        self.finished.clear();
        self.finished.append(&mut self.stack);
        Ok(Change::InUser(from))
    }
}
