//! `ringscope validate host`: predicted beside measured on this host.

use super::host_settings::Described;
use crate::args::{HostArguments, TwinArguments};
use crate::render::host as render;
use crate::terminal::Terminal;
use crate::{cancel, output, progress};
use anyhow::{Context, Result, bail};
use host::facts::Facts;
use host::processors::{Pinned, allowed};
use mechanisms::compare::Job;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use twins::case::Program;
use twins::counted::{self, PerfEvent, Wanted};
use twins::{Case, Measurement, Plan, case, lacking, variants};
use validation::on_host::misses::{self, Counted, MissSummary};
use validation::on_host::readings::{Curves, Parts, cut};
use validation::on_host::report::{CaseReport, Nearness, summary};
use validation::on_host::{compare, compare_counts, predict};

/// Seeds of the simulations.
const SEEDS: u32 = 3;
/// Seeds of a short look.
const QUICK_SEEDS: u32 = 2;
/// What a process measures.
const PLAN: Plan = Plan { visits: 9, visit_us: 2_000 };
/// The same for a short look.
const QUICK_PLAN: Plan = Plan { visits: 5, visit_us: 1_000 };
/// Processes of a short look, unless more or fewer are asked for.
const QUICK_PROCESSES: u32 = 5;

/// What the processes measured of the cases.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Where and when.
    pub facts: Facts,
    /// What was predicted with: the host as it was then.
    #[serde(default)]
    pub described: Option<Described>,
    /// By case.
    pub cases: Vec<KeptCase>,
    /// Cases that could not be measured there, with the reason.
    #[serde(default)]
    pub not_measured: Vec<(String, String)>,
}

/// What the processes measured of one case.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptCase {
    /// Its name.
    pub name: String,
    /// Measurements by process.
    pub processes: Vec<Vec<Measurement>>,
}

/// Everything that is shown of a validation on the host.
#[derive(Debug, serde::Serialize)]
pub struct HostReport {
    /// Version of this document.
    pub schema: u32,
    /// Command that makes it again.
    pub command: String,
    /// Where and when it was measured.
    pub facts: Facts,
    /// Which machine the model simulates.
    pub machine: String,
    /// Seeds of the simulations.
    pub seeds: u32,
    /// How near each model comes.
    pub summary: Vec<Nearness>,
    /// How near the model's counters come to the processor's, where there are any.
    pub misses_summary: Vec<MissSummary>,
    /// By case.
    pub cases: Vec<CaseReport>,
    /// What could not be checked, and why.
    pub not_checked: Vec<(String, String)>,
}

/// What was measured, and the machine to predict with.
fn measured_and_described(options: &HostArguments, cases: &[Case], terminal: &Terminal) -> Result<(Kept, Described)> {
    let named = options.machine.as_deref().map(Described::named).transpose()?;
    if let Some(file) = &options.kept {
        let kept = read_kept(file, cases)?;
        let described = named.or_else(|| kept.described.clone()).with_context(|| {
            format!("{}: does not say which machine it was measured on; give it with --machine", file.display())
        })?;
        return Ok((kept, described));
    }
    let described = named.map_or_else(|| Described::measured(terminal), Ok)?;
    let kept = measure(options, cases, terminal)?;
    Ok((Kept { described: Some(described.clone()), ..kept }, described))
}

/// The cases that can be measured on this host. What cannot is said, and is an error when nothing is left.
fn measurable(cases: Vec<Case>) -> Result<Vec<Case>> {
    let mut left = Vec::new();
    let mut lacking = Vec::new();
    for case in cases {
        match lacking::for_case(&case) {
            Some(why) => lacking.push(format!("case {} is left out: {why}", case.name)),
            None => left.push(case),
        }
    }
    if left.is_empty() {
        bail!("no case can be measured: {}", lacking.join("; "));
    }
    lacking.iter().for_each(|one| output::remark(one));
    Ok(left)
}

