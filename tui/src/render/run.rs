//! One mechanism in depth: summary, cycle stack, counters per mode, who evicted what, shadow, calls, batches.

use super::table::Table;
use super::words::{hanging, wrapped};
use crate::numbers::{fixed, percent, short, whole, with_interval};
use crate::terminal::Terminal;
use sim_core::ids::Mode;
use sim_core::report::{EvictorRow, RunReport, ShadowRow};
use sim_core::workload::Workload;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Structures in report order.
const STRUCTURES: [&str; 8] = ["l1i", "l1d", "l2", "l3", "itlb", "dtlb", "stlb", "branch"];
/// Components below this share of all cycles are left out without --verbose.
const SHARE_SHOWN: f64 = 0.0005;
/// Cells of the longest bar.
const BAR: usize = 30;

/// The whole report as text.
pub fn run(report: &RunReport, workload: &Workload, terminal: &Terminal) -> String {
    let mut text = format!(
        "{}\n{}",
        terminal.bold(&format!("{} with {} on {}, {}", report.workload, report.label(), report.machine, report.kernel)),
        wrapped(&workload.description, terminal.width)
    );
    if !report.applicable {
        let reason = report.reason.as_deref().unwrap_or("no reason given");
        text.push_str(&hanging(&format!("{} does not apply: {reason}", report.label()), terminal.width, 4));
        return text;
    }
    text.push_str(&summary(report, terminal));
    let per_request = report.requests.max(1) as f64;
    for (title, body) in [
        ("Where the cycles go (per request)", stack(report, terminal)),
        ("Modes, as privilege-filtered counters would show them", modes(report, terminal)),
        ("Misses per request and who had pushed the line out", evictors(&report.evictors, per_request, terminal)),
        ("Shadow: misses per request, and had each mode run alone", shadow(report.shadow.as_deref(), per_request, terminal)),
        ("System calls", calls(report, terminal)),
    ] {
        section(&mut text, title, &body, terminal);
    }
    section(&mut text, "Batches", &batches(report), terminal);
    text.push('\n');
    if !terminal.quiet {
        for note in &report.notes {
            text.push_str(&hanging(&format!("note: {note}"), terminal.width, 4));
        }
    }
    writeln!(text, "again: {}", report.manifest.command).ok();
    text
}

fn section(text: &mut String, title: &str, body: &str, terminal: &Terminal) {
    if !body.is_empty() {
        write!(text, "\n{}\n{body}", terminal.bold(title)).ok();
    }
}

fn summary(report: &RunReport, terminal: &Terminal) -> String {
    let cores = &report.cores_used;
    let client = if cores.client > 0.0 { format!(", client {}", fixed(cores.client, 2)) } else { String::new() };
    let latency = &report.latency_us;
    let rows = [
        (
            "throughput",
            format!(
                "{} requests/s (95 %, n = {}); limited by the {}",
                with_interval(&report.throughput_rps, 0, ""),
                report.throughput_rps.n,
                report.limited_by.map_or("-", |limit| limit.name())
            ),
        ),
        (
            "latency",
            format!(
                "p50 {} us, p90 {} us, p99 {} us, longest {} us",
                short(latency.p50),
                short(latency.p90),
                short(latency.p99),
                short(latency.max)
            ),
        ),
        (
            "work",
            format!(
                "{} user and {} kernel instructions, {} system calls, {} crossings, {} context switches a request",
                fixed(report.per_request.instructions_user, 0),
                fixed(report.per_request.instructions_kernel, 0),
                short(report.per_request.syscalls),
                short(report.per_request.crossings),
                short(report.per_request.context_switches)
            ),
        ),
        (
            "cost",
            format!(
                "direct {}, indirect {} (user {}, kernel {}), mechanism {} cycles a request",
                fixed(report.per_request.direct_cycles, 0),
                fixed(report.per_request.indirect_cycles, 0),
                fixed(report.indirect_by_mode.user, 0),
                fixed(report.indirect_by_mode.kernel, 0),
                fixed(report.per_request.mechanism_cycles, 0)
            ),
        ),
        (
            "cores",
            format!(
                "of {}: user {}, kernel {}, idle {}{client}; {} us of processor time a request",
                report.cores,
                fixed(cores.user, 2),
                fixed(cores.kernel, 2),
                fixed(cores.idle, 2),
                short(report.cpu_us_per_request)
            ),
        ),
        (
            "measured",
            format!(
                "{} requests over {} seeds from {}, {} connections; {} of busy cycles synthetic; mechanism memory {} KiB",
                whole(report.requests),
                report.reps,
                report.seed,
                report.connections,
                percent(report.synthetic_cycle_share),
                whole(report.mechanism_memory_bytes / 1024)
            ),
        ),
        ("also", occurrences(report)),
        ("why", report.why.clone()),
    ];
    let rows = rows.iter().filter(|(_, words)| !words.is_empty());
    rows.map(|(name, words)| hanging(&format!("{name}: {words}"), terminal.width, 4)).collect()
}

