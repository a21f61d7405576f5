//! Made-up user work where nothing is recorded: a footprint with the proportions of the library's recorded user blocks.

use super::copy::Copier;
use rustc_hash::{FxHashMap, FxHashSet};
use sim_core::block::{BlockId, Op, OpKind, Origin, Region};
use sim_core::ids::Mode;
use sim_core::workload::Workload;

/// Lines of made-up code that a program has: 128 KiB, between memcached's and nginx's text as the captures touch it.
const CODE_LINES: u32 = 2_048;

/// Places in the made-up code at which a block can begin.
pub(super) const PLACES: u32 = CODE_LINES;

/// Lines of made-up data after the code: as many again.
const DATA_LINES: u32 = 2_048;

/// Longest made-up or stretched block, instructions; beyond it the work is repeated in nobody's interest.
pub(super) const INSTRUCTIONS_MAX: u64 = 2_000_000;

/// Fetches of one made-up block; in longer work the loops stay on their lines for longer, so that a block stays small.
const FETCHES_MAX: u64 = 4_096;

/// Proportions of user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// Instructions between two changes of line, in hundredths.
    pub instructions_per_fetch_centi: u64,
    /// How often a line of code is fetched in a block, in hundredths.
    pub visits_centi: u64,
    /// Data touches for each fetch, in hundredths.
    pub touches_per_fetch_centi: u64,
    /// Touches of each distinct data line, in hundredths.
    pub reuse_centi: u64,
    /// Stores among the touches, in hundredths.
    pub stores_centi: u64,
}

impl Profile {
    /// The proportions over all user blocks of the workloads.
    pub fn of(library: &[&Workload]) -> Profile {
        let (mut instructions, mut fetches, mut code, mut touches, mut data, mut stores) = (0u64, 0u64, 0u64, 0u64, 0u64, 0u64);
        for workload in library {
            for index in 1..workload.blocks.len() {
                let id = BlockId(index as u32);
                let info = workload.blocks.info(id);
                if info.mode != Mode::User || info.origin != Origin::Recorded {
                    continue;
                }
                instructions += u64::from(info.instructions);
                let mut lines: FxHashSet<(bool, Region, u32)> = FxHashSet::default();
                for op in workload.blocks.ops(id) {
                    let fetch = op.kind == OpKind::Fetch;
                    fetches += u64::from(fetch);
                    touches += u64::from(matches!(op.kind, OpKind::Load | OpKind::Store));
                    stores += u64::from(op.kind == OpKind::Store);
                    if op.kind != OpKind::Copy && lines.insert((fetch, op.region, op.offset)) {
                        *(if fetch { &mut code } else { &mut data }) += 1;
                    }
                }
            }
        }
        if fetches == 0 {
            return Profile::DEFAULT;
        }
        let centi = |part: u64, whole: u64, least: u64| (part * 100 / whole.max(1)).max(least);
        Profile {
            instructions_per_fetch_centi: centi(instructions, fetches, 100),
            visits_centi: centi(fetches, code, 100),
            touches_per_fetch_centi: centi(touches, fetches, 0),
            reuse_centi: centi(touches, data, 100),
            stores_centi: centi(stores, touches, 0),
        }
    }

    /// For a library without user blocks: the proportions of the bundled memcached capture (`mc-16-rx-off`), rounded.
    const DEFAULT: Profile = Profile {
        instructions_per_fetch_centi: 620,
        visits_centi: 220,
        touches_per_fetch_centi: 165,
        reuse_centi: 600,
        stores_centi: 34,
    };

    /// The ops of a block of so many instructions. `place` says where in the program's code it stands: blocks of one place share
    /// their code, blocks of different places overlap where the program is small.
    pub fn ops(&self, instructions: u64, place: u32) -> Vec<Op> {
        let instructions = instructions.clamp(1, INSTRUCTIONS_MAX);
        let wanted = (instructions * 100 / self.instructions_per_fetch_centi).max(1);
        let fetches = wanted.min(FETCHES_MAX);
        let distinct = (wanted * 100 / self.visits_centi).clamp(1, u64::from(CODE_LINES)).min(fetches) as u32;
        let touches = fetches * self.touches_per_fetch_centi / 100;
        let data_wanted = wanted * self.touches_per_fetch_centi / self.reuse_centi;
        let data = data_wanted.clamp(1, u64::from(DATA_LINES)).min(touches.max(1)) as u32;
        let mut ops = Vec::with_capacity((fetches + touches) as usize);
        let (mut instructions_done, mut touches_done) = (0, 0);
        for fetch in 0..fetches {
            let line = (place + walk(fetch, fetches, distinct)) % CODE_LINES;
            let upto = instructions * (fetch + 1) / fetches;
            let count = (upto - instructions_done).min(u64::from(u16::MAX)) as u16;
            instructions_done = upto;
            ops.push(Op { offset: line, count, region: Region::SyntheticUser, kind: OpKind::Fetch });
            let touches_upto = touches * (fetch + 1) / fetches;
            while touches_done < touches_upto {
                let stores = (touches_done + 1) * self.stores_centi / 100 > touches_done * self.stores_centi / 100;
                let line = CODE_LINES + (place + walk(touches_done, touches, data)) % DATA_LINES;
                let kind = if stores { OpKind::Store } else { OpKind::Load };
                ops.push(Op { offset: line, count: 0, region: Region::SyntheticUser, kind });
                touches_done += 1;
            }
        }
        ops
    }
}

