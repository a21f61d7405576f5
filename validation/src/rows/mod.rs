//! Evaluators: one file for each group of published rows that are read from the same experiments. An evaluator never reads the
//! published value.

pub mod batches;
pub mod call_footprint;
pub mod drawn;
pub mod frequency;
pub mod httperf;
pub mod memcached;
pub mod nginx;
pub mod recovery;
pub mod services;
pub mod sweep;
pub mod table_1;
pub mod threads;
