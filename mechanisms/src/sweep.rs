//! Many experiments at once: points of a sweep in groups that differ in the way of issuing calls only.
//!
//! All points of a group meet the same clients (the same seeds); where the baseline is one of them, the others are set beside it seed by
//! seed. Each simulation is a job of its own in one queue, the most expensive first. What a point's report says depends on its group
//! alone, never on threads, order or an interruption.

use crate::assemble::{self, throughputs};
use crate::compare::{self, ExperimentError, FIRST_SEEDS, MOST_SEEDS, set_beside};
use crate::experiment::Settings;
use crate::gain;
use crate::simulate::{Sample, SimulationError, estimated_accesses, simulate};
use crate::under_kernel::under_kernel;
use crate::variants::Way;
use sim_core::estimate::{Decision, Estimate, StoppingRule, paired_ratio};
use sim_core::manifest::{Manifest, PartsHash};
use sim_core::progress::Progress;
use sim_core::report::RunReport;
use sim_core::work_queue::{self, Job};
use sim_core::workload::Workload;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Points that differ in the way of issuing calls only.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// What is replayed.
    pub workload: &'a Workload,
    /// The settings of all points.
    pub settings: Settings,
    /// The points to run.
    pub points: Vec<Point>,
    /// True when the points are set beside the baseline. It is simulated for that also where its own point is not to be run, because it
    /// is done already.
    pub beside_baseline: bool,
}

/// One point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Place in the sweep.
    pub index: u64,
    /// How calls are issued.
    pub way: Way,
}

/// How narrow intervals are to be when the settings leave the number of seeds open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Precision {
    /// Half the width of the interval relative to the mean, at most.
    pub half_width_relative: f64,
    /// Seeds at most.
    pub seeds_max: u32,
}

impl Default for Precision {
    /// What a comparison does by itself.
    fn default() -> Self {
        Precision { half_width_relative: StoppingRule::default().half_width_relative_max, seeds_max: MOST_SEEDS }
    }
}

/// How a sweep is carried out.
pub struct Sweep<'a> {
    /// Host threads.
    pub threads: usize,
    /// Told what is done.
    pub progress: &'a dyn Progress,
    /// Set to stop: simulations under way end, and points that they complete are finished.
    pub cancel: &'a AtomicBool,
    /// When a point has seeds enough.
    pub precision: Precision,
    /// The command that makes a point's report again, with so many seeds.
    pub command: &'a (dyn Fn(u64, u32) -> String + Sync),
}

/// What became of a point.
pub type Finished = Result<RunReport, ExperimentError>;

/// Runs all groups. `finished` is called from a worker thread with the index of each point as soon as it is done or has failed.
pub fn run(groups: &[Group], sweep: &Sweep, finished: impl Fn(u64, Finished) + Sync) {
    let points = groups.iter().map(|group| group.points.len() as u64).sum();
    let cost_total = groups.iter().map(|group| cost(group, sweep.precision) * group.ways().len() as u64).sum();
    sweep.progress.start_costed("points", points, cost_total);
    let states: Vec<GroupRun> = groups.iter().map(|group| GroupRun::new(group, sweep)).collect();
    let first = states
        .iter()
        .enumerate()
        .map(|(index, state)| Job { cost: state.group.cost_of_seed(), task: Task::Begin { group: index } });
    let stop = || sweep.cancel.load(Ordering::Relaxed);
    work_queue::work_through(first.collect(), sweep.threads, stop, |task| match task {
        Task::Begin { group } => states[group].begin(group, &finished),
        Task::Simulate(run) => states[run.group].simulate(run, &finished),
    });
    sweep.progress.finish();
}

/// Estimated cost of one way of a group, in accesses.
pub fn cost(group: &Group, precision: Precision) -> u64 {
    group.cost_of_seed() * u64::from(seeds_first(&group.settings, precision))
}

/// Seeds before the interval is looked at; all of them when the settings say how many.
fn seeds_first(settings: &Settings, precision: Precision) -> u32 {
    match settings.run.reps {
        0 => FIRST_SEEDS.min(precision.seeds_max),
        reps => reps,
    }
}

