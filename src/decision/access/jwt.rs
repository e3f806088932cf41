//! JSON Web Tokens (RFC 7519) sent as bearer tokens (RFC 6750).
//!
//! The checks follow RFC 8725 (best current practices): the algorithm is one of the owner's list and one that fits the
//! key, never merely what the token says; issuer, audience and expiry are always checked.

pub mod keys;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::Principal;
use super::allow::claim;
use super::identify::Presented;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::{AUTHORIZATION, FieldName, Fields};

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;

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
    pub header: Option<FieldName>,
    pub principal_claim: String,
    pub scope_claim: String,
    pub roles_claim: String,
}

/// A verification key with what its set says about it.
#[derive(Debug)]
pub struct Key {
    /// `kid`
    pub id: Option<String>,
    /// The algorithms that this key may be used with: its `alg`, or all that fit its type and curve.
    pub algorithms: Vec<Algorithm>,
    pub key: DecodingKey,
}

/// A token taken apart. Nothing in it is believed yet.
pub struct Token<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    /// Header and payload as sent: what the signature is over.
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// The header parameters that matter (RFC 7515 §4.1). Those that point to keys (`jku`, `jwk`, `x5u`, `x5c`) do not: keys
/// come from the owner alone.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

impl<'a> Token<'a> {
    /// Takes a JWS in compact serialization apart (RFC 7515 §7.1).
    pub fn parse(token: &'a [u8]) -> Result<Self, Denial> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(malformed("the token is longer than 8 KiB"));
        }
        let text = std::str::from_utf8(token).map_err(|_| malformed("the token is not ASCII text"))?;
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed("the token has not three parts"));
        };
        let decoded =
            URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed("the token's header is not valid base64url"))?;
        let header: Header<'_> =
            serde_json::from_slice(&decoded).map_err(|_| malformed("the token's header is not valid"))?;
        if header.crit {
            // RFC 7515 §4.1.11: an extension that is critical and not understood makes the token invalid.
            return Err(malformed("the token's header has critical extensions, and none is supported"));
        }
        let algorithm = Algorithm::from_str(&header.alg).map_err(|_| algorithm_refused(&header.alg))?;
        let message = &text[..text.len() - signature.len() - 1];
        Ok(Token { algorithm, key_id: header.kid, message, payload, signature })
    }

    /// Who the token says it is from. Only good for choosing whose keys to check it with.
    pub(super) fn unverified_issuer(&self) -> Option<String> {
        match self.claims().ok()?.remove("iss")? {
            Value::String(issuer) => Some(issuer),
            _ => None,
        }
    }

    fn claims(&self) -> Result<Map<String, Value>, Denial> {
        let decoded = URL_SAFE_NO_PAD
            .decode(self.payload)
            .map_err(|_| malformed("the token's payload is not valid base64url"))?;
        serde_json::from_slice(&decoded).map_err(|_| malformed("the token's payload is not a JSON object"))
    }
}

