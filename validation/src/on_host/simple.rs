//! Two simpler models, made of the same parts as the prediction.
//!
//! - *Direct cost*: calls cost what they cost when they follow themselves; what a batch saves is the null calls that it spares.
//! - *Sum of parts*: each piece costs what it costs alone: user work, the call without its crossing, and what issuing several together costs
//!   besides, as reads of a byte and local messages show it.

use crate::on_host::OnHostError;
use crate::on_host::points::Point;
use crate::on_host::readings::Parts;
use serde::Serialize;
use twins::case::{EVENTS_MAX, Interrupted, Program, ReadLoop, Way};
use twins::{Case, connections, datagrams, hook, interrupted, local, parts, read_loop, servers};

/// What the simpler models say to a point, as a ratio.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Simple {
    /// Direct cost only.
    pub direct: f64,
    /// Sum of parts.
    pub parts: f64,
}

/// What they say to a point.
///
/// # Errors
/// A part that is missing.
pub fn simple(case: &Case, point: &Point, measured: &Parts) -> Result<Simple, OnHostError> {
    match &case.program {
        Program::ReadLoop(own) => reads(own, point, measured),
        Program::Interrupted(own) => interruption(own, point, measured),
        Program::Datagrams(_) => messages(point, measured),
        Program::Connections(_) => replies(point, measured),
        Program::Server(_) => requests(point, measured),
        Program::Hook(_) => hooked(point, measured),
    }
}

/// What an entry and an enter of a ring cost, from enters with one entry and with many that do nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RingCost {
    /// Each entry.
    pub entry: f64,
    /// Each enter besides.
    pub enter: f64,
}

/// The ring's own cost.
///
/// # Errors
/// When it was not measured.
pub fn ring_cost(measured: &Parts) -> Result<RingCost, OnHostError> {
    let (one, many) = (measured.get(parts::RING_NOP, 1)?, measured.get(parts::RING_NOP, parts::NOPS)?);
    let entry = (many - one) / f64::from(parts::NOPS - 1);
    Ok(RingCost { entry, enter: one - entry })
}

/// What an entry that reads and an enter with such entries cost, the reads' own work as a call left out.
fn ring_cost_of_reads(measured: &Parts, way: Way) -> Result<RingCost, OnHostError> {
    let series = parts::reads_of_a_byte(way);
    let (one, many) = (measured.get(&series, 1)?, measured.get(&series, parts::NOPS)?);
    let entry = (many - one) / f64::from(parts::NOPS - 1);
    Ok(RingCost { entry: entry - measured.get(parts::BYTE_READ, 1)?, enter: one - entry })
}

/// What a call costs besides where as many as a batch go together, as local messages show it: a share that is paid for each, and one that the
/// batch pays once.
fn besides_of_local(measured: &Parts, way: Way, call: &str, batch: f64) -> Result<f64, OnHostError> {
    let series = local::together(way, call);
    let alone = measured.get(&local::one_by_one(call), 1)?;
    let [one, many] = [measured.get(&series, 1)? - alone, measured.get(&series, parts::NOPS)? - alone];
    let share = 1.0 / f64::from(parts::NOPS);
    let once = (one - many) / (1.0 - share);
    Ok(many - once * share + once / batch)
}

fn besides_of_both(measured: &Parts, way: Way, batch: f64) -> Result<f64, OnHostError> {
    local::CALLS.iter().try_fold(0.0, |sum, call| Ok(sum + besides_of_local(measured, way, call, batch)?))
}

fn reads(case: &ReadLoop, point: &Point, measured: &Parts) -> Result<Simple, OnHostError> {
    let null = measured.get(parts::NULL_CALL, 1)?;
    let call = measured.get(&parts::call(read_loop::CALL), 1)?;
    let user = measured.get(parts::USER, case.work.instructions)?;
    let registered = point.place.series == Way::RingRegistered.name();
    let ring = ring_cost_of_reads(measured, if registered { Way::RingRegistered } else { Way::Ring })?;
    let batch = f64::from(point.place.x);
    let together = user + call;
    Ok(Simple {
        direct: (together - null * (1.0 - 1.0 / batch)) / together,
        parts: (together + ring.entry + ring.enter / batch) / together,
    })
}

fn interruption(case: &Interrupted, point: &Point, measured: &Parts) -> Result<Simple, OnHostError> {
    if point.place.series != interrupted::TOTAL {
        // neither knows that work and call disturb each other
        return Ok(Simple { direct: 1.0, parts: 1.0 });
    }
    let user = measured.get(parts::USER, point.place.x)?;
    let null = measured.get(parts::NULL_CALL, 1)?;
    let call = measured.get(&parts::call(case.call.name()), 1)?;
    Ok(Simple { direct: (user + null) / user, parts: (user + call) / user })
}

fn messages(point: &Point, measured: &Parts) -> Result<Simple, OnHostError> {
    let null = measured.get(parts::NULL_CALL, 1)?;
    let user = measured.get(parts::USER, 1)?;
    let calls = measured.get(&parts::call(datagrams::RECEIVE), 1)? + measured.get(&parts::call(datagrams::SEND), 1)?;
    let batch = f64::from(point.place.x);
    let together = user + calls;
    let saved = (together - 2.0 * null * (1.0 - 1.0 / batch)) / together;
    let way = if point.place.series == Way::Messages.name() { Way::Messages } else { Way::Ring };
    Ok(Simple { direct: saved, parts: (together + besides_of_both(measured, way, batch)?) / together })
}

