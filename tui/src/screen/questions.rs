//! What views ask the worker for besides the comparison: recordings, sweeps. Answered in the background, dropped when the scenario changes.

use super::snapshot::Snapshot;
use super::sweeping::SweepRequest;
use super::{in_depth, sweeping};
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::SimulationError;
use sim_core::workload::Workload;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A question of a view. A new one is one value here and its answer below.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// One simulation of a mechanism, with its calls told apart and its cores recorded: first a brief one, then a whole one.
    InDepth {
        /// The mechanism.
        mechanism: Mechanism,
    },
    /// All mechanisms at some values of one knob.
    Sweep(SweepRequest),
}

/// What a question is answered from.
pub struct Ground<'a> {
    /// The workload under the scenario's kernel.
    pub workload: &'a Workload,
    /// The workload as it was recorded.
    pub recorded: &'a Arc<Workload>,
    /// The settings of the scenario.
    pub settings: &'a Settings,
    /// Set when the answer is no longer wanted.
    pub cancel: &'a AtomicBool,
}

/// A question that can't be answered.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Unanswered {
    /// The simulation failed or was cancelled.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The mechanism can't run the workload.
    #[error("does not apply: {0}")]
    Inapplicable(String),
}

/// Puts an answer, or a part of it, into what is known.
pub type Put = Box<dyn FnOnce(&mut Snapshot) + Send>;

impl Question {
    /// Answers the question; `publish` is called with each part that is done.
    ///
    /// # Errors
    /// A simulation that failed or was cancelled, and a mechanism that does not apply.
    pub fn answer(&self, ground: &Ground, publish: &(dyn Fn(Put) + Sync)) -> Result<(), Unanswered> {
        match self {
            Question::InDepth { mechanism } => {
                for brief in [true, false] {
                    let answer = Arc::new(in_depth::look(ground, *mechanism, brief)?);
                    publish(Box::new(move |snapshot| snapshot.in_depth = Some(answer)));
                }
            }
            Question::Sweep(request) => sweeping::carry_out(ground, request, publish),
        }
        Ok(())
    }
}
