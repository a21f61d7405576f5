//! `ringscope list`: names to use elsewhere.

use crate::args::{ListArguments, ListChoice};
use crate::render::Table;
use crate::terminal::Terminal;
use crate::{numbers, output};
use anyhow::Result;
use cpu_model::Machine;
use mechanisms::registry::ALL;
use mechanisms::variants::{VARIANTS, Variant};
use os_model::kernel::{Kernel, PRESETS as KERNELS};
use serde_json::{Value, json};
use sim_core::calls::CALL_NAMES;
use traces::named;

/// Prints one list.
pub fn list(options: &ListArguments, terminal: &Terminal) -> Result<()> {
    let entries = match options.what {
        ListChoice::Machines => machines()?,
        ListChoice::Kernels => kernels()?,
        ListChoice::Mechanisms => mechanisms(),
        ListChoice::Variants => variants(),
        ListChoice::Workloads => workloads(),
        ListChoice::Syscalls => syscalls(),
    };
    if options.json {
        return output::print(&(serde_json::to_string_pretty(&entries)? + "\n"));
    }
    let Some(Value::Object(first)) = entries.first() else { return Ok(()) };
    let numeric: Vec<bool> = first.values().map(Value::is_number).collect();
    let mut table = Table::new(first.keys().map(|name| name.replace('_', " ")), &numeric);
    for entry in &entries {
        table.row(entry.as_object().into_iter().flat_map(|fields| fields.values()).map(shown));
    }
    output::print(&table.render(terminal))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), numbers::whole),
        other => other.to_string(),
    }
}

fn machines() -> Result<Vec<Value>> {
    Machine::preset_names()
        .iter()
        .map(|name| {
            let machine = Machine::preset(name)?;
            Ok(json!({
                "name": machine.name,
                "mhz": machine.frequency_mhz,
                "cores": machine.cores_max,
                "l1i_kib": machine.l1i.size_kib,
                "l1d_kib": machine.l1d.size_kib,
                "l2_kib": machine.l2.size_kib,
                "l3_kib": machine.l3.size_kib,
                "source": machine.source,
            }))
        })
        .collect()
}

fn kernels() -> Result<Vec<Value>> {
    KERNELS
        .iter()
        .map(|(name, _)| {
            let kernel = Kernel::preset(name)?;
            Ok(json!({"name": kernel.name, "tick_hz": kernel.scheduler.tick_hz, "source": kernel.source}))
        })
        .collect()
}

fn mechanisms() -> Vec<Value> {
    ALL.iter().map(|entry| json!({"name": entry.name, "what": entry.summary, "source": entry.source})).collect()
}

fn variants() -> Vec<Value> {
    let name = |entry: &Variant| format!("{}:{}", entry.mechanism.name(), entry.name);
    VARIANTS.iter().map(|entry| json!({"name": name(entry), "what": entry.summary, "source": entry.source})).collect()
}

fn workloads() -> Vec<Value> {
    let entries = named::entries().into_iter();
    entries.map(|entry| json!({"name": entry.name, "what": entry.description, "recording": entry.recording})).collect()
}

fn syscalls() -> Vec<Value> {
    CALL_NAMES.iter().map(|(number, name)| json!({"number": number, "name": name})).collect()
}
