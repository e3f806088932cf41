//! Access: who is it, may they, how much. The only stage that makes a [`Permit`].
//!
//! The order is fixed: address rules, identity, authorization, limits. Each step makes the value that the next one takes,
//! so that none can be left out: [`enter`] a [`Stranger`], [`Stranger::identify`] a [`Caller`], [`Caller::clear`] what is
//! [`Cleared`], [`Cleared::admit`] the permit. It is I/O-free: [`Stranger::needs`] says which facts would help and
//! [`Cleared::takes`] what to take from which limit, and the adapter fetches and takes.

pub mod address;
pub mod allow;
pub mod api_key;
mod bucket;
mod challenge;
mod identify;
pub mod jwt;
pub mod limit;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::outcome::{Cause, Denial};
use super::request::RequestView;
use super::request::fields::{AUTHORIZATION, FieldName};
use super::rules;
pub use bucket::BucketHasher;
use limit::{Limit, Quota, Standing, Take, Taken};

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

/// What [`Stranger::identify`] would like to know beforehand.
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

/// The client's address may come in; identity, authorization and limits are still owed.
#[derive(Debug)]
pub struct Stranger<'r> {
    rules: &'r Rules,
    would_deny: Option<Cause>,
}

/// Identity is decided; authorization and limits are still owed.
#[derive(Debug)]
pub struct Caller {
    principal: Option<Arc<Principal>>,
    /// A fresh verification to remember under this digest.
    remember: Option<CredentialDigest>,
    would_deny: Option<Cause>,
}

/// Identity and authorization passed; limits are still owed.
#[derive(Debug)]
pub struct Cleared {
    principal: Option<Arc<Principal>>,
    takes: SmallVec<[Take; 4]>,
    would_deny: Option<Cause>,
}

/// Evidence that access was decided. Cache lookup and upstream choice take it, so that skipping access does not compile.
#[derive(Debug)]
pub struct Permit {
    principal: Option<Arc<Principal>>,
    standing: Option<Standing>,
    would_deny: Option<Cause>,
}

/// Decides by the client's address whether it may use `route` at all, before anyone asks who it is.
///
/// `lists` are what the list files hold now, by the ids of the rules that `route` comes from.
pub fn enter<'r>(
    route: &'r rules::Route,
    lists: &(impl address::Lists + ?Sized),
    request: &RequestView<'_>,
) -> Result<Stranger<'r>, Denial> {
    let mut would_deny = None;
    if let Some(addresses) = &route.addresses
        && let Err(denial) = addresses.check(request.normal.client, lists)
    {
        if !addresses.report_only {
            return Err(denial);
        }
        would_deny = Some(denial.cause);
    }
    Ok(Stranger { rules: &route.access, would_deny })
}

impl Stranger<'_> {
    /// Which facts would help to recognise who sent `request`.
    pub fn needs(&self, request: &RequestView<'_>) -> Needs {
        let verified = match self.rules {
            Rules::Public => None,
            Rules::Identified(rules) => identify::digest(rules, request.fields),
        };
        Needs { verified }
    }

    /// Recognises the caller. A missing or bad credential is a denial with the challenge of RFC 6750 §3.
    pub fn identify(self, request: &RequestView<'_>, facts: Facts, now: SystemTime) -> Result<Caller, Denial> {
        let (principal, remember) = match self.rules {
            Rules::Public => (None, None),
            Rules::Identified(rules) => {
                let recognised = identify::identify(rules, request.fields, facts, now)?;
                (Some(recognised.principal), recognised.remember)
            }
        };
        Ok(Caller { principal, remember, would_deny: self.would_deny })
    }

    /// Takes it for granted that the caller is `principal`, for `explain`.
    pub(super) fn assume(self, principal: Principal) -> Caller {
        Caller { principal: Some(Arc::new(principal)), remember: None, would_deny: self.would_deny }
    }
}

impl Caller {
    /// Who it is; `None` on public routes.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// A token that was verified just now, to be remembered whatever is decided about its bearer.
    pub fn remember(&self) -> Option<(CredentialDigest, Arc<Principal>)> {
        self.remember.zip(self.principal.clone())
    }

