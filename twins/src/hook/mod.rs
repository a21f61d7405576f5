//! A key-value store over UDP on the loopback device of a network namespace: a server process answers, or a program at the XDP hook.
//! Whole rounds are timed, the client's calls too, because what the hook spares is done inside the client's send.
//!
//! A program on the loopback device runs in generic mode: it sees a packet when the receive softirq takes it, with its own copy of the
//! packet's head. What it sends back goes out of the loopback device and comes in again, through the program once more, to the client's
//! socket; all of it before the client's `sendto` returns.

mod namespace;
mod program;

use crate::case::{Hook, MESSAGE_BYTES, Store};
use crate::datagrams::{self, connect, receive, send, socket};
use crate::error::TwinError;
use crate::lacking::in_path;
use crate::runner::{Tally, Twin, Variant};
use crate::table::{Table, request};
use namespace::inside;
use program::{ANSWER, DROP, Loaded, PORT};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

/// Series of rounds that a server answers.
pub const SERVER: &str = "server";
/// Series of rounds that the program at the hook answers.
pub const HOOK: &str = "XDP";
/// Sends whose messages the program drops at the hook.
pub const DROPPED: &str = "XDP, dropped";
/// The program alone, run by the kernel on a packet of its own.
pub const PROGRAM: &str = "part program";
/// A send whose message the program lets through to a socket: what the hook itself costs.
pub const PASSED: &str = "part sendto, passed at the hook";

/// Messages that are sent together where calls are measured alone.
pub const TOGETHER: u32 = 64;

/// All that is measured of a case.
///
/// # Errors
/// What the host lacks.
pub fn variants(case: &Hook) -> Result<Vec<Variant>, TwinError> {
    let mut all = inside(|| datagrams::calls_alone(case.store, TOGETHER))?;
    let mut push = |series: &str, x: u32, twin: Box<dyn Twin>| all.push(Variant { series: series.into(), x, twin });
    push(PROGRAM, 1, Box::new(Alone(Loaded::of(case.store)?)));
    push(DROPPED, 1, Box::new(inside(|| Sends::dropped(case.store))?));
    push(PASSED, 1, Box::new(inside(|| Sends::passed(case.store))?));
    for burst in &case.bursts {
        push(SERVER, *burst, Box::new(inside(|| Rounds::served(case.store, *burst))?));
        push(HOOK, *burst, Box::new(inside(|| Rounds::hooked(case.store, *burst))?));
    }
    Ok(all)
}

/// Tries whether a program can be compiled, loaded and attached here, and whether it answers.
///
/// # Errors
/// What the host lacks.
pub fn tried() -> Result<(), TwinError> {
    let missing =
        [(nix::unistd::geteuid().is_root(), "the rights of root"), (in_path("clang"), "clang with the bpf target (install clang)")];
    let missing: Vec<&str> = missing.into_iter().filter(|(there, _)| !there).map(|(_, what)| what).collect();
    if !missing.is_empty() {
        return Err(TwinError::Lacking(format!("the host lacks {}", missing.join(" and "))));
    }
    match inside(|| Rounds::hooked(Store { entries: 1 }, 1)) {
        Err(TwinError::Host { what, source }) => {
            Err(TwinError::Lacking(format!("the host lacks a kernel that allows {what} ({source})")))
        }
        other => other.map(drop),
    }
}

/// The program alone.
struct Alone(Loaded);

impl Twin for Alone {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        // the kernel takes no more at a time without a look at its clock
        let times = operations.clamp(1, 1 << 20) as u32;
        let elapsed = self.0.run_alone(&request(1), times)?;
        Ok(Tally { operations: times.into(), calls: 0, bytes: 0, elapsed })
    }
}

/// A client's socket that talks to the program's port.
fn client() -> Result<UdpSocket, TwinError> {
    let client = socket(0)?;
    client.connect((Ipv4Addr::LOCALHOST, PORT)).map_err(TwinError::host("connecting a UDP socket"))?;
    Ok(client)
}

