//! From raw series to sizes and latencies. Pure: the same series give the same findings.
//!
//! A latency is read at a place that the ladder decides, in each repetition by itself; its value is their median and its spread theirs. A
//! size is where the ladder leaves a level: it has no spread, but lies between two places. Sizes are read from the least sample of each
//! place: a neighbour on the same core takes capacity away and never adds any.

use crate::knee::{Level, crossing, plateaus};
use crate::measurements::Measurements;
use crate::names::{self, call_costs, data, instructions, null_call, switches, transfer, translation};
use crate::statistics::{Summary, median};
use serde::{Deserialize, Serialize};

/// Something found out about the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Name, dotted.
    pub name: String,
    /// Value.
    pub value: f64,
    /// Interquartile range over repetitions as a share of the value; nothing for a size.
    pub spread: Option<f64>,
    /// For a size: the next place of the ladder, where it is exceeded.
    pub below: Option<f64>,
    /// Unit of the value.
    pub unit: String,
}

/// Everything found out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings(pub Vec<Finding>);

/// Names of findings that are not those of a series.
pub mod found {
    /// Bytes that the first-level data cache holds.
    pub const L1D_BYTES: &str = "l1d.bytes";
    /// Latency of a load from there.
    pub const L1D_CYCLES: &str = "l1d.latency";
    /// Bytes that the second level holds.
    pub const L2_BYTES: &str = "l2.bytes";
    /// Latency of a load from there.
    pub const L2_CYCLES: &str = "l2.latency";
    /// Latency a little beyond the second level.
    pub const L3_CYCLES: &str = "l3.latency";
    /// Bytes up to which loads mostly stay out of memory.
    pub const L3_BYTES: &str = "l3.bytes";
    /// Latency at the far end of the ladder.
    pub const MEMORY_CYCLES: &str = "memory.latency";
    /// Pages that the first-level data TLB holds.
    pub const DTLB_ENTRIES: &str = "dtlb.entries";
    /// Pages that the second-level TLB holds.
    pub const STLB_ENTRIES: &str = "stlb.entries";
    /// What a hit in the second-level TLB adds.
    pub const STLB_CYCLES: &str = "stlb.latency";
    /// What a page walk adds.
    pub const WALK_CYCLES: &str = "walk.latency";
    /// What a wrong prediction costs.
    pub const MISPREDICT_CYCLES: &str = "mispredict";
    /// Taken jumps that the branch target buffer holds.
    pub const BTB_ENTRIES: &str = "btb.entries";
    /// What a jump costs that the buffer does not hold, code in the second-level cache.
    pub const BTB_MISS_CYCLES: &str = "btb.miss";
    /// Calls that the return stack holds.
    pub const RETURN_STACK_ENTRIES: &str = "return_stack.entries";
    /// What each function around a system call costs more than without the call.
    pub const RETURN_LOSS_CYCLES: &str = "return_stack.loss_per_level";
    /// A switch to a thread that waits on the same processor, without the pipe's own work.
    pub const SWITCH_CYCLES: &str = "switch.without_pipe";
}

/// Levels of latency: what repeats within a twelfth. Ladders of caches rise by more than that from step to step between levels.
const LATENCY_LEVEL: Level = Level { share: 0.08, absolute: 0.4, points_least: 3 };
/// The second level is at least so much slower than the first.
const SECOND_LEVEL_RATIO: f64 = 1.6;
/// The third level shows where the second holds next to nothing any more, and before memory mixes in.
const BEYOND_SECOND: (f64, f64) = (2.5, 4.5);
/// What lies beyond private caches is memory from here on, whatever the shared cache's size.
const MEMORY_BYTES_LEAST: u64 = 128 << 20;
/// Depths at which the loss of returns is read: the first functions go on beside the way out of the kernel.
const LOSS_DEPTHS: (u64, u64) = (4, 16);

/// One repetition of all series.
struct Repetition<'a> {
    measurements: &'a Measurements,
    number: usize,
}

impl Repetition<'_> {
    fn at(&self, name: &str, x: u64) -> Option<f64> {
        let point = self.measurements.series(name)?.points.iter().find(|point| point.x == x)?;
        point.samples.get(self.number).copied()
    }

    /// Median over the places between two, both included.
    fn between(&self, name: &str, first: u64, last: u64) -> Option<f64> {
        let points = self.measurements.series(name)?.points.iter().filter(|point| (first..=last).contains(&point.x));
        Some(median(&points.filter_map(|point| point.samples.get(self.number).copied()).collect::<Vec<f64>>()))
            .filter(|value| value.is_finite())
    }
}