/// Lines walked in loops of eight before the walk goes on: position of step `step` of `steps` over `distinct` lines.
fn walk(step: u64, steps: u64, distinct: u32) -> u32 {
    const LOOP_LINES: u64 = 8;
    let distinct = u64::from(distinct);
    let visits = steps.div_ceil(distinct).max(1);
    let group = step / (LOOP_LINES * visits);
    ((group * LOOP_LINES + step % LOOP_LINES) % distinct) as u32
}

/// Made-up user blocks, one for each place and rounded length.
pub(super) struct Maker {
    profile: Profile,
    made: FxHashMap<(u32, u64), BlockId>,
}

impl Maker {
    pub fn new(profile: Profile) -> Self {
        Maker { profile, made: FxHashMap::default() }
    }

    /// A user block of about so many instructions (to an eighth of a power of two, so that equal work is one block).
    pub fn block(&mut self, copier: &mut Copier<'_>, instructions: u64, place: u32) -> BlockId {
        let rounded = round(instructions);
        if rounded == 0 {
            return BlockId::EMPTY;
        }
        let profile = self.profile;
        *self.made.entry((place, rounded)).or_insert_with(|| {
            let lines = &mut copier.region_lines[Region::SyntheticUser.index()];
            *lines = (*lines).max(CODE_LINES + DATA_LINES);
            copier.blocks.push(Mode::User, Origin::Synthetic, &profile.ops(rounded, place), Vec::new())
        })
    }
}

/// Rounds to three bits after the leading one.
pub(super) fn round(instructions: u64) -> u64 {
    let shift = (u64::BITS - instructions.leading_zeros()).saturating_sub(4);
    instructions >> shift << shift
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::block::instructions_of;

    #[test]
    fn made_up_blocks_have_the_stated_length_and_footprint() {
        let profile = Profile {
            instructions_per_fetch_centi: 700,
            visits_centi: 200,
            touches_per_fetch_centi: 150,
            reuse_centi: 400,
            stores_centi: 35,
        };
        for instructions in [1, 7, 100, 5_000, 250_000] {
            let ops = profile.ops(instructions, 100);
            assert_eq!(u64::from(instructions_of(&ops)), instructions);
            assert!(ops.iter().all(|op| op.offset < CODE_LINES + DATA_LINES));
            assert!(ops.len() as u64 <= FETCHES_MAX * 5 / 2);
        }
        let ops = profile.ops(7_000, 0);
        let code: FxHashSet<u32> = ops.iter().filter(|op| op.kind == OpKind::Fetch).map(|op| op.offset).collect();
        let fetches = ops.iter().filter(|op| op.kind == OpKind::Fetch).count();
        assert_eq!(fetches, 1_000);
        assert_eq!(code.len(), 500, "each line is fetched twice");
        let stores = ops.iter().filter(|op| op.kind == OpKind::Store).count();
        assert_eq!((ops.len() - fetches, stores), (1_500, 525));
    }

    #[test]
    fn the_default_is_a_real_programs() {
        let memcached = crate::bundled::load("memcached").unwrap();
        let measured = Profile::of(&[&memcached]);
        let fields =
            |p: Profile| [p.instructions_per_fetch_centi, p.visits_centi, p.touches_per_fetch_centi, p.reuse_centi, p.stores_centi];
        let (stated, measured) = (fields(Profile::DEFAULT), fields(measured));
        let near = stated.iter().zip(&measured).all(|(stated, measured)| stated.abs_diff(*measured) * 10 <= *measured);
        assert!(near, "stated {stated:?}, measured {measured:?}");
    }

    #[test]
    fn rounding_keeps_the_leading_bits() {
        assert_eq!([0, 1, 15, 16, 17, 1_000, 1_023].map(round), [0, 1, 15, 16, 16, 960, 960]);
    }
}
