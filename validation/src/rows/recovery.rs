//! Figure 1 of OSDI'10: user IPC over the time after one `pwrite`.

use crate::conditions::{Conditions, Failure, Supplies};
use crate::lab::{Experiment, Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::server_run::atc11_settings;
use mechanisms::close_up::recovery::{Recovery, recovery};
use sim_core::estimate::Estimate;
use sim_core::ids::Cycles;
use sim_core::manifest::PartsHash;

/// The published axis starts so long before the call returns.
pub const AXIS_BEFORE_RETURN_CYCLES: Cycles = 1_000;
/// Calls so far apart that the program has recovered when the next one comes.
const PROGRAM: &str = "xalan-pwrite:100000";
/// Pieces of time in which instructions are counted.
const PIECE_CYCLES: Cycles = 250;
/// Time that is watched after each return.
const WATCHED_CYCLES: Cycles = 18_000;
/// Half of the stretch that a published point is taken to stand for: points are 1,000 cycles apart where they are closest.
const HALF_STRETCH_CYCLES: Cycles = 500;

/// The program's user work after each call.
#[derive(Clone)]
struct RecoveryRun {
    conditions: Conditions,
}

impl Experiment for RecoveryRun {
    type Output = Recovery;
    const KIND: &'static str = "recovery";

    fn conditions(&mut self) -> &mut Conditions {
        &mut self.conditions
    }

    fn identify(&self, hash: PartsHash) -> PartsHash {
        hash.part("piece", &PIECE_CYCLES.to_le_bytes()).part("watched", &WATCHED_CYCLES.to_le_bytes())
    }

    fn run(&self, supplies: &Supplies, seed: u64) -> Result<Recovery, Failure> {
        let settings = &self.conditions.settings;
        let workload = supplies.workload(&self.conditions.workload, &settings.kernel)?;
        Ok(recovery(&workload, settings, seed, PIECE_CYCLES, WATCHED_CYCLES)?)
    }
}

/// User IPC at a place of the published axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Cycles on the axis.
    pub axis_cycles: Cycles,
    /// IPC over the stretch around it.
    pub ipc: Estimate,
}

/// The curve, a point every 500 cycles.
///
/// # Errors
/// As [`Lab::ask`].
pub fn figure(lab: &Lab) -> Result<Vec<Point>, Stop> {
    let last = WATCHED_CYCLES + AXIS_BEFORE_RETURN_CYCLES - HALF_STRETCH_CYCLES;
    let places = (AXIS_BEFORE_RETURN_CYCLES + HALF_STRETCH_CYCLES..=last).step_by(HALF_STRETCH_CYCLES as usize);
    places.map(|axis_cycles| Ok(Point { axis_cycles, ipc: ipc_at(lab, axis_cycles)? })).collect()
}

/// FR-*.
///
/// # Errors
/// As [`Lab::ask`].
pub fn ipc(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let axis = row.id.split('-').nth(1).and_then(|cycles| cycles.parse().ok());
    let axis = axis.ok_or_else(|| Stop::failed(format!("{}: names no place on the axis", row.id)))?;
    let rests_on = "user instructions over the 1,000 cycles around the place, averaged over calls 100,000 instructions apart";
    Ok(Outcome::number(ipc_at(lab, axis)?, rests_on))
}

fn ipc_at(lab: &Lab, axis_cycles: Cycles) -> Result<Estimate, Stop> {
    let runs = lab.ask(&RecoveryRun { conditions: Conditions::new(PROGRAM, atc11_settings()?) })?;
    let centre = axis_cycles.saturating_sub(AXIS_BEFORE_RETURN_CYCLES);
    let stretch = centre.saturating_sub(HALF_STRETCH_CYCLES)..centre + HALF_STRETCH_CYCLES;
    let values: Option<Vec<f64>> = runs.iter().map(|run| run.ipc(stretch.clone())).collect();
    values
        .map(|values| Estimate::of(&values))
        .ok_or_else(|| Stop::failed(format!("{axis_cycles} cycles lie behind what is watched")))
}
