//! `ringscope study`: fixed studies of the model.

use super::{configuration, write_files};
use crate::args::{ExperimentOptions, NullCallArguments, StudyCommand, canonical_command};
use crate::plot::{self, Chart, Line};
use crate::render::Table;
use crate::terminal::Terminal;
use crate::{cancel, numbers, output, progress, render};
use anyhow::{Result, bail};
use mechanisms::compare::Job;
use mechanisms::study::{BATCHES, CallCosts, call_costs};
use serde_json::json;
use sim_core::report::SCHEMA;
use std::path::PathBuf;
use traces::call_loop::{self, CallLoop};

/// Runs a study.
pub fn study(command: &StudyCommand, terminal: &Terminal) -> Result<()> {
    match command {
        StudyCommand::NullCall(options) => null_call(options, terminal),
    }
}

/// What a call costs by way of issuing and batch size.
fn null_call(options: &NullCallArguments, terminal: &Terminal) -> Result<()> {
    let (charts, files): (Vec<PathBuf>, Vec<PathBuf>) =
        options.output.output.iter().cloned().partition(|file| file.extension().is_some_and(|ending| ending == "svg"));
    output::check_files(&files)?;
    output::check_folders(&charts)?;
    refuse_what_the_study_decides(&options.experiment)?;
    let configuration = configuration(&options.experiment)?;
    let call = match &options.call {
        Some(name) => CallLoop::of_call(name)?,
        None => CallLoop::null(1),
    };
    let recording = call_loop::recording()?;
    let display = progress::display(terminal);
    let mut words = vec!["study", "null-call"];
    words.extend(options.call.iter().flat_map(|call| ["--call", call.as_str()]));
    let command = canonical_command(&words, &options.experiment, configuration.project_file.as_deref());
    let job = Job { threads: options.output.threads, progress: display.as_ref(), cancel: cancel::flag(), command: command.clone() };
    let costs = call_costs(call, &recording, &configuration.settings, &job)?;
    let document = json!({"schema": SCHEMA, "study": "null-call", "command": command, "costs": costs});
    let document = serde_json::to_string_pretty(&document)? + "\n";
    write_files(&files, &document, &costs.rows())?;
    for file in &charts {
        output::write_file(file, chart(&costs)?.as_bytes())?;
    }
    if options.output.json { output::print(&document) } else { output::print(&text(&costs, &command, terminal)) }
}

/// The study itself says how many cores there are and what runs; a sequential loop has no clients.
fn refuse_what_the_study_decides(experiment: &ExperimentOptions) -> Result<()> {
    let given = [
        ("--cores", experiment.cores.is_some()),
        ("--connections", experiment.connections.is_some()),
        ("--rate", experiment.rate.is_some()),
        ("--client", experiment.client.is_some()),
        ("--batch", experiment.batch.is_some()),
        ("--shadow", experiment.shadow.is_some()),
    ];
    match given.iter().find(|option| option.1) {
        Some((option, _)) => {
            bail!("{option} has no place in this study: it goes through cores and batch sizes by itself, and has no clients")
        }
        None => Ok(()),
    }
}

fn text(costs: &CallCosts, command: &str, terminal: &Terminal) -> String {
    let title = format!("Cost of one {} by way of issuing and batch size: {}, {}", costs.call, costs.machine, costs.kernel);
    let mut text = format!("{}\n\n", terminal.bold(&title));
    text.push_str(&table("ns per call", costs, terminal, |point| numbers::fixed(point.ns_per_call.mean, 1)));
    text.push('\n');
    text.push_str(&table("cycles per call", costs, terminal, |point| numbers::fixed(point.cycles_per_call.mean, 0)));
    text.push('\n');
    text.push_str(&table("crossings per call", costs, terminal, |point| format!("{:.3}", point.crossings_per_call)));
    text.push('\n');
    for note in &costs.notes {
        text.push_str(&render::wrapped(note, terminal.width));
    }
    text.push_str(&format!("Mean over {} seeds from {}; elapsed time, user work of the loop included.\n", costs.reps, costs.seed));
    text.push_str(&format!("reproduce: {command}\n"));
    text
}

fn table(what: &str, costs: &CallCosts, terminal: &Terminal, cell: fn(&mechanisms::study::Point) -> String) -> String {
    let mut headers = vec![format!("{what}, batch of")];
    headers.extend(BATCHES.iter().map(u32::to_string));
    let numeric: Vec<bool> = (0..headers.len()).map(|column| column > 0).collect();
    let mut table = Table::new(headers, &numeric);
    for series in &costs.series {
        table.row(std::iter::once(series.name.clone()).chain(series.points.iter().map(cell)));
    }
    table.render(terminal)
}

fn chart(costs: &CallCosts) -> Result<String> {
    let line = |series: &mechanisms::study::Series| Line {
        name: series.name.clone(),
        points: series.points.iter().map(|point| (f64::from(point.batch), point.ns_per_call.mean)).collect(),
    };
    plot::svg(&Chart {
        title: &format!("Time per {} call ({}, {})", costs.call, costs.machine, costs.kernel),
        x_label: "calls issued together",
        y_label: "time per call, ns",
        series: costs.series.iter().map(line).collect(),
    })
}
