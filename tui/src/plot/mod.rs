//! Plots as SVG. Series differ by marker and dashes, areas by hatching, as well as by colour, so that they can be told apart in print.

pub mod bars;
pub mod fill;
pub mod heat;

use crate::palette::{self, Rgb};
use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A chart with a logarithmic axis in steps of two (x) and one in steps of ten (y).
pub struct Chart<'a> {
    /// Above everything.
    pub title: &'a str,
    /// Below the horizontal axis, with its unit.
    pub x_label: &'a str,
    /// Beside the vertical axis, with its unit.
    pub y_label: &'a str,
    /// The lines.
    pub series: Vec<Line>,
}

/// One line of a chart.
pub struct Line {
    /// Name in the legend.
    pub name: String,
    /// x, y.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: u32 = 900;
const HEIGHT: u32 = 520;
const LEGEND_WIDTH: u32 = 240;
/// Family of all texts.
pub(crate) const FONT: &str = "sans-serif";
/// Colour of texts.
pub(crate) const INK: RGBColor = RGBColor(40, 40, 40);

/// Lines of a grid.
pub(crate) const GRID: RGBColor = RGBColor(222, 222, 222);

/// Colours of the series: all of the palette but the yellow, which is too pale for lines.
const COLORS: [Rgb; 7] =
    [palette::BLACK, palette::BLUE, palette::VERMILION, palette::GREEN, palette::PURPLE, palette::SKY_BLUE, palette::ORANGE];

/// Lengths of dash and gap in pixels; a gap of 0 is a solid line.
pub(crate) const DASHES: [(u32, u32); 4] = [(1, 0), (8, 4), (2, 3), (14, 6)];

/// Where something is drawn.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;
type Plane<'a> = Cartesian2d<RangedCoordf64, LogCoord<f64>>;

/// Draws a picture of a size with a title on white ground; `content` gets what is left below the title.
pub(crate) fn render(size: (u32, u32), title: &str, content: impl FnOnce(&Area) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        let below = root.titled(title, (FONT, 16).into_font().color(&INK))?;
        content(&below).and_then(|()| Ok(root.present()?)).map_err(|error| anyhow!("{title}: can't be drawn: {error}"))?;
    }
    text.push('\n');
    Ok(text)
}

/// Draws the chart.
///
/// # Errors
/// A chart without points above 0.
pub fn svg(chart: &Chart) -> Result<String> {
    render((WIDTH, HEIGHT), chart.title, |area| draw(chart, area))
}

fn draw(chart: &Chart, root: &Area) -> Result<()> {
    let (left, right) = root.split_horizontally(WIDTH - LEGEND_WIDTH);
    let points = || chart.series.iter().flat_map(|line| &line.points).filter(|point| point.0 > 0.0 && point.1 > 0.0);
    let extent = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
    };
    let ((x_low, x_high), (y_low, y_high)) = (extent(|point| point.0), extent(|point| point.1));
    if !x_low.is_finite() {
        return Err(anyhow!("it has no points"));
    }
    let y_range = y_low / 1.5..y_high * 1.5;
    let mut plane = ChartBuilder::on(&left)
        .margin(12)
        .x_label_area_size(46)
        .y_label_area_size(70)
        .build_cartesian_2d(x_low.log2() - 0.2..x_high.log2() + 0.2, y_range.log_scale())?;
    plane
        .configure_mesh()
        .x_desc(chart.x_label)
        .y_desc(chart.y_label)
        .x_labels((x_high / x_low).log2() as usize + 1)
        .x_max_light_lines(0)
        .x_label_formatter(&|exponent| format!("{}", exponent.exp2().round()))
        .y_label_formatter(&|value| format!("{value}"))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .label_style((FONT, 13).into_font().color(&INK))
        .light_line_style(RGBColor(240, 240, 240))
        .bold_line_style(RGBColor(215, 215, 215))
        .draw()?;
    for (index, line) in chart.series.iter().enumerate() {
        add_line(&mut plane, index, line)?;
        legend(&right, index, &line.name)?;
    }
    Ok(())
}