/// Hash of all that a point's result depends on, besides the program: settings, workload, way, whether it stands beside the baseline, and
/// the precision where that decides on the seeds.
///
/// # Errors
/// When the settings have no JSON form.
pub fn point_hash(
    workload: &Workload,
    settings: &Settings,
    way: Way,
    beside_baseline: bool,
    precision: Precision,
) -> Result<String, serde_json::Error> {
    let hash = PartsHash::new()
        .serialized("settings", settings)?
        .part("workload", workload.name.as_bytes())
        .part("trace", workload.source.sha256.as_bytes())
        .part("way", way.name().as_bytes())
        .serialized("beside_baseline", &beside_baseline)?;
    let hash = match settings.run.reps {
        0 => hash.serialized("precision", &(precision.half_width_relative, precision.seeds_max))?,
        _ => hash,
    };
    Ok(hash.finish())
}

impl Group<'_> {
    /// Ways to simulate; the baseline comes first.
    pub fn ways(&self) -> Vec<Way> {
        let mut ways: Vec<Way> = self.points.iter().map(|point| point.way).filter(|way| *way != Way::BASELINE).collect();
        if self.beside_baseline || self.points.iter().any(|point| point.way == Way::BASELINE) {
            ways.insert(0, Way::BASELINE);
        }
        ways
    }

    fn index_of(&self, way: Way) -> Option<u64> {
        self.points.iter().find(|point| point.way == way).map(|point| point.index)
    }

    fn cost_of_seed(&self) -> u64 {
        estimated_accesses(self.workload, &self.settings).max(1)
    }
}

enum Task {
    Begin { group: usize },
    Simulate(Run),
}

/// One simulation.
#[derive(Clone, Copy)]
struct Run {
    group: usize,
    /// Position among the group's ways.
    way: usize,
    /// Repetition.
    rep: u32,
}

/// What is to be done about a way.
enum Verdict {
    /// Nothing: seeds are under way, or it is reported.
    Waits,
    /// It is finished.
    Ends(Box<Finished>),
    /// More seeds, also of the baseline where it is paired with it.
    NeedsMore { paired: bool },
}

/// A group under way.
struct GroupRun<'a> {
    group: &'a Group<'a>,
    sweep: &'a Sweep<'a>,
    /// The workload under the group's kernel, made when the group begins.
    workload: OnceLock<std::borrow::Cow<'a, Workload>>,
    ways: Mutex<Vec<WayRun>>,
}

/// One way of a group under way.
struct WayRun {
    /// As asked for.
    asked: Way,
    /// As it runs.
    way: Way,
    /// The point to report to; none for a baseline that is done already.
    index: Option<u64>,
    /// Samples of the first seeds, without gaps.
    samples: Vec<Sample>,
    /// What became of the seed after those, when it failed.
    failure: Option<SimulationError>,
    /// What came before one of an earlier seed.
    early: BTreeMap<u32, Result<Sample, SimulationError>>,
    /// Seeds that the point itself is judged by.
    wanted: u32,
    /// Seeds asked for: more than wanted where other ways are paired with them.
    asked_seeds: u32,
    decided: bool,
}

/// The samples of a way's first seeds.
enum FirstSeeds<'s> {
    Complete(&'s [Sample]),
    /// One of them has failed.
    Failed(&'s SimulationError),
    /// Some are not there yet.
    Incomplete,
}

impl WayRun {
    fn new(asked: Way, way: Way, index: Option<u64>) -> WayRun {
        WayRun {
            asked,
            way,
            index,
            samples: Vec::new(),
            failure: None,
            early: BTreeMap::new(),
            wanted: 0,
            asked_seeds: 0,
            decided: index.is_none(),
        }
    }

    /// Keeps what became of a seed. Seeds count in their order, so that it does not matter which of two that fail ends first.
    fn keep(&mut self, rep: u32, result: Result<Sample, SimulationError>) {
        self.early.insert(rep, result);
        while let Some(next) = self.early.remove(&(self.samples.len() as u32)).filter(|_| self.failure.is_none()) {
            match next {
                Ok(sample) => self.samples.push(sample),
                Err(error) => self.failure = Some(error),
            }
        }
    }

    fn first(&self, seeds: u32) -> FirstSeeds<'_> {
        match (self.samples.get(..seeds as usize), &self.failure) {
            (Some(samples), _) => FirstSeeds::Complete(samples),
            (None, Some(failure)) => FirstSeeds::Failed(failure),
            (None, None) => FirstSeeds::Incomplete,
        }
    }
}

