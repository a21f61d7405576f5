//! Lying bars of stacked parts, one under the other, with a legend; and a stretch of time as columns of stacked shares.

use super::fill::{self, Fill, ON_FILL};
use super::{Area, FONT, INK, render};
use crate::numbers;
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A part that bars are made of.
#[derive(Clone, Debug)]
pub struct Part {
    /// Name in the legend.
    pub name: String,
    /// How it looks.
    pub fill: Fill,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Beside it.
    pub name: String,
    /// Size of each part, in the order of the parts.
    pub sizes: Vec<f64>,
    /// Interval of the whole.
    pub interval: Option<(f64, f64)>,
}

/// Bars of the same parts. Bars of one part need no legend and no shares.
#[derive(Clone, Debug)]
pub struct Bars {
    /// Above everything.
    pub title: String,
    /// Below the horizontal axis, with its unit.
    pub label: String,
    /// Parts from left to right.
    pub parts: Vec<Part>,
    /// Bars from top to bottom.
    pub bars: Vec<Bar>,
}

/// Shares over time: columns of equal height, in a row for each thing that has shares.
#[derive(Clone, Debug)]
pub struct Shares {
    /// Above everything.
    pub title: String,
    /// Below the horizontal axis, with its unit.
    pub label: String,
    /// Parts from bottom to top.
    pub parts: Vec<Part>,
    /// From top to bottom.
    pub rows: Vec<SharesRow>,
}

/// Shares of one thing over time.
#[derive(Clone, Debug)]
pub struct SharesRow {
    /// Beside it; empty when there is one row only.
    pub name: String,
    /// Begin, end, and the share of each part, 0 to 1.
    pub columns: Vec<(f64, f64, Vec<f64>)>,
}

const WIDTH: u32 = 980;
const LEGEND_WIDTH: u32 = 190;
const NAME_WIDTH: u32 = 200;
const TITLE_HEIGHT: u32 = 34;
const AXIS_HEIGHT: u32 = 48;
/// From one bar to the next.
const PITCH: u32 = 44;
const THICKNESS: i32 = 30;
/// Room behind the longest bar for its total.
const HEADROOM: f64 = 1.12;
/// A percentage stands in parts that are at least so wide, pixels.
const NARROWEST_LABELLED: i32 = 44;

/// Draws bars.
///
/// # Errors
/// Bars without any size.
pub fn svg(bars: &Bars) -> Result<String> {
    let rows = (bars.bars.len() as u32 * PITCH).max(24 * bars.parts.len() as u32);
    render((WIDTH, TITLE_HEIGHT + rows + AXIS_HEIGHT), &bars.title, |area| draw(bars, area))
}

fn draw(bars: &Bars, area: &Area) -> Result<()> {
    let ends = bars.bars.iter().flat_map(|bar| [bar.sizes.iter().sum(), bar.interval.map_or(0.0, |interval| interval.1)]);
    let longest = ends.fold(0.0, f64::max);
    anyhow::ensure!(longest > 0.0, "the bars have no size");
    let (left, right) = area.split_horizontally(WIDTH - LEGEND_WIDTH);
    for (index, part) in bars.parts.iter().enumerate().filter(|_| bars.parts.len() > 1) {
        fill::legend(&right, index, &part.name, part.fill)?;
    }
    let count = bars.bars.len();
    let mut plane = ChartBuilder::on(&left)
        .margin_right(8)
        .x_label_area_size(AXIS_HEIGHT)
        .y_label_area_size(NAME_WIDTH)
        .build_cartesian_2d(0.0..longest * HEADROOM, count as f64..0.0)?;
    plane
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_desc(bars.label.as_str())
        .x_labels(8)
        .x_label_formatter(&|value| numbers::short(*value))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .label_style((FONT, 12).into_font().color(&INK))
        .bold_line_style(super::GRID)
        .light_line_style(super::GRID)
        .x_max_light_lines(0)
        .draw()?;
    let plotted = plane.plotting_area();
    let middle = |index: usize| plotted.map_coordinate(&(0.0, index as f64 + 0.5)).1;
    let across = |size: f64| plotted.map_coordinate(&(size, 0.0)).0;
    // coordinates of the plane are those of the whole picture
    let (offset_x, offset_y) = area.get_base_pixel();
    for (index, bar) in bars.bars.iter().enumerate() {
        let y = middle(index) - offset_y;
        let place = |size: f64| across(size) - offset_x;
        draw_bar(area, bars, bar, y, &place)?;
    }
    Ok(())
}

