//! A sweep over one knob: every mechanism, or every variant of one, at some values of it, first in brief runs, then in whole ones.

use super::questions::{Ground, Put};
use mechanisms::experiment::Settings;
use mechanisms::refinement::{Partial, Refinement};
use mechanisms::sweep::{self, Group, Point, Precision, Sweep};
use mechanisms::variants::Way;
use sim_core::progress::Silent;
use sim_core::report::RunReport;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// Seeds of each point after the brief runs.
const SEEDS: u32 = 4;

/// One value of the knob.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepValue {
    /// As the knob shows it.
    pub label: String,
    /// The settings with it, or why there are none.
    pub settings: Result<Box<Settings>, String>,
}

/// What is to be swept.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRequest {
    /// The knob.
    pub knob: String,
    /// Its values, in order.
    pub values: Vec<SweepValue>,
    /// A curve for each, the baseline first.
    pub ways: Vec<Way>,
}

/// What one mechanism does at one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Swept {
    /// Its report.
    pub report: Arc<RunReport>,
    /// The report is of a brief run.
    pub brief: bool,
}

/// What became of a point.
pub type SweptPoint = Result<Swept, String>;

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// A brief run of every point, so that the curves are there soon.
    Brief,
    /// Whole runs with so many seeds.
    Seeds(u32),
    /// Nothing any more: all points have whole runs with so many seeds.
    Complete(u32),
}

/// A sweep so far.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepAnswer {
    /// The knob.
    pub knob: String,
    /// Labels of the values.
    pub values: Vec<String>,
    /// What there is a curve for.
    pub ways: Vec<Way>,
    /// By value, then by way; nothing where a point is not done.
    pub points: Vec<Vec<Option<SweptPoint>>>,
    /// What is under way.
    pub round: Round,
    /// Points of that round that are done.
    pub done: usize,
}

impl SweepAnswer {
    /// Nothing simulated yet.
    pub fn new(request: &SweepRequest) -> SweepAnswer {
        SweepAnswer {
            knob: request.knob.clone(),
            values: request.values.iter().map(|value| value.label.clone()).collect(),
            ways: request.ways.clone(),
            points: request.values.iter().map(|_| vec![None; request.ways.len()]).collect(),
            round: Round::Brief,
            done: 0,
        }
    }

    /// Points of a round.
    pub fn total(&self) -> usize {
        self.points.len() * self.ways.len()
    }
}

/// Carries a sweep out; `publish` is called after every point.
pub fn carry_out(ground: &Ground, request: &SweepRequest, publish: &(dyn Fn(Put) + Sync)) {
    // the other half is left to the comparison
    let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
    let answer = Mutex::new(SweepAnswer::new(request));
    let told = (&answer, publish);
    change(told, |_| {});
    for (position, value) in request.values.iter().enumerate() {
        match &value.settings {
            Ok(settings) => run_briefly(ground, (settings, &request.ways), position, told),
            Err(problem) => refuse(told, position, problem),
        }
    }
    if !ground.cancel.load(Ordering::Relaxed) {
        run_wholly(ground, request, threads, told);
    }
    if !ground.cancel.load(Ordering::Relaxed) {
        change(told, |answer| answer.round = Round::Complete(SEEDS));
    }
}

/// A sweep under way, and who is told.
type Told<'a> = (&'a Mutex<SweepAnswer>, &'a (dyn Fn(Put) + Sync));

/// A brief run of each way at one value.
fn run_briefly(ground: &Ground, (settings, ways): (&Settings, &[Way]), position: usize, told: Told) {
    let planned = Refinement::new(ground.recorded, settings.clone(), ways, &[], String::new());
    let mut refinement = match planned {
        Ok(refinement) => refinement,
        Err(error) => return refuse(told, position, &error.to_string()),
    };
    let common = refinement.common();
    while refinement.is_brief_next()
        && let Some(piece) = refinement.next_piece()
    {
        let result = common.simulate(piece, ground.cancel);
        if ground.cancel.load(Ordering::Relaxed) {
            return;
        }
        refinement.keep(piece, result);
        change(told, |answer| {
            answer.points[position] = refinement.partials().into_iter().map(brief_point).collect();
            answer.done = answer.points.iter().flatten().flatten().count();
        });
    }
}

fn brief_point(partial: Partial) -> Option<SweptPoint> {
    match (partial.failure, partial.report) {
        (Some(failure), _) => Some(Err(failure.to_string())),
        (None, report) => report.map(|report| Ok(Swept { brief: report.applicable, report: Arc::new(report) })),
    }
}

