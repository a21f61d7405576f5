//! `ringscope validate`: predicted beside published. Beside measured: `validate_host`.

use crate::args::{AblationChoice, PapersArguments, ValidateCommand};
use crate::exit::Finding;
use crate::render::{page, validation as render};
use crate::terminal::Terminal;
use crate::{cancel, numbers, output, progress};
use anyhow::{Result, bail};
use mechanisms::compare::Job;
use std::path::{Path, PathBuf};
use std::time::Instant;
use validation::ablation::Ablation;
use validation::baseline::Baseline;
use validation::conditions::Conditions;
use validation::figures::Published;
use validation::lab::{Lab, Store};
use validation::papers::{self, Validation, Wanted};
use validation::published::{self, Row};
use validation::sensitivity::{self, Sensitivity};
use validation::verdict::Summary;

/// Runs a validation.
pub fn validate(command: &ValidateCommand, terminal: &Terminal) -> Result<()> {
    match command {
        ValidateCommand::Papers(options) => papers(options, terminal),
        ValidateCommand::Host(options) => super::validate_host::host(options, terminal),
        ValidateCommand::Twin(options) => super::validate_host::twin(options),
    }
}

/// Everything that is shown of a validation.
pub struct Report {
    /// Rows and figures.
    pub validation: Validation,
    /// Summed up.
    pub summary: Summary,
    /// Command that makes it again.
    pub command: String,
    /// Seeds of each experiment.
    pub reps: u32,
    /// What was taken out of the model.
    pub ablation: Option<Ablation>,
    /// The committed baseline and what was lost against it; nothing under an ablation.
    pub baseline: Option<(Baseline, Vec<String>)>,
    /// What predictions rest on, as committed.
    pub sensitivity: Sensitivity,
}

fn papers(options: &PapersArguments, terminal: &Terminal) -> Result<()> {
    let (pages, files) = outputs(options)?;
    let all = published::rows()?;
    let rows = papers::select(all.clone(), &options.only)?;
    if options.list {
        return output::print(&render::list(&rows, terminal));
    }
    let begun = Instant::now();
    let display = progress::display(terminal);
    let job = Job { threads: options.threads, progress: display.as_ref(), cancel: cancel::flag(), command: command(options) };
    let store = Store::new();
    if options.sensitivity {
        return sensitivities(&rows, options, &store, &job, terminal);
    }
    let ablation = options.ablation.map(ablation);
    let transform = |conditions: &mut Conditions| ablation.iter().for_each(|ablation| ablation.apply(conditions));
    let lab = Lab::new(&store, options.reps).with(&transform);
    let published = Published::new(all);
    let wanted = Wanted { rows: &rows, figures: (!pages.is_empty()).then_some(&published) };
    let mut validation = papers::validate(&wanted, &store, lab, &job)?;
    if ablation.is_none() {
        Sensitivity::committed()?.add_ranges(&mut validation.verdicts);
    }
    if !terminal.quiet {
        let seconds = begun.elapsed().as_secs_f64();
        output::remark(&format!("{} experiments of {} seeds in {} s", store.len(), options.reps, numbers::fixed(seconds, 0)));
    }
    let report = report(validation, options, ablation, job.command)?;
    show(&report, options, &pages, &files, terminal)?;
    cancel::check()?;
    match &report.baseline {
        Some((_, lost)) if !lost.is_empty() => Err(Finding(format!("no longer within tolerance: {}", lost.join(", "))).into()),
        _ => Ok(()),
    }
}

/// Pages and files of results, after a look at their names.
fn outputs(options: &PapersArguments) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let page = |file: &Path| file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("html"));
    let (pages, files): (Vec<PathBuf>, Vec<PathBuf>) = options.output.iter().cloned().partition(|file| page(file));
    output::check_files(&files)?;
    output::check_folders(&pages)?;
    output::check_folders(&options.update_baseline.iter().collect::<Vec<_>>())?;
    if options.sensitivity && !pages.is_empty() {
        bail!("--sensitivity writes .json and .csv; the page shows what was committed of it");
    }
    Ok((pages, files))
}

fn ablation(choice: AblationChoice) -> Ablation {
    match choice {
        AblationChoice::NoPollution => Ablation::NoPollution,
        AblationChoice::RecordedReadiness => Ablation::RecordedReadiness,
    }
}

/// What has to be typed to get the same bytes.
fn command(options: &PapersArguments) -> String {
    let mut words = vec!["ringscope validate papers".to_owned()];
    if !options.only.is_empty() {
        words.push(format!("--only {}", options.only.join(",")));
    }
    if options.reps != papers::DEFAULT_REPS {
        words.push(format!("--reps {}", options.reps));
    }
    words.extend(options.ablation.map(|choice| format!("--ablation {}", ablation(choice).name())));
    words.extend(options.sensitivity.then(|| "--sensitivity".to_owned()));
    words.join(" ")
}

fn report(validation: Validation, options: &PapersArguments, ablation: Option<Ablation>, command: String) -> Result<Report> {
    let baseline = if ablation.is_none() && !validation.interrupted {
        let baseline = Baseline::committed()?;
        let lost = baseline.lost(&validation.verdicts).into_iter().map(str::to_owned).collect();
        Some((baseline, lost))
    } else {
        None
    };
    Ok(Report {
        summary: Summary::of(&validation.verdicts),
        validation,
        command,
        reps: options.reps,
        ablation,
        baseline,
        sensitivity: Sensitivity::committed()?,
    })
}

fn show(report: &Report, options: &PapersArguments, pages: &[PathBuf], files: &[PathBuf], terminal: &Terminal) -> Result<()> {
    let json = render::json(report)?;
    super::write_files(files, &json, &render::rows(report))?;
    for file in pages {
        output::write_file(file, page::page(report)?.as_bytes())?;
    }
    if let Some(file) = options.update_baseline.as_ref().filter(|_| !report.validation.interrupted) {
        let baseline = Baseline::of(&report.validation.verdicts, report.reps);
        output::write_file(file, baseline.to_json()?.as_bytes())?;
    }
    if options.json { output::print(&json) } else { output::print(&render::text(report, terminal)) }
}

fn sensitivities(rows: &[Row], options: &PapersArguments, store: &Store, job: &Job, terminal: &Terminal) -> Result<()> {
    let found = sensitivity::sensitivity(rows, store, job)?;
    let json = found.to_json()?;
    super::write_files(&options.output, &json, &render::sensitivity_rows(&found))?;
    if options.json { output::print(&json) } else { output::print(&render::sensitivity(&found, terminal)) }
}
