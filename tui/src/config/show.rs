//! Writes settings: as RON or JSON, with the origin of each value, or as a file to begin from.

use super::layers::Configuration;
use super::tree::lookup;
use crate::topics;
use serde_json::Value;
use std::fmt::Write;

const INDENT: &str = "    ";

/// A value as RON. Names of choices are bare, other texts in quotes.
pub fn as_ron(value: &Value) -> String {
    let mut text = String::new();
    write_ron(&mut text, value, 0);
    text.push('\n');
    text
}

/// A value as indented JSON.
pub fn as_json(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

fn write_ron(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) => {
            text.push_str("(\n");
            for (name, field) in fields {
                write!(text, "{}{name}: ", INDENT.repeat(depth + 1)).ok();
                write_ron(text, field, depth + 1);
                text.push_str(",\n");
            }
            write!(text, "{})", INDENT.repeat(depth)).ok();
        }
        other => text.push_str(&leaf(other)),
    }
}

/// A value that is no group, on one line. A text of letters, digits and hyphens is the name of a choice or reads as one.
fn leaf(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let starts = text.starts_with(|character: char| character.is_ascii_lowercase());
            let bare = starts && text.chars().all(|character| character.is_ascii_alphanumeric() || "_-".contains(character));
            if bare { text.clone() } else { value.to_string() }
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, field)| format!("{name}: {}", leaf(field))).collect();
            format!("({})", fields.join(", "))
        }
        Value::Array(entries) => format!("[{}]", entries.iter().map(leaf).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// All values under a path, one a line, each with its origin.
pub fn origins(configuration: &Configuration, path: &str) -> String {
    let mut rows = Vec::new();
    if let Some(value) = lookup(&configuration.tree.value, path) {
        collect(value, &mut path.to_owned(), &mut |path, value| {
            rows.push((format!("{path} = {}", leaf(value)), configuration.origin(path)));
        });
    }
    // Longer values (the sources of presets) may push their origin to the right.
    let width = rows.iter().map(|row| row.0.chars().count()).filter(|length| *length <= 64).max().unwrap_or(0);
    rows.iter().fold(String::new(), |mut text, (value, origin)| {
        writeln!(text, "{value:width$}  # {origin}").ok();
        text
    })
}

fn collect(value: &Value, path: &mut String, visit: &mut impl FnMut(&str, &Value)) {
    let Value::Object(fields) = value else {
        visit(path, value);
        return;
    };
    for (name, field) in fields {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        collect(field, path, visit);
        path.truncate(length);
    }
}

/// A configuration file in which every value is a comment: what is uncommented wins over the presets.
pub fn template(configuration: &Configuration) -> String {
    let mut text = String::from(
        "// Settings of ringscope. Values are comments: uncomment those to change. The file `ringscope.ron` of the current folder is read\n\
         // by every command, others with --config FILE.ron. Options such as --cores and --set win over files.\n\
         // `ringscope config check FILE.ron` checks a file, `ringscope explain PATH` explains a value.\n(\n",
    );
    if let Value::Object(groups) = &configuration.tree.value {
        for (name, group) in groups {
            template_entry(&mut text, name, name, group, 1);
        }
    }
    text.push_str(")\n");
    text
}

fn template_entry(text: &mut String, path: &str, name: &str, value: &Value, depth: usize) {
    let indent = INDENT.repeat(depth);
    if let Some(words) = topics::setting(path) {
        writeln!(text, "{indent}// {words}").ok();
    }
    match value {
        Value::Object(fields) => {
            writeln!(text, "{indent}{name}: (").ok();
            if depth == 1 && fields.contains_key("name") {
                let preset = fields.get("name").map(leaf).unwrap_or_default();
                writeln!(text, "{indent}{INDENT}// preset: \"{}\",", preset.trim_matches('"')).ok();
            }
            for (field, value) in fields {
                template_entry(text, &format!("{path}.{field}"), field, value, depth + 1);
            }
            writeln!(text, "{indent}),").ok();
        }
        value => {
            writeln!(text, "{indent}// {name}: {},", leaf(value)).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;
    use crate::args::ExperimentOptions;
    use crate::config::{Inputs, resolve};
    use std::path::Path;

    fn defaults() -> Configuration {
        let options = ExperimentOptions::default();
        resolve(&Inputs { experiment: &options, ledger: None, folder: Path::new("no such folder") }).unwrap()
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let configuration = defaults();
        assert_eq!(parse(&as_ron(&configuration.tree.value)).unwrap().to_json(), configuration.tree.value);
    }

    #[test]
    fn the_template_is_valid_and_changes_nothing() {
        let configuration = defaults();
        let mut tree = configuration.tree.clone();
        let text = template(&configuration);
        let place = crate::config::ConfigError::at(
            super::super::place::Place { file: "t".into(), text: text.as_str().into(), span: 0..0 },
            "",
            "",
        );
        tree.put_file(&parse(&text).unwrap(), &place.place.unwrap(), &[]).unwrap();
        assert_eq!(tree.value, configuration.tree.value);
        // Uncommented, every value is accepted as it stands. The first lines are words, and so are those before a value.
        let is_value =
            |line: &&str| !line.trim_start().starts_with("// ") || line.trim_end().ends_with(',') && !line.contains("preset:");
        let lines: Vec<String> = text.lines().skip(3).filter(is_value).map(|line| line.replace("// ", "")).collect();
        assert_eq!(parse(&lines.join("\n")).unwrap().to_json(), configuration.tree.value);
    }

    #[test]
    fn origins_are_one_line_each() {
        let text = origins(&defaults(), "machine.l1i");
        assert!(text.starts_with("machine.l1i.size_kib = 32"), "{text}");
        assert!(text.lines().all(|line| line.ends_with("# preset nehalem")), "{text}");
    }
}
