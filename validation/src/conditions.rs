//! The conditions of an experiment: which workload, on what, with which clients.

use mechanisms::experiment::{Settings, SettingsError};
use mechanisms::registry::Mechanism;
use mechanisms::simulate::SimulationError;
use mechanisms::under_kernel::under_kernel;
use os_model::kernel::Kernel;
use serde::Serialize;
use sim_core::ids::Mode;
use sim_core::workload::Workload;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use traces::scale::{UNCHANGED, scaled_mode};
use traces::{TraceError, named};

/// A workload by name, with what is changed in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Recipe {
    /// Its name (`ringscope list workloads`).
    pub name: String,
    /// The program's own work, in thousandths of what the workload has.
    pub user_permille: u32,
    /// The kernel's work.
    pub kernel_permille: u32,
    /// The kernel's work for calls that are posted, on top of that: nobody published how much of it a posted call needs.
    pub posted_kernel_permille: u32,
    /// Base CPI of the program's own code, where the workload has one of its own.
    pub base_cpi_permille: u32,
    /// Readiness as recorded: as many requests in flight, and as many events from a readiness call at most.
    pub recorded_readiness: bool,
    /// Base CPI of the program's own code instead of the workload's, in thousandths.
    pub user_base_cpi_milli: Option<u32>,
}

impl Recipe {
    /// The workload as it is.
    pub fn new(name: &str) -> Recipe {
        Recipe {
            name: name.into(),
            user_permille: UNCHANGED,
            kernel_permille: UNCHANGED,
            posted_kernel_permille: UNCHANGED,
            base_cpi_permille: UNCHANGED,
            recorded_readiness: false,
            user_base_cpi_milli: None,
        }
    }

    /// The recipe for calls issued by `mechanism`.
    #[must_use]
    pub fn issued_by(&self, mechanism: Mechanism) -> Recipe {
        let own = if mechanism == Mechanism::ExceptionLess { self.posted_kernel_permille } else { UNCHANGED };
        let kernel_permille = (u64::from(self.kernel_permille) * u64::from(own) / 1000) as u32;
        Recipe { kernel_permille, posted_kernel_permille: UNCHANGED, ..self.clone() }
    }

    /// The workload as it runs under `kernel`.
    fn make(&self, kernel: &Kernel) -> Result<Workload, TraceError> {
        let names = || named::entries().into_iter().map(|entry| entry.name);
        let mut workload =
            named::load(&self.name).unwrap_or_else(|| Err(TraceError::unknown_name("workload", &self.name, names())))?;
        if self.user_permille != UNCHANGED {
            workload = scaled_mode(&workload, Mode::User, self.user_permille);
        }
        let mut kernel = kernel.clone();
        self.change_kernel_work(&mut kernel, &mut workload);
        let mut workload = under_kernel(&workload, &kernel).into_owned();
        if let Some(wait) = workload.wait.as_mut().filter(|_| self.recorded_readiness) {
            let events: u64 = wait.user_events.iter().map(|events| u64::from(*events)).sum();
            let calls = wait.user_events.len().max(1) as u64;
            wait.max_events = ((events + calls / 2) / calls).max(1) as u32;
        }
        Ok(workload)
    }

    /// Base CPI of the program's own code, where the workload's own is `own`.
    fn base_cpi(&self, own: Option<u32>) -> Option<u32> {
        let changed = |milli: u32| (u64::from(milli) * u64::from(self.base_cpi_permille) / 1000) as u32;
        self.user_base_cpi_milli.or(own).map(changed)
    }

    /// The recipe without what is changed after a workload has been made.
    fn work_only(&self) -> Recipe {
        Recipe { base_cpi_permille: UNCHANGED, user_base_cpi_milli: None, ..self.clone() }
    }

    /// Changes what is known of the kernel's work before blocks are scaled to it: scaling what has been scaled would keep the same
    /// groups of lines again.
    fn change_kernel_work(&self, kernel: &mut Kernel, workload: &mut Workload) {
        let change = |amount: &mut u32| *amount = (u64::from(*amount) * u64::from(self.kernel_permille) / 1000) as u32;
        change(&mut kernel.work.permille);
        kernel.work.calls.iter_mut().for_each(|call| change(&mut call.instructions));
        workload.stated_kernel_work.iter_mut().for_each(|work| change(&mut work.permille));
    }
}

/// What decides the result of an experiment besides its kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Conditions {
    /// The workload.
    pub workload: Recipe,
    /// Machine, kernel, clients, mechanism, run.
    pub settings: Settings,
    /// Seeds, when the lab's own number does not do.
    pub reps: Option<u32>,
}

impl Conditions {
    /// A workload under settings.
    pub fn new(workload: &str, settings: Settings) -> Conditions {
        Conditions { workload: Recipe::new(workload), settings, reps: None }
    }
}

/// An experiment that could not be run.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// The workload.
    #[error("workload {name}: {cause}")]
    Workload {
        /// Its name.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The simulation.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
}

/// A workload that is made when it is first wanted, or why it could not be.
type Slot = Arc<OnceLock<Result<Arc<Workload>, Failure>>>;

/// Workloads, each made once.
#[derive(Default)]
pub struct Supplies {
    workloads: Mutex<BTreeMap<(Recipe, String), Slot>>,
}

impl Supplies {
    /// The workload of a recipe as it runs under a kernel.
    ///
    /// # Errors
    /// A name that does not exist, or a recording that cannot be read.
    pub fn workload(&self, recipe: &Recipe, kernel: &Kernel) -> Result<Arc<Workload>, Failure> {
        let failure = |cause: String| Failure::Workload { name: recipe.name.clone(), cause };
        // what a workload becomes under a kernel depends on its name and on its amount of work alone
        let work = serde_json::to_string(&(&kernel.name, &kernel.work)).map_err(|error| failure(error.to_string()))?;
        let slot = {
            let mut workloads = self.workloads.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(workloads.entry((recipe.work_only(), work)).or_default())
        };
        let made = slot.get_or_init(|| recipe.make(kernel).map(Arc::new).map_err(|error| failure(error.to_string()))).clone()?;
        let user_base_cpi_milli = recipe.base_cpi(made.user_base_cpi_milli);
        if user_base_cpi_milli == made.user_base_cpi_milli {
            return Ok(made);
        }
        Ok(Arc::new(Workload { user_base_cpi_milli, ..(*made).clone() }))
    }
}
