//! Simulated pages and the frames behind them. The first level is indexed by simulated lines, everything below by frames.
//!
//! 2 MiB chunks get frames in a row. 4 KiB pages get frames drawn by a seeded shuffle from pools of 32 MiB, so that neighbouring
//! pages land in unrelated sets of a large cache, as on a system that has run for a while. What a chunk gets depends on the seed
//! and on the order of chunks alone, not on which page is touched first.

use sim_core::ids::{CHUNK_LINES, Line, PAGE_LINES};
use sim_core::layout::{Layout, PageSize};

/// Lines from here on are page-table lines: they have no page, and their frame is themselves.
pub const TABLE_LINES_FIRST: u32 = (1 << 30) + (1 << 21);
/// Distance between the page-table lines of two levels. The leaf level needs 2^21 lines.
const TABLE_LEVEL_LINES: u32 = 1 << 21;
const ENTRIES_PER_LINE: u32 = 8;
const PAGES_PER_CHUNK: u32 = CHUNK_LINES / PAGE_LINES;
const POOL_CHUNKS: u32 = 16;
const POOL_FRAMES: u32 = POOL_CHUNKS * PAGES_PER_CHUNK;

/// SplitMix64 (Steele, Lea, Flood 2014): a stream of 64-bit numbers from a seed.
#[derive(Clone, Debug)]
pub struct SplitMix(pub u64);

impl SplitMix {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`. The bias of the multiplication is below `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// Pages, their sizes and their frames.
#[derive(Clone, Debug)]
pub struct Frames {
    seed: u64,
    /// Page size by chunk.
    large: Vec<bool>,
    /// Frame number by simulated 4 KiB page.
    frame_of: Vec<u32>,
    /// Simulated page by frame number.
    page_of: Vec<u32>,
    /// Bit per simulated page: the application touched it.
    user_pages: Vec<u64>,
    /// Frames of the open pool that are left.
    pool: Vec<u32>,
    pools: u64,
}

impl Frames {
    /// The frames of a layout.
    pub fn new(layout: &Layout, seed: u64) -> Frames {
        let mut frames = Frames {
            seed,
            large: Vec::new(),
            frame_of: Vec::new(),
            page_of: Vec::new(),
            user_pages: Vec::new(),
            pool: Vec::new(),
            pools: 0,
        };
        frames.grow(layout);
        frames
    }

    /// Gives frames to the chunks that the layout has beyond those known.
    pub fn grow(&mut self, layout: &Layout) {
        for size in &layout.pages()[self.large.len().min(layout.chunks())..] {
            self.add_chunk(*size == PageSize::Large);
        }
    }

    fn add_chunk(&mut self, large: bool) {
        self.large.push(large);
        self.user_pages.extend([0; (PAGES_PER_CHUNK / u64::BITS) as usize]);
        if large {
            let first = self.take_frames(PAGES_PER_CHUNK);
            for frame in first..first + PAGES_PER_CHUNK {
                self.map(frame);
            }
        } else {
            for _ in 0..PAGES_PER_CHUNK {
                if self.pool.is_empty() {
                    self.open_pool();
                }
                let frame = self.pool.pop().unwrap_or_default();
                self.map(frame);
            }
        }
    }

    fn map(&mut self, frame: u32) {
        self.page_of[frame as usize] = self.frame_of.len() as u32;
        self.frame_of.push(frame);
    }

    fn take_frames(&mut self, count: u32) -> u32 {
        let first = self.page_of.len() as u32;
        self.page_of.resize((first + count) as usize, u32::MAX);
        first
    }

    fn open_pool(&mut self) {
        let first = self.take_frames(POOL_FRAMES);
        self.pool.extend(first..first + POOL_FRAMES);
        let mut random = SplitMix(self.seed ^ self.pools.wrapping_mul(0xd1b5_4a32_d192_ed03));
        self.pools += 1;
        for last in (1..self.pool.len()).rev() {
            let other = random.below(last as u64 + 1) as usize;
            self.pool.swap(last, other);
        }
    }

