//! One line of strace's output.

use super::value::{Value, arguments, decoration, number};
use winnow::ascii::{digit1, space0, space1};
use winnow::combinator::{alt, delimited, opt, terminated};
use winnow::prelude::*;
use winnow::token::{literal, take_while};

/// How a line says when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Seconds and fraction, in nanoseconds: since 1970 (`-ttt`) or since the line before (`-r`).
    Seconds(u64),
    /// Time of day (`-t`, `-tt`), in nanoseconds.
    TimeOfDay(u64),
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A call from its name to the result, all on this line.
    Complete(&'a str),
    /// A call whose end comes later: text from its name up to where it stops.
    Unfinished(&'a str),
    /// The end of such a call.
    Resumed {
        /// Name of the call.
        name: &'a str,
        /// Text after `resumed>`.
        rest: &'a str,
    },
    /// A call that strace did not see to its end (it detached).
    Detached,
    /// A signal.
    Signal,
    /// End of a task.
    Exit,
    /// A remark of strace itself.
    Remark,
}

/// A line with its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Task, when strace printed it.
    pub pid: Option<u32>,
    /// Time, when strace printed it.
    pub stamp: Option<Stamp>,
    /// The rest.
    pub event: Event<'a>,
}

/// A call with its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Call<'a> {
    /// Name.
    pub name: &'a str,
    /// Values between the parentheses.
    pub arguments: Vec<Value<'a>>,
    /// Result; `None` for `?`.
    pub result: Option<i64>,
    /// Decoration of the result, when it is a descriptor.
    pub result_decoration: Option<&'a str>,
    /// Error name (`EAGAIN`).
    pub error: Option<&'a str>,
    /// Time in the call, nanoseconds (`-T`).
    pub duration_ns: Option<u64>,
}

/// Reads the columns of a line and says what it is; `None` when it is nothing that strace prints.
pub fn line(text: &str) -> Option<Line<'_>> {
    let mut rest = text.trim();
    if rest.is_empty() || rest.starts_with("strace: ") {
        return Some(Line { pid: None, stamp: None, event: Event::Remark });
    }
    let pid = opt(pid).parse_next(&mut rest).ok()?;
    let stamp = opt(terminated(stamp, space1)).parse_next(&mut rest).ok()?;
    // Instruction pointers and call numbers (`-i`, `-n`) stand in brackets.
    while let Some(after) = bracketed(rest) {
        rest = after;
    }
    let event = event(rest)?;
    Some(Line { pid, stamp, event })
}

/// `1234 ` (with -o) or `[pid  1234] ` (on a terminal).
fn pid(input: &mut &str) -> winnow::Result<u32> {
    alt((
        delimited((literal("[pid"), space1), digit1.parse_to::<u32>(), (']', space1)),
        terminated(digit1.parse_to::<u32>(), space1),
    ))
    .parse_next(input)
}

/// Text after `[00007f9ff06c8ad7] ` or `[ 231] `.
fn bracketed(text: &str) -> Option<&str> {
    let (inside, rest) = text.strip_prefix('[')?.split_once("] ")?;
    inside.trim().bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'?').then_some(rest)
}

fn stamp(input: &mut &str) -> winnow::Result<Stamp> {
    alt((time_of_day.map(Stamp::TimeOfDay), seconds.map(Stamp::Seconds))).parse_next(input)
}

/// `12:34:56` with or without a fraction.
fn time_of_day(input: &mut &str) -> winnow::Result<u64> {
    let two = |input: &mut &str| take_while(2..=2, '0'..='9').parse_to::<u64>().parse_next(input);
    let (hours, _, minutes, _, seconds) = (two, ':', two, ':', two).parse_next(input)?;
    let fraction = opt(fraction).parse_next(input)?.unwrap_or(0);
    Ok((hours * 3600 + minutes * 60 + seconds) * 1_000_000_000 + fraction)
}

/// `1795239049.564294`, nanoseconds.
fn seconds(input: &mut &str) -> winnow::Result<u64> {
    let whole = take_while(1..=10, '0'..='9').parse_to::<u64>().parse_next(input)?;
    Ok(whole * 1_000_000_000 + fraction(input)?)
}

/// `.564294`: 1 to 9 digits, nanoseconds.
fn fraction(input: &mut &str) -> winnow::Result<u64> {
    let digits = winnow::combinator::preceded('.', take_while(1..=9, '0'..='9')).parse_next(input)?;
    let value: u64 = digits.bytes().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    Ok(value * 10u64.pow(9 - digits.len() as u32))
}

fn event(text: &str) -> Option<Event<'_>> {
    if text.starts_with("--- ") && text.ends_with("---") {
        return Some(Event::Signal);
    }
    if text.starts_with("+++ ") && text.ends_with("+++") {
        return Some(Event::Exit);
    }
    if let Some(resumed) = text.strip_prefix("<... ") {
        let (name, rest) = resumed.split_once(" resumed>")?;
        return Some(Event::Resumed { name, rest });
    }
    let end = text.find('(')?;
    if end == 0 || !text[..end].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    if text.ends_with("<detached ...>") {
        return Some(Event::Detached);
    }
    match text.strip_suffix("<unfinished ...>") {
        Some(start) => Some(Event::Unfinished(start.trim_end())),
        None => Some(Event::Complete(text)),
    }
}

