//! What is known about one request on its way through the hooks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method};
use smallvec::SmallVec;

use super::mirror;
use crate::decision::access::Permit;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::pipeline::{self, Findings};
use crate::decision::request::{Normal, Scheme};
use crate::decision::route::Parameters;
use crate::decision::rules::{RouteId, UpstreamId};
use crate::decision::upstream::retry::Failure;
use crate::proxy::connection::ConnectionInfo;
use crate::proxy::drain::Ending;
use crate::proxy::reply::Reply;
use crate::proxy::runtime::rollout::Tried;
use crate::proxy::runtime::{Serving, Shared};
use crate::proxy::upstream::connection::{Exchange, Overdue, Wire};
use crate::proxy::upstream::tunnel::Tunnel;
use crate::state::limits::ConcurrencyGuard;
use crate::state::upstreams::Chosen;
use crate::telemetry::metrics::{Bound, Open};
use crate::telemetry::record::{Decision, Record, UpstreamRecord};

/// The per-request context of the hooks.
pub struct Context {
    pub shared: Arc<Shared>,
    pub serving: Arc<Serving>,
    /// Of a request that is counted while a new configuration is tried.
    tried: Option<Tried>,
    _in_flight: Open,
    pub started: Instant,
    /// The log line that this request owes; taken when it is written, and written by `Drop` if nobody did.
    pub record: Option<Box<Record>>,
    pub connection: Option<Arc<ConnectionInfo>>,
    /// The record's id, as a value that is shared by the request to the origin and the answer.
    pub request_id: HeaderValue,
    /// As received, for the log line of a request that has no normal form.
    pub target: Option<PathAndQuery>,
    /// What is known of the request until it is admitted.
    pub findings: Findings,
    pub normal: Option<Normal>,
    pub route: Option<RouteId>,
    pub parameters: Parameters,
    pub permit: Option<Permit>,
    /// Why the request was refused or failed, once that is known.
    pub denial: Option<Denial>,
    /// The refusal was said in gRPC's own words: its status is not the one of the answer.
    pub grpc_refused: bool,
    pub attempt: Attempt,
    /// The copy of the request for a mirror.
    pub mirror: mirror::Progress,
    /// A panic was met and counted.
    panicked: bool,
    /// Request body bytes seen by the body filter.
    pub body_seen: u64,
    /// Of a tunnel, or of an answer without an end.
    pub stream: Option<Open>,
    /// Places held in concurrency limits; given back when the request ends, however it ends.
    pub concurrency: SmallVec<[ConcurrencyGuard; 2]>,
}

/// The tries to reach an upstream.
#[derive(Default)]
pub struct Attempt {
    pub upstream: Option<UpstreamId>,
    pub chosen: Option<Chosen>,
    pub tried: SmallVec<[SocketAddr; 4]>,
    pub count: u32,
    pub reused: bool,
    pub began: Option<Instant>,
    pub connected: Option<Instant>,
    pub answered: Option<Instant>,
    /// The status of the origin's answer.
    pub status: Option<u16>,
    /// Interim answers (1xx) of the origin.
    pub interim: u32,
    /// Of a request that asks for an upgrade.
    pub tunnel: Option<Arc<Tunnel>>,
    /// How long this try may take to the header of its answer.
    pub limit: Option<Duration>,
    /// What the connection of this try would be known by, should it be a new one.
    pub wire: Option<Arc<Wire>>,
    /// This try's use of its connection, where that is watched.
    pub exchange: Option<Exchange>,
    /// Ends a try that takes too long.
    pub overdue: Option<Overdue>,
    /// How this try failed, where a hook has found that out.
    pub failure: Option<Failure>,
    /// Before the next try.
    pub wait: Option<Duration>,
    /// The next try is made on a new connection.
    pub fresh: bool,
    /// Pooled connections that had ended before anything was sent on them.
    pub stale: u32,
    /// Why the last try but one failed.
    pub reason: Option<Failure>,
}

