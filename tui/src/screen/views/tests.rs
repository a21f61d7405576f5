//! Scripted keys on the views that show one mechanism or a curve: hard cases at several sizes, and a small simulation.

use crate::screen::action::{Action, Effect};
use crate::screen::export;
use crate::screen::in_depth::{self, InDepthAnswer};
use crate::screen::keys;
use crate::screen::keys::Key::{self, Backspace, Char, Down, End, Enter, Esc, Left, Right, Up};
use crate::screen::questions::{Ground, Question};
use crate::screen::snapshot::{Answer, Snapshot, Stage};
use crate::screen::state::{Pane, State};
use crate::screen::sweeping::{Round, SweepAnswer, SweepValue, Swept};
use crate::screen::testing::{press, report, screen, state, themed, type_text};
use crate::screen::theme::{Theme, ThemeName};
use crate::screen::update::update;
use cpu_model::{LedgerRow, LedgerSummary, Structure, VictimLedger};
use mechanisms::experiment::Settings;
use mechanisms::registry::{ALL, Mechanism};
use mechanisms::variants::Way;
use os_model::timeline::Span;
use sim_core::calls::CallNumber;
use sim_core::context::Agent;
use sim_core::histogram::LatencyHistogram;
use sim_core::ids::Mode;
use sim_core::report::{CallRow, EvictorRow, RunReport};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use traces::kernel_functions::FunctionUse;
use traces::synthetic::{Shape, server};

const SIZES: [(u16, u16); 3] = [(60, 18), (80, 24), (120, 40)];

fn evictors() -> Vec<EvictorRow> {
    let row = |structure: &str, mode, evictor: &str, misses, cycles| EvictorRow {
        structure: structure.into(),
        mode,
        evictor: evictor.into(),
        misses,
        cycles,
    };
    vec![
        row("l1i", Mode::User, "never", 3, 90),
        row("l1i", Mode::User, "epoll_pwait2", 120_000, 900_000),
        row("l1i", Mode::User, "sendmsg", 48_000, 310_000),
        row("l1i", Mode::User, "same", 2_000, 9_000),
        row("l1i", Mode::Kernel, "user", 260_000, 1_500_000),
        row("l1i", Mode::Kernel, "same", 400_000, 3_100_000),
        row("l1i", Mode::Kernel, "coherence", 0, 0),
        row("l1d", Mode::User, "softirq", 900, 12_000),
    ]
}

fn calls() -> Vec<CallRow> {
    let row = |call: &str, issued_per_request, instructions_per_call, cycles_per_call| CallRow {
        call: call.into(),
        issued_per_request,
        instructions_per_call,
        cycles_per_call,
        direct_cycles_per_call: f64::NAN,
    };
    vec![
        row("read", 1.0, 2_410.0, 4_321.5),
        row("process_madvise_and_more", 0.0007, 120.0, 333.0),
        row("sendmsg", 1.0, 6_900.0, 11_020.0),
        row("epoll_wait", 0.12, 900.0, 2_000.0),
        row("getpid", 0.0, f64::NAN, f64::NAN),
    ]
}

fn latencies(scale: u64) -> LatencyHistogram {
    let mut histogram = LatencyHistogram::new();
    (0..2_000_u64)
        .for_each(|index| histogram.record(scale * (900 + (index * index) % 257 + if index % 97 == 0 { 4_000 } else { 0 })));
    histogram
}

fn measured(mechanism: Mechanism, rate: f64, scale: u64) -> Answer {
    let report = RunReport { evictors: evictors(), per_call: calls(), ..report(mechanism.name(), rate, 1_500.0) };
    Answer { report: Some(Arc::new(report)), latency: Some(Arc::new(latencies(scale))), seeds: 4, ..Answer::waiting(mechanism) }
}

