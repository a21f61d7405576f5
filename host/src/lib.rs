//! Measuring the host: a clock, pinning, memory, repeated runs, facts, and ladders of primitives. Knows no simulation.
//!
//! | module | holds |
//! |---|---|
//! | `statistics`, `interleave`, `series` | repeated runs, in an order in which no variant gains, and what they give |
//! | `facts` | what the operating system says of the host |
//! | `clock`, `core_clock` | the time-stamp counter; core cycles per tick |
//! | `processors` | which processors there are, pinning |
//! | `memory`, `chase`, `code`, `branch`, `syscall` | the small files with `unsafe` code |
//! | `perf` | hardware counters where they exist |
//! | `ladders` | the measurements, each giving raw series |
//! | `knee`, `findings` | from raw series to sizes and latencies |
//!
//! What needs an x86-64 processor under Linux is absent elsewhere; [`measure`] then says so.

pub mod error;
pub mod facts;
pub mod interleave;
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
pub mod memory;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod perf;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod processors;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod syscall;

/// True where hosts can be measured: Linux on x86-64.
pub const SUPPORTED: bool = cfg!(all(target_os = "linux", target_arch = "x86_64"));