impl Context {
    pub fn new(shared: Arc<Shared>) -> Self {
        let (serving, tried) = shared.pick();
        shared.request_began();
        Context {
            serving,
            tried,
            _in_flight: shared.metrics.request_in_flight(),
            shared,
            started: Instant::now(),
            record: None,
            connection: None,
            target: None,
            request_id: HeaderValue::from_static(""),
            findings: Findings::default(),
            normal: None,
            route: None,
            parameters: Parameters::new(),
            permit: None,
            denial: None,
            grpc_refused: false,
            attempt: Attempt::default(),
            mirror: mirror::Progress::default(),
            panicked: false,
            body_seen: 0,
            stream: None,
            concurrency: SmallVec::new(),
        }
    }

    /// The response rules of the route, or those of the file.
    pub fn response_rules(&self) -> &crate::decision::response::ResponseRules {
        match self.route {
            Some(id) => &self.serving.route(id).response,
            None => &self.serving.snapshot.rules.response,
        }
    }

    /// Takes over what was decided, and what is known of the request.
    pub fn settle(&mut self, decision: pipeline::Decision) -> Result<Option<Reply>, Denial> {
        let (normal, route, principal, done) = match decision {
            pipeline::Decision::Forward(admitted) => {
                let principal = admitted.permit.principal().cloned();
                self.parameters = admitted.parameters;
                self.permit = Some(admitted.permit);
                self.attempt.upstream = Some(admitted.upstream);
                (Some(admitted.request), Some(admitted.route), principal, Ok(None))
            }
            pipeline::Decision::Reply(reply) => {
                let principal = reply.permit.principal().cloned();
                self.permit = Some(reply.permit);
                let done = match reply.content {
                    pipeline::ReplyContent::Fixed(fixed) => crate::proxy::reply::fixed(&fixed),
                    pipeline::ReplyContent::Redirect { status, location } => {
                        crate::proxy::reply::redirect(status, location)
                    }
                };
                (Some(reply.request), Some(reply.route), principal, Ok(Some(done)))
            }
            pipeline::Decision::Refuse(denial) => match std::mem::take(&mut self.findings) {
                Findings::Unread => (None, None, None, Err(denial)),
                Findings::Unrouted(request) => (Some(request), None, None, Err(denial)),
                Findings::Routed(routed) => (Some(routed.request), Some(routed.route), routed.principal, Err(denial)),
            },
        };
        self.normal = normal;
        if let Some(id) = self.normal.as_mut().and_then(|normal| normal.request_id.take()) {
            self.identify_as(id);
        }
        self.route = route;
        if let Some(record) = &mut self.record {
            record.principal = principal;
        }
        done
    }

    /// Goes by `id` from here on, in the log and in every header.
    pub fn identify_as(&mut self, id: String) {
        self.request_id = request_id_value(&id);
        if let Some(record) = &mut self.record {
            record.request_id = id;
        }
    }

    /// Notes a fault in the gateway's own code, which is why this request fails. Counted once a request.
    pub fn panicked(&mut self) {
        if !std::mem::replace(&mut self.panicked, true) {
            self.shared.metrics.panics.inc();
        }
        self.denial = Some(Denial::new(Cause::InternalError, "panicked while handling the request"));
    }

    /// Writes the log line and counts the request. Does nothing the second time.
    pub fn finish(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        let now = Instant::now();
        record.duration = now - self.started;
        match (self.normal.take(), &self.target) {
            (Some(normal), _) => {
                record.host = normal.host;
                record.path = normal.path;
                record.query = normal.query;
                record.client = normal.client;
                record.scheme = normal.scheme;
            }
            (None, Some(target)) => {
                record.path = target.path().to_owned();
                record.query = target.query().map(str::to_owned);
            }
            (None, None) => {}
        }
        record.generation = self.serving.generation;
        record.route = self.route.map(|id| self.serving.route(id).name.clone());
        if let Some(permit) = &self.permit {
            record.would_deny = permit.would_deny();
            record.decision = Decision::Allow;
        }
        if let Some(denial) = self.denial.take() {
            record.decision = if denial.cause.is_refusal() { Decision::Deny } else { Decision::Fail };
            record.cause = Some(denial.cause);
            record.detail = Some(denial.detail);
        }
        record.upstream = self.attempt.record(&self.serving);
        self.count(&record);
        if let Some(tried) = &self.tried {
            tried.count(&record);
        }
        self.serving.access_log.record(*record);
    }

