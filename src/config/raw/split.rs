//! One route, several upstreams: a route's `upstream: {split: …}` and its `mirror`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::route::Value;
use super::shape::{FromWord, OneOrMany, WordOrMap, is_default, word_or_map};
use super::units::{Count, Share, Size, Span};

/// Where a route's requests go.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// All of them to the upstream of this name.
    Upstream(String),
    /// Each to one of several.
    Split(Split),
}

/// Several upstreams, of which each request goes to one.
///
/// A condition of `when` decides first; the sides are asked in the order of the file. What no condition claims is shared
/// out: the sides with a `share` lie one after the other, in the order of the file, and the rest takes what is left. With
/// `sticky_by` a caller has a fixed place there, the same on every gateway, after every restart and on every route. So a
/// share that grows keeps those that it had; to move nobody between other sides, change the last one.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The sides. Exactly one of them has no `share`: it is the rest.
    pub split: Vec<Side>,
    /// What keeps a caller on one side: `principal` (needs an `identity`), `client_address` (an IPv6 client by its /64),
    /// `{header: NAME}` or `{cookie: NAME}`; a request without that header or cookie goes by its client address. Default
    /// `none`: chance decides for each request.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sticky_by: StickyBy,
    /// What happens to a request whose side can't be used: every endpoint is unhealthy, unknown to DNS, or was tried and
    /// gave no connection. Default `rest`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when_unavailable: WhenUnavailable,
}

/// A side of a split.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The name of the upstream.
    pub upstream: String,
    /// Its share of the requests that no condition claims, from `0%` to `100%`. Without it, the side is the rest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub share: Option<Share>,
    /// Requests that go here whatever the shares say: any one of the conditions is enough. Whoever knows a condition can
    /// fulfil it; where that matters, ask for it in the `match` of a route with its own `access` instead.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when: Vec<When>,
}

/// A condition on a header or a cookie. Exactly one of `header` and `cookie`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The name of a request header.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Option<String>,
    /// The name of a cookie.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cookie: Option<String>,
    /// `"1"`, `{regex: …}` or `{present: false}`. One that is sent twice has no value. Default `{present: true}`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: Option<Value>,
}

/// What happens to a request whose side of a split can't be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenUnavailable {
    /// It goes to the rest of the split, and is counted (`portcullis_upstream_fallbacks_total`).
    #[default]
    Rest,
    /// It is answered as if the side were the only upstream, with 502, 503 or 504: for sides that must not be confused.
    Refuse,
}

/// What keeps a caller on one side.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum StickyBy {
    /// Nothing: chance decides for each request.
    #[default]
    None,
    /// The recognised caller.
    Principal,
    /// The client's address; an IPv6 client by its /64.
    ClientAddress,
    /// The value of this request header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
}

/// What keeps a caller on one side, taken from the request.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StickyByValue {
    /// The value of this request header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
}

/// Copies of admitted requests for another upstream. They never delay, fail or change the real ones.
///
/// A copy has the headers that the origin is shown, with `X-Portcullis-Mirror: 1` and `-mirror` after the request's id, and
/// the whole body. It is tried once, and its answer is read and thrown away; how it ended, `portcullis_mirrored_total` says.
/// Upgrades and requests with `Expect` are never copied, nor is what goes to the mirror's upstream anyway.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The name of the upstream that gets the copies.
    pub upstream: String,
    /// Which share of the requests is copied. Default `100%`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub share: Option<Share>,
    /// Which methods. Default `[GET, HEAD, OPTIONS]`, which change nothing. A POST that is copied is carried out twice: name
    /// it only where the mirror's upstream has data of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub methods: OneOrMany<String>,
    /// Requests with larger bodies are not copied. Copies wait in memory: `concurrent` times this much at most. Default
    /// 64KiB, at most 16MiB.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body: Option<Size>,
    /// For a copy and its whole answer. Default 5s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
    /// Copies of this route at a time, those whose body is still coming among them; a request that comes beyond is not
    /// copied. Default 100, at most 10000.
    #[serde(default, skip_serializing_if = "is_default")]
    pub concurrent: Option<Count>,
}

impl FromWord for Destination {
    const EXPECTING: &'static str = "the name of an upstream, or `{split: […]}`";
    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Destination::Upstream(word.to_owned()))
    }
}

impl From<Split> for Destination {
    fn from(form: Split) -> Self {
        Destination::Split(form)
    }
}

impl From<&Destination> for WordOrMap<Split> {
    fn from(value: &Destination) -> Self {
        match value {
            Destination::Upstream(name) => WordOrMap::word(name),
            Destination::Split(split) => WordOrMap::Map(split.clone()),
        }
    }
}

word_or_map!(Destination, Split);

impl FromWord for StickyBy {
    const EXPECTING: &'static str = "`principal`, `client_address`, `none`, `{header: NAME}` or `{cookie: NAME}`";
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "none" => Ok(StickyBy::None),
            "principal" => Ok(StickyBy::Principal),
            "client_address" => Ok(StickyBy::ClientAddress),
            _ => Err(format!("unknown key `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        json_schema!({ "enum": ["none", "principal", "client_address"] })
    }
}

impl From<StickyByValue> for StickyBy {
    fn from(form: StickyByValue) -> Self {
        match form {
            StickyByValue::Header(name) => StickyBy::Header(name),
            StickyByValue::Cookie(name) => StickyBy::Cookie(name),
        }
    }
}

impl From<&StickyBy> for WordOrMap<StickyByValue> {
    fn from(value: &StickyBy) -> Self {
        match value {
            StickyBy::None => WordOrMap::word("none"),
            StickyBy::Principal => WordOrMap::word("principal"),
            StickyBy::ClientAddress => WordOrMap::word("client_address"),
            StickyBy::Header(name) => WordOrMap::Map(StickyByValue::Header(name.clone())),
            StickyBy::Cookie(name) => WordOrMap::Map(StickyByValue::Cookie(name.clone())),
        }
    }
}

word_or_map!(StickyBy, StickyByValue);

impl Destination {
    /// The names of the upstreams.
    pub fn upstreams(&self) -> impl Iterator<Item = &str> {
        let (one, sides) = match self {
            Destination::Upstream(name) => (Some(name.as_str()), [].as_slice()),
            Destination::Split(split) => (None, split.split.as_slice()),
        };
        one.into_iter().chain(sides.iter().map(|side| side.upstream.as_str()))
    }
}
