//! One knob on the horizontal axis, a curve for each mechanism or for each variant of one; a cursor reads values with their intervals.

use super::chart::{self, Axis, Curve, Point, Scale};
use super::grid::{put, put_words};
use crate::numbers::{fixed, short};
use crate::render;
use crate::screen::action::{Effect, ViewAction};
use crate::screen::knobs::{KNOBS, Knob, Steps, Target};
use crate::screen::questions::Question;
use crate::screen::state::Situation;
use crate::screen::sweeping::{Round, SweepAnswer, SweepRequest, SweepValue, Swept, SweptPoint};
use crate::screen::text::cut;
use crate::screen::theme::Role;
use crate::screen::view::{Export, Scene, View};
use anyhow::Result;
use mechanisms::registry::ALL;
use mechanisms::variants::{self, Way};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use sim_core::estimate::Estimate;
use sim_core::report::RunReport;
use validation::figures as figure;

/// Values below and above the present one.
const STEPS: isize = 3;
/// Latencies that differ by so much have a logarithmic axis.
const LOGARITHMIC_FROM: f64 = 20.0;
/// Names of a knob that are swept at most.
const NAMES_MOST: usize = 8;

/// What the curves show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Metric {
    #[default]
    Throughput,
    SpeedUp,
    Median,
    P99,
    Processor,
}

const METRICS: [Metric; 5] = [Metric::Throughput, Metric::SpeedUp, Metric::Median, Metric::P99, Metric::Processor];

impl Metric {
    /// In words, with the unit.
    fn name(self) -> &'static str {
        match self {
            Metric::Throughput => "requests/s",
            Metric::SpeedUp => "throughput over sync's",
            Metric::Median => "median latency in us",
            Metric::P99 => "p99 latency in us",
            Metric::Processor => "processor time, us/request",
        }
    }

    fn is_latency(self) -> bool {
        matches!(self, Metric::Median | Metric::P99)
    }

    /// Value with its interval, where there is one.
    fn of(self, report: &RunReport) -> (f64, Option<(f64, f64)>) {
        let estimate = |estimate: &sim_core::report::Estimate| {
            let interval = (estimate.low.is_finite() && estimate.high > estimate.low).then_some((estimate.low, estimate.high));
            (estimate.mean, interval)
        };
        match self {
            Metric::Throughput => estimate(&report.throughput_rps),
            Metric::SpeedUp => report.speedup_vs_sync.as_ref().map_or((f64::NAN, None), estimate),
            Metric::Median => (report.latency_us.p50, None),
            Metric::P99 => (report.latency_us.p99, None),
            Metric::Processor => (report.cpu_us_per_request, None),
        }
    }
}

/// The view.
#[derive(Clone, Debug, Default)]
pub struct SweepView {
    /// Position among the knobs that can be swept; connections at first.
    knob: Option<usize>,
    metric: Metric,
    /// Value that is read.
    cursor: usize,
    /// Curves of the variants of the mechanism in focus, instead of the mechanisms.
    variants: bool,
}

/// Knobs that can be swept: settings of one workload, mechanism by mechanism.
fn knobs() -> Vec<&'static Knob> {
    KNOBS.iter().filter(|knob| matches!(knob.target, Target::Setting(_) | Target::Rate)).collect()
}

/// Values of a knob around the present one: names, or steps in both directions.
fn values(knob: &Knob, situation: &Situation) -> Vec<String> {
    let present = knob.value(situation);
    if let Steps::Names(names) = knob.steps {
        return names(&situation.scenario).into_iter().take(NAMES_MOST).collect();
    }
    let mut values = Vec::new();
    for step in -STEPS..=STEPS {
        let value = if step == 0 { Some(present.clone()) } else { knob.stepped(situation, step) };
        if let Some(value) = value.filter(|value| !values.contains(value)) {
            values.push(value);
        }
    }
    // a value that stands for "as many as it takes" comes before the numbers
    values.sort_by_key(|value| value.parse::<u64>().unwrap_or(0));
    values
}

