//! Batched scripts: real Lua against the simulated kernel.

use super::common::{self, occurred};
use mechanisms::experiment::Settings;
use mechanisms::registry::Mechanism;
use mechanisms::settings::BatchedScriptVariant;
use mechanisms::simulate::{Sample, simulate};
use os_model::action::Slot;
use sim_core::calls::CallNumber;
use sim_core::workload::{Program, Workload};
use std::collections::BTreeMap;
use traces::bundled;
use traces::synthetic::{Shape, server};

fn settings(source: &str) -> Settings {
    let mut settings = common::settings(1, 16, 120);
    if !source.is_empty() {
        settings.mechanism.batched_script.script = "test.lua".into();
        settings.mechanism.batched_script.source = source.into();
    }
    settings
}

fn run(workload: &Workload, source: &str) -> Sample {
    simulate(workload, &settings(source), Mechanism::BatchedScript, 1).unwrap()
}

fn calls_per_reply(sample: &Sample, name: &str) -> f64 {
    sample.calls[usize::from(CallNumber::from_name(name).unwrap().0)] as f64 / sample.replies as f64
}

fn per_reply(sample: &Sample) -> f64 {
    sample.call_crossings as f64 / sample.replies as f64
}

/// Calls of each request in order, over 100 replies.
fn journal(workload: &Workload, source: &str) -> BTreeMap<Slot, Vec<&'static str>> {
    common::journal(workload, &settings(source), Mechanism::BatchedScript, 100).names()
}

fn assert_each_call_once(workload: &Workload, source: &str, expected: &[&str]) {
    for (slot, calls) in journal(workload, source) {
        for (index, call) in calls.iter().enumerate() {
            assert_eq!(*call, expected[index % expected.len()], "{slot:?}: {calls:?}\n{source}");
        }
    }
}

#[test]
fn a_script_that_does_nothing_leaves_every_call_to_the_program() {
    let workload = server(Shape { connection_per_request: true, ..Shape::default() });
    let calls = ["accept4", "read", "sendmsg", "close"];
    for source in ["function wait() end function work() end", "function work() end", "function wait() end", "local x = 1"] {
        assert_each_call_once(&workload, source, &calls);
    }
    let sync = simulate(&workload, &settings(""), Mechanism::Sync, 1).unwrap();
    let idle = run(&workload, "local x = 1");
    assert!((per_reply(&idle) / per_reply(&sync) - 1.0).abs() < 0.1, "{} and {}", per_reply(&idle), per_reply(&sync));
}

#[test]
fn errors_and_limits_end_the_invocation_and_the_program_goes_on() {
    let workload = server(Shape { connection_per_request: true, ..Shape::default() });
    let calls = ["accept4", "read", "sendmsg", "close"];
    let wait = "function wait(set, limit) local n, events = sys.epoll_wait(set, limit) for i = 1, n do
        if events[i].listener then sys.accept4(events[i].fd) else sys.read(events[i].fd, 100) end end";
    for (end, what, words) in [
        ("local x = nil; x.y = 1 end", "scripts ended by an error", "attempt to index local 'x' (a nil value)"),
        ("while true do end end", "scripts ended by the instruction limit", "more than 100000 instructions"),
        (
            "local t = {} while true do t[#t + 1] = string.rep('x', 50000) .. #t end end",
            "scripts ended by the memory limit",
            "not enough memory",
        ),
        ("sys.raed(3) end", "scripts ended by an error", "unknown call sys.raed; did you mean sys.read?"),
        ("sys.read() end", "scripts ended by an error", "sys.read takes 2 arguments, not 0"),
    ] {
        let source = format!("{wait} {end}");
        assert_each_call_once(&workload, &source, &calls);
        let sample = run(&workload, &source);
        assert!(occurred(&sample, what) > 0, "{source}: {:?}", sample.occurrences);
        let remark = &sample.remarks[0].0;
        assert!(remark.contains(words) && remark.contains("calls completed)"), "{remark}");
        assert!(sample.replies >= 120);
    }
}

#[test]
fn wrong_descriptors_and_calls_without_a_recording_return_errors() {
    let workload = server(Shape::default());
    let source = "function wait(set, limit)
        local n, events = sys.epoll_wait(set, limit)
        local a, e = sys.read(999999, 10)
        assert(a == nil and e == 'EBADF', e)
        a, e = sys.openat('/etc/passwd')
        assert(a == nil and e == 'ENOENT', e)
        a, e = sys.getppid()
        assert(a == nil and e == 'ENOSYS', e)
        for i = 1, n do
            assert(sys.read(events[i].fd, 100))
            a, e = sys.read(events[i].fd, 100)
            assert(a == nil and e == 'EAGAIN', e)
        end
    end";
    let sample = run(&workload, source);
    assert_eq!(occurred(&sample, "scripts ended by an error"), 0, "{:?}", sample.remarks);
    assert!(occurred(&sample, "script calls that no recording has") > 0);
}

#[test]
fn the_same_script_gives_the_same_run() {
    let workload = server(Shape::default());
    let source = "local seen = {zeta = 0, alpha = 0, beta = 0}
        function work(requests)
            for name, count in pairs(seen) do seen[name] = count + math.random(3) end
            for i = 1, #requests do
                if seen.beta % 2 == 0 then sys.sendmsg(requests[i].fd, 10) end
            end
        end";
    let (one, two) = (run(&workload, source), run(&workload, source));
    assert_eq!(one.stack, two.stack);
    assert_eq!(one.ledger, two.ledger);
    assert_eq!(one.occurrences, two.occurrences);
    assert_eq!(one.batches, two.batches);
}

