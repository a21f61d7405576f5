//! Recounting a capture: the totals that the recorder wrote, and per-call statistics.

use super::Capture;
use super::control::{Control, EndTotals, ReturnFrom};
use super::damaged;
use super::frames::{Change, Frame, FrameKind, FrameTracker, TaskInfo};
use super::lines::LineTable;
use super::stream::{Record, is_kernel};
use crate::error::TraceError;
use std::collections::BTreeMap;

/// Statistics of the finished calls of one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallTotals {
    /// Finished calls.
    pub count: u64,
    /// Calls that returned an error.
    pub errors: u64,
    /// Instructions with the call on top, softirq work included, nested interrupts not.
    pub instructions: u64,
    /// The part inside softirq stretches.
    pub softirq_instructions: u64,
    /// Sum over the calls of distinct instruction lines.
    pub code_lines: u64,
    /// Sum over the calls of distinct data lines.
    pub data_lines: u64,
}

/// Count and instructions of something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// Instructions in them.
    pub instructions: u64,
}

/// Everything that can be counted in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Instruction, load and store records.
    pub records: [u64; 3],
    /// Control records by kind.
    pub controls: BTreeMap<u64, u64>,
    /// Instructions in user and kernel mode.
    pub instructions: [u64; 2],
    /// Instructions inside softirq stretches.
    pub softirq_instructions: u64,
    /// Instructions with a base frame on top.
    pub base_instructions: u64,
    /// Instructions while a task that is not kept runs.
    pub not_kept_instructions: u64,
    /// Totals of the end record.
    pub end: EndTotals,
    /// Distinct lines: code user, code kernel, data user, data kernel.
    pub distinct_lines: [u64; 4],
    /// User segments between a return from a call and the next call.
    pub user_segments: Counted,
    /// Call frames still open at the end.
    pub unfinished_calls: Counted,
    /// Softirq stretches.
    pub softirqs: u64,
    /// Softirq actions by number.
    pub softirq_actions: BTreeMap<u64, u64>,
    /// Finished interrupt frames by vector.
    pub interrupts: BTreeMap<u64, Counted>,
    /// Finished calls by number.
    pub calls: BTreeMap<u64, CallTotals>,
    /// Finished calls by phase (the last mark before the call) and number.
    pub phases: BTreeMap<(u64, u64), CallTotals>,
    /// Instructions by phase.
    pub phase_instructions: BTreeMap<u64, u64>,
    /// Last definition of every task.
    pub tasks: BTreeMap<u64, TaskInfo>,
}

#[derive(Clone, Debug, Default)]
struct OpenFrame {
    instructions: u64,
    softirq_instructions: u64,
    code_lines: u64,
    data_lines: u64,
    phase: u64,
}

#[derive(Default)]
struct Counter {
    totals: Totals,
    tracker: FrameTracker,
    open: BTreeMap<u32, OpenFrame>,
    top: OpenFrame,
    top_frame: Option<Frame>,
    table: LineTable,
    // Per line: bit 0 seen as code, bit 1 seen as data.
    seen: Vec<u8>,
    // Per line and kind: the call frame (plus one) that touched it last, to count distinct lines per call.
    last_frame: [Vec<u32>; 2],
    // Calls interleave when tasks switch; then the stamps alone do not suffice.
    touched: BTreeMap<u32, [std::collections::BTreeSet<u32>; 2]>,
    segment: BTreeMap<u64, (u64, bool)>,
    phase: u64,
}

/// Counts a capture and checks it against its own end record.
///
/// # Errors
/// Damage and impossible transitions with their offset; totals that differ from those of the end record.
pub fn count(capture: &Capture) -> Result<Totals, TraceError> {
    let mut counter = Counter::default();
    let mut records = capture.records();
    loop {
        let offset = records.offset();
        match records.next_record()? {
            None => break,
            Some(Record::Run { line, instructions }) => counter.run(line, instructions, offset)?,
            Some(Record::Load(line)) => counter.touch(line, 1),
            Some(Record::Store(line)) => counter.touch(line, 2),
            Some(Record::Control(control)) => counter.control(&control, offset)?,
        }
    }
    counter.finish(capture.events.len())
}

impl Counter {
    fn run(&mut self, line: u64, instructions: u64, offset: usize) -> Result<(), TraceError> {
        let kernel = is_kernel(line);
        self.tracker.check_mode(kernel, offset)?;
        let totals = &mut self.totals;
        totals.records[0] += 1;
        totals.instructions[usize::from(kernel)] += instructions;
        *totals.phase_instructions.entry(self.phase).or_default() += instructions;
        if self.tracker.in_softirq() {
            totals.softirq_instructions += instructions;
            self.top.softirq_instructions += instructions;
        }
        if !self.tracker.kept() {
            totals.not_kept_instructions += instructions;
        }
        match self.top_frame {
            Some(frame) => {
                self.top.instructions += instructions;
                if frame.kind == FrameKind::Base {
                    totals.base_instructions += instructions;
                }
            }
            None => {
                let task = self.tracker.current().unwrap_or_default();
                self.segment.entry(task).or_default().0 += instructions;
            }
        }
        self.distinct(line, 0);
        Ok(())
    }

    fn touch(&mut self, line: u64, record: usize) {
        self.totals.records[record] += 1;
        self.distinct(line, 1);
    }

