//! Which row is answered by what. One line for each group of rows; every CAL, PRED and SANITY row must stand here once (a test).

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::rows;

/// How a row is answered.
#[derive(Clone, Copy)]
pub enum Answer {
    /// The model's value. The row itself is given so that one function can answer several: it may read its identifier, cores and load,
    /// never its value.
    Model(fn(&Lab, &Row) -> Result<Outcome, Stop>),
    /// The model does not answer it, and why.
    NotPredicted(&'static str),
}

/// Rows and their answer.
pub struct Entry {
    /// Identifiers, separated by spaces.
    pub rows: &'static str,
    /// The answer.
    pub answer: Answer,
}

const fn model(rows: &'static str, evaluate: fn(&Lab, &Row) -> Result<Outcome, Stop>) -> Entry {
    Entry { rows, answer: Answer::Model(evaluate) }
}

/// All answers.
#[rustfmt::skip]
pub const ENTRIES: &[Entry] = &[
    model("T1-mc-sys T1-mc-ui T1-mc-ki T1-mc-uipc T1-mc-kipc", rows::table_1::memcached),
    model("T1-ng-sys T1-ng-ui T1-ng-ki T1-ng-uipc T1-ng-kipc", rows::table_1::nginx),
    model("A01", rows::frequency::alone),
    model("A02", rows::frequency::interrupted),
    model("FX-1K-total FX-5K-total FX-20K-total FX-100K-total", rows::frequency::total),
    model("FX-1K-direct FX-5K-direct FX-20K-direct FX-100K-direct", rows::frequency::direct_loss),
    model("A03 A04", rows::frequency::dominant),
    model("FR-2000 FR-3000 FR-4000 FR-5000 FR-6000 FR-8000 FR-10000 FR-15000 FR-16000", rows::recovery::ipc),
    model("FT1-stat-cycles FT1-stat-l1i FT1-stat-l1d FT1-stat-dtlb FT1-stat-l2 FT1-stat-l3 FT1-pread-cycles FT1-pread-l1i FT1-pread-l1d FT1-pread-dtlb FT1-pread-l2 FT1-pread-l3 FT1-pwrite-cycles FT1-pwrite-l1i FT1-pwrite-l1d FT1-pwrite-dtlb FT1-pwrite-l2 FT1-pwrite-l3 FT1-openclose-cycles FT1-openclose-l1i FT1-openclose-l1d FT1-openclose-dtlb FT1-openclose-l2 FT1-openclose-l3", rows::call_footprint::footprint),
    model("D03 FB-1 FB-4 FB-32 FBR-1 FBR-8 FBR-64", rows::batches::null_call),
    model("A20 A21 A22 A23 A24 A25", rows::httperf::throughput),
    model("A26-1 A26-2 A27-1 A27-2 A28-i A28-d A29 A30 A31", rows::httperf::counters),
    model("AP-sync", rows::threads::apache_synchronous),
    model("A33-t A33-l", rows::threads::apache),
    model("A34-t A34-l", rows::threads::mysql),
    model("A06 A07", rows::memcached::sweep),
    model("A09 A10 A11 A12", rows::memcached::counters),
    model("A35", rows::memcached::one_thread),
    model("A13 A14 A15 A17 A18 A19-sync A19-xl", rows::nginx::apache_bench),
    model("S1-t S1-l", rows::services::batched_script),
    model("S5", rows::services::in_kernel),
];

/// The answer to a row. INPUT rows need none.
pub fn answer(id: &str) -> Option<Answer> {
    ENTRIES.iter().find(|entry| entry.rows.split(' ').any(|row| row == id)).map(|entry| entry.answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::{Use, rows};

    #[test]
    fn every_row_that_is_not_an_input_is_answered_once() {
        let rows = rows().unwrap();
        let mut answered: Vec<&str> = ENTRIES.iter().flat_map(|entry| entry.rows.split(' ')).collect();
        for id in &answered {
            assert!(rows.iter().any(|row| row.id == *id), "{id} is not a published row");
        }
        for row in rows.iter().filter(|row| row.usage != Use::Input) {
            assert!(answer(&row.id).is_some(), "{} is answered by nothing: add it to ENTRIES", row.id);
        }
        let count = answered.len();
        answered.sort_unstable();
        answered.dedup();
        assert_eq!(answered.len(), count, "a row is answered twice");
    }
}
