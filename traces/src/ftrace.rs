//! System calls as the kernel's ftrace prints them: the events `raw_syscalls:sys_enter` and `sys_exit` of `trace` or `trace_pipe`.
//!
//! Numbers only: no strings, no descriptor kinds (they follow from the calls), time in microseconds or, with the `x86-tsc` clock, in
//! cycles. The tracer costs tens of nanoseconds a call instead of strace's tens of microseconds.

use crate::error::TraceError;
use crate::strace::{self, Argument, Counts, Recording, StraceCall, objects};
use rustc_hash::FxHashMap;
use sim_core::calls::CallNumber;

/// Clock assumed for stamps in cycles, MHz: they carry no unit. Gaps become instructions at the same clock
/// ([`strace::distil::DistilOptions::clock_mhz`] has the same default), so that the assumption cancels out.
pub const TSC_MHZ: u64 = 2_400;

/// True when the text looks like ftrace's.
pub fn sniff(bytes: &[u8]) -> bool {
    let lines = || bytes.split(|byte| *byte == b'\n').take(200).map(String::from_utf8_lossy);
    bytes.starts_with(b"# tracer:") || lines().any(|line| matches!(event(&line), Some(Line { event: Event::Enter { .. }, .. })))
}

enum Event {
    Enter { number: u16, arguments: Vec<i64> },
    Exit { number: u16, result: i64 },
    Other,
}

struct Line {
    pid: u32,
    now_ns: u64,
    event: Event,
}

/// `COMM-PID [CPU] FLAGS STAMP: NAME: FIELDS`.
fn event(text: &str) -> Option<Line> {
    let (task, rest) = text.split_once(" [")?;
    let pid = task.trim_end().rsplit_once('-')?.1.parse().ok()?;
    let (_, rest) = rest.split_once("] ")?;
    let (columns, rest) = rest.split_once(": ")?;
    let now_ns = stamp(columns.split_ascii_whitespace().last()?)?;
    let event = match rest.split_once(": ") {
        Some(("sys_enter", fields)) => enter(fields)?,
        Some(("sys_exit", fields)) => exit(fields)?,
        Some(_) => Event::Other,
        None => return None,
    };
    Some(Line { pid, now_ns, event })
}

fn stamp(text: &str) -> Option<u64> {
    match text.split_once('.') {
        Some((seconds, fraction)) if (1..=9).contains(&fraction.len()) => {
            let fraction_ns = fraction.parse::<u64>().ok()? * 10u64.pow(9 - fraction.len() as u32);
            seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(fraction_ns)
        }
        Some(_) => None,
        None => text.parse::<u64>().ok().map(|cycles| (u128::from(cycles) * 1_000 / u128::from(TSC_MHZ)) as u64),
    }
}

/// `NR 288 (b, 7ffd0441c2c0, …)`: arguments are hexadecimal.
fn enter(fields: &str) -> Option<Event> {
    let (number, rest) = fields.strip_prefix("NR ")?.split_once(" (")?;
    let list = rest.trim_end().strip_suffix(')')?;
    let arguments: Option<Vec<i64>> =
        list.split(", ").map(|argument| u64::from_str_radix(argument, 16).ok().map(|value| value as i64)).collect();
    Some(Event::Enter { number: number.parse().ok()?, arguments: arguments? })
}

/// `NR 288 = 13`.
fn exit(fields: &str) -> Option<Event> {
    let (number, result) = fields.strip_prefix("NR ")?.split_once(" = ")?;
    // -1 as a number stands for a call that was replaced by its restart.
    Some(Event::Exit { number: number.parse().unwrap_or(u16::MAX), result: result.trim().parse().ok()? })
}

/// Reads ftrace's text.
///
/// # Errors
/// A line that is neither a comment nor an event, with its number; with `lenient` the recording up to there.
pub fn read(bytes: &[u8], file: &str, lenient: bool) -> Result<Recording, TraceError> {
    let mut counts = Counts::default();
    let mut calls = Vec::new();
    let mut inside: FxHashMap<u32, StraceCall> = FxHashMap::default();
    let mut damage = None;
    for text in bytes.split_inclusive(|byte| *byte == b'\n') {
        let whole = text.ends_with(b"\n");
        let text = String::from_utf8_lossy(text);
        counts.lines += 1;
        if text.starts_with('#') || text.trim().is_empty() || text.contains("[LOST ") {
            counts.remarks += 1;
            continue;
        }
        let Some(line) = event(text.trim_end()).filter(|_| whole) else {
            let shown: String = text.trim().chars().take(80).collect();
            let problem =
                if whole { format!("`{shown}` is not an event of ftrace") } else { format!("the file ends inside `{shown}`") };
            damage = Some(TraceError::at_line(file, counts.lines, problem));
            break;
        };
        match line.event {
            Event::Enter { number, arguments } => {
                let call = begin(line.pid, counts.lines, line.now_ns, number, &arguments);
                counts.never_resumed += u64::from(inside.insert(line.pid, call).is_some());
            }
            Event::Exit { number, result } => match inside.remove(&line.pid) {
                Some(call) if call.number == Some(CallNumber(number)) => {
                    counts.pairs += 1;
                    calls.push(end(call, line.now_ns, result));
                }
                Some(_) => {
                    counts.never_resumed += 1;
                    counts.never_begun += 1;
                }
                None => counts.never_begun += 1,
            },
            Event::Other => counts.remarks += 1,
        }
    }
    if let Some(error) = damage.take_if(|_| !lenient) {
        return Err(error);
    }
    if calls.is_empty() {
        let advice = "Enable the events raw_syscalls:sys_enter and raw_syscalls:sys_exit while recording";
        return Err(damage.unwrap_or_else(|| TraceError::content(file, "no finished system call in it", advice)));
    }
    counts.never_resumed += inside.len() as u64;
    calls.sort_by_key(|call| (call.start_ns, call.line));
    objects::resolve(&mut calls);
    let damage = damage.map(|error| error.to_string());
    Ok(Recording { format: "ftrace".to_owned(), calls, counts, timed: true, durations: true, decorated: false, damage })
}

