//! A whole capture as simulated lines, for `ringscope replay`: nothing is reordered or renamed.

use super::Capture;
use super::control::Control;
use super::copies::push_with_copies;
use super::damaged;
use super::frames::{Change, FrameKind, FrameTracker};
use super::stream::{Record, RecordReader, is_kernel};
use crate::error::TraceError;
use crate::kernel_map::page_size_by_address;
use sim_core::block::{Op, OpKind, Region};
use sim_core::calls::CallNumber;
use sim_core::context::Agent;
use sim_core::ids::{CHUNK_LINES, Line, MAX_LINE, Mode};
use sim_core::layout::AddressMap;

/// A stretch of a capture in which mode and agent stay the same.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    /// Mode of the instructions.
    pub mode: Mode,
    /// Whose work it is: user, a call, an interrupt, a softirq; the scheduler for kernel work whose beginning is not in the trace.
    pub agent: Agent,
    /// What it touches; every line is in [`Region::Fixed`].
    pub ops: &'a [Op],
}

/// Stretch after stretch of a capture; see [`replay_ops`].
#[derive(Debug)]
pub struct ReplayOps<'a, 'm> {
    records: RecordReader<'a>,
    tracker: FrameTracker,
    map: &'m mut AddressMap,
    recent: Vec<(u64, Line)>,
    process: u32,
    raw: Vec<Op>,
    ops: Vec<Op>,
}

/// Chunks that the simulated address space holds.
const CHUNKS_MAX: usize = (MAX_LINE / CHUNK_LINES) as usize;
/// Direct-mapped translations kept in front of the address map.
const RECENT_CHUNKS: usize = 256;

/// Turns a capture into stretches of simulated lines. Kernel lines are placed in space 0 of `map`, user lines in one space per process.
///
/// ```
/// use sim_core::ids::Mode;
/// use sim_core::layout::AddressMap;
/// use traces::capture::{Capture, replay_ops};
///
/// # let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/captures/ubench-off.trace")).unwrap();
/// let capture = Capture::read(&file)?;
/// let mut map = AddressMap::new();
/// let mut stretches = replay_ops(&capture, &mut map);
/// let mut ops_by_mode = [0; 2];
/// while let Some(stretch) = stretches.next_stretch()? {
///     ops_by_mode[stretch.mode.index()] += stretch.ops.len();
/// }
/// assert!(ops_by_mode[Mode::Kernel.index()] > ops_by_mode[Mode::User.index()]);
/// # Ok::<(), traces::error::TraceError>(())
/// ```
pub fn replay_ops<'a, 'm>(capture: &'a Capture, map: &'m mut AddressMap) -> ReplayOps<'a, 'm> {
    ReplayOps {
        records: capture.records(),
        tracker: FrameTracker::new(),
        map,
        recent: vec![(u64::MAX, 0); RECENT_CHUNKS],
        process: 0,
        raw: Vec::new(),
        ops: Vec::new(),
    }
}

impl ReplayOps<'_, '_> {
    /// The next stretch; `None` at the end. Empty stretches are left out.
    ///
    /// # Errors
    /// Damage in the event stream, with its offset; stretches before it have been returned.
    pub fn next_stretch(&mut self) -> Result<Option<Stretch<'_>>, TraceError> {
        self.raw.clear();
        let mut who = self.who();
        loop {
            let offset = self.records.offset();
            let Some(record) = self.records.next_record()? else { break };
            let (kind, line, count) = match record {
                Record::Run { line, instructions } => {
                    self.tracker.check_mode(is_kernel(line), offset)?;
                    (OpKind::Fetch, line, instructions)
                }
                Record::Load(line) => (OpKind::Load, line, 0),
                Record::Store(line) => (OpKind::Store, line, 0),
                Record::Control(control) => {
                    self.control(&control, offset)?;
                    let now = self.who();
                    if now != who && !self.raw.is_empty() {
                        break;
                    }
                    who = now;
                    continue;
                }
            };
            let offset = self.simulated(line, offset)?;
            push_split(&mut self.raw, kind, offset, count);
        }
        if self.raw.is_empty() {
            return Ok(None);
        }
        self.ops.clear();
        push_with_copies(&self.raw, &mut self.ops);
        Ok(Some(Stretch { mode: who.0, agent: who.1, ops: &self.ops }))
    }

    /// Offset of the next record in the event stream, for progress reports.
    pub fn offset(&self) -> usize {
        self.records.offset()
    }

    fn control(&mut self, control: &Control<'_>, offset: usize) -> Result<(), TraceError> {
        if self.tracker.apply(control, offset)? == Change::Switched {
            let task = self.tracker.current().and_then(|id| self.tracker.tasks.get(&id));
            self.process = task.map_or(0, |task| task.process as u32);
        }
        Ok(())
    }

    fn who(&self) -> (Mode, Agent) {
        let Some(frame) = self.tracker.top() else { return (Mode::User, Agent::USER) };
        let agent = match frame.kind {
            _ if self.tracker.in_softirq() => Agent::SOFTIRQ,
            FrameKind::Call { number, .. } => Agent::call(CallNumber(number.min(u64::from(u16::MAX >> 1)) as u16)),
            FrameKind::Interrupt { .. } => Agent::INTERRUPT,
            FrameKind::Base => Agent::SCHEDULER,
        };
        (Mode::Kernel, agent)
    }

    fn simulated(&mut self, raw: u64, offset: usize) -> Result<Line, TraceError> {
        let space = if is_kernel(raw) { 0 } else { self.process.wrapping_add(1) };
        let chunk = raw / u64::from(CHUNK_LINES);
        let key = u64::from(space) << 48 ^ chunk;
        let slot = (key ^ key >> 48) as usize % RECENT_CHUNKS;
        let (cached, first) = self.recent[slot];
        if cached == key {
            return Ok(first + (raw % u64::from(CHUNK_LINES)) as Line);
        }
        if self.map.layout.chunks() >= CHUNKS_MAX {
            return Err(damaged(offset, "the lines spread over more than 64 GiB, more than can be simulated"));
        }
        let line = self.map.line(space, raw, page_size_by_address(raw));
        self.recent[slot] = (key, line - (raw % u64::from(CHUNK_LINES)) as Line);
        Ok(line)
    }
}

/// Pushes an op; a run with more instructions than an op can count becomes several.
pub(crate) fn push_split(ops: &mut Vec<Op>, kind: OpKind, offset: u32, mut count: u64) {
    let most = u64::from(u16::MAX);
    while count > most {
        ops.push(Op { offset, count: u16::MAX, region: Region::Fixed, kind });
        count -= most;
    }
    ops.push(Op { offset, count: count as u16, region: Region::Fixed, kind });
}
