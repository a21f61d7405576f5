//! The tiny machine, cycle by cycle. Latencies: L1 1, L2 11, L3 41, memory 201, transfer 71; a walk is 10 cycles and its reads.

mod common;

use common::tiny;
use cpu_model::{Cpu, CpuOptions, CrossingKind, LedgerRow, Machine, Shadow, SharedPolicy, Structure};
use sim_core::block::{Binding, Op, OpKind, Region};
use sim_core::calls::CallNumber;
use sim_core::context::{Agent, Context};
use sim_core::ids::{CoreId, Cycles, Line, Mode};
use sim_core::layout::{Layout, PageSize};
use sim_core::stack::{Cause, Component, CrossingPart, Domain};

const CORE: CoreId = CoreId(0);
const READ: Context = Context { mode: Mode::Kernel, domain: Domain::Kernel, agent: Agent(16) };

fn cpu(machine: &Machine, cores: usize, shadow: Shadow) -> Cpu {
    let mut layout = Layout::new();
    layout.chunk(PageSize::Large);
    layout.chunk(PageSize::Large);
    Cpu::new(machine, cores, &layout, CpuOptions { ledger: true, shadow, ..CpuOptions::default() }, 1).unwrap()
}

/// A core whose TLBs know the first chunk already, with an open window.
fn translated(machine: &Machine, cores: usize, shadow: Shadow) -> Cpu {
    let mut cpu = cpu(machine, cores, shadow);
    for core in 0..cores {
        for context in [Context::USER, READ] {
            cpu.touch(CoreId(core as u16), context, 4000, OpKind::Fetch);
            cpu.touch(CoreId(core as u16), context, 4001, OpKind::Load);
        }
        cpu.spend(CoreId(core as u16), Component::Idle, 1000);
    }
    cpu.reset_counters();
    cpu
}

fn op(line: Line, count: u16, kind: OpKind) -> Op {
    Op { offset: line, count, region: Region::Fixed, kind }
}

fn fetch(line: Line, count: u16) -> Op {
    op(line, count, OpKind::Fetch)
}

fn load(line: Line) -> Op {
    op(line, 0, OpKind::Load)
}

fn run(cpu: &mut Cpu, context: Context, ops: &[Op]) -> Cycles {
    let before = cpu.clock(CORE);
    assert_eq!(cpu.run(CORE, context, ops, &Binding::default(), Cycles::MAX), ops.len());
    cpu.check_conservation().unwrap();
    cpu.clock(CORE) - before
}

fn user(cpu: &Cpu, cause: Cause) -> Cycles {
    cpu.stack(CORE).get(Component::Work(Domain::User, cause))
}

#[test]
fn a_cold_fetch_waits_for_translation_memory_and_its_instructions() {
    let mut cpu = cpu(&tiny(), 1, Shadow::Off);
    // Walk: 10 + 201 for the page-table line; line from memory: 201; 5 instructions at one cycle each.
    assert_eq!(run(&mut cpu, Context::USER, &[fetch(10, 5)]), 211 + 201 + 5);
    assert_eq!(user(&cpu, Cause::TlbInstruction), 211);
    assert_eq!(user(&cpu, Cause::FetchMemory), 201);
    assert_eq!(user(&cpu, Cause::Base), 5);
    // The data side needs the same page-table line: 10 + 1. A hit would cost nothing more, this load waits 201 - 1.
    assert_eq!(run(&mut cpu, Context::USER, &[load(500)]), 11 + 200);
}

#[test]
fn base_cpi_keeps_its_remainder() {
    let mut machine = tiny();
    machine.width = 4;
    machine.base_cpi_user_milli = 333;
    let mut cpu = translated(&machine, 1, Shadow::Off);
    for _ in 0..1000 {
        cpu.instructions(CORE, Context::USER, 1);
    }
    assert_eq!(cpu.cycles_since_reset(CORE), 333);
}

