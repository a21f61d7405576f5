//! Table 1 of OSDI'10: cycles of single calls, and what they push out of structures that a user program has filled.
//!
//! The program is not described. Here it has filled first and second level and the TLBs, and left half of the last level alone, so that
//! the kernel's lines come from there; what becomes of it when they come from memory is the range. Evictions of the last level are
//! counted where it is full.

use crate::conditions::{Conditions, Failure, Supplies};
use crate::lab::{Experiment, Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::server_run::atc11_settings;
use cpu_model::Structure;
use mechanisms::close_up::evictions::{Evictions, evictions};
use sim_core::estimate::Estimate;
use sim_core::manifest::PartsHash;

/// Data that leave half of an 8 MiB last level alone.
const HALF_MIB: u32 = 4;
/// Data that fill it.
const FULL_MIB: u32 = 12;

/// Calls after user work that fills the structures.
#[derive(Clone)]
struct FootprintRun {
    conditions: Conditions,
}

impl Experiment for FootprintRun {
    type Output = Evictions;
    const KIND: &'static str = "call footprint";

    fn conditions(&mut self) -> &mut Conditions {
        &mut self.conditions
    }

    fn identify(&self, hash: PartsHash) -> PartsHash {
        hash
    }

    fn run(&self, supplies: &Supplies, seed: u64) -> Result<Evictions, Failure> {
        let settings = &self.conditions.settings;
        let workload = supplies.workload(&self.conditions.workload, &settings.kernel)?;
        Ok(evictions(&workload, settings, seed)?)
    }
}

/// FT1-*, but for the instruction counts, which are input.
///
/// # Errors
/// As [`Lab::ask`].
pub fn footprint(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let unknown = || Stop::failed(format!("{}: not a row of the table", row.id));
    let mut parts = row.id.split('-').skip(1);
    let calls = match parts.next().ok_or_else(unknown)? {
        "stat" => "newfstatat",
        "pread" => "pread64",
        "pwrite" => "pwrite64",
        "openclose" => "openat+close",
        _ => return Err(unknown()),
    };
    let structure = match parts.next().ok_or_else(unknown)? {
        "cycles" => None,
        "l1i" => Some(Structure::L1i),
        "l1d" => Some(Structure::L1d),
        "l2" => Some(Structure::L2),
        "l3" => Some(Structure::L3),
        "dtlb" => Some(Structure::Dtlb),
        _ => return Err(unknown()),
    };
    let [half, full] = [HALF_MIB, FULL_MIB].map(|data_mib| measured(lab, calls, data_mib, structure));
    let (half, full) = (half?, full?);
    Ok(match structure {
        None => Outcome::number(half, "kernel cycles when the call's lines come from the last level")
            .over("the call's lines come from the last level or from memory", &[full.mean]),
        Some(Structure::L3) => Outcome::number(full, "user lines that were there before the call and are gone after it"),
        Some(_) => Outcome::number(half, "user entries that were there before the call and are gone after it"),
    })
}

/// Kernel cycles of the calls, or entries evicted from a structure.
fn measured(lab: &Lab, calls: &str, data_mib: u32, structure: Option<Structure>) -> Result<Estimate, Stop> {
    let conditions = Conditions::new(&format!("full-caches:{calls}:{data_mib}"), atc11_settings()?);
    let runs = lab.ask(&FootprintRun { conditions })?;
    let of = |run: &Evictions| match structure {
        None => run.kernel_cycles as f64 / run.groups.max(1) as f64,
        Some(structure) => run.per_group(structure),
    };
    Ok(Estimate::of(&runs.iter().map(of).collect::<Vec<f64>>()))
}
