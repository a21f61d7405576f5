//! A capture in memory: ops with numbered lines, cut into frames, user segments and softirq stretches.

use crate::TraceError;
use crate::capture::control::{Control, ReturnFrom};
use crate::capture::frames::{Change, FrameKind, FrameTracker};
use crate::capture::header::Header;
use crate::capture::lines::{LineTable, SPACES};
use crate::capture::replay::push_split;
use crate::capture::stream::{Record, is_kernel};
use crate::capture::{Capture, damaged};
use crate::kernel_map::{KernelMap, SymbolId};
use rustc_hash::{FxHashMap, FxHashSet};
use sim_core::block::{Op, OpKind};
use sim_core::ids::CHUNK_LINES;

/// A piece of a frame, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Ops `start..end` of the recording.
    Ops {
        start: u32,
        end: u32,
        /// Softirq stretch that they belong to.
        softirq: Option<u32>,
    },
    /// The task gave up the processor here and got it back later.
    Switch,
    /// An interrupt frame lies here.
    Interrupt,
}

/// One frame of kernel work.
#[derive(Clone, Debug)]
pub(super) struct FrameRecord {
    pub kind: FrameKind,
    /// Index into [`Recording::tasks`].
    pub task: u32,
    pub pieces: Vec<Piece>,
    /// Value returned by a finished call.
    pub result: Option<i64>,
    /// True when the frame's end is recorded.
    pub finished: bool,
    /// User segment before a call.
    pub segment: Option<u32>,
}

/// A task of the recording.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskRecord {
    pub process: u64,
    pub kept: bool,
    pub name: String,
}

/// A stretch of softirq handling.
#[derive(Clone, Debug, Default)]
pub(super) struct SoftirqRecord {
    /// Pieces of recorded ops, nested interrupts left out.
    pub pieces: Vec<(u32, u32)>,
    /// True when it ran on the time of a task of the server.
    pub in_kept_task: bool,
    /// True when network receive was among its actions.
    pub receives: bool,
}

/// A user segment: the pieces between a return to user mode and the next call.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    pub pieces: Vec<(u32, u32)>,
    /// True when it began at the return from a call.
    pub whole: bool,
}

/// A capture in memory.
#[derive(Debug)]
pub(super) struct Recording {
    pub header: Header,
    pub table: LineTable,
    /// Lines are numbers of `table`, in `Op::offset`.
    pub ops: Vec<Op>,
    pub frames: Vec<FrameRecord>,
    pub segments: Vec<Segment>,
    pub softirqs: Vec<SoftirqRecord>,
    pub tasks: Vec<TaskRecord>,
    /// Processes by space of the line table, from space 1.
    pub processes: Vec<u64>,
    /// Instructions of the clients, user and kernel.
    pub dropped_instructions: [u64; 2],
    /// Symbols by line number.
    pub symbols: Vec<&'static [SymbolId]>,
}

struct Builder {
    recording: Recording,
    tracker: FrameTracker,
    task_index: FxHashMap<u64, u32>,
    task: u32,
    space: u64,
    open_segment: FxHashMap<u32, u32>,
    softirq: Option<(u32, u32)>,
    piece_start: u32,
}

impl Recording {
    /// Reads the event stream; an error that ends it comes with what was before it.
    pub fn read(capture: &Capture) -> (Recording, Option<TraceError>) {
        let mut builder = Builder::new(capture);
        let error = builder.read(capture).err();
        (builder.finish(), error)
    }

    /// Raw line behind a line number.
    pub fn line(&self, number: u32) -> u64 {
        self.table.line(number)
    }

    /// Distinct areas of 2 MiB that lines lie in.
    pub fn areas(&self) -> usize {
        let areas: FxHashSet<u64> =
            (0..self.table.len() as u32).map(|number| self.table.line(number) / u64::from(CHUNK_LINES)).collect();
        areas.len()
    }

    /// Ops of a list of pieces, one after the other.
    pub fn gather(&self, pieces: &[(u32, u32)]) -> Vec<Op> {
        let mut ops = Vec::with_capacity(pieces.iter().map(|piece| (piece.1 - piece.0) as usize).sum());
        for (start, end) in pieces {
            ops.extend_from_slice(&self.ops[*start as usize..*end as usize]);
        }
        ops
    }
}

impl Builder {
    fn new(capture: &Capture) -> Builder {
        let header = capture.header.clone();
        // Records take two to three bytes each.
        let ops = Vec::with_capacity(capture.events.len() * 2 / 5);
        let recording = Recording {
            header,
            table: LineTable::default(),
            ops,
            frames: Vec::new(),
            segments: Vec::new(),
            softirqs: Vec::new(),
            tasks: Vec::new(),
            processes: Vec::new(),
            dropped_instructions: [0; 2],
            symbols: Vec::new(),
        };
        Builder {
            recording,
            tracker: FrameTracker::new(),
            task_index: FxHashMap::default(),
            task: 0,
            space: 0,
            open_segment: FxHashMap::default(),
            softirq: None,
            piece_start: 0,
        }
    }

