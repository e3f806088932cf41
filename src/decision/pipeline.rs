//! Pipeline: the one driver of a request's admission, without I/O.
//!
//! [`Pipeline::step`] runs the stages until it needs what only the outside knows ([`Need`]), or until the decision is made.
//! The order is fixed:
//!
//! 1. read: one normal form ([`super::request`])
//! 2. route: which route takes it ([`super::route`])
//! 3. the refusal of a route that admits nobody; the bound on the body, by its `Content-Length`
//! 4. address rules, limits before identity, identity, authorization, limits after identity ([`super::access::stages`])
//! 5. the route's action: a fixed answer, a redirect, or an upstream ([`super::upstream::split`] settles which)
//!
//! Whoever drives it answers each need with its fact: the hooks from the running state, `explain` and tests from arguments.
//! So all of them decide alike. A kind of need that is added later is a variant of [`Need`] and of [`Fact`], a [`Stage`] that
//! waits for it, and one arm in each driver.

mod drive;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::access::stages::{AddressChecked, Authorized, LimitChecked};
use super::access::{BucketHasher, CredentialDigest, Permit, Principal, address};
use super::ids::{RouteId, UpstreamId};
use super::limit::{LimitRequests, LimitResults};
use super::outcome::{Cause, Denial};
use super::policy::Policy;
use super::request::{NormalizedRequest, RawRequest};
use super::response::FixedAnswer;
use super::route::Parameters;
pub use drive::body_too_large;

/// What a request is decided by, beside the facts that its way needs.
#[derive(Debug)]
pub struct Inputs<'a, L: ?Sized> {
    pub rules: &'a Policy,
    /// What the list files hold now.
    pub lists: &'a L,
    pub hasher: &'a BucketHasher,
    pub request: RawRequest<'a>,
    pub now: SystemTime,
}

/// The admission of one request.
#[derive(Debug)]
pub struct Pipeline<'a, L: ?Sized> {
    inputs: Inputs<'a, L>,
    findings: &'a mut Findings,
    stage: Stage,
    verified: Option<(CredentialDigest, Arc<Principal>)>,
    /// Of a caller whom `explain` takes for recognised.
    claims: Option<Map<String, Value>>,
}

/// What is known of a request before the decision, and of a refused one after it. It outlives the pipeline, so that a
/// request has its log line wherever its way ends: a refusal, a panic, a client that leaves while a fact is awaited.
#[derive(Debug, Default)]
pub enum Findings {
    /// It has no normal form, or nobody has looked.
    #[default]
    Unread,
    /// It was read, and no route takes it.
    Unrouted(NormalizedRequest),
    /// A route takes it.
    Routed(Routed),
}

/// A request that a route takes.
#[derive(Debug)]
pub struct Routed {
    pub request: NormalizedRequest,
    pub route: RouteId,
    pub parameters: Parameters,
    /// The caller, once recognised.
    pub principal: Option<Arc<Principal>>,
}

/// What the pipeline says to a fact.
#[derive(Debug)]
pub enum Step {
    /// It goes on with the [`Fact`] of the same name.
    Need(Need),
    Done(Decision),
}

/// What only the outside knows.
#[derive(Debug, PartialEq)]
pub enum Need {
    /// The principal of a token that was verified before under this digest.
    RememberedToken(CredentialDigest),
    /// Amounts to be taken from limits, in this order. Taking may end at the first enforcing limit that refuses.
    Limits(LimitRequests),
    /// 64 random bits.
    Random,
}

/// What the outside says. A fact that does not answer the need at hand refuses the request.
#[derive(Clone, Debug)]
pub enum Fact {
    /// Nothing: the first step needs none.
    Start,
    /// `None` where no such token is remembered.
    RememberedToken(Option<Arc<Principal>>),
    /// In the order of the requests.
    Limits(LimitResults),
    Random(u64),
}

/// How admission ends.
#[derive(Debug)]
pub enum Decision {
    /// The request goes to an upstream.
    Forward(Admitted),
    /// The route answers itself.
    Reply(Reply),
    /// It is refused; [`Findings`] say what is known of it.
    Refuse(Denial),
}

