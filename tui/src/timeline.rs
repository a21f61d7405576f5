//! Timelines as trace-event JSON (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>), which Perfetto
//! and chrome://tracing open, and cycles as folded stacks, which flame-graph tools read.

use anyhow::{Result, anyhow, bail};
use os_model::action::Slot;
use os_model::timeline::{Counter, Slice, Span, Timeline, What};
use serde_json::{Map, Value, json};
use sim_core::ids::Mode;
use sim_core::stack::Component;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Process number of the cores' tracks in the file.
const CORES: u32 = 1;
/// Thread number of core 0 in the file: readers take thread 0 for an operating system's idle task.
const FIRST_THREAD: usize = 1;
/// Part of the measured window that is recorded when nothing else is asked for.
const WINDOW: &str = "0us..2ms";

/// The part of the measured window that `START..END` asks for.
///
/// # Errors
/// What is not two times in order.
pub fn window(asked: Option<&str>, frequency_mhz: u32) -> Result<Span> {
    let text = asked.unwrap_or(WINDOW);
    let (start, end) = bounds(text).ok_or_else(|| {
        anyhow!(
            "--timeline-window {text}: not two times in order; write START..END in microseconds, or with units: 0..500, 1ms..2.5ms"
        )
    })?;
    let cycles = |time_us: f64| (time_us * f64::from(frequency_mhz)) as u64;
    Ok(Span { start: cycles(start), end: cycles(end) })
}

fn bounds(text: &str) -> Option<(f64, f64)> {
    let (start, end) = text.split_once("..")?;
    let bounds = (microseconds(start)?, microseconds(end)?);
    (bounds.0 < bounds.1).then_some(bounds)
}

/// A time of the command line in microseconds, which is also its unit when none is given.
fn microseconds(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 4] = [("us", 1.0), ("ms", 1e3), ("ns", 1e-3), ("s", 1e6)];
    let text = text.trim();
    let unit = UNITS.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|number| (number, *factor)));
    let (number, factor) = unit.unwrap_or((text, 1.0));
    let value = number.trim().parse::<f64>().ok()? * factor;
    (value.is_finite() && value >= 0.0).then_some(value)
}

/// Checks that the timeline holds all of the part that was asked for.
///
/// # Errors
/// More events than are kept, or a part that lies behind the measured window: with a part that fits.
pub fn check(timeline: &Timeline, asked: &Span, file: &Path, frequency_mhz: u32) -> Result<()> {
    let file = file.display();
    let shown = |cycles: u64| cycles as f64 / f64::from(frequency_mhz);
    let (start, end) = (shown(asked.start), shown(asked.end));
    if let Some(cut) = timeline.cut_at() {
        // a tenth less, because counters of several cores do not come exactly in order
        let fits = start + (shown(cut) - start) * 0.9;
        bail!(
            "{file}: {start:.0} to {end:.0} us hold more events than a timeline keeps; ask for a shorter part, such as \
             --timeline-window {start:.0}us..{fits:.0}us"
        );
    }
    let length = shown(timeline.length());
    if timeline.length() <= asked.start {
        bail!(
            "{file}: nothing to record from {start:.0} us on, the measured window is {length:.0} us long; ask for an earlier part \
             (--timeline-window) or measure longer (--requests)"
        );
    }
    Ok(())
}

