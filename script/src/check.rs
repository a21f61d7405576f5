//! Checking a script before a run: what it names, what it gives to calls, and a dry run against a kernel that only answers.

use crate::bindings::{self, SIGNATURES, signature};
use crate::engine::{Engine, Limits};
use crate::failure::LoadError;
use crate::lexer::{Token, line_at, line_span, tokens};
use crate::sandbox::{REMOVED, REMOVED_STRING};
use crate::stub;
use crate::{WAIT, WORK};
use sim_core::calls::CallNumber;
use std::ops::Range;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The script cannot be used so.
    Error,
    /// Worth a look.
    Remark,
}

impl Severity {
    /// Name in results.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Remark => "remark",
        }
    }
}

/// Something found in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// What.
    pub message: String,
    /// Bytes of the script that are meant.
    pub span: Range<usize>,
    /// Line, from 1.
    pub line: u32,
    /// What to do.
    pub help: Option<String>,
}

/// What makes a script unusable, found without running its functions: syntax, unknown calls, names that are not there.
pub fn before_run(source: &str, name: &str, limits: Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    names(source, &tokens(source), &mut findings);
    if let Err(error) = Engine::new(source, name, limits, 0) {
        findings.push(of_load_error(source, error));
    }
    findings.sort_by_key(|finding| (finding.line, finding.span.start));
    findings
}

fn of_load_error(source: &str, error: LoadError) -> Finding {
    let line = error.line.unwrap_or(1);
    let span = named_in(source, line, &error.message);
    Finding { severity: Severity::Error, message: error.message, span, line, help: None }
}

/// Everything found in a script, errors first, in order of lines.
pub fn check(source: &str, name: &str, limits: Limits) -> Vec<Finding> {
    let words = tokens(source);
    let mut findings = Vec::new();
    names(source, &words, &mut findings);
    endless_loops(source, &words, &mut findings);
    match Engine::new(source, name, limits, 0) {
        // a dry run would find again what has been read
        Ok(engine) if findings.iter().all(|found| found.severity == Severity::Remark) => {
            dry_run(source, name, &engine, limits, &mut findings);
        }
        Ok(_) => {}
        Err(error) => findings.push(of_load_error(source, error)),
    }
    findings.sort_by_key(|finding| (finding.severity, finding.line, finding.span.start));
    findings.dedup_by(|next, first| next.line == first.line && next.severity == first.severity && next.severity == Severity::Error);
    findings
}

/// The word that a message of Lua names with `near 'word'`, or its whole line.
fn named_in(source: &str, line: u32, message: &str) -> Range<usize> {
    let whole = line_span(source, line);
    let near = message.split("near '").nth(1).and_then(|rest| rest.rsplit_once('\'')).map(|(word, _)| word);
    let at = near.and_then(|word| source[whole.clone()].rfind(word).map(|at| (whole.start + at, word.len())));
    at.map_or(whole, |(start, length)| start..start + length)
}

/// `sys.NAME` and names that are not in the sandbox.
fn names(source: &str, words: &[Token], findings: &mut Vec<Finding>) {
    let mut error = |span: Range<usize>, message: String, help: Option<String>| {
        let line = line_at(source, span.start);
        findings.push(Finding { severity: Severity::Error, message, span, line, help });
    };
    for (index, word) in words.iter().enumerate() {
        let text = |offset: usize| words.get(index + offset).map_or("", |token| token.text);
        let is_field = index > 0 && matches!(words[index - 1].text, "." | ":");
        if is_field {
            continue;
        }
        if word.text == "sys" && text(1) == "." {
            let called = &words[(index + 2).min(words.len() - 1)];
            match CallNumber::from_name(called.text) {
                None => error(called.span.clone(), bindings::unknown(called.text), Some(known_calls())),
                Some(number) => {
                    if let Some(message) = wrong_arguments(number.name(), &words[index + 3..]) {
                        error(called.span.clone(), message, None);
                    }
                }
            }
        } else if word.text == "string" && text(1) == "." && REMOVED_STRING.contains(&text(2)) {
            let help = "patterns can take unbounded time without an instruction; use string.byte and string.sub";
            error(words[index + 2].span.clone(), format!("string.{} is not available", text(2)), Some(help.into()));
        } else if REMOVED.contains(&word.text) && matches!(text(1), "." | "(") {
            let help = "a script has sys, program, table, string, math, bit and the basic functions";
            error(word.span.clone(), format!("{} is not available in the kernel", word.text), Some(help.into()));
        }
    }
}

fn known_calls() -> String {
    let names: Vec<&str> = SIGNATURES.iter().map(|signature| signature.name).collect();
    format!("calls with a documented form: {}; any other Linux call can be named too", names.join(", "))
}

