//! Readers of recordings and the way from a recording to a [`sim_core::workload::Workload`].
//!
//! A file is opened with [`open::open`], which undoes compression and recognises the format by content ([`formats`] lists them);
//! [`info::info`] says what is in it. Every reader reports the byte or line at which it met damage, and can be lenient: then what
//! was understood before the damage is used and the damage is counted.

pub mod bundled;
pub mod call_loop;
pub mod capture;
pub mod distil;
pub mod error;
pub mod formats;
pub mod ftrace;
pub mod full_caches;
pub mod import;
pub mod info;
pub mod kernel_functions;
pub mod kernel_map;
pub mod lackey;
pub mod named;
pub mod open;
pub mod published;
pub mod scale;
pub mod strace;
pub mod synthetic;
pub mod user_work;
pub mod workload_file;
pub mod xalan;

pub use error::TraceError;
