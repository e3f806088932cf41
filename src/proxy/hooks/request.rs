//! Read, route, access: the part of a request's way before any origin is asked.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{HeaderValue, Version};
use pingora::protocols::http::ServerSession;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::client_side::{ClientSide, RequestParts};
use super::context::{Claim, Context, Places, RequestState};
use super::forward::UpstreamContext;
use crate::decision::access::{CredentialDigest, Principal};
use crate::decision::ids::RouteId;
use crate::decision::lane::Lane;
use crate::decision::limit::{LimitRequest, LimitResults};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::pipeline::{Decision, Fact, Inputs, Need, Pipeline, ReplyContent, Step, body_too_large};
use crate::decision::request::RawRequest;
use crate::decision::request::connection::ConnectionFacts;
use crate::decision::request::fields::{EXPECT, REFERER, TRANSFER_ENCODING, USER_AGENT};
use crate::faults::{self, FaultPlace};
use crate::proxy::connection::control::RequestControl;
use crate::proxy::connection::record::begin_record;
use crate::proxy::request_id::request_id_value;
use crate::proxy::runtime::Runtime;
use crate::proxy::runtime::active_config::ActiveConfig;
use crate::state::address_lists::AddressList;
use crate::telemetry::metrics::Bound;

/// Takes the request over from the connection: from here on the gateway answers for it.
pub fn begin(session: &mut Session, ctx: &mut Context) {
    let Some(control) = RequestControl::of(session) else { return };
    if let Some(config) = control.take_config() {
        ctx.serve_by(config);
    }
    control.began();
    let header = session.req_header();
    take_over(header.into(), Lane::FULL, control, SystemTime::now(), ctx);
    if let Some(claim) = &mut ctx.claim {
        claim.target = header.uri.path_and_query().cloned();
    }

    let bounds = ctx.serving.snapshot.bounds;
    // The connection paces what it reads; Pingora's own bound would cut a body that a route lets come more slowly.
    session.set_read_timeout(None);
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

/// Begins the record of a request that is served on `lane`: the log line is owed from here on, whatever goes wrong.
pub fn take_over(
    request: RequestParts<'_>,
    lane: &'static str,
    control: Arc<RequestControl>,
    now: SystemTime,
    ctx: &mut Context,
) {
    let (connection, method) = (control.connection(), request.method.clone());
    let mut record = begin_record(connection, method, b"", protocol(request.version), now);
    let kept = |name| request.fields.get(name).and_then(|value| HeaderValue::from_bytes(value).ok());
    record.lane = Some(lane);
    record.user_agent = kept(&USER_AGENT);
    record.referer = kept(&REFERER);
    ctx.request_id = request_id_value(&record.request_id);
    ctx.claim = Some(Claim { record: Box::new(record), control, target: None });
}

/// Reads the body of a request that says it has none, to its end: an origin that gets the head takes it for the whole request, so
/// nothing may follow.
///
/// # Errors
/// Something does.
pub async fn read_empty_body(session: &mut Session) -> Result<()> {
    let request = session.request();
    if request.is_http2() && request.fields.content_length() == Some(0) {
        // Pingora goes by the length alone, and asked whether the body is done, it says so.
        while session.as_mut().read_request_body().await?.is_some() {}
    }
    Ok(())
}

/// Gives the request's connection what its route says of it: how slowly the body may come, and what the end of the client's
/// side of the connection means.
pub fn follow_route(ctx: &Context) {
    if let (Some(id), Some(claim)) = (ctx.route(), &ctx.claim) {
        let route = ctx.serving.route(id);
        claim.control.pace_body(route.bounds.body_pacing());
        claim.control.answer_half_closed(route.answers_half_closed);
    }
}

/// Reads `request` and seeks its route, before anybody has taken it over: what is found stays in the context.
///
/// # Errors
/// Why it has none; [`decide`] refuses it for that.
pub fn seek_route(
    request: RequestParts<'_>,
    connection: &ConnectionFacts,
    now: SystemTime,
    ctx: &mut Context,
) -> Result<RouteId, Denial> {
    let inputs = inputs(&ctx.serving, &ctx.shared, request.raw(connection), now);
    match &mut ctx.state {
        RequestState::Pending(findings) => Pipeline::seek(&inputs, findings),
        RequestState::Replied(_) | RequestState::Forwarded(_) => Err(unconnected()),
    }
}

/// Runs the admission of a request: [`Pipeline`] decides, and [`Outside`] answers its needs. Gives the route's own answer, if
/// it has one.
///
/// What is known of the request by then stays in the context, whichever way this ends. `sought` is what [`seek_route`] has
/// said, where it was asked before.
///
/// # Errors
/// The refusal.
pub async fn decide(
    request: RequestParts<'_>,
    sought: Option<Result<RouteId, Denial>>,
    ctx: &mut Context,
) -> Result<Option<ReplyContent>, Denial> {
    let (RequestState::Pending(findings), Some(Claim { record, control, .. })) = (&mut ctx.state, &ctx.claim) else {
        return Err(unconnected());
    };
    let now = record.time;
    let inputs = inputs(&ctx.serving, &ctx.shared, request.raw(&control.connection().facts), now);
    let now_nanos = nanos_since(ctx.shared.epoch, ctx.started);
    let outside = Outside { serving: &ctx.serving, shared: &ctx.shared, now, now_nanos };
    faults::panic_after_wait_at(FaultPlace::Fact, request).await;
    let pipeline = match sought {
        Some(sought) => Pipeline::resume(inputs, findings, sought),
        None => Pipeline::new(inputs, findings),
    };
    let (decision, verified) = run(pipeline, &outside, &mut ctx.places).await;
    if let Some((digest, principal)) = verified {
        ctx.shared.state.tokens.insert(digest, principal);
    }
    let settled = ctx.settle(decision);
    faults::panic_at(FaultPlace::Request, request);
    settled
}

fn inputs<'a>(
    serving: &'a ActiveConfig,
    shared: &'a Runtime,
    request: RawRequest<'a>,
    now: SystemTime,
) -> Inputs<'a, [Arc<AddressList>]> {
    let (rules, lists) = (&serving.snapshot.rules, serving.address_lists.as_slice());
    Inputs { rules, lists, hasher: &shared.bucket_hasher, request, now }
}

