//! Sweeps over connections, and what papers read off them.

use crate::lab::{Lab, Stop};
use crate::server_run::{Measured, ServerRun, change_percent, estimate};
use mechanisms::variants::Way;
use sim_core::estimate::Estimate;
use std::sync::Arc;

/// One point of a sweep: both ways of issuing calls under the same seeds.
pub struct Point {
    /// Client connections.
    pub connections: u32,
    /// Synchronous calls.
    pub base: Arc<Vec<Measured>>,
    /// The other way.
    pub own: Arc<Vec<Measured>>,
}

impl Point {
    /// Throughput gain in percent.
    pub fn gain(&self) -> Estimate {
        change_percent(&self.own, &self.base, |run| run.throughput_rps)
    }

    /// Change of the mean latency in percent.
    pub fn latency_change(&self) -> Estimate {
        change_percent(&self.own, &self.base, |run| run.latency_mean_us)
    }
}

/// From this share of its time on, a link or a client machine hides what the server saves.
const SATURATED: f64 = 0.95;

/// What besides the server limits a point, in words to follow a sentence; nothing when only the server does.
pub fn limits(point: &Point) -> String {
    let mut text = String::new();
    for (way, runs) in [("synchronous", &point.base), ("the other way", &point.own)] {
        for (what, busy) in
            [("link", estimate(runs, |run| run.link_busy)), ("client machine", estimate(runs, |run| run.client_busy))]
        {
            if busy.mean >= SATURATED {
                text.push_str(&format!("; {way}: the {what} is {:.0} % busy", busy.mean * 100.0));
            }
        }
    }
    text
}

/// Powers of two up to `last`.
pub fn powers_of_two(last: u32) -> impl Iterator<Item = u32> {
    (0..=last.ilog2()).map(|power| 1 << power)
}

/// Runs `way` beside synchronous calls at each number of connections, one seed each: what is read off a sweep is looked at again with
/// all seeds ([`refined`]).
///
/// # Errors
/// As [`Lab::ask`].
pub fn sweep(lab: &Lab, run: &ServerRun, way: Way, connections: impl Iterator<Item = u32>) -> Result<Vec<Point>, Stop> {
    let asked: Vec<_> = connections.map(|connections| pair(lab, &run.clone().reps(1), way, connections)).collect();
    asked.into_iter().collect()
}

/// Runs `way` beside synchronous calls at one number of connections.
///
/// # Errors
/// As [`Lab::ask`].
pub fn pair(lab: &Lab, run: &ServerRun, way: Way, connections: u32) -> Result<Point, Stop> {
    let base = run.clone().connections(connections);
    let (own, base) = (lab.ask(&base.clone().way(way)), lab.ask(&base));
    Ok(Point { connections, base: base?, own: own? })
}

/// A sweep with its largest gain looked at with all seeds.
pub struct Refined {
    /// The sweep.
    pub points: Vec<Point>,
    /// The point with the largest gain.
    pub best: Point,
}

/// A sweep, and the point of its largest gain again with all seeds.
///
/// # Errors
/// As [`Lab::ask`].
pub fn refined(lab: &Lab, run: &ServerRun, way: Way, connections: impl Iterator<Item = u32>) -> Result<Refined, Stop> {
    let points = sweep(lab, run, way, connections)?;
    let best = pair(lab, run, way, largest_gain(&points)?.connections)?;
    Ok(Refined { points, best })
}

/// The point with the largest gain.
///
/// # Errors
/// Without points.
pub fn largest_gain(points: &[Point]) -> Result<&Point, Stop> {
    let largest = points.iter().max_by(|left, right| left.gain().mean.total_cmp(&right.gain().mean));
    largest.ok_or_else(|| Stop::failed("a sweep without points"))
}

/// The fewest connections from which on the gain stays above `percent`; `None` when it is not above it at the last point.
pub fn wins_from(points: &[Point], percent: f64) -> Option<u32> {
    points.iter().rev().take_while(|point| point.gain().mean > percent).last().map(|point| point.connections)
}
