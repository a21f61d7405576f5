//! Made-up pairs whose differences are known.

use super::super::tests::{point, results};
use super::metrics::welch;
use super::*;
use serde_json::json;
use sim_core::report::{Estimate, LatencyMicroseconds, LatencyOverSeeds, OverSeeds};
use sim_core::sweep::PointOutcome;

fn one(mean: f64) -> Results {
    results(&[], vec![point(&[], "sync", mean)])
}

fn edited(mut point: Point, edit: impl Fn(&mut RunReport)) -> Point {
    if let PointOutcome::Done { report } = &mut point.outcome {
        edit(report);
    }
    point
}

/// By hand: intervals of ±10 with n = 4 have standard errors of 10 / 3.18245 = 3.14224; the difference has one of 4.44380, six degrees
/// of freedom, and a quantile of 2.44691: half width 10.8736.
#[test]
fn welch_from_intervals() {
    let estimate = |mean: f64| Estimate { mean, low: mean - 10.0, high: mean + 10.0, n: 4 };
    let (low, high) = welch(&estimate(1000.0), &estimate(1005.0)).unwrap();
    assert!((low + 5.8736).abs() < 1e-3 && (high - 15.8736).abs() < 1e-3, "{low} {high}");
    assert_eq!(welch(&estimate(1.0), &Estimate::UNKNOWN), None);
    assert_eq!(welch(&Estimate::exact(1.0, 4), &Estimate::exact(2.0, 4)), Some((1.0, 1.0)));
}

#[test]
fn beyond_and_within_the_intervals() {
    for (after, verdict, counted) in [(1200.0, Verdict::Beyond, 1), (1005.0, Verdict::Within, 0)] {
        let diff = diff(&one(1000.0), &one(after), None).unwrap();
        let change = &diff.points[0].changes[0];
        assert_eq!((change.metric.as_str(), change.verdict, diff.counted()), ("throughput_rps", verdict, counted));
        assert_eq!(change.relative, Some(sim_core::digits::rounded(after / 1000.0 - 1.0)));
    }
    assert_eq!(diff(&one(1000.0), &one(1000.0), None).unwrap().points[0].changes, []);
}

#[test]
fn metrics_without_interval_count_with_a_tolerance_only() {
    let with = |p99: f64| results(&[], vec![edited(point(&[], "sync", 1.0), |report| report.latency_us.p99 = p99)]);
    for (tolerance, verdict) in [(None, Verdict::NoInterval), (Some(0.05), Verdict::BeyondTolerance), (Some(0.2), Verdict::Within)]
    {
        let diff = diff(&with(100.0), &with(110.0), tolerance).unwrap();
        let change = &diff.points[0].changes[0];
        assert_eq!((change.metric.as_str(), change.verdict), ("latency_us.p99", verdict));
    }
}

/// Seeds with 99th percentiles of `mean` - 1, `mean`, `mean` + 1: a half width of 2.48 each, by hand, and of 2.27 of their difference.
#[test]
fn latency_over_several_seeds_has_an_interval_around_the_change_of_all_requests() {
    let with = |p99: f64, mean: f64| {
        let edit = move |report: &mut RunReport| {
            let seed = |p99| LatencyMicroseconds { p99, ..LatencyMicroseconds::default() };
            report.latency_us.p99 = p99;
            report.over_seeds = Some(OverSeeds {
                latency_us: LatencyOverSeeds::of(&[seed(mean - 1.0), seed(mean), seed(mean + 1.0)]),
                cpu_us_per_request: Estimate::UNKNOWN,
            });
        };
        results(&[], vec![edited(point(&[], "sync", 1.0), edit)])
    };
    for (after, verdict) in [(104.0, Verdict::Beyond), (102.0, Verdict::Within)] {
        let diff = diff(&with(100.0, 99.0), &with(after, 99.5), None).unwrap();
        let change = diff.points[0].changes.iter().find(|change| change.metric == "latency_us.p99").unwrap();
        let (low, high) = change.interval.unwrap();
        assert_eq!(change.verdict, verdict, "{change:?}");
        assert!((low - (after - 102.267)).abs() < 1e-3 && (high - (after - 97.733)).abs() < 1e-3, "{low} {high}");
    }
}

#[test]
fn small_parts_are_small_changes() {
    let with = |branch: f64| {
        let edit = move |report: &mut RunReport| {
            report.modes.user.misses_per_kinstr.l1i = 50.0;
            report.modes.user.misses_per_kinstr.branch = branch;
        };
        results(&[], vec![edited(point(&[], "sync", 1.0), edit)])
    };
    let diff = diff(&with(0.5), &with(1.0), None).unwrap();
    let change = &diff.points[0].changes[0];
    assert_eq!((change.relative, change.size), (Some(1.0), 0.01));
}

#[test]
fn points_are_matched_by_what_both_vary_and_others_are_listed() {
    let cores = |values: &[u32]| {
        let points = values.iter().map(|cores| point(&[("cores", json!(cores))], "sync", f64::from(*cores)));
        results(&[("cores", values.iter().map(|value| json!(value)).collect())], points.collect())
    };
    let diff = diff(&cores(&[1, 2]), &cores(&[2, 4]), None).unwrap();
    assert_eq!(diff.matched_by, ["cores", "mechanism"]);
    assert_eq!((diff.points.len(), diff.points[0].changes.len()), (1, 0));
    assert_eq!((diff.only_before, diff.only_after), (vec!["cores 1, sync".to_owned()], vec!["cores 4, sync".to_owned()]));
}

#[test]
fn two_runs_are_compared_whatever_their_mechanisms() {
    let other = results(&[], vec![edited(point(&[], "elevated-shortcut", 1000.0), |report| report.cores = 2)]);
    let diff = diff(&one(1000.0), &other, None).unwrap();
    let names: Vec<&str> = diff.settings.iter().map(|setting| setting.name.as_str()).collect();
    assert_eq!(names, ["mechanism", "cores"]);
    assert_eq!(diff.settings[0].after.as_deref(), Some("elevated-shortcut"));
}

#[test]
fn a_point_that_fails_now_counts() {
    let mut failed = point(&[], "sync", 1.0);
    failed.outcome = PointOutcome::Failed { error: "why".into() };
    let diff = diff(&one(1.0), &results(&[], vec![failed]), None).unwrap();
    assert_eq!((diff.counted(), diff.points[0].words[0].after.as_deref()), (1, Some("failed")));
}

#[test]
fn points_that_look_the_same_are_refused() {
    let twice = results(&[], vec![point(&[], "sync", 1.0), point(&[], "sync", 2.0)]);
    assert!(diff(&twice, &one(1.0), None).unwrap_err().to_string().contains("can't be told apart"));
}
