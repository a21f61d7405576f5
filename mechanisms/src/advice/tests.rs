//! The judgement on made-up reports.

use super::decide::dominated;
use super::evidence::{Evidence, Place, Subject};
use super::result::{Advice, Basis, ConfidenceClass, Decision, Measure, Outcome};
use super::{chosen, decide};
use sim_core::ids::Mode;
use sim_core::manifest::Manifest;
use sim_core::report::{
    BatchDepth, CallRow, Comparison, CoresUsed, Estimate, EvictorRow, ExposureRange, LatencyMicroseconds, LimitedBy, PerRequest,
    RunReport, StackReport,
};
use sim_core::stack::{Cause, Component, CycleStack, Domain};
use sim_core::workload::Program;

/// Busy cycles per request of synchronous calls.
const BUSY: f64 = 10_000.0;

fn estimate(mean: f64, half: f64) -> Estimate {
    Estimate { mean, low: mean - half, high: mean + half, n: 8 }
}

fn call(name: &str, issued: f64, cycles: f64) -> CallRow {
    CallRow {
        call: name.into(),
        issued_per_request: issued,
        instructions_per_call: 1000.0,
        cycles_per_call: cycles,
        direct_cycles_per_call: f64::NAN,
    }
}

fn evictor(call: &str, cycles: u64) -> EvictorRow {
    EvictorRow { structure: "l1i".into(), mode: Mode::User, evictor: call.into(), misses: 1, cycles }
}

/// A report of 100 requests that take `BUSY / gain` busy cycles each.
fn report(label: &str, gain: f64, half: f64) -> RunReport {
    let busy = BUSY / gain;
    let mut stack = CycleStack::default();
    stack.add(Component::Work(Domain::Kernel, Cause::Base), (busy * 100.0) as u64);
    let (mechanism, variant) = label.split_once(':').map_or((label, None), |(name, variant)| (name, Some(variant.to_owned())));
    RunReport {
        workload: "made up".into(),
        mechanism: mechanism.into(),
        variant,
        cores: 1,
        connections: 64,
        reps: 8,
        requests: 100,
        manifest: Manifest { command: "ringscope advise made-up --budget 90 --cores 1".into(), ..Manifest::default() },
        throughput_rps: estimate(1000.0 * gain, 1.0),
        speedup_vs_sync: Some(estimate(gain, half)),
        processor_time_vs_sync: Some(estimate(1.0 / gain, half)),
        latency_us: LatencyMicroseconds { p50: 100.0, p99: 200.0, ..LatencyMicroseconds::default() },
        cycle_stack: StackReport::per_request(&stack, 100),
        per_request: PerRequest { cycles_total: busy, direct_cycles: 1000.0 / gain, ..PerRequest::default() },
        per_call: vec![call("read", 1.0, 3000.0 / gain), call("sendmsg", 1.0, 4000.0 / gain)],
        evictors: vec![evictor("read", 10_000), evictor("sendmsg", (200_000.0 / gain) as u64)],
        batch: BatchDepth { mean: 8.0, limited_by: "ready connections".into(), ..BatchDepth::default() },
        limited_by: Some(LimitedBy::Server),
        synthetic_cycle_share: 0.0,
        cores_used: CoresUsed { user: 0.3, kernel: 0.7, idle: 0.0, client: 0.0 },
        why: "saves cycles".into(),
        ..RunReport::default()
    }
}

fn subject() -> Subject {
    Subject {
        program: Program::EventLoop,
        single_threaded: true,
        serves_files: false,
        source_format: "capture".into(),
        recorded_with_mitigations: false,
        mitigated: false,
    }
}

fn evidence(others: Vec<RunReport>) -> Evidence {
    let results = [report("sync", 1.0, 0.0)].into_iter().chain(others).collect();
    Evidence {
        subject: subject(),
        place: Place { cores: 1, connections: 64, rate_rps: None },
        at_load: Comparison::new(results, Vec::new()).unwrap(),
        trials: Vec::new(),
        elsewhere: Vec::new(),
        simulations: 80,
    }
}