#[test]
fn loads_hide_behind_the_longest_miss_of_one_window() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    // 201 for the fetch, 10 instructions, then two misses to memory of which the second hides behind the first.
    assert_eq!(run(&mut cpu, Context::USER, &[fetch(10, 10), load(100), load(200)]), 201 + 10 + 200);
    // 99 instructions later the window still reaches back to the first, 100 later it does not.
    assert_eq!(run(&mut cpu, Context::USER, &[fetch(10, 99), load(301)]), 99);
    assert_eq!(run(&mut cpu, Context::USER, &[fetch(10, 1), load(402)]), 1 + 200);
}

#[test]
fn only_the_excess_over_a_shorter_leader_is_charged() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    // Three lines of the first set of the 8-set, 2-way L1D: line 80 falls out to L2.
    run(&mut cpu, Context::USER, &[fetch(10, 200), load(80), fetch(10, 200), load(88), fetch(10, 200), load(96), fetch(10, 200)]);
    let before = cpu.ledger();
    assert_eq!(run(&mut cpu, Context::USER, &[load(80), load(1000)]), 10 + 190);
    let grown = |structure, evictor| {
        let sum = |rows: &[LedgerRow]| -> Cycles {
            rows.iter().filter(|row| row.structure == structure && row.evictor == evictor).map(|row| row.cycles).sum()
        };
        sum(&cpu.ledger().rows) - sum(&before.rows)
    };
    // Line 80: 10 cycles to its evictor, user code. Line 1000: of 200, the first 10 are hidden; 30 beyond L2, 160 beyond L3.
    assert_eq!(grown(Structure::L1d, Agent::USER), 10);
    assert_eq!(
        [grown(Structure::L1d, Agent::NEVER), grown(Structure::L2, Agent::NEVER), grown(Structure::L3, Agent::NEVER)],
        [0, 30, 160]
    );
}

#[test]
fn exposure_is_a_share_of_the_stall() {
    let mut machine = tiny();
    machine.exposure.instruction_permille_user = 750;
    machine.exposure.data_permille_user = 500;
    let mut cpu = translated(&machine, 1, Shadow::Off);
    run(&mut cpu, Context::USER, &[fetch(10, 0), load(100)]);
    assert_eq!((user(&cpu, Cause::FetchMemory), user(&cpu, Cause::DataMemory)), (150, 100));
}

#[test]
fn stores_wait_for_nothing_but_another_core() {
    let machine = tiny();
    let mut cpu = translated(&machine, 3, Shadow::Off);
    assert_eq!(run(&mut cpu, Context::USER, &[op(100, 0, OpKind::Store)]), 0);
    // Core 1 is under the same last level: 71 - 1. Core 2 is under another: 301 - 1.
    cpu.touch(CoreId(1), Context::USER, 100, OpKind::Store);
    assert_eq!(cpu.cycles_since_reset(CoreId(1)), 70);
    cpu.touch(CoreId(2), Context::USER, 100, OpKind::Load);
    assert_eq!(cpu.cycles_since_reset(CoreId(2)), 300);
    assert_eq!(cpu.stack(CoreId(2)).get(Component::Work(Domain::User, Cause::Transfer)), 300);
    // Core 0 lost the line to core 1's write, and finds it in the last level now that nobody has it written.
    assert_eq!(run(&mut cpu, Context::USER, &[load(100)]), 40);
    let coherence = cpu.ledger().rows.into_iter().filter(|row| row.evictor == Agent::COHERENCE);
    assert_eq!(
        coherence.map(|row| (row.structure, row.misses, row.cycles)).collect::<Vec<_>>(),
        [(Structure::L1d, 1, 10), (Structure::L2, 1, 30)]
    );
}

#[test]
fn a_victim_cache_gets_clean_lines_from_a_neighbour() {
    let mut machine = tiny();
    machine.l3.policy = SharedPolicy::Victim;
    let mut cpu = translated(&machine, 2, Shadow::Off);
    cpu.touch(CoreId(1), Context::USER, 100, OpKind::Load);
    assert_eq!(run(&mut cpu, Context::USER, &[load(100)]), 70);
    assert_eq!(cpu.counters(CORE).misses(Structure::L3, Mode::User), 1);
}

