//! Who the client is, as far as trusted proxies say.

use std::net::{IpAddr, SocketAddr};

use http::HeaderName;
use http::header::FORWARDED;

use super::{RawRequest, ReadRules, Scheme};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An IPv4 address in its IPv6 mapping is the IPv4 address: rules are written for that.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

pub fn is_trusted(rules: &ReadRules, address: IpAddr) -> bool {
    rules.trusted_proxies.iter().any(|range| range.contains(&address))
}

/// The client as the chain of trusted proxies names it: from the right, the first address that is not a trusted proxy.
/// Whatever stands further left was written by somebody whom nobody vouches for.
pub fn address(rules: &ReadRules, raw: &RawRequest<'_>) -> IpAddr {
    let mut client = canonical(raw.peer);
    let by_x_forwarded_for = raw.headers.contains_key(X_FORWARDED_FOR);
    let name = if by_x_forwarded_for { X_FORWARDED_FOR } else { FORWARDED };
    let lines: smallvec::SmallVec<[&str; 4]> =
        raw.headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("")).collect();
    for element in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let found = if by_x_forwarded_for { parse(element.trim()) } else { forwarded_for(element) };
        // A malformed element ends the chain: nothing left of it can be trusted.
        let Some(address) = found else { break };
        client = address;
        if !is_trusted(rules, client) {
            break;
        }
    }
    client
}

/// The `for` parameter of one element of `Forwarded` (RFC 7239 §4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let value = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    })?;
    parse(value.trim_matches('"'))
}

/// An address, with or without a port, IPv6 with or without brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(canonical(address))
}

/// What the nearest proxy says that its client spoke.
pub fn scheme(raw: &RawRequest<'_>) -> Option<Scheme> {
    let mut values = raw.headers.get_all(X_FORWARDED_PROTO).iter();
    match (values.next()?.as_bytes(), values.next()) {
        (b"http", None) => Some(Scheme::Http),
        (b"https", None) => Some(Scheme::Https),
        _ => None,
    }
}

/// A request id that is worth keeping: short, and safe in a header and a log.
pub fn request_id(raw: &RawRequest<'_>) -> Option<String> {
    let id = raw.headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then(|| id.to_owned())
}
