//! Invariants that hold between mechanisms, and known deviations that are still there.

use super::common;
use mechanisms::experiment::{Settings, ShadowSetting};
use mechanisms::registry::{ALL, Mechanism};
use mechanisms::settings::Depth;
use mechanisms::simulate::simulate;
use os_model::action::Slot;
use os_model::clients::ClientKind;
use sim_core::calls::CallNumber;
use sim_core::ids::Mode;
use sim_core::stack::{Component, Domain};
use sim_core::workload::{Program, Workload};
use std::collections::BTreeMap;
use traces::synthetic::{Shape, server};

fn settings(cores: u32, connections: u32) -> Settings {
    common::settings(cores, connections, 200)
}

/// Every handler of every request, in order of execution, over a run of 150 replies.
fn journal(workload: &Workload, mechanism: Mechanism, cores: u32) -> BTreeMap<Slot, Vec<CallNumber>> {
    let replies = if workload.program == Program::Sequential { 20 } else { 150 };
    common::journal(workload, &settings(cores, 12), mechanism, replies).by_slot
}

/// Invariant 2: each call of a request is executed exactly once and after what it depends on, whatever the mechanism. A slot is used by
/// one request after the other, so its journal is the request's calls again and again.
#[test]
fn calls_execute_once_and_in_an_order_that_dependencies_allow() {
    let shape = Shape::default();
    let per_request = server(Shape { connection_per_request: true, ..shape });
    let expected: Vec<&str> = vec!["accept4", "read", "sendmsg", "close"];
    for description in ALL {
        for cores in [1, 3] {
            for (slot, calls) in journal(&per_request, description.mechanism, cores) {
                let names: Vec<&str> = calls.iter().map(|call| call.name()).collect();
                for (index, name) in names.iter().enumerate() {
                    assert_eq!(*name, expected[index % 4], "{} on {cores} cores, {slot:?}: {names:?}", description.name);
                }
            }
        }
    }
}

#[test]
fn independent_calls_of_a_sequential_program_keep_their_dependencies() {
    let sequential = server(Shape { program: Program::Sequential, ..Shape::default() });
    for mechanism in [Mechanism::Sync, Mechanism::ExceptionLess, Mechanism::BatchedScript, Mechanism::ElevatedShortcut] {
        for calls in journal(&sequential, mechanism, 2).into_values() {
            // open 0, read 1 (of 0), open 2, read 3 (of 2), close 4 (after 1): each run has them all before the next begins
            for run in calls.chunks(5).filter(|run| run.len() == 5) {
                let count = |name: &str| run.iter().filter(|call| call.name() == name).count();
                assert_eq!((count("openat"), count("read"), count("close")), (2, 2, 1), "{}", mechanism.name());
                let first = |name: &str| run.iter().position(|call| call.name() == name).unwrap();
                assert!(first("openat") < first("read") && first("read") < first("close"), "{}", mechanism.name());
            }
        }
    }
}

/// Invariant 6: with crossing costs zero and all structures private to each mode, an elevated run gains nothing but the entry and exit
/// code that it does not execute.
#[test]
fn without_crossings_and_pollution_elevation_gains_only_the_code_it_skips() {
    let workload = server(Shape::default());
    let mut settings = settings(1, 16);
    settings.machine = settings.machine.with_private_structures_per_mode();
    let crossing = &mut settings.machine.crossing;
    for cycles in [
        &mut crossing.syscall_cycles,
        &mut crossing.sysret_cycles,
        &mut crossing.interrupt_cycles,
        &mut crossing.iret_cycles,
        &mut crossing.int_cycles,
        &mut crossing.page_table_cycles,
        &mut crossing.drain_cycles,
        &mut crossing.refetch_cycles,
        &mut crossing.barrier_cycles,
    ] {
        *cycles = 0;
    }
    settings.kernel.user_call_depth = 0;
    settings.mechanism.elevated_shortcut.glue_instructions = 0;
    let sync = simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
    assert_eq!(sync.stack.direct(), 0);
    for mode in Mode::ALL {
        assert_eq!(sync.ledger.indirect_cycles(mode), 0, "modes that share nothing evict nothing of each other");
    }
    let cycles = |sample: &mechanisms::simulate::Sample| sample.window_cycles as f64 / sample.replies as f64;
    let slack = 0.02 * cycles(&sync);
    // with the entry and exit code nothing is left to gain
    settings.mechanism.elevated_shortcut.depth = Depth::Whole;
    let whole = simulate(&workload, &settings, Mechanism::ElevatedShortcut, 1).unwrap();
    let rest = cycles(&sync) - cycles(&whole);
    assert!(rest.abs() < slack, "{rest} cycles a request gained with the same code");
    settings.mechanism.elevated_shortcut.depth = Depth::Entry;
    let elevated = simulate(&workload, &settings, Mechanism::ElevatedShortcut, 1).unwrap();
    let instructions = |sample: &mechanisms::simulate::Sample| {
        let both: u64 = Mode::ALL.iter().map(|mode| sample.counters.mode(*mode).instructions).sum();
        both as f64 / sample.replies as f64
    };
    let skipped = instructions(&sync) - instructions(&elevated);
    assert!(skipped > 0.0, "elevated calls skip entry and exit code");
    let gain = cycles(&sync) - cycles(&elevated);
    // the skipped code costs about its base CPI (0.7), at most two cycles an instruction on this made-up server; nothing else is gained
    // or lost
    assert!(gain > -slack && gain < 2.0 * skipped + slack, "gain {gain}, skipped instructions {skipped}");
}

