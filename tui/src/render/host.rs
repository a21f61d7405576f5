//! A validation on this host as text, rows and page.

use crate::commands::HostReport;
use crate::numbers;
use crate::render::{Table, figure, host_misses, html, wrapped};
use crate::terminal::Terminal;
use maud::{Markup, PreEscaped, html};
use sim_core::estimate::Estimate;
use twins::{Case, lacking, parts};
use validation::figures::{Axis, Curve, Panel};
use validation::on_host::anchor::Anchor;
use validation::on_host::points::points;
use validation::on_host::report::{CaseReport, Nearness, PointReport, QuantityReport};
use validation::on_host::server::Quantity;

/// Names of the models in curves, in the order of the summary.
const MODELS: [&str; 3] = ["ringscope", "direct cost only", "sum of parts"];

/// The cases, and what cannot be checked here.
pub fn list(cases: &[Case], terminal: &Terminal) -> String {
    let mut table = Table::with_order(&[("case", false, 0), ("points", true, 0), ("tolerance", true, 0), ("what", false, 1)]);
    for case in cases {
        let count = points(case).len().to_string();
        table.row([case.name.clone(), count, format!("{} %", case.tolerance_percent), case.title.clone()]);
    }
    table.render(terminal) + "\n" + &not_checked(&lacking::not_checked(), terminal)
}

fn not_checked(list: &[(String, String)], terminal: &Terminal) -> String {
    let line = |(what, why): &(String, String)| wrapped(&format!("not checked: {what}: {why}"), terminal.width);
    list.iter().map(line).collect()
}

fn signed(error: f64) -> String {
    format!("{}{}", if error > 0.0 { "+" } else { "" }, numbers::percent(error))
}

fn ratio(value: f64) -> String {
    numbers::fixed(value, 3)
}

/// The model's ratio with its interval, where there are seeds enough for one.
fn predicted(estimate: &Estimate) -> String {
    let half = estimate.half_width();
    if estimate.n > 1 && half.is_finite() { format!("{} ± {}", ratio(estimate.mean), ratio(half)) } else { ratio(estimate.mean) }
}

/// The whole report for a terminal.
pub fn text(report: &HostReport, terminal: &Terminal) -> String {
    let mut text = format!("{}\n", terminal.bold("Predicted beside measured on this host"));
    text.push_str(&wrapped(&host_line(report), terminal.width));
    for case in &report.cases {
        text.push_str(&format!("\n{}\n", terminal.bold(&format!("{}: {}", case.name, case.title))));
        text.push_str(&case_table(case, terminal));
        if !case.quantities.is_empty() {
            text.push_str(&quantities(case, terminal));
        }
        if !case.misses.is_empty() {
            text.push_str(&host_misses::case_table(case, terminal));
            text.push_str(&wrapped(host_misses::NO_VERDICT, terminal.width));
        }
        for note in &case.notes {
            text.push_str(&wrapped(&format!("left out: {note}"), terminal.width));
        }
        if terminal.verbose {
            text.push_str(&anchors(case, terminal));
        }
    }
    text.push_str(&format!("\n{}\n", terminal.bold("How near each model comes")));
    text.push_str(&summary_table(report, terminal));
    text.push('\n');
    text.push_str(&wrapped(&explanation(report), terminal.width));
    if !report.misses_summary.is_empty() {
        text.push_str(&host_misses::summary(&report.misses_summary, terminal));
    }
    text.push_str(&not_checked(&report.not_checked, terminal));
    text.push_str(&format!("reproduce: {}\n", report.command));
    text
}

fn host_line(report: &HostReport) -> String {
    format!("{}; {}; machine description {}", report.facts.line(), report.facts.mitigations_line(), report.machine)
}

fn explanation(report: &HostReport) -> String {
    let all: usize = report.cases.iter().map(|case| case.points.len()).sum();
    let conclusive = report.summary.first().map_or(0, |one| one.points);
    format!(
        "{conclusive} of {all} points count: at the others the measured ratio spreads over {} (interquartile range). A ratio is time \
         against the case's base: synchronous calls, or work and call alone. Errors are predicted / measured - 1.",
        numbers::percent(validation::on_host::report::SPREAD_MAX)
    )
}

