//! All points of a sweep with their settings, in groups that differ in the way of issuing calls only.

use super::axis::{Axis, Item};
use crate::args::ExperimentOptions;
use crate::commands::way;
use crate::config::{ConfigError, Configuration, Inputs, resolve};
use crate::workloads;
use anyhow::{Result, bail};
use clap::ValueEnum;
use mechanisms::experiment::Settings;
use mechanisms::sweep::{Precision, point_hash};
use mechanisms::variants::Way;
use serde_json::Value;
use sim_core::manifest::PartsHash;
use sim_core::nearest::nearest;
use sim_core::sweep::{self, AxisShape, AxisValues};
use sim_core::workload::Workload;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Points of a sweep at most.
pub const POINTS_MAX: u64 = 100_000;

/// What a sweep is asked to do.
#[derive(Clone, Debug)]
pub struct Request {
    /// The workload, where it is not varied.
    pub workload: Option<String>,
    /// The mechanism, where it is not varied.
    pub mechanism: Option<String>,
    /// What all points have in common.
    pub experiment: ExperimentOptions,
    /// What is varied.
    pub axes: Vec<Axis>,
    /// When a point has seeds enough.
    pub precision: Precision,
    /// True when the precision was asked for.
    pub precision_given: bool,
}

/// All points of a sweep.
#[derive(Debug)]
pub struct Plan {
    /// Workloads, with the names by which they were asked for.
    pub workloads: Vec<(String, Workload)>,
    /// Points that share their seeds.
    pub groups: Vec<PlannedGroup>,
    /// All points, by index.
    pub points: Vec<PlannedPoint>,
    /// The configuration file of the current folder, if one was read.
    pub project_file: Option<PathBuf>,
}

/// Points that differ in the way of issuing calls only.
#[derive(Debug)]
pub struct PlannedGroup {
    /// Position of the workload.
    pub workload: usize,
    /// What all of them have in common.
    pub experiment: ExperimentOptions,
    /// Their settings, or why there are none.
    pub settings: Result<Settings, String>,
    /// Positions of the points.
    pub points: Vec<usize>,
    /// True when the baseline is one of several ways: the others are set beside it.
    pub beside_baseline: bool,
}

/// One point.
#[derive(Debug)]
pub struct PlannedPoint {
    /// Value of each axis.
    pub values: AxisValues,
    /// How calls are issued.
    pub way: Way,
    /// Position of its group.
    pub group: usize,
    /// Hash of what its result depends on.
    pub hash: String,
}

/// An option that can be varied by its name.
struct Named {
    name: &'static str,
    /// The setting behind it.
    path: &'static str,
    put: fn(&mut ExperimentOptions, &str) -> Result<(), &'static str>,
}

const WHOLE: &str = "a whole number";

#[rustfmt::skip]
const NAMED: &[Named] = &[
    Named { name: "machine", path: "machine", put: |options, text| { options.machine = Some(text.into()); Ok(()) } },
    Named { name: "kernel", path: "kernel", put: |options, text| { options.kernel = Some(text.into()); Ok(()) } },
    Named { name: "cores", path: "run.cores", put: |options, text| number(text, WHOLE, &mut options.cores) },
    Named { name: "connections", path: "run.connections", put: |options, text| number(text, WHOLE, &mut options.connections) },
    Named { name: "rate", path: "clients.arrival", put: |options, text| number(text, "a number", &mut options.rate) },
    Named { name: "requests-per-connection", path: "requests-per-connection", put: |options, text| number(text, WHOLE, &mut options.requests_per_connection) },
    Named { name: "batch", path: "mechanism.batched_script.limit", put: |options, text| number(text, WHOLE, &mut options.batch) },
    Named { name: "seed", path: "run.seed", put: |options, text| number(text, WHOLE, &mut options.seed) },
    Named { name: "reps", path: "run.reps", put: |options, text| number(text, WHOLE, &mut options.reps) },
    Named { name: "requests", path: "run.requests", put: |options, text| number(text, WHOLE, &mut options.requests) },
    Named { name: "client", path: "clients.kind", put: |options, text| {
        options.client = Some(ValueEnum::from_str(text, false).map_err(|_| "`remote` or `recorded`")?); Ok(()) } },
    Named { name: "shadow", path: "run.shadow", put: |options, text| { options.shadow = Some(text.into()); Ok(()) } },
    Named { name: "service", path: "mechanism.in_kernel_dsl.service", put: |options, text| { options.service = Some(text.into()); Ok(()) } },
    Named { name: "script", path: "mechanism.batched_script.script", put: |options, text| { options.script = Some(text.into()); Ok(()) } },
];

