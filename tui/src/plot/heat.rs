//! A matrix of numbers as a heat map: every cell shows its number, so that nothing rests on shade alone.

use super::fill::ON_FILL;
use super::{Area, FONT, INK, render};
use crate::numbers;
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A matrix with names.
#[derive(Clone, Debug)]
pub struct Heat {
    /// Above everything.
    pub title: String,
    /// Above the columns: groups with the number of their columns.
    pub groups: Vec<(String, usize)>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows, with a value for each column.
    pub rows: Vec<(String, Vec<f64>)>,
    /// The value that is shown darkest: the same in maps that are to be compared.
    pub darkest: f64,
}

const CELL: (i32, i32) = (48, 22);
const NAME_WIDTH: i32 = 130;
const HEADER_HEIGHT: i32 = 44;
const TITLE_HEIGHT: i32 = 34;
/// Values below this share of the darkest one are white.
const LIGHTEST_SHARE: f64 = 1e-4;
const LIGHT: (f64, f64, f64) = (255.0, 250.0, 235.0);
const DARK: (f64, f64, f64) = (222.0, 106.0, 16.0);
const FRAME: RGBColor = RGBColor(205, 205, 205);

/// Draws the map.
///
/// # Errors
/// A map without cells.
pub fn svg(heat: &Heat) -> Result<String> {
    anyhow::ensure!(!heat.rows.is_empty() && !heat.columns.is_empty(), "{}: the map has no cells", heat.title);
    let width = NAME_WIDTH + CELL.0 * heat.columns.len() as i32 + 12;
    let height = TITLE_HEIGHT + HEADER_HEIGHT + CELL.1 * heat.rows.len() as i32 + 10;
    render((width as u32, height as u32), &heat.title, |area| draw(heat, area))
}

fn draw(heat: &Heat, area: &Area) -> Result<()> {
    let text =
        |size: i32, color: &RGBColor, horizontal| (FONT, size).into_font().color(color).pos(Pos::new(horizontal, VPos::Center));
    let left = |column: usize| NAME_WIDTH + CELL.0 * column as i32;
    let mut first = 0;
    for (name, count) in &heat.groups {
        let middle = (left(first) + left(first + count)) / 2;
        area.draw(&Text::new(name.clone(), (middle, 10), text(14, &INK, HPos::Center)))?;
        first += count;
    }
    for (column, name) in heat.columns.iter().enumerate() {
        area.draw(&Text::new(name.clone(), (left(column) + CELL.0 / 2, 30), text(12, &INK, HPos::Center)))?;
    }
    for (row, (name, values)) in heat.rows.iter().enumerate() {
        let top = HEADER_HEIGHT + CELL.1 * row as i32;
        area.draw(&Text::new(name.clone(), (NAME_WIDTH - 8, top + CELL.1 / 2), text(13, &INK, HPos::Right)))?;
        for (column, value) in values.iter().enumerate() {
            let corner = (left(column), top);
            let frame = [corner, (corner.0 + CELL.0, top + CELL.1)];
            area.draw(&Rectangle::new(frame, shade(*value, heat.darkest).filled()))?;
            area.draw(&Rectangle::new(frame, FRAME.stroke_width(1)))?;
            if *value > 0.0 {
                let place = (corner.0 + CELL.0 / 2, top + CELL.1 / 2);
                area.draw(&Text::new(numbers::short(*value), place, text(11, &ON_FILL, HPos::Center)))?;
            }
        }
    }
    Ok(())
}

/// Between light and dark by the logarithm of the value.
fn shade(value: f64, darkest: f64) -> RGBColor {
    let share = value / darkest;
    let depth = if share > LIGHTEST_SHARE { 1.0 - libm::log(share) / libm::log(LIGHTEST_SHARE) } else { 0.0 };
    let mix = |light: f64, dark: f64| (light + (dark - light) * depth.clamp(0.0, 1.0)).round() as u8;
    RGBColor(mix(LIGHT.0, DARK.0), mix(LIGHT.1, DARK.1), mix(LIGHT.2, DARK.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_their_numbers_and_zeros_are_empty() {
        let heat = Heat {
            title: "who evicts whom".into(),
            groups: vec![("l1i".into(), 2)],
            columns: vec!["user".into(), "kernel".into()],
            rows: vec![("read".into(), vec![12.5, 0.0]), ("softirq".into(), vec![0.0, 3.25])],
            darkest: 12.5,
        };
        let text = svg(&heat).unwrap();
        for label in ["who evicts whom", "l1i", "user", "kernel", "read", "softirq", "12.5", "3.25"] {
            assert!(text.contains(&format!("\n{label}\n")), "{label}: {text}");
        }
        assert!(!text.contains("\n0\n"), "{text}");
        assert_eq!((shade(12.5, 12.5), shade(0.0, 12.5)), (RGBColor(222, 106, 16), RGBColor(255, 250, 235)));
        assert!(svg(&Heat { rows: Vec::new(), ..heat }).is_err());
    }
}