    /// Decides authorization, and names the limits that are still owed.
    ///
    /// `limits` are those of the rules that `route` comes from. A caller that may not do this is refused, with the
    /// challenge of RFC 6750 §3.1 where a token lacks scopes.
    pub fn clear(
        self,
        route: &rules::Route,
        limits: &[Limit],
        request: &RequestView<'_>,
        hasher: &BucketHasher,
    ) -> Result<Cleared, Denial> {
        if let (Rules::Identified(rules), Some(principal)) = (&route.access, &self.principal) {
            rules.authorize(principal)?;
        }
        Ok(Cleared {
            takes: owed(route, limits, request, self.principal.as_deref(), hasher),
            principal: self.principal,
            would_deny: self.would_deny,
        })
    }
}

fn owed(
    route: &rules::Route,
    limits: &[Limit],
    request: &RequestView<'_>,
    principal: Option<&Principal>,
    hasher: &BucketHasher,
) -> SmallVec<[Take; 4]> {
    let take = |&id: &limit::LimitId| {
        let key = &limits[id.0 as usize].key;
        Take { limit: id, bucket: hasher.bucket(key, &route.name, request, principal) }
    };
    route.limits.iter().map(take).collect()
}

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

impl Cleared {
    /// What to take from which limit, in order. Taking may end at the first enforcing limit that refuses.
    pub fn takes(&self) -> &[Take] {
        &self.takes
    }

    /// Decides on the limits. `taken` answers [`Cleared::takes`] in the same order.
    pub fn admit(self, limits: &[Limit], taken: &[Taken]) -> Result<Permit, Denial> {
        let mut standing: Option<Standing> = None;
        let mut would_deny = self.would_deny;
        for (take, &taken) in self.takes.iter().zip(taken) {
            let limit = &limits[take.limit.0 as usize];
            let found = Standing { limit: take.limit, taken };
            if !taken.granted {
                if !limit.report_only {
                    return Err(exceeded(limit, found));
                }
                would_deny.get_or_insert(exceeded_cause(&limit.quota));
            } else if matches!(limit.quota, Quota::Rate(_))
                && !limit.report_only
                && standing.is_none_or(|tightest| taken.remaining < tightest.taken.remaining)
            {
                standing = Some(found);
            }
        }
        if taken.len() != self.takes.len() {
            // Whatever went wrong, a limit that was not asked is not a limit that agreed.
            return Err(Denial::new(Cause::InternalError, "BUG: not every limit was asked"));
        }
        Ok(Permit { principal: self.principal, standing, would_deny })
    }
}

fn exceeded(limit: &Limit, found: Standing) -> Denial {
    let cause = exceeded_cause(&limit.quota);
    // A rate says when to come back. When a place becomes free nobody knows, unless the adapter does.
    let retry_after = match limit.quota {
        Quota::Concurrent(_) if found.taken.retry_after.is_zero() => None,
        _ => Some(found.taken.retry_after),
    };
    let detail = format!("limit `{}` is exceeded", limit.name);
    Denial { retry_after, limit: Some(found), ..Denial::new(cause, detail) }
}

const fn exceeded_cause(quota: &Quota) -> Cause {
    match quota {
        Quota::Rate(_) => Cause::RateExceeded,
        Quota::Concurrent(_) => Cause::ConcurrencyExceeded,
    }
}

impl Permit {
    /// The recognised caller; `None` on public routes.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// How the caller stands with the enforced rate limit that has least left.
    pub fn standing(&self) -> Option<Standing> {
        self.standing
    }

    /// What the first address rule or limit in report mode would have refused with.
    pub fn would_deny(&self) -> Option<Cause> {
        self.would_deny
    }
}

#[cfg(test)]
impl Permit {
    /// A permit that nobody decided, for tests of the stages behind access.
    pub(crate) fn for_test() -> Permit {
        Permit::for_caller(None)
    }

    pub(crate) fn for_caller(principal: Option<Arc<Principal>>) -> Permit {
        Permit { principal, standing: None, would_deny: None }
    }
}
