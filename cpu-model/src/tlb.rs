//! Translation: first-level TLBs per page size, a shared second level, and walks that read page-table lines through the caches.
//!
//! A key is the number of a 4 KiB page, or that of a 2 MiB page with a bit set, so that one array can hold both. The flag of an entry
//! says that it is global: a kernel page, which survives a switch of address spaces on a kernel without page-table isolation.

use crate::counters::Structure;
use crate::frames::{Frames, table_line};
use crate::hierarchy::{Hierarchy, Missed, NOWHERE, Who};
use crate::level::{Filled, Level};
use crate::machine::{Holds, Machine, Replacement, TlbSpec};
use crate::slots::EMPTY;
use sim_core::ids::{CHUNK_LINES, Line, PAGE_LINES};

/// Distinguishes a 2 MiB page's key; pages of 4 KiB need 24 bits.
const LARGE_KEY: u32 = 1 << 24;

/// A first-level TLB: one array for 4 KiB pages, which may hold 2 MiB pages too, and possibly one for 2 MiB pages apart. Where neither
/// holds them they are cut into 4 KiB pieces.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    /// Small (or both), then large; each with its two instances.
    arrays: [Level; 4],
    masks: [usize; 2],
    keeps_large: bool,
    large_apart: bool,
    /// By 4 KiB page modulo the length: where its entry is.
    known: Box<[Known; KNOWN_PAGES]>,
}

/// Where the entry of a page is: spares the search for its size and its slot.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// 4 KiB page x 2 + code, or [`NOWHERE`].
    tag: u32,
    /// Slot x 4 + number of the array.
    place: u32,
}

/// Pages of which one can be known at a time: one in so many. With 256, one data touch in 80 of a capture has to search.
const KNOWN_PAGES: usize = 256;
const UNKNOWN: Known = Known { tag: NOWHERE, place: 0 };

/// All TLBs of one core.
#[derive(Clone, Debug)]
pub(crate) struct TlbSet {
    pub instruction: Front,
    pub data: Front,
    second: [Level; 2],
    second_mask: usize,
    second_small: bool,
    second_large: bool,
    /// 2 MiB regions whose directory entry the paging-structure cache holds.
    directory: Level,
}

/// One read of a walk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WalkRead {
    pub line: u32,
    pub missed: Missed,
}

/// A translation that missed the first level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Translation {
    pub latency: u32,
    /// Misses in TLBs alone; the walk's reads have their own.
    pub missed: Missed,
    pub front: Structure,
    pub front_evictor: u16,
    /// Latency up to the second level's answer and its evictor, when it was asked and missed.
    pub second: Option<(u32, u16)>,
    /// Reads of the walk, the leaf first; as many as `walk_reads`.
    pub walk: [WalkRead; 4],
    pub walk_reads: usize,
}

fn instances(spec: &TlbSpec) -> [Level; 2] {
    let second = if spec.per_mode { spec.entries } else { 0 };
    [Level::new(spec.entries, spec.ways, Replacement::Lru), Level::new(second, spec.ways, Replacement::Lru)]
}

impl Front {
    fn new(small: &TlbSpec, large: &TlbSpec) -> Front {
        let [[small_first, small_second], [large_first, large_second]] = [instances(small), instances(large)];
        Front {
            arrays: [small_first, small_second, large_first, large_second],
            masks: [usize::from(small.per_mode), usize::from(large.per_mode)],
            keeps_large: small.holds == Holds::Both || large.entries > 0,
            large_apart: large.entries > 0,
            known: Box::new([UNKNOWN; KNOWN_PAGES]),
        }
    }

    /// Number of the array and the key that translate a line.
    #[inline]
    fn place(&self, code: usize, line: Line, large: bool) -> (usize, u32) {
        let large = large & self.keeps_large;
        let key = if large { (line / CHUNK_LINES) | LARGE_KEY } else { line / PAGE_LINES };
        let apart = usize::from(large & self.large_apart);
        (apart * 2 + (code & self.masks[apart]), key)
    }

