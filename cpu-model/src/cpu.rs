//! The cores of one simulated machine with everything they share: what `os-model` drives.

use crate::counters::{AgentCounters, Counters};
use crate::crossing::{self, CrossingKind};
use crate::error::MachineError;
use crate::hierarchy::Hierarchy;
use crate::ledger::{LedgerSummary, VictimLedger};
use crate::machine::Machine;
use crate::passes::Passes;
use crate::shadow::{Shadow, ShadowRow, ShadowTally};
use crate::timing::{CoreClock, Pace};
use sim_core::context::{Agent, Context};
use sim_core::ids::{CoreId, Cycles, Line, Mode};
use sim_core::layout::Layout;
use sim_core::stack::{Cause, Component, CrossingPart, CycleStack, Domain, Unbalanced};

/// What a run asks of the model besides the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuOptions {
    /// Keep the evictor ledger.
    pub ledger: bool,
    /// Run each mode alone as well.
    pub shadow: Shadow,
    /// Base CPI of the program's user code in thousandths, instead of the machine's.
    pub user_base_cpi_milli: Option<u32>,
    /// Returns of the program that the kernel's calls push out of the return stack during a system call.
    pub user_call_depth: u32,
    /// Each load of user code needs the result of the one before: no miss hides behind another, and all of its latency is exposed.
    pub user_loads_depend: bool,
}

/// All cores with the levels they share.
#[derive(Clone, Debug)]
pub struct Cpu {
    pub(crate) machine: Machine,
    pub(crate) options: CpuOptions,
    pub(crate) pace: Pace,
    pub(crate) machine_side: Hierarchy,
    /// Structures private to each mode; only with a shadow.
    pub(crate) shadow_side: Option<Box<Hierarchy>>,
    pub(crate) tally: ShadowTally,
    pub(crate) clocks: Vec<CoreClock>,
    /// By core; used only where the machine has a cost of first passes.
    pub(crate) passes: Vec<Passes>,
    agents: Vec<AgentCounters>,
}

impl Cpu {
    /// A machine with cold structures. `layout` gives the page size of each chunk, `seed` the frames behind the pages.
    ///
    /// # Errors
    /// A machine out of range, more cores than it has, a base CPI below 1 / width, or a sampling that its caches don't allow.
    pub fn new(machine: &Machine, cores: usize, layout: &Layout, options: CpuOptions, seed: u64) -> Result<Cpu, MachineError> {
        machine.validate()?;
        let most = machine.cores_max as usize;
        if cores == 0 || cores > most {
            return Err(MachineError::Cores { machine: machine.name.clone(), asked: cores, most });
        }
        let least = machine.least_base_cpi_milli();
        if let Some(asked) = options.user_base_cpi_milli.filter(|asked| !(least..=100_000).contains(asked)) {
            return Err(MachineError::BaseCpi { machine: machine.name.clone(), asked, least });
        }
        let tally = ShadowTally::new(machine, options.shadow, seed)?;
        let shadow_side = (options.shadow != Shadow::Off).then(|| {
            let alone = machine.clone().with_private_structures_per_mode();
            Box::new(Hierarchy::new(&alone, cores, layout, seed))
        });
        Ok(Cpu {
            pace: Pace::new(machine, &options),
            machine_side: Hierarchy::new(machine, cores, layout, seed),
            shadow_side,
            tally,
            clocks: (0..cores).map(|_| CoreClock::new()).collect(),
            passes: (0..cores).map(|_| Passes::new()).collect(),
            agents: Vec::new(),
            machine: machine.clone(),
            options,
        })
    }

    /// The machine description.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Number of cores.
    pub fn cores(&self) -> usize {
        self.clocks.len()
    }

    /// A core's clock.
    #[inline]
    pub fn clock(&self, core: CoreId) -> Cycles {
        self.clocks[core.index()].clock
    }

    /// A core begins to execute for a context: makes room for its agent.
    pub(crate) fn enter(&mut self, context: Context) {
        let agent = usize::from(context.agent.0);
        if self.agents.len() <= agent {
            self.agents.resize(agent + 1, AgentCounters::default());
            self.machine_side.ledger.admit(context.agent);
        }
        self.machine_side.ledger.suffer(context.agent);
    }

