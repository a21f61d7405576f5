//! The report's JSON: the keys that tools rely on, fixed digits, and that what is written can be read.

use serde_json::Value;
use sim_core::estimate::Estimate;
use sim_core::histogram::LatencyHistogram;
use sim_core::ids::Mode;
use sim_core::report::*;
use sim_core::stack::{Component, CycleStack};

/// Keys of schema 1 as documented for tools, with their nesting; `*` stands for the entries of a list.
const KEYS: &str = "schema workload machine kernel mechanism cores connections seed reps requests \
    manifest.version manifest.command manifest.config_hash manifest.trace_hash \
    throughput_rps.mean throughput_rps.low throughput_rps.high throughput_rps.n \
    speedup_vs_sync.mean speedup_vs_sync.low speedup_vs_sync.high processor_time_vs_sync.mean \
    latency_us.mean latency_us.p50 latency_us.p90 latency_us.p99 latency_us.p999 latency_us.max \
    modes.user.instructions modes.user.cycles modes.user.cpi modes.kernel.instructions modes.kernel.cycles modes.kernel.cpi \
    modes.user.misses_per_kinstr.l1i modes.user.misses_per_kinstr.l1d modes.user.misses_per_kinstr.l2 \
    modes.user.misses_per_kinstr.l3 modes.user.misses_per_kinstr.itlb modes.user.misses_per_kinstr.dtlb \
    modes.user.misses_per_kinstr.stlb modes.user.misses_per_kinstr.branch modes.kernel.misses_per_kinstr.branch \
    cycle_stack per_request.instructions_user per_request.instructions_kernel per_request.cycles_total per_request.syscalls \
    per_request.crossings per_request.context_switches per_request.direct_cycles per_request.indirect_cycles \
    per_request.mechanism_cycles evictors.*.structure evictors.*.mode evictors.*.evictor evictors.*.misses evictors.*.cycles \
    shadow.*.structure shadow.*.mode shadow.*.misses_alone shadow.*.destructive shadow.*.constructive \
    batch.mean batch.p50 batch.p99 batch.max batch.limited_by limited_by cpu_us_per_request synthetic_cycle_share applicable \
    cores_used.user cores_used.kernel cores_used.idle per_call.*.call per_call.*.issued_per_request \
    per_call.*.instructions_per_call per_call.*.cycles_per_call per_call.*.direct_cycles_per_call syscalls_per_reply notes why core_split.*.user core_split.*.kernel \
    core_split.*.idle cores_over_time.*.core cores_over_time.*.stretches.*.end_us cores_over_time.*.stretches.*.softirq mechanism_memory_bytes indirect_by_mode.user indirect_by_mode.kernel exposure_range.low exposure_range.high \
    over_seeds.latency_us.p50.mean over_seeds.latency_us.p99.low over_seeds.latency_us.p99.high over_seeds.latency_us.p99.n \
    over_seeds.cpu_us_per_request.low gain_parts.order_cycles gain_parts.removed_cycles gain_parts.crossing_cycles gain_parts.idle_cycles";

