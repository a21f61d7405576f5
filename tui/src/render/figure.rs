//! A panel of a paper's figure as SVG. What was published is hollow circles, grey bands and dotted lines, each with the name of its
//! row; what the model gives is filled markers of one shape for each curve, with its interval as a bar, joined by lines of different
//! dashes. So they can be told apart without colour.

use crate::numbers;
use crate::plot::{self, Area, DASHES, FONT, GRID, INK, color, corners, legend};
use anyhow::{Result, anyhow};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use sim_core::estimate::Estimate;
use std::ops::Range;
use validation::figures::{Axis, Curve, Mark, Panel, Place, Scale};

const WIDTH: u32 = 660;
const HEIGHT: u32 = 360;
const LEGEND_WIDTH: u32 = 210;
/// Room above the highest value, as a share of the axis.
const HEADROOM: f64 = 0.08;
/// Labels that an axis of numbers has room for.
const MOST_LABELS: usize = 8;
/// What was published.
const PUBLISHED: RGBColor = RGBColor(90, 90, 90);
const BAND: RGBColor = RGBColor(232, 232, 232);
/// On an axis of names, curves stand beside each other and what was published before them.
const BESIDE: f64 = 0.13;

type Plane<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws a panel.
///
/// # Errors
/// A panel on which nothing can be drawn.
pub fn svg(panel: &Panel) -> Result<String> {
    plot::render((WIDTH, HEIGHT), &panel.title, |area| draw(panel, area))
}

/// Where a value stands on an axis; nothing for one that has no place there.
fn place(axis: &Axis, value: f64) -> Option<f64> {
    let place = if axis.scale == Scale::PowersOfTwo { libm::log2(value) } else { value };
    place.is_finite().then_some(place)
}

/// Whole numbers stand without decimals.
fn number(value: f64) -> String {
    let whole = (value - value.round()).abs() < 1e-6;
    if whole { numbers::fixed(value, 0) } else { numbers::short(value) }
}

fn label(axis: &Axis, place: f64) -> String {
    match &axis.scale {
        Scale::Linear => number(place),
        Scale::PowersOfTwo => number(libm::exp2(place)),
        Scale::Names(names) => {
            let name = names.get(place.round().max(0.0) as usize).filter(|_| (place - place.round()).abs() < 1e-6 && place > -0.5);
            name.cloned().unwrap_or_default()
        }
    }
}

fn extent(axis: &Axis, values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    if let Scale::Names(names) = &axis.scale {
        return Some(-0.5..names.len() as f64 - 0.5);
    }
    let (low, high) = values
        .filter_map(|value| place(axis, value))
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    if low > high {
        return None;
    }
    Some(match axis.scale {
        Scale::PowersOfTwo => low.floor() - 0.2..high.ceil() + 0.2,
        _ => {
            let (low, high) = (low.min(0.0), high.max(0.0));
            let room = (high - low).max(1e-9) * HEADROOM;
            (if low < 0.0 { low - room } else { 0.0 })..(if high > 0.0 { high + room } else { 0.0 })
        }
    })
}

fn horizontal(panel: &Panel) -> impl Iterator<Item = f64> {
    let curves = panel.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.0));
    curves.chain(panel.marks.iter().filter_map(|mark| match mark.place {
        Place::Point { x, .. } | Place::At { x } => Some(x),
        Place::Band { .. } => None,
    }))
}

fn vertical(panel: &Panel) -> impl Iterator<Item = f64> {
    let curves = panel.curves.iter().flat_map(|curve| curve.points.iter().flat_map(|(_, estimate)| ends(estimate)));
    curves.chain(panel.marks.iter().flat_map(|mark| match mark.place {
        Place::Point { low, high, .. } | Place::Band { low, high } => vec![low, high],
        Place::At { .. } => Vec::new(),
    }))
}

/// Mean and, where it is known, interval.
fn ends(estimate: &Estimate) -> impl Iterator<Item = f64> {
    [estimate.mean, estimate.low, estimate.high].into_iter().filter(|value| value.is_finite())
}

