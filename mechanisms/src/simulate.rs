//! One simulation: assemble a system, warm it up, measure a window.

use crate::experiment::{Settings, ShadowSetting};
use crate::in_kernel::ServiceError;
use crate::registry::Mechanism;
use cpu_model::{CpuOptions, Shadow, VictimLedger};
use os_model::clients::{Arrival, Clients, ClientsError, LoadStep};
use os_model::core_use::CoreUses;
use os_model::stats::BatchCount;
use os_model::system::{Driver, Size, System, SystemError};
use os_model::timeline::{Span, Timeline};
use sim_core::context::Agent;
use sim_core::histogram::LatencyHistogram;
use sim_core::ids::{CoreId, Cycles, Mode};
use sim_core::seed::SeedTree;
use sim_core::stack::{Component, CycleStack, Unbalanced};
use sim_core::workload::{Program, Step, Workload};
use std::sync::atomic::{AtomicBool, Ordering};

/// What one simulation measured.
#[derive(Debug)]
pub struct Sample {
    /// Replies in the window.
    pub replies: u64,
    /// Length of the window, cycles per core.
    pub window_cycles: Cycles,
    /// Cycle stacks, summed over the cores.
    pub stack: CycleStack,
    /// Cycle stacks by core.
    pub stacks: Vec<CycleStack>,
    /// Counters, summed over the cores.
    pub counters: cpu_model::Counters,
    /// Evictor ledger.
    pub ledger: cpu_model::LedgerSummary,
    /// Shadow rows (empty without a shadow).
    pub shadow: Vec<cpu_model::ShadowRow>,
    /// Instructions and cycles by agent.
    pub agents: Vec<(Agent, cpu_model::AgentCounters)>,
    /// Latencies.
    pub latency: LatencyHistogram,
    /// Times of replies since the window opened.
    pub reply_times: Vec<Cycles>,
    /// Handlers by call number.
    pub calls: Vec<u64>,
    /// Cycles of the crossings made for them, by call number.
    pub crossing_cycles: Vec<Cycles>,
    /// Crossings.
    pub crossings: u64,
    /// Those that issue calls.
    pub call_crossings: u64,
    /// Context switches.
    pub context_switches: u64,
    /// Batches.
    pub batches: Vec<BatchCount>,
    /// Busy thousandths of the link and of the client's processors.
    pub utilisation_permille: (u64, u64),
    /// Arrivals refused in an open system.
    pub refused_arrivals: u64,
    /// Packets lost to full rings.
    pub dropped_packets: u64,
    /// Replies before the window opened.
    pub warm_up_replies: u64,
    /// Cycles before the window opened, per core.
    pub warm_up_cycles: Cycles,
    /// Cycles of synthetic blocks and instructions without lines.
    pub synthetic_cycles: Cycles,
    /// Use of all cores over time.
    pub split: Vec<Split>,
    /// Use of each core over time, in shorter stretches.
    pub core_uses: Vec<CoreUsesUntil>,
    /// What else the mechanism counted.
    pub occurrences: Vec<(&'static str, u64)>,
    /// What the mechanism says in words, with how often.
    pub remarks: Vec<(String, u64)>,
    /// Memory of the mechanism.
    pub memory_bytes: u64,
}

/// Use of all cores in one stretch of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// End of the stretch, cycles since the window opened.
    pub end: Cycles,
    /// Cycles in user mode, summed over the cores.
    pub user: Cycles,
    /// Cycles in kernel mode.
    pub kernel: Cycles,
    /// Idle cycles.
    pub idle: Cycles,
    /// Cycles of a recorded client.
    pub client: Cycles,
}

/// Use of each core from the opening of the window to a point in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreUsesUntil {
    /// The point, cycles since the window opened.
    pub end: Cycles,
    /// By core.
    pub cores: Vec<CoreUses>,
}

/// Stretches of the window in which the cores' use is reported.
const STRETCHES: u64 = 8;
/// Each of them is divided by so much for the use of each core.
const PARTS_OF_STRETCH: u64 = 2;
/// The same within each step of load.
const STRETCHES_PER_STEP: u32 = 4;

