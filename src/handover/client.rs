//! The side of the new process. Each step returns what the next one needs, so that none can be left out.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::socket_acceptconn;

use super::{HandoverAnswer, HandoverError, HandoverRequest, HandoverStep, PROTOCOL, TIMEOUT, wire};
use crate::service_manager::NotifySettings;

/// What the old process handed over. It continues to serve with all of it until the last step.
#[derive(Debug)]
pub struct Inheritance {
    pub listeners: InheritedListeners,
    /// Where its access log goes.
    pub stdout: OwnedFd,
    /// Where its messages go.
    pub stderr: OwnedFd,
    /// How the service manager is notified.
    pub settings: NotifySettings,
    /// The old process.
    pub pid: u32,
    /// The version of its program.
    pub version: String,
}

/// Listening sockets by the address of their configuration.
#[derive(Debug, Default)]
pub struct InheritedListeners(Vec<(SocketAddr, TcpListener)>);

impl InheritedListeners {
    /// Removes and returns the socket at `address`, if the old process had one there.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let at = self.0.iter().position(|(known, _)| *known == address)?;
        Some(self.0.swap_remove(at).1)
    }
}

/// The first step is done: the old process waits until this one is ready.
#[derive(Debug)]
pub struct PendingHandover {
    stream: UnixStream,
}

/// The second step is done: this process may serve.
#[derive(Debug)]
pub struct GrantedHandover {
    stream: UnixStream,
}

/// Asks the process behind the socket `path` to hand over. It must run as one of the users `trusted`, and waits for `timeout`
/// until this process is ready, which will accept on the addresses `listens`.
///
/// # Errors
/// When no process answers, when it runs as another user, when it refuses or ends.
pub fn request(
    path: &Path,
    trusted: &[u32],
    timeout: Duration,
    listens: Vec<SocketAddr>,
) -> Result<(Inheritance, PendingHandover), HandoverError> {
    let stream = UnixStream::connect(path)?;
    let user = wire::peer_user(&stream)?;
    if !trusted.contains(&user) {
        return Err(HandoverError::Stranger(user));
    }
    wire::set_timeout(&stream, TIMEOUT)?;
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION").to_owned());
    let timeout = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let request = HandoverRequest { protocol: PROTOCOL, pid, version, timeout, listens: Some(listens) };
    let sent = wire::send(&stream, &request);
    // A process that refuses every request does not wait for it; its reason can be read although sending may have failed.
    let answer: io::Result<HandoverAnswer> = wire::receive(&stream);
    let offer = match answer {
        Ok(HandoverAnswer::Offer(offer)) => sent.map(|()| offer)?,
        Ok(HandoverAnswer::Refused(reason)) => return Err(HandoverError::Refused(reason)),
        Ok(HandoverAnswer::Go | HandoverAnswer::Published) => {
            return Err(HandoverError::Protocol("a message out of order"));
        }
        Err(error) => return Err(sent.err().unwrap_or(error).into()),
    };
    let mut descriptors = wire::receive_descriptors(&stream, offer.listeners.len() + 2)?;
    let (Some(stderr), Some(stdout)) = (descriptors.pop(), descriptors.pop()) else {
        return Err(HandoverError::Protocol("too few descriptors"));
    };
    let mut listeners = Vec::with_capacity(descriptors.len());
    for (listener, descriptor) in offer.listeners.into_iter().zip(descriptors) {
        if !socket_acceptconn(&descriptor).unwrap_or(false) {
            return Err(HandoverError::Protocol("a descriptor that does not listen"));
        }
        let socket = TcpListener::from(descriptor);
        if !is_at(socket.local_addr()?, listener.address) {
            return Err(HandoverError::Protocol("a socket that listens elsewhere than it says"));
        }
        socket.set_nonblocking(true)?;
        listeners.push((listener.address, socket));
    }
    let inheritance = Inheritance {
        listeners: InheritedListeners(listeners),
        stdout,
        stderr,
        settings: offer.settings,
        pid: offer.pid,
        version: offer.version,
    };
    Ok((inheritance, PendingHandover { stream }))
}

impl PendingHandover {
    /// Reports that this process is ready, and waits until it may serve.
    ///
    /// # Errors
    /// When the old process has ended, drains, or does not answer.
    pub fn ready(self) -> Result<GrantedHandover, HandoverError> {
        wire::send(&self.stream, &HandoverStep::Ready)?;
        match wire::receive(&self.stream)? {
            HandoverAnswer::Go => Ok(GrantedHandover { stream: self.stream }),
            HandoverAnswer::Refused(reason) => Err(HandoverError::Refused(reason)),
            HandoverAnswer::Offer(_) | HandoverAnswer::Published => {
                Err(HandoverError::Protocol("a message out of order"))
            }
        }
    }
}

/// Whether a socket that is bound to `bound` is the one for `configured`. Port 0 of a configuration is any.
fn is_at(bound: SocketAddr, configured: SocketAddr) -> bool {
    bound.ip() == configured.ip() && (configured.port() == 0 || bound.port() == configured.port())
}

impl GrantedHandover {
    /// Has the old process make the links in the runtime folder lead to this one.
    ///
    /// # Errors
    /// When the old process can't, or does not answer.
    pub fn publish(&self) -> Result<(), HandoverError> {
        wire::send(&self.stream, &HandoverStep::Publish)?;
        match wire::receive(&self.stream)? {
            HandoverAnswer::Published => Ok(()),
            HandoverAnswer::Refused(reason) => Err(HandoverError::Refused(reason)),
            HandoverAnswer::Offer(_) | HandoverAnswer::Go => Err(HandoverError::Protocol("a message out of order")),
        }
    }

    /// Reports that this process serves. The old one drains from now on.
    ///
    /// # Errors
    /// When the old process does not read any more. It continues to serve, or has ended.
    pub fn serving(self) -> Result<(), HandoverError> {
        Ok(wire::send(&self.stream, &HandoverStep::Serving)?)
    }
}
