//! The lowest level: kernel functions of the evictor and of its victim, as the recording has them.

use super::matrix::{ITSELF, agent_of};
use crate::numbers::{fixed, percent, short};
use crate::screen::in_depth::InDepthAnswer;
use crate::screen::text::{cut, wrapped};
use crate::screen::theme::Role;
use crate::screen::view::{Export, Scene};
use crate::screen::views::grid::{Column, Grid, put};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use traces::kernel_functions::FunctionUse;

/// Columns from which the victim's functions stand beside the evictor's.
const BESIDE_FROM: u16 = 100;
/// What the numbers are, and what they are not.
const REMARK: &str =
    "From the recording, not from the simulation: the ledger counts by call. Lines are what a function brings in each time.";

/// The functions of an agent that a matrix names; empty where none are known.
fn of<'a>(answer: &'a InDepthAnswer, name: &str) -> &'a [FunctionUse] {
    agent_of(name).and_then(|agent| answer.functions.get(&agent)).map_or(&[], Vec::as_slice)
}

/// Draws the functions of an evictor, and of its victim beside or below.
pub(super) fn draw(
    buffer: &mut Buffer,
    area: Rect,
    (answer, evictor, victim): (&InDepthAnswer, &str, &str),
    scroll: usize,
    scene: &Scene,
) {
    let evictor = if evictor == ITSELF { victim } else { evictor };
    let remark = wrapped(REMARK, usize::from(area.width), 0);
    let lines = (remark.len() as u16).min(area.height / 4);
    for (line, text) in remark.iter().take(usize::from(lines)).enumerate() {
        put(buffer, area, area.bottom() - lines + line as u16, text, scene.theme.style(Role::Dim));
    }
    let body = Rect { height: area.height - lines, ..area };
    if evictor == victim {
        draw_list(buffer, body, &format!("{victim} runs"), of(answer, victim), scroll, scene);
        return;
    }
    let (half, rest) = if area.width >= BESIDE_FROM {
        let half = body.width / 2;
        (Rect { width: half - 2, ..body }, Rect { x: body.x + half, width: body.width - half, ..body })
    } else {
        let half = body.height / 2;
        (Rect { height: half, ..body }, Rect { y: body.y + half, height: body.height - half, ..body })
    };
    draw_list(buffer, half, &format!("{evictor} brings in"), of(answer, evictor), scroll, scene);
    draw_list(buffer, rest, &format!("{victim} runs"), of(answer, victim), scroll, scene);
}

fn draw_list(buffer: &mut Buffer, area: Rect, title: &str, functions: &[FunctionUse], scroll: usize, scene: &Scene) {
    put(buffer, area, area.y, title, scene.theme.style(Role::Text));
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let let_through: Vec<&FunctionUse> = functions.iter().filter(|own| scene.situation.lets_through(&own.name)).collect();
    if let_through.is_empty() {
        let text = if functions.is_empty() { "no kernel functions are recorded for it" } else { "none with the filter's text" };
        put(buffer, body, body.y, text, scene.theme.style(Role::Dim));
        return;
    }
    let lines: u32 = functions.iter().map(|own| own.lines).sum();
    let columns = [
        Column::words("kernel function"),
        Column::numbers("", "lines", 0),
        Column::numbers("of all", "lines", 2),
        Column::numbers("instructions", "a run", 1),
    ];
    let row = |own: &&FunctionUse| {
        let share = f64::from(own.lines) / f64::from(lines.max(1));
        let name = cut(&own.name, usize::from(area.width / 2), scene.theme);
        vec![name, own.lines.to_string(), percent(share), short(own.instructions)]
    };
    let room = usize::from(body.height.saturating_sub(crate::screen::views::grid::HEADER));
    let first = scroll.min(let_through.len().saturating_sub(room));
    let rows: Vec<Vec<String>> = let_through[first..].iter().map(row).collect();
    Grid { columns: &columns, rows: &rows, cursor: None, marked: None }.draw(buffer, body, scene.theme);
}

/// Both lists as a table.
pub(super) fn export(answer: Option<&InDepthAnswer>, evictor: &str, victim: &str) -> Export {
    let evictor = if evictor == ITSELF { victim } else { evictor };
    let sides = [("evictor", evictor), ("victim", victim)];
    let row = |side: &str, name: &str, own: &FunctionUse| {
        vec![side.to_owned(), name.to_owned(), own.name.clone(), own.lines.to_string(), fixed(own.instructions, 3).replace(',', "")]
    };
    let rows = answer.map_or_else(Vec::new, |answer| {
        sides.iter().flat_map(|(side, name)| of(answer, name).iter().map(move |own| row(side, name, own))).collect()
    });
    let columns = ["side", "agent", "kernel_function", "lines", "instructions_per_execution"];
    Export { title: format!("{evictor} pushes out {victim}"), columns: columns.map(str::to_owned).to_vec(), rows }
}