fn case_table(case: &CaseReport, terminal: &Terminal) -> String {
    let mut table = Table::with_order(&[
        ("series", false, 0),
        (case.axis, true, 0),
        ("ns", true, 3),
        ("measured", true, 0),
        ("spread", true, 0),
        ("predicted", true, 0),
        ("error", true, 0),
        ("direct only", true, 2),
        ("parts", true, 1),
        ("verdict", false, 0),
    ]);
    for point in &case.points {
        table.row(point_cells(point));
    }
    table.render(terminal)
}

/// A point's cells, as the terminal shows them; the page has one more.
fn point_cells(point: &PointReport) -> [String; 10] {
    [
        point.point.place.series.clone(),
        numbers::whole(point.point.place.x.into()),
        numbers::fixed(point.measured_ns, 0),
        ratio(point.measured.median),
        numbers::percent(point.spread),
        predicted(&point.predicted),
        signed(point.ringscope.error),
        signed(point.direct.error),
        signed(point.parts.error),
        point.verdict.name().to_owned(),
    ]
}

/// Quantities of a real server, in no share.
const QUANTITY_COLUMNS: [(&str, bool); 8] = [
    ("besides, in no share", false),
    ("series", false),
    ("connections", true),
    ("measured", true),
    ("spread", true),
    ("predicted", true),
    ("error", true),
    ("verdict", false),
];

fn quantity_cells(own: &QuantityReport) -> Vec<String> {
    let number = |value: f64| numbers::fixed(value, if own.quantity == Quantity::Calls { 2 } else { 0 });
    vec![
        own.quantity.name().to_owned(),
        own.place.series.trim_start_matches(parts::PREFIX).to_owned(),
        numbers::whole(own.place.x.into()),
        number(own.measured.median),
        numbers::percent(own.spread),
        number(own.predicted.mean),
        signed(own.error),
        format!("{} ({} %)", own.verdict.name(), own.tolerance_percent),
    ]
}

fn quantities(case: &CaseReport, terminal: &Terminal) -> String {
    let (headers, numeric): (Vec<&str>, Vec<bool>) = QUANTITY_COLUMNS.into_iter().unzip();
    let mut table = Table::new(headers, &numeric);
    case.quantities.iter().for_each(|own| table.row(quantity_cells(own)));
    table.render(terminal)
}

fn anchor_cells(anchor: &Anchor) -> [String; 5] {
    let [measured, model] = [anchor.measured_ns, anchor.model_ns].map(|value| numbers::fixed(value, 1));
    let part = format!("{} ({})", anchor.part.series, anchor.part.x);
    [part, measured, model, anchor.parameter.clone(), anchor.value.to_string()]
}

fn anchors(case: &CaseReport, terminal: &Terminal) -> String {
    let mut table = Table::with_order(&[
        ("anchored in", false, 0),
        ("measured ns", true, 0),
        ("model ns", true, 0),
        ("what was set", false, 1),
        ("to", true, 0),
    ]);
    for anchor in &case.anchors {
        table.row(anchor_cells(anchor));
    }
    table.render(terminal)
}

fn summary_rows(summary: &[Nearness]) -> Vec<Vec<String>> {
    let row = |one: &Nearness| {
        let shares = [one.within_5_percent, one.within_10_percent, one.nearest].map(numbers::percent);
        let [within_5, within_10, nearest] = shares;
        let median = format!("{} %", numbers::fixed(one.error_percent_median, 1));
        vec![one.model.to_owned(), one.points.to_string(), within_5, within_10, median, nearest]
    };
    summary.iter().map(row).collect()
}

const SUMMARY_COLUMNS: [(&str, bool); 6] =
    [("model", false), ("points", true), ("within 5 %", true), ("within 10 %", true), ("median error", true), ("nearest", true)];

fn summary_table(report: &HostReport, terminal: &Terminal) -> String {
    let (headers, numeric): (Vec<&str>, Vec<bool>) = SUMMARY_COLUMNS.into_iter().unzip();
    let mut table = Table::new(headers, &numeric);
    summary_rows(&report.summary).into_iter().for_each(|row| table.row(row));
    table.render(terminal)
}

