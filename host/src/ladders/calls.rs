//! The calls of the bundled workloads, each with what must be there before it and what must go after it.

use crate::error::HostError;
use crate::temporary::TemporaryFile;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use rustix::io::{pread, read, writev};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, SocketFlags, accept_with, recvfrom, sendmsg, sendto};
use std::cell::RefCell;
use std::ffi::CString;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Bytes of a small message, as a key-value request.
const MESSAGE_BYTES: usize = 64;
/// Bytes of a reply's body and of a read from a file.
const BODY_BYTES: usize = 512;
const EVENTS_MANY: u32 = 16;
/// Nothing here waits for anything; a message that does not come is an error, not a hang.
const PATIENCE: Duration = Duration::from_secs(2);

type Many = Box<dyn FnMut(u32) -> io::Result<()>>;
type Once = Box<dyn FnMut() -> io::Result<()>>;

/// A call that can be made many times.
pub struct Call {
    /// Name, with the number of events where it matters.
    pub name: &'static str,
    /// Makes what so many calls need.
    pub prepare: Many,
    /// The call, and nothing else.
    pub once: Once,
    /// Takes away what so many calls have left.
    pub settle: Many,
}

impl Call {
    /// What the call gives back is of no interest once it is there.
    fn new<T, E: Into<io::Error>>(name: &'static str, mut once: impl FnMut() -> Result<T, E> + 'static) -> Call {
        let once = move || once().map(|result| _ = std::hint::black_box(result)).map_err(Into::into);
        Call { name, prepare: Box::new(|_| Ok(())), once: Box::new(once), settle: Box::new(|_| Ok(())) }
    }

    fn after(mut self, prepare: impl FnMut(u32) -> io::Result<()> + 'static) -> Call {
        self.prepare = Box::new(prepare);
        self
    }

    fn before(mut self, settle: impl FnMut(u32) -> io::Result<()> + 'static) -> Call {
        self.settle = Box::new(settle);
        self
    }
}

/// All calls. Files are made in `folder`.
///
/// # Errors
/// No socket or no file.
pub fn all(folder: &Path) -> Result<Vec<Call>, HostError> {
    let refused = |what: &'static str| HostError::system(what, "allow sockets on the loopback device and more open files");
    let mut calls = datagrams().map_err(refused("making a pair of UDP sockets"))?;
    calls.extend(streams().map_err(refused("making a TCP connection"))?);
    calls.push(accepting().map_err(refused("listening on the loopback device"))?);
    calls.push(readiness("epoll_wait_1", 1).map_err(refused("making an epoll set"))?);
    calls.push(readiness("epoll_wait_16", EVENTS_MANY).map_err(refused("making an epoll set"))?);
    calls.extend(files(TemporaryFile::of(folder, &[0; 4096])?));
    Ok(calls)
}

fn datagrams() -> io::Result<Vec<Call>> {
    let socket = || {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok::<_, io::Error>(Rc::new(socket))
    };
    let (sender, receiver) = (socket()?, socket()?);
    let address = receiver.local_addr()?;
    let (filler, drain) = (Rc::clone(&sender), Rc::clone(&receiver));
    let receive = move || recvfrom(&receiver, &mut [0u8; MESSAGE_BYTES], RecvFlags::empty());
    let fill = move |count| (0..count).try_for_each(|_| filler.send_to(&[0; MESSAGE_BYTES], address).map(drop));
    let send = move || sendto(&sender, &[0; MESSAGE_BYTES], SendFlags::empty(), &address);
    let empty = move |count| (0..count).try_for_each(|_| drain.recv(&mut [0; MESSAGE_BYTES]).map(drop));
    Ok(vec![Call::new("recvfrom", receive).after(fill), Call::new("sendto", send).before(empty)])
}

