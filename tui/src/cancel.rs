//! Ctrl-C: the first one asks the work to stop, the second one ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

static CANCELLED: AtomicBool = AtomicBool::new(false);

/// Exit code after an interruption: 128 + SIGINT, as shells expect.
pub const EXIT_CODE: u8 = 130;

/// Work was interrupted; what was done has been shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// The flag that work looks at. Installs the handler; a host without signals keeps its default.
pub fn flag() -> &'static AtomicBool {
    let handler = || {
        if CANCELLED.swap(true, Ordering::Relaxed) {
            std::process::exit(EXIT_CODE.into());
        }
    };
    // The only failure is a handler that is installed already, which sets the same flag.
    ctrlc::set_handler(handler).ok();
    &CANCELLED
}

/// Says that work was interrupted, once its partial result has been shown.
///
/// # Errors
/// [`Interrupted`] after Ctrl-C.
pub fn check() -> anyhow::Result<()> {
    if CANCELLED.load(Ordering::Relaxed) { Err(Interrupted.into()) } else { Ok(()) }
}
