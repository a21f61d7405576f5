//! Differences between two sets of results, for terminals and as a page.

use super::html;
use super::table::Table;
use super::words::hanging;
use crate::numbers::{percent, short};
use crate::results::diff::{Change, Diff, PointDiff, Setting, Verdict};
use crate::terminal::Terminal;
use maud::{Markup, html};

/// Changes of a point that are shown without --verbose, besides those that count.
const SHOWN: usize = 8;
/// With more points than this, changes that do not count are only summed up by metric.
const POINTS_IN_FULL: usize = 5;
/// Changes smaller than this are not shown without --verbose unless they count.
const SIZE_SHOWN: f64 = 0.005;

const COLUMNS: [(&str, bool, u8); 7] = [
    ("point", false, 0),
    ("metric", false, 0),
    ("before", true, 2),
    ("after", true, 1),
    ("change", true, 0),
    ("interval of the change", true, 3),
    ("verdict", false, 0),
];

/// The differences as text.
pub fn text(diff: &Diff, terminal: &Terminal) -> String {
    let mut text = format!("{}\n", terminal.bold(&format!("{} -> {}", diff.before, diff.after)));
    for setting in &diff.settings {
        text.push_str(&hanging(&setting_line(setting), terminal.width, 4));
    }
    if diff.points.len() > POINTS_IN_FULL {
        text.push_str(&format!("\n{}\n{}", terminal.bold("By metric"), by_metric(diff, terminal)));
    }
    let mut table = Table::with_order(&COLUMNS);
    let mut left_out = 0;
    for point in &diff.points {
        let shown = shown(diff, point, terminal.verbose);
        left_out += point.changes.len() - shown.len();
        point.words.iter().for_each(|word| table.row(word_row(point, word)));
        shown.into_iter().for_each(|change| table.row(row(point, change)));
    }
    if !table.is_empty() {
        text.push_str(&format!("\n{}\n{}", terminal.bold("By point"), table.render(terminal)));
    }
    text.push('\n');
    if left_out > 0 {
        text.push_str(&hanging(&format!("{left_out} more changes, smaller or without intervals: -v shows all"), terminal.width, 4));
    }
    for line in only(diff) {
        text.push_str(&hanging(&line, terminal.width, 4));
    }
    text.push_str(&hanging(&verdict_line(diff), terminal.width, 4));
    text
}

fn shown<'a>(diff: &Diff, point: &'a PointDiff, verbose: bool) -> Vec<&'a Change> {
    let more = if diff.points.len() > POINTS_IN_FULL { 0 } else { SHOWN };
    let counted = point.changes.iter().filter(|change| change.verdict.counts()).count();
    let wanted = |(index, change): &(usize, &Change)| {
        verbose || change.verdict.counts() || (*index < counted + more && change.size >= SIZE_SHOWN)
    };
    point.changes.iter().enumerate().filter(wanted).map(|(_, change)| change).collect()
}

fn setting_line(setting: &Setting) -> String {
    let points = if setting.points > 0 { format!(" ({} points)", setting.points) } else { String::new() };
    let shown = |value: &str| if value.is_empty() { "-".to_owned() } else { value.to_owned() };
    match (&setting.before, &setting.after) {
        (Some(before), Some(after)) => format!("{}: {} -> {}{points}", setting.name, shown(before), shown(after)),
        _ => format!("{}: differs, not everywhere in the same way{points}", setting.name),
    }
}

fn word_row(point: &PointDiff, word: &Setting) -> Vec<String> {
    let value = |value: &Option<String>| value.clone().unwrap_or_default();
    let verdict = if word.name == "status" { "counts" } else { "" };
    vec![
        point.point.clone(),
        word.name.clone(),
        value(&word.before),
        value(&word.after),
        String::new(),
        String::new(),
        verdict.to_owned(),
    ]
}

fn row(point: &PointDiff, change: &Change) -> Vec<String> {
    let interval = change.interval.map_or("-".into(), |(low, high)| format!("{} to {}", signed(low), signed(high)));
    vec![
        point.point.clone(),
        change.metric.clone(),
        short(change.before),
        short(change.after),
        change_text(change),
        interval,
        verdict(change.verdict).to_owned(),
    ]
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", short(value)) } else { short(value) }
}

fn change_text(change: &Change) -> String {
    match change.relative {
        Some(relative) if relative > 0.0 => format!("+{}", percent(relative)),
        Some(relative) => percent(relative),
        None => signed(change.after),
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Beyond => "beyond",
        Verdict::BeyondTolerance => "beyond tolerance",
        Verdict::NoInterval => "no interval",
        Verdict::Within => "within",
    }
}

/// One metric over all points.
struct Summary<'a> {
    metric: &'a str,
    changes: Vec<(&'a PointDiff, &'a Change)>,
}