/// Counts the arguments of a call that follows, when they can be counted: no `...`, and no call as the last argument.
fn wrong_arguments(name: &str, rest: &[Token]) -> Option<String> {
    let known = signature(name)?;
    if rest.first()?.text != "(" {
        return None;
    }
    let (mut depth, mut commas, mut any) = (0, 0, false);
    let mut last_is_call = false;
    for token in rest {
        match token.text {
            "(" | "{" | "[" => {
                last_is_call = depth == 1 && token.text == "(" && any;
                depth += 1;
            }
            ")" | "}" | "]" => depth -= 1,
            "," if depth == 1 => {
                commas += 1;
                last_is_call = false;
                continue;
            }
            "function" | "." if depth == 1 && token.text == "function" => return None,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        any |= !(depth == 1 && token.text == "(");
    }
    let dots =
        rest.windows(3).take_while(|tokens| tokens[0].text != ")").any(|tokens| tokens.iter().all(|token| token.text == "."));
    if depth != 0 || last_is_call || dots {
        return None;
    }
    known.wrong_number(if any { commas + 1 } else { 0 })
}

/// `while true do` and `repeat … until false` without a way out.
fn endless_loops(source: &str, words: &[Token], findings: &mut Vec<Finding>) {
    for (index, word) in words.iter().enumerate() {
        let begins = word.text == "while" && words.get(index + 1).is_some_and(|next| matches!(next.text, "true" | "1"));
        if !begins {
            continue;
        }
        let body = &words[index + 3.min(words.len() - index)..];
        let mut depth = 1;
        let inside = body.iter().take_while(|token| {
            match token.text {
                "do" | "then" | "function" | "repeat" => depth += 1,
                "elseif" => depth -= 1,
                "end" | "until" => depth -= 1,
                _ => {}
            }
            depth > 0
        });
        if !inside.into_iter().any(|token| matches!(token.text, "break" | "return" | "error" | "goto")) {
            findings.push(Finding {
                severity: Severity::Remark,
                message: "this loop has no way out but an error or the instruction limit".into(),
                span: word.span.clone(),
                line: line_at(source, word.span.start),
                help: None,
            });
        }
    }
}

/// Calls of which a dry run gives each as the first that is due.
const FIRST_CALLS: &[&str] = &["recvfrom", "openat", "writev", "pread64"];

fn dry_run(source: &str, name: &str, engine: &Engine, limits: Limits, findings: &mut Vec<Finding>) {
    let entries: Vec<&str> = [WAIT, WORK].into_iter().filter(|entry| engine.has(entry)).collect();
    if entries.is_empty() {
        findings.push(Finding {
            severity: Severity::Error,
            message: format!("the script defines neither `{WAIT}` nor `{WORK}`: the program has nothing to call"),
            span: line_span(source, 1),
            line: 1,
            help: Some("write `function work(requests, limit) … end`".into()),
        });
    }
    for entry in entries {
        for mood in stub::MOODS {
            for first_call in FIRST_CALLS {
                // a Lua state of its own each time: what one run leaves must not hide what another finds
                let Ok(fresh) = Engine::new(source, name, limits, 0) else { continue };
                if let Err(failure) = stub::run(&fresh, entry, first_call, mood) {
                    let line = failure.line.unwrap_or(1);
                    let span = line_span(source, line);
                    let help = Some(format!("found by calling `{entry}` with made-up answers"));
                    findings.push(Finding { severity: Severity::Error, message: failure.message, span, line, help });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { instructions: 20_000, memory_bytes: 1 << 20 };

    fn errors(source: &str) -> Vec<(u32, String)> {
        let findings = check(source, "x.lua", LIMITS);
        findings.into_iter().filter(|found| found.severity == Severity::Error).map(|found| (found.line, found.message)).collect()
    }

    #[test]
    fn bundled_scripts_are_clean() {
        for bundled in [crate::bundled::EVENT_LOOP, crate::bundled::CHAIN] {
            assert_eq!(check(bundled.source, bundled.name, LIMITS), [], "{}", bundled.name);
        }
    }

    #[test]
    fn unknown_calls_bring_the_nearest() {
        let found = errors("function work(r)\n  sys.recvform(r[1].fd, 10)\nend");
        assert_eq!(found, [(2, "unknown call sys.recvform; did you mean sys.recvfrom?".into())]);
        let dynamic = errors("function work(r)\n  sys['nosuchcall'](3)\nend");
        assert_eq!(dynamic.len(), 1, "{dynamic:?}");
        assert_eq!(dynamic[0].0, 2);
        assert!(dynamic[0].1.starts_with("x.lua:2: unknown call sys.nosuchcall"), "{dynamic:?}");
    }

    #[test]
    fn arguments_are_counted_and_their_kinds_tried() {
        assert_eq!(errors("function work(r) sys.read(r[1].fd) end"), [(1, "sys.read takes 2 arguments, not 1".into())]);
        assert_eq!(errors("function work(r) sys.close(unpack({r[1].fd})) end"), []);
        assert_eq!(errors("function work(r) sys.writev(r[1].fd, { 'a', 'b' }) sys.getppid() end"), []);
        let kinds = errors("function work(r)\n local fd = nil\n sys.read(fd, 10)\nend");
        assert_eq!(kinds, [(3, "x.lua:3: bad argument #1 to 'sys.read' (descriptor expected, got nil)".into())]);
    }

    #[test]
    fn syntax_what_is_missing_and_what_is_taken_away() {
        let syntax = errors("function work(r)\n local x = = 1\nend");
        assert_eq!(syntax, [(2, "x.lua:2: unexpected symbol near '='".into())]);
        assert!(errors("local x = 1")[0].1.contains("neither `wait` nor `work`"));
        assert_eq!(errors("function work(r)\n os.execute('x')\nend")[0], (2, "os is not available in the kernel".into()));
        assert_eq!(errors("function work(r) local t = {os = 1} return t.os end"), []);
    }

    #[test]
    fn endless_loops_are_a_remark_and_found_by_the_dry_run() {
        let findings = check("function work(r)\n while true do end\nend", "x.lua", LIMITS);
        assert!(findings.iter().any(|found| found.severity == Severity::Remark && found.line == 2));
        assert!(findings[0].message.contains("more than 20000 instructions"), "{}", findings[0].message);
        let leaving = check("function work(r) while true do if r then break end end end", "x.lua", LIMITS);
        assert_eq!(leaving, []);
    }
}
