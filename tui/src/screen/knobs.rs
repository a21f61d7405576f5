//! The knobs: one entry each. What a knob may be set to is decided by the check of the settings, not here.

use super::scenario::{Resolved, Scenario, readable, typed};
use super::state::Situation;
use crate::config::lookup;
use crate::numbers;
use crate::sweep::plan;
use cpu_model::Machine;
use mechanisms::registry::{ALL, Mechanism};
use mechanisms::variants;
use serde_json::Value;
use traces::named;

/// What a knob changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The workload.
    Workload,
    /// The mechanism to look at.
    Focus,
    /// The variant of that mechanism.
    Variant,
    /// Requests per second that arrive whatever the replies; none for a closed loop.
    Rate,
    /// A setting, by its path.
    Setting(&'static str),
}

/// How a knob turns.
#[derive(Clone, Copy, Debug)]
pub enum Steps {
    /// Names one after the other.
    Names(fn(&Scenario) -> Vec<String>),
    /// To the next power of two; from the least value down to 0 with a meaning of its own where one is given.
    PowersOfTwo {
        /// Least.
        low: u64,
        /// Most.
        high: u64,
        /// What 0 means.
        zero: Option<&'static str>,
    },
    /// Twice or half as much, so that sizes stay divisible by what they were divisible by.
    Doubling {
        /// Least.
        low: u64,
        /// Most.
        high: u64,
    },
}

/// One knob.
pub struct Knob {
    /// Beside the value.
    pub name: &'static str,
    /// What it changes.
    pub target: Target,
    /// How it turns.
    pub steps: Steps,
    /// In the help line.
    pub help: &'static str,
}

const fn knob(name: &'static str, target: Target, steps: Steps, help: &'static str) -> Knob {
    Knob { name, target, steps, help }
}

const fn powers(low: u64, high: u64, zero: Option<&'static str>) -> Steps {
    Steps::PowersOfTwo { low, high, zero }
}

const KIB: Steps = Steps::Doubling { low: 1, high: 1 << 20 };

/// All knobs, from top to bottom.
#[rustfmt::skip]
pub const KNOBS: &[Knob] = &[
    knob("workload", Target::Workload, Steps::Names(|scenario| workload_names(&scenario.workload)), "what is replayed: a bundled workload or a file"),
    knob("mechanism", Target::Focus, Steps::Names(|_| ALL.iter().map(|entry| entry.name.to_owned()).collect()), "the mechanism that is simulated first and that views of one mechanism show"),
    knob("variant", Target::Variant, Steps::Names(variant_names), "the variant of that mechanism"),
    knob("machine", Target::Setting("machine"), Steps::Names(|_| Machine::preset_names().iter().map(|name| (*name).to_owned()).collect()), "processors and caches"),
    knob("kernel", Target::Setting("kernel"), Steps::Names(|_| os_model::kernel::PRESETS.iter().map(|preset| preset.0.to_owned()).collect()), "the kernel"),
    knob("mitigations", Target::Setting("kernel.mitigations"), Steps::Names(|_| names(&["off", "default"])), "mitigations of speculative execution: they make crossings dearer"),
    knob("client", Target::Setting("clients.kind"), Steps::Names(|_| names(&["remote", "recorded"])), "clients on another machine, or as recorded on the server's own core"),
    knob("cores", Target::Setting("run.cores"), powers(1, 64, None), "cores of the server"),
    knob("connections", Target::Setting("run.connections"), powers(1, 16_384, None), "client connections"),
    knob("rate", Target::Rate, powers(1_000, 1 << 24, Some("closed loop")), "requests per second that arrive whatever the replies; 0: each connection sends its next request when it has the reply"),
    knob("requests", Target::Setting("run.requests"), powers(128, 1 << 20, Some("automatic")), "measured requests per seed; 0: as many as the program needs"),
    knob("batch", Target::Setting("mechanism.batched_script.limit"), powers(1, 1 << 16, None), "requests at most in one batch of a script"),
    knob("entries", Target::Setting("mechanism.exception_less.entries"), powers(4, 1 << 16, Some("as needed")), "entries of the syscall pages; 0: as many as needed"),
    knob("depth", Target::Setting("mechanism.elevated_shortcut.depth"), Steps::Names(|_| names(&["whole", "entry", "file", "protocol"])), "where elevated code enters the kernel"),
    knob("L1I KiB", Target::Setting("machine.l1i.size_kib"), KIB, "first-level instruction cache of each core"),
    knob("L1D KiB", Target::Setting("machine.l1d.size_kib"), KIB, "first-level data cache of each core"),
    knob("L2 KiB", Target::Setting("machine.l2.size_kib"), KIB, "second-level cache of each core"),
    knob("L3 KiB", Target::Setting("machine.l3.size_kib"), KIB, "last-level cache of all cores"),
];

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Bundled workloads, and a file that is in use. Families that take a number have it in their name.
fn workload_names(current: &str) -> Vec<String> {
    let mut names: Vec<String> =
        named::entries().iter().map(|entry| entry.name.to_owned()).filter(|name| !name.contains(':')).collect();
    if !names.iter().any(|name| name == current) {
        names.insert(0, current.to_owned());
    }
    names
}

