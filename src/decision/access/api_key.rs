//! API keys, known by their SHA-256 hash.
//!
//! A plain hash is enough because the gateway makes the keys itself, with 256 random bits: nothing is left to guess.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderName;

use super::Principal;

#[derive(Debug)]
pub struct Rules {
    pub header: HeaderName,
    /// By the SHA-256 of the key.
    pub keys: HashMap<[u8; 32], Arc<Principal>>,
}