fn begin(pid: u32, line: u64, start_ns: u64, number: u16, arguments: &[i64]) -> StraceCall {
    let number = CallNumber(number);
    StraceCall {
        pid,
        line,
        start_ns,
        end_ns: start_ns,
        name: number.name().to_owned(),
        number: Some(number),
        descriptors: objects::used_numbers(number.name(), |index| arguments.get(index).copied()),
        made: Vec::new(),
        arguments: arguments.iter().map(|argument| Argument::Number(*argument)).collect(),
        peer: None,
        command: None,
        result: None,
        error: None,
        bytes: 0,
        count: 1,
    }
}

fn end(mut call: StraceCall, now_ns: u64, result: i64) -> StraceCall {
    call.end_ns = now_ns.max(call.start_ns);
    call.result = Some(result);
    call.bytes = strace::bytes(&call.name, call.result);
    if (-4095..0).contains(&result) {
        call.error = Some(error_name(result));
    } else if objects::makes_descriptor(&call.name)
        && let Ok(number) = i32::try_from(result)
    {
        let mut made = objects::Descriptor::new(number, None);
        made.object = objects::made_by_name(&call.name);
        call.made = vec![made];
    }
    if matches!(call.name.as_str(), "epoll_wait" | "epoll_pwait" | "poll" | "ppoll" | "select" | "recvmmsg" | "sendmmsg") {
        call.count = u32::try_from(result).unwrap_or(0);
    } else if let ("writev" | "readv", Some(Argument::Number(count))) = (call.name.as_str(), call.arguments.get(2)) {
        call.count = u32::try_from(*count).unwrap_or(1);
    }
    call
}

/// Names of the errors that the importer looks at; others by number. Source: the kernel's `errno-base.h` and `errno.h`.
fn error_name(result: i64) -> String {
    match -result {
        4 => "EINTR".to_owned(),
        11 => "EAGAIN".to_owned(),
        115 => "EINPROGRESS".to_owned(),
        512 => "ERESTARTSYS".to_owned(),
        number => format!("E{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# tracer: nop\n#\n\
        mc-worker-7 [000] ..... 10.000001: sys_enter: NR 288 (b, 7ffd0441c2c0, 7ffd0441c2bc, 800, 0, 1)\n\
        mc-worker-7 [000] d..2. 10.000002: sched_switch: prev_comm=a prev_pid=7 ==> next_comm=b next_pid=8\n\
        mc-worker-7 [000] ..... 10.000003: sys_exit: NR 288 = 13\n\
        mc-worker-7 [000] ..... 10.000004: sys_enter: NR 0 (d, 7f8d9b01bd50, 8, 0, 0, 6)\n\
        mc-worker-7 [000] ..... 10.000005: sys_exit: NR 0 = -11\n";

    #[test]
    fn enter_and_exit_make_a_call() {
        let recording = read(TEXT.as_bytes(), "t", false).unwrap();
        assert_eq!(recording.counts.accounted(), recording.counts.lines);
        let [accept, receive] = recording.calls.as_slice() else { panic!("{:?}", recording.calls) };
        assert_eq!((accept.name.as_str(), accept.pid, accept.result), ("accept4", 7, Some(13)));
        assert_eq!((accept.start_ns, accept.end_ns), (10_000_001_000, 10_000_003_000));
        assert!(receive.failed_with("EAGAIN"));
        assert_eq!(receive.descriptor().unwrap().instance, accept.made[0].instance);
        assert!(receive.descriptor().unwrap().is_connection());
    }

    #[test]
    fn a_cut_line_is_named() {
        let cut = &TEXT.as_bytes()[..TEXT.len() - 5];
        assert!(read(cut, "t", false).unwrap_err().to_string().starts_with("t: line 7:"));
        assert_eq!(read(cut, "t", true).unwrap().calls.len(), 1);
    }

    #[test]
    fn cycles_are_taken_at_the_stated_clock() {
        assert_eq!(stamp("2400"), Some(1_000));
        assert_eq!(stamp("1.5"), Some(1_500_000_000));
        assert_eq!(stamp("x"), None);
    }
}
