//! Accept: bound sockets, address rules, TLS handshakes, and a wrapped connection for each client.
//!
//! Pingora's own listening service would retry a taken port in the background and then die alone, leaving a process that is
//! up and deaf; it logs an error for every scanner and waits a fixed minute for a handshake. So sockets are bound before
//! anything starts ([`bind`]), and accepted here.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::AsRawFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use log::{debug, error, info};
use nix::errno::Errno;
use pingora::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora::listeners::tls::Acceptor;
use pingora::protocols::http::ServerSession;
use pingora::protocols::{Peek, SocketDigest, Ssl, Stream};
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use rustls::ProtocolVersion;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use super::accept::{Admission, AdmittedConnection};
use super::accept_gate::AcceptGateEntry;
use super::drain::serve::{CountedConnection, PendingClient, serve_until_drained};
use super::http2;
use super::lanes::Lanes;
use crate::config::snapshot;
use crate::decision::bounds::Bounds;
use crate::decision::request::connection::TlsFacts;
use crate::proxy::connection::ClientStream;
use crate::proxy::connection::client::{ClientConnection, Established, ListenerContext};
use crate::proxy::connection::http2::flood::PREFACE;
use crate::proxy::connection::socket::ClientSocket;
use crate::proxy::drain::{DrainStage, ListenerOpen};
use crate::proxy::fast_lane::FullLane;
use crate::proxy::upkeep::watchdog::Watchdog;
use crate::telemetry::log_throttle::LogThrottle;
use crate::telemetry::metrics::Bound;

/// Binds `address` now, so that a taken port ends the start and not the service.
pub fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the old process's connections to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Connections that the kernel keeps until they are accepted; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Serves one bound socket. What its connections are bound by is looked up as they come: a reload changes it.
pub struct ListenerService {
    listener: Arc<ListenerContext>,
    /// As in the configuration.
    address: SocketAddr,
    admission: Arc<Admission>,
    accept_failures: LogThrottle,
    /// Held for as long as it is accepted from: what lets go of it closes the port, unless another process has it too.
    socket: Option<Arc<StdListener>>,
    entry: Option<AcceptGateEntry>,
    watchdog: Option<(Arc<Watchdog>, usize)>,
    lanes: Lanes,
    open: Option<ListenerOpen>,
}

impl ListenerService {
    pub fn new(
        listener: Arc<ListenerContext>,
        (address, socket): (SocketAddr, Arc<StdListener>),
        entry: AcceptGateEntry,
        lanes: Lanes,
    ) -> Self {
        ListenerService {
            admission: Arc::new(Admission::new(listener.clone())),
            open: Some(listener.runtime.drain.listener()),
            listener,
            address,
            accept_failures: LogThrottle::new(),
            socket: Some(socket),
            entry: Some(entry),
            watchdog: None,
            lanes,
        }
    }

    /// Has `watchdog` watch the threads of this listener.
    pub fn watched_by(mut self, watchdog: &Arc<Watchdog>) -> Self {
        self.watchdog = Some((watchdog.clone(), watchdog.register()));
        self
    }

    fn serve(&self, socket: TcpStream, peer: SocketAddr) {
        let serving = self.listener.runtime.store.load();
        // A configuration without this listener does not know who may use it.
        let Some((settings, tls)) = serving.listener(&self.listener.name) else { return };
        let bounds = serving.snapshot.bounds;
        let Some(mut admitted) = self.admission.admit(peer, &settings.proxy_protocol, bounds.connections) else {
            return;
        };
        let listener = self.listener.clone();
        let admission = self.admission.clone();
        let tls = tls.cloned();
        let app = self.app(settings, &bounds);
        let handshake = bounds.handshake;
        let open = listener.metrics.accepted();
        pingora_runtime::current_handle().spawn(async move {
            // Boxed: an idle connection must not carry the room that its handshake needed.
            let drain = listener.runtime.drain.clone();
            let pending = PendingClient::new(&drain);
            let establish =
                Box::pin(establish(socket, &admission, &mut admitted, tls.as_deref(), handshake, &listener));
            let established = pending.before_leaving(establish).await;
            drop(admission);
            let AdmittedConnection { addresses, place, .. } = admitted;
            let place = CountedConnection::new(place, &drain);
            let Some((stream, established)) = established else { return };
            let client = Arc::new(ClientConnection::new(listener, addresses, established));
            let retirement = client.retirement();
            let connection = Box::new(ClientStream::new(stream, client.clone()));
            let serve = app.serve(connection, &retirement);
            serve_until_drained(&client, pin!(serve)).await;
            drop((open, place));
        });
    }

