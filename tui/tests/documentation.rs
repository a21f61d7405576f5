//! Every `console` block of README.md and of the pages under docs/ is run, and its output compared.

use std::path::{Path, PathBuf};

/// All Markdown files under a folder, in order.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "md") {
            found.push(path);
        }
    }
}

#[test]
fn examples_in_the_documentation_work() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![root.join("README.md")];
    pages(&root.join("docs"), &mut files);
    let cases = trycmd::TestCases::new();
    for file in files.iter().filter(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains("```console"))) {
        cases.case(file);
    }
}