/// Axes that are no settings.
const MECHANISM: &str = "mechanism";
const WORKLOAD: &str = "workload";

fn number<N: std::str::FromStr>(text: &str, expected: &'static str, option: &mut Option<N>) -> Result<(), &'static str> {
    *option = Some(text.replace('_', "").parse().map_err(|_| expected)?);
    Ok(())
}

/// Puts a value into the option of a name, if there is one.
///
/// # Errors
/// What a value of the option must be.
pub fn put_named(options: &mut ExperimentOptions, name: &str, text: &str) -> Result<(), &'static str> {
    NAMED.iter().find(|named| named.name == name).map_or(Ok(()), |named| (named.put)(options, text))
}

/// Name of the option that changes the setting of a path.
pub fn option_of(path: &str) -> Option<&'static str> {
    NAMED.iter().find(|named| named.path == path).map(|named| named.name)
}

/// The `--set` that hides the option of a setting: it comes after all options.
pub fn hiding<'a>(options: &'a ExperimentOptions, path: &str) -> Option<&'a String> {
    let fits = |assignment: &&String| assignment.split_once('=').is_some_and(|(pattern, _)| pattern_fits(pattern.trim(), path));
    options.set.iter().find(fits)
}

/// Puts all points together.
///
/// # Errors
/// Axes that don't fit together, unknown names, values that are wrong wherever they stand.
pub fn plan(request: &Request) -> Result<Plan> {
    check_axes(request)?;
    let combinations = combinations(&request.axes)?;
    let mut plan = Plan { workloads: Vec::new(), groups: Vec::new(), points: Vec::new(), project_file: None };
    let mut group_of: BTreeMap<String, usize> = BTreeMap::new();
    let mut faults: Vec<Option<ConfigError>> = Vec::new();
    for items in combinations {
        let paths = || request.axes.iter().map(|axis| axis.path.as_str());
        let values = AxisValues(paths().map(str::to_owned).zip(items.iter().map(|item| item.value.clone())).collect());
        let way = way_of(request, &items)?;
        let key = group_key(&values);
        let group = match group_of.get(&key) {
            Some(group) => *group,
            None => {
                faults.push(plan.add_group(request, &items)?);
                group_of.insert(key, plan.groups.len() - 1);
                plan.groups.len() - 1
            }
        };
        plan.groups[group].points.push(plan.points.len());
        plan.points.push(PlannedPoint { values, way, group, hash: String::new() });
    }
    plan.refuse_hopeless_values(request, &faults)?;
    plan.hash_points(request.precision)?;
    Ok(plan)
}

/// Refuses axes that would have no effect or get in each other's way.
fn check_axes(request: &Request) -> Result<()> {
    let axes = &request.axes;
    if axes.is_empty() {
        bail!(
            "nothing is varied: give --vary cores=1,2,4 or --sweep FILE.ron\n  one point alone is `ringscope run` or `ringscope compare`"
        );
    }
    let rate = request.experiment.rate.is_some() || axes.iter().any(|axis| axis.path == "rate");
    for (position, axis) in axes.iter().enumerate() {
        let path = setting_of(&axis.path);
        if path == "requests-per-connection" && !rate {
            let problem = "requests per connection say nothing without a rate";
            return Err(ConfigError::at(axis.path_place.clone(), problem, "varied here")
                .help("add --rate or --vary rate=…")
                .into());
        }
        if let Some(other) = axes[..position].iter().find(|other| setting_of(&other.path) == path) {
            let problem = format!("`{}` and `{}` vary the same setting", other.path, axis.path);
            return Err(ConfigError::at(axis.path_place.clone(), problem, "varied already").into());
        }
        if let Some(fixed) = fixed(request, axis) {
            let problem = format!("`{}` is varied and also fixed by {fixed}", axis.path);
            return Err(ConfigError::at(axis.path_place.clone(), problem, "varied here").help("leave one of them out").into());
        }
        if request.precision_given && path == "run.reps" {
            let problem = "--precision chooses the number of seeds, which is varied here";
            return Err(ConfigError::at(axis.path_place.clone(), problem, "varied here").into());
        }
    }
    Ok(())
}

