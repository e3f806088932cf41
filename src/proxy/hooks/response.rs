//! Respond: what concerns the client of an answer, whoever made it. Every answer leaves through one of these functions, sealed
//! with the owner's headers.

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, StatusCode, Version};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;

use super::client_side::{ClientSide, RequestParts};
use super::context::Context;
use super::request::drainable;
use super::sticky;
use crate::decision::access::Permit;
use crate::decision::limit::rate_limit_headers;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::{ACCEPT, CONTENT_TYPE};
use crate::decision::response::grpc::{self, is_grpc};
use crate::decision::response::{BodyStage, HeaderSection, is_endless, is_final};
use crate::proxy::drain::DrainStage;
use crate::proxy::header_editor::ResponseHeaderEditor;
use crate::proxy::reply;
use crate::proxy::reply::LocalReply;
use crate::proxy::request_id::REQUEST_ID;

/// Refuses the request with its denial.
pub async fn refuse(session: &mut Session, ctx: &mut Context, denial: Denial) -> Result<()> {
    if ends_connection(denial.cause) && !session.request().is_http2() {
        session.set_keepalive(None);
    }
    let reply = refusal(session.request(), ctx, denial);
    answer(session, ctx, reply).await
}

/// Whether a refusal ends its connection: who sends what has two readings may not send more of it.
pub fn ends_connection(cause: Cause) -> bool {
    cause == Cause::MalformedRequest
}

/// The answer that refuses a request with its denial, which is noted.
pub fn refusal(request: RequestParts<'_>, ctx: &mut Context, denial: Denial) -> LocalReply {
    let limits = &ctx.serving.snapshot.rules.limits;
    let grpc = request.is_http2() && is_grpc(request.fields.get(&CONTENT_TYPE));
    let reply = if grpc {
        reply::grpc_refusal(&denial, limits)
    } else {
        let (accept, id) = (request.fields.get(&ACCEPT), ctx.request_id.to_str().unwrap_or_default());
        reply::refusal(ctx.response_rules(), &denial, limits, accept, id)
    };
    ctx.end_with(denial, grpc);
    reply
}

/// Sends an answer that the gateway made itself.
pub async fn answer(session: &mut Session, ctx: &mut Context, mut reply: LocalReply) -> Result<()> {
    seal(session.request(), &mut reply.fields, ctx);
    part(session, ctx);
    // A refused or fixed answer holds no place while the client sends what nobody reads.
    ctx.places.clear();
    // An unread body would be taken for the next request. HTTP/2 resets the stream instead.
    let drain = !session.request().is_http2() && !session.is_body_done();
    let keep = !drain || drainable(session.request());
    if !keep {
        session.set_keepalive(None);
    } else if drain {
        // Pingora would close, since it does not know that the rest of the body is read below.
        session.set_close_on_response_before_downstream_finish(false);
    }
    let header = Box::new(reply.header()?);
    let bodyless = session.req_header().method == http::Method::HEAD || reply.body.is_empty();
    if bodyless && session.request().is_http2() {
        // One frame with the end of the stream: gRPC clients look for their status in the last one.
        session.write_response_tasks(vec![HttpTask::Header(header, true)]).await?;
        return Ok(());
    }
    session.write_response_header(header, bodyless).await?;
    // Without a body too: this is what ends an HTTP/2 stream, and what flushes an HTTP/1 head.
    session.write_response_body((!bodyless).then_some(reply.body), true).await?;
    if drain && keep && session.drain_request_body().await.is_err() {
        session.set_keepalive(None);
    }
    Ok(())
}

/// Prepares the client's side of the connection for an answer of the origin.
pub fn begin(session: &mut Session, header: &mut ResponseHeader, ctx: &mut Context) {
    // Pingora closes a connection on which it answers before the request has come whole. An interim answer, which may well be
    // what the client waits for with its body (RFC 9110 §10.1.1), is no reason to.
    session.set_close_on_response_before_downstream_finish(is_final(header.status));
    if header.status == StatusCode::SWITCHING_PROTOCOLS {
        ctx.stream = Some(ctx.shared.metrics.stream_open());
        if let Some(claim) = &ctx.claim {
            claim.control.tunnel_began();
        }
        // From here on the connection to the origin watches the silence of both sides.
        session.set_read_timeout(None);
    } else {
        note_stream(header.status, &header.headers, ctx);
    }
    if session.req_header().version == Version::HTTP_10
        && is_final(header.status)
        && frame_for_http10(header.status, &mut ResponseHeaderEditor(header), ctx)
    {
        session.set_keepalive(None);
    }
    if is_final(header.status) {
        ctx.response_body = BodyStage::of(&session.req_header().method, header.status);
    }
}

