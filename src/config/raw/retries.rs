//! When a request is sent to an origin once more: `retries`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::shape::{FromWord, OneOrMany, OrNone, WordOrMap, is_default, or_none, word_or_map};
use super::units::{Count, Rate, Share, Span};

/// `off`, or when requests to an upstream are retried.
#[derive(Clone, Debug, PartialEq)]
pub enum Retries {
    /// No request is retried.
    Off,
    /// As written.
    On(Box<UpstreamRetries>),
}

/// `off`, or the settings that differ from those of the upstream.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteRetries {
    /// No request is retried.
    Off,
    /// As written.
    On(Box<OwnRetries>),
}

/// When requests to an upstream are retried.
///
/// Regardless of these settings: a request that the origin may have processed is retried only if its method is
/// idempotent (GET, HEAD, OPTIONS, PUT, DELETE) or its route permits it (`unsafe`). A request is not retried once a
/// part of the response has reached the client, or once more than 64 KiB of its body have been read. An endpoint that
/// was not tried takes precedence over one that was. A request that an HTTP/2 origin has not processed
/// (`REFUSED_STREAM`, `GOAWAY`), or that did not reach the origin before it had closed the connection, is retried whatever its
/// method. The client receives the last failure.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamRetries {
    /// Number of attempts for one request, the first included; 1 disables retries. 1 to 10; default 3.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Option<Count>,
    /// Failures that are retried: `connect` (no connection was made, nothing was sent, so requests of any method go to
    /// another endpoint), `reset` (the connection broke before a response), `timeout` (no response within `try_timeout`
    /// or `timeouts.response`), and response statuses from 400 to 599. Default `[connect]`. A request that fails
    /// because the origin had closed a pooled connection is sent again in any case.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on: Option<OneOrMany<RetryOn>>,
    /// Largest number of retries that repeat a request to an origin, as a share of the upstream's requests in the last
    /// ten seconds. Beyond it, the client receives the failure. Default `20%`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budget: Option<Share>,
    /// Rate of retries that is permitted whatever `budget` says. Default `3/s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budget_floor: Option<Rate>,
    /// The delay before a retry that repeats a request to an origin.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: Option<Backoff>,
    /// Time for one attempt, from the choice of the endpoint to the header of its response, without the time in which the client
    /// sends its request. Default: none; `timeouts.response` bounds the time between two reads.
    #[serde(default, skip_serializing_if = "is_default", deserialize_with = "or_none")]
    #[schemars(with = "OrNone<Span>")]
    pub try_timeout: Option<Span>,
}

/// The settings of a route that differ from those of its upstream.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnRetries {
    /// Number of attempts for one request, the first included; 1 disables retries. 1 to 10.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Option<Count>,
    /// Failures that are retried: `connect`, `reset`, `timeout`, and response statuses from 400 to 599.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on: Option<OneOrMany<RetryOn>>,
    /// The delay before a retry that repeats a request to an origin.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: Option<Backoff>,
    /// Time for one attempt, from the choice of the endpoint to the header of its response, without the time in which the client
    /// sends its request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub try_timeout: Option<Span>,
    /// Methods of requests that are retried after the origin may have processed them. Default: the idempotent methods;
    /// with `unsafe`, all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub methods: OneOrMany<String>,
    /// Whether the origin accepts any request of this route twice, POST included, because it detects repetitions by an
    /// idempotency key or has no effects. Default false.
    #[serde(default, rename = "unsafe", skip_serializing_if = "is_default")]
    pub vouched: bool,
}

/// The delay between two attempts: a random time between zero and a bound that begins with `first` and doubles up to
/// `longest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// The bound of the first delay. Default `25ms`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first: Option<Span>,
    /// The largest bound of a delay. An origin that asks for a longer delay by `Retry-After` is not tried again.
    /// Default `250ms`, at most `10s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub longest: Option<Span>,
}

/// A failure that is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection could be made.
    Connect,
    /// The connection broke before a response.
    Reset,
    /// No response came in time.
    Timeout,
    /// The origin responded with this status.
    Status(u64),
}

impl<'de> Deserialize<'de> for RetryOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrStatus;
        impl Visitor<'_> for WordOrStatus {
            type Value = RetryOn;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("`connect`, `reset`, `timeout` or a status")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<RetryOn, E> {
                match word.trim() {
                    "connect" => Ok(RetryOn::Connect),
                    "reset" => Ok(RetryOn::Reset),
                    "timeout" => Ok(RetryOn::Timeout),
                    other => other.parse().map(RetryOn::Status).map_err(|_| {
                        E::custom(format!("`{other}` is not one of `connect`, `reset`, `timeout` and statuses"))
                    }),
                }
            }
            fn visit_u64<E: Error>(self, status: u64) -> Result<RetryOn, E> {
                Ok(RetryOn::Status(status))
            }
        }
        deserializer.deserialize_any(WordOrStatus)
    }
}

impl Serialize for RetryOn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RetryOn::Connect => serializer.serialize_str("connect"),
            RetryOn::Reset => serializer.serialize_str("reset"),
            RetryOn::Timeout => serializer.serialize_str("timeout"),
            RetryOn::Status(status) => serializer.serialize_u64(*status),
        }
    }
}

impl JsonSchema for RetryOn {
    fn schema_name() -> Cow<'static, str> {
        "RetryOn".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "What is worth another try.",
            "anyOf": [
                { "enum": ["connect", "reset", "timeout"] },
                { "type": "integer", "minimum": 400, "maximum": 599 },
                { "type": "string", "pattern": r"^\d+$|\$\{" },
            ],
        })
    }
}

fn off(word: &str, expecting: &str) -> Result<(), String> {
    if word == "off" { Ok(()) } else { Err(format!("expected {expecting}, not `{word}`")) }
}

impl FromWord for Retries {
    const EXPECTING: &'static str = "`off` or a mapping such as `{attempts: 2, on: [connect, 503]}`";
    fn from_word(word: &str) -> Result<Self, String> {
        off(word, Self::EXPECTING).map(|()| Retries::Off)
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["off", false] })
    }
}

impl From<UpstreamRetries> for Retries {
    fn from(form: UpstreamRetries) -> Self {
        Retries::On(Box::new(form))
    }
}

impl From<&Retries> for WordOrMap<UpstreamRetries> {
    fn from(value: &Retries) -> Self {
        match value {
            Retries::Off => WordOrMap::word("off"),
            Retries::On(form) => WordOrMap::Map((**form).clone()),
        }
    }
}

word_or_map!(Retries, UpstreamRetries);

impl FromWord for RouteRetries {
    const EXPECTING: &'static str = "`off` or a mapping such as `{attempts: 2, on: [connect, 503]}`";
    fn from_word(word: &str) -> Result<Self, String> {
        off(word, Self::EXPECTING).map(|()| RouteRetries::Off)
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["off", false] })
    }
}

impl From<OwnRetries> for RouteRetries {
    fn from(form: OwnRetries) -> Self {
        RouteRetries::On(Box::new(form))
    }
}

impl From<&RouteRetries> for WordOrMap<OwnRetries> {
    fn from(value: &RouteRetries) -> Self {
        match value {
            RouteRetries::Off => WordOrMap::word("off"),
            RouteRetries::On(form) => WordOrMap::Map((**form).clone()),
        }
    }
}

word_or_map!(RouteRetries, OwnRetries);
