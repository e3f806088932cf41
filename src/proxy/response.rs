//! Respond: every answer leaves through one of these functions, sealed with the owner's headers.

use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, HeaderValue, StatusCode};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::context::Context;
use super::reply::{self, Reply};
use super::request::drainable;
use crate::decision::access::limit::rate_limit_headers;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::response::Headers;

/// `X-Request-Id`, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long a tunnel (WebSocket) may be silent.
pub const TUNNEL_IDLE: Duration = Duration::from_secs(3600);

/// Hop-by-hop fields that Pingora passes on from an HTTP/1 origin (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 3] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
];

/// Refuses the request with its denial.
pub async fn refuse(session: &mut Session, ctx: &mut Context, denial: Denial) -> Result<()> {
    let accept = session.req_header().headers.get(http::header::ACCEPT);
    let limits = &ctx.serving.snapshot.rules.limits;
    let reply =
        reply::refusal(ctx.response_rules(), &denial, limits, accept, ctx.request_id.to_str().unwrap_or_default());
    ctx.denial = Some(denial);
    answer(session, ctx, reply).await
}

/// Sends an answer that the gateway made itself.
pub async fn answer(session: &mut Session, ctx: &mut Context, mut reply: Reply) -> Result<()> {
    seal(&mut reply.header, ctx);
    // An unread body would be taken for the next request.
    // A refused or fixed answer holds no place while the client sends what nobody reads.
    ctx.concurrency.clear();
    // HTTP/2 resets the stream instead.
    let drain = !session.is_http2() && !session.is_body_done();
    let keep = !drain || drainable(session.req_header());
    if !keep {
        session.set_keepalive(None);
    } else if drain {
        // Pingora would close, since it does not know that the rest of the body is read below.
        session.set_close_on_response_before_downstream_finish(false);
    }
    let bodyless = session.req_header().method == http::Method::HEAD || reply.body.is_empty();
    session.write_response_header(Box::new(reply.header), bodyless).await?;
    // Without a body too: this is what ends an HTTP/2 stream, and what flushes an HTTP/1 head.
    session.write_response_body((!bodyless).then_some(reply.body), true).await?;
    if drain && keep && session.drain_request_body().await.is_err() {
        session.set_keepalive(None);
    }
    Ok(())
}

/// A 101 that nobody asked for would turn the rest of the connection into bytes that no rule sees. One that was asked for
/// begins a tunnel, which may be silent for longer than a request body.
pub fn check_upgrade(session: &mut Session, header: &ResponseHeader, ctx: &mut Context) -> Result<()> {
    if header.status != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(());
    }
    if session.is_http2() || !session.is_upgrade_req() {
        ctx.denial = Some(Denial::new(Cause::UpstreamProtocol, "the origin switched protocols unasked"));
        return Error::e_explain(ErrorType::InvalidHTTPHeader, "unsolicited 101").map_err(|e| e.into_up());
    }
    session.set_read_timeout(Some(TUNNEL_IDLE));
    if let Some(connection) = &ctx.connection {
        connection.tunnel_began();
    }
    Ok(())
}

/// Seals an answer of the origin. Informational ones pass: they are not the answer (RFC 9110 §15.2).
pub fn seal_proxied(header: &mut ResponseHeader, ctx: &mut Context) {
    if header.status.is_informational() && header.status != StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    ctx.attempt.answered = Some(std::time::Instant::now());
    ctx.attempt.status = Some(header.status.as_u16());
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
    seal(header, ctx);
}

/// The fields that the origin's `Connection` names: they end here (RFC 9110 §7.6.1). Framing is Pingora's.
fn nominated(header: &ResponseHeader) -> Vec<HeaderName> {
    let values = header.headers.get_all(CONNECTION).iter();
    let tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok());
    names.filter(|name| *name != CONTENT_LENGTH && *name != TRANSFER_ENCODING).collect()
}

fn seal(header: &mut ResponseHeader, ctx: &Context) {
    ctx.response_rules().apply(&mut Sealed(header));
    if let Some(standing) = ctx.permit.as_ref().and_then(|permit| permit.standing()) {
        let limit = &ctx.serving.snapshot.rules.limits[standing.limit.0 as usize];
        for (name, value) in rate_limit_headers(limit, &standing) {
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

impl Headers for Sealed<'_> {
    fn values<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        self.0.headers.get_all(name).iter()
    }

    fn contains(&self, name: &HeaderName) -> bool {
        self.0.headers.contains_key(name)
    }

    fn remove(&mut self, name: &HeaderName) {
        self.0.remove_header(name);
    }

    fn set(&mut self, name: &HeaderName, value: &HeaderValue) {
        set(self.0, name, value.clone());
    }

    fn append(&mut self, name: &HeaderName, value: &HeaderValue) {
        let _ = self.0.append_header(name, value.clone());
    }
}
