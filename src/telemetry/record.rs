//! The facts about a finished request: one [`RequestRecord`] for each request, on every path.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method};

use crate::decision::access::Principal;
use crate::decision::outcome::Cause;
use crate::decision::request::Scheme;

/// The gateway's decision, for the log's `decision` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordedDecision {
    /// Admitted, and answered by the origin or the route itself.
    Allow,
    /// Refused by a rule.
    Deny,
    /// Admitted, but something failed.
    Fail,
}

impl RecordedDecision {
    /// Every decision, in the order of the type.
    pub const ALL: &[RecordedDecision] = &[RecordedDecision::Allow, RecordedDecision::Deny, RecordedDecision::Fail];

    /// The value in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            RecordedDecision::Allow => "allow",
            RecordedDecision::Deny => "deny",
            RecordedDecision::Fail => "fail",
        }
    }
}

/// One finished request. It holds no credential, and is formatted on another thread than the request's.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// When the request's header was complete.
    pub time: SystemTime,
    /// From then to the last byte of the answer.
    pub duration: Duration,
    /// The request's id, which the origin and the client get too.
    pub request_id: String,
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The client's address, by the rules for trusted proxies.
    pub client: IpAddr,
    /// The peer of the connection, or the one that a PROXY header announced. Differs from `client` behind a trusted proxy.
    pub peer: SocketAddr,
    /// The load balancer whose PROXY header announced `peer`.
    pub via: Option<SocketAddr>,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub protocol: &'static str,
    /// `fast` or `full`, see [`crate::decision::lane`].
    pub lane: Option<&'static str>,
    /// The scheme of the client's connection.
    pub scheme: Scheme,
    /// `TLSv1.3`, … for TLS connections.
    pub tls: Option<&'static str>,
    /// Empty if the request could not be parsed, as are host and path.
    pub method: Method,
    /// The normalised host.
    pub host: String,
    /// The normalised path; as received if normalising failed.
    pub path: String,
    /// As received. Credentials in it are redacted when the line is written.
    pub query: Option<String>,
    /// As received.
    pub user_agent: Option<HeaderValue>,
    /// As received. Credentials in it are redacted when the line is written.
    pub referer: Option<HeaderValue>,
    /// 0 if no answer was sent.
    pub status: u16,
    /// Body bytes sent to the client.
    pub bytes_sent: u64,
    /// Body bytes received from the client.
    pub bytes_received: u64,
    /// The name of the matched route.
    pub route: Option<Arc<str>>,
    /// The generation of the configuration that decided.
    pub generation: u64,
    /// The decision.
    pub decision: RecordedDecision,
    /// Why it was refused or failed.
    pub cause: Option<Cause>,
    /// The reason in words, for operators.
    pub detail: Option<Cow<'static, str>>,
    /// The cause with which a policy in report mode would have refused.
    pub would_deny: Option<Cause>,
    /// The authenticated caller.
    pub principal: Option<Arc<Principal>>,
    /// `None` if no upstream was used.
    pub upstream: Option<UpstreamRecord>,
}

/// The upstream's part of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamRecord {
    /// The upstream's name.
    pub name: Arc<str>,
    /// The endpoint tried last.
    pub endpoint: Option<SocketAddr>,
    /// Endpoints tried.
    pub attempts: u32,
    /// The reason of the last retry.
    pub retried: Option<&'static str>,
    /// Whether a pooled connection was used.
    pub reused: bool,
    /// From the selection of the endpoint to a connection.
    pub connect: Option<Duration>,
    /// From the connection to the header of the answer.
    pub response: Option<Duration>,
}
