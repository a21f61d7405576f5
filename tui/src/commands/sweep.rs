//! `ringscope sweep`: a grid of points, each kept as soon as it is finished.

use super::sweep_estimate;
use crate::args::{ExperimentOptions, SweepArguments, canonical_command};
use crate::exit::PointsFailed;
use crate::sweep::lines::Entry;
use crate::sweep::plan::{Plan, PlannedPoint, Request, listed, plan, share};
use crate::sweep::shard::Shard;
use crate::sweep::sink::{Outcome, Sink};
use crate::sweep::store::{Existing, Store};
use crate::sweep::{axis::Axis, file};
use crate::terminal::Terminal;
use crate::{cancel, output, progress, render};
use anyhow::{Context, Result, bail};
use mechanisms::sweep::{self, Group, Point, Precision, Sweep};
use sim_core::manifest::content_hash;
use sim_core::report::SCHEMA;
use sim_core::sweep::{Header, KIND, PointOutcome, Record};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Seeds at most with --precision.
const SEEDS_MAX: u32 = 30;
/// Also settings of every point: the ends of what is known of the exposure of instruction misses are a comparison's to run.
const ALWAYS_SET: &str = "run.exposure_range=false";
/// Failed points that are listed; the file has them all.
const FAILURES_SHOWN: usize = 10;

/// Runs the sweep, or what is left of it.
pub fn sweep(options: &SweepArguments, terminal: &Terminal) -> Result<()> {
    let carrying_out = &options.carrying_out;
    if let Some(file) = &carrying_out.output {
        check_file(file)?;
    }
    let shard = carrying_out.shard.as_deref().map(Shard::read).transpose()?;
    let request = request(options)?;
    let plan = plan(&request)?;
    let own = own_points(&plan, &request, shard);
    let header = header(&plan, &request, options, shard)?;
    let threads = threads(carrying_out.threads);
    if carrying_out.dry_run {
        let done = match &carrying_out.output {
            Some(file) if carrying_out.resume && file.exists() => {
                done(&plan, &Store::open(file, &header, existing(options))?.1, options)?
            }
            _ => BTreeSet::new(),
        };
        let groups = groups(&plan, &own, &done);
        return sweep_estimate::print(&plan, &request, &groups, &own, &done, threads, terminal);
    }
    let (sink, done) = match &carrying_out.output {
        None => (Sink::memory(&header), BTreeSet::new()),
        Some(file) => {
            let (store, entries) = Store::open(file, &header, existing(options))?;
            (Sink::file(store), done(&plan, &entries, options)?)
        }
    };
    run(&plan, &request, &own, &done, &sink, threads, terminal)?;
    let points = own.len();
    let outcome = sink.finish(points)?;
    if carrying_out.json {
        outcome.print_lines(carrying_out.output.as_deref())?;
    } else {
        output::print(&render::sweep(&outcome.entries, &header, terminal))?;
    }
    conclude(&outcome, points, &header, options)
}

fn existing(options: &SweepArguments) -> Existing {
    match options.carrying_out.resume {
        true => Existing::Resume { force: options.carrying_out.force },
        false => Existing::Refuse,
    }
}

/// A sweep writes what it can go on with; other formats are made from it.
pub(super) fn check_file(file: &Path) -> Result<()> {
    let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if !ending.eq_ignore_ascii_case("jsonl") {
        bail!(
            "{}: the result of a sweep is a .jsonl file, which it can go on with\n  other formats are made from it: ringscope report FILE.jsonl -o FILE.csv",
            file.display()
        );
    }
    output::check_folders(&[file])
}

/// Host threads to use.
fn threads(asked: usize) -> usize {
    if asked > 0 { asked } else { std::thread::available_parallelism().map_or(1, usize::from) }
}

