//! Who may come in: `identities` and a route's `access`.

mod api_key;
mod jwt;

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor, value};
use serde::{Deserialize, Serialize, Serializer};

pub use self::api_key::{ApiKey, ApiKeyEntry, ApiKeyFile, ApiKeys};
pub use self::jwt::{Jwt, JwtKeys};

use super::peeked_map::PeekedMap;
use super::shape::{Entries, OneOrMany, is_default};
use super::units::Count;

/// One method of recognising callers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// A signed JSON Web Token (RFC 7519), sent as `Authorization: Bearer …` (RFC 6750).
    Jwt(Jwt),
    /// A key that the gateway knows by its hash.
    ApiKey(ApiKey),
}

/// Who may use a route: `public`, `deny`, or a mapping with `identity`.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Every caller, authenticated or not.
    Public,
    /// Nobody, with this status.
    Deny(Option<Count>),
    /// Only authenticated callers.
    Identified(Identified),
}

/// A route that admits nobody.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Denied {
    /// How every request is refused.
    pub deny: DeniedAnswer,
}

/// The status of every refusal, also as a number alone: `{deny: 404}`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeniedAnswer {
    /// As written.
    pub status: Option<Count>,
}

/// How a route that admits nobody answers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeniedForm {
    /// 403 (`route_denied`), or 404 (`route_hidden`) for an answer like that to a path without a route. Default 403.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Option<Count>,
}

/// Only callers that one of the named identity providers authenticates.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identified {
    /// Names from `identities`. Any of them must authenticate the caller: they are tried in this order, and the first that
    /// succeeds says who it is, also if the request has a bad credential for another one. Required.
    pub identity: OneOrMany<String>,
    /// What an authenticated caller must have in addition; every condition must hold. Default: nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow: Allow,
    /// Whether the origin receives the caller's credentials. Default false: the gateway removes them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forward_credentials: bool,
}

/// What an authenticated caller must have. Every condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Required scopes; the caller must have all of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: OneOrMany<String>,
    /// Accepted roles; the caller must have one of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub role: OneOrMany<String>,
    /// Required claims by name, each with its accepted values. Every claim must be present with one of its values.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claims: Entries<OneOrMany<String>>,
}

impl<'de> Deserialize<'de> for DeniedAnswer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DeniedVisitor;
        impl<'de> Visitor<'de> for DeniedVisitor {
            type Value = DeniedAnswer;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a status, or `{status: 404}`")
            }
            fn visit_u64<E: Error>(self, status: u64) -> Result<DeniedAnswer, E> {
                Ok(DeniedAnswer { status: Some(Count(status)) })
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<DeniedAnswer, E> {
                Count::parse(text).map(|status| DeniedAnswer { status: Some(status) }).map_err(E::custom)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DeniedAnswer, A::Error> {
                let form = DeniedForm::deserialize(value::MapAccessDeserializer::new(map))?;
                Ok(DeniedAnswer { status: form.status })
            }
        }
        deserializer.deserialize_any(DeniedVisitor)
    }
}

impl Serialize for DeniedAnswer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        DeniedForm { status: self.status }.serialize(serializer)
    }
}

impl JsonSchema for DeniedAnswer {
    fn schema_name() -> Cow<'static, str> {
        "DeniedAnswer".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let form = generator.subschema_for::<DeniedForm>();
        json_schema!({ "anyOf": [{ "enum": [403, 404] }, form] })
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AccessVisitor;
        impl<'de> Visitor<'de> for AccessVisitor {
            type Value = Access;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("`public`, `deny` or a mapping with `identity`")
            }
            fn visit_str<E: Error>(self, word: &str) -> Result<Access, E> {
                match word {
                    "public" => Ok(Access::Public),
                    "deny" => Ok(Access::Deny(None)),
                    _ => Err(E::custom(format!(
                        "unknown access `{word}`, expected `public`, `deny` or a mapping with `identity`"
                    ))),
                }
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Access, A::Error> {
                // The two mappings have no field in common, so the first tells which it is.
                let map = PeekedMap::new(map)?;
                match map.first() {
                    Some("deny") => {
                        let form = Denied::deserialize(value::MapAccessDeserializer::new(map))?;
                        Ok(Access::Deny(form.deny.status))
                    }
                    _ => Identified::deserialize(value::MapAccessDeserializer::new(map)).map(Access::Identified),
                }
            }
        }
        deserializer.deserialize_any(AccessVisitor)
    }
}

impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Access::Public => serializer.serialize_str("public"),
            Access::Deny(None) => serializer.serialize_str("deny"),
            Access::Deny(status) => Denied { deny: DeniedAnswer { status: *status } }.serialize(serializer),
            Access::Identified(form) => form.serialize(serializer),
        }
    }
}

impl JsonSchema for Access {
    fn schema_name() -> Cow<'static, str> {
        "Access".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let denied = generator.subschema_for::<Denied>();
        let identified = generator.subschema_for::<Identified>();
        json_schema!({ "anyOf": [{ "enum": ["public", "deny"] }, denied, identified] })
    }
}
