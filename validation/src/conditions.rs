//! The conditions of an experiment: which workload, on what, with which clients.

use mechanisms::experiment::{Settings, SettingsError};
use mechanisms::simulate::SimulationError;
use serde::Serialize;
use sim_core::workload::Workload;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use traces::scale::{Factors, scaled};
use traces::{TraceError, bundled};

/// A workload by name, with what is changed in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Recipe {
    /// Its name (`ringscope list workloads`).
    pub name: String,
    /// The program's own work, in thousandths of what the workload has.
    pub user_permille: u32,
    /// The kernel's work.
    pub kernel_permille: u32,
    /// Base CPI of the program's own code, where the workload has one of its own.
    pub base_cpi_permille: u32,
}

impl Recipe {
    /// The workload as it is.
    pub fn new(name: &str) -> Recipe {
        Recipe { name: name.into(), user_permille: 1000, kernel_permille: 1000, base_cpi_permille: 1000 }
    }

    fn make(&self) -> Result<Workload, TraceError> {
        let mut workload = bundled::load(recorded(&self.name))?;
        if (self.user_permille, self.kernel_permille) != (1000, 1000) {
            workload = scaled(&workload, Factors { user_permille: self.user_permille, kernel_permille: self.kernel_permille });
        }
        let base_cpi = |milli: u32| (u64::from(milli) * u64::from(self.base_cpi_permille) / 1000) as u32;
        workload.user_base_cpi_milli = workload.user_base_cpi_milli.map(base_cpi);
        Ok(workload)
    }
}

/// Published workloads that are taken from a recording of the same program as it is.
const STAND_INS: &[(&str, &str)] = &[
    ("memcached-memslap", "memcached"),
    ("nginx-ab", "nginx"),
    ("nginx-httperf", "nginx-keepalive"),
    ("apache-ab", "apache"),
    ("mysql-sysbench", "threads"),
    ("memcached-udp-memaslap", "memcached-udp"),
];

fn recorded(name: &str) -> &str {
    if bundled::find(name).is_ok() {
        return name;
    }
    STAND_INS.iter().find(|stand_in| stand_in.0 == name).map_or(name, |stand_in| stand_in.1)
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
    workloads: Mutex<BTreeMap<Recipe, Slot>>,
}

impl Supplies {
    /// The workload of a recipe.
    ///
    /// # Errors
    /// A name that does not exist, or a recording that cannot be read.
    pub fn workload(&self, recipe: &Recipe) -> Result<Arc<Workload>, Failure> {
        let slot = {
            let mut workloads = self.workloads.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(workloads.entry(recipe.clone()).or_default())
        };
        let failure = |error: TraceError| Failure::Workload { name: recipe.name.clone(), cause: error.to_string() };
        slot.get_or_init(|| recipe.make().map(Arc::new).map_err(failure)).clone()
    }
}
