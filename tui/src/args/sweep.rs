//! Arguments of `ringscope sweep` and `ringscope merge`.

use super::ExperimentOptions;
use clap::Args;
use std::path::PathBuf;

/// `ringscope sweep`.
#[derive(Debug, Args)]
pub struct SweepArguments {
    /// A bundled workload (`ringscope list workloads`), or a file: workload, capture, strace or ftrace log
    pub workload: Option<String>,
    /// What is varied.
    #[command(flatten)]
    pub points: PointOptions,
    /// What to simulate.
    #[command(flatten)]
    pub experiment: ExperimentOptions,
    /// Where results go and how.
    #[command(flatten)]
    pub carrying_out: CarryingOutOptions,
}

/// What is varied and how precisely.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Points")]
pub struct PointOptions {
    /// Something to vary, each value with each of the other axes: an option's name or a path as for --set, and values `1,2,4`,
    /// ranges `1..64:x2` or `1..10:+3`, names, or `all` of mechanism, machine and kernel (may be repeated; the first varies slowest)
    #[arg(long, value_name = "AXIS=VALUES")]
    pub vary: Vec<String>,
    /// The same for axes that go through their values together: first with first, second with second (may be repeated)
    #[arg(long, value_name = "AXIS=VALUES")]
    pub zip: Vec<String>,
    /// Axes and settings from a RON file
    #[arg(long, value_name = "FILE.ron")]
    pub sweep: Option<PathBuf>,
    /// The mechanism, or `mechanism:variant`, when it is not varied [default: sync]
    #[arg(long, value_name = "NAME")]
    pub mechanism: Option<String>,
    /// Add seeds until half the interval of the speed-up (of the throughput, where there is none) is at most so much [default: 2%]
    #[arg(long, value_name = "PERCENT%", conflicts_with = "reps")]
    pub precision: Option<String>,
    /// Seeds of a point at most, with --precision [default: 30]
    #[arg(long, value_name = "NUMBER", requires = "precision", value_parser = clap::value_parser!(u32).range(3..=1000))]
    pub reps_max: Option<u32>,
}

/// Where results go, what is done of the sweep, and on how many threads.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Carrying out")]
pub struct CarryingOutOptions {
    /// File of results: JSON lines, one a finished point, written at once
    #[arg(short, long, value_name = "FILE.jsonl")]
    pub output: Option<PathBuf>,
    /// Go on with the file: points that are in it are not run again
    #[arg(long, requires = "output")]
    pub resume: bool,
    /// With --resume: go on although the program or the workload is not the one of the file
    #[arg(long, requires = "resume")]
    pub force: bool,
    /// Only part I of N of the points; `ringscope merge` puts the parts together
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Print the points and an estimate of the time; run nothing but a short probe
    #[arg(long)]
    pub dry_run: bool,
    /// Print the JSON lines instead of a table
    #[arg(long)]
    pub json: bool,
    /// Host threads; 0: all
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    pub threads: usize,
}

/// `ringscope merge`.
#[derive(Debug, Args)]
pub struct MergeArguments {
    /// Files of the shards of one sweep
    #[arg(required = true, value_name = "FILE.jsonl")]
    pub parts: Vec<PathBuf>,
    /// File to write: what the whole sweep would have written
    #[arg(short, long, value_name = "FILE.jsonl")]
    pub output: PathBuf,
    /// Also write when points are missing; `ringscope sweep … --resume` on the new file runs them
    #[arg(long)]
    pub incomplete: bool,
    /// Also put parts together that different builds of the program have written, and replace the file to write
    #[arg(long)]
    pub force: bool,
}
