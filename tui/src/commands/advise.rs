//! `ringscope advise`: what to move first, to what, and what it would bring and cost.

use super::{configuration, way};
use crate::args::{AdviseArguments, canonical_command};
use crate::terminal::Terminal;
use crate::{cancel, output, progress, render, workloads};
use anyhow::{Context, Result, bail};
use mechanisms::advice::{self, Advice, BUDGET_DEFAULT};
use mechanisms::compare::Job;
use mechanisms::variants::Way;
use std::path::PathBuf;
use std::time::Instant;

/// Gathers evidence, judges and prints the advice.
pub fn advise(options: &AdviseArguments, terminal: &Terminal) -> Result<()> {
    check_files(&options.output)?;
    let configuration = configuration(&options.experiment)?;
    let workload = workloads::load(&options.workload)?;
    let ways: Vec<Way> = match &options.mechanism[..] {
        [] => advice::candidates(&workload),
        names => names.iter().map(|name| way(name)).collect::<Result<_>>()?,
    };
    let names = options.mechanism.join(",");
    let budget = options.budget.map(|budget| budget.to_string());
    let mut words = vec!["advise", options.workload.as_str()];
    if !names.is_empty() {
        words.extend(["--mechanism", names.as_str()]);
    }
    words.extend(budget.iter().flat_map(|budget| ["--budget", budget.as_str()]));
    let display = progress::display(terminal);
    let job = Job {
        threads: options.threads,
        progress: display.as_ref(),
        cancel: cancel::flag(),
        command: canonical_command(&words, &options.experiment, configuration.project_file.as_deref()),
    };
    let begun = Instant::now();
    let budget = options.budget.unwrap_or(BUDGET_DEFAULT);
    let evidence = advice::gather(&workload, &configuration.settings, &ways, budget, &job)?;
    let advice =
        advice::decide(&evidence).context("synchronous calls cannot run this workload: there is nothing to compare with")?;
    if options.timing {
        output::remark(&format!("{} simulations in {:.1} s", advice.simulations, begun.elapsed().as_secs_f64()));
    }
    let json = json(&advice)?;
    options.output.iter().try_for_each(|file| output::write_file(file, json.as_bytes()))?;
    if options.json { output::print(&json) } else { output::print(&render::advice(&advice, &workload, terminal)) }?;
    cancel::check()
}

fn json(advice: &Advice) -> Result<String> {
    Ok(serde_json::to_string_pretty(advice)? + "\n")
}

/// Advice is a tree, not a row of a table.
fn check_files(files: &[PathBuf]) -> Result<()> {
    for file in files {
        if !file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json")) {
            bail!("{}: advice is written as .json only; `ringscope compare` writes tables", file.display());
        }
    }
    output::check_folders(files)
}
