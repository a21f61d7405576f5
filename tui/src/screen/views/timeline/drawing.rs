//! Tracks on the screen: every kind of work has a letter besides its colour.

use super::TimelineView;
use super::events::{ENTRY_STATES, Events, PageState};
use crate::screen::in_depth::InDepthAnswer;
use crate::screen::text::cut;
use crate::screen::theme::Role;
use crate::screen::view::Scene;
use crate::screen::views::grid::{put, put_words};
use os_model::timeline::{Slice, What};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use sim_core::ids::Cycles;
use std::collections::BTreeMap;

/// Columns of the tracks' names.
const NAMES: u16 = 9;
/// A slice so wide has its name written into it.
const NAMED_FROM: usize = 5;
/// What stands for the kinds of work: letter, name, position among the parts of a stack.
const KINDS: [(char, &str, usize); 9] = [
    ('U', "program", 0),
    ('K', "call", 2),
    ('S', "softirq", 3),
    ('I', "interrupt", 7),
    ('W', "scheduler", 6),
    ('M', "mechanism", 4),
    ('x', "crossing", 5),
    ('C', "client", 1),
    ('.', "idle", 7),
];
/// What a mechanism without syscall pages builds a batch of.
const READY: &str = "ready list";

/// Position among [`KINDS`].
fn kind(what: What) -> usize {
    match what {
        What::User | What::Elevated => 0,
        What::Call(_) => 1,
        What::Softirq => 2,
        What::Interrupt => 3,
        What::Scheduler => 4,
        What::Mechanism(_) => 5,
        What::Crossing => 6,
        What::Client => 7,
        What::Idle => 8,
    }
}

/// The part of the timeline that is seen.
struct Window {
    start: Cycles,
    column: Cycles,
    tracks: Rect,
}

impl Window {
    /// First cycle of a column.
    fn time(&self, column: u16) -> Cycles {
        self.start + u64::from(column) * self.column
    }

    fn column_of(&self, at: Cycles) -> u16 {
        ((at.saturating_sub(self.start)) / self.column).min(u64::from(self.tracks.width.saturating_sub(1))) as u16
    }
}

/// Draws the view.
pub(super) fn draw(view: &TimelineView, buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let theme = scene.theme;
    let Some(answer) = view.chosen.whole_in_depth(scene) else {
        let text = format!("{}: {}", view.chosen.mechanism(scene).name(), view.chosen.missing(scene));
        put_words(buffer, area, &text, theme.style(Role::Text));
        return;
    };
    let at = view.at(answer);
    let tracks = Rect { x: area.x + NAMES, width: area.width.saturating_sub(NAMES), ..area };
    let half = u64::from(tracks.width / 2) * view.column_cycles();
    // the recorded part fills the tracks, where it is long enough
    let (first, end) = answer.events.span();
    let last = end.saturating_sub(u64::from(tracks.width) * view.column_cycles());
    let start = at.saturating_sub(half).min(last).max(first);
    let window = Window { start, column: view.column_cycles(), tracks };
    let title = title(view, answer, at, usize::from(area.width));
    put(buffer, area, area.y, &title, theme.style(Role::Heading));
    let mut y = area.y + 1;
    y += draw_kinds(buffer, Rect { y, height: area.height - 1, ..area }, answer, scene);
    let foot = area.bottom().saturating_sub(2);
    draw_ruler(buffer, Rect { y, height: 1, ..area }, &window, at, answer, scene);
    y += 1;
    let cores = answer.events.timeline().cores();
    let pages = answer.events.pages(at);
    let changed = pages.iter().filter(|page| page.total() > 0).count();
    let below = 1 + (changed + usize::from(changed < pages.len())).min(4) as u16;
    let lines = if foot.saturating_sub(y + below) >= 2 * cores.len() as u16 { 2 } else { 1 };
    for (core, slices) in cores.iter().enumerate().skip(view.first_core.min(cores.len().saturating_sub(1))) {
        if y + lines > foot.saturating_sub(below.min(3)) {
            break;
        }
        draw_core(buffer, Rect { y, height: lines, ..area }, core, slices, &window, at, scene);
        y += lines;
    }
    draw_counts(buffer, Rect { y, height: foot.saturating_sub(y), ..area }, answer, &pages, &window, at, scene);
    draw_foot(buffer, Rect { y: foot, height: area.bottom() - foot, ..area }, answer, at, scene);
}

