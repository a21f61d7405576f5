//! The screen as pictures, and what keys do to the state.

use super::action::{Action, Effect, ViewAction};
use super::draw::{Spot, spot};
use super::export;
use super::keys::{CTRL_R, Key, Scope, TABLE};
use super::knobs::{KNOBS, Target};
use super::snapshot::{Snapshot, Stage};
use super::state::{Pane, State};
use super::testing::{informed, press, report, screen, snapshot, state, themed, type_text};
use super::theme::{Theme, ThemeName};
use super::update::update;
use super::view::REGISTRY;
use Key::{Char, Enter, Esc, Tab};
use mechanisms::registry::Mechanism;
use std::path::Path;
use std::sync::Arc;

fn choose(state: &mut State, name: &str) {
    state.knob = KNOBS.iter().position(|knob| knob.name == name).unwrap_or_else(|| panic!("no knob {name}"));
}

fn simulates(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Simulate))
}

/// A state with the first two views only: the tabs in its pictures do not change with other views.
fn framed(mut state: State) -> State {
    state.views.truncate(2);
    state
}

/// Turns connections up, after the present scenario was pinned, and lets other answers arrive.
fn pinned(columns: u16, rows: u16) -> State {
    let mut state = informed(columns, rows);
    press(&mut state, &[Char('p')]);
    choose(&mut state, "connections");
    press(&mut state, &[Char('+')]);
    let mut other = (*snapshot(state.generation)).clone();
    for (answer, factor) in other.answers.iter_mut().zip([1.1, 0.9, 1.0]) {
        let rate = report("sync", 100_000.0, 0.0).throughput_rps.mean * factor;
        answer.report = Some(Arc::new(report(answer.mechanism.name(), rate, 900.0)));
    }
    update(&mut state, Action::Arrived(Arc::new(other)));
    state
}

#[test]
fn differences_from_the_pinned_scenario_wait_for_whole_runs() {
    let mut state = pinned(120, 36);
    let now = |state: &State| state.situation.pinned_report(Mechanism::Sync).is_some();
    assert!(now(&state));
    let mut brief = (*state.situation.snapshot).clone();
    brief.answers.iter_mut().for_each(|answer| answer.preview = true);
    update(&mut state, Action::Arrived(Arc::new(brief)));
    assert!(!now(&state), "a brief run beside a whole one");
    press(&mut state, &[Char('p')]);
    assert!(now(&state), "both are brief");
}

#[test]
fn compare_at_all_sizes() {
    for (columns, rows) in [(60, 18), (80, 24), (200, 60)] {
        let mut state = framed(informed(columns, rows));
        state.situation.pane = Pane::Answers;
        insta::assert_snapshot!(format!("compare_{columns}x{rows}"), screen(&state));
    }
    let mut state = framed(informed(120, 36));
    press(&mut state, &[Char('m')]);
    insta::assert_snapshot!("compare_in_words", screen(&state));
    insta::assert_snapshot!("compare_pinned", screen(&framed(pinned(120, 36))));
    insta::assert_snapshot!("compare_waiting", screen(&framed(super::testing::state(80, 24))));
}

#[test]
fn cycles_at_all_sizes() {
    for (columns, rows) in [(60, 18), (80, 24), (200, 60)] {
        let mut state = framed(informed(columns, rows));
        press(&mut state, &[Tab]);
        state.situation.pane = Pane::Answers;
        insta::assert_snapshot!(format!("cycles_{columns}x{rows}"), screen(&state));
    }
    let mut state = framed(pinned(100, 30));
    press(&mut state, &[Char('2'), Char('m')]);
    insta::assert_snapshot!("cycles_shares_pinned", screen(&state));
}

#[test]
fn ascii_has_no_other_character() {
    let mut state = framed(themed(80, 24, Theme::new(ThemeName::Monochrome, true)));
    let generation = state.generation;
    update(&mut state, Action::Arrived(snapshot(generation)));
    for _ in 0..2 {
        let text = screen(&state);
        assert!(text.is_ascii(), "{text}");
        press(&mut state, &[Tab]);
    }
    insta::assert_snapshot!("ascii", screen(&state));
}