    /// Serves the connections that the kernel has made already: closing on them would reset them.
    fn serve_queued(&self, socket: TcpListener) {
        let Ok(socket) = socket.into_std() else { return };
        for _ in 0..BACKLOG {
            match socket.accept() {
                Ok((stream, peer)) => {
                    if stream.set_nonblocking(true).is_ok()
                        && let Ok(stream) = TcpStream::from_std(stream)
                    {
                        self.serve(stream, peer);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) => debug!("listener {} lost a connection before it was accepted: {e}", self.listener.name),
            }
        }
    }

    /// What handles a connection that begins now.
    fn app(&self, settings: &snapshot::ListenerConfig, bounds: &Bounds) -> Arc<HttpApp> {
        let mut options = HttpServerOptions::default();
        // Pingora counts how often a connection may be used again.
        options.keepalive_request_limit = Some(bounds.requests_per_connection.saturating_sub(1));
        Arc::new(HttpApp {
            lanes: self.lanes.clone(),
            options,
            peeks: settings.http2 && settings.tls.is_none(),
            requests: bounds.requests_per_connection,
        })
    }
}

/// What the kernel takes for a client before it is sent, in bytes (TCP_NOTSENT_LOWAT, tcp(7)). It asks for more when half of it is sent, so
/// that a client that reads slowly is seen to read.
const UNSENT_BYTES: u32 = 128 << 10;

/// Reads the PROXY header where one is due, and shakes hands if this is a TLS listener, both within `bound`.
async fn establish(
    mut socket: TcpStream,
    admission: &Admission,
    admitted: &mut AdmittedConnection,
    tls: Option<&Acceptor>,
    bound: Duration,
    listener: &ListenerContext,
) -> Option<(Stream, Established)> {
    // Answers are written whole: waiting for more to send only delays them.
    let _ = socket.set_nodelay(true);
    // Not in every kernel. Without it, a client that does not read costs up to 4 MiB of the kernel's memory.
    let _ = SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_BYTES);
    let deadline = Instant::now() + bound;
    if !admission.read_proxy_header(&mut socket, admitted, deadline).await {
        return None;
    }
    let peer = admitted.addresses.peer;
    let digest = SocketDigest::from_raw_fd(socket.as_raw_fd());
    let _ = digest.peer_addr.set(Some(peer.into()));
    let socket = ClientSocket::new(socket, digest);
    let close = socket.close_mode();
    let Some(acceptor) = tls else { return Some((Box::new(socket), Established { tls: None, close })) };
    match tokio::time::timeout_at(deadline, acceptor.tls_handshake(socket)).await {
        Ok(Ok(stream)) => {
            let facts = tls_facts(&stream);
            Some((Box::new(stream), Established { tls: Some(facts), close }))
        }
        Ok(Err(e)) => {
            listener.metrics.handshake_failed();
            debug!("TLS handshake with {peer} on listener {} failed: {e}", listener.name);
            None
        }
        Err(_) => {
            listener.metrics.handshake_failed();
            listener.runtime.metrics.bound_hit(Bound::Handshake);
            None
        }
    }
}

/// What the handshake of `stream` settled.
fn tls_facts(stream: &impl Ssl) -> TlsFacts {
    let tls = stream.get_ssl();
    TlsFacts {
        version: match tls.and_then(|tls| tls.version()) {
            version if version == ProtocolVersion::TLSv1_3.as_str() => "TLSv1.3",
            version if version == ProtocolVersion::TLSv1_2.as_str() => "TLSv1.2",
            // No listener offers another.
            _ => "unknown",
        },
        // Host names have no case (RFC 4343); rules compare them as they are.
        sni: tls.and_then(|tls| tls.server_name()).map(|name| name.to_ascii_lowercase().into()),
        client_certificate: tls.and_then(|tls| tls.peer_certificate_der()).map(Into::into),
    }
}

