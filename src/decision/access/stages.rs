//! The order of access, as types: each step consumes what the step before it made.
//!
//! | value | made by | what it proves |
//! |---|---|---|
//! | [`AddressChecked`] | [`check_address`] | the client's address may use the route |
//! | [`LimitChecked`] | [`AddressChecked::check_limits`] | the limits before identity granted |
//! | [`Authenticated`] | [`LimitChecked::authenticate`] | the caller is known, or the route is public |
//! | [`Authorized`] | [`Authenticated::authorize`] | the caller may do this |
//! | [`Permit`] | [`Authorized::check_limits`] | the limits after identity granted |

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::address;
use super::authenticator::CredentialDigest;
use super::principal::Principal;
use super::rules::AccessRules;
use crate::decision::limit::{Limit, LimitId, LimitResult, LimitStatus, Quota};
use crate::decision::outcome::{Cause, Denial};
use crate::decision::request::fields::Fields;

/// The client's address may use the route. Limits, identity and authorization are still to come.
#[derive(Debug)]
pub struct AddressChecked(LimitTally);

/// The limits before identity granted. Identity, authorization and the other limits are still to come.
#[derive(Debug)]
pub struct LimitChecked(LimitTally);

/// The caller is known, or the route asks for nobody. Authorization and the limits after identity are still to come.
#[derive(Debug)]
pub struct Authenticated {
    principal: Option<Arc<Principal>>,
    /// Set when a signature was verified for this request.
    remember: Option<CredentialDigest>,
    tally: LimitTally,
}

/// The caller may do this. The limits after identity are still to come.
#[derive(Debug)]
pub struct Authorized {
    principal: Option<Arc<Principal>>,
    tally: LimitTally,
}

/// Evidence that access was decided. What comes behind access takes it, so that skipping access does not compile.
#[derive(Debug)]
pub struct Permit {
    principal: Option<Arc<Principal>>,
    tally: LimitTally,
}

/// What the steps so far leave behind for the answer and the log.
#[derive(Clone, Copy, Debug, Default)]
struct LimitTally {
    /// The enforced rate limit that has least left.
    tightest: Option<LimitStatus>,
    /// The first refusal of a rule in report mode.
    would_deny: Option<Cause>,
}

/// Decides by the client's address whether it may use a route with the address rules `rules`.
///
/// `lists` are what the list files hold now, by the ids that `rules` name.
///
/// # Errors
/// [`Cause::AddressDenied`], unless the rules only report.
pub fn check_address(
    rules: Option<&address::AddressRules>,
    lists: &(impl address::Lists + ?Sized),
    client: IpAddr,
) -> Result<AddressChecked, Denial> {
    let mut tally = LimitTally::default();
    if let Some(rules) = rules
        && let Err(denial) = rules.check(client, lists)
    {
        if !rules.report_only {
            return Err(denial);
        }
        tally.would_deny = Some(denial.cause);
    }
    Ok(AddressChecked(tally))
}

impl AddressChecked {
    /// Decides on the limits before identity, `owed`, which index `limits`. `results` are what taking from each found, in the
    /// same order; they may end at the first refusal of an enforcing limit.
    ///
    /// # Errors
    /// The refusal of the first enforcing limit; [`Cause::InternalError`] where a limit was not asked.
    pub fn check_limits(
        self,
        owed: &[LimitId],
        limits: &[Limit],
        results: &[LimitResult],
    ) -> Result<LimitChecked, Denial> {
        Ok(LimitChecked(self.0.with_limits(owed, limits, results)?))
    }
}

impl LimitChecked {
    /// The digest of the token that decides who the caller is, if a token does.
    pub fn token_digest(&self, rules: &AccessRules, fields: Fields<'_>) -> Option<CredentialDigest> {
        match rules {
            AccessRules::Public | AccessRules::Denied(_) => None,
            AccessRules::Identified(rules) => rules.digest(fields),
        }
    }

    /// Recognises the caller by the credential in `fields`. `remembered` is the principal of the same credential, if it was
    /// verified before.
    ///
    /// # Errors
    /// A missing or bad credential, with the challenge of RFC 6750 §3; every request, where nobody is admitted.
    pub fn authenticate(
        self,
        rules: &AccessRules,
        fields: Fields<'_>,
        remembered: Option<Arc<Principal>>,
        now: SystemTime,
    ) -> Result<Authenticated, Denial> {
        let (principal, remember) = match rules {
            AccessRules::Public => (None, None),
            AccessRules::Denied(_) => {
                let mismatch = || Denial::new(Cause::InternalError, "BUG: a rule that admits nobody has no refusal");
                return Err(rules.refusal().unwrap_or_else(mismatch));
            }
            AccessRules::Identified(rules) => {
                let recognised = rules.identify(fields, remembered, now)?;
                (Some(recognised.principal), recognised.remember)
            }
        };
        Ok(Authenticated { principal, remember, tally: self.0 })
    }

