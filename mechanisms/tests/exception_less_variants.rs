//! The forms of exception-less calls beside scanned pages: queues, a posted event loop, a non-blocking kernel, FlexSC-Threads.

use super::common::{self, journal, occurred};
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::settings::ExceptionLessVariant;
use mechanisms::simulate::{Sample, assemble, simulate};
use os_model::clients::Arrival;
use os_model::stats::Stats;
use os_model::task::TaskKind;
use sim_core::block::Region;
use sim_core::calls::CallNumber;
use sim_core::stack::Domain;
use sim_core::workload::{Program, Workload};
use std::collections::BTreeSet;
use traces::synthetic::{Shape, server};

const VARIANTS: [ExceptionLessVariant; 4] =
    [ExceptionLessVariant::Queues, ExceptionLessVariant::Epoll, ExceptionLessVariant::NonBlocking, ExceptionLessVariant::Threads];

fn settings(variant: ExceptionLessVariant, cores: u32, connections: u32) -> Settings {
    let mut settings = common::settings(cores, connections, 300);
    settings.mechanism.exception_less.variant = variant;
    settings
}

fn run(workload: &Workload, settings: &Settings) -> Sample {
    simulate(workload, settings, Mechanism::ExceptionLess, 1).unwrap()
}

fn per_reply(count: u64, sample: &Sample) -> f64 {
    count as f64 / sample.replies as f64
}

#[test]
fn every_call_is_executed_once_and_in_order_whatever_the_variant() {
    let workload = server(Shape { connection_per_request: true, ..Shape::default() });
    let expected = ["accept4", "read", "sendmsg", "close"];
    for variant in VARIANTS {
        for cores in [1, 3] {
            let slots = journal(&workload, &settings(variant, cores, 12), Mechanism::ExceptionLess, 200).by_slot;
            assert!(slots.values().map(Vec::len).sum::<usize>() >= 700, "{variant:?}: few calls");
            for (slot, calls) in slots {
                for (index, call) in calls.iter().enumerate() {
                    assert_eq!(call.name(), expected[index % 4], "{variant:?} on {cores} cores, {slot:?}, call {index}");
                }
            }
        }
    }
}

/// The event library posts independent calls together; a thread makes one after the other, and its calls keep the program's order
/// even where nothing depends on it.
#[test]
fn user_threads_keep_program_order() {
    let sequential = server(Shape { program: Program::Sequential, ..Shape::default() });
    let program = ["openat", "read", "openat", "read", "close"];
    let slots = journal(&sequential, &settings(ExceptionLessVariant::Threads, 1, 1), Mechanism::ExceptionLess, 20).by_slot;
    for calls in slots.values() {
        for (index, call) in calls.iter().enumerate() {
            assert_eq!(call.name(), program[index % program.len()], "call {index}");
        }
    }
    let threads = run(&sequential, &settings(ExceptionLessVariant::Threads, 1, 1));
    let library = run(&sequential, &settings(ExceptionLessVariant::Pages, 1, 1));
    assert!(threads.call_crossings > library.call_crossings, "one wait a call against one for what is independent");
}

/// Many user threads post before the scheduler waits: the batch grows with the connections, crossings per request fall.
#[test]
fn batches_arise_from_many_user_threads() {
    let workload = server(Shape { program: Program::ThreadPerConnection, ..Shape::default() });
    let few = run(&workload, &settings(ExceptionLessVariant::Threads, 1, 2));
    let many = run(&workload, &settings(ExceptionLessVariant::Threads, 1, 48));
    let crossings = |sample: &Sample| per_reply(sample.call_crossings, sample);
    assert!(crossings(&many) * 3.0 < crossings(&few), "{} and {}", crossings(&many), crossings(&few));
    assert!(occurred(&many, "user thread switches") >= many.replies, "each reply takes at least one switch");
}

