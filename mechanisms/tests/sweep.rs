//! Groups of a sweep: the same reports whatever the threads, the same as a comparison's, and failures that stay where they are.

use mechanisms::compare::{Job, compare};
use mechanisms::experiment::Settings;
use mechanisms::registry::{ALL, Mechanism};
use mechanisms::sweep::{Group, Point, Precision, Sweep, point_hash, run};
use mechanisms::variants::Way;
use sim_core::progress::Silent;
use sim_core::report::RunReport;
use sim_core::workload::Workload;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use traces::synthetic::{Shape, server};

fn settings(connections: u32, reps: u32) -> Settings {
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.connections = connections;
    settings.run.requests = 60;
    settings.run.reps = reps;
    settings.run.exposure_range = false;
    settings
}

fn group(workload: &Workload, settings: Settings, first: u64) -> Group<'_> {
    let point = |(position, entry): (usize, &mechanisms::registry::Description)| Point {
        index: first + position as u64,
        way: entry.mechanism.into(),
    };
    Group { workload, settings, points: ALL.iter().enumerate().map(point).collect(), beside_baseline: true }
}

fn reports(groups: &[Group], threads: usize, precision: Precision) -> BTreeMap<u64, Result<RunReport, String>> {
    let found = Mutex::new(BTreeMap::new());
    let cancel = AtomicBool::new(false);
    let command = |_: u64, _: u32| "again".to_owned();
    let sweep = Sweep { threads, progress: &Silent, cancel: &cancel, precision, command: &command };
    run(groups, &sweep, |index, result| {
        let before = found.lock().unwrap().insert(index, result.map_err(|error| error.to_string()));
        assert!(before.is_none(), "point {index} finished twice");
    });
    found.into_inner().unwrap()
}

#[test]
fn points_are_the_reports_of_a_comparison() {
    let workload = server(Shape::default());
    let settings = settings(8, 2);
    let found = reports(&[group(&workload, settings.clone(), 10)], 2, Precision::default());
    let cancel = AtomicBool::new(false);
    let job = Job { threads: 2, progress: &Silent, cancel: &cancel, command: "again".into() };
    let ways: Vec<Way> = ALL.iter().map(|entry| entry.mechanism.into()).collect();
    let expected = compare(&workload, &settings, &ways, &job).unwrap();
    for (position, report) in expected.results.into_iter().enumerate() {
        let mut own = found[&(10 + position as u64)].clone().unwrap();
        // a comparison says once, for all, that another variant stands in
        own.notes.retain(|note| !note.contains(" stands for "));
        assert_eq!(own.to_json_pretty(), report.to_json_pretty());
    }
}

#[test]
fn the_same_with_any_threads_also_when_seeds_are_added() {
    let workload = server(Shape::default());
    let groups = [group(&workload, settings(4, 0), 0), group(&workload, settings(16, 0), 5)];
    let precision = Precision { half_width_relative: 0.004, seeds_max: 9 };
    let text = |threads| {
        let found = reports(&groups, threads, precision).into_values();
        found.map(|report| report.unwrap().to_json_pretty()).collect::<Vec<String>>()
    };
    let alone = text(1);
    assert_eq!(alone.len(), 10);
    assert_eq!(text(2), alone);
    assert_eq!(text(5), alone);
}

#[test]
fn seeds_are_added_until_the_interval_is_narrow_or_they_run_out() {
    let workload = server(Shape::default());
    let narrow = Precision { half_width_relative: 0.002, seeds_max: 10 };
    let wide = Precision { half_width_relative: 10.0, seeds_max: 10 };
    let groups = [group(&workload, settings(8, 0), 0)];
    for report in reports(&groups, 2, wide).into_values().map(Result::unwrap).filter(|report| report.applicable) {
        assert!((4..=10).contains(&report.reps), "{}: {} seeds", report.mechanism, report.reps);
        if report.requests >= 1000 {
            assert_eq!(report.throughput_rps.n, u64::from(report.reps));
        }
    }
    for report in reports(&groups, 2, narrow).into_values().map(Result::unwrap).filter(|report| report.applicable) {
        let judged = match report.mechanism.as_str() {
            "sync" => report.throughput_rps,
            _ => report.speedup_vs_sync.unwrap(),
        };
        let exhausted = report.notes.iter().any(|note| note.contains("wider than asked for"));
        assert_eq!(judged.n, u64::from(report.reps));
        assert!(exhausted == (judged.half_width_relative() > 0.002 || report.requests < 1000), "{}", report.mechanism);
        assert!(!exhausted || report.reps == 10);
    }
}

