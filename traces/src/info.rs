//! What is in a file: understood, guessed, dropped (`trace info`).

use crate::capture::{Capture, totals};
use crate::error::TraceError;
use crate::formats::Format;
use crate::import::read_calls;
use crate::lackey;
use crate::open::Opened;
use crate::strace::{self, Recording};
use crate::workload_file;
use serde::{Deserialize, Serialize};
use sim_core::calls::CallNumber;
use sim_core::workload::{Certainty, Note, Workload};
use std::collections::BTreeMap;
use std::fmt;

/// One fact about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// What.
    pub name: String,
    /// Its value, with a unit where it has one.
    pub value: String,
}

/// System calls of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCount {
    /// Name.
    pub name: String,
    /// Finished calls.
    pub count: u64,
    /// Those that failed.
    pub errors: u64,
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceInfo {
    /// File name.
    pub file: String,
    /// Name of the format.
    pub format: String,
    /// How the file is compressed.
    pub compression: String,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes after decompression.
    pub bytes: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Facts of the format.
    pub facts: Vec<Fact>,
    /// System calls, most frequent first.
    pub calls: Vec<CallCount>,
    /// What was understood, guessed and dropped.
    pub notes: Vec<Note>,
    /// Damage that ended a lenient reading.
    pub damage: Option<String>,
}

/// Facts, calls and notes of one format.
#[derive(Default)]
struct Content {
    facts: Vec<Fact>,
    calls: Vec<CallCount>,
    notes: Vec<Note>,
    damage: Option<String>,
}

impl Content {
    fn fact(&mut self, name: &str, value: impl fmt::Display) {
        let value = value.to_string();
        if !value.is_empty() {
            self.facts.push(Fact { name: name.to_owned(), value });
        }
    }

    fn note(&mut self, certainty: Certainty, text: &str, count: u64) {
        if count > 0 {
            self.notes.push(Note { certainty, text: text.to_owned(), count });
        }
    }

    fn sort_calls(&mut self) {
        self.calls.sort_by(|left, right| right.count.cmp(&left.count).then_with(|| left.name.cmp(&right.name)));
    }
}

/// Looks through an opened file.
///
/// # Errors
/// Damage with its place (unless `lenient`), or nothing usable in the file.
pub fn info(opened: &Opened, lenient: bool) -> Result<TraceInfo, TraceError> {
    let content = match opened.format {
        Format::Capture => capture(opened, lenient)?,
        Format::Workload => workload(&workload_file::read(&opened.bytes, &opened.file)?),
        Format::Lackey => memory_trace(opened, lenient)?,
        Format::Strace | Format::Ftrace => calls(&read_calls(opened, lenient)?),
    };
    Ok(TraceInfo {
        file: opened.file.clone(),
        format: opened.format.name().to_owned(),
        compression: opened.compression.name().to_owned(),
        file_bytes: opened.file_bytes,
        bytes: opened.bytes.len() as u64,
        sha256: opened.sha256.clone(),
        facts: content.facts,
        calls: content.calls,
        notes: content.notes,
        damage: opened.damage.as_ref().map(ToString::to_string).or(content.damage),
    })
}

fn capture(opened: &Opened, lenient: bool) -> Result<Content, TraceError> {
    let (capture, damage) = Capture::read_lenient(&opened.bytes)?;
    let mut content = Content::default();
    let header = &capture.header;
    content.fact("name", &header.name);
    content.fact("workload", &header.workload.description);
    content.fact("program", &header.server);
    content.fact("kernel", &header.kernel);
    content.fact("mitigations", &header.mitigations);
    content.fact("page-table isolation", if header.kpti { "on" } else { "off" });
    content.fact("processor model", &header.cpu_model);
    content.fact("requests", header.workload.requests);
    content.fact("connections", header.workload.connections);
    if let Some(error) = damage {
        if !lenient {
            return Err(error);
        }
        content.note(Certainty::Dropped, "what follows the damage", 1);
        content.damage = Some(error.to_string());
        return Ok(content);
    }
    let totals = totals::count(&capture)?;
    let [user, kernel] = totals.instructions;
    content.fact("instructions", format!("{user} user, {kernel} kernel ({} of them softirq)", totals.softirq_instructions));
    let [code_user, code_kernel, data_user, data_kernel] = totals.distinct_lines;
    content.fact(
        "distinct lines",
        format!("code {code_user} user, {code_kernel} kernel; data {data_user} user, {data_kernel} kernel"),
    );
    content.fact("tasks", totals.tasks.len());
    for (number, call) in &totals.calls {
        let name = header.syscall_names.get(&number.to_string()).cloned();
        let name = name.unwrap_or_else(|| u16::try_from(*number).map_or("unknown", |number| CallNumber(number).name()).to_owned());
        content.calls.push(CallCount { name, count: call.count, errors: call.errors });
    }
    content.sort_calls();
    content.note(Certainty::Understood, "records of instruction runs, loads and stores", totals.records.iter().sum());
    content.note(Certainty::Understood, "control records", totals.controls.values().sum());
    content.note(Certainty::Understood, "finished calls", totals.calls.values().map(|call| call.count).sum());
    content.note(Certainty::Guessed, "instructions of tasks seen first in the middle of kernel work", totals.base_instructions);
    content.note(Certainty::Dropped, "calls open at the end", totals.unfinished_calls.count);
    let unseen = header.totals.dropped_user_instructions + header.totals.dropped_kernel_instructions;
    content.note(Certainty::Dropped, "instructions of other tasks (the clients), counted by the recorder", unseen);
    Ok(content)
}

