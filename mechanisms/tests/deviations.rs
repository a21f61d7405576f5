//! Known deviations (validation/DEVIATIONS.md) that are still there: each test fails when its gap closes, so that the list follows.

use super::common;
use cpu_model::Structure;
use mechanisms::experiment::{Settings, ShadowSetting};
use mechanisms::registry::Mechanism;
use mechanisms::settings::{BatchedScriptVariant, ExceptionLessVariant, SyncVariant};
use mechanisms::simulate::{Sample, assemble, simulate};
use os_model::clients::{Arrival, Spacing};
use os_model::kernel::Mitigations;
use os_model::stats::Stats;
use os_model::system::REFUSED_CONNECTIONS;
use os_model::task::TaskKind;
use sim_core::block::{BlockId, Region};
use sim_core::calls::CallNumber;
use sim_core::ids::Mode;
use sim_core::stack::Component;
use sim_core::workload::Program;
use std::collections::BTreeSet;
use traces::synthetic::{Shape, server};

fn settings(cores: u32, connections: u32) -> Settings {
    common::settings(cores, connections, 200)
}

fn calls(sample: &Sample, name: &str) -> u64 {
    sample.calls[usize::from(CallNumber::from_name(name).unwrap().0)]
}

/// Closed since each entry has a thread that can sleep in its call, and each core one more that looks for work meanwhile.
#[test]
fn d2_every_entry_has_a_syscall_thread() {
    let workload = server(Shape::default());
    let mut settings = settings(2, 4);
    settings.mechanism.exception_less.entries = 64;
    let (system, _) = assemble(&workload, &settings, Mechanism::ExceptionLess, 1).unwrap();
    let threads = system.tasks.iter().filter(|task| task.kind == TaskKind::Program).count();
    assert_eq!(threads, 1 + 64 + 2);
}

/// A thread-per-connection program has a stack for each thread; through syscall pages it runs on one.
#[test]
fn d3_syscall_pages_serve_threads_on_one_user_stack() {
    let workload = server(Shape { program: Program::ThreadPerConnection, ..Shape::default() });
    let mut settings = settings(1, 8);
    settings.mechanism.exception_less.variant = ExceptionLessVariant::Pages;
    let (mut system, mut driver) = assemble(&workload, &settings, Mechanism::ExceptionLess, 1).unwrap();
    let user = system.tasks.iter().position(|task| task.priority == 0 && task.kind == TaskKind::Program).unwrap();
    let mut stacks = BTreeSet::new();
    while system.stats.replies < 64 {
        let mut steps = 0;
        system.run(driver.as_mut(), |_: &Stats| std::mem::replace(&mut steps, 1) == 1).unwrap();
        stacks.insert(system.tasks[user].thread);
    }
    assert_eq!(stacks.len(), 1);
}

/// Three busy threads on two cores: with balancing each core would be busy all the time.
#[test]
fn d4_no_thread_moves_to_an_idle_core() {
    let workload = server(Shape { kernel_lines: 1500, ..Shape::default() });
    let mut settings = settings(2, 3);
    settings.mechanism.sync.variant = SyncVariant::Threads;
    let sample = simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
    let idle = |core: usize| sample.stacks[core].get(Component::Idle);
    assert!(idle(1) > 2 * idle(0), "{} and {} idle cycles", idle(0), idle(1));
}

#[test]
fn d5_handlers_execute_what_was_recorded_without_mitigations() {
    let workload = server(Shape::default());
    let read = |mitigations| {
        let mut settings = settings(1, 16);
        settings.kernel.mitigations = mitigations;
        let sample = simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
        let own = sample.agents.iter().find(|(agent, _)| agent.as_call() == Some(CallNumber::READ)).unwrap().1;
        own.instructions / calls(&sample, "read")
    };
    assert_eq!(read(Mitigations::Off), read(Mitigations::Default));
}

