//! `report` and `diff` on results of small runs: the page, its plots, tables, differences, and files that can't be used.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

fn ringscope(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringscope")).args(arguments).env("NO_COLOR", "1").output().expect("the program starts")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A folder of this test's own, empty.
fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("results-{name}"));
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

fn named(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("UTF-8").to_owned()
}

/// Comparisons at 4, 8 and 32 connections, computed once.
fn comparisons() -> &'static [String; 3] {
    static FILES: OnceLock<[String; 3]> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = scratch("comparisons");
        ["4", "8", "32"].map(|connections| {
            let file = named(&folder, &format!("{connections}.json"));
            let output = ringscope(&[
                "compare",
                "redis",
                "--mechanism",
                "exception-less,elevated-shortcut",
                "--connections",
                connections,
                "--requests",
                "40",
                "--reps",
                "3",
                "--set",
                "run.exposure_range=false",
                "-q",
                "-o",
                &file,
            ]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            file
        })
    })
}

/// The comparisons as a sweep would write them, with a point that failed.
fn sweep_file(folder: &Path, connections: &[usize]) -> String {
    let values = [4, 8, 32];
    let axes = json!([{"path": "connections", "values": values}, {"path": "mechanism", "values": ["sync", "exception-less", "elevated-shortcut"]}]);
    let header = json!({"schema": 1, "kind": "sweep", "version": "0.1.0", "program_hash": "ab", "workload": "redis", "workload_hash": "cd",
        "command": "ringscope sweep redis", "axes": axes, "points": 10, "shard": null});
    let mut lines = vec![header.to_string()];
    for place in connections {
        let comparison: Value = serde_json::from_str(&text(Path::new(&comparisons()[*place]))).expect("JSON");
        for report in comparison["results"].as_array().expect("a list") {
            let axes = json!({"connections": values[*place], "mechanism": report["mechanism"]});
            lines.push(
                json!({"point": "ef", "index": lines.len() - 1, "axes": axes, "status": "done", "report": report}).to_string(),
            );
        }
    }
    let axes = json!({"connections": 64, "mechanism": "sync"});
    lines.push(json!({"point": "ff", "index": 9, "axes": axes, "status": "failed", "error": "it stood still"}).to_string());
    let file = named(folder, "sweep.jsonl");
    std::fs::write(&file, lines.join("\n") + "\n").expect("written");
    file
}

