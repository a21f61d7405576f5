//! Results as a table: one row a point, columns with the names of the JSON joined by dots, each of one type.

use super::{MECHANISM, Point, Results};
use serde_json::Value;
use sim_core::sweep::{PointOutcome, plain_text};

/// One row: names and values.
pub type Row = Vec<(String, Value)>;

/// Rows of all points. Points of a sweep begin with their place in it and what became of them; those of a comparison or a run are the
/// report alone.
pub fn rows(results: &Results) -> Vec<Row> {
    let alone = results.axes.is_empty() && results.failed().next().is_none();
    results.points.iter().map(|point| row(results, point, alone)).collect()
}

fn row(results: &Results, point: &Point, alone: bool) -> Row {
    let mut row: Row = Vec::new();
    if !alone {
        let paths = results.axes.iter().map(|axis| axis.path.as_str()).chain([MECHANISM]);
        row.extend(paths.map(|path| (format!("axes.{path}"), point.value(path).unwrap_or(Value::Null))));
        let (status, error) = match &point.outcome {
            PointOutcome::Done { .. } => ("done", Value::Null),
            PointOutcome::Failed { error } => ("failed", Value::from(error.as_str())),
        };
        row.extend([("status".to_owned(), Value::from(status)), ("error".to_owned(), error)]);
    }
    row.extend(point.outcome.report().into_iter().flat_map(|report| report.flatten_values()));
    row
}

/// A value as it stands in a CSV file.
pub fn text(value: &Value) -> String {
    if value.is_null() { String::new() } else { plain_text(value) }
}

/// Rows as texts.
pub fn texts(rows: &[Row]) -> Vec<Vec<(String, String)>> {
    let row = |row: &Row| row.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    rows.iter().map(row).collect()
}
