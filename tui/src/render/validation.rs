//! A validation as text, JSON and rows.

use crate::commands::Report;
use crate::numbers;
use crate::render::{Table, wrapped};
use crate::terminal::Terminal;
use anyhow::Result;
use serde_json::{Value as Json, json};
use sim_core::digits;
use sim_core::report::SCHEMA;
use validation::outcome::Predicted;
use validation::published::{Row, SignedError, Use, Value};
use validation::registry::{Answer, answer};
use validation::sensitivity::{Influence, RowSensitivity, Sensitivity};
use validation::verdict::{RankCorrelation, Said, Verdict};

/// What a row is about, in one phrase.
pub fn subject(row: &Row) -> String {
    let mut text = format!("{}: {}", row.workload, row.metric);
    for (label, value) in [("", &row.mechanism), ("cores ", &row.cores), ("connections ", &row.concurrency)] {
        if !value.is_empty() {
            text.push_str(&format!(", {label}{value}"));
        }
    }
    text
}

/// The published value with its unit.
pub fn published(row: &Row) -> String {
    match (&row.value, row.low, row.high) {
        (Value::Word(word), ..) => word.clone(),
        (Value::Number(_), Some(low), Some(high)) => format!("{} to {}{}", numbers::short(low), numbers::short(high), unit(row)),
        (Value::Number(number), ..) => format!("{}{}", numbers::short(*number), unit(row)),
    }
}

fn unit(row: &Row) -> String {
    match row.unit.as_str() {
        "" | "IPC" | "ratio" | "count" | "which" => String::new(),
        unit => format!(" {unit}"),
    }
}

/// The model's value with its interval.
pub fn model(verdict: &Verdict) -> String {
    let Some(outcome) = verdict.outcome() else { return String::new() };
    let one = |estimate: &sim_core::estimate::Estimate| {
        let half = estimate.half_width();
        let interval = if estimate.n > 1 && half.is_finite() { format!(" ± {}", numbers::short(half)) } else { String::new() };
        format!("{}{interval}{}", numbers::short(estimate.mean), unit(&verdict.row))
    };
    match &outcome.value {
        Predicted::Word(word) => word.clone(),
        Predicted::Number(estimate) => one(estimate),
        Predicted::Each(each) => {
            each.iter().map(|(_, estimate)| numbers::short(estimate.mean)).collect::<Vec<_>>().join("; ") + &unit(&verdict.row)
        }
    }
}

/// The signed error in its own terms.
pub fn error(verdict: &Verdict) -> String {
    let sign = |value: f64| if value > 0.0 { "+" } else { "" };
    match verdict.error() {
        None => String::new(),
        Some(SignedError::Points(points)) => format!("{}{} pp", sign(points), numbers::fixed(points, 1)),
        Some(SignedError::Difference(difference)) => format!("{}{}", sign(difference), numbers::short(difference)),
        Some(SignedError::Relative(fraction)) => format!("{}{}", sign(fraction), numbers::percent(fraction)),
    }
}

/// Whether a row is within its tolerance, in a word.
pub fn verdict(verdict: &Verdict) -> &'static str {
    match (&verdict.said, verdict.holds()) {
        (_, Some(true)) => "within",
        (_, Some(false)) if verdict.within_range() == Some(true) => "no, its range is",
        (_, Some(false)) => "no",
        (Said::Outcome(_), None) => "shown",
        (Said::NotPredicted(_), _) if verdict.row.usage == Use::Input => "input",
        (Said::NotPredicted(_), _) => "not predicted",
        (Said::Failed(_), _) => "failed",
        (Said::NotRun, _) => "not run",
    }
}

/// What a verdict rests on, or why there is none.
pub fn reason(verdict: &Verdict) -> String {
    match &verdict.said {
        Said::Outcome(outcome) => {
            let each = match &outcome.value {
                Predicted::Each(each) => {
                    each.iter().map(|(label, one)| format!("{} ({label})", numbers::short(one.mean))).collect()
                }
                _ => Vec::new(),
            };
            let range = outcome
                .range
                .iter()
                .map(|range| format!("{} to {} over {}", numbers::short(range.low), numbers::short(range.high), range.freedom));
            std::iter::once(outcome.rests_on.clone()).chain(each).chain(range).collect::<Vec<_>>().join("; ")
        }
        Said::NotPredicted(cause) | Said::Failed(cause) => cause.clone(),
        Said::NotRun => "interrupted before it was run".into(),
    }
}

/// The rows and how each is answered.
pub fn list(rows: &[Row], terminal: &Terminal) -> String {
    let mut table = Table::with_order(&[
        ("row", false, 0),
        ("use", false, 0),
        ("published", true, 0),
        ("tolerance", false, 2),
        ("answered by", false, 3),
        ("what", false, 1),
    ]);
    for row in rows {
        let answered = match answer(&row.id) {
            Some(Answer::Model(_)) => "the model",
            Some(Answer::NotPredicted(reason)) => reason,
            None => "input",
        };
        table.row([
            row.id.clone(),
            row.usage.name().into(),
            published(row),
            row.tolerance.to_string(),
            answered.into(),
            subject(row),
        ]);
    }
    table.render(terminal)
}

