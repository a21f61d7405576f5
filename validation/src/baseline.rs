//! Which rows held when the baseline was made: a change that loses one is found.

use crate::verdict::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The rows that held, as committed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Version of the program that made it.
    pub version: String,
    /// Seeds of each experiment.
    pub reps: u32,
    /// Identifiers of the rows that held.
    pub held: BTreeSet<String>,
}

/// A baseline that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("baseline: {cause}; write it again with --update-baseline FILE")]
pub struct BaselineError {
    /// What is wrong.
    #[from]
    cause: serde_json::Error,
}

static COMMITTED: &str = include_str!("../data/baseline.json");

impl Baseline {
    /// The one that comes with the program.
    ///
    /// # Errors
    /// When it is damaged (a test reads it).
    pub fn committed() -> Result<Baseline, BaselineError> {
        Ok(serde_json::from_str(COMMITTED)?)
    }

    /// Of these verdicts.
    pub fn of(verdicts: &[Verdict], reps: u32) -> Baseline {
        let held = verdicts.iter().filter(|verdict| verdict.holds() == Some(true)).map(|verdict| verdict.row.id.clone());
        Baseline { version: env!("CARGO_PKG_VERSION").into(), reps, held: held.collect() }
    }

    /// Rows that held and were looked at, but do not hold now.
    pub fn lost<'a>(&self, verdicts: &'a [Verdict]) -> Vec<&'a str> {
        let lost = verdicts.iter().filter(|verdict| self.held.contains(&verdict.row.id) && verdict.holds() != Some(true));
        lost.map(|verdict| verdict.row.id.as_str()).collect()
    }

    /// As it is committed.
    ///
    /// # Errors
    /// None: names and numbers can be written.
    pub fn to_json(&self) -> Result<String, BaselineError> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;
    use crate::published::rows;
    use crate::verdict::Said;

    #[test]
    fn the_committed_baseline_names_published_rows() {
        let known: BTreeSet<String> = rows().unwrap().into_iter().map(|row| row.id).collect();
        let baseline = Baseline::committed().unwrap();
        assert!(baseline.held.is_subset(&known), "{:?}", baseline.held.difference(&known));
        assert_eq!(baseline.to_json().unwrap(), COMMITTED, "committed as it is written");
    }

    #[test]
    fn a_row_that_no_longer_holds_is_named() {
        let verdicts = |value: f64| -> Vec<Verdict> {
            let row = rows().unwrap().into_iter().find(|row| row.id == "A13").unwrap();
            vec![Verdict { row, said: Said::Outcome(Outcome::exact(value, "")) }]
        };
        let baseline = Baseline::of(&verdicts(70.0), 3);
        assert!(baseline.lost(&verdicts(75.0)).is_empty());
        assert_eq!(baseline.lost(&verdicts(20.0)), ["A13"]);
        assert!(baseline.lost(&[]).is_empty(), "a row that was not looked at is not lost");
        assert!(Baseline::of(&verdicts(20.0), 3).held.is_empty());
    }
}