/// A simulation that failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SimulationError {
    /// The system.
    #[error(transparent)]
    System(#[from] SystemError),
    /// Clients that the workload does not fit.
    #[error(transparent)]
    Clients(#[from] ClientsError),
    /// A service that cannot be installed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The cycle stack does not sum: a bug.
    #[error("core {core}: {source}")]
    Unbalanced {
        /// The core.
        core: usize,
        /// The two sums.
        source: Unbalanced,
    },
    /// The model stopped with a fault of its own: a bug.
    #[error("the model has a fault here: {words}; please report it with the command that led to it")]
    Panicked {
        /// What it said.
        words: String,
    },
    /// Stopped from outside.
    #[error("interrupted")]
    Cancelled,
}

/// Calls that warm-up batches of a sequential program hold at least: enough that one interrupt more or less is within the 3 % of
/// the warm-up test.
const SEQUENTIAL_CALLS: u64 = 500;

/// User instructions that such a batch holds at most: a program that hardly ever calls is warm after so many all the same.
const SEQUENTIAL_INSTRUCTIONS: u64 = 4_000_000;

/// Measured requests of a repetition when the settings leave it open: a multiple of the connections, so that a window holds several
/// rounds of a mechanism that batches over all of them; with steps of load as many as arrive in all steps. A run of a sequential
/// program is one request.
pub fn default_requests(workload: &Workload, clients: &Clients, connections: u32) -> u64 {
    match (workload.program, clients.arrival.steps()) {
        (Program::Sequential, _) => sequential_runs(workload) * 2,
        (_, Some(steps)) => steps.iter().map(LoadStep::arrivals).sum::<f64>().ceil() as u64,
        _ => u64::from(connections * 3).max(300),
    }
}

/// Accesses that one simulation makes, roughly: what its host time grows with. Requests of the warm-up (as many batches as it takes most
/// of the time) and of the window, times the recorded steps of a mean request with what receives and sends it. The mechanism is left
/// out: all of them do the same work within a factor of two.
pub fn estimated_accesses(workload: &Workload, settings: &Settings) -> u64 {
    const WARM_UP_BATCHES: u64 = 5;
    let connections = connections(workload, settings);
    let batch = match workload.program {
        Program::Sequential => sequential_runs(workload),
        _ => u64::from(connections).max(60),
    };
    (WARM_UP_BATCHES * batch + measured_requests(workload, settings)) * accesses_per_request(workload)
}

/// Accesses of a mean request, with what receives and sends it.
fn accesses_per_request(workload: &Workload) -> u64 {
    const AROUND_REQUEST: u64 = 2_000;
    let accesses = |step: &Step| (workload.blocks.ops(step.user).len() + workload.blocks.ops(step.kernel).len()) as u64;
    let (mut sum, mut weight) = (0, 0);
    for class in &workload.classes {
        let chains = class.chains.len().max(1) as u64;
        let of_chains: u64 = class.chains.iter().flat_map(|chain| &chain.steps).map(accesses).sum();
        sum += of_chains / chains * u64::from(class.recorded);
        weight += u64::from(class.recorded);
    }
    sum / weight.max(1) + AROUND_REQUEST
}

/// Requests of the measured window.
fn measured_requests(workload: &Workload, settings: &Settings) -> u64 {
    match settings.run.requests {
        0 => default_requests(workload, &settings.clients, connections(workload, settings)),
        requests => requests,
    }
}

/// Runs of a sequential program that make about [`SEQUENTIAL_CALLS`] or [`SEQUENTIAL_INSTRUCTIONS`]; one when a run is longer.
fn sequential_runs(workload: &Workload) -> u64 {
    let chains = workload.classes.iter().flat_map(|class| &class.chains);
    let longest = chains.max_by_key(|chain| chain.steps.len()).map_or(&[][..], |chain| &chain.steps);
    let user = |step: &Step| u64::from(workload.blocks.info(step.user).instructions);
    let by_calls = SEQUENTIAL_CALLS / (longest.len() as u64).max(1);
    let by_instructions = SEQUENTIAL_INSTRUCTIONS / longest.iter().map(user).sum::<u64>().max(1);
    by_calls.min(by_instructions).max(1)
}

/// Replies at which the stretches of the window end in which the cores' use is reported: equal parts, or parts of each step of load.
fn stretch_ends(clients: &Clients, requests: u64) -> Vec<u64> {
    let Some(steps) = clients.arrival.steps() else {
        return (1..=STRETCHES).map(|stretch| requests * stretch / STRETCHES).collect();
    };
    let mut ends = Vec::new();
    let mut before = 0.0;
    for step in steps {
        for part in 1..=STRETCHES_PER_STEP {
            let replies = before + step.arrivals() * f64::from(part) / f64::from(STRETCHES_PER_STEP);
            ends.push((replies.round() as u64).min(requests));
        }
        before += step.arrivals();
    }
    ends.push(requests);
    ends.dedup();
    ends
}

/// A system with its driver, clients started: everything before the first cycle.
///
/// # Errors
/// When the machine does not fit, or an in-kernel service cannot be installed.
pub fn assemble<'a>(
    workload: &'a Workload,
    settings: &'a Settings,
    mechanism: Mechanism,
    seed: u64,
) -> Result<(System<'a>, Box<dyn Driver>), SimulationError> {
    let mut system = system(workload, settings, mechanism, seed)?;
    let driver = mechanism.driver(&mut system, &settings.mechanism)?;
    if workload.program != Program::Sequential {
        system.start_clients();
    }
    Ok((system, driver))
}