fn variant_names(scenario: &Scenario) -> Vec<String> {
    variants::of(scenario.focus).map(|variant| variant.name.to_owned()).collect()
}

/// The setting of a mechanism's variant.
fn variant_path(mechanism: Mechanism) -> String {
    format!("mechanism.{}.variant", mechanism.name().replace('-', "_"))
}

impl Knob {
    /// The value as it is typed.
    pub fn value(&self, situation: &Situation) -> String {
        self.value_in(&situation.scenario, &situation.resolved)
    }

    /// The value in a scenario.
    pub fn value_in(&self, scenario: &Scenario, resolved: &Resolved) -> String {
        let tree = &resolved.configuration.tree.value;
        let at = |path: &str| lookup(tree, path).map_or_else(String::new, typed);
        match self.target {
            Target::Workload => scenario.workload.clone(),
            Target::Focus => scenario.focus.name().into(),
            Target::Variant => at(&variant_path(scenario.focus)),
            Target::Setting(path @ ("machine" | "kernel")) => at(&format!("{path}.name")),
            Target::Setting(path) => at(path),
            Target::Rate => {
                let arrival = lookup(tree, "clients.arrival");
                let rate =
                    arrival.and_then(|arrival| ["open", "sessions"].iter().find_map(|kind| arrival.get(kind)?.get("rate_rps")));
                match (rate, arrival) {
                    (Some(rate), _) => rate.as_f64().map_or_else(|| typed(rate), |rate| rate.to_string()),
                    (None, Some(Value::String(_)) | None) => "0".into(),
                    (None, Some(_)) => "steps".into(),
                }
            }
        }
    }

    /// The value for people.
    pub fn shown(&self, situation: &Situation) -> String {
        let value = self.value(situation);
        match (self.steps, value.parse::<u64>()) {
            (Steps::PowersOfTwo { zero: Some(meaning), .. }, Ok(0)) => meaning.into(),
            (Steps::PowersOfTwo { .. } | Steps::Doubling { .. }, Ok(number)) => numbers::whole(number),
            _ => value,
        }
    }

    /// The value after so many steps; nothing at the end of the scale.
    pub fn stepped(&self, situation: &Situation, steps: isize) -> Option<String> {
        let value = self.value(situation);
        match self.steps {
            Steps::Names(names) => {
                let names = names(&situation.scenario);
                let count = names.len() as isize;
                let at = names.iter().position(|name| *name == value).map_or(0, |at| at as isize + steps);
                names.into_iter().nth(at.rem_euclid(count.max(1)) as usize).filter(|name| *name != value)
            }
            Steps::PowersOfTwo { low, high, zero } => {
                let start = value.parse::<f64>().ok()? as u64;
                let next =
                    (0..steps.unsigned_abs()).fold(start, |number, _| next_power(number, steps > 0, low, high, zero.is_some()));
                (next != start).then(|| next.to_string())
            }
            Steps::Doubling { low, high } => {
                let start = value.parse::<u64>().ok()?;
                let step = |number: u64| {
                    if steps > 0 { number.saturating_mul(2).min(high.max(number)) } else { (number / 2).max(low.min(number)) }
                };
                let next = (0..steps.unsigned_abs()).fold(start, |number, _| step(number));
                (next != start).then(|| next.to_string())
            }
        }
    }

