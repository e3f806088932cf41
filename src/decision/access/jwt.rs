//! JSON Web Tokens (RFC 7519) sent as bearer tokens (RFC 6750).
//!
//! The checks follow RFC 8725 (best current practices): the algorithm is one of the owner's list and one that fits the
//! key, never merely what the token says; issuer, audience and expiry are always checked.

mod challenge;
pub mod key_set;
pub mod keys;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use jsonwebtoken::Algorithm;
use jsonwebtoken::errors::ErrorKind;
use serde_json::Value;

use super::authenticator::{Authenticator, DescribedValue, Description, Peer, Presented};
use super::principal::{Claims, Principal, claim};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::{AUTHORIZATION, FieldName, Fields};
use keys::VerificationKey;
use token::{algorithm_refused, excerpt, malformed};

pub use token::Token;

/// How a token is read and checked.
pub struct JwtRules {
    pub issuer: String,
    /// One of them must be in `aud`. Empty: only tokens without `aud` are accepted.
    pub audiences: Vec<String>,
    /// One of them must be the `client_id` of a token without `aud`. Empty: every token needs an `aud`.
    pub client_ids: Vec<String>,
    /// Never empty; never mixes shared-secret and public-key algorithms.
    pub algorithms: Vec<Algorithm>,
    pub keys: Vec<VerificationKey>,
    /// The longest token that is looked at, in bytes.
    pub longest: u64,
    /// Seconds.
    pub leeway: u64,
    /// `None`: `Authorization: Bearer`.
    pub header: Option<FieldName>,
    pub principal_claim: String,
    pub scope_claim: String,
    pub roles_claim: String,
}

impl Authenticator for JwtRules {
    fn longest_remembered(&self) -> usize {
        usize::try_from(self.longest).unwrap_or(usize::MAX)
    }

    fn field(&self) -> &FieldName {
        self.header.as_ref().unwrap_or(&AUTHORIZATION)
    }

    fn presented<'a>(&self, fields: Fields<'a>) -> Presented<'a> {
        match Presented::in_field(fields, self.field()) {
            Presented::One(value) => match (bearer(value), &self.header) {
                (Some(token), _) => Presented::One(token),
                // A header of its own carries the token with or without the scheme.
                (None, Some(_)) => Presented::One(value),
                // Another scheme is no bearer token at all.
                (None, None) => Presented::Nothing,
            },
            other => other,
        }
    }

    /// Several issuers may share one header; they are told apart by the token's own claim to be from one of them, which that
    /// issuer's keys then prove or not.
    fn verify<'p>(
        peers: impl Iterator<Item = Peer<'p, Self>> + Clone,
        credential: &[u8],
        now: SystemTime,
    ) -> Result<Arc<Principal>, Denial> {
        let mut candidates = peers.clone();
        let mut issuer = candidates.next().expect("BUG: a provider is its own peer");
        issuer.rules.check_length(credential)?;
        let token = Token::parse(credential)?;
        if candidates.next().is_some()
            && let Some(named) = token.unverified_issuer()
            && let Some(peer) = peers.into_iter().find(|peer| peer.rules.issuer == named)
        {
            issuer = peer;
        }
        issuer.rules.check(issuer.name, &token, now).map(Arc::new)
    }

    fn recheck(&self, principal: &Principal, now: SystemTime) -> Result<(), Denial> {
        match principal.expires {
            Some(expires) => self.check_expiry(expires, now),
            None => Err(malformed("the token has no `exp`, and a token that never ends is not accepted")),
        }
    }

    fn challenge(&self) -> String {
        challenge::invitation(self.header.as_ref())
    }

    fn refusal_challenge(&self, cause: Cause) -> HeaderValue {
        challenge::refusal(cause)
    }

    fn scope_challenge(&self, scopes: &[String]) -> Option<HeaderValue> {
        challenge::insufficient_scope(scopes)
    }

    fn shadows(&self, later: &Self) -> bool {
        self.header == later.header && self.issuer == later.issuer
    }

    fn assume(&self, provider: &Arc<str>, claims: &Claims) -> Option<Result<Principal, Denial>> {
        Some(self.principal(provider, claims.clone()))
    }

    fn describe(&self) -> Vec<Description> {
        let JwtRules {
            issuer,
            audiences,
            client_ids,
            algorithms,
            keys,
            // One bound for all, which `diff` tells as such.
            longest: _,
            leeway,
            header: _,
            principal_claim,
            scope_claim,
            roles_claim,
        } = self;
        let any_of = |name: &'static str, accepted: Vec<String>, separator| Description {
            name: name.into(),
            value: DescribedValue::AnyOf { text: accepted.join(separator), accepted },
        };
        let mut described = vec![
            Description::text("method", "JWT"),
            Description::text("issuer", issuer),
            any_of("audience", audiences.clone(), " or "),
            any_of("algorithms", names(algorithms), ", "),
            Description { name: "leeway".into(), value: DescribedValue::AtMost(Duration::from_secs(*leeway)) },
            Description::text("principal claim", principal_claim),
            Description::text("scope claim", scope_claim),
            Description::text("roles claim", roles_claim),
        ];
        if !client_ids.is_empty() {
            described.push(any_of("client id", client_ids.clone(), " or "));
        }
        described.extend(keys.iter().map(|key| {
            let name = key.id.as_ref().map_or("key without id".to_owned(), |id| format!("key {id}"));
            let text = format!("for {}", names(&key.algorithms).join(", "));
            Description {
                name: name.into(),
                value: DescribedValue::Credential { text, seal: key.fingerprint().to_vec() },
            }
        }));
        described
    }
}

