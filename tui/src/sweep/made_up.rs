//! Headers and records for the tests of what reads and writes result files.

use sim_core::report::{RunReport, SCHEMA};
use sim_core::sweep::{AxisValues, Header, KIND, PointOutcome, Record};

/// Of a sweep without axes of so many points.
pub fn header(points: u64) -> Header {
    Header {
        schema: SCHEMA,
        kind: KIND.into(),
        version: "1".into(),
        program_hash: "p".into(),
        workload: "w".into(),
        workload_hash: "h".into(),
        command: "ringscope sweep w".into(),
        axes: Vec::new(),
        points,
        shard: None,
    }
}

/// A point that failed, for the reason "no", or is done.
pub fn record(index: u64, failed: bool) -> Record {
    let outcome = match failed {
        true => PointOutcome::Failed { error: "no".into() },
        false => PointOutcome::Done { report: Box::new(RunReport::default()) },
    };
    Record { point: "x".into(), index, axes: AxisValues::default(), outcome }
}
