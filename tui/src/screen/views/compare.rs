//! The mechanisms side by side: throughput with intervals, cost per request, and where each gain comes from.

use crate::numbers::{fixed, whole};
use crate::render::{METRICS, Metric, speedup, throughput_svg};
use crate::screen::action::{Effect, ViewAction};
use crate::screen::snapshot::Answer;
use crate::screen::text::{bar_with_interval, change, cut, judged, left, right, scroll, scrolled, wrapped};
use crate::screen::theme::Role;
use crate::screen::view::{Export, Scene, View};
use anyhow::Result;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use sim_core::report::{GainParts, RunReport};

/// The view's own state.
#[derive(Debug, Default)]
pub struct Compare {
    /// First line that is shown.
    from: usize,
    /// Reasons in words instead of cycles.
    words: bool,
}

/// Where a gain comes from: heading, and cycles per request.
type Part = (&'static str, fn(&GainParts) -> f64);

const PARTS: [Part; 4] = [
    ("stalls", |parts| parts.order_cycles),
    ("instructions", |parts| parts.removed_cycles),
    ("crossings", |parts| parts.crossing_cycles),
    ("idle", |parts| parts.idle_cycles),
];

/// Columns of a bar at least; a bar that is shorter says nothing.
const BAR_LEAST: usize = 8;
const RATE_WIDTH: usize = 11;
const SPEEDUP_WIDTH: usize = 14;
const CHANGE_WIDTH: usize = 10;

impl View for Compare {
    fn name(&self) -> &'static str {
        "Compare"
    }

    fn update(&mut self, action: ViewAction, scene: &Scene) -> Vec<Effect> {
        let lines = self.lines(scene, scene.size).len();
        self.from = scroll(self.from, action, lines, scene.size.1);
        if action == ViewAction::NextKind {
            self.words = !self.words;
        }
        Vec::new()
    }

    fn draw(&self, frame: &mut Frame, area: Rect, scene: &Scene) {
        scrolled(frame, area, self.lines(scene, (area.width, area.height)), self.from, scene.theme);
    }

    fn export(&self, scene: &Scene) -> Export {
        let mut columns: Vec<String> =
            ["mechanism", "requests/s", "requests/s low", "requests/s high", "speed-up", "speed-up low", "speed-up high", "seeds"]
                .map(String::from)
                .to_vec();
        columns.extend(METRICS.iter().map(plain_header));
        columns.extend(PARTS.iter().map(|part| format!("{} cycles saved", part.0)));
        columns.push("pinned requests/s".into());
        columns.push("remark".into());
        let number = |value: f64| if value.is_finite() { value.to_string() } else { String::new() };
        let row = |answer: &Answer| {
            let Some(report) = answer.measured() else {
                let mut row = vec![answer.label()];
                row.resize(columns.len() - 1, String::new());
                row.push(answer.reason().unwrap_or_default());
                return row;
            };
            let (rate, gain) = (report.throughput_rps, report.speedup_vs_sync.unwrap_or_default());
            let mut row = vec![report.label()];
            row.extend([rate.mean, rate.low, rate.high, gain.mean, gain.low, gain.high].map(number));
            row.push(answer.seeds.to_string());
            row.extend(METRICS.iter().map(|metric| number((metric.value)(report))));
            row.extend(PARTS.iter().map(|part| report.gain_parts.as_ref().map_or(String::new(), |parts| number(part.1(parts)))));
            let pinned = scene.situation.pinned_report(answer.mechanism);
            row.push(pinned.map_or(String::new(), |pinned| number(pinned.throughput_rps.mean)));
            row.push(if answer.preview { "brief run".into() } else { String::new() });
            row
        };
        let rows = scene.situation.answers().map(row).collect();
        Export { title: scene.situation.resolved.command.clone(), columns, rows }
    }

    fn picture(&self, scene: &Scene) -> Result<Option<String>> {
        let reports: Vec<&RunReport> = scene.situation.answers().filter_map(Answer::measured).collect();
        throughput_svg(&scene.situation.scenario.workload, &reports)
    }
}

fn plain_header(metric: &Metric) -> String {
    metric.header.replace("-\n", "").replace('\n', " ")
}

impl Compare {
    fn lines(&self, scene: &Scene, (width, height): (u16, u16)) -> Vec<Line<'static>> {
        let (width, height) = (usize::from(width), usize::from(height));
        let answers: Vec<&Answer> = scene.situation.answers().collect();
        if answers.is_empty() {
            let filtered = !scene.situation.snapshot.answers.is_empty();
            let workload = &scene.situation.scenario.workload;
            let text = if filtered { "no mechanism contains the filter".into() } else { format!("reading {workload}") };
            return vec![Line::styled(text, scene.theme.style(Role::Dim))];
        }
        let mut lines = throughput(&answers, scene, width);
        lines.push(Line::default());
        lines.extend(costs(&answers, scene, width));
        lines.push(Line::default());
        let words = reasons(&answers, scene, width);
        if self.words {
            lines.extend(words);
            return lines;
        }
        lines.extend(parts(&answers, scene, width));
        // where there is room, the words stand below the cycles: all, or those of the mechanism in focus
        let focused = answers.iter().copied().filter(|answer| answer.mechanism == scene.situation.scenario.focus);
        let of_focus = || reasons(&focused.collect::<Vec<_>>(), scene, width);
        let fits = |words: &Vec<Line>| lines.len() + 1 + words.len() <= height;
        if let Some(words) = Some(words).filter(fits).or_else(|| Some(of_focus()).filter(fits)) {
            lines.push(Line::default());
            lines.extend(words);
        }
        lines
    }
}

