//! The full-screen view in a real pseudo-terminal: opened, a knob turned, left; and the terminal as it was.
#![cfg(unix)]

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use vt100::{MouseProtocolMode, Parser};

/// Nothing takes so long: a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(240);

/// Options that make simulations short.
const SMALL: [&str; 8] = ["--requests", "20", "--connections", "8", "--reps", "2", "--set", "run.exposure_range=false"];

/// The program in a terminal.
struct Session {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    terminal: Arc<Mutex<Parser>>,
    master: Box<dyn MasterPty + Send>,
}

/// An empty folder of a test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::remove_dir_all(&folder).ok();
    std::fs::create_dir_all(&folder).expect("a folder for the test");
    folder
}

impl Session {
    fn open(folder: &Path, arguments: &[&str], columns: u16, rows: u16) -> Session {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_ringscope"));
        command.args(arguments);
        command.cwd(folder);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let terminal = Arc::new(Mutex::new(Parser::new(rows, columns, 0)));
        let mut reader = pair.master.try_clone_reader().expect("the terminal can be read");
        let shown = Arc::clone(&terminal);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = reader.read(&mut bytes) {
                if count == 0 {
                    return;
                }
                shown.lock().expect("no reader panics").process(&bytes[..count]);
            }
        });
        let writer = pair.master.take_writer().expect("the terminal can be written to");
        Session { child, writer, terminal, master: pair.master }
    }

    fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).expect("keys arrive");
        self.writer.flush().expect("keys arrive");
    }

    fn text(&self) -> String {
        self.terminal.lock().expect("no reader panics").screen().contents()
    }

    /// Waits until the screen shows something; returns it.
    fn wait_for(&self, what: &str) -> String {
        self.wait_until(what, |text| text.contains(what))
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if holds(&text) {
                return text;
            }
            assert!(begun.elapsed() < PATIENCE, "`{what}` never came:\n{text}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end; returns the exit code.
    fn wait(&mut self) -> u32 {
        self.child.wait().expect("the program ends").exit_code()
    }

    /// The terminal is as a shell wants it: no other screen, the cursor shown, no mouse, lines edited and echoed.
    fn assert_restored(&self, echo_before: bool) {
        let begun = Instant::now();
        let restored = || {
            let terminal = self.terminal.lock().expect("no reader panics");
            let screen = terminal.screen();
            !screen.alternate_screen() && !screen.hide_cursor() && screen.mouse_protocol_mode() == MouseProtocolMode::None
        };
        while !restored() {
            assert!(begun.elapsed() < PATIENCE, "the terminal is not restored");
            thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.echoes(), echo_before);
    }

    /// Whether the terminal echoes what is typed.
    fn echoes(&self) -> bool {
        let settings = self.master.get_termios().expect("a terminal has settings");
        format!("{:?}", settings.local_flags).contains("ECHO ") || format!("{:?}", settings.local_flags).ends_with("ECHO)")
    }
}

fn small<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().copied().chain(SMALL).collect()
}

fn ringscope(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ringscope")).args(arguments).current_dir(folder).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The throughputs of a comparison as its table shows them; fewer while it is not there as a whole.
fn throughputs(text: &str) -> Vec<String> {
    let mechanisms = ["sync", "exception-less", "batched-script", "in-kernel-dsl", "elevated-shortcut"];
    let number = |name: &&str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(*name))?;
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    mechanisms.iter().filter_map(number).collect()
}

/// What the screen shows right of the knobs.
fn answers(text: &str) -> String {
    text.lines().filter_map(|line| line.split_once('│')).map(|(_, right)| format!("{right}\n")).collect()
}

#[test]
fn a_knob_changes_the_answer_to_what_compare_prints() {
    let folder = scratch("screen");
    let mut session = Session::open(&folder, &small(&["tui", "memcached"]), 120, 40);
    let before = throughputs(&answers(&session.wait_for("complete, n = 2")));
    assert_eq!(before.len(), 5);
    assert_eq!(before, throughputs(&ringscope(&folder, &small(&["compare", "memcached"]))));
    // seven knobs down is the number of cores
    session.press("JJJJJJJ+");
    // the program writes a picture in pieces: what is new is not there at once
    let complete = |text: &str| text.contains("complete, n = 2") && throughputs(&answers(text)).len() == 5;
    let other = |text: &str| text.contains("2 cores") && complete(text) && throughputs(&answers(text)) != before;
    let after = throughputs(&answers(&session.wait_until("the answer for 2 cores", other)));
    assert_eq!(after, throughputs(&ringscope(&folder, &small(&["compare", "memcached", "--cores", "2"]))));

    // what is saved is a configuration that other commands take
    session.press("s\r");
    session.wait_for("written: memcached.ron");
    assert_eq!(after, throughputs(&ringscope(&folder, &["compare", "memcached", "--config", "memcached.ron"])));

    session.press("c");
    session.wait_for("copied: ringscope compare memcached --cores 2");
    session.press("u");
    let again = |text: &str| text.contains("1 core,") && complete(text) && throughputs(&answers(text)) == before;
    session.wait_until("the answer from before", again);
    session.press("q");
    assert_eq!(session.wait(), 0);
    session.assert_restored(true);
}

#[test]
fn a_signal_restores_the_terminal() {
    let folder = scratch("screen-signal");
    for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let mut session = Session::open(&folder, &["tui", "memcached"], 80, 24);
        session.wait_for("Compare");
        let process = session.child.process_id().expect("a running program").to_string();
        assert!(Command::new("kill").args(["-s", signal, &process]).status().expect("kill is there").success());
        assert_eq!(session.wait(), code, "{signal}");
        session.assert_restored(true);
    }
}

#[test]
fn the_window_can_be_too_small_and_grow() {
    let folder = scratch("screen-small");
    let mut session = Session::open(&folder, &small(&["tui", "memcached"]), 50, 12);
    session.wait_for("Please make the window larger");
    session.terminal.lock().expect("no reader panics").screen_mut().set_size(24, 80);
    session.master.resize(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 }).expect("a terminal has a size");
    session.wait_for("elevated-shortcut");
    session.press("\u{3}");
    assert_eq!(session.wait(), 0);
    session.assert_restored(true);
}

#[test]
fn without_a_terminal_it_says_what_to_do_instead() {
    let output = Command::new(env!("CARGO_BIN_EXE_ringscope")).args(["tui", "memcached"]).output().expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("needs a terminal") && error.contains("ringscope compare"), "{error}");
    assert!(output.stdout.is_empty());
}
