//! Estimates with confidence intervals: batch means inside a run, Student's t over seeds, the paired speed-up, and when to stop.
//!
//! All sums are folded in index order, and logarithms come from the libm crate, so an estimate does not depend on the platform or on
//! the number of host threads.

use crate::digits;
use crate::ids::Cycles;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Confidence of every interval, in percent.
pub const CONFIDENCE_PERCENT: f64 = 95.0;

/// A mean with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean over the samples.
    #[serde(with = "digits")]
    pub mean: f64,
    /// Lower end of the interval ([`CONFIDENCE_PERCENT`]); unknown (NaN, `null`) with one sample.
    #[serde(with = "digits")]
    pub low: f64,
    /// Upper end of the interval.
    #[serde(with = "digits")]
    pub high: f64,
    /// Samples: seeds, or batches of one run.
    pub n: u64,
}

impl Default for Estimate {
    fn default() -> Self {
        Estimate::UNKNOWN
    }
}

impl Estimate {
    /// Nothing was measured.
    pub const UNKNOWN: Estimate = Estimate { mean: f64::NAN, low: f64::NAN, high: f64::NAN, n: 0 };

    /// A known number without an interval: a baseline compared with itself, or one sample.
    pub fn exact(value: f64, n: u64) -> Estimate {
        Estimate { mean: value, low: value, high: value, n }
    }

    /// Mean and Student's t interval of independent samples, such as one throughput per seed.
    pub fn of(samples: &[f64]) -> Estimate {
        let n = samples.len() as u64;
        let Some(mean) = mean(samples) else { return Estimate::UNKNOWN };
        let half = half_width(samples, mean);
        Estimate { mean, low: mean - half, high: mean + half, n }
    }

    /// Half the width of the interval.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }

    /// Half the width of the interval divided by the mean's magnitude. Infinite while the interval is unknown, so that a stopping rule
    /// goes on.
    pub fn half_width_relative(&self) -> f64 {
        let relative = self.half_width() / self.mean.abs();
        if relative.is_nan() { f64::INFINITY } else { relative }
    }

    /// The estimate in another unit.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Estimate {
        let (one, other) = (self.low * factor, self.high * factor);
        let (low, high) = if factor < 0.0 { (other, one) } else { (one, other) };
        Estimate { mean: self.mean * factor, low, high, n: self.n }
    }
}

/// Arithmetic mean, summed in index order; `None` of nothing.
pub fn mean(samples: &[f64]) -> Option<f64> {
    if samples.is_empty() { None } else { Some(samples.iter().fold(0.0, |sum, sample| sum + sample) / samples.len() as f64) }
}

/// Sample variance around `mean` (divided by n - 1); NaN with fewer than two samples.
fn variance(samples: &[f64], mean: f64) -> f64 {
    if samples.len() < 2 {
        return f64::NAN;
    }
    samples.iter().fold(0.0, |sum, sample| sum + (sample - mean) * (sample - mean)) / (samples.len() - 1) as f64
}

fn half_width(samples: &[f64], mean: f64) -> f64 {
    let n = samples.len() as f64;
    student_t(n - 1.0) * libm::sqrt(variance(samples, mean) / n)
}

/// Two-sided quantile of Student's t for [`CONFIDENCE_PERCENT`]; NaN below one degree of freedom.
///
/// `statrs` uses the host's logarithms when another crate of the build turns on the standard library; nine digits hide what may differ
/// in the last bits.
pub fn student_t(freedom: f64) -> f64 {
    const QUANTILE_DIGITS: usize = 9;
    let upper = 0.5 + CONFIDENCE_PERCENT / 200.0;
    if freedom.is_nan() || freedom < 1.0 {
        return f64::NAN;
    }
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |student| digits::round_to(student.inverse_cdf(upper), QUANTILE_DIGITS))
}

/// Batch means: cuts the samples, in the order in which they were taken, into `batches` runs of equal length and treats the runs' means
/// as independent. What is left over at the front (fewer than `batches` samples) is not used. Unknown when a batch would be empty.
pub fn batch_means(samples: &[f64], batches: usize) -> Estimate {
    Estimate::of(&batched(samples, batches))
}

/// The means that [`batch_means`] works on.
pub fn batched(samples: &[f64], batches: usize) -> Vec<f64> {
    let size = samples.len().checked_div(batches).unwrap_or(0);
    if size == 0 {
        return Vec::new();
    }
    let used = &samples[samples.len() - size * batches..];
    used.chunks_exact(size).filter_map(mean).collect()
}

/// Events per cycle in each of `batches` equal stretches of the window `start..end`, from the times of the events. An event at `end`
/// counts in the last stretch; events outside the window do not count.
pub fn batched_rate(times: &[Cycles], start: Cycles, end: Cycles, batches: usize) -> Vec<f64> {
    let window = end.saturating_sub(start);
    if batches == 0 || window < batches as u64 {
        return Vec::new();
    }
    let mut counts = vec![0_u64; batches];
    for time in times.iter().filter(|time| (start..=end).contains(time)) {
        let batch = u128::from(time - start) * batches as u128 / u128::from(window);
        counts[(batch as usize).min(batches - 1)] += 1;
    }
    counts.iter().map(|count| *count as f64 * batches as f64 / window as f64).collect()
}

