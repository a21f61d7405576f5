//! io_uring: rings, polls, polling threads, workers, links.

use super::common::{self, journal, occurred};
use mechanisms::experiment::Settings;
use mechanisms::settings::{Punted, TaskRun};
use mechanisms::simulate::{Sample, simulate};
use mechanisms::variants::Way;
use os_model::action::Slot;
use os_model::stats::BatchLimit;
use sim_core::calls::CallNumber;
use sim_core::workload::{Program, Workload};
use std::collections::BTreeMap;
use traces::synthetic::{Shape, server};

const WAYS: [&str; 4] = [
    "exception-less:io-uring",
    "exception-less:io-uring-poll-same-core",
    "exception-less:io-uring-poll-other-core",
    "batched-script:io-uring-enter",
];

fn settings(way: &str, cores: u32, connections: u32) -> (Settings, Way) {
    let mut settings = common::settings(cores, connections, 150);
    let way = Way::from_name(way).unwrap();
    way.apply(&mut settings.mechanism);
    (settings, way)
}

fn run(workload: &Workload, settings: &Settings, way: Way) -> Sample {
    simulate(workload, settings, way.mechanism, 1).unwrap_or_else(|error| panic!("{}: {error}", way.name()))
}

fn per_request(shape: Shape) -> Workload {
    server(Shape { connection_per_request: true, ..shape })
}

fn sequential() -> Workload {
    server(Shape { program: Program::Sequential, ..Shape::default() })
}

/// Independent calls that do nothing.
fn null_calls() -> Workload {
    let mut workload = sequential();
    let mut step = workload.classes[0].chains[0].steps[0].clone();
    step.call = CallNumber::from_name("getppid").unwrap();
    step.depends = Vec::new();
    workload.classes[0].chains[0].steps = vec![step; 128];
    workload
}

fn assert_in_order(journal: BTreeMap<Slot, Vec<&'static str>>, expected: &[&str], what: &str) {
    assert!(!journal.is_empty(), "{what}");
    for (slot, names) in journal {
        for (index, name) in names.iter().enumerate() {
            assert_eq!(*name, expected[index % expected.len()], "{what}, {slot:?}: {names:?}");
        }
    }
}

#[test]
fn every_call_executes_once_and_in_order() {
    let short = Shape { user_lines: 20, ..Shape::default() };
    for way in WAYS {
        for cores in [1, 3] {
            let (mut settings, way) = settings(way, cores, 12);
            let expected = ["accept4", "read", "sendmsg", "close"];
            let plain = journal(&per_request(short), &settings, way.mechanism, 120).names();
            assert_in_order(plain, &expected, &way.name());
            settings.mechanism.io_uring.links = false;
            let unlinked = journal(&per_request(short), &settings, way.mechanism, 120).names();
            assert_in_order(unlinked, &expected, &format!("{} without links", way.name()));
            settings.mechanism.io_uring.multishot_accept = true;
            settings.mechanism.io_uring.task_run = TaskRun::Interrupt;
            let multishot = journal(&per_request(short), &settings, way.mechanism, 120).names();
            assert_in_order(multishot, &expected, &format!("{}, multishot, interrupts", way.name()));
        }
    }
}

#[test]
fn a_receive_that_stays_armed_serves_all_requests_of_its_connection() {
    let (mut settings, way) = settings(WAYS[0], 1, 12);
    let workload = server(Shape::default());
    let single = run(&workload, &settings, way);
    settings.mechanism.io_uring.multishot_receive = true;
    assert_in_order(journal(&workload, &settings, way.mechanism, 120).names(), &["read", "sendmsg"], "multishot receive");
    let multishot = run(&workload, &settings, way);
    let arms = |sample: &Sample| occurred(sample, "armed polls") as f64 / sample.replies as f64;
    assert!(arms(&single) > 0.5, "{}", arms(&single));
    assert!(arms(&multishot) < 0.1, "{}", arms(&multishot));
}

/// Debug assertions in the rings check that neither overflows; the run shows that nothing stands still.
#[test]
fn small_rings_throttle_without_standstill() {
    for way in WAYS {
        for workload in [server(Shape::default()), per_request(Shape::default()), null_calls()] {
            let (mut settings, way) = settings(way, 2, 64);
            settings.mechanism.io_uring.entries = 4;
            settings.mechanism.io_uring.accepts_outstanding = 64;
            settings.run.requests = if workload.program == Program::Sequential { 2 } else { 150 };
            let sample = run(&workload, &settings, way);
            assert!(sample.replies >= settings.run.requests, "{}", way.name());
            assert!(sample.batches.iter().all(|batch| batch.size <= 4), "{}", way.name());
        }
    }
}

#[test]
fn an_idle_polling_thread_sleeps_and_is_woken_by_an_enter() {
    for way in [WAYS[1], WAYS[2]] {
        let (mut settings, way) = settings(way, 2, 1);
        settings.clients.think_us = 100.0;
        settings.run.requests = 30;
        settings.mechanism.io_uring.poll_idle_us = 20;
        let workload = server(Shape::default());
        let drowsy = run(&workload, &settings, way);
        assert!(occurred(&drowsy, "poll thread sleeps") >= 30, "{}: {:?}", way.name(), drowsy.occurrences);
        // on another core the thread gives up while the program works; on its own it runs only while the program waits
        if way.name() == WAYS[2] {
            settings.mechanism.io_uring.poll_idle_us = 1;
            let sleepy = run(&server(Shape { user_lines: 2_000, ..Shape::default() }), &settings, way);
            assert!(occurred(&sleepy, "poll thread wake-ups") >= 30, "{:?}", sleepy.occurrences);
        }
        settings.mechanism.io_uring.poll_idle_us = 1_000_000;
        let awake = run(&workload, &settings, way);
        assert_eq!(occurred(&awake, "poll thread sleeps"), 0, "{}", way.name());
        let idle = |sample: &Sample| sample.stack.get(sim_core::stack::Component::Idle);
        assert!(idle(&awake) < idle(&drowsy), "{}: a spinning thread's core is not idle", way.name());
    }
}

