//! Data caches: latency of a dependent load by the size of what is gone over.

use super::Bench;
use crate::chase::{Chase, at_random, by_page};
use crate::error::HostError;
use crate::memory::{Pages, Region};
pub use crate::names::data::{HUGE_PAGES, SMALL_PAGES, SMALL_PAGES_RANDOM};
use crate::series::{Label, Series, steps};
use sim_core::seed::SeedTree;

const LEAST_BYTES: u64 = 4 << 10;
const STEPS_PER_DOUBLING: u32 = 4;
/// Beyond this only every doubling is looked at: there is no cache that a core has to itself.
const FINE_BYTES: u64 = 4 << 20;
/// Loads of one short run at least: thousands of cycles even from the first level, so that the clock's step does not count.
const LOADS_LEAST: u64 = 8192;
/// At most, for what lies far out: a random part of a large circle says the same as all of it.
const LOADS_MOST: u64 = 1 << 14;
/// Loads before the first that counts, at most: once round all that a private cache could hold.
const LOADS_BEFORE_MOST: u64 = 1 << 16;
/// Lines of a circle at most: 64 MiB of lines, drawn from all of the memory. No run comes back to a line that it has seen.
const LINES_MOST: usize = 1 << 20;

/// Sizes of the ladder.
pub fn sizes(most: usize) -> Vec<u64> {
    let mut sizes = steps(LEAST_BYTES, (most as u64).min(FINE_BYTES), STEPS_PER_DOUBLING, 1 << 10);
    sizes.extend(steps(2 * FINE_BYTES, most as u64, 1, 1 << 10));
    sizes
}

/// Over small pages the ladder ends here: beyond, what it adds to huge pages is translation, which has a ladder of its own.
const SMALL_PAGES_MOST: usize = 8 << 20;

/// Measures all three orders.
///
/// # Errors
/// No memory, or interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    type Order = fn(usize, SeedTree) -> Vec<usize>;
    let ladders: [(&str, Pages, Order); 3] =
        [(HUGE_PAGES, Pages::Huge, at_random), (SMALL_PAGES, Pages::Small, by_page), (SMALL_PAGES_RANDOM, Pages::Small, at_random)];
    let most = bench.effort.data_bytes_most;
    let ladder = |(name, pages, order): (&str, Pages, Order)| {
        let sizes = sizes(if pages == Pages::Huge { most } else { most.min(SMALL_PAGES_MOST) });
        let label = Label { name, axis: "bytes", unit: "cycles" };
        bench.series(label, &sizes, |bytes, seed| latency(bench, bytes as usize, pages, order, seed))
    };
    ladders.into_iter().map(ladder).collect()
}

/// Cycles of a load. New memory each time: how its frames fall into the sets of a cache is part of the spread.
fn latency(
    bench: &Bench,
    bytes: usize,
    pages: Pages,
    order: fn(usize, SeedTree) -> Vec<usize>,
    seed: SeedTree,
) -> Result<f64, HostError> {
    let mut region = Region::new(bytes, pages)?;
    region.touch();
    let mut lines = order(bytes, seed);
    lines.truncate(LINES_MOST);
    let mut chase = Chase::new(&mut region, &lines);
    let loads = chase.lines().clamp(LOADS_LEAST, LOADS_MOST);
    // What linking has left in the caches is not what going round leaves.
    chase.follow(chase.lines().min(LOADS_BEFORE_MOST));
    Ok(bench.quietest(loads, || chase.follow(loads)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_fine_where_private_caches_end() {
        let sizes = sizes(256 << 20);
        assert!([32, 48, 512, 1024, 1280, 2048, 4096].iter().all(|kib| sizes.contains(&(kib << 10))), "{sizes:?}");
        assert_eq!((sizes[0], *sizes.last().unwrap()), (4 << 10, 256 << 20));
        assert!(sizes.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
