//! A description under way: the preset's values, replaced one by one, each with where it comes from.

use super::{DescribeError, NAME};
use cpu_model::Machine;
use host::facts::Facts;
use host::findings::{Finding, Findings};
use serde::Serialize;
use serde_json::Value;

/// Spread from which on a latency is noise: the preset's value is then the better guess.
const SPREAD_MOST: f64 = 0.25;

/// How sure a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Read off a series.
    Measured,
    /// Follows from series, or from what the processor reports of itself.
    Inferred,
    /// The preset's: the host can't tell, or was not asked.
    Kept,
}

impl Confidence {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Measured => "measured",
            Confidence::Inferred => "inferred",
            Confidence::Kept => "kept",
        }
    }
}

/// One value of a description.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Parameter {
    /// Path, as in `l1d.latency_cycles`.
    pub path: String,
    /// Value in the description.
    pub value: Value,
    /// The preset's value.
    pub preset: Value,
    /// What was measured, also where it was not taken.
    pub measured: Option<f64>,
    /// Interquartile range over repetitions as a share of the measured value.
    pub spread: Option<f64>,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why, in a few words; empty for what was measured as it stands, or never asked.
    pub note: String,
}

/// What is said of one value.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub measured: Option<f64>,
    pub spread: Option<f64>,
    pub note: String,
}

impl Said {
    pub fn note(note: impl Into<String>) -> Said {
        Said { note: note.into(), ..Said::default() }
    }

    /// Of a finding.
    pub fn of(finding: &Finding, note: impl Into<String>) -> Said {
        Said { measured: Some(finding.value), spread: finding.spread, note: note.into() }
    }
}

/// A description under way.
pub(super) struct Draft<'a> {
    /// The preset.
    pub preset: &'a Machine,
    /// What the operating system says.
    pub facts: &'a Facts,
    /// What the series say.
    pub findings: &'a Findings,
    before: Value,
    now: Value,
    said: Vec<Parameter>,
}

impl<'a> Draft<'a> {
    pub fn new(preset: &'a Machine, facts: &'a Facts, findings: &'a Findings) -> Result<Draft<'a>, DescribeError> {
        let before = serde_json::to_value(preset)?;
        let mut now = before.clone();
        now["name"] = NAME.into();
        now["source"] =
            format!("measured on {} ({}); what was not measured: preset {}", facts.line(), facts.date, preset.name).into();
        Ok(Draft { preset, facts, findings, before, now, said: Vec::new() })
    }

    /// The preset's value of a path.
    pub fn preset_of(&self, path: &str) -> Result<u64, DescribeError> {
        at(&self.before, path).and_then(Value::as_u64).ok_or_else(|| DescribeError::Path(path.into()))
    }

    /// The value of a path as it stands.
    pub fn value_of(&self, path: &str) -> Result<u64, DescribeError> {
        at(&self.now, path).and_then(Value::as_u64).ok_or_else(|| DescribeError::Path(path.into()))
    }

    /// Replaces a value.
    pub fn set(&mut self, path: &str, value: impl Into<Value>, confidence: Confidence, said: Said) -> Result<(), DescribeError> {
        let preset = at(&self.before, path).ok_or_else(|| DescribeError::Path(path.into()))?.clone();
        let pointer = format!("/{}", path.replace('.', "/"));
        let place = self.now.pointer_mut(&pointer).ok_or_else(|| DescribeError::Path(path.into()))?;
        *place = value.into();
        let value = place.clone();
        self.said.retain(|parameter| parameter.path != path);
        let Said { measured, spread, note } = said;
        self.said.push(Parameter { path: path.into(), value, preset, measured, spread, confidence, note });
        Ok(())
    }

    /// Keeps the preset's value and says why, beside what was measured.
    pub fn keep(&mut self, path: &str, finding: Option<&Finding>, why: &str) -> Result<(), DescribeError> {
        let preset = at(&self.before, path).ok_or_else(|| DescribeError::Path(path.into()))?.clone();
        let said = finding.map_or_else(|| Said::note(why), |finding| Said::of(finding, why));
        self.set(path, preset, Confidence::Kept, said)
    }

    /// A latency or frequency: the measured one, unless it is missing or noise.
    pub fn latency(&mut self, path: &str, name: &str) -> Result<(), DescribeError> {
        match self.findings.get(name) {
            None => self.keep(path, None, "could not be measured"),
            Some(finding) if is_noise(finding) => self.keep(path, Some(&finding.clone()), "too noisy"),
            Some(finding) => self.set(path, finding.value.round().max(1.0) as u64, Confidence::Measured, Said::of(finding, "")),
        }
    }

    /// A number of entries between two places of a ladder: the preset's where it lies between them, else the lower place.
    pub fn entries(&mut self, path: &str, name: &str) -> Result<(), DescribeError> {
        let Some(finding) = self.findings.get(name) else { return self.keep(path, None, "could not be measured") };
        let preset = self.preset_of(path)?;
        let below = finding.below.unwrap_or(f64::INFINITY);
        let between = format!("between {} and {}", finding.value, below);
        let fits = (finding.value..below).contains(&(preset as f64));
        let value = if fits { preset } else { finding.value as u64 };
        self.set(path, value, Confidence::Measured, Said::of(finding, between))
    }

    /// The machine as it stands.
    pub fn machine(&self) -> Result<Machine, DescribeError> {
        let machine: Machine = serde_json::from_value(self.now.clone())?;
        machine.validate()?;
        Ok(machine)
    }

    /// All values in the order of the description, those that nobody spoke of as the preset's.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        leaves(&self.now, &mut String::new(), &mut |path, value| {
            let silent = || Parameter {
                path: path.into(),
                value: value.clone(),
                preset: value.clone(),
                measured: None,
                spread: None,
                confidence: Confidence::Kept,
                note: String::new(),
            };
            if !["name", "source"].contains(&path) {
                parameters.push(self.said.iter().find(|said| said.path == path).cloned().unwrap_or_else(silent));
            }
        });
        parameters
    }
}

/// True for a spread that makes a median worthless.
pub(super) fn is_noise(finding: &Finding) -> bool {
    finding.spread.is_some_and(|spread| spread > SPREAD_MOST)
}

fn at<'v>(tree: &'v Value, path: &str) -> Option<&'v Value> {
    tree.pointer(&format!("/{}", path.replace('.', "/")))
}

/// Visits all values that are no groups, with their paths.
fn leaves(value: &Value, path: &mut String, visit: &mut impl FnMut(&str, &Value)) {
    let Value::Object(fields) = value else { return visit(path, value) };
    for (name, field) in fields {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        leaves(field, path, visit);
        path.truncate(length);
    }
}
