//! The elevated shortcut: levels, true calls, probes, deferred work, depths.

use super::common::{self, occurred};
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::settings::{DeferredWork, Depth, ElevatedThreads, ElevatedVariant, KernelPreemption};
use mechanisms::simulate::{Sample, simulate};
use os_model::clients::ClientKind;
use os_model::kernel::Mitigations;
use sim_core::ids::Mode;
use sim_core::stack::{Component, CrossingPart};
use sim_core::workload::Workload;
use traces::synthetic::{Shape, server};

fn settings(cores: u32, connections: u32) -> Settings {
    common::settings(cores, connections, 200)
}

fn run(workload: &Workload, settings: &Settings) -> Sample {
    simulate(workload, settings, Mechanism::ElevatedShortcut, 1).unwrap()
}

fn calls(sample: &Sample) -> u64 {
    sample.calls.iter().sum()
}

#[test]
fn each_depth_executes_less_than_the_one_above_it() {
    let workload = server(Shape::default());
    let mut settings = settings(1, 16);
    let mut before = u64::MAX;
    for depth in [Depth::Whole, Depth::Entry, Depth::File, Depth::Protocol] {
        settings.mechanism.elevated_shortcut.depth = depth;
        let sample = run(&workload, &settings);
        let instructions = sample.counters.mode(Mode::Kernel).instructions / sample.replies;
        assert!(instructions < before, "{depth:?}: {instructions}, the depth above it {before}");
        before = instructions;
    }
}

#[test]
fn every_nth_call_crosses_twice_and_the_others_not_at_all() {
    let workload = server(Shape::default());
    let mut settings = settings(1, 16);
    settings.mechanism.elevated_shortcut.true_call_every = 5;
    let sample = run(&workload, &settings);
    let true_calls = occurred(&sample, "true calls");
    // the window cuts through calls at both ends
    assert!((true_calls * 5).abs_diff(calls(&sample)) <= 10, "{true_calls} true calls of {}", calls(&sample));
    // one crossing for the call itself and one to elevate again
    assert!(sample.call_crossings.abs_diff(true_calls * 2) <= 2, "{} crossings", sample.call_crossings);
    assert!(sample.stack.get(Component::Crossing(CrossingPart::Refetch)) > 0);
}

#[test]
fn a_probe_is_paid_at_each_call() {
    let workload = server(Shape::default());
    let mut settings = settings(1, 16);
    let by_call = run(&workload, &settings);
    settings.mechanism.elevated_shortcut.variant = ElevatedVariant::Int3;
    let probed = run(&workload, &settings);
    assert!(probed.call_crossings.abs_diff(calls(&probed)) <= 2);
    let entry = |sample: &Sample| sample.stack.get(Component::Crossing(CrossingPart::Entry));
    let least = u64::from(settings.machine.crossing.int_cycles) * calls(&probed);
    assert!(entry(&probed) - entry(&by_call) > least * 9 / 10, "{} and {}", entry(&probed), entry(&by_call));
}

#[test]
fn elevated_calls_pay_no_mitigations() {
    let workload = server(Shape::default());
    let mut settings = settings(1, 16);
    settings.kernel.mitigations = Mitigations::Default;
    let parts = [CrossingPart::PageTable, CrossingPart::Barrier].map(Component::Crossing);
    let elevated = run(&workload, &settings);
    let sync = simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
    for part in parts {
        assert_eq!(elevated.stack.get(part), 0, "{}", part.name());
        assert!(sync.stack.get(part) > 0, "{}", part.name());
    }
}

#[test]
fn some_loops_elevated_lie_between_none_and_all() {
    let workload = server(Shape::default());
    let mut settings = settings(4, 32);
    let mut crossings = Vec::new();
    for threads in [ElevatedThreads::First(0), ElevatedThreads::Percent(50), ElevatedThreads::All] {
        settings.mechanism.elevated_shortcut.elevated_threads = threads;
        let sample = run(&workload, &settings);
        crossings.push(sample.call_crossings as f64 / calls(&sample) as f64);
    }
    assert!((0.95..=1.05).contains(&crossings[0]), "none elevated: {} crossings a call", crossings[0]);
    assert!((0.3..=0.7).contains(&crossings[1]), "half elevated: {} crossings a call", crossings[1]);
    assert!(crossings[2] == 0.0, "all elevated: {} crossings a call", crossings[2]);
}

/// A client on the server's own core: the reply wakes it, and it is to run while the server's elevated code does.
#[test]
fn rescheduling_waits_for_a_preemption_point() {
    // the server works more than the client, so that the woken client comes first in fairness
    let workload = server(Shape { user_lines: 3000, ..Shape::default() });
    let mut settings = settings(1, 24);
    settings.clients.kind = ClientKind::Recorded;
    settings.kernel.scheduler.wakeup_granularity_us = 0;
    let deferred = |settings: &Settings| occurred(&run(&workload, settings), "deferred work runs");
    let at_points = deferred(&settings);
    assert!(at_points > 0, "the woken client preempts at the points that calls offer");
    settings.mechanism.elevated_shortcut.preemption = KernelPreemption::Full;
    assert_eq!(deferred(&settings), 0, "anywhere: nothing has to wait");
}

#[test]
fn work_of_the_way_out_waits_for_a_true_call_and_is_never_lost() {
    let Ok(workload) = traces::bundled::load("nginx") else { panic!("nginx is bundled") };
    let mut settings = settings(1, 4);
    settings.run.requests = 60;
    settings.mechanism.elevated_shortcut.deferred_work = DeferredWork::TrueCall;
    // no periodic true call: a loop that is about to sleep makes its readiness call a true one, or its connections would never close
    let sample = run(&workload, &settings);
    assert!(sample.replies >= 60);
    assert!(occurred(&sample, "true calls") > 0 && occurred(&sample, "deferred work runs") > 0);
    settings.mechanism.elevated_shortcut.deferred_work = DeferredWork::EachCall;
    let sample = run(&workload, &settings);
    assert_eq!(occurred(&sample, "true calls"), 0);
    assert!(occurred(&sample, "deferred work runs") >= 60, "each close leaves its socket for the way out");
}

#[test]
fn calls_without_a_cut_are_counted_and_noted() {
    let mut workload = server(Shape::default());
    let settings = {
        let mut settings = settings(1, 8);
        settings.mechanism.elevated_shortcut.depth = Depth::Protocol;
        settings
    };
    assert_eq!(occurred(&run(&workload, &settings), "calls that fell back to depth whole"), 0);
    // a receive whose block has no cuts at all
    let bare = {
        let kernel = workload.classes[0].chains[0].steps[0].kernel;
        let ops = workload.blocks.ops(kernel).to_vec();
        workload.blocks.push(Mode::Kernel, sim_core::block::Origin::Synthetic, &ops, Vec::new())
    };
    workload.classes[0].chains[0].steps[0].kernel = bare;
    let sample = run(&workload, &settings);
    let fallen = occurred(&sample, "calls that fell back to depth whole");
    assert!(fallen.abs_diff(sample.calls[0]) <= 8, "{fallen} of {} reads", sample.calls[0]);
    let note = mechanisms::elevated::depth_note(Depth::Protocol, &sample.occurrences, calls(&sample)).unwrap();
    assert!(note.contains("ran at depth whole") && note.contains("no cut at depth protocol"), "{note}");
}
