//! Read: one normal form of host, path and client address, or a refusal.
//!
//! What a rule matches is what is forwarded (invariant 3): [`read`] either gives the one reading of a request or refuses
//! it; nothing after it looks at the raw bytes again.

use std::net::IpAddr;

use http::{HeaderMap, Method};
use ipnet::IpNet;

use super::outcome::Denial;

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
    let _ = (rules, raw);
    todo!()
}
