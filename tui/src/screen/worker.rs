//! Simulations on threads of their own. A new scenario drops what the old one had under way; every simulation that ends makes a new
//! snapshot of what is known. What has ended already is kept for when the user comes back, and once there are brief answers to the
//! present scenario the neighbouring ones are glimpsed at.

use super::prepared::{Job, Others, Prepared};
use super::questions::{Ground, Put, Question, Unanswered};
use super::recent::Recent;
use super::scenario::Scenario;
use super::snapshot::{Answer, Snapshot, Stage};
use crate::workloads;
use mechanisms::compare::ExperimentError;
use mechanisms::experiment::Settings;
use mechanisms::refinement::{Common, Partial, Refinement};
use mechanisms::registry::{ALL, Mechanism};
use mechanisms::simulate::SimulationError;
use mechanisms::variants::Way;
use sim_core::report::RunReport;
use sim_core::workload::Workload;
use std::collections::{BTreeSet, VecDeque};
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
    /// A scenario that nobody has taken up yet.
    request: Option<Request>,
    /// The comparison that is shown.
    present: Option<Prepared>,
    others: Others,
    /// What the next change most likely leads to.
    expected: VecDeque<Request>,
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
    Expect(Box<Request>, Arc<Workload>),
    Simulate(Job),
    Answer(Box<Answering>),
}

/// A question with what it is answered from.
struct Answering {
    generation: u64,
    common: Arc<Common>,
    recorded: Arc<Workload>,
    asked: Asked,
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

    /// Drops what is under way and begins with a scenario, or goes on with it.
    pub fn simulate(&self, request: Request) {
        let mut board = self.shared.board();
        board.take_up(request);
        if board.present.is_some() {
            (self.shared.publish)(Arc::new(board.snapshot.clone()));
        }
        drop(board);
        self.shared.wake.notify_all();
    }

    /// What the next change most likely leads to, the most likely first; it is glimpsed at once there are brief answers to the present
    /// scenario.
    pub fn expect(&self, requests: Vec<Request>) {
        let mut board = self.shared.board();
        board.others.expect_only(&requests.iter().map(|request| &*request.command).collect::<Vec<_>>());
        board.expected = requests.into();
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
        board.leave();
        board.others.stop();
        board.ended = true;
        drop(board);
        self.shared.wake.notify_all();
    }
}

impl Board {
    fn new() -> Board {
        Board {
            request: None,
            present: None,
            others: Others::default(),
            expected: VecDeque::new(),
            questions: Vec::new(),
            snapshot: Snapshot::default(),
            workloads: Recent::new(WORKLOADS_MOST),
            reading: BTreeSet::new(),
            ended: false,
        }
    }

    /// Stops what runs for the present scenario and keeps what is known of it.
    fn leave(&mut self) {
        self.questions.drain(..).for_each(|asked| asked.cancel.store(true, Ordering::Relaxed));
        self.request = None;
        self.expected.clear();
        if let Some(left) = self.present.take() {
            self.others.leave(left);
        }
    }

    /// Leaves the present scenario for another one.
    fn take_up(&mut self, request: Request) {
        self.leave();
        self.others.expect_only(&[&request.command]);
        self.snapshot = Snapshot { generation: request.generation, ..Snapshot::default() };
        match self.others.take(&request.command) {
            Some(begun) => {
                self.present = Some(begun);
                self.refresh();
            }
            None => self.request = Some(request),
        }
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

    /// Brief runs come first, then questions, then a glimpse at what is expected, then whole runs.
    fn next_task(&mut self) -> Option<Task> {
        if self.request.is_some() {
            return self.taking_up();
        }
        let present = self.present.as_ref()?;
        if !present.refinement.as_ref().is_some_and(Refinement::is_brief_next)
            && let Some(task) = self.answering().or_else(|| self.looking_ahead())
        {
            return Some(task);
        }
        self.present.as_mut()?.next_job().map(Task::Simulate)
    }

    fn answering(&mut self) -> Option<Task> {
        let present = self.present.as_ref()?;
        let asked = self.questions.iter_mut().find(|asked| !asked.taken)?;
        asked.taken = true;
        Some(Task::Answer(Box::new(Answering {
            generation: self.snapshot.generation,
            common: Arc::clone(&present.common),
            recorded: Arc::clone(&present.recorded),
            asked: asked.clone(),
        })))
    }

    fn looking_ahead(&mut self) -> Option<Task> {
        while let Some(request) = self.expected.pop_front() {
            let workload = self.workloads.get(&request.scenario.workload);
            if let Some(workload) = workload.filter(|_| !self.others.expect_known(&request.command)) {
                return Some(Task::Expect(Box::new(request), workload));
            }
        }
        self.others.next_glimpse().map(Task::Simulate)
    }

    /// True when a scenario is shown or kept.
    fn knows(&self, command: &str) -> bool {
        self.present.as_ref().is_some_and(|present| present.command == command) || self.others.know(command)
    }

    /// Puts what the refinement knows into the snapshot.
    fn refresh(&mut self) {
        let Some(refinement) = self.present.as_ref().and_then(|present| present.refinement.as_ref()) else { return };
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
            self.present.iter_mut().for_each(|present| present.refinement = None);
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
            Task::Expect(request, workload) => self.expect(&request, &workload),
            Task::Simulate(job) => self.simulate(&job),
            Task::Answer(answering) => self.answer(&answering),
        }
    }

