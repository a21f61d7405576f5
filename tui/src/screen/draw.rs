//! The frame around the view: title, tabs, knobs, message, hints, help.

use super::action::Asking;
use super::keys::{self, Hint, Scope};
use super::knobs::KNOBS;
use super::snapshot::{Snapshot, Stage};
use super::state::{Pane, Situation, State};
use super::text::{cut, left};
use super::theme::{Role, Theme};
use crate::numbers;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Least columns and rows that everything fits into.
pub const LEAST: (u16, u16) = (60, 18);
/// From so many columns on the knobs stand beside the view.
const BESIDE_FROM: u16 = 80;
/// Columns of the knobs beside a view: on narrow and on wide terminals.
const KNOB_COLUMNS: (u16, u16) = (26, 34);
/// From so many columns on a terminal is wide.
const WIDE_FROM: u16 = 110;

/// Where things are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Areas {
    title: Rect,
    tabs: Rect,
    knobs: Option<Rect>,
    /// The chosen knob on one line, where the knobs are hidden.
    strip: Option<Rect>,
    view: Option<Rect>,
    message: Rect,
    hints: Rect,
}

fn areas(situation: &Situation) -> Option<Areas> {
    let (columns, rows) = situation.size;
    if columns < LEAST.0 || rows < LEAST.1 {
        return None;
    }
    let line = |y| Rect { x: 0, y, width: columns, height: 1 };
    let body = Rect { x: 0, y: 2, width: columns, height: rows - 4 };
    let frame = Areas {
        title: line(0),
        tabs: line(1),
        knobs: None,
        strip: None,
        view: None,
        message: line(rows - 2),
        hints: line(rows - 1),
    };
    let knob_columns = if columns >= WIDE_FROM { KNOB_COLUMNS.1 } else { KNOB_COLUMNS.0 };
    Some(match (columns >= BESIDE_FROM, situation.pane) {
        (true, _) => Areas {
            knobs: Some(Rect { width: knob_columns, ..body }),
            view: Some(Rect { x: knob_columns + 1, width: columns - knob_columns - 1, ..body }),
            ..frame
        },
        (false, Pane::Knobs) => Areas { knobs: Some(body), ..frame },
        (false, Pane::Answers) => Areas {
            strip: Some(Rect { height: 1, ..body }),
            view: Some(Rect { y: body.y + 1, height: body.height - 1, ..body }),
            ..frame
        },
    })
}

/// Columns and rows of the view; none while it is hidden.
pub fn view_size(situation: &Situation) -> (u16, u16) {
    areas(situation).and_then(|areas| areas.view).map_or((0, 0), |view| (view.width, view.height))
}

/// What is at a place of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A tab, by its position.
    Tab(usize),
    /// A knob, by its position.
    Knob(usize),
    /// The view, at a column and row of its own.
    View(u16, u16),
    /// Nothing that can be clicked.
    Nothing,
}

/// What is at a column and row.
pub fn spot(state: &State, column: u16, row: u16) -> Spot {
    let Some(areas) = areas(&state.situation) else { return Spot::Nothing };
    let inside = |area: Rect| area.contains((column, row).into());
    if inside(areas.tabs) {
        let mut start = 0;
        for (index, label) in tab_labels(state).iter().enumerate() {
            let width = label.chars().count();
            if (start..start + width).contains(&usize::from(column)) {
                return Spot::Tab(index);
            }
            start += width + 1;
        }
    }
    if let Some(area) = areas.knobs.filter(|area| inside(*area)) {
        let index = first_knob(state, area) + usize::from(row - area.y);
        return if index < KNOBS.len() { Spot::Knob(index) } else { Spot::Nothing };
    }
    match areas.view.filter(|area| inside(*area)) {
        Some(area) => Spot::View(column - area.x, row - area.y),
        None => Spot::Nothing,
    }
}

