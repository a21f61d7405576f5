//! Commands and options, declared once: parsing, help, completions, the manual page and the canonical command come from here.

mod calibrate;
mod canonical;
mod experiment;
mod help;
mod results;
mod screen;
mod study;
mod sweep;
mod validate;

pub use calibrate::CalibrateArguments;
pub use canonical::{canonical_command, quoted};
pub use experiment::{ClientChoice, ExperimentOptions, OutputOptions, Switch};
pub use results::{DiffArguments, ReportArguments};
pub use screen::ScreenArguments;
pub use study::{NullCallArguments, StudyCommand};
pub use sweep::{MergeArguments, SweepArguments};
pub use validate::{AblationChoice, HostArguments, PapersArguments, TwinArguments, ValidateCommand};

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::Yellow.on_default());

/// What would a program do if its system calls were issued another way?
#[derive(Debug, Parser)]
#[command(name = "ringscope", version, about, long_about = help::ABOUT, after_long_help = help::EXAMPLES, styles = STYLES)]
#[command(max_term_width = 110, disable_help_subcommand = true)]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Terminal")]
pub struct GlobalOptions {
    /// No progress, no remarks: only results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Show more: all rows of a table, where values come from
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colour (NO_COLOR=1 turns it off too)
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all five mechanisms on one workload and compare them: the main job
    #[command(after_long_help = help::COMPARE)]
    Compare(CompareArguments),
    /// Run one mechanism in depth: cycle stack, counters, who evicted what, calls
    #[command(after_long_help = help::RUN)]
    Run(RunArguments),
    /// Run a grid of points: cores, connections, mechanisms, any setting; each point is kept as soon as it is finished
    #[command(after_long_help = help::SWEEP)]
    Sweep(Box<SweepArguments>),
    /// Put the shards of a sweep together
    #[command(after_long_help = help::MERGE)]
    Merge(MergeArguments),
    /// Show results of sweeps, comparisons and runs: a table, a page with plots, CSV, JSON, Parquet
    #[command(after_long_help = help::REPORT)]
    Report(ReportArguments),
    /// Say what differs between two results, beyond the intervals (exit code 1 if anything does)
    #[command(after_long_help = help::DIFF)]
    Diff(DiffArguments),
    /// Say which calls to move first, to what, what it would bring and cost, and how sure that is
    #[command(after_long_help = help::ADVISE)]
    Advise(AdviseArguments),
    /// Turn knobs and see the answers at once: the full-screen view
    #[command(after_long_help = help::TUI)]
    Tui(Box<ScreenArguments>),
    /// Fixed studies of the model, as tables and pictures
    Study {
        /// Which one.
        #[command(subcommand)]
        command: StudyCommand,
    },
    /// Measure this host: write its machine description and what its kernel's calls cost
    #[command(after_long_help = help::CALIBRATE)]
    Calibrate(CalibrateArguments),
    /// Predicted beside published, or beside measured: how far off the model is
    Validate {
        /// What to compare with.
        #[command(subcommand)]
        command: ValidateCommand,
    },
    /// Send a capture or a lackey memory trace straight through the caches and TLBs
    #[command(after_long_help = help::REPLAY)]
    Replay(ReplayArguments),
    /// Turn a recording (capture, strace log, ftrace log) into a workload file
    #[command(after_long_help = help::IMPORT)]
    Import(ImportArguments),
    /// Look into recordings
    Trace {
        /// What to look at.
        #[command(subcommand)]
        command: TraceCommand,
    },
    /// Check a service written in WYKI, the language of in-kernel services
    Dsl {
        /// What to do with it.
        #[command(subcommand)]
        command: DslCommand,
    },
    /// Check scripts that run in the kernel
    Script {
        /// What to do with them.
        #[command(subcommand)]
        command: ScriptCommand,
    },
    /// List machines, kernels, mechanisms, variants, workloads or system calls
    List(ListArguments),
    /// Explain a machine, kernel, mechanism, workload, setting, component of the cycle stack or key of a report
    #[command(after_long_help = help::EXPLAIN)]
    Explain(ExplainArguments),
    /// Show, check or begin a configuration
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a completion script for a shell
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    Man,
}