fn advice(evidence: &Evidence) -> Advice {
    decide(evidence).unwrap()
}

fn outcome(advice: &Advice, label: &str) -> Outcome {
    advice.candidates.iter().find(|candidate| candidate.mechanism == label).unwrap().outcome
}

#[test]
fn a_clear_win_is_recommended_with_its_numbers() {
    let advice = advice(&evidence(vec![report("exception-less", 1.4, 0.01), report("elevated-shortcut", 0.9, 0.01)]));
    assert_eq!(advice.verdict.decision, Decision::Move);
    let own = advice.recommendation.as_ref().unwrap();
    assert_eq!(own.candidate.mechanism, "exception-less");
    assert!(advice.verdict.headline.starts_with("Move to exception-less: 1.40x requests per second (95 % interval 1.39 to 1.41)"));
    assert_eq!(own.command, "ringscope run made-up --cores 1 --mechanism exception-less");
    assert_eq!(outcome(&advice, "elevated-shortcut"), Outcome::Loses);
    assert_eq!(advice.confidence.class, ConfidenceClass::High);
    assert!(advice.verdict.would_settle.is_empty());
}

#[test]
fn a_tie_moves_nobody() {
    let tie = advice(&evidence(vec![report("exception-less", 1.01, 0.005), report("batched-script", 0.99, 0.02)]));
    assert_eq!(tie.verdict.decision, Decision::StaySynchronous, "{:?}", tie.verdict);
    assert_eq!(outcome(&tie, "exception-less"), Outcome::WithinModelError);
    assert_eq!(outcome(&tie, "batched-script"), Outcome::NotSeparable);
    let wide = advice(&evidence(vec![report("exception-less", 1.1, 0.2)]));
    assert_eq!(wide.verdict.decision, Decision::CannotTell, "an interval from 0.9 to 1.3 hides a gain or a loss");
    assert!(wide.verdict.would_settle[0].contains("--reps"), "{:?}", wide.verdict);
}

#[test]
fn losers_are_not_recommended() {
    let advice = advice(&evidence(vec![report("exception-less", 0.8, 0.01), report("batched-script", 0.9, 0.01)]));
    assert_eq!(advice.verdict.decision, Decision::StaySynchronous);
    assert!(
        advice.verdict.headline.starts_with("Stay synchronous: the best of the others, batched-script"),
        "{}",
        advice.verdict.headline
    );
}

#[test]
fn nothing_to_move_to_is_said() {
    let none = RunReport::not_applicable(&report("sync", 1.0, 0.0), "in-kernel-dsl", "a program without requests");
    let advice = advice(&evidence(vec![none]));
    assert_eq!(advice.verdict.decision, Decision::StaySynchronous);
    assert!(advice.recommendation.is_none() && advice.calls.is_empty());
    assert_eq!(advice.candidates[0].reason.as_deref(), Some("a program without requests"));
}

#[test]
fn mostly_estimated_work_is_too_thin_to_decide_on() {
    let mut thin = evidence(vec![report("exception-less", 1.4, 0.01)]);
    thin.at_load.results.iter_mut().for_each(|report| report.synthetic_cycle_share = 0.5);
    let advice = advice(&thin);
    assert_eq!((advice.verdict.decision, advice.confidence.class), (Decision::CannotTell, ConfidenceClass::Low));
    assert!(advice.verdict.would_settle.iter().any(|step| step.contains("full-system capture")), "{:?}", advice.verdict);
}

