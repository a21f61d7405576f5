//! Reads of a file in the page cache with user work before each: one at a time, or submitted together.

use crate::case::{ReadLoop, Way, Work};
use crate::error::{TwinError, expect};
use crate::parts;
use crate::ring::{Ring, Submit};
use crate::runner::{Tally, Twin, Variant};
use crate::work::UserWork;
use host::temporary::TemporaryFile;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

/// Series of the reads that are made where they stand.
pub const SYNCHRONOUS: &str = "synchronous";

/// The read's name.
pub const CALL: &str = "pread64";

/// All that is measured of a case.
///
/// # Errors
/// When the host has no io_uring, or no file can be made.
pub fn variants(case: &ReadLoop) -> Result<Vec<Variant>, TwinError> {
    let one = |work: Option<Work>| -> Result<Box<dyn Twin>, TwinError> { Ok(Box::new(Synchronous::new(case, work)?)) };
    let mut all = vec![
        parts::null_call(),
        parts::user(case.work),
        Variant { series: parts::call(CALL), x: 1, twin: one(None)? },
        Variant { series: SYNCHRONOUS.into(), x: 1, twin: one(Some(case.work))? },
    ];
    all.extend(parts::ring_nops()?);
    for way in &case.ways {
        for batch in &case.batches {
            let twin = Box::new(Batched::new(case, *way, *batch)?);
            all.push(Variant { series: way.name().into(), x: *batch, twin });
        }
    }
    Ok(all)
}

struct Synchronous {
    file: TemporaryFile,
    work: Option<UserWork>,
    buffers: Vec<Vec<u8>>,
    next: usize,
}

impl Synchronous {
    fn new(case: &ReadLoop, work: Option<Work>) -> Result<Synchronous, TwinError> {
        let (buffers, bytes) = (case.buffers as usize, case.bytes as usize);
        let file = parts::scratch_file(buffers * bytes)?;
        Ok(Synchronous { file, work: work.map(UserWork::new), buffers: vec![vec![0; bytes]; buffers], next: 0 })
    }
}

impl Twin for Synchronous {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
        let mut bytes = 0;
        let begun = Instant::now();
        for _ in 0..operations {
            if let Some(work) = &mut self.work {
                work.run();
            }
            let buffer = &mut self.buffers[self.next];
            let offset = (self.next * buffer.len()) as u64;
            let read = self.file.file().read_at(buffer, offset).map_err(TwinError::host(CALL))?;
            expect(CALL, read as i64, buffer.len())?;
            bytes += read as u64;
            self.next = (self.next + 1) % self.buffers.len();
        }
        let elapsed = begun.elapsed();
        self.work.as_ref().map(UserWork::result);
        Ok(Tally { operations, calls: operations, bytes, elapsed })
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
}

impl Batched {
    fn new(case: &ReadLoop, way: Way, batch: u32) -> Result<Batched, TwinError> {
        let file = parts::scratch_file((case.buffers * case.bytes) as usize)?;
        let mut ring = Ring::new(case.buffers as usize, case.bytes as usize, Submit::Enter)?;
        if way == Way::RingRegistered {
            ring.register(file.file().as_raw_fd())?;
        }
        let work = UserWork::new(case.work);
        Ok(Batched { ring, file, work, batch, bytes: case.bytes, buffers: case.buffers as usize, next: 0 })
    }
}

impl Twin for Batched {
    fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
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
