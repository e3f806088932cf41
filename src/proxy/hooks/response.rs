//! Respond: every answer leaves through one of these functions, sealed with the owner's headers.

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use smallvec::SmallVec;

use super::context::Context;
use super::request::{drainable, is_http2};
use super::sticky;
use crate::decision::limit::rate_limit_headers;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::{ACCEPT, CONTENT_TYPE, Fields};
use crate::decision::response::{HeaderSection, grpc, grpc::is_grpc, is_endless};
use crate::proxy::drain::Stage;
use crate::proxy::reply;
use crate::proxy::reply::Reply;

/// `X-Request-Id`, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Interim answers (1xx) that one request may get. More than a few hints and a 100 have no use.
const MAX_INTERIM: u32 = 32;

/// Hop-by-hop fields that Pingora passes on from an HTTP/1 origin (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 3] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
];

/// Refuses the request with its denial.
pub async fn refuse(session: &mut Session, ctx: &mut Context, denial: Denial) -> Result<()> {
    let fields = Fields::from(&session.req_header().headers);
    let accept = fields.get(&ACCEPT);
    let limits = &ctx.serving.snapshot.rules.limits;
    let reply = if is_http2(session.req_header()) && is_grpc(fields.get(&CONTENT_TYPE)) {
        ctx.grpc_refused = true;
        reply::grpc_refusal(&denial, limits)
    } else {
        reply::refusal(ctx.response_rules(), &denial, limits, accept, ctx.request_id.to_str().unwrap_or_default())
    };
    ctx.denial = Some(denial);
    answer(session, ctx, reply).await
}

/// Sends an answer that the gateway made itself.
pub async fn answer(session: &mut Session, ctx: &mut Context, mut reply: Reply) -> Result<()> {
    seal(&mut reply.header, ctx);
    part(session, ctx);
    // A refused or fixed answer holds no place while the client sends what nobody reads.
    ctx.concurrency.clear();
    // An unread body would be taken for the next request. HTTP/2 resets the stream instead.
    let drain = !is_http2(session.req_header()) && !session.is_body_done();
    let keep = !drain || drainable(session.req_header());
    if !keep {
        session.set_keepalive(None);
    } else if drain {
        // Pingora would close, since it does not know that the rest of the body is read below.
        session.set_close_on_response_before_downstream_finish(false);
    }
    let bodyless = session.req_header().method == http::Method::HEAD || reply.body.is_empty();
    if bodyless && is_http2(session.req_header()) {
        // One frame with the end of the stream: gRPC clients look for their status in the last one.
        session.write_response_tasks(vec![HttpTask::Header(Box::new(reply.header), true)]).await?;
        return Ok(());
    }
    session.write_response_header(Box::new(reply.header), bodyless).await?;
    // Without a body too: this is what ends an HTTP/2 stream, and what flushes an HTTP/1 head.
    session.write_response_body((!bodyless).then_some(reply.body), true).await?;
    if drain && keep && session.drain_request_body().await.is_err() {
        session.set_keepalive(None);
    }
    Ok(())
}

/// Refuses what an origin must not say: what the client's side would read in another way, or what has no end.
pub fn check(session: &mut Session, header: &ResponseHeader, ctx: &mut Context) -> Result<()> {
    let refuse = |ctx: &mut Context, detail: &'static str| {
        ctx.denial = Some(Denial::new(Cause::UpstreamProtocol, detail));
        Error::e_explain(ErrorType::InvalidHTTPHeader, detail).map_err(|e| e.into_up())
    };
    if header.status == StatusCode::SWITCHING_PROTOCOLS {
        // It would turn the rest of the connection into bytes that no rule sees.
        let Some(tunnel) =
            ctx.attempt.tunnel.as_ref().filter(|_| !is_http2(session.req_header()) && session.is_upgrade_req())
        else {
            return refuse(ctx, "the origin switched protocols unasked");
        };
        tunnel.opened();
        if let Some(connection) = &ctx.connection {
            connection.tunnel_began();
        }
        ctx.stream = Some(ctx.shared.metrics.stream_open());
        // From here on the connection to the origin watches the silence of both sides.
        session.set_read_timeout(None);
        return Ok(());
    }
    if header.status.is_informational() {
        ctx.attempt.interim += 1;
        if ctx.attempt.interim > MAX_INTERIM {
            return refuse(ctx, "the origin gives interim answers without end");
        }
        return Ok(());
    }
    // What the body is coded with besides would be passed on as if the client had asked for it (RFC 9112 §6.1).
    let mut codings = header.headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !chunked || codings.next().is_some() {
        return refuse(ctx, "the origin's Transfer-Encoding is not exactly `chunked`");
    }
    if is_endless(&header.headers) {
        ctx.stream = Some(ctx.shared.metrics.stream_open());
        if let Some(connection) = &ctx.connection {
            connection.stream_began();
        }
    }
    Ok(())
}

/// Says with the answer that it is the connection's last, where that is so.
pub fn part(session: &mut Session, ctx: &Context) {
    if ctx.shared.drain.stage() != Stage::Serving
        && ctx.connection.as_ref().is_some_and(|connection| connection.parts())
    {
        session.set_keepalive(None);
    }
}

