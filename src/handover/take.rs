//! The new process's side. Each step gives what the next one needs, so that none can be left out.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::socket_acceptconn;

use super::{Answer, Error, PATIENCE, PROTOCOL, Request, Step, wire};
use crate::service_manager::Terms;

/// What the old process gave. It serves on with all of it until the last step.
#[derive(Debug)]
pub struct Inheritance {
    pub listeners: Listeners,
    /// Where its access log and its messages go.
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// What the service manager expects of the gateway.
    pub terms: Terms,
    /// The old process.
    pub pid: u32,
    /// What it calls its version.
    pub version: String,
}

/// Listening sockets by the address of their configuration.
#[derive(Debug, Default)]
pub struct Listeners(Vec<(SocketAddr, TcpListener)>);

impl Listeners {
    /// The socket at `address`, if the old process had one there. Each is given once.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.0.iter().position(|(known, _)| *known == address)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// The first step is done: the old process waits for this one to be ready.
#[derive(Debug)]
pub struct Pending {
    stream: UnixStream,
}

/// The second step is done: this process may serve.
#[derive(Debug)]
pub struct Granted {
    stream: UnixStream,
}

/// Asks the process behind the socket `path` for what it has. It must be of one of the users `trusted`, and will wait for
/// `patience` until this process is ready.
///
/// # Errors
/// When nobody answers, when it is somebody else, when it refuses or breaks off.
pub fn ask(path: &Path, trusted: &[u32], patience: Duration) -> Result<(Inheritance, Pending), Error> {
    let stream = UnixStream::connect(path)?;
    let user = wire::user(&stream)?;
    if !trusted.contains(&user) {
        return Err(Error::Stranger(user));
    }
    wire::wait_for(&stream, PATIENCE)?;
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION").to_owned());
    let patience = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
    let sent = wire::send(&stream, &Request { protocol: PROTOCOL, pid, version, patience });
    // Who refuses whatever is asked does not wait for the question; the reason is there all the same.
    let answer: io::Result<Answer> = wire::receive(&stream);
    let offer = match answer {
        Ok(Answer::Offer(offer)) => sent.map(|()| offer)?,
        Ok(Answer::Refused(reason)) => return Err(Error::Refused(reason)),
        Ok(Answer::Go) => return Err(Error::Nonsense("a step out of turn")),
        Err(error) => return Err(sent.err().unwrap_or(error).into()),
    };
    let mut descriptors = wire::receive_descriptors(&stream, offer.listeners.len() + 2)?;
    let (Some(stderr), Some(stdout)) = (descriptors.pop(), descriptors.pop()) else {
        return Err(Error::Nonsense("too few descriptors"));
    };
    let mut listeners = Vec::with_capacity(descriptors.len());
    for (listener, descriptor) in offer.listeners.into_iter().zip(descriptors) {
        if !socket_acceptconn(&descriptor).unwrap_or(false) {
            return Err(Error::Nonsense("a descriptor that does not listen"));
        }
        let socket = TcpListener::from(descriptor);
        socket.set_nonblocking(true)?;
        listeners.push((listener.address, socket));
    }
    let inheritance = Inheritance {
        listeners: Listeners(listeners),
        stdout,
        stderr,
        terms: offer.terms,
        pid: offer.pid,
        version: offer.version,
    };
    Ok((inheritance, Pending { stream }))
}

impl Pending {
    /// Says that this process is ready, and waits for leave to serve.
    ///
    /// # Errors
    /// When the old process has ended, drains, or does not answer.
    pub fn ready(self) -> Result<Granted, Error> {
        wire::send(&self.stream, &Step::Ready)?;
        match wire::receive(&self.stream)? {
            Answer::Go => Ok(Granted { stream: self.stream }),
            Answer::Refused(reason) => Err(Error::Refused(reason)),
            Answer::Offer(_) => Err(Error::Nonsense("a step out of turn")),
        }
    }
}

impl Granted {
    /// Says that this process serves. The old one drains from now on.
    ///
    /// # Errors
    /// When the old process does not listen any more. It goes on, or has ended.
    pub fn serving(self) -> Result<(), Error> {
        Ok(wire::send(&self.stream, &Step::Serving)?)
    }
}
