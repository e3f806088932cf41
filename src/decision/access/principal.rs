//! A recognised caller.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};

/// Claims about a caller, as JSON.
pub type Claims = Map<String, Value>;

/// A recognised caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Who: `sub`, or the API key's id.
    pub id: String,
    /// The name of the identity provider that recognised it.
    pub identity: Arc<str>,
    pub scopes: Vec<String>,
    pub roles: Vec<String>,
    /// Further claims.
    pub claims: Claims,
    /// When the recognition ends.
    pub expires: Option<SystemTime>,
}

/// The claim `name`: that of this very name, or else the one at this path (`realm_access.roles`).
pub(super) fn claim<'a>(claims: &'a Claims, name: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    rest.split('.').try_fold(claims.get(first)?, |value, step| value.get(step))
}