/// The setting behind an axis.
fn setting_of(path: &str) -> &str {
    NAMED.iter().find(|named| named.name == path).map_or(path, |named| named.path)
}

/// What else on the command line decides on an axis.
fn fixed(request: &Request, axis: &Axis) -> Option<String> {
    let options = &request.experiment;
    let by_option = match axis.path.as_str() {
        WORKLOAD => request.workload.as_ref().map(|name| format!("`{name}`")),
        MECHANISM => request.mechanism.as_ref().map(|name| format!("--mechanism {name}")),
        path => {
            let given = [
                ("machine", options.machine.is_some()),
                ("kernel", options.kernel.is_some()),
                ("cores", options.cores.is_some()),
                ("connections", options.connections.is_some()),
                ("rate", options.rate.is_some()),
                ("batch", options.batch.is_some()),
                ("seed", options.seed.is_some()),
                ("reps", options.reps.is_some()),
                ("requests", options.requests.is_some()),
                ("client", options.client.is_some()),
                ("shadow", options.shadow.is_some()),
                ("service", options.service.is_some()),
                ("script", options.script.is_some()),
            ];
            let fits = |name: &str| name == path || setting_of(name) == setting_of(path);
            given.iter().find(|(name, given)| *given && fits(name)).map(|(name, _)| format!("--{name}"))
        }
    };
    // a --set comes after all options: an option that is varied would have no effect
    let named = NAMED.iter().find(|named| named.name == axis.path);
    by_option.or_else(|| {
        let assignment = hiding(options, named?.path)?;
        Some(format!("--set {assignment}"))
    })
}

/// True when a path with stars names a path.
fn pattern_fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), path.split('.').collect());
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(one, other)| *one == "*" || one == other)
}

/// One value of each axis, for every point: the first axis varies slowest, zipped axes go together at the place of the first of them.
fn combinations(axes: &[Axis]) -> Result<Vec<Vec<&Item>>> {
    let zipped: Vec<&Axis> = axes.iter().filter(|axis| axis.zipped).collect();
    if let Some(other) = zipped.iter().find(|axis| axis.items.len() != zipped[0].items.len()) {
        let (first, own) = (zipped[0].items.len(), other.items.len());
        let problem =
            format!("zipped axes must be of one length: `{}` has {first} values, `{}` has {own}", zipped[0].path, other.path);
        return Err(ConfigError::at(other.path_place.clone(), problem, format!("{own} values")).into());
    }
    let shapes: Vec<AxisShape> = axes.iter().map(|axis| (axis.items.len(), axis.zipped)).collect();
    let count = sweep::digits(&shapes).iter().try_fold(1_u64, |count, digit| count.checked_mul(shapes[*digit].0 as u64));
    let Some(count) = count.filter(|count| *count <= POINTS_MAX) else {
        bail!("the sweep has more than {POINTS_MAX} points: leave values out, or run it as several sweeps");
    };
    let combination =
        |index: u64| axes.iter().zip(sweep::positions(&shapes, index)).map(|(axis, item)| &axis.items[item]).collect();
    Ok((0..count).map(combination).collect())
}