#[test]
fn help_prompt_and_small_windows() {
    let mut state = framed(informed(80, 24));
    press(&mut state, &[Char('?')]);
    let mut help = screen(&state);
    while screen(&state).contains(" lines above") && !screen(&state).contains(" 0 below") {
        press(&mut state, &[Key::PageDown]);
        help.push_str(&screen(&state));
    }
    let shown = |scope: Scope| matches!(scope, Scope::View(name) if name != "Compare");
    for binding in TABLE.iter().filter(|binding| !shown(binding.scope)) {
        let words: String = binding.help.chars().take(30).collect();
        assert!(help.contains(&words), "{words}:\n{help}");
    }
    press(&mut state, &[Esc, Enter]);
    insta::assert_snapshot!("prompt", screen(&state));
    press(&mut state, &[Esc]);
    for size in [(59, 18), (60, 17), (20, 5), (1, 1)] {
        update(&mut state, Action::Resize(size.0, size.1));
        assert!(!screen(&state).contains("Compare"), "{size:?}");
    }
    update(&mut state, Action::Resize(40, 5));
    insta::assert_snapshot!("too_small", screen(&state));
    update(&mut state, Action::Resize(60, 18));
    insta::assert_snapshot!("knobs_60x18", screen(&state));
}

/// No size and no view breaks the picture: nothing panics, and the title stays where it is.
#[test]
fn every_view_draws_at_every_size() {
    let mut state = pinned(60, 18);
    for shown in 0..state.views.len() {
        state.shown = shown;
        for pane in [Pane::Knobs, Pane::Answers] {
            state.situation.pane = pane;
            for columns in [60, 61, 79, 80, 81, 109, 110, 200] {
                for rows in [18, 19, 24, 60] {
                    update(&mut state, Action::Resize(columns, rows));
                    assert!(screen(&state).starts_with("memcached"), "{columns}x{rows}");
                }
            }
        }
    }
}

#[test]
fn the_key_table_is_sound() {
    let names: Vec<&str> = REGISTRY.iter().map(|make| make().name()).collect();
    for (index, binding) in TABLE.iter().enumerate() {
        assert!(!binding.keys.is_empty() && !binding.help.is_empty());
        if let Scope::View(name) = binding.scope {
            assert!(names.contains(&name), "no view is called {name}");
        }
        for other in &TABLE[..index] {
            let doubled = binding.keys.iter().find(|key| other.keys.contains(key)).filter(|_| other.scope == binding.scope);
            assert!(doubled.is_none(), "{doubled:?} stands twice in {:?}", binding.scope);
        }
    }
}

#[test]
fn every_knob_turns_there_and_back() {
    for (index, knob) in KNOBS.iter().enumerate() {
        let mut state = state(80, 24);
        state.knob = index;
        let before = knob.value(&state.situation);
        assert!(!before.is_empty(), "{} has a value", knob.name);
        press(&mut state, &[Char('+')]);
        let after = knob.value(&state.situation);
        assert_ne!(after, before, "{}: {:?}", knob.name, state.message);
        press(&mut state, &[Char('u')]);
        assert_eq!(knob.value(&state.situation), before, "{}", knob.name);
        press(&mut state, &[CTRL_R]);
        assert_eq!(knob.value(&state.situation), after, "{}", knob.name);
    }
}

