//! The kernel's part of a configuration, as far as a host tells it.

use super::DescribeError;
use super::draft::{Confidence, Parameter};
use host::facts::Facts;
use host::findings::Findings;
use host::names::switches;
use os_model::kernel::{Kernel, Mitigations};
use serde_json::{Value, json};

/// The preset that gives what a host can't tell.
pub const BASE: &str = "linux-6.1";

/// Values of `kernel` in a configuration.
pub(super) fn parameters(facts: &Facts, findings: &Findings, mitigations: Mitigations, frequency_mhz: u32) -> Vec<Parameter> {
    let Ok(preset) = Kernel::preset(BASE) else { return Vec::new() };
    let parameter = |path: &str, value: Value, preset: Value, confidence, note: &str| Parameter {
        path: path.into(),
        value,
        preset,
        measured: None,
        spread: None,
        confidence,
        note: note.into(),
    };
    let word = |mitigations| match mitigations {
        Mitigations::Off => json!("off"),
        Mitigations::Default => json!("default"),
    };
    let mut parameters = vec![parameter(
        "mitigations",
        word(mitigations),
        word(preset.mitigations),
        Confidence::Inferred,
        "the kernel's own report",
    )];
    let tick = preset.scheduler.tick_hz;
    parameters.push(match facts.tick_hz {
        0 => parameter("scheduler.tick_hz", json!(tick), json!(tick), Confidence::Kept, "the kernel does not say"),
        hz => parameter("scheduler.tick_hz", json!(hz), json!(tick), Confidence::Measured, "step of the kernel's coarse clock"),
    });
    let (wake, kept) = (wake_up(findings, frequency_mhz), preset.scheduler.idle_exit_us);
    parameters.push(match wake {
        Some((microseconds, spread)) if !facts.virtual_machine && spread < 0.25 => Parameter {
            measured: Some(microseconds),
            spread: Some(spread),
            ..parameter(
                "scheduler.idle_exit_us",
                json!(microseconds.round().max(1.0) as u64),
                json!(kept),
                Confidence::Inferred,
                "a wake-up across two processors less one on the same processor",
            )
        },
        wake => Parameter {
            measured: wake.map(|wake| wake.0),
            spread: wake.map(|wake| wake.1),
            ..parameter(
                "scheduler.idle_exit_us",
                json!(kept),
                json!(kept),
                Confidence::Kept,
                "a hypervisor puts an idle processor away, or the host is too noisy",
            )
        },
    });
    parameters
}

/// The kernel with these values in place of the preset's.
pub(super) fn described(parameters: &[Parameter]) -> Result<Kernel, DescribeError> {
    let preset = Kernel::preset(BASE).map_err(|error| DescribeError::Model(error.to_string()))?;
    let mut values = serde_json::to_value(preset)?;
    for parameter in parameters {
        let pointer = format!("/{}", parameter.path.replace('.', "/"));
        let place = values.pointer_mut(&pointer).ok_or_else(|| DescribeError::Path(parameter.path.clone()))?;
        *place = parameter.value.clone();
    }
    Ok(serde_json::from_value(values)?)
}

/// Microseconds that a wake-up takes longer when it goes to another processor, with the spread.
fn wake_up(findings: &Findings, frequency_mhz: u32) -> Option<(f64, f64)> {
    let half_round = |words| findings.get(&format!("{}.{words}", switches::FUTEX));
    let (one, two) = (half_round("one_processor")?, half_round("two_processors")?);
    Some(((two.value - one.value).max(0.0) / f64::from(frequency_mhz), two.spread.unwrap_or(0.0)))
}
