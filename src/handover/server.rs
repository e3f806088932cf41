//! The side of the old process.

use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Weak};
use std::time::Duration;
use std::{io, thread};

use log::{error, info, warn};
use nix::unistd::Uid;
use parking_lot::Mutex;

use super::state::{HandoverState, OrderGuard, OrderRefused};
use super::{
    HandoverAnswer, HandoverError, HandoverOffer, HandoverRequest, HandoverStep, ListenerAddress, PROTOCOL, TIMEOUT,
    wire,
};
use crate::service_manager::NotifySettings;

/// The longest time that a new process may take to become ready, whatever it asks for.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);

/// Connections that have asked for nothing yet. Beyond, the oldest is closed.
const SILENT: usize = 8;

/// A listening socket. It is held weakly, so that a drain can close it.
#[derive(Clone, Debug)]
pub struct ListenerHandle {
    pub name: String,
    /// As in the configuration.
    pub address: SocketAddr,
    pub socket: Weak<TcpListener>,
}

/// The process that a handover is from.
pub trait HandoverHost: Send + Sync {
    /// Why no process can take over now; `None` if one can.
    fn refuses(&self) -> Option<&'static str>;
    /// The handover failed. `granted`: the new process was allowed to serve, and may have begun to.
    fn handover_failed(&self, granted: bool);
    /// Makes the links in the runtime folder lead to the process `pid`, which may not do so itself.
    ///
    /// # Errors
    /// What the system says.
    fn publish_for(&self, pid: u32) -> io::Result<()>;
    /// The process `pid` serves: this one drains. `listens`: the addresses that the new process accepts on, if it has said so.
    fn handed_over(&self, pid: u32, listens: Option<Vec<SocketAddr>>);
}

/// Hands the sockets of this process over to the one that takes over.
pub struct HandoverServer {
    handles: Vec<ListenerHandle>,
    settings: NotifySettings,
    host: Arc<dyn HandoverHost>,
    state: Arc<HandoverState>,
    /// The socket that is answered on.
    socket: Mutex<Option<Arc<UnixListener>>>,
    /// The connections that have not asked yet, the oldest first.
    silent: Mutex<VecDeque<Arc<UnixStream>>>,
}

impl HandoverServer {
    pub fn new(
        handles: Vec<ListenerHandle>,
        settings: NotifySettings,
        host: Arc<dyn HandoverHost>,
    ) -> Arc<HandoverServer> {
        Arc::new(HandoverServer {
            handles,
            settings,
            host,
            state: Arc::default(),
            socket: Mutex::default(),
            silent: Mutex::default(),
        })
    }

    /// Answers on `socket`, and no longer on the one before, for as long as the process lives, on a thread of its own.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn serve(self: Arc<Self>, socket: UnixListener) -> io::Result<()> {
        let socket = Arc::new(socket);
        if let Some(before) = self.socket.lock().replace(socket.clone()) {
            // Ends the thread that accepts there.
            let _ = rustix::net::shutdown(&*before, rustix::net::Shutdown::Both);
        }
        thread::Builder::new().name("handover".to_owned()).spawn(move || {
            loop {
                match socket.accept() {
                    Ok((stream, _)) => self.accept(stream),
                    Err(_) if !self.accepts_on(&socket) => return,
                    Err(e) => {
                        error!("the upgrade socket failed to accept: {e}");
                        // Such as too many open files: accepting again at once would fail again.
                        thread::park_timeout(Duration::from_millis(100));
                    }
                }
            }
        })?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> &HandoverState {
        &self.state
    }

    fn accepts_on(&self, socket: &Arc<UnixListener>) -> bool {
        self.socket.lock().as_ref().is_some_and(|current| Arc::ptr_eq(current, socket))
    }

    /// Whether another process may serve already, or has taken over.
    pub fn is_granted(&self) -> bool {
        self.state.is_granted()
    }

    /// Begins an order: no process takes over until it is done, nor one that asked before.
    ///
    /// # Errors
    /// When another process may serve already.
    pub fn order(&self) -> Result<OrderGuard, OrderRefused> {
        self.state.order()
    }

    /// Answers a connection on a thread of its own. One that has not asked for anything yet is in nobody's way.
    fn accept(self: &Arc<Self>, stream: UnixStream) {
        if let Err(error) = authorize(&stream) {
            warn!("upgrade socket: {error}");
            return;
        }
        let stream = Arc::new(stream);
        {
            let mut silent = self.silent.lock();
            silent.push_back(stream.clone());
            if silent.len() > SILENT
                && let Some(oldest) = silent.pop_front()
            {
                // Its thread sees the end of the connection.
                let _ = oldest.shutdown(Shutdown::Both);
            }
        }
        let server = self.clone();
        let begun = thread::Builder::new().name("handover-one".to_owned()).spawn({
            let stream = stream.clone();
            move || {
                let request = wire::receive_within(&stream, TIMEOUT);
                server.has_asked(&stream);
                server.answer(&stream, request);
            }
        });
        if let Err(error) = begun {
            error!("a handover cannot begin: {error}");
            self.has_asked(&stream);
        }
    }

