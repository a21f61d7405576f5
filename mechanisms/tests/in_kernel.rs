//! In-kernel services written in WYKI, on the real bytes of requests.

use super::common::{self, occurred};
use mechanisms::experiment::Settings;
use mechanisms::in_kernel::{Exchange, ServiceError, WykiService, choose};
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{Sample, simulate, system};
use mechanisms::variants::Way;
use sim_core::ids::Mode;
use sim_core::payload::{Ask, Payload};
use sim_core::workload::{Program, Workload};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use traces::synthetic::{Shape, server};
use wyki::Verdict;

/// memcached's text protocol with a table of 64 entries: most of the 1000 keys do not fit.
const SMALL_TABLE: &str = r#"service small on tcp port 11211 {
    limit message 8192;
    limit reply 2048;
    table items[64] { key: 250, value: 1024 }
    message get { "get ", key: until "\r\n" max 250 without " " }
    state ready {
        receive {
            get as request => {
                find items[request.key] as item {
                    put "VALUE ", request.key, " 0 ", decimal(len(item.value)), "\r\n";
                    reply item.value, "\r\nEND\r\n";
                } else { up; }
            }
            else { up; }
        }
    }
}"#;

fn memcached() -> &'static Workload {
    static LOADED: OnceLock<Workload> = OnceLock::new();
    LOADED.get_or_init(|| traces::bundled::load("memcached").unwrap())
}

fn settings(requests: u64) -> Settings {
    common::settings(1, 16, requests)
}

fn with_source(source: &str) -> Settings {
    let mut settings = settings(200);
    settings.mechanism.in_kernel_dsl.service = "test.wyki".into();
    settings.mechanism.in_kernel_dsl.source = source.into();
    settings
}

/// Everything that the service saw and did until so many replies were received.
fn exchanges(workload: &Workload, settings: &Settings, replies: u64) -> Vec<Exchange> {
    let mut system = system(workload, settings, Mechanism::InKernelDsl, 1).unwrap();
    let mut driver = WykiService::new(&mut system, &settings.mechanism.in_kernel_dsl).unwrap();
    driver.exchanges = Some(Vec::new());
    system.start_clients();
    system.run(&mut driver, |stats| stats.replies >= replies).unwrap();
    driver.exchanges.take().unwrap()
}

/// What memcached answers to a GET of an item that it holds.
fn reference_reply(payload: &Payload, item: u32, value: &[u8]) -> Vec<u8> {
    let head = format!("VALUE {} 0 {}\r\n", String::from_utf8(payload.key(item)).unwrap(), value.len());
    [head.as_bytes(), value, b"\r\nEND\r\n"].concat()
}

/// Replays exchanges on a map: every reply to a well-formed GET is the value that the map holds. Returns the replies that held a value
/// of a SET.
fn check_against_map(workload: &Workload, log: &[Exchange], preloaded: bool) -> usize {
    let payload = workload.payload.unwrap();
    let mut values: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let items: BTreeMap<Vec<u8>, u32> = (0..workload.keys).map(|item| (payload.request(Ask::Get, item, 0), item)).collect();
    let keys: BTreeMap<Vec<u8>, u32> = (0..workload.keys).map(|item| (payload.key(item), item)).collect();
    if preloaded {
        values.extend((0..workload.keys).map(|item| (item, payload.value(item, 0))));
    }
    let mut of_sets = 0;
    for exchange in log {
        match exchange {
            Exchange::Stored { message, kept } => {
                let (key, value) = payload.stored(message).unwrap();
                if *kept {
                    values.insert(keys[key], value.to_vec());
                }
            }
            Exchange::Handled { message, verdict: Verdict::Reply(reply), .. } => {
                let item = items.get(message).unwrap_or_else(|| panic!("answered {:?}", String::from_utf8_lossy(message)));
                let value = values.get(item).unwrap_or_else(|| panic!("item {item} was never stored"));
                assert_eq!(*reply, reference_reply(&payload, *item, value), "item {item}");
                of_sets += usize::from(*value != payload.value(*item, 0));
            }
            Exchange::Handled { message, verdict, .. } => {
                if let Some(item) = items.get(message) {
                    assert_eq!(*verdict, Verdict::Up);
                    assert!(!values.contains_key(item), "item {item} is in the table but was not found");
                }
            }
        }
    }
    of_sets
}