/// One row for each point, then one for each event of the processor.
pub fn rows(report: &HostReport) -> Vec<Vec<(String, String)>> {
    let row = |case: &CaseReport, point: &PointReport| {
        let number = |name: &str, value: f64| (name.to_owned(), format!("{value:.5}"));
        let word = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            word("case", &case.name),
            word("series", &point.point.place.series),
            word("x", &point.point.place.x.to_string()),
            word("base", &point.point.base.series),
            number("measured_ns", point.measured_ns),
            number("measured", point.measured.median),
            number("spread", point.spread),
            number("calls", point.calls),
            number("predicted.mean", point.predicted.mean),
            number("predicted.low", point.predicted.low),
            number("predicted.high", point.predicted.high),
            number("error", point.ringscope.error),
            number("direct.error", point.direct.error),
            number("parts.error", point.parts.error),
            word("verdict", point.verdict.name()),
        ]
    };
    let points = report.cases.iter().flat_map(|case| case.points.iter().map(move |point| row(case, point)));
    points.chain(report.cases.iter().flat_map(host_misses::rows)).collect()
}

/// The page: the summary, then each case with a plot for each of its series.
pub fn page(report: &HostReport) -> String {
    let body = html! {
        p { (host_line(report)) }
        (html::table(&SUMMARY_COLUMNS, &summary_rows(&report.summary)))
        p { (explanation(report)) " Bars of measured points are the quartiles over the processes, those of predicted ones the 95 % interval over " (report.seeds) " seeds." }
        (host_misses::summary_section(&report.misses_summary))
        @for (what, why) in &report.not_checked { p class="soft" { "Not checked: " (what) ": " (why) "." } }
        @for case in &report.cases { (case_section(case)) }
        p { "Version " (env!("CARGO_PKG_VERSION")) "; to make this page again: " code { (report.command) " -o host.html" } }
    };
    html::document("Predicted beside measured on a host", &body)
}

fn case_section(case: &CaseReport) -> Markup {
    let headers = [
        ("series", false),
        (case.axis, true),
        ("ns", true),
        ("calls", true),
        ("measured", true),
        ("spread", true),
        ("predicted", true),
        ("error", true),
        ("direct only", true),
        ("parts", true),
        ("verdict", false),
    ];
    let row = |point: &PointReport| {
        let mut cells = point_cells(point).to_vec();
        cells.insert(3, numbers::fixed(point.calls, 2));
        cells
    };
    let anchors: Vec<Vec<String>> = case.anchors.iter().map(|anchor| anchor_cells(anchor).to_vec()).collect();
    let of_anchors = [("anchored in", false), ("measured ns", true), ("model ns", true), ("what was set", false), ("to", true)];
    html! {
        section id=(case.name) {
            h2 { (case.name) ": " (case.title) }
            div class="panels" {
                @for panel in panels(case) {
                    @match figure::svg(&panel) {
                        Ok(svg) => (PreEscaped(svg)),
                        Err(error) => p { (error) },
                    }
                }
            }
            (html::table(&headers, &case.points.iter().map(row).collect::<Vec<_>>()))
            @if !case.quantities.is_empty() {
                (html::table(&QUANTITY_COLUMNS, &case.quantities.iter().map(quantity_cells).collect::<Vec<_>>()))
            }
            (host_misses::case_section(case))
            @for note in &case.notes { p class="soft" { "Left out: " (note) "." } }
            (html::table(&of_anchors, &anchors))
        }
    }
}

/// A plot for each series: measured, and what the models say.
fn panels(case: &CaseReport) -> Vec<Panel> {
    let mut series: Vec<&str> = Vec::new();
    for point in &case.points {
        if !series.contains(&point.point.place.series.as_str()) {
            series.push(&point.point.place.series);
        }
    }
    series.into_iter().map(|name| panel(case, name)).collect()
}

