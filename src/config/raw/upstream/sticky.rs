//! Sticky sessions: `sticky`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

use crate::config::raw::shape::{SecretSource, is_default};
use crate::config::raw::units::Span;

/// A signed cookie that leads a client back to the endpoint that it met first, while that can be used.
///
/// The gateway adds the cookie to answers (not to those with a status of 500 or more), and takes it out of requests to the
/// upstream. It names the endpoint by a number that says nothing without the key. What is forged, foreign or expired is
/// ignored and replaced; a cookie is given anew when half of its lifetime is over. An endpoint that is unhealthy, left out
/// or as busy as it may be loses the client to another one. A drained endpoint keeps the clients that it has, and gets no
/// new ones.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// The name of the cookie.
    pub cookie: String,
    /// For how long a client comes back: a duration, or `session` for as long as its browser is open. Default `session`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lifetime: Option<Lifetime>,
    /// What the cookie is signed with, at least 32 bytes; the same on all gateways in front of the same endpoints. Default: a
    /// random key that ends with the process, and the sessions with it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub key: Option<SecretSource>,
    /// For which paths the client brings the cookie. Default `/`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub path: Option<String>,
    /// Whether the client brings it with requests that other sites cause. Default `lax`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub same_site: SameSite,
    /// Whether the client brings it over TLS only. Default: if it got it over TLS.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secure: Option<bool>,
}

/// Whether a cookie goes with requests that other sites cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SameSite {
    /// Only with navigation.
    #[default]
    Lax,
    /// Never.
    Strict,
    /// Always. Needs `secure: true`.
    None,
}

/// For how long a client comes back.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub enum Lifetime {
    /// As long as its browser is open.
    Session,
    /// This long.
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