impl SweepView {
    fn knob(&self) -> &'static Knob {
        let knobs = knobs();
        let connections = || knobs.iter().position(|knob| knob.name == "connections").unwrap_or(0);
        knobs[self.knob.unwrap_or_else(connections) % knobs.len()]
    }

    /// The sweep over the chosen knob, when it is there.
    fn answer<'a>(&self, scene: &'a Scene) -> Option<&'a SweepAnswer> {
        let wanted = self.ways(scene);
        scene.situation.snapshot.sweep.as_deref().filter(|answer| answer.knob == self.knob().name && answer.ways == wanted)
    }

    /// What there is a curve for.
    fn ways(&self, scene: &Scene) -> Vec<Way> {
        if !self.variants {
            return ALL.map(|entry| entry.mechanism.into()).to_vec();
        }
        let variant = |own: &variants::Variant| Way { mechanism: own.mechanism, variant: Some(own.name) };
        std::iter::once(Way::BASELINE).chain(variants::of(scene.situation.scenario.focus).map(variant)).collect()
    }

    fn request(&self, scene: &Scene) -> SweepRequest {
        let knob = self.knob();
        let value = |text: String| {
            let scenario = knob.turned(scene.situation, &text);
            let resolved = scenario.and_then(|scenario| scenario.resolve().map_err(|error| error.problem));
            SweepValue { label: text, settings: resolved.map(|resolved| Box::new(resolved.settings().clone())) }
        };
        SweepRequest {
            knob: knob.name.into(),
            values: values(knob, scene.situation).into_iter().map(value).collect(),
            ways: self.ways(scene),
        }
    }

    /// How far the sweep is, and which value is read; or how to begin it.
    fn status(&self, scene: &Scene) -> String {
        match self.answer(scene) {
            None => {
                let points = values(self.knob(), scene.situation).len() * self.ways(scene).len();
                let curves = if self.variants { "variant" } else { "mechanism" };
                format!("Enter simulates {points} points: every value with every {curves} (v changes the curves)")
            }
            Some(answer) => {
                let progress = match answer.round {
                    Round::Brief => format!("brief runs: {} of {} points done", answer.done, answer.total()),
                    Round::Seeds(seeds) => format!("{seeds} seeds: {} of {} points done", answer.done, answer.total()),
                    Round::Complete(seeds) => format!("complete: {} points, {seeds} seeds each", answer.total()),
                };
                let read = answer.values.get(self.read(answer));
                read.map_or_else(|| progress.clone(), |value| format!("{progress}; cursor at {value}"))
            }
        }
    }

    /// Measure and knob.
    fn title(&self, scene: &Scene) -> String {
        let curves = if self.variants { format!(", variants of {}", scene.situation.scenario.focus.name()) } else { String::new() };
        format!("{} over {}{curves}", self.metric.name(), self.knob().name)
    }

    /// Position of the value that is read.
    fn read(&self, answer: &SweepAnswer) -> usize {
        self.cursor.min(answer.values.len().saturating_sub(1))
    }

    /// Another knob, so many further.
    fn turn(&mut self, by: isize) {
        let knobs = knobs();
        let position = knobs.iter().position(|knob| knob.name == self.knob().name).unwrap_or(0);
        self.knob = Some((position as isize + by).rem_euclid(knobs.len() as isize) as usize);
    }

    fn curves(&self, answer: &SweepAnswer, scene: &Scene) -> Vec<Curve> {
        let curve = |(way, own): (usize, &Way)| {
            let point = |(value, points): (usize, &Vec<Option<SweptPoint>>)| {
                let report = points[way].as_ref()?.as_ref().ok().map(|swept| &swept.report).filter(|report| report.applicable)?;
                let (y, interval) = self.metric.of(report);
                y.is_finite().then_some(Point { x: value as f64, y, interval })
            };
            let points: Vec<Point> = answer.points.iter().enumerate().filter_map(point).collect();
            let shown = scene.situation.lets_through(&own.name());
            Curve {
                letter: marker(way, scene),
                style: scene.theme.style(Role::Series(way)),
                points: if shown { points } else { Vec::new() },
            }
        };
        answer.ways.iter().enumerate().map(curve).collect()
    }

    fn draw_chart(&self, buffer: &mut Buffer, area: Rect, answer: &SweepAnswer, scene: &Scene) {
        let curves = self.curves(answer, scene);
        let tops =
            curves.iter().flat_map(|curve| &curve.points).map(|point| point.interval.map_or(point.y, |own| own.1.max(point.y)));
        let largest = tops.fold(0.0, f64::max);
        let smallest = curves.iter().flat_map(|curve| &curve.points).map(|point| point.y).fold(f64::INFINITY, f64::min);
        let vertical = if self.metric.is_latency() && smallest > 0.0 && largest >= LOGARITHMIC_FROM * smallest {
            Axis { low: smallest, high: largest, scale: Scale::Logarithmic }
        } else {
            Axis::from_zero(largest)
        };
        let last = answer.values.len().saturating_sub(1) as f64;
        // half a step of room on both sides keeps the first letters off the axis
        let axes = (Axis { low: -0.25, high: last + 0.25, scale: Scale::Linear }, vertical);
        let ticks: Vec<(f64, String)> = answer.values.iter().enumerate().map(|(at, label)| (at as f64, label.clone())).collect();
        let frame = chart::Frame {
            ticks: &ticks,
            cursor: Some(self.read(answer) as f64),
            dim: scene.theme.style(Role::Dim),
            ascii: scene.theme.is_ascii(),
        };
        chart::draw(buffer, area, axes, &curves, &frame);
    }

    /// The mechanisms with their values under the cursor.
    fn draw_legend(&self, buffer: &mut Buffer, area: Rect, answer: &SweepAnswer, scene: &Scene) {
        let cursor = self.read(answer);
        let longest = answer.ways.iter().map(|way| short_name(*way).len()).max().unwrap_or(0);
        for (way, own) in answer.ways.iter().enumerate().take(usize::from(area.height)) {
            let words = match answer.points.get(cursor).and_then(|points| points[way].as_ref()) {
                None => "not simulated yet".to_owned(),
                Some(Err(problem)) => problem.clone(),
                Some(Ok(Swept { report, .. })) if !report.applicable => {
                    format!("does not apply: {}", report.reason.as_deref().unwrap_or("no reason given"))
                }
                Some(Ok(Swept { report, brief: true })) => format!("~{}  brief run", short(self.metric.of(report).0)),
                Some(Ok(Swept { report, brief: false })) => read(self.metric.of(report), report.reps, scene),
            };
            let text = format!("{} {:<longest$}  {words}", marker(way, scene), short_name(*own));
            let style = scene.theme.style(Role::Series(way));
            put(buffer, area, area.y + way as u16, &cut(&text, usize::from(area.width), scene.theme), style);
        }
    }
}

