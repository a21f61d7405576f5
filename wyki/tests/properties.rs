//! Random operations against independent references, random bytes, random bounds: answers, memory, stretches and counts.

mod common;

use common::{ECHO, KEY_VALUE, MEMCACHED_TCP, MEMCACHED_UDP, REDIS, STATIC_FILES, answer, handle, service};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use wyki::{Options, State, StoreError, Verdict, compile};

/// memcached's GET with room for eight items, so that the table fills up.
fn small_memcached() -> String {
    MEMCACHED_TCP.replace("items[16384]", "items[8]").replace("value: 1024", "value: 16")
}

/// A store that the service alone keeps, several requests in a message, with every operation on tables.
const STORE: &str = r#"service store on tcp port 1 {
    limit message 512;
    limit reply 2048;
    table pairs[6] { key: 8, value: 16 }
    connection { requests: u16 = 0 }
    message set { "set ", key: until " " max 8, length: decimal max 2, " ", value: bytes length max 16, "\n" }
    message get { "get ", key: until "\n" max 8 }
    message del { "del ", key: until "\n" max 8 }
    state ready {
        while remaining() > 0 max 16 {
            connection.requests = connection.requests + 1;
            receive {
                set as m => {
                    insert pairs[m.key] = m.value else { put "full\n"; break; }
                    put "stored\n";
                }
                get as m => {
                    find pairs[m.key] as pair { put decimal(len(pair.value)), " ", pair.value, "\n"; } else { put "none\n"; }
                }
                del as m => {
                    find pairs[m.key] as pair { release pair; put "gone\n"; } else { put "none\n"; }
                }
                else { reply "bad\n"; }
            }
        }
        reply "end ", decimal(connection.requests), "\n";
    }
}"#;

/// Loops in loops, searches, comparisons, slices and table work: much to interrupt.
const BUSY: &str = r#"service busy on udp port 1 {
    limit message 1400;
    limit reply 40000;
    table seen[16] { key: 32, value: 1024 }
    connection { rounds: u32 = 0, last: u8 = 0 }
    message all { head: u16, text: rest max 1300 }
    state ready {
        receive {
            all as m => {
                for i in 0 .. len(m.text) max 40 {
                    for j in 0 .. 5 {
                        if m.text[i] == j { connection.rounds = connection.rounds + 1; }
                        if j == 3 && contains(m.text, "ab\x00c") { break; }
                    }
                    let part = m.text[min(i, 4) .. min(20, len(m.text))];
                    find seen[part] as known {
                        if known.value == m.text[0 .. min(1024, len(m.text))] { release known; }
                    } else {
                        insert seen[part] = m.text[0 .. min(1024, len(m.text))] else { connection.last = i; }
                    }
                }
                for i in 0 .. 20 { put m.text; }
                match m.head {
                    0 | 1 => { reply decimal(connection.rounds); }
                    2 => { become quiet; reply "quiet"; }
                    else { reply u32(connection.rounds), u8(connection.last); }
                }
            }
            else { drop; }
        }
    }
    state quiet { drop; }
}"#;

/// Every service of these tests.
fn all() -> Vec<String> {
    let examples = [ECHO, KEY_VALUE, MEMCACHED_TCP, MEMCACHED_UDP, REDIS, STATIC_FILES, STORE, BUSY];
    examples.into_iter().map(str::to_owned).chain([small_memcached()]).collect()
}

fn filled(service: &wyki::Service) -> State {
    let mut state = State::new(service);
    for key in ["a", "key", "/index.html", "key:1"] {
        for table in service.tables() {
            service
                .user_space_store(
                    &mut state,
                    &table.name,
                    &key.as_bytes()[..key.len().min(table.key_bytes as usize)],
                    b"some value",
                )
                .unwrap();
        }
    }
    state
}

/// Bytes that often look like requests.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let words: [&[u8]; 17] = [
        b"get ",
        b"set ",
        b"del ",
        b"GET ",
        b"PURGE ",
        b"key",
        b"a",
        b" ",
        b"\r\n",
        b"\n",
        b"hello\r\n",
        b"*2\r\n$3\r\nGET\r\n$",
        b"5\r\nkey:1\r\n",
        b"/index.html HTTP/1.1\r\n",
        b"Connection: close\r\n\r\n",
        b"\0\0\0\0\0\x01\0\0",
        b"99",
    ];
    let word = prop::sample::select(words.to_vec());
    let piece = prop_oneof![4 => word.prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..40), 1 => vec(Just(b'x'), 0..700)];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

