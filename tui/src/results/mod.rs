//! Results as `report` and `diff` see them: the points of one or more files, and what varies between them.
//!
//! A file is the JSON lines of a sweep, what `compare --json` or `run --json` print, or what `report -o FILE.json` writes.

pub mod columns;
pub mod diff;
mod read;
mod view;

pub use read::{DOCUMENT_KIND, Reading, read_files};
pub use view::{Facet, View, ViewOptions, is_numeric};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sim_core::report::{Comparison, RunReport};
use sim_core::sweep::{Axis, AxisValues, PointOutcome, plain_text};

/// The axis that says which mechanism a point has.
pub const MECHANISM: &str = "mechanism";

/// Where points come from and what it takes to make them again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The file; of a result that was just computed, the command.
    pub file: String,
    /// `sweep`, `comparison`, `run` or `results`.
    pub kind: String,
    /// Version, command, hashes: name and value.
    pub facts: Vec<(String, String)>,
    /// Points that the sweep or the shard has in all; the file may hold fewer.
    pub planned: Option<u64>,
    /// Remarks of the comparison, and on what could not be read.
    pub notes: Vec<String>,
}

/// One point: a report, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Values of the axes, in the order of [`Results::axes`].
    pub axes: AxisValues,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: PointOutcome,
    /// File and line, for messages.
    #[serde(skip)]
    pub place: String,
    /// Place in its sweep.
    #[serde(skip)]
    pub index: Option<u64>,
}

/// Points of one or more files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// Where they come from.
    pub origins: Vec<Origin>,
    /// What varies, the mechanism aside.
    pub axes: Vec<Axis>,
    /// In the order of the files.
    pub points: Vec<Point>,
}

impl Point {
    /// The report, when the point is done and its mechanism applies.
    pub fn measured(&self) -> Option<&RunReport> {
        self.outcome.report().filter(|report| report.applicable)
    }

    /// The mechanism with its variant.
    pub fn mechanism(&self) -> String {
        match (self.outcome.report(), self.axes.get(MECHANISM)) {
            (Some(report), _) => report.label(),
            (None, Some(name)) => plain_text(name),
            (None, None) => "sync".into(),
        }
    }

    /// Value of an axis; what the axes do not hold is looked for in the report.
    pub fn value(&self, path: &str) -> Option<Value> {
        let reported = || {
            let report = self.outcome.report()?;
            Some(match path {
                "workload" => json!(report.workload),
                "machine" => json!(report.machine),
                "kernel" => json!(report.kernel),
                "cores" => json!(report.cores),
                "connections" => json!(report.connections),
                "seed" => json!(report.seed),
                MECHANISM => json!(report.label()),
                _ => return None,
            })
        };
        self.axes.get(path).cloned().or_else(reported)
    }
}

impl Results {
    /// What one run found.
    pub fn of_run(report: &RunReport, file: &str) -> Results {
        let facts = manifest_facts(report);
        let origin = Origin { file: file.into(), kind: "run".into(), facts, planned: None, notes: Vec::new() };
        Results::of_reports(origin, std::slice::from_ref(report))
    }

    /// What a comparison found.
    pub fn of_comparison(comparison: &Comparison, file: &str) -> Results {
        let facts = comparison.results.first().map(manifest_facts).unwrap_or_default();
        let origin = Origin { file: file.into(), kind: "comparison".into(), facts, planned: None, notes: comparison.notes.clone() };
        Results::of_reports(origin, &comparison.results)
    }

    fn of_reports(origin: Origin, reports: &[RunReport]) -> Results {
        let point = |report: &RunReport| Point {
            place: origin.file.clone(),
            index: None,
            axes: AxisValues(vec![(MECHANISM.into(), json!(report.label()))]),
            outcome: PointOutcome::Done { report: Box::new(report.clone()) },
        };
        Results { points: reports.iter().map(point).collect(), origins: vec![origin], axes: Vec::new() }
    }

    /// Labels of the mechanisms, in the order in which they first occur.
    pub fn mechanisms(&self) -> Vec<String> {
        let mut names = Vec::new();
        for point in &self.points {
            let name = point.mechanism();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Points that failed, with why.
    pub fn failed(&self) -> impl Iterator<Item = (&Point, &str)> {
        self.points.iter().filter_map(|point| match &point.outcome {
            PointOutcome::Failed { error } => Some((point, error.as_str())),
            PointOutcome::Done { .. } => None,
        })
    }

    /// Where a point stands, in words: `cores 2, connections 64, sync`.
    pub fn describe(&self, point: &Point) -> String {
        let values = self.axes.iter().filter_map(|axis| Some(format!("{} {}", axis.path, plain_text(&point.value(&axis.path)?))));
        values.chain([point.mechanism()]).collect::<Vec<_>>().join(", ")
    }

    /// All points with where they come from as one JSON document, which can be read again.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let document = json!({
            "schema": sim_core::report::SCHEMA,
            "kind": DOCUMENT_KIND,
            "origins": self.origins,
            "axes": self.axes,
            "points": self.points,
        });
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }
}

/// What it takes to make a report again.
fn manifest_facts(report: &RunReport) -> Vec<(String, String)> {
    let manifest = &report.manifest;
    let facts = [
        ("version", manifest.version.clone()),
        ("command", manifest.command.clone()),
        ("config_hash", manifest.config_hash.clone()),
        ("trace_hash", manifest.trace_hash.clone()),
        ("seed", report.seed.to_string()),
        ("reps", report.reps.to_string()),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use sim_core::report::Estimate;

    /// A point with a throughput of `mean` and an interval of 1 % either way.
    pub(crate) fn point(axes: &[(&str, Value)], mechanism: &str, mean: f64) -> Point {
        let throughput_rps = Estimate { mean, low: 0.99 * mean, high: 1.01 * mean, n: 4 };
        let report = RunReport { mechanism: mechanism.into(), workload: "made-up".into(), throughput_rps, ..RunReport::default() };
        let mut values: Vec<(String, Value)> = axes.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
        values.push((MECHANISM.into(), json!(mechanism)));
        Point {
            axes: AxisValues(values),
            outcome: PointOutcome::Done { report: Box::new(report) },
            place: "made up".into(),
            index: None,
        }
    }

    /// Points with the axes that they vary in.
    pub(crate) fn results(axes: &[(&str, Vec<Value>)], points: Vec<Point>) -> Results {
        let axis = |(path, values): &(&str, Vec<Value>)| Axis { path: (*path).into(), values: values.clone(), zipped: false };
        Results { origins: Vec::new(), axes: axes.iter().map(axis).collect(), points }
    }
}