/// Draws everything.
pub fn draw(frame: &mut Frame, state: &State) {
    let Some(areas) = areas(&state.situation) else { return too_small(frame, state) };
    let theme = &state.situation.theme;
    frame.render_widget(Paragraph::new(title(state, usize::from(areas.title.width))), areas.title);
    frame.render_widget(Paragraph::new(tabs(state)), areas.tabs);
    if let Some(area) = areas.knobs {
        frame.render_widget(Paragraph::new(knobs(state, area)), area);
    }
    if let Some(area) = areas.strip {
        let knob = &KNOBS[state.knob];
        let text = format!("{} {} (+ and - turn it, J and K choose another)", knob.name, knob.shown(&state.situation));
        frame.render_widget(Paragraph::new(Line::styled(cut(&text, usize::from(area.width), theme), theme.style(Role::Dim))), area);
    }
    if let Some(area) = areas.view {
        if let Some(knobs) = areas.knobs {
            let line = Rect { x: knobs.x + knobs.width, width: 1, ..knobs };
            let text = vec![Line::styled(theme.glyphs.lines[1].to_string(), theme.style(Role::Dim)); usize::from(line.height)];
            frame.render_widget(Paragraph::new(text), line);
        }
        match &state.situation.snapshot.stage {
            Stage::Failed(problem) if state.situation.snapshot.answers.iter().all(|answer| answer.report.is_none()) => {
                let lines = super::text::wrapped(problem, usize::from(area.width), 2);
                let lines: Vec<Line> = lines.into_iter().map(|line| Line::styled(line, theme.style(Role::Warning))).collect();
                frame.render_widget(Paragraph::new(lines), area);
            }
            _ => state.view().draw(frame, area, &state.scene()),
        }
    }
    frame.render_widget(Paragraph::new(message(state, usize::from(areas.message.width))), areas.message);
    frame.render_widget(Paragraph::new(hints(state, usize::from(areas.hints.width))), areas.hints);
    if let Some(from) = state.help_from {
        help(frame, state, from);
    }
}

fn too_small(frame: &mut Frame, state: &State) {
    let (columns, rows) = state.situation.size;
    let text = format!(
        "ringscope needs {} columns and {} rows; here are {columns} and {rows}. Please make the window larger, or press q.",
        LEAST.0, LEAST.1
    );
    let lines = super::text::wrapped(&text, usize::from(columns), 0);
    frame.render_widget(Paragraph::new(lines.into_iter().map(Line::raw).collect::<Vec<_>>()), frame.area());
}

/// Scenario to the left, how far the answer is to the right.
fn title(state: &State, width: usize) -> Line<'static> {
    let (situation, theme) = (&state.situation, &state.situation.theme);
    let status = status(&situation.snapshot);
    let room = width.saturating_sub(status.chars().count() + 1);
    let role = if matches!(situation.snapshot.stage, Stage::Failed(_)) { Role::Warning } else { Role::Dim };
    Line::from(vec![
        Span::styled(left(&scenario(situation, room), room, theme), theme.style(Role::Heading)),
        Span::raw(" "),
        Span::styled(status, theme.style(role)),
    ])
}

/// The scenario in as many words as fit: where it is narrow first the kernel is left out, then the machine.
fn scenario(situation: &Situation, room: usize) -> String {
    let settings = situation.resolved.settings();
    let counted =
        |count: u32, what: &str| format!("{} {what}{}", numbers::whole(u64::from(count)), if count == 1 { "" } else { "s" });
    // a sequential program has no clients; its reports say so
    let mut reports = situation.snapshot.answers.iter().filter_map(|answer| answer.report.as_ref());
    let clients = match reports.any(|report| report.connections == 0) {
        true => String::new(),
        false => format!(", {}", counted(settings.run.connections, "connection")),
    };
    let load = format!("{}{clients}", counted(settings.run.cores, "core"));
    let (workload, machine) = (&situation.scenario.workload, &settings.machine.name);
    let texts = [
        format!("{workload} on {machine}, {}, {load}", settings.kernel.name),
        format!("{workload} on {machine}, {load}"),
        format!("{workload}, {load}"),
    ];
    let [.., shortest] = &texts;
    texts.iter().find(|text| text.chars().count() <= room).unwrap_or(shortest).clone()
}

