//! From what was measured on a host to descriptions: a machine, and the kernel's part of a configuration.
//!
//! What enters are the primitives of the `host` crate and nothing else: no throughput of any program, no curve that a prediction is
//! later compared with. Each value says how sure it is; what a host can't tell keeps the preset's value.

mod assign;
mod draft;
mod kernel;
mod null_call;
mod text;

pub use draft::{Confidence, Parameter};
pub use null_call::model_null_call;
pub use text::{kernel_ron, machine_ron};

use cpu_model::{Machine, MachineError};
use draft::Draft;
use host::findings::Findings;
use host::measurements::Measurements;
use os_model::kernel::Mitigations;

/// Name of the described machine, in reports.
pub const NAME: &str = "host";

/// A host as the model sees it.
#[derive(Clone, Debug)]
pub struct HostMachine {
    /// The preset that gives what was not measured.
    pub base: &'static str,
    /// The machine.
    pub machine: Machine,
    /// Which mitigations the kernel applies.
    pub mitigations: Mitigations,
    /// Each value of the machine, in the order of the description.
    pub parameters: Vec<Parameter>,
    /// Values of the kernel's part of a configuration.
    pub kernel: Vec<Parameter>,
    /// All that the series say, also what has no place in a description.
    pub findings: Findings,
}

/// A host that can't be described.
#[derive(Debug, thiserror::Error)]
pub enum DescribeError {
    /// Measured values that the model can't simulate.
    #[error("the measured values make no machine: {0}; measure again on a quieter host")]
    Machine(#[from] MachineError),
    /// A value has no place in the description: the preset and the list of values do not fit.
    #[error("machine.{0} is not a value of a machine description")]
    Path(String),
    /// The description and its text do not fit.
    #[error("the description can't be written: {0}")]
    Json(#[from] serde_json::Error),
    /// The model's own null call could not be run.
    #[error("the model's null call: {0}")]
    Model(String),
}

/// The preset nearest to a host: by vendor, the newest there is.
pub fn base_of(vendor: &str) -> &'static str {
    match vendor {
        "AuthenticAMD" | "HygonGenuine" => "zen4",
        // the one Intel part whose numbers have been checked
        _ => "nehalem",
    }
}

/// Describes a host. `null_call` says how many cycles the model's null call takes on a machine under mitigations.
///
/// # Errors
/// Values that make no machine, or a model that fails.
pub fn describe(
    measurements: &Measurements,
    null_call: &dyn Fn(&Machine, Mitigations) -> Result<f64, DescribeError>,
) -> Result<HostMachine, DescribeError> {
    let base = base_of(&measurements.facts.vendor);
    let preset = Machine::preset(base)?;
    let findings = Findings::of(measurements);
    let mitigations = if measurements.facts.any_mitigation() { Mitigations::Default } else { Mitigations::Off };
    let mut draft = Draft::new(&preset, &measurements.facts, &findings)?;
    assign::all(&mut draft)?;
    let machine = draft.machine()?;
    assign::crossing(&mut draft, null_call(&machine, mitigations)?, mitigations)?;
    let machine = draft.machine()?;
    let parameters = draft.parameters();
    let kernel = kernel::parameters(&measurements.facts, &findings, mitigations, machine.frequency_mhz);
    Ok(HostMachine { base, machine, mitigations, parameters, kernel, findings })
}
