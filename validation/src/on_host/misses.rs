//! Events per operation beside the model's counters, by mode: cycles, instructions and misses of each structure. No verdict is passed on
//! them and no share counts them, since processors count other things than the model, and no anchor reads them.

use crate::on_host::compared::{COMPARED, Compared};
use crate::on_host::points::Place;
use crate::on_host::predict::Predictions;
use host::facts::Facts;
use host::perf::{Count, Modes};
use host::statistics::{Summary as Spread, median};
use serde::Serialize;
use sim_core::estimate::Estimate;
use std::collections::{BTreeMap, BTreeSet};
use twins::counted::{self, Outcome};
use twins::{Case, Measurement};

/// One thing at one place in one mode.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissReport {
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// The mode.
    pub mode: Modes,
    /// What.
    pub quantity: &'static str,
    /// Of an operation, over the processes.
    pub measured: Spread,
    /// Interquartile range as a share of the median.
    pub spread: f64,
    /// The model's, with its interval over seeds.
    pub predicted: Estimate,
    /// Predicted / measured; nothing when none were measured.
    pub ratio: Option<f64>,
}

/// What several processes counted of a case.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counted {
    /// By place, mode and event; one value from each process that has one.
    values: BTreeMap<(Place, Modes, Count), Vec<Outcome>>,
}

impl Counted {
    /// Of what processes measured.
    pub fn of(processes: &[Vec<Measurement>]) -> Counted {
        let mut values: BTreeMap<(Place, Modes, Count), Vec<Outcome>> = BTreeMap::new();
        for measurement in processes.iter().flatten() {
            let place = Place::new(measurement.series.clone(), measurement.x);
            for own in &measurement.counts {
                values.entry((place.clone(), own.mode, own.event)).or_default().push(own.outcome.clone());
            }
        }
        Counted { values }
    }

    /// One thing by process.
    fn by_process(&self, compared: &Compared, place: &Place, mode: Modes) -> Vec<f64> {
        let of_event = |event: Count| self.values.get(&(place.clone(), mode, event)).map_or(&[][..], Vec::as_slice);
        let processes = compared.events.iter().map(|event| of_event(*event).len()).min().unwrap_or(0);
        let read = |process: usize| {
            move |event: Count| match of_event(event).get(process) {
                Some(Outcome::PerOperation(value)) => Some(*value),
                _ => None,
            }
        };
        (0..processes).filter_map(|process| compared.measured(read(process))).collect()
    }

    /// Everything that was counted and predicted of a case, and what was counted at some of its places only.
    pub fn report(&self, case: &Case, facts: &Facts, predictions: &Predictions) -> (Vec<MissReport>, Vec<String>) {
        let mut reports = Vec::new();
        for (series, x) in counted::places(case) {
            let place = Place::new(series, x);
            for mode in counted::modes(&place.series) {
                for compared in COMPARED.iter().filter(|compared| compared.applies(facts)) {
                    let measured = Spread::of(&self.by_process(compared, &place, *mode));
                    let predicted = predictions.counts(&place, |counts| counts.mode(*mode).map_or(f64::NAN, compared.model));
                    if let (Some(measured), Some(predicted)) = (measured, predicted) {
                        reports.push(MissReport::of(place.clone(), *mode, compared.name, measured, predicted));
                    }
                }
            }
        }
        (reports, self.refused())
    }

    /// Events that could be counted elsewhere in the case, but not here.
    fn refused(&self) -> Vec<String> {
        let read: BTreeSet<(Modes, Count)> = self
            .values
            .iter()
            .filter(|(_, outcomes)| outcomes.iter().any(is_value))
            .map(|((_, mode, event), _)| (*mode, *event))
            .collect();
        let refused = |((place, mode, event), outcomes): (&(Place, Modes, Count), &Vec<Outcome>)| {
            let Outcome::Missing(why) = outcomes.last()? else { return None };
            let here_only = !outcomes.iter().any(is_value) && read.contains(&(*mode, *event));
            here_only.then(|| format!("{} in {} mode, {} at {}: {why}", event.name(), mode.name(), place.series, place.x))
        };
        self.values.iter().filter_map(refused).collect()
    }
}

fn is_value(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::PerOperation(_))
}

impl MissReport {
    fn of(place: Place, mode: Modes, quantity: &'static str, measured: Spread, predicted: Estimate) -> MissReport {
        let ratio = Some(predicted.mean / measured.median).filter(|ratio| ratio.is_finite());
        MissReport { place, mode, quantity, spread: measured.spread(), measured, predicted, ratio }
    }
}