/// A report with every optional part, full of numbers that have no short form.
fn full_report() -> RunReport {
    let third = 1.0 / 3.0;
    let mut stack = CycleStack::default();
    for component in Component::all() {
        stack.add(component, 1_000_003 + 977 * component.index() as u64);
    }
    let mut latency = LatencyHistogram::new();
    (1..=1000).for_each(|index| latency.record(index * 31_337));
    let misses = MissesPerKiloInstruction {
        l1i: third,
        l1d: third * 2.0,
        l2: 1e-9 * third,
        l3: 0.0,
        itlb: 0.1 + 0.2,
        dtlb: 1e9 * third,
        stlb: -0.0,
        branch: std::f64::consts::PI,
    };
    let mode = ModeReport { instructions: 123_456_789_012, cycles: 987_654_321_098, cpi: 8.000_000_066, misses_per_kinstr: misses };
    RunReport {
        workload: "memcached".into(),
        machine: "nehalem".into(),
        kernel: "linux-6.1".into(),
        mechanism: "exception-less".into(),
        cores: 1,
        connections: 64,
        seed: 1,
        reps: 3,
        requests: 3001,
        why: "batches of 9.7 calls keep each mode's lines".into(),
        throughput_rps: Estimate::of(&[100.0 * third, 101.0 * third, 103.0 * third]),
        speedup_vs_sync: Some(Estimate::of(&[1.1 * third, 1.2 * third])),
        processor_time_vs_sync: Some(Estimate::of(&[0.8 * third, 0.9 * third])),
        exposure_range: Some(ExposureRange { low: third, high: 2.0 * third }),
        gain_parts: Some(GainParts { order_cycles: third, removed_cycles: -third, crossing_cycles: 1e6 * third, idle_cycles: 0.0 }),
        latency_us: latency.microseconds(2_926_000_000),
        modes: Modes { user: mode, kernel: mode },
        cycle_stack: StackReport::per_request(&stack, 3001),
        per_request: PerRequest {
            instructions_user: 2000.0 * third,
            instructions_kernel: 20_000.0 * third,
            cycles_total: stack.total() as f64 / 3001.0,
            syscalls: 3.0 * third,
            crossings: third,
            context_switches: third / 7.0,
            direct_cycles: stack.direct() as f64 / 3001.0,
            indirect_cycles: third,
            mechanism_cycles: third,
        },
        syscalls_per_reply: 7.0 * third,
        indirect_by_mode: IndirectByMode { user: third, kernel: 2.0 * third },
        per_call: ["read", "sendmsg"].map(|call| call_row(call, third)).into(),
        evictors: vec![evictor("read", 3, 40), evictor("never", 5, 600)],
        shadow: Some(vec![shadow(Mode::User), shadow(Mode::Kernel)]),
        batch: BatchDepth { mean: 29.0 * third, p50: 9.0, p99: 16.0, max: 16.0, limited_by: "ready connections".into() },
        limited_by: Some(LimitedBy::Server),
        cpu_us_per_request: 19.0 * third,
        over_seeds: Some(OverSeeds {
            latency_us: LatencyOverSeeds::of(&[1, 2].map(|times| {
                let mut latency = LatencyHistogram::new();
                (1..=1000).for_each(|index| latency.record(index * 31_337 * times));
                latency.microseconds(2_926_000_000)
            })),
            cpu_us_per_request: Estimate::of(&[19.0 * third, 20.0 * third]),
        }),
        synthetic_cycle_share: third / 10.0,
        cores_used: CoresUsed { user: third, kernel: third, idle: third, client: 0.0 },
        core_split: vec![CoreWindow { start_us: 0.0, end_us: 100.0 * third, user: third, kernel: third, idle: third, client: 0.0 }],
        cores_over_time: vec![CoreOverTime {
            core: 0,
            stretches: vec![CoreStretch {
                end_us: 100.0 * third,
                program: third,
                calls: third,
                softirq: third,
                interrupt: 0.0,
                scheduler: 0.0,
                crossings: 0.0,
                mechanism: 0.0,
                client: 0.0,
                idle: 0.0,
            }],
        }],
        mechanism_memory_bytes: 4096 + 64 * 10_240,
        window: Some(Window { opened_by: "1,000 requests".into(), warm_up_requests: 1000, warm_up_cycles: 5, measured_cycles: 9 }),
        notes: vec!["first".into(), "second, with a comma".into()],
        ..RunReport::default()
    }
}

fn call_row(call: &str, value: f64) -> CallRow {
    let direct_cycles_per_call = 150.0 * value;
    CallRow {
        call: call.into(),
        issued_per_request: value,
        instructions_per_call: 1000.0 * value,
        cycles_per_call: 1700.0 * value,
        direct_cycles_per_call,
    }
}

fn evictor(name: &str, misses: u64, cycles: u64) -> EvictorRow {
    EvictorRow { structure: "l1i".into(), mode: Mode::User, evictor: name.into(), misses, cycles }
}

fn shadow(mode: Mode) -> ShadowRow {
    ShadowRow { structure: "l2".into(), mode, misses_alone: 7, destructive: 2, constructive: 1 }
}

fn json(report: &RunReport) -> Value {
    serde_json::from_str(&report.to_json_pretty()).expect("a report is JSON")
}

fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| if name == "*" { value.get(0) } else { value.get(name) })
}

#[test]
fn keys_are_those_that_tools_rely_on() {
    let value = json(&full_report());
    let missing: Vec<&str> = KEYS.split_whitespace().filter(|path| lookup(&value, path).is_none()).collect();
    assert_eq!(missing, [""; 0]);
    assert_eq!(lookup(&value, "schema"), Some(&Value::from(1)));
    assert_eq!(lookup(&value, "evictors.*.mode"), Some(&Value::from("user")));
    assert_eq!(lookup(&value, "limited_by"), Some(&Value::from("server")));
}

