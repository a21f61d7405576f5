//! Fitting the few free parameters to the CAL rows, and nothing else: [`crate::published::rows_for`] hands out no other row here.
//!
//! Weighted least squares by Gauss-Newton with damping (Levenberg-Marquardt): the residual of a row is its error in units of its
//! tolerance, derivatives are differences of simulations under the same seeds. A row that the model misses for another reason than its
//! parameters must not bend them: errors beyond [`OUTLIER`] tolerances count ever less (Cauchy's loss). Parameters are fitted in groups, each to
//! the rows that speak of it; what it moves in other rows is seen in the final report.

pub mod parameters;
pub mod report;
pub mod solve;
pub mod work;

use crate::conditions::Conditions;
use crate::lab::{Lab, Stop, Store};
use crate::published::{PublishedError, Row, Use, rows_for};
use crate::registry::{Answer, answer};
use mechanisms::compare::{ExperimentError, Job};
use parameters::{GROUPS, Group, Parameter};
use report::{Determination, Fitted, GroupReport, Report, Residual};
use solve::Step;

/// Seeds of each experiment: derivatives are differences under the same seed, and rows are many.
const REPS: u32 = 1;
/// Steps of a group at most.
const STEPS_MOST: usize = 6;
/// Steps after a choice is made the other way: the rest is near its best by then.
const STEPS_OF_A_CHOICE: usize = 3;
/// A step that improves the sum of squares by less than this share ends the fit.
const IMPROVEMENT_LEAST: f64 = 0.01;
/// Corrections of a program's own parameter until its row holds: the first one nearly does it.
const CORRECTIONS: usize = 2;
/// The loss of an error grows like its square up to about so many tolerances, and like its logarithm far beyond.
pub const OUTLIER: f64 = 2.0;

/// A calibration that failed.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The table of published results.
    #[error(transparent)]
    Published(#[from] PublishedError),
    /// The committed calibration.
    #[error("the committed calibration is damaged: {0}")]
    Committed(#[from] serde_json::Error),
    /// The experiments.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// A row that cannot be answered.
    #[error("row {row}: {cause}")]
    Row {
        /// The row.
        row: String,
        /// Why.
        cause: String,
    },
    /// No step could be computed.
    #[error("group {group}: no step can be computed: the rows do not depend on the parameters")]
    Singular {
        /// The group.
        group: &'static str,
    },
}

/// Values of all parameters, by their place in the table of parameters.
pub type Values = Vec<f64>;

/// Fits all groups in order and reports residuals of all CAL rows under the result.
///
/// # Errors
/// A row that cannot be evaluated, or an interruption.
pub fn calibrate(job: &Job, told: &mut dyn FnMut(&str)) -> Result<Report, CalibrationError> {
    let rows = rows_for(&[Use::Calibration])?;
    let mut values: Values = parameters::all().map(|parameter| parameter.start).collect();
    let mut groups = Vec::new();
    let store = Store::new();
    for group in GROUPS {
        let fit = Fit { group, rows: group.rows(&rows), job, store: &store };
        groups.push(fit.run(&mut values, told)?);
    }
    finish(&store, &rows, &values, groups, job)
}

/// The committed fit with residuals and amounts of work as they are now: after a change of the model that is not fitted to.
///
/// # Errors
/// As [`calibrate`], and a damaged file.
pub fn review(job: &Job) -> Result<Report, CalibrationError> {
    let rows = rows_for(&[Use::Calibration])?;
    let committed = Report::committed()?;
    let value = |parameter: &Parameter| {
        let fitted = committed.fitted().find(|fitted| fitted.name == parameter.name);
        fitted.map_or(parameter.start, |fitted| parameter.from_setting(fitted.value))
    };
    let values: Values = parameters::all().map(value).collect();
    finish(&Store::new(), &rows, &values, committed.groups.clone(), job)
}

fn finish(store: &Store, rows: &[Row], values: &Values, groups: Vec<GroupReport>, job: &Job) -> Result<Report, CalibrationError> {
    let outcomes = predict(store, rows, values, job)?;
    let work = work::work(store, job)?;
    let residuals = rows.iter().zip(outcomes).map(|(row, value)| Residual::new(row, value)).collect();
    Ok(Report::new(work, groups, residuals))
}

/// The model's values of rows.
type Predictions = Vec<Option<f64>>;

/// The model's values of rows under values of all parameters.
fn predict(store: &Store, rows: &[Row], values: &Values, job: &Job) -> Result<Predictions, CalibrationError> {
    Ok(predict_all(store, rows, std::slice::from_ref(values), job)?.pop().unwrap_or_default())
}

/// The model's values of rows under each set of values: what all sets want is run at once.
fn predict_all(store: &Store, rows: &[Row], sets: &[Values], job: &Job) -> Result<Vec<Predictions>, CalibrationError> {
    loop {
        let answers: Vec<Result<Predictions, CalibrationError>> = sets.iter().map(|values| answers(store, rows, values)).collect();
        if !store.settle(job)? {
            return answers.into_iter().collect();
        }
    }
}

/// What is known so far of rows under values of all parameters; every row is asked.
fn answers(store: &Store, rows: &[Row], values: &Values) -> Result<Predictions, CalibrationError> {
    let apply = |conditions: &mut Conditions| parameters::apply(conditions, values);
    let lab = Lab::new(store, REPS).with(&apply);
    let outcomes: Vec<Result<Option<f64>, Stop>> = rows.iter().map(|row| evaluate(&lab, row)).collect();
    let told = |(row, outcome): (&Row, Result<Option<f64>, Stop>)| {
        outcome.map_err(|stop| CalibrationError::Row { row: row.id.clone(), cause: stop.to_string() })
    };
    rows.iter().zip(outcomes).map(told).collect()
}

fn evaluate(lab: &Lab, row: &Row) -> Result<Option<f64>, Stop> {
    match answer(&row.id) {
        Some(Answer::Model(evaluate)) => Ok(evaluate(lab, row)?.value.number()),
        Some(Answer::NotPredicted(_)) | None => Ok(None),
    }
}

/// Where a descent ended.
struct End {
    /// Sum of squares.
    cost: f64,
    values: Values,
    /// How well each parameter is determined there.
    determinations: Vec<Determination>,
}

/// One group's fit.
struct Fit<'a> {
    group: &'static Group,
    rows: Vec<Row>,
    job: &'a Job<'a>,
    store: &'a Store,
}