/// Fewer in an operation than this are left out of the summary: interrupts of the host make as many.
pub const LEAST_PER_OPERATION: f64 = 0.1;

/// How near the model comes to one thing in one mode, over all places of all cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MissSummary {
    /// What.
    pub quantity: &'static str,
    /// Events of the processor.
    pub events: String,
    /// The mode.
    pub mode: Modes,
    /// Places at which at least [`LEAST_PER_OPERATION`] were measured.
    pub places: usize,
    /// Predicted / measured over these places.
    pub ratio_median: f64,
    /// First quartile.
    pub ratio_lower_quartile: f64,
    /// Third quartile.
    pub ratio_upper_quartile: f64,
}

/// Sums up reports; things that were measured nowhere are left out.
pub fn summary<'a>(reports: impl Iterator<Item = &'a MissReport> + Clone) -> Vec<MissSummary> {
    let one = |compared: &Compared, mode: Modes| {
        let own = reports.clone().filter(|own| own.quantity == compared.name && own.mode == mode);
        let ratios: Vec<f64> = own.filter(|own| own.measured.median >= LEAST_PER_OPERATION).filter_map(|own| own.ratio).collect();
        let spread = Spread::of(&ratios)?;
        Some(MissSummary {
            quantity: compared.name,
            events: compared.events(),
            mode,
            places: spread.n,
            ratio_median: median(&ratios),
            ratio_lower_quartile: spread.lower_quartile,
            ratio_upper_quartile: spread.upper_quartile,
        })
    };
    COMPARED
        .iter()
        .flat_map(|compared| [Modes::User, Modes::Kernel].into_iter().filter_map(|mode| one(compared, mode)).collect::<Vec<_>>())
        .collect()
}

/// What could not be counted anywhere, in words. Nothing when nothing was asked for, which [`counts_anything`] tells apart.
pub fn missing<'a>(processes: impl Iterator<Item = &'a Vec<Measurement>> + Clone) -> Vec<(String, String)> {
    let all = || processes.clone().flatten().flat_map(|measurement| &measurement.counts);
    let read: BTreeSet<(Count, Modes)> = all().filter(|own| is_value(&own.outcome)).map(|own| (own.event, own.mode)).collect();
    let mut absent: BTreeMap<(Count, Modes), String> = BTreeMap::new();
    for own in all() {
        if let Outcome::Missing(why) = &own.outcome
            && !read.contains(&(own.event, own.mode))
        {
            absent.entry((own.event, own.mode)).or_insert_with(|| why.clone());
        }
    }
    let list: Vec<(Count, Modes, String)> = absent.into_iter().map(|((event, mode), why)| (event, mode, why)).collect();
    counted::absent_in_words(&list)
}

