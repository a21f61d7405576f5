//! What every mechanism must do, on every kind of program.

use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{Sample, simulate};
use mechanisms::variants::{VARIANTS, Variant, Way};
use sim_core::stack::{Component, CrossingPart};
use sim_core::workload::{Program, Workload};
use traces::synthetic::{Shape, server};

fn settings(cores: u32, connections: u32) -> Settings {
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.cores = cores;
    settings.run.connections = connections;
    settings.run.requests = 60;
    settings
}

fn programs() -> Vec<Workload> {
    let shape = Shape::default();
    vec![
        server(shape),
        server(Shape { connection_per_request: true, ..shape }),
        server(Shape { program: Program::ThreadPerConnection, ..shape }),
        server(Shape { program: Program::ProcessPerConnection, ..shape }),
        server(Shape { program: Program::Sequential, ..shape }),
    ]
}

fn run(workload: &Workload, settings: &Settings, variant: &'static Variant) -> Option<Sample> {
    let mut settings = settings.clone();
    Way { mechanism: variant.mechanism, variant: Some(variant.name) }.apply(&mut settings.mechanism);
    if variant.mechanism.inapplicable(workload, &settings.mechanism).is_some() {
        return None;
    }
    let sample = simulate(workload, &settings, variant.mechanism, 1);
    Some(sample.unwrap_or_else(|error| panic!("{} on {:?}: {error}", label(variant), workload.program)))
}

fn label(variant: &Variant) -> String {
    format!("{}:{}", variant.mechanism.name(), variant.name)
}

#[test]
fn every_mechanism_serves_every_program() {
    for workload in programs() {
        for (cores, connections) in [(1, 1), (1, 16), (2, 16), (4, 40)] {
            for variant in VARIANTS {
                if let Some(sample) = run(&workload, &settings(cores, connections), variant) {
                    assert!(sample.replies >= 60, "{} on {:?}", label(variant), workload.program);
                    assert!(sample.window_cycles > 0);
                }
            }
        }
    }
}

#[test]
fn a_mechanism_executes_the_calls_of_the_requests_and_no_others() {
    let workload = server(Shape::default());
    for variant in VARIANTS {
        let Some(sample) = run(&workload, &settings(1, 16), variant) else { continue };
        let reads = sample.calls[0] as f64 / sample.replies as f64;
        let sends = sample.calls[46] as f64 / sample.replies as f64;
        // edge-triggered, each read that finds a request is followed by one that finds nothing
        let reads = if variant.name == "epoll-edge" { reads - 1.0 } else { reads };
        // requests in service when the window opens and closes blur the count by at most one per connection
        assert!((0.7..=1.3).contains(&reads), "{}: {reads} reads a reply", label(variant));
        assert!((0.7..=1.3).contains(&sends), "{}: {sends} sends a reply", label(variant));
        // epoll_wait, or poll
        let waits = sample.calls[232] + sample.calls[7];
        let readiness_stays = label(variant) == "exception-less:epoll";
        let readiness_goes =
            matches!(variant.mechanism, Mechanism::ExceptionLess | Mechanism::InKernelDsl) || label(variant) == "sync:threads";
        let waits_expected = readiness_stays || !readiness_goes;
        assert_eq!(waits > 0, waits_expected, "{}: {waits} readiness calls", label(variant));
    }
}

#[test]
fn an_elevated_run_crosses_only_for_interrupts() {
    let call = VARIANTS.iter().find(|variant| variant.mechanism == Mechanism::ElevatedShortcut).unwrap();
    for workload in programs() {
        let Some(sample) = run(&workload, &settings(1, 8), call) else { continue };
        assert_eq!(sample.call_crossings, 0, "{:?}", workload.program);
        let refetch = sample.stack.get(Component::Crossing(CrossingPart::Refetch));
        assert_eq!(refetch, 0, "no return to user mode, so nothing to fetch again");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for workload in programs() {
        for variant in VARIANTS {
            let settings = settings(2, 8);
            let (Some(one), Some(two)) = (run(&workload, &settings, variant), run(&workload, &settings, variant)) else {
                continue;
            };
            assert_eq!(one.stack, two.stack, "{} on {:?}", label(variant), workload.program);
            assert_eq!(one.reply_times, two.reply_times);
            assert_eq!(one.ledger, two.ledger);
        }
    }
}

/// A closed loop serves its connections in turn: a reply that reaches the client before the server is done with the request lets the
/// same slot stand for the next request, and neither may take the other's place. The in-kernel service answers before the program gets
/// to its own requests, which may starve them.
#[test]
fn connections_are_served_in_turn() {
    let workload = server(Shape { connection_per_request: true, kernel_lines: 1500, ..Shape::default() });
    let mut settings = settings(1, 24);
    settings.run.requests = 400;
    settings.clients.link_delay_us = 0.5;
    settings.clients.service_us = 0.5;
    for variant in VARIANTS.iter().filter(|variant| variant.mechanism != Mechanism::InKernelDsl) {
        let Some(sample) = run(&workload, &settings, variant) else { continue };
        let latency = sample.latency.microseconds(1_000_000);
        assert!(latency.p99 < 4.0 * latency.p50, "{}: p50 {} cycles, p99 {}", label(variant), latency.p50, latency.p99);
    }
}
