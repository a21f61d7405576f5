//! Machine descriptions: what a RON preset holds, one field per number so that a single one can be replaced from outside.

use crate::error::MachineError;
use serde::{Deserialize, Serialize};

/// A processor model: sizes, latencies and facts. Units are the last part of each name; a latency is in core cycles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Name as in the preset list and in reports.
    pub name: String,
    /// Where the description as a whole comes from.
    pub source: String,
    /// Core frequency.
    pub frequency_mhz: u32,
    /// Most cores that a run may ask for.
    pub cores_max: u32,
    /// Instructions dispatched per cycle.
    pub width: u32,
    /// Instructions in the reorder window.
    pub rob: u32,
    /// Line misses that a core can have outstanding.
    pub outstanding_misses: u32,
    /// Cycles per thousand kernel instructions when nothing misses.
    pub base_cpi_kernel_milli: u32,
    /// Cycles per thousand user instructions when nothing misses and the program does not say.
    pub base_cpi_user_milli: u32,
    /// Share of a miss's latency that the window can't hide.
    pub exposure: Exposure,
    /// First-level instruction cache.
    pub l1i: CacheSpec,
    /// First-level data cache.
    pub l1d: CacheSpec,
    /// What the front end takes to get going again after an instruction line that the first level lacked, besides the line's latency; 0
    /// where nothing is known of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub l1i_refill_cycles: u32,
    /// What a line of kernel code takes more where it is fetched for the first time since the kernel was entered, wherever the line is, in
    /// thousandths of a cycle; 0 where nothing is known of it. One host with safe returns and retpolines shows 3 to 4 cycles a line: see
    /// `docs/validate-host.md`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub first_pass_cycles_milli: u32,
    /// Private second level.
    pub l2: CacheSpec,
    /// Last level, shared by groups of cores.
    pub l3: SharedCacheSpec,
    /// Latency of memory.
    pub memory_cycles: u32,
    /// Latency of a line from another core's cache under the same last-level cache.
    pub transfer_cycles: u32,
    /// Latency of a line from a core under another last-level cache.
    pub transfer_far_cycles: u32,
    /// Instruction TLB.
    pub itlb: TlbSpec,
    /// Separate instruction TLB for large pages; 0 entries when `itlb` holds both or there is none.
    pub itlb_large: TlbSpec,
    /// Data TLB.
    pub dtlb: TlbSpec,
    /// Separate data TLB for large pages; 0 entries when `dtlb` holds both or there is none.
    pub dtlb_large: TlbSpec,
    /// Second-level TLB; 0 entries when there is none.
    pub stlb: TlbSpec,
    /// Latency of a hit in the second-level TLB.
    pub stlb_latency_cycles: u32,
    /// Page walks.
    pub walk: WalkSpec,
    /// Branch prediction.
    pub branch: BranchSpec,
    /// Prefetchers.
    pub prefetch: PrefetchSpec,
    /// Crossings between user and kernel.
    pub crossing: CrossingSpec,
    /// Repeated string copies.
    pub copy: CopySpec,
    /// What decides which mitigations apply.
    pub facts: Facts,
}

fn is_zero(cycles: &u32) -> bool {
    *cycles == 0
}

/// Share of a miss's latency that stalls the core, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exposure {
    /// Instruction side, user code.
    pub instruction_permille_user: u32,
    /// Instruction side, kernel code.
    pub instruction_permille_kernel: u32,
    /// Data side, user code.
    pub data_permille_user: u32,
    /// Data side, kernel code.
    pub data_permille_kernel: u32,
}

/// Which line of a full set goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// The least recently used one.
    Lru,
    /// The one that a binary tree of recency bits points at. Needs a power of two of ways. Written `tree_plru` in RON, whose names
    /// have no hyphens.
    #[serde(alias = "tree-plru")]
    TreePlru,
}

/// A private cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheSpec {
    /// Capacity.
    pub size_kib: u32,
    /// Lines per set.
    pub ways: u32,
    /// Latency of a hit, from address to use.
    pub latency_cycles: u32,
    /// Replacement policy.
    pub replacement: Replacement,
    /// One instance for user and one for kernel mode: the experiment of invariant 6.
    #[serde(default)]
    pub per_mode: bool,
}

/// How the last level relates to the private caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SharedPolicy {
    /// Holds everything that a private cache holds; what it loses, they lose.
    Inclusive,
    /// Takes what the second level gives up.
    Victim,
}

/// The last-level cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedCacheSpec {
    /// Capacity of one instance.
    pub size_kib: u32,
    /// Lines per set.
    pub ways: u32,
    /// Latency of a hit, from address to use.
    pub latency_cycles: u32,
    /// Replacement policy.
    pub replacement: Replacement,
    /// Inclusive or victim.
    pub policy: SharedPolicy,
    /// Cores under one instance.
    pub shared_by: u32,
    /// One instance for user and one for kernel mode.
    #[serde(default)]
    pub per_mode: bool,
}

/// Page sizes that a TLB holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    /// 4 KiB pages.
    Small,
    /// 2 MiB pages.
    Large,
    /// Both, in the same entries.
    Both,
}

/// A TLB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlbSpec {
    /// Entries; 0 for a TLB that the machine lacks.
    pub entries: u32,
    /// Entries per set; equal to `entries` for a fully associative one.
    pub ways: u32,
    /// Page sizes.
    pub holds: Holds,
    /// One instance for user and one for kernel mode.
    #[serde(default)]
    pub per_mode: bool,
}

