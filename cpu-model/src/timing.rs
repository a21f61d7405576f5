//! Interval timing: what a core's clock does with instructions, misses and mispredictions.
//!
//! Cycles are integers; shares in thousandths keep their remainder, so that nothing is lost over a run and a run cut into slices takes
//! as long as one that is not.

use crate::branch::Mispredicted;
use crate::counters::Structure;
use crate::cpu::CpuOptions;
use crate::crossing::Window;
use crate::hierarchy::{Access, NOWHERE, Source, one_miss};
use crate::machine::Machine;
use crate::tlb::Translation;
use sim_core::context::Context;
use sim_core::ids::{Cycles, Line};
use sim_core::stack::{Cause, Component, CycleStack, Domain};

/// What timing needs of the machine description and the program; arrays by [`Context::code_index`].
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    base_cpi_milli: [u32; 2],
    instruction_permille: [u32; 2],
    data_permille: [u32; 2],
    l1i_refill_cycles: u32,
    first_pass_cycles_milli: u32,
    l1d_cycles: u32,
    l2_cycles: u32,
    l3_cycles: u32,
    /// Instructions behind a miss that may hide theirs: by [`Context::code_index`]; none where loads depend on each other.
    hiding_window: [u64; 2],
    /// Distance in the window between two misses of a string copy, so that no more are outstanding than the core has buffers for.
    copy_step: u64,
    mispredict_cycles: Cycles,
    resteer_cycles: Cycles,
    copy_startup_cycles: Cycles,
    copy_line_cycles: Cycles,
}

impl Pace {
    pub fn new(machine: &Machine, options: &CpuOptions) -> Pace {
        let exposure = &machine.exposure;
        let rob = u64::from(machine.rob);
        let (user_window, user_data_permille) =
            if options.user_loads_depend { (0, 1000) } else { (rob, exposure.data_permille_user) };
        Pace {
            base_cpi_milli: [options.user_base_cpi_milli.unwrap_or(machine.base_cpi_user_milli), machine.base_cpi_kernel_milli],
            instruction_permille: [exposure.instruction_permille_user, exposure.instruction_permille_kernel],
            data_permille: [user_data_permille, exposure.data_permille_kernel],
            l1i_refill_cycles: machine.l1i_refill_cycles,
            first_pass_cycles_milli: machine.first_pass_cycles_milli,
            l1d_cycles: machine.l1d.latency_cycles,
            l2_cycles: machine.l2.latency_cycles,
            l3_cycles: machine.l3.latency_cycles,
            hiding_window: [user_window, rob],
            copy_step: u64::from(machine.rob.div_ceil(machine.outstanding_misses)),
            mispredict_cycles: machine.branch.mispredict_cycles.into(),
            resteer_cycles: machine.branch.resteer_cycles.into(),
            copy_startup_cycles: machine.copy.startup_cycles.into(),
            copy_line_cycles: machine.copy.line_cycles.into(),
        }
    }

    /// True when code of a context costs more where it is gone through for the first time since the kernel was entered.
    #[inline]
    pub fn has_first_passes(&self, context: Context) -> bool {
        self.first_pass_cycles_milli > 0 && context.domain != Domain::User
    }

    /// Thousandths of a cycle for each instruction of a context.
    #[inline]
    pub fn base_cpi_milli(&self, context: Context) -> u64 {
        self.base_cpi_milli[context.code_index()].into()
    }
}

/// The miss that others hide behind: the longest one of the last window of instructions.
#[derive(Clone, Copy, Debug, Default)]
struct LeadingMiss {
    position: u64,
    /// 0: there is none.
    latency: u32,
    ready_at: Cycles,
}

/// The clock of one core and what it depends on.
#[derive(Clone, Debug)]
pub(crate) struct CoreClock {
    pub clock: Cycles,
    /// The clock when the measured window opened.
    pub opened_at: Cycles,
    pub stack: CycleStack,
    /// Line of the last fetch; [`NOWHERE`] after a crossing.
    pub last_line: Line,
    /// The last crossing with mitigations on isolated page tables: no TLB entry is global.
    pub isolated: bool,
    /// Instructions executed, plus the steps of copies: places in the window are distances between positions.
    position: u64,
    serialised_at: u64,
    lead: LeadingMiss,
    copy_lines_left: u32,
    base_carry: u32,
    instruction_carry: u32,
    data_carry: u32,
    first_pass_carry: u32,
}