/// Whole runs of all points, one after the other; each takes the place of its brief run.
fn run_wholly(ground: &Ground, request: &SweepRequest, threads: usize, told: Told) {
    change(told, |answer| (answer.round, answer.done) = (Round::Seeds(SEEDS), 0));
    let mut groups = Vec::new();
    for (position, value) in request.values.iter().enumerate() {
        match &value.settings {
            Ok(settings) => groups.push(group(ground, (settings, &request.ways), position)),
            Err(_) => change(told, |answer| answer.done += request.ways.len()),
        }
    }
    let carried = Sweep {
        threads,
        progress: &Silent,
        cancel: ground.cancel,
        precision: Precision::default(),
        command: &|_, _| String::new(),
    };
    sweep::run(&groups, &carried, |index, finished| {
        if !ground.cancel.load(Ordering::Relaxed) {
            let point = finished.map(|report| Swept { report: Arc::new(report), brief: false });
            let place = (index as usize / request.ways.len(), index as usize % request.ways.len());
            keep(told, place, point.map_err(|error| error.to_string()));
        }
    });
}

fn group<'a>(ground: &Ground<'a>, (settings, ways): (&Settings, &[Way]), position: usize) -> Group<'a> {
    let mut settings = settings.clone();
    settings.run.reps = SEEDS;
    settings.run.exposure_range = false;
    let point = |(index, way): (usize, &Way)| Point { index: (position * ways.len() + index) as u64, way: *way };
    let points = ways.iter().enumerate().map(point).collect();
    Group { workload: ground.recorded, settings, points, beside_baseline: true }
}

/// Keeps what became of a point: its value and its way.
fn keep(told: Told, (value, way): (usize, usize), point: SweptPoint) {
    change(told, |answer| {
        answer.points[value][way] = Some(point);
        answer.done += 1;
    });
}

/// Keeps why there are no points at a value.
fn refuse(told: Told, value: usize, problem: &str) {
    change(told, |answer| {
        answer.points[value].fill(Some(Err(problem.to_owned())));
        answer.done += answer.ways.len();
    });
}

/// Changes the answer and publishes it.
fn change((answer, publish): Told, act: impl FnOnce(&mut SweepAnswer)) {
    let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    act(&mut answer);
    let so_far = Arc::new(answer.clone());
    publish(Box::new(move |snapshot| snapshot.sweep = Some(so_far)));
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Snapshot;
    use super::*;
    use mechanisms::registry::ALL;
    use std::sync::atomic::AtomicBool;
    use traces::synthetic::{Shape, server};

    #[test]
    fn every_point_is_told_and_whole_runs_take_the_place_of_brief_ones() {
        let workload = Arc::new(server(Shape::default()));
        let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
        (settings.run.connections, settings.run.requests) = (4, 40);
        let mut doubled = settings.clone();
        doubled.run.connections = 8;
        let values = [("4", Ok(settings.clone())), ("8", Ok(doubled)), ("0", Err("must be at least 1"))]
            .map(|(label, settings)| SweepValue { label: label.into(), settings: settings.map(Box::new).map_err(str::to_owned) });
        let ways = ALL.map(|entry| Way::from(entry.mechanism)).to_vec();
        let request = SweepRequest { knob: "connections".into(), values: values.to_vec(), ways };
        let cancel = AtomicBool::new(false);
        let ground = Ground { workload: &workload, recorded: &workload, settings: &settings, cancel: &cancel };
        let snapshot = Mutex::new((Snapshot::default(), Vec::new()));
        carry_out(&ground, &request, &|put| {
            let mut told = snapshot.lock().unwrap();
            put(&mut told.0);
            let sweep = told.0.sweep.clone().unwrap();
            told.1.push((sweep.round, sweep.done));
        });
        let (snapshot, steps) = snapshot.into_inner().unwrap();
        let answer = snapshot.sweep.unwrap();
        assert_eq!((answer.round, answer.total(), answer.done), (Round::Complete(SEEDS), 15, 15));
        assert!(steps.contains(&(Round::Brief, 15)), "the brief runs came to their end: {steps:?}");
        assert!(steps.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 <= pair[1].1), "{steps:?}");
        let sync = answer.points[1][0].clone().unwrap().unwrap();
        assert_eq!((sync.report.connections, sync.report.reps, sync.brief), (8, SEEDS, false));
        assert!(answer.points[0][1].clone().unwrap().unwrap().report.speedup_vs_sync.is_some());
        assert_eq!(answer.points[2][3], Some(Err("must be at least 1".into())));
    }
}
