//! The cookie of sticky sessions: given with the answer, and hidden from the endpoint.

use http::HeaderValue;
use http::header::{COOKIE, SET_COOKIE};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use super::forward::UpstreamContext;
use crate::decision::request::Scheme;
use crate::decision::upstream::sticky;

/// Takes the cookie out of a request to the endpoint, which must learn neither its name nor another endpoint's.
pub fn hide(upstream: &mut RequestHeader, ctx: &UpstreamContext<'_>) -> Result<()> {
    let Some(name) = ctx.upstream().state.cookie_name() else { return Ok(()) };
    let fields = || upstream.headers.get_all(COOKIE).into_iter().map(HeaderValue::as_bytes);
    if !fields().any(|field| sticky::without(field, name).is_some()) {
        return Ok(());
    }
    let kept: Vec<Vec<u8>> =
        fields().map(|field| sticky::without(field, name).unwrap_or_else(|| field.to_vec())).collect();
    upstream.remove_header(&COOKIE);
    for field in kept.into_iter().filter(|field| !field.is_empty()) {
        upstream.append_header(COOKIE, field)?;
    }
    Ok(())
}

/// Adds the cookie to the answer of the endpoint that the client is to come back to; not to a server error.
pub fn assign(answer: &mut ResponseHeader, ctx: &UpstreamContext<'_>) {
    let Some(current) = &ctx.current else { return };
    if answer.status.is_server_error() {
        return;
    }
    let tls = ctx.admitted.request.scheme == Scheme::Https;
    if let Some(cookie) = ctx.upstream().state.cookie(&current.selected, tls, ctx.time) {
        // Beside those of the origin, which stay as they are; it was made of what a field may hold.
        let _ = answer.append_header(SET_COOKIE, cookie);
    }
}
