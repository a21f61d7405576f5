//! Loops of one recorded call: a sequential program whose one run issues a call so many times, none depending on another. With a
//! call that does nothing (`null-call`) it shows what each way of reaching the kernel costs, and what batching saves of it.

use crate::bundled;
use crate::error::TraceError;
use sim_core::block::{Op, OpKind, Origin, Region};
use sim_core::calls::CallNumber;
use sim_core::ids::Mode;
use sim_core::workload::{Certainty, Chain, Note, RequestClass, Step, Workload};

/// Short name of the loop of the recorded null call (`getppid`).
pub const NULL_CALL: &str = "null-call";
/// Name of a loop of any call of the recording: `call-loop:pread64:16`.
pub const CALL_LOOP: &str = "call-loop";
/// What can be asked for, and what it is.
pub const NAMES: [(&str, &str); 2] = [
    ("null-call", "a loop of calls that do nothing, one after the other; null-call:16 issues 16 that do not depend on each other"),
    ("call-loop", "the same with another recorded call: call-loop:pread64:16"),
];
/// The recording that the calls come from.
pub const RECORDING: &str = "microbench";
/// The recorded call that does nothing but return a number.
const RECORDED_NULL_CALL: &str = "getppid";
/// Instructions of the loop around a call: arguments, the system-call instruction, count and branch. Counted by hand.
const LOOP_INSTRUCTIONS: u16 = 8;
/// Frames that the loop returns through between two calls: one, of the library's function around the call. A call that nests less
/// deeply than the return stack leaves it there, and of a deeper one it would cost one misprediction: not counted.
const LOOP_CALL_DEPTH: u32 = 0;
/// Calls in one run at most: sixteen syscall pages full.
pub const CALLS_MAX: u32 = 1024;

/// Which call, and how many of it one run issues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLoop {
    /// The call.
    pub call: CallNumber,
    /// Calls in one run.
    pub calls: u32,
}

impl CallLoop {
    /// The loop of the null call.
    pub fn null(calls: u32) -> CallLoop {
        CallLoop { call: null_call(), calls }
    }

    /// The loop that a name stands for: `null-call`, `null-call:CALLS`, `call-loop:CALL:CALLS`; nothing when the name is another
    /// workload's.
    ///
    /// # Errors
    /// A name that begins so and goes on wrongly.
    pub fn from_name(name: &str) -> Option<Result<CallLoop, TraceError>> {
        let mut parts = name.split(':');
        match parts.next()? {
            NULL_CALL => {
                let calls = parts.next().unwrap_or("1");
                Some(no_more(name, parts.next()).and_then(|()| Ok(CallLoop::null(number(name, calls)?))))
            }
            CALL_LOOP => {
                let call = parts.next().unwrap_or_default();
                let calls = parts.next().unwrap_or("1");
                Some(no_more(name, parts.next()).and_then(|()| Ok(CallLoop { call: known(call)?, calls: number(name, calls)? })))
            }
            _ => None,
        }
    }

    /// The loop of a call, one at a time.
    ///
    /// # Errors
    /// A name that no call has.
    pub fn of_call(name: &str) -> Result<CallLoop, TraceError> {
        Ok(CallLoop { call: known(name)?, calls: 1 })
    }

    /// Name in reports: `null-call:16`.
    pub fn name(&self) -> String {
        if *self == CallLoop::null(self.calls) {
            format!("{NULL_CALL}:{}", self.calls)
        } else {
            format!("{CALL_LOOP}:{}:{}", self.call.name(), self.calls)
        }
    }

    /// Makes the loop of the bundled recording.
    ///
    /// # Errors
    /// A call that the recording does not hold often enough.
    pub fn load(&self) -> Result<Workload, TraceError> {
        self.of(&recording()?)
    }

    /// Makes the loop of a recording. Each call of a run is another recorded one as long as there are enough. The recorder's own user
    /// work between them is some hundred instructions; a few of a tight loop stand in its place, as in published null-call tests.
    ///
    /// # Errors
    /// A call that the recording does not hold twice in a row.
    pub fn of(&self, recording: &Workload) -> Result<Workload, TraceError> {
        let recorded = recorded_steps(recording, self.call, &self.name())?;
        let mut blocks = recording.blocks.clone();
        let body = Op { offset: 0, count: LOOP_INSTRUCTIONS, region: Region::SyntheticUser, kind: OpKind::Fetch };
        let user = blocks.push(Mode::User, Origin::Synthetic, &[body], Vec::new());
        let mut region_lines = recording.region_lines;
        let user_lines = &mut region_lines[Region::SyntheticUser.index()];
        *user_lines = (*user_lines).max(1);
        let step = |step: &&Step| Step { user, depends: Vec::new(), ..(*step).clone() };
        let steps: Vec<Step> = recorded.iter().cycle().take(self.calls as usize).map(step).collect();
        let class = RequestClass {
            name: self.call.name().into(),
            recorded: 1,
            request_bytes: 0,
            reply_bytes: 0,
            in_kernel: false,
            chains: vec![Chain { steps }],
        };
        let text = format!("calls made of {} recorded ones, taken as independent; user work of the loop made up", recorded.len());
        Ok(Workload {
            name: self.name(),
            description: format!(
                "a loop of {} in batches of {}, from the recording {}",
                self.call.name(),
                self.calls,
                recording.name
            ),
            requests: 1,
            classes: vec![class],
            user_call_depth: Some(LOOP_CALL_DEPTH),
            notes: vec![Note { certainty: Certainty::Guessed, text, count: u64::from(self.calls) }],
            blocks,
            region_lines,
            ..recording.clone()
        })
    }
}

