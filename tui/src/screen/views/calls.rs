//! Every system call in a row: how often, what it costs, which misses it causes and which it suffers.

use super::chosen::Chosen;
use super::grid::{Column, Grid, HEADER, first_row, moved, put, put_words};
use crate::numbers::{fixed, short};
use crate::screen::action::{Effect, ViewAction};
use crate::screen::in_depth::InDepthAnswer;
use crate::screen::text::cut;
use crate::screen::theme::Role;
use crate::screen::view::{Export, Scene, View};
use cpu_model::{LedgerRow, Structure};
use ratatui::Frame;
use ratatui::layout::Rect;
use sim_core::report::CallRow;

/// Columns with numbers, in their order: name in the table and in the export.
const NUMBERS: [(&str, &str, &str, u8); 8] = [
    ("times", "a request", "times_per_request", 0),
    ("instructions", "a call", "instructions_per_call", 4),
    ("cycles", "a call", "cycles_per_call", 3),
    ("cycles", "a request", "cycles_per_request", 0),
    ("misses", "caused", "misses_caused_per_request", 1),
    ("cycles", "caused", "cycles_caused_per_request", 5),
    ("misses", "suffered", "misses_suffered_per_request", 2),
    ("cycles", "suffered", "cycles_suffered_per_request", 6),
];
/// Position of the cycles per request among them: what a table is sorted by at first.
const CYCLES: usize = 3;

/// Lines above the table, and below it.
const HEAD: u16 = 2;
const FOOT: u16 = 1;

/// The view.
#[derive(Clone, Debug)]
pub struct Calls {
    chosen: Chosen,
    /// The structure whose misses are shown; all first-level and TLB misses together would count some accesses twice.
    structure: usize,
    /// Column that the rows are sorted by: 0 is the name, others are [`NUMBERS`].
    sorted_by: usize,
    ascending: bool,
    cursor: usize,
}

impl Default for Calls {
    fn default() -> Self {
        Calls { chosen: Chosen::default(), structure: 0, sorted_by: CYCLES + 1, ascending: false, cursor: 0 }
    }
}

/// One call with its numbers, in the order of [`NUMBERS`]; unknown ones are NaN.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    call: String,
    numbers: [f64; NUMBERS.len()],
}

/// Misses and cycles per request.
type Sum = (f64, f64);

/// Misses that other agents' code met because a call had pushed the lines out, and those that the call's own code met because another
/// agent had, in one structure.
fn caused_and_suffered(answer: &InDepthAnswer, call: &str, structure: Structure) -> (Sum, Sum) {
    let (mut caused, mut suffered) = ((0, 0), (0, 0));
    for own in &answer.victims {
        let is_victim = own.victim.name() == call;
        for row in own.ledger.rows.iter().filter(|row: &&LedgerRow| row.structure == structure) {
            let is_evictor = row.evictor.name() == call;
            let by_somebody = row.evictor.mode().is_some();
            let sum = match (is_victim, is_evictor) {
                (true, false) if by_somebody => &mut suffered,
                (false, true) => &mut caused,
                _ => continue,
            };
            sum.0 += row.misses;
            sum.1 += row.cycles;
        }
    }
    let per = |sum: (u64, u64)| (sum.0 as f64 / answer.requests.max(1) as f64, sum.1 as f64 / answer.requests.max(1) as f64);
    (per(caused), per(suffered))
}

impl Row {
    fn of(call: &CallRow, answer: Option<&InDepthAnswer>, structure: Structure) -> Row {
        let unknown = ((f64::NAN, f64::NAN), (f64::NAN, f64::NAN));
        let (caused, suffered) = answer.map_or(unknown, |answer| caused_and_suffered(answer, &call.call, structure));
        Row {
            call: call.call.clone(),
            numbers: [
                call.issued_per_request,
                call.instructions_per_call,
                call.cycles_per_call,
                call.issued_per_request * call.cycles_per_call,
                caused.0,
                caused.1,
                suffered.0,
                suffered.1,
            ],
        }
    }
}

impl Calls {
    fn structure(&self) -> Structure {
        Structure::ALL[self.structure]
    }

    /// The calls that the filter lets through, sorted.
    fn rows(&self, scene: &Scene) -> Vec<Row> {
        let report = scene.situation.snapshot.report(self.chosen.mechanism(scene));
        let answer = self.chosen.in_depth(scene);
        let calls = report.map_or(&[][..], |report| &report.per_call);
        let let_through = calls.iter().filter(|call| scene.situation.lets_through(&call.call));
        let mut rows: Vec<Row> = let_through.map(|call| Row::of(call, answer, self.structure())).collect();
        rows.sort_by(|left, right| {
            let number = |row: &Row| self.sorted_by.checked_sub(1).map_or(0.0, |number| row.numbers[number]);
            let (one, other) = (number(left), number(right));
            let by_name = left.call.cmp(&right.call);
            let order = if self.sorted_by == 0 { by_name.reverse() } else { one.total_cmp(&other) };
            let order = if self.ascending { order } else { order.reverse() };
            // what is unknown stands last in either order
            one.is_nan().cmp(&other.is_nan()).then(order).then(by_name)
        });
        rows
    }

    fn columns(&self) -> Vec<Column> {
        let numbers = NUMBERS.iter().map(|(above, header, _, leave_out)| Column::numbers(above, header, *leave_out));
        std::iter::once(Column::words("call")).chain(numbers).collect()
    }