fn marker(way: usize, scene: &Scene) -> char {
    let markers = &scene.theme.glyphs.markers;
    markers[way % markers.len()]
}

/// The mechanism's or the variant's name: beside the variants of one mechanism its own says nothing.
fn short_name(way: Way) -> &'static str {
    way.variant.unwrap_or_else(|| way.mechanism.name())
}

/// A value with its interval and seeds, in words.
fn read((value, interval): (f64, Option<(f64, f64)>), seeds: u32, scene: &Scene) -> String {
    let half = interval
        .map_or_else(String::new, |(low, high)| format!(" {} {}", scene.theme.glyphs.plus_minus, short((high - low) / 2.0)));
    format!("{}{half}  n = {seeds}", short(value))
}

/// From this ratio of the largest to the smallest value on, the axis of a picture is in doublings.
const DOUBLINGS_FROM: f64 = 8.0;

/// Where the values of the knob stand in a picture, and on which axis: numbers by their size, anything else side by side.
fn places(answer: &SweepAnswer) -> (Vec<f64>, figure::Axis) {
    let numbers: Option<Vec<f64>> = answer.values.iter().map(|label| label.parse().ok().filter(|value| *value > 0.0)).collect();
    match numbers {
        Some(numbers) => {
            let (low, high) = numbers.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), own| (low.min(*own), high.max(*own)));
            let doublings = high >= DOUBLINGS_FROM * low;
            (numbers, if doublings { figure::Axis::doublings(&answer.knob) } else { figure::Axis::linear(&answer.knob) })
        }
        None => ((0..answer.values.len()).map(|at| at as f64).collect(), figure::Axis::names(&answer.knob, &answer.values)),
    }
}