    /// Books what a context executed since `started`.
    pub(crate) fn leave(&mut self, core: usize, context: Context, started: Cycles, instructions: u64) {
        let cycles = self.clocks[core].clock - started;
        let counters = &mut self.machine_side.cores[core].counters.modes[context.mode.index()];
        counters.instructions += instructions;
        counters.cycles += cycles;
        let agent = &mut self.agents[usize::from(context.agent.0)];
        agent.instructions += instructions;
        agent.cycles += cycles;
    }

    /// Work without lines: instructions at the base CPI.
    pub fn instructions(&mut self, core: CoreId, context: Context, count: u64) {
        let core = core.index();
        self.enter(context);
        let started = self.clocks[core].clock;
        self.clocks[core].execute(&self.pace, context, count);
        self.leave(core, context, started, count);
    }

    /// Lets cycles pass on behalf of a component: idle, a recorded client, fixed costs. Work of the user domain counts as user mode,
    /// other work as kernel mode; [`Cpu::spend_work`] says the mode.
    pub fn spend(&mut self, core: CoreId, component: Component, cycles: Cycles) {
        let mode = match component {
            Component::Work(Domain::User, _) => Some(Mode::User),
            Component::Work(Domain::Kernel | Domain::Mechanism, _) => Some(Mode::Kernel),
            Component::Crossing(part) => Some(part.mode()),
            Component::Client | Component::Idle => None,
        };
        self.pass(core.index(), component, mode, cycles);
        self.clocks[core.index()].serialise();
    }

    /// Lets cycles pass as work of a context.
    pub fn spend_work(&mut self, core: CoreId, context: Context, cause: Cause, cycles: Cycles) {
        let core = core.index();
        self.enter(context);
        let started = self.clocks[core].clock;
        self.clocks[core].pass(Component::Work(context.domain, cause), cycles);
        self.clocks[core].serialise();
        self.leave(core, context, started, 0);
    }

    fn pass(&mut self, core: usize, component: Component, mode: Option<Mode>, cycles: Cycles) {
        self.clocks[core].pass(component, cycles);
        if let Some(mode) = mode {
            self.machine_side.cores[core].counters.modes[mode.index()].cycles += cycles;
        }
    }

    /// One half of a crossing: drain, latency, page tables, barriers, return stack, refetch. With `mitigations`, a machine that needs
    /// page-table isolation switches tables between user and kernel, and without PCID each switch flushes all TLB entries.
    pub fn cross(&mut self, core: CoreId, kind: CrossingKind, mitigations: bool) {
        let core = core.index();
        let lost_returns = self.options.user_call_depth.min(self.machine.branch.return_stack_entries);
        let cost = crossing::cost(&self.machine, kind, mitigations, self.clocks[core].window(), lost_returns);
        for (part, cycles) in cost.parts {
            if let Some(part) = part {
                self.pass(core, Component::Crossing(part), Some(part.mode()), cycles);
            }
        }
        self.clocks[core].serialise();
        if kind.outer() == Mode::User {
            if kind.is_entry() {
                self.passes[core].enter();
            }
            let isolated = mitigations && self.machine.facts.meltdown_affected;
            self.clocks[core].isolated = isolated;
            if isolated && !self.machine.crossing.pcid {
                self.flush_tlbs(core, false);
            }
        }
    }

    fn flush_tlbs(&mut self, core: usize, keep_global: bool) {
        self.machine_side.cores[core].tlbs.flush(keep_global);
    }

    /// A CR3 write at a switch to another process: without PCID it flushes the entries that are not global; with page-table isolation
    /// none is. A mode that ran alone would switch as well, so the shadow flushes too.
    pub fn switch_address_space(&mut self, core: CoreId) {
        let core = core.index();
        let part = CrossingPart::PageTable;
        self.pass(core, Component::Crossing(part), Some(part.mode()), self.machine.crossing.page_table_cycles.into());
        self.clocks[core].serialise();
        if self.machine.crossing.pcid {
            return;
        }
        let keep_global = !self.clocks[core].isolated;
        self.flush_tlbs(core, keep_global);
        if let Some(alone) = &mut self.shadow_side {
            alone.cores[core].tlbs.flush(keep_global);
        }
    }