#[derive(Clone, Debug)]
enum Request {
    Set(u8, Vec<u8>),
    Get(u8),
    Delete(u8),
}

fn request() -> impl Strategy<Value = Request> {
    let key = 0_u8..12;
    prop_oneof![
        (key.clone(), vec(b'a'..=b'z', 0..20)).prop_map(|(key, value)| Request::Set(key, value)),
        key.clone().prop_map(Request::Get),
        key.prop_map(Request::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// GET finds what SET stored in user space, and nothing else.
    #[test]
    fn memcached_answers_like_a_map(requests in vec(request(), 1..80)) {
        let memcached = service(&small_memcached(), &Options::default());
        let (mut state, mut reference) = (State::new(&memcached), BTreeMap::new());
        for request in requests {
            match request {
                Request::Set(key, value) => {
                    let text = format!("set key{key} 0 0 {}\r\n{}\r\n", value.len(), String::from_utf8_lossy(&value));
                    prop_assert_eq!(answer(&memcached, &mut state, text.as_bytes()), "Up");
                    let fits = value.len() <= 16 && (reference.len() < 8 || reference.contains_key(&key));
                    match memcached.user_space_store(&mut state, "items", format!("key{key}").as_bytes(), &value) {
                        Ok(()) => { prop_assert!(fits); reference.insert(key, value); }
                        Err(StoreError::TooLong { .. }) => { prop_assert!(value.len() > 16); reference.remove(&key); }
                        Err(StoreError::Full { .. }) => prop_assert!(!fits),
                        Err(StoreError::NoTable { .. }) => prop_assert!(false, "the table is there"),
                    }
                }
                Request::Get(key) => {
                    let expected = reference.get(&key).map_or("Up".to_owned(), |value| {
                        format!("VALUE key{key} 0 {}\r\n{}\r\nEND\r\n", value.len(), String::from_utf8_lossy(value))
                    });
                    prop_assert_eq!(answer(&memcached, &mut state, format!("get key{key}\r\n").as_bytes()), expected);
                }
                Request::Delete(key) => {
                    let known = memcached.user_space_remove(&mut state, "items", format!("key{key}").as_bytes()).unwrap();
                    prop_assert_eq!(known, reference.remove(&key).is_some());
                }
            }
            prop_assert_eq!(state.entries(0), reference.len());
        }
    }

    /// A store inside the service answers like a map, also when several requests come at once.
    #[test]
    fn a_store_answers_like_a_map(messages in vec(vec(request(), 1..6), 1..20)) {
        let store = service(STORE, &Options::default());
        let (mut state, mut reference, mut count) = (State::new(&store), BTreeMap::new(), 0);
        for requests in messages {
            let (mut text, mut expected) = (String::new(), String::new());
            let mut open = true;
            for request in requests {
                let (line, reply) = match request {
                    Request::Set(key, mut value) => {
                        value.truncate(16);
                        let value = String::from_utf8_lossy(&value).into_owned();
                        let line = format!("set {key} {} {value}\n", value.len());
                        let room = reference.len() < 6 || reference.contains_key(&key);
                        if open && room {
                            reference.insert(key, value);
                        }
                        (line, if room { "stored\n".to_owned() } else { "full\n".to_owned() })
                    }
                    Request::Get(key) => {
                        let found = reference.get(&key).map(|value| format!("{} {value}\n", value.len()));
                        (format!("get {key}\n"), found.unwrap_or_else(|| "none\n".to_owned()))
                    }
                    Request::Delete(key) => {
                        let found = if open { reference.remove(&key) } else { None };
                        (format!("del {key}\n"), if found.is_some() { "gone\n".to_owned() } else { "none\n".to_owned() })
                    }
                };
                text.push_str(&line);
                if open {
                    count += 1;
                    expected.push_str(&reply);
                    open = reply != "full\n";
                }
            }
            expected.push_str(&format!("end {count}\n"));
            prop_assert_eq!(answer(&store, &mut state, text.as_bytes()), expected);
        }
    }

    /// Whatever the bytes are: no panic, every access inside its memory, no stretch over the stated one. A value that was there before
    /// is there afterwards, unless the service itself can release it.
    #[test]
    fn any_bytes_do_no_harm(messages in vec(message(), 1..6), connection in 0_u32..3) {
        for source in all() {
            let service = service(&source, &Options::default());
            let mut state = filled(&service);
            for message in &messages {
                handle(&service, &mut state, connection, message);
            }
            if !["key_value", "store", "busy"].contains(&service.name()) {
                for (index, table) in service.tables().iter().enumerate() {
                    prop_assert_eq!(state.value(index, b"key"), Some(&b"some value"[..]), "{}", table.name);
                }
            }
        }
    }

    /// Inlined parsing changes what a run costs, never what it answers; a run repeated costs exactly the same.
    #[test]
    fn optimisations_keep_the_answers(messages in vec(message(), 1..6)) {
        for source in all() {
            let inlined = service(&source, &Options::default());
            let general = service(&source, &Options { inline_parsing: false, ..Options::default() });
            let plain = Options { superpages: false, thread_collapse: false, socket_collapse: false, ..Options::default() };
            let flags = service(&source, &plain);
            let mut states = [filled(&inlined), filled(&general), filled(&flags), filled(&inlined)];
            for message in &messages {
                let (verdict, count) = handle(&inlined, &mut states[0], 1, message);
                let (other, other_count) = handle(&general, &mut states[1], 1, message);
                prop_assert_eq!(&other, &verdict);
                let too_long = message.len() > inlined.message_bytes_max() as usize;
                let silent = inlined.name() == "busy" && count.instructions < 20 || inlined.name() == "store" && message.is_empty();
                prop_assert!(too_long || silent || other_count.instructions > count.instructions);
                prop_assert_eq!(handle(&flags, &mut states[2], 1, message), (verdict.clone(), handle(&inlined, &mut states[3], 1, message).1));
                prop_assert_eq!(handle(&service(&source, &Options::default()), &mut State::new(&inlined), 1, message).1,
                    handle(&inlined, &mut State::new(&inlined), 1, message).1);
            }
        }
    }

    /// The stretch without a yield stays under every bound that can be asked for, and the yields don't change the answer.
    #[test]
    fn stretches_stay_under_their_bound(bound in wyki::STRETCH_BOUND_LEAST..3000, messages in vec(message(), 1..4)) {
        for source in all() {
            let bounded = service(&source, &Options { stretch_bound_instructions: bound, ..Options::default() });
            prop_assert!(bounded.longest_stretch_instructions() <= bound, "{} of {bound}", bounded.longest_stretch_instructions());
            let free = service(&source, &Options { stretch_bound_instructions: u32::MAX, ..Options::default() });
            let mut states = [filled(&bounded), filled(&free)];
            for message in &messages {
                let (verdict, count) = handle(&bounded, &mut states[0], 1, message);
                let (other, other_count) = handle(&free, &mut states[1], 1, message);
                prop_assert_eq!(verdict, other);
                prop_assert_eq!(count.instructions, other_count.instructions + 3 * (count.yields - other_count.yields));
            }
        }
    }

    /// A damaged program is refused or compiled; a compiled one keeps its promises.
    #[test]
    fn damaged_programs(which in 0_usize..8, at in any::<prop::sample::Index>(), cut in 0_usize..30, put in "[ -~]{0,6}", bytes in message()) {
        let source = &all()[which];
        let start = at.index(source.len());
        let end = (start + cut).min(source.len());
        let (Some(before), Some(after)) = (source.get(..start), source.get(end..)) else { return Ok(()) };
        let damaged = format!("{before}{put}{after}");
        match compile(&damaged, "damaged.wyki", &Options::default()) {
            Ok(service) => { handle(&service, &mut State::new(&service), 0, &bytes); }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                for fault in faults {
                    prop_assert!(fault.span.end <= damaged.len() && !fault.message.is_empty());
                    fault.place(&damaged);
                }
            }
        }
    }
}

/// Counts are part of the results: these change only when the compiler or the table of costs does.
#[test]
fn exact_counts() {
    let memcached = service(MEMCACHED_TCP, &Options::default());
    let mut state = State::new(&memcached);
    memcached.user_space_store(&mut state, "items", b"key-0000000001", &[b'v'; 512]).unwrap();
    let (hit, hit_count) = handle(&memcached, &mut state, 0, b"get key-0000000001\r\n");
    let (miss, miss_count) = handle(&memcached, &mut state, 0, b"get key-0000000002\r\n");
    let general = service(MEMCACHED_TCP, &Options { inline_parsing: false, ..Options::default() });
    let (_, general_count) = handle(&general, &mut state.clone(), 0, b"get key-0000000001\r\n");
    assert!(matches!(hit, Verdict::Reply(bytes) if bytes.len() == 512 + 35));
    assert_eq!(miss, Verdict::Up);
    insta::assert_snapshot!(
        "exact-counts",
        format!("hit {hit_count:#?}\nmiss {miss_count:#?}\ngeneral parser, hit {general_count:#?}")
    );
}
