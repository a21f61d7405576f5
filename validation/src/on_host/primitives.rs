//! Model twins of parts of single calls: one that comes back cold; reads of a byte, as calls and as entries of a ring; code that fits the first level,
//! and code that does not.

use crate::on_host::OnHostError;
use crate::on_host::blocks::{self, UserBlocks};
use crate::on_host::points::Place;
use crate::on_host::sockets::Sockets;
use crate::on_host::workload::{Maker, Model, RING, SOCKETS, SYNC, alone, intervals, number, recording};
use mechanisms::variants::Way as ModelWay;
use sim_core::block::BlockId;
use sim_core::workload::{Object, Step, Workload};
use traces::call_loop;
use twins::case::{Program, Shape, Way, Work};
use twins::work::Piece;
use twins::{Case, connections, datagrams, parts, read_loop};

/// The call of a case that is also timed cold.
pub fn cold_call(case: &Case) -> &'static str {
    match &case.program {
        Program::ReadLoop(_) => read_loop::CALL,
        Program::Interrupted(own) => own.call.name(),
        Program::Datagrams(_) | Program::Hook(_) => datagrams::SEND,
        Program::Connections(_) | Program::Server(_) => connections::SEND,
    }
}

/// The model twin of such a part; nothing for any other place.
///
/// # Errors
/// A recording that lacks a call.
pub fn primitive(case: &Case, place: &Place) -> Result<Option<Model>, OnHostError> {
    if place.series == parts::CODE {
        let shape = Shape { data_kib: 0, code_kib: place.x };
        return alone(Work { shape, instructions: parts::CODE_INSTRUCTIONS }).map(Some);
    }
    if place.series == parts::cold(cold_call(case)) {
        return swept(case, cold_call(case)).map(Some);
    }
    if [Way::Ring, Way::RingRegistered].into_iter().any(|way| place.series == parts::reads_of_a_byte(way)) {
        return reads_of_a_byte(place.x, RING).map(Some);
    }
    if place.series == parts::BYTE_READ {
        let calls = reads_of_a_byte(parts::NOPS, SYNC)?;
        return Ok(Some(Model { operations: parts::NOPS, ..calls }));
    }
    Ok(None)
}

/// The recording that a case's calls come from, with a call of it.
fn recorded(case: &Case, call: &str) -> Result<(&'static Workload, Vec<&'static Step>), OnHostError> {
    let object = match &case.program {
        Program::Datagrams(_) | Program::Hook(_) => Object::Datagram,
        Program::Connections(_) | Program::Server(_) => Object::Stream,
        _ => {
            let recording = recording(call_loop::RECORDING)?;
            return Ok((recording, call_loop::recorded_steps(recording, number(call), "a call alone")?));
        }
    };
    let recording = recording(SOCKETS)?;
    let sockets = Sockets::of(recording, object)?;
    Ok((recording, if call == datagrams::RECEIVE { sockets.receives } else { sockets.sends }))
}

/// Reads of a byte: of one place of a page after the other, as in the native twin, into the same buffer.
fn reads_of_a_byte(count: u32, way: ModelWay) -> Result<Model, OnHostError> {
    let recording = recording(call_loop::RECORDING)?;
    let recorded = call_loop::recorded_steps(recording, number(read_loop::CALL), "reads of a byte")?;
    let mut maker = Maker::new(recording);
    for step in recorded.iter().cycle().take(count as usize) {
        let kernel = blocks::of_one_line(&mut maker.workload.blocks, step.kernel);
        maker.call(step, BlockId::EMPTY, kernel, Vec::new());
    }
    Ok(maker.finish("reads of a byte", way, 1, 1))
}

/// A call, each time after a sweep of the first level.
fn swept(case: &Case, call: &str) -> Result<Model, OnHostError> {
    let (recording, recorded) = recorded(case, call)?;
    let mut maker = Maker::new(recording);
    let mut user = UserBlocks::new(parts::SWEEP.shape, &mut maker.workload.layout);
    let count = intervals(parts::SWEEP.instructions);
    for step in recorded.iter().cycle().take(count as usize) {
        let mut ops = Vec::new();
        user.piece(Piece::of(parts::SWEEP), &mut ops);
        let store = &mut maker.workload.blocks;
        let (work, kernel) = (blocks::push_user(store, &ops), blocks::with_softirq(store, step));
        maker.call(step, work, kernel, Vec::new());
    }
    maker.workload.user_loads_depend = true;
    Ok(maker.finish("a call after a sweep", SYNC, 1, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::block::Cut;

    fn made(case: &str, series: &str, x: u32) -> Model {
        primitive(&twins::case::find(case).unwrap(), &Place::new(series, x)).unwrap().unwrap()
    }

    #[test]
    fn a_read_of_a_byte_lacks_all_lines_of_the_copy_but_one_and_no_instructions() {
        let recording = recording(call_loop::RECORDING).unwrap();
        let read = call_loop::recorded_steps(recording, number(read_loop::CALL), "x").unwrap()[0];
        let mut blocks = recording.blocks.clone();
        let byte = blocks::of_one_line(&mut blocks, read.kernel);
        let (whole, byte) = (blocks.info(read.kernel).clone(), blocks.info(byte).clone());
        assert_eq!(byte.instructions, whole.instructions);
        let left_out = |cut| {
            let [whole, byte] = [&whole, &byte].map(|info| info.span(cut).unwrap().len());
            whole - byte
        };
        // 63 lines are read and 63 written, each of them several times
        assert!(left_out(Cut::Protocol) >= 126 && left_out(Cut::Protocol) % 63 == 0, "{}", left_out(Cut::Protocol));
        assert_eq!(left_out(Cut::Handler), left_out(Cut::Protocol));
    }

    #[test]
    fn cold_calls_and_reads_of_a_byte_are_parts_and_points_are_not() {
        let enter = made("read-loop-0", "part io_uring, registered, read of a byte", 64);
        assert_eq!((enter.way, enter.operations, enter.workload.classes[0].chains[0].steps.len()), (RING, 1, 64));
        for (case, part) in
            [("udp", "part sendto cold"), ("read-loop-0", "part pread64 cold"), ("interrupted-null-mix", "part getppid cold")]
        {
            let cold = made(case, part, 1);
            let step = &cold.workload.classes[0].chains[0].steps[0];
            assert!(cold.workload.user_loads_depend && cold.workload.blocks.info(step.user).instructions > 20_000, "{case}");
        }
        let case = twins::case::find("udp").unwrap();
        assert!(primitive(&case, &Place::new("recvfrom/sendto", 1)).unwrap().is_none());
    }
}