/// Correlation of each sample with the next: near zero when batches are long enough to be independent, `None` when all are equal or
/// there are fewer than three.
pub fn lag_one_correlation(samples: &[f64]) -> Option<f64> {
    let mean = mean(samples)?;
    let spread = samples.iter().fold(0.0, |sum, sample| sum + (sample - mean) * (sample - mean));
    if samples.len() < 3 || spread == 0.0 {
        return None;
    }
    let together = samples.windows(2).fold(0.0, |sum, pair| sum + (pair[0] - mean) * (pair[1] - mean));
    Some(together / spread)
}

/// Speed-up of `candidates` over `baselines`, paired: entry i of both ran under the same seed and met the same clients, so what the
/// seed does to both falls out. The interval is Student's t on the logarithms of the ratios: it never reaches below zero, and the
/// speed-up of B over A is the reciprocal of that of A over B. Pairs beyond the shorter list are not used; unknown when a value is not
/// positive.
pub fn paired_ratio(candidates: &[f64], baselines: &[f64]) -> Estimate {
    let logs = candidates.iter().zip(baselines).map(|(candidate, baseline)| libm::log(candidate / baseline));
    exponential_of(Estimate::of(&logs.collect::<Vec<_>>()))
}

/// Ratio of two means whose samples are independent (batches of two single runs): Welch's interval on the logarithms.
pub fn unpaired_ratio(candidates: &[f64], baselines: &[f64]) -> Estimate {
    let logs = |samples: &[f64]| samples.iter().map(|sample| libm::log(*sample)).collect::<Vec<_>>();
    let (candidates, baselines) = (logs(candidates), logs(baselines));
    let (Some(above), Some(below)) = (mean(&candidates), mean(&baselines)) else { return Estimate::UNKNOWN };
    let parts = [variance(&candidates, above) / candidates.len() as f64, variance(&baselines, below) / baselines.len() as f64];
    let sum = parts[0] + parts[1];
    let weights = parts[0] * parts[0] / (candidates.len() as f64 - 1.0) + parts[1] * parts[1] / (baselines.len() as f64 - 1.0);
    let half = if sum == 0.0 { 0.0 } else { student_t(sum * sum / weights) * libm::sqrt(sum) };
    let center = above - below;
    let n = candidates.len().min(baselines.len()) as u64;
    exponential_of(Estimate { mean: center, low: center - half, high: center + half, n })
}

fn exponential_of(logarithms: Estimate) -> Estimate {
    let finite = |value: f64| if value.is_finite() { libm::exp(value) } else { f64::NAN };
    Estimate { mean: finite(logarithms.mean), low: finite(logarithms.low), high: finite(logarithms.high), n: logarithms.n }
}

/// When enough seeds have been simulated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoppingRule {
    /// Largest allowed half width of the interval, relative to the mean.
    pub half_width_relative_max: f64,
    /// Fewest samples: an interval of two can be narrow by luck.
    pub n_min: u64,
    /// Most samples.
    pub n_max: u64,
    /// Fewest measured requests over all samples.
    pub requests_min: u64,
}

impl Default for StoppingRule {
    /// The speed-up within 2 %, at least 1,000 measured requests (MODEL.md section 0), between 3 and 30 seeds.
    fn default() -> Self {
        StoppingRule { half_width_relative_max: 0.02, n_min: 3, n_max: 30, requests_min: 1000 }
    }
}

/// What a [`StoppingRule`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Take another sample.
    Continue,
    /// Precise enough.
    Precise,
    /// The most samples are taken and the interval is still too wide; the report says so.
    Exhausted,
}

impl StoppingRule {
    /// Decides after `estimate.n` samples with `requests` measured requests in all.
    pub fn decide(&self, estimate: &Estimate, requests: u64) -> Decision {
        let precise = estimate.half_width_relative() <= self.half_width_relative_max;
        if precise && estimate.n >= self.n_min && requests >= self.requests_min {
            Decision::Precise
        } else if estimate.n >= self.n_max {
            Decision::Exhausted
        } else {
            Decision::Continue
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-6 * expected.abs().max(1e-3), "{value} is not {expected}");
    }

    #[test]
    fn quantiles_are_those_of_the_printed_table() {
        for (freedom, expected) in
            [(1.0, 12.706_204_7), (2.0, 4.302_652_73), (4.0, 2.776_445_11), (9.0, 2.262_157_16), (29.0, 2.045_229_64)]
        {
            close(student_t(freedom), expected);
        }
        assert!(student_t(0.0).is_nan());
    }

    /// By hand: mean 12, squares 4 + 0 + 4 = 8, variance 4, standard error 2 / sqrt 3 = 1.154701, times 4.302653.
    #[test]
    fn interval_of_three_samples() {
        let estimate = Estimate::of(&[10.0, 12.0, 14.0]);
        close(estimate.mean, 12.0);
        close(estimate.high, 12.0 + 4.968_275_4);
        close(estimate.low, 12.0 - 4.968_275_4);
        close(estimate.half_width_relative(), 4.968_275_4 / 12.0);
        assert_eq!(estimate.n, 3);
    }

