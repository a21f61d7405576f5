//! A comparison that grows by one simulation at a time ends as the comparison.

use mechanisms::compare::{Job, compare};
use mechanisms::experiment::Settings;
use mechanisms::refinement::{Piece, Refinement};
use mechanisms::registry::{ALL, Mechanism};
use mechanisms::simulate::{SimulationError, simulate, simulate_until};
use mechanisms::variants::Way;
use sim_core::progress::Silent;
use sim_core::report::RunReport;
use sim_core::workload::{Program, Workload};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use traces::synthetic::{Shape, server};

const COMMAND: &str = "ringscope compare synthetic";

fn settings(reps: u32) -> Settings {
    let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
    settings.run.connections = 8;
    settings.run.requests = 40;
    settings.run.reps = reps;
    settings
}

fn ways() -> Vec<Way> {
    ALL.iter().map(|entry| entry.mechanism.into()).collect()
}

fn refinement(workload: &Arc<Workload>, settings: Settings) -> Refinement {
    let interest = [Mechanism::Sync, Mechanism::ElevatedShortcut];
    Refinement::new(workload, settings, &ways(), &interest, COMMAND.into()).unwrap()
}

/// Does all simulations; of those that can be done at the same time the last ends first.
fn finish(refinement: &mut Refinement) -> Vec<Piece> {
    let mut done = Vec::new();
    while !refinement.is_complete() {
        let pieces: Vec<Piece> = std::iter::from_fn(|| refinement.next_piece()).take(7).collect();
        for piece in pieces.into_iter().rev() {
            let result = refinement.common().simulate(piece, &AtomicBool::new(false));
            refinement.keep(piece, result);
            done.push(piece);
        }
    }
    done
}

#[test]
fn the_end_is_the_comparison() {
    let sequential = server(Shape { program: Program::Sequential, ..Shape::default() });
    for (workload, reps) in [(server(Shape::default()), 0), (server(Shape::default()), 2), (sequential, 0)] {
        let workload = Arc::new(workload);
        let mut refinement = refinement(&workload, settings(reps));
        let done = finish(&mut refinement);
        let job = Job { threads: 1, progress: &Silent, cancel: &AtomicBool::new(false), command: COMMAND.into() };
        let whole = compare(&workload, &settings(reps), &ways(), &job).unwrap();
        let grown = refinement.comparison().expect("everything is done");
        assert_eq!(grown.to_json_pretty(), whole.to_json_pretty());
        assert_eq!(done.len(), done.iter().collect::<BTreeSet<_>>().len(), "nothing is simulated twice");
        let (simulated, planned) = refinement.simulations();
        assert_eq!((simulated, planned), (done.len() as u32, done.len() as u32));
        assert_eq!(refinement.seeds().0, whole.reps);
        let reports: Vec<_> = refinement.partials().into_iter().filter_map(|partial| partial.report).collect();
        // as text: what is not a number is not equal to itself
        let text = |reports: &[RunReport]| serde_json::to_string(reports).unwrap();
        assert_eq!(text(&reports), text(&whole.results));
    }
}

/// What one sees in between: glimpses at the most interesting mechanisms first, brief runs of all, then whole seeds with more and more of them.
#[test]
fn answers_grow() {
    let workload = Arc::new(server(Shape::default()));
    let mut refinement = refinement(&workload, settings(3));
    assert!(refinement.partials().iter().all(|partial| partial.report.as_ref().is_none_or(|report| !report.applicable)));
    let elevated = refinement.partials().iter().position(|partial| partial.way.mechanism == Mechanism::ElevatedShortcut).unwrap();
    for _ in 0..2 {
        assert!(refinement.is_brief_next());
        let piece = refinement.next_piece().unwrap();
        assert!(matches!(piece, Piece::Glimpse { .. }), "{piece:?}");
        let result = refinement.common().simulate(piece, &AtomicBool::new(false));
        refinement.keep(piece, result);
    }
    let partials = refinement.partials();
    let report = partials[elevated].report.as_ref().expect("it is simulated after the baseline");
    assert!(partials[elevated].brief && report.speedup_vs_sync.is_some() && report.throughput_rps.mean > 0.0);
    assert!(partials[1].report.is_none(), "the others wait");
    let mut most = 0;
    while let Some(piece) = refinement.next_piece() {
        let result = refinement.common().simulate(piece, &AtomicBool::new(false));
        refinement.keep(piece, result);
        let partial = refinement.partials().swap_remove(elevated);
        assert!(partial.seeds >= most, "seeds never get fewer");
        most = partial.seeds;
        assert_eq!(partial.report.map(|report| report.reps), Some(most.max(1)));
    }
    assert_eq!(most, 3);
}

#[test]
fn a_simulation_can_be_stopped_and_otherwise_is_the_same() {
    let workload = server(Shape::default());
    let settings = settings(1);
    let stopped = simulate_until(&workload, &settings, Mechanism::Sync, 1, &AtomicBool::new(true));
    assert!(matches!(stopped, Err(SimulationError::Cancelled)));
    let flag = AtomicBool::new(false);
    let sample = simulate_until(&workload, &settings, Mechanism::Sync, 1, &flag).unwrap();
    assert!(!flag.load(Ordering::Relaxed));
    let plain = simulate(&workload, &settings, Mechanism::Sync, 1).unwrap();
    assert_eq!((sample.replies, sample.window_cycles, sample.stack), (plain.replies, plain.window_cycles, plain.stack));
}

/// A mechanism that fails stops alone: the others are answered, and nobody calls it a comparison.
#[test]
fn a_failure_leaves_the_others() {
    let workload = Arc::new(server(Shape::default()));
    let mut refinement = refinement(&workload, settings(2));
    while let Some(piece) = refinement.next_piece() {
        let failing = matches!(piece, Piece::Seed { way: 1, rep: 1 });
        let result = match failing {
            true => Err(SimulationError::Panicked { words: "a fault".into() }),
            false => refinement.common().simulate(piece, &AtomicBool::new(false)),
        };
        refinement.keep(piece, result);
    }
    let partials = refinement.partials();
    assert!(partials[1].failure.is_some() && partials[1].seeds == 1);
    assert!(partials.iter().skip(2).all(|partial| partial.failure.is_none() && partial.seeds != 1));
    assert!(refinement.is_complete() && refinement.comparison().is_none());
}

/// The first replies of many connections have waited for few others: a brief run that ends before all have had one knows no latencies.
#[test]
fn a_brief_run_of_many_connections_has_no_latencies() {
    let workload = Arc::new(server(Shape::default()));
    for (connections, settled) in [(8, true), (16_384, false)] {
        let mut settings = settings(2);
        settings.run.connections = connections;
        let mut refinement = refinement(&workload, settings);
        let piece = refinement.next_piece().unwrap();
        let sample = refinement.common().simulate(piece, &AtomicBool::new(false));
        refinement.keep(piece, sample);
        let baseline = &refinement.partials()[0];
        let report = baseline.report.as_ref().unwrap();
        assert!(report.throughput_rps.mean > 0.0);
        assert_eq!((report.latency_us.p50.is_finite(), !baseline.latency.is_empty()), (settled, settled));
    }
}
