//! Figure 1 of both papers on exception-less calls: what calls every so many instructions do to a program of SPEC CPU 2006.
//!
//! **The rule of the losses.** The published direct loss is that of a null call, and it contains what forced the call (an exception of a
//! performance counter), which the model has not. So what is graded is the total less the direct loss: the published direct loss is
//! taken as given, the model's indirect cycles of an event are added to it, and the loss that results stands beside the published
//! total:
//!
//! ```text
//! loss = 1 - C0 / (C0 / (1 - direct) + indirect)
//! ```
//!
//! `C0` are the user cycles from call to call without calls, `indirect` the user cycles that `pwrite` costs more than the null call, both
//! the model's. Its own direct loss stands beside the published one in rows that are not graded.

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::{self, Row};
use crate::server_run::{Measured, ServerRun, atc11_settings, estimate};
use sim_core::estimate::Estimate;
use sim_core::ids::Mode;
use std::sync::Arc;

/// Instructions from call to call at which losses are published.
pub const PUBLISHED: [u64; 4] = [1_000, 5_000, 20_000, 100_000];
/// Those of the curves: the published ones and some between them.
pub const INTERVALS: [u64; 8] = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000];

/// The program under calls every `interval` instructions, and alone; one run per seed in each list.
pub struct Point {
    /// User instructions from call to call.
    pub interval: u64,
    alone: Arc<Vec<Measured>>,
    null: Arc<Vec<Measured>>,
    call: Arc<Vec<Measured>>,
}

impl Point {
    fn by_seed(&self, of: impl Fn(f64, f64, f64) -> f64) -> Estimate {
        let cycles = |run: &Measured| self.interval as f64 * run.cpi(Mode::User);
        let seeds = self.alone.iter().zip(self.null.iter()).zip(self.call.iter());
        let values: Vec<f64> = seeds.map(|((alone, null), call)| of(cycles(alone), cycles(null), cycles(call))).collect();
        Estimate::of(&values)
    }

    /// The model's own loss with a null call, percent.
    pub fn direct_loss(&self) -> Estimate {
        self.by_seed(|alone, null, _| 100.0 * (1.0 - alone / null))
    }

    /// The model's own loss with `pwrite`, percent.
    pub fn own_total_loss(&self) -> Estimate {
        self.by_seed(|alone, _, call| 100.0 * (1.0 - alone / call))
    }

    /// User cycles that a `pwrite` costs more than a null call.
    pub fn indirect_cycles(&self) -> Estimate {
        self.by_seed(|_, null, call| call - null)
    }

    /// The model's indirect cycles on top of a given direct loss: total loss, percent.
    pub fn total_loss(&self, direct_percent: f64) -> Estimate {
        self.by_seed(|alone, null, call| 100.0 * (1.0 - alone / (alone / (1.0 - direct_percent / 100.0) + call - null)))
    }

    /// User IPC that is left of it.
    fn left(&self, direct_percent: f64) -> Estimate {
        let interval = self.interval as f64;
        self.by_seed(|alone, null, call| interval / (alone / (1.0 - direct_percent / 100.0) + call - null))
    }
}

/// Whether a fetch brings the next line into the first-level instruction cache. Nobody published it for the machine, and of all guesses
/// of its description it moves these rows most.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NextLine {
    /// As the machine's description says.
    AsDescribed,
    /// The other way round.
    Reversed,
}

fn program(name: &str, next_line: NextLine) -> Result<ServerRun, Stop> {
    let run = ServerRun::new(name, atc11_settings()?);
    Ok(run.set(|settings| settings.machine.prefetch.instruction_next_line ^= next_line == NextLine::Reversed))
}

/// The program alone and interrupted.
///
/// # Errors
/// As [`Lab::ask`].
pub fn point(lab: &Lab, interval: u64) -> Result<Point, Stop> {
    point_with(lab, interval, NextLine::AsDescribed)
}

fn point_with(lab: &Lab, interval: u64, next_line: NextLine) -> Result<Point, Stop> {
    let names = ["xalan".to_owned(), format!("xalan-null:{interval}"), format!("xalan-pwrite:{interval}")];
    let runs: Vec<ServerRun> = names.iter().map(|name| program(name, next_line)).collect::<Result<_, _>>()?;
    let answers = <[_; 3]>::try_from(lab.ask_all(&runs)?);
    let [alone, null, call] = answers.map_err(|_| Stop::failed("an experiment without an answer"))?;
    Ok(Point { interval, alone, null, call })
}

fn points(lab: &Lab, intervals: &[u64]) -> Result<Vec<Point>, Stop> {
    let asked: Vec<Result<Point, Stop>> = intervals.iter().map(|interval| point(lab, *interval)).collect();
    asked.into_iter().collect()
}

/// Figure 1: all points of the curves.
///
/// # Errors
/// As [`Lab::ask`].
pub fn figure_1(lab: &Lab) -> Result<Vec<Point>, Stop> {
    points(lab, &INTERVALS)
}

/// A01: IPC alone.
///
/// # Errors
/// As [`Lab::ask`].
pub fn alone(lab: &Lab, _: &Row) -> Result<Outcome, Stop> {
    let runs = lab.ask(&program("xalan", NextLine::AsDescribed)?)?;
    Ok(Outcome::number(estimate(&runs, |run| run.ipc(Mode::User)), "user instructions per user cycle; fits the program's base CPI"))
}

