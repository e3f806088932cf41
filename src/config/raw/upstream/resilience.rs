//! How an upstream deals with endpoints that fail, join, or are as busy as they may be.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use crate::config::raw::shape::{FromWord, WordOrMap, is_default, word_or_map};
use crate::config::raw::units::{Count, Share, Span};

/// Whether endpoints that fail requests are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Ejection {
    /// `off`: never.
    Off,
    /// By these rules.
    On(EjectionRules),
}

/// When an endpoint is left out for the requests that it fails, and for how long.
///
/// When its time is over it is half-open: one request is its trial. If that succeeds, the endpoint is back (and
/// `slow_start` applies); if it fails, the endpoint is left out again, for twice as long. Serving for as long as it was left
/// out last takes one doubling back. Health probes do not end an ejection, and an ejection does not make an endpoint
/// unhealthy: who takes requests has passed both. While every endpoint is left out, `all_unhealthy` says what happens.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EjectionRules {
    /// Failures in a row that leave an endpoint out: no connection, a broken one, no answer in time, or one of `statuses`.
    /// Default 5.
    #[serde(default, skip_serializing_if = "is_default")]
    pub consecutive_failures: Option<Count>,
    /// The statuses of an answer that count as a failure, from 500 to 599. Default `[502, 503, 504]`: a 500 is more often the
    /// fault of a request than of an endpoint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub statuses: Option<Vec<Count>>,
    /// Leaves out an endpoint that fails more often than the others. Default: nobody is compared.
    #[serde(default, skip_serializing_if = "is_default")]
    pub error_rate: Option<ErrorRate>,
    /// How long an endpoint is left out the first time. Default 10s.
    #[serde(default, rename = "for", skip_serializing_if = "is_default")]
    pub first: Option<Span>,
    /// How long an endpoint is left out at most. Default 5m.
    #[serde(default, skip_serializing_if = "is_default")]
    pub longest: Option<Span>,
    /// How many of the endpoints may be left out at a time, those that are unhealthy or drained included. One of several always
    /// may, the only one never. Default `50%`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub most: Option<Share>,
}

/// Compares an endpoint's share of failed requests with that of the others together.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorRate {
    /// How far to look back. Default 10s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub window: Option<Span>,
    /// Requests within the window that a comparison needs, of the endpoint and of the others together. Default 20.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requests: Option<Count>,
    /// The share of its requests that an endpoint must fail at least. Default `25%`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub at_least: Option<Share>,
    /// How many times the others' share it must be at least, 2 to 100. Default 3.
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

/// Bounds on what an upstream and its endpoints are asked at the same time. A request counts from the choice of its endpoint
/// until it ends, a tunnel too. Nothing waits: what is beyond a bound is passed on or refused at once. There is no breaker
/// that closes the whole upstream because of failures: `ejection` closes endpoints, one by one.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Requests at a time to all endpoints together. Beyond: 503 (`upstream_overloaded`). Default: no bound.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requests: Option<Count>,
    /// Requests at a time to one endpoint. Beyond: another endpoint is chosen; with all of them at their bound: 503
    /// (`upstream_overloaded`). Default: no bound.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requests_per_endpoint: Option<Count>,
}
