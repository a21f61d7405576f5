//! Decoding of the event stream, record by record.

use super::control::{Control, decode};
use super::damaged;
use crate::error::TraceError;

/// First line of the kernel half of the address space: 0xffff_8000_0000_0000 / 64.
pub const KERNEL_HALF: u64 = 0x03FF_FE00_0000_0000;

/// Upper limit of a run: the recorded timer interrupts every 4 million instructions, and an interrupt ends a run.
const RUN_INSTRUCTIONS_MAX: u64 = 1 << 24;

/// True when a raw line lies in the kernel half of the address space (bit 63 of the address, bit 57 of the line).
#[inline]
pub fn is_kernel(line: u64) -> bool {
    line >> 57 & 1 == 1
}

/// One record. Lines are virtual addresses divided by 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Instructions executed on one line.
    Run {
        /// Line fetched from.
        line: u64,
        /// Instructions executed there; 0 for an instruction that only begins on the line.
        instructions: u64,
    },
    /// A load.
    Load(u64),
    /// A store.
    Store(u64),
    /// A cut.
    Control(Control<'a>),
}

/// Decodes records one after the other.
#[derive(Clone, Debug)]
pub struct RecordReader<'a> {
    bytes: &'a [u8],
    at: usize,
    code: [u64; 2],
    data: [u64; 2],
    ended: bool,
}

impl<'a> RecordReader<'a> {
    /// A reader at the beginning of a decompressed event stream.
    pub fn new(bytes: &'a [u8]) -> Self {
        RecordReader { bytes, at: 0, code: [0, KERNEL_HALF], data: [0, KERNEL_HALF], ended: false }
    }

    /// Offset of the next record in the event stream.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The next record; `None` after the end record.
    ///
    /// # Errors
    /// [`TraceError::AtByte`] with the offset in the event stream.
    #[inline]
    pub fn next_record(&mut self) -> Result<Option<Record<'a>>, TraceError> {
        if self.at >= self.bytes.len() {
            return if self.ended { Ok(None) } else { Err(self.cut_short()) };
        }
        if self.ended {
            return Err(damaged(self.at, "records follow the end record"));
        }
        let start = self.at;
        let head = self.number()?;
        let payload = head >> 2;
        let half = (payload & 1) as usize;
        match head & 3 {
            0 => {
                let line = self.code[half].wrapping_add(unzigzag(payload >> 1));
                self.code[half] = line;
                let instructions = self.number()?;
                if instructions > RUN_INSTRUCTIONS_MAX {
                    return Err(damaged(start, format!("a run of {instructions} instructions on one line")));
                }
                Ok(Some(Record::Run { line, instructions }))
            }
            3 => self.control(payload, start).map(Some),
            kind => {
                let line = self.data[half].wrapping_add(unzigzag(payload >> 1));
                self.data[half] = line;
                Ok(Some(if kind == 1 { Record::Load(line) } else { Record::Store(line) }))
            }
        }
    }

    #[cold]
    fn cut_short(&self) -> TraceError {
        damaged(self.at, "the event stream stops before its end record")
    }

    fn control(&mut self, kind: u64, start: usize) -> Result<Record<'a>, TraceError> {
        let length = self.number()? as usize;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else {
            return Err(damaged(start, format!("a control record of {length} bytes reaches beyond the event stream")));
        };
        let control = decode(kind, &self.bytes[self.at..end], self.at)?;
        self.at = end;
        self.ended = matches!(control, Control::End(_));
        Ok(Record::Control(control))
    }

    #[inline]
    fn number(&mut self) -> Result<u64, TraceError> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 128 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u64, TraceError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err(damaged(start, "the event stream ends inside a number"));
            };
            self.at += 1;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(damaged(start, "a number has more than 10 bytes"))
    }
}

#[inline]
fn unzigzag(value: u64) -> u64 {
    (value >> 1) ^ (value & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_is_signed() {
        let signed: Vec<i64> = (0..5).map(|value| unzigzag(value) as i64).collect();
        assert_eq!(signed, [0, -1, 1, -2, 2]);
    }

    #[test]
    fn numbers_of_one_to_ten_bytes() {
        // A run record (type 0) in the user half, delta 0, with the number as its instruction count.
        let mut bytes = vec![0, 0xff, 0xff, 0x03];
        let mut reader = RecordReader::new(&bytes);
        assert_eq!(reader.next_record().unwrap(), Some(Record::Run { line: 0, instructions: 0xffff }));
        bytes.truncate(1);
        bytes.extend([0xff; 10]);
        let error = RecordReader::new(&bytes).next_record().unwrap_err();
        assert!(error.to_string().contains("byte 1: a number has more than 10 bytes"), "{error}");
    }

    #[test]
    fn registers_of_the_halves_are_apart() {
        // Load: half 1, delta +1 -> payload (2 << 1 | 1) = 5 -> head 5 << 2 | 1 = 21. Store: half 0, delta -1 -> payload 2 -> head 10.
        let bytes = [21, 10, 21];
        let mut reader = RecordReader::new(&bytes);
        assert_eq!(reader.next_record().unwrap(), Some(Record::Load(KERNEL_HALF + 1)));
        assert_eq!(reader.next_record().unwrap(), Some(Record::Store(u64::MAX)));
        assert_eq!(reader.next_record().unwrap(), Some(Record::Load(KERNEL_HALF + 2)));
        assert!(reader.next_record().unwrap_err().to_string().contains("stops before its end record"));
    }
}
