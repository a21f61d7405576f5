//! A key-value server over TCP on the loopback device. Clients write a request on each connection, then the server's phase is timed,
//! then the clients take the replies: one process on one processor, but for a kernel thread that polls the ring on another.

use crate::case::{Connections, EVENTS_MAX, MESSAGE_BYTES, Store, Way};
use crate::datagrams::receives_together;
use crate::error::{TwinError, expect};
use crate::interrupted::clock_cost;
use crate::local;
use crate::parts;
use crate::ring::{Ring, Submit};
use crate::runner::{Stretches, Tally, Twin, Uncounted, Variant};
use crate::table::{Table, request};
use crate::work::UserWork;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Series of the server that asks for readiness and makes each call where it stands.
pub const SYNCHRONOUS: &str = "epoll";
/// The receive, measured apart.
pub const RECEIVE: &str = "recvfrom";
/// The send, measured apart.
pub const SEND: &str = "sendto";
/// Connections on which parts are measured: as many events as an `epoll_wait` returns at most.
const PART_CONNECTIONS: u32 = EVENTS_MAX as u32;

/// All that is measured of a case. What the host cannot run is left out; the second value says why.
///
/// # Errors
/// When the host has no io_uring or no loopback device.
pub fn variants(case: &Connections, beside: Option<usize>) -> Result<(Vec<Variant>, Vec<String>), TwinError> {
    let mut all = vec![parts::null_call()];
    let mut left_out = Vec::new();
    all.extend(parts::ring_nops()?);
    all.extend(receives_together()?);
    all.extend(local::variants(&[Way::Ring])?);
    all.extend(calls_and_waits(case.store)?);
    let server = |connections: u32, step: Step| -> Result<Box<dyn Twin>, TwinError> {
        Ok(Box::new(Server::new(case.store, connections, step)?))
    };
    all.push(Variant { series: parts::USER.into(), x: 1, twin: server(PART_CONNECTIONS, Step::User)? });
    for connections in &case.connections {
        let twin = server(*connections, Step::Serve(ready_set()?))?;
        all.push(Variant { series: SYNCHRONOUS.into(), x: *connections, twin });
    }
    let most = case.connections.iter().max().copied().unwrap_or(1) as usize;
    for way in &case.ways {
        let submit = match (way, beside) {
            (Way::RingPolled, None) => {
                left_out.push(format!("{}: it needs a second processor", way.name()));
                continue;
            }
            (Way::RingPolled, Some(processor)) => Submit::Polled { processor: processor as u32 },
            _ => Submit::Enter,
        };
        // one ring for all: each polling thread looks for entries for a second after its last one, and several would share its processor
        let shared = Rc::new(RefCell::new(Ring::new(most, MESSAGE_BYTES, submit)?));
        for connections in &case.connections {
            let ring = Rc::clone(&shared);
            all.push(Variant { series: way.name().into(), x: *connections, twin: server(*connections, Step::Ring(ring))? });
        }
    }
    Ok((all, left_out))
}

/// Parts on TCP connections: a receive and a send that follow themselves, a send that comes back cold, waits.
///
/// # Errors
/// When the host has no loopback device.
pub fn calls_and_waits(store: Store) -> Result<Vec<Variant>, TwinError> {
    let server =
        |connections: u32, step: Step| -> Result<Box<dyn Twin>, TwinError> { Ok(Box::new(Server::new(store, connections, step)?)) };
    let swept = Step::SendCold(UserWork::new(parts::SWEEP), clock_cost());
    let mut all = vec![
        Variant { series: parts::call(RECEIVE), x: 1, twin: server(PART_CONNECTIONS, Step::Receive)? },
        Variant { series: parts::call(SEND), x: 1, twin: server(PART_CONNECTIONS, Step::Send)? },
        Variant { series: parts::cold(SEND), x: 1, twin: server(PART_CONNECTIONS, swept)? },
    ];
    for events in [1, PART_CONNECTIONS] {
        all.push(Variant { series: parts::EPOLL.into(), x: events, twin: server(events, Step::Ready(ready_set()?))? });
    }
    Ok(all)
}

/// A processor that a polling thread can have: any but the one that the twin stays on.
///
/// # Errors
/// When the kernel does not say which processors there are.
pub fn processor_beside(own: usize) -> Result<Option<usize>, TwinError> {
    Ok(host::processors::allowed()?.into_iter().find(|processor| *processor != own))
}

