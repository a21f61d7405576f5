//! A comparison that grows by one simulation at a time, for somebody who looks on: brief runs first, then seed by seed what
//! [`compare`](crate::compare::compare) simulates. When nothing is left to do it is that comparison, to the last digit.

use crate::assemble::{self, throughputs};
use crate::compare::{
    self, EXPOSURES_PERMILLE, ExperimentError, LineUp, check, comparison_notes, first_seeds, manifest, seeds_wanted, set_beside,
    settings_of,
};
use crate::experiment::Settings;
use crate::gain;
use crate::registry::Mechanism;
use crate::simulate::{Sample, SimulationError, simulate_briefly, simulate_until};
use crate::sweep::caught;
use crate::under_kernel::under_kernel;
use crate::variants::Way;
use sim_core::histogram::LatencyHistogram;
use sim_core::manifest::Manifest;
use sim_core::report::{Comparison, LatencyMicroseconds, RunReport};
use sim_core::workload::{Program, Workload};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Accesses of a brief run, warm-up included: about a tenth of a second on an ordinary core.
pub const BRIEF_ACCESSES: u64 = 6_000_000;

/// Accesses of a glimpse, a briefer run of the two ways that are looked at first: an answer to a turned knob within a third of a second.
const GLIMPSE_ACCESSES: u64 = 1_500_000;
/// Ways that are glimpsed at.
const GLIMPSED: usize = 2;

/// One simulation of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// A briefer run than a brief one.
    Glimpse {
        /// Position of the way.
        way: usize,
    },
    /// A brief run of a way.
    Brief {
        /// Position of the way.
        way: usize,
    },
    /// A whole run of a way under a seed.
    Seed {
        /// Position of the way.
        way: usize,
        /// Repetition.
        rep: u32,
    },
    /// A whole run at one end of what is known of the exposure of instruction misses.
    Exposure {
        /// Which end.
        end: usize,
        /// Position of the way.
        way: usize,
    },
}

/// What simulations need; shared with the threads that do them.
#[derive(Debug)]
pub struct Common {
    /// The workload under the settings' kernel.
    pub workload: Arc<Workload>,
    /// The settings of all ways.
    pub settings: Settings,
    /// Ways that can run the workload, the baseline first.
    ways: Vec<Way>,
}

impl Common {
    /// Does one simulation.
    ///
    /// # Errors
    /// A simulation that failed, [`SimulationError::Cancelled`] once `cancel` is set.
    pub fn simulate(&self, piece: Piece, cancel: &AtomicBool) -> Result<Sample, SimulationError> {
        let (way, rep, exposure) = match piece {
            Piece::Glimpse { way } | Piece::Brief { way } => (way, 0, None),
            Piece::Seed { way, rep } => (way, rep, None),
            Piece::Exposure { end, way } => (way, 0, Some(EXPOSURES_PERMILLE[end])),
        };
        let way = self.ways[way];
        let settings = settings_of(&self.settings, way, exposure);
        let seed = settings.run.seed + u64::from(rep);
        let briefly = |accesses| simulate_briefly(&self.workload, &settings, way.mechanism, seed, accesses, cancel);
        caught(|| match piece {
            Piece::Glimpse { .. } => briefly(GLIMPSE_ACCESSES),
            Piece::Brief { .. } => briefly(BRIEF_ACCESSES),
            _ => simulate_until(&self.workload, &settings, way.mechanism, seed, cancel),
        })
    }
}

/// What is known of one way so far.
#[derive(Debug, Default)]
struct Known {
    glimpse: Vec<Sample>,
    brief: Vec<Sample>,
    /// Samples of the first seeds, without gaps.
    seeds: Vec<Sample>,
    /// What came before one of an earlier seed.
    early: BTreeMap<u32, Sample>,
    failure: Option<SimulationError>,
}

/// What a way's answer is so far.
#[derive(Debug)]
pub struct Partial {
    /// The way, as it runs.
    pub way: Way,
    /// The report, when something is known.
    pub report: Option<RunReport>,
    /// Latencies of the same samples, in cycles.
    pub latency: LatencyHistogram,
    /// The report is of a brief run.
    pub brief: bool,
    /// Whole seeds in the report.
    pub seeds: u32,
    /// The simulation that failed.
    pub failure: Option<SimulationError>,
}

