//! The rooms and their one-way order: reads every Cargo.toml of the workspace and fails on a dependency that the plan does not allow.

use std::path::{Path, PathBuf};

/// Which crates of the workspace each may depend on (also in tests and build scripts). The order of the rows is the order of the rooms.
const ALLOWED: &[(&str, &[&str])] = &[
    ("sim-core", &[]),
    ("host", &["sim-core"]),
    ("wyki", &[]),
    ("twins", &["sim-core", "host"]),
    ("cpu-model", &["sim-core"]),
    ("os-model", &["sim-core", "cpu-model"]),
    ("script", &["sim-core"]),
    ("traces", &["sim-core"]),
    ("mechanisms", &["sim-core", "wyki", "cpu-model", "os-model", "script", "traces"]),
    ("validation", &["sim-core", "wyki", "cpu-model", "os-model", "script", "traces", "mechanisms", "host", "twins"]),
    ("tui", &["sim-core", "host", "wyki", "twins", "cpu-model", "os-model", "script", "traces", "mechanisms", "validation"]),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Workspace crates named in the dependency tables of a Cargo.toml: as a key, as the `package` of a renamed key, as the end of a `path`,
/// or in a table's own heading (`[dependencies.cpu-model]`, `[target.'cfg(unix)'.dev-dependencies.cpu-model]`).
fn dependencies(manifest: &str) -> Vec<&'static str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(|line| line.split('#').next().unwrap_or("")) {
        if line.trim_start().starts_with('[') && !line.contains('=') {
            inside = line.contains("dependencies");
        }
        if inside {
            found.extend(ALLOWED.iter().map(|row| row.0).filter(|name| names(line, name)));
        }
    }
    found
}

/// True when `line` holds `name` as a word of its own; Cargo takes `_` for `-` nowhere in a manifest.
fn names(line: &str, name: &str) -> bool {
    line.split(|letter: char| !(letter.is_alphanumeric() || letter == '-' || letter == '_')).any(|word| word == name)
}

fn members(manifest: &str) -> Vec<&str> {
    let list =
        manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next()).expect("the workspace lists its members");
    list.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_room_is_in_the_plan() {
    let manifest = read(&workspace().join("Cargo.toml"));
    let mut members = members(&manifest);
    let mut planned: Vec<&str> = ALLOWED.iter().map(|row| row.0).collect();
    members.sort_unstable();
    planned.sort_unstable();
    assert_eq!(members, planned, "a new room needs its row in ALLOWED");
}

#[test]
fn nothing_imports_upwards() {
    for (room, allowed) in ALLOWED {
        let manifest = read(&workspace().join(room).join("Cargo.toml"));
        let forbidden: Vec<_> = dependencies(&manifest).into_iter().filter(|name| !allowed.contains(name)).collect();
        assert_eq!(forbidden, [""; 0], "{room}/Cargo.toml may depend on {allowed:?} only");
    }
}

/// Each row names rows above it only: the plan itself has no circle.
#[test]
fn the_plan_points_one_way() {
    for (index, (room, allowed)) in ALLOWED.iter().enumerate() {
        let above: Vec<_> = ALLOWED[..index].iter().map(|row| row.0).collect();
        assert!(allowed.iter().all(|name| above.contains(name)), "{room}");
    }
}

#[test]
fn all_spellings_of_a_dependency_are_seen() {
    let cases: &[(&str, &[&str])] = &[
        ("[package]\nname = \"traces\"\n[dependencies]\nserde = \"1\"", &[]),
        ("[dependencies]\ncpu-model.workspace = true # not os-model", &["cpu-model"]),
        ("[dependencies.os-model]\npath = \"../os-model\"\n[features]\ntui = []", &["os-model", "os-model"]),
        ("[dev-dependencies]\nmodel = { package = \"cpu-model\", path = \"../x\" }", &["cpu-model"]),
        ("[target.'cfg(unix)'.build-dependencies]\nother = { path = \"../tui\" }", &["tui"]),
        ("[dependencies]\nsim-core-extra = \"1\"\nstraces = \"1\"", &[]),
    ];
    for (manifest, expected) in cases {
        assert_eq!(dependencies(manifest), *expected, "{manifest}");
    }
}