fn draw(panel: &Panel, root: &Area) -> Result<()> {
    let (left, right) = root.split_horizontally(WIDTH - LEGEND_WIDTH);
    let ranges = extent(&panel.x, horizontal(panel)).zip(extent(&panel.y, vertical(panel)));
    let (x, y) = ranges.ok_or_else(|| anyhow!("it has no points"))?;
    let labels = |axis: &Axis, range: &Range<f64>, most: usize| match axis.scale {
        Scale::Linear => most,
        Scale::PowersOfTwo => ((range.end - range.start) as usize + 1).min(most),
        Scale::Names(_) => (range.end - range.start) as usize + 1,
    };
    let (x_labels, y_labels) = (labels(&panel.x, &x, MOST_LABELS), labels(&panel.y, &y, MOST_LABELS));
    let mut plane =
        ChartBuilder::on(&left).margin(10).x_label_area_size(44).y_label_area_size(68).build_cartesian_2d(x.clone(), y.clone())?;
    draw_bands(&mut plane, panel, &x)?;
    plane
        .configure_mesh()
        .x_desc(panel.x.label.as_str())
        .y_desc(panel.y.label.as_str())
        .x_labels(x_labels)
        .y_labels(y_labels)
        .x_max_light_lines(0)
        .y_max_light_lines(0)
        .x_label_formatter(&|place| label(&panel.x, *place))
        .y_label_formatter(&|place| label(&panel.y, *place))
        .axis_desc_style((FONT, 14).into_font().color(&INK))
        .label_style((FONT, 12).into_font().color(&INK))
        .bold_line_style(GRID)
        .draw()?;
    for (index, curve) in panel.curves.iter().enumerate() {
        draw_curve(&mut plane, panel, index, curve)?;
        legend(&right, index, &curve.name)?;
    }
    for mark in &panel.marks {
        draw_mark(&mut plane, panel, mark, &y)?;
    }
    if !panel.marks.is_empty() {
        published_legend(&right, panel.curves.len())?;
    }
    Ok(())
}

fn draw_bands(plane: &mut Plane, panel: &Panel, x: &Range<f64>) -> Result<()> {
    for mark in &panel.marks {
        let Place::Band { low, high } = mark.place else { continue };
        let (Some(low), Some(high)) = (place(&panel.y, low), place(&panel.y, high)) else { continue };
        plane.draw_series([Rectangle::new([(x.start, low), (x.end, high)], BAND.filled())])?;
        let edge = |y: f64| PathElement::new(vec![(x.start, y), (x.end, y)], PUBLISHED.stroke_width(1));
        plane.draw_series([edge(low), edge(high)])?;
        plane.draw_series([Text::new(mark.row.clone(), (x.start, high), (FONT, 12).into_font().color(&PUBLISHED))])?;
    }
    Ok(())
}

fn draw_curve(plane: &mut Plane, panel: &Panel, index: usize, curve: &Curve) -> Result<()> {
    let named = matches!(panel.x.scale, Scale::Names(_));
    let shift = if named { BESIDE * index as f64 } else { 0.0 };
    let at = |x: f64, y: f64| Some((place(&panel.x, x)? + shift, place(&panel.y, y)?));
    let style = color(index).stroke_width(2);
    let points: Vec<(f64, f64)> = curve.points.iter().filter_map(|(x, estimate)| at(*x, estimate.mean)).collect();
    if !named {
        match DASHES[index % DASHES.len()] {
            (_, 0) => drop(plane.draw_series(LineSeries::new(points.iter().copied(), style))?),
            (dash, gap) => drop(plane.draw_series(DashedLineSeries::new(points.iter().copied(), dash, gap, style))?),
        }
    }
    for (x, estimate) in curve.points.iter().filter(|(_, estimate)| estimate.n > 1) {
        if let (Some(low), Some(high)) = (at(*x, estimate.low), at(*x, estimate.high)) {
            plane.draw_series([PathElement::new(vec![low, high], color(index).stroke_width(1))])?;
        }
    }
    for point in points {
        plane.draw_series([EmptyElement::at(point) + Polygon::new(corners(index), color(index).filled())])?;
    }
    Ok(())
}

