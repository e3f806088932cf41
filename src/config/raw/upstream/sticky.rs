//! Sticky sessions: `sticky`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::config::raw::shape::{SecretSource, is_default};
use crate::config::raw::units::Span;

/// A signed cookie that binds a client to the endpoint of its first request, while that endpoint is usable.
///
/// The gateway adds the cookie to responses (not to those with a status of 500 or more), and removes it from requests
/// to the upstream. The cookie identifies the endpoint by a number that has no meaning without the key. A cookie that
/// is forged, unknown or expired is ignored and replaced; a valid one is renewed after half of its lifetime. If the
/// endpoint is unhealthy, ejected or at its bound of requests, the client moves to another one. A drained endpoint
/// keeps its clients and gets no new ones.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// The name of the cookie. Required.
    pub cookie: String,
    /// How long the cookie is valid: a duration of whole seconds, or `session` until the browser is closed. Default
    /// `session`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifetime: Option<Lifetime>,
    /// The key that signs the cookie, at least 32 bytes. All gateways in front of the same endpoints need the same key.
    /// Default: a random key of this process; the cookies become invalid when it ends.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: Option<SecretSource>,
    /// The `Path` of the cookie. Default `/`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: Option<String>,
    /// The `SameSite` attribute: `lax` (default), `strict` or `none`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub same_site: SameSite,
    /// The `Secure` attribute: whether the cookie is sent over TLS only. Default: if the client receives it over TLS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secure: Option<bool>,
}

/// The `SameSite` attribute of a cookie: whether it is sent with requests that other sites cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// With top-level navigation only.
    #[default]
    Lax,
    /// Never.
    Strict,
    /// Always. Requires `secure: true`.
    None,
}

/// How long a cookie is valid.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Lifetime {
    /// Until the browser is closed.
    Session,
    /// For this time.
    Span(Span),
}

impl TryFrom<String> for Lifetime {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "session" => Ok(Lifetime::Session),
            text => Span::parse(text).map(Lifetime::Span).map_err(|why| format!("{why}; or write `session`")),
        }
    }
}

impl Serialize for Lifetime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Lifetime::Session => serializer.serialize_str("session"),
            Lifetime::Span(span) => span.serialize(serializer),
        }
    }
}

impl JsonSchema for Lifetime {
    fn schema_name() -> Cow<'static, str> {
        "Lifetime".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^session$|^\d+(ms|s|m|h|d)$|\$\{" })
    }
}
