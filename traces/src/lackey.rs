//! Memory traces of `valgrind --tool=lackey --trace-mem=yes`, as text.
//!
//! Lines are `I  04001000,3` (instruction), ` L 1ffefffe50,8` (load), ` S …` (store) and ` M …` (modify: load and store by one
//! instruction), each with a hexadecimal address and a size in bytes; lines that begin with `==` or `--` are valgrind's own.
//!
//! # How references become line touches
//! The order is that of cachegrind, so that a replay without prefetch and back-invalidation misses where cachegrind misses:
//! - An instruction is fetched before its data is touched. Consecutive instructions that lie wholly in the line that was fetched last
//!   are merged into that fetch: their fetches can't miss under any replacement policy that keeps the most recent line. The data
//!   touches of a merged run keep their order and follow its fetch.
//! - A reference that crosses a line touches both, lower line first. Cachegrind counts it as *one* reference, with a miss when either
//!   line misses; [`Batch::second_touches`] names the second touches, so that a replay can count either way.
//! - Cachegrind counts a modify as one data read; its store can't miss because the load before it brought the line. [`Counts`] keeps
//!   modifies apart from loads and stores.
//! - Cachegrind cuts accesses wider than a line down to one line (`fxsave` and the like). [`Options::cut_wide_accesses`] does so too;
//!   without it every line is touched.

use crate::error::TraceError;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use sim_core::block::{Op, OpKind, Region};
use sim_core::ids::{CHUNK_LINES, LINE_BYTES, Line, MAX_LINE};
use sim_core::layout::{AddressMap, Layout, PageSize};
use std::io::Read;

/// Ops after which a batch is handed on, at the next change of line.
const BATCH_OPS: usize = 1 << 16;

/// Widest access that valgrind reports, bytes (`MAX_DSIZE` in lackey's source is 512; AMX tiles have 8192).
const MAX_SIZE_BYTES: u64 = 8192;

/// Chunks that a trace may touch: all of the simulated address space.
const MAX_CHUNKS: usize = (MAX_LINE / CHUNK_LINES) as usize;

/// How to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Use what was understood before a damaged line, instead of failing.
    pub lenient: bool,
    /// Cut accesses wider than a line to one line, as cachegrind does.
    pub cut_wide_accesses: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { lenient: false, cut_wide_accesses: true }
    }
}

/// References read so far, as the tool reports them: one per text line, however many cache lines they touch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Instructions.
    pub instructions: u64,
    /// Loads, without modifies. Cachegrind's data reads are `loads + modifies`.
    pub loads: u64,
    /// Stores, without modifies. Cachegrind's data writes are `stores`.
    pub stores: u64,
    /// Modifies.
    pub modifies: u64,
    /// Instructions that cross a line.
    pub instructions_crossing: u64,
    /// Data references that cross a line.
    pub data_crossing: u64,
    /// Data references wider than a line.
    pub data_wide: u64,
    /// Text lines that are valgrind's own remarks.
    pub remarks: u64,
    /// Text lines.
    pub lines: u64,
}

/// A stretch of the trace, ready to be replayed.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Fetches, loads and stores on simulated lines ([`Region::Fixed`]).
    pub ops: &'a [Op],
    /// Indices of the ops that touch the second or a later line of the reference that the op before began.
    pub second_touches: &'a [u32],
}

/// What is known after the end of a trace.
#[derive(Debug)]
pub struct Summary {
    /// References read.
    pub counts: Counts,
    /// The simulated address space that the ops lie in.
    pub layout: Layout,
    /// Damage that ended a lenient reading.
    pub damage: Option<TraceError>,
}