    fn count(&self, record: &Record) {
        self.serving.route_metrics(self.route).record(record);
        if let Some(bound) = record.cause.and_then(bound_of) {
            self.shared.metrics.bound_hit(bound);
        }
        if let Some(cause) = record.cause {
            self.shared.drain.failed(cause);
        }
        if let (Some(id), Some(upstream)) = (self.attempt.upstream, &record.upstream) {
            self.serving.upstream(id).metrics.record(upstream, self.attempt.status);
        }
    }
}

/// The bound of the file that refused with `cause`.
pub(in crate::proxy) fn bound_of(cause: Cause) -> Option<Bound> {
    match cause {
        Cause::UriTooLong => Some(Bound::Uri),
        Cause::HeadersTooLarge => Some(Bound::HeaderBytes),
        Cause::HeadersTooMany => Some(Bound::HeaderCount),
        Cause::BodyTooLarge => Some(Bound::Body),
        Cause::UpstreamOverloaded => Some(Bound::CircuitBreaker),
        _ => None,
    }
}

impl Attempt {
    fn response_time(&self) -> Option<std::time::Duration> {
        Some(self.answered? - self.connected?)
    }

    fn record(&self, serving: &Serving) -> Option<UpstreamRecord> {
        let id = self.upstream?;
        Some(UpstreamRecord {
            name: serving.snapshot.upstream(id).name.clone(),
            endpoint: self.tried.last().copied(),
            attempts: self.count,
            retried: self.reason.map(Failure::as_str),
            reused: self.reused,
            connect: self.connected.zip(self.began).map(|(connected, began)| connected - began),
            response: self.response_time(),
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // A request whose task was cancelled or panicked never reaches the logging hook.
        if std::thread::panicking() {
            self.panicked();
        }
        if self.record.is_some() {
            if self.denial.is_none() {
                let cut = || Denial::new(Cause::ClientClosed, "the request was cancelled");
                self.denial = Some(self.shared.drain.ending(self.stream.is_some()).map_or_else(cut, Ending::denial));
            }
            self.finish();
        }
        if let Some(connection) = &self.connection {
            connection.request_ended(false);
        }
        self.shared.request_ended();
    }
}

/// A record of what is known when a request begins.
pub fn begin_record(
    connection: &ConnectionInfo,
    method: Method,
    target: &[u8],
    protocol: &'static str,
    scheme: Scheme,
    time: SystemTime,
) -> Record {
    let target = without_authority(target);
    let (path, query) = match target.iter().position(|b| *b == b'?') {
        Some(at) => (&target[..at], Some(&target[at + 1..])),
        None => (target, None),
    };
    Record {
        time,
        duration: std::time::Duration::ZERO,
        request_id: new_request_id(),
        listener: connection.listener.name.clone(),
        client: connection.peer.ip(),
        peer: connection.peer,
        via: connection.via,
        protocol,
        scheme,
        tls: connection.tls,
        method,
        host: String::new(),
        path: String::from_utf8_lossy(path).into_owned(),
        query: query.map(|query| String::from_utf8_lossy(query).into_owned()),
        user_agent: None,
        referer: None,
        status: 0,
        bytes_sent: 0,
        bytes_received: 0,
        route: None,
        generation: 0,
        decision: Decision::Deny,
        cause: None,
        detail: None,
        would_deny: None,
        principal: None,
        upstream: None,
    }
}

/// An absolute target without scheme and authority, which may hold a password.
fn without_authority(target: &[u8]) -> &[u8] {
    let Some(scheme) = target.windows(3).take(8).position(|window| window == b"://") else { return target };
    let rest = &target[scheme + 3..];
    rest.iter().position(|byte| matches!(byte, b'/' | b'?')).map_or(b"/", |path| &rest[path..])
}

/// 128 random bits in hexadecimal.
///
/// Long enough that no two requests of a fleet share one, and that nobody guesses another's.
pub fn new_request_id() -> String {
    let mut id = String::with_capacity(32);
    let bits = fastrand::u128(..);
    for nibble in (0..32).rev() {
        let digit = (bits >> (nibble * 4)) as u8 & 0xf;
        id.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
    }
    id
}

/// A request id as a header value, without a check that its characters already passed.
pub fn request_id_value(id: &str) -> HeaderValue {
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(id.as_bytes()))
        .unwrap_or_else(|_| HeaderValue::from_static("invalid"))
}
