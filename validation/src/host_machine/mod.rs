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
use os_model::kernel::{Kernel, Mitigations};

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

impl HostMachine {
    /// The kernel, with what the host tells of it.
    ///
    /// # Errors
    /// Values that a kernel description does not have: the list of values and the preset do not fit.
    pub fn described_kernel(&self) -> Result<Kernel, DescribeError> {
        kernel::described(&self.kernel)
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use host::made_up::MadeUp;

    /// A model in which the null call takes 120 cycles, and what is added to an entry or exit on top.
    fn plain(machine: &Machine, mitigations: Mitigations) -> Result<f64, DescribeError> {
        let barrier = if mitigations == Mitigations::Default { machine.facts.return_stack_mitigation_cycles } else { 0 };
        Ok(120.0 + f64::from(machine.crossing.syscall_cycles + machine.crossing.sysret_cycles + barrier))
    }

    fn described(host: &MadeUp) -> HostMachine {
        describe(&host.measurements(), &plain).unwrap()
    }

    fn said<'h>(host: &'h HostMachine, path: &str) -> &'h Parameter {
        host.parameters.iter().find(|parameter| parameter.path == path).unwrap()
    }

    #[test]
    fn measured_values_come_into_the_machine() {
        let made_up = MadeUp { noise: 0.0, caches: [(48 << 10, 5.0), (2 << 20, 16.0), (32 << 20, 60.0)], ..MadeUp::default() };
        let host = described(&made_up);
        let machine = &host.machine;
        assert_eq!((machine.l1d.size_kib, machine.l1d.latency_cycles), (48, 5));
        assert_eq!((machine.l2.size_kib, machine.l2.latency_cycles, machine.l3.latency_cycles), (2048, 16, 60));
        assert_eq!((machine.memory_cycles, machine.transfer_cycles), (350, 90));
        assert_eq!((machine.dtlb.entries, machine.stlb_latency_cycles), (72, 7));
        assert_eq!(
            (machine.branch.mispredict_cycles, machine.branch.btb_entries, machine.branch.return_stack_entries),
            (16, 4096, 32)
        );
        assert_eq!(said(&host, "l1d.size_kib").confidence, Confidence::Measured);
        assert_eq!(said(&host, "l1i.size_kib").confidence, Confidence::Inferred);
        assert_eq!(said(&host, "rob").confidence, Confidence::Kept);
        assert_eq!(host.machine.walk.fixed_cycles, 60 - 7 - 16);
    }

    #[test]
    fn a_virtual_machine_keeps_what_neighbours_share() {
        let host = described(&MadeUp { noise: 0.0, virtual_machine: true, ..MadeUp::default() });
        let preset = Machine::preset("zen4").unwrap();
        for path in ["l3.size_kib", "l3.latency_cycles", "memory_cycles", "transfer_cycles", "transfer_far_cycles"] {
            let parameter = said(&host, path);
            assert_eq!(
                (parameter.confidence, parameter.note.starts_with("in a virtual machine")),
                (Confidence::Kept, true),
                "{path}"
            );
        }
        assert_eq!((host.machine.l3, host.machine.memory_cycles), (preset.l3, preset.memory_cycles));
        assert!(said(&host, "memory_cycles").measured.is_some_and(|cycles| cycles > 300.0), "what was measured is still told");
        assert_eq!(
            host.kernel.iter().find(|parameter| parameter.path == "scheduler.idle_exit_us").unwrap().confidence,
            Confidence::Kept
        );
    }

    #[test]
    fn noise_keeps_the_preset() {
        let host = described(&MadeUp { noise: 8.0, ..MadeUp::default() });
        let mispredict = said(&host, "branch.mispredict_cycles");
        assert_eq!((mispredict.confidence, mispredict.note.as_str()), (Confidence::Kept, "too noisy"));
        assert_eq!(mispredict.value, mispredict.preset);
    }

    #[test]
    fn crossings_make_up_the_hosts_null_call() {
        for mitigations in [true, false] {
            for null_call_cycles in [90.0, 130.0, 600.0] {
                let made_up = MadeUp { noise: 0.0, mitigations, null_call_cycles, ..MadeUp::default() };
                let host = described(&made_up);
                let now = plain(&host.machine, host.mitigations).unwrap();
                assert!((now - null_call_cycles.max(120.0)).abs() <= 1.0, "{mitigations} {null_call_cycles}: {now}");
            }
        }
        let host = described(&MadeUp { noise: 0.0, null_call_cycles: 600.0, ..MadeUp::default() });
        assert_eq!(host.machine.crossing, Machine::preset("zen4").unwrap().crossing, "the difference is the mitigations'");
    }

    #[test]
    fn descriptions_are_read_back_as_they_were() {
        let made_up = MadeUp { noise: 0.0, virtual_machine: true, ..MadeUp::default() };
        let host = described(&made_up);
        let text = machine_ron(&host, &made_up.measurements());
        assert_eq!(Machine::from_ron(&text).unwrap(), host.machine);
        assert!(
            text.contains("// Host: Made-up processor") && text.contains("Mitigations: spectre_v2: Mitigation: made up"),
            "{text}"
        );
        let line = |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).unwrap().to_owned();
        assert!(line("memory_cycles: 370,").contains("// kept from zen4, measured"), "{}", line("memory_cycles"));
        assert!(line("stlb_latency_cycles: 7,").contains("// measured, 7"), "{}", line("stlb_latency"));
        assert!(
            text.lines().filter(|line| line.starts_with("    ") && line.contains(": ") && line.ends_with(',')).count() <= 2,
            "{text}"
        );
    }

    #[test]
    fn the_kernels_part_comes_into_a_kernel() {
        let host = described(&MadeUp { noise: 0.0, mitigations: false, ..MadeUp::default() });
        let kernel = host.described_kernel().unwrap();
        let said = |path: &str| host.kernel.iter().find(|parameter| parameter.path == path).unwrap().value.clone();
        assert_eq!(kernel.mitigations, Mitigations::Off);
        assert_eq!(said("scheduler.tick_hz"), kernel.scheduler.tick_hz);
        assert_eq!(said("scheduler.idle_exit_us"), kernel.scheduler.idle_exit_us);
    }

    /// The recorded kernel's blocks under a described machine take what the host takes.
    #[test]
    fn the_models_own_null_call_meets_the_host() {
        let made_up = MadeUp { noise: 0.0, null_call_cycles: 500.0, ..MadeUp::default() };
        let host = describe(&made_up.measurements(), &model_null_call).unwrap();
        let model = model_null_call(&host.machine, host.mitigations).unwrap();
        assert!((model - 500.0).abs() < 3.0, "{model}");
    }

    /// What is read here are primitives: nothing that a prediction is later compared with.
    #[test]
    fn only_primitives_are_read() {
        let ladders = [
            "clock.",
            "data.",
            "translation.",
            "instructions.",
            "branches.",
            "null_call.",
            "transfer.",
            "switch.",
            "fault.",
            "call.",
        ];
        let measurements = MadeUp::default().measurements();
        assert!(measurements.series.iter().all(|series| ladders.iter().any(|ladder| series.name.starts_with(ladder))));
        let sources =
            [include_str!("assign.rs"), include_str!("kernel.rs"), include_str!("draft.rs"), include_str!("null_call.rs")];
        for source in sources {
            let own = source.split("#[cfg(test)]").next().unwrap();
            assert!(!own.contains("std::fs") && !own.contains("include_str!") && !own.contains("published"), "{own}");
        }
    }
}