#[test]
fn a_get_finds_what_the_last_set_stored() {
    let workload = memcached();
    for cores in [1, 2] {
        let mut settings = settings(0);
        settings.run.cores = cores;
        let log = exchanges(workload, &settings, 3000);
        let stored = log.iter().filter(|exchange| matches!(exchange, Exchange::Stored { kept: true, .. })).count();
        assert!(stored > 150, "{stored} of about 300 SETs stored");
        assert!(check_against_map(workload, &log, true) > 100, "some GETs meet items that a SET changed");
    }
}

#[test]
fn without_preloading_items_are_found_once_a_set_has_stored_them() {
    let mut settings = settings(0);
    settings.mechanism.in_kernel_dsl.preload = false;
    let log = exchanges(memcached(), &settings, 3000);
    assert!(check_against_map(memcached(), &log, false) > 50);
    assert!(matches!(log[0], Exchange::Handled { verdict: Verdict::Up, .. }), "nothing is in the table at first");
}

#[test]
fn malformed_messages_harm_nobody() {
    for name in ["memcached", "memcached-udp", "redis", "nginx", "nginx-keepalive", "threads"] {
        let workload = traces::bundled::load(name).unwrap();
        let mut settings = settings(300);
        settings.mechanism.in_kernel_dsl.malformed_permille = 200;
        let sample = simulate(&workload, &settings, Mechanism::InKernelDsl, 1).unwrap();
        assert!(sample.replies >= 300, "{name}");
        assert!(occurred(&sample, "malformed messages") > 20, "{name}: {:?}", sample.occurrences);
        assert_eq!(occurred(&sample, "requests given up"), 0, "{name}: a retry is well-formed");
        assert!(occurred(&sample, "hits") > 100, "{name}: {:?}", sample.occurrences);
        if name == "memcached" {
            assert!(occurred(&sample, "messages that came in pieces") > 0, "{:?}", sample.occurrences);
            check_against_map(&workload, &exchanges(&workload, &settings, 2000), true);
        }
    }
}

#[test]
fn every_bundled_protocol_is_answered_in_the_kernel() {
    for name in ["memcached-udp", "redis", "nginx", "nginx-keepalive", "apache", "threads"] {
        let workload = traces::bundled::load(name).unwrap();
        let payload = workload.payload.unwrap();
        let log = exchanges(&workload, &settings(0), 100);
        let replies = log.iter().filter_map(|exchange| match exchange {
            Exchange::Handled { verdict: Verdict::Reply(reply), .. } => Some(reply),
            _ => None,
        });
        let values: Vec<Vec<u8>> = (0..workload.keys.max(1)).map(|item| payload.value(item, 0)).collect();
        let mut answered = 0;
        for reply in replies {
            let is_value = |value: &Vec<u8>| reply.windows(value.len()).any(|window| window == &value[..]);
            answered += usize::from(values.iter().any(is_value));
        }
        assert!(answered >= 50, "{name}: {answered} replies hold a preloaded value");
    }
}

#[test]
fn keys_over_the_tables_bound_go_up() {
    let small = with_source(SMALL_TABLE);
    let sample = simulate(memcached(), &small, Mechanism::InKernelDsl, 1).unwrap();
    let whole = simulate(memcached(), &settings(200), Mechanism::InKernelDsl, 1).unwrap();
    assert_eq!(occurred(&whole, "misses"), 0);
    assert!(occurred(&sample, "misses") > 5 * occurred(&sample, "hits"), "{:?}", sample.occurrences);
    check_against_small_table(&exchanges(memcached(), &small, 1500));
}

/// What was kept is found, what was refused goes up; a refused SET must not leave an older value behind.
fn check_against_small_table(log: &[Exchange]) {
    let refused = log.iter().filter(|exchange| matches!(exchange, Exchange::Stored { kept: false, .. })).count();
    assert!(refused > 50, "{refused} SETs met a full table");
    let answered = log.iter().filter(|exchange| matches!(exchange, Exchange::Handled { verdict: Verdict::Reply(_), .. })).count();
    assert!(answered > 20, "{answered}");
}

