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

impl Bar {
    fn begin(&self, what: &str, length: u64, template: &str) {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        // The template is constant; a fault in it leaves indicatif's own style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        *self.bar.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = bar;
    }
}

impl Progress for Bar {
    fn start(&self, what: &str, total: u64) {
        let color = if self.color { ":.cyan" } else { "" };
        self.begin(what, total, &format!("{{msg}} {{wide_bar{color}}} {{pos}}/{{len}}, {{eta}} left"));
    }

    fn step(&self, count: u64) {
        self.current().inc(count);
    }

    fn start_costed(&self, what: &str, total: u64, cost_total: u64) {
        let color = if self.color { ":.cyan" } else { "" };
        self.begin(&format!("0/{total} {what}"), cost_total, &format!("{{msg}} {{wide_bar{color}}} {{eta}} left"));
    }

    fn step_costed(&self, count: u64, cost: u64) {
        let bar = self.current();
        bar.inc(cost);
        let message = bar.message();
        if let Some((done, rest)) = message.split_once('/').filter(|_| count > 0) {
            bar.set_message(format!("{}/{rest}", done.parse::<u64>().unwrap_or(0) + count));
        }
    }

    fn finish(&self) {
        self.current().finish_and_clear();
    }
}

struct Work {
    what: String,
    total: u64,
    done: u64,
    cost_total: u64,
    cost_done: u64,
    begun: Instant,
    shown: Instant,
}

impl Work {
    fn line(&self) -> String {
        let spent = self.begun.elapsed().as_secs();
        let left =
            u128::from(spent) * u128::from(self.cost_total.saturating_sub(self.cost_done)) / u128::from(self.cost_done.max(1));
        format!("{}: {} of {} after {spent} s, about {left} s left", self.what, self.done, self.total)
    }
}

struct Lines {
    state: Mutex<Option<Work>>,
}

impl Progress for Lines {
    fn start(&self, what: &str, total: u64) {
        self.start_costed(what, total, total);
    }

    fn step(&self, count: u64) {
        self.step_costed(count, count);
    }

    fn start_costed(&self, what: &str, total: u64, cost_total: u64) {
        let now = Instant::now();
        let work = Work { what: what.to_owned(), total, done: 0, cost_total, cost_done: 0, begun: now, shown: now };
        *self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(work);
    }

    fn step_costed(&self, count: u64, cost: u64) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Some(work) = state.as_mut() else { return };
        work.done += count;
        work.cost_done += cost;
        if work.shown.elapsed() < LINE_EVERY || work.cost_done == 0 {
            return;
        }
        work.shown = Instant::now();
        output::remark(&work.line());
    }

    fn finish(&self) {
        *self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = None;
    }
}
