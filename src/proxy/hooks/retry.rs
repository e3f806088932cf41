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

use super::endpoint::{record_result, record_unreachable};
use super::error::{carrying, denial_of, detail, is_timeout, upstream_cause};
use super::forward::{Try, TryConnection, UpstreamContext};
use super::response::answered;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::upstream::outcome::TryResult;
use crate::decision::upstream::retry::{Effective, Failure, RetryDecision, RetryProgress};

/// Pingora keeps as much of a request's body for another try (`BODY_BUF_LIMIT`).
const KEPT_BODY: u64 = 64 << 10;

/// Sets apart the pooled connections of requests that can't be repeated, which are kept for less long.
const SENT_ONCE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Sets apart the pooled connections that can be cut.
const CUTTABLE: u64 = 0xc2b2_ae3d_27d4_eb4f;

/// Chooses the kind of connection that this try needs, and with it how long it may take and how its connection is watched.
/// `peer` is that of an upstream without tunnel.
pub fn prepare(request: &RequestHeader, peer: &mut HttpPeer, ctx: &UpstreamContext<'_>, current: &mut Try) {
    let (rules, config) = (rules(ctx), ctx.serving.snapshot.upstream(ctx.tries.upstream));
    let began = current.times.began;
    let left = config.timeouts.request.map(|request| request.saturating_sub(began - ctx.started));
    let limit = rules.try_timeout().into_iter().chain(left).min();
    let repeats = rules.repeats(&request.method);
    let state = &ctx.upstream().state;
    if ctx.tries.count == 1 && (rules.charges() || config.http2) {
        state.budget().asked(began);
    }
    current.limit = limit;
    if config.http2 {
        if let Some(limit) = limit {
            // Cutting the connection would cut the requests beside this one.
            peer.options.read_timeout = Some(limit.min(config.timeouts.response));
        }
        if ctx.tries.fresh {
            alone(peer);
        }
        return;
    }
    let long = has_long_body(request);
    let once = long || !repeats;
    let idle = config.timeouts.idle_unsafe;
    let distrusted = || idle.is_zero() || !state.reuse().trusted(began);
    let fresh = ctx.tries.fresh || long || once && distrusted();
    if fresh {
        alone(peer);
    } else if once {
        peer.group_key ^= SENT_ONCE;
        peer.options.idle_timeout = Some(idle.min(config.timeouts.idle));
    } else if limit.is_some() {
        peer.group_key ^= CUTTABLE;
    }
    if limit.is_some() || once && !fresh {
        current.connection =
            TryConnection::Connecting(ctx.shared.upstream_connections.watch(peer, once.then_some(state)));
    }
}

/// The rules of this request's route and upstream.
fn rules<'a>(ctx: &UpstreamContext<'a>) -> Effective<'a> {
    let upstream = &ctx.serving.snapshot.upstream(ctx.tries.upstream).retries;
    Effective { upstream, route: ctx.serving.route(ctx.admitted.route).retries.as_deref() }
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
pub fn connected(reused: bool, descriptor: RawFd, ctx: UpstreamContext<'_>) -> Result<()> {
    let Some(current) = ctx.current else { return Ok(()) };
    let now = Instant::now();
    current.times.connected = Some(now);
    current.times.reused = reused;
    let TryConnection::Connecting(wire) = &current.connection else { return Ok(()) };
    let exchange = if reused {
        ctx.shared.upstream_connections.find(descriptor).and_then(|pooled| pooled.begin_again())
    } else {
        ctx.shared.upstream_connections.connected(descriptor, wire);
        Some(wire.begin())
    };
    let Some(exchange) = exchange else {
        current.connection = TryConnection::Unwatched;
        current.failure = Some(Failure::Ended);
        return Error::e_explain(ErrorType::ConnectionClosed, "the pooled connection had ended")
            .map_err(Error::into_up);
    };
    let left = current.limit.map(|limit| limit.saturating_sub(now - current.times.began));
    let overdue = left.map(|left| exchange.cut_after(left));
    current.connection = TryConnection::InUse(exchange, overdue);
    Ok(())
}

