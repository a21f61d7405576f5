//! Points of sweeps, comparisons and runs: the table of all points for terminals, and one page with plots.

mod best;
mod plots;

pub use plots::{Cell, Plot, STACK_PARTS, Section, cycles_svg, sections, stack_size, throughput_svg};

use super::html;
use super::table::Table;
use super::words::hanging;
use crate::numbers::{fixed, short, with_interval};
use crate::results::{Point, Results, View};
use crate::terminal::Terminal;
use anyhow::Result;
use maud::{Markup, PreEscaped, html};
use sim_core::report::RunReport;
use sim_core::sweep::plain_text;

/// Columns of the table besides the axes: header, numeric, what it shows, and when it is left out on a narrow terminal (0: never).
type Column = (&'static str, bool, u8, fn(&RunReport) -> String);

#[rustfmt::skip]
const COLUMNS: [Column; 8] = [
    ("requests/s", true, 0, |report| with_interval(&report.throughput_rps, 0, "")),
    ("speed-up", true, 0, |report| speedup(report)),
    ("p50 us", true, 2, |report| short(report.latency_us.p50)),
    ("p99 us", true, 1, |report| short(report.latency_us.p99)),
    ("user CPI", true, 5, |report| fixed(report.modes.user.cpi, 2)),
    ("kernel CPI", true, 6, |report| fixed(report.modes.kernel.cpi, 2)),
    ("cpu us", true, 4, |report| short(report.cpu_us_per_request)),
    ("limited by", false, 3, |report| report.limited_by.map_or("-".into(), |limit| limit.name().into())),
];

/// The baseline's own speed-up has no interval to show.
fn speedup(report: &RunReport) -> String {
    match &report.speedup_vs_sync {
        Some(_) if report.label() == "sync" => "1.00x".into(),
        Some(speedup) => with_interval(speedup, 2, "x"),
        None => "-".into(),
    }
}

/// The points as a table for a terminal, then what went wrong.
pub fn text(results: &Results, terminal: &Terminal) -> String {
    let paths: Vec<(&str, bool, u8)> = results.axes.iter().map(|axis| (axis.path.as_str(), true, 0)).collect();
    let columns = COLUMNS.iter().map(|(header, numeric, order, _)| (*header, *numeric, *order));
    let columns: Vec<(&str, bool, u8)> = paths.into_iter().chain([("mechanism", false, 0)]).chain(columns).collect();
    let mut table = Table::with_order(&columns);
    results.points.iter().for_each(|point| table.row(cells(results, point)));
    let mut text = table.render(terminal);
    for line in remarks(results) {
        text.push_str(&hanging(&line, terminal.width, 4));
    }
    text
}

fn cells(results: &Results, point: &Point) -> Vec<String> {
    let value = |path: &str| point.value(path).map_or("-".into(), |value| plain_text(&value));
    let mut cells: Vec<String> = results.axes.iter().map(|axis| value(&axis.path)).collect();
    cells.push(point.mechanism());
    cells.extend(COLUMNS.iter().map(|column| point.measured().map_or("-".into(), column.3)));
    cells
}

/// Points that failed or that a mechanism does not apply to, and what is missing.
fn remarks(results: &Results) -> Vec<String> {
    let failed = results.failed().map(|(point, error)| format!("failed: {}: {error}", results.describe(point)));
    let inapplicable = results.points.iter().filter_map(|point| {
        let report = point.outcome.report().filter(|report| !report.applicable)?;
        Some(format!("does not apply: {}: {}", results.describe(point), report.reason.as_deref().unwrap_or("no reason given")))
    });
    let planned: u64 = results.origins.iter().filter_map(|origin| origin.planned).sum();
    let missing = planned.saturating_sub(results.points.len() as u64);
    let missing = (missing > 0)
        .then(|| format!("missing: {missing} of {planned} points are not finished: `ringscope sweep --resume` finishes them"));
    let notes = results.origins.iter().flat_map(|origin| origin.notes.iter().map(|note| format!("{}: {note}", origin.file)));
    let mut remarks: Vec<String> = failed.chain(inapplicable).chain(missing).chain(notes).collect();
    remarks.dedup();
    remarks
}

/// The page.
pub fn page(results: &Results, view: &View, sections: &[Section]) -> String {
    let body = html! {
        p { (summary(results)) }
        nav {
            @if view.mechanisms.len() > 1 { a href="#best" { "Highest throughput" } }
            @for section in sections { a href=(format!("#{}", section.id)) { (section.title) } }
            a href="#points" { "All points" }
            a href="#origin" { "How this was made" }
        }
        @for line in remarks(results) { p class="soft" { (line) } }
        (best(view))
        @for section in sections { (pictures(section)) }
        section id="points" {
            h2 { "All points" }
            p { "Intervals are 95 %. cpu us is the time of the server's busy cores per request. A throughput that the client or the "
                "link limits hides what the server saves." }
            (points(results))
        }
        (why(results))
        (origins(results))
    };
    html::document(&title(results), &body)
}

fn title(results: &Results) -> String {
    let mut names: Vec<&str> = Vec::new();
    for report in results.points.iter().filter_map(|point| point.outcome.report()) {
        if !names.contains(&report.workload.as_str()) {
            names.push(&report.workload);
        }
    }
    if names.is_empty() { "results".into() } else { names.join(", ") }
}

fn summary(results: &Results) -> String {
    let axis = |axis: &sim_core::sweep::Axis| {
        let values: Vec<String> = axis.values.iter().map(plain_text).collect();
        format!("{} {}", axis.path, values.join(", "))
    };
    let axes: Vec<String> = results.axes.iter().map(axis).collect();
    let reports = || results.points.iter().filter_map(|point| point.outcome.report());
    let first = reports().next().map_or(String::new(), |report| {
        let fixed = |name: &str, value: &str| (!results.axes.iter().any(|axis| axis.path == name)).then(|| value.to_owned());
        let connections = (report.connections > 0).then(|| format!("{} connections", report.connections));
        let parts = [
            fixed("machine", &report.machine),
            fixed("kernel", &report.kernel),
            fixed("cores", &format!("{} cores", report.cores)),
            connections.filter(|_| !results.axes.iter().any(|axis| axis.path == "connections")),
        ];
        format!("; {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
    });
    let varied = if axes.is_empty() { String::new() } else { format!("; varied: {}", axes.join("; ")) };
    format!("{} points, {}{first}{varied}.", results.points.len(), results.mechanisms().join(", "))
}

fn best(view: &View) -> Markup {
    html! {
        @if let Some((headers, rows)) = best::table(view) {
            section id="best" {
                h2 { "Highest throughput" }
                p { "The mechanism with the highest throughput and its speed-up over sync. Mechanisms whose 95 % intervals overlap with "
                    "the highest one's stand beside it: these results can't tell them apart." }
                (html::table(&headers.iter().map(|header| (header.as_str(), false)).collect::<Vec<_>>(), &rows))
            }
        }
    }
}

fn pictures(section: &Section) -> Markup {
    html! {
        section id=(section.id) {
            h2 { (section.title) }
            p { (section.text) }
            div class="panels" { @for plot in &section.plots { (PreEscaped(&plot.svg)) } }
        }
    }
}

fn points(results: &Results) -> Markup {
    let axes = results.axes.iter().map(|axis| (axis.path.as_str(), true));
    let headers: Vec<(&str, bool)> =
        axes.chain([("mechanism", false)]).chain(COLUMNS.iter().map(|column| (column.0, column.1))).collect();
    let rows: Vec<Vec<String>> = results.points.iter().map(|point| cells(results, point)).collect();
    html::table(&headers, &rows)
}

/// Up to so many points the page says of each where its gain or loss comes from.
const EXPLAINED_MOST: usize = 12;

fn why(results: &Results) -> Markup {
    let shown = results.points.len() <= EXPLAINED_MOST;
    html! {
        @if shown {
            section id="why" {
                h2 { "Where gains and losses come from" }
                ul { @for point in &results.points {
                    @if let Some(report) = point.outcome.report() { li { b { (results.describe(point)) } ": " (report.why) } }
                } }
            }
        }
    }
}

fn origins(results: &Results) -> Markup {
    let row = |file: &str, name: &str, value: &str| vec![file.to_owned(), name.to_owned(), value.to_owned()];
    let rows: Vec<Vec<String>> = results
        .origins
        .iter()
        .flat_map(|origin| {
            let kind = row(&origin.file, "kind", &origin.kind);
            let facts = origin.facts.iter().map(|(name, value)| row("", name, value));
            std::iter::once(kind).chain(facts).collect::<Vec<_>>()
        })
        .collect();
    html! {
        section id="origin" {
            h2 { "How this was made" }
            p { "The command makes the same numbers again with the same version, on any machine. Page written by ringscope "
                (env!("CARGO_PKG_VERSION")) "." }
            (html::table(&[("from", false), ("what", false), ("value", false)], &rows))
        }
    }
}

/// The sections of a view as a page, and every plot by itself.
///
/// # Errors
/// A picture that can't be drawn.
pub fn drawn(results: &Results, view: &View, cell: Cell) -> Result<(String, Vec<Plot>)> {
    let sections = sections(view, cell)?;
    let page = page(results, view, &sections);
    Ok((page, sections.into_iter().flat_map(|section| section.plots).collect()))
}