impl Fit<'_> {
    /// Downhill from where the values stand, then with each choice made the other way: what is better stays.
    fn run(&self, values: &mut Values, told: &mut dyn FnMut(&str)) -> Result<GroupReport, CalibrationError> {
        let mut best = self.descend(values.clone(), STEPS_MOST, told)?;
        let mut second = None;
        for choice in self.group.choices() {
            let mut other = best.values.clone();
            other[choice] = parameters::get(choice).probe(other[choice]);
            let mut other = self.descend(other, STEPS_OF_A_CHOICE, told)?;
            if other.cost < best.cost {
                std::mem::swap(&mut best, &mut other);
            }
            second = Some(second.map_or(other.cost, |cost: f64| cost.min(other.cost)));
        }
        *values = best.values;
        let fitted = self.group.places().zip(best.determinations);
        let fitted = fitted.map(|(place, determination)| Fitted::new(parameters::get(place), values[place], determination));
        Ok(GroupReport {
            name: self.group.name.into(),
            cost: best.cost,
            cost_of_other_choices: second,
            rows: self.rows.len(),
            fitted: fitted.collect(),
        })
    }

    /// Steps downhill, at most so many, until they bring nothing.
    fn descend(&self, mut values: Values, steps_most: usize, told: &mut dyn FnMut(&str)) -> Result<End, CalibrationError> {
        let mut residuals = self.residuals(&mut values)?;
        let mut cost = sum_of_squares(&residuals);
        let mut damping = solve::FIRST_DAMPING;
        let mut jacobian = self.jacobian(&values, &residuals)?;
        for _ in 0..steps_most {
            let step = solve::step(&jacobian, &residuals, damping);
            let Step(step) = step.ok_or(CalibrationError::Singular { group: self.group.name })?;
            let mut moved = self.moved(&values, &step);
            let tried = self.residuals(&mut moved)?;
            let tried_cost = sum_of_squares(&tried);
            told(&format!("{}: sum of squares {cost:.2} -> {tried_cost:.2}, {}", self.group.name, self.group.show(&moved)));
            if tried_cost >= cost {
                damping *= solve::DAMPING_FACTOR;
                continue;
            }
            let improvement = (cost - tried_cost) / cost;
            (values, residuals, cost) = (moved, tried, tried_cost);
            damping /= solve::DAMPING_FACTOR;
            if improvement < IMPROVEMENT_LEAST {
                break;
            }
            jacobian = self.jacobian(&values, &residuals)?;
        }
        Ok(End { cost, determinations: solve::determinations(&jacobian), values })
    }

    /// Programs' own parameters follow from all others: in each set they are set so that their rows hold.
    fn settle_programs(&self, sets: &mut [Values]) -> Result<(), CalibrationError> {
        let own_row = |row: &Row| self.group.places().find(|place| parameters::get(*place).own_row() == Some(&row.id));
        let (places, rows): (Vec<usize>, Vec<Row>) = self.rows.iter().filter_map(|row| Some((own_row(row)?, row.clone()))).unzip();
        for _ in 0..CORRECTIONS {
            let predicted = predict_all(self.store, &rows, sets, self.job)?;
            for (values, predicted) in sets.iter_mut().zip(predicted) {
                for ((place, row), model) in places.iter().zip(&rows).zip(predicted) {
                    if let (Some(published), Some(model)) = (row.value.number(), model) {
                        values[*place] = parameters::get(*place).corrected(values[*place], published, model);
                    }
                }
            }
        }
        Ok(())
    }

    /// Errors of the group's rows in units of their tolerances, with programs' own parameters set anew.
    fn residuals(&self, values: &mut Values) -> Result<Vec<f64>, CalibrationError> {
        Ok(self.residuals_of_all(std::slice::from_mut(values))?.pop().unwrap_or_default())
    }

    /// The same for each set of values.
    fn residuals_of_all(&self, sets: &mut [Values]) -> Result<Vec<Vec<f64>>, CalibrationError> {
        self.settle_programs(sets)?;
        let in_tolerances =
            |(row, value): (&Row, Option<f64>)| value.and_then(|value| row.error_in_tolerances(value).map(softened));
        let predicted = predict_all(self.store, &self.rows, sets, self.job)?;
        Ok(predicted.into_iter().map(|values| self.rows.iter().zip(values).filter_map(in_tolerances).collect()).collect())
    }

    /// Change of each residual by a whole range of each free parameter; nothing changes with the others.
    fn jacobian(&self, values: &Values, residuals: &[f64]) -> Result<Vec<Vec<f64>>, CalibrationError> {
        let free: Vec<usize> = self.group.places().filter(|place| parameters::get(*place).is_free()).collect();
        let probed = |place: &usize| {
            let mut moved = values.clone();
            moved[*place] = parameters::get(*place).probe(values[*place]);
            moved
        };
        let probes: Vec<Values> = free.iter().map(probed).collect();
        let moved = self.residuals_of_all(&mut probes.clone())?;
        let column = |place: usize| {
            let Some(index) = free.iter().position(|free| *free == place) else { return vec![0.0; residuals.len()] };
            let share = (probes[index][place] - values[place]) / parameters::get(place).range();
            moved[index].iter().zip(residuals).map(|(moved, here)| (moved - here) / share).collect()
        };
        Ok(self.group.places().map(column).collect())
    }

    fn moved(&self, values: &Values, step: &[f64]) -> Values {
        let mut moved = values.clone();
        for (place, share) in self.group.places().zip(step) {
            let parameter: &Parameter = parameters::get(place);
            moved[place] = parameter.bounded(values[place] + share * parameter.range());
        }
        moved
    }
}

/// The number whose square is Cauchy's loss of an error.
fn softened(error: f64) -> f64 {
    error.signum() * OUTLIER * (error / OUTLIER).powi(2).ln_1p().sqrt()
}

fn sum_of_squares(residuals: &[f64]) -> f64 {
    residuals.iter().map(|residual| residual * residual).sum()
}
