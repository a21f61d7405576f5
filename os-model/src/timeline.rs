//! What each core did when: slices of time by core, calls as they began, and counts that change over time. Recorded only when it is
//! asked for; adjacent equal slices are one.

use crate::action::{Action, Slot};
use sim_core::calls::CallNumber;
use sim_core::context::{Agent, Context};
use sim_core::ids::{CoreId, Cycles, Mode, TaskId};
use sim_core::stack::{Component, CycleStack, Domain};
use std::collections::BTreeMap;

/// Slices, samples of counts and marks at most: some 50 MB, and 150 MB as text. What comes later is left out, and the timeline says from
/// when on.
const EVENTS_MAX: usize = 1_000_000;

/// What a core does in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// The program's own code.
    User,
    /// The program's own code in kernel mode.
    Elevated,
    /// Kernel code on behalf of a call.
    Call(CallNumber),
    /// Interrupt entry, exit and hard-interrupt handlers.
    Interrupt,
    /// Softirqs.
    Softirq,
    /// Scheduler and context switch, with the switch of address spaces.
    Scheduler,
    /// The mechanism's own work, in a mode.
    Mechanism(Mode),
    /// Crossing between the modes.
    Crossing,
    /// A recorded client.
    Client,
    /// Nothing to run.
    Idle,
}

impl What {
    /// Name in a timeline: the call's, or the kind of work.
    pub fn name(self) -> String {
        match self {
            What::User => "user".into(),
            What::Elevated => "elevated".into(),
            What::Call(call) => call.name().into(),
            What::Interrupt => "interrupt".into(),
            What::Softirq => "softirq".into(),
            What::Scheduler => "scheduler".into(),
            What::Mechanism(mode) => format!("mechanism ({})", mode.name()),
            What::Crossing => "crossing".into(),
            What::Client => "client".into(),
            What::Idle => "idle".into(),
        }
    }

    /// The group that tools colour and filter by: `user`, `kernel`, `mechanism`, `crossing`, `client` or `idle`.
    pub fn category(self) -> &'static str {
        match self {
            What::User | What::Elevated => "user",
            What::Call(_) | What::Interrupt | What::Softirq | What::Scheduler => "kernel",
            What::Mechanism(_) => "mechanism",
            What::Crossing => "crossing",
            What::Client => "client",
            What::Idle => "idle",
        }
    }

    /// What an action is, and for which request; nothing for those that take no time.
    pub(crate) fn of(action: &Action) -> Option<(What, Slot)> {
        match action {
            Action::Block { context, slot, .. } => Some((What::in_context(*context), *slot)),
            Action::Instructions(context, _) | Action::Touch(context, _, _) => Some((What::in_context(*context), Slot::NONE)),
            Action::Cross(_) => Some((What::Crossing, Slot::NONE)),
            Action::Spend(component, _) => Some((What::spending(*component), Slot::NONE)),
            Action::Count(..) | Action::Effect(_) | Action::Hook(..) => None,
        }
    }

    fn in_context(context: Context) -> What {
        if context.domain == Domain::Mechanism {
            return What::Mechanism(context.mode);
        }
        match context.agent {
            Agent::USER => What::User,
            Agent::ELEVATED => What::Elevated,
            Agent::INTERRUPT => What::Interrupt,
            Agent::SOFTIRQ => What::Softirq,
            Agent::SCHEDULER => What::Scheduler,
            agent => agent.as_call().map_or(What::Mechanism(context.mode), What::Call),
        }
    }

    fn spending(component: Component) -> What {
        match component {
            Component::Client => What::Client,
            Component::Idle => What::Idle,
            Component::Crossing(_) => What::Crossing,
            Component::Work(Domain::User, _) => What::User,
            Component::Work(Domain::Kernel, _) => What::Scheduler,
            Component::Work(Domain::Mechanism, _) => What::Mechanism(Mode::Kernel),
        }
    }
}

/// A stretch of a core's time, in cycles since the measured window opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// First cycle.
    pub start: Cycles,
    /// One past the last cycle.
    pub end: Cycles,
    /// What the core did.
    pub what: What,
    /// The task on the processor.
    pub task: TaskId,
    /// The request it worked for.
    pub slot: Slot,
    /// A handler began with it; a handler that was interrupted goes on in further slices.
    pub begins: bool,
}

