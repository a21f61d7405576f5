//! `ringscope run`: one mechanism in depth.

use super::{add_timing, configuration, way, write_files};
use crate::args::{RunArguments, canonical_command};
use crate::terminal::Terminal;
use crate::{cancel, output, progress, render, workloads};
use anyhow::Result;
use mechanisms::compare::{self, Job};
use std::time::Instant;

/// Runs one mechanism and prints its report.
pub fn run(options: &RunArguments, terminal: &Terminal) -> Result<()> {
    output::check_files(&options.output.output)?;
    let configuration = configuration(&options.experiment)?;
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
    write_files(&options.output.output, &report.to_json_pretty(), &[report.flatten()])?;
    if options.output.json {
        output::print(&report.to_json_pretty())
    } else {
        output::print(&render::run(&report, &workload, terminal))
    }
}
