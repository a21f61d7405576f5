//! Latency histogram in cycles: three significant digits for percentiles, exact mean and maximum.

use crate::ids::Cycles;
use crate::report::LatencyMicroseconds;
use hdrhistogram::Histogram;

/// Largest latency that keeps its place: 2^44 cycles are over an hour at 4 GHz. Longer ones count in the highest bin; mean and maximum
/// stay exact.
const TRACKED_CYCLES_MAX: u64 = 1 << 44;

/// Significant decimal digits of a percentile.
const PERCENTILE_DIGITS: u8 = 3;

/// Percentiles of a report, in thousandths: p50, p90, p99, p99.9.
const REPORTED: [u32; 4] = [500, 900, 990, 999];

/// Latencies of replies.
#[derive(Clone, Debug, PartialEq)]
pub struct LatencyHistogram {
    bins: Histogram<u64>,
    sum: u128,
    max: Cycles,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        LatencyHistogram::new()
    }
}

impl LatencyHistogram {
    /// An empty histogram. All memory (about 280 KB) is taken here.
    pub fn new() -> Self {
        let bins = Histogram::new_with_bounds(1, TRACKED_CYCLES_MAX, PERCENTILE_DIGITS)
            .expect("the bounds are constants that hdrhistogram accepts: low is 1, high is above 2 x low, digits are at most 5");
        LatencyHistogram { bins, sum: 0, max: 0 }
    }

    /// Adds one latency.
    pub fn record(&mut self, latency: Cycles) {
        self.bins.saturating_record(latency);
        self.sum += u128::from(latency);
        self.max = self.max.max(latency);
    }

    /// Adds another run's latencies. The order of merging changes nothing.
    pub fn merge(&mut self, other: &LatencyHistogram) {
        for bin in other.bins.iter_recorded() {
            self.bins.saturating_record_n(bin.value_iterated_to(), bin.count_at_value());
        }
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// Bins that hold latencies, in order: upper end in cycles, never above the maximum, and count. Bins are narrower than a thousandth
    /// of their place.
    pub fn bins(&self) -> impl Iterator<Item = (Cycles, u64)> {
        self.bins.iter_recorded().map(|bin| (bin.value_iterated_to().min(self.max), bin.count_at_value()))
    }

    /// Latencies recorded.
    pub fn len(&self) -> u64 {
        self.bins.len()
    }

    /// True when nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// Longest latency, exact; 0 when nothing is recorded.
    pub fn max(&self) -> Cycles {
        self.max
    }

    /// Mean latency in cycles, from the exact sum; NaN when nothing is recorded.
    pub fn mean(&self) -> f64 {
        if self.is_empty() { f64::NAN } else { self.sum as f64 / self.len() as f64 }
    }

    /// Smallest bin's upper end such that at least `thousandths` / 1000 of all latencies lie at or below it; never above the maximum.
    /// `None` when nothing is recorded.
    pub fn percentile(&self, thousandths: u32) -> Option<Cycles> {
        let rank = (u128::from(self.len()) * u128::from(thousandths.min(1000))).div_ceil(1000).max(1);
        let mut below = 0_u128;
        for bin in self.bins.iter_recorded() {
            below += u128::from(bin.count_at_value());
            if below >= rank {
                return Some(bin.value_iterated_to().min(self.max));
            }
        }
        None
    }

    /// Mean, percentiles and maximum in microseconds of a clock of `frequency_hz`; unknown (NaN) when nothing is recorded.
    pub fn microseconds(&self, frequency_hz: u64) -> LatencyMicroseconds {
        let microseconds = |cycles: f64| cycles * 1e6 / frequency_hz as f64;
        let [p50, p90, p99, p999] =
            REPORTED.map(|thousandths| self.percentile(thousandths).map_or(f64::NAN, |cycles| microseconds(cycles as f64)));
        let max = if self.is_empty() { f64::NAN } else { microseconds(self.max as f64) };
        LatencyMicroseconds { mean: microseconds(self.mean()), p50, p90, p99, p999, max }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(values: impl IntoIterator<Item = Cycles>) -> LatencyHistogram {
        let mut histogram = LatencyHistogram::new();
        values.into_iter().for_each(|value| histogram.record(value));
        histogram
    }

    #[test]
    fn percentiles_of_one_to_a_thousand_are_exact() {
        let histogram = filled(1..=1000);
        let found = [500, 900, 990, 999, 1000, 0].map(|thousandths| histogram.percentile(thousandths));
        assert_eq!(found, [500, 900, 990, 999, 1000, 1].map(Some));
        assert_eq!((histogram.max(), histogram.mean(), histogram.len()), (1000, 500.5, 1000));
    }

    #[test]
    fn large_values_keep_three_digits() {
        let histogram = filled((1..=1000).map(|index| index * 1_234_567));
        for thousandths in [500, 900, 990, 999] {
            let exact = u64::from(thousandths) * 1_234_567;
            let found = histogram.percentile(thousandths).expect("not empty");
            assert!(found >= exact && found - exact <= exact / 1000, "p{thousandths}: {found} for {exact}");
        }
        assert_eq!(histogram.percentile(1000), Some(1_234_567_000));
    }

    #[test]
    fn bins_hold_every_latency_in_order() {
        let histogram = filled([5, 5, 70, 1_234_567]);
        let bins: Vec<(Cycles, u64)> = histogram.bins().collect();
        assert_eq!(bins, [(5, 2), (70, 1), (1_234_567, 1)]);
        assert_eq!(filled([]).bins().count(), 0);
    }

    #[test]
    fn merging_equals_recording_together() {
        let mut parts = filled((0..5000).map(|index| index * index));
        parts.merge(&filled((0..300).map(|index| index * 1_000_003)));
        let mut other_way = filled((0..300).map(|index| index * 1_000_003));
        other_way.merge(&filled((0..5000).map(|index| index * index)));
        let together = filled((0..5000).map(|index| index * index).chain((0..300).map(|index| index * 1_000_003)));
        assert_eq!(parts, together);
        assert_eq!(other_way, together);
    }

    #[test]
    fn conversion_to_microseconds() {
        let latency = filled([2_000, 4_000, 6_000]).microseconds(2_000_000_000);
        assert_eq!((latency.mean, latency.max), (2.0, 3.0));
        assert!((latency.p50 - 2.0).abs() < 0.002 && (latency.p999 - 3.0).abs() < 0.003);
    }

    #[test]
    fn beyond_the_range_mean_and_maximum_stay_exact() {
        let histogram = filled([0, u64::MAX]);
        assert_eq!((histogram.max(), histogram.len()), (u64::MAX, 2));
        assert_eq!(histogram.mean(), u64::MAX as f64 / 2.0);
        assert!(histogram.percentile(999).is_some_and(|value| value >= TRACKED_CYCLES_MAX));
    }

    #[test]
    fn nothing_recorded_is_unknown() {
        let empty = LatencyHistogram::new();
        assert_eq!(empty.percentile(500), None);
        let latency = empty.microseconds(1_000_000_000);
        assert!(latency.mean.is_nan() && latency.p999.is_nan() && latency.max.is_nan());
    }
}