/// Colour of a series.
pub(crate) fn color(index: usize) -> RGBColor {
    let (red, green, blue) = COLORS[index % COLORS.len()];
    RGBColor(red, green, blue)
}

fn add_line<'a>(plane: &mut ChartContext<'a, SVGBackend, Plane<'a>>, index: usize, line: &Line) -> Result<()> {
    let points: Vec<(f64, f64)> =
        line.points.iter().filter(|point| point.0 > 0.0 && point.1 > 0.0).map(|point| (point.0.log2(), point.1)).collect();
    let style = color(index).stroke_width(2);
    match DASHES[index % DASHES.len()] {
        (_, 0) => drop(plane.draw_series(LineSeries::new(points.iter().copied(), style))?),
        (dash, gap) => drop(plane.draw_series(DashedLineSeries::new(points.iter().copied(), dash, gap, style))?),
    }
    for point in points {
        let marker = EmptyElement::at(point) + marker(index);
        plane.draw_series(std::iter::once(marker))?;
    }
    Ok(())
}

/// Corners of the marker of a series around its point: square, triangle, diamond, triangle on its tip, hourglass.
pub(crate) fn corners(index: usize) -> Vec<(i32, i32)> {
    match index % 5 {
        0 => vec![(-4, -4), (4, -4), (4, 4), (-4, 4)],
        1 => vec![(0, -5), (5, 4), (-5, 4)],
        2 => vec![(0, -6), (5, 0), (0, 6), (-5, 0)],
        3 => vec![(0, 5), (5, -4), (-5, -4)],
        _ => vec![(-5, -5), (5, -5), (-5, 5), (5, 5)],
    }
}

fn marker(index: usize) -> Polygon<(i32, i32)> {
    Polygon::new(corners(index), color(index).filled())
}

/// One line of a legend.
pub(crate) fn legend(area: &Area, index: usize, name: &str) -> Result<()> {
    let (x, y) = (8, 40 + 24 * index as i32);
    let style = color(index).stroke_width(2);
    let (dash, gap) = DASHES[index % DASHES.len()];
    let period = (dash + gap).max(1) as i32;
    let length = if gap == 0 { 36 } else { dash as i32 };
    for start in (0..36).step_by(if gap == 0 { 36 } else { period as usize }) {
        area.draw(&PathElement::new(vec![(x + start, y), (x + (start + length).min(36), y)], style))?;
    }
    let shape: Vec<(i32, i32)> = corners(index).into_iter().map(|corner| (x + 18 + corner.0, y + corner.1)).collect();
    area.draw(&Polygon::new(shape, color(index).filled()))?;
    let text = (FONT, 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    area.draw(&Text::new(name.to_owned(), (x + 44, y), text))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_holds_its_labels_and_a_marker_for_each_point() {
        let line = |name: &str, factor: f64| Line { name: name.into(), points: [1.0, 2.0, 4.0].map(|x| (x, factor / x)).to_vec() };
        let chart = Chart { title: "costs", x_label: "calls", y_label: "ns", series: vec![line("one", 100.0), line("two", 50.0)] };
        let text = svg(&chart).unwrap();
        for label in ["costs", "calls", "ns", "one", "two"] {
            assert!(text.contains(&format!("\n{label}\n")), "{label}: {text}");
        }
        // three points and one in the legend for each series
        assert_eq!(text.matches("<polygon").count(), 8, "{text}");
        assert_eq!(text, svg(&chart).unwrap());
    }

    #[test]
    fn a_chart_without_points_is_an_error() {
        let chart = Chart { title: "", x_label: "", y_label: "", series: Vec::new() };
        assert!(svg(&chart).unwrap_err().to_string().contains("no points"));
    }
}
