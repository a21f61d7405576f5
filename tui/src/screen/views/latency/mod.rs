//! Latencies of the replies: histograms one above the other, or cumulative curves over each other, with percentiles marked.

pub mod bins;
mod legend;

use crate::numbers::{fixed, short};
use crate::render;
use crate::screen::action::{Effect, ViewAction};
use crate::screen::text::cut;
use crate::screen::theme::Role;
use crate::screen::view::{Export, Scene, View};
use crate::screen::views::chart::{self, Axis, Curve, GUTTER, Point, Scale};
use crate::screen::views::grid::{put, put_words};
use anyhow::Result;
use bins::{Latencies, PERCENTILES, Range};
use mechanisms::registry::{ALL, Mechanism};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use sim_core::estimate::Estimate;
use validation::figures as figure;

/// What is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Share of the latencies in each column.
    #[default]
    Histogram,
    /// Share of the latencies at or below each value.
    Cumulative,
}

/// Places of the cursor on the axis.
const PLACES: usize = 100;

/// Points of a curve in a picture.
const PICTURED: usize = 41;

/// The view.
#[derive(Clone, Debug, Default)]
pub struct Latency {
    kind: Kind,
    /// The only mechanism that is shown; all when none.
    only: Option<Mechanism>,
    /// Place on the axis that is read, 0 to [`PLACES`]; none while nothing is read.
    cursor: Option<usize>,
}

/// Latencies of one mechanism.
struct Measured {
    mechanism: Mechanism,
    label: String,
    /// Nothing measured: why.
    latencies: Result<Latencies, String>,
}

impl Measured {
    /// Position of the mechanism, which decides on its sign and colour.
    fn series(&self) -> usize {
        ALL.iter().position(|entry| entry.mechanism == self.mechanism).unwrap_or(0)
    }
}

impl Latency {
    fn measured(&self, scene: &Scene) -> Vec<Measured> {
        let frequency_mhz = scene.situation.resolved.settings().machine.frequency_mhz;
        let shown = scene.situation.answers().filter(|answer| self.only.is_none_or(|only| only == answer.mechanism));
        shown
            .map(|answer| {
                let latencies = answer.latency.as_ref().and_then(|histogram| Latencies::of(histogram, frequency_mhz));
                let nothing =
                    if answer.preview { "a brief run ends before each connection has had a reply" } else { "no replies measured" };
                let reason = || answer.reason().unwrap_or_else(|| nothing.into());
                Measured { mechanism: answer.mechanism, label: answer.label(), latencies: latencies.ok_or_else(reason) }
            })
            .collect()
    }

    fn range(measured: &[Measured]) -> Option<Range> {
        Range::over(measured.iter().filter_map(|own| own.latencies.as_ref().ok()))
    }

    fn title(&self) -> &'static str {
        match self.kind {
            Kind::Histogram => "replies by latency in us",
            Kind::Cumulative => "% of the replies at or below a latency in us",
        }
    }

    /// Value under the cursor.
    fn read(&self, range: Range) -> Option<f64> {
        self.cursor.map(|place| range.value(place as f64 / PLACES as f64))
    }

    /// Points of a picture: latencies in us with shares of the replies.
    fn points(&self, latencies: &Latencies, range: Range) -> Vec<(f64, f64)> {
        let cumulated = latencies.cumulated(range, PICTURED);
        match self.kind {
            Kind::Cumulative => cumulated,
            Kind::Histogram => {
                let shares = latencies.columns(range, PICTURED);
                cumulated.into_iter().zip(shares).map(|((value, _), share)| (value, share)).collect()
            }
        }
    }

    fn step(&mut self, by: isize) {
        self.cursor = Some(self.cursor.map_or(PLACES / 2, |place| place.saturating_add_signed(by).min(PLACES)));
    }
}