#[test]
fn the_mechanisms_own_estimated_work_is_taken_twice() {
    // a third of its cycles are the mechanism's own, by hand counts: twice as much would be 1.2 / (4 / 3) = 0.9
    let mut costly = report("batched-script", 1.2, 0.01);
    costly.synthetic_cycle_share = 1.0 / 3.0;
    let advice = advice(&evidence(vec![costly]));
    assert_eq!(outcome(&advice, "batched-script"), Outcome::WithinModelError);
    assert!((advice.candidates[0].gain_low_cautious - 1.19 * 0.75).abs() < 1e-3, "{:?}", advice.candidates[0]);
    assert_ne!(advice.verdict.decision, Decision::Move);
}

#[test]
fn a_sign_that_hangs_on_the_exposure_is_no_gain() {
    let mut own = report("exception-less", 1.2, 0.01);
    own.exposure_range = Some(ExposureRange { low: 0.98, high: 1.3 });
    let advice = advice(&evidence(vec![own]));
    assert_eq!(advice.verdict.decision, Decision::CannotTell);
    assert!(advice.verdict.would_settle.iter().any(|step| step.contains("CPI")), "{:?}", advice.verdict);
}

#[test]
fn a_load_that_leaves_the_server_idle_is_judged_by_processor_time() {
    let mut idle = evidence(vec![report("exception-less", 1.3, 0.01)]);
    for report in &mut idle.at_load.results {
        report.limited_by = Some(LimitedBy::Client);
        report.speedup_vs_sync = Some(estimate(1.0, 0.001));
    }
    let advice = advice(&idle);
    assert_eq!((advice.measure, advice.verdict.decision), (Measure::ProcessorTime, Decision::Move));
    assert!(advice.verdict.headline.contains("requests per processor second"), "{}", advice.verdict.headline);
    assert!(advice.verdict.reasons[0].contains("the client is the limit"), "{:?}", advice.verdict.reasons);
}

#[test]
fn a_sequential_program_is_judged_by_its_time() {
    let mut sequential = evidence(vec![report("batched-script", 1.5, 0.01)]);
    sequential.subject.program = Program::Sequential;
    sequential.at_load.connections = 0;
    for report in &mut sequential.at_load.results {
        (report.limited_by, report.connections) = (Some(LimitedBy::Client), 0);
    }
    let advice = advice(&sequential);
    assert_eq!((advice.measure, advice.connections, advice.verdict.decision), (Measure::Throughput, 0, Decision::Move));
}

#[test]
fn a_starved_tail_is_passed_over_for_a_way_without() {
    let mut starving = report("batched-script", 1.6, 0.01);
    starving.latency_us.p99 = 5000.0;
    let both = evidence(vec![starving.clone(), report("exception-less", 1.3, 0.01)]);
    assert_eq!(chosen(&both.at_load, &subject()).unwrap().label(), "exception-less");
    assert!(advice(&both).verdict.reasons.iter().any(|reason| reason.contains("batched-script: the slowest")));
    assert_eq!(chosen(&evidence(vec![starving]).at_load, &subject()).unwrap().label(), "batched-script");
}

#[test]
fn a_rewrite_is_named_beside_a_port_and_recommended_only_alone() {
    let rewrite = report("in-kernel-dsl", 3.0, 0.01);
    let both = evidence(vec![rewrite.clone(), report("exception-less", 1.3, 0.01)]);
    let beside = advice(&both);
    assert_eq!(beside.recommendation.unwrap().candidate.mechanism, "exception-less");
    assert!(beside.verdict.reasons.iter().any(|reason| reason.contains("in-kernel-dsl reaches 3.00x with another program")));
    let alone = advice(&evidence(vec![rewrite]));
    assert_eq!((alone.verdict.decision, alone.confidence.class), (Decision::Move, ConfidenceClass::Medium));
}

#[test]
fn a_way_that_can_be_decided_on_goes_before_a_larger_gain_that_cannot() {
    let mut logged = evidence(vec![report("exception-less:io-uring", 1.6, 0.1), report("exception-less", 1.3, 0.01)]);
    logged.subject.source_format = "strace".into();
    let advice = advice(&logged);
    assert_eq!(advice.recommendation.unwrap().candidate.mechanism, "exception-less");
    assert_eq!(advice.verdict.decision, Decision::Move);
}

