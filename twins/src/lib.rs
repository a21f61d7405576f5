//! Native twins: small real programs that use the living relatives of the mechanisms (io_uring, message batches, a kernel polling
//! thread) on this host, and the parts of which simpler models are made. They know neither processors nor the simulation; a case file
//! describes one for both sides.
//!
//! Each twin times its server phase alone: what clients do is done before and after, by the same process on the same processor.
//! Variants are visited in turn, so that a slow second of the host strikes all of them.

// io_uring and message batches hand addresses to the kernel: the two modules that do so say why it is sound.
#![deny(unsafe_code)]

pub mod case;
pub mod connections;
pub mod counted;
pub mod datagrams;
pub mod error;
pub mod facts;
pub mod hook;
pub mod interrupted;
pub mod lacking;
pub mod local;
#[allow(unsafe_code)]
mod messages;
pub mod parts;
pub mod read_loop;
#[allow(unsafe_code)]
mod ring;
pub mod runner;
pub mod servers;
pub mod table;
pub mod work;

pub use case::Case;
pub use error::TwinError;
pub use runner::{Measurement, Plan, Tally, Twin, Variant, measure, measure_and_count};

use case::Program;

/// All that is measured of a case; `beside` is a processor that a polling thread can have. The second value says what was left out.
///
/// # Errors
/// When the host refuses what the case needs.
pub fn variants(case: &Case, beside: Option<usize>) -> Result<(Vec<Variant>, Vec<String>), TwinError> {
    let all = match &case.program {
        Program::ReadLoop(own) => read_loop::variants(own)?,
        Program::Interrupted(own) => interrupted::variants(own)?,
        Program::Datagrams(own) => datagrams::variants(own)?,
        Program::Connections(own) => return connections::variants(own, beside),
        Program::Server(own) => return servers::variants(own),
        Program::Hook(own) => hook::variants(own)?,
    };
    Ok((all, Vec::new()))
}
