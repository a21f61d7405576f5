//! The views, one file each.

pub mod compare;
pub mod cycles;
