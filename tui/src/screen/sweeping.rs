//! A sweep over one knob: every mechanism at some values of it, first with one seed each, then with more.

use super::questions::{Ground, Put};
use mechanisms::experiment::Settings;
use mechanisms::registry::ALL;
use mechanisms::sweep::{self, Group, Point, Precision, Sweep};
use mechanisms::variants::Way;
use sim_core::progress::Silent;
use sim_core::report::RunReport;
use std::sync::{Arc, Mutex, PoisonError};

/// Seeds of each point in the first round, so that the curves are there soon, and in the second.
const SEEDS: [u32; 2] = [1, 4];

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
}

/// What became of a point.
pub type SweptPoint = Result<Arc<RunReport>, String>;

/// A sweep so far.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepAnswer {
    /// The knob.
    pub knob: String,
    /// Labels of the values.
    pub values: Vec<String>,
    /// By value, then by mechanism in the order of [`ALL`]; nothing where a point is not done.
    pub points: Vec<Vec<Option<SweptPoint>>>,
    /// Seeds of the round that is under way, or of the last one.
    pub seeds: u32,
    /// Points of that round that are done.
    pub done: usize,
    /// The last round is done.
    pub complete: bool,
}

impl SweepAnswer {
    /// Nothing simulated yet.
    pub fn new(request: &SweepRequest) -> SweepAnswer {
        SweepAnswer {
            knob: request.knob.clone(),
            values: request.values.iter().map(|value| value.label.clone()).collect(),
            points: request.values.iter().map(|_| vec![None; ALL.len()]).collect(),
            seeds: SEEDS[0],
            done: 0,
            complete: false,
        }
    }

    /// Points of a round.
    pub fn total(&self) -> usize {
        self.points.len() * ALL.len()
    }
}

/// Carries a sweep out; `publish` is called after every point.
pub fn carry_out(ground: &Ground, request: &SweepRequest, publish: &(dyn Fn(Put) + Sync)) {
    // the other half is left to the comparison
    let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
    let answer = Mutex::new(SweepAnswer::new(request));
    for seeds in SEEDS {
        round(ground, request, seeds, threads, (&answer, publish));
        if ground.cancel.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
    }
    change((&answer, publish), |answer| answer.complete = true);
}

/// A sweep under way, and who is told.
type Told<'a> = (&'a Mutex<SweepAnswer>, &'a (dyn Fn(Put) + Sync));

fn round(ground: &Ground, request: &SweepRequest, seeds: u32, threads: usize, told: Told) {
    change(told, |answer| (answer.seeds, answer.done) = (seeds, 0));
    let mut groups = Vec::new();
    for (position, value) in request.values.iter().enumerate() {
        match &value.settings {
            Ok(settings) => groups.push(group(ground, settings, position, seeds)),
            Err(problem) => (0..ALL.len()).for_each(|way| keep(told, position * ALL.len() + way, Err(problem.clone()))),
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
        let cancelled = ground.cancel.load(std::sync::atomic::Ordering::Relaxed);
        if !cancelled {
            keep(told, index as usize, finished.map(Arc::new).map_err(|error| error.to_string()));
        }
    });
}

fn group<'a>(ground: &Ground<'a>, settings: &Settings, position: usize, seeds: u32) -> Group<'a> {
    let mut settings = settings.clone();
    settings.run.reps = seeds;
    settings.run.exposure_range = false;
    let point = |(way, entry): (usize, &mechanisms::registry::Description)| Point {
        index: (position * ALL.len() + way) as u64,
        way: Way::from(entry.mechanism),
    };
    let points = ALL.iter().enumerate().map(point).collect();
    Group { workload: ground.recorded, settings, points, beside_baseline: true }
}

/// Keeps what became of a point.
fn keep(told: Told, index: usize, point: SweptPoint) {
    change(told, |answer| {
        answer.points[index / ALL.len()][index % ALL.len()] = Some(point);
        answer.done += 1;
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
    use std::sync::atomic::AtomicBool;
    use traces::synthetic::{Shape, server};

    #[test]
    fn every_point_is_told_and_the_second_round_refines_the_first() {
        let workload = server(Shape::default());
        let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
        (settings.run.connections, settings.run.requests) = (4, 40);
        let mut doubled = settings.clone();
        doubled.run.connections = 8;
        let values = [("4", Ok(settings.clone())), ("8", Ok(doubled)), ("0", Err("must be at least 1"))]
            .map(|(label, settings)| SweepValue { label: label.into(), settings: settings.map(Box::new).map_err(str::to_owned) });
        let request = SweepRequest { knob: "connections".into(), values: values.to_vec() };
        let cancel = AtomicBool::new(false);
        let ground = Ground { workload: &workload, recorded: &workload, settings: &settings, cancel: &cancel };
        let snapshot = Mutex::new((Snapshot::default(), Vec::new()));
        carry_out(&ground, &request, &|put| {
            let mut told = snapshot.lock().unwrap();
            put(&mut told.0);
            let sweep = told.0.sweep.clone().unwrap();
            told.1.push((sweep.seeds, sweep.done));
        });
        let (snapshot, steps) = snapshot.into_inner().unwrap();
        let answer = snapshot.sweep.unwrap();
        assert!(answer.complete && answer.done == answer.total());
        assert_eq!((answer.total(), answer.seeds), (15, SEEDS[1]));
        assert!(steps.contains(&(SEEDS[0], 15)), "the first round came to its end: {steps:?}");
        let sync = answer.points[1][0].clone().unwrap().unwrap();
        assert_eq!((sync.connections, sync.reps), (8, SEEDS[1]));
        assert!(answer.points[0][1].clone().unwrap().unwrap().speedup_vs_sync.is_some());
        assert_eq!(answer.points[2][3], Some(Err("must be at least 1".into())));
    }
}
