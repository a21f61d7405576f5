//! A server under load: the experiment behind most published rows.

use crate::conditions::{Conditions, Failure, Recipe, Supplies};
use crate::lab::Experiment;
use cpu_model::{Counters, Structure};
use mechanisms::experiment::{Settings, SettingsError};
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{Sample, simulate};
use mechanisms::variants::Way;
use sim_core::estimate::{Estimate, paired_ratio};
use sim_core::ids::{Cycles, Mode};
use sim_core::manifest::PartsHash;
use sim_core::stack::{Component, CycleStack};

/// A server, its clients, and a way of issuing calls.
#[derive(Clone, Debug)]
pub struct ServerRun {
    conditions: Conditions,
    way: Way,
}

impl ServerRun {
    /// A workload under settings, with synchronous calls.
    pub fn new(workload: &str, settings: Settings) -> ServerRun {
        ServerRun { conditions: Conditions::new(workload, settings), way: Way::BASELINE }
    }

    /// Issues calls another way.
    #[must_use]
    pub fn way(mut self, way: impl Into<Way>) -> ServerRun {
        self.way = way.into();
        self
    }

    /// Cores of the server.
    #[must_use]
    pub fn cores(self, cores: u32) -> ServerRun {
        self.set(|settings| settings.run.cores = cores)
    }

    /// Client connections.
    #[must_use]
    pub fn connections(self, connections: u32) -> ServerRun {
        self.set(|settings| settings.run.connections = connections)
    }

    /// Changes any setting.
    #[must_use]
    pub fn set(mut self, change: impl FnOnce(&mut Settings)) -> ServerRun {
        change(&mut self.conditions.settings);
        self
    }

    /// Changes the workload.
    #[must_use]
    pub fn recipe(mut self, change: impl FnOnce(&mut Recipe)) -> ServerRun {
        change(&mut self.conditions.workload);
        self
    }

    /// Runs so many seeds instead of the lab's number.
    #[must_use]
    pub fn reps(mut self, reps: u32) -> ServerRun {
        self.conditions.reps = Some(reps);
        self
    }
}

impl Experiment for ServerRun {
    type Output = Measured;
    const KIND: &'static str = "server";

    fn conditions(&mut self) -> &mut Conditions {
        &mut self.conditions
    }

    fn identify(&self, hash: PartsHash) -> PartsHash {
        hash.part("way", self.way.name().as_bytes())
    }

    fn weight(&self) -> u64 {
        u64::from(self.conditions.settings.run.connections) * u64::from(self.conditions.settings.run.cores)
    }

    fn run(&self, supplies: &Supplies, seed: u64) -> Result<Measured, Failure> {
        let workload =
            supplies.workload(&self.conditions.workload.issued_by(self.way.mechanism), &self.conditions.settings.kernel)?;
        let mut settings = self.conditions.settings.clone();
        if self.conditions.workload.recorded_readiness {
            settings.run.connections = workload.connections.max(1);
        }
        let way = self.way.resolved(&workload, &settings.mechanism);
        way.apply(&mut settings.mechanism);
        settings.validate()?;
        if let Some(cause) = way.inapplicable(&workload, &settings.mechanism) {
            return Err(Failure::Workload { name: workload.name.clone(), cause: format!("{}: {cause}", way.name()) });
        }
        Ok(Measured::of(&simulate(&workload, &settings, way.mechanism, seed)?, &settings))
    }
}

/// What one seed of a server run measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Replies per second.
    pub throughput_rps: f64,
    /// Mean time from request sent to reply received, microseconds.
    pub latency_mean_us: f64,
    /// 99th percentile of the same.
    pub latency_p99_us: f64,
    /// Replies in the window.
    pub replies: u64,
    /// Length of the window, cycles per core.
    pub window_cycles: Cycles,
    /// Counters as a privilege-filtered hardware counter shows them, summed over the cores.
    pub counters: Counters,
    /// Cycle stack, summed over the cores.
    pub stack: CycleStack,
    /// Cycle stacks by core.
    pub stacks: Vec<CycleStack>,
    /// Handlers executed.
    pub calls: u64,
    /// Entries into the kernel.
    pub crossings: u64,
    /// Context switches.
    pub context_switches: u64,
    /// Calls of a batch, on average; 0 without batches.
    pub batch_mean: f64,
    /// Busy share of the link, 0 to 1.
    pub link_busy: f64,
    /// Busy share of the client machine's processors, 0 to 1.
    pub client_busy: f64,
    /// Arrivals that found no free connection.
    pub refused_arrivals: u64,
    /// Packets lost to full rings.
    pub dropped_packets: u64,
    /// What else the mechanism counted.
    pub occurrences: Vec<(&'static str, u64)>,
}

