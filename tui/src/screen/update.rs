//! The one function that changes the state.

use super::action::{Action, Asking, Effect, Message, ViewAction};
use super::draw::{self, Spot};
use super::export;
use super::knobs::{KNOBS, one_line};
use super::scenario::Scenario;
use super::snapshot::{Snapshot, Stage};
use super::state::{Pane, Pinned, Prompt, State, UNDO_MOST};
use super::text::scroll;
use super::view::Scene;
use std::path::PathBuf;
use std::sync::Arc;

/// Changes the state; returns what is to be done outside.
pub fn update(state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::Quit => return vec![Effect::Quit],
        Action::Help => state.help_from = Some(0),
        Action::Dismiss => dismiss(state),
        Action::Turn(by) => {
            let count = state.views.len() as isize;
            return show(state, (state.shown as isize + by).rem_euclid(count) as usize);
        }
        Action::Show(index) => return show(state, index),
        Action::SwitchPane => {
            state.situation.pane = if state.situation.pane == Pane::Knobs { Pane::Answers } else { Pane::Knobs };
        }
        Action::Choose(by) => return choose(state, by),
        Action::Step(by) => return step(state, by),
        Action::EnterValue => ask(state, Asking::Value),
        Action::Ask(asking) => ask(state, asking),
        Action::Type(character) => {
            state.prompt.iter_mut().for_each(|prompt| prompt.text.push(character));
            filter_as_typed(state);
        }
        Action::Erase => {
            if let Some(prompt) = &mut state.prompt {
                prompt.text.pop();
            }
            filter_as_typed(state);
        }
        Action::Accept => return accept(state),
        Action::Undo => return travel(state, true),
        Action::Redo => return travel(state, false),
        Action::Pin => pin(state),
        Action::Swap => return swap(state),
        Action::Command => {
            return vec![Effect::Copy(state.situation.resolved.command.clone())];
        }
        Action::Theme => {
            state.situation.theme = state.situation.theme.next();
            let name = state.situation.theme.name.name();
            state.message = Some(Message::done(format!("theme: {name}")));
        }
        Action::View(action) if state.help_from.is_some() => scroll_help(state, action),
        Action::View(ViewAction::Back) if state.message.is_some() || !state.view().is_inside() => dismiss(state),
        Action::View(action) => return with_view(state, |view, scene| view.update(action, scene)),
        Action::Resize(columns, rows) => state.situation.size = (columns, rows),
        Action::Click(column, row) => return click(state, column, row),
        Action::Wheel(column, row, by) => return wheel(state, column, row, by),
        Action::Tick => return with_view(state, |view, scene| view.tick(scene)),
        Action::Arrived(snapshot) => arrived(state, snapshot),
        Action::Loaded(scenario) => return change(state, *scenario),
        Action::Told(message) => state.message = Some(message),
    }
    Vec::new()
}

fn with_view(state: &mut State, act: impl FnOnce(&mut dyn super::view::View, &Scene) -> Vec<Effect>) -> Vec<Effect> {
    let scene = Scene::of(&state.situation);
    act(state.views[state.shown].as_mut(), &scene)
}

fn dismiss(state: &mut State) {
    if state.help_from.take().is_some() || state.message.take().is_some() {
        return;
    }
    match state.prompt.take() {
        // the filter acts while it is typed
        Some(Prompt { asking: Asking::Filter, .. }) | None => state.situation.filter.clear(),
        Some(_) => {}
    }
}

fn show(state: &mut State, index: usize) -> Vec<Effect> {
    if index >= state.views.len() || index == state.shown {
        return Vec::new();
    }
    state.shown = index;
    with_view(state, |view, scene| view.shown(scene))
}

fn choose(state: &mut State, by: isize) -> Vec<Effect> {
    choose_knob(state, (state.knob as isize + by).rem_euclid(KNOBS.len() as isize) as usize)
}

