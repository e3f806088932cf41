//! The fast lane: an exchange of the gateway's own with origins that speak HTTP/1, for requests that need no more than a plain one.
//!
//! One loop owns a client's HTTP/1 connection. It reads a head, finds the route, and where request and route are plain runs the
//! same steps as Pingora's hooks do ([`super::hooks`]) on slices of the head, without header maps, channels or a second session.
//! Every other request it hands to Pingora, head and all, before anything was decided or counted; Pingora gives the connection back
//! for the next one. A stream of HTTP/2 takes the same way. Which routes are plain is known when the configuration is loaded
//! ([`crate::decision::lane`]).
//!
//! * [`request`]: a head as it was received
//! * [`client`]: the client's side of an exchange, whose protocol is behind [`downstream`]: [`http1`], [`http2`]
//! * [`local`]: answers of the gateway's own, and failures
//! * [`exchange`]: tries at endpoints, with [`upload`] and [`download`]
//! * [`connector`]: connections to origins, whose idle ones are in the [`pool`]
//! * [`errors`]: failures as the steps of a request know them
//! * [`buffer`]: bytes that have come and were not used yet

mod buffer;
mod client;
mod connector;
mod download;
mod downstream;
mod errors;
mod exchange;
mod http1;
mod http2;
mod local;
mod pool;
mod request;
mod upload;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use http::Method;
use http::request::Parts;
use pingora::Result;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::services::background::BackgroundService;

use self::client::FastClient;
use self::connector::OriginConnector;
use self::downstream::{After, Downstream};
use self::http1::Http1Downstream;
use self::http2::Http2Downstream;
use self::request::{ReceivedRequest, http2_body};
use super::connection::ClientStream;
use super::connection::client::ClientConnection;
use super::connection::control::RequestControl;
use super::connection::http2::header_block;
use super::connection::http2::stream::Http2Stream;
use super::hooks::client_side::RequestParts;
use super::hooks::context::Context;
use super::hooks::guard::{guarded, guarded_async};
use super::hooks::request::{decide, follow_route, seek_route, take_over};
use super::hooks::{response, upstream};
use super::reply;
use super::runtime::Runtime;
use crate::decision::ids::RouteId;
use crate::decision::lane::Lane;
use crate::decision::outcome::Denial;
use crate::decision::request::fields::AUTHORIZATION;
use crate::decision::upstream::connection_auth::authenticates_connection;
use crate::faults::{self, FaultPlace};
use crate::telemetry::metrics::Bound;

/// What the connections that are served on the fast lane share.
pub struct FastLane {
    runtime: Arc<Runtime>,
    /// Connections to origins. Those of the full lane are Pingora's own, and kept apart from these.
    connector: OriginConnector,
}

/// Closes idle connections to origins when their time has come.
pub struct OriginPoolUpkeep(pub Arc<FastLane>);

#[async_trait]
impl BackgroundService for OriginPoolUpkeep {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let ended = async {
            let _ = shutdown.wait_for(|ended| *ended).await;
        };
        tokio::select! {
            () = self.0.connector.sweep() => {}
            () = ended => {}
        }
    }
}

/// Serves the requests that are not for the fast lane.
pub trait FullLane {
    /// Serves the request that `stream` is about to give, after which as many may follow as `left` says. `None`: the connection
    /// has ended.
    fn serve_one(&self, stream: Stream, left: u32) -> impl Future<Output = Option<Stream>> + Send;
}

impl FastLane {
    /// The lane of a process with so many `workers`, each of which keeps as many idle connections as `conf` says.
    pub fn new(runtime: Arc<Runtime>, conf: &ServerConf, workers: usize) -> Arc<FastLane> {
        Arc::new(FastLane { runtime, connector: OriginConnector::new(conf, workers) })
    }

    /// Serves the requests of a client's HTTP/1 connection until it ends, `most` of them at most.
    pub async fn serve(&self, mut connection: Box<ClientStream>, most: u32, full: &impl FullLane) {
        let mut begun: u32 = 0;
        loop {
            let Some(head) = connection.read_head().await else { return };
            begun += 1;
            let left = most.saturating_sub(begun);
            // Boxed: a connection that waits for its next request does not hold the room of one.
            match Box::pin(self.handle(&mut connection, &head, left == 0)).await {
                After::Next => {}
                After::Close => return connection.close().await,
                After::Drop => return,
                After::HandOver => {
                    connection.give_back(&head);
                    let Some(stream) = Box::pin(full.serve_one(connection, left)).await else { return };
                    let Ok(same) = stream.into_any().downcast() else { return };
                    connection = same;
                }
            }
        }
    }