/// A program whose descriptors do not block gets EAGAIN and asks for readiness: the library does not change it.
#[test]
fn user_threads_make_the_recorded_readiness_call() {
    let mut workload = server(Shape { program: Program::ThreadPerConnection, ..Shape::default() });
    let before = run(&workload, &settings(ExceptionLessVariant::Threads, 1, 2));
    assert_eq!(before.calls[usize::from(CallNumber::POLL.0)], 0);
    workload.blocking.again = workload.blocking.wake.clone();
    workload.blocking.again_user = workload.wait.iter().flat_map(|wait| wait.user.clone()).collect();
    for cores in [1, 2] {
        let sample = run(&workload, &settings(ExceptionLessVariant::Threads, cores, 4));
        let polls = sample.calls[usize::from(CallNumber::POLL.0)];
        let reads = sample.calls[usize::from(CallNumber::READ.0)];
        assert!(polls > 0, "some receives found nothing");
        // a receive of a request is one read that finds its data, and one that does not for each readiness call
        let data_reads = per_reply(reads - polls, &sample);
        assert!((0.9..=1.1).contains(&data_reads), "{data_reads} reads with data a reply");
        let library = run(&workload, &settings(ExceptionLessVariant::Pages, cores, 4));
        assert_eq!(library.calls[usize::from(CallNumber::POLL.0)], 0, "the port to posted reads needs no readiness call");
    }
}

/// With slow clients most connections have a read outstanding that nothing happens to. Pages are scanned all the same.
#[test]
fn queues_cost_nothing_for_calls_that_only_wait() {
    let workload = server(Shape::default());
    let own_work = |variant, connections: u32| {
        let mut settings = settings(variant, 1, connections);
        // so slow that the load is the same whatever the number of connections
        settings.clients.arrival = Arrival::Open { rate_rps: 20_000.0 };
        let sample = run(&workload, &settings);
        per_reply(sample.stack.domain(Domain::Mechanism), &sample)
    };
    let pages = own_work(ExceptionLessVariant::Pages, 256) - own_work(ExceptionLessVariant::Pages, 16);
    let queues = own_work(ExceptionLessVariant::Queues, 256) - own_work(ExceptionLessVariant::Queues, 16);
    assert!(pages > 1_000.0, "scanning 256 entries costs {pages} cycles a reply more than scanning 16");
    assert!(queues.abs() * 10.0 < pages, "queues: {queues} more, pages: {pages} more");
}

/// The price of queues: all kernel cores move the same indices, so that their lines travel.
#[test]
fn queues_share_their_index_lines_between_cores() {
    let workload = server(Shape::default());
    let own_work = |cores| {
        let sample = run(&workload, &settings(ExceptionLessVariant::Queues, cores, 64));
        per_reply(sample.stack.domain(Domain::Mechanism), &sample)
    };
    let (one, four) = (own_work(1), own_work(4));
    assert!(four > 1.2 * one, "cycles a reply: {one} on one core, {four} on four");
}

/// One syscall thread serves all: a call that waits costs no switch to another thread and back.
#[test]
fn a_kernel_that_never_blocks_switches_less() {
    let workload = server(Shape { connection_per_request: true, ..Shape::default() });
    let sample = |variant| {
        let mut settings = settings(variant, 1, 24);
        settings.clients.arrival = Arrival::Open { rate_rps: 15_000.0 };
        run(&workload, &settings)
    };
    let pages = sample(ExceptionLessVariant::Pages);
    let parking = sample(ExceptionLessVariant::NonBlocking);
    let switches = |sample: &Sample| per_reply(sample.context_switches, sample);
    assert!(occurred(&parking, "parked calls") > 0, "calls had to wait");
    assert!(switches(&parking) < switches(&pages), "{} and {}", switches(&parking), switches(&pages));
}