/// An epoll set with room for what it returns.
struct ReadySet {
    epoll: Epoll,
    events: [EpollEvent; EVENTS_MAX],
}

fn ready_set() -> Result<ReadySet, TwinError> {
    let epoll = Epoll::new(EpollCreateFlags::empty()).map_err(TwinError::host("epoll_create1"))?;
    Ok(ReadySet { epoll, events: [EpollEvent::empty(); EVENTS_MAX] })
}

impl ReadySet {
    /// Waits for requests; returns how many connections have one.
    fn wait(&mut self) -> Result<usize, TwinError> {
        // a request that was lost is an error, not a standstill
        const PATIENCE_MS: u16 = 2000;
        let ready = self.epoll.wait(&mut self.events, PATIENCE_MS).map_err(TwinError::host("epoll_wait"))?;
        if ready == 0 { Err(TwinError::Lacking("a request did not arrive within two seconds".into())) } else { Ok(ready) }
    }
}

/// What is timed.
enum Step {
    User,
    Receive,
    Send,
    /// Sends, each after a sweep of the first level.
    SendCold(UserWork, Duration),
    Ready(ReadySet),
    Serve(ReadySet),
    Ring(Rc<RefCell<Ring>>),
}

struct Server {
    // a ring goes before the sockets that its entries name
    step: Step,
    table: Table,
    /// The server's ends, then the clients'.
    server: Vec<TcpStream>,
    clients: Vec<TcpStream>,
    buffers: Vec<[u8; MESSAGE_BYTES]>,
    asked: u64,
}

impl Server {
    fn new(store: Store, connections: u32, step: Step) -> Result<Server, TwinError> {
        let (server, clients) = connect(connections)?;
        if let Step::Ready(set) | Step::Serve(set) = &step {
            for (place, connection) in server.iter().enumerate() {
                let event = EpollEvent::new(EpollFlags::EPOLLIN, place as u64);
                set.epoll.add(connection, event).map_err(TwinError::host("epoll_ctl"))?;
            }
        }
        let buffers = vec![[0; MESSAGE_BYTES]; connections as usize];
        Ok(Server { step, table: Table::new(store), server, clients, buffers, asked: 0 })
    }

    /// A request on each connection.
    fn ask(&mut self) -> Result<(), TwinError> {
        for client in &mut self.clients {
            write(client, &request(self.asked))?;
            self.asked += 1;
        }
        Ok(())
    }

    fn receive_all(&mut self) -> Result<(), TwinError> {
        self.server.iter_mut().zip(&mut self.buffers).try_for_each(|(connection, buffer)| read(connection, buffer))
    }

    /// One round; what is timed of it.
    fn round(&mut self, tally: &mut Tally, stretches: &mut dyn Stretches) -> Result<(), TwinError> {
        let all = self.server.len();
        if !matches!(self.step, Step::User) {
            self.ask()?;
        }
        // a send answers a request, so that its acknowledgement goes with it, as in the server
        if matches!(self.step, Step::Send | Step::SendCold(..)) {
            self.receive_all()?;
        }
        stretches.begins();
        let begun = Instant::now();
        let mut cold = None;
        let (calls, moved) = match &mut self.step {
            Step::User => {
                self.buffers.iter_mut().for_each(|buffer| self.table.serve(buffer));
                (0, 0)
            }
            Step::Send => {
                self.server.iter_mut().zip(&self.buffers).try_for_each(|(connection, buffer)| write(connection, buffer))?;
                (all, all)
            }
            Step::SendCold(sweep, clock) => {
                let mut sum = Duration::ZERO;
                for (connection, buffer) in self.server.iter_mut().zip(&self.buffers) {
                    sweep.run();
                    let begun = Instant::now();
                    write(connection, buffer)?;
                    sum += begun.elapsed().saturating_sub(*clock);
                }
                sweep.result();
                cold = Some(sum);
                (all, all)
            }
            Step::Receive => {
                self.receive_all()?;
                (all, all)
            }
            Step::Ready(set) => {
                expect("epoll_wait", set.wait()? as i64, all)?;
                (1, 0)
            }
            Step::Serve(set) => (serve(set, &mut self.server, &mut self.buffers, &self.table)?, 2 * all),
            Step::Ring(ring) => (serve_ring(&mut ring.borrow_mut(), &self.server, &self.table)?, 2 * all),
        };
        tally.elapsed += cold.unwrap_or_else(|| begun.elapsed());
        stretches.ends();
        // a wait is one operation, whatever it returns
        tally.operations += if matches!(self.step, Step::Ready(_)) { 1 } else { all as u64 };
        tally.calls += calls as u64;
        tally.bytes += (moved * MESSAGE_BYTES) as u64;
        self.settle()
    }