/// Reads a whole trace and hands it on in batches.
///
/// # Errors
/// Lines that are neither a reference nor a remark, and reading errors, with the line number; none of these with `lenient`.
pub fn read(mut source: impl Read, file: &str, options: Options, mut sink: impl FnMut(Batch<'_>)) -> Result<Summary, TraceError> {
    let mut reader = Reader::new(file, options);
    let mut buffer = vec![0; 1 << 18];
    let mut held = 0;
    let outcome = loop {
        let got = match source.read(&mut buffer[held..]) {
            Ok(got) => got,
            Err(error) => break Err(TraceError::at_line(file, reader.counts.lines + 1, format!("reading stopped: {error}"))),
        };
        if got == 0 {
            break if held == 0 { Ok(()) } else { reader.lines(&buffer[..held], &mut sink) };
        }
        let filled = held + got;
        let Some(last) = memchr_last(&buffer[..filled]) else {
            if filled == buffer.len() {
                break Err(TraceError::at_line(
                    file,
                    reader.counts.lines + 1,
                    "a line longer than 256 KiB: this is not lackey's output",
                ));
            }
            held = filled;
            continue;
        };
        if let Err(error) = reader.lines(&buffer[..=last], &mut sink) {
            break Err(error);
        }
        buffer.copy_within(last + 1..filled, 0);
        held = filled - last - 1;
    };
    reader.hand_on(&mut sink);
    let damage = outcome.err();
    match damage {
        Some(error) if !options.lenient => Err(error),
        damage => Ok(Summary { counts: reader.counts, layout: reader.map.layout, damage }),
    }
}

fn memchr_last(bytes: &[u8]) -> Option<usize> {
    bytes.iter().rposition(|byte| *byte == b'\n')
}

/// True when text looks like lackey's: some line among the first is a reference, and the others don't contradict.
pub fn sniff(bytes: &[u8]) -> bool {
    let text_lines = bytes.split(|byte| *byte == b'\n').take(200);
    for line in text_lines {
        match line {
            [] | [b'=', b'=', ..] | [b'-', b'-', ..] => {}
            _ => return reference(line).is_some(),
        }
    }
    bytes.starts_with(b"==") && bytes.windows(6).any(|window| window == b"Lackey")
}

/// One line of text that is a reference.
struct Reference {
    /// `I`, `L`, `S` or `M`.
    kind: u8,
    address: u64,
    size: u64,
    /// Bytes of text, with the newline.
    length: usize,
}

/// The reference at the start of `text`, if its first line is one.
#[inline]
fn reference(text: &[u8]) -> Option<Reference> {
    let kind = match text {
        [b'I', b' ', b' ', ..] => b'I',
        [b' ', kind @ (b'L' | b'S' | b'M'), b' ', ..] => *kind,
        _ => return None,
    };
    let (address, digits) = hexadecimal(&text[3..])?;
    let (b',', rest) = text.get(3 + digits..)?.split_first()? else { return None };
    let (size, digits_size) = decimal(rest)?;
    let length_line = 3 + digits + 1 + digits_size;
    let length = match text.get(length_line..)? {
        [] => length_line,
        [b'\n', ..] => length_line + 1,
        [b'\r', b'\n', ..] => length_line + 2,
        _ => return None,
    };
    (1..=MAX_SIZE_BYTES).contains(&size).then_some(Reference { kind, address, size, length })
}

/// A decimal number of 1 to 4 digits at the start of `text`, and how many digits it has.
#[inline]
fn decimal(text: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    let mut length = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || length == 5 {
            break;
        }
        value = value * 10 + u64::from(digit);
        length += 1;
    }
    (1..=4).contains(&length).then_some((value, length))
}

/// Value of each hexadecimal digit, 0xff for other bytes.
static DIGIT: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut table = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
}

/// A hexadecimal number of 1 to 16 digits at the start of `text`, and how many digits it has.
#[inline]
fn hexadecimal(text: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    let mut length = 0;
    for byte in text {
        let digit = DIGIT[usize::from(*byte)];
        if digit == 0xff {
            break;
        }
        value = value << 4 | u64::from(digit);
        length += 1;
    }
    (1..=16).contains(&length).then_some((value, length))
}

/// The state of a reading.
struct Reader<'a> {
    file: &'a str,
    options: Options,
    counts: Counts,
    map: AddressMap,
    chunks: FxHashMap<u64, Line>,
    /// The chunks used last, by the low bits of their number: (raw chunk, first simulated line).
    recent: [(u64, Line); RECENT],
    ops: Vec<Op>,
    second_touches: Vec<u32>,
    /// Raw line of the fetch that instructions are merged into, and the fetch's index in `ops`.
    run: Option<(u64, usize)>,
}

const RECENT: usize = 64;

impl<'a> Reader<'a> {
    fn new(file: &'a str, options: Options) -> Self {
        Reader {
            file,
            options,
            counts: Counts::default(),
            map: AddressMap::new(),
            chunks: FxHashMap::default(),
            recent: [(u64::MAX, 0); RECENT],
            ops: Vec::with_capacity(BATCH_OPS + 1024),
            second_touches: Vec::new(),
            run: None,
        }
    }

    /// Reads complete lines (the last one may lack its newline).
    fn lines(&mut self, mut text: &[u8], sink: &mut impl FnMut(Batch<'_>)) -> Result<(), TraceError> {
        while !text.is_empty() {
            self.counts.lines += 1;
            if let Some(Reference { kind, address, size, length }) = reference(text) {
                match kind {
                    b'I' => self.instruction(address, size, sink)?,
                    _ => self.data(kind, address, size, sink)?,
                }
                text = &text[length..];
            } else {
                let end = text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len());
                self.remark(&text[..end], end == text.len())?;
                text = text.get(end + 1..).unwrap_or_default();
            }
        }
        Ok(())
    }