/// Exposed stall cycles that belong to the first-level, second-level and last-level miss of one access.
pub(crate) type StallByLevel = [Cycles; 3];

/// Cycles that a share of `raw` cycles exposes; the remainder is carried on.
#[inline]
fn exposed(raw: u32, permille: u32, carry: &mut u32) -> Cycles {
    let milli = u64::from(raw) * u64::from(permille) + u64::from(*carry);
    *carry = (milli % 1000) as u32;
    milli / 1000
}

/// Cuts a stall over the part `hidden..raw` of an access's latency along the levels that missed. `ends` are the latencies of the second
/// and the last level. The deepest level that missed takes what rounding leaves.
fn by_level(total: Cycles, permille: u32, hidden: u32, raw: u32, ends: [u32; 2], access: &Access) -> StallByLevel {
    let l2_missed = access.missed & (0xff << (8 * Structure::L2.index())) != 0;
    let l3_missed = access.missed & (0xff << (8 * Structure::L3.index())) != 0 && access.source == Source::Memory;
    let share = |from: u32, to: u32| {
        let cycles = to.min(raw).saturating_sub(from.max(hidden));
        u64::from(cycles) * u64::from(permille) / 1000
    };
    if !l2_missed {
        return [total, 0, 0];
    }
    let first = share(0, ends[0]).min(total);
    if !l3_missed {
        return [first, total - first, 0];
    }
    let second = share(ends[0], ends[1]).min(total - first);
    [first, second, total - first - second]
}

impl CoreClock {
    pub fn new() -> CoreClock {
        CoreClock {
            clock: 0,
            opened_at: 0,
            stack: CycleStack::default(),
            last_line: NOWHERE,
            isolated: false,
            position: 0,
            serialised_at: 0,
            lead: LeadingMiss::default(),
            copy_lines_left: 0,
            base_carry: 0,
            instruction_carry: 0,
            data_carry: 0,
            first_pass_carry: 0,
        }
    }

    /// Lets cycles pass on behalf of a component.
    #[inline(always)]
    pub fn pass(&mut self, component: Component, cycles: Cycles) {
        self.clock += cycles;
        self.stack.add(component, cycles);
    }

    /// Executes instructions at the base CPI.
    pub fn execute(&mut self, pace: &Pace, context: Context, instructions: u64) {
        self.advance(context, instructions, instructions * pace.base_cpi_milli(context));
    }

    /// Executes instructions that take so many thousandths of a cycle at the base CPI. Since the remainder is carried on, it does not
    /// matter whether they come one by one or together.
    #[inline(always)]
    pub fn advance(&mut self, context: Context, instructions: u64, milli: u64) {
        self.position += instructions;
        let milli = milli + u64::from(self.base_carry);
        self.base_carry = (milli % 1000) as u32;
        self.pass(Component::Work(context.domain, Cause::Base), milli / 1000);
    }

    /// Least number of thousandths of a cycle at the base CPI after which the clock shows `until`.
    #[inline(always)]
    pub fn milli_until(&self, until: Cycles) -> u64 {
        until.saturating_sub(self.clock).saturating_mul(1000).saturating_sub(self.base_carry.into())
    }

    /// A new fetch ends whatever string copy went on.
    #[inline(always)]
    pub fn end_copy(&mut self) {
        self.copy_lines_left = 0;
    }

    /// A string copy of so many lines begins.
    pub fn begin_copy(&mut self, pace: &Pace, context: Context, lines: u16) {
        self.copy_lines_left = lines.into();
        let cycles = pace.copy_startup_cycles + Cycles::from(lines) * pace.copy_line_cycles;
        self.pass(Component::Work(context.domain, Cause::Copy), cycles);
    }

    /// An instruction line was not in the first level: fetch waits for the whole latency of where it is, and for the front end.
    #[inline]
    pub fn wait_for_fetch(&mut self, pace: &Pace, context: Context, access: &Access) -> StallByLevel {
        let permille = pace.instruction_permille[context.code_index()];
        let total = exposed(access.latency + pace.l1i_refill_cycles, permille, &mut self.instruction_carry);
        let cause = match access.source {
            Source::L2 => Cause::FetchL2,
            Source::L3 => Cause::FetchL3,
            Source::Memory => Cause::FetchMemory,
            Source::Transfer => Cause::Transfer,
        };
        self.pass(Component::Work(context.domain, cause), total);
        by_level(total, permille, 0, access.latency, [pace.l2_cycles, pace.l3_cycles], access)
    }

