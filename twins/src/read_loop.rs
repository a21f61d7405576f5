//! Reads of a file in the page cache with user work before each: one at a time, or submitted together.

use crate::case::{ReadLoop, Shape, WRITE_BYTES, Way, Work};
use crate::datagrams::receives_together;
use crate::error::{TwinError, expect};
use crate::interrupted::clock_cost;
use crate::parts;
use crate::ring::{Ring, Submit};
use crate::runner::{Tally, Twin, Variant};
use crate::work::UserWork;
use host::temporary::TemporaryFile;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Series of the reads that are made where they stand.
pub const SYNCHRONOUS: &str = "synchronous";

/// The read's name.
pub const CALL: &str = "pread64";

/// All that is measured of a case.
///
/// # Errors
/// When the host has no io_uring, or no file can be made.
pub fn variants(case: &ReadLoop) -> Result<Vec<Variant>, TwinError> {
    let one = |work: Option<Work>, timed: Timed| -> Result<Box<dyn Twin>, TwinError> {
        Ok(Box::new(Synchronous::new(case, work, timed)?))
    };
    let cold = one(Some(parts::SWEEP), Timed::Call(clock_cost()))?;
    let mut all = vec![
        parts::null_call(),
        parts::user(case.work),
        Variant { series: parts::call(CALL), x: 1, twin: one(None, Timed::All)? },
        Variant { series: parts::cold(CALL), x: 1, twin: cold },
        Variant { series: SYNCHRONOUS.into(), x: 1, twin: one(Some(case.work), Timed::All)? },
    ];
    all.extend(parts::ring_nops()?);
    all.extend(parts::code());
    all.extend(receives_together()?);
    all.extend(byte_reads(&case.ways)?);
    for way in &case.ways {
        for batch in &case.batches {
            let twin = Box::new(Batched::new(case, *way, *batch)?);
            all.push(Variant { series: way.name().into(), x: *batch, twin });
        }
    }
    Ok(all)
}

/// Reads of a byte, as calls and through rings.
fn byte_reads(ways: &[Way]) -> Result<Vec<Variant>, TwinError> {
    // a page for each of as many reads as one enter has; no user work
    let work = Work { shape: Shape { data_kib: 1, code_kib: 0 }, instructions: 0 };
    let case = ReadLoop { work, bytes: WRITE_BYTES as u32, buffers: parts::NOPS, batches: Vec::new(), ways: ways.to_vec() };
    let calls = Synchronous { length: 1, ..Synchronous::new(&case, None, Timed::All)? };
    let mut all = vec![Variant { series: parts::BYTE_READ.into(), x: 1, twin: Box::new(calls) }];
    for way in ways {
        for entries in [1, parts::NOPS] {
            let twin = Box::new(Batched { of_a_byte: true, ..Batched::new(&case, *way, entries)? });
            all.push(Variant { series: parts::reads_of_a_byte(*way), x: entries, twin });
        }
    }
    Ok(all)
}

/// What is timed of reads that are made where they stand.
#[derive(Clone, Copy)]
enum Timed {
    All,
    /// The read, less the cost of a look at the clock.
    Call(Duration),
}

struct Synchronous {
    file: TemporaryFile,
    timed: Timed,
    work: Option<UserWork>,
    buffers: Vec<Vec<u8>>,
    /// Bytes of a read.
    length: usize,
    next: usize,
}

impl Synchronous {
    fn new(case: &ReadLoop, work: Option<Work>, timed: Timed) -> Result<Synchronous, TwinError> {
        let (buffers, bytes) = (case.buffers as usize, case.bytes as usize);
        let file = parts::scratch_file(buffers * bytes)?;
        Ok(Synchronous {
            file,
            timed,
            work: work.map(UserWork::new),
            buffers: vec![vec![0; bytes]; buffers],
            length: bytes,
            next: 0,
        })
    }
}

impl Synchronous {
    /// The next read, and its bytes.
    #[inline]
    fn read(&mut self) -> Result<usize, TwinError> {
        let all = self.buffers.len();
        let buffer = &mut self.buffers[self.next];
        let offset = (self.next * buffer.len()) as u64;
        let read = self.file.file().read_at(&mut buffer[..self.length], offset).map_err(TwinError::host(CALL))?;
        expect(CALL, read as i64, self.length)?;
        self.next = (self.next + 1) % all;
        Ok(read)
    }
}

impl Twin for Synchronous {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let (mut bytes, mut calls) = (0, Duration::ZERO);
        let begun = Instant::now();
        for _ in 0..operations {
            if let Some(work) = &mut self.work {
                work.run();
            }
            if matches!(self.timed, Timed::Call(_)) {
                let begun = Instant::now();
                bytes += self.read()?;
                calls += begun.elapsed();
            } else {
                bytes += self.read()?;
            }
        }
        let elapsed = match self.timed {
            Timed::Call(clock) => calls.saturating_sub(clock * operations as u32),
            _ => begun.elapsed(),
        };
        self.work.as_ref().map(UserWork::result);
        Ok(Tally { operations, calls: operations, bytes: bytes as u64, elapsed })
    }
}

struct Batched {
    // the ring goes first: its entries name the file
    ring: Ring,
    file: TemporaryFile,
    work: UserWork,
    batch: u32,
    bytes: u32,
    buffers: usize,
    next: usize,
    /// Nothing but entries that read one byte; an operation is then an enter.
    of_a_byte: bool,
}

impl Batched {
    fn new(case: &ReadLoop, way: Way, batch: u32) -> Result<Batched, TwinError> {
        let file = parts::scratch_file((case.buffers * case.bytes) as usize)?;
        let mut ring = Ring::new(case.buffers as usize, case.bytes as usize, Submit::Enter)?;
        if way == Way::RingRegistered {
            ring.register(file.file().as_raw_fd())?;
        }
        let work = UserWork::new(case.work);
        Ok(Batched { ring, file, work, batch, bytes: case.bytes, buffers: case.buffers as usize, next: 0, of_a_byte: false })
    }
}

impl Batched {
    /// Enters with entries that read a byte each.
    fn enter_for_bytes(&mut self, enters: u64) -> Result<Tally, TwinError> {
        let file = self.file.file().as_raw_fd();
        self.ring.take_enters();
        let begun = Instant::now();
        for _ in 0..enters {
            for _ in 0..self.batch {
                self.ring.read_byte(file, self.next, self.next as u64 * u64::from(self.bytes))?;
                self.next = (self.next + 1) % self.buffers;
            }
            self.ring.complete()?;
        }
        let bytes = enters * u64::from(self.batch);
        Ok(Tally { operations: enters, calls: self.ring.take_enters(), bytes, elapsed: begun.elapsed() })
    }
}

impl Twin for Batched {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        if self.of_a_byte {
            return self.enter_for_bytes(operations);
        }
        let batches = operations.div_ceil(self.batch.into());
        let file = self.file.file().as_raw_fd();
        self.ring.take_enters();
        let begun = Instant::now();
        for _ in 0..batches {
            for _ in 0..self.batch {
                self.work.run();
                self.ring.read(file, self.next, self.next as u64 * u64::from(self.bytes))?;
                self.next = (self.next + 1) % self.buffers;
            }
            self.ring.complete()?;
        }
        let elapsed = begun.elapsed();
        self.work.result();
        let operations = batches * u64::from(self.batch);
        Ok(Tally { operations, calls: self.ring.take_enters(), bytes: operations * u64::from(self.bytes), elapsed })
    }
}
