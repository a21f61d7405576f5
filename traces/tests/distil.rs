//! Workloads distilled from captures of real servers, against what the captures' own totals say.

use sim_core::block::{BlockId, Cut, OpKind, Region};
use sim_core::workload::{Effect, Program, RequestClass, Workload};
use std::sync::OnceLock;
use traces::distil::{DistilOptions, distil};

fn data(file: &str) -> Vec<u8> {
    let path = format!("{}/data/captures/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn golden(name: &str) -> serde_json::Value {
    serde_json::from_slice(&data(&format!("{name}.golden.json"))).unwrap()
}

fn workload(name: &str) -> Workload {
    let maps = String::from_utf8(data(&format!("{name}.maps.txt"))).unwrap();
    let options = DistilOptions { file: name, maps: Some(&maps), ..DistilOptions::default() };
    distil(&data(&format!("{name}.trace")), &options).unwrap_or_else(|error| panic!("{name}: {error}"))
}

struct Expected {
    name: &'static str,
    program: Program,
    connection_per_request: bool,
    datagram: bool,
    /// Calls of the largest class.
    calls: &'static [&'static str],
}

const fn expected(name: &'static str, program: Program, calls: &'static [&'static str]) -> Expected {
    Expected { name, program, connection_per_request: false, datagram: false, calls }
}

const NGINX: &[&str] =
    &["accept4", "epoll_ctl", "recvfrom", "openat", "newfstatat", "setsockopt", "writev", "sendfile", "write", "close", "close"];

fn servers() -> Vec<Expected> {
    use Program::{EventLoop, ProcessPerConnection, ThreadPerConnection};
    let nginx_calls: &[&str] =
        &["recvfrom", "openat", "newfstatat", "setsockopt", "writev", "sendfile", "write", "close", "setsockopt"];
    let apache_calls = &["read", "newfstatat", "openat", "mmap", "writev", "munmap", "write", "close"];
    let threads_calls = &["recvfrom", "openat", "newfstatat", "sendto", "sendfile", "close"];
    vec![
        expected("mc-16-off", EventLoop, &["read", "sendmsg"]),
        expected("mc-16-on", EventLoop, &["read", "sendmsg"]),
        expected("mc-16-rx-off", EventLoop, &["read", "sendmsg"]),
        expected("mc-64-off", EventLoop, &["read", "sendmsg"]),
        Expected { datagram: true, ..expected("mcudp-16-rx-off", EventLoop, &["recvfrom", "sendmsg"]) },
        expected("redis-16-on", EventLoop, &["read", "write"]),
        expected("redis-16-rx-off", EventLoop, &["read", "write"]),
        Expected { connection_per_request: true, ..expected("nginx-512-on", EventLoop, NGINX) },
        Expected { connection_per_request: true, ..expected("nginx-512-rx-off", EventLoop, NGINX) },
        expected("nginxka-512-rx-off", EventLoop, nginx_calls),
        expected("apache-4k-off", ProcessPerConnection, apache_calls),
        expected("thsrv-4k-off", ThreadPerConnection, threads_calls),
    ]
}

/// Every server capture distilled once for all tests.
fn all() -> &'static [(Expected, Workload)] {
    static ALL: OnceLock<Vec<(Expected, Workload)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut servers = servers();
        let second = servers.split_off(servers.len() / 2);
        let load = |list: Vec<Expected>| -> Vec<(Expected, Workload)> {
            list.into_iter()
                .map(|expected| {
                    let distilled = workload(expected.name);
                    (expected, distilled)
                })
                .collect()
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| load(second));
            let mut first = load(servers);
            first.extend(other.join().unwrap());
            first
        })
    })
}

fn instructions(workload: &Workload, block: BlockId) -> f64 {
    f64::from(workload.blocks.info(block).instructions)
}

