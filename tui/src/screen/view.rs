//! What a view is, and the list of them. A new view is one file in `views/`, one line in [`REGISTRY`], and its keys in `keys::TABLE`.

use super::action::{Effect, ViewAction};
use super::draw;
use super::state::Situation;
use super::theme::Theme;
use super::views;
use anyhow::Result;
use ratatui::Frame;
use ratatui::layout::Rect;

/// What a view draws from, besides its own state.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// Scenario, settings, what is known, what is pinned, the filter.
    pub situation: &'a Situation,
    /// Colours and signs.
    pub theme: &'a Theme,
    /// Columns and rows of the view.
    pub size: (u16, u16),
}

impl<'a> Scene<'a> {
    /// What there is to draw from in a situation.
    pub fn of(situation: &'a Situation) -> Scene<'a> {
        Scene { situation, theme: &situation.theme, size: draw::view_size(situation) }
    }
}

/// What a view shows, as a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Export {
    /// What it is.
    pub title: String,
    /// Names of the columns, with units.
    pub columns: Vec<String>,
    /// Values.
    pub rows: Vec<Vec<String>>,
}

/// A view: its own state, what keys do to it, and how it is drawn.
pub trait View {
    /// Name in the tab; also the scope of its keys.
    fn name(&self) -> &'static str;

    /// Changes the view's own state.
    fn update(&mut self, action: ViewAction, scene: &Scene) -> Vec<Effect>;

    /// Called when the view comes to be shown, and when the scenario has changed while it is: the place to ask a question.
    fn shown(&mut self, _scene: &Scene) -> Vec<Effect> {
        Vec::new()
    }

    /// Called for a click inside the view's area, relative to it.
    fn click(&mut self, _column: u16, _row: u16, _scene: &Scene) -> Vec<Effect> {
        Vec::new()
    }

    /// True while the view shows something that [`ViewAction::Back`] leads out of; else that key puts messages and the filter away.
    fn is_inside(&self) -> bool {
        false
    }

    /// True while the view moves by itself: it gets [`View::tick`] about ten times a second.
    fn moves(&self) -> bool {
        false
    }

    /// Time has passed.
    fn tick(&mut self, _scene: &Scene) -> Vec<Effect> {
        Vec::new()
    }

    /// Draws it.
    fn draw(&self, frame: &mut Frame, area: Rect, scene: &Scene);

    /// What it shows, as a table.
    fn export(&self, scene: &Scene) -> Export;

    /// What it shows, as a picture; nothing where there is none: then the table is drawn.
    ///
    /// # Errors
    /// A picture that can't be drawn.
    fn picture(&self, _scene: &Scene) -> Result<Option<String>> {
        Ok(None)
    }
}

/// All views, in the order of their tabs.
pub const REGISTRY: &[fn() -> Box<dyn View>] = &[
    || Box::new(views::compare::Compare::default()),
    || Box::new(views::cycles::Cycles::default()),
    || Box::new(views::pollution::Pollution::default()),
    || Box::new(views::latency::Latency::default()),
    || Box::new(views::timeline::TimelineView::default()),
    || Box::new(views::sweep::SweepView::default()),
    || Box::new(views::calls::Calls::default()),
];