#[test]
fn of_equals_the_one_on_a_stock_kernel_is_chosen_and_of_unequals_it_is_named() {
    let equal = evidence(vec![report("exception-less", 1.31, 0.02), report("exception-less:io-uring", 1.30, 0.02)]);
    assert_eq!(chosen(&equal.at_load, &subject()).unwrap().label(), "exception-less:io-uring");
    let unequal = advice(&evidence(vec![report("exception-less", 1.5, 0.01), report("exception-less:io-uring", 1.2, 0.01)]));
    assert_eq!(unequal.recommendation.unwrap().candidate.mechanism, "exception-less");
    assert_eq!(unequal.on_stock_kernel.unwrap().mechanism, "exception-less:io-uring");
}

#[test]
fn several_doubts_together_leave_nothing_to_decide_on() {
    let mut doubtful = evidence(vec![report("exception-less:io-uring", 1.5, 0.1)]);
    doubtful.subject.source_format = "strace".into();
    let advice = advice(&doubtful);
    assert_eq!(advice.confidence.class, ConfidenceClass::Low, "{:?}", advice.confidence);
    assert_eq!(advice.verdict.decision, Decision::CannotTell);
    assert!(advice.verdict.headline.contains("too thin"), "{}", advice.verdict.headline);
}

#[test]
fn what_is_partly_estimated_is_not_called_recorded() {
    let of = |share: f64| {
        let mut made = evidence(vec![report("exception-less", 1.5, 0.01)]);
        let mut base = report("sync", 1.0, 0.0);
        base.synthetic_cycle_share = share;
        made.at_load = Comparison::new(vec![base, report("exception-less", 1.5, 0.01)], Vec::new()).unwrap();
        let reasons = advice(&made).confidence.reasons;
        let says = |text: &str| reasons.iter().any(|reason| reason.text.contains(text));
        (says("every line of user and kernel work is recorded"), says("are estimated, not recorded"))
    };
    assert_eq!((of(0.02), of(0.2)), ((true, false), (false, true)));
}

/// By hand, at a gain of 2: crossings 1000 - 500 over two calls are 250 each; sendmsg pushed out 2000 cycles a request and now 1000, read
/// 100 both times; handlers 4000 to 2000 and 3000 to 1500.
#[test]
fn calls_are_ranked_by_what_their_move_saves() {
    let advice = advice(&evidence(vec![report("exception-less", 2.0, 0.01)]));
    let [first, second] = &advice.calls[..] else { panic!("two calls") };
    assert_eq!((first.call.as_str(), second.call.as_str()), ("sendmsg", "read"));
    assert_eq!((first.crossing_cycles, first.program_stall_cycles, first.handler_cycles), (250.0, 1000.0, 2000.0));
    assert_eq!((first.saved_cycles, second.saved_cycles), (3250.0, 1750.0));
    assert!((first.share + second.share - 1.0).abs() < 1e-9);
    assert!((advice.saved_elsewhere_cycles - 0.0).abs() < 1.0, "5,000 of 10,000 cycles are saved, all of them in calls");
}

/// Crossings of 300 and 100 cycles become none and 20: 300 and 80 are saved, whatever the shares.
#[test]
fn crossings_are_those_of_the_call_where_both_runs_know_them() {
    let mut both = evidence(vec![report("exception-less", 2.0, 0.01)]);
    for (result, direct) in both.at_load.results.iter_mut().zip([[300.0, 100.0], [0.0, 20.0]]) {
        for (row, direct) in result.per_call.iter_mut().zip(direct) {
            row.direct_cycles_per_call = direct;
        }
    }
    let calls = advice(&both).calls;
    let saved = |name: &str| calls.iter().find(|call| call.call == name).map(|call| (call.crossing_cycles, call.crossings_by));
    assert_eq!(saved("read"), Some((300.0, Basis::Difference)));
    assert_eq!(saved("sendmsg"), Some((80.0, Basis::Difference)));
    let shared = advice(&evidence(vec![report("exception-less", 2.0, 0.01)]));
    assert!(shared.calls.iter().all(|call| call.crossings_by == Basis::Share));
}

