//! What advice consists of: the keys of its JSON (docs/advise.md).

use super::evidence::Setting;
use serde::{Deserialize, Serialize};
use sim_core::digits;
use sim_core::report::{BatchDepth, CoresUsed, Estimate, ExposureRange, LatencyMicroseconds, LimitedBy, Manifest};

/// Advice on one workload at one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// Version of this JSON, as [`sim_core::report::SCHEMA`].
    pub schema: u32,
    /// `advice`.
    pub kind: String,
    /// Name of the workload.
    pub workload: String,
    /// Name of the machine description.
    pub machine: String,
    /// Name of the kernel description.
    pub kernel: String,
    /// Cores of the server.
    pub cores: u32,
    /// Client connections; 0 for a sequential program.
    pub connections: u32,
    /// Requests per second that are offered, when the load is not a closed loop.
    pub rate_rps: Option<f64>,
    /// First seed of the search; the intervals of the finalists come from seeds that the search did not see.
    pub seed: u64,
    /// What it takes to get this advice again.
    pub manifest: Manifest,
    /// What to do.
    pub verdict: Verdict,
    /// What is compared: throughput, or processor time where the server is not the limit.
    pub measure: Measure,
    /// The way of issuing calls that the advice is about: what to move to, or what came closest.
    pub recommendation: Option<Recommendation>,
    /// The best way that a stock kernel offers, when the recommended one needs another kernel.
    pub on_stock_kernel: Option<Candidate>,
    /// All ways that were tried, the best first.
    pub candidates: Vec<Candidate>,
    /// The program's calls, the one whose move brings most first.
    pub calls: Vec<CallAdvice>,
    /// Busy cycles per request that are saved outside the calls: user code, softirqs, scheduler, less the mechanism's own work.
    #[serde(with = "digits")]
    pub saved_elsewhere_cycles: f64,
    /// Where it would lose, of the places that were tried.
    pub loses_when: Vec<String>,
    /// The recommended way at other loads and numbers of cores.
    pub elsewhere: Vec<Elsewhere>,
    /// How sure this is.
    pub confidence: Confidence,
    /// Simulations that were run for it.
    pub simulations: u64,
}

/// What to do, in one word and in sentences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// In one word.
    pub decision: Decision,
    /// In a sentence.
    pub headline: String,
    /// Why, a sentence each.
    pub reasons: Vec<String>,
    /// What would settle what is open, a sentence each.
    pub would_settle: Vec<String>,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// Issue the calls the recommended way.
    Move,
    /// Nothing that was tried gains.
    StaySynchronous,
    /// The evidence does not decide.
    CannotTell,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Requests per second: the server is the limit.
    Throughput,
    /// Processor time per request: the server is not the limit, so that throughput cannot rise.
    ProcessorTime,
}

impl Measure {
    /// What a gain of 1.3x is a gain of. A sequential program has runs instead of requests.
    pub fn noun(self, sequential: bool) -> &'static str {
        match self {
            Measure::Throughput if sequential => "runs per second",
            Measure::Throughput => "requests per second",
            Measure::ProcessorTime => "requests per processor second",
        }
    }
}

/// How a way compares with synchronous calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The gain is larger than its interval, the doubt about estimated work and the model's margin together.
    Gains,
    /// There is a gain, but it is within what the model may be wrong by.
    WithinModelError,
    /// The interval holds 1: nothing is shown.
    NotSeparable,
    /// It is slower.
    Loses,
    /// It cannot run this program.
    NotApplicable,
}

impl Outcome {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Gains => "gains",
            Outcome::WithinModelError => "gain within the model's error",
            Outcome::NotSeparable => "no difference shown",
            Outcome::Loses => "loses",
            Outcome::NotApplicable => "does not apply",
        }
    }
}

/// One way that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// `mechanism` or `mechanism:variant`.
    pub mechanism: String,
    /// How it compares.
    pub outcome: Outcome,
    /// Gain over synchronous calls in the advice's measure, paired over seeds.
    pub gain: Option<Estimate>,
    /// Lower end of the gain when the work that is not recorded but estimated costs twice as much.
    #[serde(with = "digits")]
    pub gain_low_cautious: f64,
    /// Fraction by which that lower end must exceed 1: the margin for the model's own error.
    #[serde(with = "digits")]
    pub margin: f64,
    /// 99th percentile of the latency over that of synchronous calls.
    #[serde(with = "digits")]
    pub p99_ratio: f64,
    /// What it takes to have it: `stock kernel`, `kernel module` or `patched kernel`.
    pub needs: String,
    /// Why it does not apply.
    pub reason: Option<String>,
}