    /// Takes it for granted that the caller is `principal`, for `explain`.
    pub(in crate::decision) fn assume(self, principal: Principal) -> Authenticated {
        Authenticated { principal: Some(Arc::new(principal)), remember: None, tally: self.0 }
    }
}

impl Authenticated {
    /// The recognised caller; `None` on public routes.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// A credential that was verified just now, to be remembered whatever is decided about its bearer.
    pub fn verified(&self) -> Option<(CredentialDigest, Arc<Principal>)> {
        self.remember.and_then(|digest| Some((digest, self.principal.clone()?)))
    }

    /// Decides whether the caller may use a route with the access rules `rules`.
    ///
    /// # Errors
    /// A missing scope, role or claim; with the challenge of RFC 6750 §3.1 where a token lacks scopes.
    pub fn authorize(self, rules: &AccessRules) -> Result<Authorized, Denial> {
        if let (AccessRules::Identified(rules), Some(principal)) = (rules, &self.principal) {
            rules.authorize(principal)?;
        }
        Ok(Authorized { principal: self.principal, tally: self.tally })
    }
}

impl Authorized {
    /// The recognised caller; `None` on public routes.
    pub fn principal(&self) -> Option<&Arc<Principal>> {
        self.principal.as_ref()
    }

    /// Decides on the limits after identity, as [`AddressChecked::check_limits`] does on those before it.
    ///
    /// # Errors
    /// As those of [`AddressChecked::check_limits`].
    pub fn check_limits(self, owed: &[LimitId], limits: &[Limit], results: &[LimitResult]) -> Result<Permit, Denial> {
        Ok(Permit { principal: self.principal, tally: self.tally.with_limits(owed, limits, results)? })
    }
}

impl LimitTally {
    fn with_limits(
        mut self,
        owed: &[LimitId],
        limits: &[Limit],
        results: &[LimitResult],
    ) -> Result<LimitTally, Denial> {
        for (&id, &result) in owed.iter().zip(results) {
            let limit = &limits[id.0 as usize];
            let status = LimitStatus { limit: id, result };
            if !result.granted {
                if !limit.report_only {
                    return Err(exceeded(limit, status));
                }
                self.would_deny.get_or_insert(exceeded_cause(&limit.quota));
            } else if matches!(limit.quota, Quota::Rate(_))
                && !limit.report_only
                && self.tightest.is_none_or(|tightest| result.remaining < tightest.result.remaining)
            {
                self.tightest = Some(status);
            }
        }
        if results.len() != owed.len() {
            // Whatever went wrong, a limit that was not asked is not a limit that agreed.
            return Err(Denial::new(Cause::InternalError, "BUG: not every limit was asked"));
        }
        Ok(self)
    }
}

fn exceeded(limit: &Limit, status: LimitStatus) -> Denial {
    let cause = exceeded_cause(&limit.quota);
    // A rate says when to come back. When a place becomes free nobody knows, unless the adapter does.
    let retry_after = match limit.quota {
        Quota::Concurrent(_) if status.result.retry_after.is_zero() => None,
        _ => Some(status.result.retry_after),
    };
    let detail = format!("limit `{}` is exceeded", limit.name);
    Denial { retry_after, limit: Some(status), ..Denial::new(cause, detail) }
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

    /// The recognised caller, for whoever is done with the permit.
    pub fn into_principal(self) -> Option<Arc<Principal>> {
        self.principal
    }

    /// The state of the enforced rate limit that has least left.
    pub fn limit_status(&self) -> Option<LimitStatus> {
        self.tally.tightest
    }

    /// What the first address rule or limit in report mode would have refused with.
    pub fn would_deny(&self) -> Option<Cause> {
        self.tally.would_deny
    }
}

#[cfg(test)]
impl Permit {
    /// A permit that nobody decided, for tests of the stages behind access.
    pub(crate) fn for_test() -> Permit {
        Permit::for_caller(None)
    }

    pub(crate) fn for_caller(principal: Option<Arc<Principal>>) -> Permit {
        Permit { principal, tally: LimitTally::default() }
    }
}