#[test]
fn a_copy_overlaps_as_many_misses_as_there_are_buffers() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    let mut ops = vec![fetch(10, 1), op(0, 20, OpKind::Copy)];
    ops.extend((0..20).map(|line| load(1000 + line)));
    // Start-up 35, 4 a line, and every tenth of the 20 misses leads: the window of 100 holds 10 at 10 instructions a line.
    assert_eq!(run(&mut cpu, Context::USER, &ops), 201 + 1 + 35 + 80 + 2 * 200);
    assert_eq!(user(&cpu, Cause::Copy), 115);
}

#[test]
fn a_next_line_prefetch_hides_what_the_line_before_takes() {
    let mut machine = tiny();
    machine.prefetch.instruction_next_line = true;
    let mut cpu = translated(&machine, 1, Shadow::Off);
    // The prefetch of line 11 starts with the fetch of line 10, at 0: 201 stall + 60 instructions later it is there.
    assert_eq!(run(&mut cpu, Context::USER, &[fetch(10, 60), fetch(11, 1)]), 201 + 60 + 1);
    assert_eq!(cpu.counters(CORE).misses(Structure::L1i, Mode::User), 1);
    // The prefetch of line 12 started with the fetch of line 11, one cycle ago: 200 are left, and it counts as a miss.
    assert_eq!(run(&mut cpu, Context::USER, &[fetch(12, 1)]), 200 + 1);
    assert_eq!(cpu.counters(CORE).misses(Structure::L1i, Mode::User), 2);
}

#[test]
fn wrong_predictions_cost_a_resteer_or_a_flush() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    run(&mut cpu, Context::USER, &[fetch(10, 1), fetch(20, 1), fetch(10, 1)]);
    assert_eq!(user(&cpu, Cause::Branch), 8 + 8);
    run(&mut cpu, Context::USER, &[fetch(20, 1), fetch(10, 1), fetch(11, 1)]);
    assert_eq!(user(&cpu, Cause::Branch), 8 + 8 + 20);
    assert_eq!(cpu.counters(CORE).misses(Structure::Branch, Mode::User), 3);
}

#[test]
fn a_system_call_pays_for_its_parts() {
    let part = |cpu: &Cpu, part| cpu.stack(CORE).get(Component::Crossing(part));
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    cpu.instructions(CORE, Context::USER, 12);
    cpu.cross(CORE, CrossingKind::SystemCallEntry, false);
    cpu.cross(CORE, CrossingKind::SystemCallExit, false);
    let parts = CrossingPart::ALL.map(|which| part(&cpu, which));
    // 12 instructions drain at width 1; entry 50, exit 40, refetch 15.
    assert_eq!(parts, [12, 50, 40, 0, 0, 15]);
    assert_eq!(cpu.counters(CORE).mode(Mode::User).cycles, 12 + 12 + 15);
    assert_eq!(cpu.counters(CORE).mode(Mode::Kernel).cycles, 90);

    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    cpu.instructions(CORE, Context::USER, 1200);
    cpu.cross(CORE, CrossingKind::SystemCallEntry, true);
    cpu.cross(CORE, CrossingKind::SystemCallExit, true);
    // A full window drains in 30; with mitigations two table writes of 100, a barrier of 25 and a return stack of 7.
    assert_eq!(CrossingPart::ALL.map(|which| part(&cpu, which)), [30, 50, 40, 200, 32, 15]);
    // Both directions flushed: the next access walks again.
    assert_eq!(run(&mut cpu, Context::USER, &[load(4001)]), 11);
    cpu.check_conservation().unwrap();
}

#[test]
fn a_crossing_waits_for_an_outstanding_miss() {
    let mut machine = tiny();
    machine.exposure.data_permille_user = 250;
    let mut cpu = translated(&machine, 1, Shadow::Off);
    run(&mut cpu, Context::USER, &[load(100)]);
    assert_eq!(user(&cpu, Cause::DataMemory), 50);
    cpu.cross(CORE, CrossingKind::SystemCallEntry, false);
    assert_eq!(cpu.stack(CORE).get(Component::Crossing(CrossingPart::Drain)), 150);
}