fn way_of(request: &Request, items: &[&Item]) -> Result<Way> {
    match request.axes.iter().position(|axis| axis.path == MECHANISM) {
        None => way(request.mechanism.as_deref().unwrap_or(Way::BASELINE.mechanism.name())),
        Some(position) => way(&items[position].text).map_err(|error| {
            let text = error.to_string();
            let (problem, help) = text.split_once("\n  ").unwrap_or((&text, ""));
            ConfigError::at(items[position].place.clone(), problem, "unknown mechanism").help(help).into()
        }),
    }
}

/// What points of a group have in common.
fn group_key(values: &AxisValues) -> String {
    let common = values.0.iter().filter(|entry| entry.0 != MECHANISM);
    common.map(|(path, value)| format!("{path}={value}\n")).collect()
}

impl Plan {
    /// Adds the group that a point's values belong to. What is wrong with its settings is returned: it may be right for other points.
    fn add_group(&mut self, request: &Request, items: &[&Item]) -> Result<Option<ConfigError>> {
        let mut experiment = request.experiment.clone();
        let mut workload = request.workload.as_deref();
        for (axis, item) in request.axes.iter().zip(items) {
            match axis.path.as_str() {
                MECHANISM => {}
                WORKLOAD => workload = Some(&item.text),
                path => put(&mut experiment, path, item)?,
            }
        }
        let Some(workload) = workload else {
            bail!("no workload: `ringscope sweep memcached …`, or --vary workload=memcached,redis");
        };
        let workload = self.workload(workload)?;
        let resolved = resolve(&Inputs { experiment: &experiment, ledger: None, folder: Path::new(".") });
        let (settings, fault) = match resolved {
            Ok(Configuration { settings, project_file, .. }) => {
                self.project_file = project_file;
                (Ok(settings), None)
            }
            Err(error) => (Err(error.problem.clone()), Some(in_axis(error, &request.axes, items))),
        };
        self.groups.push(PlannedGroup { workload, experiment, settings, points: Vec::new(), beside_baseline: false });
        Ok(fault)
    }

    /// Position of a workload, which is loaded when it is new.
    fn workload(&mut self, name: &str) -> Result<usize> {
        if let Some(position) = self.workloads.iter().position(|loaded| loaded.0 == name) {
            return Ok(position);
        }
        self.workloads.push((name.to_owned(), workloads::load(name)?));
        Ok(self.workloads.len() - 1)
    }

    /// A value that is wrong wherever it stands is a slip, and refused; one that is wrong beside some others only makes failed points.
    fn refuse_hopeless_values(&self, request: &Request, faults: &[Option<ConfigError>]) -> Result<()> {
        let fault_of = |point: &PlannedPoint| faults[point.group].as_ref();
        let Some(first) = self.points.iter().find_map(fault_of) else { return Ok(()) };
        if self.points.iter().all(|point| fault_of(point).is_some()) {
            return Err(first.clone().into());
        }
        for axis in &request.axes {
            for item in &axis.items {
                let mut with = self.points.iter().filter(|point| point.values.get(&axis.path) == Some(&item.value));
                if let Some(fault) = with.clone().find_map(fault_of)
                    && with.all(|point| fault_of(point).is_some())
                {
                    return Err(fault.clone().into());
                }
            }
        }
        Ok(())
    }

    fn hash_points(&mut self, precision: Precision) -> Result<()> {
        for group in &mut self.groups {
            let has_baseline = group.points.iter().any(|point| self.points[*point].way == Way::BASELINE);
            group.beside_baseline = has_baseline && group.points.len() > 1;
            for position in &group.points {
                let point = &mut self.points[*position];
                point.hash = match &group.settings {
                    Ok(settings) => {
                        let workload = &self.workloads[group.workload].1;
                        point_hash(workload, settings, point.way, group.beside_baseline, precision)?
                    }
                    Err(problem) => {
                        let values = point.values.to_string();
                        PartsHash::new().part("problem", problem.as_bytes()).part("values", values.as_bytes()).finish()
                    }
                };
            }
        }
        Ok(())
    }

