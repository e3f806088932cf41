//! Mounts the admin handlers on a listener of their own, and on the control socket.
//!
//! The listener may face more than loopback, so it holds a stranger short: one request a connection, its head of [`MAX_HEAD_BYTES`] at
//! most and its body refused, all within `admin.time`; beyond `admin.connections` the one that has been open for the longest
//! is closed, so that whoever opens many and says nothing keeps no probe out. The control socket is for its owner alone, and an order may
//! take its time there.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener as StdListener;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use log::{error, warn};
use nix::unistd::Uid;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use time::OffsetDateTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::accept_gate::AcceptGateEntry;
use super::listener::leaving;
use crate::admin::{Admin, Door};
use crate::proxy::reply::IMF_FIXDATE;
use crate::proxy::runtime::Runtime;
use crate::telemetry::metrics::Bound;

/// Longest head of a request. Prometheus sends less than 1 KiB.
const MAX_HEAD_BYTES: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// What may still arrive after the answer: closing on unread bytes would reset the connection, and the client might lose
/// the answer.
const LINGER_BYTES: u64 = 64 << 10;

/// Orders at once on the control socket.
const CONTROL_CONNECTIONS: usize = 32;
/// For an order on the control socket: a reload compiles, and a large configuration takes its time.
const CONTROL_TIME: Duration = Duration::from_secs(600);

/// Serves the admin listener. Who may ask what is looked up as connections come: a reload changes it.
pub struct AdminService {
    /// Held for as long as it is accepted from, see [`super::listener`].
    socket: Option<Arc<StdListener>>,
    entry: Option<AcceptGateEntry>,
    followed: watch::Receiver<bool>,
    runtime: Arc<Runtime>,
    exchanges: Exchanges,
}

/// Serves the control socket for as long as the process lives, so that a draining one can still be asked.
pub struct ControlService {
    socket: Option<StdUnixListener>,
    exchanges: Exchanges,
}

/// What is asked and answered on one socket.
struct Exchanges {
    admin: Arc<Admin>,
    open: VecDeque<AbortHandle>,
}

impl AdminService {
    /// It accepts from `entry` on and until another process has `followed` this one, which then answers there.
    pub fn new(
        socket: Arc<StdListener>,
        entry: AcceptGateEntry,
        followed: watch::Receiver<bool>,
        admin: Admin,
        runtime: Arc<Runtime>,
    ) -> Self {
        let exchanges = Exchanges::new(admin);
        AdminService { socket: Some(socket), entry: Some(entry), followed, runtime, exchanges }
    }
}

impl ControlService {
    pub fn new(socket: StdUnixListener, admin: Admin) -> Self {
        ControlService { socket: Some(socket), exchanges: Exchanges::new(admin) }
    }
}

impl Exchanges {
    fn new(admin: Admin) -> Self {
        Exchanges { admin: Arc::new(admin), open: VecDeque::new() }
    }

