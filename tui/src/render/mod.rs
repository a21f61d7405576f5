//! Results for people: tables that fit the terminal, a hundred and twenty columns when piped.

mod advice;
pub mod calibration;
mod comparison;
pub mod diff;
pub mod figure;
pub mod host;
mod host_misses;
pub mod html;
pub mod page;
mod replay;
pub mod results;
mod run;
mod sweep;
mod table;
pub mod validation;
mod words;
mod workload;

pub use advice::advice;
pub use comparison::{METRICS, Metric, comparison, speedup};
pub use replay::{flat, replay};
pub use results::{STACK_PARTS, cycles_svg, stack_size, throughput_svg};
pub use run::run;
pub use sweep::sweep;
pub use table::Table;
pub use words::wrapped;
pub use workload::{workload, workload_json};
