//! Which value of a machine description comes from which finding, and when the preset's is kept.

use super::DescribeError;
use super::draft::{Confidence, Draft, Said, is_noise};
use host::facts::ReportedCache;
use host::findings::found;
use host::names::{self, null_call, transfer};
use os_model::kernel::Mitigations;

/// What the shared parts of a processor show to one virtual machine is as much its neighbours' doing.
const VIRTUAL: &str = "in a virtual machine: neighbours share it";

type Assigned = Result<(), DescribeError>;

/// Everything but the crossings.
pub(super) fn all(draft: &mut Draft) -> Assigned {
    draft.latency("frequency_mhz", names::CORE_FREQUENCY)?;
    let processors = draft.facts.processors.clamp(1, 64);
    draft.set("cores_max", processors, Confidence::Inferred, Said::note("processors online"))?;
    private_caches(draft)?;
    shared(draft)?;
    translation(draft)?;
    branches(draft)
}

fn private_caches(draft: &mut Draft) -> Assigned {
    cache(draft, "l1i", 1, "Instruction", None)?;
    cache(draft, "l1d", 1, "Data", Some(found::L1D_BYTES))?;
    draft.latency("l1d.latency_cycles", found::L1D_CYCLES)?;
    cache(draft, "l2", 2, "Unified", Some(found::L2_BYTES))?;
    draft.latency("l2.latency_cycles", found::L2_CYCLES)
}

/// Size and ways of a cache: as the processor reports them, which a ladder may confirm.
fn cache(draft: &mut Draft, name: &str, level: u32, kind: &str, size: Option<&str>) -> Assigned {
    let path = format!("{name}.size_kib");
    let finding = size.and_then(|size| draft.findings.get(size)).cloned();
    let Some(reported) = draft.facts.cache(level, kind).cloned() else {
        return match finding {
            Some(finding) => {
                draft.set(&path, (finding.value / 1024.0) as u64, Confidence::Measured, Said::of(&finding, "bytes at the knee"))
            }
            None => draft.keep(&path, None, "neither reported nor measured"),
        };
    };
    let bytes = f64::from(reported.size_kib) * 1024.0;
    let (confidence, said) = match &finding {
        // the ladder's own lines and a line of stack fill the last place: it may end on the size or one step before
        Some(finding) if (finding.value..=finding.below.unwrap_or(f64::INFINITY)).contains(&bytes) => {
            (Confidence::Measured, Said { measured: Some(finding.value / 1024.0), ..Said::note("as reported") })
        }
        Some(finding) => {
            let note = "reported; the ladder leaves its level earlier, as with pages that a hypervisor has scattered";
            (Confidence::Inferred, Said { measured: Some(finding.value / 1024.0), ..Said::note(note) })
        }
        None => (Confidence::Inferred, Said::note("reported by the processor")),
    };
    draft.set(&path, reported.size_kib, confidence, said)?;
    ways(draft, name, &reported)
}

fn ways(draft: &mut Draft, name: &str, reported: &ReportedCache) -> Assigned {
    let path = format!("{name}.ways");
    if reported.ways == 0 {
        return draft.keep(&path, None, "not reported");
    }
    draft.set(&path, reported.ways, Confidence::Inferred, Said::note("reported by the processor"))?;
    if !reported.ways.is_power_of_two() {
        // the tree of recency bits needs a power of two
        draft.set(&format!("{name}.replacement"), "lru", Confidence::Inferred, Said::note("the ways are no power of two"))?;
    }
    Ok(())
}

/// Last level, memory and transfers. On a virtual machine they stay the preset's.
fn shared(draft: &mut Draft) -> Assigned {
    let finding = |name: &str| draft.findings.get(name).cloned();
    let (latency, memory, one_way) = (finding(found::L3_CYCLES), finding(found::MEMORY_CYCLES), finding(transfer::ONE_WAY));
    if draft.facts.virtual_machine {
        let size = finding(found::L3_BYTES).map(|size| host::findings::Finding { value: size.value / 1024.0, ..size });
        draft.keep("l3.size_kib", size.as_ref(), VIRTUAL)?;
        draft.keep("l3.latency_cycles", latency.as_ref(), VIRTUAL)?;
        keep_time(draft, "memory_cycles", memory.as_ref(), VIRTUAL)?;
        let why = "in a virtual machine: which cores its processors run on is not known";
        keep_time(draft, "transfer_cycles", one_way.as_ref(), why)?;
        return keep_time(draft, "transfer_far_cycles", None, why);
    }
    if let Some(reported) = draft.facts.cache(3, "Unified").cloned() {
        cache(draft, "l3", 3, "Unified", None)?;
        draft.set(
            "l3.shared_by",
            reported.shared_by.clamp(1, 64),
            Confidence::Inferred,
            Said::note("reported by the processor"),
        )?;
    }
    draft.latency("l3.latency_cycles", found::L3_CYCLES)?;
    draft.latency("memory_cycles", found::MEMORY_CYCLES)?;
    // the two processors that measure stand next to each other
    match one_way {
        Some(_) => draft.latency("transfer_cycles", transfer::ONE_WAY)?,
        None => keep_time(draft, "transfer_cycles", None, "there is no second processor")?,
    }
    keep_time(draft, "transfer_far_cycles", None, "only neighbouring processors were measured")
}

/// Keeps the preset's time: outside the core it does not follow the core's frequency.
fn keep_time(draft: &mut Draft, path: &str, finding: Option<&host::findings::Finding>, why: &str) -> Assigned {
    let (now, before) = (draft.value_of("frequency_mhz")?, u64::from(draft.preset.frequency_mhz));
    let value = (draft.preset_of(path)? * now + before / 2) / before;
    let note = if now == before { why.to_owned() } else { format!("{why}; the preset's time at this frequency") };
    let said = finding.map_or_else(|| Said::note(&note), |finding| Said::of(finding, &note));
    draft.set(path, value, Confidence::Kept, said)
}

