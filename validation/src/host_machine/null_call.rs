//! The model's own null call: what it takes on a machine.

use super::DescribeError;
use cpu_model::Machine;
use mechanisms::compare::{Job, run};
use mechanisms::experiment::{RunSettings, Settings};
use mechanisms::variants::Way;
use os_model::clients::Clients;
use os_model::kernel::{Kernel, Mitigations};
use sim_core::progress::Silent;
use std::sync::atomic::AtomicBool;
use traces::call_loop::CallLoop;

/// Calls in one run of the loop.
const CALLS: u32 = 16;
/// Runs that are measured: some thousand calls, so that a timer tick among them does not count.
const RUNS: u64 = 256;

/// Cycles of one null call in a loop, synchronous, on one core.
///
/// # Errors
/// The simulation fails.
pub fn model_null_call(machine: &Machine, mitigations: Mitigations) -> Result<f64, DescribeError> {
    let failed = |error: &dyn std::fmt::Display| DescribeError::Model(error.to_string());
    let workload = CallLoop::null(CALLS).load().map_err(|error| failed(&error))?;
    let mut kernel = Kernel::preset("linux-6.1").map_err(|error| failed(&error))?;
    kernel.mitigations = mitigations;
    let settings = Settings {
        machine: machine.clone(),
        kernel,
        clients: Clients::default(),
        mechanism: mechanisms::settings::MechanismSettings::default(),
        run: RunSettings { reps: 1, requests: RUNS, exposure_range: false, ledger: false, ..RunSettings::default() },
    };
    let way = Way::from_name("sync").map_err(|error| failed(&error))?;
    let never = AtomicBool::new(false);
    let job = Job { threads: 1, progress: &Silent, cancel: &never, command: String::new() };
    let report = run(&workload, &settings, way, &job).map_err(|error| failed(&error))?;
    Ok(report.per_request.cycles_total / f64::from(CALLS))
}
