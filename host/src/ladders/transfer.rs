//! A line that goes from core to core: two threads answer each other through it.

use super::Bench;
use crate::error::HostError;
pub use crate::names::transfer::ONE_WAY;
use crate::processors::Pinned;
use crate::series::{Label, Series};
use std::sync::atomic::{AtomicU64, Ordering};

/// Rounds of one short run: some tens of microseconds, so that many runs fall between two disturbances.
const ROUNDS: u64 = 128;
/// Both threads must run at once for a sample: more tries than elsewhere.
const TRIES: u32 = 8;
const STOP: u64 = u64::MAX;

/// A line of its own, so that nothing else lies in it or is fetched with it.
#[repr(align(256))]
struct OwnLine(AtomicU64);

/// Measures between the bench's two processors.
///
/// # Errors
/// Only one processor, or interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let other = bench.other("the transfer of a line between cores")?;
    let line = OwnLine(AtomicU64::new(0));
    let label = Label { name: ONE_WAY, axis: "", unit: "cycles" };
    // Whether the other processor can be had is known before anybody waits for an answer from it.
    drop(Pinned::to(other)?);
    let _pinned = Pinned::to(bench.processor)?;
    let series = std::thread::scope(|scope| {
        scope.spawn(|| {
            let _pinned = Pinned::to(other);
            answer(&line.0);
        });
        let mut next = 0;
        let tries = bench.effort.batches * TRIES;
        let measured = bench.series(label, &[0], |_, _| Ok(bench.core.quietest(2 * ROUNDS, tries, || next = ask(&line.0, next))));
        line.0.store(STOP, Ordering::Release);
        measured
    })?;
    Ok(vec![series])
}

/// Writes odd numbers and waits for the even one after each.
fn ask(line: &AtomicU64, from: u64) -> u64 {
    let last = from + 2 * ROUNDS;
    for number in (from..last).step_by(2) {
        line.store(number + 1, Ordering::Release);
        while line.load(Ordering::Acquire) != number + 2 {}
    }
    last
}

/// Answers each odd number with the next even one.
fn answer(line: &AtomicU64) {
    loop {
        match line.load(Ordering::Acquire) {
            STOP => return,
            number if number % 2 == 1 => line.store(number + 1, Ordering::Release),
            _ => {}
        }
    }
}
