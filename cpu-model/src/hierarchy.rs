//! All structures of all cores, without time: caches, TLBs, branch tables, prefetchers and the directory between cores.
//! The same type serves the machine itself and the shadow, where each mode has structures of its own.

use crate::branch::{BranchTables, Prediction};
use crate::counters::{Counters, Structure};
use crate::directory::Directory;
use crate::frames::Frames;
use crate::ledger::Ledger;
use crate::level::{Filled, Level};
use crate::machine::{CacheSpec, Machine, PrefetchSpec, SharedPolicy, WalkSpec};
use crate::prefetch::Streams;
use crate::tlb::TlbSet;
use sim_core::context::Context;
use sim_core::ids::{LINE_BYTES, Line, Mode};
use sim_core::layout::Layout;
use sim_core::stack::Domain;

/// No line, or no page: larger than any.
pub(crate) const NOWHERE: u32 = u32::MAX;

/// Who makes an access, as the structures see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    /// Mode of the counters.
    pub mode: Mode,
    /// Whose code it is ([`Context::code_index`]): selects among structures that are private to a mode. The program's own code keeps
    /// the user's instance in kernel mode, or elevating it would change what it shares with the kernel.
    pub code: usize,
    /// Evictor of what the access pushes out.
    pub agent: u16,
    /// The pages touched are the application's own: their TLB entries are not global.
    pub user_pages: bool,
}

impl Who {
    pub fn new(context: Context) -> Who {
        let user_pages = context.mode == Mode::User || context.domain == Domain::User;
        Who { mode: context.mode, code: context.code_index(), agent: context.agent.0, user_pages }
    }
}

/// Misses of one touch by structure, one byte each.
pub(crate) type Missed = u64;

/// One miss in a [`Missed`].
#[inline(always)]
pub(crate) fn one_miss(structure: Structure) -> Missed {
    1 << (8 * structure.index())
}

/// Where a line was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    L2,
    L3,
    Memory,
    /// Another core's cache.
    Transfer,
}

/// A line access that missed the first level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    /// From address to use.
    pub latency: u32,
    pub source: Source,
    pub missed: Missed,
    /// Evictors of the first-level, second-level and last-level miss, as far as they missed.
    pub evictors: [u16; 3],
}

/// Instance of each structure that code uses: `code & mask`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ModeMasks {
    pub l1i: usize,
    pub l1d: usize,
    pub l2: usize,
    pub l3: usize,
    pub branch: usize,
}

/// What the hierarchy needs of the machine description.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub masks: ModeMasks,
    pub l1d_cycles: u32,
    pub l2_cycles: u32,
    pub l3_cycles: u32,
    pub memory_cycles: u32,
    pub transfer_cycles: u32,
    pub transfer_far_cycles: u32,
    pub stlb_cycles: u32,
    pub policy: SharedPolicy,
    pub shared_by: usize,
    pub walk: WalkSpec,
    pub prefetch: PrefetchSpec,
}

/// A line that a prefetch asked for and that may not be there yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingFetch {
    pub line: Line,
    pub ready_at: u64,
    pub source: Source,
    pub evictor: u16,
}

/// The private structures of one core; index 1 of an array is used only where modes are apart.
#[derive(Clone, Debug)]
pub(crate) struct CoreParts {
    pub l1i: [Level; 2],
    pub l1d: [Level; 2],
    pub l2: [Level; 2],
    pub tlbs: TlbSet,
    pub branch: [BranchTables; 2],
    pub streams: Streams,
    pub pending: PendingFetch,
    pub counters: Counters,
}

/// All structures of all cores.
#[derive(Clone, Debug)]
pub(crate) struct Hierarchy {
    pub shape: Shape,
    pub cores: Vec<CoreParts>,
    /// By domain x 2 + instance.
    pub l3: Vec<Level>,
    pub frames: Frames,
    pub directory: Directory,
    pub ledger: Ledger,
}

