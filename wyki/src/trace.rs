//! What a run costs, told to whoever simulates it.

use crate::costs;

/// Hears what a run executes and touches, in order. Offsets and counts only: what they mean in cycles is the listener's business.
pub trait Trace {
    /// So many instructions were executed.
    fn instructions(&mut self, count: u32);
    /// Code was fetched: lines of 64 bytes, counted from the beginning of the service's code.
    fn code(&mut self, first_line: u32, lines: u32);
    /// A table's memory was read or written.
    fn table(&mut self, table: usize, byte_offset: u64, bytes: u32, store: bool);
    /// The received message was read.
    fn message(&mut self, byte_offset: u32, bytes: u32);
    /// The reply was written.
    fn reply(&mut self, byte_offset: u32, bytes: u32);
    /// What is kept for a connection was read or written, from its beginning.
    fn state(&mut self, connection: u32, bytes: u32, store: bool);
    /// The service gives way, if something else wants to run.
    fn yield_point(&mut self);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Trace for Silent {
    fn instructions(&mut self, _count: u32) {}
    fn code(&mut self, _first_line: u32, _lines: u32) {}
    fn table(&mut self, _table: usize, _byte_offset: u64, _bytes: u32, _store: bool) {}
    fn message(&mut self, _byte_offset: u32, _bytes: u32) {}
    fn reply(&mut self, _byte_offset: u32, _bytes: u32) {}
    fn state(&mut self, _connection: u32, _bytes: u32, _store: bool) {}
    fn yield_point(&mut self) {}
}

/// Collects instructions until something else is to be told, so that the order stays.
pub(crate) struct Meter<'t> {
    trace: &'t mut dyn Trace,
    pending: u32,
    /// The line after the last fetched one.
    next_line: u32,
}

impl<'t> Meter<'t> {
    pub fn new(trace: &'t mut dyn Trace) -> Meter<'t> {
        Meter { trace, pending: 0, next_line: 0 }
    }

    pub fn charge(&mut self, count: u32) {
        self.pending += count;
    }

    /// An inner loop, giving way after every `chunk` instructions (0: never).
    pub fn bulk(&mut self, count: u64, chunk: u32) {
        let mut left = count;
        while chunk > 0 && left > u64::from(chunk) {
            self.pending += chunk;
            self.give_way();
            left -= u64::from(chunk);
        }
        self.pending += left as u32;
    }

    pub fn give_way(&mut self) {
        self.pending += costs::YIELD;
        self.flush();
        self.trace.yield_point();
    }

    pub fn flush(&mut self) {
        if self.pending > 0 {
            self.trace.instructions(self.pending);
            self.pending = 0;
        }
    }

    /// Fetches a block's lines; the line fetched last is still in hand.
    pub fn code(&mut self, first_line: u32, lines: u32) {
        let end = first_line + lines;
        let first = if self.next_line == first_line + 1 { first_line + 1 } else { first_line };
        if first < end {
            self.flush();
            self.trace.code(first, end - first);
        }
        self.next_line = end;
    }

    pub fn table(&mut self, table: usize, byte_offset: u64, bytes: usize, store: bool) {
        if bytes > 0 {
            self.flush();
            self.trace.table(table, byte_offset, bytes as u32, store);
        }
    }

    pub fn message(&mut self, byte_offset: usize, bytes: usize) {
        if bytes > 0 {
            self.flush();
            self.trace.message(byte_offset as u32, bytes as u32);
        }
    }

    pub fn reply(&mut self, byte_offset: usize, bytes: usize) {
        if bytes > 0 {
            self.flush();
            self.trace.reply(byte_offset as u32, bytes as u32);
        }
    }

    pub fn state(&mut self, connection: u32, bytes: u32, store: bool) {
        self.flush();
        self.trace.state(connection, bytes, store);
    }
}
