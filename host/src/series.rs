//! Raw series: what was measured, point by point, with every sample.

use crate::interleave::interleaved;
use crate::statistics::Summary;
use serde::{Deserialize, Serialize};

/// One point of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Where on the axis; 0 for a series of one point without axis.
    pub x: u64,
    /// One value per repetition.
    pub samples: Vec<f64>,
}

/// A measured series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Name, dotted: `data.huge_pages`.
    pub name: String,
    /// What the axis counts.
    pub axis: String,
    /// Unit of the samples.
    pub unit: String,
    /// Points in the order of the axis.
    pub points: Vec<Point>,
}

/// Names and units of a series that is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// Name, dotted.
    pub name: &'a str,
    /// What the axis counts.
    pub axis: &'a str,
    /// Unit of the samples.
    pub unit: &'a str,
}

impl Series {
    /// A series from samples by point.
    pub fn new(label: Label, xs: &[u64], samples: Vec<Vec<f64>>) -> Series {
        let points = xs.iter().zip(samples).map(|(x, samples)| Point { x: *x, samples }).collect();
        Series { name: label.name.into(), axis: label.axis.into(), unit: label.unit.into(), points }
    }

    /// Measures each point so many times, the points in turn.
    ///
    /// # Errors
    /// The first error of `measure`.
    pub fn measured<E>(
        label: Label,
        xs: &[u64],
        repetitions: u32,
        mut measure: impl FnMut(u64, u32) -> Result<f64, E>,
    ) -> Result<Series, E> {
        let samples = interleaved(xs.len(), repetitions, |index, repetition| measure(xs[index], repetition))?;
        Ok(Series::new(label, xs, samples))
    }

    /// Axis and summary of each point that has samples.
    pub fn summaries(&self) -> impl Iterator<Item = (u64, Summary)> {
        self.points.iter().filter_map(|point| Some((point.x, Summary::of(&point.samples)?)))
    }

    /// Axis and median of each point that has samples.
    pub fn medians(&self) -> Vec<(u64, f64)> {
        self.summaries().map(|(x, summary)| (x, summary.median)).collect()
    }

    /// Axis and least sample of each point that has samples.
    pub fn leasts(&self) -> Vec<(u64, f64)> {
        self.summaries().map(|(x, summary)| (x, summary.least)).collect()
    }

    /// The summary of the point at `x`.
    pub fn at(&self, x: u64) -> Option<Summary> {
        Summary::of(&self.points.iter().find(|point| point.x == x)?.samples)
    }
}

/// Whole numbers from `least` to `most`, so many to each doubling, each a multiple of `multiple`.
pub fn steps(least: u64, most: u64, per_doubling: u32, multiple: u64) -> Vec<u64> {
    let mut found: Vec<u64> = Vec::new();
    let mut octave = least;
    while octave <= most {
        for part in 0..u64::from(per_doubling) {
            // within a doubling the steps are even: 4, 5, 6, 7, 8, 10, 12, 14, 16
            let x = (octave + octave * part / u64::from(per_doubling)) / multiple * multiple;
            if x >= least && x <= most && found.last().is_none_or(|last| *last < x) {
                found.push(x);
            }
        }
        octave *= 2;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_rise_and_stay_inside() {
        assert_eq!(steps(4, 16, 4, 1), [4, 5, 6, 7, 8, 10, 12, 14, 16]);
        assert_eq!(steps(64, 256, 4, 64), [64, 128, 192, 256]);
        assert_eq!(steps(8, 4, 4, 1), [0; 0]);
    }

    #[test]
    fn points_keep_their_place_whatever_the_order_of_measuring() {
        let label = Label { name: "a.b", axis: "bytes", unit: "cycles" };
        let series = Series::measured(label, &[8, 16], 3, |x, repetition| Ok::<f64, ()>(x as f64 + f64::from(repetition))).unwrap();
        assert_eq!(series.medians(), [(8, 9.0), (16, 17.0)]);
        assert_eq!(series.at(16).unwrap().least, 16.0);
        assert_eq!(series.at(17), None);
    }
}
