//! The points of a case: which curves it has, and what each point is a ratio to.

use crate::on_host::server;
use serde::Serialize;
use twins::case::{Interruption, Program};
use twins::{Case, connections, datagrams, hook, interrupted, parts, read_loop, servers};

/// A place on a curve.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// The curve.
    pub series: String,
    /// Where on it.
    pub x: u32,
}

impl Place {
    /// By name and position.
    pub fn new(series: impl Into<String>, x: u32) -> Place {
        Place { series: series.into(), x }
    }
}

/// A point that is measured and predicted as a ratio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// The point.
    pub place: Place,
    /// What it is a ratio to.
    pub base: Place,
}

/// All points of a case.
pub fn points(case: &Case) -> Vec<Point> {
    let point = |series: &str, x: u32, base: Place| Point { place: Place::new(series, x), base };
    match &case.program {
        Program::ReadLoop(own) => {
            let base = || Place::new(read_loop::SYNCHRONOUS, 1);
            let of_way = |way: &twins::case::Way| {
                let name = way.name();
                own.batches.iter().map(move |batch| point(name, *batch, base())).collect::<Vec<_>>()
            };
            own.ways.iter().flat_map(of_way).collect()
        }
        Program::Datagrams(own) => {
            let base = || Place::new(datagrams::SYNCHRONOUS, 1);
            let of_way = |way: &twins::case::Way| {
                let name = way.name();
                own.batches.iter().map(move |batch| point(name, *batch, base())).collect::<Vec<_>>()
            };
            own.ways.iter().flat_map(of_way).collect()
        }
        Program::Connections(own) => {
            let of_way = |way: &twins::case::Way| {
                let name = way.name();
                let base = |connections: u32| Place::new(connections::SYNCHRONOUS, connections);
                own.connections.iter().map(move |count| point(name, *count, base(*count))).collect::<Vec<_>>()
            };
            own.ways.iter().flat_map(of_way).collect()
        }
        Program::Server(own) => {
            let kept = own.connections.iter().map(|count| point(servers::KEPT, *count, server::kept(1)));
            let once = own.once.iter().map(|count| point(servers::ONCE, *count, server::kept(*count)));
            kept.chain(once).collect()
        }
        Program::Hook(own) => {
            let round = |burst: &u32| point(hook::HOOK, *burst, Place::new(hook::SERVER, *burst));
            let dropped = point(hook::DROPPED, 1, Place::new(parts::call(datagrams::SEND), 1));
            own.bursts.iter().map(round).chain([dropped]).collect()
        }
        Program::Interrupted(own) => {
            let series = [interrupted::TOTAL, interrupted::WORK, interrupted::CALL];
            let base = |series: &str, interval: u32| match series {
                interrupted::CALL => hot_call(own.call),
                _ => Place::new(parts::USER, interval),
            };
            series.iter().flat_map(|name| own.intervals.iter().map(move |n| point(name, *n, base(name, *n)))).collect()
        }
    }
}

/// The call that interrupts, where it follows itself.
pub fn hot_call(call: Interruption) -> Place {
    Place::new(parts::call(call.name()), 1)
}

/// What the horizontal axis of a case's curves is.
pub fn axis(case: &Case) -> &'static str {
    match case.program {
        Program::ReadLoop(_) | Program::Datagrams(_) => "batch",
        Program::Connections(_) | Program::Server(_) => "connections",
        Program::Hook(_) => "requests together",
        Program::Interrupted(_) => "instructions between calls",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A prediction may read parts; a point of a curve may be what it is compared with, but no part.
    #[test]
    fn no_point_is_a_part_and_each_occurs_once() {
        for case in twins::case::cases().unwrap() {
            let all = points(&case);
            assert!(all.iter().all(|point| !point.place.series.starts_with(parts::PREFIX)), "{}", case.name);
            let places: BTreeSet<&Place> = all.iter().map(|point| &point.place).collect();
            assert_eq!(places.len(), all.len(), "{}", case.name);
        }
    }

    #[test]
    fn the_call_is_compared_with_itself_and_work_with_work_alone() {
        let cases = twins::case::select(&["interrupted-pwrite-mix".into()]).unwrap();
        let base = |series: &str| points(&cases[0]).into_iter().find(|point| point.place == Place::new(series, 500)).unwrap().base;
        assert_eq!(base(interrupted::CALL), Place::new("part pwrite64", 1));
        assert_eq!(base(interrupted::WORK), Place::new(parts::USER, 500));
    }
}
