//! memcached under memslap (ATC'11, section 6.1, figures 5 and 6).

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::rows::sweep::{self, Point, Refined, powers_of_two, wins_from};
use crate::server_run::{EXCEPTION_LESS, Measured, ServerRun, atc11_settings, change_percent, estimate};
use sim_core::ids::Mode;
use sim_core::stack::{Cause, Component, Domain};

/// Connections of figure 6.
pub const CONNECTIONS: u32 = 768;
/// Cores of figure 5.
pub const CORES: [u32; 3] = [1, 2, 4];
/// Connections of figure 5 at most.
pub const MOST_CONNECTIONS: u32 = 1024;
/// A core that waits less than one cycle in ten is busy.
const BUSY: f64 = 0.9;

/// The server of section 6.1.
///
/// # Errors
/// When a preset does not exist.
pub fn server() -> Result<ServerRun, Stop> {
    Ok(ServerRun::new("memcached-memslap", atc11_settings()?))
}

/// Figure 5 for one number of cores.
///
/// # Errors
/// As [`Lab::ask`].
pub fn figure_5(lab: &Lab, cores: u32) -> Result<Refined, Stop> {
    sweep::refined(lab, &server()?.cores(cores), EXCEPTION_LESS, powers_of_two(MOST_CONNECTIONS))
}

/// A06 and A07.
///
/// # Errors
/// As [`Lab::ask`].
pub fn sweep(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let asked = CORES.map(|cores| figure_5(lab, cores));
    let sweeps: Vec<Refined> = asked.into_iter().collect::<Result<_, _>>()?;
    if row.id == "A06" { wins(&sweeps) } else { Ok(gains(&sweeps)) }
}

/// The sentence in the paper is about all numbers of cores: the last one to win decides.
fn wins(sweeps: &[Refined]) -> Result<Outcome, Stop> {
    let from: Vec<Option<u32>> = sweeps.iter().map(|sweep| wins_from(&sweep.points, 0.0)).collect();
    let word = |from: &Option<u32>| from.map_or("never".to_owned(), |from| from.to_string());
    let each: Vec<String> = CORES.iter().zip(&from).map(|(cores, from)| format!("{} on {cores}", word(from))).collect();
    let rests_on = format!("the last number of cores to win ({})", each.join(", "));
    match from.into_iter().collect::<Option<Vec<u32>>>() {
        Some(all) => Ok(Outcome::exact(f64::from(all.into_iter().max().unwrap_or(0)), rests_on)),
        None => Ok(Outcome::word("never", rests_on)),
    }
}

/// The published range is over the numbers of cores: each must have its largest gain in it.
fn gains(sweeps: &[Refined]) -> Outcome {
    let label = |cores: u32, point: &Point| (format!("{cores} cores, {} connections", point.connections), point.gain());
    let each = CORES.iter().zip(sweeps).map(|(cores, sweep)| label(*cores, &sweep.best)).collect();
    Outcome::each(each, "the largest of each sweep over connections")
}

/// A09 to A12.
///
/// # Errors
/// As [`Lab::ask`].
pub fn counters(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let asked = [1, 4].map(|cores| sweep::pair(lab, &server()?.cores(cores), EXCEPTION_LESS, CONNECTIONS));
    let [one, four] = asked;
    let (one, four) = (one?, four?);
    let change = |point: &Point, mode: Mode| change_percent(&point.own, &point.base, |run| run.cpi(mode));
    match row.id.as_str() {
        "A09" => Ok(Outcome::number(change(&one, Mode::User), "user CPI, the mechanism's user work included")),
        "A10" => Ok(Outcome::number(change(&four, Mode::User), "user CPI, the mechanism's user work included")),
        "A11" => {
            let changes = [change(&one, Mode::Kernel).mean, change(&four, Mode::Kernel).mean];
            let word = if changes.iter().all(|change| *change < 0.0) { "lower" } else { "not lower" };
            Ok(Outcome::word(word, format!("{:+.1} % on 1 core, {:+.1} % on 4", changes[0], changes[1])).read_off(
                "the larger change of kernel CPI",
                changes[0].max(changes[1]),
                "%",
            ))
        }
        _ => Ok(largest_source(&one, &four)),
    }
}

/// Sources of a gain that hardware counters tell apart, and the parts of the cycle stack that are theirs: a line that a structure lacks
/// is paid for where it is found.
const SOURCES: [(&str, &[Cause]); 5] = [
    ("L1 instruction and data misses", &[Cause::FetchL2, Cause::DataL2]),
    ("L2 misses", &[Cause::FetchL3, Cause::DataL3, Cause::Transfer]),
    ("L3 misses", &[Cause::FetchMemory, Cause::DataMemory]),
    ("TLB misses", &[Cause::TlbInstruction, Cause::TlbData]),
    ("branch mispredictions", &[Cause::Branch]),
];

/// Stall cycles per request that a source costs, the mechanism's own work included.
fn stalls(run: &Measured, causes: &[Cause]) -> f64 {
    let parts = Domain::ALL.into_iter().flat_map(|domain| causes.iter().map(move |cause| Component::Work(domain, *cause)));
    parts.map(|component| run.cycles_per_request(component)).sum()
}

/// Which structure's misses cost that much less, on one core and on four.
fn largest_source(one: &Point, four: &Point) -> Outcome {
    let saved = |causes: &[Cause]| -> f64 {
        let at = |point: &Point| {
            estimate(&point.base, |run| stalls(run, causes)).mean - estimate(&point.own, |run| stalls(run, causes)).mean
        };
        at(one) + at(four)
    };
    let mut sources: Vec<(&str, f64)> = SOURCES.iter().map(|(name, causes)| (*name, saved(causes))).collect();
    sources.sort_by(|left, right| right.1.total_cmp(&left.1));
    let list: Vec<String> = sources.iter().map(|(name, cycles)| format!("{name} {cycles:+.0}")).collect();
    Outcome::word(sources[0].0, format!("stall cycles saved per request, 1 and 4 cores together: {}", list.join(", "))).read_off(
        "the largest saving less the next",
        sources[0].1 - sources[1].1,
        "stall cycles a request",
    )
}

/// A35: the paper's own wording is that one user thread made enough kernel work for all cores.
///
/// # Errors
/// As [`Lab::ask`].
pub fn one_thread(lab: &Lab, _row: &Row) -> Result<Outcome, Stop> {
    let runs = lab.ask(&server()?.cores(4).connections(CONNECTIONS).way(EXCEPTION_LESS))?;
    let busy: Vec<f64> = (0..4).map(|core| estimate(&runs, |run| run.busy(core)).mean).collect();
    let shares: Vec<String> = busy.iter().map(|share| format!("{:.0} %", share * 100.0)).collect();
    let word = if busy.iter().all(|share| *share >= BUSY) { "yes" } else { "no" };
    Ok(Outcome::word(
        word,
        format!("yes means each core busy {:.0} % of the time or more; they are {}", BUSY * 100.0, shares.join(", ")),
    )
    .read_off("time that the least busy core is busy", busy.iter().copied().fold(1.0, f64::min) * 100.0, "%"))
}
