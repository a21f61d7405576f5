//! Opening a file: decompression by magic bytes, format by content.

use crate::error::TraceError;
use crate::formats::{self, Format};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Most bytes a file may decompress to when it is held in memory: four times the largest recording one would import whole.
/// Longer memory traces go through [`stream`].
pub const MAX_BYTES: u64 = 4 << 30;

/// Bytes looked at to recognise a format.
pub const SNIFF_BYTES: usize = 64 << 10;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, one or more members.
    Gzip,
    /// Zstandard, one or more frames.
    Zstandard,
}

impl Compression {
    /// Recognises a compression by its magic bytes.
    pub fn sniff(bytes: &[u8]) -> Compression {
        match bytes {
            [0x1f, 0x8b, ..] => Compression::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstandard,
            _ => Compression::None,
        }
    }

    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Zstandard => "zstd",
        }
    }
}

/// A file in memory, decompressed, with its format.
#[derive(Debug)]
pub struct Opened {
    /// File name, for messages.
    pub file: String,
    /// Decompressed bytes.
    pub bytes: Vec<u8>,
    /// What they are.
    pub format: Format,
    /// How the file was compressed.
    pub compression: Compression,
    /// Bytes of the file itself.
    pub file_bytes: u64,
    /// SHA-256 of the file's bytes as stored, hexadecimal.
    pub sha256: String,
    /// Damage met while decompressing, when reading leniently.
    pub damage: Option<TraceError>,
}

/// Opens a file: undoes gzip or zstd and recognises the format. `-` is standard input.
///
/// With `lenient`, what was decompressed before a damage is used and the damage is kept in [`Opened::damage`].
///
/// # Errors
/// The file can't be read, is empty, is damaged (unless `lenient`), is too long to hold in memory, or is of no known format.
pub fn open(path: &Path, lenient: bool) -> Result<Opened, TraceError> {
    let file = path.display().to_string();
    let mut stored = Vec::new();
    source(path, &file)?.read_to_end(&mut stored).map_err(|source| unreadable(&file, source))?;
    open_bytes(&file, stored, lenient)
}

/// As [`open`], for bytes that are in memory already.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(file: &str, stored: Vec<u8>, lenient: bool) -> Result<Opened, TraceError> {
    if stored.is_empty() {
        return Err(empty(file));
    }
    let sha256 = hexadecimal(&Sha256::digest(&stored));
    let file_bytes = stored.len() as u64;
    let compression = Compression::sniff(&stored);
    let (bytes, damage) = decompress(file, compression, stored)?;
    let damage = match damage {
        Some(error) if !lenient || bytes.is_empty() => return Err(error),
        other => other,
    };
    if bytes.is_empty() {
        return Err(empty(file));
    }
    let format = formats::sniff(&bytes[..bytes.len().min(SNIFF_BYTES)]).ok_or_else(|| unknown_format(file, &bytes))?;
    Ok(Opened { file: file.to_owned(), bytes, format, compression, file_bytes, sha256, damage })
}

/// A file that is read piece by piece, for traces longer than memory.
pub struct Stream {
    /// File name, for messages.
    pub file: String,
    /// What the first bytes say the file is.
    pub format: Format,
    /// Decompressed bytes from the beginning.
    pub reader: Box<dyn Read>,
}

/// Opens a file for reading piece by piece; decompression and format as in [`open`]. `-` is standard input.
///
/// # Errors
/// The file can't be read, is empty, or is of no known format.
pub fn stream(path: &Path) -> Result<Stream, TraceError> {
    let file = path.display().to_string();
    let mut stored = BufReader::with_capacity(SNIFF_BYTES, source(path, &file)?);
    let start = stored.fill_buf().map_err(|source| unreadable(&file, source))?;
    let mut reader: Box<dyn Read> = match Compression::sniff(start) {
        Compression::None => Box::new(stored),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stored)),
        Compression::Zstandard => {
            Box::new(zstd::stream::read::Decoder::with_buffer(stored).map_err(|source| unreadable(&file, source))?)
        }
    };
    let mut head = Vec::new();
    let taken = reader.by_ref().take(SNIFF_BYTES as u64).read_to_end(&mut head);
    if head.is_empty() {
        taken.map_err(|source| unreadable(&file, source))?;
        return Err(empty(&file));
    }
    let format = formats::sniff(&head).ok_or_else(|| unknown_format(&file, &head))?;
    Ok(Stream { file, format, reader: Box::new(io::Cursor::new(head).chain(reader)) })
}

fn source(path: &Path, file: &str) -> Result<Box<dyn Read>, TraceError> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(io::stdin()));
    }
    if path.is_dir() {
        return Err(TraceError::content(file, "this is a directory", "Name a trace file in it"));
    }
    Ok(Box::new(File::open(path).map_err(|source| unreadable(file, source))?))
}

fn unreadable(file: &str, source: io::Error) -> TraceError {
    let advice = match source.kind() {
        io::ErrorKind::NotFound => "Check the path; `ringscope list workloads` shows the bundled workloads",
        io::ErrorKind::PermissionDenied => "Make the file readable",
        _ => "Copy the file again",
    };
    TraceError::File { file: file.to_owned(), source, advice: advice.to_owned() }
}

fn empty(file: &str) -> TraceError {
    TraceError::content(file, "the file is empty", "Record again; strace writes its text to the file given with -o")
}

