//! `ringscope dsl check`: what a service is, or why it is refused.

use crate::args::{DslCommand, Optimisation};
use crate::numbers::whole;
use crate::output;
use crate::refusal::Refused;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;
use wyki::{Options, Service, TableShape, compile};

/// Checks a service.
pub fn dsl(command: &DslCommand) -> Result<()> {
    let DslCommand::Check { file, without, stretch, json } = command;
    let source = read(file)?;
    let name = file.display().to_string();
    let enabled = |optimisation| !without.contains(&optimisation);
    let options = Options {
        superpages: enabled(Optimisation::Superpages),
        thread_collapse: enabled(Optimisation::ThreadCollapse),
        socket_collapse: enabled(Optimisation::SocketCollapse),
        inline_parsing: enabled(Optimisation::InlineParsing),
        stretch_bound_instructions: stretch.unwrap_or(Options::default().stretch_bound_instructions),
    };
    match compile(&source, &name, &options) {
        Ok(service) if *json => output::print(&(serde_json::to_string_pretty(&service_json(&service))? + "\n")),
        Ok(service) => output::print(&service_text(&service)),
        Err(faults) => {
            let refused = Refused { file: name, source, faults };
            if *json {
                output::print(&(serde_json::to_string_pretty(&refused_json(&refused))? + "\n"))?;
            }
            Err(refused.into())
        }
    }
}

fn read(file: &Path) -> Result<String> {
    let bytes = std::fs::read(file).with_context(|| format!("{}: can't be read", file.display()))?;
    String::from_utf8(bytes).with_context(|| format!("{}: not a text in UTF-8, as a service must be", file.display()))
}

fn service_text(service: &Service) -> String {
    let mut text = format!("{}: {} port {}\n", service.name(), service.protocol(), service.port());
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<16} {value}\n"));
    for message in service.messages() {
        line("message", format!("{} ({})", message.name, message.fields.join(", ")));
    }
    for table in service.tables() {
        line("table", table_text(table));
    }
    let fields: Vec<&str> = service.connection_fields().iter().map(|field| field.name.as_str()).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
    line("states", service.states().join(", "));
    line("connection", format!("{} bytes{fields}", service.connection_bytes()));
    line("longest message", format!("{} bytes; longer ones go up to user space", whole(u64::from(service.message_bytes_max()))));
    line("longest reply", format!("{} bytes", whole(service.longest_reply_bytes())));
    line("longest run", format!("{} instructions", whole(service.longest_run_instructions())));
    let bound = service.options().stretch_bound_instructions;
    let stretch = whole(u64::from(service.longest_stretch_instructions()));
    let yields = service.yields();
    let places = if yields == 1 { "place" } else { "places" };
    line(
        "longest stretch",
        format!("{stretch} instructions without a yield, bound {}; yields at {yields} {places}", whole(u64::from(bound))),
    );
    line("code", format!("{} lines of {} bytes, {} blocks", service.code_lines(), wyki::LINE_BYTES, service.blocks()));
    line("optimisations", optimisations(service.options()));
    text
}

fn table_text(table: &TableShape) -> String {
    let bounds =
        format!("keys of {} and values of {} bytes at most", whole(table.key_bytes.into()), whole(table.value_bytes.into()));
    let memory = format!("{} bytes an entry, {} KiB", whole(table.entry_bytes.into()), whole(table.bytes.div_ceil(1024)));
    format!("{}: {} entries, {bounds}; {memory}", table.name, whole(table.entries.into()))
}

/// The optimisations by name, with whether they are on.
fn switches(options: &Options) -> [(&'static str, bool); 4] {
    [
        ("superpages", options.superpages),
        ("thread-collapse", options.thread_collapse),
        ("socket-collapse", options.socket_collapse),
        ("inline-parsing", options.inline_parsing),
    ]
}

fn optimisations(options: &Options) -> String {
    let on: Vec<&str> = switches(options).iter().filter(|entry| entry.1).map(|entry| entry.0).collect();
    if on.is_empty() { "none".to_owned() } else { on.join(", ") }
}

fn service_json(service: &Service) -> Value {
    let table = |table: &TableShape| {
        json!({
            "name": table.name, "entries": table.entries, "key_bytes": table.key_bytes, "value_bytes": table.value_bytes,
            "entry_bytes": table.entry_bytes, "chains": table.chains, "bytes": table.bytes,
        })
    };
    let fields =
        service.connection_fields().iter().map(|field| json!({"name": field.name, "bytes": field.bytes, "initial": field.initial}));
    let messages = service.messages().iter().map(|message| json!({"name": message.name, "fields": message.fields}));
    let options: serde_json::Map<String, Value> =
        switches(service.options()).into_iter().map(|(name, on)| (name.replace('-', "_"), json!(on))).collect();
    json!({
        "schema": 1,
        "service": service.name(),
        "file": service.file(),
        "protocol": service.protocol().to_string(),
        "port": service.port(),
        "messages": messages.collect::<Vec<_>>(),
        "tables": service.tables().iter().map(table).collect::<Vec<_>>(),
        "states": service.states(),
        "connection_bytes": service.connection_bytes(),
        "connection_fields": fields.collect::<Vec<_>>(),
        "message_bytes_max": service.message_bytes_max(),
        "longest_reply_bytes": service.longest_reply_bytes(),
        "longest_run_instructions": service.longest_run_instructions(),
        "longest_stretch_instructions": service.longest_stretch_instructions(),
        "stretch_bound_instructions": service.options().stretch_bound_instructions,
        "yields": service.yields(),
        "code_lines": service.code_lines(),
        "blocks": service.blocks(),
        "optimisations": options,
    })
}

fn refused_json(refused: &Refused) -> Value {
    let fault = |fault: &wyki::Diagnostic| {
        let (line, column) = fault.place(&refused.source);
        json!({
            "code": fault.code.as_str(), "message": fault.message, "line": line, "column": column,
            "start_byte": fault.span.start, "end_byte": fault.span.end, "label": fault.label, "help": fault.help,
        })
    };
    json!({"schema": 1, "file": refused.file, "faults": refused.faults.iter().map(fault).collect::<Vec<_>>()})
}