/// Columns of the names.
fn name_width(answers: &[&Answer], width: usize) -> usize {
    let longest = answers.iter().map(|answer| answer.label().chars().count()).max().unwrap_or(0);
    longest.min(if width < 70 { 17 } else { 28 })
}

/// A name, marked when it is the one in focus or its numbers are of a brief run.
fn name(answer: &Answer, width: usize, scene: &Scene) -> Span<'static> {
    let focused = answer.mechanism == scene.situation.scenario.focus;
    let role = if focused { Role::Heading } else { Role::Text };
    Span::styled(left(&answer.label(), width, scene.theme), scene.theme.style(role))
}

fn throughput(answers: &[&Answer], scene: &Scene, width: usize) -> Vec<Line<'static>> {
    let theme = scene.theme;
    let names = name_width(answers, width);
    let pinned = scene.situation.pinned.is_some();
    let fixed_width = names + RATE_WIDTH + SPEEDUP_WIDTH + if pinned { CHANGE_WIDTH } else { 0 } + 1;
    let bar_width = width.saturating_sub(fixed_width + 1);
    let most = answers
        .iter()
        .filter_map(|answer| answer.measured())
        .map(|report| if report.throughput_rps.high.is_finite() { report.throughput_rps.high } else { report.throughput_rps.mean })
        .fold(0.0, f64::max);
    let mut heading = format!(
        "{}{}{}",
        left("mechanism", names, theme),
        right("requests/s", RATE_WIDTH, theme),
        right("speed-up", SPEEDUP_WIDTH, theme)
    );
    if pinned {
        heading.push_str(&right(&format!("{} pinned", theme.glyphs.delta), CHANGE_WIDTH, theme));
    }
    let mut lines = vec![Line::styled(cut(&heading, width, theme), theme.style(Role::Heading))];
    for (index, answer) in answers.iter().enumerate() {
        let mut spans = vec![name(answer, names, scene)];
        let Some(report) = answer.measured() else {
            let reason = answer.reason().unwrap_or_default();
            spans.push(Span::styled(cut(&format!("  {reason}"), width - names, theme), theme.style(Role::Dim)));
            lines.push(Line::from(spans));
            continue;
        };
        let rate = report.throughput_rps;
        // a tilde says that the number is of a brief run
        let rate_text = format!("{}{}", if answer.preview { "~" } else { "" }, fixed(rate.mean, 0));
        spans.push(Span::raw(right(&rate_text, RATE_WIDTH, theme)));
        let gain = speedup(report).replace('±', theme.glyphs.plus_minus);
        let gain_role = report.speedup_vs_sync.map_or(Role::Dim, |gain| certain(gain.low, gain.high));
        spans.push(Span::styled(right(&gain, SPEEDUP_WIDTH, theme), theme.style(gain_role)));
        if pinned {
            let before = scene.situation.pinned_report(answer.mechanism).map(|pinned| pinned.throughput_rps.mean);
            let text = before.map_or("-".into(), |before| change(rate.mean, before));
            let role = before.map_or(Role::Dim, |before| judged(rate.mean, before, true));
            spans.push(Span::styled(right(&text, CHANGE_WIDTH, theme), theme.style(role)));
        }
        if bar_width >= BAR_LEAST && most > 0.0 {
            spans.push(Span::raw("  "));
            let interval = Some((rate.low / most, rate.high / most));
            spans.extend(bar_with_interval(rate.mean / most, interval, bar_width - 1, theme.style(Role::Series(index)), theme));
        }
        lines.push(Line::from(spans));
    }
    lines
}

/// A speed-up is a gain or a loss only when its interval says so.
fn certain(low: f64, high: f64) -> Role {
    match (low > 1.0, high < 1.0) {
        (true, _) => Role::Better,
        (_, true) => Role::Worse,
        _ => Role::Text,
    }
}

/// Columns of one metric: its heading and numbers of up to seven characters.
const METRIC_WIDTH: usize = 10;

/// The metrics that fit, in their order.
fn fitting(width: usize) -> Vec<&'static Metric> {
    let count = (width / METRIC_WIDTH).min(METRICS.len());
    let mut orders: Vec<(u8, usize)> = METRICS.iter().enumerate().map(|(index, metric)| (metric.order, index)).collect();
    orders.sort_unstable();
    let mut kept: Vec<usize> = orders.into_iter().take(count).map(|entry| entry.1).collect();
    kept.sort_unstable();
    kept.into_iter().map(|index| &METRICS[index]).collect()
}

