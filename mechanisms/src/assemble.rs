//! From samples to a report.

use crate::exception_less::POLLED_CYCLES;
use crate::experiment::Settings;
use crate::registry::Mechanism;
use crate::rows;
use crate::simulate::{CoreUsesUntil, Sample, Split};
use crate::variants::Way;
use cpu_model::Counters;
use os_model::core_use::{CoreUse, CoreUses};
use os_model::stats::BatchLimit;
use sim_core::histogram::LatencyHistogram;
use sim_core::ids::{Cycles, Mode};
use sim_core::report::{
    BatchDepth, CallRow, CoreOverTime, CoreStretch, CoreWindow, CoresUsed, Estimate, IndirectByMode, LatencyMicroseconds,
    LatencyOverSeeds, LimitedBy, Manifest, OccurrenceRow, OverSeeds, PerRequest, RunReport, ShadowRow, StackReport, Window,
};
use sim_core::stack::{Component, CycleStack, Domain};
use sim_core::workload::{Program, Workload};
use std::collections::BTreeMap;

/// All samples of one mechanism added up.
#[derive(Debug)]
pub struct Totals {
    /// Replies.
    pub replies: u64,
    /// Window cycles summed over cores and samples.
    pub core_cycles: Cycles,
    /// Cycle stack.
    pub stack: CycleStack,
    /// Counters.
    pub counters: Counters,
    /// Indirect cycles by mode index.
    pub indirect: [Cycles; 2],
}

impl Totals {
    /// Adds samples up, in order.
    pub fn of(samples: &[Sample]) -> Totals {
        let mut totals =
            Totals { replies: 0, core_cycles: 0, stack: CycleStack::default(), counters: Counters::default(), indirect: [0; 2] };
        for sample in samples {
            totals.replies += sample.replies;
            totals.stack.merge(&sample.stack);
            totals.counters.merge(&sample.counters);
            for mode in Mode::ALL {
                totals.indirect[mode.index()] += sample.ledger.indirect_cycles(mode);
            }
        }
        totals.core_cycles = totals.stack.total();
        totals
    }

    /// A sum per request.
    pub fn per_request(&self, sum: u64) -> f64 {
        sum as f64 / self.replies.max(1) as f64
    }
}

/// Replies per second in a sample.
pub fn rate(sample: &Sample, settings: &Settings) -> f64 {
    let hertz = f64::from(settings.machine.frequency_mhz) * 1e6;
    sample.replies as f64 * hertz / sample.window_cycles.max(1) as f64
}

/// Replies per second in each sample.
pub fn throughputs(samples: &[Sample], settings: &Settings) -> Vec<f64> {
    samples.iter().map(|sample| rate(sample, settings)).collect()
}

/// Processor cycles per request in each sample, those that kernel cores wait in a loop included: a core that polls is idle in the cycle
/// stack (it does nothing for the server), but nobody else can have it.
pub fn processor_times(samples: &[Sample]) -> Vec<f64> {
    let of = |sample: &Sample| {
        let waited = sample.occurrences.iter().find(|entry| entry.0 == POLLED_CYCLES).map_or(0, |entry| entry.1);
        let busy = sample.stack.total() - sample.stack.get(Component::Idle) - sample.stack.get(Component::Client);
        (busy + waited) as f64 / sample.replies.max(1) as f64
    };
    samples.iter().map(of).collect()
}