/// How far the answer is. The tilde is the sign that numbers of brief runs have.
fn status(snapshot: &Snapshot) -> String {
    let (done, planned) = snapshot.simulations;
    match &snapshot.stage {
        Stage::Waiting => "simulating".into(),
        Stage::Preview => format!("~ preview, run {done}/{planned}"),
        Stage::Refining => format!("seed {} of {}, run {done}/{planned}", snapshot.seeds.0, snapshot.seeds.1),
        Stage::Final => format!("complete, n = {}", snapshot.seeds.0),
        Stage::Failed(_) => "failed".into(),
    }
}

/// All tabs with their numbers; on a narrow terminal only the shown one with its name.
fn tab_labels(state: &State) -> Vec<String> {
    let names = || state.views.iter().map(|view| view.name()).enumerate();
    for padding in [" ", ""] {
        let whole: Vec<String> = names().map(|(index, name)| format!("{padding}{} {name}{padding}", index + 1)).collect();
        let width: usize = whole.iter().map(|label| label.chars().count() + 1).sum();
        if width <= usize::from(state.situation.size.0) + 1 {
            return whole;
        }
    }
    let short = |(index, name): (usize, &str)| {
        if index == state.shown { format!(" {} {name} ", index + 1) } else { format!(" {} ", index + 1) }
    };
    names().map(short).collect()
}

fn tabs(state: &State) -> Line<'static> {
    let theme = &state.situation.theme;
    let mut spans = Vec::new();
    for (index, label) in tab_labels(state).into_iter().enumerate() {
        let selected = index == state.shown;
        spans.push(Span::styled(label, theme.style(if selected { Role::Selected } else { Role::Text })));
        spans.push(Span::raw(" "));
    }
    Line::from(spans)
}

/// Position of the knob at the top of the area: the chosen one is always inside.
fn first_knob(state: &State, area: Rect) -> usize {
    (state.knob + 1).saturating_sub(usize::from(area.height))
}

fn knobs(state: &State, area: Rect) -> Vec<Line<'static>> {
    let (situation, theme) = (&state.situation, &state.situation.theme);
    let name_width = KNOBS.iter().map(|knob| knob.name.chars().count()).max().unwrap_or(0);
    let value_width = usize::from(area.width).saturating_sub(name_width + 4);
    let from = first_knob(state, area);
    let knobs = KNOBS.iter().enumerate().skip(from).take(usize::from(area.height));
    let line = |(index, knob): (usize, &super::knobs::Knob)| {
        let chosen = index == state.knob;
        let active = chosen && situation.pane == Pane::Knobs;
        let [less, more] = if chosen { theme.glyphs.arrows } else { [' ', ' '] };
        let value = knob.shown(situation);
        let pinned = situation.pinned.as_ref().is_some_and(|pinned| is_other(knob, state, pinned));
        let sign = if pinned { theme.glyphs.delta.chars().next().unwrap_or('d') } else { ' ' };
        let text = format!("{} {less}{}{more}{sign}", left(knob.name, name_width, theme), left(&value, value_width, theme));
        let role = match (active, chosen, pinned) {
            (true, _, _) => Role::Selected,
            (_, true, _) => Role::Heading,
            (_, _, true) => Role::Warning,
            _ => Role::Text,
        };
        Line::styled(text, theme.style(role))
    };
    knobs.map(line).collect()
}

/// True when a knob stands otherwise than in the pinned scenario.
fn is_other(knob: &super::knobs::Knob, state: &State, pinned: &super::state::Pinned) -> bool {
    knob.value(&state.situation) != knob.value_in(&pinned.scenario, &pinned.resolved)
}

