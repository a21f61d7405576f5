//! Entering and leaving the terminal. It is restored when the view ends, whatever ends it: the user, a panic, a signal.

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableMouseCapture, EnableMouseCapture};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use std::io::{self, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The terminal is the view's.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// While it lives, the terminal is the view's.
pub struct Console(());

impl Console {
    /// Takes the terminal.
    ///
    /// # Errors
    /// A terminal that can't be changed.
    pub fn enter() -> io::Result<Console> {
        restore_at_panic();
        TAKEN.store(true, Ordering::SeqCst);
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

/// Gives the terminal back, once: to leave the other screen twice would put the cursor back above what a panic has printed.
fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use portable_pty::{CommandBuilder, PtySize, native_pty_system};
    use std::env;
    use std::io::Read;
    use vt100::{MouseProtocolMode, Parser};

    /// Says to a process of this test which thread is to panic.
    const PANICS: &str = "RINGSCOPE_TEST_CONSOLE_PANICS";
    const NAME: &str = "screen::console::tests::a_panic_gives_the_terminal_back";

    /// The test runs itself in a terminal of its own: there it takes the terminal, and a thread panics.
    #[test]
    fn a_panic_gives_the_terminal_back() {
        match env::var(PANICS).as_deref() {
            Ok("drawing") => {
                let _console = Console::enter().expect("the test has a terminal");
                panic!("the drawing thread is lost");
            }
            Ok(_) => {
                let console = Console::enter().expect("the test has a terminal");
                thread::spawn(|| panic!("a simulation is lost")).join().expect_err("it panics");
                drop(console);
            }
            Err(_) => {
                let drawing = screen_after_panic("drawing");
                assert!(drawing.contains("the drawing thread is lost"), "{drawing}");
                let simulation = screen_after_panic("simulation");
                assert!(!simulation.contains("a simulation is lost") && simulation.contains("test result: ok"), "{simulation}");
            }
        }
    }

    /// What is on the screen at the end, which must be the shell's again.
    fn screen_after_panic(who: &str) -> String {
        let size = PtySize { rows: 50, cols: 200, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let settings = || format!("{:?}", pair.master.get_termios().expect("a terminal has settings"));
        let before = settings();
        let mut command = CommandBuilder::new(env::current_exe().expect("the test knows itself"));
        command.args([NAME, "--exact", "--nocapture", "--test-threads=1"]);
        command.env(PANICS, who);
        command.env("RUST_BACKTRACE", "0");
        let mut child = pair.slave.spawn_command(command).expect("the test starts");
        let mut reader = pair.master.try_clone_reader().expect("the terminal can be read");
        let bytes = thread::spawn(move || {
            let mut bytes = Vec::new();
            // the end of a terminal is an error on some systems
            reader.read_to_end(&mut bytes).ok();
            bytes
        });
        child.wait().expect("the test ends");
        assert_eq!(settings(), before, "lines are edited and echoed as before");
        drop(pair);
        let bytes = bytes.join().expect("reading does not panic");
        assert!(bytes.windows(8).any(|piece| piece == b"\x1b[?1049h"), "the terminal was the view's");
        let mut terminal = Parser::new(50, 200, 0);
        terminal.process(&bytes);
        let screen = terminal.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && screen.mouse_protocol_mode() == MouseProtocolMode::None);
        screen.contents()
    }
}
