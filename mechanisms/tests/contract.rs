//! What every mechanism must do, on every kind of program.

use super::common;
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{Sample, simulate};
use mechanisms::variants::{VARIANTS, Variant, Way};
use os_model::clients::{Arrival, Spacing};
use sim_core::stack::{Component, CrossingPart};
use sim_core::workload::{Program, Workload};
use traces::synthetic::{Shape, server};

fn settings(cores: u32, connections: u32) -> Settings {
    common::settings(cores, connections, 60)
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

/// Connections that carry several requests are opened, served and closed under every mechanism.
#[test]
fn every_mechanism_serves_connections_that_come_and_go() {
    for workload in programs().iter().filter(|workload| workload.connection.is_recorded()) {
        for (cores, connections) in [(1, 4), (2, 24)] {
            let mut settings = settings(cores, connections);
            settings.clients.arrival =
                Arrival::Sessions { rate_rps: 40_000.0, requests_per_connection: 5, spacing: Spacing::Poisson };
            for variant in VARIANTS {
                let Some(sample) = run(workload, &settings, variant) else { continue };
                let label = format!("{} on {:?}, {cores} cores", label(variant), workload.program);
                let replies = sample.replies as f64;
                let per_connection = |call: usize| replies / sample.calls[call] as f64;
                // accept4 and close, once a connection each: connections at the window's ends blur it
                assert!((2.0..=10.0).contains(&per_connection(288)), "{label}: {} replies an accept", per_connection(288));
                assert!((2.0..=10.0).contains(&per_connection(3)), "{label}: {} replies a close", per_connection(3));
            }
        }
    }
}

#[test]
fn connections_that_were_not_recorded_are_not_made_up() {
    let mut settings = settings(1, 8);
    settings.clients.arrival = Arrival::Sessions { rate_rps: 1000.0, requests_per_connection: 5, spacing: Spacing::Periodic };
    let refused = |workload: &Workload| simulate(workload, &settings, Mechanism::Sync, 1).unwrap_err().to_string();
    let mut unknown = server(Shape::default());
    unknown.connection = Default::default();
    assert!(refused(&unknown).contains("no connection that is accepted"));
    let error = refused(&server(Shape { connection_per_request: true, ..Shape::default() }));
    assert!(error.contains("can only be 1"), "{error}");
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
