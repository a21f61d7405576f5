//! A key-value server over UDP on the loopback device. The client fills the server's socket buffer, then the server's phase is timed,
//! then the client takes the replies: one process on one processor.

use crate::case::{Datagrams, MESSAGE_BYTES, Store, Way};
use crate::error::{TwinError, expect};
use crate::interrupted::clock_cost;
use crate::local;
use crate::messages::Messages;
use crate::parts;
use crate::ring::{Ring, Submit};
use crate::runner::{Stretches, Tally, Twin, Uncounted, Variant};
use crate::table::{Table, request};
use crate::work::UserWork;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Series of the server that receives and sends one message at a time.
pub const SYNCHRONOUS: &str = "recvfrom/sendto";
/// The receive, measured apart.
pub const RECEIVE: &str = "recvfrom";
/// The send, measured apart.
pub const SEND: &str = "sendto";

/// All that is measured of a case.
///
/// # Errors
/// When the host has no io_uring or no loopback device.
pub fn variants(case: &Datagrams) -> Result<Vec<Variant>, TwinError> {
    let mut all = calls_alone(case.store, case.waiting)?;
    all.extend(parts::ring_nops()?);
    all.extend(receives_together()?);
    all.extend(local::variants(&[Way::Messages, Way::Ring])?);
    let server = |step: Step| -> Result<Box<dyn Twin>, TwinError> { Ok(Box::new(Server::new(case.store, case.waiting, step)?)) };
    all.push(Variant { series: SYNCHRONOUS.into(), x: 1, twin: server(Step::Serve)? });
    for way in &case.ways {
        for batch in &case.batches {
            let step = match way {
                Way::Messages => Step::Messages(Messages::new(*batch as usize), *batch as usize),
                _ => Step::Ring(Box::new(Ring::new(*batch as usize, MESSAGE_BYTES, Submit::Enter)?), *batch as usize),
            };
            all.push(Variant { series: way.name().into(), x: *batch, twin: server(step)? });
        }
    }
    Ok(all)
}

/// The parts of a server over UDP: the null call, the server's own work, its calls.
///
/// # Errors
/// When the host has no loopback device.
pub fn calls_alone(store: Store, waiting: u32) -> Result<Vec<Variant>, TwinError> {
    let steps = [
        (parts::USER.to_owned(), Step::User),
        (parts::call(RECEIVE), Step::Receive),
        (parts::call(SEND), Step::Send),
        (parts::cold(SEND), Step::SendCold(UserWork::new(parts::SWEEP), clock_cost())),
    ];
    let mut all = vec![parts::null_call()];
    for (series, step) in steps {
        all.push(Variant { series, x: 1, twin: Box::new(Server::new(store, waiting, step)?) });
    }
    Ok(all)
}

/// Receives alone, one by one and several in one call: parts of every case with batches.
///
/// # Errors
/// When the host has no loopback device.
pub fn receives_together() -> Result<Vec<Variant>, TwinError> {
    let server = |step: Step| -> Result<Box<dyn Twin>, TwinError> { Ok(Box::new(Server::new(parts::STORE, parts::NOPS, step)?)) };
    let mut all = vec![Variant { series: parts::RECEIVED.into(), x: 1, twin: server(Step::Receive)? }];
    for batch in [1, parts::NOPS] {
        let step = Step::ReceiveTogether(Messages::new(batch as usize), batch as usize);
        all.push(Variant { series: parts::RECEIVED_TOGETHER.into(), x: batch, twin: server(step)? });
    }
    Ok(all)
}

/// What is timed.
enum Step {
    User,
    Receive,
    ReceiveTogether(Messages, usize),
    Send,
    /// Sends, each after a sweep of the first level.
    SendCold(UserWork, Duration),
    Serve,
    Messages(Messages, usize),
    Ring(Box<Ring>, usize),
}

struct Server {
    // a ring goes before the sockets that its entries name
    step: Step,
    table: Table,
    server: UdpSocket,
    client: UdpSocket,
    buffers: Vec<[u8; MESSAGE_BYTES]>,
    asked: u64,
}

impl Server {
    fn new(store: Store, waiting: u32, step: Step) -> Result<Server, TwinError> {
        let (server, client) = (socket(0)?, socket(0)?);
        connect(&server, &client)?;
        connect(&client, &server)?;
        let buffers = vec![[0; MESSAGE_BYTES]; waiting as usize];
        Ok(Server { step, table: Table::new(store), server, client, buffers, asked: 0 })
    }

    /// The client asks for as many keys as there are buffers.
    fn ask(&mut self) -> Result<(), TwinError> {
        for _ in 0..self.buffers.len() {
            send(&self.client, &request(self.asked))?;
            self.asked += 1;
        }
        Ok(())
    }

    /// Takes what came to a socket.
    fn take(&mut self, of_client: bool) -> Result<(), TwinError> {
        for buffer in &mut self.buffers {
            receive(if of_client { &self.client } else { &self.server }, buffer)?;
        }
        Ok(())
    }

