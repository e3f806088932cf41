//! Upstream and rewrite: which endpoint is asked, whether again, and what it is shown.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Instant;

use http::header::{CONNECTION, EXPECT, HOST, TE, UPGRADE};
use http::{HeaderValue, Version};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::client_side::{ClientSide, RequestParts};
use super::forward::{Try, UpstreamContext};
use super::origin_connection;
use super::sticky;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::pipeline::Admitted;
use crate::decision::policy::Action;
use crate::decision::request::fields;
use crate::decision::response::HeaderSection;
use crate::decision::rewrite::{self, Edit};
use crate::decision::upstream::retry::Failure;
use crate::faults::{self, FaultPlace};
use crate::proxy::upstream::tunnel::Tunnel;
use crate::state::upstreams::SelectionTime;

/// Chooses an endpoint that was not tried yet.
///
/// # Errors
/// With the denial, where there is none: why the last try failed, or why no endpoint can be used.
pub fn choose(client: &mut impl ClientSide, mut ctx: UpstreamContext<'_>) -> Result<Box<HttpPeer>> {
    // The first choice follows the request's beginning so closely that the clock need not be asked again.
    ctx.end_try();
    let first = ctx.tries.is_first();
    let at = if first { ctx.started } else { Instant::now() };
    if first {
        ctx.tries.has_body = client.has_body();
    }
    let request = client.request();
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
        return choose(client, ctx);
    }
    match found {
        Ok(Some(selected)) => Ok(begin_try(client, &mut ctx, Try::new(selected, at))),
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
fn begin_try(client: &impl ClientSide, ctx: &mut UpstreamContext<'_>, mut begun: Try) -> Box<HttpPeer> {
    let request = client.request();
    let address = begun.selected.endpoint.address;
    ctx.tries.tried.push(address);
    ctx.tries.count += 1;
    // What is kept of the body passes the filter once more.
    ctx.tries.body_seen = 0;
    let (connection, origin) = (ctx.control.connection(), ctx.admitted.request.client);
    let mut peer = ctx.upstream().peer.to(address, || connection.announced(client.local_address(), origin));
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
pub fn asks_for_tunnel(request: RequestParts<'_>) -> bool {
    let fields = request.fields;
    let body = fields.contains(&fields::TRANSFER_ENCODING)
        || fields.get(&fields::CONTENT_LENGTH).is_some_and(|length| length != b"0");
    let websocket = fields.get(&fields::UPGRADE).is_some_and(|to| to.eq_ignore_ascii_case(b"websocket"));
    websocket && !body && request.version == Version::HTTP_11
}

/// Shows the origin the normal form of the request, who sent it, and none of the caller's credentials: edits `shown`, the fields that
/// go to an origin which speaks `version`. Gives the target, if it is not the one that was received.
///
/// # Errors
/// If the route has no upstream.
pub fn rewrite<'a>(
    request: RequestParts<'_>,
    version: Version,
    shown: &mut impl HeaderSection,
    ctx: &mut UpstreamContext<'a>,
) -> Result<Option<Cow<'a, str>>> {
    // A try that reached this point has a connection: what failed before no longer explains anything.
    ctx.tries.failed = None;
    faults::panic_at(FaultPlace::Upstream, request);
    let Admitted { request: normal, permit, parameters, .. } = ctx.admitted;
    let Action::Forward { rewrite: rules, .. } = &ctx.serving.route(ctx.admitted.route).action else {
        return Error::e_explain(ErrorType::InternalError, "BUG: a route without an upstream is forwarded");
    };

    let target = (normal.path_changed || rules.path.is_some()).then(|| rules.target(normal, parameters));
    let mut host = rules.host(normal);
    if host.is_empty()
        && let Some(current) = &*ctx.current
    {
        // HTTP/1.0 may come without a host, which HTTP/1.1 and HTTP/2 require of what goes to an origin (RFC 9112 §3.2).
        host = Cow::Borrowed(&current.selected.endpoint.name);
    }
    let named = shown.values(&HOST).next().is_some_and(|value| value == host.as_bytes());
    if !named && let Ok(host) = HeaderValue::from_str(&host) {
        shown.set(&HOST, &host);
    }
    // Pingora has taken it off. It asks for trailers, which gRPC can't do without (RFC 9110 §10.1.4, RFC 9113 §8.2.2).
    if request.is_http2()
        && version == Version::HTTP_2
        && let Some(te) = request.fields.get(&fields::TE)
        && let Ok(te) = HeaderValue::from_bytes(te)
    {
        shown.set(&TE, &te);
    }
    sticky::hide(shown, ctx);
    let expects = shown.values(&EXPECT).next().map(|expected| !expected.is_empty());
    if expects.is_some_and(|expects| !expects || request.version == Version::HTTP_10) {
        // It expects nothing; in HTTP/1.0 it is to be ignored (RFC 9110 §10.1.1): the client would not understand the 100 that it asks
        // for.
        shown.remove(&EXPECT);
    }
    match ctx.current.as_ref().and_then(|current| current.tunnel.as_ref()) {
        Some(tunnel) => tunnel.asking(shown.contains(&UPGRADE)),
        None => {
            shown.remove(&UPGRADE);
            shown.remove(&CONNECTION);
        }
    }
    let credentials = ctx.hidden_headers();
    let via = ctx.serving.snapshot.rules.read.via.value(request.version);
    for edit in rewrite::forwarded(permit, &ctx.view(request), credentials, ctx.request_id, via) {
        match edit {
            Edit::Remove(name) => shown.remove(&name),
            Edit::Set(name, value) => shown.set(&name, &value),
            Edit::Append(name, value) => shown.append(&name, &value),
        }
    }
    Ok(target)
}
