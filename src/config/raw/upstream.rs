//! The services behind the gateway: `upstreams`.

pub mod resilience;
mod source;
pub mod sticky;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::retries::Retries;
use super::shape::{FromWord, OneOrMany, WordOrMap, is_default, word_or_map};
use super::units::{Count, Span};
pub use source::{EndpointFile, EndpointSource, Services};

/// A named group of endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Where the service runs, one or a list of: `host:port` with an IP address or a DNS name, which stands for all its
    /// addresses; `{srv: NAME}` for what DNS names with ports and weights; `{file: PATH}` for what a file lists.
    pub endpoints: OneOrMany<EndpointSource>,
    /// How an endpoint is chosen. Default `round_robin`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub balance: Balance,
    /// Probes that find out which endpoints work. Default: none, every endpoint counts as healthy.
    #[serde(default, skip_serializing_if = "is_default")]
    pub health: Option<Health>,
    /// What to do when every endpoint is unhealthy or left out (`ejection`). Drained endpoints are not used in any case.
    /// Default `use_all`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub all_unhealthy: AllUnhealthy,
    /// Leaves endpoints out for a while that fail requests; `off` for never. Default: 5 connections in a row that could not be
    /// made leave an endpoint out for 10s, and nothing else does. What else fails is counted once `ejection` is written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ejection: Option<resilience::Ejection>,
    /// How long an endpoint takes to get its whole share, beginning with a tenth of it, when it joins: new in the file or by DNS
    /// while the upstream is in use, healthy or let in again, restored. `consistent_hash` does not heed it, since keys would
    /// move twice. Default: none, it gets its share at once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub slow_start: Option<Span>,
    /// Bounds on what the endpoints are asked at the same time. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub circuit_breaker: resilience::CircuitBreaker,
    /// The zone that this gateway runs in, such as `${ZONE}`. Within a priority, endpoints of this zone come first: those of
    /// other zones get requests once less than five sevenths of its weight is sound, in proportion to what is missing.
    /// Endpoints without a zone count as the gateway's own. Default: zones do not matter.
    #[serde(default, skip_serializing_if = "is_default")]
    pub zone: Option<String>,
    /// Leads a client back to its endpoint by a signed cookie. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sticky: Option<sticky::Sticky>,
    /// Bounds on waiting for an endpoint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: Timeouts,
    /// When a request is sent once more, or `off`. Default: to another endpoint when connecting fails, up to three tries.
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: Option<Retries>,
    /// Speak TLS to the endpoints, with verification.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls: Option<Tls>,
    /// Speak HTTP/2 to the endpoints: by ALPN with `tls`, with prior knowledge without. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http2: bool,
    /// How many requests share one HTTP/2 connection at a time. Default 100.
    #[serde(default, skip_serializing_if = "is_default")]
    pub http2_streams: Option<Count>,
    /// Begin each connection with a PROXY header of this version, `v1` or `v2`, that announces the request's client, before
    /// TLS. A connection is reused only for the same client, so expect more of them. Health probes announce nobody
    /// (`LOCAL`, `UNKNOWN`). Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProxyProtocol {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}

/// One address of an upstream, written `host:port` or with a weight.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// `host:port`
    pub address: String,
    /// Its share among the endpoints, 1 to 1000. Default 1.
    pub weight: Option<Count>,
    /// The tier that it stands in.
    pub priority: Option<Count>,
    /// Where it runs.
    pub zone: Option<String>,
}

/// An endpoint with its weight.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedEndpoint {
    /// `host:port`
    address: String,
    /// Its share among the endpoints, 1 to 1000. Default 1.
    #[serde(default, skip_serializing_if = "is_default")]
    weight: Option<Count>,
    /// The tier that it stands in, 0 to 100; those with 0 come first. A tier takes the requests that those before it leave: all
    /// of them while at least five sevenths of its weight is sound, and less in proportion below. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    priority: Option<Count>,
    /// The zone that it runs in, compared with the upstream's `zone`. Default: none.
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
    /// Each in turn, as often as its weight says.
    #[default]
    RoundRobin,
    /// Any, as likely as its weight says.
    Random,
    /// The less busy of two random ones.
    LeastRequests,
    /// The same one for the same key.
    ConsistentHash(HashKey),
}

/// What the hash is made of, so that equal values meet the same endpoint.
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

/// `consistent_hash` with its key.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashBalance {
    /// Ketama: what the hash is made of, such as `{header: X-User}`, `{cookie: sid}`, `client_address` or `path`.
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

/// What to do when every endpoint is unhealthy or left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AllUnhealthy {
    /// Balance over all of them as if all were healthy: a wrong probe does not take the service down.
    #[default]
    UseAll,
    /// Answer 503.
    Refuse,
}

/// Active health checks: `http` or `tcp`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Health {
    /// A GET that must answer with an expected status.
    Http(HttpProbe),
    /// A connection that must open.
    Tcp(Probe),
}

/// When and how often to probe.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Between two probes of an endpoint. Default 5s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interval: Option<Span>,
    /// For one probe. Default 2s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
    /// Successes in a row that make an unhealthy endpoint healthy. Default 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub healthy_after: Option<Count>,
    /// Failures in a row that make a healthy endpoint unhealthy. Default 3.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unhealthy_after: Option<Count>,
}

/// A GET that must answer with an expected status.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpProbe {
    /// Default `/`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: Option<String>,
    /// The `Host` to ask for. Default: the first endpoint's `host:port`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: Option<String>,
    /// The statuses that count as healthy. Default `[200]`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expected_status: Option<Vec<Count>>,
    /// Between two probes of an endpoint. Default 5s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub interval: Option<Span>,
    /// For one probe. Default 2s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
    /// Successes in a row that make an unhealthy endpoint healthy. Default 2.
    #[serde(default, skip_serializing_if = "is_default")]
    pub healthy_after: Option<Count>,
    /// Failures in a row that make a healthy endpoint unhealthy. Default 3.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unhealthy_after: Option<Count>,
}

/// Bounds on waiting for an endpoint. Every one has a default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timeouts {
    /// Opening a connection, TLS included. Beyond: another endpoint, or 504. Default 2s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub connect: Option<Span>,
    /// Between two reads of the answer, its first byte included. Beyond: 504. Default 30s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub response: Option<Span>,
    /// Between two writes of the request. Beyond: 504. Default 30s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub send: Option<Span>,
    /// How long an unused connection is kept. Set it below the service's own keep-alive. Default 30s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub idle: Option<Span>,
    /// How long an HTTP/1 connection may have been unused to carry a request that can't be repeated (see `retries`), such as a
    /// POST. An origin may end the connection at the moment at which the request is sent on it. Where the kernel can tell that
    /// none of the request had arrived by then, it is sent again; where the origin's machine had taken it and nobody has read
    /// it, nobody can know. So write what is well below the service's own keep-alive. An origin that is seen to end connections
    /// sooner gets no such request on a used connection for ten minutes. `0s`: always on a new connection, which rules it out. A
    /// request with a body of more than 64 KiB always gets one. Default 1s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub idle_unsafe: Option<Span>,
    /// From the first try to the header of the answer, over all tries and the waits between them. Beyond: 504. Default: none,
    /// each try is bounded by `connect`, `response` and `retries.try_timeout`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub request: Option<Span>,
}

/// TLS to the endpoints. The certificate and its name are always verified.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The name to ask for and to verify.
    pub sni: String,
    /// A PEM file with the authorities to trust instead of the system's.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ca: Option<String>,
    /// What to show an endpoint that asks for a client certificate.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_certificate: Option<super::listener::Certificate>,
}
