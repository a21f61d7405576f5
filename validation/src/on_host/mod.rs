//! Predicted beside measured on the machine at hand: native twins, their model twins, and two simpler models.
//!
//! - `readings`: what processes measured, cut into *parts* (what a call costs when it follows itself, user work alone, entries that do
//!   nothing) and *points* of curves. Predictions are made of parts; points are only compared with.
//! - `points`: which points a case has, and what each is a ratio to.
//! - `simple`: what simpler models say, made of the same parts.
//! - `primitives`: model twins of parts of single calls.
//! - `blocks`, `workload`, `sockets`: the model twin of a case, from recorded calls and from user work of the case's shape.
//! - `pieces`: kernel work that is put together of recorded stretches and of code that no recording holds; `hook`: the same for a program
//!   at the XDP hook.
//! - `paces`: instructions of recorded work on its lines.
//! - `anchor`: the model is anchored in the parts; `rings`: in those of batches; `predict`: what it then says to the points.
//! - `misses`: what hardware counters say of the twins beside the model's; `compared`: which events with which of its counters.
//! - `report`: verdicts and the summary.

pub mod anchor;
pub mod blocks;
pub mod compared;
pub mod hook;
pub mod misses;
pub mod paces;
pub mod pieces;
pub mod points;
pub mod predict;
pub mod primitives;
pub mod readings;
pub mod report;
pub mod rings;
pub mod server;
pub mod simple;
pub mod sockets;
pub mod workload;

use crate::on_host::anchor::Anchored;
use crate::on_host::misses::Counted;
use crate::on_host::predict::Predictions;
use crate::on_host::readings::{Curves, Parts};
use crate::on_host::report::CaseReport;
use host::facts::Facts;
use mechanisms::compare::{ExperimentError, Job};
use mechanisms::experiment::Settings;
use mechanisms::simulate::SimulationError;
use twins::Case;

/// A case whose model twin cannot be made or run.
#[derive(Debug, thiserror::Error)]
pub enum OnHostError {
    /// The recording.
    #[error(transparent)]
    Trace(#[from] traces::TraceError),
    /// A simulation.
    #[error("case {case}, {what}: {source}")]
    Simulation {
        /// The case.
        case: String,
        /// What was simulated.
        what: String,
        /// What went wrong.
        source: SimulationError,
    },
    /// A recorded call without a function that the model twin needs.
    #[error(
        "{call} of the recording {recording} does not run {function}: the capture in this program is not whole; build it again"
    )]
    NotRecorded {
        /// The recording.
        recording: String,
        /// The call.
        call: &'static str,
        /// The function.
        function: &'static str,
    },
    /// Something that the prediction needs was not measured.
    #[error("{0} was not measured: the process that measures ended early; run the command again")]
    NotMeasured(String),
    /// The experiment.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
}

/// Predicts cases from their parts. Points of the measured curves are not among the arguments.
///
/// # Errors
/// A part that is missing, or a simulation that failed.
pub fn predict(
    cases: &[(&Case, &Parts)],
    settings: &Settings,
    seeds: u32,
    job: &Job,
) -> Result<Vec<(Anchored, Predictions)>, OnHostError> {
    let anchored = predict::all_of(cases, "cases anchored", job, |(case, parts)| anchor::anchor(case, parts, settings))?;
    let predicted = |((case, _), anchored): (&(&Case, &Parts), Anchored)| {
        let predictions = predict::predict(case, &anchored, seeds, job)?;
        Ok((anchored, predictions))
    };
    cases.iter().zip(anchored).map(predicted).collect()
}

/// Puts what was measured of a case beside what the models say.
pub fn compare(case: &Case, parts: &Parts, curves: &Curves, (anchored, predictions): &(Anchored, Predictions)) -> CaseReport {
    report::case_report(case, parts, curves, anchored, predictions)
}

/// Puts what counters counted of a case beside the model's, on the processor of these facts.
pub fn compare_counts(report: &mut CaseReport, case: &Case, facts: &Facts, counted: &Counted, predictions: &Predictions) {
    let (misses, notes) = counted.report(case, facts, predictions);
    report.misses = misses;
    report.notes.extend(notes);
}
