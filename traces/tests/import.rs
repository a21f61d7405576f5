//! Recordings of real servers all the way to workloads, with the bundled library.

use sim_core::block::{BlockId, Origin, Region};
use sim_core::workload::{Certainty, Effect, Program, Workload};
use traces::formats::Format;
use traces::import::{ImportOptions, import};
use traces::open::{Opened, open_bytes};
use traces::strace::distil::{DistilOptions, UserWork, distil};
use traces::synthetic::{Shape, server};
use traces::{info, strace, workload_file};

fn recording(name: &str) -> Opened {
    let stored: &[u8] = match name {
        "memcached" => include_bytes!("../data/recordings/memcached-c16.strace.txt.gz"),
        "nginx" => include_bytes!("../data/recordings/nginx-c16.strace.txt.gz"),
        "redis" => include_bytes!("../data/recordings/redis-c16.strace.txt.gz"),
        other => panic!("no recording {other}"),
    };
    open_bytes(&format!("dir/{name}-c16.strace.txt.gz"), stored.to_vec(), false).unwrap()
}

/// What every workload must hold.
fn check(workload: &Workload) {
    for class in &workload.classes {
        assert!(class.recorded > 0 && !class.chains.is_empty(), "{}", class.name);
        for chain in &class.chains {
            for (index, step) in chain.steps.iter().enumerate() {
                assert!(step.depends.iter().all(|needed| usize::from(*needed) < index));
                assert_ne!(step.kernel, BlockId::EMPTY, "{} has no kernel work", step.call.name());
                assert!(workload.blocks.info(step.kernel).instructions > 0);
            }
            if workload.program != Program::Sequential {
                assert_eq!(chain.steps.iter().filter(|step| step.effect == Effect::SendLast).count(), 1);
                let first = chain.steps.iter().find(|step| step.effect != Effect::None).unwrap();
                assert!(matches!(first.effect, Effect::Receive | Effect::Accept));
            }
        }
    }
    let bytes = workload_file::write(workload, "w").unwrap();
    assert_eq!(&workload_file::read(&bytes, "w").unwrap(), workload, "regions, blocks and cuts survive a file");
}

#[test]
fn the_three_servers_become_workloads_with_a_reply_for_each_request() {
    for (name, base, requests, calls) in [
        ("memcached", "memcached", 2_000, vec!["read", "sendmsg"]),
        ("nginx", "nginx-keepalive", 2_000, vec!["recvfrom", "writev", "sendfile"]),
        ("redis", "redis", 2_001, vec!["read", "write"]),
    ] {
        let opened = recording(name);
        assert_eq!(opened.format, Format::Strace);
        let workload = import(&opened, &ImportOptions::default()).unwrap();
        check(&workload);
        assert_eq!(workload.name, format!("{name}-c16"));
        assert!(workload.description.contains(&format!("`{base}`")), "{}", workload.description);
        assert_eq!(
            (workload.program, workload.requests, workload.connections, workload.threads),
            (Program::EventLoop, requests, 16, 1)
        );
        let main = &workload.classes[0];
        assert_eq!(main.chains.len(), 40);
        let names: Vec<&str> = main.chains[0].steps.iter().map(|step| step.call.name()).collect();
        assert_eq!(names, calls, "{name}");
        let deferred = main.chains.iter().flat_map(|chain| &chain.steps).any(|step| step.deferred);
        assert_eq!(deferred, name == "redis", "redis writes its replies after all receives");
        assert_eq!(workload.wait.as_ref().unwrap().max_events, if name == "redis" { 10_128 } else { 512 });
        assert!(workload.notes.iter().any(|note| note.certainty == Certainty::Guessed && note.text.contains("tracer cost")));
        assert_eq!(workload.source.sha256, opened.sha256);
        assert!(workload.kernel.receive.len() > 1 && !workload.kernel.transmit.is_empty());
    }
}

#[test]
fn commands_name_the_classes_of_a_store() {
    let workload = import(&recording("memcached"), &ImportOptions::default()).unwrap();
    let classes: Vec<(&str, u32)> = workload.classes.iter().map(|class| (class.name.as_str(), class.recorded)).collect();
    assert_eq!(classes, [("get", 1_792), ("set", 208)], "counted in the text: lines with `get` and `set` commands");
    assert!(workload.classes.iter().all(|class| class.in_kernel));
    assert_eq!(workload.keys, 1_000);
}

#[test]
fn a_cut_recording_needs_leniency() {
    let mut opened = recording("memcached");
    opened.bytes.truncate(opened.bytes.len() / 2);
    let error = import(&opened, &ImportOptions::default()).unwrap_err().to_string();
    assert!(error.contains(": line ") && error.contains("lenient"), "{error}");
    let workload = import(&opened, &ImportOptions { lenient: true, ..ImportOptions::default() }).unwrap();
    check(&workload);
    assert!((900..1_000).contains(&workload.requests), "{}", workload.requests);
    assert!(workload.notes.iter().any(|note| note.certainty == Certainty::Dropped && note.text.contains("damage")));
}

