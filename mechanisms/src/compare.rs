//! Experiments: one mechanism over several seeds, or all of them side by side under the same seeds.

use crate::assemble::{self, Totals, rate, throughputs};
use crate::experiment::{Settings, SettingsError};
use crate::gain;
use crate::in_kernel::{self, ServiceError};
use crate::registry::Mechanism;
use crate::settings::InKernelVariant;
use crate::simulate::{Sample, SimulationError, simulate};
use crate::under_kernel::under_kernel;
use crate::variants::Way;
use sim_core::estimate::{Decision, StoppingRule, paired_ratio};
use sim_core::manifest::{Manifest, PartsHash};
use sim_core::parallel::{self, Outcome, Sweep};
use sim_core::progress::Progress;
use sim_core::report::{Comparison, ExposureRange, LimitedBy, RunReport};
use sim_core::workload::{Program, Workload};
use std::sync::atomic::{AtomicBool, Ordering};

/// How an experiment is carried out; nothing here changes a result.
pub struct Job<'a> {
    /// Host threads; 0: all.
    pub threads: usize,
    /// Told what is done.
    pub progress: &'a dyn Progress,
    /// Set to stop.
    pub cancel: &'a AtomicBool,
    /// Canonical command for the manifest.
    pub command: String,
}

/// An experiment that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ExperimentError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A simulation.
    #[error("{mechanism}, seed {seed}: {source}")]
    Simulation {
        /// The mechanism, with its variant.
        mechanism: String,
        /// The seed.
        seed: u64,
        /// What went wrong.
        source: SimulationError,
    },
    /// An in-kernel service that cannot be installed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Host threads could not be started.
    #[error("cannot start {threads} host threads: {cause}")]
    Threads {
        /// How many.
        threads: usize,
        /// What the host said.
        cause: String,
    },
    /// Too few simulations allowed for advice.
    #[error(transparent)]
    Budget(#[from] crate::advice::BudgetError),
    /// Stopped from outside.
    #[error("interrupted")]
    Cancelled,
    /// The workload has nothing to run.
    #[error("the workload has no complete request: nothing can be simulated. `ringscope trace info FILE` says what was understood")]
    Empty,
}

/// Seeds that are simulated before the interval is looked at.
pub(crate) const FIRST_SEEDS: u32 = 4;
/// Seeds at most when the settings leave the number open.
pub(crate) const MOST_SEEDS: u32 = 8;

/// One simulation to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point<'s> {
    pub settings: &'s Settings,
    pub way: Way,
    pub seed: u64,
    pub exposure_permille: Option<u32>,
}

/// Runs one mechanism in one variant.
///
/// # Errors
/// Settings out of range, a simulation that failed, or an interruption.
pub fn run(workload: &Workload, settings: &Settings, way: Way, job: &Job) -> Result<RunReport, ExperimentError> {
    check(workload, settings)?;
    let workload = &*under_kernel(workload, &settings.kernel);
    let fallback = fallback_note(workload, settings, way);
    let way = way.resolved(workload, &settings.mechanism);
    let manifest = manifest(workload, settings, job.command.clone());
    if let Some(reason) = way.inapplicable(workload, &settings.mechanism) {
        return Ok(inapplicable(workload, settings, way, &manifest, &reason));
    }
    check_service(workload, settings, way)?;
    let (samples, interrupted) = sample(workload, settings, &[way], job)?;
    let mut report = assemble::report(workload, settings, way, &manifest, &samples[0]);
    report.why = gain::what_costs_most(&report);
    report.notes.extend(fallback);
    report.notes.extend(interrupted.then(|| interruption(&samples)));
    Ok(report)
}

