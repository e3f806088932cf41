//! Messages and descriptors on a Unix socket.
//!
//! A message is its length in four bytes (big endian) and JSON. Descriptors come after a message, in batches of [`BATCH`]
//! with one byte each, and the message says how many there are. The kernel does not join bytes across a batch, and a reader
//! reads exactly the bytes of a message, so that it does not lose a batch with them.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::socket::{getsockopt, sockopt};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest message. A listener needs less than 200 bytes.
const MAX_MESSAGE: usize = 4 << 20;
/// Descriptors at once. The kernel takes 253 (SCM_MAX_FD).
const BATCH: usize = 64;

/// The user of the process on the other side.
pub fn peer_user(stream: &UnixStream) -> io::Result<u32> {
    Ok(getsockopt(stream, sockopt::PeerCredentials)?.uid())
}

/// Bounds each read and each write from now on.
pub fn set_timeout(stream: &UnixStream, timeout: Duration) -> io::Result<()> {
    // Zero would mean no timeout.
    let timeout = timeout.max(Duration::from_millis(1));
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))
}

pub fn send(mut stream: &UnixStream, message: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|&length| length as usize <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::from(ErrorKind::FileTooLarge))?;
    stream.write_all(&[&length.to_be_bytes()[..], &body].concat())
}

pub fn receive<T: DeserializeOwned>(stream: &UnixStream) -> io::Result<T> {
    receive_from(stream)
}

/// Receives a message that must be complete within `timeout`. Bounds each later read by some part of it.
pub fn receive_within<T: DeserializeOwned>(stream: &UnixStream, timeout: Duration) -> io::Result<T> {
    receive_from(DeadlineReader { stream, deadline: Instant::now() + timeout })
}

/// A stream of which each read ends at the deadline.
struct DeadlineReader<'a> {
    stream: &'a UnixStream,
    deadline: Instant,
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

fn receive_from<T: DeserializeOwned>(mut stream: impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).map_err(explained)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_MESSAGE {
        return Err(ErrorKind::FileTooLarge.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).map_err(explained)?;
    Ok(serde_json::from_slice(&body)?)
}

/// Replaces the words of the system for an end and a timeout.
fn explained(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it ended, or closed the connection"),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::new(ErrorKind::TimedOut, "it sent nothing in time"),
        _ => error,
    }
}

pub fn send_descriptors(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for batch in descriptors.chunks(BATCH) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(batch)) {
            return Err(io::Error::other("BUG: the buffer for a batch holds a batch"));
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

/// Receives `count` descriptors. No program that this process starts inherits them.
pub fn receive_descriptors(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::new();
    while descriptors.len() < count {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        let received = match received {
            Err(rustix::io::Errno::INTR) => continue,
            received => received.map_err(|error| explained(error.into()))?,
        };
        let before = descriptors.len();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(batch) = message {
                descriptors.extend(batch);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("not all descriptors could be received; is the limit on open files too low?"));
        }
        if received.bytes == 0 || descriptors.len() == before {
            return Err(explained(ErrorKind::UnexpectedEof.into()));
        }
    }
    if descriptors.len() > count {
        return Err(io::Error::other("more descriptors came than were announced"));
    }
    Ok(descriptors)
}
