//! Arguments of `ringscope calibrate`.

use clap::Args;
use std::path::PathBuf;

/// `ringscope calibrate`.
#[derive(Debug, Args)]
pub struct CalibrateArguments {
    /// Machine description to write; beside FILE.ron also FILE.kernel.ron (for --config) and FILE.json (raw series)
    #[arg(short, long, value_name = "FILE.ron")]
    pub output: Option<PathBuf>,
    /// Fewer repetitions: a first look, without memory latency
    #[arg(long)]
    pub quick: bool,
    /// Print JSON instead of tables: values, findings and raw series
    #[arg(long)]
    pub json: bool,
    /// Seed of the random orders
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}
