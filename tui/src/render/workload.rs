//! What an importer made of a recording.

use super::words::wrapped;
use crate::numbers::whole;
use anyhow::Result;
use serde_json::json;
use sim_core::workload::{Certainty, Program, Workload};
use std::fmt::Write;

fn program(workload: &Workload) -> &'static str {
    match workload.program {
        Program::EventLoop => "event loop",
        Program::ThreadPerConnection => "a thread per connection",
        Program::ProcessPerConnection => "a process per connection",
        Program::Sequential => "sequential program",
    }
}

/// The workload in words: program, classes with their calls, and how certain each reading was.
pub fn workload(workload: &Workload) -> String {
    let mut text = format!("{}: {}\n", workload.name, workload.description);
    let protocol = match (workload.program, workload.datagram) {
        (Program::Sequential, _) => String::new(),
        (_, true) => ", UDP".into(),
        (_, false) if workload.connection_per_request => ", TCP, a connection per request".into(),
        (_, false) => ", TCP, connections kept".into(),
    };
    writeln!(
        text,
        "{}{protocol}; recorded: {} requests, {} connections, {} threads, {} blocks",
        program(workload),
        whole(workload.requests),
        workload.connections,
        workload.threads,
        whole(workload.blocks.len() as u64)
    )
    .ok();
    let all = workload.recorded_in_classes().max(1) as f64;
    for class in &workload.classes {
        let share = f64::from(class.recorded) * 100.0 / all;
        writeln!(
            text,
            "class {}: {share:.1} % of requests, {} bytes in, {} bytes out, {} recorded chains{}",
            class.name,
            class.request_bytes,
            class.reply_bytes,
            class.chains.len(),
            if class.in_kernel { ", an in-kernel service can answer it" } else { "" }
        )
        .ok();
        if let Some(chain) = class.chains.first().filter(|chain| chain.steps.len() <= 64) {
            let calls: Vec<&str> = chain.steps.iter().map(|step| step.call.name()).collect();
            text.push_str(&wrapped(&format!("calls: {}", calls.join(", ")), 116));
        }
    }
    for (what, chains) in [("opening", &workload.connection.opening), ("closing", &workload.connection.closing)] {
        if let Some(chain) = chains.first() {
            let calls: Vec<&str> = chain.steps.iter().map(|step| step.call.name()).collect();
            writeln!(text, "{what} of a connection: {} recorded; calls: {}", chains.len(), calls.join(", ")).ok();
        }
    }
    for (certainty, title) in
        [(Certainty::Understood, "understood"), (Certainty::Guessed, "guessed"), (Certainty::Dropped, "dropped")]
    {
        for note in workload.notes.iter().filter(|note| note.certainty == certainty) {
            writeln!(text, "{title}: {} ({})", note.text, whole(note.count)).ok();
        }
    }
    text
}

/// The same as JSON.
pub fn workload_json(workload: &Workload) -> Result<String> {
    let classes: Vec<_> = workload
        .classes
        .iter()
        .map(|class| {
            json!({
                "name": class.name,
                "recorded": class.recorded,
                "request_bytes": class.request_bytes,
                "reply_bytes": class.reply_bytes,
                "in_kernel": class.in_kernel,
                "chains": class.chains.len(),
                "calls": class.chains.first().map(|chain| chain.steps.iter().map(|step| step.call.name()).collect::<Vec<_>>()),
            })
        })
        .collect();
    let value = json!({
        "schema": sim_core::report::SCHEMA,
        "name": workload.name,
        "description": workload.description,
        "source": workload.source,
        "program": workload.program,
        "datagram": workload.datagram,
        "connection_per_request": workload.connection_per_request,
        "threads": workload.threads,
        "connections": workload.connections,
        "requests": workload.requests,
        "blocks": workload.blocks.len(),
        "classes": classes,
        "notes": workload.notes,
    });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}
