//! The whole state of the screen. Nothing here looks at a clock, a terminal or another thread.

use super::action::{Asking, Message};
use super::recent::Recent;
use super::scenario::{Resolved, Scenario};
use super::snapshot::{Answer, Snapshot};
use super::theme::Theme;
use super::view::{REGISTRY, Scene, View};
use crate::config::ConfigError;
use mechanisms::registry::Mechanism;
use sim_core::report::RunReport;
use std::sync::Arc;

/// Scenarios that can be taken back at most.
pub const UNDO_MOST: usize = 200;
/// Complete answers that are kept; each is up to a megabyte, most of it latencies.
const ANSWERED_MOST: usize = 32;

/// What the keys for up, down, left and right act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// The knobs.
    Knobs,
    /// The view.
    Answers,
}

/// A line that is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// For what.
    pub asking: Asking,
    /// So far.
    pub text: String,
}

/// A scenario that was pinned, with what is known of it.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The scenario.
    pub scenario: Scenario,
    /// Its checked settings.
    pub resolved: Resolved,
    /// What is known of it.
    pub snapshot: Arc<Snapshot>,
}

/// What views draw from, besides their own state.
#[derive(Debug)]
pub struct Situation {
    /// What is simulated.
    pub scenario: Scenario,
    /// Its checked settings.
    pub resolved: Resolved,
    /// What is known of it.
    pub snapshot: Arc<Snapshot>,
    /// What differences are shown from.
    pub pinned: Option<Pinned>,
    /// Rows that views show contain this; all when empty.
    pub filter: String,
    /// Colours and signs.
    pub theme: Theme,
    /// What the keys act on.
    pub pane: Pane,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
}

impl Situation {
    /// What is known of a mechanism, when the filter lets it through.
    pub fn answers(&self) -> impl Iterator<Item = &Answer> {
        self.snapshot.answers.iter().filter(|answer| self.lets_through(&answer.label()))
    }

    /// The report of a mechanism in the pinned scenario, to be set beside the present one: none while whole runs there would stand beside
    /// a brief one here, whose shorter warm-up alone changes latencies by far more than most knobs.
    pub fn pinned_report(&self, mechanism: Mechanism) -> Option<&RunReport> {
        let pinned = self.pinned.as_ref()?.snapshot.answer(mechanism)?;
        let waits = self.snapshot.answer(mechanism).is_some_and(|now| now.preview && !pinned.preview);
        pinned.measured().filter(|_| !waits)
    }

    /// True when a text contains the filter, whatever the case.
    pub fn lets_through(&self, text: &str) -> bool {
        text.to_lowercase().contains(&self.filter.to_lowercase())
    }
}

/// The whole state.
pub struct State {
    /// What views draw from.
    pub situation: Situation,
    /// The views, in the order of their tabs.
    pub views: Vec<Box<dyn View>>,
    /// The view that is shown.
    pub shown: usize,
    /// The chosen knob.
    pub knob: usize,
    /// Line of the help at the top of the screen, while it is open.
    pub help_from: Option<usize>,
    /// A line that is being typed.
    pub prompt: Option<Prompt>,
    /// Something told.
    pub message: Option<Message>,
    /// Scenarios before this one, the last change last.
    pub undo: Vec<Scenario>,
    /// Scenarios that were taken back.
    pub redo: Vec<Scenario>,
    /// Counts changes that need a simulation; snapshots of other generations are late.
    pub generation: u64,
    /// Complete answers by command: taking back a change shows them at once.
    pub answered: Recent<Snapshot>,
}

impl State {
    /// The state at the beginning.
    ///
    /// # Errors
    /// A scenario that can't be used.
    pub fn new(scenario: Scenario, theme: Theme, size: (u16, u16)) -> Result<State, ConfigError> {
        let resolved = scenario.resolve()?;
        let situation = Situation {
            scenario,
            resolved,
            snapshot: Arc::default(),
            pinned: None,
            filter: String::new(),
            theme,
            pane: Pane::Knobs,
            size,
        };
        Ok(State {
            situation,
            views: REGISTRY.iter().map(|make| make()).collect(),
            shown: 0,
            knob: 0,
            help_from: None,
            prompt: None,
            message: None,
            undo: Vec::new(),
            redo: Vec::new(),
            generation: 0,
            answered: Recent::new(ANSWERED_MOST),
        })
    }

    /// The view that is shown.
    pub fn view(&self) -> &dyn View {
        self.views[self.shown].as_ref()
    }

    /// What the view that is shown draws from.
    pub fn scene(&self) -> Scene<'_> {
        Scene::of(&self.situation)
    }
}
