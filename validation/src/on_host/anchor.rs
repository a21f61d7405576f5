//! The model is anchored in the parts: crossing, recorded calls, rings and user work get the pace that makes each of them cost, alone,
//! what it costs on the host alone. What they cost together is then the model's to say.
//!
//! An anchor changes instructions per line, not lines: footprints stay recorded.

use crate::on_host::OnHostError;
use crate::on_host::compared::Counts;
use crate::on_host::paces::Paces;
use crate::on_host::pieces;
use crate::on_host::points::Place;
use crate::on_host::primitives;
use crate::on_host::readings::Parts;
use crate::on_host::rings;
use crate::on_host::server;
use crate::on_host::workload::{Model, model};
use mechanisms::experiment::Settings;
use mechanisms::simulate::simulate;
use serde::Serialize;
use sim_core::ids::Mode;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use twins::case::{EVENTS_MAX, Program, RING_ENTRIES};
use twins::{Case, connections, datagrams, parts, read_loop};

/// Paces that are believed, in thousandths of the recorded instructions.
pub(super) const PACES: RangeInclusive<u32> = 20..=10_000;
/// Largest base CPI of user work, in thousandths; the least is the machine's.
const BASE_CPI_MOST: u32 = 20_000;
/// Shares of a miss's latency that the window can't hide, in thousandths.
const EXPOSURES: RangeInclusive<u32> = 0..=1000;
/// Cycles of a system-call instruction with what the host's kernel adds at an entry.
const ENTRIES: RangeInclusive<u32> = 0..=5_000;
/// Cycles of a front end that gets going again.
const REFILLS: RangeInclusive<u32> = 0..=60;
/// An anchor holds when it is met so nearly.
const NEAR: f64 = 0.002;
/// Where the search for a value begins.
pub(super) const START: u32 = 1_000;
/// Simulations of one anchor at most.
const MOST_TRIES: u32 = 6;
/// Seed of the simulations of anchors.
pub(super) const SEED: u64 = 1;

/// A part that the model was made to meet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Anchor {
    /// The part.
    pub part: Place,
    /// Measured on the host, nanoseconds.
    pub measured_ns: f64,
    /// What the model says to it now.
    pub model_ns: f64,
    /// What was changed.
    pub parameter: String,
    /// To which value.
    pub value: u32,
}

/// The anchored model of a case.
#[derive(Clone, Debug)]
pub struct Anchored {
    /// Machine and kernel, with the entry that was found.
    pub settings: Settings,
    /// Paces of recorded blocks.
    pub paces: Paces,
    /// Base CPI of user work by what the part of user work is called with.
    pub user_base_cpi_milli: BTreeMap<u32, u32>,
    /// All anchors, in the order in which they were met.
    pub anchors: Vec<Anchor>,
    /// Values found so far, by parameter: where an anchor that is met once more begins.
    found: BTreeMap<String, u32>,
}

/// What one operation costs in the model, cycles.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Elapsed.
    pub total: f64,
    /// In user mode, as a counter that is filtered by mode shows it.
    pub user: f64,
    /// System calls.
    pub calls: f64,
}

impl Anchored {
    /// A model that is not anchored yet.
    pub(super) fn new(settings: Settings) -> Anchored {
        Anchored {
            settings,
            paces: Paces::default(),
            user_base_cpi_milli: BTreeMap::new(),
            anchors: Vec::new(),
            found: BTreeMap::new(),
        }
    }

    /// What a place costs under a seed.
    ///
    /// # Errors
    /// A recording that lacks a call, or a simulation that failed.
    pub fn cost(&self, case: &Case, place: &Place, seed: u64) -> Result<Cost, OnHostError> {
        Ok(self.observed(case, place, seed)?.0)
    }

