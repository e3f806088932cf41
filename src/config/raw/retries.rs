//! When a request is sent to an origin once more: `retries`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::shape::{FromWord, OneOrMany, WordOrMap, is_default, word_or_map};
use super::units::{Count, Rate, Share, Span};

/// `off`, or when the requests to an upstream are sent once more.
#[derive(Clone, Debug, PartialEq)]
pub enum Retries {
    /// Nothing is tried again.
    Off,
    /// As written.
    On(Box<UpstreamRetries>),
}

/// `off`, or what a route says otherwise than its upstream.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteRetries {
    /// Nothing is tried again.
    Off,
    /// As written.
    On(Box<OwnRetries>),
}

/// When the requests to an upstream are sent once more.
///
/// Whatever stands here: a request that may have had its effect is only repeated if its method is idempotent (GET, HEAD, OPTIONS,
/// PUT, DELETE) or its route vouches for it (`unsafe`); nothing is repeated once something of an answer has reached the
/// client, nor a request of which more than 64 KiB of body were read. An endpoint that was not tried comes before one that
/// was. What an HTTP/2 origin refuses unprocessed (`REFUSED_STREAM`, `GOAWAY`) is repeated whatever its method. The last
/// failure is the one that the client sees.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamRetries {
    /// Tries of one request in all; 1 means no second try. Default 3, at most 10.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Option<Count>,
    /// What is worth another try: `connect` (no connection could be made: nothing was sent, so any method may go to another
    /// endpoint), `reset` (the connection broke before an answer), `timeout` (no answer within `try_timeout` or
    /// `timeouts.response`), and statuses from 400 to 599 of the origin's answer. Default `[connect]`; a pooled connection that the
    /// origin had closed is made good in any case.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on: Option<OneOrMany<RetryOn>>,
    /// Retries that send an origin more than it was asked, as a share of the upstream's requests in the last ten seconds.
    /// Beyond: the failure is the answer. Default `20%`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budget: Option<Share>,
    /// Retries that are allowed whatever the share. Default `3/s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub budget_floor: Option<Rate>,
    /// The wait before a retry that sends an origin more than it was asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: Option<Backoff>,
    /// From an endpoint's choice to the header of its answer, for one try. Over HTTP/2 it bounds the silence within the
    /// answer's body too. Default: none; `timeouts.response` bounds the silence.
    #[serde(default, skip_serializing_if = "is_default")]
    pub try_timeout: Option<Span>,
}

/// What a route says otherwise than its upstream, by name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnRetries {
    /// Tries of one request in all; 1 means no second try. At most 10.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts: Option<Count>,
    /// What is worth another try: `connect`, `reset`, `timeout`, and statuses from 400 to 599.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on: Option<OneOrMany<RetryOn>>,
    /// The wait before a retry that sends an origin more than it was asked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub backoff: Option<Backoff>,
    /// From an endpoint's choice to the header of its answer, for one try.
    #[serde(default, skip_serializing_if = "is_default")]
    pub try_timeout: Option<Span>,
    /// Only requests of these methods are repeated after they may have had an effect. Default: the idempotent ones, and with
    /// `unsafe` all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub methods: OneOrMany<String>,
    /// By `true` you vouch that the origin can be sent any request of this route twice, POST included, because it tells
    /// repeated ones by an idempotency key or has no effects. Default false.
    #[serde(default, rename = "unsafe", skip_serializing_if = "is_default")]
    pub vouched: bool,
}

/// The wait between two tries: any time between nothing and a bound that begins with `first` and doubles up to `longest`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backoff {
    /// Default 25ms.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first: Option<Span>,
    /// An origin that asks for a longer wait by `Retry-After` is not tried again. Default 250ms, at most 10s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub longest: Option<Span>,
}

/// What is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection could be made.
    Connect,
    /// The connection broke before an answer.
    Reset,
    /// No answer came in time.
    Timeout,
    /// The origin answered with this status.
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
