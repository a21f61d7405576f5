//! Partly open clients: connections that come at a rate, carry several requests and close; what happens beyond saturation.

use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{Sample, assemble, simulate};
use mechanisms::variants::{VARIANTS, Way};
use os_model::clients::{Arrival, Spacing};
use os_model::system::REFUSED_CONNECTIONS;
use sim_core::workload::{Program, Workload};
use traces::synthetic::{Shape, server};

const REQUESTS_PER_CONNECTION: u32 = 5;
/// System-call numbers of x86-64.
const ACCEPT4: usize = 288;
const SENDMSG: usize = 46;
const CLOSE: usize = 3;

fn settings(rate_rps: f64, connections: u32) -> Settings {
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.connections = connections;
    settings.run.requests = 600;
    settings.clients.arrival =
        Arrival::Sessions { rate_rps, requests_per_connection: REQUESTS_PER_CONNECTION, spacing: Spacing::Periodic };
    settings
}

fn programs() -> [Workload; 3] {
    [Program::EventLoop, Program::ThreadPerConnection, Program::ProcessPerConnection]
        .map(|program| server(Shape { program, ..Shape::default() }))
}

fn throughput_rps(sample: &Sample, settings: &Settings) -> f64 {
    sample.replies as f64 * f64::from(settings.machine.frequency_mhz) * 1e6 / sample.window_cycles as f64
}

/// Calls long enough that a rate beyond saturation is not beyond what simulated clients and link can offer.
fn slow_server() -> Workload {
    server(Shape { kernel_lines: 1500, ..Shape::default() })
}

/// From the first cycle on: a connection is closed when all its requests are answered, none is answered twice, and what was sent is
/// what clients have or wait for.
#[test]
fn every_request_of_a_connection_is_answered_once_before_it_closes() {
    for workload in programs() {
        let mut settings = settings(60_000.0, 12);
        for variant in VARIANTS {
            Way { mechanism: variant.mechanism, variant: Some(variant.name) }.apply(&mut settings.mechanism);
            if variant.mechanism.inapplicable(&workload, &settings.mechanism).is_some() {
                continue;
            }
            let label = format!("{}:{} on {:?}", variant.mechanism.name(), variant.name, workload.program);
            let (mut system, mut driver) = assemble(&workload, &settings, variant.mechanism, 1).unwrap();
            system.run(driver.as_mut(), |stats| stats.replies >= 400).unwrap_or_else(|error| panic!("{label}: {error}"));
            let count = |call: usize| system.stats.calls[call];
            let requests = u64::from(REQUESTS_PER_CONNECTION);
            assert!(count(CLOSE) > 0, "{label}");
            assert!(count(CLOSE) <= count(ACCEPT4), "{label}: {} closes, {} accepts", count(CLOSE), count(ACCEPT4));
            let sent = count(SENDMSG);
            assert!(sent >= count(CLOSE) * requests, "{label}: {sent} replies over {} closed connections", count(CLOSE));
            let most = (count(CLOSE) + system.connections_taken() as u64) * requests;
            assert!(sent <= most, "{label}: {sent} replies for at most {most} requests");
            let replies = system.stats.replies;
            assert!((replies..=replies + 12).contains(&sent), "{label}: {sent} sent, {replies} received");
        }
    }
}

#[test]
fn connections_come_at_the_rate_whatever_the_replies() {
    let workload = server(Shape::default());
    for spacing in [Spacing::Periodic, Spacing::Poisson] {
        let mut settings = settings(20_000.0, 64);
        settings.clients.arrival =
            Arrival::Sessions { rate_rps: 20_000.0, requests_per_connection: REQUESTS_PER_CONNECTION, spacing };
        let sample = simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
        // 600 requests are 120 connections: with a Poisson stream four standard deviations are 36 %
        let off = throughput_rps(&sample, &settings) / 20_000.0 - 1.0;
        let most = if spacing == Spacing::Periodic { 0.05 } else { 0.36 };
        assert!(off.abs() < most, "{spacing:?}: {off}");
        assert_eq!(sample.refused_arrivals, 0, "{spacing:?}");
    }
}

/// Beyond saturation the clients have all the connections that they may have, the rest is refused, and the server goes on as before.
#[test]
fn throughput_stays_when_more_is_offered_than_can_be_answered() {
    let workload = slow_server();
    for mechanism in [Mechanism::Sync, Mechanism::ExceptionLess] {
        let under = |rate_rps: f64| {
            let settings = settings(rate_rps, 32);
            let sample = simulate(&workload, &settings, mechanism, 1).unwrap();
            (throughput_rps(&sample, &settings), sample)
        };
        let (twice, _) = under(400_000.0);
        let (more, sample) = under(1_600_000.0);
        assert!(twice < 300_000.0, "{}: {twice} is not beyond saturation", mechanism.name());
        assert!((more / twice - 1.0).abs() < 0.1, "{}: {twice} and {more} requests/s", mechanism.name());
        assert!(sample.refused_arrivals > 0, "{}", mechanism.name());
    }
}

#[test]
fn a_full_accept_queue_turns_connections_away() {
    let workload = slow_server();
    let turned_away = |accept_backlog: usize| {
        let mut settings = settings(1_600_000.0, 256);
        settings.kernel.network.accept_backlog = accept_backlog;
        let (mut system, mut driver) = assemble(&workload, &settings, Mechanism::Sync, 1).unwrap();
        system.run(driver.as_mut(), |stats| stats.replies >= 100).unwrap();
        let counted = system.stats.occurrences.iter().filter(|entry| entry.0 == REFUSED_CONNECTIONS);
        counted.map(|entry| entry.1).sum::<u64>()
    };
    assert!(turned_away(4) > 0);
    assert_eq!(turned_away(512), 0);
}