    /// The same with what the model's counters say.
    ///
    /// # Errors
    /// As [`Anchored::cost`].
    pub fn observed(&self, case: &Case, place: &Place, seed: u64) -> Result<(Cost, Counts), OnHostError> {
        let mut made = model(case, place)?;
        let work = user_part(case, place).x;
        if let Some(milli) = self.user_base_cpi_milli.get(&work) {
            made.workload.user_base_cpi_milli = Some(*milli);
        }
        self.run(case, place, made, seed)
    }

    fn run(&self, case: &Case, place: &Place, mut made: Model, seed: u64) -> Result<(Cost, Counts), OnHostError> {
        let of_server = matches!(case.program, Program::Server(_)) && server::is_request(place);
        let mut settings = self.settings.clone();
        if of_server {
            made.workload = self.paces.of_server(made.workload);
            server::arrange(&mut settings, place);
        } else {
            made.workload = pieces::compose(self.paces.apply(made.workload, &place.series), &made.composed, &self.paces);
        }
        settings.run.cores = made.cores;
        settings.run.ledger = false;
        settings.mechanism.io_uring.entries = RING_ENTRIES;
        // loops look at their completions: nothing is called back
        settings.mechanism.io_uring.callback_instructions = 0;
        // an enter for what waits for nothing, then one for what waits for that, as in the native twins
        settings.mechanism.io_uring.links = false;
        made.way.apply(&mut settings.mechanism);
        let sample = simulate(&made.workload, &settings, made.way.mechanism, seed).map_err(|source| OnHostError::Simulation {
            case: case.name.clone(),
            what: format!("{} at {}", place.series, place.x),
            source,
        })?;
        let operations = sample.replies as f64 * f64::from(made.operations);
        let counts = Counts::of(&sample.counters, operations);
        if of_server {
            return Ok((server::cost(&sample), counts));
        }
        let user = sample.counters.mode(Mode::User).cycles as f64 / operations;
        let cost = Cost { total: sample.window_cycles as f64 / operations, user, calls: sample.call_crossings as f64 / operations };
        Ok((cost, counts))
    }

    /// Base CPIs that the machine can have.
    fn base_cpis(&self) -> RangeInclusive<u32> {
        self.settings.machine.least_base_cpi_milli()..=BASE_CPI_MOST
    }

    /// Cycles of the model's machine as time.
    pub fn nanoseconds(&self, cycles: f64) -> f64 {
        cycles * 1000.0 / f64::from(self.settings.machine.frequency_mhz)
    }

    /// Time as cycles of the model's machine.
    pub(super) fn cycles(&self, nanoseconds: f64) -> f64 {
        nanoseconds * f64::from(self.settings.machine.frequency_mhz) / 1000.0
    }

    /// Finds the value of a parameter with which a part costs what was measured; `set` puts it into the model.
    pub(super) fn meet(
        &mut self,
        case: &Case,
        part: &Place,
        measured_ns: f64,
        (parameter, values): (&str, RangeInclusive<u32>),
        cost: impl Fn(Cost) -> f64,
        set: impl Fn(&mut Anchored, u32),
    ) -> Result<Anchor, OnHostError> {
        let target = self.cycles(measured_ns);
        let say = |anchored: &mut Anchored, value: u32| {
            set(anchored, value);
            anchored.cost(case, part, SEED).map(&cost)
        };
        let start = self.found.get(parameter).copied().unwrap_or(START);
        let (value, cycles) = solve(target, values, start, |value| say(self, value))?;
        set(self, value);
        self.found.insert(parameter.into(), value);
        let model_ns = self.nanoseconds(cycles);
        let anchor = Anchor { part: part.clone(), measured_ns, model_ns, parameter: parameter.into(), value };
        self.anchors.push(anchor.clone());
        Ok(anchor)
    }
}

