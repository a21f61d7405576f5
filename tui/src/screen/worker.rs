//! Simulations on threads of their own. A new scenario drops what the old one had under way; every simulation that ends makes a new
//! snapshot of what is known.

use super::questions::{Ground, Put, Question, Unanswered};
use super::recent::Recent;
use super::scenario::Scenario;
use super::snapshot::{Answer, Snapshot, Stage};
use crate::workloads;
use mechanisms::compare::ExperimentError;
use mechanisms::experiment::Settings;
use mechanisms::refinement::{Common, Partial, Piece, Refinement};
use mechanisms::registry::{ALL, Mechanism};
use mechanisms::simulate::SimulationError;
use mechanisms::variants::Way;
use sim_core::report::RunReport;
use sim_core::workload::Workload;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Workloads that are kept in memory; each takes some tens of megabytes.
const WORKLOADS_MOST: usize = 6;

/// What is to be simulated.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which change of the scenario it belongs to.
    pub generation: u64,
    /// What is simulated.
    pub scenario: Scenario,
    /// Its settings.
    pub settings: Settings,
    /// The command that gives the same answer.
    pub command: String,
    /// The whole answer is known from before: only questions are to be answered.
    pub is_known: bool,
}

/// The threads that simulate.
pub struct Worker {
    shared: Arc<Shared>,
}

struct Shared {
    board: Mutex<Board>,
    wake: Condvar,
    publish: Box<dyn Fn(Arc<Snapshot>) + Send + Sync>,
}

/// What is to be done and what is known.
struct Board {
    /// Set when what runs is no longer wanted.
    cancel: Arc<AtomicBool>,
    /// A scenario that nobody has taken up yet.
    request: Option<Request>,
    refinement: Option<Refinement>,
    /// What questions are answered from; also when the comparison is complete.
    common: Option<Arc<Common>>,
    /// The workload of the scenario as it was recorded.
    recorded: Option<Arc<Workload>>,
    questions: Vec<Asked>,
    snapshot: Snapshot,
    workloads: Recent<Workload>,
    /// What is being read. A scenario that has changed since may still be of the same workload.
    reading: BTreeSet<String>,
    ended: bool,
}

/// A question with its own flag: a newer one of the same kind drops it.
#[derive(Clone)]
struct Asked {
    question: Question,
    cancel: Arc<AtomicBool>,
    taken: bool,
}

enum Task {
    Read(String),
    Prepare(Box<Request>, Arc<Workload>),
    Simulate { generation: u64, common: Arc<Common>, piece: Piece, cancel: Arc<AtomicBool> },
    Answer { generation: u64, common: Arc<Common>, recorded: Arc<Workload>, asked: Asked },
}

impl Worker {
    /// Starts the threads; 0: as many as the host has processors. `publish` is called from them.
    ///
    /// # Errors
    /// A host that gives no thread.
    pub fn start(threads: usize, publish: impl Fn(Arc<Snapshot>) + Send + Sync + 'static) -> std::io::Result<Worker> {
        let shared = Arc::new(Shared { board: Mutex::new(Board::new()), wake: Condvar::new(), publish: Box::new(publish) });
        let threads = if threads > 0 { threads } else { thread::available_parallelism().map_or(1, usize::from) };
        for index in 0..threads {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("simulation {index}")).spawn(move || shared.work())?;
        }
        Ok(Worker { shared })
    }

    /// Drops everything and begins with a scenario.
    pub fn simulate(&self, request: Request) {
        let mut board = self.shared.board();
        board.drop_all();
        board.snapshot = Snapshot { generation: request.generation, ..Snapshot::default() };
        board.request = Some(request);
        drop(board);
        self.shared.wake.notify_all();
    }

    /// Answers a question about the present scenario. One of the same kind that is not answered yet is dropped.
    pub fn ask(&self, question: Question) {
        let mut board = self.shared.board();
        board.questions.retain(|asked| {
            let same = std::mem::discriminant(&asked.question) == std::mem::discriminant(&question);
            if same {
                asked.cancel.store(true, Ordering::Relaxed);
            }
            !same
        });
        board.questions.push(Asked { question, cancel: Arc::default(), taken: false });
        drop(board);
        self.shared.wake.notify_all();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut board = self.shared.board();
        board.drop_all();
        board.ended = true;
        drop(board);
        self.shared.wake.notify_all();
    }
}

