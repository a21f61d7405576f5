//! What advice is judged on: reports at the load that was asked for, trials of settings, and reports at other loads.

use super::decide::chosen;
use super::port::{self, KernelNeeds};
use super::search::{Plan, knobs};
use crate::compare::{self, ExperimentError, Job};
use crate::experiment::Settings;
use crate::registry::ALL;
use crate::variants::Way;
use os_model::clients::Arrival;
use os_model::kernel::Mitigations;
use serde::{Deserialize, Serialize};
use sim_core::payload::Protocol;
use sim_core::progress::Progress;
use sim_core::report::{Comparison, RunReport};
use sim_core::workload::{Program, Workload};
use std::sync::atomic::{AtomicU64, Ordering};

/// A setting as `--set` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its path.
    pub path: String,
    /// Its value.
    pub value: String,
}

/// What matters of the program and its recording besides the numbers of the reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Kind of program.
    pub program: Program,
    /// It cannot have more than one event loop.
    pub single_threaded: bool,
    /// It answers with files.
    pub serves_files: bool,
    /// Format of the recording: `capture`, `strace`, `ftrace`, `synthetic`.
    pub source_format: String,
    /// The recording was made with mitigations.
    pub recorded_with_mitigations: bool,
    /// The experiment runs with mitigations.
    pub mitigated: bool,
}

impl Subject {
    /// The subject of an experiment.
    pub fn new(workload: &Workload, settings: &Settings) -> Subject {
        let protocol = workload.payload.as_ref().map(|payload| payload.protocol);
        Subject {
            program: workload.program,
            single_threaded: workload.single_threaded,
            serves_files: matches!(protocol, Some(Protocol::Http | Protocol::HttpKeepAlive)),
            source_format: workload.source.format.clone(),
            recorded_with_mitigations: workload.source.mitigations,
            mitigated: settings.kernel.mitigations == Mitigations::Default,
        }
    }
}

/// Cores and load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Cores of the server.
    pub cores: u32,
    /// Client connections.
    pub connections: u32,
    /// Requests per second that are offered; none in a closed loop.
    pub rate_rps: Option<f64>,
}

impl Place {
    /// Where settings stand.
    pub fn of(settings: &Settings) -> Place {
        let rate_rps = match &settings.clients.arrival {
            Arrival::Open { rate_rps } | Arrival::Sessions { rate_rps, .. } => Some(*rate_rps),
            Arrival::Closed | Arrival::Steps(_) => None,
        };
        Place { cores: settings.run.cores, connections: settings.run.connections, rate_rps }
    }

    /// The same settings here.
    fn applied(&self, settings: &Settings) -> Settings {
        let mut own = settings.clone();
        own.run.cores = self.cores;
        own.run.connections = self.connections;
        if let (Some(wanted), Arrival::Open { rate_rps } | Arrival::Sessions { rate_rps, .. }) =
            (self.rate_rps, &mut own.clients.arrival)
        {
            *rate_rps = wanted;
        }
        own
    }
}

/// A setting that was tried on a way, at the load that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The way.
    pub label: String,
    /// The setting.
    pub setting: Setting,
    /// Mean throughput over that of the same way without the setting, under the same seeds.
    pub ratio: f64,
    /// It was taken over.
    pub kept: bool,
}

/// All that advice is judged on.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The program and its recording.
    pub subject: Subject,
    /// Cores and load that were asked for.
    pub place: Place,
    /// All ways at that place; the finalists with settings and seeds of their own.
    pub at_load: Comparison,
    /// Settings that were tried.
    pub trials: Vec<Trial>,
    /// The chosen way beside synchronous calls at other places.
    pub elsewhere: Vec<(Place, Comparison)>,
    /// Simulations that were run.
    pub simulations: u64,
}

/// The ways that advice is given on when none are named: all mechanisms, the variants that a stock kernel has, and the one that keeps a
/// program's threads. What cannot run the workload says so in its report.
pub fn candidates(workload: &Workload) -> Vec<Way> {
    let mut names: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
    names.extend(["exception-less:io-uring", "batched-script:io-uring-enter"]);
    if workload.datagram {
        names.push("batched-script:message-batch");
    }
    if matches!(workload.program, Program::ThreadPerConnection | Program::ProcessPerConnection) {
        names.push("exception-less:threads");
    }
    // the names are those of the lists; one that left them is no candidate
    names.into_iter().filter_map(|name| Way::from_name(name).ok()).collect()
}

