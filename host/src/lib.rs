//! Measuring the host: a clock, pinning, memory, repeated runs, facts, and ladders of primitives. Knows no simulation.
//!
//! | module | holds |
//! |---|---|
//! | `statistics`, `interleave`, `series` | repeated runs, in an order in which no variant gains, and what they give |
//! | `facts` | what the operating system says of the host |
//! | `clock`, `core_clock` | the time-stamp counter; core cycles per tick |
//! | `processors` | which processors there are, pinning |
//! | `memory`, `chase`, `code`, `branch`, `syscall` | the small files with `unsafe` code, `clock` and `core_clock` among them |
//! | `perf` | hardware counters where they exist |
//! | `ladders`, `measuring` | the measurements, each giving raw series; all of them in a row |
//! | `names`, `measurements` | names of the series; all that was measured |
//! | `knee`, `findings` | from raw series to sizes and latencies |
//!
//! What needs an x86-64 processor under Linux is absent elsewhere; [`measure`] then says so.

pub mod effort;
pub mod error;
pub mod facts;

pub mod findings;
pub mod interleave;
pub mod knee;
pub mod made_up;
pub mod measurements;
pub mod names;
pub mod series;
pub mod statistics;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod branch;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod chase;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod clock;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod code;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod core_clock;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod ladders;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod measuring;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod perf;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod processors;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod syscall;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod temporary;

use effort::Effort;
use sim_core::progress::Progress;
use sim_core::seed::SeedTree;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

/// True where hosts can be measured: Linux on x86-64.
pub const SUPPORTED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));

/// How a host is to be measured.
pub struct Request<'a> {
    /// How long.
    pub effort: Effort,
    /// Random orders come from here.
    pub seeds: SeedTree,
    /// Files that are measured are made here and removed again; a folder on a disk file system.
    pub folder: PathBuf,
    /// Hears how far it is.
    pub progress: &'a dyn Progress,
    /// Set when it is to end.
    pub cancel: &'a AtomicBool,
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use measuring::measure;

/// Measures the host.
///
/// # Errors
/// Always: this build can't.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn measure(_request: &Request) -> Result<measurements::Measurements, error::HostError> {
    Err(error::HostError::unsupported())
}
