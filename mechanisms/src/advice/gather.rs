//! How the evidence is gathered: a screening of all ways, trials of settings, the finals, and other places. What can no longer change the
//! advice is not simulated: a setting that serves worse under the first seed, a finalist that half of the seeds have put behind another.

use super::decide::{chosen, dominated};
use super::evidence::{Evidence, Place, Subject, Trial};
use super::outcome::{candidate, measure};
use super::port::{self, KernelNeeds};
use super::race::{self, Entrant};
use super::result::{Measure, Outcome};
use super::search::{Knob, Plan, knobs};
use crate::assemble::processor_times;
use crate::compare::{self, ExperimentError, Job};
use crate::experiment::Settings;
use crate::simulate::default_requests;
use crate::under_kernel::under_kernel;
use crate::variants::Way;
use os_model::clients::Arrival;
use sim_core::estimate::mean;
use sim_core::manifest::Manifest;
use sim_core::progress::Progress;
use sim_core::report::{Comparison, RunReport};
use sim_core::workload::{Program, Workload};
use std::sync::atomic::{AtomicU64, Ordering};

/// A setting is kept when it serves so much better than the default: less is not worth another setting.
const WORTH_KEEPING: f64 = 0.01;
/// And when it does not make the slowest requests so much slower.
const TAIL_TOLERATED: f64 = 1.25;
/// Seeds of the finals lie so far behind those of the screening: whoever was chosen by luck of a seed has no luck there.
const FRESH_SEEDS: u64 = 1000;
/// From so many seeds of the finals on, half of them come first: an interval over fewer than four is too wide to leave anybody out by.
const SEEDS_TO_HALVE: u32 = 8;

/// Forwards steps, so that several experiments are one piece of work to whoever watches, and counts them.
struct Steps<'a> {
    watcher: &'a dyn Progress,
    count: AtomicU64,
}

impl Progress for Steps<'_> {
    fn start(&self, _what: &str, _total: u64) {}

    fn step(&self, count: u64) {
        self.count.fetch_add(count, Ordering::Relaxed);
        self.watcher.step(count);
    }

    fn finish(&self) {}
}

/// Simulates what advice needs: a screening of all ways, trials of settings on those that promise most, the finalists under seeds that
/// the screening did not see, and the chosen one elsewhere.
///
/// # Errors
/// A budget that is too small, settings out of range, a simulation that failed, an interruption.
pub fn gather(workload: &Workload, settings: &Settings, ways: &[Way], budget: u64, job: &Job) -> Result<Evidence, ExperimentError> {
    compare::check(workload, settings)?;
    let subject = Subject::new(workload, settings);
    let workload = &*under_kernel(workload, &settings.kernel);
    let field = Field::new(workload, settings, ways)?;
    let places = places(&subject, settings);
    let plan = Plan::new(budget, settings.run.reps, field.able.len() as u64 - 1, places.len() as u64)?;
    let steps = Steps { watcher: job.progress, count: AtomicU64::new(0) };
    let job = Job { threads: job.threads, progress: &steps, cancel: job.cancel, command: job.command.clone() };
    steps.watcher.start("simulations", plan.total);
    let manifest = compare::manifest(workload, settings, job.command.clone());
    let gatherer = Gatherer { workload, settings, subject: &subject, job: &job, plan: &plan, manifest };
    let gathered = gatherer.gather(&field, &places);
    steps.watcher.finish();
    let (at_load, trials, elsewhere) = gathered?;
    let simulations = steps.count.load(Ordering::Relaxed);
    Ok(Evidence { subject, place: Place::of(settings), at_load, trials, elsewhere, simulations })
}

/// Other places: few connections, and another number of cores.
fn places(subject: &Subject, settings: &Settings) -> Vec<Place> {
    let here = Place::of(settings);
    let mut places = Vec::new();
    match (subject.program, &settings.clients.arrival) {
        (Program::Sequential, _) | (_, Arrival::Steps(_)) => {}
        (_, Arrival::Closed) => {
            let few = [1, here.connections / 8].into_iter().filter(|few| (1..here.connections).contains(few));
            places.extend(few.map(|connections| Place { connections, ..here }));
        }
        _ => places.push(Place { rate_rps: here.rate_rps.map(|rate| rate / 4.0), ..here }),
    }
    places.dedup();
    let cores = if here.cores == 1 { 2 } else { 1 };
    if cores <= settings.machine.cores_max {
        places.push(Place { cores, ..here });
    }
    places
}

