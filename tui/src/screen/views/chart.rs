//! Curves on a grid of characters. Every curve has a letter of its own, so that nothing rests on colour, and a chart of a few lines can
//! still be read.

use crate::numbers::short;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use std::collections::BTreeSet;

/// Columns left of the curves, for the labels of the vertical axis and the axis itself.
pub const GUTTER: u16 = 8;
/// Lines below the curves: the axis and its labels.
const FOOT: u16 = 2;
/// A curve of many points shows its letter every so many columns.
const LETTER_EVERY: u16 = 6;

/// How values are spread over an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm.
    Logarithmic,
}

/// The range of an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// First value.
    pub low: f64,
    /// Last value.
    pub high: f64,
    /// How values are spread.
    pub scale: Scale,
}

/// One value of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis.
    pub y: f64,
    /// The interval of `y`, where there is one.
    pub interval: Option<(f64, f64)>,
}

/// A curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Drawn at its points.
    pub letter: char,
    /// How letter and line are drawn.
    pub style: Style,
    /// In order of `x`.
    pub points: Vec<Point>,
}

/// What is drawn besides the curves.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Values of the horizontal axis with their labels.
    pub ticks: &'a [(f64, String)],
    /// A vertical line, where there is one.
    pub cursor: Option<f64>,
    /// Axes and labels.
    pub dim: Style,
    /// Only ASCII characters.
    pub ascii: bool,
}

impl Axis {
    /// A linear axis from 0 to a round number above all values.
    pub fn from_zero(largest: f64) -> Axis {
        Axis { low: 0.0, high: rounded_up(largest), scale: Scale::Linear }
    }

    /// Place of a value, 0 to 1 within the range.
    fn place(&self, value: f64) -> f64 {
        let at = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => libm::log(value.max(f64::MIN_POSITIVE)),
        };
        let (low, high) = (at(self.low), at(self.high));
        if high > low { (at(value) - low) / (high - low) } else { 0.5 }
    }

    /// The value at a place.
    pub fn value(&self, place: f64) -> f64 {
        match self.scale {
            Scale::Linear => self.low + (self.high - self.low) * place,
            Scale::Logarithmic => {
                let (low, high) = (libm::log(self.low.max(f64::MIN_POSITIVE)), libm::log(self.high));
                libm::exp(low + (high - low) * place)
            }
        }
    }
}

/// The part of an area in which the curves lie; empty when the area is too small.
pub fn inside(area: Rect) -> Rect {
    Rect {
        x: area.x + GUTTER.min(area.width),
        y: area.y,
        width: area.width.saturating_sub(GUTTER),
        height: area.height.saturating_sub(FOOT),
    }
}

/// Draws curves with their axes.
pub fn draw(buffer: &mut Buffer, area: Rect, axes: (Axis, Axis), curves: &[Curve], frame: &Frame) {
    let plot = inside(area);
    if plot.width < 4 || plot.height < 2 {
        return;
    }
    let grid = Grid { plot, x: axes.0, y: axes.1, ascii: frame.ascii };
    grid.draw_axes(buffer, frame);
    if let Some(cursor) = frame.cursor
        && let Some(column) = grid.column(cursor)
    {
        (plot.top()..plot.bottom()).for_each(|row| put(buffer, column, row, if frame.ascii { ':' } else { '┊' }, frame.dim));
    }
    curves.iter().for_each(|curve| grid.draw_line(buffer, curve));
    let mut taken = BTreeSet::new();
    curves.iter().for_each(|curve| grid.draw_letters(buffer, curve, &mut taken));
}

/// The next number whose half and quarter have few digits.
fn rounded_up(value: f64) -> f64 {
    if value.is_nan() || value <= 0.0 {
        return 1.0;
    }
    let power = libm::pow(10.0, libm::floor(libm::log10(value)));
    let steps = [1.0, 1.2, 1.6, 2.0, 2.4, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|rounded| *rounded >= value).unwrap_or(10.0 * power)
}

/// A value short enough for the gutter.
fn axis_label(value: f64) -> String {
    let label = short(value);
    if label.chars().count() < usize::from(GUTTER) { label } else { format!("{}M", short(value / 1e6)) }
}

struct Grid {
    plot: Rect,
    x: Axis,
    y: Axis,
    ascii: bool,
}

impl Grid {
    fn column(&self, value: f64) -> Option<u16> {
        let place = self.x.place(value);
        let column = (place * f64::from(self.plot.width - 1)).round();
        (-0.001..=1.001).contains(&place).then(|| self.plot.x + (column as u16).min(self.plot.width - 1))
    }

    fn row(&self, value: f64) -> u16 {
        let place = self.y.place(value).clamp(0.0, 1.0);
        self.plot.bottom() - 1 - (place * f64::from(self.plot.height - 1)).round() as u16
    }

    fn draw_axes(&self, buffer: &mut Buffer, frame: &Frame) {
        let (vertical, corner, horizontal) = if self.ascii { ('|', '+', '-') } else { ('│', '└', '─') };
        let left = self.plot.x - 1;
        for row in self.plot.top()..self.plot.bottom() {
            put(buffer, left, row, vertical, frame.dim);
        }
        put(buffer, left, self.plot.bottom(), corner, frame.dim);
        for column in self.plot.left()..self.plot.right() {
            put(buffer, column, self.plot.bottom(), horizontal, frame.dim);
        }
        let parts = if self.plot.height >= 9 { 4 } else { 2 };
        for part in 0..=parts {
            let value = self.y.value(f64::from(part) / f64::from(parts));
            let label = format!("{:>width$}", axis_label(value), width = usize::from(GUTTER) - 1);
            buffer.set_stringn(self.plot.x - GUTTER, self.row(value), label, usize::from(GUTTER) - 1, frame.dim);
        }
        self.draw_ticks(buffer, frame);
    }