fn message(state: &State, width: usize) -> Line<'static> {
    let (situation, theme) = (&state.situation, &state.situation.theme);
    if let Some(prompt) = &state.prompt {
        let question = match prompt.asking {
            Asking::Value => KNOBS[state.knob].name.to_owned(),
            Asking::Filter => "filter".into(),
            Asking::Save => "save as".into(),
            Asking::Load => "open".into(),
            Asking::Export => format!("export {} to", state.view().name()),
        };
        // the end of what is typed stays in sight
        let room = width.saturating_sub(question.chars().count() + 4);
        let skipped = prompt.text.chars().count().saturating_sub(room);
        let typed: String = prompt.text.chars().skip(skipped).collect();
        return Line::from(vec![
            Span::styled(format!("{question}: "), theme.style(Role::Key)),
            Span::raw(typed),
            Span::styled(" ", theme.style(Role::Selected)),
        ]);
    }
    let (text, role) = match (&state.message, &situation.snapshot.refusal) {
        (Some(message), _) => (message.text.clone(), if message.is_error { Role::Warning } else { Role::Text }),
        (None, Some(refusal)) => (refusal.clone(), Role::Warning),
        (None, None) if !situation.filter.is_empty() => (format!("filter: {} (Esc shows all)", situation.filter), Role::Text),
        (None, None) => match (&situation.pinned, situation.pane) {
            (_, Pane::Knobs) => (format!("{}: {}", KNOBS[state.knob].name, KNOBS[state.knob].help), Role::Dim),
            (Some(pinned), Pane::Answers) => (format!("{} from: {}", theme.glyphs.delta, pinned.resolved.command), Role::Dim),
            (None, Pane::Answers) => (situation.snapshot.notes.first().cloned().unwrap_or_default(), Role::Dim),
        },
    };
    Line::styled(cut(&text, width, theme), theme.style(role))
}

/// As many hints as fit, those of the narrowest scope first. The ways to the help and out are always there.
fn hints(state: &State, width: usize) -> Line<'static> {
    let theme = &state.situation.theme;
    let length = |hint: &Hint| keys::name(hint.key).chars().count() + hint.words.chars().count() + 3;
    let (always, mut others): (Vec<Hint>, Vec<Hint>) = keys::hints(state).into_iter().partition(|hint| hint.is_essential);
    // nothing has to stand behind the last one
    let mut room = (width + 2).saturating_sub(always.iter().map(length).sum());
    others.retain(|hint| {
        let fits = length(hint) <= room;
        room -= if fits { length(hint) } else { 0 };
        fits
    });
    let spans = |hint: &Hint| [Span::styled(keys::name(hint.key), theme.style(Role::Key)), Span::raw(format!(" {}  ", hint.words))];
    Line::from(others.iter().chain(&always).flat_map(spans).collect::<Vec<_>>())
}

/// The key table over everything else.
fn help(frame: &mut Frame, state: &State, from: usize) {
    let theme = &state.situation.theme;
    let area = frame.area();
    frame.render_widget(Clear, area);
    let lines = help_lines(state, usize::from(area.width), theme);
    super::text::scrolled(frame, area, lines, from, theme);
}

/// Lines of the help.
pub fn help_length(state: &State) -> usize {
    help_lines(state, usize::from(state.situation.size.0), &state.situation.theme).len()
}

fn help_lines(state: &State, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let name = state.view().name();
    let sections = [
        (Scope::View(name), format!("In {name}")),
        (Scope::Views, "In every view".to_owned()),
        (Scope::Knobs, "In the knobs".to_owned()),
        (Scope::Everywhere, "Everywhere".to_owned()),
        (Scope::Prompt, "While something is typed".to_owned()),
        (Scope::Help, "In this help (Esc closes it)".to_owned()),
    ];
    let sections = sections.map(|(scope, heading)| (heading, keys::help(scope)));
    let key_width = sections.iter().flat_map(|section| &section.1).map(|line| line.0.chars().count()).max().unwrap_or(0) + 2;
    let mut lines = Vec::new();
    for (heading, rows) in sections {
        lines.push(Line::styled(heading, theme.style(Role::Heading)));
        for (keys, words) in rows {
            lines.push(Line::from(vec![
                Span::styled(format!("  {}", left(&keys, key_width, theme)), theme.style(Role::Key)),
                Span::raw(cut(words, width.saturating_sub(key_width + 2), theme)),
            ]));
        }
        lines.push(Line::default());
    }
    lines
}
