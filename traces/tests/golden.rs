//! The capture reader against the totals that the recorder's own tool wrote.

use std::collections::BTreeMap;
use traces::capture::Capture;
use traces::capture::totals::{CallTotals, Counted, Totals, count};

const CAPTURES: &[&str] = &[
    "apache-4k-off",
    "find-off",
    "mc-16-off",
    "mc-16-on",
    "mc-16-rx-off",
    "mc-64-off",
    "mcudp-16-rx-off",
    "mcvnet-16-off",
    "nginx-512-on",
    "nginx-512-rx-off",
    "nginxka-512-rx-off",
    "redis-16-on",
    "redis-16-rx-off",
    "thsrv-4k-off",
    "ubench-off",
    "ubench2-off",
];

fn data(file: &str) -> Vec<u8> {
    let path = format!("{}/data/captures/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn golden(name: &str) -> serde_json::Value {
    serde_json::from_slice(&data(&format!("{name}.golden.json"))).unwrap()
}

fn numbers(value: &serde_json::Value) -> BTreeMap<u64, u64> {
    let object = value.as_object().unwrap();
    object.iter().map(|(key, value)| (key.parse().unwrap(), value.as_u64().unwrap())).collect()
}

fn counted(value: &serde_json::Value) -> Counted {
    Counted { count: value["count"].as_u64().unwrap(), instructions: value["instructions"].as_u64().unwrap() }
}

fn check_calls(totals: &CallTotals, golden: &serde_json::Value, what: &str) {
    for (key, value) in [
        ("count", totals.count),
        ("errors", totals.errors),
        ("instructions", totals.instructions),
        ("softirq_instructions", totals.softirq_instructions),
    ] {
        assert_eq!(golden[key], value, "{what}: {key}");
    }
    for (key, sum) in [("ilines_mean", totals.code_lines), ("dlines_mean", totals.data_lines)] {
        let mean = golden[key].as_f64().unwrap();
        assert!((mean - sum as f64 / totals.count as f64).abs() < 0.000_51, "{what}: {key} {mean} {sum}");
    }
}

fn check(name: &str) {
    let file = data(&format!("{name}.trace"));
    let capture = Capture::read(&file).unwrap();
    let golden = golden(name);
    let totals: Totals = count(&capture).unwrap();
    assert_eq!(golden["bytes"], file.len() as u64);
    assert_eq!(golden["raw_bytes"], capture.events.len() as u64);
    assert_eq!(golden["requests"], capture.header.workload.requests);
    let records = &golden["records"];
    assert_eq!([&records["i"], &records["load"], &records["store"]], [totals.records[0], totals.records[1], totals.records[2]]);
    assert_eq!(numbers(&records["control"]), totals.controls, "{name}");
    let instructions = &golden["instructions"];
    for (key, value) in [
        ("user", totals.instructions[0]),
        ("kernel", totals.instructions[1]),
        ("softirq", totals.softirq_instructions),
        ("base", totals.base_instructions),
        ("in_tasks_not_kept", totals.not_kept_instructions),
    ] {
        assert_eq!(instructions[key], value, "{name}: {key}");
    }
    assert_eq!(golden["rep_iterations_not_counted"], totals.end.rep_iterations_not_counted);
    assert_eq!(golden["memory_accesses"]["loads"], totals.end.loads);
    assert_eq!(golden["memory_accesses"]["stores"], totals.end.stores);
    assert_eq!(golden["dropped_instructions"]["user"], totals.end.dropped_user_instructions);
    assert_eq!(golden["dropped_instructions"]["kernel"], totals.end.dropped_kernel_instructions);
    for (index, key) in ["i_user", "i_kernel", "d_user", "d_kernel"].into_iter().enumerate() {
        assert_eq!(golden["distinct_lines"][key], totals.distinct_lines[index], "{name}: {key}");
    }
    assert_eq!(counted(&golden["user_segments"]), totals.user_segments, "{name}");
    assert_eq!(counted(&golden["unfinished_syscalls"]), totals.unfinished_calls, "{name}");
    assert_eq!(golden["softirq"]["count"], totals.softirqs);
    assert_eq!(numbers(&golden["softirq"]["actions"]), totals.softirq_actions);
    let interrupts = golden["interrupts"].as_object().unwrap();
    assert_eq!(interrupts.len(), totals.interrupts.len());
    for (vector, expected) in interrupts {
        assert_eq!(counted(expected), totals.interrupts[&vector.parse().unwrap()], "{name}: vector {vector}");
    }
    let calls = golden["syscalls"].as_object().unwrap();
    assert_eq!(calls.len(), totals.calls.len());
    for (number, expected) in calls {
        check_calls(&totals.calls[&number.parse().unwrap()], expected, &format!("{name}: call {number}"));
    }
    if let Some(phases) = golden["phases"].as_object() {
        assert_eq!(phases.len(), totals.phases.len());
        for (key, expected) in phases {
            let (phase, number) = key.split_once(':').unwrap();
            let key = (phase.parse().unwrap(), number.parse().unwrap());
            check_calls(&totals.phases[&key], expected, &format!("{name}: phase {key:?}"));
        }
        assert_eq!(numbers(&golden["phase_instructions"]), totals.phase_instructions);
    }
    let tasks = golden["tasks"].as_array().unwrap();
    assert_eq!(tasks.len(), totals.tasks.len());
    for (task, (id, info)) in tasks.iter().zip(&totals.tasks) {
        assert_eq!(task["id"], *id);
        assert_eq!((&task["pid"], &task["tgid"]), (&info.thread.into(), &info.process.into()));
        assert_eq!(task["kept"], u64::from(info.kept));
    }
}

#[test]
fn totals_agree_with_every_golden_file() {
    // Two at a time: each capture decompresses to some 20 MB and up.
    let halves = CAPTURES.split_at(CAPTURES.len() / 2);
    std::thread::scope(|scope| {
        for half in [halves.0, halves.1] {
            scope.spawn(move || half.iter().for_each(|name| check(name)));
        }
    });
}

#[test]
fn damage_is_an_error_with_its_place_and_lenient_keeps_what_came_before() {
    let file = data("ubench-off.trace");
    let whole = Capture::read(&file).unwrap();
    for cut in [0, 5, 11, 15, 40, 3_000, 5_000, file.len() / 2, file.len() - 1] {
        let error = Capture::read(&file[..cut]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("byte ") || text.contains("does not begin with SYSTRACE"), "{cut}: {text}");
    }
    let (part, error) = Capture::read_lenient(&file[..file.len() / 2]).unwrap();
    assert!(error.is_some());
    assert!(part.events.len() > 100_000 && whole.events.starts_with(&part.events));
    assert!(count(&part).unwrap_err().to_string().contains("byte"));
}

#[test]
fn flipped_bytes_never_panic() {
    let file = data("ubench-off.trace");
    let capture = Capture::read(&file).unwrap();
    let mut errors = 0;
    for step in 0..24 {
        let mut damaged = capture.clone();
        damaged.events.truncate(200_000);
        let at = step * 8_111;
        damaged.events[at] ^= 1 << (step % 8);
        errors += u32::from(count(&damaged).is_err());
        let mut bytes = file.clone();
        bytes[16 + step * 17_001] ^= 0x55;
        if let Ok((capture, _)) = Capture::read_lenient(&bytes) {
            let _ = count(&capture);
        }
    }
    // Truncated streams have no end record, so every one of them must be noticed.
    assert_eq!(errors, 24);
}

#[test]
fn a_replay_touches_what_was_recorded_and_keeps_set_indices() {
    use sim_core::block::{OpKind, Region, instructions_of};
    use sim_core::context::Agent;
    use sim_core::ids::Mode;
    let capture = Capture::read(&data("ubench-off.trace")).unwrap();
    let totals = count(&capture).unwrap();
    let mut map = sim_core::layout::AddressMap::new();
    let mut stretches = traces::capture::replay_ops(&capture, &mut map);
    let (mut instructions, mut softirq) = ([0u64; 2], 0);
    let mut touches = 0;
    while let Some(stretch) = stretches.next_stretch().unwrap() {
        let executed = u64::from(instructions_of(stretch.ops));
        instructions[stretch.mode.index()] += executed;
        softirq += if stretch.agent == Agent::SOFTIRQ { executed } else { 0 };
        assert_eq!(stretch.mode == Mode::User, stretch.agent == Agent::USER);
        assert!(stretch.ops.iter().all(|op| op.region == Region::Fixed));
        touches += stretch.ops.iter().filter(|op| matches!(op.kind, OpKind::Load | OpKind::Store)).count() as u64;
    }
    assert_eq!(instructions, totals.instructions);
    assert_eq!(softirq, totals.softirq_instructions);
    assert_eq!(touches, totals.records[1] + totals.records[2]);
}
