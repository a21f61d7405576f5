//! What can go wrong when a twin runs.

use std::io;

/// A twin that could not be run.
#[derive(Debug, thiserror::Error)]
pub enum TwinError {
    /// A case file that cannot be used.
    #[error("case {name}: {cause}")]
    Case {
        /// Name of the case, or of its file.
        name: String,
        /// What is wrong and what is allowed.
        cause: String,
    },
    /// A name that no case has.
    #[error("unknown case '{name}'; known: {known}")]
    UnknownCase {
        /// What was asked for.
        name: String,
        /// All cases.
        known: String,
    },
    /// The host refused something.
    #[error("{what}: {source}")]
    Host {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// Processors, pinning, files.
    #[error(transparent)]
    Preparing(#[from] host::error::HostError),
    /// A call moved fewer bytes than asked for, or completed with an error.
    #[error("{what} returned {returned} where {expected} was expected")]
    Short {
        /// The call.
        what: &'static str,
        /// What it returned.
        returned: i64,
        /// What it should have.
        expected: i64,
    },
    /// A server that does not run.
    #[error("{name} {why}{}", if .said.is_empty() { String::new() } else { format!("; it says: {}", .said) })]
    Server {
        /// Its name.
        name: &'static str,
        /// What happened.
        why: String,
        /// The last that it wrote.
        said: String,
    },
    /// An answer that is not what was asked for.
    #[error("{0}")]
    Wrong(String),
    /// The host lacks what the case needs.
    #[error("{0}")]
    Lacking(String),
}

impl TwinError {
    /// A refusal of the host in words: maps the error of a call.
    pub fn host<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> TwinError {
        move |source| TwinError::Host { what, source: source.into() }
    }
}

/// Checks what a call returned.
pub(crate) fn expect_result(what: &'static str, returned: i64, expected: i64) -> Result<(), TwinError> {
    if returned == expected { Ok(()) } else { Err(TwinError::Short { what, returned, expected }) }
}

/// Checks how many bytes a call moved.
pub(crate) fn expect(what: &'static str, returned: i64, expected: usize) -> Result<(), TwinError> {
    expect_result(what, returned, expected as i64)
}
