//! The time-stamp counter: how fast it goes, in which steps, and how long reading it takes.
//!
//! Some machines count in steps of tens of ticks. So loops are timed, not single calls; where a call can't be repeated (its caches have
//! just been emptied), many single readings are added up: the step falls anywhere in each of them, so their mean is right.

use std::arch::asm;
use std::time::{Duration, Instant};

/// The time-stamp counter, after everything before it has finished and before anything after it begins.
#[inline(always)]
pub fn ticks() -> u64 {
    let (low, high): (u64, u64);
    // SAFETY: both instructions exist on every x86-64 processor, touch no memory and change rax and rdx only. Linux allows RDTSC in user
    // mode unless a process asks for the opposite with prctl, which this one does not.
    unsafe {
        asm!("lfence", "rdtsc", "lfence", out("rax") low, out("rdx") high, options(nostack, preserves_flags));
    }
    high << 32 | low
}

/// What is known of the time-stamp counter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Ticks a second.
    pub ticks_per_second: f64,
    /// Every reading is a multiple of this many ticks away from every other.
    pub quantum_ticks: u64,
    /// What two readings in a row differ by: part of every timed stretch.
    pub overhead_ticks: f64,
}

/// Length of one comparison with the operating system's clock: its own steps (under 100 ns) are a hundred-thousandth of this.
const WINDOW: Duration = Duration::from_millis(12);
const WINDOWS: usize = 3;
const READINGS: usize = 4096;

impl Clock {
    /// Finds out about the counter; takes about 40 ms.
    pub fn find() -> Clock {
        let windows: Vec<f64> = (0..WINDOWS).map(|_| ticks_per_second()).collect();
        let readings: Vec<u64> = (0..READINGS).map(|_| ticks()).collect();
        let steps: Vec<f64> = readings.windows(2).map(|pair| (pair[1].wrapping_sub(pair[0])) as f64).collect();
        Clock {
            ticks_per_second: crate::statistics::median(&windows),
            quantum_ticks: quantum(&readings),
            // Disturbed readings are far off to one side: the mean of the better half is the mean of the undisturbed ones.
            overhead_ticks: lower_mean(&steps),
        }
    }

    /// Ticks as nanoseconds.
    pub fn nanoseconds(&self, ticks: f64) -> f64 {
        ticks * 1e9 / self.ticks_per_second
    }
}

/// Timer ticks of the kernel a second: its coarse clock goes forward once a tick. 0 for a clock that does not say.
#[allow(clippy::useless_conversion, reason = "nanoseconds are 32 bits wide on some hosts")]
pub fn kernel_ticks_per_second() -> u32 {
    let step = rustix::time::clock_getres(rustix::time::ClockId::MonotonicCoarse);
    let nanoseconds = step.tv_sec * 1_000_000_000 + i64::from(step.tv_nsec);
    if nanoseconds > 0 { ((1_000_000_000 + nanoseconds / 2) / nanoseconds) as u32 } else { 0 }
}

/// Ticks in a window of the operating system's clock.
fn ticks_per_second() -> f64 {
    let (begun, first) = (Instant::now(), ticks());
    while begun.elapsed() < WINDOW {
        std::hint::spin_loop();
    }
    // The reading of either clock at the end is as far from its fellow as at the beginning.
    let (elapsed, last) = (begun.elapsed(), ticks());
    (last - first) as f64 / elapsed.as_secs_f64()
}

/// Greatest common divisor of all differences.
fn quantum(readings: &[u64]) -> u64 {
    readings.windows(2).fold(0, |divisor, pair| common_divisor(divisor, pair[1].wrapping_sub(pair[0]))).max(1)
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// Mean of the smaller half; a quantised value needs a mean, not a median.
fn lower_mean(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = &sorted[..sorted.len().div_ceil(2)];
    half.iter().sum::<f64>() / half.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_is_the_common_divisor() {
        assert_eq!(quantum(&[100, 126, 204, 204, 230]), 26);
        assert_eq!(quantum(&[5, 5, 5]), 1);
    }

    #[test]
    fn a_kernel_ticks_between_once_and_ten_thousand_times_a_second() {
        assert!((1..=10_000).contains(&kernel_ticks_per_second()));
    }

    #[test]
    fn the_counter_goes_forward_and_has_a_plausible_frequency() {
        let clock = Clock::find();
        let first = ticks();
        assert!(first <= ticks());
        assert!(clock.ticks_per_second > 1e8 && clock.ticks_per_second < 1e11, "{clock:?}");
        assert!(clock.quantum_ticks >= 1 && clock.overhead_ticks >= 0.0, "{clock:?}");
    }
}
