//! Table 1 of ATC'11: instructions per call and IPC of both modes, synchronous on one core.

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::rows::{memcached, nginx};
use crate::server_run::{Measured, ServerRun, estimate};
use sim_core::ids::Mode;

/// memcached as in table 1, which gives no number of connections: that of figure 6 is taken.
///
/// # Errors
/// When a preset does not exist.
pub fn memcached_run() -> Result<ServerRun, Stop> {
    Ok(memcached::server()?.connections(memcached::CONNECTIONS))
}

/// nginx as in table 1, with the connections of figure 8.
///
/// # Errors
/// When a preset does not exist.
pub fn nginx_run() -> Result<ServerRun, Stop> {
    Ok(nginx::server()?.connections(nginx::CONNECTIONS))
}

/// The rows of memcached.
///
/// # Errors
/// As [`Lab::ask`].
pub fn memcached(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    counters(lab, row, memcached_run()?)
}

/// The rows of nginx.
///
/// # Errors
/// As [`Lab::ask`].
pub fn nginx(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    counters(lab, row, nginx_run()?)
}

fn counters(lab: &Lab, row: &Row, run: ServerRun) -> Result<Outcome, Stop> {
    let runs = lab.ask(&run)?;
    let per_call = |run: &Measured, mode: Mode| run.counters.mode(mode).instructions as f64 / run.calls.max(1) as f64;
    let (value, what) = match row.id.rsplit('-').next() {
        Some("sys") => (estimate(&runs, |run| run.per_request(run.calls)), "system calls executed per reply"),
        Some("ui") => (estimate(&runs, |run| per_call(run, Mode::User)), "user instructions per system call"),
        Some("ki") => {
            (estimate(&runs, |run| per_call(run, Mode::Kernel)), "kernel instructions per system call, interrupts included")
        }
        Some("uipc") => (estimate(&runs, |run| run.ipc(Mode::User)), "user instructions per user cycle"),
        Some("kipc") => (estimate(&runs, |run| run.ipc(Mode::Kernel)), "kernel instructions per kernel cycle"),
        _ => return Err(Stop::failed(format!("{}: not a row of table 1", row.id))),
    };
    Ok(Outcome::number(value, what))
}
