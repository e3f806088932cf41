//! What is known about a request when it ends: one [`Record`] a request, on every path.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method};

use crate::decision::access::Principal;
use crate::decision::outcome::Cause;
use crate::decision::request::Scheme;

/// How the gateway decided, for the log's `decision` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Admitted, and answered by the origin or the route itself.
    Allow,
    /// Refused by a rule.
    Deny,
    /// Admitted, but something failed.
    Fail,
}

impl Decision {
    /// Every decision, in the order of the type.
    pub const ALL: &[Decision] = &[Decision::Allow, Decision::Deny, Decision::Fail];

    /// As the log writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Deny => "deny",
            Decision::Fail => "fail",
        }
    }
}

/// One finished request. Holds no credential, and is formatted off the request's thread.
#[derive(Clone, Debug)]
pub struct Record {
    /// When the request's header was complete.
    pub time: SystemTime,
    /// From then to the last byte of the answer.
    pub duration: Duration,
    /// The id that the client, the origin and the log share.
    pub request_id: String,
    /// The name of the listener that it came by.
    pub listener: Arc<str>,
    /// Who is believed to have sent it.
    pub client: IpAddr,
    /// The connection's other end, as a PROXY header announced it where one did; differs from `client` behind a trusted proxy.
    pub peer: SocketAddr,
    /// The load balancer whose PROXY header announced `peer`.
    pub via: Option<SocketAddr>,
    /// `HTTP/1.1`, `HTTP/2`, …
    pub protocol: &'static str,
    /// Whether it came by TLS.
    pub scheme: Scheme,
    /// `TLSv1.3`, … for TLS connections.
    pub tls: Option<&'static str>,
    /// Empty where the request could not be parsed, as are host and path.
    pub method: Method,
    /// The normalised host.
    pub host: String,
    /// The normalised path; as received where normalising failed.
    pub path: String,
    /// As received; credentials in it are redacted when the line is written.
    pub query: Option<String>,
    /// As received.
    pub user_agent: Option<HeaderValue>,
    /// As received; credentials in it are redacted when the line is written.
    pub referer: Option<HeaderValue>,
    /// 0 when no answer was sent.
    pub status: u16,
    /// Body bytes sent to the client.
    pub bytes_sent: u64,
    /// Body bytes received from the client.
    pub bytes_received: u64,
    /// The name of the route that took it.
    pub route: Option<Arc<str>>,
    /// The number of the configuration that decided.
    pub generation: u64,
    /// How the gateway decided.
    pub decision: Decision,
    /// Why it was refused or failed.
    pub cause: Option<Cause>,
    /// The true reason, in words.
    pub detail: Option<Cow<'static, str>>,
    /// What a policy in report mode would have refused with.
    pub would_deny: Option<Cause>,
    /// Who was recognised.
    pub principal: Option<Arc<Principal>>,
    /// `None` where no upstream was asked.
    pub upstream: Option<UpstreamRecord>,
}

/// What happened beyond the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamRecord {
    /// The upstream's name.
    pub name: Arc<str>,
    /// The endpoint tried last.
    pub endpoint: Option<SocketAddr>,
    /// Endpoints tried.
    pub attempts: u32,
    /// Why it was tried again, the last time that it was.
    pub retried: Option<&'static str>,
    /// Whether a pooled connection was used.
    pub reused: bool,
    /// From choosing the endpoint to a connection.
    pub connect: Option<Duration>,
    /// From the connection to the answer's header.
    pub response: Option<Duration>,
}
