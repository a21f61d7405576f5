//! A validation as one self-contained page: the summary, each figure with its rows, and the whole table.

use crate::commands::Report;
use crate::numbers;
use crate::render::{figure, html, validation as text};
use anyhow::Result;
use maud::{Markup, PreEscaped, html};
use validation::papers::Drawn;
use validation::verdict::Verdict;

/// The page.
///
/// # Errors
/// None: a panel that cannot be drawn says so in its place.
pub fn page(report: &Report) -> Result<String> {
    let title = report
        .ablation
        .map_or("Predicted beside published".to_owned(), |ablation| format!("Predicted beside published: {}", ablation.name()));
    let body = html! {
        @for line in text::summary(report) { p { (line) } }
        p {
            "INPUT rows go into the model, CAL rows may be fitted, PRED rows are never fitted to, SANITY rows are only shown. "
            "In figures, hollow circles, grey bands and dotted lines with the name of a row were published; filled markers are "
            "the model's, with the 95 % interval over " (report.reps) " seeds as a bar. Version " (env!("CARGO_PKG_VERSION"))
            "; to make this page again: " code { (report.command) " -o report.html" }
        }
        @for drawn in &report.validation.figures { (figure_section(report, drawn)) }
        (sensitivity(report))
        section id="all-rows" {
            h2 { "All rows" }
            (table(report.validation.verdicts.iter()))
        }
    };
    Ok(html::document(&title, &body))
}

fn figure_section(report: &Report, drawn: &Drawn) -> Markup {
    let own = || report.validation.verdicts.iter().filter(|one| drawn.figure.row_ids().any(|id| id == one.row.id));
    html! {
        section id=(drawn.figure.id) {
            h2 { (drawn.figure.title) }
            p { (verdict(own())) }
            @match &drawn.panels {
                Ok(panels) => div class="panels" {
                    @for panel in panels {
                        @match figure::svg(panel) {
                            Ok(svg) => (PreEscaped(svg)),
                            Err(error) => p { (error) },
                        }
                    }
                },
                Err(stop) => p { "Not drawn: " (stop) "." },
            }
            (table(own()))
        }
    }
}

/// How a figure's rows came out, in a sentence.
fn verdict<'a>(rows: impl Iterator<Item = &'a Verdict>) -> String {
    let rows: Vec<&Verdict> = rows.collect();
    let named =
        |wanted: fn(&Verdict) -> bool| rows.iter().filter(|one| wanted(one)).map(|one| one.row.id.as_str()).collect::<Vec<_>>();
    let (held, missed) = (named(|one| one.holds() == Some(true)), named(|one| one.holds() == Some(false)));
    let unanswered = named(|one| one.outcome().is_none());
    let mut parts = vec![format!("{} of {} graded rows within tolerance", held.len(), held.len() + missed.len())];
    if !missed.is_empty() {
        parts.push(format!("missed: {}", missed.join(", ")));
    }
    if !unanswered.is_empty() {
        parts.push(format!("without a prediction: {}", unanswered.join(", ")));
    }
    parts.join("; ") + "."
}

fn table<'a>(rows: impl Iterator<Item = &'a Verdict>) -> Markup {
    html! {
        table {
            thead { tr { @for header in ["row", "use", "what", "published", "model", "error", "tolerance", "verdict", "rests on"] { th { (header) } } }
            }
            tbody {
                @for one in rows {
                    tr {
                        td { (one.row.id) }
                        td { (one.row.usage.name()) }
                        td { (text::subject(&one.row)) }
                        td class="number" { (text::published(&one.row)) }
                        td class="number" { (text::model(one)) }
                        td class="number" { (text::error(one)) }
                        td { (one.row.tolerance) }
                        td class=[(one.holds() == Some(false)).then_some("no")] { (text::verdict(one)) }
                        td class="reason" { (text::reason(one)) }
                    }
                }
            }
        }
    }
}

/// What the predictions rest on, where it was measured.
fn sensitivity(report: &Report) -> Markup {
    let shown = report.validation.verdicts.iter().filter_map(|one| report.sensitivity.of(&one.row.id));
    let rows: Vec<_> = shown.collect();
    html! {
        @if !rows.is_empty() {
            section id="sensitivity" {
                h2 { "What the predictions rest on" }
                p { "The three parameters that move each prediction most when they are varied one by one (one seed; version " (report.sensitivity.version) ")." }
                table {
                    thead { tr { @for header in ["row", "prediction", "moved by", "parameter", "varied"] { th { (header) } } } }
                    tbody {
                        @for row in rows {
                            @for (index, influence) in row.strongest.iter().enumerate() {
                                tr {
                                    td { @if index == 0 { (row.row) } }
                                    td class="number" { @if index == 0 { (numbers::short(row.prediction)) " " (row.unit) } }
                                    td class="number" { (if influence.moves > 0.0 { "+" } else { "" }) (numbers::short(influence.moves)) }
                                    td { (influence.parameter) }
                                    td { (influence.variation) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
