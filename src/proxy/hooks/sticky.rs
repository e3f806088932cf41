//! The cookie of sticky sessions: given with the answer, and hidden from the endpoint.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderValue, StatusCode};

use super::forward::UpstreamContext;
use crate::decision::request::Scheme;
use crate::decision::response::HeaderSection;
use crate::decision::upstream::sticky;

/// Takes the cookie out of a request to the endpoint, which must learn neither its name nor another endpoint's.
pub fn hide(shown: &mut impl HeaderSection, ctx: &UpstreamContext<'_>) {
    let Some(name) = ctx.upstream().state.cookie_name() else { return };
    if !shown.values(&COOKIE).any(|field| sticky::without(field, name).is_some()) {
        return;
    }
    let kept: Vec<Vec<u8>> =
        shown.values(&COOKIE).map(|field| sticky::without(field, name).unwrap_or_else(|| field.to_vec())).collect();
    shown.remove(&COOKIE);
    for field in kept.into_iter().filter(|field| !field.is_empty()) {
        // A part of a field value is one.
        let _ = HeaderValue::from_bytes(&field).map(|field| shown.append(&COOKIE, &field));
    }
}

/// Adds the cookie to the answer of the endpoint that the client is to come back to; not to a server error.
pub fn assign(status: StatusCode, answer: &mut impl HeaderSection, ctx: &UpstreamContext<'_>) {
    let Some(current) = &ctx.current else { return };
    if status.is_server_error() {
        return;
    }
    let tls = ctx.admitted.request.scheme == Scheme::Https;
    if let Some(cookie) = ctx.upstream().state.cookie(&current.selected, tls, ctx.time) {
        // Beside those of the origin, which stay as they are; it was made of what a field may hold.
        answer.append(&SET_COOKIE, &cookie);
    }
}
