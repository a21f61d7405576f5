//! The tree of all settings as JSON: values are put in by path, names and kinds are checked against the defaults, and each value keeps
//! where it came from.

use super::place::{ConfigError, Place};
use super::text::{Node, Spanned};
use serde_json::{Map, Value};
use sim_core::nearest::nearest;
use std::collections::BTreeMap;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// For people: `preset nehalem`, `ringscope.ron:3`, `--cores 4`.
    pub name: String,
    /// The text, when the user wrote one.
    pub place: Option<Place>,
}

/// A name in a path and where it was written.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The name, or `*`.
    pub name: String,
    /// Where.
    pub place: Place,
}

/// Settings as a tree.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Values.
    pub value: Value,
    /// The tree before anything was put in: says which names there are and of which kind their values are.
    shape: Value,
    origins: BTreeMap<String, Origin>,
}

impl Tree {
    /// A tree of defaults.
    pub fn new(defaults: Value) -> Tree {
        Tree { shape: defaults.clone(), value: defaults, origins: BTreeMap::new() }
    }

    /// Where the value at a path, or the group around it, came from; `None` for a default.
    pub fn origin(&self, path: &str) -> Option<&Origin> {
        let mut path = path;
        loop {
            if let Some(origin) = self.origins.get(path) {
                return Some(origin);
            }
            path = &path[..path.rfind('.')?];
        }
    }

    /// Puts the tree of a file in. `skip` names entries that are no settings (`machine.preset`).
    ///
    /// # Errors
    /// Unknown names and values of the wrong kind, with their place.
    pub fn put_file(&mut self, file: &Spanned, place: &Place, skip: &[&str]) -> Result<(), ConfigError> {
        self.put(&mut Vec::new(), file, place, skip)
    }

    /// Puts a value at a path; `*` in the path stands for all names of a group.
    ///
    /// # Errors
    /// Unknown names and values of the wrong kind, with their place.
    pub fn put_path(&mut self, path: &[Segment], value: &Spanned, place: &Place) -> Result<(), ConfigError> {
        let mut found = Vec::new();
        expand(&self.shape, path, value, &mut Vec::new(), &mut found)?;
        if found.is_empty() {
            let whole = path.first().zip(path.last()).map(|(first, last)| {
                let span = first.place.span.start..last.place.span.end;
                first.place.at(span)
            });
            let problem = "the pattern fits no setting of the kind of this value";
            let error = ConfigError::at(whole.unwrap_or_else(|| place.clone()), problem, "fits nothing");
            return Err(error.help("`ringscope config show` lists all settings"));
        }
        for mut path in found {
            self.put(&mut path, value, place, &[])?;
        }
        Ok(())
    }

    fn put(&mut self, path: &mut Vec<String>, value: &Spanned, place: &Place, skip: &[&str]) -> Result<(), ConfigError> {
        let Some(Value::Object(names)) = lookup(&self.shape, &path.join(".")) else {
            return self.put_value(path, value, place);
        };
        let here = place.at(value.span.clone());
        let Node::Group(fields) = &value.node else {
            let shown = if path.is_empty() { "the whole configuration".into() } else { format!("`{}`", path.join(".")) };
            return Err(ConfigError::at(here, format!("{shown} is a group of values"), "expected a group in ( )")
                .help(format!("its names are: {}", name_list(names))));
        };
        let names = names.clone();
        for field in fields {
            path.push(field.name.clone());
            if !skip.contains(&path.join(".").as_str()) {
                if !names.contains_key(&field.name) {
                    path.pop();
                    return Err(unknown_name(&names, &path.join("."), &field.name, place.at(field.name_span.clone())));
                }
                self.put(path, &field.value, place, skip)?;
            }
            path.pop();
        }
        Ok(())
    }

    fn put_value(&mut self, path: &[String], value: &Spanned, place: &Place) -> Result<(), ConfigError> {
        let name = path.join(".");
        let json = value.to_json();
        let here = place.at(value.span.clone());
        if let Some(shape) = lookup(&self.shape, &name)
            && let Some(expected) = wrong_kind(shape, &json)
        {
            let problem = format!("`{name}` must be {expected}, not {}", kind(&json));
            return Err(ConfigError::at(here, problem, format!("expected {expected}")).help(format!("the default is {shape}")));
        }
        let Some((last, parents)) = path.split_last() else { return Ok(()) };
        let parent = parents.iter().try_fold(&mut self.value, |value, name| value.get_mut(name));
        if let Some(Value::Object(fields)) = parent {
            fields.insert(last.clone(), json);
        }
        let origin = Origin { name: here.short(), place: Some(here) };
        self.origins.insert(name, origin);
        Ok(())
    }
}

/// The value at a path such as `machine.l2`; the whole at the empty path.
pub fn lookup<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|name| !name.is_empty()).try_fold(value, |value, name| value.get(name))
}

/// All paths that fit a pattern. A last `*` stands for the values of the new value's kind only.
fn expand(
    shape: &Value,
    pattern: &[Segment],
    value: &Spanned,
    path: &mut Vec<String>,
    found: &mut Vec<Vec<String>>,
) -> Result<(), ConfigError> {
    let Some((first, rest)) = pattern.split_first() else {
        found.push(path.clone());
        return Ok(());
    };
    let Value::Object(names) = shape else {
        let problem = format!("`{}` is a single value: there is no `{}` in it", path.join("."), first.name);
        return Err(ConfigError::at(first.place.clone(), problem, "nothing here"));
    };
    if first.name != "*" {
        let Some(inner) = names.get(&first.name) else {
            return Err(unknown_name(names, &path.join("."), &first.name, first.place.clone()));
        };
        path.push(first.name.clone());
        expand(inner, rest, value, path, found)?;
        path.pop();
        return Ok(());
    }
    let new = value.to_json();
    for (name, inner) in names {
        let fits = match rest.first() {
            None => std::mem::discriminant(inner) == std::mem::discriminant(&new),
            Some(next) => next.name == "*" && inner.is_object() || inner.get(&next.name).is_some(),
        };
        if fits {
            path.push(name.clone());
            expand(inner, rest, value, path, found)?;
            path.pop();
        }
    }
    Ok(())
}