/// `ringscope compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// A bundled workload (`ringscope list workloads`), or a file: workload, capture, strace or ftrace log
    pub workload: String,
    /// Mechanisms, or `mechanism:variant`, to compare with sync, separated by commas; all when left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub mechanism: Vec<String>,
    /// Also write cycles as folded stacks `workload;mechanism;mode;work;cause`, for flame-graph tools (first seed)
    #[arg(long, value_name = "FILE")]
    pub folded: Option<PathBuf>,
    /// What to simulate.
    #[command(flatten)]
    pub experiment: ExperimentOptions,
    /// Where results go.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// `ringscope run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// A bundled workload (`ringscope list workloads`), or a file: workload, capture, strace or ftrace log
    pub workload: String,
    /// The mechanism (`ringscope list mechanisms`), or `mechanism:variant` (`ringscope list variants`)
    #[arg(long, value_name = "NAME", default_value = "sync")]
    pub mechanism: String,
    /// Also write what each core did over time, for ui.perfetto.dev or chrome://tracing (first seed)
    #[arg(long, value_name = "FILE.json")]
    pub timeline: Option<PathBuf>,
    /// Part of the measured window in the timeline, in microseconds or with units: 500..800, 1ms..2.5ms [default: 0ms..2ms]
    #[arg(long, value_name = "START..END", requires = "timeline")]
    pub timeline_window: Option<String>,
    /// Also write cycles as folded stacks `workload;mechanism;mode;work;cause`, for flame-graph tools (first seed)
    #[arg(long, value_name = "FILE")]
    pub folded: Option<PathBuf>,
    /// What to simulate.
    #[command(flatten)]
    pub experiment: ExperimentOptions,
    /// Where results go.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// `ringscope advise`.
#[derive(Debug, Args)]
pub struct AdviseArguments {
    /// A bundled workload (`ringscope list workloads`), or a file: workload, capture, strace or ftrace log
    pub workload: String,
    /// Mechanisms, or `mechanism:variant`, to consider, separated by commas; all and io_uring when left out
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub mechanism: Vec<String>,
    /// Simulations at most [default: 120]
    #[arg(long, value_name = "NUMBER")]
    pub budget: Option<u64>,
    /// What to simulate.
    #[command(flatten)]
    pub experiment: ExperimentOptions,
    /// Print JSON instead of text
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Also write the advice to a file: .json (may be repeated)
    #[arg(short, long, value_name = "FILE.json", help_heading = "Output")]
    pub output: Vec<PathBuf>,
    /// Host threads; 0: all
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = "Output")]
    pub threads: usize,
    /// Say how long the simulations took (differs from run to run)
    #[arg(long, help_heading = "Output")]
    pub timing: bool,
}

/// `ringscope replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// A full-system capture or a memory trace of valgrind's lackey, also compressed (gz, zst); `-` is standard input
    pub file: PathBuf,
    /// Machine: a preset (`ringscope list machines`) or a RON file with a whole description
    #[arg(long, value_name = "NAME|FILE")]
    pub machine: Option<String>,
    /// Who evicted what: on, or off for a faster replay
    #[arg(long, value_enum, value_name = "ON|OFF", default_value_t = Switch::On)]
    pub ledger: Switch,
    /// Also replay each mode alone: `full`, or `1/N` for one cache set in N
    #[arg(long, value_name = "full|1/N", num_args = 0..=1, require_equals = true, default_missing_value = "full")]
    pub shadow: Option<String>,
    /// Seed of the frames behind the pages
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Use what comes before a damage, instead of failing
    #[arg(long)]
    pub lenient: bool,
    /// Change one value, or with `*` all of a group: `machine.l2.size_kib=512`
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// A configuration file with the values to change (may be repeated)
    #[arg(long, value_name = "FILE.ron")]
    pub config: Vec<PathBuf>,
    /// Where results go.
    #[command(flatten)]
    pub output: OutputOptions,
}