fn replies(point: &Point, measured: &Parts) -> Result<Simple, OnHostError> {
    let null = measured.get(parts::NULL_CALL, 1)?;
    let user = measured.get(parts::USER, 1)?;
    let calls = measured.get(&parts::call(connections::RECEIVE), 1)? + measured.get(&parts::call(connections::SEND), 1)?;
    let (first, full) = (measured.get(parts::EPOLL, 1)?, measured.get(parts::EPOLL, EVENTS_MAX as u32)?);
    let each = (full - first) / (EVENTS_MAX - 1) as f64;
    let count = f64::from(point.place.x);
    let waits = f64::from(point.place.x.div_ceil(EVENTS_MAX as u32)) / count;
    let together = user + calls + waits * (first - each) + each;
    if point.place.series == Way::RingPolled.name() {
        let without = user + calls - 2.0 * null + 2.0 * ring_cost(measured)?.entry;
        return Ok(Simple { direct: (together - null * (2.0 + waits)) / together, parts: without / together });
    }
    let enters = 2.0 / count;
    Ok(Simple {
        direct: (together - null * (2.0 + waits - enters)) / together,
        parts: (user + calls + besides_of_both(measured, Way::Ring, count)?) / together,
    })
}

/// Requests of a real server begin with what one costs on one connection. Direct cost: more connections spare null calls, a connection for
/// each request needs two more. Sum of parts: they spare waits with their switches, and need an accept and a close.
fn requests(point: &Point, measured: &Parts) -> Result<Simple, OnHostError> {
    let null = measured.get(parts::NULL_CALL, 1)?;
    let base = measured.get(servers::BASE, 1)?;
    let (first, full) = (measured.get(parts::EPOLL, 1)?, measured.get(parts::EPOLL, EVENTS_MAX as u32)?);
    let each = (full - first) / (EVENTS_MAX - 1) as f64;
    // the server waits once a round
    let spared = 1.0 - 1.0 / f64::from(point.place.x);
    let direct = base - spared * null;
    let parts = base - spared * (first - each + measured.get(servers::SWITCH, 1)?);
    if point.place.series == servers::ONCE {
        let more = measured.get(servers::ACCEPT_AND_CLOSE, 1)?;
        return Ok(Simple { direct: (direct + 2.0 * null) / direct, parts: (parts + more) / parts });
    }
    Ok(Simple { direct: direct / base, parts: parts / base })
}

