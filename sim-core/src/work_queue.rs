//! Jobs of very uneven cost on all host threads: the most expensive one is always taken next, and a finished job may bring more.
//!
//! Where [`crate::parallel::map`] divides a list among threads, this keeps one list that all threads take from: with the expensive jobs
//! begun first, the threads end at nearly the same time.

use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A job and its place in the queue.
#[derive(Debug)]
pub struct Job<T> {
    /// Estimated cost, in any unit.
    pub cost: u64,
    /// What is to be done.
    pub task: T,
}

struct Waiting<T> {
    cost: u64,
    /// Jobs of the same cost are taken in the order in which they came.
    sequence: u64,
    task: T,
}

impl<T> Waiting<T> {
    fn rank(&self) -> (u64, std::cmp::Reverse<u64>) {
        (self.cost, std::cmp::Reverse(self.sequence))
    }
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

struct State<T> {
    waiting: BinaryHeap<Waiting<T>>,
    under_way: usize,
    next_sequence: u64,
}

struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Queue<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        // the lock is never held while a job runs, so a panic leaves the state whole
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, jobs: impl IntoIterator<Item = Job<T>>) {
        let mut state = self.state();
        for job in jobs {
            let sequence = state.next_sequence;
            state.next_sequence += 1;
            state.waiting.push(Waiting { cost: job.cost, sequence, task: job.task });
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The next job; `None` when nothing waits and nothing under way can bring more, or when the work is to stop.
    fn take(&self, stop: &impl Fn() -> bool) -> Option<T> {
        let mut state = self.state();
        loop {
            if stop() {
                return None;
            }
            if let Some(job) = state.waiting.pop() {
                state.under_way += 1;
                return Some(job.task);
            }
            if state.under_way == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Says that a job has ended, also when it panics: otherwise the other threads would wait for it for ever.
struct Ended<'a, T>(&'a Queue<T>);

impl<T> Drop for Ended<'_, T> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.changed.notify_all();
    }
}

/// Does `work` on all jobs and on the jobs that it returns, on `threads` threads (at least one). Once `stop` says so, no further job is
/// begun; those under way end.
pub fn work_through<T: Send>(
    jobs: Vec<Job<T>>,
    threads: usize,
    stop: impl Fn() -> bool + Sync,
    work: impl Fn(T) -> Vec<Job<T>> + Sync,
) {
    let state = State { waiting: BinaryHeap::new(), under_way: 0, next_sequence: 0 };
    let queue = Queue { state: Mutex::new(state), changed: Condvar::new() };
    queue.add(jobs);
    let worker = || {
        while let Some(task) = queue.take(&stop) {
            let ended = Ended(&queue);
            queue.add(work(task));
            drop(ended);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    fn jobs(costs: &[u64]) -> Vec<Job<u64>> {
        costs.iter().map(|cost| Job { cost: *cost, task: *cost }).collect()
    }

    #[test]
    fn the_most_expensive_comes_first_also_among_those_that_come_later() {
        let seen = Mutex::new(Vec::new());
        work_through(
            jobs(&[1, 5, 3]),
            1,
            || false,
            |cost| {
                seen.lock().unwrap().push(cost);
                if cost == 5 { jobs(&[4, 2]) } else { Vec::new() }
            },
        );
        assert_eq!(seen.into_inner().unwrap(), [5, 4, 3, 2, 1]);
    }

    #[test]
    fn jobs_of_the_same_cost_keep_their_order() {
        let seen = Mutex::new(Vec::new());
        let equal = (0..20).map(|task| Job { cost: 1, task }).collect();
        work_through(
            equal,
            1,
            || false,
            |task: u64| {
                seen.lock().unwrap().push(task);
                Vec::new()
            },
        );
        assert_eq!(seen.into_inner().unwrap(), (0..20).collect::<Vec<u64>>());
    }

    #[test]
    fn every_job_is_done_once_whatever_the_threads() {
        for threads in [0, 1, 2, 7] {
            let sum = AtomicU64::new(0);
            // each job halves itself into two until nothing is left: 2^n leaves
            work_through(
                jobs(&[64, 32]),
                threads,
                || false,
                |cost| {
                    sum.fetch_add(1, Ordering::Relaxed);
                    if cost > 1 { jobs(&[cost / 2, cost / 2]) } else { Vec::new() }
                },
            );
            assert_eq!(sum.into_inner(), 127 + 63, "{threads} threads");
        }
    }

    #[test]
    fn stopping_leaves_the_rest() {
        let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
        work_through(
            jobs(&[9, 8, 7, 6]),
            1,
            || stop.load(Ordering::Relaxed),
            |cost| {
                done.fetch_add(cost, Ordering::Relaxed);
                stop.store(cost == 8, Ordering::Relaxed);
                Vec::new()
            },
        );
        assert_eq!(done.into_inner(), 17);
    }

    #[test]
    #[should_panic(expected = "a job's own fault")]
    fn a_panic_ends_the_work_instead_of_hanging_it() {
        work_through(jobs(&[2, 1]), 1, || false, |_| panic!("a job's own fault"));
    }
}
