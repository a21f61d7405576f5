//! The layers of a configuration, from the weakest: preset, project file, `--config`, options, `--set`.

use super::place::{COMMAND_LINE, ConfigError, Place};
use super::text::{self, Node, Spanned};
use super::tree::{Origin, Segment, Tree};
use crate::args::{ClientChoice, ExperimentOptions};
use cpu_model::{Machine, MachineError};
use mechanisms::experiment::{Settings, SettingsError};
use mechanisms::settings::InKernelSettings;
use os_model::kernel::{Kernel, KernelError, PRESETS as KERNELS};
use serde_json::{Value, json};
use sim_core::nearest::nearest;
use std::path::{Path, PathBuf};

/// Configuration file of the current folder, read when it is there.
pub const PROJECT_FILE: &str = "ringscope.ron";
const DEFAULT_MACHINE: &str = "nehalem";
const DEFAULT_KERNEL: &str = "linux-6.1";
/// Entries of a file that choose a preset instead of changing a value.
const PRESET_ENTRIES: [&str; 2] = ["machine.preset", "kernel.preset"];
/// Entry of a file that is no setting: what else the full-screen view keeps of a scenario. Commands pass over it.
pub const SCENARIO_ENTRY: &str = "scenario";

/// What a configuration is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Options, `--config` and `--set`.
    pub experiment: &'a ExperimentOptions,
    /// `--ledger`, where a command has it.
    pub ledger: Option<bool>,
    /// The folder whose project file is read.
    pub folder: &'a Path,
}

/// Checked settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The settings.
    pub settings: Settings,
    /// The same as a tree.
    pub tree: Tree,
    /// Where the machine's values come from when nothing changes them.
    pub machine_origin: String,
    /// Where the kernel's values come from when nothing changes them.
    pub kernel_origin: String,
    /// The project file, if one was read.
    pub project_file: Option<PathBuf>,
}

impl Configuration {
    /// Where the value at a path came from.
    pub fn origin(&self, path: &str) -> String {
        match self.tree.origin(path) {
            Some(origin) => origin.name.clone(),
            None if path.starts_with("machine") => self.machine_origin.clone(),
            None if path.starts_with("kernel") => self.kernel_origin.clone(),
            None => "default".into(),
        }
    }
}

struct File {
    content: Spanned,
    place: Place,
}

/// Puts all layers together and checks the result.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn resolve(inputs: &Inputs) -> Result<Configuration, ConfigError> {
    let options = inputs.experiment;
    let project = Some(inputs.folder.join(PROJECT_FILE)).filter(|path| path.is_file());
    let files = project.iter().chain(&options.config).map(|path| read(path)).collect::<Result<Vec<File>, ConfigError>>()?;

    let (machine, machine_origin) = machine(options.machine.as_deref(), &files)?;
    let (kernel, kernel_origin) = kernel(options.kernel.as_deref(), &files)?;
    let defaults = Settings {
        machine,
        kernel,
        clients: os_model::clients::Clients::default(),
        mechanism: mechanisms::settings::MechanismSettings::default(),
        run: mechanisms::experiment::RunSettings::default(),
    };
    let mut tree = Tree::new(to_json(&defaults)?);
    for file in &files {
        let mut skip = PRESET_ENTRIES.to_vec();
        skip.push(SCENARIO_ENTRY);
        skip.extend(
            ["machine", "kernel"].into_iter().filter(|group| preset_entry(&file.content, group).is_some_and(|entry| entry.1)),
        );
        tree.put_file(&file.content, &file.place, &skip)?;
    }
    put_options(&mut tree, inputs)?;
    for assignment in &options.set {
        put_assignment(&mut tree, assignment)?;
    }
    let mut settings = settings_of(&tree)?;
    check(&settings, &tree)?;
    read_service(&mut settings.mechanism.in_kernel_dsl)?;
    super::script::read(&mut settings.mechanism)?;
    let project_file = project.map(|path| path.strip_prefix(inputs.folder).unwrap_or(&path).to_owned());
    Ok(Configuration { settings, tree, machine_origin, kernel_origin, project_file })
}

