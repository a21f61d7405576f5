//! A replay: references and misses per structure and mode, and who evicted what.

use super::run::{evictors, shadow};
use super::table::Table;
use super::words::hanging;
use crate::numbers::{fixed, percent, short, whole};
use crate::terminal::Terminal;
use mechanisms::replay::ReplayReport;
use serde_json::Value;
use sim_core::ids::Mode;
use std::fmt::Write;

/// The whole report as text.
pub fn replay(report: &ReplayReport, terminal: &Terminal) -> String {
    let mut text = format!("{}\n\n", terminal.bold(&format!("{} ({}) on {}", report.trace, report.format, report.machine)));
    let mut modes = Table::new(["mode", "instructions", "cycles", "CPI"], &[false, true, true, true]);
    for mode in Mode::ALL {
        let own = report.modes.get(mode);
        if own.instructions > 0 {
            modes.row([mode.name().to_owned(), whole(own.instructions), whole(own.cycles), fixed(own.cpi, 2)]);
        }
    }
    text.push_str(&modes.render(terminal));
    text.push('\n');
    let columns = ["structure", "mode", "references", "misses", "miss rate", "per 1000 instructions"];
    let mut structures = Table::new(columns, &[false, false, true, true, true, true]);
    for row in report.structures.iter().filter(|row| row.references > 0) {
        structures.row([
            row.structure.clone(),
            row.mode.name().to_owned(),
            whole(row.references),
            whole(row.misses),
            percent(row.miss_rate),
            short(row.misses_per_kinstr),
        ]);
    }
    text.push_str(&structures.render(terminal));
    for (title, body) in [
        ("Misses and who had pushed the line out", evictors(&report.evictors, 1.0, terminal)),
        ("Shadow: misses, and had each mode run alone", shadow(report.shadow.as_deref(), 1.0, terminal)),
    ] {
        if !body.is_empty() {
            write!(text, "\n{}\n{body}", terminal.bold(title)).ok();
        }
    }
    text.push('\n');
    if !report.complete {
        text.push_str("The replay did not reach the end of the recording.\n");
    }
    if !terminal.quiet {
        for note in &report.notes {
            text.push_str(&hanging(&format!("note: {note}"), terminal.width, 4));
        }
    }
    writeln!(text, "again: {}", report.manifest.command).ok();
    text
}

/// The report as one row of a table: names joined by dots, as for run reports.
pub fn flat(report: &ReplayReport) -> Vec<(String, String)> {
    let mut row = Vec::new();
    if let Ok(value) = serde_json::to_value(report) {
        leaves(String::new(), &value, &mut row);
    }
    row
}

fn leaves(path: String, value: &Value, row: &mut Vec<(String, String)>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| leaves(join(name), field, row)),
        Value::Array(entries) => entries.iter().enumerate().for_each(|(index, entry)| {
            let texts: Vec<&str> =
                entry.as_object().into_iter().flat_map(|fields| fields.values()).filter_map(Value::as_str).collect();
            let name = join(&if texts.is_empty() { index.to_string() } else { texts.join(".") });
            match entry {
                Value::Object(fields) => fields
                    .iter()
                    .filter(|(_, field)| !field.is_string())
                    .for_each(|(field, value)| leaves(format!("{name}.{field}"), value, row)),
                other => leaves(name, other, row),
            }
        }),
        Value::Null => row.push((path, String::new())),
        Value::String(text) => row.push((path, text.clone())),
        other => row.push((path, other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_named_by_their_texts() {
        let mut row = Vec::new();
        leaves(String::new(), &json!({"a": [{"s": "l1i", "m": "user", "n": 3}], "notes": ["x"], "b": null}), &mut row);
        let shown: Vec<String> = row.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(shown, ["a.l1i.user.n=3", "notes.0=x", "b="]);
    }
}