/// A comparison under way.
#[derive(Debug)]
pub struct Refinement {
    common: Arc<Common>,
    line_up: LineUp,
    manifest: Manifest,
    known: Vec<Known>,
    /// Replies per second at the ends of the exposure, by end and way.
    exposed: BTreeMap<(usize, usize), f64>,
    todo: VecDeque<Piece>,
    /// Given out and not yet kept.
    under_way: usize,
    seeds_wanted: u32,
    /// Positions of the ways, the most interesting first.
    order: Vec<usize>,
    exposures_begun: bool,
    done: u32,
}

impl Refinement {
    /// Checks everything and plans the first simulations. Ways are reported in their order and simulated in the order of `interest`;
    /// without any nobody waits for the first answer, and there are no glimpses.
    ///
    /// # Errors
    /// Settings out of range, a workload without requests, a service that can't be installed.
    pub fn new(
        workload: &Arc<Workload>,
        settings: Settings,
        ways: &[Way],
        interest: &[Mechanism],
        command: String,
    ) -> Result<Refinement, ExperimentError> {
        check(workload, &settings)?;
        let workload = match under_kernel(workload, &settings.kernel) {
            Cow::Borrowed(_) => Arc::clone(workload),
            Cow::Owned(made) => Arc::new(made),
        };
        let line_up = LineUp::new(&workload, &settings, ways)?;
        let manifest = manifest(&workload, &settings, command);
        let ways = line_up.applicable.clone();
        let mut order: Vec<usize> = (0..ways.len()).collect();
        let rank = |way: &usize| interest.iter().position(|mechanism| *mechanism == ways[*way].mechanism).unwrap_or(usize::MAX);
        order.sort_by_key(rank);
        let glimpses = order.iter().take(if interest.is_empty() { 0 } else { GLIMPSED }).map(|way| Piece::Glimpse { way: *way });
        let todo = glimpses.chain(order.iter().map(|way| Piece::Brief { way: *way })).collect();
        let mut refinement = Refinement {
            known: ways.iter().map(|_| Known::default()).collect(),
            seeds_wanted: first_seeds(&settings),
            common: Arc::new(Common { workload, settings, ways }),
            line_up,
            manifest,
            exposed: BTreeMap::new(),
            todo,
            under_way: 0,
            order,
            exposures_begun: false,
            done: 0,
        };
        refinement.plan_seeds(0);
        Ok(refinement)
    }

    /// What simulations need.
    pub fn common(&self) -> Arc<Common> {
        Arc::clone(&self.common)
    }

    /// The next simulation to do; none while others have to end first, or at the end.
    pub fn next_piece(&mut self) -> Option<Piece> {
        let piece = self.todo.pop_front()?;
        self.under_way += 1;
        Some(piece)
    }

    /// True when the next simulation is a brief run.
    pub fn is_brief_next(&self) -> bool {
        matches!(self.todo.front(), Some(Piece::Glimpse { .. } | Piece::Brief { .. }))
    }

    /// True when the next simulation is a glimpse.
    pub fn is_glimpse_next(&self) -> bool {
        matches!(self.todo.front(), Some(Piece::Glimpse { .. }))
    }

    /// Takes back a simulation that was stopped: it is the next one again.
    pub fn put_back(&mut self, piece: Piece) {
        self.under_way -= 1;
        self.todo.push_front(piece);
    }

    /// Keeps what a simulation has found, and plans what it makes necessary.
    pub fn keep(&mut self, piece: Piece, result: Result<Sample, SimulationError>) {
        self.under_way -= 1;
        self.done += 1;
        let way = piece.way();
        match (piece, result) {
            (_, Err(failure)) => {
                self.known[way].failure.get_or_insert(failure);
                self.todo.retain(|piece| piece.way() != way);
            }
            (Piece::Glimpse { .. }, Ok(sample)) => self.known[way].glimpse = vec![sample],
            (Piece::Brief { .. }, Ok(sample)) => self.known[way].brief = vec![sample],
            (Piece::Seed { rep, .. }, Ok(sample)) => self.known[way].keep(rep, sample),
            (Piece::Exposure { end, .. }, Ok(sample)) => {
                let rates = throughputs(&[sample], &self.common.settings);
                self.exposed.insert((end, way), rates[0]);
            }
        }
        if self.todo.is_empty() && self.under_way == 0 {
            self.plan_more();
        }
    }

