//! Messages and descriptors on a Unix socket.
//!
//! A message is its length in four bytes (big endian) and JSON. Descriptors come after a message, in batches of [`BATCH`]
//! with one byte each, and the message says how many there are. The kernel joins no bytes over a batch, and a reader takes
//! exactly a message's bytes: so no batch is swallowed with them.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::socket::{getsockopt, sockopt};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message; a listener takes less than 200 bytes of one.
const MAX_MESSAGE: usize = 4 << 20;
/// Descriptors at once. The kernel takes 253 (SCM_MAX_FD).
const BATCH: usize = 64;

/// The user on the other side: the one who connected, or the one who listened.
pub fn user(stream: &UnixStream) -> io::Result<u32> {
    Ok(getsockopt(stream, sockopt::PeerCredentials)?.uid())
}

/// Waits for `patience` at most from now on, in each read and each write.
pub fn wait_for(stream: &UnixStream, patience: Duration) -> io::Result<()> {
    // Zero would mean for ever.
    let patience = patience.max(Duration::from_millis(1));
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))
}

pub fn send(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|&length| length as usize <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::from(ErrorKind::FileTooLarge))?;
    stream.write_all(&[&length.to_be_bytes()[..], &body].concat())
}

pub fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(told)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_MESSAGE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).map_err(told)?;
    Ok(serde_json::from_slice(&body)?)
}

/// What an end or a silence means here.
fn told(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it ended, or broke off"),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::new(ErrorKind::TimedOut, "it said nothing in time"),
        _ => error,
    }
}

pub fn send_descriptors(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for batch in descriptors.chunks(BATCH) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(batch)) {
            return Err(io::Error::other("BUG: the room for a batch holds a batch"));
        }
        loop {
            match sendmsg(stream, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Takes `count` descriptors. No program that this process starts inherits them.
pub fn receive_descriptors(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::new();
    while descriptors.len() < count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        let received = match received {
            Err(rustix::io::Errno::INTR) => continue,
            received => received.map_err(|error| told(error.into()))?,
        };
        let before = descriptors.len();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(batch) = message {
                descriptors.extend(batch);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("not all descriptors could be taken; is the limit on open files too low?"));
        }
        if received.bytes == 0 || descriptors.len() == before {
            return Err(told(ErrorKind::UnexpectedEof.into()));
        }
    }
    if descriptors.len() > count {
        return Err(io::Error::other("more descriptors came than were announced"));
    }
    Ok(descriptors)
}
