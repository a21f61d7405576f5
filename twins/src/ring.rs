//! io_uring with buffers of its own. The kernel writes into buffers while an entry is under way; the ring owns them, hands none out
//! before all entries have completed, and waits for its entries before it goes. So what is unsafe stays here.

use crate::case::RING_ENTRIES;
use crate::error::{TwinError, expect_result};
use io_uring::{IoUring, opcode, squeue::Entry, types};
use std::os::fd::RawFd;

/// The polling thread sleeps after so long without work, milliseconds.
const POLL_IDLE_MS: u32 = 1000;

/// Who submits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submit {
    /// The program enters the kernel.
    Enter,
    /// A kernel thread on this processor looks for entries.
    Polled {
        /// The processor.
        processor: u32,
    },
}

/// A ring with buffers.
pub struct Ring {
    // dropped before the buffers: the kernel gives up what it registered
    ring: IoUring,
    buffers: Box<[Box<[u8]>]>,
    /// The file that is registered, when files and buffers are.
    registered: Option<RawFd>,
    /// Entries that have not completed.
    under_way: usize,
    /// Bytes that each entry must move.
    results_expected: Box<[i64]>,
    polled: bool,
    /// Calls of `io_uring_enter` since [`Ring::take_enters`].
    enters: u64,
}

impl Ring {
    /// A ring with so many buffers of so many bytes.
    ///
    /// # Errors
    /// When the kernel has no io_uring or forbids it.
    pub fn new(buffers: usize, bytes: usize, submit: Submit) -> Result<Ring, TwinError> {
        let mut builder = IoUring::builder();
        if let Submit::Polled { processor } = submit {
            builder.setup_sqpoll(POLL_IDLE_MS).setup_sqpoll_cpu(processor);
        }
        let ring = builder.build(RING_ENTRIES).map_err(TwinError::host("io_uring_setup"))?;
        Ok(Ring {
            ring,
            buffers: (0..buffers).map(|_| vec![0; bytes].into_boxed_slice()).collect(),
            registered: None,
            under_way: 0,
            results_expected: vec![0; buffers.max(RING_ENTRIES as usize)].into_boxed_slice(),
            polled: submit != Submit::Enter,
            enters: 0,
        })
    }

    /// Registers a file and all buffers: reads then name them by their place.
    ///
    /// # Errors
    /// When the kernel refuses, for instance for want of locked memory.
    pub fn register(&mut self, file: RawFd) -> Result<(), TwinError> {
        self.ring.submitter().register_files(&[file]).map_err(TwinError::host("io_uring_register of a file"))?;
        let vectors: Vec<libc::iovec> = self
            .buffers
            .iter_mut()
            .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() })
            .collect();
        // SAFETY: the buffers live in boxes that are never replaced, and the ring, which is dropped first, holds the registration.
        unsafe { self.ring.submitter().register_buffers(&vectors) }.map_err(TwinError::host("io_uring_register of buffers"))?;
        self.registered = Some(file);
        Ok(())
    }

    /// A buffer, to look at or to fill.
    ///
    /// # Panics
    /// When entries are under way: a bug of the caller, since the kernel may write to it.
    pub fn buffer(&mut self, index: usize) -> &mut [u8] {
        assert_eq!(self.under_way, 0, "entries are under way");
        &mut self.buffers[index]
    }

    /// Prepares an entry that does nothing.
    ///
    /// # Errors
    /// When the ring is full.
    pub fn nop(&mut self, index: usize) -> Result<(), TwinError> {
        self.push(opcode::Nop::new().build(), index, 0)
    }

    /// Prepares a read of a whole buffer from a place of a file.
    ///
    /// # Errors
    /// When the ring is full.
    pub fn read(&mut self, file: RawFd, index: usize, offset: u64) -> Result<(), TwinError> {
        let length = self.buffers[index].len();
        self.read_at(file, index, offset, length)
    }

    /// Prepares a read of one byte.
    ///
    /// # Errors
    /// When the ring is full.
    pub fn read_byte(&mut self, file: RawFd, index: usize, offset: u64) -> Result<(), TwinError> {
        self.read_at(file, index, offset, 1)
    }

    fn read_at(&mut self, file: RawFd, index: usize, offset: u64, length: usize) -> Result<(), TwinError> {
        let address = self.buffers[index].as_mut_ptr();
        let entry = match self.registered {
            Some(_) => opcode::ReadFixed::new(types::Fixed(0), address, length as u32, index as u16).offset(offset).build(),
            None => opcode::Read::new(types::Fd(file), address, length as u32).offset(offset).build(),
        };
        self.push(entry, index, length as i64)
    }

    /// Prepares a receive of so many bytes into a buffer.
    ///
    /// # Errors
    /// When the ring is full.
    pub fn receive(&mut self, socket: RawFd, index: usize) -> Result<(), TwinError> {
        let (address, length) = (self.buffers[index].as_mut_ptr(), self.buffers[index].len());
        self.push(opcode::Recv::new(types::Fd(socket), address, length as u32).build(), index, length as i64)
    }

    /// Prepares a send of a buffer.
    ///
    /// # Errors
    /// When the ring is full.
    pub fn send(&mut self, socket: RawFd, index: usize) -> Result<(), TwinError> {
        let (address, length) = (self.buffers[index].as_ptr(), self.buffers[index].len());
        self.push(opcode::Send::new(types::Fd(socket), address, length as u32).build(), index, length as i64)
    }

    fn push(&mut self, entry: Entry, index: usize, expected: i64) -> Result<(), TwinError> {
        self.results_expected[index] = expected;
        // SAFETY: the entry's address lies in a buffer of this ring, which is neither handed out nor freed before it has completed.
        let pushed = unsafe { self.ring.submission().push(&entry.user_data(index as u64)) };
        pushed.map_err(|_| TwinError::Lacking("the submission ring is full".into()))?;
        self.under_way += 1;
        Ok(())
    }

    /// Submits what was prepared, waits until all of it has completed, and checks the results.
    ///
    /// # Errors
    /// An entry that failed or moved fewer bytes than its buffer holds.
    pub fn complete(&mut self) -> Result<(), TwinError> {
        if self.polled {
            // the crate enters the kernel only when the thread sleeps
            self.ring.submit().map_err(TwinError::host("io_uring_enter"))?;
        }
        let mut failure = None;
        while self.under_way > 0 {
            if !self.polled {
                self.ring.submit_and_wait(self.under_way).map_err(TwinError::host("io_uring_enter"))?;
                self.enters += 1;
            }
            let mut completed = 0;
            for entry in self.ring.completion() {
                completed += 1;
                let expected = self.results_expected[entry.user_data() as usize];
                failure = failure.or(expect_result("an io_uring entry", entry.result().into(), expected).err());
            }
            self.under_way -= completed;
            if completed == 0 {
                std::hint::spin_loop();
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Calls of `io_uring_enter` since it was asked last.
    pub fn take_enters(&mut self) -> u64 {
        std::mem::take(&mut self.enters)
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // buffers are freed after this: nothing may be under way. Entries that were not submitted are.
        self.complete().ok();
    }
}
