//! Load that changes in steps: arrivals follow it, and so do the cores.

use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::{Sample, Split, simulate};
use os_model::clients::{Arrival, LoadStep};
use traces::synthetic::{Shape, server};

/// Requests per second of the three steps.
const RATES: [f64; 3] = [10_000.0, 300_000.0, 10_000.0];
/// Length of each step.
const STEP_US: f64 = 6_000.0;

fn sample(mechanism: Mechanism, cores: u32) -> (Sample, f64) {
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.cores = cores;
    settings.clients.arrival = Arrival::Steps(RATES.iter().map(|rate| LoadStep(STEP_US, *rate)).collect());
    let sample = simulate(&server(Shape::default()), &settings, mechanism, 1).unwrap();
    (sample, f64::from(settings.machine.frequency_mhz))
}

#[test]
fn replies_follow_the_steps() {
    let (sample, mhz) = sample(Mechanism::Sync, 1);
    assert_eq!(sample.refused_arrivals, 0);
    // as many requests are measured as arrive in all steps
    assert_eq!(sample.replies, (RATES.iter().sum::<f64>() * STEP_US / 1e6) as u64);
    for (step, rate) in RATES.iter().enumerate().take(2) {
        let within = |time: &&u64| (**time as f64 / mhz / STEP_US) as usize == step;
        let replies = sample.reply_times.iter().filter(within).count() as f64;
        let expected = rate * STEP_US / 1e6;
        // four standard deviations of a Poisson count, and the few replies that end in the next step
        assert!((replies - expected).abs() <= 4.0 * expected.sqrt() + 4.0, "step {step}: {replies} replies, {expected} expected");
    }
}

#[test]
fn cores_are_busy_while_the_load_is_high() {
    for mechanism in [Mechanism::Sync, Mechanism::ExceptionLess] {
        let (sample, mhz) = sample(mechanism, 2);
        let stretches = || {
            std::iter::once(&Split::default())
                .chain(&sample.split)
                .zip(&sample.split)
                .map(|(from, to)| {
                    let all = (to.user + to.kernel + to.idle) - (from.user + from.kernel + from.idle);
                    let middle_us = (from.end + to.end) as f64 / 2.0 / mhz;
                    (middle_us, (to.idle - from.idle) as f64 / all.max(1) as f64)
                })
                .collect::<Vec<_>>()
        };
        let idle = |step: f64| {
            let own: Vec<f64> = stretches().iter().filter(|one| (one.0 / STEP_US).floor() == step).map(|one| one.1).collect();
            assert!(!own.is_empty(), "{}: no stretch in step {step}", mechanism.name());
            own.iter().sum::<f64>() / own.len() as f64
        };
        let (low, high, low_again) = (idle(0.0), idle(1.0), idle(2.0));
        assert!(high + 0.1 < low && high + 0.1 < low_again, "{}: idle {low}, {high}, {low_again}", mechanism.name());
    }
}
