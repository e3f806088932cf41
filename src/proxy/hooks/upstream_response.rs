//! What concerns the origin's answer itself, before anything is stored or told: validity, framing, hop-by-hop fields.

use http::header::{CONNECTION, CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA};
use http::{HeaderName, HeaderValue, StatusCode, Version};
use pingora::{Error, ErrorType, Result};

use super::client_side::ClientSide;
use super::forward::UpstreamContext;
use super::origin_answer::OriginAnswer;
use super::{origin_connection, retry};
use crate::decision::connection_options::nominated;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::response::{HeaderSection, is_final};
use crate::telemetry::metrics::Bound;

/// Hop-by-hop fields that pass from an HTTP/1 origin unless they are taken off (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 3] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authenticate"),
];

/// Takes an answer of the origin over, or gives it up: an answer that is worth another try, one that an origin must not give.
///
/// # Errors
/// The answer is thrown away.
pub fn accept(
    client: &impl ClientSide,
    mut answer: OriginAnswer<'_, impl HeaderSection>,
    mut ctx: UpstreamContext<'_>,
) -> Result<()> {
    let request = client.request();
    origin_connection::answer_began(request, &answer, &mut ctx);
    retry::answered_by_origin(client, &answer, &mut ctx)?;
    let via = &ctx.serving.snapshot.rules.read.via;
    if is_final(answer.status) && via.on_responses {
        answer.fields.append(&VIA, via.value(answer.version));
    }
    check(client, &answer, ctx)?;
    frame(&mut answer);
    strip_hop_by_hop(&mut answer);
    let trailers = answer.version == Version::HTTP_2 || answer.fields.contains(&TRANSFER_ENCODING);
    if !trailers || !client.takes_trailers(answer.version) {
        // What does not pass is not announced (RFC 9110 §6.6.2).
        answer.fields.remove(&TRAILER);
    }
    Ok(())
}

/// Refuses what an origin must not say: what the client's side would read in another way, or what has no end.
fn check(
    client: &impl ClientSide,
    answer: &OriginAnswer<'_, impl HeaderSection>,
    ctx: UpstreamContext<'_>,
) -> Result<()> {
    if answer.status == StatusCode::SWITCHING_PROTOCOLS {
        // It would turn the rest of the connection into bytes that no rule sees.
        let asked = !client.request().is_http2() && client.asks_for_upgrade();
        let tunnel = ctx.current.as_ref().and_then(|current| current.tunnel.as_ref());
        let Some(tunnel) = tunnel.filter(|_| asked) else { return refuse("the origin switched protocols unasked") };
        tunnel.opened();
        return Ok(());
    }
    if !is_final(answer.status) {
        let Some(current) = ctx.current else { return Ok(()) };
        current.interim += 1;
        if current.interim > ctx.serving.snapshot.bounds.interim_answers {
            ctx.shared.metrics.bound_hit(Bound::InterimAnswers);
            return refuse("the origin gives more interim answers than `bounds.interim_answers`");
        }
        return Ok(());
    }
    // What the body is coded with besides would be passed on as if the client had asked for it (RFC 9112 §6.1).
    let mut codings = answer.fields.values(&TRANSFER_ENCODING);
    let chunked = codings.next().is_none_or(|coding| coding.eq_ignore_ascii_case(b"chunked"));
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
fn frame(answer: &mut OriginAnswer<'_, impl HeaderSection>) {
    if answer.status.is_informational() || answer.status == StatusCode::NO_CONTENT {
        // They have no body, and may not say how long it is (RFC 9110 §8.6, RFC 9112 §6.1).
        answer.fields.remove(&CONTENT_LENGTH);
        answer.fields.remove(&TRANSFER_ENCODING);
    }
    one_length(answer.fields);
}

/// Says an agreed length once (RFC 9110 §8.6); lengths that differ were refused when the head was read.
fn one_length(fields: &mut impl HeaderSection) {
    let mut lengths = fields.values(&CONTENT_LENGTH);
    let Some(first) = lengths.next() else { return };
    let single = first.split(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    if lengths.next().is_none() && single.len() == first.len() {
        return;
    }
    drop(lengths);
    // It was read out of a field, so it fits into one.
    if let Ok(single) = HeaderValue::from_bytes(single) {
        fields.set(&CONTENT_LENGTH, &single);
    }
}

fn strip_hop_by_hop(answer: &mut OriginAnswer<'_, impl HeaderSection>) {
    let connected = answer.fields.contains(&CONNECTION);
    if connected {
        // Framing is a matter of the connection, and `Upgrade` is dealt with apart.
        let kept = [CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE, CONNECTION];
        let named: Vec<_> = nominated(answer.fields.values(&CONNECTION)).filter(|name| !kept.contains(name)).collect();
        for name in named {
            answer.fields.remove(&name);
        }
    }
    for name in &HOP_BY_HOP {
        answer.fields.remove(name);
    }
    // An answer that switches protocols says to which.
    if answer.status != StatusCode::SWITCHING_PROTOCOLS {
        answer.fields.remove(&UPGRADE);
        answer.fields.remove(&CONNECTION);
    } else if connected {
        answer.fields.set(&CONNECTION, &HeaderValue::from_static("Upgrade"));
    }
}
