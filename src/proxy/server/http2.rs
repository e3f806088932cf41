//! A client's HTTP/2 connection: each request on it has a task of its own, on the thread of the connection.
//!
//! Every header block was judged before the library has read it ([`header_block`]), so that what arrives here is a request, or carries
//! the refusal of one.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use log::debug;
use pingora::apps::HttpServerApp;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::tls::SslDigest;
use pingora::protocols::{Digest, GetSocketDigest, SocketDigest, Ssl};
use pingora::server::ShutdownWatch;

use super::drain::serve::serve_request_until_drained;
use super::lanes::Lanes;
use crate::decision::outcome::{Cause, Denial};
use crate::proxy::connection::ClientStream;
use crate::proxy::connection::client::ClientConnection;
use crate::proxy::connection::http2::monitor::max_header_list;
use crate::proxy::connection::http2::session::session;
use crate::proxy::connection::http2::stream::Http2Stream;
use crate::proxy::connection::record::begin_record;
use crate::proxy::connection::timer::Timer;
use crate::proxy::reply;
use crate::proxy::runtime::Runtime;

#[expect(unused_imports, reason = "named by the documentation")]
use crate::proxy::connection::http2::header_block;

/// Serves the requests of `connection`, until it ends.
pub async fn serve(lanes: &Lanes, connection: Box<ClientStream>, retirement: &ShutdownWatch) {
    let facts = ConnectionDigest { ssl: connection.get_ssl_digest(), socket: connection.get_socket_digest() };
    let client = connection.client().clone();
    let runtime = client.listener.runtime.clone();
    let context = Arc::new(Http2Context { lanes: lanes.clone(), client, facts, retirement: retirement.clone() });
    let mut http2 = match options(&runtime).handshake::<_, Bytes>(connection).await {
        Ok(http2) => http2,
        Err(e) => return debug!("an HTTP/2 connection did not begin: {e}"),
    };
    let mut retirement = retirement.clone();
    let mut retired = pin!(async move {
        let _ = retirement.wait_for(|retired| *retired).await;
    });
    let mut leaving = false;
    let mut idle = IdleTimeout { timer: Timer::default(), bound: runtime.store.load().snapshot.bounds.keepalive };
    loop {
        tokio::select! {
            biased;
            () = &mut retired, if !leaving => {
                http2.graceful_shutdown();
                leaving = true;
            }
            accepted = http2.accept() => match accepted {
                Some(Ok((request, respond))) => context.clone().take_up(request, respond),
                Some(Err(e)) => return debug!("an HTTP/2 connection ended: {e}"),
                None => return,
            },
            () = poll_fn(|cx| idle.poll(&context.client, cx)), if !leaving => return,
        }
    }
}

/// How the library is to read and write.
fn options(runtime: &Runtime) -> Builder {
    let serving = runtime.store.load();
    let list = max_header_list(&serving.snapshot.rules.read);
    let bounds = &serving.snapshot.bounds;
    let mut options = Builder::new();
    options
        // What is larger was refused before.
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_concurrent_streams(bounds.http2_streams)
        .initial_window_size(bounds.http2_stream_window as u32)
        .initial_connection_window_size(bounds.http2_connection_window as u32)
        .max_send_buffer_size(bounds.answer_buffer as usize);
    // What the library bounds by itself stays as it is: resets of requests that are not taken up yet (20), its own resets
    // (1024), CONTINUATION frames, small DATA frames. The connection's monitor is stricter where that matters.
    options
}

/// What the requests of one connection share.
struct Http2Context {
    lanes: Lanes,
    client: Arc<ClientConnection>,
    facts: ConnectionDigest,
    retirement: ShutdownWatch,
}

/// What Pingora knows of a connection.
struct ConnectionDigest {
    ssl: Option<Arc<SslDigest>>,
    socket: Option<Arc<SocketDigest>>,
}