fn names(algorithms: &[Algorithm]) -> Vec<String> {
    algorithms.iter().map(|algorithm| format!("{algorithm:?}")).collect()
}

impl JwtRules {
    /// Checks signature and claims at the time `now`, and gives the principal that the token is about.
    pub fn check(&self, provider: &Arc<str>, token: &Token<'_>, now: SystemTime) -> Result<Principal, Denial> {
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
        Ok(Principal { expires: Some(expires), ..self.principal(provider, claims)? })
    }

    /// The principal that `claims` are about. They are believed.
    fn principal(&self, provider: &Arc<str>, claims: Claims) -> Result<Principal, Denial> {
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
        Ok(Principal { id, identity: Arc::clone(provider), scopes, roles, claims, expires: None })
    }

    /// RFC 7519 §4.1.4: the current time must be before `exp`.
    fn check_expiry(&self, expires: SystemTime, now: SystemTime) -> Result<(), Denial> {
        match expires.checked_add(self.leeway()) {
            Some(end) if now >= end => Err(Denial::new(Cause::TokenExpired, "the token has expired (`exp`)")),
            _ => Ok(()),
        }
    }

    fn check_length(&self, token: &[u8]) -> Result<(), Denial> {
        if token.len() as u64 <= self.longest {
            return Ok(());
        }
        let detail = format!("the token has {} bytes, more than the {} of `bounds.token`", token.len(), self.longest);
        Err(Denial::new(Cause::TokenTooLarge, detail))
    }

    fn check_signature(&self, token: &Token<'_>) -> Result<(), Denial> {
        if !self.algorithms.contains(&token.algorithm) {
            return Err(algorithm_refused(&format!("{:?}", token.algorithm)));
        }
        let mut tried = false;
        for key in self.keys.iter().filter(|key| key.fits(token.algorithm, token.key_id.as_deref())) {
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

    fn check_issuer(&self, claims: &Claims) -> Result<(), Denial> {
        match claims.get("iss") {
            Some(Value::String(issuer)) if *issuer == self.issuer => Ok(()),
            Some(Value::String(issuer)) => {
                Err(Denial::new(Cause::TokenIssuerMismatch, format!("the issuer is `{}`", excerpt(issuer))))
            }
            _ => Err(Denial::new(Cause::TokenIssuerMismatch, "the token names no issuer")),
        }
    }

    /// RFC 7519 §4.1.3: `aud` is one string or a list of them. Access tokens of some issuers (Amazon Cognito) have none, and name
    /// the client that they were issued to instead (RFC 8693 §4.3).
    fn check_audience(&self, claims: &Claims) -> Result<(), Denial> {
        let accepted = |value: &Value| value.as_str().is_some_and(|aud| self.audiences.iter().any(|own| own == aud));
        let matches = match claims.get("aud") {
            Some(Value::Array(audiences)) => audiences.iter().any(accepted),
            Some(audience) => accepted(audience),
            None if self.client_ids.is_empty() => {
                return Err(Denial::new(Cause::TokenAudienceMismatch, "the token names no audience"));
            }
            None => {
                let client = claims.get("client_id").and_then(Value::as_str);
                return match client {
                    Some(client) if self.client_ids.iter().any(|own| own == client) => Ok(()),
                    _ => Err(Denial::new(
                        Cause::TokenAudienceMismatch,
                        "the token names no audience, and its `client_id` is not accepted",
                    )),
                };
            }
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

impl std::fmt::Debug for JwtRules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwtRules")
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