    /// Labels below the axis, those that would run into the one before left out.
    fn draw_ticks(&self, buffer: &mut Buffer, frame: &Frame) {
        let mut free_from = self.plot.x.saturating_sub(GUTTER);
        for (value, label) in frame.ticks {
            let Some(column) = self.column(*value) else { continue };
            put(buffer, column, self.plot.bottom(), if self.ascii { '+' } else { '┴' }, frame.dim);
            let width = label.chars().count() as u16;
            let start = column.saturating_sub(width / 2).min(self.plot.right().saturating_sub(width)).max(self.plot.x - GUTTER);
            if start >= free_from {
                buffer.set_stringn(start, self.plot.bottom() + 1, label, usize::from(width), frame.dim);
                free_from = start + width + 1;
            }
        }
    }

    fn draw_line(&self, buffer: &mut Buffer, curve: &Curve) {
        let dot = if self.ascii { '.' } else { '·' };
        for pair in curve.points.windows(2) {
            let (Some(from), Some(to)) = (self.column(pair[0].x), self.column(pair[1].x)) else { continue };
            let (start, end) = (f64::from(self.row(pair[0].y)), f64::from(self.row(pair[1].y)));
            for column in from..=to {
                let part = f64::from(column - from) / f64::from((to - from).max(1));
                put(buffer, column, (start + (end - start) * part).round() as u16, dot, curve.style);
            }
        }
        for point in &curve.points {
            let (Some(column), Some((low, high))) = (self.column(point.x), point.interval) else { continue };
            for row in self.row(high)..=self.row(low) {
                put(buffer, column, row, if self.ascii { '|' } else { '│' }, curve.style);
            }
        }
    }

    /// Letters at the points; one that would hide another curve's stands to the right of it.
    fn draw_letters(&self, buffer: &mut Buffer, curve: &Curve, taken: &mut BTreeSet<(u16, u16)>) {
        let mut next = 0;
        for point in &curve.points {
            let Some(column) = self.column(point.x) else { continue };
            let many = curve.points.len() > usize::from(self.plot.width / 3);
            if !many || column >= next {
                let row = self.row(point.y);
                let free = (column..self.plot.right()).find(|column| !taken.contains(&(*column, row))).unwrap_or(column);
                taken.insert((free, row));
                put(buffer, free, row, curve.letter, curve.style);
                next = column + LETTER_EVERY;
            }
        }
    }
}

fn put(buffer: &mut Buffer, column: u16, row: u16, glyph: char, style: Style) {
    if let Some(cell) = buffer.cell_mut((column, row)) {
        cell.set_char(glyph).set_style(style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(x: f64, y: f64) -> Point {
        Point { x, y, interval: None }
    }

    fn drawn(width: u16, height: u16, curves: &[Curve], cursor: Option<f64>) -> Vec<String> {
        let area = Rect::new(0, 0, width, height);
        let mut buffer = Buffer::empty(area);
        let ticks = [1.0, 2.0, 4.0, 8.0].map(|value| (value, value.to_string()));
        let axes = (Axis { low: 1.0, high: 8.0, scale: Scale::Logarithmic }, Axis { low: 0.0, high: 10.0, scale: Scale::Linear });
        let frame = Frame { ticks: &ticks, cursor, dim: Style::new(), ascii: true };
        draw(&mut buffer, area, axes, curves, &frame);
        let line = |row: u16| (0..width).map(|column| buffer[(column, row)].symbol()).collect::<String>();
        (0..height).map(|row| line(row).trim_end().to_owned()).collect()
    }

    #[test]
    fn curves_have_letters_lines_and_intervals() {
        let rising = Curve {
            letter: 'S',
            style: Style::new(),
            points: [(1.0, 0.0), (2.0, 5.0), (8.0, 10.0)].map(|(x, y)| point(x, y)).to_vec(),
        };
        let lone = Curve { letter: 'X', style: Style::new(), points: vec![Point { x: 4.0, y: 2.5, interval: Some((0.0, 5.0)) }] };
        let lines = drawn(30, 9, &[rising, lone], Some(2.0));
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn axes_from_zero_end_at_numbers_that_fit_the_gutter() {
        let ends = [103_400.0, 1.37, 9.9, 0.0, 0.021].map(|largest| Axis::from_zero(largest).high);
        assert!(ends.iter().zip([120_000.0, 1.6, 10.0, 1.0, 0.024]).all(|(end, wanted)| (end - wanted).abs() < 1e-9), "{ends:?}");
        assert_eq!([120_000.0, 8_000_000.0, 0.4, 0.0].map(axis_label), ["120,000", "8.00M", "0.400", "0"]);
    }

    #[test]
    fn too_small_an_area_stays_empty() {
        assert!(drawn(9, 9, &[], None).iter().all(String::is_empty));
        assert!(drawn(30, 3, &[], None).iter().all(String::is_empty));
    }

    #[test]
    fn places_and_values_are_inverse() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let axis = Axis { low: 2.0, high: 50.0, scale };
            for value in [2.0, 3.0, 20.0, 50.0] {
                assert!((axis.value(axis.place(value)) - value).abs() < 1e-9);
            }
        }
        assert_eq!(Axis { low: 3.0, high: 3.0, scale: Scale::Linear }.place(3.0), 0.5);
    }
}
