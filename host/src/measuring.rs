//! All ladders, one after the other.

use crate::Request;
use crate::clock::{Clock, kernel_ticks_per_second};
use crate::core_clock::{CoreClock, counted_cycles_per_addition};
use crate::error::HostError;
use crate::facts::Facts;
use crate::ladders::{Bench, branches, call_costs, data, faults, instructions, null_call, switches, transfer, translation};
use crate::measurements::{Measurements, SCHEMA};
use crate::memory::{HUGE_PAGE_BYTES, Pages, Region};
use crate::names;
use crate::perf::Absent;
use crate::processors::{Pinned, allowed};
use crate::series::{Label, Series};
use std::time::Instant;

/// Sweep of the second-level cache where its size is not reported: twice the largest of today.
const SWEEP_BYTES: usize = 8 << 20;

type Ladder = fn(&Bench) -> Result<Vec<Series>, HostError>;

/// Each ladder with its share of the time, in any unit.
const LADDERS: [(&str, u64, Ladder); 10] = [
    ("core frequency", 1, frequency),
    ("null calls", 4, null_call::measure),
    ("data caches", 40, data::measure),
    ("translation", 8, translation::measure),
    ("instructions", 12, instructions::measure),
    ("branches", 4, branches::measure),
    ("line transfer", 1, transfer::measure),
    ("switches and wake-ups", 4, switches::measure),
    ("page faults", 2, faults::measure),
    ("calls", 12, call_costs::measure),
];

/// Measures the host.
///
/// # Errors
/// The first thing that the operating system refuses, or that somebody asked to stop. What needs a second processor is left out when
/// there is none.
pub fn measure(request: &Request) -> Result<Measurements, HostError> {
    let begun = Instant::now();
    let facts = Facts { tick_hz: kernel_ticks_per_second(), ..Facts::read() };
    let processors = allowed()?;
    let (processor, other_processor) = chosen(&processors)?;
    let _pinned = Pinned::to(processor)?;
    let clock = Clock::find();
    let bench = Bench {
        core: CoreClock { clock },
        effort: request.effort,
        seeds: request.seeds,
        processor,
        other_processor,
        folder: &request.folder,
        sweep_bytes: facts.cache(2, "Unified").map_or(SWEEP_BYTES, |cache| cache.size_kib as usize * 2048),
        cancel: request.cancel,
    };
    let mut left_out = Vec::new();
    let series = climb(&bench, request, &mut left_out)?;
    Ok(Measurements {
        schema: SCHEMA,
        facts,
        ticks_per_second: clock.ticks_per_second,
        clock_step_ticks: clock.quantum_ticks,
        processors: std::iter::once(processor).chain(other_processor).collect(),
        hardware_counters: counters_in_words(&counted_cycles_per_addition()),
        huge_pages: huge_pages_are_given()?,
        left_out,
        seconds: begun.elapsed().as_secs_f64(),
        series,
    })
}

/// Whether there are hardware counters; where there are, they check what the core's frequency rests on.
fn counters_in_words(cycles_per_addition: &Result<f64, Absent>) -> String {
    match cycles_per_addition {
        Ok(cycles) => format!("available; the core's frequency takes an addition for 1 cycle, they count {cycles:.3}"),
        Err(absent) => absent.to_string(),
    }
}

/// The last allowed processor measures, since interrupts of devices mostly go to the first; the one before it is its partner.
fn chosen(allowed: &[usize]) -> Result<(usize, Option<usize>), HostError> {
    let (last, others) = allowed.split_last().ok_or(HostError::Processors { what: "measuring", needed: 1, allowed: 0 })?;
    Ok((*last, others.last().copied()))
}

fn climb(bench: &Bench, request: &Request, left_out: &mut Vec<String>) -> Result<Vec<Series>, HostError> {
    let cost: u64 = LADDERS.iter().map(|ladder| ladder.1).sum();
    request.progress.start_costed("ladders", LADDERS.len() as u64, cost);
    let mut series = Vec::new();
    for (name, cost, ladder) in LADDERS {
        match ladder(bench) {
            Ok(measured) => series.extend(measured),
            Err(error @ HostError::Cancelled) => return Err(error),
            Err(error) => left_out.push(format!("{name}: {error}")),
        }
        request.progress.step_costed(1, cost);
    }
    request.progress.finish();
    Ok(series)
}

/// The core's frequency while it works.
fn frequency(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let label = Label { name: names::CORE_FREQUENCY, axis: "", unit: "MHz" };
    let best = |_, _| Ok((0..bench.effort.batches).map(|_| bench.core.megahertz()).fold(0.0, f64::max));
    Ok(vec![bench.series(label, &[0], best)?])
}

/// Whether the kernel gives huge pages to who asks for them.
fn huge_pages_are_given() -> Result<bool, HostError> {
    let mut region = Region::new(4 * HUGE_PAGE_BYTES, Pages::Huge)?;
    region.touch();
    Ok(region.huge_bytes().is_some_and(|bytes| bytes >= HUGE_PAGE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_say_what_they_count_or_why_not() {
        assert!(counters_in_words(&Ok(1.0004)).ends_with("they count 1.000"));
        assert_eq!(counters_in_words(&Err(Absent("none here".into()))), "none here");
    }
}
