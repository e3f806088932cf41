//! The services behind the gateway: `upstreams`.

pub mod resilience;
mod source;
pub mod sticky;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::retries::Retries;
use super::shape::{FromWord, OneOrMany, OrNone, WordOrMap, is_default, or_none, word_or_map};
use super::units::{Count, Span};
pub use source::{EndpointFile, EndpointSource, Services};

/// A named group of endpoints that provide the same service.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The addresses of the service, one or a list of: `host:port` with an IP address or a DNS name, which stands for
    /// all its addresses; `{srv: NAME}` for SRV records; `{file: PATH}` for a file that lists them. Required.
    pub endpoints: OneOrMany<EndpointSource>,
    /// How an endpoint is chosen: `round_robin` (default), `random`, `least_requests`, or `consistent_hash: KEY`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub balance: Balance,
    /// Active health checks. Default: none; every endpoint counts as healthy.
    #[serde(default, skip_serializing_if = "is_default")]
    pub health: Option<Health>,
    /// What happens when every endpoint is unhealthy or ejected: `use_all` (default) or `refuse`. Drained endpoints are
    /// not used in any case.
    #[serde(default, skip_serializing_if = "is_default")]
    pub all_unhealthy: AllUnhealthy,
    /// Excludes failing endpoints for a time; `off` disables it. Default: five failed connection attempts in a row
    /// exclude an endpoint for 10s, and other failures do not count. They count once `ejection` is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ejection: Option<resilience::Ejection>,
    /// Time in which the share of requests of an endpoint grows from a tenth to its full share. It applies to an
    /// endpoint that is added by the file or by DNS while the upstream is in use, that becomes healthy, or that returns
    /// from ejection or draining. `consistent_hash` ignores it, because keys would move twice. Default: none; an
    /// endpoint has its full share at once.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "or_none")]
    #[schemars(with = "OrNone<Span>")]
    pub slow_start: Option<Span>,
    /// Bounds on concurrent requests to the upstream. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub circuit_breaker: resilience::CircuitBreaker,
    /// The zone of this gateway, such as `${ZONE}`. Within a priority, endpoints of the same zone are preferred: the
    /// other zones get requests when less than five sevenths of its weight is healthy, in proportion to what is
    /// missing. Endpoints without a zone count as being in the gateway's zone. Default: zones are ignored.
    #[serde(default, skip_serializing_if = "is_default")]
    pub zone: Option<String>,
    /// Binds a client to one endpoint by a signed cookie. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sticky: Option<sticky::Sticky>,
    /// Timeouts of connections and requests to endpoints.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
    /// When requests are retried, or `off`. Default: on another endpoint if the connection fails, up to three attempts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: Option<Retries>,
    /// TLS to the endpoints, with verification of the certificate. Default: no TLS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls: Option<UpstreamTls>,
    /// Whether HTTP/2 is used to the endpoints: negotiated by ALPN with `tls`, with prior knowledge without. Default
    /// false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http2: bool,
    /// Concurrent requests on one HTTP/2 connection. 1 to 10,000; default 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http2_streams: Option<Count>,
    /// Sends a PROXY protocol header of this version, `v1` or `v2`, before TLS on each connection, with the client's
    /// address. A connection is reused only for the same client, so there are more connections. Health checks send a
    /// header without an address (`LOCAL`, `UNKNOWN`). Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proxy_protocol: Option<ProxyProtocolVersion>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocolVersion {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// One address of an upstream, with its weight, priority and zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// `host:port`
    pub address: String,
    /// Its weight among the endpoints, 1 to 1000. Default 1.
    pub weight: Option<Count>,
    /// The priority of the endpoint; endpoints with the lowest number are used first.
    pub priority: Option<Count>,
    /// The zone of the endpoint.
    pub zone: Option<String>,
}

/// One address of an upstream, with its weight, priority and zone.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedEndpoint {
    /// `host:port`.
    address: String,
    /// Its weight among the endpoints: twice the weight gets twice the requests. 1 to 1000; default 1.
    #[serde(default, skip_serializing_if = "is_default")]
    weight: Option<Count>,
    /// The priority of the endpoint, 0 to 100; 0 is used first. A priority gets the requests that the lower numbers
    /// leave: none while at least five sevenths of their weight is healthy, and a growing share below. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    priority: Option<Count>,
    /// The zone of the endpoint, compared with the upstream's `zone`. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    zone: Option<String>,
}

impl FromWord for Endpoint {
    const EXPECTING: &'static str = "`host:port` or a mapping with `address` and `weight`";
    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Endpoint { address: word.to_owned(), weight: None, priority: None, zone: None })
    }
}

impl From<WeightedEndpoint> for Endpoint {
    fn from(form: WeightedEndpoint) -> Self {
        Endpoint { address: form.address, weight: form.weight, priority: form.priority, zone: form.zone }
    }
}

impl From<&Endpoint> for WordOrMap<WeightedEndpoint> {
    fn from(value: &Endpoint) -> Self {
        let Endpoint { address, weight, priority, zone } = value.clone();
        match (weight, priority, &zone) {
            (None, None, None) => WordOrMap::Word(address),
            _ => WordOrMap::Map(WeightedEndpoint { address, weight, priority, zone }),
        }
    }
}

word_or_map!(Endpoint, WeightedEndpoint);

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Balance {
    /// In turn, in proportion to the weights.
    #[default]
    RoundRobin,
    /// At random, in proportion to the weights.
    Random,
    /// The one with fewer requests in progress of two random endpoints.
    LeastRequests,
    /// The same endpoint for the same key.
    ConsistentHash(HashKey),
}

