//! Who may come in: `identities` and a route's `access`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape::{Entries, FromWord, OneOrMany, SecretSource, WordOrMap, is_default, word_or_map};
use super::units::Span;

/// One method of recognising callers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// A signed JSON Web Token (RFC 7519), sent as `Authorization: Bearer …` (RFC 6750).
    Jwt(Jwt),
    /// A key that the gateway knows by its hash.
    ApiKey(ApiKey),
}

/// A signed JSON Web Token (RFC 7519), and the claims that it must have.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The value that the claim `iss` must have. Required.
    pub issuer: String,
    /// The accepted values of the claim `aud`; the token must contain one of them. Required.
    pub audience: OneOrMany<String>,
    /// The keys that verify signatures. Required.
    pub keys: JwtKeys,
    /// The accepted algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384, HS512.
    /// Default: RS256 and ES256 for a key set or PEM key, HS256 for a shared secret.
    #[serde(default, skip_serializing_if = "is_default")]
    pub algorithms: Option<OneOrMany<String>>,
    /// Tolerated difference between clocks when `exp` and `nbf` are checked. Default `30s`, at most `1h`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub leeway: Option<Span>,
    /// The request header that carries the token. Default: `Authorization`, with the scheme `Bearer`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Option<String>,
    /// The claim whose value identifies the caller. Default `sub`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub principal_claim: Option<String>,
    /// The claim that holds the scopes, as a list or separated by spaces. Default `scope`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope_claim: Option<String>,
    /// The claim that holds the list of roles. Default `roles`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roles_claim: Option<String>,
}

/// The keys that verify signatures.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JwtKeys {
    /// A file with a JSON Web Key Set (RFC 7517).
    JwksFile(String),
    /// A PEM file with one public key.
    PemFile(String),
    /// A secret shared with the issuer, for HS256, HS384 and HS512. At least 32 bytes.
    Secret(SecretSource),
}

/// API keys, and the header that carries them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The request header that carries the key. Default `X-Api-Key`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Option<String>,
    /// The accepted keys. Required.
    pub keys: ApiKeys,
}

/// Where the accepted keys are listed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ApiKeys {
    /// A YAML file with a list `keys`. `portcullis keys new` prints an entry for it.
    File(String),
    /// The entries themselves. They contain hashes, so the configuration stays free of secrets.
    List(Vec<ApiKeyEntry>),
}

/// A file of API keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyFile {
    /// The accepted keys.
    pub keys: Vec<ApiKeyEntry>,
}

/// One API key, given by its hash.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyEntry {
    /// The principal that the key identifies.
    pub id: String,
    /// SHA-256 of the key: `sha256:` and 64 hexadecimal digits.
    pub hash: String,
    /// The scopes of a caller with this key. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scopes: Vec<String>,
    /// The roles of a caller with this key. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roles: Vec<String>,
    /// Further claims of the caller, for `allow: {claims: …}`. Default: none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claims: Entries<String>,
    /// The time from which the key is refused, in RFC 3339, such as `2027-01-31T00:00:00Z`. Default: never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expires: Option<String>,
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
    /// Names from `identities`. One of them must authenticate the caller. Required.
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