#[test]
fn an_interrupt_of_the_kernel_switches_nothing() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    cpu.instructions(CORE, READ, 12);
    cpu.cross(CORE, CrossingKind::InterruptEntry { from: Mode::Kernel }, true);
    cpu.cross(CORE, CrossingKind::InterruptExit { to: Mode::Kernel }, true);
    assert_eq!(CrossingPart::ALL.map(|which| cpu.stack(CORE).get(Component::Crossing(which))), [0, 312, 215, 0, 0, 0]);
    assert_eq!(cpu.counters(CORE).mode(Mode::User).cycles, 0);
}

#[test]
fn lost_returns_are_mispredicted_after_the_call() {
    let mut layout = Layout::new();
    layout.chunk(PageSize::Large);
    let options = CpuOptions { user_call_depth: 40, ..CpuOptions::default() };
    let mut cpu = Cpu::new(&tiny(), 1, &layout, options, 1).unwrap();
    cpu.cross(CORE, CrossingKind::SystemCallExit, false);
    // The return stack has 16 entries: 16 x 20 besides the refetch.
    assert_eq!(cpu.stack(CORE).get(Component::Crossing(CrossingPart::Refetch)), 15 + 320);
}

#[test]
fn the_front_end_gets_going_again_after_each_line_that_was_missing() {
    let stall = |l1i_refill_cycles: u32| {
        let mut machine = tiny();
        machine.l1i_refill_cycles = l1i_refill_cycles;
        let mut cpu = translated(&machine, 1, Shadow::Off);
        run(&mut cpu, Context::USER, &[fetch(100, 0), fetch(300, 0), fetch(100, 0)])
    };
    assert_eq!(stall(7), stall(0) + 2 * 7);
}

/// A system call and an interrupt of user code begin anew; an interrupt of the kernel, and user code, do not count.
#[test]
fn kernel_code_costs_more_on_its_first_pass_after_an_entry() {
    let kernel = [fetch(100, 10), fetch(101, 10), fetch(100, 10)];
    let cycles = |first_pass_cycles_milli: u32, shadow: Shadow| {
        let mut machine = tiny();
        machine.first_pass_cycles_milli = first_pass_cycles_milli;
        let mut cpu = translated(&machine, 1, shadow);
        run(&mut cpu, READ, &kernel);
        let mut of = |entry: Option<CrossingKind>, context: Context| {
            if let Some(kind) = entry {
                cpu.cross(CORE, kind, false);
            }
            let before = cpu.stack(CORE).get(Component::Work(context.domain, Cause::FirstPass));
            run(&mut cpu, context, &kernel);
            cpu.stack(CORE).get(Component::Work(context.domain, Cause::FirstPass)) - before
        };
        [
            of(None, READ),
            of(Some(CrossingKind::SystemCallEntry), READ),
            of(Some(CrossingKind::InterruptEntry { from: Mode::Kernel }), READ),
            of(Some(CrossingKind::InterruptEntry { from: Mode::User }), READ),
            of(Some(CrossingKind::SystemCallExit), Context::USER),
        ]
    };
    for shadow in [Shadow::Off, Shadow::Full] {
        assert_eq!(cycles(4_000, shadow), [0, 8, 0, 8, 0]);
        // half a cycle is carried on
        assert_eq!(cycles(4_500, shadow), [0, 9, 0, 9, 0]);
        assert_eq!(cycles(0, shadow), [0; 5]);
    }
}

/// Two loads from memory side by side: the second hides behind the first, unless it needs its result.
#[test]
fn loads_that_depend_hide_nothing() {
    let cycles = |user_loads_depend: bool| {
        let mut layout = Layout::new();
        layout.chunk(PageSize::Large);
        let options = CpuOptions { user_loads_depend, ..CpuOptions::default() };
        let mut cpu = Cpu::new(&tiny(), 1, &layout, options, 1).unwrap();
        cpu.touch(CORE, Context::USER, 4001, OpKind::Load);
        cpu.spend(CORE, Component::Idle, 1000);
        run(&mut cpu, Context::USER, &[load(100), load(300)])
    };
    assert_eq!(cycles(true), 2 * 200);
    assert!(cycles(false) <= 200, "{}", cycles(false));
}

