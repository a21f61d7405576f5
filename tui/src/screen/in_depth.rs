//! One simulation of a mechanism looked at closely: its calls told apart in the evictor ledger, its cores recorded. Slower to keep than
//! a report, so it is made for one mechanism when a view asks for it.

use super::questions::{Ground, Unanswered};
use super::views::timeline::events::Events;
use cpu_model::VictimLedger;
use mechanisms::refinement::BRIEF_ACCESSES;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::simulate_in_depth;
use mechanisms::variants::Way;
use os_model::timeline::Span;
use sim_core::context::Agent;
use std::collections::BTreeMap;
use traces::kernel_functions::{self, FunctionUse};

/// Part of the measured window that is recorded, in microseconds: that of `ringscope run --timeline`.
const RECORDED_US: u64 = 2_000;

/// What one simulation has told, looked at closely.
#[derive(Debug)]
pub struct InDepthAnswer {
    /// The mechanism.
    pub mechanism: Mechanism,
    /// The mechanism with its variant, as it ran.
    pub label: String,
    /// Its measured requests.
    pub requests: u64,
    /// The seed.
    pub seed: u64,
    /// It is of a brief run: less warm-up and fewer requests than asked for.
    pub brief: bool,
    /// Whose code missed which lines, and who had pushed them out, over the whole measured window.
    pub victims: Vec<VictimLedger>,
    /// Kernel functions of the agents, from the recording.
    pub functions: BTreeMap<Agent, Vec<FunctionUse>>,
    /// What happened on the cores in the beginning of the measured window.
    pub events: Events,
    /// Clock of the cores.
    pub frequency_mhz: u32,
}

/// Simulates the first seed of a scenario with a mechanism, briefly or as a whole.
///
/// # Errors
/// The mechanism does not apply, or the simulation failed or was cancelled.
pub fn look(ground: &Ground, mechanism: Mechanism, brief: bool) -> Result<InDepthAnswer, Unanswered> {
    let way = Way::from(mechanism).resolved(ground.workload, &ground.settings.mechanism);
    if let Some(reason) = way.inapplicable(ground.workload, &ground.settings.mechanism) {
        return Err(Unanswered::Inapplicable(reason));
    }
    let mut settings = ground.settings.clone();
    way.apply(&mut settings.mechanism);
    let frequency_mhz = settings.machine.frequency_mhz;
    let span = Span { start: 0, end: RECORDED_US * u64::from(frequency_mhz) };
    let seed = settings.run.seed;
    let found =
        simulate_in_depth(ground.workload, &settings, mechanism, seed, span, brief.then_some(BRIEF_ACCESSES), ground.cancel)?;
    let agents = found.victims.iter().map(|own| own.victim);
    let functions = agents.map(|agent| (agent, kernel_functions::of_agent(ground.workload, agent)));
    Ok(InDepthAnswer {
        mechanism,
        label: way.name(),
        requests: found.sample.replies,
        seed,
        brief,
        functions: functions.filter(|(_, functions)| !functions.is_empty()).collect(),
        victims: found.victims,
        events: Events::of(found.timeline),
        frequency_mhz,
    })
}
