//! What is known so far: immutable, made by the worker after each simulation, drawn by the views.

use super::in_depth::InDepthAnswer;
use super::sweeping::SweepAnswer;
use mechanisms::registry::Mechanism;
use sim_core::histogram::LatencyHistogram;
use sim_core::report::RunReport;
use std::sync::Arc;

/// How far the answers of a scenario are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is known yet.
    #[default]
    Waiting,
    /// Brief runs only, or not yet a whole seed of every mechanism.
    Preview,
    /// Seeds come in.
    Refining,
    /// What `ringscope compare` prints.
    Final,
    /// The scenario can't be simulated.
    Failed(String),
}

/// What is known of one mechanism.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// Its report over the seeds so far; nothing yet when `None`.
    pub report: Option<Arc<RunReport>>,
    /// Latencies over the seeds so far, in cycles.
    pub latency: Option<Arc<LatencyHistogram>>,
    /// The report is of a brief run: less warm-up and fewer requests than asked for.
    pub preview: bool,
    /// Whole seeds in the report.
    pub seeds: u32,
    /// Its simulation failed.
    pub failure: Option<String>,
}

impl Answer {
    /// Nothing known yet.
    #[cfg(test)]
    pub fn waiting(mechanism: Mechanism) -> Answer {
        Answer { mechanism, report: None, latency: None, preview: false, seeds: 0, failure: None }
    }

    /// The report, when the mechanism applies and something was measured.
    pub fn measured(&self) -> Option<&RunReport> {
        self.report.as_deref().filter(|report| report.applicable)
    }

    /// `mechanism`, or `mechanism:variant`.
    pub fn label(&self) -> String {
        self.report.as_ref().map_or_else(|| self.mechanism.name().to_owned(), |report| report.label())
    }

    /// Why there are no numbers; nothing when there are some.
    pub fn reason(&self) -> Option<String> {
        match (&self.failure, &self.report) {
            (Some(failure), _) => Some(failure.clone()),
            (None, None) => Some("not simulated yet".into()),
            (None, Some(report)) if !report.applicable => {
                Some(format!("does not apply: {}", report.reason.as_deref().unwrap_or("no reason given")))
            }
            _ => None,
        }
    }
}

/// All that is known of a scenario so far.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Which change of the scenario it belongs to.
    pub generation: u64,
    /// How far it is.
    pub stage: Stage,
    /// One for each mechanism, in report order.
    pub answers: Vec<Answer>,
    /// Remarks on the comparison.
    pub notes: Vec<String>,
    /// Simulations done, and how many are planned so far.
    pub simulations: (u32, u32),
    /// Whole seeds of every mechanism, and how many are planned so far.
    pub seeds: (u32, u32),
    /// What one simulation looked at closely has told.
    pub in_depth: Option<Arc<InDepthAnswer>>,
    /// The sweep that was asked for last, so far.
    pub sweep: Option<Arc<SweepAnswer>>,
    /// Why what a view has asked for can't be answered.
    pub refusal: Option<String>,
}

impl Snapshot {
    /// This comparison with what another snapshot of the same scenario knows besides.
    #[must_use]
    pub fn with_answers_to_questions(&self, other: &Snapshot) -> Snapshot {
        let own = self.clone();
        Snapshot {
            stage: own.stage,
            answers: own.answers,
            notes: own.notes,
            simulations: own.simulations,
            seeds: own.seeds,
            ..other.clone()
        }
    }

    /// What is known of a mechanism.
    pub fn answer(&self, mechanism: Mechanism) -> Option<&Answer> {
        self.answers.iter().find(|answer| answer.mechanism == mechanism)
    }

    /// The report of a mechanism, when there is one with numbers.
    pub fn report(&self, mechanism: Mechanism) -> Option<&RunReport> {
        self.answer(mechanism)?.measured()
    }
}
