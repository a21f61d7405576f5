//! Panels of the figures: the same experiments as the rows, curve by curve.

use crate::figures::{Axis, Curve, Mark, Panel, Published};
use crate::lab::{Lab, Stop};
use crate::outcome::Predicted;
use crate::registry::{Answer, answer};
use crate::rows::httperf::{self, LoadPoint};
use crate::rows::sweep::{Point, Refined};
use crate::rows::{batches, frequency, memcached, nginx, recovery, services, sweep};
use crate::server_run::{EXCEPTION_LESS, Measured, estimate, ratio};
use cpu_model::Structure;
use mechanisms::study::{INTERRUPTED_CORE, SAME_CORE, SYNCHRONOUS};
use sim_core::estimate::Estimate;
use sim_core::ids::Mode;
use std::sync::Arc;

type Panels = Result<Vec<Panel>, Stop>;

/// A row of the table and where its value stands on the horizontal axis.
type At<'a> = (&'a str, f64);

/// The predictions of rows as one curve. Rows that the model does not answer leave gaps.
fn predicted(lab: &Lab, published: &Published, name: &str, rows: &[At]) -> Result<Curve, Stop> {
    let mut points = Vec::new();
    for (id, x) in rows {
        let (Some(row), Some(Answer::Model(evaluate))) = (published.row(id), answer(id)) else { continue };
        match evaluate(lab, row) {
            Ok(outcome) => match outcome.value {
                Predicted::Each(each) => points.extend(each.into_iter().map(|one| (*x, one.1))),
                value => points.extend(value.estimate().map(|estimate| (*x, estimate))),
            },
            Err(Stop::Pending) => return Err(Stop::Pending),
            // the row's own line says what failed
            Err(Stop::Failed(_)) => {}
        }
    }
    Ok(Curve { name: name.into(), points })
}

fn marks(published: &Published, rows: &[At]) -> Vec<Mark> {
    rows.iter().filter_map(|(id, x)| published.point(id, *x)).collect()
}

/// Figure 1 and the losses of OSDI'10. The published direct loss is given (see [`frequency`]); the model's own stands beside it.
///
/// # Errors
/// As [`Lab::ask`].
pub fn ipc_loss(lab: &Lab, published: &Published) -> Panels {
    let total = [("FX-1K-total", 1000.0), ("FX-5K-total", 5000.0), ("FX-20K-total", 20_000.0), ("FX-100K-total", 100_000.0)];
    let direct = [("FX-1K-direct", 1000.0), ("FX-5K-direct", 5000.0), ("FX-20K-direct", 20_000.0), ("FX-100K-direct", 100_000.0)];
    let points = frequency::figure_1(lab)?;
    let curve = |name: &str, of: fn(&frequency::Point) -> Estimate| Curve {
        name: name.into(),
        points: points.iter().map(|point| (point.interval as f64, of(point))).collect(),
    };
    let curves = vec![
        predicted(lab, published, "total, direct as published", &total)?,
        curve("total, the model's own", frequency::Point::own_total_loss),
        curve("direct, the model's own", frequency::Point::direct_loss),
    ];
    Ok(vec![Panel {
        title: "user IPC lost".into(),
        x: Axis::doublings("user instructions between calls"),
        y: Axis::linear("loss of user IPC, %"),
        curves,
        marks: [marks(published, &total), marks(published, &direct)].concat(),
    }])
}

/// The recovery of user IPC after a call.
///
/// # Errors
/// As [`Lab::ask`].
pub fn recovery(lab: &Lab, published: &Published) -> Panels {
    let rows =
        [2000, 3000, 4000, 5000, 6000, 8000, 10_000, 15_000, 16_000].map(|cycles| (format!("FR-{cycles}"), f64::from(cycles)));
    let rows: Vec<At> = rows.iter().map(|(id, x)| (id.as_str(), *x)).collect();
    let points = recovery::figure(lab)?.into_iter().map(|point| (point.axis_cycles as f64, point.ipc)).collect();
    Ok(vec![Panel {
        title: "after one pwrite".into(),
        x: Axis::linear("cycles; the call returns at 1,000"),
        y: Axis::linear("user instructions per cycle"),
        curves: vec![Curve { name: "predicted".into(), points }],
        marks: marks(published, &rows),
    }])
}