    fn read(&mut self, capture: &Capture) -> Result<(), TraceError> {
        let mut records = capture.records();
        let mut total = 0;
        loop {
            let offset = records.offset();
            let (kind, line, count) = match records.next_record()? {
                None => return Ok(()),
                Some(Record::Run { line, instructions }) => {
                    total += instructions;
                    if total > u64::from(u32::MAX) {
                        return Err(damaged(offset, "more than 4 thousand million instructions, too long a recording to distil"));
                    }
                    self.tracker.check_mode(is_kernel(line), offset)?;
                    (OpKind::Fetch, line, instructions)
                }
                Some(Record::Load(line)) => (OpKind::Load, line, 0),
                Some(Record::Store(line)) => (OpKind::Store, line, 0),
                Some(Record::Control(control)) => {
                    self.control(&control, offset)?;
                    continue;
                }
            };
            let space = if is_kernel(line) { 0 } else { self.space };
            let number = self.recording.table.number(space, line);
            push_split(&mut self.recording.ops, kind, number, count);
        }
    }

    /// Files the ops since the last control record with whoever executed them.
    fn close_piece(&mut self) {
        let (start, end) = (self.piece_start, self.recording.ops.len() as u32);
        self.piece_start = end;
        if start == end {
            return;
        }
        match self.tracker.top() {
            Some(frame) => {
                let softirq = self.softirq.filter(|(_, inside)| *inside == frame.id).map(|(index, _)| index);
                if let Some(index) = softirq {
                    self.recording.softirqs[index as usize].pieces.push((start, end));
                }
                self.recording.frames[frame.id as usize].pieces.push(Piece::Ops { start, end, softirq });
            }
            None => {
                let segments = &mut self.recording.segments;
                let index = *self.open_segment.entry(self.task).or_insert_with(|| {
                    segments.push(Segment::default());
                    segments.len() as u32 - 1
                });
                segments[index as usize].pieces.push((start, end));
            }
        }
    }

    fn control(&mut self, control: &Control<'_>, offset: usize) -> Result<(), TraceError> {
        self.close_piece();
        let below = self.tracker.top();
        match *control {
            Control::Dropped { user, kernel } => {
                let dropped = &mut self.recording.dropped_instructions;
                *dropped = [dropped[0].saturating_add(user), dropped[1].saturating_add(kernel)];
            }
            Control::SoftirqVector(3) => {
                if let Some((index, _)) = self.softirq {
                    self.recording.softirqs[index as usize].receives = true;
                }
            }
            _ => {}
        }
        if let Control::Task { .. } = control
            && let Some(frame) = below
        {
            self.recording.frames[frame.id as usize].pieces.push(Piece::Switch);
        }
        match self.tracker.apply(control, offset)? {
            Change::Switched => self.switched(),
            Change::Entered(frame) => {
                if let Some(below) = below {
                    self.recording.frames[below.id as usize].pieces.push(Piece::Interrupt);
                }
                self.entered(frame.kind);
            }
            Change::Left(frame) => self.recording.frames[frame.id as usize].finished = true,
            Change::InUser(from) => self.in_user(from),
            Change::SoftirqBegan => {
                let frame = below.map_or(0, |frame| frame.id);
                let in_kept_task = self.tracker.kept();
                self.softirq = Some((self.recording.softirqs.len() as u32, frame));
                self.recording.softirqs.push(SoftirqRecord { in_kept_task, ..SoftirqRecord::default() });
            }
            Change::SoftirqEnded => self.softirq = None,
            Change::None => {}
        }
        Ok(())
    }

    fn switched(&mut self) {
        let id = self.tracker.current().unwrap_or_default();
        let info = self.tracker.tasks.get(&id).cloned().unwrap_or_default();
        let recording = &mut self.recording;
        self.task = *self.task_index.entry(id).or_insert_with(|| {
            recording.tasks.push(TaskRecord::default());
            recording.tasks.len() as u32 - 1
        });
        let task = &mut recording.tasks[self.task as usize];
        (task.process, task.kept, task.name) = (info.process, self.tracker.kept(), info.name);
        let known = recording.processes.iter().position(|process| *process == info.process);
        let space = known.unwrap_or_else(|| {
            recording.processes.push(info.process);
            recording.processes.len() - 1
        });
        // Processes beyond what the line table tells apart share the last space.
        self.space = (space as u64 + 1).min(SPACES - 1);
        // A task that is seen for the first time got a base frame from the tracker.
        if let Some(frame) = self.tracker.top()
            && frame.id as usize == recording.frames.len()
        {
            self.entered(frame.kind);
        }
    }

    fn entered(&mut self, kind: FrameKind) {
        let call = matches!(kind, FrameKind::Call { .. });
        let segment = if call { self.open_segment.remove(&self.task) } else { None };
        let task = self.task;
        let frame = FrameRecord { kind, task, pieces: Vec::new(), result: None, finished: false, segment };
        self.recording.frames.push(frame);
    }

    fn in_user(&mut self, from: ReturnFrom) {
        for frame in &self.tracker.finished {
            let record = &mut self.recording.frames[frame.id as usize];
            record.finished = true;
            if let (ReturnFrom::Call(value), FrameKind::Call { .. }) = (from, frame.kind) {
                record.result = Some(value);
            }
        }
        if from != ReturnFrom::Interrupt {
            let whole = matches!(from, ReturnFrom::Call(_));
            self.recording.segments.push(Segment { pieces: Vec::new(), whole });
            self.open_segment.insert(self.task, self.recording.segments.len() as u32 - 1);
        }
    }

    fn finish(mut self) -> Recording {
        self.close_piece();
        let kernel = KernelMap::bundled();
        let table = &self.recording.table;
        let symbols = |number: u32| -> &'static [SymbolId] {
            let line = table.line(number);
            if is_kernel(line) { kernel.symbols(line) } else { &[] }
        };
        self.recording.symbols = (0..table.len() as u32).map(symbols).collect();
        self.recording
    }
}