/// A system with room for what a mechanism needs, before its driver is made and its clients are started.
///
/// # Errors
/// When the machine does not fit, or the clients do not.
pub fn system<'a>(
    workload: &'a Workload,
    settings: &'a Settings,
    mechanism: Mechanism,
    seed: u64,
) -> Result<System<'a>, SimulationError> {
    settings.clients.fit(workload)?;
    let run = &settings.run;
    let connections = connections(workload, settings);
    let needs = mechanism.needs(workload, &settings.mechanism, run.cores, connections);
    let size = Size {
        cores: run.cores,
        connections,
        pollers: needs.pollers,
        tasks: needs.tasks,
        threads: needs.tasks,
        processes: if workload.program == Program::ProcessPerConnection { connections } else { needs.pollers.max(1) },
        mechanism_lines: needs.memory_lines,
        mechanism_superpage_lines: needs.superpage_lines,
    };
    let shadow = match run.shadow {
        ShadowSetting::Off => Shadow::Off,
        ShadowSetting::Full => Shadow::Full,
        ShadowSetting::Sampled(one_in) => Shadow::Sampled(one_in),
    };
    let options = CpuOptions {
        ledger: run.ledger,
        shadow,
        user_base_cpi_milli: workload.user_base_cpi_milli,
        user_call_depth: workload.user_call_depth.unwrap_or(settings.kernel.user_call_depth),
        user_loads_depend: workload.user_loads_depend,
    };
    let seeds = SeedTree::new(seed);
    Ok(System::new(workload, &settings.machine, &settings.kernel, &settings.clients, &size, options, &seeds)?)
}

/// A sequential program has no clients; it is modelled with one connection that nobody uses.
fn connections(workload: &Workload, settings: &Settings) -> u32 {
    if workload.program == Program::Sequential { 1 } else { settings.run.connections }
}

/// Runs one simulation.
///
/// # Errors
/// When the machine does not fit, the simulation stands still, or the cycles do not add up.
pub fn simulate(workload: &Workload, settings: &Settings, mechanism: Mechanism, seed: u64) -> Result<Sample, SimulationError> {
    simulate_until(workload, settings, mechanism, seed, &NEVER)
}

/// For simulations that nobody stops.
static NEVER: AtomicBool = AtomicBool::new(false);

/// As [`simulate`]; once `cancel` is set, the simulation ends at the next slice of a core.
///
/// # Errors
/// As [`simulate`], and [`SimulationError::Cancelled`].
pub fn simulate_until(
    workload: &Workload,
    settings: &Settings,
    mechanism: Mechanism,
    seed: u64,
    cancel: &AtomicBool,
) -> Result<Sample, SimulationError> {
    let effort = Effort::whole(workload, settings, cancel);
    Ok(measure(assemble(workload, settings, mechanism, seed)?, workload, settings, mechanism, &effort)?.0)
}

