//! The fast lane: an HTTP/1 exchange of the gateway's own, for requests that need no more than a plain one.
//!
//! One loop owns a client's HTTP/1 connection. It reads a head, finds the route, and where request and route are plain runs the
//! same steps as Pingora's hooks do ([`super::hooks`]) on slices of the head, without header maps, channels or a second session.
//! Every other request it hands to Pingora, head and all, before anything was decided or counted; Pingora gives the connection back
//! for the next one. Which routes are plain is known when the configuration is loaded ([`crate::decision::lane`]).
//!
//! * [`request`]: a head as it was received
//! * [`client`]: the client's side of an exchange
//! * [`local`]: answers of the gateway's own, and failures
//! * [`exchange`]: tries at endpoints, with [`upload`] and [`download`]
//! * [`errors`]: failures as the steps of a request know them
//! * [`buffer`]: bytes that have come and were not used yet

mod buffer;
mod client;
mod download;
mod errors;
mod exchange;
mod local;
mod request;
mod upload;

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use http::Method;
use pingora::connectors::{ConnectorOptions, TransportConnector};
use pingora::protocols::Stream;
use pingora::server::configuration::ServerConf;

use self::client::{After, FastClient};
use self::request::ReceivedRequest;
use super::connection::ClientStream;
use super::hooks::client_side::RequestParts;
use super::hooks::context::Context;
use super::hooks::guard::{guarded, guarded_async};
use super::hooks::request::{decide, follow_route, seek_route, take_over};
use super::hooks::{response, upstream};
use super::reply;
use super::runtime::Runtime;
use crate::decision::lane::Lane;
use crate::decision::request::fields::AUTHORIZATION;
use crate::decision::upstream::connection_auth::authenticates_connection;
use crate::faults::{self, FaultPlace};
use crate::telemetry::metrics::Bound;

/// What the connections that are served on the fast lane share.
pub struct FastLane {
    runtime: Arc<Runtime>,
    /// Connections to origins. Those of the full lane are Pingora's own, and kept apart from these.
    connector: TransportConnector,
}

/// Serves the requests that are not for the fast lane.
pub trait FullLane {
    /// Serves the request that `stream` is about to give, after which as many may follow as `left` says. `None`: the connection
    /// has ended.
    fn serve_one(&self, stream: Stream, left: u32) -> impl Future<Output = Option<Stream>> + Send;
}

impl FastLane {
    /// The lane of a process, with a pool of connections as large as `conf` says.
    pub fn new(runtime: Arc<Runtime>, conf: &ServerConf) -> Arc<FastLane> {
        let connector = TransportConnector::new(Some(ConnectorOptions::from_server_conf(conf)));
        Arc::new(FastLane { runtime, connector })
    }

    /// Serves the requests of a client's HTTP/1 connection until it ends, `most` of them at most.
    pub async fn serve(&self, mut connection: Box<ClientStream>, most: u32, full: &impl FullLane) {
        let mut begun: u32 = 0;
        loop {
            let Some(head) = connection.read_head().await else { return };
            begun += 1;
            let left = most.saturating_sub(begun);
            match self.handle(&mut connection, &head, left == 0).await {
                After::Next => {}
                After::Close => return connection.close().await,
                After::Drop => return,
                After::HandOver => {
                    connection.give_back(&head);
                    let Some(stream) = full.serve_one(connection, left).await else { return };
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
        if *request.method == Method::CONNECT
            || upstream::asks_for_tunnel(request)
            || uses_private_connection(request, connection)
        {
            return After::HandOver;
        }
        let (control, now) = (connection.control().clone(), SystemTime::now());
        let sought = guarded(&mut ctx, |ctx| seek_route(request, &control.connection().facts, now, ctx));
        if let Ok(Ok(route)) = sought
            && ctx.serving.lane(route) != Lane::Fast
        {
            control.keep_config(ctx.config());
            return After::HandOver;
        }
        control.began();
        take_over(request, Lane::FAST, control, now, &mut ctx);
        let mut client = FastClient::new(connection, request, received.body);
        if last {
            ctx.shared.metrics.bound_hit(Bound::RequestsPerConnection);
            client.closes = true;
        }
        faults::panic_at(FaultPlace::Task, request);
        faults::stall(request);
        let sought = match sought {
            Ok(sought) => sought,
            Err(e) => return client.fail(&e, &mut ctx).await,
        };
        let decided = guarded_async(decide(request, Some(sought), &mut ctx)).await;
        let decided = match decided.or_else(|panicked| panicked.fail(&mut ctx)) {
            Ok(decided) => decided,
            Err(e) => return client.fail(&e, &mut ctx).await,
        };
        follow_route(&ctx);
        match decided {
            Ok(None) => match exchange::forward(&mut client, &mut ctx, &self.connector).await {
                Ok(()) => client.finish(&mut ctx),
                Err(e) => client.fail(&e, &mut ctx).await,
            },
            Ok(Some(content)) => client.answer(reply::of_route(content), &mut ctx).await,
            Err(denial) => {
                client.note_target(&mut ctx);
                client.closes |= response::ends_connection(denial.cause);
                let reply = response::refusal(request, &mut ctx, denial);
                client.answer(reply, &mut ctx).await
            }
        }
    }
}

/// Whether the request belongs on a connection to the origin that is its client's own. Those are all in one pool, Pingora's.
fn uses_private_connection(request: RequestParts<'_>, connection: &ClientStream) -> bool {
    !connection.client().private.is_empty() || request.fields.get_all(&AUTHORIZATION).any(authenticates_connection)
}
