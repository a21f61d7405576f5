//! The reader on whole recordings and on texts made for one point each.

use super::*;
use sim_core::workload::Object;
use std::io::Read;

pub(super) fn recording_text(name: &str) -> Vec<u8> {
    let stored: &[u8] = match name {
        "memcached" => include_bytes!("../../data/recordings/memcached-c16.strace.txt.gz"),
        "nginx" => include_bytes!("../../data/recordings/nginx-c16.strace.txt.gz"),
        "redis" => include_bytes!("../../data/recordings/redis-c16.strace.txt.gz"),
        other => panic!("no recording {other}"),
    };
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(stored).read_to_end(&mut text).unwrap();
    text
}

pub(super) fn recording(name: &str) -> Recording {
    read(&recording_text(name), name, false).unwrap()
}

#[test]
fn every_line_of_the_recordings_is_accounted_for() {
    for name in ["memcached", "nginx", "redis"] {
        let text = recording_text(name);
        let recording = recording(name);
        let counts = recording.counts;
        assert_eq!(counts.lines, text.iter().filter(|byte| **byte == b'\n').count() as u64, "{name}");
        assert_eq!(counts.accounted(), counts.lines, "{name}: {counts:?}");
        assert_eq!(recording.calls.len() as u64, counts.complete + counts.pairs, "{name}");
        assert!(recording.timed && recording.durations && recording.decorated);
    }
}

#[test]
fn interrupted_calls_find_their_ends() {
    // Counted in the text: lines with `resumed>`; those without a partner are the calls open at the end of the recording.
    for (name, pairs) in [("memcached", 94), ("nginx", 0), ("redis", 3)] {
        let text = String::from_utf8(recording_text(name)).unwrap();
        let counts = recording(name).counts;
        assert_eq!(text.matches(" resumed>").count() as u64, counts.pairs, "{name}");
        assert_eq!(counts.pairs, pairs, "{name}");
        assert_eq!(text.matches("<unfinished ...>").count() as u64, counts.pairs + counts.never_resumed, "{name}");
        assert_eq!(counts.never_begun, 0);
    }
}

#[test]
fn bytes_and_results_match_a_text_search() {
    for (name, call, bytes) in
        [("memcached", "sendmsg", None), ("nginx", "sendfile", Some(2_000 * 1_024)), ("nginx", "writev", Some(2_000 * 239))]
    {
        let recording = recording(name);
        let found: Vec<_> = recording.calls.iter().filter(|found| found.name == call).collect();
        assert_eq!(found.len(), 2_000, "{name} {call}");
        if let Some(bytes) = bytes {
            assert_eq!(found.iter().map(|call| call.bytes).sum::<u64>(), bytes);
        }
        assert!(found.iter().all(|call| call.descriptor().is_some_and(|d| d.object == Object::Stream)));
    }
}

#[test]
fn a_cut_recording_fails_at_its_last_line_and_lenient_keeps_the_rest() {
    let text = recording_text("nginx");
    let lines_of = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    for cut in [text.len() / 2, text.len() / 3 + 7, text.len() - 700] {
        let cut = &text[..cut];
        if cut.ends_with(b"\n") {
            continue;
        }
        let whole = lines_of(cut);
        let error = read(cut, "nginx.txt", false).unwrap_err().to_string();
        assert!(error.starts_with(&format!("nginx.txt: line {}: the file ends inside", whole + 1)), "{error}");
        let recording = read(cut, "nginx.txt", true).unwrap();
        assert!(recording.damage.is_some());
        assert_eq!(recording.calls.len() as u64, whole);
    }
}

#[test]
fn cutting_inside_a_number_is_noticed_by_the_missing_duration() {
    let text = b"1 1795239049.5 read(3, \"\", 10) = 117 <0.000012>\n1 1795239049.6 read(3, \"\", 10) = 11";
    assert!(read(text, "t", false).is_err());
    assert_eq!(read(text, "t", true).unwrap().calls.len(), 1);
}

#[test]
fn program_output_between_the_lines_is_refused_with_its_line() {
    let text = b"1 1795239049.5 getpid() = 1\nhello\n1 1795239049.6 getpid() = 1\n";
    assert!(read(text, "t", false).unwrap_err().to_string().contains("line 2: `hello`"));
}

#[test]
fn clocks_of_all_kinds() {
    let calls = |text: &str| read(text.as_bytes(), "t", false).unwrap().calls.iter().map(|call| call.start_ns).collect::<Vec<_>>();
    assert_eq!(calls("0.000000 getpid() = 1\n0.000005 getpid() = 1\n0.000007 getpid() = 1\n"), [0, 5_000, 12_000]);
    let days = calls("23:59:59.5 getpid() = 1\n00:00:00.25 getpid() = 1\n");
    assert_eq!(days[1] - days[0], 750_000_000);
    assert!(!read(b"getpid() = 1\n", "t", false).unwrap().timed);
}

#[test]
fn kinds_follow_from_the_calls_when_strace_did_not_print_them() {
    let text = "1 socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) = 3\n\
        1 listen(3, 511) = 0\n\
        1 accept4(3, NULL, NULL, 0) = 5\n\
        1 read(5, \"x\", 10) = 1\n\
        1 openat(AT_FDCWD, \"/a\", O_RDONLY) = 6\n\
        1 sendfile(5, 6, [0] => [10], 10) = 10\n\
        1 close(6) = 0\n\
        1 close(5) = 0\n\
        1 accept4(3, NULL, NULL, 0) = 5\n\
        1 read(5, \"x\", 10) = 1\n\
        1 pipe2([7, 8], 0) = 0\n\
        1 write(8, \"x\", 1) = 1\n";
    let calls = read(text.as_bytes(), "t", false).unwrap().calls;
    let kinds: Vec<Object> = calls.iter().map(|call| call.descriptor().map_or(Object::None, |d| d.object)).collect();
    assert_eq!(kinds[1], Object::Listener);
    assert_eq!(kinds[2], Object::Listener);
    assert_eq!(kinds[3], Object::Stream);
    assert_eq!((kinds[5], calls[5].descriptors[1].object), (Object::Stream, Object::File));
    assert_eq!(kinds[11], Object::Pipe);
    assert_ne!(calls[3].descriptors[0].instance, calls[9].descriptors[0].instance, "descriptor 5 was closed and opened again");
}

#[test]
fn a_child_has_its_own_descriptors() {
    let text = "1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD, child_tidptr=0x7f) = 2\n\
        1 openat(AT_FDCWD, \"/a\", O_RDONLY) = 6\n\
        2 openat(AT_FDCWD, \"/b\", O_RDONLY) = 6\n\
        1 read(6, \"\", 10) = 0\n\
        2 read(6, \"\", 10) = 0\n";
    let calls = read(text.as_bytes(), "t", false).unwrap().calls;
    assert_ne!(calls[3].descriptors[0].instance, calls[4].descriptors[0].instance);
}