/// A brief run: less warm-up and a shorter window than [`simulate`], by about so many accesses in all. It shows which way things go; a
/// comparison is made of whole runs.
///
/// # Errors
/// As [`simulate_until`].
pub fn simulate_briefly(
    workload: &Workload,
    settings: &Settings,
    mechanism: Mechanism,
    seed: u64,
    accesses: u64,
    cancel: &AtomicBool,
) -> Result<Sample, SimulationError> {
    let effort = Effort::brief(workload, settings, mechanism, accesses, cancel);
    Ok(measure(assemble(workload, settings, mechanism, seed)?, workload, settings, mechanism, &effort)?.0)
}

/// Runs one simulation and records what the cores did in a part of its measured window. The sample is that of [`simulate`].
///
/// # Errors
/// As [`simulate`].
pub fn simulate_recorded(
    workload: &Workload,
    settings: &Settings,
    mechanism: Mechanism,
    seed: u64,
    span: Span,
) -> Result<(Sample, Timeline), SimulationError> {
    simulate_recorded_until(workload, settings, mechanism, seed, span, &NEVER)
}

/// As [`simulate_recorded`]; once `cancel` is set, the simulation ends at the next slice of a core.
///
/// # Errors
/// As [`simulate_until`].
pub fn simulate_recorded_until(
    workload: &Workload,
    settings: &Settings,
    mechanism: Mechanism,
    seed: u64,
    span: Span,
    cancel: &AtomicBool,
) -> Result<(Sample, Timeline), SimulationError> {
    let (mut system, driver) = assemble(workload, settings, mechanism, seed)?;
    system.record(span);
    let effort = Effort::whole(workload, settings, cancel);
    let (sample, mut system) = measure((system, driver), workload, settings, mechanism, &effort)?;
    Ok((sample, system.take_timeline()))
}

/// One simulation looked at closely.
#[derive(Debug)]
pub struct InDepth {
    /// What was measured: that of [`simulate`].
    pub sample: Sample,
    /// What the cores did in a part of the measured window.
    pub timeline: Timeline,
    /// The evictor ledger of the whole window for each agent whose code missed: whose lines whose fills pushed out.
    pub victims: Vec<VictimLedger>,
}

/// Runs one simulation, records what the cores did in a part of its measured window, and tells apart whose code suffered which misses.
/// With `accesses` it is a brief run, as [`simulate_briefly`]. Once `cancel` is set, the simulation ends at the next slice of a core.
///
/// # Errors
/// As [`simulate_until`].
pub fn simulate_in_depth(
    workload: &Workload,
    settings: &Settings,
    mechanism: Mechanism,
    seed: u64,
    span: Span,
    accesses: Option<u64>,
    cancel: &AtomicBool,
) -> Result<InDepth, SimulationError> {
    let (mut system, driver) = assemble(workload, settings, mechanism, seed)?;
    system.record(span);
    system.cpu.tell_victims_apart();
    let effort = match accesses {
        None => Effort::whole(workload, settings, cancel),
        Some(accesses) => Effort::brief(workload, settings, mechanism, accesses, cancel),
    };
    let (sample, mut system) = measure((system, driver), workload, settings, mechanism, &effort)?;
    Ok(InDepth { sample, timeline: system.take_timeline(), victims: system.cpu.ledger_by_victim() })
}

/// How much of a simulation is run, and who can stop it.
struct Effort<'c> {
    /// Replies of a warm-up that does not look at whether it is warm.
    brief_warm_up_replies: Option<u64>,
    /// Requests of the measured window.
    requests: u64,
    cancel: &'c AtomicBool,
}

