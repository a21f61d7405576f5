//! Who evicts whom: evictors in rows, victims in columns, by structure. Enter goes down from modes to calls to kernel functions.

mod drawing;
mod functions;
pub mod matrix;

use crate::numbers::fixed;
use crate::plot::heat::{self, Heat};
use crate::screen::action::{Effect, ViewAction};
use crate::screen::view::{Export, Scene, View};
use crate::screen::views::chosen::Chosen;
use crate::screen::views::grid::moved;
use anyhow::Result;
use cpu_model::Structure;
use matrix::{Matrix, Measure};
use ratatui::Frame;
use ratatui::layout::Rect;
use sim_core::ids::Mode;

/// How far down the view is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Level {
    /// The two modes as victims.
    #[default]
    Modes,
    /// The calls and other agents of one mode as victims.
    Calls(Mode),
    /// The kernel functions of an evictor and of its victim.
    Functions { mode: Mode, evictor: String, victim: String },
}

/// The view.
#[derive(Clone, Debug, Default)]
pub struct Pollution {
    chosen: Chosen,
    /// Position in [`Structure::ALL`].
    structure: usize,
    measure: Measure,
    level: Level,
    /// Row and column of the matrix.
    cursor: (usize, usize),
    /// First row of the functions.
    scroll: usize,
}

impl Pollution {
    fn structure(&self) -> Structure {
        Structure::ALL[self.structure]
    }

    /// The matrix that is shown; nothing while it is not known.
    fn matrix(&self, scene: &Scene) -> Option<Matrix> {
        match &self.level {
            Level::Modes => {
                let report = scene.situation.snapshot.report(self.chosen.mechanism(scene))?;
                Some(Matrix::of_modes(&report.evictors, self.structure(), report.requests))
            }
            Level::Calls(mode) | Level::Functions { mode, .. } => {
                let answer = self.chosen.in_depth(scene)?;
                Some(Matrix::of_agents(&answer.victims, self.structure(), *mode, answer.requests))
            }
        }
        .map(|matrix| matrix.filtered(|name| scene.situation.lets_through(name)))
    }

    /// The matrix of the pinned scenario, where there is one for the level.
    fn pinned(&self, scene: &Scene) -> Option<Matrix> {
        let report = scene.situation.pinned_report(self.chosen.mechanism(scene)).filter(|_| self.level == Level::Modes)?;
        Some(Matrix::of_modes(&report.evictors, self.structure(), report.requests))
    }

    fn open(&mut self, scene: &Scene) {
        let Some(matrix) = self.matrix(scene) else { return };
        let cursor = self.clamped(&matrix);
        let (Some(evictor), Some(victim)) = (matrix.evictors.get(cursor.0), matrix.victims.get(cursor.1)) else { return };
        self.level = match &self.level {
            Level::Modes => Level::Calls(if victim == Mode::User.name() { Mode::User } else { Mode::Kernel }),
            Level::Calls(mode) => Level::Functions { mode: *mode, evictor: evictor.clone(), victim: victim.clone() },
            Level::Functions { .. } => return,
        };
        self.scroll = 0;
        if let Level::Calls(_) = self.level {
            self.cursor = (0, 0);
        }
    }

    fn back(&mut self) {
        self.level = match &self.level {
            Level::Functions { mode, .. } => Level::Calls(*mode),
            Level::Modes | Level::Calls(_) => Level::Modes,
        };
        if self.level == Level::Modes {
            self.cursor = (0, 0);
        }
    }

    fn clamped(&self, matrix: &Matrix) -> (usize, usize) {
        let most = |count: usize| count.saturating_sub(1);
        (self.cursor.0.min(most(matrix.evictors.len())), self.cursor.1.min(most(matrix.victims.len())))
    }

    fn step(&mut self, rows: isize, columns: isize, scene: &Scene) {
        if let Level::Functions { .. } = self.level {
            self.scroll = self.scroll.saturating_add_signed(rows);
            return;
        }
        let Some(matrix) = self.matrix(scene) else { return };
        let cursor = self.clamped(&matrix);
        self.cursor = (moved(cursor.0, rows, matrix.evictors.len()), moved(cursor.1, columns, matrix.victims.len()));
    }

