//! User work from the gaps between calls: from the return of one call to the entry of the next of the same task, less what the
//! tracer itself takes in between.
//!
//! strace stops the task twice a call and prints in between; that costs some 20 microseconds, of which the text shows no sign. The
//! default estimate is the smallest gap of the recording, separately for gaps after a call that made a socket (with `-yy` strace then
//! asks the kernel for its addresses). The estimate is printed with the import. What is left of a gap is an upper estimate of the
//! user work, because the tracer's cost varies by microseconds and the smallest gap is rarely reached: on strace recordings of
//! memcached, nginx and redis it comes out 7 to 11 times the user instructions of their captures, on ftrace recordings of the same
//! servers (whose tracer costs next to nothing) 0.5 to 1.2 times. That is why a program that the library knows gets its recorded work.

use super::StraceCall;
use rustc_hash::FxHashMap;
use sim_core::workload::Object;

/// Gaps of more than this many medians of their pair of calls are taken for preemption and replaced by the median.
const OUTLIER_MEDIANS: u64 = 10;

/// Gaps of a recording.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaps {
    /// User work before each call, nanoseconds; `None` for a task's first call.
    pub work_ns: Vec<Option<u64>>,
    /// Name of the call before, of the same task.
    pub before: Vec<Option<usize>>,
    /// The tracer's cost taken off most gaps.
    pub tracer_cost_ns: u64,
    /// The tracer's cost taken off gaps after a call that made a socket.
    pub tracer_cost_socket_ns: u64,
    /// Gaps replaced by the median of their pair.
    pub outliers: u64,
    /// Median of the gaps before anything is taken off.
    pub median_ns: u64,
}

/// Measures the gaps. `tracer_cost_ns` overrides the estimate.
pub(super) fn measure(calls: &[StraceCall], tracer_cost_ns: Option<u64>) -> Gaps {
    let mut gaps = Gaps { work_ns: vec![None; calls.len()], before: vec![None; calls.len()], ..Gaps::default() };
    let mut last: FxHashMap<u32, usize> = FxHashMap::default();
    for (index, call) in calls.iter().enumerate() {
        if let Some(before) = last.insert(call.pid, index) {
            gaps.before[index] = Some(before);
            gaps.work_ns[index] = Some(call.start_ns.saturating_sub(calls[before].end_ns));
        }
    }
    gaps.median_ns = median(gaps.work_ns.iter().flatten().copied().collect());
    let after_socket = |index: usize| gaps.before[index].is_some_and(|before| makes_socket(&calls[before]));
    let least = |socket: bool| {
        let matching = (0..calls.len()).filter(|index| after_socket(*index) == socket);
        matching.filter_map(|index| gaps.work_ns[index]).min().unwrap_or(0)
    };
    let (plain, socket) = (tracer_cost_ns.unwrap_or_else(|| least(false)), tracer_cost_ns.unwrap_or_else(|| least(true)));
    let costs: Vec<u64> = (0..calls.len()).map(|index| if after_socket(index) { socket } else { plain }).collect();
    (gaps.tracer_cost_ns, gaps.tracer_cost_socket_ns) = (plain, socket);
    gaps.replace_outliers(calls);
    for (work, cost) in gaps.work_ns.iter_mut().zip(costs) {
        *work = work.map(|work| work.saturating_sub(cost));
    }
    gaps
}

fn makes_socket(call: &StraceCall) -> bool {
    call.made.iter().any(|made| matches!(made.object, Object::Stream | Object::Listener | Object::Datagram))
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

impl Gaps {
    fn replace_outliers(&mut self, calls: &[StraceCall]) {
        let mut pairs: FxHashMap<(&str, &str), Vec<u64>> = FxHashMap::default();
        for (index, call) in calls.iter().enumerate() {
            if let (Some(before), Some(work)) = (self.before[index], self.work_ns[index]) {
                pairs.entry((&calls[before].name, &call.name)).or_default().push(work);
            }
        }
        let medians: FxHashMap<(&str, &str), u64> = pairs.into_iter().map(|(pair, values)| (pair, median(values))).collect();
        for (index, call) in calls.iter().enumerate() {
            if let (Some(before), Some(work)) = (self.before[index], self.work_ns[index]) {
                let median = medians[&(calls[before].name.as_str(), call.name.as_str())];
                if work > median.saturating_mul(OUTLIER_MEDIANS) {
                    self.work_ns[index] = Some(median);
                    self.outliers += 1;
                }
            }
        }
    }
}

/// Instructions in so many nanoseconds at a clock and a rate.
pub(super) fn instructions(work_ns: u64, clock_mhz: u64, instructions_per_cycle_milli: u64) -> u64 {
    (u128::from(work_ns) * u128::from(clock_mhz) * u128::from(instructions_per_cycle_milli) / 1_000_000) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strace::read;

    #[test]
    fn the_smallest_gap_is_the_tracers_cost() {
        let text = "1 1795239049.000000 getpid() = 1 <0.000010>\n\
            1 1795239049.000030 getpid() = 1 <0.000010>\n\
            2 1795239049.000035 getpid() = 1 <0.000010>\n\
            1 1795239049.000065 getpid() = 1 <0.000010>\n\
            2 1795239049.000080 getpid() = 1 <0.000010>\n";
        let recording = read(text.as_bytes(), "t", false).unwrap();
        let gaps = measure(&recording.calls, None);
        assert_eq!(gaps.tracer_cost_ns, 20_000);
        assert_eq!(gaps.work_ns, [None, Some(0), None, Some(5_000), Some(15_000)]);
        assert_eq!(measure(&recording.calls, Some(1_000)).work_ns[1], Some(19_000));
    }

    #[test]
    fn nanoseconds_become_instructions() {
        assert_eq!(instructions(1_000, 2_400, 1_000), 2_400);
        assert_eq!(instructions(1_000, 2_400, 500), 1_200);
        assert_eq!(instructions(u64::MAX / 1_000, 1_000, 1), u64::MAX / 1_000 / 1_000);
    }
}