/// Title: time, state, scale, recorded part and seed, as far as there is room.
fn title(view: &TimelineView, answer: &InDepthAnswer, at: Cycles, width: usize) -> String {
    let time = |cycles: Cycles| microseconds(cycles, answer.frequency_mhz);
    let state = if view.running { "running" } else { "paused" };
    let mut title = format!("{} at {} us, {state}", answer.label, time(at));
    let column = format!(", a column is {} ns", nanoseconds(view.column_cycles(), answer.frequency_mhz));
    let recorded = format!(", recorded to {} us", time(answer.events.span().1));
    for more in [column, recorded, format!(", seed {}", answer.seed)] {
        if title.chars().count() + more.chars().count() <= width {
            title.push_str(&more);
        }
    }
    title
}

/// The kinds of work that the recording has, on as many lines as they take; returns how many.
fn draw_kinds(buffer: &mut Buffer, area: Rect, answer: &InDepthAnswer, scene: &Scene) -> u16 {
    let slices = answer.events.timeline().cores().iter().flatten();
    let recorded: std::collections::BTreeSet<usize> = slices.map(|slice| kind(slice.what)).collect();
    let (mut x, mut y) = (area.x, area.y);
    for (letter, name, part) in recorded.iter().map(|kind| KINDS[*kind]) {
        let text = format!("{letter} {name}");
        let width = text.chars().count() as u16;
        if x > area.x && x + width > area.right() {
            (x, y) = (area.x, y + 1);
        }
        if y < area.bottom() {
            buffer.set_stringn(x, y, &text, usize::from(area.right().saturating_sub(x)), scene.theme.style(Role::Part(part)));
        }
        x += width + 2;
    }
    (y + 1 - area.y).min(area.height)
}

fn draw_ruler(buffer: &mut Buffer, line: Rect, window: &Window, at: Cycles, answer: &InDepthAnswer, scene: &Scene) {
    let theme = scene.theme;
    put(buffer, line, line.y, "us", theme.style(Role::Dim));
    let step = 16;
    let now = window.column_of(at);
    // the mark must not stand in a number
    let is_free = |column: &u16| !(*column + 1..*column + 9).contains(&now);
    for column in (0..window.tracks.width).step_by(step).filter(is_free) {
        let label = format!("{}{}", theme.glyphs.lines[1], microseconds(window.time(column), answer.frequency_mhz));
        buffer.set_stringn(
            window.tracks.x + column,
            line.y,
            label,
            usize::from(window.tracks.width - column).min(step - 1),
            theme.style(Role::Dim),
        );
    }
    let mark = if theme.is_ascii() { "V" } else { "▼" };
    buffer.set_stringn(window.tracks.x + now, line.y, mark, 1, theme.style(Role::Key));
}

/// One core: letters of what it does, and where there is a second line, names.
fn draw_core(buffer: &mut Buffer, area: Rect, core: usize, slices: &[Slice], window: &Window, at: Cycles, scene: &Scene) {
    let theme = scene.theme;
    put(buffer, area, area.y, &format!("core {core}"), theme.style(Role::Text));
    for (column, kind) in runs(slices, window) {
        let (letter, _, part) = KINDS[kind];
        buffer.set_stringn(window.tracks.x + column, area.y, letter.to_string(), 1, theme.style(Role::Part(part)));
    }
    draw_names(buffer, area.bottom() - 1, slices, window, area.height == 1, scene);
    let column = window.tracks.x + window.column_of(at);
    if let Some(cell) = buffer.cell_mut((column, area.y)) {
        cell.set_style(theme.style(Role::Selected));
    }
}

/// The kind of work that takes most of each column.
fn runs(slices: &[Slice], window: &Window) -> Vec<(u16, usize)> {
    let mut found = Vec::new();
    let mut first = slices.partition_point(|slice| slice.end <= window.start);
    for column in 0..window.tracks.width {
        let (from, to) = (window.time(column), window.time(column + 1));
        while first < slices.len() && slices[first].end <= from {
            first += 1;
        }
        let mut shares: BTreeMap<usize, Cycles> = BTreeMap::new();
        for slice in slices[first..].iter().take_while(|slice| slice.start < to) {
            *shares.entry(kind(slice.what)).or_default() += slice.end.min(to) - slice.start.max(from);
        }
        let most = shares.into_iter().max_by_key(|(kind, cycles)| (*cycles, std::cmp::Reverse(*kind)));
        found.extend(most.map(|(kind, _)| (column, kind)));
    }
    found
}