    fn remark(&mut self, line: &[u8], cut: bool) -> Result<(), TraceError> {
        if line.is_empty() || line == b"\r" || line.starts_with(b"==") || line.starts_with(b"--") {
            self.counts.remarks += 1;
            return Ok(());
        }
        let shown: String = String::from_utf8_lossy(line).chars().take(60).collect();
        let problem = if cut {
            format!("the file ends inside this line (`{shown}`)")
        } else {
            format!("`{shown}` is neither a reference nor a remark of valgrind (program output? record with --log-file)")
        };
        Err(TraceError::at_line(self.file, self.counts.lines, problem))
    }

    #[inline]
    fn instruction(&mut self, address: u64, size: u64, sink: &mut impl FnMut(Batch<'_>)) -> Result<(), TraceError> {
        let first = address / LINE_BYTES;
        let last = address.wrapping_add(size - 1) / LINE_BYTES;
        self.counts.instructions += 1;
        if let Some((line, index)) = self.run
            && line == first
            && line == last
            && self.ops[index].count < u16::MAX
        {
            self.ops[index].count += 1;
            return Ok(());
        }
        self.new_run(first, last, sink)
    }

    /// An instruction outside the line fetched last, or crossing out of it. It counts on the line of its last byte.
    fn new_run(&mut self, first: u64, last: u64, sink: &mut impl FnMut(Batch<'_>)) -> Result<(), TraceError> {
        if self.ops.len() >= BATCH_OPS {
            self.hand_on(sink);
        }
        let in_run = self.run.is_some_and(|(line, _)| line == first);
        if last == first {
            return self.fetch(first, 1);
        }
        self.counts.instructions_crossing += 1;
        if !in_run {
            self.fetch(first, 0)?;
            self.second_touches.push(self.ops.len() as u32);
        }
        self.fetch(last, 1)
    }

    fn fetch(&mut self, raw: u64, count: u16) -> Result<(), TraceError> {
        let offset = self.line(raw)?;
        self.run = Some((raw, self.ops.len()));
        self.ops.push(Op { offset, count, region: Region::Fixed, kind: OpKind::Fetch });
        Ok(())
    }

    #[inline]
    fn data(&mut self, kind: u8, address: u64, size: u64, sink: &mut impl FnMut(Batch<'_>)) -> Result<(), TraceError> {
        if self.ops.len() >= 2 * BATCH_OPS {
            self.hand_on(sink);
        }
        match kind {
            b'L' => self.counts.loads += 1,
            b'S' => self.counts.stores += 1,
            _ => self.counts.modifies += 1,
        }
        let mut size = size;
        if size > LINE_BYTES {
            self.counts.data_wide += 1;
            if self.options.cut_wide_accesses {
                size = LINE_BYTES;
            }
        }
        let first = address / LINE_BYTES;
        let last = address.wrapping_add(size - 1) / LINE_BYTES;
        if last != first {
            self.counts.data_crossing += 1;
        }
        if kind != b'S' {
            self.touch(OpKind::Load, first, last)?;
        }
        if kind != b'L' {
            self.touch(OpKind::Store, first, last)?;
        }
        Ok(())
    }

    #[inline]
    fn touch(&mut self, kind: OpKind, first: u64, last: u64) -> Result<(), TraceError> {
        let mut raw = first;
        loop {
            let offset = self.line(raw)?;
            self.ops.push(Op { offset, count: 0, region: Region::Fixed, kind });
            if raw == last {
                return Ok(());
            }
            raw = (raw + 1) & (u64::MAX / LINE_BYTES);
            self.second_touches.push(self.ops.len() as u32);
        }
    }

    /// The simulated line of a raw line.
    #[inline]
    fn line(&mut self, raw: u64) -> Result<Line, TraceError> {
        let chunk = raw / u64::from(CHUNK_LINES);
        let slot = chunk as usize % RECENT;
        if self.recent[slot].0 != chunk {
            self.recent[slot] = (chunk, self.first_line(chunk)?);
        }
        Ok(self.recent[slot].1 + (raw % u64::from(CHUNK_LINES)) as Line)
    }

    fn first_line(&mut self, chunk: u64) -> Result<Line, TraceError> {
        if let Some(first) = self.chunks.get(&chunk) {
            return Ok(*first);
        }
        if self.map.layout.chunks() >= MAX_CHUNKS {
            let problem = format!("the trace touches more than {MAX_CHUNKS} areas of 2 MiB, which is all of the simulated memory");
            return Err(TraceError::at_line(self.file, self.counts.lines, problem));
        }
        let first = self.map.line(0, chunk * u64::from(CHUNK_LINES), PageSize::Small);
        self.chunks.insert(chunk, first);
        Ok(first)
    }

    fn hand_on(&mut self, sink: &mut impl FnMut(Batch<'_>)) {
        if !self.ops.is_empty() {
            sink(Batch { ops: &self.ops, second_touches: &self.second_touches });
        }
        self.ops.clear();
        self.second_touches.clear();
        // The next instruction begins a fetch of its own, because the one it could be merged into has been handed on.
        self.run = None;
    }
}
