//! Real servers that are installed on the host, asked as in the bundled recordings of them: what a request costs the server, by the
//! kernel's own account of its processor time, and how many system calls it makes.
//!
//! Server and client have one processor, as when they were recorded. The client writes a request on each connection, then takes the
//! replies: while it sleeps the server has the processor. What the client does is not on the server's account.

pub mod account;
mod client;
mod process;

use crate::case::{Server, ServerKind};
use crate::connections;
use crate::error::TwinError;
use crate::parts;
use crate::runner::{Tally, Twin, Variant};
use client::Client;
use nix::time::ClockId;
use process::Running;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Series of the processor time of a request on connections that stay.
pub const KEPT: &str = "processor time";
/// Series of the processor time of a request that has a connection of its own.
pub const ONCE: &str = "processor time, a connection each";
/// The processor time of a request with one connection: what the simpler models begin with. The simulation does not see it.
pub const BASE: &str = "part processor time of a request";
/// A sleep, a switch and a wake-up on one processor, without the calls that wait and wake.
pub const SWITCH: &str = "part switch";
/// An `accept4` and a `close`, together.
pub const ACCEPT_AND_CLOSE: &str = "part accept4 and close";
/// Connections that are accepted together.
const ACCEPTED: usize = 16;
/// Operations over which calls are counted.
const COUNTED_ROUNDS: u64 = 8;

/// All that is measured of a case. The second value says what was left out.
///
/// # Errors
/// When the server is not installed, does not start or does not answer.
pub fn variants(case: &Server) -> Result<(Vec<Variant>, Vec<String>), TwinError> {
    let mut all = vec![parts::null_call()];
    all.extend(parts::code());
    all.extend(connections::calls_and_waits(parts::STORE)?);
    all.push(Variant { series: SWITCH.into(), x: 1, twin: Box::new(switches()?) });
    all.push(Variant { series: ACCEPT_AND_CLOSE.into(), x: 1, twin: Box::new(accepts()?) });
    let server = Rc::new(Running::start(case.server)?);
    client::store_all(case.server, server.address())?;
    let mut left_out = Vec::new();
    let kept = case.connections.iter().map(|connections| (KEPT, *connections, true));
    let once = case.once.iter().map(|connections| (ONCE, *connections, false));
    for (series, connections, stay) in std::iter::once((BASE, 1, true)).chain(kept).chain(once) {
        let mut requests = Requests {
            client: Client::new(case.server, server.address(), connections, stay)?,
            server: Rc::clone(&server),
            calls: 0.0,
        };
        if let Err(reason) = requests.count_calls()? {
            left_out.push(format!("system calls of a request: {reason}"));
        }
        all.push(Variant { series: series.into(), x: connections, twin: Box::new(requests) });
    }
    left_out.dedup();
    Ok((all, left_out))
}

/// Why a server of the case cannot be asked here, if it cannot.
pub fn lacking(server: ServerKind) -> Option<String> {
    if !crate::lacking::in_path(server.program()) {
        return Some(format!("{} is not installed (no {} in the search path)", server.name(), server.program()));
    }
    account::available().err().map(|error| error.to_string())
}

/// Requests on a number of connections.
struct Requests {
    // connections are closed before the server goes
    client: Client,
    server: Rc<Running>,
    /// System calls of a request, where they can be counted.
    calls: f64,
}

impl Requests {
    /// Counts the server's calls over a few rounds, before anything is timed: counting them makes each of them dearer.
    fn count_calls(&mut self) -> Result<Result<(), String>, TwinError> {
        (0..COUNTED_ROUNDS).try_for_each(|_| self.client.round())?;
        let threads = account::threads(&self.server.processes())?;
        let mut counting = match host::perf::CallsOf::open(&threads) {
            Ok(counting) => counting,
            Err(absent) => return Ok(Err(absent.to_string())),
        };
        let client = &mut self.client;
        let (done, calls) = match counting.during(|| (0..COUNTED_ROUNDS).try_for_each(|_| client.round())) {
            Ok(counted) => counted,
            Err(absent) => return Ok(Err(absent.to_string())),
        };
        done?;
        self.calls = calls as f64 / (COUNTED_ROUNDS * self.client.connections()) as f64;
        Ok(Ok(()))
    }
}

