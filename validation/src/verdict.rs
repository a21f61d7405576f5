//! Predicted beside published: row by row, and summed up.

use crate::lab::Stop;
use crate::outcome::{Outcome, Predicted};
use crate::published::{Row, SignedError, Use, Value};
use sim_core::digits::rounded;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// What the model says to a row, or why it says nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// Its answer.
    Outcome(Outcome),
    /// The model does not answer such rows.
    NotPredicted(String),
    /// An experiment failed.
    Failed(String),
    /// Interrupted before.
    NotRun,
}

impl From<Result<Outcome, Stop>> for Said {
    fn from(result: Result<Outcome, Stop>) -> Said {
        match result {
            Ok(outcome) => Said::Outcome(outcome),
            Err(Stop::Failed(cause)) => Said::Failed(cause),
            Err(Stop::Pending) => Said::NotRun,
        }
    }
}

/// One row with the model's answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The published row.
    pub row: Row,
    /// The model's answer.
    pub said: Said,
}

impl Verdict {
    /// The answer, if there is one.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.said {
            Said::Outcome(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// The predicted number, if there is one.
    pub fn number(&self) -> Option<f64> {
        self.outcome()?.value.number()
    }

    /// Predicted less published; of several conditions the one that is furthest off.
    pub fn error(&self) -> Option<SignedError> {
        match &self.outcome()?.value {
            Predicted::Number(estimate) => self.row.signed_error(estimate.mean),
            Predicted::Each(each) => {
                let errors = each.iter().filter_map(|one| Some((self.row.holds(one.1.mean)?, self.row.signed_error(one.1.mean)?)));
                // a condition outside the tolerance comes before one inside a published range
                let order = |one: &(bool, SignedError)| (!one.0, one.1.magnitude());
                errors.max_by(|left, right| order(left).partial_cmp(&order(right)).unwrap_or(Ordering::Equal)).map(|one| one.1)
            }
            Predicted::Word(_) => None,
        }
    }

    /// Whether the prediction is within the tolerance. `None` for a row without one, and without an answer.
    pub fn holds(&self) -> Option<bool> {
        match (&self.row.value, &self.outcome()?.value) {
            (Value::Number(_), Predicted::Number(estimate)) => self.row.holds(estimate.mean),
            (Value::Number(_), Predicted::Each(each)) => {
                each.iter().map(|one| self.row.holds(one.1.mean)).reduce(|left, right| Some(left? && right?)).flatten()
            }
            (Value::Number(published), Predicted::Word(_)) => self.row.holds(*published).map(|_| false),
            (Value::Word(published), Predicted::Word(word)) => Some(published == word),
            (Value::Word(_), _) => Some(false),
        }
    }

    /// Whether the range over what nobody published reaches the tolerance, where there is a range.
    pub fn within_range(&self) -> Option<bool> {
        let range = self.outcome()?.range.as_ref()?;
        let published = self.row.value.number()?;
        let ends = [range.low, range.high].map(|end| self.row.holds(end) == Some(true));
        Some(ends.contains(&true) || (range.low..=range.high).contains(&published))
    }

    /// Whether the direction is the published one: of a change in percent, or of a row that is a sign. `None` for other rows.
    pub fn sign_right(&self) -> Option<bool> {
        match (&self.row.value, self.row.unit.as_str()) {
            (Value::Number(published), "%") => self.number().map(|number| number * published > 0.0),
            (Value::Word(_), "sign") => self.holds(),
            _ => None,
        }
    }
}

/// A group of rows that stand for one measurement.
#[derive(Clone, Debug, PartialEq)]
struct Group<'a>(Vec<&'a Verdict>);

impl Group<'_> {
    /// All of its rows must hold.
    fn holds(&self) -> bool {
        self.0.iter().all(|verdict| verdict.holds() == Some(true))
    }

    fn answered(&self) -> bool {
        self.0.iter().all(|verdict| verdict.outcome().is_some())
    }
}

fn groups(verdicts: &[Verdict]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.row.usage == Use::Prediction) {
        let name = verdict.row.counted_with().unwrap_or(&verdict.row.id);
        let place = *places.entry(name).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.0.push(verdict),
            None => groups.push(Group(vec![verdict])),
        }
    }
    groups
}