/// Batches of the curves.
const BATCHES: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

/// The batch curves.
///
/// # Errors
/// As [`Lab::ask`].
pub fn batches(lab: &Lab, published: &Published) -> Panels {
    let rows = [("D03", 1.0), ("FB-1", 1.0), ("FB-4", 4.0), ("FB-32", 32.0), ("FBR-1", 1.0), ("FBR-8", 8.0), ("FBR-64", 64.0)];
    let columns = [("synchronous", SYNCHRONOUS), ("same core", SAME_CORE), ("another core", INTERRUPTED_CORE)];
    let asked =
        columns.map(|(name, column)| (name, BATCHES.map(|calls| (calls, batches::nanoseconds_per_call(lab, column, calls)))));
    let mut curves = Vec::new();
    for (name, answers) in asked {
        let points = answers.into_iter().map(|(calls, answer)| Ok((f64::from(calls), answer?))).collect::<Result<_, Stop>>()?;
        curves.push(Curve { name: name.into(), points });
    }
    Ok(vec![Panel {
        title: "exception-less getpid".into(),
        x: Axis::doublings("calls in a batch"),
        y: Axis::doublings("time per call, ns"),
        curves,
        marks: marks(published, &rows),
    }])
}

/// The points of a sweep, its largest gain with all seeds.
fn points(sweep: &Refined) -> Vec<&Point> {
    let best = &sweep.best;
    sweep.points.iter().map(|point| if point.connections == best.connections { best } else { point }).collect()
}

fn throughput_curves(points: &[&Point]) -> Vec<Curve> {
    let rate = |runs: &[Measured]| estimate(runs, |run| run.throughput_rps / 1000.0);
    let curve = |name: &str, of: fn(&Point) -> &[Measured]| Curve {
        name: name.into(),
        points: points.iter().map(|point| (f64::from(point.connections), rate(of(point)))).collect(),
    };
    vec![curve("synchronous", |point| &point.base), curve("exception-less", |point| &point.own)]
}

fn gain_curve(points: &[&Point], name: String) -> Curve {
    Curve { name, points: points.iter().map(|point| (f64::from(point.connections), point.gain())).collect() }
}

fn connections() -> Axis {
    Axis::doublings("connections")
}

/// Throughput of each number of cores, and the gains in a panel of their own.
fn throughput(cores: &[u32], sweeps: &[Refined], gains: Vec<Mark>) -> Vec<Panel> {
    let mut panels: Vec<Panel> = cores
        .iter()
        .zip(sweeps)
        .map(|(cores, sweep)| Panel {
            title: named_cores(*cores),
            x: connections(),
            y: Axis::linear("throughput, 1,000 requests/s"),
            curves: throughput_curves(&points(sweep)),
            marks: Vec::new(),
        })
        .collect();
    panels.push(Panel {
        title: "gain".into(),
        x: connections(),
        y: Axis::linear("throughput gain, %"),
        curves: cores.iter().zip(sweeps).map(|(cores, sweep)| gain_curve(&points(sweep), named_cores(*cores))).collect(),
        marks: gains,
    });
    panels
}

/// Figure 5.
///
/// # Errors
/// As [`Lab::ask`].
pub fn memcached_throughput(lab: &Lab, published: &Published) -> Panels {
    let asked = memcached::CORES.map(|cores| memcached::figure_5(lab, cores));
    let sweeps = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let marks = [published.at("A06"), published.band("A07")].into_iter().flatten().collect();
    Ok(throughput(&memcached::CORES, &sweeps, marks))
}

/// Figure 7.
///
/// # Errors
/// As [`Lab::ask`].
pub fn nginx_throughput(lab: &Lab, published: &Published) -> Panels {
    let asked = nginx::CORES.map(|cores| nginx::figure_7(lab, cores));
    let sweeps = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let at = f64::from(nginx::CONNECTIONS);
    let marks = [published.point("A13", at), published.at("A14"), published.band("A15")].into_iter().flatten().collect();
    Ok(throughput(&nginx::CORES, &sweeps, marks))
}

fn named_cores(cores: u32) -> String {
    format!("{cores} core{}", if cores == 1 { "" } else { "s" })
}