    /// Does a simulation and keeps its result where it belongs.
    fn simulate(&self, job: &Job) {
        let result = job.common.simulate(job.piece, &job.cancel);
        let mut board = self.board();
        match board.present.as_mut().filter(|present| present.has(job)) {
            Some(present) => {
                present.keep(job.piece, result);
                board.refresh();
                (self.publish)(Arc::new(board.snapshot.clone()));
            }
            None => {
                if let Some(other) = board.others.find(job) {
                    other.keep(job.piece, result);
                }
            }
        }
        drop(board);
        self.wake.notify_all();
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
                board.present = Some(Prepared::new(&request, workload, refinement));
                board.refresh();
            }
            Err(problem) => board.snapshot.stage = Stage::Failed(problem),
        });
    }

    /// Plans a comparison that nobody has asked for yet. What is wrong with it is told when somebody does.
    fn expect(&self, request: &Request, workload: &Arc<Workload>) {
        let planned = caught(|| plan(workload, request).map_err(|error| error.to_string()));
        let mut board = self.board();
        if let Ok(refinement) = planned
            && board.snapshot.generation == request.generation
            && !board.knows(&request.command)
        {
            board.others.expect(Prepared::new(request, workload, refinement));
        }
        drop(board);
        self.wake.notify_all();
    }

    fn answer(&self, answering: &Answering) {
        let Answering { generation, common, recorded, asked } = answering;
        let generation = *generation;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::ExperimentOptions;
    use std::sync::mpsc::{Receiver, channel};

    fn worker() -> (Worker, Receiver<Arc<Snapshot>>) {
        let (sender, receiver) = channel();
        (Worker::start(1, move |snapshot| drop(sender.send(snapshot))).unwrap(), receiver)
    }

    fn request(generation: u64, connections: u32) -> Request {
        let experiment =
            ExperimentOptions { connections: Some(connections), reps: Some(2), requests: Some(60), ..ExperimentOptions::default() };
        let scenario = Scenario { workload: "null-call:8".into(), experiment, focus: Mechanism::ExceptionLess };
        let resolved = scenario.resolve().unwrap();
        let settings = resolved.settings().clone();
        Request { generation, scenario, settings, command: resolved.command, is_known: false }
    }

    /// The first snapshot of a scenario that fits.
    fn wait(receiver: &Receiver<Arc<Snapshot>>, generation: u64, fits: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut sound =
            receiver.iter().inspect(|snapshot| assert!(!matches!(snapshot.stage, Stage::Failed(_)), "{:?}", snapshot.stage));
        sound.find(|snapshot| snapshot.generation == generation && fits(snapshot)).expect("the worker goes on")
    }

    fn measured(snapshot: &Snapshot) -> usize {
        snapshot.answers.iter().filter(|answer| answer.measured().is_some()).count()
    }

    #[test]
    fn an_expected_scenario_is_answered_at_once() {
        let (worker, receiver) = worker();
        worker.simulate(request(1, 4));
        worker.expect(vec![request(1, 8)]);
        wait(&receiver, 1, |snapshot| snapshot.stage == Stage::Final);
        worker.simulate(request(2, 8));
        let first = wait(&receiver, 2, |_| true);
        assert_eq!((&first.stage, measured(&first)), (&Stage::Preview, 2));
        wait(&receiver, 2, |snapshot| snapshot.stage == Stage::Final);
    }

    /// What was known stands when the user comes back, what had been stopped is made up for, and the end is the same.
    #[test]
    fn a_scenario_that_was_left_goes_on() {
        let (worker, receiver) = worker();
        worker.simulate(request(1, 4));
        let whole = wait(&receiver, 1, |snapshot| snapshot.stage == Stage::Final);
        worker.simulate(request(2, 8));
        let left = wait(&receiver, 2, |snapshot| measured(snapshot) >= 3);
        worker.simulate(request(3, 4));
        wait(&receiver, 3, |snapshot| measured(snapshot) > 0);
        worker.simulate(request(4, 8));
        assert!(measured(&wait(&receiver, 4, |_| true)) >= measured(&left));
        wait(&receiver, 4, |snapshot| snapshot.stage == Stage::Final);
        worker.simulate(request(5, 4));
        let again = wait(&receiver, 5, |snapshot| snapshot.stage == Stage::Final);
        let text = |snapshot: &Snapshot| {
            let reports: Vec<_> = snapshot.answers.iter().map(|answer| answer.report.as_deref()).collect();
            serde_json::to_string(&reports).unwrap()
        };
        assert_eq!(text(&again), text(&whole));
    }
}
