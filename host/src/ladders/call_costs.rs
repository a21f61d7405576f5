//! What each call of the bundled workloads costs in a loop of its own, and after the caches have been emptied.

use super::Bench;
use super::calls::{Call, all};
use crate::chase::LINE_BYTES;
use crate::code::Code;
use crate::error::HostError;
use crate::memory::{Pages, Region};
pub use crate::names::call_costs::{COLD, HOT, PREFIX};
use crate::series::{Label, Series};
use std::io;

/// Calls in a loop: what they need (datagrams, connections, descriptors) fits into every limit.
const CALLS_HOT: u32 = 16;
/// Loops of a sample for each batch of the effort.
const LOOPS: u32 = 8;
/// Single cold calls of a sample for each batch of the effort; each is read with one step of the clock, which their mean evens out.
const CALLS_COLD: u32 = 8;
/// Jumps of the sweep: more than any branch target buffer and first-level instruction cache hold.
const SWEEP_JUMPS: usize = 16 << 10;
const SWEEP_JUMP_BYTES: usize = 64;

/// Measures all calls.
///
/// # Errors
/// No socket, no file, a call that failed, or interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let sweep = Sweep::new(bench.sweep_bytes)?;
    let of = |mut call: Call| {
        let name = format!("{PREFIX}{}", call.name);
        let label = Label { name: &name, axis: "0 in a loop, 1 after a sweep", unit: "cycles" };
        bench.series(label, &[HOT, COLD], |x, _| {
            let cycles = if x == HOT { hot(bench, &mut call) } else { cold(bench, &mut call, &sweep) };
            cycles.map_err(HostError::system(format!("calling {}", call.name), "allow it, or measure elsewhere"))
        })
    };
    all(bench.folder)?.into_iter().map(of).collect()
}

/// Cycles of one call in the quietest of many loops.
fn hot(bench: &Bench, call: &mut Call) -> io::Result<f64> {
    let cycles_per_tick = bench.core.cycles_per_tick();
    let mut least = f64::INFINITY;
    for _ in 0..bench.effort.batches * LOOPS {
        (call.prepare)(CALLS_HOT)?;
        let mut result = Ok(());
        let ticks = bench.core.timed(|| result = (0..CALLS_HOT).try_for_each(|_| (call.once)()));
        (call.settle)(CALLS_HOT)?;
        result?;
        least = least.min(ticks);
    }
    Ok(least * cycles_per_tick / f64::from(CALLS_HOT))
}

/// Mean cycles of single calls, each after a sweep, the slowest quarter left out: those met a disturbance.
fn cold(bench: &Bench, call: &mut Call, sweep: &Sweep) -> io::Result<f64> {
    let cycles_per_tick = bench.core.cycles_per_tick();
    let mut samples = Vec::new();
    for _ in 0..bench.effort.batches * CALLS_COLD {
        (call.prepare)(1)?;
        sweep.run();
        let mut result = Ok(());
        samples.push(bench.core.timed(|| result = (call.once)()));
        (call.settle)(1)?;
        result?;
    }
    samples.sort_by(f64::total_cmp);
    samples.truncate((samples.len() * 3).div_ceil(4));
    Ok(samples.iter().sum::<f64>() / samples.len() as f64 * cycles_per_tick)
}

/// Fills what a core has to itself with something else.
struct Sweep {
    data: Region,
    code: Code,
}

impl Sweep {
    fn new(bytes: usize) -> Result<Sweep, HostError> {
        let mut data = Region::new(bytes, Pages::Small)?;
        data.touch();
        let places: Vec<usize> = (0..SWEEP_JUMPS).map(|slot| slot * SWEEP_JUMP_BYTES).collect();
        Ok(Sweep { data, code: Code::jump_chain(&places)? })
    }

    fn run(&self) {
        self.data.read_each(LINE_BYTES);
        self.code.run(1);
    }
}
