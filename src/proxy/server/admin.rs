//! The accept loops of the admin listener and of the control socket.
//!
//! The admin listener may be reachable from more than loopback. Each connection of it must be over within `admin.time`, and there
//! are `admin.connections` at a time beside those of probes ([`connections`]). The control socket is for the owner of the process
//! alone, and a command may take its time there.

mod connections;

use std::io;
use std::net::TcpListener as StdListener;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use log::{error, warn};
use nix::unistd::Uid;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::net::unix::SocketAddr;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

use self::connections::AdminConnections;
use super::accept_gate::AcceptGateEntry;
use super::listener::leaving;
use crate::admin::{AdminAuth, AdminHandler};
use crate::proxy::runtime::Runtime;
use crate::state::connections::AddressBlock;

/// Connections at a time of the control socket.
const CONTROL_CONNECTIONS: usize = 32;
/// The time of a connection of the control socket: a reload compiles, which takes long for a large configuration.
const CONTROL_TIME: Duration = Duration::from_secs(600);

/// Serves the admin listener. Authentication and bounds are looked up for each connection, since a reload changes them.
pub struct AdminService {
    /// Held for as long as it is accepted from, see [`super::listener`].
    socket: Option<Arc<StdListener>>,
    entry: Option<AcceptGateEntry>,
    followed: watch::Receiver<bool>,
    runtime: Arc<Runtime>,
    connections: AdminConnections<AddressBlock>,
}

/// Serves the control socket for as long as the process lives, so that a draining one can still be asked.
pub struct ControlService {
    sockets: Option<UnboundedReceiver<StdUnixListener>>,
    /// By process.
    connections: AdminConnections<Option<i32>>,
}

impl AdminService {
    /// It accepts from `entry` on and until another process has `followed` this one, which then answers there.
    pub fn new(
        socket: Arc<StdListener>,
        entry: AcceptGateEntry,
        followed: watch::Receiver<bool>,
        admin: AdminHandler,
        runtime: Arc<Runtime>,
    ) -> Self {
        let connections = AdminConnections::new(admin);
        AdminService { socket: Some(socket), entry: Some(entry), followed, runtime, connections }
    }
}

impl ControlService {
    /// It accepts from the last of `sockets`: another one takes the place of one that was deleted.
    pub fn new(sockets: UnboundedReceiver<StdUnixListener>, admin: AdminHandler) -> Self {
        ControlService { sockets: Some(sockets), connections: AdminConnections::new(admin) }
    }
}

#[async_trait]
impl Service for AdminService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let (Some(held), Some(entry)) = (self.socket.take(), self.entry.take()) else { return };
        let mut stages = self.runtime.drain.stages();
        if !entry.opens(leaving(&mut stages)).await {
            return;
        }
        let socket = match held.try_clone().and_then(TcpListener::from_std) {
            Ok(socket) => socket,
            Err(e) => {
                error!("the admin listener cannot accept: {e}");
                return;
            }
        };
        // Goes on while draining, since that is when readiness is asked for.
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = self.followed.wait_for(|followed| *followed) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let serving = self.runtime.store.load();
                    // A configuration without this listener does not know who may use it.
                    let Some(settings) = &serving.snapshot.admin else { continue };
                    let auth = settings.token.clone().map_or(AdminAuth::None, AdminAuth::Token);
                    let from = AddressBlock::of(peer.ip());
                    self.connections.serve(stream, from, auth, settings.connections, settings.time);
                    // A probe that has asked already is known as one before the next connection is accepted.
                    tokio::task::yield_now().await;
                }
                Err(e) => {
                    error!("the admin listener failed to accept: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop((socket, held));
        // Open connections finish on the runtime of this service, which ends when this function returns.
        std::future::pending().await
    }

    fn name(&self) -> &str {
        "admin"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

#[async_trait]
impl Service for ControlService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let Some(mut sockets) = self.sockets.take() else { return };
        let mut current = None;
        loop {
            let accepted = tokio::select! {
                biased;
                Some(socket) = sockets.recv() => {
                    match socket.set_nonblocking(true).and_then(|()| UnixListener::from_std(socket)) {
                        Ok(socket) => current = Some(socket),
                        Err(e) => error!("the control socket cannot accept: {e}"),
                    }
                    continue;
                }
                accepted = accept(current.as_ref()) => accepted,
            };
            match accepted {
                Ok((stream, _)) if is_owner(&stream) => {
                    let from = stream.peer_cred().ok().and_then(|peer| peer.pid());
                    let auth = AdminAuth::PeerCredentials;
                    self.connections.serve(stream, from, auth, CONTROL_CONNECTIONS, CONTROL_TIME);
                }
                // Closed without an answer.
                Ok(_) => {}
                Err(e) => {
                    error!("the control socket failed to accept: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn name(&self) -> &str {
        "control"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

/// The next connection; none ever without a socket.
async fn accept(socket: Option<&UnixListener>) -> io::Result<(UnixStream, SocketAddr)> {
    match socket {
        Some(socket) => socket.accept().await,
        None => std::future::pending().await,
    }
}

/// Whether the process on the other side is of this one's user, or root's.
fn is_owner(stream: &UnixStream) -> bool {
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == Uid::effective().as_raw() => true,
        Ok(peer) => {
            warn!("control socket: refused a process of user {}", peer.uid());
            false
        }
        Err(e) => {
            warn!("control socket: refused a process that the system does not know: {e}");
            false
        }
    }
}

/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
