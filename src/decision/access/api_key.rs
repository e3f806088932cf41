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

use super::{Principal, challenge};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::FieldName;
use crate::secret::Secret;

/// The longest key that is looked at, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The keys that are known, and where they are sent.
pub struct Rules {
    pub header: FieldName,
    /// By the SHA-256 of the key.
    ///
    /// An ordinary lookup is safe: how long it takes depends on the hash of what was sent, and to steer a hash towards a
    /// known one is to invert SHA-256.
    pub keys: HashMap<[u8; 32], Arc<Principal>>,
    pub(super) challenge: HeaderValue,
}

impl Rules {
    pub fn new(header: FieldName, keys: HashMap<[u8; 32], Arc<Principal>>) -> Self {
        Rules { challenge: challenge::api_key(&header), header, keys }
    }

    /// The principal whose key has this hash.
    pub(super) fn find(&self, hash: &[u8; 32]) -> Option<&Arc<Principal>> {
        self.keys.get(hash)
    }
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("api_key::Rules")
            .field("header", &self.header)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

/// The hash under which `key` would be known.
pub(super) fn hash(key: &[u8]) -> Result<[u8; 32], Denial> {
    if key.len() > MAX_KEY_BYTES {
        return Err(Denial::new(Cause::ApiKeyUnknown, "the API key is longer than 512 bytes"));
    }
    Ok(sha256(key))
}

/// Lets a known key that has not expired pass.
pub(super) fn check(found: Option<&Arc<Principal>>, now: SystemTime) -> Result<&Arc<Principal>, Denial> {
    match found {
        None => Err(Denial::new(Cause::ApiKeyUnknown, "no known API key has this hash")),
        Some(principal) if principal.expires.is_some_and(|expires| now >= expires) => {
            Err(Denial::new(Cause::ApiKeyExpired, format!("the API key of `{}` has expired", principal.id)))
        }
        Some(principal) => Ok(principal),
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
