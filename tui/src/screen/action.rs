//! What can happen to the state, and what the state asks the outside to do.

use super::questions::Question;
use super::scenario::Scenario;
use super::snapshot::Snapshot;
use std::path::PathBuf;
use std::sync::Arc;

/// Something that happens to the state: a key, the mouse, the terminal, the worker.
#[derive(Clone, Debug)]
pub enum Action {
    /// Ends the program.
    Quit,
    /// Shows or hides the help.
    Help,
    /// Puts away what is open: help, prompt, message, filter.
    Dismiss,
    /// Another view, by so many tabs.
    Turn(isize),
    /// The view at a position from 0.
    Show(usize),
    /// Changes between the knobs and the answers.
    SwitchPane,
    /// Chooses another knob, by so many.
    Choose(isize),
    /// Changes the chosen knob by so many steps.
    Step(isize),
    /// Opens the prompt for the chosen knob's value.
    EnterValue,
    /// Opens a prompt.
    Ask(Asking),
    /// Types a character into the prompt.
    Type(char),
    /// Takes the last character of the prompt back.
    Erase,
    /// Accepts the prompt.
    Accept,
    /// Takes the last change of the scenario back.
    Undo,
    /// Makes it again.
    Redo,
    /// Pins the scenario: views show differences from it. Pins it anew when it is another one, else unpins it.
    Pin,
    /// Exchanges the pinned scenario and the present one.
    Swap,
    /// Shows the command that gives the same answer, and copies it.
    Command,
    /// The next theme.
    Theme,
    /// Something for the view that is shown.
    View(ViewAction),
    /// The terminal has another size.
    Resize(u16, u16),
    /// A click at a column and row.
    Click(u16, u16),
    /// The wheel at a column and row, down when positive.
    Wheel(u16, u16, isize),
    /// Time has passed for a view that moves by itself.
    Tick,
    /// The worker knows more.
    Arrived(Arc<Snapshot>),
    /// A scenario was read from a file.
    Loaded(Box<Scenario>),
    /// Something to tell.
    Told(Message),
}

/// What views do with keys. A view passes over what it has no use for; the key table says which keys each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewAction {
    /// One up.
    Up,
    /// One down.
    Down,
    /// One to the left.
    Left,
    /// One to the right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// Opens what is under the cursor.
    Open,
    /// Back from what was opened.
    Back,
    /// The next mechanism.
    NextMechanism,
    /// The next of what is shown: structure, kind of plot, scale.
    NextKind,
    /// The next unit: cycles, shares, misses.
    NextUnit,
    /// Shows less, larger.
    ZoomIn,
    /// Shows more, smaller.
    ZoomOut,
    /// Runs or pauses what moves by itself.
    Run,
}

/// What a prompt asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asking {
    /// The value of the chosen knob.
    Value,
    /// A filter for rows.
    Filter,
    /// A file to save the scenario in.
    Save,
    /// A file with a scenario.
    Load,
    /// A file to export what is shown to.
    Export,
}

/// Something told in the line above the hints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What.
    pub text: String,
    /// It says that something did not work.
    pub is_error: bool,
}

impl Message {
    /// Something done.
    pub fn done(text: impl Into<String>) -> Message {
        Message { text: text.into(), is_error: false }
    }

    /// Something that did not work.
    pub fn error(text: impl Into<String>) -> Message {
        Message { text: text.into(), is_error: true }
    }
}

/// What the state asks the outside to do.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Ends the program.
    Quit,
    /// Drops all simulations and begins those of the present scenario.
    Simulate,
    /// Looks at what another chosen knob leads to, once nothing more urgent is left.
    LookAhead,
    /// Answers a view's question about the present scenario.
    Ask(Question),
    /// Writes a file.
    Write {
        /// The file.
        file: PathBuf,
        /// Its content.
        content: String,
    },
    /// Reads a scenario.
    Load(PathBuf),
    /// Copies a text to the clipboard of the terminal.
    Copy(String),
}
