//! One route, several upstreams: a route's `upstream: {split: …}` and its `mirror`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::matching::ValueMatch;
use super::shape::{FromWord, OneOrMany, WordOrMap, is_default, word_or_map};
use super::units::{Count, Share, Size, Span};

/// The upstream or upstreams of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// All requests go to the upstream of this name.
    Upstream(String),
    /// Each request goes to one of several upstreams.
    Split(Split),
}

/// Several upstreams, one of which each request goes to.
///
/// The conditions of `when` decide first, in the order of the file. Requests that no condition matches are divided by
/// `share`; the upstream without a `share` takes the rest. With `sticky_by`, a caller has a fixed position in the order
/// of the shares, which is the same on every gateway, after every restart and on every route. A share that grows keeps
/// the callers that it had. To move no caller between other upstreams, change the last share.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// The upstreams. Exactly one of them has no `share` and takes the rest.
    pub split: Vec<Side>,
    /// What determines a caller's position: `principal` (needs an `identity`), `client_address` (for IPv6, the /64
    /// network), `{header: NAME}` or `{cookie: NAME}`; a request without that header or cookie is placed by its client
    /// address. Default `none`: each request is placed at random.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sticky_by: StickyBy,
    /// What happens to a request whose upstream is not usable: every endpoint is unhealthy, cannot be resolved, or was
    /// tried and refused the connection. `rest` (default) or `refuse`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub when_unavailable: WhenUnavailable,
}

/// One upstream of a split.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The name of the upstream.
    pub upstream: String,
    /// Share of the requests that no condition matches, from `0%` to `100%`. The upstream without it takes the rest.
    #[serde(default, skip_serializing_if = "is_default")]
    pub share: Option<Share>,
    /// Conditions; a request that fulfils one of them goes to this upstream whatever the shares. A client that knows a
    /// condition can fulfil it. To restrict who may do so, use the `match` of a separate route with its own `access`.
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
    /// `"1"`, `{regex: …}` or `{present: false}`. A header or cookie that is sent twice has no value. Default
    /// `{present: true}`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: Option<ValueMatch>,
}

/// What happens to a request whose upstream of a split is not usable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenUnavailable {
    /// The request goes to the upstream that takes the rest, and is counted in `portcullis_upstream_fallbacks_total`.
    #[default]
    Rest,
    /// The request is answered with 502, 503 or 504, as if the upstream were the only one.
    Refuse,
}

/// What determines a caller's position in a split.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum StickyBy {
    /// Nothing: each request is placed at random.
    #[default]
    None,
    /// The authenticated caller.
    Principal,
    /// The client address; for IPv6, its /64 network.
    ClientAddress,
    /// The value of this request header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
}

/// What determines a caller's position in a split, taken from the request.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StickyByValue {
    /// The value of this request header.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
}

/// Copies of admitted requests for another upstream. They do not delay, fail or change the original requests.
///
/// A copy has the header and the body that the origin receives, with `X-Portcullis-Mirror: 1` and `-mirror` after the
/// request id. It is sent once, and its response is read and discarded. `portcullis_mirrored_total` counts the copies
/// by result. Upgrades and requests with `Expect` are not copied, nor is a request whose own upstream is the mirror's.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The name of the upstream that receives the copies.
    pub upstream: String,
    /// Share of the requests that is copied. Default `100%`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub share: Option<Share>,
    /// Methods of requests that are copied. Default `[GET, HEAD, OPTIONS]`. A copied POST is executed twice: name such
    /// methods only if the mirror's upstream has its own data.
    #[serde(default, skip_serializing_if = "is_default")]
    pub methods: OneOrMany<String>,
    /// Largest body of a request that is copied. Copies are held in memory: up to `concurrent` times this size. Default
    /// `64KiB`, at most `16MiB`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body: Option<Size>,
    /// Time for a copy and its whole response. Default `5s`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Span>,
    /// Number of copies of this route at the same time, those whose body is still being received included. Further
    /// requests are not copied. 1 to 10,000; default 100.
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
