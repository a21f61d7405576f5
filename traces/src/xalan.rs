//! A sequential program in the manner of 483.xalancbmk: user work with a large instruction and data footprint, and a system call every
//! so many instructions. The published measurement of what system calls do to user code (figure 1 of both papers on exception-less
//! calls) interrupts that program. Nothing of it was recorded, so its user work is made up ([`crate::user_work`]): what is published of
//! it is its IPC alone (1.46, which fits its base CPI) and that it is a C++ XSLT processor with few system calls of its own.

use crate::call_loop::{self, recorded_steps};
use crate::error::TraceError;
use crate::user_work::{Footprint, UserWork};
use sim_core::block::BlockId;
use sim_core::calls::CallNumber;
use sim_core::workload::{Certainty, Chain, Note, RequestClass, Step, Workload};

/// What can be asked for, and what it is.
pub const NAMES: [(&str, &str); 3] = [
    ("xalan", "made-up user work with a large footprint and an IPC of 1.46, without system calls but one at its end"),
    ("xalan-pwrite", "the same with a recorded pwrite of 4 KiB every so many instructions: xalan-pwrite:5000"),
    ("xalan-null", "the same with a call that does nothing: xalan-null:5000"),
];
/// User instructions of one run.
pub const RUN_INSTRUCTIONS: u64 = 2_000_000;
/// User instructions between two calls when the name does not say.
const INTERVAL: u64 = 5_000;
/// Fewest user instructions between two calls.
pub const INTERVAL_MIN: u64 = 100;
/// Base CPI in thousandths: fitted to the published IPC alone (1.46, row A01).
pub const BASE_CPI_MILLI: u32 = 444;
/// Frames that the made-up code would return through after a call: a guess, since it has lines but neither calls nor returns.
const CALL_DEPTH: u32 = 6;

/// Which call interrupts the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// None but the one that ends a run.
    None,
    /// A call that does nothing.
    Null,
    /// `pwrite` of a page to a file in the page cache.
    Pwrite,
}

/// The program and what interrupts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xalan {
    /// Which call.
    pub interruption: Interruption,
    /// User instructions from one call to the next.
    pub interval: u64,
}

impl Xalan {
    /// The program that a name stands for: `xalan`, `xalan-pwrite:INSTRUCTIONS`, `xalan-null:INSTRUCTIONS`; nothing when the name is
    /// another workload's.
    ///
    /// # Errors
    /// A name that begins so and goes on wrongly.
    pub fn from_name(name: &str) -> Option<Result<Xalan, TraceError>> {
        let (kind, interval) = name.split_once(':').map_or((name, None), |(kind, interval)| (kind, Some(interval)));
        let interruption = match kind {
            "xalan" => Interruption::None,
            "xalan-null" => Interruption::Null,
            "xalan-pwrite" => Interruption::Pwrite,
            _ => return None,
        };
        Some(read_interval(name, interruption, interval).map(|interval| Xalan { interruption, interval }))
    }

    /// Name in reports.
    pub fn name(&self) -> String {
        match self.interruption {
            Interruption::None => "xalan".into(),
            Interruption::Null => format!("xalan-null:{}", self.interval),
            Interruption::Pwrite => format!("xalan-pwrite:{}", self.interval),
        }
    }

    /// Makes the program with the bundled recording of its call.
    ///
    /// # Errors
    /// None as long as the bundled capture is whole.
    pub fn load(&self) -> Result<Workload, TraceError> {
        self.of(&call_loop::recording()?, &Footprint::default())
    }

    /// Makes the program with a recording of its call.
    ///
    /// # Errors
    /// A recording that does not hold the call.
    pub fn of(&self, recording: &Workload, footprint: &Footprint) -> Result<Workload, TraceError> {
        let calls = recorded_steps(recording, self.call(), &self.name())?;
        let mut blocks = recording.blocks.clone();
        let mut layout = recording.layout.clone();
        let work = UserWork::new(footprint, &mut layout).blocks(self.interval, RUN_INSTRUCTIONS, &mut blocks);
        let step = |(user, call): (BlockId, &&Step)| Step { user, depends: Vec::new(), ..(*call).clone() };
        let steps: Vec<Step> = work.into_iter().zip(calls.iter().cycle()).map(step).collect();
        let count = steps.len() as u64;
        let class = RequestClass {
            name: self.name(),
            recorded: 1,
            request_bytes: 0,
            reply_bytes: 0,
            in_kernel: false,
            chains: vec![Chain { steps: in_order(steps) }],
        };
        Ok(Workload {
            name: self.name(),
            description: self.description(),
            requests: 1,
            classes: vec![class],
            notes: vec![Note {
                certainty: Certainty::Guessed,
                text: "user work made up in the manner of 483.xalancbmk".into(),
                count,
            }],
            blocks,
            layout,
            user_base_cpi_milli: Some(BASE_CPI_MILLI),
            user_call_depth: Some(CALL_DEPTH),
            ..recording.clone()
        })
    }

