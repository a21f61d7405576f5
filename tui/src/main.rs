//! `ringscope`: what would a program do if its system calls were issued another way? The command line over the other crates.
//!
//! Data goes to standard output, everything else to standard error. `args` declares the options once, `config` turns them and the
//! configuration files into settings, `commands` has one file per command, `render` shows results.

mod args;
mod cancel;
mod commands;
mod config;
mod exit;
mod numbers;
mod output;
mod palette;
mod parquet;
mod plot;
mod progress;
mod refusal;
mod render;
mod results;
mod screen;
mod sweep;
mod terminal;
mod timeline;
mod topics;
mod workloads;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = match args::parse() {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(&error),
    };
    let terminal = terminal::Terminal::detect(&arguments.global);
    match commands::dispatch(&arguments, &terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failure(&error, &terminal),
    }
}
