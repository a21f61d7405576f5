//! The parts of a run report, and what they show before anything is measured: every real number is unknown (NaN, `null` in JSON),
//! never a misleading zero.

use crate::digits;
use crate::estimate::Estimate;
use crate::ids::{Cycles, Mode};
use serde::{Deserialize, Serialize};

/// Range of the speed-up over the exposure of instruction misses: the model's least certain factor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExposureRange {
    /// Speed-up with instruction exposure 0.5.
    #[serde(with = "digits")]
    pub low: f64,
    /// Speed-up with instruction exposure 1.0.
    #[serde(with = "digits")]
    pub high: f64,
}

/// Cycles per request saved relative to `sync`, by reason; negative when lost. They sum to the difference of `cycles_total`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GainParts {
    /// The same work in another order or place: misses that no longer happen.
    #[serde(with = "digits")]
    pub order_cycles: f64,
    /// Work that is no longer done, less the mechanism's own.
    #[serde(with = "digits")]
    pub removed_cycles: f64,
    /// Direct cost of crossings.
    #[serde(with = "digits")]
    pub crossing_cycles: f64,
    /// Idle time.
    #[serde(with = "digits")]
    pub idle_cycles: f64,
}

/// Latency in microseconds of simulated time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyMicroseconds {
    /// Mean.
    #[serde(with = "digits")]
    pub mean: f64,
    /// Median.
    #[serde(with = "digits")]
    pub p50: f64,
    /// 90th percentile.
    #[serde(with = "digits")]
    pub p90: f64,
    /// 99th percentile.
    #[serde(with = "digits")]
    pub p99: f64,
    /// 99.9th percentile.
    #[serde(with = "digits")]
    pub p999: f64,
    /// Longest.
    #[serde(with = "digits")]
    pub max: f64,
}

/// Means over the seeds with their intervals, of what the report otherwise gives over the requests of all seeds together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OverSeeds {
    /// Latency, as `latency_us`.
    pub latency_us: LatencyOverSeeds,
    /// Processor time, as `cpu_us_per_request`.
    pub cpu_us_per_request: Estimate,
}

/// Latency in microseconds: the mean over the seeds of each seed's own mean or percentile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyOverSeeds {
    /// Mean.
    pub mean: Estimate,
    /// Median.
    pub p50: Estimate,
    /// 90th percentile.
    pub p90: Estimate,
    /// 99th percentile.
    pub p99: Estimate,
    /// 99.9th percentile.
    pub p999: Estimate,
}

impl LatencyOverSeeds {
    /// From the latencies of each seed.
    pub fn of(seeds: &[LatencyMicroseconds]) -> LatencyOverSeeds {
        let of = |value: fn(&LatencyMicroseconds) -> f64| Estimate::of(&seeds.iter().map(value).collect::<Vec<_>>());
        LatencyOverSeeds {
            mean: of(|latency| latency.mean),
            p50: of(|latency| latency.p50),
            p90: of(|latency| latency.p90),
            p99: of(|latency| latency.p99),
            p999: of(|latency| latency.p999),
        }
    }
}

/// What is read where a key is not there.
fn unknown() -> f64 {
    f64::NAN
}

/// Counters of both modes, as privilege-filtered hardware counters would show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    /// Ring 3, with drain before and refetch after a crossing.
    pub user: ModeReport,
    /// Ring 0: kernel, interrupts, softirqs, elevated application code.
    pub kernel: ModeReport,
}

impl Modes {
    /// The counters of one mode.
    pub fn get(&self, mode: Mode) -> &ModeReport {
        match mode {
            Mode::User => &self.user,
            Mode::Kernel => &self.kernel,
        }
    }

    /// The counters of one mode, to fill in.
    pub fn get_mut(&mut self, mode: Mode) -> &mut ModeReport {
        match mode {
            Mode::User => &mut self.user,
            Mode::Kernel => &mut self.kernel,
        }
    }
}

/// Counters of one mode over all measured windows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModeReport {
    /// Instructions retired.
    pub instructions: u64,
    /// Cycles, without idle ones.
    pub cycles: Cycles,
    /// Cycles per instruction.
    #[serde(with = "digits")]
    pub cpi: f64,
    /// Misses per thousand instructions of this mode.
    pub misses_per_kinstr: MissesPerKiloInstruction,
}

/// Misses per thousand instructions, by structure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissesPerKiloInstruction {
    /// First-level instruction cache.
    #[serde(with = "digits")]
    pub l1i: f64,
    /// First-level data cache.
    #[serde(with = "digits")]
    pub l1d: f64,
    /// Second-level cache.
    #[serde(with = "digits")]
    pub l2: f64,
    /// Last-level cache.
    #[serde(with = "digits")]
    pub l3: f64,
    /// First-level instruction TLB.
    #[serde(with = "digits")]
    pub itlb: f64,
    /// First-level data TLB.
    #[serde(with = "digits")]
    pub dtlb: f64,
    /// Second-level TLB.
    #[serde(with = "digits")]
    pub stlb: f64,
    /// Mispredicted branches.
    #[serde(with = "digits")]
    pub branch: f64,
}