/// Names of the slices that are wide enough; in the track itself when there is no line for them.
fn draw_names(buffer: &mut Buffer, y: u16, slices: &[Slice], window: &Window, inside: bool, scene: &Scene) {
    let theme = scene.theme;
    let first = slices.partition_point(|slice| slice.end <= window.start);
    let end = window.time(window.tracks.width);
    let mut position = first;
    while position < slices.len() && slices[position].start < end {
        let slice = &slices[position];
        // what is told apart by request only has one name
        let mut until = slice.end;
        while position + 1 < slices.len() && slices[position + 1].what == slice.what && !slices[position + 1].begins {
            position += 1;
            until = slices[position].end;
        }
        position += 1;
        let (from, to) = (window.column_of(slice.start.max(window.start)), window.column_of(until.min(end)));
        let width = usize::from(to - from);
        if let Some(name) = name(slice.what, width, inside, scene) {
            let style = theme.style(Role::Part(KINDS[kind(slice.what)].2));
            buffer.set_stringn(window.tracks.x + from + u16::from(inside), y, name, width, style);
        }
    }
}

/// What is written below a slice of a width, or into it. Into it only names that the letters don't say, whole and with spaces around.
fn name(what: What, width: usize, inside: bool, scene: &Scene) -> Option<String> {
    let name = what.name();
    match (inside, what) {
        (_, What::Idle) => None,
        (false, _) => (width >= NAMED_FROM).then(|| cut(&name, width - 1, scene.theme)),
        (true, What::Call(_)) => Some(format!(" {name} ")).filter(|name| name.chars().count() + 2 <= width),
        (true, _) => None,
    }
}

/// What has built up over time, and the entries of the pages now.
fn draw_counts(
    buffer: &mut Buffer,
    area: Rect,
    answer: &InDepthAnswer,
    pages: &[PageState],
    window: &Window,
    at: Cycles,
    scene: &Scene,
) {
    let theme = scene.theme;
    if area.height == 0 {
        return;
    }
    let events = &answer.events;
    let (name, count) = if events.has_pages() { ("posted", "submitted") } else { ("ready", READY) };
    let largest = events.largest(count);
    let now = events.sum_of(count, at).map_or_else(|| "-".to_owned(), |value| value.to_string());
    put(buffer, area, area.y, &format!("{name} {now}"), theme.style(Role::Text));
    draw_strip(buffer, area.y, (events, count, largest), window, scene);
    draw_pages(buffer, Rect { y: area.y + 1, height: area.height - 1, ..area }, pages, window.tracks, scene);
}

/// The pages whose entries have changed, one a line, and how many others there are.
fn draw_pages(buffer: &mut Buffer, area: Rect, pages: &[PageState], tracks: Rect, scene: &Scene) {
    let (changed, quiet): (Vec<&PageState>, Vec<&PageState>) = pages.iter().partition(|page| page.total() > 0);
    let mut lines = area.top()..area.bottom();
    let room = lines.len().saturating_sub(usize::from(!quiet.is_empty()));
    for (page, y) in changed.iter().take(room).zip(&mut lines) {
        put(buffer, area, y, &format!("page {}", page.page), scene.theme.style(Role::Text));
        draw_page(buffer, Rect { y, height: 1, ..tracks }, page, scene);
    }
    if let (false, Some(y)) = (quiet.is_empty(), lines.next()) {
        let others = if changed.is_empty() { "" } else { "other " };
        let text = format!("no change recorded so far on {} {others}page{}", quiet.len(), if quiet.len() == 1 { "" } else { "s" });
        put(buffer, area, y, &cut(&text, usize::from(area.width), scene.theme), scene.theme.style(Role::Dim));
    }
}

