//! Anchors of what issues several entries or messages together, and of what kernel code costs more on its first pass after an entry.
//!
//! Entries are met by a difference: what they cost besides as many calls that do the same work one by one. What those calls themselves cost is
//! the model's to say; the work is that of reads of a byte and of local messages, which no curve has.

use crate::on_host::OnHostError;
use crate::on_host::anchor::{self, Anchor, Anchored, Cost, PACES, SEED, START};
use crate::on_host::paces::ReadPaces;
use crate::on_host::points::Place;
use crate::on_host::readings::Parts;
use std::ops::RangeInclusive;
use traces::scale::UNCHANGED;
use twins::case::{Program, Way};
use twins::{Case, datagrams, local, parts};

/// Thousandths of a cycle that a line can cost more on its first pass: up to a misprediction.
const FIRST_PASSES: RangeInclusive<u32> = 0..=30_000;
/// What the value is of.
const FIRST_PASS: &str = "first_pass_cycles_milli";

/// Enters, entries, message headers and first passes of a case with batches.
///
/// # Errors
/// A part that was not measured, or a simulation that failed.
pub fn batches(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    nops(anchored, case, measured)?;
    let ways: &[Way] = if let Program::ReadLoop(own) = &case.program { &own.ways } else { &[] };
    ways.iter().try_for_each(|way| reads(anchored, case, measured, *way))?;
    if matches!(case.program, Program::Datagrams(_) | Program::Connections(_)) {
        local::CALLS.into_iter().try_for_each(|call| moves(anchored, case, measured, call))?;
    }
    Ok(())
}

/// What first passes cost: by how much less a datagram costs in a `recvmmsg` of many than in one of its own. A receive that follows itself and
/// the header around a datagram are anchored anew for each value, since both are on their first pass where there is one datagram.
///
/// # Errors
/// As [`batches`].
pub fn first_pass(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    let [one, many] = [1, parts::NOPS].map(|datagrams| Place::new(parts::RECEIVED_TOGETHER, datagrams));
    let nanoseconds = measured.get(&one.series, one.x)? - measured.get(&many.series, many.x)?;
    let spared = |anchored: &mut Anchored, value: u32| {
        anchored.settings.machine.first_pass_cycles_milli = value;
        anchored.anchors.clear();
        anchor::null_call(anchored, case, measured)?;
        receives(anchored, case, measured)?;
        Ok(anchored.cost(case, &one, SEED)?.total - anchored.cost(case, &many, SEED)?.total)
    };
    let target = anchored.cycles(nanoseconds);
    let (value, cycles) = anchor::solve(target, FIRST_PASSES, 4 * START, |value| spared(anchored, value))?;
    let model_ns = anchored.nanoseconds(cycles);
    anchored.anchors.push(Anchor { part: many, measured_ns: nanoseconds, model_ns, parameter: FIRST_PASS.into(), value });
    Ok(())
}

/// A receive of a datagram, and the header around it in a `recvmmsg` of its own.
fn receives(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    let part = Place::new(parts::RECEIVED, 1);
    let nanoseconds = measured.get(&part.series, part.x)?;
    let set = |anchored: &mut Anchored, value: u32| {
        anchored.paces.calls.insert(datagrams::RECEIVE.into(), value);
    };
    anchored.meet(case, &part, nanoseconds, ("instructions of recvfrom, permille", PACES), total, set)?;
    let part = Place::new(parts::RECEIVED_TOGETHER, 1);
    let nanoseconds = measured.get(&part.series, part.x)?;
    let set = |anchored: &mut Anchored, value: u32| anchored.paces.header = value;
    let parameter = "instructions of a message's header, permille";
    anchored.meet(case, &part, nanoseconds, (parameter, PACES), total, set).map(drop)
}

/// Entries by what many of them in one enter cost, the enter by what one costs; each once more, since one moves the other a little.
fn nops(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    let (one, many) = (Place::new(parts::RING_NOP, 1), Place::new(parts::RING_NOP, parts::NOPS));
    let met = anchored.anchors.len();
    for _ in 0..2 {
        anchored.anchors.truncate(met);
        let nanoseconds = measured.get(&many.series, many.x)?;
        let set = |anchored: &mut Anchored, value: u32| anchored.paces.entry = value;
        anchored.meet(case, &many, nanoseconds, ("instructions of a ring's entry, permille", PACES), total, set)?;
        let nanoseconds = measured.get(&one.series, one.x)?;
        let set = |anchored: &mut Anchored, value: u32| anchored.paces.enter = value;
        anchored.meet(case, &one, nanoseconds, ("instructions of an enter, permille", PACES), total, set)?;
    }
    Ok(())
}

fn total(cost: Cost) -> f64 {
    cost.total
}

/// A part less as many calls as it has operations: the part, the same work one by one, and what that is in the model.
struct Besides {
    part: Place,
    one_by_one: Place,
    in_model: Place,
    operations: u32,
}

impl Besides {
    /// Meets the difference.
    fn meet(
        self,
        (anchored, case, measured): (&mut Anchored, &Case, &Parts),
        parameter: &str,
        set: impl Fn(&mut Anchored, u32),
    ) -> Result<(), OnHostError> {
        let call = measured.get(&self.one_by_one.series, self.one_by_one.x)?;
        let in_model = anchored.nanoseconds(anchored.cost(case, &self.in_model, SEED)?.total);
        let nanoseconds = measured.get(&self.part.series, self.part.x)? + f64::from(self.operations) * (in_model - call);
        anchored.meet(case, &self.part, nanoseconds, (parameter, PACES), total, set).map(drop)
    }
}

/// Enter and entry where the entries read a file: by enters with one and with many reads of a byte; each once more, since one moves the other a
/// little.
fn reads(anchored: &mut Anchored, case: &Case, measured: &Parts, way: Way) -> Result<(), OnHostError> {
    let met = anchored.anchors.len();
    let first = ReadPaces { enter: anchored.paces.enter, around: UNCHANGED };
    anchored.paces.reads.insert(way, first);
    for _ in 0..2 {
        anchored.anchors.truncate(met);
        for entries in [parts::NOPS, 1] {
            let call = Place::new(parts::BYTE_READ, 1);
            let part = Place::new(parts::reads_of_a_byte(way), entries);
            let besides = Besides { part, one_by_one: call.clone(), in_model: call, operations: entries };
            let what = if entries == 1 { "an enter with reads" } else { "a read" };
            let parameter = format!("instructions of {what}, {}, permille", way.name());
            besides.meet((anchored, case, measured), &parameter, |anchored, value| {
                let Some(paces) = anchored.paces.reads.get_mut(&way) else { return };
                *(if entries == 1 { &mut paces.enter } else { &mut paces.around }) = value;
            })?;
        }
    }
    Ok(())
}

/// What a ring executes for a receive or a send: by enters with one local message each.
fn moves(anchored: &mut Anchored, case: &Case, measured: &Parts, call: &'static str) -> Result<(), OnHostError> {
    let parameter = format!("instructions of a ring's {call}, permille");
    local_entry(call).meet((anchored, case, measured), &parameter, |anchored, value| {
        anchored.paces.moves.insert(call, value);
    })
}

/// One local message in an enter of its own against a call; the model has a message of the case's own sockets in its place.
fn local_entry(call: &str) -> Besides {
    Besides {
        part: Place::new(local::together(Way::Ring, call), 1),
        one_by_one: Place::new(local::one_by_one(call), 1),
        in_model: Place::new(parts::call(call), 1),
        operations: 1,
    }
}
