//! Exception-less calls through libflexsc: cancellation, throttling, calls without callback, synchronous calls, kernel cores.

use super::common::{self, Journal, journal, occurred};
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::settings::KernelCoreWait;
use mechanisms::simulate::{Sample, assemble, simulate};
use mechanisms::variants::Way;
use os_model::clients::Arrival;
use os_model::stats::HAND_OVERS;
use proptest::prelude::*;
use sim_core::calls::CallNumber;
use sim_core::ids::CoreId;
use sim_core::stack::{Cause, Component, Domain};
use sim_core::workload::{Program, Workload};
use std::collections::BTreeMap;
use traces::synthetic::{Shape, server};

fn settings(cores: u32, connections: u32) -> Settings {
    let mut settings = common::settings(cores, connections, 300);
    Way::from_name("exception-less:pages").unwrap().apply(&mut settings.mechanism);
    settings
}

fn keep_alive() -> Workload {
    server(Shape::default())
}

fn per_request() -> Workload {
    server(Shape { connection_per_request: true, ..Shape::default() })
}

fn run(workload: &Workload, settings: &Settings) -> Sample {
    settings.validate().unwrap();
    simulate(workload, settings, Mechanism::ExceptionLess, 1).unwrap()
}

/// Every request's calls are those of the recorded chain, once each and in order, again and again as slots are used again.
fn assert_once_each(workload: &Workload, settings: &Settings, replies: u64) -> BTreeMap<&'static str, u64> {
    let chain: Vec<CallNumber> = workload.classes[0].chains[0].steps.iter().map(|step| step.call).collect();
    let Journal { by_slot, occurrences: counts } = journal(workload, settings, Mechanism::ExceptionLess, replies);
    let mut requests = 0;
    for (slot, calls) in by_slot {
        for (index, call) in calls.iter().enumerate() {
            assert_eq!(*call, chain[index % chain.len()], "{slot:?}: {calls:?}");
        }
        requests += calls.len().div_ceil(chain.len()) as u64;
    }
    assert!(requests >= replies, "{requests} requests were begun for {replies} replies");
    counts
}

#[test]
fn without_a_timeout_nothing_is_cancelled() {
    for cores in [1, 4] {
        let sample = run(&keep_alive(), &settings(cores, 16));
        assert_eq!(occurred(&sample, "reads that waited too long"), 0);
        assert_eq!(occurred(&sample, "throttled posts"), 0);
    }
}

/// Clients that think for much longer than a read may wait: reads are cancelled with EINTR and posted again until the data comes.
#[test]
fn reads_of_silent_clients_are_cancelled_and_posted_again() {
    for cores in [1, 4] {
        for workload in [keep_alive(), per_request()] {
            let mut settings = settings(cores, 4);
            settings.clients.think_us = 2_000.0;
            settings.mechanism.exception_less.read_timeout_us = 300.0;
            let counts = assert_once_each(&workload, &settings, 60);
            let cancelled = counts.get("cancelled calls").copied().unwrap_or(0);
            if workload.connection_per_request {
                // a connection's read is posted when its data is on the way: nothing waits so long
                assert_eq!(cancelled, 0, "{cores} cores: {counts:?}");
            } else {
                assert!(cancelled >= 60, "{cores} cores: {counts:?}");
            }
        }
    }
}

