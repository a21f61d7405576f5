//! Batches of null calls (FlexSC, OSDI'10): a loop of getpid with synchronous calls and with posted ones, on the program's core and on
//! another one. What the rows determine: the crossing and the null call (D03), the work of posting, dispatch and completion (FB-32), the
//! hand-overs of `flexsc_wait` (FB-1 less FB-32), and the delivery of an interrupt to another core (FBR-1).

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::server_run::{ServerRun, atc11_settings, estimate};
use mechanisms::study::{Column, INTERRUPTED_CORE, SAME_CORE, SYNCHRONOUS};
use mechanisms::variants::Way;
use sim_core::estimate::Estimate;
use traces::call_loop::CallLoop;

/// A batch of null calls issued by the way of one column of the study.
///
/// # Errors
/// When a preset or the column does not exist.
fn batch(column: &str, calls: u32) -> Result<ServerRun, Stop> {
    let column = Column::from_name(column).ok_or_else(|| Stop::failed(format!("no column {column} in the study")))?;
    let way = Way::from_name(column.way).map_err(|error| Stop::failed(error.to_string()))?;
    let null = CallLoop::null(calls);
    let settings = column.settings(null.call, u64::from(calls), &atc11_settings()?);
    Ok(ServerRun::new(&null.name(), settings).way(way))
}

/// Elapsed nanoseconds per call.
///
/// # Errors
/// As [`Lab::ask`].
pub fn nanoseconds_per_call(lab: &Lab, column: &str, calls: u32) -> Result<Estimate, Stop> {
    let runs = lab.ask(&batch(column, calls)?)?;
    Ok(estimate(&runs, |run| 1e9 / (run.throughput_rps * f64::from(calls))))
}

/// D03, FB and FBR.
///
/// # Errors
/// As [`Lab::ask`].
pub fn null_call(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let (column, rests_on) = match row.id.split('-').next() {
        Some("D03") => (SYNCHRONOUS, "a loop of synchronous null calls"),
        Some("FB") => (SAME_CORE, "posted null calls that the program's core executes in flexsc_wait"),
        Some("FBR") => (INTERRUPTED_CORE, "posted null calls for which flexsc_wait interrupts another core"),
        _ => return Err(Stop::failed(format!("{} is no row of null calls", row.id))),
    };
    let calls = row.id.split('-').nth(1).map_or(Ok(1), str::parse);
    let calls = calls.map_err(|_| Stop::failed(format!("{} names no batch", row.id)))?;
    Ok(Outcome::number(nanoseconds_per_call(lab, column, calls)?, rests_on))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Store;
    use crate::published::rows;
    use mechanisms::compare::Job;
    use sim_core::progress::Silent;
    use std::sync::atomic::AtomicBool;

    /// Every row is answered, and posted calls cost less the more there are of them, and more on another core.
    #[test]
    fn the_rows_of_null_calls_have_the_published_order() {
        let store = Store::new();
        let lab = Lab::new(&store, 1);
        let rows = rows().unwrap();
        let rows: Vec<&Row> = rows.iter().filter(|row| ["D03", "FB-", "FBR"].iter().any(|name| row.id.starts_with(name))).collect();
        assert_eq!(rows.len(), 7);
        for row in &rows {
            assert_eq!(null_call(&lab, row), Err(Stop::Pending), "{}", row.id);
        }
        let cancel = AtomicBool::new(false);
        let job = Job { threads: 2, progress: &Silent, cancel: &cancel, command: String::new() };
        assert!(store.settle(&job).unwrap());
        let value = |id: &str| {
            let row = rows.iter().find(|row| row.id == id).unwrap();
            null_call(&lab, row).unwrap().value.number().unwrap()
        };
        let (sync, same, other) = (value("D03"), ["FB-1", "FB-4", "FB-32"].map(value), ["FBR-1", "FBR-8", "FBR-64"].map(value));
        assert!(same[0] > sync && sync > same[1] && same[1] > same[2], "{sync} {same:?}");
        assert!(other[0] > 5.0 * sync && other[0] > other[1] && other[1] > sync && sync > other[2], "{sync} {other:?}");
        assert!(other[2] > same[2], "{same:?} {other:?}");
    }
}
