//! Reports as table rows: names joined by dots, values as text.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// All leaves of a value as text; `null` is empty.
pub fn flatten<T: Serialize>(value: &T) -> Vec<(String, String)> {
    let text = |value: Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    flatten_values(value).into_iter().map(|(path, value)| (path, text(value))).collect()
}

/// All leaves of a value in order, with their path. Entries of a list are named by their text fields when these tell all of them apart,
/// else by position from 0.
pub fn flatten_values<T: Serialize>(value: &T) -> Vec<(String, Value)> {
    let mut rows = Vec::new();
    // A value that JSON can't hold (a map whose keys are not text) has no columns.
    if let Ok(value) = serde_json::to_value(value) {
        walk(String::new(), &value, &mut rows);
    }
    rows
}

fn walk(path: String, value: &Value, rows: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| walk(joined(&path, name), field, rows)),
        Value::Array(entries) => match entry_names(entries) {
            Some(names) => names.iter().zip(entries).for_each(|(name, entry)| walk_numbers(&joined(&path, name), entry, rows)),
            None => entries.iter().enumerate().for_each(|(index, entry)| walk(joined(&path, &index.to_string()), entry, rows)),
        },
        leaf => rows.push((path, leaf.clone())),
    }
}

/// The fields of a list's entry that are not already in its name.
fn walk_numbers(path: &str, entry: &Value, rows: &mut Vec<(String, Value)>) {
    let fields = entry.as_object().into_iter().flatten();
    fields.filter(|(_, field)| !field.is_string()).for_each(|(name, field)| walk(joined(path, name), field, rows));
}

fn entry_names(entries: &[Value]) -> Option<Vec<String>> {
    let names: Option<Vec<String>> = entries.iter().map(entry_name).collect();
    names.filter(|names| names.iter().collect::<BTreeSet<_>>().len() == names.len())
}

fn entry_name(entry: &Value) -> Option<String> {
    let texts: Vec<&str> = entry.as_object()?.values().filter_map(Value::as_str).collect();
    if texts.is_empty() { None } else { Some(texts.join(".")) }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flat(value: Value) -> Vec<String> {
        flatten(&value).into_iter().map(|(name, text)| format!("{name}={text}")).collect()
    }

    #[test]
    fn names_are_joined_in_order() {
        let value = json!({"z": {"mean": 1.5, "low": null}, "a": true, "empty": [], "text": "x, y"});
        assert_eq!(flat(value), ["z.mean=1.5", "z.low=", "a=true", "text=x, y"]);
    }

    #[test]
    fn entries_are_named_by_their_texts() {
        let value = json!({"rows": [{"structure": "l1i", "mode": "user", "misses": 3}, {"structure": "l1i", "mode": "kernel", "misses": 4}]});
        assert_eq!(flat(value), ["rows.l1i.user.misses=3", "rows.l1i.kernel.misses=4"]);
    }

    #[test]
    fn entries_without_distinct_texts_are_numbered() {
        let value =
            json!({"rows": [{"call": "read", "n": 1}, {"call": "read", "n": 2}], "notes": ["first"], "windows": [{"idle": 0.5}]});
        assert_eq!(
            flat(value),
            ["rows.0.call=read", "rows.0.n=1", "rows.1.call=read", "rows.1.n=2", "notes.0=first", "windows.0.idle=0.5"]
        );
    }
}