/// A rank correlation and how many pairs it is over.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct RankCorrelation {
    /// Spearman's coefficient, -1 to 1; unknown (`null`) below two pairs or when all are equal.
    pub coefficient: Option<f64>,
    /// Pairs.
    pub n: usize,
}

/// All PRED rows summed up. Rows that stand for one measurement are counted once, and hold when all of them hold.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Measurements to predict.
    pub predictions: usize,
    /// Of these within tolerance.
    pub within_tolerance: usize,
    /// Of these without an answer of the model.
    pub not_answered: usize,
    /// Median of the absolute errors of the predicted changes in percent, percentage points.
    pub gain_error_points_median: Option<f64>,
    /// Mean of the same.
    pub gain_error_points_mean: Option<f64>,
    /// Median of the same errors as a share of the published change, percent.
    pub gain_error_relative_percent_median: Option<f64>,
    /// Mean of the same.
    pub gain_error_relative_percent_mean: Option<f64>,
    /// Directions that are right.
    pub signs_right: usize,
    /// Directions that are wrong.
    pub signs_wrong: usize,
    /// Published against predicted throughput gains, all rows.
    pub rank_of_gains: RankCorrelation,
    /// The same over mechanisms: the largest published gain of each.
    pub rank_of_mechanisms: RankCorrelation,
}

impl Summary {
    /// Sums up.
    pub fn of(verdicts: &[Verdict]) -> Summary {
        let groups = groups(verdicts);
        let errors: Vec<(f64, f64)> = groups.iter().filter_map(gain_errors).collect();
        let points: Vec<f64> = errors.iter().map(|error| error.0).collect();
        let relative: Vec<f64> = errors.iter().map(|error| error.1).collect();
        let predicted = || verdicts.iter().filter(|verdict| verdict.row.usage == Use::Prediction);
        let signs = |right: bool| predicted().filter(|verdict| verdict.sign_right() == Some(right)).count();
        let gains: Vec<(&str, f64, f64)> = predicted().filter_map(throughput_gain).collect();
        Summary {
            predictions: groups.len(),
            within_tolerance: groups.iter().filter(|group| group.holds()).count(),
            not_answered: groups.iter().filter(|group| !group.answered()).count(),
            gain_error_points_median: median(&points).map(rounded),
            gain_error_points_mean: sim_core::estimate::mean(&points).map(rounded),
            gain_error_relative_percent_median: median(&relative).map(rounded),
            gain_error_relative_percent_mean: sim_core::estimate::mean(&relative).map(rounded),
            signs_right: signs(true),
            signs_wrong: signs(false),
            rank_of_gains: rank_correlation(&gains.iter().map(|gain| (gain.1, gain.2)).collect::<Vec<_>>()),
            rank_of_mechanisms: rank_correlation(&by_mechanism(&gains)),
        }
    }
}

/// Absolute error of a group's changes in percent: points, and percent of the published change.
fn gain_errors(group: &Group) -> Option<(f64, f64)> {
    let errors: Vec<(f64, f64)> = group
        .0
        .iter()
        .filter(|verdict| verdict.row.unit == "%")
        .filter_map(|verdict| {
            let error = verdict.error()?.magnitude();
            Some((error, error * 100.0 / verdict.row.value.number()?.abs()))
        })
        .collect();
    let mean = |of: fn(&(f64, f64)) -> f64| sim_core::estimate::mean(&errors.iter().map(of).collect::<Vec<_>>());
    Some((mean(|error| error.0)?, mean(|error| error.1)?))
}

/// Mechanism, published and predicted throughput gain in percent.
fn throughput_gain(verdict: &Verdict) -> Option<(&str, f64, f64)> {
    let row = &verdict.row;
    let percent = |value: f64| if row.unit == "ratio" { (value - 1.0) * 100.0 } else { value };
    let gain = row.metric.contains("throughput gain") || row.metric.contains("throughput ratio");
    gain.then_some((row.mechanism.as_str(), percent(row.value.number()?), percent(verdict.number()?)))
}