impl View for Latency {
    fn name(&self) -> &'static str {
        "Latency"
    }

    fn update(&mut self, action: ViewAction, scene: &Scene) -> Vec<Effect> {
        match action {
            ViewAction::Left => self.step(-1),
            ViewAction::Right => self.step(1),
            ViewAction::PageUp => self.step(-10),
            ViewAction::PageDown => self.step(10),
            ViewAction::Home => self.cursor = Some(0),
            ViewAction::End => self.cursor = Some(PLACES),
            ViewAction::Back => self.cursor = None,
            ViewAction::NextKind => {
                self.kind = if self.kind == Kind::Histogram { Kind::Cumulative } else { Kind::Histogram };
            }
            ViewAction::NextMechanism => {
                let mechanisms: Vec<Mechanism> = scene.situation.snapshot.answers.iter().map(|answer| answer.mechanism).collect();
                self.only = match self.only {
                    None => mechanisms.first().copied(),
                    Some(only) => mechanisms.iter().skip_while(|own| **own != only).nth(1).copied(),
                };
            }
            _ => {}
        }
        Vec::new()
    }

    fn is_inside(&self) -> bool {
        self.cursor.is_some()
    }

    fn draw(&self, frame: &mut Frame, area: Rect, scene: &Scene) {
        let theme = scene.theme;
        let buffer = frame.buffer_mut();
        put(buffer, area, area.y, &cut(self.title(), usize::from(area.width), theme), theme.style(Role::Heading));
        let measured = self.measured(scene);
        let legend_height = legend::height(measured.len()).min(area.height / 2);
        let legend = Rect { y: area.bottom() - legend_height, height: legend_height, ..area };
        let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + legend_height), ..area };
        let range = Latency::range(&measured);
        legend::draw(buffer, legend, &measured, range.and_then(|range| self.read(range)), scene);
        let Some(range) = range else {
            let words = if measured.is_empty() { "no mechanism has the filter's text in its name" } else { "nothing measured yet" };
            put_words(buffer, body, words, theme.style(Role::Dim));
            return;
        };
        match self.kind {
            Kind::Histogram => draw_histograms(buffer, body, &measured, range, self.read(range), scene),
            Kind::Cumulative => draw_curves(buffer, body, &measured, range, self.read(range), scene),
        }
    }

    fn export(&self, scene: &Scene) -> Export {
        const POINTS: usize = 200;
        let measured = self.measured(scene);
        let range = Latency::range(&measured);
        let mut rows = Vec::new();
        for (own, latencies) in measured.iter().filter_map(|own| own.latencies.as_ref().ok().map(|latencies| (own, latencies))) {
            let Some(range) = range else { continue };
            let mut below = 0.0;
            for (value, share) in latencies.cumulated(range, POINTS) {
                let digits = |number: f64| fixed(number, 6).replace(',', "");
                rows.push(vec![own.label.clone(), digits(value), digits(share - below), digits(share)]);
                below = share;
            }
        }
        let columns = ["mechanism", "latency_us", "share_since_row_before", "share_at_or_below"];
        Export { title: "latency of replies".into(), columns: columns.map(str::to_owned).to_vec(), rows }
    }

    fn picture(&self, scene: &Scene) -> Result<Option<String>> {
        let measured = self.measured(scene);
        let Some(range) = Latency::range(&measured) else { return Ok(None) };
        let curve = |own: &Measured| {
            let points = own.latencies.as_ref().map_or_else(|_| Vec::new(), |latencies| self.points(latencies, range));
            let percent = |(value, share): (f64, f64)| (value, Estimate::exact(100.0 * share, 1));
            figure::Curve { name: own.label.clone(), points: points.into_iter().map(percent).collect() }
        };
        let panel = figure::Panel {
            title: format!("{}: {}", scene.situation.scenario.workload, self.title()),
            x: figure::Axis::doublings("latency, us"),
            y: figure::Axis::linear(match self.kind {
                Kind::Histogram => "% of the replies in a step",
                Kind::Cumulative => "% of the replies",
            }),
            curves: measured.iter().map(curve).collect(),
            marks: Vec::new(),
        };
        render::figure::svg(&panel).map(Some)
    }
}

fn ticks(range: Range) -> Vec<(f64, String)> {
    range.ticks().into_iter().map(|value| (value, short(value))).collect()
}

/// Cumulative curves over each other.
fn draw_curves(buffer: &mut Buffer, area: Rect, measured: &[Measured], range: Range, cursor: Option<f64>, scene: &Scene) {
    let columns = usize::from(chart::inside(area).width);
    let curve = |own: &Measured| {
        let latencies = own.latencies.as_ref().ok()?;
        let points = latencies.cumulated(range, columns).into_iter().map(|(x, y)| Point { x, y: 100.0 * y, interval: None });
        let (letter, style) = (scene.theme.glyphs.markers[own.series()], scene.theme.style(Role::Series(own.series())));
        Some(Curve { letter, style, points: points.collect() })
    };
    let curves: Vec<Curve> = measured.iter().filter_map(curve).collect();
    let axes = (
        Axis { low: range.low_us, high: range.high_us, scale: Scale::Logarithmic },
        Axis { low: 0.0, high: 100.0, scale: Scale::Linear },
    );
    let ticks = ticks(range);
    let frame = chart::Frame { ticks: &ticks, cursor, dim: scene.theme.style(Role::Dim), ascii: scene.theme.is_ascii() };
    chart::draw(buffer, area, axes, &curves, &frame);
}

