//! Events of the processor beside the model's counters, as text, rows and tables of a page.

use crate::numbers;
use crate::render::{Table, html, wrapped};
use crate::terminal::Terminal;
use host::perf::Modes;
use maud::{Markup, html};
use sim_core::estimate::Estimate;
use validation::on_host::compared::{COMPARED, Compared};
use validation::on_host::misses::{LEAST_PER_OPERATION, MissReport, MissSummary};
use validation::on_host::report::CaseReport;

/// Said under every table of them.
pub const NO_VERDICT: &str =
    "No verdict, and in no share: a processor's events are defined otherwise than the model's misses (docs/validate-host.md).";

/// Things that a list holds, in the order in which they are compared.
fn compared<'a>(holds: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'static Compared> + 'a {
    COMPARED.iter().filter(move |compared| holds(compared.name))
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |ratio| numbers::fixed(ratio, 2))
}

/// The model's count with its interval, where there are seeds enough for one.
fn predicted(estimate: &Estimate) -> String {
    let half = estimate.half_width();
    let mean = numbers::short(estimate.mean);
    if estimate.n > 1 && half.is_finite() { format!("{mean} ± {}", numbers::short(half)) } else { mean }
}

/// A case's table for a terminal: three lines for each place and mode, a column for each thing.
pub fn case_table(case: &CaseReport, terminal: &Terminal) -> String {
    let shown: Vec<&Compared> = compared(|name| case.misses.iter().any(|own| own.quantity == name)).collect();
    let mut columns = vec![("of an operation", false, 0), ("at", true, 0), ("mode", false, 0), ("", false, 0)];
    // those that can be reckoned from others go first where the terminal is narrow
    let goes = |own: &Compared| match own.name {
        "cycles" => 3,
        "instructions" => 2,
        "l3_load_misses" => 1,
        _ => 0,
    };
    columns.extend(shown.iter().map(|own| (own.short, true, goes(own))));
    let mut table = Table::with_order(&columns);
    let mut rest = &case.misses[..];
    while let Some(first) = rest.first() {
        let same = |own: &&MissReport| (&own.place, own.mode) == (&first.place, first.mode);
        let (group, others) = rest.split_at(rest.iter().take_while(same).count());
        lines(group, &shown).into_iter().for_each(|line| table.row(line));
        rest = others;
    }
    table.render(terminal)
}

/// Measured, predicted and their ratio at one place in one mode.
fn lines(group: &[MissReport], shown: &[&Compared]) -> [Vec<String>; 3] {
    let cells = |of: &dyn Fn(&MissReport) -> String| -> Vec<String> {
        let cell = |own: &&Compared| group.iter().find(|report| report.quantity == own.name).map_or_else(|| "-".into(), of);
        shown.iter().map(cell).collect()
    };
    let head = |with_place: bool, what: &str| {
        let place = &group[0].place;
        let [series, x, mode] = [place.series.clone(), numbers::whole(place.x.into()), group[0].mode.name().to_owned()]
            .map(|text| if with_place { text } else { String::new() });
        vec![series, x, mode, what.to_owned()]
    };
    [
        [head(true, "measured"), cells(&|own| numbers::short(own.measured.median))].concat(),
        [head(false, "predicted"), cells(&|own| numbers::short(own.predicted.mean))].concat(),
        [head(false, "ratio"), cells(&|own| ratio(own.ratio))].concat(),
    ]
}

const SUMMARY_COLUMNS: [(&str, bool); 8] = [
    ("predicted / measured", false),
    ("user", true),
    ("quartiles", false),
    ("places", true),
    ("kernel", true),
    ("quartiles", false),
    ("places", true),
    ("events", false),
];

