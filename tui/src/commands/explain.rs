//! `ringscope explain`: what a name means, in a paragraph, with its source.

use crate::args::ExplainArguments;
use crate::config::{self, Inputs, lookup, resolve};
use crate::terminal::Terminal;
use crate::topics::{self, EVICTORS, KEYS, SETTINGS, STRUCTURES};
use crate::{numbers, output, render};
use anyhow::{Result, bail};
use cpu_model::Machine;
use mechanisms::registry::ALL;
use os_model::kernel::{Kernel, PRESETS as KERNELS};
use serde_json::Value;
use sim_core::calls::CallNumber;
use sim_core::nearest::nearest;
use sim_core::stack::Component;
use sim_core::workload::Program;
use std::path::Path;
use traces::bundled::BUNDLED;
use traces::{named, published};

/// Prints everything that has the name: a name can be an evictor and a structure and a key.
pub fn explain(options: &ExplainArguments, terminal: &Terminal) -> Result<()> {
    let name = options.name.trim();
    let explanations: Vec<String> = [
        machine(name, terminal.verbose)?,
        kernel(name, terminal.verbose)?,
        mechanism(name),
        workload(name),
        component(name),
        group(name),
        listed(name, STRUCTURES, "structure"),
        key(name),
        listed(name, EVICTORS, "evictor"),
        setting(name)?,
        call(name),
    ]
    .into_iter()
    .flatten()
    .collect();
    if explanations.is_empty() {
        let known = known();
        let near =
            nearest(name, known.iter().map(String::as_str)).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        bail!(
            "nothing is called `{name}`{near}\n  names are those of `ringscope list ...`, components of a cycle stack, keys of the JSON and \
             paths of `ringscope config show --origin`"
        );
    }
    let texts: Vec<String> = explanations.iter().map(|text| render::wrapped(text, terminal.width.min(100))).collect();
    output::print(&texts.join("\n"))
}

fn machine(name: &str, verbose: bool) -> Result<Option<String>> {
    let Some(text) = Machine::preset_text(name) else { return Ok(None) };
    let machine = Machine::preset(name)?;
    let mut shown = format!(
        "{name} (machine): {} MHz, {} wide, up to {} cores. L1I {} KiB, L1D {} KiB, L2 {} KiB, last level {} KiB ({}), memory {} cycles. \
         Page-table isolation with mitigations: {}.\nSource: {}.\nUse: --machine {name}",
        numbers::whole(machine.frequency_mhz.into()),
        machine.width,
        machine.cores_max,
        machine.l1i.size_kib,
        machine.l1d.size_kib,
        numbers::whole(machine.l2.size_kib.into()),
        numbers::whole(machine.l3.size_kib.into()),
        match machine.l3.policy {
            cpu_model::SharedPolicy::Inclusive => "inclusive",
            cpu_model::SharedPolicy::Victim => "victim",
        },
        machine.memory_cycles,
        if machine.facts.meltdown_affected { "yes" } else { "no" },
        machine.source
    );
    if verbose {
        shown.push_str(&format!("\n\n{}", verbatim(text)));
    } else {
        shown.push_str("\nAll numbers with their sources: add --verbose.");
    }
    Ok(Some(shown))
}

fn kernel(name: &str, verbose: bool) -> Result<Option<String>> {
    let Some((_, text)) = KERNELS.iter().find(|preset| preset.0 == name) else { return Ok(None) };
    let kernel = Kernel::preset(name)?;
    let mut shown = format!(
        "{name} (kernel): {} timer ticks a second, receive rings of {} packets, interrupt moderation {} us; mitigations {}.\nSource: {}.\nUse: --kernel {name}",
        kernel.scheduler.tick_hz,
        kernel.network.receive_ring_packets,
        kernel.network.interrupt_moderation_us,
        match kernel.mitigations {
            os_model::kernel::Mitigations::Off => "off; --set kernel.mitigations=default turns them on",
            os_model::kernel::Mitigations::Default => "as the kernel chooses",
        },
        kernel.source
    );
    if verbose {
        shown.push_str(&format!("\n\n{}", verbatim(text)));
    } else {
        shown.push_str("\nAll numbers with their sources: add --verbose.");
    }
    Ok(Some(shown))
}