/// The ways that can run the workload, the baseline first, and why the others cannot.
struct Field {
    able: Vec<Way>,
    unable: Vec<(Way, String)>,
}

impl Field {
    fn new(workload: &Workload, settings: &Settings, ways: &[Way]) -> Result<Field, ExperimentError> {
        let mut field = Field { able: Vec::new(), unable: Vec::new() };
        for asked in [Way::BASELINE].iter().chain(ways) {
            let way = asked.resolved(workload, &settings.mechanism);
            if field.able.contains(&way) || field.unable.iter().any(|other| other.0 == way) {
                continue;
            }
            match way.inapplicable(workload, &settings.mechanism) {
                // without a baseline nothing can be compared
                Some(_) if way == Way::BASELINE => return Err(ExperimentError::Empty),
                Some(reason) => field.unable.push((way, reason)),
                None => {
                    compare::check_service(workload, settings, way)?;
                    field.able.push(way);
                }
            }
        }
        Ok(field)
    }
}

/// A way that is looked at closely, with the settings that served it best.
#[derive(Clone)]
struct Finalist {
    way: Way,
    knob: Option<Knob>,
}

impl Finalist {
    fn applied(&self, settings: &Settings) -> Settings {
        let mut own = settings.clone();
        self.knob.into_iter().for_each(|knob| knob.apply(&mut own));
        own
    }
}

/// What is gathered: at the load, trials, elsewhere.
type Gathered = (Comparison, Vec<Trial>, Vec<(Place, Comparison)>);

struct Gatherer<'a> {
    workload: &'a Workload,
    settings: &'a Settings,
    subject: &'a Subject,
    job: &'a Job<'a>,
    plan: &'a Plan,
    manifest: Manifest,
}

