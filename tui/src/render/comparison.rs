//! The comparison: one row per mechanism, then where each gain or loss comes from, then what to be careful about.

use super::table::Table;
use super::words::{hanging, wrapped};
use crate::numbers::{fixed, percent, short, whole, with_interval};
use crate::terminal::Terminal;
use sim_core::report::{Comparison, LimitedBy, RunReport};
use sim_core::workload::Workload;
use std::fmt::Write;

/// Above this share of synthetic cycles the reader is warned: a tenth of the work is not what was recorded.
const SYNTHETIC_SHARE_WARNED: f64 = 0.1;
/// Widest interval of a speed-up that counts as reached (MODEL.md section 0: at most 2 % either way).
const INTERVAL_RELATIVE: f64 = 0.02;

/// The whole comparison as text.
pub fn comparison(comparison: &Comparison, workload: &Workload, terminal: &Terminal) -> String {
    let mut text = heading(comparison, workload, terminal);
    text.push('\n');
    text.push_str(&table(comparison, terminal));
    text.push('\n');
    for report in &comparison.results {
        let why = if report.applicable { report.why.clone() } else { not_applicable(report) };
        text.push_str(&hanging(&format!("{}: {why}", report.label()), terminal.width, 4));
    }
    text.push('\n');
    if !terminal.quiet {
        for warning in warnings(comparison) {
            text.push_str(&hanging(&format!("warning: {warning}"), terminal.width, 4));
        }
    }
    text.push_str(&footing(comparison, terminal));
    text
}

fn not_applicable(report: &RunReport) -> String {
    format!("does not apply: {}", report.reason.as_deref().unwrap_or("no reason given"))
}

fn heading(comparison: &Comparison, workload: &Workload, terminal: &Terminal) -> String {
    let clients = match comparison.connections {
        0 => String::new(),
        connections => format!(", {connections} connections"),
    };
    let cores = if comparison.cores == 1 { "1 core".to_owned() } else { format!("{} cores", comparison.cores) };
    let title = format!("{} on {}, {}, {cores}{clients}", comparison.workload, comparison.machine, comparison.kernel);
    format!("{}\n{}", terminal.bold(&title), wrapped(&workload.description, terminal.width))
}

/// A number of a mechanism in a comparison.
pub struct Metric {
    /// Above it, on up to two lines.
    pub header: &'static str,
    /// When it is left out on a narrow terminal: the highest first.
    pub order: u8,
    /// The number.
    pub value: fn(&RunReport) -> f64,
    /// As people read it.
    pub shown: fn(f64) -> String,
}

/// Numbers beside throughput and speed-up. What is left out on a narrow terminal is what explains, not what decides.
#[rustfmt::skip]
pub const METRICS: [Metric; 9] = [
    Metric { header: "p50 us", order: 2, value: |report| report.latency_us.p50, shown: short },
    Metric { header: "p99 us", order: 1, value: |report| report.latency_us.p99, shown: short },
    Metric { header: "user\nCPI", order: 4, value: |report| report.modes.user.cpi, shown: |value| fixed(value, 2) },
    Metric { header: "kernel\nCPI", order: 4, value: |report| report.modes.kernel.cpi, shown: |value| fixed(value, 2) },
    Metric { header: "cross-\nings", order: 3, value: |report| report.per_request.crossings, shown: short },
    Metric { header: "direct\ncycles", order: 6, value: |report| report.per_request.direct_cycles, shown: |value| fixed(value, 0) },
    Metric { header: "indirect\ncycles", order: 5, value: |report| report.per_request.indirect_cycles, shown: |value| fixed(value, 0) },
    Metric { header: "mechanism\ncycles", order: 6, value: |report| report.per_request.mechanism_cycles, shown: |value| fixed(value, 0) },
    Metric { header: "mean\nbatch", order: 7, value: |report| report.batch.mean, shown: short },
];

/// The speed-up over the baseline with its interval.
pub fn speedup(report: &RunReport) -> String {
    let speedup = report.speedup_vs_sync.as_ref().map_or("-".into(), |speedup| with_interval(speedup, 2, "x"));
    if report.label() == "sync" { "1.00x".into() } else { speedup }
}

fn table(comparison: &Comparison, terminal: &Terminal) -> String {
    let mut columns = vec![("mechanism", false, 0), ("requests/s", true, 0), ("speed-up", true, 0)];
    columns.extend(METRICS.iter().map(|metric| (metric.header, true, metric.order)));
    let mut table = Table::with_order(&columns);
    for report in &comparison.results {
        let mut cells = vec![report.label()];
        if report.applicable {
            cells.extend([fixed(report.throughput_rps.mean, 0), speedup(report)]);
            cells.extend(METRICS.iter().map(|metric| (metric.shown)((metric.value)(report))));
        }
        cells.resize(columns.len(), "-".into());
        table.row(cells);
    }
    table.render(terminal)
}

