//! What advice is judged on: reports at the load that was asked for, trials of settings, and reports at other loads.

use crate::experiment::Settings;
use crate::registry::ALL;
use crate::variants::Way;
use os_model::clients::Arrival;
use os_model::kernel::Mitigations;
use serde::{Deserialize, Serialize};
use sim_core::payload::Protocol;
use sim_core::report::Comparison;
use sim_core::workload::{Program, Workload};

/// A setting as `--set` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its path.
    pub path: String,
    /// Its value.
    pub value: String,
}

/// What matters of the program and its recording besides the numbers of the reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Kind of program.
    pub program: Program,
    /// It cannot have more than one event loop.
    pub single_threaded: bool,
    /// It answers with files.
    pub serves_files: bool,
    /// Format of the recording: `capture`, `strace`, `ftrace`, `synthetic`.
    pub source_format: String,
    /// The recording was made with mitigations.
    pub recorded_with_mitigations: bool,
    /// The experiment runs with mitigations.
    pub mitigated: bool,
}

impl Subject {
    /// The subject of an experiment.
    pub fn new(workload: &Workload, settings: &Settings) -> Subject {
        let protocol = workload.payload.as_ref().map(|payload| payload.protocol);
        Subject {
            program: workload.program,
            single_threaded: workload.single_threaded,
            serves_files: matches!(protocol, Some(Protocol::Http | Protocol::HttpKeepAlive)),
            source_format: workload.source.format.clone(),
            recorded_with_mitigations: workload.source.mitigations,
            mitigated: settings.kernel.mitigations == Mitigations::Default,
        }
    }
}

/// Cores and load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Cores of the server.
    pub cores: u32,
    /// Client connections.
    pub connections: u32,
    /// Requests per second that are offered; none in a closed loop.
    pub rate_rps: Option<f64>,
}

impl Place {
    /// Where settings stand.
    pub fn of(settings: &Settings) -> Place {
        let rate_rps = match &settings.clients.arrival {
            Arrival::Open { rate_rps } | Arrival::Sessions { rate_rps, .. } => Some(*rate_rps),
            Arrival::Closed | Arrival::Steps(_) => None,
        };
        Place { cores: settings.run.cores, connections: settings.run.connections, rate_rps }
    }

    /// The same settings here.
    pub(super) fn applied(&self, settings: &Settings) -> Settings {
        let mut own = settings.clone();
        own.run.cores = self.cores;
        own.run.connections = self.connections;
        if let (Some(wanted), Arrival::Open { rate_rps } | Arrival::Sessions { rate_rps, .. }) =
            (self.rate_rps, &mut own.clients.arrival)
        {
            *rate_rps = wanted;
        }
        own
    }
}

/// A setting that was tried on a way, at the load that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The way.
    pub label: String,
    /// The setting.
    pub setting: Setting,
    /// Mean throughput over that of the same way without the setting, under the same seeds.
    pub ratio: f64,
    /// It was taken over.
    pub kept: bool,
}

/// All that advice is judged on.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The program and its recording.
    pub subject: Subject,
    /// Cores and load that were asked for.
    pub place: Place,
    /// All ways at that place; the finalists with settings and seeds of their own.
    pub at_load: Comparison,
    /// Settings that were tried.
    pub trials: Vec<Trial>,
    /// The chosen way beside synchronous calls at other places.
    pub elsewhere: Vec<(Place, Comparison)>,
    /// Simulations that were run.
    pub simulations: u64,
}

/// The ways that advice is given on when none are named: all mechanisms, the variants that a stock kernel has, and the one that keeps a
/// program's threads. What cannot run the workload says so in its report.
pub fn candidates(workload: &Workload) -> Vec<Way> {
    let mut names: Vec<&str> = ALL.iter().map(|entry| entry.name).collect();
    names.extend(["exception-less:io-uring", "batched-script:io-uring-enter"]);
    if workload.datagram {
        names.push("batched-script:message-batch");
    }
    if matches!(workload.program, Program::ThreadPerConnection | Program::ProcessPerConnection) {
        names.push("exception-less:threads");
    }
    // the names are those of the lists; one that left them is no candidate
    names.into_iter().filter_map(|name| Way::from_name(name).ok()).collect()
}
