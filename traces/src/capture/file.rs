//! The file around the event stream: magic, version, header, one zstd frame.

use super::damaged;
use super::header::Header;
use super::stream::RecordReader;
use crate::error::TraceError;
use std::io::Read;

/// First bytes of a capture.
pub const MAGIC: &[u8; 8] = b"SYSTRACE";
/// The version of the format that is read here.
const VERSION: u32 = 2;
/// Bytes before the header.
const PREFIX_BYTES: usize = 16;
/// Upper limit of a decompressed stream, so that a damaged or hostile file cannot fill the memory (the largest known capture has 160 MB).
const RAW_BYTES_MAX: u64 = 1 << 32;
/// Initial buffer of the decompression when the header's length is not believable.
const RAW_BYTES_GUESS: u64 = 64 << 20;

/// True when bytes begin like a capture.
pub fn is_capture(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// A capture: its header and its decompressed event stream.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The header.
    pub header: Header,
    /// The event stream.
    pub events: Vec<u8>,
}

impl Capture {
    /// Reads a whole capture file; damage anywhere in the compressed part is an error.
    ///
    /// # Errors
    /// [`TraceError::AtByte`] with the offset in the file, [`TraceError::Content`] for other versions.
    pub fn read(bytes: &[u8]) -> Result<Capture, TraceError> {
        match Capture::read_lenient(bytes)? {
            (capture, None) => Ok(capture),
            (_, Some(error)) => Err(error),
        }
    }

    /// Reads what is before the damage: the capture so far and the error that ended it, if there was one.
    ///
    /// # Errors
    /// When not even the header can be read.
    pub fn read_lenient(bytes: &[u8]) -> Result<(Capture, Option<TraceError>), TraceError> {
        let (header, start) = read_header(bytes)?;
        let expected = header.totals.raw_bytes;
        let capacity = if expected < RAW_BYTES_MAX { expected.min(RAW_BYTES_GUESS * 4) } else { RAW_BYTES_GUESS };
        let mut events = Vec::with_capacity(capacity as usize + 1);
        let error = decompress(bytes, start, RAW_BYTES_MAX, &mut events).err();
        let error = error.or_else(|| {
            let length = events.len() as u64;
            let problem = format!("the event stream has {length} bytes, the header announces {expected}");
            (expected != 0 && length != expected).then(|| damaged(bytes.len(), problem))
        });
        Ok((Capture { header, events }, error))
    }

    /// Reads the beginning of a capture: at most so many bytes of its event stream. What is asked of a long recording is often in its
    /// first part.
    ///
    /// # Errors
    /// Damage in the part that was read.
    pub fn read_start(bytes: &[u8], events_bytes_max: u64) -> Result<Capture, TraceError> {
        let (header, start) = read_header(bytes)?;
        let mut events = Vec::new();
        decompress(bytes, start, events_bytes_max.min(RAW_BYTES_MAX), &mut events)?;
        Ok(Capture { header, events })
    }

    /// The records of the event stream.
    pub fn records(&self) -> RecordReader<'_> {
        RecordReader::new(&self.events)
    }
}

/// Reads the header; returns it with the offset of the compressed stream.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(Header, usize), TraceError> {
    if !is_capture(bytes) {
        return Err(TraceError::content("capture", "it does not begin with SYSTRACE", "Give a file made by a full-system capture"));
    }
    let word = |at: usize| bytes.get(at..at + 4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
    let (Some(version), Some(length)) = (word(8), word(12)) else {
        return Err(damaged(bytes.len(), "the file ends before its header"));
    };
    if version != VERSION {
        let problem = format!("version {version} of the capture format; this program reads version {VERSION}");
        return Err(TraceError::content("capture", problem, "Make the capture again, or use a matching release"));
    }
    let end = PREFIX_BYTES.saturating_add(length as usize);
    let Some(text) = bytes.get(PREFIX_BYTES..end) else {
        return Err(damaged(bytes.len(), format!("the file ends inside its header of {length} bytes")));
    };
    let header = serde_json::from_slice(text).map_err(|error| {
        damaged(PREFIX_BYTES + error.column().saturating_sub(1), format!("the header is not what it should be: {error}"))
    })?;
    Ok((header, end))
}

fn decompress(bytes: &[u8], start: usize, events_bytes_max: u64, events: &mut Vec<u8>) -> Result<(), TraceError> {
    let mut rest = &bytes[start..];
    if rest.is_empty() {
        return Err(damaged(start, "the event stream is missing"));
    }
    let outcome = {
        let decoder = zstd::stream::read::Decoder::with_buffer(&mut rest);
        let decoder = decoder.map_err(|error| damaged(start, format!("zstd: {error}")))?;
        decoder.single_frame().take(events_bytes_max).read_to_end(events)
    };
    let offset = bytes.len() - rest.len();
    outcome.map_err(|error| damaged(offset, format!("the compressed event stream is damaged: {error}")))?;
    Ok(())
}
