//! The plots of a set of results, in sections: what a page shows one below the other and `--plots` writes one by one.

use crate::plot::bars::{self, Bar, Bars, Part, Shares, SharesRow};
use crate::plot::fill::{Fill, Hatch};
use crate::plot::heat::{self, Heat};
use crate::render::figure;
use crate::results::{Facet, View};
use anyhow::Result;
use plotters::style::RGBColor;
use sim_core::estimate::Estimate;
use sim_core::ids::Mode;
use sim_core::report::{CoreOverTime, CoreStretch, CoreWindow, RunReport, StackReport};
use sim_core::sweep::plain_text;
use std::collections::BTreeMap;
use validation::figures::{Axis, Curve, Panel};

/// One picture.
pub struct Plot {
    /// Name of its file, without ending.
    pub name: String,
    /// The picture.
    pub svg: String,
}

/// Pictures of one kind.
pub struct Section {
    /// Short name, also its anchor in a page.
    pub id: &'static str,
    /// Above the pictures.
    pub title: &'static str,
    /// How to read them.
    pub text: &'static str,
    /// The pictures.
    pub plots: Vec<Plot>,
}

/// What a heat map counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Cell {
    /// Misses per request
    Misses,
    /// Exposed stall cycles of those misses per request
    #[default]
    Cycles,
}

/// A quantity that is drawn as curves.
struct Quantity {
    /// In names of files.
    name: &'static str,
    /// On axes.
    axis: &'static str,
    title: &'static str,
    unit: &'static str,
    /// In doublings: for what spans decades.
    doublings: bool,
    of: fn(&RunReport) -> Option<Estimate>,
}

const THROUGHPUT: Quantity = Quantity {
    name: "throughput",
    axis: "throughput",
    title: "Throughput",
    unit: "requests/s",
    doublings: false,
    of: |report| Some(report.throughput_rps),
};
const SPEEDUP: Quantity = Quantity {
    name: "speed-up",
    axis: "speed-up",
    title: "Speed-up over sync",
    unit: "times",
    doublings: false,
    of: |report| report.speedup_vs_sync,
};
const LATENCIES: [Quantity; 2] = [
    Quantity {
        name: "latency-p50",
        axis: "median latency",
        title: "Median latency",
        unit: "us",
        doublings: true,
        of: |report| Some(Estimate::exact(report.latency_us.p50, 1)),
    },
    Quantity {
        name: "latency-p99",
        axis: "latency, 99th percentile",
        title: "Latency, 99th percentile",
        unit: "us",
        doublings: true,
        of: |report| Some(Estimate::exact(report.latency_us.p99, 1)),
    },
];

/// All sections that have something to show.
///
/// # Errors
/// A picture that can't be drawn.
pub fn sections(view: &View, cell: Cell) -> Result<Vec<Section>> {
    let mut sections = vec![
        Section {
            id: "throughput",
            title: "Throughput",
            text: "Replies that the clients received per second of simulated time. Bars are 95 % intervals.",
            plots: curves(view, &THROUGHPUT)?,
        },
        Section {
            id: "speed-up",
            title: "Speed-up",
            text: "Throughput divided by that of sync under the same seeds, with its paired 95 % interval. Below 1 the mechanism loses.",
            plots: if view.mechanisms.len() > 1 { curves(view, &SPEEDUP)? } else { Vec::new() },
        },
        Section {
            id: "latency",
            title: "Latency",
            text: "From the last byte of a request sent to the last byte of its reply received. Vertical axes of curves are in doublings.",
            plots: [curves(view, &LATENCIES[0])?, curves(view, &LATENCIES[1])?].into_iter().flatten().collect(),
        },
        Section {
            id: "cycles",
            title: "Where the cycles go",
            text: "Cycles of all cores per request. Work is instructions at their base cost, stalls are what misses, TLB walks, \
                   mispredictions and transfers between cores add.",
            plots: per_facet(view, stacks)?,
        },
        Section {
            id: "pollution",
            title: "Who evicts whom",
            text: match cell {
                Cell::Misses => {
                    "Misses per request, by structure and mode that misses (columns) and by who had pushed the line out \
                                 (rows). never: the line was never there; same: the mode did it itself."
                }
                Cell::Cycles => {
                    "Exposed stall cycles per request of misses, by structure and mode that misses (columns) and by who \
                                 had pushed the line out (rows). never: the line was never there; same: the mode did it itself."
                }
            },
            plots: per_facet(view, |place, reports| heat_maps(place, reports, cell))?,
        },
        Section {
            id: "core-split",
            title: "Use of the cores over time",
            text: "What each core did in stretches of the first seed's measured window: the program's own code, kernel code on behalf of its \
                   calls, softirqs, interrupts, scheduler, crossings, the mechanism's own work, idle.",
            plots: per_facet(view, splits)?,
        },
    ];
    sections.retain(|section| !section.plots.is_empty());
    Ok(sections)
}