    /// INVLPG on one core: the page that holds the line leaves its TLBs.
    pub fn invalidate_page(&mut self, core: CoreId, line: Line) {
        self.machine_side.cores[core.index()].tlbs.invalidate(line);
        if let Some(alone) = &mut self.shadow_side {
            alone.cores[core.index()].tlbs.invalidate(line);
        }
    }

    /// Chunks were added to the layout after [`Cpu::new`].
    pub fn layout_grew(&mut self, layout: &Layout) {
        self.machine_side.frames.grow(layout);
        if let Some(alone) = &mut self.shadow_side {
            alone.frames.grow(layout);
        }
    }

    /// Opens the measured window: forgets all counts and cycles, keeps clocks and the contents of all structures.
    pub fn reset_counters(&mut self) {
        self.machine_side.reset_counters();
        if let Some(alone) = &mut self.shadow_side {
            alone.reset_counters();
        }
        self.tally.reset();
        self.agents.fill(AgentCounters::default());
        for clock in &mut self.clocks {
            clock.opened_at = clock.clock;
            clock.stack = CycleStack::default();
        }
    }

    /// Where a core's cycles went since the window opened.
    pub fn stack(&self, core: CoreId) -> &CycleStack {
        &self.clocks[core.index()].stack
    }

    /// A core's counters since the window opened.
    pub fn counters(&self, core: CoreId) -> &Counters {
        &self.machine_side.cores[core.index()].counters
    }

    /// Counters summed over all cores.
    pub fn total_counters(&self) -> Counters {
        let mut total = Counters::default();
        for core in &self.machine_side.cores {
            total.merge(&core.counters);
        }
        total
    }

    /// Cycles of a core since the window opened.
    pub fn cycles_since_reset(&self, core: CoreId) -> Cycles {
        let clock = &self.clocks[core.index()];
        clock.clock - clock.opened_at
    }

    /// Checks invariant 1 on all cores: the stack sums to the elapsed cycles, and so do the modes with idle and client time.
    ///
    /// # Errors
    /// The two numbers of the first core where they differ.
    pub fn check_conservation(&self) -> Result<(), Unbalanced> {
        for (index, clock) in self.clocks.iter().enumerate() {
            let elapsed = clock.clock - clock.opened_at;
            clock.stack.check(elapsed)?;
            let modes = &self.machine_side.cores[index].counters.modes;
            let outside = clock.stack.get(Component::Idle) + clock.stack.get(Component::Client);
            let accounted = modes[0].cycles + modes[1].cycles + outside;
            if accounted != elapsed {
                return Err(Unbalanced { accounted, elapsed });
            }
        }
        Ok(())
    }

    /// Misses and exposed stall cycles by structure, mode and evictor, summed over cores. Empty without the ledger.
    pub fn ledger(&self) -> LedgerSummary {
        self.machine_side.ledger.summary()
    }

    /// Counts the misses of each agent's code apart from now on, for [`Cpu::ledger_by_victim`]. No other result changes.
    pub fn tell_victims_apart(&mut self) {
        self.machine_side.ledger.tell_victims_apart();
    }

    /// The ledger of each agent whose code missed, by agent, summed over cores. Empty without the ledger, or when victims are not told
    /// apart.
    pub fn ledger_by_victim(&self) -> Vec<VictimLedger> {
        self.machine_side.ledger.by_victim()
    }

    /// What each mode would have missed alone, summed over cores. Empty without a shadow.
    pub fn shadow(&self) -> Vec<ShadowRow> {
        if self.shadow_side.is_none() { Vec::new() } else { self.tally.rows(&self.total_counters()) }
    }

    /// Instructions and cycles by [`Agent`], summed over cores; index `Agent.0`, as long as the largest agent that ran needs.
    pub fn agent_counters(&self) -> &[AgentCounters] {
        &self.agents
    }

    /// Instructions and cycles of one agent.
    pub fn agent(&self, agent: Agent) -> AgentCounters {
        self.agents.get(usize::from(agent.0)).copied().unwrap_or_default()
    }
}