/// Mean over the requests of something of their chains: classes weigh by how often they were recorded.
fn mean(workload: &Workload, of_class: impl Fn(&RequestClass) -> f64) -> f64 {
    let sum: f64 =
        workload.classes.iter().map(|class| of_class(class) * f64::from(class.recorded) / class.chains.len() as f64).sum();
    sum / workload.recorded_in_classes() as f64
}

#[test]
fn programs_and_their_calls_are_recognised() {
    for (expected, workload) in all() {
        let name = expected.name;
        assert_eq!(workload.program, expected.program, "{name}");
        assert_eq!(workload.connection_per_request, expected.connection_per_request, "{name}");
        assert_eq!(workload.datagram, expected.datagram, "{name}");
        let calls: Vec<&str> = workload.classes[0].chains[0].steps.iter().map(|step| step.call.name()).collect();
        assert_eq!(calls, expected.calls, "{name}");
        assert_eq!(workload.wait.is_some(), expected.program == Program::EventLoop, "{name}");
        assert_eq!(workload.source.mitigations, name.ends_with("-on"), "{name}");
    }
}

#[test]
fn requests_are_the_replies_that_the_clients_counted() {
    for (expected, workload) in all() {
        let name = expected.name;
        let counted = golden(name)["requests"].as_u64().unwrap();
        // A request per connection may be inside the server at either end of the recording.
        assert!(workload.requests.abs_diff(counted) <= u64::from(workload.connections), "{name}: {} {counted}", workload.requests);
        let in_classes = workload.recorded_in_classes();
        assert!(in_classes <= workload.requests && in_classes * 100 >= workload.requests * 95, "{name}: {in_classes}");
        let sends: u64 = workload
            .classes
            .iter()
            .flat_map(|class| &class.chains)
            .map(|chain| chain.steps.iter().filter(|step| step.effect == Effect::SendLast).count() as u64)
            .sum();
        assert_eq!(sends, workload.classes.iter().map(|class| class.chains.len() as u64).sum::<u64>(), "{name}");
    }
}

#[test]
fn kernel_instructions_of_calls_are_those_recorded() {
    for (expected, workload) in all() {
        let golden = golden(expected.name);
        for (number, totals) in golden["syscalls"].as_object().unwrap() {
            let number: u16 = number.parse().unwrap();
            let in_chain = |class: &RequestClass| {
                let steps = class.chains.iter().flat_map(|chain| &chain.steps).filter(|step| step.call.0 == number);
                steps.map(|step| instructions(workload, step.kernel)).sum::<f64>()
            };
            let calls = mean(workload, |class| {
                class.chains.iter().flat_map(|chain| &chain.steps).filter(|step| step.call.0 == number).count() as f64
            });
            let all_in_requests = calls * workload.requests as f64 / totals["count"].as_f64().unwrap();
            if !(0.97..1.03).contains(&all_in_requests) {
                continue;
            }
            let field = |key: &str| totals[key].as_f64().unwrap();
            let recorded = (field("instructions") - field("softirq_instructions")) / field("count");
            let distilled = mean(workload, in_chain) / calls;
            let what = format!("{}: {} {distilled} of {recorded}", expected.name, totals["name"]);
            // The clients run on the same processor: a send that wakes one is preempted, and the scheduler's part is cut out.
            let preempted = ["sendmsg", "write", "sendfile", "recvfrom", "read", "setsockopt", "close"]
                .iter()
                .any(|name| totals["name"] == *name);
            let least = if preempted { 0.75 } else { 0.99 };
            assert!(distilled <= recorded * 1.01 && distilled >= recorded * least, "{what}");
        }
    }
}

