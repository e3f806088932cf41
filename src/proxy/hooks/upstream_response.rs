//! What concerns the origin's answer itself, before anything is stored or told: validity, framing, hop-by-hop fields.

use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{HeaderName, HeaderValue, StatusCode, Version};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};

use super::forward::UpstreamContext;
use super::request::is_http2;
use super::response::is_final;
use super::{origin_connection, retry};
use crate::decision::outcome::{Cause, Denial};
use crate::telemetry::metrics::Bound;

/// Hop-by-hop fields that Pingora passes on from an HTTP/1 origin (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 3] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
];

/// Takes an answer of the origin over, or gives it up: an answer that is worth another try, one that an origin must not give.
///
/// # Errors
/// The answer is thrown away.
pub fn accept(session: &Session, header: &mut ResponseHeader, mut ctx: UpstreamContext<'_>) -> Result<()> {
    origin_connection::answer_began(session.req_header(), header, &mut ctx);
    retry::answered_by_origin(session, header, &mut ctx)?;
    let via = &ctx.serving.snapshot.rules.read.via;
    if is_final(header.status) && via.on_responses {
        let _ = header.append_header(VIA, via.value(header.version));
    }
    check(session, header, ctx)?;
    frame(header);
    strip_hop_by_hop(header);
    if header.version != Version::HTTP_2 || !is_http2(session.req_header()) {
        // Pingora passes trailers on from HTTP/2 to HTTP/2 alone: nothing else may announce them (RFC 9110 §6.6.2).
        header.remove_header(&TRAILER);
    }
    own_status_line(header)
}

/// Refuses what an origin must not say: what the client's side would read in another way, or what has no end.
fn check(session: &Session, header: &ResponseHeader, ctx: UpstreamContext<'_>) -> Result<()> {
    if header.status == StatusCode::SWITCHING_PROTOCOLS {
        // It would turn the rest of the connection into bytes that no rule sees.
        let asked = !is_http2(session.req_header()) && session.is_upgrade_req();
        let tunnel = ctx.current.as_ref().and_then(|current| current.tunnel.as_ref());
        let Some(tunnel) = tunnel.filter(|_| asked) else { return refuse("the origin switched protocols unasked") };
        tunnel.opened();
        return Ok(());
    }
    if !is_final(header.status) {
        let Some(current) = ctx.current else { return Ok(()) };
        current.interim += 1;
        if current.interim > ctx.serving.snapshot.bounds.interim_answers {
            ctx.shared.metrics.bound_hit(Bound::InterimAnswers);
            return refuse("the origin gives more interim answers than `bounds.interim_answers`");
        }
        return Ok(());
    }
    // What the body is coded with besides would be passed on as if the client had asked for it (RFC 9112 §6.1).
    let mut codings = header.headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !chunked || codings.next().is_some() {
        return refuse("the origin's Transfer-Encoding is not exactly `chunked`");
    }
    Ok(())
}

fn refuse(detail: &'static str) -> Result<()> {
    let denial = Denial::new(Cause::UpstreamProtocol, detail);
    Err(Error::because(ErrorType::InvalidHTTPHeader, detail, denial).into_up())
}

/// Frames an answer in one way.
fn frame(header: &mut ResponseHeader) {
    if header.status.is_informational() || header.status == StatusCode::NO_CONTENT {
        // They have no body, and may not say how long it is (RFC 9110 §8.6, RFC 9112 §6.1).
        header.remove_header(&CONTENT_LENGTH);
        header.remove_header(&TRANSFER_ENCODING);
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
        // It was read out of a field, so it fits into one.
        let _ = header.insert_header(CONTENT_LENGTH, single);
    }
}

fn strip_hop_by_hop(header: &mut ResponseHeader) {
    if header.headers.contains_key(CONNECTION) {
        for name in nominated(header) {
            header.remove_header(&name);
        }
    }
    for name in &HOP_BY_HOP {
        header.remove_header(name);
    }
    // An answer that switches protocols says to which.
    if header.status != StatusCode::SWITCHING_PROTOCOLS {
        header.remove_header(&UPGRADE);
        header.remove_header(&CONNECTION);
    } else if header.headers.contains_key(CONNECTION) {
        let _ = header.insert_header(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
}

/// Puts the gateway's own version and the phrase of the status in the place of the origin's: a version says what the sender of
/// the message can do, and is no part of what is passed on (RFC 9112 §2.3). A phrase is for people, and HTTP/2 has none (§4).
fn own_status_line(header: &mut ResponseHeader) -> Result<()> {
    header.set_version(Version::HTTP_11);
    header.set_reason_phrase(None)
}

/// The fields that the origin's `Connection` names: they end here (RFC 9110 §7.6.1). Framing is Pingora's, and `Upgrade` is dealt
/// with apart.
fn nominated(header: &ResponseHeader) -> Vec<HeaderName> {
    let values = header.headers.get_all(CONNECTION).iter();
    let tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names = tokens.filter_map(|token| HeaderName::from_bytes(token.trim_ascii()).ok());
    names.filter(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, CONNECTION].contains(name)).collect()
}