/// A02: IPC under calls every 1,000 to 2,000 instructions.
///
/// # Errors
/// As [`Lab::ask`].
pub fn interrupted(lab: &Lab, _: &Row) -> Result<Outcome, Stop> {
    let points = points(lab, &[1_000, 2_000])?;
    let left = points.iter().map(|point| Ok(point.left(direct(point)?))).collect::<Result<Vec<Estimate>, Stop>>()?;
    let ends: Vec<f64> = left.iter().map(|estimate| estimate.mean).collect();
    let mean = |of: fn(&Estimate) -> f64| left.iter().map(of).sum::<f64>() / left.len() as f64;
    let value = Estimate { mean: mean(|one| one.mean), low: mean(|one| one.low), high: mean(|one| one.high), n: left[0].n };
    let rests_on = "mean of 1,000 and 2,000 instructions; the published direct cycles of an event (of 1,000 and 5,000, interpolated) and \
                    the model's indirect ones";
    Ok(Outcome::number(value, rests_on).over("the interval, 1,000 to 2,000 instructions", &ends))
}

/// FX-*-total, over what the instruction prefetcher does.
///
/// # Errors
/// As [`Lab::ask`].
pub fn total(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let interval = interval_of(row)?;
    let [point, reversed] = [NextLine::AsDescribed, NextLine::Reversed].map(|next_line| point_with(lab, interval, next_line));
    let (point, reversed) = (point?, reversed?);
    let direct = published_direct(row_of(interval))?;
    let cycles = point.indirect_cycles().mean;
    let own = point.own_total_loss().mean;
    let rests_on = format!("the published direct loss and {cycles:.0} indirect cycles of the model; its own total is {own:.1} %");
    let freedom = "next-line prefetch of instructions, which is not published, on or off";
    Ok(Outcome::number(point.total_loss(direct), rests_on).over(freedom, &[reversed.total_loss(direct).mean]))
}

/// FX-*-direct.
///
/// # Errors
/// As [`Lab::ask`].
pub fn direct_loss(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let point = point(lab, interval_of(row)?)?;
    Ok(Outcome::number(point.direct_loss(), "a null call of the program's own; the published one is forced by an exception"))
}

/// A03 and A04: which part is larger.
///
/// # Errors
/// As [`Lab::ask`].
pub fn dominant(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    let intervals: &[u64] = if row.id == "A03" { &[1_000, 2_000] } else { &[5_000, 20_000, 100_000] };
    let mut larger = Vec::new();
    for point in points(lab, intervals)? {
        let direct = direct(&point)?;
        let indirect = point.total_loss(direct).mean - direct;
        larger.push(if indirect > direct { "indirect" } else { "direct" });
    }
    let each: Vec<String> = intervals.iter().zip(&larger).map(|(interval, word)| format!("{word} at {interval}")).collect();
    let all = larger.iter().all(|word| *word == larger[0]);
    let word = if all { larger[0].to_owned() } else { each.join(", ") };
    Ok(Outcome::word(word, format!("the published direct loss beside the model's indirect one: {}", each.join(", "))))
}

/// `FX-5K-total` is about 5,000 instructions.
fn interval_of(row: &Row) -> Result<u64, Stop> {
    let thousands = row.id.split('-').nth(1).and_then(|part| part.strip_suffix('K')).and_then(|number| number.parse::<u64>().ok());
    thousands.map(|thousands| thousands * 1000).ok_or_else(|| Stop::failed(format!("{}: names no interval", row.id)))
}

fn row_of(interval: u64) -> String {
    format!("FX-{}K-direct", interval / 1000)
}

/// A published direct loss, percent.
fn published_direct(id: String) -> Result<f64, Stop> {
    let rows = published::rows().map_err(|error| Stop::failed(error.to_string()))?;
    let value = rows.iter().find(|row| row.id == id).and_then(|row| row.value.number());
    value.ok_or_else(|| Stop::failed(format!("{id}: no published value")))
}

/// The direct loss of a point in percent, from the published cycles of an event, interpolated between the published intervals.
///
/// # Errors
/// When the published table is damaged.
pub fn direct(point: &Point) -> Result<f64, Stop> {
    let cpi = point.by_seed(|alone, _, _| alone).mean / point.interval as f64;
    let cycles = |interval: u64| -> Result<f64, Stop> {
        let loss = published_direct(row_of(interval))? / 100.0;
        Ok(interval as f64 * cpi * (1.0 / (1.0 - loss) - 1.0))
    };
    let above = PUBLISHED.iter().position(|published| *published >= point.interval).unwrap_or(PUBLISHED.len() - 1).max(1);
    let (low, high) = (PUBLISHED[above - 1], PUBLISHED[above]);
    let share = (point.interval.clamp(low, high) - low) as f64 / (high - low) as f64;
    let event = cycles(low)? * (1.0 - share) + cycles(high)? * share;
    let alone = point.interval as f64 * cpi;
    Ok(100.0 * (1.0 - alone / (alone + event)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> Row {
        published::rows().unwrap().into_iter().find(|row| row.id == id).unwrap()
    }

    #[test]
    fn rows_name_their_interval_and_their_direct_loss() {
        for interval in PUBLISHED {
            assert!(INTERVALS.contains(&interval));
            let id = row_of(interval);
            assert_eq!(interval_of(&row(&id)), Ok(interval));
            assert_eq!(published_direct(id.clone()).ok(), row(&id).value.number());
        }
        assert!(interval_of(&row("A01")).is_err());
    }
}
