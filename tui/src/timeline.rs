//! Timelines as trace-event JSON (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>), which Perfetto
//! and chrome://tracing open, and cycles as folded stacks, which flame-graph tools read.

use anyhow::{Result, anyhow};
use os_model::action::Slot;
use os_model::timeline::{Counter, Slice, Span, Timeline, What};
use serde_json::{Map, Value, json};
use sim_core::stack::Component;
use std::collections::BTreeMap;

/// Process number of the cores' tracks in the file.
const CORES: u32 = 1;
/// Thread number of core 0 in the file: readers take thread 0 for an operating system's idle task.
const FIRST_THREAD: usize = 1;
/// Added to times in the file. Readers cut them to whole nanoseconds; without it a binary fraction that is a little below the
/// nanosecond meant would make slices overlap, and Perfetto drops those.
const ROUNDING_US: f64 = 0.0002;
/// Microseconds that are recorded when nothing else is asked for.
const WINDOW_US: f64 = 2000.0;

/// The part of the measured window that `START..END` asks for, microseconds.
///
/// # Errors
/// What is not two numbers in order.
pub fn window(asked: Option<&str>, frequency_mhz: u32) -> Result<Span> {
    let (start, end) = match asked {
        None => (0.0, WINDOW_US),
        Some(text) => bounds(text).ok_or_else(|| {
            anyhow!("--timeline-window {text}: not two times in order; write START..END in microseconds, such as 0..500")
        })?,
    };
    let cycles = |time_us: f64| (time_us * f64::from(frequency_mhz)) as u64;
    Ok(Span { start: cycles(start), end: cycles(end) })
}

fn bounds(text: &str) -> Option<(f64, f64)> {
    let (start, end) = text.split_once("..")?;
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    let bounds = (number(start)?, number(end)?);
    (bounds.0 < bounds.1).then_some(bounds)
}

/// The timeline as trace-event JSON, one event a line.
pub fn events(timeline: &Timeline, title: &str, frequency_mhz: u32) -> String {
    let clock = Clock { frequency_mhz };
    let mut events = vec![metadata("process_name", None, title)];
    for (core, slices) in timeline.cores().iter().enumerate() {
        events.push(metadata("thread_name", Some(core), &format!("core {core}")));
        events.extend(slices.iter().filter_map(|slice| clock.slice(core, slice)));
    }
    for counter in timeline.counters() {
        events.extend(counter.samples.iter().map(|sample| clock.counter(&counter, *sample)));
    }
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let calls: Map<String, Value> = timeline.calls().map(|(call, count)| (call.name().to_owned(), count.into())).collect();
    let other = json!({"calls": calls, "frequency_mhz": frequency_mhz, "complete": !timeline.is_cut()});
    format!("{{\"displayTimeUnit\":\"ns\",\"otherData\":{other},\"traceEvents\":[\n{}\n]}}\n", lines.join(",\n"))
}

fn metadata(what: &str, thread: Option<usize>, name: &str) -> Value {
    let mut event = json!({"ph": "M", "name": what, "pid": CORES, "args": {"name": name}});
    if let Some(thread) = thread {
        event["tid"] = (thread + FIRST_THREAD).into();
    }
    event
}

/// Times in the file are microseconds.
fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0 + ROUNDING_US
}

struct Clock {
    frequency_mhz: u32,
}

impl Clock {
    /// Nanoseconds, rounded once for both ends of a slice, so that slices that touch still touch.
    fn nanoseconds(&self, cycles: u64) -> u64 {
        (u128::from(cycles) * 1000 / u128::from(self.frequency_mhz)) as u64
    }

    /// When something is, in the file's unit.
    fn time(&self, cycles: u64) -> f64 {
        microseconds(self.nanoseconds(cycles))
    }

