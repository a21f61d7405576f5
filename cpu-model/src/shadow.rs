//! The shadow: beside the machine, each mode runs alone on structures of its own. The difference between the two, touch by touch, is what
//! sharing destroyed and what it saved. It is another quantity than the ledger's: the fill that pushed a line out need not be the one
//! without which it would have stayed.
//!
//! Sampled, only lines whose address falls into some groups of cache sets go through the shadow's caches. Groups are pairs of
//! neighbouring lines inside a page, which every cache with at least 64 sets keeps apart, so that the sampled sets behave exactly as
//! in the full shadow but for prefetches that cross from one group to another. TLBs and branch tables are always full.

use crate::counters::{Counters, Structure};
use crate::error::MachineError;
use crate::frames::SplitMix;
use crate::hierarchy::Missed;
use crate::machine::Machine;
use sim_core::ids::{Line, Mode};

/// Whether and how each mode is also run alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shadow {
    /// Not at all.
    #[default]
    Off,
    /// All sets.
    Full,
    /// One set in so many: a power of two, at most 8 where every cache has 64 sets.
    Sampled(u32),
}

/// What one mode would have missed alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShadowRow {
    /// The structure.
    pub structure: Structure,
    /// The mode that runs alone.
    pub mode: Mode,
    /// Misses had this mode run alone.
    pub misses_alone: u64,
    /// Misses that the mode would not have had alone.
    pub destructive: u64,
    /// Misses that the mode would have had alone, but that the other mode's fetches saved.
    pub constructive: u64,
    /// Half of the 95 % interval of `misses_alone`; 0 where nothing was sampled.
    pub interval: u64,
}

/// Lines in a page, two to a group.
const GROUPS_MAX: usize = 32;
/// Fewer sampled groups give no useful interval.
const SAMPLED_GROUPS_MIN: u32 = 4;
/// 97.5 % points of Student's t in thousandths, by degrees of freedom from 1 (any statistics table).
const STUDENT_MILLI: [u64; 31] = [
    12706, 4303, 3182, 2776, 2571, 2447, 2365, 2306, 2262, 2228, 2201, 2179, 2160, 2145, 2131, 2120, 2110, 2101, 2093, 2086, 2080,
    2074, 2069, 2064, 2060, 2056, 2052, 2048, 2045, 2042, 2040,
];

/// Misses on one side only.
#[derive(Clone, Copy, Debug, Default)]
struct Difference {
    destructive: u64,
    constructive: u64,
}

/// Differences between the machine and the shadow.
#[derive(Clone, Debug)]
pub(crate) struct ShadowTally {
    /// By group, structure, mode.
    differences: Vec<[[Difference; 2]; Structure::COUNT]>,
    sampled: u64,
    groups: u32,
}

/// Groups of sets that all caches of the machine keep apart.
fn groups_of(machine: &Machine) -> u32 {
    let l3 = machine.l3.as_private();
    let sets = [&machine.l1i, &machine.l1d, &machine.l2, &l3].map(|cache| cache.size_kib * 16 / cache.ways);
    let apart = sets.map(|count| 1 << count.trailing_zeros()).into_iter().min().unwrap_or(1);
    (apart / 2).clamp(1, GROUPS_MAX as u32)
}

impl ShadowTally {
    pub fn new(machine: &Machine, shadow: Shadow, seed: u64) -> Result<ShadowTally, MachineError> {
        let groups = groups_of(machine);
        let sampled = match shadow {
            Shadow::Off | Shadow::Full => u64::MAX,
            Shadow::Sampled(asked) => {
                let most = groups / SAMPLED_GROUPS_MIN;
                if !asked.is_power_of_two() || asked < 2 || asked > most {
                    return Err(MachineError::Sampling { machine: machine.name.clone(), asked, most });
                }
                draw_groups(groups, groups / asked, seed)
            }
        };
        Ok(ShadowTally { differences: vec![Default::default(); groups as usize], sampled, groups })
    }

    #[inline(always)]
    fn group(&self, line: Line) -> u32 {
        (line >> 1) & (self.groups - 1)
    }

    /// True when the line goes through the shadow's caches.
    #[inline(always)]
    pub fn takes(&self, line: Line) -> bool {
        self.sampled >> self.group(line) & 1 != 0
    }