/// The report of one mechanism, without what needs the baseline.
pub fn report(workload: &Workload, settings: &Settings, way: Way, manifest: &Manifest, samples: &[Sample]) -> RunReport {
    let totals = Totals::of(samples);
    let per = |sum: u64| totals.per_request(sum);
    let sum = |of: fn(&Sample) -> u64| per(samples.iter().map(of).sum());
    let calls = sum(|sample| sample.calls.iter().sum());
    let busy = totals.core_cycles - totals.stack.get(Component::Idle);
    RunReport {
        workload: workload.name.clone(),
        machine: settings.machine.name.clone(),
        kernel: settings.kernel.name.clone(),
        mechanism: way.mechanism.name().into(),
        variant: way.named_under(&settings.mechanism),
        cores: settings.run.cores,
        connections: if workload.program == Program::Sequential { 0 } else { settings.run.connections },
        seed: settings.run.seed,
        reps: samples.len() as u32,
        requests: totals.replies,
        manifest: manifest.clone(),
        why: String::new(),
        throughput_rps: throughput(samples, settings),
        latency_us: latency(samples, settings),
        modes: rows::modes(&totals.counters),
        cycle_stack: StackReport::per_request(&totals.stack, totals.replies.max(1)),
        per_request: PerRequest {
            instructions_user: per(totals.counters.mode(Mode::User).instructions),
            instructions_kernel: per(totals.counters.mode(Mode::Kernel).instructions),
            cycles_total: per(totals.core_cycles),
            syscalls: calls,
            crossings: sum(|sample| sample.crossings),
            context_switches: sum(|sample| sample.context_switches),
            direct_cycles: per(totals.stack.direct()),
            indirect_cycles: per(totals.indirect[0] + totals.indirect[1]),
            mechanism_cycles: per(totals.stack.domain(Domain::Mechanism)),
        },
        syscalls_per_reply: calls,
        indirect_by_mode: IndirectByMode { user: per(totals.indirect[0]), kernel: per(totals.indirect[1]) },
        per_call: per_call(samples, &totals),
        evictors: rows::evictors(samples.iter().map(|sample| &sample.ledger)),
        shadow: shadow(samples),
        batch: batch(samples),
        limited_by: Some(limited_by(samples, &totals)),
        cpu_us_per_request: per(busy) / f64::from(settings.machine.frequency_mhz),
        over_seeds: over_seeds(samples, settings),
        synthetic_cycle_share: samples.iter().map(|sample| sample.synthetic_cycles).sum::<u64>() as f64 / busy.max(1) as f64,
        cores_used: cores_used(&totals, settings),
        core_split: samples.first().map(|sample| split(&sample.split, settings)).unwrap_or_default(),
        cores_over_time: samples.first().map(|sample| cores_over_time(&sample.core_uses, settings)).unwrap_or_default(),
        mechanism_memory_bytes: samples.first().map_or(0, |sample| sample.memory_bytes),
        occurrences: occurrences(samples, &totals),
        window: Some(window(samples, settings.run.warm_up_batches)),
        notes: notes(way, settings, samples),
        ..RunReport::default()
    }
}

fn throughput(samples: &[Sample], settings: &Settings) -> Estimate {
    let rates = throughputs(samples, settings);
    if let ([_], [sample]) = (&rates[..], samples) {
        // one repetition: batch means inside the run
        const BATCHES: usize = 10;
        let hertz = f64::from(settings.machine.frequency_mhz) * 1e6;
        let batched = sim_core::estimate::batched_rate(&sample.reply_times, 0, sample.window_cycles, BATCHES);
        let estimate = Estimate::of(&batched.iter().map(|rate| rate * hertz).collect::<Vec<_>>());
        return Estimate { mean: rates[0], ..estimate };
    }
    Estimate::of(&rates)
}

fn latency(samples: &[Sample], settings: &Settings) -> LatencyMicroseconds {
    let mut all = LatencyHistogram::new();
    for sample in samples {
        all.merge(&sample.latency);
    }
    all.microseconds(u64::from(settings.machine.frequency_mhz) * 1_000_000)
}

/// How latency and processor time differ from seed to seed; nothing of one seed.
fn over_seeds(samples: &[Sample], settings: &Settings) -> Option<OverSeeds> {
    let hertz = u64::from(settings.machine.frequency_mhz) * 1_000_000;
    let latencies: Vec<LatencyMicroseconds> = samples.iter().map(|sample| sample.latency.microseconds(hertz)).collect();
    let busy = |sample: &Sample| sample.stack.total() - sample.stack.get(Component::Idle);
    let microseconds =
        |sample: &Sample| busy(sample) as f64 / sample.replies.max(1) as f64 / f64::from(settings.machine.frequency_mhz);
    (samples.len() > 1).then(|| OverSeeds {
        latency_us: LatencyOverSeeds::of(&latencies),
        cpu_us_per_request: Estimate::of(&samples.iter().map(microseconds).collect::<Vec<_>>()),
    })
}

