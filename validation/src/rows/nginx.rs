//! nginx under ApacheBench (ATC'11, section 6.2.1, figures 7 and 8).

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::rows::sweep::{self, Point, Refined, limits, powers_of_two, wins_from};
use crate::server_run::{EXCEPTION_LESS, Measured, ServerRun, atc11_settings, change_percent};
use os_model::connection::AcceptSharing;
use sim_core::estimate::Estimate;

/// Cores of figures 7 and 8.
pub const CORES: [u32; 2] = [1, 2];
/// Connections of figure 8.
pub const CONNECTIONS: u32 = 256;
/// Connections of figure 7 at most.
pub const MOST_CONNECTIONS: u32 = 256;
/// A gain or a change of latency below this cannot be told from none in the paper's figures.
const VISIBLE_PERCENT: f64 = 5.0;

/// The server of section 6.2.1: several workers as nginx had them then, with a lock around accepting (`accept_mutex`, on by default
/// before nginx 1.11.3, with `accept_mutex_delay` 500 ms). The paper names no other configuration than one worker a core.
///
/// # Errors
/// When a preset does not exist.
pub fn server() -> Result<ServerRun, Stop> {
    Ok(ServerRun::new("nginx-ab", atc11_settings()?).set(|settings| settings.mechanism.sync.accept = AcceptSharing::Mutex))
}

/// Figure 7 for one number of cores.
///
/// # Errors
/// As [`Lab::ask`].
pub fn figure_7(lab: &Lab, cores: u32) -> Result<Refined, Stop> {
    sweep::refined(lab, &server()?.cores(cores), EXCEPTION_LESS, powers_of_two(MOST_CONNECTIONS))
}

/// Figure 8 for one number of cores.
///
/// # Errors
/// As [`Lab::ask`].
pub fn figure_8(lab: &Lab, cores: u32) -> Result<Point, Stop> {
    sweep::pair(lab, &server()?.cores(cores), EXCEPTION_LESS, CONNECTIONS)
}

/// A13 to A19.
///
/// # Errors
/// As [`Lab::ask`].
pub fn apache_bench(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    match row.id.as_str() {
        "A13" => Ok(at_256(&figure_8(lab, 1)?, "throughput", Point::gain)),
        "A17" => Ok(at_256(&figure_8(lab, 1)?, "mean latency", Point::latency_change)),
        "A18" => Ok(at_256(&figure_8(lab, 2)?, "mean latency", Point::latency_change)),
        "A14" => consistent(&figure_7(lab, 2)?.points),
        "A15" => Ok(largest(&figure_7(lab, 2)?.best)),
        _ => second_core(lab, row),
    }
}

fn at_256(point: &Point, what: &str, of: fn(&Point) -> Estimate) -> Outcome {
    Outcome::number(of(point), format!("{what} at {CONNECTIONS} connections{}", limits(point)))
}

fn consistent(points: &[Point]) -> Result<Outcome, Stop> {
    let rests_on = format!("connections from which on the gain is at least {VISIBLE_PERCENT} %");
    match wins_from(points, VISIBLE_PERCENT) {
        Some(from) => Ok(Outcome::exact(f64::from(from), rests_on)),
        None => Ok(Outcome::word("never", rests_on)),
    }
}

fn largest(best: &Point) -> Outcome {
    Outcome::number(best.gain(), format!("largest of the sweep, at {} connections{}", best.connections, limits(best)))
}

fn second_core(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let asked = [1, 2].map(|cores| figure_8(lab, cores));
    let [one, two] = asked;
    let (one, two) = (one?, two?);
    let (before, after) = if row.id == "A19-sync" { (&one.base, &two.base) } else { (&one.own, &two.own) };
    let change = change_percent(after, before, |run: &Measured| run.latency_mean_us);
    let word = if change.mean < -VISIBLE_PERCENT { "yes" } else { "no" };
    Ok(Outcome::word(
        word,
        format!("mean latency on two cores against one: {:+.1} %; yes means at least {VISIBLE_PERCENT} % less", change.mean),
    )
    .read_off("mean latency on two cores against one", change.mean, "%"))
}