    /// True when the page of a line is there; it is the most recent one of its set then.
    #[inline(always)]
    pub fn hits(&mut self, code: usize, line: Line, frames: &Frames) -> bool {
        let page = line / PAGE_LINES;
        let known = self.known[page as usize % KNOWN_PAGES];
        if known.tag == page * 2 + code as u32 {
            self.arrays[known.place as usize % 4].used_slot(known.place as usize / 4);
            return true;
        }
        self.search(code, line, frames.is_large(line))
    }

    /// True when the page of a line is there. Changes nothing.
    pub fn holds(&self, code: usize, line: Line, large: bool) -> bool {
        let (array, key) = self.place(code, line, large);
        self.arrays[array].contains(key)
    }

    /// The bits of a line that name the page of its entry.
    #[inline]
    pub fn page_mask(&self, line: Line, frames: &Frames) -> u32 {
        !(if frames.is_large(line) & self.keeps_large { CHUNK_LINES - 1 } else { PAGE_LINES - 1 })
    }

    #[inline(never)]
    fn search(&mut self, code: usize, line: Line, large: bool) -> bool {
        let (array, key) = self.place(code, line, large);
        let state = self.arrays[array].state(key);
        if !state.is_present() {
            return false;
        }
        self.arrays[array].used(state);
        let page = line / PAGE_LINES;
        let place = (state.slot() * 4 + array) as u32;
        self.known[page as usize % KNOWN_PAGES] = Known { tag: page * 2 + code as u32, place };
        true
    }

    /// Fills in the page of a line, which is absent; returns who had pushed it out.
    fn fill(&mut self, who: Who, line: Line, large: bool, global: bool) -> u16 {
        let (array, key) = self.place(who.code, line, large);
        let level = &mut self.arrays[array];
        let Filled { evictor, victim, .. } = level.fill(key, who.agent);
        if global {
            level.set_flag(key, true);
        }
        if victim & LARGE_KEY == 0 {
            self.known[victim as usize % KNOWN_PAGES] = UNKNOWN;
        } else if victim != EMPTY {
            self.forget();
        }
        evictor
    }

    /// Forgets where entries are.
    fn forget(&mut self) {
        self.known.fill(UNKNOWN);
    }

    fn levels(&mut self) -> impl Iterator<Item = &mut Level> {
        self.arrays.iter_mut().filter(|level| !level.is_absent())
    }
}

impl TlbSet {
    pub fn new(machine: &Machine) -> TlbSet {
        let present = machine.stlb.entries > 0;
        TlbSet {
            instruction: Front::new(&machine.itlb, &machine.itlb_large),
            data: Front::new(&machine.dtlb, &machine.dtlb_large),
            second: instances(&machine.stlb),
            second_mask: usize::from(machine.stlb.per_mode),
            second_small: present && machine.stlb.holds != Holds::Large,
            second_large: present && machine.stlb.holds != Holds::Small,
            directory: Level::new(machine.walk.directory_entries, machine.walk.directory_entries.max(1), Replacement::Lru),
        }
    }

    fn levels(&mut self) -> impl Iterator<Item = &mut Level> {
        let second = self.second.iter_mut().filter(|level| !level.is_absent());
        self.instruction.levels().chain(self.data.levels()).chain(second)
    }

    /// Flushes all entries, or the ones that are not global.
    pub fn flush(&mut self, keep_global: bool) {
        for level in self.levels() {
            level.flush(keep_global);
        }
        self.directory.flush(false);
        self.instruction.forget();
        self.data.forget();
    }

    /// Takes one page out of all TLBs, whatever its size.
    pub fn invalidate(&mut self, line: Line) {
        for level in self.levels() {
            for key in [line / PAGE_LINES, (line / CHUNK_LINES) | LARGE_KEY] {
                level.take(key, sim_core::context::Agent::FLUSH.0);
            }
        }
        self.instruction.forget();
        self.data.forget();
    }
}

impl TlbSet {
    /// True when the second level holds the page of a line. Changes nothing.
    pub fn second_holds(&self, code: usize, line: Line, large: bool) -> bool {
        let level = &self.second[code & self.second_mask];
        !level.is_absent() && level.contains(if large { (line / CHUNK_LINES) | LARGE_KEY } else { line / PAGE_LINES })
    }
}