fn choose_knob(state: &mut State, knob: usize) -> Vec<Effect> {
    if std::mem::replace(&mut state.knob, knob) == knob { Vec::new() } else { vec![Effect::LookAhead] }
}

fn step(state: &mut State, by: isize) -> Vec<Effect> {
    let knob = &KNOBS[state.knob];
    match knob.stepped(&state.situation, by) {
        Some(value) => turn(state, &value),
        None => {
            let text = format!("{}: {} is the last step; Enter types another value", knob.name, knob.shown(&state.situation));
            state.message = Some(Message::done(text));
            Vec::new()
        }
    }
}

/// Sets the chosen knob.
fn turn(state: &mut State, value: &str) -> Vec<Effect> {
    match KNOBS[state.knob].turned(&state.situation, value) {
        Ok(scenario) => change(state, scenario),
        Err(problem) => {
            state.message = Some(Message::error(problem));
            Vec::new()
        }
    }
}

/// Another scenario, which can be taken back. One that can't be used changes nothing but the message.
fn change(state: &mut State, scenario: Scenario) -> Vec<Effect> {
    let before = state.situation.scenario.clone();
    match take_up(state, scenario) {
        Ok(effects) => {
            state.undo.push(before);
            let surplus = state.undo.len().saturating_sub(UNDO_MOST);
            state.undo.drain(..surplus);
            state.redo.clear();
            effects
        }
        Err(message) => {
            state.message = Some(message);
            Vec::new()
        }
    }
}

/// Makes a scenario the present one.
fn take_up(state: &mut State, scenario: Scenario) -> Result<Vec<Effect>, Message> {
    let resolved = scenario.resolve().map_err(|error| {
        let help = error.help.map_or(String::new(), |help| format!(" ({help})"));
        Message::error(one_line(&format!("{}{help}", error.problem)))
    })?;
    let same = resolved.command == state.situation.resolved.command;
    state.situation.scenario = scenario;
    state.situation.resolved = resolved;
    state.message = None;
    let mut effects = Vec::new();
    if !same {
        state.generation += 1;
        let known = state.answered.get(&state.situation.resolved.command);
        state.situation.snapshot = match known {
            Some(snapshot) => Arc::new(Snapshot { generation: state.generation, ..(*snapshot).clone() }),
            None => Arc::new(Snapshot { generation: state.generation, ..Snapshot::default() }),
        };
        effects.push(Effect::Simulate);
    }
    effects.extend(with_view(state, |view, scene| view.shown(scene)));
    Ok(effects)
}

/// Undo and redo.
fn travel(state: &mut State, back: bool) -> Vec<Effect> {
    let (from, to) = if back { (&mut state.undo, &mut state.redo) } else { (&mut state.redo, &mut state.undo) };
    let Some(scenario) = from.pop() else {
        state.message = Some(Message::done(if back { "nothing to undo" } else { "nothing to redo" }));
        return Vec::new();
    };
    to.push(state.situation.scenario.clone());
    take_up(state, scenario).unwrap_or_else(|message| {
        // the file that the scenario was read from has changed since
        state.message = Some(message);
        Vec::new()
    })
}

fn pin(state: &mut State) {
    let situation = &mut state.situation;
    if situation.pinned.as_ref().is_some_and(|pinned| pinned.resolved.command == situation.resolved.command) {
        situation.pinned = None;
        state.message = Some(Message::done("unpinned"));
        return;
    }
    situation.pinned = Some(Pinned {
        scenario: situation.scenario.clone(),
        resolved: situation.resolved.clone(),
        snapshot: Arc::clone(&situation.snapshot),
    });
    state.message = Some(Message::done("pinned: turn a knob to see differences from this scenario"));
}

fn swap(state: &mut State) -> Vec<Effect> {
    let situation = &mut state.situation;
    let Some(pinned) = situation.pinned.take() else {
        state.message = Some(Message::done("nothing is pinned"));
        return Vec::new();
    };
    situation.pinned = Some(Pinned {
        scenario: situation.scenario.clone(),
        resolved: situation.resolved.clone(),
        snapshot: Arc::clone(&situation.snapshot),
    });
    change(state, pinned.scenario)
}