/// Runs a validation on the host.
pub fn host(options: &HostArguments, terminal: &Terminal) -> Result<()> {
    let (pages, files): (Vec<PathBuf>, Vec<PathBuf>) = options.output.iter().cloned().partition(|file| is_page(file));
    output::check_files(&files)?;
    output::check_folders(&pages)?;
    output::check_folders(&options.keep.iter().collect::<Vec<_>>())?;
    let cases = case::select(&options.only)?;
    if options.list {
        return output::print(&render::list(&cases, terminal));
    }
    let cases = if options.kept.is_some() { cases } else { measurable(cases)? };
    let (kept, described) = measured_and_described(options, &cases, terminal)?;
    if let Some(file) = &options.keep {
        output::write_file(file, serde_json::to_string(&kept)?.as_bytes())?;
    }
    let display = progress::display(terminal);
    let job = Job { threads: options.threads, progress: display.as_ref(), cancel: cancel::flag(), command: command(options) };
    let seeds = if options.quick { QUICK_SEEDS } else { SEEDS };
    let report = predicted_beside(&cases, kept, described, seeds, &job)?;
    let json = serde_json::to_string_pretty(&report)? + "\n";
    super::write_files(&files, &json, &render::rows(&report))?;
    for file in &pages {
        output::write_file(file, render::page(&report).as_bytes())?;
    }
    if options.json { output::print(&json) } else { output::print(&render::text(&report, terminal)) }
}

/// What was kept of cases beside what the model says.
fn predicted_beside(cases: &[Case], kept: Kept, described: Described, seeds: u32, job: &Job) -> Result<HostReport> {
    let settings = described.settings()?;
    let of_case = |case: &Case| kept.cases.iter().find(|own| own.name == case.name && !own.processes.is_empty());
    let measured: Vec<(&Case, &KeptCase)> = cases.iter().filter_map(|case| Some((case, of_case(case)?))).collect();
    let cuts: Vec<(Parts, Curves)> = measured.iter().map(|(_, own)| cut(&own.processes)).collect();
    let of_parts: Vec<(&Case, &Parts)> = measured.iter().zip(&cuts).map(|((case, _), (parts, _))| (*case, parts)).collect();
    let predicted = predict(&of_parts, &settings, seeds, job)?;
    let mut reports = Vec::new();
    for (((case, own), (parts, curves)), predicted) in measured.iter().zip(&cuts).zip(&predicted) {
        let mut report = compare(case, parts, curves, predicted);
        compare_counts(&mut report, case, &kept.facts, &Counted::of(&own.processes), &predicted.1);
        reports.push(report);
    }
    Ok(HostReport {
        schema: sim_core::report::SCHEMA,
        command: job.command.clone(),
        not_checked: not_checked(&kept),
        facts: kept.facts,
        machine: described.origin,
        seeds,
        summary: summary(&reports),
        misses_summary: misses::summary(reports.iter().flat_map(|case| &case.misses)),
        cases: reports,
    })
}

/// What the host lacks, and what failed on it.
fn not_checked(kept: &Kept) -> Vec<(String, String)> {
    let mut all = counters_lacking(kept);
    all.extend(lacking::besides_counters());
    let named = |(name, why): &(String, String)| (format!("case {name}"), why.clone());
    all.extend(kept.not_measured.iter().map(named));
    all
}

/// Events that were not counted where it was measured, which need not be this host.
fn counters_lacking(kept: &Kept) -> Vec<(String, String)> {
    let processes = || kept.cases.iter().flat_map(|case| &case.processes);
    if misses::counts_anything(processes()) {
        return misses::missing(processes());
    }
    let of_host = lacking::counters();
    let elsewhere = || vec![(counted::MISSES.to_owned(), "what was measured holds none for these cases".to_owned())];
    if of_host.is_empty() { elsewhere() } else { of_host }
}

fn is_page(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("html"))
}

/// What has to be typed for the same measurement.
fn command(options: &HostArguments) -> String {
    let mut words = vec!["ringscope validate host".to_owned()];
    words.extend(options.machine.iter().map(|machine| format!("--machine {machine}")));
    if !options.only.is_empty() {
        words.push(format!("--only {}", options.only.join(",")));
    }
    words.extend(options.quick.then(|| "--quick".to_owned()));
    words.push(format!("--processes {}", processes(options)));
    words.join(" ")
}

fn processes(options: &HostArguments) -> u32 {
    if options.quick { options.processes.min(QUICK_PROCESSES) } else { options.processes }
}

