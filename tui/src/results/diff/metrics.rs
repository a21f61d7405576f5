//! The metrics of two reports of one point: which there are, how large a change is, and whether chance can have made it.

use super::{Change, Verdict};
use sim_core::digits::rounded;
use sim_core::estimate::{self, Estimate};
use sim_core::report::RunReport;
use std::collections::BTreeMap;

/// Beginnings of the names of what is compared. The rest of a report is settings, counts over all windows, or lists of calls.
const COMPARED: [&str; 12] = [
    "throughput_rps.mean",
    "speedup_vs_sync.mean",
    "latency_us.",
    "modes.user.cpi",
    "modes.kernel.cpi",
    "modes.user.misses_per_kinstr.",
    "modes.kernel.misses_per_kinstr.",
    "cycle_stack.",
    "per_request.",
    "indirect_by_mode.",
    "batch.",
    "cores_used.",
];
/// Compared too; whole names.
const COMPARED_ALONE: [&str; 2] = ["cpu_us_per_request", "mechanism_memory_bytes"];

/// Metrics that changed, those that count first, then by size.
pub fn changes(before: &RunReport, after: &RunReport, tolerance: Option<f64>) -> Vec<Change> {
    let later: BTreeMap<String, f64> = metrics(after).into_iter().collect();
    let earlier = metrics(before);
    let largest = largest_of_groups(&earlier, &later);
    let mut changes: Vec<Change> = earlier
        .iter()
        .filter_map(|(name, value)| Some((name, *value, *later.get(name)?)))
        .filter(|(_, one, other)| one != other)
        .map(|(name, one, other)| {
            let whole = largest.get(group(name)).copied().unwrap_or(0.0);
            let size = rounded((other - one).abs() / whole.max(one.abs()).max(other.abs()));
            let interval = intervals(name, before, after);
            Change {
                metric: name.strip_suffix(".mean").filter(|name| ESTIMATED.contains(name)).unwrap_or(name).to_owned(),
                before: one,
                after: other,
                relative: (one != 0.0).then(|| rounded(other / one - 1.0)),
                size,
                interval,
                verdict: verdict(interval, size, tolerance),
            }
        })
        .collect();
    let rank = |change: &Change| if change.verdict.counts() { 0 } else { 1 };
    changes.sort_by(|left, right| rank(left).cmp(&rank(right)).then_with(|| right.size.total_cmp(&left.size)));
    changes
}

fn verdict(interval: Option<(f64, f64)>, size: f64, tolerance: Option<f64>) -> Verdict {
    match (interval, tolerance) {
        (Some((low, high)), _) if low > 0.0 || high < 0.0 => Verdict::Beyond,
        (Some(_), _) => Verdict::Within,
        (None, None) => Verdict::NoInterval,
        (None, Some(tolerance)) if size > tolerance => Verdict::BeyondTolerance,
        (None, Some(_)) => Verdict::Within,
    }
}

fn metrics(report: &RunReport) -> Vec<(String, f64)> {
    let compared = |name: &str| COMPARED.iter().any(|start| name.starts_with(start)) || COMPARED_ALONE.contains(&name);
    let values = report.flatten_values().into_iter().filter(|(name, _)| compared(name));
    values.filter_map(|(name, value)| Some((name, value.as_f64()?))).collect()
}

/// Metrics of one group are sizes of the same kind: small ones are seen against the largest.
fn group(name: &str) -> &str {
    if name.starts_with("cycle_stack.") || name.starts_with("indirect_by_mode.") {
        return "per_request.cycles_total";
    }
    if name.starts_with("per_request.") && name.ends_with("_cycles") {
        return "per_request.cycles_total";
    }
    if matches!(name, "per_request.syscalls" | "per_request.crossings" | "per_request.context_switches") {
        return "per_request.syscalls";
    }
    match name.rsplit_once('.') {
        Some((group, _)) if group.ends_with("misses_per_kinstr") || group == "cores_used" => group,
        _ => name,
    }
}

/// The largest magnitude of each group, in either report.
fn largest_of_groups(earlier: &[(String, f64)], later: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let mut largest: BTreeMap<String, f64> = BTreeMap::new();
    let all = earlier.iter().map(|(name, value)| (name, value)).chain(later);
    for (name, value) in all {
        // the total of a request is itself the size of its group
        let entry = largest.entry(group(name).to_owned()).or_default();
        *entry = entry.max(value.abs());
    }
    largest
}

/// Metrics that are estimates with intervals.
const ESTIMATED: [&str; 2] = ["throughput_rps", "speedup_vs_sync"];

/// The interval of the change of a metric that has intervals.
fn intervals(name: &str, before: &RunReport, after: &RunReport) -> Option<(f64, f64)> {
    match name.strip_suffix(".mean") {
        Some("throughput_rps") => welch(&before.throughput_rps, &after.throughput_rps),
        Some("speedup_vs_sync") => {
            // the interval of a ratio is one of its logarithm
            let (one, other) = (before.speedup_vs_sync?, after.speedup_vs_sync?);
            let (low, high) = welch(&logarithm(&one), &logarithm(&other))?;
            Some((rounded(one.mean * libm::expm1(low)), rounded(one.mean * libm::expm1(high))))
        }
        _ => {
            let ((one, spread), (other, other_spread)) = (over_seeds(name, before)?, over_seeds(name, after)?);
            let half = welch_half_width(&spread, &other_spread)?;
            let change = other - one;
            Some((rounded(change - half), rounded(change + half)))
        }
    }
}

/// A metric over all requests, with its mean over the seeds; nothing for metrics of which the seeds are not kept.
fn over_seeds(name: &str, report: &RunReport) -> Option<(f64, Estimate)> {
    let (seeds, all) = (report.over_seeds.as_ref()?, &report.latency_us);
    Some(match name {
        "latency_us.mean" => (all.mean, seeds.latency_us.mean),
        "latency_us.p50" => (all.p50, seeds.latency_us.p50),
        "latency_us.p90" => (all.p90, seeds.latency_us.p90),
        "latency_us.p99" => (all.p99, seeds.latency_us.p99),
        "latency_us.p999" => (all.p999, seeds.latency_us.p999),
        "cpu_us_per_request" => (report.cpu_us_per_request, seeds.cpu_us_per_request),
        _ => return None,
    })
}

fn logarithm(ratio: &Estimate) -> Estimate {
    let [mean, low, high] = [ratio.mean, ratio.low, ratio.high].map(libm::log);
    Estimate { mean, low, high, n: ratio.n }
}

/// Welch's interval of the difference of two means, from their own Student intervals. Nothing when one is not known.
pub(super) fn welch(before: &Estimate, after: &Estimate) -> Option<(f64, f64)> {
    let half = welch_half_width(before, after)?;
    let change = after.mean - before.mean;
    change.is_finite().then(|| (rounded(change - half), rounded(change + half)))
}

fn welch_half_width(before: &Estimate, after: &Estimate) -> Option<f64> {
    let error = |estimate: &Estimate| {
        let freedom = estimate.n as f64 - 1.0;
        let error = estimate.half_width() / estimate::student_t(freedom);
        (error.is_finite() && freedom >= 1.0).then_some((error * error, freedom))
    };
    let ((one, one_freedom), (other, other_freedom)) = (error(before)?, error(after)?);
    let sum = one + other;
    let freedom = sum * sum / (one * one / one_freedom + other * other / other_freedom);
    let half = if sum == 0.0 { 0.0 } else { estimate::student_t(freedom) * libm::sqrt(sum) };
    half.is_finite().then_some(half)
}