fn unknown_format(file: &str, bytes: &[u8]) -> TraceError {
    let place = bytes.iter().position(|byte| !matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e));
    let what = match place.filter(|place| *place < SNIFF_BYTES) {
        Some(place) => format!("format not recognised (byte {place} is 0x{:02x}: not text, and no known magic)", bytes[place]),
        None => {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line: String = String::from_utf8_lossy(line).chars().take(60).collect();
            format!("format not recognised from the text (line 1 begins `{line}`)")
        }
    };
    TraceError::content(file, what, format!("Known formats: {}", formats::names()))
}

/// Decompresses everything; returns what came out and the damage that ended it, if any.
fn decompress(file: &str, compression: Compression, stored: Vec<u8>) -> Result<(Vec<u8>, Option<TraceError>), TraceError> {
    let (result, bytes, place) = match compression {
        Compression::None => return Ok((stored, None)),
        Compression::Gzip => {
            let mut decoder = flate2::bufread::MultiGzDecoder::new(stored.as_slice());
            let (result, bytes) = bounded(file, &mut decoder)?;
            (result, bytes, stored.len() - decoder.get_ref().len())
        }
        Compression::Zstandard => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stored.as_slice())
                .map_err(|error| TraceError::at_byte(file, 0, format!("zstd can't start: {error}")))?;
            let (result, bytes) = bounded(file, &mut decoder)?;
            (result, bytes, stored.len() - decoder.get_ref().len())
        }
    };
    let damage = result.err().map(|error| {
        let cut = error.kind() == io::ErrorKind::UnexpectedEof;
        let what = if cut { "the compressed data ends too early" } else { "the compressed data is damaged" };
        TraceError::at_byte(
            file,
            place as u64,
            format!("{} at or before this byte of the file: {what} ({error})", compression.name()),
        )
    });
    Ok((bytes, damage))
}

fn bounded(file: &str, decoder: &mut impl Read) -> Result<(io::Result<()>, Vec<u8>), TraceError> {
    let mut bytes = Vec::new();
    let result = decoder.take(MAX_BYTES + 1).read_to_end(&mut bytes).map(|_| ());
    if bytes.len() as u64 > MAX_BYTES {
        let problem = format!("decompresses to more than {} GiB", MAX_BYTES >> 30);
        return Err(TraceError::content(
            file,
            problem,
            "Record a shorter piece, or replay it as a memory trace, which is read in pieces",
        ));
    }
    Ok((result, bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LACKEY: &[u8] = b"==1== Lackey, an example Valgrind tool\nI  04001000,3\n L 1ffefffe50,8\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compression_is_transparent() {
        for stored in [LACKEY.to_vec(), gzip(LACKEY), zstd::encode_all(LACKEY, 3).unwrap()] {
            let compression = Compression::sniff(&stored);
            let opened = open_bytes("t", stored, false).unwrap();
            assert_eq!((opened.format, opened.bytes.as_slice()), (Format::Lackey, LACKEY), "{compression:?}");
        }
    }

    #[test]
    fn two_gzip_members_are_one_text() {
        let opened = open_bytes("t", [gzip(LACKEY), gzip(LACKEY)].concat(), false).unwrap();
        assert_eq!(opened.bytes.len(), 2 * LACKEY.len());
    }

    #[test]
    fn cut_files_say_where_and_lenient_uses_the_start() {
        let long: Vec<u8> =
            (0..20_000u32).flat_map(|i| format!("I  {:08x},3\n", i.wrapping_mul(2_654_435_761)).into_bytes()).collect();
        for stored in [gzip(&long), zstd::encode_all(long.as_slice(), 3).unwrap()] {
            let cut = stored[..stored.len() * 3 / 4].to_vec();
            let error = open_bytes("t", cut.clone(), false).unwrap_err();
            assert!(matches!(error, TraceError::AtByte { offset, .. } if offset <= cut.len() as u64), "{error}");
            let opened = open_bytes("t", cut, true).unwrap();
            assert!(opened.damage.is_some());
            assert!(!opened.bytes.is_empty() && long.starts_with(&opened.bytes));
        }
    }

    #[test]
    fn a_flipped_bit_in_gzip_is_noticed() {
        let mut stored = gzip(LACKEY);
        let place = stored.len() - 6;
        stored[place] ^= 0x10;
        assert!(open_bytes("t", stored, false).is_err());
    }

    #[test]
    fn nothing_and_junk_are_refused_with_a_next_step() {
        let error = open_bytes("t", Vec::new(), true).unwrap_err();
        assert!(error.to_string().contains("empty"), "{error}");
        let error = open_bytes("t", vec![b'a', 0, 255], false).unwrap_err();
        assert!(error.to_string().contains("byte 1 is 0x00") && error.to_string().contains("strace"), "{error}");
        let error = open_bytes("t", b"hello world\n".to_vec(), false).unwrap_err();
        assert!(error.to_string().contains("begins `hello world`"), "{error}");
        let error = open(Path::new("does/not/exist"), false).unwrap_err();
        assert!(error.to_string().contains("does/not/exist"), "{error}");
    }

    #[test]
    fn hash_is_of_the_stored_bytes() {
        let opened = open_bytes("t", LACKEY.to_vec(), false).unwrap();
        assert_eq!(opened.sha256.len(), 64);
        assert_ne!(opened.sha256, open_bytes("t", gzip(LACKEY), false).unwrap().sha256);
    }
}