    /// Takes what is left in the sockets.
    fn settle(&mut self) -> Result<(), TwinError> {
        let buffers = &mut self.buffers;
        let mut drain =
            |ends: &mut Vec<TcpStream>| ends.iter_mut().zip(buffers.iter_mut()).try_for_each(|(end, buffer)| read(end, buffer));
        match self.step {
            Step::User => Ok(()),
            Step::Ready(_) => drain(&mut self.server),
            // a receive without an answer would have to send the acknowledgement itself
            Step::Receive => {
                self.server.iter_mut().zip(&self.buffers).try_for_each(|(connection, buffer)| write(connection, buffer))?;
                self.clients.iter_mut().zip(&mut self.buffers).try_for_each(|(end, buffer)| read(end, buffer))
            }
            Step::Send | Step::SendCold(..) | Step::Serve(_) | Step::Ring(_) => drain(&mut self.clients),
        }
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
        }
        Ok(tally)
    }
}

/// So many connections over the loopback device: the server's ends, and the clients'.
fn connect(connections: u32) -> Result<(Vec<TcpStream>, Vec<TcpStream>), TwinError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(TwinError::host("a TCP socket on the loopback device"))?;
    let address = listener.local_addr().map_err(TwinError::host("getsockname"))?;
    let patience = Some(Duration::from_secs(2));
    let (mut server, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..connections {
        let client = TcpStream::connect(address).map_err(TwinError::host("connect"))?;
        let (accepted, _) = listener.accept().map_err(TwinError::host("accept"))?;
        for end in [&client, &accepted] {
            end.set_nodelay(true).and_then(|()| end.set_read_timeout(patience)).map_err(TwinError::host("a socket option"))?;
        }
        server.push(accepted);
        clients.push(client);
    }
    Ok((server, clients))
}

fn write(connection: &mut TcpStream, message: &[u8; MESSAGE_BYTES]) -> Result<(), TwinError> {
    let written = connection.write(message).map_err(TwinError::host(SEND))?;
    expect(SEND, written as i64, MESSAGE_BYTES)
}

fn read(connection: &mut TcpStream, message: &mut [u8; MESSAGE_BYTES]) -> Result<(), TwinError> {
    let got = connection.read(message).map_err(TwinError::host(RECEIVE))?;
    expect(RECEIVE, got as i64, MESSAGE_BYTES)
}

/// An event loop until every connection has its reply; returns the calls.
fn serve(
    set: &mut ReadySet,
    connections: &mut [TcpStream],
    buffers: &mut [[u8; MESSAGE_BYTES]],
    table: &Table,
) -> Result<usize, TwinError> {
    let (mut served, mut calls) = (0, 0);
    while served < connections.len() {
        let ready = set.wait()?;
        for event in &set.events[..ready] {
            let place = event.data() as usize;
            read(&mut connections[place], &mut buffers[place])?;
            table.serve(&mut buffers[place]);
            write(&mut connections[place], &buffers[place])?;
        }
        served += ready;
        calls += 1 + 2 * ready;
    }
    Ok(calls)
}

/// All receives together, then all sends.
fn serve_ring(ring: &mut Ring, connections: &[TcpStream], table: &Table) -> Result<usize, TwinError> {
    ring.take_enters();
    for (place, connection) in connections.iter().enumerate() {
        ring.receive(connection.as_raw_fd(), place)?;
    }
    ring.complete()?;
    (0..connections.len()).for_each(|place| table.serve(ring.buffer(place)));
    for (place, connection) in connections.iter().enumerate() {
        ring.send(connection.as_raw_fd(), place)?;
    }
    ring.complete()?;
    Ok(ring.take_enters() as usize)
}