#[test]
fn a_port_to_a_stock_kernel_is_named_beside_a_better_one() {
    let both = vec![report("exception-less", 1.5, 0.01), report("exception-less:io-uring", 1.3, 0.01)];
    let advice = advice(&evidence(both));
    let reasons = &advice.verdict.reasons;
    assert!(reasons.iter().any(|reason| reason.contains("on a stock kernel exception-less:io-uring reaches 1.30x")), "{reasons:?}");
}

#[test]
fn a_way_is_behind_when_more_seeds_cannot_bring_it_into_the_advice() {
    let of = |ways: Vec<RunReport>| dominated(&evidence(ways).at_load, &subject());
    let best = || report("exception-less", 1.5, 0.01);
    assert_eq!(of(vec![best(), report("batched-script", 1.3, 0.01)]), ["batched-script"]);
    // an interval that overlaps, and a stock kernel below a patched one, can still come into it
    assert!(of(vec![best(), report("batched-script", 1.48, 0.02)]).is_empty());
    assert!(of(vec![best(), report("exception-less:io-uring", 1.3, 0.01)]).is_empty());
    let stock = || report("exception-less:io-uring", 1.5, 0.01);
    assert_eq!(of(vec![stock(), report("batched-script:io-uring-enter", 1.3, 0.01)]), ["batched-script:io-uring-enter"]);
    // a larger gain with a starved tail does not put one without behind it
    let mut starving = report("batched-script", 1.9, 0.01);
    starving.latency_us.p99 = 5000.0;
    assert!(of(vec![starving, best()]).is_empty());
}

#[test]
fn where_it_loses_is_said() {
    let mut low = evidence(vec![report("exception-less", 1.4, 0.01)]);
    let place = Place { cores: 1, connections: 1, rate_rps: None };
    let mut there = low.at_load.clone();
    there.connections = 1;
    there.results[1].speedup_vs_sync = Some(estimate(0.8, 0.01));
    low.elsewhere.push((place, there));
    let advice = advice(&low);
    assert_eq!(advice.elsewhere[0].outcome, Outcome::Loses);
    assert_eq!(advice.loses_when, ["1 connection on 1 core: 0.80x requests per second (0.79 to 0.81)"]);
    assert_eq!(advice.verdict.decision, Decision::Move, "what happens elsewhere is said, the load that was asked for decides");
}

#[test]
fn advice_survives_json() {
    let advice = advice(&evidence(vec![report("exception-less", 1.4, 0.01), report("batched-script", 1.2, 0.01)]));
    let text = serde_json::to_string(&advice).unwrap();
    let back: Advice = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
    assert!(text.contains("\"decision\":\"move\"") && text.contains("\"kind\":\"advice\""), "{text}");
}

/// A recording of calls alone and no published measurement beside it are two doubts; the interval is a third where it is wide beside
/// what is gained, and then a narrower way with fewer doubts goes first.
#[test]
fn an_interval_is_a_doubt_beside_what_is_gained() {
    let subject = Subject { source_format: "strace".into(), ..subject() };
    let chosen_of = |mean, half| {
        let reports = vec![report("exception-less", 1.27, 0.02), report("exception-less:io-uring", mean, half)];
        chosen(&evidence(reports).at_load, &subject).unwrap().label()
    };
    assert_eq!(chosen_of(1.37, 0.03), "exception-less:io-uring");
    assert_eq!(chosen_of(1.40, 0.08), "exception-less");
}
