//! The example services on plain requests.

mod common;

use common::{ECHO, KEY_VALUE, MEMCACHED_TCP, MEMCACHED_UDP, REDIS, STATIC_FILES, answer, handle, service};
use wyki::{Options, Protocol, State, Verdict};

#[test]
fn echo_greets_and_counts() {
    let echo = service(ECHO, &Options::default());
    let mut state = State::new(&echo);
    let mut say = |text: &str| answer(&echo, &mut state, text.as_bytes());
    assert_eq!(say("what\r\n"), "say hello first\r\n");
    assert_eq!(say("hello\r\n"), "welcome\r\n");
    assert_eq!(say("one\r\n"), "1 one\r\n");
    assert_eq!(say("tw"), "NeedMore");
    assert_eq!(say("two\r\n"), "2 two\r\n");
    assert_eq!(say(&"x".repeat(300)), "Drop");
    assert_eq!(say(&"x".repeat(600)), "Up");
    state.close(1);
    assert_eq!(answer(&echo, &mut state, b"three\r\n"), "say hello first\r\n");
    assert_eq!((echo.states().len(), echo.connection_bytes(), echo.port()), (2, 8, 7));
}

#[test]
fn connections_do_not_share_their_state() {
    let echo = service(ECHO, &Options::default());
    let mut state = State::new(&echo);
    for connection in 0..3 {
        assert_eq!(handle(&echo, &mut state, connection, b"hello\r\n").0, Verdict::Reply(b"welcome\r\n".to_vec()));
    }
    for round in 1..4 {
        for connection in 0..3 {
            let reply = format!("{round} hi\r\n").into_bytes();
            assert_eq!(handle(&echo, &mut state, connection, b"hi\r\n").0, Verdict::Reply(reply));
        }
    }
}

#[test]
fn memcached_over_tcp() {
    let memcached = service(MEMCACHED_TCP, &Options::default());
    let mut state = State::new(&memcached);
    assert_eq!(answer(&memcached, &mut state, b"get key\r\n"), "Up");
    memcached.user_space_store(&mut state, "items", b"key", b"value").unwrap();
    assert_eq!(answer(&memcached, &mut state, b"get key\r\n"), "VALUE key 0 5\r\nvalue\r\nEND\r\n");
    assert_eq!(answer(&memcached, &mut state, b"get ke"), "NeedMore");
    assert_eq!(answer(&memcached, &mut state, b"get key other\r\n"), "Up");
    assert_eq!(answer(&memcached, &mut state, b"get key\r\nget key\r\n"), "Up");
    assert_eq!(answer(&memcached, &mut state, b"set key 0 0 1\r\nx\r\n"), "Up");
    assert_eq!((memcached.protocol(), memcached.port()), (Protocol::Tcp, 11211));
}

#[test]
fn memcached_over_udp() {
    let memcached = service(MEMCACHED_UDP, &Options::default());
    let mut state = State::new(&memcached);
    memcached.user_space_store(&mut state, "items", b"key", b"value").unwrap();
    let frame = |text: &[u8]| [&[0x12, 0x34, 0, 0, 0, 1, 0, 0], text].concat();
    let reply = frame(b"VALUE key 0 5\r\nvalue\r\nEND\r\n");
    assert_eq!(handle(&memcached, &mut state, 0, &frame(b"get key\r\n")).0, Verdict::Reply(reply));
    assert_eq!(handle(&memcached, &mut state, 0, &frame(b"get other\r\n")).0, Verdict::Up);
    assert_eq!(handle(&memcached, &mut state, 0, &frame(b"get key")).0, Verdict::Up);
    assert_eq!(handle(&memcached, &mut state, 0, b"short").0, Verdict::Drop);
    assert_eq!(handle(&memcached, &mut state, 0, b"").0, Verdict::Drop);
}

#[test]
fn files() {
    let files = service(STATIC_FILES, &Options::default());
    let mut state = State::new(&files);
    let page = "x".repeat(5000);
    files.user_space_store(&mut state, "files", b"/index.html", page.as_bytes()).unwrap();
    let mut get = |text: &str| answer(&files, &mut state, text.as_bytes());
    let kept = get("GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(kept.starts_with("HTTP/1.1 200 OK\r\n") && kept.contains("\r\nContent-Length: 5000\r\nConnection: keep-alive\r\n\r\n"));
    assert!(kept.ends_with(&page) && !kept.ends_with(&format!("x{page}")));
    assert!(get("GET /index.html HTTP/1.0\r\n\r\n").contains("Connection: close"));
    assert!(get("GET /index.html HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").contains("Connection: keep-alive"));
    assert_eq!(get("GET /other.html HTTP/1.1\r\nHost: a\r\n\r\n"), "Up");
    assert_eq!(get("GET /index.html HTTP/1.1\r\nRange: bytes=0-1\r\n\r\n"), "Up");
    assert_eq!(get("GET /index.html?a HTTP/1.1\r\n\r\n"), "Up");
    assert_eq!(get("POST /index.html HTTP/1.1\r\n\r\n"), "Up");
    assert_eq!(get("GET /index.html HTTP/1.1\r\nHost: a\r\n"), "NeedMore");
}

#[test]
fn key_value_pairs() {
    let pairs = service(KEY_VALUE, &Options::default());
    let mut state = State::new(&pairs);
    assert_eq!(answer(&pairs, &mut state, b"SET a 1\r\n"), "Up");
    pairs.user_space_store(&mut state, "pairs", b"a", b"1").unwrap();
    assert_eq!(answer(&pairs, &mut state, b"GET a\r\n"), "VALUE 1 1\r\n");
    assert_eq!(answer(&pairs, &mut state, b"PURGE a\r\n"), "PURGED\r\n");
    assert_eq!(answer(&pairs, &mut state, b"GET a\r\n"), "MISSING\r\n");
    assert_eq!(answer(&pairs, &mut state, b"GET \r\n"), "ERROR empty key\r\n");
    assert_eq!(answer(&pairs, &mut state, b"NONSENSE\r\n"), "ERROR\r\n");
    assert_eq!(answer(&pairs, &mut state, b"DELETE a\r\n"), "Up");
}

#[test]
fn redis_strings() {
    let redis = service(REDIS, &Options::default());
    let mut state = State::new(&redis);
    redis.user_space_store(&mut state, "strings", b"key:1", b"abc").unwrap();
    assert_eq!(answer(&redis, &mut state, b"*2\r\n$3\r\nGET\r\n$5\r\nkey:1\r\n"), "$3\r\nabc\r\n");
    assert_eq!(answer(&redis, &mut state, b"*2\r\n$3\r\nGET\r\n$5\r\nke"), "NeedMore");
    assert_eq!(answer(&redis, &mut state, b"*2\r\n$3\r\nGET\r\n$9\r\nkey:1\r\n\r\n\r\n"), "Up");
    assert_eq!(answer(&redis, &mut state, b"*2\r\n$3\r\nGET\r\n$999\r\n"), "Up");
    assert_eq!(answer(&redis, &mut state, b"*3\r\n$3\r\nSET\r\n"), "Up");
}
