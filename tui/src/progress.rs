//! Progress of long work: a bar with the time left on a terminal, a plain line every ten seconds otherwise, nothing when quiet.

use crate::output;
use crate::terminal::Terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sim_core::progress::{Progress, Silent};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress display that suits the terminal.
pub fn display(terminal: &Terminal) -> Box<dyn Progress> {
    if terminal.quiet {
        Box::new(Silent)
    } else if terminal.watched {
        Box::new(Bar { bar: Mutex::new(ProgressBar::hidden()), color: terminal.color_errors })
    } else {
        Box::new(Lines { state: Mutex::new(None) })
    }
}

struct Bar {
    bar: Mutex<ProgressBar>,
    color: bool,
}

impl Bar {
    fn current(&self) -> ProgressBar {
        self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl Progress for Bar {
    fn start(&self, what: &str, total: u64) {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template =
            if self.color { "{msg} {wide_bar:.cyan} {pos}/{len}, {eta} left" } else { "{msg} {wide_bar} {pos}/{len}, {eta} left" };
        // The template is constant; a fault in it leaves indicatif's own style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        *self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = bar;
    }

    fn step(&self, count: u64) {
        self.current().inc(count);
    }

    fn finish(&self) {
        self.current().finish_and_clear();
    }
}

struct Work {
    what: String,
    total: u64,
    done: u64,
    begun: Instant,
    shown: Instant,
}

struct Lines {
    state: Mutex<Option<Work>>,
}

impl Progress for Lines {
    fn start(&self, what: &str, total: u64) {
        let now = Instant::now();
        let work = Work { what: what.to_owned(), total, done: 0, begun: now, shown: now };
        *self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(work);
    }

    fn step(&self, count: u64) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(work) = state.as_mut() else { return };
        work.done += count;
        if work.shown.elapsed() < LINE_EVERY || work.done == 0 {
            return;
        }
        work.shown = Instant::now();
        let spent = work.begun.elapsed().as_secs();
        let left = spent.saturating_mul(work.total.saturating_sub(work.done)) / work.done;
        output::remark(&format!("{}: {} of {} after {spent} s, about {left} s left", work.what, work.done, work.total));
    }

    fn finish(&self) {
        *self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
    }
}
