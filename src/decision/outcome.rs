//! Why a request ended as it did: the one registry of causes.
//!
//! A [`Denial`] writes the response, the access log, the metric label and `explain`; its [`Cause`] is the key by which
//! an owner sets error pages. Nothing is decided twice.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::StatusCode;

use super::limit_status::LimitStatus;

/// Declares [`Cause`] with its code, status, title and, for failures of the upstream, the error type of RFC 9209.
macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $code:literal $status:literal $title:literal $(proxy $proxy:literal)?;)*) => {
        /// The stable reason of a refusal or failure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cause { $($(#[$doc])* $name,)* }

        impl Cause {
            /// Every cause, in the order of a request's way.
            pub const ALL: &[Cause] = &[$(Cause::$name,)*];

            /// The stable code, for logs, metric labels, error pages and problem bodies.
            pub const fn code(self) -> &'static str {
                match self { $(Cause::$name => $code,)* }
            }

            /// The title that a stranger may read. It says nothing that helps an attacker.
            pub const fn title(self) -> &'static str {
                match self { $(Cause::$name => $title,)* }
            }

            const fn status_code(self) -> u16 {
                match self { $(Cause::$name => $status,)* }
            }

            /// The `error` parameter of `Proxy-Status` (RFC 9209 §2.3), for failures beyond the gateway.
            pub const fn proxy_status(self) -> Option<&'static str> {
                #[allow(unreachable_patterns, reason = "the macro matches each cause with an upstream failure once")]
                match self { $($(Cause::$name => Some($proxy),)?)* _ => None }
            }
        }
    };
}

causes! {
    // read
    MalformedRequest = "malformed_request" 400 "The request could not be understood";
    MethodTooLong = "method_too_long" 501 "The request's method is not supported";
    VersionUnsupported = "version_unsupported" 505 "The request's HTTP version is not supported";
    TransferCodingUnknown = "transfer_coding_unknown" 501 "The request's transfer coding is not supported";
    HostMissing = "host_missing" 400 "The request names no host";
    HostInvalid = "host_invalid" 400 "The request's host is not valid";
    PathInvalid = "path_invalid" 400 "The request's path is not valid";
    UriTooLong = "uri_too_long" 414 "The request target is too long";
    HeadersTooLarge = "headers_too_large" 431 "The request's header fields are too large";
    HeadersTooMany = "headers_too_many" 431 "The request has too many header fields";
    BodyTooLarge = "body_too_large" 413 "The request body is too large";
    /// The client was too slow with its header or body.
    RequestTimeout = "request_timeout" 408 "The request took too long to arrive";
    /// An `Expect` other than `100-continue`.
    ExpectationFailed = "expectation_failed" 417 "The request expects what is not supported";
    ConnectRefused = "connect_refused" 405 "CONNECT is not supported";
    TraceRefused = "trace_refused" 405 "TRACE is not supported";
    // route
    RouteNotFound = "route_not_found" 404 "Not found";
    MethodNotAllowed = "method_not_allowed" 405 "Method not allowed";
    // access: address rules
    AddressDenied = "address_denied" 403 "Requests from this address are not accepted";
    // access: identity
    CredentialsMissing = "credentials_missing" 401 "Authentication is required";
    /// More than one credential of the same kind.
    CredentialsAmbiguous = "credentials_ambiguous" 400 "The request carries more than one credential";
    TokenMalformed = "token_malformed" 401 "The token is not valid";
    TokenAlgorithmRefused = "token_algorithm_refused" 401 "The token is not valid";
    TokenKeyUnknown = "token_key_unknown" 401 "The token is not valid";
    TokenSignatureInvalid = "token_signature_invalid" 401 "The token is not valid";
    TokenExpired = "token_expired" 401 "The token has expired";
    TokenNotYetValid = "token_not_yet_valid" 401 "The token is not yet valid";
    TokenIssuerMismatch = "token_issuer_mismatch" 401 "The token is not valid";
    TokenAudienceMismatch = "token_audience_mismatch" 401 "The token is not valid";
    ApiKeyUnknown = "api_key_unknown" 401 "The API key is not valid";
    ApiKeyExpired = "api_key_expired" 401 "The API key has expired";
    // access: authorization
    ScopeMissing = "scope_missing" 403 "The caller may not do this";
    RoleMissing = "role_missing" 403 "The caller may not do this";
    ClaimMismatch = "claim_mismatch" 403 "The caller may not do this";
    // access: limits
    RateExceeded = "rate_exceeded" 429 "Too many requests";
    ConcurrencyExceeded = "concurrency_exceeded" 429 "Too many requests at the same time";
    // upstream
    UpstreamUnresolved = "upstream_unresolved" 503 "The service is unavailable" proxy "dns_error";
    UpstreamUnhealthy = "upstream_unhealthy" 503 "The service is unavailable" proxy "destination_unavailable";
    /// An operator drained every endpoint.
    UpstreamDrained = "upstream_drained" 503 "The service is unavailable" proxy "destination_unavailable";
    /// The upstream, or each of its endpoints, is as busy as the owner lets it be.
    UpstreamOverloaded = "upstream_overloaded" 503 "The service is unavailable" proxy "connection_limit_reached";
    UpstreamConnectFailed = "upstream_connect_failed" 502 "The service could not be reached" proxy "connection_refused";
    UpstreamConnectTimeout = "upstream_connect_timeout" 504 "The service did not answer in time" proxy "connection_timeout";
    UpstreamTlsFailed = "upstream_tls_failed" 502 "The service could not be reached" proxy "tls_certificate_error";
    UpstreamTimeout = "upstream_timeout" 504 "The service did not answer in time" proxy "http_response_timeout";
    UpstreamClosed = "upstream_closed" 502 "The service broke off" proxy "connection_terminated";
    UpstreamProtocol = "upstream_protocol" 502 "The service gave an invalid answer" proxy "http_protocol_error";
    // the client and ourselves
    /// The client left before it had its answer. Only logged: nobody is there to read a response.
    ClientClosed = "client_closed" 499 "The client closed the connection";
    InternalError = "internal_error" 500 "The gateway failed";
    /// A tunnel or an answer without an end, when the gateway drained for `process.drain_streams`. Most had begun: their line
    /// has the status that they began with.
    StreamEnded = "stream_ended" 503 "The gateway is shutting down";
    /// Not done when `process.drain` was over, or when the gateway was told twice to end.
    ShutDown = "shut_down" 503 "The gateway is shutting down";
}

