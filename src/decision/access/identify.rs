//! Who is it: the credential that a request shows, and the principal behind it.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest as hash};

use super::{CredentialDigest, Identified, Identity, Method, Principal, api_key, challenge, jwt};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::{FieldName, Fields};

/// What a request shows to one identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Presented<'a> {
    Nothing,
    One(&'a [u8]),
    Several,
}

impl<'a> Presented<'a> {
    /// The values of header `name`.
    pub fn in_field(fields: Fields<'a>, name: &FieldName) -> Self {
        let mut values = fields.get_all(name);
        match (values.next(), values.next()) {
            (None, _) => Presented::Nothing,
            (Some(value), None) => Presented::One(value),
            (Some(_), Some(_)) => Presented::Several,
        }
    }
}

/// Who it is.
pub(super) struct Recognised {
    pub principal: Arc<Principal>,
    /// A fresh verification to remember under this digest.
    pub remember: Option<CredentialDigest>,
}

/// Recognises the caller. The first identity whose credential is present decides: a bad credential never falls through to
/// the next one.
pub(super) fn identify(
    rules: &Identified,
    fields: Fields<'_>,
    remembered: Option<Arc<Principal>>,
    now: SystemTime,
) -> Result<Recognised, Denial> {
    match presented(rules, fields) {
        None => Err(Denial {
            challenge: rules.missing.clone(),
            ..Denial::new(Cause::CredentialsMissing, "no credential that this route accepts")
        }),
        Some((Method::Jwt(first), Presented::One(token))) => recognise_token(rules, first, token, remembered, now)
            .map_err(|mut denial| {
                denial.challenge = Some(challenge::bearer(denial.cause));
                denial
            }),
        Some((Method::ApiKey(first), Presented::One(key))) => {
            recognise_key(rules, first, key, now).map_err(|mut denial| {
                denial.challenge = Some(first.challenge.clone());
                denial
            })
        }
        Some((method, _)) => Err(Denial {
            challenge: Some(match method {
                Method::Jwt(_) => challenge::bearer(Cause::CredentialsAmbiguous),
                Method::ApiKey(rules) => rules.challenge.clone(),
            }),
            ..Denial::new(Cause::CredentialsAmbiguous, "the header that carries the credential is there more than once")
        }),
    }
}

/// The digest of the token that would decide, if a token would. Allocates nothing.
pub(super) fn digest(rules: &Identified, fields: Fields<'_>) -> Option<CredentialDigest> {
    match presented(rules, fields) {
        Some((Method::Jwt(_), Presented::One(token))) if token.len() <= jwt::MAX_TOKEN_BYTES => {
            Some(token_digest(rules.seed, token))
        }
        _ => None,
    }
}

/// One number for everything that the verification of tokens by `identities` depends on.
pub(super) fn seed(identities: &[Arc<Identity>]) -> u64 {
    let fingerprints: Vec<u8> = identities
        .iter()
        .filter(|identity| matches!(identity.method, Method::Jwt(_)))
        .flat_map(|identity| identity.fingerprint.to_be_bytes())
        .collect();
    let mut first = [0; 8];
    first.copy_from_slice(&hash(&SHA256, &fingerprints).as_ref()[..8]);
    u64::from_be_bytes(first)
}

fn presented<'a, 'r>(rules: &'r Identified, fields: Fields<'a>) -> Option<(&'r Method, Presented<'a>)> {
    rules.identities.iter().find_map(|identity| {
        let presented = match &identity.method {
            Method::Jwt(rules) => rules.presented(fields),
            Method::ApiKey(rules) => Presented::in_field(fields, &rules.header),
        };
        (presented != Presented::Nothing).then_some((&identity.method, presented))
    })
}

fn recognise_token(
    rules: &Identified,
    first: &jwt::Rules,
    token: &[u8],
    remembered: Option<Arc<Principal>>,
    now: SystemTime,
) -> Result<Recognised, Denial> {
    // Several issuers may share one header; they are told apart by the token's own claim to be from one of them, which
    // that issuer's keys then prove or not.
    let sharing = || {
        rules.identities.iter().filter_map(|identity| match &identity.method {
            Method::Jwt(rules) if rules.header == first.header => Some((identity, rules)),
            _ => None,
        })
    };

    if let Some(known) = remembered
        && let Some(expires) = known.expires
        && let Some((_, rules)) = sharing().find(|(identity, _)| identity.name == known.identity)
    {
        rules.check_expiry(expires, now)?;
        return Ok(Recognised { principal: known, remember: None });
    }

    let parsed = jwt::Token::parse(token)?;
    let mut candidates = sharing();
    let (mut identity, mut deciding) = candidates.next().expect("BUG: the first identity shares its own header");
    if candidates.next().is_some()
        && let Some(issuer) = parsed.unverified_issuer()
        && let Some(named) = sharing().find(|(_, rules)| rules.issuer == issuer)
    {
        (identity, deciding) = named;
    }
    let principal = deciding.verify(&identity.name, &parsed, now)?;
    Ok(Recognised { principal: Arc::new(principal), remember: Some(token_digest(rules.seed, token)) })
}

/// The identities that read the same header are one set of keys: a key that one of them does not know may be another's.
fn recognise_key(
    rules: &Identified,
    first: &api_key::Rules,
    key: &[u8],
    now: SystemTime,
) -> Result<Recognised, Denial> {
    let hash = api_key::hash(key)?;
    let found = rules.identities.iter().find_map(|identity| match &identity.method {
        Method::ApiKey(rules) if rules.header == first.header => rules.find(&hash),
        _ => None,
    });
    let principal = api_key::check(found, now)?;
    Ok(Recognised { principal: Arc::clone(principal), remember: None })
}

/// Hashes twice instead of hashing a concatenation: the token stays where it is, and nothing is allocated.
fn token_digest(seed: u64, token: &[u8]) -> CredentialDigest {
    let mut text = [0; 40];
    text[..8].copy_from_slice(&seed.to_be_bytes());
    text[8..].copy_from_slice(hash(&SHA256, token).as_ref());
    let mut digest = [0; 32];
    digest.copy_from_slice(hash(&SHA256, &text).as_ref());
    CredentialDigest(digest)
}
