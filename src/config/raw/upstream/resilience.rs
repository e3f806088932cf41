//! How an upstream deals with endpoints that fail, join, or are as busy as they may be.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::raw::shape::{FromWord, OrNone, WordOrMap, is_default, or_none, word_or_map};
use crate::config::raw::units::{Count, Share, Span};

/// Whether failing endpoints are excluded for a time (outlier detection).
#[derive(Clone, Debug, PartialEq)]
pub enum Ejection {
    /// `off`: endpoints are never excluded.
    Off,
    /// By these rules.
    On(EjectionRules),
}

/// When a failing endpoint is excluded, and for how long.
///
/// When the time ends, one request is sent to the endpoint (half-open). If it succeeds, the endpoint is used again,
/// with `slow_start`; if it fails, the endpoint is excluded for twice as long. An endpoint that works for as long as it
/// was excluded last loses one doubling. Health checks do not end an ejection, and an ejection does not make an
/// endpoint unhealthy: an endpoint gets requests if it is healthy and not ejected. If every endpoint is ejected,
/// `all_unhealthy` applies.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EjectionRules {
    /// Failures in a row that exclude an endpoint: no connection, a broken connection, no response in time, or one of
    /// `statuses`. 1 to 1000; default 5.
    #[serde(default, skip_serializing_if = "is_default")]
    pub consecutive_failures: Option<Count>,
    /// Response statuses that count as a failure, from 500 to 599. Default `[502, 503, 504]`: a 500 is more often
    /// caused by a request than by an endpoint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub statuses: Option<Vec<Count>>,
    /// Excludes an endpoint that fails more often than the others. Default: error rates are not compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error_rate: Option<ErrorRate>,
    /// Duration of the first ejection. Default `10s`.
    #[serde(default, rename = "for", skip_serializing_if = "is_default")]
    pub first: Option<Span>,
    /// Longest duration of an ejection; at least `for`. Default `5m`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub longest: Option<Span>,
    /// Largest share of the endpoints that may be excluded at the same time, unhealthy and drained ones included. Of
    /// several endpoints, one may always be excluded; a single endpoint never is. Default `50%`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub most: Option<Share>,
}

/// Compares the error rate of an endpoint with that of the other endpoints together.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorRate {
    /// The time over which requests are counted. Default `10s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub window: Option<Span>,
    /// Requests within the window that a comparison needs, for the endpoint and for the others together. 1 to
    /// 1,000,000; default 20.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requests: Option<Count>,
    /// Smallest error rate that excludes an endpoint. Default `25%`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at_least: Option<Share>,
    /// Smallest ratio of the endpoint's error rate to that of the others. 2 to 100; default 3.
    #[serde(default, skip_serializing_if = "is_default")]
    pub times: Option<Count>,
}

impl FromWord for Ejection {
    const EXPECTING: &'static str = "`off`, or a mapping such as `{consecutive_failures: 5, for: 10s}`";
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "off" => Ok(Ejection::Off),
            _ => Err(format!("unknown ejection `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        // YAML 1.1 reads a bare `off` as false.
        json_schema!({ "enum": ["off", false] })
    }
}

impl From<EjectionRules> for Ejection {
    fn from(rules: EjectionRules) -> Self {
        Ejection::On(rules)
    }
}

impl From<&Ejection> for WordOrMap<EjectionRules> {
    fn from(value: &Ejection) -> Self {
        match value {
            Ejection::Off => WordOrMap::word("off"),
            Ejection::On(rules) => WordOrMap::Map(rules.clone()),
        }
    }
}

word_or_map!(Ejection, EjectionRules);

/// Bounds on concurrent requests to an upstream and its endpoints. A request counts from the choice of its endpoint
/// until it ends; a tunnel too. Requests are not queued: beyond a bound, a request goes to another endpoint or is
/// refused at once. Failures do not close the whole upstream; `ejection` excludes single endpoints.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Concurrent requests to all endpoints together. Beyond: 503 (`upstream_overloaded`). 1 to 10,000,000; default: no
    /// bound.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "or_none")]
    #[schemars(with = "OrNone<Count>")]
    pub requests: Option<Count>,
    /// Concurrent requests to one endpoint. Beyond: another endpoint is chosen; if all have reached the bound: 503
    /// (`upstream_overloaded`). 1 to 10,000,000; default: no bound.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "or_none")]
    #[schemars(with = "OrNone<Count>")]
    pub requests_per_endpoint: Option<Count>,
}
