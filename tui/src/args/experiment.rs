//! Options of an experiment and of its output, shared by all commands that simulate.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// What to simulate.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What to simulate")]
pub struct ExperimentOptions {
    /// Machine: a preset (`ringscope list machines`) or a RON file with a whole description [default: nehalem]
    #[arg(long, value_name = "NAME|FILE")]
    pub machine: Option<String>,
    /// Kernel: a preset (`ringscope list kernels`) [default: linux-6.1]
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,
    /// Cores of the server [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub cores: Option<u32>,
    /// Client connections; each sends its next request when it has the reply [default: 64]
    #[arg(long, value_name = "NUMBER")]
    pub connections: Option<u32>,
    /// Requests per second that arrive whatever the replies, instead of a closed loop
    #[arg(long, value_name = "REQUESTS/S")]
    pub rate: Option<f64>,
    /// With --rate: connections arrive so that this many requests on each, one after the other, make the rate (partly open, as
    /// httperf); --connections is then the most that may be open at the same time
    #[arg(long, value_name = "NUMBER", requires = "rate")]
    pub requests_per_connection: Option<u32>,
    /// Where the clients run: another machine, or as recorded on the server's own core [default: remote]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub client: Option<ClientChoice>,
    /// Also count what each mode would miss alone: `full`, or `1/N` for one cache set in N
    #[arg(long, value_name = "full|1/N", num_args = 0..=1, require_equals = true, default_missing_value = "full")]
    pub shadow: Option<String>,
    /// Requests at most in one batch of a script [default: 16]
    #[arg(long, value_name = "NUMBER")]
    pub batch: Option<u32>,
    /// Service in WYKI that the in-kernel mechanism installs instead of the bundled one of the workload's protocol
    #[arg(long, value_name = "FILE.wyki")]
    pub service: Option<PathBuf>,
    /// The batched script to run in the kernel, instead of the bundled one
    #[arg(long, value_name = "FILE.lua")]
    pub script: Option<PathBuf>,
    /// Root of the seed tree; repetition i uses seed + i [default: 1]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Repetitions with different seeds; 0: until the interval is at most 2 % [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub reps: Option<u32>,
    /// Measured requests per repetition; 0: as many as the program needs [default: 0]
    #[arg(long, value_name = "NUMBER")]
    pub requests: Option<u64>,
    /// Change one value, or with `*` all of a group: `machine.l2.size_kib=512` (may be repeated)
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// A configuration file with the values to change (may be repeated; `ringscope.ron` here is read first)
    #[arg(long, value_name = "FILE.ron")]
    pub config: Vec<PathBuf>,
}

/// Where the clients run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ClientChoice {
    /// On another machine, behind a link
    Remote,
    /// As recorded: on the server's own core
    Recorded,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On
    On,
    /// Off
    Off,
}

/// Where results go. Nothing here changes a result.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputOptions {
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Also write the result to a file: .json or .csv, of compare and run also .html or .parquet (may be repeated)
    #[arg(short, long, value_name = "FILE")]
    pub output: Vec<PathBuf>,
    /// Host threads; 0: all
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub threads: usize,
    /// Add the speed of the simulation itself (differs from run to run)
    #[arg(long)]
    pub timing: bool,
}
