//! Fixed studies: what a call costs when so many of them can be issued together, by way of issuing them.

use crate::compare::{ExperimentError, Job, in_parallel};
use crate::experiment::Settings;
use crate::settings::{Depth, KernelCoreWait, MechanismSettings};
use crate::simulate::{Sample, simulate};
use crate::under_kernel::under_kernel;
use crate::variants::Way;
use serde::Serialize;
use sim_core::block::Cut;
use sim_core::calls::CallNumber;
use sim_core::estimate::Estimate;
use sim_core::workload::Workload;
use traces::call_loop::CallLoop;

/// One way of issuing the calls of the loop.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in results.
    pub name: &'static str,
    /// `mechanism:variant`.
    pub way: &'static str,
    /// Cores.
    pub cores: u32,
    /// The cut that the call must have for the column to differ from the one before.
    pub needs: Option<Cut>,
    /// What else is set.
    adjust: fn(&mut MechanismSettings),
}

/// Column of calls made where they stand.
pub const SYNCHRONOUS: &str = "sync";
/// Column of posted calls that the program's core executes in `flexsc_wait`.
pub const SAME_CORE: &str = "exception-less, same core";
/// Column of posted calls for which another core is interrupted.
pub const INTERRUPTED_CORE: &str = "exception-less, interrupted core";

/// All columns, in order. One whose variant does not exist is left out.
pub const COLUMNS: &[Column] = &[
    column(SYNCHRONOUS, "sync:recorded", 1),
    column(SAME_CORE, "exception-less:pages", 1),
    // posting is one short call after the other: without this the program's own core would take the small batches
    Column {
        adjust: |settings| settings.exception_less.own_core_calls = 0,
        ..column("exception-less, other core", "exception-less:pages", 2)
    },
    // no call is under way when a batch is posted: the kernel must interrupt the other core
    Column {
        adjust: |settings| {
            settings.exception_less.own_core_calls = 0;
            settings.exception_less.kernel_cores_wait = KernelCoreWait::Interrupt;
        },
        ..column(INTERRUPTED_CORE, "exception-less:pages", 2)
    },
    column("script multi-call", "batched-script:multi-call", 1),
    column("script", "batched-script:script", 1),
    column("io_uring enter", "exception-less:io-uring", 1),
    column("io_uring polled, other core", "exception-less:io-uring-poll-other-core", 2),
    elevated("elevated, entry", None, |settings| settings.elevated_shortcut.depth = Depth::Entry),
    elevated("elevated, file layer", Some(Cut::FileLayer), |settings| settings.elevated_shortcut.depth = Depth::File),
    elevated("elevated, protocol", Some(Cut::Protocol), |settings| settings.elevated_shortcut.depth = Depth::Protocol),
    column("elevated, INT3 probe", "elevated-shortcut:int3", 1),
];

impl Column {
    /// A column by name.
    pub fn from_name(name: &str) -> Option<&'static Column> {
        COLUMNS.iter().find(|column| column.name == name)
    }

    /// What its simulations of so many calls at a time run under; the way of issuing is still to be applied.
    pub fn settings(&self, call: CallNumber, calls: u64, settings: &Settings) -> Settings {
        let mut own = settings.clone();
        own.run.cores = self.cores;
        if own.run.requests == 0 {
            own.run.requests = (CALLS_MEASURED / calls.max(1)).max(1);
        }
        // such a loop has no event library: it looks at the status of its entries, and nothing is called back
        own.mechanism.exception_less.no_callback = vec![call.name().to_owned()];
        (self.adjust)(&mut own.mechanism);
        own
    }
}

const fn column(name: &'static str, way: &'static str, cores: u32) -> Column {
    Column { name, way, cores, needs: None, adjust: |_| {} }
}

const fn elevated(name: &'static str, needs: Option<Cut>, adjust: fn(&mut MechanismSettings)) -> Column {
    Column { name, way: "elevated-shortcut:call", cores: 1, needs, adjust }
}

/// Batch sizes that are looked at.
pub const BATCHES: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Repetitions when the settings leave it open: seeds differ in where frames lie and when the timer ticks, and a loop of one short call
/// feels little of either.
const REPS: u32 = 4;
/// Calls measured in each repetition when the settings leave it open.
const CALLS_MEASURED: u64 = 2048;

/// What a call costs in one column at one batch size.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Calls issued together.
    pub batch: u32,
    /// Elapsed cycles per call.
    pub cycles_per_call: Estimate,
    /// Elapsed time per call.
    pub ns_per_call: Estimate,
    /// Crossings per call.
    pub crossings_per_call: f64,
    /// Context switches per call.
    pub context_switches_per_call: f64,
    /// Cycles of all cores per call that were not idle.
    pub busy_cycles_per_call: f64,
}

/// One column of the study.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// Name of the column.
    pub name: String,
    /// `mechanism:variant`.
    pub way: String,
    /// Cores.
    pub cores: u32,
    /// By batch size.
    pub points: Vec<Point>,
}

/// The cost of a call by way of issuing and batch size.
#[derive(Clone, Debug, Serialize)]
pub struct CallCosts {
    /// The call.
    pub call: String,
    /// Name of the machine description.
    pub machine: String,
    /// Name of the kernel description.
    pub kernel: String,
    /// First seed.
    pub seed: u64,
    /// Seeds.
    pub reps: u32,
    /// One for each way.
    pub series: Vec<Series>,
    /// Columns that were left out, and why.
    pub notes: Vec<String>,
}

/// One simulation to do.
struct Simulation<'a> {
    column: &'static Column,
    way: Way,
    workload: &'a Workload,
    call: CallNumber,
    seed: u64,
}

