//! Reading result files. A message says file and line, what is wrong, and what to do.

use super::{MECHANISM, Origin, Point, Results};
use serde::Deserialize;
use serde_json::Value;
use sim_core::report::{Comparison, ReportError, RunReport, SCHEMA};
use sim_core::sweep::{self, Axis, AxisValues, Header, PointOutcome, Record, plain_text};
use std::path::Path;

/// `kind` of the document that `report -o FILE.json` writes.
pub const DOCUMENT_KIND: &str = "results";

/// Fields of a report that become axes where they differ between points and no axis of a sweep has their name.
const FIELDS: [&str; 5] = ["workload", "machine", "kernel", "cores", "connections"];

/// How strictly files are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Leave out what is damaged, instead of failing.
    pub lenient: bool,
}

/// Result files that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file can't be opened or read.
    #[error("{file}: can't be read: {source}")]
    File {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nothing in it.
    #[error("{file}: the file is empty; give a file that `ringscope sweep`, `compare --json` or `run --json` has written")]
    Empty {
        /// The file.
        file: String,
    },
    /// No JSON, or JSON of something else.
    #[error(
        "{file}, line {line}: not a result of ringscope: {cause}; give a file that `ringscope sweep`, `compare --json` or `run --json` has written"
    )]
    Foreign {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
    /// A report that can't be read.
    #[error("{file}: {source}")]
    Report {
        /// The file.
        file: String,
        /// What is wrong, with its place.
        source: ReportError,
    },
    /// The last line ends in the middle.
    #[error(
        "{file}, line {line}: the line is cut off after {bytes} bytes; `ringscope sweep --resume` finishes the sweep, --lenient shows what is complete"
    )]
    CutOff {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Length of the line.
        bytes: usize,
    },
    /// A line that is no point.
    #[error(
        "{file}, line {line}, column {column}: not a point of a sweep: {cause}; remove the line and complete the file with `ringscope sweep --resume`, or leave it out with --lenient"
    )]
    Line {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong.
        cause: String,
    },
    /// Written under another schema.
    #[error("{file}, line {line}: schema {found}, this program reads schema {SCHEMA}: read it with version {version}")]
    Schema {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Its schema.
        found: u64,
        /// The version that wrote it.
        version: String,
    },
    /// Two different reports of one point.
    #[error(
        "{first} and {second} have different results for the same point ({point}); compare them with `ringscope diff`, or report on one of them"
    )]
    Twice {
        /// Where the first stands.
        first: String,
        /// Where the second stands.
        second: String,
        /// The point.
        point: String,
    },
    /// Nothing to show.
    #[error("{file}: the sweep has no finished point yet; wait for the first, or continue it with `ringscope sweep --resume`")]
    NoPoints {
        /// The file.
        file: String,
    },
}

/// Reads files and puts their points together. The same point with the same result may stand in several files.
///
/// # Errors
/// The first thing that can't be used.
pub fn read_files<P: AsRef<Path>>(files: &[P], reading: Reading) -> Result<Results, ReadError> {
    let mut all = Results::default();
    for file in files {
        let name = file.as_ref().display().to_string();
        let text = std::fs::read_to_string(file).map_err(|source| ReadError::File { file: name.clone(), source })?;
        let read = parse(&text, &name, reading)?;
        all.origins.extend(read.origins);
        all.points.extend(read.points);
        read.axes.into_iter().for_each(|axis| add_axis(&mut all.axes, axis));
    }
    if is_one_sweep(&all) {
        all.points.sort_by_key(|point| point.index);
    }
    complete_axes(&mut all);
    without_repeats(all)
}

/// True when all files are of one sweep, such as its shards: then points stand in the sweep's order.
fn is_one_sweep(results: &Results) -> bool {
    let command = |origin: &Origin| origin.facts.iter().find(|fact| fact.0 == "command").map(|fact| fact.1.clone());
    let first = results.origins.first().and_then(command);
    results.origins.iter().all(|origin| origin.kind == sweep::KIND && command(origin) == first)
}

