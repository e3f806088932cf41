//! An identity's `jwt`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::raw::shape::{OneOrMany, SecretSource, is_default};
use crate::config::raw::units::Span;

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