/// The value at which `cost` reaches `target`, with what it is there; looked for from `start` on. Costs grow evenly, or nearly so, with the
/// value.
pub(super) fn solve(
    target: f64,
    values: RangeInclusive<u32>,
    start: u32,
    mut cost: impl FnMut(u32) -> Result<f64, OnHostError>,
) -> Result<(u32, f64), OnHostError> {
    let within = |value: f64| value.round().clamp(f64::from(*values.start()), f64::from(*values.end())) as u32;
    let near = |reached: f64| (reached / target - 1.0).abs() <= NEAR;
    let mut before = within(start.into());
    let mut cost_before = cost(before)?;
    if near(cost_before) {
        return Ok((before, cost_before));
    }
    let least = *values.start();
    let other = if before == least { f64::from(least + START) } else { f64::from(before) * 0.4 };
    let mut at = within(other);
    let mut cost_at = cost(at)?;
    for _ in 2..MOST_TRIES {
        let slope = (cost_at - cost_before) / (f64::from(at) - f64::from(before));
        let next = within(f64::from(at) + (target - cost_at) / slope);
        if near(cost_at) || !slope.is_finite() || slope <= 0.0 || next == at {
            break;
        }
        (before, cost_before) = (at, cost_at);
        (at, cost_at) = (next, cost(next)?);
    }
    Ok((at, cost_at))
}

/// The part of user work that a place contains.
pub fn user_part(case: &Case, place: &Place) -> Place {
    match &case.program {
        _ if place.series == parts::CODE => Place::new(parts::CODE, parts::CODE_KIB[0]),
        Program::ReadLoop(own) => Place::new(parts::USER, own.work.instructions),
        Program::Interrupted(_) => Place::new(parts::USER, place.x),
        Program::Datagrams(_) | Program::Connections(_) | Program::Server(_) | Program::Hook(_) => Place::new(parts::USER, 1),
    }
}

/// Anchors the model of a case in its parts.
///
/// # Errors
/// A part that was not measured, or a simulation that failed.
pub fn anchor(case: &Case, measured: &Parts, settings: &Settings) -> Result<Anchored, OnHostError> {
    let mut anchored = Anchored::new(settings.clone());
    let in_batches = matches!(case.program, Program::ReadLoop(_) | Program::Datagrams(_) | Program::Connections(_));
    if in_batches {
        rings::first_pass(&mut anchored, case, measured)?;
    } else {
        null_call(&mut anchored, case, measured)?;
    }
    // what a call costs where it follows itself and what it costs cold move each other a little
    let met = anchored.anchors.len();
    for _ in 0..2 {
        anchored.anchors.truncate(met);
        calls_alone(&mut anchored, case, measured)?;
        cold_call(&mut anchored, case, measured)?;
    }
    if in_batches {
        rings::batches(&mut anchored, case, measured)?;
    } else if matches!(case.program, Program::Hook(_)) {
        program_at_hook(&mut anchored, case, measured)?;
    }
    if matches!(case.program, Program::Server(_)) || case.shape().is_some_and(|shape| shape.code_kib > 0) {
        code(&mut anchored, case, measured)?;
    }
    for part in user_parts(case) {
        let nanoseconds = measured.get(&part.series, part.x)?;
        let set = |anchored: &mut Anchored, value: u32| {
            anchored.user_base_cpi_milli.insert(part.x, value);
        };
        anchored.meet(case, &part, nanoseconds, ("base CPI of user work, milli", anchored.base_cpis()), |cost| cost.user, set)?;
    }
    Ok(anchored)
}

/// The crossing, and, where it is dearer in the model than the host's whole null call, the recorded null call's own work.
pub(super) fn null_call(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    let part = Place::new(parts::NULL_CALL, 1);
    let nanoseconds = measured.get(&part.series, part.x)?;
    anchored.paces.calls.remove("getppid");
    let set = |anchored: &mut Anchored, value: u32| anchored.settings.machine.crossing.syscall_cycles = value;
    let anchor = anchored.meet(case, &part, nanoseconds, ("crossing.syscall_cycles", ENTRIES), |cost| cost.total, set)?;
    if anchor.model_ns > nanoseconds * (1.0 + NEAR) && anchor.value == *ENTRIES.start() {
        let set = |anchored: &mut Anchored, value: u32| {
            anchored.paces.calls.insert("getppid".into(), value);
        };
        anchored.meet(case, &part, nanoseconds, ("instructions of getppid, permille", PACES), |cost| cost.total, set)?;
    }
    Ok(())
}

