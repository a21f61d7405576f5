//! The judgement: from evidence to advice.

use super::calls;
use super::confidence::{self, SYNTHETIC_SHARE_SOME};
use super::evidence::{Evidence, Place, Subject};
use super::outcome::{candidate, gain, measure};
use super::port::{self, KernelNeeds};
use super::result::{
    Advice, Candidate, Confidence, ConfidenceClass, Costs, Decision, Elsewhere, Measure, Outcome, Recommendation, Verdict,
};
use sim_core::report::{BatchDepth, Comparison, LimitedBy, RunReport, SCHEMA};
use sim_core::workload::Program;

/// A tail so much longer than that of synchronous calls is a price that throughput does not pay.
const TAIL_TOLERATED: f64 = 2.0;

/// What is asked of a way before its gain counts, the most important first. `true` is better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Standing {
    gains: bool,
    /// The same program: a rewrite is another decision.
    keeps_the_program: bool,
    can_be_decided_on: bool,
    keeps_the_tail: bool,
}

/// A way with its judgement.
type Judged<'a> = (&'a RunReport, Candidate, Standing);

/// The ways that ran beside the baseline.
fn judged<'a>(at_load: &'a Comparison, subject: &Subject) -> Vec<Judged<'a>> {
    let Some(base) = at_load.find("sync") else { return Vec::new() };
    let measure = measure(base, subject.program == Program::Sequential);
    others(at_load)
        .map(|report| (report, candidate(base, report, measure)))
        .filter(|(_, own)| own.gain.is_some())
        .map(|(report, own)| {
            let standing = standing(subject, base, &own);
            (report, own, standing)
        })
        .collect()
}

/// The way that advice is about: of those that gain the one to move to, else what came closest; none when nothing else can run.
pub fn chosen<'a>(at_load: &'a Comparison, subject: &Subject) -> Option<&'a RunReport> {
    let judged = judged(at_load, subject);
    let first = judged.iter().max_by(|left, right| {
        let gain = || left.1.gain_low_cautious.total_cmp(&right.1.gain_low_cautious);
        left.2.cmp(&right.2).then_with(gain)
    })?;
    // what the intervals cannot tell from the best may need less of the kernel
    let equal = judged.iter().filter(|(_, own, standing)| *standing == first.2 && overlap(own, &first.1));
    let least = equal.min_by_key(|(report, _, _)| port::of(&report.label()).kernel);
    Some(least.filter(|_| first.2.gains).unwrap_or(first).0)
}

/// Ways that more seeds cannot bring into the advice: another one stands at least as well, its interval lies wholly above theirs, also with
/// caution, and it does not need more than a stock kernel where they do not.
pub(super) fn dominated(at_load: &Comparison, subject: &Subject) -> Vec<String> {
    let judged = judged(at_load, subject);
    let stock = |own: &Judged| port::of(&own.0.label()).kernel == KernelNeeds::Stock;
    let below = |own: &Judged, other: &Judged| {
        let apart = own.1.gain.zip(other.1.gain).is_some_and(|(own, other)| own.high < other.low);
        let above = other.1.gain_low_cautious > own.1.gain_low_cautious;
        apart && above && other.2 >= own.2 && (stock(other) || !stock(own))
    };
    let behind = judged.iter().filter(|own| judged.iter().any(|other| below(own, other)));
    behind.map(|own| own.0.label()).collect()
}

fn standing(subject: &Subject, base: &RunReport, own: &Candidate) -> Standing {
    Standing {
        gains: own.outcome == Outcome::Gains,
        keeps_the_program: !port::of(&own.mechanism).rewrites,
        can_be_decided_on: confidence::confidence(subject, base, own).class != ConfidenceClass::Low,
        keeps_the_tail: !has_slow_tail(own),
    }
}

fn has_slow_tail(own: &Candidate) -> bool {
    own.p99_ratio > TAIL_TOLERATED
}

fn overlap(own: &Candidate, best: &Candidate) -> bool {
    own.gain.zip(best.gain).is_some_and(|(own, best)| own.high >= best.low)
}

fn others(comparison: &Comparison) -> impl Iterator<Item = &RunReport> {
    comparison.results.iter().filter(|report| report.label() != "sync")
}