/// Both ways of issuing calls on so many cores.
struct Compared {
    cores: u32,
    own: Arc<Vec<Measured>>,
    base: Arc<Vec<Measured>>,
}

/// Metrics that figures 6 and 10 show, relative to synchronous calls.
const COUNTERS: [(&str, Option<Structure>); 6] = [
    ("CPI", None),
    ("L1I", Some(Structure::L1i)),
    ("L1D", Some(Structure::L1d)),
    ("L2", Some(Structure::L2)),
    ("L3", Some(Structure::L3)),
    ("DTLB", Some(Structure::Dtlb)),
];

/// One panel for each mode: CPI and misses per instruction relative to synchronous calls.
fn counters(points: &[Compared], marks: impl Fn(Mode) -> Vec<Mark>) -> Vec<Panel> {
    let value = |point: &Compared, structure: Option<Structure>, mode: Mode| -> Estimate {
        ratio(&point.own, &point.base, |run| structure.map_or_else(|| run.cpi(mode), |structure| run.mpki(structure, mode)))
    };
    let panel = |mode: Mode| Panel {
        title: format!("{} mode", if mode == Mode::User { "user" } else { "kernel" }),
        x: Axis::names("CPI, and misses per instruction", COUNTERS.map(|counter| counter.0)),
        y: Axis::linear("relative to synchronous calls"),
        curves: points
            .iter()
            .map(|point| Curve {
                name: named_cores(point.cores),
                points: COUNTERS.iter().enumerate().map(|(x, counter)| (x as f64, value(point, counter.1, mode))).collect(),
            })
            .collect(),
        marks: marks(mode),
    };
    Mode::ALL.into_iter().map(panel).collect()
}

/// Figure 6: published changes of CPI are marked as ratios.
///
/// # Errors
/// As [`Lab::ask`].
pub fn memcached_counters(lab: &Lab, published: &Published) -> Panels {
    let asked = [1, 4].map(|cores| {
        let point =
            memcached::server().and_then(|server| sweep::pair(lab, &server.cores(cores), EXCEPTION_LESS, memcached::CONNECTIONS));
        point.map(|point| Compared { cores, own: point.own, base: point.base })
    });
    let points = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let marks = |mode: Mode| match mode {
        Mode::User => ["A09", "A10"].iter().filter_map(|id| as_ratio(published.point(id, 0.0)?)).collect(),
        Mode::Kernel => Vec::new(),
    };
    Ok(counters(&points, marks))
}

/// A published change in percent as the ratio that it says.
fn as_ratio(mark: Mark) -> Option<Mark> {
    use crate::figures::Place::Point;
    let ratio = |percent: f64| 1.0 + percent / 100.0;
    match mark.place {
        Point { x, y, low, high } => Some(Mark { place: Point { x, y: ratio(y), low: ratio(low), high: ratio(high) }, ..mark }),
        _ => None,
    }
}

/// Figure 8.
///
/// # Errors
/// As [`Lab::ask`].
pub fn nginx_latency(lab: &Lab, published: &Published) -> Panels {
    let asked = nginx::CORES.map(|cores| nginx::figure_8(lab, cores));
    let points = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let latency = |runs: &[Measured]| estimate(runs, |run| run.latency_mean_us / 1000.0);
    let curve = |name: &str, of: fn(&Point) -> &[Measured]| Curve {
        name: name.into(),
        points: points.iter().enumerate().map(|(x, point)| (x as f64, latency(of(point)))).collect(),
    };
    let cores = || Axis::names("cores", nginx::CORES.map(|cores| cores.to_string()));
    let change = Curve {
        name: "exception-less against synchronous".into(),
        points: points.iter().enumerate().map(|(x, point)| (x as f64, point.latency_change())).collect(),
    };
    Ok(vec![
        Panel {
            title: "mean latency".into(),
            x: cores(),
            y: Axis::linear("mean latency, ms"),
            curves: vec![curve("synchronous", |point| &point.base), curve("exception-less", |point| &point.own)],
            marks: Vec::new(),
        },
        Panel {
            title: "change".into(),
            x: cores(),
            y: Axis::linear("change of mean latency, %"),
            curves: vec![change],
            marks: marks(published, &[("A17", 0.0), ("A18", 1.0)]),
        },
    ])
}