/// Lines that are not to be wrapped begin with a bar of two spaces.
fn verbatim(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

fn mechanism(name: &str) -> Option<String> {
    let entry = ALL.iter().find(|entry| entry.name == name)?;
    let text = topics::mechanism(name).unwrap_or_default();
    Some(format!(
        "{name} (mechanism): {}.\n{text}\nSource: {}.\nPage: docs/mechanisms/{name}.md\nUse: ringscope run WORKLOAD --mechanism {name}",
        entry.summary, entry.source
    ))
}

fn workload(name: &str) -> Option<String> {
    if let Some(made) = published::find(name) {
        return Some(format!(
            "{name} (workload): {}.\nIt is made of the recorded workload {}; amounts of work: {}. Published under kernel {}.\nUse: ringscope compare {name} --machine nehalem-atc11 --kernel {}",
            made.description, made.base, made.source, made.kernel, made.kernel
        ));
    }
    let entry = BUNDLED.iter().find(|entry| entry.name == name)?;
    let kind = match entry.program {
        Program::EventLoop => "a server with an event loop",
        Program::ThreadPerConnection => "a server with a thread per connection",
        Program::ProcessPerConnection => "a server with a process per connection",
        Program::Sequential => "a sequential program: a request is one run of it",
    };
    Some(format!(
        "{name} (workload): {}.\nIt is {kind}, recorded in a full-system capture ({}.trace). Its requests call: {}.\nUse: ringscope compare {name}",
        entry.description, entry.capture_name, entry.calls
    ))
}

fn component(name: &str) -> Option<String> {
    let name = name.strip_prefix("cycle_stack.").unwrap_or(name);
    let component = Component::all().find(|component| component.name() == name)?;
    Some(format!("{name} (component of the cycle stack, cycles per request): {}", topics::component(component)))
}

/// `crossing`, `user`, `kernel` and `mechanism` as groups of components.
fn group(name: &str) -> Option<String> {
    let names: Vec<String> = Component::all()
        .map(Component::name)
        .filter(|component| component.split_once('.').is_some_and(|parts| parts.0 == name))
        .collect();
    (!names.is_empty()).then(|| format!("{name} (group of components of the cycle stack): {}.", names.join(", ")))
}

fn listed(name: &str, topics: &[topics::Topic], kind: &str) -> Option<String> {
    topics::find(topics, name).map(|text| format!("{name} ({kind}): {text}"))
}

/// The longest known end or beginning of a key: `per_request.direct_cycles`, `latency_us.p99`, `results.0.batch.mean`.
fn key(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let candidates = (1..=parts.len()).rev().flat_map(|length| parts.windows(length).rev().map(|window| window.join(".")));
    let text = candidates.into_iter().find_map(|candidate| topics::find(KEYS, &candidate))?;
    let is_setting = ["machine", "kernel", "clients", "mechanism", "run"].contains(&parts[0]) && parts.len() > 1;
    (!is_setting).then(|| format!("{name} (key of a report): {text}"))
}

/// A setting with its default, what is known of it and its origin.
fn setting(name: &str) -> Result<Option<String>> {
    let options = crate::args::ExperimentOptions::default();
    let configuration = resolve(&Inputs { experiment: &options, ledger: None, folder: Path::new(".") })?;
    let path = name.trim_start_matches("--set ");
    let Some(value) = lookup(&configuration.tree.value, path).filter(|_| !path.is_empty()) else { return Ok(None) };
    let mut text = format!("{path} (setting): ");
    // Words about the value, else about the nearest group around it.
    let mut around = Some(path);
    while let Some(candidate) = around {
        if let Some(words) = topics::setting(candidate) {
            let of = if candidate == path { String::new() } else { format!("part of {candidate}. ") };
            text.push_str(&format!("{of}{words}"));
            break;
        }
        around = candidate.rfind('.').map(|end| &candidate[..end]);
    }
    match value {
        Value::Object(fields) => {
            text.push_str(&format!("\nValues: {}.", fields.keys().cloned().collect::<Vec<_>>().join(", ")));
        }
        value => {
            text.push_str(&format!("\nNow: {} ({}).", config::as_ron(value).trim(), configuration.origin(path)));
            text.push_str(&format!("\nChange: --set {path}=VALUE"));
        }
    }
    Ok(Some(text))
}

fn call(name: &str) -> Option<String> {
    let number = CallNumber::from_name(name)?;
    Some(format!("{name} (system call {} of x86-64 Linux): as an evictor, kernel code on behalf of this call.", number.0))
}

fn known() -> Vec<String> {
    let topics = [SETTINGS, KEYS, EVICTORS, STRUCTURES].into_iter().flatten().map(|topic| topic.name.to_owned());
    let names = ALL.iter().map(|entry| entry.name).chain(named::entries().into_iter().map(|entry| entry.name));
    let presets = Machine::preset_names().iter().copied().chain(KERNELS.iter().map(|preset| preset.0));
    topics.chain(names.chain(presets).map(str::to_owned)).chain(Component::all().map(Component::name)).collect()
}
