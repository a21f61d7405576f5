//! Why a program is refused: a code, a message, a place in the source and what to do.

use std::fmt;
use std::ops::Range;

/// Kinds of faults. The number of a code stays when codes are added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// The text does not follow the grammar.
    Syntax,
    /// A name that nothing declares, or that is declared twice.
    Name,
    /// A value of one type where another is needed.
    Type,
    /// A loop without a static bound.
    UnboundedLoop,
    /// An access that always lies outside its bytes, or a reply that may outgrow its limit.
    OutOfBounds,
    /// A table entry or the message used after its release.
    UseAfterRelease,
    /// A key, a value or a table over its declared or possible bound.
    TableBound,
    /// A path that ends without reply, up, drop or more; or statements that no path reaches.
    Path,
}

impl Code {
    /// As printed: `W04`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Syntax => "W01",
            Code::Name => "W02",
            Code::Type => "W03",
            Code::UnboundedLoop => "W04",
            Code::OutOfBounds => "W05",
            Code::UseAfterRelease => "W06",
            Code::TableBound => "W07",
            Code::Path => "W08",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One fault of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which kind of fault.
    pub code: Code,
    /// What is wrong, in one sentence.
    pub message: String,
    /// Bytes of the source that are meant.
    pub span: Range<usize>,
    /// What stands at the caret.
    pub label: String,
    /// Another place that belongs to the fault, with its label.
    pub also: Option<Box<(Range<usize>, String)>>,
    /// What to do, where the compiler knows.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, span: &Range<usize>, message: impl Into<String>, label: impl Into<String>) -> Diagnostic {
        Diagnostic { code, message: message.into(), span: span.clone(), label: label.into(), also: None, help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn also(mut self, span: &Range<usize>, label: impl Into<String>) -> Diagnostic {
        self.also = Some(Box::new((span.clone(), label.into())));
        self
    }

    /// Line and column of the fault, both from one; columns count characters.
    pub fn place(&self, source: &str) -> (usize, usize) {
        let mut start = self.span.start.min(source.len());
        while !source.is_char_boundary(start) {
            start -= 1;
        }
        let before = &source[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}
