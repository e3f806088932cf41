//! JSON Web Tokens (RFC 7519) sent as bearer tokens (RFC 6750).

use http::HeaderName;
use jsonwebtoken::{Algorithm, DecodingKey};

/// How a token is read and checked.
pub struct Rules {
    pub issuer: String,
    /// One of them must be in `aud`.
    pub audiences: Vec<String>,
    /// Never empty; never mixes shared-secret and public-key algorithms.
    pub algorithms: Vec<Algorithm>,
    pub keys: Vec<Key>,
    /// Seconds.
    pub leeway: u64,
    /// `None`: `Authorization: Bearer`.
    pub header: Option<HeaderName>,
    pub principal_claim: String,
    pub scope_claim: String,
    pub roles_claim: String,
}

/// A verification key with what its set says about it.
pub struct Key {
    /// `kid`
    pub id: Option<String>,
    /// The algorithms that this key may be used with: its `alg`, or all that fit its type and curve.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("jwt::Rules")
            .field("issuer", &self.issuer)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
