//! The result of a sweep: one row a point, what was varied and what came out.

use super::table::Table;
use crate::numbers::{short, with_interval};
use crate::sweep::lines::{BriefOutcome, BriefReport, Entry};
use crate::terminal::Terminal;
use sim_core::sweep::{Header, plain_text};
use std::fmt::Write;

/// Rows that are shown without --verbose.
const ROWS_SHOWN: usize = 200;

/// The table.
pub fn sweep(entries: &[Entry], header: &Header, terminal: &Terminal) -> String {
    let varied: Vec<(&str, bool)> = header
        .axes
        .iter()
        .filter(|axis| axis.values.len() > 1)
        .map(|axis| (axis.path.as_str(), axis.values.iter().all(serde_json::Value::is_number)))
        .collect();
    let mut columns: Vec<(&str, bool, u8)> = varied.iter().map(|(path, numeric)| (*path, *numeric, 0)).collect();
    columns.extend([("requests/s", true, 0), ("speed-up", true, 0), ("p99 us", true, 1), ("limited by", false, 2)]);
    let mut table = Table::with_order(&columns);
    let shown = if terminal.verbose { entries.len() } else { ROWS_SHOWN };
    for entry in entries.iter().take(shown) {
        let axes = varied.iter().map(|(path, _)| entry.brief.axes.get(path).map(plain_text).unwrap_or_default());
        table.row(axes.chain(results(&entry.brief.outcome)));
    }
    let mut text = format!("{}\n", terminal.bold(&format!("Sweep of {} over {}", header.workload, names(header))));
    text.push_str(&table.render(terminal));
    if entries.len() > shown {
        writeln!(text, "… and {} more points; --verbose lists all", entries.len() - shown).ok();
    }
    writeln!(text, "again: {}", header.command).ok();
    text
}

fn names(header: &Header) -> String {
    header.axes.iter().map(|axis| axis.path.as_str()).collect::<Vec<_>>().join(", ")
}

fn results(outcome: &BriefOutcome) -> [String; 4] {
    match outcome {
        BriefOutcome::Done { report } if report.applicable => measured(report),
        BriefOutcome::Done { .. } => ["-".into(), "-".into(), "-".into(), "does not apply".into()],
        BriefOutcome::Failed { .. } => ["failed".into(), "-".into(), "-".into(), String::new()],
    }
}

fn measured(report: &BriefReport) -> [String; 4] {
    let speedup = report.speedup_vs_sync.map_or("-".into(), |speedup| with_interval(&speedup, 2, "x"));
    [
        with_interval(&report.throughput_rps, 0, ""),
        speedup,
        report.latency_us.p99.map_or("-".into(), short),
        report.limited_by.map_or(String::new(), |limit| limit.name().to_owned()),
    ]
}
