//! Verdicts, and all of them summed up.

use crate::on_host::anchor::{Anchor, Anchored};
use crate::on_host::misses::MissReport;
use crate::on_host::points::{self, Place, Point};
use crate::on_host::predict::Predictions;
use crate::on_host::readings::{Curves, Parts};
use crate::on_host::server::{self, Quantity};
use crate::on_host::simple;
use host::statistics::{Summary as Spread, median};
use serde::Serialize;
use sim_core::estimate::Estimate;
use twins::Case;
use twins::case::Program;

/// A measured ratio whose interquartile range is a larger share of it says nothing about a few percent.
pub const SPREAD_MAX: f64 = 0.04;

/// What comes of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Within the case's tolerance.
    Within,
    /// Outside.
    Outside,
    /// The measurements spread too far.
    Inconclusive,
}

impl Verdict {
    /// A word for people.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Within => "within",
            Verdict::Outside => "outside",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

/// Judges a prediction.
pub fn judge(measured: &Spread, predicted: f64, tolerance_percent: u32) -> Verdict {
    let error = (predicted / measured.median - 1.0).abs();
    if measured.spread() > SPREAD_MAX || !error.is_finite() {
        Verdict::Inconclusive
    } else if error <= f64::from(tolerance_percent) / 100.0 {
        Verdict::Within
    } else {
        Verdict::Outside
    }
}

/// One model's answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// The ratio.
    pub ratio: f64,
    /// Predicted / measured - 1.
    pub error: f64,
}

impl Answer {
    fn of(ratio: f64, measured: f64) -> Answer {
        Answer { ratio, error: ratio / measured - 1.0 }
    }
}

/// A point with what was measured and what the models say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointReport {
    /// The point and what it is a ratio to.
    #[serde(flatten)]
    pub point: Point,
    /// Measured nanoseconds of an operation.
    pub measured_ns: f64,
    /// Measured ratio over the processes.
    pub measured: Spread,
    /// Interquartile range of the ratio as a share of its median.
    pub spread: f64,
    /// System calls of an operation.
    pub calls: f64,
    /// The simulation's ratio with its interval over seeds.
    pub predicted: Estimate,
    /// The simulation.
    pub ringscope: Answer,
    /// Direct cost only.
    pub direct: Answer,
    /// Sum of parts.
    pub parts: Answer,
    /// The simulation's verdict.
    pub verdict: Verdict,
}

/// A quantity of a real server that is no ratio: shown apart, in no share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantityReport {
    /// What.
    pub quantity: Quantity,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// Measured over the processes.
    pub measured: Spread,
    /// Interquartile range as a share of the median.
    pub spread: f64,
    /// The simulation's, with its interval over seeds.
    pub predicted: Estimate,
    /// Predicted / measured - 1.
    pub error: f64,
    /// Largest error that counts as within, percent.
    pub tolerance_percent: u32,
    /// The verdict.
    pub verdict: Verdict,
}

/// A case with all its points.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseReport {
    /// Short name.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// What the points' positions are.
    pub axis: &'static str,
    /// Largest error that counts as within, percent.
    pub tolerance_percent: u32,
    /// What the model was anchored in, and what it then says to it.
    pub anchors: Vec<Anchor>,
    /// Points.
    pub points: Vec<PointReport>,
    /// Quantities of a real server besides.
    pub quantities: Vec<QuantityReport>,
    /// Events of the processor by mode beside the model's counters, in no share.
    pub misses: Vec<MissReport>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Puts what was measured beside what the models say. A point that one of them says nothing to is noted and left out.
pub fn case_report(case: &Case, parts: &Parts, curves: &Curves, anchored: &Anchored, predictions: &Predictions) -> CaseReport {
    let mut notes = Vec::new();
    let mut reports = Vec::new();
    for point in points::points(case) {
        let simple = simple::simple(case, &point, parts);
        let (Some(measured), Some(ns), Some(predicted), Ok(simple)) =
            (curves.ratio(&point), curves.nanoseconds(&point.place), predictions.ratio(&point), simple)
        else {
            notes.push(format!("{} at {}: not measured or not predicted", point.place.series, point.place.x));
            continue;
        };
        let answer = |ratio: f64| Answer::of(ratio, measured.median);
        reports.push(PointReport {
            measured_ns: ns.median,
            spread: measured.spread(),
            calls: curves.calls(&point.place).map_or(0.0, |calls| calls.median),
            ringscope: answer(predicted.mean),
            direct: answer(simple.direct),
            parts: answer(simple.parts),
            verdict: judge(&measured, predicted.mean, case.tolerance_percent),
            measured,
            predicted,
            point,
        });
    }
    CaseReport {
        name: case.name.clone(),
        title: case.title.clone(),
        axis: points::axis(case),
        tolerance_percent: case.tolerance_percent,
        anchors: anchored.anchors.clone(),
        points: reports,
        quantities: quantities(case, curves, anchored, predictions, &mut notes),
        misses: Vec::new(),
        notes,
    }
}