#[test]
fn user_instructions_are_those_recorded() {
    for (expected, workload) in all().iter().filter(|(expected, _)| expected.program == Program::EventLoop) {
        let golden = golden(expected.name);
        let segments = golden["user_segments"]["instructions"].as_f64().unwrap();
        let waits = golden["syscalls"]["232"]["count"].as_f64().unwrap();
        let wait = workload.wait.as_ref().unwrap();
        let around_wait = wait.user.iter().map(|block| instructions(workload, *block)).sum::<f64>() / wait.user.len() as f64;
        let of_chain = |class: &RequestClass| {
            class.chains.iter().flat_map(|chain| &chain.steps).map(|step| instructions(workload, step.user)).sum::<f64>()
        };
        let distilled = mean(workload, of_chain) * workload.requests as f64 + around_wait * waits;
        let ratio = distilled / segments;
        assert!((0.96..1.04).contains(&ratio), "{}: {distilled} of {segments}", expected.name);
    }
}

#[test]
fn blocks_are_filled_and_cuts_nest() {
    for (expected, workload) in all() {
        let name = expected.name;
        for step in workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps) {
            let ops = workload.blocks.ops(step.kernel);
            assert_eq!(ops.first().map(|op| op.kind), Some(OpKind::Fetch), "{name}: {}", step.call.name());
            let info = workload.blocks.info(step.kernel);
            let mut enclosing = 0..ops.len();
            for cut in [Cut::Handler, Cut::FileLayer, Cut::Protocol] {
                if let Some(span) = info.span(cut) {
                    // The last reference to a socket goes on the way out of `close`, and with it the protocol's work.
                    let on_the_way_out = info.span(Cut::ExitWork).filter(|exit| cut == Cut::Protocol && exit.contains(&span.start));
                    let outer = on_the_way_out.unwrap_or(enclosing.clone());
                    assert!(
                        outer.start <= span.start && span.start < span.end && span.end <= outer.end,
                        "{name}: {cut:?} {span:?} {outer:?}"
                    );
                    assert_eq!(ops[span.start].kind, OpKind::Fetch);
                    enclosing = span;
                }
            }
            let handler = info.span(Cut::Handler).unwrap_or_else(|| panic!("{name}: {} has no handler", step.call.name()));
            assert!(handler.len() < ops.len());
        }
        for (region, lines) in Region::ALL.iter().zip(workload.region_lines) {
            assert!(lines <= 1 << 15, "{name}: {region:?} {lines}");
        }
    }
}

#[test]
fn transmit_is_cut_in_every_send_over_a_socket() {
    for (expected, workload) in all() {
        for step in workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps) {
            let spans = &workload.blocks.info(step.kernel).spans;
            let transmits = spans.iter().filter(|span| span.cut == Cut::Transmit).count();
            // A reply of several calls is corked: only one of them hands packets over.
            if step.effect == Effect::SendLast && expected.calls.len() == 2 {
                assert!(transmits >= 1, "{}: {}", expected.name, step.call.name());
                assert_ne!(step.client_softirq, BlockId::EMPTY);
            }
        }
    }
}

#[test]
fn dependencies_point_back_and_join_the_reply_to_the_request() {
    for (expected, workload) in all() {
        for chain in workload.classes.iter().flat_map(|class| &class.chains) {
            let mut reaches: Vec<Vec<bool>> = Vec::new();
            for (index, step) in chain.steps.iter().enumerate() {
                assert!(step.depends.iter().all(|earlier| usize::from(*earlier) < index), "{}", expected.name);
                let mut reached = vec![false; chain.steps.len()];
                for earlier in &step.depends {
                    reached[usize::from(*earlier)] = true;
                    for (to, from) in reached.iter_mut().zip(&reaches[usize::from(*earlier)]) {
                        *to |= *from;
                    }
                }
                reaches.push(reached);
            }
            let receive = chain.steps.iter().position(|step| step.effect == Effect::Receive).unwrap();
            let reply = chain.steps.iter().position(|step| step.effect == Effect::SendLast).unwrap();
            assert!(reaches[reply][receive], "{}", expected.name);
        }
    }
}

#[test]
fn redis_defers_its_replies_and_others_do_not() {
    for (expected, workload) in all() {
        let deferred =
            workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps).any(|step| step.deferred);
        assert_eq!(deferred, expected.name.starts_with("redis"), "{}", expected.name);
    }
}

