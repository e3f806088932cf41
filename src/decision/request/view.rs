//! A request as it arrived, its normal form, and the view of it that rules have.

use std::net::IpAddr;

use http::{Method, Version};
use ipnet::IpNet;

use super::connection::ConnectionFacts;
use super::fields::{FieldNames, Fields};
use super::path::PathVariant;
use super::scheme::Scheme;
use super::via::Via;

/// What [`super::read`] goes by.
#[derive(Clone, Debug)]
pub struct ReadRules {
    /// Longest request target in bytes.
    pub max_uri: usize,
    /// All header fields together in bytes: names and values, and 4 more for each field, as `: ` and CR LF take in HTTP/1.
    pub max_header_bytes: usize,
    pub max_header_count: usize,
    /// Peers whose `X-Forwarded-For`, `X-Forwarded-Proto`, `Forwarded` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether a target with a character that should have been escaped is refused, not escaped.
    pub strict_target: bool,
    /// The names that rules ask a request's fields for.
    pub names: FieldNames,
    /// What the gateway calls itself in `Via`.
    pub via: Via,
    /// How often a request may have passed this gateway before.
    pub max_passes: u32,
}

#[cfg(test)]
impl ReadRules {
    /// Wide bounds, and nobody who is trusted.
    pub(crate) fn for_test() -> ReadRules {
        ReadRules {
            max_uri: 8192,
            max_header_bytes: 8192,
            max_header_count: 100,
            trusted_proxies: Vec::new(),
            strict_target: false,
            names: FieldNames::default(),
            via: Via::default(),
            max_passes: 5,
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
    pub fields: Fields<'a>,
    /// In HTTP/2 and HTTP/1.0 `Host` may be absent.
    pub version: Version,
    /// The connection that it came by.
    pub connection: &'a ConnectionFacts,
}

impl<'a> RawRequest<'a> {
    /// The request as rules see it, once [`super::read`] has given its normal form.
    pub fn view(&self, normal: &'a NormalizedRequest) -> RequestView<'a> {
        RequestView { method: self.method, normal, fields: self.fields, connection: self.connection }
    }
}

/// The one reading of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalizedRequest {
    /// Lower case, without port and trailing dot; IPv6 in brackets. What `Forwarded` of a trusted proxy says, or the host that
    /// the request names. Empty for HTTP/1.0 without `Host`.
    pub host: String,
    /// The port that the client named.
    pub port: Option<u16>,
    /// The normalised path: dot segments resolved, `//` merged, unreserved characters decoded, percent escapes in upper
    /// case. Always begins with `/` (or is `*` for OPTIONS).
    pub path: String,
    /// As received, without `?`, but that characters which should have been escaped are.
    pub query: Option<String>,
    /// Whether `path` or `query` differs from what the client sent, so that the target must be rewritten before forwarding.
    pub path_changed: bool,
    /// What in `path` origins read differently; finding the route settles it.
    pub spelling: PathVariant,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub client: IpAddr,
    /// What the client spoke, as far as a trusted proxy says otherwise.
    pub scheme: Scheme,
    /// Whether the peer is one of the trusted proxies.
    pub trusted_peer: bool,
    /// `X-Request-Id`, kept only from trusted peers and only if it is short and plain.
    pub request_id: Option<String>,
    /// What a trusted proxy says twice, and differently.
    pub conflict: Option<ForwardedConflict>,
}

#[cfg(test)]
impl NormalizedRequest {
    /// What a plain request for `/` becomes.
    pub(crate) fn for_test() -> NormalizedRequest {
        NormalizedRequest {
            host: String::new(),
            port: None,
            path: "/".to_owned(),
            query: None,
            path_changed: false,
            spelling: PathVariant::default(),
            client: [192, 0, 2, 1].into(),
            scheme: Scheme::Http,
            trusted_peer: false,
            request_id: None,
            conflict: None,
        }
    }
}

/// In what `X-Forwarded-*` and `Forwarded` of a trusted proxy contradict each other. The former is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedConflict {
    Client,
    Scheme,
    Host,
}

impl ForwardedConflict {
    /// As a sentence for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            ForwardedConflict::Client => "X-Forwarded-For and Forwarded name different clients; the former is believed",
            ForwardedConflict::Scheme => {
                "X-Forwarded-Proto and Forwarded name different schemes; the former is believed"
            }
            ForwardedConflict::Host => "X-Forwarded-Host and Forwarded name different hosts; neither is used",
        }
    }
}

/// A request in its normal form, as rules see it.
#[derive(Clone, Copy, Debug)]
pub struct RequestView<'a> {
    pub method: &'a Method,
    pub normal: &'a NormalizedRequest,
    pub fields: Fields<'a>,
    /// The connection that it came by.
    pub connection: &'a ConnectionFacts,
}

#[cfg(test)]
impl<'a> RequestView<'a> {
    /// A view of a request with `headers`, on a connection of [`ConnectionFacts::for_test`].
    pub(crate) fn for_test(method: &'a Method, normal: &'a NormalizedRequest, headers: &'a http::HeaderMap) -> Self {
        RequestView { method, normal, fields: headers.into(), connection: ConnectionFacts::for_test() }
    }
}
