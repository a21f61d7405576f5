//! The published results: one row each, with what it may be used for. `data/published.csv` is the only place that holds them; a new
//! result is one line there.

use crate::tolerance::{Tolerance, ToleranceError};
use serde::Deserialize;

/// What a row may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, serde::Serialize)]
pub enum Use {
    /// A property of the published workload or machine: goes into the model.
    #[serde(rename = "INPUT")]
    Input,
    /// May be fitted.
    #[serde(rename = "CAL")]
    Calibration,
    /// Never fitted: what the model says is shown beside it and counted.
    #[serde(rename = "PRED")]
    Prediction,
    /// Never fitted, shown and explained, not counted.
    #[serde(rename = "SANITY")]
    Sanity,
}

impl Use {
    /// Name as in the table.
    pub fn name(self) -> &'static str {
        match self {
            Use::Input => "INPUT",
            Use::Calibration => "CAL",
            Use::Prediction => "PRED",
            Use::Sanity => "SANITY",
        }
    }
}

/// What was published: a number, or a word (`lower`, `yes`, `direct`).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number in the row's unit.
    Number(f64),
    /// A word.
    Word(String),
}

impl Value {
    /// The number, if it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Word(_) => None,
        }
    }
}

/// One published result.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Identifier.
    pub id: String,
    /// What it may be used for.
    pub usage: Use,
    /// Paper.
    pub source: String,
    /// Where in the paper.
    pub place: String,
    /// Workload in the paper's words.
    pub workload: String,
    /// What was measured.
    pub metric: String,
    /// Mechanism, or empty.
    pub mechanism: String,
    /// What it is compared with, or empty.
    pub baseline: String,
    /// Cores: one or several values, separated by `;`, as printed.
    pub cores: String,
    /// Connections or load, as printed.
    pub concurrency: String,
    /// Lower end of the published range.
    pub low: Option<f64>,
    /// The value.
    pub value: Value,
    /// Upper end of the published range.
    pub high: Option<f64>,
    /// Unit.
    pub unit: String,
    /// How far off a prediction may be.
    pub tolerance: Tolerance,
    /// Remark.
    pub note: String,
}

/// A table that cannot be read: a bug of the table, found by a test.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// The file's form.
    #[error("published results: {0}")]
    Csv(#[from] csv::Error),
    /// A tolerance that is not understood.
    #[error("published results, row {id}: {source}")]
    Tolerance {
        /// The row.
        id: String,
        /// What is wrong.
        source: ToleranceError,
    },
}

#[derive(Deserialize)]
struct Line {
    id: String,
    #[serde(rename = "use")]
    usage: Use,
    source: String,
    #[serde(rename = "where")]
    place: String,
    workload: String,
    metric: String,
    mechanism: String,
    baseline: String,
    cores: String,
    concurrency: String,
    low: Option<f64>,
    value: String,
    high: Option<f64>,
    unit: String,
    tolerance: String,
    note: String,
}

static TABLE: &str = include_str!("../data/published.csv");

/// All rows, in the order of the table.
///
/// # Errors
/// When the table is damaged.
pub fn rows() -> Result<Vec<Row>, PublishedError> {
    let mut reader = csv::Reader::from_reader(TABLE.as_bytes());
    reader.deserialize().map(|line| row(line?)).collect()
}

/// The rows of some uses only: a calibration never sees the others.
///
/// # Errors
/// When the table is damaged.
pub fn rows_for(uses: &[Use]) -> Result<Vec<Row>, PublishedError> {
    Ok(rows()?.into_iter().filter(|row| uses.contains(&row.usage)).collect())
}

fn row(line: Line) -> Result<Row, PublishedError> {
    let tolerance = Tolerance::parse(&line.tolerance, &line.unit)
        .map_err(|source| PublishedError::Tolerance { id: line.id.clone(), source })?;
    Ok(Row {
        value: line.value.parse().map_or(Value::Word(line.value), Value::Number),
        tolerance,
        id: line.id,
        usage: line.usage,
        source: line.source,
        place: line.place,
        workload: line.workload,
        metric: line.metric,
        mechanism: line.mechanism,
        baseline: line.baseline,
        cores: line.cores,
        concurrency: line.concurrency,
        low: line.low,
        high: line.high,
        unit: line.unit,
        note: line.note,
    })
}

impl Row {
    /// Rows that stand for the same measurement are counted once: the note of the later one names the other.
    pub fn counted_with(&self) -> Option<&str> {
        self.note.split("counted once with ").nth(1).map(|rest| rest.split([';', ' ', ',']).next().unwrap_or(rest))
    }

    /// Whether a predicted number lies within the row's tolerance; `None` when the row has none or its value is a word.
    pub fn holds(&self, predicted: f64) -> Option<bool> {
        let published = self.value.number()?;
        self.tolerance.holds(published, self.low, self.high, predicted)
    }

    /// The error in units of the tolerance; `None` when the row has none or its value is a word.
    pub fn error_in_tolerances(&self, predicted: f64) -> Option<f64> {
        self.tolerance.distance(self.value.number()?, self.low, self.high, predicted)
    }

    /// Signed error: in units of a percentage or by difference for gains, shares and small counts; relative for all else.
    pub fn signed_error(&self, predicted: f64) -> Option<SignedError> {
        let published = self.value.number()?;
        Some(match self.unit.as_str() {
            "%" => SignedError::Points(predicted - published),
            "MPKI" => SignedError::Difference(predicted - published),
            _ => SignedError::Relative(predicted / published - 1.0),
        })
    }
}

/// Predicted less published.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignedError {
    /// Percentage points.
    Points(f64),
    /// The row's unit.
    Difference(f64),
    /// Fraction of the published value.
    Relative(f64),
}

impl SignedError {
    /// Its size without the sign.
    pub fn magnitude(self) -> f64 {
        match self {
            SignedError::Points(error) | SignedError::Difference(error) | SignedError::Relative(error) => error.abs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let rows = rows().unwrap();
        let mut ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), rows.len(), "identifiers are unique");
        for row in &rows {
            let graded = matches!(row.usage, Use::Calibration | Use::Prediction) && row.value.number().is_some();
            assert!(!graded || row.tolerance != Tolerance::None, "{} is graded and has no tolerance", row.id);
            if let Some(other) = row.counted_with() {
                assert!(rows.iter().any(|row| row.id == other), "{} names {other}", row.id);
            }
        }
        assert!(rows_for(&[Use::Calibration]).unwrap().iter().all(|row| row.usage == Use::Calibration));
    }

    #[test]
    fn errors_are_in_the_terms_of_the_unit() {
        let rows = rows().unwrap();
        let find = |id: &str| rows.iter().find(|row| row.id == id).unwrap();
        assert_eq!(find("A13").signed_error(62.0), Some(SignedError::Points(-8.0)));
        assert_eq!(find("A13").holds(62.0), Some(true));
        assert_eq!(find("A13").holds(59.0), Some(false));
        assert_eq!(find("A20").signed_error(22_000.0), Some(SignedError::Relative(22_000.0 / 20_000.0 - 1.0)));
        assert_eq!(find("A06").holds(32.0), Some(true));
        assert_eq!(find("A06").holds(16.0), Some(false));
        assert_eq!(find("A28-i").holds(0.59), Some(true));
        assert_eq!(find("S5").holds(2.9), Some(false));
        assert_eq!(find("A11").holds(1.0), None);
        assert_eq!(find("A13").counted_with(), Some("A17"));
    }
}
