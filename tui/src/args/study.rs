//! Arguments of `ringscope study`.

use super::{ExperimentOptions, OutputOptions, help};
use clap::{Args, Subcommand};

/// `ringscope study`.
#[derive(Debug, Subcommand)]
pub enum StudyCommand {
    /// What a call that does nothing costs, by way of issuing it and by how many are issued together
    #[command(after_long_help = help::NULL_CALL)]
    NullCall(NullCallArguments),
}

/// `ringscope study null-call`.
#[derive(Debug, Args)]
pub struct NullCallArguments {
    /// Another call of the bundled microbenchmark recording, such as pread64: shows what elevated depths save [default: getppid]
    #[arg(long, value_name = "CALL")]
    pub call: Option<String>,
    /// What to simulate.
    #[command(flatten)]
    pub experiment: ExperimentOptions,
    /// Where results go; here a file may also end in .svg.
    #[command(flatten)]
    pub output: OutputOptions,
}
