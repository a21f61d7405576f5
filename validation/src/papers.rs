//! `validate papers`: every row and every figure from one laboratory.

use crate::figures::{FIGURES, Figure, Panel, Published};
use crate::lab::{Lab, Stop, Store};
use crate::published::Row;
use crate::registry::{Answer, answer};
use crate::verdict::{Said, Verdict};
use mechanisms::compare::{ExperimentError, Job};

/// Seeds of each experiment when nothing else is asked for.
pub const DEFAULT_REPS: u32 = 3;

/// A figure with its panels, or why it could not be drawn.
pub struct Drawn {
    /// Which one.
    pub figure: &'static Figure,
    /// Its panels.
    pub panels: Result<Vec<Panel>, Stop>,
}

/// What came of the rows and figures.
pub struct Validation {
    /// Rows with their answers, in the order that they were given in.
    pub verdicts: Vec<Verdict>,
    /// Figures.
    pub figures: Vec<Drawn>,
    /// True when Ctrl-C ended it before all was run.
    pub interrupted: bool,
}

/// What is wanted.
pub struct Wanted<'a> {
    /// Rows to answer.
    pub rows: &'a [Row],
    /// All published rows, for the marks of figures; nothing when no figures are wanted.
    pub figures: Option<&'a Published>,
}

/// Answers the rows and draws the figures that have one of them: round after round, until nobody waits for an experiment.
///
/// # Errors
/// Host threads that cannot be started.
pub fn validate(wanted: &Wanted, store: &Store, lab: Lab, job: &Job) -> Result<Validation, ExperimentError> {
    loop {
        let verdicts = wanted.rows.iter().map(|row| Verdict { said: said(&lab, row), row: row.clone() }).collect();
        let figures = wanted.figures.map_or_else(Vec::new, |published| drawn(&lab, wanted.rows, published));
        let validation = |interrupted| Validation { verdicts, figures, interrupted };
        match store.settle(job) {
            Ok(true) => {}
            Ok(false) => return Ok(validation(false)),
            Err(ExperimentError::Cancelled) => return Ok(validation(true)),
            Err(error) => return Err(error),
        }
    }
}

/// The model's answer to one row, as far as it is known.
pub fn said(lab: &Lab, row: &Row) -> Said {
    match answer(&row.id) {
        Some(Answer::Model(evaluate)) => evaluate(lab, row).into(),
        Some(Answer::NotPredicted(reason)) => Said::NotPredicted(reason.into()),
        None => Said::NotPredicted("an input of the model".into()),
    }
}

fn drawn(lab: &Lab, rows: &[Row], published: &Published) -> Vec<Drawn> {
    let wanted = FIGURES.iter().filter(|figure| figure.row_ids().any(|id| rows.iter().any(|row| row.id == id)));
    wanted.map(|figure| Drawn { figure, panels: (figure.panels)(lab, published) }).collect()
}

/// Rows that a list of identifiers, groups (`FX-5K`: all that begin so) or papers asks for.
///
/// # Errors
/// A word that asks for nothing, with the nearest identifier.
pub fn select(rows: Vec<Row>, only: &[String]) -> Result<Vec<Row>, UnknownRow> {
    let asks = |word: &str, row: &Row| {
        let begins = row.id.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
        begins || row.source.eq_ignore_ascii_case(word) || row.usage.name() == word
    };
    if let Some(word) = only.iter().find(|word| !rows.iter().any(|row| asks(word, row))) {
        let near = sim_core::nearest::nearest(word, rows.iter().map(|row| row.id.as_str())).map(str::to_owned);
        let mut papers: Vec<String> = rows.iter().map(|row| row.source.clone()).collect();
        papers.sort();
        papers.dedup();
        return Err(UnknownRow { name: word.clone(), near, papers: papers.join(", ") });
    }
    Ok(rows.into_iter().filter(|row| only.is_empty() || only.iter().any(|word| asks(word, row))).collect())
}

/// No published row is called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no published row, group, paper or use is called `{name}`{}\n  papers: {papers}; uses: INPUT, CAL, PRED, SANITY; rows: `ringscope validate papers --list`",
    near.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?"))
)]
pub struct UnknownRow {
    /// What was asked for.
    pub name: String,
    /// The nearest identifier.
    pub near: Option<String>,
    /// All papers.
    pub papers: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_by_identifier_group_paper_and_use() {
        let select = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|word| (*word).to_owned()).collect();
            select(crate::published::rows().unwrap(), &only).map(|rows| rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
        };
        assert_eq!(select(&["A13", "FX-5K"]).unwrap(), ["FX-5K-total", "FX-5K-direct", "A13"]);
        assert_eq!(select(&["lua-syscall"]).unwrap(), ["S1-t", "S1-l"]);
        assert_eq!(select(&["A1"]).unwrap_err().near.as_deref(), Some("A01"));
        assert!(select(&["PRED"]).unwrap().len() > 30);
        assert!(select(&[]).unwrap().len() > 100);
    }
}