/// Runs several ways of issuing calls under the same seeds. The baseline, `sync`, is run too if it is not in the list.
///
/// # Errors
/// Settings out of range, a simulation that failed, or an interruption.
pub fn compare(workload: &Workload, settings: &Settings, ways: &[Way], job: &Job) -> Result<Comparison, ExperimentError> {
    check(workload, settings)?;
    let workload = &*under_kernel(workload, &settings.kernel);
    let line_up = LineUp::new(workload, settings, ways)?;
    let manifest = manifest(workload, settings, job.command.clone());
    let (samples, interrupted) = sample(workload, settings, &line_up.applicable, job)?;
    let ranges = match settings.run.exposure_range && !interrupted {
        true => exposure_ranges(workload, settings, &line_up.applicable, &samples, job)?,
        false => Vec::new(),
    };
    let interrupted = interrupted || job.cancel.load(Ordering::Relaxed);
    let results = line_up.reports(workload, settings, &manifest, &samples, &ranges);
    let mut notes = comparison_notes(&results);
    notes.extend(interrupted.then(|| interruption(&samples)));
    notes.extend(line_up.fallback_notes(workload, settings));
    Comparison::new(results, notes).ok_or(ExperimentError::Empty)
}

/// The ways of a comparison.
#[derive(Clone, Debug)]
pub(crate) struct LineUp {
    /// As asked for.
    asked: Vec<Way>,
    /// As they run, the baseline first.
    pub wanted: Vec<Way>,
    /// Those of them that can run the workload.
    pub applicable: Vec<Way>,
}

impl LineUp {
    /// Finds out which ways can run the workload, under its kernel already.
    ///
    /// # Errors
    /// A service that can't be installed.
    pub fn new(workload: &Workload, settings: &Settings, ways: &[Way]) -> Result<LineUp, ExperimentError> {
        let mut wanted = vec![Way::BASELINE];
        wanted.extend(ways.iter().filter(|way| **way != Way::BASELINE).map(|way| way.resolved(workload, &settings.mechanism)));
        let applicable: Vec<Way> =
            wanted.iter().copied().filter(|way| way.inapplicable(workload, &settings.mechanism).is_none()).collect();
        for way in &applicable {
            check_service(workload, settings, *way)?;
        }
        Ok(LineUp { asked: ways.to_vec(), wanted, applicable })
    }

    /// The report of each way from the samples and ranges of those that can run the workload.
    pub fn reports<S: AsRef<[Sample]>>(
        &self,
        workload: &Workload,
        settings: &Settings,
        manifest: &Manifest,
        samples: &[S],
        ranges: &[ExposureRange],
    ) -> Vec<RunReport> {
        let mut results: Vec<RunReport> = Vec::new();
        for way in &self.wanted {
            let Some(position) = self.applicable.iter().position(|other| other == way) else {
                results.push(self.without_numbers(workload, settings, *way, manifest));
                continue;
            };
            let (own, base) = (samples[position].as_ref(), samples[0].as_ref());
            let mut report = assemble::report(workload, settings, *way, manifest, own);
            report.exposure_range = ranges.get(position).copied();
            set_beside(&mut report, own, results.first(), base, settings);
            results.push(report);
        }
        results
    }

    /// The report of a way that can't run the workload.
    pub fn without_numbers(&self, workload: &Workload, settings: &Settings, way: Way, manifest: &Manifest) -> RunReport {
        let reason = way.inapplicable(workload, &settings.mechanism).unwrap_or_default();
        inapplicable(workload, settings, way, manifest, &reason)
    }

    /// Which ways stand for others, and why.
    pub fn fallback_notes(&self, workload: &Workload, settings: &Settings) -> Vec<String> {
        self.asked.iter().filter_map(|way| fallback_note(workload, settings, *way)).collect()
    }
}

/// Puts into a report what only a comparison knows. Without a report of the baseline it is the baseline itself.
pub(crate) fn set_beside(
    report: &mut RunReport,
    own: &[Sample],
    baseline: Option<&RunReport>,
    base: &[Sample],
    settings: &Settings,
) {
    report.speedup_vs_sync = Some(paired_ratio(&throughputs(own, settings), &throughputs(base, settings)));
    let times = (assemble::processor_times(own), assemble::processor_times(base));
    report.processor_time_vs_sync = Some(paired_ratio(&times.0, &times.1));
    report.gain_parts = Some(gain::parts(&Totals::of(base), &Totals::of(own)));
    report.why = gain::explain(baseline.unwrap_or(report), report);
}