    fn has_asked(&self, stream: &Arc<UnixStream>) {
        self.silent.lock().retain(|other| !Arc::ptr_eq(other, stream));
    }

    /// Hands over, or answers why not.
    fn answer(&self, stream: &UnixStream, request: io::Result<HandoverRequest>) {
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                warn!("upgrade socket: a process asked for nothing: {error}");
                self.host.handover_failed(false);
                return;
            }
        };
        if let Err(reason) = self.state.begin() {
            // A client that is gone needs no answer.
            let _ = wire::send(stream, &HandoverAnswer::Refused(reason));
            return;
        }
        self.hand_over(stream, request);
    }

    fn hand_over(&self, stream: &UnixStream, request: HandoverRequest) {
        let HandoverRequest { pid, .. } = request;
        match self.steps(stream, &request) {
            Ok(()) => {
                self.state.done(pid);
                self.host.handed_over(pid, request.listens);
            }
            Err(error) => {
                warn!("process {pid} did not take over: {error}; this process continues");
                // The links are this process's again before an order is carried out.
                self.host.handover_failed(self.state.is_granted());
                self.state.fail();
            }
        }
    }

    fn steps(&self, stream: &UnixStream, request: &HandoverRequest) -> Result<(), HandoverError> {
        info!("process {} (version {}) asks to take over", request.pid, request.version);
        if request.protocol != PROTOCOL {
            let reason = format!("it speaks version {PROTOCOL} of the handover, not {}", request.protocol);
            return self.refuse(stream, reason);
        }
        if let Some(why) = self.host.refuses() {
            return self.refuse(stream, why.to_owned());
        }
        if !self.offer(stream)? {
            return self.refuse(stream, "it is draining".to_owned());
        }
        let timeout = Duration::from_millis(request.timeout).min(MAX_TIMEOUT) + TIMEOUT;
        if wire::receive_within::<HandoverStep>(stream, timeout)? != HandoverStep::Ready {
            return Err(HandoverError::Protocol("a message out of order"));
        }
        if let Some(why) = self.host.refuses().or(self.held().is_none().then_some("it is draining")) {
            return self.refuse(stream, why.to_owned());
        }
        if let Err(why) = self.state.grant() {
            return self.refuse(stream, why.to_owned());
        }
        wire::send(stream, &HandoverAnswer::Go)?;
        let mut step = wire::receive_within::<HandoverStep>(stream, TIMEOUT)?;
        if step == HandoverStep::Publish {
            if let Err(error) = self.host.publish_for(request.pid) {
                return self.refuse(stream, format!("the links cannot be replaced: {error}"));
            }
            wire::send(stream, &HandoverAnswer::Published)?;
            step = wire::receive_within(stream, TIMEOUT)?;
        }
        match step {
            HandoverStep::Serving => Ok(()),
            HandoverStep::Ready | HandoverStep::Publish => Err(HandoverError::Protocol("a message out of order")),
        }
    }

    fn refuse(&self, stream: &UnixStream, reason: String) -> Result<(), HandoverError> {
        wire::send(stream, &HandoverAnswer::Refused(reason.clone()))?;
        Err(HandoverError::Io(io::Error::other(format!("it was refused, since {reason}"))))
    }

    /// Sends the offer and the descriptors. `false`: a listener is closed already.
    fn offer(&self, stream: &UnixStream) -> io::Result<bool> {
        let Some(sockets) = self.held() else { return Ok(false) };
        let listeners = self
            .handles
            .iter()
            .map(|handle| ListenerAddress { name: handle.name.clone(), address: handle.address })
            .collect();
        let offer = HandoverOffer {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            listeners,
            settings: self.settings.clone(),
        };
        wire::send(stream, &HandoverAnswer::Offer(offer))?;
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let mut descriptors: Vec<_> = sockets.iter().map(|socket| socket.as_fd()).collect();
        descriptors.extend([stdout.as_fd(), stderr.as_fd()]);
        wire::send_descriptors(stream, &descriptors)?;
        Ok(true)
    }

    /// Every socket, if none is closed yet.
    fn held(&self) -> Option<Vec<Arc<TcpListener>>> {
        self.handles.iter().map(|handle| handle.socket.upgrade()).collect()
    }
}

/// Refuses users other than that of this process and root.
fn authorize(stream: &UnixStream) -> Result<(), HandoverError> {
    wire::set_timeout(stream, TIMEOUT)?;
    let user = wire::peer_user(stream)?;
    if user == 0 || user == Uid::effective().as_raw() { Ok(()) } else { Err(HandoverError::Stranger(user)) }
}
