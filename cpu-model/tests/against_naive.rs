//! Hits, misses and evictors of the whole hierarchy against a model made of vectors.

mod common;

use common::naive::Naive;
use common::tiny;
use cpu_model::{Cpu, CpuOptions, Holds, Machine, Replacement, SharedPolicy, Structure};
use proptest::prelude::*;
use sim_core::block::OpKind;
use sim_core::calls::CallNumber;
use sim_core::context::Context;
use sim_core::ids::{CHUNK_LINES, CoreId, Mode};
use sim_core::layout::{Layout, PageSize};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug)]
struct Touch {
    core: usize,
    context: u8,
    line: u32,
    kind: OpKind,
}

fn context(number: u8) -> Context {
    match number {
        0 => Context::USER,
        other => Context::call(CallNumber(other.into())),
    }
}

fn touches(cores: usize, chunks: u32, lines: u32, stride: u32) -> impl Strategy<Value = Vec<Touch>> {
    let kind = prop_oneof![Just(OpKind::Fetch), Just(OpKind::Load), Just(OpKind::Store)];
    let line = (0..chunks, 0..lines).prop_map(move |(chunk, line)| chunk * CHUNK_LINES + line * stride);
    let touch = (0..cores, 0..3u8, line, kind).prop_map(|(core, context, line, kind)| Touch { core, context, line, kind });
    prop::collection::vec(touch, 1..400)
}

type Misses = BTreeMap<(Structure, Mode, u16), u64>;

/// Misses by structure, mode and evictor from the model and from the naive one.
fn both(machine: &Machine, cores: usize, size: PageSize, touches: &[Touch]) -> (Misses, Misses) {
    let mut layout = Layout::new();
    layout.area(u64::from(4 * CHUNK_LINES), size);
    let options = CpuOptions { ledger: true, ..CpuOptions::default() };
    let mut cpu = Cpu::new(machine, cores, &layout, options, 1).unwrap();
    let mut naive = Naive::new(machine, cores, size == PageSize::Large);
    for touch in touches {
        cpu.touch(CoreId(touch.core as u16), context(touch.context), touch.line, touch.kind);
        naive.touch(touch.core, context(touch.context), touch.line, touch.kind);
    }
    cpu.check_conservation().unwrap();
    let rows = cpu.ledger().rows.into_iter().filter(|row| row.structure != Structure::Branch);
    (rows.map(|row| ((row.structure, row.mode, row.evictor.0), row.misses)).collect(), naive.misses)
}

fn tlb_misses(misses: Misses) -> Misses {
    misses.into_iter().filter(|((structure, ..), _)| *structure >= Structure::Itlb).collect()
}

