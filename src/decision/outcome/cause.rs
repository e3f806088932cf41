//! The registry of causes: one block for each, in the order of a request's way.
//!
//! ```text
//! Name "code" {
//!     refusal STATUS GrpcStatus "Title",
//!     shown_as Cause, proxy "…", bound …, challenge "…",
//!     help "…"
//! }
//! ```
//!
//! * `"code"`: stable, for logs, metric labels, error pages, problem bodies and `explain`.
//! * `refusal`: a rule of the owner or the form of the request refused it; `failure`: the upstream or the gateway failed, or the
//!   client left.
//! * The HTTP status, and what a gRPC client is told instead. A gRPC client without it takes the HTTP status, by a table that
//!   knows few and turns the others into UNKNOWN (grpc/doc/http-grpc-status-mapping.md); servers are told not to use that table.
//! * The title is all that a stranger reads. It says nothing that helps an attacker.
//! * `shown_as`: the cause that a stranger is told instead.
//! * `proxy`: the `error` of `Proxy-Status` (RFC 9209 §2.3), for failures beyond the gateway.
//! * `bound`: the bound that is counted with it.
//! * `challenge`: the `error` of a `Bearer` challenge (RFC 6750 §3.1), for what is wrong with a token.
//! * `help`: what it means for the owner of the gateway, and what to do. For `explain` and the documentation.

#[cfg(test)]
mod tests;

use std::fmt;

use http::StatusCode;

use crate::decision::bounds::Bound;

/// A status of gRPC (grpc/doc/statuscodes.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum GrpcStatus {
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    /// A request that is malformed beneath gRPC too: it is no fault of the call's arguments.
    Internal = 13,
    /// Invites another try, so that it is not for calls that may have been carried out.
    Unavailable = 14,
    Unauthenticated = 16,
}

macro_rules! causes {
    ($(
        $(#[$doc:meta])*
        $name:ident $code:literal {
            $kind:ident $status:literal $grpc:ident $title:literal,
            $(shown_as $shown:ident,)?
            $(proxy $proxy:literal,)?
            $(bound $bound:ident,)?
            $(challenge $challenge:literal,)?
            help $help:literal
        }
    )*) => {
        /// The stable reason of a refusal or failure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cause { $($(#[$doc])* #[doc = concat!("\n\n`", $code, "`: ", $help)] $name,)* }

        impl Cause {
            /// Every cause, in the order of a request's way.
            pub const ALL: &[Cause] = &[$(Cause::$name,)*];

            const fn row(self) -> &'static Row {
                match self {
                    $(Cause::$name => &Row {
                        code: $code,
                        refusal: refuses!($kind),
                        status: $status,
                        grpc: GrpcStatus::$grpc,
                        title: $title,
                        shown: optional!($(Cause::$shown)?),
                        proxy: optional!($($proxy)?),
                        bound: optional!($(Bound::$bound)?),
                        bearer: optional!($(concat!(
                            r#"Bearer realm="portcullis", error=""#, $challenge, r#"", error_description=""#, $title, r#"""#
                        ))?),
                        help: $help,
                    },)*
                }
            }
        }
    };
}

macro_rules! refuses {
    (refusal) => {
        true
    };
    (failure) => {
        false
    };
}

macro_rules! optional {
    () => {
        None
    };
    ($value:expr) => {
        Some($value)
    };
}

struct Row {
    code: &'static str,
    refusal: bool,
    status: u16,
    grpc: GrpcStatus,
    title: &'static str,
    shown: Option<Cause>,
    proxy: Option<&'static str>,
    bound: Option<Bound>,
    bearer: Option<&'static str>,
    help: &'static str,
}