#[test]
fn optional_keys_are_left_out() {
    let text = RunReport::default().to_json_pretty();
    for key in [
        "speedup_vs_sync",
        "processor_time_vs_sync",
        "exposure_range",
        "gain_parts",
        "over_seeds",
        "shadow",
        "timing",
        "reason",
        "window",
    ] {
        assert!(!text.contains(&format!("\"{key}\"")), "{key}");
    }
}

/// Digits from the first to the last that is not zero, of the number's text without its exponent.
fn significant_digits(text: &str) -> usize {
    let mantissa = text.trim_start_matches('-').split(['e', 'E']).next().unwrap_or("");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').len()
}

#[test]
fn real_numbers_have_six_digits() {
    let mut reals = 0;
    for (name, text) in full_report().flatten() {
        if text.parse::<f64>().is_ok() && text.contains(['.', 'e']) {
            reals += 1;
            assert!(significant_digits(&text) <= 6, "{name} = {text}");
            assert_ne!(text, "-0.0", "{name}");
        }
    }
    assert!(reals > 100, "only {reals} real numbers");
}

#[test]
fn what_is_written_can_be_read() {
    let text = full_report().to_json_pretty();
    let again = RunReport::from_json(&text).expect("a report");
    assert_eq!(again.to_json_pretty(), text);
    assert_eq!(again.evictors, full_report().evictors);

    let unknown = RunReport::default().to_json_pretty();
    let again = RunReport::from_json(&unknown).expect("a report of nothing");
    assert!(again.throughput_rps.mean.is_nan() && again.modes.user.cpi.is_nan());
    assert_eq!(again.to_json_pretty(), unknown);
}

#[test]
fn the_stack_sums_to_the_total() {
    let report = RunReport::from_json(&full_report().to_json_pretty()).expect("a report");
    let total = report.per_request.cycles_total;
    assert!((report.cycle_stack.sum() - total).abs() <= 1e-5 * total);
    let direct = report.per_request.direct_cycles;
    assert!((report.cycle_stack.sum_of("crossing.") - direct).abs() <= 1e-5 * direct);
}

#[test]
fn rows_have_the_names_of_the_json() {
    let rows = full_report().flatten();
    let find = |name: &str| rows.iter().find(|row| row.0 == name).map(|row| row.1.as_str());
    assert_eq!(find("throughput_rps.n"), Some("3"));
    assert_eq!(find("evictors.l1i.user.read.misses"), Some("3"));
    assert_eq!(find("shadow.l2.kernel.destructive"), Some("2"));
    assert_eq!(find("per_call.sendmsg.issued_per_request"), Some("0.333333"));
    assert_eq!(find("notes.1"), Some("second, with a comma"));
    assert!(find("cycle_stack.user.base").is_some() && find("cycle_stack.idle").is_some());
    assert_eq!(rows[0], ("schema".into(), "1".into()));
    let mut names: Vec<_> = rows.iter().map(|row| &row.0).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), rows.len());
}

#[test]
fn a_mechanism_that_does_not_apply_has_no_numbers() {
    let sync = full_report();
    let report = RunReport::not_applicable(&sync, "in-kernel-dsl", "a sequential program serves no requests");
    let value = json(&report);
    assert_eq!(value["applicable"], false);
    assert_eq!(value["reason"], "a sequential program serves no requests");
    assert_eq!(value["throughput_rps"]["mean"], Value::Null);
    assert_eq!((&report.workload, report.connections, report.requests), (&sync.workload, 64, 0));

    let comparison = Comparison::new(vec![report, sync], vec!["the clients are the limit".into()]).expect("two reports");
    assert_eq!((comparison.reps, comparison.workload.as_str()), (3, "memcached"));
    assert!(comparison.find("in-kernel-dsl").is_some_and(|report| !report.applicable));
    let text = comparison.to_json_pretty();
    assert_eq!(Comparison::from_json(&text).expect("a comparison").to_json_pretty(), text);
    assert_eq!(comparison.rows().len(), 2);
    assert!(Comparison::new(Vec::new(), Vec::new()).is_none());
}

#[test]
fn what_is_no_report_is_explained() {
    let error = RunReport::from_json("{\"schema\": 1,\n \"workload\": 5}").expect_err("a number is no name");
    assert!(matches!(error, ReportError::Syntax { line: 2, .. }), "{error}");
    assert!(error.to_string().contains("--json"), "{error}");

    let newer = full_report().to_json_pretty().replacen("\"schema\": 1", "\"schema\": 9", 1);
    let error = RunReport::from_json(&newer).expect_err("another schema");
    assert!(matches!(error, ReportError::Schema { found: 9, .. }), "{error}");
}