/// A line for each thing.
fn summary_rows(summary: &[MissSummary]) -> Vec<Vec<String>> {
    let row = |compared: &Compared| {
        let of = |mode: Modes| summary.iter().find(|own| own.quantity == compared.name && own.mode == mode);
        let cells = |own: Option<&MissSummary>| match own {
            Some(own) => [
                numbers::fixed(own.ratio_median, 2),
                [own.ratio_lower_quartile, own.ratio_upper_quartile].map(|quartile| numbers::fixed(quartile, 2)).join(" to "),
                own.places.to_string(),
            ],
            None => ["-".into(), String::new(), "0".into()],
        };
        [&[compared.name.to_owned()][..], &cells(of(Modes::User)), &cells(of(Modes::Kernel)), &[compared.events()]].concat()
    };
    compared(|name| summary.iter().any(|own| own.quantity == name)).map(row).collect()
}

fn explanation() -> String {
    format!(
        "Medians over all places at which at least {} of an operation were measured. {NO_VERDICT}",
        numbers::fixed(LEAST_PER_OPERATION, 1)
    )
}

/// The summary for a terminal.
pub fn summary(summary: &[MissSummary], terminal: &Terminal) -> String {
    let (headers, numeric): (Vec<&str>, Vec<bool>) = SUMMARY_COLUMNS.into_iter().unzip();
    let mut table = Table::new(headers, &numeric);
    summary_rows(summary).into_iter().for_each(|row| table.row(row));
    format!(
        "\n{}\n{}{}",
        terminal.bold("Events of the processor beside the model's counters"),
        table.render(terminal),
        wrapped(&explanation(), terminal.width)
    )
}

/// One row for each thing at each place in each mode of a case.
pub fn rows(case: &CaseReport) -> impl Iterator<Item = Vec<(String, String)>> + '_ {
    case.misses.iter().map(|own| {
        let number = |name: &str, value: f64| (name.to_owned(), format!("{value:.5}"));
        let word = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        vec![
            word("case", &case.name),
            word("series", &own.place.series),
            word("x", &own.place.x.to_string()),
            number("measured", own.measured.median),
            number("spread", own.spread),
            number("predicted.mean", own.predicted.mean),
            number("predicted.low", own.predicted.low),
            number("predicted.high", own.predicted.high),
            word("quantity", own.quantity),
            word("mode", own.mode.name()),
            ("ratio".to_owned(), own.ratio.map_or_else(String::new, |ratio| format!("{ratio:.5}"))),
        ]
    })
}

/// A case's table for the page, folded away.
pub fn case_section(case: &CaseReport) -> Markup {
    let headers = [
        ("series", false),
        (case.axis, true),
        ("mode", false),
        ("of an operation", false),
        ("measured", true),
        ("spread", true),
        ("predicted", true),
        ("ratio", true),
    ];
    let row = |own: &MissReport| {
        vec![
            own.place.series.clone(),
            numbers::whole(own.place.x.into()),
            own.mode.name().to_owned(),
            own.quantity.to_owned(),
            numbers::short(own.measured.median),
            numbers::percent(own.spread),
            predicted(&own.predicted),
            ratio(own.ratio),
        ]
    };
    html! {
        @if !case.misses.is_empty() {
            h3 { "Events of the processor" }
            (html::table(&headers, &case.misses.iter().map(row).collect::<Vec<_>>()))
            p class="soft" { (NO_VERDICT) }
        }
    }
}

/// The summary for the page, with what each event counts otherwise than the model.
pub fn summary_section(summary: &[MissSummary]) -> Markup {
    let differs: Vec<Vec<String>> = compared(|name| summary.iter().any(|own| own.quantity == name))
        .map(|own| vec![own.name.to_owned(), own.events(), own.differs.to_owned()])
        .collect();
    html! {
        @if !summary.is_empty() {
            section id="events" {
                h2 { "Events of the processor beside the model's counters" }
                (html::table(&SUMMARY_COLUMNS, &summary_rows(summary)))
                p { (explanation()) }
                (html::table(&[("what", false), ("events", false), ("how they differ from the model's", false)], &differs))
            }
        }
    }
}
