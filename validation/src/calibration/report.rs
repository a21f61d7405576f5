//! What a calibration says: fitted values with how well they are determined, and the residuals of all CAL rows.

use super::parameters::{self, Parameter};
use super::work::Work;
use crate::published::Row;
use serde::{Deserialize, Serialize};

/// How far a parameter may move before the rows are off by one tolerance, in shares of its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Determination {
    /// When nothing else moves.
    pub alone: f64,
    /// When all other parameters of the group make up for it.
    pub together: f64,
}

/// How well a parameter is determined, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// To a tenth of its range, whatever the others do.
    Well,
    /// To half of its range.
    Roughly,
    /// Only together with others, or not at all.
    Hardly,
    /// A program's own: its one row decides it, given all others.
    ByItsRow,
    /// A choice: both values were tried. The costs say how much the rows prefer this one.
    ByComparison,
}

/// One fitted parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// Path of the setting, or `PROGRAM.user_base_cpi_milli`.
    pub name: String,
    /// Fitted value, as the setting has it.
    pub value: u32,
    /// Where the fit began.
    pub start: u32,
    /// Least and most that makes sense.
    pub bounds: [u32; 2],
    /// The value lies at one of them: the rows ask for more than makes sense.
    pub at_bound: bool,
    /// Plus or minus so much of its range with one tolerance of error, nothing else moving. Nothing for what is not found by steps.
    pub alone_share: Option<f64>,
    /// The same with all others making up for it.
    pub together_share: Option<f64>,
    /// In words.
    pub determined: Certainty,
}

impl Fitted {
    /// A fitted value with what determines it.
    pub fn new(parameter: &Parameter, value: f64, determination: Determination) -> Fitted {
        let bounds = [parameter.low, parameter.high].map(|bound| parameter.as_setting(bound));
        let setting = parameter.as_setting(value);
        Fitted {
            name: parameter.name.into(),
            value: setting,
            start: parameter.as_setting(parameter.start),
            bounds,
            at_bound: !parameter.is_choice() && bounds.contains(&setting),
            alone_share: parameter.is_free().then(|| rounded(determination.alone)),
            together_share: parameter.is_free().then(|| rounded(determination.together)),
            determined: match determination.together {
                _ if parameter.own_row().is_some() => Certainty::ByItsRow,
                _ if parameter.is_choice() => Certainty::ByComparison,
                share if share <= 0.1 => Certainty::Well,
                share if share <= 0.5 => Certainty::Roughly,
                _ => Certainty::Hardly,
            },
        }
    }
}

/// One group's fit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// Name of the group.
    pub name: String,
    /// Sum of squares of the rows' errors in tolerances, large errors weighted down ([`super::OUTLIER`]).
    pub cost: f64,
    /// The least with one choice made the other way: how much the rows say of the choices. Nothing without choices.
    pub cost_of_other_choices: Option<f64>,
    /// Rows fitted to.
    pub rows: usize,
    /// The parameters.
    pub fitted: Vec<Fitted>,
}

/// One CAL row under the fitted values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residual {
    /// The row.
    pub row: String,
    /// What was published.
    pub published: f64,
    /// What the model says; nothing when it says nothing.
    pub model: Option<f64>,
    /// The error in units of the row's tolerance.
    pub tolerances: Option<f64>,
}

impl Residual {
    /// A row beside the model's value.
    pub fn new(row: &Row, model: Option<f64>) -> Residual {
        Residual {
            row: row.id.clone(),
            published: row.value.number().unwrap_or(f64::NAN),
            model: model.map(rounded),
            tolerances: model.and_then(|model| row.error_in_tolerances(model)).map(rounded),
        }
    }
}

/// A whole calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the program that made it.
    pub version: String,
    /// Amounts of work of the published programs, as they are.
    pub work: Vec<Work>,
    /// Groups in order.
    pub groups: Vec<GroupReport>,
    /// All CAL rows.
    pub residuals: Vec<Residual>,
}

static COMMITTED: &str = include_str!("../../data/calibration.json");

impl Report {
    /// A report of this version.
    pub fn new(work: Vec<Work>, groups: Vec<GroupReport>, residuals: Vec<Residual>) -> Report {
        Report { version: env!("CARGO_PKG_VERSION").into(), work, groups, residuals }
    }

    /// The committed calibration.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn committed() -> Result<Report, serde_json::Error> {
        serde_json::from_str(COMMITTED)
    }

    /// As JSON, indented, with a final newline.
    pub fn to_json_pretty(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("names are text, and writing to memory does not fail");
        text.push('\n');
        text
    }

    /// All fitted parameters.
    pub fn fitted(&self) -> impl Iterator<Item = &Fitted> {
        self.groups.iter().flat_map(|group| &group.fitted)
    }
}

/// Four digits are more than seeds determine.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// Fitted values that presets and programs do not have: (name, fitted, in force).
pub fn not_in_force(report: &Report, conditions: &crate::conditions::Conditions) -> Vec<(String, u32, Option<u32>)> {
    let differing = report.fitted().filter_map(|fitted| {
        let in_force = parameters::in_force(&fitted.name, conditions);
        (in_force != Some(fitted.value)).then(|| (fitted.name.clone(), fitted.value, in_force))
    });
    differing.collect()
}

#[cfg(test)]
mod tests {
    use super::super::work::WORK_TOLERANCE;
    use super::*;
    use crate::conditions::Conditions;
    use crate::published::{Use, rows_for};
    use crate::server_run::atc11_settings;

    #[test]
    fn the_committed_values_are_the_ones_in_force() {
        let report = Report::committed().unwrap();
        let conditions = Conditions::new("nginx-ab", atc11_settings().unwrap());
        assert_eq!(not_in_force(&report, &conditions), Vec::new(), "presets and calibration.json disagree");
    }

    #[test]
    fn published_programs_make_the_published_work() {
        let report = Report::committed().unwrap();
        for work in &report.work {
            assert!(work.error().abs() <= WORK_TOLERANCE, "{}: {} for {}", work.row, work.model, work.published);
            assert_eq!(work.permille, in_program(work), "{} was changed after the calibration", work.program);
        }
    }

    fn in_program(work: &Work) -> u32 {
        let program = traces::published::find(&work.program).unwrap();
        if work.row.ends_with("ki") { program.kernel_permille.unwrap() } else { program.user_permille }
    }

    #[test]
    fn the_committed_calibration_holds_every_calibration_row_and_no_other() {
        let report = Report::committed().unwrap();
        let rows: Vec<String> = rows_for(&[Use::Calibration]).unwrap().into_iter().map(|row| row.id).collect();
        assert_eq!(report.residuals.iter().map(|residual| residual.row.clone()).collect::<Vec<_>>(), rows);
    }
}
