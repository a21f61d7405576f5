//! The cost of a wrong prediction: the same loop with directions that can be predicted and with random ones.

use super::Bench;
use crate::branch::follow;
use crate::error::HostError;
pub use crate::names::branches::TURNS;
use crate::series::{Label, Series};
use rand::Rng;

/// Directions: too many for any predictor to remember them.
const DIRECTIONS: usize = 256 << 10;

/// Measures both.
///
/// # Errors
/// Interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let label = Label { name: TURNS, axis: "directions: 0 constant, 1 random", unit: "cycles" };
    let mut directions = vec![0u8; DIRECTIONS];
    let series = bench.series(label, &[0, 1], |random, seed| {
        let mut generator = seed.rng();
        // Constant ones and zeros in turn: a turn with a taken branch and one without do not take the same time, and random ones have both.
        let constant = (seed.value() & 1) as u8;
        directions
            .iter_mut()
            .for_each(|direction| *direction = if random == 1 { (generator.next_u64() >> 63) as u8 } else { constant });
        std::hint::black_box(follow(&directions));
        Ok(bench.quietest(DIRECTIONS as u64, || follow(&directions)))
    })?;
    Ok(vec![series])
}
