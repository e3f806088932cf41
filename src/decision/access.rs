//! Access: who is the caller, may they do this, and how much of it. The only stage that makes a [`Permit`].
//!
//! The order is fixed: address rules, limits before identity, identity, authorization, limits after identity. Each step
//! consumes the value that the step before it made ([`stages`]), so that none can be left out. [`crate::decision::pipeline`]
//! drives them.

pub mod address;
pub mod allow;
pub mod api_key;
pub mod authenticator;
mod bucket_hasher;
mod identification;
pub mod jwt;
pub mod method;
pub mod principal;
pub mod rules;
pub mod stages;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use authenticator::CredentialDigest;
pub use bucket_hasher::BucketHasher;
pub use method::{IdentificationMethod, IdentityProvider};
pub use principal::Principal;
pub use rules::AccessRules;
pub use stages::Permit;
