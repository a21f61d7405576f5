//! Result files line by line: the header, and of each record what a sweep needs to know, without keeping whole reports in memory.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sim_core::report::{Estimate, LimitedBy, SCHEMA};
use sim_core::sweep::{AxisValues, Header, KIND};
use std::io::{BufRead, Read, Seek, SeekFrom};
use std::path::Path;

/// What is known of a record, and where its line stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The record without most of its report.
    pub brief: Brief,
    /// First byte of the line.
    pub offset: u64,
    /// Bytes of the line, its end included.
    pub length: u64,
}

/// A record without most of its report.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Brief {
    /// Hash of the point.
    pub point: String,
    /// Place of the point in the sweep.
    pub index: u64,
    /// Value of each axis.
    pub axes: AxisValues,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: BriefOutcome,
}

/// What became of a point.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum BriefOutcome {
    /// It ran.
    Done {
        /// What the table shows of its report.
        report: BriefReport,
    },
    /// It could not be computed.
    Failed {
        /// Why.
        error: String,
    },
}

/// What the table shows of a report.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BriefReport {
    /// False when the mechanism can't run the workload.
    pub applicable: bool,
    /// Replies per second.
    pub throughput_rps: Estimate,
    /// Against `sync` at the same other axes.
    #[serde(default)]
    pub speedup_vs_sync: Option<Estimate>,
    /// Latency.
    pub latency_us: BriefLatency,
    /// What bounded the throughput.
    pub limited_by: Option<LimitedBy>,
}

/// Latency of which the table shows one number.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct BriefLatency {
    /// The 99th percentile, microseconds; unknown when nothing was measured.
    pub p99: Option<f64>,
}

impl Brief {
    /// True when the point need not be run again.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome, BriefOutcome::Done { .. })
    }

    /// Why the point failed, if it did.
    pub fn failure(&self) -> Option<&str> {
        match &self.outcome {
            BriefOutcome::Failed { error } => Some(error),
            BriefOutcome::Done { .. } => None,
        }
    }
}

/// A result file.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents {
    /// Its first line.
    pub header: Header,
    /// Its records, in the order of the file.
    pub entries: Vec<Entry>,
    /// Bytes up to the end of the last whole line.
    pub whole: u64,
    /// True when something without an end of line follows: the program was killed while it wrote.
    pub cut_off: bool,
}

/// Reads a result file. `None` when not even the header is whole.
///
/// # Errors
/// What is no result file of a sweep, with its line.
pub fn read(path: &Path, mut file: impl BufRead) -> Result<Option<Contents>> {
    let context = |line: usize| {
        format!("{}:{line}: not the result file of a sweep; give a .jsonl file that `ringscope sweep` has written", path.display())
    };
    let mut text = Vec::new();
    let mut next = |text: &mut Vec<u8>| -> Result<u64> {
        text.clear();
        let length = file.read_until(b'\n', text).with_context(|| format!("{}: can't be read", path.display()))?;
        Ok(if text.ends_with(b"\n") { length as u64 } else { 0 })
    };
    let mut whole = next(&mut text)?;
    if whole == 0 {
        // the beginning of a header, or nothing
        const BEGINNING: &[u8] = b"{\"schema\":";
        if text.starts_with(BEGINNING) || BEGINNING.starts_with(&text) {
            return Ok(None);
        }
        bail!("{}", context(1));
    }
    let header: Header = serde_json::from_slice(&text).with_context(|| context(1))?;
    if header.kind != KIND || header.schema != SCHEMA {
        bail!("{}: it holds `{}` of schema {}, expected `{KIND}` of schema {SCHEMA}", context(1), header.kind, header.schema);
    }
    let mut entries = Vec::new();
    loop {
        let length = next(&mut text)?;
        if length == 0 {
            let cut_off = !text.is_empty();
            return Ok(Some(Contents { header, entries, whole, cut_off }));
        }
        let brief: Brief = serde_json::from_slice(&text).with_context(|| context(entries.len() + 2))?;
        entries.push(Entry { brief, offset: whole, length });
        whole += length;
    }
}

/// The bytes of a line.
///
/// # Errors
/// The file can't be read.
pub fn line_at(file: &mut (impl Read + Seek), entry: &Entry) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; entry.length as usize];
    file.seek(SeekFrom::Start(entry.offset))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The last record of each point, by index. A point that failed and was run again has several; one that is done is never replaced by a
/// failure.
pub fn latest(entries: &[Entry]) -> Vec<&Entry> {
    let mut by_index: std::collections::BTreeMap<u64, &Entry> = std::collections::BTreeMap::new();
    for entry in entries {
        by_index.insert(entry.brief.index, entry);
    }
    by_index.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::made_up::{self, record};
    use sim_core::sweep::line;

    fn header() -> Header {
        made_up::header(2)
    }

    fn contents(text: &str) -> Result<Option<Contents>> {
        read(Path::new("r.jsonl"), text.as_bytes())
    }

    #[test]
    fn what_was_written_is_read_and_what_was_cut_off_is_noticed() {
        let text = line(&header()) + &line(&record(1, true)) + &line(&record(0, false)) + &line(&record(1, false));
        let whole = contents(&text).unwrap().unwrap();
        assert_eq!((whole.entries.len(), whole.whole, whole.cut_off), (3, text.len() as u64, false));
        let latest: Vec<(u64, bool)> =
            latest(&whole.entries).iter().map(|entry| (entry.brief.index, entry.brief.is_done())).collect();
        assert_eq!(latest, [(0, true), (1, true)]);
        assert_eq!(whole.entries[0].brief.failure(), Some("no"));
        let second = &whole.entries[1];
        assert_eq!(line_at(&mut std::io::Cursor::new(&text), second).unwrap(), line(&record(0, false)).into_bytes());
        for cut in 1..text.len() {
            match contents(&text[..cut]).unwrap() {
                None => assert!(cut < line(&header()).len()),
                Some(found) => {
                    assert!(text[..found.whole as usize].ends_with('\n') && found.whole as usize <= cut);
                    assert_eq!(found.cut_off, found.whole as usize != cut);
                }
            }
        }
    }

    #[test]
    fn other_files_are_refused_with_their_line() {
        for (text, place) in [
            ("a,b\n1,2\n".to_owned(), "r.jsonl:1"),
            ("a,b".to_owned(), "r.jsonl:1"),
            (line(&header()) + "{}\n", "r.jsonl:2"),
            (line(&Header { kind: "other".into(), ..header() }), "`other` of schema 1"),
        ] {
            assert!(format!("{:#}", contents(&text).unwrap_err()).contains(place), "{text}");
        }
    }
}