fn made_up_library() -> [Workload; 2] {
    let kernel_lines = 130;
    [server(Shape::default()), server(Shape { program: Program::Sequential, kernel_lines, ..Shape::default() })]
}

fn distilled(text: &str, adjust: impl Fn(&mut DistilOptions)) -> Workload {
    let recording = strace::read(text.as_bytes(), "t", false).unwrap();
    let library = made_up_library();
    let mut options = DistilOptions::new("t", "t.strace");
    adjust(&mut options);
    let workload = distil(&recording, &[&library[0], &library[1]], &options).unwrap();
    check(&workload);
    workload
}

/// A server that looks something up in a file for each request, with `poll`; 30 microseconds of tracer and 10 of work in each gap.
fn file_server() -> String {
    let mut text = String::from(
        "1 100000000.000000 accept4(3<TCP:[a:80]>, NULL, NULL, 0) = 4<TCP:[a:80->b:1]> <0.000001>\n\
         1 100000000.000010 accept4(3<TCP:[a:80]>, NULL, NULL, 0) = 5<TCP:[a:80->b:2]> <0.000001>\n",
    );
    let mut now = 100_000_100u64;
    for turn in 0..20 {
        let connection = if turn % 2 == 0 { "4<TCP:[a:80->b:1]>" } else { "5<TCP:[a:80->b:2]>" };
        for (call, gap) in [
            ("poll([{fd=4, events=POLLIN}, {fd=5, events=POLLIN}], 2, -1) = 1 ([{fd=4, revents=POLLIN}])".to_owned(), 29),
            (format!("read({connection}, \"look up\"..., 100) = 50"), 39),
            ("pread64(6</data>, \"x\"..., 4096, 0) = 4096".to_owned(), 39),
            (format!("sendmsg({connection}, {{msg_iov=[{{iov_base=\"x\"..., iov_len=300}}], msg_iovlen=1}}, 0) = 300"), 39),
        ] {
            now += gap + 1;
            text.push_str(&format!("1 100000000.{:06} {call} <0.000001>\n", now - 100_000_000));
        }
    }
    text
}

#[test]
fn another_program_gets_made_up_user_work_of_the_gaps_length() {
    let workload = distilled(&file_server(), |_| {});
    assert_eq!((workload.program, workload.requests), (Program::EventLoop, 20));
    let steps = &workload.classes[0].chains[3].steps;
    assert_eq!(steps.iter().map(|step| step.call.name()).collect::<Vec<_>>(), ["read", "pread64", "sendmsg"]);
    // The smallest gap, 29 us before each poll, is the tracer's; 10 us at 2,400 MHz and one instruction a cycle are 24,000.
    for step in steps {
        let info = workload.blocks.info(step.user);
        assert_eq!((info.origin, info.instructions), (Origin::Synthetic, 22_528), "24,000 rounded to three bits after the first");
        assert!(workload.blocks.ops(step.user).iter().all(|op| op.region == Region::SyntheticUser));
    }
    assert_eq!(steps[1].depends, [0]);
    assert_eq!(steps[2].depends, [1], "what was read is sent");
    let text = |certainty| workload.notes.iter().filter(move |note| note.certainty == certainty).map(|note| note.text.as_str());
    assert!(text(Certainty::Guessed).any(|text| text.starts_with("kernel work of pread64")), "missing calls are listed");
    assert!(text(Certainty::Guessed).any(|text| text.contains("29000 ns")));
    let wait = workload.wait.as_ref().unwrap();
    assert_eq!((wait.call.name(), wait.max_events), ("poll", 2));
}

#[test]
fn a_stand_in_says_that_it_is_made_up() {
    let workload = distilled(&file_server(), |_| {});
    let step = &workload.classes[0].chains[0].steps[1];
    assert_eq!(workload.blocks.info(step.kernel).origin, Origin::Synthetic);
    assert_eq!(
        workload.blocks.info(workload.classes[0].chains[0].steps[0].kernel).origin,
        Origin::Synthetic,
        "the library itself is made up"
    );
}

#[test]
fn the_tracers_cost_is_a_knob_and_gaps_can_rule() {
    let instructions = |workload: &Workload| workload.blocks.info(workload.classes[0].chains[3].steps[0].user).instructions;
    let none = distilled(&file_server(), |options| options.tracer_cost_ns = Some(0));
    assert_eq!(instructions(&none), 90_112, "39 us are 93,600 instructions, rounded");
    let slow = distilled(&file_server(), |options| options.clock_mhz = 1_200);
    assert_eq!(instructions(&slow), 11_264);
    let echo: String = file_server().lines().filter(|line| !line.contains("pread64")).map(|line| format!("{line}\n")).collect();
    let same = distilled(&echo, |_| {});
    let library = made_up_library();
    let recorded = library[0].blocks.info(library[0].classes[0].chains[0].steps[0].user).instructions;
    assert_eq!(instructions(&same), recorded, "the library's own program: its recorded work");
    let stretched = distilled(&echo, |options| options.user_work = UserWork::Gaps);
    assert!((22_528..23_000).contains(&instructions(&stretched)), "{}", instructions(&stretched));
}