/// One file's results.
fn parse(text: &str, file: &str, reading: Reading) -> Result<Results, ReadError> {
    let Some(first) = text.lines().position(|line| !line.trim().is_empty()) else {
        return Err(ReadError::Empty { file: file.into() });
    };
    let line = text.lines().nth(first).unwrap_or_default();
    if serde_json::from_str::<Value>(line).is_ok_and(|value| value["kind"] == sweep::KIND) {
        return lines(text, file, reading);
    }
    let foreign = |line, cause: String| ReadError::Foreign { file: file.into(), line, cause };
    let document: Value = serde_json::from_str(text).map_err(|error| foreign(error.line(), error.to_string()))?;
    if let Some(found) = document["schema"].as_u64().filter(|found| *found != u64::from(SCHEMA)) {
        let version = plain_text(document["manifest"].get("version").unwrap_or(&Value::from("unknown")));
        return Err(ReadError::Schema { file: file.into(), line: first + 1, found, version });
    }
    let report = |source| ReadError::Report { file: file.into(), source };
    if document["kind"] == DOCUMENT_KIND {
        return own_document(document, file);
    }
    if document.get("results").is_some() {
        return Ok(Results::of_comparison(&Comparison::from_json(text).map_err(report)?, file));
    }
    if document.get(MECHANISM).is_some() {
        return Ok(Results::of_run(&RunReport::from_json(text).map_err(report)?, file));
    }
    Err(foreign(first + 1, "it is JSON, but neither a run, nor a comparison, nor a sweep".into()))
}

fn own_document(document: Value, file: &str) -> Result<Results, ReadError> {
    #[derive(Deserialize)]
    struct Entry {
        axes: AxisValues,
        #[serde(flatten)]
        outcome: PointOutcome,
    }
    #[derive(Deserialize)]
    struct Document {
        origins: Vec<Origin>,
        axes: Vec<Axis>,
        points: Vec<Entry>,
    }
    let foreign = |error: serde_json::Error| ReadError::Foreign { file: file.into(), line: 1, cause: error.to_string() };
    let read: Document = serde_json::from_value(document).map_err(foreign)?;
    let place = |index: usize| format!("{file}, point {index}");
    let point =
        |(index, entry): (usize, Entry)| Point { axes: entry.axes, outcome: entry.outcome, place: place(index), index: None };
    Ok(Results { origins: read.origins, axes: read.axes, points: read.points.into_iter().enumerate().map(point).collect() })
}

/// JSON lines. Files that were put behind each other have several headers.
fn lines(text: &str, file: &str, reading: Reading) -> Result<Results, ReadError> {
    let mut results = Results::default();
    let last = text.lines().count();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let number = index + 1;
        let cut = number == last && !text.ends_with('\n') && serde_json::from_str::<Value>(line).is_err();
        let read = if cut {
            Err(ReadError::CutOff { file: file.into(), line: number, bytes: line.len() })
        } else {
            one_line(line, file, number, &mut results)
        };
        match (read, results.origins.last_mut()) {
            (Err(error), Some(origin)) if reading.lenient => origin.notes.push(format!("left out: {error}")),
            (read, _) => read?,
        }
    }
    if results.points.is_empty() {
        return Err(ReadError::NoPoints { file: file.into() });
    }
    Ok(results)
}

fn one_line(line: &str, file: &str, number: usize, results: &mut Results) -> Result<(), ReadError> {
    let fault = |error: serde_json::Error| ReadError::Line {
        file: file.into(),
        line: number,
        column: error.column(),
        cause: error.to_string(),
    };
    let value: Value = serde_json::from_str(line).map_err(fault)?;
    if value["kind"] == sweep::KIND {
        if let Some(found) = value["schema"].as_u64().filter(|found| *found != u64::from(SCHEMA)) {
            return Err(ReadError::Schema { file: file.into(), line: number, found, version: plain_text(&value["version"]) });
        }
        let header: Header = serde_json::from_str(line).map_err(fault)?;
        header.axes.iter().cloned().for_each(|axis| add_axis(&mut results.axes, axis));
        results.origins.push(origin(&header, file));
        return Ok(());
    }
    let record: Record = serde_json::from_str(line).map_err(fault)?;
    let place = format!("{file}, line {number}");
    results.points.push(Point { axes: record.axes, outcome: record.outcome, place, index: Some(record.index) });
    Ok(())
}

