//! The views, one file each.

pub mod calls;
mod chart;
mod chosen;
pub mod compare;
pub mod cycles;
mod grid;
pub mod latency;
pub mod pollution;
pub mod sweep;
pub mod timeline;

#[cfg(test)]
mod tests;