    /// True when it says what a comparison says.
    pub fn is_complete(&self) -> bool {
        self.todo.is_empty() && self.under_way == 0
    }

    /// Simulations done, and planned so far.
    pub fn simulations(&self) -> (u32, u32) {
        let exposures = if self.common.settings.run.exposure_range && !self.exposures_begun {
            EXPOSURES_PERMILLE.len() * self.order.len()
        } else {
            0
        };
        (self.done, self.done + (self.todo.len() + self.under_way + exposures) as u32)
    }

    /// Whole seeds of every way that has not failed, and planned so far.
    pub fn seeds(&self) -> (u32, u32) {
        let least = self.sound().map(|known| known.seeds.len() as u32).min().unwrap_or(0);
        (least, self.seeds_wanted)
    }

    fn sound(&self) -> impl Iterator<Item = &Known> {
        self.known.iter().filter(|known| known.failure.is_none())
    }

    fn plan_seeds(&mut self, from: u32) {
        for rep in from..self.seeds_wanted {
            let sound = self.order.iter().filter(|way| self.known[**way].failure.is_none());
            self.todo.extend(sound.map(|way| Piece::Seed { way: *way, rep }));
        }
    }

    /// More seeds while the intervals are too wide, then the ends of the exposure.
    fn plan_more(&mut self) {
        if self.exposures_begun || self.known.iter().any(|known| known.failure.is_some()) {
            // compare gives up at a failure; what the other ways have shown by then stands
            return;
        }
        let samples: Vec<&[Sample]> = self.known.iter().map(|known| &known.seeds[..]).collect();
        let wanted = seeds_wanted(&self.common.workload, &self.common.settings, &samples, self.seeds_wanted);
        if wanted > self.seeds_wanted {
            let from = std::mem::replace(&mut self.seeds_wanted, wanted);
            self.plan_seeds(from);
            return;
        }
        self.exposures_begun = true;
        if self.common.settings.run.exposure_range {
            let ends = 0..EXPOSURES_PERMILLE.len();
            self.todo.extend(ends.flat_map(|end| self.order.iter().map(move |way| Piece::Exposure { end, way: *way })));
        }
    }

    /// What is known of each way, in report order.
    pub fn partials(&self) -> Vec<Partial> {
        if self.is_complete() && self.sound().count() == self.known.len() {
            return self.complete();
        }
        let base = self.partial(0, None);
        let others = self.line_up.wanted.iter().skip(1).map(|way| match self.common.ways.iter().position(|other| other == way) {
            Some(position) => self.partial(position, base.report.as_ref()),
            None => self.inapplicable(*way),
        });
        let others: Vec<Partial> = others.collect();
        std::iter::once(base).chain(others).collect()
    }

    fn inapplicable(&self, way: Way) -> Partial {
        let common = &self.common;
        let report = self.line_up.without_numbers(&common.workload, &common.settings, way, &self.manifest);
        Partial { way, report: Some(report), latency: LatencyHistogram::new(), brief: false, seeds: 0, failure: None }
    }

