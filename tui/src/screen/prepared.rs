//! Comparisons that were begun: the present one, those that the user has left before they were complete, and those that are expected next.

use super::worker::Request;
use mechanisms::refinement::{Common, Piece, Refinement};
use mechanisms::simulate::{Sample, SimulationError};
use sim_core::workload::Workload;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Comparisons that are kept besides the present one: the two that are expected and the last two that were left. Each holds some megabytes
/// of samples, and tens of megabytes where its kernel changes the recorded blocks.
const OTHERS_MOST: usize = 4;

/// A comparison that was begun.
pub struct Prepared {
    /// The command that gives the same answer: what it is known by.
    pub command: String,
    /// What simulations need.
    pub common: Arc<Common>,
    /// The workload as it was recorded.
    pub recorded: Arc<Workload>,
    /// What is known and left to do; nothing once it is complete.
    pub refinement: Option<Refinement>,
    /// Set when what runs for it is no longer wanted.
    cancel: Arc<AtomicBool>,
    /// One step of the chosen knob away from the present one.
    is_expected: bool,
}

/// A simulation to do.
pub struct Job {
    /// What it needs. It tells which comparison it is of, too: one that is begun anew has another.
    pub common: Arc<Common>,
    /// Which one.
    pub piece: Piece,
    /// Set when it is no longer wanted.
    pub cancel: Arc<AtomicBool>,
}

impl Prepared {
    /// A comparison of which nothing is known yet.
    pub fn new(request: &Request, recorded: &Arc<Workload>, refinement: Refinement) -> Prepared {
        let common = refinement.common();
        let refinement = Some(refinement).filter(|_| !request.is_known);
        let (command, recorded) = (request.command.clone(), Arc::clone(recorded));
        Prepared { command, common, recorded, refinement, cancel: Arc::default(), is_expected: false }
    }

    /// Its next simulation.
    pub fn next_job(&mut self) -> Option<Job> {
        let piece = self.refinement.as_mut()?.next_piece()?;
        Some(Job { common: Arc::clone(&self.common), piece, cancel: Arc::clone(&self.cancel) })
    }

    /// True when a simulation is one of this comparison.
    pub fn has(&self, job: &Job) -> bool {
        Arc::ptr_eq(&self.common, &job.common)
    }

    /// Keeps the result of a simulation; one that was stopped is to be done again.
    pub fn keep(&mut self, piece: Piece, result: Result<Sample, SimulationError>) {
        match (&mut self.refinement, result) {
            (None, _) => {}
            (Some(refinement), Err(SimulationError::Cancelled)) => refinement.put_back(piece),
            (Some(refinement), result) => refinement.keep(piece, result),
        }
    }

    /// Stops what runs for it.
    fn stop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.cancel = Arc::default();
    }
}

/// The comparisons besides the present one, the last used last.
#[derive(Default)]
pub struct Others(Vec<Prepared>);

impl Others {
    /// Keeps one that the user has left; what ran for it stops.
    pub fn leave(&mut self, mut left: Prepared) {
        left.stop();
        if left.refinement.is_some() {
            self.keep(left);
        }
    }

    /// Keeps one that is expected next.
    pub fn expect(&mut self, prepared: Prepared) {
        self.keep(Prepared { is_expected: true, ..prepared });
    }

    /// True when it is there already, and then it is expected.
    pub fn expect_known(&mut self, command: &str) -> bool {
        let known = self.0.iter_mut().find(|other| other.command == command);
        known.map(|known| known.is_expected = true).is_some()
    }

    /// Nothing is expected any more but these, whose simulations go on.
    pub fn expect_only(&mut self, commands: &[&str]) {
        for other in self.0.iter_mut().filter(|other| other.is_expected && !commands.contains(&&*other.command)) {
            other.is_expected = false;
            other.stop();
        }
    }

    /// The one that a simulation is of.
    pub fn find(&mut self, job: &Job) -> Option<&mut Prepared> {
        self.0.iter_mut().find(|other| other.has(job))
    }

    /// True when the one of a command is there.
    pub fn know(&self, command: &str) -> bool {
        self.0.iter().any(|other| other.command == command)
    }

    /// Takes the one of a command out.
    pub fn take(&mut self, command: &str) -> Option<Prepared> {
        let position = self.0.iter().position(|other| other.command == command)?;
        Some(Prepared { is_expected: false, ..self.0.remove(position) })
    }

    /// A glimpse at one that is expected.
    pub fn next_glimpse(&mut self) -> Option<Job> {
        let glimpses =
            |other: &&mut Prepared| other.is_expected && other.refinement.as_ref().is_some_and(Refinement::is_glimpse_next);
        self.0.iter_mut().find(glimpses)?.next_job()
    }

    /// Stops everything.
    pub fn stop(&mut self) {
        self.0.iter_mut().for_each(Prepared::stop);
    }

    fn keep(&mut self, prepared: Prepared) {
        self.0.retain(|other| other.command != prepared.command);
        if self.0.len() >= OTHERS_MOST {
            let oldest = self.0.iter().position(|other| !other.is_expected).unwrap_or(0);
            self.0.remove(oldest).stop();
        }
        self.0.push(prepared);
    }
}
