//! Translation: one line in each of many pages, beside as many lines packed into huge pages. What the first takes longer is the TLB's.

use super::Bench;
use crate::chase::{Chase, LINE_BYTES, at_random, one_a_page};
use crate::error::HostError;
use crate::memory::{Pages, Region, SMALL_PAGE_BYTES};
pub use crate::names::translation::{PACKED, SPREAD};
use crate::series::{Label, Series, steps};

const PAGES_LEAST: u64 = 8;
const STEPS_PER_DOUBLING: u32 = 4;
const LOADS_LEAST: u64 = 8192;

/// Measures both.
///
/// # Errors
/// No memory, or interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let pages = steps(PAGES_LEAST, bench.effort.pages_most, STEPS_PER_DOUBLING, 1);
    let label = |name| Label { name, axis: "pages", unit: "cycles" };
    let latency = |region: &mut Region, offsets: &[usize]| {
        region.touch();
        let mut chase = Chase::new(region, offsets);
        let loads = chase.lines().max(LOADS_LEAST);
        chase.follow(loads);
        bench.quietest(loads, || chase.follow(loads))
    };
    let spread = bench.series(label(SPREAD), &pages, |pages, seed| {
        let mut region = Region::new(pages as usize * SMALL_PAGE_BYTES, Pages::Small)?;
        Ok(latency(&mut region, &one_a_page(pages as usize, seed)))
    })?;
    let packed = bench.series(label(PACKED), &pages, |pages, seed| {
        let bytes = pages as usize * LINE_BYTES;
        let mut region = Region::new(bytes, Pages::Huge)?;
        Ok(latency(&mut region, &at_random(bytes, seed)))
    })?;
    Ok(vec![spread, packed])
}