/// A name as part of a file's name.
fn file_name(parts: &[&str]) -> String {
    let text = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("-");
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || ".-_".contains(letter) { letter } else { '-' };
    let text: String = text.chars().map(plain).collect();
    text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn titled(title: &str, place: &str) -> String {
    if place.is_empty() { title.to_owned() } else { format!("{title}: {place}") }
}

/// One panel a facet.
fn curves(view: &View, quantity: &Quantity) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for facet in &view.facets {
        let svg = if view.x.is_some() {
            let panel = panel(view, facet, quantity);
            panel.curves.iter().any(|curve| !curve.points.is_empty()).then(|| figure::svg(&panel))
        } else {
            let bars = single_bars(view, facet, quantity);
            (!bars.bars.is_empty()).then(|| bars::svg(&bars))
        };
        if let Some(svg) = svg {
            plots.push(Plot { name: file_name(&[quantity.name, &facet.name]), svg: svg? });
        }
    }
    Ok(plots)
}

fn panel(view: &View, facet: &Facet, quantity: &Quantity) -> Panel {
    let label = format!("{}, {}", quantity.axis, quantity.unit);
    let y = if quantity.doublings { Axis::doublings(&label) } else { Axis::linear(&label) };
    let (x, curves) = (horizontal(view, facet), by_mechanism(view, facet, quantity));
    Panel { title: titled(quantity.title, &facet.name), x, y, curves, marks: Vec::new() }
}

/// A bar for each mechanism where nothing else varies.
fn single_bars(view: &View, facet: &Facet, quantity: &Quantity) -> Bars {
    let bar = |(index, name): (usize, &String)| {
        let value = view.measured(facet, index).find_map(|(_, report)| (quantity.of)(report))?;
        bar_of(name, &value)
    };
    bars_of(quantity, &facet.name, view.mechanisms.iter().enumerate().filter_map(bar).collect())
}

/// A bar with its interval where there is one; nothing for what is unknown.
fn bar_of(name: &str, value: &Estimate) -> Option<Bar> {
    let interval = (value.n > 1 && value.half_width().is_finite()).then_some((value.low, value.high));
    value.mean.is_finite().then(|| Bar { name: name.to_owned(), sizes: vec![value.mean], interval })
}

fn bars_of(quantity: &Quantity, place: &str, bars: Vec<Bar>) -> Bars {
    Bars {
        title: titled(quantity.title, place),
        label: format!("{}, {}", quantity.axis, quantity.unit),
        parts: vec![part(quantity.axis, BLUE, Hatch::Plain)],
        bars,
    }
}

/// From this ratio of the largest to the smallest value on, an axis is in doublings.
const DOUBLINGS_FROM: f64 = 8.0;

