//! Context switches and wake-ups: two threads that wait for each other, on one processor and on two.
//!
//! On one processor each half round is a sleep, a switch and a wake-up; on two it is a wake-up of a sleeping processor. Threads of one
//! process share their page tables, so no address space changes.

use super::Bench;
use crate::error::HostError;
pub use crate::names::switches::{FUTEX, PIPE, PIPE_ALONE};
use crate::processors::Pinned;
use crate::series::{Label, Series};
use rustix::io::{read, write};
use rustix::thread::futex;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

/// Rounds of one short run: under a millisecond on one processor.
const ROUNDS: u64 = 32;
const NEXT: &str = "raise the limit of open files (ulimit -n)";

/// Measures all three; on one processor only when there is no second.
///
/// # Errors
/// No pipe, or interrupted.
pub fn measure(bench: &Bench) -> Result<Vec<Series>, HostError> {
    let processors: Vec<(u64, usize)> =
        std::iter::once((1, bench.processor)).chain(bench.other_processor.map(|other| (2, other))).collect();
    let xs: Vec<u64> = processors.iter().map(|processor| processor.0).collect();
    let peer = |x: u64| processors.iter().find(|processor| processor.0 == x).map_or(bench.processor, |processor| processor.1);
    let label = |name| Label { name, axis: "processors", unit: "cycles" };
    Ok(vec![
        bench.series(label(PIPE), &xs, |x, _| through_pipes(bench, peer(x)))?,
        bench.series(label(FUTEX), &xs, |x, _| through_a_futex(bench, peer(x)))?,
        bench.series(label(PIPE_ALONE), &[1], |_, _| pipe_alone(bench))?,
    ])
}

fn pipe() -> Result<(OwnedFd, OwnedFd), HostError> {
    rustix::pipe::pipe().map_err(HostError::system("making a pipe", NEXT))
}

fn pass(from: &OwnedFd, to: &OwnedFd) -> io::Result<bool> {
    let mut byte = [0];
    let read = read(from, &mut byte)?;
    if read > 0 {
        write(to, &byte)?;
    }
    Ok(read > 0)
}

/// Remembers the first failure of a call in a loop that is timed.
#[derive(Default)]
struct FirstFailure(Option<io::Error>);

impl FirstFailure {
    fn note<T>(&mut self, result: io::Result<T>) {
        if let Err(error) = result {
            self.0.get_or_insert(error);
        }
    }

    fn or(self, cycles: f64) -> Result<f64, HostError> {
        match self.0 {
            None => Ok(cycles),
            Some(error) => Err(HostError::system("passing a byte through a pipe", NEXT)(error)),
        }
    }
}

fn through_pipes(bench: &Bench, peer: usize) -> Result<f64, HostError> {
    let ((there, to_peer), (back, from_peer)) = (pipe()?, pipe()?);
    drop(Pinned::to(peer)?);
    let _pinned = Pinned::to(bench.processor)?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _pinned = Pinned::to(peer);
            // Ends when the asking side closes its end.
            while pass(&there, &from_peer).unwrap_or(false) {}
        });
        let mut failure = FirstFailure::default();
        let mut round = || {
            failure.note(write(&to_peer, &[0]).map_err(io::Error::from));
            failure.note(read(&back, &mut [0u8]).map_err(io::Error::from));
        };
        round();
        let cycles = bench.quietest(2 * ROUNDS, || (0..ROUNDS).for_each(|_| round()));
        drop(to_peer);
        failure.or(cycles)
    })
}

fn pipe_alone(bench: &Bench) -> Result<f64, HostError> {
    let (out, into) = pipe()?;
    let mut failure = FirstFailure::default();
    let mut round = || {
        failure.note(write(&into, &[0]).map_err(io::Error::from));
        failure.note(read(&out, &mut [0u8]).map_err(io::Error::from));
    };
    round();
    let cycles = bench.quietest(ROUNDS, || (0..ROUNDS).for_each(|_| round()));
    failure.or(cycles)
}

/// Nobody's turn but the asking thread's.
const ASKER: u32 = 0;
/// The other thread's turn.
const PEER: u32 = 1;
/// The other thread is to end.
const STOP: u32 = 2;

/// Gives the turn to somebody else and wakes him.
fn give(turn: &AtomicU32, to: u32) {
    turn.store(to, Ordering::Release);
    // A failure means that nobody sleeps there, and the word says whose turn it is.
    futex::wake(turn, futex::Flags::PRIVATE, 1).ok();
}

/// Sleeps as long as the word says this; gives back what it says then.
fn wait_while(turn: &AtomicU32, word: u32) -> u32 {
    loop {
        let now = turn.load(Ordering::Acquire);
        if now != word {
            return now;
        }
        // Returns at once when the word has changed meanwhile, and may return early: the word decides.
        futex::wait(turn, futex::Flags::PRIVATE, word, None).ok();
    }
}

fn through_a_futex(bench: &Bench, peer: usize) -> Result<f64, HostError> {
    let turn = AtomicU32::new(ASKER);
    drop(Pinned::to(peer)?);
    let _pinned = Pinned::to(bench.processor)?;
    let cycles = std::thread::scope(|scope| {
        scope.spawn(|| {
            let _pinned = Pinned::to(peer);
            while wait_while(&turn, ASKER) != STOP {
                give(&turn, ASKER);
            }
        });
        let round = || {
            give(&turn, PEER);
            wait_while(&turn, PEER);
        };
        round();
        let cycles = bench.quietest(2 * ROUNDS, || (0..ROUNDS).for_each(|_| round()));
        give(&turn, STOP);
        cycles
    });
    Ok(cycles)
}
