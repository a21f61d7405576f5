//! Servers with a thread per connection under FlexSC-Threads (ATC'11, section 1, and the numbers of FlexSC, OSDI'10, that it quotes).

use crate::lab::{Lab, Stop};
use crate::outcome::Outcome;
use crate::published::Row;
use crate::rows::sweep::{self, Point};
use crate::server_run::{FLEXSC_THREADS, ServerRun, atc11_settings, estimate};
use sim_core::estimate::Estimate;

/// Connections of the published throughput without FlexSC, 16 to 128.
const CONNECTIONS: [u32; 4] = [16, 32, 64, 128];
/// Connections at which gains are looked at: the most of those.
const LOAD: u32 = 128;
/// Cores for which gains were published.
const CORES: [u32; 3] = [1, 2, 4];
/// User instructions per call of both servers are quoted, not verified: the range over this much more or less is shown.
const USER_WORK_PERMILLE: [u32; 2] = [700, 1300];

fn server(workload: &str) -> Result<ServerRun, Stop> {
    Ok(ServerRun::new(workload, atc11_settings()?))
}

/// Apache with synchronous calls at the load at which gains are looked at.
///
/// # Errors
/// When a preset does not exist.
pub fn apache_run() -> Result<ServerRun, Stop> {
    Ok(server("apache-ab")?.connections(LOAD))
}

/// MySQL likewise.
///
/// # Errors
/// When a preset does not exist.
pub fn mysql_run() -> Result<ServerRun, Stop> {
    Ok(server("mysql-sysbench")?.connections(LOAD))
}

/// AP-sync.
///
/// # Errors
/// As [`Lab::ask`].
pub fn apache_synchronous(lab: &Lab, _row: &Row) -> Result<Outcome, Stop> {
    let server = server("apache-ab")?;
    let runs = lab.ask_all(&CONNECTIONS.map(|connections| server.clone().connections(connections)))?;
    // the published curve is flat over these loads: its mean is compared
    let seeds = runs[0].len();
    let means = (0..seeds).map(|seed| runs.iter().map(|runs| runs[seed].throughput_rps).sum::<f64>() / runs.len() as f64);
    let each: Vec<String> = CONNECTIONS
        .iter()
        .zip(&runs)
        .map(|(connections, runs)| format!("{:.0} at {connections}", estimate(runs, |run| run.throughput_rps).mean))
        .collect();
    Ok(Outcome::number(Estimate::of(&means.collect::<Vec<_>>()), format!("mean over the loads: {}", each.join(", "))))
}

/// A33.
///
/// # Errors
/// As [`Lab::ask`].
pub fn apache(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    gain(lab, row, "apache-ab")
}

/// A34.
///
/// # Errors
/// As [`Lab::ask`].
pub fn mysql(lab: &Lab, row: &Row) -> Result<Outcome, Stop> {
    gain(lab, row, "mysql-sysbench")
}

/// Both rows are "up to": the number of cores with the largest gain decides.
fn gain(lab: &Lab, row: &Row, workload: &str) -> Result<Outcome, Stop> {
    let server = server(workload)?;
    let asked = CORES.map(|cores| sweep::pair(lab, &server.clone().cores(cores), FLEXSC_THREADS, LOAD));
    let points: Vec<Point> = asked.into_iter().collect::<Result<_, _>>()?;
    let best = sweep::largest_gain(&points)?;
    let index = points.iter().position(|point| std::ptr::eq(point, best)).unwrap_or(0);
    let of = |point: &Point| if row.id.ends_with("-t") { point.gain() } else { point.latency_change() };
    let varied = USER_WORK_PERMILLE.map(|permille| {
        let run = server.clone().cores(CORES[index]).recipe(|recipe| recipe.user_permille = permille).reps(1);
        sweep::pair(lab, &run, FLEXSC_THREADS, LOAD).map(|point| of(&point).mean)
    });
    let varied = varied.into_iter().collect::<Result<Vec<f64>, _>>()?;
    let each: Vec<String> =
        CORES.iter().zip(&points).map(|(cores, point)| format!("{:+.1} % on {cores}", of(point).mean)).collect();
    let outcome = Outcome::number(
        of(best),
        format!("{LOAD} connections, cores with the largest gain: {}{}", each.join(", "), sweep::limits(best)),
    );
    Ok(outcome.over("user instructions per call +-30 %", &varied))
}
