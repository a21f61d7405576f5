//! Advice for people: the verdict first, then what it would bring, take and cost, and how sure that is.

use super::table::Table;
use super::words::hanging;
use crate::numbers::{fixed, percent, short, whole, with_interval};
use crate::terminal::Terminal;
use mechanisms::advice::{Advice, Basis, Candidate, Decision, Elsewhere, Measure, Outcome, Recommendation};
use sim_core::report::Estimate;
use sim_core::workload::Workload;

/// Calls that save less than this part of all are not worth a row, unless everything is asked for.
const SHARE_SHOWN: f64 = 0.005;

/// Advice as text.
pub fn advice(advice: &Advice, workload: &Workload, terminal: &Terminal) -> String {
    let mut text = Text { text: String::new(), terminal };
    heading(&mut text, advice, workload);
    text.paragraph(&advice.verdict.headline);
    text.list(&advice.verdict.reasons);
    text.heading(&format!("Ways of issuing calls, by what is sure of {}", advice.measure.noun(advice.connections == 0)));
    text.push(&candidates(&advice.candidates, terminal));
    if let Some(own) = &advice.recommendation {
        calls(&mut text, advice, own);
        brings(&mut text, advice, own);
        takes(&mut text, advice, own);
        elsewhere(&mut text, advice, own);
        sure(&mut text, advice);
    }
    if !advice.verdict.would_settle.is_empty() {
        text.heading("What would settle it");
        text.list(&advice.verdict.would_settle);
    }
    text.push("\n");
    if let Some(own) = &advice.recommendation {
        text.paragraph(&format!("in depth: {}", own.command));
    }
    text.paragraph(&format!("again: {} ({} simulations)", advice.manifest.command, advice.simulations));
    text.text
}

struct Text<'a> {
    text: String,
    terminal: &'a Terminal,
}

impl Text<'_> {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn heading(&mut self, title: &str) {
        self.text.push('\n');
        self.text.push_str(&self.terminal.bold(title));
        self.text.push('\n');
    }

    fn paragraph(&mut self, text: &str) {
        self.text.push_str(&hanging(text, self.terminal.width, 4));
    }

    fn list(&mut self, items: &[String]) {
        for item in items {
            self.paragraph(&format!("- {item}"));
        }
    }
}

fn heading(text: &mut Text, advice: &Advice, workload: &Workload) {
    let place = place(advice.cores, advice.connections, advice.rate_rps);
    let title = format!("{} on {}, {}, {place}", advice.workload, advice.machine, advice.kernel);
    let title = text.terminal.bold(&title);
    text.push(&format!("{title}\n"));
    text.paragraph(&workload.description);
    text.push("\n");
}

fn place(cores: u32, connections: u32, rate_rps: Option<f64>) -> String {
    let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
    let load = match (rate_rps, connections) {
        (Some(rate), _) => format!(", {} requests/s offered", fixed(rate, 0)),
        (None, 0) => String::new(),
        (None, 1) => ", 1 connection".to_owned(),
        (None, connections) => format!(", {} connections", whole(connections.into())),
    };
    cores + &load
}

const CANDIDATES: [(&str, bool, u8); 7] = [
    ("way", false, 0),
    ("gain", true, 0),
    ("cautious\nlow end", true, 2),
    ("must\nexceed", true, 3),
    ("p99\nlatency", true, 1),
    ("needs", false, 4),
    ("verdict", false, 0),
];

fn candidates(candidates: &[Candidate], terminal: &Terminal) -> String {
    let mut table = Table::with_order(&CANDIDATES);
    for own in candidates {
        let applies = own.outcome != Outcome::NotApplicable;
        let shown = |text: String| if applies { text } else { "-".into() };
        table.row([
            own.mechanism.clone(),
            gain(own.gain.as_ref()),
            shown(times(own.gain_low_cautious)),
            shown(times(1.0 + own.margin)),
            shown(times(own.p99_ratio)),
            own.needs.clone(),
            own.outcome.words().to_owned(),
        ]);
    }
    let mut text = table.render(terminal);
    for own in candidates.iter().filter(|own| own.outcome == Outcome::NotApplicable) {
        let reason = own.reason.as_deref().unwrap_or("no reason given");
        text.push_str(&hanging(&format!("{}: {reason}", own.mechanism), terminal.width, 4));
    }
    text
}

