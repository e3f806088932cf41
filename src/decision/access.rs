//! Access: who is it, may they, how much. The only stage that makes a [`Permit`].
//!
//! The order is fixed: identity, authorization, limits. It is I/O-free: [`needs`] says which facts would help, the
//! adapter fetches them, [`clear`] decides identity and authorization, [`Cleared::takes`] says what to take from which
//! limit, the adapter takes, and [`Cleared::admit`] decides.

pub mod allow;
pub mod api_key;
pub mod jwt;
pub mod limit;

use std::sync::Arc;
use std::time::SystemTime;

use smallvec::SmallVec;

use super::outcome::Denial;
use super::request::RequestView;
use limit::{Standing, Take, Taken};

/// Who may use a route.
#[derive(Debug)]
pub enum Rules {
    Public,
    Identified {
        /// Tried in this order; the first whose credential is present decides.
        identities: Vec<Arc<Identity>>,
        allow: allow::Rules,
        forward_credentials: bool,
    },
}

/// One way to recognise a caller.
#[derive(Debug)]
pub struct Identity {
    pub name: Arc<str>,
    /// Changes whenever the identity's keys or checks change: part of the key under which verified tokens are remembered.
    pub fingerprint: u64,
    pub method: Method,
}

#[derive(Debug)]
pub enum Method {
    Jwt(jwt::Rules),
    ApiKey(api_key::Rules),
}

/// A recognised caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Who: `sub`, or the API key's id.
    pub id: String,
    /// The name of the identity that recognised it.
    pub identity: Arc<str>,
    pub scopes: Vec<String>,
    pub roles: Vec<String>,
    /// Further claims, as JSON.
    pub claims: serde_json::Map<String, serde_json::Value>,
    /// When the recognition ends.
    pub expires: Option<SystemTime>,
}

/// Identifies a credential without holding it: SHA-256 over the identity's fingerprint and the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialDigest(pub [u8; 32]);

/// What [`clear`] would like to know beforehand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Needs {
    /// A token that may have been verified before.
    pub verified: Option<CredentialDigest>,
}

/// What the adapter found.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The principal of a token that was verified before under the same digest.
    pub verified: Option<Arc<Principal>>,
}

/// Identity and authorization passed; limits are still owed.
#[derive(Debug)]
pub struct Cleared {
    principal: Option<Arc<Principal>>,
    /// A fresh verification to remember under this digest.
    remember: Option<CredentialDigest>,
    takes: SmallVec<[Take; 4]>,
}

/// Evidence that access was decided. Cache lookup and upstream choice take it, so that skipping access does not compile.
#[derive(Debug)]
pub struct Permit {
    principal: Option<Arc<Principal>>,
    standing: Option<Standing>,
    would_deny: Option<super::outcome::Cause>,
}

#[cfg(test)]
impl Permit {
    /// A permit that nobody decided, for tests of the stages behind access.
    pub(crate) fn for_test() -> Permit {
        Permit { principal: None, standing: None, would_deny: None }
    }
}