/// Page walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WalkSpec {
    /// Cycles of a walk besides its reads of page-table lines.
    pub fixed_cycles: u32,
    /// Levels that a walk for a 4 KiB page reads when the directory cache misses, the leaf included.
    pub levels_small: u32,
    /// Levels that a walk for a 2 MiB page reads, the leaf included.
    pub levels_large: u32,
    /// Entries of the paging-structure cache that lets a walk for a 4 KiB page read the leaf alone; 0 for none.
    pub directory_entries: u32,
}

/// Branch prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchSpec {
    /// Entries of the target buffer.
    pub btb_entries: u32,
    /// Ways of the target buffer.
    pub btb_ways: u32,
    /// Entries of the table indexed by hashed history; a power of two.
    pub history_entries: u32,
    /// Penalty of a prediction found wrong at execution.
    pub mispredict_cycles: u32,
    /// Penalty of a taken branch that the target buffer does not know, found at decode.
    pub resteer_cycles: u32,
    /// Entries of the return stack.
    pub return_stack_entries: u32,
    /// One instance for user and one for kernel mode.
    #[serde(default)]
    pub per_mode: bool,
}

/// Prefetchers, each on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefetchSpec {
    /// A fetch of a line brings the next line of the page into the instruction cache.
    pub instruction_next_line: bool,
    /// A second-level miss brings the other line of the 128-byte pair into the second level.
    pub l2_adjacent: bool,
    /// Two steps in one direction inside a page bring the next line into the second level.
    pub data_streamer: bool,
}

/// Direct costs of crossings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossingSpec {
    /// SYSCALL.
    pub syscall_cycles: u32,
    /// SYSRET.
    pub sysret_cycles: u32,
    /// Delivery of an interrupt.
    pub interrupt_cycles: u32,
    /// IRET.
    pub iret_cycles: u32,
    /// INT n, INT3 and exceptions.
    pub int_cycles: u32,
    /// A write to CR3.
    pub page_table_cycles: u32,
    /// The machine tags TLB entries with an address space, so that a CR3 write need not flush.
    pub pcid: bool,
    /// Most cycles that a full window takes to drain; a window with fewer instructions takes their number / width.
    pub drain_cycles: u32,
    /// Refill of the front end after the return to user mode.
    pub refetch_cycles: u32,
    /// Speculation barriers at an entry with mitigations on.
    pub barrier_cycles: u32,
}

/// Repeated string copies (`rep movs`, `rep stos`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopySpec {
    /// Start-up of the microcode.
    pub startup_cycles: u32,
    /// Cycles per line moved when everything hits.
    pub line_cycles: u32,
}

/// What decides which mitigations a kernel applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The kernel isolates its page tables when mitigations are on.
    pub meltdown_affected: bool,
    /// Cost per entry of the return-stack mitigation, when mitigations are on.
    pub return_stack_mitigation_cycles: u32,
}

const PRESETS: &[(&str, &str)] = &[
    ("nehalem-atc11", include_str!("../presets/nehalem-atc11.ron")),
    ("nehalem", include_str!("../presets/nehalem.ron")),
    ("zen4", include_str!("../presets/zen4.ron")),
];

const PRESET_NAMES: &[&str] = &["nehalem-atc11", "nehalem", "zen4"];

impl Machine {
    /// The preset of a name.
    ///
    /// # Errors
    /// An unknown name, with the nearest known one.
    pub fn preset(name: &str) -> Result<Machine, MachineError> {
        let text = Machine::preset_text(name).ok_or_else(|| MachineError::unknown_preset(name, PRESET_NAMES))?;
        Machine::from_ron(text)
    }

    /// Names of all presets.
    pub fn preset_names() -> &'static [&'static str] {
        PRESET_NAMES
    }

    /// The RON text of a preset, with the source of each number in its comments.
    pub fn preset_text(name: &str) -> Option<&'static str> {
        PRESETS.iter().find(|preset| preset.0 == name).map(|preset| preset.1)
    }

    /// Reads and validates a description.
    ///
    /// # Errors
    /// A syntax error or unknown field with line and column, or the first field that is out of range.
    pub fn from_ron(text: &str) -> Result<Machine, MachineError> {
        let machine: Machine = ron::from_str(text).map_err(|spanned| MachineError::parse(&spanned))?;
        machine.validate()?;
        Ok(machine)
    }

    /// Sets `per_mode` on every structure: user and kernel code never meet in a cache, a TLB or a branch table.
    #[must_use]
    pub fn with_private_structures_per_mode(mut self) -> Machine {
        for cache in [&mut self.l1i, &mut self.l1d, &mut self.l2] {
            cache.per_mode = true;
        }
        self.l3.per_mode = true;
        for tlb in [&mut self.itlb, &mut self.itlb_large, &mut self.dtlb, &mut self.dtlb_large, &mut self.stlb] {
            tlb.per_mode = true;
        }
        self.branch.per_mode = true;
        self
    }
}

impl SharedCacheSpec {
    /// Size and shape as those of a private cache.
    pub fn as_private(&self) -> CacheSpec {
        CacheSpec {
            size_kib: self.size_kib,
            ways: self.ways,
            latency_cycles: self.latency_cycles,
            replacement: self.replacement,
            per_mode: self.per_mode,
        }
    }
}