/// Judges. Nothing when the comparison has no synchronous calls to compare with.
pub fn decide(evidence: &Evidence) -> Option<Advice> {
    let at_load = &evidence.at_load;
    let base = at_load.find("sync").filter(|report| report.applicable)?;
    let sequential = evidence.subject.program == Program::Sequential;
    let measure = measure(base, sequential);
    let best = chosen(at_load, &evidence.subject);
    let mut candidates: Vec<Candidate> = others(at_load).map(|report| candidate(base, report, measure)).collect();
    candidates.sort_by(|left, right| {
        let gain = || right.gain_low_cautious.total_cmp(&left.gain_low_cautious);
        left.outcome.cmp(&right.outcome).then_with(gain)
    });
    let recommendation = best.map(|own| recommendation(evidence, base, own, measure));
    let confidence = confidence_in(evidence, base, best, measure);
    let calls = best.map(|own| calls::ranked(base, own)).unwrap_or_default();
    let saved_elsewhere_cycles = best.map_or(0.0, |own| calls::unexplained(base, own, &calls));
    let elsewhere: Vec<Elsewhere> =
        evidence.elsewhere.iter().filter_map(|(place, comparison)| elsewhere(place, comparison, sequential)).collect();
    let verdict = verdict(evidence, base, &candidates, recommendation.as_ref(), &confidence, measure);
    let on_stock_kernel = recommendation.as_ref().and_then(|own| on_stock_kernel(&candidates, own));
    Some(Advice {
        schema: SCHEMA,
        kind: "advice".into(),
        workload: at_load.workload.clone(),
        machine: at_load.machine.clone(),
        kernel: at_load.kernel.clone(),
        cores: evidence.place.cores,
        connections: at_load.connections,
        rate_rps: evidence.place.rate_rps,
        seed: at_load.seed,
        manifest: at_load.manifest.clone(),
        verdict,
        measure,
        on_stock_kernel,
        calls,
        saved_elsewhere_cycles,
        recommendation,
        candidates,
        loses_when: elsewhere.iter().filter_map(loses).collect(),
        elsewhere,
        confidence,
        simulations: evidence.simulations,
    })
}

fn confidence_in(evidence: &Evidence, base: &RunReport, best: Option<&RunReport>, measure: Measure) -> Confidence {
    match best {
        Some(own) => confidence::confidence(&evidence.subject, base, &candidate(base, own, measure)),
        None => Confidence { class: ConfidenceClass::High, reasons: Vec::new(), synthetic_cycle_share: base.synthetic_cycle_share },
    }
}

/// The best that gains on a stock kernel, when the recommended way needs more.
fn on_stock_kernel(candidates: &[Candidate], own: &Recommendation) -> Option<Candidate> {
    let stock = KernelNeeds::Stock.name();
    let mut gaining = candidates.iter().filter(|other| other.outcome == Outcome::Gains && other.needs == stock);
    if own.candidate.needs == stock { None } else { gaining.next().cloned() }
}

fn recommendation(evidence: &Evidence, base: &RunReport, own: &RunReport, measure: Measure) -> Recommendation {
    let label = own.label();
    let kept = evidence.trials.iter().filter(|trial| trial.kept && trial.label == label);
    let settings: Vec<_> = kept.map(|trial| trial.setting.clone()).collect();
    let limited_by_choice = settings.iter().any(|setting| LIMITS.contains(&setting.path.as_str()));
    let set: String = settings.iter().map(|setting| format!(" --set {}={}", setting.path, setting.value)).collect();
    let command = evidence.at_load.manifest.command.replacen("ringscope advise", "ringscope run", 1);
    let command = format!("{} --mechanism {label}{set}", without_budget(&command));
    Recommendation {
        candidate: candidate(base, own, measure),
        settings,
        settings_tried: evidence.trials.iter().filter(|trial| trial.label == label).count() as u64,
        command,
        baseline_rps: base.throughput_rps,
        throughput_rps: own.throughput_rps,
        exposure_range: own.exposure_range,
        baseline_latency_us: base.latency_us,
        latency_us: own.latency_us,
        why: own.why.clone(),
        batch: own.batch.clone(),
        batch_limit: batch_limit(&own.batch, limited_by_choice),
        core_split: own.cores_used,
        costs: costs(base, own),
    }
}

