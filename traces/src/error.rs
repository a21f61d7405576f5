//! What can go wrong while reading a trace: each error says where, what, and what to try next.

use std::io;

/// An error of a reader or importer.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The operating system could not read or write the file.
    #[error("{file}: {source}. {advice}")]
    File {
        /// File name.
        file: String,
        /// What the operating system said.
        source: io::Error,
        /// What to try next.
        advice: String,
    },
    /// The bytes at `offset` are not what the format asks for.
    #[error("{file}: byte {offset}: {problem}. {advice}")]
    AtByte {
        /// File name.
        file: String,
        /// Byte offset, in the decompressed bytes unless `problem` speaks of the compressed ones.
        offset: u64,
        /// What is wrong there.
        problem: String,
        /// What to try next.
        advice: String,
    },
    /// A line of a text format can't be read.
    #[error("{file}: line {line}: {problem}. {advice}")]
    AtLine {
        /// File name.
        file: String,
        /// Line number, from 1.
        line: u64,
        /// What is wrong there.
        problem: String,
        /// What to try next.
        advice: String,
    },
    /// The file as a whole can't be used: empty, unknown format, nothing in it to replay.
    #[error("{file}: {problem}. {advice}")]
    Content {
        /// File name.
        file: String,
        /// What is wrong with it.
        problem: String,
        /// What to try next.
        advice: String,
    },
    /// A name that is not in a list of names.
    #[error("no {kind} named `{name}`{}. Known: {known}", nearest.as_ref().map_or(String::new(), |near| format!("; did you mean `{near}`?")))]
    UnknownName {
        /// What kind of thing was asked for.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The known name that is closest, if one is close.
        nearest: Option<String>,
        /// All known names, separated by commas.
        known: String,
    },
}

/// Advice for files that are cut or corrupt.
pub const ADVICE_LENIENT: &str = "Copy the file again, or read it leniently (--lenient) to use what comes before the damage";

impl TraceError {
    /// An error at a byte, with the usual advice for damaged files.
    pub fn at_byte(file: &str, offset: u64, problem: impl Into<String>) -> Self {
        TraceError::AtByte { file: file.to_owned(), offset, problem: problem.into(), advice: ADVICE_LENIENT.to_owned() }
    }

    /// An error at a line, with the usual advice for damaged files.
    pub fn at_line(file: &str, line: u64, problem: impl Into<String>) -> Self {
        TraceError::AtLine { file: file.to_owned(), line, problem: problem.into(), advice: ADVICE_LENIENT.to_owned() }
    }

    /// An error about the whole file.
    pub fn content(file: &str, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        TraceError::Content { file: file.to_owned(), problem: problem.into(), advice: advice.into() }
    }

    /// An unknown name, with the nearest of the known ones.
    pub fn unknown_name<'a>(kind: &'static str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let nearest = sim_core::nearest::nearest(name, known.iter().copied()).map(str::to_owned);
        TraceError::UnknownName { kind, name: name.to_owned(), nearest, known: known.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_bring_the_nearest_one() {
        let error = TraceError::unknown_name("workload", "memcache", ["nginx", "memcached", "memcached-udp"]);
        assert!(error.to_string().contains("did you mean `memcached`?"), "{error}");
        let error = TraceError::unknown_name("workload", "zzzzzzzzzzzzzzzz", ["nginx"]);
        assert_eq!(error.to_string(), "no workload named `zzzzzzzzzzzzzzzz`. Known: nginx");
    }

    #[test]
    fn places_are_in_the_message() {
        assert!(TraceError::at_byte("a.trace", 17, "cut").to_string().starts_with("a.trace: byte 17: cut. "));
        assert!(TraceError::at_line("a.txt", 3, "cut").to_string().starts_with("a.txt: line 3: cut. "));
    }
}