fn gain(gain: Option<&Estimate>) -> String {
    gain.map_or("-".into(), |gain| with_interval(gain, 2, "x"))
}

fn times(ratio: f64) -> String {
    if ratio.is_finite() { format!("{}x", fixed(ratio, 2)) } else { "-".into() }
}

fn calls(text: &mut Text, advice: &Advice, own: &Recommendation) {
    let title = match advice.verdict.decision {
        Decision::Move => format!("Calls to move first to {}", own.candidate.mechanism),
        _ => format!("What {} would change for each call", own.candidate.mechanism),
    };
    let unit = if advice.connections == 0 { "run" } else { "request" };
    text.heading(&format!("{title} (cycles saved per {unit})"));
    let per_unit = format!("per\n{unit}");
    let mut table = Table::with_order(&[
        ("call", false, 0),
        (per_unit.as_str(), true, 2),
        ("then", true, 3),
        ("crossing", true, 1),
        ("program's\nstalls", true, 1),
        ("own kernel\ncode", true, 1),
        ("saved", true, 0),
        ("share", true, 0),
    ]);
    let all = text.terminal.verbose;
    for call in advice.calls.iter().filter(|call| all || call.share >= SHARE_SHOWN || call.saved_cycles <= -1.0) {
        table.row([
            call.call.clone(),
            short(call.issued_per_request),
            short(call.issued_after),
            fixed(call.crossing_cycles, 0),
            fixed(call.program_stall_cycles, 0),
            fixed(call.handler_cycles, 0),
            fixed(call.saved_cycles, 0),
            percent(call.share),
        ]);
    }
    let rows = table.render(text.terminal);
    text.push(&rows);
    let saved = advice.saved_elsewhere_cycles;
    let (verb, amount) = if saved >= 0.0 { ("saved", saved) } else { ("added", -saved) };
    text.paragraph(&format!(
        "{} cycles more are {verb} outside these calls: the program's own code, packets' receive path, scheduling, new calls, and the \
         mechanism's own work.",
        fixed(amount, 0)
    ));
    if advice.calls.iter().any(|call| call.crossings_by == Basis::Share) {
        text.paragraph("Crossings are divided among the calls by how often they are made.");
    }
}

fn brings(text: &mut Text, advice: &Advice, own: &Recommendation) {
    text.heading(&format!("What {} brings at this load", own.candidate.mechanism));
    if advice.connections > 0 {
        text.paragraph(&format!(
            "throughput: {} requests/s instead of {}; latency: median {} us instead of {}, 99th percentile {} us instead of {}",
            fixed(own.throughput_rps.mean, 0),
            fixed(own.baseline_rps.mean, 0),
            short(own.latency_us.p50),
            short(own.baseline_latency_us.p50),
            short(own.latency_us.p99),
            short(own.baseline_latency_us.p99)
        ));
    }
    if let Some(range) = own.exposure_range.filter(|_| advice.measure == Measure::Throughput) {
        text.paragraph(&format!(
            "what the model does not know: the gain is {} if the processor hides half of each instruction miss, {} if it hides nothing; \
             {} at the low end of the interval if the mechanism's estimated work costs twice as much",
            times(range.low),
            times(range.high),
            times(own.candidate.gain_low_cautious)
        ));
    }
    let batch = &own.batch;
    if batch.mean > 1.0 {
        text.paragraph(&format!(
            "batch depth: {} calls together on average, {} at most; {}",
            short(batch.mean),
            short(batch.max),
            own.batch_limit
        ));
    }
    let split = &own.core_split;
    text.paragraph(&format!(
        "core split: {} in the program, {} in the kernel, {} idle, of {}",
        fixed(split.user, 2),
        fixed(split.kernel, 2),
        fixed(split.idle, 2),
        place(advice.cores, 0, None)
    ));
    match &own.settings[..] {
        [] if own.settings_tried == 0 => text.paragraph("settings: the defaults; no others were tried"),
        [] => text.paragraph(&format!("settings: the defaults; none of {} others served clearly better", own.settings_tried)),
        settings => {
            let list: Vec<String> = settings.iter().map(|setting| format!("{}={}", setting.path, setting.value)).collect();
            text.paragraph(&format!("settings that serve best: {}", list.join(", ")));
        }
    }
    if let Some(stock) = &advice.on_stock_kernel {
        text.paragraph(&format!("on a stock kernel: {} gains {}", stock.mechanism, gain(stock.gain.as_ref())));
    }
}