/// A count over time as a line of bars.
fn draw_strip(buffer: &mut Buffer, y: u16, (events, count, largest): (&Events, &str, u64), window: &Window, scene: &Scene) {
    const DRAWN: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const ASCII: [char; 9] = [' ', '.', '.', ':', ':', '|', '|', '#', '#'];
    let signs = if scene.theme.is_ascii() { ASCII } else { DRAWN };
    let end = events.span().1;
    for column in (0..window.tracks.width).filter(|column| window.time(*column) < end) {
        let value = events.sum_of(count, window.time(column + 1).min(end) - 1).unwrap_or(0);
        let step = if largest > 0 { (value * 8).div_ceil(largest).min(8) } else { 0 };
        let style = scene.theme.style(Role::Part(4));
        buffer.set_stringn(window.tracks.x + column, y, signs[step as usize].to_string(), 1, style);
    }
}

/// Letters for the entries of a page take at least so many columns, or else the number of the free ones is left out.
const LETTERS_LEAST: usize = 16;

/// The entries of a page, a letter each or a letter for several, and their numbers.
fn draw_page(buffer: &mut Buffer, area: Rect, page: &PageState, scene: &Scene) {
    let width = usize::from(area.width);
    let numbers = |first: usize| {
        let states = ENTRY_STATES.iter().zip(page.entries).skip(first).rev().filter(|(_, count)| *count > 0);
        states.map(|((name, _), count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    };
    let room = |numbers: &str| width.saturating_sub(numbers.chars().count() + 3);
    let numbers = Some(numbers(0)).filter(|all| room(all) >= LETTERS_LEAST).unwrap_or_else(|| numbers(1));
    let text = format!("[{}] {numbers}", letters(page, room(&numbers).max(1)));
    buffer.set_stringn(area.x, area.y, text, width, scene.theme.style(Role::Text));
}

/// Letters of the entries, those of calls first; each stands for as many entries as it takes to fit.
fn letters(page: &PageState, room: usize) -> String {
    let count = |entries: u64, each: u64| entries.div_ceil(each) as usize;
    let fits = |each: &u64| page.entries.iter().map(|entries| count(*entries, *each)).sum::<usize>() <= room;
    let each = (1..=page.total()).find(fits).unwrap_or(page.total());
    let states = ENTRY_STATES.iter().zip(page.entries).rev();
    states.flat_map(|((_, letter), entries)| std::iter::repeat_n(*letter, count(entries, each))).collect()
}

/// What happens now.
fn draw_foot(buffer: &mut Buffer, area: Rect, answer: &InDepthAnswer, at: Cycles, scene: &Scene) {
    let happenings = answer.events.happenings(at);
    let words = if happenings.is_empty() { doing(answer, at) } else { happenings.join("; ") };
    let width = usize::from(area.width);
    let (first, second) = match words.char_indices().nth(width) {
        None => (words.as_str(), ""),
        Some((end, _)) => {
            let end = words[..end].rfind(' ').unwrap_or(end);
            (&words[..end], words[end..].trim_start())
        }
    };
    put(buffer, area, area.y, first, scene.theme.style(Role::Text));
    put(buffer, area, area.y + 1, &cut(second, width, scene.theme), scene.theme.style(Role::Text));
}

/// What each core does at a time at which nothing begins.
fn doing(answer: &InDepthAnswer, at: Cycles) -> String {
    let cores = answer.events.timeline().cores().len();
    let words =
        (0..cores).filter_map(|core| answer.events.slice(core, at).map(|slice| format!("core {core}: {}", slice.what.name())));
    words.collect::<Vec<_>>().join("; ")
}

fn microseconds(cycles: Cycles, frequency_mhz: u32) -> String {
    format!("{:.2}", cycles as f64 / f64::from(frequency_mhz))
}

fn nanoseconds(cycles: Cycles, frequency_mhz: u32) -> u64 {
    (cycles * 1000) / u64::from(frequency_mhz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_a_page_fit_and_no_state_is_lost() {
        let page = PageState { page: 0, entries: [43, 7, 1, 13] };
        let whole = format!("{}b{}{}", "d".repeat(13), "s".repeat(7), ".".repeat(43));
        assert_eq!(letters(&page, 64), whole);
        assert_eq!(letters(&page, 200), whole);
        assert_eq!(letters(&page, 13), "ddbs.......");
        assert_eq!(letters(&page, 4), "dbs.");
    }
}
