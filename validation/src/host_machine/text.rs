//! Descriptions as RON, each value with a comment on where it comes from.

use super::draft::{Confidence, Parameter};
use super::kernel::BASE;
use super::{HostMachine, NAME};
use host::measurements::Measurements;
use os_model::kernel::Mitigations;
use serde_json::Value;
use std::fmt::Write;

const INDENT: &str = "    ";

/// The machine, as `--machine FILE.ron` takes it.
pub fn machine_ron(host: &HostMachine, measurements: &Measurements) -> String {
    let mut text = header(measurements);
    let preset = host.base;
    writeln!(
        text,
        "// Each value says whether it was measured, inferred, or kept from the preset {preset}, with the spread of repetitions."
    )
    .ok();
    if host.mitigations == Mitigations::Default {
        writeln!(text, "// The crossings hold with --set kernel.mitigations=default, which the kernel's part of this host sets.")
            .ok();
    }
    text.push_str("(\n");
    writeln!(text, "{INDENT}name: {},", quoted(NAME)).ok();
    writeln!(text, "{INDENT}source: {},", quoted(&host.machine.source)).ok();
    write_values(&mut text, &host.parameters, preset, 1);
    text.push_str(")\n");
    text
}

/// The kernel's part, as `--config FILE.ron` takes it; costs of calls as comments.
pub fn kernel_ron(host: &HostMachine, measurements: &Measurements) -> String {
    let mut text = header(measurements);
    writeln!(text, "// For --config. The blocks of calls stay those of the preset {BASE}; what calls cost on this host is below.")
        .ok();
    writeln!(text, "(\n{INDENT}kernel: (\n{INDENT}{INDENT}preset: {},", quoted(BASE)).ok();
    write_values(&mut text, &host.kernel, BASE, 2);
    writeln!(text, "{INDENT}),\n)").ok();
    text.push_str(
        "\n// Measured and used by no setting, in core cycles: median over repetitions, spread as interquartile range.\n",
    );
    for finding in host.findings.0.iter().filter(|finding| is_kernel_cost(&finding.name)) {
        let spread = finding.spread.map_or(String::new(), |spread| format!("  ({})", percent(spread)));
        writeln!(text, "//   {:34} {:>9.0}{spread}", finding.name, finding.value).ok();
    }
    text
}

/// True for what a call, a fault or a switch costs.
fn is_kernel_cost(name: &str) -> bool {
    ["call.", "fault.", "switch.", "null_call.", "return_stack.loss"].iter().any(|beginning| name.starts_with(beginning))
}

fn header(measurements: &Measurements) -> String {
    let facts = &measurements.facts;
    let mut text = String::new();
    let lines = [
        format!("Written by ringscope calibrate, {}.", facts.date),
        format!("Host: {}.", facts.line()),
        format!("Mitigations: {}.", facts.mitigations_line()),
        format!("Boot parameters that matter: {}.", or_none(&facts.boot_parameters.join(" "))),
        format!(
            "Load before measuring: {}. Huge pages: {}.",
            facts.load,
            if measurements.huge_pages { "given" } else { "not given" }
        ),
    ];
    for line in lines {
        // a line end in what a kernel or processor says must not end the comment
        writeln!(text, "// {}", line.replace(['\n', '\r'], " ")).ok();
    }
    text
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

/// Values in their groups: neighbours with a common beginning of the path share a group.
fn write_values(text: &mut String, parameters: &[Parameter], preset: &str, depth: usize) {
    let mut open: Vec<&str> = Vec::new();
    for parameter in parameters {
        let mut groups: Vec<&str> = parameter.path.split('.').collect();
        let Some(name) = groups.pop() else { continue };
        let common = open.iter().zip(&groups).take_while(|pair| pair.0 == pair.1).count();
        close(text, &mut open, common, depth);
        for group in &groups[common..] {
            writeln!(text, "{}{group}: (", INDENT.repeat(depth + open.len())).ok();
            open.push(group);
        }
        let value = format!("{}{name}: {},", INDENT.repeat(depth + open.len()), bare(&parameter.value));
        writeln!(text, "{value:44}  // {}", comment(parameter, preset)).ok();
    }
    close(text, &mut open, 0, depth);
}

/// Ends groups until so many are open.
fn close(text: &mut String, open: &mut Vec<&str>, left: usize, depth: usize) {
    while open.len() > left {
        open.pop();
        writeln!(text, "{}),", INDENT.repeat(depth + open.len())).ok();
    }
}

/// A value that is no group: names of choices stand bare in RON.
fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Where a value comes from, in one line.
pub fn comment(parameter: &Parameter, preset: &str) -> String {
    let mut words = match parameter.confidence {
        Confidence::Kept => format!("kept from {preset}"),
        other => other.name().to_owned(),
    };
    if let Some(measured) = parameter.measured {
        let beside = if parameter.confidence == Confidence::Measured { "" } else { "measured " };
        write!(words, ", {beside}{measured:.1}").ok();
    }
    if let Some(spread) = parameter.spread {
        write!(words, ", spread {}", percent(spread)).ok();
    }
    if !parameter.note.is_empty() {
        write!(words, ": {}", parameter.note).ok();
    }
    words
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
