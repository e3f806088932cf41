//! A client's connection: its facts, fixed once the handshake is over, and how long it may live.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pingora::server::ShutdownWatch;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, watch};

use super::socket::CloseMode;
use crate::decision::outcome::Denial;
use crate::decision::proxy_protocol::Announced;
use crate::decision::request::connection::{ConnectionFacts, TlsFacts};
use crate::proxy::drain::DrainStage;
use crate::proxy::runtime::Runtime;
use crate::proxy::upstream::private::PrivateConnections;
use crate::telemetry::metrics::{Bound, ListenerMetrics};

/// What the connections of one listener share.
pub struct ListenerContext {
    pub name: Arc<str>,
    pub runtime: Arc<Runtime>,
    pub metrics: ListenerMetrics,
}

/// The addresses of a client's connection, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionAddresses {
    /// The client, or the last proxy before this one that speaks HTTP.
    pub peer: SocketAddr,
    /// The load balancer whose PROXY header announced `peer`: the socket's true other end.
    pub via: Option<SocketAddr>,
    /// Where the PROXY header says that `peer` connected to.
    pub destination: Option<SocketAddr>,
}

/// What the handshake of a connection settled, and how it will be closed.
pub struct Established {
    pub tls: Option<TlsFacts>,
    pub close: CloseMode,
}

/// An HTTP/2 request that has not ended.
pub struct OpenRequest(Arc<ClientConnection>);

/// One client connection, shared by its stream and the hooks of its requests.
pub struct ClientConnection {
    pub listener: Arc<ListenerContext>,
    pub facts: ConnectionFacts,
    /// The load balancer whose PROXY header announced the peer.
    pub via: Option<SocketAddr>,
    /// Where a PROXY header says that the peer connected to.
    destination: Option<SocketAddr>,
    /// Connections to origins that serve this client alone. They end with it.
    pub private: PrivateConnections,
    began: Instant,
    /// HTTP/2 requests that have arrived, and those among them that have not ended.
    requests: AtomicU32,
    open: AtomicU32,
    /// When the last of them ended or something left of its answer, in milliseconds from the beginning of the connection.
    last_moved: AtomicU64,
    /// Tells Pingora that the connection is to take no more requests.
    retire: watch::Sender<bool>,
    close: CloseMode,
    /// Why the gateway has ended the connection, for the requests that end with it.
    ended: OnceLock<Denial>,
    /// Wakes the requests that have tasks of their own, with every stage of a drain.
    stage_changes: Notify,
}

impl ClientConnection {
    pub fn new(listener: Arc<ListenerContext>, addresses: ConnectionAddresses, established: Established) -> Self {
        let ConnectionAddresses { peer, via, destination } = addresses;
        let Established { tls, close } = established;
        let facts = ConnectionFacts::new(listener.name.clone(), peer, tls);
        let (private, requests, open, last_moved, retire, ended, stage_changes) = Default::default();
        ClientConnection {
            listener,
            facts,
            via,
            destination,
            private,
            began: Instant::now(),
            requests,
            open,
            last_moved,
            retire,
            close,
            ended,
            stage_changes,
        }
    }

    /// What an origin is told of a request's client. Its port is known if the client is the connection's own peer, and 0
    /// otherwise: what another proxy's port is says nothing about the client. `local` is the address that the client has connected to.
    pub fn announced(&self, local: Option<SocketAddr>, client: IpAddr) -> Announced {
        let peer = self.facts.peer;
        let port = if peer.ip().to_canonical() == client { peer.port() } else { 0 };
        let destination = self.destination.or(local).unwrap_or_else(|| unknown(client));
        Announced { client: SocketAddr::new(client, port), destination }
    }

    /// An HTTP/2 request arrives. It is counted until what this gives is dropped. The last that the bound allows retires the
    /// connection.
    pub fn http2_request_arrived(self: &Arc<Self>) -> OpenRequest {
        let bound = self.listener.runtime.store.load().snapshot.bounds.requests_per_connection;
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if count >= bound && !self.is_retired() {
            self.listener.runtime.metrics.bound_hit(Bound::RequestsPerConnection);
            self.retire();
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenRequest(self.clone())
    }

    /// Since when no HTTP/2 request is open, and nothing has left of an answer.
    pub fn idle_since(&self) -> Option<Instant> {
        let last_moved = Duration::from_millis(self.last_moved.load(Ordering::Relaxed));
        (self.open_requests() == 0).then(|| self.began + last_moved)
    }

    /// Something has left of an HTTP/2 answer, or it has ended.
    pub(super) fn answer_moved(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_moved.store(now, Ordering::Relaxed);
    }

    /// HTTP/2 requests that have not ended.
    pub(super) fn open_requests(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Whether the client goes on sending HTTP/2 requests though GOAWAY told it to stop.
    pub(super) fn ignores_goaway(&self) -> bool {
        // Asked with every read: nearly all connections are not retired.
        self.is_retired() && {
            let bounds = self.listener.runtime.store.load().snapshot.bounds;
            let most = bounds.requests_per_connection.saturating_add(bounds.http2_streams);
            self.requests.load(Ordering::Relaxed) > most
        }
    }

    /// Whether the next answer is the last one of an HTTP/1 connection, because the process drains.
    pub fn is_closing(&self) -> bool {
        match self.listener.runtime.drain.stage() {
            DrainStage::Serving => false,
            DrainStage::Notice => self.is_retired(),
            _ => true,
        }
    }

    /// Asks the client to go on elsewhere once its requests are answered. HTTP/2: GOAWAY, twice, so that no request is lost
    /// that is on its way (RFC 9113 §6.8).
    pub fn retire(&self) {
        self.retire.send_replace(true);
    }

    pub(super) fn is_retired(&self) -> bool {
        *self.retire.borrow()
    }

    /// Turns true when the connection retires.
    pub fn retirement(&self) -> ShutdownWatch {
        self.retire.subscribe()
    }

    /// How the socket is to be closed.
    pub fn close_mode(&self) -> &CloseMode {
        &self.close
    }

    /// The gateway ends the connection because of `denial`. The first reason counts.
    pub(super) fn end_with(&self, denial: Denial) {
        let _ = self.ended.set(denial);
    }

    /// Why the gateway has ended the connection, if it has.
    pub fn end(&self) -> Option<&Denial> {
        self.ended.get()
    }

    /// A drain has entered its next stage.
    pub fn drain_stage_changed(&self) {
        self.stage_changes.notify_waiters();
    }

    /// Returns when a drain enters its next stage, counted from this call.
    pub fn next_drain_stage(&self) -> Notified<'_> {
        self.stage_changes.notified()
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.answer_moved();
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// For a socket that does not know its own address any more.
fn unknown(client: IpAddr) -> SocketAddr {
    match client {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
