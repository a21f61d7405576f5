//! The file of a sweep: JSON lines, first a [`Header`], then one [`Record`] a point. Written by `ringscope sweep` and `merge`, read by
//! everything that shows results.

use crate::report::RunReport;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;

/// What [`Header::kind`] says.
pub const KIND: &str = "sweep";

/// The first line: which points there are, and what they were computed with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`crate::report::SCHEMA`].
    pub schema: u32,
    /// [`KIND`].
    pub kind: String,
    /// Version of the program.
    pub version: String,
    /// SHA-256 of the program's file.
    pub program_hash: String,
    /// Name of the workload; of several, joined by commas.
    pub workload: String,
    /// SHA-256 over all workloads of the sweep.
    pub workload_hash: String,
    /// Canonical command, without shard, threads and output.
    pub command: String,
    /// What is varied; the first axis varies slowest.
    pub axes: Vec<Axis>,
    /// Points of the whole sweep.
    pub points: u64,
    /// `1/4` when the file holds one shard of the sweep.
    pub shard: Option<String>,
}

/// One thing that is varied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Path of the setting, or `mechanism`, `workload`, `machine` ...
    pub path: String,
    /// Its values, in order.
    pub values: Vec<Value>,
    /// True when all axes that say so go through their values together.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub zipped: bool,
}

/// How many values an axis has, and whether it is zipped.
pub type AxisShape = (usize, bool);

/// Positions of the axes that are digits of a point's index as a mixed number: one for each free axis, one for all zipped ones, at the place
/// of the first of them. The first varies slowest.
pub fn digits(shapes: &[AxisShape]) -> Vec<usize> {
    let first_zipped = shapes.iter().position(|shape| shape.1);
    (0..shapes.len()).filter(|position| !shapes[*position].1 || first_zipped == Some(*position)).collect()
}

/// Which value of each axis the point at `index` has.
pub fn positions(shapes: &[AxisShape], index: u64) -> Vec<usize> {
    let mut rest = index;
    let mut chosen = vec![0; shapes.len()];
    for digit in digits(shapes).into_iter().rev() {
        let base = shapes[digit].0.max(1) as u64;
        chosen[digit] = (rest % base) as usize;
        rest /= base;
    }
    let zipped = shapes.iter().position(|shape| shape.1).map(|first| chosen[first]);
    let of = |(position, shape): (usize, &AxisShape)| zipped.filter(|_| shape.1).unwrap_or(chosen[position]);
    shapes.iter().enumerate().map(of).collect()
}

impl Header {
    /// The value of each axis at a point of the sweep.
    pub fn values_at(&self, index: u64) -> AxisValues {
        let shapes: Vec<AxisShape> = self.axes.iter().map(|axis| (axis.values.len(), axis.zipped)).collect();
        let values = self.axes.iter().zip(positions(&shapes, index));
        AxisValues(values.filter_map(|(axis, position)| Some((axis.path.clone(), axis.values.get(position)?.clone()))).collect())
    }
}

/// One finished point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Hash of all that the point's result depends on, besides the program.
    pub point: String,
    /// Place of the point in the sweep, from 0.
    pub index: u64,
    /// Value of each axis.
    pub axes: AxisValues,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: PointOutcome,
}

/// What became of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum PointOutcome {
    /// It ran, or its mechanism does not apply (then the report says so).
    Done {
        /// Its report, with the speed-up where `sync` was run at the same other axes.
        report: Box<RunReport>,
    },
    /// It could not be computed.
    Failed {
        /// Why.
        error: String,
    },
}

impl PointOutcome {
    /// The report of a point that is done.
    pub fn report(&self) -> Option<&RunReport> {
        match self {
            PointOutcome::Done { report } => Some(report),
            PointOutcome::Failed { .. } => None,
        }
    }
}

/// The value of each axis at one point, in the order of the axes. An object in JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AxisValues(pub Vec<(String, Value)>);

impl AxisValues {
    /// The value at an axis.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.0.iter().find(|entry| entry.0 == path).map(|entry| &entry.1)
    }
}

impl fmt::Display for AxisValues {
    /// `cores=2 mechanism=sync`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (path, value)) in self.0.iter().enumerate() {
            let space = if position > 0 { " " } else { "" };
            write!(formatter, "{space}{path}={}", plain_text(value))?;
        }
        Ok(())
    }
}

/// A value as people write it: text without quotes.
pub fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Serialize for AxisValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (path, value) in &self.0 {
            map.serialize_entry(path, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for AxisValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = AxisValues;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("an object with the value of each axis")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<AxisValues, M::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(AxisValues(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// A header or record as one line of the file, ended.
pub fn line<T: Serialize>(entry: &T) -> String {
    let mut text = serde_json::to_string(entry).expect("a record has text keys only, and writing to memory does not fail");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(outcome: PointOutcome) -> Record {
        let axes = AxisValues(vec![("mechanism".into(), json!("sync")), ("cores".into(), json!(2))]);
        Record { point: "ab".into(), index: 7, axes, outcome }
    }

    /// Two free axes of 2 and 3 values around two zipped ones of 2: 12 points.
    #[test]
    fn an_index_is_a_mixed_number_in_which_zipped_axes_are_one_digit() {
        let shapes = [(2, false), (2, true), (3, false), (2, true)];
        assert_eq!(digits(&shapes), [0, 1, 2]);
        assert_eq!(positions(&shapes, 0), [0, 0, 0, 0]);
        assert_eq!(positions(&shapes, 4), [0, 1, 1, 1]);
        assert_eq!(positions(&shapes, 11), [1, 1, 2, 1]);
    }

    #[test]
    fn a_record_is_one_line_and_keeps_the_order_of_the_axes() {
        let failed = record(PointOutcome::Failed { error: "two\nlines".into() });
        let text = line(&failed);
        assert_eq!(
            text,
            "{\"point\":\"ab\",\"index\":7,\"axes\":{\"mechanism\":\"sync\",\"cores\":2},\"status\":\"failed\",\"error\":\"two\\nlines\"}\n"
        );
        assert_eq!(serde_json::from_str::<Record>(&text).expect("what was written is read"), failed);
        assert_eq!(failed.axes.to_string(), "mechanism=sync cores=2");
    }

    #[test]
    fn a_report_survives_the_file_byte_for_byte() {
        let report = RunReport { workload: "w".into(), mechanism: "sync".into(), ..RunReport::default() };
        let text = line(&record(PointOutcome::Done { report: Box::new(report) }));
        let read: Record = serde_json::from_str(&text).expect("what was written is read");
        assert_eq!(line(&read), text);
        assert_eq!(read.outcome.report().map(|report| report.mechanism.as_str()), Some("sync"));
    }

    #[test]
    fn a_header_says_what_is_zipped_only_where_it_is() {
        let axis = |zipped| Axis { path: "cores".into(), values: vec![json!(1)], zipped };
        assert_eq!(line(&axis(false)), "{\"path\":\"cores\",\"values\":[1]}\n");
        assert_eq!(serde_json::from_str::<Axis>(&line(&axis(true))).expect("an axis"), axis(true));
    }
}
