//! The laboratory: experiments asked for by rows and figures. Each is run once per seed, all that are wanted at a time in parallel, and
//! shared by everybody who asks for the same one.
//!
//! An evaluator asks ([`Lab::ask`]) and goes on when the answer is there; until then it returns [`Stop::Pending`], its wish is written
//! down, and it is called again after the next round ([`Store::settle`]). So a search may ask for one point after another, while all
//! that can be known at once is run at once: ask for everything before the first `?`.

use crate::conditions::{Conditions, Failure, Supplies};
use mechanisms::compare::{ExperimentError, Job};
use mechanisms::experiment::SettingsError;
use sim_core::manifest::PartsHash;
use sim_core::parallel::{self, Outcome, Sweep};
use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that can be run under [`Conditions`], once per seed. What it measures is its own type.
pub trait Experiment: Clone + Send + Sync + 'static {
    /// What one seed gives.
    type Output: Send + Sync + 'static;
    /// Name of the kind of experiment: two kinds under the same conditions are not the same experiment.
    const KIND: &'static str;

    /// Machine, kernel, clients, workload: what sensitivity and ablation change alike in all experiments.
    fn conditions(&mut self) -> &mut Conditions;

    /// Adds what decides the result besides the conditions.
    fn identify(&self, hash: PartsHash) -> PartsHash;

    /// How long it takes compared with others: the longest are begun first.
    fn weight(&self) -> u64 {
        1
    }

    /// Runs it.
    ///
    /// # Errors
    /// When the conditions cannot be simulated.
    fn run(&self, supplies: &Supplies, seed: u64) -> Result<Self::Output, Failure>;
}

/// Why an evaluator has no outcome yet, or will have none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// It waits for experiments of the next round.
    #[error("not run")]
    Pending,
    /// An experiment failed, or what it measured cannot answer the question.
    #[error("{0}")]
    Failed(String),
}

impl From<SettingsError> for Stop {
    fn from(error: SettingsError) -> Stop {
        Stop::Failed(error.to_string())
    }
}

impl Stop {
    /// A failure with its cause.
    pub fn failed(cause: impl Into<String>) -> Stop {
        Stop::Failed(cause.into())
    }
}

/// What one seed gave.
type Anything = Box<dyn Any + Send + Sync>;
/// What all seeds gave, in their order.
type Outputs = Arc<dyn Any + Send + Sync>;
/// Runs one seed of an experiment.
type Work = Box<dyn Fn(&Supplies, u64) -> Result<Anything, Failure> + Send + Sync>;

/// An experiment that somebody wants.
struct Wish {
    weight: u64,
    seeds: Vec<u64>,
    run: Work,
    collect: fn(Vec<Anything>) -> Outputs,
}

/// Results of experiments by the hash of all that decides them, and what is still to do.
#[derive(Default)]
pub struct Store {
    supplies: Supplies,
    results: RefCell<BTreeMap<String, Result<Outputs, String>>>,
    wishes: RefCell<BTreeMap<String, Wish>>,
}

impl Store {
    /// An empty store.
    pub fn new() -> Store {
        Store::default()
    }

    /// Experiments done so far.
    pub fn len(&self) -> usize {
        self.results.borrow().len()
    }

    /// True before the first round.
    pub fn is_empty(&self) -> bool {
        self.results.borrow().is_empty()
    }

    /// Runs every experiment that is wanted. False when there was none: then nobody is pending.
    ///
    /// # Errors
    /// An interruption, or host threads that cannot be started. An experiment that fails is told to those who asked for it.
    pub fn settle(&self, job: &Job) -> Result<bool, ExperimentError> {
        let mut wishes: Vec<(String, Wish)> = std::mem::take(&mut *self.wishes.borrow_mut()).into_iter().collect();
        if wishes.is_empty() {
            return Ok(false);
        }
        wishes.sort_by_key(|(_, wish)| std::cmp::Reverse(wish.weight));
        let points: Vec<(usize, u64)> =
            wishes.iter().enumerate().flat_map(|(index, (_, wish))| wish.seeds.iter().map(move |seed| (index, *seed))).collect();
        let supplies = &self.supplies;
        let work = |_: usize, point: &(usize, u64)| (wishes[point.0].1.run)(supplies, point.1);
        let sweep = Sweep {
            threads: (job.threads > 0).then_some(job.threads),
            cancel: job.cancel,
            progress: job.progress,
            what: "simulations",
        };
        let outcomes = parallel::map(&points, sweep, work, |_, _| {})
            .map_err(|error| ExperimentError::Threads { threads: job.threads, cause: error.to_string() })?;
        self.keep(&wishes, outcomes)
    }