    /// Compares the misses of one touch of a line.
    #[inline(always)]
    pub fn compare(&mut self, mode: Mode, line: Line, machine: Missed, alone: Missed) {
        if machine != alone {
            self.differ(mode, line, machine, alone);
        }
    }

    fn differ(&mut self, mode: Mode, line: Line, machine: Missed, alone: Missed) {
        let group = self.group(line) as usize;
        for structure in Structure::ALL {
            let count = |missed: Missed| missed >> (8 * structure.index()) & 0xff;
            let difference = &mut self.differences[group][structure.index()][mode.index()];
            difference.destructive += count(machine).saturating_sub(count(alone));
            difference.constructive += count(alone).saturating_sub(count(machine));
        }
    }

    pub fn reset(&mut self) {
        self.differences.fill(Default::default());
    }

    /// Rows for all structures and modes, given the machine's misses.
    pub fn rows(&self, counters: &Counters) -> Vec<ShadowRow> {
        let mut rows = Vec::new();
        for structure in Structure::ALL {
            for mode in Mode::ALL {
                rows.push(self.row(structure, mode, counters.misses(structure, mode)));
            }
        }
        rows
    }

    fn row(&self, structure: Structure, mode: Mode, misses: u64) -> ShadowRow {
        let cell = |group: usize| self.differences[group][structure.index()][mode.index()];
        let is_cache = structure <= Structure::L3;
        let all = self.differences.len() as u64;
        let taken: Vec<Difference> =
            (0..self.differences.len()).filter(|group| !is_cache || self.sampled >> group & 1 != 0).map(cell).collect();
        let scale = all / taken.len() as u64;
        let destructive = scale * taken.iter().map(|difference| difference.destructive).sum::<u64>();
        let constructive = scale * taken.iter().map(|difference| difference.constructive).sum::<u64>();
        let misses_alone = (misses + constructive).saturating_sub(destructive);
        let interval = if scale > 1 { half_interval(&taken, all) } else { 0 };
        ShadowRow { structure, mode, misses_alone, destructive, constructive, interval }
    }
}

/// Some groups, drawn without replacement.
fn draw_groups(groups: u32, count: u32, seed: u64) -> u64 {
    let mut random = SplitMix(seed ^ 0x5ad0_5ad0_5ad0_5ad0);
    let mut left: Vec<u32> = (0..groups).collect();
    let mut mask = 0;
    for _ in 0..count {
        let place = random.below(left.len() as u64) as usize;
        mask |= 1 << left.swap_remove(place);
    }
    mask
}

/// Half of the 95 % interval of a total over `all` groups, from the net differences of the sampled ones:
/// all x t x sqrt((1 - sampled / all) x variance / sampled), rounded up.
fn half_interval(taken: &[Difference], all: u64) -> u64 {
    let count = taken.len() as i128;
    let net = taken.iter().map(|difference| i128::from(difference.destructive) - i128::from(difference.constructive));
    let sum: i128 = net.clone().sum();
    // count x (count - 1) x variance, exactly.
    let spread: i128 = count * net.map(|value| value * value).sum::<i128>() - sum * sum;
    let degrees = taken.len() - 1;
    let student = u128::from(STUDENT_MILLI[(degrees - 1).min(STUDENT_MILLI.len() - 1)]);
    let unsampled = u128::from(all) - count as u128;
    let variance_of_total = u128::from(all) * unsampled * spread as u128 / (count * count * (count - 1)) as u128;
    ((variance_of_total * student * student).isqrt() / 1000) as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_follows_the_textbook() {
        let taken: Vec<Difference> = [2, 4, 6, 8].map(|destructive| Difference { destructive, constructive: 0 }).into();
        // N = 8, n = 4: variance 20/3, total's variance 64 x (1 - 1/2) x (20/3) / 4 = 53.3, root 7.30, t(3) = 3.182: 23.2.
        assert_eq!(half_interval(&taken, 8), 24);
    }

    #[test]
    fn groups_are_drawn_once_each_and_depend_on_the_seed() {
        assert_eq!(draw_groups(32, 8, 1).count_ones(), 8);
        assert_ne!(draw_groups(32, 8, 1), draw_groups(32, 8, 2));
        assert_eq!(draw_groups(32, 32, 3), u64::from(u32::MAX));
    }
}