fn origin(header: &Header, file: &str) -> Origin {
    let mut facts = vec![
        ("version".to_owned(), header.version.clone()),
        ("command".to_owned(), header.command.clone()),
        ("program_hash".to_owned(), header.program_hash.clone()),
        ("workload".to_owned(), header.workload.clone()),
        ("workload_hash".to_owned(), header.workload_hash.clone()),
    ];
    facts.extend(header.shard.iter().map(|shard| ("shard".to_owned(), shard.clone())));
    Origin {
        file: file.into(),
        kind: header.kind.clone(),
        facts,
        planned: header.shard.is_none().then_some(header.points),
        notes: Vec::new(),
    }
}

/// Adds an axis, or the values that the axis of that name lacks. The mechanism is no axis here.
fn add_axis(axes: &mut Vec<Axis>, axis: Axis) {
    if axis.path == MECHANISM {
        return;
    }
    match axes.iter_mut().find(|other| other.path == axis.path) {
        Some(known) => {
            known.zipped |= axis.zipped;
            let missing: Vec<Value> = axis.values.into_iter().filter(|value| !known.values.contains(value)).collect();
            known.values.extend(missing);
            put_in_order(&mut known.values);
        }
        None => axes.push(axis),
    }
}

/// Numbers in ascending order; a list that holds anything else stays as it is.
fn put_in_order(values: &mut [Value]) {
    if values.iter().all(Value::is_number) {
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        values.sort_by(|left, right| number(left).total_cmp(&number(right)));
    }
}

/// Makes axes of what differs between the points although no sweep says so, such as of comparisons at several settings.
fn complete_axes(results: &mut Results) {
    for field in FIELDS {
        if results.axes.iter().any(|axis| axis.path == field) {
            continue;
        }
        let mut values: Vec<Value> = Vec::new();
        for value in results.points.iter().filter_map(|point| point.value(field)) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        if values.len() > 1 {
            put_in_order(&mut values);
            results.axes.push(Axis { path: field.into(), values, zipped: false });
        }
    }
    let paths: Vec<String> = results.axes.iter().map(|axis| axis.path.clone()).collect();
    for point in &mut results.points {
        let paths = paths.iter().cloned().chain([MECHANISM.to_owned()]);
        point.axes = AxisValues(paths.filter_map(|path| point.value(&path).map(|value| (path, value))).collect());
    }
}

/// Takes out points that stand there twice with the same result, as in overlapping shards.
fn without_repeats(mut results: Results) -> Result<Results, ReadError> {
    let mut kept: Vec<Point> = Vec::with_capacity(results.points.len());
    let mut seen: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
    for point in std::mem::take(&mut results.points) {
        let key = format!("{} {}", point.axes, point.mechanism());
        let Some(earlier) = seen.get(&key).and_then(|place| kept.get_mut(*place)) else {
            seen.insert(key, kept.len());
            kept.push(point);
            continue;
        };
        // a point that failed may have been run again
        if earlier.outcome.report().is_none() {
            *earlier = point;
        } else if point.outcome.report().is_some_and(|report| !same_result(earlier.outcome.report(), report)) {
            return Err(ReadError::Twice { first: earlier.place.clone(), second: point.place.clone(), point: key });
        }
    }
    results.points = kept;
    Ok(results)
}

/// Equal as written: what is unknown equals what is unknown. The manifest and the time on the host may differ.
fn same_result(earlier: Option<&RunReport>, later: &RunReport) -> bool {
    let text = |report: &RunReport| {
        let plain = RunReport { manifest: Default::default(), timing: None, ..report.clone() };
        plain.to_json_pretty()
    };
    earlier.is_some_and(|earlier| text(earlier) == text(later))
}