pub(crate) fn check(workload: &Workload, settings: &Settings) -> Result<(), ExperimentError> {
    settings.validate()?;
    settings.clients.fit(workload).map_err(SettingsError::from)?;
    if !workload.classes.iter().any(|class| class.chains.iter().any(|chain| !chain.steps.is_empty())) {
        return Err(ExperimentError::Empty);
    }
    Ok(())
}

/// A service is compiled before anything is simulated: what is wrong with it is the user's to change.
pub(crate) fn check_service(workload: &Workload, settings: &Settings, way: Way) -> Result<(), ServiceError> {
    let mut own = settings.mechanism.clone();
    way.apply(&mut own);
    if way.mechanism == Mechanism::InKernelDsl && own.in_kernel_dsl.variant == InKernelVariant::Wyki {
        in_kernel::choose(workload, &own.in_kernel_dsl)?;
    }
    Ok(())
}

pub(crate) fn manifest(workload: &Workload, settings: &Settings, command: String) -> Manifest {
    let config_hash = PartsHash::new().serialized("settings", settings).map(PartsHash::finish).unwrap_or_default();
    Manifest { version: env!("CARGO_PKG_VERSION").into(), command, config_hash, trace_hash: workload.source.sha256.clone() }
}

pub(crate) fn inapplicable(workload: &Workload, settings: &Settings, way: Way, manifest: &Manifest, reason: &str) -> RunReport {
    let common = RunReport {
        workload: workload.name.clone(),
        machine: settings.machine.name.clone(),
        kernel: settings.kernel.name.clone(),
        cores: settings.run.cores,
        connections: if workload.program == Program::Sequential { 0 } else { settings.run.connections },
        seed: settings.run.seed,
        manifest: manifest.clone(),
        ..RunReport::default()
    };
    RunReport { variant: way.named_under(&settings.mechanism), ..RunReport::not_applicable(&common, way.mechanism.name(), reason) }
}

/// Samples by way, the same seeds for each: as many as the settings say or as the interval needs. An interruption keeps the seeds that
/// every way has completed; the second value says that there was one.
fn sample(workload: &Workload, settings: &Settings, ways: &[Way], job: &Job) -> Result<(Vec<Vec<Sample>>, bool), ExperimentError> {
    let mut samples: Vec<Vec<Sample>> = ways.iter().map(|_| Vec::new()).collect();
    let mut seeds = 0;
    let mut wanted = first_seeds(settings);
    while seeds < wanted {
        let points: Vec<Point> = (seeds..wanted)
            .flat_map(|rep| ways.iter().map(move |way| (rep, *way)))
            .map(|(rep, way)| Point { settings, way, seed: settings.run.seed + u64::from(rep), exposure_permille: None })
            .collect();
        let mut outcomes = simulate_points(workload, &points, job)?.into_iter();
        for _ in seeds..wanted {
            // points stand by seed, then by way
            let of_seed: Option<Vec<Sample>> = outcomes.by_ref().take(ways.len()).collect::<Vec<_>>().into_iter().collect();
            for (own, sample) in samples.iter_mut().zip(of_seed.into_iter().flatten()) {
                own.push(sample);
            }
        }
        if job.cancel.load(Ordering::Relaxed) && samples[0].len() < wanted as usize {
            return if samples[0].is_empty() { Err(ExperimentError::Cancelled) } else { Ok((samples, true)) };
        }
        seeds = wanted;
        wanted = seeds_wanted(workload, settings, &samples, seeds);
    }
    Ok((samples, false))
}

