//! Reports: what one run found ([`RunReport`]), and one run for each mechanism side by side ([`Comparison`]).
//!
//! The field names are the keys of the JSON (schema [`SCHEMA`]) and, joined by dots, the columns of tables; tools rely on them. Real
//! numbers keep six significant digits ([`crate::digits`]), what is unknown is NaN here and `null` in JSON. "Per request" is per reply
//! completely received in the measured window, or per run of a sequential program.

mod flatten;
mod parts;
mod stack;

use crate::digits;
pub use crate::estimate::Estimate;
pub use crate::manifest::Manifest;
pub use parts::{
    BatchDepth, CallRow, CoreOverTime, CoreStretch, CoreWindow, CoresUsed, EvictorRow, ExposureRange, GainParts, HostTiming,
    IndirectByMode, LatencyMicroseconds, LatencyOverSeeds, LimitedBy, MissesPerKiloInstruction, ModeReport, Modes, OccurrenceRow,
    OverSeeds, PerRequest, ShadowRow, Window,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
pub use stack::StackReport;

/// Version of the report's JSON. Keys may be added under the same number, never renamed or removed.
pub const SCHEMA: u32 = 1;

/// What one run (one workload, machine, kernel and mechanism; one or more seeds) found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the workload.
    pub workload: String,
    /// Name of the machine description.
    pub machine: String,
    /// Name of the kernel description.
    pub kernel: String,
    /// `sync`, `exception-less`, `batched-script`, `in-kernel-dsl` or `elevated-shortcut`.
    pub mechanism: String,
    /// Its variant, when it is not the mechanism's default one.
    pub variant: Option<String>,
    /// Cores of the simulated machine that the server may use.
    pub cores: u32,
    /// Client connections; 0 for a sequential program.
    pub connections: u32,
    /// First seed; repetition i uses seed + i.
    pub seed: u64,
    /// Repetitions: seeds simulated.
    pub reps: u32,
    /// Measured requests, over all repetitions.
    pub requests: u64,
    /// What it takes to make this report again.
    pub manifest: Manifest,
    /// False when the mechanism can't run this workload; then the numbers are unknown and `reason` says why.
    pub applicable: bool,
    /// Why the mechanism does not apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One line: where the gain or loss comes from.
    pub why: String,
    /// Replies per second of simulated time.
    pub throughput_rps: Estimate,
    /// Throughput divided by that of `sync`, paired over seeds. Only in a comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speedup_vs_sync: Option<Estimate>,
    /// Processor time per request divided by that of `sync`, paired over seeds; waiting loops of kernel cores count. Only in a comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor_time_vs_sync: Option<Estimate>,
    /// The speed-up's range over how much of an instruction miss is exposed. Only in a comparison that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure_range: Option<ExposureRange>,
    /// Parts of the gain over `sync`. Only in a comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_parts: Option<GainParts>,
    /// Time from the last byte of a request sent to the last byte of its reply received, in microseconds.
    pub latency_us: LatencyMicroseconds,
    /// Counters by privilege mode.
    pub modes: Modes,
    /// Cycles per request by component, in the order of [`crate::stack::Component`]; sums to `per_request.cycles_total`.
    pub cycle_stack: StackReport,
    /// Averages per request.
    pub per_request: PerRequest,
    /// Handlers executed per reply, however they were issued.
    #[serde(with = "digits")]
    pub syscalls_per_reply: f64,
    /// Indirect cycles per request by the mode that waits.
    pub indirect_by_mode: IndirectByMode,
    /// One row per system call.
    pub per_call: Vec<CallRow>,
    /// Misses by who pushed the line out. Counts over all measured windows.
    pub evictors: Vec<EvictorRow>,
    /// Misses against those of each mode running alone. Only with `--shadow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Vec<ShadowRow>>,
    /// How many calls the mechanism had under way together.
    pub batch: BatchDepth,
    /// What bounded the throughput; unknown (`null`) when nothing ran.
    pub limited_by: Option<LimitedBy>,
    /// Processor time of the server's cores that were not idle, in microseconds per request.
    #[serde(with = "digits")]
    pub cpu_us_per_request: f64,
    /// How latency and processor time differ from seed to seed. Only with several seeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over_seeds: Option<OverSeeds>,
    /// Fraction of non-idle cycles that came from synthetic blocks, 0 to 1.
    #[serde(with = "digits")]
    pub synthetic_cycle_share: f64,
    /// Cores' worth of time by use; sums to `cores`.
    pub cores_used: CoresUsed,
    /// The same over time, as fractions of all cores.
    pub core_split: Vec<CoreWindow>,
    /// Use of each core over time, by kind of work. Not a column of tables.
    #[serde(default)]
    pub cores_over_time: Vec<CoreOverTime>,
    /// Memory that the mechanism itself takes: pages, rings, thread stacks, script states, tables.
    pub mechanism_memory_bytes: u64,
    /// What else the mechanism counts: cancelled calls, enters of a ring, yields.
    pub occurrences: Vec<OccurrenceRow>,
    /// Warm-up and measured window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Remarks: limits reached, assumptions made, what the numbers do not contain.
    pub notes: Vec<String>,
    /// Speed of the simulation on the host. Only with `--timing`: it differs from run to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<HostTiming>,
}

