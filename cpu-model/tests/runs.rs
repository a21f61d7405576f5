//! Whole runs over the presets: conservation, slices, ledger and shadow against the counters.

mod common;

use common::stream::{Stream, local_stream, play, stream};
use cpu_model::{Cpu, CpuOptions, CrossingKind, Machine, Shadow, Structure};
use sim_core::block::Binding;
use sim_core::context::Context;
use sim_core::ids::{CoreId, Mode};

fn ledger_and(shadow: Shadow) -> CpuOptions {
    CpuOptions { ledger: true, shadow, ..CpuOptions::default() }
}

fn played(name: &str, cores: usize, options: CpuOptions, per_mode: bool) -> Cpu {
    let machine = Machine::preset(name).unwrap();
    let machine = if per_mode { machine.with_private_structures_per_mode() } else { machine };
    let stream = stream(16, 3);
    let mut cpu = Cpu::new(&machine, cores, &stream.layout, options, 7).unwrap();
    play(&mut cpu, &stream);
    cpu.reset_counters();
    play(&mut cpu, &stream);
    cpu
}

#[test]
fn each_miss_has_exactly_one_evictor_and_cycles_are_conserved() {
    for name in Machine::preset_names() {
        for cores in [1, 4] {
            for per_mode in [false, true] {
                let cpu = played(name, cores, ledger_and(Shadow::Off), per_mode);
                cpu.check_conservation().unwrap();
                let (ledger, counters) = (cpu.ledger(), cpu.total_counters());
                for structure in Structure::ALL {
                    for mode in Mode::ALL {
                        assert_eq!(
                            ledger.misses(structure, mode),
                            counters.misses(structure, mode),
                            "{name} {structure:?} {mode:?}"
                        );
                    }
                }
                let other_mode = ledger.rows.iter().any(|row| row.evictor.mode().is_some_and(|mode| mode != row.mode));
                assert_eq!(other_mode, !per_mode, "{name}, {cores} cores");
            }
        }
    }
}

#[test]
fn what_is_missed_more_than_alone_is_destroyed_less_saved() {
    let cpu = played("nehalem", 1, ledger_and(Shadow::Full), false);
    let counters = cpu.total_counters();
    let rows = cpu.shadow();
    assert_eq!(rows.len(), 16);
    for row in &rows {
        let misses = counters.misses(row.structure, row.mode);
        assert_eq!(misses + row.constructive, row.misses_alone + row.destructive, "{row:?}");
    }
    assert!(rows.iter().any(|row| row.structure == Structure::L1i && row.mode == Mode::User && row.destructive > 0));
}

#[test]
fn the_sampled_shadow_lies_within_its_interval_of_the_full_one() {
    let full = played("nehalem", 1, ledger_and(Shadow::Full), false).shadow();
    for every in [2, 4, 8] {
        let sampled = played("nehalem", 1, ledger_and(Shadow::Sampled(every)), false).shadow();
        for (full, sampled) in full.iter().zip(&sampled) {
            let off = full.misses_alone.abs_diff(sampled.misses_alone);
            assert!(off <= sampled.interval, "1 in {every}: {full:?} {sampled:?}");
        }
    }
}

#[test]
fn recording_changes_nothing_that_is_recorded() {
    let plain = played("nehalem", 1, CpuOptions::default(), false);
    for options in [ledger_and(Shadow::Off), ledger_and(Shadow::Full), ledger_and(Shadow::Sampled(4))] {
        let cpu = played("nehalem", 1, options, false);
        assert_eq!(cpu.clock(CoreId(0)), plain.clock(CoreId(0)));
        assert_eq!(cpu.counters(CoreId(0)), plain.counters(CoreId(0)));
        assert_eq!(cpu.stack(CoreId(0)), plain.stack(CoreId(0)));
    }
}

#[test]
fn slices_add_up_to_the_whole() {
    let machine = Machine::preset("zen4").unwrap();
    let stream = stream(4, 9);
    let binding = Binding::default();
    let mut whole = Cpu::new(&machine, 1, &stream.layout, ledger_and(Shadow::Off), 1).unwrap();
    let mut sliced = whole.clone();
    play(&mut whole, &stream);
    for (context, ops) in &stream.segments {
        let mut done = 0;
        while done < ops.len() {
            let before = sliced.clock(CoreId(0));
            done += sliced.run(CoreId(0), *context, &ops[done..], &binding, 125);
            assert!(done == ops.len() || sliced.clock(CoreId(0)) >= before + 125);
        }
    }
    assert_eq!(sliced.clock(CoreId(0)), whole.clock(CoreId(0)));
    assert_eq!(sliced.stack(CoreId(0)), whole.stack(CoreId(0)));
    assert_eq!(sliced.ledger(), whole.ledger());
}

