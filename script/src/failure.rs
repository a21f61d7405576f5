//! How scripts fail: when they are loaded, and when they run.

use crate::engine::Limits;

/// A script that cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LoadError {
    /// Lua's message with file and line, or ours.
    pub message: String,
    /// The line, from 1, when it is known.
    pub line: Option<u32>,
}

/// What ended an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// An error that the script raised, or that Lua or a binding raised in it.
    Error,
    /// More instructions than allowed.
    InstructionLimit,
    /// More memory than allowed.
    MemoryLimit,
}

impl FailureKind {
    /// What reports call invocations that ended so.
    pub fn occurrence(self) -> &'static str {
        match self {
            FailureKind::Error => "scripts ended by an error",
            FailureKind::InstructionLimit => "scripts ended by the instruction limit",
            FailureKind::MemoryLimit => "scripts ended by the memory limit",
        }
    }
}

/// An invocation that did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What ended it.
    pub kind: FailureKind,
    /// The Lua message with file and line.
    pub message: String,
    /// The line, from 1, when it is known.
    pub line: Option<u32>,
}

impl Failure {
    /// Makes a failure of Lua's error. `at` is where the instruction limit was reached, if it was.
    pub(crate) fn of(error: &mlua::Error, at: Option<String>, limits: Limits) -> Failure {
        if let Some(place) = at {
            let message = format!("{place}: the script ran more than {} instructions in one invocation", limits.instructions);
            return Failure { kind: FailureKind::InstructionLimit, line: line_of(&message), message };
        }
        let cause = root(error);
        if let mlua::Error::MemoryError(_) = cause {
            let message = format!("not enough memory: the script's state may take {} bytes", limits.memory_bytes);
            return Failure { kind: FailureKind::MemoryLimit, line: None, message };
        }
        let message = first_line(cause);
        Failure { kind: FailureKind::Error, line: line_of(&message), message }
    }
}

fn root(error: &mlua::Error) -> &mlua::Error {
    match error {
        mlua::Error::CallbackError { cause, .. } => root(cause),
        mlua::Error::WithContext { cause, .. } => root(cause),
        other => other,
    }
}

/// The message itself, without traceback and without addresses, which change from run to run.
fn first_line(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::RuntimeError(message) => message.clone(),
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        other => other.to_string(),
    };
    without_addresses(text.lines().next().unwrap_or("unknown error"))
}

fn without_addresses(text: &str) -> String {
    let mut parts = text.split("0x");
    let mut clean = parts.next().unwrap_or("").to_owned();
    for part in parts {
        clean.push_str("(address)");
        clean.push_str(part.trim_start_matches(|letter: char| letter.is_ascii_hexdigit()));
    }
    clean
}

/// The line in `file.lua:LINE: message`.
pub(crate) fn line_of(message: &str) -> Option<u32> {
    message.split(':').skip(1).find_map(|part| part.parse().ok())
}

impl LoadError {
    pub(crate) fn of(error: &mlua::Error) -> LoadError {
        let message = first_line(root(error));
        LoadError { line: line_of(&message), message }
    }
}

impl From<Failure> for LoadError {
    fn from(failure: Failure) -> LoadError {
        LoadError { message: failure.message, line: failure.line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_addresses() {
        assert_eq!(line_of("a.lua:12: no"), Some(12));
        assert_eq!(line_of("no place"), None);
        assert_eq!(without_addresses("table: 0x7f12ab is bad"), "table: (address) is bad");
    }
}