/// One run for each mechanism on the same workload, machine and kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the workload.
    pub workload: String,
    /// Name of the machine description.
    pub machine: String,
    /// Name of the kernel description.
    pub kernel: String,
    /// Cores of the simulated machine.
    pub cores: u32,
    /// Client connections.
    pub connections: u32,
    /// First seed.
    pub seed: u64,
    /// Repetitions: seeds simulated.
    pub reps: u32,
    /// What it takes to make this comparison again.
    pub manifest: Manifest,
    /// Remarks on the comparison, such as that the server is not the limit.
    pub notes: Vec<String>,
    /// One report for each mechanism.
    pub results: Vec<RunReport>,
}

/// A report that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The text is no report.
    #[error(
        "line {line}, column {column}: not a ringscope report: {source}. Give a file that `--json` or `-o FILE.json` has written"
    )]
    Syntax {
        /// Line of the error, from 1.
        line: usize,
        /// Column of the error, from 1.
        column: usize,
        /// What the reader expected.
        source: serde_json::Error,
    },
    /// The report was written under another schema.
    #[error(
        "the report has schema {found}, this program reads schema {SCHEMA}: read it with the version named in its manifest ({version})"
    )]
    Schema {
        /// The report's schema.
        found: u32,
        /// The version that wrote it.
        version: String,
    },
}

impl Default for RunReport {
    /// A report in which everything measured is unknown. `applicable` is true: a producer fills in the rest.
    fn default() -> Self {
        RunReport {
            schema: SCHEMA,
            workload: String::new(),
            machine: String::new(),
            kernel: String::new(),
            mechanism: String::new(),
            variant: None,
            cores: 0,
            connections: 0,
            seed: 0,
            reps: 0,
            requests: 0,
            manifest: Manifest::default(),
            applicable: true,
            reason: None,
            why: String::new(),
            throughput_rps: Estimate::UNKNOWN,
            speedup_vs_sync: None,
            processor_time_vs_sync: None,
            exposure_range: None,
            gain_parts: None,
            latency_us: LatencyMicroseconds::default(),
            modes: Modes::default(),
            cycle_stack: StackReport::default(),
            per_request: PerRequest::default(),
            syscalls_per_reply: f64::NAN,
            indirect_by_mode: IndirectByMode::default(),
            per_call: Vec::new(),
            evictors: Vec::new(),
            shadow: None,
            batch: BatchDepth::default(),
            limited_by: None,
            cpu_us_per_request: f64::NAN,
            over_seeds: None,
            synthetic_cycle_share: f64::NAN,
            cores_used: CoresUsed::default(),
            core_split: Vec::new(),
            cores_over_time: Vec::new(),
            mechanism_memory_bytes: 0,
            occurrences: Vec::new(),
            window: None,
            notes: Vec::new(),
            timing: None,
        }
    }
}