#[test]
fn a_process_switch_spares_global_entries_and_pcid_spares_all() {
    for (pcid, user_cost) in [(false, 11), (true, 0)] {
        let mut machine = tiny();
        machine.crossing.pcid = pcid;
        let mut cpu = cpu(&machine, 1, Shadow::Off);
        // The page-table line of both chunks and the two data lines are in L1D before the switch.
        run(&mut cpu, Context::USER, &[load(4001)]);
        run(&mut cpu, READ, &[load(32768 + 4002)]);
        cpu.switch_address_space(CORE);
        assert_eq!(run(&mut cpu, READ, &[load(32768 + 4002)]), 0);
        assert_eq!(run(&mut cpu, Context::USER, &[load(4001)]), user_cost);
    }
}

#[test]
fn an_invalidated_page_is_walked_again() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    run(&mut cpu, Context::USER, &[load(4001)]);
    cpu.invalidate_page(CORE, 4001);
    assert_eq!(run(&mut cpu, Context::USER, &[load(4001)]), 11);
    assert!(cpu.ledger().rows.iter().any(|row| row.structure == Structure::Dtlb && row.evictor == Agent::FLUSH));
}

#[test]
fn the_inclusive_last_level_names_the_fill_that_took_the_line() {
    let mut machine = tiny();
    machine.l3.size_kib = 1;
    let mut cpu = cpu(&machine, 1, Shadow::Off);
    // Four lines of one L3 set (4 sets of 4 ways) push line 100 out of L3 and so out of L1D, which had room.
    run(&mut cpu, Context::USER, &[load(100)]);
    run(&mut cpu, READ, &[104, 108, 112, 116].map(load));
    cpu.reset_counters();
    run(&mut cpu, Context::USER, &[load(100)]);
    let rows: Vec<_> = cpu.ledger().rows.iter().map(|row| (row.structure, row.evictor, row.misses)).collect();
    let call = Agent::call(CallNumber(0));
    assert_eq!(rows, [(Structure::L1d, call, 1), (Structure::L2, call, 1), (Structure::L3, call, 1)]);
}

/// Ledger and shadow for user misses in L1D after `ops` with one 2-way set in play: (by the other mode, destructive).
fn ledger_and_shadow(ops: &[(Context, Line)]) -> (u64, u64) {
    let mut cpu = translated(&tiny(), 1, Shadow::Full);
    for (context, line) in ops {
        cpu.touch(CORE, *context, *line, OpKind::Load);
    }
    let by_other =
        |row: &&LedgerRow| row.structure == Structure::L1d && row.mode == Mode::User && row.evictor.mode() == Some(Mode::Kernel);
    let evicted = cpu.ledger().rows.iter().filter(by_other).map(|row| row.misses).sum();
    let row = cpu.shadow().into_iter().find(|row| row.structure == Structure::L1d && row.mode == Mode::User).unwrap();
    (evicted, row.destructive)
}

#[test]
fn ledger_and_shadow_coincide_and_differ() {
    let (user, kernel) = (Context::USER, READ);
    // A B | x y | A B: the kernel pushed both out, and without it both would have stayed.
    let same = [(user, 80), (user, 88), (kernel, 96), (kernel, 104), (user, 80), (user, 88)];
    assert_eq!(ledger_and_shadow(&same), (2, 2));
    // A | x | B | A: B pushed A out, but without x it would have stayed: the ledger names user code, the shadow the kernel.
    let differ = [(user, 80), (kernel, 96), (user, 88), (user, 80)];
    assert_eq!(ledger_and_shadow(&differ), (0, 1));
    // A B | x | C | A: x pushed A out, but C would have done it alone.
    let other = [(user, 80), (user, 88), (kernel, 96), (user, 104), (user, 80)];
    assert_eq!(ledger_and_shadow(&other), (1, 0));
}

#[test]
fn the_other_mode_can_save_a_miss() {
    let mut cpu = translated(&tiny(), 1, Shadow::Full);
    cpu.touch(CORE, READ, 80, OpKind::Load);
    cpu.touch(CORE, Context::USER, 80, OpKind::Load);
    let row = cpu.shadow().into_iter().find(|row| row.structure == Structure::L1d && row.mode == Mode::User).unwrap();
    assert_eq!((row.misses_alone, row.destructive, row.constructive), (1, 0, 1));
    assert_eq!(cpu.counters(CORE).misses(Structure::L1d, Mode::User), 0);
}

