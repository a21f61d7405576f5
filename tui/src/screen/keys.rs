//! The one table of keys: what each does, where, and in which words. Dispatch, the hints in the last line and the help come from it.

use super::action::{Action, Asking, ViewAction};
use super::state::{Pane, State};
use Key::{BackTab, Backspace, Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab, Up};
use Scope::{Everywhere, Knobs, Prompt, View, Views};
use crossterm::event::{KeyEvent, KeyModifiers};

/// A key, as the terminal library names it. With Control it is the control character that terminals send.
pub use crossterm::event::KeyCode as Key;

/// Control and c.
pub const CTRL_C: Key = Char('\u{3}');
/// Control and r.
pub const CTRL_R: Key = Char('\u{12}');

/// The key of an event.
pub fn pressed(event: KeyEvent) -> Key {
    match event.code {
        Char(character) if event.modifiers.contains(KeyModifiers::CONTROL) && character.is_ascii_alphabetic() => {
            Char(char::from(character as u8 & 0x1f))
        }
        code => code,
    }
}

/// Name for people.
pub fn name(key: Key) -> String {
    match key {
        Char(' ') => "Space".into(),
        Char(character) if character.is_ascii_control() => format!("Ctrl-{}", char::from(character as u8 | 0x60)),
        Char(character) => character.to_string(),
        BackTab => "Shift-Tab".into(),
        PageUp => "PgUp".into(),
        PageDown => "PgDn".into(),
        other => format!("{other:?}"),
    }
}

/// Where a key has its meaning. What comes first in this list wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// While a prompt is open.
    Prompt,
    /// While the help is open.
    Help,
    /// In the knobs.
    Knobs,
    /// In the view of this name.
    View(&'static str),
    /// In any view.
    Views,
    /// Everywhere, but not while a prompt or the help is open.
    Everywhere,
}

/// One row of the table.
pub struct Binding {
    /// Where.
    pub scope: Scope,
    /// Any of these keys.
    pub keys: &'static [Key],
    /// What it does.
    pub action: Action,
    /// In the help.
    pub help: &'static str,
    /// In the last line, in a word or two; nothing when empty.
    pub hint: &'static str,
}

const fn bind(scope: Scope, keys: &'static [Key], action: Action, hint: &'static str, help: &'static str) -> Binding {
    Binding { scope, keys, action, help, hint }
}

