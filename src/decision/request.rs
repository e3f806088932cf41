//! Read: one normal form of host, path and client address, or a refusal.
//!
//! What a rule matches is what is forwarded (invariant 3): [`read`] either gives the one reading of a request or refuses
//! it; nothing after it looks at the raw bytes again.

mod client;
pub mod host;
pub mod path;

use std::net::IpAddr;

use http::{HeaderMap, Method};
use ipnet::IpNet;

use super::outcome::{Cause, Denial};

/// What [`read`] goes by.
#[derive(Clone, Debug)]
pub struct ReadRules {
    /// Longest request target in bytes.
    pub max_uri: usize,
    /// All header fields together, names and values, in bytes.
    pub max_header_bytes: usize,
    pub max_header_count: usize,
    /// Peers whose `X-Forwarded-For`, `Forwarded` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// A request as it arrived, borrowed from whatever parsed it.
#[derive(Clone, Copy, Debug)]
pub struct RawRequest<'a> {
    pub method: &'a Method,
    /// The request target as received: origin form (`/a?b`), absolute form, or `*`.
    pub target: &'a [u8],
    /// `:authority` of HTTP/2, or the authority of an absolute-form target.
    pub authority: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// Whether the request came by HTTP/2, where `Host` may be absent.
    pub http2: bool,
    /// HTTP/1.0 may come without `Host`.
    pub http10: bool,
    pub peer: IpAddr,
    pub scheme: Scheme,
}

/// The one reading of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Normal {
    /// Lower case, without port and trailing dot; IPv6 in brackets. Empty for HTTP/1.0 without `Host`.
    pub host: String,
    /// The port that the client named.
    pub port: Option<u16>,
    /// The normalised path: dot segments resolved, `//` merged, unreserved characters decoded, percent escapes in upper
    /// case. Always begins with `/` (or is `*` for OPTIONS).
    pub path: String,
    /// As received, without `?`.
    pub query: Option<String>,
    /// Whether `path` differs from what the client sent, so that the target must be rewritten before forwarding.
    pub path_changed: bool,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub client: IpAddr,
    /// What the client spoke, as far as a trusted proxy says otherwise.
    pub scheme: Scheme,
    /// Whether the peer is one of the trusted proxies.
    pub trusted_peer: bool,
    /// `X-Request-Id`, kept only from trusted peers and only if it is short and plain.
    pub request_id: Option<String>,
}

/// A request in its normal form, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub method: &'a Method,
    pub normal: &'a Normal,
    pub headers: &'a HeaderMap,
}

/// Gives the one reading of `raw`, or refuses what has two.
pub fn read(rules: &ReadRules, raw: &RawRequest<'_>) -> Result<Normal, Denial> {
    bound_size(rules, raw)?;
    let target = Target::parse(raw)?;
    let authority = host::authority(raw, target.authority)?;
    let normalised = path::normalise(target.path).map_err(|why| Denial::new(Cause::PathInvalid, why))?;
    let query = match target.query {
        Some(query) => Some(path::query(query).map_err(|why| Denial::new(Cause::PathInvalid, why))?),
        None => None,
    };
    let trusted_peer = client::is_trusted(rules, client::canonical(raw.peer));
    let path_changed = normalised.as_bytes() != target.path || target.authority.is_some();
    let mut normal = Normal {
        host: authority.host,
        port: authority.port,
        path: normalised.into_owned(),
        query: query.map(str::to_owned),
        path_changed,
        client: client::canonical(raw.peer),
        scheme: raw.scheme,
        trusted_peer,
        request_id: None,
    };
    if trusted_peer {
        normal.client = client::address(rules, raw);
        normal.scheme = client::scheme(raw).unwrap_or(raw.scheme);
        normal.request_id = client::request_id(raw);
    }
    Ok(normal)
}

/// Each field counts its name, its value and four bytes for `: ` and CRLF, as HTTP/1 writes it.
fn bound_size(rules: &ReadRules, raw: &RawRequest<'_>) -> Result<(), Denial> {
    if raw.target.len() > rules.max_uri {
        let detail = format!("the request target has {} bytes, {} are allowed", raw.target.len(), rules.max_uri);
        return Err(Denial::new(Cause::UriTooLong, detail));
    }
    if raw.headers.len() > rules.max_header_count {
        let detail = format!("{} header fields, {} are allowed", raw.headers.len(), rules.max_header_count);
        return Err(Denial::new(Cause::HeadersTooMany, detail));
    }
    let bytes: usize = raw.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > rules.max_header_bytes {
        let detail = format!("{bytes} bytes of header fields, {} are allowed", rules.max_header_bytes);
        return Err(Denial::new(Cause::HeadersTooLarge, detail));
    }
    Ok(())
}

/// The parts of a request target (RFC 9112 §3.2).
struct Target<'a> {
    /// Only of the absolute form.
    authority: Option<&'a str>,
    path: &'a [u8],
    query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    fn parse(raw: &RawRequest<'a>) -> Result<Self, Denial> {
        let target = raw.target;
        if target == b"*" {
            if raw.method != Method::OPTIONS {
                return Err(Denial::new(Cause::PathInvalid, "the target `*` belongs to OPTIONS alone"));
            }
            return Ok(Target { authority: None, path: target, query: None });
        }
        if target.first() == Some(&b'/') {
            return Ok(Target::split(None, target));
        }
        let rest = strip_scheme(target)
            .ok_or_else(|| Denial::new(Cause::PathInvalid, "the request target is neither a path nor an http URL"))?;
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let authority = std::str::from_utf8(&rest[..end])
            .map_err(|_| Denial::new(Cause::HostInvalid, "the authority of the request target is not ASCII"))?;
        let path = if end == rest.len() { &b"/"[..] } else { &rest[end..] };
        if path.first() == Some(&b'?') {
            // An empty path is equivalent to `/` (RFC 9110 §4.2.3).
            return Ok(Target { authority: Some(authority), path: b"/", query: Some(&path[1..]) });
        }
        Ok(Target::split(Some(authority), path))
    }

    fn split(authority: Option<&'a str>, path: &'a [u8]) -> Self {
        match path.iter().position(|b| *b == b'?') {
            Some(at) => Target { authority, path: &path[..at], query: Some(&path[at + 1..]) },
            None => Target { authority, path, query: None },
        }
    }
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    for scheme in [&b"http://"[..], b"https://"] {
        if target.len() > scheme.len() && target[..scheme.len()].eq_ignore_ascii_case(scheme) {
            return Some(&target[scheme.len()..]);
        }
    }
    None
}

#[cfg(test)]
mod tests;
