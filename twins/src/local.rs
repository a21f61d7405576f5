//! Messages through a pair of local datagram sockets: what `recvmmsg`, `sendmmsg` and entries of a ring cost around a message. No network
//! is below, and no point of a curve is made of them.

use crate::case::{MESSAGE_BYTES, Way};
use crate::datagrams::{RECEIVE, SEND};
use crate::error::{TwinError, expect};
use crate::messages::Messages;
use crate::parts::{self, NOPS};
use crate::ring::{Ring, Submit};
use crate::runner::{Tally, Twin, Variant};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// The two directions: the name of the call that moves one message.
pub const CALLS: [&str; 2] = [RECEIVE, SEND];

/// Name of the series of calls that move one local message each.
pub fn one_by_one(call: &str) -> String {
    format!("{}, local", parts::call(call))
}

/// Name of the series of local messages that go the same way by [`Way::Messages`] or through a ring, by how many go together.
pub fn together(way: Way, call: &str) -> String {
    format!("{}, local, {}", parts::call(call), way.name())
}

/// Receives and sends, each one by one and, for each way, one and [`NOPS`] together; an operation is a message.
///
/// # Errors
/// When the host has no local sockets or no io_uring.
pub fn variants(ways: &[Way]) -> Result<Vec<Variant>, TwinError> {
    let mut all = Vec::new();
    for call in CALLS {
        let pair = |issue: Issue| -> Result<Box<dyn Twin>, TwinError> { Ok(Box::new(Pair::new(call == SEND, issue)?)) };
        all.push(Variant { series: one_by_one(call), x: 1, twin: pair(Issue::Call)? });
        for way in ways {
            for batch in [1, NOPS] {
                let issue = match way {
                    Way::Messages => Issue::Messages(Messages::new(NOPS as usize), batch as usize),
                    _ => Issue::Ring(Box::new(Ring::new(NOPS as usize, MESSAGE_BYTES, Submit::Enter)?), batch as usize),
                };
                all.push(Variant { series: together(*way, call), x: batch, twin: pair(issue)? });
            }
        }
    }
    Ok(all)
}

/// How messages are moved, and how many of them together.
enum Issue {
    Call,
    Messages(Messages, usize),
    Ring(Box<Ring>, usize),
}

struct Pair {
    // a ring goes before the sockets that its entries name
    issue: Issue,
    own: UnixDatagram,
    other: UnixDatagram,
    buffer: [u8; MESSAGE_BYTES],
    /// Sends are timed, not receives.
    sends: bool,
}

impl Pair {
    fn new(sends: bool, issue: Issue) -> Result<Pair, TwinError> {
        let (own, other) = UnixDatagram::pair().map_err(TwinError::host("socketpair"))?;
        for end in [&own, &other] {
            // a message that was lost is an error, not a standstill
            end.set_read_timeout(Some(Duration::from_secs(2))).map_err(TwinError::host("a timeout"))?;
        }
        Ok(Pair { issue, own, other, buffer: [1; MESSAGE_BYTES], sends })
    }

    /// As many messages as an enter has entries at most.
    fn fill(&mut self) -> Result<(), TwinError> {
        (0..NOPS).try_for_each(|_| send(&self.other, &self.buffer))
    }

    fn drain(&mut self) -> Result<(), TwinError> {
        (0..NOPS).try_for_each(|_| receive(&self.other, &mut self.buffer))
    }

    /// Moves [`NOPS`] messages; returns the calls.
    fn moved(&mut self) -> Result<u64, TwinError> {
        let (all, own, buffer) = (NOPS as usize, &self.own, &mut self.buffer);
        match (&mut self.issue, self.sends) {
            (Issue::Call, true) => (0..all).try_for_each(|_| send(own, buffer)).map(|()| all as u64),
            (Issue::Call, false) => (0..all).try_for_each(|_| receive(own, buffer)).map(|()| all as u64),
            (Issue::Messages(messages, batch), sends) => {
                for _ in 0..all / *batch {
                    if sends {
                        messages.send(own.as_raw_fd(), *batch)?;
                    } else {
                        expect("recvmmsg", messages.receive(own.as_raw_fd(), *batch)? as i64, *batch)?;
                    }
                }
                Ok((all / *batch) as u64)
            }
            (Issue::Ring(ring, batch), sends) => {
                ring.take_enters();
                for first in (0..all).step_by(*batch) {
                    let mut places = first..first + *batch;
                    if sends {
                        places.try_for_each(|place| ring.send(own.as_raw_fd(), place))?;
                    } else {
                        places.try_for_each(|place| ring.receive(own.as_raw_fd(), place))?;
                    }
                    ring.complete()?;
                }
                Ok(ring.take_enters())
            }
        }
    }

    fn round(&mut self, tally: &mut Tally) -> Result<(), TwinError> {
        if !self.sends {
            self.fill()?;
        }
        let begun = Instant::now();
        tally.calls += self.moved()?;
        tally.elapsed += begun.elapsed();
        tally.operations += u64::from(NOPS);
        tally.bytes += u64::from(NOPS) * MESSAGE_BYTES as u64;
        if self.sends { self.drain() } else { Ok(()) }
    }
}

impl Twin for Pair {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let mut tally = Tally::default();
        while tally.operations < operations {
            self.round(&mut tally)?;
        }
        Ok(tally)
    }
}

fn send(socket: &UnixDatagram, message: &[u8; MESSAGE_BYTES]) -> Result<(), TwinError> {
    let sent = socket.send(message).map_err(TwinError::host(SEND))?;
    expect(SEND, sent as i64, MESSAGE_BYTES)
}

fn receive(socket: &UnixDatagram, message: &mut [u8; MESSAGE_BYTES]) -> Result<(), TwinError> {
    let received = socket.recv(message).map_err(TwinError::host(RECEIVE))?;
    expect(RECEIVE, received as i64, MESSAGE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each way moves whole messages, with as many calls as it needs for them.
    #[test]
    fn all_ways_move_the_messages() {
        for mut variant in variants(&[Way::Messages, Way::Ring]).unwrap() {
            let tally = variant.twin.run(100).unwrap();
            assert_eq!((tally.operations, tally.bytes), (128, 128 * MESSAGE_BYTES as u64), "{}", variant.series);
            assert_eq!(tally.calls, 128 / u64::from(variant.x), "{} {}", variant.series, variant.x);
        }
    }

    #[test]
    fn names_are_parts_and_differ() {
        let all = variants(&[Way::Messages, Way::Ring]).unwrap();
        assert_eq!(all.len(), 10);
        assert!(all.iter().all(|variant| variant.series.starts_with(parts::PREFIX)));
        assert_eq!(together(Way::Ring, SEND), "part sendto, local, io_uring");
    }
}