/// The timeline as trace-event JSON, one event a line.
pub fn events(timeline: &Timeline, title: &str, frequency_mhz: u32) -> String {
    let clock = Clock { frequency_mhz };
    let mut lines = vec![metadata("process_name", None, title)];
    for (core, slices) in timeline.cores().iter().enumerate() {
        lines.push(metadata("thread_name", Some(core), &format!("core {core}")));
        lines.extend(slices.iter().filter_map(|slice| clock.slice(core, slice)));
        let marks = timeline.calls_without_slice()[core].iter();
        lines.extend(marks.map(|(at, call)| clock.mark(core, *at, call.name())));
    }
    for counter in timeline.counters() {
        let name = counter_name(&counter);
        lines.extend(counter.samples.iter().map(|sample| clock.counter(&name, *sample)));
    }
    let calls: Map<String, Value> = timeline.calls().map(|(call, count)| (call.name().to_owned(), count.into())).collect();
    let span = timeline.span();
    let other = json!({"calls": calls, "frequency_mhz": frequency_mhz, "start_cycles": span.start, "end_cycles": span.end});
    format!("{{\"displayTimeUnit\":\"ns\",\"otherData\":{other},\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
}

fn metadata(what: &str, thread: Option<usize>, name: &str) -> String {
    let mut event = json!({"ph": "M", "name": what, "pid": CORES, "args": {"name": name}});
    if let Some(thread) = thread {
        event["tid"] = (thread + FIRST_THREAD).into();
    }
    event.to_string()
}

fn counter_name(counter: &Counter) -> String {
    counter.index.map_or_else(|| counter.name.to_owned(), |index| format!("{} {index}", counter.name))
}

/// A time in the file, microseconds with fixed digits. Readers cut times to whole nanoseconds; the fifth decimal keeps a binary fraction
/// from being a little below the nanosecond meant, which would make slices overlap, and Perfetto drops those.
fn digits(nanoseconds: u64) -> String {
    format!("{}.{:03}2", nanoseconds / 1000, nanoseconds % 1000)
}

struct Clock {
    frequency_mhz: u32,
}

impl Clock {
    /// Nanoseconds, rounded once for both ends of a slice, so that slices that touch still touch.
    fn nanoseconds(&self, cycles: u64) -> u64 {
        (u128::from(cycles) * 1000 / u128::from(self.frequency_mhz)) as u64
    }

    /// A slice; nothing for one that is shorter than the file's unit of a nanosecond, unless a call begins with it.
    fn slice(&self, core: usize, slice: &Slice) -> Option<String> {
        let (start, end) = (self.nanoseconds(slice.start), self.nanoseconds(slice.end));
        if start == end && !slice.begins {
            return None;
        }
        let mut arguments = format!("\"cycles\":{}", slice.end - slice.start);
        if slice.what != What::Idle {
            write!(arguments, ",\"task\":{}", slice.task.0).ok();
        }
        if slice.slot != Slot::NONE {
            write!(arguments, ",\"request\":{}", slice.slot.0).ok();
        }
        if let What::Call(_) = slice.what {
            write!(arguments, ",\"begins\":{}", slice.begins).ok();
        }
        Some(format!(
            r#"{{"ph":"X","name":"{}","cat":"{}","ts":{},"dur":{},"pid":{CORES},"tid":{},"args":{{{arguments}}}}}"#,
            slice.what.name(),
            slice.what.category(),
            digits(start),
            digits(end - start),
            core + FIRST_THREAD,
        ))
    }

    /// A call without recorded work is a mark on its core's track.
    fn mark(&self, core: usize, at: u64, call: &str) -> String {
        let (time, thread) = (digits(self.nanoseconds(at)), core + FIRST_THREAD);
        format!(r#"{{"ph":"i","s":"t","name":"{call}","cat":"kernel","ts":{time},"pid":{CORES},"tid":{thread}}}"#)
    }

    fn counter(&self, name: &str, sample: (u64, u64)) -> String {
        let time = digits(self.nanoseconds(sample.0));
        format!(r#"{{"ph":"C","name":"{name}","ts":{time},"pid":{CORES},"args":{{"value":{}}}}}"#, sample.1)
    }
}

/// Cycles of the whole measured window as folded stacks: `workload;mechanism;mode;work;cause cycles`, one a line. `mode` is the privilege
/// mode that counters see; work and cause name the component of the cycle stack.
pub fn folded(timeline: &Timeline, workload: &str, mechanism: &str) -> String {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for (what, component, cycles) in timeline.folded() {
        let frames = match (mode(what, component), component) {
            (Some(mode), Component::Work(_, cause)) => format!("{};{};{}", mode.name(), work(what), cause.name()),
            (Some(mode), Component::Crossing(part)) => format!("{};crossing;{}", mode.name(), part.name()),
            (_, waiting) => waiting.name(),
        };
        *stacks.entry(format!("{};{};{frames}", frame(workload), frame(mechanism))).or_default() += cycles;
    }
    stacks.iter().map(|(stack, cycles)| format!("{stack} {cycles}\n")).collect()
}

/// The mode in which the cycles passed, as the counters have it; none for waiting.
fn mode(what: What, component: Component) -> Option<Mode> {
    match (component, what) {
        (Component::Idle | Component::Client, _) => None,
        (Component::Crossing(part), _) => Some(part.mode()),
        (_, What::User) => Some(Mode::User),
        (_, What::Mechanism(mode)) => Some(mode),
        _ => Some(Mode::Kernel),
    }
}

/// The frame of a kind of work: a call's name, or what else it is.
fn work(what: What) -> String {
    match what {
        What::User => "program".into(),
        What::Mechanism(_) => "mechanism".into(),
        other => other.name(),
    }
}

/// A name without what separates frames and counts.
fn frame(name: &str) -> String {
    name.replace([';', ' '], "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mechanisms::experiment::Settings;
    use mechanisms::registry::Mechanism;
    use mechanisms::simulate::{Sample, simulate, simulate_recorded};
    use traces::synthetic::{Shape, server};

    const ALL: Span = Span { start: 0, end: u64::MAX };

    fn settings(cores: u32) -> Settings {
        let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
        settings.run.cores = cores;
        settings.run.connections = 12;
        settings.run.requests = 60;
        settings
    }

    fn recorded(mechanism: Mechanism, cores: u32) -> (Sample, Timeline, Settings) {
        let workload = server(Shape::default());
        let settings = settings(cores);
        let (sample, timeline) = simulate_recorded(&workload, &settings, mechanism, 1, ALL).unwrap();
        let plain = simulate(&workload, &settings, mechanism, 1).unwrap();
        assert_eq!((sample.window_cycles, &sample.calls), (plain.window_cycles, &plain.calls), "recording changes nothing");
        (sample, timeline, settings)
    }

    /// Calls that begin in the slices and marks of a timeline, by number.
    fn begun(timeline: &Timeline) -> BTreeMap<u16, u64> {
        let slices = timeline.cores().iter().flatten().filter(|slice| slice.begins);
        let of_slices = slices.filter_map(|slice| if let What::Call(call) = slice.what { Some(call) } else { None });
        let marks = timeline.calls_without_slice().iter().flatten().map(|mark| mark.1);
        let mut counts = BTreeMap::new();
        for call in of_slices.chain(marks) {
            *counts.entry(call.0).or_default() += 1;
        }
        counts
    }

    fn calls(sample: &Sample) -> BTreeMap<u16, u64> {
        let counts = sample.calls.iter().enumerate().filter(|count| *count.1 > 0);
        counts.map(|(call, count)| (call as u16, *count)).collect()
    }

    #[test]
    fn slices_cover_every_core_without_gaps_and_calls_are_those_of_the_report() {
        for entry in &mechanisms::registry::ALL {
            let (sample, timeline, _) = recorded(entry.mechanism, 2);
            for slices in timeline.cores() {
                assert_eq!(slices.first().unwrap().start, 0, "{}", entry.name);
                assert_eq!(slices.last().unwrap().end, sample.window_cycles, "{}", entry.name);
                assert!(slices.windows(2).all(|pair| pair[0].end == pair[1].start), "{}: a gap", entry.name);
            }
            assert_eq!(timeline.calls().map(|(call, count)| (call.0, count)).collect::<BTreeMap<_, _>>(), calls(&sample));
            assert_eq!(begun(&timeline), calls(&sample), "{}", entry.name);
        }
    }

    #[test]
    fn calls_of_a_part_of_the_window_are_those_that_begin_in_it() {
        let workload = server(Shape::default());
        let settings = settings(2);
        let (sample, _, _) = recorded(Mechanism::ExceptionLess, 2);
        let mut sum: BTreeMap<u16, u64> = BTreeMap::new();
        let parts = 7;
        for part in 0..parts {
            let end = if part + 1 == parts { u64::MAX } else { sample.window_cycles * (part + 1) / parts };
            let span = Span { start: sample.window_cycles * part / parts, end };
            let (_, timeline) = simulate_recorded(&workload, &settings, Mechanism::ExceptionLess, 1, span).unwrap();
            let own = begun(&timeline);
            assert_eq!(own, timeline.calls().map(|(call, count)| (call.0, count)).collect(), "part {part}");
            own.into_iter().for_each(|(call, count)| *sum.entry(call).or_default() += count);
        }
        assert_eq!(sum, calls(&sample), "no call is lost or counted twice where two parts meet");
    }

    #[test]
    fn folded_stacks_sum_to_the_cycles_of_all_cores_and_to_those_of_each_mode() {
        for entry in &mechanisms::registry::ALL {
            let (sample, timeline, settings) = recorded(entry.mechanism, 2);
            let text = folded(&timeline, "a server", entry.name);
            let stacks: Vec<(Vec<&str>, u64)> = text
                .lines()
                .map(|line| {
                    let (stack, count) = line.rsplit_once(' ').unwrap();
                    (stack.split(';').collect(), count.parse().unwrap())
                })
                .collect();
            assert!(stacks.iter().all(|(frames, _)| frames[..2] == ["a_server", entry.name]), "{text}");
            let sum: u64 = stacks.iter().map(|stack| stack.1).sum();
            assert_eq!(sum, sample.window_cycles * u64::from(settings.run.cores), "{}", entry.name);
            for mode in Mode::ALL {
                let own: u64 = stacks.iter().filter(|(frames, _)| frames[2] == mode.name()).map(|stack| stack.1).sum();
                assert_eq!(own, sample.counters.mode(mode).cycles, "{} {}", entry.name, mode.name());
            }
            for component in Component::all() {
                let own: u64 = timeline.folded().filter(|entry| entry.1 == component).map(|entry| entry.2).sum();
                assert_eq!(own, sample.stack.get(component), "{} {}", entry.name, component.name());
            }
        }
    }

    #[test]
    fn the_file_is_json_whose_times_add_up_to_the_window() {
        let (sample, timeline, settings) = recorded(Mechanism::ExceptionLess, 2);
        let clock = Clock { frequency_mhz: settings.machine.frequency_mhz };
        let file: Value = serde_json::from_str(&events(&timeline, "synthetic", settings.machine.frequency_mhz)).unwrap();
        let events = file["traceEvents"].as_array().unwrap();
        let of = |core: u64| events.iter().filter(move |event| event["ph"] == "X" && event["tid"] == core + 1);
        // as readers do it: cut, not rounded
        let nanoseconds = |value: &Value| (value.as_f64().unwrap() * 1000.0) as u64;
        for core in 0..2 {
            let sum: u64 = of(core).map(|event| nanoseconds(&event["dur"])).sum();
            assert_eq!(sum, clock.nanoseconds(sample.window_cycles));
            let ends: Vec<(u64, u64)> = of(core).map(|event| (nanoseconds(&event["ts"]), nanoseconds(&event["dur"]))).collect();
            assert!(ends.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0), "no gap and no overlap on a track");
        }
        let begin = |event: &&Value| event["ph"] == "i" || event["args"]["begins"] == true;
        let reads = events.iter().filter(begin).filter(|event| event["name"] == "read").count() as u64;
        assert_eq!(reads, sample.calls[0]);
        assert_eq!(file["otherData"]["calls"]["read"], sample.calls[0]);
    }

    #[test]
    fn counters_show_queues_rings_links_and_the_entries_of_syscall_pages() {
        let (_, timeline, _) = recorded(Mechanism::ExceptionLess, 2);
        let counters = timeline.counters();
        let names: Vec<String> = counters.iter().map(counter_name).collect();
        for name in ["run queue 0", "receive ring 0", "accept queue 0", "link to the server, payload bytes"] {
            assert!(names.iter().any(|own| own == name), "{name} in {names:?}");
        }
        for counter in &counters {
            assert!(counter.samples.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{}: out of order", counter.name);
        }
        let states = ["free", "submitted", "busy", "done"].map(|state| {
            let found = counters.iter().find(|counter| counter.name.starts_with(state) && counter.index == Some(0)).unwrap();
            found.samples[0].1
        });
        assert!(states.iter().sum::<u64>() <= 64 && states.iter().any(|count| *count > 0), "{states:?}");
    }

    #[test]
    fn a_window_cuts_slices_at_its_ends() {
        let workload = server(Shape::default());
        let settings = Settings::preset("nehalem", "linux-6.1").unwrap();
        let span = window(Some("10..30.5us"), settings.machine.frequency_mhz).unwrap();
        let (_, timeline) = simulate_recorded(&workload, &settings, Mechanism::Sync, 1, span).unwrap();
        let slices = &timeline.cores()[0];
        assert_eq!((slices[0].start, slices[slices.len() - 1].end), (span.start, span.end));
    }

    #[test]
    fn a_part_behind_the_measured_window_is_refused() {
        let (sample, _, settings) = recorded(Mechanism::Sync, 1);
        let frequency_mhz = settings.machine.frequency_mhz;
        let span = Span { start: sample.window_cycles + 1, end: u64::MAX };
        let (_, timeline) = simulate_recorded(&server(Shape::default()), &settings, Mechanism::Sync, 1, span).unwrap();
        let error = check(&timeline, &span, Path::new("t.json"), frequency_mhz).unwrap_err().to_string();
        assert!(error.starts_with("t.json: nothing to record") && error.contains("--timeline-window"), "{error}");
    }

    #[test]
    fn windows_are_read_or_refused() {
        assert_eq!(window(None, 1000).unwrap(), Span { start: 0, end: 2_000_000 });
        assert_eq!(window(Some("1.5..2"), 1000).unwrap(), Span { start: 1500, end: 2000 });
        assert_eq!(window(Some("500ns .. 0.002ms"), 1000).unwrap(), Span { start: 500, end: 2000 });
        assert_eq!(window(Some("0us..1s"), 1).unwrap(), Span { start: 0, end: 1_000_000 });
        for refused in ["5", "5..", "5..5", "9..3", "-1..4", "a..b", "0..inf", "1kg..2kg"] {
            assert!(window(Some(refused), 1000).unwrap_err().to_string().contains("START..END"), "{refused}");
        }
    }
}