/// The way of issuing calls that the advice is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// How it compares.
    pub candidate: Candidate,
    /// Settings that served best, where they are not the defaults.
    pub settings: Vec<Setting>,
    /// How many other settings were tried.
    pub settings_tried: u64,
    /// Command that shows it in depth.
    pub command: String,
    /// Requests per second of synchronous calls.
    pub baseline_rps: Estimate,
    /// Requests per second of this way.
    pub throughput_rps: Estimate,
    /// Speed-up over the exposure of instruction misses, the model's least certain factor.
    pub exposure_range: Option<ExposureRange>,
    /// Latency of synchronous calls.
    pub baseline_latency_us: LatencyMicroseconds,
    /// Latency of this way.
    pub latency_us: LatencyMicroseconds,
    /// Where the gain or loss comes from.
    pub why: String,
    /// How many calls are under way together, and what ends a batch.
    pub batch: BatchDepth,
    /// What would make batches deeper.
    pub batch_limit: String,
    /// How the cores' time is used.
    pub core_split: CoresUsed,
    /// What it costs.
    pub costs: Costs,
}

/// What a way costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Cores' worth of time spent in waiting loops; idle in the core split, but not free for anything else.
    #[serde(with = "digits")]
    pub cores_polling: f64,
    /// Memory of pages, rings, threads, tables.
    pub memory_bytes: u64,
    /// Processor time per request, polling included, over that of synchronous calls; below 1 is less.
    pub processor_time_ratio: Option<Estimate>,
    /// Kinds of calls on the request path that would be issued another way.
    pub calls_to_change: Vec<String>,
    /// What has to be written.
    pub effort: String,
    /// What it needs of the kernel.
    pub kernel: String,
    /// What is given up or becomes dangerous.
    pub risk: String,
}

/// How what a call costs in crossings is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The crossings made for it with synchronous calls, less those made for it the other way.
    Difference,
    /// All crossings that are saved, divided by how often the calls are made.
    Share,
}

/// What moving one call brings, in cycles per request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallAdvice {
    /// Name of the call.
    pub call: String,
    /// Executions per request when synchronous.
    #[serde(with = "digits")]
    pub issued_per_request: f64,
    /// Executions per request the other way.
    #[serde(with = "digits")]
    pub issued_after: f64,
    /// Crossing cycles that go away: direct cost.
    #[serde(with = "digits")]
    pub crossing_cycles: f64,
    /// How that is known.
    pub crossings_by: Basis,
    /// Stall cycles of the program that go away because this call no longer pushes its lines out.
    #[serde(with = "digits")]
    pub program_stall_cycles: f64,
    /// Cycles that go away in the call's own kernel code: fewer executions, and fewer stalls on what the program pushed out.
    #[serde(with = "digits")]
    pub handler_cycles: f64,
    /// Sum of the three.
    #[serde(with = "digits")]
    pub saved_cycles: f64,
    /// Part of all savings of calls; 0 for a call that gets dearer.
    #[serde(with = "digits")]
    pub share: f64,
}

/// The same way at another load or number of cores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// Cores of the server.
    pub cores: u32,
    /// Client connections.
    pub connections: u32,
    /// Requests per second that are offered.
    pub rate_rps: Option<f64>,
    /// What is compared there.
    pub measure: Measure,
    /// Gain over synchronous calls at the same place.
    pub gain: Option<Estimate>,
    /// How it compares there.
    pub outcome: Outcome,
    /// What bounds synchronous calls there.
    pub limited_by: Option<LimitedBy>,
    /// Requests per second of synchronous calls.
    #[serde(with = "digits")]
    pub baseline_rps: f64,
    /// Requests per second of this way.
    #[serde(with = "digits")]
    pub throughput_rps: f64,
    /// Median latency over that of synchronous calls.
    #[serde(with = "digits")]
    pub p50_ratio: f64,
    /// How the cores' time is used.
    pub core_split: CoresUsed,
}

/// How sure the advice is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// In one word.
    pub class: ConfidenceClass,
    /// What it rests on and what speaks against it.
    pub reasons: Vec<Reason>,
    /// Part of the busy cycles of synchronous calls that is estimated, not recorded.
    #[serde(with = "digits")]
    pub synthetic_cycle_share: f64,
}

/// How sure the sign and the rough size of a gain are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfidenceClass {
    /// Do not decide on it.
    Low,
    /// The sign; the size within a factor of two.
    Medium,
    /// The sign, and the size as the interval says.
    High,
}

impl ConfidenceClass {
    /// As in the JSON.
    pub fn name(self) -> &'static str {
        match self {
            ConfidenceClass::Low => "low",
            ConfidenceClass::Medium => "medium",
            ConfidenceClass::High => "high",
        }
    }
}

/// One reason for or against confidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// In a sentence.
    pub text: String,
    /// Number in validation/DEVIATIONS.md, if it is a known deviation of the model.
    pub deviation: Option<String>,
    /// It lowers the class.
    pub lowers: bool,
}
