//! One file per command.

mod advise;
mod calibrate;
mod compare;
mod config;
mod diff;
mod dsl;
mod explain;
mod host_settings;
mod import;
mod list;
mod merge;
mod recorded;
mod replay;
mod report;
mod run;
mod script;
mod study;
mod sweep;
mod sweep_estimate;
mod trace;
mod tui;
mod validate;
mod validate_host;

use crate::args::{self, Arguments, Command, ExperimentOptions};
use crate::config::{Configuration, Inputs, resolve};
use crate::output::{self, FileFormat};
use crate::results::columns::{self, Row};
use crate::results::{Results, View, ViewOptions};
use crate::terminal::Terminal;
use crate::{parquet, render};
use anyhow::{Result, bail};
use mechanisms::variants::{self, Way};
use sim_core::report::{HostTiming, RunReport};
use std::path::{Path, PathBuf};
pub use validate::Report;
pub use validate_host::HostReport;

/// Runs the command.
///
/// # Errors
/// Whatever the command could not do.
pub fn dispatch(arguments: &Arguments, terminal: &Terminal) -> Result<()> {
    match &arguments.command {
        Command::Compare(options) => compare::compare(options, terminal),
        Command::Advise(options) => advise::advise(options, terminal),
        Command::Run(options) => run::run(options, terminal),
        Command::Sweep(options) => sweep::sweep(options, terminal),
        Command::Merge(options) => merge::merge(options),
        Command::Tui(options) => tui::tui(options, terminal),
        Command::Study { command } => study::study(command, terminal),
        Command::Calibrate(options) => calibrate::calibrate(options, terminal),
        Command::Validate { command } => validate::validate(command, terminal),
        Command::Replay(options) => replay::replay(options, terminal),
        Command::Report(options) => report::report(options, terminal),
        Command::Diff(options) => diff::diff(options, terminal),
        Command::Import(options) => import::import(options, terminal),
        Command::Trace { command } => trace::trace(command),
        Command::Dsl { command } => dsl::dsl(command),
        Command::Script { command } => script::script(command, terminal),
        Command::List(options) => list::list(options, terminal),
        Command::Explain(options) => explain::explain(options, terminal),
        Command::Config { command } => config::config(command, terminal),
        Command::Completions { shell } => completions(*shell),
        Command::Man => man(),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::definition(), "ringscope", &mut text);
    output::print(&String::from_utf8_lossy(&text))
}

/// The manual: the program's page, then one page per command.
fn man() -> Result<()> {
    let mut text = Vec::new();
    let mut definition = args::definition();
    definition.build();
    pages(&definition, &mut text)?;
    output::print(&String::from_utf8_lossy(&text))
}

fn pages(command: &clap::Command, text: &mut Vec<u8>) -> Result<()> {
    clap_mangen::Man::new(command.clone()).render(text)?;
    command.get_subcommands().try_for_each(|inner| pages(inner, text))
}

/// The settings of an experiment.
fn configuration(experiment: &ExperimentOptions) -> Result<Configuration> {
    Ok(resolve(&Inputs { experiment, ledger: None, folder: Path::new(".") })?)
}

/// A mechanism, or `mechanism:variant`.
///
/// # Errors
/// An unknown name, with the nearest one.
pub fn way(name: &str) -> Result<Way> {
    let error = match Way::from_name(name) {
        Ok(way) => return Ok(way),
        Err(error) => error,
    };
    let known = variants::names();
    let near = sim_core::nearest::nearest(name, known.iter().map(String::as_str))
        .map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    match error {
        variants::UnknownWay::Mechanism(unknown) => {
            bail!("no mechanism is called `{}`{near}\n  known mechanisms: {}", unknown.name, unknown.known)
        }
        variants::UnknownWay::Variant { mechanism, name, known } => {
            bail!("{mechanism} has no variant called `{name}`{near}\n  its variants: {known}")
        }
    }
}

/// Host time of an experiment, where --timing asks for it: into the reports and on standard error. The measured windows' instructions are
/// what is known of the work; warm-up and exposure runs come on top, so the speed shown is a lower bound.
fn add_timing(reports: &mut [RunReport], host_seconds: f64) {
    let instructions: u64 = reports.iter().map(|report| report.modes.user.instructions + report.modes.kernel.instructions).sum();
    for report in reports.iter_mut() {
        report.timing = Some(HostTiming { host_seconds, accesses_per_second_millions: f64::NAN });
    }
    let millions = instructions as f64 / 1e6;
    output::remark(&format!(
        "simulated {millions:.1} million measured instructions in {host_seconds:.2} s: at least {:.1} million a second",
        millions / host_seconds.max(1e-9)
    ));
}

/// A result in all the forms in which it can be written.
struct Written<'a> {
    json: &'a str,
    rows: &'a [Row],
    /// The page, made only when it is asked for; nothing where there is none.
    page: Option<&'a dyn Fn() -> Result<String>>,
}

/// Writes a result in the forms that were asked for.
fn write_forms(files: &[PathBuf], written: &Written) -> Result<()> {
    for file in files {
        match (output::format_of(file)?, written.page) {
            (FileFormat::Json, _) => output::write_file(file, written.json.as_bytes())?,
            (FileFormat::Csv, _) => output::write_file(file, output::csv(&columns::texts(written.rows)).as_bytes())?,
            (FileFormat::Parquet, _) => output::write_file(file, &parquet::bytes(written.rows)?)?,
            (FileFormat::Html, Some(page)) => output::write_file(file, page()?.as_bytes())?,
            (FileFormat::Html, None) => bail!("{}: this result has no page; use .json or .csv", file.display()),
        }
    }
    Ok(())
}

/// Writes a table to all files that were asked for.
fn write_files(files: &[PathBuf], json: &str, rows: &[Vec<(String, String)>]) -> Result<()> {
    let row = |row: &Vec<(String, String)>| row.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect();
    write_forms(files, &Written { json, rows: &rows.iter().map(row).collect::<Vec<Row>>(), page: None })
}

/// Writes what a run or a comparison has just found; `json` is its own document.
fn write_results(files: &[PathBuf], json: &str, results: &Results) -> Result<()> {
    let page = || {
        let view = View::new(results, &ViewOptions::default())?;
        Ok(render::results::drawn(results, &view, render::results::Cell::default())?.0)
    };
    write_forms(files, &Written { json, rows: &columns::rows(results), page: Some(&page) })
}