/// Histograms one above the other on one axis, each with its percentiles below.
fn draw_histograms(buffer: &mut Buffer, area: Rect, measured: &[Measured], range: Range, cursor: Option<f64>, scene: &Scene) {
    let own: Vec<(&Measured, &Latencies)> =
        measured.iter().filter_map(|own| own.latencies.as_ref().ok().map(|latencies| (own, latencies))).collect();
    // where it is narrow the labels stand in the axis itself
    let axis_height = if area.height < own.len() as u16 + 2 { 1 } else { 2 };
    let each = (area.height.saturating_sub(axis_height) / own.len().max(1) as u16).max(1);
    let plot = Rect { x: area.x + GUTTER, width: area.width.saturating_sub(GUTTER), ..area };
    for (position, (measured, latencies)) in own.iter().enumerate() {
        let band = Rect { y: area.y + position as u16 * each, height: each, ..plot };
        if band.bottom() + axis_height <= area.bottom() {
            draw_band(buffer, band, measured, latencies, range, scene);
        }
    }
    let used = (own.len() as u16 * each).min(area.height.saturating_sub(axis_height));
    let axis = Rect { y: area.y + used, height: axis_height, ..plot };
    draw_axis(buffer, axis, range, cursor, scene);
}

/// One histogram: bars, and where there is a line to spare, the percentiles' places.
fn draw_band(buffer: &mut Buffer, band: Rect, measured: &Measured, latencies: &Latencies, range: Range, scene: &Scene) {
    let theme = scene.theme;
    let style = theme.style(Role::Series(measured.series()));
    let shares = latencies.columns(range, usize::from(band.width));
    let largest = shares.iter().fold(0.0_f64, |most, share| most.max(*share));
    let bars = if band.height > 1 { band.height - 1 } else { 1 };
    let marker = theme.glyphs.markers[measured.series()];
    let highest = fixed(100.0 * largest, 0);
    buffer.set_stringn(band.x - GUTTER, band.y, format!("{marker} {highest:>4}%"), usize::from(GUTTER), style);
    for (column, share) in shares.iter().enumerate() {
        let eighths = if largest > 0.0 { (share / largest * f64::from(bars) * 8.0).ceil() as u16 } else { 0 };
        for row in 0..bars {
            let part = eighths.saturating_sub(row * 8).min(8);
            if part > 0
                && let Some(cell) = buffer.cell_mut((band.x + column as u16, band.y + bars - 1 - row))
            {
                cell.set_char(rising(part, theme.is_ascii())).set_style(style);
            }
        }
    }
    if band.height > 1 {
        draw_percentiles(buffer, Rect { y: band.bottom() - 1, height: 1, ..band }, latencies, range, scene);
    }
}

/// A bar that fills so many eighths of its cell from below.
fn rising(eighths: u16, ascii: bool) -> char {
    const DRAWN: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 8] = ['.', '.', ':', ':', '|', '|', '#', '#'];
    let signs = if ascii { ASCII } else { DRAWN };
    signs[usize::from(eighths.clamp(1, 8)) - 1]
}

/// A sign and a name at each percentile. Those in one column share a sign: `p50-p99`. Names that would run into each other are left out,
/// the signs stay.
fn draw_percentiles(buffer: &mut Buffer, line: Rect, latencies: &Latencies, range: Range, scene: &Scene) {
    let style = scene.theme.style(Role::Dim);
    let mark = if scene.theme.is_ascii() { '^' } else { '▴' };
    let last = f64::from(line.width.saturating_sub(1));
    let column = |value: f64| line.x + (range.place(value) * last).round().clamp(0.0, last) as u16;
    let places: Vec<(u16, &str)> =
        PERCENTILES.iter().zip(latencies.percentiles).map(|((_, name), value)| (column(value), *name)).collect();
    let mut free_from = line.x;
    for together in places.chunk_by(|one, other| one.0 == other.0) {
        let ((column, first), (_, last)) = (together[0], together[together.len() - 1]);
        let text = if together.len() == 1 { format!("{mark}{first}") } else { format!("{mark}{first}-{last}") };
        let width = text.chars().count() as u16;
        if column >= free_from && column + width <= line.right() {
            buffer.set_stringn(column, line.y, &text, usize::from(width), style);
            free_from = column + width + 1;
        } else if column >= free_from {
            buffer.set_stringn(column, line.y, mark.to_string(), 1, style);
            free_from = column + 1;
        }
    }
}

fn draw_axis(buffer: &mut Buffer, axis: Rect, range: Range, cursor: Option<f64>, scene: &Scene) {
    let theme = scene.theme;
    let style = theme.style(Role::Dim);
    let line: String = std::iter::repeat_n(theme.glyphs.lines[0], usize::from(axis.width)).collect();
    buffer.set_stringn(axis.x, axis.y, line, usize::from(axis.width), style);
    let place = |value: f64| axis.x + (range.place(value) * f64::from(axis.width.saturating_sub(1))).round() as u16;
    let mut free_from = axis.x.saturating_sub(GUTTER);
    for (value, label) in ticks(range) {
        let width = label.chars().count() as u16;
        let start = place(value).saturating_sub(width / 2).min(axis.right().saturating_sub(width));
        if start >= free_from {
            buffer.set_stringn(start, axis.bottom() - 1, &label, usize::from(width), style);
            free_from = start + width + 1;
        }
    }
    if let Some(value) = cursor {
        buffer.set_stringn(place(value), axis.y, theme.glyphs.lines[1].to_string(), 1, theme.style(Role::Key));
    }
}