fn per_call(samples: &[Sample], totals: &Totals) -> Vec<CallRow> {
    let mut rows: BTreeMap<u16, (u64, u64, Cycles)> = BTreeMap::new();
    let crossings =
        |number: u16| samples.iter().filter_map(|sample| sample.crossing_cycles.get(usize::from(number))).sum::<Cycles>();
    for sample in samples {
        for (number, count) in sample.calls.iter().enumerate().filter(|(_, count)| **count > 0) {
            rows.entry(number as u16).or_default().0 += count;
        }
        for (agent, counters) in &sample.agents {
            if let Some(call) = agent.as_call() {
                let row = rows.entry(call.0).or_default();
                row.1 += counters.instructions;
                row.2 += counters.cycles;
            }
        }
    }
    let row = |(number, (count, instructions, cycles)): (u16, (u64, u64, Cycles))| CallRow {
        call: sim_core::calls::CallNumber(number).name().into(),
        issued_per_request: totals.per_request(count),
        instructions_per_call: instructions as f64 / count.max(1) as f64,
        cycles_per_call: cycles as f64 / count.max(1) as f64,
        direct_cycles_per_call: crossings(number) as f64 / count.max(1) as f64,
    };
    rows.into_iter().filter(|(_, counts)| counts.0 > 0).map(row).collect()
}

fn occurrences(samples: &[Sample], totals: &Totals) -> Vec<OccurrenceRow> {
    let mut rows: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (what, count) in samples.iter().flat_map(|sample| &sample.occurrences) {
        *rows.entry(what).or_default() += count;
    }
    let row = |(what, count): (&str, u64)| OccurrenceRow { what: what.into(), count, per_request: totals.per_request(count) };
    rows.into_iter().map(row).collect()
}

fn shadow(samples: &[Sample]) -> Option<Vec<ShadowRow>> {
    let rows = rows::shadow(samples.iter().flat_map(|sample| &sample.shadow));
    (!rows.is_empty()).then_some(rows)
}

fn batch(samples: &[Sample]) -> BatchDepth {
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    let mut limits: BTreeMap<BatchLimit, u64> = BTreeMap::new();
    for entry in samples.iter().flat_map(|sample| &sample.batches) {
        *sizes.entry(entry.size).or_default() += entry.count;
        *limits.entry(entry.limit).or_default() += entry.count;
    }
    let count: u64 = sizes.values().sum();
    if count == 0 {
        return BatchDepth { mean: 1.0, p50: 1.0, p99: 1.0, max: 1.0, limited_by: "mechanism".into() };
    }
    let calls: u64 = sizes.iter().map(|(size, count)| u64::from(*size) * count).sum();
    let percentile = |permille: u64| {
        let mut seen = 0;
        let found = sizes.iter().find(|(_, times)| {
            seen += **times;
            seen * 1000 >= count * permille
        });
        found.map_or(0.0, |(size, _)| f64::from(*size))
    };
    let most = limits.iter().max_by_key(|(limit, times)| (**times, std::cmp::Reverse(**limit))).map(|(limit, _)| limit.name());
    BatchDepth {
        mean: calls as f64 / count as f64,
        p50: percentile(500),
        p99: percentile(990),
        max: sizes.keys().last().map_or(0.0, |size| f64::from(*size)),
        limited_by: most.unwrap_or("mechanism").into(),
    }
}

/// A server whose busiest core is busy 95 % of the time is the limit; else the link when it is that busy; else the clients, by their
/// processors, their number or their think time.
fn limited_by(samples: &[Sample], totals: &Totals) -> LimitedBy {
    const BUSY_PERMILLE: u64 = 950;
    let server_busy = samples.iter().any(|sample| {
        sample.stacks.iter().any(|stack| {
            let all = stack.total().max(1);
            (all - stack.get(Component::Idle)) * 1000 >= all * BUSY_PERMILLE
        })
    });
    let link = samples.iter().map(|sample| sample.utilisation_permille.0).max().unwrap_or(0);
    if server_busy || totals.replies == 0 {
        LimitedBy::Server
    } else if link >= BUSY_PERMILLE {
        LimitedBy::Link
    } else {
        LimitedBy::Client
    }
}

fn cores_used(totals: &Totals, settings: &Settings) -> CoresUsed {
    let all = totals.core_cycles.max(1) as f64;
    let share = |cycles: Cycles| cycles as f64 * f64::from(settings.run.cores) / all;
    CoresUsed {
        user: share(totals.counters.mode(Mode::User).cycles),
        kernel: share(totals.counters.mode(Mode::Kernel).cycles),
        idle: share(totals.stack.get(Component::Idle)),
        client: share(totals.stack.get(Component::Client)),
    }
}