impl Hierarchy {
    /// True when the first-level TLB has the page of a line. Else [`Hierarchy::translate`] has to follow.
    #[inline(always)]
    pub fn page_hits<const FETCH: bool>(&mut self, core: usize, who: Who, line: Line) -> bool {
        let tlbs = &mut self.cores[core].tlbs;
        let front = if FETCH { &mut tlbs.instruction } else { &mut tlbs.data };
        front.hits(who.code, line, &self.frames)
    }

    /// Translates a line for a fetch or a data access whose page is not in the first-level TLB.
    #[inline(never)]
    pub fn translate<const LEDGER: bool, const MULTI: bool, const FETCH: bool>(
        &mut self,
        core: usize,
        who: Who,
        line: Line,
    ) -> Translation {
        let large = self.frames.is_large(line);
        let structure = if FETCH { Structure::Itlb } else { Structure::Dtlb };
        let global = self.frames.is_global(line, who.user_pages);
        let tlbs = &mut self.cores[core].tlbs;
        let front = if FETCH { &mut tlbs.instruction } else { &mut tlbs.data };
        let front_evictor = front.fill(who, line, large, global);
        let missed = self.count_miss::<LEDGER>(core, who, structure, front_evictor);
        let mut translation = Translation {
            latency: 0,
            missed,
            front: structure,
            front_evictor,
            second: None,
            walk: Default::default(),
            walk_reads: 0,
        };
        if !self.ask_second::<LEDGER>(core, who, line, large, global, &mut translation) {
            self.walk::<LEDGER, MULTI>(core, who, line, large, &mut translation);
        }
        translation
    }

    /// The second-level TLB, if the machine has one for the page size. Returns whether it had the page.
    fn ask_second<const LEDGER: bool>(
        &mut self,
        core: usize,
        who: Who,
        line: Line,
        large: bool,
        global: bool,
        translation: &mut Translation,
    ) -> bool {
        let mode = who.mode.index();
        let part = &mut self.cores[core];
        if !(if large { part.tlbs.second_large } else { part.tlbs.second_small }) {
            return false;
        }
        part.counters.modes[mode].references[Structure::Stlb.index()] += 1;
        let key = if large { (line / CHUNK_LINES) | LARGE_KEY } else { line / PAGE_LINES };
        let level = &mut part.tlbs.second[who.code & part.tlbs.second_mask];
        let filled = level.touch(key, who.agent);
        if global {
            level.set_flag(key, true);
        }
        translation.latency = self.shape.stlb_cycles;
        if let Some(Filled { evictor, .. }) = filled {
            translation.second = Some((translation.latency, evictor));
            translation.missed += self.count_miss::<LEDGER>(core, who, Structure::Stlb, evictor);
        }
        filled.is_none()
    }

    /// Reads the page-table lines that the paging-structure cache does not spare, from the root to the leaf.
    fn walk<const LEDGER: bool, const MULTI: bool>(
        &mut self,
        core: usize,
        who: Who,
        line: Line,
        large: bool,
        translation: &mut Translation,
    ) {
        let spec = self.shape.walk;
        let leaf = u32::from(large);
        let directory = &mut self.cores[core].tlbs.directory;
        let spared = !large && !directory.is_absent() && directory.touch(line / CHUNK_LINES, who.agent).is_none();
        let levels = if large { spec.levels_large } else { spec.levels_small };
        let reads = if spared { 1 } else { levels };
        translation.latency += spec.fixed_cycles;
        translation.walk_reads = reads as usize;
        for read in (0..reads).rev() {
            let table = table_line(line, leaf + read);
            self.cores[core].counters.modes[who.mode.index()].references[Structure::L1d.index()] += 1;
            let access = self.data::<LEDGER, MULTI>(core, who, table, false);
            let (latency, missed) = access.map_or((self.shape.l1d_cycles, 0), |access| (access.latency, access.missed));
            translation.latency += latency;
            translation.walk[read as usize] = WalkRead { line: table, missed };
        }
    }
}