#[test]
fn connection_lines_do_not_grow_with_the_number_of_connections() {
    let lines = |name: &str, region: Region| {
        let (_, workload) = all().iter().find(|(expected, _)| expected.name == name).unwrap();
        workload.region_lines[region.index()]
    };
    let (few, many) = (lines("mc-16-off", Region::KernelConnection), lines("mc-64-off", Region::KernelConnection));
    // Equal fields of different connections share an offset: 64 connections need hardly more offsets than 16.
    assert!(few >= 30 && many <= few * 3 / 2, "{few} {many}");
}

#[test]
fn receive_work_is_told_apart_by_kind_of_packet() {
    use sim_core::workload::PacketKind::{Ack, Data, Datagram, Fin, Handshake, Syn};
    for (name, kinds) in [
        ("mc-16-rx-off", &[Data][..]),
        ("mcudp-16-rx-off", &[Datagram]),
        ("nginx-512-rx-off", &[Syn, Handshake, Data, Ack, Fin]),
        ("nginxka-512-rx-off", &[Syn, Handshake, Data, Ack, Fin]),
    ] {
        let (_, workload) = all().iter().find(|(expected, _)| expected.name == name).unwrap();
        let mut found: Vec<_> = workload.kernel.receive.iter().map(|(kind, _)| *kind).collect();
        found.dedup();
        assert_eq!(found, kinds, "{name}");
        for (_, block) in &workload.kernel.receive {
            assert!(workload.blocks.info(*block).instructions > 300, "{name}");
        }
    }
}

#[test]
fn sequential_programs_are_one_chain() {
    for (name, steps) in [("find-off", 1783), ("ubench-off", 900)] {
        let workload = workload(name);
        assert_eq!(workload.program, Program::Sequential);
        assert_eq!((workload.classes.len(), workload.classes[0].chains.len(), workload.requests), (1, 1, 1), "{name}");
        assert!(workload.classes[0].chains[0].steps.len() >= steps, "{name}");
    }
}

#[test]
fn a_network_card_comes_from_a_capture_that_has_one() {
    let (card, packets, file) = (data("mcvnet-16-off.trace"), data("nginxka-512-rx-off.trace"), data("mc-16-rx-off.trace"));
    let null_call = data("ubench-off.trace");
    let options = DistilOptions {
        file: "mc-16-rx-off",
        remote: Some(&card),
        receive: Some(&packets),
        null_call: Some(&null_call),
        ..DistilOptions::default()
    };
    let workload = distil(&file, &options).unwrap();
    let kernel = &workload.kernel;
    for (list, least, most, what) in [
        (&kernel.interrupt_entry, 300, 1_000, "interrupt entry"),
        (&kernel.interrupt_exit, 10, 500, "interrupt exit"),
        (&kernel.poll, 300, 4_000, "poll"),
        (&kernel.driver_receive, 300, 4_000, "driver"),
        (&kernel.transmit, 800, 5_000, "transmit"),
        (&kernel.switch_out, 1_000, 3_000, "leaving task"),
        (&kernel.switch_in, 100, 1_000, "entering task"),
        (&kernel.tick, 1_000, 40_000, "tick"),
        (&kernel.null_call, 200, 400, "null call"),
    ] {
        assert!(!list.is_empty(), "{what}");
        for block in list {
            let instructions = workload.blocks.info(*block).instructions;
            assert!((least..most).contains(&instructions), "{what}: {instructions}");
        }
    }
    let mut kinds: Vec<_> = kernel.receive.iter().map(|(kind, _)| *kind).collect();
    kinds.sort();
    kinds.dedup();
    assert_eq!(kinds.len(), 5);
    assert!(!workload.wait.unwrap().sleep.is_empty());
    assert_eq!(distil(&file, &options).unwrap().kernel, workload.kernel);
}