#[test]
fn longer_glue_costs_more() {
    let workload = server(Shape::default());
    let script = |turns| {
        format!("function work(requests) for i = 1, #requests do for j = 1, {turns} do end sys.sendmsg(requests[i].fd, 10) end end")
    };
    let (short, long) = (run(&workload, &script(1)), run(&workload, &script(500)));
    let instructions = |sample: &Sample| occurred(sample, "Lua instructions") as f64 / sample.replies as f64;
    let more = instructions(&long) - instructions(&short);
    // `work` is called for the receive that is due and for the send: twice 499 turns
    assert!((960.0..1040.0).contains(&more), "{more} Lua instructions a reply more");
    assert!(long.window_cycles > short.window_cycles);
    // the same script compiled costs less
    let mut compiled = settings(&script(500));
    compiled.mechanism.batched_script.code = mechanisms::settings::Code::Compiled;
    let compiled = simulate(&workload, &compiled, Mechanism::BatchedScript, 1).unwrap();
    assert!(compiled.window_cycles < long.window_cycles);
}

#[test]
fn vectors_stop_at_dependencies() {
    let workload = server(Shape { program: Program::Sequential, ..Shape::default() });
    let mut settings = settings("");
    settings.run.requests = 4;
    settings.mechanism.batched_script.variant = BatchedScriptVariant::MultiCall;
    let sample = simulate(&workload, &settings, Mechanism::BatchedScript, 1).unwrap();
    // open 0, read 1 (of 0), open 2, read 3 (of 2), close 4 (after 1)
    assert!(sample.batches.iter().all(|batch| batch.size <= 3), "{:?}", sample.batches);
}

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/scripts/");

fn example(name: &str) -> String {
    std::fs::read_to_string(format!("{EXAMPLES}{name}.lua")).unwrap()
}

#[test]
fn the_memcached_example_receives_and_sends_in_batches() {
    let workload = bundled::load("memcached-udp").unwrap();
    let sync = simulate(&workload, &settings(""), Mechanism::Sync, 1).unwrap();
    let script = run(&workload, &example("memcached-udp"));
    assert_eq!(occurred(&script, "scripts ended by an error"), 0, "{:?}", script.remarks);
    assert!(per_reply(&script) < 0.5 * per_reply(&sync), "{} and {}", per_reply(&script), per_reply(&sync));
    for call in ["recvfrom", "sendmsg"] {
        let share = calls_per_reply(&script, call);
        assert!((0.8..=1.25).contains(&share), "{call}: {share} a reply");
    }
    assert!(script.batches.iter().any(|batch| batch.size > 4), "{:?}", script.batches);
    let mut messages = settings("");
    messages.mechanism.batched_script.variant = BatchedScriptVariant::MessageBatch;
    let messages = simulate(&workload, &messages, Mechanism::BatchedScript, 1).unwrap();
    assert!(calls_per_reply(&messages, "recvmmsg") > 0.8);
    assert!(per_reply(&messages) < 0.5 * per_reply(&sync));
}

#[test]
fn the_nginx_example_puts_its_chain_into_one_crossing() {
    let workload = bundled::load("nginx-keepalive").unwrap();
    let sync = simulate(&workload, &settings(""), Mechanism::Sync, 1).unwrap();
    let script = run(&workload, &example("nginx-chain"));
    assert_eq!(occurred(&script, "scripts ended by an error"), 0, "{:?}", script.remarks);
    assert_eq!(occurred(&script, "script calls by borrowed blocks"), 0);
    assert!(per_reply(&script) < 0.6 * per_reply(&sync), "{} and {}", per_reply(&script), per_reply(&sync));
    for call in ["openat", "newfstatat", "writev", "sendfile", "recvfrom", "write"] {
        let (own, recorded) = (calls_per_reply(&script, call), calls_per_reply(&sync, call));
        assert!((own / recorded - 1.0).abs() < 0.25, "{call}: {own} a reply, {recorded} when synchronous");
    }
}

#[test]
fn the_other_examples_run() {
    let echo = run(&server(Shape::default()), &example("echo"));
    let microbench = bundled::load("microbench").unwrap();
    let mut of_files = settings(&example("read-modify-write"));
    of_files.run.requests = 1;
    let files = simulate(&microbench, &of_files, Mechanism::BatchedScript, 1).unwrap();
    for sample in [echo, files] {
        assert_eq!(occurred(&sample, "scripts ended by an error"), 0, "{:?}", sample.remarks);
        assert!(occurred(&sample, "Lua instructions") > 0);
    }
}

/// Calls that name no descriptor and no path (getppid) belong to the request that the script works for, in a sequential program too.
#[test]
fn calls_without_arguments_belong_to_the_request() {
    let loops = traces::call_loop::CallLoop::null(8).load().unwrap();
    let sample = run(&loops, "");
    assert!(sample.replies >= 120);
    assert_eq!(occurred(&sample, "script calls by borrowed blocks"), 0);
    assert!((7.9..=8.1).contains(&calls_per_reply(&sample, "getppid")), "{}", calls_per_reply(&sample, "getppid"));
}
