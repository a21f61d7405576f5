//! A measured host as tables: values of the description, and what the kernel's work costs.

use crate::numbers;
use crate::render::{Table, wrapped};
use crate::terminal::Terminal;
use host::findings::{Finding, Findings};
use host::measurements::Measurements;
use host::names::call_costs;
use serde_json::Value;
use validation::host_machine::{Confidence, HostMachine, Parameter};

/// Everything that is shown.
pub fn text(host: &HostMachine, measurements: &Measurements, terminal: &Terminal) -> String {
    let facts = &measurements.facts;
    let mut text = format!("{}\n", terminal.bold(&facts.line()));
    text.push_str(&wrapped(&format!("Mitigations: {}", facts.mitigations_line()), terminal.width));
    text.push('\n');
    text.push_str(&parameters(host, terminal));
    text.push('\n');
    text.push_str(&calls(host, terminal));
    text.push('\n');
    text.push_str(&others(host, terminal));
    text.push('\n');
    for remark in remarks(measurements) {
        text.push_str(&wrapped(&remark, terminal.width));
    }
    text
}

fn value(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn spread(spread: Option<f64>) -> String {
    spread.map_or(String::new(), numbers::percent)
}

/// Values of the machine and of the kernel that were looked at; all of them when asked for more.
fn parameters(host: &HostMachine, terminal: &Terminal) -> String {
    let base = format!("preset {}", host.base);
    let mut table = Table::with_order(&[
        ("value", false, 0),
        ("host", true, 0),
        (&base, true, 0),
        ("measured", true, 0),
        ("spread", true, 0),
        ("confidence", false, 0),
        ("why", false, 1),
    ]);
    let mut add = |group: &str, parameters: &[Parameter]| {
        let looked_at =
            |parameter: &&Parameter| terminal.verbose || parameter.confidence != Confidence::Kept || !parameter.note.is_empty();
        for parameter in parameters.iter().filter(looked_at) {
            table.row([
                format!("{group}{}", parameter.path),
                value(&parameter.value),
                value(&parameter.preset),
                parameter.measured.map_or(String::new(), numbers::short),
                spread(parameter.spread),
                parameter.confidence.name().to_owned(),
                parameter.note.clone(),
            ]);
        }
    };
    add("", &host.parameters);
    add("kernel.", &host.kernel);
    table.render(terminal)
}

/// Calls in a loop of their own, and with empty caches.
fn calls(host: &HostMachine, terminal: &Terminal) -> String {
    let headers = ["call", "hot cycles", "spread", "cold cycles", "spread", "cold/hot"];
    let mut table = Table::new(headers, &[false, true, true, true, true, true]);
    for hot in &host.findings.0 {
        let name = hot.name.strip_prefix(call_costs::PREFIX).and_then(|name| name.strip_suffix(".hot"));
        let Some(name) = name else { continue };
        let Some(cold) = host.findings.get(&format!("{}{name}.cold", call_costs::PREFIX)) else { continue };
        table.row([
            name.to_owned(),
            numbers::fixed(hot.value, 0),
            spread(hot.spread),
            numbers::fixed(cold.value, 0),
            spread(cold.spread),
            numbers::short(cold.value / hot.value),
        ]);
    }
    table.render(terminal)
}

/// Null calls, switches, faults: what is neither a value of the description nor a call of a server.
fn others(host: &HostMachine, terminal: &Terminal) -> String {
    let shown = ["null_call.", "return_stack.loss", "switch.", "fault.", "transfer."];
    let mut table = Table::new(["primitive", "cycles", "ns", "spread"], &[false, true, true, true]);
    let Findings(findings) = &host.findings;
    let is_shown = |finding: &&Finding| shown.iter().any(|beginning| finding.name.starts_with(beginning));
    for finding in findings.iter().filter(is_shown) {
        let nanoseconds = finding.value * 1000.0 / f64::from(host.machine.frequency_mhz);
        table.row([
            finding.name.clone(),
            numbers::fixed(finding.value, if finding.value < 100.0 { 1 } else { 0 }),
            numbers::short(nanoseconds),
            spread(finding.spread),
        ]);
    }
    table.render(terminal)
}

fn remarks(measurements: &Measurements) -> Vec<String> {
    let mut remarks = vec![format!(
        "{} series in {} s; load before: {}; the clock counts in steps of {} ticks; hardware counters: {}.",
        measurements.series.len(),
        numbers::fixed(measurements.seconds, 0),
        measurements.facts.load,
        measurements.clock_step_ticks,
        measurements.hardware_counters
    )];
    if measurements.facts.load > f64::from(measurements.facts.processors) {
        remarks.push(
            "Others were running on this host: values with a large spread are theirs too. Measure again when it is quiet.".into(),
        );
    }
    if !measurements.huge_pages {
        remarks.push("The kernel gave no huge pages: latencies beyond the second level hold translation too.".into());
    }
    remarks.extend(measurements.left_out.iter().map(|part| format!("Left out: {part}")));
    remarks
}
