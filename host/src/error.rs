//! What can go wrong when a host is measured.

use std::io;

/// A host that can't be measured.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Not Linux on x86-64.
    #[error(
        "this build of the program can't measure a host: it was made for {system} on {architecture}, and Linux on x86_64 is needed"
    )]
    Unsupported {
        /// Operating system of the build.
        system: &'static str,
        /// Architecture of the build.
        architecture: &'static str,
    },
    /// The operating system refused something.
    #[error("{what}: {source}; {next}")]
    System {
        /// What was asked for.
        what: String,
        /// What the user can do.
        next: &'static str,
        /// The answer.
        source: io::Error,
    },
    /// A measurement needs more processors than the process may use.
    #[error("{what} needs {needed} processors, and this process may use {allowed}; give it more (taskset, cpuset)")]
    Processors {
        /// The measurement.
        what: &'static str,
        /// Processors that it needs.
        needed: usize,
        /// Processors that the process may use.
        allowed: usize,
    },
    /// Somebody asked to stop.
    #[error("interrupted")]
    Cancelled,
}

impl HostError {
    /// The error of a build for anything but Linux on x86-64.
    pub fn unsupported() -> HostError {
        HostError::Unsupported { system: std::env::consts::OS, architecture: std::env::consts::ARCH }
    }

    /// Says what was asked for, and what the user can do, of an error of the operating system.
    pub fn system<E: Into<io::Error>>(what: impl Into<String>, next: &'static str) -> impl FnOnce(E) -> HostError {
        let what = what.into();
        move |source| HostError::System { what, next, source: source.into() }
    }
}
