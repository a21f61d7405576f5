//! Errors in configuration: where, what, the nearest valid name, what to do next.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A piece of a configuration file or of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// File name, or `command line`.
    pub file: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
    /// Bytes of the text that are meant.
    pub span: Range<usize>,
}

impl Place {
    /// Another part of the same text.
    pub fn at(&self, span: Range<usize>) -> Place {
        Place { span, ..self.clone() }
    }

    /// `file:line` of a file, or the text of an option.
    pub fn short(&self) -> String {
        if self.is_option() { self.text.to_string() } else { format!("{}:{}", self.file, self.line()) }
    }

    /// True for something typed on the command line.
    pub fn is_option(&self) -> bool {
        &*self.file == COMMAND_LINE
    }

    fn line(&self) -> usize {
        self.text.as_bytes()[..self.span.start.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    /// The span inside the text, at least one character long where there is one, on character boundaries.
    fn visible_span(&self) -> Range<usize> {
        let mut start = self.span.start.min(self.text.len());
        while !self.text.is_char_boundary(start) {
            start -= 1;
        }
        let mut end = self.span.end.clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        start..end
    }
}

/// Name of the place of options.
pub const COMMAND_LINE: &str = "command line";

/// A configuration that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong.
    pub problem: String,
    /// Where, when it is in a text that the user wrote.
    pub place: Option<Place>,
    /// Words under the caret.
    pub label: String,
    /// What to do next.
    pub help: Option<String>,
}

impl ConfigError {
    /// An error at a place.
    pub fn at(place: Place, problem: impl Into<String>, label: impl Into<String>) -> ConfigError {
        ConfigError { problem: problem.into(), place: Some(place), label: label.into(), help: None }
    }

    /// The same with a next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> ConfigError {
        self.help = Some(help.into());
        self
    }

    /// The error with its source line and a caret.
    pub fn render(&self, color: bool) -> String {
        self.render_at(Level::ERROR, color)
    }

    /// The same for something that is no error.
    pub fn render_as_remark(&self, color: bool) -> String {
        self.render_at(Level::NOTE, color)
    }

    fn render_at(&self, level: Level<'_>, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let title = level.primary_title(self.problem.as_str());
        let main = match &self.place {
            Some(place) => {
                let annotation = AnnotationKind::Primary.span(place.visible_span()).label(self.label.as_str());
                let snippet = Snippet::source(&*place.text).path(&*place.file).annotation(annotation);
                title.element(snippet)
            }
            None => Group::with_title(title),
        };
        let mut groups = vec![main];
        if let Some(help) = &self.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        renderer.render(&groups).to_string()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.problem)
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_span() {
        let place = Place { file: "x.ron".into(), text: "(\n    run: (rep: 3),\n)".into(), span: 12..15 };
        assert_eq!(place.short(), "x.ron:2");
        let shown = ConfigError::at(place, "no field `rep`", "unknown").help("did you mean `reps`?").render(false);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(shown.contains("x.ron:2:11"), "{shown}");
        let caret = lines.iter().find(|line| line.contains('^')).expect("a caret");
        let source = lines.iter().find(|line| line.contains("run: (rep")).expect("the source line");
        assert_eq!(caret.find('^'), source.find("rep"), "{shown}");
    }

    #[test]
    fn a_span_at_the_end_is_shown() {
        let place = Place { file: "x".into(), text: "ü".into(), span: 1..9 };
        assert!(ConfigError::at(place, "cut", "here").render(false).contains("cut"));
    }
}