/// A program that is loaded and attached.
fn attached(store: Store, name: &str) -> Result<Loaded, TwinError> {
    let mut program = Loaded::of(store)?;
    program.attach(name)?;
    Ok(program)
}

/// Sends alone.
struct Sends {
    client: UdpSocket,
    /// Who takes what the program let through.
    receiver: Option<UdpSocket>,
    _program: Loaded,
    asked: u64,
}

impl Sends {
    fn dropped(store: Store) -> Result<Sends, TwinError> {
        Ok(Sends { client: client()?, receiver: None, _program: attached(store, DROP)?, asked: 0 })
    }

    /// To another port than the one that the program answers for.
    fn passed(store: Store) -> Result<Sends, TwinError> {
        let (client, receiver) = (socket(0)?, socket(0)?);
        connect(&client, &receiver)?;
        Ok(Sends { client, receiver: Some(receiver), _program: attached(store, ANSWER)?, asked: 0 })
    }
}

impl Twin for Sends {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let together = u64::from(TOGETHER);
        let mut tally = Tally::default();
        while tally.operations < operations {
            let begun = Instant::now();
            for _ in 0..together {
                send(&self.client, &request(self.asked))?;
                self.asked += 1;
            }
            tally.elapsed += begun.elapsed();
            tally.operations += together;
            if let Some(receiver) = &self.receiver {
                (0..together).try_for_each(|_| receive(receiver, &mut [0; MESSAGE_BYTES]))?;
            }
        }
        (tally.calls, tally.bytes) = (tally.operations, tally.operations * MESSAGE_BYTES as u64);
        Ok(tally)
    }
}

/// Who answers.
enum Answering {
    Server(UdpSocket, Table),
    Hook { _program: Loaded },
}

/// Whole rounds.
struct Rounds {
    client: UdpSocket,
    answering: Answering,
    buffers: Vec<[u8; MESSAGE_BYTES]>,
    asked: u64,
}

impl Rounds {
    fn served(store: Store, burst: u32) -> Result<Rounds, TwinError> {
        let (server, client) = (socket(PORT)?, client()?);
        connect(&server, &client)?;
        Rounds::checked(store, burst, client, Answering::Server(server, Table::new(store)))
    }

    fn hooked(store: Store, burst: u32) -> Result<Rounds, TwinError> {
        let client = client()?;
        Rounds::checked(store, burst, client, Answering::Hook { _program: attached(store, ANSWER)? })
    }

    /// After a round whose replies have been looked at.
    fn checked(store: Store, burst: u32, client: UdpSocket, answering: Answering) -> Result<Rounds, TwinError> {
        let mut rounds = Rounds { client, answering, buffers: vec![[0; MESSAGE_BYTES]; burst as usize], asked: 0 };
        rounds.round()?;
        let table = Table::new(store);
        for (number, reply) in (0..).zip(&rounds.buffers) {
            let mut expected = request(number);
            table.serve(&mut expected);
            if *reply != expected {
                return Err(TwinError::Wrong(format!("the answer to request {number} holds another value than the store")));
            }
        }
        Ok(rounds)
    }

    fn round(&mut self) -> Result<(), TwinError> {
        for _ in 0..self.buffers.len() {
            send(&self.client, &request(self.asked))?;
            self.asked += 1;
        }
        if let Answering::Server(server, table) = &self.answering {
            for buffer in &mut self.buffers {
                receive(server, buffer)?;
                table.serve(buffer);
                send(server, buffer)?;
            }
        }
        self.buffers.iter_mut().try_for_each(|buffer| receive(&self.client, buffer))
    }
}

impl Twin for Rounds {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let burst = self.buffers.len() as u64;
        let rounds = operations.div_ceil(burst);
        let begun = Instant::now();
        (0..rounds).try_for_each(|_| self.round())?;
        let elapsed = begun.elapsed();
        let requests = rounds * burst;
        let calls_each = if matches!(self.answering, Answering::Server(..)) { 4 } else { 2 };
        Ok(Tally {
            operations: requests,
            calls: calls_each * requests,
            bytes: calls_each * requests * MESSAGE_BYTES as u64,
            elapsed,
        })
    }
}