#[test]
fn the_page_holds_every_plot_and_refers_to_nothing_outside() {
    let folder = scratch("page");
    let sweep = sweep_file(&folder, &[0, 1, 2]);
    let mut seen = Vec::new();
    for turn in ["1", "2"] {
        let (page, csv, plots) =
            (named(&folder, &format!("{turn}.html")), named(&folder, &format!("{turn}.csv")), named(&folder, turn));
        let output = ringscope(&["report", &sweep, "-o", &page, "-o", &csv, "--plots", &plots]);
        assert!(output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut drawn: Vec<(String, String)> = std::fs::read_dir(&plots)
            .expect("the folder is made")
            .map(|entry| entry.expect("an entry"))
            .map(|entry| (entry.file_name().to_string_lossy().into_owned(), text(&entry.path())))
            .collect();
        drawn.sort();
        seen.push((text(Path::new(&page)), text(Path::new(&csv)), drawn));
    }
    assert_eq!(seen[0], seen[1], "the same bytes twice");
    let (page, csv, plots) = &seen[0];
    let names: Vec<&str> = plots.iter().map(|plot| plot.0.as_str()).collect();
    for expected in [
        "throughput.svg",
        "speed-up.svg",
        "latency-p50.svg",
        "latency-p99.svg",
        "cycles-connections-32.svg",
        "pollution-sync-connections-32.svg",
        "pollution-exception-less-connections-32.svg",
        "core-split-elevated-shortcut-connections-32.svg",
    ] {
        assert!(names.contains(&expected), "{expected} is not among {names:?}");
    }
    for (name, svg) in plots {
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
        assert!(page.contains(svg.trim_end()), "{name} is not in the page");
    }
    for outside in ["<script", "src=", "href=\"http", "url(", "@import", "<link", "<iframe"] {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    for expected in [
        "connections 64, sync: it stood still",
        "prefers-color-scheme: dark",
        "ringscope sweep redis",
        "exception-less",
        "limited by",
    ] {
        assert!(page.contains(expected), "{expected} is not in the page");
    }
    assert_eq!(csv.lines().count(), 11, "a header and ten points");
    let header = csv.lines().next().expect("a header");
    assert!(header.starts_with("axes.connections,axes.mechanism,status,error,schema,workload"), "{header}");
    assert!(csv.lines().last().expect("a row").starts_with("64,sync,failed,it stood still,"), "{csv}");
}

#[test]
fn comparisons_side_by_side_give_the_same_table_as_their_json() {
    let folder = scratch("side");
    let [first, second, _] = comparisons();
    let (json, csv, again) = (named(&folder, "all.json"), named(&folder, "all.csv"), named(&folder, "again.csv"));
    assert!(ringscope(&["report", first, second, "-o", &json, "-o", &csv, "-q"]).status.success());
    assert!(ringscope(&["report", &json, "-o", &again, "-q"]).status.success());
    assert_eq!(text(Path::new(&csv)), text(Path::new(&again)));
    let printed = String::from_utf8(ringscope(&["report", first, second]).stdout).expect("UTF-8");
    let words: Vec<Vec<&str>> = printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][..2], ["connections", "mechanism"]);
    assert_eq!((words[2][0], words[2][1], words[5][0]), ("4", "sync", "8"));
    // one comparison alone is the table that `compare -o` writes
    let (alone, direct) = (named(&folder, "alone.csv"), named(&folder, "direct.csv"));
    assert!(ringscope(&["report", first, "-o", &alone, "-q"]).status.success());
    let command = serde_json::from_str::<Value>(&text(Path::new(first))).expect("JSON")["manifest"]["command"].clone();
    let words: Vec<&str> = command.as_str().expect("a text").split(' ').skip(1).chain(["-q", "-o", &direct]).collect();
    assert!(ringscope(&words).status.success());
    assert_eq!(text(Path::new(&alone)), text(Path::new(&direct)));
}

