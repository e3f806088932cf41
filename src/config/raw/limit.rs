//! How much a caller may ask for: `limits`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape::{FromWord, WordOrMap, is_default, word_or_map};
use super::units::{Count, Rate};

/// One limit: a rate (with a burst) or a number of requests at the same time.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// 1 to 64 letters, digits, `.`, `_` and `-`; unique within its list. A route's limit replaces the inherited one of
    /// the same name.
    pub name: String,
    /// What is counted separately. Default `client_address`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: Option<Key>,
    /// Requests per time, refilled evenly, such as `50/s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate: Option<Rate>,
    /// How many may come at once before the rate binds. Default: the rate's number.
    #[serde(default, skip_serializing_if = "is_default")]
    pub burst: Option<Count>,
    /// Requests in progress at the same time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub concurrent: Option<Count>,
    /// When it counts a request: `before_identity`, so that requests with bad credentials count too, or `after_identity`,
    /// so that only those count which identity and authorization let pass. Default: `after_identity` for `principal`,
    /// `before_identity` for every other key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub phase: Option<Phase>,
    /// `enforce` (default), or `report`: decide, log and count, but let the request pass.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// On a route: switches the inherited limit of this name off, for this reason.
    #[serde(default, skip_serializing_if = "is_default")]
    pub off: Option<String>,
}

/// When a limit counts a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before anyone asks who the caller is.
    BeforeIdentity,
    /// Once identity and authorization have let it pass.
    AfterIdentity,
}

/// What happens to a request that is to be refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Refuse it.
    #[default]
    Enforce,
    /// Log and count it, and let it pass.
    Report,
}

/// What a limit counts separately.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// Each client address; an IPv6 client by its /64.
    ClientAddress,
    /// Each recognised caller. Needs an `identity` on the route.
    Principal,
    /// Each value of this request header; a request without it is counted by its client address.
    Header(String),
    /// Each route.
    Route,
    /// Everything together.
    Gateway,
}

/// A key taken from the request.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RequestKey {
    /// Each value of this request header; a request without it is counted by its client address.
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