    /// Names of all workloads, joined by commas.
    pub fn workload_names(&self) -> String {
        self.workloads.iter().map(|workload| workload.1.name.as_str()).collect::<Vec<_>>().join(",")
    }

    /// Hash of all workloads.
    pub fn workload_hash(&self) -> String {
        let add = |hash: PartsHash, workload: &(String, Workload)| hash.part(&workload.1.name, workload.1.source.sha256.as_bytes());
        self.workloads.iter().fold(PartsHash::new(), add).finish()
    }
}

/// Puts one value of an axis into the options.
fn put(experiment: &mut ExperimentOptions, path: &str, item: &Item) -> Result<()> {
    let Some(named) = NAMED.iter().find(|named| named.name == path) else {
        if !path.contains('.') {
            return Err(unknown_axis(path, item).into());
        }
        experiment.set.push(format!("{path}={}", item.text));
        return Ok(());
    };
    (named.put)(experiment, &item.text).map_err(|expected| {
        ConfigError::at(
            item.place.clone(),
            format!("`{path}` must be {expected}, not {}", item.value),
            format!("expected {expected}"),
        )
        .into()
    })
}

fn unknown_axis(path: &str, item: &Item) -> ConfigError {
    let names: Vec<&str> = [MECHANISM, WORKLOAD].into_iter().chain(NAMED.iter().map(|named| named.name)).collect();
    let near = nearest(path, names.iter().copied()).map_or(String::new(), |near| format!("did you mean `{near}`? "));
    let start = item.place.text.find(path).unwrap_or(0);
    ConfigError::at(
        item.place.at(start..start + path.len()),
        format!("nothing is called `{path}` that could be varied"),
        "unknown name",
    )
    .help(format!("{near}Names: {}; or a path such as machine.l2.size_kib (`ringscope config show`)", names.join(", ")))
}

/// Shows what is wrong with an option that an axis has made where the axis was written.
fn in_axis(error: ConfigError, axes: &[Axis], items: &[&Item]) -> ConfigError {
    let Some(place) = error.place.clone().filter(|place| place.is_option()) else { return error };
    for (axis, item) in axes.iter().zip(items) {
        const SET: &str = "--set ";
        if *place.text == format!("{SET}{}={}", axis.path, item.text) {
            let in_path = place.span.start < SET.len() + axis.path.len();
            let shown = &place.text[place.span.clone()];
            let place = match axis.path_place.text[axis.path_place.span.clone()].find(shown) {
                Some(at) if in_path => {
                    let start = axis.path_place.span.start + at;
                    axis.path_place.at(start..start + shown.len())
                }
                _ if in_path => axis.path_place.clone(),
                _ => item.place.clone(),
            };
            return ConfigError { place: Some(place), ..error };
        }
        if *place.text == format!("--{} {}", axis.path, item.text) {
            return ConfigError { place: Some(item.place.clone()), ..error };
        }
    }
    error
}

/// A share such as `1%` or `0.01`.
///
/// # Errors
/// What is no number, or not between 0 and a half.
pub fn share(text: &str) -> Result<f64> {
    let (number, unit) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent.trim().parse::<f64>().ok(), 100.0),
        None => (text.trim().parse::<f64>().ok(), 1.0),
    };
    match number.map(|number| number / unit).filter(|share| *share > 0.0 && *share <= 0.5) {
        Some(share) => Ok(share),
        None => bail!("`{text}` is no precision: write --precision 1% (more than 0, at most 50%)"),
    }
}

/// The values of the axes that differ between points.
pub fn varied(axes: &[Axis]) -> Vec<String> {
    axes.iter().filter(|axis| axis.items.len() > 1).map(|axis| axis.path.clone()).collect()
}

/// Axes as a file's header lists them.
pub fn listed(axes: &[Axis]) -> Vec<sim_core::sweep::Axis> {
    let values = |axis: &Axis| -> Vec<Value> { axis.items.iter().map(|item| item.value.clone()).collect() };
    axes.iter().map(|axis| sim_core::sweep::Axis { path: axis.path.clone(), values: values(axis), zipped: axis.zipped }).collect()
}