    /// A line of kernel code is gone through for the first time since the kernel was entered.
    pub fn first_pass(&mut self, pace: &Pace, context: Context) {
        let cycles = exposed(1, pace.first_pass_cycles_milli, &mut self.first_pass_carry);
        self.pass(Component::Work(context.domain, Cause::FirstPass), cycles);
    }

    /// A load missed the first level. A hit's latency is part of the base CPI. Of the rest, what a longer miss of the same window
    /// hides costs nothing; a miss that is longer than that one becomes the one that others hide behind.
    pub fn wait_for_load(&mut self, pace: &Pace, context: Context, access: &Access) -> StallByLevel {
        let raw = access.latency.saturating_sub(pace.l1d_cycles);
        if self.copy_lines_left > 0 {
            self.copy_lines_left -= 1;
            self.position += pace.copy_step;
        }
        let window = pace.hiding_window[context.code_index()];
        let hidden = if self.position - self.lead.position < window { self.lead.latency } else { 0 };
        if raw > hidden || hidden == 0 {
            let ready_at = self.lead.ready_at.max(self.clock + Cycles::from(raw));
            self.lead = LeadingMiss { position: self.position, latency: raw, ready_at };
        }
        let permille = pace.data_permille[context.code_index()];
        let total = exposed(raw.saturating_sub(hidden), permille, &mut self.data_carry);
        let cause = match access.source {
            Source::L2 => Cause::DataL2,
            Source::L3 => Cause::DataL3,
            Source::Memory => Cause::DataMemory,
            Source::Transfer => Cause::Transfer,
        };
        self.pass(Component::Work(context.domain, cause), total);
        let ends = [pace.l2_cycles, pace.l3_cycles].map(|end| end.saturating_sub(pace.l1d_cycles));
        by_level(total, permille, hidden, raw, ends, access)
    }

    /// A store needed a line that another core held. Other stores wait in the store buffer and stall nothing.
    pub fn wait_for_ownership(&mut self, pace: &Pace, context: Context, access: &Access) -> StallByLevel {
        if access.source != Source::Transfer {
            return [0; 3];
        }
        let raw = access.latency.saturating_sub(pace.l1d_cycles);
        let permille = pace.data_permille[context.code_index()];
        let total = exposed(raw, permille, &mut self.data_carry);
        self.pass(Component::Work(context.domain, Cause::Transfer), total);
        if access.missed & one_miss(Structure::L1d) == 0 {
            return [0; 3];
        }
        let ends = [pace.l2_cycles, pace.l3_cycles].map(|end| end.saturating_sub(pace.l1d_cycles));
        by_level(total, permille, 0, raw, ends, access)
    }

    /// A translation missed the first level. Stores wait for theirs as loads do: they can't retire without it.
    /// Returns the part up to the second level's answer and the rest.
    pub fn wait_for_translation(&mut self, pace: &Pace, context: Context, translation: &Translation) -> [Cycles; 2] {
        let fetch = translation.front == Structure::Itlb;
        let (permille, carry, cause) = if fetch {
            (pace.instruction_permille, &mut self.instruction_carry, Cause::TlbInstruction)
        } else {
            (pace.data_permille, &mut self.data_carry, Cause::TlbData)
        };
        let permille = permille[context.code_index()];
        let total = exposed(translation.latency, permille, carry);
        self.pass(Component::Work(context.domain, cause), total);
        match translation.second {
            Some((latency, _)) => {
                let first = (u64::from(latency) * u64::from(permille) / 1000).min(total);
                [first, total - first]
            }
            None => [total, 0],
        }
    }

    /// A wrong prediction.
    pub fn wait_for_branch(&mut self, pace: &Pace, context: Context, wrong: Mispredicted) -> Cycles {
        let cycles = if wrong.unknown { pace.resteer_cycles } else { pace.mispredict_cycles };
        self.pass(Component::Work(context.domain, Cause::Branch), cycles);
        cycles
    }

    /// What a crossing that begins now has to wait for.
    pub fn window(&self) -> Window {
        Window {
            instructions: self.position - self.serialised_at,
            outstanding_cycles: self.lead.ready_at.saturating_sub(self.clock),
        }
    }

    /// The window is empty: nothing overlaps with what comes next.
    pub fn serialise(&mut self) {
        self.serialised_at = self.position;
        self.lead = LeadingMiss::default();
        self.copy_lines_left = 0;
        self.last_line = NOWHERE;
    }
}
