//! A sweep described in RON:
//!
//! ```ron
//! (
//!     workload: "memcached",
//!     set: ["run.requests=500"],
//!     vary: (
//!         machine: (l2: (size_kib: [256, 512])),
//!         connections: "1..1024:x2",
//!         mechanism: "all",
//!     ),
//!     precision: "1%",
//! )
//! ```

use super::axis::{Axis, Item};
use crate::config::text::{Field, Node, Spanned};
use crate::config::{ConfigError, Place, read_ron};
use serde_json::Value;
use sim_core::nearest::nearest;
use std::path::Path;

/// What a file may say.
const NAMES: [&str; 7] = ["workload", "mechanism", "vary", "zip", "set", "precision", "reps_max"];

/// What a file says of a sweep.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SweepFile {
    /// The workload.
    pub workload: Option<String>,
    /// The mechanism, when it is not varied.
    pub mechanism: Option<String>,
    /// What is varied, in the order of the file.
    pub axes: Vec<Axis>,
    /// Settings, as for `--set`.
    pub set: Vec<String>,
    /// As for `--precision`.
    pub precision: Option<String>,
    /// As for `--reps-max`.
    pub reps_max: Option<u32>,
}

/// Reads a file.
///
/// # Errors
/// What is no RON or says something else than a sweep, with its place.
pub fn read(path: &Path) -> Result<SweepFile, ConfigError> {
    let (content, place) = read_ron(path)?;
    from_content(&content, &place)
}

fn from_content(content: &Spanned, place: &Place) -> Result<SweepFile, ConfigError> {
    let Node::Group(fields) = &content.node else {
        let error = ConfigError::at(place.at(content.span.clone()), "a sweep is a group of values", "expected a group in ( )");
        return Err(error.help(format!("its names are: {}", NAMES.join(", "))));
    };
    let mut file = SweepFile::default();
    for field in fields {
        match field.name.as_str() {
            "workload" => file.workload = Some(text(field, place)?),
            "mechanism" => file.mechanism = Some(text(field, place)?),
            "precision" => file.precision = Some(text(field, place)?),
            "reps_max" => file.reps_max = Some(count(field, place)?),
            "set" => file.set = texts(field, place)?,
            "vary" | "zip" => axes(&field.value, &mut Vec::new(), place, field.name == "zip", &mut file.axes)?,
            name => {
                let error = ConfigError::at(place.at(field.name_span.clone()), format!("a sweep has no `{name}`"), "unknown name");
                let near = nearest(name, NAMES).map_or(String::new(), |near| format!("did you mean `{near}`? "));
                return Err(error.help(format!("{near}Known names: {}; everything else goes into `set`", NAMES.join(", "))));
            }
        }
    }
    Ok(file)
}

fn expected(field: &Field, place: &Place, what: &str) -> ConfigError {
    let problem = format!("`{}` must be {what}", field.name);
    ConfigError::at(place.at(field.value.span.clone()), problem, format!("expected {what}"))
}

fn text(field: &Field, place: &Place) -> Result<String, ConfigError> {
    match &field.value.node {
        Node::Scalar(Value::String(text)) => Ok(text.clone()),
        _ => Err(expected(field, place, "a text in quotes")),
    }
}