/// Averages per request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerRequest {
    /// Instructions in user mode.
    #[serde(with = "digits")]
    pub instructions_user: f64,
    /// Instructions in kernel mode.
    #[serde(with = "digits")]
    pub instructions_kernel: f64,
    /// Cores x elapsed cycles / requests, idle included.
    #[serde(with = "digits")]
    pub cycles_total: f64,
    /// Handlers executed.
    #[serde(with = "digits")]
    pub syscalls: f64,
    /// Entries into the kernel with their return: calls, interrupts, exceptions.
    #[serde(with = "digits")]
    pub crossings: f64,
    /// Context switches.
    #[serde(with = "digits")]
    pub context_switches: f64,
    /// Direct cost: the stack's crossing components, in cycles.
    #[serde(with = "digits")]
    pub direct_cycles: f64,
    /// Indirect cost: exposed stalls of misses and mispredictions that the other mode or a flush caused, in cycles.
    #[serde(with = "digits")]
    pub indirect_cycles: f64,
    /// Work that the mechanism adds, in cycles.
    #[serde(with = "digits")]
    pub mechanism_cycles: f64,
}

/// Indirect cycles per request by the mode that waits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndirectByMode {
    /// User code waits for what kernel code pushed out.
    #[serde(with = "digits")]
    pub user: f64,
    /// Kernel code waits for what user code pushed out.
    #[serde(with = "digits")]
    pub kernel: f64,
}

/// One system call's part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRow {
    /// Name of the call.
    pub call: String,
    /// Executions per request.
    #[serde(with = "digits")]
    pub issued_per_request: f64,
    /// Kernel instructions per execution.
    #[serde(with = "digits")]
    pub instructions_per_call: f64,
    /// Kernel cycles per execution, without the crossing.
    #[serde(with = "digits")]
    pub cycles_per_call: f64,
    /// Cycles of the crossings made for it per execution, not part of `cycles_per_call`; unknown in reports of older programs.
    #[serde(with = "digits", default = "unknown")]
    pub direct_cycles_per_call: f64,
}

/// Something of a mechanism's own that happened: cancelled calls, enters of a ring, yields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OccurrenceRow {
    /// What, in the plural.
    pub what: String,
    /// How often in all measured windows.
    pub count: u64,
    /// How often per request.
    #[serde(with = "digits")]
    pub per_request: f64,
}

/// Misses of one mode in one structure whose line the same evictor had pushed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvictorRow {
    /// `l1i`, `l1d`, `l2`, `l3`, `itlb`, `dtlb`, `stlb` or `branch`.
    pub structure: String,
    /// The mode that missed.
    pub mode: Mode,
    /// `never`, `same` (the same mode), `coherence`, `flush`, or the name of the other mode's agent: a call, `user`, `softirq` …
    pub evictor: String,
    /// Misses over all measured windows.
    pub misses: u64,
    /// Exposed stall cycles of those misses over all measured windows.
    pub cycles: Cycles,
}

/// Misses of one mode in one structure against what it would have missed alone. Counts over all measured windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShadowRow {
    /// Structure, as in [`EvictorRow`].
    pub structure: String,
    /// The mode.
    pub mode: Mode,
    /// Misses had this mode run alone.
    pub misses_alone: u64,
    /// Misses that would not have happened alone.
    pub destructive: u64,
    /// Misses saved because the other mode had brought the line.
    pub constructive: u64,
}

/// How many calls a mechanism had under way together when it entered the kernel. One throughout for `sync`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchDepth {
    /// Mean over batches.
    #[serde(with = "digits")]
    pub mean: f64,
    /// Median, in calls.
    #[serde(with = "digits")]
    pub p50: f64,
    /// 99th percentile, in calls.
    #[serde(with = "digits")]
    pub p99: f64,
    /// Largest, in calls.
    #[serde(with = "digits")]
    pub max: f64,
    /// What most often ended a batch: `mechanism` for `sync`, else `ready connections`, `dependencies`, `limit` …
    pub limited_by: String,
}

/// What bounded the throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitedBy {
    /// The server's cores.
    Server,
    /// The clients: their number, think time or processor.
    Client,
    /// The link between them.
    Link,
}

impl LimitedBy {
    /// Name as in reports.
    pub fn name(self) -> &'static str {
        match self {
            LimitedBy::Server => "server",
            LimitedBy::Client => "client",
            LimitedBy::Link => "link",
        }
    }
}

/// Cores' worth of time by use; the four sum to the number of cores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoresUsed {
    /// User mode.
    #[serde(with = "digits")]
    pub user: f64,
    /// Kernel mode.
    #[serde(with = "digits")]
    pub kernel: f64,
    /// Idle.
    #[serde(with = "digits")]
    pub idle: f64,
    /// A recorded client that runs on the server's core; 0 with remote clients.
    #[serde(with = "digits")]
    pub client: f64,
}