#[test]
fn distilling_twice_gives_the_same() {
    for name in ["mc-16-rx-off", "thsrv-4k-off"] {
        let (_, once) = all().iter().find(|(expected, _)| expected.name == name).unwrap();
        assert!(*once == workload(name), "{name}");
    }
}

#[test]
fn a_damaged_capture_is_refused_or_used_up_to_the_damage() {
    let file = data("mc-16-rx-off.trace");
    let cut = &file[..file.len() * 2 / 3];
    let error = distil(cut, &DistilOptions::default()).unwrap_err();
    assert!(error.to_string().contains("byte"), "{error}");
    let workload = distil(cut, &DistilOptions { lenient: true, ..DistilOptions::default() }).unwrap();
    assert!(workload.requests > 100 && workload.requests < 491);
    assert!(workload.notes.iter().any(|note| note.text.contains("damaged")));
}

#[test]
fn damaged_event_streams_never_panic() {
    let file = data("ubench-off.trace");
    let header_bytes = u32::from_le_bytes([file[12], file[13], file[14], file[15]]) as usize;
    let capture = traces::capture::Capture::read(&file).unwrap();
    for step in 0..10usize {
        let mut events = capture.events[..400_000].to_vec();
        for at in (step * 1_009..events.len()).step_by(39_119) {
            events[at] ^= 1 << ((step + at) % 8);
        }
        let mut damaged = file[..16 + header_bytes].to_vec();
        damaged.extend(zstd::encode_all(&events[..], 1).unwrap());
        let options = DistilOptions { lenient: true, ..DistilOptions::default() };
        if let Ok(workload) = distil(&damaged, &options) {
            assert!(workload.notes.iter().any(|note| note.text.contains("damaged")));
        }
    }
}

/// The pieces of io_uring put together again: the enters of the recording (its phases 3 to 5, 24 and 27).
#[test]
fn rings_add_up_to_the_recorded_enters() {
    let rings = traces::distil::RingRecording::read(&data("ubench2-off.trace")).unwrap();
    let options = DistilOptions { file: "find-off", ring: Some(&rings), ..DistilOptions::default() };
    let workload = distil(&data("find-off.trace"), &options).unwrap();
    let ring = &workload.kernel.ring;
    let count = |block: &sim_core::block::BlockId| workload.blocks.info(*block).instructions;
    let mean = |list: &[sim_core::block::BlockId]| {
        assert!(!list.is_empty());
        f64::from(list.iter().map(count).sum::<u32>()) / list.len() as f64
    };
    let enter = |entries: f64| {
        let per_entry = mean(&ring.next) + mean(&ring.nop) + mean(&ring.flush_item);
        let base = mean(&ring.enter) + mean(&ring.begin) + mean(&ring.nop) + mean(&ring.flush) + mean(&ring.leave);
        base + (entries - 1.0) * per_entry
    };
    for (entries, recorded) in [(1.0, 837.0), (4.0, 1519.0), (16.0, 4251.0)] {
        assert!((enter(entries) / recorded - 1.0).abs() < 0.02, "{entries} entries: {} of {recorded}", enter(entries));
    }
    let armed = mean(&ring.enter) + mean(&ring.begin) + mean(&ring.arm) + mean(&ring.flush_none);
    // 1,797 and 439 instructions are the two enters of phase 27; the first leaves without looking for completions
    assert!((1_500.0..1_797.0).contains(&armed), "{armed}");
    for around in [&ring.receive, &ring.send, &ring.read, &ring.task_receive, &ring.worker, &ring.poll_thread_submit] {
        assert!(!around.is_empty());
    }
    let mut empty = 0;
    ring.for_each(|id| empty += u32::from(count(&id) == 0));
    assert_eq!(empty, 0);
    for list in [&ring.wait, &ring.wake_task, &ring.poll_wake, &ring.poll_thread_pass, &ring.poll_thread_sleep, &ring.punt] {
        assert!(mean(list) > 50.0);
    }
}