/// Options and the sweep file together: options win.
fn request(options: &SweepArguments) -> Result<Request> {
    let points = &options.points;
    let file = points.sweep.as_deref().map(file::read).transpose()?.unwrap_or_default();
    let mut axes = file.axes;
    for (option, assignments) in [("--vary", &points.vary), ("--zip", &points.zip)] {
        for assignment in assignments {
            axes.push(Axis::from_option(option, assignment)?);
        }
    }
    let precision = points.precision.clone().or(file.precision);
    if precision.is_some() && options.experiment.reps.is_some_and(|reps| reps > 0) {
        bail!("--reps fixes the number of seeds, which the precision of the sweep file is to choose: leave one of them out");
    }
    let mut experiment = options.experiment.clone();
    experiment.set.splice(0..0, file.set);
    experiment.set.push(ALWAYS_SET.into());
    Ok(Request {
        workload: options.workload.clone().or(file.workload),
        mechanism: points.mechanism.clone().or(file.mechanism),
        experiment,
        axes,
        precision_given: precision.is_some(),
        precision: match precision {
            None => Precision::default(),
            Some(text) => {
                Precision { half_width_relative: share(&text)?, seeds_max: points.reps_max.or(file.reps_max).unwrap_or(SEEDS_MAX) }
            }
        },
    })
}

/// Indices of the points that are this program's to run.
fn own_points(plan: &Plan, request: &Request, shard: Option<Shard>) -> BTreeSet<usize> {
    let Some(shard) = shard else { return (0..plan.points.len()).collect() };
    let costs: Vec<u64> = groups(plan, &(0..plan.points.len()).collect(), &BTreeSet::new())
        .iter()
        .map(|(_, group)| group.as_ref().map_or(1, |group| sweep::cost(group, request.precision) * group.points.len() as u64))
        .collect();
    let own = shard.own(&costs);
    plan.groups.iter().zip(own).filter(|(_, own)| *own).flat_map(|(group, _)| group.points.iter().copied()).collect()
}

fn header(plan: &Plan, request: &Request, options: &SweepArguments, shard: Option<Shard>) -> Result<Header> {
    // on Linux the running program can be read even when its file was replaced since
    let running = Path::new("/proc/self/exe");
    let program = if running.exists() { running.to_owned() } else { std::env::current_exe()? };
    let program = std::fs::read(&program).with_context(|| format!("{}: the program itself can't be read", program.display()))?;
    Ok(Header {
        schema: SCHEMA,
        kind: KIND.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        program_hash: content_hash(&program),
        workload: plan.workload_names(),
        workload_hash: plan.workload_hash(),
        command: command(plan, request, options),
        axes: listed(&request.axes),
        points: plan.points.len() as u64,
        shard: shard.map(|shard| shard.to_string()),
    })
}

/// The canonical command: the sweep file's axes and settings written out.
fn command(plan: &Plan, request: &Request, options: &SweepArguments) -> String {
    let mut words = vec!["sweep".to_owned()];
    words.extend(request.workload.clone());
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(mechanism) = &request.mechanism {
        option("--mechanism", mechanism.clone());
    }
    for axis in &request.axes {
        option(if axis.zipped { "--zip" } else { "--vary" }, format!("{}={}", axis.path, axis.source));
    }
    if request.precision_given {
        option("--precision", format!("{}%", sim_core::digits::rounded(request.precision.half_width_relative * 100.0)));
        option("--reps-max", request.precision.seeds_max.to_string());
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut experiment = request.experiment.clone();
    let mut given = options.experiment.set.iter().any(|assignment| assignment == ALWAYS_SET);
    experiment.set.retain(|assignment| assignment != ALWAYS_SET || std::mem::take(&mut given));
    canonical_command(&words, &experiment, plan.project_file.as_deref())
}

/// Indices of points that need not be run again.
fn done(plan: &Plan, entries: &[Entry], options: &SweepArguments) -> Result<BTreeSet<usize>> {
    let mut done = BTreeSet::new();
    for entry in crate::sweep::lines::latest(entries).into_iter().filter(|entry| entry.brief.is_done()) {
        let index = entry.brief.index as usize;
        match plan.points.get(index) {
            Some(point) if point.hash == entry.brief.point => drop(done.insert(index)),
            // it is run again, and its new record replaces the old one
            Some(_) if options.carrying_out.force => {}
            _ => bail!(
                "point {index} ({}) was run under other settings: a configuration file, script or service has changed\n  \
                 name another file with -o, or add --force to run such points again",
                entry.brief.axes
            ),
        }
    }
    Ok(done)
}

/// What is left to run of each group of the plan; nothing of a group without settings.
fn groups<'p>(plan: &'p Plan, own: &BTreeSet<usize>, done: &BTreeSet<usize>) -> Vec<(usize, Option<Group<'p>>)> {
    let group = |(position, planned): (usize, &'p crate::sweep::plan::PlannedGroup)| {
        let left: Vec<usize> =
            planned.points.iter().copied().filter(|point| own.contains(point) && !done.contains(point)).collect();
        let Ok(settings) = &planned.settings else { return (position, None) };
        let points: Vec<Point> = left.iter().map(|index| Point { index: *index as u64, way: plan.points[*index].way }).collect();
        let workload = &plan.workloads[planned.workload].1;
        (position, Some(Group { workload, settings: settings.clone(), points, beside_baseline: planned.beside_baseline }))
    };
    plan.groups.iter().enumerate().map(group).collect()
}