/// True when any event was counted.
pub fn counts_anything<'a>(mut processes: impl Iterator<Item = &'a Vec<Measurement>>) -> bool {
    processes.any(|process| process.iter().any(|own| own.counts.iter().any(|own| is_value(&own.outcome))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_host::compared::Counts;
    use cpu_model::Structure;
    use sim_core::ids::Mode;
    use twins::counted::Counted as One;

    fn facts(vendor: &str, family: u32) -> Facts {
        Facts { vendor: vendor.into(), family, ..Facts::default() }
    }

    /// One process that counted these events at a place of interrupted work.
    fn process(mode: Modes, values: &[(Count, Option<f64>)]) -> Vec<Measurement> {
        let outcome = |value: &Option<f64>| value.map_or_else(|| Outcome::Missing("not here".into()), Outcome::PerOperation);
        let counts = values.iter().map(|(event, value)| One { event: *event, mode, outcome: outcome(value) }).collect();
        vec![Measurement { series: "work and call".into(), x: 500, nanoseconds: 1.0, calls: 1.0, counts }]
    }

    fn place() -> Place {
        Place::new("work and call", 500)
    }

    fn case() -> Case {
        twins::case::find("interrupted-null-mix").unwrap()
    }

    fn report(processes: &[Vec<Measurement>], facts: &Facts, counts: Counts) -> Vec<MissReport> {
        Counted::of(processes).report(&case(), facts, &Predictions::of_counts(&[(place(), counts)])).0
    }

    #[test]
    fn sums_need_their_events_and_take_what_else_there_is() {
        let mut counts = Counts::default();
        let user = &mut counts.0[Mode::User.index()];
        (user.cycles, user.instructions, user.walks) = (300.0, 200.0, 4.0);
        let both = process(
            Modes::User,
            &[(Count::DtlbMisses, Some(3.0)), (Count::ItlbMisses, Some(1.0)), (Count::DtlbStoreMisses, Some(1.0))],
        );
        let without =
            process(Modes::User, &[(Count::DtlbMisses, Some(3.0)), (Count::ItlbMisses, Some(1.0)), (Count::DtlbStoreMisses, None)]);
        let walks = |process| report(&[process], &facts("GenuineIntel", 6), counts).remove(0);
        let (with_stores, without) = (walks(both), walks(without));
        assert_eq!((with_stores.quantity, with_stores.measured.median, with_stores.ratio), ("page_walks", 5.0, Some(0.8)));
        assert_eq!((without.measured.median, without.ratio), (4.0, Some(1.0)));
        let half = process(Modes::User, &[(Count::DtlbMisses, Some(3.0)), (Count::ItlbMisses, None)]);
        assert!(report(&[half], &facts("GenuineIntel", 6), counts).is_empty());
        let cycles = [process(Modes::User, &[(Count::Cycles, Some(400.0)), (Count::Instructions, Some(200.0))])];
        let found = report(&cycles, &facts("GenuineIntel", 6), counts);
        let ratios: Vec<_> = found.iter().map(|own| (own.quantity, own.measured.median, own.ratio)).collect();
        assert_eq!(ratios, [("cpi", 2.0, Some(0.75)), ("cycles", 400.0, Some(0.75)), ("instructions", 200.0, Some(1.0))]);
    }

    #[test]
    fn one_event_is_another_structure_on_another_processor() {
        let mut counts = Counts::default();
        let misses = &mut counts.0[Mode::Kernel.index()].misses;
        (misses[Structure::L2.index()], misses[Structure::L3.index()]) = (6.0, 2.0);
        let of = |facts: Facts| {
            let found = report(&[process(Modes::Kernel, &[(Count::CacheMisses, Some(4.0))])], &facts, counts);
            found.iter().map(|own| (own.quantity, own.ratio)).collect::<Vec<_>>()
        };
        assert_eq!(of(facts("AuthenticAMD", 25)), [("l2_misses", Some(1.5))]);
        assert_eq!(of(facts("AuthenticAMD", 0x15)), [("l3_misses", Some(0.5))]);
        assert_eq!(of(facts("GenuineIntel", 6)), [("l3_misses", Some(0.5))]);
    }

    #[test]
    fn what_could_be_counted_nowhere_is_said_once_and_what_could_not_here_at_its_place() {
        let mut here =
            process(Modes::User, &[(Count::Cycles, Some(1.0)), (Count::L1dMisses, Some(1.0)), (Count::LastLevelMisses, None)]);
        let mut there =
            process(Modes::User, &[(Count::Cycles, Some(1.0)), (Count::L1dMisses, None), (Count::LastLevelMisses, None)]);
        there[0].x = 20_000;
        here.append(&mut there);
        let processes = [here];
        let nowhere = missing(processes.iter());
        assert_eq!(nowhere, [(format!("{}: LLC-load-misses in user mode", counted::MISSES), "not here".to_owned())]);
        let notes = Counted::of(&processes).refused();
        assert_eq!(notes, ["L1-dcache-load-misses in user mode, work and call at 20000: not here"]);
        assert!(counts_anything(processes.iter()) && !counts_anything([process(Modes::User, &[])].iter()));
        assert!(missing([process(Modes::User, &[])].iter()).is_empty());
    }

    #[test]
    fn the_summary_leaves_out_what_hardly_happens() {
        let one = |measured: f64, predicted: f64| {
            MissReport::of(place(), Modes::User, "l1d_misses", Spread::of(&[measured]).unwrap(), Estimate::exact(predicted, 1))
        };
        let reports = [one(10.0, 5.0), one(10.0, 20.0), one(10.0, 10.0), one(0.01, 9.0), one(0.0, 0.0)];
        let all = summary(reports.iter());
        assert_eq!((all.len(), all[0].places, all[0].ratio_median), (1, 3, 1.0));
        assert_eq!((all[0].ratio_lower_quartile, all[0].ratio_upper_quartile), (0.75, 1.5));
        assert_eq!(reports[4].ratio, None);
        assert!(summary([].iter()).is_empty());
    }
}
