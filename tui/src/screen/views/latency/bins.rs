//! Latencies sorted into columns of a plot, and how many lie at or below a value.

use sim_core::histogram::LatencyHistogram;

/// Percentiles that are marked: those of a report, in thousandths, with their names.
pub const PERCENTILES: [(u32, &str); 4] = [(500, "p50"), (900, "p90"), (990, "p99"), (999, "p99.9")];

/// Latencies in microseconds with how often each was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// In order: upper end of a bin, count.
    bins: Vec<(f64, u64)>,
    /// Percentiles of [`PERCENTILES`].
    pub percentiles: [f64; 4],
}

/// A range of latencies on a logarithmic axis, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Shortest.
    pub low_us: f64,
    /// Longest.
    pub high_us: f64,
}

/// A range is at least this wide, so that latencies that are all alike still stand on an axis.
const RATIO_LEAST: f64 = 1.2;

impl Latencies {
    /// Of a histogram in cycles. `None` when nothing was measured.
    pub fn of(histogram: &LatencyHistogram, frequency_mhz: u32) -> Option<Latencies> {
        let microseconds = |cycles: u64| cycles as f64 / f64::from(frequency_mhz);
        let bins: Vec<(f64, u64)> = histogram.bins().map(|(cycles, count)| (microseconds(cycles), count)).collect();
        let percentile = |(thousandths, _): (u32, &str)| histogram.percentile(thousandths).map_or(f64::NAN, microseconds);
        (!bins.is_empty()).then(|| Latencies { percentiles: PERCENTILES.map(percentile), bins })
    }

    /// Measured latencies.
    pub fn count(&self) -> u64 {
        self.bins.iter().map(|bin| bin.1).sum()
    }

    /// Share of all latencies at or below a value.
    pub fn share_below(&self, value_us: f64) -> f64 {
        let below: u64 = self.bins[..self.bins.partition_point(|bin| bin.0 <= value_us)].iter().map(|bin| bin.1).sum();
        below as f64 / self.count().max(1) as f64
    }

    /// Shares of all latencies in so many columns of equal width on a logarithmic axis.
    pub fn columns(&self, range: Range, columns: usize) -> Vec<f64> {
        let mut shares = vec![0.0; columns];
        let all = self.count().max(1) as f64;
        for (value, count) in &self.bins {
            let column = (range.place(*value) * columns as f64).floor().clamp(0.0, columns.saturating_sub(1) as f64);
            if let Some(share) = shares.get_mut(column as usize) {
                *share += *count as f64 / all;
            }
        }
        shares
    }

    /// Points of the cumulative curve: value and share at or below it, one for each column.
    pub fn cumulated(&self, range: Range, columns: usize) -> Vec<(f64, f64)> {
        let place = |column: usize| (column as f64) / columns.saturating_sub(1).max(1) as f64;
        (0..columns).map(|column| range.value(place(column))).map(|value| (value, self.share_below(value))).collect()
    }
}

impl Range {
    /// The range that holds all of several mechanisms' latencies.
    pub fn over<'a>(all: impl Iterator<Item = &'a Latencies>) -> Option<Range> {
        let ends = |latencies: &Latencies| Some((latencies.bins.first()?.0, latencies.bins.last()?.0));
        let joined = all.filter_map(ends).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        let (low, high) = joined?;
        let low_us = low.max(1e-3);
        Some(Range { low_us, high_us: high.max(low_us * RATIO_LEAST) })
    }

    /// Place of a value on the logarithmic axis, 0 to 1.
    pub fn place(&self, value_us: f64) -> f64 {
        libm::log(value_us.max(self.low_us) / self.low_us) / libm::log(self.high_us / self.low_us)
    }

    /// The value at a place.
    pub fn value(&self, place: f64) -> f64 {
        self.low_us * libm::exp(libm::log(self.high_us / self.low_us) * place)
    }

    /// Round values for labels: 1, 2 and 5 times powers of ten, with both ends.
    pub fn ticks(&self) -> Vec<f64> {
        let mut ticks = vec![self.low_us];
        let mut power = libm::pow(10.0, libm::floor(libm::log10(self.low_us)));
        while power <= self.high_us {
            ticks.extend(
                [1.0, 2.0, 5.0].map(|digit| digit * power).into_iter().filter(|tick| (self.low_us..self.high_us).contains(tick)),
            );
            power *= 10.0;
        }
        ticks.push(self.high_us);
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(values: &[u64]) -> Latencies {
        let mut histogram = LatencyHistogram::new();
        values.iter().for_each(|value| histogram.record(*value));
        Latencies::of(&histogram, 1).unwrap()
    }

    #[test]
    fn shares_lie_in_their_columns_and_sum_to_one() {
        let own = latencies(&[1, 1, 10, 100]);
        let range = Range::over([&own].into_iter()).unwrap();
        assert_eq!((range.low_us, range.high_us), (1.0, 100.0));
        assert_eq!(own.columns(range, 4), [0.5, 0.0, 0.25, 0.25]);
        assert_eq!(own.columns(range, 1), [1.0]);
        assert!(own.columns(range, 0).is_empty());
        assert_eq!(
            (own.share_below(0.5), own.share_below(1.0), own.share_below(99.0), own.share_below(100.0)),
            (0.0, 0.5, 0.75, 1.0)
        );
        assert_eq!(own.percentiles, [1.0, 100.0, 100.0, 100.0]);
    }

    #[test]
    fn the_cumulative_curve_rises_to_one() {
        let (one, other) = (latencies(&[5, 6, 7]), latencies(&[50, 60, 7000]));
        let range = Range::over([&one, &other].into_iter()).unwrap();
        let curve = other.cumulated(range, 33);
        assert_eq!(curve.len(), 33);
        assert!(curve.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        assert_eq!(curve[0].1, 0.0);
        assert!(one.cumulated(range, 33).last().unwrap().1 > 0.999);
    }

    #[test]
    fn latencies_that_are_all_alike_have_an_axis() {
        let own = latencies(&[42, 42]);
        let range = Range::over([&own].into_iter()).unwrap();
        assert!(range.high_us > range.low_us && own.columns(range, 3) == [1.0, 0.0, 0.0]);
        assert_eq!(Range::over([].into_iter()), None);
        assert_eq!(Latencies::of(&LatencyHistogram::new(), 1000), None);
    }

    #[test]
    fn labels_are_round_numbers_between_the_ends() {
        let range = Range { low_us: 3.0, high_us: 70.0 };
        assert_eq!(range.ticks(), [3.0, 5.0, 10.0, 20.0, 50.0, 70.0]);
    }
}