/// Forwards steps, so that several experiments are one piece of work to whoever watches, and counts them.
struct Steps<'a> {
    watcher: &'a dyn Progress,
    count: AtomicU64,
}

impl Progress for Steps<'_> {
    fn start(&self, _what: &str, _total: u64) {}

    fn step(&self, count: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.watcher.step(count);
    }

    fn finish(&self) {}
}

/// Simulates what advice needs: a screening of all ways, trials of settings on those that promise most, the finalists under seeds that
/// the screening did not see, and the chosen one elsewhere.
///
/// # Errors
/// A budget that is too small, settings out of range, a simulation that failed, an interruption.
pub fn gather(workload: &Workload, settings: &Settings, ways: &[Way], budget: u64, job: &Job) -> Result<Evidence, ExperimentError> {
    let subject = Subject::new(workload, settings);
    let place = Place::of(settings);
    let runs = |way: Way| way.resolved(workload, &settings.mechanism).inapplicable(workload, &settings.mechanism).is_none();
    let others = ways.iter().filter(|way| **way != Way::BASELINE && runs(**way)).count();
    let elsewhere = places(&subject, settings);
    let plan = Plan::new(budget, settings.run.reps, others as u64, elsewhere.len() as u64)?;
    let steps = Steps { watcher: job.progress, count: AtomicU64::new(0) };
    let job = Job { threads: job.threads, progress: &steps, cancel: job.cancel, command: job.command.clone() };
    steps.watcher.start("simulations", plan.total);
    let gatherer = Gatherer { workload, job: &job, plan: &plan };
    let gathered = gatherer.gather(settings, ways, &subject, &elsewhere);
    steps.watcher.finish();
    let (at_load, trials, elsewhere) = gathered?;
    Ok(Evidence { subject, place, at_load, trials, elsewhere, simulations: steps.count.load(Ordering::Relaxed) })
}

/// Other places: few connections, and another number of cores.
fn places(subject: &Subject, settings: &Settings) -> Vec<Place> {
    let here = Place::of(settings);
    let mut places = Vec::new();
    match (subject.program, &settings.clients.arrival) {
        (Program::Sequential, _) | (_, Arrival::Steps(_)) => {}
        (_, Arrival::Closed) => {
            let few = [1, here.connections / 8].into_iter().filter(|few| (1..here.connections).contains(few));
            places.extend(few.map(|connections| Place { connections, ..here }));
        }
        _ => places.push(Place { rate_rps: here.rate_rps.map(|rate| rate / 4.0), ..here }),
    }
    places.dedup();
    let cores = if here.cores == 1 { 2 } else { 1 };
    if cores <= settings.machine.cores_max {
        places.push(Place { cores, ..here });
    }
    places
}

/// What is gathered: at the load, trials, elsewhere.
type Gathered = (Comparison, Vec<Trial>, Vec<(Place, Comparison)>);

struct Gatherer<'a> {
    workload: &'a Workload,
    job: &'a Job<'a>,
    plan: &'a Plan,
}