fn summaries(diff: &Diff) -> Vec<Summary<'_>> {
    let mut summaries: Vec<Summary> = Vec::new();
    for point in &diff.points {
        for change in &point.changes {
            match summaries.iter_mut().find(|summary| summary.metric == change.metric) {
                Some(summary) => summary.changes.push((point, change)),
                None => summaries.push(Summary { metric: &change.metric, changes: vec![(point, change)] }),
            }
        }
    }
    for summary in &mut summaries {
        summary.changes.sort_by(|left, right| right.1.size.total_cmp(&left.1.size));
    }
    let rank = |summary: &Summary| summary.changes.iter().filter(|change| change.1.verdict.counts()).count();
    let largest = |summary: &Summary| summary.changes.first().map_or(0.0, |change| change.1.size);
    summaries.sort_by(|left, right| rank(right).cmp(&rank(left)).then_with(|| largest(right).total_cmp(&largest(left))));
    summaries
}

const METRIC_COLUMNS: [(&str, bool, u8); 5] = [
    ("metric", false, 0),
    ("points that count", true, 0),
    ("points changed", true, 1),
    ("largest change", true, 0),
    ("where", false, 2),
];

fn metric_rows(diff: &Diff, all: bool) -> Vec<Vec<String>> {
    let wanted =
        |summary: &&Summary| all || summary.changes.iter().any(|(_, change)| change.verdict.counts() || change.size >= SIZE_SHOWN);
    let row = |summary: &Summary| {
        let counted = summary.changes.iter().filter(|change| change.1.verdict.counts()).count();
        let (point, change) = summary.changes.first()?;
        Some(vec![
            summary.metric.to_owned(),
            counted.to_string(),
            format!("{} of {}", summary.changes.len(), diff.points.len()),
            change_text(change),
            point.point.clone(),
        ])
    };
    summaries(diff).iter().filter(wanted).filter_map(row).collect()
}

fn by_metric(diff: &Diff, terminal: &Terminal) -> String {
    let mut table = Table::with_order(&METRIC_COLUMNS);
    metric_rows(diff, terminal.verbose).into_iter().for_each(|row| table.row(row));
    table.render(terminal)
}

fn only(diff: &Diff) -> Vec<String> {
    let lines = [(&diff.before, &diff.only_before), (&diff.after, &diff.only_after)];
    let line = |(file, points): (&String, &Vec<String>)| format!("only in {file}: {}", points.join("; "));
    lines.into_iter().filter(|(_, points)| !points.is_empty()).map(line).collect()
}

/// The last line, and the message of exit code 1.
pub fn verdict_line(diff: &Diff) -> String {
    let points = diff.points.len();
    match diff.counted() {
        0 => format!("nothing differs beyond the intervals at {points} points that both have"),
        1 => format!("1 difference beyond the intervals at {points} points that both have"),
        counted => format!("{counted} differences beyond the intervals at {points} points that both have"),
    }
}

/// The differences as a page.
pub fn page(diff: &Diff) -> String {
    let numeric = |columns: &[(&'static str, bool, u8)]| -> Vec<(&'static str, bool)> {
        columns.iter().map(|column| (column.0, column.1)).collect()
    };
    let body: Markup = html! {
        p { b { (verdict_line(diff)) } "." }
        p { "Before: " code { (diff.before) } ", after: " code { (diff.after) } ". Points are matched by "
            (if diff.matched_by.is_empty() { "being the only ones".to_owned() } else { diff.matched_by.join(", ") }) "." }
        p class="soft" { "A metric with an interval differs beyond it when Welch's 95 % interval of the change does not hold zero. "
            "The runs' seeds are treated as independent; where both used the same seeds that is cautious. Metrics without an "
            "interval count only with --tolerance." }
        @if !diff.settings.is_empty() {
            h2 { "Settings" }
            ul { @for setting in &diff.settings { li { (setting_line(setting)) } } }
        }
        @for line in only(diff) { p { (line) } }
        @if diff.points.len() > POINTS_IN_FULL {
            h2 { "By metric" }
            (html::table(&numeric(&METRIC_COLUMNS), &metric_rows(diff, true)))
        }
        h2 { "By point" }
        @for point in &diff.points { (section(point, &numeric(&COLUMNS[1..]))) }
    };
    html::document("differences", &body)
}

fn section(point: &PointDiff, headers: &[(&str, bool)]) -> Markup {
    let words = point.words.iter().map(|word| word_row(point, word));
    let rows = words.chain(point.changes.iter().map(|change| row(point, change)));
    let rows: Vec<Vec<String>> = rows.map(|row| row.into_iter().skip(1).collect()).collect();
    let counted = point.counted();
    html! {
        details open[counted > 0] {
            summary { b { (point.point) } ": " (counted) " beyond, " (point.changes.len()) " changed" }
            @if rows.is_empty() { p { "No change." } } @else { (html::table(headers, &rows)) }
        }
    }
}