fn read_kept(file: &Path, cases: &[Case]) -> Result<Kept> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{}: can't be read", file.display()))?;
    let kept: Kept = serde_json::from_str(&text)
        .with_context(|| format!("{}: not what `ringscope validate host --keep FILE.json` writes", file.display()))?;
    if !cases.iter().any(|case| kept.cases.iter().any(|own| own.name == case.name)) {
        bail!("{}: holds none of the cases that were asked for; measure them with --keep", file.display());
    }
    Ok(kept)
}

/// Starts the processes that measure: each case in turn, as often as there are processes, so that a slow minute strikes all cases.
fn measure(options: &HostArguments, cases: &[Case], terminal: &Terminal) -> Result<Kept> {
    let facts = Facts::read();
    let plan = if options.quick { QUICK_PLAN } else { PLAN };
    let mut kept: Vec<KeptCase> = cases.iter().map(|case| KeptCase { name: case.name.clone(), processes: Vec::new() }).collect();
    let mut not_measured = Vec::new();
    for process in 1..=processes(options) {
        if !terminal.quiet {
            output::remark(&format!("measuring: process {process} of {} for each of {} cases", processes(options), cases.len()));
        }
        for (case, own) in cases.iter().zip(&mut kept) {
            cancel::check()?;
            if not_measured.iter().any(|(name, _)| *name == case.name) {
                continue;
            }
            match one_process(case, plan) {
                Ok(measured) => own.processes.push(measured),
                // a server that is not there or does not start is no reason to do without all the rest
                Err(error) if matches!(case.program, Program::Server(_)) => {
                    output::remark(&format!("left out: {}: {error:#}", case.name));
                    not_measured.push((case.name.clone(), format!("{error:#}")));
                    own.processes.clear();
                }
                Err(error) => return Err(error),
            }
        }
    }
    Ok(Kept { facts, described: None, cases: kept, not_measured })
}

/// Starts a program under SCHED_BATCH; part of util-linux.
const BATCH: [&str; 3] = ["chrt", "-b", "0"];

