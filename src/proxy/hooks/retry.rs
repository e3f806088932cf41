//! Upstream: what becomes of a request whose try failed, and on which connection the next one is made.
//!
//! `decision::upstream::retry` decides; here is found out what happened, and the decision is carried out.

use std::os::fd::RawFd;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, RETRY_AFTER};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result, RetryType};

use super::context::Context;
use super::endpoint::{tried, unreachable};
use super::error::{answered, detail, is_timeout, upstream_cause};
use super::upstream::{fall_back, rest_of_split};

use crate::decision::outcome::{Cause, Denial};
use crate::decision::upstream::outcome::TryResult;
use crate::decision::upstream::retry::{Decision, Effective, Failure, Progress};

/// Pingora keeps as much of a request's body for another try (`BODY_BUF_LIMIT`).
const KEPT_BODY: u64 = 64 << 10;

/// Sets apart the pooled connections of requests that can't be repeated, which are kept for less long.
const SENT_ONCE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sets apart the pooled connections that can be cut.
const CUTTABLE: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Chooses the kind of connection that this try needs. `peer` is that of an upstream without tunnel.
pub fn prepare(request: &RequestHeader, peer: &mut HttpPeer, ctx: &mut Context, began: Instant) {
    let Some(id) = ctx.attempt.upstream else { return };
    let (Some(rules), config) = (rules(ctx), ctx.serving.snapshot.upstream(id)) else { return };
    let left = config.timeouts.request.map(|request| request.saturating_sub(began - ctx.started));
    let limit = rules.try_timeout().into_iter().chain(left).min();
    let repeats = rules.repeats(&request.method);
    let state = &ctx.serving.upstream(id).state;
    if ctx.attempt.count == 1 && (rules.charges() || config.http2) {
        state.budget().asked(began);
    }
    ctx.attempt.limit = limit;
    ctx.attempt.wire = None;
    if config.http2 {
        if let Some(limit) = limit {
            // Cutting the connection would cut the requests beside this one.
            peer.options.read_timeout = Some(limit.min(config.timeouts.response));
        }
        if ctx.attempt.fresh {
            alone(peer);
        }
        return;
    }
    let long = has_long_body(request);
    let once = long || !repeats;
    let idle = config.timeouts.idle_unsafe;
    let distrusted = || idle.is_zero() || !state.reuse().trusted(began);
    let fresh = ctx.attempt.fresh || long || once && distrusted();
    if fresh {
        alone(peer);
    } else if once {
        peer.group_key ^= SENT_ONCE;
        peer.options.idle_timeout = Some(idle.min(config.timeouts.idle));
    } else if limit.is_some() {
        peer.group_key ^= CUTTABLE;
    }
    if limit.is_some() || once && !fresh {
        ctx.attempt.wire = Some(ctx.shared.upstream_connections.watch(peer, once.then_some(state)));
    }
}

/// The rules of this request's route and upstream.
fn rules(ctx: &Context) -> Option<Effective<'_>> {
    let upstream = &ctx.serving.snapshot.upstream(ctx.attempt.upstream?).retries;
    let route = ctx.route.and_then(|id| ctx.serving.route(id).retries.as_deref());
    Some(Effective { upstream, route })
}

/// A connection that no other request has used or will use.
fn alone(peer: &mut HttpPeer) {
    peer.group_key = fastrand::u64(..);
    // Nobody can find it in the pool.
    peer.options.idle_timeout = Some(Duration::from_millis(1));
}

/// Whether so much body is announced that it can't be sent twice.
fn has_long_body(request: &RequestHeader) -> bool {
    let length = request.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.is_some_and(|length| length > KEPT_BODY)
}