#[test]
fn memory_follows_from_what_each_variant_keeps() {
    let workload = server(Shape::default());
    let bytes = |variant, connections| {
        let mut settings = settings(variant, 1, connections);
        settings.run.requests = 20;
        run(&workload, &settings).memory_bytes
    };
    let pages = bytes(ExceptionLessVariant::Pages, 200);
    // 408 calls in 7 pages, a thread of 10 KB for each entry
    assert_eq!(pages, 7 * (4096 + 64 * 10_000));
    assert_eq!(bytes(ExceptionLessVariant::NonBlocking, 200), 7 * 4096 + 10_000 + 7 * 64 * 5 * 64);
    assert!(bytes(ExceptionLessVariant::Queues, 200) > 448 * 10_000, "queues do not save the threads");
    assert_eq!(bytes(ExceptionLessVariant::Epoll, 200), bytes(ExceptionLessVariant::Epoll, 20), "one thread waits for all");
    assert!(bytes(ExceptionLessVariant::Threads, 200) > bytes(ExceptionLessVariant::Threads, 20));
}

/// The event loop stays: readiness calls are executed, but they cross no boundary of their own.
#[test]
fn a_posted_event_loop_keeps_its_readiness_calls_and_loses_their_crossings() {
    let workload = server(Shape::default());
    let readiness = |sample: &Sample| sample.calls[232];
    let posted = run(&workload, &settings(ExceptionLessVariant::Epoll, 1, 32));
    let synchronous = simulate(&workload, &settings(ExceptionLessVariant::Epoll, 1, 32), Mechanism::Sync, 1).unwrap();
    assert!(readiness(&posted) > 0);
    assert_eq!(readiness(&run(&workload, &settings(ExceptionLessVariant::Pages, 1, 32))), 0);
    assert!(per_reply(posted.call_crossings, &posted) * 2.0 < per_reply(synchronous.call_crossings, &synchronous));
}

/// One page of 64 entries serves 200 connections.
#[test]
fn a_posted_event_loop_is_throttled_without_standstill() {
    for per_request in [false, true] {
        let workload = server(Shape { connection_per_request: per_request, ..Shape::default() });
        for cores in [1, 2] {
            let sample = run(&workload, &settings(ExceptionLessVariant::Epoll, cores, 200));
            assert!(sample.replies >= 300, "{cores} cores");
        }
    }
}

#[test]
fn a_program_without_an_event_loop_has_no_readiness_calls_to_post() {
    let workload = server(Shape { program: Program::ThreadPerConnection, ..Shape::default() });
    let settings = settings(ExceptionLessVariant::Epoll, 1, 4);
    let reason = Mechanism::ExceptionLess.inapplicable(&workload, &settings.mechanism).unwrap();
    assert!(reason.contains("event loop"), "{reason}");
}

/// User threads have stacks of their own: the same lines of code on many connections touch many stacks.
#[test]
fn each_user_thread_has_its_own_stack() {
    let workload = server(Shape { program: Program::ThreadPerConnection, ..Shape::default() });
    let touches_stack = workload
        .classes
        .iter()
        .flat_map(|class| &class.chains)
        .flat_map(|chain| &chain.steps)
        .any(|step| workload.blocks.ops(step.user).iter().any(|op| op.region == Region::UserStack));
    assert!(touches_stack, "the made-up server uses its stack");
    let settings = settings(ExceptionLessVariant::Threads, 1, 8);
    let (mut system, mut driver) = assemble(&workload, &settings, Mechanism::ExceptionLess, 1).unwrap();
    let user = system.tasks.iter().position(|task| task.priority == 0 && task.kind == TaskKind::Program).unwrap();
    let mut stacks = BTreeSet::new();
    while system.stats.replies < 64 {
        let mut steps = 0;
        let one_step = |_: &Stats| std::mem::replace(&mut steps, 1) == 1;
        system.run(driver.as_mut(), one_step).unwrap();
        stacks.insert(system.tasks[user].thread);
    }
    assert_eq!(stacks, (0..8).collect(), "stacks that the kernel-visible thread ran on");
}