/// The text of a service that the settings name: results depend on what it says, not on what it is called.
fn read_service(settings: &mut InKernelSettings) -> Result<(), ConfigError> {
    if settings.service.is_empty() {
        return Ok(());
    }
    settings.source = std::fs::read_to_string(&settings.service).map_err(|error| {
        plain(format!("{}: can't be read: {error}", settings.service))
            .help("--service takes a file in WYKI; `ringscope explain in-kernel-dsl` says more of the mechanism")
    })?;
    Ok(())
}

fn to_json(settings: &Settings) -> Result<Value, ConfigError> {
    serde_json::to_value(settings).map_err(|error| plain(format!("the settings have no JSON form: {error}")))
}

fn plain(problem: impl Into<String>) -> ConfigError {
    ConfigError { problem: problem.into(), place: None, label: String::new(), help: None }
}

fn read_text(path: &Path) -> Result<Place, ConfigError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        plain(format!("{file}: can't be read: {error}")).help("`ringscope config template > FILE.ron` writes a file to begin from")
    })?;
    Ok(Place { file: file.into(), span: 0..text.len(), text: text.into() })
}

fn read(path: &Path) -> Result<File, ConfigError> {
    read_ron(path).map(|(content, place)| File { content, place })
}

/// Reads a file as RON, and keeps its text for messages.
///
/// # Errors
/// A file that can't be read or is not RON, with its place.
pub fn read_ron(path: &Path) -> Result<(Spanned, Place), ConfigError> {
    let place = read_text(path)?;
    let content = text::parse(&place.text).map_err(|error| {
        ConfigError::at(place.at(error.span), format!("not RON: {}", error.problem), format!("expected {}", error.expected))
    })?;
    Ok((content, place))
}

/// What a file says of the preset of a group: `machine: "zen4"` (true) or `machine: (preset: "zen4", …)` (false).
fn preset_entry<'a>(content: &'a Spanned, group: &str) -> Option<(&'a Spanned, bool)> {
    let Node::Group(fields) = &content.node else { return None };
    let value = &fields.iter().find(|field| field.name == group)?.value;
    match &value.node {
        Node::Scalar(Value::String(_)) => Some((value, true)),
        Node::Group(inner) => inner.iter().find(|field| field.name == "preset").map(|field| (&field.value, false)),
        _ => None,
    }
}

/// The name of a group's preset and where it was chosen: by an option, or by the last file that chooses.
fn chosen(option: Option<&str>, files: &[File], group: &str, default: &str) -> Result<(String, Place, bool), ConfigError> {
    if let Some(name) = option {
        let text = format!("--{group} {name}");
        let start = text.len() - name.len();
        return Ok((name.to_owned(), option_place(&text).at(start..text.len()), true));
    }
    for file in files.iter().rev() {
        let Some((entry, _)) = preset_entry(&file.content, group) else { continue };
        let place = file.place.at(entry.span.clone());
        return match &entry.node {
            Node::Scalar(Value::String(name)) => Ok((name.clone(), place, true)),
            _ => Err(ConfigError::at(place, format!("`{group}.preset` must be a name"), "expected a name in quotes")),
        };
    }
    Ok((default.to_owned(), option_place(""), false))
}

fn option_place(text: &str) -> Place {
    Place { file: COMMAND_LINE.into(), text: text.into(), span: 0..text.len() }
}

fn machine(option: Option<&str>, files: &[File]) -> Result<(Machine, String), ConfigError> {
    let (name, place, _) = chosen(option, files, "machine", DEFAULT_MACHINE)?;
    if Machine::preset_names().contains(&name.as_str()) {
        let machine = Machine::preset(&name).map_err(|error| plain(error.to_string()))?;
        return Ok((machine, format!("preset {name}")));
    }
    if name.ends_with(".ron") || name.contains('/') {
        return machine_file(Path::new(&name)).map(|machine| (machine, name));
    }
    let known = Machine::preset_names();
    let error = ConfigError::at(place, format!("no machine is called `{name}`"), "unknown machine");
    Err(with_nearest(error, &name, known, ", or give a RON file with a whole description"))
}

