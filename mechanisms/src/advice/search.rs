//! What is simulated for advice: how a budget is spent, and which settings are tried.

use super::evidence::Setting;
use crate::experiment::Settings;
use crate::registry::Mechanism;
use crate::settings::{BatchedScriptVariant, ExceptionLessVariant, FEWEST_ENTRIES, KernelCoreWait};
use crate::variants::Way;
use sim_core::workload::{Program, Workload};

/// Simulations when no other number is asked for: about a minute on two host cores for the larger bundled workloads.
pub const BUDGET_DEFAULT: u64 = 120;

/// Seeds of the screening, of trials of settings, and of other places. Three is the least that has an interval worth the name.
const SEEDS: u32 = 3;
/// Ways that are looked at closely.
const FINALISTS: u64 = 3;
/// Seeds of the finals.
const FINAL_SEEDS: u64 = 8;
const FEWEST_FINAL_SEEDS: u64 = 4;
/// Exposures of instruction misses that each finalist and the baseline are also simulated with.
const EXPOSURES: u64 = 2;

/// A budget that does not last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--budget {asked}: too few simulations for these mechanisms; give at least {least}, or name fewer with --mechanism")]
pub struct BudgetError {
    /// Simulations that were allowed.
    pub asked: u64,
    /// Simulations that the least search takes.
    pub least: u64,
}

/// How a budget is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub screening_seeds: u32,
    pub finalists: u64,
    pub final_seeds: u32,
    pub elsewhere_seeds: u32,
    /// Settings that may be tried.
    pub trials: u64,
    /// Simulations in all, at most.
    pub total: u64,
}

impl Plan {
    /// For so many ways besides the baseline and so many other places. `reps` is the number of seeds that was asked for; 0: none was.
    pub fn new(budget: u64, reps: u32, others: u64, places: u64) -> Result<Plan, BudgetError> {
        let seeds = u64::from(SEEDS);
        let fixed = (others + 1) * seeds + places * 2 * seeds;
        let finals = |finalists: u64, final_seeds: u64| (finalists + 1) * (final_seeds + EXPOSURES);
        let final_seeds = match reps {
            0 => vec![FINAL_SEEDS, FEWEST_FINAL_SEEDS],
            asked => vec![u64::from(asked)],
        };
        let least = fixed + finals(1, final_seeds.iter().copied().min().unwrap_or(FEWEST_FINAL_SEEDS));
        let numbers = (1..=FINALISTS.min(others.max(1))).rev();
        let mut choices = numbers.flat_map(|finalists| final_seeds.iter().map(move |final_seeds| (finalists, *final_seeds)));
        let (finalists, final_seeds) = choices
            .find(|(finalists, final_seeds)| fixed + finals(*finalists, *final_seeds) <= budget)
            .ok_or(BudgetError { asked: budget, least })?;
        let spent = fixed + finals(finalists, final_seeds);
        let trials = ((budget - spent) / seeds).min(finalists * TRIALS_A_WAY);
        Ok(Plan {
            screening_seeds: SEEDS,
            finalists,
            final_seeds: final_seeds as u32,
            elsewhere_seeds: SEEDS,
            trials,
            total: spent + trials * seeds,
        })
    }
}

/// Settings of one way that are tried at most.
const TRIALS_A_WAY: u64 = 6;

/// A setting that may serve better than the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knob {
    /// Requests of a script's batch at most.
    BatchLimit(u32),
    /// Entries of the syscall pages.
    Entries(u32),
    /// Cores besides the program's own that execute calls.
    KernelCores(u32),
    /// Submitted calls for which no other core is worth waking.
    OwnCoreCalls(u32),
    /// How kernel cores without work wait.
    KernelCoresWait(KernelCoreWait),
    /// Receives of io_uring stay armed.
    MultishotReceive(bool),
}

impl Knob {
    /// Changes the settings.
    pub fn apply(self, settings: &mut Settings) {
        let mechanism = &mut settings.mechanism;
        match self {
            Knob::BatchLimit(limit) => mechanism.batched_script.limit = limit,
            Knob::Entries(entries) => mechanism.exception_less.entries = entries,
            Knob::KernelCores(cores) => mechanism.exception_less.kernel_cores = cores,
            Knob::OwnCoreCalls(calls) => mechanism.exception_less.own_core_calls = calls,
            Knob::KernelCoresWait(wait) => mechanism.exception_less.kernel_cores_wait = wait,
            Knob::MultishotReceive(on) => mechanism.io_uring.multishot_receive = on,
        }
    }

