//! What an importer of calls says of its own work: understood, guessed, dropped.

use super::Recording;
use super::base::Base;
use super::copy::Copier;
use super::distil::DistilOptions;
use super::gaps::Gaps;
use super::library::Fit;
use super::requests::Split;
use super::user::UserBlocks;
use sim_core::workload::{Certainty, Note, Program, Workload};
use std::collections::BTreeMap;

/// Notes being collected; those that count nothing are left out.
#[derive(Default)]
struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, certainty: Certainty, text: impl Into<String>, count: u64) {
        if count > 0 {
            self.0.push(Note { certainty, text: text.into(), count });
        }
    }

    fn understood(&mut self, text: impl Into<String>, count: u64) {
        self.add(Certainty::Understood, text, count);
    }

    fn guessed(&mut self, text: impl Into<String>, count: u64) {
        self.add(Certainty::Guessed, text, count);
    }

    fn dropped(&mut self, text: impl Into<String>, count: u64) {
        self.add(Certainty::Dropped, text, count);
    }
}

/// What became of the lines of a recording.
pub(super) fn reading_notes(recording: &Recording) -> Vec<Note> {
    let counts = &recording.counts;
    let mut notes = Notes::default();
    notes.understood("lines", counts.accounted());
    notes.understood("calls", recording.calls.len() as u64);
    notes.understood("of these put together from two lines", counts.pairs);
    notes.understood("signals", counts.signals);
    notes.understood("ends of tasks", counts.exits);
    let unknown = recording.calls.iter().filter(|call| call.number.is_none()).count();
    notes.guessed("calls that the call table doesn't know", unknown as u64);
    let decorated = "kinds of descriptors, from the calls that made or used them (strace -yy prints them)";
    notes.guessed(decorated, u64::from(!recording.decorated));
    notes.dropped("calls whose end is not in the file", counts.never_resumed + counts.detached);
    notes.dropped("calls whose beginning is not in the file", counts.never_begun);
    notes.dropped("damaged end of the file", u64::from(recording.damage.is_some()));
    notes.0
}

/// How the calls were split into requests; `dropped` requests belonged to classes too small to keep.
pub(super) fn split_notes(split: &Split, dropped: u64) -> Vec<Note> {
    let mut notes = Notes::default();
    let count = split.requests.len() as u64;
    match split.program {
        Program::Sequential => {
            notes.guessed("run of a program without clients (no connection got both a request and a reply)", count);
        }
        _ => notes.understood("requests with their replies", count),
    }
    notes.guessed(format!("kind of program: {:?}", split.program), 1);
    notes.guessed("replies are sent after the receives of all ready connections", u64::from(split.deferred));
    for (reason, count) in &split.outside {
        notes.dropped(*reason, *count);
    }
    notes.dropped("requests of classes with less than 1 % of the requests", dropped);
    notes.0
}

/// What the base lent.
pub(super) fn base_notes(base: &Workload, chosen: Base) -> Vec<Note> {
    let mut notes = Notes::default();
    let likeness = format!("{} of 1000 calls covered, {} in common", chosen.covered_milli, chosen.common_milli);
    let what = if chosen.same_program { "taken for the same program as" } else { "most like" };
    notes.guessed(format!("kernel work, address space and interrupts from `{}`: {what} it ({likeness})", base.name), 1);
    notes.guessed(format!("recorded client: as in `{}`; the recording has none", base.name), 1);
    notes.0
}

/// Where the user work came from.
pub(super) fn user_notes(user: &UserBlocks<'_>, gaps: &Gaps, options: &DistilOptions, base: &Workload) -> Vec<Note> {
    let mut notes = Notes::default();
    if options.timed {
        let source = if options.tracer_cost_ns.is_some() { "as given" } else { "the smallest gaps of the recording" };
        notes.guessed(
            format!(
                "tracer cost taken off each gap between calls: {} ns ({} ns after a call that made a socket), {source}; the median gap \
                 is {} ns",
                gaps.tracer_cost_ns, gaps.tracer_cost_socket_ns, gaps.median_ns
            ),
            1,
        );
        notes.guessed("gaps of more than ten medians, taken for preemption and replaced by the median", gaps.outliers);
        notes.guessed(
            format!(
                "instructions of user work in the kept requests by the gaps, at {} MHz and {} thousandths of an instruction a cycle; the \
                 blocks that were chosen have {}",
                options.clock_mhz, options.instructions_per_cycle_milli, user.instructions_chosen
            ),
            user.instructions_by_gaps,
        );
    } else {
        let text = "no times or no durations (-ttt -T): made-up user work has the median length of the library's user blocks, instructions";
        notes.guessed(text, user.typical_instructions);
    }
    notes.understood(format!("user work as recorded in `{}`, chosen by the rank of the gap", base.name), user.as_recorded);
    notes.guessed(format!("user work of `{}` repeated or cut to the gap's length", base.name), user.stretched_count);
    notes.guessed("user work made up: proportions of the library's recorded user blocks", user.made_up);
    notes.0
}

/// Kernel work that the library lacks, with what stands in for it, and what was recognised in other captures.
pub(super) fn kernel_notes(stand_ins: &BTreeMap<(Fit, String), u64>, copier: &Copier<'_>) -> Vec<Note> {
    let mut notes = Notes::default();
    for ((_, missing), count) in stand_ins {
        notes.guessed(format!("kernel work of {missing}"), *count);
    }
    notes.guessed("chunks of other captures recognised as the base's kernel text or data", copier.chunks_shared);
    notes.0
}