fn panel(case: &CaseReport, series: &str) -> Panel {
    let own = || case.points.iter().filter(|point| point.point.place.series == series);
    let curve = |name: &str, of: &dyn Fn(&PointReport) -> Estimate| Curve {
        name: name.into(),
        points: own().map(|point| (f64::from(point.point.place.x), of(point))).collect(),
    };
    let measured = |point: &PointReport| Estimate {
        mean: point.measured.median,
        low: point.measured.lower_quartile,
        high: point.measured.upper_quartile,
        n: point.measured.n as u64,
    };
    let base = own().next().map_or("", |point| point.point.base.series.as_str());
    Panel {
        title: format!("{}: {series}", case.name),
        x: Axis::doublings(case.axis),
        y: Axis::linear(&format!("time against {base}")),
        curves: vec![
            curve("measured", &measured),
            curve(MODELS[0], &|point| point.predicted),
            curve(MODELS[1], &|point| Estimate::exact(point.direct.ratio, 1)),
            curve(MODELS[2], &|point| Estimate::exact(point.parts.ratio, 1)),
        ],
        marks: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::facts::Facts;
    use host::statistics::Summary;
    use validation::on_host::points::{Place, Point};
    use validation::on_host::report::{Answer, Verdict, summary};

    fn report() -> HostReport {
        let answer = |ratio: f64| Answer { ratio, error: ratio / 0.8 - 1.0 };
        let point = |x: u32| PointReport {
            point: Point { place: Place::new("io_uring", x), base: Place::new("synchronous", 1) },
            measured_ns: 400.0,
            measured: Summary::of(&[0.79, 0.8, 0.81]).unwrap(),
            spread: 0.0125,
            calls: 1.0 / f64::from(x),
            predicted: Estimate { mean: 0.82, low: 0.81, high: 0.83, n: 3 },
            ringscope: answer(0.82),
            direct: answer(0.9),
            parts: answer(0.7),
            verdict: Verdict::Within,
        };
        let quantity = QuantityReport {
            quantity: Quantity::Calls,
            place: Place::new("processor time", 16),
            measured: Summary::of(&[2.0, 2.0, 2.0]).unwrap(),
            spread: 0.0,
            predicted: Estimate::exact(2.06, 1),
            error: 0.03,
            tolerance_percent: 5,
            verdict: Verdict::Within,
        };
        let case = CaseReport {
            name: "read-loop".into(),
            title: "reads".into(),
            axis: "batch",
            tolerance_percent: 5,
            anchors: Vec::new(),
            points: vec![point(4), point(8)],
            quantities: vec![quantity],
            misses: Vec::new(),
            notes: vec!["io_uring, polled: it needs a second processor".into()],
        };
        HostReport {
            schema: 1,
            command: "ringscope validate host".into(),
            facts: Facts::default(),
            machine: "zen4".into(),
            seeds: 3,
            summary: summary(std::slice::from_ref(&case)),
            misses_summary: Vec::new(),
            cases: vec![case],
            not_checked: vec![("an XDP program".into(), "clang is missing".into())],
        }
    }

    #[test]
    fn the_text_holds_measured_predicted_and_both_simpler_models() {
        let terminal = Terminal { width: 140, color: false, color_errors: false, watched: false, quiet: false, verbose: false };
        let text = text(&report(), &terminal);
        for part in [
            "0.800",
            "0.820 ± 0.010",
            "+2.5 %",
            "+12.5 %",
            "-12.5 %",
            "within",
            "within (5 %)",
            "2.06",
            "an XDP program: clang is missing",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn the_page_has_a_plot_for_each_series_with_four_curves() {
        let page = page(&report());
        assert_eq!(page.matches("<svg").count(), 1);
        for name in ["measured", "ringscope", "direct cost only", "sum of parts"] {
            assert!(page.contains(&format!("\n{name}\n")), "{name}");
        }
        assert!(page.contains("Left out: io_uring, polled"));
    }

    #[test]
    fn rows_hold_the_errors_of_all_models() {
        let rows = rows(&report());
        let value = |name: &str| rows[0].iter().find(|cell| cell.0 == name).unwrap().1.clone();
        assert_eq!(
            (value("error").as_str(), value("direct.error").as_str(), value("verdict").as_str()),
            ("0.02500", "0.12500", "within")
        );
        assert_eq!(rows.len(), 2);
    }
}