fn takes(text: &mut Text, advice: &Advice, own: &Recommendation) {
    let costs = &own.costs;
    text.heading("What it takes and costs");
    text.paragraph(&format!("kernel: {}", costs.kernel));
    text.paragraph(&format!("program: {}", costs.effort));
    text.paragraph(&format!("calls on the request path: {} ({})", costs.calls_to_change.len(), costs.calls_to_change.join(", ")));
    text.paragraph(&format!("risk: {}", costs.risk));
    let kib = costs.memory_bytes.div_ceil(1024);
    text.paragraph(&format!("memory: {} KiB for pages, rings, threads and tables", whole(kib)));
    if costs.cores_polling >= 0.005 {
        text.paragraph(&format!("waiting loops: {} cores' worth of time, counted as idle above", fixed(costs.cores_polling, 2)));
    } else if advice.cores > 1 {
        text.paragraph("waiting loops: none");
    }
    if let Some(ratio) = &costs.processor_time_ratio {
        text.paragraph(&format!(
            "processor time per request, waiting loops included: {} of what it is",
            with_interval(ratio, 2, "x")
        ));
    }
}

fn elsewhere(text: &mut Text, advice: &Advice, own: &Recommendation) {
    if advice.elsewhere.is_empty() {
        return;
    }
    text.heading(&format!("{} elsewhere", own.candidate.mechanism));
    let mut table = Table::with_order(&[
        ("where", false, 0),
        ("sync\nrequests/s", true, 3),
        ("then", true, 3),
        ("gain", true, 0),
        ("median\nlatency", true, 1),
        ("user", true, 4),
        ("kernel", true, 4),
        ("idle", true, 4),
        ("verdict", false, 0),
    ]);
    advice.elsewhere.iter().for_each(|there| table.row(elsewhere_row(there)));
    let rows = table.render(text.terminal);
    text.push(&rows);
    match &advice.loses_when[..] {
        [] => text.paragraph("It loses at none of these."),
        places => text.paragraph(&format!("It loses at: {}.", places.join("; "))),
    }
}

fn elsewhere_row(there: &Elsewhere) -> [String; 9] {
    let split = &there.core_split;
    let verdict = match there.outcome {
        Outcome::Gains => "faster",
        other => other.words(),
    };
    [
        place(there.cores, there.connections, there.rate_rps),
        fixed(there.baseline_rps, 0),
        fixed(there.throughput_rps, 0),
        gain(there.gain.as_ref()),
        times(there.p50_ratio),
        fixed(split.user, 2),
        fixed(split.kernel, 2),
        fixed(split.idle, 2),
        verdict.to_owned(),
    ]
}

fn sure(text: &mut Text, advice: &Advice) {
    text.heading(&format!("How sure: {}", advice.confidence.class.name()));
    for reason in &advice.confidence.reasons {
        // against; known, and allowed for in the numbers; for
        let sign = match (reason.lowers, &reason.deviation) {
            (true, _) => "-",
            (false, Some(_)) => "~",
            (false, None) => "+",
        };
        let number = reason.deviation.as_ref().map_or(String::new(), |number| format!(" ({number} in validation/DEVIATIONS.md)"));
        text.paragraph(&format!("{sign} {}{number}", reason.text));
    }
}