#[test]
fn values_can_be_typed_and_what_is_wrong_is_said() {
    let mut state = state(80, 24);
    choose(&mut state, "connections");
    press(&mut state, &[Enter]);
    assert_eq!(state.prompt.as_ref().unwrap().text, "64");
    press(&mut state, &[Key::Backspace, Key::Backspace]);
    type_text(&mut state, "768");
    assert!(simulates(&press(&mut state, &[Enter])));
    assert_eq!(state.situation.resolved.settings().run.connections, 768);
    for (knob, value, words) in [
        ("connections", "99999", "must lie in 1..=16384"),
        ("connections", "many", "no whole number"),
        ("cores", "9", "9 cores asked for, but machine `nehalem` has 1 to 8"),
        ("machine", "cray", "no machine is called `cray`"),
        ("L2 KiB", "0", "l2"),
        ("mitigations", "some", "known: off, default"),
        ("rate", "-1", "no number from 0"),
        ("mechanism", "magic", "unknown mechanism 'magic'"),
    ] {
        choose(&mut state, knob);
        let generation = state.generation;
        press(&mut state, &[Enter]);
        state.prompt.as_mut().unwrap().text.clear();
        type_text(&mut state, value);
        assert!(press(&mut state, &[Enter]).is_empty(), "{knob}");
        let message = state.message.clone().unwrap_or_else(|| panic!("{knob} {value}"));
        assert!(message.is_error && message.text.contains(words), "{knob}: {}", message.text);
        assert_eq!(state.generation, generation);
    }
}

#[test]
fn knobs_become_the_command() {
    let mut state = state(80, 24);
    for (knob, steps) in [("cores", 1), ("mitigations", 1), ("L2 KiB", 1), ("rate", 2), ("variant", 1)] {
        choose(&mut state, knob);
        update(&mut state, Action::Step(steps));
    }
    assert_eq!(
        state.situation.resolved.command,
        "ringscope compare memcached --cores 2 --rate 1024 --set kernel.mitigations=default \
         --set machine.l2.size_kib=512 --set mechanism.exception_less.variant=queues"
    );
    // clients as recorded wait for replies: a rate is refused for them
    choose(&mut state, "client");
    assert!(press(&mut state, &[Char('+')]).is_empty());
    assert!(state.message.as_ref().is_some_and(|message| message.is_error), "{:?}", state.message);
    // a cache's size belonged to the machine that was left
    choose(&mut state, "machine");
    press(&mut state, &[Char('+')]);
    assert!(!state.situation.resolved.command.contains("l2"), "{}", state.situation.resolved.command);
    choose(&mut state, "rate");
    update(&mut state, Action::Step(-2));
    assert!(!state.situation.resolved.command.contains("--rate"), "{}", state.situation.resolved.command);
}

#[test]
fn the_mechanism_in_focus_needs_no_new_simulation() {
    let mut state = state(80, 24);
    choose(&mut state, "mechanism");
    assert!(matches!(KNOBS[state.knob].target, Target::Focus));
    assert!(!simulates(&press(&mut state, &[Char('+')])));
    assert_eq!(state.situation.scenario.focus.name(), "batched-script");
    press(&mut state, &[Char('u')]);
    assert_eq!(state.situation.scenario.focus.name(), "exception-less");
}

#[test]
fn late_answers_are_dropped_and_complete_ones_come_back() {
    let mut state = state(80, 24);
    let complete = Arc::new(Snapshot { stage: Stage::Final, ..(*snapshot(0)).clone() });
    update(&mut state, Action::Arrived(complete));
    choose(&mut state, "cores");
    assert!(simulates(&press(&mut state, &[Char('+')])));
    assert_eq!(state.situation.snapshot.stage, Stage::Waiting);
    update(&mut state, Action::Arrived(snapshot(0)));
    assert_eq!(state.situation.snapshot.stage, Stage::Waiting, "an answer to the scenario before");
    update(&mut state, Action::Arrived(snapshot(1)));
    assert_eq!(state.situation.snapshot.stage, Stage::Refining);
    press(&mut state, &[Char('u')]);
    assert_eq!(state.situation.snapshot.stage, Stage::Final, "known from before");
    update(&mut state, Action::Arrived(snapshot(2)));
    assert_eq!(state.situation.snapshot.stage, Stage::Final, "first seeds do not replace a complete answer");
}

