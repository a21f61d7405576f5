//! Entering and leaving the terminal. It is restored when the view ends, whatever ends it: the user, a panic, a signal.

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::io::{self, stdout};
use std::panic;
use std::thread;

/// While it lives, the terminal is the view's.
pub struct Console(());

impl Console {
    /// Takes the terminal.
    ///
    /// # Errors
    /// A terminal that can't be changed.
    pub fn enter() -> io::Result<Console> {
        restore_at_panic();
        enable_raw_mode()?;
        let console = Console(());
        execute!(stdout(), EnterAlternateScreen, EnableMouseCapture, Hide)?;
        Ok(console)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        restore();
    }
}

fn restore() {
    // nothing can be done about a terminal that has gone
    execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show).ok();
    disable_raw_mode().ok();
}

/// A panic of the thread that draws restores the terminal before its message is printed. A panic of a simulation is shown in the view:
/// its message would only tear the picture.
fn restore_at_panic() {
    let drawing = thread::current().id();
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |information| {
        if thread::current().id() == drawing {
            restore();
            print(information);
        }
    }));
}