fn split(cumulated: &[Split], settings: &Settings) -> Vec<CoreWindow> {
    let mut before = Split::default();
    let frequency = f64::from(settings.machine.frequency_mhz);
    let mut windows = Vec::new();
    for upto in cumulated {
        let user = upto.user - before.user;
        let kernel = upto.kernel - before.kernel;
        let client = upto.client - before.client;
        let idle = upto.idle.saturating_sub(before.idle);
        let all = (user + kernel + client + idle).max(1) as f64;
        windows.push(CoreWindow {
            start_us: before.end as f64 / frequency,
            end_us: upto.end as f64 / frequency,
            user: user as f64 / all,
            kernel: kernel as f64 / all,
            idle: idle as f64 / all,
            client: client as f64 / all,
        });
        before = *upto;
    }
    windows
}

/// Use of each core over time from cumulated uses. Stretches without time are left out.
fn cores_over_time(cumulated: &[CoreUsesUntil], settings: &Settings) -> Vec<CoreOverTime> {
    let nothing = CoreUses::default();
    let of_core = |core: u32| {
        let mut before = &nothing;
        let mut stretches = Vec::new();
        for until in cumulated {
            let uses = &until.cores[core as usize];
            let own = uses.since(before);
            if own.total() > 0 {
                stretches.push(core_stretch(until.end as f64 / f64::from(settings.machine.frequency_mhz), &own));
                before = uses;
            }
        }
        CoreOverTime { core, stretches }
    };
    (0..settings.run.cores).map(of_core).collect()
}

fn core_stretch(end_us: f64, own: &CoreUses) -> CoreStretch {
    let share = |kind: CoreUse| own.get(kind) as f64 / own.total() as f64;
    CoreStretch {
        end_us,
        program: share(CoreUse::Program),
        calls: share(CoreUse::Calls),
        softirq: share(CoreUse::Softirq),
        interrupt: share(CoreUse::Interrupt),
        scheduler: share(CoreUse::Scheduler),
        crossings: share(CoreUse::Crossings),
        mechanism: share(CoreUse::Mechanism),
        client: share(CoreUse::Client),
        idle: share(CoreUse::Idle),
    }
}

fn window(samples: &[Sample], batches: u32) -> Window {
    Window {
        opened_by: format!(
            "at least two requests of each connection (40 batches of one request a connection at most), then two batches in a row \
             within 3 % of each other, at most {batches} batches; with partly open clients not before the number of connections has \
             stopped to grow (40 batches at most)"
        ),
        warm_up_requests: samples.iter().map(|sample| sample.warm_up_replies).sum(),
        warm_up_cycles: samples.iter().map(|sample| sample.warm_up_cycles).sum(),
        measured_cycles: samples.iter().map(|sample| sample.window_cycles).sum(),
    }
}

fn notes(way: Way, settings: &Settings, samples: &[Sample]) -> Vec<String> {
    let mut notes = Vec::new();
    if way.mechanism == Mechanism::ElevatedShortcut {
        let mut own = settings.mechanism.clone();
        way.apply(&mut own);
        let all: Vec<(&'static str, u64)> = samples.iter().flat_map(|sample| sample.occurrences.iter().copied()).collect();
        let calls = samples.iter().flat_map(|sample| &sample.calls).sum();
        notes.extend(crate::elevated::depth_note(own.elevated_shortcut.effective_depth(), &all, calls));
    }
    let refused: u64 = samples.iter().map(|sample| sample.refused_arrivals).sum();
    if refused > 0 {
        notes.push(format!("{refused} arrivals found no free connection and were refused: offer more connections or a lower rate"));
    }
    let dropped: u64 = samples.iter().map(|sample| sample.dropped_packets).sum();
    if dropped > 0 {
        notes.push(format!("{dropped} packets were lost to full receive rings and sent again"));
    }
    let mut remarks: BTreeMap<&str, u64> = BTreeMap::new();
    for (text, times) in samples.iter().flat_map(|sample| &sample.remarks) {
        *remarks.entry(text).or_default() += times;
    }
    notes.extend(remarks.into_iter().map(|(text, times)| format!("{times} times: {text}")));
    notes
}