/// Invariant 4, second half: for a call that does nothing, a same-core exception-less batch of one costs more than a synchronous call,
/// an elevated one less.
#[test]
fn a_lonely_null_call_is_dearest_posted_and_cheapest_elevated() {
    let tiny = Shape { user_lines: 1, kernel_lines: 12, data_lines: 0, program: Program::Sequential, ..Shape::default() };
    let workload = server(tiny);
    let mut settings = settings(1, 1);
    settings.run.requests = 50;
    let cycles = |mechanism| {
        let sample = simulate(&workload, &settings, mechanism, 1).unwrap();
        sample.window_cycles / sample.replies
    };
    let (sync, posted, elevated) = (cycles(Mechanism::Sync), cycles(Mechanism::ExceptionLess), cycles(Mechanism::ElevatedShortcut));
    assert!(posted > sync, "posted {posted}, sync {sync}");
    assert!(elevated < sync, "elevated {elevated}, sync {sync}");
}

/// Results are stable when slices are cut to a quarter.
#[test]
fn a_quarter_of_the_slice_changes_little() {
    let workload = server(Shape::default());
    for description in ALL {
        let run = |slice_cycles| {
            let mut settings = settings(2, 16);
            settings.kernel.slice_cycles = slice_cycles;
            settings.run.requests = 600;
            simulate(&workload, &settings, description.mechanism, 1).unwrap().window_cycles as f64
        };
        let (whole, quarter) = (run(500), run(125));
        assert!((whole / quarter - 1.0).abs() < 0.05, "{}: {whole} and {quarter}", description.name);
    }
}

/// The shadow and the ledger watch; they change nothing.
#[test]
fn watching_changes_nothing() {
    let workload = server(Shape::default());
    let plain = simulate(&workload, &settings(1, 8), Mechanism::Sync, 1).unwrap();
    let mut watched = settings(1, 8);
    watched.run.shadow = ShadowSetting::Full;
    let shadowed = simulate(&workload, &watched, Mechanism::Sync, 1).unwrap();
    assert_eq!(plain.stack, shadowed.stack);
    assert!(!shadowed.shadow.is_empty());
    let mut blind = settings(1, 8);
    blind.run.ledger = false;
    let unledgered = simulate(&workload, &blind, Mechanism::Sync, 1).unwrap();
    assert_eq!(plain.stack, unledgered.stack);
}

/// The mechanism's own work is in its own domain, and synchronous calls have none.
#[test]
fn only_mechanisms_do_mechanism_work() {
    let workload = server(Shape::default());
    for description in ALL {
        let sample = simulate(&workload, &settings(1, 16), description.mechanism, 1).unwrap();
        let own = sample.stack.domain(Domain::Mechanism);
        assert_eq!(own > 0, description.mechanism != Mechanism::Sync, "{}: {own}", description.name);
    }
}

/// D1 of validation/DEVIATIONS.md: the recorded client's lines are not recorded, so its time passes without touching a cache.
#[test]
fn d1_the_recorded_client_pollutes_nothing() {
    let workload = server(Shape::default());
    let run = |instructions| {
        let mut own = workload.clone();
        own.client.instructions_user = instructions;
        let mut settings = settings(1, 16);
        settings.clients.kind = ClientKind::Recorded;
        simulate(&own, &settings, Mechanism::Sync, 1).unwrap()
    };
    let (short, long) = (run(1_000), run(4_000));
    let client = |sample: &mechanisms::simulate::Sample| sample.stack.get(Component::Client) / sample.replies;
    assert!(client(&long) > client(&short));
    let misses = |sample: &mechanisms::simulate::Sample| {
        sample.counters.misses(cpu_model::Structure::L1i, Mode::User) as f64 / sample.replies as f64
    };
    assert!((misses(&long) - misses(&short)).abs() <= 0.1 * misses(&short) + 1.0, "{} and {}", misses(&long), misses(&short));
}
