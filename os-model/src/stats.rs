//! Counts and latencies of one simulation, inside and outside the measured window.

use crate::action::Slot;
use cpu_model::CrossingKind;
use sim_core::calls::CallNumber;
use sim_core::histogram::LatencyHistogram;
use sim_core::ids::Cycles;

/// Highest system-call number that is counted, plus one.
const CALLS: usize = 512;

/// Occurrence: what a system-call exit would have done (a due rescheduling, a file's last close) was done elsewhere.
pub const DEFERRED_WORK_RUNS: &str = "deferred work runs";
/// Occurrence: an event loop was woken for a new connection besides the first one.
pub const HERD_WAKE_UPS: &str = "herd wake-ups";
/// Occurrence: a task that rests in the kernel handed the processor directly to another one.
pub const HAND_OVERS: &str = "hand-overs without the scheduler";
/// Occurrence: a softirq had handled so much that its thread took the rest over.
pub const SOFTIRQS_LEFT_TO_THREAD: &str = "softirqs left to ksoftirqd";
/// Different remarks that are kept.
pub const MOST_REMARKS: usize = 8;

/// Counts of the current window (from the start of the simulation until it opens).
#[derive(Debug)]
pub struct Stats {
    /// Replies completely received.
    pub replies: u64,
    /// Latencies of those replies.
    pub latency: LatencyHistogram,
    /// Completion times of replies, for batch means.
    pub reply_times: Vec<Cycles>,
    /// Handlers executed, by call number.
    pub calls: Vec<u64>,
    /// Cycles of the crossings that were made for handlers, by call number. One crossing for several calls counts for the first (its way
    /// in) and the last of them (its way out).
    pub crossing_cycles: Vec<Cycles>,
    /// Entries into the kernel with their return.
    pub crossings: u64,
    /// Those of them that issue calls (`syscall`, `int`); the others are interrupts.
    pub call_crossings: u64,
    /// Every handler in order of execution with its request, when a test asks for it by putting an empty list here.
    pub journal: Option<Vec<(Slot, CallNumber)>>,
    /// Context switches.
    pub context_switches: u64,
    /// Network interrupts.
    pub interrupts: u64,
    /// Timer ticks.
    pub ticks: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Arrivals of an open system that found no free connection.
    pub refused_arrivals: u64,
    /// Sizes of batches that the mechanism reached, and what ended each.
    pub batches: Vec<BatchCount>,
    /// Cycles of synthetic blocks and of instructions without lines, over all cores.
    pub synthetic_cycles: Cycles,
    /// What else happened, by name, in the order of first occurrence: a mechanism's own events (cancelled calls, enters, yields).
    pub occurrences: Vec<(&'static str, u64)>,
    /// What the mechanism says in words, each once, with how often; at most [`MOST_REMARKS`] different ones.
    pub remarks: Vec<(String, u64)>,
    window_open: Cycles,
    window_close: Cycles,
}

/// How often a batch of one size was ended by one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchCount {
    /// Calls in the batch.
    pub size: u32,
    /// What ended it.
    pub limit: BatchLimit,
    /// How often.
    pub count: u64,
}

/// Why a batch did not grow further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BatchLimit {
    /// No more connections had work.
    Ready,
    /// The next calls depend on results or user work.
    Dependencies,
    /// The configured limit.
    Limit,
}

impl BatchLimit {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            BatchLimit::Ready => "ready connections",
            BatchLimit::Dependencies => "dependencies",
            BatchLimit::Limit => "limit",
        }
    }
}

impl Default for Stats {
    fn default() -> Self {
        Stats {
            replies: 0,
            latency: LatencyHistogram::new(),
            reply_times: Vec::new(),
            calls: vec![0; CALLS],
            crossing_cycles: vec![0; CALLS],
            crossings: 0,
            call_crossings: 0,
            journal: None,
            context_switches: 0,
            interrupts: 0,
            ticks: 0,
            packets_received: 0,
            refused_arrivals: 0,
            batches: Vec::new(),
            synthetic_cycles: 0,
            occurrences: Vec::new(),
            remarks: Vec::new(),
            window_open: 0,
            window_close: 0,
        }
    }
}

impl Stats {
    /// A reply is complete.
    pub fn reply(&mut self, at: Cycles, latency: Cycles) {
        self.replies += 1;
        self.latency.record(latency);
        self.reply_times.push(at);
    }

    /// A handler begins.
    pub fn count_call(&mut self, call: CallNumber, slot: Slot) {
        if let Some(journal) = &mut self.journal {
            journal.push((slot, call));
        }
        if let Some(count) = self.calls.get_mut(usize::from(call.0)) {
            *count += 1;
        }
    }

    /// A crossing was made for a handler.
    pub(crate) fn count_crossing_cycles(&mut self, call: CallNumber, cycles: Cycles) {
        if let Some(sum) = self.crossing_cycles.get_mut(usize::from(call.0)) {
            *sum += cycles;
        }
    }

    /// A crossing begins: entries count, with their return they are one crossing.
    pub fn count_crossing(&mut self, kind: CrossingKind) {
        if kind.is_entry() {
            self.crossings += 1;
        }
        if matches!(kind, CrossingKind::SystemCallEntry | CrossingKind::IntEntry { .. }) {
            self.call_crossings += 1;
        }
    }

    /// A batch ended.
    pub fn batch(&mut self, size: u32, limit: BatchLimit) {
        match self.batches.iter_mut().find(|entry| entry.size == size && entry.limit == limit) {
            Some(entry) => entry.count += 1,
            None => self.batches.push(BatchCount { size, limit, count: 1 }),
        }
    }

    /// Something of a mechanism's own happened `times` times; `name` is what the report shows, in the plural.
    pub fn occurred(&mut self, name: &'static str, times: u64) {
        match self.occurrences.iter_mut().find(|entry| entry.0 == name) {
            Some(entry) => entry.1 += times,
            None => self.occurrences.push((name, times)),
        }
    }

    /// Something that a report must say in words (a script's error). Beyond [`MOST_REMARKS`] different ones the rest is left out.
    pub fn remark(&mut self, text: String) {
        let room = self.remarks.len() < MOST_REMARKS;
        match self.remarks.iter_mut().find(|entry| entry.0 == text) {
            Some(entry) => entry.1 += 1,
            None if room => self.remarks.push((text, 1)),
            None => {}
        }
    }

    /// Handlers executed.
    pub fn system_calls(&self) -> u64 {
        self.calls.iter().sum()
    }

    /// Begins the measured window at `now`: all counts start again.
    pub fn open_window(&mut self, now: Cycles) {
        *self = Stats { window_open: now, ..Stats::default() };
    }

    /// Ends the measured window.
    pub fn close_window(&mut self, now: Cycles) {
        self.window_close = now;
    }

    /// Start of the window.
    pub fn window_start(&self) -> Cycles {
        self.window_open
    }

    /// Length of the window.
    pub fn window_cycles(&self) -> Cycles {
        self.window_close.saturating_sub(self.window_open)
    }
}