fn draw_bar(area: &Area, bars: &Bars, bar: &Bar, y: i32, place: &dyn Fn(f64) -> i32) -> Result<()> {
    let (top, bottom) = (y - THICKNESS / 2, y + THICKNESS / 2);
    let total: f64 = bar.sizes.iter().sum();
    let text = |horizontal, color: &RGBColor| (FONT, 13).into_font().color(color).pos(Pos::new(horizontal, VPos::Center));
    area.draw(&Text::new(bar.name.clone(), (place(0.0) - 8, y), text(HPos::Right, &INK)))?;
    let mut before = 0.0;
    for (size, part) in bar.sizes.iter().zip(&bars.parts) {
        let (left, right) = (place(before), place(before + size));
        fill::draw(area, (left, top, right, bottom), part.fill)?;
        if right - left >= NARROWEST_LABELLED && bars.parts.len() > 1 {
            let share = format!("{} %", numbers::fixed(100.0 * size / total, 0));
            on_fill(area, ((left + right) / 2, y), share, part.fill)?;
        }
        before += size;
    }
    let end = bar.interval.map_or(total, |interval| interval.1.max(total));
    if let Some((low, high)) = bar.interval {
        let (low, high) = (place(low.max(0.0)), place(high));
        let line = |points: [(i32, i32); 2]| PathElement::new(points.to_vec(), INK.stroke_width(2));
        area.draw(&line([(low, y), (high, y)]))?;
        area.draw(&line([(low, y - 6), (low, y + 6)]))?;
        area.draw(&line([(high, y - 6), (high, y + 6)]))?;
    }
    Ok(area.draw(&Text::new(numbers::short(total), (place(end) + 6, y), text(HPos::Left, &INK)))?)
}

/// A text on a fill, with a plain ground behind it so that hatching does not run through it.
fn on_fill(area: &Area, (x, y): (i32, i32), text: String, fill: Fill) -> Result<()> {
    let half = 4 * text.chars().count() as i32;
    area.draw(&Rectangle::new([(x - half, y - 8), (x + half, y + 8)], fill.color.filled()))?;
    let style = (FONT, 13).into_font().color(&ON_FILL).pos(Pos::new(HPos::Center, VPos::Center));
    Ok(area.draw(&Text::new(text, (x, y), style))?)
}

const SHARES_WIDTH: u32 = 560;
/// Of one row.
const SHARES_HEIGHT: u32 = 120;
const SHARES_AXIS_HEIGHT: u32 = 44;
const SHARES_LEGEND_WIDTH: u32 = 120;
/// The legend needs so much for each part.
const LEGEND_PITCH: u32 = 24;

/// Draws shares over time, a row under the other.
///
/// # Errors
/// No columns.
pub fn shares_svg(shares: &Shares) -> Result<String> {
    let rows = (shares.rows.len() as u32 * SHARES_HEIGHT).max(LEGEND_PITCH * shares.parts.len() as u32);
    render((SHARES_WIDTH, TITLE_HEIGHT + rows + SHARES_AXIS_HEIGHT), &shares.title, |area| draw_shares(shares, area))
}

fn draw_shares(shares: &Shares, area: &Area) -> Result<()> {
    let (left, right) = area.split_horizontally(SHARES_WIDTH - SHARES_LEGEND_WIDTH);
    for (index, part) in shares.parts.iter().rev().enumerate() {
        fill::legend(&right, index, &part.name, part.fill)?;
    }
    let (mut below, count) = (left, shares.rows.len());
    for (index, row) in shares.rows.iter().enumerate() {
        if index + 1 == count {
            return draw_row(shares, row, &below, area, true);
        }
        let (upper, rest) = below.split_vertically(SHARES_HEIGHT);
        draw_row(shares, row, &upper, area, false)?;
        below = rest;
    }
    anyhow::bail!("there are no rows")
}

