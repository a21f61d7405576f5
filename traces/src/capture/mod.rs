//! Full-system captures: what one virtual CPU executed, user and kernel, while a program ran.
//!
//! A capture file is the magic `SYSTRACE`, a version, a JSON header and one zstd frame with the event stream: instruction runs, data
//! touches and control records that cut the stream at every crossing. [`Capture`] opens the file, [`stream`] decodes records,
//! [`frames`] keeps the state of each task, [`totals`] recounts what the recorder counted, [`replay`] turns the whole stream into
//! simulated lines.
//!
//! ```
//! use traces::capture::{Capture, stream::Record};
//!
//! # let file = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/data/captures/ubench-off.trace")).unwrap();
//! let capture = Capture::read(&file)?;
//! let mut instructions = 0;
//! let mut records = capture.records();
//! while let Some(record) = records.next_record()? {
//!     if let Record::Run { instructions: executed, .. } = record {
//!         instructions += executed;
//!     }
//! }
//! let totals = &capture.header.totals;
//! assert_eq!(instructions, totals.user_instructions + totals.kernel_instructions);
//! # Ok::<(), traces::error::TraceError>(())
//! ```

pub mod control;
pub mod copies;
mod file;
pub mod frames;
pub mod header;
pub mod lines;
pub mod replay;
pub mod stream;
pub mod totals;

pub use file::{Capture, MAGIC, is_capture};
pub use replay::{ReplayOps, Stretch, replay_ops};

use crate::error::TraceError;

/// Damage at a byte of the capture (of the file in what concerns its header and compression, of the event stream otherwise).
pub(crate) fn damaged(offset: usize, problem: impl Into<String>) -> TraceError {
    TraceError::at_byte("capture", offset as u64, problem)
}