impl Cause {
    /// The status that the refusal is answered with.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_code()).expect("BUG: the registry holds only valid statuses")
    }

    /// Whether a rule of the owner or the form of the request refused it; the rest are failures of the upstream, of the
    /// gateway, or the client's leaving.
    pub const fn is_refusal(self) -> bool {
        self.proxy_status().is_none()
            && !matches!(self, Cause::ClientClosed | Cause::InternalError | Cause::StreamEnded | Cause::ShutDown)
    }

    /// Finds a cause by its stable code.
    pub fn from_code(code: &str) -> Option<Cause> {
        Cause::ALL.iter().copied().find(|cause| cause.code() == code)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refusal with everything that its answer and its log line need.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial {
    pub cause: Cause,
    /// The true reason. For the log and `explain`, never for the stranger.
    pub detail: Cow<'static, str>,
    /// `WWW-Authenticate` (RFC 6750 §3).
    pub challenge: Option<http::HeaderValue>,
    /// `Allow` (RFC 9110 §10.2.1) of a 405.
    pub allow: Option<http::HeaderValue>,
    /// When to come back, for `Retry-After`.
    pub retry_after: Option<Duration>,
    /// The limit that was exceeded, for the RateLimit fields.
    pub limit: Option<LimitStatus>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.cause, self.detail)
    }
}

/// A denial travels as the source of the error that ends the request, and is taken out again where the answer is made.
impl std::error::Error for Denial {}

impl Denial {
    /// A refusal for `cause`; `detail` is the true reason, for the log.
    pub fn new(cause: Cause, detail: impl Into<Cow<'static, str>>) -> Self {
        Denial { cause, detail: detail.into(), challenge: None, allow: None, retry_after: None, limit: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let codes: HashSet<_> = Cause::ALL.iter().map(|c| c.code()).collect();
        assert_eq!(codes.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            assert!(cause.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{cause}");
            assert_eq!(Cause::from_code(cause.code()), Some(*cause));
            assert!(cause.status().is_client_error() || cause.status().is_server_error());
        }
    }

    #[test]
    fn exactly_the_upstream_causes_have_a_proxy_status() {
        for cause in Cause::ALL {
            assert_eq!(cause.proxy_status().is_some(), cause.code().starts_with("upstream_"), "{cause}");
        }
    }
}
