//! The load of the recordings: `get` and `set` of values of 512 bytes at nine to one, or a static file.

use super::PATIENCE;
use super::process::FILE;
use crate::case::ServerKind;
use crate::error::TwinError;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Keys that are stored.
const KEYS: u64 = 1000;
/// Bytes of a value.
const VALUE_BYTES: usize = 512;
/// Of so many requests one stores.
const SET_ONE_IN: u64 = 10;
/// Largest reply that is read at once.
const REPLY_BYTES: usize = 4096;

/// Clients of one number of connections.
pub(super) struct Client {
    kind: ServerKind,
    address: SocketAddr,
    streams: Vec<TcpStream>,
    count: u32,
    stay: bool,
    /// Bytes of the reply that each connection waits for.
    expected: Vec<usize>,
    asked: u64,
    request: Vec<u8>,
    reply: Box<[u8; REPLY_BYTES]>,
}

impl Client {
    /// Clients with so many connections at the same time, which stay or serve one request each.
    pub fn new(kind: ServerKind, address: SocketAddr, count: u32, stay: bool) -> Result<Client, TwinError> {
        let mut client = Client {
            kind,
            address,
            streams: Vec::new(),
            count,
            stay,
            expected: vec![0; count as usize],
            asked: 0,
            request: Vec::new(),
            reply: Box::new([0; REPLY_BYTES]),
        };
        if stay {
            client.streams = (0..count).map(|_| connect(address)).collect::<Result<_, _>>()?;
        }
        Ok(client)
    }

    /// Connections at the same time: requests of a round.
    pub fn connections(&self) -> u64 {
        self.count.into()
    }

    /// A request on each connection, then all replies.
    pub fn round(&mut self) -> Result<(), TwinError> {
        for place in 0..self.count as usize {
            if !self.stay {
                self.streams.push(connect(self.address)?);
            }
            let (key, set) = drawn(self.asked);
            self.asked += 1;
            self.expected[place] = request(self.kind, set, key, self.stay, &mut self.request);
            write(&mut self.streams[place], &self.request)?;
        }
        for (stream, expected) in self.streams.iter_mut().zip(&mut self.expected) {
            if self.kind != ServerKind::Nginx {
                take(stream, *expected, &mut self.reply[..])?;
            } else if self.stay {
                page(stream, &mut self.reply[..])?;
            } else {
                to_the_end(stream, &mut self.reply[..])?;
            }
        }
        if !self.stay {
            self.streams.clear();
        }
        Ok(())
    }
}

/// Stores a value under each key, in a server that stores any.
pub(super) fn store_all(kind: ServerKind, address: SocketAddr) -> Result<(), TwinError> {
    if kind == ServerKind::Nginx {
        return Ok(());
    }
    let mut stream = connect(address)?;
    let (mut text, mut reply) = (Vec::new(), [0; REPLY_BYTES]);
    for key in 0..KEYS {
        let expected = request(kind, true, key, true, &mut text);
        write(&mut stream, &text)?;
        take(&mut stream, expected, &mut reply)?;
    }
    Ok(())
}

fn connect(address: SocketAddr) -> Result<TcpStream, TwinError> {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(TwinError::host("connecting to the server"))?;
    let set = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
    set.and_then(|()| stream.set_write_timeout(Some(PATIENCE))).map_err(TwinError::host("a socket option"))?;
    Ok(stream)
}