/// The key of the hash: requests with equal keys go to the same endpoint.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HashKey {
    /// The value of this request header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The client's address.
    ClientAddress,
    /// The path.
    Path,
}

/// Consistent hashing, with its key.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashBalance {
    /// The key of a Ketama hash: `{header: X-User}`, `{cookie: sid}`, `client_address` or `path`.
    consistent_hash: HashKey,
}

impl FromWord for Balance {
    const EXPECTING: &'static str =
        "`round_robin`, `random`, `least_requests`, or a mapping such as `consistent_hash: client_address`";
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "round_robin" => Ok(Balance::RoundRobin),
            "random" => Ok(Balance::Random),
            "least_requests" => Ok(Balance::LeastRequests),
            "consistent_hash" => {
                Err("`consistent_hash` needs its key, such as `consistent_hash: client_address`".into())
            }
            _ => Err(format!("unknown balance `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["round_robin", "random", "least_requests"] })
    }
}

impl From<HashBalance> for Balance {
    fn from(form: HashBalance) -> Self {
        Balance::ConsistentHash(form.consistent_hash)
    }
}

impl From<&Balance> for WordOrMap<HashBalance> {
    fn from(value: &Balance) -> Self {
        match value {
            Balance::RoundRobin => WordOrMap::word("round_robin"),
            Balance::Random => WordOrMap::word("random"),
            Balance::LeastRequests => WordOrMap::word("least_requests"),
            Balance::ConsistentHash(key) => WordOrMap::Map(HashBalance { consistent_hash: key.clone() }),
        }
    }
}

word_or_map!(Balance, HashBalance);

/// What happens when every endpoint is unhealthy or ejected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllUnhealthy {
    /// Requests are balanced over all endpoints as if all were healthy, so that a wrong health check does not stop the
    /// service.
    #[default]
    UseAll,
    /// Requests are refused with 503.
    Refuse,
}

/// Active health checks: `http` or `tcp`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Health {
    /// A GET request whose response must have an expected status.
    Http(HttpProbe),
    /// A connection that must be established.
    Tcp(Probe),
}

/// Interval, timeout and thresholds of health checks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Time between two checks of an endpoint. Default `5s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interval: Option<Span>,
    /// Time for one check; at most `interval`. Default `2s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
    /// Successes in a row after which an unhealthy endpoint is healthy. 1 to 1000; default 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub healthy_after: Option<Count>,
    /// Failures in a row after which a healthy endpoint is unhealthy. 1 to 1000; default 3.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unhealthy_after: Option<Count>,
}

/// A GET request whose response must have an expected status.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// The path of the request. Default `/`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: Option<String>,
    /// The `Host` of the request. Default: `host:port` of the first endpoint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: Option<String>,
    /// Statuses that count as healthy, from 100 to 599. Default `[200]`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expected_status: Option<Vec<Count>>,
    /// Time between two checks of an endpoint. Default `5s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interval: Option<Span>,
    /// Time for one check; at most `interval`. Default `2s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
    /// Successes in a row after which an unhealthy endpoint is healthy. 1 to 1000; default 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub healthy_after: Option<Count>,
    /// Failures in a row after which a healthy endpoint is unhealthy. 1 to 1000; default 3.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unhealthy_after: Option<Count>,
}

/// Timeouts of connections and requests to endpoints.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Time to establish a connection, TLS included. Beyond: another endpoint, or 504. Default `2s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connect: Option<Span>,
    /// Time between two reads of the response, and from the whole request to its first byte. A client that pauses while it sends
    /// the request does not use it up: `body_idle` and `body_rate` bound that. Beyond: 504. Default `30s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub response: Option<Span>,
    /// Time between two writes of the request. Beyond: 504. Default `30s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub send: Option<Span>,
    /// Time that an unused connection is kept. It should be shorter than the keep-alive timeout of the service. Default
    /// `30s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub idle: Option<Span>,
    /// Longest time that an HTTP/1 connection may have been unused to carry a request that must not be repeated (see `retries`),
    /// such as a POST, or that can't be, because its body is longer than the 64 KiB that are kept of it. An origin may close the connection at the moment when the request is sent. If the
    /// kernel shows that no byte of the request had arrived, the request is sent again; otherwise it is unknown whether
    /// the origin has processed it. The value should be well below the keep-alive timeout of the service. An origin
    /// that closes connections sooner gets such requests on new connections only, for ten minutes. `0s`: always on a
    /// new connection, which excludes the problem, also for HTTP/2 origins; those announce the end of an idle connection. Default
    /// `1s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub idle_unsafe: Option<Span>,
    /// Time from the first attempt to the header of the response, over all attempts and the delays between them, without the
    /// time in which the client sends its request. Beyond: 504. Default: none; each attempt is bounded by `connect`, `response` and `retries.try_timeout`.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "or_none")]
    #[schemars(with = "OrNone<Span>")]
    pub request: Option<Span>,
}

/// TLS to the endpoints. The certificate and its name are always verified.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The server name that is sent (SNI) and that the certificate must have. Required.
    pub sni: String,
    /// A PEM file with the certificate authorities that are trusted. Default: those of the system.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ca: Option<String>,
    /// The client certificate for endpoints that ask for one. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_certificate: Option<super::listener::Certificate>,
}