/// What a simulation looked at closely told, made up; its timeline is that of a small simulation.
fn looked() -> InDepthAnswer {
    let read = Agent::call(CallNumber::READ);
    let send = Agent::call(CallNumber::from_name("sendmsg").unwrap());
    let row = |mode, evictor, misses| LedgerRow { structure: Structure::L1i, mode, evictor, misses, cycles: misses * 9 };
    let ledger = |rows: Vec<LedgerRow>| LedgerSummary { rows };
    let victims = vec![
        VictimLedger { victim: Agent::USER, ledger: ledger(vec![row(Mode::User, send, 5_000), row(Mode::User, Agent::NEVER, 2)]) },
        VictimLedger {
            victim: Agent::SOFTIRQ,
            ledger: ledger(vec![row(Mode::Kernel, Agent::USER, 800), row(Mode::Kernel, send, 640)]),
        },
        VictimLedger { victim: read, ledger: ledger(vec![row(Mode::Kernel, send, 2_500), row(Mode::Kernel, read, 1_000)]) },
        VictimLedger { victim: send, ledger: ledger(vec![row(Mode::Kernel, Agent::USER, 9_000), row(Mode::Kernel, read, 100)]) },
    ];
    let function = |name: &str, lines, instructions| FunctionUse { name: name.into(), lines, instructions };
    let functions = BTreeMap::from([
        (
            send,
            vec![function("tcp_sendmsg_locked", 31, 640.25), function("a_kernel_function_with_a_very_long_name_indeed", 12, 9.0)],
        ),
        (read, vec![function("tcp_recvmsg_locked", 22, 410.0)]),
    ]);
    let real = simulated(Mechanism::ExceptionLess);
    InDepthAnswer { requests: 1_000, victims, functions, label: "exception-less".into(), ..real }
}

fn small() -> Settings {
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    (settings.run.cores, settings.run.connections, settings.run.requests) = (2, 12, 60);
    settings
}

/// A small simulation looked at closely.
fn simulated(mechanism: Mechanism) -> InDepthAnswer {
    let (workload, settings, cancel) = (Arc::new(server(Shape::default())), small(), AtomicBool::new(false));
    let ground = Ground { workload: &workload, recorded: &workload, settings: &settings, cancel: &cancel };
    in_depth::look(&ground, mechanism, false).unwrap()
}

fn snapshot(generation: u64, in_depth: Option<InDepthAnswer>) -> Arc<Snapshot> {
    let inapplicable = RunReport::not_applicable(&report("sync", 1.0, 0.0), "in-kernel-dsl", "a program without requests");
    let answers = vec![
        measured(Mechanism::Sync, 100_000.0, 1_000),
        measured(Mechanism::ExceptionLess, 128_725.0, 640),
        Answer { preview: true, ..measured(Mechanism::BatchedScript, 96_500.0, 3_000) },
        Answer { report: Some(Arc::new(inapplicable)), ..Answer::waiting(Mechanism::InKernelDsl) },
        Answer { failure: Some("the simulation stands still at cycle 7".into()), ..Answer::waiting(Mechanism::ElevatedShortcut) },
    ];
    Arc::new(Snapshot { generation, stage: Stage::Refining, answers, in_depth: in_depth.map(Arc::new), ..Snapshot::default() })
}

fn open(state: &mut State, view: &str) {
    let index = state.views.iter().position(|own| own.name() == view).unwrap();
    update(state, Action::Show(index));
    state.situation.pane = Pane::Answers;
}

/// A state that shows a view and knows what a worker may have told.
fn at(size: (u16, u16), view: &str, in_depth: bool) -> State {
    let mut state = state(size.0, size.1);
    open(&mut state, view);
    let generation = state.generation;
    update(&mut state, Action::Arrived(snapshot(generation, in_depth.then(looked))));
    state
}

/// The same view at all sizes, and in ASCII at the smallest.
fn at_all_sizes(name: &str, view: &str, keys: &[Key]) {
    for size in SIZES {
        let mut state = at(size, view, true);
        press(&mut state, keys);
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), screen(&state));
    }
    let mut state = themed(60, 18, Theme::new(ThemeName::Dark, true));
    open(&mut state, view);
    let generation = state.generation;
    update(&mut state, Action::Arrived(snapshot(generation, Some(looked()))));
    press(&mut state, keys);
    let text = screen(&state);
    assert!(text.is_ascii(), "{name}: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{name}: {text}");
}

#[test]
fn pollution_shows_modes_calls_and_functions() {
    at_all_sizes("pollution", "Pollution", &[Down]);
    at_all_sizes("pollution_calls", "Pollution", &[Right, Enter, Right, Char('m')]);
    at_all_sizes("pollution_functions", "Pollution", &[Right, Enter, Down, Enter]);
}

#[test]
fn pollution_goes_back_level_by_level_and_then_puts_the_filter_away() {
    let mut state = at((80, 24), "Pollution", true);
    press(&mut state, &[Right, Enter, Enter, Esc]);
    assert!(screen(&state).contains("in kernel mode; Enter"));
    press(&mut state, &[Backspace, Char('/')]);
    type_text(&mut state, "send");
    press(&mut state, &[Enter]);
    let text = screen(&state);
    assert!(text.contains("sendmsg") && !text.contains("epoll_pwait2"), "{text}");
    press(&mut state, &[Esc]);
    assert!(screen(&state).contains("epoll_pwait2"));
}