causes! {
    // read
    MalformedRequest "malformed_request" {
        refusal 400 Internal "The request could not be understood",
        help "It is not HTTP, or has two readings, and what a rule matched might not be what an origin sees. The client has to change."
    }
    MethodTooLong "method_too_long" {
        refusal 501 Unimplemented "The request's method is not supported",
        help "No method is that long: it is probably not HTTP, or an attack."
    }
    VersionUnsupported "version_unsupported" {
        refusal 505 Internal "The request's HTTP version is not supported",
        help "The gateway speaks HTTP/1.0, HTTP/1.1 and HTTP/2."
    }
    TransferCodingUnknown "transfer_coding_unknown" {
        refusal 501 Unimplemented "The request's transfer coding is not supported",
        help "Only `chunked` is known; with another coding nobody can tell where the body ends."
    }
    HostMissing "host_missing" {
        refusal 400 Internal "The request names no host",
        help "HTTP/1.1 and HTTP/2 require a host (RFC 9110 §7.2). The client has to change."
    }
    HostInvalid "host_invalid" {
        refusal 400 Internal "The request's host is not valid",
        help "The host is neither a name nor an address. The client has to change."
    }
    PathInvalid "path_invalid" {
        refusal 400 Internal "The request's path is not valid",
        help "The path has more than one reading, or none. Where it is the encoded `/` or `\\`, see `encoded_separators` of the route."
    }
    UriTooLong "uri_too_long" {
        refusal 414 ResourceExhausted "The request target is too long",
        bound Uri,
        help "Raise `bounds.uri` if such targets are meant."
    }
    HeadersTooLarge "headers_too_large" {
        refusal 431 ResourceExhausted "The request's header fields are too large",
        bound HeaderBytes,
        help "Often cookies that have piled up. Raise `bounds.header_bytes` if such headers are meant."
    }
    HeadersTooMany "headers_too_many" {
        refusal 431 ResourceExhausted "The request has too many header fields",
        bound HeaderCount,
        help "Raise `bounds.header_count` if so many are meant."
    }
    BodyTooLarge "body_too_large" {
        refusal 413 ResourceExhausted "The request body is too large",
        bound Body,
        help "Raise `body` of the route, or `bounds.body`, if such bodies are meant."
    }
    /// The request has passed this gateway too often.
    LoopDetected "loop_detected" {
        refusal 508 Internal "The request goes round in a loop",
        bound Passes,
        help "An upstream leads back here, or to a gateway with the same `via.pseudonym`. Raise `bounds.passes` if that many are meant."
    }
    /// The client was too slow with its header or body.
    RequestTimeout "request_timeout" {
        refusal 408 DeadlineExceeded "The request took too long to arrive",
        help "See `bounds.header_time`, and `body_idle` and `body_rate` of the route or of `bounds`."
    }
    /// An `Expect` other than `100-continue`.
    ExpectationFailed "expectation_failed" {
        refusal 417 Internal "The request expects what is not supported",
        help "Only `Expect: 100-continue` is known. The client has to change."
    }
    ConnectRefused "connect_refused" {
        refusal 405 Unimplemented "CONNECT is not supported",
        help "It would open a tunnel past every rule. The gateway is no forward proxy."
    }
    TraceRefused "trace_refused" {
        refusal 405 Unimplemented "TRACE is not supported",
        help "It would show a page the credentials of its own request."
    }
    // route
    RouteNotFound "route_not_found" {
        refusal 404 Unimplemented "Not found",
        help "No route takes this host, path, header and query. `explain` tells why each was passed over."
    }
    MethodNotAllowed "method_not_allowed" {
        refusal 405 Unimplemented "Method not allowed",
        help "Routes take this path with other methods only: see `match.methods`."
    }
    // access
    /// `access: deny`.
    RouteDenied "route_denied" {
        refusal 403 PermissionDenied "Requests to this path are not accepted",
        help "The route says `access: deny`."
    }
    /// `access: {deny: {status: 404}}`.
    RouteHidden "route_hidden" {
        refusal 404 Unimplemented "Not found",
        shown_as RouteNotFound,
        help "The route says `access: {deny: {status: 404}}`. Its clients are told the same as where no route is."
    }
    // access: address rules
    AddressDenied "address_denied" {
        refusal 403 PermissionDenied "Requests from this address are not accepted",
        help "See `addresses` of the route. Behind a proxy, `trusted_proxies` decides whose address counts."
    }
    // access: identity
    CredentialsMissing "credentials_missing" {
        refusal 401 Unauthenticated "Authentication is required",
        help "The request has no credential that an identity of the route knows, in the header where it looks."
    }
    /// More than one credential of the same kind.
    CredentialsAmbiguous "credentials_ambiguous" {
        refusal 400 Internal "The request carries more than one credential",
        challenge "invalid_request",
        help "The header with the credential is there more than once, and origins differ in which they take."
    }
    TokenTooLarge "token_too_large" {
        refusal 431 ResourceExhausted "The token is too large",
        bound Token,
        challenge "invalid_token",
        help "Often a list of groups. Have the issuer put fewer claims into it, or raise `bounds.token`, and `bounds.header_bytes` with it."
    }
    TokenMalformed "token_malformed" {
        refusal 401 Unauthenticated "The token is not valid",
        challenge "invalid_token",
        help "It is no JSON Web Token, or lacks a claim that the gateway needs. The log has the detail."
    }
    TokenAlgorithmRefused "token_algorithm_refused" {
        refusal 401 Unauthenticated "The token is not valid",
        challenge "invalid_token",
        help "It is signed by another algorithm than `algorithms` of the identity lists."
    }
    TokenKeyUnknown "token_key_unknown" {
        refusal 401 Unauthenticated "The token is not valid",
        challenge "invalid_token",
        help "No key of the identity has the token's `kid`. If the issuer has changed its keys, renew the key set."
    }
    TokenSignatureInvalid "token_signature_invalid" {
        refusal 401 Unauthenticated "The token is not valid",
        challenge "invalid_token",
        help "It is forged or damaged, or the key set is another issuer's."
    }
    TokenExpired "token_expired" {
        refusal 401 Unauthenticated "The token has expired",
        challenge "invalid_token",
        help "The client has to get a new one. `leeway` of the identity bears clocks that differ."
    }
    TokenNotYetValid "token_not_yet_valid" {
        refusal 401 Unauthenticated "The token is not yet valid",
        challenge "invalid_token",
        help "Clocks differ by more than `leeway` of the identity, or the token is meant for later."
    }
    TokenIssuerMismatch "token_issuer_mismatch" {
        refusal 401 Unauthenticated "The token is not valid",
        challenge "invalid_token",
        help "No identity of the route has the token's `iss` as its `issuer`."
    }
    TokenAudienceMismatch "token_audience_mismatch" {
        refusal 401 Unauthenticated "The token is not valid",
        challenge "invalid_token",
        help "The token's `aud` names none of `audience` of the identity, or it has none and its `client_id` is not accepted either."
    }
    ApiKeyUnknown "api_key_unknown" {
        refusal 401 Unauthenticated "The API key is not valid",
        help "No entry of the identity's `keys` has the hash of this key."
    }
    ApiKeyExpired "api_key_expired" {
        refusal 401 Unauthenticated "The API key has expired",
        help "Give its owner a new one (`portcullis keys new`), or set `expires` of its entry later."
    }
    // access: authorization
    ScopeMissing "scope_missing" {
        refusal 403 PermissionDenied "The caller may not do this",
        challenge "insufficient_scope",
        help "The caller lacks a scope that `access.allow.scope` of the route asks for."
    }
    RoleMissing "role_missing" {
        refusal 403 PermissionDenied "The caller may not do this",
        help "The caller has none of the roles in `access.allow.role` of the route."
    }
    ClaimMismatch "claim_mismatch" {
        refusal 403 PermissionDenied "The caller may not do this",
        help "A claim of the caller is not as `access.allow.claims` of the route asks for."
    }
    // access: limits
    RateExceeded "rate_exceeded" {
        refusal 429 ResourceExhausted "Too many requests",
        help "The log's detail and `RateLimit` name the limit. Raise its `rate` or `burst`, or count by another `key`."
    }
    ConcurrencyExceeded "concurrency_exceeded" {
        refusal 429 ResourceExhausted "Too many requests at the same time",
        help "The log's detail names the limit. Raise its `concurrent`, or count by another `key`."
    }
    // upstream
    UpstreamUnresolved "upstream_unresolved" {
        failure 503 Unavailable "The service is unavailable",
        proxy "dns_error",
        help "No name of the upstream has an address yet. See the log, and `dns`."
    }
    UpstreamUnhealthy "upstream_unhealthy" {
        failure 503 Unavailable "The service is unavailable",
        proxy "destination_unavailable",
        help "Every endpoint fails its probes or was left out, and the upstream says to refuse then. See `portcullis endpoints`."
    }
    /// An operator drained every endpoint.
    UpstreamDrained "upstream_drained" {
        failure 503 Unavailable "The service is unavailable",
        proxy "destination_unavailable",
        help "Every endpoint is drained. Put one back with `portcullis endpoints`."
    }
    /// The upstream, or each of its endpoints, is as busy as the owner lets it be.
    UpstreamOverloaded "upstream_overloaded" {
        failure 503 Unavailable "The service is unavailable",
        proxy "connection_limit_reached",
        bound CircuitBreaker,
        help "As many requests are under way as `circuit_breaker` of the upstream allows."
    }
    UpstreamConnectFailed "upstream_connect_failed" {
        failure 502 Unavailable "The service could not be reached",
        proxy "connection_refused",
        help "No endpoint that was tried takes connections."
    }
    UpstreamConnectTimeout "upstream_connect_timeout" {
        failure 504 Unavailable "The service did not answer in time",
        proxy "connection_timeout",
        help "No connection within `timeouts.connect` of the upstream: a firewall, a full accept queue, or a slow TLS handshake."
    }
    UpstreamTlsFailed "upstream_tls_failed" {
        failure 502 Unavailable "The service could not be reached",
        proxy "tls_certificate_error",
        help "The endpoint's certificate is not good for `tls.sni`, or from none of the authorities, or there is no common version."
    }
    UpstreamTimeout "upstream_timeout" {
        failure 504 DeadlineExceeded "The service did not answer in time",
        proxy "http_response_timeout",
        help "See `timeouts.response` and `timeouts.request` of the upstream, and `try_timeout` of its retries."
    }
    UpstreamClosed "upstream_closed" {
        failure 502 Unavailable "The service broke off",
        proxy "connection_terminated",
        help "The endpoint closed the connection before its answer was complete: it crashed, restarted, or has a shorter keep-alive."
    }
    UpstreamProtocol "upstream_protocol" {
        failure 502 Unavailable "The service gave an invalid answer",
        proxy "http_protocol_error",
        help "The log's detail says what is wrong with the answer. It was not passed on, since clients might read it in another way."
    }
    // the client and ourselves
    /// The client left before it had its answer. Only logged: nobody is there to read a response.
    ClientClosed "client_closed" {
        failure 499 Internal "The client closed the connection",
        help "Many of them point to clients that give up on slow answers."
    }
    /// The client took its answer too slowly, and was cut off.
    ClientTooSlow "client_too_slow" {
        failure 408 DeadlineExceeded "The client took too little of the answer",
        help "See `bounds.write_idle` and `bounds.answer_rate`. The connection was reset, so that what waited for the client is freed."
    }
    /// The client broke the rules of HTTP/2, or a bound on them, and its connection ended with all its requests.
    Http2ConnectionError "http2_connection_error" {
        failure 400 Internal "The client's HTTP/2 connection had to be ended",
        help "The detail names the bound, or the error code (RFC 9113 §7) that the client was sent with GOAWAY."
    }
    InternalError "internal_error" {
        failure 500 Internal "The gateway failed",
        help "A fault of the gateway itself: please report it with the lines of its log around it."
    }
    /// A tunnel or an answer without an end, when the gateway drained for `process.drain_streams`. Most had begun: their line
    /// has the status that they began with.
    StreamEnded "stream_ended" {
        failure 503 Unavailable "The gateway is shutting down",
        help "It was open for longer than `process.drain_streams` after the listeners had closed."
    }
    /// Not done when `process.drain` was over, or when the gateway was told twice to end.
    ShutDown "shut_down" {
        failure 503 Unavailable "The gateway is shutting down",
        help "It was not done within `process.drain`, or the process was told twice to end."
    }
}

