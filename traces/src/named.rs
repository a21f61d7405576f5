//! Workloads that come with the program, by name: recordings, published programs, loops of one call, and a made-up program that a
//! recorded call interrupts.

use crate::bundled::{self, BUNDLED};
use crate::call_loop::{self, CallLoop};
use crate::error::TraceError;
use crate::full_caches::{self, FullCaches};
use crate::published::{self, PUBLISHED};
use crate::xalan::{self, Xalan};
use sim_core::workload::Workload;

/// One workload or family of workloads for a list.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Name to ask for.
    pub name: &'static str,
    /// One line for people.
    pub description: &'static str,
    /// Name of the capture that it is made of.
    pub recording: &'static str,
}

/// All of them, in the order of lists.
pub fn entries() -> Vec<Entry> {
    let recording = |name: &str| bundled::find(name).map_or("", |bundled| bundled.capture_name);
    let recorded = BUNDLED.iter().map(|bundled| Entry {
        name: bundled.name,
        description: bundled.description,
        recording: bundled.capture_name,
    });
    let made = PUBLISHED.iter().map(|published| Entry {
        name: published.name,
        description: published.description,
        recording: recording(published.base),
    });
    let families = call_loop::NAMES.iter().chain(&xalan::NAMES).chain(&full_caches::NAMES);
    let families = families.map(|(name, description)| Entry { name, description, recording: recording(call_loop::RECORDING) });
    recorded.chain(made).chain(families).collect()
}

/// The workload of a name; nothing when no workload that comes with the program is called so.
///
/// # Errors
/// A name of a family that goes on wrongly (`null-call:many`).
pub fn load(name: &str) -> Option<Result<Workload, TraceError>> {
    if BUNDLED.iter().any(|bundled| bundled.name == name) {
        return Some(bundled::load(name));
    }
    if let Some(published) = published::find(name) {
        return Some(published.load());
    }
    if let Some(xalan) = Xalan::from_name(name) {
        return Some(xalan.and_then(|xalan| xalan.load()));
    }
    if let Some(full_caches) = FullCaches::from_name(name) {
        return Some(full_caches.and_then(|full_caches| full_caches.load()));
    }
    CallLoop::from_name(name).map(|call_loop| call_loop?.load())
}