/// This program again, for one case.
fn one_process(case: &Case, plan: Plan) -> Result<Vec<Measurement>> {
    let program = std::env::current_exe().context("this program's own file can't be found")?;
    let mut command = match (&case.program, lacking::in_path(BATCH[0])) {
        // server and client take turns when neither pushes the other off the processor on waking: what SCHED_BATCH is
        (Program::Server(_), true) => {
            let mut command = Command::new(BATCH[0]);
            command.args(&BATCH[1..]).arg(program);
            command
        }
        _ => Command::new(program),
    };
    let case = &case.name;
    let output = command
        .args(["validate", "twin", case, "--visits", &plan.visits.to_string(), "--visit-us", &plan.visit_us.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .context("a process that measures can't be started")?;
    if !output.status.success() {
        bail!("case {case}: the process that measures it failed ({}); see above", output.status);
    }
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("case {case}: the process that measures it wrote something else"))
}

/// One process of measurements: prints what it found.
pub fn twin(options: &TwinArguments) -> Result<()> {
    let case = case::find(&options.case)?;
    let processors = allowed()?;
    // the last one: interrupts go to the first ones on most hosts
    let own = processors.last().copied().unwrap_or(0);
    let beside = processors.into_iter().find(|processor| *processor != own);
    let _pinned = Pinned::to(own)?;
    let (variants, _) = variants(&case, beside)?;
    let plan = Plan { visits: options.visits.max(1), visit_us: options.visit_us.max(1) };
    // without a processor's counters there is nothing to count, which the report says once
    let wanted = if lacking::has_counters() { Wanted::of(&case) } else { Wanted::default() };
    let measured = twins::measure_and_count(variants, plan, &wanted, &PerfEvent)?;
    output::print(&(serde_json::to_string(&measured)? + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command as Chosen, ValidateCommand};
    use clap::Parser;
    use host::perf::{Absent, Count, Modes, Reading};
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;
    use twins::counted::{Counter, Source};
    use twins::runner::Stretches;
    use twins::{Tally, Twin, TwinError, Variant};

    fn options(words: &[&str]) -> HostArguments {
        let words = ["ringscope", "validate", "host"].into_iter().chain(words.iter().copied());
        match Arguments::try_parse_from(words).unwrap().command {
            Chosen::Validate { command: ValidateCommand::Host(options) } => options,
            _ => unreachable!("the words name this command"),
        }
    }

    /// Operations that the twin below has done.
    type Done = Rc<Cell<u64>>;

    /// Takes a made-up time for an operation, and does nothing.
    struct MadeUpTwin {
        done: Done,
        nanoseconds: u64,
    }

    impl Twin for MadeUpTwin {
        fn run(&mut self, operations: u64) -> Result<Tally, TwinError> {
            self.done.set(self.done.get() + operations);
            let elapsed = Duration::from_nanos(operations * self.nanoseconds);
            Ok(Tally { operations, calls: operations, bytes: 0, elapsed })
        }
    }

    /// Counts an event so many times an operation.
    struct MadeUpCounter {
        done: Done,
        each: u64,
        running_permille: u64,
        begun: u64,
        counted: Reading,
    }

    impl Stretches for MadeUpCounter {
        fn begins(&mut self) {
            self.begun = self.done.get();
        }

        fn ends(&mut self) {
            self.counted.count += self.each * (self.done.get() - self.begun);
            self.counted.enabled_ns += 1000;
            self.counted.running_ns += self.running_permille;
        }
    }

    impl Counter for MadeUpCounter {
        fn take(&mut self) -> Result<Reading, Absent> {
            Ok(std::mem::take(&mut self.counted))
        }
    }

    /// An AMD processor without events of the last level, on which something else takes one counter half of the time.
    struct MadeUpCounters(Done);

    impl Source for MadeUpCounters {
        fn open(&self, event: Count, mode: Modes) -> Result<Box<dyn Counter>, Absent> {
            if event == Count::LastLevelMisses {
                return Err(Absent("the kernel has no such event for this processor".into()));
            }
            let running_permille = if event == Count::ItlbMisses { 500 } else { 1000 };
            let each = match (event, mode) {
                (Count::Cycles, Modes::User) => 600,
                (Count::Instructions, _) => 500,
                _ => 4,
            };
            Ok(Box::new(MadeUpCounter { done: Rc::clone(&self.0), each, running_permille, begun: 0, counted: Reading::default() }))
        }
    }

    /// Work of 500 instructions that a null call interrupts, as far as it needs to be measured.
    fn made_up_case() -> Case {
        let shape = case::Shape { data_kib: 4, code_kib: 0 };
        let program = Program::Interrupted(case::Interrupted { shape, call: case::Interruption::Null, intervals: vec![500] });
        Case { name: "made-up".into(), title: "work and a null call".into(), tolerance_percent: 15, program }
    }

    fn made_up_process(case: &Case) -> Vec<Measurement> {
        let done = Done::default();
        let variant = |series: &str, x: u32, nanoseconds: u64| Variant {
            series: series.into(),
            x,
            twin: Box::new(MadeUpTwin { done: Rc::clone(&done), nanoseconds }),
        };
        let variants = vec![
            variant("part getppid", 1, 60),
            variant("part getppid cold", 1, 180),
            variant("part user", 500, 140),
            variant("work and call", 500, 220),
            variant("work", 500, 145),
            variant("call", 500, 75),
        ];
        let plan = Plan { visits: 1, visit_us: 10 };
        twins::measure_and_count(variants, plan, &Wanted::of(case), &MadeUpCounters(Rc::clone(&done))).unwrap()
    }

    /// D40: from made-up counters through what processes write and what is kept to text, JSON, rows and page. No processor is in it.
    #[test]
    fn d40_made_up_counters_go_the_whole_way() {
        let terminal = Terminal { width: 200, color: false, color_errors: false, watched: false, quiet: true, verbose: false };
        let case = made_up_case();
        let processes = vec![made_up_process(&case), made_up_process(&case)];
        let kept = Kept {
            facts: Facts { vendor: "AuthenticAMD".into(), family: 25, ..Facts::default() },
            described: None,
            cases: vec![KeptCase { name: case.name.clone(), processes }],
            not_measured: Vec::new(),
        };
        let written = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&written).unwrap(), kept);
        let progress = progress::display(&terminal);
        let job = Job { threads: 1, progress: progress.as_ref(), cancel: cancel::flag(), command: "a test".into() };
        let report = predicted_beside(&[case], kept, Described::named("zen4").unwrap(), 2, &job).unwrap();
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        let misses = json["cases"][0]["misses"].as_array().unwrap();
        let of = |series: &str, mode: &str, quantity: &str| {
            misses.iter().find(|own| own["series"] == series && own["mode"] == mode && own["quantity"] == quantity)
        };
        let own = of("work and call", "user", "cpi").unwrap();
        assert_eq!((own["measured"]["median"].as_f64(), own["measured"]["n"].as_u64()), (Some(1.2), Some(2)));
        let (ratio, predicted) = (own["ratio"].as_f64().unwrap(), own["predicted"]["mean"].as_f64().unwrap());
        assert!(predicted > 0.1 && (ratio - predicted / 1.2).abs() < 1e-3, "{own}");
        assert!(of("work and call", "kernel", "l2_misses").is_some() && of("work and call", "kernel", "l3_misses").is_none());
        assert!(of("part user", "kernel", "cycles").is_none() && of("part getppid", "kernel", "cycles").is_some());
        assert!(of("work and call", "user", "page_walks").is_none(), "an event that took turns is in it");
        assert_eq!(json["misses_summary"].as_array().unwrap().iter().filter(|own| own["quantity"] == "l1d_misses").count(), 2);

        let reasons: Vec<&(String, String)> = report.not_checked.iter().filter(|one| one.0.starts_with(counted::MISSES)).collect();
        assert_eq!(reasons.len(), 2, "{reasons:?}");
        assert!(reasons.iter().any(|one| one.0.ends_with("LLC-load-misses in user and kernel mode")), "{reasons:?}");
        assert!(reasons.iter().any(|one| one.0.contains("iTLB-load-misses") && one.1.contains("only")), "{reasons:?}");
        let (text, page, rows) = (render::text(&report, &terminal), render::page(&report), render::rows(&report));
        for part in
            ["1.20", "predicted / measured", "No verdict", "not checked: misses per structure beside hardware counters: LLC-load"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(page.contains("Events of the processor") && page.contains("event 0x60, mask 0xc8"));
        let rows_of_events = rows.iter().filter(|row| row.iter().any(|cell| cell.0 == "quantity")).count();
        assert_eq!(rows_of_events, misses.len());
    }

    /// What was kept before events were counted is read, and says nothing of them but that they are missing.
    #[test]
    fn what_was_kept_without_counts_is_read() {
        let old = r#"{"facts":FACTS,"cases":[{"name":"udp","processes":[[{"series":"x","x":1,"nanoseconds":2.0,"calls":1.0}]]}]}"#;
        let old = old.replace("FACTS", &serde_json::to_string(&Facts::default()).unwrap());
        let kept: Kept = serde_json::from_str(&old).unwrap();
        let lacking = counters_lacking(&kept);
        assert!(lacking.len() == 1 && lacking[0].0 == counted::MISSES && lacking[0].1.len() > 10, "{lacking:?}");
    }

    /// What was kept is predicted with the machine that was kept with it, unless another one is given; without any there is a next step.
    #[test]
    fn what_was_kept_brings_its_machine() {
        let terminal = Terminal { width: 140, color: false, color_errors: false, watched: false, quiet: true, verbose: false };
        let file = std::env::temp_dir().join(format!("ringscope-kept-{}.json", std::process::id()));
        let name = file.display().to_string();
        let cases = case::select(&["udp".into()]).unwrap();
        let described = Described { origin: "the host of a test".into(), ..Described::named("zen4").unwrap() };
        let kept = |described| Kept {
            facts: Facts::default(),
            described,
            cases: vec![KeptCase { name: "udp".into(), processes: Vec::new() }],
            not_measured: Vec::new(),
        };
        let asked = |kept: &Kept, words: &[&str]| {
            std::fs::write(&file, serde_json::to_string(kept).unwrap()).unwrap();
            measured_and_described(&options(words), &cases, &terminal).map(|found| found.1)
        };
        let own = asked(&kept(Some(described.clone())), &["--kept", &name]).unwrap();
        let other = asked(&kept(Some(described.clone())), &["--kept", &name, "--machine", "nehalem"]).unwrap();
        let error = asked(&kept(None), &["--kept", &name]).unwrap_err().to_string();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((own, other.machine.name.as_str()), (described, "nehalem"));
        assert!(error.contains("give it with --machine"), "{error}");
    }
}
