//! What cannot be checked on this host, and why.

use crate::case::{Case, Program, ServerKind};
use crate::counted::{self, PerfEvent};
use crate::hook;
use crate::servers;

/// What the host lacks for further checks: what it is for, and why it cannot be done.
pub fn not_checked() -> Vec<(String, String)> {
    [counters(), besides_counters()].concat()
}

/// Hardware counters that the host lacks: all of them, or some events.
pub fn counters() -> Vec<(String, String)> {
    match host::perf::available() {
        Err(absent) => vec![(counted::MISSES.into(), absent.to_string())],
        Ok(()) => counted::absent_in_words(&counted::absent(&PerfEvent)),
    }
}

/// True when the host has hardware counters, be it not for every event.
pub fn has_counters() -> bool {
    host::perf::available().is_ok()
}

/// What it lacks besides.
pub fn besides_counters() -> Vec<(String, String)> {
    let mut lacking = Vec::new();
    if host::processors::allowed().is_ok_and(|processors| processors.len() < 2) {
        let why = "this process may use one processor only".into();
        lacking.push(("io_uring with a polling thread on another processor".into(), why));
    }
    if let Err(absent) = hook::tried() {
        lacking.push(("an in-kernel service: XDP answering GETs over UDP".into(), absent.to_string()));
    }
    for server in ServerKind::ALL {
        let what = format!("{}: processor time and calls of a request", server.name());
        lacking.extend(servers::lacking(server).map(|why| (what, why)));
    }
    if !in_path("chrt") {
        let why = "chrt (util-linux) is not installed: on waking, server and client push each other off the processor, and requests are served \
                   in smaller groups than predicted";
        lacking.push(("servers under SCHED_BATCH".into(), why.into()));
    }
    if let Err(absent) = host::perf::CallsOf::open(&[std::process::id()]) {
        lacking.push(("system calls of a server's request".into(), absent.to_string()));
    }
    lacking
}

/// Why a case cannot be measured on this host, where that shows before.
pub fn for_case(case: &Case) -> Option<String> {
    match case.program {
        Program::Hook(_) => hook::tried().err().map(|absent| absent.to_string()),
        _ => None,
    }
}

/// True when a program of this name is in the search path.
pub fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_lacking_has_a_reason() {
        let lacking = not_checked();
        assert!(lacking.iter().all(|(what, why)| what.len() > 10 && why.len() > 10), "{lacking:?}");
        let without: Vec<String> =
            crate::case::cases().unwrap().iter().filter_map(|case| Some(format!("{} {}", case.name, for_case(case)?))).collect();
        assert!(without.iter().all(|one| one.starts_with("xdp the host lacks ")), "{without:?}");
        assert!(in_path("sh") && !in_path("no such program"));
    }
}