fn with_nearest(error: ConfigError, name: &str, known: &[&str], more: &str) -> ConfigError {
    let list = known.join(", ");
    match nearest(name, known.iter().copied()) {
        Some(near) => error.help(format!("did you mean `{near}`? Known: {list}{more}")),
        None => error.help(format!("known: {list}{more}")),
    }
}

fn machine_file(path: &Path) -> Result<Machine, ConfigError> {
    let place = read_text(path)?;
    Machine::from_ron(&place.text).map_err(|error| match &error {
        MachineError::Parse { line, column, message } => {
            let start = offset(&place.text, *line, *column);
            ConfigError::at(place.at(start..start + 1), format!("not a machine description: {message}"), "here")
                .help("`ringscope explain nehalem --verbose` prints a whole description")
        }
        MachineError::Field { field, .. } => match span_of(&place.text, field) {
            Some(span) => ConfigError::at(place.at(span), error.to_string(), "out of range"),
            None => plain(format!("{}: {error}", path.display())),
        },
        _ => plain(format!("{}: {error}", path.display())),
    })
}

/// Byte offset of a line and column, both from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = text[start..].chars().take(column.saturating_sub(1)).map(char::len_utf8).sum::<usize>();
    (start + rest).min(text.len())
}

/// Where the value of a path stands in a RON text.
fn span_of(text: &str, path: &str) -> Option<std::ops::Range<usize>> {
    let content = text::parse(text).ok()?;
    let mut value = &content;
    for name in path.split('.') {
        let Node::Group(fields) = &value.node else { return None };
        value = &fields.iter().find(|field| field.name == name)?.value;
    }
    Some(value.span.clone())
}

fn kernel(option: Option<&str>, files: &[File]) -> Result<(Kernel, String), ConfigError> {
    let (name, place, _) = chosen(option, files, "kernel", DEFAULT_KERNEL)?;
    match Kernel::preset(&name) {
        Ok(kernel) => Ok((kernel, format!("preset {name}"))),
        Err(_) => {
            let known: Vec<&str> = KERNELS.iter().map(|preset| preset.0).collect();
            let error = ConfigError::at(place, format!("no kernel is called `{name}`"), "unknown kernel");
            Err(with_nearest(error, &name, &known, ""))
        }
    }
}

/// The value of `--shadow`.
fn shadow(text: &str) -> Option<Value> {
    match text {
        "full" | "off" => Some(json!(text)),
        _ => text.strip_prefix("1/")?.parse::<u32>().ok().map(|one_in| json!({"sampled": one_in})),
    }
}

