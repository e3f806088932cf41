//! Read: one normal form of host, path and client address, or a refusal.
//!
//! What a rule matches is what is forwarded (invariant 3): [`read`] either gives the one reading of a request or refuses
//! it; nothing after it looks at the raw bytes again.

pub mod chunked;
pub mod connection;
pub mod cookies;
pub mod fields;
pub mod framing;
pub mod head;
pub mod host;
pub mod path;
pub mod section;
pub mod target;

mod client;
mod scheme;
pub(in crate::decision) mod syntax;
#[cfg(test)]
mod tests;
mod via;
mod view;

use std::borrow::Cow;

use http::{Method, Version};

pub use scheme::Scheme;
pub use via::Via;
pub use view::{ForwardedConflict, NormalizedRequest, RawRequest, ReadRules, RequestView};

use super::outcome::{Cause, Denial};
use fields::{Fields, X_REQUEST_ID};
use framing::BodyFraming;
use syntax::{is_token, malformed};
use target::RequestTarget;

/// Longest `X-Request-Id` in bytes that is kept from a trusted peer.
const MAX_REQUEST_ID_BYTES: usize = 64;

/// Gives the one reading of `raw`, or refuses what has two.
///
/// The causes are [`Cause::UriTooLong`], [`Cause::HeadersTooMany`], [`Cause::HeadersTooLarge`],
/// [`Cause::ConnectRefused`], [`Cause::TraceRefused`], [`Cause::ExpectationFailed`], [`Cause::PathInvalid`],
/// [`Cause::HostMissing`], [`Cause::HostInvalid`], [`Cause::LoopDetected`], and [`Cause::MalformedRequest`] where two parts
/// contradict each other.
pub fn read(rules: &ReadRules, raw: &RawRequest<'_>) -> Result<NormalizedRequest, Denial> {
    within_bounds(rules, raw)?;
    if raw.method == Method::CONNECT {
        return Err(Denial::new(Cause::ConnectRefused, "CONNECT would open a tunnel past every rule"));
    }
    if raw.method == Method::TRACE {
        return Err(Denial::new(Cause::TraceRefused, "TRACE would show a page the credentials of its own request"));
    }
    // A body has one length.
    BodyFraming::of(raw.fields, raw.version)?;
    known_expectation(raw)?;
    one_hop(rules, raw)?;
    if rules.strict_target && target::has_raw(raw.target) {
        return Err(target::not_strict());
    }
    let target = RequestTarget::split(raw.target, raw.method)?;
    let sender = client::sender(rules, raw);
    if target.scheme.is_some_and(|scheme| scheme != sender.scheme) {
        return Err(Denial::new(Cause::MalformedRequest, "the target names another scheme than the connection has"));
    }
    let named = one_authority(raw, target.authority, sender.scheme)?;
    let host::Authority { host, port } = sender.host.unwrap_or(named);
    let path::Reading { path, spelling } = if target.path == b"*" {
        path::Reading { path: "*".into(), spelling: path::PathVariant::default() }
    } else {
        path::read(target.path).map_err(|e| Denial::new(Cause::PathInvalid, e.as_str()))?
    };
    Ok(NormalizedRequest {
        host,
        port,
        // An absolute-form target carries more than the path, so what is forwarded must be written anew.
        path_changed: target.authority.is_some() || path.as_bytes() != target.path || target.query_changed(),
        path: path.into_owned(),
        spelling,
        query: target.query.map(Cow::into_owned),
        client: sender.client,
        scheme: sender.scheme,
        trusted_peer: sender.trusted,
        request_id: if sender.trusted { request_id(raw.fields) } else { None },
        conflict: sender.conflict,
    })
}

fn within_bounds(rules: &ReadRules, raw: &RawRequest<'_>) -> Result<(), Denial> {
    if raw.target.len() > rules.max_uri {
        return Err(Denial::new(Cause::UriTooLong, "the request target is longer than `bounds.uri`"));
    }
    // HTTP/2 says in `:authority` what HTTP/1 says in `Host`: the same request counts the same.
    let host = raw.authority.filter(|_| !raw.fields.contains(&fields::HOST)).map(|host| "host".len() + host.len() + 4);
    if raw.fields.len() + usize::from(host.is_some()) > rules.max_header_count {
        return Err(Denial::new(Cause::HeadersTooMany, "more header fields than `bounds.header_count`"));
    }
    let (mut bytes, mut passes) = (host.unwrap_or(0), 0);
    for (name, value) in raw.fields.lines() {
        bytes += name.len() + value.len() + 4;
        // Looked at where every field is, since most requests have none.
        if name.eq_ignore_ascii_case(b"via") {
            passes += rules.via.passes(value);
        }
    }
    if bytes > rules.max_header_bytes {
        return Err(Denial::new(Cause::HeadersTooLarge, "the header fields are larger than `bounds.header_bytes`"));
    }
    if passes > rules.max_passes as usize {
        let detail =
            format!("`Via` says that the request has passed this gateway {passes} times, more than `bounds.passes`");
        return Err(Denial::new(Cause::LoopDetected, detail));
    }
    Ok(())
}

