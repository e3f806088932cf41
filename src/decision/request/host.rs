//! The one host of a request.

use std::net::Ipv6Addr;

use http::header::HOST;

use super::RawRequest;
use crate::decision::outcome::{Cause, Denial};

/// A host and the port that was named with it.
#[derive(Debug, PartialEq)]
pub struct Authority {
    /// Lower case, without a trailing dot; IPv6 in brackets.
    pub host: String,
    pub port: Option<u16>,
}

/// The one authority that `Host`, `:authority` and an absolute target agree on (RFC 9112 §3.2, RFC 9113 §8.3.1).
pub fn authority(raw: &RawRequest<'_>, of_target: Option<&str>) -> Result<Authority, Denial> {
    let mut hosts = raw.headers.get_all(HOST).iter();
    let header = hosts.next();
    if hosts.next().is_some() {
        return Err(Denial::new(Cause::MalformedRequest, "the request has more than one Host"));
    }
    let header = match header {
        Some(value) => Some(parse(value.to_str().map_err(|_| invalid("Host is not ASCII"))?)?),
        None => None,
    };
    let mut chosen = header;
    for other in [of_target, raw.authority].into_iter().flatten() {
        let other = parse(other)?;
        match &chosen {
            Some(known) if *known != other => return Err(invalid("Host and the request target name different hosts")),
            Some(_) => {}
            None if raw.http2 || raw.http10 => chosen = Some(other),
            None => {}
        }
    }
    match chosen {
        Some(authority) => Ok(authority),
        None if raw.http10 => Ok(Authority { host: String::new(), port: None }),
        None => Err(Denial::new(Cause::HostMissing, "the request names no host")),
    }
}

/// Reads `host[:port]` (RFC 3986 §3.2), refusing userinfo and everything that is not a name or an address.
pub fn parse(text: &str) -> Result<Authority, Denial> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']').ok_or_else(|| invalid("an IPv6 host is not closed"))?;
            let address: Ipv6Addr = address.parse().map_err(|_| invalid("the host is not an IPv6 address"))?;
            (format!("[{address}]"), after)
        }
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (name(&text[..end])?, &text[end..])
        }
    };
    Ok(Authority { host, port: self::port(port)? })
}

fn name(text: &str) -> Result<String, Denial> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() {
        return Err(invalid("the host is empty"));
    }
    if text.len() > 253 {
        return Err(invalid("the host is longer than 253 characters"));
    }
    // Underscores are no host names and yet common inside companies.
    let valid = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if !text.split('.').all(valid) {
        return Err(invalid("the host is neither a name nor an address"));
    }
    Ok(text.to_ascii_lowercase())
}

fn port(text: &str) -> Result<Option<u16>, Denial> {
    let Some(digits) = text.strip_prefix(':') else {
        return if text.is_empty() {
            Ok(None)
        } else {
            Err(invalid("the host is followed by something else than a port"))
        };
    };
    let number = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
    number.filter(|port| *port != 0).map(Some).ok_or_else(|| invalid("the port is not a number from 1 to 65535"))
}

fn invalid(why: &'static str) -> Denial {
    Denial::new(Cause::HostInvalid, why)
}
