//! Upstream and rewrite: which endpoint is asked, whether again, and what it is shown.

use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

use http::header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::context::Context;
use super::retry;
use super::sticky;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::rewrite::{self, Edit};
use crate::decision::rules::{Action, UpstreamId};
use crate::decision::upstream::retry::Failure;
use crate::faults::{self, Place};
use crate::proxy::hooks::request::view;
use crate::proxy::upstream::announce::announced;
use crate::proxy::upstream::tunnel::Tunnel;
use crate::state::upstreams::Moment;

/// Chooses an endpoint that was not tried yet.
pub fn choose(session: &Session, ctx: &mut Context) -> Result<Box<HttpPeer>> {
    // Its place is free for this try.
    ctx.attempt.chosen = None;
    let request = session.req_header();
    let (Some(permit), Some(normal), Some(id), Some(connection)) =
        (&ctx.permit, &ctx.normal, ctx.attempt.upstream, &ctx.connection)
    else {
        return Error::e_explain(ErrorType::InternalError, "BUG: an upstream was asked for without a permit");
    };
    let upstream = ctx.serving.upstream(id);
    let view = view(request, normal, &connection.facts);
    let first = ctx.attempt.began.is_none();
    // The first choice follows the request's beginning so closely that the clock need not be asked again.
    let at = if first { ctx.started } else { Instant::now() };
    let time = ctx.record.as_ref().map_or_else(SystemTime::now, |record| record.time);
    let pick =
        |tried: &[SocketAddr]| upstream.state.choose(permit, &view, tried, fastrand::u64(..), Moment { at, time });
    let mut found = pick(&ctx.attempt.tried);
    if matches!(found, Ok(None)) && !matches!(ctx.attempt.reason, None | Some(Failure::Connect { .. })) {
        // What has answered, if only to break off, may be asked again once there is nobody else.
        ctx.attempt.tried.clear();
        found = pick(&[]);
    }
    if !matches!(&found, Ok(Some(chosen)) if !chosen.panic)
        && let Some(rest) = rest_of_split(ctx)
    {
        drop(found);
        fall_back(ctx, rest);
        return choose(session, ctx);
    }
    match found {
        Ok(Some(chosen)) => {
            let address = chosen.endpoint.address;
            ctx.attempt.tried.push(address);
            ctx.attempt.count += 1;
            ctx.attempt.began = Some(at);
            ctx.attempt.connected = None;
            // What is kept of the body passes the filter once more.
            ctx.body_seen = 0;
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
            if ctx.attempt.tunnel.is_none() {
                retry::prepare(request, &mut peer, ctx, at);
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

/// Where the request goes instead if the side of the split that it was given to can't be used.
pub(in crate::proxy) fn rest_of_split(ctx: &Context) -> Option<UpstreamId> {
    match &ctx.serving.route(ctx.route?).action {
        Action::Forward { to, .. } => to.instead_of(ctx.attempt.upstream?),
        Action::Respond(_) | Action::Redirect(_) => None,
    }
}

/// Gives the request to the rest of its split, which has tries of its own.
pub(in crate::proxy) fn fall_back(ctx: &mut Context, rest: UpstreamId) {
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

/// Shows the origin the normal form of the request, who sent it, and none of the caller's credentials.
pub fn rewrite(request: &RequestHeader, upstream: &mut RequestHeader, ctx: &mut Context) -> Result<()> {
    // A try that reached this point has a connection: what failed before no longer explains anything.
    ctx.denial = None;
    faults::panic_at(Place::Upstream, &request.headers);
    let (Some(permit), Some(normal), Some(id), Some(connection)) =
        (&ctx.permit, &ctx.normal, ctx.route, &ctx.connection)
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
    sticky::hide(upstream, ctx)?;
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
    let view = view(request, normal, &connection.facts);
    let credentials = route.access.credential_headers();
    for edit in rewrite::forwarded(permit, &view, credentials, &ctx.request_id) {
        match edit {
            Edit::Remove(name) => {
                upstream.remove_header(&name);
            }
            Edit::Set(name, value) => upstream.insert_header(name, value)?,
        }
    }
    Ok(())
}
