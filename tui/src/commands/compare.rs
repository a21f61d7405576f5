//! `ringscope compare`: all mechanisms on one workload.

use super::{add_timing, configuration, recorded, way, write_results};
use crate::args::{CompareArguments, canonical_command};
use crate::output::FileFormat;
use crate::results::Results;
use crate::terminal::Terminal;
use crate::{cancel, output, progress, render, workloads};
use anyhow::Result;
use mechanisms::compare::{self, Job};
use mechanisms::registry::ALL;
use mechanisms::variants::Way;
use std::time::Instant;

/// Runs the comparison and prints it.
pub fn compare(options: &CompareArguments, terminal: &Terminal) -> Result<()> {
    output::check_formats(&options.output.output, FileFormat::REPORTS)?;
    output::check_folders(options.folded.as_slice())?;
    let configuration = configuration(&options.experiment)?;
    let ways: Vec<Way> = if options.mechanism.is_empty() {
        ALL.iter().map(|entry| entry.mechanism.into()).collect()
    } else {
        options.mechanism.iter().map(|name| way(name)).collect::<Result<_>>()?
    };
    let workload = workloads::load(&options.workload)?;
    let names = options.mechanism.join(",");
    let mut words = vec!["compare", options.workload.as_str()];
    if !names.is_empty() {
        words.extend(["--mechanism", names.as_str()]);
    }
    let display = progress::display(terminal);
    let job = Job {
        threads: options.output.threads,
        progress: display.as_ref(),
        cancel: cancel::flag(),
        command: canonical_command(&words, &options.experiment, configuration.project_file.as_deref()),
    };
    let begun = Instant::now();
    let mut comparison = compare::compare(&workload, &configuration.settings, &ways, &job)?;
    if options.output.timing {
        add_timing(&mut comparison.results, begun.elapsed().as_secs_f64());
    }
    if let Some(file) = &options.folded {
        let stacks = recorded::folded(&workload, &configuration.settings, &comparison.results)?;
        output::write_file(file, stacks.as_bytes())?;
    }
    let results = Results::of_comparison(&comparison, &job.command);
    write_results(&options.output.output, &comparison.to_json_pretty(), &results)?;
    if options.output.json {
        output::print(&comparison.to_json_pretty())
    } else {
        output::print(&render::comparison(&comparison, &workload, terminal))
    }?;
    cancel::check()
}
