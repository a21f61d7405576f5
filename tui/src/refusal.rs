//! A WYKI program that was refused, shown with its source lines and carets.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use wyki::Diagnostic;

/// A refused program.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Its file.
    pub file: String,
    /// Its text.
    pub source: String,
    /// Why.
    pub faults: Vec<Diagnostic>,
}

impl Refused {
    /// All faults with their source lines and carets.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let faults: Vec<String> = self.faults.iter().map(|fault| self.render_fault(fault, &renderer)).collect();
        faults.join("\n\n")
    }

    fn render_fault(&self, fault: &Diagnostic, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(fault.message.as_str()).id(fault.code.as_str());
        let primary = AnnotationKind::Primary.span(self.visible(&fault.span)).label(fault.label.as_str());
        let mut snippet = Snippet::source(&*self.source).path(&*self.file).annotation(primary);
        if let Some(also) = &fault.also {
            snippet = snippet.annotation(AnnotationKind::Context.span(self.visible(&also.0)).label(also.1.as_str()));
        }
        let mut groups = vec![title.element(snippet)];
        if let Some(help) = &fault.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        renderer.render(&groups).to_string()
    }

    /// A span at the end of the text, or of more than one line, is shown by its beginning.
    fn visible(&self, span: &Range<usize>) -> Range<usize> {
        let start = span.start.min(self.source.len());
        let end = span.end.clamp(start, self.source.len());
        let first_line = self.source.get(start..end).and_then(|text| text.find('\n')).map_or(end, |length| start + length);
        start..first_line
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.faults.first() else { return write!(formatter, "{}: refused", self.file) };
        let (line, column) = first.place(&self.source);
        write!(formatter, "{}:{line}:{column}: {} ({})", self.file, first.message, first.code)
    }
}

impl std::error::Error for Refused {}