#[test]
fn indirect_cost_is_what_the_other_mode_pushed_out() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    for (context, line) in [(Context::USER, 80), (READ, 88), (READ, 96), (Context::USER, 80)] {
        cpu.touch(CORE, context, line, OpKind::Load);
        cpu.spend(CORE, Component::Idle, 500);
    }
    // Line 80 comes back from L2: 11 - 1 cycles.
    assert_eq!(cpu.ledger().indirect_cycles(Mode::User), 10);
    assert_eq!(cpu.ledger().indirect_cycles(Mode::Kernel), 0);
}

#[test]
fn a_budget_ends_a_slice_after_the_op_that_reaches_it() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    let ops = [fetch(10, 10), fetch(10, 10), fetch(10, 10), fetch(10, 10)];
    assert_eq!(cpu.run(CORE, Context::USER, &ops, &Binding::default(), 215), 2);
    assert_eq!(cpu.run(CORE, Context::USER, &ops[2..], &Binding::default(), 0), 1);
    assert_eq!(cpu.run(CORE, Context::USER, &[], &Binding::default(), 100), 0);
    assert_eq!(cpu.agent(Agent::USER).instructions, 30);
}

#[test]
fn elevated_code_keeps_the_user_domain_in_kernel_mode() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    cpu.instructions(CORE, Context::ELEVATED, 7);
    assert_eq!(user(&cpu, Cause::Base), 7);
    assert_eq!(cpu.counters(CORE).mode(Mode::Kernel).instructions, 7);
    assert_eq!(cpu.agent(Agent::ELEVATED).cycles, 7);
}

/// Looking into structures tells what is where and changes nothing.
#[test]
fn contents_can_be_looked_at() {
    let mut cpu = translated(&tiny(), 1, Shadow::Off);
    let holds = |cpu: &mut Cpu, line| {
        [Structure::L1i, Structure::L1d, Structure::L2, Structure::L3].map(|structure| cpu.holds(CORE, Mode::User, structure, line))
    };
    assert_eq!(holds(&mut cpu, 100), [false; 4]);
    run(&mut cpu, Context::USER, &[load(100)]);
    assert_eq!(holds(&mut cpu, 100), [false, true, true, true]);
    // 8 sets of 2 ways: two more lines of the set push it out of the first level
    for line in [100 + 8, 100 + 16] {
        assert!(cpu.holds(CORE, Mode::User, Structure::L1d, 100));
        run(&mut cpu, READ, &[load(line)]);
    }
    assert_eq!(holds(&mut cpu, 100), [false, false, true, true]);
    assert!(cpu.holds(CORE, Mode::User, Structure::Dtlb, 100) && cpu.holds(CORE, Mode::User, Structure::Itlb, 100));
    assert!(!cpu.holds(CORE, Mode::User, Structure::Dtlb, 40_000) && !cpu.holds(CORE, Mode::User, Structure::Branch, 100));
}

/// The hot loop and the slow one, slice by slice, come to the same clock.
#[test]
fn first_passes_cost_the_same_in_slices() {
    let mut machine = tiny();
    machine.first_pass_cycles_milli = 4_700;
    let ops: Vec<Op> = (0..400).map(|place| if place % 3 == 0 { load(700 + place) } else { fetch(100 + place % 90, 7) }).collect();
    let cycles = |shadow: Shadow, budget: Cycles| {
        let mut cpu = translated(&machine, 1, shadow);
        let mut done = 0;
        while done < ops.len() {
            done += cpu.run(CORE, READ, &ops[done..], &Binding::default(), budget);
        }
        cpu.check_conservation().unwrap();
        (cpu.clock(CORE), cpu.stack(CORE).get(Component::Work(Domain::Kernel, Cause::FirstPass)))
    };
    let whole = cycles(Shadow::Off, Cycles::MAX);
    assert_eq!([cycles(Shadow::Full, Cycles::MAX), cycles(Shadow::Off, 100), cycles(Shadow::Off, 0)], [whole; 3]);
    // the 90 lines but those of every third op
    assert_eq!(whole.1, 60 * 4_700 / 1000);
}