#[test]
fn pinning_swapping_and_filtering() {
    let mut state = pinned(120, 36);
    assert!(screen(&state).contains("+10.0 %") && screen(&state).contains("-30.1 %"));
    press(&mut state, &[Char('x')]);
    assert_eq!(state.situation.resolved.settings().run.connections, 64);
    assert_eq!(state.situation.pinned.as_ref().unwrap().resolved.settings().run.connections, 128);
    press(&mut state, &[Char('p')]);
    assert!(state.situation.pinned.as_ref().is_some_and(|pinned| pinned.resolved.command == state.situation.resolved.command));
    press(&mut state, &[Char('p')]);
    assert!(state.situation.pinned.is_none());
    let mut state = informed(120, 36);
    press(&mut state, &[Char('/')]);
    type_text(&mut state, "LESS");
    let answers = |state: &State| state.situation.answers().count();
    assert_eq!(answers(&state), 1);
    press(&mut state, &[Enter]);
    assert_eq!(answers(&state), 1);
    press(&mut state, &[Esc]);
    assert_eq!(answers(&state), 5);
}

#[test]
fn the_mouse_finds_tabs_knobs_and_the_view() {
    let mut state = informed(120, 36);
    assert_eq!(spot(&state, 14, 1), Spot::Tab(1));
    assert_eq!(spot(&state, 3, 4), Spot::Knob(2));
    assert_eq!(spot(&state, 60, 4), Spot::View(25, 2));
    assert_eq!(spot(&state, 60, 0), Spot::Nothing);
    update(&mut state, Action::Click(14, 1));
    assert_eq!(state.view().name(), "Cycles");
    update(&mut state, Action::Click(3, 9));
    assert_eq!(KNOBS[state.knob].name, "cores");
    update(&mut state, Action::Wheel(3, 9, -1));
    assert_eq!(state.situation.resolved.settings().run.cores, 2);
}

#[test]
fn what_is_saved_can_be_loaded() {
    let mut state = state(80, 24);
    for knob in ["machine", "cores", "mitigations", "L1D KiB", "workload", "mechanism"] {
        choose(&mut state, knob);
        press(&mut state, &[Char('+')]);
    }
    let folder = std::env::temp_dir().join(format!("ringscope-scenario-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    press(&mut state, &[Char('s')]);
    let file = folder.join("saved.ron");
    state.prompt.as_mut().unwrap().text = file.display().to_string();
    let effects = press(&mut state, &[Enter]);
    let [Effect::Write { file, content }] = &effects[..] else { panic!("{effects:?}") };
    std::fs::write(file, content).unwrap();
    let loaded = super::testing::state(80, 24).situation.scenario.load(file);
    let (loaded, wrong) = (loaded.unwrap(), state.situation.scenario.load(&folder.join("none.ron")).is_err());
    let settings = loaded.resolve().unwrap().settings().clone();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(&settings, state.situation.resolved.settings());
    assert_eq!((loaded.workload, loaded.focus), (state.situation.scenario.workload.clone(), state.situation.scenario.focus));
    assert!(wrong);
    assert!(content.contains("mitigations: default") && !content.contains("frequency_mhz"), "{content}");
}

#[test]
fn what_is_shown_can_be_exported() {
    let state = informed(120, 36);
    let csv = export::content(Path::new("a.csv"), state.view(), &state.scene()).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("mechanism,requests/s,requests/s low"), "{csv}");
    assert!(lines[1].starts_with("sync,100000,98500,101500,1,"), "{csv}");
    assert!(csv.contains("does not apply: a program without requests") && csv.contains("brief run"), "{csv}");
    for view in &state.views {
        let svg = export::content(Path::new("a.svg"), view.as_ref(), &state.scene()).unwrap();
        assert!(svg.trim_end().ends_with("</svg>"), "{}", view.name());
    }
    let error = export::content(Path::new("a.pdf"), state.view(), &state.scene()).unwrap_err();
    assert!(error.to_string().contains(".csv or .svg"), "{error}");
}

#[test]
fn long_views_scroll_to_their_end_and_back() {
    let mut state = informed(60, 18);
    state.situation.pane = Pane::Answers;
    let top = screen(&state);
    assert!(top.contains("lines above"), "{top}");
    press(&mut state, &[Key::End]);
    assert!(screen(&state).contains(" 0 below"), "{}", screen(&state));
    update(&mut state, Action::View(ViewAction::Home));
    assert_eq!(screen(&state), top);
}