/// Seeds that are simulated before the interval is looked at; all of them when the settings say how many.
pub(crate) fn first_seeds(settings: &Settings) -> u32 {
    if settings.run.reps > 0 { settings.run.reps } else { FIRST_SEEDS }
}

/// Seeds that are wanted in all once every way has so many.
pub(crate) fn seeds_wanted<S: AsRef<[Sample]>>(workload: &Workload, settings: &Settings, samples: &[S], seeds: u32) -> u32 {
    let enough = settings.run.reps > 0 || seeds >= MOST_SEEDS || precise(workload, settings, samples);
    if enough { seeds } else { (seeds + FIRST_SEEDS).min(MOST_SEEDS) }
}

/// True when every mechanism's interval (of the speed-up, or of the throughput when there is one mechanism) is narrow enough.
fn precise<S: AsRef<[Sample]>>(workload: &Workload, settings: &Settings, samples: &[S]) -> bool {
    let rule = stopping_rule(workload, StoppingRule::default().half_width_relative_max, MOST_SEEDS);
    let Some(base) = samples.first().map(|base| throughputs(base.as_ref(), settings)) else { return true };
    samples.iter().enumerate().all(|(position, own)| {
        let own = own.as_ref();
        let rates = throughputs(own, settings);
        let alone = samples.len() == 1 && position == 0;
        let estimate = if alone { sim_core::estimate::Estimate::of(&rates) } else { paired_ratio(&rates, &base) };
        let requests = own.iter().map(|sample| sample.replies).sum();
        rule.decide(&estimate, requests) != Decision::Continue
    })
}

/// When the interval of a workload's experiment is narrow enough.
pub(crate) fn stopping_rule(workload: &Workload, half_width_relative_max: f64, seeds_max: u32) -> StoppingRule {
    let requests_min = if workload.program == Program::Sequential { 1 } else { 1000 };
    StoppingRule { half_width_relative_max, requests_min, n_max: u64::from(seeds_max), ..StoppingRule::default() }
}

/// The ends of what is known of the exposure of instruction misses.
pub(crate) const EXPOSURES_PERMILLE: [u32; 2] = [500, 1000];

/// The range of a way's speed-up over the exposure, from its and the baseline's samples and from the throughputs of both at each end, under
/// the first seed. What a seed does to a speed-up it does at all exposures: each end is the mean speed-up times what the exposure alone
/// changes under that seed.
pub(crate) fn exposure_range(own: &[Sample], base: &[Sample], ends: [(f64, f64); 2], settings: &Settings) -> Option<ExposureRange> {
    let first = rate(own.first()?, settings) / rate(base.first()?, settings);
    let mean = paired_ratio(&throughputs(own, settings), &throughputs(base, settings)).mean;
    let [low, high] = ends.map(|(own, base)| mean * (own / base / first));
    Some(ExposureRange { low, high })
}

/// The ranges of all ways, the first of which is the baseline, from their samples and from their throughputs at one end, then at the other.
pub(crate) fn ranges<S: AsRef<[Sample]>>(rates: &[f64], samples: &[S], settings: &Settings) -> Vec<ExposureRange> {
    let (Some(base), count) = (samples.first(), samples.len()) else { return Vec::new() };
    let range = |(position, own): (usize, &S)| {
        let end = |end: usize| (rates[end * count + position], rates[end * count]);
        exposure_range(own.as_ref(), base.as_ref(), [end(0), end(1)], settings)
    };
    samples.iter().enumerate().filter_map(range).collect()
}

/// The ranges of all ways; the first one is the baseline.
fn exposure_ranges(
    workload: &Workload,
    settings: &Settings,
    ways: &[Way],
    samples: &[Vec<Sample>],
    job: &Job,
) -> Result<Vec<ExposureRange>, ExperimentError> {
    let points: Vec<Point> = EXPOSURES_PERMILLE
        .into_iter()
        .flat_map(|exposure| ways.iter().map(move |way| (exposure, *way)))
        .map(|(exposure, way)| Point { settings, way, seed: settings.run.seed, exposure_permille: Some(exposure) })
        .collect();
    let ends = match simulate_all(workload, &points, job) {
        // the comparison itself is complete by now
        Err(ExperimentError::Cancelled) => return Ok(Vec::new()),
        other => other?,
    };
    Ok(ranges(&throughputs(&ends, settings), samples, settings))
}

