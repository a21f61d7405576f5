//! The one place where errors become messages and exit codes: 1 for a finding, 2 for what the user can change, 3 for a simulation that failed, 130 for
//! an interruption; a closed pipe is a quiet success.

use crate::cancel::{self, Interrupted};
use crate::config::ConfigError;
use crate::output;
use crate::refusal::Refused;
use crate::terminal::Terminal;
use mechanisms::compare::ExperimentError;
use mechanisms::simulate::SimulationError;
use std::io;
use std::process::ExitCode;

const FINDING: u8 = 1;
const USAGE: u8 = 2;
const SIMULATION: u8 = 3;

/// The work is done and its result shown; what it found is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Finding(pub String);

/// Points of a sweep failed; they have been listed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} of {points} points failed")]
pub struct PointsFailed {
    /// How many.
    pub count: usize,
    /// Of how many.
    pub points: usize,
}

/// A signal ended the full-screen view; the terminal is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ended by signal {0}")]
pub struct Signalled(pub i32);

/// Prints help, version or a usage error as clap has made it.
pub fn usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) if error.use_stderr() => ExitCode::from(USAGE),
        _ => ExitCode::SUCCESS,
    }
}

/// Prints an error and chooses the exit code.
pub fn failure(error: &anyhow::Error, terminal: &Terminal) -> ExitCode {
    let code = code_of(error);
    match code {
        0 => {}
        cancel::EXIT_CODE => output::remark("interrupted"),
        _ => output::remark(&message(error, terminal.color_errors)),
    }
    ExitCode::from(code)
}

fn code_of(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return 0;
        }
        if cause.is::<Finding>() {
            return FINDING;
        }
        if cause.is::<PointsFailed>() {
            return SIMULATION;
        }
        if let Some(Signalled(signal)) = cause.downcast_ref() {
            // as shells report it
            return u8::try_from(128 + signal).unwrap_or(cancel::EXIT_CODE);
        }
        if cause.is::<Interrupted>() {
            return cancel::EXIT_CODE;
        }
        match cause.downcast_ref::<ExperimentError>() {
            Some(ExperimentError::Cancelled | ExperimentError::Simulation { source: SimulationError::Cancelled, .. }) => {
                return cancel::EXIT_CODE;
            }
            Some(ExperimentError::Simulation { .. }) => return SIMULATION,
            _ => {}
        }
    }
    USAGE
}

fn message(error: &anyhow::Error, color: bool) -> String {
    if let Some(config) = error.downcast_ref::<ConfigError>() {
        return config.render(color);
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        return refused.render(color);
    }
    let label = if color { "\u{1b}[1;31merror\u{1b}[0m" } else { "error" };
    let mut text = format!("{label}: {error}");
    let mut shown = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Errors that contain their cause in their own text say it once.
        if !shown.contains(&cause) {
            text.push_str(&format!("\n  because: {cause}"));
            shown = cause;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn codes() {
        let closed = || Err::<(), _>(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(code_of(&closed().context("writing").unwrap_err()), 0);
        assert_eq!(code_of(&anyhow::Error::new(Interrupted)), 130);
        assert_eq!(code_of(&anyhow::Error::new(Finding("no longer within tolerance: A13".into()))), 1);
        assert_eq!(code_of(&anyhow::Error::new(ExperimentError::Cancelled)), 130);
        assert_eq!(code_of(&anyhow::Error::new(ExperimentError::Empty)), 2);
        assert_eq!(code_of(&anyhow::anyhow!("anything")), 2);
        let unbalanced = sim_core::stack::Unbalanced { accounted: 1, elapsed: 2 };
        let source = SimulationError::Unbalanced { core: 0, source: unbalanced };
        assert_eq!(code_of(&anyhow::Error::new(ExperimentError::Simulation { mechanism: "sync".into(), seed: 1, source })), 3);
    }

    #[test]
    fn causes_are_said_once() {
        let error = anyhow::anyhow!("no space").context("a.csv: can't be written");
        assert_eq!(message(&error, false), "error: a.csv: can't be written\n  because: no space");
        let error = anyhow::anyhow!("no space").context("a.csv: no space");
        assert_eq!(message(&error, false), "error: a.csv: no space");
    }
}
