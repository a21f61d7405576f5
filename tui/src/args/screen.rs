//! Arguments of `ringscope tui`.

use super::ExperimentOptions;
use crate::screen::ThemeName;
use clap::Args;

/// `ringscope tui`.
#[derive(Debug, Args)]
pub struct ScreenArguments {
    /// A bundled workload (`ringscope list workloads`), or a file: workload, capture, strace or ftrace log [default: that of --config,
    /// else memcached]
    pub workload: Option<String>,
    /// The mechanism to look at first (`ringscope list mechanisms`) [default: that of --config, else exception-less]
    #[arg(long, value_name = "NAME")]
    pub mechanism: Option<String>,
    /// What to simulate.
    #[command(flatten)]
    pub experiment: ExperimentOptions,
    /// Colours; NO_COLOR=1 and --color never turn them off
    #[arg(long, value_enum, value_name = "NAME", default_value_t = ThemeName::Dark, help_heading = "Screen")]
    pub theme: ThemeName,
    /// Only signs of ASCII [default: where LC_ALL, LC_CTYPE or LANG names another encoding than UTF-8]
    #[arg(long, help_heading = "Screen")]
    pub ascii: bool,
    /// Host threads for simulations; 0: all
    #[arg(long, value_name = "NUMBER", default_value_t = 0, help_heading = "Screen")]
    pub threads: usize,
}
