//! `recvmmsg` and `sendmmsg` with buffers and headers of their own, made once: a server does not build them anew for each batch.

use crate::case::MESSAGE_BYTES;
use crate::error::{TwinError, expect};
use std::io;
use std::os::fd::RawFd;

/// Messages of one call.
pub struct Messages {
    buffers: Box<[[u8; MESSAGE_BYTES]]>,
    // they point into the buffers and at each other; none of the boxes is ever replaced
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Messages {
    /// Room for so many messages.
    pub fn new(count: usize) -> Messages {
        let mut buffers = vec![[0; MESSAGE_BYTES]; count].into_boxed_slice();
        let vector =
            |buffer: &mut [u8; MESSAGE_BYTES]| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: MESSAGE_BYTES };
        let mut vectors: Box<[libc::iovec]> = buffers.iter_mut().map(vector).collect();
        let header = |vector: &mut libc::iovec| {
            // SAFETY: a header of zeros is one without address, control data and flags.
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header
        };
        let headers = vectors.iter_mut().map(header).collect();
        Messages { buffers, vectors, headers }
    }

    /// Receives at most `count` messages that are there.
    ///
    /// # Errors
    /// What the kernel says, or a message that is shorter than it should be.
    pub fn receive(&mut self, socket: RawFd, count: usize) -> Result<usize, TwinError> {
        let count = count.min(self.headers.len());
        // SAFETY: the headers and what they point to are this value's own and live; the kernel fills at most `count` of them.
        let got = unsafe {
            libc::recvmmsg(socket, self.headers.as_mut_ptr(), count as u32, libc::MSG_DONTWAIT as _, std::ptr::null_mut())
        };
        let got = usize::try_from(got).map_err(|_| TwinError::Host { what: "recvmmsg", source: io::Error::last_os_error() })?;
        for header in &self.headers[..got] {
            expect("recvmmsg", header.msg_len.into(), MESSAGE_BYTES)?;
        }
        Ok(got)
    }

    /// Sends the first `count` messages.
    ///
    /// # Errors
    /// What the kernel says, or fewer messages sent than asked for.
    pub fn send(&mut self, socket: RawFd, count: usize) -> Result<(), TwinError> {
        let count = count.min(self.vectors.len());
        // SAFETY: as in `receive`; the kernel reads the messages and writes their lengths into the headers.
        let sent = unsafe { libc::sendmmsg(socket, self.headers.as_mut_ptr(), count as u32, 0) };
        if sent < 0 {
            return Err(TwinError::Host { what: "sendmmsg", source: io::Error::last_os_error() });
        }
        expect("sendmmsg", sent.into(), count)
    }

    /// A message.
    pub fn message(&mut self, index: usize) -> &mut [u8; MESSAGE_BYTES] {
        &mut self.buffers[index]
    }
}