#[test]
fn a_key_is_hinted_with_the_meaning_that_holds() {
    let mut state = at((120, 40), "Pollution", true);
    let hinted = |state: &State| keys::hints(state).into_iter().map(|hint| (keys::name(hint.key), hint.words)).collect::<Vec<_>>();
    let entry = |key: &str, hint| (key.to_owned(), hint);
    assert!(hinted(&state).contains(&entry("Enter", "open")) && !hinted(&state).contains(&entry("Esc", "back")));
    press(&mut state, &[Enter]);
    assert!(hinted(&state).contains(&entry("Esc", "back")));
    press(&mut state, &[Char('g')]);
    assert!(hinted(&state).contains(&entry("Enter", "type")) && !hinted(&state).contains(&entry("Enter", "open")));
    for name in ["Compare", "Cycles", "Pollution", "Latency", "Timeline", "Sweep", "Calls"] {
        for pane in [Pane::Knobs, Pane::Answers] {
            open(&mut state, name);
            state.situation.pane = pane;
            for keys::Hint { key, words: hint, .. } in keys::hints(&state) {
                let meant = keys::active(&state).find(|binding| binding.keys.contains(&key)).map(|binding| binding.hint);
                assert_eq!(meant, Some(hint), "{name}: {}", keys::name(key));
            }
        }
    }
}

#[test]
fn what_is_not_known_yet_is_asked_for_and_said() {
    let mut state = at((80, 24), "Pollution", false);
    let effects = press(&mut state, &[Enter]);
    let asked = |effect: &Effect| matches!(effect, Effect::Ask(Question::InDepth { mechanism: Mechanism::ExceptionLess }));
    assert!(effects.iter().any(asked), "{effects:?}");
    assert!(screen(&state).contains("exception-less: being simulated"));
    press(&mut state, &[Esc, Char('v'), Char('v')]);
    assert!(screen(&state).contains("in-kernel-dsl: does not apply: a program without"), "{}", screen(&state));
    press(&mut state, &[Char('v')]);
    assert!(screen(&state).contains("the simulation stands still"), "{}", screen(&state));
}

#[test]
fn pollution_shows_the_difference_from_what_is_pinned_and_exports_what_it_shows() {
    let mut state = at((120, 40), "Pollution", true);
    press(&mut state, &[Char('p')]);
    assert!(screen(&state).contains("Δ from the pinned scenario: +0"), "{}", screen(&state));
    let export = state.view().export(&state.scene());
    assert_eq!(export.columns.len(), 5);
    assert!(
        export.rows.contains(&["user", "kernel", "65.000000", "375.000000", "0.393939"].map(str::to_owned).to_vec()),
        "{:?}",
        export.rows
    );
    assert!(state.view().picture(&state.scene()).unwrap().unwrap().contains("epoll_pwait2"));
}

#[test]
fn calls_are_sorted_filtered_and_exported() {
    at_all_sizes("calls", "Calls", &[Down]);
    let mut state = at((120, 40), "Calls", true);
    let order = |state: &State| state.view().export(&state.scene()).rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>();
    assert_eq!((order(&state)[0].as_str(), order(&state)[4].as_str()), ("sendmsg", "getpid"));
    press(&mut state, &[Enter]);
    assert_eq!((order(&state)[0].as_str(), order(&state)[4].as_str()), ("process_madvise_and_more", "getpid"));
    press(&mut state, &[Left, Left, Left, Left, Enter]);
    assert_eq!(order(&state)[0], "epoll_wait", "by name");
    press(&mut state, &[Right]);
    press(&mut state, &[Char('/')]);
    type_text(&mut state, "SEND");
    press(&mut state, &[Enter]);
    let export = state.view().export(&state.scene());
    assert_eq!(export.rows.len(), 1);
    assert_eq!(export.columns[5], "l1i_misses_caused_per_request");
    // 5,000 of the program, 640 of the softirq and 2,500 of read; 9,000 by the program and 100 by read
    assert_eq!((export.rows[0][5].as_str(), export.rows[0][7].as_str()), ("8.140000", "9.100000"));
}

