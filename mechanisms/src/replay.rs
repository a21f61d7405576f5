//! A recording straight through the memory hierarchy: references, misses and who evicted what, nothing scheduled, renamed or crossed.
//!
//! The processor must know the page size of every line before it meets it. So a capture is first decoded as a whole: into memory when it
//! is short ([`Compiled`], which can be executed as often as one likes), else only for its pages, and decoded again to be executed.

use crate::experiment::ShadowSetting;
use crate::rows;
use cpu_model::{Counters, Cpu, CpuOptions, Machine, MachineError, Shadow, Structure};
use serde::{Deserialize, Serialize};
use sim_core::block::{Binding, Op};
use sim_core::context::Context;
use sim_core::digits;
use sim_core::ids::{CHUNK_LINES, CoreId, Cycles, Mode};
use sim_core::layout::{AddressMap, Layout, PageSize};
use sim_core::manifest::Manifest;
use sim_core::progress::Progress;
use sim_core::report::{EvictorRow, Modes, SCHEMA, ShadowRow};
use std::io::Read;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use traces::TraceError;
use traces::capture::{Capture, Stretch, replay_ops};
use traces::lackey;

/// Everything runs on the first core: a capture has one virtual processor, a memory trace one order.
const CORE: CoreId = CoreId(0);

/// Longest event stream that is decoded into memory. A record takes two to three bytes there and eight when decoded: 200 MB at most.
const COMPILED_BYTES_MAX: usize = 64 << 20;

/// What to keep while replaying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayOptions {
    /// Who evicted what.
    pub ledger: bool,
    /// Each mode alone as well.
    pub shadow: ShadowSetting,
    /// Seed of the frames behind the pages.
    pub seed: u64,
    /// Use what comes before a damage instead of failing.
    pub lenient: bool,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        ReplayOptions { ledger: true, shadow: ShadowSetting::Off, seed: 1, lenient: false }
    }
}

/// Who hears of the replay and who can stop it.
#[derive(Clone, Copy)]
pub struct ReplayJob<'a> {
    /// Told how many bytes are done.
    pub progress: &'a dyn Progress,
    /// Set to stop: the report then covers what was done.
    pub cancel: &'a AtomicBool,
}

/// A replay that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The recording.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The machine, or what was asked of it.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// References and misses of one mode in one structure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StructureRow {
    /// `l1i`, `l1d`, `l2`, `l3`, `itlb`, `dtlb`, `stlb` or `branch`.
    pub structure: String,
    /// The mode.
    pub mode: Mode,
    /// Demand references, page walks included.
    pub references: u64,
    /// Demand misses.
    pub misses: u64,
    /// Misses by references, 0 to 1; unknown without references.
    #[serde(with = "digits")]
    pub miss_rate: f64,
    /// Misses per thousand instructions of the mode.
    #[serde(with = "digits")]
    pub misses_per_kinstr: f64,
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// Version of the JSON, that of run reports.
    pub schema: u32,
    /// The recording.
    pub trace: String,
    /// `capture` or `lackey`.
    pub format: String,
    /// Name of the machine.
    pub machine: String,
    /// Seed of the frames.
    pub seed: u64,
    /// What it takes to make this report again.
    pub manifest: Manifest,
    /// False when it was interrupted, or the recording is damaged and was read leniently.
    pub complete: bool,
    /// Instructions, cycles and miss rates by mode.
    pub modes: Modes,
    /// References and misses by structure and mode.
    pub structures: Vec<StructureRow>,
    /// Misses by who pushed the line out. Empty without the ledger.
    pub evictors: Vec<EvictorRow>,
    /// Misses against those of each mode alone. Only with a shadow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Vec<ShadowRow>>,
    /// References as valgrind counts them. Only for lackey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lackey: Option<lackey::Counts>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Speed on the host. Only with `--timing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<ReplayTiming>,
}

/// Speed of a replay on the host.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayTiming {
    /// Host time in seconds, decompression not included.
    #[serde(with = "digits")]
    pub host_seconds: f64,
    /// Simulated instructions per host second, in millions.
    #[serde(with = "digits")]
    pub instructions_per_second_millions: f64,
}

impl ReplayReport {
    /// Instructions of both modes.
    pub fn instructions(&self) -> u64 {
        self.modes.user.instructions + self.modes.kernel.instructions
    }