impl ConnectionDigest {
    fn local_address(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.local_addr()?.as_inet().copied()
    }
}

impl Http2Context {
    /// Serves a request that has arrived, in a task of its own.
    fn take_up(self: Arc<Self>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let open = self.client.http2_request_arrived();
        let (request, body) = request.into_parts();
        let stream = Http2Stream::new(self.client.clone(), &request.headers, body, respond);
        tokio::spawn(async move {
            let serve = pin!(self.serve(request, stream));
            serve_request_until_drained(&self.client, serve).await;
            drop(open);
        });
    }

    async fn serve(&self, mut request: Parts, mut stream: Http2Stream) {
        if request.method == Method::CONNECT {
            return refuse_connect(&self.client, request, stream).await;
        }
        join_cookies(&mut request);
        if let Some(fast) = &self.lanes.fast
            && fast.serve_stream(&request, &mut stream, self.facts.local_address()).await
        {
            return;
        }
        self.serve_full(request, stream).await;
    }

    /// Pingora's way of a request. Boxed, so that the requests which don't go it don't carry its room.
    fn serve_full(&self, request: Parts, stream: Http2Stream) -> impl Future<Output = ()> + Send {
        // The digest's response header belongs to a use of Pingora's that the gateway does not have.
        let unused = ResponseHeader::build_no_case(200, Some(0)).expect("BUG: 200 is a valid status");
        let digest = Digest {
            ssl_digest: self.facts.ssl.clone(),
            timing_digest: Vec::new(),
            proxy_digest: Some(stream.control().clone().into_digest(Box::new(unused))),
            socket_digest: self.facts.socket.clone(),
        };
        let session = session(stream, RequestHeader::from(request), digest);
        let served = self.lanes.full.process_new_http(session, &self.retirement);
        async { drop(served.await) }
    }
}

/// Answers CONNECT with 405 and the owner's headers, and writes the log line. Pingora would answer it before any hook.
async fn refuse_connect(client: &ClientConnection, request: Parts, mut stream: Http2Stream) {
    let denial = Denial::new(Cause::ConnectRefused, "CONNECT is not supported");
    let serving = client.listener.runtime.store.load();
    let target = request.uri.path_and_query().map_or("", |target| target.as_str());
    let mut record = begin_record(client, request.method, target.as_bytes(), "HTTP/2", SystemTime::now());
    let accept = request.headers.get(ACCEPT).map(HeaderValue::as_bytes);
    let rules = &serving.snapshot.rules.response;
    let reply = reply::refusal_below_hooks(rules, &denial, accept, &record.request_id, record.scheme);
    record.status = reply.status.as_u16();
    record.bytes_sent = reply.body.len() as u64;
    if let Err(e) = stream.answer(reply).await {
        debug!("a refused CONNECT could not be answered: {e}");
        stream.reset(Reason::INTERNAL_ERROR);
    }
    client.write_record(record, denial);
}

/// Puts the crumbs of a Cookie together that HTTP/2 clients may split (RFC 9113 §8.2.3), so that it is one field to every bound and
/// rule, and to the origin.
fn join_cookies(request: &mut Parts) {
    let mut crumbs = request.headers.get_all(http::header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = request.headers.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).expect("BUG: parts of field values are one");
    request.headers.insert(http::header::COOKIE, joined);
}

/// Ends a connection on which no request has been open for `bound`.
struct IdleTimeout {
    timer: Timer,
    bound: Duration,
}

impl IdleTimeout {
    /// Ready when `client` has been idle for too long.
    fn poll(&mut self, client: &ClientConnection, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // What ends meanwhile is idle from then on: the timer fires before its time is over, and is set anew.
            let since = client.idle_since();
            let due = since.unwrap_or_else(Instant::now) + self.bound;
            ready!(self.timer.poll(due, cx));
            if since.is_some() && since == client.idle_since() {
                return Poll::Ready(());
            }
        }
    }
}
