//! A validation as one self-contained page: the summary, each figure with its rows, and the whole table.

use crate::commands::Report;
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
                            @if row.strongest.is_empty() {
                                tr { td { (row.row) } td class="number" { (text::sensitive(row)) } td class="number" { "0" } td { (text::UNMOVED) } td {} }
                            }
                            @for (index, influence) in row.strongest.iter().enumerate() {
                                tr {
                                    td { @if index == 0 { (row.row) } }
                                    td class="number" { @if index == 0 { (text::sensitive(row)) } }
                                    td class="number" { (text::moved(influence)) }
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

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::estimate::Estimate;
    use validation::figures::{Axis, Curve, FIGURES, Mark, Panel, Place};
    use validation::lab::Stop;
    use validation::papers::Validation;
    use validation::published;
    use validation::sensitivity::Sensitivity;
    use validation::verdict::{Said, Summary};

    fn panel() -> Panel {
        Panel {
            title: "memcached".into(),
            x: Axis::doublings("connections"),
            y: Axis::linear("requests a second"),
            curves: vec![Curve {
                name: "sync".into(),
                points: vec![(1.0, Estimate::exact(2.0, 1)), (2.0, Estimate::exact(3.0, 1))],
            }],
            marks: vec![Mark { row: "A06".into(), place: Place::Point { x: 2.0, y: 2.5, low: 2.0, high: 3.0 } }],
        }
    }

    /// A page of all figures, each with one panel, or none of them drawn.
    fn page_with(panels: impl Fn() -> Result<Vec<Panel>, Stop>) -> String {
        let rows = published::rows().unwrap();
        let verdicts: Vec<Verdict> = rows.into_iter().map(|row| Verdict { row, said: Said::NotRun }).collect();
        let figures = FIGURES.iter().map(|figure| Drawn { figure, panels: panels() }).collect();
        let report = Report {
            summary: Summary::of(&verdicts),
            validation: Validation { verdicts, figures, interrupted: false },
            command: "ringscope validate papers".into(),
            reps: 3,
            ablation: None,
            baseline: None,
            sensitivity: Sensitivity::committed().unwrap(),
        };
        page(&report).unwrap()
    }

    #[test]
    fn every_figure_is_on_the_page_with_its_picture_or_why_there_is_none() {
        let drawn = page_with(|| Ok(vec![panel()]));
        let undrawn = page_with(|| Err(Stop::failed("nothing was simulated")));
        for figure in FIGURES {
            let section = |page: &str| {
                let start = page.find(&format!("<section id=\"{}\">", figure.id)).unwrap_or_else(|| panic!("{}", figure.id));
                page[start..start + page[start..].find("</section>").unwrap()].to_owned()
            };
            let own = section(&drawn);
            assert_eq!(own.matches("<svg").count(), 1, "{}", figure.id);
            assert!(own.contains("requests a second") && own.contains("A06"), "{}: axes and marks", figure.id);
            for row in figure.row_ids() {
                assert!(own.contains(&format!("<td>{row}</td>")), "{}: {row}", figure.id);
            }
            assert!(section(&undrawn).contains("Not drawn: nothing was simulated."), "{}", figure.id);
        }
        assert!(!drawn.contains("http://") || drawn.matches("http://").count() == drawn.matches("http://www.w3.org").count());
    }
}
