//! Reports of small runs: the JSON's keys, sums, the same bytes whatever the threads, files, and what scripts rely on.

use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

fn ringscope(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringscope")).args(arguments).env("NO_COLOR", "1").output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&stdout(&ringscope(arguments))).expect("JSON")
}

/// A file of this test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

const SMALL: [&str; 6] = ["--requests", "20", "--connections", "8", "--set", "run.exposure_range=false"];

fn small<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().copied().chain(SMALL).collect()
}

/// The keys of a run report that tools rely on.
const KEYS: &[&str] = &[
    "schema",
    "workload",
    "machine",
    "kernel",
    "mechanism",
    "cores",
    "connections",
    "seed",
    "reps",
    "requests",
    "manifest.version",
    "manifest.command",
    "manifest.config_hash",
    "manifest.trace_hash",
    "throughput_rps.mean",
    "throughput_rps.low",
    "throughput_rps.high",
    "throughput_rps.n",
    "latency_us.mean",
    "latency_us.p50",
    "latency_us.p90",
    "latency_us.p99",
    "latency_us.p999",
    "latency_us.max",
    "modes.user.instructions",
    "modes.user.cycles",
    "modes.user.cpi",
    "modes.user.misses_per_kinstr.l1i",
    "modes.user.misses_per_kinstr.l1d",
    "modes.user.misses_per_kinstr.l2",
    "modes.user.misses_per_kinstr.l3",
    "modes.user.misses_per_kinstr.itlb",
    "modes.user.misses_per_kinstr.dtlb",
    "modes.user.misses_per_kinstr.stlb",
    "modes.user.misses_per_kinstr.branch",
    "modes.kernel.instructions",
    "modes.kernel.cpi",
    "modes.kernel.misses_per_kinstr.branch",
    "per_request.instructions_user",
    "per_request.instructions_kernel",
    "per_request.cycles_total",
    "per_request.syscalls",
    "per_request.crossings",
    "per_request.context_switches",
    "per_request.direct_cycles",
    "per_request.indirect_cycles",
    "per_request.mechanism_cycles",
    "evictors.0.structure",
    "evictors.0.mode",
    "evictors.0.evictor",
    "evictors.0.misses",
    "evictors.0.cycles",
    "batch.mean",
    "batch.p50",
    "batch.p99",
    "batch.max",
    "batch.limited_by",
    "limited_by",
    "cpu_us_per_request",
    "synthetic_cycle_share",
    "applicable",
    "cores_used.user",
    "cores_used.kernel",
    "cores_used.idle",
];

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, name| match name.parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) => value.get(name),
    })
}

#[test]
fn a_run_report_has_all_keys_and_its_cycles_sum() {
    let report = json(&small(&["run", "memcached", "--mechanism", "sync", "--reps", "1", "--shadow", "--json"]));
    for key in KEYS {
        assert!(at(&report, key).is_some(), "{key} is missing");
    }
    for key in ["shadow.0.structure", "shadow.0.mode", "shadow.0.misses_alone", "shadow.0.destructive", "shadow.0.constructive"] {
        assert!(at(&report, key).is_some(), "{key} is missing");
    }
    assert!(at(&report, "timing").is_none(), "host time only with --timing");
    let stack = report["cycle_stack"].as_object().expect("an object");
    let sum: f64 = stack.values().filter_map(Value::as_f64).sum();
    let total = report["per_request"]["cycles_total"].as_f64().expect("a number");
    assert!((sum - total).abs() <= 1e-4 * total, "{sum} against {total}");
    assert_eq!(stack.keys().next().map(String::as_str), Some("user.base"), "the order of the components is kept");
    let command = report["manifest"]["command"].as_str().expect("a text");
    assert_eq!(
        command,
        "ringscope run memcached --mechanism sync --connections 8 --reps 1 --requests 20 --set run.exposure_range=false --shadow=full"
    );
}

