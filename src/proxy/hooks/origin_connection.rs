//! Upstream: on which connection a try is made, how it is watched, and how long the origin may take on it.

use std::net::SocketAddr;
use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{Method, StatusCode, Version};
use nix::sys::socket::{Shutdown, shutdown};
use pingora::protocols::ALPN;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType, Result};

use super::client_side::RequestParts;
use super::forward::{Try, TryConnection, UpstreamContext};
use super::origin_answer::OriginAnswer;
use crate::decision::response::HeaderSection;
use crate::decision::upstream::connection_auth::challenges_connection;
use crate::decision::upstream::retry::{Failure, KEPT_BODY};
use crate::proxy::upstream::connection::ConnectionPurpose;
use crate::proxy::upstream::private::ConnectionOwner;
use crate::telemetry::metrics::Bound;

/// Sets apart the pooled HTTP/1 connections of requests that can't be repeated, which are kept for less long.
const SENT_ONCE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sets apart the HTTP/2 connections that are watched: for requests that can't be repeated, and for those whose clock is not
/// Pingora's, so that it does not find out when the connection hangs.
const WATCHED: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Chooses the kind of connection that this try needs, and with it how long it may take and how its connection is watched.
/// `peer` is that of an upstream without tunnel.
pub fn prepare(request: RequestParts<'_>, peer: &mut HttpPeer, ctx: &UpstreamContext<'_>, current: &mut Try) {
    let (rules, config) = (ctx.retry_rules(), ctx.config());
    let began = current.times.began;
    let left = config.timeouts.request.map(|request| request.saturating_sub(ctx.spent(began)));
    current.limit = rules.try_timeout().into_iter().chain(left).min();
    let state = &ctx.upstream().state;
    if ctx.tries.count == 1 && (rules.charges() || config.http2) {
        state.budget().asked(began);
    }
    if ctx.tries.has_body {
        // The client may pause while it sends: what the origin takes, the gateway's own clock measures from the end on. Pingora's
        // begins anew with each piece that is sent on HTTP/1, so that it may stay behind it there.
        let pause = ctx.route().bounds.body_idle.filter(|_| !config.http2);
        peer.options.read_timeout = pause.map(|pause| pause + config.timeouts.response);
    }
    if be_private(request, peer, ctx, current) {
        return;
    }
    let once = has_long_body(request) || !rules.repeats(request.method);
    let idle = config.timeouts.idle_unsafe;
    let distrusted = || idle.is_zero() || !state.reuse().trusted(began);
    if ctx.tries.fresh || once && distrusted() {
        return alone(peer);
    }
    let purpose = if config.http2 && (once || ctx.tries.has_body || current.limit.is_some()) {
        // An origin announces that it ends an idle connection (GOAWAY), and an end that crosses a request is recognised: so it
        // may be idle for as long as any other.
        peer.group_key ^= WATCHED;
        ConnectionPurpose::Shared { upstream: state.clone(), tls: config.tls.is_some() }
    } else if once {
        peer.group_key ^= SENT_ONCE;
        peer.options.idle_timeout = Some(idle.min(config.timeouts.idle));
        ConnectionPurpose::OneByOne(state.clone())
    } else {
        return;
    };
    current.connection = TryConnection::Connecting(ctx.shared.upstream_connections.watch(peer, purpose));
}

/// Gives a request that authenticates its connection, and what follows it from the same client, a connection that nobody else
/// uses. `false`: it is a request like any other.
fn be_private(request: RequestParts<'_>, peer: &mut HttpPeer, ctx: &UpstreamContext<'_>, current: &mut Try) -> bool {
    let (config, connections) = (ctx.config(), &ctx.control.connection().private);
    let owner = owner(ctx);
    let shared_by_streams = request.is_http2();
    if !ctx.authenticates(request) && (is_shared(request, ctx) || connections.endpoint(owner).is_none()) {
        return false;
    }
    // The schemes know no streams: HTTP/2 is spoken only to an origin that was never asked for it.
    let http1 = !config.http2 || config.tls.is_some();
    if http1 {
        peer.options.alpn = ALPN::H1;
    }
    if !http1 || shared_by_streams {
        alone(peer);
        return true;
    }
    let (count, most) = (&ctx.shared.private_connections, ctx.serving.snapshot.bounds.private_connections);
    let address = current.selected.endpoint.address;
    let Some(key) = connections.group_key(owner, address, ctx.tries.fresh, count, most) else {
        ctx.shared.metrics.bound_hit(Bound::PrivateConnections);
        alone(peer);
        return true;
    };
    peer.group_key = key;
    current.private = Some(key);
    let watched = ctx.shared.upstream_connections.watch(peer, ConnectionPurpose::Private);
    current.connection = TryConnection::Connecting(watched);
    true
}

