//! User work that fills caches and TLBs, then a recorded call: what a call costs when everything of the kernel's was displaced, and what
//! it displaces of the user's (the published footprint of single calls, table 1 of OSDI 2010).
//!
//! The published program is not described; this one reads so many MiB of data line by line, and meanwhile runs through more code than the
//! first level holds. With more data than the last level holds, the call's own lines come from memory; with less, from the last level.

use crate::call_loop::{self, known};
use crate::error::TraceError;
use sim_core::block::{BlockId, Op, OpKind, Origin, Region};
use sim_core::calls::CallNumber;
use sim_core::ids::Mode;
use sim_core::layout::PageSize;
use sim_core::workload::{Certainty, Chain, Note, RequestClass, Step, Workload};

/// What can be asked for, and what it is.
pub const NAMES: [(&str, &str); 1] = [(
    "full-caches",
    "a recorded call, or several joined by +, after user work that reads so many MiB: full-caches:pwrite64, full-caches:openat+close:4",
)];
/// Data that are read when the name does not say: half as much again as the last level of the published machine.
const DATA_MIB: u32 = 12;
/// Data that are read at most.
const DATA_MIB_MAX: u32 = 256;
/// Lines in a MiB.
const MIB_LINES: u32 = 16_384;
/// Code lines that are run through: 64 KiB, twice a first-level cache.
const CODE_LINES: u32 = 1024;
/// Loads on one line of code.
const LOADS_PER_LINE: u32 = 8;
/// Instructions on one line of code: 64 bytes of four bytes each.
const LINE_INSTRUCTIONS: u16 = 16;
/// Groups of calls in one run.
const GROUPS: usize = 12;

/// Which calls follow the user work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullCaches {
    /// The calls, one directly after the other.
    pub calls: Vec<CallNumber>,
    /// Data that the user work reads.
    pub data_mib: u32,
}

impl FullCaches {
    /// The program that a name stands for: `full-caches:CALL+CALL:MIB`; nothing when the name is another workload's.
    ///
    /// # Errors
    /// A call that does not exist, or a size out of range.
    pub fn from_name(name: &str) -> Option<Result<FullCaches, TraceError>> {
        let mut parts = name.split(':');
        (parts.next() == Some(NAMES[0].0)).then(|| {
            let [calls, data, rest] = [parts.next(), parts.next(), parts.next()];
            let wrong = |problem: String| TraceError::content(name, problem, "Write for example `full-caches:openat+close:4`");
            let calls = calls.ok_or_else(|| wrong("the call is missing".into()))?;
            let calls: Vec<CallNumber> = calls.split('+').map(known).collect::<Result<_, _>>()?;
            let allowed = |data: &u32| (1..=DATA_MIB_MAX).contains(data);
            let data_mib = match (data, rest) {
                (None, _) => DATA_MIB,
                (Some(data), None) => data
                    .parse()
                    .ok()
                    .filter(allowed)
                    .ok_or_else(|| wrong(format!("`{data}` is not a number of MiB in 1..={DATA_MIB_MAX}")))?,
                (_, Some(rest)) => return Err(wrong(format!("`{rest}` is one part too many"))),
            };
            Ok(FullCaches { calls, data_mib })
        })
    }

    /// Name in reports.
    pub fn name(&self) -> String {
        let calls: Vec<&str> = self.calls.iter().map(|call| call.name()).collect();
        format!("{}:{}:{}", NAMES[0].0, calls.join("+"), self.data_mib)
    }

    /// Makes the program with the bundled recording of its calls.
    ///
    /// # Errors
    /// Calls that the recording does not hold one after the other.
    pub fn load(&self) -> Result<Workload, TraceError> {
        self.of(&call_loop::recording()?)
    }

    /// Makes the program with a recording of its calls.
    ///
    /// # Errors
    /// Calls that the recording does not hold one after the other.
    pub fn of(&self, recording: &Workload) -> Result<Workload, TraceError> {
        let groups = call_loop::recorded_groups(recording, &self.calls, &self.name())?;
        let mut made = recording.clone();
        let fill = fill(&mut made, self.data_mib);
        let mut steps = Vec::new();
        for group in groups.iter().cycle().take(GROUPS) {
            for (place, step) in group.iter().enumerate() {
                let user = if place == 0 { fill } else { BlockId::EMPTY };
                let depends = u16::try_from(steps.len()).ok().and_then(|index| index.checked_sub(1)).into_iter().collect();
                steps.push(Step { user, depends, ..(*step).clone() });
            }
        }
        made.name = self.name();
        made.description = format!("user work that reads {} MiB and fills caches and TLBs, then a call", self.data_mib);
        made.requests = 1;
        let text = "user work made up: it fills caches and TLBs";
        made.notes = vec![Note { certainty: Certainty::Guessed, text: text.into(), count: GROUPS as u64 }];
        made.classes = vec![RequestClass {
            name: self.name(),
            recorded: 1,
            request_bytes: 0,
            reply_bytes: 0,
            in_kernel: false,
            chains: vec![Chain { steps }],
        }];
        Ok(made)
    }
}

/// The user work.
fn fill(workload: &mut Workload, data_mib: u32) -> BlockId {
    let lines = data_mib * MIB_LINES;
    let code = workload.layout.area(u64::from(CODE_LINES), PageSize::Small);
    let data = workload.layout.area(u64::from(lines), PageSize::Small);
    let mut ops = Vec::with_capacity((lines + lines / LOADS_PER_LINE) as usize);
    for load in 0..lines {
        if load % LOADS_PER_LINE == 0 {
            let line = code + load / LOADS_PER_LINE % CODE_LINES;
            ops.push(Op { offset: line, count: LINE_INSTRUCTIONS, region: Region::Fixed, kind: OpKind::Fetch });
        }
        ops.push(Op { offset: data + load, count: 0, region: Region::Fixed, kind: OpKind::Load });
    }
    workload.blocks.push(Mode::User, Origin::Synthetic, &ops, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let read = |name| FullCaches::from_name(name).unwrap();
        assert_eq!(read("full-caches:openat+close").unwrap().name(), "full-caches:openat+close:12");
        assert_eq!(read("full-caches:pread64:4").unwrap().data_mib, 4);
        assert!(read("full-caches:pread64:0").unwrap_err().to_string().contains("1..=256"));
        assert!(read("full-caches:pread64:4:4").unwrap_err().to_string().contains("too many"));
        assert!(FullCaches::from_name("full").is_none() && FullCaches::from_name("full-caches-2").is_none());
        assert!(read("full-caches").unwrap_err().to_string().contains("the call is missing"));
        assert!(read("full-caches:pwrit64").unwrap_err().to_string().contains("did you mean"));
    }

    #[test]
    fn calls_of_a_group_follow_each_other() {
        let made = FullCaches::from_name("full-caches:openat+close:1").unwrap().unwrap().load().unwrap();
        let steps = &made.classes[0].chains[0].steps;
        assert_eq!(steps.len(), 2 * GROUPS);
        for group in steps.chunks(2) {
            assert_eq!([group[0].call.name(), group[1].call.name()], ["openat", "close"]);
            assert!(group[0].user != BlockId::EMPTY && group[1].user == BlockId::EMPTY);
        }
        let unknown = FullCaches::from_name("full-caches:openat+munmap").unwrap().unwrap().load().unwrap_err().to_string();
        assert!(unknown.contains("openat, munmap"), "{unknown}");
    }
}
