//! A sequential program looked at closely.

use cpu_model::Structure;
use mechanisms::close_up::evictions::{STRUCTURES, evictions};
use mechanisms::close_up::recovery::recovery;
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::simulate::simulate;
use mechanisms::under_kernel::under_kernel;
use sim_core::ids::Mode;
use traces::named;

fn settings() -> Settings {
    Settings::preset("nehalem-atc11", "linux-6.1").unwrap()
}

/// User code is slow after a call and then as fast as without calls.
#[test]
fn user_code_recovers_after_a_call() {
    let settings = settings();
    let interrupted = named::load("xalan-pwrite:100000").unwrap().unwrap();
    let recovery = recovery(&interrupted, &settings, 1, 250, 20_000).unwrap();
    assert_eq!((recovery.instructions.len(), recovery.calls), (80, 20));
    let alone = simulate(&named::load("xalan").unwrap().unwrap(), &settings, Mechanism::Sync, 1).unwrap();
    let user = alone.counters.mode(Mode::User);
    let alone = user.instructions as f64 / user.cycles as f64;
    let [first, late] = [0..1_000, 10_000..20_000].map(|stretch| recovery.ipc(stretch).unwrap() / alone);
    assert!(first < 0.8 && (0.93..1.07).contains(&late), "{first} {late}");
}

/// What user work has filled holds user lines only, and a call pushes some of them out, at most one for each line that it brings.
#[test]
fn a_call_pushes_out_what_the_user_had_filled() {
    let settings = settings();
    let evictions = |name: &str| evictions(&named::load(name).unwrap().unwrap(), &settings, 1).unwrap();
    let write = evictions("full-caches:pwrite64:12");
    assert_eq!(write.groups, 10);
    let held = |structure| write.held[STRUCTURES.iter().position(|other| *other == structure).unwrap()] / write.groups;
    assert_eq!(held(Structure::L1i), 512);
    assert!(held(Structure::L1d) > 500 && held(Structure::L2) > 8_000 && held(Structure::L3) > 130_000);
    for structure in [Structure::L1i, Structure::L1d, Structure::L2, Structure::L3] {
        assert!((100.0..1_500.0).contains(&write.per_group(structure)), "{structure:?}: {}", write.per_group(structure));
    }
    // with data that leave half of the last level alone, the kernel's lines stay there: fewer cycles, and nothing to push out
    let small = evictions("full-caches:pwrite64:4");
    assert!(small.kernel_cycles * 2 < write.kernel_cycles, "{} {}", small.kernel_cycles, write.kernel_cycles);
    assert!(small.per_group(Structure::L3) < 10.0 && small.per_group(Structure::L1i) > 100.0);
    // an open and its close are one group
    assert_eq!(evictions("full-caches:openat+close:1").groups, 10);
}

/// Deviations of `validation/DEVIATIONS.md` on table 1 of OSDI'10, and what agrees: kernel cycles of three calls when their lines come
/// from the last level.
#[test]
fn the_published_footprint_of_calls_is_met_in_part() {
    let settings = Settings::preset("nehalem-atc11", "linux-2.6.33").unwrap();
    let measure = |calls: &str| {
        let workload = named::load(&format!("full-caches:{calls}:4")).unwrap().unwrap();
        evictions(&under_kernel(&workload, &settings.kernel), &settings, 1).unwrap()
    };
    for (calls, cycles) in [("newfstatat", 13_585.0), ("pread64", 12_300.0), ("openat+close", 19_162.0)] {
        let own = measure(calls);
        let off = own.kernel_cycles as f64 / own.groups as f64 / cycles;
        assert!((0.85..1.15).contains(&off), "{calls}: {off} of the published cycles");
    }
    let write = measure("pwrite64");
    assert!(write.kernel_cycles / write.groups < 25_000, "published: 31,285");
    assert!(write.per_group(Structure::L1i) > 300.0, "published: 50");
    assert!(write.per_group(Structure::L1d) < 300.0, "published: 373");
    assert!(write.per_group(Structure::Dtlb) < 10.0, "published: 44");
}

/// A deviation of `validation/DEVIATIONS.md`: the published recovery is slow at first and takes 14,000 cycles.
#[test]
fn user_code_recovers_at_once_where_a_slow_rise_is_published() {
    let settings = Settings::preset("nehalem-atc11", "linux-2.6.33").unwrap();
    let workload = named::load("xalan-pwrite:100000").unwrap().unwrap();
    let recovery = recovery(&under_kernel(&workload, &settings.kernel), &settings, 1, 250, 8_000).unwrap();
    let [early, later] = [500..1_500, 6_500..7_500].map(|stretch| recovery.ipc(stretch).unwrap());
    assert!(early > 0.6, "{early}, published: 0.38");
    assert!(later > 1.3, "{later}, published: 1.155");
}