impl Board {
    fn new() -> Board {
        Board {
            cancel: Arc::default(),
            request: None,
            refinement: None,
            common: None,
            recorded: None,
            questions: Vec::new(),
            snapshot: Snapshot::default(),
            workloads: Recent::new(WORKLOADS_MOST),
            reading: BTreeSet::new(),
            ended: false,
        }
    }

    fn drop_all(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        self.cancel = Arc::default();
        self.questions.drain(..).for_each(|asked| asked.cancel.store(true, Ordering::Relaxed));
        self.request = None;
        self.refinement = None;
        self.common = None;
        self.recorded = None;
    }

    /// What the scenario that nobody has taken up yet needs; nothing while its workload is being read.
    fn taking_up(&mut self) -> Option<Task> {
        let request = self.request.take()?;
        let name = request.scenario.workload.clone();
        if let Some(workload) = self.workloads.get(&name) {
            return Some(Task::Prepare(Box::new(request), workload));
        }
        self.request = Some(request);
        self.reading.insert(name.clone()).then_some(Task::Read(name))
    }

    /// Brief runs come first, then questions, then whole runs.
    fn next_task(&mut self) -> Option<Task> {
        if self.request.is_some() {
            return self.taking_up();
        }
        let generation = self.snapshot.generation;
        let common = self.common.clone()?;
        let recorded = self.recorded.clone()?;
        let brief = self.refinement.as_ref().is_some_and(Refinement::is_brief_next);
        if !brief && let Some(asked) = self.questions.iter_mut().find(|asked| !asked.taken) {
            asked.taken = true;
            return Some(Task::Answer { generation, common, recorded, asked: asked.clone() });
        }
        let piece = self.refinement.as_mut()?.next_piece()?;
        Some(Task::Simulate { generation, common, piece, cancel: Arc::clone(&self.cancel) })
    }

    /// Puts what the refinement knows into the snapshot.
    fn refresh(&mut self) {
        let Some(refinement) = &self.refinement else { return };
        let partials = refinement.partials();
        let reports: Vec<RunReport> = partials.iter().filter_map(|partial| partial.report.clone()).collect();
        let snapshot = &mut self.snapshot;
        snapshot.notes = refinement.notes(&reports);
        snapshot.simulations = refinement.simulations();
        snapshot.seeds = refinement.seeds();
        snapshot.answers = partials.into_iter().map(answer).collect();
        let failure = snapshot.answers.iter().find_map(|answer| Some(format!("{}: {}", answer.label(), answer.failure.as_ref()?)));
        let known = snapshot.answers.iter().filter(|answer| answer.failure.is_none());
        let brief = known.clone().any(|answer| answer.preview);
        snapshot.stage = match failure {
            Some(failure) => Stage::Failed(failure),
            None if refinement.is_complete() => Stage::Final,
            None if known.clone().all(|answer| answer.report.is_none()) => Stage::Waiting,
            None if brief => Stage::Preview,
            None => Stage::Refining,
        };
        if refinement.is_complete() {
            // samples are large, and nobody needs them any more
            self.refinement = None;
        }
    }
}

fn answer(partial: Partial) -> Answer {
    Answer {
        mechanism: partial.way.mechanism,
        preview: partial.brief && partial.report.as_ref().is_none_or(|report| report.applicable),
        seeds: partial.seeds,
        report: partial.report.map(Arc::new),
        latency: Some(Arc::new(partial.latency)),
        failure: partial.failure.map(|failure| failure.to_string()),
    }
}