#[test]
fn a_run_writes_its_page_itself() {
    let folder = scratch("run");
    let page = named(&folder, "run.html");
    let arguments = ["run", "redis", "--connections", "4", "--requests", "20", "--reps", "1", "-q", "-o", &page];
    let output = ringscope(&arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = text(Path::new(&page));
    assert!(page.contains("Where the cycles go") && page.contains("Who evicts whom") && !page.contains("Speed-up over sync"));
}

#[test]
fn nothing_differs_from_itself_and_settings_are_said() {
    let [first, second, _] = comparisons();
    let same = ringscope(&["diff", first, first]);
    assert_eq!(same.status.code(), Some(0), "{}", String::from_utf8_lossy(&same.stderr));
    assert!(String::from_utf8_lossy(&same.stdout).contains("nothing differs beyond the intervals at 3 points"));
    let folder = scratch("diff");
    let (page, csv) = (named(&folder, "d.html"), named(&folder, "d.csv"));
    let other = ringscope(&["diff", first, second, "--json", "-o", &page, "-o", &csv, "--tolerance", "5%"]);
    assert_eq!(other.status.code(), Some(1), "{}", String::from_utf8_lossy(&other.stderr));
    let diff: Value = serde_json::from_slice(&other.stdout).expect("JSON");
    let setting = diff["settings"].as_array().expect("a list").iter().find(|setting| setting["name"] == "connections");
    assert_eq!(setting.map(|setting| (setting["before"].clone(), setting["after"].clone())), Some((json!("4"), json!("8"))));
    let changes = diff["points"][0]["changes"].as_array().expect("a list");
    assert!(changes.iter().any(|change| change["metric"] == "latency_us.p50" && change["verdict"] == "beyond"), "{changes:?}");
    assert!(text(Path::new(&page)).contains("latency_us.p50"));
    assert!(text(Path::new(&csv)).starts_with("point,metric,before,after,relative,size,low,high,verdict\n"));
}

#[test]
fn points_of_one_sweep_only_are_listed() {
    let (one, other) = (scratch("one"), scratch("other"));
    let (before, after) = (sweep_file(&one, &[0, 1]), sweep_file(&other, &[1, 2]));
    let output = ringscope(&["diff", &before, &after]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).expect("UTF-8").replace("\n    ", " ");
    for expected in ["connections 4, exception-less", "connections 32, elevated-shortcut", "at 4 points that both have"] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
}

/// What is wrong, where, and what to do; exit code 2.
#[test]
fn files_that_cannot_be_used_are_refused_with_their_place() {
    let folder = scratch("faults");
    let sweep = text(Path::new(&sweep_file(&folder, &[0])));
    let lines: Vec<&str> = sweep.lines().collect();
    let cut = &sweep[..sweep.len() - 40];
    let broken = format!("{}\n{{\"point\": 3}}\n{}\n", lines[0], lines[1]);
    let header_only = format!("{}\n", lines[0]);
    let newer = lines[0].replace("\"schema\":1", "\"schema\":9");
    let cases: [(&str, &str, &[&str]); 7] = [
        ("", "empty", &["the file is empty", "ringscope sweep"]),
        ("hello\n", "text", &["line 1", "not a result of ringscope", "compare --json"]),
        ("{\"a\": 1}\n", "foreign", &["neither a run, nor a comparison, nor a sweep"]),
        (cut, "cut", &["line 5", "cut off", "--resume", "--lenient"]),
        (&broken, "broken", &["line 2, column", "not a point of a sweep", "--lenient"]),
        (&header_only, "header", &["no finished point", "--resume"]),
        (&newer, "newer", &["schema 9", "reads schema 1"]),
    ];
    for (content, name, expected) in cases {
        let file = named(&folder, name);
        std::fs::write(&file, content).expect("written");
        for arguments in [vec!["report", &file], vec!["diff", &file, &file]] {
            let output = ringscope(&arguments);
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{name}: {message}");
            assert!(message.contains(name) && expected.iter().all(|words| message.contains(words)), "{name}: {message}");
        }
    }
    let lenient = ringscope(&["report", &named(&folder, "broken"), "--lenient"]);
    let printed = String::from_utf8_lossy(&lenient.stdout).into_owned();
    assert!(lenient.status.success() && printed.contains("left out: ") && printed.contains("sync"), "{printed}");
    let missing = ringscope(&["report", &named(&folder, "nowhere")]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn different_results_of_one_point_are_not_put_together() {
    let folder = scratch("twice");
    let first = &comparisons()[0];
    let other = named(&folder, "other.json");
    std::fs::write(&other, text(Path::new(first)).replace("\"requests\": 120", "\"requests\": 121")).expect("written");
    let output = ringscope(&["report", first, &other]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("different results for the same point") && message.contains("ringscope diff"), "{message}");
    assert!(ringscope(&["report", first, first]).status.success(), "the same result twice is one");
}

/// A program without the feature says how to get it, before anything runs.
#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_needs_its_feature() {
    let output = ringscope(&["run", "redis", "-o", "x.parquet"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(message.contains("x.parquet") && message.contains("--features parquet"), "{message}");
}

/// The file begins and ends as the format says; its content is read back in the unit test of the writer.
#[cfg(feature = "parquet")]
#[test]
fn parquet_is_written() {
    let folder = scratch("parquet");
    let file = named(&folder, "x.parquet");
    assert!(ringscope(&["report", &comparisons()[0], "-q", "-o", &file]).status.success());
    let bytes = std::fs::read(&file).expect("written");
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}
