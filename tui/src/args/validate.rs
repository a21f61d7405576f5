//! Arguments of `ringscope validate`.

use super::help;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// `ringscope validate`.
#[derive(Debug, Subcommand)]
pub enum ValidateCommand {
    /// Every published result beside what the model gives
    #[command(after_long_help = help::VALIDATE_PAPERS)]
    Papers(PapersArguments),
    /// Real programs on this host beside what the model, and two simpler ones, say to them
    #[command(after_long_help = help::VALIDATE_HOST)]
    Host(HostArguments),
    /// One process of measurements; `validate host` starts it
    #[command(hide = true)]
    Twin(TwinArguments),
}

/// `ringscope validate host`.
#[derive(Debug, Args)]
pub struct HostArguments {
    /// Machine: a RON file that `ringscope calibrate` wrote (the .kernel.ron beside it is read too), or a preset [default: this host,
    /// calibrated briefly]
    #[arg(long, value_name = "NAME|FILE")]
    pub machine: Option<String>,
    /// Only these cases: names or their beginnings, separated by commas
    #[arg(long, value_name = "CASES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// List the cases and what cannot be checked on this host; nothing is measured
    #[arg(long)]
    pub list: bool,
    /// Shorter measurements and fewer seeds: for a look
    #[arg(long)]
    pub quick: bool,
    /// Processes that measure, one after the other; medians are over them
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub processes: u32,
    /// Keep what was measured in a file
    #[arg(long, value_name = "FILE.json")]
    pub keep: Option<PathBuf>,
    /// Measure nothing: take what an earlier run has kept
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["keep", "processes"])]
    pub kept: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Also write the result to a file: .json, .csv or, with curves, .html (may be repeated)
    #[arg(short, long, value_name = "FILE.{json,csv,html}")]
    pub output: Vec<PathBuf>,
    /// Host threads of the simulations; 0: all
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub threads: usize,
}

/// `ringscope validate twin`.
#[derive(Debug, Args)]
pub struct TwinArguments {
    /// Name of the case
    pub case: String,
    /// Visits of each variant
    #[arg(long, default_value_t = 3)]
    pub visits: u32,
    /// Length of a visit
    #[arg(long, default_value_t = 1000)]
    pub visit_us: u32,
}

/// `ringscope validate papers`.
#[derive(Debug, Args)]
pub struct PapersArguments {
    /// Only these rows: identifiers, groups (`FX-5K`), papers (`lua-syscall`) or uses (`PRED`), separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// List the rows and how each is answered; nothing is simulated
    #[arg(long)]
    pub list: bool,
    /// Seeds of each experiment
    #[arg(long, value_name = "NUMBER", default_value_t = validation::papers::DEFAULT_REPS, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub reps: u32,
    /// Take something out of the model and see which rows still hold
    #[arg(long, value_enum, value_name = "WHAT")]
    pub ablation: Option<AblationChoice>,
    /// Vary parameters of the model one by one and show the three that move each prediction most (takes long)
    #[arg(long, conflicts_with = "ablation")]
    pub sensitivity: bool,
    /// Write the rows that hold now as a baseline
    #[arg(long, value_name = "FILE.json", conflicts_with_all = ["ablation", "only"])]
    pub update_baseline: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Also write the result to a file: .json, .csv or, with all figures, .html (may be repeated)
    #[arg(short, long, value_name = "FILE.{json,csv,html}")]
    pub output: Vec<PathBuf>,
    /// Host threads; 0: all
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub threads: usize,
}

/// What can be taken out of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AblationChoice {
    /// Caches, TLBs and branch tables of their own for each mode: neither displaces the other's
    NoPollution,
    /// Requests in flight and events per readiness call as recorded, behind clients and a network that answer at once
    RecordedReadiness,
}
