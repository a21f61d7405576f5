//! Ways side by side under the same seeds, each with settings and a number of seeds of its own; what is missing is simulated together.

use crate::assemble::{self, rate};
use crate::compare::{self, EXPOSURES_PERMILLE, ExperimentError, Job, Point, set_beside};
use crate::experiment::Settings;
use crate::simulate::Sample;
use crate::variants::Way;
use sim_core::manifest::Manifest;
use sim_core::report::{ExposureRange, RunReport};
use sim_core::workload::Workload;

/// A way, its settings, and what has been simulated of it.
pub(super) struct Entrant {
    pub way: Way,
    /// With the first seed; repetition i runs under seed + i.
    pub settings: Settings,
    /// Seeds to simulate in all.
    pub seeds: u32,
    pub samples: Vec<Sample>,
    /// One sample at each end of the exposure of instruction misses, under the first seed.
    pub exposed: Vec<Sample>,
}

impl Entrant {
    /// Nothing is simulated yet.
    pub fn new(way: Way, settings: Settings, seeds: u32) -> Entrant {
        Entrant { way, settings, seeds, samples: Vec::new(), exposed: Vec::new() }
    }

    /// The report of the seeds so far, without what needs the baseline.
    pub fn report(&self, workload: &Workload, manifest: &Manifest) -> RunReport {
        assemble::report(workload, &self.settings, self.way, manifest, &self.samples)
    }

    /// Requests per second under the first seeds over those of another entrant.
    pub fn rates_over(&self, other: &Entrant) -> Vec<f64> {
        let pairs = self.samples.iter().zip(&other.samples);
        pairs.map(|(own, other_sample)| rate(own, &self.settings) / rate(other_sample, &other.settings)).collect()
    }

    fn exposure_range(&self, baseline: &Entrant) -> Option<ExposureRange> {
        let ([low, high], [base_low, base_high]) = (&self.exposed[..], &baseline.exposed[..]) else { return None };
        let at = |own: &Sample, base: &Sample| (rate(own, &self.settings), rate(base, &baseline.settings));
        let ends = [at(low, base_low), at(high, base_high)];
        compare::exposure_range(&self.samples, paired(baseline, self), ends, &self.settings)
    }
}

/// The baseline's samples under the seeds that another entrant has run.
fn paired<'e>(baseline: &'e Entrant, own: &Entrant) -> &'e [Sample] {
    &baseline.samples[..own.samples.len().min(baseline.samples.len())]
}

/// Reports of all entrants, set beside the first one, which is the baseline.
pub(super) fn reports(entrants: &[Entrant], workload: &Workload, manifest: &Manifest) -> Vec<RunReport> {
    let Some(baseline) = entrants.first() else { return Vec::new() };
    let mut reports: Vec<RunReport> = Vec::new();
    for entrant in entrants {
        let mut report = entrant.report(workload, manifest);
        report.exposure_range = entrant.exposure_range(baseline);
        set_beside(&mut report, &entrant.samples, reports.first(), paired(baseline, entrant), &entrant.settings);
        reports.push(report);
    }
    reports
}

/// Simulates the seeds that entrants lack, all of them together: with a few simulations at a time, host threads would wait for each other.
///
/// # Errors
/// A simulation that failed, an interruption.
pub(super) fn complete<'e>(
    workload: &Workload,
    entrants: impl IntoIterator<Item = &'e mut Entrant>,
    job: &Job,
) -> Result<(), ExperimentError> {
    let mut entrants: Vec<&mut Entrant> = entrants.into_iter().collect();
    let points: Vec<Point> = entrants.iter().flat_map(|entrant| missing(entrant)).collect();
    let counts: Vec<usize> = entrants.iter().map(|entrant| missing(entrant).count()).collect();
    let mut samples = compare::simulate_all(workload, &points, job)?.into_iter();
    for (entrant, count) in entrants.iter_mut().zip(counts) {
        entrant.samples.extend(samples.by_ref().take(count));
    }
    Ok(())
}

fn missing(entrant: &Entrant) -> impl Iterator<Item = Point<'_>> {
    let seeds = entrant.samples.len() as u32..entrant.seeds;
    seeds.map(|rep| Point {
        settings: &entrant.settings,
        way: entrant.way,
        seed: entrant.settings.run.seed.wrapping_add(u64::from(rep)),
        exposure_permille: None,
    })
}

/// Simulates both ends of the exposure for entrants that lack them.
///
/// # Errors
/// As [`complete`].
pub(super) fn expose<'e>(
    workload: &Workload,
    entrants: impl IntoIterator<Item = &'e mut Entrant>,
    job: &Job,
) -> Result<(), ExperimentError> {
    let mut lacking: Vec<&mut Entrant> = entrants.into_iter().filter(|entrant| entrant.exposed.is_empty()).collect();
    let points = lacking.iter().flat_map(|entrant| {
        let (settings, way) = (&entrant.settings, entrant.way);
        EXPOSURES_PERMILLE.map(|exposure| Point { settings, way, seed: settings.run.seed, exposure_permille: Some(exposure) })
    });
    let mut samples = compare::simulate_all(workload, &points.collect::<Vec<_>>(), job)?.into_iter();
    for entrant in &mut lacking {
        entrant.exposed.extend(samples.by_ref().take(EXPOSURES_PERMILLE.len()));
    }
    Ok(())
}
