//! What the anchored model says to the points of a case.

use crate::on_host::OnHostError;
use crate::on_host::anchor::{Anchored, Cost};
use crate::on_host::compared::Counts;
use crate::on_host::points::{Place, Point, points};
use crate::on_host::server::{self, Quantity};
use mechanisms::compare::{ExperimentError, Job};
use sim_core::estimate::{Estimate, paired_ratio};
use sim_core::parallel::{self, Outcome, Sweep};
use std::collections::BTreeMap;
use twins::case::Program;
use twins::{Case, interrupted, parts};

/// Costs and counts of all places of a case, by seed.
#[derive(Clone, Debug, Default)]
pub struct Predictions(BTreeMap<Place, Vec<(Cost, Counts)>>);

/// Simulates all places of a case under the same seeds.
///
/// # Errors
/// A simulation that failed, or an interruption.
pub fn predict(case: &Case, anchored: &Anchored, seeds: u32, job: &Job) -> Result<Predictions, OnHostError> {
    let places = places(case);
    let runs: Vec<(&Place, u64)> = places.iter().flat_map(|place| (1..=u64::from(seeds)).map(move |seed| (place, seed))).collect();
    let observed = all_of(&runs, "simulations", job, |(place, seed)| anchored.observed(case, place, *seed))?;
    let mut costs: BTreeMap<Place, Vec<(Cost, Counts)>> = BTreeMap::new();
    for ((place, _), observed) in runs.into_iter().zip(observed) {
        costs.entry(place.clone()).or_default().push(observed);
    }
    Ok(Predictions(costs))
}

/// Works on all points in parallel; their results in the order of the points.
///
/// # Errors
/// The first point that failed, or an interruption.
pub(super) fn all_of<P: Sync, T: Send>(
    points: &[P],
    what: &str,
    job: &Job,
    work: impl Fn(&P) -> Result<T, OnHostError> + Sync,
) -> Result<Vec<T>, OnHostError> {
    let sweep = Sweep { threads: (job.threads > 0).then_some(job.threads), cancel: job.cancel, progress: job.progress, what };
    let outcomes = parallel::map(points, sweep, |_, point| work(point), |_, _| {})
        .map_err(|error| ExperimentError::Threads { threads: job.threads, cause: error.to_string() })?;
    let result = |outcome| match outcome {
        Outcome::Done(done) => Ok(done),
        Outcome::Failed(error) => Err(error),
        Outcome::Cancelled => Err(ExperimentError::Cancelled.into()),
    };
    outcomes.into_iter().map(result).collect()
}

/// Everything that is simulated of a case. What counters are compared with is among it.
fn places(case: &Case) -> Vec<Place> {
    let mut places: Vec<Place> = points(case).into_iter().flat_map(|point| [simulated(&point.place), point.base]).collect();
    if let Program::Server(own) = &case.program {
        places.extend(server::quantities(own).into_iter().map(|quantity| quantity.1));
    }
    places.sort();
    places.dedup();
    places
}

/// The simulation that a place is read from: of interrupted work, one holds work, call and both.
fn simulated(place: &Place) -> Place {
    match place.series.as_str() {
        interrupted::WORK | interrupted::CALL => Place::new(interrupted::TOTAL, place.x),
        _ => place.clone(),
    }
}

impl Predictions {
    /// A quantity of a server, over the seeds.
    pub fn quantity(&self, quantity: Quantity, place: &Place, anchored: &Anchored) -> Option<Estimate> {
        let read = |cost: &Cost| match quantity {
            Quantity::ProcessorTime => anchored.nanoseconds(cost.total),
            Quantity::Calls => cost.calls,
        };
        Some(Estimate::of(&self.0.get(place)?.iter().map(|own| read(&own.0)).collect::<Vec<f64>>()))
    }

    /// What the model's counters say of a place, over the seeds; nothing when it was not simulated.
    pub fn counts(&self, place: &Place, read: impl Fn(&Counts) -> f64) -> Option<Estimate> {
        Some(Estimate::of(&self.0.get(place)?.iter().map(|own| read(&own.1)).collect::<Vec<f64>>()))
    }

    /// A point's ratio to its base, paired over the seeds.
    pub fn ratio(&self, point: &Point) -> Option<Estimate> {
        let read: fn(&Cost) -> f64 = match point.place.series.as_str() {
            interrupted::WORK => |cost: &Cost| cost.user,
            interrupted::CALL => |cost: &Cost| cost.total - cost.user,
            _ => |cost: &Cost| cost.total,
        };
        // a run of user work alone ends with one call, which is not its own
        let read_base = if point.base.series == parts::USER { |cost: &Cost| cost.user } else { read };
        let of =
            |place: &Place, read: fn(&Cost) -> f64| Some(self.0.get(place)?.iter().map(|own| read(&own.0)).collect::<Vec<f64>>());
        Some(paired_ratio(&of(&simulated(&point.place), read)?, &of(&point.base, read_base)?))
    }
}

#[cfg(test)]
impl Predictions {
    /// Counts from a list.
    pub fn of_counts(list: &[(Place, Counts)]) -> Predictions {
        let cost = Cost { total: 1.0, user: 1.0, calls: 1.0 };
        Predictions(list.iter().map(|(place, counts)| (place.clone(), vec![(cost, *counts)])).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_that_is_counted_is_simulated_anyway() {
        for case in twins::case::cases().unwrap() {
            let simulated = places(&case);
            for (series, x) in twins::counted::places(&case) {
                let place = Place::new(series, x);
                assert!(simulated.contains(&place), "{}: {place:?}", case.name);
            }
        }
    }
}