fn put_options(tree: &mut Tree, inputs: &Inputs) -> Result<(), ConfigError> {
    let options = inputs.experiment;
    let client = options.client.map(|client| match client {
        ClientChoice::Remote => "remote",
        ClientChoice::Recorded => "recorded",
    });
    let mut values: Vec<(&str, &str, String, Option<Value>)> = Vec::new();
    let mut option = |path, name, value: Option<Value>, shown: String| {
        if value.is_some() || !shown.is_empty() {
            values.push((path, name, shown, value));
        }
    };
    let mut number = |path, name, value: Option<u64>| {
        option(path, name, value.map(|value| json!(value)), value.map_or(String::new(), |value| value.to_string()));
    };
    number("run.cores", "--cores", options.cores.map(u64::from));
    number("run.connections", "--connections", options.connections.map(u64::from));
    number("run.seed", "--seed", options.seed);
    number("run.reps", "--reps", options.reps.map(u64::from));
    number("run.requests", "--requests", options.requests);
    number("mechanism.batched_script.limit", "--batch", options.batch.map(u64::from));
    if let Some(script) = &options.script {
        let name = script.display().to_string();
        option("mechanism.batched_script.script", "--script", Some(json!(name)), name);
    }
    if let Some(rate) = options.rate {
        let value = match options.requests_per_connection {
            None => json!({"open": {"rate_rps": rate}}),
            Some(requests) => json!({"sessions": {"rate_rps": rate, "requests_per_connection": requests}}),
        };
        option("clients.arrival", "--rate", Some(value), rate.to_string());
    }
    if let Some(service) = &options.service {
        let file = service.display().to_string();
        option("mechanism.in_kernel_dsl.service", "--service", Some(json!(file)), file);
    }
    if let Some(client) = client {
        option("clients.kind", "--client", Some(json!(client)), client.to_owned());
    }
    if let Some(text) = &options.shadow {
        option("run.shadow", "--shadow", shadow(text), text.clone());
    }
    if let Some(ledger) = inputs.ledger {
        option("run.ledger", "--ledger", Some(json!(ledger)), if ledger { "on" } else { "off" }.to_owned());
    }
    for (path, name, shown, value) in values {
        let place = option_place(&format!("{name} {shown}"));
        let Some(value) = value else {
            let start = name.len() + 1;
            let error = ConfigError::at(place.at(start..place.text.len()), format!("`{shown}` is no shadow"), "not understood");
            return Err(error.help("write --shadow=full, --shadow=1/8 or --shadow=off"));
        };
        let spanned = Spanned { node: Node::Scalar(value), span: 0..place.text.len() };
        let segments = segments(path, &place, 0);
        tree.put_path(&segments, &spanned, &place)?;
    }
    Ok(())
}

/// The names of a dotted path, with their places in a text in which the path begins at `start`.
fn segments(path: &str, place: &Place, start: usize) -> Vec<Segment> {
    let mut at = start;
    let mut found = Vec::new();
    for name in path.split('.') {
        found.push(Segment { name: name.trim().to_owned(), place: place.at(at..(at + name.len()).min(place.text.len())) });
        at += name.len() + 1;
    }
    found
}

/// `--set path.to.key=value`.
fn put_assignment(tree: &mut Tree, assignment: &str) -> Result<(), ConfigError> {
    const OPTION: &str = "--set ";
    let place = option_place(&format!("{OPTION}{assignment}"));
    let Some((path, value)) = assignment.split_once('=') else {
        let error = ConfigError::at(place.at(OPTION.len()..place.text.len()), "`--set` needs a path and a value", "no `=` here");
        return Err(error.help("write --set machine.l2.size_kib=512"));
    };
    let start = OPTION.len() + path.len() + 1;
    let value_span = start..place.text.len();
    let wrong =
        |problem: String, label: String| ConfigError::at(place.at(start.min(place.text.len())..place.text.len()), problem, label);
    if value.trim().is_empty() {
        return Err(wrong(format!("`{path}` gets no value"), "expected a value".into()));
    }
    let parsed = if path.trim() == "run.shadow" && shadow(value).is_some() {
        shadow(value).map(|value| Spanned { node: Node::Scalar(value), span: 0..0 }).ok_or(String::new())
    } else {
        text::parse(value).map_err(|error| format!("{}; expected {}", error.problem, error.expected))
    };
    let mut value = parsed.map_err(|problem| wrong(format!("the value of `{path}` can't be read"), problem))?;
    value.span = value_span;
    tree.put_path(&segments(path, &place, OPTION.len()), &value, &place)
}

/// The settings behind a tree.
fn settings_of(tree: &Tree) -> Result<Settings, ConfigError> {
    let settings: Settings = serde_path_to_error::deserialize(tree.value.clone()).map_err(|error| {
        let path = error.path().to_string();
        let problem = readable(&error.inner().to_string());
        match tree.origin(&path) {
            Some(Origin { place: Some(place), .. }) => {
                ConfigError::at(place.clone(), format!("`{}`: {problem}", path.trim_end_matches(".?")), "not valid here")
            }
            _ => plain(format!("{path}: {problem}")),
        }
    })?;
    match ignored(&tree.value, &to_json(&settings)?, &mut Vec::new()) {
        Some(path) => match tree.origin(&path) {
            Some(Origin { place: Some(place), .. }) => {
                Err(ConfigError::at(place.clone(), format!("there is no setting `{path}`"), "unknown name inside"))
            }
            _ => Err(plain(format!("there is no setting `{path}`"))),
        },
        None => Ok(settings),
    }
}

