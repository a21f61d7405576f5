//! Series of a made-up host whose properties are known: what the reading of series is tested on, here and where descriptions are made.

use crate::facts::{Facts, ReportedCache, Weakness};
use crate::measurements::{Measurements, SCHEMA};
use crate::names::{self, call_costs, data, faults, instructions, null_call, switches, transfer, translation};
use crate::series::{Label, Series, steps};

/// A host that does not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeUp {
    /// Bytes and latency of the first level, the second, the third.
    pub caches: [(u64, f64); 3],
    /// Latency of memory.
    pub memory_cycles: f64,
    /// Pages of both TLB levels.
    pub tlbs: [u64; 2],
    /// What a hit in the second level adds, and what a walk adds.
    pub translation_cycles: [f64; 2],
    /// Cost of a wrong prediction.
    pub mispredict_cycles: f64,
    /// Jumps that the target buffer holds, and what one costs that it does not hold.
    pub targets: (u64, f64),
    /// Calls that the return stack holds.
    pub return_stack: u64,
    /// Cycles of `getppid`.
    pub null_call_cycles: f64,
    /// Returns after a call are predicted wrongly.
    pub loses_returns: bool,
    /// How much longer the most disturbed samples are, as a share.
    pub noise: f64,
    /// A hypervisor runs below.
    pub virtual_machine: bool,
    /// Mitigations are in force.
    pub mitigations: bool,
}

impl Default for MadeUp {
    fn default() -> MadeUp {
        MadeUp {
            caches: [(32 << 10, 4.0), (1 << 20, 14.0), (32 << 20, 46.0)],
            memory_cycles: 350.0,
            tlbs: [72, 3072],
            translation_cycles: [7.0, 60.0],
            mispredict_cycles: 16.0,
            targets: (4096, 20.0),
            return_stack: 32,
            null_call_cycles: 300.0,
            loses_returns: true,
            noise: 0.1,
            virtual_machine: false,
            mitigations: true,
        }
    }
}

const REPETITIONS: u64 = 7;
/// How disturbed samples are, in tenths of the noise: most are not, and no two neighbours alike.
const DISTURBANCES: [f64; 11] = [0.0, 1.0, 0.0, 10.0, 0.0, 2.0, 0.0, 0.0, 5.0, 0.0, 1.0];

impl MadeUp {
    /// What measuring it would give.
    pub fn measurements(&self) -> Measurements {
        let mut series = self.memory();
        series.extend(self.code());
        series.extend(self.kernel());
        Measurements {
            schema: SCHEMA,
            facts: self.facts(),
            ticks_per_second: 2.5e9,
            clock_step_ticks: 25,
            processors: vec![1, 0],
            hardware_counters: "none on a host that does not exist".into(),
            huge_pages: true,
            left_out: Vec::new(),
            seconds: 0.0,
            series,
        }
    }

    fn facts(&self) -> Facts {
        let cache = |level, kind: &str, size_kib, ways| ReportedCache { level, kind: kind.into(), size_kib, ways, shared_by: 1 };
        let kib = |level: usize| (self.caches[level].0 >> 10) as u32;
        let weakness = Weakness { name: "spectre_v2".into(), status: "Mitigation: made up".into() };
        Facts {
            date: "2026-01-31".into(),
            processor: "Made-up processor".into(),
            vendor: "AuthenticAMD".into(),
            virtual_machine: self.virtual_machine,
            weaknesses: if self.mitigations { vec![weakness] } else { Vec::new() },
            pcid: true,
            kernel: "6.0.0-made-up".into(),
            caches: vec![
                cache(1, "Data", kib(0), 8),
                cache(1, "Instruction", 32, 8),
                cache(2, "Unified", kib(1), 8),
                cache(3, "Unified", kib(2), 16),
            ],
            processors: 2,
            tick_hz: 250,
            ..Facts::default()
        }
    }

