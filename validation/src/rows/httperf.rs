//! nginx under httperf (ATC'11, section 6.2.2, figures 9 and 10): connections of 20 requests arrive at a rate.

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::server_run::{EXCEPTION_LESS, Measured, ServerRun, atc11_settings, change_percent, difference, estimate, ratio};
use cpu_model::Structure;
use os_model::clients::{Arrival, Spacing};
use os_model::connection::AcceptSharing;
use sim_core::estimate::Estimate;
use sim_core::ids::Mode;
use std::sync::Arc;

/// Requests of a connection.
pub const REQUESTS_PER_CONNECTION: u32 = 20;
/// Connections that the clients may have at the same time. The paper says several thousand; beyond saturation so many have to come
/// before the load is steady, which takes longer than a simulation can. Throughput beyond saturation was the same within 1 % with 128 and
/// with 256 at 50,000 requests a second on one core, under both ways of issuing calls.
pub const MOST_CONNECTIONS: u32 = 128;
/// Measured requests of a run: some fifty connections' worth.
const REQUESTS: u64 = 1000;
/// Wait of a worker for its turn to accept.
const ACCEPT_MUTEX_DELAY_US: f64 = 1000.0;
/// Cores of figures 9 and 10.
pub const CORES: [u32; 2] = [1, 2];
/// Rates of figure 9, requests per second. The paper's text names rates from 20,000 to 60,000.
pub const RATES_RPS: [u32; 7] = [10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 70_000];
/// Rates of figure 10 on one core and on two.
pub const COUNTER_RATES_RPS: [u32; 2] = [40_000, 60_000];
/// A load is satisfied when at least so much of it is answered.
const SATISFIED: f64 = 0.97;

/// One point of figure 9: both ways of issuing calls under the same load and seeds.
pub struct LoadPoint {
    /// Requests per second that are offered.
    pub offered_rps: u32,
    /// Synchronous calls.
    pub base: Arc<Vec<Measured>>,
    /// Exception-less calls.
    pub own: Arc<Vec<Measured>>,
}

impl LoadPoint {
    /// Throughput gain in percent.
    pub fn gain(&self) -> Estimate {
        change_percent(&self.own, &self.base, |run| run.throughput_rps)
    }
}

/// The server of section 6.2.2 under a load.
///
/// # Errors
/// When a preset does not exist.
pub fn server(cores: u32, offered_rps: u32) -> Result<ServerRun, Stop> {
    let mut settings = atc11_settings()?;
    settings.clients.arrival = Arrival::Sessions {
        rate_rps: f64::from(offered_rps),
        requests_per_connection: REQUESTS_PER_CONNECTION,
        spacing: Spacing::Periodic,
    };
    settings.run.cores = cores;
    settings.run.connections = MOST_CONNECTIONS;
    settings.run.requests = REQUESTS;
    // the workers of rows::nginx. A worker that misses the lock while it has no connection sleeps for half a second; in the steady state
    // both have connections and neither sleeps so long, and a short delay gets a simulation there
    settings.mechanism.sync.accept = AcceptSharing::Mutex;
    settings.mechanism.sync.accept_mutex_delay_us = ACCEPT_MUTEX_DELAY_US;
    Ok(ServerRun::new("nginx-httperf", settings))
}

/// Some rates on so many cores.
///
/// # Errors
/// As [`Lab::ask`].
pub fn load_points(lab: &Lab, cores: u32, rates_rps: &[u32]) -> Result<Vec<LoadPoint>, Stop> {
    let runs: Vec<(u32, ServerRun)> =
        rates_rps.iter().map(|rate| Ok((*rate, server(cores, *rate)?))).collect::<Result<_, Stop>>()?;
    let asked: Vec<_> =
        runs.into_iter().map(|(rate, base)| (rate, lab.ask(&base), lab.ask(&base.clone().way(EXCEPTION_LESS)))).collect();
    asked.into_iter().map(|(offered_rps, base, own)| Ok(LoadPoint { offered_rps, base: base?, own: own? })).collect()
}

/// Figure 9 for one number of cores.
///
/// # Errors
/// As [`Lab::ask`].
pub fn figure_9(lab: &Lab, cores: u32) -> Result<Vec<LoadPoint>, Stop> {
    load_points(lab, cores, &RATES_RPS)
}

/// Megabits of files per second: what the axis of figure 9 shows of a throughput. The published sizes leave their mean open, so that
/// 20,000 requests a second are 116 Mb/s with the files of `nginx-httperf`, and another number with others; ratios do not depend on it.
pub fn megabits(run: &Measured) -> f64 {
    run.throughput_rps * traces::published::httperf_mean_file_bytes() * 8.0 / 1e6
}

/// Figure 10 for one number of cores.
///
/// # Errors
/// As [`Lab::ask`].
pub fn figure_10(lab: &Lab, cores: u32) -> Result<LoadPoint, Stop> {
    let rate = if cores == CORES[0] { COUNTER_RATES_RPS[0] } else { COUNTER_RATES_RPS[1] };
    load_points(lab, cores, &[rate])?.pop().ok_or_else(|| Stop::failed("no load to count under"))
}

/// Where a throughput curve stops to follow the load: the level at which it stays, the mean over the loads that are not satisfied. The
/// load that is just satisfied is as high, whatever the distance of the points. `None` when every load is satisfied.
pub fn saturation(curve: &[(u32, &[Measured])]) -> Option<Estimate> {
    let unsatisfied =
        |(offered, runs): &(u32, &[Measured])| estimate(runs, |run| run.throughput_rps).mean < SATISFIED * f64::from(*offered);
    let first = curve.iter().position(unsatisfied)?;
    let levels = &curve[first..];
    let seeds = levels.iter().map(|(_, runs)| runs.len()).min()?;
    let level = |seed: usize| levels.iter().map(|(_, runs)| runs[seed].throughput_rps).sum::<f64>() / levels.len() as f64;
    Some(Estimate::of(&(0..seeds).map(level).collect::<Vec<_>>()))
}