    /// A slice; nothing for one that is shorter than the file's unit of a nanosecond.
    fn slice(&self, core: usize, slice: &Slice) -> Option<Value> {
        let (start, end) = (self.nanoseconds(slice.start), self.nanoseconds(slice.end));
        let mut arguments = json!({"cycles": slice.end - slice.start});
        if slice.what != What::Idle {
            arguments["task"] = slice.task.0.into();
        }
        if slice.slot != Slot::NONE {
            arguments["request"] = slice.slot.0.into();
        }
        (start < end).then(|| {
            json!({
                "ph": "X",
                "name": slice.what.name(),
                "cat": slice.what.category(),
                "ts": self.time(slice.start),
                "dur": microseconds(end - start),
                "pid": CORES,
                "tid": core + FIRST_THREAD,
                "args": arguments,
            })
        })
    }

    fn counter(&self, counter: &Counter, sample: (u64, u64)) -> Value {
        let name = format!("{} {}", counter.name, counter.index);
        json!({"ph": "C", "name": name, "ts": self.time(sample.0), "pid": CORES, "args": {"value": sample.1}})
    }
}

/// Cycles of the whole measured window as folded stacks: `mode;work;component cycles`, one a line.
pub fn folded(timeline: &Timeline) -> String {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for (what, component, cycles) in timeline.folded() {
        let stack = match component {
            Component::Idle | Component::Client => what.category().to_owned(),
            _ => format!("{};{};{}", what.category(), what.name(), component.name()),
        };
        *stacks.entry(stack).or_default() += cycles;
    }
    stacks.iter().map(|(stack, cycles)| format!("{stack} {cycles}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mechanisms::experiment::Settings;
    use mechanisms::registry::Mechanism;
    use mechanisms::simulate::{Sample, simulate, simulate_recorded};
    use traces::synthetic::{Shape, server};

    const ALL: Span = Span { start: 0, end: u64::MAX };

    fn recorded(mechanism: Mechanism, cores: u32) -> (Sample, Timeline, Settings) {
        let workload = server(Shape::default());
        let mut settings = Settings::preset("nehalem", "linux-6.1").unwrap();
        settings.run.cores = cores;
        settings.run.connections = 12;
        settings.run.requests = 60;
        let (sample, timeline) = simulate_recorded(&workload, &settings, mechanism, 1, ALL).unwrap();
        let plain = simulate(&workload, &settings, mechanism, 1).unwrap();
        assert_eq!((sample.window_cycles, &sample.calls), (plain.window_cycles, &plain.calls), "recording changes nothing");
        (sample, timeline, settings)
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
            let calls: Vec<(u16, u64)> = timeline.calls().map(|(call, count)| (call.0, count)).collect();
            let expected: Vec<(u16, u64)> =
                sample.calls.iter().enumerate().filter(|count| *count.1 > 0).map(|(call, count)| (call as u16, *count)).collect();
            assert_eq!(calls, expected, "{}", entry.name);
            let folded: u64 = timeline.folded().map(|entry| entry.2).sum();
            assert_eq!(folded, sample.stack.total(), "{}", entry.name);
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
            assert!(ends.windows(2).all(|pair| pair[0].0 + pair[0].1 == pair[1].0));
        }
        assert!(events.iter().any(|event| event["ph"] == "C" && event["name"] == "run queue 0"));
        assert_eq!(file["otherData"]["calls"]["read"], sample.calls[0]);
        assert_eq!(file["otherData"]["complete"], true);
    }

    #[test]
    fn a_window_cuts_slices_at_its_ends() {
        let workload = server(Shape::default());
        let settings = Settings::preset("nehalem", "linux-6.1").unwrap();
        let span = window(Some("10..30.5"), settings.machine.frequency_mhz).unwrap();
        let (_, timeline) = simulate_recorded(&workload, &settings, Mechanism::Sync, 1, span).unwrap();
        let slices = &timeline.cores()[0];
        assert_eq!((slices[0].start, slices[slices.len() - 1].end), (span.start, span.end));
    }

    #[test]
    fn windows_are_read_or_refused() {
        assert_eq!(window(None, 1000).unwrap(), Span { start: 0, end: 2_000_000 });
        assert_eq!(window(Some("1.5..2"), 1000).unwrap(), Span { start: 1500, end: 2000 });
        for refused in ["5", "5..", "5..5", "9..3", "-1..4", "a..b", "0..inf"] {
            assert!(window(Some(refused), 1000).unwrap_err().to_string().contains("START..END"), "{refused}");
        }
    }
}