/// The origin has answered. An answer that the rules name is thrown away, and the request tried again.
///
/// # Errors
/// The request is to be tried again.
pub fn answered_by_origin(session: &Session, header: &ResponseHeader, ctx: &mut UpstreamContext<'_>) -> Result<()> {
    if header.status.is_informational() && header.status != http::StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    let Some(current) = &mut ctx.current else { return Ok(()) };
    current.stop_timer();
    if current.exchange().is_some_and(|exchange| exchange.was_cut()) {
        current.failure = Some(Failure::Timeout);
        return Error::e_explain(ErrorType::ReadTimedout, "the answer came too late").map_err(Error::into_up);
    }
    let hinted = current.interim > 0;
    let status = header.status.as_u16();
    record_result(ctx, TryResult::Answered(status));
    if !rules(ctx).covers(status) || hinted {
        return Ok(());
    }
    let failure = Failure::Status(status, retry_after(header));
    if again(session, ctx, failure)
        && let Some(current) = &mut ctx.current
    {
        current.failure = Some(failure);
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
pub fn connect_failed(session: &Session, mut ctx: UpstreamContext<'_>, mut e: Box<Error>) -> Box<Error> {
    let denial = Denial::new(upstream_cause(&e), detail(&e));
    record_unreachable(&mut ctx, &e);
    ctx.end_try();
    let upstream = ctx.upstream();
    upstream.metrics.connect_failed();
    let untried = upstream.state.endpoints().endpoints.len() > ctx.tries.tried.len();
    let retry = again(session, &mut ctx, Failure::Connect { untried });
    let rest = ctx.rest_of_split().filter(|_| !retry);
    e.set_retry(retry || rest.is_some());
    if let Some(rest) = rest {
        ctx.fall_back(rest);
    }
    if e.retry() {
        ctx.tries.failed = Some(denial);
        return e;
    }
    carrying(e, denial)
}

/// The exchange broke after a connection stood.
pub fn exchange_failed(
    peer: &HttpPeer,
    session: &mut Session,
    mut ctx: UpstreamContext<'_>,
    e: Box<Error>,
    reused: bool,
) -> Box<Error> {
    let mut e = e.more_context(format!("endpoint {}", peer._address));
    let Some(current) = &mut ctx.current else { return e };
    let found = current.failure.take();
    if let Some(Failure::Status(..)) = found {
        // It was decided when the answer came.
        ctx.end_try();
        e.set_retry(true);
        return e;
    }
    let connection = std::mem::replace(&mut current.connection, TryConnection::Unwatched);
    let (cut, unread) = match &connection {
        TryConnection::InUse(exchange, _) => (exchange.was_cut(), reused && exchange.was_unread()),
        TryConnection::Unwatched | TryConnection::Connecting(_) => (false, false),
    };
    drop(connection);
    // What the client has seen something of can't begin anew.
    let begun = current.times.answered.is_some() || current.interim > 0 || answered(session);
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
        record_result(&mut ctx, result);
    }
    let denial = match denial_of(&e) {
        Some(denial) => denial.clone(),
        None if failure == Failure::Timeout && cut => {
            Denial::new(Cause::UpstreamTimeout, "no answer within `try_timeout` or `timeouts.request`")
        }
        None => Denial::new(upstream_cause(&e), detail(&e)),
    };
    if !begun && again(session, &mut ctx, failure) {
        ctx.end_try();
        ctx.tries.failed = Some(denial);
        e.set_retry(true);
        return e;
    }
    carrying(e, denial)
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
fn again(session: &Session, ctx: &mut UpstreamContext<'_>, failure: Failure) -> bool {
    let (rules, config) = (rules(ctx), ctx.serving.snapshot.upstream(ctx.tries.upstream));
    let upstream = ctx.serving.upstream(ctx.tries.upstream);
    let now = Instant::now();
    let progress = RetryProgress {
        method: &session.req_header().method,
        tries: ctx.tries.count,
        stale: ctx.tries.stale,
        body_kept: !session.as_ref().retry_buffer_truncated(),
        left: config.timeouts.request.map(|request| request.saturating_sub(now - ctx.started)),
    };
    let RetryDecision::Again { after, charged, free, fresh } = rules.decide(failure, &progress, fastrand::u64(..))
    else {
        return false;
    };
    if charged && !upstream.state.budget().take(&config.retry_budget, now) {
        upstream.metrics.retry_denied(failure);
        return false;
    }
    upstream.metrics.retried(failure);
    let tries = &mut *ctx.tries;
    tries.wait = (!after.is_zero()).then_some(after);
    tries.fresh = fresh;
    tries.reason = Some(failure);
    if free {
        tries.stale += 1;
        tries.count -= 1;
    }
    if fresh {
        // The endpoint itself is not to blame for a connection that had grown old.
        tries.tried.pop();
    }
    true
}
