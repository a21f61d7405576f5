//! Reads one part of a message: pure functions from bytes to what was found and what that took.

use crate::costs;
use crate::ir::Step;

/// Whether a part is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Matched,
    Mismatched,
    /// More bytes could decide it.
    Incomplete,
}

/// A part of a message.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    pub outcome: Outcome,
    /// Bytes of the message looked at.
    pub scanned_bytes: usize,
    /// Bytes of the message that the part takes.
    pub taken_bytes: usize,
    /// Bytes of the field, from the beginning of the part.
    pub field_bytes: usize,
    /// The field as a number.
    pub number: u64,
    pub bulk_instructions: u64,
}

impl Part {
    fn new(outcome: Outcome, scanned_bytes: usize) -> Part {
        Part { outcome, scanned_bytes, taken_bytes: 0, field_bytes: 0, number: 0, bulk_instructions: 0 }
    }

    fn taken(bytes: usize) -> Part {
        Part { taken_bytes: bytes, field_bytes: bytes, ..Part::new(Outcome::Matched, bytes) }
    }
}

/// Where bytes stand in others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searched {
    pub place: Option<usize>,
    pub scanned: usize,
    /// Places where the first byte stood.
    pub candidates: u64,
}

/// Looks for bytes in others.
pub fn search(bytes: &[u8], wanted: &[u8]) -> Searched {
    let mut candidates = 0;
    for place in 0..bytes.len() {
        if bytes[place] == wanted[0] {
            candidates += 1;
            if bytes[place..].starts_with(wanted) {
                return Searched { place: Some(place), scanned: place + wanted.len(), candidates };
            }
        }
    }
    Searched { place: None, scanned: bytes.len(), candidates }
}

/// Reads one part at the beginning of `rest`. `length` is the value of the field that a `bytes` part names; `whole` says that nothing
/// can follow `rest`.
pub fn read(step: &Step, rest: &[u8], length: u64, literals: &[Vec<u8>], whole: bool) -> Part {
    match step {
        Step::Literal { literal } => read_literal(rest, &literals[*literal]),
        Step::Integer { width, .. } => read_integer(rest, *width as usize),
        Step::Until { delimiter, without, bytes_max, .. } => {
            read_until(rest, &literals[*delimiter], &literals[*without], *bytes_max as usize)
        }
        Step::Decimal { digits_max, .. } => read_decimal(rest, *digits_max as usize, whole),
        Step::Bytes { bytes_max, .. } => match usize::try_from(length) {
            Ok(length) if length as u64 <= *bytes_max && length <= rest.len() => Part { scanned_bytes: 0, ..Part::taken(length) },
            Ok(length) if length as u64 <= *bytes_max => Part::new(Outcome::Incomplete, 0),
            _ => Part::new(Outcome::Mismatched, 0),
        },
        Step::Rest { bytes_max, .. } if rest.len() as u64 > *bytes_max => Part::new(Outcome::Mismatched, 0),
        Step::Rest { .. } => Part { scanned_bytes: 0, ..Part::taken(rest.len()) },
        Step::End if rest.is_empty() => Part::taken(0),
        Step::End => Part::new(Outcome::Mismatched, 0),
    }
}

fn read_literal(rest: &[u8], literal: &[u8]) -> Part {
    let count = rest.len().min(literal.len());
    let part = if rest[..count] != literal[..count] {
        Part::new(Outcome::Mismatched, count)
    } else if count < literal.len() {
        Part::new(Outcome::Incomplete, count)
    } else {
        Part::taken(count)
    };
    Part { bulk_instructions: costs::compare(count as u64), ..part }
}

fn read_integer(rest: &[u8], width: usize) -> Part {
    match rest.get(..width) {
        Some(bytes) => {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            Part { number, ..Part::taken(width) }
        }
        None => Part::new(Outcome::Incomplete, 0),
    }
}

