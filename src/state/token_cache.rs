//! Cache of verified tokens: further requests with the same token need no signature check.

use std::sync::Arc;
use std::time::SystemTime;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde_json::Value;

use crate::decision::access::{CredentialDigest, Principal};

/// Default number of cached tokens of ordinary size.
pub const DEFAULT_ENTRIES: usize = 100_000;

/// The principals of verified tokens, by the digest of the token and of what it was verified with. Bounded: entries that were
/// not used recently are evicted, among them those of an earlier configuration, whose digests don't occur any more.
#[derive(Debug)]
pub struct TokenCache {
    cache: Cache<CredentialDigest, Arc<Principal>, TokenWeight>,
}

impl TokenCache {
    /// Capacity for `entries` tokens with up to a KiB of claims. A larger one counts as several.
    pub fn new(entries: usize) -> Self {
        TokenCache { cache: Cache::with_weighter(entries, entries as u64, TokenWeight) }
    }

    /// The principal cached under `digest`, unless its token has expired by `now`.
    pub fn get(&self, digest: &CredentialDigest, now: SystemTime) -> Option<Arc<Principal>> {
        let principal = self.cache.get(digest)?;
        if principal.expires.is_some_and(|expires| now < expires) {
            return Some(principal);
        }
        self.cache.remove(digest);
        None
    }

    /// Caches a principal that was just verified. One whose token does not expire is not cached.
    pub fn insert(&self, digest: CredentialDigest, principal: Arc<Principal>) {
        if principal.expires.is_some() {
            self.cache.insert(digest, principal);
        }
    }

    /// The number of cached tokens.
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// Whether no token is cached.
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        TokenCache::new(DEFAULT_ENTRIES)
    }
}

/// An entry's size in KiB, so that large claims are bounded like many tokens.
#[derive(Clone, Debug)]
struct TokenWeight;

impl Weighter<CredentialDigest, Arc<Principal>> for TokenWeight {
    fn weight(&self, _: &CredentialDigest, principal: &Arc<Principal>) -> u64 {
        let claims: usize = principal.claims.iter().map(|(name, value)| name.len() + size(value)).sum();
        1 + claims as u64 / 1024
    }
}

fn size(value: &Value) -> usize {
    let inner = match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(size).sum(),
        Value::Object(members) => members.iter().map(|(name, value)| name.len() + size(value)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    size_of::<Value>() + inner
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Map, json};

    use super::*;

    fn principal(claims: Value, expires: Option<SystemTime>) -> Arc<Principal> {
        let claims = match claims {
            Value::Object(claims) => claims,
            _ => Map::new(),
        };
        Arc::new(Principal {
            id: "ann".to_owned(),
            identity: "corp".into(),
            scopes: vec![],
            roles: vec![],
            claims,
            expires,
        })
    }

    fn digest(number: u32) -> CredentialDigest {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        CredentialDigest(bytes)
    }

    const NOON: Duration = Duration::from_secs(1_700_000_000);

    #[test]
    fn a_token_is_remembered_until_it_expires() {
        let tokens = TokenCache::new(10);
        let noon = SystemTime::UNIX_EPOCH + NOON;
        tokens.insert(digest(1), principal(json!({}), Some(noon)));
        assert!(tokens.get(&digest(1), noon - Duration::from_secs(1)).is_some());
        assert!(tokens.get(&digest(2), noon - Duration::from_secs(1)).is_none());
        assert!(tokens.get(&digest(1), noon).is_none());
        assert!(tokens.is_empty(), "an expired entry is dropped");
    }

    #[test]
    fn a_principal_without_an_end_is_not_remembered() {
        let tokens = TokenCache::new(10);
        tokens.insert(digest(1), principal(json!({}), None));
        assert!(tokens.is_empty());
    }

    #[test]
    fn memory_is_bounded_under_a_flood() {
        let tokens = TokenCache::new(100);
        let end = SystemTime::UNIX_EPOCH + NOON;
        for number in 0..10_000 {
            tokens.insert(digest(number), principal(json!({}), Some(end)));
        }
        assert!(tokens.len() <= 100, "{}", tokens.len());
        for number in 0..10_000 {
            tokens.insert(digest(number), principal(json!({"blob": "x".repeat(7000)}), Some(end)));
        }
        assert!(tokens.len() <= 15, "{}", tokens.len());
    }
}
