//! Which library workload a recording is most like: it lends its address space, its kernel work outside calls and, when it is the same
//! program, its user work.

use super::StraceCall;
use crate::error::TraceError;
use sim_core::workload::{Program, Workload};
use std::collections::BTreeMap;

/// The chosen workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// Index into the library.
    pub index: usize,
    /// Thousandths of the recording's calls that the workload's requests make too.
    pub covered_milli: u64,
    /// Thousandths that the two mixes of calls have in common.
    pub common_milli: u64,
    /// True when the calls say that it is the same program.
    pub same_program: bool,
}

/// Coverage from which a workload is taken for the same program.
const SAME_COVERED_MILLI: u64 = 950;

/// Common part of the mixes from which a workload is taken for the same program. A server whose calls are a part of another's (nginx
/// with its file cache on makes three of nine calls) still has a third in common.
const SAME_COMMON_MILLI: u64 = 300;

type Mix = BTreeMap<String, u64>;

/// Shares of the calls in thousandths of a million, so that rounding does not matter.
fn shares(counts: &Mix) -> Mix {
    let total: u64 = counts.values().sum();
    counts.iter().map(|(name, count)| (name.clone(), count.saturating_mul(1_000_000) / total.max(1))).collect()
}

fn mix_of_calls<'a>(calls: impl Iterator<Item = &'a StraceCall>) -> Mix {
    let mut counts = Mix::new();
    calls.for_each(|call| *counts.entry(call.name.clone()).or_default() += 1);
    shares(&counts)
}

fn mix_of_workload(workload: &Workload) -> Mix {
    let mut counts = Mix::new();
    for class in &workload.classes {
        let chains = class.chains.len().max(1) as u64;
        for step in class.chains.iter().flat_map(|chain| &chain.steps) {
            *counts.entry(step.call.name().to_owned()).or_default() += u64::from(class.recorded).max(1) * 1_000 / chains;
        }
    }
    shares(&counts)
}

/// Chooses the base for a recording whose requests make these calls; `wanted` names one outright.
pub(super) fn choose<'a>(
    calls: impl Iterator<Item = &'a StraceCall>,
    program: Program,
    library: &[&Workload],
    wanted: Option<&str>,
    file: &str,
) -> Result<Base, TraceError> {
    let mix = mix_of_calls(calls);
    let rated = library.iter().enumerate().map(|(index, workload)| {
        let other = mix_of_workload(workload);
        let covered: u64 = mix.iter().filter(|(name, _)| other.contains_key(*name)).map(|(_, share)| share).sum();
        let common: u64 = mix.iter().map(|(name, share)| (*share).min(other.get(name).copied().unwrap_or(0))).sum();
        let (covered_milli, common_milli) = (covered.div_ceil(1_000), common / 1_000);
        let same_kind = workload.program == program;
        let same_program = same_kind && covered_milli >= SAME_COVERED_MILLI && common_milli >= SAME_COMMON_MILLI;
        (workload.name.as_str(), same_kind, Base { index, covered_milli, common_milli, same_program })
    });
    if let Some(wanted) = wanted {
        let mut rated = rated;
        return rated.find(|(name, _, _)| *name == wanted).map(|(_, _, base)| base).ok_or_else(|| {
            TraceError::unknown_name("library workload", wanted, library.iter().map(|workload| workload.name.as_str()))
        });
    }
    let advice = "Import a capture first, or use the bundled library";
    rated
        .max_by_key(|(_, same_kind, base)| {
            let same_nature = (library[base.index].program == Program::Sequential) == (program == Program::Sequential);
            (
                base.same_program,
                same_nature,
                base.common_milli + 100 * u64::from(*same_kind),
                base.covered_milli,
                std::cmp::Reverse(base.index),
            )
        })
        .map(|(_, _, base)| base)
        .ok_or_else(|| TraceError::content(file, "no recorded kernel work to replay the calls with", advice))
}
