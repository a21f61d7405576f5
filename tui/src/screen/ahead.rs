//! What is looked at before it is asked for: the scenarios one step of the chosen knob away, which the next key most likely leads to.

use super::knobs::{KNOBS, Target};
use super::scenario::{Resolved, Scenario};
use super::snapshot::Stage;
use super::state::State;
use super::worker::Request;

/// The present scenario.
pub fn present(state: &State) -> Request {
    let situation = &state.situation;
    let is_known = situation.snapshot.stage == Stage::Final;
    Request { is_known, ..request(state, situation.scenario.clone(), &situation.resolved) }
}

/// The scenarios one step of the chosen knob away of which nothing is known. None for workloads: reading one takes longer than a look
/// at it.
pub fn neighbours(state: &State) -> Vec<Request> {
    let (situation, knob) = (&state.situation, &KNOBS[state.knob]);
    if knob.target == Target::Workload {
        return Vec::new();
    }
    let mut requests: Vec<Request> = Vec::new();
    for by in [1, -1] {
        let scenario = knob.stepped(situation, by).and_then(|value| knob.turned(situation, &value).ok());
        let Some((scenario, resolved)) = scenario.and_then(|scenario| Some((scenario.clone(), scenario.resolve().ok()?))) else {
            continue;
        };
        let is_new = |command: &str| requests.iter().all(|known| known.command != command) && !state.answered.has(command);
        if resolved.command != situation.resolved.command && is_new(&resolved.command) {
            requests.push(request(state, scenario, &resolved));
        }
    }
    requests
}

fn request(state: &State, scenario: Scenario, resolved: &Resolved) -> Request {
    Request {
        generation: state.generation,
        scenario,
        settings: resolved.settings().clone(),
        command: resolved.command.clone(),
        is_known: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::{Action, Effect};
    use super::super::snapshot::Snapshot;
    use super::super::testing::state;
    use super::super::update::update;
    use super::*;
    use std::sync::Arc;

    fn choose(state: &mut State, name: &str) {
        let by = KNOBS.iter().position(|knob| knob.name == name).unwrap() as isize - state.knob as isize;
        assert!(matches!(update(state, Action::Choose(by))[..], [Effect::LookAhead]));
    }

    #[test]
    fn the_next_values_up_and_down_are_expected() {
        let mut state = state(120, 40);
        assert!(neighbours(&state).is_empty(), "workloads are not read ahead");
        choose(&mut state, "connections");
        let connections =
            |state: &State| -> Vec<u32> { neighbours(state).iter().map(|next| next.settings.run.connections).collect() };
        assert_eq!(connections(&state), [128, 32]);
        assert_eq!(present(&state).settings.run.connections, 64);
        let known = neighbours(&state).remove(0).command;
        state.answered.keep(&known, Arc::new(Snapshot::default()));
        assert_eq!(connections(&state), [32], "what is known is not expected");
        choose(&mut state, "mitigations");
        assert_eq!(neighbours(&state).len(), 1, "up and down lead to the same value");
        choose(&mut state, "mechanism");
        assert!(neighbours(&state).is_empty(), "another focus is no other comparison");
    }
}
