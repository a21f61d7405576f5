//! Fits the free parameters to the published CAL rows: `cargo run --release -p validation --bin calibrate-papers > fitted.json`.
//!
//! With `--review` nothing is fitted: the committed values are kept, residuals and amounts of work are computed anew.
//!
//! Progress and the fitted values go to standard error, the report as JSON to standard output. The committed report is
//! `validation/data/calibration.json`; its values stand in the presets and programs, which a test checks.

use mechanisms::compare::Job;
use sim_core::progress::Silent;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use validation::calibration::{calibrate, review};

fn main() -> ExitCode {
    let cancel = AtomicBool::new(false);
    let job = Job { threads: 0, progress: &Silent, cancel: &cancel, command: "calibrate-papers".into() };
    let report = match std::env::args().nth(1).as_deref() {
        None => calibrate(&job, &mut |line| eprintln!("{line}")),
        Some("--review") => review(&job),
        Some(other) => {
            eprintln!("calibration: unknown argument `{other}`; the only one is --review");
            return ExitCode::from(2);
        }
    };
    match report {
        Ok(report) => {
            for fitted in report.fitted() {
                eprintln!("{} = {} ({:?})", fitted.name, fitted.value, fitted.determined);
            }
            for work in &report.work {
                eprintln!("{}: {} instructions a call for {}", work.row, work.model, work.published);
                eprintln!("    {} permille in force, {} wanted", work.permille, work.permille_wanted);
            }
            print!("{}", report.to_json_pretty());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("calibration: {error}");
            ExitCode::FAILURE
        }
    }
}
