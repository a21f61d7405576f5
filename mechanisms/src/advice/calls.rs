//! Which calls to move first: what each one's move brings, in cycles per request.

use super::outcome::busy_cycles;
use super::result::{Basis, CallAdvice};
use sim_core::ids::Mode;
use sim_core::report::{CallRow, RunReport};

/// The calls that synchronous requests make, ranked by what the other way saves on each.
pub(super) fn ranked(base: &RunReport, own: &RunReport) -> Vec<CallAdvice> {
    let issued: f64 = base.per_call.iter().map(|row| row.issued_per_request).sum();
    let direct_saved = base.per_request.direct_cycles - own.per_request.direct_cycles;
    let mut calls: Vec<CallAdvice> = base
        .per_call
        .iter()
        .map(|row| {
            let after = own.per_call.iter().find(|other| other.call == row.call);
            let handler = |row: &CallRow| row.issued_per_request * row.cycles_per_call;
            let direct = |row: &CallRow| row.issued_per_request * row.direct_cycles_per_call;
            let measured = direct(row) - after.map_or(0.0, direct);
            // reports of older programs do not say which call a crossing was made for
            let crossings_by = if measured.is_finite() { Basis::Difference } else { Basis::Share };
            let crossing_cycles = match crossings_by {
                Basis::Difference => measured,
                Basis::Share => direct_saved * row.issued_per_request / issued,
            };
            let program_stall_cycles = pushed_out(base, &row.call) - pushed_out(own, &row.call);
            let handler_cycles = handler(row) - after.map_or(0.0, handler);
            CallAdvice {
                call: row.call.clone(),
                issued_per_request: row.issued_per_request,
                issued_after: after.map_or(0.0, |row| row.issued_per_request),
                crossing_cycles,
                crossings_by,
                program_stall_cycles,
                handler_cycles,
                saved_cycles: crossing_cycles + program_stall_cycles + handler_cycles,
                share: 0.0,
            }
        })
        .collect();
    let all: f64 = calls.iter().map(|call| call.saved_cycles.max(0.0)).sum();
    for call in calls.iter_mut().filter(|call| call.saved_cycles > 0.0) {
        call.share = call.saved_cycles / all;
    }
    calls.sort_by(|left, right| right.saved_cycles.total_cmp(&left.saved_cycles).then_with(|| left.call.cmp(&right.call)));
    calls
}

/// Stall cycles per request of the program for what a call had pushed out.
fn pushed_out(report: &RunReport, call: &str) -> f64 {
    let own = report.evictors.iter().filter(|row| row.mode == Mode::User && row.evictor == call);
    own.map(|row| row.cycles).sum::<u64>() as f64 / report.requests.max(1) as f64
}

/// Busy cycles per request that the other way saves and that no call explains: user code, softirqs, the scheduler, the mechanism's own work.
pub(super) fn unexplained(base: &RunReport, own: &RunReport, calls: &[CallAdvice]) -> f64 {
    busy_cycles(base) - busy_cycles(own) - calls.iter().map(|call| call.saved_cycles).sum::<f64>()
}