/// The endpoint that the client's own connection to the upstream leads to, if it has one.
pub fn private_endpoint(request: RequestParts<'_>, ctx: &UpstreamContext<'_>) -> Option<SocketAddr> {
    if is_shared(request, ctx) && !ctx.authenticates(request) {
        return None;
    }
    ctx.control.connection().private.endpoint(owner(ctx)).filter(|_| !request.is_http2())
}

/// Whether requests of others may come on the client's connection: streams beside it, or what a proxy before the gateway sends
/// for other clients, two of which may share an address. Only what carries credentials is known to be of whom they belong to.
fn is_shared(request: RequestParts<'_>, ctx: &UpstreamContext<'_>) -> bool {
    request.is_http2() || ctx.admitted.request.trusted_peer
}

fn owner(ctx: &UpstreamContext<'_>) -> ConnectionOwner {
    ConnectionOwner { upstream: ctx.upstream().peer.group_key(), client: ctx.admitted.request.client }
}

/// A connection that no other request has used or will use.
fn alone(peer: &mut HttpPeer) {
    peer.group_key = fastrand::u64(..);
    // Nobody can find it in the pool.
    peer.options.idle_timeout = Some(Duration::from_millis(1));
}

/// Whether so much body is announced that it can't be sent twice.
fn has_long_body(request: RequestParts<'_>) -> bool {
    request.fields.content_length().is_some_and(|length| length > KEPT_BODY)
}

/// There is a connection, on which nothing was sent yet.
///
/// # Errors
/// The origin has ended the pooled connection meanwhile.
pub fn connected(reused: bool, descriptor: RawFd, mut ctx: UpstreamContext<'_>) -> Result<()> {
    let Some(current) = &mut *ctx.current else { return Ok(()) };
    current.times.connected = Some(Instant::now());
    current.times.reused = reused;
    current.descriptor = Some(descriptor);
    if let TryConnection::Connecting(new) = &current.connection {
        let connections = &ctx.shared.upstream_connections;
        let begun = if reused {
            connections.find(descriptor).and_then(|pooled| pooled.begin_again())
        } else {
            connections.connected(descriptor, new);
            Some(new.begin())
        };
        let Some(begun) = begun else {
            current.connection = TryConnection::Unwatched;
            current.failure = Some(Failure::Ended);
            return Error::e_explain(ErrorType::ConnectionClosed, "the pooled connection had ended")
                .map_err(Error::into_up);
        };
        if let Some(key) = current.private {
            ctx.control.connection().private.connected(key, begun.connection());
        }
        current.connection = TryConnection::InUse(begun);
    }
    if !ctx.tries.has_body {
        request_sent(&mut ctx);
    }
    Ok(())
}

/// The whole request is on its way to the origin: from here on the time is the origin's.
pub fn request_sent(ctx: &mut UpstreamContext<'_>) {
    let config = ctx.serving.snapshot.upstream(ctx.tries.upstream);
    let Some(current) = &mut *ctx.current else { return };
    let (Some(connected), None) = (current.times.connected, current.times.sent) else { return };
    // On the full lane, the wait for an answer without a body before it has Pingora's clock, unless there is a limit on the try.
    let silence = (ctx.tries.has_body || ctx.tries.own_clock).then_some(config.timeouts.response);
    if silence.is_none() && current.limit.is_none() {
        return;
    }
    let now = Instant::now();
    current.times.sent = Some(now);
    if ctx.tries.has_body {
        ctx.tries.uploading += now - connected;
    }
    let limit = current.limit.filter(|_| current.times.answered.is_none());
    let header = limit.map(|limit| now + limit.saturating_sub(connected - current.times.began));
    ctx.control.answer().start(now, silence, header);
}

/// The origin's answer has begun. One that asks for the authentication of its connection takes the connection out of the pool:
/// it has begun to be its client's own (RFC 4559 §6).
pub fn answer_began(
    request: RequestParts<'_>,
    answer: &OriginAnswer<'_, impl HeaderSection>,
    ctx: &mut UpstreamContext<'_>,
) {
    if answer.status != StatusCode::UNAUTHORIZED || answer.version == Version::HTTP_2 {
        return;
    }
    let Some(current) = ctx.current.as_mut().filter(|current| current.private.is_none() && current.tunnel.is_none())
    else {
        return;
    };
    if !answer.fields.values(&WWW_AUTHENTICATE).any(challenges_connection) {
        return;
    }
    current.closes = true;
    let empty = answer.fields.values(&CONTENT_LENGTH).next().is_some_and(|length| length == b"0");
    if empty || *request.method == Method::HEAD {
        answer_ended(ctx);
    }
}

/// The origin's answer was read whole, and the connection is not in the pool yet. One that must not get there is ended.
pub fn answer_ended(ctx: &UpstreamContext<'_>) {
    if let Some(Try { closes: true, descriptor: Some(descriptor), .. }) = &*ctx.current {
        // Pingora holds the connection until both sides are done: the descriptor is still this connection's.
        let _ = shutdown(*descriptor, Shutdown::Both);
    }
}