fn costs(answers: &[&Answer], scene: &Scene, width: usize) -> Vec<Line<'static>> {
    let theme = scene.theme;
    let names = name_width(answers, width);
    let metrics = fitting(width.saturating_sub(names));
    let heading = |line: usize| {
        let part = |metric: &&Metric| {
            let mut parts: Vec<&str> = metric.header.split('\n').collect();
            if parts.len() == 1 {
                parts.insert(0, "");
            }
            right(parts[line], METRIC_WIDTH, theme)
        };
        let first = if line == 1 { "per request" } else { "" };
        Line::styled(left(first, names, theme) + &metrics.iter().map(part).collect::<String>(), theme.style(Role::Heading))
    };
    let mut lines = vec![heading(0), heading(1)];
    for answer in answers {
        let Some(report) = answer.measured() else { continue };
        let cells = metrics.iter().map(|metric| right(&(metric.shown)((metric.value)(report)), METRIC_WIDTH, theme));
        lines.push(Line::from(vec![name(answer, names, scene), Span::raw(cells.collect::<String>())]));
        if let Some(pinned) = scene.situation.pinned_report(answer.mechanism) {
            lines.push(differences(report, pinned, &metrics, names, scene));
        }
    }
    lines
}

/// The change of each metric since the pinned scenario. Less is better of all of them but the batch, which is neither.
fn differences(report: &RunReport, pinned: &RunReport, metrics: &[&Metric], names: usize, scene: &Scene) -> Line<'static> {
    let theme = scene.theme;
    let mut spans = vec![Span::styled(left(&format!("  {} pinned", theme.glyphs.delta), names, theme), theme.style(Role::Dim))];
    for metric in metrics {
        let (now, before) = ((metric.value)(report), (metric.value)(pinned));
        let text = change(now, before);
        let role = if metric.header.contains("batch") { Role::Dim } else { judged(now, before, false) };
        spans.push(Span::styled(right(&text, METRIC_WIDTH, theme), theme.style(role)));
    }
    Line::from(spans)
}

/// Cycles per request that each mechanism saves against sync, by reason.
fn parts(answers: &[&Answer], scene: &Scene, width: usize) -> Vec<Line<'static>> {
    const WIDTH: usize = 13;
    let theme = scene.theme;
    let names = name_width(answers, width);
    let shown = (width.saturating_sub(names) / WIDTH).min(PARTS.len() + 1);
    let headings = std::iter::once("all saved").chain(PARTS.iter().map(|part| part.0)).take(shown);
    let heading = left("gain, cycles", names, theme) + &headings.map(|heading| right(heading, WIDTH, theme)).collect::<String>();
    let mut lines = vec![Line::styled(heading, theme.style(Role::Heading))];
    for answer in answers.iter().filter(|answer| answer.label() != "sync") {
        let Some(parts) = answer.measured().and_then(|report| report.gain_parts.as_ref()) else { continue };
        let values: Vec<f64> = PARTS.iter().map(|part| part.1(parts)).collect();
        let mut spans = vec![name(answer, names, scene)];
        for value in std::iter::once(values.iter().sum::<f64>()).chain(values.iter().copied()).take(shown) {
            let sign = if value >= 0.5 { "+" } else { "" };
            let text = format!("{sign}{}", fixed(value, 0));
            spans.push(Span::styled(right(&text, WIDTH, theme), theme.style(judged(value, 0.0, true))));
        }
        lines.push(Line::from(spans));
    }
    let note =
        "cycles a request saves against sync: waiting for misses (stalls), instructions, crossings into the kernel, idle cores";
    lines.extend(wrapped(note, width, 0).into_iter().map(|line| Line::styled(line, theme.style(Role::Dim))));
    lines
}

/// Where each gain comes from in words, and the remarks on the comparison.
fn reasons(answers: &[&Answer], scene: &Scene, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled("where it comes from", scene.theme.style(Role::Heading))];
    for answer in answers {
        let text = answer.measured().map_or_else(|| answer.reason().unwrap_or_default(), |report| report.why.clone());
        lines.extend(wrapped(&format!("{}: {text}", answer.label()), width, 4).into_iter().map(Line::raw));
    }
    for note in &scene.situation.snapshot.notes {
        let warning = wrapped(&format!("warning: {note}"), width, 4);
        lines.extend(warning.into_iter().map(|line| Line::styled(line, scene.theme.style(Role::Warning))));
    }
    let requests = answers.iter().filter_map(|answer| answer.measured()).map(|report| report.requests).max().unwrap_or(0);
    let basis = format!("intervals 95 %, {} measured requests each", whole(requests));
    lines.push(Line::styled(cut(&basis, width, scene.theme), scene.theme.style(Role::Dim)));
    lines
}