/// The first name that reading has passed over: the content of a choice can have names that nothing checks.
fn ignored(given: &Value, read: &Value, path: &mut Vec<String>) -> Option<String> {
    let (Value::Object(given), Value::Object(read)) = (given, read) else { return None };
    for (name, value) in given {
        path.push(name.clone());
        let inner = match read.get(name) {
            Some(read) => ignored(value, read, path),
            None => Some(path.join(".")),
        };
        if inner.is_some() {
            return inner;
        }
        path.pop();
    }
    None
}

/// serde's words for types, in words of people.
fn readable(message: &str) -> String {
    let types = [
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number from 0"),
        ("expected usize", "expected a whole number from 0"),
        ("expected f64", "expected a number"),
        ("unknown variant", "unknown name"),
    ];
    types.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Checks ranges; what is out of range is shown where it was written.
fn check(settings: &Settings, tree: &Tree) -> Result<(), ConfigError> {
    let Err(error) = settings.validate() else { return check_cores(settings, tree) };
    let path = match &error {
        SettingsError::Machine(MachineError::Field { field, .. }) => Some(format!("machine.{field}")),
        SettingsError::Kernel(KernelError::Field { field, .. }) => Some(format!("kernel.{field}")),
        SettingsError::Clients(error) => Some(format!("clients.{}", error.field)),
        SettingsError::Run { field: "batch", .. } => Some("mechanism.batched_script.limit".into()),
        SettingsError::Run { field, .. } => Some(format!("run.{field}")),
        _ => None,
    };
    Err(out_of_range(path.as_deref(), tree, error.to_string()))
}

/// More cores than the machine has, before anything runs.
fn check_cores(settings: &Settings, tree: &Tree) -> Result<(), ConfigError> {
    let (asked, most) = (settings.run.cores, settings.machine.cores_max);
    if asked <= most {
        return Ok(());
    }
    let problem = format!("run.cores: {asked} cores asked for, but machine `{}` has 1 to {most}", settings.machine.name);
    Err(out_of_range(Some("run.cores"), tree, problem).help("ask for fewer, or raise machine.cores_max (at most 64)"))
}

fn out_of_range(path: Option<&str>, tree: &Tree, problem: String) -> ConfigError {
    let place = path.and_then(|path| tree.origin(path)).and_then(|origin| origin.place.clone());
    let error = ConfigError { problem, place, label: "out of range".into(), help: None };
    match path {
        Some(path) if error.place.is_none() => {
            error.help(format!("the value of `{path}` is a default; change it with --set {path}=VALUE"))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mechanisms::experiment::ShadowSetting;
    use os_model::clients::{Arrival, ClientKind};
    use os_model::kernel::Mitigations;

    fn resolved(options: &ExperimentOptions) -> Result<Configuration, ConfigError> {
        resolve(&Inputs { experiment: options, ledger: None, folder: Path::new("no such folder") })
    }

    fn with_sets(sets: &[&str]) -> Result<Configuration, ConfigError> {
        resolved(&ExperimentOptions { set: sets.iter().map(|set| (*set).to_owned()).collect(), ..ExperimentOptions::default() })
    }

    #[test]
    fn nothing_given_is_the_preset() {
        let configuration = resolved(&ExperimentOptions::default()).unwrap();
        assert_eq!(configuration.settings, Settings::preset("nehalem", "linux-6.1").unwrap());
        assert_eq!(configuration.origin("machine.l2.size_kib"), "preset nehalem");
        assert_eq!(configuration.origin("run.cores"), "default");
    }

    #[test]
    fn options_become_settings() {
        let options = ExperimentOptions {
            machine: Some("zen4".into()),
            cores: Some(2),
            rate: Some(5000.0),
            client: Some(ClientChoice::Remote),
            shadow: Some("1/8".into()),
            batch: Some(4),
            ..ExperimentOptions::default()
        };
        let configuration = resolved(&options).unwrap();
        let settings = &configuration.settings;
        assert_eq!((settings.machine.name.as_str(), settings.run.cores), ("zen4", 2));
        assert_eq!(settings.clients.arrival, Arrival::Open { rate_rps: 5000.0 });
        assert_eq!(settings.clients.kind, ClientKind::Remote);
        assert_eq!(settings.run.shadow, ShadowSetting::Sampled(8));
        assert_eq!(settings.mechanism.batched_script.limit, 4);
        assert_eq!(configuration.origin("run.cores"), "--cores 2");
    }

    #[test]
    fn sets_win_over_options_and_the_last_one_over_all() {
        let options = ExperimentOptions {
            cores: Some(2),
            set: [
                "run.cores=3",
                "run.cores=4",
                "kernel.mitigations=default",
                "run.shadow=1/4",
                "machine.crossing.*=0",
                "machine.*.per_mode=true",
            ]
            .map(String::from)
            .to_vec(),
            ..ExperimentOptions::default()
        };
        let configuration = resolved(&options).unwrap();
        let settings = &configuration.settings;
        assert_eq!((settings.run.cores, settings.run.shadow), (4, ShadowSetting::Sampled(4)));
        assert_eq!(settings.kernel.mitigations, Mitigations::Default);
        assert_eq!((settings.machine.crossing.syscall_cycles, settings.machine.crossing.drain_cycles), (0, 0));
        assert_eq!(settings.machine, {
            let private = Settings::preset("nehalem", "linux-6.1").unwrap().machine.with_private_structures_per_mode();
            cpu_model::Machine { crossing: settings.machine.crossing, ..private }
        });
        assert_eq!(configuration.origin("run.cores"), "--set run.cores=4");
    }

    #[test]
    fn faults_name_the_place_and_the_way_out() {
        let cases: [(&str, &str, &str); 9] = [
            ("machine.l2.sizekib=1", "`machine.l2` has no `sizekib`", "sizekib"),
            ("machine.l2.size_kib=big", "`machine.l2.size_kib` must be a whole number, not the text \"big\"", "big"),
            (
                "machine.l2.size_kib=99999999999",
                "`machine.l2.size_kib`: invalid value: integer `99999999999`, expected a whole number from 0 to 4294967295",
                "99999999999",
            ),
            ("machine.l2.replacement=fifo", "`machine.l2.replacement`: unknown name `fifo`, expected", "fifo"),
            ("kernel.mitigations", "`--set` needs a path and a value", "kernel.mitigations"),
            ("run.reps=", "`run.reps` gets no value", ""),
            ("run.cores=0", "run.cores: must lie in 1..=64", "0"),
            ("run.cores=9", "run.cores: 9 cores asked for, but machine `nehalem` has 1 to 8", "9"),
            ("machine.l2.ways=7", "machine.l2.ways = 7", "7"),
        ];
        for (set, problem, shown) in cases {
            let error = with_sets(&[set]).expect_err(set);
            assert!(error.problem.starts_with(problem), "{set}: {}", error.problem);
            let place = error.place.clone().unwrap_or_else(|| panic!("{set} has a place"));
            assert_eq!(&place.text[place.span.clone()], shown, "{set}");
            assert!(!error.render(false).is_empty());
        }
    }

    #[test]
    fn unknown_names_inside_choices_are_noticed() {
        let error = with_sets(&["clients.arrival=open(rate_rps: 5, burst: 2)"]).unwrap_err();
        assert!(error.problem.contains("burst"), "{}", error.problem);
    }

    #[test]
    fn unknown_presets_bring_the_nearest() {
        let error = resolved(&ExperimentOptions { machine: Some("nehalm".into()), ..ExperimentOptions::default() }).unwrap_err();
        assert!(error.help.unwrap().contains("did you mean `nehalem`?"));
        let error = resolved(&ExperimentOptions { kernel: Some("linux".into()), ..ExperimentOptions::default() }).unwrap_err();
        assert!(error.help.unwrap().contains("linux-6.1"));
    }
}
