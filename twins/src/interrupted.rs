//! User work that a call interrupts: what both together take, what the work takes, and what the call takes when it comes back.

use crate::case::{Interrupted, Work};
use crate::error::TwinError;
use crate::parts::{self, Interrupting};
use crate::runner::{Tally, Twin, Variant};
use crate::work::UserWork;
use std::time::{Duration, Instant};

/// Work and call together, per interval.
pub const TOTAL: &str = "work and call";
/// The work of an interval, between two looks at the clock.
pub const WORK: &str = "work";
/// The call, between two looks at the clock.
pub const CALL: &str = "call";

/// All that is measured of a case.
///
/// # Errors
/// When no file can be made.
pub fn variants(case: &Interrupted) -> Result<Vec<Variant>, TwinError> {
    let mut all = vec![parts::null_call()];
    if case.call.name() != "getppid" {
        let twin = Box::new(Interrupting::new(case.call)?);
        all.push(Variant { series: parts::call(case.call.name()), x: 1, twin });
    }
    let clock = clock_cost();
    let swept = Loop { work: UserWork::new(parts::SWEEP), call: Interrupting::new(case.call)?, timed: Timed::Call(clock) };
    all.push(Variant { series: parts::cold(case.call.name()), x: 1, twin: Box::new(swept) });
    all.extend(parts::code());
    for interval in &case.intervals {
        let work = Work { shape: case.shape, instructions: *interval };
        all.push(parts::user(work));
        for (series, timed) in [(TOTAL, Timed::Both), (WORK, Timed::Work(clock)), (CALL, Timed::Call(clock))] {
            let twin = Box::new(Loop { work: UserWork::new(work), call: Interrupting::new(case.call)?, timed });
            all.push(Variant { series: series.into(), x: *interval, twin });
        }
    }
    Ok(all)
}

/// What a loop times.
#[derive(Clone, Copy)]
enum Timed {
    Both,
    /// Less the cost of a look at the clock.
    Work(Duration),
    Call(Duration),
}

struct Loop {
    work: UserWork,
    call: Interrupting,
    timed: Timed,
}

impl Twin for Loop {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let mut bytes = 0;
        let begun = Instant::now();
        let elapsed = match self.timed {
            Timed::Both => {
                for _ in 0..operations {
                    self.work.run();
                    bytes += self.call.call()?;
                }
                begun.elapsed()
            }
            // the clock is looked at as often whichever part is summed up, so that both loops disturb alike
            Timed::Work(clock) | Timed::Call(clock) => {
                let (mut work, mut call) = (Duration::ZERO, Duration::ZERO);
                for _ in 0..operations {
                    let first = Instant::now();
                    self.work.run();
                    let second = Instant::now();
                    bytes += self.call.call()?;
                    work += second - first;
                    call += second.elapsed();
                }
                let sum = if matches!(self.timed, Timed::Work(_)) { work } else { call };
                sum.saturating_sub(clock * operations as u32)
            }
        };
        self.work.result();
        Ok(Tally { operations, calls: operations, bytes, elapsed })
    }
}

/// What is measured of nothing between two looks at the clock.
pub(crate) fn clock_cost() -> Duration {
    const LOOKS: u32 = 10_000;
    let mut sums: Vec<Duration> = (0..9)
        .map(|_| {
            (0..LOOKS).fold(Duration::ZERO, |sum, _| {
                let first = Instant::now();
                sum + first.elapsed()
            })
        })
        .collect();
    sums.sort_unstable();
    sums[sums.len() / 2] / LOOKS
}