fn horizontal(view: &View, facet: &Facet) -> Axis {
    let Some(axis) = view.x else { return Axis::linear("") };
    let places: Vec<f64> = facet.points.iter().filter_map(|point| view.place(point)).collect();
    let (low, high) = places.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), place| (low.min(*place), high.max(*place)));
    if !crate::results::is_numeric(axis) {
        return Axis::names(&axis.path, axis.values.iter().map(plain_text));
    }
    if low > 0.0 && high >= DOUBLINGS_FROM * low { Axis::doublings(&axis.path) } else { Axis::linear(&axis.path) }
}

/// A curve for each mechanism, also for those without points here: it keeps the colours the same in all panels.
fn by_mechanism(view: &View, facet: &Facet, quantity: &Quantity) -> Vec<Curve> {
    let curve = |(index, name): (usize, &String)| {
        let value = |(point, report)| Some((view.place(point)?, (quantity.of)(report).filter(|value| value.mean.is_finite())?));
        let mut points: Vec<(f64, Estimate)> = view.measured(facet, index).filter_map(value).collect();
        points.sort_by(|left, right| left.0.total_cmp(&right.0));
        let name = if points.is_empty() { format!("{name} (none)") } else { name.clone() };
        Curve { name, points }
    };
    view.mechanisms.iter().enumerate().map(curve).collect()
}

/// Pictures at one place of each facet.
fn per_facet(view: &View, pictures: impl Fn(&str, &[&RunReport]) -> Result<Vec<Plot>>) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for facet in &view.facets {
        let (place, measured) = view.details(facet);
        let reports: Vec<&RunReport> = measured.into_iter().map(|(_, report)| report).collect();
        plots.extend(pictures(&place, &reports)?);
    }
    Ok(plots)
}

const BLUE: RGBColor = RGBColor(120, 180, 225);
const PALE_BLUE: RGBColor = RGBColor(190, 220, 242);
const ORANGE: RGBColor = RGBColor(238, 150, 90);
const PALE_ORANGE: RGBColor = RGBColor(250, 208, 178);
const PURPLE: RGBColor = RGBColor(218, 170, 200);
const GREEN: RGBColor = RGBColor(130, 205, 175);
const YELLOW: RGBColor = RGBColor(245, 225, 140);
const GREY: RGBColor = RGBColor(225, 225, 225);

fn part(name: &str, color: RGBColor, hatch: Hatch) -> Part {
    Part { name: name.into(), fill: Fill { color, hatch } }
}

/// Parts of a stack: the component's name or, where it ends in a dot, its group without the base.
#[rustfmt::skip]
pub const STACK_PARTS: [(&str, &str, RGBColor, Hatch); 8] = [
    ("user work", "user.base", BLUE, Hatch::Plain),
    ("user stalls", "user.", PALE_BLUE, Hatch::Rising),
    ("kernel work", "kernel.base", ORANGE, Hatch::Plain),
    ("kernel stalls", "kernel.", PALE_ORANGE, Hatch::Falling),
    ("crossings", "crossing.", PURPLE, Hatch::Crossed),
    ("mechanism", "mechanism.", GREEN, Hatch::Upright),
    ("client", "client", YELLOW, Hatch::Level),
    ("idle", "idle", GREY, Hatch::Plain),
];

/// Cycles of a part of [`STACK_PARTS`].
pub fn stack_size(stack: &StackReport, component: &str) -> f64 {
    let of = |name: &str| stack.components.iter().find(|entry| entry.0 == name).map_or(0.0, |entry| entry.1);
    match component.strip_suffix('.') {
        Some(domain @ ("user" | "kernel")) => (stack.sum_of(component) - of(&format!("{domain}.base"))).max(0.0),
        Some(_) => stack.sum_of(component),
        None => of(component),
    }
}

fn stacks(place: &str, reports: &[&RunReport]) -> Result<Vec<Plot>> {
    let svg = cycles_svg(place, reports)?;
    Ok(svg.map(|svg| Plot { name: file_name(&["cycles", place]), svg }).into_iter().collect())
}