fn draw_mark(plane: &mut Plane, panel: &Panel, mark: &Mark, y_range: &Range<f64>) -> Result<()> {
    let shift = if matches!(panel.x.scale, Scale::Names(_)) { -1.5 * BESIDE } else { 0.0 };
    let style = (FONT, 12).into_font().color(&PUBLISHED);
    let pen = PUBLISHED.stroke_width(2);
    match mark.place {
        Place::Band { .. } => {}
        Place::At { x } => {
            let Some(x) = place(&panel.x, x) else { return Ok(()) };
            let line = [(x, y_range.start), (x, y_range.end)];
            plane.draw_series(DashedLineSeries::new(line, 2, 4, pen))?;
            plane.draw_series([Text::new(mark.row.clone(), (x, y_range.end), style)])?;
        }
        Place::Point { x, y, low, high } => {
            let x = place(&panel.x, x).map(|x| x + shift);
            let (Some(x), Some(y), Some(low), Some(high)) = (x, place(&panel.y, y), place(&panel.y, low), place(&panel.y, high))
            else {
                return Ok(());
            };
            plane.draw_series([PathElement::new(vec![(x, low), (x, high)], pen)])?;
            plane.draw_series([EmptyElement::at((x, y))
                + Circle::new((0, 0), 6, pen)
                + Text::new(mark.row.clone(), (9, -6), style)])?;
        }
    }
    Ok(())
}

/// What published things look like, below the curves' names.
fn published_legend(area: &Area, curves: usize) -> Result<()> {
    let (x, y) = (26, 40 + 24 * curves as i32);
    area.draw(&Circle::new((x, y), 6, PUBLISHED.stroke_width(2)))?;
    let text = (FONT, 14).into_font().color(&INK);
    area.draw(&Text::new("published (hollow, grey)", (52, y - 8), text))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(x: Axis) -> Panel {
        let curve = |name: &str| Curve {
            name: name.into(),
            points: [1.0, 2.0, 4.0].map(|x| (x, Estimate { mean: 10.0 * x, low: 9.0 * x, high: 11.0 * x, n: 3 })).to_vec(),
        };
        let mark = |row: &str, place| Mark { row: row.into(), place };
        Panel {
            title: "made up".into(),
            x,
            y: Axis::linear("gain, %"),
            curves: vec![curve("one"), curve("two")],
            marks: vec![
                mark("P1", Place::Point { x: 2.0, y: 15.0, low: 12.0, high: 18.0 }),
                mark("P2", Place::Band { low: 20.0, high: 25.0 }),
                mark("P3", Place::At { x: 4.0 }),
            ],
        }
    }

    #[test]
    fn predicted_is_filled_and_published_is_hollow_and_named() {
        let text = svg(&panel(Axis::doublings("connections"))).unwrap();
        // three points of two curves and one of each in the legend
        assert_eq!(text.matches("<polygon").count(), 8, "{text}");
        assert_eq!(text.matches("<circle").count(), 2, "the published point and the legend's");
        for label in ["made up", "connections", "gain, %", "one", "two", "P1", "P2", "P3"] {
            assert!(text.contains(&format!("\n{label}\n")), "{label}: {text}");
        }
    }

    #[test]
    fn names_stand_on_their_axis_and_nothing_is_an_error() {
        let text = svg(&panel(Axis::names("counter", ["CPI", "L1I", "L1D", "L2", "L3"]))).unwrap();
        assert!(["CPI", "L1I", "L1D", "L2", "L3"].iter().all(|name| text.contains(&format!("\n{name}\n"))), "{text}");
        let empty = Panel { curves: Vec::new(), marks: Vec::new(), ..panel(Axis::linear("x")) };
        assert!(svg(&empty).unwrap_err().to_string().contains("no points"));
    }
}