#[test]
fn a_comparison_is_the_same_bytes_whatever_the_threads() {
    let folder = scratch("threads");
    let mut seen: Vec<(String, Vec<u8>, Vec<u8>)> = Vec::new();
    for threads in ["1", "2"] {
        let (as_json, csv) = (folder.join(format!("{threads}.json")), folder.join(format!("{threads}.csv")));
        let (as_json, csv) = (as_json.to_str().expect("UTF-8"), csv.to_str().expect("UTF-8"));
        let arguments = small(&["compare", "redis", "--reps", "2", "--threads", threads, "-q", "-o", as_json, "-o", csv]);
        let text = stdout(&ringscope(&arguments));
        seen.push((text, std::fs::read(as_json).expect("written"), std::fs::read(csv).expect("written")));
    }
    assert_eq!(seen[0], seen[1]);
    let (text, as_json, csv) = &seen[0];
    let comparison: Value = serde_json::from_slice(as_json).expect("JSON");
    let results = comparison["results"].as_array().expect("a list");
    let names: Vec<&str> = results.iter().filter_map(|report| report["mechanism"].as_str()).collect();
    assert_eq!(names, ["sync", "exception-less", "batched-script", "in-kernel-dsl", "elevated-shortcut"]);
    for report in results {
        assert!(at(report, "speedup_vs_sync.mean").is_some_and(Value::is_number));
        assert!(text.contains(report["why"].as_str().and_then(|why| why.split(' ').next()).expect("a reason")));
    }
    assert!(text.lines().all(|line| line.starts_with("again:") || line.chars().count() <= 120), "{text}");
    let csv = String::from_utf8_lossy(csv);
    let header = csv.lines().next().expect("a header");
    assert!(header.contains("throughput_rps.mean") && header.contains("cycle_stack.user.base"), "{header}");
    assert_eq!(csv.lines().count(), 6);
}

#[test]
fn the_printed_command_makes_the_same_report() {
    let first = json(&small(&["run", "redis", "--mechanism", "elevated-shortcut", "--reps", "1", "--json"]));
    let command = first["manifest"]["command"].as_str().expect("a text");
    let mut words: Vec<&str> = command.split(' ').skip(1).collect();
    words.push("--json");
    assert_eq!(json(&words), first);
}

#[test]
fn an_inapplicable_mechanism_is_said_and_is_no_failure() {
    let report = json(&["run", "microbench", "--mechanism", "in-kernel-dsl", "--reps", "1", "--json"]);
    assert_eq!(report["applicable"], Value::Bool(false));
    assert!(report["reason"].as_str().is_some_and(|reason| reason.contains("sequential")));
    let text = stdout(&ringscope(&["run", "microbench", "--mechanism", "in-kernel-dsl"]));
    assert!(text.contains("in-kernel-dsl does not apply"), "{text}");
}