/// `ringscope import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The recording, also compressed (gz, zst)
    pub file: PathBuf,
    /// Workload file to write; without it only what was understood is printed
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Name of the workload [default: the file's name without endings]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// `/proc/PID/maps` of the recorded processes, for a capture
    #[arg(long, value_name = "FILE")]
    pub maps: Option<PathBuf>,
    /// Bundled workload that lends kernel work to a recording of calls [default: the most similar one]
    #[arg(long, value_name = "WORKLOAD")]
    pub base: Option<String>,
    /// Use what comes before a damage, instead of failing
    #[arg(long)]
    pub lenient: bool,
    /// Print what was understood as JSON
    #[arg(long)]
    pub json: bool,
}

/// `ringscope trace`.
#[derive(Debug, Subcommand)]
pub enum TraceCommand {
    /// Say what is in a recording: what was understood, guessed and dropped
    Info {
        /// The recording, also compressed (gz, zst)
        file: PathBuf,
        /// Use what comes before a damage, instead of failing
        #[arg(long)]
        lenient: bool,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// `ringscope dsl`.
#[derive(Debug, Subcommand)]
pub enum DslCommand {
    /// Compile a service and show its shape and proven bounds, or why it is refused, with line and caret
    #[command(after_long_help = help::DSL_CHECK)]
    Check {
        /// The service
        file: PathBuf,
        /// Optimisations to leave out, separated by commas
        #[arg(long, value_name = "NAMES", value_enum, value_delimiter = ',')]
        without: Vec<Optimisation>,
        /// Instructions between two yields at most [default: 2000]
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(i64::from(wyki::STRETCH_BOUND_LEAST)..))]
        stretch: Option<u32>,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
}

/// `ringscope script`.
#[derive(Debug, Subcommand)]
pub enum ScriptCommand {
    /// Find syntax errors, unknown calls and misuse of calls without running a simulation
    #[command(after_long_help = help::SCRIPT_CHECK)]
    Check {
        /// The script
        file: PathBuf,
        /// Print findings as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What the compiler of services does beyond translating.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Optimisation {
    /// Tables in superpages
    Superpages,
    /// No thread: the service runs where the packet arrives
    ThreadCollapse,
    /// No socket: the service takes data from the protocol
    SocketCollapse,
    /// Parsers compiled for their place
    InlineParsing,
}

/// `ringscope list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    /// What to list
    pub what: ListChoice,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListChoice {
    /// Machine descriptions that come with the program
    Machines,
    /// Kernel descriptions that come with the program
    Kernels,
    /// Ways of issuing system calls
    Mechanisms,
    /// Variants of the mechanisms: `mechanism:variant`, for --mechanism
    Variants,
    /// Workloads that come with the program
    Workloads,
    /// System calls by number
    Syscalls,
}

/// `ringscope explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A name: `nehalem`, `exception-less`, `memcached`, `kernel.fetch_l2`, `batch.mean`, `run.reps`, `coherence` …
    pub name: String,
}

/// `ringscope config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings that a command with the same options would use
    #[command(after_long_help = help::CONFIG_SHOW)]
    Show {
        /// Only this group or value: `machine.l2`
        path: Option<String>,
        /// Say where each value came from
        #[arg(long)]
        origin: bool,
        /// Print as JSON
        #[arg(long)]
        json: bool,
        /// What to simulate.
        #[command(flatten)]
        experiment: Box<ExperimentOptions>,
    },
    /// Check configuration files and options without running anything
    Check {
        /// Configuration files, as for --config
        files: Vec<PathBuf>,
        /// What to simulate.
        #[command(flatten)]
        experiment: Box<ExperimentOptions>,
    },
    /// Print a configuration file with every value as a comment, to begin from
    Template {
        /// What to simulate.
        #[command(flatten)]
        experiment: Box<ExperimentOptions>,
    },
}

/// Parses the command line.
///
/// # Errors
/// Usage errors, and the texts of --help and --version.
pub fn parse() -> Result<Arguments, clap::Error> {
    Arguments::try_parse()
}

/// The definition of all commands, for completions and the manual page.
pub fn definition() -> clap::Command {
    Arguments::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }
}