/// The table, the summary and what was lost.
pub fn text(report: &Report, terminal: &Terminal) -> String {
    let under = report.ablation.map_or(String::new(), |ablation| format!(", {}", ablation.name()));
    let mut text = format!("{}\n\n", terminal.bold(&format!("Predicted beside published{under}")));
    let mut table = Table::with_order(&[
        ("row", false, 0),
        ("use", false, 4),
        ("published", true, 0),
        ("model", true, 0),
        ("error", true, 0),
        ("tolerance", false, 3),
        ("verdict", false, 0),
        ("what", false, 2),
    ]);
    for one in &report.validation.verdicts {
        let row = &one.row;
        let cells = [published(row), model(one), error(one), row.tolerance.to_string(), verdict(one).into(), subject(row)];
        table.row([row.id.clone(), row.usage.name().into()].into_iter().chain(cells));
    }
    text.push_str(&table.render(terminal));
    text.push('\n');
    for one in report.validation.verdicts.iter().filter(|one| terminal.verbose || matches!(one.said, Said::Failed(_))) {
        text.push_str(&wrapped(&format!("{}: {}", one.row.id, reason(one)), terminal.width));
    }
    for line in summary(report) {
        text.push_str(&wrapped(&line, terminal.width));
    }
    text.push_str(&format!("reproduce: {}\n", report.command));
    text
}

/// The summary in sentences.
pub fn summary(report: &Report) -> Vec<String> {
    let summary = &report.summary;
    let number = |value: Option<f64>, decimals| value.map_or("-".into(), |value| numbers::fixed(value, decimals));
    let rank = |rank: &RankCorrelation| format!("{} (n = {})", number(rank.coefficient, 2), rank.n);
    let mut lines = Vec::new();
    if summary.predictions > 0 {
        lines.push(format!(
            "PRED: {} of {} measurements within tolerance, {} not predicted; rows of one measurement count once.",
            summary.within_tolerance, summary.predictions, summary.not_answered
        ));
        lines.push(format!(
            "Changes in percent: absolute error {} points median, {} mean ({} % median and {} % mean of the published change).",
            number(summary.gain_error_points_median, 1),
            number(summary.gain_error_points_mean, 1),
            number(summary.gain_error_relative_percent_median, 0),
            number(summary.gain_error_relative_percent_mean, 0)
        ));
        lines.push(format!("Directions: {} right, {} wrong.", summary.signs_right, summary.signs_wrong));
        lines.push(format!(
            "Rank correlation (Spearman) of published and predicted throughput gains: {} over all rows, {} over mechanisms by their \
             largest published gain.",
            rank(&summary.rank_of_gains),
            rank(&summary.rank_of_mechanisms)
        ));
    }
    let calibration: Vec<_> = report.validation.verdicts.iter().filter(|one| one.row.usage == Use::Calibration).collect();
    if !calibration.is_empty() {
        let within = calibration.iter().filter(|one| one.holds() == Some(true)).count();
        lines.push(format!("CAL: {within} of {} rows within tolerance.", calibration.len()));
    }
    match &report.baseline {
        Some((baseline, lost)) if lost.is_empty() => {
            lines.push(format!("Baseline of version {}: no row that held is lost.", baseline.version));
        }
        Some((baseline, lost)) => {
            lines.push(format!("Baseline of version {}: no longer within: {}.", baseline.version, lost.join(", ")))
        }
        None => {}
    }
    if report.validation.interrupted {
        lines.push("Interrupted: rows that say so were not run.".into());
    }
    lines
}

fn rounded(value: f64) -> Json {
    if value.is_finite() { json!(digits::rounded(value)) } else { Json::Null }
}