#[test]
fn replay_counts_a_memory_trace() {
    let folder = scratch("replay");
    let file = folder.join("t.lackey");
    std::fs::write(&file, "I  04001000,4\nI  04001004,4\n L 0500003c,8\n S 05000040,8\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let report = json(&["replay", file, "--machine", "zen4", "--shadow", "--json"]);
    assert_eq!(report["modes"]["user"]["instructions"], 2);
    assert_eq!(report["lackey"]["loads"], 1);
    assert_eq!(report["machine"], "zen4");
    assert!(at(&report, "structures.0.miss_rate").is_some() && at(&report, "shadow.0.misses_alone").is_some());
    let without = json(&["replay", file, "--ledger", "off", "--json"]);
    assert_eq!(without["evictors"], Value::Array(Vec::new()));
    let text = stdout(&ringscope(&["replay", file]));
    assert!(text.contains("dtlb") && text.contains("again: ringscope replay"), "{text}");
}

#[test]
fn an_imported_workload_runs_like_its_capture() {
    let folder = scratch("import");
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/data/captures/ubench-off.trace");
    let file = folder.join("u.workload");
    let file = file.to_str().expect("UTF-8");
    let printed = stdout(&ringscope(&["import", capture, "-o", file, "--name", "micro"]));
    assert!(printed.starts_with("micro: ") && printed.contains("sequential program"), "{printed}");
    let info = json(&["trace", "info", file, "--json"]);
    assert_eq!(info["format"], "workload");
    let direct = json(&["run", capture, "--reps", "1", "--json"]);
    let imported = json(&["run", file, "--reps", "1", "--json"]);
    assert_eq!(direct["cycle_stack"], imported["cycle_stack"]);
    assert_eq!(direct["manifest"]["trace_hash"], imported["manifest"]["trace_hash"]);
}

#[test]
fn project_file_configuration_file_options_and_sets_win_in_this_order() {
    let folder = scratch("layers");
    std::fs::write(folder.join("ringscope.ron"), "(machine: \"zen4\", run: (cores: 2, reps: 3, seed: 5, requests: 6))")
        .expect("written");
    std::fs::write(folder.join("more.ron"), "(run: (reps: 4, seed: 6, requests: 7))").expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_ringscope"))
        .current_dir(&folder)
        .args([
            "config",
            "show",
            "run",
            "--json",
            "--config",
            "more.ron",
            "--seed",
            "7",
            "--requests",
            "8",
            "--set",
            "run.requests=9",
        ])
        .output()
        .expect("the program starts");
    let run: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let values = ["cores", "reps", "seed", "requests"].map(|name| run[name].as_u64());
    assert_eq!(values, [Some(2), Some(4), Some(7), Some(9)]);
    let output = Command::new(env!("CARGO_BIN_EXE_ringscope"))
        .current_dir(&folder)
        .args(["config", "show", "--origin", "--cores", "3"])
        .output()
        .expect("the program starts");
    let text = stdout(&output);
    for (setting, origin) in [("run.cores = 3", "--cores 3"), ("run.reps = 3", "ringscope.ron:1"), ("machine.name", "preset zen4")]
    {
        let line = text.lines().find(|line| line.starts_with(setting)).unwrap_or_else(|| panic!("{setting} in {text}"));
        assert!(line.ends_with(origin), "{line}");
    }
}

#[test]
fn the_template_is_a_valid_configuration() {
    let folder = scratch("template");
    let file = folder.join("t.ron");
    std::fs::write(&file, stdout(&ringscope(&["config", "template"]))).expect("written");
    let text = stdout(&ringscope(&["config", "check", file.to_str().expect("UTF-8")]));
    assert!(text.starts_with("ok: machine nehalem"), "{text}");
}

#[test]
fn a_closed_pipe_is_a_quiet_success() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringscope"))
        .args(["list", "syscalls"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert!(output.status.success(), "{:?}", output.status);
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn completions_and_manual_come_from_the_same_definition() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(stdout(&ringscope(&["completions", shell])).contains("connections"), "{shell}");
    }
    let manual = stdout(&ringscope(&["man"]));
    assert!(manual.contains("\\-\\-connections") && manual.contains("compare"), "the manual names commands and options");
}

#[test]
fn advice_has_the_documented_keys_and_is_the_same_whatever_the_threads() {
    let folder = scratch("advice");
    let file = folder.join("advice.json");
    let path = file.to_str().expect("UTF-8");
    let words = [
        "advise",
        "redis",
        "--mechanism",
        "exception-less",
        "--connections",
        "4",
        "--requests",
        "30",
        "--reps",
        "2",
        "--json",
        "-q",
    ];
    let with = |extra: &[&str]| stdout(&ringscope(&words.iter().chain(extra).copied().collect::<Vec<_>>()));
    let text = with(&["--threads", "1", "-o", path]);
    assert_eq!(text, with(&["--threads", "2"]));
    assert_eq!(text, std::fs::read_to_string(&file).expect("written"));
    let advice: Value = serde_json::from_str(&text).expect("JSON");
    let keys = "schema kind verdict.decision verdict.headline verdict.reasons verdict.would_settle measure \
        recommendation.candidate.mechanism recommendation.candidate.gain.low recommendation.settings recommendation.command \
        recommendation.batch.mean recommendation.batch_limit recommendation.core_split.user recommendation.costs.memory_bytes \
        recommendation.costs.calls_to_change.0 on_stock_kernel candidates.0.outcome candidates.0.gain_low_cautious \
        candidates.0.margin calls.0.call calls.0.saved_cycles calls.0.share saved_elsewhere_cycles elsewhere.0.gain.mean \
        elsewhere.0.outcome loses_when confidence.class confidence.reasons.0.text confidence.synthetic_cycle_share simulations";
    for key in keys.split_whitespace() {
        assert!(at(&advice, key).is_some(), "{key} is missing in {text}");
    }
    let low = at(&advice, "recommendation.candidate.gain.low").and_then(Value::as_f64).expect("a number");
    let moves = advice["verdict"]["decision"] == "move";
    assert!(!moves || low > 1.05, "nothing is recommended that the interval does not separate from no gain: {low}");
}

#[test]
fn a_timeline_and_folded_stacks_are_written_and_hold_the_reports_calls() {
    let folder = scratch("timeline");
    let (timeline, stacks) = (folder.join("t.json"), folder.join("t.folded"));
    let files = ["--timeline", timeline.to_str().expect("UTF-8"), "--folded", stacks.to_str().expect("UTF-8")];
    let whole = ["--timeline-window", "0ms..1000s", "--reps", "1", "--json", "-q"];
    let words = small(&["run", "redis", "--mechanism", "sync"]);
    let report = json(&words.iter().chain(&files).chain(&whole).copied().collect::<Vec<_>>());
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(&timeline).expect("written")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let begun = events.iter().filter(|event| event["ph"] == "i" || event["args"]["begins"] == true).count() as f64;
    let calls = report["per_request"]["syscalls"].as_f64().expect("a number") * report["requests"].as_f64().expect("a number");
    assert!((begun - calls).abs() < 0.5, "{begun} calls begin, {calls} are reported");
    let folded = std::fs::read_to_string(&stacks).expect("written");
    let cycles: u64 = folded.lines().filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum();
    assert_eq!(report["window"]["measured_cycles"].as_u64(), Some(cycles), "one core: all cycles of the window");
}