/// The one or two instances of a cache.
fn instances(spec: &CacheSpec) -> [Level; 2] {
    let lines = spec.size_kib * (1024 / LINE_BYTES as u32);
    let second = if spec.per_mode { lines } else { 0 };
    [Level::new(lines, spec.ways, spec.replacement), Level::new(second, spec.ways, spec.replacement)]
}

impl CoreParts {
    fn new(machine: &Machine) -> CoreParts {
        let second = if machine.branch.per_mode { BranchTables::new(&machine.branch) } else { BranchTables::absent() };
        CoreParts {
            l1i: instances(&machine.l1i),
            l1d: instances(&machine.l1d),
            l2: instances(&machine.l2),
            tlbs: TlbSet::new(machine),
            branch: [BranchTables::new(&machine.branch), second],
            streams: Streams::new(),
            pending: PendingFetch { line: NOWHERE, ready_at: 0, source: Source::L2, evictor: 0 },
            counters: Counters::default(),
        }
    }
}

impl Hierarchy {
    /// Structures for `cores` cores of a machine that was validated.
    pub fn new(machine: &Machine, cores: usize, layout: &Layout, seed: u64) -> Hierarchy {
        let domains = cores.div_ceil(machine.l3.shared_by as usize);
        let shape = Shape {
            masks: ModeMasks {
                l1i: usize::from(machine.l1i.per_mode),
                l1d: usize::from(machine.l1d.per_mode),
                l2: usize::from(machine.l2.per_mode),
                l3: usize::from(machine.l3.per_mode),
                branch: usize::from(machine.branch.per_mode),
            },
            l1d_cycles: machine.l1d.latency_cycles,
            l2_cycles: machine.l2.latency_cycles,
            l3_cycles: machine.l3.latency_cycles,
            memory_cycles: machine.memory_cycles,
            transfer_cycles: machine.transfer_cycles,
            transfer_far_cycles: machine.transfer_far_cycles,
            stlb_cycles: machine.stlb_latency_cycles,
            policy: machine.l3.policy,
            shared_by: machine.l3.shared_by as usize,
            walk: machine.walk,
            prefetch: machine.prefetch,
        };
        Hierarchy {
            shape,
            cores: (0..cores).map(|_| CoreParts::new(machine)).collect(),
            l3: (0..domains).flat_map(|_| instances(&machine.l3.as_private())).collect(),
            frames: Frames::new(layout, seed),
            directory: Directory::new(cores),
            ledger: Ledger::default(),
        }
    }

    /// Forgets counts, keeps contents.
    pub fn reset_counters(&mut self) {
        for core in &mut self.cores {
            core.counters = Counters::default();
        }
        self.ledger.reset();
    }

    /// Counts a demand miss and gives its place in a [`Missed`].
    #[inline(always)]
    pub fn count_miss<const LEDGER: bool>(&mut self, core: usize, who: Who, structure: Structure, evictor: u16) -> Missed {
        self.cores[core].counters.modes[who.mode.index()].misses[structure.index()] += 1;
        if LEDGER {
            self.ledger.miss(structure, who.mode, evictor);
        }
        one_miss(structure)
    }

    /// True when a fetch finds the line in the first level and no prefetch of it is under way.
    #[inline(always)]
    pub fn fetch_hits(&mut self, core: usize, who: Who, line: Line) -> bool {
        let part = &mut self.cores[core];
        part.l1i[who.code & self.shape.masks.l1i].hit(line) & (part.pending.line != line)
    }

    /// True when data are in the first level, and for a store owned.
    #[inline(always)]
    pub fn data_hits(&mut self, core: usize, who: Who, line: Line, store: bool) -> bool {
        let level = &mut self.cores[core].l1d[who.code & self.shape.masks.l1d];
        let owned = !store | level.state(line).flag();
        level.hit(line) & owned
    }

