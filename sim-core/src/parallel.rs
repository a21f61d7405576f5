//! Parallel work over independent points: runs of a sweep, mechanisms of a comparison, seeds. Results come back in the order of the
//! points, whatever the number of threads; each point may fail by itself; a flag stops the rest.

use crate::progress::Progress;
use rayon::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// How to run a sweep.
#[derive(Clone, Copy)]
pub struct Sweep<'a> {
    /// Host threads; `None` takes rayon's own number (the host's processors).
    pub threads: Option<usize>,
    /// Once set, no further point is begun; those under way end.
    pub cancel: &'a AtomicBool,
    /// Hears of each finished point.
    pub progress: &'a dyn Progress,
    /// What the points are, for the progress display: `runs`.
    pub what: &'a str,
}

/// What became of one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T, E> {
    /// Its result.
    Done(T),
    /// Its failure.
    Failed(E),
    /// Not begun: the sweep was cancelled before.
    Cancelled,
}

impl<T, E> Outcome<T, E> {
    /// The result, if there is one.
    pub fn done(self) -> Option<T> {
        match self {
            Outcome::Done(result) => Some(result),
            Outcome::Failed(_) | Outcome::Cancelled => None,
        }
    }

    /// The failure, if there is one.
    pub fn failure(&self) -> Option<&E> {
        match self {
            Outcome::Failed(failure) => Some(failure),
            Outcome::Done(_) | Outcome::Cancelled => None,
        }
    }
}

/// A sweep that could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ParallelError {
    /// No threads were asked for.
    #[error("0 threads: give at least 1, or leave the number out to use all processors")]
    NoThreads,
    /// The host did not give the threads.
    #[error("the host did not start {threads} threads ({source}): ask for fewer")]
    Pool {
        /// Threads asked for.
        threads: usize,
        /// Why.
        source: rayon::ThreadPoolBuildError,
    },
}

/// Does `work` on each point, given its index, and returns the outcomes in the order of the points. `finished` is called from a worker
/// thread as soon as a point is done or has failed, in the order in which they end: the place to write a result down. A sweep inside
/// `work` with no number of threads of its own shares the outer one's threads.
///
/// # Errors
/// [`ParallelError`] when there are no threads to work on; failures of points are outcomes, not errors.
pub fn map<P, T, E>(
    points: &[P],
    sweep: Sweep,
    work: impl Fn(usize, &P) -> Result<T, E> + Sync,
    finished: impl Fn(usize, &Result<T, E>) + Sync,
) -> Result<Vec<Outcome<T, E>>, ParallelError>
where
    P: Sync,
    T: Send,
    E: Send,
{
    let one = |(index, point): (usize, &P)| {
        if sweep.cancel.load(Ordering::Relaxed) {
            return Outcome::Cancelled;
        }
        let result = work(index, point);
        finished(index, &result);
        sweep.progress.step(1);
        match result {
            Ok(result) => Outcome::Done(result),
            Err(failure) => Outcome::Failed(failure),
        }
    };
    // Points differ by orders of magnitude in length, so each is a task of its own.
    let all = || points.par_iter().enumerate().with_max_len(1).map(one).collect();
    let pool = sweep.threads.map(pool).transpose()?;
    sweep.progress.start(sweep.what, points.len() as u64);
    let outcomes = match pool {
        Some(pool) => pool.install(all),
        None => all(),
    };
    sweep.progress.finish();
    Ok(outcomes)
}

fn pool(threads: usize) -> Result<rayon::ThreadPool, ParallelError> {
    if threads == 0 {
        return Err(ParallelError::NoThreads);
    }
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(|source| ParallelError::Pool { threads, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use crate::seed::SeedTree;
    use rand::Rng;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;

    fn sweep(threads: Option<usize>, cancel: &AtomicBool) -> Sweep<'_> {
        Sweep { threads, cancel, progress: &Silent, what: "points" }
    }

    /// A number that depends on the point and takes a different time for each.
    fn draw(index: usize, point: &u64) -> Result<u64, String> {
        let mut rng = SeedTree::new(*point).child_index(index as u64).rng();
        let last = (0..(point * 37) % 5000).map(|_| rng.next_u64()).last().unwrap_or(0);
        if point % 10 == 3 { Err(format!("point {point}")) } else { Ok(last) }
    }

    #[test]
    fn results_do_not_depend_on_the_threads() {
        let points: Vec<u64> = (0..100).collect();
        let run = |threads| map(&points, sweep(threads, &AtomicBool::new(false)), draw, |_, _| ()).expect("threads");
        let alone = run(Some(1));
        assert_eq!(alone[13], Outcome::Failed("point 13".into()));
        assert_eq!(alone[14], Outcome::Done(draw(14, &14).expect("not a failing point")));
        assert_eq!(alone.iter().filter(|outcome| outcome.failure().is_some()).count(), 10);
        for threads in [Some(2), Some(7), None] {
            assert_eq!(run(threads), alone);
        }
    }

    #[test]
    fn cancelling_keeps_what_is_done() {
        let cancel = AtomicBool::new(false);
        let points: Vec<u64> = (0..50).collect();
        let written = Mutex::new(Vec::new());
        let work = |_: usize, point: &u64| {
            if *point == 4 {
                cancel.store(true, Ordering::Relaxed);
            }
            Ok::<u64, String>(*point)
        };
        let outcomes = map(&points, sweep(Some(1), &cancel), work, |index, _| {
            written.lock().expect("no writer panics").push(index);
        });
        let done: Vec<_> = outcomes.expect("one thread").into_iter().filter_map(Outcome::done).collect();
        let mut written = written.into_inner().expect("no writer panics");
        written.sort_unstable();
        assert!(done.contains(&4) && done.len() < points.len(), "{done:?}");
        assert_eq!(written, done.iter().map(|point| *point as usize).collect::<Vec<_>>());
    }

    #[derive(Default)]
    struct Counter {
        total: AtomicU64,
        done: AtomicU64,
        finished: AtomicBool,
    }

    impl Progress for Counter {
        fn start(&self, what: &str, total: u64) {
            assert_eq!(what, "points");
            self.total.store(total, Ordering::Relaxed);
        }

        fn step(&self, count: u64) {
            self.done.fetch_add(count, Ordering::Relaxed);
        }

        fn finish(&self) {
            self.finished.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn progress_hears_of_every_point() {
        let counter = Counter::default();
        let cancel = AtomicBool::new(false);
        let sweep = Sweep { progress: &counter, ..sweep(Some(3), &cancel) };
        map(&[1_u64, 2, 3, 4, 5], sweep, draw, |_, _| ()).expect("three threads");
        assert_eq!((counter.total.into_inner(), counter.done.into_inner()), (5, 5));
        assert!(counter.finished.into_inner());
    }

    #[test]
    fn no_threads_are_refused_and_no_points_are_fine() {
        let cancel = AtomicBool::new(false);
        assert!(matches!(map(&[1_u64], sweep(Some(0), &cancel), draw, |_, _| ()), Err(ParallelError::NoThreads)));
        assert_eq!(map(&[], sweep(Some(2), &cancel), draw, |_, _| ()).expect("two threads"), []);
    }
}
