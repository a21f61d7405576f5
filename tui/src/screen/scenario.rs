//! What is simulated: a workload, options as on the command line, and the mechanism that one looks at. A knob changes the options, so the
//! command that gives the same answer is always known.

use crate::args::{ExperimentOptions, canonical_command};
use crate::config::{ConfigError, Configuration, Inputs, as_ron, lookup, read_ron, resolve, text};
use mechanisms::experiment::Settings;
use mechanisms::registry::{ALL, Mechanism};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Entry of a configuration file with what is no setting: the workload and the mechanism to look at. Other commands pass over it.
pub use crate::config::SCENARIO_ENTRY;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// A bundled workload or a file.
    pub workload: String,
    /// Options as on the command line.
    pub experiment: ExperimentOptions,
    /// The mechanism that is simulated first and that views of one mechanism show.
    pub focus: Mechanism,
}

/// A scenario with its checked settings.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Settings with the origin of each.
    pub configuration: Configuration,
    /// The `compare` command that gives the same answer.
    pub command: String,
}

impl Resolved {
    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.configuration.settings
    }
}

impl Scenario {
    /// Reads the configuration files and checks all values.
    ///
    /// # Errors
    /// The first value that can't be used.
    pub fn resolve(&self) -> Result<Resolved, ConfigError> {
        let configuration = resolve(&Inputs { experiment: &self.experiment, ledger: None, folder: Path::new(".") })?;
        let command = canonical_command(&["compare", &self.workload], &self.experiment, configuration.project_file.as_deref());
        Ok(Resolved { configuration, command })
    }

    /// The scenario as a configuration file: what differs from the presets, and [`SCENARIO_ENTRY`].
    ///
    /// # Errors
    /// When the settings have no such form.
    pub fn to_ron(&self, resolved: &Resolved) -> Result<String, String> {
        let settings = resolved.settings();
        let preset = |name: &str, names: &[&str], other: &str| {
            names.iter().find(|known| **known == name).map_or(other.to_owned(), |known| (*known).to_owned())
        };
        let machine = preset(&settings.machine.name, cpu_model::Machine::preset_names(), "nehalem");
        let kernels: Vec<&str> = os_model::kernel::PRESETS.iter().map(|preset| preset.0).collect();
        let kernel = preset(&settings.kernel.name, &kernels, "linux-6.1");
        let defaults = Settings::preset(&machine, &kernel).map_err(|error| error.to_string())?;
        let defaults = serde_json::to_value(&defaults).map_err(|error| error.to_string())?;
        let changed = difference(&resolved.configuration.tree.value, &defaults).unwrap_or_else(|| json!({}));
        let mut groups = Map::new();
        groups.insert(SCENARIO_ENTRY.into(), json!({ "workload": &self.workload, "focus": self.focus.name() }));
        for (group, preset) in [("machine", machine), ("kernel", kernel)] {
            let mut fields = Map::new();
            fields.insert("preset".into(), json!(preset));
            if let Some(Value::Object(own)) = changed.get(group) {
                fields.extend(own.clone());
            }
            groups.insert(group.into(), Value::Object(fields));
        }
        if let Value::Object(own) = changed {
            groups.extend(own.into_iter().filter(|(name, _)| name != "machine" && name != "kernel"));
        }
        let head = format!("// A scenario of ringscope: `ringscope tui --config THIS-FILE`, or\n// {}\n", resolved.command);
        Ok(head + &as_ron(&Value::Object(groups)))
    }

    /// A scenario from a file that [`Scenario::to_ron`] has written, or from any configuration file: then the workload stays.
    ///
    /// # Errors
    /// A file that can't be read, and a workload or mechanism that is no name.
    pub fn load(&self, file: &Path) -> Result<Scenario, ConfigError> {
        let experiment = ExperimentOptions { config: vec![file.to_owned()], ..ExperimentOptions::default() };
        let loaded = Scenario { experiment, ..self.clone() }.with_entry(file)?;
        loaded.resolve()?;
        Ok(loaded)
    }

    /// With the workload and the mechanism that a configuration file names.
    ///
    /// # Errors
    /// A file that can't be read, and a workload or mechanism that is no name.
    pub fn with_entry(mut self, file: &Path) -> Result<Scenario, ConfigError> {
        let (content, place) = read_ron(file)?;
        let json = content.to_json();
        let wrong = |what: &str| {
            ConfigError::at(place.clone(), format!("`{SCENARIO_ENTRY}.{what}` is no name that is known"), "in this file")
        };
        if let Some(workload) = lookup(&json, &format!("{SCENARIO_ENTRY}.workload")) {
            self.workload = workload.as_str().ok_or_else(|| wrong("workload"))?.to_owned();
        }
        if let Some(focus) = lookup(&json, &format!("{SCENARIO_ENTRY}.focus")) {
            let name = focus.as_str().ok_or_else(|| wrong("focus"))?;
            self.focus = Mechanism::from_name(name).map_err(|_| wrong("focus"))?;
        }
        Ok(self)
    }

    /// The mechanisms, that in focus after the baseline and before the others: the order in which answers are worth having.
    pub fn mechanisms_by_interest(&self) -> Vec<Mechanism> {
        let mut mechanisms: Vec<Mechanism> = ALL.iter().map(|entry| entry.mechanism).collect();
        mechanisms.sort_by_key(|mechanism| (*mechanism != Mechanism::BASELINE, *mechanism != self.focus));
        mechanisms
    }

    /// Sets a value as `--set` does. A value of the same path that stands there already gives way.
    pub fn set(&mut self, path: &str, value: &str) {
        self.unset(path);
        self.experiment.set.push(format!("{path}={value}"));
    }

    /// Takes back what [`Scenario::set`] has set.
    pub fn unset(&mut self, path: &str) {
        self.experiment.set.retain(|assignment| assignment.split_once('=').is_none_or(|(own, _)| own.trim() != path));
    }

    /// The file that a saved scenario is proposed to be called.
    pub fn file_name(&self) -> PathBuf {
        let stem = Path::new(&self.workload).file_stem().and_then(|stem| stem.to_str()).unwrap_or("scenario");
        PathBuf::from(format!("{}.ron", stem.replace(':', "-")))
    }
}

/// What of a tree is not in another one; nothing when they are equal.
fn difference(value: &Value, base: &Value) -> Option<Value> {
    match (value, base) {
        (Value::Object(fields), Value::Object(others)) => {
            let changed: Map<String, Value> = fields
                .iter()
                .filter_map(|(name, field)| Some((name.clone(), difference(field, others.get(name).unwrap_or(&Value::Null))?)))
                .collect();
            (!changed.is_empty()).then_some(Value::Object(changed))
        }
        _ => (value != base).then(|| value.clone()),
    }
}

/// A value as one types it: numbers and names without quotes, groups as RON on one line.
pub fn typed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => as_ron(other).split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// True when a text can stand as a value in a configuration.
pub fn readable(value: &str) -> bool {
    text::parse(value).is_ok()
}