impl<'c> Effort<'c> {
    fn whole(workload: &Workload, settings: &Settings, cancel: &'c AtomicBool) -> Effort<'c> {
        Effort { brief_warm_up_replies: None, requests: measured_requests(workload, settings), cancel }
    }

    /// Half of the accesses warm up.
    fn brief(workload: &Workload, settings: &Settings, mechanism: Mechanism, accesses: u64, cancel: &'c AtomicBool) -> Effort<'c> {
        let least = match (workload.program, mechanism) {
            (Program::Sequential, _) => 1,
            (_, Mechanism::BASELINE) => BRIEF_REPLIES_LEAST / 2,
            _ => BRIEF_REPLIES_LEAST,
        };
        let replies = (accesses / 2 / accesses_per_request(workload)).max(least);
        let requests = replies.min(measured_requests(workload, settings));
        Effort { brief_warm_up_replies: Some(replies), requests, cancel }
    }
}

/// Replies that a brief run warms up with and measures at least: with fewer it would compare parts of one batch. Half as many do for the
/// baseline, which posts nothing.
const BRIEF_REPLIES_LEAST: u64 = 60;

/// Runs until so many replies have been sent in all, or the simulation is stopped.
fn run_until(system: &mut System, driver: &mut dyn Driver, replies: u64, cancel: &AtomicBool) -> Result<(), SimulationError> {
    system.run(driver, |stats| stats.replies >= replies || cancel.load(Ordering::Relaxed))?;
    if cancel.load(Ordering::Relaxed) { Err(SimulationError::Cancelled) } else { Ok(()) }
}

/// Warms up, measures a window and collects what was measured.
fn measure<'a>(
    (mut system, mut driver): (System<'a>, Box<dyn Driver>),
    workload: &Workload,
    settings: &Settings,
    mechanism: Mechanism,
    effort: &Effort,
) -> Result<(Sample, System<'a>), SimulationError> {
    let run = &settings.run;
    let connections = connections(workload, settings);
    let needs = mechanism.needs(workload, &settings.mechanism, run.cores, connections);
    let warm_up_replies = match effort.brief_warm_up_replies {
        None => warm_up(&mut system, driver.as_mut(), connections, run.warm_up_batches, effort.cancel)?,
        Some(replies) => {
            run_until(&mut system, driver.as_mut(), replies, effort.cancel)?;
            system.stats.replies
        }
    };
    system.open_window();
    let warm_up_cycles = system.stats.window_start();
    let mut split = Vec::new();
    let mut core_uses = Vec::new();
    let mut begin = 0;
    for end in stretch_ends(&settings.clients, effort.requests) {
        let parts = (1..=PARTS_OF_STRETCH).map(|part| begin + (end - begin) * part / PARTS_OF_STRETCH);
        for end in parts {
            run_until(&mut system, driver.as_mut(), end, effort.cancel)?;
            core_uses.push(CoreUsesUntil { end: system.now() - system.stats.window_start(), cores: system.core_uses() });
        }
        split.push(use_so_far(&system));
        begin = end;
    }
    let window_cycles = system.close_window();
    let mut sample = collect(&system, window_cycles)?;
    sample.warm_up_replies = warm_up_replies;
    sample.warm_up_cycles = warm_up_cycles;
    sample.split = split;
    sample.core_uses = core_uses;
    sample.memory_bytes = needs.memory_bytes;
    Ok((sample, system))
}

/// Cumulated use of all cores since the window opened. A core that is idle now is counted idle up to the present.
fn use_so_far(system: &System) -> Split {
    let now = system.now();
    let mut split = Split { end: now - system.stats.window_start(), ..Split::default() };
    for index in 0..system.cores.len() {
        let core = CoreId(index as u16);
        let counters = system.cpu.counters(core);
        split.user += counters.mode(Mode::User).cycles;
        split.kernel += counters.mode(Mode::Kernel).cycles;
        split.client += system.cpu.stack(core).get(Component::Client);
        split.idle += system.cpu.stack(core).get(Component::Idle) + (now - system.cpu.clock(core));
    }
    split
}

/// Batches at most until each connection has had two replies: a connection that is starved for good does not hold up the warm-up for
/// ever.
const MOST_UNEVEN_BATCHES: u32 = 40;

/// Warm-up: at least two requests of each connection, then until two batches in a row take the same time within 3 %, at most
/// `most_batches`. A mechanism can serve some requests at the cost of others (stores that wait while the softirq answers): its window opens
/// only when those that wait longest hold up as many connections as they will in the long run.
/// A sequential program whose one run is longer than a batch is warm after its first two runs.
fn warm_up(
    system: &mut System,
    driver: &mut dyn Driver,
    connections: u32,
    most_batches: u32,
    cancel: &AtomicBool,
) -> Result<u64, SimulationError> {
    let sequential = system.workload.program == Program::Sequential;
    let batch = if sequential { sequential_runs(system.workload) } else { u64::from(connections).max(60) };
    let long_runs = sequential && batch == 1;
    let mut target = if long_runs { 1 } else { batch * 2 };
    run_until(system, driver, target, cancel)?;
    let closed_loop = !sequential && system.clients.arrival == Arrival::Closed;
    for _ in 0..MOST_UNEVEN_BATCHES {
        if !closed_loop || system.fewest_replies() >= 2 {
            break;
        }
        target += batch;
        run_until(system, driver, target, cancel)?;
    }
    if system.has_sessions() {
        target = fill_with_connections(system, driver, target, batch, cancel)?;
    }
    let mut last: Option<Cycles> = None;
    let most = if long_runs { 1 } else { most_batches };
    for _ in 0..most {
        let before = system.now();
        target += batch;
        run_until(system, driver, target, cancel)?;
        let took = system.now() - before;
        if last.is_some_and(|last| took.abs_diff(last) * 100 <= last * 3) {
            break;
        }
        last = Some(took);
    }
    Ok(system.stats.replies)
}

/// Partly open clients: until the number of connections that they have no longer grows. Beyond saturation it grows to the most that they
/// may have. Returns the replies so far.
fn fill_with_connections(
    system: &mut System,
    driver: &mut dyn Driver,
    start: u64,
    batch: u64,
    cancel: &AtomicBool,
) -> Result<u64, SimulationError> {
    let mut target = start;
    let mut before = system.connections_taken();
    for _ in 0..MOST_UNEVEN_BATCHES {
        target += batch;
        run_until(system, driver, target, cancel)?;
        let now = system.connections_taken();
        if now <= before + (before / 20).max(2) {
            break;
        }
        before = now;
    }
    Ok(target)
}

fn collect(system: &System, window_cycles: Cycles) -> Result<Sample, SimulationError> {
    let mut stack = CycleStack::default();
    let mut stacks = Vec::new();
    let mut counters = cpu_model::Counters::default();
    for index in 0..system.cores.len() {
        let core = CoreId(index as u16);
        let own = system.cpu.stack(core);
        own.check(system.cpu.cycles_since_reset(core)).map_err(|source| SimulationError::Unbalanced { core: index, source })?;
        stack.merge(own);
        stacks.push(own.clone());
        counters.merge(system.cpu.counters(core));
    }
    let start = system.stats.window_start();
    Ok(Sample {
        replies: system.stats.replies,
        window_cycles,
        stack,
        stacks,
        counters,
        ledger: system.cpu.ledger(),
        shadow: system.cpu.shadow(),
        agents: agents(system),
        latency: system.stats.latency.clone(),
        reply_times: system.stats.reply_times.iter().map(|time| time.saturating_sub(start)).collect(),
        calls: system.stats.calls.clone(),
        crossing_cycles: system.stats.crossing_cycles.clone(),
        crossings: system.stats.crossings,
        call_crossings: system.stats.call_crossings,
        context_switches: system.stats.context_switches,
        batches: system.stats.batches.clone(),
        utilisation_permille: system.utilisation_permille(),
        refused_arrivals: system.stats.refused_arrivals,
        dropped_packets: system.dropped_packets(),
        warm_up_replies: 0,
        warm_up_cycles: 0,
        synthetic_cycles: system.stats.synthetic_cycles,
        split: Vec::new(),
        core_uses: Vec::new(),
        occurrences: system.stats.occurrences.clone(),
        remarks: system.stats.remarks.clone(),
        memory_bytes: 0,
    })
}

fn agents(system: &System) -> Vec<(Agent, cpu_model::AgentCounters)> {
    let counters = system.cpu.agent_counters().iter().enumerate();
    counters.filter(|(_, own)| own.instructions > 0).map(|(index, own)| (Agent(index as u16), *own)).collect()
}