/// What the mechanism itself counts, per request.
fn occurrences(report: &RunReport) -> String {
    let words =
        report.occurrences.iter().map(|row| format!("{} {} ({} a request)", whole(row.count), row.what, short(row.per_request)));
    words.collect::<Vec<_>>().join("; ")
}

/// Components with bars; each domain as a total first.
fn stack(report: &RunReport, terminal: &Terminal) -> String {
    let total = report.cycle_stack.sum();
    let largest = report.cycle_stack.components.iter().fold(0.0_f64, |most, component| most.max(component.1));
    let mut table = Table::with_order(&[("component", false, 0), ("cycles", true, 0), ("share", true, 0), ("", false, 1)]);
    let mut group = "";
    for (name, cycles) in &report.cycle_stack.components {
        let (domain, part) = name.split_once('.').unwrap_or((name, ""));
        if domain != group {
            group = domain;
            let prefix = if part.is_empty() { domain.to_owned() } else { format!("{domain}.") };
            let sum = if part.is_empty() { *cycles } else { report.cycle_stack.sum_of(&prefix) };
            if sum > 0.0 || terminal.verbose {
                table.row([domain.to_owned(), fixed(sum, 0), percent(sum / total), String::new()]);
            }
        }
        if !part.is_empty() && (*cycles > SHARE_SHOWN * total || terminal.verbose) {
            let bar = "█".repeat((cycles / largest * BAR as f64).round() as usize);
            table.row([format!("  {part}"), fixed(*cycles, 0), percent(cycles / total), bar]);
        }
    }
    table.row(["all".to_owned(), fixed(total, 0), percent(1.0), String::new()]);
    table.render(terminal)
}

fn modes(report: &RunReport, terminal: &Terminal) -> String {
    let mut table = Table::with_order(&[
        ("mode", false, 0),
        ("instructions\na request", true, 0),
        ("CPI", true, 0),
        ("l1i", true, 0),
        ("l1d", true, 0),
        ("l2", true, 0),
        ("l3", true, 1),
        ("itlb", true, 2),
        ("dtlb", true, 2),
        ("stlb", true, 2),
        ("branch", true, 1),
    ]);
    for mode in Mode::ALL {
        let own = report.modes.get(mode);
        let misses = &own.misses_per_kinstr;
        let rates = [misses.l1i, misses.l1d, misses.l2, misses.l3, misses.itlb, misses.dtlb, misses.stlb, misses.branch];
        let mut row =
            vec![mode.name().to_owned(), fixed(own.instructions as f64 / report.requests.max(1) as f64, 0), fixed(own.cpi, 2)];
        row.extend(rates.map(short));
        table.row(row);
    }
    format!("{}Columns from l1i on are misses per thousand instructions of the mode.\n", table.render(terminal))
}

/// Misses by structure and mode, with who had pushed the line out, and the cycles that the other mode's evictions cost.
pub fn evictors(rows: &[EvictorRow], requests: f64, terminal: &Terminal) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = Table::with_order(&[
        ("structure", false, 0),
        ("mode", false, 0),
        ("misses", true, 0),
        ("never", true, 2),
        ("same", true, 0),
        ("other mode", true, 0),
        ("coherence", true, 3),
        ("flush", true, 3),
        ("cycles of\nthe other", true, 1),
        ("most of the other mode's", false, 4),
    ]);
    for structure in STRUCTURES {
        for mode in Mode::ALL {
            let own: Vec<&EvictorRow> = rows.iter().filter(|row| row.structure == structure && row.mode == mode).collect();
            if !own.is_empty() {
                table.row(evictor_row(structure, mode, &own, requests));
            }
        }
    }
    table.drop_zeros(&["coherence", "flush"]);
    let mut text = table.render(terminal);
    if terminal.verbose {
        text.push_str(&all_evictors(rows, requests, terminal));
    }
    text
}

/// A count by requests; a whole number when everything is one request (a replay).
fn per_request(count: u64, requests: f64) -> String {
    if requests == 1.0 { whole(count) } else { short(count as f64 / requests) }
}

fn evictor_row(structure: &str, mode: Mode, rows: &[&EvictorRow], requests: f64) -> Vec<String> {
    const CAUSES: [&str; 4] = ["never", "same", "coherence", "flush"];
    let of = |name: &str| rows.iter().filter(|row| row.evictor == name).map(|row| row.misses).sum::<u64>();
    let mut others: Vec<&&EvictorRow> = rows.iter().filter(|row| !CAUSES.contains(&row.evictor.as_str())).collect();
    others.sort_by(|left, right| right.misses.cmp(&left.misses).then_with(|| left.evictor.cmp(&right.evictor)));
    let other: u64 = others.iter().map(|row| row.misses).sum();
    let cycles: u64 = others.iter().map(|row| row.cycles).sum();
    let top: Vec<String> = others
        .iter()
        .take(2)
        .filter(|row| row.misses > 0)
        .map(|row| format!("{} {} %", row.evictor, fixed(row.misses as f64 * 100.0 / other as f64, 0)))
        .collect();
    let per = |count: u64| per_request(count, requests);
    let all = rows.iter().map(|row| row.misses).sum();
    vec![
        structure.to_owned(),
        mode.name().to_owned(),
        per(all),
        per(of("never")),
        per(of("same")),
        per(other),
        per(of("coherence")),
        per(of("flush")),
        per(cycles),
        top.join(", "),
    ]
}