/// What `value` says in each repetition, summed up.
fn each_repetition(measurements: &Measurements, value: impl Fn(&Repetition) -> Option<f64>) -> Option<Summary> {
    let samples = measurements.series.iter().flat_map(|series| &series.points).map(|point| point.samples.len());
    let repetitions = samples.max().unwrap_or(0);
    let values: Vec<f64> = (0..repetitions).filter_map(|number| value(&Repetition { measurements, number })).collect();
    Summary::of(&values)
}

impl Findings {
    /// Reads all that the series say.
    pub fn of(measurements: &Measurements) -> Findings {
        let mut findings = Findings::default();
        findings.read_caches(measurements);
        findings.read_translation(measurements);
        findings.read_branches(measurements);
        findings.read_null_calls(measurements);
        findings.read_kernel(measurements);
        findings
    }

    /// A finding by name.
    pub fn get(&self, name: &str) -> Option<&Finding> {
        self.0.iter().find(|finding| finding.name == name)
    }

    /// The value of a finding.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.get(name).map(|finding| finding.value)
    }

    fn put(&mut self, name: &str, unit: &str, summary: Option<Summary>) {
        let Some(summary) = summary else { return };
        let finding =
            Finding { name: name.into(), value: summary.median, spread: Some(summary.spread()), below: None, unit: unit.into() };
        self.0.push(finding);
    }

    fn put_size(&mut self, name: &str, unit: &str, last: u64, beyond: Option<u64>) {
        let below = beyond.map(|beyond| beyond as f64);
        self.0.push(Finding { name: name.into(), value: last as f64, spread: None, below, unit: unit.into() });
    }

    fn read_caches(&mut self, measurements: &Measurements) {
        let name = if measurements.huge_pages { data::HUGE_PAGES } else { data::SMALL_PAGES_RANDOM };
        let Some(series) = measurements.series(name) else { return };
        let least = series.leasts();
        let levels = plateaus(&least, LATENCY_LEVEL);
        let Some(first) = levels.first() else { return };
        self.put_size(found::L1D_BYTES, "bytes", first.last, first.beyond);
        let latency = |first, last| each_repetition(measurements, |repetition| repetition.between(name, first, last));
        self.put(found::L1D_CYCLES, "cycles", latency(first.first, first.last));
        let Some(second) = levels.iter().find(|level| level.value > SECOND_LEVEL_RATIO * first.value) else { return };
        self.put_size(found::L2_BYTES, "bytes", second.last, second.beyond);
        self.put(found::L2_CYCLES, "cycles", latency(second.first, second.last));
        // Where a hypervisor backs huge pages with small ones, the second level seems to end early: what the processor reports counts.
        let reported = measurements.facts.cache(2, "Unified").map_or(0, |cache| u64::from(cache.size_kib) << 10);
        let beyond = |factor: f64| (factor * second.last.max(reported) as f64) as u64;
        self.put(found::L3_CYCLES, "cycles", latency(beyond(BEYOND_SECOND.0), beyond(BEYOND_SECOND.1)));
        let Some((farthest, _)) = least.last().filter(|point| point.0 >= MEMORY_BYTES_LEAST) else { return };
        self.put(found::MEMORY_CYCLES, "cycles", latency(*farthest, *farthest));
        let (Some(third), Some(memory)) = (self.value(found::L3_CYCLES), self.value(found::MEMORY_CYCLES)) else { return };
        if let Some((last, next)) = crossing(&least, (third + memory) / 2.0) {
            self.put_size(found::L3_BYTES, "bytes", last, Some(next));
        }
    }

    /// What one line a page takes longer than the same lines packed.
    fn read_translation(&mut self, measurements: &Measurements) {
        let (Some(spread), Some(packed)) = (measurements.series(translation::SPREAD), measurements.series(translation::PACKED))
        else {
            return;
        };
        let packed = packed.leasts();
        let base = |pages: u64| packed.iter().find(|point| point.0 == pages).map(|point| point.1);
        let added: Vec<(u64, f64)> =
            spread.leasts().into_iter().filter_map(|(pages, cycles)| Some((pages, cycles - base(pages)?))).collect();
        let levels = plateaus(&added, Level { share: 0.15, absolute: 1.5, points_least: 3 });
        let Some(first) = levels.first() else { return };
        let Some(second) = levels.iter().find(|level| level.value > first.value + 2.0) else { return };
        let at = |pages: u64| {
            each_repetition(measurements, |repetition| {
                Some(repetition.at(translation::SPREAD, pages)? - repetition.at(translation::PACKED, pages)?)
            })
        };
        let between = |first, last| {
            each_repetition(measurements, |repetition| {
                let of = |name| repetition.between(name, first, last);
                Some(of(translation::SPREAD)? - of(translation::PACKED)?)
            })
        };
        if let Some((last, next)) = crossing(&added[..=index_of(&added, second.first)], (first.value + second.value) / 2.0) {
            self.put_size(found::DTLB_ENTRIES, "pages", last, Some(next));
        }
        self.put(found::STLB_CYCLES, "cycles", between(second.first, second.last));
        // Nothing at twice the size: the ladder ends before the second level does.
        let Some(beyond) = second.beyond else { return };
        let Some((pages, walked)) = added.iter().find(|point| point.0 >= 2 * beyond) else { return };
        self.put(found::WALK_CYCLES, "cycles", at(*pages));
        // Sets fill unevenly: the size is where half of the loads walk.
        if let Some((last, next)) = crossing(&added, (second.value + walked) / 2.0) {
            self.put_size(found::STLB_ENTRIES, "pages", last, Some(next));
        }
    }

    fn read_branches(&mut self, measurements: &Measurements) {
        let turn = names::branches::TURNS;
        let penalty = each_repetition(measurements, |repetition| {
            // half of the random directions are predicted wrong
            Some((repetition.at(turn, 1)? - repetition.at(turn, 0)?) * 2.0)
        });
        self.put(found::MISPREDICT_CYCLES, "cycles", penalty);
        let (Some(dense), Some(each_line)) =
            (measurements.series(instructions::DENSE), measurements.series(instructions::EACH_LINE))
        else {
            return;
        };
        // A jump that the buffer does not hold waits for decoding and for its line: several cycles in either ladder.
        let known = |series: &crate::series::Series| crossing(&series.leasts(), KNOWN_JUMP_CYCLES_MOST);
        let (Some(dense), Some(each_line)) = (known(dense), known(each_line)) else { return };
        // The same number of jumps over four times the bytes: a buffer's end. Otherwise a cache's, which tells nothing of jumps.
        if each_line.0 > 2 * dense.0 || dense.0 > 2 * each_line.0 {
            return;
        }
        self.put_size(found::BTB_ENTRIES, "jumps", dense.0, Some(dense.1));
        let twice = measurements.series(instructions::DENSE).and_then(|series| {
            let places = series.points.iter().map(|point| point.x);
            places.into_iter().find(|jumps| *jumps >= 2 * dense.0)
        });
        if let Some(jumps) = twice {
            self.put(
                found::BTB_MISS_CYCLES,
                "cycles",
                each_repetition(measurements, |repetition| repetition.at(instructions::DENSE, jumps)),
            );
        }
    }

    fn read_null_calls(&mut self, measurements: &Measurements) {
        for name in [null_call::INVALID_NUMBER, null_call::GETUID_CALL, null_call::GETPPID_CALL] {
            self.put(name, "cycles", measurements.at(name, 0));
        }
        let Some(without) = measurements.series(null_call::NO_CALL).map(|series| series.leasts()) else { return };
        let (first, last) = LOSS_DEPTHS;
        let slope = |name| {
            move |repetition: &Repetition| Some((repetition.at(name, last)? - repetition.at(name, first)?) / (last - first) as f64)
        };
        let loss = each_repetition(measurements, |repetition| {
            Some(slope(null_call::INVALID_NUMBER)(repetition)? - slope(null_call::NO_CALL)(repetition)?)
        });
        self.put(found::RETURN_LOSS_CYCLES, "cycles", loss);
        if let Some((last, next)) = return_stack_end(&without, self.value(found::MISPREDICT_CYCLES)) {
            self.put_size(found::RETURN_STACK_ENTRIES, "calls", last, Some(next));
        }
    }

    fn read_kernel(&mut self, measurements: &Measurements) {
        self.put(names::CORE_FREQUENCY, "MHz", measurements.at(names::CORE_FREQUENCY, 0));
        self.put(transfer::ONE_WAY, "cycles", measurements.at(transfer::ONE_WAY, 0));
        for name in [switches::PIPE, switches::FUTEX] {
            for (processors, words) in [(1, "one_processor"), (2, "two_processors")] {
                self.put(&format!("{name}.{words}"), "cycles", measurements.at(name, processors));
            }
        }
        let switch = each_repetition(measurements, |repetition| {
            Some(repetition.at(switches::PIPE, 1)? - repetition.at(switches::PIPE_ALONE, 1)?)
        });
        self.put(found::SWITCH_CYCLES, "cycles", switch);
        for name in [names::faults::ANONYMOUS, names::faults::FILE] {
            self.put(name, "cycles", measurements.at(name, 0));
        }
        for series in measurements.series.iter().filter(|series| series.name.starts_with(call_costs::PREFIX)) {
            self.put(&format!("{}.hot", series.name), "cycles", series.at(call_costs::HOT));
            self.put(&format!("{}.cold", series.name), "cycles", series.at(call_costs::COLD));
        }
    }
}