/// The race itself: one client's next request comes at a time that is moved over the timeout in steps of a tenth of a microsecond.
/// Before it the read completes, after it the read is cancelled, and in between a cancellation is written that comes too late.
#[test]
fn both_outcomes_of_the_race_happen() {
    let workload = keep_alive();
    let mut outcomes = BTreeMap::<&'static str, u64>::new();
    let mut quiet = 0;
    for tenths in 0..400 {
        let mut settings = settings(2, 1);
        settings.clients.think_us = 480.0 - 20.0 + f64::from(tenths) / 10.0;
        settings.mechanism.exception_less.read_timeout_us = 500.0;
        let counts = journal(&workload, &settings, Mechanism::ExceptionLess, 3).occurrences;
        let late = counts.get("reads that waited too long").copied().unwrap_or(0);
        quiet += u64::from(late == 0);
        for (what, count) in counts {
            *outcomes.entry(what).or_default() += count;
        }
    }
    assert!(quiet > 0, "some requests come in time");
    for what in ["cancelled calls", "cancellations that came too late"] {
        assert!(outcomes.get(what).copied().unwrap_or(0) > 0, "{what}: {outcomes:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whenever requests come, each is served once, and every cancellation that was asked for ends in exactly one of its outcomes.
    #[test]
    fn every_posted_call_completes_once_whenever_requests_come(think_tenths in 0u32..3_000, cores in 1u32..4, limited in any::<bool>()) {
        let workload = keep_alive();
        let mut settings = settings(cores, 6);
        settings.clients.think_us = f64::from(think_tenths) / 10.0;
        settings.mechanism.exception_less.read_timeout_us = 120.0;
        settings.mechanism.exception_less.entries = if limited { 5 } else { 0 };
        let counts = assert_once_each(&workload, &settings, 40);
        let count = |what: &str| counts.get(what).copied().unwrap_or(0);
        let asked = count("reads that waited too long");
        let ended = count("cancelled calls") + count("cancellations that came too late");
        prop_assert!(ended <= asked && asked <= ended + 6, "{:?}", counts);
    }
}

/// A few entries under 64 connections: calls are delayed, nobody starves, nothing stands still. Three kernel cores empty eight entries
/// as fast as the program fills them, so that it takes fewer to delay it.
#[test]
fn a_few_entries_serve_sixty_four_connections() {
    for (cores, entries) in [(1, 8), (4, 4)] {
        for workload in [keep_alive(), per_request()] {
            let mut settings = settings(cores, 64);
            settings.mechanism.exception_less.entries = entries;
            let sample = run(&workload, &settings);
            assert!(sample.replies >= 300);
            assert!(occurred(&sample, "throttled posts") > 0, "{cores} cores");
            assert_eq!(sample.memory_bytes, 4096 + u64::from(entries) * 10_000);
            assert_once_each(&workload, &settings, 200);
        }
    }
}

/// Dormant connections cannot hold the entries for ever: all connections get their turn although most are silent most of the time.
#[test]
fn dormant_connections_give_their_entries_up() {
    for cores in [1, 4] {
        let mut settings = settings(cores, 64);
        settings.mechanism.exception_less.entries = 8;
        settings.clients.arrival = Arrival::Open { rate_rps: 2_000.0 };
        let counts = assert_once_each(&keep_alive(), &settings, 200);
        assert!(counts.get("cancelled calls").copied().unwrap_or(0) > 0, "{cores} cores: {counts:?}");
    }
}

#[test]
fn calls_whose_result_is_ignored_have_no_callback() {
    let workload = per_request();
    let with = run(&workload, &settings(1, 16));
    // one close a request, give or take those under way when the window opens and closes
    let ignored = occurred(&with, "calls without callback");
    assert!(ignored.abs_diff(with.replies) <= 32, "{ignored} in {} requests", with.replies);
    let mut all = settings(1, 16);
    all.mechanism.exception_less.no_callback = Vec::new();
    all.mechanism.exception_less.callback_instructions = 2_000;
    let mut some = settings(1, 16);
    some.mechanism.exception_less.callback_instructions = 2_000;
    let (all, some) = (run(&workload, &all), run(&workload, &some));
    assert_eq!(occurred(&all, "calls without callback"), 0);
    let busy = |sample: &Sample| (sample.stack.total() - sample.stack.get(Component::Idle)) as f64 / sample.replies as f64;
    assert!(busy(&some) < busy(&all), "a callback less a request: {} and {} cycles", busy(&some), busy(&all));
}

#[test]
fn a_call_that_another_depends_on_keeps_its_callback() {
    let workload = per_request();
    let mut settings = settings(1, 16);
    settings.mechanism.exception_less.no_callback = vec!["read".into(), "close".into()];
    let ignored = occurred(&run(&workload, &settings), "calls without callback");
    settings.mechanism.exception_less.no_callback = vec!["close".into()];
    assert_eq!(ignored, occurred(&run(&workload, &settings), "calls without callback"));
}

#[test]
fn synchronous_calls_cross_where_they_stand() {
    let workload = server(Shape { program: Program::Sequential, ..Shape::default() });
    let mut settings = settings(1, 1);
    settings.run.requests = 20;
    let posted = run(&workload, &settings);
    settings.mechanism.exception_less.synchronous_calls = vec!["openat".into()];
    let mixed = run(&workload, &settings);
    assert_eq!(occurred(&mixed, "synchronous calls"), 2 * mixed.replies, "both openat of a run");
    assert!(mixed.calls.iter().sum::<u64>().abs_diff(posted.calls.iter().sum::<u64>()) <= 5, "the same calls");
    // receives are never made synchronous: one connection would stop all others
    let mut served = self::settings(1, 16);
    served.mechanism.exception_less.synchronous_calls = vec!["read".into()];
    assert_eq!(occurred(&run(&keep_alive(), &served), "synchronous calls"), 0);
}

/// With one accept outstanding connections come in one by one; with more the kernel takes them before the program runs again.
#[test]
fn several_accepts_outstanding_need_fewer_waits() {
    let crossings = |accepts| {
        let mut settings = settings(1, 32);
        settings.mechanism.exception_less.accepts_outstanding = accepts;
        let sample = run(&per_request(), &settings);
        sample.call_crossings as f64 / sample.replies as f64
    };
    let (one, many) = (crossings(1), crossings(16));
    assert!(many < one, "waits per request: {many} with 16 accepts, {one} with one");
}

fn at_rate(rate_rps: f64) -> Sample {
    let mut settings = settings(4, 64);
    settings.clients.arrival = Arrival::Open { rate_rps };
    settings.run.requests = 1_000;
    run(&keep_alive(), &settings)
}

/// At a low rate the program's core does it all; at a high rate kernel cores wake up and do most of it.
#[test]
fn kernel_cores_take_part_only_when_there_is_work_for_them() {
    let (low, high) = (at_rate(5_000.0), at_rate(400_000.0));
    let share = |sample: &Sample| {
        let others = occurred(sample, "calls executed on kernel cores");
        others as f64 / (others + occurred(sample, "calls executed on the program's core")) as f64
    };
    assert!(share(&low) < 0.1, "{}", share(&low));
    assert!(share(&high) > 0.6, "{}", share(&high));
    let active = |sample: &Sample| occurred(sample, "kernel core cycles active") as f64 / sample.window_cycles as f64;
    assert!(active(&low) < 0.05 && active(&high) > 0.3, "kernel cores at work: {} and {}", active(&low), active(&high));
}

/// The same server under both rates, one after the other: cores that the high rate woke sleep again under the low one.
#[test]
fn kernel_cores_sleep_again_when_the_load_falls() {
    let mut settings = settings(4, 64);
    // think time stands for the rate: a burst of all connections comes, then a long silence, and again
    settings.clients.think_us = 3_000.0;
    let sample = run(&keep_alive(), &settings);
    let (wakes, sleeps) = (occurred(&sample, "kernel core wake-ups"), occurred(&sample, "kernel core sleeps"));
    assert!(wakes > 0, "bursts wake kernel cores");
    assert!(wakes.abs_diff(sleeps) <= 3, "{wakes} wake-ups and {sleeps} sleeps of three kernel cores");
}

/// A page lock is a line like any other: with several kernel cores it travels between their caches.
#[test]
fn pages_and_locks_travel_between_cores() {
    let transfers = |cores| {
        let sample = run(&keep_alive(), &settings(cores, 64));
        sample.stack.get(Component::Work(Domain::Mechanism, Cause::Transfer))
    };
    assert_eq!(transfers(1), 0);
    assert!(transfers(4) > 0);
}

/// Registering is a real call that clones a thread per entry: the more entries, the later the first reply.
#[test]
fn registration_costs_time_at_the_start() {
    let first_reply = |entries| {
        let workload = keep_alive();
        let mut settings = settings(1, 2);
        settings.mechanism.exception_less.entries = entries;
        let (mut system, mut driver) = assemble(&workload, &settings, Mechanism::ExceptionLess, 1).unwrap();
        system.run(driver.as_mut(), |stats| stats.replies >= 1).unwrap();
        system.now()
    };
    let (few, many) = (first_reply(8), first_reply(128));
    let clones = 120 * u64::from(settings(1, 2).mechanism.exception_less.register_thread_instructions);
    assert!(many > few + clones / 4, "{few} and {many} cycles: at most four instructions a cycle");
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_path() {
    let refused = |change: fn(&mut Settings)| {
        let mut settings = settings(1, 1);
        change(&mut settings);
        settings.validate().unwrap_err().to_string()
    };
    let few = refused(|settings| settings.mechanism.exception_less.entries = 2);
    assert!(few.contains("mechanism.exception_less.entries") && few.contains("at least 4"), "{few}");
    let name = refused(|settings| settings.mechanism.exception_less.no_callback = vec!["clsoe".into()]);
    assert!(name.contains("no_callback") && name.contains("'clsoe'"), "{name}");
    let time = refused(|settings| settings.mechanism.exception_less.read_timeout_us = -1.0);
    assert!(time.contains("read_timeout_us"), "{time}");
}

/// What `flexsc_wait` costs: with hand-overs two direct switches a batch, without them two context switches.
#[test]
fn flexsc_wait_hands_over_without_the_scheduler() {
    let workload = traces::call_loop::CallLoop::null(4).load().unwrap();
    let run_with = |hands_over| {
        let mut settings = settings(1, 1);
        settings.mechanism.exception_less.hands_over = hands_over;
        run(&workload, &settings)
    };
    let (direct, scheduled) = (run_with(true), run_with(false));
    let switches = |sample: &Sample| sample.context_switches as f64 / sample.replies as f64;
    assert!(occurred(&direct, HAND_OVERS).abs_diff(2 * direct.replies) <= 2, "into the kernel and back for each batch");
    assert!(switches(&direct) < 0.05, "{} context switches a batch", switches(&direct));
    assert_eq!(occurred(&scheduled, HAND_OVERS), 0);
    assert!((switches(&scheduled) - 2.0).abs() < 0.05, "{} context switches a batch", switches(&scheduled));
    assert!(direct.window_cycles * 2 < scheduled.window_cycles, "{} and {}", direct.window_cycles, scheduled.window_cycles);
}

/// A call that blocks leaves the processor by the scheduler: only threads that rest hand over.
#[test]
fn a_call_that_blocks_still_switches_context() {
    let sample = run(&keep_alive(), &settings(1, 1));
    assert!(sample.context_switches >= sample.replies, "{} for {} replies", sample.context_switches, sample.replies);
}

/// Posted null calls on two cores, none of which the program's own core executes.
fn on_the_other_core(wait: KernelCoreWait) -> Sample {
    let workload = traces::call_loop::CallLoop::null(8).load().unwrap();
    let mut settings = settings(2, 1);
    settings.mechanism.exception_less.own_core_calls = 0;
    settings.mechanism.exception_less.kernel_cores_wait = wait;
    run(&workload, &settings)
}

/// A core that polls answers soonest, one that must be interrupted later, one that sleeps last.
#[test]
fn how_a_kernel_core_waits_decides_how_soon_it_answers() {
    let waits = [KernelCoreWait::Poll, KernelCoreWait::Interrupt, KernelCoreWait::Sleep];
    let [poll, interrupt, sleep] = waits.map(on_the_other_core);
    for sample in [&poll, &interrupt, &sleep] {
        assert_eq!(occurred(sample, "calls executed on the program's core"), 0);
    }
    assert!(poll.window_cycles < interrupt.window_cycles && interrupt.window_cycles < sleep.window_cycles);
    assert_eq!(occurred(&poll, "inter-processor interrupts"), 0);
    let interrupts = occurred(&interrupt, "inter-processor interrupts");
    assert!(interrupts.abs_diff(2 * interrupt.replies) <= 4, "one for the kernel core and one back, for each batch: {interrupts}");
    assert!(sleep.context_switches >= 2 * sleep.replies, "{} context switches", sleep.context_switches);
}

/// A post that a started core is about to take wakes nobody else.
#[test]
fn one_page_with_work_starts_one_core() {
    let sample = on_the_other_core(KernelCoreWait::Poll);
    let workload = traces::call_loop::CallLoop::null(8).load().unwrap();
    let mut settings = settings(4, 1);
    settings.mechanism.exception_less.own_core_calls = 0;
    let four = run(&workload, &settings);
    let active = |sample: &Sample| occurred(sample, "kernel core cycles active") as f64 / sample.replies as f64;
    assert!(active(&four) < 1.1 * active(&sample), "{} cycles on four cores, {} on two", active(&four), active(&sample));
}

/// A card with one receive queue interrupts the first kernel core, not the program's.
#[test]
fn one_receive_queue_interrupts_a_kernel_core() {
    let workload = keep_alive();
    let mut settings = settings(4, 16);
    settings.kernel.network.receive_side_scaling = false;
    let (system, _) = assemble(&workload, &settings, Mechanism::ExceptionLess, 1).unwrap();
    assert!(system.connections.iter().all(|connection| connection.queue == CoreId(1)));
    settings.run.cores = 1;
    let (system, _) = assemble(&workload, &settings, Mechanism::ExceptionLess, 1).unwrap();
    assert!(system.connections.iter().all(|connection| connection.queue == CoreId(0)));
}
