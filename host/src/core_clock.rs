//! Core cycles: the time-stamp counter runs at its own rate, whatever the core's frequency is at the moment. A chain of additions takes one
//! cycle each on every x86-64 processor; timing it says how many cycles a tick has now.

use crate::clock::{Clock, ticks};
use crate::perf::{Absent, Count, Counting, Modes};
use std::arch::asm;

/// Additions in one turn of the chain; long beside the loop's own counting, which goes on in parallel.
const ADDITIONS: u64 = 64;
/// Turns of one reading: about 16 thousand cycles, short enough to fall between two disturbances.
const TURNS: u64 = 256;

/// Turns that a counter of cycles counts: beside a million cycles, what starting and stopping it adds is little.
const COUNTED_TURNS: u64 = 1 << 14;

/// Core cycles of an addition by the processor's own counter of cycles. The core's frequency rests on its being 1.
///
/// # Errors
/// Why they can't be counted.
pub fn counted_cycles_per_addition() -> Result<f64, Absent> {
    cycles_per_addition(|work| Counting::open(Count::Cycles, Modes::User)?.during(work))
}

fn cycles_per_addition(counted: impl FnOnce(&dyn Fn()) -> Result<u64, Absent>) -> Result<f64, Absent> {
    Ok(counted(&|| chain(COUNTED_TURNS))? as f64 / (ADDITIONS * COUNTED_TURNS) as f64)
}

/// Runs the chain. Two registers are added: additions of constants are folded by some processors.
#[inline(never)]
fn chain(turns: u64) {
    // SAFETY: arithmetic on registers that the block declares; no memory, no stack.
    unsafe {
        asm!(
            "2:",
            ".rept 64",
            "add {sum}, {one}",
            ".endr",
            "dec {turns}",
            "jnz 2b",
            sum = inout(reg) 0u64 => _,
            one = in(reg) 1u64,
            turns = inout(reg) turns => _,
            options(nomem, nostack),
        );
    }
}

/// Measures in core cycles.
#[derive(Clone, Copy, Debug)]
pub struct CoreClock {
    /// The counter below.
    pub clock: Clock,
}

impl CoreClock {
    /// Core cycles per tick at this moment: the best of a few short readings, since a disturbance only lengthens one.
    pub fn cycles_per_tick(&self) -> f64 {
        let cycles = (ADDITIONS * TURNS) as f64;
        (0..4).map(|_| cycles / self.timed(|| chain(TURNS))).fold(0.0, f64::max)
    }

    /// Core frequency at this moment.
    pub fn megahertz(&self) -> f64 {
        self.cycles_per_tick() * self.clock.ticks_per_second / 1e6
    }

    /// Ticks of one run of `work`.
    #[inline(always)]
    pub fn timed<R>(&self, work: impl FnOnce() -> R) -> f64 {
        let begun = ticks();
        std::hint::black_box(work());
        (ticks().wrapping_sub(begun) as f64 - self.clock.overhead_ticks).max(0.0)
    }

    /// Core cycles per operation in the quietest of `batches` runs of `work`, each of which does so many operations. The core's
    /// frequency is read just before.
    pub fn quietest<R>(&self, operations: u64, batches: u32, mut work: impl FnMut() -> R) -> f64 {
        let cycles_per_tick = self.cycles_per_tick();
        let least = (0..batches.max(1)).map(|_| self.timed(&mut work)).fold(f64::INFINITY, f64::min);
        least * cycles_per_tick / operations.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_addition_takes_what_a_counter_counts_or_there_is_a_reason() {
        let made_up = |work: &dyn Fn()| {
            work();
            Ok(ADDITIONS * COUNTED_TURNS * 2)
        };
        assert_eq!(cycles_per_addition(made_up), Ok(2.0));
        match counted_cycles_per_addition() {
            Ok(cycles) => assert!(cycles.is_finite() && cycles > 0.0, "{cycles}"),
            Err(absent) => assert!(absent.to_string().len() > 10, "{absent}"),
        }
    }

    #[test]
    fn cycles_are_positive_and_of_the_order_of_ticks() {
        let core = CoreClock { clock: Clock::find() };
        let ratio = core.cycles_per_tick();
        assert!(ratio > 0.05 && ratio < 50.0, "{ratio}");
        let cycles = core.quietest(ADDITIONS * TURNS, 3, || chain(TURNS));
        assert!(cycles.is_finite() && cycles > 0.0, "{cycles}");
    }
}