    /// The first level for a fetch. `None`: there.
    #[inline(always)]
    pub fn fetch<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, line: Line, now: u64) -> Option<Access> {
        let part = &mut self.cores[core];
        let level = &mut part.l1i[who.code & self.shape.masks.l1i];
        if !level.hit(line) {
            return Some(self.fetch_missed::<LEDGER, MULTI>(core, who, line));
        }
        if part.pending.line == line { self.late_prefetch::<LEDGER>(core, who, now) } else { None }
    }

    #[inline(always)]
    fn fetch_missed<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, line: Line) -> Access {
        let level = &mut self.cores[core].l1i[who.code & self.shape.masks.l1i];
        let evictor = level.fill(line, who.agent).evictor;
        let missed = self.count_miss::<LEDGER>(core, who, Structure::L1i, evictor);
        let physical = self.frames.physical(line);
        let below = self.below::<LEDGER, MULTI, true>(core, who, physical);
        Access {
            latency: below.latency,
            source: below.source,
            missed: missed + below.missed,
            evictors: [evictor, below.evictors[0], below.evictors[1]],
        }
    }

    /// The line was asked for by the next-line prefetch: a miss with the rest of its latency when it is not there yet.
    fn late_prefetch<const LEDGER: bool>(&mut self, core: usize, who: Who, now: u64) -> Option<Access> {
        let pending = self.cores[core].pending;
        self.cores[core].pending.line = NOWHERE;
        if pending.ready_at <= now {
            return None;
        }
        let missed = self.count_miss::<LEDGER>(core, who, Structure::L1i, pending.evictor);
        let latency = (pending.ready_at - now) as u32;
        Some(Access { latency, source: pending.source, missed, evictors: [pending.evictor, 0, 0] })
    }

    /// The first level for data. `None`: there, and for a store owned.
    #[inline]
    pub fn data<const LEDGER: bool, const MULTI: bool>(
        &mut self,
        core: usize,
        who: Who,
        line: Line,
        store: bool,
    ) -> Option<Access> {
        let level = &mut self.cores[core].l1d[who.code & self.shape.masks.l1d];
        if !level.hit(line) {
            return Some(self.data_missed::<LEDGER, MULTI>(core, who, line, store));
        }
        let first_store = store && level.set_flag(line, true) == Some(false);
        if MULTI && first_store { self.first_store(core, line) } else { None }
    }

    /// A store to a line that is there, but that this core has not written since it came.
    fn first_store(&mut self, core: usize, line: Line) -> Option<Access> {
        let physical = self.frames.physical(line);
        let latency = self.own(core, line, physical)?;
        Some(Access { latency, source: Source::Transfer, missed: 0, evictors: [0; 3] })
    }

    fn data_missed<const LEDGER: bool, const MULTI: bool>(&mut self, core: usize, who: Who, line: Line, store: bool) -> Access {
        let instance = who.code & self.shape.masks.l1d;
        let Filled { evictor, victim, victim_flag } = self.cores[core].l1d[instance].fill(line, who.agent);
        let missed = self.count_miss::<LEDGER>(core, who, Structure::L1d, evictor);
        // Before anything else moves: afterwards an inclusive last level may have dropped the victim.
        if victim_flag {
            self.write_back(core, who, victim);
        }
        let physical = self.frames.physical(line);
        let mut below = self.below::<LEDGER, MULTI, true>(core, who, physical);
        if self.shape.prefetch.data_streamer {
            self.stream::<LEDGER, MULTI>(core, who, physical);
        }
        if store {
            self.cores[core].l1d[instance].set_flag(line, true);
            if MULTI && let Some(latency) = self.own(core, line, physical) {
                below.latency = below.latency.max(latency);
                below.source = Source::Transfer;
            }
        }
        Access {
            latency: below.latency,
            source: below.source,
            missed: missed + below.missed,
            evictors: [evictor, below.evictors[0], below.evictors[1]],
        }
    }

    /// Follows a change of line.
    #[inline(always)]
    pub fn branch(&mut self, core: usize, who: Who, from: Line, to: Line) -> Prediction {
        self.cores[core].branch[who.code & self.shape.masks.branch].follow(from, to, who.agent)
    }
}
