//! Read, route, access: the part of a request's way before any origin is asked.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::Version;
use http::header::{CONTENT_LENGTH, REFERER, USER_AGENT};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use smallvec::SmallVec;

use super::context::{Context, begin_record, request_id_value};
use crate::decision::access::{self, Facts};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::{Normal, RawRequest, RequestView, Scheme, read};
use crate::decision::rules::Action;
use crate::faults::{self, Place};
use crate::proxy::connection::ConnectionInfo;
use crate::proxy::reply;
use crate::proxy::reply::Reply;
use crate::telemetry::metrics::Bound;

/// Takes the request over from the connection: from here on the gateway answers for it.
pub fn begin(session: &mut Session, ctx: &mut Context) {
    let Some(connection) = connection_of(session) else { return };
    connection.request_began();
    // The log line is owed from here on, whatever goes wrong.
    let header = session.req_header();
    let scheme = if connection.tls.is_some() { Scheme::Https } else { Scheme::Http };
    let mut record =
        begin_record(&connection, header.method.clone(), b"", protocol(header.version), scheme, SystemTime::now());
    record.user_agent = header.headers.get(USER_AGENT).cloned();
    record.referer = header.headers.get(REFERER).cloned();
    ctx.target = header.uri.path_and_query().cloned();
    ctx.request_id = request_id_value(&record.request_id);
    ctx.record = Some(Box::new(record));
    ctx.connection = Some(connection);

    let bounds = ctx.serving.snapshot.bounds;
    if is_http2(session.req_header()) {
        // On HTTP/1 the connection watches its writes itself; here the client's window may be what is full.
        session.set_write_timeout(Some(bounds.write_idle));
    } else {
        // The connection paces what it reads; Pingora's own bound would cut a body that a route lets come more slowly.
        session.set_read_timeout(None);
    }
    session.set_total_drain_timeout(Some(bounds.body_idle));
    if session.req_header().version == Version::HTTP_10
        && let ServerSession::H1(http1) = session.as_mut()
    {
        // HTTP/1.0 knows no interim answers (RFC 9110 §15.2).
        http1.set_ignore_info_resp(true);
    }
    if session.get_keepalive_reuses_remaining() == Some(0) {
        ctx.shared.metrics.bound_hit(Bound::RequestsPerConnection);
    }
}

/// Whether the request came by HTTP/2. Pingora knows its session only as one of another protocol's
/// ([`crate::proxy::connection::h2_session`]).
pub(in crate::proxy) fn is_http2(request: &RequestHeader) -> bool {
    request.version == Version::HTTP_2
}

/// Lets the body of a request come as slowly as its route says.
pub fn pace_body(session: &mut Session, ctx: &Context) {
    let Some(pacing) = ctx.route.map(|id| ctx.serving.route(id).body_pacing) else { return };
    if is_http2(session.req_header()) {
        session.set_read_timeout(pacing.idle);
    } else if let Some(connection) = &ctx.connection {
        connection.pace_body(pacing);
    }
}

/// What the connection knows about itself. It travels in the digest because an HTTP/2 stream can't see its connection.
pub fn connection_of(session: &pingora::protocols::http::ServerSession) -> Option<Arc<ConnectionInfo>> {
    let proxy = session.digest()?.proxy_digest.as_ref()?;
    proxy.user_data.as_ref()?.downcast_ref::<Arc<ConnectionInfo>>().cloned()
}