/// Ends an answer that has no end of its own, as if the origin had ended it. What its client has of the last event, it
/// forgets (HTML §9.2.6); a gRPC client is told to come back.
pub async fn end_stream(session: &mut Session, ctx: &Context) {
    let grpc = session
        .response_written()
        .is_some_and(|header| is_grpc(header.headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes)));
    let ended = match &ctx.denial {
        Some(denial) if grpc && is_http2(session.req_header()) => {
            let mut trailers = http::HeaderMap::new();
            trailers.insert(grpc::STATUS, HeaderValue::from(grpc::status(denial.cause)));
            trailers.insert(grpc::MESSAGE, HeaderValue::from_static(denial.cause.title()));
            session.write_response_tasks(vec![HttpTask::Trailer(Some(Box::new(trailers)))]).await.map(|_| ())
        }
        _ => session.as_mut().finish_body().await,
    };
    if let Err(e) = ended {
        log::debug!("a stream could not be ended in order: {e}");
    }
}

/// Frames an answer as its receiver understands it.
pub fn frame(session: &mut Session, header: &mut ResponseHeader) {
    if header.status.is_informational() || header.status == StatusCode::NO_CONTENT {
        // They have no body, and may not say how long it is (RFC 9110 §8.6, RFC 9112 §6.1).
        header.remove_header(&CONTENT_LENGTH);
        header.remove_header(&TRANSFER_ENCODING);
    } else if session.req_header().version == Version::HTTP_10 {
        // HTTP/1.0 knows no chunks: a body of unknown length ends with the connection (RFC 9112 §6.1).
        header.remove_header(&TRANSFER_ENCODING);
        if !header.headers.contains_key(CONTENT_LENGTH) {
            session.set_keepalive(None);
        }
    }
    one_length(header);
}

/// Says an agreed length once (RFC 9110 §8.6); lengths that differ were refused when the head was read.
fn one_length(header: &mut ResponseHeader) {
    let mut lengths = header.headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return };
    let single = first.as_bytes().split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if (lengths.next().is_some() || single.len() < first.len())
        && let Ok(single) = HeaderValue::from_bytes(single)
    {
        set(header, &CONTENT_LENGTH, single);
    }
}

/// Seals an answer of the origin. Informational ones pass: they are not the answer (RFC 9110 §15.2).
pub fn seal_proxied(header: &mut ResponseHeader, ctx: &mut Context) {
    strip_hop_by_hop(header);
    if header.status.is_informational() && header.status != StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    ctx.attempt.answered = Some(std::time::Instant::now());
    ctx.attempt.status = Some(header.status.as_u16());
    seal(header, ctx);
    sticky::assign(header, ctx);
}

fn strip_hop_by_hop(header: &mut ResponseHeader) {
    for name in &HOP_BY_HOP {
        header.remove_header(name);
    }
    if header.status != StatusCode::SWITCHING_PROTOCOLS && header.headers.contains_key(CONNECTION) {
        for name in nominated(header) {
            header.remove_header(&name);
        }
        header.remove_header(&UPGRADE);
        header.remove_header(&CONNECTION);
    }
}

/// The fields that the origin's `Connection` names: they end here (RFC 9110 §7.6.1). Framing is Pingora's.
fn nominated(header: &ResponseHeader) -> Vec<HeaderName> {
    let values = header.headers.get_all(CONNECTION).iter();
    let tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok());
    names.filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING).collect()
}

fn seal(header: &mut ResponseHeader, ctx: &Context) {
    ctx.response_rules().apply(None, &mut Sealed(header));
    if let Some(status) = ctx.permit.as_ref().and_then(|permit| permit.limit_status()) {
        let limit = &ctx.serving.snapshot.rules.limits[status.limit.0 as usize];
        for (name, value) in rate_limit_headers(limit, &status) {
            set(header, &name, value);
        }
    }
    set(header, &REQUEST_ID, ctx.request_id.clone());
}

fn set(header: &mut ResponseHeader, name: &HeaderName, value: HeaderValue) {
    // Pingora refuses only names and values that can't be parsed; these are parsed already.
    let _ = header.insert_header(name, value);
}

/// Pingora's response header as `decision` edits it.
pub struct Sealed<'a>(pub &'a mut ResponseHeader);

impl HeaderSection for Sealed<'_> {
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        self.0.headers.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn contains(&self, name: &HeaderName) -> bool {
        self.0.headers.contains_key(name)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.0.remove_header(name);
    }

    fn rename(&mut self, old: &HeaderName, new: &HeaderName) {
        if !self.contains(old) {
            return;
        }
        let values: SmallVec<[HeaderValue; 4]> = self.0.headers.get_all(old).iter().cloned().collect();
        self.0.remove_header(old);
        for value in &values {
            self.append(new, value);
        }
    }

    fn set(&mut self, name: &HeaderName, value: &HeaderValue) {
        set(self.0, name, value.clone());
    }

    fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        let _ = self.0.append_header(name, value.clone());
    }
}