/// What is compared of a real server besides ratios. What could not be measured is noted and left out.
fn quantities(
    case: &Case,
    curves: &Curves,
    anchored: &Anchored,
    predictions: &Predictions,
    notes: &mut Vec<String>,
) -> Vec<QuantityReport> {
    let Program::Server(own) = &case.program else { return Vec::new() };
    let mut reports = Vec::new();
    for (quantity, place) in server::quantities(own) {
        let (measured, tolerance_percent) = match quantity {
            Quantity::ProcessorTime => (curves.nanoseconds(&place), own.absolute_tolerance_percent),
            // a request makes at least one: none means that they could not be counted
            Quantity::Calls => (curves.calls(&place).filter(|calls| calls.median > 0.0), case.tolerance_percent),
        };
        let (Some(measured), Some(predicted)) = (measured, predictions.quantity(quantity, &place, anchored)) else {
            notes.push(format!("{} of {} at {}: not measured", quantity.name(), place.series, place.x));
            continue;
        };
        reports.push(QuantityReport {
            quantity,
            spread: measured.spread(),
            predicted,
            error: predicted.mean / measured.median - 1.0,
            tolerance_percent,
            verdict: judge(&measured, predicted.mean, tolerance_percent),
            measured,
            place,
        });
    }
    reports
}

/// How near one model comes, over the points whose measurements do not spread too far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nearness {
    /// The model.
    pub model: &'static str,
    /// Points.
    pub points: usize,
    /// Share within 5 %.
    pub within_5_percent: f64,
    /// Share within 10 %.
    pub within_10_percent: f64,
    /// Median of the absolute errors, percent.
    pub error_percent_median: f64,
    /// Share of the points at which it comes nearest of all models; equals share a point.
    pub nearest: f64,
}

/// All models over all cases.
pub fn summary(cases: &[CaseReport]) -> Vec<Nearness> {
    let conclusive = || cases.iter().flat_map(|case| &case.points).filter(|point| point.verdict != Verdict::Inconclusive);
    let errors: Vec<[f64; 3]> =
        conclusive().map(|point| [point.ringscope, point.direct, point.parts].map(|answer| answer.error.abs())).collect();
    let share = |count: f64| if errors.is_empty() { 0.0 } else { count / errors.len() as f64 };
    let nearness = |(place, model): (usize, &'static str)| {
        let own: Vec<f64> = errors.iter().map(|errors| errors[place]).collect();
        let within = |most: f64| share(own.iter().filter(|error| **error <= most).count() as f64);
        let nearest = errors.iter().filter_map(|errors| {
            let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
            let tied = errors.iter().filter(|error| **error <= least).count();
            (errors[place] <= least).then_some(1.0 / tied as f64)
        });
        Nearness {
            model,
            points: own.len(),
            within_5_percent: within(0.05),
            within_10_percent: within(0.10),
            error_percent_median: if own.is_empty() { 0.0 } else { median(&own) * 100.0 },
            nearest: share(nearest.sum()),
        }
    };
    ["ringscope", "direct cost only", "sum of parts"].into_iter().enumerate().map(nearness).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(values: &[f64]) -> Spread {
        Spread::of(values).unwrap()
    }

    #[test]
    fn verdicts_follow_tolerance_and_spread() {
        let steady = measured(&[0.99, 1.0, 1.01]);
        assert_eq!(judge(&steady, 1.049, 5), Verdict::Within);
        assert_eq!(judge(&steady, 0.94, 5), Verdict::Outside);
        assert_eq!(judge(&steady, 1.14, 15), Verdict::Within);
        assert_eq!(judge(&measured(&[0.9, 1.0, 1.1]), 1.0, 5), Verdict::Inconclusive);
        assert_eq!(judge(&steady, f64::NAN, 5), Verdict::Inconclusive);
    }

    fn point(errors: [f64; 3], verdict: Verdict) -> PointReport {
        let answer = |error: f64| Answer { ratio: 1.0 + error, error };
        PointReport {
            point: Point { place: Place::new("ring", 1), base: Place::new("sync", 1) },
            measured_ns: 1.0,
            measured: measured(&[1.0]),
            spread: 0.0,
            calls: 1.0,
            predicted: Estimate::exact(1.0, 1),
            ringscope: answer(errors[0]),
            direct: answer(errors[1]),
            parts: answer(errors[2]),
            verdict,
        }
    }

    #[test]
    fn only_points_that_say_something_count() {
        let points = vec![
            point([0.01, -0.08, 0.2], Verdict::Within),
            point([-0.07, 0.3, 0.02], Verdict::Outside),
            point([0.9, 0.0, 0.0], Verdict::Inconclusive),
        ];
        let case = CaseReport {
            name: "x".into(),
            title: String::new(),
            axis: "batch",
            tolerance_percent: 5,
            anchors: Vec::new(),
            points,
            quantities: Vec::new(),
            misses: Vec::new(),
            notes: Vec::new(),
        };
        let all = summary(&[case]);
        let numbers = |one: &Nearness| (one.points, one.within_5_percent, one.within_10_percent, one.nearest);
        assert_eq!(numbers(&all[0]), (2, 0.5, 1.0, 0.5));
        assert_eq!(numbers(&all[1]), (2, 0.0, 0.5, 0.0));
        assert_eq!(numbers(&all[2]), (2, 0.5, 0.5, 0.5));
        assert_eq!(summary(&[])[0].within_5_percent, 0.0);
    }
}