    /// Title and what the columns of misses count.
    fn draw_head(&self, frame: &mut Frame, area: Rect, scene: &Scene) {
        let theme = scene.theme;
        let structure = self.structure().name().to_uppercase();
        let title = format!("{}: system calls; misses in {structure}", self.chosen.label(scene));
        put(frame.buffer_mut(), area, area.y, &cut(&title, usize::from(area.width), theme), theme.style(Role::Heading));
        let known = self.chosen.in_depth(scene).is_some();
        let words = if known {
            "misses that it causes others, and suffers from others".to_owned()
        } else {
            format!("misses: {}", self.chosen.missing(scene))
        };
        put(frame.buffer_mut(), area, area.y + 1, &cut(&words, usize::from(area.width), theme), theme.style(Role::Dim));
    }

    /// The call under the cursor with all its numbers, and how they differ from the pinned scenario.
    fn detail(&self, row: &Row, scene: &Scene) -> String {
        let own = |number: usize| short(row.numbers[number]);
        let mut words = format!("{}: {} instructions and {} cycles a call", row.call, own(1), own(2));
        let mechanism = self.chosen.mechanism(scene);
        let pinned = scene.situation.pinned_report(mechanism).map(|report| {
            report
                .per_call
                .iter()
                .find(|call| call.call == row.call)
                .map_or(0.0, |call| call.issued_per_request * call.cycles_per_call)
        });
        if let Some(before) = pinned {
            let difference = row.numbers[CYCLES] - before;
            let sign = if difference < 0.0 { '-' } else { '+' };
            words.push_str(&format!("; {}pinned {sign}{} cycles a request", scene.theme.glyphs.delta, short(difference.abs())));
        }
        words
    }
}

impl View for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn update(&mut self, action: ViewAction, scene: &Scene) -> Vec<Effect> {
        let rows = self.rows(scene).len();
        let columns = NUMBERS.len() + 1;
        const PAGE: isize = 10;
        self.cursor = match action {
            ViewAction::Up => moved(self.cursor, -1, rows),
            ViewAction::Down => moved(self.cursor, 1, rows),
            ViewAction::PageUp => moved(self.cursor, -PAGE, rows),
            ViewAction::PageDown => moved(self.cursor, PAGE, rows),
            ViewAction::Home => 0,
            ViewAction::End => rows.saturating_sub(1),
            _ => self.cursor,
        };
        match action {
            ViewAction::Left => self.sorted_by = (self.sorted_by + columns - 1) % columns,
            ViewAction::Right => self.sorted_by = (self.sorted_by + 1) % columns,
            ViewAction::Open => self.ascending = !self.ascending,
            ViewAction::NextKind => self.structure = (self.structure + 1) % Structure::COUNT,
            ViewAction::NextMechanism => {
                self.chosen.turn(scene);
                return self.chosen.ask(scene);
            }
            _ => {}
        }
        Vec::new()
    }

    fn shown(&mut self, scene: &Scene) -> Vec<Effect> {
        self.chosen.ask(scene)
    }

    fn draw(&self, frame: &mut Frame, area: Rect, scene: &Scene) {
        self.draw_head(frame, area, scene);
        let body = Rect { y: area.y + HEAD, height: area.height.saturating_sub(HEAD + FOOT), ..area };
        let rows = self.rows(scene);
        if rows.is_empty() {
            let answer = scene.situation.snapshot.answer(self.chosen.mechanism(scene));
            let reason = answer.map_or_else(|| Some("not simulated yet".into()), |answer| answer.reason());
            let text = reason.unwrap_or_else(|| "no call has the filter's text in its name".into());
            put_words(frame.buffer_mut(), body, &text, scene.theme.style(Role::Text));
            return;
        }
        let cursor = self.cursor.min(rows.len() - 1);
        let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, short)).collect();
        let sign = match (self.ascending, scene.theme.is_ascii()) {
            (true, true) => '^',
            (false, true) => 'v',
            (true, false) => '▲',
            (false, false) => '▼',
        };
        let columns = self.columns();
        let grid = Grid { columns: &columns, rows: &cells, cursor: Some(cursor), marked: Some((self.sorted_by, sign)) };
        let shown = grid.draw(frame.buffer_mut(), body, scene.theme);
        let foot = Rect { y: area.bottom().saturating_sub(1), height: 1, ..area };
        let more = if shown < rows.len() { format!("{} of {} calls; ", shown, rows.len()) } else { String::new() };
        let text = format!("{more}{}", self.detail(&rows[cursor], scene));
        put(frame.buffer_mut(), foot, foot.y, &cut(&text, usize::from(foot.width), scene.theme), scene.theme.style(Role::Text));
    }

    fn click(&mut self, _column: u16, row: u16, scene: &Scene) -> Vec<Effect> {
        let rows = self.rows(scene).len();
        if let Some(line) = usize::from(row).checked_sub(usize::from(HEADER + HEAD)) {
            let room = usize::from(scene.size.1.saturating_sub(HEAD + HEADER + FOOT));
            self.cursor = moved(first_row(rows, room, Some(self.cursor)) + line, 0, rows);
        }
        Vec::new()
    }

    fn export(&self, scene: &Scene) -> Export {
        let mut columns = vec!["call".to_owned()];
        let structure = self.structure().name();
        columns.extend(
            NUMBERS.iter().enumerate().map(
                |(position, (_, _, name, _))| {
                    if position > CYCLES { format!("{structure}_{name}") } else { (*name).to_owned() }
                },
            ),
        );
        let rows = self.rows(scene).iter().map(|row| cells(row, |value| fixed(value, 6).replace(',', ""))).collect();
        Export { title: format!("system calls, {}", self.chosen.mechanism(scene).name()), columns, rows }
    }
}

fn cells(row: &Row, number: impl Fn(f64) -> String) -> Vec<String> {
    std::iter::once(row.call.clone()).chain(row.numbers.iter().map(|value| number(*value))).collect()
}
