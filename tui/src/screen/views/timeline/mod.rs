//! What the cores do over simulated time, event by event: tracks of the cores, entries of syscall pages by state, what builds up.

mod drawing;
pub mod events;

use crate::screen::action::{Effect, ViewAction};
use crate::screen::in_depth::InDepthAnswer;
use crate::screen::view::{Export, Scene, View};
use crate::screen::views::chosen::Chosen;
use os_model::action::Slot;
use ratatui::Frame;
use ratatui::layout::Rect;
use sim_core::ids::Cycles;

/// Cycles that one column stands for at first, as a power of two: some 20 us of a 3 GHz core on 80 columns.
const ZOOM: u32 = 9;
/// Most cycles of a column, as a power of two: two milliseconds on a screen.
const ZOOM_MOST: u32 = 18;
/// Columns of a page.
const PAGE: u64 = 40;

/// The view.
#[derive(Clone, Debug)]
pub struct TimelineView {
    chosen: Chosen,
    /// The time that is looked at, in cycles since the measured window opened; its beginning when none.
    at: Option<Cycles>,
    /// Cycles of a column, as a power of two.
    zoom: u32,
    running: bool,
    /// First core that is shown.
    first_core: usize,
}

impl Default for TimelineView {
    fn default() -> Self {
        TimelineView { chosen: Chosen::default(), at: None, zoom: ZOOM, running: false, first_core: 0 }
    }
}

impl TimelineView {
    fn at(&self, answer: &InDepthAnswer) -> Cycles {
        let (start, end) = answer.events.span();
        self.at.unwrap_or(start).clamp(start, end.saturating_sub(1).max(start))
    }

    fn column_cycles(&self) -> Cycles {
        1 << self.zoom
    }

    /// Goes to a time inside what is recorded; the end stops a timeline that runs.
    fn go(&mut self, to: Cycles, answer: &InDepthAnswer) {
        let (start, end) = answer.events.span();
        let last = end.saturating_sub(1).max(start);
        self.running &= to < last;
        self.at = Some(to.clamp(start, last));
    }

    /// Moves to another time; the number of cores is known from what is recorded.
    fn travel(&mut self, action: ViewAction, answer: &InDepthAnswer) {
        let at = self.at(answer);
        let page = PAGE * self.column_cycles();
        let (start, end) = answer.events.span();
        let to = match action {
            ViewAction::Left => answer.events.step(at, false),
            ViewAction::Right => answer.events.step(at, true),
            ViewAction::PageUp => at.saturating_sub(page),
            ViewAction::PageDown => at + page,
            ViewAction::Home => start,
            ViewAction::End => end,
            _ => return,
        };
        self.running = false;
        self.go(to, answer);
    }
}

impl View for TimelineView {
    fn name(&self) -> &'static str {
        "Timeline"
    }

    fn update(&mut self, action: ViewAction, scene: &Scene) -> Vec<Effect> {
        match action {
            ViewAction::ZoomIn => self.zoom = self.zoom.saturating_sub(1),
            ViewAction::ZoomOut => self.zoom = (self.zoom + 1).min(ZOOM_MOST),
            ViewAction::Run => self.running = !self.running,
            ViewAction::NextMechanism => {
                self.chosen.turn(scene);
                self.running = false;
                return self.chosen.ask(scene);
            }
            _ => {}
        }
        let Some(answer) = self.chosen.whole_in_depth(scene) else { return Vec::new() };
        match action {
            ViewAction::Up => self.first_core = self.first_core.saturating_sub(1),
            ViewAction::Down => {
                self.first_core = (self.first_core + 1).min(answer.events.timeline().cores().len().saturating_sub(1));
            }
            other => self.travel(other, answer),
        }
        Vec::new()
    }

    fn shown(&mut self, scene: &Scene) -> Vec<Effect> {
        self.running = false;
        self.chosen.ask(scene)
    }

    fn moves(&self) -> bool {
        self.running
    }

    /// Goes on to the next event, and by a column at least, so that a wider view runs faster.
    fn tick(&mut self, scene: &Scene) -> Vec<Effect> {
        if let Some(answer) = self.chosen.whole_in_depth(scene).filter(|_| self.running) {
            let at = self.at(answer);
            self.go(answer.events.step(at, true).max(at + self.column_cycles()), answer);
        }
        Vec::new()
    }

    fn draw(&self, frame: &mut Frame, area: Rect, scene: &Scene) {
        drawing::draw(self, frame.buffer_mut(), area, scene);
    }

    fn export(&self, scene: &Scene) -> Export {
        let columns = ["core", "start_us", "end_us", "what", "task", "request", "begins_call"];
        let mut rows = Vec::new();
        if let Some(answer) = self.chosen.whole_in_depth(scene) {
            let time = |cycles: Cycles| format!("{:.4}", cycles as f64 / f64::from(answer.frequency_mhz));
            for (core, slices) in answer.events.timeline().cores().iter().enumerate() {
                rows.extend(slices.iter().map(|slice| {
                    let request = if slice.slot == Slot::NONE { String::new() } else { slice.slot.0.to_string() };
                    let words = [core.to_string(), time(slice.start), time(slice.end), slice.what.name()];
                    words.into_iter().chain([slice.task.0.to_string(), request, slice.begins.to_string()]).collect()
                }));
            }
        }
        Export {
            title: format!("timeline, {}", self.chosen.mechanism(scene).name()),
            columns: columns.map(str::to_owned).to_vec(),
            rows,
        }
    }
}