/// Figure 9: throughput against the offered rate. The level at which a published curve stays is drawn as a line.
///
/// # Errors
/// As [`Lab::ask`].
pub fn httperf(lab: &Lab, published: &Published) -> Panels {
    let asked = httperf::CORES.map(|cores| httperf::figure_9(lab, cores));
    let curves = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let offered = |point: &LoadPoint| f64::from(point.offered_rps) / 1000.0;
    let answered = |name: &str, points: &[LoadPoint], of: fn(&LoadPoint) -> &[Measured]| Curve {
        name: name.into(),
        points: points.iter().map(|point| (offered(point), estimate(of(point), |run| run.throughput_rps / 1000.0))).collect(),
    };
    let levels = [["A20", "A21"], ["A23", "A24"]];
    let mut panels: Vec<Panel> = httperf::CORES
        .iter()
        .zip(&curves)
        .zip(levels)
        .map(|((cores, points), levels)| Panel {
            title: named_cores(*cores),
            x: Axis::linear("offered, 1,000 requests/s"),
            y: Axis::linear("answered, 1,000 requests/s"),
            curves: vec![
                answered("synchronous", points, |point| &point.base),
                answered("exception-less", points, |point| &point.own),
            ],
            marks: levels.iter().filter_map(|id| in_thousands(published.band(id)?)).collect(),
        })
        .collect();
    let gain = |(cores, points): (&u32, &Vec<LoadPoint>)| Curve {
        name: named_cores(*cores),
        points: points.iter().map(|point| (offered(point), point.gain())).collect(),
    };
    panels.push(Panel {
        title: "gain".into(),
        x: Axis::linear("offered, 1,000 requests/s"),
        y: Axis::linear("throughput gain, %"),
        curves: httperf::CORES.iter().zip(&curves).map(gain).collect(),
        marks: [published.point("A22", 50.0), published.band("A25")].into_iter().flatten().collect(),
    });
    Ok(panels)
}

fn in_thousands(mark: Mark) -> Option<Mark> {
    use crate::figures::Place::Band;
    match mark.place {
        Band { low, high } => Some(Mark { place: Band { low: low / 1000.0, high: high / 1000.0 }, ..mark }),
        _ => None,
    }
}

/// Figure 10: the ratios that the text gives, and CPI and misses of each mode.
///
/// # Errors
/// As [`Lab::ask`].
pub fn httperf_counters(lab: &Lab, published: &Published) -> Panels {
    let names = ["user 1", "user 2", "kernel 1", "kernel 2", "L1I", "L1D", "L2"];
    let rows: Vec<At> = ["A26-1", "A26-2", "A27-1", "A27-2", "A28-i", "A28-d", "A29"]
        .into_iter()
        .enumerate()
        .map(|(x, id)| (id, x as f64))
        .collect();
    let asked = httperf::CORES.map(|cores| (cores, httperf::figure_10(lab, cores)));
    let ratios = Panel {
        title: "published ratios".into(),
        x: Axis::names("IPC by mode and cores; misses per instruction", names),
        y: Axis::linear("relative to synchronous calls"),
        curves: vec![predicted(lab, published, "predicted", &rows)?],
        marks: marks(published, &rows),
    };
    let compared =
        |(cores, point): (u32, Result<LoadPoint, Stop>)| point.map(|point| Compared { cores, own: point.own, base: point.base });
    let points = asked.into_iter().map(compared).collect::<Result<Vec<_>, _>>()?;
    Ok([vec![ratios], counters(&points, |_| Vec::new())].concat())
}

/// lua_syscall's figure: throughput and response time, as changes.
///
/// # Errors
/// As [`Lab::ask`].
pub fn lua_syscall(lab: &Lab, published: &Published) -> Panels {
    let point = services::lua_syscall(lab)?;
    let points = vec![(0.0, point.gain()), (1.0, point.latency_change())];
    Ok(vec![Panel {
        title: "batched script against synchronous calls".into(),
        x: Axis::names("", ["throughput", "mean response time"]),
        y: Axis::linear("change, %"),
        curves: vec![Curve { name: "batched script".into(), points }],
        marks: marks(published, &[("S1-t", 0.0), ("S1-l", 1.0)]),
    }])
}