fn replacement() -> impl Strategy<Value = Replacement> {
    prop_oneof![Just(Replacement::Lru), Just(Replacement::TreePlru)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn one_core_with_either_policy_and_any_last_level(
        touches in touches(1, 3, 90, 1),
        policies in [replacement(), replacement(), replacement(), replacement()],
        victim: bool,
        l3_kib in prop_oneof![Just(1), Just(2), Just(8)],
        ways in prop_oneof![Just(1), Just(2), Just(4), Just(8), Just(16)],
    ) {
        let mut machine = tiny();
        [machine.l1i.replacement, machine.l1d.replacement, machine.l2.replacement, machine.l3.replacement] = policies;
        machine.l3.policy = if victim { SharedPolicy::Victim } else { SharedPolicy::Inclusive };
        machine.l3.size_kib = l3_kib;
        machine.l3.ways = ways;
        let (model, naive) = both(&machine, 1, PageSize::Large, &touches);
        prop_assert_eq!(model, naive);
    }

    #[test]
    fn odd_numbers_of_ways_and_sets(touches in touches(1, 1, 200, 1), ways in prop_oneof![Just(3), Just(6), Just(12)]) {
        let mut machine = tiny();
        for cache in [&mut machine.l1i, &mut machine.l1d, &mut machine.l2] {
            (cache.size_kib, cache.ways) = (3, ways);
        }
        (machine.l3.size_kib, machine.l3.ways) = (6, ways);
        let (model, naive) = both(&machine, 1, PageSize::Large, &touches);
        prop_assert_eq!(model, naive);
    }

    #[test]
    fn several_cores_under_one_and_two_last_levels(
        touches in touches(3, 2, 60, 1),
        victim: bool,
        shared_by in 1..4u32,
        l3_kib in prop_oneof![Just(1), Just(8)],
    ) {
        let mut machine = tiny();
        machine.l3.policy = if victim { SharedPolicy::Victim } else { SharedPolicy::Inclusive };
        machine.l3.shared_by = shared_by;
        machine.l3.size_kib = l3_kib;
        let (model, naive) = both(&machine, 3, PageSize::Large, &touches);
        prop_assert_eq!(model, naive);
    }

    #[test]
    fn small_pages_in_any_tlb(
        touches in touches(2, 3, 24, 64),
        both_sizes: bool,
        full: bool,
        stlb in prop_oneof![Just(0), Just(8), Just(12)],
        directory_entries in 0..3u32,
    ) {
        let mut machine = tiny();
        if both_sizes {
            machine.dtlb.holds = Holds::Both;
            machine.dtlb_large.entries = 0;
        }
        if full {
            (machine.dtlb.entries, machine.dtlb.ways) = (9, 9);
        }
        machine.stlb.entries = stlb;
        machine.walk.directory_entries = directory_entries;
        let (model, naive) = both(&machine, 2, PageSize::Small, &touches);
        prop_assert_eq!(tlb_misses(model), tlb_misses(naive));
    }

    #[test]
    fn large_pages_apart_together_or_cut(touches in touches(1, 4, 20, 700), shape in 0..3u8, second in 0..3u8) {
        let mut machine = tiny();
        match shape {
            0 => {}
            1 => {
                machine.itlb.holds = Holds::Both;
                machine.dtlb.holds = Holds::Both;
                (machine.itlb_large.entries, machine.dtlb_large.entries) = (0, 0);
            }
            _ => (machine.itlb_large.entries, machine.dtlb_large.entries) = (0, 0),
        }
        machine.stlb.holds = [Holds::Small, Holds::Large, Holds::Both][usize::from(second)];
        let (model, naive) = both(&machine, 1, PageSize::Large, &touches);
        prop_assert_eq!(model, naive);
    }

    #[test]
    fn structures_private_to_a_mode_behave_as_two_machines(touches in touches(1, 2, 90, 1)) {
        let machine = tiny().with_private_structures_per_mode();
        let (model, _) = both(&machine, 1, PageSize::Large, &touches);
        let mut apart = Misses::new();
        for mode in Mode::ALL {
            let own: Vec<Touch> = touches.iter().copied().filter(|touch| context(touch.context).mode == mode).collect();
            apart.extend(both(&tiny(), 1, PageSize::Large, &own).1);
        }
        prop_assert_eq!(model, apart);
    }

    #[test]
    fn the_shadow_is_each_mode_alone(touches in touches(1, 2, 90, 1)) {
        let mut layout = Layout::new();
        layout.area(u64::from(4 * CHUNK_LINES), PageSize::Large);
        let options = CpuOptions { shadow: cpu_model::Shadow::Full, ..CpuOptions::default() };
        let mut cpu = Cpu::new(&tiny(), 1, &layout, options, 1).unwrap();
        for touch in &touches {
            cpu.touch(CoreId(0), context(touch.context), touch.line, touch.kind);
        }
        for mode in Mode::ALL {
            let own: Vec<Touch> = touches.iter().copied().filter(|touch| context(touch.context).mode == mode).collect();
            let alone = both(&tiny(), 1, PageSize::Large, &own).1;
            for row in cpu.shadow().iter().filter(|row| row.mode == mode && row.structure != Structure::Branch) {
                let expected: u64 = alone.iter().filter(|entry| entry.0.0 == row.structure).map(|entry| entry.1).sum();
                prop_assert_eq!(row.misses_alone, expected, "{:?}", row);
            }
        }
    }
}