    fn series(&self, name: &str, xs: &[u64], value: impl Fn(u64) -> f64) -> Series {
        let disturbed = |index: usize, repetition: u64| {
            let pattern = DISTURBANCES[(3 * index + 5 * repetition as usize) % DISTURBANCES.len()];
            1.0 + self.noise * pattern / 10.0
        };
        let samples = |(index, x): (usize, &u64)| {
            (0..REPETITIONS).map(|repetition| value(*x) * disturbed(index, repetition)).collect::<Vec<f64>>()
        };
        Series::new(Label { name, axis: "", unit: "cycles" }, xs, xs.iter().enumerate().map(samples).collect())
    }

    /// Latency of a load over so many bytes: what no longer fits is missed in proportion.
    fn load(&self, bytes: u64) -> f64 {
        let slower = [self.caches[1].1, self.caches[2].1, self.memory_cycles];
        self.caches.iter().zip(slower).fold(self.caches[0].1, |latency, ((size, own), slower)| {
            let missed = (2.0 * bytes.saturating_sub(*size) as f64 / *size as f64).min(1.0);
            latency + (slower - own) * missed
        })
    }

    fn memory(&self) -> Vec<Series> {
        let bytes = steps(4 << 10, 256 << 20, 4, 1024);
        let pages = steps(8, 8192, 4, 1);
        let packed = |pages: u64| self.load(pages * 64);
        let spread = |pages: u64| {
            let [hit, walk] = self.translation_cycles;
            let missed = 2.0 * pages.saturating_sub(self.tlbs[1]) as f64 / self.tlbs[1] as f64;
            packed(pages) + if pages > self.tlbs[0] { hit + (walk - hit) * missed.min(1.0) } else { 0.0 }
        };
        vec![
            self.series(data::HUGE_PAGES, &bytes, |bytes| self.load(bytes)),
            self.series(translation::SPREAD, &pages, spread),
            self.series(translation::PACKED, &pages, packed),
        ]
    }

    fn code(&self) -> Vec<Series> {
        let jumps = steps(32, 16 << 10, 4, 1);
        let jump = |jumps: u64| if jumps > self.targets.0 { self.targets.1 } else { 1.0 };
        vec![
            self.series(instructions::EACH_LINE, &jumps, jump),
            self.series(instructions::DENSE, &jumps, jump),
            self.series(names::branches::TURNS, &[0, 1], |random| 2.0 + random as f64 * self.mispredict_cycles / 2.0),
        ]
    }

    fn kernel(&self) -> Vec<Series> {
        let calls = [0, 1, 2, 4, 8, 16, 24, 28, 32];
        let deeper = [0, 1, 2, 4, 8, 16, 24, 28, 32, 33, 34, 40, 64];
        let without =
            |depth: u64| 2.0 + 4.0 * depth as f64 + self.mispredict_cycles * depth.saturating_sub(self.return_stack) as f64;
        let lost = if self.loses_returns { self.mispredict_cycles } else { 0.0 };
        let call = |share: f64| move |depth: u64| share * self.null_call_cycles + (4.0 + lost) * depth as f64;
        let one = |name: &str, value: f64| self.series(name, &[0], |_| value);
        vec![
            self.series(null_call::NO_CALL, &deeper, without),
            self.series(null_call::INVALID_NUMBER, &calls, call(0.7)),
            self.series(null_call::GETUID_CALL, &calls, call(0.85)),
            self.series(null_call::GETPPID_CALL, &calls, call(1.0)),
            one(names::CORE_FREQUENCY, 3700.0),
            one(transfer::ONE_WAY, 90.0),
            self.series(switches::PIPE, &[1, 2], |processors| 4000.0 * processors as f64),
            self.series(switches::FUTEX, &[1, 2], |processors| 3700.0 * processors as f64),
            self.series(switches::PIPE_ALONE, &[1], |_| 1000.0),
            one(faults::ANONYMOUS, 2000.0),
            one(faults::FILE, 300.0),
            self.series(&format!("{}recvfrom", call_costs::PREFIX), &[call_costs::HOT, call_costs::COLD], |x| {
                1000.0 * (1 + 3 * x) as f64
            }),
        ]
    }
}