/// Key and kind of the `number`th request, the same every time (the generator of SplitMix64).
fn drawn(number: u64) -> (u64, bool) {
    let mut drawn = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    drawn = (drawn ^ drawn >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    drawn = (drawn ^ drawn >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    drawn ^= drawn >> 31;
    (drawn % KEYS, (drawn >> 32).is_multiple_of(SET_ONE_IN))
}

/// Writes a request in the server's protocol into `text`; gives back how many bytes the reply has, where that is known.
fn request(kind: ServerKind, set: bool, key: u64, stay: bool, text: &mut Vec<u8>) -> usize {
    text.clear();
    let key = format!("key-{key:024}");
    let (head, value, expected) = match (kind, set) {
        (ServerKind::Memcached, true) => (format!("set {key} 0 0 {VALUE_BYTES}\r\n"), true, "STORED\r\n".len()),
        (ServerKind::Memcached, false) => {
            let around = format!("VALUE {key} 0 {VALUE_BYTES}\r\n").len() + "\r\nEND\r\n".len();
            (format!("get {key}\r\n"), false, around + VALUE_BYTES)
        }
        (ServerKind::Redis, true) => {
            let length = key.len();
            (format!("*3\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n${VALUE_BYTES}\r\n"), true, "+OK\r\n".len())
        }
        (ServerKind::Redis, false) => {
            let length = key.len();
            let around = format!("${VALUE_BYTES}\r\n").len() + "\r\n".len();
            (format!("*2\r\n$3\r\nGET\r\n${length}\r\n{key}\r\n"), false, around + VALUE_BYTES)
        }
        // as `ab` asks, with and without -k
        (ServerKind::Nginx, _) => {
            let keep = if stay { "Connection: Keep-Alive\r\n" } else { "" };
            (
                format!("GET /{FILE} HTTP/1.0\r\n{keep}Host: 127.0.0.1\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n"),
                false,
                0,
            )
        }
    };
    text.extend_from_slice(head.as_bytes());
    if value {
        text.resize(text.len() + VALUE_BYTES, b'v');
        text.extend_from_slice(b"\r\n");
    }
    expected
}

fn write(stream: &mut TcpStream, request: &[u8]) -> Result<(), TwinError> {
    stream.write_all(request).map_err(TwinError::host("a request to the server"))
}

fn read(stream: &mut TcpStream, reply: &mut [u8]) -> Result<usize, TwinError> {
    stream.read(reply).map_err(TwinError::host("a reply of the server (it may take two seconds)"))
}

/// Takes a reply of a known length.
fn take(stream: &mut TcpStream, expected: usize, reply: &mut [u8]) -> Result<(), TwinError> {
    let mut got = 0;
    while got < expected {
        match read(stream, &mut reply[got..])? {
            0 => break,
            more => got += more,
        }
    }
    crate::error::expect("a reply of the server", got as i64, expected)
}

/// Takes a page with the length that its header names.
fn page(stream: &mut TcpStream, reply: &mut [u8]) -> Result<(), TwinError> {
    let mut got = 0;
    loop {
        let more = read(stream, &mut reply[got..])?;
        got += more;
        match page_bytes(&reply[..got]) {
            Some(expected) if got >= expected => return crate::error::expect("a page of nginx", got as i64, expected),
            _ if more == 0 => return Err(TwinError::Lacking("nginx closed a connection before its page was whole".into())),
            _ => {}
        }
    }
}

/// Takes a page that ends with its connection.
fn to_the_end(stream: &mut TcpStream, reply: &mut [u8]) -> Result<(), TwinError> {
    let mut got = 0;
    loop {
        match read(stream, &mut reply[got..])? {
            0 => break,
            more => got += more,
        }
    }
    crate::error::expect("a page of nginx", got as i64, page_bytes(&reply[..got]).unwrap_or(0))
}

/// Bytes of a page with its header, once the header is whole and says that all is well.
fn page_bytes(reply: &[u8]) -> Option<usize> {
    let text = reply.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let header = std::str::from_utf8(&reply[..text]).ok()?;
    let is_well = header.split(' ').nth(1) == Some("200");
    let length = header.lines().find_map(|line| line.strip_prefix("Content-Length: "))?.trim().parse::<usize>().ok()?;
    is_well.then_some(text + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_what_the_recorded_client_sent() {
        let mut text = Vec::new();
        let said = |text: &Vec<u8>| String::from_utf8(text.clone()).unwrap();
        assert_eq!(request(ServerKind::Memcached, false, 7, true, &mut text), 28 + 6 + 8 + 512 + 7);
        assert_eq!(said(&text), "get key-000000000000000000000007\r\n");
        assert_eq!(request(ServerKind::Redis, true, 7, true, &mut text), 5);
        assert!(said(&text).starts_with("*3\r\n$3\r\nSET\r\n$28\r\nkey-000000000000000000000007\r\n$512\r\nvvv"));
        assert_eq!(request(ServerKind::Nginx, false, 7, true, &mut text), 0);
        assert!(said(&text).contains("Keep-Alive"));
        let sets = (0..10_000).filter(|number| drawn(*number).1).count();
        assert!((900..1100).contains(&sets), "{sets}");
    }

    #[test]
    fn a_page_is_as_long_as_its_header_says() {
        let header = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(page_bytes(header.as_bytes()), Some(header.len() + 5));
        assert_eq!(page_bytes(b"HTTP/1.1 200 OK\r\nContent-Le"), None);
        assert_eq!(page_bytes(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n"), None);
    }
}