    /// What is shown, in words: structure, measure, level.
    fn title(&self, scene: &Scene) -> String {
        let structure = self.structure().name().to_uppercase();
        match self.level {
            Level::Modes => format!("{structure}: {}, {}", self.measure.name(), self.chosen.label(scene)),
            Level::Calls(_) => format!("{structure}: {}, {}", self.measure.name(), self.chosen.label_in_depth(scene)),
            Level::Functions { .. } => format!("kernel functions, {}", self.chosen.label_in_depth(scene)),
        }
    }
}

impl View for Pollution {
    fn name(&self) -> &'static str {
        "Pollution"
    }

    fn update(&mut self, action: ViewAction, scene: &Scene) -> Vec<Effect> {
        const PAGE: isize = 10;
        const ALL: isize = 1 << 20;
        match action {
            ViewAction::Up => self.step(-1, 0, scene),
            ViewAction::Down => self.step(1, 0, scene),
            ViewAction::Left => self.step(0, -1, scene),
            ViewAction::Right => self.step(0, 1, scene),
            ViewAction::PageUp => self.step(-PAGE, 0, scene),
            ViewAction::PageDown => self.step(PAGE, 0, scene),
            ViewAction::Home => self.step(-ALL, 0, scene),
            ViewAction::End => self.step(ALL, 0, scene),
            ViewAction::Open => {
                self.open(scene);
                return self.chosen.ask(scene);
            }
            ViewAction::Back => self.back(),
            ViewAction::NextKind => self.structure = (self.structure + 1) % Structure::COUNT,
            ViewAction::NextUnit => self.measure = self.measure.next(),
            ViewAction::NextMechanism => {
                self.chosen.turn(scene);
                return if self.level == Level::Modes { Vec::new() } else { self.chosen.ask(scene) };
            }
            _ => {}
        }
        Vec::new()
    }

    fn shown(&mut self, scene: &Scene) -> Vec<Effect> {
        if self.level == Level::Modes { Vec::new() } else { self.chosen.ask(scene) }
    }

    fn is_inside(&self) -> bool {
        self.level != Level::Modes
    }

    fn draw(&self, frame: &mut Frame, area: Rect, scene: &Scene) {
        drawing::draw(self, frame.buffer_mut(), area, scene);
    }

    fn export(&self, scene: &Scene) -> Export {
        if let Level::Functions { evictor, victim, .. } = &self.level {
            return functions::export(self.chosen.in_depth(scene), evictor, victim);
        }
        let columns = ["evictor", "victim", "misses_per_request", "cycles_per_request", "share_of_victim_misses"];
        let matrix = self.matrix(scene).unwrap_or_default();
        let mut rows = Vec::new();
        for (row, evictor) in matrix.evictors.iter().enumerate() {
            for (column, victim) in matrix.victims.iter().enumerate() {
                let value = |measure: Measure| fixed(matrix.value(row, column, measure), 6).replace(',', "");
                let values = [Measure::Misses, Measure::Cycles, Measure::Share].map(value);
                rows.push([evictor.clone(), victim.clone()].into_iter().chain(values).collect());
            }
        }
        Export { title: self.title(scene), columns: columns.map(str::to_owned).to_vec(), rows }
    }

    fn picture(&self, scene: &Scene) -> Result<Option<String>> {
        let Some(matrix) = self.matrix(scene).filter(|matrix| !matrix.is_empty() && !self.shows_functions()) else {
            return Ok(None);
        };
        let percent = if self.measure == Measure::Share { 100.0 } else { 1.0 };
        let value = |row: usize, column: usize| matrix.value(row, column, self.measure) * percent;
        let values = |row: usize| (0..matrix.victims.len()).map(|column| value(row, column)).collect();
        heat::svg(&Heat {
            title: self.title(scene),
            groups: vec![("victims".into(), matrix.victims.len())],
            columns: matrix.victims.clone(),
            rows: matrix.evictors.iter().enumerate().map(|(row, name)| (name.clone(), values(row))).collect(),
            darkest: matrix.largest(self.measure) * percent,
        })
        .map(Some)
    }
}

impl Pollution {
    fn shows_functions(&self) -> bool {
        matches!(self.level, Level::Functions { .. })
    }
}