    fn distinct(&mut self, line: u64, kind: usize) {
        let number = self.table.number(0, line) as usize;
        if number >= self.seen.len() {
            self.seen.push(0);
            self.last_frame[0].push(0);
            self.last_frame[1].push(0);
        }
        if self.seen[number] & 1 << kind == 0 {
            self.seen[number] |= 1 << kind;
            self.totals.distinct_lines[kind * 2 + usize::from(is_kernel(line))] += 1;
        }
        let Some(Frame { id, kind: FrameKind::Call { .. } }) = self.top_frame else { return };
        if self.last_frame[kind][number] == id + 1 {
            return;
        }
        self.last_frame[kind][number] = id + 1;
        if self.touched.entry(id).or_default()[kind].insert(number as u32) {
            match kind {
                0 => self.top.code_lines += 1,
                _ => self.top.data_lines += 1,
            }
        }
    }

    fn control(&mut self, control: &Control<'_>, offset: usize) -> Result<(), TraceError> {
        *self.totals.controls.entry(kind_number(control)).or_default() += 1;
        match *control {
            Control::End(end) => self.totals.end = end,
            Control::SoftirqVector(number) => *self.totals.softirq_actions.entry(number).or_default() += 1,
            Control::Mark { value, .. } => self.phase = value,
            Control::SoftirqIn => self.totals.softirqs += 1,
            _ => {}
        }
        if let Some(frame) = self.top_frame {
            self.open.insert(frame.id, std::mem::take(&mut self.top));
        }
        match self.tracker.apply(control, offset)? {
            Change::Entered(frame) => {
                self.open.insert(frame.id, OpenFrame { phase: self.phase, ..OpenFrame::default() });
                if matches!(frame.kind, FrameKind::Call { .. }) {
                    self.end_segment();
                }
            }
            Change::Left(frame) => self.interrupt_ended(frame),
            Change::InUser(from) => self.returned(from),
            _ => {}
        }
        self.top_frame = self.tracker.top();
        if let Some(frame) = self.top_frame {
            self.top = self.open.remove(&frame.id).unwrap_or_default();
        }
        Ok(())
    }

    fn end_segment(&mut self) {
        let task = self.tracker.current().unwrap_or_default();
        if let Some((instructions, true)) = self.segment.remove(&task) {
            self.totals.user_segments.count += 1;
            self.totals.user_segments.instructions += instructions;
        }
    }

    fn interrupt_ended(&mut self, frame: Frame) {
        let open = self.open.remove(&frame.id).unwrap_or_default();
        if let FrameKind::Interrupt { vector, .. } = frame.kind {
            let counted = self.totals.interrupts.entry(vector).or_default();
            counted.count += 1;
            counted.instructions += open.instructions;
        }
    }

    fn returned(&mut self, from: ReturnFrom) {
        let task = self.tracker.current().unwrap_or_default();
        for frame in std::mem::take(&mut self.tracker.finished) {
            let FrameKind::Call { number, .. } = frame.kind else {
                self.interrupt_ended(frame);
                continue;
            };
            let open = self.open.remove(&frame.id).unwrap_or_default();
            self.touched.remove(&frame.id);
            let error = matches!(from, ReturnFrom::Call(value) if (-4095..0).contains(&value));
            let phase = self.totals.phases.entry((open.phase, number)).or_default();
            for calls in [phase, self.totals.calls.entry(number).or_default()] {
                calls.count += 1;
                calls.errors += u64::from(error);
                calls.instructions += open.instructions;
                calls.softirq_instructions += open.softirq_instructions;
                calls.code_lines += open.code_lines;
                calls.data_lines += open.data_lines;
            }
        }
        match from {
            ReturnFrom::Call(_) => self.segment.insert(task, (0, true)),
            ReturnFrom::Interrupt => Some(*self.segment.entry(task).or_default()),
            ReturnFrom::Base => self.segment.insert(task, (0, false)),
        };
    }

    fn finish(mut self, length: usize) -> Result<Totals, TraceError> {
        for frame in self.tracker.open() {
            if matches!(frame.kind, FrameKind::Call { .. }) {
                let open = self.open.get(&frame.id).unwrap_or(&self.top);
                self.totals.unfinished_calls.count += 1;
                self.totals.unfinished_calls.instructions += open.instructions;
            }
        }
        self.totals.tasks = self.tracker.tasks;
        let totals = self.totals;
        let end = totals.end;
        let counted = [
            (totals.instructions[0], end.user_instructions, "user instructions"),
            (totals.instructions[1], end.kernel_instructions, "kernel instructions"),
            (totals.records[0], end.run_records, "instruction records"),
            (totals.records[1], end.load_records, "load records"),
            (totals.records[2], end.store_records, "store records"),
            (totals.softirq_instructions, end.softirq_instructions, "softirq instructions"),
        ];
        for (found, announced, what) in counted {
            if found != announced {
                return Err(damaged(length, format!("{found} {what}, but the end record says {announced}")));
            }
        }
        Ok(totals)
    }
}

fn kind_number(control: &Control<'_>) -> u64 {
    match control {
        Control::End(_) => 0,
        Control::TaskDefinition { .. } => 1,
        Control::Task { .. } => 2,
        Control::Call { .. } => 3,
        Control::ReturnUser(_) => 4,
        Control::Interrupt { .. } => 5,
        Control::InterruptReturn => 6,
        Control::SoftirqIn => 7,
        Control::SoftirqOut => 8,
        Control::SoftirqVector(_) => 9,
        Control::Dropped { .. } => 10,
        Control::PageTable { .. } => 11,
        Control::Invalidate { .. } => 12,
        Control::Mark { .. } => 13,
        Control::Unknown(kind) => *kind,
    }
}