#[test]
fn flushes_are_evictors_and_isolation_is_a_fact_of_the_machine() {
    use sim_core::context::Agent;
    for (name, flushed) in [("nehalem", true), ("zen4", false)] {
        let machine = Machine::preset(name).unwrap();
        let stream = stream(4, 3);
        let mut cpu = Cpu::new(&machine, 1, &stream.layout, ledger_and(Shadow::Off), 7).unwrap();
        for pair in stream.segments.chunks(2) {
            cpu.run(CoreId(0), pair[0].0, &pair[0].1, &Binding::default(), u64::MAX);
            cpu.cross(CoreId(0), CrossingKind::SystemCallEntry, true);
            cpu.run(CoreId(0), pair[1].0, &pair[1].1, &Binding::default(), u64::MAX);
            cpu.cross(CoreId(0), CrossingKind::SystemCallExit, true);
        }
        cpu.check_conservation().unwrap();
        let rows = cpu.ledger().rows;
        assert_eq!(rows.iter().any(|row| row.evictor == Agent::FLUSH), flushed, "{name}");
        assert!(rows.iter().all(|row| row.evictor != Agent::FLUSH || row.structure >= Structure::Itlb));
    }
}

#[test]
fn a_second_core_that_does_nothing_changes_nothing() {
    for name in Machine::preset_names() {
        let machine = Machine::preset(name).unwrap();
        let stream = stream(6, 5);
        let mut one = Cpu::new(&machine, 1, &stream.layout, ledger_and(Shadow::Off), 1).unwrap();
        let mut two = Cpu::new(&machine, 2, &stream.layout, ledger_and(Shadow::Off), 1).unwrap();
        for (context, ops) in &stream.segments {
            one.run(CoreId(0), *context, ops, &Binding::default(), u64::MAX);
            two.run(CoreId(0), *context, ops, &Binding::default(), u64::MAX);
        }
        assert_eq!(one.clock(CoreId(0)), two.clock(CoreId(0)), "{name}");
        assert_eq!(one.ledger(), two.ledger(), "{name}");
    }
}

/// Whole slices, and the same ops one by one without a budget, which keeps them out of the loop over hits.
fn whole_and_single(machine: &Machine, cores: usize, stream: &Stream) -> [Cpu; 2] {
    let new = || Cpu::new(machine, cores, &stream.layout, ledger_and(Shadow::Off), 7).unwrap();
    let (mut whole, mut single) = (new(), new());
    let binding = Binding::default();
    for (index, (context, segment)) in stream.segments.iter().enumerate() {
        let core = CoreId((index / 4 % cores) as u16);
        // Some of the program's own code in kernel mode: structures that are apart follow the code.
        let context = if index % 8 == 6 { Context::ELEVATED } else { *context };
        whole.run(core, context, segment, &binding, u64::MAX);
        for op in segment {
            single.run(core, context, std::slice::from_ref(op), &binding, 0);
        }
    }
    [whole, single]
}

#[test]
fn the_loop_over_hits_changes_nothing() {
    for name in Machine::preset_names() {
        let shared = Machine::preset(name).unwrap();
        for machine in [shared.clone(), shared.with_private_structures_per_mode()] {
            for (cores, stream) in [(1, local_stream(4, 5)), (3, stream(4, 3))] {
                let [whole, single] = whole_and_single(&machine, cores, &stream);
                for core in (0..cores as u16).map(CoreId) {
                    assert_eq!(whole.clock(core), single.clock(core), "{name}, {cores} cores");
                    assert_eq!(whole.counters(core), single.counters(core), "{name}, {cores} cores");
                    assert_eq!(whole.stack(core), single.stack(core), "{name}, {cores} cores");
                }
                assert_eq!(whole.ledger(), single.ledger(), "{name}, {cores} cores");
            }
        }
    }
}