/// The whole report.
pub fn json(report: &Report) -> Result<String> {
    let rows: Vec<Json> = report.validation.verdicts.iter().map(row_json).collect();
    let document = json!({
        "schema": SCHEMA,
        "validation": "papers",
        "version": env!("CARGO_PKG_VERSION"),
        "command": report.command,
        "reps": report.reps,
        "ablation": report.ablation.map(|ablation| ablation.name()),
        "interrupted": report.validation.interrupted,
        "rows": rows,
        "summary": report.summary,
        "baseline": report.baseline.as_ref().map(|(baseline, lost)| json!({"version": baseline.version, "lost": lost})),
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn row_json(one: &Verdict) -> Json {
    let row = &one.row;
    let value = match &row.value {
        Value::Number(number) => json!(number),
        Value::Word(word) => json!(word),
    };
    let outcome = one.outcome();
    let predicted = outcome.map(|outcome| match &outcome.value {
        Predicted::Number(estimate) => json!(estimate),
        Predicted::Each(each) => each.iter().map(|(label, estimate)| json!({"condition": label, "value": estimate})).collect(),
        Predicted::Word(word) => json!(word),
    });
    let range = outcome.and_then(|outcome| outcome.range.as_ref());
    json!({
        "id": row.id,
        "use": row.usage.name(),
        "source": row.source,
        "where": row.place,
        "workload": row.workload,
        "metric": row.metric,
        "mechanism": row.mechanism,
        "baseline": row.baseline,
        "cores": row.cores,
        "concurrency": row.concurrency,
        "published": {"low": row.low, "value": value, "high": row.high},
        "unit": row.unit,
        "tolerance": row.tolerance.to_string(),
        "predicted": predicted,
        "range": range.map(|range| json!({"low": rounded(range.low), "high": rounded(range.high), "freedom": range.freedom})),
        "error": one.error().map(error_json),
        "verdict": verdict(one),
        "holds": one.holds(),
        "reason": reason(one),
    })
}

fn error_json(error: SignedError) -> Json {
    match error {
        SignedError::Points(value) => json!({"points": rounded(value)}),
        SignedError::Difference(value) => json!({"difference": rounded(value)}),
        SignedError::Relative(value) => json!({"relative": rounded(value)}),
    }
}

/// One row for each published one, for CSV.
pub fn rows(report: &Report) -> Vec<Vec<(String, String)>> {
    let row = |one: &Verdict| {
        let estimate = one.outcome().and_then(|outcome| outcome.value.estimate());
        let part = |of: fn(&sim_core::estimate::Estimate) -> f64| {
            estimate
                .as_ref()
                .map(of)
                .filter(|value| value.is_finite())
                .map_or(String::new(), |value| digits::rounded(value).to_string())
        };
        let fields = [
            ("id", one.row.id.clone()),
            ("use", one.row.usage.name().into()),
            ("published", published(&one.row)),
            ("model", model(one)),
            ("model.mean", part(|estimate| estimate.mean)),
            ("model.low", part(|estimate| estimate.low)),
            ("model.high", part(|estimate| estimate.high)),
            ("error", error(one)),
            ("tolerance", one.row.tolerance.to_string()),
            ("verdict", verdict(one).into()),
            ("reason", reason(one)),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).to_vec()
    };
    report.validation.verdicts.iter().map(row).collect()
}

/// What each prediction rests on.
pub fn sensitivity(found: &Sensitivity, terminal: &Terminal) -> String {
    let mut table = Table::new(["row", "prediction", "moved by", "parameter", "varied"], &[false, true, true, false, false]);
    for row in &found.rows {
        if row.strongest.is_empty() {
            table.row([row.row.clone(), sensitive(row), "0".into(), UNMOVED.into(), String::new()]);
        }
        for (index, influence) in row.strongest.iter().enumerate() {
            let first = |text: String| if index == 0 { text } else { String::new() };
            table.row([
                first(row.row.clone()),
                first(sensitive(row)),
                moved(influence),
                influence.parameter.clone(),
                influence.variation.clone(),
            ]);
        }
    }
    table.render(terminal)
}

/// What stands where parameters that move a prediction would.
pub const UNMOVED: &str = "none of the parameters";

/// The prediction that is varied; of a word also the number that it was read off.
pub fn sensitive(row: &RowSensitivity) -> String {
    let number = format!("{} {}", numbers::short(row.prediction), row.unit);
    match &row.word {
        Some(read) => format!("{} ({}: {number})", read.word, read.read_off),
        None => number,
    }
}

/// How far a parameter moves a prediction, and the word that comes of it when that is another one.
pub fn moved(influence: &Influence) -> String {
    let sign = if influence.moves > 0.0 { "+" } else { "" };
    let becomes = influence.becomes.as_ref().map_or(String::new(), |word| format!(" (becomes: {word})"));
    format!("{sign}{}{becomes}", numbers::short(influence.moves))
}

/// The same for CSV.
pub fn sensitivity_rows(found: &Sensitivity) -> Vec<Vec<(String, String)>> {
    let rows = found.rows.iter().flat_map(|row| row.strongest.iter().map(move |influence| (row, influence)));
    rows.map(|(row, influence)| {
        let fields = [
            ("row", row.row.clone()),
            ("unit", row.unit.clone()),
            ("prediction", row.prediction.to_string()),
            ("parameter", influence.parameter.clone()),
            ("variation", influence.variation.clone()),
            ("moves", influence.moves.to_string()),
            ("word", row.word.as_ref().map_or(String::new(), |read| read.word.clone())),
            ("becomes", influence.becomes.clone().unwrap_or_default()),
        ];
        fields.map(|(name, value)| (name.to_owned(), value)).to_vec()
    })
    .collect()
}
