//! Scripted keys on a state without a terminal or a worker, and the picture as text.

use super::action::{Action, Effect};
use super::draw::draw;
use super::keys::{self, Key};
use super::scenario::Scenario;
use super::snapshot::{Answer, Snapshot, Stage};
use super::state::State;
use super::theme::{Theme, ThemeName};
use super::update::update;
use crate::args::ExperimentOptions;
use mechanisms::registry::{ALL, Mechanism};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use sim_core::report::{Estimate, GainParts, RunReport};
use std::sync::Arc;

/// A state at the beginning, of a size, in monochrome.
pub fn state(columns: u16, rows: u16) -> State {
    themed(columns, rows, Theme::new(ThemeName::Monochrome, false))
}

/// The same with a theme.
pub fn themed(columns: u16, rows: u16, theme: Theme) -> State {
    let scenario =
        Scenario { workload: "memcached".into(), experiment: ExperimentOptions::default(), focus: Mechanism::ExceptionLess };
    State::new(scenario, theme, (columns, rows)).expect("the defaults are valid")
}

/// Presses keys one after the other; returns what was asked for.
pub fn press(state: &mut State, keys: &[Key]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for key in keys {
        if let Some(action) = keys::dispatch(state, *key) {
            effects.extend(update(state, action));
        }
    }
    effects
}

/// Types a text.
pub fn type_text(state: &mut State, text: &str) {
    let keys: Vec<Key> = text.chars().map(Key::Char).collect();
    press(state, &keys);
}

/// The screen as text, one line a row, without spaces at the ends.
pub fn screen(state: &State) -> String {
    let (columns, rows) = state.situation.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a test's terminal is always there");
    terminal.draw(|frame| draw(frame, state)).expect("a test's terminal can be drawn on");
    let buffer = terminal.backend().buffer().clone();
    let row = |y: u16| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..rows).map(row).collect::<Vec<_>>().join("\n")
}

/// A report with made-up numbers.
pub fn report(mechanism: &str, throughput_rps: f64, half_width: f64) -> RunReport {
    let mut report = RunReport {
        workload: "memcached".into(),
        mechanism: mechanism.into(),
        cores: 1,
        connections: 64,
        reps: 4,
        requests: 4_000,
        why: format!("{mechanism} has its reasons"),
        throughput_rps: Estimate {
            mean: throughput_rps,
            low: throughput_rps - half_width,
            high: throughput_rps + half_width,
            n: 4,
        },
        speedup_vs_sync: Some(Estimate {
            mean: throughput_rps / 100_000.0,
            low: throughput_rps / 100_500.0,
            high: throughput_rps / 99_500.0,
            n: 4,
        }),
        gain_parts: Some(GainParts { order_cycles: 2_500.0, removed_cycles: -310.0, crossing_cycles: 270.0, idle_cycles: 0.0 }),
        ..RunReport::default()
    };
    report.latency_us.p50 = 6.4e7 / throughput_rps;
    report.latency_us.p99 = 7.0e7 / throughput_rps;
    report.modes.user.cpi = 1.4;
    report.modes.kernel.cpi = 1.56;
    report.per_request.crossings = 2.52;
    report.per_request.direct_cycles = 423.0;
    report.per_request.indirect_cycles = 3_351.0;
    report.per_request.mechanism_cycles = 0.0;
    report.batch.mean = 1.0;
    let components = [
        ("user.base", 4_000.0),
        ("user.fetch_l2", 1_500.0),
        ("kernel.base", 9_000.0),
        ("kernel.data_l3", 6_000.0),
        ("crossing.entry", 400.0),
        ("mechanism.base", 200.0),
        ("idle", 2_000.0),
    ];
    report.cycle_stack.components =
        components.map(|(name, cycles)| (name.to_owned(), cycles * 100_000.0 / throughput_rps)).to_vec();
    report
}

/// Complete answers with the hard cases: an interval, a brief run, a mechanism that does not apply, one that failed, one not known yet.
pub fn snapshot(generation: u64) -> Arc<Snapshot> {
    let known = |mechanism: Mechanism, rate: f64, preview| Answer {
        report: Some(Arc::new(report(mechanism.name(), rate, 1_500.0))),
        preview,
        seeds: if preview { 0 } else { 4 },
        ..Answer::waiting(mechanism)
    };
    let base = report("sync", 100_000.0, 0.0);
    let inapplicable = RunReport::not_applicable(&base, "in-kernel-dsl", "a program without requests");
    let answers = vec![
        known(Mechanism::Sync, 100_000.0, false),
        known(Mechanism::ExceptionLess, 128_725.0, false),
        known(Mechanism::BatchedScript, 96_500.0, true),
        Answer { report: Some(Arc::new(inapplicable)), ..Answer::waiting(Mechanism::InKernelDsl) },
        Answer {
            failure: Some("the simulation stands still at cycle 7 with 3 requests outstanding".into()),
            ..Answer::waiting(Mechanism::ElevatedShortcut)
        },
    ];
    assert_eq!(answers.len(), ALL.len());
    let notes = vec!["exception-less: the link is the limit, not the server".to_owned()];
    Arc::new(Snapshot {
        generation,
        stage: Stage::Refining,
        answers,
        notes,
        simulations: (12, 30),
        seeds: (2, 4),
        ..Snapshot::default()
    })
}

/// A state that knows [`snapshot`].
pub fn informed(columns: u16, rows: u16) -> State {
    let mut state = state(columns, rows);
    let generation = state.generation;
    update(&mut state, Action::Arrived(snapshot(generation)));
    state
}