fn unknown_name(names: &Map<String, Value>, group: &str, name: &str, place: Place) -> ConfigError {
    let inside = if group.is_empty() { "the settings have".to_owned() } else { format!("`{group}` has") };
    let error = ConfigError::at(place, format!("{inside} no `{name}`"), "unknown name");
    let known = name_list(names);
    match nearest(name, names.keys().map(String::as_str)) {
        Some(near) => error.help(format!("did you mean `{near}`? Known names: {known}")),
        None => error.help(format!("known names: {known}")),
    }
}

fn name_list(names: &Map<String, Value>) -> String {
    names.keys().cloned().collect::<Vec<_>>().join(", ")
}

/// What a value had to be, when it is of another kind. A text can stand for a choice, which may have content.
fn wrong_kind(shape: &Value, value: &Value) -> Option<&'static str> {
    match (shape, value) {
        (Value::Number(shape), Value::Number(value)) if shape.is_u64() && !value.is_u64() => Some("a whole number from 0"),
        (Value::Number(_), Value::Number(_)) | (Value::Bool(_), Value::Bool(_)) | (Value::Null, _) => None,
        (Value::Number(shape), _) if shape.is_u64() => Some("a whole number"),
        (Value::Number(_), _) => Some("a number"),
        (Value::Bool(_), _) => Some("true or false"),
        (Value::String(_), Value::String(_) | Value::Object(_)) => None,
        (Value::String(_), _) => Some("a name or \"text\""),
        (Value::Array(_), Value::Array(_)) => None,
        (Value::Array(_), _) => Some("a list in [ ]"),
        (Value::Object(_), _) => None,
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => format!("the text \"{text}\""),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a group".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::parse;
    use super::*;
    use serde_json::json;

    fn tree() -> Tree {
        Tree::new(json!({
            "machine": {"l1": {"ways": 8, "per_mode": false}, "tlb": {"entries": 64, "per_mode": false}, "crossing": {"a": 1, "b": 2, "pcid": true}},
            "clients": {"arrival": "closed", "think_us": 0.5}
        }))
    }

    fn place(text: &str) -> Place {
        Place { file: "f.ron".into(), text: text.into(), span: 0..text.len() }
    }

    fn put_file(tree: &mut Tree, text: &str) -> Result<(), ConfigError> {
        tree.put_file(&parse(text).unwrap(), &place(text), &[])
    }

    fn put_path(tree: &mut Tree, path: &str, value: &str) -> Result<(), ConfigError> {
        let place = place(path);
        let segments: Vec<Segment> = path.split('.').map(|name| Segment { name: name.into(), place: place.clone() }).collect();
        tree.put_path(&segments, &parse(value).unwrap(), &place)
    }

    #[test]
    fn files_change_only_what_they_name() {
        let mut tree = tree();
        put_file(&mut tree, "(machine: (l1: (ways: 4)), clients: (arrival: open(rate_rps: 7)))").unwrap();
        assert_eq!(lookup(&tree.value, "machine.l1"), Some(&json!({"ways": 4, "per_mode": false})));
        assert_eq!(lookup(&tree.value, "clients.arrival.open.rate_rps"), Some(&json!(7)));
        assert_eq!(tree.origin("machine.l1.ways").unwrap().name, "f.ron:1");
        assert_eq!(tree.origin("clients.arrival.open.rate_rps").unwrap().name, "f.ron:1");
        assert_eq!(tree.origin("machine.tlb.entries"), None);
    }

    #[test]
    fn stars_stand_for_values_of_one_kind_or_for_groups() {
        let mut tree = tree();
        put_path(&mut tree, "machine.crossing.*", "0").unwrap();
        put_path(&mut tree, "machine.*.per_mode", "true").unwrap();
        assert_eq!(lookup(&tree.value, "machine.crossing"), Some(&json!({"a": 0, "b": 0, "pcid": true})));
        assert_eq!(lookup(&tree.value, "machine.l1.per_mode"), Some(&json!(true)));
        assert_eq!(lookup(&tree.value, "machine.tlb.per_mode"), Some(&json!(true)));
        assert!(put_path(&mut tree, "clients.*", "[1]").unwrap_err().problem.contains("fits no setting"));
    }

    #[test]
    fn wrong_names_and_kinds_say_what_is_right() {
        let mut tree = tree();
        let error = put_file(&mut tree, "(machine: (l1: (way: 4)))").unwrap_err();
        assert_eq!((error.problem.as_str(), error.place.as_ref().unwrap().span.clone()), ("`machine.l1` has no `way`", 16..19));
        assert!(error.help.unwrap().starts_with("did you mean `ways`?"));
        for (path, value, expected) in [
            ("machine.l1.ways", "big", "`machine.l1.ways` must be a whole number, not the text \"big\""),
            ("machine.l1.ways", "-1", "`machine.l1.ways` must be a whole number from 0, not -1"),
            ("machine.l1.per_mode", "1", "`machine.l1.per_mode` must be true or false, not 1"),
            ("machine.l1", "4", "`machine.l1` is a group of values"),
            ("machine.l1.ways.x", "4", "`machine.l1.ways` is a single value: there is no `x` in it"),
            ("machines", "4", "the settings have no `machines`"),
        ] {
            assert_eq!(put_path(&mut tree, path, value).unwrap_err().problem, expected);
        }
    }
}