#[test]
fn a_service_that_answers_nothing_stops_nobody() {
    let drops = r#"service mute on tcp port 1 { message any { text: rest max 1400 } state s { receive { any => { drop; } else { drop; } } } }"#;
    let mut settings = with_source(drops);
    settings.run.requests = 60;
    for workload in [server(Shape::default()), server(Shape { connection_per_request: true, ..Shape::default() })] {
        let sample = simulate(&workload, &settings, Mechanism::InKernelDsl, 1).unwrap();
        assert!(occurred(&sample, "requests given up") >= 40, "{:?}", sample.occurrences);
        assert_eq!(sample.calls.iter().sum::<u64>(), 0, "nobody executed a call");
    }
}

#[test]
fn a_service_that_passes_everything_up_leaves_the_program_its_work() {
    let ups =
        r#"service idle on tcp port 1 { message any { text: rest max 1400 } state s { receive { any => { up; } else { up; } } } }"#;
    let settings = with_source(ups);
    for shape in [
        Shape::default(),
        Shape { connection_per_request: true, ..Shape::default() },
        Shape { program: Program::ThreadPerConnection, ..Shape::default() },
    ] {
        let workload = server(shape);
        let up = simulate(&workload, &settings, Mechanism::InKernelDsl, 1).unwrap();
        let sync = simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
        let per = |sample: &Sample, of: u64| of as f64 / sample.replies as f64;
        assert!(occurred(&up, "sent up to user space") > 150);
        assert!(per(&up, up.call_crossings) > 0.9 * per(&sync, sync.call_crossings), "the program makes its calls");
        let instructions = |sample: &Sample| per(sample, sample.counters.mode(Mode::User).instructions);
        assert!((instructions(&up) / instructions(&sync) - 1.0).abs() < 0.1, "{} and {}", instructions(&up), instructions(&sync));
    }
}

fn cycles_per_reply(sample: &Sample) -> f64 {
    sample.window_cycles as f64 / sample.replies as f64
}

#[test]
fn collapsed_threads_and_sockets_and_inlined_parsers_save_cycles() {
    let run = |change: fn(&mut mechanisms::settings::InKernelSettings)| {
        let mut settings = settings(1000);
        change(&mut settings.mechanism.in_kernel_dsl);
        simulate(memcached(), &settings, Mechanism::InKernelDsl, 1).unwrap()
    };
    let all = run(|_| {});
    let with_threads = run(|settings| settings.thread_collapse = false);
    let with_sockets = run(|settings| settings.socket_collapse = false);
    let parsed = run(|settings| settings.inline_parsing = false);
    assert!(with_threads.context_switches > all.context_switches + 500, "each packet wakes a thread");
    assert!(cycles_per_reply(&with_threads) > cycles_per_reply(&all));
    assert!(cycles_per_reply(&with_sockets) > cycles_per_reply(&all));
    let instructions = |sample: &Sample| sample.counters.mode(Mode::Kernel).instructions as f64 / sample.replies as f64;
    assert!(instructions(&parsed) > instructions(&all), "{} and {}", instructions(&parsed), instructions(&all));
}

#[test]
fn tables_in_superpages_miss_the_translation_buffers_less() {
    let run = |superpages| {
        let mut settings = settings(1000);
        settings.mechanism.in_kernel_dsl.superpages = superpages;
        simulate(memcached(), &settings, Mechanism::InKernelDsl, 1).unwrap()
    };
    let misses = |sample: &Sample| sample.counters.misses(cpu_model::Structure::Dtlb, Mode::Kernel) as f64 / sample.replies as f64;
    let (large, small) = (misses(&run(true)), misses(&run(false)));
    assert!(large + 0.5 < small, "{large} and {small} misses a request");
}

#[test]
fn refused_services_and_workloads_without_bytes_are_said() {
    let settings = with_source("service broken on tcp port 1 { state s { drop } }");
    match choose(memcached(), &settings.mechanism.in_kernel_dsl) {
        Err(ServiceError::Refused { file, diagnostics }) => {
            assert_eq!(file, "test.wyki");
            assert!(!diagnostics.is_empty());
        }
        other => panic!("{other:?}"),
    }
    let mut silent = server(Shape::default());
    silent.payload = None;
    let default = Way::from(Mechanism::InKernelDsl);
    let settings = settings.mechanism;
    assert_eq!(default.resolved(&silent, &settings).name(), "in-kernel-dsl:recorded");
    assert_eq!(default.resolved(&server(Shape::default()), &settings), default);
    let asked = Way::from_name("in-kernel-dsl:wyki").unwrap();
    assert!(asked.resolved(&silent, &settings).inapplicable(&silent, &settings).unwrap().contains("protocol"));
}
