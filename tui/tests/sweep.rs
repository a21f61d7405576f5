//! Sweeps as users run them: the same file whatever the threads, interruptions and shards, and nothing lost when something goes wrong.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Twelve points that take half a second: a loop of null calls on two machines.
const SMALL: [&str; 14] = [
    "sweep",
    "null-call:8",
    "--vary",
    "machine=nehalem,zen4",
    "--vary",
    "mechanism.elevated_shortcut.depth=entry,protocol",
    "--vary",
    "mechanism=sync,elevated-shortcut,in-kernel-dsl",
    "--requests",
    "2",
    "--reps",
    "2",
    "--set",
    "run.warm_up_batches=1",
];

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sweep").join(name);
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringscope"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1");
    command
}

fn run(folder: &Path, arguments: &[&str], more: &[&str]) -> Output {
    command(folder, arguments).args(more).output().expect("the program starts")
}

fn small(folder: &Path, more: &[&str]) -> Output {
    run(folder, &SMALL, more)
}

/// The error output of a run with this exit code.
fn errors(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn lines(folder: &Path, name: &str) -> Vec<Value> {
    let text = String::from_utf8(bytes(folder, name)).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

#[test]
fn a_finished_file_is_the_same_whatever_the_threads_interruptions_and_shards() {
    let folder = folder("same");
    let whole = small(&folder, &["--threads", "1", "-o", "whole.jsonl"]);
    assert!(errors(&whole, 0).is_empty());
    let expected = bytes(&folder, "whole.jsonl");
    errors(&small(&folder, &["--threads", "2", "-o", "two.jsonl"]), 0);
    assert!(bytes(&folder, "two.jsonl") == expected, "{} differs", "two.jsonl");

    // a killed run: half of the lines, not in order, and one that was cut off
    let text = String::from_utf8(expected.clone()).expect("UTF-8");
    let mut kept: Vec<&str> = text.split_inclusive('\n').collect();
    kept.truncate(7);
    kept[1..].reverse();
    let cut = kept.concat();
    std::fs::write(folder.join("killed.jsonl"), &cut[..cut.len() - 40]).expect("written");
    let resumed = small(&folder, &["-o", "killed.jsonl", "--resume"]);
    assert!(errors(&resumed, 0).contains("the last line was cut off"));
    assert!(bytes(&folder, "killed.jsonl") == expected, "{} differs", "killed.jsonl");
    assert_eq!(resumed.stdout, whole.stdout);

    for shard in ["1/3", "2/3", "3/3"] {
        let file = format!("part-{}.jsonl", &shard[..1]);
        errors(&small(&folder, &["--shard", shard, "-o", &file]), 0);
        assert_eq!(lines(&folder, &file)[0]["shard"], shard);
    }
    let merge = ["merge", "part-2.jsonl", "part-1.jsonl", "part-3.jsonl", "-o", "merged.jsonl"];
    errors(&run(&folder, &merge, &[]), 0);
    assert!(bytes(&folder, "merged.jsonl") == expected, "{} differs", "merged.jsonl");

    let printed = small(&folder, &["--json"]);
    assert!(printed.stdout == expected, "--json prints what a file would hold");
}

#[test]
fn a_point_is_what_its_command_makes() {
    let folder = folder("command");
    errors(&small(&folder, &["-o", "r.jsonl"]), 0);
    let records = lines(&folder, "r.jsonl");
    assert_eq!((records.len(), &records[0]["points"]), (13, &Value::from(12)));
    let indices: Vec<u64> = records[1..].iter().filter_map(|record| record["index"].as_u64()).collect();
    assert_eq!(indices, (0..12).collect::<Vec<u64>>());
    let axes = serde_json::json!({
        "machine": "nehalem", "mechanism.elevated_shortcut.depth": "protocol", "mechanism": "elevated-shortcut"
    });
    let record = records[1..].iter().find(|record| record["axes"] == axes).expect("the point");
    let command = record["report"]["manifest"]["command"].as_str().expect("a command");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let again = run(&folder, &words, &["--json"]);
    let comparison: Value = serde_json::from_slice(&again.stdout).expect("a comparison");
    let mut report = comparison["results"][1].clone();
    report["manifest"]["command"] = command.into();
    assert_eq!(report, record["report"]);
    assert!(record["report"]["speedup_vs_sync"]["mean"].as_f64().is_some_and(|speedup| speedup > 1.0));
    assert!(records[1..].iter().any(|record| record["report"]["applicable"] == false), "a sequential program has no service");
}

#[test]
fn zipped_axes_go_together_and_free_ones_with_each() {
    let folder = folder("zip");
    let arguments = ["sweep", "null-call:4", "--zip", "run.seed=1,2,3", "--vary", "mechanism=sync,elevated-shortcut"];
    let more = ["--zip", "machine.l2.size_kib=256,512,1024", "--requests", "2", "--reps", "1", "-o", "z.jsonl", "-q"];
    errors(&run(&folder, &arguments, &more), 0);
    let points: Vec<String> = lines(&folder, "z.jsonl")[1..].iter().map(|record| record["axes"].to_string()).collect();
    let point = |seed: u32, size: u32, mechanism: &str| {
        format!("{{\"mechanism\":\"{mechanism}\",\"run.seed\":{seed},\"machine.l2.size_kib\":{size}}}")
    };
    let expected: Vec<String> = ["sync", "elevated-shortcut"]
        .into_iter()
        .flat_map(|mechanism| [(1, 256), (2, 512), (3, 1024)].map(|(seed, size)| point(seed, size, mechanism)))
        .collect();
    assert_eq!(points, expected);
}

#[test]
fn a_sweep_file_is_the_same_sweep_as_its_options() {
    let folder = folder("file");
    let text = "(
        workload: \"null-call:8\",
        set: [\"run.requests=5\", \"run.reps=2\"],
        vary: (machine: [\"nehalem\", \"zen4\"], mechanism: \"sync,elevated-shortcut\"),
    )";
    std::fs::write(folder.join("s.ron"), text).expect("written");
    errors(&run(&folder, &["sweep", "--sweep", "s.ron", "-o", "file.jsonl", "-q"], &[]), 0);
    let options = ["sweep", "null-call:8", "--vary", "machine=nehalem,zen4", "--vary", "mechanism=sync,elevated-shortcut"];
    errors(&run(&folder, &options, &["--set", "run.requests=5", "--set", "run.reps=2", "-o", "options.jsonl", "-q"]), 0);
    assert!(bytes(&folder, "file.jsonl") == bytes(&folder, "options.jsonl"), "{} differs", "file.jsonl");
}

#[test]
fn failed_points_are_kept_listed_and_leave_the_others_alone() {
    let folder = folder("failed");
    let arguments =
        ["sweep", "null-call:4", "--vary", "machine=nehalem,zen4", "--vary", "cores=1,16", "--requests", "2", "--reps", "1"];
    let output = run(&folder, &arguments, &["-o", "f.jsonl"]);
    let text = errors(&output, 3);
    assert!(text.contains("failed: point 1 (machine=nehalem cores=16): run.cores: 16 cores asked for"), "{text}");
    assert!(text.contains("1 of 4 points failed"), "{text}");
    let records = lines(&folder, "f.jsonl");
    let status: Vec<&str> = records[1..].iter().filter_map(|record| record["status"].as_str()).collect();
    assert_eq!(status, ["done", "failed", "done", "done"]);
    assert!(
        String::from_utf8_lossy(&output.stdout).lines().any(|line| line.starts_with("nehalem     16") && line.contains("failed"))
    );
    let before = bytes(&folder, "f.jsonl");
    errors(&run(&folder, &arguments, &["-o", "f.jsonl", "--resume"]), 3);
    assert!(bytes(&folder, "f.jsonl") == before, "{} differs", "f.jsonl");
}

#[test]
fn files_of_other_sweeps_are_left_as_they_are() {
    let folder = folder("refused");
    let one = ["sweep", "null-call:4", "--vary", "machine=nehalem,zen4", "--requests", "2", "--reps", "1", "-q"];
    errors(&run(&folder, &one, &["-o", "one.jsonl"]), 0);
    let before = bytes(&folder, "one.jsonl");
    assert!(errors(&run(&folder, &one, &["-o", "one.jsonl"]), 2).contains("holds results already"));
    let other = ["sweep", "null-call:4", "--vary", "machine=nehalem,zen4", "--requests", "3", "--reps", "1", "-q"];
    assert!(errors(&run(&folder, &other, &["-o", "one.jsonl", "--resume"]), 2).contains("holds another sweep"));
    assert!(bytes(&folder, "one.jsonl") == before, "{} differs", "one.jsonl");

    // the same command under a configuration file that has changed since
    std::fs::write(folder.join("ringscope.ron"), "(run: (seed: 5))").expect("written");
    errors(&run(&folder, &one, &["-o", "two.jsonl"]), 0);
    std::fs::write(folder.join("ringscope.ron"), "(run: (seed: 6))").expect("written");
    assert!(errors(&run(&folder, &one, &["-o", "two.jsonl", "--resume"]), 2).contains("under other settings"));
    errors(&run(&folder, &one, &["-o", "two.jsonl", "--resume", "--force"]), 0);
    assert!(lines(&folder, "two.jsonl")[1..].iter().all(|record| record["report"]["seed"] == 6));

    let text = String::from_utf8(before).expect("UTF-8").replacen("\"program_hash\":\"", "\"program_hash\":\"0", 1);
    std::fs::remove_file(folder.join("ringscope.ron")).expect("removed");
    std::fs::write(folder.join("old.jsonl"), &text).expect("written");
    assert!(errors(&run(&folder, &one, &["-o", "old.jsonl", "--resume"]), 2).contains("another build of the program"));
    errors(&run(&folder, &one, &["-o", "old.jsonl", "--resume", "--force"]), 0);
    assert_eq!(bytes(&folder, "old.jsonl"), text.as_bytes());

    let merged = run(&folder, &["merge", "one.jsonl", "two.jsonl", "-o", "m.jsonl"], &[]);
    assert!(errors(&merged, 2).contains("different sweeps"));
    assert!(!folder.join("m.jsonl").exists());
}

#[test]
fn merging_names_what_is_missing() {
    let folder = folder("missing");
    errors(&small(&folder, &["--shard", "1/2", "-o", "one.jsonl", "-q"]), 0);
    let missing = run(&folder, &["merge", "one.jsonl", "-o", "m.jsonl"], &[]);
    let text = errors(&missing, 2);
    assert!(text.contains("6 of 12 points are missing") && text.contains("--shard I/N"), "{text}");
    let done: Vec<Value> = lines(&folder, "one.jsonl")[1..].iter().map(|record| record["index"].clone()).collect();
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("point ")?.split_once(": ")).collect::<Vec<_>>();
    assert_eq!(named.len(), 6, "{text}");
    for (index, values) in named {
        assert!(!done.contains(&index.parse::<u64>().expect("a number").into()), "{text}");
        assert!(values.starts_with("machine=") && values.contains(" mechanism="), "{text}");
    }
    errors(&run(&folder, &["merge", "one.jsonl", "-o", "m.jsonl", "--incomplete"], &[]), 0);
    errors(&small(&folder, &["-o", "m.jsonl", "--resume", "-q"]), 0);
    errors(&small(&folder, &["-o", "whole.jsonl", "-q"]), 0);
    assert!(bytes(&folder, "m.jsonl") == bytes(&folder, "whole.jsonl"), "{} differs", "m.jsonl");
}

#[test]
fn a_dry_run_writes_nothing_and_knows_what_is_done() {
    let folder = folder("dry");
    let output = small(&folder, &["--dry-run", "-o", "d.jsonl"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("12 points, 0 done already, 12 to run") && text.contains("estimate: "), "{text}");
    assert!(!folder.join("d.jsonl").exists());
    errors(&small(&folder, &["-o", "d.jsonl", "-q"]), 0);
    let text = small(&folder, &["--dry-run", "-o", "d.jsonl", "--resume"]).stdout;
    assert!(String::from_utf8_lossy(&text).contains("12 points, 12 done already, 0 to run"));
}

/// Waits until the result file holds a finished point, then sends SIGINT.
#[cfg(unix)]
#[test]
fn ctrl_c_keeps_finished_points_and_says_how_to_go_on() {
    let folder = folder("interrupt");
    let arguments = ["sweep", "null-call:8", "--vary", "run.seed=1..300", "--requests", "50", "--reps", "1", "-q"];
    let child = command(&folder, &arguments).args(["-o", "i.jsonl"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    let file = folder.join("i.jsonl");
    while std::fs::read_to_string(&file).map_or(0, |text| text.lines().count()) < 2 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill exists");
    let output = child.wait_with_output().expect("the program ends");
    assert!(signal.success(), "the sweep was still running");
    let text = errors(&output, 130);
    assert!(
        text.contains("of 300 points are in i.jsonl; go on with:\n  ringscope sweep null-call:8") && text.contains("--resume"),
        "{text}"
    );
    errors(&run(&folder, &arguments, &["-o", "i.jsonl", "--resume"]), 0);
    errors(&run(&folder, &arguments, &["-o", "whole.jsonl"]), 0);
    assert!(bytes(&folder, "i.jsonl") == bytes(&folder, "whole.jsonl"), "an interruption shows in the file");
}
