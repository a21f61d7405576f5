//! Settings of an experiment: machine, kernel, clients, mechanism and run. The tree that `--config` and `--set` change.

use crate::settings::MechanismSettings;
use cpu_model::Machine;
use os_model::clients::Clients;
use os_model::kernel::Kernel;
use serde::{Deserialize, Serialize};

/// How the shadow is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShadowSetting {
    /// None.
    Off,
    /// Every set.
    Full,
    /// One set in so many.
    Sampled(u32),
}

/// How much is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSettings {
    /// Cores of the server.
    pub cores: u32,
    /// Client connections.
    pub connections: u32,
    /// Root of the seed tree.
    pub seed: u64,
    /// Repetitions with different seeds; 0: as many as the interval needs.
    pub reps: u32,
    /// Measured requests per repetition; 0: the default for the program.
    pub requests: u64,
    /// Warm-up batches at most, once every connection has had its replies: the window opens earlier when two in a row take the same
    /// time.
    pub warm_up_batches: u32,
    /// Shadow of each mode alone.
    pub shadow: ShadowSetting,
    /// The evictor ledger (off only for speed comparisons: indirect cost needs it).
    pub ledger: bool,
    /// Also run at instruction-miss exposure 0.5 and 1.0 and report the range of the speed-up.
    pub exposure_range: bool,
}

impl Default for RunSettings {
    fn default() -> Self {
        RunSettings {
            cores: 1,
            connections: 64,
            seed: 1,
            reps: 0,
            requests: 0,
            warm_up_batches: 10,
            shadow: ShadowSetting::Off,
            ledger: true,
            exposure_range: true,
        }
    }
}

/// Everything an experiment depends on besides the workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The processors.
    pub machine: Machine,
    /// The kernel.
    pub kernel: Kernel,
    /// The clients.
    pub clients: Clients,
    /// Mechanisms.
    pub mechanism: MechanismSettings,
    /// How much is run.
    pub run: RunSettings,
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// The machine.
    #[error(transparent)]
    Machine(#[from] cpu_model::MachineError),
    /// The kernel.
    #[error(transparent)]
    Kernel(#[from] os_model::kernel::KernelError),
    /// The clients.
    #[error(transparent)]
    Clients(#[from] os_model::clients::ClientsError),
    /// Exception-less calls.
    #[error(transparent)]
    ExceptionLess(#[from] crate::settings::ExceptionLessError),
    /// The run.
    #[error("run.{field}: {cause}")]
    Run {
        /// The field.
        field: &'static str,
        /// What is wrong and what is allowed.
        cause: &'static str,
    },
}

/// Connections at most: more would not fit the simulated address space with every workload.
pub const MOST_CONNECTIONS: u32 = 16_384;

impl Settings {
    /// The defaults: machine `nehalem`, kernel `linux-6.1`, remote clients.
    ///
    /// # Errors
    /// When a preset does not exist.
    pub fn preset(machine: &str, kernel: &str) -> Result<Settings, SettingsError> {
        Ok(Settings {
            machine: Machine::preset(machine)?,
            kernel: Kernel::preset(kernel)?,
            clients: Clients::default(),
            mechanism: MechanismSettings::default(),
            run: RunSettings::default(),
        })
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// The first field that is out of range, with its path.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.machine.validate()?;
        self.kernel.validate()?;
        self.clients.validate()?;
        self.mechanism.exception_less.validate()?;
        let run = |field, cause| Err(SettingsError::Run { field, cause });
        if self.run.cores == 0 || self.run.cores > 64 {
            return run("cores", "must lie in 1..=64");
        }
        if self.run.connections == 0 || self.run.connections > MOST_CONNECTIONS {
            return run("connections", "must lie in 1..=16384");
        }
        if !(1..=1000).contains(&self.run.warm_up_batches) {
            return run("warm_up_batches", "must lie in 1..=1000");
        }
        if self.run.reps > 1000 {
            return run("reps", "must lie in 0..=1000 (0: as many as the interval needs)");
        }
        if let ShadowSetting::Sampled(one_in) = self.run.shadow
            && !(2..=64).contains(&one_in)
        {
            return run("shadow", "a sampled shadow keeps one set in 2..=64");
        }
        if self.mechanism.batched_script.limit == 0 {
            return run("batch", "must be at least 1");
        }
        Ok(())
    }
}
