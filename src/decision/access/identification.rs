//! Who the caller is: the credential that a request presents, and the principal behind it.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::allow::AllowRules;
use super::authenticator::{CredentialDigest, Presented};
use super::method::IdentityProvider;
use super::principal::Principal;
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::Fields;

/// The identity providers of a route and what they must vouch for, with what the route's requests need prepared.
#[derive(Debug)]
pub struct Identification {
    pub(super) providers: Vec<Arc<IdentityProvider>>,
    pub(super) allow: AllowRules,
    pub(super) forward_credentials: bool,
    pub(super) credential_headers: Vec<HeaderName>,
    /// Stands for everything that the principal of a remembered credential depends on, across the providers.
    seed: u64,
    /// `WWW-Authenticate` of a request without credentials: one challenge for each provider.
    missing: Option<HeaderValue>,
    /// By provider: `WWW-Authenticate` of a caller of theirs that lacks a scope.
    scope_challenges: Vec<Option<HeaderValue>>,
}

/// Who it is.
pub(super) struct Recognised {
    pub principal: Arc<Principal>,
    /// A fresh verification to remember under this digest.
    pub remember: Option<CredentialDigest>,
}

impl Identification {
    /// Callers that one of `providers` recognises, in this order, and that fulfil `allow`.
    pub fn new(providers: Vec<Arc<IdentityProvider>>, allow: AllowRules, forward_credentials: bool) -> Self {
        let mut credential_headers: Vec<HeaderName> = Vec::new();
        for provider in &providers {
            let name = provider.method.field().header_name();
            if !credential_headers.contains(name) {
                credential_headers.push(name.clone());
            }
        }
        let scope_challenge = |provider: &Arc<IdentityProvider>| provider.method.scope_challenge(&allow.scopes);
        Identification {
            credential_headers,
            seed: seed(&providers),
            missing: missing(&providers),
            scope_challenges: providers.iter().map(scope_challenge).collect(),
            providers,
            allow,
            forward_credentials,
        }
    }

    /// Recognises the caller by the first credential that succeeds, in the order of the providers. If none does, the first that
    /// is there decides on the refusal. A header with several credentials is refused, whatever else is there: origins differ in
    /// which they take.
    ///
    /// `remembered` is the principal of the credential that [`Identification::digest`] stands for, if it was verified before.
    pub(super) fn identify(
        &self,
        fields: Fields<'_>,
        mut remembered: Option<Arc<Principal>>,
        now: SystemTime,
    ) -> Result<Recognised, Denial> {
        let mut single = SmallVec::<[_; 2]>::new();
        for (provider, presented) in self.presented(fields) {
            let Presented::One(credential) = presented else {
                let detail = "the header that carries the credential is there more than once";
                let mut denial = Denial::new(Cause::CredentialsAmbiguous, detail);
                denial.challenge = Some(provider.method.refusal_challenge(denial.cause));
                return Err(denial);
            };
            single.push((provider, credential));
        }
        let mut refusal = None;
        for (provider, credential) in single {
            let known = if provider.method.longest_remembered() > 0 { remembered.take() } else { None };
            let mut denial = match self.recognise(provider, credential, known, now) {
                Ok(recognised) => return Ok(recognised),
                Err(denial) => denial,
            };
            denial.challenge = Some(provider.method.refusal_challenge(denial.cause));
            if denial.cause == Cause::CredentialsAmbiguous {
                return Err(denial);
            }
            refusal.get_or_insert(denial);
        }
        Err(refusal.unwrap_or_else(|| {
            let denial = Denial::new(Cause::CredentialsMissing, "no credential that this route accepts");
            Denial { challenge: self.missing.clone(), ..denial }
        }))
    }

    /// The header that carries the credential of `caller`, if it is to reach the origin.
    pub(super) fn forwarded(&self, caller: Option<&Principal>) -> Option<&HeaderName> {
        let caller = caller.filter(|_| self.forward_credentials)?;
        let provider = self.providers.iter().find(|provider| provider.name == caller.identity)?;
        Some(provider.method.field().header_name())
    }

    /// The digest of the first credential whose verification may be remembered. Allocates nothing.
    pub(super) fn digest(&self, fields: Fields<'_>) -> Option<CredentialDigest> {
        let mut presented = self.presented(fields);
        match presented.find(|(provider, _)| provider.method.longest_remembered() > 0)? {
            (provider, Presented::One(credential)) => self.digest_of(provider, credential),
            _ => None,
        }
    }

    /// Decides whether the caller has what it must have.
    pub(super) fn authorize(&self, principal: &Principal) -> Result<(), Denial> {
        self.allow.check(principal).map_err(|mut denial| {
            if denial.cause == Cause::ScopeMissing {
                let by = self.providers.iter().position(|provider| provider.name == principal.identity);
                denial.challenge = by.and_then(|index| self.scope_challenges[index].clone());
            }
            denial
        })
    }

    /// The credentials that are there, each with the first provider that reads it: its peers verify it together.
    fn presented<'a>(&self, fields: Fields<'a>) -> impl Iterator<Item = (&IdentityProvider, Presented<'a>)> {
        let providers = self.providers.iter().enumerate();
        providers.filter_map(move |(index, provider)| match provider.method.presented(fields) {
            Presented::Nothing => None,
            _ if self.providers[..index].iter().any(|earlier| earlier.method.is_peer_of(&provider.method)) => None,
            presented => Some((&**provider, presented)),
        })
    }

    fn recognise(
        &self,
        first: &IdentityProvider,
        credential: &[u8],
        remembered: Option<Arc<Principal>>,
        now: SystemTime,
    ) -> Result<Recognised, Denial> {
        if let Some(principal) = remembered
            && let Some(provider) = self
                .providers
                .iter()
                .find(|provider| provider.name == principal.identity && provider.method.is_peer_of(&first.method))
        {
            provider.method.recheck(&principal, now)?;
            return Ok(Recognised { principal, remember: None });
        }
        let principal = first.method.verify(&self.providers, credential, now)?;
        Ok(Recognised { principal, remember: self.digest_of(first, credential) })
    }

    fn digest_of(&self, provider: &IdentityProvider, credential: &[u8]) -> Option<CredentialDigest> {
        let longest = provider.method.longest_remembered();
        (longest > 0 && credential.len() <= longest).then(|| CredentialDigest::new(self.seed, credential))
    }
}

/// One number for everything that the verification of credentials which are remembered depends on.
fn seed(providers: &[Arc<IdentityProvider>]) -> u64 {
    let remembering = providers.iter().filter(|provider| provider.method.longest_remembered() > 0);
    let fingerprints: Vec<u8> = remembering.flat_map(|provider| provider.fingerprint.to_be_bytes()).collect();
    let mut first = [0; 8];
    first.copy_from_slice(&digest(&SHA256, &fingerprints).as_ref()[..8]);
    u64::from_be_bytes(first)
}

/// One challenge for each of `providers`, for a request without credentials (RFC 9110 §11.6.1).
fn missing(providers: &[Arc<IdentityProvider>]) -> Option<HeaderValue> {
    let mut challenges: Vec<String> = Vec::new();
    for provider in providers {
        let challenge = provider.method.challenge();
        if !challenges.contains(&challenge) {
            challenges.push(challenge);
        }
    }
    if challenges.is_empty() { None } else { HeaderValue::try_from(challenges.join(", ")).ok() }
}