/// A jump that is predicted takes fewer cycles than this, even from the slower level of a two-level buffer.
const KNOWN_JUMP_CYCLES_MOST: f64 = 8.0;

fn index_of(points: &[(u64, f64)], place: u64) -> usize {
    points.iter().position(|point| point.0 == place).unwrap_or(points.len().saturating_sub(1))
}

/// The depth from which on each further call costs most of a wrong prediction more.
fn return_stack_end(least_cycles: &[(u64, f64)], penalty: Option<f64>) -> Option<(u64, u64)> {
    let least = 0.5 * penalty?;
    let per_level = |pair: &[(u64, f64)]| (pair[1].1 - pair[0].1) / (pair[1].0 - pair[0].0) as f64;
    let last_held = least_cycles.windows(2).rposition(|pair| per_level(pair) < least)? + 1;
    Some((least_cycles[last_held].0, least_cycles.get(last_held + 1)?.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made_up::MadeUp;

    /// The value that is found, with how far it may be off as a share.
    fn near(findings: &Findings, name: &str, expected: f64, share: f64) {
        let value = findings.value(name).unwrap_or_else(|| panic!("{name} is not found in {findings:?}"));
        assert!((value / expected - 1.0).abs() <= share, "{name}: {value} for {expected}");
    }

    /// The places between which a size is found.
    fn between(findings: &Findings, name: &str, size: f64) {
        let finding = findings.get(name).unwrap_or_else(|| panic!("{name} is not found in {findings:?}"));
        assert!(finding.value <= size && size <= finding.below.unwrap(), "{name}: {finding:?} for {size}");
    }

    #[test]
    fn what_is_known_of_a_host_is_found_in_its_series() {
        for noise in [0.0, 0.05, 0.3] {
            let host = MadeUp { noise, ..MadeUp::default() };
            let findings = Findings::of(&host.measurements());
            for (name, level) in [(found::L1D_BYTES, 0), (found::L2_BYTES, 1)] {
                between(&findings, name, host.caches[level].0 as f64);
            }
            let level = |level: usize| host.caches[level].1;
            for (name, cycles) in [(found::L1D_CYCLES, level(0)), (found::L2_CYCLES, level(1)), (found::L3_CYCLES, level(2))] {
                near(&findings, name, cycles, 0.02 + noise / 10.0);
            }
            near(&findings, found::MEMORY_CYCLES, host.memory_cycles, 0.02 + noise / 5.0);
            between(&findings, found::DTLB_ENTRIES, host.tlbs[0] as f64);
            near(&findings, found::STLB_CYCLES, host.translation_cycles[0], 0.05 + noise);
            near(&findings, found::STLB_ENTRIES, host.tlbs[1] as f64, 0.35);
            near(&findings, found::WALK_CYCLES, host.translation_cycles[1], 0.05 + noise);
            between(&findings, found::BTB_ENTRIES, host.targets.0 as f64);
            between(&findings, found::RETURN_STACK_ENTRIES, host.return_stack as f64);
            near(&findings, found::MISPREDICT_CYCLES, host.mispredict_cycles, 0.02 + noise);
            near(&findings, null_call::GETPPID_CALL, host.null_call_cycles, 0.02 + noise / 5.0);
            near(&findings, found::RETURN_LOSS_CYCLES, host.mispredict_cycles, 0.02 + 2.0 * noise);
        }
    }

    #[test]
    fn a_kernel_that_keeps_the_return_stack_loses_no_returns() {
        let host = MadeUp { loses_returns: false, noise: 0.0, ..MadeUp::default() };
        let findings = Findings::of(&host.measurements());
        assert!(findings.value(found::RETURN_LOSS_CYCLES).unwrap().abs() < 0.01);
    }

    #[test]
    fn what_was_not_measured_is_not_found() {
        let mut measurements = MadeUp::default().measurements();
        measurements.series.retain(|series| series.name == data::HUGE_PAGES);
        measurements.series[0].points.retain(|point| point.x <= 16 << 10);
        let findings = Findings::of(&measurements);
        let names: Vec<&str> = findings.0.iter().map(|finding| finding.name.as_str()).collect();
        assert_eq!(names, [found::L1D_BYTES, found::L1D_CYCLES]);
        assert_eq!(findings.get(found::L1D_BYTES).unwrap().below, None, "the ladder ends on the level");
        measurements.series.clear();
        assert_eq!(Findings::of(&measurements), Findings::default());
    }

    #[test]
    fn jumps_that_end_with_the_bytes_say_nothing_of_targets() {
        let mut measurements = MadeUp::default().measurements();
        let each_line = measurements.series.iter_mut().find(|series| series.name == instructions::EACH_LINE).unwrap();
        each_line.points.iter_mut().filter(|point| point.x > 512).for_each(|point| point.samples.fill(30.0));
        assert_eq!(Findings::of(&measurements).get(found::BTB_ENTRIES), None);
    }
}
