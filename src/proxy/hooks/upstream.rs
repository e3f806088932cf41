//! Upstream and rewrite: which endpoint is asked, whether again, and what it is shown.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Instant;

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::protocols::ALPN;
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::forward::{Try, UpstreamContext};
use super::origin_connection;
use super::sticky;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::pipeline::Admitted;
use crate::decision::policy::Action;
use crate::decision::rewrite::{self, Edit};
use crate::decision::upstream::retry::Failure;
use crate::faults::{self, FaultPlace};
use crate::proxy::upstream::tunnel::Tunnel;
use crate::state::upstreams::SelectionTime;

/// Chooses an endpoint that was not tried yet.
///
/// # Errors
/// With the denial, where there is none: why the last try failed, or why no endpoint can be used.
pub fn choose(session: &mut Session, mut ctx: UpstreamContext<'_>) -> Result<Box<HttpPeer>> {
    // The first choice follows the request's beginning so closely that the clock need not be asked again.
    ctx.end_try();
    let first = ctx.tries.is_first();
    let at = if first { ctx.started } else { Instant::now() };
    if first {
        ctx.tries.has_body = !session.as_mut().is_body_empty();
    }
    let request = session.req_header();
    let pick = |ctx: &UpstreamContext<'_>, tried: &[SocketAddr]| {
        let (permit, now) = (&ctx.admitted.permit, SelectionTime { at, time: ctx.time });
        ctx.upstream().state.choose(permit, &ctx.view(request), tried, fastrand::u64(..), now)
    };
    let private = origin_connection::private_endpoint(request, &ctx);
    let private = private.and_then(|address| {
        let now = SelectionTime { at, time: ctx.time };
        ctx.upstream().state.choose_again(&ctx.admitted.permit, address, &ctx.tries.tried, now)
    });
    let mut found = match private {
        Some(selected) => Ok(Some(selected)),
        None => pick(&ctx, &ctx.tries.tried),
    };
    if matches!(found, Ok(None)) && !matches!(ctx.tries.reason, None | Some(Failure::Connect { .. })) {
        // What has answered, if only to break off, may be asked again once there is nobody else.
        ctx.tries.tried.clear();
        found = pick(&ctx, &[]);
    }
    if !matches!(&found, Ok(Some(selected)) if !selected.panic)
        && let Some(rest) = ctx.rest_of_split()
    {
        drop(found);
        ctx.fall_back(rest);
        return choose(session, ctx);
    }
    match found {
        Ok(Some(selected)) => Ok(begin_try(session, &mut ctx, Try::new(selected, at))),
        Ok(None) => {
            // A try that failed before says why.
            let every = || Denial::new(Cause::UpstreamConnectFailed, "every endpoint was tried");
            let denial = ctx.tries.failed.take().unwrap_or_else(every);
            Error::e_because(ErrorType::HTTPStatus(502), "every endpoint was tried", denial)
        }
        Err(cause) => {
            let denial = Denial::new(cause, why_none(cause, &ctx));
            Error::e_because(ErrorType::HTTPStatus(cause.status().as_u16()), "no endpoint can be used", denial)
        }
    }
}

/// Why no endpoint can be used, for the log.
fn why_none(cause: Cause, ctx: &UpstreamContext<'_>) -> String {
    match cause {
        Cause::UpstreamUnresolved => ctx.shared.state.discovery.why_unresolved(ctx.config()),
        Cause::UpstreamUnhealthy => "every endpoint fails its probes or is ejected".to_owned(),
        Cause::UpstreamDrained => "every endpoint is drained".to_owned(),
        _ => "no endpoint has room for the request".to_owned(),
    }
}

