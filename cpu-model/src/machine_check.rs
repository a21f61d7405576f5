//! The limits of a machine description. Each error names the field as `--set` takes it.

use crate::error::MachineError;
use crate::machine::{CacheSpec, Holds, Machine, Replacement, TlbSpec};

/// Sharer masks have 64 bits.
pub const CORES_MAX: u32 = 64;
const LATENCY_CYCLES_MAX: u32 = 100_000;
const LINE_BYTES_PER_KIB: u64 = 1024 / sim_core::ids::LINE_BYTES;
/// Tag arrays keep the position of a way in a byte and a tree of recency bits in 64 bits.
const WAYS_MAX: u32 = 64;
const TLB_ENTRIES_MAX: u32 = 1 << 16;

/// Checks that `value` lies in `least..=most`.
fn within(field: &'static str, value: u32, least: u32, most: u32) -> Result<(), MachineError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(MachineError::Field { field, value: value.to_string(), expected: format!("must lie between {least} and {most}") })
}

fn latency(field: &'static str, value: u32) -> Result<(), MachineError> {
    within(field, value, 0, LATENCY_CYCLES_MAX)
}

/// Names of the fields of one cache, for errors.
struct CacheFields {
    size_kib: &'static str,
    ways: &'static str,
    latency_cycles: &'static str,
}

macro_rules! cache_fields {
    ($name:literal) => {
        CacheFields {
            size_kib: concat!($name, ".size_kib"),
            ways: concat!($name, ".ways"),
            latency_cycles: concat!($name, ".latency_cycles"),
        }
    };
}

fn cache(fields: &CacheFields, spec: &CacheSpec) -> Result<(), MachineError> {
    within(fields.size_kib, spec.size_kib, 1, 1 << 20)?;
    within(fields.ways, spec.ways, 1, WAYS_MAX)?;
    latency(fields.latency_cycles, spec.latency_cycles)?;
    let lines = u64::from(spec.size_kib) * LINE_BYTES_PER_KIB;
    if !lines.is_multiple_of(u64::from(spec.ways)) {
        let expected = format!("the {lines} lines of {} = {} must divide into that many ways", fields.size_kib, spec.size_kib);
        return Err(MachineError::Field { field: fields.ways, value: spec.ways.to_string(), expected });
    }
    if spec.replacement == Replacement::TreePlru && !spec.ways.is_power_of_two() {
        let expected = "tree_plru needs a power of two of ways; take one or use lru".into();
        return Err(MachineError::Field { field: fields.ways, value: spec.ways.to_string(), expected });
    }
    Ok(())
}

struct TlbFields {
    entries: &'static str,
    ways: &'static str,
    holds: &'static str,
}

macro_rules! tlb_fields {
    ($name:literal) => {
        TlbFields { entries: concat!($name, ".entries"), ways: concat!($name, ".ways"), holds: concat!($name, ".holds") }
    };
}

fn tlb(fields: &TlbFields, spec: &TlbSpec) -> Result<(), MachineError> {
    within(fields.entries, spec.entries, 0, TLB_ENTRIES_MAX)?;
    if spec.entries == 0 {
        return Ok(());
    }
    within(fields.ways, spec.ways, 1, spec.entries.min(1024))?;
    if !spec.entries.is_multiple_of(spec.ways) {
        let expected = format!("the {} entries must divide into that many ways", spec.entries);
        return Err(MachineError::Field { field: fields.ways, value: spec.ways.to_string(), expected });
    }
    Ok(())
}

/// A first-level TLB that must hold 4 KiB pages, and the separate one for 2 MiB pages, which must hold nothing else.
fn tlb_pair(fields: &TlbFields, spec: &TlbSpec, large_fields: &TlbFields, large: &TlbSpec) -> Result<(), MachineError> {
    tlb(fields, spec)?;
    tlb(large_fields, large)?;
    within(fields.entries, spec.entries, 1, TLB_ENTRIES_MAX)?;
    if spec.holds == Holds::Large {
        let expected = "the first-level TLB must hold small or both; large pages have their own".into();
        return Err(MachineError::Field { field: fields.holds, value: "large".into(), expected });
    }
    if large.entries > 0 && (large.holds != Holds::Large || spec.holds == Holds::Both) {
        let expected = "a separate TLB for large pages needs holds: large, and holds: small in the other one".into();
        let value = format!("{:?}", large.holds).to_lowercase();
        return Err(MachineError::Field { field: large_fields.holds, value, expected });
    }
    Ok(())
}

impl Machine {
    /// Checks that every field lies in the range that the model can simulate.
    ///
    /// # Errors
    /// The first field that does not, with what would be valid.
    pub fn validate(&self) -> Result<(), MachineError> {
        self.check_core()?;
        self.check_caches()?;
        self.check_translation()?;
        self.check_branches()?;
        self.check_crossings()
    }

    /// Least base CPI in thousandths: 1 / width, rounded up.
    pub fn least_base_cpi_milli(&self) -> u32 {
        1000u32.div_ceil(self.width.max(1))
    }

