//! The papers' figures drawn again: what the model gives, with what was published marked. Data only; the program draws them.

use crate::lab::{Lab, Stop};
use crate::published::Row;
use crate::rows;
use sim_core::estimate::Estimate;

/// How numbers lie on an axis.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Evenly, from zero.
    Linear,
    /// Doublings.
    PowersOfTwo,
    /// Names at 0, 1, 2 …
    Names(Vec<String>),
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// Scale.
    pub scale: Scale,
}

impl Axis {
    /// A linear axis from zero.
    pub fn linear(label: &str) -> Axis {
        Axis { label: label.into(), scale: Scale::Linear }
    }

    /// An axis in doublings.
    pub fn doublings(label: &str) -> Axis {
        Axis { label: label.into(), scale: Scale::PowersOfTwo }
    }

    /// An axis of names.
    pub fn names(label: &str, names: impl IntoIterator<Item = impl Into<String>>) -> Axis {
        Axis { label: label.into(), scale: Scale::Names(names.into_iter().map(Into::into).collect()) }
    }
}

/// Predicted points, joined by a line unless the horizontal axis holds names.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Name in the legend.
    pub name: String,
    /// Points with their intervals.
    pub points: Vec<(f64, Estimate)>,
}

/// Something published.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Row of the table that it comes from.
    pub row: String,
    /// What it says.
    pub place: Place,
}

/// Where something published lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// A point, with its published range.
    Point {
        /// Horizontal.
        x: f64,
        /// Vertical.
        y: f64,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// Somewhere at this height, between two values.
    Band {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// At this horizontal value.
    At {
        /// Horizontal.
        x: f64,
    },
}

/// One pair of axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Predicted.
    pub curves: Vec<Curve>,
    /// Published.
    pub marks: Vec<Mark>,
}

/// A figure of a paper.
pub struct Figure {
    /// Short name, also its anchor in a page.
    pub id: &'static str,
    /// What it shows and where it was published.
    pub title: &'static str,
    /// Rows that belong to it, separated by spaces.
    pub rows: &'static str,
    /// Makes its panels.
    pub panels: fn(&Lab, &Published) -> Result<Vec<Panel>, Stop>,
}

impl Figure {
    /// Identifiers of the rows that belong to it.
    pub fn row_ids(&self) -> impl Iterator<Item = &'static str> {
        self.rows.split(' ')
    }
}

/// All figures, in the order of the report.
#[rustfmt::skip]
pub const FIGURES: &[Figure] = &[
    Figure { id: "figure-1", title: "IPC lost to system calls against their frequency (ATC 2011, figure 1; OSDI 2010)", rows: "A01 A02 FX-1K-total FX-1K-direct FX-5K-total FX-5K-direct FX-20K-total FX-20K-direct FX-100K-total FX-100K-direct A03 A04", panels: rows::drawn::ipc_loss },
    Figure { id: "recovery", title: "User IPC after one pwrite (OSDI 2010, figure 1)", rows: "FR-2000 FR-3000 FR-4000 FR-5000 FR-6000 FR-8000 FR-10000 FR-15000 FR-16000", panels: rows::drawn::recovery },
    Figure { id: "batches", title: "Time per call against the size of the batch (OSDI 2010)", rows: "D03 FB-1 FB-4 FB-32 FBR-1 FBR-8 FBR-64", panels: rows::drawn::batches },
    Figure { id: "figure-5", title: "memcached: throughput against connections (ATC 2011, figure 5)", rows: "A06 A07 A35", panels: rows::drawn::memcached_throughput },
    Figure { id: "figure-6", title: "memcached: CPI and misses against synchronous calls (ATC 2011, figure 6)", rows: "A09 A10 A11 A12", panels: rows::drawn::memcached_counters },
    Figure { id: "figure-7", title: "nginx under ApacheBench: throughput against connections (ATC 2011, figure 7)", rows: "A13 A14 A15", panels: rows::drawn::nginx_throughput },
    Figure { id: "figure-8", title: "nginx under ApacheBench: mean latency at 256 connections (ATC 2011, figure 8)", rows: "A17 A18 A19-sync A19-xl", panels: rows::drawn::nginx_latency },
    Figure { id: "figure-9", title: "nginx under httperf: throughput against the offered rate (ATC 2011, figure 9)", rows: "A20 A21 A22 A23 A24 A25", panels: rows::drawn::httperf },
    Figure { id: "figure-10", title: "nginx under httperf: counters against synchronous calls (ATC 2011, figure 10)", rows: "A26-1 A26-2 A27-1 A27-2 A28-i A28-d A29 A30 A31", panels: rows::drawn::httperf_counters },
    Figure { id: "lua-syscall", title: "memcached over UDP with a batched script (lua_syscall, section 3)", rows: "S1-t S1-l", panels: rows::drawn::lua_syscall },
];

/// The published rows, as figures mark them.
pub struct Published(Vec<Row>);

impl Published {
    /// All rows of the table.
    pub fn new(rows: Vec<Row>) -> Published {
        Published(rows)
    }

    /// A row.
    pub fn row(&self, id: &str) -> Option<&Row> {
        self.0.iter().find(|row| row.id == id)
    }

    /// The published number at a horizontal value, with its range; nothing when the row holds a word.
    pub fn point(&self, id: &str, x: f64) -> Option<Mark> {
        let row = self.row(id)?;
        let y = row.value.number()?;
        let place = Place::Point { x, y, low: row.low.unwrap_or(y), high: row.high.unwrap_or(y) };
        Some(Mark { row: id.into(), place })
    }

    /// The published number as a height.
    pub fn band(&self, id: &str) -> Option<Mark> {
        let row = self.row(id)?;
        let value = row.value.number()?;
        Some(Mark { row: id.into(), place: Place::Band { low: row.low.unwrap_or(value), high: row.high.unwrap_or(value) } })
    }

    /// The published number as a place on the horizontal axis.
    pub fn at(&self, id: &str) -> Option<Mark> {
        Some(Mark { row: id.into(), place: Place::At { x: self.row(id)?.value.number()? } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_name_published_rows_and_have_names_of_their_own() {
        let published = Published::new(crate::published::rows().unwrap());
        let mut ids: Vec<&str> = Vec::new();
        for figure in FIGURES {
            assert!(!ids.contains(&figure.id), "{}", figure.id);
            ids.push(figure.id);
            for row in figure.row_ids() {
                assert!(published.row(row).is_some(), "{}: {row} is not a published row", figure.id);
            }
        }
    }
}
