//! Access: who is the caller, may they do this, and how much of it. The only stage that makes a [`Permit`].
//!
//! The order is fixed: address rules, limits before identity, identity, authorization, limits after identity. Each step
//! consumes the value that the step before it made ([`stages`]), so that none can be left out. [`crate::decision::pipeline`]
//! drives them.

pub mod address;
pub mod allow;
pub mod api_key;
mod bucket_hasher;
mod challenge;
mod identify;
pub mod jwt;
pub mod stages;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderName, HeaderValue};

use super::outcome::{Cause, Denial};
use super::request::fields::{AUTHORIZATION, FieldName};
pub use bucket_hasher::BucketHasher;
pub use stages::Permit;

/// Who may use a route.
#[derive(Debug)]
pub enum Rules {
    Public,
    Identified(Box<Identified>),
}

/// Only callers that one of some identities recognises, with what their requests need prepared.
#[derive(Debug)]
pub struct Identified {
    identities: Vec<Arc<Identity>>,
    allow: allow::Rules,
    forward_credentials: bool,
    /// Stands for everything that a verified token's principal depends on, across the route's identities.
    seed: u64,
    credential_headers: Vec<HeaderName>,
    /// `WWW-Authenticate` of a request without credentials: one challenge for each identity.
    missing: Option<HeaderValue>,
    insufficient_scope: Option<HeaderValue>,
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

/// Identifies a credential without holding it: SHA-256 over the fingerprint of the identities and the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CredentialDigest(pub [u8; 32]);

impl Rules {
    /// Only callers that one of `identities` recognises, in this order, and that fulfil `allow`.
    pub fn identified(identities: Vec<Arc<Identity>>, allow: allow::Rules, forward_credentials: bool) -> Self {
        let mut credential_headers = Vec::new();
        for identity in &identities {
            let header = identity.method.header().header_name();
            if !credential_headers.contains(header) {
                credential_headers.push(header.clone());
            }
        }
        Rules::Identified(Box::new(Identified {
            seed: identify::seed(&identities),
            missing: challenge::missing(&identities),
            insufficient_scope: challenge::insufficient_scope(&allow.scopes),
            credential_headers,
            identities,
            allow,
            forward_credentials,
        }))
    }

    /// The request headers that must not reach the origin because they carry credentials which this route accepts.
    /// Empty where the route forwards credentials.
    pub fn credential_headers(&self) -> impl Iterator<Item = &HeaderName> {
        match self {
            Rules::Identified(rules) if !rules.forward_credentials => rules.credential_headers.iter(),
            _ => [].iter(),
        }
    }

    /// Whether the origin is shown the credentials too.
    pub fn forwards_credentials(&self) -> bool {
        matches!(self, Rules::Identified(rules) if rules.forward_credentials)
    }

    /// The identities that may recognise a caller, in the order in which they are tried. Empty for public routes.
    pub fn identities(&self) -> &[Arc<Identity>] {
        match self {
            Rules::Public => &[],
            Rules::Identified(rules) => &rules.identities,
        }
    }

    /// What a recognised caller must have. `None` for public routes.
    pub fn allow(&self) -> Option<&allow::Rules> {
        match self {
            Rules::Public => None,
            Rules::Identified(rules) => Some(&rules.allow),
        }
    }
}

impl Identified {
    fn authorize(&self, principal: &Principal) -> Result<(), Denial> {
        self.allow.check(principal).map_err(|mut denial| {
            let by_token = || {
                let named = |identity: &&Arc<Identity>| identity.name == principal.identity;
                self.identities.iter().find(named).is_some_and(|identity| matches!(identity.method, Method::Jwt(_)))
            };
            if denial.cause == Cause::ScopeMissing && by_token() {
                denial.challenge = self.insufficient_scope.clone();
            }
            denial
        })
    }
}

impl Method {
    /// The request header that carries the credential.
    pub fn header(&self) -> &FieldName {
        match self {
            Method::Jwt(rules) => rules.header.as_ref().unwrap_or(&AUTHORIZATION),
            Method::ApiKey(rules) => &rules.header,
        }
    }
}