/// What to be careful about.
fn warnings(comparison: &Comparison) -> Vec<String> {
    let mut warnings = comparison.notes.clone();
    let applicable: Vec<&RunReport> = comparison.results.iter().filter(|report| report.applicable).collect();
    for report in &applicable {
        let limited = report.limited_by.filter(|limit| *limit != LimitedBy::Server);
        if let Some(limit) = limited.filter(|_| !comparison.notes.iter().any(|note| note.starts_with(&report.label()))) {
            warnings.push(format!("{}: limited by the {}, not by the server", report.label(), limit.name()));
        }
        if report.synthetic_cycle_share > SYNTHETIC_SHARE_WARNED {
            let share = percent(report.synthetic_cycle_share);
            warnings.push(format!("{}: {share} of its busy cycles are synthetic (not recorded, estimated)", report.label()));
        }
        if let Some(speedup) = report.speedup_vs_sync.filter(|_| report.label() != "sync") {
            let half = speedup.half_width_relative();
            if half > INTERVAL_RELATIVE {
                let reached = if half.is_finite() { format!("± {}", percent(half)) } else { "unknown".into() };
                warnings.push(format!(
                    "{}: the interval of the speed-up is {reached}, wider than 2 %: more --reps or --requests narrow it",
                    report.label()
                ));
            }
        }
        if let Some(range) =
            report.exposure_range.filter(|range| (range.low > 1.0) != (range.high > 1.0) && report.label() != "sync")
        {
            warnings.push(format!(
                "{}: whether it gains depends on how much of an instruction miss is exposed: {}x at half, {}x at all of it",
                report.label(),
                fixed(range.low, 2),
                fixed(range.high, 2)
            ));
        }
        for note in &report.notes {
            let own = format!("{}: {note}", report.label());
            if !warnings.contains(&own) {
                warnings.push(own);
            }
        }
    }
    warnings
}

fn footing(comparison: &Comparison, terminal: &Terminal) -> String {
    let mut text = String::new();
    let requests: u64 =
        comparison.results.iter().filter(|report| report.applicable).map(|report| report.requests).max().unwrap_or(0);
    let ranges: Vec<String> = comparison
        .results
        .iter()
        .filter(|report| report.label() != "sync")
        .filter_map(|report| {
            let range = report.exposure_range?;
            Some(format!("{} {}x to {}x", report.label(), fixed(range.low, 2), fixed(range.high, 2)))
        })
        .collect();
    if !ranges.is_empty() {
        let line = format!("speed-up with half to all of an instruction miss exposed: {}", ranges.join(", "));
        text.push_str(&hanging(&line, terminal.width, 4));
    }
    let basis = format!(
        "baseline sync; cycles and crossings are per request; intervals 95 %, n = {} seeds from {}, {} measured requests each",
        comparison.reps,
        comparison.seed,
        whole(requests)
    );
    text.push_str(&hanging(&basis, terminal.width, 4));
    writeln!(text, "again: {}", comparison.manifest.command).ok();
    text
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::terminal;
    use super::*;
    use sim_core::report::Estimate;

    fn sample() -> Comparison {
        let sync = RunReport {
            mechanism: "sync".into(),
            workload: "w".into(),
            machine: "m".into(),
            connections: 64,
            ..RunReport::default()
        };
        let mut other = RunReport { mechanism: "exception-less".into(), ..sync.clone() };
        other.speedup_vs_sync = Some(Estimate { mean: 1.34, low: 1.29, high: 1.39, n: 4 });
        other.synthetic_cycle_share = 0.25;
        other.limited_by = Some(LimitedBy::Client);
        let none = RunReport::not_applicable(&sync, "in-kernel-dsl", "a program without requests");
        Comparison::new(vec![sync, other, none], Vec::new()).unwrap()
    }

    #[test]
    fn warnings_name_the_mechanism_and_the_reason() {
        let warnings = warnings(&sample()).join("\n");
        for expected in ["exception-less: limited by the client", "25.0 % of its busy cycles are synthetic", "± 3.7 %"] {
            assert!(warnings.contains(expected), "{warnings}");
        }
    }

    #[test]
    fn it_fits_wide_and_narrow() {
        let comparison = sample();
        for width in [120, 80, 60] {
            let text = table(&comparison, &terminal(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            assert!(text.contains("1.34x ± 0.05") && text.contains("requests/s"), "{text}");
        }
        assert!(not_applicable(&comparison.results[2]).contains("a program without requests"));
    }
}
