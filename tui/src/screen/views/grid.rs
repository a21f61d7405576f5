//! Tables on the screen: columns that matter least are left out where it is narrow, rows scroll under the cursor.

use crate::screen::text::{left, right, wrapped};
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

/// Writes words into an area, on as many lines as they take; returns how many.
pub fn put_words(buffer: &mut Buffer, area: Rect, words: &str, style: Style) -> u16 {
    let lines = wrapped(words, usize::from(area.width), 0);
    (area.y..).zip(&lines).for_each(|(row, line)| put(buffer, area, row, line, style));
    (lines.len() as u16).min(area.height)
}

/// Moves a cursor by so many rows.
pub fn moved(cursor: usize, by: isize, rows: usize) -> usize {
    cursor.saturating_add_signed(by).min(rows.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screen::theme::ThemeName;

    fn drawn(width: u16, height: u16, cursor: usize, marked: usize) -> Vec<String> {
        let columns = [
            Column::words("call"),
            Column::numbers("", "count", 0),
            Column::numbers("cycles", "a call", 2),
            Column::numbers("misses", "caused", 1),
        ];
        let rows: Vec<Vec<String>> = [("a_call_with_a_long_name", 1), ("read", 22), ("write", 333)]
            .map(|(name, count)| vec![name.to_owned(), count.to_string(), "1,000".into(), "0.5".into()])
            .to_vec();
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let grid = Grid { columns: &columns, rows: &rows, cursor: Some(cursor), marked: Some((marked, 'v')) };
        grid.draw(&mut buffer, area, &Theme::new(ThemeName::Monochrome, true));
        let line = |row: u16| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
        (0..height).map(|row| line(row).trim_end().to_owned()).collect()
    }

    #[test]
    fn wide_enough_shows_all_columns() {
        assert_eq!(
            drawn(60, 5, 0, 1),
            [
                "                                 cycles  misses",
                "call                     countv  a call  caused",
                "a_call_with_a_long_name       1   1,000     0.5",
                "read                         22   1,000     0.5",
                "write                       333   1,000     0.5",
            ]
        );
    }

    #[test]
    fn narrow_leaves_columns_out_but_never_the_marked_one() {
        let lines = drawn(40, 5, 0, 1);
        assert_eq!(lines[1], "call                     countv  caused");
        let lines = drawn(24, 5, 0, 2);
        assert_eq!(lines[1], "call      count  a callv");
        assert_eq!(lines[2], "a_call..      1    1,000");
    }

    #[test]
    fn rows_scroll_under_the_cursor() {
        assert_eq!(drawn(40, 4, 2, 1)[2..].iter().map(|line| &line[..5]).collect::<Vec<_>>(), ["read ", "write"]);
        assert_eq!((first_row(3, 2, None), first_row(3, 9, Some(2)), first_row(0, 2, Some(0))), (0, 0, 0));
        assert_eq!((moved(0, -1, 3), moved(2, 5, 3), moved(1, 1, 3), moved(4, 1, 0)), (0, 2, 2, 0));
    }
}