    /// The scenario with another value of the knob. Whether it can be used is for [`Scenario::resolve`] to say.
    ///
    /// # Errors
    /// A text that is no value of the knob's kind.
    pub fn turned(&self, situation: &Situation, value: &str) -> Result<Scenario, String> {
        let value = value.trim();
        let mut scenario = situation.scenario.clone();
        if value.is_empty() {
            return Err(format!("{}: nothing was typed", self.name));
        }
        match self.target {
            Target::Workload => scenario.workload = value.into(),
            Target::Focus => scenario.focus = Mechanism::from_name(value).map_err(|error| error.to_string())?,
            Target::Variant => scenario.set(&variant_path(scenario.focus), &self.name_of(situation, value)?),
            Target::Rate => put_rate(&mut scenario, value)?,
            Target::Setting(path @ ("machine" | "kernel")) => {
                forget_under(&mut scenario, path);
                plan::put_named(&mut scenario.experiment, path, value).map_err(str::to_owned)?;
            }
            Target::Setting(path) => {
                let value = match self.steps {
                    Steps::Names(_) => self.name_of(situation, value)?,
                    _ => whole(self.name, value)?,
                };
                put_setting(&mut scenario, path, &value)?;
            }
        }
        Ok(scenario)
    }

    /// A typed name, or the only one that begins so.
    fn name_of(&self, situation: &Situation, value: &str) -> Result<String, String> {
        let Steps::Names(names) = self.steps else { return Ok(value.into()) };
        let names = names(&situation.scenario);
        let mut fitting = names.iter().filter(|name| name.starts_with(value));
        match (names.iter().find(|name| *name == value), fitting.next(), fitting.next()) {
            (Some(name), _, _) | (None, Some(name), None) => Ok(name.clone()),
            _ => Err(format!("{}: no `{value}`; known: {}", self.name, names.join(", "))),
        }
    }
}

/// An error of several lines on one.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A typed whole number; thousands may be separated.
fn whole(name: &str, value: &str) -> Result<String, String> {
    let digits = value.replace([',', '_'], "");
    digits.parse::<u64>().map(|number| number.to_string()).map_err(|_| format!("{name}: `{value}` is no whole number from 0"))
}

fn next_power(number: u64, up: bool, low: u64, high: u64, zero: bool) -> u64 {
    match up {
        true if number < low => low,
        true => (number + 1).next_power_of_two().clamp(low, high.max(number)),
        false if number <= low => {
            if zero {
                0
            } else {
                number
            }
        }
        false => (number.next_power_of_two() / 2).max(low),
    }
}

/// The size of a cache and so on belong to the machine that they were set for.
fn forget_under(scenario: &mut Scenario, group: &str) {
    let inside = |assignment: &String| assignment.trim_start().starts_with(&format!("{group}."));
    scenario
        .experiment
        .set
        .retain(|assignment| !inside(assignment) || assignment.contains('*') || assignment.starts_with("kernel.mitigations"));
}

/// Puts a setting: by its option where it has one and nothing that is stronger hides it.
fn put_setting(scenario: &mut Scenario, path: &str, value: &str) -> Result<(), String> {
    scenario.unset(path);
    match plan::option_of(path) {
        Some(name) if plan::hiding(&scenario.experiment, path).is_none() => {
            plan::put_named(&mut scenario.experiment, name, value).map_err(|expected| format!("{name} must be {expected}"))
        }
        _ if readable(value) => {
            scenario.set(path, value);
            Ok(())
        }
        _ => Err(format!("`{value}` is no value")),
    }
}

/// A closed loop is the default; only a file that says otherwise has to be overruled.
fn put_rate(scenario: &mut Scenario, value: &str) -> Result<(), String> {
    const PATH: &str = "clients.arrival";
    let rate = value.replace([',', '_'], "").parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate >= 0.0);
    let rate = rate.ok_or_else(|| format!("rate: `{value}` is no number from 0"))?;
    scenario.unset(PATH);
    if rate > 0.0 {
        scenario.experiment.rate = Some(rate);
        return Ok(());
    }
    scenario.experiment.rate = None;
    scenario.experiment.requests_per_connection = None;
    let resolved = scenario.resolve().map_err(|error| error.problem)?;
    let closed = lookup(&resolved.configuration.tree.value, PATH).is_some_and(Value::is_string);
    if !closed {
        scenario.set(PATH, "closed");
    }
    Ok(())
}
