//! Each twin at a tiny size: calls and bytes are counted, nothing is timed.

use host::perf::Count;
use twins::case::{Case, Program, Server, ServerKind, Way, select};
use twins::counted::{self, Outcome, PerfEvent, Wanted};
use twins::runner::{Stretches, Tally, Variant};
use twins::{Twin, connections, datagrams, hook, interrupted, parts, read_loop, servers};

fn case(name: &str) -> Case {
    let mut found = select(&[name.to_owned()]).unwrap();
    found.truncate(1);
    found.remove(0)
}

/// What one variant does in so many operations.
fn tally(variants: &mut [Variant], series: &str, x: u32, operations: u64) -> Tally {
    let variant = variants.iter_mut().find(|variant| variant.series == series && variant.x == x);
    variant.unwrap_or_else(|| panic!("{series} {x}")).twin.run(operations).unwrap()
}

#[test]
fn reads_are_made_one_by_one_or_an_enter_a_batch() {
    let Program::ReadLoop(own) = case("read-loop-0").program else { panic!("a read loop") };
    let mut all = read_loop::variants(&own).unwrap();
    let one = tally(&mut all, read_loop::SYNCHRONOUS, 1, 10);
    assert_eq!((one.operations, one.calls, one.bytes), (10, 10, 40_960));
    for series in ["io_uring", "io_uring, registered"] {
        let batched = tally(&mut all, series, 16, 64);
        assert_eq!((batched.operations, batched.calls, batched.bytes), (64, 4, 262_144), "{series}");
    }
    let nops = tally(&mut all, parts::RING_NOP, 64, 3);
    assert_eq!((nops.operations, nops.calls), (3, 3));
    for way in [Way::Ring, Way::RingRegistered] {
        let bytes = tally(&mut all, &parts::reads_of_a_byte(way), parts::NOPS, 3);
        assert_eq!((bytes.operations, bytes.calls, bytes.bytes), (3, 3, 3 * 64));
    }
    let cold = tally(&mut all, &parts::cold("pread64"), 1, 3);
    assert_eq!((cold.operations, cold.calls, cold.bytes), (3, 3, 12_288));
}

#[test]
fn work_is_interrupted_once_an_interval() {
    let Program::Interrupted(own) = case("interrupted-pwrite-mix").program else { panic!("interrupted work") };
    let mut all = interrupted::variants(&own).unwrap();
    for series in [interrupted::TOTAL, interrupted::WORK, interrupted::CALL] {
        let one = tally(&mut all, series, 1000, 20);
        assert_eq!((one.operations, one.calls, one.bytes), (20, 20, 81_920), "{series}");
    }
    let alone = tally(&mut all, parts::USER, 1000, 20);
    assert_eq!((alone.calls, alone.bytes), (0, 0));
    let cold = tally(&mut all, &parts::cold("pwrite64"), 1, 3);
    assert_eq!((cold.operations, cold.calls, cold.bytes), (3, 3, 12_288));
    assert!(parts::CODE_KIB.iter().all(|kib| tally(&mut all, parts::CODE, *kib, 3).calls == 0));
}

#[test]
fn datagrams_are_served_with_two_calls_each_or_two_a_batch() {
    let Program::Datagrams(own) = case("udp").program else { panic!("a server over UDP") };
    let mut all = datagrams::variants(&own).unwrap();
    let one = tally(&mut all, datagrams::SYNCHRONOUS, 1, 64);
    assert_eq!((one.operations, one.calls, one.bytes), (64, 128, 8_192));
    for series in ["recvmmsg/sendmmsg", "io_uring"] {
        let batched = tally(&mut all, series, 16, 128);
        assert_eq!((batched.operations, batched.calls, batched.bytes), (128, 16, 16_384), "{series}");
    }
    let receives = tally(&mut all, &parts::call(datagrams::RECEIVE), 1, 64);
    assert_eq!((receives.calls, receives.bytes), (64, 4_096));
    let cold = tally(&mut all, &parts::cold(datagrams::SEND), 1, 64);
    assert_eq!((cold.calls, cold.bytes), (64, 4_096));
}

#[test]
fn connections_are_served_after_a_wait_or_with_two_enters() {
    let Program::Connections(own) = case("tcp").program else { panic!("a server over TCP") };
    let (mut all, left_out) = connections::variants(&own, None).unwrap();
    assert_eq!(left_out.len(), 1, "a polling thread needs a second processor");
    let one = tally(&mut all, connections::SYNCHRONOUS, 64, 64);
    // four waits of sixteen events
    assert_eq!((one.operations, one.calls, one.bytes), (64, 4 + 128, 8_192));
    let ring = tally(&mut all, "io_uring", 64, 64);
    assert_eq!((ring.operations, ring.calls, ring.bytes), (64, 2, 8_192));
    let wait = tally(&mut all, parts::EPOLL, 16, 3);
    assert_eq!((wait.operations, wait.calls, wait.bytes), (3, 3, 0));
    let cold = tally(&mut all, &parts::cold(connections::SEND), 1, 16);
    assert_eq!((cold.operations, cold.calls, cold.bytes), (16, 16, 1_024));
}

#[test]
fn a_polling_thread_needs_no_calls() {
    let Program::Connections(own) = case("tcp").program else { panic!("a server over TCP") };
    let Some(beside) = connections::processor_beside(0).unwrap() else { return };
    let (mut all, _) = connections::variants(&own, Some(beside)).unwrap();
    let polled = tally(&mut all, "io_uring, polled", 4, 4);
    assert_eq!((polled.operations, polled.calls, polled.bytes), (4, 0, 512));
}

