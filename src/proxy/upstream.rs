//! Upstream and rewrite: which endpoint is asked, whether again, and what it is shown.

use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::announce::announced;
use super::context::Context;
use super::error::{detail, upstream_cause};
use super::tunnel::Tunnel;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::RequestView;
use crate::decision::rewrite::{self, Edit};
use crate::decision::rules::{Action, UpstreamId};
use crate::faults::{self, Place};

/// Chooses an endpoint that was not tried yet.
pub fn choose(session: &Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
    let request = session.req_header();
    let (Some(permit), Some(normal), Some(id), Some(connection)) =
        (&ctx.permit, &ctx.normal, ctx.attempt.upstream, &ctx.connection)
    else {
        return Error::e_explain(ErrorType::InternalError, "BUG: an upstream was asked for without a permit");
    };
    let upstream = ctx.serving.upstream(id);
    let view = RequestView { method: &request.method, normal, headers: &request.headers };
    let choice = upstream.state.choose(permit, &view, &ctx.attempt.tried, fastrand::u64(..));
    if !matches!(&choice, Ok(Some(chosen)) if !chosen.panic)
        && let Some(rest) = rest_of_split(ctx)
    {
        fall_back(ctx, rest);
        return choose(session, ctx);
    }
    match choice {
        Ok(Some(chosen)) => {
            let address = chosen.endpoint.address;
            ctx.attempt.tried.push(address);
            ctx.attempt.count += 1;
            // The first choice follows the request's beginning so closely that the clock need not be asked again.
            ctx.attempt.began = Some(ctx.attempt.began.map_or(ctx.started, |_| Instant::now()));
            ctx.attempt.connected = None;
            ctx.attempt.chosen = Some(chosen);
            let mut peer = upstream.peer.to(address, || announced(session, connection, normal.client));
            let config = ctx.serving.snapshot.upstream(id);
            // An origin that speaks HTTP/2 without being asked can't be offered a tunnel.
            let tunnels = !config.http2 || config.tls.is_some();
            ctx.attempt.tunnel = (tunnels && asks_for_tunnel(request))
                .then(|| Tunnel::through(&mut peer, config.timeouts.response, ctx.serving.snapshot.bounds.tunnel_idle));
            if request.version == Version::HTTP_10 && config.tls.is_some() {
                // Pingora gives what came by HTTP/2 without a length away in chunks, which HTTP/1.0 does not know.
                peer.options.alpn = ALPN::H1;
            }
            Ok(peer)
        }
        Ok(None) => {
            // A try that failed before said why.
            ctx.denial.get_or_insert_with(|| Denial::new(Cause::UpstreamConnectFailed, "every endpoint was tried"));
            Error::e_explain(ErrorType::HTTPStatus(502), "every endpoint was tried")
        }
        Err(cause) => {
            ctx.denial = Some(Denial::new(cause, "no endpoint can be used"));
            Error::e_explain(ErrorType::HTTPStatus(cause.status().as_u16()), "no endpoint can be used")
        }
    }
}

/// A connection could not be made: nothing was sent, so another endpoint may be tried whatever the method.
pub fn connect_failed(ctx: &mut Context, mut e: Box<Error>) -> Box<Error> {
    let cause = upstream_cause(&e);
    ctx.denial = Some(Denial::new(cause, detail(&e)));
    ctx.attempt.chosen = None;
    if let Some(id) = ctx.attempt.upstream {
        let upstream = ctx.serving.upstream(id);
        upstream.metrics.connect_failed();
        let attempts = ctx.serving.snapshot.upstream(id).connect_attempts;
        let untried = upstream.state.endpoints().endpoints.len() > ctx.attempt.tried.len();
        let more = ctx.attempt.count < attempts && untried;
        let rest = rest_of_split(ctx).filter(|_| !more);
        e.set_retry(more || rest.is_some());
        if let Some(rest) = rest {
            fall_back(ctx, rest);
        }
    }
    e
}

/// Where the request goes instead if the side of the split that it was given to can't be used.
fn rest_of_split(ctx: &Context) -> Option<UpstreamId> {
    match &ctx.serving.route(ctx.route?).action {
        Action::Forward { to, .. } => to.instead_of(ctx.attempt.upstream?),
        Action::Respond(_) | Action::Redirect(_) => None,
    }
}

/// Gives the request to the rest of its split, which has tries of its own.
fn fall_back(ctx: &mut Context, rest: UpstreamId) {
    if let Some(failed) = ctx.attempt.upstream.replace(rest) {
        ctx.serving.upstream(failed).metrics.fell_back();
    }
    ctx.attempt.tried.clear();
    ctx.attempt.count = 0;
}

