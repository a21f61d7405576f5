//! Rows of reports from the processors' counters, ledger and shadow: the same for a simulation and for a replay.

use cpu_model::{Counters, LedgerSummary, Structure};
use sim_core::ids::Mode;
use sim_core::report::{EvictorRow, MissesPerKiloInstruction, ModeReport, Modes, ShadowRow};
use std::collections::BTreeMap;

/// Instructions, cycles and misses of each mode.
pub(crate) fn modes(counters: &Counters) -> Modes {
    let mut modes = Modes::default();
    for mode in Mode::ALL {
        let own = counters.mode(mode);
        let rate = |structure: Structure| own.misses[structure.index()] as f64 * 1000.0 / own.instructions as f64;
        *modes.get_mut(mode) = ModeReport {
            instructions: own.instructions,
            cycles: own.cycles,
            cpi: own.cycles as f64 / own.instructions as f64,
            misses_per_kinstr: MissesPerKiloInstruction {
                l1i: rate(Structure::L1i),
                l1d: rate(Structure::L1d),
                l2: rate(Structure::L2),
                l3: rate(Structure::L3),
                itlb: rate(Structure::Itlb),
                dtlb: rate(Structure::Dtlb),
                stlb: rate(Structure::Stlb),
                branch: rate(Structure::Branch),
            },
        };
    }
    modes
}

/// Ledger rows by (structure, mode, evictor): what the same mode pushed out is one row, `same`, after the others.
pub(crate) fn evictors<'a>(ledgers: impl Iterator<Item = &'a LedgerSummary>) -> Vec<EvictorRow> {
    // the agent's number keeps the order of the call table; its name is what the report shows
    let mut rows: BTreeMap<(Structure, Mode, u16), EvictorRow> = BTreeMap::new();
    for row in ledgers.flat_map(|ledger| &ledger.rows) {
        let same = row.evictor.mode() == Some(row.mode);
        let (number, evictor) = if same { (u16::MAX, "same".to_string()) } else { (row.evictor.0, row.evictor.name()) };
        let sums = rows.entry((row.structure, row.mode, number)).or_insert_with(|| EvictorRow {
            structure: row.structure.name().into(),
            mode: row.mode,
            evictor,
            misses: 0,
            cycles: 0,
        });
        sums.misses += row.misses;
        sums.cycles += row.cycles;
    }
    rows.into_values().collect()
}

/// Shadow rows by (structure, mode), summed.
pub(crate) fn shadow<'a>(rows: impl Iterator<Item = &'a cpu_model::ShadowRow>) -> Vec<ShadowRow> {
    let mut summed: BTreeMap<(Structure, Mode), [u64; 3]> = BTreeMap::new();
    for row in rows {
        let sums = summed.entry((row.structure, row.mode)).or_default();
        sums[0] += row.misses_alone;
        sums[1] += row.destructive;
        sums[2] += row.constructive;
    }
    let row = |((structure, mode), sums): ((Structure, Mode), [u64; 3])| ShadowRow {
        structure: structure.name().into(),
        mode,
        misses_alone: sums[0],
        destructive: sums[1],
        constructive: sums[2],
    };
    summed.into_iter().map(row).collect()
}