#[test]
fn latencies_are_drawn_as_histograms_and_curves_and_read() {
    at_all_sizes("latency", "Latency", &[]);
    at_all_sizes("latency_curves", "Latency", &[Char('n'), Right]);
    let mut state = at((80, 24), "Latency", false);
    press(&mut state, &[Char('v'), Char('v'), End]);
    let text = screen(&state);
    assert!(text.contains("exception-less") && text.contains("100.0 %") && !text.contains("batched-script  "), "{text}");
    press(&mut state, &[Esc, Char('p')]);
    let text = screen(&state);
    assert!(text.contains("p50   Δp50    p90    p99  p99.9"), "{text}");
    let rows = state.view().export(&state.scene()).rows;
    let sum: f64 = rows.iter().map(|row| row[2].parse::<f64>().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");
}

#[test]
fn the_timeline_steps_runs_and_zooms() {
    at_all_sizes("timeline", "Timeline", &[Right, Right, Right]);
    let mut state = at((120, 40), "Timeline", true);
    let at_start = screen(&state);
    press(&mut state, &[Char(' ')]);
    assert!(state.view().moves());
    (0..40).for_each(|_| drop(update(&mut state, Action::Tick)));
    let later = screen(&state);
    assert!(later.contains("running") && later != at_start);
    press(&mut state, &[Char(' '), Char('z'), Char('z')]);
    assert!(!state.view().moves() && screen(&state).contains("paused"));
    press(&mut state, &[End, Char(' ')]);
    update(&mut state, Action::Tick);
    assert!(!state.view().moves(), "the end of the recording stops it");
    let rows = state.view().export(&state.scene()).rows;
    assert!(rows.iter().any(|row| row[3] == "softirq") && rows.iter().any(|row| row[0] == "1"));
}

fn swept() -> SweepAnswer {
    let point = |value: usize, way: usize| match (value, way) {
        (_, 3) => {
            let report = RunReport::not_applicable(&RunReport::default(), "in-kernel-dsl", "a program without requests");
            Some(Ok(Swept { report: Arc::new(report), brief: false }))
        }
        (2, 4) => Some(Err("exception-less needs two cores".to_owned())),
        (2, _) => None,
        (value, way) => {
            let report = report(ALL[way].name, 50_000.0 + 20_000.0 * value as f64 + 9_000.0 * way as f64, 2_500.0);
            Some(Ok(Swept { report: Arc::new(report), brief: way == 2 }))
        }
    };
    SweepAnswer {
        knob: "connections".into(),
        values: ["16", "64", "256"].map(str::to_owned).to_vec(),
        ways: ALL.map(|entry| entry.mechanism.into()).to_vec(),
        points: (0..3).map(|value| (0..ALL.len()).map(|way| point(value, way)).collect()).collect(),
        round: Round::Seeds(4),
        done: 11,
    }
}

#[test]
fn a_sweep_has_curves_a_cursor_and_progress() {
    for size in SIZES {
        let mut state = at(size, "Sweep", false);
        let generation = state.generation;
        let known = Snapshot { sweep: Some(Arc::new(swept())), ..(*snapshot(generation, None)).clone() };
        update(&mut state, Action::Arrived(Arc::new(known)));
        press(&mut state, &[Right]);
        insta::assert_snapshot!(format!("sweep_{}x{}", size.0, size.1), screen(&state));
        press(&mut state, &[End, Char('m')]);
        assert!(screen(&state).contains("exception-less needs two cores"), "{}", screen(&state));
    }
}

#[test]
fn sweeps_and_latencies_are_pictures_with_a_name_and_a_marker_for_each_curve() {
    let picture = |state: &State| export::content(Path::new("a.svg"), state.view(), &state.scene()).unwrap();
    let mut state = at((120, 40), "Sweep", false);
    let known = Snapshot { sweep: Some(Arc::new(swept())), ..(*snapshot(state.generation, None)).clone() };
    update(&mut state, Action::Arrived(Arc::new(known)));
    let svg = picture(&state);
    assert!(
        ["connections", "requests/s", "exception-less", "memcached: requests/s over connections"]
            .iter()
            .all(|text| svg.contains(text))
    );
    // two values of four mechanisms and one more of none; five names in the legend
    assert_eq!(svg.matches("<polygon").count(), 2 * 4 + 5, "{svg}");
    open(&mut state, "Latency");
    let histograms = picture(&state);
    assert!(histograms.contains("% of the replies in a step") && histograms.contains("latency, us"), "{histograms}");
    press(&mut state, &[Char('n')]);
    let curves = picture(&state);
    assert!(curves.contains("at or below") && curves != histograms, "{curves}");
}

#[test]
fn variants_of_the_mechanism_in_focus_can_be_the_curves() {
    let mut state = at((120, 40), "Sweep", false);
    press(&mut state, &[Char('v')]);
    assert!(screen(&state).contains("over connections, variants of exception-less"), "{}", screen(&state));
    let effects = press(&mut state, &[Enter]);
    let [Effect::Ask(Question::Sweep(request))] = &effects[..] else { panic!("{effects:?}") };
    let names: Vec<String> = request.ways.iter().map(|way| way.name()).collect();
    assert_eq!(names[..3], ["sync", "exception-less:pages", "exception-less:queues"]);
    let known = Snapshot { sweep: Some(Arc::new(SweepAnswer::new(request))), ..(*snapshot(state.generation, None)).clone() };
    update(&mut state, Action::Arrived(Arc::new(known)));
    let words = |way: &Way| way.variant.unwrap_or("sync");
    assert!(request.ways.iter().all(|way| screen(&state).contains(words(way))), "{}", screen(&state));
    // the curves of the mechanisms are another sweep
    press(&mut state, &[Char('v')]);
    assert!(screen(&state).contains("Enter simulates 35 points"), "{}", screen(&state));
}

#[test]
fn a_sweep_is_asked_for_with_values_around_the_present_one() {
    let mut state = at((80, 24), "Sweep", false);
    assert!(screen(&state).contains("Enter simulates 35 points"), "{}", screen(&state));
    let effects = press(&mut state, &[Enter]);
    let [Effect::Ask(Question::Sweep(request))] = &effects[..] else { panic!("{effects:?}") };
    let labels: Vec<&str> = request.values.iter().map(|value| value.label.as_str()).collect();
    assert_eq!((request.knob.as_str(), &labels[..]), ("connections", &["8", "16", "32", "64", "128", "256", "512"][..]));
    let generation = state.generation;
    let known = Snapshot { sweep: Some(Arc::new(SweepAnswer::new(request))), ..(*snapshot(generation, None)).clone() };
    update(&mut state, Action::Arrived(Arc::new(known)));
    assert!(screen(&state).contains("brief runs: 0 of 35 points done; cursor at 64"), "{}", screen(&state));
    press(&mut state, &[Down]);
    assert!(screen(&state).contains("requests/s over rate"), "{}", screen(&state));
    press(&mut state, &[Up, Up]);
    assert!(screen(&state).contains("requests/s over cores"), "{}", screen(&state));
    let lowest: &SweepValue = &request.values[0];
    assert_eq!(lowest.settings.as_ref().map(|settings| settings.run.connections), Ok(8));
}

/// What a real simulation tells agrees with its report: the victims' misses are the counters', and every view can draw it.
#[test]
fn a_small_simulation_is_shown_as_it_is() {
    let settings = small();
    let span = Span { start: 0, end: u64::MAX };
    let workload = server(Shape::default());
    let cancel = AtomicBool::new(false);
    let plain = mechanisms::simulate::simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
    let found = mechanisms::simulate::simulate_in_depth(&workload, &settings, Mechanism::Sync, 1, span, None, &cancel).unwrap();
    assert_eq!((plain.window_cycles, &plain.ledger), (found.sample.window_cycles, &found.sample.ledger), "looking changes nothing");
    for structure in Structure::ALL {
        for mode in Mode::ALL {
            let of_victims: u64 = found.victims.iter().map(|own| own.ledger.misses(structure, mode)).sum();
            assert_eq!(of_victims, found.sample.counters.misses(structure, mode), "{} {}", structure.name(), mode.name());
        }
    }
    for entry in &ALL {
        let answer = simulated(entry.mechanism);
        assert!(answer.victims.iter().any(|own| own.victim.mode() == Some(Mode::Kernel)), "{}", entry.name);
        assert_eq!(answer.events.has_pages(), entry.mechanism == Mechanism::ExceptionLess, "{}", entry.name);
        let (start, end) = answer.events.span();
        let mut time = start;
        for _ in 0..500 {
            let next = answer.events.step(time, true);
            assert!(next == time || !answer.events.happenings(next).is_empty(), "{} at {next}", entry.name);
            assert!(next < end && (next == time || answer.events.step(next, false) == time || time == start));
            time = next;
        }
    }
}
