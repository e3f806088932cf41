//! An identity's `jwt`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::raw::shape::{OneOrMany, SecretSource, is_default};
use crate::config::raw::units::Span;

/// A signed JSON Web Token (RFC 7519), and the claims that it must have.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// The value that the claim `iss` must have. Required.
    pub issuer: String,
    /// The accepted values of the claim `aud`; the token must contain one of them. Required, unless `client_id` is given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub audience: OneOrMany<String>,
    /// The accepted values of the claim `client_id`, checked instead for tokens that have no `aud`, such as access tokens of
    /// Amazon Cognito. A token with an `aud` needs one of `audience` all the same. Default: every token needs an `aud`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub client_id: OneOrMany<String>,
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