impl Gatherer<'_> {
    fn gather(&self, settings: &Settings, ways: &[Way], subject: &Subject, places: &[Place]) -> Result<Gathered, ExperimentError> {
        let screening = self.compare(&with_seeds(settings, 0, self.plan.screening_seeds, false), ways)?;
        let finalists = self.finalists(&screening);
        let (tuned, trials) = self.tune(settings, &screening, &finalists)?;
        let finals = with_seeds(&tuned, FRESH_SEEDS, self.plan.final_seeds, settings.run.exposure_range);
        let confirmed = if finalists.is_empty() { screening.clone() } else { self.compare(&finals, &finalists)? };
        let at_load = merged(screening, confirmed);
        let mut elsewhere = Vec::new();
        if let Some(best) = chosen(&at_load, subject) {
            let way = Way::from_name(&best.label()).map_err(|_| ExperimentError::Empty)?;
            for place in places {
                let own = with_seeds(&place.applied(&tuned), FRESH_SEEDS, self.plan.elsewhere_seeds, false);
                elsewhere.push((*place, self.compare(&own, &[way])?));
            }
        }
        Ok((at_load, trials, elsewhere))
    }

    fn compare(&self, settings: &Settings, ways: &[Way]) -> Result<Comparison, ExperimentError> {
        let comparison = compare::compare(self.workload, settings, ways, self.job)?;
        // an interrupted comparison is half of one; advice on it would be another
        if self.job.cancel.load(Ordering::Relaxed) { Err(ExperimentError::Cancelled) } else { Ok(comparison) }
    }

    /// The ways that promise most, the best first: none that saves nothing, rewrites last, and among them the best that a stock kernel has.
    fn finalists(&self, screening: &Comparison) -> Vec<Way> {
        let gain = |report: &RunReport| report.speedup_vs_sync.map_or(f64::NAN, |speedup| speedup.mean);
        let thrift = |report: &RunReport| report.processor_time_vs_sync.map_or(f64::NAN, |ratio| 1.0 / ratio.mean);
        let promise = |report: &RunReport| gain(report).max(thrift(report));
        let mut others: Vec<&RunReport> =
            screening.results.iter().filter(|report| report.applicable && report.label() != Way::BASELINE.name()).collect();
        others.retain(|report| promise(report) > 1.0);
        let rewrites = |report: &RunReport| port::of(&report.label()).rewrites;
        others.sort_by(|left, right| {
            let promised = || promise(right).total_cmp(&promise(left));
            rewrites(left).cmp(&rewrites(right)).then_with(promised)
        });
        let seats = self.plan.finalists as usize;
        let stock = others.iter().position(|report| port::of(&report.label()).kernel == KernelNeeds::Stock);
        if let Some(last) = stock.filter(|position| *position >= seats) {
            others.swap(last, seats - 1);
        }
        others.truncate(seats);
        others.iter().filter_map(|report| Way::from_name(&report.label()).ok()).collect()
    }

    /// Tries settings of the finalists one at a time, under the seeds of the screening, and keeps what serves clearly better.
    fn tune(
        &self,
        settings: &Settings,
        screening: &Comparison,
        finalists: &[Way],
    ) -> Result<(Settings, Vec<Trial>), ExperimentError> {
        let mut tuned = settings.clone();
        let mut trials: Vec<Trial> = Vec::new();
        let mut left = self.plan.trials;
        for way in finalists {
            let Some(plain) = screening.results.iter().find(|report| report.label() == way.name()) else { continue };
            let mut best = (1.0 + WORTH_KEEPING, None);
            for knob in knobs(*way, self.workload, settings).into_iter().take(left as usize) {
                left -= 1;
                let mut own = with_seeds(settings, 0, self.plan.screening_seeds, false);
                knob.apply(&mut own);
                let report = compare::run(self.workload, &own, *way, self.job)?;
                let ratio = report.throughput_rps.mean / plain.throughput_rps.mean;
                let slower = report.latency_us.p99 > plain.latency_us.p99 * TAIL_TOLERATED;
                trials.push(Trial { label: way.name(), setting: knob.setting(), ratio, kept: false });
                if ratio > best.0 && !slower {
                    best = (ratio, Some((knob, trials.len() - 1)));
                }
            }
            if let Some((knob, position)) = best.1 {
                knob.apply(&mut tuned);
                trials[position].kept = true;
            }
        }
        if self.job.cancel.load(Ordering::Relaxed) { Err(ExperimentError::Cancelled) } else { Ok((tuned, trials)) }
    }
}

/// A setting is kept when it serves so much better than the default: less is not worth another setting.
const WORTH_KEEPING: f64 = 0.01;
/// And when it does not make the slowest requests so much slower.
const TAIL_TOLERATED: f64 = 1.25;
/// Seeds of the finals lie so far behind those of the screening: whoever was chosen by luck of a seed has no luck there.
const FRESH_SEEDS: u64 = 1000;

fn with_seeds(settings: &Settings, offset: u64, seeds: u32, exposure_range: bool) -> Settings {
    let mut own = settings.clone();
    own.run.seed = settings.run.seed.wrapping_add(offset);
    own.run.reps = seeds;
    own.run.exposure_range = exposure_range;
    own
}

/// The screening with the reports of the finals where there are some.
fn merged(screening: Comparison, finals: Comparison) -> Comparison {
    let results = screening.results.into_iter().map(|report| {
        let later = finals.results.iter().find(|other| other.applicable && other.label() == report.label());
        later.cloned().unwrap_or(report)
    });
    Comparison { results: results.collect(), seed: screening.seed, ..finals }
}