fn translation(draft: &mut Draft) -> Assigned {
    tlb(draft, "dtlb", found::DTLB_ENTRIES)?;
    tlb(draft, "stlb", found::STLB_ENTRIES)?;
    draft.latency("stlb_latency_cycles", found::STLB_CYCLES)?;
    let path = "walk.fixed_cycles";
    match draft.findings.get(found::WALK_CYCLES).cloned() {
        Some(walk) if !is_noise(&walk) => {
            // The model adds the look into the second-level TLB and the leaf's read, which comes from the second-level cache here: eight
            // entries a line, thousands of pages.
            let known = draft.value_of("stlb_latency_cycles")? + draft.value_of("l2.latency_cycles")?;
            let fixed = (walk.value - known as f64).round().max(0.0) as u64;
            let note = if draft.facts.virtual_machine {
                "without the read of the leaf; the hypervisor's tables are walked too"
            } else {
                "without the read of the leaf"
            };
            draft.set(path, fixed, Confidence::Inferred, Said::of(&walk, note))
        }
        walk => draft.keep(path, walk.as_ref(), "too noisy or not reached"),
    }
}

fn tlb(draft: &mut Draft, name: &str, finding: &str) -> Assigned {
    let (entries, ways) = (format!("{name}.entries"), format!("{name}.ways"));
    let full = draft.preset_of(&entries)? == draft.preset_of(&ways)?;
    draft.entries(&entries, finding)?;
    let held = draft.value_of(&entries)?;
    let fitting = if full { held } else { ways_that_fit(held, draft.preset_of(&ways)?) };
    if fitting == draft.preset_of(&ways)? {
        return Ok(());
    }
    draft.set(&ways, fitting, Confidence::Inferred, Said::note("so that the entries divide as in the preset"))
}

/// The most ways, at most so many, into which the entries divide.
fn ways_that_fit(entries: u64, most: u64) -> u64 {
    (1..=most.max(1)).rev().find(|ways| entries.is_multiple_of(*ways)).unwrap_or(1)
}

fn branches(draft: &mut Draft) -> Assigned {
    draft.latency("branch.mispredict_cycles", found::MISPREDICT_CYCLES)?;
    draft.entries("branch.return_stack_entries", found::RETURN_STACK_ENTRIES)?;
    draft.entries("branch.btb_entries", found::BTB_ENTRIES)?;
    let (entries, ways) = (draft.value_of("branch.btb_entries")?, draft.preset_of("branch.btb_ways")?);
    let fitting = ways_that_fit(entries, ways);
    if fitting != ways {
        draft.set("branch.btb_ways", fitting, Confidence::Inferred, Said::note("so that the entries divide"))?;
    }
    let path = "branch.resteer_cycles";
    match draft.findings.get(found::BTB_MISS_CYCLES).cloned() {
        Some(miss) if !is_noise(&miss) => {
            let cycles = (miss.value - draft.value_of("l2.latency_cycles")? as f64).round().max(1.0) as u64;
            draft.set(path, cycles, Confidence::Inferred, Said::of(&miss, "a jump that is not known, without fetching its line"))
        }
        miss => draft.keep(path, miss.as_ref(), "too noisy or not reached"),
    }
}

/// Crossings, from what the host's null call takes more or less than the model's. The host tells only their sum: with mitigations the
/// difference is theirs, without them it is the two instructions'.
pub(super) fn crossing(draft: &mut Draft, model_cycles: f64, mitigations: Mitigations) -> Assigned {
    let pcid = draft.facts.pcid;
    draft.set("crossing.pcid", pcid, Confidence::Inferred, Said::note("reported by the processor"))?;
    let meltdown = draft.facts.weaknesses.iter().any(|weakness| weakness.name == "meltdown");
    draft.set("facts.meltdown_affected", meltdown, Confidence::Inferred, Said::note("reported by the kernel"))?;
    let Some(host) = draft.findings.get(null_call::GETPPID_CALL).cloned() else {
        return draft.keep("crossing.syscall_cycles", None, "could not be measured");
    };
    let mut missing = (host.value - model_cycles).round() as i64;
    if mitigations == Mitigations::Default {
        let path = "facts.return_stack_mitigation_cycles";
        missing =
            add(draft, path, missing, &host, "all mitigations of an entry: so that the model's null call takes the host's time")?;
    }
    let (entry, exit) = ("crossing.syscall_cycles", "crossing.sysret_cycles");
    let share = missing * draft.preset_of(entry)? as i64 / (draft.preset_of(entry)? + draft.preset_of(exit)?).max(1) as i64;
    let note = "so that the model's null call takes the host's time";
    let rest = add(draft, entry, share, &host, note)?;
    add(draft, exit, missing - share + rest, &host, note)?;
    Ok(())
}

/// Adds to a value that can't go below zero; gives back what could not be taken away.
fn add(draft: &mut Draft, path: &str, cycles: i64, host: &host::findings::Finding, note: &str) -> Result<i64, DescribeError> {
    if cycles == 0 {
        return Ok(0);
    }
    let wanted = draft.value_of(path)? as i64 + cycles;
    draft.set(path, wanted.max(0) as u64, Confidence::Inferred, Said { measured: None, ..Said::of(host, note) })?;
    Ok(wanted.min(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_divide_into_the_ways() {
        assert_eq!((ways_that_fit(3584, 4), ways_that_fit(2560, 12), ways_that_fit(7, 4)), (4, 10, 1));
    }
}