#[test]
fn a_group_that_fails_leaves_the_others_alone() {
    let workload = server(Shape::default());
    let mut broken = settings(8, 1);
    broken.run.cores = 65;
    let found = reports(&[group(&workload, broken, 0), group(&workload, settings(8, 1), 5)], 2, Precision::default());
    assert!((0..5).all(|index| found[&index].as_ref().is_err_and(|error| error.contains("run.cores"))));
    assert!((5..10).all(|index| found[&index].is_ok()));
}

#[test]
fn what_is_left_of_a_group_gives_the_same_reports() {
    let workload = server(Shape::default());
    let whole = reports(&[group(&workload, settings(8, 2), 0)], 1, Precision::default());
    for left in [Mechanism::Sync, Mechanism::ElevatedShortcut] {
        let mut rest = group(&workload, settings(8, 2), 0);
        rest.points.retain(|point| point.way == left.into());
        let found = reports(&[rest], 1, Precision::default());
        assert_eq!(found.len(), 1);
        let (index, report) = found.into_iter().next().unwrap();
        assert_eq!(report.unwrap().to_json_pretty(), whole[&index].clone().unwrap().to_json_pretty());
    }
}

#[test]
fn cancelling_keeps_finished_points_only() {
    let workload = server(Shape::default());
    let cancel = AtomicBool::new(false);
    let finished = Mutex::new(Vec::new());
    let command = |_: u64, _: u32| String::new();
    let sweep = Sweep { threads: 1, progress: &Silent, cancel: &cancel, precision: Precision::default(), command: &command };
    run(&[group(&workload, settings(8, 1), 0)], &sweep, |index, result| {
        finished.lock().unwrap().push((index, result.is_ok()));
        cancel.store(true, Ordering::Relaxed);
    });
    assert_eq!(finished.into_inner().unwrap(), [(0, true)]);
}

#[test]
fn the_hash_of_a_point_covers_what_its_result_depends_on() {
    let (workload, other) = (server(Shape::default()), server(Shape { connection_per_request: true, ..Shape::default() }));
    let mut other = other;
    other.name = "other".into();
    let precision = Precision::default();
    let narrow = Precision { half_width_relative: 0.01, ..precision };
    let hash = |workload: &Workload, settings: &Settings, way: Way, beside, precision| {
        point_hash(workload, settings, way, beside, precision).unwrap()
    };
    let reference = hash(&workload, &settings(8, 2), Way::BASELINE, true, precision);
    assert_eq!(hash(&workload, &settings(8, 2), Way::BASELINE, true, narrow), reference, "the number of seeds is fixed");
    let mut seed = settings(8, 2);
    seed.run.seed = 2;
    for different in [
        hash(&other, &settings(8, 2), Way::BASELINE, true, precision),
        hash(&workload, &settings(9, 2), Way::BASELINE, true, precision),
        hash(&workload, &settings(8, 3), Way::BASELINE, true, precision),
        hash(&workload, &seed, Way::BASELINE, true, precision),
        hash(&workload, &settings(8, 2), Mechanism::ExceptionLess.into(), true, precision),
        hash(&workload, &settings(8, 2), Way::BASELINE, false, precision),
    ] {
        assert_ne!(different, reference);
    }
    let open = |precision| hash(&workload, &settings(8, 0), Way::BASELINE, true, precision);
    assert_ne!(open(precision), open(narrow));
}