/// All keys.
#[rustfmt::skip]
pub const TABLE: &[Binding] = &[
    bind(Prompt, &[Enter], Action::Accept, "accept", "accept what is typed"),
    bind(Prompt, &[Esc, CTRL_C], Action::Dismiss, "cancel", "leave everything as it was"),
    bind(Prompt, &[Backspace], Action::Erase, "", "take the last character back"),
    bind(Scope::Help, &[Down, Char('j')], Action::View(ViewAction::Down), "", "scroll"),
    bind(Scope::Help, &[Up, Char('k')], Action::View(ViewAction::Up), "", "scroll"),
    bind(Scope::Help, &[PageDown, Char(' ')], Action::View(ViewAction::PageDown), "", "a page down"),
    bind(Scope::Help, &[PageUp], Action::View(ViewAction::PageUp), "", "a page up"),
    bind(Scope::Help, &[Esc, Char('?'), Char('q'), CTRL_C, Enter], Action::Dismiss, "close", "close the help"),

    bind(Knobs, &[Down, Char('j')], Action::Choose(1), "", "next knob"),
    bind(Knobs, &[Up, Char('k')], Action::Choose(-1), "", "previous knob"),
    bind(Knobs, &[Right, Char('l')], Action::Step(1), "more", "more, or the next name"),
    bind(Knobs, &[Left, Char('h')], Action::Step(-1), "less", "less, or the name before"),
    bind(Knobs, &[Enter], Action::EnterValue, "type", "type a value"),

    bind(View("Compare"), &[Char('m')], Action::View(ViewAction::NextKind), "detail", "show the reasons in words, or in cycles"),
    bind(View("Cycles"), &[Char('m')], Action::View(ViewAction::NextUnit), "unit", "cycles per request, or shares of all cycles"),
    bind(View("Pollution"), &[Enter], Action::View(ViewAction::Open), "open", "go down: modes, calls, kernel functions"),
    bind(View("Pollution"), &[Esc, Backspace], Action::View(ViewAction::Back), "back", "go up again"),
    bind(View("Pollution"), &[Char('n')], Action::View(ViewAction::NextKind), "structure", "the next structure: caches, TLBs, branch predictor"),
    bind(View("Pollution"), &[Char('m')], Action::View(ViewAction::NextUnit), "unit", "misses, cycles waited, or shares of the misses"),
    bind(View("Pollution"), &[Char('v')], Action::View(ViewAction::NextMechanism), "mechanism", "the next mechanism"),
    bind(View("Latency"), &[Char('n')], Action::View(ViewAction::NextKind), "plot", "histograms, or cumulative curves"),
    bind(View("Latency"), &[Char('v')], Action::View(ViewAction::NextMechanism), "mechanism", "one mechanism after the other, then all"),
    bind(View("Latency"), &[Left, Char('h')], Action::View(ViewAction::Left), "read", "move the cursor that reads shares"),
    bind(View("Latency"), &[Right, Char('l')], Action::View(ViewAction::Right), "", "move the cursor that reads shares"),
    bind(View("Latency"), &[Esc, Backspace], Action::View(ViewAction::Back), "", "put the cursor away"),
    bind(View("Timeline"), &[Right, Char('l')], Action::View(ViewAction::Right), "step", "to the next event"),
    bind(View("Timeline"), &[Left, Char('h')], Action::View(ViewAction::Left), "", "to the event before"),
    bind(View("Timeline"), &[Char(' ')], Action::View(ViewAction::Run), "run/pause", "run or pause"),
    bind(View("Timeline"), &[Char('z')], Action::View(ViewAction::ZoomIn), "zoom", "show less time, larger"),
    bind(View("Timeline"), &[Char('Z')], Action::View(ViewAction::ZoomOut), "", "show more time, smaller"),
    bind(View("Timeline"), &[Char('v')], Action::View(ViewAction::NextMechanism), "mechanism", "the next mechanism"),
    bind(View("Sweep"), &[Enter], Action::View(ViewAction::Open), "start", "simulate the values of the knob"),
    bind(View("Sweep"), &[Left, Char('h')], Action::View(ViewAction::Left), "read", "read the values to the left"),
    bind(View("Sweep"), &[Right, Char('l')], Action::View(ViewAction::Right), "", "read the values to the right"),
    bind(View("Sweep"), &[Char('n'), Down, Char('j')], Action::View(ViewAction::NextKind), "knob", "the next knob"),
    bind(View("Sweep"), &[Up, Char('k')], Action::View(ViewAction::Up), "", "the knob before"),
    bind(View("Sweep"), &[Char('m')], Action::View(ViewAction::NextUnit), "measure", "throughput, speed-up, latency, processor time"),
    bind(View("Sweep"), &[Char('v')], Action::View(ViewAction::NextMechanism), "curves", "a curve for each mechanism, or for each variant of the one in focus"),
    bind(View("Calls"), &[Left, Char('h')], Action::View(ViewAction::Left), "sort", "sort by the column before"),
    bind(View("Calls"), &[Right, Char('l')], Action::View(ViewAction::Right), "", "sort by the next column"),
    bind(View("Calls"), &[Enter], Action::View(ViewAction::Open), "reverse", "reverse the order"),
    bind(View("Calls"), &[Char('n')], Action::View(ViewAction::NextKind), "structure", "the structure whose misses are shown"),
    bind(View("Calls"), &[Char('v')], Action::View(ViewAction::NextMechanism), "mechanism", "the next mechanism"),

    bind(Views, &[Down, Char('j')], Action::View(ViewAction::Down), "", "down"),
    bind(Views, &[Up, Char('k')], Action::View(ViewAction::Up), "", "up"),
    bind(Views, &[Left, Char('h')], Action::View(ViewAction::Left), "", "left"),
    bind(Views, &[Right, Char('l')], Action::View(ViewAction::Right), "", "right"),
    bind(Views, &[PageDown], Action::View(ViewAction::PageDown), "", "a page down"),
    bind(Views, &[PageUp], Action::View(ViewAction::PageUp), "", "a page up"),
    bind(Views, &[Home], Action::View(ViewAction::Home), "", "to the beginning"),
    bind(Views, &[End], Action::View(ViewAction::End), "", "to the end"),

    bind(Everywhere, &[Char('?')], Action::Help, "help", "this help"),
    bind(Everywhere, &[Char('g')], Action::SwitchPane, "knobs/answers", "change between the knobs and the answers"),
    bind(Everywhere, &[Char('+'), Char('=')], Action::Step(1), "more", "more of the chosen knob, or the next name"),
    bind(Everywhere, &[Char('-')], Action::Step(-1), "less", "less of the chosen knob, or the name before"),
    bind(Everywhere, &[Char('J')], Action::Choose(1), "", "choose the next knob"),
    bind(Everywhere, &[Char('K')], Action::Choose(-1), "", "choose the previous knob"),
    bind(Everywhere, &[Tab], Action::Turn(1), "next view", "next view"),
    bind(Everywhere, &[BackTab], Action::Turn(-1), "", "previous view"),
    bind(Everywhere, &[Char('1')], Action::Show(0), "", "the view of that number"),
    bind(Everywhere, &[Char('2')], Action::Show(1), "", "the view of that number"),
    bind(Everywhere, &[Char('3')], Action::Show(2), "", "the view of that number"),
    bind(Everywhere, &[Char('4')], Action::Show(3), "", "the view of that number"),
    bind(Everywhere, &[Char('5')], Action::Show(4), "", "the view of that number"),
    bind(Everywhere, &[Char('6')], Action::Show(5), "", "the view of that number"),
    bind(Everywhere, &[Char('7')], Action::Show(6), "", "the view of that number"),
    bind(Everywhere, &[Char('p')], Action::Pin, "pin", "pin the scenario: views show differences from it (again: unpin)"),
    bind(Everywhere, &[Char('x')], Action::Swap, "", "exchange the pinned scenario and this one"),
    bind(Everywhere, &[Char('u')], Action::Undo, "undo", "take the last change back"),
    bind(Everywhere, &[CTRL_R, Char('U')], Action::Redo, "", "make it again"),
    bind(Everywhere, &[Char('/')], Action::Ask(Asking::Filter), "filter", "show only rows that contain a text"),
    bind(Everywhere, &[Char('s')], Action::Ask(Asking::Save), "save", "save the scenario as a configuration file"),
    bind(Everywhere, &[Char('o')], Action::Ask(Asking::Load), "", "open a saved scenario"),
    bind(Everywhere, &[Char('e')], Action::Ask(Asking::Export), "export", "export what is shown: .csv or .svg"),
    bind(Everywhere, &[Char('c')], Action::Command, "command", "show and copy the command that gives the same answer"),
    bind(Everywhere, &[Char('t')], Action::Theme, "", "next theme: dark, light, colour-blind, monochrome"),
    bind(Everywhere, &[Esc], Action::Dismiss, "", "put a message or the filter away"),
    bind(Everywhere, &[Char('q'), CTRL_C], Action::Quit, "quit", "quit"),
];

