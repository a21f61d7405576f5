//! `ringscope config`: show, check, begin.

use super::configuration;
use crate::args::{ConfigCommand, ExperimentOptions};
use crate::config::{self, Configuration, lookup};
use crate::output;
use crate::terminal::Terminal;
use anyhow::{Result, bail};
use serde_json::Value;
use sim_core::nearest::nearest;

/// Runs one of the three.
pub fn config(command: &ConfigCommand, terminal: &Terminal) -> Result<()> {
    match command {
        ConfigCommand::Show { path, origin, json, experiment } => {
            let configuration = configuration(experiment)?;
            show(&configuration, path.as_deref().unwrap_or_default(), *origin, *json)
        }
        ConfigCommand::Check { files, experiment } => {
            let mut experiment = ExperimentOptions::clone(experiment);
            experiment.config.extend(files.iter().cloned());
            let configuration = configuration(&experiment)?;
            if terminal.quiet {
                return Ok(());
            }
            let settings = &configuration.settings;
            output::print(&format!(
                "ok: machine {}, kernel {}, cores {}, connections {}\n",
                settings.machine.name, settings.kernel.name, settings.run.cores, settings.run.connections
            ))
        }
        ConfigCommand::Template { experiment } => output::print(&config::template(&configuration(experiment)?)),
    }
}

fn show(configuration: &Configuration, path: &str, origin: bool, json: bool) -> Result<()> {
    let Some(value) = lookup(&configuration.tree.value, path) else {
        let (group, name) = path.rsplit_once('.').unwrap_or(("", path));
        let known: Vec<String> = match lookup(&configuration.tree.value, group) {
            Some(Value::Object(fields)) => fields.keys().cloned().collect(),
            _ => Vec::new(),
        };
        let near =
            nearest(name, known.iter().map(String::as_str)).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        bail!("no setting is called `{path}`{near}\n  `ringscope config show` lists all settings");
    };
    let text = if origin {
        config::origins(configuration, path)
    } else if json {
        config::as_json(value)
    } else {
        config::as_ron(value)
    };
    output::print(&text)
}
