//! Sweeps: what is varied, the points that follow, and the file in which they are kept.
//!
//! | file | idea |
//! |---|---|
//! | `axis` | `cores=1,2,4` and `batch=1..64:x2` as values with their places |
//! | `file` | a sweep described in RON |
//! | `plan` | all points with their settings, in groups that share their seeds |
//! | `shard` | which part of the points is this program's |
//! | `store` | the result file: locked, appended to, repaired, put in order |
//! | `sink` | where finished points go, from all threads |
//! | `lines` | reading result files line by line |

pub mod axis;
pub mod file;
pub mod lines;
#[cfg(test)]
mod made_up;
pub mod plan;
pub mod shard;
pub mod sink;
pub mod store;
