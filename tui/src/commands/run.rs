//! `ringscope run`: one mechanism in depth.

use super::{add_timing, configuration, recorded, way, write_results};
use crate::args::{RunArguments, canonical_command};
use crate::output::FileFormat;
use crate::results::Results;
use crate::terminal::Terminal;
use crate::{cancel, output, progress, render, timeline, workloads};
use anyhow::Result;
use mechanisms::compare::{self, Job};
use mechanisms::experiment::Settings;
use os_model::timeline::Span;
use sim_core::report::RunReport;
use sim_core::workload::Workload;
use std::path::PathBuf;
use std::time::Instant;

/// Runs one mechanism and prints its report.
pub fn run(options: &RunArguments, terminal: &Terminal) -> Result<()> {
    output::check_formats(&options.output.output, FileFormat::REPORTS)?;
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
    if report.applicable {
        record(options, &workload, &configuration.settings, &report, span)?;
    }
    let results = Results::of_run(&report, &job.command);
    write_results(&options.output.output, &report.to_json_pretty(), &results)?;
    if options.output.json {
        output::print(&report.to_json_pretty())
    } else {
        output::print(&render::run(&report, &workload, terminal))
    }?;
    cancel::check()
}

/// Writes what the first seed did, where that is asked for.
fn record(options: &RunArguments, workload: &Workload, settings: &Settings, report: &RunReport, span: Span) -> Result<()> {
    if let Some(file) = &options.timeline {
        let recorded = recorded::first_seed(workload, settings, report, span)?;
        let frequency_mhz = settings.machine.frequency_mhz;
        timeline::check(&recorded, &span, file, frequency_mhz)?;
        let title = format!("{} with {}, seed {}", report.workload, report.label(), report.seed);
        output::write_file(file, timeline::events(&recorded, &title, frequency_mhz).as_bytes())?;
    }
    if let Some(file) = &options.folded {
        output::write_file(file, recorded::folded(workload, settings, std::slice::from_ref(report))?.as_bytes())?;
    }
    Ok(())
}