/// Cycles per request as stacked bars, one for each report; nothing when there are no cycles.
///
/// # Errors
/// A picture that can't be drawn.
pub fn cycles_svg(place: &str, reports: &[&RunReport]) -> Result<Option<String>> {
    let shown: Vec<_> = STACK_PARTS
        .iter()
        .filter(|part| part.1 != "client" || reports.iter().any(|report| stack_size(&report.cycle_stack, part.1) > 0.0))
        .collect();
    let bar = |report: &&RunReport| Bar {
        name: report.label(),
        sizes: shown.iter().map(|part| stack_size(&report.cycle_stack, part.1)).collect(),
        interval: None,
    };
    let bars = Bars {
        title: titled("Cycles per request", place),
        label: "cycles of all cores per request".into(),
        parts: shown.iter().map(|(name, _, color, hatch)| part(name, *color, *hatch)).collect(),
        bars: reports.iter().map(bar).collect(),
    };
    if bars.bars.iter().all(|bar| bar.sizes.iter().sum::<f64>() <= 0.0) {
        return Ok(None);
    }
    bars::svg(&bars).map(Some)
}

/// Throughput as bars with intervals, one for each report; nothing when there is none.
///
/// # Errors
/// A picture that can't be drawn.
pub fn throughput_svg(place: &str, reports: &[&RunReport]) -> Result<Option<String>> {
    let bar = |report: &&RunReport| bar_of(&report.label(), &report.throughput_rps);
    let bars = bars_of(&THROUGHPUT, place, reports.iter().filter_map(bar).collect());
    if bars.bars.is_empty() { Ok(None) } else { bars::svg(&bars).map(Some) }
}

const STRUCTURES: [&str; 8] = ["l1i", "l1d", "l2", "l3", "itlb", "dtlb", "stlb", "branch"];
/// Evictors that stand first; the others follow by size.
const FIRST_EVICTORS: [&str; 2] = ["never", "same"];
/// Rows at most; the smallest evictors are put together.
const EVICTORS_MOST: usize = 14;

/// What one report's evictors sum up to: by evictor, then by column.
type Matrix = BTreeMap<String, Vec<f64>>;

fn matrix(report: &RunReport, columns: &[(&str, Mode)], cell: Cell) -> Matrix {
    let mut matrix = Matrix::new();
    for row in &report.evictors {
        let Some(column) = columns.iter().position(|column| (column.0, column.1) == (row.structure.as_str(), row.mode)) else {
            continue;
        };
        let count = if cell == Cell::Misses { row.misses } else { row.cycles };
        let values = matrix.entry(row.evictor.clone()).or_insert_with(|| vec![0.0; columns.len()]);
        values[column] += count as f64 / report.requests.max(1) as f64;
    }
    matrix
}

fn heat_maps(place: &str, reports: &[&RunReport], cell: Cell) -> Result<Vec<Plot>> {
    let seen = |structure: &str| reports.iter().any(|report| report.evictors.iter().any(|row| row.structure == structure));
    let structures: Vec<&str> = STRUCTURES.into_iter().filter(|structure| seen(structure)).collect();
    let columns: Vec<(&str, Mode)> =
        structures.iter().flat_map(|structure| Mode::ALL.into_iter().map(move |mode| (*structure, mode))).collect();
    let matrices: Vec<Matrix> = reports.iter().map(|report| matrix(report, &columns, cell)).collect();
    let darkest = matrices.iter().flat_map(|matrix| matrix.values().flatten()).fold(0.0, |most: f64, value| most.max(*value));
    let unit = if cell == Cell::Misses { "misses per request" } else { "stall cycles per request" };
    let mut plots = Vec::new();
    for (report, matrix) in reports.iter().zip(matrices).filter(|(_, matrix)| !matrix.is_empty()) {
        let heat = Heat {
            title: titled(&format!("{}, {unit}", report.label()), place),
            groups: structures.iter().map(|structure| ((*structure).to_owned(), Mode::ALL.len())).collect(),
            columns: columns.iter().map(|column| column.1.name().to_owned()).collect(),
            rows: heat_rows(matrix, columns.len()),
            darkest,
        };
        plots.push(Plot { name: file_name(&["pollution", &report.label(), place]), svg: heat::svg(&heat)? });
    }
    Ok(plots)
}

