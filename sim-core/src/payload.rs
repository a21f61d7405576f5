//! Request bytes. Recordings hold no data contents, so the bytes of requests are synthesised where something looks at them. They are a
//! pure function of the protocol, the item and a version, with the lengths that were recorded; they know neither kernels nor programs.

use serde::{Deserialize, Serialize};

/// The protocol that clients and server of a workload speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// memcached's text protocol over TCP.
    Memcached,
    /// The same behind the 8-byte frame header of UDP.
    MemcachedUdp,
    /// HTTP/1.0 as `ab` speaks it, a new connection per request.
    Http,
    /// The same with `Connection: Keep-Alive`.
    HttpKeepAlive,
    /// RESP, the protocol of redis.
    Redis,
}

/// What the requests of a workload look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    /// The protocol.
    pub protocol: Protocol,
    /// Bytes of a key, or of a file's path.
    pub key_bytes: u32,
    /// Bytes of a stored value or of a file.
    pub value_bytes: u32,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The value of a key, or a file.
    Get,
    /// To store a value.
    Set,
}

/// Ways in which a message can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A command that does not exist.
    UnknownCommand,
    /// A key or path of 300 bytes: longer than memcached allows (250).
    LongKey,
    /// Bytes without any meaning, ended as a message of the protocol ends.
    Noise,
    /// The message ends in the middle. On a stream the rest comes later; a datagram's is lost.
    Torn,
}

impl Damage {
    /// All of them.
    pub const ALL: [Damage; 4] = [Damage::UnknownCommand, Damage::LongKey, Damage::Noise, Damage::Torn];
}

/// Bytes of the frame header of memcached's UDP protocol: request id, sequence number, datagrams, reserved; 16 bits each.
const UDP_HEADER_BYTES: usize = 8;
/// Bytes of a key that is too long.
const LONG_KEY_BYTES: u32 = 300;

impl Protocol {
    /// The protocol of a recorded server, by the name and version that it prints.
    pub fn of_server(server: &str, datagram: bool, connection_per_request: bool) -> Option<Protocol> {
        const HTTP_SERVERS: [&str; 3] = ["nginx", "Server version: Apache", "thsrv"];
        if server.starts_with("memcached") {
            return Some(if datagram { Protocol::MemcachedUdp } else { Protocol::Memcached });
        }
        if server.starts_with("Redis") {
            return Some(Protocol::Redis);
        }
        let http = HTTP_SERVERS.iter().any(|known| server.contains(known));
        http.then_some(if connection_per_request { Protocol::Http } else { Protocol::HttpKeepAlive })
    }

    /// True when each message is a datagram.
    pub fn is_datagram(self) -> bool {
        self == Protocol::MemcachedUdp
    }

    /// Bytes of a GET without its key or path.
    pub fn get_overhead_bytes(self) -> u32 {
        let empty = Payload { protocol: self, key_bytes: 0, value_bytes: 0 };
        empty.get(b"", 0).len() as u32
    }
}

impl Payload {
    /// The key or path of an item.
    pub fn key(&self, item: u32) -> Vec<u8> {
        let width = (self.key_bytes as usize).saturating_sub(1);
        match self.protocol {
            Protocol::Http | Protocol::HttpKeepAlive => format!("/{item:0>width$}").into_bytes(),
            _ => format!("k{item:0>width$}").into_bytes(),
        }
    }

    /// The value that a version of an item has: letters and digits, different for each version.
    pub fn value(&self, item: u32, version: u64) -> Vec<u8> {
        const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = format!("{item}.{version}.").into_bytes();
        let mut state = u64::from(item) << 32 ^ version;
        text.resize_with(self.value_bytes as usize, || {
            // the generator of Knuth's MMIX; its upper bits pick a symbol
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            SYMBOLS[(state >> 58) as usize]
        });
        text
    }

    /// The bytes of a request. `version` tells the values of several SETs apart and numbers datagrams.
    pub fn request(&self, ask: Ask, item: u32, version: u64) -> Vec<u8> {
        let key = self.key(item);
        match ask {
            Ask::Get => self.get(&key, version),
            Ask::Set => self.set(&key, &self.value(item, version), version),
        }
    }

