//! What views ask the worker for besides the comparison: recordings, sweeps. Answered in the background, dropped when the scenario changes.

use super::snapshot::Snapshot;
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{SimulationError, simulate_recorded_until};
use mechanisms::variants::Way;
use os_model::timeline::{Span, Timeline};
use sim_core::workload::Workload;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A question of a view. A new one is one value here and its answer below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// What the cores do in a part of the measured window of the first seed.
    Timeline {
        /// The mechanism.
        mechanism: Mechanism,
        /// First microsecond, and one past the last.
        window_us: (u64, u64),
    },
}

/// What a question is answered from.
pub struct Ground<'a> {
    /// The workload under the scenario's kernel.
    pub workload: &'a Workload,
    /// The settings of the scenario.
    pub settings: &'a Settings,
    /// Set when the answer is no longer wanted.
    pub cancel: &'a AtomicBool,
}

/// A recorded timeline.
#[derive(Debug)]
pub struct RecordedTimeline {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The mechanism with its variant, as it ran.
    pub label: String,
    /// What the cores did.
    pub timeline: Timeline,
    /// Clock of the cores, for times.
    pub frequency_mhz: u32,
    /// Cores of the server.
    pub cores: u32,
}

/// Puts an answer, or a part of it, into what is known.
pub type Put = Box<dyn FnOnce(&mut Snapshot) + Send>;

impl Question {
    /// Answers the question; `publish` is called with each part that is done.
    ///
    /// # Errors
    /// A simulation that failed or was cancelled.
    pub fn answer(&self, ground: &Ground, publish: &dyn Fn(Put)) -> Result<(), SimulationError> {
        match self {
            Question::Timeline { mechanism, window_us } => {
                let recorded = Arc::new(record(ground, *mechanism, *window_us)?);
                publish(Box::new(move |snapshot| snapshot.timeline = Some(recorded)));
            }
        }
        Ok(())
    }
}

fn record(ground: &Ground, mechanism: Mechanism, window_us: (u64, u64)) -> Result<RecordedTimeline, SimulationError> {
    let way = Way::from(mechanism).resolved(ground.workload, &ground.settings.mechanism);
    let mut settings = ground.settings.clone();
    way.apply(&mut settings.mechanism);
    let cycles = |microseconds: u64| microseconds * u64::from(settings.machine.frequency_mhz);
    let span = Span { start: cycles(window_us.0), end: cycles(window_us.1) };
    let seed = settings.run.seed;
    let (_, timeline) = simulate_recorded_until(ground.workload, &settings, mechanism, seed, span, ground.cancel)?;
    let label = way.name();
    Ok(RecordedTimeline { mechanism, label, timeline, frequency_mhz: settings.machine.frequency_mhz, cores: settings.run.cores })
}
