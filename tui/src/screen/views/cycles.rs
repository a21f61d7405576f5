//! Where the cycles go: a stacked bar for each mechanism, in parts that differ by hatching, letter and colour.

use crate::numbers::{fixed, percent};
use crate::render::{STACK_PARTS, cycles_svg, stack_size};
use crate::screen::action::{Effect, ViewAction};
use crate::screen::snapshot::Answer;
use crate::screen::text::{change, cut, left, right, scroll, scrolled};
use crate::screen::theme::Role;
use crate::screen::view::{Export, Scene, View};
use anyhow::Result;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use sim_core::report::RunReport;

/// The view's own state.
#[derive(Debug, Default)]
pub struct Cycles {
    /// First line that is shown.
    from: usize,
    /// Shares of all cycles instead of cycles.
    shares: bool,
}

/// Letters of the parts, in the order of [`STACK_PARTS`].
const LETTERS: [char; 8] = ['U', 'u', 'K', 'k', 'X', 'M', 'C', 'I'];
/// A part that is at least so wide carries its letter.
const LETTERED_FROM: usize = 3;
const TOTAL_WIDTH: usize = 10;

impl View for Cycles {
    fn name(&self) -> &'static str {
        "Cycles"
    }

    fn update(&mut self, action: ViewAction, scene: &Scene) -> Vec<Effect> {
        let lines = self.lines(scene, usize::from(scene.size.0)).len();
        self.from = scroll(self.from, action, lines, scene.size.1);
        if action == ViewAction::NextUnit {
            self.shares = !self.shares;
        }
        Vec::new()
    }

    fn draw(&self, frame: &mut Frame, area: Rect, scene: &Scene) {
        scrolled(frame, area, self.lines(scene, usize::from(area.width)), self.from, scene.theme);
    }

    fn export(&self, scene: &Scene) -> Export {
        let mut columns = vec!["mechanism".to_owned()];
        columns.extend(STACK_PARTS.iter().map(|part| format!("{} cycles per request", part.0)));
        columns.push("all cycles per request".into());
        let row = |report: &RunReport| {
            let mut row = vec![report.label()];
            row.extend(sizes(report).map(|size| size.to_string()));
            row.push(report.cycle_stack.sum().to_string());
            row
        };
        let rows = scene.situation.answers().filter_map(Answer::measured).map(row).collect();
        Export { title: scene.situation.resolved.command.clone(), columns, rows }
    }

    fn picture(&self, scene: &Scene) -> Result<Option<String>> {
        let reports: Vec<&RunReport> = scene.situation.answers().filter_map(Answer::measured).collect();
        cycles_svg(&scene.situation.scenario.workload, &reports)
    }
}

fn sizes(report: &RunReport) -> impl Iterator<Item = f64> {
    STACK_PARTS.iter().map(|part| stack_size(&report.cycle_stack, part.1))
}

impl Cycles {
    fn lines(&self, scene: &Scene, width: usize) -> Vec<Line<'static>> {
        let theme = scene.theme;
        let answers: Vec<&Answer> = scene.situation.answers().collect();
        let most = answers.iter().filter_map(|answer| answer.measured()).map(|report| report.cycle_stack.sum()).fold(0.0, f64::max);
        let unit = if self.shares { "share of all cycles" } else { "cycles of all cores per request" };
        let mut lines = vec![Line::styled(format!("{unit} (m changes the unit)"), theme.style(Role::Heading))];
        if most <= 0.0 {
            lines.push(Line::styled("simulating", theme.style(Role::Dim)));
            return lines;
        }
        for answer in &answers {
            lines.extend(self.stack(answer, most, scene, width));
        }
        lines.push(Line::default());
        lines.extend(self.legend(&answers, scene, width));
        lines
    }

    /// Name and total, then the bar below it.
    fn stack(&self, answer: &Answer, most: f64, scene: &Scene, width: usize) -> Vec<Line<'static>> {
        let theme = scene.theme;
        let Some(report) = answer.measured() else {
            let text = format!("{}: {}", answer.label(), answer.reason().unwrap_or_default());
            return vec![Line::styled(cut(&text, width, theme), theme.style(Role::Dim))];
        };
        let total = report.cycle_stack.sum();
        let pinned = scene.situation.pinned_report(answer.mechanism).map(|pinned| pinned.cycle_stack.sum());
        let difference = pinned.map_or(String::new(), |before| format!("  {} {}", theme.glyphs.delta, change(total, before)));
        let mark = if answer.preview { "~" } else { "" };
        let heading = format!("{}  {mark}{}{difference}", answer.label(), fixed(total, 0));
        let whole = if self.shares { total } else { most };
        vec![Line::raw(cut(&heading, width, theme)), bar(report, whole, width, scene)]
    }

    /// The parts with their sizes in each mechanism.
    fn legend(&self, answers: &[&Answer], scene: &Scene, width: usize) -> Vec<Line<'static>> {
        const NAMES: usize = 18;
        let theme = scene.theme;
        let reports: Vec<&RunReport> = answers.iter().filter_map(|answer| answer.measured()).collect();
        let shown = (width.saturating_sub(NAMES) / TOTAL_WIDTH).min(reports.len());
        let names: String =
            reports.iter().take(shown).map(|report| right(&shortened(&report.label()), TOTAL_WIDTH, theme)).collect();
        let mut lines = vec![Line::styled(left("", NAMES, theme) + &names, theme.style(Role::Heading))];
        for (index, part) in STACK_PARTS.iter().enumerate() {
            let values: Vec<f64> = reports.iter().map(|report| stack_size(&report.cycle_stack, part.1)).collect();
            if values.iter().all(|value| *value <= 0.0) {
                continue;
            }
            let text = |(value, report): (&f64, &&RunReport)| {
                let text = if self.shares { percent(value / report.cycle_stack.sum()) } else { fixed(*value, 0) };
                right(&text, TOTAL_WIDTH, theme)
            };
            let sign = theme.glyphs.hatches[index];
            lines.push(Line::from(vec![
                Span::styled(format!("{sign}{sign}"), theme.style(Role::Part(index))),
                Span::raw(left(&format!(" {} {}", LETTERS[index], part.0), NAMES - 2, theme)),
                Span::raw(values.iter().zip(&reports).take(shown).map(text).collect::<String>()),
            ]));
        }
        lines
    }
}

/// `exception-less:io-uring` in ten columns: its last word.
fn shortened(label: &str) -> String {
    let last = label.rsplit(':').next().unwrap_or(label);
    if last.chars().count() < TOTAL_WIDTH { last.to_owned() } else { last.split('-').next().unwrap_or(last).to_owned() }
}

fn bar(report: &RunReport, whole: f64, width: usize, scene: &Scene) -> Line<'static> {
    let theme = scene.theme;
    let (mut spans, mut sum, mut drawn) = (Vec::new(), 0.0, 0);
    for (index, size) in sizes(report).enumerate() {
        sum += size;
        let end = ((sum / whole * width as f64).round() as usize).min(width);
        let length = end.saturating_sub(drawn);
        drawn = drawn.max(end);
        if length == 0 {
            continue;
        }
        let mut text: Vec<char> = vec![theme.glyphs.hatches[index]; length];
        if length >= LETTERED_FROM {
            text[length / 2] = LETTERS[index];
        }
        spans.push(Span::styled(text.into_iter().collect::<String>(), theme.style(Role::Part(index))));
    }
    Line::from(spans)
}