    /// The report as JSON, indented, with a final newline.
    pub fn to_json_pretty(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// A capture decoded into memory.
#[derive(Clone, Debug, Default)]
pub struct Compiled {
    layout: Layout,
    ops: Vec<Op>,
    /// Context of each stretch and the end of its ops.
    stretches: Vec<(Context, usize)>,
}

impl Compiled {
    /// Decodes a capture: 8 bytes of memory for each of its records.
    ///
    /// # Errors
    /// Damage, with its place.
    pub fn new(capture: &Capture) -> Result<Compiled, TraceError> {
        let mut map = AddressMap::new();
        let mut compiled = Compiled::default();
        let mut source = replay_ops(capture, &mut map);
        while let Some(stretch) = source.next_stretch()? {
            compiled.push(&stretch);
        }
        compiled.layout = map.layout;
        Ok(compiled)
    }

    fn push(&mut self, stretch: &Stretch) {
        self.ops.extend_from_slice(stretch.ops);
        self.stretches.push((context(stretch), self.ops.len()));
    }

    /// Steps of the capture.
    pub fn op_count(&self) -> usize {
        self.ops.len()
    }

    /// A processor for this capture with cold structures.
    ///
    /// # Errors
    /// A machine that can't be simulated, or a sampling that its caches don't allow.
    pub fn processor(&self, machine: &Machine, options: &ReplayOptions) -> Result<Cpu, MachineError> {
        processor(machine, &self.layout, options)
    }

    /// Executes the whole capture once more on a processor of [`Compiled::processor`].
    pub fn execute(&self, cpu: &mut Cpu) {
        self.execute_unless(cpu, &AtomicBool::new(false));
    }

    /// Executes until the flag is set; false when it was.
    fn execute_unless(&self, cpu: &mut Cpu, cancel: &AtomicBool) -> bool {
        let binding = Binding::default();
        let mut start = 0;
        for (context, end) in &self.stretches {
            if cancel.load(Ordering::Relaxed) {
                return false;
            }
            cpu.run(CORE, *context, &self.ops[start..*end], &binding, Cycles::MAX);
            start = *end;
        }
        true
    }
}

fn context(stretch: &Stretch) -> Context {
    match stretch.mode {
        Mode::User => Context::USER,
        Mode::Kernel => Context::kernel(stretch.agent),
    }
}

fn processor(machine: &Machine, layout: &Layout, options: &ReplayOptions) -> Result<Cpu, MachineError> {
    let shadow = match options.shadow {
        ShadowSetting::Off => Shadow::Off,
        ShadowSetting::Full => Shadow::Full,
        ShadowSetting::Sampled(one_in) => Shadow::Sampled(one_in),
    };
    let options_cpu = CpuOptions { ledger: options.ledger, shadow, ..CpuOptions::default() };
    Cpu::new(machine, 1, layout, options_cpu, options.seed)
}

/// Replays a capture.
///
/// # Errors
/// Damage in the capture (unless lenient), a machine that can't be simulated.
pub fn replay_capture(
    capture: &Capture,
    machine: &Machine,
    options: &ReplayOptions,
    job: &ReplayJob,
) -> Result<ReplayReport, ReplayError> {
    replay_within(capture, machine, options, job, COMPILED_BYTES_MAX)
}

fn replay_within(
    capture: &Capture,
    machine: &Machine,
    options: &ReplayOptions,
    job: &ReplayJob,
    compiled_bytes_max: usize,
) -> Result<ReplayReport, ReplayError> {
    job.progress.start("replaying", 2 * capture.events.len() as u64);
    let mut map = AddressMap::new();
    let in_memory = capture.events.len() <= compiled_bytes_max;
    let mut compiled = Compiled::default();
    let decoded = walk(capture, &mut map, job, |stretch| {
        if in_memory {
            compiled.push(stretch);
        }
    });
    let mut cpu = processor(machine, &map.layout, options)?;
    let executed = if in_memory {
        Ok(compiled.execute_unless(&mut cpu, job.cancel))
    } else {
        let binding = Binding::default();
        walk(capture, &mut map, job, |stretch| {
            cpu.run(CORE, context(stretch), stretch.ops, &binding, Cycles::MAX);
        })
    };
    job.progress.finish();
    let mut report = report(&cpu, options);
    report.format = "capture".into();
    report.trace = capture.header.name.clone();
    for outcome in [decoded, executed] {
        match outcome {
            Ok(complete) => report.complete &= complete,
            Err(error) if options.lenient => report.damaged(&error),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(report)
}

/// Goes through all stretches; false when it was stopped before the end.
fn walk(capture: &Capture, map: &mut AddressMap, job: &ReplayJob, mut each: impl FnMut(&Stretch)) -> Result<bool, TraceError> {
    const BYTES_PER_REPORT: usize = 1 << 20;
    let mut source = replay_ops(capture, map);
    let mut told = 0;
    while let Some(stretch) = source.next_stretch()? {
        each(&stretch);
        let offset = source.offset();
        if offset - told >= BYTES_PER_REPORT {
            job.progress.step((offset - told) as u64);
            told = offset;
            if job.cancel.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
    }
    job.progress.step((capture.events.len() - told) as u64);
    Ok(true)
}

/// Replays a memory trace of valgrind's lackey, piece by piece.
///
/// # Errors
/// Lines that are no references (unless lenient), a machine that can't be simulated.
pub fn replay_lackey(
    source: impl Read,
    file: &str,
    machine: &Machine,
    options: &ReplayOptions,
    job: &ReplayJob,
) -> Result<ReplayReport, ReplayError> {
    let mut layout = Layout::new();
    let mut cpu = processor(machine, &layout, options)?;
    let binding = Binding::default();
    let mut flow = ControlFlow::Continue(());
    job.progress.start("replaying references", 0);
    let source = Stoppable { source, cancel: job.cancel };
    let reading = lackey::Options { lenient: options.lenient, ..lackey::Options::default() };
    let summary = lackey::read(source, file, reading, |batch| {
        if flow.is_break() {
            return;
        }
        grow(&mut layout, &mut cpu, batch.ops);
        cpu.run(CORE, Context::USER, batch.ops, &binding, Cycles::MAX);
        job.progress.step(batch.ops.len() as u64);
        if job.cancel.load(Ordering::Relaxed) {
            flow = ControlFlow::Break(());
        }
    })?;
    job.progress.finish();
    let mut report = report(&cpu, options);
    report.format = "lackey".into();
    report.trace = file.to_owned();
    report.complete = flow.is_continue();
    report.lackey = Some(summary.counts);
    report.notes.push("a reference that crosses a line counts as two here, as one for valgrind; see `lackey`".into());
    if let Some(damage) = &summary.damage {
        report.damaged(damage);
    }
    Ok(report)
}

/// Makes room for all lines of a batch. A memory trace knows no page sizes: all pages are small, as the reader hands them out.
fn grow(layout: &mut Layout, cpu: &mut Cpu, ops: &[Op]) {
    let Some(last) = ops.iter().map(|op| op.offset / CHUNK_LINES).max() else { return };
    let missing = (last as usize + 1).saturating_sub(layout.chunks());
    if missing > 0 {
        for _ in 0..missing {
            layout.chunk(PageSize::Small);
        }
        cpu.layout_grew(layout);
    }
}

/// A source that ends when the work is cancelled.
struct Stoppable<'a, R> {
    source: R,
    cancel: &'a AtomicBool,
}

impl<R: Read> Read for Stoppable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.cancel.load(Ordering::Relaxed) { Ok(0) } else { self.source.read(buffer) }
    }
}

impl ReplayReport {
    fn damaged(&mut self, error: &TraceError) {
        self.complete = false;
        let note = format!("damage ends the recording: {error}");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

fn report(cpu: &Cpu, options: &ReplayOptions) -> ReplayReport {
    let counters = cpu.total_counters();
    ReplayReport {
        schema: SCHEMA,
        trace: String::new(),
        format: String::new(),
        machine: cpu.machine().name.clone(),
        seed: options.seed,
        manifest: Manifest { version: env!("CARGO_PKG_VERSION").into(), ..Manifest::default() },
        complete: true,
        modes: rows::modes(&counters),
        structures: structures(&counters),
        evictors: rows::evictors([cpu.ledger()].iter()),
        shadow: (options.shadow != ShadowSetting::Off).then(|| rows::shadow(cpu.shadow().iter())),
        lackey: None,
        notes: Vec::new(),
        timing: None,
    }
}

fn structures(counters: &Counters) -> Vec<StructureRow> {
    let row = |structure: Structure, mode: Mode| {
        let (references, misses) = (counters.references(structure, mode), counters.misses(structure, mode));
        StructureRow {
            structure: structure.name().into(),
            mode,
            references,
            misses,
            miss_rate: misses as f64 / references as f64,
            misses_per_kinstr: misses as f64 * 1000.0 / counters.mode(mode).instructions as f64,
        }
    };
    Structure::ALL.into_iter().flat_map(|structure| Mode::ALL.map(|mode| row(structure, mode))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::progress::Silent;

    static RUNNING: AtomicBool = AtomicBool::new(false);

    fn job() -> ReplayJob<'static> {
        ReplayJob { progress: &Silent, cancel: &RUNNING }
    }

    fn microbenchmark() -> Capture {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/data/captures/ubench-off.trace");
        Capture::read(&std::fs::read(file).unwrap()).unwrap()
    }

    fn machine() -> Machine {
        Machine::preset("nehalem").unwrap()
    }

    #[test]
    fn instructions_are_those_of_the_header() {
        let capture = microbenchmark();
        let report = replay_capture(&capture, &machine(), &ReplayOptions::default(), &job()).unwrap();
        assert!(report.complete);
        assert_eq!(report.modes.user.instructions, capture.header.totals.user_instructions);
        assert_eq!(report.modes.kernel.instructions, capture.header.totals.kernel_instructions);
        let misses: u64 = report.structures.iter().map(|row| row.misses).sum();
        assert_eq!(report.evictors.iter().map(|row| row.misses).sum::<u64>(), misses);
        assert!(report.structures.iter().all(|row| row.misses <= row.references));
    }

    #[test]
    fn decoded_once_or_twice_the_numbers_are_the_same() {
        let capture = microbenchmark();
        let options = ReplayOptions { shadow: ShadowSetting::Full, ..ReplayOptions::default() };
        let streamed = replay_within(&capture, &machine(), &options, &job(), 0).unwrap();
        assert_eq!(replay_capture(&capture, &machine(), &options, &job()).unwrap(), streamed);
        let compiled = Compiled::new(&capture).unwrap();
        let mut cpu = compiled.processor(&machine(), &options).unwrap();
        compiled.execute(&mut cpu);
        let mut once = report(&cpu, &options);
        once.format.clone_from(&streamed.format);
        once.trace.clone_from(&streamed.trace);
        assert_eq!(once, streamed);
        assert!(streamed.shadow.is_some_and(|rows| !rows.is_empty()));
    }

    #[test]
    fn the_ledger_changes_no_count() {
        let capture = microbenchmark();
        let with = replay_capture(&capture, &machine(), &ReplayOptions::default(), &job()).unwrap();
        let options = ReplayOptions { ledger: false, ..ReplayOptions::default() };
        let without = replay_capture(&capture, &machine(), &options, &job()).unwrap();
        assert_eq!((without.structures, without.modes), (with.structures, with.modes));
        assert!(without.evictors.is_empty() && !with.evictors.is_empty());
    }

    #[test]
    fn a_memory_trace_is_counted_line_by_line() {
        // Two instructions on one line, a load across two lines, a store to the second: 1 fetch, 3 data references.
        let text = "I  04001000,4\nI  04001004,4\n L 0500003c,8\n S 05000040,8\n";
        let report = replay_lackey(text.as_bytes(), "t", &machine(), &ReplayOptions::default(), &job()).unwrap();
        let row =
            |structure: &str| report.structures.iter().find(|row| row.structure == structure && row.mode == Mode::User).unwrap();
        assert_eq!((row("l1i").references, row("l1i").misses), (1, 1));
        // Both lines of data lie on one page; the walks for it and for the code read page-table lines through the data cache.
        assert_eq!((row("dtlb").references, row("dtlb").misses), (3, 1));
        assert_eq!((row("itlb").references, row("itlb").misses), (1, 1));
        assert!(row("l1d").references > 3);
        assert_eq!(report.modes.user.instructions, 2);
        assert_eq!(report.lackey.map(|counts| (counts.instructions, counts.loads, counts.stores)), Some((2, 1, 1)));
    }

    #[test]
    fn damage_has_a_line_and_lenient_uses_the_start() {
        let text = "I  04001000,4\njunk\n";
        let strict = replay_lackey(text.as_bytes(), "t", &machine(), &ReplayOptions::default(), &job());
        assert!(strict.unwrap_err().to_string().contains("line 2"));
        let options = ReplayOptions { lenient: true, ..ReplayOptions::default() };
        let report = replay_lackey(text.as_bytes(), "t", &machine(), &options, &job()).unwrap();
        assert!(!report.complete && report.notes.iter().any(|note| note.contains("line 2")));
        assert_eq!(report.modes.user.instructions, 1);
    }

    #[test]
    fn a_cancelled_replay_reports_what_it_did() {
        let cancelled = AtomicBool::new(true);
        let job = ReplayJob { progress: &Silent, cancel: &cancelled };
        let report = replay_lackey("I  04001000,4\n".as_bytes(), "t", &machine(), &ReplayOptions::default(), &job).unwrap();
        assert_eq!(report.modes.user.instructions, 0);
    }
}
