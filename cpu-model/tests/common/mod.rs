//! Helpers of the integration tests.
#![allow(dead_code, reason = "each test program uses some of them")]

pub mod naive;
pub mod stream;

use cpu_model::Machine;

/// A machine of a few lines with round latencies.
pub fn tiny() -> Machine {
    Machine::from_ron(include_str!("tiny.ron")).unwrap()
}
