//! What differs between two sets of results: points are matched by their axes, every metric is compared, and a change counts when it
//! is larger than the intervals let chance make it.

mod metrics;

use super::{MECHANISM, Point, Results};
use anyhow::{Result, bail};
use metrics::changes;
use serde::Serialize;
use serde_json::{Map, Value};
use sim_core::report::{RunReport, SCHEMA};
use sim_core::sweep::plain_text;
use std::collections::{BTreeMap, BTreeSet};

/// Two sets of results compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `diff`.
    pub kind: String,
    /// Name of the first file.
    pub before: String,
    /// Name of the second file.
    pub after: String,
    /// What points were matched by.
    pub matched_by: Vec<String>,
    /// Settings, versions and hashes that differ.
    pub settings: Vec<Setting>,
    /// Points that both have.
    pub points: Vec<PointDiff>,
    /// Points that only the first has.
    pub only_before: Vec<String>,
    /// Points that only the second has.
    pub only_after: Vec<String>,
}

/// Something that is not measured and differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// In the first file; nothing when it differs from point to point.
    pub before: Option<String>,
    /// In the second file.
    pub after: Option<String>,
    /// Points at which it differs.
    pub points: usize,
}

/// One point in both files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointDiff {
    /// Where it stands, in words.
    pub point: String,
    /// Words that changed: what became of the point, what limits it.
    pub words: Vec<Setting>,
    /// Metrics that changed, the largest change first.
    pub changes: Vec<Change>,
}

/// A metric that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Its name, as the column of a table.
    pub metric: String,
    /// In the first file.
    pub before: f64,
    /// In the second file.
    pub after: f64,
    /// after / before - 1; nothing from zero.
    pub relative: Option<f64>,
    /// The change against the whole that the metric is a part of: the cycles of a request for cycles, the mode's highest miss rate for
    /// a miss rate, otherwise the metric itself.
    pub size: f64,
    /// 95 % interval of after - before, by Welch; nothing for metrics without intervals.
    pub interval: Option<(f64, f64)>,
    /// Whether chance can have made it.
    pub verdict: Verdict,
}

/// Whether a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval of the difference does not hold zero.
    Beyond,
    /// The metric has no interval, and the change is larger than the tolerance that was given.
    BeyondTolerance,
    /// The metric has no interval.
    NoInterval,
    /// The interval holds zero, or the change is within the tolerance.
    Within,
}

impl Verdict {
    /// True when the change counts.
    pub fn counts(self) -> bool {
        matches!(self, Verdict::Beyond | Verdict::BeyondTolerance)
    }
}

impl PointDiff {
    /// Changes that count. What became of a point counts too.
    pub fn counted(&self) -> usize {
        let became = self.words.iter().filter(|word| word.name == STATUS).count();
        became + self.changes.iter().filter(|change| change.verdict.counts()).count()
    }
}

impl Diff {
    /// Changes that count, over all points.
    pub fn counted(&self) -> usize {
        self.points.iter().map(PointDiff::counted).sum()
    }

    /// The differences as JSON.
    ///
    /// # Errors
    /// None: all names are texts.
    pub fn to_json(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

/// Name of the word that says what became of a point.
const STATUS: &str = "status";

/// Compares two sets of results. Metrics without an interval count when they change by more than `tolerance`, if there is one.
///
/// # Errors
/// Points that can't be told apart by what both files vary.
pub fn diff(before: &Results, after: &Results, tolerance: Option<f64>) -> Result<Diff> {
    let alone = before.points.len() == 1 && after.points.len() == 1;
    let names = if alone { Vec::new() } else { common_axes(before, after) };
    let (first, second) = (keyed(before, &names)?, keyed(after, &names)?);
    let pairs: Vec<(&Point, &Point)> =
        before.points.iter().filter_map(|point| second.get(&key(point, &names)).map(|other| (point, *other))).collect();
    let only = |results: &Results, other: &BTreeMap<String, &Point>| -> Vec<String> {
        let missing = results.points.iter().filter(|point| !other.contains_key(&key(point, &names)));
        missing.map(|point| results.describe(point)).collect()
    };
    let points = pairs.iter().map(|(before_point, after_point)| PointDiff {
        point: before.describe(before_point),
        words: words(before_point, after_point),
        changes: match (before_point.measured(), after_point.measured()) {
            (Some(one), Some(other)) => changes(one, other, tolerance),
            _ => Vec::new(),
        },
    });
    Ok(Diff {
        schema: SCHEMA,
        kind: "diff".into(),
        before: files(before),
        after: files(after),
        settings: settings(before, after, &pairs),
        points: points.collect(),
        only_before: only(before, &second),
        only_after: only(after, &first),
        matched_by: names,
    })
}

fn files(results: &Results) -> String {
    results.origins.iter().map(|origin| origin.file.as_str()).collect::<Vec<_>>().join(", ")
}

/// What varies in either file and is known of every point of both, and the mechanism.
fn common_axes(before: &Results, after: &Results) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let varied = |results: &Results| {
        results.axes.iter().filter(|axis| axis.values.len() > 1).map(|axis| axis.path.clone()).collect::<Vec<_>>()
    };
    let known = |results: &Results, name: &str| results.points.iter().all(|point| point.value(name).is_some());
    for name in [varied(before), varied(after), vec![MECHANISM.to_owned()]].into_iter().flatten() {
        if !names.contains(&name) && known(before, &name) && known(after, &name) {
            names.push(name);
        }
    }
    names
}

fn key(point: &Point, names: &[String]) -> String {
    let value = |name: &String| match name.as_str() {
        MECHANISM => point.mechanism(),
        _ => point.value(name).map_or(String::new(), |value| plain_text(&value)),
    };
    let values: Vec<String> = names.iter().map(|name| format!("{name} {}", value(name))).collect();
    values.join(", ")
}

fn keyed<'a>(results: &'a Results, names: &[String]) -> Result<BTreeMap<String, &'a Point>> {
    let mut keyed = BTreeMap::new();
    for point in &results.points {
        let key = key(point, names);
        if let Some(other) = keyed.insert(key.clone(), point) {
            bail!(
                "{} and {} can't be told apart by what both files say of their points ({key}); compare files that vary the same settings",
                other.place,
                point.place
            );
        }
    }
    Ok(keyed)
}