impl<'a> GroupRun<'a> {
    fn new(group: &'a Group<'a>, sweep: &'a Sweep<'a>) -> GroupRun<'a> {
        GroupRun { group, sweep, workload: OnceLock::new(), ways: Mutex::new(Vec::new()) }
    }

    fn workload(&self) -> &Workload {
        self.workload.get_or_init(|| under_kernel(self.group.workload, &self.group.settings.kernel))
    }

    fn ways(&self) -> MutexGuard<'_, Vec<WayRun>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports what can't run and asks for the first seeds of the rest.
    fn begin(&self, group: usize, finished: &impl Fn(u64, Finished)) -> Vec<Job<Task>> {
        let settings = &self.group.settings;
        if let Err(error) = compare::check(self.group.workload, settings) {
            for point in &self.group.points {
                self.report(Some(point.index), Err(error.clone()), finished);
            }
            return Vec::new();
        }
        let workload = self.workload();
        let mut ways = self.ways();
        for asked in self.group.ways() {
            let index = self.group.index_of(asked);
            let way = asked.resolved(workload, &settings.mechanism);
            if let Some(reason) = way.inapplicable(workload, &settings.mechanism) {
                let manifest = self.manifest(index, settings.run.reps);
                self.report(index, Ok(compare::inapplicable(workload, settings, way, &manifest, &reason)), finished);
            } else if let Err(error) = compare::check_service(workload, settings, way) {
                self.report(index, Err(error.into()), finished);
            } else {
                ways.push(WayRun::new(asked, way, index));
                continue;
            }
            self.sweep.progress.step_costed(0, cost(self.group, self.sweep.precision));
        }
        let seeds = self.seeds_first();
        let mut jobs = Vec::new();
        for (position, way) in ways.iter_mut().enumerate() {
            way.wanted = seeds;
            jobs.extend(self.more_seeds(group, position, way, seeds));
        }
        jobs
    }

    /// Jobs for the seeds of a way up to `seeds` that nobody has asked for.
    fn more_seeds(&self, group: usize, position: usize, way: &mut WayRun, seeds: u32) -> Vec<Job<Task>> {
        let cost = self.group.cost_of_seed();
        let from = way.asked_seeds;
        way.asked_seeds = seeds.max(from);
        (from..seeds).map(|rep| Job { cost, task: Task::Simulate(Run { group, way: position, rep }) }).collect()
    }

    fn simulate(&self, run: Run, finished: &impl Fn(u64, Finished)) -> Vec<Job<Task>> {
        let (way, failed) = {
            let ways = self.ways();
            (ways[run.way].way, ways[run.way].failure.is_some())
        };
        if failed {
            return Vec::new();
        }
        let mut settings = self.group.settings.clone();
        way.apply(&mut settings.mechanism);
        let seed = self.seed(run.rep);
        let result = caught(|| simulate(self.workload(), &settings, way.mechanism, seed));
        if run.rep < self.seeds_first() {
            self.sweep.progress.step_costed(0, self.group.cost_of_seed());
        }
        let mut ways = self.ways();
        ways[run.way].keep(run.rep, result);
        self.advance(run.group, &mut ways, finished)
    }

    fn seed(&self, rep: u32) -> u64 {
        self.group.settings.run.seed + u64::from(rep)
    }

    /// Seeds before the interval is looked at.
    fn seeds_first(&self) -> u32 {
        seeds_first(&self.group.settings, self.sweep.precision)
    }

    /// Reports the ways that have seeds enough and asks for more seeds for those that have not.
    fn advance(&self, group: usize, ways: &mut [WayRun], finished: &impl Fn(u64, Finished)) -> Vec<Job<Task>> {
        let mut jobs = Vec::new();
        for position in 0..ways.len() {
            let (paired, more) = match self.verdict(ways, position) {
                Verdict::Waits => continue,
                Verdict::Ends(result) => {
                    ways[position].decided = true;
                    self.report(ways[position].index, *result, finished);
                    continue;
                }
                Verdict::NeedsMore { paired } => {
                    (paired, (ways[position].wanted + FIRST_SEEDS).min(self.sweep.precision.seeds_max))
                }
            };
            ways[position].wanted = more;
            for other in paired.then_some(0).into_iter().chain([position]) {
                jobs.extend(self.more_seeds(group, other, &mut ways[other], more));
            }
        }
        if ways.iter().all(|way| way.decided) {
            ways.iter_mut().for_each(|way| way.samples = Vec::new());
        }
        jobs
    }

    /// What is to be done about a way now.
    fn verdict(&self, ways: &[WayRun], position: usize) -> Verdict {
        let way = &ways[position];
        let own = match way.first(way.wanted) {
            _ if way.decided => return Verdict::Waits,
            FirstSeeds::Incomplete => return Verdict::Waits,
            FirstSeeds::Failed(source) => {
                let seed = self.seed(way.samples.len() as u32);
                let error = ExperimentError::Simulation { mechanism: way.way.name(), seed, source: source.clone() };
                return Verdict::Ends(Box::new(Err(error)));
            }
            FirstSeeds::Complete(own) => own,
        };
        let base = match self.baseline(ways).map(|baseline| baseline.first(way.wanted)) {
            Some(FirstSeeds::Incomplete) => return Verdict::Waits,
            Some(FirstSeeds::Complete(base)) => Some(base),
            // a way whose baseline failed stands alone
            Some(FirstSeeds::Failed(_)) | None => None,
        };
        let is_baseline = way.asked == Way::BASELINE;
        let paired = base.filter(|_| !is_baseline);
        match self.decide(own, paired) {
            Decision::Continue => Verdict::NeedsMore { paired: paired.is_some() },
            decision => Verdict::Ends(Box::new(Ok(self.finish(way, own, base, decision)))),
        }
    }

    /// The baseline that the others are set beside.
    fn baseline<'w>(&self, ways: &'w [WayRun]) -> Option<&'w WayRun> {
        ways.first().filter(|way| self.group.beside_baseline && way.asked == Way::BASELINE)
    }

    /// Whether a point needs more seeds. The baseline is judged by its throughput, the others by their speed-up.
    fn decide(&self, own: &[Sample], base: Option<&[Sample]>) -> Decision {
        let (settings, precision) = (&self.group.settings, self.sweep.precision);
        if settings.run.reps > 0 {
            return Decision::Precise;
        }
        let rates = throughputs(own, settings);
        let estimate = match base {
            Some(base) => paired_ratio(&rates, &throughputs(base, settings)),
            None => Estimate::of(&rates),
        };
        let rule = compare::stopping_rule(self.group.workload, precision.half_width_relative, precision.seeds_max);
        rule.decide(&estimate, own.iter().map(|sample| sample.replies).sum())
    }

    /// The report of a point that has seeds enough.
    fn finish(&self, way: &WayRun, own: &[Sample], base: Option<&[Sample]>, decision: Decision) -> RunReport {
        let settings = &self.group.settings;
        let workload = self.workload();
        let manifest = self.manifest(way.index, own.len() as u32);
        let mut report = assemble::report(workload, settings, way.way, &manifest, own);
        match base {
            None => report.why = gain::what_costs_most(&report),
            Some(base) => {
                let other = way.asked != Way::BASELINE;
                let baseline = other.then(|| assemble::report(workload, settings, Way::BASELINE, &manifest, base));
                set_beside(&mut report, own, baseline.as_ref(), base, settings);
            }
        }
        report.notes.extend(compare::fallback_note(workload, settings, way.asked));
        if decision == Decision::Exhausted {
            report.notes.push(format!("after {} seeds the interval is still wider than asked for", own.len()));
        }
        report
    }

    /// The manifest of a point: settings and command with the seeds that were enough.
    fn manifest(&self, index: Option<u64>, reps: u32) -> Manifest {
        let mut settings = self.group.settings.clone();
        settings.run.reps = reps;
        let command = index.map_or_else(String::new, |index| (self.sweep.command)(index, reps));
        compare::manifest(self.group.workload, &settings, command)
    }

    fn report(&self, index: Option<u64>, result: Finished, finished: &impl Fn(u64, Finished)) {
        if let Some(index) = index {
            finished(index, result);
            self.sweep.progress.step_costed(1, 0);
        }
    }
}

/// A fault of the model in one point must not take the others with it.
pub(crate) fn caught(simulate: impl FnOnce() -> Result<Sample, SimulationError>) -> Result<Sample, SimulationError> {
    catch_unwind(AssertUnwindSafe(simulate)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        Err(SimulationError::Panicked { words: words.unwrap_or_else(|| "no words".into()) })
    })
}
