//! The mechanisms with their percentiles, or with the share of their replies up to the cursor: the lines below the plot.

use super::Measured;
use super::bins::{Latencies, PERCENTILES};
use crate::numbers::{percent, short};
use crate::screen::text::{cut, left, right};
use crate::screen::theme::Role;
use crate::screen::view::Scene;
use crate::screen::views::grid::put;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Columns of a value at least.
const VALUE_LEAST: usize = 7;

/// Lines of the legend of so many mechanisms: a head and a line for each.
pub(super) fn height(mechanisms: usize) -> u16 {
    mechanisms as u16 + 1
}

/// A column of values.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    /// A percentile, by its position.
    Percentile(usize),
    /// The median's difference from the pinned scenario.
    Difference,
    /// Share of the replies at or below a latency in microseconds.
    Share(f64),
}

impl Column {
    fn head(self, scene: &Scene) -> String {
        match self {
            Column::Percentile(position) => PERCENTILES[position].1.to_owned(),
            Column::Difference => format!("{}p50", scene.theme.glyphs.delta),
            Column::Share(value) => format!("at or below {} us", short(value)),
        }
    }

    fn width(self, scene: &Scene) -> usize {
        (self.head(scene).chars().count() + 1).max(VALUE_LEAST)
    }

    fn value(self, own: &Measured, latencies: &Latencies, scene: &Scene) -> String {
        match self {
            Column::Percentile(position) => short(latencies.percentiles[position]),
            Column::Share(value) => percent(latencies.share_below(value)),
            Column::Difference => scene.situation.pinned_report(own.mechanism).map_or_else(String::new, |pinned| {
                let difference = latencies.percentiles[0] - pinned.latency_us.p50;
                format!("{}{}", if difference < 0.0 { '-' } else { '+' }, short(difference.abs()))
            }),
        }
    }
}

/// The columns that fit; the 90th percentile is the first to go.
fn columns(read: Option<f64>, room: usize, scene: &Scene) -> Vec<Column> {
    if let Some(value) = read {
        return vec![Column::Share(value)];
    }
    let difference = scene.situation.pinned.as_ref().map(|_| Column::Difference);
    let all: Vec<Column> =
        std::iter::once(Column::Percentile(0)).chain(difference).chain((1..PERCENTILES.len()).map(Column::Percentile)).collect();
    let needed: usize = all.iter().map(|column| column.width(scene)).sum();
    all.into_iter().filter(|column| needed <= room || *column != Column::Percentile(1)).collect()
}

/// Draws the legend.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, measured: &[Measured], read: Option<f64>, scene: &Scene) {
    let theme = scene.theme;
    let width = usize::from(area.width);
    let longest = measured.iter().map(|own| own.label.chars().count()).max().unwrap_or(0).min(width / 3);
    let columns = columns(read, width.saturating_sub(longest + 2), scene);
    let head: String = columns.iter().map(|column| right(&column.head(scene), column.width(scene), theme)).collect();
    put(buffer, area, area.y, &format!("{:1$}{head}", "", longest + 2), theme.style(Role::Dim));
    for (row, own) in (area.y + 1..area.bottom()).zip(measured) {
        let words = match &own.latencies {
            Err(reason) => format!("  {reason}"),
            Ok(latencies) => {
                columns.iter().map(|column| right(&column.value(own, latencies, scene), column.width(scene), theme)).collect()
            }
        };
        let text = format!("{} {}{words}", theme.glyphs.markers[own.series()], left(&own.label, longest, theme));
        put(buffer, area, row, &cut(&text, width, theme), theme.style(Role::Series(own.series())));
    }
}