fn heat_rows(matrix: Matrix, columns: usize) -> Vec<(String, Vec<f64>)> {
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let mut rows: Vec<(String, Vec<f64>)> = matrix.into_iter().filter(|(_, values)| sum(values) > 0.0).collect();
    let first = |name: &str| FIRST_EVICTORS.iter().position(|other| *other == name).unwrap_or(FIRST_EVICTORS.len());
    rows.sort_by(|left, right| first(&left.0).cmp(&first(&right.0)).then_with(|| sum(&right.1).total_cmp(&sum(&left.1))));
    if rows.len() > EVICTORS_MOST {
        let rest = rows.split_off(EVICTORS_MOST - 1);
        let together = (0..columns).map(|column| rest.iter().map(|row| row.1[column]).sum()).collect();
        rows.push((format!("{} others", rest.len()), together));
    }
    rows
}

/// A part of the use of a core in the order in which they are drawn: its name, its share and how it looks.
type UsePart = (&'static str, fn(&CoreStretch) -> f64, RGBColor, Hatch);

#[rustfmt::skip]
const USE_PARTS: [UsePart; 9] = [
    ("program", |stretch| stretch.program, BLUE, Hatch::Plain),
    ("calls", |stretch| stretch.calls, PALE_ORANGE, Hatch::Falling),
    ("softirq", |stretch| stretch.softirq, ORANGE, Hatch::Rising),
    ("interrupt", |stretch| stretch.interrupt, ORANGE, Hatch::Plain),
    ("scheduler", |stretch| stretch.scheduler, PALE_BLUE, Hatch::Level),
    ("crossings", |stretch| stretch.crossings, PURPLE, Hatch::Crossed),
    ("mechanism", |stretch| stretch.mechanism, GREEN, Hatch::Upright),
    ("client", |stretch| stretch.client, YELLOW, Hatch::Level),
    ("idle", |stretch| stretch.idle, GREY, Hatch::Plain),
];
/// Parts that never have more than this are left out of legend and picture.
const USE_SHOWN: f64 = 0.002;

/// Use of each core over time; reports that do not have it show all cores together.
fn splits(place: &str, reports: &[&RunReport]) -> Result<Vec<Plot>> {
    let mut plots = Vec::new();
    for report in reports {
        let shares = if report.cores_over_time.is_empty() { together(report) } else { by_core(report) };
        if let Some((parts, rows)) = shares {
            let title = titled(&report.label(), place);
            let shares = Shares { title, label: "simulated time, ms".into(), parts, rows };
            plots.push(Plot { name: file_name(&["core-split", &report.label(), place]), svg: bars::shares_svg(&shares)? });
        }
    }
    Ok(plots)
}

fn by_core(report: &RunReport) -> Option<(Vec<Part>, Vec<SharesRow>)> {
    let cores: Vec<_> = report.cores_over_time.iter().filter(|core| !core.stretches.is_empty()).collect();
    let seen = |part: &UsePart| cores.iter().flat_map(|core| &core.stretches).any(|stretch| part.1(stretch) > USE_SHOWN);
    let shown: Vec<&UsePart> = USE_PARTS.iter().filter(|part| seen(part)).collect();
    let row = |core: &&CoreOverTime| {
        let begins = [0.0].into_iter().chain(core.stretches.iter().map(|stretch| stretch.end_us));
        let column = |(begin_us, stretch): (f64, &CoreStretch)| {
            (begin_us / 1000.0, stretch.end_us / 1000.0, shown.iter().map(|part| part.1(stretch)).collect())
        };
        let columns = begins.zip(&core.stretches).map(column).collect();
        SharesRow { name: if cores.len() > 1 { format!("core {}", core.core) } else { String::new() }, columns }
    };
    let parts = shown.iter().map(|(name, _, color, hatch)| part(name, *color, *hatch)).collect();
    (!cores.is_empty()).then(|| (parts, cores.iter().map(row).collect()))
}

/// All cores together, from reports of programs that did not tell them apart.
fn together(report: &RunReport) -> Option<(Vec<Part>, Vec<SharesRow>)> {
    let client = report.core_split.iter().any(|window| window.client > 0.0);
    let mut parts = vec![part("user", BLUE, Hatch::Plain), part("kernel", PALE_ORANGE, Hatch::Falling)];
    parts.extend(client.then(|| part("client", YELLOW, Hatch::Level)));
    parts.push(part("idle", GREY, Hatch::Plain));
    let column = |window: &CoreWindow| {
        let mut shares = vec![window.user, window.kernel];
        shares.extend(client.then_some(window.client));
        shares.push(window.idle);
        (window.start_us / 1000.0, window.end_us / 1000.0, shares)
    };
    let columns: Vec<_> = report.core_split.iter().map(column).collect();
    (!columns.is_empty()).then(|| (parts, vec![SharesRow { name: String::new(), columns }]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::tests::{point, results};
    use crate::results::{Results, ViewOptions};
    use serde_json::json;
    use validation::figures::Scale;

    fn connections(values: &[u32]) -> Results {
        let points = values.iter().flat_map(|value| {
            ["sync", "exception-less"].map(|name| point(&[("connections", json!(value))], name, 1000.0 + f64::from(*value)))
        });
        let points = points.collect();
        results(&[("connections", values.iter().map(|value| json!(value)).collect())], points)
    }

    #[test]
    fn wide_axes_are_in_doublings_and_narrow_ones_are_not() {
        for (values, doublings) in [(vec![1, 2, 8], true), (vec![10, 20, 30], false)] {
            let results = connections(&values);
            let view = View::new(&results, &ViewOptions::default()).unwrap();
            let panel = panel(&view, &view.facets[0], &THROUGHPUT);
            assert_eq!(panel.x.scale == Scale::PowersOfTwo, doublings);
            let places: Vec<f64> = panel.curves[1].points.iter().map(|point| point.0).collect();
            assert_eq!(places, values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn small_evictors_are_put_together_and_nothing_is_lost() {
        let matrix: Matrix = (0..20).map(|index| (format!("call{index:02}"), vec![f64::from(index), 1.0])).collect();
        let rows = heat_rows(matrix.clone(), 2);
        assert_eq!((rows.len(), rows[0].0.as_str(), rows[13].0.as_str()), (14, "call19", "7 others"));
        let sum: f64 = rows.iter().flat_map(|row| &row.1).sum();
        assert_eq!(sum, matrix.values().flatten().sum::<f64>());
    }

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(file_name(&["throughput", "cores 2, machine.l2.size_kib 512"]), "throughput-cores-2-machine.l2.size_kib-512");
        assert_eq!(file_name(&["cycles", "", "elevated-shortcut:protocol"]), "cycles-elevated-shortcut-protocol");
    }

    #[test]
    fn the_parts_of_a_stack_are_the_whole_stack() {
        let components = sim_core::stack::Component::all().enumerate().map(|(index, one)| (one.name(), 1.0 + index as f64));
        let stack = StackReport { components: components.collect() };
        let parts: f64 = STACK_PARTS.iter().map(|part| stack_size(&stack, part.1)).sum();
        assert!((parts - stack.sum()).abs() < 1e-9 * stack.sum(), "{parts} of {}", stack.sum());
        assert_eq!(Some(stack_size(&stack, "idle")), stack.components.last().map(|component| component.1));
    }
}
