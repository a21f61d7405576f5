//! The matrix on the screen: each cell has a shade and its number.

use super::matrix::{ITSELF, Matrix, Measure};
use super::{Level, Pollution, functions};
use crate::numbers::{percent, short};
use crate::screen::text::{cut, wrapped};
use crate::screen::theme::{Role, SHADES};
use crate::screen::view::Scene;
use crate::screen::views::grid::{Column, Grid, HEADER, first_row, put, put_words};
use cpu_model::Structure;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use sim_core::ids::Mode;

/// Columns of a cell of the matrix.
const CELL: std::ops::RangeInclusive<u16> = 10..=14;
/// What the rows are, where there is room for it.
const ROWS: &str = "pushed out by";
/// Columns of the evictors' names at most.
const NAMES_MOST: usize = 20;
/// Each shade stands for values down to this part of those of the next darker one.
const SHADE_RATIO: f64 = 0.25;
/// Signs of shade in a cell.
const SHADE_SIGNS: usize = 2;

/// Draws the view.
pub(super) fn draw(view: &Pollution, buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let theme = scene.theme;
    put(buffer, area, area.y, &cut(&view.title(scene), usize::from(area.width), theme), theme.style(Role::Heading));
    put(buffer, area, area.y + 1, &cut(&path(view), usize::from(area.width), theme), theme.style(Role::Dim));
    let body = Rect { y: area.y + 2, height: area.height.saturating_sub(2), ..area };
    if let Level::Functions { evictor, victim, .. } = &view.level
        && let Some(answer) = view.chosen.in_depth(scene)
    {
        functions::draw(buffer, body, (answer, evictor.as_str(), victim.as_str()), view.scroll, scene);
        return;
    }
    match view.matrix(scene) {
        Some(matrix) if !matrix.is_empty() => draw_matrix(view, buffer, body, &matrix, scene),
        Some(_) => put(buffer, body, body.y, "no misses here", theme.style(Role::Text)),
        None => {
            let mechanism = view.chosen.mechanism(scene);
            let reason = scene.situation.snapshot.answer(mechanism).and_then(|answer| answer.reason());
            let reason = reason.unwrap_or_else(|| view.chosen.missing(scene));
            put_words(buffer, body, &format!("{}: {reason}", mechanism.name()), theme.style(Role::Text));
        }
    }
}

/// Where the view is, and how to go on.
fn path(view: &Pollution) -> String {
    match &view.level {
        Level::Modes => "rows pushed lines out that columns then missed; Enter: what the column is made of".into(),
        Level::Calls(mode) => {
            format!("in {} mode; Enter: kernel functions, Esc: back", mode.name())
        }
        Level::Functions { evictor, victim, .. } if evictor == ITSELF => format!("{victim} pushes out its own lines; Esc: back"),
        Level::Functions { evictor, victim, .. } => format!("{evictor} pushes out {victim}'s lines; Esc: back"),
    }
}

/// Widths and the part of the matrix that is seen.
struct Window {
    names: usize,
    cell: u16,
    first: (usize, usize),
    count: (usize, usize),
}

impl Window {
    /// Of an area that holds the header and the rows.
    fn of(matrix: &Matrix, cursor: (usize, usize), area: Rect) -> Window {
        let longest = matrix.evictors.iter().map(|name| shown(name).chars().count()).max().unwrap_or(0);
        let names = longest.min(NAMES_MOST).min(usize::from(area.width / 3)).max(7);
        let room = area.width.saturating_sub(names as u16 + 1);
        let cell = (room / matrix.victims.len().max(1) as u16).clamp(*CELL.start(), *CELL.end());
        let columns = usize::from(room / cell).clamp(1, matrix.victims.len());
        let rows = usize::from(area.height.saturating_sub(1));
        let first =
            (first_row(matrix.evictors.len(), rows, Some(cursor.0)), first_row(matrix.victims.len(), columns, Some(cursor.1)));
        Window { names, cell, first, count: (rows.min(matrix.evictors.len() - first.0), columns) }
    }

