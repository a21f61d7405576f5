//! `ringscope run`: one mechanism in depth.

use super::{add_timing, configuration, way, write_files};
use crate::args::{RunArguments, canonical_command};
use crate::terminal::Terminal;
use crate::{cancel, output, progress, render, timeline, workloads};
use anyhow::Result;
use mechanisms::compare::{self, ExperimentError, Job};
use mechanisms::experiment::Settings;
use mechanisms::simulate::simulate_recorded;
use mechanisms::under_kernel::under_kernel;
use mechanisms::variants::Way;
use os_model::timeline::Span;
use sim_core::workload::Workload;
use std::path::PathBuf;
use std::time::Instant;

/// Runs one mechanism and prints its report.
pub fn run(options: &RunArguments, terminal: &Terminal) -> Result<()> {
    output::check_files(&options.output.output)?;
    let pictures: Vec<&PathBuf> = options.timeline.iter().chain(&options.folded).collect();
    output::check_folders(&pictures)?;
    let configuration = configuration(&options.experiment)?;
    let span = timeline::window(options.timeline_window.as_deref(), configuration.settings.machine.frequency_mhz)?;
    let way = way(&options.mechanism)?;
    let name = way.name();
    let workload = workloads::load(&options.workload)?;
    let display = progress::display(terminal);
    let words = ["run", options.workload.as_str(), "--mechanism", name.as_str()];
    let job = Job {
        threads: options.output.threads,
        progress: display.as_ref(),
        cancel: cancel::flag(),
        command: canonical_command(&words, &options.experiment, configuration.project_file.as_deref()),
    };
    let begun = Instant::now();
    let mut report = compare::run(&workload, &configuration.settings, way, &job)?;
    if options.output.timing {
        add_timing(std::slice::from_mut(&mut report), begun.elapsed().as_secs_f64());
    }
    if !pictures.is_empty() && report.applicable {
        record(options, &workload, &configuration.settings, way, span)?;
    }
    write_files(&options.output.output, &report.to_json_pretty(), &[report.flatten()])?;
    if options.output.json {
        output::print(&report.to_json_pretty())
    } else {
        output::print(&render::run(&report, &workload, terminal))
    }?;
    cancel::check()
}

/// Simulates the first seed once more, recording, and writes what was recorded.
fn record(options: &RunArguments, workload: &Workload, settings: &Settings, way: Way, span: Span) -> Result<()> {
    let mut settings = settings.clone();
    way.apply(&mut settings.mechanism);
    let seed = settings.run.seed;
    let workload = &*under_kernel(workload, &settings.kernel);
    let (_, recorded) = simulate_recorded(workload, &settings, way.mechanism, seed, span)
        .map_err(|source| ExperimentError::Simulation { mechanism: way.name(), seed, source })?;
    if let Some(file) = &options.timeline {
        let title = format!("{} with {}, seed {seed}", workload.name, way.name());
        output::write_file(file, timeline::events(&recorded, &title, settings.machine.frequency_mhz).as_bytes())?;
        if recorded.is_cut() {
            output::remark("the timeline has too many slices and ends early: record a shorter part with --timeline-window");
        }
    }
    if let Some(file) = &options.folded {
        output::write_file(file, timeline::folded(&recorded).as_bytes())?;
    }
    Ok(())
}