/// There is a connection, on which nothing was sent yet.
///
/// # Errors
/// The origin has ended the pooled connection meanwhile.
pub fn connected(reused: bool, descriptor: RawFd, ctx: &mut Context) -> Result<()> {
    let now = Instant::now();
    ctx.attempt.connected = Some(now);
    ctx.attempt.reused = reused;
    let Some(wire) = ctx.attempt.wire.take() else { return Ok(()) };
    let exchange = if reused {
        ctx.shared.upstream_connections.find(descriptor).and_then(|pooled| pooled.begin_again())
    } else {
        ctx.shared.upstream_connections.connected(descriptor, &wire);
        Some(wire.begin())
    };
    let Some(exchange) = exchange else {
        ctx.attempt.failure = Some(Failure::Ended);
        return Error::e_explain(ErrorType::ConnectionClosed, "the pooled connection had ended")
            .map_err(Error::into_up);
    };
    if let (Some(limit), Some(began)) = (ctx.attempt.limit, ctx.attempt.began) {
        ctx.attempt.overdue = Some(exchange.cut_after(limit.saturating_sub(now - began)));
    }
    ctx.attempt.exchange = Some(exchange);
    Ok(())
}

/// The origin has answered. An answer that the rules name is thrown away, and the request tried again.
///
/// # Errors
/// The request is to be tried again.
pub fn answer(session: &Session, header: &ResponseHeader, ctx: &mut Context) -> Result<()> {
    if header.status.is_informational() && header.status != http::StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    ctx.attempt.overdue = None;
    if ctx.attempt.exchange.as_ref().is_some_and(|exchange| exchange.was_cut()) {
        ctx.attempt.failure = Some(Failure::Timeout);
        return Error::e_explain(ErrorType::ReadTimedout, "the answer came too late").map_err(Error::into_up);
    }
    let status = header.status.as_u16();
    tried(ctx, TryResult::Answered(status));
    if !rules(ctx).is_some_and(|rules| rules.covers(status)) || ctx.attempt.interim > 0 {
        return Ok(());
    }
    let failure = Failure::Status(status, retry_after(header));
    if again(session, ctx, failure) {
        ctx.attempt.failure = Some(failure);
        return Error::e_explain(ErrorType::HTTPStatus(status), "the answer is worth another try")
            .map_err(Error::into_up);
    }
    Ok(())
}

/// When to come back, if that is said in seconds. A date is taken for a long wait: it is an hour's or a night's.
fn retry_after(header: &ResponseHeader) -> Option<Duration> {
    let value = header.headers.get(RETRY_AFTER)?;
    Some(value.to_str().ok().and_then(|text| text.trim().parse().ok()).map_or(Duration::MAX, Duration::from_secs))
}

/// A connection could not be made: nothing was sent, so another endpoint may be tried whatever the method.
pub fn connect_failed(session: &Session, ctx: &mut Context, mut e: Box<Error>) -> Box<Error> {
    let cause = upstream_cause(&e);
    ctx.denial = Some(Denial::new(cause, detail(&e)));
    unreachable(ctx, &e);
    ctx.attempt.chosen = None;
    let Some(id) = ctx.attempt.upstream else { return e };
    let upstream = ctx.serving.upstream(id);
    upstream.metrics.connect_failed();
    let untried = upstream.state.endpoints().endpoints.len() > ctx.attempt.tried.len();
    let retry = again(session, ctx, Failure::Connect { untried });
    let rest = rest_of_split(ctx).filter(|_| !retry);
    e.set_retry(retry || rest.is_some());
    if let Some(rest) = rest {
        fall_back(ctx, rest);
    }
    e
}