fn unconnected() -> Denial {
    Denial::new(Cause::InternalError, "BUG: a request without its connection")
}

/// A credential that was verified on the way.
type Verified = (CredentialDigest, Arc<Principal>);

/// Drives the pipeline to its decision.
async fn run(
    mut pipeline: Pipeline<'_, [Arc<AddressList>]>,
    outside: &Outside<'_>,
    places: &mut Places,
) -> (Decision, Option<Verified>) {
    let mut fact = Fact::Start;
    loop {
        match pipeline.step(fact) {
            Step::Need(need) => fact = outside.answer(need, places).await,
            Step::Done(decision) => return (decision, pipeline.take_verified()),
        }
    }
}

/// Where facts come from.
struct Outside<'a> {
    serving: &'a ActiveConfig,
    shared: &'a Runtime,
    now: SystemTime,
    now_nanos: u64,
}

impl Outside<'_> {
    /// Answers what is at hand at once. What has to be fetched is awaited here, with a bound of its own.
    async fn answer(&self, need: Need, places: &mut Places) -> Fact {
        match need {
            Need::RememberedToken(digest) => Fact::RememberedToken(self.shared.state.tokens.get(&digest, self.now)),
            Need::Limits(requests) => Fact::Limits(self.take(&requests, places)),
            Need::Random => Fact::Random(fastrand::u64(..)),
        }
    }

    /// Takes from the limits in their order, until an enforcing one refuses.
    fn take(&self, requests: &[LimitRequest], places: &mut Places) -> LimitResults {
        let mut results = LimitResults::new();
        for request in requests {
            let index = request.limit.0 as usize;
            let (result, guard) = self.serving.limits[index].take(request.bucket, self.now_nanos, request.amount);
            places.extend(guard);
            results.push(result);
            if !result.granted {
                self.serving.limit_refusals[index].inc();
                if !self.serving.snapshot.rules.limits[index].report_only {
                    break;
                }
            }
        }
        results
    }
}

/// Counts request body bytes against the route's bound, for bodies that do not say their length beforehand.
///
/// # Errors
/// The body is larger.
pub fn bound_body(ctx: &mut UpstreamContext<'_>, length: usize) -> Result<()> {
    ctx.tries.body_seen += length as u64;
    let bound = ctx.route().bounds.body;
    if ctx.tries.body_seen <= bound {
        return Ok(());
    }
    Error::e_because(ErrorType::HTTPStatus(413), "request body over its bound", body_too_large(bound))
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

/// How much of an unread request body is worth reading to keep the connection; a client with more pays a new one.
pub(in crate::proxy) const DRAIN_BYTES: u64 = 64 << 10;

/// Whether the rest of the request body is small and surely on its way, so that reading it keeps the connection usable.
pub(in crate::proxy) fn drainable(request: RequestParts<'_>) -> bool {
    let chunked = request.fields.contains(&TRANSFER_ENCODING);
    let waits = request.fields.contains(&EXPECT);
    !chunked && !waits && request.fields.content_length().unwrap_or(0) <= DRAIN_BYTES
}
