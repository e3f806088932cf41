//! Upstream: what becomes of a request whose try failed.
//!
//! `decision::upstream::retry` decides; here is found out what happened, and the decision is carried out.

use std::io;
use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, Result, RetryType};

use super::client_side::ClientSide;
use super::endpoint::{record_result, record_unreachable};
use super::error::reason::io_error;
use super::error::{carrying, denial_of, detail, is_timeout, upstream_cause};
use super::forward::{TryConnection, UpstreamContext};
use super::origin_answer::OriginAnswer;
use crate::decision::outcome::Denial;
use crate::decision::response::{HeaderSection, is_final};
use crate::decision::upstream::outcome::TryResult;
use crate::decision::upstream::retry::{Failure, RetryDecision, RetryProgress};

/// All tries of one request, whatever the upstream allows.
pub const MAX_TRIES: usize = 16;

/// The origin has answered. An answer that the rules name is thrown away, and the request tried again.
///
/// # Errors
/// The request is to be tried again.
pub fn answered_by_origin(
    client: &impl ClientSide,
    answer: &OriginAnswer<'_, impl HeaderSection>,
    ctx: &mut UpstreamContext<'_>,
) -> Result<()> {
    if !is_final(answer.status) {
        return Ok(());
    }
    let Some(current) = &mut ctx.current else { return Ok(()) };
    ctx.control.answer().header_came();
    let hinted = current.interim > 0;
    let status = answer.status.as_u16();
    record_result(ctx, TryResult::Answered(status));
    if !ctx.retry_rules().covers(status) || hinted {
        return Ok(());
    }
    let failure = Failure::Status(status, retry_after(answer.fields));
    if again(client, ctx, failure)
        && let Some(current) = &mut ctx.current
    {
        current.failure = Some(failure);
        return Error::e_explain(ErrorType::HTTPStatus(status), "the answer is worth another try")
            .map_err(Error::into_up);
    }
    Ok(())
}

/// When to come back, if that is said in seconds. A date is taken for a long wait: it is an hour's or a night's.
fn retry_after(fields: &impl HeaderSection) -> Option<Duration> {
    let value = fields.values(&RETRY_AFTER).next()?;
    let seconds = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
    Some(seconds.map_or(Duration::MAX, Duration::from_secs))
}

/// A connection could not be made: nothing was sent, so another endpoint may be tried whatever the method.
pub fn connect_failed(client: &impl ClientSide, mut ctx: UpstreamContext<'_>, mut e: Box<Error>) -> Box<Error> {
    let denial = Denial::new(upstream_cause(&e), detail(&e));
    // HTTP/2: the pooled connection had ended, which shows when a stream is to be made on it.
    let failure = if *e.etype() == ErrorType::H2Error && !ctx.tries.fresh {
        ctx.end_try();
        Failure::Ended
    } else {
        record_unreachable(&mut ctx, &e);
        ctx.end_try();
        let upstream = ctx.upstream();
        upstream.metrics.connect_failed();
        Failure::Connect { untried: upstream.state.endpoints().endpoints.len() > ctx.tries.tried.len() }
    };
    let retry = again(client, &mut ctx, failure);
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
    client: &impl ClientSide,
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
    let late = ctx.control.answer().take_timed_out();
    if late {
        // The gateway found it out while it had nothing to wait for but the client.
        e.as_up();
    }
    let connection = std::mem::replace(&mut current.connection, TryConnection::Unwatched);
    let unread = match &connection {
        TryConnection::InUse(exchange) => reused && exchange.was_unread(was_reset(&e)),
        TryConnection::Unwatched | TryConnection::Connecting(_) => false,
    };
    // What the client has seen something of can't begin anew.
    let begun = current.times.answered.is_some() || current.interim > 0 || client.is_answered();
    let failure = match found {
        Some(failure) => Some(failure),
        None if late => Some(Failure::Timeout),
        None if *e.esource() != ErrorSource::Upstream => None,
        None if unread => Some(Failure::Ended),
        None => Some(failure(&e, reused)),
    };
    e.set_retry(false);
    let Some(failure) = failure else { return e };
    if let (Failure::Timeout, TryConnection::InUse(exchange)) = (failure, &connection) {
        // Whoever shares it with this request may be served yet, but a connection that hangs must not get any more.
        exchange.connection().give_up();
    }
    drop(connection);
    if let Some(result) = result(failure) {
        record_result(&mut ctx, result);
    }
    let denial = denial_of(&e).cloned().unwrap_or_else(|| Denial::new(upstream_cause(&e), detail(&e)));
    if !begun && again(client, &mut ctx, failure) {
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
    let broken = if reused { Failure::Stale } else { Failure::Reset };
    match e.etype() {
        // Pingora says so for REFUSED_STREAM, and for GOAWAY without error, which h2 gives only to the streams that it
        // leaves out; and for HTTP_1_1_REQUIRED, if HTTP/1 may be spoken instead (RFC 9113 §7, §8.7).
        ErrorType::H2Error | ErrorType::H2Downgrade if unprocessed => Failure::Refused,
        // Once more by HTTP/1.
        ErrorType::InvalidH2 if unprocessed => Failure::Stale,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Failure::Timeout,
        ErrorType::ReadError | ErrorType::WriteError if is_timeout(e) => Failure::Timeout,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => broken,
        // The connection broke before the stream was begun on it.
        ErrorType::H2Error if io_error(e).is_some() => broken,
        _ => Failure::Nonsense,
    }
}

fn was_reset(e: &Error) -> bool {
    io_error(e).is_some_and(|e| e.kind() == io::ErrorKind::ConnectionReset)
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
fn again(client: &impl ClientSide, ctx: &mut UpstreamContext<'_>, failure: Failure) -> bool {
    let (rules, config) = (ctx.retry_rules(), ctx.config());
    let upstream = ctx.serving.upstream(ctx.tries.upstream);
    let now = Instant::now();
    let progress = RetryProgress {
        method: client.request().method,
        tries: ctx.tries.count,
        stale: ctx.tries.stale,
        body_kept: client.keeps_body(),
        left: config.timeouts.request.map(|request| request.saturating_sub(ctx.spent(now))),
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