    /// One more exchange, of `connections` at most, which must be over within `time`.
    fn begin(
        &mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        door: Door,
        connections: usize,
        time: Duration,
    ) {
        self.open.retain(|exchange| !exchange.is_finished());
        if self.open.len() >= connections
            && let Some(oldest) = self.open.pop_front()
        {
            self.admin.metrics.bound_hit(Bound::AdminConnections);
            oldest.abort();
        }
        let admin = Arc::new(Admin { door, ..(*self.admin).clone() });
        let exchange = async move {
            if tokio::time::timeout(time, exchange(stream, &admin)).await.is_err() {
                admin.metrics.bound_hit(Bound::AdminTime);
            }
        };
        self.open.push_back(tokio::spawn(exchange).abort_handle());
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
                Ok((stream, _)) => {
                    let serving = self.runtime.store.load();
                    // A configuration without this listener does not know who may use it.
                    let Some(settings) = &serving.snapshot.admin else { continue };
                    let door = settings.token.clone().map_or(Door::Open, Door::Token);
                    self.exchanges.begin(stream, door, settings.connections, settings.time);
                }
                Err(e) => {
                    error!("the admin listener failed to accept: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop((socket, held));
        // What was begun here ends here.
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
        let Some(socket) = self.socket.take() else { return };
        let socket = match socket.set_nonblocking(true).and_then(|()| UnixListener::from_std(socket)) {
            Ok(socket) => socket,
            Err(e) => {
                error!("the control socket cannot accept: {e}");
                return;
            }
        };
        loop {
            match socket.accept().await {
                Ok((stream, _)) if is_owner(&stream) => {
                    self.exchanges.begin(stream, Door::Owner, CONTROL_CONNECTIONS, CONTROL_TIME);
                }
                // Closed unread: a stranger learns nothing here.
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

/// Reads one request and answers it. The connection ends with it.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, admin: &Arc<Admin>) -> io::Result<()> {
    let (method, answer) = match read_request(&mut stream).await? {
        Ok(request) => (request.method().clone(), answer(admin, request).await?),
        Err(status) => (Method::GET, admin.refuse(status)),
    };
    let (mut wire, body) = head(answer);
    if method != Method::HEAD {
        wire.extend_from_slice(&body);
    }
    stream.write_all(&wire).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await.map(|_| ())
}

async fn answer(admin: &Arc<Admin>, request: Request<()>) -> io::Result<Response<bytes::Bytes>> {
    if !admin.blocks(&request) {
        return Ok(admin.handle(&request));
    }
    let admin = admin.clone();
    tokio::task::spawn_blocking(move || admin.handle(&request)).await.map_err(io::Error::other)
}

/// The next request, or the status that refuses it.
async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Result<Request<()>, StatusCode>> {
    let mut buffer = Vec::with_capacity(1 << 10);
    loop {
        let mut limited = (&mut *stream).take((MAX_HEAD_BYTES - buffer.len()) as u64);
        if limited.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match parse(&buffer) {
            Ok(Some(request)) => return Ok(Ok(request)),
            Ok(None) if buffer.len() >= MAX_HEAD_BYTES => return Ok(Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)),
            Ok(None) => {}
            Err(status) => return Ok(Err(status)),
        }
    }
}

/// The request whose head `bytes` begin with, `None` while it is incomplete, or the status that refuses it.
fn parse(bytes: &[u8]) -> Result<Option<Request<()>>, StatusCode> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        Err(_) => return Err(StatusCode::BAD_REQUEST),
    }
    let request = request(&parsed).ok_or(StatusCode::BAD_REQUEST)?;
    let headers = request.headers();
    // RFC 9112 §3.2
    if parsed.version == Some(1) && headers.get_all(header::HOST).iter().count() != 1 {
        return Err(StatusCode::BAD_REQUEST);
    }
    let without_body = headers.get_all(header::CONTENT_LENGTH).iter().all(|length| length == "0");
    if headers.contains_key(header::TRANSFER_ENCODING) || !without_body {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    Ok(Some(request))
}

fn request(parsed: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
    *request.uri_mut() = parsed.path?.parse::<Uri>().ok()?;
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        request.headers_mut().append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(request)
}

/// The answer in HTTP/1 wire form: its head, and its body.
fn head(answer: Response<bytes::Bytes>) -> (Vec<u8>, bytes::Bytes) {
    let (parts, body) = answer.into_parts();
    let mut wire = Vec::with_capacity(512 + body.len());
    let reason = parts.status.canonical_reason().unwrap_or_default();
    wire.extend_from_slice(format!("HTTP/1.1 {} {reason}\r\nconnection: close\r\n", parts.status.as_str()).as_bytes());
    if let Ok(date) = OffsetDateTime::now_utc().format(&IMF_FIXDATE) {
        wire.extend_from_slice(format!("date: {date}\r\n").as_bytes());
    }
    for (name, value) in &parts.headers {
        for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            wire.extend_from_slice(piece);
        }
    }
    wire.extend_from_slice(b"\r\n");
    (wire, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn status(head: &str) -> Option<u16> {
        parse(head.as_bytes()).err().map(|status| status.as_u16())
    }

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let head = "GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\n\r\n";
        assert!(parse(&head.as_bytes()[..head.len() - 1]).unwrap().is_none());
        let request = parse(head.as_bytes()).unwrap().unwrap();
        assert_eq!((request.method(), request.uri().path()), (&Method::GET, "/metrics"));
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer x");
        assert!(parse(b"GET / HTTP/1.0\r\n\r\n").unwrap().is_some());
    }

    #[test]
    fn what_is_no_plain_question_is_refused() {
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), Some(400));
        assert_eq!(status("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), Some(400));
        assert_eq!(status("\x16\x03\x01"), Some(400));
        assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"), Some(413));
        assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), Some(413));
        assert_eq!(status("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), None);
        assert_eq!(status(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS))), Some(431));
    }
}
