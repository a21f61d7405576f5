//! Repeated runs summed up: median and interquartile range, which a few disturbed runs do not move.

use serde::{Deserialize, Serialize};

/// What repeated measurements of one thing say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How many.
    pub n: usize,
    /// Least.
    pub least: f64,
    /// First quartile.
    pub lower_quartile: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub upper_quartile: f64,
    /// Greatest.
    pub greatest: f64,
}

impl Summary {
    /// Of samples in any order; those that are not finite are left out. Nothing when none are left.
    pub fn of(samples: &[f64]) -> Option<Summary> {
        let mut sorted: Vec<f64> = samples.iter().copied().filter(|sample| sample.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let [lower_quartile, median, upper_quartile] = [0.25, 0.5, 0.75].map(|share| quantile(&sorted, share));
        Some(Summary { n: sorted.len(), least, lower_quartile, median, upper_quartile, greatest })
    }

    /// Interquartile range as a share of the median; 0 for a median of 0 without range.
    pub fn spread(&self) -> f64 {
        let range = self.upper_quartile - self.lower_quartile;
        if range == 0.0 { 0.0 } else { range / self.median.abs() }
    }
}

/// A quantile of sorted samples, linear between neighbours.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// The median of samples; not a number when there are none.
pub fn median(samples: &[f64]) -> f64 {
    Summary::of(samples).map_or(f64::NAN, |summary| summary.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_neighbours() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((summary.n, summary.least, summary.greatest), (4, 1.0, 4.0));
        assert_eq!((summary.lower_quartile, summary.median, summary.upper_quartile), (1.75, 2.5, 3.25));
        assert_eq!(summary.spread(), 1.5 / 2.5);
    }

    #[test]
    fn one_disturbed_run_moves_neither_median_nor_spread_far() {
        let summary = Summary::of(&[10.0, 10.1, 9.9, 10.0, 900.0]).unwrap();
        assert_eq!(summary.median, 10.0);
        assert!(summary.spread() < 0.02, "{summary:?}");
    }

    #[test]
    fn what_is_not_finite_does_not_count() {
        assert_eq!(Summary::of(&[f64::NAN, 2.0, f64::INFINITY]).unwrap().median, 2.0);
        assert_eq!(Summary::of(&[f64::NAN]), None);
        assert!(median(&[]).is_nan());
        assert_eq!(Summary::of(&[0.0, 0.0]).unwrap().spread(), 0.0);
    }
}