    fn x(&self, area: Rect, column: usize) -> u16 {
        area.x + self.names as u16 + 1 + (column - self.first.1) as u16 * self.cell
    }
}

fn draw_matrix(view: &Pollution, buffer: &mut Buffer, area: Rect, matrix: &Matrix, scene: &Scene) {
    let theme = scene.theme;
    let cursor = view.clamped(matrix);
    let detail: Vec<String> =
        detail(view, matrix, cursor, scene).iter().flat_map(|line| wrapped(line, usize::from(area.width), 2)).collect();
    let detail_lines = (detail.len() as u16).min(area.height);
    let window = Window::of(matrix, cursor, Rect { height: area.height - detail_lines, ..area });
    let columns = window.first.1..window.first.1 + window.count.1;
    put(buffer, area, area.y, if window.names >= ROWS.len() { ROWS } else { "evictor" }, theme.style(Role::Dim));
    for column in columns.clone() {
        let hidden = column + 1 == columns.end && columns.end < matrix.victims.len();
        let sign = if hidden { theme.glyphs.arrows[1] } else { ' ' };
        let width = usize::from(window.cell) - 2;
        let name = format!("{:>width$}{sign}", cut(&matrix.victims[column], width, theme));
        let style = theme.style(if column == cursor.1 { Role::Key } else { Role::Dim });
        buffer.set_stringn(window.x(area, column), area.y, name, usize::from(window.cell), style);
    }
    let largest = matrix.largest(view.measure);
    for row in window.first.0..window.first.0 + window.count.0 {
        let y = area.y + 1 + (row - window.first.0) as u16;
        let style = theme.style(if row == cursor.0 { Role::Key } else { Role::Text });
        buffer.set_stringn(area.x, y, cut(shown(&matrix.evictors[row]), window.names, theme), window.names, style);
        for column in columns.clone() {
            let value = matrix.value(row, column, view.measure);
            let cell = Rect { x: window.x(area, column), y, width: window.cell, height: 1 };
            draw_cell(buffer, cell, (value, largest), view.measure, (row, column) == cursor, scene);
        }
    }
    // a blank line between, where there is room
    let below = (area.y + window.count.0 as u16 + 2).min(area.bottom() - detail_lines);
    (below..).zip(&detail).for_each(|(row, line)| put(buffer, area, row, line, theme.style(Role::Text)));
    let rest = below + detail_lines + 1;
    if view.level == Level::Modes && rest + OVERVIEW_LINES <= area.bottom() {
        draw_overview(view, buffer, Rect { y: rest, height: area.bottom() - rest, ..area }, scene);
    }
}

/// Lines of the overview: a heading, the head of the table, a line for each structure.
const OVERVIEW_LINES: u16 = 1 + HEADER + Structure::COUNT as u16;

/// All structures: misses of each mode, and which part of them other code than the mode's own had caused.
fn draw_overview(view: &Pollution, buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let theme = scene.theme;
    let Some(report) = scene.situation.snapshot.report(view.chosen.mechanism(scene)) else { return };
    let heading = "all structures, misses a request (n: the next structure)";
    put(buffer, area, area.y, &cut(heading, usize::from(area.width), theme), theme.style(Role::Dim));
    let columns: Vec<Column> = std::iter::once(Column::words("structure"))
        .chain(
            Mode::ALL
                .iter()
                .flat_map(|mode| [Column::numbers(mode.name(), "misses", 0), Column::numbers("by the", "other mode", 0)]),
        )
        .collect();
    let row = |structure: &Structure| {
        let matrix = Matrix::of_modes(&report.evictors, *structure, report.requests);
        let cells = (0..matrix.victims.len()).flat_map(|victim| {
            let (all, others) = matrix.totals(victim);
            [short(all), percent(others / all)]
        });
        std::iter::once(structure.name().to_uppercase()).chain(cells).collect()
    };
    let rows: Vec<Vec<String>> = Structure::ALL.iter().map(row).collect();
    let table = Rect { y: area.y + 1, height: area.height - 1, ..area };
    Grid { columns: &columns, rows: &rows, cursor: Some(view.structure), marked: None }.draw(buffer, table, theme);
}

