//! Results for people: tables that fit the terminal, a hundred and twenty columns when piped.

mod comparison;
mod replay;
mod run;
mod table;
mod words;
mod workload;

pub use comparison::comparison;
pub use replay::{flat, replay};
pub use run::run;
pub use table::Table;
pub use words::wrapped;
pub use workload::{workload, workload_json};
