//! The loop between terminal and worker: waits for something to happen, changes the state, does what it asks for, and draws at most thirty
//! times a second. While nothing happens it sleeps.

use super::action::{Action, Effect, Message};
use super::ahead;
use super::console::Console;
use super::draw::draw;
use super::keys;
use super::scenario::Scenario;
use super::snapshot::Snapshot;
use super::state::State;
use super::theme::Theme;
use super::update::update;
use super::worker::Worker;
use crate::output;
use anyhow::{Context, Result};
use crossterm::clipboard::CopyToClipboard;
use crossterm::event::{self, Event as Input, KeyEventKind, MouseButton, MouseEventKind};
use crossterm::execute;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::VecDeque;
use std::io::{Stdout, stdout};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Time between two pictures at least.
const PICTURE_EVERY: Duration = Duration::from_millis(33);
/// Time between two steps of a view that moves by itself.
const TICK_EVERY: Duration = Duration::from_millis(100);

/// Something that happens outside.
enum Event {
    Input(Input),
    Snapshot(Arc<Snapshot>),
    Signal(i32),
    InputEnded,
}

/// How the view ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The user left.
    ByUser,
    /// A signal.
    BySignal(i32),
}

/// Shows the view until the user leaves it.
///
/// # Errors
/// A scenario that can't be used, and a terminal that can't be drawn on.
pub fn run(scenario: Scenario, theme: Theme, threads: usize) -> Result<Ended> {
    let size = crossterm::terminal::size().context("the size of the terminal can't be read")?;
    let state = State::new(scenario, theme, size)?;
    let (sender, receiver) = channel();
    let signals = listen_to_signals(sender.clone())?;
    let console = Console::enter().context("the terminal can't be used")?;
    listen_to_input(sender.clone())?;
    let worker = Worker::start(threads, move |snapshot| drop(sender.send(Event::Snapshot(snapshot))))
        .context("the host gives no threads")?;
    let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
    let ended = App { state, worker, terminal, receiver, drawn: None, ticked: Instant::now() }.work();
    signals.close();
    drop(console);
    ended
}

fn listen_to_signals(sender: Sender<Event>) -> Result<signal_hook::iterator::Handle> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("signals can't be caught")?;
    let handle = signals.handle();
    thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(handle)
}

fn listen_to_input(sender: Sender<Event>) -> Result<()> {
    thread::Builder::new().name("input".into()).spawn(move || {
        loop {
            let event = event::read().map_or(Event::InputEnded, Event::Input);
            let ends = matches!(event, Event::InputEnded);
            if sender.send(event).is_err() || ends {
                return;
            }
        }
    })?;
    Ok(())
}

struct App {
    state: State,
    worker: Worker,
    terminal: Terminal<CrosstermBackend<Stdout>>,
    receiver: Receiver<Event>,
    /// When the last picture was drawn; nothing at the beginning.
    drawn: Option<Instant>,
    ticked: Instant,
}

impl App {
    fn work(&mut self) -> Result<Ended> {
        let mut stale = true;
        self.simulate();
        loop {
            if stale && self.drawn.is_none_or(|drawn| drawn.elapsed() >= PICTURE_EVERY) {
                self.draw()?;
                self.drawn = Some(Instant::now());
                stale = false;
            }
            let Some(event) = self.wait(stale)? else {
                stale |= self.tick();
                continue;
            };
            stale = true;
            let action = match event {
                Event::Signal(signal) => return Ok(Ended::BySignal(signal)),
                Event::InputEnded => return Ok(Ended::BySignal(SIGHUP)),
                Event::Snapshot(snapshot) => Some(Action::Arrived(snapshot)),
                Event::Input(input) => self.action_of(input),
            };
            if let Some(action) = action
                && self.act(action)
            {
                return Ok(Ended::ByUser);
            }
        }
    }

    /// Draws at the size that the terminal has now: the event of a change may still be under way.
    fn draw(&mut self) -> Result<()> {
        let size = self.terminal.size().context("the size of the terminal can't be read")?;
        self.state.situation.size = (size.width, size.height);
        self.terminal.draw(|frame| draw(frame, &self.state)).context("the terminal can't be drawn on")?;
        Ok(())
    }

    /// The next event; nothing when it is time to draw or to tick.
    fn wait(&self, stale: bool) -> Result<Option<Event>> {
        let until_picture = stale.then(|| PICTURE_EVERY.saturating_sub(self.drawn.map_or(PICTURE_EVERY, |drawn| drawn.elapsed())));
        let until_tick = self.state.view().moves().then(|| TICK_EVERY.saturating_sub(self.ticked.elapsed()));
        let patience = until_picture.into_iter().chain(until_tick).min();
        let received = match patience {
            None => self.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(patience) => self.receiver.recv_timeout(patience),
        };
        match received {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Ok(Some(Event::InputEnded)),
        }
    }

    fn tick(&mut self) -> bool {
        if !self.state.view().moves() || self.ticked.elapsed() < TICK_EVERY {
            return false;
        }
        self.ticked = Instant::now();
        self.act(Action::Tick);
        true
    }

    fn action_of(&self, input: Input) -> Option<Action> {
        match input {
            Input::Key(key) if key.kind != KeyEventKind::Release => keys::dispatch(&self.state, keys::pressed(key)),
            Input::Resize(columns, rows) => Some(Action::Resize(columns, rows)),
            Input::Mouse(mouse) => match mouse.kind {
                MouseEventKind::Down(MouseButton::Left) => Some(Action::Click(mouse.column, mouse.row)),
                MouseEventKind::ScrollDown => Some(Action::Wheel(mouse.column, mouse.row, 1)),
                MouseEventKind::ScrollUp => Some(Action::Wheel(mouse.column, mouse.row, -1)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Changes the state and does what it asks for; true when the view ends.
    fn act(&mut self, action: Action) -> bool {
        let mut effects = VecDeque::from(update(&mut self.state, action));
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Quit => return true,
                Effect::Simulate => self.simulate(),
                Effect::LookAhead => self.worker.expect(ahead::neighbours(&self.state)),
                Effect::Ask(question) => self.worker.ask(question),
                outside => {
                    let action = perform(outside, &self.state.situation.scenario);
                    effects.extend(update(&mut self.state, action));
                }
            }
        }
        false
    }

    fn simulate(&self) {
        self.worker.simulate(ahead::present(&self.state));
        self.worker.expect(ahead::neighbours(&self.state));
    }
}

/// Does what has to do with files and the clipboard; returns what to tell the state.
fn perform(effect: Effect, scenario: &Scenario) -> Action {
    let message = match effect {
        Effect::Write { file, content } => match output::write_file(&file, content.as_bytes()) {
            Ok(()) => Message::done(format!("written: {}", file.display())),
            Err(error) => Message::error(format!("{error:#}")),
        },
        Effect::Load(file) => match scenario.load(&file) {
            Ok(scenario) => return Action::Loaded(Box::new(scenario)),
            Err(error) => Message::error(error.problem),
        },
        // terminals that do not know the sequence pass over it: the text is shown too
        Effect::Copy(text) => match execute!(stdout(), CopyToClipboard::to_clipboard_from(&text)) {
            Ok(()) => Message::done(format!("copied: {text}")),
            Err(error) => Message::error(format!("{text} (not copied: {error})")),
        },
        Effect::Quit | Effect::Simulate | Effect::LookAhead | Effect::Ask(_) => return Action::Dismiss,
    };
    Action::Told(message)
}