#[async_trait]
impl Service for ListenerService {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let (Some(held), Some(entry)) = (self.socket.take(), self.entry.take()) else { return };
        let open = self.open.take();
        if let Some((watchdog, member)) = self.watchdog.take() {
            tokio::spawn(watchdog.watch(member));
        }
        let drain = self.listener.runtime.drain.clone();
        let mut stages = drain.stages();
        if !entry.opens(leaving(&mut stages)).await {
            return;
        }
        let socket = match held.try_clone().and_then(TcpListener::from_std) {
            Ok(socket) => socket,
            Err(e) => {
                error!("listener {} cannot accept: {e}", self.listener.name);
                return;
            }
        };
        loop {
            tokio::select! {
                accepted = socket.accept() => match accepted {
                    Ok((stream, peer)) => self.serve(stream, peer),
                    Err(e) if is_exhausted(&e) => {
                        if let Some(count) = self.accept_failures.count() {
                            error!("listener {} failed to accept {count} times: {e}", self.listener.name);
                        }
                        // Accepting again at once would fail again at once.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                    // The fault of this one connection, such as a client that left while it waited.
                    Err(e) => debug!("listener {} lost a connection before it was accepted: {e}", self.listener.name),
                },
                () = leaving(&mut stages) => break,
            }
        }
        // Pingora's own clean-up is left out: it drops idle connections, with a request that is on its way.
        if drain.owns_queue(self.address) {
            self.serve_queued(socket);
        } else {
            drop(socket);
        }
        drop((held, open));
        info!("listener {} closed", self.listener.name);
    }

    fn name(&self) -> &str {
        &self.listener.name
    }
}

pub(in crate::proxy) async fn leaving(stages: &mut watch::Receiver<DrainStage>) {
    let _ = stages.wait_for(|stage| *stage >= DrainStage::Leaving).await;
}

/// Whether the process or the machine is out of descriptors or memory.
fn is_exhausted(e: &io::Error) -> bool {
    let exhausted = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    e.raw_os_error().is_some_and(|code| exhausted.contains(&Errno::from_raw(code)))
}

/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the connections of a listener.
struct HttpApp {
    lanes: Lanes,
    options: HttpServerOptions,
    /// The first bytes tell which protocol the client speaks.
    peeks: bool,
    /// Most requests of one HTTP/1 connection.
    requests: u32,
}

impl HttpApp {
    /// Serves the requests of `connection`, until it ends.
    async fn serve(self: &Arc<Self>, mut connection: Box<ClientStream>, retirement: &ShutdownWatch) {
        if self.peeks && connection.try_peek(&mut [0; PREFACE.len()]).await.is_err() {
            return;
        }
        if connection.is_http2() {
            // Boxed: an HTTP/1 connection must not carry its room.
            return Box::pin(http2::serve(&self.lanes, connection, retirement)).await;
        }
        if let Some(fast) = &self.lanes.fast {
            return fast.serve(connection, self.requests, &FullHttp1 { app: self, retirement }).await;
        }
        let mut next = self.process_new(connection, retirement).await;
        while let Some(stream) = next {
            next = self.process_new(stream, retirement).await;
        }
    }
}

/// Pingora's way of an HTTP/1 request.
struct FullHttp1<'a> {
    app: &'a Arc<HttpApp>,
    retirement: &'a ShutdownWatch,
}

impl FullLane for FullHttp1<'_> {
    async fn serve_one(&self, stream: Stream, left: u32) -> Option<Stream> {
        let mut session = ServerSession::new_http1(stream);
        session.set_keepalive((!*self.retirement.borrow()).then_some(0));
        session.set_keepalive_reuses_remaining(Some(left));
        let reused = self.app.process_new_http(session, self.retirement).await?;
        Some(reused.consume().0)
    }
}

// Written out instead of with `async_trait`, so that handing over costs no second boxed future for each request of HTTP/1.
impl HttpServerApp for HttpApp {
    fn process_new_http<'a, 'b, 'c>(
        self: &'a Arc<Self>,
        mut session: ServerSession,
        shutdown: &'b ShutdownWatch,
    ) -> BoxFuture<'c, Option<ReusedHttpStream>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        if session.get_keepalive().is_some() {
            // Without a bound of Pingora's own: the connection knows how long to wait, to the millisecond.
            session.set_keepalive(Some(0));
        }
        self.lanes.full.process_new_http(session, shutdown)
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.options)
    }

    fn http_cleanup<'a, 'b>(&'a self) -> BoxFuture<'b, ()>
    where
        'a: 'b,
        Self: 'b,
    {
        self.lanes.full.http_cleanup()
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
