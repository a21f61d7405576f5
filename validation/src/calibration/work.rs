//! Amounts of work: INPUT rows give instructions per call of a published program; the factors of [`traces::published`] turn the
//! recording's into them. What a run executes per call depends a little on its schedule (events per wait, packets per interrupt), so the
//! factors follow from simulated runs.

use super::CalibrationError;
use crate::lab::{Lab, Store};
use crate::published::{Row, Use, rows_for};
use crate::rows::{table_1, threads};
use crate::server_run::{ServerRun, estimate};
use mechanisms::compare::Job;
use serde::{Deserialize, Serialize};
use sim_core::ids::Mode;
use traces::published as programs;

/// A row that gives an amount of work, and the run that it is compared with.
struct Amount {
    row: &'static str,
    program: &'static str,
    mode: Mode,
    run: fn() -> Result<ServerRun, crate::lab::Stop>,
}

const AMOUNTS: &[Amount] = &[
    Amount { row: "T1-mc-ui", program: "memcached-memslap", mode: Mode::User, run: table_1::memcached_run },
    Amount { row: "T1-mc-ki", program: "memcached-memslap", mode: Mode::Kernel, run: table_1::memcached_run },
    Amount { row: "T1-ng-ui", program: "nginx-ab", mode: Mode::User, run: table_1::nginx_run },
    Amount { row: "T1-ng-ki", program: "nginx-ab", mode: Mode::Kernel, run: table_1::nginx_run },
    Amount { row: "AP-ui", program: "apache-ab", mode: Mode::User, run: threads::apache_run },
    Amount { row: "MY-ui", program: "mysql-sysbench", mode: Mode::User, run: threads::mysql_run },
];

/// One amount of work beside the published one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// The INPUT row.
    pub row: String,
    /// The program.
    pub program: String,
    /// Published instructions per call.
    pub published: f64,
    /// Simulated ones.
    pub model: f64,
    /// Factor in force, thousandths of the recorded work.
    pub permille: u32,
    /// The factor that would give the published work, if work went with it.
    pub permille_wanted: u32,
}

/// How far a simulated amount of work may lie from the published one.
pub const WORK_TOLERANCE: f64 = 0.01;

impl Work {
    fn new(amount: &Amount, row: &Row, model: f64) -> Option<Work> {
        let program = programs::find(amount.program)?;
        let permille = match amount.mode {
            Mode::User => program.user_permille,
            Mode::Kernel => program.kernel_permille?,
        };
        let published = row.value.number()?;
        let permille_wanted = (f64::from(permille) * published / model).round() as u32;
        Some(Work { row: row.id.clone(), program: program.name.into(), published, model: model.round(), permille, permille_wanted })
    }

    /// Simulated / published - 1.
    pub fn error(&self) -> f64 {
        self.model / self.published - 1.0
    }
}

/// Simulates the published programs as they are and compares their work.
///
/// # Errors
/// A run that fails, or an interruption.
pub fn work(store: &Store, job: &Job) -> Result<Vec<Work>, CalibrationError> {
    let rows = rows_for(&[Use::Input])?;
    let lab = Lab::new(store, super::REPS);
    loop {
        let measured: Vec<_> = AMOUNTS.iter().map(|amount| (amount, measure(&lab, amount))).collect();
        if store.settle(job)? {
            continue;
        }
        let told = |(amount, measured): (&Amount, Result<f64, crate::lab::Stop>)| {
            let failed = |cause: String| CalibrationError::Row { row: amount.row.into(), cause };
            let model = measured.map_err(|stop| failed(stop.to_string()))?;
            let row = rows.iter().find(|row| row.id == amount.row).ok_or_else(|| failed("no such INPUT row".into()))?;
            Work::new(amount, row, model).ok_or_else(|| failed(format!("{} states no such work", amount.program)))
        };
        return measured.into_iter().map(told).collect();
    }
}

fn measure(lab: &Lab, amount: &Amount) -> Result<f64, crate::lab::Stop> {
    let runs = lab.ask(&(amount.run)()?)?;
    Ok(estimate(&runs, |run| run.counters.mode(amount.mode).instructions as f64 / run.calls.max(1) as f64).mean)
}
