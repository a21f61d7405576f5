//! Where a gain or loss comes from, in cycles and in words.

use crate::assemble::Totals;
use sim_core::numbers::fixed;
use sim_core::report::{GainParts, RunReport};
use sim_core::stack::{Cause, Component, Domain};

/// Cycles per request saved against the baseline, by reason. The parts sum to the difference of the cycle totals.
pub fn parts(base: &Totals, own: &Totals) -> GainParts {
    let work = |totals: &Totals, wanted: fn(Cause) -> bool| {
        let domains = [Domain::User, Domain::Kernel];
        let cycles = domains.iter().flat_map(|domain| {
            Cause::ALL.into_iter().filter(|cause| wanted(*cause)).map(|cause| totals.stack.get(Component::Work(*domain, cause)))
        });
        totals.per_request(cycles.sum())
    };
    let executed = |cause| matches!(cause, Cause::Base | Cause::Copy);
    let stalled = |cause| !matches!(cause, Cause::Base | Cause::Copy);
    let mechanism = |totals: &Totals| totals.per_request(totals.stack.domain(Domain::Mechanism));
    let waiting = |totals: &Totals| totals.per_request(totals.stack.get(Component::Idle) + totals.stack.get(Component::Client));
    GainParts {
        order_cycles: work(base, stalled) - work(own, stalled),
        removed_cycles: work(base, executed) - work(own, executed) + mechanism(base) - mechanism(own),
        crossing_cycles: base.per_request(base.stack.direct()) - own.per_request(own.stack.direct()),
        idle_cycles: waiting(base) - waiting(own),
    }
}

/// One line: the gain or loss of a report against the baseline, naming the cycles.
pub fn explain(base: &RunReport, own: &RunReport) -> String {
    if base.mechanism == own.mechanism {
        return what_costs_most(own);
    }
    let Some(parts) = own.gain_parts else { return what_costs_most(own) };
    let busy = |report: &RunReport| {
        report.per_request.cycles_total - report.cycle_stack.get(Component::Idle) - report.cycle_stack.get(Component::Client)
    };
    let saved = busy(base) - busy(own);
    let mechanism = own.per_request.mechanism_cycles;
    let mut reasons = vec![
        (parts.order_cycles, part(parts.order_cycles, "fewer stall cycles", "more stall cycles")),
        (
            parts.removed_cycles + mechanism,
            part(parts.removed_cycles + mechanism, "for instructions not executed", "for added instructions"),
        ),
        (parts.crossing_cycles, part(parts.crossing_cycles, "of crossings saved", "of added crossings")),
    ];
    if mechanism >= 0.5 {
        reasons.push((-mechanism, format!("-{} for the mechanism's own work", fixed(mechanism, 0))));
    }
    reasons.retain(|(cycles, _)| cycles.abs() >= 0.5);
    reasons.sort_by(|left, right| right.0.abs().total_cmp(&left.0.abs()));
    let verb = if saved >= 0.0 { "saves" } else { "loses" };
    let list: Vec<String> = reasons.into_iter().map(|(_, text)| text).collect();
    let mut line = format!("{verb} {} busy cycles a request ({})", fixed(saved.abs(), 0), list.join(", "));
    if let Some(change) = largest_change(base, own) {
        line.push_str(&format!("; most of it in {change}"));
    }
    let idle = parts.idle_cycles;
    if idle.abs() >= 0.02 * base.per_request.cycles_total {
        let direction = if idle > 0.0 { "less" } else { "more" };
        line.push_str(&format!("; {} cycles {direction} idle", fixed(idle.abs(), 0)));
    }
    line
}

fn part(cycles: f64, gained: &str, lost: &str) -> String {
    if cycles >= 0.0 { format!("{} {gained}", fixed(cycles, 0)) } else { format!("-{} {lost}", fixed(-cycles, 0)) }
}

/// The component of the cycle stack that changed most.
fn largest_change(base: &RunReport, own: &RunReport) -> Option<String> {
    let change = |component: &Component| base.cycle_stack.get(*component) - own.cycle_stack.get(*component);
    let waiting = |component: &Component| matches!(component, Component::Idle | Component::Client);
    let largest = Component::all()
        .filter(|component| !waiting(component))
        .max_by(|left, right| change(left).abs().total_cmp(&change(right).abs()))?;
    let cycles = -change(&largest);
    (cycles.abs() >= 0.5).then(|| format!("{} ({}{})", largest.words(), if cycles > 0.0 { "+" } else { "" }, fixed(cycles, 0)))
}

/// One line on where a mechanism's own cycles go.
pub fn what_costs_most(report: &RunReport) -> String {
    let waiting = |component: &Component| matches!(component, Component::Idle | Component::Client);
    let mut components: Vec<(String, f64)> = Component::all()
        .filter(|component| !waiting(component))
        .map(|component| (component.words(), report.cycle_stack.get(component)))
        .collect();
    components.sort_by(|left, right| right.1.total_cmp(&left.1));
    let busy: f64 = components.iter().map(|component| component.1).sum();
    let top: Vec<String> = components.iter().take(3).map(|(name, cycles)| format!("{name} {}", fixed(*cycles, 0))).collect();
    format!(
        "{} busy cycles a request; most in {}; direct {}, indirect {}",
        fixed(busy, 0),
        top.join(", "),
        fixed(report.per_request.direct_cycles, 0),
        fixed(report.per_request.indirect_cycles, 0)
    )
}
