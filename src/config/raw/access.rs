//! Who may come in: `identities` and a route's `access`.

mod api_key;
mod jwt;

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

pub use self::api_key::{ApiKey, ApiKeyEntry, ApiKeyFile, ApiKeys};
pub use self::jwt::{Jwt, JwtKeys};

use super::shape::{Entries, FromWord, OneOrMany, WordOrMap, is_default, word_or_map};

/// One method of recognising callers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// A signed JSON Web Token (RFC 7519), sent as `Authorization: Bearer …` (RFC 6750).
    Jwt(Jwt),
    /// A key that the gateway knows by its hash.
    ApiKey(ApiKey),
}

/// Who may use a route: `public`, or a mapping with `identity`.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Every caller, authenticated or not.
    Public,
    /// Only authenticated callers.
    Identified(Identified),
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

impl FromWord for Access {
    const EXPECTING: &'static str = "`public` or a mapping with `identity`";
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "public" => Ok(Access::Public),
            _ => Err(format!("unknown access `{word}`, expected {}", Self::EXPECTING)),
        }
    }
    fn word_schema() -> Schema {
        json_schema!({ "const": "public" })
    }
}

impl From<Identified> for Access {
    fn from(form: Identified) -> Self {
        Access::Identified(form)
    }
}

impl From<&Access> for WordOrMap<Identified> {
    fn from(value: &Access) -> Self {
        match value {
            Access::Public => WordOrMap::word("public"),
            Access::Identified(form) => WordOrMap::Map(form.clone()),
        }
    }
}

word_or_map!(Access, Identified);
