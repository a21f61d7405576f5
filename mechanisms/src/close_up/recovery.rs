//! How fast user code gets back to its pace after one call.

use super::CloseUp;
use crate::experiment::Settings;
use crate::simulate::SimulationError;
use sim_core::ids::Cycles;
use sim_core::workload::Workload;

/// Instructions over the time after a call, summed over many calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Length of a piece of time.
    pub piece_cycles: Cycles,
    /// User instructions in each piece, from the return of the call on.
    pub instructions: Vec<u64>,
    /// Calls that were looked at.
    pub calls: u64,
}

impl Recovery {
    /// User IPC in a stretch of time after the return, over whole pieces; nothing when it lies outside what was watched.
    pub fn ipc(&self, stretch: std::ops::Range<Cycles>) -> Option<f64> {
        let (first, last) = (stretch.start / self.piece_cycles, stretch.end.div_ceil(self.piece_cycles));
        let pieces = self.instructions.get(first as usize..last as usize).filter(|pieces| !pieces.is_empty())?;
        let cycles = self.piece_cycles * pieces.len() as u64 * self.calls;
        Some(pieces.iter().sum::<u64>() as f64 / cycles.max(1) as f64)
    }
}

/// Watches the user work after each call of a program's second run over `watched` cycles, in pieces of `piece_cycles`. The instructions of one piece
/// of execution, which ends behind an edge when a miss is under way there, are spread evenly over its time. The time begins when the
/// return instruction is done: the refill of the front end belongs to it.
///
/// `workload` is one made for the kernel of `settings` ([`crate::under_kernel`]).
///
/// # Errors
/// When the machine does not fit the workload.
pub fn recovery(
    workload: &Workload,
    settings: &Settings,
    seed: u64,
    piece_cycles: Cycles,
    watched: Cycles,
) -> Result<Recovery, SimulationError> {
    let mut core = CloseUp::new(workload, settings, seed)?;
    let steps: Vec<_> = CloseUp::steps(workload).collect();
    let mut spread = Spread { piece_cycles, thousandths: vec![0; (watched / piece_cycles) as usize] };
    core.run(&steps);
    let refetch = Cycles::from(settings.machine.crossing.refetch_cycles);
    for step in &steps {
        let start = core.clock() - refetch;
        let mut last = 0;
        core.user_watched(step, start, piece_cycles, |now, instructions| {
            spread.add(last, now, instructions);
            last = now;
            now < watched
        });
        core.call(step);
    }
    core.check()?;
    let instructions = spread.thousandths.iter().map(|thousandths| thousandths / 1000).collect();
    Ok(Recovery { piece_cycles, instructions, calls: steps.len() as u64 })
}

/// Instructions by piece of time, in thousandths.
struct Spread {
    piece_cycles: Cycles,
    thousandths: Vec<u64>,
}

impl Spread {
    /// Spreads the instructions executed from `start` to `end` evenly over the pieces in between; what lies behind the last is left out.
    fn add(&mut self, start: Cycles, end: Cycles, instructions: u64) {
        let length = (end - start).max(1);
        let mut at = start;
        loop {
            let piece = at / self.piece_cycles;
            let Some(thousandths) = self.thousandths.get_mut(piece as usize) else { return };
            let until = end.min((piece + 1) * self.piece_cycles);
            *thousandths += if start == end { instructions * 1000 } else { instructions * 1000 * (until - at) / length };
            at = until;
            if at >= end {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_are_spread_over_the_time_they_took() {
        let mut spread = Spread { piece_cycles: 100, thousandths: vec![0; 3] };
        spread.add(0, 50, 40);
        // half of it before the edge at 100, a quarter in each of the next two pieces, the last of which is not watched
        spread.add(50, 150, 20);
        spread.add(150, 350, 40);
        assert_eq!(spread.thousandths, [50_000, 20_000, 20_000]);
        spread.add(120, 120, 7);
        assert_eq!(spread.thousandths[1], 27_000);
        let recovery = Recovery { piece_cycles: 100, instructions: vec![50, 27, 20], calls: 2 };
        assert_eq!(recovery.ipc(100..300), Some(47.0 / 400.0));
        assert_eq!(recovery.ipc(200..400), None);
    }
}
