//! Parts measured apart: what a null call costs, a call that follows itself, user work alone, entries that do nothing. Simpler models
//! are made of them, and the simulation is anchored in them. No part is a point of a curve that predictions are compared with.

use crate::case::{Interruption, Shape, Store, WRITE_BYTES, Way, Work};
use crate::error::{TwinError, expect};
use crate::facts;
use crate::ring::{Ring, Submit};
use crate::runner::{Tally, Twin, Variant};
use crate::work::{FUNCTION_INSTRUCTIONS, UserWork};
use host::temporary::TemporaryFile;
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// Series of parts begin so.
pub const PREFIX: &str = "part ";
/// A call that does nothing.
pub const NULL_CALL: &str = "part getppid";
/// A `pread64` of one byte: what the reads of [`reads_of_a_byte`] cost where they are made as calls.
pub const BYTE_READ: &str = "part pread64 of a byte";
/// User work without calls, by its instructions.
pub const USER: &str = "part user";
/// An enter with so many entries that do nothing, per enter.
pub const RING_NOP: &str = "part io_uring nop";
/// An `epoll_wait` that returns so many events.
pub const EPOLL: &str = "part epoll_wait";
/// The call that waits.
pub const WAIT: &str = "epoll_wait";
/// Code that is gone through, by its KiB, [`CODE_INSTRUCTIONS`] at a time.
pub const CODE: &str = "part code";
/// A receive of a datagram that waits.
pub const RECEIVED: &str = "part recvfrom of a datagram";
/// The same by a `recvmmsg` of so many, per datagram: what is gone through again inside one call costs less than what is gone through for
/// the first time after an entry.
pub const RECEIVED_TOGETHER: &str = "part recvmmsg of datagrams";
/// What the server of parts on TCP connections stores.
pub const STORE: Store = Store { entries: 1024 };
/// Code that every first-level instruction cache holds, and code that none does, KiB.
pub const CODE_KIB: [u32; 2] = [8, 64];
/// Instructions of one piece of [`CODE`].
pub const CODE_INSTRUCTIONS: u32 = 10_000;
/// What takes the first level from a call before it is timed cold: twice a cache of 32 KiB, both of data and of code, gone through once.
pub const SWEEP: Work = Work { shape: Shape { data_kib: 64, code_kib: 64 }, instructions: 2 * 128 * FUNCTION_INSTRUCTIONS };
/// Entries of the larger enter.
pub const NOPS: u32 = 64;

/// Name of the series of a call that follows itself.
pub fn call(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Name of the series of enters with one and with [`NOPS`] reads of a byte, per enter: what a way of issuing an entry that does real work
/// costs besides the work. An entry that does nothing goes through neither the file nor the set-up of a read.
pub fn reads_of_a_byte(way: Way) -> String {
    format!("{PREFIX}{}, read of a byte", way.name())
}

/// Name of the series of a call that comes back after [`SWEEP`].
pub fn cold(name: &str) -> String {
    format!("{PREFIX}{name} cold")
}

/// Code alone.
pub fn code() -> Vec<Variant> {
    let of = |kib: u32| {
        let work = Work { shape: Shape { data_kib: 0, code_kib: kib }, instructions: CODE_INSTRUCTIONS };
        Variant { series: CODE.into(), x: kib, twin: Box::new(Alone(UserWork::new(work))) }
    };
    CODE_KIB.map(of).into()
}

/// The null call.
pub fn null_call() -> Variant {
    Variant { series: NULL_CALL.into(), x: 1, twin: Box::new(NullCalls) }
}

/// The parts of io_uring's own work.
///
/// # Errors
/// When the kernel has no io_uring or forbids it.
pub fn ring_nops() -> Result<Vec<Variant>, TwinError> {
    let nop = |entries: u32| -> Result<Variant, TwinError> {
        let ring = Ring::new(1, 1, Submit::Enter)?;
        Ok(Variant { series: RING_NOP.into(), x: entries, twin: Box::new(Nops { ring, entries }) })
    };
    Ok(vec![nop(1)?, nop(NOPS)?])
}

/// User work alone.
pub fn user(work: Work) -> Variant {
    Variant { series: USER.into(), x: work.instructions, twin: Box::new(Alone(UserWork::new(work))) }
}

struct NullCalls;

impl Twin for NullCalls {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let begun = Instant::now();
        for _ in 0..operations {
            nix::unistd::getppid();
        }
        Ok(Tally { operations, calls: operations, bytes: 0, elapsed: begun.elapsed() })
    }
}

struct Nops {
    ring: Ring,
    entries: u32,
}

impl Twin for Nops {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        self.ring.take_enters();
        let begun = Instant::now();
        for _ in 0..operations {
            for _ in 0..self.entries {
                self.ring.nop(0)?;
            }
            self.ring.complete()?;
        }
        Ok(Tally { operations, calls: self.ring.take_enters(), bytes: 0, elapsed: begun.elapsed() })
    }
}

struct Alone(UserWork);

impl Twin for Alone {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let begun = Instant::now();
        for _ in 0..operations {
            self.0.run();
        }
        let elapsed = begun.elapsed();
        self.0.result();
        Ok(Tally { operations, calls: 0, bytes: 0, elapsed })
    }
}

/// The call of [`Interruption`], with what it needs.
pub struct Interrupting {
    call: Interruption,
    file: TemporaryFile,
    page: Box<[u8; WRITE_BYTES]>,
}

impl Interrupting {
    /// The call on a file of its own.
    ///
    /// # Errors
    /// When no file can be made on a disk.
    pub fn new(call: Interruption) -> Result<Interrupting, TwinError> {
        Ok(Interrupting { call, file: scratch_file(WRITE_BYTES)?, page: Box::new([7; WRITE_BYTES]) })
    }

    /// Makes the call.
    ///
    /// # Errors
    /// When fewer bytes are written.
    #[inline]
    pub fn call(&mut self) -> Result<u64, TwinError> {
        match self.call {
            Interruption::Null => {
                nix::unistd::getppid();
                Ok(0)
            }
            Interruption::Pwrite => {
                let written = self.file.file().write_at(&self.page[..], 0).map_err(TwinError::host("pwrite"))?;
                expect("pwrite", written as i64, WRITE_BYTES)?;
                Ok(written as u64)
            }
        }
    }
}

impl Twin for Interrupting {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let mut bytes = 0;
        let begun = Instant::now();
        for _ in 0..operations {
            bytes += self.call()?;
        }
        Ok(Tally { operations, calls: operations, bytes, elapsed: begun.elapsed() })
    }
}

/// A file of so many bytes on a disk file system, in the page cache.
///
/// # Errors
/// When there is no such folder, or it cannot be written.
pub fn scratch_file(bytes: usize) -> Result<TemporaryFile, TwinError> {
    Ok(TemporaryFile::of(&facts::disk_folder()?, &vec![1; bytes])?)
}