    /// As `--set` takes it.
    pub fn setting(self) -> Setting {
        let (path, value) = match self {
            Knob::BatchLimit(limit) => ("mechanism.batched_script.limit", limit.to_string()),
            Knob::Entries(entries) => ("mechanism.exception_less.entries", entries.to_string()),
            Knob::KernelCores(cores) => ("mechanism.exception_less.kernel_cores", cores.to_string()),
            Knob::OwnCoreCalls(calls) => ("mechanism.exception_less.own_core_calls", calls.to_string()),
            Knob::KernelCoresWait(wait) => {
                let name = serde_json::to_value(wait).ok().and_then(|value| value.as_str().map(str::to_owned));
                ("mechanism.exception_less.kernel_cores_wait", name.unwrap_or_default())
            }
            Knob::MultishotReceive(on) => ("mechanism.io_uring.multishot_receive", on.to_string()),
        };
        Setting { path: path.into(), value }
    }
}

/// What is tried on a way, in order.
pub(super) fn knobs(way: Way, workload: &Workload, settings: &Settings) -> Vec<Knob> {
    if workload.program == Program::Sequential {
        return Vec::new();
    }
    let mut own = settings.mechanism.clone();
    way.apply(&mut own);
    let connections = settings.run.connections;
    match (way.mechanism, own.exception_less.variant, own.batched_script.variant) {
        (Mechanism::ExceptionLess, ExceptionLessVariant::Pages | ExceptionLessVariant::Queues, _) => {
            let mut knobs = core_splits(settings.run.cores, connections);
            knobs.extend([connections / 2, connections * 2].map(|entries| Knob::Entries(entries.max(FEWEST_ENTRIES))));
            knobs
        }
        (Mechanism::ExceptionLess, ExceptionLessVariant::IoUring, _)
        | (Mechanism::BatchedScript, _, BatchedScriptVariant::IoUringEnter) => {
            vec![Knob::MultishotReceive(!own.io_uring.multishot_receive)]
        }
        (Mechanism::BatchedScript, _, BatchedScriptVariant::Script | BatchedScriptVariant::MessageBatch) => {
            let limits = [4, 64, 256].into_iter().filter(|limit| *limit <= connections && *limit != own.batched_script.limit);
            limits.map(Knob::BatchLimit).collect()
        }
        _ => Vec::new(),
    }
}

/// Other divisions of the cores between program and calls: fewer kernel cores, more calls on the program's own core, cores that do not
/// wait in a loop.
fn core_splits(cores: u32, connections: u32) -> Vec<Knob> {
    let fewer = [cores / 2, 1].into_iter().filter(|kernel_cores| (1..cores.saturating_sub(1)).contains(kernel_cores));
    let mut knobs: Vec<Knob> = fewer.map(Knob::KernelCores).collect();
    knobs.dedup();
    if cores > 1 {
        knobs.push(Knob::OwnCoreCalls((connections / 2).max(1)));
        knobs.push(Knob::KernelCoresWait(KernelCoreWait::Sleep));
    }
    knobs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_of_the_cores_leave_each_side_one() {
        assert!(core_splits(1, 64).is_empty());
        let kernel_cores = |cores: u32| {
            let splits = core_splits(cores, 64).into_iter();
            splits.filter_map(|knob| if let Knob::KernelCores(number) = knob { Some(number) } else { None }).collect::<Vec<_>>()
        };
        // on two cores there is one division; all other cores is the default
        assert_eq!((kernel_cores(2), kernel_cores(3), kernel_cores(4), kernel_cores(8)), (vec![], vec![1], vec![2, 1], vec![4, 1]));
    }

    #[test]
    fn a_budget_buys_seeds_and_finalists_before_trials() {
        let rich = Plan::new(BUDGET_DEFAULT, 0, 6, 3).unwrap();
        assert_eq!((rich.finalists, rich.final_seeds), (3, 8));
        assert!(rich.trials > 0 && rich.total <= BUDGET_DEFAULT);
        let poor = Plan::new(60, 0, 6, 3).unwrap();
        assert!(poor.finalists < 3 && poor.total <= 60);
        let error = Plan::new(20, 0, 6, 3).unwrap_err();
        assert_eq!(error.least, Plan::new(error.least, 0, 6, 3).unwrap().total);
        assert!(Plan::new(error.least - 1, 0, 6, 3).is_err());
        assert_eq!(Plan::new(BUDGET_DEFAULT, 2, 6, 3).unwrap().final_seeds, 2);
    }
}