#[test]
fn an_unknown_base_is_named_with_the_nearest() {
    let recording = strace::read(file_server().as_bytes(), "t", false).unwrap();
    let library = made_up_library();
    let mut options = DistilOptions::new("t", "t");
    options.base = Some("synthetik".to_owned());
    let error = distil(&recording, &[&library[0]], &options).unwrap_err().to_string();
    assert!(error.contains("did you mean `synthetic`?"), "{error}");
    assert!(distil(&recording, &[], &DistilOptions::new("t", "t")).is_err());
}

#[test]
fn connections_with_one_request_keep_their_accept_and_close() {
    let mut text = String::new();
    for turn in 0..30 {
        let at = |step: u32| format!("1 100000000.{:06} ", turn * 1_000 + step * 50);
        let socket = format!("4<TCP:[a:80->b:{turn}]>");
        text.push_str(&format!("{}accept4(3<TCP:[a:80]>, NULL, NULL, 0) = {socket} <0.000001>\n", at(1)));
        text.push_str(&format!("{}read({socket}, 0x7f, 100) = -1 EAGAIN (Resource temporarily unavailable) <0.000001>\n", at(2)));
        text.push_str(&format!("{}read({socket}, \"GET /\"..., 100) = 50 <0.000001>\n", at(3)));
        text.push_str(&format!("{}sendmsg({socket}, {{msg_iov=[]}}, 0) = 300 <0.000001>\n", at(4)));
        text.push_str(&format!("{}close({socket}) = 0 <0.000001>\n", at(5)));
    }
    let workload = distilled(&text, |_| {});
    assert!(workload.connection_per_request);
    assert_eq!((workload.requests, workload.connections), (30, 1));
    let steps = &workload.classes[0].chains[0].steps;
    let effects: Vec<Effect> = steps.iter().map(|step| step.effect).collect();
    assert_eq!(effects, [Effect::Accept, Effect::Receive, Effect::SendLast, Effect::Close], "the retry is simulated");
    assert!(workload.notes.iter().any(|note| note.text.starts_with("calls that found nothing") && note.count == 30));
}

#[test]
fn a_program_without_clients_is_one_run() {
    let text = "1 100000000.000000 openat(AT_FDCWD, \"/a\", O_RDONLY) = 3 <0.000001>\n\
        1 100000000.000100 read(3, \"x\"..., 4096) = 4096 <0.000001>\n\
        1 100000000.000200 close(3) = 0 <0.000001>\n";
    let workload = distilled(text, |_| {});
    assert_eq!((workload.program, workload.requests, workload.connections), (Program::Sequential, 1, 0));
    assert_eq!((workload.classes[0].name.as_str(), workload.classes[0].chains[0].steps.len()), ("run", 3));
}

#[test]
fn distilling_twice_is_the_same() {
    assert_eq!(distilled(&file_server(), |_| {}), distilled(&file_server(), |_| {}));
}

#[test]
fn a_memory_trace_is_refused_with_what_to_do_instead() {
    let opened = open_bytes("t", b"I  04001000,3\n".to_vec(), false).unwrap();
    let error = import(&opened, &ImportOptions::default()).unwrap_err().to_string();
    assert!(error.contains("ringscope replay") && error.contains("strace"), "{error}");
}

#[test]
fn info_tells_each_format_apart() {
    let shown = |opened: &Opened| info::info(opened, false).unwrap().to_string();
    let text = shown(&recording("nginx"));
    for part in
        ["strace", "gzip from 45409 bytes", "6255", "2000  sendfile", "understood", "guessed", "dropped", "requests with replies"]
    {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let capture: &[u8] = include_bytes!("../data/captures/ubench-off.trace");
    let text = shown(&open_bytes("u", capture.to_vec(), false).unwrap());
    for part in ["system call microbenchmarks", "461309 user, 3259487 kernel", "200  write", "dropped"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let lackey: &[u8] = include_bytes!("../data/recordings/tiny.lackey.gz");
    assert!(shown(&open_bytes("l", lackey.to_vec(), false).unwrap()).contains("48508"));
    let workload = workload_file::write(&server(Shape::default()), "w").unwrap();
    let opened = open_bytes("w", workload, false).unwrap();
    assert!(shown(&opened).contains("class request"));
    let info = info::info(&opened, false).unwrap();
    assert_eq!(serde_json::from_str::<info::TraceInfo>(&serde_json::to_string(&info).unwrap()).unwrap(), info);
}

#[test]
fn without_times_user_work_has_the_librarys_median_length() {
    let text: String = file_server().lines().map(|line| line.replace(" <0.000001>", "")).map(|line| format!("{line}\n")).collect();
    let workload = distilled(&text, |_| {});
    let library = made_up_library();
    let recorded = library[0].blocks.info(library[0].classes[0].chains[0].steps[0].user).instructions;
    let made = workload.blocks.info(workload.classes[0].chains[3].steps[0].user).instructions;
    assert!(made <= recorded && made * 8 >= recorded * 7, "{made} is {recorded} rounded down");
    assert!(workload.notes.iter().any(|note| note.text.starts_with("no times") && note.count == u64::from(recorded)));
}
