//! Instruction cache, branch targets and instruction TLB: chains of jumps in random order, with different room between the jumps. A knee
//! that comes at the same number of jumps whatever the room is a branch structure's; one at the same number of bytes is a cache's.

use super::Bench;
use crate::code::Code;
use crate::error::HostError;
use crate::memory::SMALL_PAGE_BYTES;
pub use crate::names::instructions::{DENSE, EACH_LINE, EACH_PAGE};
use crate::series::{Label, Series, steps};
use rand::seq::SliceRandom;
use sim_core::seed::SeedTree;

const JUMPS_LEAST: u64 = 32;
const STEPS_PER_DOUBLING: u32 = 4;
/// A jump a page needs a page each: 2048 pages are beyond all first-level instruction TLBs.
const PAGES_MOST: u64 = 2048;
const JUMPS_OF_A_RUN: u64 = 16 << 10;

/// Where the jump of a slot stands.
type Place = fn(u64) -> usize;

/// Measures all three.
///
/// # Errors
/// Code may not be made, or interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let most = bench.effort.jumps_most;
    let ladders: [(&str, u64, Place); 3] = [
        (EACH_LINE, most, |slot| slot as usize * 64),
        (DENSE, most, |slot| slot as usize * 16),
        // the place in the page goes round, so that the jumps spread over all cache sets
        (EACH_PAGE, most.min(PAGES_MOST), |slot| slot as usize * SMALL_PAGE_BYTES + slot as usize % 64 * 64),
    ];
    let ladder = |(name, most, place): (&str, u64, Place)| {
        let label = Label { name, axis: "jumps", unit: "cycles" };
        let jumps = steps(JUMPS_LEAST, most, STEPS_PER_DOUBLING, 1);
        bench.series(label, &jumps, |jumps, seed| per_jump(bench, jumps, place, seed))
    };
    ladders.into_iter().map(ladder).collect()
}

fn per_jump(bench: &Bench, jumps: u64, place: Place, seed: SeedTree) -> Result<f64, HostError> {
    let mut offsets: Vec<usize> = (0..jumps).map(place).collect();
    offsets.shuffle(&mut seed.rng());
    let code = Code::jump_chain(&offsets)?;
    let laps = JUMPS_OF_A_RUN.div_ceil(jumps);
    // twice: once for the caches, once for the predictor that learns from what it missed
    code.run(2 * laps);
    Ok(bench.quietest(laps * jumps, || code.run(laps)))
}