/// Measures the cost of `call` for every column that applies and every batch size.
///
/// # Errors
/// A call that the recording does not repeat, settings out of range, a simulation that failed, or an interruption.
pub fn call_costs(call: CallLoop, recording: &Workload, settings: &Settings, job: &Job) -> Result<CallCosts, StudyError> {
    settings.validate().map_err(ExperimentError::from)?;
    let of_size = |&calls: &u32| {
        let recorded = CallLoop { calls, ..call }.of(recording)?;
        Ok(under_kernel(&recorded, &settings.kernel).into_owned())
    };
    let loops = BATCHES.iter().map(of_size).collect::<Result<Vec<Workload>, traces::TraceError>>()?;
    let mut notes = Vec::new();
    let columns: Vec<(&'static Column, Way)> =
        COLUMNS.iter().filter_map(|column| Some((column, applies(column, call, &loops[0], &mut notes)?))).collect();
    let reps = if settings.run.reps == 0 { REPS } else { settings.run.reps };
    let mut points = Vec::new();
    for (column, way) in &columns {
        for workload in &loops {
            let seeds = (0..reps).map(|rep| settings.run.seed + u64::from(rep));
            points.extend(seeds.map(|seed| Simulation { column, way: *way, workload, call: call.call, seed }));
        }
    }
    let samples = in_parallel(&points, job, |_, point| one(point, settings))?;
    let samples: Option<Vec<Sample>> = samples.into_iter().collect();
    let samples = samples.ok_or(ExperimentError::Cancelled)?;
    let mut groups = samples.chunks(reps as usize);
    let mut series = Vec::new();
    for (column, way) in columns {
        let points = BATCHES.iter().zip(groups.by_ref()).map(|(batch, samples)| point(*batch, samples, settings)).collect();
        series.push(Series { name: column.name.into(), way: way.name(), cores: column.cores, points });
    }
    Ok(CallCosts {
        call: call.call.name().into(),
        machine: settings.machine.name.clone(),
        kernel: settings.kernel.name.clone(),
        seed: settings.run.seed,
        reps,
        series,
        notes,
    })
}

/// A study that failed.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The loop could not be made.
    #[error(transparent)]
    Trace(#[from] traces::TraceError),
    /// The simulations.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
}

/// The way of a column, if it exists and says something new about the call.
fn applies(column: &Column, call: CallLoop, workload: &Workload, notes: &mut Vec<String>) -> Option<Way> {
    let way = Way::from_name(column.way).ok()?;
    let mut steps = workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps);
    match column.needs {
        Some(cut) if !steps.any(|step| workload.blocks.info(step.kernel).span(cut).is_some()) => {
            notes.push(format!("{}: left out, {} has no such function", column.name, call.call.name()));
            None
        }
        _ => Some(way),
    }
}

fn one(point: &Simulation, settings: &Settings) -> Result<Sample, ExperimentError> {
    let mut own = point.column.settings(point.call, calls_of(point.workload), settings);
    point.way.apply(&mut own.mechanism);
    let sample = simulate(point.workload, &own, point.way.mechanism, point.seed);
    sample.map_err(|source| ExperimentError::Simulation { mechanism: point.way.name(), seed: point.seed, source })
}

/// Calls of one run of a loop.
fn calls_of(workload: &Workload) -> u64 {
    let chains = workload.classes.iter().flat_map(|class| &class.chains);
    chains.map(|chain| chain.steps.len() as u64).sum::<u64>().max(1)
}

fn point(batch: u32, samples: &[Sample], settings: &Settings) -> Point {
    let calls = |sample: &Sample| (sample.replies * u64::from(batch)).max(1) as f64;
    let all: f64 = samples.iter().map(calls).sum();
    let sum = |of: fn(&Sample) -> u64| samples.iter().map(of).sum::<u64>() as f64 / all;
    let cycles: Vec<f64> = samples.iter().map(|sample| sample.window_cycles as f64 / calls(sample)).collect();
    let cycles = Estimate::of(&cycles);
    Point {
        batch,
        cycles_per_call: cycles,
        ns_per_call: cycles.scaled(1000.0 / f64::from(settings.machine.frequency_mhz)),
        crossings_per_call: sum(|sample| sample.crossings),
        context_switches_per_call: sum(|sample| sample.context_switches),
        busy_cycles_per_call: sum(|sample| sample.stack.total() - sample.stack.get(sim_core::stack::Component::Idle)),
    }
}

impl CallCosts {
    /// One row for each column and batch size, with the names of the JSON.
    pub fn rows(&self) -> Vec<Vec<(String, String)>> {
        let row = |series: &Series, point: &Point| {
            let estimate = |name: &str, value: &Estimate| {
                let parts = [("mean", value.mean), ("low", value.low), ("high", value.high)];
                parts.map(|(part, value)| (format!("{name}.{part}"), format!("{value:.3}")))
            };
            let mut row = vec![
                ("series".to_owned(), series.name.clone()),
                ("way".to_owned(), series.way.clone()),
                ("cores".to_owned(), series.cores.to_string()),
                ("batch".to_owned(), point.batch.to_string()),
            ];
            row.extend(estimate("cycles_per_call", &point.cycles_per_call));
            row.extend(estimate("ns_per_call", &point.ns_per_call));
            row.push(("crossings_per_call".to_owned(), format!("{:.4}", point.crossings_per_call)));
            row.push(("context_switches_per_call".to_owned(), format!("{:.4}", point.context_switches_per_call)));
            row.push(("busy_cycles_per_call".to_owned(), format!("{:.3}", point.busy_cycles_per_call)));
            row
        };
        self.series.iter().flat_map(|series| series.points.iter().map(move |point| row(series, point))).collect()
    }
}
