//! What happens on a recorded timeline, in order: work that begins on a core, entries that change their state, queues that grow.

use os_model::timeline::{Counter, Slice, Timeline, What};
use sim_core::ids::Cycles;

/// States of an entry of a syscall page, in the order of a call's life, with the name of the count in the timeline.
pub const ENTRY_STATES: [(&str, char); 4] = [("free", '.'), ("submitted", 's'), ("busy", 'b'), ("done", 'd')];

/// Entries of one syscall page by state at one time, in the order of [`ENTRY_STATES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageState {
    /// Number of the page.
    pub page: u32,
    /// Entries in each state.
    pub entries: [u64; 4],
}

impl PageState {
    /// All entries of the page.
    pub fn total(&self) -> u64 {
        self.entries.iter().sum()
    }
}

/// A recorded timeline made ready for looking at: times at which anything happens, in order.
#[derive(Debug)]
pub struct Events {
    timeline: Timeline,
    counters: Vec<Counter>,
    times: Vec<Cycles>,
}

impl Events {
    /// Of a timeline.
    pub fn of(timeline: Timeline) -> Events {
        let counters = timeline.counters();
        let slices = timeline.cores().iter().flatten().map(|slice| slice.start);
        let pages = counters.iter().filter(|counter| is_entry_state(counter));
        let mut times: Vec<Cycles> =
            slices.chain(pages.flat_map(|counter| counter.samples.iter().map(|sample| sample.0))).collect();
        times.sort_unstable();
        times.dedup();
        Events { timeline, counters, times }
    }

    /// First and one past the last recorded cycle.
    pub fn span(&self) -> (Cycles, Cycles) {
        let span = self.timeline.span();
        (span.start, span.end)
    }

    /// The recorded timeline.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The time of the next event after `at`, or of the one before it.
    pub fn step(&self, at: Cycles, forward: bool) -> Cycles {
        let found = if forward {
            self.times.get(self.times.partition_point(|time| *time <= at))
        } else {
            self.times[..self.times.partition_point(|time| *time < at)].last()
        };
        found.copied().unwrap_or(at)
    }

    /// What a core does at a time.
    pub fn slice(&self, core: usize, at: Cycles) -> Option<&Slice> {
        slice_at(self.timeline.cores().get(core)?, at)
    }

    /// The entries of all syscall pages at a time.
    pub fn pages(&self, at: Cycles) -> Vec<PageState> {
        let mut pages: Vec<PageState> = Vec::new();
        for counter in &self.counters {
            let state = ENTRY_STATES.iter().position(|state| is_named(counter, state.0));
            let (Some(state), Some(page)) = (state, counter.index) else { continue };
            let position = pages.iter().position(|own| own.page == page).unwrap_or_else(|| {
                pages.push(PageState { page, ..PageState::default() });
                pages.len() - 1
            });
            pages[position].entries[state] = value_at(counter, at);
        }
        pages.sort_by_key(|own| own.page);
        pages
    }

    /// Whether the mechanism has syscall pages.
    pub fn has_pages(&self) -> bool {
        self.counters.iter().any(is_entry_state)
    }

    /// A count at a time, over all its indices: `ready list`, `run queue`, `receive ring`. `None` before its first change: counts are
    /// recorded when they change.
    pub fn sum_of(&self, name: &str, at: Cycles) -> Option<u64> {
        let own = self.counters.iter().filter(|counter| is_named(counter, name));
        own.filter(|counter| counter.samples.first().is_some_and(|first| first.0 <= at))
            .map(|counter| value_at(counter, at))
            .reduce(|sum, value| sum + value)
    }

    /// The largest value of a count over all its indices at any time.
    pub fn largest(&self, name: &str) -> u64 {
        let own = self.counters.iter().filter(|counter| is_named(counter, name));
        own.map(|counter| counter.samples.iter().map(|sample| sample.1).max().unwrap_or(0)).sum()
    }

    /// What begins at a time, in words.
    pub fn happenings(&self, at: Cycles) -> Vec<String> {
        let mut words = Vec::new();
        for (core, slices) in self.timeline.cores().iter().enumerate() {
            if let Some(slice) = slice_at(slices, at).filter(|slice| slice.start == at) {
                let before = at.checked_sub(1).and_then(|before| slice_at(slices, before));
                words.push(format!("core {core}: {}", beginning(slice, before)));
            }
        }
        if self.counters.iter().any(|counter| is_entry_state(counter) && counter.samples.iter().any(|sample| sample.0 == at)) {
            words.extend(self.page_changes(at));
        }
        words
    }

    fn page_changes(&self, at: Cycles) -> Vec<String> {
        let before = at.checked_sub(1).map(|before| self.pages(before)).unwrap_or_default();
        let mut words = Vec::new();
        for page in self.pages(at) {
            let old = before.iter().find(|own| own.page == page.page).copied().unwrap_or_default();
            let changes = ENTRY_STATES.iter().zip(page.entries.iter().zip(&old.entries)).filter(|(_, (new, old))| new != old);
            let changes: Vec<String> = changes.map(|((name, _), (new, old))| format!("{name} {old} to {new}")).collect();
            if !changes.is_empty() && old.total() > 0 {
                words.push(format!("page {}: {}", page.page, changes.join(", ")));
            }
        }
        words
    }
}

/// What begins with a slice, in words.
fn beginning(slice: &Slice, before: Option<&Slice>) -> String {
    let wakes = before.is_some_and(|before| before.what == What::Idle) && slice.what != What::Idle;
    let request = if slice.slot == os_model::action::Slot::NONE { String::new() } else { format!(", request {}", slice.slot.0) };
    match (slice.what, wakes) {
        (What::Idle, _) => "goes idle".to_owned(),
        (what, true) => format!("wakes: {}{request}", what.name()),
        (what, false) => format!("{}{request}", what.name()),
    }
}

fn is_entry_state(counter: &Counter) -> bool {
    ENTRY_STATES.iter().any(|state| is_named(counter, state.0))
}

/// Counts of the timeline are named by what is counted, some with a remark behind: `submitted entries, page`.
fn is_named(counter: &Counter, name: &str) -> bool {
    counter.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || !rest.starts_with(|next: char| next.is_alphanumeric()))
}

fn slice_at(slices: &[Slice], at: Cycles) -> Option<&Slice> {
    let after = slices.partition_point(|slice| slice.start <= at);
    slices[..after].last().filter(|slice| at < slice.end)
}

/// The value of a count at a time: that of its last change; 0 before the first.
fn value_at(counter: &Counter, at: Cycles) -> u64 {
    let after = counter.samples.partition_point(|sample| sample.0 <= at);
    counter.samples[..after].last().map_or(0, |sample| sample.1)
}