    fn get(&self, key: &[u8], version: u64) -> Vec<u8> {
        match self.protocol {
            Protocol::Memcached => [b"get ", key, b"\r\n"].concat(),
            Protocol::MemcachedUdp => [&frame_header(version)[..], b"get ", key, b"\r\n"].concat(),
            Protocol::Redis => [b"*2\r\n$3\r\nGET\r\n$", key.len().to_string().as_bytes(), b"\r\n", key, b"\r\n"].concat(),
            // what ab sends (Apache 2.4): the lengths of all recorded requests agree with it
            Protocol::Http => {
                [b"GET ", key, b" HTTP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n"].concat()
            }
            Protocol::HttpKeepAlive => [
                b"GET ",
                key,
                b" HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: 127.0.0.1\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
            ]
            .concat(),
        }
    }

    /// HTTP has no SET here: files do not change.
    fn set(&self, key: &[u8], value: &[u8], version: u64) -> Vec<u8> {
        let (key_bytes, value_bytes) = (key.len().to_string(), value.len().to_string());
        let text = [b"set ", key, b" 0 0 ", value_bytes.as_bytes(), b"\r\n", value, b"\r\n"];
        match self.protocol {
            Protocol::Memcached => text.concat(),
            Protocol::MemcachedUdp => [&frame_header(version)[..], &text.concat()].concat(),
            Protocol::Redis => [
                b"*3\r\n$3\r\nSET\r\n$",
                key_bytes.as_bytes(),
                b"\r\n",
                key,
                b"\r\n$",
                value_bytes.as_bytes(),
                b"\r\n",
                value,
                b"\r\n",
            ]
            .concat(),
            Protocol::Http | Protocol::HttpKeepAlive => self.get(key, version),
        }
    }

    /// Key and value of a whole SET, as the program in user space reads them; `None` when the bytes are not one.
    pub fn stored<'a>(&self, request: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let text = if self.protocol == Protocol::MemcachedUdp { request.get(UDP_HEADER_BYTES..)? } else { request };
        match self.protocol {
            Protocol::Memcached | Protocol::MemcachedUdp => {
                let (line, rest) = split_line(text)?;
                let mut words = line.split(|byte| *byte == b' ');
                let (command, key, _, _) = (words.next()?, words.next()?, words.next()?, words.next()?);
                let value = rest.get(..number(words.next()?)?)?;
                (command == b"set").then_some((key, value))
            }
            Protocol::Redis => {
                let (count, rest) = split_line(text)?;
                let (command, rest) = bulk(rest)?;
                let (key, rest) = bulk(rest)?;
                let (value, _) = bulk(rest)?;
                (count == b"*3" && command == b"SET").then_some((key, value))
            }
            Protocol::Http | Protocol::HttpKeepAlive => None,
        }
    }

    /// A request with damage; `noise` chooses the wrong bytes.
    pub fn damaged(&self, damage: Damage, ask: Ask, item: u32, version: u64, noise: u64) -> Vec<u8> {
        let mut bytes = self.request(ask, item, version);
        let command = if self.protocol == Protocol::MemcachedUdp { UDP_HEADER_BYTES } else { 0 };
        match damage {
            Damage::UnknownCommand => {
                let at = if self.protocol == Protocol::Redis { bytes.len().min(8) } else { command };
                for (index, byte) in bytes.iter_mut().skip(at).take(3).enumerate() {
                    *byte = b'a' + (noise >> (8 * index)) as u8 % 3 + 20;
                }
                bytes
            }
            Damage::LongKey => Payload { key_bytes: LONG_KEY_BYTES, ..*self }.request(ask, item, version),
            Damage::Noise => {
                let end: &[u8] = match self.protocol {
                    Protocol::Http | Protocol::HttpKeepAlive => b"\r\n\r\n",
                    _ => b"\r\n",
                };
                let body = bytes.len().saturating_sub(end.len());
                for (index, byte) in bytes.iter_mut().take(body).enumerate() {
                    *byte = (noise.rotate_left(index as u32 * 11) >> 3) as u8 | 0x80;
                }
                bytes.truncate(body);
                bytes.extend_from_slice(end);
                bytes
            }
            Damage::Torn => {
                bytes.truncate((bytes.len() / 2).max(1));
                bytes
            }
        }
    }
}