/// Takes up what the worker knows, unless the scenario has changed since.
fn arrived(state: &mut State, snapshot: Arc<Snapshot>) {
    if snapshot.generation != state.generation {
        return;
    }
    let situation = &mut state.situation;
    if snapshot.stage == Stage::Final {
        // a simulation looked at closely can be large, and is made again in a moment
        let kept = Snapshot { in_depth: None, ..(*snapshot).clone() };
        state.answered.keep(&situation.resolved.command, Arc::new(kept));
    }
    // a complete answer from before is not simulated again: only what views have asked for is new
    let keeps =
        situation.snapshot.stage == Stage::Final && matches!(snapshot.stage, Stage::Waiting | Stage::Preview | Stage::Refining);
    let shown = if keeps { Arc::new(situation.snapshot.with_answers_to_questions(&snapshot)) } else { snapshot };
    if let Some(pinned) = situation.pinned.as_mut().filter(|pinned| pinned.resolved.command == situation.resolved.command) {
        pinned.snapshot = Arc::clone(&shown);
    }
    situation.snapshot = shown;
}

fn ask(state: &mut State, asking: Asking) {
    let text = match asking {
        Asking::Value => KNOBS[state.knob].value(&state.situation),
        Asking::Filter => state.situation.filter.clone(),
        Asking::Save | Asking::Load => state.situation.scenario.file_name().display().to_string(),
        Asking::Export => format!("{}.csv", state.view().name().to_lowercase()),
    };
    state.message = None;
    state.prompt = Some(Prompt { asking, text });
}

fn filter_as_typed(state: &mut State) {
    if let Some(Prompt { asking: Asking::Filter, text }) = &state.prompt {
        state.situation.filter.clone_from(text);
    }
}

fn accept(state: &mut State) -> Vec<Effect> {
    let Some(Prompt { asking, text }) = state.prompt.take() else { return Vec::new() };
    let file = PathBuf::from(text.trim());
    let result = match asking {
        Asking::Filter => return Vec::new(),
        Asking::Value => return turn(state, &text),
        Asking::Load => return vec![Effect::Load(file)],
        Asking::Save => state.situation.scenario.to_ron(&state.situation.resolved),
        Asking::Export => export::content(&file, state.view(), &state.scene()).map_err(|error| error.to_string()),
    };
    match result {
        Ok(content) => vec![Effect::Write { file, content }],
        Err(problem) => {
            state.message = Some(Message::error(one_line(&problem)));
            Vec::new()
        }
    }
}

fn scroll_help(state: &mut State, action: ViewAction) {
    let lines = draw::help_length(state);
    let rows = state.situation.size.1;
    state.help_from = state.help_from.map(|from| scroll(from, action, lines, rows));
}

fn click(state: &mut State, column: u16, row: u16) -> Vec<Effect> {
    match draw::spot(state, column, row) {
        Spot::Tab(index) => show(state, index),
        Spot::Knob(index) => {
            state.situation.pane = Pane::Knobs;
            choose_knob(state, index)
        }
        Spot::View(column, row) => {
            state.situation.pane = Pane::Answers;
            with_view(state, |view, scene| view.click(column, row, scene))
        }
        Spot::Nothing => Vec::new(),
    }
}

fn wheel(state: &mut State, column: u16, row: u16, by: isize) -> Vec<Effect> {
    match draw::spot(state, column, row) {
        Spot::Knob(index) if index == state.knob => step(state, -by),
        Spot::Knob(_) => choose(state, by),
        Spot::View(..) => {
            let action = if by > 0 { ViewAction::Down } else { ViewAction::Up };
            with_view(state, |view, scene| view.update(action, scene))
        }
        Spot::Tab(_) | Spot::Nothing => Vec::new(),
    }
}