/// A request that was admitted and goes to an upstream.
#[derive(Debug)]
pub struct Admitted {
    pub request: NormalizedRequest,
    pub route: RouteId,
    pub parameters: Parameters,
    pub permit: Permit,
    /// The side of the route's split that was chosen, or its one upstream.
    pub upstream: UpstreamId,
}

/// A request that was admitted, with its route's own answer.
#[derive(Debug)]
pub struct Reply {
    pub request: NormalizedRequest,
    pub route: RouteId,
    pub permit: Permit,
    pub content: ReplyContent,
}

/// What a route answers itself.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplyContent {
    Fixed(FixedAnswer),
    Redirect { status: StatusCode, location: HeaderValue },
}

/// Which fact the pipeline waits for, and what is decided so far.
#[derive(Debug)]
enum Stage {
    Start,
    /// The request was read before, and its route sought.
    Sought(Result<RouteId, Denial>),
    LimitsBeforeIdentity(AddressChecked),
    Identity(LimitChecked),
    LimitsAfterIdentity(Authorized),
    Split(Permit),
    Done,
}

impl<'a, L: address::Lists + ?Sized> Pipeline<'a, L> {
    /// A pipeline whose first step takes [`Fact::Start`]. What it learns about the request goes to `findings`.
    pub fn new(inputs: Inputs<'a, L>, findings: &'a mut Findings) -> Self {
        Pipeline { inputs, findings, stage: Stage::Start, verified: None, claims: None }
    }

    /// A pipeline for a request of which [`Pipeline::seek`] has filled the findings and given `sought`.
    pub fn resume(inputs: Inputs<'a, L>, findings: &'a mut Findings, sought: Result<RouteId, Denial>) -> Self {
        Pipeline { stage: Stage::Sought(sought), ..Pipeline::new(inputs, findings) }
    }

    /// Takes it for granted that the caller is recognised with `claims` by the route's first identity that reads tokens, for
    /// `explain`. Only the checks of the credential are left out.
    pub(super) fn assume(&mut self, claims: Map<String, Value>) {
        self.claims = Some(claims);
    }

    /// Goes on with `fact` to the next need, or to the decision.
    ///
    /// A fact that does not answer the need at hand is refused with [`Cause::InternalError`], as is any fact after the
    /// decision: what can't be evaluated denies.
    pub fn step(&mut self, fact: Fact) -> Step {
        self.advance(fact).unwrap_or_else(|denial| Step::Done(Decision::Refuse(denial)))
    }

    /// A credential that was verified on the way, to be remembered whatever was decided about its bearer.
    pub fn take_verified(&mut self) -> Option<(CredentialDigest, Arc<Principal>)> {
        self.verified.take()
    }

    /// What is known of the request so far.
    pub fn findings(&self) -> &Findings {
        self.findings
    }
}

impl Findings {
    /// The normal form of the request.
    pub fn request(&self) -> Option<&NormalizedRequest> {
        match self {
            Findings::Unread => None,
            Findings::Unrouted(request) | Findings::Routed(Routed { request, .. }) => Some(request),
        }
    }

    /// The same, to be changed.
    pub fn request_mut(&mut self) -> Option<&mut NormalizedRequest> {
        match self {
            Findings::Unread => None,
            Findings::Unrouted(request) | Findings::Routed(Routed { request, .. }) => Some(request),
        }
    }

    /// The route that takes it.
    pub fn route(&self) -> Option<RouteId> {
        self.routed().map(|routed| routed.route)
    }

    /// The request with its route, if one takes it.
    pub fn routed(&self) -> Option<&Routed> {
        match self {
            Findings::Routed(routed) => Some(routed),
            Findings::Unread | Findings::Unrouted(_) => None,
        }
    }
}

fn mismatch() -> Denial {
    Denial::new(Cause::InternalError, "BUG: a fact that does not answer the need")
}