/// A count that changes over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// What is counted.
    pub name: &'static str,
    /// Of which core, poller or page, where there are several.
    pub index: Option<u32>,
    /// Times (cycles since the measured window opened) and values, in order of time.
    pub samples: Vec<(Cycles, u64)>,
}

/// The part of the measured window to record, in cycles since it opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First cycle.
    pub start: Cycles,
    /// One past the last.
    pub end: Cycles,
}

/// What was recorded.
#[derive(Clone, Debug)]
pub struct Timeline {
    span: Span,
    opened: Cycles,
    cores: Vec<Vec<Slice>>,
    /// The handler that began on each core and has no slice yet, with when it began.
    begun: Vec<Option<(CallNumber, Cycles)>>,
    without_slice: Vec<Vec<(Cycles, CallNumber)>>,
    counters: Vec<Counter>,
    changes: BTreeMap<&'static str, Vec<(Cycles, i64)>>,
    calls: BTreeMap<CallNumber, u64>,
    folded: BTreeMap<(What, usize), Cycles>,
    events_left: usize,
    cut_at: Option<Cycles>,
    length: Cycles,
}

/// The state of a core before something happens on it.
#[derive(Debug)]
pub(crate) struct Before {
    what: Option<(What, Slot)>,
    call: Option<CallNumber>,
    clock: Cycles,
    stack: CycleStack,
}

impl Before {
    pub(crate) fn of(action: &Action, clock: Cycles, stack: &CycleStack) -> Before {
        let call = if let Action::Count(call, _) = action { Some(*call) } else { None };
        Before { what: What::of(action), call, clock, stack: stack.clone() }
    }

    pub(crate) fn doing(what: What, clock: Cycles, stack: &CycleStack) -> Before {
        Before { what: Some((what, Slot::NONE)), call: None, clock, stack: stack.clone() }
    }
}

impl Timeline {
    /// Begins to record at `opened`, the opening of the measured window.
    pub(crate) fn new(span: Span, opened: Cycles, cores: usize) -> Timeline {
        Timeline {
            span,
            opened,
            cores: vec![Vec::new(); cores],
            begun: vec![None; cores],
            without_slice: vec![Vec::new(); cores],
            counters: Vec::new(),
            changes: BTreeMap::new(),
            calls: BTreeMap::new(),
            folded: BTreeMap::new(),
            events_left: EVENTS_MAX,
            cut_at: None,
            length: 0,
        }
    }

    /// Room for one event more; `time` is when the first one does not fit.
    fn has_room(&mut self, time: Cycles) -> bool {
        if self.events_left == 0 {
            self.cut_at.get_or_insert(time);
            return false;
        }
        self.events_left -= 1;
        true
    }

    /// Something happened on a core from `before` on; `clock` and `stack` are the core's now.
    pub(crate) fn record(&mut self, core: CoreId, task: TaskId, before: &Before, clock: Cycles, stack: &CycleStack) {
        let now = clock.saturating_sub(self.opened);
        if let Some(call) = before.call {
            self.begin(core, call, now);
        }
        let Some((what, slot)) = before.what else { return };
        for component in Component::all() {
            let cycles = stack.get(component) - before.stack.get(component);
            if cycles > 0 {
                *self.folded.entry((what, component.index())).or_default() += cycles;
            }
        }
        let start = before.clock.saturating_sub(self.opened).max(self.span.start);
        let end = now.min(self.span.end);
        if start < end {
            self.add(core, Slice { start, end, what, task, slot, begins: false });
        }
    }

    /// A handler begins. One that began before and had nothing to execute gets a mark instead of a slice.
    fn begin(&mut self, core: CoreId, call: CallNumber, now: Cycles) {
        if !self.holds(now) {
            return;
        }
        *self.calls.entry(call).or_default() += 1;
        if let Some((earlier, at)) = self.begun[core.index()].replace((call, now)) {
            self.mark(core, earlier, at);
        }
    }

    fn mark(&mut self, core: CoreId, call: CallNumber, at: Cycles) {
        if self.has_room(at) {
            self.without_slice[core.index()].push((at, call));
        }
    }

    fn holds(&self, time: Cycles) -> bool {
        (self.span.start..self.span.end).contains(&time)
    }

    fn add(&mut self, core: CoreId, slice: Slice) {
        let begun = &mut self.begun[core.index()];
        let begins = begun.is_some_and(|(call, _)| slice.what == What::Call(call));
        if begins {
            *begun = None;
        }
        if let Some(last) = self.cores[core.index()].last_mut()
            && !begins
            && last.end == slice.start
            && (last.what, last.task, last.slot) == (slice.what, slice.task, slice.slot)
        {
            last.end = slice.end;
        } else if self.has_room(slice.start) {
            self.cores[core.index()].push(Slice { begins, ..slice });
        }
    }