/// `100-continue` is the only expectation there is (RFC 9110 §10.1.1); an empty list of them expects nothing.
fn known_expectation(raw: &RawRequest<'_>) -> Result<(), Denial> {
    let mut expectations = raw.fields.get_all(&fields::EXPECT);
    if expectations.all(|value| value.is_empty() || value.eq_ignore_ascii_case(b"100-continue")) {
        return Ok(());
    }
    Err(Denial::new(Cause::ExpectationFailed, "`Expect` is not exactly `100-continue`"))
}

/// What a request may always say in `Connection`. None of them names a field that a rule or an origin goes by.
const CONNECTION_OPTIONS: [&[u8]; 5] = [b"close", b"keep-alive", b"upgrade", b"te", b"http2-settings"];

/// Most options in `Connection`; Pingora fails on more when it forwards.
const MAX_CONNECTION_OPTIONS: usize = 9;

/// `Connection` names fields that end at the next hop (RFC 9110 §7.6.1): they are taken off on the way to the origin, whatever their
/// names. But a client must not name a field that a rule has matched on, or that decides how the request is read: what the rule
/// saw would not be what is forwarded. HTTP/2 has no such field (RFC 9113 §8.2.2).
fn one_hop(rules: &ReadRules, raw: &RawRequest<'_>) -> Result<(), Denial> {
    let mut lines = raw.fields.get_all(&fields::CONNECTION).peekable();
    if raw.version == Version::HTTP_2 && lines.peek().is_some() {
        return malformed("Connection does not belong to HTTP/2");
    }
    let options = lines.flat_map(|line| line.split(|&b| b == b',')).map(<[u8]>::trim_ascii);
    let mut count = 0;
    for option in options.filter(|option| !option.is_empty()) {
        count += 1;
        if CONNECTION_OPTIONS.iter().any(|known| option.eq_ignore_ascii_case(known)) {
            continue;
        }
        if !is_token(option) {
            return malformed("Connection has an option with a character that no field name may have");
        }
        if rules.names.find(option).is_some() {
            return malformed("Connection names a field that rules go by, to have it stripped");
        }
    }
    if count > MAX_CONNECTION_OPTIONS {
        return malformed("Connection has too many options");
    }
    Ok(())
}

/// The one host that `Host`, `:authority` and an absolute-form target agree on (RFC 9110 §7.2, RFC 9113 §8.3.1).
fn one_authority(raw: &RawRequest<'_>, target: Option<&str>, scheme: Scheme) -> Result<host::Authority, Denial> {
    let mut hosts = raw.fields.get_all(&fields::HOST);
    let sent = hosts.next();
    if hosts.next().is_some() {
        return Err(Denial::new(Cause::MalformedRequest, "more than one Host"));
    }
    let sent = match sent.map(std::str::from_utf8) {
        None | Some(Ok("")) => None,
        Some(Ok(host)) => Some(host),
        Some(Err(_)) => return Err(Denial::new(Cause::HostInvalid, host::HostError::Character.as_str())),
    };
    if sent.is_none() && raw.version == Version::HTTP_11 {
        return Err(Denial::new(Cause::HostMissing, "HTTP/1.1 requires a Host"));
    }
    let parse = |text: &str| host::parse(text).map_err(|e| Denial::new(Cause::HostInvalid, e.as_str()));
    let mut agreed: Option<(&str, host::Authority)> = None;
    for text in [target, raw.authority, sent].into_iter().flatten() {
        match &agreed {
            None => agreed = Some((text, parse(text)?)),
            Some((first, _)) if *first == text => {}
            Some((_, first)) => {
                let other = parse(text)?;
                let port = |authority: &host::Authority| authority.port.unwrap_or(scheme.default_port());
                if other.host != first.host || port(&other) != port(first) {
                    return Err(Denial::new(Cause::MalformedRequest, "Host and the target's authority disagree"));
                }
            }
        }
    }
    match agreed {
        Some((_, authority)) => Ok(authority),
        None if raw.version == Version::HTTP_10 => Ok(host::Authority { host: String::new(), port: None }),
        None => Err(Denial::new(Cause::HostMissing, "neither `:authority` nor Host is present")),
    }
}

/// `X-Request-Id`, if it is there once, short, and plain enough for any log.
fn request_id(fields: Fields<'_>) -> Option<String> {
    let mut ids = fields.get_all(&X_REQUEST_ID);
    let id = ids.next()?;
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if ids.next().is_some() || !(1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) || !id.iter().all(plain) {
        return None;
    }
    std::str::from_utf8(id).ok().map(str::to_owned)
}