impl Cause {
    /// The stable code, for logs, metric labels, error pages and problem bodies.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// The status that it is answered with.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).expect("BUG: the registry holds only valid statuses")
    }

    /// What a gRPC client is told.
    pub const fn grpc_status(self) -> GrpcStatus {
        self.row().grpc
    }

    /// The title that a stranger may read.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// The cause that a stranger is told: this one, unless that would tell too much.
    pub fn shown(self) -> Cause {
        self.row().shown.unwrap_or(self)
    }

    /// Whether a rule of the owner or the form of the request refused it; the rest are failures of the upstream, of the
    /// gateway, or the client's leaving.
    pub const fn is_refusal(self) -> bool {
        self.row().refusal
    }

    /// Whether the client can't be answered any more, for a reason of its own. It says nothing about an upstream.
    pub const fn is_client_lost(self) -> bool {
        matches!(self, Cause::ClientClosed | Cause::ClientTooSlow | Cause::Http2ConnectionError)
    }

    /// The `error` parameter of `Proxy-Status` (RFC 9209 §2.3), for failures beyond the gateway.
    pub const fn proxy_status(self) -> Option<&'static str> {
        self.row().proxy
    }

    /// The bound that is counted with it.
    pub const fn bound(self) -> Option<Bound> {
        self.row().bound
    }

    /// The `Bearer` challenge of an answer for what is wrong with a token. It says no more than the title.
    pub const fn bearer_challenge(self) -> Option<&'static str> {
        self.row().bearer
    }

    /// What it means for the owner of the gateway, and what to do. Not for strangers.
    pub const fn help(self) -> &'static str {
        self.row().help
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