/// The rows that have a meaning now, those that win first.
pub fn active(state: &State) -> impl Iterator<Item = &'static Binding> {
    let name = state.view().name();
    let scopes: Vec<Scope> = match (&state.prompt, state.help_from, state.situation.pane) {
        (Some(_), _, _) => vec![Scope::Prompt],
        (None, Some(_), _) => vec![Scope::Help],
        (None, None, Pane::Knobs) => vec![Scope::Knobs, Scope::View(name), Scope::Everywhere],
        (None, None, Pane::Answers) => vec![Scope::View(name), Scope::Views, Scope::Everywhere],
    };
    scopes.into_iter().flat_map(|scope| TABLE.iter().filter(move |binding| binding.scope == scope))
}

/// One hint of the last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The key.
    pub key: Key,
    /// What it does.
    pub words: &'static str,
    /// It is shown however narrow the terminal is.
    pub is_essential: bool,
}

/// What the last line says: of each row with a hint the first key that no row before it takes. Rows without such a key, and the way back
/// where nothing was opened, are left out.
pub fn hints(state: &State) -> Vec<Hint> {
    let mut taken: Vec<Key> = Vec::new();
    let mut hints: Vec<Hint> = Vec::new();
    for binding in active(state) {
        let free = binding.keys.iter().find(|key| !taken.contains(key));
        taken.extend(binding.keys);
        let leads_nowhere = matches!(binding.action, Action::View(ViewAction::Back)) && !state.view().is_inside();
        let said = binding.hint.is_empty() || hints.iter().any(|hint| hint.words == binding.hint);
        if let Some(key) = free.filter(|_| !leads_nowhere && !said) {
            let is_essential = matches!(binding.action, Action::Help | Action::Quit);
            hints.push(Hint { key: *key, words: binding.hint, is_essential });
        }
    }
    hints
}

/// What a key does now.
pub fn dispatch(state: &State, key: Key) -> Option<Action> {
    let bound = active(state).find(|binding| binding.keys.contains(&key)).map(|binding| binding.action.clone());
    match (bound, key) {
        (Some(action), _) => Some(action),
        (None, Char(character)) if state.prompt.is_some() && !character.is_control() => Some(Action::Type(character)),
        _ => None,
    }
}

/// Lines of the help on a scope: keys and what they do. Rows that say the same share a line.
pub fn help(scope: Scope) -> Vec<(String, &'static str)> {
    let mut lines: Vec<(String, &'static str)> = Vec::new();
    for binding in TABLE.iter().filter(|binding| binding.scope == scope) {
        let names = binding.keys.iter().map(|key| name(*key)).collect::<Vec<_>>().join(" ");
        match lines.iter_mut().find(|line| line.1 == binding.help) {
            Some(line) => line.0.push_str(&format!(" {names}")),
            None => lines.push((names, binding.help)),
        }
    }
    lines
}