    /// Puts away the results of the experiments whose seeds have all been run.
    fn keep(&self, wishes: &[(String, Wish)], outcomes: Vec<Outcome<Anything, Failure>>) -> Result<bool, ExperimentError> {
        let mut outcomes = outcomes.into_iter();
        let mut interrupted = false;
        for (key, wish) in wishes {
            let mut outputs = Vec::new();
            let mut failure = None;
            for outcome in outcomes.by_ref().take(wish.seeds.len()) {
                match outcome {
                    Outcome::Done(output) => outputs.push(output),
                    Outcome::Failed(error) => failure = failure.or(Some(error.to_string())),
                    Outcome::Cancelled => interrupted = true,
                }
            }
            let whole = outputs.len() == wish.seeds.len();
            if failure.is_some() || whole {
                let result = failure.map_or_else(|| Ok((wish.collect)(outputs)), Err);
                self.results.borrow_mut().insert(key.clone(), result);
            }
        }
        if interrupted { Err(ExperimentError::Cancelled) } else { Ok(true) }
    }
}

/// Changes the conditions of every experiment of a lab alike.
pub type Transform<'a> = &'a dyn Fn(&mut Conditions);

/// A store seen under one set of changes to all conditions.
#[derive(Clone, Copy)]
pub struct Lab<'a> {
    store: &'a Store,
    reps: u32,
    transform: Option<Transform<'a>>,
}

