//! Simulations that are recorded besides the report: timelines and folded stacks.

use crate::commands::way;
use crate::timeline;
use anyhow::Result;
use mechanisms::compare::ExperimentError;
use mechanisms::experiment::Settings;
use mechanisms::simulate::simulate_recorded;
use mechanisms::under_kernel::under_kernel;
use os_model::timeline::{Span, Timeline};
use sim_core::report::RunReport;
use sim_core::workload::Workload;

/// Simulates the first seed of a report once more and records it.
///
/// # Errors
/// The simulation failed.
pub fn first_seed(workload: &Workload, settings: &Settings, report: &RunReport, span: Span) -> Result<Timeline> {
    // the label names the variant that ran, which may be another than was asked for
    let way = way(&report.label())?;
    let mut settings = settings.clone();
    way.apply(&mut settings.mechanism);
    let seed = settings.run.seed;
    let (_, timeline) = simulate_recorded(&under_kernel(workload, &settings.kernel), &settings, way.mechanism, seed, span)
        .map_err(|source| ExperimentError::Simulation { mechanism: way.name(), seed, source })?;
    Ok(timeline)
}

/// Folded stacks of all reports that have run.
///
/// # Errors
/// A simulation failed.
pub fn folded(workload: &Workload, settings: &Settings, reports: &[RunReport]) -> Result<String> {
    let nothing = Span { start: 0, end: 0 };
    let applicable = reports.iter().filter(|report| report.applicable);
    let stacks = applicable.map(|report| {
        let timeline = first_seed(workload, settings, report, nothing)?;
        Ok(timeline::folded(&timeline, &report.workload, &report.label()))
    });
    Ok(stacks.collect::<Result<Vec<String>>>()?.concat())
}