/// Begins a try at the endpoint that was selected for it.
fn begin_try(session: &Session, ctx: &mut UpstreamContext<'_>, mut begun: Try) -> Box<HttpPeer> {
    let request = session.req_header();
    let address = begun.selected.endpoint.address;
    ctx.tries.tried.push(address);
    ctx.tries.count += 1;
    // What is kept of the body passes the filter once more.
    ctx.tries.body_seen = 0;
    let client = ctx.admitted.request.client;
    let mut peer = ctx.upstream().peer.to(address, || ctx.control.connection().announced(session, client));
    let config = ctx.serving.snapshot.upstream(ctx.tries.upstream);
    // An origin that speaks HTTP/2 without being asked can't be offered a tunnel.
    let tunnels = !config.http2 || config.tls.is_some();
    begun.tunnel = (tunnels && asks_for_tunnel(request))
        .then(|| Tunnel::through(&mut peer, config.timeouts.response, ctx.serving.snapshot.bounds.tunnel_idle));
    if request.version == Version::HTTP_10 && config.tls.is_some() {
        // Pingora gives what came by HTTP/2 without a length away in chunks, which HTTP/1.0 does not know.
        peer.options.alpn = ALPN::H1;
    }
    if begun.tunnel.is_none() {
        origin_connection::prepare(request, &mut peer, ctx, &mut begun);
    }
    *ctx.current = Some(begun);
    peer
}

/// Whether a request asks for what a tunnel can be: a WebSocket, begun with the request's head. Anything else is answered
/// as if it had not asked, as an origin may do too (RFC 9110 §7.8).
fn asks_for_tunnel(request: &RequestHeader) -> bool {
    let body = request.headers.contains_key(TRANSFER_ENCODING)
        || request.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    let websocket = request.headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"));
    websocket && !body && request.version == Version::HTTP_11
}

/// Shows the origin the normal form of the request, who sent it, and none of the caller's credentials.
pub fn rewrite(request: &RequestHeader, upstream: &mut RequestHeader, ctx: UpstreamContext<'_>) -> Result<()> {
    // A try that reached this point has a connection: what failed before no longer explains anything.
    ctx.tries.failed = None;
    faults::panic_at(FaultPlace::Upstream, &request.headers);
    let Admitted { request: normal, permit, parameters, .. } = ctx.admitted;
    let route = ctx.route();
    let Action::Forward { rewrite: rules, .. } = &route.action else {
        return Error::e_explain(ErrorType::InternalError, "BUG: a route without an upstream is forwarded");
    };

    if normal.path_changed || rules.path.is_some() {
        upstream.set_raw_path(rules.target(normal, parameters).as_bytes())?;
    }
    let mut host = rules.host(normal);
    if host.is_empty()
        && let Some(current) = &*ctx.current
    {
        // HTTP/1.0 may come without a host, which HTTP/1.1 and HTTP/2 require of what goes to an origin (RFC 9112 §3.2).
        host = Cow::Borrowed(&current.selected.endpoint.name);
    }
    if upstream.headers.get(HOST).is_none_or(|value| value.as_bytes() != host.as_bytes()) {
        upstream.insert_header(HOST, &*host)?;
    }
    // Pingora has taken it off. It asks for trailers, which gRPC can't do without (RFC 9110 §10.1.4, RFC 9113 §8.2.2).
    if request.version == Version::HTTP_2
        && upstream.version == Version::HTTP_2
        && let Some(te) = request.headers.get(TE)
    {
        upstream.insert_header(TE, te.clone())?;
    }
    sticky::hide(upstream, &ctx)?;
    let idle = |expected: &HeaderValue| expected.is_empty() || request.version == Version::HTTP_10;
    if upstream.headers.get(EXPECT).is_some_and(idle) {
        // It expects nothing; in HTTP/1.0 it is to be ignored (RFC 9110 §10.1.1): the client would not understand the 100 that it asks
        // for.
        upstream.remove_header(&EXPECT);
    }
    match ctx.current.as_ref().and_then(|current| current.tunnel.as_ref()) {
        Some(tunnel) => tunnel.asking(upstream.headers.contains_key(UPGRADE)),
        None => {
            upstream.remove_header(&UPGRADE);
            upstream.remove_header(&CONNECTION);
        }
    }
    let credentials = ctx.hidden_headers();
    let via = ctx.serving.snapshot.rules.read.via.value(request.version);
    for edit in rewrite::forwarded(permit, &ctx.view(request), credentials, ctx.request_id, via) {
        match edit {
            Edit::Remove(name) => {
                upstream.remove_header(&name);
            }
            Edit::Set(name, value) => upstream.insert_header(name, value)?,
            Edit::Append(name, value) => {
                upstream.append_header(name, value)?;
            }
        }
    }
    Ok(())
}