/// The recording that loops are made of.
///
/// # Errors
/// None as long as the bundled capture is whole.
pub fn recording() -> Result<Workload, TraceError> {
    bundled::load(RECORDING)
}

/// The recorded call that does nothing.
pub fn null_call() -> CallNumber {
    CallNumber::from_name(RECORDED_NULL_CALL).unwrap_or(CallNumber::READ)
}

/// Steps of a call whose step before is the same call: its caches are as warm as in a loop. `name` is the workload's that needs them.
///
/// # Errors
/// A recording that does not hold the call twice in a row.
pub fn recorded_steps<'a>(recording: &'a Workload, call: CallNumber, name: &str) -> Result<Vec<&'a Step>, TraceError> {
    Ok(recorded_groups(recording, &[call], name)?.into_iter().flatten().collect())
}

/// Groups of calls that follow each other in a loop: the step before the first is the last call.
///
/// # Errors
/// A recording that does not hold the calls so.
pub fn recorded_groups<'a>(recording: &'a Workload, calls: &[CallNumber], name: &str) -> Result<Vec<Vec<&'a Step>>, TraceError> {
    let groups = groups_in_a_row(recording, calls);
    if groups.is_empty() {
        let calls: Vec<&str> = calls.iter().map(|call| call.name()).collect();
        let problem = format!("the recording {} does not hold {} twice in a row", recording.name, calls.join(", "));
        return Err(TraceError::content(name, problem, format!("Calls that it repeats: {}", repeated(recording))));
    }
    Ok(groups)
}

fn steps(recording: &Workload) -> impl Iterator<Item = &Step> {
    recording.classes.iter().flat_map(|class| &class.chains).flat_map(|chain| &chain.steps)
}

fn groups_in_a_row<'a>(recording: &'a Workload, calls: &[CallNumber]) -> Vec<Vec<&'a Step>> {
    let Some(last) = calls.last() else { return Vec::new() };
    let all: Vec<&Step> = steps(recording).collect();
    let looped = |window: &&[&Step]| window[0].call == *last && window[1..].iter().map(|step| &step.call).eq(calls);
    all.windows(calls.len() + 1).filter(looped).map(|window| window[1..].to_vec()).collect()
}

fn repeated(recording: &Workload) -> String {
    let mut calls: Vec<&'static str> = steps(recording).map(|step| step.call.name()).collect();
    calls.sort_unstable();
    calls.dedup();
    calls.retain(|name| CallNumber::from_name(name).is_some_and(|call| !groups_in_a_row(recording, &[call]).is_empty()));
    calls.join(", ")
}

/// A call by its name, or the nearest known one.
pub(crate) fn known(call: &str) -> Result<CallNumber, TraceError> {
    let names = sim_core::calls::CALL_NAMES.iter().map(|entry| entry.1);
    CallNumber::from_name(call).ok_or_else(|| TraceError::unknown_name("system call", call, names))
}

fn number(name: &str, calls: &str) -> Result<u32, TraceError> {
    calls.parse().ok().filter(|calls| (1..=CALLS_MAX).contains(calls)).ok_or_else(|| {
        let problem = format!("`{calls}` is not a number of calls in 1..={CALLS_MAX}");
        TraceError::content(name, problem, format!("Write for example `{NULL_CALL}:16` or `{CALL_LOOP}:pread64:16`"))
    })
}

fn no_more(name: &str, rest: Option<&str>) -> Result<(), TraceError> {
    let Some(rest) = rest else { return Ok(()) };
    let advice = format!("Write for example `{NULL_CALL}:16` or `{CALL_LOOP}:pread64:16`");
    Err(TraceError::content(name, format!("`{rest}` is one part too many"), advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        let read = |name| CallLoop::from_name(name).unwrap().unwrap();
        assert_eq!(read("null-call"), CallLoop::null(1));
        assert_eq!(read("null-call:32").name(), "null-call:32");
        assert_eq!(read("call-loop:pread64:4").name(), "call-loop:pread64:4");
        assert_eq!(read("call-loop:getppid:4").name(), "null-call:4");
        assert!(CallLoop::from_name("nginx").is_none());
        let refused = |name| CallLoop::from_name(name).unwrap().unwrap_err().to_string();
        assert!(refused("null-call:0").contains("1..=1024"), "{}", refused("null-call:0"));
        assert!(refused("null-call:4:4").contains("too many"));
        assert!(refused("call-loop:pred64:4").contains("did you mean"), "{}", refused("call-loop:pred64:4"));
    }

    #[test]
    fn a_run_holds_as_many_independent_calls_as_asked_for() {
        let recording = recording().unwrap();
        for calls in [1, 64] {
            let made = CallLoop::null(calls).of(&recording).unwrap();
            let steps = &made.classes[0].chains[0].steps;
            assert_eq!(steps.len(), calls as usize);
            assert!(steps.iter().all(|step| step.call.name() == "getppid" && step.depends.is_empty()));
            let instructions = |step: &Step| made.blocks.info(step.kernel).instructions;
            // a null call's kernel path is short; anything else got in if it is not
            assert!(steps.iter().all(|step| instructions(step) < 1000), "{:?}", steps.iter().map(instructions).max());
        }
        let missing = CallLoop { call: CallNumber::from_name("sendfile").unwrap(), calls: 2 };
        let error = missing.of(&recording).unwrap_err().to_string();
        assert!(error.contains("sendfile") && error.contains("pread64"), "{error}");
    }
}