fn streams() -> io::Result<Vec<Call>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = Rc::new(TcpStream::connect(listener.local_addr()?)?);
    let server = Rc::new(listener.accept()?.0);
    for end in [&client, &server] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(PATIENCE))?;
    }
    let take = |bytes: usize| {
        let client = Rc::clone(&client);
        move |count: u32| (&*client).read_exact(&mut vec![0; bytes * count as usize])
    };
    let filler = Rc::clone(&client);
    let fill = move |count| (0..count).try_for_each(|_| (&*filler).write_all(&[0; MESSAGE_BYTES]));
    let end = Rc::clone(&server);
    let receive = move || read(&end, &mut [0u8; MESSAGE_BYTES]);
    let end = Rc::clone(&server);
    let send = move || {
        let message = [0; MESSAGE_BYTES];
        sendmsg(&end, &[IoSlice::new(&message)], &mut SendAncillaryBuffer::default(), SendFlags::empty())
    };
    let write = move || {
        let (head, body) = ([0; MESSAGE_BYTES], [0; BODY_BYTES]);
        writev(&server, &[IoSlice::new(&head), IoSlice::new(&body)])
    };
    Ok(vec![
        Call::new("read", receive).after(fill),
        Call::new("sendmsg", send).before(take(MESSAGE_BYTES)),
        Call::new("writev", write).before(take(MESSAGE_BYTES + BODY_BYTES)),
    ])
}

fn accepting() -> io::Result<Call> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let clients = Rc::new(RefCell::new(Vec::new()));
    let connected = Rc::clone(&clients);
    let accept = move || accept_with(&listener, SocketFlags::CLOEXEC);
    let connect = move |count| {
        (0..count).try_for_each(|_| {
            connected.borrow_mut().push(TcpStream::connect(address)?);
            Ok(())
        })
    };
    let leave = move |_| {
        clients.borrow_mut().clear();
        Ok(())
    };
    Ok(Call::new("accept4_close", accept).after(connect).before(leave))
}

/// An epoll set in which everything stays ready.
fn readiness(name: &'static str, ready: u32) -> io::Result<Call> {
    let set = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut sources: Vec<OwnedFd> = Vec::new();
    for number in 0..ready {
        let source = eventfd(1, EventfdFlags::CLOEXEC)?;
        epoll::add(&set, &source, epoll::EventData::new_u64(number.into()), epoll::EventFlags::IN)?;
        sources.push(source);
    }
    let mut events = Vec::with_capacity(2 * EVENTS_MANY as usize);
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(Call::new(name, move || {
        events.clear();
        epoll::wait(&set, rustix::buffer::spare_capacity(&mut events), Some(&at_once))?;
        // the sources must outlive the set that watches them
        if events.len() == sources.len() { Ok(()) } else { Err(io::Error::other("not everything that is ready was told")) }
    }))
}

fn files(file: TemporaryFile) -> Vec<Call> {
    // A name without a zero byte: it was made from a folder's name and digits.
    let name = CString::new(file.path().as_os_str().as_encoded_bytes()).unwrap_or_default();
    let file = Rc::new(file);
    let opened = Rc::new(RefCell::new(Vec::new()));
    let open = {
        let (opened, file) = (Rc::clone(&opened), Rc::clone(&file));
        move || {
            let _alive = &file;
            opened.borrow_mut().push(openat(CWD, &*name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
            io::Result::Ok(())
        }
    };
    let open_first = open.clone();
    let (left, to_close) = (Rc::clone(&opened), opened);
    let close_left = move |_| {
        left.borrow_mut().clear();
        Ok(())
    };
    let close = move || to_close.borrow_mut().pop().ok_or(io::Error::other("nothing is open"));
    let other = Rc::clone(&file);
    vec![
        Call::new("openat", open).before(close_left),
        Call::new("fstat", move || fstat(file.file())),
        Call::new("close", close).after(move |count| (0..count).try_for_each(|_| open_first())),
        Call::new("pread", move || pread(other.file(), &mut [0u8; BODY_BYTES], 0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_can_be_made_several_times_in_a_row() {
        let names: Vec<&str> = all(&std::env::temp_dir())
            .unwrap()
            .into_iter()
            .map(|mut call| {
                for count in [1, 5, 16] {
                    let round = |call: &mut Call| {
                        (call.prepare)(count)?;
                        (0..count).try_for_each(|_| (call.once)())?;
                        (call.settle)(count)
                    };
                    round(&mut call).unwrap_or_else(|error| panic!("{}: {error}", call.name));
                }
                call.name
            })
            .collect();
        assert_eq!(names.len(), 12);
        assert!(
            ["recvfrom", "sendto", "sendmsg", "read", "epoll_wait_16", "accept4_close"].iter().all(|name| names.contains(name))
        );
    }
}