impl<'a> Lab<'a> {
    /// A lab that runs each experiment with `reps` seeds unless its conditions say otherwise.
    pub fn new(store: &'a Store, reps: u32) -> Lab<'a> {
        Lab { store, reps, transform: None }
    }

    /// The same store under changed conditions: an experiment that the change does not touch is not run again.
    #[must_use]
    pub fn with(self, transform: Transform<'a>) -> Lab<'a> {
        Lab { transform: Some(transform), ..self }
    }

    /// The outputs of an experiment, one for each seed, in the order of the seeds.
    ///
    /// # Errors
    /// [`Stop::Pending`] until it has been run; [`Stop::Failed`] when it could not be.
    pub fn ask<E: Experiment>(&self, experiment: &E) -> Result<Arc<Vec<E::Output>>, Stop> {
        let mut own = experiment.clone();
        if let Some(transform) = self.transform {
            transform(own.conditions());
        }
        let conditions = own.conditions();
        let reps = conditions.reps.unwrap_or(self.reps).max(1);
        let first = conditions.settings.run.seed;
        let seeds: Vec<u64> = (0..u64::from(reps)).map(|rep| first + rep).collect();
        let hash = PartsHash::new()
            .part("kind", E::KIND.as_bytes())
            .part("reps", &reps.to_le_bytes())
            .serialized("conditions", &*conditions)
            .map_err(|error| Stop::failed(error.to_string()))?;
        let key = own.identify(hash).finish();
        match self.store.results.borrow().get(&key) {
            Some(Ok(outputs)) => {
                let outputs = Arc::clone(outputs).downcast();
                return outputs.map_err(|_| Stop::failed(format!("two experiments of kind {} share a key", E::KIND)));
            }
            Some(Err(cause)) => return Err(Stop::Failed(cause.clone())),
            None => {}
        }
        let wish = Wish {
            weight: own.weight(),
            seeds,
            run: Box::new(move |supplies, seed| boxed(&own, supplies, seed)),
            collect: collect::<E>,
        };
        self.store.wishes.borrow_mut().entry(key).or_insert(wish);
        Err(Stop::Pending)
    }

    /// The outputs of several experiments: all are wanted before the first is waited for.
    ///
    /// # Errors
    /// As [`Lab::ask`], for the first that has no answer.
    pub fn ask_all<E: Experiment>(&self, experiments: &[E]) -> Result<Vec<Arc<Vec<E::Output>>>, Stop> {
        let answers: Vec<_> = experiments.iter().map(|experiment| self.ask(experiment)).collect();
        answers.into_iter().collect()
    }
}

fn boxed<E: Experiment>(experiment: &E, supplies: &Supplies, seed: u64) -> Result<Anything, Failure> {
    Ok(Box::new(experiment.run(supplies, seed)?))
}

fn collect<E: Experiment>(outputs: Vec<Anything>) -> Outputs {
    Arc::new(outputs.into_iter().filter_map(|output| output.downcast::<E::Output>().ok()).map(|output| *output).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mechanisms::experiment::Settings;
    use sim_core::progress::Silent;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    static RUNS: AtomicU64 = AtomicU64::new(0);

    #[derive(Clone)]
    struct Doubling {
        conditions: Conditions,
        number: u64,
    }

    impl Experiment for Doubling {
        type Output = u64;
        const KIND: &'static str = "doubling";

        fn conditions(&mut self) -> &mut Conditions {
            &mut self.conditions
        }

        fn identify(&self, hash: PartsHash) -> PartsHash {
            hash.part("number", &self.number.to_le_bytes())
        }

        fn run(&self, _supplies: &Supplies, seed: u64) -> Result<u64, Failure> {
            RUNS.fetch_add(1, Ordering::Relaxed);
            if self.number == 0 {
                Err(Failure::Workload { name: "none".into(), cause: "has no complete request".into() })
            } else {
                Ok(2 * self.number * u64::from(self.conditions.settings.run.cores) + seed)
            }
        }
    }

    fn doubling(number: u64) -> Doubling {
        Doubling { conditions: Conditions::new("none", Settings::preset("nehalem-atc11", "linux-6.1").unwrap()), number }
    }

    /// Doubles until the result is large enough: each step needs the one before.
    fn search(lab: &Lab) -> Result<u64, Stop> {
        let mut number = 1;
        while number < 10 {
            number = lab.ask(&doubling(number))?[0] - 1;
        }
        Ok(number)
    }

    fn finish<T>(store: &Store, evaluate: impl Fn() -> Result<T, Stop>) -> (Result<T, Stop>, usize) {
        let cancel = AtomicBool::new(false);
        let job = Job { threads: 2, progress: &Silent, cancel: &cancel, command: String::new() };
        let mut rounds = 0;
        loop {
            let result = evaluate();
            if !store.settle(&job).unwrap() {
                return (result, rounds);
            }
            rounds += 1;
        }
    }

    #[test]
    fn searches_go_on_in_rounds_and_points_are_run_once() {
        let store = Store::new();
        let lab = Lab::new(&store, 2);
        let (result, rounds) = finish(&store, || search(&lab));
        assert_eq!((result, rounds), (Ok(16), 4));
        let before = RUNS.load(Ordering::Relaxed);
        assert_eq!(finish(&store, || search(&lab)), (Ok(16), 0));
        assert_eq!(RUNS.load(Ordering::Relaxed), before, "nothing is run twice");
        let outputs = finish(&store, || lab.ask_all(&[doubling(1), doubling(7)])).0.unwrap();
        assert_eq!(outputs.iter().map(|seeds| seeds.to_vec()).collect::<Vec<_>>(), [[3, 4], [15, 16]]);
    }

    #[test]
    fn a_transform_is_part_of_what_is_asked_and_failures_are_told() {
        let store = Store::new();
        let lab = Lab::new(&store, 1);
        let four = |conditions: &mut Conditions| conditions.settings.run.cores = 4;
        let both = || Ok((lab.ask(&doubling(3))?[0], lab.with(&four).ask(&doubling(3))?[0]));
        assert_eq!(finish(&store, both).0, Ok((7, 25)));
        let failed = finish(&store, || lab.ask(&doubling(0))).0.unwrap_err();
        assert!(matches!(&failed, Stop::Failed(cause) if cause.contains("no complete request")), "{failed}");
    }
}
