//! How one way compares with synchronous calls: the gain, what it may be wrong by, and what is left of it.

use super::port;
use super::result::{Candidate, Measure, Outcome};
use sim_core::report::{Estimate, LimitedBy, RunReport};
use sim_core::stack::Component;

/// What is compared: synchronous calls that do not fill the server cannot be beaten in throughput, only in processor time.
pub(super) fn measure(base: &RunReport, sequential: bool) -> Measure {
    let server = base.limited_by.is_none_or(|limit| limit == LimitedBy::Server);
    if server || sequential { Measure::Throughput } else { Measure::ProcessorTime }
}

/// Gain over synchronous calls in a measure; above 1 is better.
pub(super) fn gain(report: &RunReport, measure: Measure) -> Option<Estimate> {
    match measure {
        Measure::Throughput => report.speedup_vs_sync,
        Measure::ProcessorTime => {
            let ratio = report.processor_time_vs_sync?;
            Some(Estimate { mean: 1.0 / ratio.mean, low: 1.0 / ratio.high, high: 1.0 / ratio.low, n: ratio.n })
        }
    }
}

/// Cycles per request that are not idle.
pub(super) fn busy_cycles(report: &RunReport) -> f64 {
    report.per_request.cycles_total - report.cycle_stack.get(Component::Idle) - report.cycle_stack.get(Component::Client)
}

/// Factor on a gain when the work that the way adds and that nobody recorded (instruction counts of its own code, within a factor of two
/// by their sources) costs twice as much.
pub(super) fn caution(base: &RunReport, own: &RunReport) -> f64 {
    let estimated = |report: &RunReport| report.synthetic_cycle_share * busy_cycles(report);
    let busy = busy_cycles(own);
    let added = (estimated(own) - estimated(base)).max(0.0);
    if busy > 0.0 && added.is_finite() { busy / (busy + added) } else { 1.0 }
}

/// One way, judged.
pub(super) fn candidate(base: &RunReport, own: &RunReport, measure: Measure) -> Candidate {
    let label = own.label();
    let port = port::of(&label);
    let gain = gain(own, measure).filter(|_| own.applicable);
    let factor = caution(base, own);
    let cautious = gain.map_or(f64::NAN, |gain| gain.low * factor);
    let exposed = own.exposure_range.filter(|_| measure == Measure::Throughput);
    let sign_holds = exposed.is_none_or(|range| range.low.min(range.high) * factor > 1.0);
    let outcome = match gain {
        _ if !own.applicable => Outcome::NotApplicable,
        None => Outcome::NotSeparable,
        Some(gain) if gain.high < 1.0 => Outcome::Loses,
        Some(gain) if gain.low > 1.0 && cautious > 1.0 + port.margin && sign_holds => Outcome::Gains,
        Some(gain) if gain.low > 1.0 => Outcome::WithinModelError,
        Some(_) => Outcome::NotSeparable,
    };
    Candidate {
        mechanism: label,
        outcome,
        gain,
        gain_low_cautious: cautious,
        margin: port.margin,
        p99_ratio: own.latency_us.p99 / base.latency_us.p99,
        needs: port.kernel.name().into(),
        reason: own.reason.clone(),
    }
}