/// Frames a final answer for a client of HTTP/1.0, which knows no chunks. Whether it ends with the connection, since its length is
/// not known (RFC 9112 §6.3).
pub fn frame_for_http10(status: StatusCode, fields: &mut impl HeaderSection, ctx: &Context) -> bool {
    if status == StatusCode::NO_CONTENT {
        return false;
    }
    fields.remove(&TRANSFER_ENCODING);
    let ends = !fields.contains(&CONTENT_LENGTH);
    if ends && let Some(claim) = &ctx.claim {
        // Until it is whole: what is broken off must not look as if it were.
        claim.control.connection().close_mode().reset();
    }
    ends
}

/// Takes note of an answer that has no end of its own.
pub fn note_stream(status: StatusCode, fields: &impl HeaderSection, ctx: &mut Context) {
    if is_final(status) && is_endless(fields) {
        ctx.stream = Some(ctx.shared.metrics.stream_open());
        if let Some(claim) = &ctx.claim {
            claim.control.stream_began();
        }
    }
}

/// Says with the answer that it is the connection's last, where that is so.
pub fn part(session: &mut Session, ctx: &Context) {
    if is_last(ctx) {
        session.set_keepalive(None);
    }
}

/// Whether a drain makes the answer its connection's last.
pub fn is_last(ctx: &Context) -> bool {
    ctx.shared.drain.stage() != DrainStage::Serving
        && ctx.claim.as_ref().is_some_and(|claim| claim.control.connection().is_closing())
}

/// Ends an answer that has no end of its own, as if the origin had ended it. What its client has of the last event, it
/// forgets (HTML §9.2.6); a gRPC client is told to come back.
pub async fn end_stream(session: &mut Session, ctx: &Context) {
    let grpc = session
        .response_written()
        .is_some_and(|header| is_grpc(header.headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes)));
    let ended = match ctx.denial() {
        Some(denial) if grpc && session.request().is_http2() => {
            let mut trailers = http::HeaderMap::new();
            trailers.insert(grpc::STATUS, HeaderValue::from(denial.cause.grpc_status() as u16));
            trailers.insert(grpc::MESSAGE, HeaderValue::from_static(denial.cause.title()));
            session.write_response_tasks(vec![HttpTask::Trailer(Some(Box::new(trailers)))]).await.map(|_| ())
        }
        _ => session.as_mut().finish_body().await,
    };
    if let Err(e) = ended {
        log::debug!("a stream could not be ended in order: {e}");
    }
}

/// Seals an answer of the origin. Informational ones pass: they are not the answer (RFC 9110 §15.2).
///
/// # Errors
/// If no request was forwarded. Pingora has no answer of an origin then.
pub fn seal_proxied(
    request: RequestParts<'_>,
    status: StatusCode,
    fields: &mut impl HeaderSection,
    ctx: &mut Context,
) -> Result<()> {
    if !is_final(status) {
        return Ok(());
    }
    let upstream = ctx.upstream()?;
    if let Some(current) = upstream.current {
        current.times.answered = Some((std::time::Instant::now(), status.as_u16()));
    }
    seal(request, fields, ctx);
    sticky::assign(status, fields, &ctx.upstream()?);
    Ok(())
}

/// Puts the owner's headers on an answer, and the gateway's own.
pub fn seal(request: RequestParts<'_>, fields: &mut impl HeaderSection, ctx: &Context) {
    ctx.response_rules().apply(ctx.view(request).as_ref(), fields);
    if let Some(status) = ctx.permit().and_then(Permit::limit_status) {
        let limit = &ctx.serving.snapshot.rules.limits[status.limit.0 as usize];
        for (name, value) in rate_limit_headers(limit, &status) {
            fields.set(&name, &value);
        }
    }
    fields.set(&REQUEST_ID, &ctx.request_id);
}