    #[test]
    fn one_sample_has_no_interval_and_none_no_mean() {
        let single = Estimate::of(&[5.0]);
        assert_eq!((single.mean, single.n), (5.0, 1));
        assert!(single.low.is_nan() && single.half_width_relative().is_infinite());
        assert!(Estimate::of(&[]).mean.is_nan());
    }

    /// By hand: the first sample is left over, batches (1, 3), (5, 7), (9, 11) have the means 2, 6, 10.
    #[test]
    fn batches_of_equal_length() {
        let samples = [100.0, 1.0, 3.0, 5.0, 7.0, 9.0, 11.0];
        assert_eq!(batched(&samples, 3), [2.0, 6.0, 10.0]);
        close(batch_means(&samples, 3).high, 6.0 + 2.0 * 4.968_275_4);
        assert_eq!(batch_means(&samples, 8).n, 0);
        assert_eq!(batch_means(&samples, 0).n, 0);
    }

    #[test]
    fn rates_count_every_event_of_the_window_once() {
        let times = [90, 100, 149, 150, 199, 200, 201];
        let rates = batched_rate(&times, 100, 200, 2);
        assert_eq!(rates, [2.0 / 50.0, 3.0 / 50.0]);
        assert!(batched_rate(&times, 200, 100, 2).is_empty());
    }

    #[test]
    fn correlation_of_neighbours() {
        close(lag_one_correlation(&[1.0, -1.0, 1.0, -1.0]).unwrap_or(0.0), -0.75);
        assert!(lag_one_correlation(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).is_some_and(|value| value > 0.4));
        assert_eq!(lag_one_correlation(&[2.0, 2.0, 2.0]), None);
    }

    /// By hand: ratios 2, 2, 2 although the baselines differ by a factor of four: no interval left.
    #[test]
    fn pairing_removes_what_the_seed_does_to_both() {
        let ratio = paired_ratio(&[200.0, 400.0, 800.0], &[100.0, 200.0, 400.0]);
        close(ratio.mean, 2.0);
        close(ratio.low, 2.0);
        close(ratio.high, 2.0);
        let unpaired = unpaired_ratio(&[200.0, 400.0, 800.0], &[100.0, 200.0, 400.0]);
        close(unpaired.mean, 2.0);
        assert!(unpaired.low < 1.0 && unpaired.high > 4.0);
    }

    /// By hand: logarithms of 1, 2, 4 are 0, 1, 2 times ln 2; mean ln 2, standard error ln 2 / sqrt 3, half width
    /// 0.693147 x 0.577350 x 4.302653 = 1.721873; exp gives 2 x 5.59500 and 2 / 5.59500.
    #[test]
    fn interval_of_the_ratio() {
        let ratio = paired_ratio(&[1.0, 2.0, 4.0], &[1.0, 1.0, 1.0]);
        close(ratio.mean, 2.0);
        close(ratio.high, 2.0 * libm::exp(1.721_873_2));
        close(ratio.low * ratio.high, 4.0);
        let reciprocal = paired_ratio(&[1.0, 1.0, 1.0], &[1.0, 2.0, 4.0]);
        close(reciprocal.mean * ratio.mean, 1.0);
        close(reciprocal.low * ratio.high, 1.0);
    }

    #[test]
    fn ratios_of_nothing_are_unknown() {
        assert!(paired_ratio(&[0.0, 1.0], &[1.0, 1.0]).mean.is_nan());
        assert!(unpaired_ratio(&[], &[1.0]).mean.is_nan());
        close(unpaired_ratio(&[4.0, 4.0], &[2.0, 2.0]).low, 2.0);
    }

    #[test]
    fn stops_when_precise_or_exhausted() {
        let rule = StoppingRule { half_width_relative_max: 0.02, n_min: 3, n_max: 5, requests_min: 1000 };
        let estimate = |half: f64, n| Estimate { mean: 1.0, low: 1.0 - half, high: 1.0 + half, n };
        assert_eq!(rule.decide(&estimate(0.01, 3), 3000), Decision::Precise);
        assert_eq!(rule.decide(&estimate(0.01, 2), 3000), Decision::Continue);
        assert_eq!(rule.decide(&estimate(0.01, 3), 999), Decision::Continue);
        assert_eq!(rule.decide(&estimate(0.03, 4), 3000), Decision::Continue);
        assert_eq!(rule.decide(&estimate(0.03, 5), 3000), Decision::Exhausted);
        assert_eq!(rule.decide(&Estimate::UNKNOWN, 0), Decision::Continue);
    }

    #[test]
    fn negative_scale_keeps_low_below_high() {
        let estimate = Estimate::of(&[10.0, 12.0, 14.0]).scaled(-1.0);
        assert!(estimate.low < estimate.mean && estimate.mean < estimate.high);
    }
}