/// The command without the options that only advice has.
fn without_budget(command: &str) -> String {
    let mut words = command.split(' ');
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "--budget" || word == "--mechanism" {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// Settings that end a batch.
const LIMITS: [&str; 2] = ["mechanism.exception_less.entries", "mechanism.batched_script.limit"];

fn batch_limit(batch: &BatchDepth, limited_by_choice: bool) -> String {
    match batch.limited_by.as_str() {
        "ready connections" => {
            "no more connections had work: batches grow with the number of requests that are there at the same time"
        }
        "dependencies" => {
            "the next calls need a result or the program's own work first: only another program structure makes batches deeper"
        }
        "limit" if limited_by_choice => "the limit that served best of those that were tried",
        "limit" => "the configured limit: a higher one makes batches deeper, and requests wait longer",
        _ => "the mechanism does not collect calls",
    }
    .into()
}

fn costs(base: &RunReport, own: &RunReport) -> Costs {
    let port = port::of(&own.label());
    let polled = own.occurrences.iter().find(|row| row.what == crate::exception_less::POLLED_CYCLES).map_or(0, |row| row.count);
    let measured = own.window.as_ref().map_or(0, |window| window.measured_cycles);
    Costs {
        cores_polling: polled as f64 / measured.max(1) as f64,
        memory_bytes: own.mechanism_memory_bytes,
        processor_time_ratio: own.processor_time_vs_sync,
        calls_to_change: base.per_call.iter().map(|row| row.call.clone()).collect(),
        effort: port.effort.into(),
        kernel: port.kernel_words.into(),
        risk: port.risk.into(),
    }
}

fn elsewhere(place: &Place, comparison: &Comparison, sequential: bool) -> Option<Elsewhere> {
    let base = comparison.find("sync").filter(|report| report.applicable)?;
    let own = others(comparison).find(|report| report.applicable)?;
    // a closed loop of few connections answers as fast as it is served: there throughput is what shows whether a way loses
    let closed = place.rate_rps.is_none();
    let measure = if closed { Measure::Throughput } else { measure(base, sequential) };
    let gain = gain(own, measure);
    let outcome = match gain {
        Some(gain) if gain.high < 1.0 => Outcome::Loses,
        Some(gain) if gain.low > 1.0 => Outcome::Gains,
        _ => Outcome::NotSeparable,
    };
    Some(Elsewhere {
        cores: place.cores,
        connections: comparison.connections,
        rate_rps: place.rate_rps,
        measure,
        gain,
        outcome,
        limited_by: base.limited_by,
        baseline_rps: base.throughput_rps.mean,
        throughput_rps: own.throughput_rps.mean,
        p50_ratio: own.latency_us.p50 / base.latency_us.p50,
        core_split: own.cores_used,
    })
}

/// Where the way loses, in words.
fn loses(elsewhere: &Elsewhere) -> Option<String> {
    let gain = elsewhere.gain.filter(|_| elsewhere.outcome == Outcome::Loses)?;
    let load = match elsewhere.rate_rps {
        Some(rate) => format!("{rate:.0} requests/s offered"),
        None if elsewhere.connections == 0 => "the same program".to_owned(),
        None if elsewhere.connections == 1 => "1 connection".to_owned(),
        None => format!("{} connections", elsewhere.connections),
    };
    let cores = if elsewhere.cores == 1 { "1 core".to_owned() } else { format!("{} cores", elsewhere.cores) };
    Some(format!(
        "{load} on {cores}: {:.2}x {} ({:.2} to {:.2})",
        gain.mean,
        elsewhere.measure.noun(elsewhere.connections == 0),
        gain.low,
        gain.high
    ))
}

fn verdict(
    evidence: &Evidence,
    base: &RunReport,
    candidates: &[Candidate],
    recommendation: Option<&Recommendation>,
    confidence: &Confidence,
    measure: Measure,
) -> Verdict {
    let decision = decision(candidates, recommendation, confidence);
    let sequential = evidence.subject.program == Program::Sequential;
    let mut reasons = Vec::new();
    if measure == Measure::ProcessorTime {
        let limit = base.limited_by.unwrap_or(LimitedBy::Client).name();
        reasons.push(format!(
            "synchronous calls leave the server with {:.0} % of its processor time idle; the {limit} is the limit, so throughput cannot show a gain",
            base.cores_used.idle / f64::from(base.cores.max(1)) * 100.0
        ));
    }
    if let Some(own) = recommendation.filter(|own| own.candidate.outcome == Outcome::Gains) {
        reasons.push(format!("{} {}", own.candidate.mechanism, own.why));
    }
    reasons.extend(recommendation.and_then(|own| slow_tail(&own.candidate)));
    reasons.extend(recommendation.and_then(|own| stock_alternative(candidates, own, measure, sequential)));
    let passed_over = candidates.iter().filter(|other| recommendation.is_none_or(|own| own.candidate.mechanism != other.mechanism));
    let passed_over: Vec<&Candidate> = passed_over.filter(|other| other.outcome == Outcome::Gains).collect();
    reasons.extend(passed_over.iter().copied().filter_map(rewrite));
    reasons.extend(passed_over.iter().copied().filter_map(slow_tail));
    Verdict {
        decision,
        headline: headline(decision, recommendation, confidence, measure.noun(sequential)),
        would_settle: match decision {
            Decision::Move => Vec::new(),
            _ => would_settle(evidence, base, recommendation, measure),
        },
        reasons,
    }
}

fn decision(candidates: &[Candidate], recommendation: Option<&Recommendation>, confidence: &Confidence) -> Decision {
    let gains = recommendation.is_some_and(|own| own.candidate.outcome == Outcome::Gains);
    let open = |own: &Candidate| match own.gain {
        // an interval that ends below the margin cannot hide a gain that would count; an unknown one can
        Some(gain) => gain.high.is_nan() || gain.high > 1.0 + own.margin,
        None => false,
    };
    if gains && confidence.class != ConfidenceClass::Low {
        Decision::Move
    } else if gains || candidates.iter().any(open) {
        Decision::CannotTell
    } else {
        Decision::StaySynchronous
    }
}

/// What can be had without another kernel, where the recommended way needs one.
fn stock_alternative(candidates: &[Candidate], own: &Recommendation, measure: Measure, sequential: bool) -> Option<String> {
    let stock = on_stock_kernel(candidates, own)?;
    let gain = stock.gain?;
    Some(format!(
        "on a stock kernel {} reaches {:.2}x {}: {} needs a {}",
        stock.mechanism,
        gain.mean,
        measure.noun(sequential),
        own.candidate.mechanism,
        own.candidate.needs
    ))
}

/// What a rewrite would reach, which is no alternative to a port.
fn rewrite(own: &Candidate) -> Option<String> {
    let gain = own.gain.filter(|_| port::of(&own.mechanism).rewrites)?;
    Some(format!(
        "{} reaches {:.2}x with another program (the request path written again for the kernel): a larger decision than how calls are issued",
        own.mechanism, gain.mean
    ))
}

fn slow_tail(own: &Candidate) -> Option<String> {
    has_slow_tail(own).then(|| {
        format!(
            "{}: the slowest hundredth of its requests takes {:.1} times as long as with synchronous calls",
            own.mechanism, own.p99_ratio
        )
    })
}

fn headline(decision: Decision, recommendation: Option<&Recommendation>, confidence: &Confidence, noun: &str) -> String {
    let Some(own) = recommendation else { return "Stay synchronous: no other way of issuing calls can run this program.".into() };
    let name = &own.candidate.mechanism;
    let gain = own
        .candidate
        .gain
        .map_or_else(String::new, |gain| format!("{:.2}x {noun} (95 % interval {:.2} to {:.2})", gain.mean, gain.low, gain.high));
    match (decision, own.candidate.outcome) {
        (Decision::Move, _) => format!("Move to {name}: {gain}, confidence {}.", confidence.class.name()),
        (Decision::StaySynchronous, _) => format!("Stay synchronous: the best of the others, {name}, reaches {gain}."),
        (Decision::CannotTell, Outcome::Gains) => {
            format!("Cannot tell: {name} reaches {gain} in the model, but the evidence is too thin to decide on.")
        }
        (Decision::CannotTell, Outcome::WithinModelError) => format!(
            "Cannot tell: {name} reaches {gain}; its cautious low end of {:.3}x is not above {:.2}x, the room left for the model's own error.",
            own.candidate.gain_low_cautious,
            1.0 + own.candidate.margin
        ),
        (Decision::CannotTell, _) => format!("Cannot tell: {name} reaches {gain}."),
    }
}

fn would_settle(evidence: &Evidence, base: &RunReport, recommendation: Option<&Recommendation>, measure: Measure) -> Vec<String> {
    let mut steps = Vec::new();
    let Some(own) = recommendation else { return steps };
    let candidate = &own.candidate;
    if candidate.gain.is_some_and(|gain| gain.half_width_relative() > candidate.margin / 2.0) {
        steps.push("a narrower interval: more --requests or --reps".to_owned());
    }
    if evidence.subject.source_format != "capture" || base.synthetic_cycle_share > SYNTHETIC_SHARE_SOME {
        steps.push(
            "a full-system capture of the program instead of what was recorded: it holds the lines that are estimated here"
                .to_owned(),
        );
    }
    if measure == Measure::ProcessorTime {
        steps.push("a load that fills the server: more --connections, or a higher --rate".to_owned());
    }
    if candidate.outcome == Outcome::WithinModelError {
        steps.push("a measured prototype: move the first call of the list below, and compare on the real machine".to_owned());
    }
    let flips = own.exposure_range.is_some_and(|range| (range.low > 1.0) != (range.high > 1.0));
    if flips {
        steps.push("counters of the real machine (user and kernel CPI of the synchronous program): the sign depends on how much of an instruction miss is exposed".to_owned());
    }
    if matches!(candidate.outcome, Outcome::NotSeparable | Outcome::Loses) && steps.is_empty() {
        steps.push("a load nearer to the real one (--connections, --cores, --rate)".to_owned());
    }
    steps
}
