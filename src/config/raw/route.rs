//! Which request goes where: `routes`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::access::Access;
use super::address::Addresses;
use super::limit::Limit;
use super::response::{ErrorPage, Framing, Headers};
use super::retries::RouteRetries;
use super::shape::{Entries, FromWord, OneOrMany, OrOff, word_or_map};
use super::split::{Destination, Mirror};
use super::units::{Count, Size, Span, Speed};

/// A set of requests and what happens to them. Exactly one of `upstream`, `respond` and `redirect`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Used in logs, metrics and messages. Unique.
    pub name: String,
    /// Which requests. Default: all.
    #[serde(rename = "match", default)]
    pub matches: Match,
    /// Which client addresses may use it. The others get 403 (`address_denied`) before anyone asks who they are. A client
    /// behind one of the `trusted_proxies` counts by the address that the proxy names. Default: all.
    #[serde(default)]
    pub addresses: Option<Addresses>,
    /// Who may use it. Required: write `public` to let everyone in.
    #[serde(default)]
    pub access: Option<Access>,
    /// Added to the inherited limits; one of the same name replaces the inherited.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// Forward to this upstream, or to several by `{split: […]}`, as for a canary.
    #[serde(default)]
    pub upstream: Option<Destination>,
    /// When its requests are sent to the origin once more, or `off`. What is not written is as the upstream says.
    #[serde(default)]
    pub retries: Option<RouteRetries>,
    /// Send copies of the admitted requests to another upstream too, whose answers nobody sees.
    #[serde(default)]
    pub mirror: Option<Mirror>,
    /// Answer without an origin.
    #[serde(default)]
    pub respond: Option<Respond>,
    /// Send the client elsewhere.
    #[serde(default)]
    pub redirect: Option<Redirect>,
    /// What the origin sees instead of the client's host and path.
    #[serde(default)]
    pub rewrite: Option<Rewrite>,
    /// Overrides the inherited operations by header name.
    #[serde(default)]
    pub response_headers: Headers,
    /// Who may put the answers into a frame. Default: as the file says.
    #[serde(default)]
    pub framing: Option<Framing>,
    /// Overrides the inherited pages by key.
    #[serde(default)]
    pub error_pages: Entries<ErrorPage>,
    /// Largest request body. Default: `bounds.body`.
    #[serde(default)]
    pub body: Option<Size>,
    /// Longest silence within a request body, or `{off: reason}`, as for streams on which a client may have nothing to say for
    /// long. Default: `bounds.body_idle`.
    #[serde(default)]
    pub body_idle: Option<OrOff<Span>>,
    /// Slowest request body, or `{off: reason}`. Default: `bounds.body_rate`.
    #[serde(default)]
    pub body_rate: Option<OrOff<Speed>>,
    /// What becomes of a path with encoded separators, such as `/files/a%2Fb`. Default `reject`, since some origins take
    /// `%2F` and `%5C` for separators and others do not. Dot segments between them are refused whatever this says.
    #[serde(default)]
    pub encoded_separators: EncodedSeparators,
}

/// What becomes of a path with encoded separators (`%2F`, `%5C`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncodedSeparators {
    /// Answer 400.
    #[default]
    Reject,
    /// Match and forward them encoded, so that a `{parameter}` may hold them. By this you vouch that the origin never takes
    /// them for separators: one that does would serve `/files/admin/x` to whoever may ask for `/files/{name}`.
    Keep,
    /// Match and forward the path with each `%2F` as `/`. A path with `%5C` or with an escape of an escape (`%252F`) is
    /// refused.
    Decode,
}

/// Which requests a route takes. Everything given must match.
///
/// Where several routes match, the more specific one wins: host (exact, then wildcard, then any), path (exact, then with
/// parameters, then regular expression, then prefix; a longer prefix first), methods given before any method, more header
/// conditions, more query conditions. Two routes that tie are refused when the file is loaded.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// `api.example.com`, or `*.example.com` for every name below it. Default: any host.
    #[serde(default)]
    pub host: OneOrMany<String>,
    /// `/exact`, `/v1/orders/{id}` (a parameter is one whole segment), `/static/*` (everything below), or
    /// `{regex: "…"}` for the whole path. Default: any path.
    #[serde(default)]
    pub path: OneOrMany<Path>,
    /// Default: any method.
    #[serde(default)]
    pub methods: OneOrMany<String>,
    /// By header name.
    #[serde(default)]
    pub headers: Entries<Value>,
    /// By name of the query parameter.
    #[serde(default)]
    pub query: Entries<Value>,
}

/// A path pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum Path {
    /// `/exact`, `/with/{parameter}` or `/prefix/*`.
    Pattern(String),
    /// A regular expression for the whole normalised path.
    Regex(String),
}

/// A regular expression for the whole path.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegexPath {
    /// Must match the whole normalised path.
    regex: String,
}

impl FromWord for Path {
    const EXPECTING: &'static str = "a path such as `/v1/orders/{id}` or `/static/*`, or `{regex: …}`";
    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Path::Pattern(word.to_owned()))
    }
}

impl From<RegexPath> for Path {
    fn from(form: RegexPath) -> Self {
        Path::Regex(form.regex)
    }
}

word_or_map!(Path, RegexPath);

/// A condition on a header or a query parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Exactly this value.
    Exact(String),
    /// A regular expression for the whole value.
    Regex(String),
    /// Present with any value, or (false) absent.
    Present(bool),
}

/// A condition other than an exact value.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueCondition {
    /// Must match the whole value.
    Regex(String),
    /// `true`: present with any value; `false`: absent.
    Present(bool),
}

impl FromWord for Value {
    const EXPECTING: &'static str = "a value, `{regex: …}` or `{present: true}`";
    fn from_word(word: &str) -> Result<Self, String> {
        Ok(Value::Exact(word.to_owned()))
    }
}

impl From<ValueCondition> for Value {
    fn from(form: ValueCondition) -> Self {
        match form {
            ValueCondition::Regex(pattern) => Value::Regex(pattern),
            ValueCondition::Present(wanted) => Value::Present(wanted),
        }
    }
}

word_or_map!(Value, ValueCondition);

/// A fixed answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// Default 200.
    #[serde(default)]
    pub status: Option<Count>,
    /// Default empty.
    #[serde(default)]
    pub body: Option<String>,
    /// Default `text/plain; charset=utf-8`.
    #[serde(default)]
    pub content_type: Option<String>,
}

/// A redirect. Give `to`, or any of `scheme`, `host`, `path`; what is not given stays as in the request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308 (default).
    #[serde(default)]
    pub status: Option<Count>,
    /// The whole target, such as `https://www.example.com/`.
    #[serde(default)]
    pub to: Option<String>,
    /// `http` or `https`.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Host, and port if it is not the scheme's own.
    #[serde(default)]
    pub host: Option<String>,
    /// The path; `{parameter}` of the match is filled in.
    #[serde(default)]
    pub path: Option<String>,
    /// Keep the query. Default true.
    #[serde(default)]
    pub keep_query: Option<bool>,
}

/// What the origin sees instead of the client's host and path.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Take this prefix (whole segments) off the path.
    #[serde(default)]
    pub strip_prefix: Option<String>,
    /// Put this prefix before the path (after `strip_prefix`).
    #[serde(default)]
    pub add_prefix: Option<String>,
    /// The whole path instead; `{parameter}` of the match is filled in.
    #[serde(default)]
    pub path: Option<String>,
    /// The `Host` that the origin sees. Default: the client's.
    #[serde(default)]
    pub host: Option<String>,
}
