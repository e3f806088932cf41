//! API keys, known by their SHA-256 hash.
//!
//! A plain hash is enough because the gateway makes the keys itself, with 256 random bits: nothing is left to guess.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde_json::Value;

use super::authenticator::{Authenticator, DescribedValue, Description, Peer, moment};
use super::principal::Principal;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::FieldName;
use crate::secret::Secret;

/// The longest key that is looked at, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The keys that are known, and where they are sent.
pub struct ApiKeyRules {
    pub header: FieldName,
    /// By the SHA-256 of the key.
    ///
    /// An ordinary lookup is safe: how long it takes depends on the hash of what was sent, and to steer a hash towards a
    /// known one is to invert SHA-256.
    pub keys: HashMap<[u8; 32], Arc<Principal>>,
    /// Made once: it goes with every refusal.
    challenge: HeaderValue,
}

impl ApiKeyRules {
    pub fn new(header: FieldName, keys: HashMap<[u8; 32], Arc<Principal>>) -> Self {
        let challenge = HeaderValue::try_from(challenge(&header));
        let challenge = challenge.expect("BUG: a header name is always fit for a header value");
        ApiKeyRules { challenge, header, keys }
    }
}

impl Authenticator for ApiKeyRules {
    fn field(&self) -> &FieldName {
        &self.header
    }

    /// The providers that read the same header are one set of keys: a key that one of them does not know may be another's.
    fn verify<'p>(
        mut peers: impl Iterator<Item = Peer<'p, Self>> + Clone,
        credential: &[u8],
        now: SystemTime,
    ) -> Result<Arc<Principal>, Denial> {
        if credential.len() > MAX_KEY_BYTES {
            return Err(Denial::new(Cause::ApiKeyUnknown, "the API key is longer than 512 bytes"));
        }
        let hash = sha256(credential);
        let Some((peer, principal)) = peers.find_map(|peer| Some((peer.rules, peer.rules.keys.get(&hash)?))) else {
            return Err(Denial::new(Cause::ApiKeyUnknown, "no known API key has this hash"));
        };
        peer.recheck(principal, now)?;
        Ok(Arc::clone(principal))
    }

    fn recheck(&self, principal: &Principal, now: SystemTime) -> Result<(), Denial> {
        match principal.expires {
            Some(expires) if now >= expires => {
                let detail = format!("the API key of `{}` has expired", principal.id);
                Err(Denial::new(Cause::ApiKeyExpired, detail))
            }
            _ => Ok(()),
        }
    }

    fn challenge(&self) -> String {
        challenge(&self.header)
    }

    fn refusal_challenge(&self, _: Cause) -> HeaderValue {
        self.challenge.clone()
    }

    fn describe(&self) -> Vec<Description> {
        let mut described = vec![Description::text("method", "API key")];
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(hash, _)| **hash);
        described.extend(keys.into_iter().map(|(hash, principal)| Description {
            name: format!("key {}", principal.id).into(),
            value: DescribedValue::Credential { text: gives(principal), seal: hash.to_vec() },
        }));
        described
    }
}

fn challenge(header: &FieldName) -> String {
    format!(r#"ApiKey realm="portcullis", header="{header}""#)
}

/// What a key gives to whoever has it, in words.
fn gives(principal: &Principal) -> String {
    let Principal { id: _, identity: _, scopes, roles, claims, expires } = principal;
    let list = |what: &str, names: &[String]| format!("{what} {}", names.join(" and "));
    let mut words = Vec::new();
    words.extend((!scopes.is_empty()).then(|| list("scope", scopes)));
    words.extend((!roles.is_empty()).then(|| list("role", roles)));
    words.extend(claims.iter().map(|(name, value)| match value {
        Value::String(text) => format!("claim {name} = {text}"),
        other => format!("claim {name} = {other}"),
    }));
    words.push(expires.map_or("without end".to_owned(), |end| format!("until {}", moment(end))));
    words.join(", ")
}

impl fmt::Debug for ApiKeyRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyRules")
            .field("header", &self.header)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

/// Makes a key out of 32 random bytes, and the hash to know it by.
pub fn make(random: &[u8; 32]) -> (Secret<String>, [u8; 32]) {
    // The prefix lets secret scanners and people recognise what they have found.
    let key = format!("pk_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = sha256(key.as_bytes());
    (Secret::new(key), hash)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