    /// Adds 4 KiB chunks until the line has a page: lines that no layout announced behave as small pages.
    #[cold]
    fn cover(&mut self, line: Line) {
        while self.large.len() <= (line / CHUNK_LINES) as usize {
            self.add_chunk(false);
        }
    }

    /// The frame line behind a simulated line.
    #[inline]
    pub fn physical(&mut self, line: Line) -> u32 {
        if line >= TABLE_LINES_FIRST {
            return line;
        }
        let page = (line / PAGE_LINES) as usize;
        if page >= self.frame_of.len() {
            self.cover(line);
        }
        self.frame_of[page] * PAGE_LINES + line % PAGE_LINES
    }

    /// The simulated line of a frame line that came from [`Frames::physical`].
    #[inline]
    pub fn simulated(&self, physical: u32) -> Line {
        if physical >= TABLE_LINES_FIRST {
            return physical;
        }
        self.page_of[(physical / PAGE_LINES) as usize] * PAGE_LINES + physical % PAGE_LINES
    }

    /// A page that the application touched belongs to it; the others are the kernel's, and their TLB entries are global.
    pub fn is_global(&mut self, line: Line, application: bool) -> bool {
        let page = line / PAGE_LINES;
        let Some(word) = self.user_pages.get_mut((page / u64::BITS) as usize) else { return !application };
        let bit = 1 << (page % u64::BITS);
        if application {
            *word |= bit;
        }
        *word & bit == 0
    }

    /// True when the line lies in a 2 MiB page.
    #[inline(always)]
    pub fn is_large(&self, line: Line) -> bool {
        matches!(self.large.get((line / CHUNK_LINES) as usize), Some(true))
    }
}

/// The page-table line that a walk for `line` reads at a level; level 0 holds the entries of 4 KiB pages, level 1 those of 2 MiB.
pub fn table_line(line: Line, level: u32) -> u32 {
    let entry = (line / PAGE_LINES) >> (9 * level);
    TABLE_LINES_FIRST + level * TABLE_LEVEL_LINES + entry / ENTRIES_PER_LINE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_one_to_one_and_large_pages_stay_whole() {
        let mut layout = Layout::new();
        let small = layout.area(3 * u64::from(CHUNK_LINES), PageSize::Small);
        let large = layout.chunk(PageSize::Large);
        let mut frames = Frames::new(&layout, 5);
        let mut seen = std::collections::BTreeSet::new();
        for page in 0..layout.chunks() as u32 * PAGES_PER_CHUNK {
            let physical = frames.physical(page * PAGE_LINES + 5);
            assert_eq!(frames.simulated(physical), page * PAGE_LINES + 5);
            assert!(seen.insert(physical));
        }
        let first = frames.physical(large);
        assert!((0..CHUNK_LINES).all(|offset| frames.physical(large + offset) == first + offset));
        let scattered = (0..100).filter(|page| frames.physical(small + page * 64 + 64) != frames.physical(small + page * 64) + 64);
        assert!(scattered.count() > 95);
    }

    #[test]
    fn another_seed_gives_other_frames_and_growth_keeps_the_old_ones() {
        let mut layout = Layout::new();
        layout.chunk(PageSize::Small);
        let mut first = Frames::new(&layout, 1);
        let mut second = Frames::new(&layout, 2);
        let differ = (0..512).filter(|page| first.physical(page * 64) != second.physical(page * 64)).count();
        assert!(differ > 500);
        let before: Vec<u32> = (0..512).map(|page| first.physical(page * 64)).collect();
        layout.area(40 * u64::from(CHUNK_LINES), PageSize::Small);
        first.grow(&layout);
        assert!((0..512).all(|page| first.physical(page as u32 * 64) == before[page]));
    }
}