/// Calls of a case besides the null call, with the part that each is anchored in.
fn calls(case: &Case) -> Vec<(&'static str, Place)> {
    let own = |call: &'static str| (call, Place::new(parts::call(call), 1));
    match &case.program {
        Program::ReadLoop(_) => vec![own(read_loop::CALL)],
        Program::Interrupted(case) if case.call.name() == "getppid" => Vec::new(),
        Program::Interrupted(case) => vec![own(case.call.name())],
        Program::Datagrams(_) | Program::Hook(_) => vec![own(datagrams::RECEIVE), own(datagrams::SEND)],
        Program::Connections(_) | Program::Server(_) => {
            vec![own(connections::RECEIVE), own(connections::SEND), (parts::WAIT, Place::new(parts::EPOLL, EVENTS_MAX as u32))]
        }
    }
}

/// The calls, where each follows itself.
pub(super) fn calls_alone(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    for (call, part) in calls(case) {
        let nanoseconds = measured.get(&part.series, part.x)?;
        let set = |anchored: &mut Anchored, value: u32| {
            anchored.paces.calls.insert(call.into(), value);
        };
        anchored.meet(case, &part, nanoseconds, (&format!("instructions of {call}, permille"), PACES), |cost| cost.total, set)?;
    }
    Ok(())
}

/// What the kernel's misses cost, by a call that comes back cold: a share of their latency, and where all of it is not enough, what the
/// front end takes to get going again besides.
fn cold_call(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    let part = Place::new(parts::cold(primitives::cold_call(case)), 1);
    let nanoseconds = measured.get(&part.series, part.x)?;
    let set = |anchored: &mut Anchored, value: u32| {
        let exposure = &mut anchored.settings.machine.exposure;
        // data as much less than instructions as the experiment on the captures has found plausible
        (exposure.instruction_permille_kernel, exposure.data_permille_kernel) = (value, value / 2);
    };
    let parameter = "exposure.instruction_permille_kernel";
    anchored.settings.machine.l1i_refill_cycles = 0;
    let met = anchored.meet(case, &part, nanoseconds, (parameter, EXPOSURES), |cost| cost.total - cost.user, set)?;
    if met.model_ns < nanoseconds * (1.0 - NEAR) && met.value == *EXPOSURES.end() {
        let set = |anchored: &mut Anchored, value: u32| anchored.settings.machine.l1i_refill_cycles = value;
        anchored.meet(case, &part, nanoseconds, ("l1i_refill_cycles", REFILLS), |cost| cost.total - cost.user, set)?;
    }
    Ok(())
}

/// What the window hides of the misses of user code: by code that the first level does not hold against code that it holds.
fn code(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    let [small, large] = parts::CODE_KIB.map(|kib| Place::new(parts::CODE, kib));
    let nanoseconds = measured.get(&small.series, small.x)?;
    let set = |anchored: &mut Anchored, value: u32| {
        anchored.user_base_cpi_milli.insert(small.x, value);
    };
    anchored.meet(case, &small, nanoseconds, ("base CPI of code, milli", anchored.base_cpis()), |cost| cost.user, set)?;
    let nanoseconds = measured.get(&large.series, large.x)?;
    let set = |anchored: &mut Anchored, value: u32| anchored.settings.machine.exposure.instruction_permille_user = value;
    let parameter = "exposure.instruction_permille_user";
    anchored.meet(case, &large, nanoseconds, (parameter, EXPOSURES), |cost| cost.user, set).map(drop)
}