/// One set in eight is too few for a cache that is used as unevenly as the first level by user code.
#[test]
fn d10_a_sampled_shadow_misstates_small_counts() {
    let workload = traces::bundled::load("memcached").unwrap();
    let user_l1i = |shadow| {
        let mut settings = settings(1, 16);
        settings.run.shadow = shadow;
        let sample = simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
        let row = sample.shadow.iter().find(|row| row.structure == Structure::L1i && row.mode == Mode::User).unwrap();
        row.misses_alone as f64
    };
    let off = user_l1i(ShadowSetting::Sampled(8)) / user_l1i(ShadowSetting::Full) - 1.0;
    assert!(off.abs() > 0.15, "{:+.0} %", 100.0 * off);
}

/// A script that does nothing but chains of dependent calls should lose to the calls themselves.
#[test]
fn d11_a_script_does_not_lose_at_one_connection() {
    let workload = traces::bundled::load("nginx").unwrap();
    let busy_cycles = |mechanism| {
        let sample = simulate(&workload, &settings(1, 1), mechanism, 1).unwrap();
        let idle = sample.stack.get(Component::Idle);
        (sample.stacks.len() as u64 * sample.window_cycles - idle) / sample.replies
    };
    let (sync, script) = (busy_cycles(Mechanism::Sync), busy_cycles(Mechanism::BatchedScript));
    assert!(script < sync, "{script} cycles a request by script, {sync} without");
}

/// A kernel keeps what `poll` reads of a socket where a read of that socket finds it.
#[test]
fn d12_poll_looks_descriptors_up_on_lines_of_their_own() {
    let workload = traces::bundled::load("memcached").unwrap();
    let lines = |blocks: &mut dyn Iterator<Item = BlockId>| -> BTreeSet<u32> {
        let ops = blocks.flat_map(|block| workload.blocks.ops(block));
        ops.filter(|op| op.region == Region::KernelConnection).map(|op| op.offset).collect()
    };
    let chains = workload.classes.iter().flat_map(|class| &class.chains);
    let calls = lines(&mut chains.flat_map(|chain| &chain.steps).map(|step| step.kernel));
    let poll = workload.readiness.poll.as_ref().unwrap();
    let poll = lines(&mut poll.lookup.iter().chain(&poll.put).copied());
    assert!(!calls.is_empty() && !poll.is_empty());
    assert_eq!(calls.intersection(&poll).count(), 0);
}

/// Without the thread, requests that the service does not answer wait for all others; with it the program gets its share of the core.
#[test]
fn d15_what_a_softirq_cannot_finish_is_left_to_a_thread() {
    let workload = traces::bundled::load("memcached").unwrap();
    let under = |mechanism, passes| {
        let mut settings = settings(1, 256);
        settings.run.requests = 1500;
        settings.kernel.network.softirq.passes = passes;
        let sample = simulate(&workload, &settings, mechanism, 1).unwrap();
        sample.latency.microseconds(u64::from(settings.machine.frequency_mhz) * 1_000_000)
    };
    let (starved, shared) = (under(Mechanism::InKernelDsl, 0), under(Mechanism::InKernelDsl, 10));
    assert!(starved.p99 > 50.0 * starved.p50, "p50 {} us, p99 {} us", starved.p50, starved.p99);
    assert!(shared.p99 < 5.0 * shared.p50, "p50 {} us, p99 {} us", shared.p50, shared.p99);
    let (without, with) = (under(Mechanism::Sync, 0), under(Mechanism::Sync, 10));
    assert_eq!((without.p50, without.p99), (with.p50, with.p99), "a server that keeps up with its packets needs no thread");
}

