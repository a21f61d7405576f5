//! Presets and what is refused.

mod common;

use common::tiny;
use cpu_model::{Cpu, CpuOptions, Machine, MachineError, Replacement, Shadow};
use sim_core::layout::Layout;

fn error_of(change: impl Fn(&mut Machine)) -> String {
    let mut machine = tiny();
    change(&mut machine);
    machine.validate().unwrap_err().to_string()
}

#[test]
fn presets_parse_validate_and_name_their_sources() {
    for name in Machine::preset_names() {
        let machine = Machine::preset(name).unwrap();
        assert_eq!(machine.name, *name);
        let text = Machine::preset_text(name).unwrap();
        let numbers = text.lines().filter(|line| line.contains(": ") && line.chars().any(|letter| letter.is_ascii_digit()));
        for line in numbers.filter(|line| line.trim_end().ends_with(',')) {
            assert!(line.contains("source:") || line.contains("name:") || line.contains("entries: 0"), "{name}: no source: {line}");
        }
    }
}

#[test]
fn presets_survive_a_round_trip() {
    for name in Machine::preset_names() {
        let machine = Machine::preset(name).unwrap();
        assert_eq!(Machine::from_ron(&ron::to_string(&machine).unwrap()).unwrap(), machine);
    }
}

#[test]
fn table_3_is_as_printed() {
    let machine = Machine::preset("nehalem-atc11").unwrap();
    let sizes = [machine.l1i.size_kib, machine.l1d.size_kib, machine.l2.size_kib, machine.l3.size_kib];
    let latencies = [machine.l1i.latency_cycles, machine.l1d.latency_cycles, machine.l2.latency_cycles, machine.memory_cycles];
    assert_eq!((sizes, latencies), ([32, 32, 512, 8192], [3, 4, 11, 250]));
}

#[test]
fn an_unknown_preset_gets_the_nearest_name() {
    let error = Machine::preset("nehalem-atc12").unwrap_err();
    assert_eq!(
        error.to_string(),
        "no machine is called `nehalem-atc12`; the nearest is `nehalem-atc11`. Known machines: nehalem-atc11, nehalem, zen4"
    );
}

#[test]
fn a_text_that_is_no_machine_says_where() {
    let text = Machine::preset_text("nehalem").unwrap();
    let place = 1 + text.lines().position(|line| line.trim_start().starts_with("rob:")).unwrap();
    let error = Machine::from_ron(&text.replace("rob:", "robb:")).unwrap_err();
    assert!(matches!(&error, MachineError::Parse { line, .. } if *line == place), "{error:?}");
    assert!(error.to_string().contains("robb") && error.to_string().contains("rob"), "{error}");
    let error = Machine::from_ron("(name: \"x\"").unwrap_err();
    assert!(matches!(error, MachineError::Parse { line: 1, .. }));
}

#[test]
fn values_out_of_range_name_the_field() {
    assert_eq!(error_of(|machine| machine.l2.size_kib = 0), "machine.l2.size_kib = 0: must lie between 1 and 1048576");
    assert_eq!(error_of(|machine| machine.cores_max = 65), "machine.cores_max = 65: must lie between 1 and 64");
    assert_eq!(
        error_of(|machine| machine.base_cpi_user_milli = 999),
        "machine.base_cpi_user_milli = 999: must lie between 1000 and 100000"
    );
    assert_eq!(
        error_of(|machine| machine.exposure.data_permille_user = 1001),
        "machine.exposure.data_permille_user = 1001: must lie between 0 and 1000"
    );
    assert_eq!(
        error_of(|machine| machine.l1d.ways = 3),
        "machine.l1d.ways = 3: the 16 lines of l1d.size_kib = 1 must divide into that many ways"
    );
    let odd = error_of(|machine| (machine.l2.size_kib, machine.l2.ways, machine.l2.replacement) = (3, 3, Replacement::TreePlru));
    assert!(odd.starts_with("machine.l2.ways = 3: tree_plru needs a power of two"), "{odd}");
    assert!(error_of(|machine| machine.dtlb.entries = 5).starts_with("machine.dtlb.ways = 2"));
    assert!(error_of(|machine| machine.itlb.entries = 0).starts_with("machine.itlb.entries = 0"));
    assert!(error_of(|machine| machine.dtlb.holds = cpu_model::Holds::Both).starts_with("machine.dtlb_large.holds = large"));
    assert!(
        error_of(|machine| machine.branch.history_entries = 100)
            .starts_with("machine.branch.history_entries = 100: must be a power")
    );
    assert!(error_of(|machine| machine.memory_cycles = 40).starts_with("machine.memory_cycles = 40: must lie between 41"));
}

#[test]
fn requests_that_a_machine_cannot_meet_are_refused() {
    let new = |cores, options| Cpu::new(&tiny(), cores, &Layout::new(), options, 1).map(|cpu| cpu.cores());
    assert_eq!(new(8, CpuOptions::default()), Ok(8));
    assert!(matches!(new(0, CpuOptions::default()), Err(MachineError::Cores { asked: 0, most: 8, .. })));
    assert!(matches!(new(9, CpuOptions::default()), Err(MachineError::Cores { asked: 9, most: 8, .. })));
    let slow = CpuOptions { user_base_cpi_milli: Some(500), ..CpuOptions::default() };
    assert!(matches!(new(1, slow), Err(MachineError::BaseCpi { asked: 500, least: 1000, .. })));
    let sampled = CpuOptions { shadow: Shadow::Sampled(2), ..CpuOptions::default() };
    assert!(matches!(new(1, sampled), Err(MachineError::Sampling { asked: 2, most: 1, .. })));
}

#[test]
fn lines_outside_the_layout_behave_as_small_pages() {
    use sim_core::block::OpKind;
    use sim_core::context::Context;
    use sim_core::ids::CoreId;
    let mut cpu = Cpu::new(&tiny(), 1, &Layout::new(), CpuOptions::default(), 1).unwrap();
    cpu.touch(CoreId(0), Context::USER, 1 << 17, OpKind::Load);
    cpu.check_conservation().unwrap();
    assert!(cpu.clock(CoreId(0)) > 0);
}

/// D14 of validation/DEVIATIONS.md: nobody measured these two instructions for any preset (`// M`: an estimate).
#[test]
fn d14_the_costs_of_int_and_iret_are_estimates() {
    let presets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("presets");
    for preset in std::fs::read_dir(presets).unwrap() {
        let text = std::fs::read_to_string(preset.unwrap().path()).unwrap();
        let costs = text.lines().filter(|line| ["int_cycles:", "iret_cycles:"].iter().any(|name| line.trim().starts_with(name)));
        let costs: Vec<&str> = costs.collect();
        assert_eq!(costs.len(), 2);
        assert!(costs.iter().all(|line| line.trim_end().ends_with("// M")), "{costs:?}");
    }
}