/// Published and predicted gain of each mechanism where its published gain is largest.
fn by_mechanism(gains: &[(&str, f64, f64)]) -> Vec<(f64, f64)> {
    let mut largest: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for (mechanism, published, predicted) in gains {
        let own = largest.entry(mechanism).or_insert((*published, *predicted));
        if *published > own.0 {
            *own = (*published, *predicted);
        }
    }
    largest.into_values().collect()
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Spearman's rank correlation; equal values share the mean of their ranks.
fn rank_correlation(pairs: &[(f64, f64)]) -> RankCorrelation {
    let n = pairs.len();
    let ranks = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        let rank = |value: f64| {
            let below = pairs.iter().filter(|pair| of(pair) < value).count() as f64;
            let equal = pairs.iter().filter(|pair| of(pair) == value).count() as f64;
            below + (equal + 1.0) / 2.0
        };
        pairs.iter().map(|pair| rank(of(pair))).collect()
    };
    let (left, right) = (ranks(|pair| pair.0), ranks(|pair| pair.1));
    let middle = (n as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>();
    let coefficient = product(&left, &right) / libm::sqrt(product(&left, &left) * product(&right, &right));
    RankCorrelation { coefficient: coefficient.is_finite().then(|| rounded(coefficient)).filter(|_| n > 1), n }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::rows;
    use sim_core::estimate::Estimate;

    fn verdict(id: &str, outcome: Outcome) -> Verdict {
        let row = rows().unwrap().into_iter().find(|row| row.id == id).unwrap();
        Verdict { row, said: Said::Outcome(outcome) }
    }

    fn number(id: &str, value: f64) -> Verdict {
        verdict(id, Outcome::exact(value, "made up"))
    }

    #[test]
    fn numbers_words_and_several_conditions_are_judged() {
        assert_eq!(number("A13", 65.0).holds(), Some(true));
        assert_eq!(number("A13", -65.0).sign_right(), Some(false));
        assert_eq!(verdict("A11", Outcome::word("lower", "")).holds(), Some(true));
        assert_eq!(verdict("A06", Outcome::word("never", "")).holds(), Some(false));
        let each = |values: [f64; 2]| {
            let each = values.map(|value| (String::new(), Estimate::exact(value, 1))).to_vec();
            verdict("A07", Outcome::each(each, ""))
        };
        assert_eq!(each([26.0, 34.0]).holds(), Some(true));
        assert_eq!(each([26.0, 50.0]).holds(), Some(false));
        assert_eq!(each([26.0, 50.0]).error(), Some(SignedError::Points(20.0)));
        assert_eq!(number("T1-mc-ui", 3000.0).holds(), None, "an input has no tolerance");
        let ranged = verdict("S1-t", Outcome::exact(20.0, "").over("work", &[10.0, 60.0]));
        assert_eq!((ranged.holds(), ranged.within_range()), (Some(false), Some(true)));
    }

    /// By hand: A13 with A17 and A15 with A18 are two measurements; the first holds, the second does not (A18 is 20 points off).
    /// Errors: (5 + 2) / 2 = 3.5 and (0 + 20) / 2 = 10 points.
    #[test]
    fn rows_that_stand_for_one_measurement_count_once() {
        let verdicts = [number("A13", 75.0), number("A15", 120.0), number("A17", -40.0), number("A18", -38.0)];
        let summary = Summary::of(&verdicts);
        assert_eq!((summary.predictions, summary.within_tolerance, summary.not_answered), (2, 1, 0));
        assert_eq!((summary.signs_right, summary.signs_wrong), (4, 0));
        assert_eq!(summary.gain_error_points_mean, Some(6.75));
        assert_eq!(summary.rank_of_gains, RankCorrelation { coefficient: Some(1.0), n: 2 });
    }

    #[test]
    fn ranks_of_equal_values_are_shared() {
        let correlation = |pairs: &[(f64, f64)]| rank_correlation(pairs).coefficient;
        assert_eq!(correlation(&[(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)]), Some(1.0));
        assert_eq!(correlation(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), Some(-1.0));
        // ranks 1.5, 1.5, 3 against 1, 2, 3: covariance 1.5, variances 1.5 and 2
        let shared = correlation(&[(1.0, 1.0), (1.0, 2.0), (3.0, 3.0)]).unwrap();
        assert!((shared - 1.5 / 3.0_f64.sqrt()).abs() < 1e-5, "{shared}");
        assert_eq!(correlation(&[(1.0, 1.0)]), None);
    }
}