fn read_until(rest: &[u8], delimiter: &[u8], without: &[u8], bytes_max: usize) -> Part {
    let window = &rest[..rest.len().min(bytes_max + delimiter.len())];
    let found = search(window, delimiter);
    let field = found.place.unwrap_or(window.len());
    let excluded = window[..field].iter().any(|byte| without.contains(byte));
    let part = match found.place {
        _ if excluded => Part::new(Outcome::Mismatched, found.scanned),
        Some(place) => {
            Part { taken_bytes: place + delimiter.len(), field_bytes: place, ..Part::new(Outcome::Matched, found.scanned) }
        }
        None if window.len() == bytes_max + delimiter.len() => Part::new(Outcome::Mismatched, found.scanned),
        None => Part::new(Outcome::Incomplete, found.scanned),
    };
    Part { bulk_instructions: costs::search(found.scanned as u64, found.candidates, without.len() as u64), ..part }
}

fn read_decimal(rest: &[u8], digits_max: usize, whole: bool) -> Part {
    let digits = rest.iter().take(digits_max + 1).take_while(|byte| byte.is_ascii_digit()).count();
    let scanned = rest.len().min(digits + 1);
    let text = std::str::from_utf8(&rest[..digits]).unwrap_or("");
    let part = match text.parse() {
        _ if digits > digits_max => Part::new(Outcome::Mismatched, scanned),
        _ if digits == rest.len() && !whole => Part::new(Outcome::Incomplete, scanned),
        Ok(number) => Part { number, scanned_bytes: scanned, ..Part::taken(digits) },
        Err(_) => Part::new(Outcome::Mismatched, scanned),
    };
    Part { bulk_instructions: costs::read_digits(scanned.min(digits_max + 1) as u64), ..part }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(part: Part) -> (Outcome, usize, usize) {
        (part.outcome, part.taken_bytes, part.field_bytes)
    }

    #[test]
    fn literals_and_numbers() {
        assert_eq!(outcome(read_literal(b"get key", b"get ")), (Outcome::Matched, 4, 4));
        assert_eq!(outcome(read_literal(b"ge", b"get ")), (Outcome::Incomplete, 0, 0));
        assert_eq!(outcome(read_literal(b"gt", b"get ")), (Outcome::Mismatched, 0, 0));
        assert_eq!(read_integer(&[1, 2, 3], 2).number, 0x102);
        assert_eq!(outcome(read_integer(&[1], 2)), (Outcome::Incomplete, 0, 0));
    }

    #[test]
    fn delimiters() {
        assert_eq!(outcome(read_until(b"key\r\nx", b"\r\n", b" ", 3)), (Outcome::Matched, 5, 3));
        assert_eq!(outcome(read_until(b"keys\r\nx", b"\r\n", b"", 3)), (Outcome::Mismatched, 0, 0));
        assert_eq!(outcome(read_until(b"key\r", b"\r\n", b"", 3)), (Outcome::Incomplete, 0, 0));
        assert_eq!(outcome(read_until(b"a b\r\n", b"\r\n", b" ", 3)), (Outcome::Mismatched, 0, 0));
        assert_eq!(outcome(read_until(b"\r\r\n", b"\r\n", b"", 3)), (Outcome::Matched, 3, 1));
        assert_eq!(search(b"aab", b"ab"), Searched { place: Some(1), scanned: 3, candidates: 2 });
    }

    #[test]
    fn decimal_numbers() {
        assert_eq!(read_decimal(b"123 ", 3, false).number, 123);
        assert_eq!(outcome(read_decimal(b"1234", 3, true)), (Outcome::Mismatched, 0, 0));
        assert_eq!(outcome(read_decimal(b"12", 3, false)), (Outcome::Incomplete, 0, 0));
        assert_eq!(outcome(read_decimal(b"12", 3, true)), (Outcome::Matched, 2, 2));
        assert_eq!(outcome(read_decimal(b"x", 3, true)), (Outcome::Mismatched, 0, 0));
        assert_eq!(outcome(read_decimal(b"99999999999999999999x", 20, true)), (Outcome::Mismatched, 0, 0));
    }
}