fn all_evictors(rows: &[EvictorRow], requests: f64, terminal: &Terminal) -> String {
    let mut table = Table::new(["structure", "mode", "evictor", "misses", "cycles"], &[false, false, false, true, true]);
    for row in rows {
        let per = |count: u64| per_request(count, requests);
        table.row([row.structure.clone(), row.mode.name().to_owned(), row.evictor.clone(), per(row.misses), per(row.cycles)]);
    }
    format!("\n{}", table.render(terminal))
}

/// Misses with and without the other mode.
pub fn shadow(rows: Option<&[ShadowRow]>, requests: f64, terminal: &Terminal) -> String {
    let Some(rows) = rows else { return String::new() };
    let columns = ["structure", "mode", "shared", "alone", "destroyed", "saved"];
    let mut table = Table::new(columns, &[false, false, true, true, true, true]);
    let mut order: BTreeMap<usize, Vec<&ShadowRow>> = BTreeMap::new();
    for row in rows {
        let place = STRUCTURES.iter().position(|structure| *structure == row.structure).unwrap_or(STRUCTURES.len());
        order.entry(place).or_default().push(row);
    }
    for row in order.into_values().flatten() {
        let per = |count: u64| per_request(count, requests);
        let shared = row.misses_alone.saturating_add(row.destructive).saturating_sub(row.constructive);
        table.row([
            row.structure.clone(),
            row.mode.name().to_owned(),
            per(shared),
            per(row.misses_alone),
            per(row.destructive),
            per(row.constructive),
        ]);
    }
    table.render(terminal)
}

fn calls(report: &RunReport, terminal: &Terminal) -> String {
    let columns = [
        ("call", false, 0),
        ("a request", true, 0),
        ("instructions each", true, 1),
        ("cycles each", true, 0),
        ("CPI", true, 1),
        ("cycles a request", true, 0),
    ];
    let mut table = Table::with_order(&columns);
    let mut rows: Vec<_> = report.per_call.iter().collect();
    let cycles = |row: &sim_core::report::CallRow| row.issued_per_request * row.cycles_per_call;
    rows.sort_by(|left, right| cycles(right).total_cmp(&cycles(left)).then_with(|| left.call.cmp(&right.call)));
    for row in rows {
        table.row([
            row.call.clone(),
            short(row.issued_per_request),
            fixed(row.instructions_per_call, 0),
            fixed(row.cycles_per_call, 0),
            fixed(row.cycles_per_call / row.instructions_per_call, 2),
            fixed(cycles(row), 0),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render(terminal) }
}

fn batches(report: &RunReport) -> String {
    let batch = &report.batch;
    format!(
        "calls under way together: mean {}, median {}, p99 {}, most {}; ended by: {}\n",
        short(batch.mean),
        short(batch.p50),
        short(batch.p99),
        short(batch.max),
        batch.limited_by
    )
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::terminal;
    use super::*;

    fn row(evictor: &str, misses: u64, cycles: u64) -> EvictorRow {
        EvictorRow { structure: "l1i".into(), mode: Mode::User, evictor: evictor.into(), misses, cycles }
    }

    #[test]
    fn evictors_of_the_other_mode_are_summed_and_named() {
        let rows = [row("never", 10, 5), row("same", 20, 50), row("read", 60, 300), row("softirq", 40, 100), row("flush", 1, 1)];
        let text = evictors(&rows, 10.0, &terminal(120));
        let line = text.lines().find(|line| line.contains("l1i")).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..9], ["l1i", "user", "13.1", "1.00", "2.00", "10.0", "0.100", "40.0", "read"]);
        assert!(line.ends_with("read 60 %, softirq 40 %"), "{line}");
        assert_eq!(evictors(&[], 1.0, &terminal(120)), "");
    }

    #[test]
    fn shadow_shows_what_sharing_changed() {
        let rows = [ShadowRow { structure: "l2".into(), mode: Mode::Kernel, misses_alone: 100, destructive: 30, constructive: 10 }];
        let text = shadow(Some(&rows), 1.0, &terminal(120));
        assert!(text.lines().any(|line| line.split_whitespace().eq(["l2", "kernel", "120", "100", "30", "10"])), "{text}");
    }
}