/// A whole call: `name(arguments) = result error (explanation) <duration>`.
pub fn call<'a>(text: &'a str) -> Option<Call<'a>> {
    let mut rest = text;
    let name = name(&mut rest).ok()?;
    let arguments = if let Some(after) = restarted(rest) {
        rest = after;
        Vec::new()
    } else {
        arguments(&mut rest).ok()?
    };
    (space0::<&str, winnow::error::EmptyError>, '=', space1).parse_next(&mut rest).ok()?;
    let (rest, duration_ns) = duration(rest);
    let (result, rest) = result(rest)?;
    let mut rest = rest;
    let result_decoration = opt(decoration).parse_next(&mut rest).ok()?;
    let mut words = rest.split_ascii_whitespace();
    let error = words.next().filter(|word| word.len() > 1 && word.starts_with('E') && word.bytes().all(is_error_letter));
    Some(Call { name, arguments, result, result_decoration, error, duration_ns })
}

fn name<'a>(input: &mut &'a str) -> winnow::Result<&'a str> {
    terminated(take_while(1.., |letter: char| letter.is_ascii_alphanumeric() || letter == '_'), '(').parse_next(input)
}

fn is_error_letter(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
}

/// `restart_syscall(<... resuming interrupted read ...>)`: text after the parenthesis.
fn restarted(text: &str) -> Option<&str> {
    let (_, rest) = text.strip_prefix("<... resuming interrupted ")?.split_once(" ...>")?;
    rest.trim_start().strip_prefix(')')
}

/// Takes `<0.000012>` off the end.
fn duration(text: &str) -> (&str, Option<u64>) {
    let parts = text.strip_suffix('>').and_then(|text| text.rsplit_once('<'));
    if let Some((before, digits)) = parts
        && let Ok(duration_ns) = seconds.parse(digits)
    {
        return (before.trim_end(), Some(duration_ns));
    }
    (text, None)
}

fn result(text: &str) -> Option<(Option<i64>, &str)> {
    if let Some(rest) = text.strip_prefix('?') {
        return Some((None, rest));
    }
    let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-')).unwrap_or(text.len());
    Some((Some(number(&text[..end])?), &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_in_all_their_forms() {
        for (text, pid, stamp) in [
            ("28629 1795239049.564294 getpid() = 1", Some(28629), Some(Stamp::Seconds(1_795_239_049_564_294_000))),
            ("[pid    42] 01:02:03.5 getpid() = 1", Some(42), Some(Stamp::TimeOfDay(3_723_500_000_000))),
            ("01:02:03 getpid() = 1", None, Some(Stamp::TimeOfDay(3_723_000_000_000))),
            ("     0.000123 getpid() = 1", None, Some(Stamp::Seconds(123_000))),
            ("7 getpid() = 1", Some(7), None),
            ("7 [00007f9ff06c8ad7] getpid() = 1", Some(7), None),
            ("7 [  39] [00007f9ff06c8ad7] getpid() = 1", Some(7), None),
            ("getpid() = 1", None, None),
        ] {
            let line = line(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((line.pid, line.stamp), (pid, stamp), "{text}");
            assert!(matches!(line.event, Event::Complete(_)), "{text}");
        }
    }

    #[test]
    fn kinds_of_line() {
        assert_eq!(line("1 --- SIGCHLD {si_signo=SIGCHLD} ---").unwrap().event, Event::Signal);
        assert_eq!(line("1 +++ exited with 0 +++").unwrap().event, Event::Exit);
        assert_eq!(line("1 read(6<a>,  <unfinished ...>").unwrap().event, Event::Unfinished("read(6<a>,"));
        assert_eq!(line("1 <... read resumed>\"\", 8) = 0").unwrap().event, Event::Resumed { name: "read", rest: "\"\", 8) = 0" });
        assert_eq!(line("1 epoll_wait(8,  <detached ...>").unwrap().event, Event::Detached);
        assert_eq!(line("strace: Process 12 attached").unwrap().event, Event::Remark);
        assert_eq!(line("hello world"), None);
    }

    #[test]
    fn results_errors_and_durations() {
        let accepted = call("accept4(11<TCP:[a:1]>, NULL, NULL, 0) = 13<TCP:[a:1->b:2]> <0.000020>").unwrap();
        assert_eq!((accepted.result, accepted.result_decoration), (Some(13), Some("TCP:[a:1->b:2]")));
        assert_eq!(accepted.duration_ns, Some(20_000));
        let again = call("read(3, 0x7f, 10)      = -1 EAGAIN (Resource temporarily unavailable) <0.000008>").unwrap();
        assert_eq!((again.result, again.error), (Some(-1), Some("EAGAIN")));
        let unknown = call("exit_group(0) = ?").unwrap();
        assert_eq!((unknown.result, unknown.error, unknown.duration_ns), (None, None, None));
        let polled = call("poll([{fd=3, events=POLLIN}], 1, -1) = 1 ([{fd=3, revents=POLLIN}])").unwrap();
        assert_eq!((polled.result, polled.arguments.len()), (Some(1), 3));
        let mapped = call("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE, -1, 0) = 0x7f8d9b01b000").unwrap();
        assert_eq!(mapped.result, Some(0x7f8d_9b01_b000));
        let restarted = call("restart_syscall(<... resuming interrupted read ...>) = 0 <0.389382>").unwrap();
        assert_eq!((restarted.result, restarted.duration_ns), (Some(0), Some(389_382_000)));
        let interrupted = call("read(3, 0x7f, 10) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)").unwrap();
        assert_eq!((interrupted.result, interrupted.error), (None, Some("ERESTARTSYS")));
    }

    #[test]
    fn cut_calls_are_not_calls() {
        for text in ["read(3<TCP:[a->b]", "read(3, \"abc", "read(3, \"abc\", 5", "read(3, \"abc\", 5) =", "read(3, \"abc\", 5) = "]
        {
            assert_eq!(call(text), None, "{text}");
        }
    }
}