#[test]
fn calls_for_storage_go_to_workers_and_come_back() {
    for way in [WAYS[0], WAYS[1], WAYS[3]] {
        let (mut settings, way) = settings(way, 2, 1);
        settings.run.requests = 4;
        settings.mechanism.io_uring.storage_permille = 1000;
        let workload = sequential();
        let sample = run(&workload, &settings, way);
        let handed = occurred(&sample, "calls handed to workers") as f64 / sample.replies as f64;
        assert!((3.0..=5.0).contains(&handed), "{}: two opens and two reads a run, {handed} handed over", way.name());
        settings.mechanism.io_uring.storage_permille = 500;
        let half = run(&workload, &settings, way);
        let handed = occurred(&half, "calls handed to workers") as f64 / half.replies as f64;
        assert!((1.0..=3.0).contains(&handed), "{}: every other one, {handed} handed over", way.name());
        for names in journal(&workload, &settings, way.mechanism, 10).names().into_values() {
            for one in names.chunks(5).filter(|one| one.len() == 5) {
                let first = |name: &str| one.iter().position(|call| *call == name).unwrap();
                assert!(first("openat") < first("read") && first("read") < first("close"), "{}: {one:?}", way.name());
                assert_eq!(one.iter().filter(|call| **call == "openat").count(), 2);
            }
        }
    }
}

#[test]
fn calls_that_are_never_inline_stay_calls_or_go_to_workers() {
    let mut workload = sequential();
    for step in &mut workload.classes[0].chains[0].steps {
        step.call = CallNumber::from_name("newfstatat").unwrap();
    }
    let (mut settings, way) = settings(WAYS[0], 1, 1);
    settings.run.requests = 4;
    let direct = run(&workload, &settings, way);
    assert_eq!(occurred(&direct, "calls handed to workers"), 0);
    assert!(direct.call_crossings >= 5 * direct.replies);
    settings.mechanism.io_uring.punted = Punted::Worker;
    let handed = run(&workload, &settings, way);
    assert!(occurred(&handed, "calls handed to workers") >= 4 * handed.replies);
    assert!(handed.call_crossings < direct.call_crossings);
}

#[test]
fn links_save_enters_where_only_the_order_matters() {
    let workload = per_request(Shape { user_lines: 20, ..Shape::default() });
    let (mut settings, way) = settings(WAYS[0], 1, 1);
    let linked = run(&workload, &settings, way);
    settings.mechanism.io_uring.links = false;
    let unlinked = run(&workload, &settings, way);
    // accept brings a descriptor and read brings data: only the close can be linked, to the send
    let links = occurred(&linked, "linked calls") as f64 / linked.replies as f64;
    assert!((0.9..=1.1).contains(&links), "{links}");
    assert_eq!(occurred(&unlinked, "linked calls"), 0);
    let enters = |sample: &Sample| occurred(sample, "enters") as f64 / sample.replies as f64;
    assert!(enters(&linked) < enters(&unlinked) - 0.5, "{} and {}", enters(&linked), enters(&unlinked));
}

#[test]
fn a_bigger_batch_makes_a_null_call_cheaper() {
    let workload = null_calls();
    let mut last = f64::MAX;
    for limit in [1, 4, 16, 64] {
        let (mut settings, way) = settings(WAYS[3], 1, 1);
        settings.mechanism.batched_script.limit = limit;
        settings.run.requests = 4;
        let sample = run(&workload, &settings, way);
        let full = sample.batches.iter().filter(|batch| batch.limit == BatchLimit::Limit && batch.size == limit);
        assert!(full.map(|batch| batch.count).sum::<u64>() >= 128 / u64::from(limit), "{:?}", sample.batches);
        let cycles = sample.window_cycles as f64 / sample.replies as f64;
        assert!(cycles < last, "limit {limit}: {cycles} after {last}");
        last = cycles;
    }
}

#[test]
fn receives_that_wait_arm_polls_and_cost_no_readiness_call() {
    let (settings, way) = settings(WAYS[0], 1, 16);
    let sample = run(&server(Shape::default()), &settings, way);
    assert_eq!(sample.calls[usize::from(CallNumber::from_name("epoll_wait").unwrap().0)], 0);
    assert!(occurred(&sample, "armed polls") > 0 && occurred(&sample, "enters") > 0);
}

#[test]
fn the_same_seed_gives_the_same_run_with_workers_and_polling_threads() {
    let workload = per_request(Shape::default());
    for way in [WAYS[1], WAYS[2]] {
        let (mut settings, way) = settings(way, 3, 24);
        settings.mechanism.io_uring.poll_idle_us = 30;
        let (one, two) = (run(&workload, &settings, way), run(&workload, &settings, way));
        assert_eq!((one.stack, one.reply_times, one.occurrences), (two.stack, two.reply_times, two.occurrences), "{}", way.name());
    }
}