impl Gatherer<'_> {
    fn gather(&self, field: &Field, places: &[Place]) -> Result<Gathered, ExperimentError> {
        let searching = self.searching(self.settings, 0);
        let entrants = field.able.iter().map(|way| Entrant::new(*way, searching.clone(), self.plan.screening_seeds));
        let mut screened: Vec<Entrant> = entrants.collect();
        race::complete(self.workload, &mut screened, self.job)?;
        let reports = race::reports(&screened, self.workload, &self.manifest);
        let measure = measure(&reports[0], self.subject.program == Program::Sequential);
        let finalists = self.finalists(&screened, &reports);
        let (finalists, trials) = self.tune(&screened, &finalists, measure)?;
        let confirmed = if finalists.is_empty() { Vec::new() } else { self.confirm(&finalists)? };
        let at_load = self.comparison(self.merged(field, reports, confirmed))?;
        let best = chosen(&at_load, self.subject).map(RunReport::label);
        // a way that was screened only has no settings of its own
        let best = best.and_then(|label| {
            let finalist = finalists.iter().find(|finalist| self.label(finalist.way) == label);
            let plain = || Some(Finalist { way: Way::from_name(&label).ok()?, knob: None });
            finalist.cloned().or_else(plain)
        });
        let elsewhere = best.map_or(Ok(Vec::new()), |best| self.elsewhere(&best, places))?;
        Ok((at_load, trials, elsewhere))
    }

    /// Settings of simulations that only have to find what is worth confirming, or to show a direction: a window of two requests of each
    /// connection instead of three.
    fn searching(&self, settings: &Settings, offset: u64) -> Settings {
        const REQUESTS_MIN: u64 = 150;
        let mut own = seeded(settings, offset);
        if own.run.requests == 0 && self.workload.program != Program::Sequential && own.clients.arrival.steps().is_none() {
            let whole = default_requests(self.workload, &own.clients, own.run.connections);
            own.run.requests = (u64::from(own.run.connections) * 2).max(REQUESTS_MIN).min(whole);
        }
        own
    }

    fn label(&self, way: Way) -> String {
        let report = RunReport {
            mechanism: way.mechanism.name().into(),
            variant: way.named_under(&self.settings.mechanism),
            ..RunReport::default()
        };
        report.label()
    }

    fn comparison(&self, results: Vec<RunReport>) -> Result<Comparison, ExperimentError> {
        Comparison::new(results, Vec::new()).ok_or(ExperimentError::Empty)
    }

    /// The ways that promise most, the best first: none that saves nothing, rewrites last, and among them the best that a stock kernel has.
    fn finalists(&self, screened: &[Entrant], reports: &[RunReport]) -> Vec<Way> {
        let gain = |report: &RunReport| report.speedup_vs_sync.map_or(f64::NAN, |speedup| speedup.mean);
        let thrift = |report: &RunReport| report.processor_time_vs_sync.map_or(f64::NAN, |ratio| 1.0 / ratio.mean);
        let promise = |report: &RunReport| gain(report).max(thrift(report));
        let mut others: Vec<(Way, &RunReport)> = screened.iter().map(|entrant| entrant.way).zip(reports).skip(1).collect();
        others.retain(|(_, report)| promise(report) > 1.0);
        let rewrites = |report: &RunReport| port::of(&report.label()).rewrites;
        others.sort_by(|(_, left), (_, right)| {
            let promised = || promise(right).total_cmp(&promise(left));
            rewrites(left).cmp(&rewrites(right)).then_with(promised)
        });
        let seats = self.plan.finalists as usize;
        let stock = others.iter().position(|(_, report)| port::of(&report.label()).kernel == KernelNeeds::Stock);
        if let Some(last) = stock.filter(|position| *position >= seats) {
            others.swap(last, seats - 1);
        }
        others.truncate(seats);
        others.into_iter().map(|(way, _)| way).collect()
    }

    /// Tries settings of the finalists one at a time, under the seeds of the screening, and keeps what serves clearly better. Only a setting
    /// that does not serve worse under the first seed gets the others.
    fn tune(&self, screened: &[Entrant], ways: &[Way], measure: Measure) -> Result<(Vec<Finalist>, Vec<Trial>), ExperimentError> {
        let all = ways.iter().flat_map(|way| knobs(*way, self.workload, self.settings).into_iter().map(move |knob| (*way, knob)));
        let tried: Vec<(Way, Knob)> = all.take(self.plan.trials as usize).collect();
        let searching = self.searching(self.settings, 0);
        let entrant = |(way, knob): &(Way, Knob)| {
            let finalist = Finalist { way: *way, knob: Some(*knob) };
            Entrant::new(*way, finalist.applied(&searching), 1)
        };
        let mut entrants: Vec<Entrant> = tried.iter().map(entrant).collect();
        race::complete(self.workload, &mut entrants, self.job)?;
        let plain = |way: Way| screened.iter().find(|entrant| entrant.way == way);
        for entrant in &mut entrants {
            let promises = plain(entrant.way).is_some_and(|plain| ratio(entrant, plain, measure) >= 1.0);
            entrant.seeds = if promises { self.plan.screening_seeds } else { 1 };
        }
        race::complete(self.workload, &mut entrants, self.job)?;
        let trials = tried.iter().zip(&entrants).filter_map(|((way, knob), entrant)| {
            let plain = plain(*way)?;
            let p99 = |entrant: &Entrant| entrant.report(self.workload, &self.manifest).latency_us.p99;
            let slower = p99(entrant) > p99(plain) * TAIL_TOLERATED;
            let ratio = ratio(entrant, plain, measure);
            let clear = ratio > 1.0 + WORTH_KEEPING && entrant.samples.len() == plain.samples.len() && !slower;
            Some((*way, *knob, ratio, clear))
        });
        Ok(self.kept(ways, &trials.collect::<Vec<_>>()))
    }

    /// Of each way the setting that served best, if one served clearly better.
    fn kept(&self, ways: &[Way], trials: &[(Way, Knob, f64, bool)]) -> (Vec<Finalist>, Vec<Trial>) {
        let best = |way: Way| {
            let clear = trials.iter().filter(|trial| trial.0 == way && trial.3);
            clear.max_by(|left, right| left.2.total_cmp(&right.2)).map(|trial| trial.1)
        };
        let finalists = ways.iter().map(|way| Finalist { way: *way, knob: best(*way) }).collect();
        let trial = |(way, knob, ratio, _): &(Way, Knob, f64, bool)| Trial {
            label: self.label(*way),
            setting: knob.setting(),
            ratio: *ratio,
            kept: best(*way) == Some(*knob),
        };
        (finalists, trials.iter().map(trial).collect())
    }

    /// The finalists and the baseline under fresh seeds. Whoever is behind another for good after the first half of the seeds stays at
    /// that half; all others get all seeds.
    fn confirm(&self, finalists: &[Finalist]) -> Result<Vec<RunReport>, ExperimentError> {
        let fresh = seeded(self.settings, FRESH_SEEDS);
        let seeds = self.plan.final_seeds;
        let first = if seeds < SEEDS_TO_HALVE { seeds } else { seeds / 2 };
        let others = finalists.iter().map(|finalist| Entrant::new(finalist.way, finalist.applied(&fresh), first));
        let mut entrants: Vec<Entrant> = [Entrant::new(Way::BASELINE, fresh.clone(), first)].into_iter().chain(others).collect();
        race::complete(self.workload, &mut entrants, self.job)?;
        if seeds > first {
            let half = self.comparison(race::reports(&entrants, self.workload, &self.manifest))?;
            let behind = dominated(&half, self.subject);
            for entrant in &mut entrants {
                entrant.seeds = if behind.contains(&self.label(entrant.way)) { first } else { seeds };
            }
            race::complete(self.workload, &mut entrants, self.job)?;
        }
        self.expose_named(&mut entrants)
    }

    /// The reports of the finals, of the ways that the advice names with both ends of the exposure.
    fn expose_named(&self, entrants: &mut [Entrant]) -> Result<Vec<RunReport>, ExperimentError> {
        loop {
            let reports = race::reports(entrants, self.workload, &self.manifest);
            let lacking = self.needs_exposure(entrants, &reports)?;
            if lacking.is_empty() || !self.settings.run.exposure_range {
                return Ok(reports);
            }
            let wanted = entrants.iter_mut().enumerate().filter(|(index, _)| *index == 0 || lacking.contains(index));
            race::expose(self.workload, wanted.map(|(_, entrant)| entrant), self.job)?;
        }
    }

    /// Which entrants the advice would name and have not been simulated at the ends of the exposure: the chosen one and those that gain on a
    /// stock kernel. What the ends show can change who that is.
    fn needs_exposure(&self, entrants: &[Entrant], reports: &[RunReport]) -> Result<Vec<usize>, ExperimentError> {
        let all = self.comparison(reports.to_vec())?;
        let chosen = chosen(&all, self.subject).map(RunReport::label);
        let measure = measure(&reports[0], self.subject.program == Program::Sequential);
        let stock_gains = |report: &RunReport| {
            let own = candidate(&reports[0], report, measure);
            own.outcome == Outcome::Gains && own.needs == KernelNeeds::Stock.name()
        };
        let named = |report: &RunReport| chosen.as_ref() == Some(&report.label()) || stock_gains(report);
        Ok((1..entrants.len()).filter(|index| entrants[*index].exposed.is_empty() && named(&reports[*index])).collect())
    }

    /// The screening with the reports of the finals where there are some, and with what cannot run.
    fn merged(&self, field: &Field, screening: Vec<RunReport>, finals: Vec<RunReport>) -> Vec<RunReport> {
        let later = |report: RunReport| {
            let later = finals.iter().find(|other| other.label() == report.label());
            later.cloned().unwrap_or(report)
        };
        let unable = field
            .unable
            .iter()
            .map(|(way, reason)| compare::inapplicable(self.workload, self.settings, *way, &self.manifest, reason));
        screening.into_iter().map(later).chain(unable).collect()
    }

    /// The chosen way beside synchronous calls at other places.
    fn elsewhere(&self, best: &Finalist, places: &[Place]) -> Result<Vec<(Place, Comparison)>, ExperimentError> {
        let pair = |place: &Place| {
            let settings = self.searching(&place.applied(self.settings), FRESH_SEEDS);
            // what serves best on so many cores says nothing about others: fewer pages, for one, leave other cores without work
            let own = if place.cores == self.settings.run.cores { best.applied(&settings) } else { settings.clone() };
            let seeds = self.plan.elsewhere_seeds;
            [Entrant::new(Way::BASELINE, settings, seeds), Entrant::new(best.way, own, seeds)]
        };
        let mut pairs: Vec<[Entrant; 2]> = places.iter().map(pair).collect();
        race::complete(self.workload, pairs.iter_mut().flatten(), self.job)?;
        let side_by_side = |(place, pair): (&Place, &[Entrant; 2])| {
            Ok((*place, self.comparison(race::reports(pair, self.workload, &self.manifest))?))
        };
        places.iter().zip(&pairs).map(side_by_side).collect()
    }
}

/// How much better an entrant serves than the same way without its setting, over the seeds that both have run.
fn ratio(own: &Entrant, plain: &Entrant, measure: Measure) -> f64 {
    let ratios = match measure {
        Measure::Throughput => own.rates_over(plain),
        Measure::ProcessorTime => {
            let times = processor_times(&own.samples).into_iter().zip(processor_times(&plain.samples));
            times.map(|(own, plain)| plain / own).collect()
        }
    };
    mean(&ratios).unwrap_or(f64::NAN)
}

fn seeded(settings: &Settings, offset: u64) -> Settings {
    let mut own = settings.clone();
    own.run.seed = settings.run.seed.wrapping_add(offset);
    own
}
