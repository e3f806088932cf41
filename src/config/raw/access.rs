//! Who may come in: `identities` and a route's `access`.

use schemars::{JsonSchema, Schema, json_schema};
use serde::{Deserialize, Serialize};

use super::shape::{Entries, FromWord, OneOrMany, SecretSource, WordOrMap, is_default, word_or_map};
use super::units::Span;

/// One way to recognise a caller.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// A signed JSON Web Token (RFC 7519), sent as `Authorization: Bearer …` (RFC 6750).
    Jwt(Jwt),
    /// A key that the gateway knows by its hash.
    ApiKey(ApiKey),
}

/// A signed JSON Web Token (RFC 7519), and what it must say.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The required `iss`.
    pub issuer: String,
    /// The accepted values of `aud`; one must match.
    pub audience: OneOrMany<String>,
    /// What signatures are checked with.
    pub keys: JwtKeys,
    /// The accepted algorithms: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384, HS512.
    /// Default: RS256 and ES256 for a key set or PEM key, HS256 for a shared secret.
    #[serde(default, skip_serializing_if = "is_default")]
    pub algorithms: Option<OneOrMany<String>>,
    /// How far clocks may disagree about `exp` and `nbf`. Default 30s.
    #[serde(default, skip_serializing_if = "is_default")]
    pub leeway: Option<Span>,
    /// Read the token from this header instead of `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Option<String>,
    /// The claim that names the caller. Default `sub`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub principal_claim: Option<String>,
    /// The claim that lists scopes, as a list or space-separated. Default `scope`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope_claim: Option<String>,
    /// The claim that lists roles. Default `roles`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roles_claim: Option<String>,
}

/// What signatures are checked with.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum JwtKeys {
    /// A file with a JSON Web Key Set (RFC 7517).
    JwksFile(String),
    /// A PEM file with one public key.
    PemFile(String),
    /// A secret shared with the issuer, for HS256, HS384 and HS512; at least 32 bytes.
    Secret(SecretSource),
}

/// API keys, and the header that carries them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// The request header that carries the key. Default `X-Api-Key`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub header: Option<String>,
    /// The known keys.
    pub keys: ApiKeys,
}

/// Where the known keys stand.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ApiKeys {
    /// A YAML file with a list `keys`, whose entries `portcullis keys new` makes.
    File(String),
    /// The entries themselves; they hold hashes, so that this file stays free of secrets.
    List(Vec<ApiKeyEntry>),
}

/// A file of API keys.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyFile {
    /// The known keys.
    pub keys: Vec<ApiKeyEntry>,
}

/// One API key, known by its hash.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyEntry {
    /// Who uses it: the principal.
    pub id: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub hash: String,
    /// The scopes that the key gives.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scopes: Vec<String>,
    /// The roles that the key gives.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roles: Vec<String>,
    /// Further facts about the caller, for `allow: {claims: …}`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub claims: Entries<String>,
    /// When it stops working: RFC 3339, such as `2027-01-31T00:00:00Z`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expires: Option<String>,
}

/// Who may use a route: `public`, or a mapping with `identity`.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Everyone, recognised or not.
    Public,
    /// Only recognised callers.
    Identified(Identified),
}

/// Only callers that one of these identities recognises.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identified {
    /// Names from `identities`; any of them will do.
    pub identity: OneOrMany<String>,
    /// What a recognised caller must have; all of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub allow: Allow,
    /// Show the origin the caller's credentials too. Default false: they are removed.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forward_credentials: bool,
}

/// What a recognised caller must have. Every condition given must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Scopes; all of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: OneOrMany<String>,
    /// Roles; any one of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub role: OneOrMany<String>,
    /// Claims by name, each with the accepted values; any value, every claim.
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