/// Whether a request asks for what a tunnel can be: a WebSocket, begun with the request's head. Anything else is answered
/// as if it had not asked, as an origin may do too (RFC 9110 §7.8).
fn asks_for_tunnel(request: &RequestHeader) -> bool {
    let body = request.headers.contains_key(TRANSFER_ENCODING)
        || request.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    let websocket = request.headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    websocket && !body && request.version == Version::HTTP_11
}

/// HTTP/2 clients may split `Cookie` into crumbs; in HTTP/1 they must be one field again (RFC 9113 §8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<()> {
    let mut crumbs = request.headers.get_all(COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return Ok(());
    }
    let crumbs: Vec<&[u8]> = request.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined = crumbs.join(&b"; "[..]);
    request.insert_header(COOKIE, joined)
}

/// The exchange broke after a connection stood.
///
/// Repeated only where that can't do harm: an idempotent method whose body is still whole, on a pooled connection that
/// the origin may have closed just as it was taken (RFC 9110 §9.2.2).
pub fn exchange_failed(
    peer: &HttpPeer,
    session: &mut Session,
    ctx: &mut Context,
    e: Box<Error>,
    client_reused: bool,
) -> Box<Error> {
    let mut e = e.more_context(format!("endpoint {}", peer._address));
    if !session.req_header().method.is_idempotent() || session.as_ref().retry_buffer_truncated() {
        e.set_retry(false);
    } else {
        e.retry.decide_reuse(client_reused);
    }
    let attempts = ctx.attempt.upstream.map_or(1, |id| ctx.serving.snapshot.upstream(id).connect_attempts);
    if ctx.attempt.count > attempts {
        // An origin that breaks every connection would be asked again and again.
        e.set_retry(false);
    }
    if e.retry() {
        // The endpoint itself is not to blame for a connection that had grown old.
        ctx.attempt.tried.clear();
    } else if ctx.denial.is_none() && *e.esource() == pingora::ErrorSource::Upstream {
        ctx.denial = Some(Denial::new(upstream_cause(&e), detail(&e)));
    }
    e
}

/// Shows the origin the normal form of the request, who sent it, and none of the caller's credentials.
pub fn rewrite(request: &RequestHeader, upstream: &mut RequestHeader, ctx: &mut Context) -> Result<()> {
    // A try that reached this point has a connection: what failed before no longer explains anything.
    ctx.denial = None;
    faults::panic_at(Place::Upstream, &request.headers);
    let (Some(permit), Some(normal), Some(id), Some(record)) = (&ctx.permit, &ctx.normal, ctx.route, &ctx.record)
    else {
        return Error::e_explain(ErrorType::InternalError, "BUG: a request is forwarded without a permit");
    };
    let route = ctx.serving.route(id);
    let Action::Forward { rewrite: rules, .. } = &route.action else {
        return Error::e_explain(ErrorType::InternalError, "BUG: a route without an upstream is forwarded");
    };

    if normal.path_changed || rules.path.is_some() {
        upstream.set_raw_path(rules.target(normal, &ctx.parameters).as_bytes())?;
    }
    let host = rules.host(normal);
    // HTTP/1.0 may come without a host.
    if !host.is_empty() && upstream.headers.get(HOST).is_none_or(|value| value.as_bytes() != host.as_bytes()) {
        upstream.insert_header(HOST, &*host)?;
    }
    if request.version == Version::HTTP_2 {
        join_cookies(upstream)?;
        // Pingora has taken it off. It asks for trailers, which gRPC can't do without (RFC 9110 §10.1.4, RFC 9113 §8.2.2).
        if upstream.version == Version::HTTP_2
            && let Some(te) = request.headers.get(TE)
        {
            upstream.insert_header(TE, te.clone())?;
        }
    }
    if request.version == Version::HTTP_10 {
        // To be ignored (RFC 9110 §10.1.1): the client would not understand the 100 that it asks for.
        upstream.remove_header(&EXPECT);
    }
    match &ctx.attempt.tunnel {
        Some(tunnel) => tunnel.asking(upstream.headers.contains_key(UPGRADE)),
        None => {
            upstream.remove_header(&UPGRADE);
            upstream.remove_header(&CONNECTION);
        }
    }
    let view = RequestView { method: &request.method, normal, headers: &request.headers };
    let credentials = route.access.credential_headers();
    for edit in rewrite::forwarded(permit, &view, record.peer.ip(), credentials, &ctx.request_id) {
        match edit {
            Edit::Remove(name) => {
                upstream.remove_header(&name);
            }
            Edit::Set(name, value) => upstream.insert_header(name, value)?,
        }
    }
    Ok(())
}
