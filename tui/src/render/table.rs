//! A table that fits: columns that matter least are left out where the terminal is narrow, and texts are wrapped.

use crate::terminal::Terminal;
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, TableStyle};

/// No borders, one line under the header: what can be read aloud and cut with standard tools.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

struct Column {
    header: String,
    numeric: bool,
    /// 0: always shown; the higher, the earlier it is left out.
    leave_out: u8,
}

/// A table.
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table in which all columns are shown. `numeric` columns are aligned to the right.
    pub fn new(headers: impl IntoIterator<Item = impl Into<String>>, numeric: &[bool]) -> Table {
        let column = |(header, numeric): (_, &bool)| Column { header, numeric: *numeric, leave_out: 0 };
        Table { columns: headers.into_iter().map(Into::into).zip(numeric).map(column).collect(), rows: Vec::new() }
    }

    /// A table whose columns say what may be left out: header, numeric, order in which columns go (0: never).
    pub fn with_order(columns: &[(&str, bool, u8)]) -> Table {
        let column = |(header, numeric, leave_out): &(&str, bool, u8)| Column {
            header: (*header).to_owned(),
            numeric: *numeric,
            leave_out: *leave_out,
        };
        Table { columns: columns.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Takes columns out in which nothing but `0` stands.
    pub fn drop_zeros(&mut self, headers: &[&str]) {
        for index in (0..self.columns.len()).rev() {
            let zeros = self.rows.iter().all(|row| row.get(index).is_some_and(|cell| cell == "0"));
            if zeros && headers.contains(&self.columns[index].header.as_str()) {
                self.columns.remove(index);
                self.rows.iter_mut().for_each(|row| drop(row.remove(index)));
            }
        }
    }

    /// True without rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, every line ended.
    pub fn render(&self, terminal: &Terminal) -> String {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        loop {
            let mut table = self.build(&shown, terminal.color);
            if width(&table) > terminal.width {
                let least = shown.iter().copied().max_by_key(|index| (self.columns[*index].leave_out, *index));
                if let Some(index) = least.filter(|index| self.columns[*index].leave_out > 0) {
                    shown.retain(|other| *other != index);
                    continue;
                }
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(terminal.width.min(u16::MAX.into()) as u16);
            }
            let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
            return lines.concat();
        }
    }

    fn build(&self, shown: &[usize], color: bool) -> comfy_table::Table {
        let mut table = comfy_table::Table::new();
        table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
        if color {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let align = |index: &usize| if self.columns[*index].numeric { CellAlignment::Right } else { CellAlignment::Left };
        let header = shown
            .iter()
            .map(|index| Cell::new(&self.columns[*index].header).add_attribute(Attribute::Bold).set_alignment(align(index)));
        table.set_header(header.collect::<Vec<Cell>>());
        for row in &self.rows {
            let cell = |index: &usize| Cell::new(row.get(*index).map_or("", String::as_str)).set_alignment(align(index));
            table.add_row(shown.iter().map(cell).collect::<Vec<Cell>>());
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 1));
        }
        table
    }
}

/// Columns that a table takes on the terminal as it stands: between two columns stands one space besides their padding.
fn width(table: &comfy_table::Table) -> usize {
    table.column_max_content_widths().iter().map(|width| usize::from(*width) + 2).sum::<usize>().saturating_sub(2)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A terminal of so many columns without colour.
    pub(in crate::render) fn terminal(width: usize) -> Terminal {
        Terminal { width, color: false, color_errors: false, watched: false, quiet: false, verbose: false }
    }

    fn table() -> Table {
        let mut table = Table::with_order(&[("name", false, 0), ("value", true, 1), ("a long remark", false, 2)]);
        table.row(["one", "1", "words words words"]);
        table.row(["two", "22", "words"]);
        table
    }

    #[test]
    fn wide_enough_shows_everything() {
        let text = table().render(&terminal(60));
        let words: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(words[0], ["name", "value", "a", "long", "remark"]);
        assert_eq!(words[3], ["two", "22", "words"]);
        assert!(text.lines().all(|line| line == line.trim_end() && line.chars().count() <= 34), "{text}");
    }

    #[test]
    fn narrow_leaves_out_what_matters_least() {
        let narrow = table().render(&terminal(20));
        assert!(narrow.contains("value") && !narrow.contains("remark"), "{narrow}");
        let narrower = table().render(&terminal(8));
        assert!(!narrower.contains("value") && narrower.contains("two"), "{narrower}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 21), "{narrow}");
    }

    #[test]
    fn columns_of_zeros_go_where_asked() {
        let mut table = Table::new(["a", "b", "c"], &[true, true, true]);
        table.row(["0", "0", "0"]);
        table.row(["0", "0", "1"]);
        table.drop_zeros(&["b", "c"]);
        assert_eq!(table.render(&terminal(60)).split_whitespace().next(), Some("a"));
        assert!(!table.render(&terminal(60)).contains('b') && table.render(&terminal(60)).contains('c'));
    }

    #[test]
    fn colour_changes_no_width() {
        let plain = table().render(&terminal(60));
        let colored = table().render(&Terminal { color: true, ..terminal(60) });
        assert!(colored.contains("\u{1b}[1m") && !plain.contains('\u{1b}'));
        assert_eq!(plain.lines().nth(2), colored.lines().nth(2));
    }
}
