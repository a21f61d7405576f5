//! How sure advice is: what the evidence rests on, and which known deviations of the model touch it.

use super::evidence::Subject;
use super::port;
use super::result::{Candidate, Confidence, ConfidenceClass, Reason};
use sim_core::report::RunReport;
use sim_core::workload::Program;

/// Above this part of estimated cycles the recording no longer carries the advice.
pub(super) const SYNTHETIC_SHARE_MUCH: f64 = 0.30;
/// Above this part of estimated cycles the reader must know.
pub(super) const SYNTHETIC_SHARE_SOME: f64 = 0.10;
/// Widest interval, half and relative, that does not lower confidence (MODEL.md section 0 asks for 2 %).
const INTERVAL_RELATIVE: f64 = 0.02;
/// A wider one does not either while it is this share of what is gained: 1.37 ± 0.03 is no reason to prefer 1.27 ± 0.02.
const INTERVAL_OF_GAIN: f64 = 0.1;

/// What a known deviation depends on.
struct Case<'a> {
    subject: &'a Subject,
    label: &'a str,
    cores: u32,
    mitigated: bool,
}

impl Case<'_> {
    fn is(&self, mechanism: &str) -> bool {
        self.label.split(':').next() == Some(mechanism)
    }
}

struct Deviation {
    number: &'static str,
    text: &'static str,
    lowers: bool,
    touches: fn(&Case) -> bool,
}

/// Deviations of validation/DEVIATIONS.md that bear on whether a gain is real.
#[rustfmt::skip]
const DEVIATIONS: &[Deviation] = &[
    Deviation {
        number: "D30", lowers: false,
        text: "published gains of exception-less calls are mostly larger than the model's: take the gain as a lower end",
        touches: |case| case.is("exception-less") && !case.label.contains("io-uring"),
    },
    Deviation {
        number: "D32", lowers: true,
        text: "on two cores the one published gain of an event loop is smaller than the model's (120 % where it says about 195 %)",
        touches: |case| case.is("exception-less") && case.cores > 1 && case.subject.program == Program::EventLoop,
    },
    Deviation {
        number: "D7", lowers: false,
        text: "the mechanism's own instructions are hand counts within a factor of two; the cautious lower end takes them twice",
        touches: |case| case.is("batched-script") || case.is("in-kernel-dsl") || case.is("exception-less"),
    },
    Deviation {
        number: "D31", lowers: true,
        text: "locks between the program's threads are not modelled: on several cores synchronous calls look better than they are",
        touches: |case| case.cores > 1 && !case.subject.single_threaded,
    },
    Deviation {
        number: "D3", lowers: true,
        text: "a server with a thread per connection is simulated as one thread with an event library; exception-less:threads keeps its threads",
        touches: |case| {
            case.label == "exception-less"
                && matches!(case.subject.program, Program::ThreadPerConnection | Program::ProcessPerConnection)
        },
    },
    Deviation {
        number: "D14", lowers: true,
        text: "the cost of an INT3 probe is a guess",
        touches: |case| case.label == "elevated-shortcut:int3",
    },
    Deviation {
        number: "D17", lowers: true,
        text: "recvmmsg and sendmmsg are put together from single calls, not recorded",
        touches: |case| case.label == "batched-script:message-batch",
    },
    Deviation {
        number: "D19", lowers: true,
        text: "the in-kernel file service opens no file, writes no log and parses less than the server",
        touches: |case| case.is("in-kernel-dsl") && case.subject.serves_files,
    },
    Deviation {
        number: "D5", lowers: true,
        text: "with mitigations on the kernel's blocks are still those recorded with mitigations off",
        touches: |case| case.mitigated && !case.subject.recorded_with_mitigations,
    },
];

/// Confidence in a candidate. Each reason that lowers takes a step; two steps leave nothing to decide on.
pub(super) fn confidence(subject: &Subject, base: &RunReport, candidate: &Candidate) -> Confidence {
    let case = Case { subject, label: &candidate.mechanism, cores: base.cores, mitigated: subject.mitigated };
    let mut reasons = vec![ground(&candidate.mechanism)];
    reasons.extend(rewrite(&candidate.mechanism));
    let estimated = synthetic(base.synthetic_cycle_share);
    reasons.extend(recording(subject, estimated.is_none()));
    reasons.extend(estimated);
    reasons.extend(interval(candidate));
    let known = DEVIATIONS.iter().filter(|deviation| (deviation.touches)(&case));
    reasons.extend(known.map(|deviation| Reason {
        text: deviation.text.into(),
        deviation: Some(deviation.number.into()),
        lowers: deviation.lowers,
    }));
    let much = base.synthetic_cycle_share > SYNTHETIC_SHARE_MUCH;
    let class = match reasons.iter().filter(|reason| reason.lowers).count() {
        _ if much => ConfidenceClass::Low,
        0 => ConfidenceClass::High,
        1 | 2 => ConfidenceClass::Medium,
        _ => ConfidenceClass::Low,
    };
    Confidence { class, reasons, synthetic_cycle_share: base.synthetic_cycle_share }
}

fn plain(text: String) -> Reason {
    Reason { text, deviation: None, lowers: false }
}

fn lowering(text: String) -> Reason {
    Reason { text, deviation: None, lowers: true }
}

fn ground(label: &str) -> Reason {
    if port::of(label).is_backed() {
        plain("published measurements of this mechanism stand beside the model's predictions (`ringscope validate papers`)".into())
    } else {
        lowering("no published measurement of this way stands beside the model's prediction".into())
    }
}

fn rewrite(label: &str) -> Option<Reason> {
    let text = "it is another program than the one recorded: part of the gain may be that it does less";
    port::of(label).rewrites.then(|| lowering(text.into()))
}

/// What the workload was made of. `whole`: next to nothing of it is estimated.
fn recording(subject: &Subject, whole: bool) -> Option<Reason> {
    match subject.source_format.as_str() {
        "capture" if whole => Some(plain("every line of user and kernel work is recorded".into())),
        "strace" | "ftrace" => Some(lowering(format!(
            "the {} log names calls and times only: kernel lines are those of a similar recording, user lines are made up to fit the time",
            subject.source_format
        ))),
        _ => None,
    }
}

fn synthetic(share: f64) -> Option<Reason> {
    (share > SYNTHETIC_SHARE_SOME)
        .then(|| lowering(format!("{:.0} % of the busy cycles of synchronous calls are estimated, not recorded", share * 100.0)))
}

fn interval(candidate: &Candidate) -> Option<Reason> {
    let gain = candidate.gain?;
    let half = gain.half_width_relative();
    let gained = (gain.mean - 1.0).abs() / gain.mean;
    (half > INTERVAL_RELATIVE.max(gained * INTERVAL_OF_GAIN)).then(|| {
        let width = if half.is_finite() { format!("is ± {:.1} %", half * 100.0) } else { "is not known from one seed".into() };
        lowering(format!("the interval of the gain {width}, wider than 2 % and than a tenth of what is gained"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviations_are_those_of_the_list() {
        let list = include_str!("../../../validation/DEVIATIONS.md");
        for deviation in DEVIATIONS {
            assert!(list.contains(&format!("| {} |", deviation.number)), "{} is not in the list", deviation.number);
        }
    }
}
