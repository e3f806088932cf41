//! How much a caller may ask for: `limits`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape::{FromWord, WordOrMap, is_default, word_or_map};
use super::units::{Count, Rate};

/// One limit: a rate, with a burst, or a number of concurrent requests.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The name of the limit: 1 to 64 letters, digits, `.`, `_` and `-`, unique within its list. On a route, it
    /// replaces the inherited limit of the same name.
    pub name: String,
    /// What has its own count: `client_address` (default), `principal`, `route`, `gateway` or `{header: NAME}`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: Option<Key>,
    /// Requests per period, such as `50/s`. Tokens are refilled evenly over the period.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate: Option<Rate>,
    /// Number of requests that may arrive at once before the rate limits them. Default: the number of the rate.
    #[serde(default, skip_serializing_if = "is_default")]
    pub burst: Option<Count>,
    /// Number of requests in progress at the same time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub concurrent: Option<Count>,
    /// When the limit counts a request: `before_identity`, so that requests with bad credentials count too, or
    /// `after_identity`, so that only requests count which identity and authorization let pass. Default: `after_identity`
    /// for the key `principal`, `before_identity` for every other key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phase: Option<Phase>,
    /// `enforce` (default) refuses the request; `report` logs and counts it and lets it pass.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// On a route: disables the inherited limit of this name, with this reason.
    #[serde(default, skip_serializing_if = "is_default")]
    pub off: Option<String>,
}

/// When a limit counts a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before the caller is identified.
    BeforeIdentity,
    /// After identity and authorization.
    AfterIdentity,
}

/// What happens to a request that a rule refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The request is refused.
    #[default]
    Enforce,
    /// The request is logged and counted, and passes.
    Report,
}

/// What a limit counts separately.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// Each client address; for IPv6, each /64 network.
    ClientAddress,
    /// Each authenticated caller. The route must have an `identity`.
    Principal,
    /// Each value of this request header. A request without the header is counted by its client address.
    Header(String),
    /// Each route.
    Route,
    /// All requests together.
    Gateway,
}

/// A key that is taken from the request.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RequestKey {
    /// Each value of this request header. A request without the header is counted by its client address.
    Header(String),
}

impl FromWord for Key {
    const EXPECTING: &'static str = "`client_address`, `principal`, `route`, `gateway`, or `{header: NAME}`";
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "client_address" => Ok(Key::ClientAddress),
            "principal" => Ok(Key::Principal),
            "route" => Ok(Key::Route),
            "gateway" => Ok(Key::Gateway),
            _ => Err(format!("unknown key `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["client_address", "principal", "route", "gateway"] })
    }
}

impl From<RequestKey> for Key {
    fn from(form: RequestKey) -> Self {
        match form {
            RequestKey::Header(name) => Key::Header(name),
        }
    }
}

impl From<&Key> for WordOrMap<RequestKey> {
    fn from(value: &Key) -> Self {
        match value {
            Key::ClientAddress => WordOrMap::word("client_address"),
            Key::Principal => WordOrMap::word("principal"),
            Key::Header(name) => WordOrMap::Map(RequestKey::Header(name.clone())),
            Key::Route => WordOrMap::word("route"),
            Key::Gateway => WordOrMap::word("gateway"),
        }
    }
}

word_or_map!(Key, RequestKey);