impl RunReport {
    /// `mechanism`, or `mechanism:variant` when the variant is not the default one.
    pub fn label(&self) -> String {
        match &self.variant {
            Some(variant) => format!("{}:{variant}", self.mechanism),
            None => self.mechanism.clone(),
        }
    }

    /// The report of a mechanism that can't run the workload, under the same settings as `other`.
    pub fn not_applicable(other: &RunReport, mechanism: &str, reason: &str) -> RunReport {
        RunReport {
            workload: other.workload.clone(),
            machine: other.machine.clone(),
            kernel: other.kernel.clone(),
            mechanism: mechanism.into(),
            cores: other.cores,
            connections: other.connections,
            seed: other.seed,
            manifest: other.manifest.clone(),
            applicable: false,
            reason: Some(reason.into()),
            why: format!("does not apply: {reason}"),
            ..RunReport::default()
        }
    }

    /// The report as JSON, indented, with a final newline.
    pub fn to_json_pretty(&self) -> String {
        json(self)
    }

    /// Reads a report.
    ///
    /// # Errors
    /// [`ReportError`] when the text is no report of this schema.
    pub fn from_json(text: &str) -> Result<RunReport, ReportError> {
        read(text)
    }

    /// The report as one row of a table: the JSON's names joined by dots, in the JSON's order, and their values as text. Entries of
    /// lists are named by their text fields (`evictors.l1i.user.read.misses`, `per_call.read.cycles_per_call`), else by position. What
    /// is unknown is empty.
    pub fn flatten(&self) -> Vec<(String, String)> {
        flatten::flatten(&self.for_tables())
    }

    /// As [`RunReport::flatten`], with the values as they stand in the JSON: numbers, texts, truth values, `null`.
    pub fn flatten_values(&self) -> Vec<(String, serde_json::Value)> {
        flatten::flatten_values(&self.for_tables())
    }

    /// Without what is a table of its own: hundreds of numbers for each core.
    fn for_tables(&self) -> RunReport {
        RunReport { cores_over_time: Vec::new(), ..self.clone() }
    }
}

impl Comparison {
    /// Puts reports of the same settings side by side. `None` without reports. What is common is taken from the first that applies.
    pub fn new(results: Vec<RunReport>, notes: Vec<String>) -> Option<Comparison> {
        let common = results.iter().find(|report| report.applicable).or(results.first())?;
        Some(Comparison {
            schema: SCHEMA,
            workload: common.workload.clone(),
            machine: common.machine.clone(),
            kernel: common.kernel.clone(),
            cores: common.cores,
            connections: common.connections,
            seed: common.seed,
            reps: common.reps,
            manifest: common.manifest.clone(),
            notes,
            results,
        })
    }

    /// The report of a mechanism.
    pub fn find(&self, mechanism: &str) -> Option<&RunReport> {
        self.results.iter().find(|report| report.mechanism == mechanism)
    }

    /// The comparison as JSON, indented, with a final newline.
    pub fn to_json_pretty(&self) -> String {
        json(self)
    }

    /// Reads a comparison.
    ///
    /// # Errors
    /// [`ReportError`] when the text is no comparison of this schema.
    pub fn from_json(text: &str) -> Result<Comparison, ReportError> {
        read(text)
    }

    /// One row per mechanism, as [`RunReport::flatten`].
    pub fn rows(&self) -> Vec<Vec<(String, String)>> {
        self.results.iter().map(RunReport::flatten).collect()
    }
}

fn json<T: Serialize>(report: &T) -> String {
    let mut text = serde_json::to_string_pretty(report).expect("a report has text keys only, and writing to memory does not fail");
    text.push('\n');
    text
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, ReportError> {
    /// What is needed to tell an older or newer report from a broken one.
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
        #[serde(default)]
        manifest: Manifest,
    }
    if let Ok(head) = serde_json::from_str::<Head>(text)
        && head.schema != SCHEMA
    {
        return Err(ReportError::Schema { found: head.schema, version: head.manifest.version });
    }
    serde_json::from_str(text).map_err(|source| ReportError::Syntax { line: source.line(), column: source.column(), source })
}
