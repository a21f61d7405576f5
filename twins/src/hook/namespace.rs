//! A network namespace of this process's own: nothing of the host's network changes, and it goes with the last socket in it.

use crate::error::TwinError;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};
use std::fs::File;
use std::os::fd::AsRawFd;

/// Index of the loopback device: the first of each namespace.
pub const LOOPBACK: u32 = 1;

/// Makes something in a new namespace whose loopback device is up. The thread is in its old one again afterwards.
///
/// # Errors
/// When the host refuses a namespace, or `make` fails.
pub fn inside<T>(make: impl FnOnce() -> Result<T, TwinError>) -> Result<T, TwinError> {
    let home = File::open("/proc/thread-self/ns/net").map_err(TwinError::host("looking up this thread's network namespace"))?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(TwinError::host("making a network namespace"))?;
    let made = loopback_up().and_then(|()| make());
    setns(&home, CloneFlags::CLONE_NEWNET).map_err(TwinError::host("leaving a network namespace"))?;
    made
}

/// Bytes of an rtnetlink message that brings the loopback device up and asks for an answer: `struct nlmsghdr`, `struct ifinfomsg`.
fn up_message() -> Vec<u8> {
    const NEW_LINK: u16 = libc::RTM_NEWLINK;
    const REQUEST_WITH_ANSWER: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
    const UP: u32 = libc::IFF_UP as u32;
    let mut body = vec![0u8; 4];
    for word in [LOOPBACK, UP, UP] {
        body.extend(word.to_ne_bytes());
    }
    let header_bytes = 16;
    let mut message = (header_bytes + body.len() as u32).to_ne_bytes().to_vec();
    message.extend(NEW_LINK.to_ne_bytes());
    message.extend(REQUEST_WITH_ANSWER.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

/// The error number in an answer: after its header of 16 bytes.
fn answered(answer: &[u8]) -> Option<i32> {
    Some(i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?))
}

fn loopback_up() -> Result<(), TwinError> {
    let what = "bringing the loopback device up";
    let talk = || -> nix::Result<i32> {
        let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        sendto(netlink.as_raw_fd(), &up_message(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0; 256];
        let got = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        Ok(answered(&answer[..got]).unwrap_or(-libc::EPROTO))
    };
    match talk().map_err(TwinError::host(what))? {
        0 => Ok(()),
        refused => Err(TwinError::Host { what, source: std::io::Error::from_raw_os_error(-refused) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_to_the_kernel_has_the_lengths_that_it_says() {
        let message = up_message();
        assert_eq!((message.len(), u32::from_ne_bytes(message[..4].try_into().unwrap())), (32, 32));
        assert_eq!(message[16..24], [[0; 4], LOOPBACK.to_ne_bytes()].concat());
        assert_eq!(answered(&[[0; 16].to_vec(), (-1i32).to_ne_bytes().to_vec()].concat()), Some(-1));
        assert_eq!(answered(&[0; 8]), None);
    }
}