    fn call(&self) -> CallNumber {
        match self.interruption {
            Interruption::None | Interruption::Null => call_loop::null_call(),
            Interruption::Pwrite => CallNumber::from_name("pwrite64").unwrap_or(CallNumber::READ),
        }
    }

    fn description(&self) -> String {
        let program = "made-up user work in the manner of 483.xalancbmk";
        match self.interruption {
            Interruption::None => format!("{program}, {RUN_INSTRUCTIONS} instructions a run"),
            Interruption::Null => format!("{program}, a null call every {} instructions", self.interval),
            Interruption::Pwrite => format!("{program}, a pwrite of 4 KiB every {} instructions", self.interval),
        }
    }
}

/// Calls of a program that waits for each of them.
fn in_order(mut steps: Vec<Step>) -> Vec<Step> {
    for (index, step) in steps.iter_mut().enumerate().skip(1) {
        step.depends.extend(u16::try_from(index - 1));
    }
    steps
}

fn read_interval(name: &str, interruption: Interruption, interval: Option<&str>) -> Result<u64, TraceError> {
    let wrong = |problem: String| TraceError::content(name, problem, "Write `xalan`, or for example `xalan-pwrite:5000`");
    match (interruption, interval) {
        (Interruption::None, None) => Ok(RUN_INSTRUCTIONS),
        (Interruption::None, Some(_)) => Err(wrong("the program without calls takes no number".into())),
        (_, None) => Ok(INTERVAL),
        (_, Some(text)) => text
            .parse()
            .ok()
            .filter(|interval| (INTERVAL_MIN..=RUN_INSTRUCTIONS).contains(interval))
            .ok_or_else(|| wrong(format!("`{text}` is not a number of instructions in {INTERVAL_MIN}..={RUN_INSTRUCTIONS}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::block::instructions_of;

    #[test]
    fn names_are_read_and_written() {
        let read = |name| Xalan::from_name(name).unwrap().unwrap();
        assert_eq!(read("xalan").interruption, Interruption::None);
        assert_eq!(read("xalan-pwrite:20000"), Xalan { interruption: Interruption::Pwrite, interval: 20_000 });
        for name in ["xalan", "xalan-null:500", "xalan-pwrite:20000"] {
            assert_eq!(read(name).name(), name);
        }
        assert!(Xalan::from_name("xalanx").is_none() && Xalan::from_name("nginx").is_none());
        let refused = |name| Xalan::from_name(name).unwrap().unwrap_err().to_string();
        assert!(refused("xalan-null:7").contains("100..=2000000"), "{}", refused("xalan-null:7"));
        assert!(refused("xalan:500").contains("takes no number"));
    }

    #[test]
    fn the_same_work_is_interrupted_at_the_asked_distance() {
        let recording = call_loop::recording().unwrap();
        let mut totals = Vec::new();
        for (interval, calls) in [(5_000, 400), (20_000, 100)] {
            let made = Xalan { interruption: Interruption::Pwrite, interval }.of(&recording, &Footprint::default()).unwrap();
            let steps = &made.classes[0].chains[0].steps;
            assert_eq!(steps.len(), calls);
            assert!(steps.iter().all(|step| u64::from(made.blocks.info(step.user).instructions) == interval));
            assert!(steps.iter().all(|step| step.call.name() == "pwrite64" && step.bytes == 4096));
            let lines: std::collections::BTreeSet<u32> =
                steps.iter().flat_map(|step| made.blocks.ops(step.user)).map(|op| op.offset).collect();
            totals.push((steps.iter().map(|step| u64::from(instructions_of(made.blocks.ops(step.user)))).sum::<u64>(), lines));
        }
        assert_eq!(totals[0], totals[1]);
    }
}
