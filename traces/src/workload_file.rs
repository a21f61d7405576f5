//! A workload as a file: a magic line with the schema number, then zstd-compressed JSON.

use crate::error::TraceError;
use sim_core::block::{BlockId, BlockStore, Region};
use sim_core::workload::Workload;
use std::io::{Read, Write};

/// Schema that this version writes and reads.
pub const SCHEMA: u32 = 1;

const MAGIC: &[u8] = b"RINGSCOPE-WORKLOAD ";

/// zstd level: 9 halves the time of the default's neighbours 12 and up for a few percent more bytes.
const LEVEL: i32 = 9;

/// Most bytes of JSON that are read.
const MAX_JSON_BYTES: u64 = 2 << 30;

/// True when the bytes are a workload file, of whatever schema.
pub fn sniff(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// The bytes of a workload file.
///
/// # Errors
/// The workload can't be written as JSON, or memory runs out in the compressor.
pub fn write(workload: &Workload, file: &str) -> Result<Vec<u8>, TraceError> {
    let failed = |what: String| TraceError::content(file, what, "Report this as a bug with the command that made the workload");
    let mut bytes = Vec::new();
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(format!("{SCHEMA}\n").as_bytes());
    let mut encoder = zstd::Encoder::new(bytes, LEVEL).map_err(|error| failed(format!("zstd can't start: {error}")))?;
    let mut counted = Counted { inner: std::io::BufWriter::new(&mut encoder), bytes: 0 };
    serde_json::to_writer(&mut counted, workload).map_err(|error| failed(format!("the workload can't be written: {error}")))?;
    counted.flush().map_err(|error| failed(error.to_string()))?;
    if counted.bytes > MAX_JSON_BYTES {
        let problem = format!("the workload takes more than {} GiB as JSON and could not be read back", MAX_JSON_BYTES >> 30);
        return Err(TraceError::content(file, problem, "Import a shorter recording"));
    }
    drop(counted);
    let mut bytes = encoder.finish().map_err(|error| failed(format!("zstd can't finish: {error}")))?;
    bytes.flush().map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

/// Counts what passes through.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Reads a workload file.
///
/// # Errors
/// Another schema, damaged compression, JSON that is not a workload, or block numbers that lie outside the workload.
pub fn read(bytes: &[u8], file: &str) -> Result<Workload, TraceError> {
    let rest =
        bytes.strip_prefix(MAGIC).ok_or_else(|| TraceError::at_byte(file, 0, "not a workload file: its first line is missing"))?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let schema = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse::<u32>().ok());
    let start = MAGIC.len() + digits + 1;
    if schema != Some(SCHEMA) || rest.get(digits) != Some(&b'\n') {
        let found = schema.map_or("none".to_owned(), |schema| schema.to_string());
        let problem = format!("workload schema {found}; this version reads schema {SCHEMA}");
        return Err(TraceError::content(file, problem, "Import the recording again with this version"));
    }
    let mut json = Vec::new();
    let decoder =
        zstd::Decoder::new(&bytes[start..]).map_err(|error| TraceError::at_byte(file, start as u64, error.to_string()))?;
    decoder
        .take(MAX_JSON_BYTES)
        .read_to_end(&mut json)
        .map_err(|error| TraceError::at_byte(file, start as u64, format!("damaged compression after this byte: {error}")))?;
    let workload: Workload = serde_json::from_slice(&json).map_err(|error| {
        TraceError::at_byte(file, start as u64, format!("not a workload: {error} (of the JSON after this byte)"))
    })?;
    check(&workload).map_err(|problem| TraceError::content(file, problem, "Import the recording again"))?;
    Ok(workload)
}

/// Everything that a run indexes without looking.
fn check(workload: &Workload) -> Result<(), String> {
    let store = &workload.blocks;
    let blocks = store.len();
    if blocks == 0 {
        return Err("the block store lacks the empty block".to_owned());
    }
    for index in 0..blocks {
        check_block(workload, store, BlockId(index as u32))?;
    }
    let mut wrong = None;
    workload.for_each_block(|id| {
        if id.index() >= blocks {
            wrong = Some(id);
        }
    });
    if let Some(id) = wrong {
        return Err(format!("block {} is named, but there are {blocks} blocks", id.0));
    }
    for class in &workload.classes {
        for (number, chain) in class.chains.iter().enumerate() {
            let forward =
                chain.steps.iter().enumerate().find(|(index, step)| step.depends.iter().any(|d| usize::from(*d) >= *index));
            if let Some((index, _)) = forward {
                return Err(format!("class `{}`, chain {number}: step {index} depends on itself or a later step", class.name));
            }
        }
    }
    Ok(())
}

fn check_block(workload: &Workload, store: &BlockStore, id: BlockId) -> Result<(), String> {
    let info = store.info(id);
    if info.start > info.end || info.end as usize > store.op_count() {
        return Err(format!("block {} has ops {}..{} of {}", id.0, info.start, info.end, store.op_count()));
    }
    let length = info.end - info.start;
    if info.spans.iter().any(|span| span.start > span.end || span.end > length) {
        return Err(format!("block {} has a cut outside its {length} ops", id.0));
    }
    let lines = workload.layout.chunks() as u64 * u64::from(sim_core::ids::CHUNK_LINES);
    let outside = store.ops(id).iter().find(|op| match op.region {
        Region::Fixed => u64::from(op.offset) >= lines,
        region => op.offset >= workload.region_lines[region.index()],
    });
    match outside {
        Some(op) => Err(format!("block {} touches line {} of region {:?}, which is outside it", id.0, op.offset, op.region)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Shape, server};

    #[test]
    fn what_was_written_is_read() {
        let workload = server(Shape::default());
        let bytes = write(&workload, "w").unwrap();
        assert!(sniff(&bytes));
        assert_eq!(read(&bytes, "w").unwrap(), workload);
    }

    #[test]
    fn another_schema_is_refused_by_number() {
        let mut bytes = write(&server(Shape::default()), "w").unwrap();
        bytes[MAGIC.len()] = b'7';
        let error = read(&bytes, "w").unwrap_err().to_string();
        assert!(error.contains("schema 7") && error.contains("reads schema 1"), "{error}");
        assert!(read(b"RINGSCOPE-WORKLOAD x\n", "w").unwrap_err().to_string().contains("schema none"));
    }

    #[test]
    fn damage_has_a_place() {
        let bytes = write(&server(Shape::default()), "w").unwrap();
        assert!(matches!(read(&bytes[..bytes.len() / 2], "w"), Err(TraceError::AtByte { .. })));
        assert!(matches!(read(b"x", "w"), Err(TraceError::AtByte { offset: 0, .. })));
    }

    #[test]
    fn numbers_that_lead_nowhere_are_refused() {
        let refused = |change: &dyn Fn(&mut Workload)| {
            let mut workload = server(Shape::default());
            change(&mut workload);
            read(&write(&workload, "w").unwrap(), "w").unwrap_err().to_string()
        };
        let error = refused(&|workload| workload.classes[0].chains[0].steps[0].kernel = BlockId(9_999));
        assert!(error.contains("block 9999 is named"), "{error}");
        let error = refused(&|workload| workload.classes[0].chains[0].steps[0].depends = vec![0]);
        assert!(error.contains("step 0 depends on itself"), "{error}");
        let error = refused(&|workload| workload.region_lines[Region::KernelConnection.index()] = 1);
        assert!(error.contains("KernelConnection"), "{error}");
    }
}