    /// One round; what is timed of it.
    fn round(&mut self, tally: &mut Tally, stretches: &mut dyn Stretches) -> Result<(), TwinError> {
        if matches!(self.step, Step::User | Step::Send | Step::SendCold(..)) {
            return self.round_of_parts(tally);
        }
        self.ask()?;
        stretches.begins();
        let begun = Instant::now();
        let calls = match &mut self.step {
            Step::Messages(messages, batch) => serve_messages(messages, *batch, &self.server, &self.table, self.buffers.len())?,
            Step::Ring(ring, batch) => serve_ring(ring, *batch, &self.server, &self.table, self.buffers.len())?,
            Step::Receive => {
                for buffer in &mut self.buffers {
                    receive(&self.server, buffer)?;
                }
                self.buffers.len() as u64
            }
            Step::ReceiveTogether(messages, batch) => {
                for _ in 0..self.buffers.len() / *batch {
                    expect("recvmmsg", messages.receive(self.server.as_raw_fd(), *batch)? as i64, *batch)?;
                }
                (self.buffers.len() / *batch) as u64
            }
            _ => {
                for buffer in &mut self.buffers {
                    receive(&self.server, buffer)?;
                    self.table.serve(buffer);
                    send(&self.server, buffer)?;
                }
                2 * self.buffers.len() as u64
            }
        };
        tally.elapsed += begun.elapsed();
        stretches.ends();
        tally.calls += calls;
        if matches!(self.step, Step::Receive | Step::ReceiveTogether(..)) {
            tally.bytes += (self.buffers.len() * MESSAGE_BYTES) as u64;
            return Ok(());
        }
        tally.bytes += (2 * self.buffers.len() * MESSAGE_BYTES) as u64;
        self.take(true)
    }

    /// The server's own work, or its sends.
    fn round_of_parts(&mut self, tally: &mut Tally) -> Result<(), TwinError> {
        for buffer in &mut self.buffers {
            *buffer = request(self.asked);
            self.asked += 1;
        }
        let begun = Instant::now();
        if matches!(self.step, Step::User) {
            self.buffers.iter_mut().for_each(|buffer| self.table.serve(buffer));
            tally.elapsed += begun.elapsed();
            return Ok(());
        }
        if let Step::SendCold(sweep, clock) = &mut self.step {
            for buffer in &self.buffers {
                sweep.run();
                let begun = Instant::now();
                send(&self.server, buffer)?;
                tally.elapsed += begun.elapsed().saturating_sub(*clock);
            }
            sweep.result();
        } else {
            self.buffers.iter().try_for_each(|buffer| send(&self.server, buffer))?;
            tally.elapsed += begun.elapsed();
        }
        tally.calls += self.buffers.len() as u64;
        tally.bytes += (self.buffers.len() * MESSAGE_BYTES) as u64;
        self.take(true)
    }
}

impl Twin for Server {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        self.run_in_stretches(operations, &mut Uncounted)
    }

    fn run_in_stretches(&mut self, operations: u64, stretches: &mut dyn Stretches) -> Result<Tally, TwinError> {
        let mut tally = Tally::default();
        while tally.operations < operations {
            self.round(&mut tally, stretches)?;
            tally.operations += self.buffers.len() as u64;
        }
        Ok(tally)
    }
}

/// A socket on the loopback device, on a port of its own when none is given.
pub(crate) fn socket(port: u16) -> Result<UdpSocket, TwinError> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).map_err(TwinError::host("a UDP socket on the loopback device"))?;
    // a message that was lost is an error, not a standstill
    socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(TwinError::host("a timeout"))?;
    Ok(socket)
}

/// Lets a socket talk to another one alone.
pub(crate) fn connect(from: &UdpSocket, to: &UdpSocket) -> Result<(), TwinError> {
    to.local_addr().and_then(|address| from.connect(address)).map_err(TwinError::host("connecting UDP sockets"))
}

pub(crate) fn send(socket: &UdpSocket, message: &[u8; MESSAGE_BYTES]) -> Result<(), TwinError> {
    let sent = socket.send(message).map_err(TwinError::host(SEND))?;
    expect(SEND, sent as i64, MESSAGE_BYTES)
}

pub(crate) fn receive(socket: &UdpSocket, message: &mut [u8; MESSAGE_BYTES]) -> Result<(), TwinError> {
    let received = socket.recv(message).map_err(TwinError::host(RECEIVE))?;
    expect(RECEIVE, received as i64, MESSAGE_BYTES)
}

/// Serves what waits with two calls a batch; returns the calls.
fn serve_messages(messages: &mut Messages, batch: usize, socket: &UdpSocket, table: &Table, all: usize) -> Result<u64, TwinError> {
    let (mut served, mut calls) = (0, 0);
    while served < all {
        let got = messages.receive(socket.as_raw_fd(), batch.min(all - served))?;
        (0..got).for_each(|place| table.serve(messages.message(place)));
        messages.send(socket.as_raw_fd(), got)?;
        served += got;
        calls += 2;
    }
    Ok(calls)
}

/// Serves what waits with two enters a batch.
fn serve_ring(ring: &mut Ring, batch: usize, socket: &UdpSocket, table: &Table, all: usize) -> Result<u64, TwinError> {
    let socket = socket.as_raw_fd();
    let mut served = 0;
    ring.take_enters();
    while served < all {
        let now = batch.min(all - served);
        (0..now).try_for_each(|place| ring.receive(socket, place))?;
        ring.complete()?;
        (0..now).for_each(|place| table.serve(ring.buffer(place)));
        (0..now).try_for_each(|place| ring.send(socket, place))?;
        ring.complete()?;
        served += now;
    }
    Ok(ring.take_enters())
}