    fn check_core(&self) -> Result<(), MachineError> {
        within("frequency_mhz", self.frequency_mhz, 1, 100_000)?;
        within("cores_max", self.cores_max, 1, CORES_MAX)?;
        within("width", self.width, 1, 32)?;
        within("l1i_refill_cycles", self.l1i_refill_cycles, 0, 1000)?;
        within("first_pass_cycles_milli", self.first_pass_cycles_milli, 0, 1_000_000)?;
        within("rob", self.rob, 1, 65_536)?;
        within("outstanding_misses", self.outstanding_misses, 1, 1024)?;
        let least = self.least_base_cpi_milli();
        within("base_cpi_kernel_milli", self.base_cpi_kernel_milli, least, 100_000)?;
        within("base_cpi_user_milli", self.base_cpi_user_milli, least, 100_000)?;
        within("exposure.instruction_permille_user", self.exposure.instruction_permille_user, 0, 1000)?;
        within("exposure.instruction_permille_kernel", self.exposure.instruction_permille_kernel, 0, 1000)?;
        within("exposure.data_permille_user", self.exposure.data_permille_user, 0, 1000)?;
        within("exposure.data_permille_kernel", self.exposure.data_permille_kernel, 0, 1000)
    }

    fn check_caches(&self) -> Result<(), MachineError> {
        cache(&cache_fields!("l1i"), &self.l1i)?;
        cache(&cache_fields!("l1d"), &self.l1d)?;
        cache(&cache_fields!("l2"), &self.l2)?;
        cache(&cache_fields!("l3"), &self.l3.as_private())?;
        within("l3.shared_by", self.l3.shared_by, 1, CORES_MAX)?;
        within("memory_cycles", self.memory_cycles, 1, LATENCY_CYCLES_MAX)?;
        within("transfer_cycles", self.transfer_cycles, 1, LATENCY_CYCLES_MAX)?;
        within("transfer_far_cycles", self.transfer_far_cycles, 1, LATENCY_CYCLES_MAX)?;
        within(
            "l2.latency_cycles",
            self.l2.latency_cycles,
            self.l1i.latency_cycles.max(self.l1d.latency_cycles),
            LATENCY_CYCLES_MAX,
        )?;
        within("l3.latency_cycles", self.l3.latency_cycles, self.l2.latency_cycles, LATENCY_CYCLES_MAX)?;
        within("memory_cycles", self.memory_cycles, self.l3.latency_cycles, LATENCY_CYCLES_MAX)
    }

    fn check_translation(&self) -> Result<(), MachineError> {
        tlb_pair(&tlb_fields!("itlb"), &self.itlb, &tlb_fields!("itlb_large"), &self.itlb_large)?;
        tlb_pair(&tlb_fields!("dtlb"), &self.dtlb, &tlb_fields!("dtlb_large"), &self.dtlb_large)?;
        tlb(&tlb_fields!("stlb"), &self.stlb)?;
        latency("stlb_latency_cycles", self.stlb_latency_cycles)?;
        latency("walk.fixed_cycles", self.walk.fixed_cycles)?;
        within("walk.levels_small", self.walk.levels_small, 1, 4)?;
        within("walk.levels_large", self.walk.levels_large, 1, 3)?;
        within("walk.directory_entries", self.walk.directory_entries, 0, 1024)
    }

    fn check_branches(&self) -> Result<(), MachineError> {
        within("branch.btb_entries", self.branch.btb_entries, 1, 1 << 20)?;
        within("branch.btb_ways", self.branch.btb_ways, 1, WAYS_MAX.min(self.branch.btb_entries))?;
        if !self.branch.btb_entries.is_multiple_of(self.branch.btb_ways) {
            let expected = format!("the {} entries must divide into that many ways", self.branch.btb_entries);
            return Err(MachineError::Field { field: "branch.btb_ways", value: self.branch.btb_ways.to_string(), expected });
        }
        within("branch.history_entries", self.branch.history_entries, 1, 1 << 20)?;
        if !self.branch.history_entries.is_power_of_two() {
            let expected = "must be a power of two".into();
            return Err(MachineError::Field {
                field: "branch.history_entries",
                value: self.branch.history_entries.to_string(),
                expected,
            });
        }
        latency("branch.mispredict_cycles", self.branch.mispredict_cycles)?;
        latency("branch.resteer_cycles", self.branch.resteer_cycles)?;
        within("branch.return_stack_entries", self.branch.return_stack_entries, 0, 1024)
    }

    fn check_crossings(&self) -> Result<(), MachineError> {
        latency("crossing.syscall_cycles", self.crossing.syscall_cycles)?;
        latency("crossing.sysret_cycles", self.crossing.sysret_cycles)?;
        latency("crossing.interrupt_cycles", self.crossing.interrupt_cycles)?;
        latency("crossing.iret_cycles", self.crossing.iret_cycles)?;
        latency("crossing.int_cycles", self.crossing.int_cycles)?;
        latency("crossing.page_table_cycles", self.crossing.page_table_cycles)?;
        latency("crossing.drain_cycles", self.crossing.drain_cycles)?;
        latency("crossing.refetch_cycles", self.crossing.refetch_cycles)?;
        latency("crossing.barrier_cycles", self.crossing.barrier_cycles)?;
        latency("copy.startup_cycles", self.copy.startup_cycles)?;
        latency("copy.line_cycles", self.copy.line_cycles)?;
        latency("facts.return_stack_mitigation_cycles", self.facts.return_stack_mitigation_cycles)
    }
}
