//! Tables on the screen: columns that matter least are left out where it is narrow, rows scroll under the cursor.

use crate::screen::text::{left, right};
use crate::screen::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Two lines above the values.
    pub header: [String; 2],
    /// Aligned to the right.
    pub numeric: bool,
    /// 0: always shown; the higher, the earlier it is left out.
    pub leave_out: u8,
}

impl Column {
    /// A column of words, which is always shown.
    pub fn words(header: &str) -> Column {
        Column { header: [String::new(), header.into()], numeric: false, leave_out: 0 }
    }

    /// A column of numbers.
    pub fn numbers(above: &str, header: &str, leave_out: u8) -> Column {
        Column { header: [above.into(), header.into()], numeric: true, leave_out }
    }
}

/// A table with a cursor.
#[derive(Clone, Debug)]
pub struct Grid<'a> {
    /// The columns.
    pub columns: &'a [Column],
    /// The rows: a cell for each column.
    pub rows: &'a [Vec<String>],
    /// Row under the cursor; none without one.
    pub cursor: Option<usize>,
    /// A column that is marked and never left out, with the sign behind its header.
    pub marked: Option<(usize, char)>,
}

/// Columns between two columns.
const GAP: usize = 2;
/// Lines of the header.
pub const HEADER: u16 = 2;
/// A column of words is not narrower than this.
const WORDS_LEAST: usize = 8;

impl Grid<'_> {
    /// Draws what fits. Returns the number of rows shown.
    pub fn draw(&self, buffer: &mut Buffer, area: Rect, theme: &Theme) -> usize {
        let shown = self.shown(usize::from(area.width));
        let widths = self.squeezed(&shown, usize::from(area.width));
        self.draw_header(buffer, area, theme, &shown, &widths);
        let room = usize::from(area.height.saturating_sub(HEADER));
        let first = first_row(self.rows.len(), room, self.cursor);
        for (line, row) in self.rows.iter().enumerate().skip(first).take(room) {
            let style = if self.cursor == Some(line) { theme.style(Role::Selected) } else { theme.style(Role::Text) };
            let y = area.y + HEADER + (line - first) as u16;
            let mut text = String::new();
            for (column, width) in shown.iter().zip(&widths) {
                let cell = row.get(*column).map_or("", String::as_str);
                push_cell(&mut text, cell, *width, self.columns[*column].numeric, theme);
            }
            put(buffer, area, y, &text, style);
        }
        room.min(self.rows.len() - first)
    }

    fn draw_header(&self, buffer: &mut Buffer, area: Rect, theme: &Theme, shown: &[usize], widths: &[usize]) {
        for line in 0..HEADER {
            let mut text = String::new();
            for (column, width) in shown.iter().zip(widths) {
                push_cell(&mut text, &self.header(*column, usize::from(line)), *width, self.columns[*column].numeric, theme);
            }
            if line < area.height {
                put(buffer, area, area.y + line, &text, theme.style(Role::Heading));
            }
        }
    }

    fn header(&self, column: usize, line: usize) -> String {
        let text = &self.columns[column].header[line];
        match self.marked {
            Some((marked, sign)) if marked == column && line == 1 => format!("{text}{sign}"),
            _ => text.clone(),
        }
    }

    /// Columns a column takes.
    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let headers = (0..2).map(|line| self.header(column, line).chars().count());
        cells.chain(headers).max().unwrap_or(0)
    }

    /// Columns that fit, or that may not be left out.
    fn shown(&self, width: usize) -> Vec<usize> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let needed = |shown: &[usize]| shown.iter().map(|column| self.width(*column) + GAP).sum::<usize>().saturating_sub(GAP);
        let marked = self.marked.map(|marked| marked.0);
        while needed(&shown) > width {
            let may_go = shown.iter().copied().filter(|column| self.columns[*column].leave_out > 0 && Some(*column) != marked);
            let Some(least) = may_go.max_by_key(|column| (self.columns[*column].leave_out, *column)) else { break };
            shown.retain(|column| *column != least);
        }
        shown
    }

    /// Widths of the shown columns: the first column of words gives way where all together are too wide.
    fn squeezed(&self, shown: &[usize], width: usize) -> Vec<usize> {
        let mut widths: Vec<usize> = shown.iter().map(|column| self.width(*column)).collect();
        let needed = (widths.iter().sum::<usize>() + GAP * widths.len()).saturating_sub(GAP);
        let words = shown.iter().position(|column| !self.columns[*column].numeric);
        if let Some(words) = words.filter(|_| needed > width) {
            widths[words] = widths[words].saturating_sub(needed - width).max(WORDS_LEAST.min(widths[words]));
        }
        widths
    }
}

/// The first row to show so that the cursor is seen.
pub fn first_row(rows: usize, room: usize, cursor: Option<usize>) -> usize {
    let last_start = rows.saturating_sub(room);
    cursor.map_or(0, |cursor| (cursor + 1).saturating_sub(room)).min(last_start)
}

fn push_cell(text: &mut String, cell: &str, width: usize, numeric: bool, theme: &Theme) {
    if !text.is_empty() {
        text.push_str(&" ".repeat(GAP));
    }
    text.push_str(&if numeric { right(cell, width, theme) } else { left(cell, width, theme) });
}

/// Writes a line into an area, cut at its right end.
pub fn put(buffer: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    if row < area.bottom() {
        buffer.set_stringn(area.x, row, text, usize::from(area.width), style);
    }
}

/// Moves a cursor by so many rows.
pub fn moved(cursor: usize, by: isize, rows: usize) -> usize {
    cursor.saturating_add_signed(by).min(rows.saturating_sub(1))
}