impl View for SweepView {
    fn name(&self) -> &'static str {
        "Sweep"
    }

    fn update(&mut self, action: ViewAction, scene: &Scene) -> Vec<Effect> {
        let count = self.answer(scene).map_or(0, |answer| answer.values.len());
        match action {
            ViewAction::Left => self.cursor = self.cursor.min(count.saturating_sub(1)).saturating_sub(1),
            ViewAction::Right => self.cursor = (self.cursor + 1).min(count.saturating_sub(1)),
            ViewAction::Home => self.cursor = 0,
            ViewAction::End => self.cursor = count.saturating_sub(1),
            ViewAction::NextKind => self.turn(1),
            ViewAction::Up => self.turn(-1),
            ViewAction::NextMechanism => self.variants = !self.variants,
            ViewAction::NextUnit => {
                let position = METRICS.iter().position(|metric| *metric == self.metric).unwrap_or(0);
                self.metric = METRICS[(position + 1) % METRICS.len()];
            }
            ViewAction::Open if self.answer(scene).is_none() => {
                let request = self.request(scene);
                let present = self.knob().value(scene.situation);
                self.cursor = request.values.iter().position(|value| value.label == present).unwrap_or(0);
                return vec![Effect::Ask(Question::Sweep(request))];
            }
            _ => {}
        }
        Vec::new()
    }

    fn draw(&self, frame: &mut Frame, area: Rect, scene: &Scene) {
        let buffer = frame.buffer_mut();
        let width = usize::from(area.width);
        put(buffer, area, area.y, &cut(&self.title(scene), width, scene.theme), scene.theme.style(Role::Heading));
        put(buffer, area, area.y + 1, &cut(&self.status(scene), width, scene.theme), scene.theme.style(Role::Dim));
        let Some(answer) = self.answer(scene) else {
            let labels = values(self.knob(), scene.situation).join(", ");
            let values = Rect { y: area.y + 3, height: area.height.saturating_sub(3), ..area };
            put_words(buffer, values, &format!("{}: {labels}", self.knob().name), scene.theme.style(Role::Text));
            return;
        };
        let legend_height = (answer.ways.len() as u16).min(area.height / 2);
        let legend = Rect { y: area.bottom() - legend_height, height: legend_height, ..area };
        let plot = Rect { y: area.y + 2, height: area.height.saturating_sub(2 + legend_height), ..area };
        self.draw_chart(buffer, plot, answer, scene);
        self.draw_legend(buffer, legend, answer, scene);
    }

    fn export(&self, scene: &Scene) -> Export {
        let digits = |value: f64| if value.is_finite() { fixed(value, 6).replace(',', "") } else { String::new() };
        let mut rows = Vec::new();
        if let Some(answer) = self.answer(scene) {
            for (label, points) in answer.values.iter().zip(&answer.points) {
                for (way, point) in answer.ways.iter().zip(points) {
                    let Some(Ok(Swept { report, brief })) = point else { continue };
                    let (value, interval) = self.metric.of(report);
                    let (low, high) = interval.unwrap_or((f64::NAN, f64::NAN));
                    let numbers = [digits(value), digits(low), digits(high), if *brief { 0 } else { report.reps }.to_string()];
                    rows.push([label.clone(), way.name()].into_iter().chain(numbers).collect());
                }
            }
        }
        let columns = [self.knob().name, "mechanism", "value", "low", "high", "seeds"].map(str::to_owned);
        Export { title: self.title(scene), columns: columns.to_vec(), rows }
    }

    fn picture(&self, scene: &Scene) -> Result<Option<String>> {
        let Some(answer) = self.answer(scene) else { return Ok(None) };
        let (places, x) = places(answer);
        let curve = |(way, own): (usize, &Way)| {
            let point = |(value, place): (usize, &f64)| {
                let Some(Ok(Swept { report, brief })) = &answer.points[value][way] else { return None };
                let (mean, interval) = self.metric.of(report);
                let (low, high) = interval.unwrap_or((f64::NAN, f64::NAN));
                let n = if *brief || interval.is_none() { 1 } else { u64::from(report.reps) };
                (report.applicable && mean.is_finite()).then_some((*place, Estimate { mean, low, high, n }))
            };
            figure::Curve { name: short_name(*own).into(), points: places.iter().enumerate().filter_map(point).collect() }
        };
        let curves: Vec<figure::Curve> = answer.ways.iter().enumerate().map(curve).collect();
        if curves.iter().all(|curve| curve.points.is_empty()) {
            return Ok(None);
        }
        let title = format!("{}: {}", scene.situation.scenario.workload, self.title(scene));
        let panel = figure::Panel { title, x, y: figure::Axis::linear(self.metric.name()), curves, marks: Vec::new() };
        render::figure::svg(&panel).map(Some)
    }
}