fn user_parts(case: &Case) -> Vec<Place> {
    match &case.program {
        Program::Interrupted(own) => own.intervals.iter().map(|interval| Place::new(parts::USER, *interval)).collect(),
        Program::Server(_) => Vec::new(),
        _ => vec![user_part(case, &Place::new("", 0))],
    }
}

/// The program alone, then the hook around it, by a send that it lets through.
fn program_at_hook(anchored: &mut Anchored, case: &Case, measured: &Parts) -> Result<(), OnHostError> {
    let (program, passed) = (Place::new(twins::hook::PROGRAM, 1), Place::new(twins::hook::PASSED, 1));
    let nanoseconds = measured.get(&program.series, program.x)?;
    let set = |anchored: &mut Anchored, value: u32| anchored.paces.program = value;
    anchored.meet(case, &program, nanoseconds, ("instructions of the program, permille", PACES), |cost| cost.total, set)?;
    let nanoseconds = measured.get(&passed.series, passed.x)?;
    let set = |anchored: &mut Anchored, value: u32| anchored.paces.hook = value;
    anchored.meet(case, &passed, nanoseconds, ("instructions of the hook, permille", PACES), |cost| cost.total, set).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use twins::case::Way;

    #[test]
    fn an_even_cost_is_met_in_few_tries_and_a_bound_is_kept() {
        let mut tries = 0;
        let met = solve(700.0, PACES, START, |value| {
            tries += 1;
            Ok(100.0 + 0.5 * f64::from(value))
        });
        assert_eq!(met.unwrap(), (1200, 700.0));
        assert!(tries <= 4, "{tries}");
        let mut tries = 0;
        let again = solve(700.0, PACES, 1200, |value| {
            tries += 1;
            Ok(100.0 + 0.5 * f64::from(value))
        });
        assert_eq!((again.unwrap(), tries), ((1200, 700.0), 1), "what is found already is looked at once");
        let bounded = solve(50.0, PACES, START, |value| Ok(100.0 + 0.5 * f64::from(value))).unwrap();
        assert_eq!(bounded, (20, 110.0));
    }

    fn made_up(case: &str, list: &[(&str, u32, f64)]) -> Anchored {
        let case = twins::case::select(&[case.into()]).unwrap().remove(0);
        anchor(&case, &Parts::from_list(list), &Settings::preset("zen4", "linux-6.1").unwrap()).unwrap()
    }

    /// Parts that the model meets; a part with two anchors is met by the second.
    fn met(anchored: &Anchored) -> usize {
        let last: BTreeMap<Place, &Anchor> = anchored.anchors.iter().map(|anchor| (anchor.part.clone(), anchor)).collect();
        for anchor in last.values() {
            assert!((anchor.model_ns / anchor.measured_ns - 1.0).abs() < 0.02, "{anchor:?}");
        }
        last.len()
    }

    /// Made-up parts, each twice to half of what the preset says: the model meets all of them.
    #[test]
    fn the_model_meets_its_parts() {
        let list = [
            ("part getppid", 1, 90.0),
            ("part recvfrom of a datagram", 1, 400.0),
            ("part recvmmsg of datagrams", 1, 500.0),
            ("part recvmmsg of datagrams", 64, 260.0),
            ("part pread64", 1, 400.0),
            ("part pread64 cold", 1, 520.0),
            ("part io_uring nop", 1, 200.0),
            ("part io_uring nop", 64, 2500.0),
            ("part pread64 of a byte", 1, 330.0),
            ("part io_uring, read of a byte", 1, 620.0),
            ("part io_uring, read of a byte", 64, 21_000.0),
            ("part io_uring, registered, read of a byte", 1, 590.0),
            ("part io_uring, registered, read of a byte", 64, 19_000.0),
            ("part code", 8, 700.0),
            ("part code", 64, 800.0),
            ("part user", 1000, 150.0),
        ];
        let anchored = made_up("read-loop-1000", &list);
        // what enters cost is met less a call that reads a byte
        assert_eq!(met(&anchored), list.len() - 1);
        let [plain, registered] = [Way::Ring, Way::RingRegistered].map(|way| anchored.paces.reads[&way]);
        assert!(registered.around < plain.around, "an entry that costs less has less around it: {plain:?} {registered:?}");
        let first_pass = anchored.settings.machine.first_pass_cycles_milli;
        assert!((500..8_000).contains(&first_pass), "{first_pass}");
    }

    /// A message in a batch of one costs more than a call, in a batch of 64 less: by headers and entries, and by what first passes cost.
    #[test]
    fn the_model_meets_local_messages() {
        let list = [
            ("part getppid", 1, 90.0),
            ("part recvfrom", 1, 330.0),
            ("part sendto", 1, 3000.0),
            ("part sendto cold", 1, 2800.0),
            ("part io_uring nop", 1, 200.0),
            ("part io_uring nop", 64, 2500.0),
            ("part recvfrom of a datagram", 1, 330.0),
            ("part recvmmsg of datagrams", 1, 440.0),
            ("part recvmmsg of datagrams", 64, 240.0),
            ("part recvfrom, local", 1, 500.0),
            ("part recvfrom, local, io_uring", 1, 720.0),
            ("part sendto, local", 1, 600.0),
            ("part sendto, local, io_uring", 1, 820.0),
            ("part user", 1, 10.0),
        ];
        let anchored = made_up("udp", &list);
        // messages one by one are what those that go together are compared with
        assert_eq!(met(&anchored), list.len() - 2);
        let case = twins::case::find("udp").unwrap();
        let of = |series: &str, x| anchored.cost(&case, &Place::new(series, x), SEED).unwrap().total;
        for way in ["recvmmsg/sendmmsg", "io_uring"] {
            let [one, many] = [1, 64].map(|batch| of(way, batch) / of("recvfrom/sendto", 1));
            assert!(one > 1.02 && many < 0.95, "{way}: {one} {many}");
        }
    }

    #[test]
    fn the_model_meets_program_and_hook() {
        let list = [
            ("part getppid", 1, 60.0),
            ("part recvfrom", 1, 230.0),
            ("part sendto", 1, 1000.0),
            ("part sendto cold", 1, 1400.0),
            ("part user", 1, 10.0),
            ("part program", 1, 20.0),
            ("part sendto, passed at the hook", 1, 1450.0),
        ];
        let anchored = made_up("xdp", &list);
        let of_hook = |anchor: &&Anchor| [twins::hook::PROGRAM, twins::hook::PASSED].contains(&anchor.part.series.as_str());
        let met: Vec<&Anchor> = anchored.anchors.iter().filter(of_hook).collect();
        assert_eq!(met.len(), 2);
        assert!(met.iter().all(|anchor| (anchor.model_ns / anchor.measured_ns - 1.0).abs() < 0.02), "{met:?}");
        let case = twins::case::find("xdp").unwrap();
        let of = |series: &str, x| anchored.cost(&case, &Place::new(series, x), SEED).unwrap().total;
        // a round is four calls; the hook takes the server's two away and lets the message come in twice
        let (served, answered) = (of("server", 16), of("XDP", 16));
        assert!(answered < 0.8 * served && answered > of("part sendto, passed at the hook", 1), "{answered} {served}");
        assert!(of("XDP, dropped", 1) < of("part sendto, passed at the hook", 1));
    }

    #[test]
    fn a_missing_part_is_named() {
        let case = twins::case::select(&["read-loop-0".into()]).unwrap().remove(0);
        let settings = Settings::preset("zen4", "linux-6.1").unwrap();
        let error = anchor(&case, &Parts::from_list(&[("part getppid", 1, 90.0)]), &settings).unwrap_err().to_string();
        assert!(error.contains("recvmmsg of datagrams (1)") && error.contains("not measured"), "{error}");
    }
}
