//! What the terminal can show: width, colour, whether somebody watches.

use crate::args::{ColorChoice, GlobalOptions};
use std::io::IsTerminal;

/// Width of what is piped or redirected, so that it is the same everywhere.
pub const WIDTH_PIPED: usize = 120;
/// Tables never get narrower: below this a terminal wraps.
const WIDTH_LEAST: usize = 40;

/// What the terminal can show.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Columns of standard output.
    pub width: usize,
    /// Colour and bold on standard output.
    pub color: bool,
    /// Colour on standard error.
    pub color_errors: bool,
    /// Standard error is a terminal: a progress bar can be drawn.
    pub watched: bool,
    /// Only results and errors.
    pub quiet: bool,
    /// Show more.
    pub verbose: bool,
}

impl Terminal {
    /// Looks at the streams, the options and NO_COLOR.
    pub fn detect(options: &GlobalOptions) -> Terminal {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colored = |terminal: bool| match options.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !no_color,
        };
        let stdout = std::io::stdout();
        let width = if stdout.is_terminal() {
            terminal_size::terminal_size_of(&stdout).map_or(WIDTH_PIPED, |size| usize::from(size.0.0)).max(WIDTH_LEAST)
        } else {
            WIDTH_PIPED
        };
        let watched = std::io::stderr().is_terminal();
        Terminal {
            width,
            color: colored(stdout.is_terminal()),
            color_errors: colored(watched),
            watched,
            quiet: options.quiet,
            verbose: options.verbose,
        }
    }

    /// Text in bold, where the terminal shows it.
    pub fn bold(&self, text: &str) -> String {
        if self.color { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