impl Measured {
    fn of(sample: &Sample, settings: &Settings) -> Measured {
        let hertz = f64::from(settings.machine.frequency_mhz) * 1e6;
        let latency = sample.latency.microseconds(hertz as u64);
        let batches: u64 = sample.batches.iter().map(|batch| batch.count).sum();
        let batched: u64 = sample.batches.iter().map(|batch| u64::from(batch.size) * batch.count).sum();
        let share = |permille: u64| permille as f64 / 1000.0;
        Measured {
            throughput_rps: sample.replies as f64 * hertz / sample.window_cycles.max(1) as f64,
            latency_mean_us: latency.mean,
            latency_p99_us: latency.p99,
            replies: sample.replies,
            window_cycles: sample.window_cycles,
            counters: sample.counters,
            stack: sample.stack.clone(),
            stacks: sample.stacks.clone(),
            calls: sample.calls.iter().sum(),
            crossings: sample.crossings,
            context_switches: sample.context_switches,
            batch_mean: batched as f64 / batches.max(1) as f64,
            link_busy: share(sample.utilisation_permille.0),
            client_busy: share(sample.utilisation_permille.1),
            refused_arrivals: sample.refused_arrivals,
            dropped_packets: sample.dropped_packets,
            occurrences: sample.occurrences.clone(),
        }
    }

    /// Cycles per instruction in a mode.
    pub fn cpi(&self, mode: Mode) -> f64 {
        let own = self.counters.mode(mode);
        own.cycles as f64 / own.instructions as f64
    }

    /// Instructions per cycle in a mode.
    pub fn ipc(&self, mode: Mode) -> f64 {
        1.0 / self.cpi(mode)
    }

    /// Misses of a structure in a mode per 1000 instructions of that mode.
    pub fn mpki(&self, structure: Structure, mode: Mode) -> f64 {
        let own = self.counters.mode(mode);
        own.misses[structure.index()] as f64 * 1000.0 / own.instructions as f64
    }

    /// Misses of a structure in both modes per 1000 instructions of both.
    pub fn mpki_both(&self, structure: Structure) -> f64 {
        let sum = |of: fn(&cpu_model::ModeCounters, usize) -> u64| -> f64 {
            Mode::ALL.iter().map(|mode| of(self.counters.mode(*mode), structure.index())).sum::<u64>() as f64
        };
        sum(|counters, index| counters.misses[index]) * 1000.0 / sum(|counters, _| counters.instructions)
    }

    /// A count per reply.
    pub fn per_request(&self, count: u64) -> f64 {
        count as f64 / self.replies.max(1) as f64
    }

    /// Cycles per reply in a component of the stack, all cores together.
    pub fn cycles_per_request(&self, component: Component) -> f64 {
        self.per_request(self.stack.get(component))
    }

    /// Busy share of a core, 0 to 1.
    pub fn busy(&self, core: usize) -> f64 {
        self.stacks.get(core).map_or(0.0, |stack| 1.0 - stack.get(Component::Idle) as f64 / stack.total().max(1) as f64)
    }

    /// Busy share of the busiest core.
    pub fn busiest(&self) -> f64 {
        (0..self.stacks.len()).map(|core| self.busy(core)).fold(0.0, f64::max)
    }
}

/// Mean and interval of a measured number over the seeds.
pub fn estimate(runs: &[Measured], of: impl Fn(&Measured) -> f64) -> Estimate {
    Estimate::of(&runs.iter().map(of).collect::<Vec<_>>())
}

/// A measured number divided by the baseline's, paired over the seeds.
pub fn ratio(own: &[Measured], base: &[Measured], of: impl Fn(&Measured) -> f64) -> Estimate {
    let values = |runs: &[Measured]| runs.iter().map(&of).collect::<Vec<f64>>();
    paired_ratio(&values(own), &values(base))
}

/// A measured number against the baseline's, in percent more or less, paired over the seeds.
pub fn change_percent(own: &[Measured], base: &[Measured], of: impl Fn(&Measured) -> f64) -> Estimate {
    percent_more(ratio(own, base, of))
}

/// A ratio as percent more or less.
pub fn percent_more(ratio: Estimate) -> Estimate {
    let percent = |value: f64| (value - 1.0) * 100.0;
    Estimate { mean: percent(ratio.mean), low: percent(ratio.low), high: percent(ratio.high), n: ratio.n }
}

/// A measured number less the baseline's, paired over the seeds.
pub fn difference(own: &[Measured], base: &[Measured], of: impl Fn(&Measured) -> f64) -> Estimate {
    Estimate::of(&own.iter().zip(base).map(|(own, base)| of(own) - of(base)).collect::<Vec<_>>())
}

/// Libflexsc on scanned syscall pages.
pub const EXCEPTION_LESS: Way = Way { mechanism: Mechanism::ExceptionLess, variant: Some("pages") };
/// FlexSC-Threads.
pub const FLEXSC_THREADS: Way = Way { mechanism: Mechanism::ExceptionLess, variant: Some("threads") };

/// Two warm-up batches at most after every connection has had its replies: replies to hundreds of connections can come in convoys, so
/// that batches never take the same time. `memcached-memslap` at 1,024 connections (synchronous and exception-less) and `nginx-ab` at 256
/// (synchronous) have the same throughput with ten.
pub fn brief(settings: &mut Settings) {
    settings.run.warm_up_batches = 2;
}

/// Machine and network of ATC'11, section 6 and table 3: 2.3 GHz, Linux 2.6.33 (before page-table isolation and the like), a client with
/// two cores behind a router at 1 Gb/s.
///
/// # Errors
/// When a preset does not exist.
pub fn atc11_settings() -> Result<Settings, SettingsError> {
    let mut settings = Settings::preset("nehalem-atc11", "linux-2.6.33")?;
    settings.kernel.mitigations = os_model::kernel::Mitigations::Off;
    settings.clients.link_rate_mbps = 1000.0;
    settings.clients.cores = 2;
    brief(&mut settings);
    Ok(settings)
}