/// Request id, sequence number 0, one datagram, reserved.
fn frame_header(version: u64) -> [u8; UDP_HEADER_BYTES] {
    let id = (version as u16).to_be_bytes();
    [id[0], id[1], 0, 0, 0, 1, 0, 0]
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&text[..end], &text[end + 2..]))
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A bulk string of RESP and what follows it.
fn bulk(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = split_line(text)?;
    let bytes = number(line.strip_prefix(b"$")?)?;
    Some((rest.get(..bytes)?, rest.get(bytes + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(protocol: Protocol) -> Payload {
        Payload { protocol, key_bytes: 28, value_bytes: 512 }
    }

    /// The lengths of the recordings' requests: 28-byte keys, 512-byte values.
    #[test]
    fn requests_have_the_recorded_lengths() {
        let bytes = |protocol, ask| payload(protocol).request(ask, 7, 3).len();
        assert_eq!(bytes(Protocol::Memcached, Ask::Get), 34);
        assert_eq!(bytes(Protocol::Memcached, Ask::Set), 556);
        assert_eq!(bytes(Protocol::MemcachedUdp, Ask::Get), 42);
        assert_eq!(bytes(Protocol::Redis, Ask::Get), 48);
        assert_eq!(bytes(Protocol::Redis, Ask::Set), 568);
        // ab's requests of 86 bytes to nginx and of 110 with keep-alive had a path of ten bytes
        assert_eq!(Protocol::Http.get_overhead_bytes(), 76);
        assert_eq!(Protocol::HttpKeepAlive.get_overhead_bytes(), 100);
    }

    #[test]
    fn the_program_reads_back_what_a_set_carries() {
        for protocol in [Protocol::Memcached, Protocol::MemcachedUdp, Protocol::Redis] {
            let own = payload(protocol);
            let request = own.request(Ask::Set, 12, 99);
            assert_eq!(own.stored(&request), Some((&own.key(12)[..], &own.value(12, 99)[..])));
            assert_eq!(own.stored(&own.request(Ask::Get, 12, 99)), None);
            assert_eq!(own.stored(&request[..request.len() / 2]), None, "a torn SET stores nothing");
        }
    }

    #[test]
    fn versions_and_items_have_different_values_and_damage_shows() {
        let own = payload(Protocol::Memcached);
        assert_ne!(own.value(1, 2), own.value(1, 3));
        assert_ne!(own.value(1, 2), own.value(2, 2));
        assert_eq!(own.value(1, 2).len(), 512);
        for protocol in [Protocol::Memcached, Protocol::MemcachedUdp, Protocol::Redis, Protocol::Http] {
            let own = payload(protocol);
            for damage in Damage::ALL {
                let damaged = own.damaged(damage, Ask::Get, 5, 1, 0x1234_5678_9abc_def0);
                assert_ne!(damaged, own.request(Ask::Get, 5, 1), "{damage:?} of {protocol:?}");
            }
        }
    }

    #[test]
    fn servers_are_known_by_what_they_print() {
        let of = |server| Protocol::of_server(server, false, false);
        assert_eq!(of("memcached 1.6.18"), Some(Protocol::Memcached));
        assert_eq!(of("Redis server v=7.0.15"), Some(Protocol::Redis));
        assert_eq!(of("nginx version: nginx/1.22.1"), Some(Protocol::HttpKeepAlive));
        assert_eq!(Protocol::of_server("Server version: Apache/2.4.71", false, true), Some(Protocol::Http));
        assert_eq!(of("find (GNU findutils) 4.9.0"), None);
    }
}