fn count(field: &Field, place: &Place) -> Result<u32, ConfigError> {
    let number = match &field.value.node {
        Node::Scalar(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
        _ => None,
    };
    number.filter(|number| (3..=1000).contains(number)).ok_or_else(|| expected(field, place, "a whole number from 3 to 1000"))
}

fn texts(field: &Field, place: &Place) -> Result<Vec<String>, ConfigError> {
    let wrong = || expected(field, place, "a list of texts: [\"run.requests=500\"]");
    let Node::List(entries) = &field.value.node else { return Err(wrong()) };
    let text = |entry: &Spanned| match &entry.node {
        Node::Scalar(Value::String(text)) => Ok(text.clone()),
        _ => Err(wrong()),
    };
    entries.iter().map(text).collect()
}

/// All axes of a tree: each path that ends in a list, a text or a single value.
fn axes(tree: &Spanned, path: &mut Vec<String>, place: &Place, zipped: bool, found: &mut Vec<Axis>) -> Result<(), ConfigError> {
    let Node::Group(fields) = &tree.node else {
        let problem = "what is varied stands in a group of names and values";
        let error = ConfigError::at(place.at(tree.span.clone()), problem, "expected a group in ( )");
        return Err(error.help("write vary: (cores: [1, 2, 4], connections: \"1..1024:x2\")"));
    };
    for field in fields {
        path.push(field.name.clone());
        match &field.value.node {
            Node::Group(_) => axes(&field.value, path, place, zipped, found)?,
            _ => found.push(axis(&path.join("."), field, place, zipped)?),
        }
        path.pop();
    }
    Ok(())
}

fn axis(path: &str, field: &Field, place: &Place, zipped: bool) -> Result<Axis, ConfigError> {
    let path_place = place.at(field.name_span.clone());
    let entries = match &field.value.node {
        Node::Scalar(Value::String(_)) => return Axis::new(path, path_place, inside_quotes(&field.value, place), zipped),
        Node::List(entries) => entries.iter().collect(),
        _ => vec![&field.value],
    };
    if entries.is_empty() {
        let error = ConfigError::at(place.at(field.value.span.clone()), format!("`{path}` has no values"), "an empty list");
        return Err(error.help("give at least one value"));
    }
    let items: Vec<Item> = entries.into_iter().map(|entry| item(entry, place)).collect();
    let source = items.iter().map(|item| item.text.as_str()).collect::<Vec<_>>().join(",");
    Axis::checked(Axis { path: path.to_owned(), path_place, source, items, zipped })
}

fn item(entry: &Spanned, place: &Place) -> Item {
    let text = match &entry.node {
        Node::Scalar(Value::String(text)) => text.clone(),
        _ => place.text[entry.span.clone()].split_whitespace().collect::<Vec<_>>().join(" "),
    };
    Item { text, value: entry.to_json(), place: place.at(entry.span.clone()) }
}

/// The place of a text without its quotes; a bare name has none.
fn inside_quotes(value: &Spanned, place: &Place) -> Place {
    let shown = &place.text[value.span.clone()];
    let trimmed = shown.trim_matches('"');
    let start = value.span.start + shown.find(trimmed).unwrap_or(0);
    place.at(start..start + trimmed.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::text::parse;
    use serde_json::json;

    fn from_text(text: &str) -> Result<SweepFile, ConfigError> {
        let place = Place { file: "s.ron".into(), text: text.into(), span: 0..text.len() };
        from_content(&parse(text).expect("RON"), &place)
    }

    #[test]
    fn trees_lists_and_texts_become_axes() {
        let file = from_text(
            "(workload: \"redis\", precision: \"1%\", reps_max: 20, set: [\"run.requests=50\"],
              vary: (machine: (l2: (size_kib: [256, 512])), connections: \"1..8:x2\", mechanism: \"all\",
                     clients: (arrival: [closed, open(rate_rps:   5)])),
              zip: (cores: [1, 2], run: (seed: \"7,8\")))",
        )
        .unwrap();
        let shown: Vec<(&str, usize, bool)> =
            file.axes.iter().map(|axis| (axis.path.as_str(), axis.items.len(), axis.zipped)).collect();
        let expected = [
            ("machine.l2.size_kib", 2, false),
            ("connections", 4, false),
            ("mechanism", 5, false),
            ("clients.arrival", 2, false),
            ("cores", 2, true),
            ("run.seed", 2, true),
        ];
        assert_eq!(shown, expected);
        assert_eq!(file.axes[3].source, "closed,open(rate_rps: 5)");
        assert_eq!(file.axes[3].items[1].value, json!({"open": {"rate_rps": 5}}));
        assert_eq!((file.workload.as_deref(), file.precision.as_deref(), file.reps_max), (Some("redis"), Some("1%"), Some(20)));
        assert_eq!(file.set, ["run.requests=50"]);
    }

    #[test]
    fn faults_have_a_place() {
        for (text, problem, shown) in [
            ("(varry: ())", "a sweep has no `varry`", "varry"),
            ("(vary: [1])", "what is varied stands in a group", "[1]"),
            ("(vary: (cores: []))", "`cores` has no values", "[]"),
            ("(vary: (cores: \"1,,2\"))", "has an empty value", ""),
            ("(vary: (cores: \"4..1\"))", "ends before it begins", "4..1"),
            ("(vary: (cores: [1, 1]))", "has the value 1 twice", "1"),
            ("(reps_max: 2)", "`reps_max` must be", "2"),
            ("(set: \"a=b\")", "`set` must be a list", "\"a=b\""),
            ("[1]", "a sweep is a group", "[1]"),
        ] {
            let error = from_text(text).expect_err(text);
            assert!(error.problem.contains(problem), "{text}: {}", error.problem);
            let place = error.place.expect("a place");
            assert_eq!(&place.text[place.span.clone()], shown, "{text}");
        }
    }
}