impl Twin for Requests {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let processes = self.server.processes();
        let rounds = operations.div_ceil(self.client.connections());
        let before = account::processor_time(&processes)?;
        (0..rounds).try_for_each(|_| self.client.round())?;
        let elapsed = account::processor_time(&processes)?.saturating_sub(before);
        let operations = rounds * self.client.connections();
        Ok(Tally { operations, calls: (self.calls * operations as f64).round() as u64, bytes: 0, elapsed })
    }

    fn is_on_account(&self) -> bool {
        true
    }
}

/// Two threads on one processor that wake each other.
///
/// # Errors
/// When the host refuses a pipe or a thread.
pub fn switches() -> Result<impl Twin, TwinError> {
    Switches::new()
}

/// Connections that are accepted and closed.
///
/// # Errors
/// When the host has no loopback device.
pub fn accepts() -> Result<impl Twin, TwinError> {
    Accepts::new()
}

/// Two threads on one processor that wake each other, less the calls that they do it with.
struct Switches {
    to_peer: Option<PipeWriter>,
    from_peer: PipeReader,
    alone: (PipeReader, PipeWriter),
    peer: Option<JoinHandle<()>>,
}

impl Switches {
    fn new() -> Result<Switches, TwinError> {
        let pipe = || std::io::pipe().map_err(TwinError::host("a pipe"));
        let ((mut there, to_peer), (from_peer, mut back), alone) = (pipe()?, pipe()?, pipe()?);
        let answer = move || {
            let mut byte = [0];
            // ends when the asking end is closed
            while there.read_exact(&mut byte).is_ok() && back.write_all(&byte).is_ok() {}
        };
        // it inherits the processor that this thread is pinned to
        let peer = std::thread::Builder::new().spawn(answer).map_err(TwinError::host("a thread"))?;
        Ok(Switches { to_peer: Some(to_peer), from_peer, alone, peer: Some(peer) })
    }
}

impl Twin for Switches {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let failed = || TwinError::host("a byte through a pipe");
        let mut byte = [0];
        let begun = used()?;
        for _ in 0..operations {
            self.alone.1.write_all(&byte).and_then(|()| self.alone.0.read_exact(&mut byte)).map_err(failed())?;
        }
        let alone = used()?.saturating_sub(begun);
        let Some(to_peer) = &mut self.to_peer else { return Ok(Tally::default()) };
        let begun = used()?;
        for _ in 0..operations {
            to_peer.write_all(&byte).and_then(|()| self.from_peer.read_exact(&mut byte)).map_err(failed())?;
        }
        // a round there and back has two switches, and each end's write and read
        let elapsed = (used()?.saturating_sub(begun) / 2).saturating_sub(alone);
        Ok(Tally { operations, calls: 0, bytes: 0, elapsed })
    }

    fn is_on_account(&self) -> bool {
        true
    }
}

/// Processor time that this process has had, all threads together.
fn used() -> Result<Duration, TwinError> {
    let now = ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map_err(TwinError::host("the processor time of this process"))?;
    Ok(Duration::from(now))
}

impl Drop for Switches {
    fn drop(&mut self) {
        self.to_peer = None;
        if let Some(peer) = self.peer.take() {
            peer.join().ok();
        }
    }
}

/// Connections that wait are accepted and closed again.
struct Accepts {
    listener: TcpListener,
    address: SocketAddr,
}

impl Accepts {
    fn new() -> Result<Accepts, TwinError> {
        let refused = || TwinError::host("a TCP socket on the loopback device");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(refused())?;
        let address = listener.local_addr().map_err(refused())?;
        Ok(Accepts { listener, address })
    }
}

impl Twin for Accepts {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let mut tally = Tally::default();
        while tally.operations < operations {
            let connect = |_| TcpStream::connect(self.address).map_err(TwinError::host("connect"));
            let clients = (0..ACCEPTED).map(connect).collect::<Result<Vec<_>, _>>()?;
            let begun = Instant::now();
            for _ in &clients {
                drop(self.listener.accept().map_err(TwinError::host("accept4"))?);
            }
            tally.elapsed += begun.elapsed();
            tally.operations += clients.len() as u64;
            tally.calls += 2 * clients.len() as u64;
        }
        Ok(tally)
    }
}

/// How long a server may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