/// Simulates points in parallel; results in the order of the points whatever the threads.
pub(crate) fn simulate_all(workload: &Workload, points: &[Point], job: &Job) -> Result<Vec<Sample>, ExperimentError> {
    let samples = simulate_points(workload, points, job)?;
    samples.into_iter().map(|sample| sample.ok_or(ExperimentError::Cancelled)).collect()
}

/// As [`simulate_all`], with nothing for the points that were not begun because of an interruption.
fn simulate_points(workload: &Workload, points: &[Point], job: &Job) -> Result<Vec<Option<Sample>>, ExperimentError> {
    let work = |_: usize, point: &Point| {
        let own = settings_of(point.settings, point.way, point.exposure_permille);
        let sample = simulate(workload, &own, point.way.mechanism, point.seed);
        sample.map_err(|source| ExperimentError::Simulation { mechanism: point.way.name(), seed: point.seed, source })
    };
    in_parallel(points, job, work)
}

/// The settings under which a way is simulated, at a given exposure of instruction misses where there is one.
pub(crate) fn settings_of(settings: &Settings, way: Way, exposure_permille: Option<u32>) -> Settings {
    let mut own = settings.clone();
    way.apply(&mut own.mechanism);
    if let Some(exposure) = exposure_permille {
        own.machine.exposure.instruction_permille_user = exposure;
        own.machine.exposure.instruction_permille_kernel = exposure;
    }
    own
}

/// Does `work` on all points on the job's threads; nothing for points that were not begun because of an interruption.
pub(crate) fn in_parallel<P: Sync, T: Send>(
    points: &[P],
    job: &Job,
    work: impl Fn(usize, &P) -> Result<T, ExperimentError> + Sync,
) -> Result<Vec<Option<T>>, ExperimentError> {
    let sweep = Sweep {
        threads: (job.threads > 0).then_some(job.threads),
        cancel: job.cancel,
        progress: job.progress,
        what: "simulations",
    };
    let outcomes = parallel::map(points, sweep, work, |_, _| {})
        .map_err(|error| ExperimentError::Threads { threads: job.threads, cause: error.to_string() })?;
    let result = |outcome: Outcome<T, ExperimentError>| match outcome {
        Outcome::Done(result) => Ok(Some(result)),
        Outcome::Failed(error) => Err(error),
        Outcome::Cancelled => Ok(None),
    };
    outcomes.into_iter().map(result).collect()
}

/// What an interrupted experiment says of itself.
fn interruption(samples: &[Vec<Sample>]) -> String {
    let seeds = samples.first().map_or(0, Vec::len);
    format!("interrupted: over the {seeds} seeds that were complete by then; run it again for the whole result")
}

/// Says that another variant than the default ran, and why.
pub(crate) fn fallback_note(workload: &Workload, settings: &Settings, way: Way) -> Option<String> {
    let resolved = way.resolved(workload, &settings.mechanism);
    let reason = way.inapplicable(workload, &settings.mechanism).filter(|_| resolved != way)?;
    Some(format!("{} stands for {}: {reason}", resolved.name(), way.name()))
}

pub(crate) fn comparison_notes(results: &[RunReport]) -> Vec<String> {
    let mut notes = Vec::new();
    for report in results.iter().filter(|report| report.applicable) {
        if let Some(limit) = report.limited_by
            && limit != LimitedBy::Server
        {
            notes.push(format!(
                "{}: the {} is the limit, not the server: throughput hides what the server saves; compare processor time per request",
                report.label(),
                limit.name()
            ));
        }
    }
    notes
}
