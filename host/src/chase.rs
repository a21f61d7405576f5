//! Dependent chases: each load gives the address of the next, so that nothing overlaps and time per load is latency.

use crate::memory::{Region, SMALL_PAGE_BYTES};
use rand::seq::SliceRandom;
use sim_core::seed::SeedTree;

/// Bytes of a line.
pub const LINE_BYTES: usize = 64;
/// Loads in a row between two tests of the loop.
const UNROLLED: u64 = 16;

/// A circle of addresses in a region.
#[derive(Debug)]
pub struct Chase<'a> {
    /// Address of the next load.
    at: usize,
    /// The addresses are followed only while their memory is there, and nobody else writes to it.
    _region: &'a Region,
    /// Lines on the circle.
    lines: u64,
}

impl<'a> Chase<'a> {
    /// Links lines into a circle in this order, given as offsets in bytes.
    pub fn new(region: &'a mut Region, offsets: &[usize]) -> Chase<'a> {
        let base = region.address();
        let following = offsets.iter().skip(1).chain(offsets.first());
        for (offset, next) in offsets.iter().zip(following) {
            region.write(*offset, base + next);
        }
        Chase { at: base + offsets.first().copied().unwrap_or(0), _region: region, lines: offsets.len() as u64 }
    }

    /// Follows at least so many links from where it was left; gives back how many. So a large circle is gone round in parts.
    pub fn follow(&mut self, links: u64) -> u64 {
        if self.lines == 0 {
            return 0;
        }
        let turns = links.div_ceil(UNROLLED);
        let mut at = self.at;
        for _ in 0..turns {
            for _ in 0..UNROLLED {
                // SAFETY: `new` has written into each line of the circle the address of another line of it, in the same region, which is
                // borrowed for as long as the circle lives, so that nobody has written since.
                at = unsafe { (at as *const usize).read_volatile() };
            }
        }
        self.at = std::hint::black_box(at);
        turns * UNROLLED
    }

    /// Lines on the circle.
    pub fn lines(&self) -> u64 {
        self.lines
    }
}

/// All lines of so many bytes: pages in random order, and lines in random order inside each. Prefetchers find no step, and a page's
/// translation serves all its lines.
pub fn by_page(bytes: usize, seed: SeedTree) -> Vec<usize> {
    let mut random = seed.rng();
    let lines_per_page = bytes.min(SMALL_PAGE_BYTES) / LINE_BYTES;
    let mut pages: Vec<usize> = (0..bytes.div_ceil(SMALL_PAGE_BYTES)).collect();
    pages.shuffle(&mut random);
    let mut lines: Vec<usize> = (0..lines_per_page).collect();
    let mut offsets = Vec::with_capacity(bytes / LINE_BYTES);
    for page in pages {
        lines.shuffle(&mut random);
        offsets.extend(lines.iter().map(|line| page * SMALL_PAGE_BYTES + line * LINE_BYTES).filter(|offset| *offset < bytes));
    }
    offsets
}

/// All lines of so many bytes in random order.
pub fn at_random(bytes: usize, seed: SeedTree) -> Vec<usize> {
    let mut offsets: Vec<usize> = (0..bytes / LINE_BYTES).map(|line| line * LINE_BYTES).collect();
    offsets.shuffle(&mut seed.rng());
    offsets
}

/// One line in each of so many pages, pages in random order. The line's place goes round, so that the lines spread over all cache sets.
pub fn one_a_page(pages: usize, seed: SeedTree) -> Vec<usize> {
    let lines_per_page = SMALL_PAGE_BYTES / LINE_BYTES;
    let mut offsets: Vec<usize> = (0..pages).map(|page| page * SMALL_PAGE_BYTES + page % lines_per_page * LINE_BYTES).collect();
    offsets.shuffle(&mut seed.rng());
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Pages;
    use std::collections::BTreeSet;

    fn seed() -> SeedTree {
        SeedTree::new(1)
    }

    #[test]
    fn orders_visit_each_line_once() {
        for bytes in [1024, 4096, 6144, 64 << 10] {
            for offsets in [by_page(bytes, seed()), at_random(bytes, seed())] {
                let visited: BTreeSet<usize> = offsets.iter().copied().collect();
                assert_eq!(offsets.len(), bytes / LINE_BYTES);
                assert_eq!(visited, (0..bytes).step_by(LINE_BYTES).collect());
            }
        }
        let pages: BTreeSet<usize> = one_a_page(100, seed()).iter().map(|offset| offset / SMALL_PAGE_BYTES).collect();
        assert_eq!(pages, (0..100).collect());
    }

    #[test]
    fn lines_of_a_page_stay_together_and_have_no_constant_step() {
        let offsets = by_page(64 << 10, seed());
        let changes = offsets.windows(2).filter(|pair| pair[0] / SMALL_PAGE_BYTES != pair[1] / SMALL_PAGE_BYTES).count();
        assert_eq!(changes, 15);
        let steps: BTreeSet<isize> = offsets.windows(2).map(|pair| pair[1] as isize - pair[0] as isize).collect();
        assert!(steps.len() > 100);
    }

    #[test]
    fn a_circle_is_followed_round() {
        let mut region = Region::new(16 << 10, Pages::Small).unwrap();
        let offsets = at_random(16 << 10, seed());
        let mut chase = Chase::new(&mut region, &offsets);
        assert_eq!((chase.lines(), chase.follow(1000)), (256, 1008));
        let place = chase.at;
        chase.follow(256);
        assert_eq!(chase.at, place, "once round");
        chase.follow(16);
        assert_ne!(chase.at, place);
    }

    #[test]
    fn an_empty_circle_has_nothing_to_follow() {
        let mut region = Region::new(1, Pages::Small).unwrap();
        assert_eq!(Chase::new(&mut region, &[]).follow(10), 0);
    }
}
