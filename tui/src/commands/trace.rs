//! `ringscope trace info`: what is in a recording.

use crate::args::TraceCommand;
use crate::output;
use anyhow::Result;
use traces::{info, open};

/// Prints what was understood, guessed and dropped.
pub fn trace(command: &TraceCommand) -> Result<()> {
    let TraceCommand::Info { file, lenient, json } = command;
    let opened = open::open(file, *lenient)?;
    let info = info::info(&opened, *lenient)?;
    if *json {
        return output::print(&(serde_json::to_string_pretty(&info)? + "\n"));
    }
    let text = info.to_string();
    output::print(&if text.ends_with('\n') { text } else { text + "\n" })
}
