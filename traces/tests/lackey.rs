//! Memory traces of lackey: exact line touches for small texts, agreement with cachegrind for a whole program.

use sim_core::block::{Op, OpKind};
use std::io::Read;
use traces::lackey::{Batch, Counts, Options, Summary, read};

/// All ops of a text with their kinds, in hexadecimal raw lines relative to the first chunk, and the second touches.
fn touches(text: &str, options: Options) -> (Vec<String>, Counts) {
    let mut shown = Vec::new();
    let summary =
        read(text.as_bytes(), "t", options, |batch| shown.extend(batch.ops.iter().enumerate().map(|(i, op)| show(i, op, &batch))))
            .unwrap();
    (shown, summary.counts)
}

fn show(index: usize, op: &Op, batch: &Batch<'_>) -> String {
    let kind = match op.kind {
        OpKind::Fetch => format!("I{}", op.count),
        OpKind::Load => "L".to_owned(),
        OpKind::Store => "S".to_owned(),
        OpKind::Copy => "C".to_owned(),
    };
    let second = if batch.second_touches.contains(&(index as u32)) { "+" } else { "" };
    format!("{second}{kind}@{:x}", op.offset)
}

#[test]
fn instructions_on_one_line_are_one_fetch_with_their_data_after_it() {
    let text = "I  00200000,3\n L 00200100,8\nI  00200003,3\n S 00200140,4\nI  00200006,3\nI  00200040,1\n";
    let (shown, counts) = touches(text, Options::default());
    assert_eq!(shown, ["I3@0", "L@4", "S@5", "I1@1"]);
    assert_eq!((counts.instructions, counts.loads, counts.stores, counts.modifies), (4, 1, 1, 0));
}

#[test]
fn crossing_references_touch_both_lines_and_count_once() {
    let (shown, counts) = touches("I  0020003e,4\n L 0020007c,8\n M 002000bf,2\n", Options::default());
    assert_eq!(shown, ["I0@0", "+I1@1", "L@1", "+L@2", "L@2", "+L@3", "S@2", "+S@3"]);
    assert_eq!((counts.instructions_crossing, counts.data_crossing), (1, 2));
    let (shown, _) = touches("I  00200000,3\nI  0020003e,4\n", Options::default());
    assert_eq!(shown, ["I1@0", "I1@1"], "the first line was fetched already: no second touch");
}

#[test]
fn wide_accesses_are_cut_like_cachegrinds_or_touched_whole() {
    let text = " S 00200010,200\n";
    assert_eq!(touches(text, Options::default()).0, ["S@0", "+S@1"]);
    let whole = Options { cut_wide_accesses: false, ..Options::default() };
    let (shown, counts) = touches(text, whole);
    assert_eq!(shown, ["S@0", "+S@1", "+S@2", "+S@3"]);
    assert_eq!(counts.data_wide, 1);
}

#[test]
fn remarks_are_skipped_and_other_lines_named() {
    let (shown, counts) = touches("==12== Lackey\n--12-- warning\n\nI  00200000,3\n==12== \n", Options::default());
    assert_eq!((shown.len(), counts.remarks, counts.lines), (1, 4, 5));
    for (text, line) in
        [("I  00200000,3\nhello\n", 2), (" L 0020000g,8\n", 1), ("I  00200000,\n", 1), ("I  00200000,3\nI  0020", 2)]
    {
        let error = read(text.as_bytes(), "t", Options::default(), |_| {}).unwrap_err().to_string();
        assert!(error.starts_with(&format!("t: line {line}: ")), "{text}: {error}");
        let lenient = Options { lenient: true, ..Options::default() };
        let summary = read(text.as_bytes(), "t", lenient, |_| {}).unwrap();
        assert!(summary.damage.is_some());
        assert_eq!(summary.counts.instructions, line - 1);
    }
}

#[test]
fn a_trace_that_touches_too_much_memory_is_an_error() {
    let text: String = (0..40_000u64).map(|chunk| format!(" L {:08x},1\n", chunk << 21)).collect();
    let error = read(text.as_bytes(), "t", Options::default(), |_| {}).unwrap_err().to_string();
    assert!(error.contains("line 32769") && error.contains("2 MiB"), "{error}");
}

/// Hands out a few bytes at a time, so that lines are cut between readings.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.0.len().min(7).min(buffer.len());
        buffer[..length].copy_from_slice(&self.0[..length]);
        self.0 = &self.0[length..];
        Ok(length)
    }
}

#[test]
fn pieces_do_not_matter() {
    let text = program();
    let text = &text[..20_000];
    let all = |source: &mut dyn Read| {
        let mut ops = Vec::new();
        let lenient = Options { lenient: true, ..Options::default() };
        let summary = read(source, "t", lenient, |batch| ops.extend_from_slice(batch.ops)).unwrap();
        (ops, summary.counts)
    };
    assert_eq!(all(&mut &text[..]), all(&mut Dribble(text)));
}

/// A cache with true LRU replacement, as cachegrind's.
struct Cache {
    sets: Vec<Vec<u32>>,
    ways: usize,
}

impl Cache {
    fn new(bytes: usize, ways: usize) -> Self {
        Cache { sets: vec![Vec::new(); bytes / 64 / ways], ways }
    }

    fn misses(&mut self, line: u32) -> bool {
        let count = self.sets.len();
        let set = &mut self.sets[line as usize % count];
        let place = set.iter().position(|held| *held == line);
        if let Some(place) = place {
            set.remove(place);
        }
        set.insert(0, line);
        set.truncate(self.ways);
        place.is_none()
    }
}

fn program() -> Vec<u8> {
    let mut text = Vec::new();
    let stored: &[u8] = include_bytes!("../data/recordings/tiny.lackey.gz");
    flate2::read::GzDecoder::new(stored).read_to_end(&mut text).unwrap();
    text
}

/// Misses of a code and a data cache, counted by references: a crossing reference that misses twice counts once.
fn misses(text: &[u8], code: (usize, usize), data: (usize, usize)) -> ([u64; 2], Summary) {
    let (mut code, mut data) = (Cache::new(code.0, code.1), Cache::new(data.0, data.1));
    let mut found = [0, 0];
    let summary = read(text, "tiny", Options::default(), |batch| {
        let mut seconds = batch.second_touches.iter().peekable();
        let mut missed = false;
        for (index, op) in batch.ops.iter().enumerate() {
            let fetch = op.kind == OpKind::Fetch;
            let second = seconds.next_if(|second| **second == index as u32).is_some();
            let miss = if fetch { code.misses(op.offset) } else { data.misses(op.offset) };
            found[usize::from(!fetch)] += u64::from(miss && !(second && missed));
            missed = miss || (second && missed);
        }
    });
    (found, summary.unwrap())
}

#[test]
fn misses_are_cachegrinds() {
    // `valgrind --tool=cachegrind --cache-sim=yes --I1=… --D1=…` 3.19 on the program of data/recordings/tiny.c: I1 and D1 misses.
    let text = program();
    for (code, data, expected) in
        [((1_024, 2), (4_096, 2), [154, 2_600]), ((4_096, 4), (16_384, 4), [22, 2_145]), ((32_768, 8), (32_768, 8), [22, 1_751])]
    {
        let (found, summary) = misses(&text, code, data);
        assert_eq!(found, expected);
        let counts = summary.counts;
        assert_eq!((counts.instructions, counts.loads + counts.modifies, counts.stores), (48_508, 5_374, 3_206));
    }
}
