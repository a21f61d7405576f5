//! Kernel descriptions: what a capture cannot hold. One RON file per kernel.

use serde::{Deserialize, Serialize};

/// Which mitigations the kernel applies. What they mean on a machine is the machine's fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mitigations {
    /// `mitigations=off`.
    Off,
    /// The kernel's own choice for the machine.
    Default,
}

/// Scheduler constants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerSpec {
    /// Period in which every runnable task runs once, microseconds.
    pub latency_us: u64,
    /// Shortest slice of a task, microseconds.
    pub minimum_granularity_us: u64,
    /// How far behind a woken task must be to preempt the running one, microseconds of virtual runtime.
    pub wakeup_granularity_us: u64,
    /// Timer ticks per second on a busy core.
    pub tick_hz: u64,
    /// From the wake-up of an idle core to its first instruction, microseconds.
    pub idle_exit_us: u64,
}

/// Network card and receive path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// Packets a receive queue holds; more are dropped and sent again by the client.
    pub receive_ring_packets: usize,
    /// Packets per softirq poll.
    pub poll_budget_packets: usize,
    /// Least time between two interrupts of a queue, microseconds.
    pub interrupt_moderation_us: u64,
    /// Connections at most that wait to be accepted at a listening socket: the lesser of the program's `listen` and the kernel's limit.
    /// Of partly open clients more are turned away; those of other clients are never more than they offer.
    #[serde(default = "accept_backlog")]
    pub accept_backlog: usize,
    /// One receive queue a core (true) or one for the machine, on core 0.
    pub receive_side_scaling: bool,
    /// When received packets are left to a thread.
    #[serde(default)]
    pub softirq: SoftirqSpec,
}

/// How long a softirq handles packets at the end of an interrupt before it leaves the rest to the core's `ksoftirqd`, which shares the
/// core with the program as any other task. Without it (`passes: 0`, the default) interrupts go before everything else for ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoftirqSpec {
    /// Packets of a pass (`net.core.netdev_budget`).
    pub pass_packets: usize,
    /// Time of a pass, microseconds (`net.core.netdev_budget_usecs`).
    pub pass_us: u64,
    /// Passes at the end of an interrupt (`MAX_SOFTIRQ_RESTART`); 0: packets are never left to a thread.
    pub passes: u32,
    /// No further pass begins after this time, microseconds (`MAX_SOFTIRQ_TIME`), nor when a task waits for the core; 0: neither counts.
    pub interrupt_us: u64,
}

/// How much work the kernel's calls make, compared with the recorded kernel of a workload's blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkSpec {
    /// Thousandths of the recorded kernel instructions and footprint, where nothing more is known.
    pub permille: u32,
    /// Published kernel instructions of calls.
    pub calls: Vec<CallWork>,
}

/// Published kernel instructions of a call, or of several together (`open` and `close`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallWork {
    /// Names of the calls.
    pub calls: Vec<String>,
    /// Kernel instructions of one execution of each.
    pub instructions: u32,
}

/// What nginx and Apache ask for (`NGX_LISTEN_BACKLOG`, `ListenBacklog`: 511), where the kernel allows it.
fn accept_backlog() -> usize {
    511
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Name as used on the command line.
    pub name: String,
    /// Where its blocks and numbers come from.
    pub source: String,
    /// Mitigations in force.
    pub mitigations: Mitigations,
    /// Longest stretch a core executes before interrupts, preemption and other cores act, cycles.
    pub slice_cycles: u64,
    /// Amount of work.
    pub work: WorkSpec,
    /// Scheduler.
    pub scheduler: SchedulerSpec,
    /// Network.
    pub network: NetworkSpec,
    /// User frames on the return stack at a call, beyond those in recorded user code: so many returns are predicted wrongly after it.
    pub user_call_depth: u32,
}

/// A kernel description that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// No such preset.
    #[error("unknown kernel '{name}'; known: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The presets, joined by commas.
        known: String,
    },
    /// A field has a value that makes no sense.
    #[error("kernel.{field}: {cause}")]
    Field {
        /// Path of the field.
        field: &'static str,
        /// What is wrong and what is allowed.
        cause: &'static str,
    },
}

/// Kernels that come with the program: name and RON text.
pub const PRESETS: &[(&str, &str)] = &[
    ("linux-6.1", include_str!("../kernels/linux-6.1.ron")),
    ("linux-2.6.33", include_str!("../kernels/linux-2.6.33.ron")),
    ("freebsd-10.1-i386", include_str!("../kernels/freebsd-10.1-i386.ron")),
];

impl Kernel {
    /// The RON text of a preset.
    ///
    /// # Errors
    /// [`KernelError::Unknown`] with the known names.
    pub fn preset_text(name: &str) -> Result<&'static str, KernelError> {
        PRESETS.iter().find(|preset| preset.0 == name).map(|preset| preset.1).ok_or_else(|| KernelError::Unknown {
            name: name.into(),
            known: PRESETS.iter().map(|preset| preset.0).collect::<Vec<_>>().join(", "),
        })
    }

    /// A preset.
    ///
    /// # Errors
    /// [`KernelError::Unknown`] with the known names.
    pub fn preset(name: &str) -> Result<Kernel, KernelError> {
        let text = Kernel::preset_text(name)?;
        Ok(ron::from_str(text).expect("presets parse: a test reads each"))
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), KernelError> {
        let field = |field, cause| Err(KernelError::Field { field, cause });
        if !(50..=1_000_000).contains(&self.slice_cycles) {
            return field("slice_cycles", "must lie in 50..=1000000");
        }
        if !(50..=20_000).contains(&self.work.permille) {
            return field("work.permille", "must lie in 50..=20000");
        }
        if self.work.calls.iter().any(|call| call.calls.is_empty() || call.instructions == 0) {
            return field("work.calls", "each entry needs at least one call and one instruction");
        }
        if !(1..=10_000).contains(&self.scheduler.tick_hz) {
            return field("scheduler.tick_hz", "must lie in 1..=10000");
        }
        if self.network.receive_ring_packets == 0 {
            return field("network.receive_ring_packets", "must be at least 1");
        }
        if self.network.accept_backlog == 0 {
            return field("network.accept_backlog", "must be at least 1");
        }
        if self.network.poll_budget_packets == 0 {
            return field("network.poll_budget_packets", "must be at least 1");
        }
        let softirq = &self.network.softirq;
        if softirq.passes > 0 && (softirq.pass_packets == 0 || softirq.pass_us == 0) {
            return field("network.softirq", "passes of at least 1 packet and 1 microsecond, or passes 0");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_parse_and_hold_their_ranges() {
        for (name, _) in PRESETS {
            let kernel = Kernel::preset(name).unwrap();
            assert_eq!(kernel.name, *name);
            assert_eq!(kernel.validate(), Ok(()));
        }
    }

    #[test]
    fn a_field_out_of_range_is_named() {
        let mut kernel = Kernel::preset("linux-6.1").unwrap();
        kernel.network.poll_budget_packets = 0;
        assert!(kernel.validate().unwrap_err().to_string().contains("kernel.network.poll_budget_packets"));
        assert!(Kernel::preset("linux-9").unwrap_err().to_string().contains("linux-6.1"));
    }
}