/// `recvmmsg` of one message costs what the workload's own call costs: nothing of the recorded one's head and loop.
#[test]
fn d17_message_batches_do_not_execute_the_recorded_recvmmsg() {
    let workload = traces::bundled::load("memcached-udp").unwrap();
    let instructions = |mechanism, call: &str| {
        let mut settings = settings(1, 1);
        settings.mechanism.batched_script.variant = BatchedScriptVariant::MessageBatch;
        let sample = simulate(&workload, &settings, mechanism, 1).unwrap();
        let number = CallNumber::from_name(call);
        let own = sample.agents.iter().find(|(agent, _)| agent.as_call().is_some() && agent.as_call() == number).unwrap().1;
        own.instructions as f64 / calls(&sample, call) as f64
    };
    let (batched, own) = (instructions(Mechanism::BatchedScript, "recvmmsg"), instructions(Mechanism::Sync, "recvfrom"));
    assert!((batched / own - 1.0).abs() < 0.02, "{batched} and {own} instructions");
}

/// A core that spins on syscall pages shows no cycle of its own in any mode.
#[test]
fn d18_polling_cores_are_idle() {
    let workload = server(Shape::default());
    let mut settings = settings(2, 1);
    settings.mechanism.exception_less.own_core_calls = 0;
    let sample = simulate(&workload, &settings, Mechanism::ExceptionLess, 1).unwrap();
    let polled = sample.occurrences.iter().find(|(name, _)| *name == "kernel core cycles polled").map_or(0, |entry| entry.1);
    let idle: u64 = sample.stacks.iter().map(|stack| stack.get(Component::Idle)).sum();
    assert!(polled > 0 && idle >= polled, "{polled} cycles polled, {idle} idle");
}

#[test]
fn d19_the_service_for_files_opens_and_logs_nothing() {
    let workload = traces::bundled::load("nginx").unwrap();
    let run = |mechanism| simulate(&workload, &settings(1, 16), mechanism, 1).unwrap();
    let (program, service) = (run(Mechanism::Sync), run(Mechanism::InKernelDsl));
    let left_out = |sample: &Sample| (calls(sample, "openat") + calls(sample, "write")) as f64 / sample.replies as f64;
    assert!(left_out(&program) > 1.9, "{}", left_out(&program));
    assert!(left_out(&service) < 0.1, "{}", left_out(&service));
}

/// `work` is called for every event, also for those of accepts that it leaves to the program.
#[test]
fn d20_a_script_without_wait_is_entered_for_nothing() {
    let workload = server(Shape { connection_per_request: true, ..Shape::default() });
    let crossings = |source: &str| {
        let mut settings = settings(1, 16);
        settings.mechanism.batched_script.script = "test.lua".into();
        settings.mechanism.batched_script.source = source.into();
        let sample = simulate(&workload, &settings, Mechanism::BatchedScript, 1).unwrap();
        sample.call_crossings as f64 / sample.replies as f64
    };
    let (idle, ignoring) = (crossings("local x = 1"), crossings("function work() end"));
    assert!(
        ignoring > idle + 0.5,
        "{idle} crossings a request without a script's work, {ignoring} with one that ignores its events"
    );
}

/// A client whose SYN was dropped tries again after a second; in a window of milliseconds it is gone.
#[test]
fn d29_a_refused_connection_does_not_come_back() {
    let workload = server(Shape { kernel_lines: 1500, ..Shape::default() });
    let mut settings = settings(1, 256);
    settings.clients.arrival = Arrival::Sessions { rate_rps: 1_600_000.0, requests_per_connection: 5, spacing: Spacing::Periodic };
    settings.kernel.network.accept_backlog = 4;
    let (mut system, mut driver) = assemble(&workload, &settings, Mechanism::Sync, 1).unwrap();
    let refused = |stats: &Stats| -> u64 {
        stats.occurrences.iter().filter(|(name, _)| *name == REFUSED_CONNECTIONS).map(|(_, count)| count).sum()
    };
    system.run(driver.as_mut(), |stats| stats.replies >= 200).unwrap();
    let turned_away = refused(&system.stats);
    assert!((1..=256).contains(&turned_away), "none of 256 connections is turned away twice: {turned_away}");
}