impl Shared {
    /// A thread that panicked while it held the board has left it in a whole state: all changes of it are assignments.
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut board = self.board();
        while !board.ended {
            match board.next_task() {
                None => board = self.wake.wait(board).unwrap_or_else(PoisonError::into_inner),
                Some(task) => {
                    drop(board);
                    self.perform(task);
                    board = self.board();
                }
            }
        }
    }

    fn perform(&self, task: Task) {
        match task {
            Task::Read(name) => self.read(name),
            Task::Prepare(request, workload) => self.prepare(*request, &workload),
            Task::Simulate { generation, common, piece, cancel } => {
                let result = common.simulate(piece, &cancel);
                self.change(generation, |board| {
                    if let Some(refinement) = &mut board.refinement {
                        refinement.keep(piece, result);
                    }
                    board.refresh();
                });
            }
            Task::Answer { generation, common, recorded, asked } => self.answer(generation, &common, &recorded, &asked),
        }
    }

    /// Changes the board and publishes what is known, unless the scenario has changed since.
    fn change(&self, generation: u64, change: impl FnOnce(&mut Board)) {
        let mut board = self.board();
        if board.snapshot.generation != generation || board.ended {
            return;
        }
        change(&mut board);
        (self.publish)(Arc::new(board.snapshot.clone()));
        drop(board);
        self.wake.notify_all();
    }

    /// Reads a workload. It is kept also when the scenario has changed since.
    fn read(&self, name: String) {
        let read = caught(|| workloads::load(&name).map_err(|error| format!("{error:#}")));
        let mut board = self.board();
        board.reading.remove(&name);
        match read {
            Ok(workload) => board.workloads.keep(&name, Arc::new(workload)),
            Err(problem) => {
                if let Some(request) = board.request.take_if(|request| request.scenario.workload == name) {
                    drop(board);
                    self.change(request.generation, |board| board.snapshot.stage = Stage::Failed(problem));
                }
            }
        }
        self.wake.notify_all();
    }

    /// Plans the comparison.
    fn prepare(&self, request: Request, workload: &Arc<Workload>) {
        let planned = caught(|| plan(workload, &request).map_err(|error| error.to_string()));
        self.change(request.generation, |board| match planned {
            Ok(refinement) => {
                board.recorded = Some(Arc::clone(workload));
                board.common = Some(refinement.common());
                board.refinement = Some(refinement).filter(|_| !request.is_known);
                board.refresh();
            }
            Err(problem) => board.snapshot.stage = Stage::Failed(problem),
        });
    }

    fn answer(&self, generation: u64, common: &Common, recorded: &Arc<Workload>, asked: &Asked) {
        let ground = Ground { workload: &common.workload, recorded, settings: &common.settings, cancel: &asked.cancel };
        let publish = |put: Put| {
            if !asked.cancel.load(Ordering::Relaxed) {
                self.change(generation, |board| put(&mut board.snapshot));
            }
        };
        let result = caught(|| match asked.question.answer(&ground, &publish) {
            Ok(()) | Err(Unanswered::Simulation(SimulationError::Cancelled)) => Ok(None),
            Err(error) => Ok(Some(error.to_string())),
        });
        let refusal = result.unwrap_or_else(Some);
        if !asked.cancel.load(Ordering::Relaxed) {
            self.change(generation, |board| {
                board.questions.retain(|other| !Arc::ptr_eq(&other.cancel, &asked.cancel));
                board.snapshot.refusal = refusal;
            });
        }
    }
}

fn plan(workload: &Arc<Workload>, request: &Request) -> Result<Refinement, ExperimentError> {
    let ways: Vec<Way> = ALL.iter().map(|entry| entry.mechanism.into()).collect();
    let interest: Vec<Mechanism> = request.scenario.mechanisms_by_interest();
    Refinement::new(workload, request.settings.clone(), &ways, &interest, request.command.clone())
}

/// A fault of the program in one scenario must not end the view.
fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err("ringscope has a fault here; please report it with the command that `c` shows".into()))
}
