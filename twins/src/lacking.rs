//! What cannot be checked on this host, and why.

use crate::case::ServerKind;
use crate::servers;
use std::path::Path;

/// What the host lacks for further checks: what it is for, and why it cannot be done.
pub fn not_checked() -> Vec<(String, String)> {
    let mut lacking = Vec::new();
    if let Err(absent) = host::perf::available() {
        lacking.push(("misses per structure beside hardware counters".into(), absent.to_string()));
    }
    if host::processors::allowed().is_ok_and(|processors| processors.len() < 2) {
        let why = "this process may use one processor only".into();
        lacking.push(("io_uring with a polling thread on another processor".into(), why));
    }
    lacking.push(("an in-kernel service: XDP answering GETs over UDP".into(), without_xdp()));
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

fn without_xdp() -> String {
    let mut missing = Vec::new();
    if !nix::unistd::geteuid().is_root() {
        missing.push("the rights of root".to_owned());
    }
    if !in_path("clang") {
        missing.push("clang with the bpf target".into());
    }
    let folders = ["/usr/include/bpf/bpf_helpers.h", "/usr/local/include/bpf/bpf_helpers.h"];
    if !folders.iter().any(|file| Path::new(file).exists()) {
        missing.push("the headers of libbpf".into());
    }
    if missing.is_empty() {
        "no native twin yet: this program has none for XDP, though the host has what it would need".into()
    } else {
        format!("no native twin yet, and the host lacks {}", missing.join(", "))
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
        assert!(!lacking.is_empty(), "an in-kernel service is lacking everywhere");
        assert!(lacking.iter().all(|(what, why)| what.len() > 10 && why.len() > 10), "{lacking:?}");
        assert!(in_path("sh") && !in_path("no such program"));
    }
}