/// Direct cost: a program at the hook spares the server's two crossings, and a message that is dropped spares nothing. Parts: in place of
/// the server's calls stand what the hook adds to a send, and the program; of a dropped message nobody knows what is left.
fn hooked(point: &Point, measured: &Parts) -> Result<Simple, OnHostError> {
    let send = measured.get(&parts::call(datagrams::SEND), 1)?;
    let passed = measured.get(hook::PASSED, 1)?;
    if point.place.series == hook::DROPPED {
        return Ok(Simple { direct: 1.0, parts: passed / send });
    }
    let null = measured.get(parts::NULL_CALL, 1)?;
    let receive = measured.get(&parts::call(datagrams::RECEIVE), 1)?;
    let round = 2.0 * (send + receive) + measured.get(parts::USER, 1)?;
    let program = measured.get(hook::PROGRAM, 1)?;
    Ok(Simple { direct: (round - 2.0 * null) / round, parts: (passed + program + receive) / round })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::on_host::points::points;

    fn said(case: &str, series: &str, x: u32, list: &[(&str, u32, f64)]) -> Simple {
        let case = twins::case::select(&[case.into()]).unwrap().remove(0);
        let point = points(&case).into_iter().find(|point| point.place.series == series && point.place.x == x).unwrap();
        simple(&case, &point, &Parts::from_list(list)).unwrap()
    }

    const RING: [(&str, u32, f64); 6] = [
        ("part getppid", 1, 50.0),
        ("part io_uring nop", 1, 130.0),
        ("part io_uring nop", 64, 760.0),
        ("part pread64 of a byte", 1, 200.0),
        ("part io_uring, read of a byte", 1, 420.0),
        ("part io_uring, read of a byte", 64, 11_760.0),
    ];

    /// By hand: a message of its own costs 63 more than a call by each way, one of 64 costs 63 less: each is spared 65, and a batch pays 128 once.
    const LOCAL: [(&str, u32, f64); 10] = [
        ("part recvfrom, local", 1, 200.0),
        ("part recvfrom, local, io_uring", 1, 263.0),
        ("part recvfrom, local, io_uring", 64, 137.0),
        ("part recvfrom, local, recvmmsg/sendmmsg", 1, 263.0),
        ("part recvfrom, local, recvmmsg/sendmmsg", 64, 137.0),
        ("part sendto, local", 1, 200.0),
        ("part sendto, local, io_uring", 1, 263.0),
        ("part sendto, local, io_uring", 64, 137.0),
        ("part sendto, local, recvmmsg/sendmmsg", 1, 263.0),
        ("part sendto, local, recvmmsg/sendmmsg", 64, 137.0),
    ];

    /// By hand: entries cost 10 and an enter 120. A read of a byte costs 200 as a call, 180 as an entry, and its enter 240 besides. Work of 100
    /// and a read of 300: a batch of 4 spares three quarters of 50, or costs 400 - 20 + 60. Registration spares 30 an entry.
    #[test]
    fn a_batch_of_reads_spares_crossings_or_costs_entries() {
        let mut list = RING.to_vec();
        list.extend([("part user", 1000, 100.0), ("part pread64", 1, 300.0)]);
        let registered = "part io_uring, registered, read of a byte";
        list.extend([(registered, 1, 390.0), (registered, 64, 9_840.0)]);
        assert_eq!(ring_cost(&Parts::from_list(&list)).unwrap(), RingCost { entry: 10.0, enter: 120.0 });
        let simple = said("read-loop-1000", "io_uring", 4, &list);
        assert_eq!((simple.direct, simple.parts), (362.5 / 400.0, 440.0 / 400.0));
        assert_eq!(said("read-loop-1000", "io_uring, registered", 4, &list).parts, 410.0 / 400.0);
    }

    #[test]
    fn an_interruption_costs_a_null_call_or_a_hot_call() {
        let list = [("part getppid", 1, 50.0), ("part user", 500, 100.0), ("part pwrite64", 1, 300.0)];
        let total = said("interrupted-pwrite-mix", "work and call", 500, &list);
        assert_eq!((total.direct, total.parts), (1.5, 4.0));
        assert_eq!(said("interrupted-pwrite-mix", "work", 500, &list), Simple { direct: 1.0, parts: 1.0 });
    }

    #[test]
    fn messages_spare_crossings_or_what_local_ones_spare() {
        let mut list = LOCAL.to_vec();
        list.extend([("part getppid", 1, 50.0), ("part user", 1, 20.0), ("part recvfrom", 1, 180.0), ("part sendto", 1, 800.0)]);
        for way in ["recvmmsg/sendmmsg", "io_uring"] {
            let both = said("udp", way, 2, &list);
            assert_eq!((both.direct, both.parts), (0.95, (1000.0 - 2.0 * 65.0 + 2.0 * 64.0) / 1000.0));
        }
    }

    /// By hand: a round of 20 + 2 * 180 + 2 * 810 is 2000. The hook adds 90 to a send, the program 40.
    #[test]
    fn the_hook_spares_the_servers_crossings_or_its_calls() {
        let mut list = vec![("part getppid", 1, 50.0), ("part user", 1, 20.0), ("part program", 1, 40.0)];
        list.extend([("part recvfrom", 1, 180.0), ("part sendto", 1, 810.0), ("part sendto, passed at the hook", 1, 900.0)]);
        let round = said("xdp", "XDP", 16, &list);
        assert_eq!((round.direct, round.parts), (0.95, 0.56));
        assert_eq!(said("xdp", "XDP, dropped", 1, &list), Simple { direct: 1.0, parts: 900.0 / 810.0 });
    }

    /// By hand: a wait costs 100 and 20 for each further event. Four connections: 25 + 15 of waiting for each reply.
    #[test]
    fn connections_also_spare_the_wait() {
        let mut list = [&RING[..], &LOCAL[..]].concat();
        list.extend([("part user", 1, 20.0), ("part recvfrom", 1, 180.0), ("part sendto", 1, 760.0)]);
        list.extend([("part epoll_wait", 1, 100.0), ("part epoll_wait", 16, 400.0)]);
        let ring = said("tcp", "io_uring", 4, &list);
        assert_eq!((ring.direct, ring.parts), ((1000.0 - 50.0 * 1.75) / 1000.0, (960.0 - 2.0 * 65.0 + 2.0 * 32.0) / 1000.0));
        let polled = said("tcp", "io_uring, polled", 4, &list);
        assert_eq!((polled.direct, polled.parts), ((1000.0 - 50.0 * 2.25) / 1000.0, 0.88));
    }

    /// By hand: a wait costs 100 and 20 for each further event, a switch 320. Four connections spare three quarters of 50, or of 400.
    #[test]
    fn more_connections_spare_waits_and_a_connection_each_needs_an_accept() {
        let mut list = vec![("part getppid", 1, 50.0), ("part epoll_wait", 1, 120.0), ("part epoll_wait", 16, 420.0)];
        list.extend([(servers::BASE, 1, 2300.0), (servers::SWITCH, 1, 300.0), (servers::ACCEPT_AND_CLOSE, 1, 460.0)]);
        let four = said("server-memcached", servers::KEPT, 4, &list);
        assert_eq!((four.direct, four.parts), (2262.5 / 2300.0, 2000.0 / 2300.0));
        let once = said("server-nginx", servers::ONCE, 1, &list);
        assert_eq!((once.direct, once.parts), (2400.0 / 2300.0, 2760.0 / 2300.0));
    }
}
