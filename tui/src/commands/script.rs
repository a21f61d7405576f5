//! `ringscope script`: check scripts before a run.

use crate::args::ScriptCommand;
use crate::config;
use crate::output;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use mechanisms::settings::BatchedScriptSettings;
use script::check::{Finding, Severity, check};
use serde_json::json;
use std::path::Path;

/// Runs the command.
pub fn script(command: &ScriptCommand, terminal: &Terminal) -> Result<()> {
    match command {
        ScriptCommand::Check { file, json } => check_file(file, *json, terminal),
    }
}

fn check_file(file: &Path, as_json: bool, terminal: &Terminal) -> Result<()> {
    let name = file.display().to_string();
    let source = std::fs::read_to_string(file).with_context(|| format!("{name}: can't be read"))?;
    let findings = check(&source, &name, BatchedScriptSettings::default().limits());
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if as_json {
        output::print(&as_values(&name, &findings))?;
    } else {
        for finding in &findings {
            output::remark(&shown(&name, &source, finding, terminal));
        }
        if errors == 0 {
            output::print(&format!("{name}: no errors\n"))?;
        }
    }
    if errors > 0 {
        let plural = if errors == 1 { "" } else { "s" };
        bail!("{name}: {errors} error{plural}");
    }
    Ok(())
}

fn shown(name: &str, source: &str, finding: &Finding, terminal: &Terminal) -> String {
    let error = config::script::at(name, source, finding);
    match finding.severity {
        Severity::Error => error.render(terminal.color_errors),
        Severity::Remark => error.render_as_remark(terminal.color_errors),
    }
}

fn as_values(name: &str, findings: &[Finding]) -> String {
    let rows: Vec<serde_json::Value> = findings
        .iter()
        .map(|finding| json!({"severity": finding.severity.name(), "line": finding.line, "message": finding.message, "help": finding.help}))
        .collect();
    let mut text = serde_json::to_string_pretty(&json!({"schema": 1, "file": name, "findings": rows})).unwrap_or_default();
    text.push('\n');
    text
}
