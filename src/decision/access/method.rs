//! The methods of identification: the one list of them, and the identity providers that use them.

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;

use super::api_key::ApiKeyRules;
use super::authenticator::{Authenticator, Description, Peer, Presented};
use super::jwt::JwtRules;
use super::principal::{Claims, Principal};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::{FieldName, Fields};

/// Somebody whose word about a caller is taken, in one way.
#[derive(Debug)]
pub struct IdentityProvider {
    pub name: Arc<str>,
    /// Changes whenever the provider's keys or checks change: part of the key under which verified credentials are remembered.
    pub fingerprint: u64,
    pub method: IdentificationMethod,
}

/// Declares [`IdentificationMethod`], and hands every question about it to the [`Authenticator`] behind it.
macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident($rules:ident),)*) => {
        /// A way to recognise callers.
        #[derive(Debug)]
        pub enum IdentificationMethod {
            $($(#[$doc])* $method($rules),)*
        }

        $(
            impl From<$rules> for IdentificationMethod {
                fn from(rules: $rules) -> Self {
                    IdentificationMethod::$method(rules)
                }
            }
        )*

        impl IdentificationMethod {
            /// The request field that carries the credential.
            pub fn field(&self) -> &FieldName {
                match self { $(IdentificationMethod::$method(rules) => rules.field(),)* }
            }

            /// What it goes by beside the field, for `diff`.
            pub fn describe(&self) -> Vec<Description> {
                match self { $(IdentificationMethod::$method(rules) => rules.describe(),)* }
            }

            pub(super) fn longest_remembered(&self) -> usize {
                match self { $(IdentificationMethod::$method(rules) => rules.longest_remembered(),)* }
            }

            pub(super) fn presented<'a>(&self, fields: Fields<'a>) -> Presented<'a> {
                match self { $(IdentificationMethod::$method(rules) => rules.presented(fields),)* }
            }

            pub(super) fn recheck(&self, principal: &Principal, now: SystemTime) -> Result<(), Denial> {
                match self { $(IdentificationMethod::$method(rules) => rules.recheck(principal, now),)* }
            }

            pub(super) fn challenge(&self) -> String {
                match self { $(IdentificationMethod::$method(rules) => rules.challenge(),)* }
            }

            pub(super) fn refusal_challenge(&self, cause: Cause) -> HeaderValue {
                match self { $(IdentificationMethod::$method(rules) => rules.refusal_challenge(cause),)* }
            }

            pub(super) fn scope_challenge(&self, scopes: &[String]) -> Option<HeaderValue> {
                match self { $(IdentificationMethod::$method(rules) => rules.scope_challenge(scopes),)* }
            }

            /// Whether both are the same method and read the same field, so that a credential may be either one's.
            pub(super) fn is_peer_of(&self, other: &IdentificationMethod) -> bool {
                std::mem::discriminant(self) == std::mem::discriminant(other) && self.field() == other.field()
            }

            /// Verifies `credential` by this method, with its peers among `providers`.
            pub(super) fn verify(
                &self,
                providers: &[Arc<IdentityProvider>],
                credential: &[u8],
                now: SystemTime,
            ) -> Result<Arc<Principal>, Denial> {
                match self {
                    $(IdentificationMethod::$method(_) => {
                        let peers = providers.iter().filter_map(|provider| match &provider.method {
                            IdentificationMethod::$method(rules) if provider.method.is_peer_of(self) => {
                                Some(Peer { name: &provider.name, rules })
                            }
                            _ => None,
                        });
                        $rules::verify(peers, credential, now)
                    })*
                }
            }
        }

        impl IdentityProvider {
            /// Whether this one takes every credential that `later` could, so that `later` never decides behind it.
            pub fn shadows(&self, later: &IdentityProvider) -> bool {
                self.name == later.name
                    || match (&self.method, &later.method) {
                        $((IdentificationMethod::$method(one), IdentificationMethod::$method(other)) => one.shadows(other),)*
                        _ => false,
                    }
            }

            /// The principal that `claims` are about, as if a credential with them had been verified. `None` where the
            /// credentials carry no claims.
            pub(in crate::decision) fn assume(&self, claims: &Claims) -> Option<Result<Principal, Denial>> {
                match &self.method {
                    $(IdentificationMethod::$method(rules) => rules.assume(&self.name, claims),)*
                }
            }
        }
    };
}

methods! {
    /// A JSON Web Token.
    Jwt(JwtRules),
    /// An API key.
    ApiKey(ApiKeyRules),
}