    /// Serves one request. `last`: none may follow.
    async fn handle(&self, connection: &mut ClientStream, head: &[u8], last: bool) -> After {
        let mut ctx = Context::new(self.runtime.clone());
        let Some(received) = ReceivedRequest::read(head, &ctx.serving.snapshot.rules.read.names) else {
            return After::HandOver;
        };
        let request = received.parts();
        let (control, now) = (connection.control().clone(), SystemTime::now());
        if *request.method == Method::CONNECT || upstream::asks_for_tunnel(request) {
            return After::HandOver;
        }
        let Some(sought) = seek(request, &control, now, None, &mut ctx) else { return After::HandOver };
        control.began();
        take_over(request, Lane::FAST, control, now, &mut ctx);
        if last {
            ctx.shared.metrics.bound_hit(Bound::RequestsPerConnection);
        }
        let downstream = Http1Downstream::new(connection, request, received.body, last);
        self.serve_request(FastClient::new(downstream, request, received.body), sought, &mut ctx).await
    }

    /// Serves `request`, which has come by `stream` from a client that connected to `local_address`. `false`: it is not for this lane.
    pub async fn serve_stream(
        &self,
        request: &Parts,
        stream: &mut Http2Stream,
        local_address: Option<SocketAddr>,
    ) -> bool {
        let mut ctx = Context::new(self.runtime.clone());
        let refusal = request.uri.scheme_str().and_then(header_block::refusal_of);
        let request = RequestParts::from(request);
        let (control, now) = (stream.control().clone(), SystemTime::now());
        let refusal = refusal.map(|refusal| refusal.denial());
        let Some(sought) = seek(request, &control, now, refusal, &mut ctx) else { return false };
        take_over(request, Lane::FAST, control, now, &mut ctx);
        let body = http2_body(request, stream.is_received());
        let client = FastClient::new(Http2Downstream::new(stream, local_address), request, body);
        self.serve_request(client, sought, &mut ctx).await;
        true
    }

    /// Serves the request of `client`, for which a route was `sought`.
    async fn serve_request(
        &self,
        mut client: FastClient<'_, impl Downstream>,
        sought: Result<Sought>,
        ctx: &mut Context,
    ) -> After {
        let request = client.request;
        faults::panic_at(FaultPlace::Task, request);
        faults::stall(request);
        let sought = match sought {
            Ok(sought) => sought,
            Err(e) => return client.fail(&e, ctx).await,
        };
        let decided = guarded_async(decide(request, Some(sought), ctx)).await;
        let decided = match decided.or_else(|panicked| panicked.fail(ctx)) {
            Ok(decided) => decided,
            Err(e) => return client.fail(&e, ctx).await,
        };
        follow_route(ctx);
        match decided {
            Ok(None) => match exchange::forward(&mut client, ctx, &self.connector).await {
                Ok(()) => client.finish(ctx),
                Err(e) => client.fail(&e, ctx).await,
            },
            Ok(Some(content)) => client.answer(reply::of_route(content), ctx).await,
            Err(denial) => {
                client.note_target(ctx);
                if response::ends_connection(denial.cause) {
                    client.downstream.set_last();
                }
                let reply = response::refusal(request, ctx, denial);
                client.answer(reply, ctx).await
            }
        }
    }
}

/// The route of a request, or why it has none.
type Sought = Result<RouteId, Denial>;

/// Seeks the route of a request, unless it was refused before. `None`: the request is not for this lane, and the full lane is to serve
/// it by the same configuration.
///
/// # Errors
/// A panic of the search.
fn seek(
    request: RequestParts<'_>,
    control: &RequestControl,
    now: SystemTime,
    refusal: Option<Denial>,
    ctx: &mut Context,
) -> Option<Result<Sought>> {
    if let Some(denial) = refusal {
        return Some(Ok(Err(denial)));
    }
    let connection = control.connection();
    if uses_private_connection(request, connection) {
        return None;
    }
    let sought = guarded(ctx, |ctx| seek_route(request, &connection.facts, now, ctx));
    if let Ok(Ok(route)) = sought
        && ctx.serving.lane(route) != Lane::Fast
    {
        control.keep_config(ctx.config());
        return None;
    }
    Some(sought)
}

/// Whether the request belongs on a connection to the origin that is its client's own. Those are all in one pool, Pingora's.
fn uses_private_connection(request: RequestParts<'_>, connection: &ClientConnection) -> bool {
    !connection.private.is_empty() || request.fields.get_all(&AUTHORIZATION).any(authenticates_connection)
}