    /// A way over the seeds that it and the baseline have, or over brief runs. `baseline` is the baseline's own report over all its seeds.
    fn partial(&self, position: usize, baseline: Option<&RunReport>) -> Partial {
        let (own, base) = (&self.known[position], &self.known[0]);
        let way = self.common.ways[position];
        let seeds = own.seeds.len().min(base.seeds.len());
        let (samples, base_samples) = match seeds {
            // glimpses are set beside glimpses: a run twice as long has other caches
            0 if own.brief.is_empty() || base.brief.is_empty() => (&own.glimpse[..], &base.glimpse[..]),
            0 => (&own.brief[..], &base.brief[..]),
            seeds => (&own.seeds[..seeds], &base.seeds[..seeds]),
        };
        let failure = own.failure.clone();
        let empty =
            Partial { way, report: None, latency: LatencyHistogram::new(), brief: seeds == 0, seeds: seeds as u32, failure };
        if samples.is_empty() {
            return empty;
        }
        let common = &self.common;
        let assembled =
            |way, samples: &[Sample]| assemble::report(&common.workload, &common.settings, way, &self.manifest, samples);
        let mut report = assembled(way, samples);
        let of_base;
        let baseline = match baseline {
            _ if position == 0 || base_samples.is_empty() => None,
            Some(report) if report.reps as usize == seeds && seeds > 0 => Some(report),
            _ => {
                of_base = assembled(common.ways[0], base_samples);
                Some(&of_base)
            }
        };
        if position == 0 || baseline.is_some() {
            set_beside(&mut report, samples, baseline, base_samples, &common.settings);
        } else {
            report.why = gain::what_costs_most(&report);
        }
        if seeds == 0 && !self.is_latency_settled(samples) {
            report.latency_us = LatencyMicroseconds::default();
            return Partial { report: Some(report), ..empty };
        }
        Partial { report: Some(report), latency: latency(samples), ..empty }
    }

    /// False of brief runs that end before each connection has had a reply: the first replies of a closed loop have waited for few others.
    fn is_latency_settled(&self, samples: &[Sample]) -> bool {
        let connections = u64::from(self.common.settings.run.connections);
        self.common.workload.program == Program::Sequential || samples.iter().all(|sample| sample.warm_up_replies >= connections)
    }

    /// What the comparison says of each way.
    fn complete(&self) -> Vec<Partial> {
        let reports = self.reports();
        let position = |way: &Way| self.common.ways.iter().position(|other| other == way);
        let of = |(way, report): (&Way, RunReport)| {
            let samples = position(way).map_or(&[][..], |position| &self.known[position].seeds);
            let (latency, seeds) = (latency(samples), samples.len() as u32);
            Partial { way: *way, report: Some(report), latency, brief: false, seeds, failure: None }
        };
        self.line_up.wanted.iter().zip(reports).map(of).collect()
    }

    /// The reports of a comparison over all seeds.
    fn reports(&self) -> Vec<RunReport> {
        let common = &self.common;
        let samples: Vec<&[Sample]> = self.known.iter().map(|known| &known.seeds[..]).collect();
        let rates: Vec<f64> = self.exposed.values().copied().collect();
        let ranges = if rates.is_empty() { Vec::new() } else { compare::ranges(&rates, &samples, &common.settings) };
        self.line_up.reports(&common.workload, &common.settings, &self.manifest, &samples, &ranges)
    }

    /// Remarks on reports of this comparison.
    pub fn notes(&self, reports: &[RunReport]) -> Vec<String> {
        let mut notes = comparison_notes(reports);
        notes.extend(self.line_up.fallback_notes(&self.common.workload, &self.common.settings));
        notes
    }

    /// The whole comparison, once it is complete and nothing has failed.
    pub fn comparison(&self) -> Option<Comparison> {
        let complete = self.is_complete() && self.sound().count() == self.known.len();
        let reports = complete.then(|| self.reports())?;
        let notes = self.notes(&reports);
        Comparison::new(reports, notes)
    }
}

impl Piece {
    /// Position of the way that it is of.
    fn way(self) -> usize {
        match self {
            Piece::Glimpse { way } | Piece::Brief { way } | Piece::Seed { way, .. } | Piece::Exposure { way, .. } => way,
        }
    }
}

impl Known {
    fn keep(&mut self, rep: u32, sample: Sample) {
        self.early.insert(rep, sample);
        while let Some(next) = self.early.remove(&(self.seeds.len() as u32)) {
            self.seeds.push(next);
        }
    }
}

fn latency(samples: &[Sample]) -> LatencyHistogram {
    let mut all = LatencyHistogram::new();
    samples.iter().for_each(|sample| all.merge(&sample.latency));
    all
}