/// Use of all cores in one stretch of the measured window of the first seed; the fractions sum to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoreWindow {
    /// Start, in microseconds since the measured window opened.
    #[serde(with = "digits")]
    pub start_us: f64,
    /// End, in microseconds since the measured window opened.
    #[serde(with = "digits")]
    pub end_us: f64,
    /// Fraction in user mode.
    #[serde(with = "digits")]
    pub user: f64,
    /// Fraction in kernel mode.
    #[serde(with = "digits")]
    pub kernel: f64,
    /// Fraction idle.
    #[serde(with = "digits")]
    pub idle: f64,
    /// Fraction in a recorded client.
    #[serde(with = "digits")]
    pub client: f64,
}

/// Use of one core over the measured window of the first seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoreOverTime {
    /// The core, from 0.
    pub core: u32,
    /// Stretches in order of time.
    pub stretches: Vec<CoreStretch>,
}

/// Use of one core in one stretch; the fractions sum to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoreStretch {
    /// End, in microseconds since the measured window opened; the next stretch begins here.
    #[serde(with = "digits")]
    pub end_us: f64,
    /// Fraction in the program's own code, in either mode.
    #[serde(with = "digits")]
    pub program: f64,
    /// Fraction in kernel code on behalf of calls.
    #[serde(with = "digits")]
    pub calls: f64,
    /// Fraction in softirqs.
    #[serde(with = "digits")]
    pub softirq: f64,
    /// Fraction in interrupts besides softirqs.
    #[serde(with = "digits")]
    pub interrupt: f64,
    /// Fraction in the scheduler and in context switches.
    #[serde(with = "digits")]
    pub scheduler: f64,
    /// Fraction in crossings between the modes.
    #[serde(with = "digits")]
    pub crossings: f64,
    /// Fraction in the mechanism's own work.
    #[serde(with = "digits")]
    pub mechanism: f64,
    /// Fraction in a recorded client.
    #[serde(with = "digits")]
    pub client: f64,
    /// Fraction idle.
    #[serde(with = "digits")]
    pub idle: f64,
}

/// Warm-up and measured window of each repetition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The test that opened the window, in words.
    pub opened_by: String,
    /// Requests before the window opened, over all repetitions.
    pub warm_up_requests: u64,
    /// Cycles before the window opened, over all repetitions.
    pub warm_up_cycles: Cycles,
    /// Cycles in the window, over all repetitions.
    pub measured_cycles: Cycles,
}

/// Speed of the simulation on the host.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostTiming {
    /// Host time in seconds.
    #[serde(with = "digits")]
    pub host_seconds: f64,
    /// Line touches simulated per host second, in millions.
    #[serde(with = "digits")]
    pub accesses_per_second_millions: f64,
}

const UNKNOWN: f64 = f64::NAN;

impl Default for LatencyMicroseconds {
    fn default() -> Self {
        LatencyMicroseconds { mean: UNKNOWN, p50: UNKNOWN, p90: UNKNOWN, p99: UNKNOWN, p999: UNKNOWN, max: UNKNOWN }
    }
}

impl Default for MissesPerKiloInstruction {
    fn default() -> Self {
        MissesPerKiloInstruction {
            l1i: UNKNOWN,
            l1d: UNKNOWN,
            l2: UNKNOWN,
            l3: UNKNOWN,
            itlb: UNKNOWN,
            dtlb: UNKNOWN,
            stlb: UNKNOWN,
            branch: UNKNOWN,
        }
    }
}

impl Default for ModeReport {
    fn default() -> Self {
        ModeReport { instructions: 0, cycles: 0, cpi: UNKNOWN, misses_per_kinstr: MissesPerKiloInstruction::default() }
    }
}

impl Default for PerRequest {
    fn default() -> Self {
        PerRequest {
            instructions_user: UNKNOWN,
            instructions_kernel: UNKNOWN,
            cycles_total: UNKNOWN,
            syscalls: UNKNOWN,
            crossings: UNKNOWN,
            context_switches: UNKNOWN,
            direct_cycles: UNKNOWN,
            indirect_cycles: UNKNOWN,
            mechanism_cycles: UNKNOWN,
        }
    }
}

impl Default for IndirectByMode {
    fn default() -> Self {
        IndirectByMode { user: UNKNOWN, kernel: UNKNOWN }
    }
}

impl Default for BatchDepth {
    fn default() -> Self {
        BatchDepth { mean: UNKNOWN, p50: UNKNOWN, p99: UNKNOWN, max: UNKNOWN, limited_by: String::new() }
    }
}

impl Default for CoresUsed {
    fn default() -> Self {
        CoresUsed { user: UNKNOWN, kernel: UNKNOWN, idle: UNKNOWN, client: UNKNOWN }
    }
}