/// Decides until an origin is needed (`None`) or the answer is known.
pub fn decide(request: &RequestHeader, ctx: &mut Context) -> Result<Option<Reply>, Denial> {
    let serving = ctx.serving.clone();
    let rules = &serving.snapshot.rules;
    let (Some(record), Some(connection)) = (&ctx.record, ctx.connection.clone()) else {
        return Err(Denial::new(Cause::InternalError, "BUG: a request without its connection"));
    };
    let now = record.time;

    let raw = raw(request, &connection.facts);
    let mut normal = read(&rules.read, &raw)?;
    if let Some(id) = normal.request_id.take() {
        ctx.identify_as(id);
    }
    let normal = ctx.normal.insert(normal);

    let (id, parameters) = rules.table.find(&raw, normal).taken()?;
    let view = raw.view(normal);
    ctx.route = Some(id);
    ctx.parameters = parameters;
    let route = serving.route(id);

    if content_length(request).is_some_and(|length| length > route.max_body) {
        return Err(body_too_large(route.max_body));
    }

    let stranger = access::enter(route, serving.address_lists.as_slice(), &view)?;
    let needs = stranger.needs(&view);
    let tokens = &ctx.shared.state.tokens;
    let facts = Facts { verified: needs.verified.and_then(|digest| tokens.get(&digest, now)) };
    let caller = stranger.identify(&view, facts, now)?;
    if let Some((digest, principal)) = caller.remember() {
        tokens.insert(digest, principal);
    }
    if let Some(record) = &mut ctx.record {
        // Known from here on, also if the caller is refused below.
        record.principal = caller.principal().cloned();
    }
    let cleared = caller.clear(route, &rules.limits, &view, &ctx.shared.bucket_hasher)?;

    let now_nanos = nanos_since(ctx.shared.epoch, ctx.started);
    let mut taken = SmallVec::<[_; 4]>::new();
    for take in cleared.takes() {
        let limit = &rules.limits[take.limit.0 as usize];
        let (answer, guard) = serving.limits[take.limit.0 as usize].take(take.bucket, now_nanos);
        ctx.concurrency.extend(guard);
        if !answer.granted {
            serving.limit_refusals[take.limit.0 as usize].inc();
        }
        taken.push(answer);
        if !answer.granted && !limit.report_only {
            break;
        }
    }
    faults::panic_at(Place::Request, &request.headers);
    let permit = cleared.admit(&rules.limits, &taken)?;

    let reply = match &route.action {
        Action::Forward { to, .. } => {
            ctx.attempt.upstream = Some(to.choose(&permit, &view, || fastrand::u64(..)));
            None
        }
        Action::Respond(fixed) => Some(reply::fixed(fixed)),
        Action::Redirect(redirect) => Some(reply::redirect(redirect, normal, &ctx.parameters)),
    };
    ctx.permit = Some(permit);
    Ok(reply)
}

/// Counts request body bytes against the route's bound, for bodies that do not say their length beforehand.
pub fn bound_body(ctx: &mut Context, length: usize) -> Result<()> {
    ctx.body_seen += length as u64;
    let Some(route) = ctx.route.map(|id| ctx.serving.route(id)) else { return Ok(()) };
    if ctx.body_seen <= route.max_body {
        return Ok(());
    }
    ctx.denial = Some(body_too_large(route.max_body));
    Error::e_explain(ErrorType::HTTPStatus(413), "request body over its bound")
}

fn raw<'a>(request: &'a RequestHeader, connection: &'a ConnectionFacts) -> RawRequest<'a> {
    RawRequest {
        method: &request.method,
        target: request.raw_path(),
        authority: request.uri.authority().map(|authority| authority.as_str()),
        fields: (&request.headers).into(),
        version: request.version,
        connection,
    }
}

/// The request as rules see it.
pub fn view<'a>(request: &'a RequestHeader, normal: &'a Normal, connection: &'a ConnectionFacts) -> RequestView<'a> {
    RequestView { method: &request.method, normal, fields: (&request.headers).into(), connection }
}

/// Limits count time in nanoseconds since the process began.
fn nanos_since(epoch: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(epoch).as_nanos()).unwrap_or(u64::MAX)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP",
    }
}

fn content_length(request: &RequestHeader) -> Option<u64> {
    request.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn body_too_large(bound: u64) -> Denial {
    Denial::new(Cause::BodyTooLarge, format!("the request body exceeds {bound} bytes"))
}

/// How much of an unread request body is worth reading to keep the connection; a client with more pays a new one.
pub(in crate::proxy) const DRAIN_BYTES: u64 = 64 << 10;

/// Whether the rest of the request body is small and surely on its way, so that reading it keeps the connection usable.
pub(in crate::proxy) fn drainable(request: &RequestHeader) -> bool {
    let chunked = request.headers.contains_key(http::header::TRANSFER_ENCODING);
    let waits = request.headers.contains_key(http::header::EXPECT);
    !chunked && !waits && content_length(request).unwrap_or(0) <= DRAIN_BYTES
}