impl Rules {
    /// The token that a request shows.
    pub(super) fn presented<'a>(&self, fields: Fields<'a>) -> Presented<'a> {
        match &self.header {
            Some(name) => match Presented::in_field(fields, name) {
                Presented::One(value) => Presented::One(bearer(value).unwrap_or(value)),
                other => other,
            },
            None => match Presented::in_field(fields, &AUTHORIZATION) {
                // Another scheme is no bearer token at all.
                Presented::One(value) => bearer(value).map_or(Presented::Nothing, Presented::One),
                other => other,
            },
        }
    }

    /// Checks signature and claims at the time `now`, and gives the principal that the token is about.
    pub fn verify(&self, identity: &Arc<str>, token: &Token<'_>, now: SystemTime) -> Result<Principal, Denial> {
        self.check_signature(token)?;
        let claims = token.claims()?;
        self.check_issuer(&claims)?;
        self.check_audience(&claims)?;
        let Some(expires) = claims.get("exp") else {
            return Err(malformed("the token has no `exp`, and a token that never ends is not accepted"));
        };
        let expires = time(expires).ok_or_else(|| malformed("the token's `exp` is not a time"))?;
        self.check_expiry(expires, now)?;
        if let Some(not_before) = claims.get("nbf") {
            let not_before = time(not_before).ok_or_else(|| malformed("the token's `nbf` is not a time"))?;
            if not_before.checked_sub(self.leeway()).is_some_and(|from| now < from) {
                return Err(Denial::new(Cause::TokenNotYetValid, "the token is not valid yet (`nbf`)"));
            }
        }
        Ok(Principal { expires: Some(expires), ..self.principal(identity, claims)? })
    }

    /// The principal that `claims` are about. They are believed.
    pub fn principal(&self, identity: &Arc<str>, claims: Map<String, Value>) -> Result<Principal, Denial> {
        let id = match claim(&claims, &self.principal_claim) {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            _ => {
                let name = &self.principal_claim;
                return Err(malformed(format!("the token has no `{name}` that names the caller")));
            }
        };
        // RFC 8693 §4.2 writes scopes into one string, separated by spaces; many issuers write a list.
        let scopes = match claim(&claims, &self.scope_claim) {
            Some(Value::String(scopes)) => scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            other => strings(other),
        };
        let roles = match claim(&claims, &self.roles_claim) {
            Some(Value::String(role)) => vec![role.clone()],
            other => strings(other),
        };
        Ok(Principal { id, identity: Arc::clone(identity), scopes, roles, claims, expires: None })
    }

    /// RFC 7519 §4.1.4: the current time must be before `exp`.
    pub(super) fn check_expiry(&self, expires: SystemTime, now: SystemTime) -> Result<(), Denial> {
        match expires.checked_add(self.leeway()) {
            Some(end) if now >= end => Err(Denial::new(Cause::TokenExpired, "the token has expired (`exp`)")),
            _ => Ok(()),
        }
    }

    fn check_signature(&self, token: &Token<'_>) -> Result<(), Denial> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(algorithm_refused(&format!("{:?}", token.algorithm)));
        }
        let mut tried = false;
        for key in self.keys.iter().filter(|key| key.fits(token)) {
            tried = true;
            match jsonwebtoken::crypto::verify(token.signature, token.message.as_bytes(), &key.key, token.algorithm) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) if matches!(error.kind(), ErrorKind::Base64(_)) => {
                    return Err(malformed("the token's signature is not valid base64url"));
                }
                // A key that can't be used proves nothing.
                Err(_) => {}
            }
        }
        if tried {
            return Err(Denial::new(Cause::TokenSignatureInvalid, "the token's signature is not valid"));
        }
        Err(Denial::new(
            Cause::TokenKeyUnknown,
            match &token.key_id {
                Some(id) => format!("no key `{}` for {:?}", excerpt(id), token.algorithm),
                None => format!("no key for {:?}", token.algorithm),
            },
        ))
    }

    fn check_issuer(&self, claims: &Map<String, Value>) -> Result<(), Denial> {
        match claims.get("iss") {
            Some(Value::String(issuer)) if *issuer == self.issuer => Ok(()),
            Some(Value::String(issuer)) => {
                Err(Denial::new(Cause::TokenIssuerMismatch, format!("the issuer is `{}`", excerpt(issuer))))
            }
            _ => Err(Denial::new(Cause::TokenIssuerMismatch, "the token names no issuer")),
        }
    }

    /// RFC 7519 §4.1.3: `aud` is one string or a list of them.
    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Denial> {
        let accepted = |value: &Value| value.as_str().is_some_and(|aud| self.audiences.iter().any(|own| own == aud));
        let matches = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(accepted),
            Some(audience) => accepted(audience),
            None => return Err(Denial::new(Cause::TokenAudienceMismatch, "the token names no audience")),
        };
        if matches {
            Ok(())
        } else {
            Err(Denial::new(Cause::TokenAudienceMismatch, "the token is meant for another audience"))
        }
    }

    fn leeway(&self) -> Duration {
        Duration::from_secs(self.leeway)
    }
}

impl Key {
    /// Whether `token` may be checked with this key. Where either side gives no `kid`, the key's type decides.
    fn fits(&self, token: &Token<'_>) -> bool {
        let same = match (&self.id, &token.key_id) {
            (Some(own), Some(named)) => own == named,
            _ => true,
        };
        same && self.algorithms.contains(&token.algorithm)
    }
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("jwt::Rules")
            .field("issuer", &self.issuer)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

/// The token in `Bearer token` (RFC 6750 §2.1; RFC 9110 §11.1: the scheme's case does not matter).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer") || rest.first().is_some_and(|&byte| byte != b' ') {
        return None;
    }
    Some(rest.trim_ascii())
}

/// NumericDate (RFC 7519 §2): seconds since 1970, perhaps with a fraction.
fn time(value: &Value) -> Option<SystemTime> {
    let since = match value.as_u64() {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::try_from_secs_f64(value.as_f64()?).ok()?,
    };
    SystemTime::UNIX_EPOCH.checked_add(since)
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let values = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    values.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn malformed(detail: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(Cause::TokenMalformed, detail)
}

fn algorithm_refused(name: &str) -> Denial {
    Denial::new(Cause::TokenAlgorithmRefused, format!("the algorithm `{}` is not accepted", excerpt(name)))
}

/// The beginning of what a stranger wrote, short and plain enough for a log line.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}