/// Runs what is left and keeps each point as soon as it is finished.
fn run(
    plan: &Plan,
    request: &Request,
    own: &BTreeSet<usize>,
    done: &BTreeSet<usize>,
    sink: &Sink,
    threads: usize,
    terminal: &Terminal,
) -> Result<()> {
    let cancel = cancel::flag();
    let record = |index: usize, outcome: PointOutcome| {
        let point: &PlannedPoint = &plan.points[index];
        let record = Record { point: point.hash.clone(), index: index as u64, axes: point.values.clone(), outcome };
        if !sink.keep(&record) {
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let groups = groups(plan, own, done);
    for (position, _) in groups.iter().filter(|(_, group)| group.is_none()) {
        let planned = &plan.groups[*position];
        let Err(problem) = &planned.settings else { continue };
        for index in planned.points.iter().filter(|index| own.contains(index)) {
            record(*index, PointOutcome::Failed { error: problem.clone() });
        }
    }
    let groups: Vec<Group> = groups.into_iter().filter_map(|(_, group)| group).filter(|group| !group.points.is_empty()).collect();
    let display = progress::display(terminal);
    let command = |index: u64, reps: u32| point_command(plan, index as usize, reps);
    let sweep = Sweep { threads, progress: display.as_ref(), cancel, precision: request.precision, command: &command };
    sweep::run(&groups, &sweep, |index, result| {
        let outcome = match result {
            Ok(report) => PointOutcome::Done { report: Box::new(report) },
            Err(error) => PointOutcome::Failed { error: error.to_string() },
        };
        record(index as usize, outcome);
    });
    Ok(())
}

/// The command that makes the report of one point again.
fn point_command(plan: &Plan, index: usize, reps: u32) -> String {
    let point = &plan.points[index];
    let group = &plan.groups[point.group];
    let (workload, way) = (plan.workloads[group.workload].0.as_str(), point.way.name());
    let word = if group.beside_baseline { "compare" } else { "run" };
    let experiment = ExperimentOptions { reps: Some(reps), ..group.experiment.clone() };
    canonical_command(&[word, workload, "--mechanism", way.as_str()], &experiment, plan.project_file.as_deref())
}

/// Says what is missing: points that failed, and points that were not reached.
fn conclude(outcome: &Outcome, points: usize, header: &Header, options: &SweepArguments) -> Result<()> {
    let failures: Vec<&Entry> = outcome.entries.iter().filter(|entry| !entry.brief.is_done()).collect();
    for entry in failures.iter().take(FAILURES_SHOWN) {
        let cause = entry.brief.failure().unwrap_or_default();
        output::remark(&format!("failed: point {} ({}): {cause}", entry.brief.index, entry.brief.axes));
    }
    if failures.len() > FAILURES_SHOWN {
        output::remark(&format!("and {} more, with `\"status\":\"failed\"` in the results", failures.len() - FAILURES_SHOWN));
    }
    if outcome.entries.len() < points {
        output::remark(&how_to_go_on(outcome.entries.len(), points, header, options));
        return cancel::check();
    }
    match failures.len() {
        0 => Ok(()),
        count => Err(PointsFailed { count, points }.into()),
    }
}

fn how_to_go_on(done: usize, points: usize, header: &Header, options: &SweepArguments) -> String {
    let Some(file) = &options.carrying_out.output else {
        return format!("{done} of {points} points were finished; with -o FILE.jsonl they are kept and can be gone on with");
    };
    let shard = header.shard.as_ref().map_or(String::new(), |shard| format!(" --shard {shard}"));
    let (command, file) = (&header.command, crate::args::quoted(&file.display().to_string()));
    format!("{done} of {points} points are in {file}; go on with:\n  {command}{shard} -o {file} --resume")
}
