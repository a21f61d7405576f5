//! Arbitrary bytes, and real recordings with bytes changed, into every reader: errors are fine, panics are not.

use proptest::prelude::*;
use std::io::Read;
use traces::{capture, ftrace, info, kernel_map, lackey, open, strace, workload_file};

fn everywhere(bytes: &[u8]) {
    for lenient in [false, true] {
        if let Ok(opened) = open::open_bytes("t", bytes.to_vec(), lenient) {
            let _ = info::info(&opened, lenient).map(|info| info.to_string());
        }
        if let Ok(recording) = strace::read(bytes, "t", lenient) {
            strace::distil::shape(&recording);
        }
        let _ = ftrace::read(bytes, "t", lenient).map(|recording| strace::distil::shape(&recording));
        let options = lackey::Options { lenient, cut_wide_accesses: lenient };
        let _ = lackey::read(bytes, "t", options, |_| {});
    }
    let _ = workload_file::read(bytes, "t");
    let _ = capture::Capture::read_lenient(bytes);
    let text = String::from_utf8_lossy(bytes);
    kernel_map::KernelMap::parse(&text, &text, &text);
}

fn head(stored: &[u8], bytes: usize) -> Vec<u8> {
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(stored).take(bytes as u64).read_to_end(&mut text).unwrap();
    text
}

fn samples() -> Vec<Vec<u8>> {
    let workload = traces::synthetic::server(traces::synthetic::Shape::default());
    let ftrace = b"# tracer: nop\n#\n a-b-7 [000] ..... 10.000001: sys_enter: NR 288 (b, 7ffd0441c2c0, 1, 800, 0, 1)\n\
        a-b-7 [000] ..... 10.000003: sys_exit: NR 288 = 13\n";
    vec![
        head(include_bytes!("../data/recordings/memcached-c16.strace.txt.gz"), 3_000),
        head(include_bytes!("../data/recordings/nginx-c16.strace.txt.gz"), 2_000),
        head(include_bytes!("../data/recordings/tiny.lackey.gz"), 500),
        include_bytes!("../data/recordings/redis-c16.strace.txt.gz")[..2_000].to_vec(),
        include_bytes!("../data/captures/ubench-off.trace")[..6_000].to_vec(),
        workload_file::write(&workload, "t").unwrap(),
        ftrace.to_vec(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        everywhere(&bytes);
    }

    #[test]
    fn arbitrary_text_of_the_formats(parts in proptest::collection::vec(0..PIECES.len(), 0..80)) {
        let text: String = parts.iter().map(|part| PIECES[*part]).collect();
        everywhere(text.as_bytes());
    }

    #[test]
    fn changed_bytes(sample in 0..7usize, changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8), cut in any::<usize>()) {
        let mut bytes = samples().swap_remove(sample);
        for (place, value) in changes {
            let place = place % bytes.len();
            bytes[place] = value;
        }
        bytes.truncate(bytes.len() - cut % bytes.len() / 4);
        everywhere(&bytes);
    }
}

/// Pieces of the text formats, to be put together at random.
const PIECES: [&str; 44] = [
    "1 ",
    "[pid 7] ",
    "1795239049.564294 ",
    "12:34:56.7 ",
    "read(",
    "write(",
    "epoll_wait(",
    "accept4(",
    "clone(",
    "close(",
    "3",
    "5",
    "<TCP:[a:1->b:2]>",
    "</a<char 1:3>>",
    "\"a\\n\\0",
    "\"",
    "...",
    ", ",
    "{",
    "}",
    "[",
    "]",
    "=> ",
    "a=",
    "NULL",
    ")",
    " = ",
    "-1 ",
    "EAGAIN ",
    "(x)",
    " <0.000012>",
    " <unfinished ...>",
    "<... read resumed>",
    "--- SIGCHLD ---",
    "+++ exited +++",
    "\n",
    "\n",
    "\n",
    "I  04001000,3\n",
    " L 1ffefffe50,8\n",
    "==1==\n",
    "999999999999999999999",
    "sys_enter: NR 0 (",
    "\u{e9}",
];
