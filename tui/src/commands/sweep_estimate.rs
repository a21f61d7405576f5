//! `ringscope sweep --dry-run`: the points, and how long they will take, from a short probe.

use crate::render::Table;
use crate::sweep::plan::{Plan, Request, varied};
use crate::terminal::Terminal;
use crate::{numbers, output, render};
use anyhow::Result;
use mechanisms::simulate::{estimated_accesses, simulate};
use mechanisms::sweep::{Group, cost};
use mechanisms::under_kernel::under_kernel;
use mechanisms::variants::Way;
use sim_core::sweep::plain_text;
use std::collections::BTreeSet;
use std::time::Instant;

/// Points that are listed without --verbose.
const POINTS_SHOWN: usize = 100;
/// A second, larger probe is made when it is expected to take less than this.
const PROBE_SECONDS: f64 = 3.0;

/// Prints the points and the estimate.
pub fn print(
    plan: &Plan,
    request: &Request,
    groups: &[(usize, Option<Group>)],
    own: &BTreeSet<usize>,
    done: &BTreeSet<usize>,
    threads: usize,
    terminal: &Terminal,
) -> Result<()> {
    let mut text = table(plan, request, own, done, terminal);
    let left: Vec<&Group> =
        groups.iter().filter_map(|(_, group)| group.as_ref()).filter(|group| !group.points.is_empty()).collect();
    let points: usize = left.iter().map(|group| group.points.len()).sum();
    text.push_str(&format!("{} points, {} done already, {points} to run\n", own.len(), done.intersection(own).count()));
    if let Some(rate) = probe(&left) {
        let total: f64 = left.iter().map(|group| cost(group, request.precision) as f64 * group.ways().len() as f64).sum();
        let adaptive = left.iter().any(|group| group.settings.run.reps == 0);
        let more = if adaptive { "; seeds that an interval needs beyond the first four come on top" } else { "" };
        let line = format!(
            "estimate: {} on {threads} threads, from a probe of {} million accesses a second{more}",
            duration(total / rate / threads as f64),
            numbers::fixed(rate / 1e6, 1)
        );
        text.push_str(&render::wrapped(&line, terminal.width));
    }
    output::print(&text)
}

fn table(plan: &Plan, request: &Request, own: &BTreeSet<usize>, done: &BTreeSet<usize>, terminal: &Terminal) -> String {
    let varied = varied(&request.axes);
    let mut headers = vec!["point".to_owned()];
    headers.extend(varied.iter().cloned());
    headers.push(String::new());
    let numeric: Vec<bool> = (0..headers.len()).map(|column| column == 0).collect();
    let mut table = Table::new(headers, &numeric);
    let shown = if terminal.verbose { own.len() } else { POINTS_SHOWN };
    for index in own.iter().take(shown) {
        let point = &plan.points[*index];
        let mut cells = vec![index.to_string()];
        cells.extend(varied.iter().map(|path| point.values.get(path).map(plain_text).unwrap_or_default()));
        cells.push(match &plan.groups[point.group].settings {
            Err(problem) => format!("will fail: {problem}"),
            Ok(_) if done.contains(index) => "done".into(),
            Ok(_) => String::new(),
        });
        table.row(cells);
    }
    let mut text = table.render(terminal);
    if own.len() > shown {
        text.push_str(&format!("… and {} more; --verbose lists all\n", own.len() - shown));
    }
    text
}

/// Estimated accesses that the host simulates in a second on one thread: of the cheapest group, or of a middle one when that is quick
/// too, because short simulations spend more of their time on setting up.
fn probe(groups: &[&Group]) -> Option<f64> {
    let accesses = |group: &Group| estimated_accesses(group.workload, &group.settings).max(1);
    let mut order: Vec<&&Group> = groups.iter().collect();
    order.sort_by_key(|group| accesses(group));
    let (cheapest, middle) = (order.first()?, order.get(order.len() / 2)?);
    let rate = measured(cheapest)?;
    let quick = accesses(middle) as f64 / rate < PROBE_SECONDS;
    if quick { measured(middle).or(Some(rate)) } else { Some(rate) }
}

/// Simulates one seed of a group with the baseline. `None` when that fails: the sweep will say why.
fn measured(group: &Group) -> Option<f64> {
    let workload = under_kernel(group.workload, &group.settings.kernel);
    let begun = Instant::now();
    simulate(&workload, &group.settings, Way::BASELINE.mechanism, group.settings.run.seed).ok()?;
    Some(estimated_accesses(group.workload, &group.settings) as f64 / begun.elapsed().as_secs_f64().max(1e-6))
}

/// A time for people: `40 s`, `12 min`, `3 h 20 min`.
fn duration(seconds: f64) -> String {
    let whole = seconds.ceil() as u64;
    match whole {
        0..=119 => format!("{whole} s"),
        120..=7199 => format!("{} min", whole.div_ceil(60)),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        let shown = [0.2, 119.0, 125.0, 7260.0].map(duration);
        assert_eq!(shown, ["1 s", "119 s", "3 min", "2 h 1 min"]);
    }
}