/// One row; the last one has the axis of time.
fn draw_row(shares: &Shares, row: &SharesRow, place: &Area, whole: &Area, last: bool) -> Result<()> {
    let (Some(first), Some(end)) = (row.columns.first(), row.columns.last()) else {
        anyhow::bail!("there are no columns");
    };
    let mut plane = ChartBuilder::on(place)
        .margin_right(12)
        .margin_top(6)
        .margin_bottom(if last { 0 } else { 6 })
        .x_label_area_size(if last { SHARES_AXIS_HEIGHT } else { 0 })
        .y_label_area_size(72)
        .build_cartesian_2d(first.0..end.1, 0.0..100.0)?;
    let mut mesh = plane.configure_mesh();
    mesh.disable_mesh()
        .y_labels(3)
        .y_label_formatter(&|value| format!("{} %", numbers::fixed(*value, 0)))
        .axis_desc_style((FONT, 13).into_font().color(&INK))
        .label_style((FONT, 12).into_font().color(&INK));
    if !row.name.is_empty() {
        mesh.y_desc(row.name.as_str());
    }
    if last {
        mesh.x_desc(shares.label.as_str()).x_labels(6).x_label_formatter(&|value| numbers::short(*value)).draw()?;
    } else {
        mesh.disable_x_axis().draw()?;
    }
    let plotted = plane.plotting_area();
    let (offset_x, offset_y) = whole.get_base_pixel();
    let pixel = |x: f64, share: f64| {
        let (x, y) = plotted.map_coordinate(&(x, 100.0 * share));
        (x - offset_x, y - offset_y)
    };
    for (start, end, sizes) in &row.columns {
        let mut before = 0.0;
        for (size, part) in sizes.iter().zip(&shares.parts) {
            let ((left, bottom), (right, top)) = (pixel(*start, before), pixel(*end, before + size));
            fill::draw(whole, (left, top, right, bottom), part.fill)?;
            before += size;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fill::Hatch;
    use super::*;

    fn part(name: &str, hatch: Hatch) -> Part {
        Part { name: name.into(), fill: Fill { color: RGBColor(200, 220, 240), hatch } }
    }

    #[test]
    fn bars_hold_their_names_totals_and_shares() {
        let bar = |name: &str, sizes: &[f64]| Bar { name: name.into(), sizes: sizes.into(), interval: None };
        let bars = Bars {
            title: "cycles".into(),
            label: "cycles a request".into(),
            parts: vec![part("user", Hatch::Plain), part("kernel", Hatch::Rising)],
            bars: vec![bar("sync", &[3000.0, 1000.0]), bar("other", &[1000.0, 0.0])],
        };
        let text = svg(&bars).unwrap();
        for label in ["cycles", "cycles a request", "user", "kernel", "sync", "other", "4,000", "75 %", "25 %", "100 %"] {
            assert!(text.contains(&format!("\n{label}\n")), "{label}: {text}");
        }
        assert_eq!(text, svg(&bars).unwrap());
        let single = Bar { name: "sync".into(), sizes: vec![10.0], interval: Some((9.0, 11.0)) };
        let plain = svg(&Bars { parts: bars.parts[..1].to_vec(), bars: vec![single], ..bars.clone() }).unwrap();
        assert!(plain.contains("\n10.0\n") && !plain.contains('%') && !plain.contains("\nuser\n"), "{plain}");
        assert!(svg(&Bars { bars: Vec::new(), ..bars }).unwrap_err().to_string().contains("no size"));
    }

    #[test]
    fn shares_fill_the_height() {
        let parts = vec![part("user", Hatch::Plain), part("idle", Hatch::Level)];
        let columns = vec![(0.0, 1.0, vec![0.25, 0.75]), (1.0, 3.0, vec![1.0, 0.0])];
        let row = |name: &str| SharesRow { name: name.into(), columns: columns.clone() };
        let shares = Shares { title: "t".into(), label: "ms".into(), parts, rows: vec![row("core 0"), row("core 1")] };
        let text = shares_svg(&shares).unwrap();
        // two parts in the legend, in each row two and one in the columns, each with an outline
        assert_eq!(text.matches("<rect").count(), 1 + 2 * (2 + 2 * 3), "{text}");
        assert!(text.contains("\ncore 0\n") && text.contains("\ncore 1\n"), "{text}");
        assert!(shares_svg(&Shares { rows: Vec::new(), ..shares }).is_err());
    }
}