/// Of each server that is installed: it starts, answers on connections that stay, and goes with its variants.
#[test]
fn servers_that_are_installed_answer_and_go() {
    for kind in ServerKind::ALL {
        if let Some(why) = servers::lacking(kind) {
            println!("left out: {why}");
            continue;
        }
        let Program::Server(own) = case(&format!("server-{}", kind.name())).program else { panic!("a server") };
        let small = Server { connections: vec![4], once: own.once.iter().copied().filter(|count| *count == 1).collect(), ..own };
        let (mut all, _) = servers::variants(&small).unwrap();
        // other tests of this process have children too
        let is_server =
            |child: &u32| std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|command| command.contains(kind.name()));
        let own_children: Vec<u32> = servers::account::children(std::process::id()).into_iter().filter(is_server).collect();
        assert!(!own_children.is_empty(), "{}", kind.name());
        let kept = tally(&mut all, servers::KEPT, 4, 10);
        // whole rounds of four
        assert_eq!(kept.operations, 12, "{}", kind.name());
        assert!(kept.elapsed > std::time::Duration::ZERO, "{}", kind.name());
        // a receive and a send at least, where calls can be counted at all
        assert!(kept.calls == 0 || kept.calls >= 24, "{}: {}", kind.name(), kept.calls);
        if !small.once.is_empty() {
            assert_eq!(tally(&mut all, servers::ONCE, 1, 3).operations, 3);
        }
        drop(all);
        let left = servers::account::children(std::process::id());
        assert!(own_children.iter().all(|child| !left.contains(child)), "{}: {left:?}", kind.name());
    }
}

#[test]
fn a_switch_and_an_accept_are_parts_of_a_servers_case() {
    let accept = servers::accepts().unwrap().run(20).unwrap();
    assert_eq!((accept.operations, accept.calls), (32, 64), "sixteen connections at a time");
    assert_eq!(servers::switches().unwrap().run(5).unwrap().operations, 5);
}

/// Needs what `validate host` needs for it; a host that lacks something says what.
#[test]
fn the_hook_answers_with_two_calls_and_a_server_with_four() {
    if let Err(lacking) = hook::tried() {
        assert!(lacking.to_string().starts_with("the host lacks "), "{lacking}");
        return;
    }
    let before = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let Program::Hook(own) = case("xdp").program else { panic!("a program at the hook") };
    let mut all = hook::variants(&own).unwrap();
    let server = tally(&mut all, hook::SERVER, 16, 32);
    assert_eq!((server.operations, server.calls, server.bytes), (32, 128, 8_192));
    let answered = tally(&mut all, hook::HOOK, 16, 32);
    assert_eq!((answered.operations, answered.calls, answered.bytes), (32, 64, 4_096));
    assert_eq!(tally(&mut all, hook::DROPPED, 1, 64).calls, 64);
    assert_eq!(tally(&mut all, hook::PASSED, 1, 64).calls, 64);
    let program = tally(&mut all, hook::PROGRAM, 1, 1000);
    assert!(program.operations == 1000 && !program.elapsed.is_zero());
    assert_eq!(std::fs::read_link("/proc/thread-self/ns/net").unwrap(), before, "the thread is in its own namespace again");
}

/// Notes how often a twin's own work begins and ends.
#[derive(Default)]
struct Noted {
    begun: u32,
    ended: u32,
}

impl Stretches for Noted {
    fn begins(&mut self) {
        assert_eq!(self.begun, self.ended);
        self.begun += 1;
    }

    fn ends(&mut self) {
        self.ended += 1;
    }
}

/// Servers begin and end once a round, loops once: every place that is counted is measured, and works in stretches.
#[test]
fn what_is_counted_works_in_stretches() {
    for name in ["read-loop-0", "interrupted-null-mix", "udp", "tcp"] {
        let case = case(name);
        let (mut all, _) = twins::variants(&case, None).unwrap();
        for (series, x) in counted::places(&case) {
            let variant = all.iter_mut().find(|variant| variant.series == series && variant.x == x);
            let variant = variant.unwrap_or_else(|| panic!("{name}: {series} {x}"));
            let mut noted = Noted::default();
            let tally = variant.twin.run_in_stretches(300, &mut noted).unwrap();
            let rounds = match name {
                "udp" => 300_u32.div_ceil(64),
                "tcp" => 300_u32.div_ceil(x),
                _ => 1,
            };
            assert_eq!((noted.begun, noted.ended), (rounds, rounds), "{name}: {series} {x}");
            assert!(tally.operations >= 300);
        }
    }
}

/// Real rounds around a real counter of the kernel: a server that is warm faults no pages in.
#[test]
fn rounds_of_a_server_are_counted_through_perf_event_or_a_reason_is_given() {
    let case = case("udp");
    let (variants, _) = twins::variants(&case, None).unwrap();
    let kept = ["recvfrom/sendto", "recvmmsg/sendmmsg"];
    let variants = variants.into_iter().filter(|variant| kept.contains(&variant.series.as_str())).collect();
    let wanted = Wanted { places: counted::places(&case), events: vec![Count::PageFaults] };
    let plan = twins::Plan { visits: 1, visit_us: 100 };
    let measured = twins::measure_and_count(variants, plan, &wanted, &PerfEvent).unwrap();
    let counted: Vec<_> = measured.iter().flat_map(|own| &own.counts).collect();
    // one place of the one, two of the other, each in two modes
    assert_eq!(counted.len(), 6);
    for own in counted {
        match &own.outcome {
            Outcome::PerOperation(faults) => assert!(*faults < 0.1, "{own:?}"),
            Outcome::Missing(why) => assert!(why.contains("perf_event"), "{why}"),
        }
    }
}
