//! What a calibration has measured: raw series and the facts of the host they belong to.

use crate::facts::Facts;
use crate::series::Series;
use crate::statistics::Summary;
use serde::{Deserialize, Serialize};

/// Version of the file of raw series.
pub const SCHEMA: u32 = 1;

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurements {
    /// Version of this form.
    pub schema: u32,
    /// The host.
    pub facts: Facts,
    /// Ticks of the time-stamp counter a second.
    pub ticks_per_second: f64,
    /// Steps of the time-stamp counter.
    pub clock_step_ticks: u64,
    /// The processor that measured, and the other one where two were needed.
    pub processors: Vec<usize>,
    /// Hardware counters: `available` with what they say of the core's frequency, or why not.
    pub hardware_counters: String,
    /// Huge pages were really given.
    pub huge_pages: bool,
    /// Parts that could not be measured, with the reason.
    pub left_out: Vec<String>,
    /// Time that measuring took.
    pub seconds: f64,
    /// Raw series.
    pub series: Vec<Series>,
}

impl Measurements {
    /// A series by name.
    pub fn series(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.name == name)
    }

    /// The summary of one point of a series.
    pub fn at(&self, name: &str, x: u64) -> Option<Summary> {
        self.series(name)?.at(x)
    }
}
