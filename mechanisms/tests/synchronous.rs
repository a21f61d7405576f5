//! Synchronous calls: ways of asking for readiness, threads, shared listening sockets.

use super::common::{self, occurred};
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::settings::SyncVariant;
use mechanisms::simulate::{Sample, simulate};
use os_model::connection::AcceptSharing;
use sim_core::calls::CallNumber;
use sim_core::ids::Mode;
use sim_core::workload::{Program, Workload};
use traces::synthetic::{Shape, server};

fn settings(cores: u32, connections: u32, variant: SyncVariant) -> Settings {
    let mut settings = common::settings(cores, connections, 200);
    settings.mechanism.sync.variant = variant;
    settings
}

fn run(workload: &Workload, settings: &Settings) -> Sample {
    simulate(workload, settings, Mechanism::Sync, 1).unwrap()
}

fn per_reply(sample: &Sample, call: CallNumber) -> f64 {
    sample.calls[usize::from(call.0)] as f64 / sample.replies as f64
}

#[test]
fn edge_triggered_reads_end_with_one_that_finds_nothing() {
    let workload = server(Shape::default());
    for connections in [1, 16] {
        let sample = run(&workload, &settings(1, connections, SyncVariant::EpollEdge));
        let empty = occurred(&sample, "reads that found nothing");
        let reads = sample.calls[usize::from(CallNumber::READ.0)];
        assert!(reads.abs_diff(sample.replies + empty) <= u64::from(connections), "{reads} reads, {empty} empty");
        assert!(empty.abs_diff(sample.replies) <= u64::from(connections), "in a closed loop nothing more can be there: {empty}");
    }
}

/// `poll` goes through all descriptors at each call, `epoll_wait` through the ready ones.
#[test]
fn the_work_of_poll_grows_with_the_descriptors() {
    let workload = server(Shape::default());
    let instructions = |connections, variant| {
        let mut settings = settings(1, connections, variant);
        // few connections are active, as in a server with idle ones
        settings.clients.think_us = 2000.0;
        let sample = run(&workload, &settings);
        let calls = (sample.calls[usize::from(CallNumber::POLL.0)] + sample.calls[232]).max(1);
        let agent = match variant {
            SyncVariant::Poll => CallNumber::POLL,
            _ => CallNumber(232),
        };
        let own = sample.agents.iter().find(|(own, _)| own.as_call() == Some(agent)).unwrap().1;
        own.instructions / calls
    };
    let (few, many) = (instructions(4, SyncVariant::Poll), instructions(32, SyncVariant::Poll));
    assert!(many > few * 4, "{few} instructions a call for 4 descriptors, {many} for 32");
    let (few, many) = (instructions(4, SyncVariant::Recorded), instructions(32, SyncVariant::Recorded));
    assert!(many < few * 3, "{few} and {many} for epoll");
}

#[test]
fn a_thread_per_connection_needs_no_readiness_call() {
    for connection_per_request in [false, true] {
        let workload = server(Shape { connection_per_request, ..Shape::default() });
        let sample = run(&workload, &settings(2, 12, SyncVariant::Threads));
        assert_eq!(sample.calls[232], 0);
        let reads = per_reply(&sample, CallNumber::READ);
        assert!((0.9..=1.1).contains(&reads), "{reads} reads a reply");
        assert!(sample.context_switches >= sample.replies / 2, "{} switches", sample.context_switches);
    }
}

/// A new connection wakes every loop that watches the socket, or one, or the one whose socket it came to.
#[test]
fn a_shared_listening_socket_wakes_the_herd() {
    let workload = server(Shape { connection_per_request: true, ..Shape::default() });
    let with = |accept| {
        let mut settings = settings(4, 4, SyncVariant::Recorded);
        settings.mechanism.sync.accept = accept;
        // mostly asleep, so that there is a herd to wake
        settings.clients.think_us = 500.0;
        let sample = run(&workload, &settings);
        let accepts = per_reply(&sample, CallNumber::from_name("accept4").unwrap());
        assert!(accepts >= 0.9, "{accept:?}: {accepts} accepts a reply");
        sample
    };
    let own = with(AcceptSharing::PerLoop);
    let herd = with(AcceptSharing::Shared);
    let exclusive = with(AcceptSharing::SharedExclusive);
    assert_eq!((occurred(&own, "herd wake-ups"), occurred(&exclusive, "herd wake-ups")), (0, 0));
    assert!(occurred(&herd, "herd wake-ups") > herd.replies / 2, "{} wake-ups", occurred(&herd, "herd wake-ups"));
    let in_vain = occurred(&herd, "accepts that found nothing") + occurred(&herd, "wake-ups that found the connection taken");
    assert!(in_vain > 0);
    let kernel = |sample: &Sample| sample.counters.mode(Mode::Kernel).instructions / sample.replies;
    assert!(kernel(&herd) > kernel(&exclusive), "{} and {}", kernel(&herd), kernel(&exclusive));
}

/// With a connection per request a loop that misses the lock while it has no connection sleeps for half a second: one loop is left.
/// A short delay lets it come back.
#[test]
fn a_lock_around_accepting_leaves_one_loop_at_work() {
    let workload = server(Shape { connection_per_request: true, ..Shape::default() });
    let with = |accept, delay_us| {
        let mut settings = settings(2, 32, SyncVariant::Recorded);
        settings.mechanism.sync.accept = accept;
        settings.mechanism.sync.accept_mutex_delay_us = delay_us;
        settings.run.requests = 2_000;
        run(&workload, &settings)
    };
    let busy_cores = |sample: &Sample| {
        let idle = sample.stacks.iter().map(|stack| stack.get(sim_core::stack::Component::Idle));
        idle.filter(|idle| *idle < sample.window_cycles / 2).count()
    };
    assert_eq!(busy_cores(&with(AcceptSharing::PerLoop, 0.0)), 2);
    assert_eq!(busy_cores(&with(AcceptSharing::Mutex, 500_000.0)), 1);
    let short = with(AcceptSharing::Mutex, 50.0);
    assert_eq!(busy_cores(&short), 2);
    assert!(occurred(&short, "loops that did not get the lock around accepting") > 0);
    let one_core = run(&workload, &settings(1, 32, SyncVariant::Recorded));
    let mut locked = settings(1, 32, SyncVariant::Recorded);
    locked.mechanism.sync.accept = AcceptSharing::Mutex;
    // one loop always gets the lock; it accepts before it reads, which changes little
    let ratio = run(&workload, &locked).window_cycles as f64 / one_core.window_cycles as f64;
    assert!((ratio - 1.0).abs() < 0.03, "{ratio}");
}

#[test]
fn programs_without_an_event_loop_say_so() {
    let workload = server(Shape { program: Program::ThreadPerConnection, ..Shape::default() });
    for variant in [SyncVariant::EpollEdge, SyncVariant::Poll, SyncVariant::Threads] {
        let reason = Mechanism::Sync.inapplicable(&workload, &settings(1, 4, variant).mechanism);
        assert!(reason.is_some_and(|reason| reason.contains("not recorded as an event loop")));
    }
}