/// A20 to A25.
///
/// # Errors
/// As [`Lab::ask`].
pub fn throughput(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    match row.id.as_str() {
        "A20" => saturates(&figure_9(lab, 1)?, |point| &point.base),
        "A21" => saturates(&figure_9(lab, 1)?, |point| &point.own),
        "A22" => {
            let point = load_points(lab, 1, &[50_000])?;
            Ok(Outcome::number(point[0].gain(), "at 50,000 requests/s offered"))
        }
        "A23" => saturates(&figure_9(lab, 2)?, |point| &point.base),
        "A24" => saturates(&figure_9(lab, 2)?, |point| &point.own),
        _ => largest(&figure_9(lab, 2)?),
    }
}

fn saturates(points: &[LoadPoint], of: fn(&LoadPoint) -> &Arc<Vec<Measured>>) -> Result<Outcome, Stop> {
    let curve: Vec<(u32, &[Measured])> = points.iter().map(|point| (point.offered_rps, of(point).as_slice())).collect();
    match saturation(&curve) {
        Some(level) => Ok(Outcome::number(
            level,
            format!("mean throughput of the offered rates of which less than {} % is answered", SATISFIED * 100.0),
        )),
        None => {
            let last = points.last().map_or(0, |point| point.offered_rps);
            Ok(Outcome::exact(f64::from(last), "the highest rate offered, and it is satisfied: saturation lies above"))
        }
    }
}

fn largest(points: &[LoadPoint]) -> Result<Outcome, Stop> {
    let best = points.iter().max_by(|left, right| left.gain().mean.total_cmp(&right.gain().mean));
    let best = best.ok_or_else(|| Stop::failed("a figure without points"))?;
    Ok(Outcome::number(best.gain(), format!("largest of the offered rates, at {}", best.offered_rps)))
}

/// A26 to A31.
///
/// # Errors
/// As [`Lab::ask`].
pub fn counters(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let asked = CORES.map(|cores| figure_10(lab, cores));
    let [one, two] = asked;
    let (one, two) = (one?, two?);
    let ipc = |point: &LoadPoint, mode: Mode| ratio(&point.own, &point.base, |run| run.ipc(mode));
    let own_work = "the mechanism's own work included";
    Ok(match row.id.as_str() {
        "A26-1" => Outcome::number(ipc(&one, Mode::User), own_work),
        "A26-2" => Outcome::number(ipc(&two, Mode::User), own_work),
        "A27-1" => Outcome::number(ipc(&one, Mode::Kernel), own_work),
        "A27-2" => Outcome::number(ipc(&two, Mode::Kernel), own_work),
        "A28-i" => misses(&one, &two, Structure::L1i),
        "A28-d" => misses(&one, &two, Structure::L1d),
        "A29" => misses(&one, &two, Structure::L2),
        "A30" => {
            let change = difference(&one.own, &one.base, |run| run.mpki(Structure::L3, Mode::Kernel));
            Outcome::number(change, "one core, 40,000 requests/s offered")
        }
        _ => {
            let first_level = |run: &Measured| run.mpki(Structure::Itlb, Mode::User) + run.mpki(Structure::Dtlb, Mode::User);
            Outcome::number(difference(&two.own, &two.base, first_level), "first-level misses for instructions and data together")
        }
    })
}

/// Misses per instruction of a structure, both modes together, against synchronous calls.
fn misses(one: &LoadPoint, two: &LoadPoint, structure: Structure) -> Outcome {
    let of = |point: &LoadPoint| ratio(&point.own, &point.base, |run| run.mpki_both(structure));
    let values = vec![("1 core".to_owned(), of(one)), ("2 cores".to_owned(), of(two))];
    Outcome::each(values, "misses per instruction of both modes together, at the rates of figure 10")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu_model::Counters;
    use sim_core::stack::CycleStack;

    fn measured_throughput(throughput_rps: f64) -> Measured {
        Measured {
            throughput_rps,
            latency_mean_us: 0.0,
            latency_p99_us: 0.0,
            replies: 1,
            window_cycles: 1,
            counters: Counters::default(),
            stack: CycleStack::default(),
            stacks: Vec::new(),
            calls: 0,
            crossings: 0,
            context_switches: 0,
            batch_mean: 0.0,
            link_busy: 0.0,
            client_busy: 0.0,
            refused_arrivals: 0,
            dropped_packets: 0,
            occurrences: Vec::new(),
        }
    }

    fn curve(points: &[(u32, f64)]) -> Vec<(u32, Vec<Measured>)> {
        points.iter().map(|(offered, answered)| (*offered, vec![measured_throughput(*answered)])).collect()
    }

    fn level(points: &[(u32, f64)]) -> Option<f64> {
        let curve = curve(points);
        let seen: Vec<(u32, &[Measured])> = curve.iter().map(|(offered, runs)| (*offered, runs.as_slice())).collect();
        saturation(&seen).map(|level| level.mean)
    }

    #[test]
    fn saturation_is_the_level_at_which_a_curve_stays() {
        assert_eq!(level(&[(10_000, 10_010.0), (20_000, 18_000.0), (30_000, 18_400.0)]), Some(18_200.0));
        assert_eq!(level(&[(10_000, 9_800.0), (20_000, 19_700.0)]), None, "97 % and more is satisfied");
        assert_eq!(level(&[(10_000, 4_000.0)]), Some(4_000.0));
    }
}