fn draw_cell(buffer: &mut Buffer, cell: Rect, (value, largest): (f64, f64), measure: Measure, selected: bool, scene: &Scene) {
    let theme = scene.theme;
    let step = shade(value, largest);
    let signs: String = std::iter::repeat_n(theme.glyphs.shades[step], SHADE_SIGNS).collect();
    buffer.set_stringn(cell.x, cell.y, &signs, SHADE_SIGNS, theme.style(Role::Shade(step)));
    let width = usize::from(cell.width) - SHADE_SIGNS - 1;
    let number = if value > 0.0 { format!("{:>width$}", text(value, measure)) } else { " ".repeat(width) };
    let style = if selected { theme.style(Role::Selected) } else { Style::default() };
    buffer.set_stringn(cell.x + SHADE_SIGNS as u16, cell.y, number, width, style);
}

/// A value for a cell.
fn text(value: f64, measure: Measure) -> String {
    match measure {
        Measure::Share => percent(value),
        _ => short(value),
    }
}

/// Shade of a value: each step is a quarter of the next darker one; anything above zero has one.
fn shade(value: f64, largest: f64) -> usize {
    if value <= 0.0 || largest <= 0.0 {
        return 0;
    }
    let below = (0..SHADES - 1).take_while(|step| value < largest * SHADE_RATIO.powi(*step as i32 + 1)).count();
    SHADES - below
}

/// The cell under the cursor in words, with the difference from the pinned scenario.
fn detail(view: &Pollution, matrix: &Matrix, cursor: (usize, usize), scene: &Scene) -> Vec<String> {
    let value = |measure: Measure| matrix.value(cursor.0, cursor.1, measure);
    let (evictor, victim) = (&matrix.evictors[cursor.0], &matrix.victims[cursor.1]);
    let counts = format!(
        "{} misses, {} cycles a request; {} of its misses",
        short(value(Measure::Misses)),
        short(value(Measure::Cycles)),
        percent(value(Measure::Share))
    );
    let difference = view.pinned(scene).map(|pinned| {
        let difference = value(view.measure) - pinned.value_of(evictor, victim, view.measure);
        let sign = if difference < 0.0 { '-' } else { '+' };
        format!("{} from the pinned scenario: {sign}{}", scene.theme.glyphs.delta, text(difference.abs(), view.measure))
    });
    [sentence(evictor, victim), counts].into_iter().chain(difference).collect()
}

/// Name of a row for people: a report calls the causes by short names.
fn shown(evictor: &str) -> &str {
    match evictor {
        "same" => "its own mode",
        "never" => "nobody: first use",
        "coherence" => "another core",
        name => name,
    }
}

/// What a cell counts, in words.
fn sentence(evictor: &str, victim: &str) -> String {
    match evictor {
        "never" => format!("{victim} meets lines that were never there before"),
        "coherence" => format!("{victim} misses what another core's write took away"),
        "flush" => format!("{victim} misses what a flush threw out"),
        "same" => format!("{victim} misses what code of its own mode had pushed out"),
        ITSELF => format!("{victim} misses what it had pushed out itself"),
        evictor => format!("{victim} misses what {evictor} had pushed out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_are_quarters_and_nothing_has_none() {
        let found = [8.0, 2.0, 1.9, 0.5, 0.1, 0.0].map(|value| shade(value, 8.0));
        assert_eq!(found, [4, 4, 3, 3, 1, 0]);
        assert_eq!(shade(0.0, 0.0), 0);
    }
}