/// What became of the point and other words of its report.
fn words(before: &Point, after: &Point) -> Vec<Setting> {
    let of = |point: &Point| -> [(&'static str, String); 3] {
        let status = match (point.outcome.report(), point.measured()) {
            (None, _) => "failed",
            (Some(_), None) => "does not apply",
            _ => "done",
        };
        let report = point.measured();
        let limited = report.and_then(|report| report.limited_by).map_or("-", |limit| limit.name());
        let batch = report.map_or("-", |report| report.batch.limited_by.as_str());
        [(STATUS, status.into()), ("limited_by", limited.into()), ("batch.limited_by", batch.into())]
    };
    let pairs = of(before).into_iter().zip(of(after)).filter(|(one, other)| one.1 != other.1);
    pairs.map(|(one, other)| Setting { name: one.0.into(), before: Some(one.1), after: Some(other.1), points: 1 }).collect()
}

/// Settings of a report, without what is measured.
fn settings_of(report: &RunReport) -> Vec<(String, String)> {
    const NAMES: [&str; 10] =
        ["workload", "machine", "kernel", "mechanism", "variant", "cores", "connections", "seed", "reps", "requests"];
    let wanted = |name: &str| NAMES.contains(&name) || name.starts_with("manifest.");
    report.flatten().into_iter().filter(|(name, _)| wanted(name)).collect()
}

/// A setting that differs, with all its pairs of values.
struct Differing {
    name: String,
    values: BTreeSet<(String, String)>,
    points: usize,
}

/// Notes a setting of a point if it differs; `points` is 0 for what belongs to the whole file.
fn note(found: &mut Vec<Differing>, name: &str, before: &str, after: &str, points: usize) {
    if before == after {
        return;
    }
    let position = found.iter().position(|entry| entry.name == name).unwrap_or_else(|| {
        found.push(Differing { name: name.to_owned(), values: BTreeSet::new(), points: 0 });
        found.len() - 1
    });
    found[position].values.insert((before.to_owned(), after.to_owned()));
    found[position].points += points;
}

fn settings(before: &Results, after: &Results, pairs: &[(&Point, &Point)]) -> Vec<Setting> {
    let mut found = Vec::new();
    for name in ["version", "program_hash", "command", "workload_hash"] {
        if let (Some(one), Some(other)) = (fact(before, name), fact(after, name)) {
            note(&mut found, name, one, other, 0);
        }
    }
    for (before, after) in pairs {
        let (Some(before), Some(after)) = (before.outcome.report(), after.outcome.report()) else { continue };
        let other: BTreeMap<String, String> = settings_of(after).into_iter().collect();
        for (name, value) in settings_of(before) {
            note(&mut found, &name, &value, other.get(&name).map_or("", String::as_str), 1);
        }
    }
    let setting = |differing: Differing| {
        let single = (differing.values.len() == 1).then(|| differing.values.into_iter().next()).flatten();
        let (before, after) = single.unzip();
        Setting { name: differing.name, before, after, points: differing.points }
    };
    found.into_iter().map(setting).collect()
}

/// A fact of a sweep; those of runs are in their reports.
fn fact<'a>(results: &'a Results, name: &str) -> Option<&'a str> {
    let origin = results.origins.iter().find(|origin| origin.kind == sim_core::sweep::KIND)?;
    origin.facts.iter().find(|fact| fact.0 == name).map(|fact| fact.1.as_str())
}

/// Rows of a table: one a point and changed metric.
pub fn rows(diff: &Diff) -> Vec<super::columns::Row> {
    let row = |point: &PointDiff, change: &Change| {
        let text = |value: &str| Value::from(value);
        let interval = |end: fn((f64, f64)) -> f64| change.interval.map_or(Value::Null, |interval| end(interval).into());
        let fields = Map::from_iter([
            ("point".to_owned(), text(&point.point)),
            ("metric".to_owned(), text(&change.metric)),
            ("before".to_owned(), change.before.into()),
            ("after".to_owned(), change.after.into()),
            ("relative".to_owned(), change.relative.map_or(Value::Null, Value::from)),
            ("size".to_owned(), change.size.into()),
            ("low".to_owned(), interval(|interval| interval.0)),
            ("high".to_owned(), interval(|interval| interval.1)),
            ("verdict".to_owned(), serde_json::to_value(change.verdict).unwrap_or_default()),
        ]);
        fields.into_iter().collect()
    };
    diff.points.iter().flat_map(|point| point.changes.iter().map(move |change| row(point, change))).collect()
}

#[cfg(test)]
mod tests;