    /// A count's value at a time of the simulation; only changes are kept.
    pub(crate) fn count(&mut self, name: &'static str, index: Option<u32>, at: Cycles, value: u64) {
        let time = at.saturating_sub(self.opened);
        if !self.holds(time) {
            return;
        }
        let position = self.counters.iter().position(|counter| (counter.name, counter.index) == (name, index));
        let position = position.unwrap_or_else(|| {
            self.counters.push(Counter { name, index, samples: Vec::new() });
            self.counters.len() - 1
        });
        let changed = self.counters[position].samples.last().is_none_or(|last| last.1 != value);
        if changed && self.has_room(time) {
            self.counters[position].samples.push((time, value));
        }
    }

    /// `amount` is part of a count from one time of the simulation to another, which may lie ahead: bytes that wait for a link.
    pub(crate) fn occupy(&mut self, name: &'static str, from: Cycles, until: Cycles, amount: u64) {
        let start = from.saturating_sub(self.opened).max(self.span.start);
        let end = until.saturating_sub(self.opened).min(self.span.end);
        if start < end && self.has_room(start) && self.has_room(start) {
            let changes = self.changes.entry(name).or_default();
            changes.extend([(start, amount as i64), (end, -(amount as i64))]);
        }
    }

    /// The measured window was `length` cycles long and is over: what was only asked for is no longer part of the recording.
    pub(crate) fn close(&mut self, length: Cycles) {
        self.length = length;
        self.span.end = self.span.end.min(length);
        for core in 0..self.begun.len() {
            if let Some((call, at)) = self.begun[core].take() {
                self.mark(CoreId(core as u16), call, at);
            }
        }
    }

    /// Length of the measured window in cycles.
    pub fn length(&self) -> Cycles {
        self.length
    }

    /// The recorded part of the window.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Slices of each core, in order of time, without gaps or overlaps.
    pub fn cores(&self) -> &[Vec<Slice>] {
        &self.cores
    }

    /// Handlers that began in the recorded part, however they were issued.
    pub fn calls(&self) -> impl Iterator<Item = (CallNumber, u64)> {
        self.calls.iter().map(|(call, count)| (*call, *count))
    }

    /// Handlers of each core that had nothing to execute in the recorded part: calls without recorded work, or cut off by its end. With
    /// the slices that begin one they are all handlers of [`Timeline::calls`].
    pub fn calls_without_slice(&self) -> &[Vec<(Cycles, CallNumber)>] {
        &self.without_slice
    }

    /// When the first event happened that is left out because there were too many, in cycles since the measured window opened.
    pub fn cut_at(&self) -> Option<Cycles> {
        self.cut_at
    }

    /// Counts over time, by name and index. Cores take turns, so what they report may be out of order by a slice: it is put in order.
    pub fn counters(&self) -> Vec<Counter> {
        let changes = self.changes.iter();
        let summed = changes.map(|(name, changes)| Counter { name, index: None, samples: self.sums(changes) });
        let mut counters: Vec<Counter> = self.counters.iter().cloned().chain(summed).collect();
        counters.sort_by_key(|counter| (counter.name, counter.index));
        counters.iter_mut().for_each(|counter| counter.samples.sort_by_key(|sample| sample.0));
        counters
    }

    /// Values over time from changes in any order: one sample for each time at which there were some.
    fn sums(&self, changes: &[(Cycles, i64)]) -> Vec<(Cycles, u64)> {
        let mut by_time: BTreeMap<Cycles, i64> = BTreeMap::new();
        for (time, change) in changes {
            *by_time.entry(*time).or_default() += change;
        }
        let mut value = 0;
        let values = by_time.into_iter().map(|(time, change)| {
            value += change;
            (time, value as u64)
        });
        values.filter(|sample| sample.0 < self.span.end).collect()
    }

    /// Cycles of the whole measured window by what the cores did and component of the cycle stack.
    pub fn folded(&self) -> impl Iterator<Item = (What, Component, Cycles)> {
        let components: Vec<Component> = Component::all().collect();
        self.folded.iter().map(move |((what, component), cycles)| (*what, components[*component], *cycles))
    }
}
