//! Which requests a route takes: `match`; and the conditions that a split uses too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shape::{Entries, FromWord, OneOrMany, WordOrMap, is_default, word_or_map};

/// Which requests a route takes. Every condition that is given must hold.
///
/// If several routes match, the most specific one is used: by the number of `listener`, `scheme` and `tls` conditions, so
/// that a route for one listener comes before routes for all of them, then by host (exact, then wildcard, then any), path (exact, then
/// with parameters, then regular expression, then prefix; a longer prefix first), methods (given before any), then the
/// number of header conditions, then the number of query conditions. Two routes that are equally specific for the same
/// request are refused when the file is loaded.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Names of listeners by which the request may come. Default: any listener.
    #[serde(default, skip_serializing_if = "is_default")]
    pub listener: OneOrMany<String>,
    /// What the client speaks: `http` or `https`. That is `https` if the connection has TLS, unless a proxy in
    /// `trusted_proxies` says otherwise of its own client. Default: any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scheme: Option<Scheme>,
    /// Whether the connection itself has TLS, whatever a proxy says. Default: any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls: Option<bool>,
    /// Host names: `api.example.com`, or `*.example.com` for every name below it. Default: any host.
    #[serde(default, skip_serializing_if = "is_default")]
    pub host: OneOrMany<String>,
    /// Paths: `/exact`, `/v1/orders/{id}` (a parameter is one whole segment), `/static/*` (every path below, and
    /// `/static` itself, for which most origins serve the same), or `{regex: "…"}`, which must match the whole path.
    /// Default: any path.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: OneOrMany<PathMatch>,
    /// Request methods. Default: any method.
    #[serde(default, skip_serializing_if = "is_default")]
    pub methods: OneOrMany<String>,
    /// Conditions on request headers, by header name. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: Entries<ValueMatch>,
    /// Conditions on query parameters, by parameter name. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub query: Entries<ValueMatch>,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

/// A path pattern.
#[derive(Clone, Debug, PartialEq)]
pub enum PathMatch {
    /// `/exact`, `/with/{parameter}` or `/prefix/*`.
    Pattern(String),
    /// A regular expression that must match the whole normalized path.
    Regex(String),
}

/// A regular expression.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegexPath {
    /// The expression. It must match the whole normalized path.
    regex: String,
}

impl FromWord for PathMatch {
    const EXPECTING: &'static str = "a path such as `/v1/orders/{id}` or `/static/*`, or `{regex: …}`";
    fn from_word(word: &str) -> Result<Self, String> {
        Ok(PathMatch::Pattern(word.to_owned()))
    }
}

impl From<RegexPath> for PathMatch {
    fn from(form: RegexPath) -> Self {
        PathMatch::Regex(form.regex)
    }
}

impl From<&PathMatch> for WordOrMap<RegexPath> {
    fn from(value: &PathMatch) -> Self {
        match value {
            PathMatch::Pattern(pattern) => WordOrMap::word(pattern),
            PathMatch::Regex(regex) => WordOrMap::Map(RegexPath { regex: regex.clone() }),
        }
    }
}

word_or_map!(PathMatch, RegexPath);

/// A condition on a header or a query parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueMatch {
    /// Equal to this value.
    Exact(String),
    /// A regular expression that must match the whole value.
    Regex(String),
    /// `true`: present with any value; `false`: absent.
    Present(bool),
}

/// A condition other than an exact value.
#[derive(PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ValueCondition {
    /// A regular expression that must match the whole value.
    Regex(String),
    /// `true`: present with any value; `false`: absent.
    Present(bool),
}

impl FromWord for ValueMatch {
    const EXPECTING: &'static str = "a value, `{regex: …}` or `{present: true}`";
    fn from_word(word: &str) -> Result<Self, String> {
        Ok(ValueMatch::Exact(word.to_owned()))
    }
}

impl From<ValueCondition> for ValueMatch {
    fn from(form: ValueCondition) -> Self {
        match form {
            ValueCondition::Regex(pattern) => ValueMatch::Regex(pattern),
            ValueCondition::Present(wanted) => ValueMatch::Present(wanted),
        }
    }
}

impl From<&ValueMatch> for WordOrMap<ValueCondition> {
    fn from(value: &ValueMatch) -> Self {
        match value {
            ValueMatch::Exact(text) => WordOrMap::word(text),
            ValueMatch::Regex(regex) => WordOrMap::Map(ValueCondition::Regex(regex.clone())),
            ValueMatch::Present(wanted) => WordOrMap::Map(ValueCondition::Present(*wanted)),
        }
    }
}

word_or_map!(ValueMatch, ValueCondition);