fn memory_trace(opened: &Opened, lenient: bool) -> Result<Content, TraceError> {
    let mut content = Content::default();
    let mut ops = 0;
    let options = lackey::Options { lenient, ..lackey::Options::default() };
    let summary = lackey::read(opened.bytes.as_slice(), &opened.file, options, |batch| ops += batch.ops.len())?;
    let counts = summary.counts;
    content.fact("instructions", counts.instructions);
    content.fact("data references", format!("{} loads, {} stores, {} modifies", counts.loads, counts.stores, counts.modifies));
    content.fact("line touches", ops);
    content.fact("memory touched", format!("{} areas of 2 MiB", summary.layout.chunks()));
    content.note(Certainty::Understood, "references", counts.instructions + counts.loads + counts.stores + counts.modifies);
    content.note(
        Certainty::Understood,
        "references that cross a line, counted once, touching both",
        counts.instructions_crossing + counts.data_crossing,
    );
    content.note(Certainty::Guessed, "references wider than a line, cut to one line as cachegrind does", counts.data_wide);
    content.note(Certainty::Dropped, "remarks of valgrind", counts.remarks);
    content.damage = summary.damage.map(|error| error.to_string());
    Ok(content)
}

fn calls(recording: &Recording) -> Content {
    let mut content = Content::default();
    let mut by_name: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    let mut tasks: Vec<u32> = recording.calls.iter().map(|call| call.pid).collect();
    tasks.sort_unstable();
    tasks.dedup();
    for call in &recording.calls {
        let entry = by_name.entry(&call.name).or_default();
        *entry = (entry.0 + 1, entry.1 + u64::from(call.error.is_some()));
    }
    content.fact("calls", recording.calls.len());
    content.fact("tasks", tasks.len());
    let first_ns = recording.calls.iter().map(|call| call.start_ns).min().unwrap_or(0);
    let last_ns = recording.calls.iter().map(|call| call.end_ns).max().unwrap_or(0);
    content.fact("time", format!("{} us", last_ns.saturating_sub(first_ns) / 1_000));
    let columns = [(recording.timed, "times"), (recording.durations, "durations"), (recording.decorated, "descriptor kinds")];
    content.fact("columns", columns.iter().filter(|(there, _)| *there).map(|(_, name)| *name).collect::<Vec<_>>().join(", "));
    let shape = strace::distil::shape(recording);
    content.fact("program", format!("{:?}", shape.program));
    content.fact("requests with replies", shape.requests);
    content.fact("connections at once", shape.connections);
    content.fact("serving tasks", shape.threads);
    if let Some(readiness) = &shape.readiness {
        content.fact("readiness call", readiness);
    }
    content.fact(
        "smallest gap between calls",
        format!("{} ns (the tracer's cost, unless stated otherwise at import)", shape.tracer_cost_ns),
    );
    content.fact("median gap between calls", format!("{} ns", shape.median_gap_ns));
    content.calls = by_name
        .iter()
        .map(|(name, (count, errors))| CallCount { name: (*name).to_owned(), count: *count, errors: *errors })
        .collect();
    content.sort_calls();
    content.notes = shape.notes;
    content.damage.clone_from(&recording.damage);
    content
}

fn workload(workload: &Workload) -> Content {
    let mut content = Content::default();
    content.fact("name", &workload.name);
    content.fact("description", &workload.description);
    content.fact("source", format!("{} {}", workload.source.format, workload.source.file));
    content.fact("program", format!("{:?}", workload.program));
    content.fact("requests", workload.requests);
    content.fact("connections", workload.connections);
    for class in &workload.classes {
        let steps = class.chains.first().map_or(0, |chain| chain.steps.len());
        let value = format!(
            "{} recorded, {} kept, {steps} calls, {} bytes in, {} out",
            class.recorded,
            class.chains.len(),
            class.request_bytes,
            class.reply_bytes
        );
        content.fact(&format!("class {}", class.name), value);
    }
    content.fact("blocks", format!("{} with {} operations", workload.blocks.len(), workload.blocks.op_count()));
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for step in workload.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps) {
        *by_name.entry(step.call.name()).or_default() += 1;
    }
    content.calls = by_name.iter().map(|(name, count)| CallCount { name: (*name).to_owned(), count: *count, errors: 0 }).collect();
    content.sort_calls();
    content.notes.clone_from(&workload.notes);
    content
}

impl fmt::Display for TraceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.file, self.format)?;
        let compressed = if self.compression == "none" {
            String::new()
        } else {
            format!(" ({} from {} bytes)", self.compression, self.file_bytes)
        };
        writeln!(f, "  {} bytes{compressed}, sha256 {}", self.bytes, self.sha256)?;
        let width = self.facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0);
        for fact in &self.facts {
            writeln!(f, "  {:width$}  {}", fact.name, fact.value)?;
        }
        if !self.calls.is_empty() {
            writeln!(f, "system calls")?;
        }
        for call in &self.calls {
            let errors = if call.errors > 0 { format!(" ({} failed)", call.errors) } else { String::new() };
            writeln!(f, "  {:>9}  {}{errors}", call.count, call.name)?;
        }
        for (certainty, title) in
            [(Certainty::Understood, "understood"), (Certainty::Guessed, "guessed"), (Certainty::Dropped, "dropped")]
        {
            let mut notes = self.notes.iter().filter(|note| note.certainty == certainty).peekable();
            if notes.peek().is_some() {
                writeln!(f, "{title}")?;
            }
            for note in notes {
                writeln!(f, "  {:>9}  {}", note.count, note.text)?;
            }
        }
        if let Some(damage) = &self.damage {
            writeln!(f, "damaged: {damage}")?;
        }
        Ok(())
    }
}
