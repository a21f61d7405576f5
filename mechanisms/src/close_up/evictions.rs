//! What one call pushes out of structures that user work has filled.

use super::CloseUp;
use crate::experiment::Settings;
use crate::simulate::SimulationError;
use cpu_model::Structure;
use sim_core::block::{Binding, BlockId, OpKind};
use sim_core::ids::{Cycles, Line, PAGE_LINES};
use sim_core::workload::{Step, Workload};
use std::collections::BTreeSet;

/// Structures that are looked at.
pub const STRUCTURES: [Structure; 5] = [Structure::L1i, Structure::L1d, Structure::L2, Structure::L3, Structure::Dtlb];

/// Groups of calls that only warm up.
const WARM_UP_GROUPS: usize = 2;

/// What calls did, summed over all that were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evictions {
    /// Groups of calls: one call, or several that follow each other without user work between them.
    pub groups: u64,
    /// Cycles in kernel mode.
    pub kernel_cycles: Cycles,
    /// Kernel instructions.
    pub kernel_instructions: u64,
    /// Entries of the user's that the structures held before, by place in [`STRUCTURES`].
    pub held: [u64; STRUCTURES.len()],
    /// Those of them that were gone afterwards.
    pub evicted: [u64; STRUCTURES.len()],
}

impl Evictions {
    /// User entries of a structure that one group of calls pushes out.
    pub fn per_group(&self, structure: Structure) -> f64 {
        let index = STRUCTURES.iter().position(|other| *other == structure);
        index.map_or(0.0, |index| self.evicted[index] as f64 / self.groups.max(1) as f64)
    }
}

/// Counts what the calls of a program push out: before each group of calls it is noted which lines of the user's each structure holds
/// (for a TLB which pages), and afterwards which of them are gone.
///
/// `workload` is one made for the kernel of `settings` ([`crate::under_kernel`]).
///
/// # Errors
/// When the machine does not fit the workload.
pub fn evictions(workload: &Workload, settings: &Settings, seed: u64) -> Result<Evictions, SimulationError> {
    let mut core = CloseUp::new(workload, settings, seed)?;
    let lines = UserLines::of(workload, &core.binding);
    let steps: Vec<&Step> = CloseUp::steps(workload).collect();
    let mut sums = Evictions::default();
    for (index, group) in steps.chunk_by(|_, next| next.user == BlockId::EMPTY).enumerate() {
        core.user(group[0]);
        if index < WARM_UP_GROUPS {
            group.iter().for_each(|step| core.call(step));
            continue;
        }
        let held = STRUCTURES.map(|structure| lines.held(&mut core, structure));
        let before = core.kernel_cycles();
        group.iter().for_each(|step| core.call(step));
        sums.groups += 1;
        sums.kernel_cycles += core.kernel_cycles() - before;
        sums.kernel_instructions += group.iter().map(|step| u64::from(workload.blocks.info(step.kernel).instructions)).sum::<u64>();
        for (place, (structure, held)) in STRUCTURES.into_iter().zip(held).enumerate() {
            sums.held[place] += held.len() as u64;
            sums.evicted[place] += held.into_iter().filter(|line| !core.holds(structure, *line)).count() as u64;
        }
    }
    core.check()?;
    Ok(sums)
}

/// Lines that user work touches.
struct UserLines {
    code: Vec<Line>,
    data: Vec<Line>,
}

impl UserLines {
    fn of(workload: &Workload, binding: &Binding) -> UserLines {
        let blocks: BTreeSet<BlockId> = CloseUp::steps(workload).map(|step| step.user).collect();
        let ops = || blocks.iter().flat_map(|block| workload.blocks.ops(*block));
        let touched = |fetched: bool| -> Vec<Line> {
            let lines = ops().filter(|op| (op.kind == OpKind::Fetch) == fetched && op.kind != OpKind::Copy);
            lines.map(|op| binding.line(*op)).collect::<BTreeSet<Line>>().into_iter().collect()
        };
        UserLines { code: touched(true), data: touched(false) }
    }

    /// Those that a structure holds; for a TLB one line of each page.
    fn held(&self, core: &mut CloseUp, structure: Structure) -> Vec<Line> {
        let mut lines = match structure {
            Structure::L1i | Structure::Itlb => self.code.clone(),
            Structure::L1d | Structure::Dtlb => self.data.clone(),
            _ => self.code.iter().chain(&self.data).copied().collect(),
        };
        if matches!(structure, Structure::Itlb | Structure::Dtlb) {
            lines.dedup_by_key(|line| *line / PAGE_LINES);
        }
        lines.retain(|line| core.holds(structure, *line));
        lines
    }
}