/// The exchange broke after a connection stood.
pub fn exchange_failed(
    peer: &HttpPeer,
    session: &mut Session,
    ctx: &mut Context,
    e: Box<Error>,
    reused: bool,
) -> Box<Error> {
    let mut e = e.more_context(format!("endpoint {}", peer._address));
    ctx.attempt.overdue = None;
    let exchange = ctx.attempt.exchange.take();
    let found = ctx.attempt.failure.take();
    if let Some(Failure::Status(..)) = found {
        // It was decided when the answer came.
        ctx.attempt.chosen = None;
        e.set_retry(true);
        return e;
    }
    let cut = exchange.as_ref().is_some_and(|exchange| exchange.was_cut());
    let unread = reused && exchange.as_ref().is_some_and(|exchange| exchange.was_unread());
    let failure = match found {
        Some(failure) => Some(failure),
        None if *e.esource() != ErrorSource::Upstream => None,
        None if cut => Some(Failure::Timeout),
        // A reset that comes without the origin's end says nothing about what the origin has seen.
        None if unread && !was_reset(&e) => Some(Failure::Ended),
        None => Some(failure(&e, reused)),
    };
    e.set_retry(false);
    let Some(failure) = failure else { return e };
    // An endpoint can't answer what the client has not said yet.
    let is_waiting = failure == Failure::Timeout && !session.as_mut().is_body_done();
    if let Some(result) = result(failure).filter(|_| !is_waiting) {
        tried(ctx, result);
    }
    if ctx.denial.is_none() {
        ctx.denial = Some(if failure == Failure::Timeout && cut {
            Denial::new(Cause::UpstreamTimeout, "no answer within `try_timeout` or `timeouts.request`")
        } else {
            Denial::new(upstream_cause(&e), detail(&e))
        });
    }
    // What the client has seen something of can't begin anew.
    let begun = ctx.attempt.answered.is_some() || ctx.attempt.interim > 0 || answered(session);
    if !begun && again(session, ctx, failure) {
        ctx.attempt.chosen = None;
        e.set_retry(true);
    }
    e
}

/// What kind of failure of the origin this is.
fn failure(e: &Error, reused: bool) -> Failure {
    let unprocessed = matches!(e.retry, RetryType::Decided(true));
    match e.etype() {
        // Pingora says so for REFUSED_STREAM, and for GOAWAY without error, which h2 gives only to the streams that it
        // leaves out; and for HTTP_1_1_REQUIRED, if HTTP/1 may be spoken instead (RFC 9113 §7, §8.7).
        ErrorType::H2Error | ErrorType::H2Downgrade if unprocessed => Failure::Refused,
        // Once more by HTTP/1.
        ErrorType::InvalidH2 if unprocessed => Failure::Stale,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Failure::Timeout,
        ErrorType::ReadError | ErrorType::WriteError if is_timeout(e) => Failure::Timeout,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed if reused => Failure::Stale,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Failure::Reset,
        _ => Failure::Nonsense,
    }
}

fn was_reset(e: &Error) -> bool {
    let cause = e.root_cause().downcast_ref::<std::io::Error>();
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionReset)
}

/// What the failure says of the endpoint: nothing, where the connection had just grown old.
fn result(failure: Failure) -> Option<TryResult> {
    match failure {
        Failure::Connect { .. } | Failure::Status(..) | Failure::Ended | Failure::Stale => None,
        Failure::Timeout => Some(TryResult::TimedOut),
        Failure::Refused | Failure::Reset | Failure::Nonsense => Some(TryResult::Broken),
    }
}

/// Whether the request is tried again; if so, prepares for it.
fn again(session: &Session, ctx: &mut Context, failure: Failure) -> bool {
    let (Some(id), Some(rules)) = (ctx.attempt.upstream, rules(ctx)) else { return false };
    let config = ctx.serving.snapshot.upstream(id);
    let upstream = ctx.serving.upstream(id);
    let now = Instant::now();
    let progress = Progress {
        method: &session.req_header().method,
        tries: ctx.attempt.count,
        stale: ctx.attempt.stale,
        body_kept: !session.as_ref().retry_buffer_truncated(),
        left: config.timeouts.request.map(|request| request.saturating_sub(now - ctx.started)),
    };
    let Decision::Again { after, charged, free, fresh } = rules.decide(failure, &progress, fastrand::u64(..)) else {
        return false;
    };
    if charged && !upstream.state.budget().take(&config.retry_budget, now) {
        upstream.metrics.retry_denied(failure);
        return false;
    }
    upstream.metrics.retried(failure);
    let attempt = &mut ctx.attempt;
    attempt.wait = (!after.is_zero()).then_some(after);
    attempt.fresh = fresh;
    attempt.reason = Some(failure);
    if free {
        attempt.stale += 1;
        attempt.count -= 1;
    }
    if fresh {
        // The endpoint itself is not to blame for a connection that had grown old.
        attempt.tried.pop();
    }
    true
}
